// SPDX-License-Identifier: Apache-2.0
// A stream of pixels in, the window of each output pixel out: one pixel a cycle, any stride, dilation and padding.
//
// Pixels come in raster order, a frame after the other. For each output pixel `valid` is high for one clock in which `enable` is, and
// `taps` holds them, row by row, each tap a whole pixel: tap (i, j) lies at [(i * TAP_COLUMNS + j) * DATA_W +: DATA_W]. A tap
// outside the frame holds PAD. Nothing moves without `enable`.
//
// The frame is walked in slots, one a clock: slot n takes pixel n, and the slots past the last pixel, which the padding at the bottom
// and on the right asks for, take none. The window of output (r, c) ends in slot
// FIRST + r * ROW_STEP * COLUMNS + c * COLUMN_STEP. Rows above the pixel come from a memory of REACH_ROWS - 1 rows.
//
// bench: sim/bench_window.py
`default_nettype none

module window #(
    parameter DATA_W = 8,            // bits in a pixel, all its channels
    parameter [DATA_W-1:0] PAD = 0,
    parameter ROWS = 8,              // of the frame
    parameter COLUMNS = 8,
    parameter TAP_ROWS = 3,
    parameter TAP_COLUMNS = 3,
    parameter ROW_DILATION = 1,
    parameter COLUMN_DILATION = 1,
    parameter ROW_STEP = 1,
    parameter COLUMN_STEP = 1,
    parameter PAD_TOP = 1,
    parameter PAD_LEFT = 1,
    parameter OUT_ROWS = 8,
    parameter OUT_COLUMNS = 8
) (
    input  wire                                   clk,
    input  wire                                   rst,
    input  wire                                   enable,

    input  wire [DATA_W-1:0]                      s_axis_tdata,
    input  wire                                   s_axis_tvalid,
    output wire                                   s_axis_tready,

    output wire [TAP_ROWS*TAP_COLUMNS*DATA_W-1:0] taps,
    output wire                                   valid
);

    // constants of 32 bits are cut to the width of a counter, whose greatest value may be one of them
    /* verilator lint_off UNUSEDSIGNAL */
    /* verilator lint_off CMPCONST */
    localparam REACH_ROWS = ROW_DILATION * (TAP_ROWS - 1) + 1;
    localparam REACH_COLUMNS = COLUMN_DILATION * (TAP_COLUMNS - 1) + 1;
    localparam PIXELS = ROWS * COLUMNS;
    localparam FIRST = (REACH_ROWS - 1 - PAD_TOP) * COLUMNS + REACH_COLUMNS - 1 - PAD_LEFT;
    localparam LAST = FIRST + (OUT_ROWS - 1) * ROW_STEP * COLUMNS + (OUT_COLUMNS - 1) * COLUMN_STEP;
    localparam SLOTS = (LAST + 1 > PIXELS) ? LAST + 1 : PIXELS;
    localparam END = SLOTS - 1;
    localparam SLOT_W = (SLOTS > 1) ? $clog2(SLOTS) : 1;
    localparam LAST_COLUMN = COLUMNS - 1;
    localparam COLUMN_W = (COLUMNS > 1) ? $clog2(COLUMNS) : 1;
    localparam ROW_W = $clog2(ROWS + REACH_ROWS + PAD_TOP + 1);
    // does any window reach past the frame?
    localparam BELOW = (OUT_ROWS - 1) * ROW_STEP + REACH_ROWS - PAD_TOP > ROWS;
    localparam BESIDE = (OUT_COLUMNS - 1) * COLUMN_STEP + REACH_COLUMNS - PAD_LEFT > COLUMNS;
    localparam PADDED = (PAD_TOP > 0 || PAD_LEFT > 0 || BELOW || BESIDE) ? 1 : 0;

    generate
        if (FIRST < 0) begin : gen_check_first
            window_PAD_TOP_and_PAD_LEFT_must_leave_a_pixel_in_the_first_window error_i ();
        end
        if ((OUT_COLUMNS - 1) * COLUMN_STEP >= COLUMNS) begin : gen_check_columns
            window_OUT_COLUMNS_must_fit_in_a_row error_i ();
        end
    endgenerate

    reg  [SLOT_W-1:0]   slot_q;
    wire                takes;     // this slot takes a pixel
    generate
        if (SLOTS > PIXELS) begin : gen_tail
            assign takes = slot_q < PIXELS[SLOT_W-1:0];
        end else begin : gen_no_tail
            assign takes = 1'b1;
        end
    endgenerate
    wire                step = enable && (s_axis_tvalid || !takes);
    wire                at_end = slot_q == END[SLOT_W-1:0];

    assign s_axis_tready = enable && takes;

    always @(posedge clk) begin
        if (rst) slot_q <= 0;
        else if (step) slot_q <= at_end ? {SLOT_W{1'b0}} : slot_q + 1'b1;
    end

    // the place of the window that ends in this slot, by its top left tap without padding: rows and columns from FIRST on
    reg  [ROW_W-1:0]    row_q;
    reg  [COLUMN_W-1:0] column_q;
    reg                 started_q;
    wire                starts = slot_q == FIRST[SLOT_W-1:0];
    wire                started = started_q || starts;
    wire                row_ends = column_q == LAST_COLUMN[COLUMN_W-1:0];

    always @(posedge clk) begin
        if (rst || (step && at_end)) begin
            row_q <= 0;
            column_q <= 0;
            started_q <= 1'b0;
        end else if (step && started) begin
            started_q <= 1'b1;
            column_q <= row_ends ? {COLUMN_W{1'b0}} : column_q + 1'b1;
            if (row_ends) row_q <= row_q + 1'b1;
        end
    end

    // is there an output here?
    wire row_counts, column_counts;
    generate
        if (ROW_STEP == 1) begin : gen_each_row
            localparam LAST_ROW = OUT_ROWS - 1;
            assign row_counts = row_q <= LAST_ROW[ROW_W-1:0];
        end else begin : gen_some_rows
            localparam STEP_W = $clog2(ROW_STEP);
            localparam LAST_ROW = (OUT_ROWS - 1) * ROW_STEP;
            localparam LAST_PHASE = ROW_STEP - 1;
            reg [STEP_W-1:0] phase_q;
            always @(posedge clk) begin
                if (rst || (step && at_end)) phase_q <= 0;
                else if (step && started && row_ends) phase_q <= (phase_q == LAST_PHASE[STEP_W-1:0]) ? {STEP_W{1'b0}} : phase_q + 1'b1;
            end
            assign row_counts = phase_q == 0 && row_q <= LAST_ROW[ROW_W-1:0];
        end
        if (COLUMN_STEP == 1) begin : gen_each_column
            localparam LAST_OUT = OUT_COLUMNS - 1;
            assign column_counts = column_q <= LAST_OUT[COLUMN_W-1:0];
        end else begin : gen_some_columns
            localparam STEP_W = $clog2(COLUMN_STEP);
            localparam LAST_OUT = (OUT_COLUMNS - 1) * COLUMN_STEP;
            localparam LAST_PHASE = COLUMN_STEP - 1;
            reg [STEP_W-1:0] phase_q;
            always @(posedge clk) begin
                if (rst || (step && at_end)) phase_q <= 0;
                else if (step && started) phase_q <= (row_ends || phase_q == LAST_PHASE[STEP_W-1:0]) ? {STEP_W{1'b0}} : phase_q + 1'b1;
            end
            assign column_counts = phase_q == 0 && column_q <= LAST_OUT[COLUMN_W-1:0];
        end
    endgenerate

    reg valid_q;
    always @(posedge clk) begin
        if (rst) valid_q <= 1'b0;
        else if (enable) valid_q <= step && started && row_counts && column_counts;
    end
    assign valid = valid_q;

    // the pixel of this slot and those above it, lowest row first
    wire [REACH_ROWS*DATA_W-1:0] pixels;
    assign pixels[0 +: DATA_W] = s_axis_tdata;
    generate
        if (REACH_ROWS > 1 && COLUMNS > 1) begin : gen_lines
            localparam WORD_W = (REACH_ROWS - 1) * DATA_W;
            reg [COLUMN_W-1:0] at_q;
            reg [WORD_W-1:0]   above_q;
            wire [COLUMN_W-1:0] next = (at_q == LAST_COLUMN[COLUMN_W-1:0] || at_end) ? {COLUMN_W{1'b0}} : at_q + 1'b1;
            always @(posedge clk) begin
                if (rst) at_q <= 0;
                else if (step) at_q <= next;
            end
            if (COLUMNS <= 64) begin : gen_lutram
                (* ram_style = "distributed" *) reg [WORD_W-1:0] memory [0:COLUMNS-1];
                always @(posedge clk) if (step) memory[at_q] <= pixels[0 +: WORD_W];
                always @(posedge clk) if (step) above_q <= memory[next];
            end else begin : gen_block
                (* ram_style = "block" *) reg [WORD_W-1:0] memory [0:COLUMNS-1];
                always @(posedge clk) if (step) memory[at_q] <= pixels[0 +: WORD_W];
                always @(posedge clk) if (step) above_q <= memory[next];
            end
            assign pixels[DATA_W +: WORD_W] = above_q;
        end else if (REACH_ROWS > 1) begin : gen_column
            reg [(REACH_ROWS-1)*DATA_W-1:0] above_q;
            always @(posedge clk) if (step) above_q <= pixels[0 +: (REACH_ROWS-1)*DATA_W];
            assign pixels[DATA_W +: (REACH_ROWS-1)*DATA_W] = above_q;
        end
    endgenerate

    // one chain of registers along each row of taps
    generate
        genvar i, j, k;
        for (i = 0; i < TAP_ROWS; i = i + 1) begin : gen_row
            wire [(REACH_COLUMNS+1)*DATA_W-1:0] chain;
            assign chain[0 +: DATA_W] = pixels[(REACH_ROWS-1-i*ROW_DILATION)*DATA_W +: DATA_W];
            // without padding the taps are the chain itself
            localparam LENGTH = (PADDED != 0) ? REACH_COLUMNS - 1 : REACH_COLUMNS;
            for (k = 0; k < REACH_COLUMNS; k = k + 1) begin : gen_chain
                if (k < LENGTH) begin : gen_register
                    reg [DATA_W-1:0] pixel_q;
                    always @(posedge clk) if (step) pixel_q <= chain[k*DATA_W +: DATA_W];
                    assign chain[(k+1)*DATA_W +: DATA_W] = pixel_q;
                end else begin : gen_none
                    assign chain[(k+1)*DATA_W +: DATA_W] = {DATA_W{1'b0}};
                end
            end
            for (j = 0; j < TAP_COLUMNS; j = j + 1) begin : gen_tap
                localparam BACK = REACH_COLUMNS - 1 - j * COLUMN_DILATION;
                localparam PLACE = i * TAP_COLUMNS + j;
                if (PADDED == 0) begin : gen_plain
                    assign taps[PLACE*DATA_W +: DATA_W] = chain[(BACK+1)*DATA_W +: DATA_W];
                end else begin : gen_padded
                    localparam TOP = PAD_TOP - i * ROW_DILATION;        // the first row, or column, where the tap is inside
                    localparam LEFT = PAD_LEFT - j * COLUMN_DILATION;
                    localparam BOTTOM = ROWS + TOP;                      // the first where it no longer is
                    localparam RIGHT = COLUMNS + LEFT;
                    wire past_top, past_bottom, past_left, past_right;
                    if (TOP > 0) begin : gen_above
                        assign past_top = row_q < TOP[ROW_W-1:0];
                    end else begin : gen_not_above
                        assign past_top = 1'b0;
                    end
                    if (BOTTOM <= 0) begin : gen_always_below
                        assign past_bottom = 1'b1;
                    end else if (BOTTOM <= (OUT_ROWS - 1) * ROW_STEP) begin : gen_below
                        assign past_bottom = row_q >= BOTTOM[ROW_W-1:0];
                    end else begin : gen_not_below
                        assign past_bottom = 1'b0;
                    end
                    if (LEFT > (OUT_COLUMNS - 1) * COLUMN_STEP) begin : gen_always_before
                        assign past_left = 1'b1;
                    end else if (LEFT > 0) begin : gen_before
                        assign past_left = column_q < LEFT[COLUMN_W-1:0];
                    end else begin : gen_not_before
                        assign past_left = 1'b0;
                    end
                    if (RIGHT <= 0) begin : gen_always_behind
                        assign past_right = 1'b1;
                    end else if (RIGHT <= (OUT_COLUMNS - 1) * COLUMN_STEP) begin : gen_behind
                        assign past_right = column_q >= RIGHT[COLUMN_W-1:0];
                    end else begin : gen_not_behind
                        assign past_right = 1'b0;
                    end
                    reg [DATA_W-1:0] tap_q;
                    always @(posedge clk) begin
                        if (step) tap_q <= (past_top || past_bottom || past_left || past_right) ? PAD : chain[BACK*DATA_W +: DATA_W];
                    end
                    assign taps[PLACE*DATA_W +: DATA_W] = tap_q;
                end
            end
        end
    endgenerate

endmodule
`default_nettype wire
