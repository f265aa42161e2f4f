// SPDX-License-Identifier: Apache-2.0
//
// A value between the ends of a mode, combinational: y = min(max(x, LOWS[mode]), HIGHS[mode]).
//
// bench: sim/bench_mode_clamp.py
`default_nettype none

module mode_clamp #(
    parameter MODES = 2,             // up to 256
    parameter IN_W = 12,             // bits of x
    parameter OUT_W = 8,             // bits of y, which hold all ends
    parameter [64*MODES-1:0] LOWS = 0,  // the least y of each mode, signed, that of mode 0 lowest
    parameter [64*MODES-1:0] HIGHS = 0, // the greatest y of each mode
    parameter MODE_W = (MODES > 1) ? $clog2(MODES) : 1 // bits of a mode; not to be set
) (
    input  wire [IN_W-1:0]   x,      // two's complement
    input  wire [MODE_W-1:0] mode,
    output wire [OUT_W-1:0]  y
);

    generate
        if (IN_W < 1 || IN_W > 64 || OUT_W < 1 || OUT_W > 64) begin : gen_check_bits
            mode_clamp_IN_W_and_OUT_W_must_be_1_to_64 error_i ();
        end
    endgenerate

    wire signed [63:0] value = {{(64-IN_W){x[IN_W-1]}}, x};
    wire [MODES-1:0]   above;           // of the mode that is chosen
    wire [MODES-1:0]   below;
    reg  [OUT_W-1:0]   end_d;

    generate
        genvar i;
        for (i = 0; i < MODES; i = i + 1) begin : gen_mode
            localparam signed [63:0] LOW = LOWS[64*i +: 64];
            localparam signed [63:0] HIGH = HIGHS[64*i +: 64];
            wire over;
            wire under;
            if ((HIGH & (HIGH + 64'sd1)) == 64'sd0 && HIGH >= 64'sd0) begin : gen_high_ones
                // HIGH is all ones: above when any bit over it is set
                assign over = !value[63] && |(value & ~HIGH);
            end else begin : gen_high_any
                assign over = value > HIGH;
            end
            if (LOW == 64'sd0) begin : gen_low_zero
                assign under = value[63];
            end else if ((~LOW & (~LOW + 64'sd1)) == 64'sd0 && LOW < 64'sd0) begin : gen_low_ones
                // LOW is the negative of a power of two: below when any bit over its ones is clear
                assign under = value[63] && |(~value & LOW);
            end else begin : gen_low_any
                assign under = value < LOW;
            end
            assign above[i] = mode == i && over;
            assign below[i] = mode == i && under;
        end
    endgenerate

    // an OR of ends, of which one is passed at most
    integer n;
    always @* begin
        end_d = {OUT_W{1'b0}};
        for (n = 0; n < MODES; n = n + 1) begin
            if (above[n]) end_d = end_d | HIGHS[64*n +: OUT_W];
            if (below[n]) end_d = end_d | LOWS[64*n +: OUT_W];
        end
    end

    assign y = (|above || |below) ? end_d : value[OUT_W-1:0];

endmodule
`default_nettype wire
