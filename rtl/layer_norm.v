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
// with the s before it. Then r is found, a digit a cycle: what is left of 4^h - r^2 * v is four times as much a digit
// later, of which a one takes (4 * r + 1) * v. Meanwhile the next pixel comes, but for its last beat. So a pixel takes
// N cycles, or h + 6 where these are more.
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

    // sums: s is a beat ahead of x_1, v is two behind
    reg                   valid_1, first_1, last_1;
    reg                   valid_2, last_2;
    reg                   found_3;              // v_3 is that of a whole pixel
    reg         [S_W-1:0] sum_q;
    reg         [S_W-1:0] sum_3;
    wire        [V_W-1:0] v_3;                  // modulo 2^V_W: it is in range whenever a pixel is whole

    wire        [T_W-1:0] x = {{(T_W-X_W){(X_SIGNED != 0) && s_axis_tdata[X_W-1]}}, s_axis_tdata};
    wire        [S_W-1:0] old = first ? {S_W{1'b0}} : sum_q;
    wire        [T_W-1:0] old_wide = {{2{old[S_W-1]}}, old};
    wire        [S_W-1:0] sum = old + x[S_W-1:0];
    wire        [T_W-1:0] t = LAST[T_W-1:0] * x - (old_wide << 1);

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
                .weight(x[X_W:0]),
                .zero(!beat),
                .x(t),
                .first(valid_1 && first_1),
                .immediate(1'b0),
                .sum(v_3)
            );
        end else begin : gen_sum
            reg  [X_W-1:0] x_1;
            reg  [T_W-1:0] t_1;
            reg  [V_W-1:0] adds_2;
            reg  [V_W-1:0] v_q;
            reg            first_2;
            wire [V_W-1:0] adds;
            product #(
                .A_W(T_W),
                .A_SIGNED(1),
                .B_W(X_W),
                .B_SIGNED(X_SIGNED),
                .W(V_W)
            ) u_adds (
                .a(t_1),
                .b(x_1),
                .y(adds)
            );
            always @(posedge clk) begin
                if (beat) begin
                    x_1 <= s_axis_tdata;
                    t_1 <= t;
                end
                if (valid_1) begin
                    adds_2  <= adds;
                    first_2 <= first_1;
                end
                if (valid_2) v_q <= (first_2 ? EPS : v_q) + adds_2;
            end
            assign v_3 = v_q;
        end
    endgenerate

    always @(posedge clk) begin
        if (rst) begin
            valid_1 <= 1'b0;
            valid_2 <= 1'b0;
            found_3 <= 1'b0;
        end else begin
            valid_1 <= beat;
            valid_2 <= valid_1;
            found_3 <= valid_2 && last_2;
        end
    end

    always @(posedge clk) begin
        if (beat) begin
            sum_q   <= sum;
            first_1 <= first;
            last_1  <= last;
        end
        if (valid_1) last_2 <= last_1;
        if (valid_1 && last_1) sum_3 <= sum_q;
    end

    // the root: a first cycle that takes v itself, then a digit a cycle
    reg                start_q, run_q, done_q;
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
    // 2 * taken + v at first, then 2 * taken + 3 * v, or 2 * taken - v
    wire               minus = run_q && !digit;
    wire [TAKEN_W-1:0] more = minus ? ~{{(TAKEN_W-V_W){1'b0}}, v_root}
                            : {{(TAKEN_W-V_W-2){1'b0}}, run_q ? triple_q : {2'b00, v_root}};

    always @(posedge clk) begin
        if (rst) begin
            start_q <= 1'b0;
            run_q   <= 1'b0;
            done_q  <= 1'b0;
        end else begin
            start_q <= found_3;
            if (start_q) run_q <= 1'b1;
            else if (r_q[R_W-2]) run_q <= 1'b0;
            if (run_q && r_q[R_W-2]) done_q <= 1'b1;
            else if (take) done_q <= 1'b0;
        end
    end

    always @(posedge clk) begin
        if (found_3) begin
            v_root   <= v_3;
            triple_q <= {1'b0, v_3, 1'b0} + {2'b00, v_3};
            left_q   <= {{(LEFT_W-1){1'b0}}, 1'b1};
            taken_q  <= {TAKEN_W{1'b0}};
            r_q      <= {R_W{1'b0}};
            zeros_q  <= {Z_W{1'b0}};
        end else begin
            if (start_q || run_q) taken_q <= {taken_q[TAKEN_W-2:0], minus} + more;
            if (run_q) begin
                left_q <= digit ? rest[LEFT_W-1:0] : {left_q[LEFT_W-3:0], 2'b00};
                r_q    <= {r_q[R_W-2:0], digit};
                if (leading && !digit) zeros_q <= zeros_q + 1'b1;
            end
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

    reg  [S_W-1:0]              sum_out;
    reg  [R_W-1:0]              r_out;
    reg  [Z_W-1:0]              zeros_out, zeros_a, zeros_b;
    wire [Z_W-1:0]              zeros_p;
    wire [PRODUCT_W-1:0]        product_p;
    reg  [OUT_W-1:0]            y_c;

    wire [D_W-1:0]              waiting_wide = {{(D_W-X_W){(X_SIGNED != 0) && waiting[X_W-1]}}, waiting};
    // rounding half up: the highest bit that is dropped is added to what stays
    localparam MOVED_W = PRODUCT_W + DROP + ROUNDED_W + 1;
    /* verilator lint_off UNUSEDSIGNAL */
    wire signed [MOVED_W-1:0]   extended = {{(MOVED_W-PRODUCT_W){product_p[PRODUCT_W-1]}}, product_p};
    wire signed [MOVED_W-1:0]   moved = (extended >>> DROP) >>> zeros_p;
    /* verilator lint_on UNUSEDSIGNAL */
    wire [ROUNDED_W-1:0]        rounded = moved[ROUNDED_W:1] + {{(ROUNDED_W-1){1'b0}}, moved[0]};
    wire [OUT_W-1:0]            y;

    wire [D_W-1:0]              d = N[D_W-1:0] * waiting_wide - {sum_out[S_W-1], sum_out};

    generate
        if (SLICES != 0) begin : gen_product_slice
            reg           valid_s;
            reg [Z_W-1:0] zeros_s;
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
                .weight({1'b0, r_out}),
                .zero(1'b0),
                .x(d),
                .first(1'b1),
                .immediate(1'b0),
                .sum(product_p)
            );
            always @(posedge clk) begin
                if (rst) valid_s <= 1'b0;
                else if (move) valid_s <= valid_b;
            end
            always @(posedge clk) begin
                if (move) zeros_s <= zeros_b;
            end
            assign valid_p = valid_s;
            assign zeros_p = zeros_s;
        end else begin : gen_product
            reg  [D_W-1:0]       d_a;
            reg  [R_W-1:0]       r_a;
            reg  [PRODUCT_W-1:0] product_b;
            wire [PRODUCT_W-1:0] product_a;
            product #(
                .A_W(D_W),
                .A_SIGNED(1),
                .B_W(R_W),
                .B_SIGNED(0),
                .W(PRODUCT_W)
            ) u_product (
                .a(d_a),
                .b(r_a),
                .y(product_a)
            );
            always @(posedge clk) begin
                if (move) begin
                    d_a       <= d;
                    r_a       <= r_out;
                    product_b <= product_a;
                end
            end
            assign valid_p = valid_b;
            assign zeros_p = zeros_b;
            assign product_p = product_b;
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
            sum_out   <= sum_3;
            r_out     <= r_q;
            zeros_out <= zeros_q;
        end
        if (move) begin
            zeros_a <= zeros_out;
            zeros_b <= zeros_a;
            y_c     <= y;
        end
    end

    assign m_axis_tdata = y_c;
    assign m_axis_tvalid = valid_c;

endmodule
`default_nettype wire
