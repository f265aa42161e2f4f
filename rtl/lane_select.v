// SPDX-License-Identifier: Apache-2.0
//
// Gives each of LANES accumulators the stripe at the distance FIRST_LEG + leg from its own.
//
// Stripe l * LANE_STEP of the memory's word is lane l's own; a lane that reaches past either end reads PAD_VALUE.
// Combinational: with primitives two bits are one LUT6_2 where there are two legs (tests/test_lane_select_formal.py
// proves both forms equal), a LUT each for up to four; with one leg there are wires.
//
// bench: sim/bench_lane_select.py
`default_nettype none

module lane_select #(
    parameter X_W = 8,               // bits of an activation
    parameter STRIPES = 4,           // activations in the memory's word
    parameter LANES = 4,             // accumulators
    parameter LANE_STEP = 1,         // stripes from a lane's own to the next lane's
    parameter FIRST_LEG = -1,        // least distance, in stripes, from a lane's own to one that it reads
    parameter LEGS = 3,              // distances that it reads, from FIRST_LEG up
    parameter [X_W-1:0] PAD_VALUE = 0, // what is read past either end of the word
    parameter XILINX = 0,            // primitives: 1 of UltraScale+, 2 of 7 series, which are the same here
    // not to be set
    parameter LEG_W = (LEGS > 1) ? $clog2(LEGS) : 1 // bits of a leg
) (
    /* verilator lint_off UNUSEDSIGNAL */
    input  wire [STRIPES*X_W-1:0] word,          // a stride may leave the last stripe unread
    input  wire [LEG_W-1:0]       leg,           // below LEGS
    /* verilator lint_on UNUSEDSIGNAL */
    output wire [LANES*X_W-1:0]   operands
);

    localparam CHOICES = (LEGS > 1) ? 1 << LEG_W : 1;

    generate
        genvar l, k;
        for (l = 0; l < LANES; l = l + 1) begin : gen_lane
            wire [CHOICES*X_W-1:0] choices;
            for (k = 0; k < CHOICES; k = k + 1) begin : gen_choice
                // a distance that there is not is that of another: any will do
                localparam FROM = l * LANE_STEP + FIRST_LEG + ((k < LEGS) ? k : LEGS - 1);
                if (FROM >= 0 && FROM < STRIPES) begin : gen_inside
                    assign choices[k*X_W +: X_W] = word[FROM*X_W +: X_W];
                end else begin : gen_outside
                    assign choices[k*X_W +: X_W] = PAD_VALUE;
                end
            end
            if (LEGS == 1) begin : gen_wires
                assign operands[l*X_W +: X_W] = choices;
            end else if (LEGS == 2 && XILINX != 0) begin : gen_primitives
                for (k = 0; k < X_W; k = k + 2) begin : gen_pair
                    wire high_bit;
                    // O5 = leg ? I1 : I0;  O6 = leg ? I3 : I2
                    LUT6_2 #(
                        .INIT(64'hFF00F0F0_CCCCAAAA)
                    ) lut_i (
                        .I0(choices[k]),
                        .I1(choices[X_W+k]),
                        .I2((k + 1 < X_W) ? choices[k+1] : 1'b0),
                        .I3((k + 1 < X_W) ? choices[X_W+k+1] : 1'b0),
                        .I4(leg[0]),
                        .I5(1'b1),
                        .O5(operands[l*X_W+k]),
                        .O6(high_bit)
                    );
                    if (k + 1 < X_W) begin : gen_high
                        assign operands[l*X_W+k+1] = high_bit;
                    end
                end
            end else begin : gen_behavioural
                assign operands[l*X_W +: X_W] = choices[leg*X_W +: X_W];
            end
        end
    endgenerate

endmodule
`default_nettype wire
