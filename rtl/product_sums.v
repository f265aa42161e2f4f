// SPDX-License-Identifier: Apache-2.0
//
// Sums of products: every clock each lane adds the product of its own number and one that all share, which begins a sum
// or ends it.
//
//   sums[lane] <= (first ? BASE : sums[lane]) + a * b[lane], modulo 2^W
//
// `done` is high while the sums are those of a `last`, some clocks later. Without `enable` everything holds; nothing but
// `done` is reset, for `first` forgets all that was. In lookup tables product.v makes a product, a row of them and a
// carry chain in each clock; there is a register behind it, and one that adds. In slices it is pe_mac.v.
//
// bench: sim/bench_product_sums.py
`default_nettype none

module product_sums #(
    parameter LANES = 1,        // numbers b, and sums
    parameter SLICES = 0,       // lanes of a DSP slice, 1 or 2, where XILINX is 1; 0: lanes are in LUTs
    parameter A_W = 8,          // bits of a
    parameter A_SIGNED = 1,     // 1: a is two's complement
    parameter B_W = 8,          // bits of a b
    parameter B_SIGNED = 1,     // 1: b is two's complement
    parameter W = 20,           // bits of a sum, at most 64; 48 in slices
    parameter signed [63:0] BASE = 0, // what a sum starts from
    parameter XILINX = 0        // primitives of a device family, see pe_mac.v
) (
    input  wire                 clk,
    input  wire                 rst,    // synchronous, active high
    input  wire                 enable,
    input  wire [A_W-1:0]       a,
    input  wire [LANES*B_W-1:0] b,      // the first lane in the lowest bits
    input  wire                 first,
    input  wire                 last,
    output wire [LANES*W-1:0]   sums,
    output wire                 done
);

    localparam PAIR = (SLICES == 2 && LANES > 1) ? 2 : 1;      // lanes of a pe_mac
    localparam WEIGHT_W = (A_SIGNED != 0) ? A_W : A_W + 1;     // pe_mac takes a signed factor

    generate
        if (LANES < 1) begin : gen_check_lanes
            product_sums_LANES_must_be_at_least_1 error_i ();
        end
        if (SLICES < 0 || SLICES > 2) begin : gen_check_slices
            product_sums_SLICES_must_be_0_to_2 error_i ();
        end
        if (W < 1 || W > 64) begin : gen_check_w
            product_sums_W_must_be_1_to_64 error_i ();
        end
    endgenerate

    generate
        genvar l;
        if (SLICES == 0) begin : gen_tables
            wire [LANES-1:0] ends;       // that of the first lane is for all
            reg              ends_q, done_q;
            assign done = done_q;
            always @(posedge clk) begin
                if (rst) begin
                    ends_q <= 1'b0;
                    done_q <= 1'b0;
                end else if (enable) begin
                    ends_q <= ends[0];
                    done_q <= ends_q;
                end
            end
            for (l = 0; l < LANES; l = l + 1) begin : gen_lane
                wire [W-1:0] product;
                wire         begins;
                reg  [W-1:0] product_q, sum_q;
                reg          begins_q;
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
                    .valid((l == 0) && last),
                    .a(a),
                    .b(b[l*B_W +: B_W]),
                    .beside(first),
                    .y_valid(ends[l]),
                    .y(product),
                    .y_beside(begins)
                );
                assign sums[l*W +: W] = sum_q;
                always @(posedge clk) begin
                    if (enable) begin
                        product_q <= product;
                        begins_q  <= begins;
                        sum_q     <= (begins_q ? BASE[W-1:0] : sum_q) + product_q;
                    end
                end
            end
            if (LANES > 1) begin : gen_others
                wire unused = &{1'b0, ends[LANES-1:1]};
            end
        end else begin : gen_slices
            wire [WEIGHT_W-1:0] weight;
            reg  [2:0]          last_q;  // beside the three registers of pe_mac
            reg                 first_q; // pe_mac is told a clock later
            assign done = last_q[2];
            always @(posedge clk) begin
                if (rst) last_q <= 3'd0;
                else if (enable) last_q <= {last_q[1:0], last};
            end
            always @(posedge clk) begin
                if (enable) first_q <= first;
            end
            if (A_SIGNED != 0) begin : gen_signed
                assign weight = a;
            end else begin : gen_unsigned
                assign weight = {1'b0, a};
            end
            for (l = 0; l < LANES; l = l + PAIR) begin : gen_mac
                localparam USED = (l + PAIR <= LANES) ? PAIR : 1;
                wire [PAIR*B_W-1:0] x;
                /* verilator lint_off UNUSEDSIGNAL */
                wire [PAIR*W-1:0]   sum; // a lane alone has no other
                /* verilator lint_on UNUSEDSIGNAL */
                assign x[USED*B_W-1:0] = b[l*B_W +: USED*B_W];
                if (USED < PAIR) begin : gen_alone
                    assign x[PAIR*B_W-1:B_W] = {B_W{1'b0}};
                end
                assign sums[l*W +: USED*W] = sum[USED*W-1:0];
                pe_mac #(
                    .PRODUCTS(PAIR),
                    .X_W(B_W),
                    .X_SIGNED(B_SIGNED),
                    .WEIGHT_W(WEIGHT_W),
                    .IMMEDIATE_W(1),
                    .W(W),
                    .BASE(BASE),
                    .XILINX(XILINX)
                ) u_pe_mac (
                    .clk(clk),
                    .enable(enable),
                    .weight(weight),
                    .x(x),
                    .first(first_q),
                    .immediate(1'b0),
                    .sum(sum)
                );
            end
        end
    endgenerate

endmodule
`default_nettype wire
