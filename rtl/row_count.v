// SPDX-License-Identifier: Apache-2.0
//
// How many rows of a ring are taken: one more with `up`, STEP fewer with `down`, or LAST_STEP where `last` says so.
//
// `next` is what `count` becomes at the clock edge. Where a count and the three have six bits, a bit of it is one lookup table.
//
// bench: sim/bench_row_count.py
`default_nettype none

module row_count #(
    parameter RING = 4,              // the most rows
    parameter STEP = 1,              // rows that go at a time
    parameter LAST_STEP = 1,         // rows that go with `last`
    parameter TMR = 0,               // 1: three copies of the count, see voted_reg.v
    // not to be set
    parameter COUNT_W = $clog2(RING + 1) // bits of a count
) (
    input  wire               clk,
    input  wire               rst,
    input  wire               up,
    input  wire               down,
    input  wire               last,
    output wire [COUNT_W-1:0] count,
    output wire [COUNT_W-1:0] next
);

    localparam PLACES = 1 << (COUNT_W + 3);

    wire [COUNT_W-1:0] count_q;
    assign count = count_q;
    voted_reg #(
        .W(COUNT_W),
        .TMR(TMR)
    ) u_count (
        .clk(clk),
        .rst(rst),
        .enable(1'b1),
        .d(next),
        .q(count_q)
    );

    generate
        if (STEP > RING || LAST_STEP > RING) begin : gen_check
            row_count_STEP_and_LAST_STEP_must_be_at_most_RING error_i ();
        end
        genvar p, k;
        if (COUNT_W <= 3) begin : gen_table
            wire [COUNT_W+2:0] place = {down && last, down, up, count_q};
            for (k = 0; k < COUNT_W; k = k + 1) begin : gen_bit
                wire [PLACES-1:0] ones;
                for (p = 0; p < PLACES; p = p + 1) begin : gen_place
                    localparam AFTER = (p % (1 << COUNT_W)) + ((p >> COUNT_W) % 2)
                        - (((p >> (COUNT_W + 1)) % 2 == 0) ? 0 : (p >> (COUNT_W + 2) == 0) ? STEP : LAST_STEP);
                    localparam BIT = ((AFTER + 2 * (1 << COUNT_W)) >> k) % 2;
                    assign ones[p] = BIT == 1 && place == p;
                end
                assign next[k] = |ones;
            end
        end else begin : gen_sum
            localparam ONE_STEP = STEP;
            wire [COUNT_W-1:0] step = last ? LAST_STEP[COUNT_W-1:0] : ONE_STEP[COUNT_W-1:0];
            assign next = count_q + {{(COUNT_W-1){1'b0}}, up} - (down ? step : {COUNT_W{1'b0}});
        end
    endgenerate

endmodule
`default_nettype wire
