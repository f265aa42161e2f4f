// SPDX-License-Identifier: Apache-2.0
// A read-only memory of one layer's terms, one word a cycle, checked as loaded in simulation.
//
// `word` is memory[address] one clock after `enable`; without `enable` it holds. CHECK is the sum over all words of
// the word's place from 1 times its 32-bit pieces, modulo 2^32; simulation ends at once when the file does not give it (a $readmemh file
// that is not found is only a warning, and reads as nothing).
//
// bench: sim/bench_term_rom.py
`default_nettype none

module term_rom #(
    parameter FILE  = "",            // $readmemh file, relative to the directory the tool runs in
    parameter DEPTH = 2,             // words
    parameter WIDTH = 8,             // bits in a word
    parameter CHECK = 0,             // sum of place times word, modulo 2^32
    parameter ADDRESS_W = (DEPTH > 1) ? $clog2(DEPTH) : 1
) (
    input  wire                 clk,
    input  wire                 enable,
    input  wire [ADDRESS_W-1:0] address,
    output wire [WIDTH-1:0]     word
);

    generate
        if (DEPTH <= 64) begin : gen_lut
            reg [WIDTH-1:0] memory [0:DEPTH-1];
            reg [WIDTH-1:0] word_q;
            initial $readmemh(FILE, memory);
            always @(posedge clk) if (enable) word_q <= memory[address];
            assign word = word_q;
        end else begin : gen_block
            (* rom_style = "block" *) reg [WIDTH-1:0] memory [0:DEPTH-1];
            reg [WIDTH-1:0] word_q;
            initial $readmemh(FILE, memory);
            always @(posedge clk) if (enable) word_q <= memory[address];
            assign word = word_q;
        end
    endgenerate

    // synthesis translate_off
    reg [WIDTH-1:0] check_memory [0:DEPTH-1];
    reg [31:0]      check_sum;
    reg [WIDTH+31:0] check_word;
    integer i, j;
    initial begin
        $readmemh(FILE, check_memory);
        check_sum = 0;
        for (i = 0; i < DEPTH; i = i + 1) begin
            check_word = {32'd0, check_memory[i]};
            for (j = 0; j < WIDTH; j = j + 32) check_sum = check_sum + (i + 1) * check_word[j +: 32];
        end
        if (check_sum !== CHECK) begin
            $display("term_rom %m: %0s does not hold the %0d words this build wrote (sum %h, expected %h)",
                     FILE, DEPTH, check_sum, CHECK);
            $finish;
        end
    end
    // synthesis translate_on

endmodule
`default_nettype wire
