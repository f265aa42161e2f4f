// SPDX-License-Identifier: Apache-2.0
//
// Adds up to three bits in each of W columns, and one more in the lowest.
//
//   sum = the low BITS of (a ^ NOT_A) + (b ^ NOT_B) + (c ^ NOT_C) + d + ONE
//
// A, B, C and D say which columns an operand has; elsewhere it must be zero. With primitives it takes at most one LUT6_2 a column, for
// three operands too: a column's LUT adds its operands and what the column below it sends beside the carry chain (O5, the majority of
// three). Nothing is below the lowest column, so d is there. All forms are proven equal in tests/test_row_adder_formal.py.
//
// bench: sim/bench_row_adder.py
`default_nettype none

module row_adder #(
    parameter W = 8,                 // columns
    parameter BITS = 8,              // of the sum, up to W + 1
    parameter ONE = 0,               // 1: one more, by the carry chain
    // operands
    parameter [W-1:0] A = {W{1'b1}}, // columns that have a bit of a
    parameter [W-1:0] B = {W{1'b1}}, // of b
    parameter [W-1:0] C = {W{1'b1}}, // of c
    parameter D = 0,                 // 1: the lowest column has d
    parameter [W-1:0] NOT_A = 0,     // bits of a that come in inverted
    parameter [W-1:0] NOT_B = 0,     // of b
    parameter [W-1:0] NOT_C = 0,     // of c
    // device
    parameter XILINX = 0             // primitives: 1 of UltraScale+, 2 of 7 series; see carry_chain.v
) (
    // a column without the operand does not look at it
    /* verilator lint_off UNUSEDSIGNAL */
    input  wire [W-1:0]    a,
    input  wire [W-1:0]    b,
    input  wire [W-1:0]    c,
    input  wire            d,
    /* verilator lint_on UNUSEDSIGNAL */
    output wire [BITS-1:0] sum
);

    // columns with two operands or three; columns that get a bit from the one below: as carries of a sum do
    localparam [W-1:0] TWO = (A & B) | (A & C) | (B & C);
    localparam [W-1:0] THREE = A & B & C;
    localparam [W:0] SENT = ({1'b0, TWO} + {1'b0, THREE} + {{W{1'b0}}, (D != 0) ? 1'b1 : 1'b0}) ^ {1'b0, TWO} ^ {1'b0, THREE};

    generate
        if (W < 1) begin : gen_check_w
            row_adder_W_must_be_at_least_1 error_i ();
        end
        if (BITS < 1 || BITS > W + 1) begin : gen_check_bits
            row_adder_BITS_must_be_1_to_W_and_1 error_i ();
        end
        if (ONE != 0 && ONE != 1) begin : gen_check_one
            row_adder_ONE_must_be_0_or_1 error_i ();
        end
        if (D != 0 && D != 1) begin : gen_check_d
            row_adder_D_must_be_0_or_1 error_i ();
        end

        if (SENT[W] && BITS > W) begin : gen_check_sent
            row_adder_W_must_take_what_the_last_column_sends error_i ();
        end

        if (XILINX != 0) begin : gen_primitives
            wire [W-1:0] propagate;
            wire [W-1:0] bypass;
            // from the column below, beside the chain, and the sum: of both the last bit may have no reader
            /* verilator lint_off UNUSEDSIGNAL */
            wire [W:0]   sent;
            wire [W:0]   result;
            /* verilator lint_on UNUSEDSIGNAL */
            assign sent[0] = (D != 0) ? d : 1'b0;
            genvar i;
            for (i = 0; i < W; i = i + 1) begin : gen_column
                if (TWO[i] || (SENT[i] && (A[i] || B[i] || C[i])) || NOT_A[i] || NOT_B[i] || NOT_C[i]) begin : gen_lut
                    // O6 = a ^ b ^ c ^ sent. O5: to the next column, the majority; to the chain, where that takes it, an operand
                    localparam [15:0] PARITY = (NOT_A[i] ^ NOT_B[i] ^ NOT_C[i]) ? 16'h9669 : 16'h6996;
                    localparam [7:0] IS_A = NOT_A[i] ? 8'h55 : 8'hAA;
                    localparam [7:0] IS_B = NOT_B[i] ? 8'h33 : 8'hCC;
                    localparam [7:0] IS_C = NOT_C[i] ? 8'h0F : 8'hF0;
                    localparam [7:0] BOTH = SENT[i+1] ? ((IS_A & IS_B) | (IS_A & IS_C) | (IS_B & IS_C)) : A[i] ? IS_A : IS_B;
                    wire beside;
                    LUT6_2 #(
                        .INIT({{2{PARITY}}, {4{BOTH}}})
                    ) lut_i (
                        .I0(a[i]),
                        .I1(b[i]),
                        .I2(c[i]),
                        .I3(sent[i]),
                        .I4(1'b0),
                        .I5(1'b1),
                        .O5(beside),
                        .O6(propagate[i])
                    );
                    assign sent[i+1] = SENT[i+1] ? beside : 1'b0;
                    assign bypass[i] = SENT[i] ? sent[i] : (TWO[i] && !SENT[i+1]) ? beside : 1'b0;
                end else begin : gen_wire
                    assign propagate[i] = a[i] | b[i] | c[i] | sent[i];
                    assign bypass[i] = 1'b0;
                    assign sent[i+1] = 1'b0;
                end
            end
            carry_chain #(
                .W(W),
                .XILINX(XILINX)
            ) chain_i (
                .carry_in((ONE != 0) ? 1'b1 : 1'b0),
                .propagate(propagate),
                .bypass(bypass),
                .result(result)
            );
            assign sum = result[BITS-1:0];
        end else begin : gen_behavioural
            // one adder of two operands, with its carry in: a column that sends keeps the parity of its bits, and their majority stands
            // beside that of the next column; a column that does not has at most two bits
            localparam [W-1:0] SENDS = SENT[W:1];
            wire [W-1:0]   x = a ^ NOT_A;
            wire [W-1:0]   y = b ^ NOT_B;
            wire [W-1:0]   z = c ^ NOT_C;
            wire [W-1:0]   first = (SENDS & (x ^ y ^ z)) | (~SENDS & ((A & x) | (~A & B & y) | (~A & ~B & z)));
            wire [W-1:0]   second = ~SENDS & ((A & B & y) | (((A & ~B) | (~A & B)) & z));
            wire [W-1:0]   majority = SENDS & ((x & y) | (x & z) | (y & z));
            /* verilator lint_off UNUSEDSIGNAL */
            wire [W+1:0] total = {1'b0, first, ONE[0]} + ({1'b0, second, ONE[0]} | {majority, (D != 0) && d, 1'b0});
            /* verilator lint_on UNUSEDSIGNAL */
            assign sum = total[BITS:1];
        end
    endgenerate

endmodule
`default_nettype wire
