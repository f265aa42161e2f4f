// SPDX-License-Identifier: Apache-2.0
//
// N numbers of a channel, every cycle, each times the channel's multiplier and with its bias, as scale_level.v takes them
//
//   product = x * multiplier + bias, its ties, and whether it is none, for x was above or below all that is multiplied
//
// A word of the memory is {ties, (bias - BASE) >> BIAS_ZEROS, multiplier}. The channel comes a clock before its x; products
// are there 3 clocks behind x, 5 with WIDE, and one more where the memory is not made of LUTs (see term_rom.v), which x
// waits for. Without `enable` all holds. A product is a DSP slice's (pe_mac.v), which takes 18 bits of one factor and 26
// of the other. WIDE = 1 has two: the multiplier's low 17 bits go first, and what they give is, but for its own low 17
// bits, added to the product of the others.
//
// bench: sim/bench_scale_product.py
`default_nettype none

module scale_product #(
    parameter N = 1,                     // numbers at a time
    parameter X_W = 18,                  // bits of a number, two's complement
    parameter M_W = 18,                  // bits of a multiplier, two's complement
    parameter BIAS_W = 24,               // bits of what a bias is above BASE
    parameter BIAS_ZEROS = 0,            // and zeros below these
    parameter signed [63:0] BASE = 0,    // the least bias
    parameter TIES_W = 0,                // bits of what is a tie, see scale_level.v; 0: there is none
    parameter P_W = 40,                  // bits of a product with its bias
    parameter SHIFT = 16,                // low bits of it that are dropped
    parameter WIDE = 0,                  // slices of a product, less one
    parameter FILE = "",                 // for $readmemh, a word for each channel
    parameter DEPTH = 2,                 // channels
    parameter CHECK = 0,                 // of FILE, see term_rom.v
    parameter XILINX = 0,                // primitives of a device family, see pe_mac.v
    // bits of a channel's number; not to be set
    parameter CHANNEL_W = (DEPTH > 1) ? $clog2(DEPTH) : 1
) (
    input  wire                 clk,
    input  wire                 enable,
    input  wire [CHANNEL_W-1:0] channel,
    input  wire [N*X_W-1:0]     x,
    input  wire [N-1:0]         over,       // with x: the number is above what X_W bits hold
    input  wire [N-1:0]         under,      // or below
    output wire [N*P_W-1:0]     products,
    output wire [SHIFT:0]       ties,
    output wire [N-1:0]         above,
    output wire [N-1:0]         below
);

    localparam ROM_W = TIES_W + BIAS_W + M_W;
    localparam MOST_W = (X_W > M_W) ? X_W : M_W;
    localparam LEAST_W = (X_W > M_W) ? M_W : X_W;
    localparam READ = (DEPTH > 64) ? 2 : 1;  // clocks from a channel to its word

    generate
        if (WIDE == 0 && (MOST_W > 26 || LEAST_W > 18)) begin : gen_check_narrow
            scale_product_X_W_and_M_W_must_be_up_to_26_and_18 error_i ();
        end
        if (WIDE != 0 && (X_W > 26 || M_W > 35 || M_W < 18)) begin : gen_check_wide
            scale_product_with_WIDE_X_W_must_be_up_to_26_and_M_W_18_to_35 error_i ();
        end
        if (P_W > ((WIDE != 0) ? 63 : 48) || P_W <= SHIFT || (WIDE != 0 && P_W < 18)) begin : gen_check_p
            scale_product_P_W_must_be_above_SHIFT_and_what_slices_hold error_i ();
        end
        if (TIES_W > SHIFT + 1) begin : gen_check_ties
            scale_product_TIES_W_must_be_up_to_SHIFT_and_1 error_i ();
        end
    endgenerate

    wire [ROM_W-1:0]  word;
    wire [M_W-1:0]    multiplier = word[M_W-1:0];
    localparam ADDED_W = BIAS_W + BIAS_ZEROS;
    wire [ADDED_W-1:0] bias;
    reg  [ADDED_W-1:0] bias_q;
    assign bias[ADDED_W-1:BIAS_ZEROS] = word[M_W +: BIAS_W];
    generate
        if (BIAS_ZEROS > 0) begin : gen_zeros
            assign bias[BIAS_ZEROS-1:0] = {BIAS_ZEROS{1'b0}};
        end
    endgenerate

    term_rom #(
        .FILE(FILE),
        .DEPTH(DEPTH),
        .WIDTH(ROM_W),
        .REGISTERED(READ - 1),
        .CHECK(CHECK)
    ) u_term_rom (
        .clk(clk),
        .enable(enable),
        .address(channel),
        .word(word),
        .write(1'b0),
        .write_address({CHANNEL_W{1'b0}}),
        .write_word({ROM_W{1'b0}})
    );

    // a slice takes the constant a clock behind the factors
    always @(posedge clk) begin
        if (enable) bias_q <= bias;
    end

    // beside the word
    wire [N*(X_W+2)-1:0] given = {over, under, x};
    wire [N*(X_W+2)-1:0] there;
    wire [N*X_W-1:0]     factors = there[N*X_W-1:0];
    generate
        if (READ > 1) begin : gen_late
            reg [N*(X_W+2)-1:0] given_q;
            always @(posedge clk) if (enable) given_q <= given;
            assign there = given_q;
        end else begin : gen_at_once
            assign there = given;
        end
    endgenerate

    generate
        genvar n;
        if (WIDE == 0) begin : gen_narrow
            for (n = 0; n < N; n = n + 1) begin : gen_slice
                wire [MOST_W-1:0]  long;
                wire [LEAST_W-1:0] short;
                if (X_W > M_W) begin : gen_long_x
                    assign long = factors[n*X_W +: X_W];
                    assign short = multiplier;
                end else begin : gen_long_multiplier
                    assign long = multiplier;
                    assign short = factors[n*X_W +: X_W];
                end
                pe_mac #(
                    .X_W(MOST_W),
                    .X_SIGNED(1),
                    .WEIGHT_W(LEAST_W),
                    .IMMEDIATE_W(ADDED_W),
                    .W(P_W),
                    .BASE(BASE),
                    .XILINX(XILINX)
                ) u_pe_mac (
                    .clk(clk),
                    .enable(enable),
                    .weight(short),
                    .x(long),
                    .first(1'b1),
                    .immediate(bias_q),
                    .sum(products[n*P_W +: P_W])
                );
            end
        end else begin : gen_wide
            // the lower slice's sum is no less than 0
            localparam LOW_SUM = (X_W + 17 > ADDED_W) ? X_W + 18 : ADDED_W + 1;
            localparam LOW_W = (LOW_SUM > 18) ? LOW_SUM : 18;
            localparam HIGH_SUM_W = P_W - 17;
            localparam signed [63:0] UP = 64'sd1 <<< (X_W + 16);
            localparam signed [63:0] LOW_BASE = UP + (BASE & 64'sh1FFFF);
            localparam signed [63:0] HIGH_BASE = (BASE >>> 17) - (64'sd1 <<< (X_W - 1));
            localparam CARRIED_W = LOW_W - 17;
            localparam TAKEN_W = (CARRIED_W < HIGH_SUM_W) ? CARRIED_W : HIGH_SUM_W;
            reg [M_W-18:0] high_q;
            reg [M_W-18:0] high_qq;
            always @(posedge clk) begin
                if (enable) begin
                    high_q <= multiplier[M_W-1:17];
                    high_qq <= high_q;
                end
            end
            for (n = 0; n < N; n = n + 1) begin : gen_slices
                reg  [X_W-1:0]   x_q;
                reg  [X_W-1:0]   x_qq;
                reg  [16:0]      rest_q;
                reg  [16:0]      rest_qq;
                /* verilator lint_off UNUSEDSIGNAL */
                wire [LOW_W-1:0] low_sum;       // modulo what the upper one holds
                /* verilator lint_on UNUSEDSIGNAL */
                always @(posedge clk) begin
                    if (enable) begin
                        x_q <= factors[n*X_W +: X_W];
                        x_qq <= x_q;
                        rest_q <= low_sum[16:0];
                        rest_qq <= rest_q;
                    end
                end
                pe_mac #(
                    .X_W(X_W),
                    .X_SIGNED(1),
                    .WEIGHT_W(18),
                    .IMMEDIATE_W(ADDED_W),
                    .W(LOW_W),
                    .BASE(LOW_BASE),
                    .XILINX(XILINX)
                ) u_pe_mac_low (
                    .clk(clk),
                    .enable(enable),
                    .weight({1'b0, multiplier[16:0]}),
                    .x(factors[n*X_W +: X_W]),
                    .first(1'b1),
                    .immediate(bias_q),
                    .sum(low_sum)
                );
                pe_mac #(
                    .X_W(X_W),
                    .X_SIGNED(1),
                    .WEIGHT_W(M_W - 17),
                    .IMMEDIATE_W(TAKEN_W),
                    .W(HIGH_SUM_W),
                    .BASE(HIGH_BASE),
                    .XILINX(XILINX)
                ) u_pe_mac_high (
                    .clk(clk),
                    .enable(enable),
                    .weight(high_qq),
                    .x(x_qq),
                    .first(1'b1),
                    .immediate(low_sum[17 +: TAKEN_W]),
                    .sum(products[n*P_W+17 +: HIGH_SUM_W])
                );
                assign products[n*P_W +: 17] = rest_qq;
            end
        end
    endgenerate

    // ties, and what is beyond, beside the product
    localparam LATE = (WIDE != 0) ? 5 : 3;
    localparam SIDE_W = 2 * N + TIES_W;
    wire         negative = multiplier[M_W-1];
    wire [N-1:0] larger = there[N*(X_W+1) +: N];
    wire [N-1:0] smaller = there[N*X_W +: N];
    wire [SIDE_W-1:0]      side;
    reg  [LATE*SIDE_W-1:0] side_q;
    /* verilator lint_off UNUSEDSIGNAL */
    wire [(LATE+1)*SIDE_W-1:0] side_d = {side_q, side};     // the oldest goes
    /* verilator lint_on UNUSEDSIGNAL */
    wire [SIDE_W-1:0]      beside = side_q[LATE*SIDE_W-1 -: SIDE_W];
    always @(posedge clk) begin
        if (enable) side_q <= side_d[LATE*SIDE_W-1:0];
    end
    assign side[2*N-1:0] = {negative ? larger : smaller, negative ? smaller : larger};
    assign above = beside[0 +: N];
    assign below = beside[N +: N];
    generate
        if (TIES_W > 0) begin : gen_ties
            assign side[2*N +: TIES_W] = word[ROM_W-1 -: TIES_W];
            if (TIES_W <= SHIFT) begin : gen_short
                assign ties = {{(SHIFT+1-TIES_W){1'b0}}, beside[2*N +: TIES_W]};
            end else begin : gen_full
                assign ties = beside[2*N +: TIES_W];
            end
        end else begin : gen_no_ties
            assign ties = {(SHIFT+1){1'b0}};
        end
    endgenerate

endmodule
`default_nettype wire
