// SPDX-License-Identifier: Apache-2.0
//
// Takes a stream into a ring of rows, each row cut into STRIPES column stripes, and gives READERS words of STRIPES
// pixels a cycle.
//
// A frame is PAD_TOP padding rows, ROWS real rows and PAD_BOTTOM padding rows; a padding row takes a slot of the ring
// but no beats. Beats come in the order of the stream (ARCHITECTURE.md) and bring SIDE pixels of one channel. TABLE has
// one entry for each beat of a row's channel, in the order they arrive: {last of its group, phase, column in stripe}; a
// group of beats comes once per channel. Stripe s takes pixel s / PHASES of a beat of the phase s % PHASES. The first
// stripe begins with LEAD columns left of the frame, the last has LAST_STRIPE up to the frame's end: what lies outside
// is never written, and reads as PAD_VALUE.
//
// row_written pulses after a row can be read; the reader gives slots back: ROW_STEP of them with `freed`, LAST_STEP
// where freed_last says so. Read address = {slot, column in stripe, channel}; the word follows READ clocks later, each
// clock with read_enable: one in LUTs; in block RAM two, the second being that of its output register, or three where
// that register has no reset of its own. The word is zero for a read_zero that came with the address, and after a
// reset. Every reader has a copy of the memory. s_axis_tready is a register.
//
// With PARITY a bit lies above each activation, by which the word is looked at as it is given; `fault` says a clock later
// that some did not fit.
//
// bench: sim/bench_line_memory.py
`default_nettype none

module line_memory #(
    parameter X_W = 8,                        // bits of an activation
    parameter STRIPES = 4,                    // column stripes of a row
    parameter SIDE = 1,                       // pixels in a beat, all of one channel
    parameter PHASES = STRIPES,               // stripes that a place of a beat may go to; STRIPES if SIDE is 1
    parameter READERS = 1,                    // words read at once, each from a copy of the memory
    parameter READ = 3,                       // clocks from an address to its word; 1 up to 64 words, else 2 or 3
    parameter STRIPE = 8,                     // columns of a stripe
    parameter LEAD = 0,                       // columns of the first stripe left of the frame
    parameter LAST_STRIPE = STRIPE,           // columns of the last stripe up to the frame's end
    parameter CHANNELS = 4,                   // activations of a pixel
    parameter RING = 4,                       // slots, one row each
    parameter ROWS = 32,                      // real rows of a frame
    parameter PAD_TOP = 0,                    // padding rows above them
    parameter PAD_BOTTOM = 0,                 // padding rows below them
    parameter ROW_STEP = 1,                   // rows that are given back at a time
    parameter LAST_STEP = 1,                  // rows that are given back at a frame's end
    parameter [X_W-1:0] PAD_VALUE = 0,        // what columns outside the frame read as
    parameter PARITY = 0,                     // 1: a parity bit for each activation
    parameter TMR = 0,                        // 1: three copies of each register of control, see voted_reg.v
    // not to be set
    parameter BEATS = (SIDE > 1) ? PHASES * STRIPE : (STRIPES - 1) * STRIPE + LAST_STRIPE - LEAD, // of a row's channel
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
    input  wire                 freed,
    input  wire                 freed_last,

    input  wire                 read_enable,
    input  wire [READERS-1:0]   read_zero,
    input  wire [READERS*ADDRESS_W-1:0]   read_address,
    output wire [READERS*STRIPES*X_W-1:0] read_word,
    output wire                 fault
);

    localparam S_W = X_W + PARITY;                                  // bits that are stored for an activation
    localparam [S_W-1:0] STORED_PAD = {{PARITY{^PAD_VALUE}}, PAD_VALUE};
    localparam FILL = (LAST_STRIPE < STRIPE || LEAD > 0) ? 1 : 0;  // there are columns outside the frame
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
    localparam BEFORE_END = REAL_END - 1;
    localparam LAST_PADDING = (PAD_TOP > 0) ? PAD_TOP - 1 : 0;
    localparam LAST_IN_STRIPE = STRIPE - 1;
    localparam [ENTRY_W-1:0] LAST_OF_GROUP = 1 << (ENTRY_W - 1);
    // one pixel a beat, column by column, stripe by stripe: every entry is the last of its group, and the second is next to
    // the first
    localparam [BEATS*ENTRY_W-1:0] SECOND = TABLE >> ENTRY_W;
    localparam [31:0] NEXT = ((LEAD + 1) / STRIPE << COLUMN_BITS) + (LEAD + 1) % STRIPE;
    localparam RASTER = (SIDE == 1 && (TABLE & {BEATS{LAST_OF_GROUP}}) == {BEATS{LAST_OF_GROUP}}
                         && (BEATS == 1 || SECOND[ENTRY_W-1:0] == (LAST_OF_GROUP | NEXT[ENTRY_W-1:0]))) ? 1 : 0;

    generate
        if (RING < 1) begin : gen_check_ring
            line_memory_RING_must_be_at_least_1 error_i ();
        end
        if ((DEPTH <= 64) ? READ != 1 : (READ != 2 && READ != 3)) begin : gen_check_read
            line_memory_READ_must_be_1_in_LUTs_and_2_or_3_in_block_RAM error_i ();
        end
        if (PARITY != 0 && PARITY != 1) begin : gen_check_parity
            line_memory_PARITY_must_be_0_or_1 error_i ();
        end
        if (CHANNELS < 1) begin : gen_check_channels
            line_memory_CHANNELS_must_be_at_least_1 error_i ();
        end
        if (LAST_STRIPE < 1 || LAST_STRIPE > STRIPE) begin : gen_check_stripe
            line_memory_LAST_STRIPE_must_be_1_to_STRIPE error_i ();
        end
        if (LEAD < 0 || LEAD >= STRIPE || (LEAD > 0 && SIDE > 1)) begin : gen_check_lead
            line_memory_LEAD_must_be_below_STRIPE_and_0_where_SIDE_is_more_than_1 error_i ();
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
    wire [V_W-1:0]       virtual_row_q;
    wire [SLOT_W-1:0]    slot_q;
    wire [CHANNEL_W-1:0] channel_q;
    wire                 padding_q;     // the row that comes next is one of padding
    wire                 room_q;        // there is a slot for it
    wire                 ready_q;       // and beats of it can come
    wire                 written_q;

    wire beat = s_axis_tvalid && ready_q;
    wire last_channel = channel_q == LAST_CHANNEL[CHANNEL_W-1:0];
    wire column_ends;       // the beat is the last of its group
    wire last_beat;         // of a row
    wire row_ends = (beat && last_beat) || (room_q && padding_q);
    wire virtual_last = virtual_row_q == LAST_ROW[V_W-1:0];
    wire padding_next;
    generate
        if (PAD_TOP > 1 && PAD_BOTTOM > 0) begin : gen_pad_both
            assign padding_next = virtual_last || virtual_row_q < LAST_PADDING[V_W-1:0]
                || virtual_row_q >= BEFORE_END[V_W-1:0];
        end else if (PAD_TOP > 1) begin : gen_pad_top
            assign padding_next = virtual_last || virtual_row_q < LAST_PADDING[V_W-1:0];
        end else if (PAD_TOP > 0 && PAD_BOTTOM > 0) begin : gen_pad_one
            assign padding_next = virtual_row_q >= BEFORE_END[V_W-1:0];
        end else if (PAD_TOP > 0) begin : gen_pad_first
            assign padding_next = virtual_last;
        end else if (PAD_BOTTOM > 0) begin : gen_pad_bottom
            assign padding_next = virtual_row_q >= BEFORE_END[V_W-1:0] && !virtual_last;
        end else begin : gen_pad_none
            assign padding_next = 1'b0;
        end
    endgenerate

    /* verilator lint_off UNUSEDSIGNAL */
    wire [USED_W-1:0] used;
    /* verilator lint_on UNUSEDSIGNAL */
    wire [USED_W-1:0] used_d;
    row_count #(
        .RING(RING),
        .STEP(ROW_STEP),
        .LAST_STEP(LAST_STEP),
        .TMR(TMR)
    ) u_used (
        .clk(clk),
        .rst(rst),
        .up(row_ends),
        .down(freed),
        .last(freed_last),
        .count(used),
        .next(used_d)
    );
    wire room_d = used_d != RING[USED_W-1:0];
    wire padding_d = row_ends ? padding_next : padding_q;

    localparam [0:0] PADDED_FIRST = PAD_TOP != 0;
    voted_reg #(
        .W(4),
        .RESET({1'b0, PADDED_FIRST, 1'b1, !PADDED_FIRST}),
        .TMR(TMR)
    ) u_turn (
        .clk(clk),
        .rst(rst),
        .enable(1'b1),
        .d({row_ends, padding_d, room_d, room_d && !padding_d}),
        .q({written_q, padding_q, room_q, ready_q})
    );

    wire [V_W-1:0]       virtual_row_d = virtual_last ? {V_W{1'b0}} : virtual_row_q + 1'b1;
    wire [SLOT_W-1:0]    slot_d = (slot_q == LAST_SLOT[SLOT_W-1:0]) ? {SLOT_W{1'b0}} : slot_q + 1'b1;
    voted_reg #(
        .W(V_W + SLOT_W),
        .TMR(TMR)
    ) u_row (
        .clk(clk),
        .rst(rst),
        .enable(row_ends),
        .d({virtual_row_d, slot_d}),
        .q({virtual_row_q, slot_q})
    );

    wire [CHANNEL_W-1:0] channel_d = last_channel ? {CHANNEL_W{1'b0}} : channel_q + 1'b1;
    voted_reg #(
        .W(CHANNEL_W),
        .TMR(TMR)
    ) u_channel (
        .clk(clk),
        .rst(rst),
        .enable(beat && column_ends),
        .d(channel_d),
        .q(channel_q)
    );

    assign s_axis_tready = ready_q;
    assign row_written = written_q;

    // the phase of the beat, one bit for each, and its column in a stripe
    wire [PHASES-1:0] phase;
    wire [31:0]       column_wide;
    generate
        genvar h;
        if (RASTER != 0) begin : gen_raster
            localparam COLUMN_W = (STRIPE > 1) ? COLUMN_BITS : 1;
            localparam END = LAST_STRIPE - 1;
            wire [PHASES-1:0]   phase_one_q;
            wire [COLUMN_W-1:0] column_q;
            wire stripe_ends = column_q == LAST_IN_STRIPE[COLUMN_W-1:0];
            wire row_at_end = phase_one_q[PHASES-1] && column_q == END[COLUMN_W-1:0];
            assign phase = phase_one_q;
            assign column_wide = {{(32-COLUMN_W){1'b0}}, column_q};
            assign column_ends = 1'b1;
            assign last_beat = last_channel && row_at_end;
            wire [PHASES-1:0]   phase_one_d = phase_one_q << 1;
            wire [COLUMN_W-1:0] column_d = stripe_ends ? {COLUMN_W{1'b0}} : column_q + 1'b1;
            voted_reg #(
                .W(COLUMN_W),
                .RESET(LEAD[COLUMN_W-1:0]),
                .TMR(TMR)
            ) u_column (
                .clk(clk),
                .rst(rst || (beat && last_beat)),
                .enable(beat && last_channel),
                .d(column_d),
                .q(column_q)
            );
            voted_reg #(
                .W(PHASES),
                .RESET({{(PHASES-1){1'b0}}, 1'b1}),
                .TMR(TMR)
            ) u_phase (
                .clk(clk),
                .rst(rst || (beat && last_beat)),
                .enable(beat && last_channel && stripe_ends),
                .d(phase_one_d),
                .q(phase_one_q)
            );
        end else begin : gen_table
            wire [INDEX_W-1:0] index_q;
            wire [INDEX_W-1:0] group_q;
            wire [ENTRY_W-1:0] entry = TABLE[index_q * ENTRY_W +: ENTRY_W];
            wire [31:0] phase_wide = ({{(32-ENTRY_W){1'b0}}, entry} & ((32'd1 << (ENTRY_W - 1)) - 1)) >> COLUMN_BITS;
            wire last_index = index_q == LAST_INDEX[INDEX_W-1:0];
            assign column_wide = {{(32-ENTRY_W){1'b0}}, entry} & ((32'd1 << COLUMN_BITS) - 1);
            assign column_ends = entry[ENTRY_W-1];
            assign last_beat = column_ends && last_channel && last_index;
            for (h = 0; h < PHASES; h = h + 1) begin : gen_phase
                assign phase[h] = phase_wide == h;
            end
            wire [INDEX_W-1:0] next = last_index ? {INDEX_W{1'b0}} : index_q + 1'b1;
            wire [INDEX_W-1:0] index_d = (column_ends && !last_channel) ? group_q
                : column_ends ? next : index_q + 1'b1;
            voted_reg #(
                .W(INDEX_W),
                .TMR(TMR)
            ) u_index (
                .clk(clk),
                .rst(rst),
                .enable(beat),
                .d(index_d),
                .q(index_q)
            );
            voted_reg #(
                .W(INDEX_W),
                .TMR(TMR)
            ) u_group (
                .clk(clk),
                .rst(rst),
                .enable(beat && column_ends && last_channel),
                .d(next),
                .q(group_q)
            );
        end
    endgenerate

    // the address is made wide, then cut, its upper bits being zero: a field of no bits is a constant zero
    wire [31:0] slot_wide = {{(32-SLOT_W){1'b0}}, slot_q};
    wire [31:0] channel_wide = {{(32-CHANNEL_W){1'b0}}, channel_q};
    /* verilator lint_off UNUSEDSIGNAL */
    wire [31:0] address_wide = (slot_wide << (COLUMN_BITS + CHANNEL_BITS))
        | (column_wide << CHANNEL_BITS) | channel_wide;
    /* verilator lint_on UNUSEDSIGNAL */

    // one clock later the beat is written
    wire [SIDE*S_W-1:0]  data;
    generate
        genvar d;
        for (d = 0; d < SIDE; d = d + 1) begin : gen_data
            assign data[d*S_W +: X_W] = s_axis_tdata[d*X_W +: X_W];
            if (PARITY != 0) begin : gen_parity
                assign data[d*S_W+X_W] = ^s_axis_tdata[d*X_W +: X_W];
            end
        end
    endgenerate
    wire [PHASES-1:0]    phase_q;
    /* verilator lint_off UNUSEDSIGNAL */
    reg                  last_is_real_q;    // words that are written whole do not ask
    /* verilator lint_on UNUSEDSIGNAL */
    reg  [ADDRESS_W-1:0] address_q;
    /* verilator lint_off UNUSEDSIGNAL */
    reg  [SIDE*S_W-1:0]  data_q;            // a place of a beat may be one without a stripe
    /* verilator lint_on UNUSEDSIGNAL */
    // no write before the first reset: it could hit a column that only holds padding
    voted_reg #(
        .W(PHASES),
        .INITIAL(1),
        .TMR(TMR)
    ) u_write_phase (
        .clk(clk),
        .rst(rst || !beat),
        .enable(1'b1),
        .d(phase),
        .q(phase_q)
    );
    always @(posedge clk) begin
        last_is_real_q <= column_wide < LAST_STRIPE;
        address_q <= address_wide[ADDRESS_W-1:0];
        data_q <= data;
    end

    /* verilator lint_off UNUSEDSIGNAL */
    wire [STRIPES-1:0]     write;           // nor these
    /* verilator lint_on UNUSEDSIGNAL */
    wire [STRIPES*S_W-1:0] word;
    wire [READERS*STRIPES*S_W-1:0] stored;      // what is read, with parity bits
    generate
        genvar g, r;
        for (g = 0; g < STRIPES; g = g + 1) begin : gen_stripe
            if (g == STRIPES - 1 && SIDE > 1 && FILL != 0) begin : gen_last
                assign write[g] = phase_q[g % PHASES] && last_is_real_q;
            end else begin : gen_inner
                assign write[g] = phase_q[g % PHASES];
            end
            assign word[g*S_W +: S_W] = data_q[(g/PHASES)*S_W +: S_W];
        end
        for (r = 0; r < READERS; r = r + 1) begin : gen_reader
            if (DEPTH <= 64) begin : gen_lutram
                wire clear = rst || (read_enable && read_zero[r]);
                for (g = 0; g < STRIPES; g = g + 1) begin : gen_stripe
                    (* ram_style = "distributed" *) reg [S_W-1:0] memory [0:DEPTH-1];
                    reg [S_W-1:0] word_q;
                    if (FILL != 0) begin : gen_fill
                        integer w;
                        initial for (w = 0; w < DEPTH; w = w + 1) memory[w] = STORED_PAD;
                    end
                    always @(posedge clk) if (write[g]) memory[address_q] <= word[g*S_W +: S_W];
                    always @(posedge clk) begin
                        if (clear) word_q <= {S_W{1'b0}};
                        else if (read_enable) word_q <= memory[read_address[r*ADDRESS_W +: ADDRESS_W]];
                    end
                    assign stored[(r*STRIPES+g)*S_W +: S_W] = word_q;
                end
            end else begin : gen_block
                (* ram_style = "block" *) (* no_rw_check *) reg [STRIPES*S_W-1:0] memory [0:DEPTH-1];
                reg [STRIPES*S_W-1:0] read_q;
                reg [STRIPES*S_W-1:0] word_q;
                wire                  zero_q;
                wire [STRIPES*S_W-1:0] read;
                if (FILL != 0) begin : gen_fill
                    integer w;
                    initial for (w = 0; w < DEPTH; w = w + 1) memory[w] = {STRIPES{STORED_PAD}};
                end
                if (PHASES == 1 && FILL == 0) begin : gen_whole
                    always @(posedge clk) if (phase_q[0]) memory[address_q] <= word;
                end else begin : gen_parts
                    for (g = 0; g < STRIPES; g = g + 1) begin : gen_stripe
                        always @(posedge clk) if (write[g]) memory[address_q][g*S_W +: S_W] <= word[g*S_W +: S_W];
                    end
                end
                always @(posedge clk) if (read_enable) read_q <= memory[read_address[r*ADDRESS_W +: ADDRESS_W]];
                if (READ == 3) begin : gen_output
                    reg [STRIPES*S_W-1:0] output_q;
                    assign read = output_q;
                    always @(posedge clk) if (read_enable) output_q <= read_q;
                end else begin : gen_as_read
                    assign read = read_q;
                end
                wire clear = rst || (read_enable && zero_q);
                voted_reg #(
                    .STAGES(READ - 1),
                    .RESET(1'b1),
                    .TMR(TMR)
                ) u_zero (
                    .clk(clk),
                    .rst(rst),
                    .enable(read_enable),
                    .d(read_zero[r]),
                    .q(zero_q)
                );
                always @(posedge clk) begin
                    if (clear) word_q <= {(STRIPES*S_W){1'b0}};
                    else if (read_enable) word_q <= read;
                end
                assign stored[r*STRIPES*S_W +: STRIPES*S_W] = word_q;
            end
        end
        if (PARITY != 0) begin : gen_parity
            wire [READERS*STRIPES-1:0] odd;
            reg                        fault_q;
            for (g = 0; g < READERS * STRIPES; g = g + 1) begin : gen_odd
                assign odd[g] = ^stored[g*S_W +: S_W];
                assign read_word[g*X_W +: X_W] = stored[g*S_W +: X_W];
            end
            assign fault = fault_q;
            always @(posedge clk) begin
                if (rst) fault_q <= 1'b0;
                else fault_q <= |odd;
            end
        end else begin : gen_no_parity
            assign read_word = stored;
            assign fault = 1'b0;
        end
    endgenerate

endmodule
`default_nettype wire
