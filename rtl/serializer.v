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
    parameter W = 8,                 // bits of a sum
    parameter TMR = 0                // 1: three copies of each register of control, see voted_reg.v
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
    wire              busy_q;
    wire              leaves;         // the last beat of this load

    always @(posedge clk) begin
        if (load) sums_q <= sums;
    end

    voted_reg #(
        .TMR(TMR)
    ) u_busy (
        .clk(clk),
        .rst(rst),
        .enable(load || leaves),
        .d(load),
        .q(busy_q)
    );

    generate
        if (LANES == 1) begin : gen_single
            assign leaves = busy_q && m_axis_tready;
            assign m_axis_tdata = sums_q;
        end else begin : gen_many
            localparam LANE_W = $clog2(LANES);
            localparam LAST = LANES - 1;
            localparam LAST_SHORT = LANES - 2;
            wire [LANE_W-1:0] lane_q;
            wire [LANE_W-1:0] lane_d = lane_q + 1'b1;
            wire              short_q;
            voted_reg #(
                .TMR(TMR)
            ) u_short (
                .clk(clk),
                .rst(1'b0),
                .enable(load),
                .d(is_short),
                .q(short_q)
            );
            voted_reg #(
                .W(LANE_W),
                .TMR(TMR)
            ) u_lane (
                .clk(clk),
                .rst(rst || load),
                .enable(busy_q && m_axis_tready),
                .d(lane_d),
                .q(lane_q)
            );
            assign leaves = busy_q && m_axis_tready && lane_q == (short_q ? LAST_SHORT[LANE_W-1:0] : LAST[LANE_W-1:0]);
            assign m_axis_tdata = sums_q[lane_q*W +: W];
        end
    endgenerate

    assign full = busy_q && !leaves;
    assign m_axis_tvalid = busy_q;

endmodule
`default_nettype wire
