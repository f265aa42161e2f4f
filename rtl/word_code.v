// SPDX-License-Identifier: Apache-2.0
//
// What stands around a memory whose words carry check bits: gives those of a word that is written, and looks at those of
// a word that was read.
//
// A stored word is {CODE_W check bits, word}. Without them (CODE_W = 0) it is the word itself. One is a parity bit:
// `wrong` says beside the word that one bit was flipped, or three. With more (secded.v) the word comes a clock later, one
// flipped bit put right, which `repaired` says; `wrong` then says that two were flipped. Without `enable` all holds.
//
// bench: sim/bench_word_code.py
`default_nettype none

module word_code #(
    parameter WIDTH = 4,             // bits of a word
    parameter CODE_W = 4,            // check bits: 0, 1, or 4 and more
    // of each check bit, the first lowest, the bits of the word that it is the parity of
    parameter [((CODE_W > 0) ? CODE_W * WIDTH : 1)-1:0] CODE = 16'hEDB7
) (
    input  wire                    clk,
    input  wire                    enable,

    input  wire [WIDTH-1:0]        write_word,
    output wire [CODE_W+WIDTH-1:0] write_stored,

    input  wire [CODE_W+WIDTH-1:0] stored,
    output wire [WIDTH-1:0]        word,
    output wire                    wrong,
    output wire                    repaired
);

    generate
        if (CODE_W == 0) begin : gen_none
            wire unused = &{1'b0, clk, enable, CODE};
            assign write_stored = write_word;
            assign word = stored;
            assign wrong = 1'b0;
            assign repaired = 1'b0;
        end else begin : gen_some
            wire [CODE_W-1:0] checks;
            assign write_stored = {checks, write_word};
            check_bits #(
                .WIDTH(WIDTH),
                .CODE_W(CODE_W),
                .CODE(CODE)
            ) u_written (
                .word(write_word),
                .checks(checks)
            );
            if (CODE_W == 1) begin : gen_parity
                wire parity;
                wire unused = &{1'b0, clk, enable};
                check_bits #(
                    .WIDTH(WIDTH),
                    .CODE_W(CODE_W),
                    .CODE(CODE)
                ) u_read (
                    .word(stored[WIDTH-1:0]),
                    .checks(parity)
                );
                assign word = stored[WIDTH-1:0];
                assign wrong = parity != stored[WIDTH];
                assign repaired = 1'b0;
            end else begin : gen_repair
                wire [WIDTH-1:0] right;
                wire             two;
                wire             one;
                reg  [WIDTH-1:0] word_q;
                reg              wrong_q;
                reg              repaired_q;
                secded #(
                    .WIDTH(WIDTH),
                    .CODE_W(CODE_W),
                    .CODE(CODE)
                ) u_secded (
                    .stored(stored),
                    .word(right),
                    .wrong(two),
                    .repaired(one)
                );
                assign word = word_q;
                assign wrong = wrong_q;
                assign repaired = repaired_q;
                always @(posedge clk) begin
                    if (enable) begin
                        word_q <= right;
                        wrong_q <= two;
                        repaired_q <= one;
                    end
                end
            end
        end
    endgenerate

endmodule
`default_nettype wire
