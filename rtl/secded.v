// SPDX-License-Identifier: Apache-2.0
//
// Puts one flipped bit of a stored word right, and says where two were flipped: single error correction, double error
// detection by a code whose columns are all of odd weight (M. Y. Hsiao, IBM J. Res. Develop. 14, 1970).
//
// What is stored is {check bits, word}; check bit c is the parity of the word's bits in row c of CODE. Each bit of the
// word is in an odd number of rows, three or more, and no two are in the same ones. So one flip gives a syndrome of odd
// weight, which tells the bit, and two flips one of even weight that is not zero.
//
// bench: sim/bench_secded.py
`default_nettype none

module secded #(
    parameter WIDTH = 4,             // bits of a word
    parameter CODE_W = 4,            // check bits of it, 4 or more
    // of each check bit, the first lowest, the bits of the word that it is the parity of
    parameter [CODE_W*WIDTH-1:0] CODE = 16'hEDB7
) (
    input  wire [CODE_W+WIDTH-1:0] stored,
    output wire [WIDTH-1:0]        word,
    output wire                    repaired,    // one bit, of the word or a check bit
    output wire                    wrong        // two bits were flipped; the word is as stored
);

    wire [CODE_W-1:0] checks;
    wire [CODE_W-1:0] syndrome = checks ^ stored[WIDTH +: CODE_W];
    assign repaired = ^syndrome;
    assign wrong = |syndrome && !repaired;

    check_bits #(
        .WIDTH(WIDTH),
        .CODE_W(CODE_W),
        .CODE(CODE)
    ) u_check_bits (
        .word(stored[WIDTH-1:0]),
        .checks(checks)
    );

    generate
        genvar b, c;
        if (CODE_W < 4) begin : gen_check
            secded_CODE_W_must_be_at_least_4 error_i ();
        end
        for (b = 0; b < WIDTH; b = b + 1) begin : gen_bit
            wire [CODE_W-1:0] column;
            for (c = 0; c < CODE_W; c = c + 1) begin : gen_row
                assign column[c] = CODE[c*WIDTH+b];
            end
            assign word[b] = stored[b] ^ (syndrome == column);
        end
    endgenerate

endmodule
`default_nettype wire
