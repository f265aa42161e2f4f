// SPDX-License-Identifier: Apache-2.0
//
// A memory of one layer's terms, one word a cycle, its file checked as read in simulation.
//
// `word` is memory[address] one clock after `enable`; without `enable` it holds. LOAD says what it is: 0 a ROM, 1 a
// memory that holds the words of its file until they are written over, 2 one in UltraRAM, which no file can fill: it is
// written before it is read. CHECK is the sum over all words of the word's place from 1 times its 32-bit pieces, modulo
// 2^32; simulation ends at once when the file does not give it (a $readmemh file that is not found is only a warning,
// and reads as nothing).
//
// bench: sim/bench_term_rom.py
`default_nettype none

module term_rom #(
    parameter LOAD = 0,              // 0: a ROM, 1: a memory with the file in it, 2: an empty UltraRAM
    parameter FILE = "",             // for $readmemh, relative to the directory the tool runs in; not with LOAD = 2
    parameter DEPTH = 2,             // words
    parameter WIDTH = 8,             // bits of a word
    parameter CHECK = 0,             // sum of place times word, modulo 2^32
    // bits of an address; not to be set
    parameter ADDRESS_W = (DEPTH > 1) ? $clog2(DEPTH) : 1
) (
    input  wire                 clk,
    input  wire                 enable,
    input  wire [ADDRESS_W-1:0] address,
    output wire [WIDTH-1:0]     word,

    // with LOAD, while nobody needs `word`
    input  wire                 write,
    input  wire [ADDRESS_W-1:0] write_address,
    input  wire [WIDTH-1:0]     write_word
);

    generate
        if (LOAD == 2) begin : gen_ultra
            (* ram_style = "ultra" *) (* no_rw_check *) reg [WIDTH-1:0] memory [0:DEPTH-1];
            reg [WIDTH-1:0] word_q;
            always @(posedge clk) if (write) memory[write_address] <= write_word;
            always @(posedge clk) if (enable) word_q <= memory[address];
            assign word = word_q;
        end else if (LOAD == 1 && DEPTH <= 64) begin : gen_lutram
            (* ram_style = "distributed" *) (* no_rw_check *) reg [WIDTH-1:0] memory [0:DEPTH-1];
            reg [WIDTH-1:0] word_q;
            initial $readmemh(FILE, memory);
            always @(posedge clk) if (write) memory[write_address] <= write_word;
            always @(posedge clk) if (enable) word_q <= memory[address];
            assign word = word_q;
        end else if (LOAD == 1) begin : gen_block_ram
            (* ram_style = "block" *) (* no_rw_check *) reg [WIDTH-1:0] memory [0:DEPTH-1];
            reg [WIDTH-1:0] word_q;
            initial $readmemh(FILE, memory);
            always @(posedge clk) if (write) memory[write_address] <= write_word;
            always @(posedge clk) if (enable) word_q <= memory[address];
            assign word = word_q;
        end else if (DEPTH <= 64) begin : gen_lut
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
        if (LOAD == 0) begin : gen_read_only
            wire unused = &{1'b0, write, write_address, write_word};
        end
    endgenerate

    // synthesis translate_off
    reg [WIDTH-1:0] check_memory [0:DEPTH-1];
    reg [31:0]      check_sum;
    reg [WIDTH+31:0] check_word;
    integer i, j;
    initial if (LOAD != 2) begin
        $readmemh(FILE, check_memory);
        check_sum = 0;
        for (i = 0; i < DEPTH; i = i + 1) begin
            check_word = {32'd0, check_memory[i]};
            for (j = 0; j < WIDTH; j = j + 32) check_sum = check_sum + (i + 1) * check_word[j +: 32];
        end
        if (check_sum !== CHECK) begin
            $display("ROM %m: %0s does not hold the %0d words this build wrote (sum %h, expected %h)",
                     FILE, DEPTH, check_sum, CHECK);
            $finish;
        end
    end
    // synthesis translate_on

endmodule
`default_nettype wire
