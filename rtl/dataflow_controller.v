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
// cannot shift a later run. A word that is `torn` (port_in.v) is as one with a wrong tlast.
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
// With a WATCHDOG the core is reset at each start, and a run goes on when the core has lost its place: when
//   late      nothing moved for WATCHDOG cycles in which no sink and no source was waited for, or
//   surplus   it offers a word on an output whose frames that have begun to enter have all left.
// Then `desync` pulses and the core is reset at once. The frames that had begun to enter on any input are lost, from the
// one that is leaving on: what is left of them is taken from the host on each input, up to the frame's border, and
// dropped; on each output as many words as are missing are sent, of zeros (`filling`). So both sides of the host stay in
// step, frames are counted as ever, and the core begins with the next frame. lost_from and lost_to are the first frame of
// the run that was lost, and the first that was not. What left before, since the core lost its place, may be wrong.
//
// bench: sim/bench_dataflow_controller.py
`default_nettype none

module dataflow_controller #(
    parameter INPUTS    = 1,            // streams in
    parameter OUTPUTS   = 1,            // streams out
    parameter [32*INPUTS-1:0]  IN_BEATS  = {INPUTS{32'd16}},   // words in a frame, of each input, the first lowest
    parameter [32*OUTPUTS-1:0] OUT_BEATS = {OUTPUTS{32'd10}},  // words in a frame, of each output
    parameter COUNTER_W = 48,           // bits in a cycle counter, up to 64
    parameter WATCHDOG  = 0,            // cycles after which nothing moves any more; 0: the core is not watched
    parameter EARLY     = 0,            // 1: words may come before their frame: no surplus is looked for
    parameter TMR       = 0             // 1: three copies of each register of control, see voted_reg.v
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
    output wire        filling,         // words out are zeros
    output wire [31:0] lost_from,
    output wire [31:0] lost_to,

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
    input  wire [INPUTS-1:0]  s_axis_torn,
    output wire [INPUTS-1:0]  s_axis_open,  // more words are to come
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

    wire                core_rst_q;
    wire                running_q;
    wire                done_q;
    wire                tlast_error_q;
    wire                endless_q;
    wire                tlast_each_q;
    wire                tlast_none_q;
    wire [31:0]         last_frame_q;
    wire [INPUTS-1:0]   open_q;         // words may enter
    wire [OUTPUTS-1:0]  all_out_q;
    wire [32*INPUTS-1:0]  frames_in_q;  // of each input
    wire [32*OUTPUTS-1:0] frames_out_q; // of each output
    wire [INPUTS-1:0]   amid;           // a frame is on its way in
    wire                closed;         // nothing passes: the core is in reset
    wire                resync;         // the core is out of step
    wire                restarts;       // it is reset
    wire [INPUTS-1:0]   drains;         // words in are dropped
    wire [OUTPUTS-1:0]  fills;          // words out are made up
    wire [OUTPUTS-1:0]  owed;           // there is a word to come
    wire [31:0]         last_frame_d = frames - 32'd1;
    wire                starts = start && !running_q;
    wire                clears = rst || soft_reset || starts;
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
    wire [INPUTS-1:0]  tlast_wrong = in_moves & ((s_axis_tlast ^ tlast_due) | s_axis_torn) & {INPUTS{!tlast_none_q}};
    wire [INPUTS-1:0]  all_in_d = (~open_q & {INPUTS{!tlast_error_q}}) | (run_ends & ~tlast_wrong);
    wire [OUTPUTS-1:0] all_out_d;

    // where each stream is in its frame
    generate
        for (i = 0; i < INPUTS; i = i + 1) begin : gen_in
            localparam [31:0] BEATS = IN_BEATS[32*i +: 32];
            localparam [31:0] LAST = BEATS - 1;
            localparam W = BEATS > 1 ? $clog2(BEATS) : 1;
            wire [W-1:0] beat_q;
            wire [W-1:0] beat_d = in_ends[i] ? {W{1'b0}} : beat_q + 1'b1;

            assign amid[i] = beat_q != {W{1'b0}};
            assign in_ends[i] = in_moves[i] && beat_q == LAST[W-1:0];
            assign run_ends[i] = in_ends[i] && !endless_q && frames_in_q[32*i +: 32] == last_frame_q;
            voted_reg #(
                .W(W),
                .TMR(TMR)
            ) u_beat (
                .clk(clk),
                .rst(rst || soft_reset),
                .enable(in_moves[i]),
                .d(beat_d),
                .q(beat_q)
            );
            wire [31:0] count_q = frames_in_q[32*i +: 32];
            wire [31:0] count_d = count_q + 32'd1;
            voted_reg #(
                .W(32),
                .TMR(TMR)
            ) u_frames (
                .clk(clk),
                .rst(clears),
                .enable(running_q && in_ends[i]),
                .d(count_d),
                .q(frames_in_q[32*i +: 32])
            );
        end
        for (i = 0; i < OUTPUTS; i = i + 1) begin : gen_out
            localparam [31:0] BEATS = OUT_BEATS[32*i +: 32];
            localparam [31:0] LAST = BEATS - 1;
            localparam W = BEATS > 1 ? $clog2(BEATS) : 1;
            wire [W-1:0] beat_q;
            wire [W-1:0] beat_d = out_ends[i] ? {W{1'b0}} : beat_q + 1'b1;

            assign m_axis_tlast[i] = beat_q == LAST[W-1:0];
            assign all_out_d[i] = all_out_q[i] || (out_ends[i] && frames_out_q[32*i +: 32] == last_frame_q);
            voted_reg #(
                .W(W),
                .TMR(TMR)
            ) u_beat (
                .clk(clk),
                .rst(rst || soft_reset),
                .enable(out_moves[i]),
                .d(beat_d),
                .q(beat_q)
            );
            wire [31:0] count_q = frames_out_q[32*i +: 32];
            wire [31:0] count_d = count_q + 32'd1;
            voted_reg #(
                .W(32),
                .TMR(TMR)
            ) u_frames (
                .clk(clk),
                .rst(clears),
                .enable(running_q && out_ends[i]),
                .d(count_d),
                .q(frames_out_q[32*i +: 32])
            );
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

    wire [INPUTS-1:0]  enters = open_q & {INPUTS{!closed}};
    wire [OUTPUTS-1:0] leaves = owed & {OUTPUTS{running_q && !closed}};
    assign s_axis_open        = open_q;
    assign core_s_axis_tvalid = s_axis_tvalid & enters;
    assign s_axis_tready      = (core_s_axis_tready & enters) | (drains & open_q);
    assign m_axis_tvalid      = (core_m_axis_tvalid & leaves) | (fills & {OUTPUTS{running_q}});
    assign core_m_axis_tready = m_axis_tready & leaves;
    assign filling            = resync;

    generate
        if (WATCHDOG > 0) begin : gen_watchdog
            // a count of frames modulo 2^16 tells which are on their way
            localparam TIME_W = $clog2(WATCHDOG + 1);
            wire              resync_q;
            wire [31:0]       from_q;
            wire [31:0]       to_q;
            wire [OUTPUTS-1:0] owed_q;
            wire [OUTPUTS-1:0] owed_d;
            wire [OUTPUTS-1:0] filled;
            wire [INPUTS-1:0]  drained;
            wire [TIME_W:0]   time_q;
            wire [TIME_W:0]   time_d = time_q + 1'b1;
            wire              moves = |in_moves || |out_moves;
            // a sink is waited for, or a source in mid-frame or behind another, or there is nothing to do
            wire [INPUTS-1:0] lags;
            wire              waits = |(leaves & core_m_axis_tvalid & ~m_axis_tready)
                || |(enters & ~s_axis_tvalid & (amid | lags))
                || (!(|owed_q) && !(|(enters & s_axis_tvalid)));
            wire              late = time_q[TIME_W] && !moves && !waits;
            wire              surplus = EARLY == 0 && |(core_m_axis_tvalid & ~owed_q);
            wire              stray = EARLY == 0 && done_q && |core_m_axis_tvalid;    // behind a run
            wire              trips = running_q && !closed && !tlast_error_q && (late || surplus);
            wire              tripped_q;
            wire              ends = &drained && &filled;

            // frames that have begun to enter on any input
            wire [32*INPUTS-1:0] entering;
            reg  [31:0]       begun;
            integer           b;
            always @* begin
                begun = entering[31:0];
                for (b = 1; b < INPUTS; b = b + 1)
                    if (entering[32*b +: 32] > begun) begun = entering[32*b +: 32];
            end

            for (i = 0; i < INPUTS; i = i + 1) begin : gen_drain
                assign entering[32*i +: 32] = frames_in_q[32*i +: 32] + {31'd0, amid[i]};
                assign lags[i] = INPUTS > 1 && entering[32*i +: 16] != begun[15:0];
                assign drained[i] = frames_in_q[32*i +: 16] == to_q[15:0];
            end
            for (i = 0; i < OUTPUTS; i = i + 1) begin : gen_fill
                wire [15:0] out = frames_out_q[32*i +: 16];
                wire [15:0] next = out + 16'd1;
                assign filled[i] = out == to_q[15:0];
                assign owed_d[i] = out_ends[i] ? next != begun[15:0] : out != begun[15:0];
            end
            assign owed   = owed_q | {OUTPUTS{EARLY != 0}};
            assign closed = core_rst_q;
            assign resync = resync_q;
            assign drains = {INPUTS{resync_q}} & ~drained;
            assign fills  = {OUTPUTS{resync_q}} & ~filled;
            assign desync = trips || (!running_q && !closed && stray);
            assign restarts = starts || desync || tripped_q;
            assign lost_from = from_q;
            assign lost_to   = to_q;

            voted_reg #(
                .W(OUTPUTS),
                .TMR(TMR)
            ) u_owed (
                .clk(clk),
                .rst(clears),
                .enable(1'b1),
                .d(owed_d),
                .q(owed_q)
            );
            voted_reg #(
                .W(TIME_W + 1),
                .TMR(TMR)
            ) u_time (
                .clk(clk),
                .rst(clears || resync_q || moves || !running_q),
                .enable(!waits && !time_q[TIME_W]),
                .d(time_d),
                .q(time_q)
            );
            voted_reg #(
                .TMR(TMR)
            ) u_tripped (
                .clk(clk),
                .rst(rst || soft_reset),
                .enable(1'b1),
                .d(trips),
                .q(tripped_q)
            );
            voted_reg #(
                .TMR(TMR)
            ) u_resync (
                .clk(clk),
                .rst(rst || soft_reset || !running_q),
                .enable(1'b1),
                .d(tripped_q || (resync_q && !ends)),
                .q(resync_q)
            );
            voted_reg #(
                .W(64),
                .TMR(TMR)
            ) u_lost (
                .clk(clk),
                .rst(clears),
                .enable(tripped_q),
                .d({frames_out_d, begun}),
                .q({from_q, to_q})
            );
        end else begin : gen_no_watchdog
            assign owed      = {OUTPUTS{1'b1}};
            assign closed    = 1'b0;
            assign resync    = 1'b0;
            assign drains    = {INPUTS{1'b0}};
            assign fills     = {OUTPUTS{1'b0}};
            assign desync    = 1'b0;
            assign restarts  = 1'b0;
            assign lost_from = 32'd0;
            assign lost_to   = 32'd0;
            wire unused = &{1'b0, amid};
        end
    endgenerate

    voted_reg #(
        .W(35),
        .TMR(TMR)
    ) u_asked (
        .clk(clk),
        .rst(1'b0),
        .enable(starts),
        .d({frames == 32'd0, last_frame_d, tlast_each, tlast_none}),
        .q({endless_q, last_frame_q, tlast_each_q, tlast_none_q})
    );

    always @(posedge clk) begin
        if (clears) begin
            cycles_q        <= {COUNTER_W{1'b0}};
            input_stalls_q  <= {COUNTER_W{1'b0}};
            output_stalls_q <= {COUNTER_W{1'b0}};
            starved_q       <= {COUNTER_W{1'b0}};
        end else if (running_q) begin
            cycles_q <= cycles_q + 1'b1;
            if (|(core_s_axis_tvalid & ~core_s_axis_tready)) input_stalls_q <= input_stalls_q + 1'b1;
            if (|(m_axis_tvalid & ~m_axis_tready)) output_stalls_q <= output_stalls_q + 1'b1;
            if (|(open_q & core_s_axis_tready & ~s_axis_tvalid)) starved_q <= starved_q + 1'b1;
        end
    end

    // a run begins, goes on and ends
    wire               ends_run = running_q && &all_in_d && &all_out_d;
    wire [INPUTS-1:0]  open_d = starts ? {INPUTS{1'b1}}
        : |tlast_wrong ? {INPUTS{1'b0}} : open_q & ~run_ends;
    wire [OUTPUTS-1:0] all_out_now = starts ? {OUTPUTS{1'b0}} : all_out_d;
    voted_reg #(
        .TMR(TMR)
    ) u_core_rst (
        .clk(clk),
        .rst(1'b0),
        .enable(1'b1),
        .d(rst || soft_reset || resync || restarts),
        .q(core_rst_q)
    );
    voted_reg #(
        .TMR(TMR)
    ) u_running (
        .clk(clk),
        .rst(rst || soft_reset),
        .enable(starts || ends_run),
        .d(!running_q),
        .q(running_q)
    );
    voted_reg #(
        .TMR(TMR)
    ) u_done (
        .clk(clk),
        .rst(rst || soft_reset),
        .enable(starts || ends_run),
        .d(running_q),
        .q(done_q)
    );
    voted_reg #(
        .TMR(TMR)
    ) u_tlast_error (
        .clk(clk),
        .rst(rst || soft_reset),
        .enable(running_q && |tlast_wrong),
        .d(1'b1),
        .q(tlast_error_q)
    );
    voted_reg #(
        .W(INPUTS),
        .TMR(TMR)
    ) u_open (
        .clk(clk),
        .rst(rst || soft_reset),
        .enable(starts || running_q),
        .d(open_d),
        .q(open_q)
    );
    voted_reg #(
        .W(OUTPUTS),
        .TMR(TMR)
    ) u_all_out (
        .clk(clk),
        .rst(rst || soft_reset),
        .enable(starts || running_q),
        .d(all_out_now),
        .q(all_out_q)
    );

endmodule
`default_nettype wire
