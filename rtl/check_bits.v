// SPDX-License-Identifier: Apache-2.0
//
// The check bits of a word: each is the parity of some of its bits.
//
// bench: sim/bench_check_bits.py
`default_nettype none

module check_bits #(
    parameter WIDTH = 4,             // bits of a word
    parameter CODE_W = 1,            // check bits
    // of each check bit, the first lowest, the bits of the word that it is the parity of
    parameter [CODE_W*WIDTH-1:0] CODE = {(CODE_W*WIDTH){1'b1}}
) (
    input  wire [WIDTH-1:0]  word,
    output wire [CODE_W-1:0] checks
);

    generate
        genvar c;
        if (CODE_W < 1 || WIDTH < 1) begin : gen_check
            check_bits_WIDTH_and_CODE_W_must_be_at_least_1 error_i ();
        end
        for (c = 0; c < CODE_W; c = c + 1) begin : gen_check_bit
            assign checks[c] = ^(word & CODE[c*WIDTH +: WIDTH]);
        end
    endgenerate

endmodule
`default_nettype wire
