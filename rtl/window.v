// SPDX-License-Identifier: Apache-2.0
//
// A stream of pixels in, the window of each output pixel out: one or more pixels a cycle, any stride, dilation and
// padding.
//
// Pixels come in raster order, PIXELS side by side in a beat, a frame after the other. For OUTS output pixels that
// follow each other in a row `valid` is high for one clock in which `enable` is, and `taps` holds their windows, row by
// row, each tap a whole pixel: tap (i, j) of output k lies at [((k * TAP_ROWS + i) * TAP_COLUMNS + j) * DATA_W +:
// DATA_W]. A tap outside the frame holds PAD. Nothing moves without `enable`.
//
// With AHEAD registers say whether the window moves, as many registers wait for it: `enable` in the clock before. Each
// tap of a window, and the memory of rows, has one of its own; each decides by itself, so that no tool makes one of them.
// Then `valid` is high for one clock, two after the `enable` that it is owed to, whether `enable` is there or not.
//
// The frame is walked in slots, one a clock: slot n takes beat n, and the slots past the last beat, which the padding
// at the bottom and on the right asks for, take none. The windows of a row's outputs end OUT_SLOTS apart, so OUT_SLOTS
// * PIXELS is OUTS * COLUMN_STEP, if there are more than OUTS. Rows above the beat come from a memory of REACH_ROWS - 1
// rows.
//
// bench: sim/bench_window.py
`default_nettype none

module window #(
    parameter DATA_W = 8,            // bits of a pixel, all its channels
    parameter [DATA_W-1:0] PAD = 0,  // what a tap outside the frame holds
    parameter ROWS = 8,              // of the frame
    parameter COLUMNS = 8,           // of the frame
    parameter PIXELS = 1,            // in a beat: a divisor of COLUMNS
    parameter OUTS = 1,              // output pixels at a time: a divisor of OUT_COLUMNS
    parameter OUT_SLOTS = 1,         // slots from one of a row's groups of OUTS to the next
    parameter TAP_ROWS = 3,          // rows of a window
    parameter TAP_COLUMNS = 3,       // columns of a window
    parameter ROW_DILATION = 1,      // rows from one row of taps to the next
    parameter COLUMN_DILATION = 1,   // columns from one column of taps to the next
    parameter ROW_STEP = 1,          // rows from one row of windows to the next
    parameter COLUMN_STEP = 1,       // columns from one window of a row to the next
    parameter PAD_TOP = 1,           // rows of padding above the frame
    parameter PAD_LEFT = 1,          // columns of padding to the left of it
    parameter OUT_ROWS = 8,          // rows of windows
    parameter OUT_COLUMNS = 8,       // windows of a row
    parameter AHEAD = 0              // 1: whether it moves is decided a clock before
) (
    input  wire                                        clk,
    input  wire                                        rst,
    input  wire                                        enable,

    input  wire [PIXELS*DATA_W-1:0]                    s_axis_tdata,
    input  wire                                        s_axis_tvalid,
    output wire                                        s_axis_tready,

    output wire [OUTS*TAP_ROWS*TAP_COLUMNS*DATA_W-1:0] taps,
    output wire                                        valid
);

    localparam REACH_ROWS = ROW_DILATION * (TAP_ROWS - 1) + 1;
    localparam REACH_COLUMNS = COLUMN_DILATION * (TAP_COLUMNS - 1) + 1;
    localparam BEAT_W = PIXELS * DATA_W;
    localparam ROW_BEATS = COLUMNS / PIXELS;
    localparam BEATS = ROWS * ROW_BEATS;
    // the last column of a row's first OUTS windows, and pixels of its beat past it
    localparam ENDS = (OUTS - 1) * COLUMN_STEP + REACH_COLUMNS - 1 - PAD_LEFT;
    localparam BEHIND = PIXELS - 1 - ENDS % PIXELS;
    localparam FIRST = (REACH_ROWS - 1 - PAD_TOP) * ROW_BEATS + ENDS / PIXELS;
    localparam GROUPS = OUT_COLUMNS / OUTS;
    localparam LAST = FIRST + (OUT_ROWS - 1) * ROW_STEP * ROW_BEATS + (GROUPS - 1) * OUT_SLOTS;
    localparam SLOTS = (LAST + 1 > BEATS) ? LAST + 1 : BEATS;
    localparam END = SLOTS - 1;
    localparam SLOT_W = (SLOTS > 1) ? $clog2(SLOTS) : 1;
    localparam LAST_BEAT = ROW_BEATS - 1;
    localparam COLUMN_W = (ROW_BEATS > 1) ? $clog2(ROW_BEATS) : 1;
    localparam ROW_W = $clog2(ROWS + REACH_ROWS + PAD_TOP + 1);
    // does any window reach past the frame?
    localparam BELOW = (OUT_ROWS - 1) * ROW_STEP + REACH_ROWS - PAD_TOP > ROWS;
    localparam BESIDE = (OUT_COLUMNS - 1) * COLUMN_STEP + REACH_COLUMNS - PAD_LEFT > COLUMNS;
    localparam PADDED = (PAD_TOP > 0 || PAD_LEFT > 0 || BELOW || BESIDE) ? 1 : 0;

    generate
        if (COLUMNS % PIXELS != 0 || OUT_COLUMNS % OUTS != 0) begin : gen_check_pixels
            window_PIXELS_and_OUTS_must_divide_the_columns error_i ();
        end
        if (GROUPS > 1 && OUT_SLOTS * PIXELS != OUTS * COLUMN_STEP) begin : gen_check_slots
            window_OUT_SLOTS_must_be_OUTS_times_COLUMN_STEP_over_PIXELS error_i ();
        end
        if (ENDS < 0 || FIRST < 0) begin : gen_check_first
            window_PAD_TOP_and_PAD_LEFT_must_leave_a_pixel_in_the_first_window error_i ();
        end
        if ((GROUPS - 1) * OUT_SLOTS >= ROW_BEATS) begin : gen_check_columns
            window_OUT_COLUMNS_must_fit_in_a_row error_i ();
        end
    endgenerate

    // registers tell what a slot is: nothing but them decides whether it is over
    reg  [SLOT_W-1:0]   slot_q;
    wire                takes;       // this slot takes a beat
    wire                started;     // it is FIRST or later
    wire                at_end;      // it is the frame's last
    wire                before_end;  // it is the one before
    /* verilator lint_off UNUSEDSIGNAL */
    wire                tail_next;   // the slot behind it takes none: asked with AHEAD
    /* verilator lint_on UNUSEDSIGNAL */
    wire [BEAT_W-1:0]   beat;
    // the window moves: what each tap is told, the memory of rows, the counters
    localparam STEPS = TAP_ROWS * TAP_COLUMNS + 2;
    /* verilator lint_off UNUSEDSIGNAL */
    wire [STEPS-1:0]    steps;
    wire                step_rows = steps[STEPS-2];
    /* verilator lint_on UNUSEDSIGNAL */
    wire                step = steps[STEPS-1];

    generate
        if (AHEAD != 0) begin : gen_ahead
            reg  [STEPS-1:0]  steps_q;
            reg               waits_q;
            reg  [BEAT_W-1:0] beat_q;
            wire [STEPS-1:0]  leaves = steps_q & {STEPS{takes}};
            wire              comes = s_axis_tvalid && s_axis_tready;
            wire [STEPS-1:0]  waits = {STEPS{comes}} | ({STEPS{waits_q}} & ~leaves);
            assign s_axis_tready = !waits_q || leaves[STEPS-1];
            assign steps = steps_q;
            assign beat = beat_q;
            always @(posedge clk) begin
                if (comes) beat_q <= s_axis_tdata;
                if (rst) begin
                    steps_q <= {STEPS{1'b0}};
                    waits_q <= 1'b0;
                end else begin
                    steps_q <= {STEPS{enable}}
                        & (waits | (steps_q & {STEPS{tail_next}}) | (~steps_q & {STEPS{!takes}}));
                    waits_q <= waits[STEPS-1];
                end
            end
        end else begin : gen_enabled
            assign steps = {STEPS{enable && (s_axis_tvalid || !takes)}};
            assign s_axis_tready = enable && takes;
            assign beat = s_axis_tdata;
        end
    endgenerate

    always @(posedge clk) begin
        if (rst) slot_q <= 0;
        else if (step) slot_q <= at_end ? {SLOT_W{1'b0}} : slot_q + 1'b1;
    end

    generate
        if (SLOTS == 1) begin : gen_one_slot
            assign at_end = 1'b1;
            assign before_end = 1'b1;
        end else begin : gen_slots
            localparam BEFORE = END - 1;
            reg at_end_q;
            assign at_end = at_end_q;
            assign before_end = slot_q == BEFORE[SLOT_W-1:0];
            always @(posedge clk) begin
                if (rst) at_end_q <= 1'b0;
                else if (step) at_end_q <= before_end;
            end
        end
        if (SLOTS > BEATS) begin : gen_tail
            localparam LAST_TAKEN = BEATS - 1;
            reg tail_q;
            assign takes = !tail_q;
            assign tail_next = (tail_q || slot_q == LAST_TAKEN[SLOT_W-1:0]) && !at_end;
            always @(posedge clk) begin
                if (rst) tail_q <= 1'b0;
                else if (step) tail_q <= tail_next;
            end
        end else begin : gen_no_tail
            assign takes = 1'b1;
            assign tail_next = 1'b0;
        end
        if (FIRST == 0) begin : gen_at_once
            assign started = 1'b1;
        end else begin : gen_first
            localparam BEFORE = FIRST - 1;
            reg started_q;
            assign started = started_q;
            always @(posedge clk) begin
                if (rst) started_q <= 1'b0;
                else if (step) started_q <= (started_q || slot_q == BEFORE[SLOT_W-1:0]) && !at_end;
            end
        end
    endgenerate

    // the place of the window that ends in this slot, by its top left tap without padding: rows and columns from FIRST
    // on; are there windows in this row, and in this column or those behind?
    localparam LAST_ROW = (OUT_ROWS - 1) * ROW_STEP;
    localparam LAST_OUT = (GROUPS - 1) * OUT_SLOTS;
    reg  [ROW_W-1:0]    row_q;
    reg  [COLUMN_W-1:0] column_q;
    reg                 in_rows_q;
    reg                 in_columns_q;
    wire                row_ends;

    always @(posedge clk) begin
        if (rst || (step && at_end)) begin
            row_q <= 0;
            column_q <= 0;
            in_rows_q <= 1'b1;
            in_columns_q <= 1'b1;
        end else if (step && started) begin
            column_q <= row_ends ? {COLUMN_W{1'b0}} : column_q + 1'b1;
            in_columns_q <= row_ends || (in_columns_q && column_q != LAST_OUT[COLUMN_W-1:0]);
            if (row_ends) begin
                row_q <= row_q + 1'b1;
                in_rows_q <= in_rows_q && row_q != LAST_ROW[ROW_W-1:0];
            end
        end
    end

    // is there an output here?
    wire row_counts, column_counts;
    generate
        if (ROW_BEATS == 1) begin : gen_one_beat
            assign row_ends = 1'b1;
        end else begin : gen_beats
            localparam BEFORE = LAST_BEAT - 1;
            reg row_ends_q;
            assign row_ends = row_ends_q;
            always @(posedge clk) begin
                if (rst || (step && at_end)) row_ends_q <= 1'b0;
                else if (step && started) row_ends_q <= column_q == BEFORE[COLUMN_W-1:0];
            end
        end
        if (ROW_STEP == 1) begin : gen_each_row
            assign row_counts = in_rows_q;
        end else begin : gen_some_rows
            localparam STEP_W = $clog2(ROW_STEP);
            localparam LAST_PHASE = ROW_STEP - 1;
            reg  [STEP_W-1:0] phase_q;
            wire              phase_ends = phase_q == LAST_PHASE[STEP_W-1:0];
            always @(posedge clk) begin
                if (rst || (step && at_end)) phase_q <= 0;
                else if (step && started && row_ends) phase_q <= phase_ends ? {STEP_W{1'b0}} : phase_q + 1'b1;
            end
            assign row_counts = phase_q == 0 && in_rows_q;
        end
        if (OUT_SLOTS == 1) begin : gen_each_column
            assign column_counts = in_columns_q;
        end else begin : gen_some_columns
            localparam STEP_W = $clog2(OUT_SLOTS);
            localparam LAST_PHASE = OUT_SLOTS - 1;
            reg  [STEP_W-1:0] phase_q;
            wire              phase_ends = row_ends || phase_q == LAST_PHASE[STEP_W-1:0];
            always @(posedge clk) begin
                if (rst || (step && at_end)) phase_q <= 0;
                else if (step && started) phase_q <= phase_ends ? {STEP_W{1'b0}} : phase_q + 1'b1;
            end
            assign column_counts = phase_q == 0 && in_columns_q;
        end
    endgenerate

    reg valid_q;
    always @(posedge clk) begin
        if (rst) valid_q <= 1'b0;
        else if (AHEAD != 0 || enable) valid_q <= step && started && row_counts && column_counts;
    end
    assign valid = valid_q;

    // the beat of this slot and those above it, lowest row first
    wire [REACH_ROWS*BEAT_W-1:0] beats;
    assign beats[0 +: BEAT_W] = beat;
    generate
        if (REACH_ROWS > 1 && ROW_BEATS > 1) begin : gen_lines
            localparam WORD_W = (REACH_ROWS - 1) * BEAT_W;
            reg [COLUMN_W-1:0] at_q;
            reg [COLUMN_W-1:0] next_q;  // where the next slot is
            reg [WORD_W-1:0]   above_q;
            always @(posedge clk) begin
                if (rst) begin
                    at_q <= 0;
                    next_q <= 1;
                end else if (step) begin
                    at_q <= next_q;
                    next_q <= (before_end || next_q == LAST_BEAT[COLUMN_W-1:0]) ? {COLUMN_W{1'b0}} : next_q + 1'b1;
                end
            end
            if (ROW_BEATS <= 64) begin : gen_lutram
                (* ram_style = "distributed" *) reg [WORD_W-1:0] memory [0:ROW_BEATS-1];
                always @(posedge clk) if (step_rows) memory[at_q] <= beats[0 +: WORD_W];
                always @(posedge clk) if (step_rows) above_q <= memory[next_q];
            end else begin : gen_block
                (* ram_style = "block" *) reg [WORD_W-1:0] memory [0:ROW_BEATS-1];
                always @(posedge clk) if (step_rows) memory[at_q] <= beats[0 +: WORD_W];
                always @(posedge clk) if (step_rows) above_q <= memory[next_q];
            end
            assign beats[BEAT_W +: WORD_W] = above_q;
        end else if (REACH_ROWS > 1) begin : gen_column
            reg [(REACH_ROWS-1)*BEAT_W-1:0] above_q;
            always @(posedge clk) if (step_rows) above_q <= beats[0 +: (REACH_ROWS-1)*BEAT_W];
            assign beats[BEAT_W +: (REACH_ROWS-1)*BEAT_W] = above_q;
        end
    endgenerate

    // a chain of pixels along each row of taps, the newest first: place b holds the pixel b before the last one of this
    // slot; with dilation or several pixels a beat not all of them are taps
    localparam FARTHEST = BEHIND + (OUTS - 1) * COLUMN_STEP + REACH_COLUMNS - 1;
    localparam SHIFTS = (FARTHEST / PIXELS) + ((PADDED != 0) ? 0 : 1);  // without padding the taps are the chain itself
    generate
        genvar i, j, k, b;
        for (i = 0; i < TAP_ROWS; i = i + 1) begin : gen_row
            localparam NOW = (REACH_ROWS - 1 - i * ROW_DILATION) * PIXELS + PIXELS - 1;  // the newest pixel's place
            /* verilator lint_off UNUSEDSIGNAL */
            wire [(SHIFTS+1)*BEAT_W-1:0] chain;
            /* verilator lint_on UNUSEDSIGNAL */
            for (b = 0; b < PIXELS; b = b + 1) begin : gen_now
                assign chain[b*DATA_W +: DATA_W] = beats[(NOW-b)*DATA_W +: DATA_W];
            end
            for (b = 0; b < SHIFTS; b = b + 1) begin : gen_shift
                reg [BEAT_W-1:0] beat_q;
                always @(posedge clk) if (steps[i*TAP_COLUMNS+b%TAP_COLUMNS]) beat_q <= chain[b*BEAT_W +: BEAT_W];
                assign chain[(b+1)*BEAT_W +: BEAT_W] = beat_q;
            end
            for (k = 0; k < OUTS; k = k + 1) begin : gen_out
                for (j = 0; j < TAP_COLUMNS; j = j + 1) begin : gen_tap
                    localparam BACK = BEHIND + (OUTS - 1 - k) * COLUMN_STEP + REACH_COLUMNS - 1 - j * COLUMN_DILATION;
                    localparam PLACE = (k * TAP_ROWS + i) * TAP_COLUMNS + j;
                    // taps of the same pixel are told by the same register, and so are one themselves
                    localparam TOLD = (OUTS > 1) ? (k * COLUMN_STEP + j * COLUMN_DILATION) % TAP_COLUMNS : j;
                    if (PADDED == 0) begin : gen_plain
                        assign taps[PLACE*DATA_W +: DATA_W] = chain[(BACK+PIXELS)*DATA_W +: DATA_W];
                    end else begin : gen_padded
                        // the first row, and slot of a row, where the tap is inside, and the first where it no longer
                        // is
                        localparam TOP = PAD_TOP - i * ROW_DILATION;
                        localparam BOTTOM = ROWS + TOP;
                        localparam LEFT = PAD_LEFT - j * COLUMN_DILATION - k * COLUMN_STEP;
                        localparam LEFT_SLOT = (LEFT + PIXELS - 1) / PIXELS;
                        localparam RIGHT_SLOT = (COLUMNS + LEFT + PIXELS - 1) / PIXELS;
                        wire past_top, past_bottom, past_left, past_right;
                        if (TOP > 0) begin : gen_top
                            assign past_top = row_q < TOP[ROW_W-1:0];
                        end else begin : gen_no_top
                            assign past_top = 1'b0;
                        end
                        if (BOTTOM <= 0) begin : gen_all_bottom
                            assign past_bottom = 1'b1;
                        end else if (BOTTOM <= (OUT_ROWS - 1) * ROW_STEP) begin : gen_bottom
                            assign past_bottom = row_q >= BOTTOM[ROW_W-1:0];
                        end else begin : gen_no_bottom
                            assign past_bottom = 1'b0;
                        end
                        if (LEFT <= 0) begin : gen_no_left
                            assign past_left = 1'b0;
                        end else if (LEFT_SLOT > (GROUPS - 1) * OUT_SLOTS) begin : gen_all_left
                            assign past_left = 1'b1;
                        end else begin : gen_left
                            assign past_left = column_q < LEFT_SLOT[COLUMN_W-1:0];
                        end
                        if (COLUMNS + LEFT <= 0) begin : gen_all_right
                            assign past_right = 1'b1;
                        end else if (RIGHT_SLOT <= (GROUPS - 1) * OUT_SLOTS) begin : gen_right
                            assign past_right = column_q >= RIGHT_SLOT[COLUMN_W-1:0];
                        end else begin : gen_no_right
                            assign past_right = 1'b0;
                        end
                        wire past = past_top || past_bottom || past_left || past_right;
                        reg [DATA_W-1:0] tap_q;
                        always @(posedge clk) begin
                            if (steps[i*TAP_COLUMNS+TOLD]) tap_q <= past ? PAD : chain[BACK*DATA_W +: DATA_W];
                        end
                        assign taps[PLACE*DATA_W +: DATA_W] = tap_q;
                    end
                end
            end
        end
    endgenerate

endmodule
`default_nettype wire
