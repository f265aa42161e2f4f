// SPDX-License-Identifier: Apache-2.0
//
// Two frames one behind the other, again and again: A_RUN beats of a, then B_RUN beats of b.
//
// A beat has N activations side by side, of a as of b; each is brought to OUT_W bits on the common grid, which is wires.
//
// bench: sim/bench_concat.py
`default_nettype none

module concat #(
    parameter N = 1,            // activations side by side in a beat
    parameter A_W = 8,          // bits of an activation of a
    parameter A_SIGNED = 0,     // 1: a is two's complement
    parameter A_SHIFT = 0,      // bits that a is shifted up to the common grid
    parameter A_RUN = 1,        // beats of a that follow each other
    parameter B_W = 8,          // bits of an activation of b
    parameter B_SIGNED = 0,     // 1: b is two's complement
    parameter B_SHIFT = 0,      // bits that b is shifted up to the common grid
    parameter B_RUN = 1,        // beats of b that follow each other
    parameter OUT_W = 8         // bits of a result, which hold those of either side
) (
    input  wire               clk,
    input  wire               rst,        // synchronous, active high

    input  wire [N*A_W-1:0]   a_axis_tdata,
    input  wire               a_axis_tvalid,
    output wire               a_axis_tready,

    input  wire [N*B_W-1:0]   b_axis_tdata,
    input  wire               b_axis_tvalid,
    output wire               b_axis_tready,

    output wire [N*OUT_W-1:0] m_axis_tdata,
    output wire               m_axis_tvalid,
    input  wire               m_axis_tready
);

    localparam MOST = (A_RUN > B_RUN) ? A_RUN : B_RUN;
    localparam COUNT_W = (MOST > 1) ? $clog2(MOST) : 1;
    localparam LAST_A = A_RUN - 1;
    localparam LAST_B = B_RUN - 1;

    generate
        if (A_W < 1 || A_SHIFT < 0 || A_W + A_SHIFT > OUT_W) begin : gen_check_a
            concat_A_W_with_A_SHIFT_must_be_1_to_OUT_W error_i ();
        end
        if (B_W < 1 || B_SHIFT < 0 || B_W + B_SHIFT > OUT_W) begin : gen_check_b
            concat_B_W_with_B_SHIFT_must_be_1_to_OUT_W error_i ();
        end
        if (OUT_W > 64) begin : gen_check_out
            concat_OUT_W_must_be_at_most_64 error_i ();
        end
        if (A_RUN < 1 || B_RUN < 1) begin : gen_check_runs
            concat_A_RUN_and_B_RUN_must_be_at_least_1 error_i ();
        end
    endgenerate

    reg                side_q;                 // 1: b's turn
    reg  [COUNT_W-1:0] count_q;                // beats of this run that are through
    reg  [N*OUT_W-1:0] data_q;
    reg                valid_q;
    wire [N*OUT_W-1:0] chosen;
    wire               offered = side_q ? b_axis_tvalid : a_axis_tvalid;
    wire               taken = !valid_q || m_axis_tready;
    wire               last = count_q == (side_q ? LAST_B[COUNT_W-1:0] : LAST_A[COUNT_W-1:0]);

    assign a_axis_tready = taken && !side_q;
    assign b_axis_tready = taken && side_q;
    assign m_axis_tdata = data_q;
    assign m_axis_tvalid = valid_q;

    generate
        genvar n;
        for (n = 0; n < N; n = n + 1) begin : gen_activation
            wire [A_W-1:0] a_in = a_axis_tdata[n*A_W +: A_W];
            wire [B_W-1:0] b_in = b_axis_tdata[n*B_W +: B_W];
            /* verilator lint_off UNUSEDSIGNAL */
            wire [63:0] a = {{(64-A_W){(A_SIGNED != 0) && a_in[A_W-1]}}, a_in} << A_SHIFT;
            wire [63:0] b = {{(64-B_W){(B_SIGNED != 0) && b_in[B_W-1]}}, b_in} << B_SHIFT;
            /* verilator lint_on UNUSEDSIGNAL */
            assign chosen[n*OUT_W +: OUT_W] = side_q ? b[OUT_W-1:0] : a[OUT_W-1:0];
        end
    endgenerate

    always @(posedge clk) begin
        if (taken) data_q <= chosen;
    end

    always @(posedge clk) begin
        if (rst) valid_q <= 1'b0;
        else if (taken) valid_q <= offered;
    end

    always @(posedge clk) begin
        if (rst) begin
            side_q <= 1'b0;
            count_q <= {COUNT_W{1'b0}};
        end else if (taken && offered) begin
            side_q <= side_q ^ last;
            count_q <= last ? {COUNT_W{1'b0}} : count_q + 1'b1;
        end
    end

endmodule
`default_nettype wire
