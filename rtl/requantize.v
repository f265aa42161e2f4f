// SPDX-License-Identifier: Apache-2.0
//
// Takes GROUPS x LANES finished sums at once, clamps them to [LOW, HIGH], where either end may be none, and sends the
// LANES results of a group in a beat, group 0 first.
//
// A `load` takes the sums as they come; with `final` it brings those of the first FINAL groups only. Each load leaves
// one clock later into the outgoing words once these are sent, so two loads fit. `full` says that a further one might
// overwrite: it is told by registers, and one clock late when the words leave. Where loads come in every clock (EAGER)
// it knows of m_axis_tready, and a load takes the place of one that leaves. Rounding half up is not here: the half is part of the layer's bias, and the low bits were dropped
// before; for half to even they come, too.
//
// bench: sim/bench_requantize.py
`default_nettype none

module requantize #(
    parameter LANES = 4,                 // sums of a group
    parameter GROUPS = 1,                // groups of a load
    parameter FINAL = 1,                 // groups that a load with `is_final` brings
    parameter EAGER = 0,                 // 1: loads may follow each other without a clock between
    parameter IN_W = 12,                 // bits of a sum
    parameter REST_W = 0,                // bits below a sum: where all are zero, an odd one is one less (half even)
    parameter IN_SIGNED = 1,             // 1: sums are two's complement
    parameter OUT_W = 8,                 // bits of a result
    parameter signed [63:0] LOW = 0,     // least result
    parameter signed [63:0] HIGH = 255,  // greatest result
    parameter NO_LOW = 0,                // 1: there is no least result, whatever LOW
    parameter NO_HIGH = 0,               // 1: there is no greatest result, whatever HIGH
    parameter TMR = 0,                   // 1: three copies of each register of control, see voted_reg.v
    // where it is the mode that says both ends
    parameter MODES = 1,                 // of which a load has one; 1: both ends are as above
    /* verilator lint_off UNUSEDPARAM */
    parameter [64*MODES-1:0] LOWS = 0,   // least result of each, signed, that of mode 0 lowest
    parameter [64*MODES-1:0] HIGHS = 0,  // greatest result of each
    /* verilator lint_on UNUSEDPARAM */
    // device
    parameter XILINX = 0,                // primitives of a device family, see clamp.v
    parameter MODE_W = (MODES > 1) ? $clog2(MODES) : 1 // bits of a mode; not to be set
) (
    input  wire                         clk,
    input  wire                         rst,
    input  wire                         load,
    /* verilator lint_off UNUSEDSIGNAL */
    input  wire                         is_final, // a single group, or FINAL = GROUPS, never asks
    /* verilator lint_on UNUSEDSIGNAL */
    input  wire [GROUPS*LANES*(IN_W+REST_W)-1:0] sums,
    /* verilator lint_off UNUSEDSIGNAL */
    input  wire [MODE_W-1:0]            mode,     // of a load
    /* verilator lint_on UNUSEDSIGNAL */
    output wire                         full,

    output wire [LANES*OUT_W-1:0]       m_axis_tdata,
    output wire                         m_axis_tvalid,
    input  wire                         m_axis_tready
);

    localparam WORD_W = LANES * OUT_W;

    generate
        if (GROUPS < 1 || FINAL < 1 || FINAL > GROUPS) begin : gen_check_groups
            requantize_FINAL_must_be_1_to_GROUPS error_i ();
        end
        if (MODES > 1 && IN_SIGNED == 0) begin : gen_check_modes
            requantize_IN_SIGNED_must_be_1_with_MODES error_i ();
        end
    endgenerate

    localparam ALL_W = IN_W + REST_W;
    reg  [GROUPS*LANES*ALL_W-1:0] sums_q;
    wire                         waits_q;   // sums_q holds a load
    wire                         sends_q;   // words_q holds one
    wire                         leaves;    // the last word of a load
    wire                         moves = waits_q && (!sends_q || leaves);

    assign full = waits_q && ((EAGER != 0) ? !moves : sends_q);
    assign m_axis_tvalid = sends_q;

    always @(posedge clk) begin
        if (load) sums_q <= sums;
    end

    voted_reg #(
        .TMR(TMR)
    ) u_waits (
        .clk(clk),
        .rst(rst),
        .enable(load || moves),
        .d(load),
        .q(waits_q)
    );
    voted_reg #(
        .TMR(TMR)
    ) u_sends (
        .clk(clk),
        .rst(rst),
        .enable(moves || leaves),
        .d(moves),
        .q(sends_q)
    );

    wire [GROUPS*WORD_W-1:0] clamped;
    /* verilator lint_off UNUSEDSIGNAL */
    wire [MODE_W-1:0]        of_sums;       // the mode of sums_q
    /* verilator lint_on UNUSEDSIGNAL */
    generate
        genvar i;
        if (MODES > 1) begin : gen_mode
            reg [MODE_W-1:0] mode_q;
            assign of_sums = mode_q;
            always @(posedge clk) if (load) mode_q <= mode;
        end else begin : gen_one_mode
            assign of_sums = 1'b0;
        end
        for (i = 0; i < GROUPS * LANES; i = i + 1) begin : gen_lane
            wire [IN_W-1:0] rounded;
            if (REST_W > 0) begin : gen_even
                assign rounded[0] = sums_q[i*ALL_W+REST_W] && |sums_q[i*ALL_W +: REST_W];
                if (IN_W > 1) begin : gen_upper
                    assign rounded[IN_W-1:1] = sums_q[i*ALL_W+REST_W+1 +: IN_W-1];
                end
            end else begin : gen_as_it_is
                assign rounded = sums_q[i*ALL_W +: IN_W];
            end
            if (MODES > 1) begin : gen_mode_clamp
                mode_clamp #(
                    .MODES(MODES),
                    .IN_W(IN_W),
                    .OUT_W(OUT_W),
                    .LOWS(LOWS),
                    .HIGHS(HIGHS)
                ) u_mode_clamp (
                    .x(rounded),
                    .mode(of_sums),
                    .y(clamped[i*OUT_W +: OUT_W])
                );
            end else begin : gen_clamp
                clamp #(
                    .IN_W(IN_W),
                    .IN_SIGNED(IN_SIGNED),
                    .OUT_W(OUT_W),
                    .LOW(LOW),
                    .HIGH(HIGH),
                    .NO_LOW(NO_LOW),
                    .NO_HIGH(NO_HIGH),
                    .XILINX(XILINX)
                ) u_clamp (
                    .x(rounded),
                    .y(clamped[i*OUT_W +: OUT_W])
                );
            end
        end

        if (GROUPS == 1) begin : gen_single
            reg [WORD_W-1:0] word_q;
            always @(posedge clk) begin
                if (moves) word_q <= clamped;
            end
            assign leaves = sends_q && m_axis_tready;
            assign m_axis_tdata = word_q;
        end else begin : gen_many
            localparam COUNT_W = $clog2(GROUPS);
            localparam LAST = GROUPS - 1;
            localparam LAST_FINAL = FINAL - 1;
            reg  [GROUPS*WORD_W-1:0] words_q;
            wire [COUNT_W-1:0]       left_q;     // words behind the one that is offered
            wire [COUNT_W-1:0]       behind;
            if (FINAL != GROUPS) begin : gen_final
                wire final_q;
                voted_reg #(
                    .TMR(TMR)
                ) u_final (
                    .clk(clk),
                    .rst(1'b0),
                    .enable(load),
                    .d(is_final),
                    .q(final_q)
                );
                assign behind = final_q ? LAST_FINAL[COUNT_W-1:0] : LAST[COUNT_W-1:0];
            end else begin : gen_alike
                assign behind = LAST[COUNT_W-1:0];
            end
            // the last group's place is not shifted into
            wire [GROUPS*WORD_W-1:0] shifted = {clamped[LAST*WORD_W +: WORD_W], words_q[WORD_W +: LAST*WORD_W]};
            always @(posedge clk) begin
                if (moves || m_axis_tready) words_q <= moves ? clamped : shifted;
            end
            wire [COUNT_W-1:0]       left_d = moves ? behind : left_q - 1'b1;
            voted_reg #(
                .W(COUNT_W),
                .TMR(TMR)
            ) u_left (
                .clk(clk),
                .rst(1'b0),
                .enable(moves || m_axis_tready),
                .d(left_d),
                .q(left_q)
            );
            assign leaves = sends_q && m_axis_tready && left_q == 0;
            assign m_axis_tdata = words_q[WORD_W-1:0];
        end
    endgenerate

endmodule
`default_nettype wire
