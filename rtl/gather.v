// SPDX-License-Identifier: Apache-2.0
//
// The beats of a frame in another order, some perhaps several times, some never, zeros among them: block by block.
//
// A memory holds two blocks of BLOCK beats, one being written while the other is read. Its places are read in runs: run
// r begins at the place that word r of FILE says, relative to the block, and goes through a nest of LEVELS loops, the
// first the innermost, whose places are STEPS apart. A whole block is RUNS of these; with one run there is no file, and
// it begins at FIRST. A word's top bit, if ZEROS, makes all of its run zeros. A beat in brings N activations, one that is
// kept M of them, or zeros, by PLACES.
//
// A beat enters and a beat leaves every clock; s_axis_tready comes from registers alone.
//
// bench: sim/bench_gather.py
`default_nettype none

module gather #(
    parameter X_W = 8,                      // bits of an activation
    parameter N = 1,                        // activations in a beat that comes
    parameter M = 1,                        // activations in a beat that leaves
    parameter WIRED = 0,                    // 1: as PLACES says; 0: M is N, and all stay where they are
    parameter [M*16-1:0] PLACES = 0,        // where each of M is among the N, 16 bits each; 'hffff: zero
    parameter BLOCK = 4,                    // beats of a block, 2 or more
    parameter RAM = 0,                      // 1: block RAM, 0: LUT RAM
    // how a block is read
    parameter LEVELS = 1,                   // loops of a run
    parameter [LEVELS*32-1:0] COUNTS = 4,   // rounds of each loop, 32 bits each, the innermost lowest
    parameter [LEVELS*32-1:0] STEPS = 1,    // places from one round to the next, two's complement
    parameter FIRST = 0,                    // the first place that is read, if RUNS is 1
    parameter RUNS = 1,                     // of a block
    parameter ZEROS = 0,                    // 1: a run may be of zeros
    parameter FILE = "",                    // words of RUNS, as for term_rom.v
    parameter CHECK = 0                     // as for term_rom.v
) (
    input  wire             clk,
    input  wire             rst,            // synchronous, active high

    input  wire [N*X_W-1:0] s_axis_tdata,
    input  wire             s_axis_tvalid,
    output wire             s_axis_tready,

    output wire [M*X_W-1:0] m_axis_tdata,
    output wire             m_axis_tvalid,
    input  wire             m_axis_tready
);

    localparam DEPTH = 2 * BLOCK;
    localparam ADDRESS_W = $clog2(DEPTH);
    localparam BLOCK_LAST = BLOCK - 1;
    localparam FIRST_OTHER = BLOCK + FIRST;  // in the second half
    localparam LAST = DEPTH - 1;
    localparam RUN_W = (RUNS > 1) ? $clog2(RUNS) : 1;
    localparam RUN_LAST = RUNS - 1;

    generate
        if (BLOCK < 2) begin : gen_check_block
            gather_BLOCK_must_be_at_least_2 error_i ();
        end
        if (WIRED == 0 && N != M) begin : gen_check_wired
            gather_M_must_be_N_if_not_WIRED error_i ();
        end
        if (LEVELS < 1) begin : gen_check_levels
            gather_LEVELS_must_be_at_least_1 error_i ();
        end
        if (ZEROS != 0 && RUNS < 2) begin : gen_check_zeros
            gather_ZEROS_must_have_RUNS_of_their_own error_i ();
        end
    endgenerate

    reg  [1:0]           blocks_q;   // whole ones in the memory
    reg  [ADDRESS_W-1:0] write_q;
    reg  [ADDRESS_W-1:0] read_q;
    reg                  half_q;     // of the block that is read
    reg                  zero_q;     // what is read is zero
    reg                  valid_q;
    reg  [M*X_W-1:0]     word_q;

    wire beat = s_axis_tvalid && s_axis_tready;
    wire fills = beat && (write_q == BLOCK_LAST[ADDRESS_W-1:0] || write_q == LAST[ADDRESS_W-1:0]);
    wire free = m_axis_tready || !valid_q;
    wire begun;                      // the first place is known
    wire next;                       // a place may be read
    wire read = next && blocks_q != 2'd0 && begun;
    wire read_valid;                 // what is read comes to the output's register
    wire read_zero;                  // as zeros
    wire run_ends;
    wire block_ends;
    wire empties = read && block_ends;

    assign s_axis_tready = !blocks_q[1];
    assign m_axis_tvalid = valid_q;

    always @(posedge clk) begin
        if (rst) begin
            blocks_q <= 2'd0;
            write_q  <= 0;
            half_q   <= 1'b0;
            valid_q  <= 1'b0;
        end else begin
            if (fills != empties) blocks_q <= fills ? blocks_q + 2'd1 : blocks_q - 2'd1;
            if (beat) write_q <= write_q == LAST[ADDRESS_W-1:0] ? {ADDRESS_W{1'b0}} : write_q + 1'b1;
            if (empties) half_q <= !half_q;
            if (free) valid_q <= read_valid;
        end
    end

    // the next place: that of the outermost loop that goes on, or the next run's first
    generate
        genvar i;
        /* verilator lint_off UNOPTFLAT */
        wire [LEVELS:0]               ended;
        wire [(LEVELS+1)*ADDRESS_W-1:0] deltas;
        wire [(LEVELS+1)*32-1:0]      spans;  // places from a loop's first round to its last, those inside counted
        /* verilator lint_on UNOPTFLAT */
        assign ended[0] = 1'b1;
        assign deltas[0 +: ADDRESS_W] = {ADDRESS_W{1'b0}};
        assign spans[0 +: 32] = 32'd0;
        for (i = 0; i < LEVELS; i = i + 1) begin : gen_level
            localparam [31:0] COUNT = COUNTS[i*32 +: 32];
            localparam [31:0] STEP = STEPS[i*32 +: 32];
            localparam COUNT_W = (COUNT > 1) ? $clog2(COUNT) : 1;
            localparam [31:0] COUNT_LAST = COUNT - 1;
            reg  [COUNT_W-1:0] count_q;
            wire               last = count_q == COUNT_LAST[COUNT_W-1:0];
            /* verilator lint_off UNUSEDSIGNAL */
            wire [31:0]        delta = STEP - spans[i*32 +: 32];
            /* verilator lint_on UNUSEDSIGNAL */
            assign spans[(i+1)*32 +: 32] = spans[i*32 +: 32] + COUNT_LAST * STEP;
            assign ended[i+1] = ended[i] && last;
            assign deltas[(i+1)*ADDRESS_W +: ADDRESS_W] = ended[i] ? delta[ADDRESS_W-1:0]
                                                                   : deltas[i*ADDRESS_W +: ADDRESS_W];
            always @(posedge clk) begin
                if (rst) count_q <= 0;
                else if (read && ended[i]) count_q <= last ? {COUNT_W{1'b0}} : count_q + 1'b1;
            end
        end
        wire unused_span = &{1'b0, spans};
    endgenerate
    assign run_ends = ended[LEVELS];

    wire [ADDRESS_W-1:0] delta = deltas[LEVELS*ADDRESS_W +: ADDRESS_W];
    wire                 other = half_q != block_ends;  // the half of the place after this one

    generate
        if (RUNS == 1) begin : gen_one_run
            assign begun = 1'b1;
            assign block_ends = run_ends;
            always @(posedge clk) begin
                if (rst) read_q <= FIRST[ADDRESS_W-1:0];
                else if (read && run_ends) read_q <= other ? FIRST_OTHER[ADDRESS_W-1:0] : FIRST[ADDRESS_W-1:0];
                else if (read) read_q <= read_q + delta;
            end
            always @(posedge clk) zero_q <= 1'b0;
        end else begin : gen_runs
            localparam WORD_W = ((ZEROS != 0) ? 1 : 0) + ((BLOCK > 1) ? $clog2(BLOCK) : 1);
            localparam PLACE_W = $clog2(BLOCK);
            localparam BEFORE_LAST = RUNS - 2;
            localparam [1:0] AHEAD = (RUNS > 64) ? 2'd3 : 2'd2;  // words that are read before the first is used
            reg  [RUN_W-1:0]  run_q;      // the one being read
            reg               last_run_q; // it is the block's last
            reg  [RUN_W-1:0]  ahead_q;    // the one whose word is read next
            reg  [1:0]        begin_q;    // of the file's first words some are still to be read
            wire [WORD_W-1:0] word;
            wire              load = begin_q != 2'd0 || (read && run_ends);
            assign begun = begin_q == 2'd0;
            assign block_ends = run_ends && last_run_q;
            always @(posedge clk) begin
                if (rst) begin
                    run_q   <= 0;
                    last_run_q <= 1'b0;
                    ahead_q <= 0;
                    begin_q <= AHEAD;
                end else begin
                    if (begin_q != 2'd0) begin_q <= begin_q - 2'd1;
                    if (load) ahead_q <= ahead_q == RUN_LAST[RUN_W-1:0] ? {RUN_W{1'b0}} : ahead_q + 1'b1;
                    if (read && run_ends) begin
                        run_q <= last_run_q ? {RUN_W{1'b0}} : run_q + 1'b1;
                        last_run_q <= run_q == BEFORE_LAST[RUN_W-1:0];
                    end
                end
            end
            term_rom #(
                .LOAD(0),
                .FILE(FILE),
                .DEPTH(RUNS),
                .WIDTH(WORD_W),
                .REGISTERED((RUNS > 64) ? 1 : 0),
                .CHECK(CHECK)
            ) u_rom (
                .clk(clk),
                .enable(load),
                .address(ahead_q),
                .word(word),
                .write(1'b0),
                .write_address({RUN_W{1'b0}}),
                .write_word({WORD_W{1'b0}})
            );
            wire [ADDRESS_W-1:0] offset = other && begun ? BLOCK[ADDRESS_W-1:0] : {ADDRESS_W{1'b0}};
            wire [ADDRESS_W-1:0] first = {{(ADDRESS_W-PLACE_W){1'b0}}, word[PLACE_W-1:0]};
            always @(posedge clk) begin
                if (load || read) begin
                    read_q <= (load ? first : read_q) + (load ? offset : delta);
                end
            end
            if (ZEROS != 0) begin : gen_zeros
                always @(posedge clk) if (load) zero_q <= word[WORD_W-1];
            end else begin : gen_no_zeros
                always @(posedge clk) zero_q <= 1'b0;
            end
        end
    endgenerate

    // what is kept of a beat
    wire [M*X_W-1:0] kept;
    generate
        genvar m;
        for (m = 0; m < M; m = m + 1) begin : gen_activation
            if (WIRED == 0) begin : gen_straight
                assign kept[m*X_W +: X_W] = s_axis_tdata[m*X_W +: X_W];
            end else if (PLACES[m*16 +: 16] == 16'hffff) begin : gen_zero
                assign kept[m*X_W +: X_W] = {X_W{1'b0}};
            end else begin : gen_wire
                assign kept[m*X_W +: X_W] = s_axis_tdata[PLACES[m*16 +: 16]*X_W +: X_W];
            end
        end
        if (WIRED != 0) begin : gen_left_out
            wire unused = &{1'b0, s_axis_tdata};
        end
    endgenerate

    // a block is read when it is whole: no place is read and written in one clock
    generate
        if (RAM != 0) begin : gen_block
            (* ram_style = "block" *) (* no_rw_check *) reg [M*X_W-1:0] memory [0:DEPTH-1];
            reg [M*X_W-1:0] read_word_q;
            reg             read_valid_q;
            reg             read_zero_q;
            assign next = free || !read_valid_q;
            assign read_valid = read_valid_q;
            assign read_zero = read_zero_q;
            always @(posedge clk) begin
                if (rst) read_valid_q <= 1'b0;
                else if (next) read_valid_q <= read;
            end
            always @(posedge clk) begin
                if (next) read_zero_q <= zero_q;
            end
            always @(posedge clk) begin
                if (beat) memory[write_q] <= kept;
                if (next) read_word_q <= memory[read_q];
            end
            always @(posedge clk) begin
                if (free) begin
                    if (read_zero) word_q <= {(M*X_W){1'b0}};
                    else word_q <= read_word_q;
                end
            end
        end else begin : gen_luts
            (* ram_style = "distributed" *) (* no_rw_check *) reg [M*X_W-1:0] memory [0:DEPTH-1];
            assign next = free;
            assign read_valid = read;
            assign read_zero = zero_q;
            always @(posedge clk) begin
                if (beat) memory[write_q] <= kept;
            end
            always @(posedge clk) begin
                if (free) begin
                    if (read_zero) word_q <= {(M*X_W){1'b0}};
                    else word_q <= memory[read_q];
                end
            end
        end
    endgenerate
    assign m_axis_tdata = word_q;

endmodule
`default_nettype wire
