// SPDX-License-Identifier: Apache-2.0
//
// Two lines, one below zero and one from zero on, requantized: clamp((x * SLOPE + START) >> DROP). A leaky ReLU.
//
// Each of the N activations of a beat goes by itself. Where slopes are powers of two, products are wires.
//
// bench: sim/bench_two_lines.py
`default_nettype none

module two_lines #(
    parameter N = 1,                         // activations side by side in a beat
    parameter X_W = 8,                       // bits of an activation
    parameter X_SIGNED = 1,                  // 1: activations are two's complement
    parameter W = 16,                        // bits of a product with its START, two's complement, X_W to 64
    parameter signed [63:0] SLOPE_BELOW = 1, // factor of an activation below zero
    parameter signed [63:0] SLOPE = 8,       // factor of any other
    parameter signed [63:0] START_BELOW = 4, // what is added below zero
    parameter signed [63:0] START = 4,       // what is added from zero on
    parameter DROP = 3,                      // low bits that are dropped, fewer than W
    parameter OUT_W = 8,                     // bits of a result
    parameter signed [63:0] LOW = -128,      // least result
    parameter signed [63:0] HIGH = 127,      // greatest result
    parameter NO_LOW = 0,                    // 1: there is no least result, whatever LOW
    parameter NO_HIGH = 0                    // 1: there is no greatest result, whatever HIGH
) (
    input  wire               clk,
    input  wire               rst,           // synchronous, active high

    input  wire [N*X_W-1:0]   s_axis_tdata,
    input  wire               s_axis_tvalid,
    output wire               s_axis_tready,

    output wire [N*OUT_W-1:0] m_axis_tdata,
    output wire               m_axis_tvalid,
    input  wire               m_axis_tready
);

    generate
        if (X_W < 1 || W < X_W || W > 64) begin : gen_check_w
            two_lines_W_must_be_X_W_to_64 error_i ();
        end
        if (DROP < 0 || DROP >= W) begin : gen_check_drop
            two_lines_DROP_must_be_0_to_below_W error_i ();
        end
    endgenerate

    reg  [N*OUT_W-1:0] data_q;
    wire [N*OUT_W-1:0] clamped;
    reg                valid_q;
    wire               taken = !valid_q || m_axis_tready;

    assign s_axis_tready = taken;
    assign m_axis_tdata = data_q;
    assign m_axis_tvalid = valid_q;

    generate
        genvar n;
        for (n = 0; n < N; n = n + 1) begin : gen_activation
            wire [X_W-1:0] x = s_axis_tdata[n*X_W +: X_W];
            wire           below = (X_SIGNED != 0) && x[X_W-1];
            // 64 bits hold every sum; those above W repeat the sign
            /* verilator lint_off UNUSEDSIGNAL */
            wire [63:0]    wide = {{(64-X_W){below}}, x};
            wire [63:0]    sum = (below ? START_BELOW : START) + (below ? wide * SLOPE_BELOW : wide * SLOPE);
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

    // data: no reset, a word counts only with its valid bit
    always @(posedge clk) begin
        if (taken) data_q <= clamped;
    end

    always @(posedge clk) begin
        if (rst) valid_q <= 1'b0;
        else if (taken) valid_q <= s_axis_tvalid;
    end

endmodule
`default_nettype wire
