// SPDX-License-Identifier: Apache-2.0
//
// An accumulator that is used for SLOTS sums of a vector, twice, in LUT RAM: one half fills while the other is read.
//
// With `enable` the sum at the slot that the payload names becomes more by the payload's weight, worth 2^LIFT; with
// `drain`, too, the sum at `drain_slot` begins anew with the payload's constant. `sum` is the sum that is there before:
// combinational. All of it is one clock, so the next one may be of the same slot. With primitives it is one LUT6_2 a
// bit, and the device's carry chain; both forms are proven equal in tests/test_spikes.py.
//
// bench: sim/bench_spike_bank.py
`default_nettype none

module spike_bank #(
    parameter SLOTS = 8,             // sums of a vector
    parameter WEIGHT_W = 4,          // bits of a weight, two's complement
    parameter LIFT = 0,              // low bits of a sum in which a weight has none
    parameter CONSTANT_W = 8,        // bits of a constant, two's complement
    parameter W = 12,                // bits of a sum, WEIGHT_W + LIFT and CONSTANT_W at least
    parameter XILINX = 0,            // primitives: 1 of UltraScale+, 2 of 7 series; see carry_chain.v
    // bits of a slot, and of those that a payload has above the weight; not to be set
    parameter SLOT_W = (SLOTS > 1) ? $clog2(SLOTS) : 1,
    parameter NAMED_W = (SLOTS > 1) ? SLOT_W : 0,
    // bits of a payload; not to be set
    parameter PAYLOAD_W = (CONSTANT_W > WEIGHT_W + NAMED_W) ? CONSTANT_W : WEIGHT_W + NAMED_W
) (
    input  wire                 clk,
    input  wire                 enable,
    input  wire                 drain,
    input  wire                 half,
    input  wire [SLOT_W-1:0]    drain_slot,
    /* verilator lint_off UNUSEDSIGNAL */
    input  wire [PAYLOAD_W-1:0] payload,   // above a weight's slot none is read
    /* verilator lint_on UNUSEDSIGNAL */
    output wire [W-1:0]         sum
);

    generate
        if (WEIGHT_W < 1 || CONSTANT_W < 1 || W < WEIGHT_W + LIFT || W < CONSTANT_W) begin : gen_check_w
            spike_bank_W_must_be_at_least_WEIGHT_W_with_LIFT_and_CONSTANT_W error_i ();
        end
        if (SLOTS < 1) begin : gen_check_slots
            spike_bank_SLOTS_must_be_at_least_1 error_i ();
        end
    endgenerate

    wire [SLOT_W:0] address;
    generate
        if (SLOTS > 1) begin : gen_slots
            assign address = {half, drain ? drain_slot : payload[WEIGHT_W +: SLOT_W]};
        end else begin : gen_slot
            assign address = {half, drain_slot};
        end
    endgenerate

    (* ram_style = "distributed" *) reg [W-1:0] memory [0:(2<<SLOT_W)-1];
    wire [W-1:0] next;
    assign sum = memory[address];
    always @(posedge clk) if (enable) memory[address] <= next;

    wire [W-1:0] weight;
    wire [W-1:0] constant;
    genvar i;
    generate
        for (i = 0; i < W; i = i + 1) begin : gen_operand
            if (i < LIFT) begin : gen_below
                assign weight[i] = 1'b0;
            end else if (i < LIFT + WEIGHT_W) begin : gen_weight
                assign weight[i] = payload[i-LIFT];
            end else begin : gen_sign
                assign weight[i] = payload[WEIGHT_W-1];
            end
            if (i < CONSTANT_W) begin : gen_constant
                assign constant[i] = payload[i];
            end else begin : gen_constant_sign
                assign constant[i] = payload[CONSTANT_W-1];
            end
        end

        if (XILINX != 0) begin : gen_primitives
            wire [W-1:0] propagate;
            wire [W-1:0] bypass;
            // the carry out of the last bit is not read
            /* verilator lint_off UNUSEDSIGNAL */
            wire [W:0]   result;
            /* verilator lint_on UNUSEDSIGNAL */
            for (i = 0; i < W; i = i + 1) begin : gen_bit
                // O5 = drain ? 0 : sum;  O6 = O5 ^ (drain ? constant : weight)
                LUT6_2 #(
                    .INIT(64'hFF003C3C_0000CCCC)
                ) lut_i (
                    .I0(1'b0),
                    .I1(sum[i]),
                    .I2(weight[i]),
                    .I3(constant[i]),
                    .I4(drain),
                    .I5(1'b1),
                    .O5(bypass[i]),
                    .O6(propagate[i])
                );
            end
            carry_chain #(
                .W(W),
                .XILINX(XILINX)
            ) chain_i (
                .carry_in(1'b0),
                .propagate(propagate),
                .bypass(bypass),
                .result(result)
            );
            assign next = result[W-1:0];
        end else begin : gen_behavioural
            assign next = drain ? constant : sum + weight;
        end
    endgenerate

endmodule
`default_nettype wire
