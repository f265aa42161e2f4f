// SPDX-License-Identifier: Apache-2.0
//
// N numbers of a channel, each times the channel's multiplier and with its bias, as scale_product.v, without a multiplier:
// a digit of the channel's factor a clock
//
// From the highest of DIGITS digits of -2 to 2 down (Booth), sum = 4 * sum + digit * x + two bits of the bias, which is
// not negative. A word of the memory is {two bits of ties, with TIES_W, two of the bias, digit}, the digit as {negative,
// two, one}; those of a channel begin at a power of two. `phase` counts from 0 to DIGITS, where the product is
// there and the sum is cleared; channel, phase and `active` come a clock before x, which stays, or two where the memory is not made
// of LUTs (see term_rom.v). Without `enable` all holds.
//
// bench: sim/bench_scale_serial.py
`default_nettype none

module scale_serial #(
    parameter N = 1,                     // numbers at a time
    parameter X_W = 18,                  // bits of a number, two's complement
    parameter DIGITS = 10,               // of a multiplier and of a bias, at least 1
    parameter TIES_W = 0,                // bits of what is a tie, see scale_level.v; 0: there is none
    parameter P_W = 40,                  // bits of a product with its bias
    parameter SHIFT = 16,                // low bits of it that are dropped
    parameter FILE = "",                 // for $readmemh, a word for each digit of each channel
    parameter DEPTH = 2,                 // channels
    parameter CHECK = 0,                 // of FILE, see term_rom.v
    // not to be set
    parameter CHANNEL_W = (DEPTH > 1) ? $clog2(DEPTH) : 1,  // bits of a channel's number
    parameter PHASE_W = $clog2(DIGITS + 1) // of a phase
) (
    input  wire                 clk,
    input  wire                 rst,
    input  wire                 enable,
    input  wire                 active,
    input  wire [CHANNEL_W-1:0] channel,
    input  wire [PHASE_W-1:0]   phase,
    input  wire [N*X_W-1:0]     x,
    input  wire [N-1:0]         over,       // with x: the number is above what X_W bits hold
    input  wire [N-1:0]         under,      // or below
    output wire [N*P_W-1:0]     products,
    output wire [SHIFT:0]       ties,
    output wire [N-1:0]         above,
    output wire [N-1:0]         below
);

    localparam TIED_W = (TIES_W > 0) ? 2 : 0;
    localparam WORD_W = TIED_W + 5;
    localparam WORDS = DEPTH << PHASE_W;
    localparam ADDRESS_W = (DEPTH > 1) ? CHANNEL_W + PHASE_W : PHASE_W;
    localparam ROW_W = X_W + 1;
    localparam READ = (WORDS > 64) ? 2 : 1;  // clocks from an address to its word

    generate
        if (DIGITS < 1) begin : gen_check_digits
            scale_serial_DIGITS_must_be_at_least_1 error_i ();
        end
        if (P_W < ROW_W + 1) begin : gen_check_p
            scale_serial_P_W_must_be_above_X_W_and_1 error_i ();
        end
    endgenerate

    wire [ADDRESS_W-1:0] address;
    wire [WORD_W-1:0]    word;
    generate
        if (DEPTH > 1) begin : gen_channels
            assign address = {channel, phase};
        end else begin : gen_one_channel
            wire unused = &{1'b0, channel};
            assign address = phase;
        end
    endgenerate

    term_rom #(
        .FILE(FILE),
        .DEPTH(WORDS),
        .WIDTH(WORD_W),
        .REGISTERED(READ - 1),
        .CHECK(CHECK)
    ) u_term_rom (
        .clk(clk),
        .enable(enable),
        .address(address),
        .word(word),
        .write(1'b0),
        .write_address({ADDRESS_W{1'b0}}),
        .write_word({WORD_W{1'b0}})
    );

    wire       one = word[0];
    wire       two = word[1];
    wire       negative = word[2];
    wire [1:0] bias = word[4:3];
    reg        adds_q;
    reg        first_q;
    reg        factor_q;                // the first digit has the factor's sign, also where it is none
    wire       clear = rst || (enable && !adds_q);
    wire       below_zero = first_q ? negative : factor_q;
    reg  [1:0] late_q;                  // {adds, first} of a word that is still being read
    wire [1:0] now = {active && phase != DIGITS[PHASE_W-1:0], phase == {PHASE_W{1'b0}}};
    wire [1:0] read = (READ > 1) ? late_q : now;
    always @(posedge clk) begin
        if (rst) late_q <= 2'b00;
        else if (enable) late_q <= now;
    end
    always @(posedge clk) begin
        if (rst) adds_q <= 1'b0;
        else if (enable) adds_q <= read[1];
    end
    always @(posedge clk) begin
        if (enable) begin
            first_q <= read[0];
            factor_q <= below_zero;
        end
    end

    assign above = factor_q ? under : over;
    assign below = factor_q ? over : under;
    generate
        genvar n;
        if (TIES_W > 0) begin : gen_ties
            reg  [2*DIGITS-1:0] ties_q;
            /* verilator lint_off UNUSEDSIGNAL */
            wire [2*DIGITS+1:0] ties_d = {ties_q, word[6:5]};
            wire [2*DIGITS+SHIFT:0] extended = {{(SHIFT+1){1'b0}}, ties_q};
            /* verilator lint_on UNUSEDSIGNAL */
            always @(posedge clk) if (enable && adds_q) ties_q <= ties_d[2*DIGITS-1:0];
            assign ties = extended[SHIFT:0];
        end else begin : gen_no_ties
            assign ties = {(SHIFT+1){1'b0}};
        end
        for (n = 0; n < N; n = n + 1) begin : gen_number
            reg  [P_W-1:0]   sum_q;
            wire [X_W-1:0]   own = x[n*X_W +: X_W];
            wire [ROW_W-1:0] size = one ? {own[X_W-1], own} : two ? {own, 1'b0} : {ROW_W{1'b0}};
            wire [ROW_W-1:0] row = size ^ {ROW_W{negative}};
            // the last place brings in the one that a negative digit's complement lacks
            /* verilator lint_off UNUSEDSIGNAL */
            wire [P_W:0]     added = {sum_q[P_W-3:0], bias, 1'b1} + {{(P_W-ROW_W){row[ROW_W-1]}}, row, negative};
            /* verilator lint_on UNUSEDSIGNAL */
            always @(posedge clk) begin
                if (clear) sum_q <= {P_W{1'b0}};
                else if (enable) sum_q <= added[P_W:1];
            end
            assign products[n*P_W +: P_W] = sum_q;
        end
    endgenerate

endmodule
`default_nettype wire
