// SPDX-License-Identifier: Apache-2.0
//
// Takes LANES sums at once and sends them one a beat, lane 0 first; `is_short` leaves the last lane out.
//
// `full` says that a further load would overwrite; it falls in the cycle in which the last beat leaves, so loads can
// come every LANES cycles. The sums are held as they came: data registers, no reset.
//
// bench: sim/bench_serializer.py
`default_nettype none

module serializer #(
    parameter LANES = 4,             // sums of a load
    parameter W = 8                  // bits of a sum
) (
    input  wire               clk,
    input  wire               rst,

    input  wire               load,
    /* verilator lint_off UNUSEDSIGNAL */
    input  wire               is_short,      // a single lane is never short
    /* verilator lint_on UNUSEDSIGNAL */
    input  wire [LANES*W-1:0] sums,
    output wire               full,

    output wire [W-1:0]       m_axis_tdata,
    output wire               m_axis_tvalid,
    input  wire               m_axis_tready
);

    generate
        if (LANES < 1) begin : gen_check_lanes
            serializer_LANES_must_be_at_least_1 error_i ();
        end
        if (W < 1) begin : gen_check_w
            serializer_W_must_be_at_least_1 error_i ();
        end
    endgenerate

    reg [LANES*W-1:0] sums_q;
    reg               busy_q;
    wire              leaves;         // the last beat of this load

    always @(posedge clk) begin
        if (load) sums_q <= sums;
    end

    always @(posedge clk) begin
        if (rst) busy_q <= 1'b0;
        else if (load) busy_q <= 1'b1;
        else if (leaves) busy_q <= 1'b0;
    end

    generate
        if (LANES == 1) begin : gen_single
            assign leaves = busy_q && m_axis_tready;
            assign m_axis_tdata = sums_q;
        end else begin : gen_many
            localparam LANE_W = $clog2(LANES);
            localparam LAST = LANES - 1;
            localparam LAST_SHORT = LANES - 2;
            reg [LANE_W-1:0] lane_q;
            reg              short_q;
            always @(posedge clk) begin
                if (load) short_q <= is_short;
            end
            always @(posedge clk) begin
                if (rst || load) lane_q <= 0;
                else if (busy_q && m_axis_tready) lane_q <= lane_q + 1'b1;
            end
            assign leaves = busy_q && m_axis_tready && lane_q == (short_q ? LAST_SHORT[LANE_W-1:0] : LAST[LANE_W-1:0]);
            assign m_axis_tdata = sums_q[lane_q*W +: W];
        end
    endgenerate

    assign full = busy_q && !leaves;
    assign m_axis_tvalid = busy_q;

endmodule
`default_nettype wire
