// SPDX-License-Identifier: Apache-2.0
//
// The channels of two frames side by side: a beat of both at once, each PIXELS whole pixels, of a pixel those of a first.
//
// Each activation is brought to OUT_W bits on the common grid, which is wires.
//
// bench: sim/bench_concat_pixels.py
`default_nettype none

module concat_pixels #(
    parameter PIXELS = 1,       // pixels in a beat
    parameter A_N = 1,          // channels of a
    parameter A_W = 8,          // bits of an activation of a
    parameter A_SIGNED = 0,     // 1: a is two's complement
    parameter A_SHIFT = 0,      // bits that a is shifted up to the common grid
    parameter B_N = 1,          // channels of b
    parameter B_W = 8,          // bits of an activation of b
    parameter B_SIGNED = 0,     // 1: b is two's complement
    parameter B_SHIFT = 0,      // bits that b is shifted up to the common grid
    parameter OUT_W = 8         // bits of a result, which hold those of either side
) (
    input  wire                              clk,
    input  wire                              rst,        // synchronous, active high

    input  wire [PIXELS*A_N*A_W-1:0]         a_axis_tdata,
    input  wire                              a_axis_tvalid,
    output wire                              a_axis_tready,

    input  wire [PIXELS*B_N*B_W-1:0]         b_axis_tdata,
    input  wire                              b_axis_tvalid,
    output wire                              b_axis_tready,

    output wire [PIXELS*(A_N+B_N)*OUT_W-1:0] m_axis_tdata,
    output wire                              m_axis_tvalid,
    input  wire                              m_axis_tready
);

    generate
        if (PIXELS < 1 || A_N < 1 || B_N < 1) begin : gen_check_counts
            concat_pixels_PIXELS_A_N_and_B_N_must_be_at_least_1 error_i ();
        end
        if (A_W < 1 || A_SHIFT < 0 || A_W + A_SHIFT > OUT_W) begin : gen_check_a
            concat_pixels_A_W_with_A_SHIFT_must_be_1_to_OUT_W error_i ();
        end
        if (B_W < 1 || B_SHIFT < 0 || B_W + B_SHIFT > OUT_W) begin : gen_check_b
            concat_pixels_B_W_with_B_SHIFT_must_be_1_to_OUT_W error_i ();
        end
        if (OUT_W > 64) begin : gen_check_out
            concat_pixels_OUT_W_must_be_at_most_64 error_i ();
        end
    endgenerate

    wire both = a_axis_tvalid && b_axis_tvalid;
    reg  valid_q;
    wire taken = !valid_q || m_axis_tready;
    reg  [PIXELS*(A_N+B_N)*OUT_W-1:0] data_q;
    wire [PIXELS*(A_N+B_N)*OUT_W-1:0] joined;

    assign a_axis_tready = taken && both;
    assign b_axis_tready = taken && both;
    assign m_axis_tdata = data_q;
    assign m_axis_tvalid = valid_q;

    generate
        genvar p, n;
        for (p = 0; p < PIXELS; p = p + 1) begin : gen_pixel
            for (n = 0; n < A_N; n = n + 1) begin : gen_a
                wire [A_W-1:0] in = a_axis_tdata[(p*A_N+n)*A_W +: A_W];
                /* verilator lint_off UNUSEDSIGNAL */
                wire [63:0] wide = {{(64-A_W){(A_SIGNED != 0) && in[A_W-1]}}, in} << A_SHIFT;
                /* verilator lint_on UNUSEDSIGNAL */
                assign joined[(p*(A_N+B_N)+n)*OUT_W +: OUT_W] = wide[OUT_W-1:0];
            end
            for (n = 0; n < B_N; n = n + 1) begin : gen_b
                wire [B_W-1:0] in = b_axis_tdata[(p*B_N+n)*B_W +: B_W];
                /* verilator lint_off UNUSEDSIGNAL */
                wire [63:0] wide = {{(64-B_W){(B_SIGNED != 0) && in[B_W-1]}}, in} << B_SHIFT;
                /* verilator lint_on UNUSEDSIGNAL */
                assign joined[(p*(A_N+B_N)+A_N+n)*OUT_W +: OUT_W] = wide[OUT_W-1:0];
            end
        end
    endgenerate

    always @(posedge clk) begin
        if (taken) data_q <= joined;
    end

    always @(posedge clk) begin
        if (rst) valid_q <= 1'b0;
        else if (taken) valid_q <= both;
    end

endmodule
`default_nettype wire
