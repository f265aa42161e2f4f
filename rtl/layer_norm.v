// SPDX-License-Identifier: Apache-2.0
//
// Layer normalization of each pixel over its N channels: y = (x - mean) / deviation, in integers.
//
//     s = sum(x)    v = N * sum(x^2) - s^2 + EPS    r = floor(2^h / sqrt(v)) of R_W significant bits
//     y = clamp(floor((N * x - s) * r / 2^(DROP + 1 + h - R_W) + 1/2))
//
// h is the least that r is long enough with, but R_W or more; then, where v is 0 or 1, r is 2^R_W - 1.
//
// Activations come in raster order, one a beat, and wait in a FIFO while v adds up: each x adds x * (N * x - x - 2 * s)
// with the s before it, which is x * (N * x + x - 2 * s) with the one behind. Then r is found, a digit a cycle: what is
// left of 4^h - r^2 * v is four times as much a digit later, of which a one takes (4 * r + 1) * v. Meanwhile the next
// pixel comes, but for its last beat. So a pixel takes N cycles, or h + 6 where these are more, and without SLICES one for
// each row of product.v but the first.
//
// bench: sim/bench_layer_norm.py
`default_nettype none

module layer_norm #(
    parameter N = 16,                    // channels of a pixel
    parameter X_W = 8,                   // bits of an activation
    parameter X_SIGNED = 1,              // 1: activations are two's complement
    parameter S_W = 12,                  // bits that hold N * x and s, two's complement
    parameter V_W = 23,                  // bits of v, unsigned, 2 or more
    parameter [V_W-1:0] EPS = 1,         // what v begins with
    parameter R_W = 10,                  // significant bits of r, 2 or more
    parameter DROP = 4,                  // bits that rounding drops for h = R_W, less one
    parameter ROUNDED_W = 9,             // bits that hold any y before the clamp, two's complement
    parameter OUT_W = 8,                 // bits of a result
    parameter signed [63:0] LOW = -128,  // least result
    parameter signed [63:0] HIGH = 127,  // greatest result
    parameter NO_LOW = 0,                // 1: there is no least result, whatever LOW
    parameter NO_HIGH = 0,               // 1: there is no greatest result, whatever HIGH
    parameter DEPTH = 32,                // beats that wait for r, at least N
    parameter BLOCK = 0,                 // of the FIFO that they wait in, as in stream_fifo.v
    parameter SLICES = 0,                // 1: its two products are in DSP slices where XILINX is 1
    parameter XILINX = 0                 // primitives of a device family, see pe_mac.v and clamp.v
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
    localparam MORE = N + 1;
    localparam Z_W = $clog2((V_W + 1) / 2 + 1); // of the zeros before the first digit of r
    localparam T_W = S_W + 2;
    localparam D_W = S_W + 1;
    localparam PRODUCT_W = D_W + R_W;
    localparam LEFT_W = V_W + R_W;              // of what is left
    localparam TAKEN_W = V_W + R_W + 2;         // of what the next digit takes

    generate
        if (N < 1 || DEPTH < N) begin : gen_check_n
            layer_norm_DEPTH_must_be_at_least_N_and_N_1 error_i ();
        end
        if (R_W < 2 || DROP < 0) begin : gen_check_r
            layer_norm_R_W_must_be_at_least_2_and_DROP_0 error_i ();
        end
        if (V_W < 2 || V_W > 63) begin : gen_check_v
            layer_norm_V_W_must_be_2_to_63 error_i ();
        end
    endgenerate

    // in: a pixel's last beat waits until the root of the one before is taken
    reg  [COUNT_W-1:0] in_q;
    reg                busy_q;                  // from a pixel's last beat until its root is taken
    wire               fifo_ready;
    wire               first = in_q == 0;
    wire               last = in_q == LAST[COUNT_W-1:0];
    wire               beat = s_axis_tvalid && s_axis_tready;
    wire               take;                    // what was found of a pixel goes to the way out

    assign s_axis_tready = fifo_ready && !(last && busy_q);

    always @(posedge clk) begin
        if (rst) begin
            in_q   <= {COUNT_W{1'b0}};
            busy_q <= 1'b0;
        end else begin
            if (beat) in_q <= last ? {COUNT_W{1'b0}} : in_q + 1'b1;
            if (beat && last) busy_q <= 1'b1;
            else if (take) busy_q <= 1'b0;
        end
    end

    // sums: s_1 has x_1 in it, t_2 is what x_2 is multiplied by
    reg                   valid_1, first_1, last_1;
    reg                   valid_2, first_2, last_2;
    reg                   valid_3, last_3;      // a product is there
    reg                   found_4;              // v_4 is that of a whole pixel
    reg         [S_W-1:0] s_1;
    reg         [S_W-1:0] s_found;
    /* verilator lint_off UNUSEDSIGNAL */
    reg         [X_W:0]   x_1;                  // with a sign, which a slice takes
    /* verilator lint_on UNUSEDSIGNAL */
    reg         [T_W-1:0] more_1;               // (N + 1) * x
    wire        [V_W-1:0] v_4;                  // modulo 2^V_W: it is in range whenever a pixel is whole
    wire                  made, made_last;      // with the last row of a product

    wire        [T_W-1:0] x = {{(T_W-X_W){(X_SIGNED != 0) && s_axis_tdata[X_W-1]}}, s_axis_tdata};
    wire        [S_W-1:0] old = first ? {S_W{1'b0}} : s_1;
    wire        [T_W-1:0] t = more_1 - {s_1[S_W-1], s_1, 1'b0};

    always @(posedge clk) begin
        if (beat) begin
            s_1     <= old + x[S_W-1:0];
            more_1  <= MORE[T_W-1:0] * x;
            first_1 <= first;
            last_1  <= last;
        end
        if (valid_1 && last_1) s_found <= s_1;
        first_2 <= first_1;
        last_2  <= last_1;
        last_3  <= made_last;
    end

    // no product of what is none
    always @(posedge clk) begin
        if (!beat) x_1 <= {(X_W+1){1'b0}};
        else x_1 <= x[X_W:0];
    end

    always @(posedge clk) begin
        if (rst) begin
            valid_1 <= 1'b0;
            valid_2 <= 1'b0;
            valid_3 <= 1'b0;
            found_4 <= 1'b0;
        end else begin
            valid_1 <= beat;
            valid_2 <= valid_1;
            valid_3 <= made;
            found_4 <= valid_3 && last_3;
        end
    end

    generate
        if (SLICES != 0) begin : gen_sum_slice
            pe_mac #(
                .X_W(T_W),
                .X_SIGNED(1),
                .WEIGHT_W(X_W + 1),
                .IMMEDIATE_W(1),
                .W(V_W),
                .BASE({{(64-V_W){1'b0}}, EPS}),
                .XILINX(XILINX)
            ) u_sum (
                .clk(clk),
                .enable(1'b1),
                .weight(x_1),
                .x(t),
                .first(valid_2 && first_2),
                .immediate(1'b0),
                .sum(v_4)
            );
            assign made = valid_2;
            assign made_last = last_2;
        end else begin : gen_sum
            reg  [X_W-1:0] x_2;
            reg  [T_W-1:0] t_2;
            reg  [V_W-1:0] adds_3;
            reg  [V_W-1:0] v_q;
            reg            first_3;
            wire [V_W-1:0] adds;
            wire           made_first;
            product #(
                .A_W(T_W),
                .A_SIGNED(1),
                .B_W(X_W),
                .B_SIGNED(X_SIGNED),
                .W(V_W),
                .BESIDE_W(2)
            ) u_adds (
                .clk(clk),
                .rst(rst),
                .enable(1'b1),
                .valid(valid_2),
                .a(t_2),
                .b(x_2),
                .beside({first_2, last_2}),
                .y_valid(made),
                .y(adds),
                .y_beside({made_first, made_last})
            );
            always @(posedge clk) begin
                x_2 <= x_1[X_W-1:0];
                t_2 <= t;
                adds_3  <= adds;
                first_3 <= made_first;
                if (valid_3) v_q <= (first_3 ? EPS : v_q) + adds_3;
            end
            assign v_4 = v_q;
        end
    endgenerate

    // the root: a first cycle that takes v itself, then a digit a cycle
    reg                run_q, done_q;
    reg  [V_W-1:0]     v_root;
    reg  [V_W+1:0]     triple_q;
    reg  [LEFT_W-1:0]  left_q;
    reg  [TAKEN_W-1:0] taken_q;
    reg  [R_W-1:0]     r_q;
    reg  [Z_W-1:0]     zeros_q;

    /* verilator lint_off UNUSEDSIGNAL */
    wire [LEFT_W+2:0]  rest = {1'b0, left_q, 2'b00} - {{(LEFT_W-TAKEN_W+3){1'b0}}, taken_q};
    /* verilator lint_on UNUSEDSIGNAL */
    wire               digit = !rest[LEFT_W+2];
    wire               leading = r_q == {R_W{1'b0}};
    // v at first, then behind a one 2 * taken + 3 * v, else 2 * taken - v: both are there before the digit is
    wire [TAKEN_W-1:0] taken_one = {taken_q[TAKEN_W-2:0], 1'b0} + {{(TAKEN_W-V_W-2){1'b0}}, triple_q};
    wire [TAKEN_W-1:0] taken_zero = {taken_q[TAKEN_W-2:0], 1'b0} - {{(TAKEN_W-V_W){1'b0}}, v_root};

    always @(posedge clk) begin
        if (rst) begin
            run_q   <= 1'b0;
            done_q  <= 1'b0;
        end else begin
            if (found_4) run_q <= 1'b1;
            else if (r_q[R_W-2]) run_q <= 1'b0;
            if (run_q && r_q[R_W-2]) done_q <= 1'b1;
            else if (take) done_q <= 1'b0;
        end
    end

    always @(posedge clk) begin
        if (found_4) begin
            taken_q  <= {{(TAKEN_W-V_W){1'b0}}, v_4};
            v_root   <= v_4;
            triple_q <= {1'b0, v_4, 1'b0} + {2'b00, v_4};
            left_q   <= {{(LEFT_W-1){1'b0}}, 1'b1};
            r_q      <= {R_W{1'b0}};
            zeros_q  <= {Z_W{1'b0}};
        end else if (run_q) begin
            taken_q <= digit ? taken_one : taken_zero;
            left_q <= digit ? rest[LEFT_W-1:0] : {left_q[LEFT_W-3:0], 2'b00};
            r_q    <= {r_q[R_W-2:0], digit};
            if (leading && !digit) zeros_q <= zeros_q + 1'b1;
        end
    end

    // out: the FIFO's beats, each less the mean, times r, rounded
    wire [X_W-1:0]     waiting;
    wire               waiting_valid;
    reg                active_q;
    reg  [COUNT_W-1:0] out_q;
    reg                valid_a, valid_b, valid_c;
    wire               valid_p;                 // product_p is there
    wire               move = !valid_c || m_axis_tready;
    wire               pop = active_q && waiting_valid && move;
    wire               out_last = out_q == LAST[COUNT_W-1:0];

    assign take = done_q && (!active_q || (pop && out_last));

    stream_fifo #(
        .DATA_W(X_W),
        .DEPTH(DEPTH),
        .BLOCK(BLOCK)
    ) u_fifo (
        .clk(clk),
        .rst(rst),
        .s_axis_tdata(s_axis_tdata),
        .s_axis_tvalid(beat),
        .s_axis_tready(fifo_ready),
        .m_axis_tdata(waiting),
        .m_axis_tvalid(waiting_valid),
        .m_axis_tready(pop)
    );

    always @(posedge clk) begin
        if (rst) begin
            active_q <= 1'b0;
            out_q    <= {COUNT_W{1'b0}};
            valid_a  <= 1'b0;
            valid_b  <= 1'b0;
            valid_c  <= 1'b0;
        end else begin
            if (take) active_q <= 1'b1;
            else if (pop && out_last) active_q <= 1'b0;
            if (pop) out_q <= out_last ? {COUNT_W{1'b0}} : out_q + 1'b1;
            if (move) begin
                valid_a <= pop;
                valid_b <= valid_a;
                valid_c <= valid_p;
            end
        end
    end

    reg  [S_W-1:0]              sum_out, sum_a;
    reg  [R_W-1:0]              r_out, r_a;
    reg  [Z_W-1:0]              zeros_out, zeros_a;
    reg  [D_W-1:0]              times_a;        // N * x
    wire [Z_W-1:0]              zeros_p;
    wire [PRODUCT_W-1:0]        product_p;
    reg  [OUT_W-1:0]            y_c;

    wire [D_W-1:0]              waiting_wide = {{(D_W-X_W){(X_SIGNED != 0) && waiting[X_W-1]}}, waiting};
    wire [D_W-1:0]              d = times_a - {sum_a[S_W-1], sum_a};
    // rounding half up: the highest bit that is dropped is added to what stays
    localparam MOVED_W = PRODUCT_W + DROP + ROUNDED_W + 1;
    /* verilator lint_off UNUSEDSIGNAL */
    wire signed [MOVED_W-1:0]   extended = {{(MOVED_W-PRODUCT_W){product_p[PRODUCT_W-1]}}, product_p};
    wire signed [MOVED_W-1:0]   moved = (extended >>> DROP) >>> zeros_p;
    /* verilator lint_on UNUSEDSIGNAL */
    wire [ROUNDED_W-1:0]        rounded = moved[ROUNDED_W:1] + {{(ROUNDED_W-1){1'b0}}, moved[0]};
    wire [OUT_W-1:0]            y;

    generate
        if (SLICES != 0) begin : gen_product_slice
            reg           valid_s, valid_t;
            reg [Z_W-1:0] zeros_b, zeros_s, zeros_t;
            pe_mac #(
                .X_W(D_W),
                .X_SIGNED(1),
                .WEIGHT_W(R_W + 1),
                .IMMEDIATE_W(1),
                .W(PRODUCT_W),
                .XILINX(XILINX)
            ) u_product (
                .clk(clk),
                .enable(move),
                .weight({1'b0, r_a}),
                .x(d),
                .first(1'b1),
                .immediate(1'b0),
                .sum(product_p)
            );
            always @(posedge clk) begin
                if (rst) begin
                    valid_s <= 1'b0;
                    valid_t <= 1'b0;
                end else if (move) begin
                    valid_s <= valid_b;
                    valid_t <= valid_s;
                end
            end
            always @(posedge clk) begin
                if (move) begin
                    zeros_b <= zeros_a;
                    zeros_s <= zeros_b;
                    zeros_t <= zeros_s;
                end
            end
            assign valid_p = valid_t;
            assign zeros_p = zeros_t;
        end else begin : gen_product
            reg  [D_W-1:0]       d_b;
            reg  [R_W-1:0]       r_b;
            reg  [Z_W-1:0]       zeros_b, zeros_c;
            reg  [PRODUCT_W-1:0] product_c;
            reg                  valid_q;
            wire [PRODUCT_W-1:0] product;
            wire [Z_W-1:0]       zeros;
            wire                 valid;
            product #(
                .A_W(D_W),
                .A_SIGNED(1),
                .B_W(R_W),
                .B_SIGNED(0),
                .W(PRODUCT_W),
                .BESIDE_W(Z_W)
            ) u_product (
                .clk(clk),
                .rst(rst),
                .enable(move),
                .valid(valid_b),
                .a(d_b),
                .b(r_b),
                .beside(zeros_b),
                .y_valid(valid),
                .y(product),
                .y_beside(zeros)
            );
            always @(posedge clk) begin
                if (rst) valid_q <= 1'b0;
                else if (move) valid_q <= valid;
            end
            always @(posedge clk) begin
                if (move) begin
                    d_b       <= d;
                    r_b       <= r_a;
                    zeros_b   <= zeros_a;
                    product_c <= product;
                    zeros_c   <= zeros;
                end
            end
            assign valid_p = valid_q;
            assign zeros_p = zeros_c;
            assign product_p = product_c;
        end
    endgenerate

    clamp #(
        .IN_W(ROUNDED_W),
        .IN_SIGNED(1),
        .OUT_W(OUT_W),
        .LOW(LOW),
        .HIGH(HIGH),
        .NO_LOW(NO_LOW),
        .NO_HIGH(NO_HIGH),
        .XILINX(XILINX)
    ) u_clamp (
        .x(rounded),
        .y(y)
    );

    always @(posedge clk) begin
        if (take) begin
            sum_out   <= s_found;
            r_out     <= r_q;
            zeros_out <= zeros_q;
        end
        if (move) begin
            times_a <= N[D_W-1:0] * waiting_wide;
            sum_a   <= sum_out;
            r_a     <= r_out;
            zeros_a <= zeros_out;
            y_c     <= y;
        end
    end

    assign m_axis_tdata = y_c;
    assign m_axis_tvalid = valid_c;

endmodule
`default_nettype wire
