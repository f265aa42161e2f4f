// SPDX-License-Identifier: Apache-2.0
// Simulation only: holds a stream up at random, in keeping with the handshake: once a word is shown it stays shown.
//
// Each clock the stream is shut with a chance of chance / 65536. The random numbers are xorshift32, the same on every simulator.
`default_nettype none

module stream_stall #(
    parameter DATA_W = 8,
    parameter [31:0] SEED = 1        // other than 0
) (
    input  wire              clk,
    input  wire              rst,
    input  wire [16:0]       chance,
    input  wire [DATA_W-1:0] s_axis_tdata,
    input  wire              s_axis_tvalid,
    output wire              s_axis_tready,
    output wire [DATA_W-1:0] m_axis_tdata,
    output wire              m_axis_tvalid,
    input  wire              m_axis_tready
);

    reg [31:0] random;
    reg        open_q;

    always @(posedge clk) begin
        if (rst) begin
            random = SEED;
            open_q <= 1'b0;
        end else begin
            // blocking: three steps of one number, read nowhere else
            random = random ^ (random << 13);
            random = random ^ (random >> 17);
            random = random ^ (random << 5);
            open_q <= ({1'b0, random[15:0]} >= chance) || (m_axis_tvalid && !m_axis_tready);
        end
    end

    assign m_axis_tdata = s_axis_tdata;
    assign m_axis_tvalid = s_axis_tvalid && open_q;
    assign s_axis_tready = m_axis_tready && open_q;

endmodule
