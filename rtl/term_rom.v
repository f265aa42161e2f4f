// SPDX-License-Identifier: Apache-2.0
//
// A memory of one layer's terms, one word a cycle, its file checked as read in simulation.
//
// `word` is memory[address] one clock after `enable`; with REGISTERED, two: the first clock is the memory's, the second
// that of the register that block RAMs and UltraRAMs have at their outputs. Without `enable` all holds. A deep memory
// has BANKS words in a row, the first in the lowest bits: which of them is meant is looked at behind the registers, so
// that nothing but wires comes before these. LOAD says what it is: 0 a ROM, 1 a memory that holds the words of its file
// until they are written over, 2 one in UltraRAM, which no file can fill: it is written before it is read. CHECK is the
// sum over all rows of the row's place from 1 times its 32-bit pieces, modulo 2^32; simulation ends at once when the
// file does not give it (a $readmemh file that is not found is only a warning, and reads as nothing).
//
// bench: sim/bench_term_rom.py
`default_nettype none

module term_rom #(
    parameter LOAD = 0,              // 0: a ROM, 1: a memory with the file in it, 2: an empty UltraRAM
    parameter FILE = "",             // for $readmemh, relative to the directory the tool runs in; not with LOAD = 2
    parameter DEPTH = 2,             // words
    parameter WIDTH = 8,             // bits of a word
    parameter ROWS = DEPTH,          // words of a bank; a power of two where there are several banks
    parameter REGISTERED = 0,        // 1: the output has a register of its own
    parameter CHECK = 0,             // sum of place times row, modulo 2^32
    parameter TMR = 0,               // 1: three copies of which bank is meant, see voted_reg.v
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

    localparam BANKS = (DEPTH + ROWS - 1) / ROWS;
    localparam BANK_W = $clog2(BANKS);
    localparam ROW_W = BANKS * WIDTH;
    localparam ROW_ADDRESS_W = (ROWS > 1) ? $clog2(ROWS) : 1;

    // the address is made wide, then cut, its upper bits being zero
    /* verilator lint_off UNUSEDSIGNAL */
    wire [31:0] row_wide = {{(32-ADDRESS_W){1'b0}}, address};
    wire [31:0] bank_wide = row_wide >> ROW_ADDRESS_W;
    wire [31:0] write_wide = {{(32-ADDRESS_W){1'b0}}, write_address};
    /* verilator lint_on UNUSEDSIGNAL */
    wire [ROW_ADDRESS_W-1:0] at = row_wide[ROW_ADDRESS_W-1:0];
    wire [ROW_ADDRESS_W-1:0] write_at = write_wide[ROW_ADDRESS_W-1:0];
    wire [ROW_W-1:0]         read;

    generate
        genvar b;
        if (ROWS < 1 || (BANKS > 1 && (ROWS & (ROWS - 1)) != 0)) begin : gen_check
            term_rom_ROWS_must_be_a_power_of_two_or_DEPTH error_i ();
        end
        if (LOAD == 2) begin : gen_ultra
            (* ram_style = "ultra" *) (* no_rw_check *) reg [ROW_W-1:0] memory [0:ROWS-1];
            reg [ROW_W-1:0] read_q;
            assign read = read_q;
            always @(posedge clk) if (enable) read_q <= memory[at];
            for (b = 0; b < BANKS; b = b + 1) begin : gen_bank
                wire here = write && (BANKS == 1 || write_wide >> ROW_ADDRESS_W == b);
                always @(posedge clk) if (here) memory[write_at][b*WIDTH +: WIDTH] <= write_word;
            end
        end else if (LOAD == 1 && DEPTH <= 64) begin : gen_lutram
            (* ram_style = "distributed" *) (* no_rw_check *) reg [ROW_W-1:0] memory [0:ROWS-1];
            reg [ROW_W-1:0] read_q;
            initial $readmemh(FILE, memory);
            assign read = read_q;
            always @(posedge clk) if (enable) read_q <= memory[at];
            always @(posedge clk) if (write) memory[write_at] <= write_word;
        end else if (LOAD == 1) begin : gen_block_ram
            (* ram_style = "block" *) (* no_rw_check *) reg [ROW_W-1:0] memory [0:ROWS-1];
            reg [ROW_W-1:0] read_q;
            initial $readmemh(FILE, memory);
            assign read = read_q;
            always @(posedge clk) if (enable) read_q <= memory[at];
            for (b = 0; b < BANKS; b = b + 1) begin : gen_bank
                wire here = write && (BANKS == 1 || write_wide >> ROW_ADDRESS_W == b);
                always @(posedge clk) if (here) memory[write_at][b*WIDTH +: WIDTH] <= write_word;
            end
        end else if (DEPTH <= 64) begin : gen_lut
            reg [ROW_W-1:0] memory [0:ROWS-1];
            reg [ROW_W-1:0] read_q;
            initial $readmemh(FILE, memory);
            assign read = read_q;
            always @(posedge clk) if (enable) read_q <= memory[at];
        end else begin : gen_block
            (* rom_style = "block" *) reg [ROW_W-1:0] memory [0:ROWS-1];
            reg [ROW_W-1:0] read_q;
            initial $readmemh(FILE, memory);
            assign read = read_q;
            always @(posedge clk) if (enable) read_q <= memory[at];
        end
        if (LOAD == 0) begin : gen_read_only
            wire unused = &{1'b0, write, write_at, write_word};
        end
    endgenerate

    wire [ROW_W-1:0] row;
    generate
        if (REGISTERED != 0) begin : gen_registered
            reg [ROW_W-1:0] row_q;
            assign row = row_q;
            always @(posedge clk) if (enable) row_q <= read;
        end else begin : gen_as_read
            assign row = read;
        end
        if (BANKS > 1) begin : gen_banks
            localparam LATE = (REGISTERED != 0) ? 2 : 1;
            wire [BANK_W-1:0]      bank;
            voted_reg #(
                .W(BANK_W),
                .STAGES(LATE),
                .TMR(TMR)
            ) u_bank (
                .clk(clk),
                .rst(1'b0),
                .enable(enable),
                .d(bank_wide[BANK_W-1:0]),
                .q(bank)
            );
            if (REGISTERED != 0) begin : gen_chosen
                reg [WIDTH-1:0] word_q;
                assign word = word_q;
                always @(posedge clk) if (enable) word_q <= row[bank*WIDTH +: WIDTH];
            end else begin : gen_choice
                assign word = row[bank*WIDTH +: WIDTH];
            end
        end else begin : gen_bank
            assign word = row;
        end
    endgenerate

    // synthesis translate_off
    reg [ROW_W-1:0] check_memory [0:ROWS-1];
    reg [31:0]      check_sum;
    reg [ROW_W+31:0] check_word;
    integer i, j;
    initial if (LOAD != 2) begin
        $readmemh(FILE, check_memory);
        check_sum = 0;
        for (i = 0; i < ROWS; i = i + 1) begin
            check_word = {32'd0, check_memory[i]};
            for (j = 0; j < ROW_W; j = j + 32) check_sum = check_sum + (i + 1) * check_word[j +: 32];
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
