// SPDX-License-Identifier: Apache-2.0
// One lane's accumulator: every cycle it may shift right by one bit and adds or subtracts x.
//
//   sum = ((shift ? acc >>> 1 : acc) + (negate ? -x : x)), with the F last bits shifted out below it
//
// `sum` is combinational. At the clock edge `clear` sets the accumulator to zero, else `enable` takes sum into it. Arithmetic is
// modulo 2^W: only the value at each shift and at the end has to fit. XILINX = 1 instantiates one LUT6_2 a bit and CARRY8
// (synthesis from the behavioural form takes two LUTs a bit); both forms are proven equal in tests/test_pe_formal.py.
//
// bench: sim/bench_pe.py
`default_nettype none

module pe #(
    parameter W = 16,                // accumulator bits
    parameter F = 0,                 // bits kept below the accumulator
    parameter XILINX = 0             // 1: UltraScale+ primitives
) (
    input  wire           clk,
    input  wire           clear,
    input  wire           enable,
    input  wire           shift,
    input  wire           negate,
    input  wire [W-1:0]   x,
    output wire [W+F-1:0] sum
);

    generate
        if (W < 1) begin : gen_check_w
            pe_W_must_be_at_least_1 error_i ();
        end
        if (F < 0) begin : gen_check_f
            pe_F_must_be_at_least_0 error_i ();
        end
    endgenerate

    reg  [W-1:0] acc_q;
    wire [W-1:0] acc_d;
    // bit i + 1 is what bit i becomes in an arithmetic shift right by one; bit 0 leaves
    /* verilator lint_off UNUSEDSIGNAL */
    wire [W:0]   acc_extended = {acc_q[W-1], acc_q};

    always @(posedge clk) begin
        if (clear) acc_q <= {W{1'b0}};
        else if (enable) acc_q <= acc_d;
    end

    assign sum[W+F-1:F] = acc_d;

    generate
        if (XILINX != 0) begin : gen_primitives
            localparam CHAINS = (W + 7) / 8;
            wire [8*CHAINS-1:0] propagate;
            wire [8*CHAINS-1:0] bypass;
            wire [8*CHAINS-1:0] result;
            wire [8*CHAINS-1:0] carry;
            genvar i;
            for (i = 0; i < 8 * CHAINS; i = i + 1) begin : gen_bit
                if (i < W) begin : gen_used
                    // O5 = shift ? acc[i+1] : acc[i];  O6 = O5 ^ x[i] ^ negate
                    LUT6_2 #(
                        .INIT(64'hCA3535CA_CACACACA)
                    ) lut_i (
                        .I0(acc_q[i]),
                        .I1(acc_extended[i+1]),
                        .I2(shift),
                        .I3(x[i]),
                        .I4(negate),
                        .I5(1'b1),
                        .O5(bypass[i]),
                        .O6(propagate[i])
                    );
                end else begin : gen_unused
                    assign bypass[i] = 1'b0;
                    assign propagate[i] = 1'b0;
                end
            end
            for (i = 0; i < CHAINS; i = i + 1) begin : gen_chain
                wire carry_in;
                if (i == 0) begin : gen_first
                    assign carry_in = negate;
                end else begin : gen_next
                    assign carry_in = carry[8*i-1];
                end
                CARRY8 #(
                    .CARRY_TYPE("SINGLE_CY8")
                ) carry_i (
                    .CI(carry_in),
                    .CI_TOP(1'b0),
                    .DI(bypass[8*i +: 8]),
                    .S(propagate[8*i +: 8]),
                    .O(result[8*i +: 8]),
                    .CO(carry[8*i +: 8])
                );
            end
            assign acc_d = result[W-1:0];
        end else begin : gen_behavioural
            reg [W-1:0] result;
            always @* begin
                result = shift ? acc_extended[W:1] : acc_q;
                if (negate) result = result - x;
                else result = result + x;
            end
            assign acc_d = result;
        end

        if (F > 0) begin : gen_below
            reg  [F-1:0] below_q;
            wire [F:0]   below_extended = {acc_q[0], below_q};
            wire [F-1:0] below_d = shift ? below_extended[F:1] : below_q;
            always @(posedge clk) begin
                if (clear) below_q <= {F{1'b0}};
                else if (enable) below_q <= below_d;
            end
            assign sum[F-1:0] = below_d;
        end
    endgenerate

endmodule
`default_nettype wire
