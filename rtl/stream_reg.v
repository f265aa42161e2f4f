// SPDX-License-Identifier: Apache-2.0
//
// Cuts every combinational path of a stream: one word a cycle, one cycle of delay.
//
// Two words deep. `head` drives the output; `skid` catches the word already on its way when the
// output stalls, so s_axis_tready comes straight from a register. With primitives two bits of head's next word are
// chosen in one LUT6_2; both forms are proven equal in tests/test_stream_reg_formal.py.
//
// bench: sim/bench_stream_reg.py
`default_nettype none

module stream_reg #(
    parameter DATA_W = 8,               // bits in a word
    parameter TMR = 0,                  // 1: three copies of each register of control, see voted_reg.v
    parameter XILINX = 0                // primitives: 1 of UltraScale+, 2 of 7 series, which are the same here
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
    wire             head_valid_q;
    wire             skid_valid_q;

    wire push = s_axis_tvalid && s_axis_tready;
    wire pop = m_axis_tready || !head_valid_q;  // the head may be replaced

    assign s_axis_tready = !skid_valid_q;
    assign m_axis_tdata  = head_q;
    assign m_axis_tvalid = head_valid_q;

    wire [DATA_W-1:0] next;
    generate
        if (XILINX != 0) begin : gen_primitives
            genvar i;
            for (i = 0; i < DATA_W; i = i + 2) begin : gen_pair
                wire high_bit;
                LUT6_2 #(
                    .INIT(64'hFF00F0F0_CCCCAAAA)
                ) lut_i (
                    .I0(s_axis_tdata[i]),
                    .I1(skid_q[i]),
                    .I2((i + 1 < DATA_W) ? s_axis_tdata[i+1] : 1'b0),
                    .I3((i + 1 < DATA_W) ? skid_q[i+1] : 1'b0),
                    .I4(skid_valid_q),
                    .I5(1'b1),
                    .O5(next[i]),
                    .O6(high_bit)
                );
                if (i + 1 < DATA_W) begin : gen_high
                    assign next[i+1] = high_bit;
                end
            end
        end else begin : gen_behavioural
            assign next = skid_valid_q ? skid_q : s_axis_tdata;
        end
    endgenerate

    // data: no reset, a word counts only with its valid bit
    always @(posedge clk) begin
        if (pop) head_q <= next;
        if (push && !pop) skid_q <= s_axis_tdata;
    end

    voted_reg #(
        .TMR(TMR)
    ) u_head (
        .clk(clk),
        .rst(rst),
        .enable(pop),
        .d(skid_valid_q || push),
        .q(head_valid_q)
    );
    voted_reg #(
        .TMR(TMR)
    ) u_skid (
        .clk(clk),
        .rst(rst),
        .enable(pop || push),
        .d(!pop),
        .q(skid_valid_q)
    );

endmodule
`default_nettype wire
