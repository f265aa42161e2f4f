// SPDX-License-Identifier: Apache-2.0
// Adds two streams, beat by beat, on a common grid, and requantizes: clamp(((a << A_SHIFT) + (b << B_SHIFT) + CONSTANT) >> DROP).
//
// A beat is taken from both inputs at once. CONSTANT carries the half of the rounding.
//
// bench: sim/bench_add.py
`default_nettype none

module add #(
    parameter A_W = 8,
    parameter A_SIGNED = 0,
    parameter A_SHIFT = 0,
    parameter B_W = 8,
    parameter B_SIGNED = 0,
    parameter B_SHIFT = 0,
    parameter W = 10,                // bits of the exact sum, two's complement
    parameter signed [63:0] CONSTANT = 0,
    parameter DROP = 0,
    parameter OUT_W = 8,
    parameter signed [63:0] LOW = 0,
    parameter signed [63:0] HIGH = 255
) (
    input  wire             clk,
    input  wire             rst,

    input  wire [A_W-1:0]   a_axis_tdata,
    input  wire             a_axis_tvalid,
    output wire             a_axis_tready,

    input  wire [B_W-1:0]   b_axis_tdata,
    input  wire             b_axis_tvalid,
    output wire             b_axis_tready,

    output wire [OUT_W-1:0] m_axis_tdata,
    output wire             m_axis_tvalid,
    input  wire             m_axis_tready
);

    generate
        if (A_W < 1 || A_SHIFT < 0 || A_W + A_SHIFT > 63) begin : gen_check_a
            add_A_W_with_A_SHIFT_must_be_1_to_63 error_i ();
        end
        if (B_W < 1 || B_SHIFT < 0 || B_W + B_SHIFT > 63) begin : gen_check_b
            add_B_W_with_B_SHIFT_must_be_1_to_63 error_i ();
        end
        if (W < 1 || W > 64) begin : gen_check_sum
            add_W_must_be_1_to_64 error_i ();
        end
        if (DROP < 0 || DROP >= W) begin : gen_check_drop
            add_DROP_must_be_0_to_below_W error_i ();
        end
    endgenerate

    // 64 bits hold every sum; those above W repeat the sign, those below DROP are rounded away
    /* verilator lint_off UNUSEDSIGNAL */
    wire [63:0] a = {{(64-A_W){(A_SIGNED != 0) && a_axis_tdata[A_W-1]}}, a_axis_tdata};
    wire [63:0] b = {{(64-B_W){(B_SIGNED != 0) && b_axis_tdata[B_W-1]}}, b_axis_tdata};
    wire [63:0] sum = (a << A_SHIFT) + (b << B_SHIFT) + CONSTANT;

    wire taken;
    wire both = a_axis_tvalid && b_axis_tvalid;
    assign a_axis_tready = taken && both;
    assign b_axis_tready = taken && both;

    requantize #(
        .IN_W(W - DROP),
        .IN_SIGNED(1),
        .OUT_W(OUT_W),
        .LOW(LOW),
        .HIGH(HIGH)
    ) u_requantize (
        .clk(clk),
        .rst(rst),
        .s_axis_tdata(sum[W-1:DROP]),
        .s_axis_tvalid(both),
        .s_axis_tready(taken),
        .m_axis_tdata(m_axis_tdata),
        .m_axis_tvalid(m_axis_tvalid),
        .m_axis_tready(m_axis_tready)
    );

endmodule
`default_nettype wire
