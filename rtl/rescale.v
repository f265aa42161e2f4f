// SPDX-License-Identifier: Apache-2.0
//
// Takes GROUPS x LANES finished sums at once, as requantize.v does, and brings each to a level of its channel's own: by
// a product, in a DSP slice (scale_product.v) or digit by digit (scale_serial.v), or by thresholds (scale_steps.v).
// A few scalers work through the sums; the LANES levels of a group are sent in a beat, group 0 first.
//
// The channels come in the order of the list, over again: a load's groups are the next ones, and one with `is_final`,
// which brings the first FINAL groups only, ends with the last. SCALERS lanes of a group are taken at a time, for PACE
// clocks. Of a sum X_W bits are looked at: what is beyond these gets an end for its level. Where LATE_W bits come a clock
// later work begins a clock later. `full` says that a load would overwrite sums that wait.
//
// bench: sim/bench_rescale.py
`default_nettype none

module rescale #(
    parameter LANES = 4,                 // sums of a group
    parameter GROUPS = 1,                // groups of a load
    parameter FINAL = 1,                 // groups that a load with `is_final` brings
    parameter IN_W = 20,                 // bits of a sum, two's complement
    parameter LATE_W = 0,                // low bits of it that come a clock after a load
    parameter OUT_W = 8,                 // bits of a level
    parameter signed [63:0] LOW = 0,     // least level
    parameter signed [63:0] HIGH = 255,  // greatest level
    parameter NO_LOW = 0,                // 1: there is no least level, whatever LOW
    parameter NO_HIGH = 0,               // 1: there is no greatest level, whatever HIGH
    parameter SCALER = 0,                // 0: scale_product.v, 1: scale_serial.v, 2: scale_steps.v
    parameter SCALERS = 1,               // sums that are worked on at a time, up to LANES
    parameter PACE = 1,                  // clocks that each takes: 1; digits and 1; or two for each bit of a count
    parameter X_W = 18,                  // bits of a sum that are looked at; IN_W with scale_steps.v
    // of products
    parameter M_W = 18,                  // bits of a multiplier, two's complement
    parameter BIAS_W = 24,               // bits of what a bias is above BASE
    parameter BIAS_ZEROS = 0,            // and zeros below these
    parameter signed [63:0] BASE = 0,    // the least bias
    parameter TIES_W = 0,                // bits of what is a tie, see scale_level.v; 0: there is none
    parameter P_W = 40,                  // bits of a product with its bias
    parameter SHIFT = 16,                // low bits of it that are dropped
    // the numbers of the channels
    parameter FILE = "",                 // see the scalers
    parameter DEPTH = 2,                 // channels, or 1: all have the same numbers
    parameter CHECK = 0,                 // of FILE, see term_rom.v
    // device
    parameter XILINX = 0                 // primitives of a device family, see pe_mac.v and clamp.v
) (
    input  wire                         clk,
    input  wire                         rst,
    input  wire                         load,
    input  wire                         is_final,
    input  wire [GROUPS*LANES*IN_W-1:0] sums,
    output wire                         full,

    output wire [LANES*OUT_W-1:0]       m_axis_tdata,
    output wire                         m_axis_tvalid,
    input  wire                         m_axis_tready
);

    localparam CHUNKS = (LANES + SCALERS - 1) / SCALERS;            // of a group
    localparam CHUNK_W = $clog2(CHUNKS);
    localparam GROUP_W = $clog2(GROUPS);
    localparam SELECT_W = (CHUNK_W + GROUP_W > 0) ? CHUNK_W + GROUP_W : 1;
    localparam PLACES = 1 << SELECT_W;
    localparam CHANNEL_W = (DEPTH > 1) ? $clog2(DEPTH) : 1;
    localparam LAST_CHUNK = CHUNKS - 1;
    localparam LAST_GROUP = GROUPS - 1;
    localparam LAST_FINAL = FINAL - 1;
    // a multiplier of more than 18 bits and a sum of more than 18, or either of more than 26, are two slices' work
    localparam WIDE = (X_W > 26 || M_W > 26 || (X_W > 18 && M_W > 18)) ? 1 : 0;
    localparam WORDS = (SCALER == 1) ? DEPTH << $clog2(PACE) : DEPTH;
    localparam READ = (WORDS > 64) ? 2 : 1;                         // clocks from an address to its word, see term_rom.v
    // registers from a sum's last clock to its level
    localparam LATE = (SCALER == 2) ? 1 : (SCALER == 1) ? READ : (WIDE != 0) ? READ + 5 : READ + 3;
    localparam TAKEN = (SCALER == 0) ? 0 : (SCALER == 1) ? READ - 1 : 1;  // the phase in which a scaler's sum is taken
    localparam PHASE_W = (PACE > 1) ? $clog2(PACE) : 1;
    localparam LAST_PHASE = PACE - 1;
    localparam BEYOND = (X_W < IN_W) ? 1 : 0;
    localparam RESULTS_W = SCALERS * OUT_W;
    localparam WORD_W = CHUNKS * RESULTS_W;

    generate
        if (GROUPS < 1 || FINAL < 1 || FINAL > GROUPS) begin : gen_check_groups
            rescale_FINAL_must_be_1_to_GROUPS error_i ();
        end
        if (SCALERS < 1 || SCALERS > LANES) begin : gen_check_scalers
            rescale_SCALERS_must_be_1_to_LANES error_i ();
        end
        if (SCALER < 0 || SCALER > 2) begin : gen_check_scaler
            rescale_SCALER_must_be_0_to_2 error_i ();
        end
        if (PACE < 1 || (SCALER == 0 && PACE != 1) || (SCALER == 1 && PACE < 2) || (SCALER == 2 && PACE % 2 != 0)) begin : gen_check_pace
            rescale_PACE_must_be_1_or_digits_and_1_or_even error_i ();
        end
        if (LATE_W < 0 || LATE_W >= IN_W) begin : gen_check_late
            rescale_LATE_W_must_be_0_to_below_IN_W error_i ();
        end
        if (X_W < 1 || X_W > IN_W || (SCALER == 2 && X_W != IN_W)) begin : gen_check_x
            rescale_X_W_must_be_1_to_IN_W_and_with_steps_IN_W error_i ();
        end
    endgenerate

    reg  [GROUPS*LANES*IN_W-1:0] sums_q;
    reg                          busy_q;    // sums_q holds sums that wait
    wire                         whole;     // or will, behind the next clock
    wire                         waits;     // for their low bits
    /* verilator lint_off UNUSEDSIGNAL */
    reg                          final_q;   // one channel, or FINAL = GROUPS, never asks
    /* verilator lint_on UNUSEDSIGNAL */
    wire                         enable;
    wire [PHASE_W-1:0]           phase;
    wire                         ends;      // the last clock of the sums that are worked on
    wire                         last_chunk;
    wire                         last_group;
    wire                         leaves = ends && last_chunk && last_group;
    wire [SELECT_W-1:0]          place;

    assign full = waits || (busy_q && !leaves);

    always @(posedge clk) begin
        if (load) final_q <= is_final;
    end

    always @(posedge clk) begin
        if (rst) busy_q <= 1'b0;
        else if (whole) busy_q <= 1'b1;
        else if (leaves) busy_q <= 1'b0;
    end

    generate
        genvar i;
        if (LATE_W > 0) begin : gen_late
            reg waits_q;
            assign waits = waits_q;
            assign whole = waits_q;
            always @(posedge clk) begin
                if (rst) waits_q <= 1'b0;
                else waits_q <= load;
            end
            for (i = 0; i < GROUPS * LANES; i = i + 1) begin : gen_sum
                always @(posedge clk) begin
                    if (load) sums_q[i*IN_W+LATE_W +: IN_W-LATE_W] <= sums[i*IN_W+LATE_W +: IN_W-LATE_W];
                    if (waits_q) sums_q[i*IN_W +: LATE_W] <= sums[i*IN_W +: LATE_W];
                end
            end
        end else begin : gen_now
            assign waits = 1'b0;
            assign whole = load;
            always @(posedge clk) begin
                if (load) sums_q <= sums;
            end
        end
    endgenerate

    // stage 0: which sums are worked on, and their channel
    generate
        if (PACE > 1) begin : gen_phase
            reg [PHASE_W-1:0] phase_q;
            wire              last_phase = phase_q == LAST_PHASE[PHASE_W-1:0];
            assign phase = phase_q;
            assign ends = enable && busy_q && last_phase;
            always @(posedge clk) begin
                if (rst) phase_q <= {PHASE_W{1'b0}};
                else if (enable && busy_q) phase_q <= last_phase ? {PHASE_W{1'b0}} : phase_q + 1'b1;
            end
        end else begin : gen_one_phase
            assign phase = 1'b0;
            assign ends = enable && busy_q;
        end
        if (CHUNKS > 1) begin : gen_chunk
            reg [CHUNK_W-1:0] chunk_q;
            assign last_chunk = chunk_q == LAST_CHUNK[CHUNK_W-1:0];
            always @(posedge clk) begin
                if (rst) chunk_q <= {CHUNK_W{1'b0}};
                else if (ends) chunk_q <= last_chunk ? {CHUNK_W{1'b0}} : chunk_q + 1'b1;
            end
            assign place[CHUNK_W-1:0] = chunk_q;
        end else begin : gen_whole
            assign last_chunk = 1'b1;
        end
        if (GROUPS > 1) begin : gen_group
            reg [GROUP_W-1:0] group_q;
            assign last_group = group_q == ((FINAL != GROUPS && final_q) ? LAST_FINAL[GROUP_W-1:0]
                                                                         : LAST_GROUP[GROUP_W-1:0]);
            always @(posedge clk) begin
                if (rst) group_q <= {GROUP_W{1'b0}};
                else if (ends && last_chunk) group_q <= last_group ? {GROUP_W{1'b0}} : group_q + 1'b1;
            end
            assign place[SELECT_W-1:CHUNK_W] = group_q;
        end else begin : gen_one_group
            assign last_group = 1'b1;
            if (CHUNKS == 1) begin : gen_alone
                assign place = 1'b0;
            end
        end
    endgenerate

    wire [CHANNEL_W-1:0] channel;
    generate
        if (DEPTH > 1) begin : gen_channel
            reg [CHANNEL_W-1:0] channel_q;
            always @(posedge clk) begin
                if (rst) channel_q <= {CHANNEL_W{1'b0}};
                else if (leaves && final_q) channel_q <= {CHANNEL_W{1'b0}};
                else if (ends && last_chunk) channel_q <= channel_q + 1'b1;
            end
            assign channel = channel_q;
        end else begin : gen_one_channel
            assign channel = 1'b0;
        end
    endgenerate

    // stage 1: a sum for each scaler, which stays while it works on it
    wire                   takes = enable && phase == TAKEN[PHASE_W-1:0];
    reg  [SCALERS*X_W-1:0] x_q;
    wire [RESULTS_W-1:0]   results;
    // nobody asks where all bits are looked at
    /* verilator lint_off UNUSEDSIGNAL */
    reg  [SCALERS-1:0]     over_q;
    reg  [SCALERS-1:0]     under_q;
    /* verilator lint_on UNUSEDSIGNAL */
    generate
        genvar d, b, p;
        for (d = 0; d < SCALERS; d = d + 1) begin : gen_scaler
            wire [IN_W-1:0] chosen;
            for (b = 0; b < IN_W; b = b + 1) begin : gen_bit
                wire [PLACES-1:0] column;
                for (p = 0; p < PLACES; p = p + 1) begin : gen_place
                    localparam LANE = p % (1 << CHUNK_W) * SCALERS + d;
                    localparam GROUP = p / (1 << CHUNK_W);
                    if (LANE < LANES && GROUP < GROUPS) begin : gen_there
                        assign column[p] = sums_q[(GROUP*LANES+LANE)*IN_W+b];
                    end else begin : gen_nowhere
                        assign column[p] = 1'b0;
                    end
                end
                if (PLACES == 8) begin : gen_eight
                    // two lookup tables of four and one of two: as an index yosys makes it four
                    wire [1:0] half;
                    for (p = 0; p < 2; p = p + 1) begin : gen_half
                        wire [3:0] own = column[4*p +: 4] & (4'd1 << place[1:0]);
                        assign half[p] = |own;
                    end
                    assign chosen[b] = half[place[SELECT_W-1]];
                end else begin : gen_index
                    assign chosen[b] = column[place];
                end
            end
            always @(posedge clk) begin
                if (takes) begin
                    x_q[d*X_W +: X_W] <= chosen[X_W-1:0];
                    over_q[d] <= !chosen[IN_W-1] && |chosen[IN_W-1:X_W-1];
                    under_q[d] <= chosen[IN_W-1] && !(&chosen[IN_W-1:X_W-1]);
                end
            end
        end
    endgenerate

    generate
        if (SCALER < 2) begin : gen_products
            wire [SCALERS*P_W-1:0] products;
            wire [SHIFT:0]         ties;
            wire [SCALERS-1:0]     above;
            wire [SCALERS-1:0]     below;
            if (SCALER == 0) begin : gen_slices
                wire unused = &{1'b0, phase};
                scale_product #(
                    .N(SCALERS),
                    .X_W(X_W),
                    .M_W(M_W),
                    .BIAS_W(BIAS_W),
                    .BIAS_ZEROS(BIAS_ZEROS),
                    .BASE(BASE),
                    .TIES_W(TIES_W),
                    .P_W(P_W),
                    .SHIFT(SHIFT),
                    .WIDE(WIDE),
                    .FILE(FILE),
                    .DEPTH(DEPTH),
                    .CHECK(CHECK),
                    .XILINX(XILINX)
                ) u_scale_product (
                    .clk(clk),
                    .enable(enable),
                    .channel(channel),
                    .x(x_q),
                    .over(over_q),
                    .under(under_q),
                    .products(products),
                    .ties(ties),
                    .above(above),
                    .below(below)
                );
            end else begin : gen_serial
                scale_serial #(
                    .N(SCALERS),
                    .X_W(X_W),
                    .DIGITS(PACE - 1),
                    .TIES_W(TIES_W),
                    .P_W(P_W),
                    .SHIFT(SHIFT),
                    .FILE(FILE),
                    .DEPTH(DEPTH),
                    .CHECK(CHECK)
                ) u_scale_serial (
                    .clk(clk),
                    .rst(rst),
                    .enable(enable),
                    .active(busy_q),
                    .channel(channel),
                    .phase(phase),
                    .x(x_q),
                    .over(over_q),
                    .under(under_q),
                    .products(products),
                    .ties(ties),
                    .above(above),
                    .below(below)
                );
            end
            for (d = 0; d < SCALERS; d = d + 1) begin : gen_level
                scale_level #(
                    .P_W(P_W),
                    .SHIFT(SHIFT),
                    .TIES((TIES_W > 0) ? 1 : 0),
                    .BEYOND(BEYOND),
                    .OUT_W(OUT_W),
                    .LOW(LOW),
                    .HIGH(HIGH),
                    .NO_LOW(NO_LOW),
                    .NO_HIGH(NO_HIGH),
                    .XILINX(XILINX)
                ) u_scale_level (
                    .product(products[d*P_W +: P_W]),
                    .ties(ties),
                    .above(above[d]),
                    .below(below[d]),
                    .y(results[d*OUT_W +: OUT_W])
                );
            end
        end else begin : gen_steps
            scale_steps #(
                .N(SCALERS),
                .X_W(X_W),
                .STEPS(PACE / 2),
                .OUT_W(OUT_W),
                .LOW(LOW),
                .FILE(FILE),
                .DEPTH(DEPTH),
                .CHECK(CHECK)
            ) u_scale_steps (
                .clk(clk),
                .enable(enable),
                .channel(channel),
                .phase(phase),
                .x(x_q),
                .y(results)
            );
        end
    endgenerate

    // levels arrive, the last ones of a word among them, and are sent
    reg  [LATE-1:0]   arrive_q;
    reg  [LATE-1:0]   end_q;
    reg  [WORD_W-1:0] word_q;
    reg               sends_q;
    /* verilator lint_off UNUSEDSIGNAL */
    wire [LATE:0]     arriving = {arrive_q, ends};          // the oldest goes
    wire [LATE:0]     ending = {end_q, ends && last_chunk};
    wire [WORD_W+RESULTS_W-1:0] shifted = {results, word_q};
    /* verilator lint_on UNUSEDSIGNAL */

    assign enable = !(arrive_q[LATE-1] && sends_q && !m_axis_tready);
    assign m_axis_tdata = word_q[LANES*OUT_W-1:0];
    assign m_axis_tvalid = sends_q;

    always @(posedge clk) begin
        if (rst) begin
            arrive_q <= {LATE{1'b0}};
            end_q <= {LATE{1'b0}};
        end else if (enable) begin
            arrive_q <= arriving[LATE-1:0];
            end_q <= ending[LATE-1:0];
        end
    end

    always @(posedge clk) begin
        if (enable && arrive_q[LATE-1]) word_q <= shifted[WORD_W+RESULTS_W-1:RESULTS_W];
    end

    always @(posedge clk) begin
        if (rst) sends_q <= 1'b0;
        else if (enable && end_q[LATE-1]) sends_q <= 1'b1;
        else if (m_axis_tready) sends_q <= 1'b0;
    end

endmodule
`default_nettype wire
