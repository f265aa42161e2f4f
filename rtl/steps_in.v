// SPDX-License-Identifier: Apache-2.0
//
// A frame of BEATS beats as up to STEPS time steps, one after the other, until `over` says that its sample has ended.
//
// A memory holds two frames, one that comes while the other is sent. The next sample begins behind `over` alone, which
// also ends the frame that is being sent: whatever it has gone to is to be reset in the same clock. So what is between
// this and the module that gives `over` holds of one sample only.
//
// bench: sim/bench_steps_in.py
`default_nettype none

module steps_in #(
    parameter W = 8,                 // bits of a beat
    parameter BEATS = 4,             // of a frame
    parameter STEPS = 5,             // times that a frame is sent at most
    parameter RAM = 0                // 1: block RAM, 0: LUT RAM
) (
    input  wire         clk,
    input  wire         rst,         // synchronous, active high
    input  wire         over,        // the sample has ended, for a clock

    input  wire [W-1:0] s_axis_tdata,
    input  wire         s_axis_tvalid,
    output wire         s_axis_tready,

    output wire [W-1:0] m_axis_tdata,
    output wire         m_axis_tvalid,
    input  wire         m_axis_tready
);

    localparam DEPTH = 2 * BEATS;
    localparam A_W = $clog2(DEPTH);
    localparam T_W = $clog2(STEPS + 1);
    localparam LAST_FIRST = BEATS - 1;             // the last place of the first half
    localparam LAST = DEPTH - 1;

    generate
        if (BEATS < 1 || STEPS < 1) begin : gen_check
            steps_in_BEATS_and_STEPS_must_be_at_least_1 error_i ();
        end
    endgenerate

    reg  [1:0]     frames_q;         // whole ones in the memory
    reg  [A_W-1:0] write_q;
    reg  [A_W-1:0] read_q;
    reg            half_q;           // of the frame that is sent
    reg  [T_W-1:0] left_q;           // times that it is still to be sent
    reg            valid_q;
    reg  [W-1:0]   word_q;

    wire           beat = s_axis_tvalid && s_axis_tready;
    wire           fills = beat && (write_q == LAST_FIRST[A_W-1:0] || write_q == LAST[A_W-1:0]);
    wire           free = m_axis_tready || !valid_q;
    wire           next;             // a place may be read
    wire           read = next && frames_q != 2'd0 && left_q != 0;
    wire           read_valid;       // what is read comes to the output's register
    wire [A_W-1:0] first = half_q ? BEATS[A_W-1:0] : {A_W{1'b0}};
    wire [A_W-1:0] first_other = half_q ? {A_W{1'b0}} : BEATS[A_W-1:0];
    wire           ends = read_q == (half_q ? LAST[A_W-1:0] : LAST_FIRST[A_W-1:0]);

    assign s_axis_tready = !frames_q[1];
    assign m_axis_tvalid = valid_q;
    assign m_axis_tdata = word_q;

    always @(posedge clk) begin
        if (rst) begin
            frames_q <= 2'd0;
            write_q  <= {A_W{1'b0}};
            read_q   <= {A_W{1'b0}};
            half_q   <= 1'b0;
            left_q   <= STEPS[T_W-1:0];
            valid_q  <= 1'b0;
        end else begin
            if (fills != over) frames_q <= fills ? frames_q + 2'd1 : frames_q - 2'd1;
            if (beat) write_q <= write_q == LAST[A_W-1:0] ? {A_W{1'b0}} : write_q + 1'b1;
            if (over) begin
                half_q  <= !half_q;
                read_q  <= first_other;
                left_q  <= STEPS[T_W-1:0];
                valid_q <= 1'b0;
            end else begin
                if (read) begin
                    read_q <= ends ? first : read_q + 1'b1;
                    if (ends) left_q <= left_q - 1'b1;
                end
                if (free) valid_q <= read_valid;
            end
        end
    end

    // a frame is sent when it is whole: no place is read and written in one clock
    generate
        if (RAM != 0) begin : gen_block
            (* ram_style = "block" *) (* no_rw_check *) reg [W-1:0] memory [0:DEPTH-1];
            reg [W-1:0] read_word_q;
            reg         read_valid_q;
            assign next = free || !read_valid_q;
            assign read_valid = read_valid_q;
            always @(posedge clk) begin
                if (rst || over) read_valid_q <= 1'b0;
                else if (next) read_valid_q <= read;
            end
            always @(posedge clk) begin
                if (beat) memory[write_q] <= s_axis_tdata;
                if (next) read_word_q <= memory[read_q];
                if (free) word_q <= read_word_q;
            end
        end else begin : gen_luts
            (* ram_style = "distributed" *) (* no_rw_check *) reg [W-1:0] memory [0:DEPTH-1];
            assign next = free;
            assign read_valid = read;
            always @(posedge clk) begin
                if (beat) memory[write_q] <= s_axis_tdata;
                if (free) word_q <= memory[read_q];
            end
        end
    endgenerate

endmodule
`default_nettype wire
