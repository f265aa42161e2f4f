// SPDX-License-Identifier: Apache-2.0
//
// The product of two streams of matrices, requantized: clamp((sum over k of a[k, row, l] * b[k, row, m] + BASE) >> DROP).
//
// Frames come and leave in raster order (row, column, channel), an activation a beat: for each row, a brings A_COLUMNS
// times K activations, b B_COLUMNS times K, and B_COLUMNS results leave for each column of a. A row of b is in memory
// whole, as the next one is being written; behind it the columns of a come through a ring of A_RING of them. LANES
// columns of b are multiplied in step: results m, m + 1 ... m + LANES - 1 take K cycles, or as long as it takes to send
// them.
//
//   a -> line_memory (a ring of columns) --\
//                                           product_sums -> requantize -> m
//   b -> line_memory (two rows) -----------/
//
// bench: sim/bench_matmul.py
`default_nettype none

module matmul #(
    parameter K = 4,                     // activations of a sum: channels of a and of b
    parameter A_COLUMNS = 4,             // columns of a row of a
    parameter B_COLUMNS = 4,             // columns of a row of b, which are the channels of the result
    parameter A_W = 8,                   // bits of an activation of a, at most 17
    parameter A_SIGNED = 0,              // 1: a is two's complement
    parameter B_W = 8,                   // bits of an activation of b, at most 26
    parameter B_SIGNED = 0,              // 1: b is two's complement
    parameter A_RING = 2,                // columns of a that are held
    parameter LANES = 1,                 // columns of b that are multiplied in step; divides B_COLUMNS
    parameter SLICES = 0,                // lanes of a DSP slice, 1 or 2, where XILINX is 1; 0: lanes are in LUTs
    parameter W = 20,                    // bits of a sum, at most 48
    parameter signed [63:0] BASE = 0,    // what a sum starts from: the half of the rounding
    parameter DROP = 0,                  // low bits of the sum that are rounded away, fewer than W
    parameter LIFT = 0,                  // zeros appended to the sum, where the result is on a finer grid; DROP is 0 then
    parameter OUT_W = 8,                 // bits of a result
    parameter signed [63:0] LOW = 0,     // least result
    parameter signed [63:0] HIGH = 255,  // greatest result
    parameter NO_LOW = 0,                // 1: there is no least result, whatever LOW
    parameter NO_HIGH = 0,               // 1: there is no greatest result, whatever HIGH
    parameter XILINX = 0,                // primitives of a device family, see pe_mac.v and clamp.v
    // not to be set
    parameter STRIPE = B_COLUMNS / LANES,             // sums of a lane for each column of a
    parameter ENTRY_W = 1 + $clog2(LANES) + $clog2(STRIPE), // bits of an entry of TABLE
    // where each column of b goes: TABLE of line_memory.v
    parameter [B_COLUMNS*ENTRY_W-1:0] TABLE = 0       // column m to lane m % LANES
) (
    input  wire             clk,
    input  wire             rst,             // synchronous, active high

    input  wire [A_W-1:0]   a_axis_tdata,
    input  wire             a_axis_tvalid,
    output wire             a_axis_tready,

    input  wire [B_W-1:0]   b_axis_tdata,
    input  wire             b_axis_tvalid,
    output wire             b_axis_tready,

    output wire [OUT_W-1:0] m_axis_tdata,
    output wire             m_axis_tvalid,
    input  wire             m_axis_tready
);

    localparam B_RING = 2;
    localparam K_W = (K > 1) ? $clog2(K) : 1;
    localparam S_W = (STRIPE > 1) ? $clog2(STRIPE) : 1;
    localparam L_W = (A_COLUMNS > 1) ? $clog2(A_COLUMNS) : 1;
    localparam A_SLOT_W = $clog2(A_RING);
    localparam A_LEVEL_W = $clog2(A_RING + 1);
    localparam A_ADDRESS_W = A_SLOT_W + $clog2(K);
    localparam B_ADDRESS_W = 1 + $clog2(STRIPE) + $clog2(K);
    localparam LAST_K = K - 1;
    localparam LAST_S = STRIPE - 1;
    localparam LAST_L = A_COLUMNS - 1;
    localparam LAST_SLOT = A_RING - 1;
    localparam SENT_W = W - DROP + LIFT;
    // clocks of a read: block RAM has a register behind it; a factor that is read faster waits for the other
    localparam A_READ = ((A_RING << $clog2(K)) > 64) ? 2 : 1;
    localparam B_READ = ((B_RING << ($clog2(STRIPE) + $clog2(K))) > 64) ? 2 : 1;
    localparam READ = (A_READ > B_READ) ? A_READ : B_READ;

    generate
        if (K < 1 || A_COLUMNS < 1 || B_COLUMNS < 1) begin : gen_check_shape
            matmul_K_A_COLUMNS_and_B_COLUMNS_must_be_at_least_1 error_i ();
        end
        if (A_RING < 2) begin : gen_check_ring
            matmul_A_RING_must_be_at_least_2 error_i ();
        end
        if (LANES < 1 || LANES * STRIPE != B_COLUMNS) begin : gen_check_lanes
            matmul_LANES_must_divide_B_COLUMNS error_i ();
        end
        if (DROP < 0 || DROP >= W) begin : gen_check_drop
            matmul_DROP_must_be_0_to_below_W error_i ();
        end
        if (LIFT < 0 || (LIFT > 0 && DROP > 0)) begin : gen_check_lift
            matmul_LIFT_must_be_0_where_DROP_is_not error_i ();
        end
    endgenerate

    wire                 enable;
    wire                 a_written, b_written;
    wire                 a_freed, b_freed;
    wire [A_W-1:0]       a_read;
    wire [LANES*B_W-1:0] b_read;
    wire [A_W-1:0]       a_word;
    wire [LANES*B_W-1:0] b_word;

    // stage 1: which product is next, where a column of a and a row of b are there
    reg  [K_W-1:0]       k_q;
    reg  [S_W-1:0]       s_q;
    reg  [L_W-1:0]       l_q;
    reg  [A_SLOT_W-1:0]  a_slot_q;
    reg                  b_slot_q;
    reg  [A_LEVEL_W-1:0] a_level_q;        // columns that are there
    reg  [1:0]           b_level_q;        // rows that are there
    wire                 issue = enable && a_level_q != 0 && b_level_q != 0;
    wire                 last_k = k_q == LAST_K[K_W-1:0];
    wire                 last_s = s_q == LAST_S[S_W-1:0];
    wire                 last_l = l_q == LAST_L[L_W-1:0];

    assign a_freed = issue && last_k && last_s;
    assign b_freed = a_freed && last_l;

    always @(posedge clk) begin
        if (rst) begin
            k_q <= 0;
            s_q <= 0;
            l_q <= 0;
            a_slot_q <= 0;
            b_slot_q <= 1'b0;
        end else begin
            if (issue) k_q <= last_k ? {K_W{1'b0}} : k_q + 1'b1;
            if (issue && last_k) s_q <= last_s ? {S_W{1'b0}} : s_q + 1'b1;
            if (a_freed) l_q <= last_l ? {L_W{1'b0}} : l_q + 1'b1;
            if (a_freed) a_slot_q <= (a_slot_q == LAST_SLOT[A_SLOT_W-1:0]) ? {A_SLOT_W{1'b0}} : a_slot_q + 1'b1;
            if (b_freed) b_slot_q <= !b_slot_q;
        end
    end

    always @(posedge clk) begin
        if (rst) a_level_q <= 0;
        else if (a_written != a_freed) a_level_q <= a_written ? a_level_q + 1'b1 : a_level_q - 1'b1;
    end

    always @(posedge clk) begin
        if (rst) b_level_q <= 0;
        else if (b_written != b_freed) b_level_q <= b_written ? b_level_q + 1'b1 : b_level_q - 1'b1;
    end

    // the addresses are made wide, then cut: a field of no bits is a constant zero
    wire [31:0] k_wide = {{(32-K_W){1'b0}}, k_q};
    wire [31:0] s_wide = {{(32-S_W){1'b0}}, s_q};
    /* verilator lint_off UNUSEDSIGNAL */
    wire [31:0] a_address = ({{(32-A_SLOT_W){1'b0}}, a_slot_q} << $clog2(K)) | k_wide;
    wire [31:0] b_address = (({31'd0, b_slot_q} << $clog2(STRIPE) | s_wide) << $clog2(K)) | k_wide;
    /* verilator lint_on UNUSEDSIGNAL */

    wire unused_a_fault;
    wire unused_b_fault;
    line_memory #(
        .X_W(A_W),
        .STRIPES(1),
        .STRIPE(1),
        .CHANNELS(K),
        .READ(A_READ),
        .RING(A_RING),
        .ROWS(1),
        .TABLE(1'b1)
    ) u_a_memory (
        .clk(clk),
        .rst(rst),
        .s_axis_tdata(a_axis_tdata),
        .s_axis_tvalid(a_axis_tvalid),
        .s_axis_tready(a_axis_tready),
        .row_written(a_written),
        .freed(a_freed),
        .freed_last(1'b0),
        .read_enable(enable),
        .read_zero(1'b0),
        .read_address(a_address[A_ADDRESS_W-1:0]),
        .read_word(a_read),
        .fault(unused_a_fault)
    );

    line_memory #(
        .X_W(B_W),
        .STRIPES(LANES),
        .STRIPE(STRIPE),
        .CHANNELS(K),
        .READ(B_READ),
        .RING(B_RING),
        .ROWS(1),
        .TABLE(TABLE)
    ) u_b_memory (
        .clk(clk),
        .rst(rst),
        .s_axis_tdata(b_axis_tdata),
        .s_axis_tvalid(b_axis_tvalid),
        .s_axis_tready(b_axis_tready),
        .row_written(b_written),
        .freed(b_freed),
        .freed_last(1'b0),
        .read_enable(enable),
        .read_zero(1'b0),
        .read_address(b_address[B_ADDRESS_W-1:0]),
        .read_word(b_read),
        .fault(unused_b_fault)
    );

    // the factors
    generate
        if (A_READ < READ) begin : gen_a_early
            reg [A_W-1:0] a_q;
            always @(posedge clk) if (enable) a_q <= a_read;
            assign a_word = a_q;
        end else begin : gen_a_in_time
            assign a_word = a_read;
        end
        if (B_READ < READ) begin : gen_b_early
            reg [LANES*B_W-1:0] b_q;
            always @(posedge clk) if (enable) b_q <= b_read;
            assign b_word = b_q;
        end else begin : gen_b_in_time
            assign b_word = b_read;
        end
    endgenerate

    reg  [READ-1:0] valid_q;
    reg  [READ-1:0] last_q;
    reg        fresh_q;              // the next product begins a sum, which then has no pause
    /* verilator lint_off UNUSEDSIGNAL */
    wire [READ:0] valid_d = {valid_q, issue};
    wire [READ:0] last_d = {last_q, issue && last_k};
    /* verilator lint_on UNUSEDSIGNAL */
    wire       ends;
    wire       full;

    // the whole pipeline holds while finished sums find the requantizer full
    assign enable = !(ends && full);

    always @(posedge clk) begin
        if (rst) begin
            valid_q <= {READ{1'b0}};
            last_q <= {READ{1'b0}};
        end else if (enable) begin
            valid_q <= valid_d[READ-1:0];
            last_q <= last_d[READ-1:0];
        end
    end

    always @(posedge clk) begin
        if (rst) fresh_q <= 1'b1;
        else if (enable && valid_q[READ-1]) fresh_q <= last_q[READ-1];
    end

    /* verilator lint_off UNUSEDSIGNAL */
    wire [LANES*W-1:0]      sums;    // DROP low bits of each are not sent
    /* verilator lint_on UNUSEDSIGNAL */
    wire [LANES*SENT_W-1:0] sent;
    product_sums #(
        .LANES(LANES),
        .SLICES(SLICES),
        .A_W(A_W),
        .A_SIGNED(A_SIGNED),
        .B_W(B_W),
        .B_SIGNED(B_SIGNED),
        .W(W),
        .BASE(BASE),
        .XILINX(XILINX)
    ) u_product_sums (
        .clk(clk),
        .rst(rst),
        .enable(enable),
        .a(a_word),
        .b(b_word),
        .first(fresh_q),
        .last(last_q[READ-1]),
        .sums(sums),
        .done(ends)
    );

    generate
        genvar l;
        for (l = 0; l < LANES; l = l + 1) begin : gen_sent
            assign sent[l*SENT_W+LIFT +: W-DROP] = sums[l*W+DROP +: W-DROP];
            if (LIFT > 0) begin : gen_finer
                assign sent[l*SENT_W +: LIFT] = {LIFT{1'b0}};
            end
        end
    endgenerate

    requantize #(
        .LANES(1),
        .GROUPS(LANES),
        .FINAL(LANES),
        .EAGER(1),
        .IN_W(SENT_W),
        .OUT_W(OUT_W),
        .LOW(LOW),
        .HIGH(HIGH),
        .NO_LOW(NO_LOW),
        .NO_HIGH(NO_HIGH),
        .XILINX(XILINX)
    ) u_requantize (
        .clk(clk),
        .rst(rst),
        .load(ends && !full),
        .is_final(1'b0),
        .sums(sent),
        .mode(1'b0),
        .full(full),
        .m_axis_tdata(m_axis_tdata),
        .m_axis_tvalid(m_axis_tvalid),
        .m_axis_tready(m_axis_tready)
    );

endmodule
`default_nettype wire
