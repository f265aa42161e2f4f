// SPDX-License-Identifier: Apache-2.0
//
// Softmax over the N channels of each pixel, in integers.
//
//     e = table(max(x) - x)    r = floor(2^K / sum(e))    y = min(floor(e * r / 2^(K - OUT_W) + 1/2), 2^OUT_W - 1)
//
// Activations come in raster order, one a beat. They wait in a FIFO for their maximum; their exponentials wait in a
// second one for the sum of all, and its reciprocal, a digit a cycle. Three pixels are under way: a pixel takes N
// cycles, or R_W + 3 where these are more.
//
// Word d of the table is the exponential d below the maximum, of TABLE_W bits of d; further below it is zero. A row of
// FILE has the words whose d have the low bits of its place, 6 of them where there are so many, those of the least d
// lowest: which of them is meant is looked at behind a register. CHECK is as in term_rom.v.
//
// bench: sim/bench_softmax.py
`default_nettype none

module softmax #(
    parameter N = 16,           // channels of a pixel
    parameter X_W = 8,          // bits of an activation
    parameter X_SIGNED = 1,     // 1: activations are two's complement
    parameter D_W = 8,          // bits of a difference of two activations, at most X_W
    parameter TABLE_W = 7,      // bits of those that the table knows, 1 to 10, at most D_W
    parameter E_W = 12,         // bits of an exponential: that of zero is all ones
    parameter SUM_W = 16,       // bits that hold N exponentials, more than E_W
    parameter K = 22,           // of what the sum divides
    parameter R_W = 11,         // bits of the greatest r, 2 or more
    parameter OUT_W = 8,        // bits of a result, fewer than K
    parameter DEPTH = 32,       // exponentials that wait for r, at least N
    parameter X_BLOCK = 0,      // of the FIFO of activations, as in stream_fifo.v
    parameter E_BLOCK = 0,      // of the FIFO of exponentials
    parameter SLICES = 0,       // 1: its product is in a DSP slice where XILINX is 1
    parameter XILINX = 0,       // primitives of a device family, see pe_mac.v
    parameter FILE = "",        // $readmemh file of 2^TABLE_W words in rows, relative to the directory that the tool runs in
    parameter CHECK = 0         // sum of place, from 1, times row, modulo 2^32
) (
    input  wire             clk,
    input  wire             rst,       // synchronous, active high

    input  wire [X_W-1:0]   s_axis_tdata,
    input  wire             s_axis_tvalid,
    output wire             s_axis_tready,

    output wire [OUT_W-1:0] m_axis_tdata,
    output wire             m_axis_tvalid,
    input  wire             m_axis_tready
);

    localparam COUNT_W = (N > 1) ? $clog2(N) : 1;
    localparam LAST = N - 1;
    localparam [X_W:0] SIGN = {(X_SIGNED != 0), {X_W{1'b0}}};
    localparam PLACE_W = (TABLE_W < 6) ? TABLE_W : 6;
    localparam ROWS = 1 << PLACE_W;
    localparam ROW_W = E_W << (TABLE_W - PLACE_W);
    localparam PRODUCT_W = E_W + R_W;
    localparam DROP = K - OUT_W;
    localparam DIGIT_W = $clog2(R_W + 1);

    generate
        if (N < 1 || DEPTH < N) begin : gen_check_n
            softmax_DEPTH_must_be_at_least_N_and_N_1 error_i ();
        end
        if (TABLE_W < 1 || TABLE_W > 10 || TABLE_W > D_W || D_W > X_W) begin : gen_check_table
            softmax_TABLE_W_must_be_1_to_10_and_at_most_D_W_and_that_X_W error_i ();
        end
        if (E_W < 1 || E_W > 31 || SUM_W <= E_W) begin : gen_check_e
            softmax_E_W_must_be_1_to_31_and_below_SUM_W error_i ();
        end
        if (R_W < 2 || K < R_W || K - R_W > SUM_W || DROP < 1) begin : gen_check_r
            softmax_R_W_must_be_2_to_K_and_OUT_W_below_K error_i ();
        end
    endgenerate

    // in: the greatest activation; a pixel's last beat waits until the maximum before is taken
    reg  [COUNT_W-1:0] in_q;
    reg                found_q;                // max_q is that of a whole pixel
    reg  [X_W-1:0]     most_q, max_q;          // both with the sign inverted, so that they compare as unsigned
    wire               x_ready;
    wire               last = in_q == LAST[COUNT_W-1:0];
    wire               beat = s_axis_tvalid && s_axis_tready;
    wire [X_W-1:0]     x = s_axis_tdata ^ SIGN[X_W:1];
    wire [X_W-1:0]     most = (in_q == 0 || x > most_q) ? x : most_q;
    wire               take_max;

    assign s_axis_tready = x_ready && !(last && found_q);

    always @(posedge clk) begin
        if (rst) begin
            in_q    <= {COUNT_W{1'b0}};
            found_q <= 1'b0;
        end else begin
            if (beat) in_q <= last ? {COUNT_W{1'b0}} : in_q + 1'b1;
            if (beat && last) found_q <= 1'b1;
            else if (take_max) found_q <= 1'b0;
        end
    end

    always @(posedge clk) begin
        if (beat) most_q <= most;
        if (beat && last) max_q <= most;
    end

    wire [X_W-1:0] x_waiting;
    wire           x_valid, x_pop;

    stream_fifo #(
        .DATA_W(X_W),
        .DEPTH(N + 3),
        .BLOCK(X_BLOCK)
    ) u_activations (
        .clk(clk),
        .rst(rst),
        .s_axis_tdata(x),
        .s_axis_tvalid(beat),
        .s_axis_tready(x_ready),
        .m_axis_tdata(x_waiting),
        .m_axis_tvalid(x_valid),
        .m_axis_tready(x_pop)
    );

    // exponentials and their sum; a pixel's last one waits until the reciprocal before is taken
    reg  [ROW_W-1:0]   memory [0:ROWS-1];
    reg                active_q;
    reg  [COUNT_W-1:0] mid_q;
    reg  [X_W-1:0]     max_mid;
    reg                valid_d, valid_w, valid_e;
    reg                first_d, first_w, first_e, last_d, last_w, last_e;
    reg  [D_W-1:0]     d_q;
    reg  [ROW_W-1:0]   row_q;
    reg                beyond_q;
    wire [E_W-1:0]     exponential;            // of that row
    reg  [E_W-1:0]     e_q;
    reg  [SUM_W-1:0]   sum_q;
    reg                busy_q;                 // from a pixel's last exponential until its reciprocal is taken
    wire               e_ready, take_r;
    wire               e_push = valid_e && e_ready && !(last_e && busy_q);
    wire               e_move = !valid_e || e_push;
    wire               mid_last = mid_q == LAST[COUNT_W-1:0];
    /* verilator lint_off UNUSEDSIGNAL */
    wire [X_W-1:0]     below = max_mid - x_waiting;
    /* verilator lint_on UNUSEDSIGNAL */
    wire               beyond;

    initial $readmemh(FILE, memory);

    generate
        if (D_W > TABLE_W) begin : gen_beyond
            assign beyond = |d_q[D_W-1:TABLE_W];
        end else begin : gen_within
            assign beyond = 1'b0;
        end
        if (TABLE_W > PLACE_W) begin : gen_words
            reg [TABLE_W-PLACE_W-1:0] word_q;
            always @(posedge clk) begin
                if (e_move) word_q <= d_q[TABLE_W-1:PLACE_W];
            end
            assign exponential = row_q[word_q*E_W +: E_W];
        end else begin : gen_word
            assign exponential = row_q;
        end
    endgenerate

    assign x_pop = active_q && x_valid && e_move;
    assign take_max = found_q && (!active_q || (x_pop && mid_last));

    always @(posedge clk) begin
        if (rst) begin
            active_q <= 1'b0;
            mid_q    <= {COUNT_W{1'b0}};
            valid_d  <= 1'b0;
            valid_w  <= 1'b0;
            valid_e  <= 1'b0;
            busy_q   <= 1'b0;
        end else begin
            if (take_max) active_q <= 1'b1;
            else if (x_pop && mid_last) active_q <= 1'b0;
            if (x_pop) mid_q <= mid_last ? {COUNT_W{1'b0}} : mid_q + 1'b1;
            if (e_move) begin
                valid_d <= x_pop;
                valid_w <= valid_d;
                valid_e <= valid_w;
            end
            if (e_push && last_e) busy_q <= 1'b1;
            else if (take_r) busy_q <= 1'b0;
        end
    end

    always @(posedge clk) begin
        if (take_max) max_mid <= max_q;
        if (e_move) begin
            d_q      <= below[D_W-1:0];
            first_d  <= mid_q == 0;
            last_d   <= mid_last;
            row_q    <= memory[d_q[PLACE_W-1:0]];
            beyond_q <= beyond;
            first_w  <= first_d;
            last_w   <= last_d;
            e_q      <= beyond_q ? {E_W{1'b0}} : exponential;
            first_e  <= first_w;
            last_e   <= last_w;
        end
        if (e_push) sum_q <= (first_e ? {SUM_W{1'b0}} : sum_q) + {{(SUM_W-E_W){1'b0}}, e_q};
    end

    // the reciprocal, a digit a cycle: R_W of them, as 2^(K - R_W) is less than any sum
    reg                start_q, run_q, done_q;
    reg  [DIGIT_W-1:0] digit_q;
    reg  [SUM_W-1:0]   divisor_q;
    reg  [SUM_W-1:0]   left_q;
    reg  [R_W-1:0]     r_q;
    wire [SUM_W:0]     rest = {left_q, 1'b0} - {1'b0, divisor_q};
    wire               digit = left_q[SUM_W-1] || !rest[SUM_W];

    always @(posedge clk) begin
        if (rst) begin
            start_q <= 1'b0;
            run_q   <= 1'b0;
            done_q  <= 1'b0;
        end else begin
            start_q <= e_push && last_e;
            if (start_q) run_q <= 1'b1;
            else if (digit_q == 1) run_q <= 1'b0;
            if (run_q && digit_q == 1) done_q <= 1'b1;
            else if (take_r) done_q <= 1'b0;
        end
    end

    always @(posedge clk) begin
        if (start_q) begin
            divisor_q <= sum_q;
            left_q    <= {{(SUM_W-1){1'b0}}, 1'b1} << (K - R_W);
            digit_q   <= R_W[DIGIT_W-1:0];
        end else if (run_q) begin
            left_q  <= digit ? rest[SUM_W-1:0] : {left_q[SUM_W-2:0], 1'b0};
            r_q     <= {r_q[R_W-2:0], digit};
            digit_q <= digit_q - 1'b1;
        end
    end

    // out: the exponentials, each times r, rounded
    wire [E_W-1:0]     e_waiting;
    wire               e_valid;
    reg                sends_q;
    reg  [COUNT_W-1:0] out_q;
    reg                valid_c;
    wire               valid_p;                // product_p is there
    wire               move = !valid_c || m_axis_tready;
    wire               pop = sends_q && e_valid && move;
    wire               out_last = out_q == LAST[COUNT_W-1:0];

    assign take_r = done_q && (!sends_q || (pop && out_last));

    stream_fifo #(
        .DATA_W(E_W),
        .DEPTH(DEPTH),
        .BLOCK(E_BLOCK)
    ) u_exponentials (
        .clk(clk),
        .rst(rst),
        .s_axis_tdata(e_q),
        .s_axis_tvalid(e_push),
        .s_axis_tready(e_ready),
        .m_axis_tdata(e_waiting),
        .m_axis_tvalid(e_valid),
        .m_axis_tready(pop)
    );

    always @(posedge clk) begin
        if (rst) begin
            sends_q <= 1'b0;
            out_q   <= {COUNT_W{1'b0}};
            valid_c <= 1'b0;
        end else begin
            if (take_r) sends_q <= 1'b1;
            else if (pop && out_last) sends_q <= 1'b0;
            if (pop) out_q <= out_last ? {COUNT_W{1'b0}} : out_q + 1'b1;
            if (move) valid_c <= valid_p;
        end
    end

    reg  [R_W-1:0]       r_out;
    wire [PRODUCT_W-1:0] product_p;
    reg  [OUT_W-1:0]     y_c;
    // rounding half up; e * r is 2^K at most
    /* verilator lint_off UNUSEDSIGNAL */
    wire [K:0]           whole;
    wire [OUT_W:0]       rounded = whole[K:DROP] + {{OUT_W{1'b0}}, whole[DROP-1]};
    /* verilator lint_on UNUSEDSIGNAL */

    generate
        if (SLICES != 0) begin : gen_product_slice
            // a sign above the product, which is not negative
            /* verilator lint_off UNUSEDSIGNAL */
            wire [PRODUCT_W:0] sum;
            /* verilator lint_on UNUSEDSIGNAL */
            reg                valid_b, valid_s, valid_t;
            pe_mac #(
                .X_W(E_W),
                .WEIGHT_W(R_W + 1),
                .IMMEDIATE_W(1),
                .W(PRODUCT_W + 1),
                .XILINX(XILINX)
            ) u_product (
                .clk(clk),
                .enable(move),
                .weight({1'b0, r_out}),
                .x(e_waiting),
                .first(1'b1),
                .immediate(1'b0),
                .sum(sum)
            );
            always @(posedge clk) begin
                if (rst) begin
                    valid_b <= 1'b0;
                    valid_s <= 1'b0;
                    valid_t <= 1'b0;
                end else if (move) begin
                    valid_b <= pop;
                    valid_s <= valid_b;
                    valid_t <= valid_s;
                end
            end
            assign valid_p = valid_t;
            assign product_p = sum[PRODUCT_W-1:0];
        end else begin : gen_product
            reg  [PRODUCT_W-1:0] product_q;
            reg                  valid_q;
            wire [PRODUCT_W-1:0] scaled;
            wire                 valid;
            wire                 unused;
            product #(
                .A_W(E_W),
                .A_SIGNED(0),
                .B_W(R_W),
                .B_SIGNED(0),
                .W(PRODUCT_W)
            ) u_product (
                .clk(clk),
                .rst(rst),
                .enable(move),
                .valid(pop),
                .a(e_waiting),
                .b(r_out),
                .beside(1'b0),
                .y_valid(valid),
                .y(scaled),
                .y_beside(unused)
            );
            always @(posedge clk) begin
                if (rst) valid_q <= 1'b0;
                else if (move) valid_q <= valid;
            end
            always @(posedge clk) begin
                if (move) product_q <= scaled;
            end
            assign valid_p = valid_q;
            assign product_p = product_q;
        end
        if (PRODUCT_W > K) begin : gen_cut
            assign whole = product_p[K:0];
        end else begin : gen_extend
            assign whole = {{(K+1-PRODUCT_W){1'b0}}, product_p};
        end
    endgenerate

    always @(posedge clk) begin
        if (take_r) r_out <= r_q;
        if (move) y_c <= rounded[OUT_W] ? {OUT_W{1'b1}} : rounded[OUT_W-1:0];
    end

    assign m_axis_tdata = y_c;
    assign m_axis_tvalid = valid_c;

    // synthesis translate_off
    reg [31:0]       check_sum;
    reg [ROW_W+31:0] check_row;
    integer i, j;
    initial begin
        #0 check_sum = 0;
        for (i = 0; i < ROWS; i = i + 1) begin
            check_row = {32'd0, memory[i]};
            for (j = 0; j < ROW_W; j = j + 32) check_sum = check_sum + (i + 1) * check_row[j +: 32];
        end
        if (check_sum !== CHECK) begin
            $display("ROM %m: %0s does not hold the %0d rows this build wrote (sum %h, expected %h)",
                     FILE, ROWS, check_sum, CHECK);
            $finish;
        end
    end
    // synthesis translate_on

endmodule
`default_nettype wire
