// SPDX-License-Identifier: Apache-2.0
//
// Gives each of LANES accumulators its operand: the stripe at the distance FIRST_LEG + leg from its own, or an
// immediate.
//
// `use_immediate` is high exactly when leg is LEGS: the low bits are one multiplexer, a LUT6 a bit for three legs, and
// the high bits need no comparison. Stripe l * LANE_STEP of the memory's word is lane l's own; a lane that reaches past
// either end reads PAD_VALUE. A wide immediate (B > X_W) rides above an unsigned activation, where it costs no lookup
// table in the lanes. Combinational.
//
// bench: sim/bench_lane_select.py
`default_nettype none

module lane_select #(
    parameter X_W = 8,               // bits of an activation
    parameter X_SIGNED = 0,          // 1: activations are two's complement
    parameter STRIPES = 4,           // activations in the memory's word
    parameter LANES = 4,             // accumulators
    parameter LANE_STEP = 1,         // stripes from a lane's own to the next lane's
    parameter FIRST_LEG = -1,        // least distance, in stripes, from a lane's own to one that it reads
    parameter LEGS = 3,              // distances that it reads, from FIRST_LEG up
    parameter LEG_W = 2,             // bits that hold LEGS
    parameter B = 8,                 // bits of the immediate, at least X_W
    parameter W = 16,                // bits of an operand, at least B
    parameter [B-1:0] PAD_VALUE = 0  // what is read past either end of the word
) (
    /* verilator lint_off UNUSEDSIGNAL */
    input  wire [STRIPES*X_W-1:0] word,          // a stride may leave the last stripe unread
    input  wire [LEG_W-1:0]       leg,
    input  wire                   use_immediate, // needed above X_W only
    input  wire [B-1:0]           immediate,
    /* verilator lint_on UNUSEDSIGNAL */
    output wire [LANES*W-1:0]     operands
);

    generate
        genvar l, k;
        for (l = 0; l < LANES; l = l + 1) begin : gen_lane
            wire [(1<<LEG_W)*X_W-1:0] choices;
            for (k = 0; k < (1 << LEG_W); k = k + 1) begin : gen_choice
                if (k >= LEGS) begin : gen_immediate
                    assign choices[k*X_W +: X_W] = immediate[X_W-1:0];
                end else if (l * LANE_STEP + FIRST_LEG + k >= 0
                             && l * LANE_STEP + FIRST_LEG + k < STRIPES) begin : gen_inside
                    assign choices[k*X_W +: X_W] = word[(l*LANE_STEP+FIRST_LEG+k)*X_W +: X_W];
                end else begin : gen_outside
                    assign choices[k*X_W +: X_W] = PAD_VALUE[X_W-1:0];
                end
            end
            wire [X_W-1:0] low = choices[leg*X_W +: X_W];
            wire [B-1:0]   middle;
            if (B > X_W) begin : gen_wide_immediate
                assign middle = {use_immediate ? immediate[B-1:X_W] : {(B-X_W){(X_SIGNED != 0) && low[X_W-1]}}, low};
            end else begin : gen_narrow_immediate
                assign middle = low;
            end
            if (W == B) begin : gen_whole
                assign operands[l*W +: W] = middle;
            end else if (B > X_W || X_SIGNED != 0) begin : gen_signed
                assign operands[l*W +: W] = {{(W-B){middle[B-1]}}, middle};
            end else begin : gen_unsigned
                assign operands[l*W +: W] = {{(W-B){use_immediate && immediate[B-1]}}, middle};
            end
        end
    endgenerate

endmodule
`default_nettype wire
