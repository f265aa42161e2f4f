// SPDX-License-Identifier: Apache-2.0
// Clamps a stream of sums, already shifted, to [LOW, HIGH] and registers it: one clock, full throughput.
//
// Rounding (half up) is not here: the half is part of the layer's bias, and the shift dropped the rest.
//
// bench: sim/bench_requantize.py
`default_nettype none

module requantize #(
    parameter IN_W = 12,             // bits in a sum, two's complement
    parameter IN_SIGNED = 1,         // 0: the input is unsigned
    parameter OUT_W = 8,             // bits in an activation
    parameter signed [63:0] LOW = 0,
    parameter signed [63:0] HIGH = 255
) (
    input  wire             clk,
    input  wire             rst,

    input  wire [IN_W-1:0]  s_axis_tdata,
    input  wire             s_axis_tvalid,
    output wire             s_axis_tready,

    output wire [OUT_W-1:0] m_axis_tdata,
    output wire             m_axis_tvalid,
    input  wire             m_axis_tready
);

    generate
        if (IN_W < 1 || IN_W > 64) begin : gen_check_in
            requantize_IN_W_must_be_1_to_64 error_i ();
        end
        if (OUT_W < 1 || OUT_W > 64) begin : gen_check_out
            requantize_OUT_W_must_be_1_to_64 error_i ();
        end
    endgenerate

    localparam [63:0] HIGH_BITS = HIGH;
    localparam [63:0] LOW_BITS = LOW;
    wire signed [63:0] value = {{(64-IN_W){(IN_SIGNED != 0) && s_axis_tdata[IN_W-1]}}, s_axis_tdata};
    wire above, below;

    generate
        if ((HIGH_BITS & (HIGH_BITS + 64'd1)) == 64'd0 && HIGH >= 0) begin : gen_high_ones
            // HIGH is all ones: above when any bit over it is set
            assign above = !value[63] && |(value & ~HIGH_BITS);
        end else begin : gen_high_any
            assign above = value > HIGH;
        end
        if (LOW == 0) begin : gen_low_zero
            assign below = value[63];
        end else if ((~LOW_BITS & (~LOW_BITS + 64'd1)) == 64'd0 && LOW < 0) begin : gen_low_ones
            // LOW is the negative of a power of two: below when any bit over its ones is clear
            assign below = value[63] && |(~value & LOW_BITS);
        end else begin : gen_low_any
            assign below = value < LOW;
        end
    endgenerate

    reg [OUT_W-1:0] data_q;
    reg             valid_q;

    assign s_axis_tready = !valid_q || m_axis_tready;

    always @(posedge clk) begin
        if (s_axis_tready) begin
            data_q <= above ? HIGH_BITS[OUT_W-1:0] : below ? LOW_BITS[OUT_W-1:0] : value[OUT_W-1:0];
        end
    end

    always @(posedge clk) begin
        if (rst) valid_q <= 1'b0;
        else if (s_axis_tready) valid_q <= s_axis_tvalid;
    end

    assign m_axis_tdata = data_q;
    assign m_axis_tvalid = valid_q;

endmodule
`default_nettype wire
