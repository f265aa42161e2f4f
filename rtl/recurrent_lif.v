// SPDX-License-Identifier: Apache-2.0
//
// Leaky neurons whose spikes come back to them: with each step the currents of a neuron are an activation and what a
// matrix makes of the spikes of the step before, which spike_sums adds up. A frame is a time step, STEPS a sample.
//
//   I = (x << X_SHIFT) + (sum << S_SHIFT),  with SYNAPSE I = (what a leak leaves of I) + I,  then the neurons of lif.v
//
// A step begins when the spikes of the one before have been taken: how long it takes depends on how many there were.
//
// bench: sim/bench_recurrent_lif.py
`default_nettype none

module recurrent_lif #(
    parameter UNITS = 4,                       // neurons, beats of a frame
    parameter STEPS = 5,                       // frames of a sample
    parameter X_W = 8,                         // bits of an activation
    parameter X_SIGNED = 1,                    // 1: it is two's complement
    parameter X_SHIFT = 0,                     // to the currents' grid
    // the matrix, see spike_sums.v
    parameter LANES = 1,                       // rows in step; divides UNITS
    parameter U_W = 8,                         // bits of a weight
    parameter S_W = 10,                        // bits of a sum
    parameter S_SHIFT = 0,                     // to the currents' grid
    parameter FILE = "",                       // $readmemh file, relative to the directory that the tool runs in
    parameter CHECK = 0,                       // see term_rom.v
    parameter I_W = 12,                        // bits of a current, two's complement
    parameter RAM = 0,                         // 1: states in block RAM, see lif.v
    parameter HALF_UP = 0,                     // 1: what leaks is rounded half up; 0: down
    // of a synapse, see lif.v
    parameter SYNAPSE = 0,                     // 1: there is one
    parameter SYNAPSE_W = 12,                  // bits of its state, which is what it sends
    parameter SYNAPSE_SHIFT = 0,               // bits of it below a current's
    parameter SYNAPSE_LEAKS = 1,               // parts of a leak, 0 to 4
    parameter SYNAPSE_LEAK_A = 2,              // shift of the first
    parameter SYNAPSE_LEAK_B = 0,              // of the second
    parameter SYNAPSE_LEAK_C = 0,              // of the third
    parameter SYNAPSE_LEAK_D = 0,              // of the fourth
    // of a neuron, see lif.v
    parameter SHIFT = 0,                       // bits of a membrane below those of what it adds
    parameter W = 14,                          // bits of a membrane
    parameter LEAKS = 1,                       // parts of a leak, 0 to 4
    parameter LEAK_A = 3,                      // shift of the first
    parameter LEAK_B = 4,                      // of the second
    parameter LEAK_C = 0,                      // of the third
    parameter LEAK_D = 0,                      // of the fourth
    parameter signed [63:0] START = 0,         // what is left of the first membrane after its leak
    parameter ORDER = 0,                       // 0: now, 1: late, 2: spiker
    parameter RESET = 0,                       // 0: less the threshold, 1: to zero, 2: none
    parameter AT = 0,                          // 1: at the threshold it spikes, too
    parameter signed [63:0] THRESHOLD = 16,    // of all, if WORDS is 0
    parameter K_W = 8,                         // of thresholds that differ
    parameter WORDS = 0,                       // of these; 0: all are THRESHOLD
    parameter LEVEL_FILE = "",                 // of these
    parameter LEVEL_CHECK = 0                  // see term_rom.v
) (
    input  wire           clk,
    input  wire           rst,                 // synchronous, active high

    input  wire [X_W-1:0] s_axis_tdata,
    input  wire           s_axis_tvalid,
    output wire           s_axis_tready,

    output wire           m_axis_tdata,
    output wire           m_axis_tvalid,
    input  wire           m_axis_tready
);

    generate
        if (X_W + X_SHIFT > 63 || S_W + S_SHIFT > 63 || I_W > 63) begin : gen_check_widths
            recurrent_lif_widths_must_be_at_most_63 error_i ();
        end
    endgenerate

    wire [S_W-1:0] sum_tdata;
    wire           sum_tvalid;
    wire           sum_tready;
    wire           i_tready;

    spike_sums #(
        .UNITS(UNITS),
        .STEPS(STEPS),
        .LANES(LANES),
        .U_W(U_W),
        .W(S_W),
        .FILE(FILE),
        .CHECK(CHECK)
    ) u_spike_sums (
        .clk(clk),
        .rst(rst),
        .m_axis_tdata(sum_tdata),
        .m_axis_tvalid(sum_tvalid),
        .m_axis_tready(sum_tready),
        .spike_write(m_axis_tvalid && m_axis_tready),
        .spike(m_axis_tdata)
    );

    // the currents, a register before the neurons' own adder
    reg  [I_W-1:0] i_q;
    reg            i_valid_q;
    wire           i_free = !i_valid_q || i_tready;
    /* verilator lint_off UNUSEDSIGNAL */
    wire [62:0] x = {{(63-X_W){(X_SIGNED != 0) && s_axis_tdata[X_W-1]}}, s_axis_tdata} << X_SHIFT;
    wire [62:0] sum = {{(63-S_W){sum_tdata[S_W-1]}}, sum_tdata} << S_SHIFT;
    /* verilator lint_on UNUSEDSIGNAL */
    assign s_axis_tready = sum_tvalid && i_free;
    assign sum_tready = s_axis_tvalid && i_free;

    always @(posedge clk) begin
        if (rst) i_valid_q <= 1'b0;
        else if (i_free) i_valid_q <= s_axis_tvalid && sum_tvalid;
    end
    always @(posedge clk) begin
        if (i_free) i_q <= x[I_W-1:0] + sum[I_W-1:0];
    end

    // what the neurons add up
    localparam C_W = (SYNAPSE != 0) ? SYNAPSE_W : I_W;
    wire [C_W-1:0] c_tdata;
    wire           c_tvalid;
    wire           c_tready;

    generate
        if (SYNAPSE != 0) begin : gen_synapse
            lif #(
                .X_W(I_W),
                .SHIFT(SYNAPSE_SHIFT),
                .W(SYNAPSE_W),
                .OUT_W(SYNAPSE_W),
                .BEATS(UNITS),
                .STEPS(STEPS),
                .RAM(RAM),
                .LEAKS(SYNAPSE_LEAKS),
                .LEAK_A(SYNAPSE_LEAK_A),
                .LEAK_B(SYNAPSE_LEAK_B),
                .LEAK_C(SYNAPSE_LEAK_C),
                .LEAK_D(SYNAPSE_LEAK_D),
                .HALF_UP(HALF_UP),
                .SPIKES(0)
            ) u_synapse (
                .clk(clk),
                .rst(rst),
                .s_axis_tdata(i_q),
                .s_axis_tvalid(i_valid_q),
                .s_axis_tready(i_tready),
                .m_axis_tdata(c_tdata),
                .m_axis_tvalid(c_tvalid),
                .m_axis_tready(c_tready)
            );
        end else begin : gen_no_synapse
            assign c_tdata = i_q;
            assign c_tvalid = i_valid_q;
            assign i_tready = c_tready;
        end
    endgenerate

    lif #(
        .X_W(C_W),
        .SHIFT(SHIFT),
        .W(W),
        .BEATS(UNITS),
        .STEPS(STEPS),
        .RAM(RAM),
        .LEAKS(LEAKS),
        .LEAK_A(LEAK_A),
        .LEAK_B(LEAK_B),
        .LEAK_C(LEAK_C),
        .LEAK_D(LEAK_D),
        .HALF_UP(HALF_UP),
        .START(START),
        .ORDER(ORDER),
        .RESET(RESET),
        .AT(AT),
        .THRESHOLD(THRESHOLD),
        .K_W(K_W),
        .WORDS(WORDS),
        .FILE(LEVEL_FILE),
        .CHECK(LEVEL_CHECK)
    ) u_lif (
        .clk(clk),
        .rst(rst),
        .s_axis_tdata(c_tdata),
        .s_axis_tvalid(c_tvalid),
        .s_axis_tready(c_tready),
        .m_axis_tdata(m_axis_tdata),
        .m_axis_tvalid(m_axis_tvalid),
        .m_axis_tready(m_axis_tready)
    );

endmodule
`default_nettype wire
