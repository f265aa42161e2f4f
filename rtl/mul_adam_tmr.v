// SPDX-License-Identifier: Apache-2.0
//
// Three multipliers of mul_adam.v, which synthesis keeps apart, and their majority.
//
// bench: sim/bench_mul_adam_tmr.py
`default_nettype none

module mul_adam_tmr #(
    parameter T = 5                  // bits of a mantissa, 1 to 7
) (
    input  wire [7:0]  a,
    input  wire [7:0]  b,
    output wire [15:0] p
);

    wire [15:0] p_0;
    wire [15:0] p_1;
    wire [15:0] p_2;
    (* keep_hierarchy = "yes" *)
    mul_adam #(.T(T)) u_0 (.a(a), .b(b), .p(p_0));
    (* keep_hierarchy = "yes" *)
    mul_adam #(.T(T)) u_1 (.a(a), .b(b), .p(p_1));
    (* keep_hierarchy = "yes" *)
    mul_adam #(.T(T)) u_2 (.a(a), .b(b), .p(p_2));
    assign p = (p_0 & p_1) | (p_0 & p_2) | (p_1 & p_2);

endmodule
`default_nettype wire
