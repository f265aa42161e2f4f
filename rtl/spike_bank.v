// SPDX-License-Identifier: Apache-2.0
//
// An accumulator that is used for SLOTS sums of a vector, twice, in LUT RAM: one half fills while the other is read.
//
// With `enable` the sum at the slot that the payload names becomes more by the payload's weight, worth 2^LIFT; with
// `drain`, too, the sum at `drain_slot` begins anew with `constant`. A payload has the weight itself, or with CODED its
// number in VALUES. `sum` is the sum that is there before: combinational. All of it is one clock, so the next one may be of the same slot. With primitives it is one LUT6_2 a
// bit, and the device's carry chain; both forms are proven equal in tests/test_spikes.py.
//
// bench: sim/bench_spike_bank.py
`default_nettype none

module spike_bank #(
    parameter SLOTS = 8,             // sums of a vector
    parameter WEIGHT_W = 4,          // bits of a weight, two's complement
    parameter LIFT = 0,              // low bits of a sum in which a weight has none
    parameter CODED = 0,             // 1: a payload has the number of a weight
    parameter CODE_W = WEIGHT_W,     // bits of that number, or of the weight
    /* verilator lint_off UNUSEDPARAM */
    parameter VALUES_W = (CODED != 0) ? WEIGHT_W << CODE_W : 1, // not to be set
    parameter [VALUES_W-1:0] VALUES = 0, // the weights by number, the first lowest
    /* verilator lint_on UNUSEDPARAM */
    parameter CONSTANT_W = 8,        // bits of a constant, two's complement
    parameter W = 12,                // bits of a sum, WEIGHT_W + LIFT and CONSTANT_W at least
    parameter XILINX = 0,            // primitives: 1 of UltraScale+, 2 of 7 series; see carry_chain.v
    // bits of a slot; not to be set
    parameter SLOT_W = (SLOTS > 1) ? $clog2(SLOTS) : 1,
    // of a payload, which names none of one slot; not to be set
    parameter PAYLOAD_W = (SLOTS > 1) ? SLOT_W + CODE_W : CODE_W
) (
    input  wire                 clk,
    input  wire                 enable,
    input  wire                 drain,
    input  wire                 half,
    input  wire [SLOT_W-1:0]    drain_slot,
    input  wire [CONSTANT_W-1:0] constant,
    input  wire [PAYLOAD_W-1:0] payload,   // {slot, weight}
    output wire [W-1:0]         sum
);

    generate
        if (WEIGHT_W < 1 || CONSTANT_W < 1 || W < WEIGHT_W + LIFT || W < CONSTANT_W) begin : gen_check_w
            spike_bank_W_must_be_at_least_WEIGHT_W_with_LIFT_and_CONSTANT_W error_i ();
        end
        if (CODED == 0 && CODE_W != WEIGHT_W) begin : gen_check_code
            spike_bank_CODE_W_must_be_WEIGHT_W_without_CODED error_i ();
        end
        if (SLOTS < 1) begin : gen_check_slots
            spike_bank_SLOTS_must_be_at_least_1 error_i ();
        end
    endgenerate

    wire [SLOT_W:0] address;
    generate
        if (SLOTS > 1) begin : gen_slots
            assign address = {half, drain ? drain_slot : payload[CODE_W +: SLOT_W]};
        end else begin : gen_slot
            assign address = {half, drain_slot};
        end
    endgenerate

    (* ram_style = "distributed" *) reg [W-1:0] memory [0:(2<<SLOT_W)-1];
    wire [W-1:0] next;
    assign sum = memory[address];
    always @(posedge clk) if (enable) memory[address] <= next;

    wire [WEIGHT_W-1:0] value;
    wire [W-1:0] weight;
    wire [W-1:0] anew;
    genvar i, k;
    generate
        if (CODED != 0) begin : gen_coded
            for (i = 0; i < WEIGHT_W; i = i + 1) begin : gen_value
                wire [(1<<CODE_W)-1:0] some;
                for (k = 0; k < (1 << CODE_W); k = k + 1) begin : gen_code
                    localparam [31:0] CODE = k;
                    assign some[k] = VALUES[k*WEIGHT_W+i] && payload[CODE_W-1:0] == CODE[CODE_W-1:0];
                end
                assign value[i] = |some;
            end
        end else begin : gen_plain
            assign value = payload[WEIGHT_W-1:0];
        end
        for (i = 0; i < W; i = i + 1) begin : gen_operand
            if (i < LIFT) begin : gen_below
                assign weight[i] = 1'b0;
            end else if (i < LIFT + WEIGHT_W) begin : gen_weight
                assign weight[i] = value[i-LIFT];
            end else begin : gen_sign
                assign weight[i] = value[WEIGHT_W-1];
            end
            if (i < CONSTANT_W) begin : gen_constant
                assign anew[i] = constant[i];
            end else begin : gen_constant_sign
                assign anew[i] = constant[CONSTANT_W-1];
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
                // O5 = drain ? 0 : sum;  O6 = O5 ^ (drain ? anew : weight)
                LUT6_2 #(
                    .INIT(64'hFF003C3C_0000CCCC)
                ) lut_i (
                    .I0(1'b0),
                    .I1(sum[i]),
                    .I2(weight[i]),
                    .I3(anew[i]),
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
            assign next = drain ? anew : sum + weight;
        end
    endgenerate

endmodule
`default_nettype wire
