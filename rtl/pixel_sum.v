// SPDX-License-Identifier: Apache-2.0
//
// The sum over all pixels of a frame, channel by channel, requantized: clamp((sum + CONSTANT) >> DROP). An average, a
// pixel a cycle.
//
// A beat in brings all CHANNELS of a pixel, the first in its lowest bits; behind the last of BEATS comes one beat out.
// Accumulators are set to CONSTANT, which holds the half of the rounding, by their registers' own set and reset.
//
// bench: sim/bench_pixel_sum.py
`default_nettype none

module pixel_sum #(
    parameter CHANNELS = 4,              // activations of a pixel
    parameter BEATS = 16,                // pixels of a frame
    parameter X_W = 8,                   // bits of an activation
    parameter X_SIGNED = 0,              // 1: activations are two's complement
    parameter W = 12,                    // bits of a sum, two's complement, above X_W up to 64
    parameter [W-1:0] CONSTANT = 0,      // what each sum begins with
    parameter DROP = 0,                  // low bits of the sum that are rounded away, fewer than W
    parameter OUT_W = 8,                 // bits of a result
    parameter signed [63:0] LOW = 0,     // least result
    parameter signed [63:0] HIGH = 255,  // greatest result
    parameter NO_LOW = 0,                // 1: there is no least result, whatever LOW
    parameter NO_HIGH = 0,               // 1: there is no greatest result, whatever HIGH
    parameter XILINX = 0                 // primitives of a device family, see clamp.v
) (
    input  wire                      clk,
    input  wire                      rst,

    input  wire [CHANNELS*X_W-1:0]   s_axis_tdata,
    input  wire                      s_axis_tvalid,
    output wire                      s_axis_tready,

    output wire [CHANNELS*OUT_W-1:0] m_axis_tdata,
    output wire                      m_axis_tvalid,
    input  wire                      m_axis_tready
);

    localparam COUNT_W = (BEATS > 1) ? $clog2(BEATS) : 1;
    localparam LAST = BEATS - 1;

    generate
        if (W <= X_W || W > 64) begin : gen_check_w
            pixel_sum_W_must_be_above_X_W_up_to_64 error_i ();
        end
        if (DROP < 0 || DROP >= W) begin : gen_check_drop
            pixel_sum_DROP_must_be_0_to_below_W error_i ();
        end
    endgenerate

    reg  [COUNT_W-1:0]        count_q;
    reg                       valid_q;
    reg  [CHANNELS*OUT_W-1:0] data_q;
    wire [CHANNELS*OUT_W-1:0] clamped;
    wire                      last = count_q == LAST[COUNT_W-1:0];
    wire                      beat = s_axis_tvalid && s_axis_tready;

    assign s_axis_tready = !valid_q || m_axis_tready;
    assign m_axis_tdata = data_q;
    assign m_axis_tvalid = valid_q;

    always @(posedge clk) begin
        if (rst) begin
            count_q <= 0;
            valid_q <= 1'b0;
        end else begin
            if (beat) count_q <= last ? {COUNT_W{1'b0}} : count_q + 1'b1;
            if (s_axis_tready) valid_q <= beat && last;
        end
    end

    always @(posedge clk) begin
        if (beat) data_q <= clamped;
    end

    generate
        genvar c;
        for (c = 0; c < CHANNELS; c = c + 1) begin : gen_channel
            wire [X_W-1:0] x = s_axis_tdata[c*X_W +: X_W];
            reg  [W-1:0]   sum_q;
            /* verilator lint_off UNUSEDSIGNAL */
            wire [W-1:0]   sum = sum_q + {{(W-X_W){(X_SIGNED != 0) && x[X_W-1]}}, x};
            /* verilator lint_on UNUSEDSIGNAL */
            always @(posedge clk) begin
                if (rst || (beat && last)) sum_q <= CONSTANT;
                else if (beat) sum_q <= sum;
            end
            clamp #(
                .IN_W(W - DROP),
                .IN_SIGNED(1),
                .OUT_W(OUT_W),
                .LOW(LOW),
                .HIGH(HIGH),
                .NO_LOW(NO_LOW),
                .NO_HIGH(NO_HIGH),
                .XILINX(XILINX)
            ) u_clamp (
                .x(sum[W-1:DROP]),
                .y(clamped[c*OUT_W +: OUT_W])
            );
        end
    endgenerate

endmodule
`default_nettype wire
