// SPDX-License-Identifier: Apache-2.0
//
// Takes a stream into a ring of rows, each row cut into STRIPES column stripes, and gives READERS words of STRIPES
// pixels a cycle.
//
// A frame is PAD_TOP padding rows, ROWS real rows and PAD_BOTTOM padding rows; a padding row takes a slot of the ring
// but no beats, and row_is_padding says which slots hold one. Beats come in the order of the stream (ARCHITECTURE.md)
// and bring SIDE pixels of one channel. TABLE has one entry for each beat of a row's channel, in the order they arrive:
// {last of its group, phase, column in stripe}; a group of beats comes once per channel. Stripe s takes pixel s /
// PHASES of a beat of the phase s % PHASES. row_written pulses after a row can be read; the reader gives slots back,
// rows_freed at a time. Read address = {slot, column in stripe, channel}; the word follows one clock after read_enable.
// Every reader has a copy of the memory. The last stripe has LAST_STRIPE real columns; what lies past the row's end is
// never written, and reads as PAD_VALUE.
//
// bench: sim/bench_line_memory.py
`default_nettype none

module line_memory #(
    parameter X_W = 8,                        // bits of an activation
    parameter STRIPES = 4,                    // column stripes of a row
    parameter SIDE = 1,                       // pixels in a beat, all of one channel
    parameter PHASES = STRIPES,               // stripes that a place of a beat may go to; STRIPES if SIDE is 1
    parameter READERS = 1,                    // words read at once, each from a copy of the memory
    parameter STRIPE = 8,                     // columns of a stripe
    parameter LAST_STRIPE = STRIPE,           // real columns of the last stripe
    parameter CHANNELS = 4,                   // activations of a pixel
    parameter RING = 4,                       // slots, one row each
    parameter ROWS = 32,                      // real rows of a frame
    parameter PAD_TOP = 0,                    // padding rows above them
    parameter PAD_BOTTOM = 0,                 // padding rows below them
    parameter [X_W-1:0] PAD_VALUE = 0,        // what columns past the row's end read as
    // not to be set
    parameter BEATS = (SIDE > 1) ? PHASES * STRIPE : (STRIPES - 1) * STRIPE + LAST_STRIPE, // of a row's channel
    parameter FREED_W = $clog2(RING + 1),     // bits of rows_freed
    parameter COLUMN_BITS = $clog2(STRIPE),   // bits of the column in an address; 0: a stripe is one column
    parameter CHANNEL_BITS = $clog2(CHANNELS), // bits of the channel; 0: there is one
    parameter ADDRESS_BITS = $clog2(RING) + COLUMN_BITS + CHANNEL_BITS, // bits of an address that say something
    parameter ADDRESS_W = (ADDRESS_BITS > 0) ? ADDRESS_BITS : 1,        // bits of an address
    parameter ENTRY_W = 1 + $clog2(PHASES) + COLUMN_BITS, // bits of an entry
    // where each beat of a row's channel goes
    parameter [BEATS*ENTRY_W-1:0] TABLE = 0   // entries as above, the first in the lowest bits
) (
    input  wire                 clk,
    input  wire                 rst,

    input  wire [SIDE*X_W-1:0]  s_axis_tdata,
    input  wire                 s_axis_tvalid,
    output wire                 s_axis_tready,

    output wire                 row_written,
    output wire [RING-1:0]      row_is_padding,
    input  wire [FREED_W-1:0]   rows_freed,

    input  wire                 read_enable,
    input  wire [READERS*ADDRESS_W-1:0]   read_address,
    output wire [READERS*STRIPES*X_W-1:0] read_word
);

    localparam FILL = (LAST_STRIPE < STRIPE) ? 1 : 0;  // there are columns past the row's end
    localparam DEPTH = (RING << (COLUMN_BITS + CHANNEL_BITS));
    localparam VIRTUAL_ROWS = PAD_TOP + ROWS + PAD_BOTTOM;
    localparam V_W = (VIRTUAL_ROWS > 1) ? $clog2(VIRTUAL_ROWS) : 1;
    localparam SLOT_W = (RING > 1) ? $clog2(RING) : 1;
    localparam USED_W = $clog2(RING + 1);
    localparam INDEX_W = (BEATS > 1) ? $clog2(BEATS) : 1;
    localparam CHANNEL_W = (CHANNELS > 1) ? $clog2(CHANNELS) : 1;
    localparam LAST_CHANNEL = CHANNELS - 1;
    localparam LAST_INDEX = BEATS - 1;
    localparam LAST_ROW = VIRTUAL_ROWS - 1;
    localparam LAST_SLOT = RING - 1;
    localparam REAL_END = PAD_TOP + ROWS;

    generate
        if (RING < 1) begin : gen_check_ring
            line_memory_RING_must_be_at_least_1 error_i ();
        end
        if (CHANNELS < 1) begin : gen_check_channels
            line_memory_CHANNELS_must_be_at_least_1 error_i ();
        end
        if (LAST_STRIPE < 1 || LAST_STRIPE > STRIPE) begin : gen_check_stripe
            line_memory_LAST_STRIPE_must_be_1_to_STRIPE error_i ();
        end
        if (ENTRY_W > 32) begin : gen_check_entry
            line_memory_PHASES_and_STRIPE_must_leave_an_entry_32_bits error_i ();
        end
        if (SIDE == 1 && PHASES != STRIPES) begin : gen_check_phases
            line_memory_PHASES_must_be_STRIPES_where_SIDE_is_1 error_i ();
        end
        if ((STRIPES - 1) / PHASES >= SIDE) begin : gen_check_side
            line_memory_SIDE_with_PHASES_must_reach_every_stripe error_i ();
        end
    endgenerate

    // where the next beat goes
    reg  [V_W-1:0]       virtual_row_q;
    reg  [SLOT_W-1:0]    slot_q;
    reg  [INDEX_W-1:0]   index_q;
    reg  [INDEX_W-1:0]   group_q;
    reg  [CHANNEL_W-1:0] channel_q;
    reg  [USED_W-1:0]    used_q;
    reg  [RING-1:0]      row_is_padding_q;
    reg                  written_q;

    wire is_padding;
    generate
        if (PAD_TOP > 0 && PAD_BOTTOM > 0) begin : gen_pad_both
            assign is_padding = virtual_row_q < PAD_TOP[V_W-1:0] || virtual_row_q >= REAL_END[V_W-1:0];
        end else if (PAD_TOP > 0) begin : gen_pad_top
            assign is_padding = virtual_row_q < PAD_TOP[V_W-1:0];
        end else if (PAD_BOTTOM > 0) begin : gen_pad_bottom
            assign is_padding = virtual_row_q >= REAL_END[V_W-1:0];
        end else begin : gen_pad_none
            assign is_padding = 1'b0;
        end
    endgenerate

    wire room = used_q != RING[USED_W-1:0];
    assign s_axis_tready = room && !is_padding;
    wire beat = s_axis_tvalid && s_axis_tready;

    wire [ENTRY_W-1:0] entry = TABLE[index_q * ENTRY_W +: ENTRY_W];
    wire last_in_group = entry[ENTRY_W-1];
    wire last_channel = channel_q == LAST_CHANNEL[CHANNEL_W-1:0];
    wire last_index = index_q == LAST_INDEX[INDEX_W-1:0];
    wire row_ends = (beat && last_in_group && last_channel && last_index) || (room && is_padding);

    always @(posedge clk) begin
        if (rst) begin
            index_q <= 0;
            group_q <= 0;
            channel_q <= 0;
        end else if (beat) begin
            if (!last_in_group) begin
                index_q <= index_q + 1'b1;
            end else if (!last_channel) begin
                index_q <= group_q;
                channel_q <= channel_q + 1'b1;
            end else begin
                index_q <= last_index ? {INDEX_W{1'b0}} : index_q + 1'b1;
                group_q <= last_index ? {INDEX_W{1'b0}} : index_q + 1'b1;
                channel_q <= 0;
            end
        end
    end

    // cut to the width of its register: the upper bits are zero
    /* verilator lint_off UNUSEDSIGNAL */
    wire [31:0] used_d = {{(32-USED_W){1'b0}}, used_q} + {31'd0, row_ends} - {{(32-FREED_W){1'b0}}, rows_freed};
    /* verilator lint_on UNUSEDSIGNAL */

    always @(posedge clk) begin
        if (rst) begin
            virtual_row_q <= 0;
            slot_q <= 0;
            used_q <= 0;
            written_q <= 1'b0;
        end else begin
            written_q <= row_ends;
            used_q <= used_d[USED_W-1:0];
            if (row_ends) begin
                virtual_row_q <= (virtual_row_q == LAST_ROW[V_W-1:0]) ? {V_W{1'b0}} : virtual_row_q + 1'b1;
                slot_q <= (slot_q == LAST_SLOT[SLOT_W-1:0]) ? {SLOT_W{1'b0}} : slot_q + 1'b1;
                row_is_padding_q[slot_q] <= is_padding;
            end
        end
    end

    assign row_written = written_q;
    assign row_is_padding = row_is_padding_q;

    // the address is made wide, then cut, its upper bits being zero: a field of no bits is a constant zero
    wire [31:0] slot_wide = {{(32-SLOT_W){1'b0}}, slot_q};
    wire [31:0] column_wide = {{(32-ENTRY_W){1'b0}}, entry} & ((32'd1 << COLUMN_BITS) - 1);
    wire [31:0] phase_wide = ({{(32-ENTRY_W){1'b0}}, entry} & ((32'd1 << (ENTRY_W - 1)) - 1)) >> COLUMN_BITS;
    wire [31:0] channel_wide = {{(32-CHANNEL_W){1'b0}}, channel_q};
    /* verilator lint_off UNUSEDSIGNAL */
    wire [31:0] address_wide = (slot_wide << (COLUMN_BITS + CHANNEL_BITS))
        | (column_wide << CHANNEL_BITS) | channel_wide;
    /* verilator lint_on UNUSEDSIGNAL */

    // one clock later the beat is written
    reg  [PHASES-1:0]    phase_q;
    /* verilator lint_off UNUSEDSIGNAL */
    reg                  last_is_real_q;    // words that are written whole do not ask
    /* verilator lint_on UNUSEDSIGNAL */
    reg  [ADDRESS_W-1:0] address_q;
    reg  [SIDE*X_W-1:0]  data_q;
    integer p;
    // no write before the first reset: it could hit a column that only holds padding
    initial phase_q = {PHASES{1'b0}};
    always @(posedge clk) begin
        for (p = 0; p < PHASES; p = p + 1) phase_q[p] <= beat && !rst && phase_wide == p;
        last_is_real_q <= column_wide < LAST_STRIPE;
        address_q <= address_wide[ADDRESS_W-1:0];
        data_q <= s_axis_tdata;
    end

    /* verilator lint_off UNUSEDSIGNAL */
    wire [STRIPES-1:0]     write;           // nor these
    /* verilator lint_on UNUSEDSIGNAL */
    wire [STRIPES*X_W-1:0] word;
    generate
        genvar g, r;
        for (g = 0; g < STRIPES; g = g + 1) begin : gen_stripe
            if (g == STRIPES - 1 && FILL != 0) begin : gen_last
                assign write[g] = phase_q[g % PHASES] && last_is_real_q;
            end else begin : gen_inner
                assign write[g] = phase_q[g % PHASES];
            end
            assign word[g*X_W +: X_W] = data_q[(g/PHASES)*X_W +: X_W];
        end
        for (r = 0; r < READERS; r = r + 1) begin : gen_reader
            if (DEPTH <= 64) begin : gen_lutram
                for (g = 0; g < STRIPES; g = g + 1) begin : gen_stripe
                    (* ram_style = "distributed" *) reg [X_W-1:0] memory [0:DEPTH-1];
                    reg [X_W-1:0] word_q;
                    if (FILL != 0) begin : gen_fill
                        integer w;
                        initial for (w = 0; w < DEPTH; w = w + 1) memory[w] = PAD_VALUE;
                    end
                    always @(posedge clk) if (write[g]) memory[address_q] <= word[g*X_W +: X_W];
                    always @(posedge clk) if (read_enable) word_q <= memory[read_address[r*ADDRESS_W +: ADDRESS_W]];
                    assign read_word[(r*STRIPES+g)*X_W +: X_W] = word_q;
                end
            end else begin : gen_block
                (* ram_style = "block" *) (* no_rw_check *) reg [STRIPES*X_W-1:0] memory [0:DEPTH-1];
                reg [STRIPES*X_W-1:0] word_q;
                if (FILL != 0) begin : gen_fill
                    integer w;
                    initial for (w = 0; w < DEPTH; w = w + 1) memory[w] = {STRIPES{PAD_VALUE}};
                end
                if (PHASES == 1 && FILL == 0) begin : gen_whole
                    always @(posedge clk) if (phase_q[0]) memory[address_q] <= word;
                end else begin : gen_parts
                    for (g = 0; g < STRIPES; g = g + 1) begin : gen_stripe
                        always @(posedge clk) if (write[g]) memory[address_q][g*X_W +: X_W] <= word[g*X_W +: X_W];
                    end
                end
                always @(posedge clk) if (read_enable) word_q <= memory[read_address[r*ADDRESS_W +: ADDRESS_W]];
                assign read_word[r*STRIPES*X_W +: STRIPES*X_W] = word_q;
            end
        end
    endgenerate

endmodule
`default_nettype wire
