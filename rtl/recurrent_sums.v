// SPDX-License-Identifier: Apache-2.0
//
// The sums of a matrix times a vector that is made of them: for each time step, GATES sums for each of UNITS words of
// the vector, and then these words, of which the next step's sums are made.
//
// FILE is the matrix, signed weights, row by row, LANES rows in step: word r * UNITS + k holds column k of the rows
// r * LANES ... r * LANES + LANES - 1, the first in the lowest bits. The sums leave in the order of the rows. Whoever
// takes them writes the UNITS words of the new vector, in order, one with each `h_write`; with the last one the next
// step begins. At the first of STEPS the vector is zero, whatever was written: `first_step` says so.
//
// bench: sim/bench_recurrent_sums.py
`default_nettype none

module recurrent_sums #(
    parameter UNITS = 4,             // words of the vector, columns of the matrix
    parameter GATES = 4,             // sums for each word
    parameter STEPS = 4,             // time steps of a frame
    parameter LANES = 1,             // rows in step; divides UNITS * GATES
    parameter SLICES = 0,            // lanes of a DSP slice, 1 or 2, where XILINX is 1; 0: lanes are in LUTs
    parameter U_W = 8,               // bits of a weight, two's complement, at most 26
    parameter H_W = 8,               // bits of a word of the vector, two's complement, 2 to 18
    parameter W = 18,                // bits of a sum, two's complement, at most 48
    parameter FILE = "",             // $readmemh file, relative to the directory that the tool runs in
    parameter CHECK = 0,             // see term_rom.v
    parameter XILINX = 0             // primitives of a device family, see pe_mac.v
) (
    input  wire           clk,
    input  wire           rst,             // synchronous, active high

    output wire [W-1:0]   m_axis_tdata,
    output wire           m_axis_tvalid,
    input  wire           m_axis_tready,

    input  wire           h_write,
    input  wire [H_W-1:0] h,
    output wire           first_step
);

    localparam DEPTH = UNITS * GATES / LANES * UNITS;
    localparam ADDRESS_W = (DEPTH > 1) ? $clog2(DEPTH) : 1;
    localparam LAST_ADDRESS = DEPTH - 1;
    localparam K_W = (UNITS > 1) ? $clog2(UNITS) : 1;
    localparam LAST_K = UNITS - 1;
    localparam STEP_W = (STEPS > 1) ? $clog2(STEPS) : 1;
    localparam LAST_STEP = STEPS - 1;
    localparam WORDS = 2 << K_W;
    // clocks that factors are read for: two where one of them comes from block RAM, which has a register behind it
    localparam READ = (DEPTH > 64 || WORDS > 64) ? 2 : 1;

    generate
        if (UNITS < 1 || GATES < 1 || STEPS < 1) begin : gen_check_shape
            recurrent_sums_UNITS_GATES_and_STEPS_must_be_at_least_1 error_i ();
        end
        if (LANES < 1 || UNITS * GATES % LANES != 0) begin : gen_check_lanes
            recurrent_sums_LANES_must_divide_UNITS_times_GATES error_i ();
        end
        if (H_W < 2 || H_W > 18) begin : gen_check_h
            recurrent_sums_H_W_must_be_2_to_18 error_i ();
        end
    endgenerate

    wire                 enable;

    // stage 1: which product is next
    reg  [ADDRESS_W-1:0] address_q;
    reg  [K_W-1:0]       k_q;
    reg                  running_q;
    reg                  bank_q;           // of the vector that is read
    reg  [K_W-1:0]       write_q;
    reg  [STEP_W-1:0]    step_q;
    wire                 issue = enable && running_q;
    wire                 last_k = k_q == LAST_K[K_W-1:0];
    wire                 last = address_q == LAST_ADDRESS[ADDRESS_W-1:0];
    wire                 step_ends = h_write && write_q == LAST_K[K_W-1:0];

    assign first_step = step_q == {STEP_W{1'b0}};

    always @(posedge clk) begin
        if (rst) begin
            address_q <= 0;
            k_q <= 0;
            running_q <= 1'b1;
        end else begin
            if (issue) address_q <= last ? {ADDRESS_W{1'b0}} : address_q + 1'b1;
            if (issue) k_q <= last_k ? {K_W{1'b0}} : k_q + 1'b1;
            if (step_ends) running_q <= 1'b1;
            else if (issue && last) running_q <= 1'b0;
        end
    end

    always @(posedge clk) begin
        if (rst) begin
            bank_q <= 1'b0;
            write_q <= 0;
            step_q <= 0;
        end else begin
            if (h_write) write_q <= step_ends ? {K_W{1'b0}} : write_q + 1'b1;
            if (step_ends) bank_q <= !bank_q;
            if (step_ends) step_q <= (step_q == LAST_STEP[STEP_W-1:0]) ? {STEP_W{1'b0}} : step_q + 1'b1;
        end
    end

    // the factors: in a first step the vector is zero
    wire [LANES*U_W-1:0] read_weights;
    wire [LANES*U_W-1:0] weights;
    reg  [H_W-1:0]       word_q;

    term_rom #(
        .FILE(FILE),
        .DEPTH(DEPTH),
        .WIDTH(LANES * U_W),
        .REGISTERED((DEPTH > 64) ? 1 : 0),
        .CHECK(CHECK)
    ) u_term_rom (
        .clk(clk),
        .enable(enable),
        .address(address_q),
        .word(read_weights),
        .write(1'b0),
        .write_address({ADDRESS_W{1'b0}}),
        .write_word({(LANES*U_W){1'b0}})
    );

    generate
        if (READ > 1) begin : gen_read
            reg [H_W-1:0] read_q;
            reg           zero_q;
            always @(posedge clk) begin
                if (enable) begin
                    zero_q <= first_step;
                    if (zero_q) word_q <= {H_W{1'b0}};
                    else word_q <= read_q;
                end
            end
            if (WORDS > 64) begin : gen_block
                (* ram_style = "block" *) (* no_rw_check *) reg [H_W-1:0] memory [0:WORDS-1];
                always @(posedge clk) if (h_write) memory[{!bank_q, write_q}] <= h;
                always @(posedge clk) if (enable) read_q <= memory[{bank_q, k_q}];
            end else begin : gen_lutram
                (* ram_style = "distributed" *) reg [H_W-1:0] memory [0:WORDS-1];
                always @(posedge clk) if (h_write) memory[{!bank_q, write_q}] <= h;
                always @(posedge clk) if (enable) read_q <= memory[{bank_q, k_q}];
            end
            if (DEPTH > 64) begin : gen_in_time
                assign weights = read_weights;
            end else begin : gen_early
                reg [LANES*U_W-1:0] weights_q;
                always @(posedge clk) if (enable) weights_q <= read_weights;
                assign weights = weights_q;
            end
        end else begin : gen_at_once
            (* ram_style = "distributed" *) reg [H_W-1:0] memory [0:WORDS-1];
            always @(posedge clk) if (h_write) memory[{!bank_q, write_q}] <= h;
            always @(posedge clk) begin
                if (enable) begin
                    if (first_step) word_q <= {H_W{1'b0}};
                    else word_q <= memory[{bank_q, k_q}];
                end
            end
            assign weights = read_weights;
        end
    endgenerate

    reg  [READ-1:0] valid_q;               // of the factors
    reg  [READ-1:0] last_q;
    reg        fresh_q;                    // the next product begins a sum
    /* verilator lint_off UNUSEDSIGNAL */
    wire [READ:0] valid_d = {valid_q, issue};
    wire [READ:0] last_d = {last_q, issue && last_k};
    /* verilator lint_on UNUSEDSIGNAL */
    wire       ends;
    wire       full;

    // the whole pipeline holds while finished sums find those before not sent
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

    wire [LANES*W-1:0] sums;
    product_sums #(
        .LANES(LANES),
        .SLICES(SLICES),
        .A_W(H_W),
        .B_W(U_W),
        .W(W),
        .XILINX(XILINX)
    ) u_product_sums (
        .clk(clk),
        .rst(rst),
        .enable(enable),
        .a(word_q),
        .b(weights),
        .first(fresh_q),
        .last(last_q[READ-1]),
        .sums(sums),
        .done(ends)
    );

    serializer #(
        .LANES(LANES),
        .W(W)
    ) u_serializer (
        .clk(clk),
        .rst(rst),
        .load(ends && !full),
        .is_short(1'b0),
        .sums(sums),
        .full(full),
        .m_axis_tdata(m_axis_tdata),
        .m_axis_tvalid(m_axis_tvalid),
        .m_axis_tready(m_axis_tready)
    );

endmodule
`default_nettype wire
