// SPDX-License-Identifier: Apache-2.0
//
// A recurrent cell over a sequence: an LSTM, a GRU, or tanh of a sum (RNN). Per step and unit GATES activations come, the
// input's part p of each gate, and one leaves, the unit's new hidden state h.
//
//   pre = round(p + s)                     s, the matrix times the hidden state, from recurrent_sums
//   RNN:  h = T(pre)
//   LSTM: c = round(S(f) c + S(i) T(g)),  h = round(S(o) T(round(c)))
//   GRU:  u = round(s + bias),  n = T(round(p + S(r) u)),  h = round((1 - S(z)) n + S(z) h)
//
// S and T are tables, TABLE_FILE: word {function, pre}, function 0 the sigmoid, 1 tanh; of an RNN {pre}. A unit's gates
// are looked up as they come; then one multiplier makes its products, one after the other, while recurrent_sums is at
// the sums of the next unit. A step begins when the one before is through; the state of a frame begins with zeros.
//
// bench: sim/bench_recurrent.py
`default_nettype none

module recurrent #(
    parameter KIND = 1,                  // 0: RNN, 1: LSTM, 2: GRU
    parameter UNITS = 4,                 // hidden states of a step
    parameter STEPS = 4,                 // steps of a frame
    parameter LANES = 1,                 // rows of the matrix in step, see recurrent_sums.v
    parameter SLICES = 0,                // lanes of a DSP slice, 1 or 2, where XILINX is 1; 0: all is in LUTs
    // the matrix, the tables, and a GRU's biases
    parameter U_W = 8,                   // bits of a weight
    parameter FILE = "",                 // $readmemh files, relative to the directory that the tool runs in
    parameter CHECK = 0,                 // of FILE, see term_rom.v
    parameter TABLE_FILE = "",           // of words of T_W bits
    parameter TABLE_CHECK = 0,           // of that file
    parameter BIAS_W = 8,                // bits of a bias, two's complement, on the grid of gates
    parameter BIAS_FILE = "",            // a word for each unit; GRU only
    parameter BIAS_CHECK = 0,            // of that file
    // gates: clamp(((p << P_SHIFT) + (s << S_SHIFT) + half) >> PRE_DROP)
    parameter P_W = 8,                   // bits of an activation that comes
    parameter P_SIGNED = 1,              // 1: it is two's complement
    parameter P_SHIFT = 0,               // to the common grid of both
    parameter S_W = 18,                  // bits of a sum of the matrix
    parameter S_SHIFT = 0,               // to that grid
    parameter PRE_DROP = 0,              // bits of it below the grid of gates
    parameter PRE_W = 8,                 // bits of a gate, two's complement
    // products of S(...), ACT_W bits, and what is on a common grid
    parameter ACT_W = 8,                 // bits of a value of a table; of an RNN H_W
    parameter T_SHIFT = 0,               // a tanh to the common grid
    parameter STATE_W = 16,              // bits of c, or of a GRU's h
    parameter STATE_SHIFT = 0,           // it to the common grid
    parameter M_W = 28,                  // bits of a sum of products, two's complement
    parameter STATE_DROP = 8,            // bits of it below the grid of c; LSTM only
    parameter SEEN_LIFT = 0,             // c on the grid of gates: zeros appended
    parameter SEEN_DROP = 0,             // or bits dropped
    // GRU only: clamp(((p << NP_SHIFT) + (product << N_SHIFT) + half) >> N_DROP) is the new gate
    parameter NP_SHIFT = 0,              // p to the common grid
    parameter N_SHIFT = 0,               // the product to it
    parameter N_DROP = 0,                // bits of it below the grid of gates
    parameter H_W = 8,                   // bits of a hidden state, two's complement
    parameter H_DROP = 8,                // bits of the sum of its products below its grid
    parameter XILINX = 0                 // primitives of a device family, see pe_mac.v
) (
    input  wire           clk,
    input  wire           rst,           // synchronous, active high

    input  wire [P_W-1:0] s_axis_tdata,
    input  wire           s_axis_tvalid,
    output wire           s_axis_tready,

    output wire [H_W-1:0] m_axis_tdata,
    output wire           m_axis_tvalid,
    input  wire           m_axis_tready
);

    localparam RNN = 0;
    localparam LSTM = 1;
    localparam GRU = 2;
    localparam GATES = (KIND == LSTM) ? 4 : (KIND == GRU) ? 3 : 1;
    localparam LAST_GATE = GATES - 1;
    localparam LAST_UNIT = UNITS - 1;
    localparam UNIT_W = (UNITS > 1) ? $clog2(UNITS) : 1;
    localparam T_W = (KIND == RNN) ? H_W : ACT_W + 1;        // bits of a table's word, two's complement
    localparam TABLE_W = (KIND == RNN) ? PRE_W : PRE_W + 1;  // bits of its address
    localparam READ = (TABLE_W > 6) ? 2 : 1;                 // clocks from that to the word: block RAM has a register
    // bits of the sum of what is added up of a gate
    localparam P_ALL_W = (P_W + P_SHIFT > BIAS_W + PRE_DROP || KIND != GRU) ? P_W + P_SHIFT : BIAS_W + PRE_DROP;
    localparam TOTAL_W = ((P_ALL_W > S_W + S_SHIFT) ? P_ALL_W : S_W + S_SHIFT) + 2;

    generate
        if (KIND < RNN || KIND > GRU) begin : gen_check_kind
            recurrent_KIND_must_be_0_to_2 error_i ();
        end
        if (PRE_W < 2 || PRE_W > 16) begin : gen_check_pre
            recurrent_PRE_W_must_be_2_to_16 error_i ();
        end
        if (TOTAL_W > 64 || TOTAL_W <= PRE_DROP || P_W + NP_SHIFT > 62) begin : gen_check_sum
            recurrent_P_W_and_S_W_with_their_shifts_must_be_up_to_62 error_i ();
        end
        if (SEEN_LIFT > 0 && SEEN_DROP > 0) begin : gen_check_seen
            recurrent_SEEN_LIFT_must_be_0_where_SEEN_DROP_is_not error_i ();
        end
    endgenerate

    // half of the lowest bit that is kept, and nothing where none is dropped
    localparam [63:0] PRE_HALF = (64'd1 << PRE_DROP) >> 1;
    localparam signed [63:0] PRE_HIGH = (64'sd1 <<< (PRE_W - 1)) - 64'sd1;
    localparam signed [63:0] PRE_LOW = -(64'sd1 <<< (PRE_W - 1));
    localparam signed [63:0] H_HIGH = (64'sd1 <<< (H_W - 1)) - 64'sd1;
    localparam signed [63:0] H_LOW = -(64'sd1 <<< (H_W - 1));

    wire [S_W-1:0]    sum;
    wire              sum_valid;
    wire              sum_ready;
    wire              first_step;
    wire              send;                // a unit's hidden state leaves, and is part of the next step's vector
    wire [H_W-1:0]    h;
    wire              h_done;              // it is there, from now on until it leaves

    recurrent_sums #(
        .UNITS(UNITS),
        .GATES(GATES),
        .STEPS(STEPS),
        .LANES(LANES),
        .SLICES(SLICES),
        .U_W(U_W),
        .H_W(H_W),
        .W(S_W),
        .FILE(FILE),
        .CHECK(CHECK),
        .XILINX(XILINX)
    ) u_recurrent_sums (
        .clk(clk),
        .rst(rst),
        .m_axis_tdata(sum),
        .m_axis_tvalid(sum_valid),
        .m_axis_tready(sum_ready),
        .h_write(send),
        .h(h),
        .first_step(first_step)
    );

    // the gates of a unit are taken in a burst; who sends them may be slow at one and fast at another
    wire [P_W-1:0]    p;
    wire              p_valid;
    wire              p_ready;

    stream_fifo #(
        .DATA_W(P_W),
        .DEPTH(32)
    ) u_stream_fifo (
        .clk(clk),
        .rst(rst),
        .s_axis_tdata(s_axis_tdata),
        .s_axis_tvalid(s_axis_tvalid),
        .s_axis_tready(s_axis_tready),
        .m_axis_tdata(p),
        .m_axis_tvalid(p_valid),
        .m_axis_tready(p_ready)
    );

    // the gates of a unit are taken as they come, then it is busy until its hidden state has left
    reg  [1:0]        gate_q;
    reg               busy_q;
    reg               waits_q;
    reg               valid_q;
    reg  [H_W-1:0]    data_q;
    reg  [UNIT_W-1:0] unit_q;
    wire              take = sum_valid && p_valid && !busy_q;
    wire              last_gate = gate_q == LAST_GATE[1:0];

    assign p_ready = sum_valid && !busy_q;
    assign sum_ready = p_valid && !busy_q;
    assign send = (h_done || waits_q) && (!valid_q || m_axis_tready);
    assign m_axis_tdata = data_q;
    assign m_axis_tvalid = valid_q;

    always @(posedge clk) begin
        if (rst) begin
            gate_q <= 2'd0;
            busy_q <= 1'b0;
            waits_q <= 1'b0;
            valid_q <= 1'b0;
            unit_q <= 0;
        end else begin
            if (take) gate_q <= last_gate ? 2'd0 : gate_q + 2'd1;
            if (send) busy_q <= 1'b0;
            else if (take && last_gate) busy_q <= 1'b1;
            waits_q <= (h_done || waits_q) && !send;
            if (!valid_q || m_axis_tready) valid_q <= send;
            if (send) unit_q <= (unit_q == LAST_UNIT[UNIT_W-1:0]) ? {UNIT_W{1'b0}} : unit_q + 1'b1;
        end
    end

    always @(posedge clk) begin
        if (send) data_q <= h;
    end

    // stage 0: a gate's sum; stage 1: the gate; stage 2: its function's value. Bit g of a mark says that it is gate g, bit
    // GATES that it is what products made
    wire [GATES:0]    mark_0;
    wire [PRE_W-1:0]  made;                // of products
    wire [PRE_W-1:0]  gate;
    /* verilator lint_off UNUSEDSIGNAL */
    reg  [GATES:0]    mark_1q;             // not every cell looks at each
    wire [GATES:0]    mark_before;         // a clock before a value
    reg  [GATES:0]    mark_2q;
    /* verilator lint_on UNUSEDSIGNAL */
    reg  [GATES-1:0]  mark_0q;             // of a gate
    reg  [TOTAL_W-1:0] total_q;
    reg  [PRE_W-1:0]  pre_q;
    wire              is_tanh;
    wire [T_W-1:0]    value;
    // all on the common grid, and so wide that it holds the sum; what is below PRE_DROP is rounded away
    /* verilator lint_off UNUSEDSIGNAL */
    wire [63:0]       other;               // what is added to a sum
    wire [63:0]       wide_p = {{(64-P_W){(P_SIGNED != 0) && p[P_W-1]}}, p};
    wire [63:0]       wide_sum = {{(64-S_W){sum[S_W-1]}}, sum} << S_SHIFT;
    wire [TOTAL_W-1:0] rounded = total_q + PRE_HALF[TOTAL_W-1:0];
    /* verilator lint_on UNUSEDSIGNAL */

    clamp #(
        .IN_W(TOTAL_W - PRE_DROP),
        .OUT_W(PRE_W),
        .LOW(PRE_LOW),
        .HIGH(PRE_HIGH)
    ) u_gate (
        .x(rounded[TOTAL_W-1:PRE_DROP]),
        .y(gate)
    );

    always @(posedge clk) begin
        total_q <= wide_sum[TOTAL_W-1:0] + other[TOTAL_W-1:0];
    end

    assign mark_0[GATES-1:0] = mark_0q;
    generate
        genvar g;
        for (g = 0; g < GATES; g = g + 1) begin : gen_mark
            always @(posedge clk) begin
                if (rst) mark_0q[g] <= 1'b0;
                else mark_0q[g] <= take && gate_q == g;
            end
        end
        if (READ > 1) begin : gen_mark_before
            reg [GATES:0] mark_q;
            always @(posedge clk) begin
                if (rst) mark_q <= {(GATES+1){1'b0}};
                else mark_q <= mark_1q;
            end
            assign mark_before = mark_q;
        end else begin : gen_mark_at_once
            assign mark_before = mark_1q;
        end
    endgenerate

    always @(posedge clk) begin
        if (rst) begin
            mark_1q <= {(GATES+1){1'b0}};
            mark_2q <= {(GATES+1){1'b0}};
        end else begin
            mark_1q <= mark_0;
            mark_2q <= mark_before;
        end
    end

    always @(posedge clk) begin
        if (mark_0 != {(GATES+1){1'b0}}) pre_q <= mark_0[GATES] ? made : gate;
    end

    wire [TABLE_W-1:0] table_address;
    term_rom #(
        .FILE(TABLE_FILE),
        .DEPTH(1 << TABLE_W),
        .WIDTH(T_W),
        .REGISTERED(READ - 1),
        .CHECK(TABLE_CHECK)
    ) u_table (
        .clk(clk),
        .enable(1'b1),
        .address(table_address),
        .word(value),
        .write(1'b0),
        .write_address({TABLE_W{1'b0}}),
        .write_word({T_W{1'b0}})
    );

    generate
        if (KIND == RNN) begin : gen_rnn
            assign mark_0[GATES] = 1'b0;
            assign made = {PRE_W{1'b0}};
            assign other = wide_p << P_SHIFT;
            assign is_tanh = 1'b1;
            assign table_address = pre_q;
            assign h = value;
            assign h_done = mark_2q[0];
            wire unused = &{1'b0, is_tanh, unit_q, first_step};
        end else begin : gen_products
            localparam WEIGHT_W = ACT_W + 2;
            localparam STATE_X_W = STATE_W + STATE_SHIFT;
            localparam TANH_X_W = T_W + T_SHIFT;
            localparam GATE_X_W = (KIND == GRU) ? PRE_W : 1;
            localparam WIDER = (STATE_X_W > TANH_X_W) ? STATE_X_W : TANH_X_W;
            localparam X_W = (GATE_X_W > WIDER) ? GATE_X_W : WIDER;
            localparam STATES = 1 << UNIT_W;
            localparam HALVES = (KIND == LSTM && STATE_DROP > H_DROP) ? STATE_DROP : H_DROP;
            localparam IMMEDIATE_W = (HALVES > 1) ? HALVES : 1;
            localparam [IMMEDIATE_W:0] ONE = {{IMMEDIATE_W{1'b0}}, 1'b1};

            assign table_address = {is_tanh, pre_q};

            // the state of each unit: c, or h
            wire               state_write;
            wire [STATE_W-1:0] new_state;
            reg  [STATE_W-1:0] state;
            if (STATES <= 64) begin : gen_lutram
                (* ram_style = "distributed" *) reg [STATE_W-1:0] memory [0:STATES-1];
                always @(posedge clk) if (state_write) memory[unit_q] <= new_state;
                always @(posedge clk) begin
                    if (first_step) state <= {STATE_W{1'b0}};
                    else state <= memory[unit_q];
                end
            end else begin : gen_block
                (* ram_style = "block" *) (* no_rw_check *) reg [STATE_W-1:0] memory [0:STATES-1];
                reg [STATE_W-1:0] read_q;
                always @(posedge clk) if (state_write) memory[unit_q] <= new_state;
                always @(posedge clk) read_q <= memory[unit_q];
                always @(posedge clk) begin
                    if (first_step) state <= {STATE_W{1'b0}};
                    else state <= read_q;
                end
            end

            // the multiplier: `begins` with the first product of a sum, `ends` with its last; the sum is there three
            // clocks later, and stays
            wire                begins;
            wire                ends;
            wire                of_h;      // it is the hidden state's sum
            wire                works;
            wire [WEIGHT_W-1:0] weight;    // where it works
            wire [X_W-1:0]      x;
            reg                 first_q;
            reg                 rounds_h_q;
            reg  [2:0]          ends_q;
            reg  [2:0]          of_h_q;
            wire [IMMEDIATE_W-1:0] half;
            /* verilator lint_off UNUSEDSIGNAL */
            wire [M_W-1:0]      products;  // bits that are dropped
            wire [IMMEDIATE_W:0] half_h = (ONE << H_DROP) >> 1;
            wire [WEIGHT_W-1:0] value_weight = {{(WEIGHT_W-T_W){value[T_W-1]}}, value};
            wire [X_W-1:0]      state_x = {{(X_W-STATE_W){state[STATE_W-1]}}, state} << STATE_SHIFT;
            wire [X_W-1:0]      value_x = {{(X_W-T_W){value[T_W-1]}}, value} << T_SHIFT;
            /* verilator lint_on UNUSEDSIGNAL */

            always @(posedge clk) begin
                if (rst) ends_q <= 3'd0;
                else ends_q <= {ends_q[1:0], ends};
            end

            always @(posedge clk) begin
                of_h_q <= {of_h_q[1:0], of_h};
                first_q <= begins;
                rounds_h_q <= of_h;
            end

            wire [WEIGHT_W-1:0] factor = works ? weight : {WEIGHT_W{1'b0}};
            if (SLICES == 0) begin : gen_tables
                // as pe_mac, but what the lower and the upper bits of the weight make is added with the sum
                localparam LOW_W = WEIGHT_W / 2;
                localparam HALF_W = WEIGHT_W - LOW_W + 1 + X_W;
                reg  [WEIGHT_W-1:0]    factor_q;
                reg  [X_W-1:0]         x_q;
                reg                    first_qq;
                reg  [IMMEDIATE_W-1:0] half_q;
                reg  [HALF_W-1:0]      low_q;
                reg  [HALF_W-1:0]      high_q;
                reg  [M_W-1:0]         sum_q;
                wire signed [HALF_W-1:0] low = {{(HALF_W-LOW_W){1'b0}}, factor_q[LOW_W-1:0]};
                wire signed [HALF_W-1:0] high =
                    {{(HALF_W-WEIGHT_W+LOW_W){factor_q[WEIGHT_W-1]}}, factor_q[WEIGHT_W-1:LOW_W]};
                wire signed [HALF_W-1:0] operand = {{(HALF_W-X_W){x_q[X_W-1]}}, x_q};
                wire signed [HALF_W-1:0] low_product = low * operand;
                wire signed [HALF_W-1:0] high_product = high * operand;
                // to M_W bits, as the products, whichever are more
                /* verilator lint_off UNUSEDSIGNAL */
                wire [M_W+HALF_W-1:0]  low_wide = {{M_W{low_q[HALF_W-1]}}, low_q};
                wire [M_W+HALF_W-1:0]  high_wide = {{M_W{high_q[HALF_W-1]}}, high_q} << LOW_W;
                wire [M_W+IMMEDIATE_W-1:0] half_wide = {{M_W{1'b0}}, half_q};
                /* verilator lint_on UNUSEDSIGNAL */
                assign products = sum_q;
                always @(posedge clk) begin
                    factor_q <= factor;
                    x_q <= x;
                    first_qq <= first_q;
                    half_q <= half;
                    low_q <= low_product;
                    high_q <= high_product;
                    sum_q <= (first_qq ? half_wide[M_W-1:0] : sum_q) + low_wide[M_W-1:0] + high_wide[M_W-1:0];
                end
            end else begin : gen_slice
                pe_mac #(
                    .X_W(X_W),
                    .X_SIGNED(1),
                    .WEIGHT_W(WEIGHT_W),
                    .IMMEDIATE_W(IMMEDIATE_W),
                    .W(M_W),
                    .XILINX(XILINX)
                ) u_pe_mac (
                    .clk(clk),
                    .enable(1'b1),
                    .weight(factor),
                    .x(x),
                    .first(first_q),
                    .immediate(first_q ? half : {IMMEDIATE_W{1'b0}}),
                    .sum(products)
                );
            end

            clamp #(
                .IN_W(M_W - H_DROP),
                .OUT_W(H_W),
                .LOW(H_LOW),
                .HIGH(H_HIGH)
            ) u_h (
                .x(products[M_W-1:H_DROP]),
                .y(h)
            );
            assign h_done = ends_q[2] && of_h_q[2];

            if (KIND == LSTM) begin : gen_lstm
                localparam I = 0;
                localparam F = 1;
                localparam G = 2;
                localparam O = 3;
                localparam signed [63:0] STATE_HIGH = (64'sd1 <<< (STATE_W - 1)) - 64'sd1;
                localparam signed [63:0] STATE_LOW = -(64'sd1 <<< (STATE_W - 1));
                localparam SEEN_W = STATE_W + SEEN_LIFT + 1;
                localparam [SEEN_W:0] SEEN_ONE = {{SEEN_W{1'b0}}, 1'b1};
                localparam [SEEN_W:0] SEEN_HALF = (SEEN_ONE << SEEN_DROP) >> 1;
                reg  [ACT_W:0]      i_q;
                reg  [ACT_W:0]      o_q;
                reg  [STATE_W-1:0]  c_q;
                reg                 c_waits_q; // for the last gate
                wire [STATE_W-1:0]  c;
                /* verilator lint_off UNUSEDSIGNAL */
                wire [IMMEDIATE_W:0] half_c = (ONE << STATE_DROP) >> 1;
                wire [SEEN_W-1:0]   seen = ({{(SEEN_LIFT+1){c_q[STATE_W-1]}}, c_q} << SEEN_LIFT) + SEEN_HALF[SEEN_W-1:0];
                /* verilator lint_on UNUSEDSIGNAL */

                assign other = wide_p << P_SHIFT;
                assign is_tanh = mark_1q[G] || mark_1q[GATES];
                assign begins = mark_2q[F] || mark_2q[GATES];
                assign ends = mark_2q[G] || mark_2q[GATES];
                assign of_h = mark_2q[GATES];
                assign works = mark_2q[F] || ends;
                assign half = rounds_h_q ? half_h[IMMEDIATE_W-1:0] : half_c[IMMEDIATE_W-1:0];
                assign weight = mark_2q[G] ? {1'b0, i_q} : mark_2q[GATES] ? {1'b0, o_q} : value_weight;
                assign x = mark_2q[F] ? state_x : value_x;

                clamp #(
                    .IN_W(M_W - STATE_DROP),
                    .OUT_W(STATE_W),
                    .LOW(STATE_LOW),
                    .HIGH(STATE_HIGH)
                ) u_c (
                    .x(products[M_W-1:STATE_DROP]),
                    .y(c)
                );
                clamp #(
                    .IN_W(SEEN_W - SEEN_DROP),
                    .OUT_W(PRE_W),
                    .LOW(PRE_LOW),
                    .HIGH(PRE_HIGH)
                ) u_seen (
                    .x(seen[SEEN_W-1:SEEN_DROP]),
                    .y(made)
                );

                always @(posedge clk) begin
                    if (mark_2q[I]) i_q <= value;
                    if (mark_2q[O]) o_q <= value;
                    if (ends_q[2] && !of_h_q[2]) c_q <= c;
                end
                always @(posedge clk) begin
                    if (rst) c_waits_q <= 1'b0;
                    else c_waits_q <= (ends_q[2] && !of_h_q[2]) || (c_waits_q && !mark_0[GATES]);
                end
                assign mark_0[GATES] = c_waits_q && busy_q && !mark_0q[O];
                assign state_write = mark_0[GATES];
                assign new_state = c_q;
            end else begin : gen_gru
                localparam R = 0;
                localparam Z = 1;
                localparam N = 2;
                localparam [63:0] N_HALF = (64'd1 << N_DROP) >> 1;
                localparam [ACT_W+1:0] WHOLE = {2'b01, {ACT_W{1'b0}}};
                reg  [ACT_W:0]      r_q;
                reg  [ACT_W:0]      z_q;
                reg                 kept_q;    // the product with the state before
                reg  [63:0]         p_q;       // with the half
                wire [BIAS_W-1:0]   bias;
                /* verilator lint_off UNUSEDSIGNAL */
                wire [63:0]         wide_bias = {{(64-BIAS_W){bias[BIAS_W-1]}}, bias};
                wire [63:0]         wide_new = p_q + ({{(64-M_W){products[M_W-1]}}, products} << N_SHIFT);
                wire [X_W-1:0]      pre_x = {{(X_W-PRE_W){pre_q[PRE_W-1]}}, pre_q};
                /* verilator lint_on UNUSEDSIGNAL */

                term_rom #(
                    .FILE(BIAS_FILE),
                    .DEPTH(UNITS),
                    .WIDTH(BIAS_W),
                    .REGISTERED((UNITS > 64) ? 1 : 0),
                    .CHECK(BIAS_CHECK)
                ) u_bias (
                    .clk(clk),
                    .enable(1'b1),
                    .address(unit_q),
                    .word(bias),
                    .write(1'b0),
                    .write_address({UNIT_W{1'b0}}),
                    .write_word({BIAS_W{1'b0}})
                );

                assign other = last_gate ? wide_bias << PRE_DROP : wide_p << P_SHIFT;
                assign is_tanh = mark_1q[GATES];
                assign begins = mark_before[N] || mark_2q[GATES];
                assign ends = mark_before[N] || kept_q;
                assign of_h = mark_2q[GATES] || kept_q;
                assign works = begins || kept_q;
                assign half = rounds_h_q ? half_h[IMMEDIATE_W-1:0] : {IMMEDIATE_W{1'b0}};
                assign weight = mark_before[N] ? {1'b0, r_q} : kept_q ? {1'b0, z_q} : WHOLE - {1'b0, z_q};
                assign x = mark_before[N] ? pre_x : kept_q ? state_x : value_x;

                clamp #(
                    .IN_W(64 - N_DROP),
                    .OUT_W(PRE_W),
                    .LOW(PRE_LOW),
                    .HIGH(PRE_HIGH)
                ) u_new (
                    .x(wide_new[63:N_DROP]),
                    .y(made)
                );

                always @(posedge clk) begin
                    if (mark_2q[R]) r_q <= value;
                    if (mark_2q[Z]) z_q <= value;
                    if (take && last_gate) p_q <= (wide_p << NP_SHIFT) + N_HALF;
                end
                always @(posedge clk) begin
                    if (rst) kept_q <= 1'b0;
                    else kept_q <= mark_2q[GATES];
                end
                assign mark_0[GATES] = ends_q[2] && !of_h_q[2];
                assign state_write = send;
                assign new_state = h;
            end
        end
    endgenerate

endmodule
`default_nettype wire
