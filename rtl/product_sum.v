// SPDX-License-Identifier: Apache-2.0
//
// Sums of products in lookup tables: every clock a product of two numbers is added, which begins a sum or ends it.
//
//   sum <= (first ? BASE : sum) + a * b, modulo 2^W
//
// product.v makes the product, a row of lookup tables and a carry chain in each clock; there is a register behind it, and
// one that adds. `done` is high while `sum` is that of a `last`. Without `enable` everything holds; nothing but `done` is
// reset, for `first` forgets all that was.
//
// bench: sim/bench_product_sum.py
`default_nettype none

module product_sum #(
    parameter A_W = 8,          // bits of a
    parameter A_SIGNED = 1,     // 1: a is two's complement
    parameter B_W = 8,          // bits of b
    parameter B_SIGNED = 1,     // 1: b is two's complement
    parameter W = 20,           // bits of a sum, at most 64
    parameter signed [63:0] BASE = 0 // what a sum starts from
) (
    input  wire           clk,
    input  wire           rst,  // synchronous, active high
    input  wire           enable,
    input  wire [A_W-1:0] a,
    input  wire [B_W-1:0] b,
    input  wire           first,
    input  wire           last,
    output wire [W-1:0]   sum,
    output wire           done
);

    generate
        if (W < 1 || W > 64) begin : gen_check_w
            product_sum_W_must_be_1_to_64 error_i ();
        end
    endgenerate

    wire [W-1:0] product;
    wire         begins, ends;
    product #(
        .A_W(A_W),
        .A_SIGNED(A_SIGNED),
        .B_W(B_W),
        .B_SIGNED(B_SIGNED),
        .W(W)
    ) u_product (
        .clk(clk),
        .rst(rst),
        .enable(enable),
        .valid(last),
        .a(a),
        .b(b),
        .beside(first),
        .y_valid(ends),
        .y(product),
        .y_beside(begins)
    );

    reg [W-1:0] product_q, sum_q;
    reg         begins_q;
    reg         ends_q, done_q;
    assign sum = sum_q;
    assign done = done_q;

    always @(posedge clk) begin
        if (enable) begin
            product_q <= product;
            begins_q  <= begins;
            sum_q     <= (begins_q ? BASE[W-1:0] : sum_q) + product_q;
        end
    end

    always @(posedge clk) begin
        if (rst) begin
            ends_q <= 1'b0;
            done_q <= 1'b0;
        end else if (enable) begin
            ends_q <= ends;
            done_q <= ends_q;
        end
    end

endmodule
`default_nettype wire
