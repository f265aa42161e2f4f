// SPDX-License-Identifier: Apache-2.0
//
// The modes of the frames that are in a network, in a ring: `mode` is sampled with the first word of each frame.
//
// modes = {how many frames have begun, modulo 2 * DEPTH; the mode of each place, place 0 lowest}: frame n is at place n
// % DEPTH. A word that begins a frame waits while DEPTH frames have not left on some output. Units look their frames up
// with mode_reader.v, in the order in which they come.
//
// bench: sim/bench_mode_ring.py
`default_nettype none

module mode_ring #(
    parameter MODES = 2,             // up to 256
    parameter DEPTH = 4,             // most frames in the network; a power of two
    parameter IN_BEATS = 16,         // words of a frame in
    parameter OUTPUTS = 1,           // streams out
    parameter [32*OUTPUTS-1:0] OUT_BEATS = {OUTPUTS{32'd10}}, // words of a frame out, of each, the first lowest
    // not to be set
    parameter MODE_W = (MODES > 1) ? $clog2(MODES) : 1, // bits of a mode
    parameter COUNT_W = $clog2(DEPTH) + 1               // bits of a count of frames
) (
    input  wire                            clk,
    input  wire                            rst,
    input  wire [MODE_W-1:0]               mode,

    // the words of the first input, which pass
    input  wire                            s_axis_tvalid,
    output wire                            s_axis_tready,
    output wire                            m_axis_tvalid,
    input  wire                            m_axis_tready,

    input  wire [OUTPUTS-1:0]              sent,       // a word left, of each output
    output wire [COUNT_W+DEPTH*MODE_W-1:0] modes
);

    localparam BEAT_W = (IN_BEATS > 1) ? $clog2(IN_BEATS) : 1;
    localparam LAST_BEAT = IN_BEATS - 1;

    generate
        if (MODES < 2 || MODES > 256) begin : gen_check_modes
            mode_ring_MODES_must_be_2_to_256 error_i ();
        end
        if (DEPTH < 2 || (DEPTH & (DEPTH - 1)) != 0) begin : gen_check_depth
            mode_ring_DEPTH_must_be_a_power_of_two_from_2 error_i ();
        end
    endgenerate

    reg  [BEAT_W-1:0]       beat_q;
    reg                     first_q;    // the next word begins a frame
    reg  [COUNT_W-1:0]      begun_q;
    reg  [DEPTH*MODE_W-1:0] modes_q;
    wire [OUTPUTS-1:0]      full;
    wire                    open = !(first_q && |full);
    wire                    moves = s_axis_tvalid && s_axis_tready;
    wire                    begins = moves && first_q;
    wire                    ends = moves && beat_q == LAST_BEAT[BEAT_W-1:0];

    assign s_axis_tready = m_axis_tready && open;
    assign m_axis_tvalid = s_axis_tvalid && open;
    assign modes = {begun_q, modes_q};

    always @(posedge clk) begin
        if (rst) begin
            beat_q <= {BEAT_W{1'b0}};
            first_q <= 1'b1;
            begun_q <= {COUNT_W{1'b0}};
        end else if (moves) begin
            beat_q <= ends ? {BEAT_W{1'b0}} : beat_q + 1'b1;
            first_q <= ends;
            begun_q <= begun_q + {{(COUNT_W-1){1'b0}}, first_q};
        end
    end

    generate
        genvar i;
        for (i = 0; i < DEPTH; i = i + 1) begin : gen_place
            always @(posedge clk) if (begins && begun_q[COUNT_W-2:0] == i) modes_q[i*MODE_W +: MODE_W] <= mode;
        end
        for (i = 0; i < OUTPUTS; i = i + 1) begin : gen_output
            localparam BEATS = OUT_BEATS[32*i +: 32];
            localparam SENT_W = (BEATS > 1) ? $clog2(BEATS) : 1;
            localparam LAST = BEATS - 1;
            reg  [SENT_W-1:0]  sent_q;
            reg  [COUNT_W-1:0] ended_q;
            wire               last = sent_q == LAST[SENT_W-1:0];
            assign full[i] = begun_q == (ended_q ^ DEPTH[COUNT_W-1:0]);
            always @(posedge clk) begin
                if (rst) begin
                    sent_q <= {SENT_W{1'b0}};
                    ended_q <= {COUNT_W{1'b0}};
                end else if (sent[i]) begin
                    sent_q <= last ? {SENT_W{1'b0}} : sent_q + 1'b1;
                    ended_q <= ended_q + {{(COUNT_W-1){1'b0}}, last};
                end
            end
        end
    endgenerate

endmodule
`default_nettype wire
