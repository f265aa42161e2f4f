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
// Positions go row by row, in a row over the STRIPE columns of the output stripes. A row starts when the rows that it
// reads are written; until then, and in every bubble, the command adds the constant PAD_VALUE (0 for sums). Everything
// but the counters of written rows holds while `enable` is low. With LOAD the list can be written (term_loader.v), up
// to DEPTH words: `rst` is then held from the first write until `loaded`. Stage 1 holds the ROM word (with GAPS behind
// a stage 0, which has it before the places are known), stage 2 the address, stage 3 (beside the memory's word) the
// outputs, of names *_3.
//
// bench: sim/bench_term_sequencer.py
`default_nettype none

module term_sequencer #(
    parameter FILE = "",             // the list for $readmemh, see term_rom.v
    parameter TERMS = 2,             // words of the list; with LOAD of the list at power-up
    parameter LOAD = 0,              // 0: a ROM, 1: can be written, 2: an UltraRAM, empty at power-up
    parameter DEPTH = TERMS,         // words of the memory; TERMS without LOAD
    parameter GROUPS = 1,            // terms in a word
    parameter GAPS = 0,              // 1: a payload is a distance from the place before; 0: the place
    parameter MAC = 0,               // 1: a command is a weight; 0: shift and negate
    parameter COMMAND_W = 2,         // bits of a command; 2 without MAC
    parameter SHARED = 0,            // 1: one list for all channels
    parameter CHECK = 0,             // of the list's words, see term_rom.v
    parameter TAP_ROW_BITS = 2,      // bits of the tap's row in a place; 0: there is one row
    parameter TAP_COLUMN_BITS = 2,   // bits of the tap's column; 0: there is one column
    parameter CHANNELS = 4,          // activations of a pixel
    parameter PAYLOAD_W = 6,         // holds a place or, with GAPS, half its bits; and immediates
    parameter RING = 4,              // slots of the line memory
    parameter OUT_ROWS = 32,         // rows of the output
    parameter OUT_STRIPE = 8,        // output columns in a stripe
    parameter ROW_STEP = 1,          // input rows from one output row to the next
    parameter COLUMN_STEP = 1,       // input columns from one output column to the next
    parameter NEED = 3,              // rows that must be written before an output row starts
    parameter LAST_STEP = 3,         // the same for a frame's last row; all of them are freed then
    parameter IN_STRIPE = 8,         // input columns in a stripe
    parameter FIRST_LEG = -1,        // least distance, in stripes, from a lane's own to a tap's
    parameter LEGS = 3,              // distances, from FIRST_LEG up
    parameter PAD_LEFT = 1,          // columns of padding left of the frame
    parameter IMMEDIATE_W = 8,       // bits of the immediate bus
    parameter [IMMEDIATE_W-1:0] PAD_VALUE = 0, // what a tap outside the frame adds
    // not to be set
    parameter FREED_W = $clog2(RING + 1),        // bits of rows_freed
    parameter LEG_W = $clog2(LEGS + 1),          // bits that hold LEGS
    parameter COLUMN_BITS = $clog2(IN_STRIPE),   // bits of the column in a memory address; 0: a stripe is one column
    parameter CHANNEL_BITS = $clog2(CHANNELS),   // bits of the channel; 0: there is one
    parameter ADDRESS_BITS = $clog2(RING) + COLUMN_BITS + CHANNEL_BITS, // bits of a memory address that say something
    parameter ADDRESS_W = (ADDRESS_BITS > 0) ? ADDRESS_BITS : 1         // bits of a memory address
) (
    input  wire                   clk,
    input  wire                   rst,
    input  wire                   enable,

    input  wire                   row_written,
    input  wire [RING-1:0]        row_is_padding,
    output wire [FREED_W-1:0]     rows_freed,

    // of each group
    output wire [GROUPS*ADDRESS_W-1:0]   address_2,
    output wire [GROUPS*LEG_W-1:0]       leg_3,       // LEGS with use_immediate
    output wire [GROUPS-1:0]             use_immediate_3,
    output wire [GROUPS*IMMEDIATE_W-1:0] immediate_3,
    output wire [GROUPS*COMMAND_W-1:0]   command_3,
    // of all
    output wire                          last_3,
    output wire                          final_3,

    // load = {begins, writes, 32 bits of data}: see term_loader.v
    input  wire                          load_select,
    input  wire [33:0]                   load,
    output wire                          loaded
);

    // with SHARED: times that the list is walked for an output
    localparam ROUNDS = (CHANNELS + GROUPS - 1) / GROUPS;
    localparam TERM_W = COMMAND_W + 1 + PAYLOAD_W;
    localparam WORD_W = 1 + ((SHARED != 0) ? 1 : GROUPS) * TERM_W;
    localparam LIST_CHANNEL_BITS = (SHARED != 0) ? 0 : CHANNEL_BITS;
    localparam FIELDS_W = (PAYLOAD_W < 31) ? PAYLOAD_W : 31;   // only an immediate is wider
    localparam HALVES = IMMEDIATE_W > COMMAND_W - 1 + PAYLOAD_W;
    localparam HALF_W = COMMAND_W - 2 + PAYLOAD_W;
    localparam PLACE_BITS = TAP_ROW_BITS + TAP_COLUMN_BITS + LIST_CHANNEL_BITS;
    localparam PLACE_W = (PLACE_BITS > 0) ? PLACE_BITS : 1;
    localparam PC_W = (DEPTH > 1) ? $clog2(DEPTH) : 1;
    localparam S_W = (OUT_STRIPE > 1) ? $clog2(OUT_STRIPE) : 1;
    localparam R_W = (OUT_ROWS > 1) ? $clog2(OUT_ROWS) : 1;
    localparam SLOT_W = (RING > 1) ? $clog2(RING) : 1;
    localparam AVAILABLE_W = $clog2(RING + 1);
    localparam LAST_PC = TERMS - 1;
    localparam LAST_ROW = OUT_ROWS - 1;
    localparam LAST_COLUMN = OUT_STRIPE - 1;
    // columns of a stripe's window, counted from its left end
    localparam COLUMN_W = $clog2(OUT_STRIPE * COLUMN_STEP + (1 << TAP_COLUMN_BITS) + 1);

    generate
        if (COMMAND_W < 2 || (MAC == 0 && COMMAND_W > 2)) begin : gen_check_command
            term_sequencer_COMMAND_W_must_be_2_without_MAC error_i ();
        end
        if (MAC != 0 && HALVES && IMMEDIATE_W > 2 * HALF_W) begin : gen_check_immediate
            term_sequencer_IMMEDIATE_W_must_be_two_halves_at_most_with_MAC error_i ();
        end
        if (GAPS != 0 && SHARED != 0) begin : gen_check_gaps
            term_sequencer_GAPS_must_be_0_with_SHARED error_i ();
        end
        if (GAPS != 0 && 2 * PAYLOAD_W < PLACE_BITS) begin : gen_check_payload
            term_sequencer_PAYLOAD_W_must_be_half_a_place_with_GAPS error_i ();
        end
    endgenerate

    // to stage 1: fetch
    reg  [PC_W-1:0]   pc_q;
    reg               valid_1q;
    reg               wrap_1q;
    wire              valid_0;
    wire              wrap_0;
    wire [WORD_W-1:0] rom_word;
    wire [WORD_W-1:0] word_1;
    wire              issue_1;
    wire              fetch = enable && (issue_1 || !valid_1q);
    wire [PC_W-1:0]   last_pc;
    wire              pc_last = pc_q == last_pc;
    wire              write;
    wire [PC_W-1:0]   write_address;
    wire [WORD_W-1:0] write_word;

    term_rom #(
        .LOAD(LOAD),
        .FILE(FILE),
        .DEPTH(DEPTH),
        .WIDTH(WORD_W),
        .CHECK(CHECK)
    ) u_term_rom (
        .clk(clk),
        .enable(fetch),
        .address(pc_q),
        .word(rom_word),
        .write(write),
        .write_address(write_address),
        .write_word(write_word)
    );

    generate
        if (LOAD != 0) begin : gen_loader
            term_loader #(
                .WORDS((LOAD == 1) ? TERMS : 0),
                .DEPTH(DEPTH),
                .WIDTH(WORD_W)
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
            assign last_pc = LAST_PC[PC_W-1:0];
            assign loaded = 1'b1;
        end
    endgenerate

    always @(posedge clk) begin
        if (rst) begin
            pc_q <= 0;
            valid_1q <= 1'b0;
            wrap_1q <= 1'b0;
        end else if (fetch) begin
            pc_q <= pc_last ? {PC_W{1'b0}} : pc_q + 1'b1;
            valid_1q <= valid_0;
            wrap_1q <= wrap_0;
        end
    end

    // the first channel of the round in stage 1
    /* verilator lint_off UNUSEDSIGNAL */
    wire        round_last;     // with GAPS there is one round
    /* verilator lint_on UNUSEDSIGNAL */
    wire [31:0] base_1;
    generate
        if (SHARED != 0) begin : gen_shared
            localparam BASE_W = $clog2(ROUNDS * GROUPS + 1);
            localparam LAST_BASE = (ROUNDS - 1) * GROUPS;
            reg [BASE_W-1:0] base_q;
            reg [BASE_W-1:0] base_1q;
            assign round_last = base_q == LAST_BASE[BASE_W-1:0];
            assign base_1 = {{(32-BASE_W){1'b0}}, base_1q};
            always @(posedge clk) begin
                if (rst) begin
                    base_q <= 0;
                end else if (fetch) begin
                    if (pc_last) base_q <= round_last ? {BASE_W{1'b0}} : base_q + GROUPS[BASE_W-1:0];
                    base_1q <= base_q;
                end
            end
        end else begin : gen_own
            assign round_last = 1'b1;
            assign base_1 = 32'd0;
        end
    endgenerate

    // the place that each group's term in stage 1 reads
    wire [GROUPS*PLACE_W-1:0] place_1;
    generate
        genvar t;
        if (GAPS != 0) begin : gen_gaps
            reg                      valid_0q;
            reg                      wrap_0q;
            reg [WORD_W-1:0]         word_1q;
            reg [GROUPS*PLACE_W-1:0] place_1q;
            wire                     first_0 = !valid_1q || word_1q[WORD_W-1];
            assign valid_0 = valid_0q;
            assign wrap_0 = wrap_0q;
            assign word_1 = word_1q;
            assign place_1 = place_1q;
            always @(posedge clk) begin
                if (rst) begin
                    valid_0q <= 1'b0;
                    wrap_0q <= 1'b0;
                end else if (fetch) begin
                    valid_0q <= 1'b1;
                    wrap_0q <= pc_last;
                end
            end
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
            assign valid_0 = 1'b1;
            assign wrap_0 = pc_last && round_last;
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

    // stage 1: the position of this term's output, and of its tap
    reg  [S_W-1:0]         stripe_column_q;
    reg  [COLUMN_W-1:0]    column_q;        // stripe_column_q * COLUMN_STEP
    reg  [R_W-1:0]         out_row_q;
    reg  [SLOT_W-1:0]      slot_q;          // of the window's first row
    reg  [AVAILABLE_W-1:0] available_q;     // written rows from the window's first on

    wire row_last = out_row_q == LAST_ROW[R_W-1:0];
    wire stripe_last = stripe_column_q == LAST_COLUMN[S_W-1:0];
    wire row_ready = available_q >= (row_last ? LAST_STEP[AVAILABLE_W-1:0] : NEED[AVAILABLE_W-1:0]);
    assign issue_1 = enable && valid_1q && row_ready;
    wire row_ends = issue_1 && wrap_1q && stripe_last;

    // words of 32 bits are cut to the widths of their registers: the upper bits are zero
    wire [31:0] step = row_last ? LAST_STEP : ROW_STEP;
    wire [31:0] next_slot = {{(32-SLOT_W){1'b0}}, slot_q} + step;
    /* verilator lint_off UNUSEDSIGNAL */
    wire [31:0] available_d = {{(32-AVAILABLE_W){1'b0}}, available_q} + {31'd0, row_written}
        - (row_ends ? step : 32'd0);
    wire [31:0] next_slot_wrapped = (next_slot >= RING) ? next_slot - RING : next_slot;
    /* verilator lint_on UNUSEDSIGNAL */

    always @(posedge clk) begin
        if (rst) begin
            stripe_column_q <= 0;
            column_q <= 0;
            out_row_q <= 0;
            slot_q <= 0;
            available_q <= 0;
        end else begin
            available_q <= available_d[AVAILABLE_W-1:0];
            if (issue_1 && wrap_1q) begin
                stripe_column_q <= stripe_last ? {S_W{1'b0}} : stripe_column_q + 1'b1;
                column_q <= stripe_last ? {COLUMN_W{1'b0}} : column_q + COLUMN_STEP[COLUMN_W-1:0];
            end
            if (row_ends) begin
                out_row_q <= row_last ? {R_W{1'b0}} : out_row_q + 1'b1;
                slot_q <= next_slot_wrapped[SLOT_W-1:0];
            end
        end
    end

    // what all groups share; stage 2, and stage 3 beside the memory's word
    reg                    last_2q;
    reg                    last_3q;
    reg                    final_2q;
    reg                    final_3q;
    reg  [FREED_W-1:0]     freed_2q;
    wire                   last_1 = word_1[WORD_W-1];
    /* verilator lint_off UNUSEDSIGNAL */
    wire [31:0]            freed_1 = row_ends ? step : 32'd0;
    /* verilator lint_on UNUSEDSIGNAL */

    always @(posedge clk) begin
        if (rst) begin
            last_2q <= 1'b0;
            last_3q <= 1'b0;
            freed_2q <= 0;
        end else if (enable) begin
            last_2q <= last_1 && issue_1;
            last_3q <= last_2q;
            freed_2q <= freed_1[FREED_W-1:0];
        end
    end

    always @(posedge clk) begin
        if (enable) begin
            final_2q <= wrap_1q;
            final_3q <= final_2q;
        end
    end

    // a slot is free once its last read, a stage after its address, has been done
    assign rows_freed = enable ? freed_2q : {FREED_W{1'b0}};
    assign last_3 = last_3q;
    assign final_3 = final_3q;

    generate
        genvar g;
        for (g = 0; g < GROUPS; g = g + 1) begin : gen_group
            wire [TERM_W-1:0] term_1 = word_1[((SHARED != 0) ? 0 : g)*TERM_W +: TERM_W];
            wire immediate_1 = term_1[PAYLOAD_W];
            wire skip_1 = (GAPS != 0) && immediate_1 && term_1[PAYLOAD_W+1];
            wire [COMMAND_W-1:0] command_1 = term_1[PAYLOAD_W+1 +: COMMAND_W];
            wire [31:0] place = {{(32-PLACE_W){1'b0}}, place_1[g*PLACE_W +: PLACE_W]};
            wire [31:0] channel_1 = ((SHARED != 0) ? base_1 + g : place) & ((32'd1 << CHANNEL_BITS) - 1);
            /* verilator lint_off UNUSEDSIGNAL */
            wire [31:0] tap_column_1 = (place >> LIST_CHANNEL_BITS) & ((32'd1 << TAP_COLUMN_BITS) - 1);
            /* verilator lint_on UNUSEDSIGNAL */
            wire [31:0] tap_row_1 = (place >> (LIST_CHANNEL_BITS + TAP_COLUMN_BITS)) & ((32'd1 << TAP_ROW_BITS) - 1);

            wire [31:0] tap_slot = {{(32-SLOT_W){1'b0}}, slot_q} + tap_row_1;
            wire [31:0] tap_slot_wrapped = (tap_slot >= RING) ? tap_slot - RING : tap_slot;
            wire padding_1 = row_is_padding[tap_slot_wrapped[SLOT_W-1:0]];

            // which neighbour's stripe holds the column, and where in it
            wire [COLUMN_W-1:0] window_column = column_q + tap_column_1[COLUMN_W-1:0];
            wire [31:0]         column_wide = {{(32-COLUMN_W){1'b0}}, window_column};
            reg  [LEG_W-1:0]    leg_1;
            reg  [31:0]         tap_column_in_stripe;
            integer i;
            always @* begin
                leg_1 = 0;
                tap_column_in_stripe = column_wide - (PAD_LEFT + FIRST_LEG * IN_STRIPE);
                for (i = 1; i < LEGS; i = i + 1) begin
                    if (column_wide >= PAD_LEFT + (FIRST_LEG + i) * IN_STRIPE) begin
                        leg_1 = i[LEG_W-1:0];
                        tap_column_in_stripe = column_wide - (PAD_LEFT + (FIRST_LEG + i) * IN_STRIPE);
                    end
                end
            end

            /* verilator lint_off UNUSEDSIGNAL */
            wire [31:0] address_1 = (tap_slot_wrapped << (COLUMN_BITS + CHANNEL_BITS))
                | ((tap_column_in_stripe & ((32'd1 << COLUMN_BITS) - 1)) << CHANNEL_BITS) | channel_1;
            /* verilator lint_on UNUSEDSIGNAL */

            // the immediate as a number of the bus's width
            /* verilator lint_off UNUSEDSIGNAL */
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

            // a reset makes both stages bubbles
            reg  [ADDRESS_W-1:0]   address_2q;
            reg  [LEG_W-1:0]       leg_2q;
            reg  [LEG_W-1:0]       leg_3q;
            reg                    use_immediate_2q;
            reg                    use_immediate_3q;
            reg  [IMMEDIATE_W-1:0] immediate_2q;
            reg  [IMMEDIATE_W-1:0] immediate_3q;
            reg  [COMMAND_W-1:0]   command_2q;
            reg  [COMMAND_W-1:0]   command_3q;
            wire                   use_immediate_1 = !issue_1 || immediate_1 || padding_1;

            always @(posedge clk) begin
                if (enable) address_2q <= address_1[ADDRESS_W-1:0];
            end

            always @(posedge clk) begin
                if (rst) begin
                    leg_2q <= LEGS[LEG_W-1:0];
                    leg_3q <= LEGS[LEG_W-1:0];
                    use_immediate_2q <= 1'b1;
                    use_immediate_3q <= 1'b1;
                    immediate_2q <= PAD_VALUE;
                    immediate_3q <= PAD_VALUE;
                    command_2q <= {COMMAND_W{1'b0}};
                    command_3q <= {COMMAND_W{1'b0}};
                end else if (enable) begin
                    leg_2q <= use_immediate_1 ? LEGS[LEG_W-1:0] : leg_1;
                    leg_3q <= leg_2q;
                    use_immediate_2q <= use_immediate_1;
                    use_immediate_3q <= use_immediate_2q;
                    immediate_2q <= (issue_1 && immediate_1 && !skip_1) ? value_1[IMMEDIATE_W-1:0] : PAD_VALUE;
                    immediate_3q <= immediate_2q;
                    command_2q <= issue_1 ? {command_1[COMMAND_W-1:1], command_1[0] && !skip_1} : {COMMAND_W{1'b0}};
                    command_3q <= command_2q;
                end
            end

            assign address_2[g*ADDRESS_W +: ADDRESS_W] = address_2q;
            assign leg_3[g*LEG_W +: LEG_W] = leg_3q;
            assign use_immediate_3[g] = use_immediate_3q;
            assign immediate_3[g*IMMEDIATE_W +: IMMEDIATE_W] = immediate_3q;
            assign command_3[g*COMMAND_W +: COMMAND_W] = command_3q;
        end
    endgenerate

endmodule
`default_nettype wire
