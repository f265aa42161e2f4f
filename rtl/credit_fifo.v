// SPDX-License-Identifier: Apache-2.0
//
// Holds what leaves a pipeline that never stops, and says when something may enter it.
//
// What is in the pipeline and what waits behind it is DEPTH results at most, so that each finds room when it is done. The
// pipeline needs no enable, which would be one signal for all of its registers, and `room` is a register: what stands
// still here stops nothing in the same clock. A result is sent two clocks after it came. One enters each clock if DEPTH is
// at least four more than the clocks from `room` to `result_valid`.
//
// bench: sim/bench_credit_fifo.py
`default_nettype none

module credit_fifo #(
    parameter DATA_W = 8,               // bits of a result
    parameter DEPTH = 16,               // results in the pipeline and behind it: a power of two, 4 or more
    parameter AHEAD = 0                 // clocks from `room` to what enters by it, below DEPTH - 1
) (
    input  wire              clk,
    input  wire              rst,       // synchronous, active high

    // the pipeline's ends
    output wire              room,      // something may enter, AHEAD clocks later
    input  wire              enters,    // it does: only where there was room
    input  wire [DATA_W-1:0] result,
    input  wire              result_valid,

    // results out
    output wire [DATA_W-1:0] m_axis_tdata,
    output wire              m_axis_tvalid,
    input  wire              m_axis_tready
);

    localparam ADDR_W = $clog2(DEPTH);
    localparam FULL = DEPTH - 1 - AHEAD;  // with those that are to enter, and one that does now, there is no room

    generate
        if (DATA_W < 1) begin : gen_check_data
            credit_fifo_DATA_W_must_be_at_least_1 error_i ();
        end
        if (AHEAD > DEPTH - 2) begin : gen_check_ahead
            credit_fifo_AHEAD_must_be_below_DEPTH_less_one error_i ();
        end
        if (DEPTH < 4 || DEPTH != 1 << ADDR_W) begin : gen_check_depth
            credit_fifo_DEPTH_must_be_a_power_of_two_from_4_on error_i ();
        end
    endgenerate

    reg  [ADDR_W:0]   count_q;          // that entered and were not read two clocks ago
    reg               room_q;
    reg               read_q;           // one was, in the last clock
    reg  [ADDR_W:0]   write_place_q;    // one bit more than an address: equal places are no words
    reg  [ADDR_W:0]   read_place_q;
    reg  [DATA_W-1:0] head_q;
    reg               head_valid_q;

    wire free = m_axis_tready || !head_valid_q;  // the head may be replaced
    wire read = free && write_place_q != read_place_q;

    assign room = room_q;
    assign m_axis_tdata = head_q;
    assign m_axis_tvalid = head_valid_q;

    (* ram_style = "distributed" *) (* no_rw_check *)
    reg [DATA_W-1:0] memory [0:DEPTH-1];
    always @(posedge clk) begin
        if (result_valid) memory[write_place_q[ADDR_W-1:0]] <= result;
        if (free) head_q <= memory[read_place_q[ADDR_W-1:0]];
    end

    always @(posedge clk) begin
        if (rst) begin
            count_q       <= {(ADDR_W + 1){1'b0}};
            room_q        <= 1'b0;
            read_q        <= 1'b0;
            write_place_q <= {(ADDR_W + 1){1'b0}};
            read_place_q  <= {(ADDR_W + 1){1'b0}};
            head_valid_q  <= 1'b0;
        end else begin
            read_q <= read;
            room_q <= count_q < FULL[ADDR_W:0];
            if (enters != read_q) count_q <= count_q + {{ADDR_W{read_q}}, 1'b1};  // down or up
            if (result_valid) write_place_q <= write_place_q + 1'b1;
            if (read) read_place_q <= read_place_q + 1'b1;
            if (free) head_valid_q <= read;
        end
    end

endmodule
`default_nettype wire
