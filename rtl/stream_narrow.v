// SPDX-License-Identifier: Apache-2.0
//
// Takes N words side by side in a beat and sends them one a beat, that of the lowest bits first.
//
// Of STRIPE groups of CHANNELS beats, those from SHORT_FROM on bring only SHORT words (lanes without a pixel come
// last).
//
// bench: sim/bench_stream_narrow.py
`default_nettype none

module stream_narrow #(
    parameter DATA_W = 8,            // bits of a word
    parameter N = 4,                 // words in a beat
    parameter CHANNELS = 1,          // beats of a group, one a channel
    parameter STRIPE = 1,            // groups of a row
    parameter SHORT = 4,             // words that short beats bring: N (no beat is short) or N - 1
    parameter SHORT_FROM = 1,        // first group of a row that is short
    parameter TMR = 0                // 1: three copies of each register of control, see voted_reg.v
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
    wire beat = s_axis_tvalid && s_axis_tready;
    wire is_short;

    generate
        if (SHORT == N) begin : gen_alike
            assign is_short = 1'b0;
        end else begin : gen_short
            localparam CHANNEL_W = (CHANNELS > 1) ? $clog2(CHANNELS) : 1;
            localparam COLUMN_W = (STRIPE > 1) ? $clog2(STRIPE) : 1;
            localparam LAST_CHANNEL = CHANNELS - 1;
            localparam LAST_COLUMN = STRIPE - 1;
            wire [CHANNEL_W-1:0] channel_q;
            wire [COLUMN_W-1:0]  column_q;
            wire                 channel_last = channel_q == LAST_CHANNEL[CHANNEL_W-1:0];
            wire                 column_last = column_q == LAST_COLUMN[COLUMN_W-1:0];
            wire [CHANNEL_W-1:0] channel_d = channel_last ? {CHANNEL_W{1'b0}} : channel_q + 1'b1;
            wire [COLUMN_W-1:0]  column_d = column_last ? {COLUMN_W{1'b0}} : column_q + 1'b1;
            voted_reg #(
                .W(CHANNEL_W),
                .TMR(TMR)
            ) u_channel (
                .clk(clk),
                .rst(rst),
                .enable(beat),
                .d(channel_d),
                .q(channel_q)
            );
            voted_reg #(
                .W(COLUMN_W),
                .TMR(TMR)
            ) u_column (
                .clk(clk),
                .rst(rst),
                .enable(beat && channel_last),
                .d(column_d),
                .q(column_q)
            );
            assign is_short = column_q >= SHORT_FROM[COLUMN_W-1:0];
        end
    endgenerate

    serializer #(
        .LANES(N),
        .W(DATA_W),
        .TMR(TMR)
    ) u_serializer (
        .clk(clk),
        .rst(rst),
        .load(beat),
        .is_short(is_short),
        .sums(s_axis_tdata),
        .full(full),
        .m_axis_tdata(m_axis_tdata),
        .m_axis_tvalid(m_axis_tvalid),
        .m_axis_tready(m_axis_tready)
    );

endmodule
`default_nettype wire
