// SPDX-License-Identifier: Apache-2.0
//
// One layer: a stream in, a stream out, GROUPS output channels of LANES pixels at once, one term a cycle for all pixels
// of a channel.
//
//   line_memory -> GROUPS x (lane_select -> LANES x pe) -> requantize or rescale
//        ^ addresses, commands: term_sequencer
//
// DSP = 1 puts two lanes into a DSP slice each (pe_dsp), which wants its terms from the high exponent to the low: the
// list decides. MAC = 1 or 2 puts so many lanes into a DSP slice each that multiplies (pe_mac): a command of the list
// is a weight. A beat in brings SIDE pixels of a channel, a beat out LANES. The groups walk their channels in step:
// channel i of the list's order belongs to group i % GROUPS, and FINAL groups have one left in the last round. MAXIMUM
// = 0 adds terms (convolution, Linear, average pooling); MAXIMUM = 1 takes the greatest of the window (max pooling).
// The result sent is clamp(sum >> DROP, LOW, HIGH), where either end may be none and sum is the accumulator with its F
// bits below; with SCALERS what rescale.v makes of sum >> DROP.
//
// bench: sim/bench_term_lanes.py
`default_nettype none

module term_lanes #(
    // numbers
    parameter X_W = 8,                        // bits of an input activation
    parameter X_SIGNED = 0,                   // 1: input activations are two's complement
    parameter MAXIMUM = 0,                    // 1: the greatest of the window; 0: the sum of the terms
    parameter DSP = 0,                        // 1: two lanes in a DSP slice each, which adds terms
    parameter MAC = 0,                        // lanes in a DSP slice each, which multiplies: 1 or 2; 0: none
    parameter COMMAND_W = 2,                  // bits of an entry's command: of a weight with MAC, else 2
    /* verilator lint_off UNUSEDPARAM */
    parameter signed [63:0] BASE = 0,         // with MAC, which alone asks for it: what every sum begins with
    /* verilator lint_on UNUSEDPARAM */
    parameter W = 16,                         // bits of an accumulator
    parameter F = 0,                          // bits kept below the accumulator
    parameter DROP = 0,                       // low bits of W + F that are not sent
    parameter EVEN = 0,                       // 1: where all of them are zero, an odd result is one less (half even)
    parameter OUT_W = 8,                      // bits of a result
    parameter signed [63:0] LOW = 0,          // least result
    parameter signed [63:0] HIGH = 255,       // greatest result
    parameter NO_LOW = 0,                     // 1: there is no least result, whatever LOW
    parameter NO_HIGH = 0,                    // 1: there is no greatest result, whatever HIGH
    parameter IMMEDIATE_W = 8,                // bits of an immediate, up to W; X_W or more without MAC
    parameter [IMMEDIATE_W-1:0] PAD_VALUE = 0, // what a tap outside the frame adds, or is compared as
    // how sums are brought to levels where a clamp does not: see rescale.v, which alone asks for these
    parameter SCALERS = 0,                    // sums that are worked on at a time; 0: sums are clamped as they are
    /* verilator lint_off UNUSEDPARAM */
    parameter SCALER = 0,                     // 0: products in slices, 1: in lookup tables, 2: thresholds
    parameter PACE = 1,                       // clocks that a sum takes
    parameter SCALED_W = 18,                  // bits of a sum that are looked at
    parameter MULTIPLIER_W = 18,              // bits of a multiplier
    parameter BIAS_W = 24,                    // bits of what a bias is above LEAST_BIAS
    parameter BIAS_ZEROS = 0,                 // and zeros below these
    parameter signed [63:0] LEAST_BIAS = 0,   // the least bias
    parameter TIES_W = 0,                     // bits of what is a tie; 0: there is none
    parameter PRODUCT_W = 40,                 // bits of a product with its bias
    parameter SHIFT = 16,                     // low bits of it that are dropped
    parameter SCALE_FILE = "",                // the channels' numbers for $readmemh
    parameter SCALE_DEPTH = 2,                // channels that have numbers of their own
    parameter SCALE_CHECK = 0,                // of that file, see term_rom.v
    /* verilator lint_on UNUSEDPARAM */
    // the list
    parameter FILE = "",                      // the list for $readmemh, see term_rom.v
    parameter TERMS = 2,                      // words of the list; with LOAD of the list at power-up
    parameter LOAD = 0,                       // 0: a ROM, 1: can be written, 2: an UltraRAM, empty at power-up
    parameter DEPTH = TERMS,                  // words of the list's memory; TERMS without LOAD
    parameter ROM_ROWS = DEPTH,               // words of a bank of it, see term_rom.v
    parameter CHECK = 0,                      // of the list's words, see term_rom.v
    parameter PAYLOAD_W = 6,                  // bits of an entry's payload: a place, a distance, an immediate
    parameter GROUPS = 1,                     // output channels at once, terms in a word
    parameter FINAL = 1,                      // groups that have a channel in a pixel's last round
    parameter GAPS = 0,                       // 1: a payload is a distance from the place before; 0: the place
    parameter SHARED = 0,                     // 1: one list for all channels (a pool)
    parameter REPEAT = 1,                     // times that the list is walked for an output, see term_sequencer.v
    parameter TURN = 0,                       // with REPEAT: input channels from one time to the next
    parameter MODES = 1,                      // lists, one of which a frame has, see term_sequencer.v
    parameter [32*MODES-1:0] LASTS = 0,       // with MODES: the last word of each, that of mode 0 lowest
    parameter IN_FLIGHT = 2,                  // with MODES: places of the ring that says a frame's mode, see mode_ring.v
    parameter MODE_ENDS = 0,                  // 1: results lie between the ends of their mode, not LOW and HIGH
    /* verilator lint_off UNUSEDPARAM */
    parameter [64*MODES-1:0] LOWS = 0,        // with MODE_ENDS, which alone asks for it: least result of each mode
    parameter [64*MODES-1:0] HIGHS = 0,       // with MODE_ENDS, which alone asks for it: greatest result of each mode
    /* verilator lint_on UNUSEDPARAM */
    /* verilator lint_off UNUSEDPARAM */
    parameter EAGER = 0,                      // 1: sums may follow each other without a clock between, see requantize.v
    /* verilator lint_on UNUSEDPARAM */
    // the window and the output
    parameter LANES = 4,                      // output pixels of a row at once, in each group
    parameter OUT_ROWS = 32,                  // rows of the output
    parameter OUT_STRIPE = 8,                 // output columns of a lane
    parameter REACH_ROWS = 3,                 // input rows from a window's first to its last
    parameter REACH_COLUMNS = 3,              // input columns from a window's first to its last
    parameter ROW_STEP = 1,                   // input rows from one output row to the next
    parameter COLUMN_STEP = 1,                // input columns from one output column to the next
    parameter PAD_LEFT = 1,                   // columns of padding left of the frame
    parameter PAD_TOP = 1,                    // rows of padding above it
    parameter PAD_BOTTOM = 1,                 // rows of padding below it
    // the input and its memory
    parameter SIDE = 1,                       // pixels of a channel in a beat in
    parameter STRIPES = 4,                    // column stripes of the memory
    parameter STRIPE = 8,                     // columns of a stripe
    parameter LEAD = 0,                       // columns of the first stripe left of the frame; 0 if SIDE is not 1
    parameter LAST_STRIPE = STRIPE,           // columns of the last stripe up to the frame's end
    parameter PHASES = STRIPES,               // stripes that a place of a beat may go to; STRIPES if SIDE is 1
    parameter CHANNELS = 4,                   // input channels
    parameter ROWS = 32,                      // real rows of the input
    parameter RING = 4,                       // rows that the memory holds
    // as in line_memory.v, not to be set
    parameter BEATS = (SIDE > 1) ? PHASES * STRIPE : (STRIPES - 1) * STRIPE + LAST_STRIPE - LEAD, // of a row's channel
    parameter ENTRY_W = 1 + $clog2(PHASES) + $clog2(STRIPE), // bits of an entry in TABLE
    // where each beat of a row's channel goes
    parameter [BEATS*ENTRY_W-1:0] TABLE = 0,  // see line_memory.v
    // protection
    parameter PARITY = 0,                     // 1: of what the input's memory holds, see line_memory.v
    parameter CODE_W = 0,                     // check bits of a word of the list, see word_code.v
    parameter TMR = 0,                        // 1: three copies of each register of control, see voted_reg.v
    // as in term_sequencer.v, not to be set
    parameter WORD_W = 1 + ((SHARED != 0) ? 1 : GROUPS) * (COMMAND_W + 1 + PAYLOAD_W), // bits of a word
    // which bits of a word the check bits look at
    parameter [((CODE_W > 0) ? CODE_W * WORD_W : 1)-1:0] CODE = 0, // see word_code.v
    // device
    parameter XILINX = 0,                     // primitives of a device family, see pe.v and clamp.v
    // bits of `modes`; not to be set
    parameter MODES_W = (MODES > 1) ? $clog2(IN_FLIGHT) + 1 + IN_FLIGHT * $clog2(MODES) : 1
) (
    input  wire             clk,
    input  wire             rst,

    input  wire [SIDE*X_W-1:0]    s_axis_tdata,
    input  wire                   s_axis_tvalid,
    output wire                   s_axis_tready,

    output wire [LANES*OUT_W-1:0] m_axis_tdata,
    output wire                   m_axis_tvalid,
    input  wire                   m_axis_tready,

    /* verilator lint_off UNUSEDSIGNAL */
    input  wire [MODES_W-1:0]     modes,      // with MODES: see mode_ring.v
    /* verilator lint_on UNUSEDSIGNAL */

    // another list for the same layer, with LOAD; load = {begins, writes, 32 bits of data}: see term_loader.v
    input  wire                   load_select,
    input  wire [33:0]            load,
    output wire                   loaded,

    // protection, a clock each: what was read was wrong, or was put right
    output wire                   fault,
    output wire                   repaired
);

    // a frame's rows, with padding rows: what an output row waits for, and the last one
    localparam LAST_STEP = PAD_TOP + ROWS + PAD_BOTTOM - (OUT_ROWS - 1) * ROW_STEP;
    localparam REACH_OR_STEP = (REACH_ROWS > ROW_STEP) ? REACH_ROWS : ROW_STEP;
    localparam NEED = (OUT_ROWS > 1) ? REACH_OR_STEP : LAST_STEP;
    // distances in stripes: from a lane's own to the next lane's, and to those that its window lies in, of which a lane
    // alone has some in the memory and none outside
    localparam LANE_STEP = (LANES > 1) ? OUT_STRIPE * COLUMN_STEP / STRIPE : 1;
    localparam FIRST_LEG = -((PAD_LEFT - LEAD + STRIPE - 1) / STRIPE);
    localparam FIRST_COLUMN = LEAD - PAD_LEFT - FIRST_LEG * STRIPE;
    localparam ALL_LEGS = (FIRST_COLUMN + (OUT_STRIPE - 1) * COLUMN_STEP + REACH_COLUMNS - 1) / STRIPE + 1;
    localparam BEFORE = (LANES == 1) ? -FIRST_LEG : 0;
    localparam BEHIND = ALL_LEGS - BEFORE;
    localparam LEGS = (LANES > 1 || BEHIND < STRIPES) ? BEHIND : STRIPES;
    localparam ADDRESS_BITS = $clog2(RING) + $clog2(STRIPE) + $clog2(CHANNELS);
    localparam ADDRESS_W = (ADDRESS_BITS > 0) ? ADDRESS_BITS : 1;
    localparam LEG_W = (LEGS > 1) ? $clog2(LEGS) : 1;
    // clocks of the line memory: the output register of Xilinx's block RAMs has a reset of its own
    localparam READ = (RING << ($clog2(STRIPE) + $clog2(CHANNELS)) <= 64) ? 1 : (XILINX != 0) ? 2 : 3;
    localparam SUM_W = W + F;
    localparam SENT_W = SUM_W - DROP;
    localparam REST_W = (EVEN != 0) ? DROP : 0;
    localparam UNSENT = DROP - REST_W;
    localparam LOADED_W = SENT_W + REST_W;
    localparam MODE_W = (MODES > 1) ? $clog2(MODES) : 1;
    localparam [IMMEDIATE_W+X_W-1:0] PAD_EXTENDED = {{X_W{1'b0}}, PAD_VALUE};

    generate
        if (LANES < 1) begin : gen_check_lanes
            term_lanes_LANES_must_be_at_least_1 error_i ();
        end
        if (GROUPS < 1) begin : gen_check_groups
            term_lanes_GROUPS_must_be_at_least_1 error_i ();
        end
        if (LAST_STEP < REACH_ROWS || REACH_ROWS < 1) begin : gen_check_rows
            term_lanes_ROWS_with_padding_must_hold_every_window error_i ();
        end
        if (LANES > 1 && OUT_STRIPE * COLUMN_STEP % STRIPE != 0) begin : gen_check_stripe
            term_lanes_STRIPE_must_divide_the_columns_of_a_lane error_i ();
        end
        if (DROP < 0 || DROP >= SUM_W) begin : gen_check_drop
            term_lanes_DROP_must_be_0_to_below_W_with_F error_i ();
        end
        if (EVEN != 0 && (MAXIMUM != 0 || SCALERS != 0)) begin : gen_check_even
            term_lanes_EVEN_must_be_0_with_MAXIMUM_or_SCALERS error_i ();
        end
        if (SCALERS != 0 && DROP != 0) begin : gen_check_scaled
            term_lanes_DROP_must_be_0_with_SCALERS error_i ();
        end
        if (REPEAT > 1 && FINAL != GROUPS) begin : gen_check_repeat
            term_lanes_FINAL_must_be_GROUPS_with_REPEAT error_i ();
        end
        if (MODE_ENDS != 0 && (MODES == 1 || MAXIMUM != 0 || SCALERS != 0)) begin : gen_check_modes
            term_lanes_MODE_ENDS_must_be_0_without_MODES_and_with_MAXIMUM_or_SCALERS error_i ();
        end
        if (SENT_W > 64) begin : gen_check_sent
            term_lanes_W_with_F_less_DROP_must_be_up_to_64 error_i ();
        end
        if ((DSP != 0 || MAC != 0) && (MAXIMUM != 0 || F != 0)) begin : gen_check_dsp
            term_lanes_MAXIMUM_and_F_must_be_0_with_DSP_or_MAC error_i ();
        end
        if (DSP != 0 && MAC != 0) begin : gen_check_kind
            term_lanes_DSP_must_be_0_with_MAC error_i ();
        end
        if (MAC != 0 && PAD_VALUE != 0) begin : gen_check_pad
            term_lanes_PAD_VALUE_must_be_0_with_MAC error_i ();
        end
        if ((MAC == 0 && IMMEDIATE_W < X_W) || IMMEDIATE_W > W) begin : gen_check_immediate
            term_lanes_IMMEDIATE_W_must_be_X_W_to_W error_i ();
        end
        if (BEHIND < 1) begin : gen_check_lead
            term_lanes_PAD_LEFT_must_leave_a_window_in_the_frame error_i ();
        end
        if (RING < NEED || RING < LAST_STEP) begin : gen_check_ring
            term_lanes_RING_must_hold_the_rows_of_a_window_and_of_a_step error_i ();
        end
    endgenerate

    wire                    line_fault;
    wire                    list_fault;
    assign fault = line_fault || list_fault;

    wire                    row_written;
    wire                    freed;
    wire                    freed_last;
    wire [GROUPS*ADDRESS_W-1:0]   address_2;
    wire [GROUPS-1:0]             zero_2;
    wire [GROUPS*STRIPES*X_W-1:0] word_3;
    wire [GROUPS*LEG_W-1:0]       leg_3;
    /* verilator lint_off UNUSEDSIGNAL */
    wire [GROUPS-1:0]             use_immediate_3;    // of slices that add terms alone
    /* verilator lint_on UNUSEDSIGNAL */
    wire [GROUPS*IMMEDIATE_W-1:0] immediate_3;
    wire [GROUPS*COMMAND_W-1:0]    command_3;
    wire                          last_3;
    wire                          final_3;
    /* verilator lint_off UNUSEDSIGNAL */
    wire [MODE_W-1:0]             mode_3;             // with MODE_ENDS alone
    /* verilator lint_on UNUSEDSIGNAL */
    wire                          enable;

    line_memory #(
        .X_W(X_W),
        .STRIPES(STRIPES),
        .SIDE(SIDE),
        .PHASES(PHASES),
        .READERS(GROUPS),
        .READ(READ),
        .STRIPE(STRIPE),
        .LEAD(LEAD),
        .LAST_STRIPE(LAST_STRIPE),
        .CHANNELS(CHANNELS),
        .RING(RING),
        .ROWS(ROWS),
        .PAD_TOP(PAD_TOP),
        .PAD_BOTTOM(PAD_BOTTOM),
        .ROW_STEP((OUT_ROWS > 1) ? ROW_STEP : LAST_STEP),
        .LAST_STEP(LAST_STEP),
        .PAD_VALUE(PAD_EXTENDED[X_W-1:0]),
        .PARITY(PARITY),
        .TMR(TMR),
        .TABLE(TABLE)
    ) u_line_memory (
        .clk(clk),
        .rst(rst),
        .s_axis_tdata(s_axis_tdata),
        .s_axis_tvalid(s_axis_tvalid),
        .s_axis_tready(s_axis_tready),
        .row_written(row_written),
        .freed(freed),
        .freed_last(freed_last),
        .read_enable(enable),
        .read_zero(zero_2),
        .read_address(address_2),
        .read_word(word_3),
        .fault(line_fault)
    );

    wire [MODE_W-1:0] mode;
    wire              mode_known;
    wire              mode_taken;
    generate
        if (MODES > 1) begin : gen_modes
            mode_reader #(
                .MODES(MODES),
                .DEPTH(IN_FLIGHT)
            ) u_mode_reader (
                .clk(clk),
                .rst(rst),
                .modes(modes),
                .mode(mode),
                .known(mode_known),
                .taken(mode_taken)
            );
        end else begin : gen_mode
            wire unused = mode_taken;
            assign mode = {MODE_W{1'b0}};
            assign mode_known = 1'b1;
        end
    endgenerate

    term_sequencer #(
        .FILE(FILE),
        .TERMS(TERMS),
        .LOAD(LOAD),
        .DEPTH(DEPTH),
        .ROM_ROWS(ROM_ROWS),
        .GROUPS(GROUPS),
        .GAPS(GAPS),
        .MAC((MAC != 0) ? 1 : 0),
        .COMMAND_W(COMMAND_W),
        .SHARED(SHARED),
        .REPEAT(REPEAT),
        .TURN(TURN),
        .MODES(MODES),
        .LASTS(LASTS),
        .CHECK(CHECK),
        .TAP_ROW_BITS($clog2(REACH_ROWS)),
        .TAP_COLUMN_BITS($clog2(REACH_COLUMNS)),
        .PAYLOAD_W(PAYLOAD_W),
        .CHANNELS(CHANNELS),
        .RING(RING),
        .READ(READ),
        .ROWS(ROWS),
        .PAD_TOP(PAD_TOP),
        .REACH_ROWS(REACH_ROWS),
        .OUT_ROWS(OUT_ROWS),
        .OUT_STRIPE(OUT_STRIPE),
        .ROW_STEP(ROW_STEP),
        .COLUMN_STEP(COLUMN_STEP),
        .NEED(NEED),
        .LAST_STEP(LAST_STEP),
        .IN_STRIPE(STRIPE),
        .FIRST_COLUMN(FIRST_COLUMN),
        .BEFORE(BEFORE),
        .LEGS(LEGS),
        .AFTER(BEHIND - LEGS),
        .IMMEDIATE_W(IMMEDIATE_W),
        .PAD_VALUE(PAD_VALUE),
        .CODE_W(CODE_W),
        .TMR(TMR),
        .CODE(CODE)
    ) u_term_sequencer (
        .clk(clk),
        .rst(rst),
        .enable(enable),
        .row_written(row_written),
        .freed(freed),
        .freed_last(freed_last),
        .mode(mode),
        .mode_known(mode_known),
        .mode_taken(mode_taken),
        .address_2(address_2),
        .zero_2(zero_2),
        .leg_3(leg_3),
        .use_immediate_3(use_immediate_3),
        .immediate_3(immediate_3),
        .command_3(command_3),
        .last_3(last_3),
        .final_3(final_3),
        .mode_3(mode_3),
        .load_select(load_select),
        .load(load),
        .loaded(loaded),
        .fault(list_fault),
        .repaired(repaired)
    );

    // stage 4: operands and command at the accumulators; a DSP slice gives its sums one stage later, two if it
    // multiplies
    localparam LATE = (MAC != 0) ? 2 : (DSP != 0) ? 1 : 0;
    wire          ends;
    wire          is_final;
    wire          full;

    voted_reg #(
        .STAGES(1 + LATE),
        .TMR(TMR)
    ) u_last (
        .clk(clk),
        .rst(rst),
        .enable(enable),
        .d(last_3),
        .q(ends)
    );
    voted_reg #(
        .STAGES(1 + LATE),
        .TMR(TMR)
    ) u_final (
        .clk(clk),
        .rst(1'b0),
        .enable(enable),
        .d(final_3),
        .q(is_final)
    );

    // the whole pipeline holds while finished sums find the requantizer full
    assign enable = !(ends && full);

    wire [GROUPS*LANES*LOADED_W-1:0] sums;
    generate
        genvar g, l, k;
        for (g = 0; g < GROUPS; g = g + 1) begin : gen_group
            wire [LANES*X_W-1:0]       operands_3;
            wire [COMMAND_W-1:0]       group_command_3 = command_3[g*COMMAND_W +: COMMAND_W];
            wire [IMMEDIATE_W-1:0]     group_immediate_3 = immediate_3[g*IMMEDIATE_W +: IMMEDIATE_W];

            lane_select #(
                .X_W(X_W),
                .STRIPES(STRIPES),
                .LANES(LANES),
                .LANE_STEP(LANE_STEP),
                .FIRST_LEG(FIRST_LEG + BEFORE),
                .LEGS(LEGS),
                .PAD_VALUE(PAD_EXTENDED[X_W-1:0]),
                .XILINX(XILINX)
            ) u_lane_select (
                .word(word_3[g*STRIPES*X_W +: STRIPES*X_W]),
                .leg(leg_3[g*LEG_W +: LEG_W]),
                .operands(operands_3)
            );

            if (MAC != 0) begin : gen_mac
                // a slice has the registers of stage 4 itself, and those of stage 5 for its sum's command, which so
                // comes from stage 4
                wire                   first_4q;
                wire [IMMEDIATE_W-1:0] immediate_4q;
                voted_reg #(
                    .STAGES(2),
                    .RESET(1'b1),
                    .TMR(TMR)
                ) u_first (
                    .clk(clk),
                    .rst(rst),
                    .enable(enable),
                    .d(last_3),
                    .q(first_4q)
                );
                voted_reg #(
                    .W(IMMEDIATE_W),
                    .TMR(TMR)
                ) u_immediate (
                    .clk(clk),
                    .rst(rst),
                    .enable(enable),
                    .d(group_immediate_3),
                    .q(immediate_4q)
                );
                for (l = 0; l < LANES; l = l + MAC) begin : gen_slice
                    localparam USED = (l + MAC <= LANES) ? MAC : 1;
                    wire [MAC*X_W-1:0] x;
                    /* verilator lint_off UNUSEDSIGNAL */
                    wire [MAC*W-1:0]   sum;     // DROP low bits of each are not sent
                    /* verilator lint_on UNUSEDSIGNAL */
                    assign x[USED*X_W-1:0] = operands_3[l*X_W +: USED*X_W];
                    if (USED < MAC) begin : gen_alone
                        assign x[MAC*X_W-1:X_W] = {X_W{1'b0}};
                    end
                    for (k = 0; k < USED; k = k + 1) begin : gen_lane
                        assign sums[(g*LANES+l+k)*LOADED_W +: LOADED_W] = sum[k*W+UNSENT +: LOADED_W];
                    end
                    pe_mac #(
                        .PRODUCTS(MAC),
                        .X_W(X_W),
                        .X_SIGNED(X_SIGNED),
                        .WEIGHT_W(COMMAND_W),
                        .IMMEDIATE_W(IMMEDIATE_W),
                        .W(W),
                        .BASE(BASE),
                        .XILINX(XILINX)
                    ) u_pe_mac (
                        .clk(clk),
                        .enable(enable),
                        .weight(group_command_3),
                        .x(x),
                        .first(first_4q),
                        .immediate(immediate_4q),
                        .sum(sum)
                    );
                end
            end else if (DSP != 0) begin : gen_dsp
                // a slice has the registers of stage 4 itself; sums begin anew behind the last term of another
                wire first_3q;
                wire [W-1:0] wide_immediate;
                if (W > IMMEDIATE_W) begin : gen_wide
                    assign wide_immediate = {{(W-IMMEDIATE_W){group_immediate_3[IMMEDIATE_W-1]}}, group_immediate_3};
                end else begin : gen_whole
                    assign wide_immediate = group_immediate_3;
                end
                voted_reg #(
                    .RESET(1'b1),
                    .TMR(TMR)
                ) u_first (
                    .clk(clk),
                    .rst(rst),
                    .enable(enable),
                    .d(last_3),
                    .q(first_3q)
                );
                for (l = 0; l < LANES; l = l + 2) begin : gen_pair
                    /* verilator lint_off UNUSEDSIGNAL */
                    wire [2*W-1:0] sum;         // DROP low bits of each are not sent
                    /* verilator lint_on UNUSEDSIGNAL */
                    wire [2*W-1:0] x;
                    assign sums[(g*LANES+l)*LOADED_W +: LOADED_W] = sum[W-1:UNSENT];
                    if (l + 1 < LANES) begin : gen_both
                        assign sums[(g*LANES+l+1)*LOADED_W +: LOADED_W] = sum[2*W-1:W+UNSENT];
                    end
                    for (k = 0; k < 2; k = k + 1) begin : gen_operand
                        if (l + k < LANES) begin : gen_lane
                            wire [X_W-1:0] operand = operands_3[(l+k)*X_W +: X_W];
                            if (W > X_W) begin : gen_extended
                                assign x[k*W +: W] = {{(W-X_W){(X_SIGNED != 0) && operand[X_W-1]}}, operand};
                            end else begin : gen_whole
                                assign x[k*W +: W] = operand;
                            end
                        end else begin : gen_none
                            assign x[k*W +: W] = {W{1'b0}};
                        end
                    end
                    pe_dsp #(
                        .W(W),
                        .XILINX(XILINX)
                    ) u_pe_dsp (
                        .clk(clk),
                        .enable(enable),
                        .first(first_3q),
                        .shift(group_command_3[1]),
                        .negate(group_command_3[0]),
                        .use_immediate(use_immediate_3[g]),
                        .immediate(wide_immediate),
                        .x(x),
                        .sum(sum)
                    );
                end
            end else begin : gen_luts
                reg  [LANES*X_W-1:0] operands_4q;
                wire [LANES*W-1:0]   extended_4;
                /* verilator lint_off UNUSEDSIGNAL */
                wire               shift_4q;    // a maximum uses neither
                wire               negate_4q;
                /* verilator lint_on UNUSEDSIGNAL */
                wire               rst_q;
                // the operand register has no reset: one clock more and its old content is gone
                wire clear = rst || rst_q || (enable && ends);

                voted_reg #(
                    .TMR(TMR)
                ) u_rst (
                    .clk(clk),
                    .rst(1'b0),
                    .enable(1'b1),
                    .d(rst),
                    .q(rst_q)
                );

                // an immediate comes with activations that are zero: its ones are set, bit by bit, in the registers
                for (k = 0; k < X_W; k = k + 1) begin : gen_operand
                    for (l = 0; l < LANES; l = l + 1) begin : gen_lane
                        always @(posedge clk) begin
                            if (enable) begin
                                if (group_immediate_3[k]) operands_4q[l*X_W+k] <= 1'b1;
                                else operands_4q[l*X_W+k] <= operands_3[l*X_W+k];
                            end
                        end
                    end
                end
                // the bits above X_W are the immediate's own, of one register for all lanes, or an activation's sign
                for (k = 0; k < W; k = k + 1) begin : gen_extended
                    localparam FROM = (k < IMMEDIATE_W) ? k : IMMEDIATE_W - 1;
                    if (k < X_W) begin : gen_low
                        for (l = 0; l < LANES; l = l + 1) begin : gen_lane
                            assign extended_4[l*W+k] = operands_4q[l*X_W+k];
                        end
                    end else if (X_SIGNED == 0) begin : gen_shared
                        reg above_q;
                        always @(posedge clk) if (enable) above_q <= group_immediate_3[FROM];
                        assign extended_4[k] = above_q;
                        for (l = 1; l < LANES; l = l + 1) begin : gen_lane
                            assign extended_4[l*W+k] = above_q;
                        end
                    end else begin : gen_own
                        for (l = 0; l < LANES; l = l + 1) begin : gen_lane
                            reg above_q;
                            always @(posedge clk) begin
                                if (enable) begin
                                    if (group_immediate_3[FROM]) above_q <= 1'b1;
                                    else above_q <= operands_3[l*X_W+X_W-1];
                                end
                            end
                            assign extended_4[l*W+k] = above_q;
                        end
                    end
                end

                voted_reg #(
                    .W(2),
                    .TMR(TMR)
                ) u_command (
                    .clk(clk),
                    .rst(rst),
                    .enable(enable),
                    .d(group_command_3[1:0]),
                    .q({shift_4q, negate_4q})
                );

                for (l = 0; l < LANES; l = l + 1) begin : gen_lane
                    /* verilator lint_off UNUSEDSIGNAL */
                    wire [SUM_W-1:0] sum;       // DROP low bits are not sent
                    /* verilator lint_on UNUSEDSIGNAL */
                    if (MAXIMUM != 0) begin : gen_max
                        pe_max #(
                            .W(W),
                            .SIGNED(X_SIGNED)
                        ) u_pe_max (
                            .clk(clk),
                            .clear(clear),
                            .enable(enable),
                            .x(extended_4[l*W +: W]),
                            .sum(sum)
                        );
                    end else begin : gen_sum
                        pe #(
                            .W(W),
                            .F(F),
                            .STICKY(EVEN),
                            .LATE((SCALERS != 0) ? 1 : 0),
                            .XILINX(XILINX)
                        ) u_pe (
                            .clk(clk),
                            .clear(clear),
                            .enable(enable),
                            .shift(shift_4q),
                            .negate(negate_4q),
                            .x(extended_4[l*W +: W]),
                            .sum(sum)
                        );
                    end
                    assign sums[(g*LANES+l)*LOADED_W +: LOADED_W] = sum[SUM_W-1:UNSENT];
                end
            end
        end
    endgenerate

    generate
        if (SCALERS != 0) begin : gen_rescale
            rescale #(
                .LANES(LANES),
                .GROUPS(GROUPS),
                .FINAL(FINAL),
                .IN_W(LOADED_W),
                .LATE_W(F),
                .OUT_W(OUT_W),
                .LOW(LOW),
                .HIGH(HIGH),
                .NO_LOW(NO_LOW),
                .NO_HIGH(NO_HIGH),
                .SCALER(SCALER),
                .SCALERS(SCALERS),
                .PACE(PACE),
                .X_W(SCALED_W),
                .M_W(MULTIPLIER_W),
                .BIAS_W(BIAS_W),
                .BIAS_ZEROS(BIAS_ZEROS),
                .BASE(LEAST_BIAS),
                .TIES_W(TIES_W),
                .P_W(PRODUCT_W),
                .SHIFT(SHIFT),
                .FILE(SCALE_FILE),
                .DEPTH(SCALE_DEPTH),
                .CHECK(SCALE_CHECK),
                .XILINX(XILINX)
            ) u_rescale (
                .clk(clk),
                .rst(rst),
                .load(enable && ends),
                .is_final(is_final),
                .sums(sums),
                .full(full),
                .m_axis_tdata(m_axis_tdata),
                .m_axis_tvalid(m_axis_tvalid),
                .m_axis_tready(m_axis_tready)
            );
        end else begin : gen_requantize
            localparam END_MODES = (MODE_ENDS != 0) ? MODES : 1;
            localparam END_MODE_W = (MODE_ENDS != 0) ? MODE_W : 1;
            wire [END_MODE_W-1:0] mode_4;
            if (MODE_ENDS != 0) begin : gen_mode_ends
                reg  [(LATE+1)*MODE_W-1:0] mode_4q;
                /* verilator lint_off UNUSEDSIGNAL */
                wire [(LATE+2)*MODE_W-1:0] mode_from_3 = {mode_4q, mode_3};     // the oldest goes
                /* verilator lint_on UNUSEDSIGNAL */
                assign mode_4 = mode_4q[LATE*MODE_W +: MODE_W];
                always @(posedge clk) if (enable) mode_4q <= mode_from_3[(LATE+1)*MODE_W-1:0];
            end else begin : gen_ends
                assign mode_4 = 1'b0;
            end
            requantize #(
                .LANES(LANES),
                .GROUPS(GROUPS),
                .FINAL(FINAL),
                .EAGER(EAGER),
                .IN_W(SENT_W),
                .REST_W(REST_W),
                .IN_SIGNED((MAXIMUM != 0) ? X_SIGNED : 1),
                .OUT_W(OUT_W),
                .LOW(LOW),
                .HIGH(HIGH),
                .NO_LOW(NO_LOW),
                .NO_HIGH(NO_HIGH),
                .TMR(TMR),
                .MODES(END_MODES),
                .LOWS(LOWS[64*END_MODES-1:0]),
                .HIGHS(HIGHS[64*END_MODES-1:0]),
                .XILINX(XILINX)
            ) u_requantize (
                .clk(clk),
                .rst(rst),
                .load(enable && ends),
                .is_final(is_final),
                .sums(sums),
                .mode(mode_4),
                .full(full),
                .m_axis_tdata(m_axis_tdata),
                .m_axis_tvalid(m_axis_tvalid),
                .m_axis_tready(m_axis_tready)
            );
        end
    endgenerate

endmodule
`default_nettype wire
