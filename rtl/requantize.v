// SPDX-License-Identifier: Apache-2.0
// Clamps a stream of sums, already shifted, to [LOW, HIGH] and registers it: one clock, full throughput.
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

    wire [OUT_W-1:0] clamped;
    clamp #(
        .IN_W(IN_W),
        .IN_SIGNED(IN_SIGNED),
        .OUT_W(OUT_W),
        .LOW(LOW),
        .HIGH(HIGH)
    ) u_clamp (
        .x(s_axis_tdata),
        .y(clamped)
    );

    reg [OUT_W-1:0] data_q;
    reg             valid_q;

    assign s_axis_tready = !valid_q || m_axis_tready;

    always @(posedge clk) begin
        if (s_axis_tready) begin
            data_q <= clamped;
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
