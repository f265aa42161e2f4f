// SPDX-License-Identifier: Apache-2.0
//
// Copies every word of one stream to two: each side takes it at its own time, a word a cycle if both are ready.
//
// A side that has taken the word is marked and offered nothing until the other has it too; only then
// does the input move on. tready depends on both treadys combinationally, tvalid on s_axis_tvalid.
//
// bench: sim/bench_stream_fork.py
`default_nettype none

module stream_fork #(
    parameter DATA_W = 8,               // bits in a word
    parameter TMR = 0                   // 1: three copies of each register of control, see voted_reg.v
) (
    input  wire              clk,
    input  wire              rst,       // synchronous, active high

    // words in
    input  wire [DATA_W-1:0] s_axis_tdata,
    input  wire              s_axis_tvalid,
    output wire              s_axis_tready,

    // the same words, first copy
    output wire [DATA_W-1:0] m0_axis_tdata,
    output wire              m0_axis_tvalid,
    input  wire              m0_axis_tready,

    // the same words, second copy
    output wire [DATA_W-1:0] m1_axis_tdata,
    output wire              m1_axis_tvalid,
    input  wire              m1_axis_tready
);

    generate
        if (DATA_W < 1) begin : gen_check
            stream_fork_DATA_W_must_be_at_least_1 error_i ();
        end
    endgenerate

    wire taken0_q;
    wire taken1_q;

    wire served0 = taken0_q || m0_axis_tready;
    wire served1 = taken1_q || m1_axis_tready;

    assign s_axis_tready  = served0 && served1;
    assign m0_axis_tdata  = s_axis_tdata;
    assign m1_axis_tdata  = s_axis_tdata;
    assign m0_axis_tvalid = s_axis_tvalid && !taken0_q;
    assign m1_axis_tvalid = s_axis_tvalid && !taken1_q;

    voted_reg #(
        .W(2),
        .TMR(TMR)
    ) u_taken (
        .clk(clk),
        .rst(rst),
        .enable(s_axis_tvalid),
        .d({served0 && !served1, served1 && !served0}),
        .q({taken0_q, taken1_q})
    );

endmodule
`default_nettype wire
