// SPDX-License-Identifier: Apache-2.0
//
// Runs a network for a number of frames: opens and shuts its streams, marks frames, counts what happens.
//
// `start` (ignored while busy) lets `frames` frames of IN_BEATS words into the core on each input, 0 meaning without
// end; `done` rises when all of them have entered and all their OUT_BEATS words have left on each output, and stays
// until the next start. `soft_reset` ends a run in any cycle and wins over `start`: the core, all beat counters and
// flags are as after `rst`. m_axis_tvalid may then fall before tready, and words still upstream are the
// host's to drop. s_axis_tready is low but for the words of the frames that were asked for.
//
// Words are counted, s_axis_tlast tells whether the host counts alike: it comes with the last word of a run, may
// come with the last word of any frame, and with no other. Where it does not, tlast_error rises, nothing more
// enters on any input, results still leave, and the run, which never gets done, is left by a reset alone: what was counted wrong
// cannot shift a later run.
//
// Inputs may be ahead of each other by as much as the core takes, and outputs too: frames_in counts the frames that
// have entered on all inputs, frames_out those that have left on all outputs.
//
// Counters hold their values from done to the next start or reset. Each counts cycles of the run:
//   cycles        all, up to and with the last transfer
//   input_stalls  on some input a word offered, the core not ready for it
//   output_stalls on some output the core offers a word, the sink is not ready
//   starved       on some input the core is ready for a word, none is offered
//
// bench: sim/bench_dataflow_controller.py
`default_nettype none

module dataflow_controller #(
    parameter INPUTS    = 1,            // streams in
    parameter OUTPUTS   = 1,            // streams out
    parameter [32*INPUTS-1:0]  IN_BEATS  = {INPUTS{32'd16}},   // words in a frame, of each input, the first lowest
    parameter [32*OUTPUTS-1:0] OUT_BEATS = {OUTPUTS{32'd10}},  // words in a frame, of each output
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
    output wire        tlast_error,     // an s_axis_tlast did not come where it had to, or came elsewhere
    output wire        core_rst,        // resets the core, one cycle after rst or soft_reset
    output wire        desync,          // one cycle: the core lost its place

    // what happened since start
    output wire [31:0] frames_in,
    output wire [31:0] frames_out,
    output wire [63:0] cycles,
    output wire [63:0] input_stalls,
    output wire [63:0] output_stalls,
    output wire [63:0] starved,

    // words in, a bit for each input, the data going past this module
    input  wire [INPUTS-1:0]  s_axis_tvalid,
    output wire [INPUTS-1:0]  s_axis_tready,
    input  wire [INPUTS-1:0]  s_axis_tlast,
    output wire [INPUTS-1:0]  core_s_axis_tvalid,
    input  wire [INPUTS-1:0]  core_s_axis_tready,

    // words out, a bit for each output, the data going past this module
    input  wire [OUTPUTS-1:0] core_m_axis_tvalid,
    output wire [OUTPUTS-1:0] core_m_axis_tready,
    output wire [OUTPUTS-1:0] m_axis_tvalid,
    input  wire [OUTPUTS-1:0] m_axis_tready,
    output wire [OUTPUTS-1:0] m_axis_tlast
);

    genvar i;
    generate
        if (INPUTS < 1 || OUTPUTS < 1) begin : gen_check_streams
            dataflow_controller_INPUTS_and_OUTPUTS_must_be_at_least_1 error_i ();
        end
        for (i = 0; i < INPUTS; i = i + 1) begin : gen_check_in
            if (IN_BEATS[32*i +: 32] == 0) begin : gen_empty
                dataflow_controller_IN_BEATS_must_be_at_least_1 error_i ();
            end
        end
        for (i = 0; i < OUTPUTS; i = i + 1) begin : gen_check_out
            if (OUT_BEATS[32*i +: 32] == 0) begin : gen_empty
                dataflow_controller_OUT_BEATS_must_be_at_least_1 error_i ();
            end
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
    reg [INPUTS-1:0]    open_q;         // words may enter
    reg [OUTPUTS-1:0]   all_out_q;
    reg [32*INPUTS-1:0]  frames_in_q;   // of each input
    reg [32*OUTPUTS-1:0] frames_out_q;  // of each output
    reg [COUNTER_W-1:0] cycles_q;
    reg [COUNTER_W-1:0] input_stalls_q;
    reg [COUNTER_W-1:0] output_stalls_q;
    reg [COUNTER_W-1:0] starved_q;

    wire [INPUTS-1:0]  in_moves = s_axis_tvalid & s_axis_tready;
    wire [OUTPUTS-1:0] out_moves = m_axis_tvalid & m_axis_tready;
    wire [INPUTS-1:0]  in_ends;
    wire [OUTPUTS-1:0] out_ends = out_moves & m_axis_tlast;
    wire [INPUTS-1:0]  run_ends;
    wire [INPUTS-1:0]  tlast_due = run_ends | (in_ends & (s_axis_tlast | {INPUTS{tlast_each_q}}));
    wire [INPUTS-1:0]  tlast_wrong = in_moves & (s_axis_tlast ^ tlast_due) & {INPUTS{!tlast_none_q}};
    wire [INPUTS-1:0]  all_in_d = (~open_q & {INPUTS{!tlast_error_q}}) | (run_ends & ~tlast_wrong);
    wire [OUTPUTS-1:0] all_out_d;

    // where each stream is in its frame
    generate
        for (i = 0; i < INPUTS; i = i + 1) begin : gen_in
            localparam [31:0] BEATS = IN_BEATS[32*i +: 32];
            localparam [31:0] LAST = BEATS - 1;
            localparam W = BEATS > 1 ? $clog2(BEATS) : 1;
            reg [W-1:0] beat_q;

            assign in_ends[i] = in_moves[i] && beat_q == LAST[W-1:0];
            assign run_ends[i] = in_ends[i] && !endless_q && frames_in_q[32*i +: 32] == last_frame_q;
            always @(posedge clk) begin
                if (rst || soft_reset) beat_q <= {W{1'b0}};
                else if (in_moves[i]) beat_q <= in_ends[i] ? {W{1'b0}} : beat_q + 1'b1;
            end
        end
        for (i = 0; i < OUTPUTS; i = i + 1) begin : gen_out
            localparam [31:0] BEATS = OUT_BEATS[32*i +: 32];
            localparam [31:0] LAST = BEATS - 1;
            localparam W = BEATS > 1 ? $clog2(BEATS) : 1;
            reg [W-1:0] beat_q;

            assign m_axis_tlast[i] = beat_q == LAST[W-1:0];
            assign all_out_d[i] = all_out_q[i] || (out_ends[i] && frames_out_q[32*i +: 32] == last_frame_q);
            always @(posedge clk) begin
                if (rst || soft_reset) beat_q <= {W{1'b0}};
                else if (out_moves[i]) beat_q <= out_ends[i] ? {W{1'b0}} : beat_q + 1'b1;
            end
        end
    endgenerate

    // of all inputs and of all outputs the least
    reg  [31:0] frames_in_d;
    reg  [31:0] frames_out_d;
    integer     n;
    always @* begin
        frames_in_d = frames_in_q[31:0];
        frames_out_d = frames_out_q[31:0];
        for (n = 1; n < INPUTS; n = n + 1)
            if (frames_in_q[32*n +: 32] < frames_in_d) frames_in_d = frames_in_q[32*n +: 32];
        for (n = 1; n < OUTPUTS; n = n + 1)
            if (frames_out_q[32*n +: 32] < frames_out_d) frames_out_d = frames_out_q[32*n +: 32];
    end

    assign busy        = running_q;
    assign done        = done_q;
    assign tlast_error = tlast_error_q;
    assign core_rst    = core_rst_q;
    assign desync      = 1'b0;

    assign frames_in  = frames_in_d;
    assign frames_out = frames_out_d;

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

    assign core_s_axis_tvalid = s_axis_tvalid & open_q;
    assign s_axis_tready      = core_s_axis_tready & open_q;
    assign m_axis_tvalid      = core_m_axis_tvalid & {OUTPUTS{running_q}};
    assign core_m_axis_tready = m_axis_tready & {OUTPUTS{running_q}};

    always @(posedge clk) begin
        if (start && !running_q) begin
            endless_q    <= frames == 32'd0;
            last_frame_q <= frames - 32'd1;
            tlast_each_q <= tlast_each;
            tlast_none_q <= tlast_none;
        end
    end

    integer k;
    always @(posedge clk) begin
        if (rst || soft_reset || (start && !running_q)) begin
            frames_in_q     <= {INPUTS{32'd0}};
            frames_out_q    <= {OUTPUTS{32'd0}};
            cycles_q        <= {COUNTER_W{1'b0}};
            input_stalls_q  <= {COUNTER_W{1'b0}};
            output_stalls_q <= {COUNTER_W{1'b0}};
            starved_q       <= {COUNTER_W{1'b0}};
        end else if (running_q) begin
            cycles_q <= cycles_q + 1'b1;
            for (k = 0; k < INPUTS; k = k + 1)
                if (in_ends[k]) frames_in_q[32*k +: 32] <= frames_in_q[32*k +: 32] + 32'd1;
            for (k = 0; k < OUTPUTS; k = k + 1)
                if (out_ends[k]) frames_out_q[32*k +: 32] <= frames_out_q[32*k +: 32] + 32'd1;
            if (|(core_s_axis_tvalid & ~core_s_axis_tready)) input_stalls_q <= input_stalls_q + 1'b1;
            if (|(m_axis_tvalid & ~m_axis_tready)) output_stalls_q <= output_stalls_q + 1'b1;
            if (|(open_q & core_s_axis_tready & ~s_axis_tvalid)) starved_q <= starved_q + 1'b1;
        end
    end

    always @(posedge clk) begin
        core_rst_q <= rst || soft_reset;
        if (rst || soft_reset) begin
            running_q     <= 1'b0;
            done_q        <= 1'b0;
            tlast_error_q <= 1'b0;
            open_q        <= {INPUTS{1'b0}};
            all_out_q     <= {OUTPUTS{1'b0}};
        end else if (!running_q) begin
            if (start) begin
                running_q <= 1'b1;
                done_q    <= 1'b0;
                open_q    <= {INPUTS{1'b1}};
                all_out_q <= {OUTPUTS{1'b0}};
            end
        end else begin
            if (|tlast_wrong) tlast_error_q <= 1'b1;
            open_q    <= |tlast_wrong ? {INPUTS{1'b0}} : open_q & ~run_ends;
            all_out_q <= all_out_d;
            if (&all_in_d && &all_out_d) begin
                running_q <= 1'b0;
                done_q    <= 1'b1;
            end
        end
    end

endmodule
`default_nettype wire
