// SPDX-License-Identifier: Apache-2.0
//
// Adds a constant of its own to each activation of a frame, and requantizes: clamp(((x << SHIFT) + constant) >> DROP).
//
// The constants, K_W bits each, two's complement, are the words of FILE: N a beat, the first in the lowest bits; behind
// the last word the first one follows, so a frame is WORDS beats or a multiple. The half of the rounding is part of
// each. CHECK is as in term_rom.v.
//
// bench: sim/bench_offset.py
`default_nettype none

module offset #(
    parameter N = 1,                       // activations side by side in a beat
    parameter X_W = 8,                     // bits of an activation
    parameter X_SIGNED = 0,                // 1: it is two's complement
    parameter SHIFT = 0,                   // bits that an activation is shifted up to the common grid
    parameter K_W = 8,                     // bits of a constant
    parameter WORDS = 2,                   // beats until the constants come again
    parameter FILE = "",                   // $readmemh file, relative to the directory that the tool runs in
    parameter CHECK = 0,                   // sum of place, from 1, times word, modulo 2^32
    parameter W = 10,                      // bits of the exact sum, two's complement, 1 to 64
    parameter DROP = 0,                    // low bits of the sum that are rounded away, fewer than W
    parameter OUT_W = 8,                   // bits of a result
    parameter signed [63:0] LOW = 0,       // least result
    parameter signed [63:0] HIGH = 255,    // greatest result
    parameter NO_LOW = 0,                  // 1: there is no least result, whatever LOW
    parameter NO_HIGH = 0                  // 1: there is no greatest result, whatever HIGH
) (
    input  wire               clk,
    input  wire               rst,         // synchronous, active high

    input  wire [N*X_W-1:0]   s_axis_tdata,
    input  wire               s_axis_tvalid,
    output wire               s_axis_tready,

    output wire [N*OUT_W-1:0] m_axis_tdata,
    output wire               m_axis_tvalid,
    input  wire               m_axis_tready
);

    generate
        if (X_W < 1 || SHIFT < 0 || X_W + SHIFT > 63) begin : gen_check_x
            offset_X_W_with_SHIFT_must_be_1_to_63 error_i ();
        end
        if (K_W < 1 || K_W > 63) begin : gen_check_constant
            offset_K_W_must_be_1_to_63 error_i ();
        end
        if (W < 1 || W > 64) begin : gen_check_sum
            offset_W_must_be_1_to_64 error_i ();
        end
        if (DROP < 0 || DROP >= W) begin : gen_check_drop
            offset_DROP_must_be_0_to_below_W error_i ();
        end
    endgenerate

    reg                valid_q;
    reg  [N*OUT_W-1:0] data_q;
    wire [N*OUT_W-1:0] clamped;
    wire [N*K_W-1:0]   constants;
    wire               there;              // those of the beat are known
    wire               taken = !valid_q || m_axis_tready;
    wire               moves = taken && there && s_axis_tvalid;

    assign s_axis_tready = taken && there;
    assign m_axis_tdata = data_q;
    assign m_axis_tvalid = valid_q;

    constant_table #(
        .WIDTH(N*K_W),
        .WORDS(WORDS),
        .FILE(FILE),
        .CHECK(CHECK)
    ) u_table (
        .clk(clk),
        .rst(rst),
        .next(moves),
        .there(there),
        .word(constants)
    );

    generate
        genvar n;
        for (n = 0; n < N; n = n + 1) begin : gen_sum
            wire [X_W-1:0] x_in = s_axis_tdata[n*X_W +: X_W];
            wire [K_W-1:0] k_in = constants[n*K_W +: K_W];
            // 64 bits hold every sum; those above W repeat the sign, those below DROP are rounded away
            /* verilator lint_off UNUSEDSIGNAL */
            wire [63:0] x = {{(64-X_W){(X_SIGNED != 0) && x_in[X_W-1]}}, x_in};
            wire [63:0] sum = (x << SHIFT) + {{(64-K_W){k_in[K_W-1]}}, k_in};
            /* verilator lint_on UNUSEDSIGNAL */
            clamp #(
                .IN_W(W - DROP),
                .IN_SIGNED(1),
                .OUT_W(OUT_W),
                .LOW(LOW),
                .HIGH(HIGH),
                .NO_LOW(NO_LOW),
                .NO_HIGH(NO_HIGH)
            ) u_clamp (
                .x(sum[W-1:DROP]),
                .y(clamped[n*OUT_W +: OUT_W])
            );
        end
    endgenerate

    always @(posedge clk) begin
        if (taken) data_q <= clamped;
    end

    always @(posedge clk) begin
        if (rst) valid_q <= 1'b0;
        else if (taken) valid_q <= moves;
    end

endmodule
`default_nettype wire
