// SPDX-License-Identifier: Apache-2.0
//
// Passes on the beats of a frame in their order: some left out, some sent several times, zeros between them; no memory.
//
// A frame is walked in steps, a clock each: three loops, OUTER around MIDDLE around INNER, each of which says at every
// place whether a step there may take a beat, whether it may send one, and whether that is zero. What all three allow
// is done: taken and sent, the beat passes; taken only, it is left out; sent only, it is a zero, or the beat that is
// still to be taken. A beat in brings N activations, one out M of them, or zeros, by PLACES.
//
// tvalid and tdata come from s_axis within the clock, s_axis_tready from m_axis_tready.
//
// bench: sim/bench_resample.py
`default_nettype none

module resample #(
    parameter X_W = 8,                                 // bits of an activation
    parameter N = 1,                                   // activations in a beat that comes
    parameter M = 1,                                   // activations in a beat that leaves
    parameter WIRED = 0,                               // 1: as PLACES says; 0: M is N, and all stay where they are
    parameter [M*16-1:0] PLACES = 0,                   // where each of M is among the N, 16 bits each; 'hffff: zero
    // the walk: a bit for each place of a loop, the first lowest
    parameter OUTER = 1,                               // places
    parameter MIDDLE = 1,                              // places
    parameter INNER = 1,                               // places
    parameter [OUTER-1:0] OUTER_TAKE = {OUTER{1'b1}},  // 1: a beat may be taken
    parameter [OUTER-1:0] OUTER_SEND = {OUTER{1'b1}},  // 1: a beat may be sent
    parameter [OUTER-1:0] OUTER_ZERO = 0,              // 1: what is sent is zero
    parameter [MIDDLE-1:0] MIDDLE_TAKE = {MIDDLE{1'b1}},  // 1: a beat may be taken
    parameter [MIDDLE-1:0] MIDDLE_SEND = {MIDDLE{1'b1}},  // 1: a beat may be sent
    parameter [MIDDLE-1:0] MIDDLE_ZERO = 0,            // 1: what is sent is zero
    parameter [INNER-1:0] INNER_TAKE = {INNER{1'b1}},  // 1: a beat may be taken
    parameter [INNER-1:0] INNER_SEND = {INNER{1'b1}},  // 1: a beat may be sent
    parameter [INNER-1:0] INNER_ZERO = 0               // 1: what is sent is zero
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

    localparam OUTER_W = (OUTER > 1) ? $clog2(OUTER) : 1;
    localparam MIDDLE_W = (MIDDLE > 1) ? $clog2(MIDDLE) : 1;
    localparam INNER_W = (INNER > 1) ? $clog2(INNER) : 1;
    localparam OUTER_LAST = OUTER - 1;
    localparam MIDDLE_LAST = MIDDLE - 1;
    localparam INNER_LAST = INNER - 1;
    // a zero may be what a frame begins with: none is sent in a reset
    localparam ZEROS = (OUTER_ZERO != 0) || (MIDDLE_ZERO != 0) || (INNER_ZERO != 0);

    generate
        if (N < 1 || M < 1 || N >= 65535) begin : gen_check_n
            resample_N_and_M_must_be_1_to_65534 error_i ();
        end
        if (WIRED == 0 && N != M) begin : gen_check_wired
            resample_M_must_be_N_if_not_WIRED error_i ();
        end
    endgenerate

    reg  [OUTER_W-1:0]  outer_q;
    reg  [MIDDLE_W-1:0] middle_q;
    reg  [INNER_W-1:0]  inner_q;
    reg                 runs_q;

    wire take = OUTER_TAKE[outer_q] && MIDDLE_TAKE[middle_q] && INNER_TAKE[inner_q];
    wire send = OUTER_SEND[outer_q] && MIDDLE_SEND[middle_q] && INNER_SEND[inner_q];
    wire zero = OUTER_ZERO[outer_q] || MIDDLE_ZERO[middle_q] || INNER_ZERO[inner_q];

    wire there = s_axis_tvalid || (!take && (zero || !send));
    wire free = m_axis_tready || !send;
    wire step = there && free && (runs_q || !ZEROS);
    wire inner_ends = inner_q == INNER_LAST[INNER_W-1:0];
    wire middle_ends = middle_q == MIDDLE_LAST[MIDDLE_W-1:0];
    wire outer_ends = outer_q == OUTER_LAST[OUTER_W-1:0];

    assign s_axis_tready = take && free && (runs_q || !ZEROS);
    assign m_axis_tvalid = send && there && (runs_q || !ZEROS);

    always @(posedge clk) begin
        if (rst) begin
            outer_q  <= 0;
            middle_q <= 0;
            inner_q  <= 0;
            runs_q   <= 1'b0;
        end else begin
            runs_q <= 1'b1;
            if (step) inner_q <= inner_ends ? {INNER_W{1'b0}} : inner_q + 1'b1;
            if (step && inner_ends) middle_q <= middle_ends ? {MIDDLE_W{1'b0}} : middle_q + 1'b1;
            if (step && inner_ends && middle_ends) outer_q <= outer_ends ? {OUTER_W{1'b0}} : outer_q + 1'b1;
        end
    end

    generate
        genvar m;
        for (m = 0; m < M; m = m + 1) begin : gen_activation
            wire [X_W-1:0] x;
            if (WIRED == 0) begin : gen_straight
                assign x = s_axis_tdata[m*X_W +: X_W];
            end else if (PLACES[m*16 +: 16] == 16'hffff) begin : gen_zero
                assign x = {X_W{1'b0}};
            end else begin : gen_wire
                assign x = s_axis_tdata[PLACES[m*16 +: 16]*X_W +: X_W];
            end
            assign m_axis_tdata[m*X_W +: X_W] = zero ? {X_W{1'b0}} : x;
        end
        if (WIRED != 0) begin : gen_left_out
            wire unused = &{1'b0, s_axis_tdata};
        end
    endgenerate

endmodule
`default_nettype wire
