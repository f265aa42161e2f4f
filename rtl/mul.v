// SPDX-License-Identifier: Apache-2.0
//
// Multiplies two streams, activation by activation, and requantizes: clamp(((a * b << SHIFT) + CONSTANT) >> DROP).
//
// A beat, N activations side by side, is taken from both inputs at once. CONSTANT is the half of the rounding.
//
// One factor is recoded into digits of -2 to 2, two bits each (Booth, MacSorley), and a row adds a digit's multiple of
// the other: as a carry chain whose lookup tables have six inputs (two bits of that factor, three that make the digit,
// one of the sum so far), a row is one table for each bit.
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

    // the factor whose digits make fewer lookup tables is recoded
    localparam DIGITS_A = (A_W + ((A_SIGNED != 0) ? 1 : 2)) / 2;
    localparam DIGITS_B = (B_W + ((B_SIGNED != 0) ? 1 : 2)) / 2;
    localparam SWAP = (DIGITS_A * (B_W + 2) < DIGITS_B * (A_W + 2)) ? 1 : 0;
    localparam X_W = (SWAP != 0) ? B_W : A_W;
    localparam X_SIGNED = (SWAP != 0) ? B_SIGNED : A_SIGNED;
    localparam Y_W = (SWAP != 0) ? A_W : B_W;
    localparam Y_SIGNED = (SWAP != 0) ? A_SIGNED : B_SIGNED;
    localparam DIGITS = (SWAP != 0) ? DIGITS_A : DIGITS_B;
    localparam ROW_W = X_W + 2;
    localparam PRODUCT_W = 2 * DIGITS - 2 + ROW_W;
    // the first row has room for the half where that is small
    localparam SEEDED = (SHIFT == 0 && CONSTANT >= 0 && CONSTANT <= (64'sd1 << X_W)) ? 1 : 0;
    localparam [63:0] SEED = (SEEDED != 0) ? CONSTANT : 64'd0;
    localparam [63:0] REST = (SEEDED != 0) ? 64'd0 : CONSTANT;

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

    assign a_axis_tready = taken && both;
    assign b_axis_tready = taken && both;
    assign m_axis_tdata = data_q;
    assign m_axis_tvalid = valid_q;

    generate
        genvar n;
        for (n = 0; n < N; n = n + 1) begin : gen_product
            wire [A_W-1:0] a = a_axis_tdata[n*A_W +: A_W];
            wire [B_W-1:0] b = b_axis_tdata[n*B_W +: B_W];
            wire [X_W-1:0] x;
            wire [Y_W-1:0] y;
            if (SWAP != 0) begin : gen_swapped
                assign x = b;
                assign y = a;
            end else begin : gen_straight
                assign x = a;
                assign y = b;
            end
            wire [ROW_W-1:0] once = {{2{(X_SIGNED != 0) && x[X_W-1]}}, x};
            wire [2*DIGITS:0] places = {{(2*DIGITS-Y_W){(Y_SIGNED != 0) && y[Y_W-1]}}, y, 1'b0};
            wire [PRODUCT_W-1:0] product;
            /* verilator lint_off UNUSEDSIGNAL */
            wire [DIGITS*ROW_W-1:0] rows;
            /* verilator lint_on UNUSEDSIGNAL */
            genvar d;
            for (d = 0; d < DIGITS; d = d + 1) begin : gen_digit
                wire [2:0] three = places[2*d +: 3];
                wire [ROW_W-1:0] size = (three[1] != three[0]) ? once : (three[2] != three[1]) ? once << 1 :
                                        {ROW_W{1'b0}};
                wire [ROW_W-1:0] so_far;
                // so_far + size or so_far - size; of a difference the tools keep the order, so that the carry chain's
                // other input is so_far, which takes no table
                /* verilator lint_off UNUSEDSIGNAL */
                wire [ROW_W:0] added = {so_far, 1'b0} - {three[2] ? size : ~size, !three[2]};
                /* verilator lint_on UNUSEDSIGNAL */
                assign rows[d*ROW_W +: ROW_W] = added[ROW_W:1];
                if (d == 0) begin : gen_first
                    assign so_far = SEED[ROW_W-1:0];
                end else begin : gen_next
                    assign so_far = {{2{rows[d*ROW_W-1]}}, rows[(d-1)*ROW_W+2 +: ROW_W-2]};
                end
                if (d == DIGITS - 1) begin : gen_top
                    assign product[2*d +: ROW_W] = added[ROW_W:1];
                end else begin : gen_low
                    assign product[2*d +: 2] = added[2:1];
                end
            end
            // 64 bits hold every result; those above W repeat the sign, those below DROP are rounded away
            /* verilator lint_off UNUSEDSIGNAL */
            wire [63:0] exact = {{(64-PRODUCT_W){product[PRODUCT_W-1]}}, product};
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
        else if (taken) valid_q <= both;
    end

endmodule
`default_nettype wire
