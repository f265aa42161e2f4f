// SPDX-License-Identifier: Apache-2.0
//
// Takes N words, one a beat, and sends them side by side in one beat, the first in the lowest bits.
//
// bench: sim/bench_stream_widen.py
`default_nettype none

module stream_widen #(
    parameter DATA_W = 8,            // bits of a word
    parameter N = 4,                 // words in a beat out, 2 or more
    parameter TMR = 0                // 1: three copies of each register of control, see voted_reg.v
) (
    input  wire                clk,
    input  wire                rst,

    input  wire [DATA_W-1:0]   s_axis_tdata,
    input  wire                s_axis_tvalid,
    output wire                s_axis_tready,

    output wire [N*DATA_W-1:0] m_axis_tdata,
    output wire                m_axis_tvalid,
    input  wire                m_axis_tready
);

    localparam LAST = N - 1;
    localparam COUNT_W = $clog2(N);

    generate
        if (N < 2) begin : gen_check
            stream_widen_N_must_be_at_least_2 error_i ();
        end
    endgenerate

    reg [N*DATA_W-1:0] words_q;
    wire [COUNT_W-1:0] count_q;
    wire               full_q;
    wire               beat = s_axis_tvalid && s_axis_tready;
    /* verilator lint_off UNUSEDSIGNAL */
    wire [(N+1)*DATA_W-1:0] shifted = {s_axis_tdata, words_q};
    /* verilator lint_on UNUSEDSIGNAL */

    assign s_axis_tready = !full_q || m_axis_tready;
    assign m_axis_tdata = words_q;
    assign m_axis_tvalid = full_q;

    always @(posedge clk) begin
        if (beat) words_q <= shifted[DATA_W +: N*DATA_W];
    end

    wire               last = count_q == LAST[COUNT_W-1:0];
    wire [COUNT_W-1:0] count_d = last ? {COUNT_W{1'b0}} : count_q + 1'b1;
    voted_reg #(
        .W(COUNT_W),
        .TMR(TMR)
    ) u_count (
        .clk(clk),
        .rst(rst),
        .enable(beat),
        .d(count_d),
        .q(count_q)
    );
    voted_reg #(
        .TMR(TMR)
    ) u_full (
        .clk(clk),
        .rst(rst),
        .enable((beat && last) || m_axis_tready),
        .d(beat && last),
        .q(full_q)
    );

endmodule
`default_nettype wire
