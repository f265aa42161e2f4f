// SPDX-License-Identifier: Apache-2.0
//
// Constants that are read in turn, a word for each beat: behind the last one the first follows.
//
// `word` is that of the beat at hand as soon as it is `there`, a few clocks behind a reset; `next`, at a clock at which
// it is there, moves on to that of the next beat, which is known in the clock after. FILE and CHECK are as in term_rom.v.
//
// bench: sim/bench_constant_table.py
`default_nettype none

module constant_table #(
    parameter WIDTH = 8,                   // bits of a word
    parameter WORDS = 2,                   // words until they come again
    parameter FILE = "",                   // $readmemh file, relative to the directory that the tool runs in
    parameter CHECK = 0                    // sum of place, from 1, times word, modulo 2^32
) (
    input  wire             clk,
    input  wire             rst,           // synchronous, active high: begin with the first word again

    input  wire             next,
    output wire             there,
    output wire [WIDTH-1:0] word
);

    localparam PLACE_W = (WORDS > 1) ? $clog2(WORDS) : 1;
    localparam LAST = WORDS - 1;
    localparam READ = (WORDS > 64) ? 2 : 1;  // clocks from an address to its word, see term_rom.v

    generate
        if (WORDS < 1 || WIDTH < 1) begin : gen_check
            constant_table_WORDS_and_WIDTH_must_be_at_least_1 error_i ();
        end
    endgenerate

    reg  [PLACE_W-1:0] next_q;             // the word behind those that are read
    reg  [READ-1:0]    reads_q;            // reads since a reset: with the last one the first beat's word is there
    wire               reads = next || !there;
    /* verilator lint_off UNUSEDSIGNAL */
    wire [READ:0]      reads_d = {reads_q, 1'b1};
    /* verilator lint_on UNUSEDSIGNAL */
    assign there = reads_q[READ-1];

    always @(posedge clk) begin
        if (rst) begin
            next_q  <= {PLACE_W{1'b0}};
            reads_q <= {READ{1'b0}};
        end else if (reads) begin
            next_q  <= (next_q == LAST[PLACE_W-1:0]) ? {PLACE_W{1'b0}} : next_q + 1'b1;
            reads_q <= reads_d[READ-1:0];
        end
    end

    term_rom #(
        .FILE(FILE),
        .DEPTH(WORDS),
        .WIDTH(WIDTH),
        .REGISTERED(READ - 1),
        .CHECK(CHECK)
    ) u_rom (
        .clk(clk),
        .enable(reads),
        .address(next_q),
        .word(word),
        .write(1'b0),
        .write_address({PLACE_W{1'b0}}),
        .write_word({WIDTH{1'b0}})
    );

endmodule
`default_nettype wire
