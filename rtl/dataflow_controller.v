// SPDX-License-Identifier: Apache-2.0
//
// Runs a network for a number of frames: opens and shuts its streams, marks frames, counts what happens.
//
// `start` (ignored while busy) lets `frames` frames of IN_BEATS words into the core, 0 meaning without end;
// `done` rises when all of them have entered and all their OUT_BEATS words have left, and stays until the
// next start. `soft_reset` ends a run in any cycle and wins over `start`: the core, both beat counters and
// all flags are as after `rst`. m_axis_tvalid may then fall before tready, and words still upstream are the
// host's to drop. s_axis_tready is low but for the words of the frames that were asked for.
//
// Words are counted, s_axis_tlast tells whether the host counts alike: it comes with the last word of a run, may
// come with the last word of any frame, and with no other. Where it does not, tlast_error rises, nothing more
// enters, results still leave, and the run, which never gets done, is left by a reset alone: what was counted wrong
// cannot shift a later run.
//
// Counters hold their values from done to the next start or reset. Each counts cycles of the run:
//   cycles        all, up to and with the last transfer
//   input_stalls  a word offered, the core not ready for it
//   output_stalls the core offers a word, the sink is not ready
//   starved       the core is ready for a word, none is offered
//
// bench: sim/bench_dataflow_controller.py
`default_nettype none

module dataflow_controller #(
    parameter IN_BEATS  = 16,           // words in an input frame
    parameter OUT_BEATS = 10,           // words in an output frame
    parameter COUNTER_W = 48            // bits in a cycle counter, up to 64
) (
    input  wire        clk,
    input  wire        rst,             // synchronous, active high

    // control and status
    input  wire        start,           // one cycle
    input  wire        soft_reset,      // one cycle
    input  wire [31:0] frames,          // read at start
    input  wire        tlast_each,      // read at start: s_axis_tlast comes with the last word of every frame
    input  wire        tlast_none,      // read at start: s_axis_tlast is not looked at
    output wire        busy,
    output wire        done,
    output wire        tlast_error,     // s_axis_tlast did not come where it had to, or came elsewhere
    output wire        core_rst,        // resets the core, one cycle after rst or soft_reset

    // what happened since start
    output wire [31:0] frames_in,
    output wire [31:0] frames_out,
    output wire [63:0] cycles,
    output wire [63:0] input_stalls,
    output wire [63:0] output_stalls,
    output wire [63:0] starved,

    // words in, the data going past this module
    input  wire        s_axis_tvalid,
    output wire        s_axis_tready,
    input  wire        s_axis_tlast,
    output wire        core_s_axis_tvalid,
    input  wire        core_s_axis_tready,

    // words out, the data going past this module
    input  wire        core_m_axis_tvalid,
    output wire        core_m_axis_tready,
    output wire        m_axis_tvalid,
    input  wire        m_axis_tready,
    output wire        m_axis_tlast
);

    localparam IN_W = IN_BEATS > 1 ? $clog2(IN_BEATS) : 1;
    localparam OUT_W = OUT_BEATS > 1 ? $clog2(OUT_BEATS) : 1;
    localparam IN_LAST = IN_BEATS - 1;
    localparam OUT_LAST = OUT_BEATS - 1;

    generate
        if (IN_BEATS < 1) begin : gen_check_in
            dataflow_controller_IN_BEATS_must_be_at_least_1 error_i ();
        end
        if (OUT_BEATS < 1) begin : gen_check_out
            dataflow_controller_OUT_BEATS_must_be_at_least_1 error_i ();
        end
        if (COUNTER_W < 1 || COUNTER_W > 64) begin : gen_check_counter
            dataflow_controller_COUNTER_W_must_be_1_to_64 error_i ();
        end
    endgenerate

    reg                 core_rst_q;
    reg                 running_q;
    reg                 done_q;
    reg                 tlast_error_q;
    reg                 endless_q;
    reg                 tlast_each_q;
    reg                 tlast_none_q;
    reg [31:0]          last_frame_q;
    reg                 open_q;         // words may enter
    reg                 all_out_q;
    reg [IN_W-1:0]      in_beat_q;
    reg [OUT_W-1:0]     out_beat_q;
    reg [31:0]          frames_in_q;
    reg [31:0]          frames_out_q;
    reg [COUNTER_W-1:0] cycles_q;
    reg [COUNTER_W-1:0] input_stalls_q;
    reg [COUNTER_W-1:0] output_stalls_q;
    reg [COUNTER_W-1:0] starved_q;

    wire in_moves = s_axis_tvalid && s_axis_tready;
    wire out_moves = m_axis_tvalid && m_axis_tready;
    wire in_ends = in_moves && in_beat_q == IN_LAST[IN_W-1:0];
    wire out_ends = out_moves && m_axis_tlast;
    wire run_ends = in_ends && !endless_q && frames_in_q == last_frame_q;
    wire tlast_due = run_ends || (in_ends && (tlast_each_q || s_axis_tlast));
    wire tlast_wrong = in_moves && s_axis_tlast != tlast_due && !tlast_none_q;
    wire all_in_d = (!open_q && !tlast_error_q) || (run_ends && !tlast_wrong);
    wire all_out_d = all_out_q || (out_ends && frames_out_q == last_frame_q);

    assign busy        = running_q;
    assign done        = done_q;
    assign tlast_error = tlast_error_q;
    assign core_rst    = core_rst_q;

    assign frames_in  = frames_in_q;
    assign frames_out = frames_out_q;

    generate
        if (COUNTER_W < 64) begin : gen_extend
            assign cycles        = {{(64 - COUNTER_W){1'b0}}, cycles_q};
            assign input_stalls  = {{(64 - COUNTER_W){1'b0}}, input_stalls_q};
            assign output_stalls = {{(64 - COUNTER_W){1'b0}}, output_stalls_q};
            assign starved       = {{(64 - COUNTER_W){1'b0}}, starved_q};
        end else begin : gen_plain
            assign cycles        = cycles_q;
            assign input_stalls  = input_stalls_q;
            assign output_stalls = output_stalls_q;
            assign starved       = starved_q;
        end
    endgenerate

    assign core_s_axis_tvalid = s_axis_tvalid && open_q;
    assign s_axis_tready      = core_s_axis_tready && open_q;
    assign m_axis_tvalid      = core_m_axis_tvalid && running_q;
    assign core_m_axis_tready = m_axis_tready && running_q;
    assign m_axis_tlast       = out_beat_q == OUT_LAST[OUT_W-1:0];

    always @(posedge clk) begin
        if (start && !running_q) begin
            endless_q    <= frames == 32'd0;
            last_frame_q <= frames - 32'd1;
            tlast_each_q <= tlast_each;
            tlast_none_q <= tlast_none;
        end
    end

    always @(posedge clk) begin
        if (rst || soft_reset || (start && !running_q)) begin
            frames_in_q     <= 32'd0;
            frames_out_q    <= 32'd0;
            cycles_q        <= {COUNTER_W{1'b0}};
            input_stalls_q  <= {COUNTER_W{1'b0}};
            output_stalls_q <= {COUNTER_W{1'b0}};
            starved_q       <= {COUNTER_W{1'b0}};
        end else if (running_q) begin
            cycles_q <= cycles_q + 1'b1;
            if (in_ends) frames_in_q <= frames_in_q + 32'd1;
            if (out_ends) frames_out_q <= frames_out_q + 32'd1;
            if (core_s_axis_tvalid && !core_s_axis_tready) input_stalls_q <= input_stalls_q + 1'b1;
            if (m_axis_tvalid && !m_axis_tready) output_stalls_q <= output_stalls_q + 1'b1;
            if (open_q && core_s_axis_tready && !s_axis_tvalid) starved_q <= starved_q + 1'b1;
        end
    end

    always @(posedge clk) begin
        core_rst_q <= rst || soft_reset;
        if (rst || soft_reset) begin
            running_q     <= 1'b0;
            done_q        <= 1'b0;
            tlast_error_q <= 1'b0;
            open_q        <= 1'b0;
            all_out_q     <= 1'b0;
            in_beat_q     <= {IN_W{1'b0}};
            out_beat_q    <= {OUT_W{1'b0}};
        end else if (!running_q) begin
            if (start) begin
                running_q <= 1'b1;
                done_q    <= 1'b0;
                open_q    <= 1'b1;
                all_out_q <= 1'b0;
            end
        end else begin
            if (in_moves) in_beat_q <= in_ends ? {IN_W{1'b0}} : in_beat_q + 1'b1;
            if (out_moves) out_beat_q <= out_ends ? {OUT_W{1'b0}} : out_beat_q + 1'b1;
            if (tlast_wrong) tlast_error_q <= 1'b1;
            if (tlast_wrong || run_ends) open_q <= 1'b0;
            all_out_q <= all_out_d;
            if (all_in_d && all_out_d) begin
                running_q <= 1'b0;
                done_q    <= 1'b1;
            end
        end
    end

endmodule
`default_nettype wire
