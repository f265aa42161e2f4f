// SPDX-License-Identifier: Apache-2.0
//
// The greatest of each channel's taps, a pixel a cycle: a tree of comparisons with a register behind each level.
//
// `taps` holds TAPS pixels of CHANNELS activations, as rtl/window.v gives them. Nothing moves without `enable`; the
// result comes LEVELS clocks after its taps.
//
// bench: sim/bench_max_graph.py
`default_nettype none

module max_graph #(
    parameter X_W = 8,               // bits of an activation
    parameter X_SIGNED = 0,          // 1: activations are two's complement
    parameter CHANNELS = 4,          // activations of a pixel
    parameter TAPS = 4               // pixels of a window
) (
    input  wire                          clk,
    input  wire                          enable,
    input  wire [TAPS*CHANNELS*X_W-1:0]  taps,
    output wire [CHANNELS*X_W-1:0]       greatest
);

    localparam LEVELS = (TAPS > 1) ? $clog2(TAPS) : 1;
    localparam LEAVES = 1 << LEVELS;

    generate
        genvar channel, n;
        for (channel = 0; channel < CHANNELS; channel = channel + 1) begin : gen_channel
            // a binary tree: node n has the children 2n and 2n + 1, leaves are LEAVES to 2 * LEAVES - 1
            wire [2*LEAVES*X_W-1:X_W] nodes;
            for (n = 0; n < LEAVES; n = n + 1) begin : gen_leaf
                // a leaf without a tap repeats the last one
                localparam TAP = (n < TAPS) ? n : TAPS - 1;
                assign nodes[(LEAVES+n)*X_W +: X_W] = taps[(TAP*CHANNELS+channel)*X_W +: X_W];
            end
            for (n = 1; n < LEAVES; n = n + 1) begin : gen_node
                wire [X_W-1:0] a = nodes[2*n*X_W +: X_W];
                wire [X_W-1:0] b = nodes[(2*n+1)*X_W +: X_W];
                reg  [X_W-1:0] node_q;
                wire a_wins;
                if (X_SIGNED != 0) begin : gen_signed
                    assign a_wins = $signed(a) > $signed(b);
                end else begin : gen_unsigned
                    assign a_wins = a > b;
                end
                always @(posedge clk) if (enable) node_q <= a_wins ? a : b;
                assign nodes[n*X_W +: X_W] = node_q;
            end
            assign greatest[channel*X_W +: X_W] = nodes[X_W +: X_W];
        end
    endgenerate

endmodule
`default_nettype wire
