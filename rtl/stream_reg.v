// SPDX-License-Identifier: Apache-2.0
//
// Cuts every combinational path of a stream: one word a cycle, one cycle of delay.
//
// Two words deep. `head` drives the output; `skid` catches the word already on its way when the
// output stalls, so s_axis_tready comes straight from a register.
//
// bench: sim/bench_stream_reg.py
`default_nettype none

module stream_reg #(
    parameter DATA_W = 8                // bits in a word
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

    generate
        if (DATA_W < 1) begin : gen_check
            stream_reg_DATA_W_must_be_at_least_1 error_i ();
        end
    endgenerate

    reg [DATA_W-1:0] head_q;
    reg [DATA_W-1:0] skid_q;
    reg              head_valid_q;
    reg              skid_valid_q;

    wire push = s_axis_tvalid && s_axis_tready;
    wire pop = m_axis_tready || !head_valid_q;  // the head may be replaced

    assign s_axis_tready = !skid_valid_q;
    assign m_axis_tdata  = head_q;
    assign m_axis_tvalid = head_valid_q;

    // data: no reset, a word counts only with its valid bit
    always @(posedge clk) begin
        if (pop) head_q <= skid_valid_q ? skid_q : s_axis_tdata;
        if (push && !pop) skid_q <= s_axis_tdata;
    end

    always @(posedge clk) begin
        if (rst) begin
            head_valid_q <= 1'b0;
            skid_valid_q <= 1'b0;
        end else if (pop) begin
            head_valid_q <= skid_valid_q || push;
            skid_valid_q <= 1'b0;
        end else if (push) begin
            skid_valid_q <= 1'b1;
        end
    end

endmodule
`default_nettype wire
