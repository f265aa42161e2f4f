// SPDX-License-Identifier: Apache-2.0
//
// Multiplies two streams, activation by activation, and requantizes: clamp(((a * b << SHIFT) + CONSTANT) >> DROP).
//
// A beat, N activations side by side, is taken from both inputs at once. CONSTANT is the half of the rounding. Products
// are those of product.v, a register between any two of its rows.
//
// bench: sim/bench_mul.py
`default_nettype none

module mul #(
    parameter N = 1,                       // activations side by side in a beat
    parameter A_W = 8,                     // bits of an activation of a
    parameter A_SIGNED = 0,                // 1: a is two's complement
    parameter B_W = 8,                     // bits of an activation of b
    parameter B_SIGNED = 0,                // 1: b is two's complement
    parameter SHIFT = 0,                   // bits that a product is shifted up to a finer grid
    parameter W = 17,                      // bits of the exact result with its constant, two's complement, 1 to 64
    parameter signed [63:0] CONSTANT = 0,  // added to each product: the half of the rounding
    parameter DROP = 0,                    // low bits that are rounded away, fewer than W
    parameter OUT_W = 8,                   // bits of a result
    parameter signed [63:0] LOW = 0,       // least result
    parameter signed [63:0] HIGH = 255,    // greatest result
    parameter NO_LOW = 0,                  // 1: there is no least result, whatever LOW
    parameter NO_HIGH = 0                  // 1: there is no greatest result, whatever HIGH
) (
    input  wire               clk,
    input  wire               rst,         // synchronous, active high

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

    // a product's first row has room for the half where that is small: at most as great as the factor that is no digits
    localparam DIGITS_A = (A_W + ((A_SIGNED != 0) ? 1 : 2)) / 2;
    localparam DIGITS_B = (B_W + ((B_SIGNED != 0) ? 1 : 2)) / 2;
    localparam TABLES_A = DIGITS_A * (B_W + 2);
    localparam TABLES_B = DIGITS_B * (A_W + 2);
    localparam M_W = (TABLES_A < TABLES_B || (TABLES_A == TABLES_B && DIGITS_A < DIGITS_B)) ? B_W : A_W;
    localparam SEEDED = (SHIFT == 0 && CONSTANT >= 0 && CONSTANT <= (64'sd1 << M_W)) ? 1 : 0;
    localparam [63:0] SEED = (SEEDED != 0) ? CONSTANT : 64'd0;
    localparam [63:0] REST = (SEEDED != 0) ? 64'd0 : CONSTANT;
    localparam PRODUCT_W = A_W + B_W + 2;  // of a product with its seed

    generate
        if (A_W < 1 || B_W < 1 || A_W + B_W + SHIFT > 58) begin : gen_check_factors
            mul_A_W_with_B_W_and_SHIFT_must_be_2_to_58 error_i ();
        end
        if (SHIFT < 0) begin : gen_check_shift
            mul_SHIFT_must_be_at_least_0 error_i ();
        end
        if (W < 1 || W > 64) begin : gen_check_sum
            mul_W_must_be_1_to_64 error_i ();
        end
        if (DROP < 0 || DROP >= W) begin : gen_check_drop
            mul_DROP_must_be_0_to_below_W error_i ();
        end
    endgenerate

    wire               both = a_axis_tvalid && b_axis_tvalid;
    reg                valid_q;
    wire               taken = !valid_q || m_axis_tready;
    reg  [N*OUT_W-1:0] data_q;
    wire [N*OUT_W-1:0] clamped;
    /* verilator lint_off UNUSEDSIGNAL */
    wire [N-1:0]       made;           // the products of a beat, all at a time
    wire [N-1:0]       unused;
    /* verilator lint_on UNUSEDSIGNAL */

    assign a_axis_tready = taken && both;
    assign b_axis_tready = taken && both;
    assign m_axis_tdata = data_q;
    assign m_axis_tvalid = valid_q;

    generate
        genvar n;
        for (n = 0; n < N; n = n + 1) begin : gen_product
            wire [PRODUCT_W-1:0] own;
            product #(
                .A_W(A_W),
                .A_SIGNED(A_SIGNED),
                .B_W(B_W),
                .B_SIGNED(B_SIGNED),
                .W(PRODUCT_W),
                .SEED(SEED)
            ) u_product (
                .clk(clk),
                .rst(rst),
                .enable(taken),
                .valid(both),
                .a(a_axis_tdata[n*A_W +: A_W]),
                .b(b_axis_tdata[n*B_W +: B_W]),
                .beside(1'b0),
                .y_valid(made[n]),
                .y(own),
                .y_beside(unused[n])
            );
            // 64 bits hold every result; those above W repeat the sign, those below DROP are rounded away
            /* verilator lint_off UNUSEDSIGNAL */
            wire [63:0] exact = {{(64-PRODUCT_W){own[PRODUCT_W-1]}}, own};
            wire [63:0] sum = (exact << SHIFT) + REST;
            /* verilator lint_on UNUSEDSIGNAL */
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
        else if (taken) valid_q <= made[0];
    end

endmodule
`default_nettype wire
