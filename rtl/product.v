// SPDX-License-Identifier: Apache-2.0
//
// The product of two numbers and a constant, modulo 2^W: every clock another one, DIGITS - 1 clocks behind its factors.
//
// The second factor is recoded into digits of -2 to 2, two bits each (Booth, MacSorley), and a row adds a digit's
// multiple of the first: as a carry chain whose lookup tables have six inputs (two bits of that factor, three that make
// the digit, one of the sum so far), a row is one table for each bit. Registers are between rows, none behind the last.
// `beside` and `valid` come with the factors and leave with their product. Without `enable` all holds.
//
// bench: sim/bench_product.py
`default_nettype none

module product #(
    parameter A_W = 8,          // bits of a
    parameter A_SIGNED = 1,     // 1: a is two's complement
    parameter B_W = 8,          // bits of b
    parameter B_SIGNED = 1,     // 1: b is two's complement
    parameter W = 16,           // bits of the result
    parameter [63:0] SEED = 0,  // the constant, at most 2^(bits of the factor that is not recoded)
    parameter BESIDE_W = 1      // bits that come along
) (
    /* verilator lint_off UNUSEDSIGNAL */
    input  wire                clk,       // none of these three where there is one row
    input  wire                rst,
    input  wire                enable,
    /* verilator lint_on UNUSEDSIGNAL */
    input  wire                valid,
    input  wire [A_W-1:0]      a,
    input  wire [B_W-1:0]      b,
    input  wire [BESIDE_W-1:0] beside,
    output wire                y_valid,
    output wire [W-1:0]        y,
    output wire [BESIDE_W-1:0] y_beside
);

    // the factor whose digits make fewer lookup tables, or else fewer rows, is recoded
    localparam DIGITS_A = (A_W + ((A_SIGNED != 0) ? 1 : 2)) / 2;
    localparam DIGITS_B = (B_W + ((B_SIGNED != 0) ? 1 : 2)) / 2;
    localparam TABLES_A = DIGITS_A * (B_W + 2);
    localparam TABLES_B = DIGITS_B * (A_W + 2);
    localparam SWAP = (TABLES_A < TABLES_B || (TABLES_A == TABLES_B && DIGITS_A < DIGITS_B)) ? 1 : 0;
    localparam M_W = (SWAP != 0) ? B_W : A_W;
    localparam D_W = (SWAP != 0) ? A_W : B_W;
    localparam M_SIGNED = (SWAP != 0) ? B_SIGNED : A_SIGNED;
    localparam D_SIGNED = (SWAP != 0) ? A_SIGNED : B_SIGNED;
    localparam DIGITS = (SWAP != 0) ? DIGITS_A : DIGITS_B;
    localparam ROW_W = M_W + 2;
    localparam PLACES_W = 2 * DIGITS + 1;
    localparam ALL_W = 2 * DIGITS - 2 + ROW_W;  // of the sum so far, the rows to come being zero
    localparam STAGE_W = BESIDE_W + M_W + PLACES_W + ALL_W;

    generate
        if (A_W < 1 || B_W < 1 || W < 1 || BESIDE_W < 1) begin : gen_check
            product_A_W_B_W_W_and_BESIDE_W_must_be_at_least_1 error_i ();
        end
        if (SEED > (64'd1 << M_W)) begin : gen_check_seed
            product_SEED_must_be_at_most_2_to_the_bits_of_the_factor_not_recoded error_i ();
        end
    endgenerate

    wire [M_W-1:0]            m;
    wire [D_W-1:0]            d;
    // what a row works on, that of the first one lowest, and what it makes
    /* verilator lint_off UNUSEDSIGNAL */
    wire [DIGITS*STAGE_W-1:0] stages;
    wire [DIGITS*ALL_W-1:0]   sums;
    /* verilator lint_on UNUSEDSIGNAL */
    wire [DIGITS-1:0]         valids;

    assign stages[0 +: STAGE_W] = {beside, m, {(PLACES_W-1-D_W){(D_SIGNED != 0) && d[D_W-1]}}, d, 1'b0,
                                   {(ALL_W-ROW_W){1'b0}}, SEED[ROW_W-1:0]};
    assign valids[0] = valid;
    assign y_valid = valids[DIGITS-1];
    assign y_beside = stages[DIGITS*STAGE_W-1 -: BESIDE_W];

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
            /* verilator lint_off UNUSEDSIGNAL */
            wire [STAGE_W-1:0]  stage = stages[i*STAGE_W +: STAGE_W];
            wire [M_W-1:0]      own = stage[ALL_W+PLACES_W +: M_W];
            wire [ROW_W-1:0]    once = {{2{(M_SIGNED != 0) && own[M_W-1]}}, own};
            wire [2:0]          three = stage[ALL_W+2*i +: 3];
            wire [ROW_W-1:0]    size = (three[1] != three[0]) ? once : (three[2] != three[1]) ? once << 1
                                                                                              : {ROW_W{1'b0}};
            wire [ROW_W-1:0]    so_far = stage[2*i +: ROW_W];
            // so_far + size or so_far - size; of a difference the tools keep the order, so that the carry chain's
            // other input is so_far, which takes no table
            wire [ROW_W:0]      added = {so_far, 1'b0} - {three[2] ? size : ~size, !three[2]};
            wire [ALL_W+1:0]    extended = {{(ALL_W+2-ROW_W){added[ROW_W]}}, added[ROW_W:1]};
            /* verilator lint_on UNUSEDSIGNAL */
            if (i == 0) begin : gen_first
                assign sums[0 +: ALL_W] = extended[ALL_W-1:0];
            end else begin : gen_next
                assign sums[i*ALL_W +: ALL_W] = {extended[ALL_W-2*i-1:0], stage[2*i-1:0]};
            end
            if (i < DIGITS - 1) begin : gen_register
                reg               valid_q;
                reg [STAGE_W-1:0] stage_q;
                assign valids[i+1] = valid_q;
                assign stages[(i+1)*STAGE_W +: STAGE_W] = stage_q;
                always @(posedge clk) begin
                    if (rst) valid_q <= 1'b0;
                    else if (enable) valid_q <= valids[i];
                end
                always @(posedge clk) begin
                    if (enable) stage_q <= {stage[STAGE_W-1:ALL_W], sums[i*ALL_W +: ALL_W]};
                end
            end
        end
        if (W > ALL_W) begin : gen_wide
            assign y = {{(W-ALL_W){sums[DIGITS*ALL_W-1]}}, sums[(DIGITS-1)*ALL_W +: ALL_W]};
        end else begin : gen_cut
            assign y = sums[(DIGITS-1)*ALL_W +: W];
        end
    endgenerate

endmodule
`default_nettype wire
