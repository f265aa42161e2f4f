// SPDX-License-Identifier: Apache-2.0
// Takes N words side by side in a beat and sends them one a beat, that of the lowest bits first.
//
// bench: sim/bench_stream_narrow.py
`default_nettype none

module stream_narrow #(
    parameter DATA_W = 8,            // bits in a word
    parameter N = 4
) (
    input  wire                clk,
    input  wire                rst,

    input  wire [N*DATA_W-1:0] s_axis_tdata,
    input  wire                s_axis_tvalid,
    output wire                s_axis_tready,

    output wire [DATA_W-1:0]   m_axis_tdata,
    output wire                m_axis_tvalid,
    input  wire                m_axis_tready
);

    wire full;
    assign s_axis_tready = !full;

    serializer #(
        .LANES(N),
        .W(DATA_W)
    ) u_serializer (
        .clk(clk),
        .rst(rst),
        .load(s_axis_tvalid && s_axis_tready),
        .is_short(1'b0),
        .sums(s_axis_tdata),
        .full(full),
        .m_axis_tdata(m_axis_tdata),
        .m_axis_tvalid(m_axis_tvalid),
        .m_axis_tready(m_axis_tready)
    );

endmodule
`default_nettype wire
