// SPDX-License-Identifier: Apache-2.0
//
// The sums of a matrix over the neurons that spiked in the step before: for each step UNITS sums, and then as many
// spikes, of which the next step's sums are made.
//
// FILE is the matrix, signed weights, row by row, LANES rows in step: word r * UNITS + k holds column k of the rows
// r * LANES ... r * LANES + LANES - 1, the first in the lowest bits. The sums leave in the order of the rows. Whoever
// takes them gives the UNITS spikes of the step, in order, one with each `spike_write`; with the last one the next step
// begins. Those that are 1 are noted in a list, and only their columns are read: a row takes a clock for each, one if
// there is none. At the first of STEPS there are no spikes, whatever was written.
//
// bench: sim/bench_spike_sums.py
`default_nettype none

module spike_sums #(
    parameter UNITS = 4,             // neurons: rows and columns of the matrix
    parameter STEPS = 4,             // steps of a sample
    parameter LANES = 1,             // rows in step; divides UNITS
    parameter U_W = 8,               // bits of a weight, two's complement, at least 2
    parameter W = 10,                // bits of a sum, two's complement, at least U_W
    parameter FILE = "",             // $readmemh file, relative to the directory that the tool runs in
    parameter CHECK = 0              // see term_rom.v
) (
    input  wire         clk,
    input  wire         rst,         // synchronous, active high

    output wire [W-1:0] m_axis_tdata,
    output wire         m_axis_tvalid,
    input  wire         m_axis_tready,

    input  wire         spike_write,
    input  wire         spike
);

    localparam DEPTH = UNITS / LANES * UNITS;
    localparam ADDRESS_W = (DEPTH > 1) ? $clog2(DEPTH) : 1;
    localparam K_W = (UNITS > 1) ? $clog2(UNITS) : 1;
    localparam LAST_K = UNITS - 1;
    localparam LAST_BASE = DEPTH - UNITS;
    localparam STEP_W = (STEPS > 1) ? $clog2(STEPS) : 1;
    localparam LAST_STEP = STEPS - 1;
    localparam WORDS = 2 << K_W;
    localparam READ = (DEPTH > 64) ? 2 : 1;    // clocks from an address to its word, see term_rom.v

    generate
        if (UNITS < 1 || STEPS < 1) begin : gen_check_shape
            spike_sums_UNITS_and_STEPS_must_be_at_least_1 error_i ();
        end
        if (LANES < 1 || UNITS % LANES != 0) begin : gen_check_lanes
            spike_sums_LANES_must_divide_UNITS error_i ();
        end
        if (U_W < 2 || W < U_W) begin : gen_check_w
            spike_sums_U_W_must_be_2_to_W error_i ();
        end
    endgenerate

    wire                 enable;

    // the spikes of this step, into the list of the next one
    reg  [K_W-1:0]       write_q;
    reg  [K_W-1:0]       fill_q;               // entries of that list
    reg  [STEP_W-1:0]    step_q;
    reg                  bank_q;               // of the list that is read
    wire                 noted = spike_write && spike;
    wire                 step_ends = spike_write && write_q == LAST_K[K_W-1:0];
    wire                 sample_ends = step_q == LAST_STEP[STEP_W-1:0];
    wire                 nothing = sample_ends || !(spike || |fill_q);
    wire [K_W-1:0]       last_entry = noted ? fill_q : fill_q - 1'b1;

    always @(posedge clk) begin
        if (rst) begin
            write_q <= {K_W{1'b0}};
            fill_q  <= {K_W{1'b0}};
            step_q  <= {STEP_W{1'b0}};
            bank_q  <= 1'b0;
        end else if (spike_write) begin
            write_q <= step_ends ? {K_W{1'b0}} : write_q + 1'b1;
            fill_q  <= step_ends ? {K_W{1'b0}} : spike ? fill_q + 1'b1 : fill_q;
            if (step_ends) begin
                step_q <= sample_ends ? {STEP_W{1'b0}} : step_q + 1'b1;
                bank_q <= !bank_q;
            end
        end
    end

    (* ram_style = "distributed" *) (* no_rw_check *) reg [K_W-1:0] list [0:WORDS-1];
    always @(posedge clk) begin
        if (noted) list[{!bank_q, fill_q}] <= write_q;
    end

    // which weight is next
    reg  [ADDRESS_W-1:0] base_q;               // of the rows
    reg  [K_W-1:0]       i_q;                  // entry of the list
    reg  [K_W-1:0]       last_i_q;
    reg                  none_q;               // the list is empty
    reg                  running_q;
    wire                 issue = enable && running_q;
    wire                 row_ends = i_q == last_i_q;
    wire                 rows_end = row_ends && base_q == LAST_BASE[ADDRESS_W-1:0];

    always @(posedge clk) begin
        if (rst) begin
            base_q    <= {ADDRESS_W{1'b0}};
            i_q       <= {K_W{1'b0}};
            last_i_q  <= {K_W{1'b0}};
            none_q    <= 1'b1;
            running_q <= 1'b1;
        end else begin
            if (issue) i_q <= row_ends ? {K_W{1'b0}} : i_q + 1'b1;
            if (issue && row_ends) base_q <= rows_end ? {ADDRESS_W{1'b0}} : base_q + UNITS[ADDRESS_W-1:0];
            if (step_ends) begin
                running_q <= 1'b1;
                none_q    <= nothing;
                last_i_q  <= nothing ? {K_W{1'b0}} : last_entry;
            end else if (issue && rows_end) begin
                running_q <= 1'b0;
            end
        end
    end

    // its address
    reg  [K_W-1:0]       k_q;
    reg  [ADDRESS_W-1:0] base_1q;
    wire [LANES*U_W-1:0] word;
    /* verilator lint_off UNUSEDSIGNAL */
    wire [31:0]          address_wide = {{(32-ADDRESS_W){1'b0}}, base_1q} + {{(32-K_W){1'b0}}, k_q};
    /* verilator lint_on UNUSEDSIGNAL */

    always @(posedge clk) begin
        if (enable) k_q <= list[{bank_q, i_q}];
        if (enable) base_1q <= base_q;
    end

    term_rom #(
        .FILE(FILE),
        .DEPTH(DEPTH),
        .WIDTH(LANES * U_W),
        .REGISTERED(READ - 1),
        .CHECK(CHECK)
    ) u_term_rom (
        .clk(clk),
        .enable(enable),
        .address(address_wide[ADDRESS_W-1:0]),
        .word(word),
        .write(1'b0),
        .write_address({ADDRESS_W{1'b0}}),
        .write_word({(LANES*U_W){1'b0}})
    );

    // what goes beside the address and the word
    reg  [READ:0]        valid_q;
    reg  [READ:0]        ends_q;
    reg  [READ:0]        empty_q;
    /* verilator lint_off UNUSEDSIGNAL */
    wire [READ+1:0]      valid_d = {valid_q, issue};
    wire [READ+1:0]      ends_d = {ends_q, row_ends};
    wire [READ+1:0]      empty_d = {empty_q, none_q};
    /* verilator lint_on UNUSEDSIGNAL */
    reg                  fresh_q;              // the next weight begins a sum
    reg                  done_q;               // a sum is whole
    reg  [LANES*W-1:0]   sums_q;
    wire                 full;

    // the whole pipeline holds while finished sums find those before not sent
    assign enable = !(done_q && full);

    always @(posedge clk) begin
        if (rst) begin
            valid_q <= {(READ+1){1'b0}};
            done_q  <= 1'b0;
            fresh_q <= 1'b1;
        end else if (enable) begin
            valid_q <= valid_d[READ:0];
            done_q  <= valid_q[READ] && ends_q[READ];
            if (valid_q[READ]) fresh_q <= ends_q[READ];
        end
    end
    always @(posedge clk) begin
        if (enable) ends_q <= ends_d[READ:0];
        if (enable) empty_q <= empty_d[READ:0];
    end

    generate
        genvar l;
        for (l = 0; l < LANES; l = l + 1) begin : gen_lane
            wire [U_W-1:0] weight = word[l*U_W +: U_W];
            wire [W-1:0]   kept = sums_q[l*W +: W] & {W{!fresh_q}};
            wire [W-1:0]   addend = {{(W-U_W+1){weight[U_W-1]}}, weight[U_W-2:0]} & {W{!empty_q[READ]}};
            always @(posedge clk) begin
                if (enable && valid_q[READ]) sums_q[l*W +: W] <= kept + addend;
            end
        end
    endgenerate

    serializer #(
        .LANES(LANES),
        .W(W)
    ) u_serializer (
        .clk(clk),
        .rst(rst),
        .load(done_q && !full),
        .is_short(1'b0),
        .sums(sums_q),
        .full(full),
        .m_axis_tdata(m_axis_tdata),
        .m_axis_tvalid(m_axis_tvalid),
        .m_axis_tready(m_axis_tready)
    );

endmodule
`default_nettype wire
