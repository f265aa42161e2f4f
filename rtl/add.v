// SPDX-License-Identifier: Apache-2.0
//
// Adds two streams, beat by beat, on a common grid, or takes b from a, and requantizes: clamp(((a << A_SHIFT) +
// (b << B_SHIFT) + CONSTANT) >> DROP).
//
// A beat, N activations side by side, is taken from both inputs at once. CONSTANT carries the half of the rounding.
//
// bench: sim/bench_add.py
`default_nettype none

module add #(
    parameter N = 1,                       // activations side by side in a beat
    parameter A_W = 8,                     // bits of an activation of a
    parameter A_SIGNED = 0,                // 1: a is two's complement
    parameter A_SHIFT = 0,                 // bits that a is shifted up to the common grid
    parameter B_W = 8,                     // bits of an activation of b
    parameter B_SIGNED = 0,                // 1: b is two's complement
    parameter B_SHIFT = 0,                 // bits that b is shifted up to the common grid
    parameter B_MINUS = 0,                 // 1: b is taken from a
    parameter W = 10,                      // bits of the exact sum, two's complement, 1 to 64
    parameter signed [63:0] CONSTANT = 0,  // added to each sum: the half of the rounding, and what all have in common
    parameter DROP = 0,                    // low bits of the sum that are rounded away, fewer than W
    parameter OUT_W = 8,                   // bits of a result
    parameter signed [63:0] LOW = 0,       // least result
    parameter signed [63:0] HIGH = 255,    // greatest result
    parameter NO_LOW = 0,                  // 1: there is no least result, whatever LOW
    parameter NO_HIGH = 0                  // 1: there is no greatest result, whatever HIGH
) (
    input  wire             clk,
    input  wire             rst,

    input  wire [N*A_W-1:0]   a_axis_tdata,
    input  wire             a_axis_tvalid,
    output wire             a_axis_tready,

    input  wire [N*B_W-1:0]   b_axis_tdata,
    input  wire             b_axis_tvalid,
    output wire             b_axis_tready,

    output wire [N*OUT_W-1:0] m_axis_tdata,
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

    wire                both = a_axis_tvalid && b_axis_tvalid;
    reg                 valid_q;
    wire                taken = !valid_q || m_axis_tready;
    reg  [N*OUT_W-1:0]  data_q;
    wire [N*OUT_W-1:0]  clamped;

    assign a_axis_tready = taken && both;
    assign b_axis_tready = taken && both;
    assign m_axis_tdata = data_q;
    assign m_axis_tvalid = valid_q;

    generate
        genvar n;
        for (n = 0; n < N; n = n + 1) begin : gen_sum
            wire [A_W-1:0] a_in = a_axis_tdata[n*A_W +: A_W];
            wire [B_W-1:0] b_in = b_axis_tdata[n*B_W +: B_W];
            // 64 bits hold every sum; those above W repeat the sign, those below DROP are rounded away
            /* verilator lint_off UNUSEDSIGNAL */
            wire [63:0] a = {{(64-A_W){(A_SIGNED != 0) && a_in[A_W-1]}}, a_in};
            wire [63:0] b = {{(64-B_W){(B_SIGNED != 0) && b_in[B_W-1]}}, b_in};
            wire [63:0] sum;
            /* verilator lint_on UNUSEDSIGNAL */
            if (B_MINUS != 0) begin : gen_minus
                assign sum = (a << A_SHIFT) - (b << B_SHIFT) + CONSTANT;
            end else begin : gen_plus
                assign sum = (a << A_SHIFT) + (b << B_SHIFT) + CONSTANT;
            end
            clamp #(
                .IN_W(W - DROP),
                .IN_SIGNED(1),
                .OUT_W(OUT_W),
                .LOW(LOW),
                .HIGH(HIGH),
                .NO_LOW(NO_LOW),
                .NO_HIGH(NO_HIGH)
            ) u_clamp (
                .x(sum[W-1:DROP]),
                .y(clamped[n*OUT_W +: OUT_W])
            );
        end
    endgenerate

    always @(posedge clk) begin
        if (taken) data_q <= clamped;
    end

    always @(posedge clk) begin
        if (rst) valid_q <= 1'b0;
        else if (taken) valid_q <= both;
    end

endmodule
`default_nettype wire
