// SPDX-License-Identifier: Apache-2.0
//
// A ripple of W carries: of each bit of `result` propagate ^ the carry into it, and on top the carry out of the last.
//
//   carry into bit i + 1 = propagate[i] ? carry into bit i : bypass[i]
//
// The adders that write their lookup tables themselves (pe.v, row_adder.v) end in the device's carry logic by this one module:
// XILINX = 1 instantiates CARRY8, of UltraScale+, XILINX = 2 CARRY4, of 7 series; 0 is what both are proven equal to in
// tests/test_carry_chain_formal.py.
//
// bench: sim/bench_carry_chain.py
`default_nettype none

module carry_chain #(
    parameter W = 8,                 // bits
    parameter XILINX = 0             // primitives: 1 of UltraScale+, 2 of 7 series
) (
    input  wire         carry_in,
    input  wire [W-1:0] propagate,
    input  wire [W-1:0] bypass,
    output wire [W:0]   result
);

    localparam PART = (XILINX == 2) ? 4 : 8;  // bits of a primitive
    localparam PARTS = (W + PART - 1) / PART;

    generate
        if (W < 1) begin : gen_check_w
            carry_chain_W_must_be_at_least_1 error_i ();
        end
        if (XILINX < 0 || XILINX > 2) begin : gen_check_xilinx
            carry_chain_XILINX_must_be_0_to_2 error_i ();
        end
    endgenerate

    genvar i;
    generate
        if (XILINX == 0) begin : gen_behavioural
            wire [W:0] carry;
            assign carry[0] = carry_in;
            for (i = 0; i < W; i = i + 1) begin : gen_bit
                assign carry[i+1] = propagate[i] ? carry[i] : bypass[i];
            end
            assign result = {carry[W], propagate ^ carry[W-1:0]};
        end else begin : gen_primitives
            // whole primitives; what the last has beyond W is not read
            /* verilator lint_off UNUSEDSIGNAL */
            wire [PART*PARTS-1:0] sum;
            wire [PART*PARTS-1:0] carry;
            /* verilator lint_on UNUSEDSIGNAL */
            wire [PART*PARTS-1:0] s;
            wire [PART*PARTS-1:0] di;
            for (i = 0; i < PART * PARTS; i = i + 1) begin : gen_bit
                if (i < W) begin : gen_used
                    assign s[i] = propagate[i];
                    assign di[i] = bypass[i];
                end else begin : gen_unused
                    assign s[i] = 1'b0;
                    assign di[i] = 1'b0;
                end
            end
            for (i = 0; i < PARTS; i = i + 1) begin : gen_part
                wire sent;
                if (i == 0) begin : gen_first
                    assign sent = 1'b0;
                end else begin : gen_next
                    assign sent = carry[PART*i-1];
                end
                if (XILINX == 2) begin : gen_series7
                    // CI takes a carry alone, CYINIT a signal
                    CARRY4 carry_i (
                        .CI(sent),
                        .CYINIT((i == 0) ? carry_in : 1'b0),
                        .DI(di[PART*i +: PART]),
                        .S(s[PART*i +: PART]),
                        .O(sum[PART*i +: PART]),
                        .CO(carry[PART*i +: PART])
                    );
                end else begin : gen_ultrascale
                    CARRY8 #(
                        .CARRY_TYPE("SINGLE_CY8")
                    ) carry_i (
                        .CI((i == 0) ? carry_in : sent),
                        .CI_TOP(1'b0),
                        .DI(di[PART*i +: PART]),
                        .S(s[PART*i +: PART]),
                        .O(sum[PART*i +: PART]),
                        .CO(carry[PART*i +: PART])
                    );
                end
            end
            assign result = {carry[W-1], sum[W-1:0]};
        end
    endgenerate

endmodule
`default_nettype wire
