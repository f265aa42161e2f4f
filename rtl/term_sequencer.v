// SPDX-License-Identifier: Apache-2.0
//
// Walks a layer's term list once for every output position and issues a term a cycle to each of GROUPS groups of lanes:
// an address, a lane select, a command.
//
// ROM word: {last, a term of group GROUPS - 1, ..., a term of group 0}. `last` ends an output channel in every group,
// and with the list's last word comes `final`. Term = {command, immediate, payload}; payload = {tap row, tap column,
// channel}, or a signed immediate.
//   MAC = 0: command = {shift, negate}. MAC = 1: a signed weight, or {upper bits of an immediate, 0}, which is unsigned
//     then; where
//   IMMEDIATE_W is more than this holds, {upper bits of one of its halves, whether it is the upper one, 0}.
//   GAPS = 1: a payload is not that place but how far it lies behind the place of the group's term before, modulo
//     2^bits, beginning
//   at 0 with every channel; an immediate with the command's lowest bit adds nothing and goes on by 2^PAYLOAD_W times
//     the payload.
//   SHARED = 1: all channels have one list (a pool), which the ROM holds once, a term a word and without channels: it
//     is walked
//   ROUNDS times, group g in round r reading the channel r * GROUPS + g.
//
// With MODES the ROM holds a list for each, one behind the other, and each frame is of a mode. The words that are read
// ahead of a frame are those of the mode before; where its own is another, they are dropped: it costs as many clocks as
// there are registers behind the ROM.
//
// With REPEAT the list is walked so many times for each output, whose channels are as many times more: every time the
// places' channels lie TURN further, modulo CHANNELS.
//
// Positions go row by row, in a row over the columns of the output stripes. A row starts when the rows that it reads are
// written; until then, and in every bubble, the command adds the constant PAD_VALUE (0 for sums). Everything but the
// rows written and given back holds while `enable` is low. With LOAD the list can be written (term_loader.v), up to DEPTH
// words: `rst` is then held from the first write until `loaded`. Stage 1 holds the ROM's word, behind the ROM's own
// registers (with GAPS another, as the places must be known), stage 2 the address, stage 3, READ clocks later and beside
// the line memory's word, the outputs of names *_3. What a tap outside the frame reads is zero, and its immediate
// PAD_VALUE: a row is padding where pads_q says so, a column where the memory holds it or there is one lane.
//
// The ROM's words carry CODE_W check bits (word_code.v), which cost a register more where they repair a word. `fault` and
// `repaired` say, a clock after a word was there, what these found.
//
// bench: sim/bench_term_sequencer.py
`default_nettype none

module term_sequencer #(
    parameter FILE = "",             // the list for $readmemh, see term_rom.v
    parameter TERMS = 2,             // words of the list; with LOAD of the list at power-up
    parameter LOAD = 0,              // 0: a ROM, 1: can be written, 2: an UltraRAM, empty at power-up
    parameter DEPTH = TERMS,         // words of the memory; TERMS without LOAD
    parameter ROM_ROWS = DEPTH,      // words of a bank of it, see term_rom.v
    parameter GROUPS = 1,            // terms in a word
    parameter GAPS = 0,              // 1: a payload is a distance from the place before; 0: the place
    parameter MAC = 0,               // 1: a command is a weight; 0: shift and negate
    parameter COMMAND_W = 2,         // bits of a command; 2 without MAC
    parameter SHARED = 0,            // 1: one list for all channels
    parameter REPEAT = 1,            // times that the list is walked for an output
    parameter TURN = 0,              // with REPEAT: channels from one time to the next, below CHANNELS
    parameter MODES = 1,             // lists in the ROM, up to 256
    parameter [32*MODES-1:0] LASTS = 0, // with MODES: the last word of each list, that of mode 0 lowest
    parameter CHECK = 0,             // of the list's words, see term_rom.v
    parameter TAP_ROW_BITS = 2,      // bits of the tap's row in a place; 0: there is one row
    parameter TAP_COLUMN_BITS = 2,   // bits of the tap's column; 0: there is one column
    parameter CHANNELS = 4,          // activations of a pixel
    parameter PAYLOAD_W = 6,         // holds a place or, with GAPS, half its bits; and immediates
    parameter RING = 4,              // slots of the line memory
    parameter READ = 2,              // clocks from an address to its word
    parameter ROWS = 32,             // real rows of the input
    parameter PAD_TOP = 1,           // rows of padding above them
    parameter REACH_ROWS = 3,        // input rows from a window's first to its last
    parameter OUT_ROWS = 32,         // rows of the output
    parameter OUT_STRIPE = 8,        // output columns in a stripe
    parameter ROW_STEP = 1,          // input rows from one output row to the next
    parameter COLUMN_STEP = 1,       // input columns from one output column to the next
    parameter NEED = 3,              // rows that must be written before an output row starts
    parameter LAST_STEP = 3,         // the same for a frame's last row; all of them are freed then
    parameter IN_STRIPE = 8,         // input columns in a stripe
    parameter FIRST_COLUMN = 7,      // where the first window begins, in the stripe of the first leg
    parameter BEFORE = 0,            // of the legs those that are outside the frame for all lanes, before LEGS others
    parameter LEGS = 3,              // stripes that a tap may lie in, from that of the first leg up
    parameter AFTER = 0,             // and legs outside for all lanes behind them
    parameter IMMEDIATE_W = 8,       // bits of the immediate bus
    parameter [IMMEDIATE_W-1:0] PAD_VALUE = 0, // what a tap outside the frame adds
    parameter CODE_W = 0,            // check bits of a word, see word_code.v
    parameter TMR = 0,               // 1: three copies of each register of control, see voted_reg.v
    // not to be set
    parameter WORD_W = 1 + ((SHARED != 0) ? 1 : GROUPS) * (COMMAND_W + 1 + PAYLOAD_W), // bits of a word
    parameter MODE_W = (MODES > 1) ? $clog2(MODES) : 1, // bits of a mode
    parameter LEG_W = (LEGS > 1) ? $clog2(LEGS) : 1, // bits of a leg
    parameter COLUMN_BITS = $clog2(IN_STRIPE),   // bits of the column in a memory address; 0: a stripe is one column
    parameter CHANNEL_BITS = $clog2(CHANNELS),   // bits of the channel; 0: there is one
    parameter ADDRESS_BITS = $clog2(RING) + COLUMN_BITS + CHANNEL_BITS, // bits of a memory address that say something
    parameter ADDRESS_W = (ADDRESS_BITS > 0) ? ADDRESS_BITS : 1,        // bits of a memory address
    // which bits of a word the check bits look at
    parameter [((CODE_W > 0) ? CODE_W * WORD_W : 1)-1:0] CODE = 0       // see word_code.v
) (
    input  wire                   clk,
    input  wire                   rst,
    input  wire                   enable,

    // rows of the line memory: one was written; ROW_STEP or, with freed_last, LAST_STEP are read for the last time
    input  wire                   row_written,
    output wire                   freed,
    output wire                   freed_last,

    // with MODES, of the frame that is begun next, see mode_reader.v
    /* verilator lint_off UNUSEDSIGNAL */
    input  wire [MODE_W-1:0]             mode,
    input  wire                          mode_known,
    /* verilator lint_on UNUSEDSIGNAL */
    output wire                          mode_taken,

    // of each group
    output wire [GROUPS*ADDRESS_W-1:0]   address_2,
    output wire [GROUPS-1:0]             zero_2,      // nothing is read
    output wire [GROUPS*LEG_W-1:0]       leg_3,
    output wire [GROUPS-1:0]             use_immediate_3,
    output wire [GROUPS*IMMEDIATE_W-1:0] immediate_3, // 0 where an activation is read
    output wire [GROUPS*COMMAND_W-1:0]   command_3,
    // of all
    output wire                          last_3,
    output wire                          final_3,
    output wire [MODE_W-1:0]             mode_3,

    // load = {begins, writes, 32 bits of data}: see term_loader.v
    input  wire                          load_select,
    input  wire [33:0]                   load,
    output wire                          loaded,

    // of the list's check bits
    output wire                          fault,
    output wire                          repaired
);

    // with SHARED: times that the list is walked for an output
    localparam ROUNDS = (CHANNELS + GROUPS - 1) / GROUPS;
    localparam TERM_W = COMMAND_W + 1 + PAYLOAD_W;
    localparam LIST_CHANNEL_BITS = (SHARED != 0) ? 0 : CHANNEL_BITS;
    localparam FIELDS_W = (PAYLOAD_W < 31) ? PAYLOAD_W : 31;   // only an immediate is wider
    localparam HALVES = IMMEDIATE_W > COMMAND_W - 1 + PAYLOAD_W;
    localparam HALF_W = COMMAND_W - 2 + PAYLOAD_W;
    localparam PLACE_BITS = TAP_ROW_BITS + TAP_COLUMN_BITS + LIST_CHANNEL_BITS;
    localparam PLACE_W = (PLACE_BITS > 0) ? PLACE_BITS : 1;
    localparam PC_W = (DEPTH > 1) ? $clog2(DEPTH) : 1;
    localparam R_W = (OUT_ROWS > 1) ? $clog2(OUT_ROWS) : 1;
    localparam SLOT_W = (RING > 1) ? $clog2(RING) : 1;
    localparam AVAILABLE_W = $clog2(RING + 1);
    localparam LAST_PC = TERMS - 1;
    localparam LAST_ROW = OUT_ROWS - 1;
    // columns of a stripe's window, counted from the left end of the stripe of the first leg
    localparam LAST_COLUMN = FIRST_COLUMN + (OUT_STRIPE - 1) * COLUMN_STEP;
    localparam ALL_LEGS = BEFORE + LEGS + AFTER;
    localparam COLUMN_W = $clog2(LAST_COLUMN + (1 << TAP_COLUMN_BITS) + 1);
    localparam COUNTED_W = (OUT_STRIPE > 1) ? COLUMN_W : 0;
    // words of the ROM and what is known of them, in registers from the ROM on to stage 1
    localparam LATE = ((LOAD != 2 && DEPTH <= 64) ? 0 : (ROM_ROWS < DEPTH) ? 2 : 1) + ((CODE_W > 1) ? 1 : 0);
    localparam FETCHES = 1 + LATE + ((GAPS != 0) ? 1 : 0);

    generate
        if (COMMAND_W < 2 || (MAC == 0 && COMMAND_W > 2)) begin : gen_check_command
            term_sequencer_COMMAND_W_must_be_2_without_MAC error_i ();
        end
        if (MAC != 0 && HALVES && IMMEDIATE_W > 2 * HALF_W) begin : gen_check_immediate
            term_sequencer_IMMEDIATE_W_must_be_two_halves_at_most_with_MAC error_i ();
        end
        if (MODES > 1 && (SHARED != 0 || LOAD != 0)) begin : gen_check_modes
            term_sequencer_SHARED_and_LOAD_must_be_0_with_MODES error_i ();
        end
        if (REPEAT > 1 && (SHARED != 0 || LOAD != 0 || MODES > 1 || CHANNELS < 2)) begin : gen_check_repeat
            term_sequencer_REPEAT_must_be_1_with_SHARED_or_LOAD_or_MODES_or_one_of_CHANNELS error_i ();
        end
        if (GAPS != 0 && SHARED != 0) begin : gen_check_gaps
            term_sequencer_GAPS_must_be_0_with_SHARED error_i ();
        end
        if (GAPS != 0 && 2 * PAYLOAD_W < PLACE_BITS) begin : gen_check_payload
            term_sequencer_PAYLOAD_W_must_be_half_a_place_with_GAPS error_i ();
        end
    endgenerate

    // to stage 1: fetch
    wire [PC_W-1:0]    pc_q;
    wire [FETCHES-1:0] valid_q;
    wire [FETCHES-1:0] wrap_q;
    wire [CODE_W+WORD_W-1:0] stored;
    wire [CODE_W+WORD_W-1:0] write_stored;
    wire [WORD_W-1:0]  rom_word;
    wire               wrong;
    wire               one_wrong;      // and put right
    wire [WORD_W-1:0]  word_1;
    wire               valid_1 = valid_q[FETCHES-1];
    wire               repeat_last;    // the list in stage 1 is walked for the last time
    wire               wrap_1 = wrap_q[FETCHES-1] && repeat_last;
    wire               row_ready;
    wire               stale;          // what was read ahead is of another mode, or that is not known yet
    wire               flush;          // it is dropped
    wire               ready = row_ready && !stale;
    wire               go_1 = valid_1 && ready;
    wire               fetch = enable && (ready || !valid_1);
    wire [PC_W-1:0]    first_pc;       // of the list
    wire [PC_W-1:0]    last_pc;
    wire [PC_W-1:0]    flush_pc;       // the first of the list that comes after `flush`
    wire               pc_last = pc_q == last_pc;
    wire               write;
    wire [PC_W-1:0]    write_address;
    wire [WORD_W-1:0]  write_word;
    /* verilator lint_off UNUSEDSIGNAL */
    wire               round_last;     // with GAPS there is one round
    // the oldest goes
    wire [FETCHES:0]   valid_d = {valid_q, 1'b1};
    wire [FETCHES:0]   wrap_d = {wrap_q, pc_last && round_last};
    /* verilator lint_on UNUSEDSIGNAL */

    term_rom #(
        .LOAD(LOAD),
        .FILE(FILE),
        .DEPTH(DEPTH),
        .WIDTH(CODE_W + WORD_W),
        .ROWS(ROM_ROWS),
        .REGISTERED((LOAD != 2 && DEPTH <= 64) ? 0 : 1),
        .CHECK(CHECK),
        .TMR(TMR)
    ) u_term_rom (
        .clk(clk),
        .enable(fetch),
        .address(pc_q),
        .word(stored),
        .write(write),
        .write_address(write_address),
        .write_word(write_stored)
    );

    word_code #(
        .WIDTH(WORD_W),
        .CODE_W(CODE_W),
        .CODE(CODE)
    ) u_word_code (
        .clk(clk),
        .enable(fetch),
        .write_word(write_word),
        .write_stored(write_stored),
        .stored(stored),
        .word(rom_word),
        .wrong(wrong),
        .repaired(one_wrong)
    );

    generate
        if (CODE_W > 0) begin : gen_fault
            reg fault_q;
            reg repaired_q;
            assign fault = fault_q;
            assign repaired = repaired_q;
            always @(posedge clk) begin
                if (rst) begin
                    fault_q <= 1'b0;
                    repaired_q <= 1'b0;
                end else begin
                    fault_q <= valid_q[LATE] && wrong;
                    repaired_q <= valid_q[LATE] && one_wrong;
                end
            end
        end else begin : gen_no_fault
            wire unused = wrong || one_wrong;
            assign fault = 1'b0;
            assign repaired = 1'b0;
        end
        if (LOAD != 0) begin : gen_loader
            term_loader #(
                .WORDS((LOAD == 1) ? TERMS : 0),
                .DEPTH(DEPTH),
                .WIDTH(WORD_W),
                .TMR(TMR)
            ) u_term_loader (
                .clk(clk),
                .load_select(load_select),
                .load(load),
                .write(write),
                .write_address(write_address),
                .write_word(write_word),
                .last_address(last_pc),
                .loaded(loaded)
            );
        end else begin : gen_fixed
            wire unused = &{1'b0, load_select, load};
            assign write = 1'b0;
            assign write_address = {PC_W{1'b0}};
            assign write_word = {WORD_W{1'b0}};
            if (MODES == 1) begin : gen_one_list
                assign last_pc = LAST_PC[PC_W-1:0];
            end
            assign loaded = 1'b1;
        end
    endgenerate

    wire [PC_W-1:0]    pc_d = flush ? flush_pc : pc_last ? first_pc : pc_q + 1'b1;
    wire [FETCHES-1:0] valid_next = flush ? {FETCHES{1'b0}} : valid_d[FETCHES-1:0];
    wire [FETCHES-1:0] wrap_next = flush ? wrap_q : wrap_d[FETCHES-1:0];
    voted_reg #(
        .W(PC_W + 2 * FETCHES),
        .TMR(TMR)
    ) u_fetch (
        .clk(clk),
        .rst(rst),
        .enable(fetch || flush),
        .d({pc_d, valid_next, wrap_next}),
        .q({pc_q, valid_q, wrap_q})
    );

    // the first channel of the round in stage 1
    wire [31:0] base_1;
    generate
        if (SHARED != 0) begin : gen_shared
            localparam BASE_W = $clog2(ROUNDS * GROUPS + 1);
            localparam LAST_BASE = (ROUNDS - 1) * GROUPS;
            wire [BASE_W-1:0]          base_q;
            wire [FETCHES*BASE_W-1:0]  bases_q;
            /* verilator lint_off UNUSEDSIGNAL */
            wire [(FETCHES+1)*BASE_W-1:0] bases_d = {bases_q, base_q};  // the oldest goes
            /* verilator lint_on UNUSEDSIGNAL */
            assign round_last = base_q == LAST_BASE[BASE_W-1:0];
            assign base_1 = {{(32-BASE_W){1'b0}}, bases_q[(FETCHES-1)*BASE_W +: BASE_W]};
            wire [BASE_W-1:0] base_d = round_last ? {BASE_W{1'b0}} : base_q + GROUPS[BASE_W-1:0];
            voted_reg #(
                .W(BASE_W),
                .TMR(TMR)
            ) u_base (
                .clk(clk),
                .rst(rst),
                .enable(fetch && pc_last),
                .d(base_d),
                .q(base_q)
            );
            voted_reg #(
                .W(FETCHES * BASE_W),
                .TMR(TMR)
            ) u_bases (
                .clk(clk),
                .rst(1'b0),
                .enable(fetch),
                .d(bases_d[FETCHES*BASE_W-1:0]),
                .q(bases_q)
            );
        end else begin : gen_own
            assign round_last = 1'b1;
            assign base_1 = 32'd0;
        end
    endgenerate

    // how far the channels in stage 1 are turned
    wire [31:0] turn_1;
    generate
        if (REPEAT > 1) begin : gen_repeat
            localparam TIME_W = $clog2(REPEAT);
            localparam LAST_TIME = REPEAT - 1;
            localparam BACK = CHANNELS - TURN;
            reg  [TIME_W-1:0]       time_q;
            reg  [CHANNEL_BITS-1:0] turn_q;
            // CHANNELS may be no power of two
            wire                    past = turn_q >= BACK[CHANNEL_BITS-1:0];
            wire [CHANNEL_BITS-1:0] turned = past ? turn_q - BACK[CHANNEL_BITS-1:0] : turn_q + TURN[CHANNEL_BITS-1:0];
            assign repeat_last = time_q == LAST_TIME[TIME_W-1:0];
            assign turn_1 = {{(32-CHANNEL_BITS){1'b0}}, turn_q};
            always @(posedge clk) begin
                if (rst) begin
                    time_q <= {TIME_W{1'b0}};
                    turn_q <= {CHANNEL_BITS{1'b0}};
                end else if (enable && go_1 && wrap_q[FETCHES-1]) begin
                    time_q <= repeat_last ? {TIME_W{1'b0}} : time_q + 1'b1;
                    turn_q <= repeat_last ? {CHANNEL_BITS{1'b0}} : turned;
                end
            end
        end else begin : gen_once
            assign repeat_last = 1'b1;
            assign turn_1 = 32'd0;
        end
    endgenerate

    // the place that each group's term in stage 1 reads
    wire [GROUPS*PLACE_W-1:0] place_1;
    generate
        genvar t;
        if (GAPS != 0) begin : gen_gaps
            reg [WORD_W-1:0]         word_1q;
            reg [GROUPS*PLACE_W-1:0] place_1q;
            wire                     first_0 = !valid_1 || word_1q[WORD_W-1];
            assign word_1 = word_1q;
            assign place_1 = place_1q;
            always @(posedge clk) if (fetch) word_1q <= rom_word;
            for (t = 0; t < GROUPS; t = t + 1) begin : gen_place
                wire [TERM_W-1:0] term_0 = rom_word[t*TERM_W +: TERM_W];
                wire              immediate_0 = term_0[PAYLOAD_W];
                wire              skip_0 = immediate_0 && term_0[PAYLOAD_W+1];
                wire [31:0]       payload_0 = {{(32-FIELDS_W){1'b0}}, term_0[FIELDS_W-1:0]};
                /* verilator lint_off UNUSEDSIGNAL */
                wire [31:0]       gap_0 = skip_0 ? payload_0 << PAYLOAD_W : immediate_0 ? 32'd0 : payload_0;
                /* verilator lint_on UNUSEDSIGNAL */
                wire [PLACE_W-1:0] before_0 = first_0 ? {PLACE_W{1'b0}} : place_1q[t*PLACE_W +: PLACE_W];
                always @(posedge clk) if (fetch) place_1q[t*PLACE_W +: PLACE_W] <= before_0 + gap_0[PLACE_W-1:0];
            end
        end else begin : gen_places
            assign word_1 = rom_word;
            for (t = 0; t < GROUPS; t = t + 1) begin : gen_place
                /* verilator lint_off UNUSEDSIGNAL */
                wire [TERM_W-1:0] term = word_1[((SHARED != 0) ? 0 : t)*TERM_W +: TERM_W];
                wire [31:0]       payload = {{(32-FIELDS_W){1'b0}}, term[FIELDS_W-1:0]};
                /* verilator lint_on UNUSEDSIGNAL */
                assign place_1[t*PLACE_W +: PLACE_W] = payload[PLACE_W-1:0];
            end
        end
    endgenerate

    // stage 1: the position of this term's output
    wire [COLUMN_W-1:0] column_q;       // where its window begins
    wire [R_W-1:0]      out_row_q;
    wire                row_last_q;
    wire [SLOT_W-1:0]   slot_q;         // of the window's first row
    wire [SLOT_W-1:0]   next_slot;
    wire [AVAILABLE_W-1:0] available;   // written rows from the window's first on
    /* verilator lint_off UNUSEDSIGNAL */
    wire [AVAILABLE_W-1:0] available_d;
    /* verilator lint_on UNUSEDSIGNAL */

    // a stripe of one column has no counter
    wire [COLUMN_W-1:0] column = (OUT_STRIPE == 1) ? FIRST_COLUMN[COLUMN_W-1:0] : column_q;
    wire stripe_last = column == LAST_COLUMN[COLUMN_W-1:0];
    assign row_ready = available >= (row_last_q ? LAST_STEP[AVAILABLE_W-1:0] : NEED[AVAILABLE_W-1:0]);
    wire moves_1 = enable && go_1 && wrap_1;
    wire row_ends = moves_1 && stripe_last;
    wire [AVAILABLE_W-1:0] step = row_last_q ? LAST_STEP[AVAILABLE_W-1:0] : ROW_STEP[AVAILABLE_W-1:0];

    row_count #(
        .RING(RING),
        .STEP((OUT_ROWS > 1) ? ROW_STEP : LAST_STEP),
        .LAST_STEP(LAST_STEP),
        .TMR(TMR)
    ) u_available (
        .clk(clk),
        .rst(rst),
        .up(row_written),
        .down(row_ends),
        .last(row_last_q),
        .count(available),
        .next(available_d)
    );

    ring_sum #(
        .RING(RING),
        .B_W(AVAILABLE_W)
    ) u_next_slot (
        .a(slot_q),
        .b(step),
        .y(next_slot)
    );

    wire [COLUMN_W-1:0] column_d = stripe_last ? FIRST_COLUMN[COLUMN_W-1:0] : column + COLUMN_STEP[COLUMN_W-1:0];
    voted_reg #(
        .W(COLUMN_W),
        .RESET(FIRST_COLUMN[COLUMN_W-1:0]),
        .TMR(TMR)
    ) u_column (
        .clk(clk),
        .rst(rst),
        .enable(moves_1),
        .d(column_d),
        .q(column_q)
    );

    localparam [0:0] ONE_ROW = OUT_ROWS == 1;
    wire [R_W-1:0] out_row_d = row_last_q ? {R_W{1'b0}} : out_row_q + 1'b1;
    wire           row_last_d = OUT_ROWS == 1 || {{(32-R_W){1'b0}}, out_row_q} == LAST_ROW - 1;
    voted_reg #(
        .W(R_W + 1 + SLOT_W),
        .RESET({{R_W{1'b0}}, ONE_ROW, {SLOT_W{1'b0}}}),
        .TMR(TMR)
    ) u_row (
        .clk(clk),
        .rst(rst),
        .enable(row_ends),
        .d({out_row_d, row_last_d, next_slot}),
        .q({out_row_q, row_last_q, slot_q})
    );

    // which rows of the window are padding
    wire [(1<<TAP_ROW_BITS)-1:0] pads;
    generate
        genvar r;
        for (r = 0; r < (1 << TAP_ROW_BITS); r = r + 1) begin : gen_pad
            // output rows that have it above the frame, and the first that has it below
            localparam TOP = (r < PAD_TOP && r < REACH_ROWS) ? (PAD_TOP - r + ROW_STEP - 1) / ROW_STEP : 0;
            localparam BOTTOM = (r >= REACH_ROWS) ? OUT_ROWS
                : (r < PAD_TOP + ROWS) ? (PAD_TOP + ROWS - r + ROW_STEP - 1) / ROW_STEP : 0;
            if (TOP == 0 && BOTTOM >= OUT_ROWS) begin : gen_none
                assign pads[r] = 1'b0;
            end else begin : gen_some
                /* verilator lint_off UNUSEDSIGNAL */
                wire [31:0] row = {{(32-R_W){1'b0}}, out_row_q};    // one that is padding alone does not ask
                /* verilator lint_on UNUSEDSIGNAL */
                wire        above;
                wire        below;
                if (TOP > 1) begin : gen_above
                    assign above = row < TOP - 1;
                end else begin : gen_not_above
                    assign above = 1'b0;
                end
                if (BOTTOM <= 1) begin : gen_all_below
                    assign below = 1'b1;
                end else if (BOTTOM < OUT_ROWS) begin : gen_below
                    assign below = row >= BOTTOM - 1;
                end else begin : gen_not_below
                    assign below = 1'b0;
                end
                localparam [0:0] AT_TOP = TOP > 0 || BOTTOM == 0;
                voted_reg #(
                    .RESET(AT_TOP),
                    .TMR(TMR)
                ) u_pad (
                    .clk(clk),
                    .rst(rst),
                    .enable(row_ends),
                    .d(row_last_q ? AT_TOP : above || below),
                    .q(pads[r])
                );
            end
        end
    endgenerate

    // the mode of what is read, and of stages 1 to 3
    generate
        if (MODES > 1) begin : gen_modes
            reg  [MODE_W-1:0]      mode_1q;
            reg                    fresh_q;     // the frame of stage 1 has not begun
            reg  [MODE_W-1:0]      mode_2q;
            reg  [READ*MODE_W-1:0] mode_3q;
            /* verilator lint_off UNUSEDSIGNAL */
            wire [(READ+1)*MODE_W-1:0] mode_3d = {mode_3q, mode_2q};    // the oldest goes
            /* verilator lint_on UNUSEDSIGNAL */
            wire                   same = mode_known && mode == mode_1q;
            reg  [PC_W-1:0]        first_d;
            reg  [PC_W-1:0]        last_d;
            reg  [PC_W-1:0]        flush_d;

            // ORs of constants, of which one is chosen
            integer n;
            always @* begin
                first_d = {PC_W{1'b0}};
                last_d = {PC_W{1'b0}};
                flush_d = {PC_W{1'b0}};
                for (n = 0; n < MODES; n = n + 1) begin
                    if (mode_1q == n[MODE_W-1:0]) last_d = last_d | LASTS[32*n +: PC_W];
                    if (n > 0 && mode_1q == n[MODE_W-1:0]) first_d = first_d | (LASTS[32*(n-1) +: PC_W] + 1'b1);
                    if (n > 0 && mode == n[MODE_W-1:0]) flush_d = flush_d | (LASTS[32*(n-1) +: PC_W] + 1'b1);
                end
            end

            assign first_pc = first_d;
            assign last_pc = last_d;
            assign flush_pc = flush_d;
            assign stale = fresh_q && !same;
            assign flush = stale && mode_known;
            assign mode_taken = fresh_q && same;
            assign mode_3 = mode_3q[(READ-1)*MODE_W +: MODE_W];

            always @(posedge clk) begin
                if (rst) begin
                    mode_1q <= {MODE_W{1'b0}};
                    fresh_q <= 1'b1;
                end else begin
                    if (flush) mode_1q <= mode;
                    if (row_ends && row_last_q) fresh_q <= 1'b1;
                    else if (mode_taken) fresh_q <= 1'b0;
                end
            end

            always @(posedge clk) begin
                if (enable) begin
                    mode_2q <= mode_1q;
                    mode_3q <= mode_3d[READ*MODE_W-1:0];
                end
            end
        end else begin : gen_mode
            assign first_pc = {PC_W{1'b0}};
            assign flush_pc = {PC_W{1'b0}};
            assign stale = 1'b0;
            assign flush = 1'b0;
            assign mode_taken = 1'b0;
            assign mode_3 = {MODE_W{1'b0}};
        end
    endgenerate

    // what all groups share; stage 2, and stage 3 beside the memory's word
    wire            last_3q;
    wire            final_3q;
    wire            freed_2q;
    wire            freed_last_2q;

    voted_reg #(
        .STAGES(1 + READ),
        .TMR(TMR)
    ) u_last (
        .clk(clk),
        .rst(rst),
        .enable(enable),
        .d(word_1[WORD_W-1] && go_1),
        .q(last_3q)
    );

    voted_reg #(
        .STAGES(1 + READ),
        .TMR(TMR)
    ) u_final (
        .clk(clk),
        .rst(1'b0),
        .enable(enable),
        .d(wrap_1),
        .q(final_3q)
    );

    voted_reg #(
        .TMR(TMR)
    ) u_freed_2 (
        .clk(clk),
        .rst(rst),
        .enable(enable),
        .d(go_1 && wrap_1 && stripe_last),
        .q(freed_2q)
    );

    voted_reg #(
        .TMR(TMR)
    ) u_freed_last_2 (
        .clk(clk),
        .rst(1'b0),
        .enable(enable),
        .d(row_last_q),
        .q(freed_last_2q)
    );

    // a slot is free once its last read, a stage after its address, has been done; that is told a clock later
    wire freed_q;
    wire freed_last_q;
    voted_reg #(
        .TMR(TMR)
    ) u_freed (
        .clk(clk),
        .rst(rst),
        .enable(1'b1),
        .d(enable && freed_2q),
        .q(freed_q)
    );
    voted_reg #(
        .TMR(TMR)
    ) u_freed_last (
        .clk(clk),
        .rst(1'b0),
        .enable(1'b1),
        .d(freed_last_2q),
        .q(freed_last_q)
    );
    assign freed = freed_q;
    assign freed_last = freed_last_q;
    assign last_3 = last_3q;
    assign final_3 = final_3q;

    generate
        genvar g, p, k;
        for (g = 0; g < GROUPS; g = g + 1) begin : gen_group
            wire [TERM_W-1:0] term_1 = word_1[((SHARED != 0) ? 0 : g)*TERM_W +: TERM_W];
            wire immediate_1 = term_1[PAYLOAD_W];
            wire skip_1 = (GAPS != 0) && immediate_1 && term_1[PAYLOAD_W+1];
            wire [COMMAND_W-1:0] command_1 = term_1[PAYLOAD_W+1 +: COMMAND_W];
            wire [31:0] place = {{(32-PLACE_W){1'b0}}, place_1[g*PLACE_W +: PLACE_W]};
            wire [31:0] own_channel = ((SHARED != 0) ? base_1 + g : place) & ((32'd1 << CHANNEL_BITS) - 1);
            wire [31:0] channel_1;
            if (REPEAT > 1) begin : gen_turned
                wire [31:0] sum = own_channel + turn_1;
                assign channel_1 = ((CHANNELS & (CHANNELS - 1)) != 0 && sum >= CHANNELS) ? sum - CHANNELS
                    : sum & ((32'd1 << CHANNEL_BITS) - 1);
            end else begin : gen_own_channel
                wire unused_turn = |turn_1;
                assign channel_1 = own_channel;
            end
            /* verilator lint_off UNUSEDSIGNAL */
            wire [31:0] tap_column = (place >> LIST_CHANNEL_BITS) & ((32'd1 << TAP_COLUMN_BITS) - 1);
            wire [31:0] tap_row = (place >> (LIST_CHANNEL_BITS + TAP_COLUMN_BITS)) & ((32'd1 << TAP_ROW_BITS) - 1);
            /* verilator lint_on UNUSEDSIGNAL */

            wire [SLOT_W-1:0] tap_slot;
            wire              padding_1;
            if (TAP_ROW_BITS == 0) begin : gen_row
                assign tap_slot = slot_q;
                assign padding_1 = pads[0];
            end else begin : gen_rows
                assign padding_1 = pads[tap_row[TAP_ROW_BITS-1:0]];
                ring_sum #(
                    .RING(RING),
                    .B_W(TAP_ROW_BITS)
                ) u_tap_slot (
                    .a(slot_q),
                    .b(tap_row[TAP_ROW_BITS-1:0]),
                    .y(tap_slot)
                );
            end

            // which stripe holds the column, and where in it
            wire [31:0]      leg_1;
            wire [31:0]      column_1;
            if (TAP_COLUMN_BITS == 0 && ALL_LEGS == 1) begin : gen_column
                assign leg_1 = 32'd0;
                assign column_1 = {{(32-COLUMN_W){1'b0}}, column};
            end else if (COUNTED_W + TAP_COLUMN_BITS <= 6) begin : gen_table
                localparam PLACES = 1 << (COUNTED_W + TAP_COLUMN_BITS);
                localparam FROM = (COUNTED_W == 0) ? FIRST_COLUMN : 0;
                wire [31:0] index = (tap_column << COUNTED_W) | ((COUNTED_W == 0) ? 32'd0
                                                                                  : {{(32-COLUMN_W){1'b0}}, column});
                for (k = 0; k < 32; k = k + 1) begin : gen_bit
                    if (k <= COLUMN_W) begin : gen_used
                        wire [PLACES-1:0] legs;
                        wire [PLACES-1:0] columns;
                        for (p = 0; p < PLACES; p = p + 1) begin : gen_place
                            localparam WINDOW = FROM + (p % (1 << COUNTED_W)) + (p >> COUNTED_W);
                            localparam HERE = WINDOW / IN_STRIPE;
                            localparam LEG_BIT = ((HERE < ALL_LEGS) ? HERE >> k : 0) % 2;
                            localparam COLUMN_BIT = ((WINDOW % IN_STRIPE) >> k) % 2;
                            assign legs[p] = LEG_BIT == 1 && index == p;
                            assign columns[p] = COLUMN_BIT == 1 && index == p;
                        end
                        assign leg_1[k] = |legs;
                        assign column_1[k] = |columns;
                    end else begin : gen_unused
                        assign leg_1[k] = 1'b0;
                        assign column_1[k] = 1'b0;
                    end
                end
            end else begin : gen_sum
                wire [COLUMN_W-1:0] window = column + tap_column[COLUMN_W-1:0];
                wire [31:0]         window_wide = {{(32-COLUMN_W){1'b0}}, window};
                if (IN_STRIPE == (1 << COLUMN_BITS)) begin : gen_power
                    assign leg_1 = window_wide >> COLUMN_BITS;
                    assign column_1 = window_wide & (IN_STRIPE - 1);
                end else begin : gen_any
                    reg [31:0] leg;
                    reg [31:0] in_stripe;
                    integer i;
                    always @* begin
                        leg = 32'd0;
                        in_stripe = window_wide;
                        for (i = 1; i < ALL_LEGS; i = i + 1) begin
                            if (window_wide >= i * IN_STRIPE) begin
                                leg = i;
                                in_stripe = window_wide - i * IN_STRIPE;
                            end
                        end
                    end
                    assign leg_1 = leg;
                    assign column_1 = in_stripe;
                end
            end
            wire outside_1;
            if (BEFORE > 0 && AFTER > 0) begin : gen_outside
                assign outside_1 = leg_1 < BEFORE || leg_1 >= BEFORE + LEGS;
            end else if (BEFORE > 0) begin : gen_before
                assign outside_1 = leg_1 < BEFORE;
            end else if (AFTER > 0) begin : gen_after
                assign outside_1 = leg_1 >= LEGS;
            end else begin : gen_inside
                assign outside_1 = 1'b0;
            end

            /* verilator lint_off UNUSEDSIGNAL */
            wire [31:0] leg_of_lanes = leg_1 - BEFORE;
            wire [31:0] slot_wide = {{(32-SLOT_W){1'b0}}, tap_slot};
            wire [31:0] address_1 = (slot_wide << (COLUMN_BITS + CHANNEL_BITS))
                | ((column_1 & ((32'd1 << COLUMN_BITS) - 1)) << CHANNEL_BITS) | channel_1;
            // the immediate as a number of the bus's width
            wire [IMMEDIATE_W+TERM_W-1:0] value_1;
            /* verilator lint_on UNUSEDSIGNAL */
            if (MAC != 0 && HALVES) begin : gen_halves
                wire [COMMAND_W-1:0] above_1 = command_1 >> 2;
                wire [IMMEDIATE_W+TERM_W-1:0] half_1 = {{(IMMEDIATE_W+1){1'b0}}, above_1, term_1[PAYLOAD_W-1:0]};
                assign value_1 = command_1[1] ? half_1 << HALF_W : half_1;
            end else if (MAC != 0) begin : gen_unsigned
                assign value_1 = {{(IMMEDIATE_W+2){1'b0}}, command_1[COMMAND_W-1:1], term_1[PAYLOAD_W-1:0]};
            end else begin : gen_signed
                assign value_1 = {{(IMMEDIATE_W+TERM_W-PAYLOAD_W){term_1[PAYLOAD_W-1]}}, term_1[PAYLOAD_W-1:0]};
            end

            // stages 2 and 3; a reset makes bubbles of them
            localparam WITH_W = LEG_W + 1 + IMMEDIATE_W + COMMAND_W;
            localparam [WITH_W-1:0] BUBBLE = {{(LEG_W+1){1'b0}}, PAD_VALUE, {COMMAND_W{1'b0}}};
            reg  [ADDRESS_W-1:0]   address_2q;      // a number on its way, of which there is one copy
            wire                   zero_2q;
            wire [WITH_W-1:0]      with_3q;
            wire                   zero_1 = !go_1 || immediate_1 || padding_1 || outside_1;
            wire [LEG_W-1:0]       leg_2d = valid_1 ? leg_of_lanes[LEG_W-1:0] : {LEG_W{1'b0}};
            reg  [IMMEDIATE_W-1:0] immediate_2d;
            wire [COMMAND_W-1:0]   command_2d = go_1 ? {command_1[COMMAND_W-1:1], command_1[0] && !skip_1}
                                                     : {COMMAND_W{1'b0}};
            always @* begin
                if (go_1 && immediate_1 && !skip_1) immediate_2d = value_1[IMMEDIATE_W-1:0];
                else immediate_2d = zero_1 ? PAD_VALUE : {IMMEDIATE_W{1'b0}};
            end

            always @(posedge clk) begin
                if (enable) address_2q <= address_1[ADDRESS_W-1:0];
            end

            voted_reg #(
                .RESET(1'b1),
                .TMR(TMR)
            ) u_zero (
                .clk(clk),
                .rst(rst),
                .enable(enable),
                .d(zero_1),
                .q(zero_2q)
            );

            voted_reg #(
                .W(WITH_W),
                .STAGES(1 + READ),
                .RESET(BUBBLE),
                .TMR(TMR)
            ) u_command (
                .clk(clk),
                .rst(rst),
                .enable(enable),
                .d({leg_2d, go_1 && immediate_1, immediate_2d, command_2d}),
                .q(with_3q)
            );

            assign address_2[g*ADDRESS_W +: ADDRESS_W] = address_2q;
            assign zero_2[g] = zero_2q;
            assign {leg_3[g*LEG_W +: LEG_W], use_immediate_3[g], immediate_3[g*IMMEDIATE_W +: IMMEDIATE_W],
                    command_3[g*COMMAND_W +: COMMAND_W]} = with_3q;
        end
    endgenerate

endmodule
`default_nettype wire
