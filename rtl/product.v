// SPDX-License-Identifier: Apache-2.0
//
// The product of two numbers, combinational, modulo 2^W.
//
// The second factor is recoded into digits of -2 to 2, two bits each (Booth, MacSorley), and a row adds a digit's
// multiple of the first: as a carry chain whose lookup tables have six inputs (two bits of that factor, three that make
// the digit, one of the sum so far), a row is one table for each bit.
//
// bench: sim/bench_product.py
`default_nettype none

module product #(
    parameter A_W = 8,          // bits of a
    parameter A_SIGNED = 1,     // 1: a is two's complement
    parameter B_W = 8,          // bits of b
    parameter B_SIGNED = 1,     // 1: b is two's complement
    parameter W = 16            // bits of the product
) (
    input  wire [A_W-1:0] a,
    input  wire [B_W-1:0] b,
    output wire [W-1:0]   y
);

    // the factor whose digits make fewer lookup tables is recoded
    localparam DIGITS_A = (A_W + ((A_SIGNED != 0) ? 1 : 2)) / 2;
    localparam DIGITS_B = (B_W + ((B_SIGNED != 0) ? 1 : 2)) / 2;
    localparam SWAP = (DIGITS_A * (B_W + 2) < DIGITS_B * (A_W + 2)) ? 1 : 0;
    localparam M_W = (SWAP != 0) ? B_W : A_W;
    localparam D_W = (SWAP != 0) ? A_W : B_W;
    localparam M_SIGNED = (SWAP != 0) ? B_SIGNED : A_SIGNED;
    localparam D_SIGNED = (SWAP != 0) ? A_SIGNED : B_SIGNED;
    localparam DIGITS = (SWAP != 0) ? DIGITS_A : DIGITS_B;
    localparam ROW_W = M_W + 2;
    localparam ALL_W = 2 * DIGITS - 2 + ROW_W;

    generate
        if (A_W < 1 || B_W < 1 || W < 1) begin : gen_check
            product_A_W_B_W_and_W_must_be_at_least_1 error_i ();
        end
    endgenerate

    wire [M_W-1:0]    m;
    wire [D_W-1:0]    d;
    /* verilator lint_off UNUSEDSIGNAL */
    wire [ALL_W-1:0]  all;
    wire [DIGITS*ROW_W-1:0] rows;
    /* verilator lint_on UNUSEDSIGNAL */
    wire [ROW_W-1:0]  once = {{2{(M_SIGNED != 0) && m[M_W-1]}}, m};
    wire [2*DIGITS:0] places = {{(2*DIGITS-D_W){(D_SIGNED != 0) && d[D_W-1]}}, d, 1'b0};

    generate
        genvar i;
        if (SWAP != 0) begin : gen_swapped
            assign m = b;
            assign d = a;
        end else begin : gen_straight
            assign m = a;
            assign d = b;
        end
        for (i = 0; i < DIGITS; i = i + 1) begin : gen_digit
            wire [2:0] three = places[2*i +: 3];
            wire [ROW_W-1:0] size = (three[1] != three[0]) ? once : (three[2] != three[1]) ? once << 1 : {ROW_W{1'b0}};
            wire [ROW_W-1:0] so_far;
            // the last place brings in the one that a negative digit's complement lacks
            /* verilator lint_off UNUSEDSIGNAL */
            wire [ROW_W:0]   added = {so_far, 1'b1} + {three[2] ? ~size : size, three[2]};
            /* verilator lint_on UNUSEDSIGNAL */
            assign rows[i*ROW_W +: ROW_W] = added[ROW_W:1];
            if (i == 0) begin : gen_first
                assign so_far = {ROW_W{1'b0}};
            end else begin : gen_next
                assign so_far = {{2{rows[i*ROW_W-1]}}, rows[(i-1)*ROW_W+2 +: ROW_W-2]};
            end
            if (i == DIGITS - 1) begin : gen_top
                assign all[2*i +: ROW_W] = added[ROW_W:1];
            end else begin : gen_low
                assign all[2*i +: 2] = added[2:1];
            end
        end
        if (W > ALL_W) begin : gen_wide
            assign y = {{(W-ALL_W){all[ALL_W-1]}}, all};
        end else begin : gen_cut
            assign y = all[W-1:0];
        end
    endgenerate

endmodule
`default_nettype wire
