// SPDX-License-Identifier: Apache-2.0
//
// A register of control: with TMR three copies, of which a majority counts, bit by bit.
//
// A flip in one copy is not seen outside, and is gone once the register is written again, since what is written comes from
// the majority. Of STAGES registers in a row, each copy is a row of its own, and the vote is behind the last. Synthesis
// keeps the copies apart though they are alike.
//
// bench: sim/bench_voted_reg.py
`default_nettype none

module voted_reg #(
    parameter W = 1,                 // bits
    parameter STAGES = 1,            // registers in a row
    parameter [W-1:0] RESET = 0,     // what they are after a reset
    parameter INITIAL = 0,           // 1: and at power-up
    parameter TMR = 0                // 1: three copies
) (
    input  wire         clk,
    input  wire         rst,
    input  wire         enable,
    input  wire [W-1:0] d,
    output wire [W-1:0] q
);

    generate
        if (TMR != 0) begin : gen_three
            (* keep = "true" *) reg [STAGES*W-1:0] a_q;
            (* keep = "true" *) reg [STAGES*W-1:0] b_q;
            (* keep = "true" *) reg [STAGES*W-1:0] c_q;
            if (INITIAL != 0) begin : gen_initial
                initial a_q = {STAGES{RESET}};
                initial b_q = {STAGES{RESET}};
                initial c_q = {STAGES{RESET}};
            end
            /* verilator lint_off UNUSEDSIGNAL */
            wire [(STAGES+1)*W-1:0] a_d = {a_q, d};     // the oldest goes
            wire [(STAGES+1)*W-1:0] b_d = {b_q, d};
            wire [(STAGES+1)*W-1:0] c_d = {c_q, d};
            /* verilator lint_on UNUSEDSIGNAL */
            wire [W-1:0] a = a_q[(STAGES-1)*W +: W];
            wire [W-1:0] b = b_q[(STAGES-1)*W +: W];
            wire [W-1:0] c = c_q[(STAGES-1)*W +: W];
            assign q = (a & b) | (a & c) | (b & c);
            (* keep = "true" *) always @(posedge clk) begin
                if (rst) a_q <= {STAGES{RESET}};
                else if (enable) a_q <= a_d[STAGES*W-1:0];
            end
            (* keep = "true" *) always @(posedge clk) begin
                if (rst) b_q <= {STAGES{RESET}};
                else if (enable) b_q <= b_d[STAGES*W-1:0];
            end
            (* keep = "true" *) always @(posedge clk) begin
                if (rst) c_q <= {STAGES{RESET}};
                else if (enable) c_q <= c_d[STAGES*W-1:0];
            end
        end else begin : gen_one
            reg [STAGES*W-1:0] one_q;
            if (INITIAL != 0) begin : gen_initial
                initial one_q = {STAGES{RESET}};
            end
            /* verilator lint_off UNUSEDSIGNAL */
            wire [(STAGES+1)*W-1:0] one_d = {one_q, d}; // the oldest goes
            /* verilator lint_on UNUSEDSIGNAL */
            assign q = one_q[(STAGES-1)*W +: W];
            always @(posedge clk) begin
                if (rst) one_q <= {STAGES{RESET}};
                else if (enable) one_q <= one_d[STAGES*W-1:0];
            end
        end
    endgenerate

endmodule
`default_nettype wire
