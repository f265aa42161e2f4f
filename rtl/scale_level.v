// SPDX-License-Identifier: Apache-2.0
//
// The level of a product, combinational: y = clamp(product >> SHIFT, LOW, HIGH), where either end may be none.
//
// Where the SHIFT bits that are dropped are below `ties`, an odd product >> SHIFT is one less: round half even. `above`
// and `below` say that the product is none, for its factor was beyond what is multiplied: the level is that end then.
//
// bench: sim/bench_scale_level.py
`default_nettype none

module scale_level #(
    parameter P_W = 40,                  // bits of a product, two's complement
    parameter SHIFT = 16,                // low bits of it that are dropped
    parameter TIES = 0,                  // 1: there are ties
    parameter BEYOND = 0,                // 1: `above` and `below` may be high
    parameter OUT_W = 8,                 // bits of a level
    parameter signed [63:0] LOW = 0,     // least level
    parameter signed [63:0] HIGH = 255,  // greatest level
    parameter NO_LOW = 0,                // 1: there is no least level, whatever LOW
    parameter NO_HIGH = 0,               // 1: there is no greatest level, whatever HIGH
    parameter XILINX = 0                 // primitives of a device family, see clamp.v
) (
    /* verilator lint_off UNUSEDSIGNAL */
    input  wire [P_W-1:0]   product,
    input  wire [SHIFT:0]   ties,
    input  wire             above,
    input  wire             below,
    /* verilator lint_on UNUSEDSIGNAL */
    output wire [OUT_W-1:0] y
);

    localparam OWN_W = P_W - SHIFT;
    localparam LEVEL_W = (BEYOND != 0 && OWN_W < OUT_W + 2) ? OUT_W + 2 : OWN_W;

    generate
        if (SHIFT < 0 || P_W <= SHIFT) begin : gen_check_shift
            scale_level_SHIFT_must_be_0_to_below_P_W error_i ();
        end
        if (BEYOND != 0 && (NO_LOW != 0 || NO_HIGH != 0)) begin : gen_check_ends
            scale_level_with_BEYOND_there_must_be_a_LOW_and_a_HIGH error_i ();
        end
    endgenerate

    wire [OWN_W-1:0]   own = product[P_W-1:SHIFT];
    wire [OWN_W-1:0]   even;
    wire [LEVEL_W-1:0] level;

    generate
        if (TIES != 0) begin : gen_even
            wire [SHIFT:0] rest;
            assign rest[SHIFT] = 1'b0;
            if (SHIFT > 0) begin : gen_rest
                assign rest[SHIFT-1:0] = product[SHIFT-1:0];
            end
            assign even[0] = own[0] && !(rest < ties);
        end else begin : gen_half_up
            assign even[0] = own[0];
        end
        if (OWN_W > 1) begin : gen_upper
            assign even[OWN_W-1:1] = own[OWN_W-1:1];
        end
        if (BEYOND != 0) begin : gen_beyond
            // beyond either end, whatever the bits of a result
            wire [LEVEL_W-1:0] extended;
            if (LEVEL_W > OWN_W) begin : gen_wide
                assign extended = {{(LEVEL_W-OWN_W){even[OWN_W-1]}}, even};
            end else begin : gen_whole
                assign extended = even;
            end
            assign level[OUT_W-1:0] = extended[OUT_W-1:0];
            assign level[LEVEL_W-1] = below || (!above && extended[LEVEL_W-1]);
            assign level[LEVEL_W-2:OUT_W] = (above || below) ? {(LEVEL_W-1-OUT_W){above}}
                                                             : extended[LEVEL_W-2:OUT_W];
        end else begin : gen_inside
            assign level = even;
        end
    endgenerate

    clamp #(
        .IN_W(LEVEL_W),
        .IN_SIGNED(1),
        .OUT_W(OUT_W),
        .LOW(LOW),
        .HIGH(HIGH),
        .NO_LOW(NO_LOW),
        .NO_HIGH(NO_HIGH),
        .XILINX(XILINX)
    ) u_clamp (
        .x(level),
        .y(y)
    );

endmodule
`default_nettype wire
