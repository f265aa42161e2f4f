// SPDX-License-Identifier: Apache-2.0
//
// The accumulators of one lane or two in one DSP slice: every cycle each adds the product of its x and of a weight, and a constant.
//
//   sum <= (first ? BASE : sum) + weight * x + immediate, lane l in bits [l*W +: W] of sum, [l*X_W +: X_W] of x
//
// Both lanes have the same weight, signed, and the same immediate, unsigned; what no immediate can be less than is BASE.
//
// A term's weight and x enter the slice's input registers at one clock with `enable`, its product the next register at the next one,
// and with it `first` and `immediate`, which so come a clock behind; its sum comes out of the third. With last_q, last_qq and last_qqq
// that follow `last` by `enable`, `sum` holds the result while last_qqq is high, and `first` can be last_qq, set by a reset.
// Without `enable` everything holds; nothing is reset, for `first` forgets all that was.
//
// One lane's arithmetic is modulo 2^W: only the result has to fit. Two lanes are the fields of one sum of 48 bits,
// sum1 * 2^SPLIT + sum0 + 2^(W-1): while the result of lane 0 fits W bits, the constant keeps it from borrowing from lane 1 (what
// comes before the result may do so), and inverts its highest bit. So W is at most SPLIT, which is what x leaves of 27 bits, and 24.
//
// XILINX = 1 instantiates a DSP48E2 (UG579): the pre-adder makes x1 * 2^SPLIT of port A and x0 of port D one operand, B is the
// weight; X and Y are the product, Z is C, that is the immediate, and W is P or the constant RND. The slice has a register on A, B,
// C, D, OPMODE, the product and P; none between pre-adder and multiplier.
// tests/test_pe_mac.py proves both forms equal, at small widths, for the model sim/DSP48E2.v, which is written from the user guide's
// tables. Unproven without the vendor's tools: that the model is the silicon, that Vivado's rule checks accept the instance, and speed.
//
// bench: sim/bench_pe_mac.py
`default_nettype none

module pe_mac #(
    parameter PRODUCTS = 1,          // lanes: 1 or 2
    parameter X_W = 8,               // bits of an x, at most 26
    parameter X_SIGNED = 0,          // 1: two's complement
    parameter WEIGHT_W = 8,          // bits of a weight, at most 18
    parameter IMMEDIATE_W = 8,       // bits of an immediate, at most W
    parameter W = 24,                // bits of a sum, at most 48
    parameter signed [63:0] BASE = 0, // what a sum starts from
    parameter XILINX = 0             // primitives: 1 of UltraScale+; 7 series has none that fits
) (
    input  wire                    clk,
    input  wire                    enable,
    input  wire [WEIGHT_W-1:0]     weight,
    input  wire [PRODUCTS*X_W-1:0] x,
    // of the term before
    input  wire                    first,
    input  wire [IMMEDIATE_W-1:0]  immediate,
    output wire [PRODUCTS*W-1:0]   sum
);

    localparam SPLIT = (X_W > 2) ? 26 - X_W : 24;

    generate
        if (PRODUCTS < 1 || PRODUCTS > 2) begin : gen_check_products
            pe_mac_PRODUCTS_must_be_1_or_2 error_i ();
        end
        if (X_W < 1 || X_W > 26) begin : gen_check_x
            pe_mac_X_W_must_be_1_to_26 error_i ();
        end
        if (WEIGHT_W < 1 || WEIGHT_W > 18) begin : gen_check_weight
            pe_mac_WEIGHT_W_must_be_1_to_18 error_i ();
        end
        if (W < 1 || W > ((PRODUCTS == 2) ? SPLIT : 48)) begin : gen_check_w
            pe_mac_W_must_be_1_to_SPLIT_or_48 error_i ();
        end
        if (IMMEDIATE_W < 1 || IMMEDIATE_W > W) begin : gen_check_immediate
            pe_mac_IMMEDIATE_W_must_be_1_to_W error_i ();
        end
        if (XILINX != 0 && XILINX != 1) begin : gen_check_xilinx
            pe_mac_XILINX_must_be_0_or_1 error_i ();
        end
    endgenerate

    // a sign behind each x
    wire [PRODUCTS*(X_W+1)-1:0] x_signed;
    generate
        genvar l;
        for (l = 0; l < PRODUCTS; l = l + 1) begin : gen_sign
            assign x_signed[l*(X_W+1) +: X_W+1] = {(X_SIGNED != 0) && x[l*X_W+X_W-1], x[l*X_W +: X_W]};
        end
    endgenerate

    generate
        if (XILINX != 0) begin : gen_primitive
            localparam [47:0] ONE_BASE = BASE[47:0];
            localparam [47:0] RND = (PRODUCTS == 2) ? (ONE_BASE << SPLIT) + ONE_BASE + (48'd1 << (W - 1)) : ONE_BASE;
            wire [29:0] a;
            wire [17:0] b;
            wire [26:0] d;
            wire [47:0] c;
            // a sum may have fewer bits than the slice
            /* verilator lint_off UNUSEDSIGNAL */
            wire [47:0] p;
            /* verilator lint_on UNUSEDSIGNAL */
            wire [8:0]  opmode = {first, !first, 3'b011, 2'b01, 2'b01};  // W, Z, Y, X
            if (WEIGHT_W < 18) begin : gen_narrow
                assign b = {{(18-WEIGHT_W){weight[WEIGHT_W-1]}}, weight};
            end else begin : gen_full
                assign b = weight;
            end
            if (X_W < 26) begin : gen_short
                assign d = {{(26-X_W){x_signed[X_W]}}, x_signed[X_W:0]};
            end else begin : gen_long
                assign d = x_signed[X_W:0];
            end
            if (PRODUCTS == 2) begin : gen_pair
                assign a = {{(29-SPLIT-X_W){x_signed[2*X_W+1]}}, x_signed[2*X_W+1:X_W+1], {SPLIT{1'b0}}};
                assign c = {{(48-SPLIT-IMMEDIATE_W){1'b0}}, immediate, {(SPLIT-IMMEDIATE_W){1'b0}}, immediate};
                assign sum = {p[SPLIT +: W], p[W-1:0] ^ ({{(W-1){1'b0}}, 1'b1} << (W - 1))};
            end else begin : gen_one
                assign a = 30'd0;
                assign c = {{(48-IMMEDIATE_W){1'b0}}, immediate};
                assign sum = p[W-1:0];
            end

            DSP48E2 #(
                .USE_MULT("MULTIPLY"),
                .AMULTSEL("AD"),
                .RND(RND),
                .AREG(1),
                .BREG(1),
                .CREG(1),
                .DREG(1),
                .ADREG(0),
                .MREG(1),
                .OPMODEREG(1),
                .PREG(1),
                .ALUMODEREG(0),
                .CARRYINREG(0),
                .CARRYINSELREG(0),
                .INMODEREG(0)
            ) dsp_i (
                .CLK(clk),
                .A(a),
                .B(b),
                .C(c),
                .D(d),
                .OPMODE(opmode),
                .P(p),
                .CEA2(enable),
                .CEB2(enable),
                .CEC(enable),
                .CED(enable),
                .CEM(enable),
                .CECTRL(enable),
                .CEP(enable),
                .ALUMODE(4'b0000),
                .INMODE(5'b00100),
                .CARRYIN(1'b0),
                .CARRYINSEL(3'b000),
                .ACIN(30'd0),
                .BCIN(18'd0),
                .PCIN(48'd0),
                .CARRYCASCIN(1'b0),
                .MULTSIGNIN(1'b0),
                .CEA1(1'b0),
                .CEAD(1'b0),
                .CEALUMODE(1'b0),
                .CEB1(1'b0),
                .CECARRYIN(1'b0),
                .CEINMODE(1'b0),
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
            localparam PRODUCT_W = X_W + 1 + WEIGHT_W;
            reg [WEIGHT_W-1:0]         weight_q;
            reg [PRODUCTS*(X_W+1)-1:0] x_q;
            reg                        first_q;
            reg [IMMEDIATE_W-1:0]      immediate_q;
            reg [PRODUCTS*W-1:0]       product_q;
            reg [PRODUCTS*W-1:0]       sum_q;
            // to W bits, as the products below, whichever is more
            /* verilator lint_off UNUSEDSIGNAL */
            wire [W+IMMEDIATE_W-1:0]   constant = {{W{1'b0}}, immediate_q};
            /* verilator lint_on UNUSEDSIGNAL */
            always @(posedge clk) begin
                if (enable) begin
                    weight_q <= weight;
                    x_q <= x_signed;
                    first_q <= first;
                    immediate_q <= immediate;
                end
            end
            wire signed [PRODUCT_W-1:0] factor = {{(X_W+1){weight_q[WEIGHT_W-1]}}, weight_q};
            for (l = 0; l < PRODUCTS; l = l + 1) begin : gen_lane
                wire signed [PRODUCT_W-1:0] operand = {{WEIGHT_W{x_q[l*(X_W+1)+X_W]}}, x_q[l*(X_W+1) +: X_W+1]};
                wire signed [PRODUCT_W-1:0] product = factor * operand;
                /* verilator lint_off UNUSEDSIGNAL */
                wire [W+PRODUCT_W-1:0]      extended = {{W{product[PRODUCT_W-1]}}, product};
                /* verilator lint_on UNUSEDSIGNAL */
                wire [W-1:0]                old = first_q ? BASE[W-1:0] : sum_q[l*W +: W];
                always @(posedge clk) begin
                    if (enable) begin
                        product_q[l*W +: W] <= extended[W-1:0];
                        sum_q[l*W +: W] <= old + product_q[l*W +: W] + constant[W-1:0];
                    end
                end
            end
            assign sum = sum_q;
        end
    endgenerate

endmodule
`default_nettype wire
