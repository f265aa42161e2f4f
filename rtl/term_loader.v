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
    parameter TMR = 0,               // 1: three copies of each register of control, see voted_reg.v
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
    wire        begins_q;
    wire        writes_q;
    reg  [31:0] data_q;

    wire [ADDRESS_W-1:0] last_q;
    wire [ADDRESS_W-1:0] next_q;
    wire [PIECE_W-1:0]   piece_q;
    wire                 open_q;       // the list wants more
    wire                 loaded_q;
    localparam [0:0] FILLED = WORDS != 0;

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
        data_q <= load[31:0];
    end

    wire ends = write && next_q == last_q;
    wire [PIECE_W-1:0]   piece_d = word_ends ? {PIECE_W{1'b0}} : piece_q + 1'b1;
    wire [ADDRESS_W-1:0] next_d = next_q + 1'b1;
    wire                 open_d = begins_q ? data_q != 32'd0 && data_q <= DEPTH : open_q && !(word_ends && next_q == last_q);
    voted_reg #(
        .W(2),
        .INITIAL(1),
        .TMR(TMR)
    ) u_moves (
        .clk(clk),
        .rst(1'b0),
        .enable(1'b1),
        .d({load_select && load[33], load_select && load[32]}),
        .q({begins_q, writes_q})
    );
    voted_reg #(
        .W(ADDRESS_W),
        .RESET(LAST_WORD[ADDRESS_W-1:0]),
        .INITIAL(1),
        .TMR(TMR)
    ) u_last (
        .clk(clk),
        .rst(1'b0),
        .enable(begins_q),
        .d(last_d[ADDRESS_W-1:0]),
        .q(last_q)
    );
    voted_reg #(
        .W(ADDRESS_W),
        .TMR(TMR)
    ) u_next (
        .clk(clk),
        .rst(begins_q),
        .enable(writes_q && word_ends),
        .d(next_d),
        .q(next_q)
    );
    voted_reg #(
        .W(PIECE_W),
        .TMR(TMR)
    ) u_piece (
        .clk(clk),
        .rst(begins_q),
        .enable(writes_q),
        .d(piece_d),
        .q(piece_q)
    );
    voted_reg #(
        .INITIAL(1),
        .TMR(TMR)
    ) u_open (
        .clk(clk),
        .rst(1'b0),
        .enable(begins_q || writes_q),
        .d(open_d),
        .q(open_q)
    );
    voted_reg #(
        .RESET(FILLED),
        .INITIAL(1),
        .TMR(TMR)
    ) u_loaded (
        .clk(clk),
        .rst(1'b0),
        .enable(begins_q || writes_q),
        .d(!begins_q && ends),
        .q(loaded_q)
    );

endmodule
`default_nettype wire
