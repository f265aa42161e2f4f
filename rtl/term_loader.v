// SPDX-License-Identifier: Apache-2.0
//
// Writes a layer's memory of terms with the list that the host sends, and says where the list ends.
//
// load = {begins, writes, 32 bits of data}, for this layer with load_select. `begins` brings the number of words of a
// new list; then each `writes` brings 32 bits of the list's words, a word beginning with its lowest bits in data of its
// own. `loaded` falls with `begins` and rises with the list's last piece; a length of 0 or above DEPTH, and a piece too
// many, leave it low until the next list. No reset changes any of it: a memory keeps what it holds. At power-up it
// holds the first WORDS words of its file.
//
// bench: sim/bench_term_loader.py
`default_nettype none

module term_loader #(
    parameter WORDS = 2,             // of the list at power-up; 0: none
    parameter DEPTH = 2,             // words of the memory
    parameter WIDTH = 8,             // bits of a word
    // bits of an address; not to be set
    parameter ADDRESS_W = (DEPTH > 1) ? $clog2(DEPTH) : 1
) (
    input  wire                 clk,
    input  wire                 load_select,
    input  wire [33:0]          load,           // {begins, writes, 32 bits of data}

    output wire                 write,
    output wire [ADDRESS_W-1:0] write_address,
    output wire [WIDTH-1:0]     write_word,

    output wire [ADDRESS_W-1:0] last_address,   // of the list
    output wire                 loaded
);

    localparam PIECES = (WIDTH + 31) / 32;
    localparam PIECE_W = (PIECES > 1) ? $clog2(PIECES) : 1;
    localparam LAST_PIECE = PIECES - 1;
    localparam LAST_WORD = (WORDS > 1) ? WORDS - 1 : 0;

    // the bus comes from afar: a register here
    reg         begins_q;
    reg         writes_q;
    reg  [31:0] data_q;

    reg  [ADDRESS_W-1:0] last_q;
    reg  [ADDRESS_W-1:0] next_q;
    reg  [PIECE_W-1:0]   piece_q;
    reg                  open_q;       // the list wants more
    reg                  loaded_q;
    initial begin
        begins_q = 1'b0;
        writes_q = 1'b0;
        open_q = 1'b0;
        loaded_q = WORDS != 0;
        last_q = LAST_WORD[ADDRESS_W-1:0];
    end

    /* verilator lint_off UNUSEDSIGNAL */
    wire [31:0] last_d = data_q - 32'd1;
    wire [32*PIECES-1:0] pieces;
    /* verilator lint_on UNUSEDSIGNAL */
    wire word_ends = piece_q == LAST_PIECE[PIECE_W-1:0];
    assign write = writes_q && open_q && word_ends;
    assign write_address = next_q;
    assign write_word = pieces[WIDTH-1:0];
    assign last_address = last_q;
    assign loaded = loaded_q;

    generate
        if (PIECES > 1) begin : gen_pieces
            reg [32*PIECES-33:0] held_q;
            assign pieces = {data_q, held_q};
            always @(posedge clk) if (writes_q) held_q <= pieces[32*PIECES-1:32];
        end else begin : gen_piece
            assign pieces = data_q;
        end
    endgenerate

    always @(posedge clk) begin
        begins_q <= load_select && load[33];
        writes_q <= load_select && load[32];
        data_q <= load[31:0];
    end

    always @(posedge clk) begin
        if (begins_q) begin
            last_q <= last_d[ADDRESS_W-1:0];
            next_q <= 0;
            piece_q <= 0;
            open_q <= data_q != 32'd0 && data_q <= DEPTH;
            loaded_q <= 1'b0;
        end else if (writes_q) begin
            piece_q <= word_ends ? {PIECE_W{1'b0}} : piece_q + 1'b1;
            if (word_ends) next_q <= next_q + 1'b1;
            if (word_ends && next_q == last_q) open_q <= 1'b0;
            loaded_q <= write && next_q == last_q;
        end
    end

endmodule
`default_nettype wire
