// SPDX-License-Identifier: Apache-2.0
//
// Leaky neurons, one for each activation of a frame; a frame is a time step, STEPS of them a sample. With v a membrane:
//
//   u = (v after its leak; START at a sample's first step) + (x << SHIFT),  spikes = u > THRESHOLD, or >= with AT
//   ORDER 0: v = reset(u) where it spikes, else u, which then leaks
//   ORDER 1: v = u, which leaks as it is, or from zero where RESET is to zero; what a reset takes is taken then
//   ORDER 2: v = u; where it spikes reset(v) does not leak; a beat tells the spikes of the step before
//
// A leak is LEAKS parts of v, each (v + half of it) >> LEAK_A to LEAK_D. SPIKES 0: no threshold, and u is sent. What is
// left of a membrane after its leak lies in a memory in the order of the beats, N a word. Frames of 3 beats and more go
// through three stages of one adder each: membrane and input, threshold, leak; in shorter ones the next step needs the
// result at once. With WORDS there is a threshold for each place, K_W bits, in FILE as in offset.v.
//
// bench: sim/bench_lif.py
`default_nettype none

module lif #(
    parameter N = 1,                           // neurons side by side in a beat
    parameter X_W = 8,                         // bits of an activation
    parameter X_SIGNED = 1,                    // 1: it is two's complement
    parameter SHIFT = 0,                       // bits of a membrane below an activation's
    parameter W = 12,                          // bits of a membrane and of every u, two's complement, 2 to 63
    parameter OUT_W = 1,                       // bits of a result: 1 with SPIKES, else of u, at most W
    parameter BEATS = 4,                       // of a frame
    parameter STEPS = 5,                       // frames of a sample
    parameter LAST_ONLY = 0,                   // 1: the last of them alone is sent
    parameter RAM = 0,                         // 1: block RAM, from 8 beats on; 0: LUT RAM
    // of a neuron
    parameter LEAKS = 1,                       // 0 to 4
    parameter LEAK_A = 3,                      // shift of the first, 0 to W - 1
    parameter LEAK_B = 4,                      // of the second
    parameter LEAK_C = 0,                      // of the third
    parameter LEAK_D = 0,                      // of the fourth
    parameter HALF_UP = 0,                     // 1: what leaks is rounded half up; 0: down
    parameter signed [63:0] START = 0,         // what is left of the first membrane after its leak
    parameter SPIKES = 1,                      // 0: no threshold, u is sent
    parameter ORDER = 0,                       // 0, 1 or 2, as above
    parameter RESET = 0,                       // 0: less the threshold, 1: to zero, 2: none
    parameter AT = 0,                          // 1: at the threshold it spikes, too
    parameter signed [63:0] THRESHOLD = 16,    // of all, if WORDS is 0; with AT, or less 1 without, W bits hold it
    // of thresholds that differ
    parameter K_W = 8,                         // bits of one, unsigned, below W
    parameter WORDS = 0,                       // beats until they come again; 0: all are THRESHOLD
    parameter FILE = "",                       // $readmemh file, relative to the directory that the tool runs in
    parameter CHECK = 0                        // sum of place, from 1, times word, modulo 2^32
) (
    input  wire               clk,
    input  wire               rst,             // synchronous, active high

    input  wire [N*X_W-1:0]   s_axis_tdata,
    input  wire               s_axis_tvalid,
    output wire               s_axis_tready,

    output wire [N*OUT_W-1:0] m_axis_tdata,
    output wire               m_axis_tvalid,
    input  wire               m_axis_tready
);

    localparam CUT = (BEATS >= 3) ? 1 : 0;
    localparam DEEP = (RAM != 0 && BEATS >= 8) ? 1 : 0;
    localparam AHEAD = (DEEP != 0) ? 2 : 0;        // beats from a read to its use
    localparam FLAG = (ORDER == 2 && SPIKES != 0) ? 1 : 0;
    localparam M_W = W + FLAG;                     // what is kept of a neuron: whether it spiked, its membrane
    localparam A_W = (BEATS > 1) ? $clog2(BEATS) : 1;
    localparam T_W = (STEPS > 1) ? $clog2(STEPS) : 1;
    localparam LAST_A = BEATS - 1;
    localparam LAST_READ = (BEATS - 1 + AHEAD) % BEATS;  // what is read with a frame's last beat
    localparam LAST_T = STEPS - 1;

    generate
        if (N < 1 || BEATS < 1 || STEPS < 1) begin : gen_check_counts
            lif_N_BEATS_and_STEPS_must_be_at_least_1 error_i ();
        end
        if (W < 2 || W > 63 || X_W < 1 || X_W + SHIFT > 63 || SHIFT < 0) begin : gen_check_widths
            lif_W_must_be_2_to_63_and_X_W_with_SHIFT_at_most_63 error_i ();
        end
        if ((SPIKES != 0 && OUT_W != 1) || OUT_W > W) begin : gen_check_out
            lif_OUT_W_must_be_1_or_without_SPIKES_at_most_W error_i ();
        end
        if (LEAKS < 0 || LEAKS > 4 || LEAK_A < 0 || LEAK_A >= W || LEAK_B < 0 || LEAK_B >= W
            || LEAK_C < 0 || LEAK_C >= W || LEAK_D < 0 || LEAK_D >= W) begin : gen_check_leak
            lif_LEAKS_must_be_0_to_4_and_LEAK_A_to_LEAK_D_below_W error_i ();
        end
        if (WORDS != 0 && (K_W >= W || (BEATS % WORDS) != 0)) begin : gen_check_table
            lif_K_W_must_be_below_W_and_BEATS_a_multiple_of_WORDS error_i ();
        end
    endgenerate

    wire go;                                       // every stage hands on what it has
    wire there;                                    // the threshold of the beat is known
    wire beat = go && there && s_axis_tvalid;
    assign s_axis_tready = go && there;

    // the place that is read, and the step
    reg  [A_W-1:0] read_q;
    reg  [T_W-1:0] step_q;
    reg            first_q;
    wire           ends = read_q == LAST_READ[A_W-1:0];
    wire           last = step_q == LAST_T[T_W-1:0];
    always @(posedge clk) begin
        if (rst) begin
            read_q  <= AHEAD[A_W-1:0];
            step_q  <= {T_W{1'b0}};
            first_q <= 1'b1;
        end else if (beat) begin
            read_q <= (read_q == LAST_A[A_W-1:0]) ? {A_W{1'b0}} : read_q + 1'b1;
            if (ends) begin
                step_q  <= last ? {T_W{1'b0}} : step_q + 1'b1;
                first_q <= last;
            end
        end
    end

    // what is kept
    wire [N*M_W-1:0] kept;
    wire [N*M_W-1:0] keep;
    wire             write;
    wire [A_W-1:0]   place;                        // of the beat
    wire [A_W-1:0]   write_place;
    generate
        if (DEEP != 0) begin : gen_block
            (* ram_style = "block" *) (* no_rw_check *) reg [N*M_W-1:0] memory [0:BEATS-1];
            reg [N*M_W-1:0] word_q;
            reg [N*M_W-1:0] kept_q;
            reg [A_W-1:0]   place_1q;
            reg [A_W-1:0]   place_2q;
            always @(posedge clk) begin
                if (write) memory[write_place] <= keep;
                if (beat) word_q <= memory[read_q];
                if (beat) kept_q <= word_q;
            end
            always @(posedge clk) begin
                if (rst) begin
                    place_1q <= {{(A_W-1){1'b0}}, 1'b1};
                    place_2q <= {A_W{1'b0}};
                end else if (beat) begin
                    place_1q <= read_q;
                    place_2q <= place_1q;
                end
            end
            assign kept = kept_q;
            assign place = place_2q;
        end else if (BEATS > 1) begin : gen_luts
            (* ram_style = "distributed" *) (* no_rw_check *) reg [N*M_W-1:0] memory [0:BEATS-1];
            always @(posedge clk) begin
                if (write) memory[write_place] <= keep;
            end
            assign kept = memory[read_q];
            assign place = read_q;
        end else begin : gen_register
            reg [N*M_W-1:0] kept_q;
            always @(posedge clk) begin
                if (write) kept_q <= keep;
            end
            assign kept = kept_q;
            assign place = read_q;
            wire unused = &{1'b0, write_place};
        end
    endgenerate

    // thresholds that differ
    wire [N*K_W-1:0] levels;
    generate
        if (WORDS != 0) begin : gen_table
            constant_table #(
                .WIDTH(N*K_W),
                .WORDS(WORDS),
                .FILE(FILE),
                .CHECK(CHECK)
            ) u_table (
                .clk(clk),
                .rst(rst),
                .next(beat),
                .there(there),
                .word(levels)
            );
        end else begin : gen_one
            assign there = 1'b1;
            assign levels = {N*K_W{1'b0}};
        end
    endgenerate

    // the stages: what is in each
    wire [N*W-1:0]     u;                          // of the beat
    wire [N-1:0]       told;                       // whether it spiked in the step before
    wire [N*W-1:0]     u_2;                        // at the threshold
    wire [N*K_W-1:0]   levels_2;
    wire [N-1:0]       told_2;
    wire [N-1:0]       spikes_2;
    wire [N*W-1:0]     left_2;                     // after the reset
    wire [N*W-1:0]     leaks_2;                    // from what it leaks
    wire [N-1:0]       spikes_3;                   // at the leak
    wire [N*W-1:0]     left_3;
    wire [N*W-1:0]     leaks_3;
    wire [N*OUT_W-1:0] out_d;
    reg  [N*OUT_W-1:0] out_q;
    reg  [1:0]         valid_q;                    // of the output's register, and of that before
    reg  [1:0]         last_q;
    wire               into = (CUT != 0 && SPIKES != 0) ? valid_q[1] : beat;  // the output's register
    wire               into_last = (CUT != 0 && SPIKES != 0) ? last_q[1] : last;

    assign go = !m_axis_tvalid || m_axis_tready;
    assign m_axis_tvalid = valid_q[0] && (LAST_ONLY == 0 || last_q[0]);
    assign m_axis_tdata = out_q;
    assign write = (CUT != 0) ? valid_q[0] && go : beat;

    always @(posedge clk) begin
        if (rst) valid_q <= 2'b00;
        else if (go) valid_q <= {beat, into};
    end
    always @(posedge clk) begin
        if (go) last_q <= {last, into_last};
        if (go) out_q <= out_d;
    end

    generate
        genvar n;
        genvar i;
        for (n = 0; n < N; n = n + 1) begin : gen_neuron
            wire [X_W-1:0] x_in = s_axis_tdata[n*X_W +: X_W];
            /* verilator lint_off UNUSEDSIGNAL */
            wire [62:0]    x = {{(63-X_W){(X_SIGNED != 0) && x_in[X_W-1]}}, x_in} << SHIFT;
            /* verilator lint_on UNUSEDSIGNAL */
            wire [W-1:0]   held = first_q ? START[W-1:0] : kept[n*M_W +: W];
            assign u[n*W +: W] = held + x[W-1:0];
            if (FLAG != 0) begin : gen_told
                assign told[n] = !first_q && kept[n*M_W + W];
            end else begin : gen_not_told
                assign told[n] = 1'b0;
            end

            wire [W-1:0] u_n = u_2[n*W +: W];
            wire         s = spikes_2[n];
            if (SPIKES == 0) begin : gen_integrator
                assign spikes_2[n] = 1'b0;
                assign left_2[n*W +: W] = u_n;
            end else if (WORDS != 0) begin : gen_threshold_of_its_own
                wire [W:0] less = {u_n[W-1], u_n} - {{(W+1-K_W){1'b0}}, levels_2[n*K_W +: K_W]};
                assign spikes_2[n] = !less[W] && (AT != 0 || |less[W-1:0]);
                assign left_2[n*W +: W] = (RESET == 0) ? (s ? less[W-1:0] : u_n)
                                        : (RESET == 1) ? (s ? {W{1'b0}} : u_n) : u_n;
            end else begin : gen_threshold
                // u >= LEAST, in lookup tables: from the lowest bit up, both as unsigned numbers
                localparam signed [63:0] LEAST = THRESHOLD + ((AT != 0) ? 64'sd0 : 64'sd1);
                localparam signed [63:0] LESS = -THRESHOLD;
                localparam [W-1:0] SIGN = {1'b1, {(W-1){1'b0}}};
                localparam [W-1:0] BITS = LEAST[W-1:0] ^ SIGN;
                wire [W-1:0] number = u_n ^ SIGN;
                /* verilator lint_off UNOPTFLAT */
                wire [W:0]   above;
                /* verilator lint_on UNOPTFLAT */
                assign above[0] = 1'b1;
                for (i = 0; i < W; i = i + 1) begin : gen_bit
                    assign above[i+1] = BITS[i] ? number[i] && above[i] : number[i] || above[i];
                end
                assign spikes_2[n] = above[W];
                assign left_2[n*W +: W] = (RESET == 0) ? u_n + (LESS[W-1:0] & {W{s}})
                                        : (RESET == 1) ? u_n & {W{!s}} : u_n;
            end
            assign leaks_2[n*W +: W] = (SPIKES == 0 || RESET == 1 || ORDER == 0) ? left_2[n*W +: W] & {W{ORDER != 2 || !s}}
                                     : (ORDER == 1) ? u_n : u_n & {W{!s}};

            // v - (v >> K), rounded down; half up it is less what was the highest bit of the rest
            wire signed [W-1:0] from = leaks_3[n*W +: W];
            wire [W-1:0]        kept_n = left_3[n*W +: W];
            wire signed [W-1:0] part_a = from >>> LEAK_A;
            wire signed [W-1:0] part_b = from >>> LEAK_B;
            wire                rest_a;
            wire                rest_b;
            if (HALF_UP != 0 && LEAK_A > 0) begin : gen_rest_a
                assign rest_a = from[LEAK_A-1];
            end else begin : gen_no_rest_a
                assign rest_a = 1'b0;
            end
            if (HALF_UP != 0 && LEAK_B > 0) begin : gen_rest_b
                assign rest_b = from[LEAK_B-1];
            end else begin : gen_no_rest_b
                assign rest_b = 1'b0;
            end
            wire [W:0]   less_a = {~part_a, !rest_a} + {kept_n, 1'b1};
            wire [W-1:0] left_a = (LEAKS > 0) ? less_a[W:1] : kept_n;
            wire [W:0]   less_b = {~part_b, !rest_b} + {left_a, 1'b1};
            wire [W-1:0] left_b = (LEAKS > 1) ? less_b[W:1] : left_a;
            if (LEAKS > 2) begin : gen_more_leaks
                wire signed [W-1:0] part_c = from >>> LEAK_C;
                wire signed [W-1:0] part_d = from >>> LEAK_D;
                wire                rest_c = (HALF_UP != 0) && from[(LEAK_C > 0) ? LEAK_C-1 : 0];
                wire                rest_d = (HALF_UP != 0) && from[(LEAK_D > 0) ? LEAK_D-1 : 0];
                wire [W:0]          less_c = {left_b, 1'b1} + {~part_c, !rest_c};
                wire [W:0]          less_d = {less_c[W:1], 1'b1} + {~part_d, !rest_d};
                assign keep[n*M_W +: W] = (LEAKS > 3) ? less_d[W:1] : less_c[W:1];
                wire unused = &{1'b0, less_c[0], less_d};
            end else begin : gen_two_leaks
                assign keep[n*M_W +: W] = left_b;
            end
            if (FLAG != 0) begin : gen_flag
                assign keep[n*M_W + W] = spikes_3[n];
            end
            wire unused = &{1'b0, less_a[0], less_b[0], less_b, spikes_3[n], told_2[n]};

            if (SPIKES == 0) begin : gen_u_sent
                assign out_d[n*OUT_W +: OUT_W] = u[n*W +: OUT_W];
            end else begin : gen_spike_sent
                assign out_d[n] = (ORDER == 2) ? told_2[n] : spikes_2[n];
            end
        end

        if (CUT == 0) begin : gen_at_once
            assign u_2 = u;
            assign levels_2 = levels;
            assign told_2 = told;
            assign spikes_3 = spikes_2;
            assign left_3 = left_2;
            assign leaks_3 = leaks_2;
            assign write_place = place;
        end else begin : gen_stages
            reg [N*W-1:0]   u_q;
            reg [N*K_W-1:0] levels_q;
            reg [N-1:0]     told_q;
            reg [A_W-1:0]   place_q;
            always @(posedge clk) begin
                if (go) u_q <= u;
                if (go) levels_q <= levels;
                if (go) told_q <= told;
                if (go) place_q <= place;
            end
            assign u_2 = u_q;
            assign levels_2 = levels_q;
            assign told_2 = told_q;
            if (SPIKES == 0) begin : gen_two
                assign spikes_3 = spikes_2;
                assign left_3 = left_2;
                assign leaks_3 = leaks_2;
                assign write_place = place_q;
            end else begin : gen_three
                reg [N-1:0]   spikes_q;
                reg [N*W-1:0] left_q;
                reg [N*W-1:0] leaks_q;
                reg [A_W-1:0] place_2q;
                always @(posedge clk) begin
                    if (go) spikes_q <= spikes_2;
                    if (go) left_q <= left_2;
                    if (go) leaks_q <= leaks_2;
                    if (go) place_2q <= place_q;
                end
                assign spikes_3 = spikes_q;
                assign left_3 = left_q;
                assign leaks_3 = leaks_q;
                assign write_place = place_2q;
            end
        end
    endgenerate

    wire unused_levels = &{1'b0, levels_2, valid_q[1], last_q};

endmodule
`default_nettype wire
