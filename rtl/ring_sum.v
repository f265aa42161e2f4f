// SPDX-License-Identifier: Apache-2.0
//
// A slot of a ring, some slots further on: y = (a + b) mod RING, combinational.
//
// Where a and b have six bits together a bit of y is one lookup table; else it is a sum, or one of two side by side
// where RING is no power of two.
//
// bench: sim/bench_ring_sum.py
`default_nettype none

module ring_sum #(
    parameter RING = 4,              // slots
    parameter B_W = 2,               // bits of b, which is at most RING
    // not to be set
    parameter SLOT_W = (RING > 1) ? $clog2(RING) : 1 // bits of a slot
) (
    input  wire [SLOT_W-1:0] a,      // below RING
    input  wire [B_W-1:0]    b,
    output wire [SLOT_W-1:0] y
);

    localparam PLACES = 1 << (SLOT_W + B_W);

    generate
        if (RING < 1 || B_W < 1) begin : gen_check
            ring_sum_RING_and_B_W_must_be_at_least_1 error_i ();
        end
        genvar p, k;
        if (SLOT_W + B_W <= 6) begin : gen_table
            wire [SLOT_W+B_W-1:0] place = {b, a};
            for (k = 0; k < SLOT_W; k = k + 1) begin : gen_bit
                wire [PLACES-1:0] ones;
                for (p = 0; p < PLACES; p = p + 1) begin : gen_place
                    localparam BIT = ((((p % (1 << SLOT_W)) + (p >> SLOT_W)) % RING) >> k) % 2;
                    assign ones[p] = BIT == 1 && place == p;
                end
                assign y[k] = |ones;
            end
        end else if (RING == (1 << SLOT_W)) begin : gen_power
            localparam SUM_W = (SLOT_W > B_W) ? SLOT_W : B_W;
            /* verilator lint_off UNUSEDSIGNAL */
            wire [SUM_W-1:0] sum = {{(SUM_W-SLOT_W){1'b0}}, a} + {{(SUM_W-B_W){1'b0}}, b};
            /* verilator lint_on UNUSEDSIGNAL */
            assign y = sum[SLOT_W-1:0];
        end else begin : gen_sums
            localparam SUM_W = ((SLOT_W > B_W) ? SLOT_W : B_W) + 2;
            localparam SLOTS = RING;
            /* verilator lint_off UNUSEDSIGNAL */
            wire [SUM_W-1:0] near = {{(SUM_W-SLOT_W){1'b0}}, a} + {{(SUM_W-B_W){1'b0}}, b};
            wire [SUM_W-1:0] wrapped = {{(SUM_W-SLOT_W){1'b0}}, a} + {{(SUM_W-B_W){1'b0}}, b} - SLOTS[SUM_W-1:0];
            /* verilator lint_on UNUSEDSIGNAL */
            assign y = wrapped[SUM_W-1] ? near[SLOT_W-1:0] : wrapped[SLOT_W-1:0];
        end
    endgenerate

endmodule
`default_nettype wire
