// SPDX-License-Identifier: Apache-2.0
//
// A value between LOW and HIGH, combinational: y = min(max(x, LOW), HIGH), where either end may be none.
//
// Rounding (half up) is not here: the half is part of the layer's bias, and the low bits were dropped before.
// With primitives two result bits are in one LUT6_2 where the ends are 0 and all ones; both forms are proven equal in
// tests/test_clamp_formal.py.
//
// bench: sim/bench_clamp.py
`default_nettype none

module clamp #(
    parameter IN_W = 12,             // bits of x
    parameter IN_SIGNED = 1,         // 1: two's complement
    parameter OUT_W = 8,             // bits of y
    parameter signed [63:0] LOW = 0, // the least y
    parameter signed [63:0] HIGH = 255, // the greatest y
    parameter NO_LOW = 0,            // 1: there is no least y, whatever LOW
    parameter NO_HIGH = 0,           // 1: there is no greatest y, whatever HIGH
    parameter XILINX = 0             // primitives: 1 of UltraScale+, 2 of 7 series, which are the same here
) (
    input  wire [IN_W-1:0]  x,
    output wire [OUT_W-1:0] y
);

    generate
        if (IN_W < 1 || IN_W > 64) begin : gen_check_in
            clamp_IN_W_must_be_1_to_64 error_i ();
        end
        if (OUT_W < 1 || OUT_W > 64) begin : gen_check_out
            clamp_OUT_W_must_be_1_to_64 error_i ();
        end
    endgenerate

    localparam [63:0] HIGH_BITS = HIGH;
    localparam [63:0] LOW_BITS = LOW;
    localparam FROM_ZERO = (NO_LOW == 0 && LOW == 0) ? 1 : 0;
    localparam TO_ONES = (NO_HIGH == 0 && OUT_W < 64 && HIGH_BITS == ~(64'hFFFF_FFFF_FFFF_FFFF << OUT_W)) ? 1 : 0;
    /* verilator lint_off UNUSEDSIGNAL */
    wire signed [63:0] value = {{(64-IN_W){(IN_SIGNED != 0) && x[IN_W-1]}}, x};     // without ends OUT_W bits do
    /* verilator lint_on UNUSEDSIGNAL */
    wire above, below;

    generate
        if (NO_HIGH != 0) begin : gen_high_none
            assign above = 1'b0;
        end else if ((HIGH_BITS & (HIGH_BITS + 64'd1)) == 64'd0 && HIGH >= 0) begin : gen_high_ones
            // HIGH is all ones: above when any bit over it is set
            assign above = !value[63] && |(value & ~HIGH_BITS);
        end else begin : gen_high_any
            assign above = value > HIGH;
        end
        if (NO_LOW != 0) begin : gen_low_none
            assign below = 1'b0;
        end else if (LOW == 0) begin : gen_low_zero
            assign below = value[63];
        end else if ((~LOW_BITS & (~LOW_BITS + 64'd1)) == 64'd0 && LOW < 0) begin : gen_low_ones
            // LOW is the negative of a power of two: below when any bit over its ones is clear
            assign below = value[63] && |(~value & LOW_BITS);
        end else begin : gen_low_any
            assign below = value < LOW;
        end

        if (XILINX != 0 && FROM_ZERO != 0 && TO_ONES != 0 && IN_SIGNED != 0 && IN_W > OUT_W) begin : gen_primitives
            genvar i;
            for (i = 0; i < OUT_W; i = i + 2) begin : gen_pair
                wire high_bit;
                // O5 and O6: a bit of x and not below, or above
                LUT6_2 #(
                    .INIT(64'hFF0CFF0C_FF0AFF0A)
                ) lut_i (
                    .I0(x[i]),
                    .I1((i + 1 < OUT_W) ? x[i+1] : 1'b0),
                    .I2(below),
                    .I3(above),
                    .I4(1'b0),
                    .I5(1'b1),
                    .O5(y[i]),
                    .O6(high_bit)
                );
                if (i + 1 < OUT_W) begin : gen_high
                    assign y[i+1] = high_bit;
                end
            end
        end else begin : gen_behavioural
            assign y = above ? HIGH_BITS[OUT_W-1:0] : below ? LOW_BITS[OUT_W-1:0] : value[OUT_W-1:0];
        end
    endgenerate

endmodule
`default_nettype wire
