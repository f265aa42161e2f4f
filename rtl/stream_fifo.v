// SPDX-License-Identifier: Apache-2.0
//
// Holds up to DEPTH + 1 words of a stream: one word in and one out every cycle, in order.
//
// DEPTH words lie in a memory, the oldest one in the output register: a word appears two cycles after it came. Of
// block RAM that register is a second one behind the RAM's read, one word more, and a word appears three cycles after.
// The level is kept less one, so its sign says empty and its other bits address the shift register.
// s_axis_tready comes from registers alone. The memory is a shift register up to DEPTH 64 (a LUT for 32 bits
// and no pointers: smaller than LUT RAM for narrow words), block RAM or LUT RAM above.
//
// bench: sim/bench_stream_fifo.py
`default_nettype none

module stream_fifo #(
    parameter DATA_W = 8,               // bits in a word
    parameter DEPTH  = 16,              // words in the memory, 2 or more
    parameter BLOCK  = 0,               // above DEPTH 64: 1 block RAM, 0 LUT RAM
    parameter TMR    = 0                // 1: three copies of each register of control, see voted_reg.v
) (
    input  wire              clk,
    input  wire              rst,       // synchronous, active high

    // words in
    input  wire [DATA_W-1:0] s_axis_tdata,
    input  wire              s_axis_tvalid,
    output wire              s_axis_tready,

    // words out
    output wire [DATA_W-1:0] m_axis_tdata,
    output wire              m_axis_tvalid,
    input  wire              m_axis_tready
);

    localparam ADDR_W = $clog2(DEPTH);
    localparam LAST = DEPTH - 1;

    generate
        if (DATA_W < 1) begin : gen_check_data
            stream_fifo_DATA_W_must_be_at_least_1 error_i ();
        end
        if (DEPTH < 2) begin : gen_check_depth
            stream_fifo_DEPTH_must_be_at_least_2 error_i ();
        end
    endgenerate

    wire [ADDR_W:0]   level_q;          // words in the memory, less one
    reg  [DATA_W-1:0] head_q;
    wire              head_valid_q;

    wire push = s_axis_tvalid && s_axis_tready;
    wire free = m_axis_tready || !head_valid_q;  // the head may be replaced
    wire read_valid;                             // by a word that was read before
    wire next;                                   // another one may be read
    wire pop  = next && !level_q[ADDR_W];

    assign s_axis_tready = level_q != LAST[ADDR_W:0];
    assign m_axis_tdata  = head_q;
    assign m_axis_tvalid = head_valid_q;

    wire [ADDR_W:0]   level_d = level_q + {{ADDR_W{pop}}, 1'b1};  // down or up
    voted_reg #(
        .W(ADDR_W + 1),
        .RESET({(ADDR_W+1){1'b1}}),
        .TMR(TMR)
    ) u_level (
        .clk(clk),
        .rst(rst),
        .enable(push != pop),
        .d(level_d),
        .q(level_q)
    );
    voted_reg #(
        .TMR(TMR)
    ) u_head (
        .clk(clk),
        .rst(rst),
        .enable(free),
        .d(read_valid),
        .q(head_valid_q)
    );

    generate
        if (DEPTH > 64 && BLOCK != 0) begin : gen_ahead
            wire read_valid_q;
            assign next = free || !read_valid_q;
            assign read_valid = read_valid_q;
            voted_reg #(
                .TMR(TMR)
            ) u_read (
                .clk(clk),
                .rst(rst),
                .enable(next),
                .d(pop),
                .q(read_valid_q)
            );
        end else begin : gen_at_once
            assign next = free;
            assign read_valid = pop;
        end
        if (DEPTH <= 64) begin : gen_shift
            genvar i;
            for (i = 0; i < DATA_W; i = i + 1) begin : gen_bit
                reg [DEPTH-1:0] shift_q;
                always @(posedge clk) begin
                    if (push) shift_q <= {shift_q[DEPTH-2:0], s_axis_tdata[i]};
                end
                always @(posedge clk) begin
                    if (free) head_q[i] <= shift_q[level_q[ADDR_W-1:0]];
                end
            end
        end else begin : gen_memory
            wire [ADDR_W-1:0] write_q;
            wire [ADDR_W-1:0] read_q;
            wire [ADDR_W-1:0] write_d = write_q == LAST[ADDR_W-1:0] ? {ADDR_W{1'b0}} : write_q + 1'b1;
            wire [ADDR_W-1:0] read_d = read_q == LAST[ADDR_W-1:0] ? {ADDR_W{1'b0}} : read_q + 1'b1;

            voted_reg #(
                .W(ADDR_W),
                .TMR(TMR)
            ) u_write_place (
                .clk(clk),
                .rst(rst),
                .enable(push),
                .d(write_d),
                .q(write_q)
            );
            voted_reg #(
                .W(ADDR_W),
                .TMR(TMR)
            ) u_read_place (
                .clk(clk),
                .rst(rst),
                .enable(pop),
                .d(read_d),
                .q(read_q)
            );

            // never read and written at one address in one cycle: an empty memory is not read
            if (BLOCK != 0) begin : gen_block
                (* ram_style = "block" *) (* no_rw_check *)
                reg [DATA_W-1:0] memory [0:DEPTH-1];
                reg [DATA_W-1:0] word_q;
                always @(posedge clk) begin
                    if (push) memory[write_q] <= s_axis_tdata;
                    if (next) word_q <= memory[read_q];
                    if (free) head_q <= word_q;
                end
            end else begin : gen_luts
                (* ram_style = "distributed" *) (* no_rw_check *)
                reg [DATA_W-1:0] memory [0:DEPTH-1];
                always @(posedge clk) begin
                    if (push) memory[write_q] <= s_axis_tdata;
                    if (free) head_q <= memory[read_q];
                end
            end
        end
    endgenerate

endmodule
`default_nettype wire
