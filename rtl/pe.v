// SPDX-License-Identifier: Apache-2.0
//
// One lane's accumulator: every cycle it may shift right by one bit and adds or subtracts x.
//
//   sum = ((shift ? acc >>> 1 : acc) + (negate ? -x : x)), with the F last bits shifted out below it
//
// STICKY = 1: of the bits that were shifted out the lowest of F says whether any is set, for rounding half to even. LATE = 1: the
// F bits are a shift register, cleared a clock later, while nothing is shifted: it holds those of a sum in the clock behind it.
//
// `sum` is combinational. At the clock edge `clear` sets the accumulator to zero, else `enable` takes sum into it. Arithmetic is
// modulo 2^W: only the value at each shift and at the end has to fit. With primitives it is one LUT6_2 a bit and the device's
// carry chain (synthesis from the behavioural form takes two LUTs a bit); all forms are proven equal in tests/test_pe_formal.py.
//
// bench: sim/bench_pe.py
`default_nettype none

module pe #(
    parameter W = 16,                // accumulator bits
    parameter F = 0,                 // bits kept below the accumulator
    parameter STICKY = 0,            // 1: the lowest of them is whether any bit that it was, or is, shifted out is set
    parameter LATE = 0,              // 1: they come a clock later than the rest of a sum, and are cleared later
    parameter XILINX = 0             // primitives: 1 of UltraScale+, 2 of 7 series; see carry_chain.v
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
        if (STICKY != 0 && LATE != 0) begin : gen_check_sticky
            pe_STICKY_must_be_0_with_LATE error_i ();
        end
    endgenerate

    reg  [W-1:0] acc_q;
    wire [W-1:0] acc_d;
    // bit i + 1 is what bit i becomes in an arithmetic shift right by one; bit 0 leaves
    /* verilator lint_off UNUSEDSIGNAL */
    wire [W:0]   acc_extended = {acc_q[W-1], acc_q};
    /* verilator lint_on UNUSEDSIGNAL */

    always @(posedge clk) begin
        if (clear) acc_q <= {W{1'b0}};
        else if (enable) acc_q <= acc_d;
    end

    assign sum[W+F-1:F] = acc_d;

    genvar i;
    generate
        if (XILINX != 0) begin : gen_primitives
            wire [W-1:0] propagate;
            wire [W-1:0] bypass;
            // the carry out of the last bit is not read
            /* verilator lint_off UNUSEDSIGNAL */
            wire [W:0]   result;
            /* verilator lint_on UNUSEDSIGNAL */
            for (i = 0; i < W; i = i + 1) begin : gen_bit
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
            end
            carry_chain #(
                .W(W),
                .XILINX(XILINX)
            ) chain_i (
                .carry_in(negate),
                .propagate(propagate),
                .bypass(bypass),
                .result(result)
            );
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
            /* verilator lint_off UNUSEDSIGNAL */
            wire [F:0]   below_extended = {acc_q[0], below_q};     // the lowest bit is shifted out
            /* verilator lint_on UNUSEDSIGNAL */
            if (LATE != 0) begin : gen_late
                reg clear_q;
                always @(posedge clk) begin
                    clear_q <= clear;
                    if (clear_q) below_q <= {F{1'b0}};
                    else if (enable && shift) below_q <= below_extended[F:1];
                end
                assign sum[F-1:0] = below_q;
            end else begin : gen_now
                localparam [F-1:0] KEPT = (STICKY != 0) ? {F{1'b1}} >> (F - 1) : {F{1'b0}};
                wire [F-1:0] below_d = shift ? below_extended[F:1] | (below_q & KEPT) : below_q;
                always @(posedge clk) begin
                    if (clear) below_q <= {F{1'b0}};
                    else if (enable) below_q <= below_d;
                end
                assign sum[F-1:0] = below_d;
            end
        end
    endgenerate

endmodule
`default_nettype wire
