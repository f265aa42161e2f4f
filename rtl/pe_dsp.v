// SPDX-License-Identifier: Apache-2.0
//
// The accumulators of two lanes in one DSP slice: every cycle each may double, and adds x or subtracts it and one.
//
//   sum <= (first ? 0 : shift ? 2 * sum : sum) + (use_immediate ? immediate : negate ? -x - 1 : x),
//   lane l in bits [l*W +: W] of x and of sum
//
// So terms go from the high exponent to the low (Horner); the generator adds the ones back as constants, for all terms alike:
// a padded pixel is x = 0, and it too takes its one. A bubble is x = 0 with neither shift nor negate.
//
// A term's x and command enter the slice's input registers at one clock with `enable`, its sum comes out of the next: with
// last_q and last_qq that follow `last` by `enable`, `sum` holds the result while last_qq is high, and the next `first` may be
// at the inputs in the clock after `last` (so `first` can be last_q, set by a reset). Without `enable` everything holds; nothing
// is reset, for `first` forgets all that was. Arithmetic is modulo 2^W: only the result has to fit.
//
// XILINX = 1 instantiates a DSP48E2 (UG579), its two 24-bit lanes without the multiplier: Z is C, that is x; W and X are 0 or P,
// both P doubling it, or, where X is A:B, that is the immediate for both lanes, W and Z are; ALUMODE 0000 adds Z, 0001 adds not(Z). The slice has registers on C, OPMODE and ALUMODE, so commands
// need no copy of their own for every lane. D is not used: it is ones behind a register that never loads.
// tests/test_pe_dsp.py proves both forms equal for the model sim/DSP48E2.v, which is written from the user guide's tables.
// Unproven without the vendor's tools: that the model is the silicon, that Vivado's rule checks accept the instance, and speed.
//
// bench: sim/bench_pe_dsp.py
`default_nettype none

module pe_dsp #(
    parameter W = 24,                // accumulator bits of a lane, at most 24
    parameter XILINX = 0             // primitives: 1 of UltraScale+; 7 series has none that fits
) (
    input  wire           clk,
    input  wire           enable,
    input  wire           first,
    input  wire           shift,
    input  wire           negate,        // of x alone
    input  wire           use_immediate, // in the place of x
    input  wire [W-1:0]   immediate,     // of both lanes
    input  wire [2*W-1:0] x,
    output wire [2*W-1:0] sum
);

    generate
        if (W < 1 || W > 24) begin : gen_check_w
            pe_dsp_W_must_be_1_to_24 error_i ();
        end
        if (XILINX != 0 && XILINX != 1) begin : gen_check_xilinx
            pe_dsp_XILINX_must_be_0_or_1 error_i ();
        end
    endgenerate

    // what the old sum comes in as: not at all, once, twice
    wire keep = !first;
    wire double = !first && shift;

    generate
        if (XILINX != 0) begin : gen_primitive
            wire [47:0] c;
            // a lane's sum may have fewer bits than the slice
            /* verilator lint_off UNUSEDSIGNAL */
            wire [47:0] p;
            /* verilator lint_on UNUSEDSIGNAL */
            wire [2:0]  z = use_immediate ? {1'b0, double, 1'b0} : 3'b011;
            wire [8:0]  opmode = {1'b0, keep, z, 2'b00, double || use_immediate, use_immediate};  // W, Z, Y, X
            wire [3:0]  alumode = {3'b000, negate && !use_immediate};
            wire [47:0] ab;
            genvar l;
            for (l = 0; l < 2; l = l + 1) begin : gen_lane
                if (W < 24) begin : gen_above
                    assign c[24*l+W +: 24-W] = {(24-W){1'b0}};
                    assign ab[24*l+W +: 24-W] = {(24-W){1'b0}};
                end
                assign c[24*l +: W] = x[l*W +: W];
                assign ab[24*l +: W] = immediate;
                assign sum[l*W +: W] = p[24*l +: W];
            end

            DSP48E2 #(
                .USE_MULT("NONE"),
                .USE_SIMD("TWO24"),
                .MREG(0),
                .AREG(1),
                .BREG(1),
                .CREG(1),
                .OPMODEREG(1),
                .ALUMODEREG(1),
                .PREG(1),
                .CARRYINREG(0),
                .CARRYINSELREG(0),
                .INMODEREG(0)
            ) dsp_i (
                .CLK(clk),
                .C(c),
                .OPMODE(opmode),
                .ALUMODE(alumode),
                .P(p),
                .CEC(enable),
                .CECTRL(enable),
                .CEALUMODE(enable),
                .CEP(enable),
                .A(ab[47:18]),
                .B(ab[17:0]),
                .CEA2(enable),
                .CEB2(enable),
                .D({27{1'b1}}),
                .CARRYIN(1'b0),
                .CARRYINSEL(3'b000),
                .INMODE(5'b00000),
                .ACIN(30'd0),
                .BCIN(18'd0),
                .PCIN(48'd0),
                .CARRYCASCIN(1'b0),
                .MULTSIGNIN(1'b0),
                .CEA1(1'b0),
                .CEAD(1'b0),
                .CEB1(1'b0),
                .CECARRYIN(1'b0),
                .CED(1'b0),
                .CEINMODE(1'b0),
                .CEM(1'b0),
                .RSTA(1'b0),
                .RSTALLCARRYIN(1'b0),
                .RSTALUMODE(1'b0),
                .RSTB(1'b0),
                .RSTC(1'b0),
                .RSTCTRL(1'b0),
                .RSTD(1'b0),
                .RSTINMODE(1'b0),
                .RSTM(1'b0),
                .RSTP(1'b0)
            );
        end else begin : gen_behavioural
            reg [2*W-1:0] x_q;
            reg           keep_q;
            reg           double_q;
            reg           negate_q;
            reg           immediate_q;
            reg [W-1:0]   constant_q;
            reg [2*W-1:0] sum_q;
            always @(posedge clk) begin
                if (enable) begin
                    x_q <= x;
                    keep_q <= keep;
                    double_q <= double;
                    negate_q <= negate && !use_immediate;
                    immediate_q <= use_immediate;
                    constant_q <= immediate;
                end
            end
            genvar l;
            for (l = 0; l < 2; l = l + 1) begin : gen_lane
                wire [W-1:0] old = sum_q[l*W +: W];
                wire [W-1:0] base = double_q ? old << 1 : keep_q ? old : {W{1'b0}};
                wire [W-1:0] x_one = x_q[l*W +: W];
                wire [W-1:0] addend = immediate_q ? constant_q : negate_q ? ~x_one : x_one;
                always @(posedge clk) begin
                    if (enable) sum_q[l*W +: W] <= base + addend;
                end
            end
            assign sum = sum_q;
        end
    endgenerate

endmodule
`default_nettype wire
