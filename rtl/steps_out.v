// SPDX-License-Identifier: Apache-2.0
//
// Sums the frames of a sample, up to STEPS time steps: until the greatest sum of a frame exceeds the second one by more
// than MARGIN, if MARGIN is told before (docs/spiking_hardware.md). Then, or behind the last step, `over` ends the
// sample, and the sums are sent.
//
// An activation a beat. Behind a frame's last beat, three clocks are taken to find whether the sample has ended; while
// sums are sent, nothing is taken.
//
// bench: sim/bench_steps_out.py
`default_nettype none

module steps_out #(
    parameter X_W = 8,                       // bits of an activation
    parameter X_SIGNED = 1,                  // 1: it is two's complement
    parameter W = 12,                        // bits of a sum, two's complement, X_W + 1 to 62
    parameter OUT_W = 12,                    // bits of a result, at most W
    parameter BEATS = 4,                     // of a frame, 2 or more
    parameter STEPS = 5,                     // of a sample at most
    parameter signed [63:0] MARGIN = 8       // W bits hold it
) (
    input  wire             clk,
    input  wire             rst,             // synchronous, active high
    output wire             over,            // the sample has ended, for a clock

    input  wire [X_W-1:0]   s_axis_tdata,
    input  wire             s_axis_tvalid,
    output wire             s_axis_tready,

    output wire [OUT_W-1:0] m_axis_tdata,
    output wire             m_axis_tvalid,
    input  wire             m_axis_tready
);

    localparam A_W = $clog2(BEATS);
    localparam T_W = (STEPS > 1) ? $clog2(STEPS) : 1;
    localparam LAST_A = BEATS - 1;
    localparam SECOND_A = 1;
    localparam LAST_T = STEPS - 1;

    generate
        if (BEATS < 2 || STEPS < 1) begin : gen_check_counts
            steps_out_BEATS_must_be_at_least_2_and_STEPS_1 error_i ();
        end
        if (W <= X_W || W > 62 || OUT_W > W) begin : gen_check_widths
            steps_out_W_must_be_X_W_plus_1_to_62_and_at_least_OUT_W error_i ();
        end
    endgenerate

    reg  [A_W-1:0]      place_q;             // of the beat that comes, or is sent
    reg  [T_W-1:0]      step_q;
    reg                 first_q;             // step of a sample
    reg  [2:0]          ending_q;            // a frame has come: clocks since, one hot
    reg                 sending_q;
    reg                 over_q;

    wire                last_a = place_q == LAST_A[A_W-1:0];
    wire                last_t = step_q == LAST_T[T_W-1:0];
    wire                beat = s_axis_tvalid && s_axis_tready;
    wire                sends = sending_q && m_axis_tready;
    wire                enough;
    wire                ends = ending_q[2] && (enough || last_t);

    assign s_axis_tready = !sending_q && ending_q == 3'd0 && !over_q;
    assign m_axis_tvalid = sending_q;
    assign over = over_q;

    always @(posedge clk) begin
        if (rst) begin
            place_q   <= {A_W{1'b0}};
            step_q    <= {T_W{1'b0}};
            first_q   <= 1'b1;
            ending_q  <= 3'd0;
            sending_q <= 1'b0;
            over_q    <= 1'b0;
        end else begin
            if (beat || sends) place_q <= last_a ? {A_W{1'b0}} : place_q + 1'b1;
            ending_q <= {ending_q[1:0], beat && last_a};
            over_q <= ends;
            if (ends) sending_q <= 1'b1;
            else if (sends && last_a) sending_q <= 1'b0;
            if (ending_q[2]) begin
                step_q  <= ends ? {T_W{1'b0}} : step_q + 1'b1;
                first_q <= ends;
            end
        end
    end

    // the sums
    (* ram_style = "distributed" *) (* no_rw_check *) reg [W-1:0] memory [0:BEATS-1];
    wire [W-1:0] kept = memory[place_q];
    wire [W-1:0] x = {{(W-X_W){(X_SIGNED != 0) && s_axis_tdata[X_W-1]}}, s_axis_tdata};
    wire [W-1:0] sum = (first_q ? {W{1'b0}} : kept) + x;
    assign m_axis_tdata = kept[OUT_W-1:0];
    always @(posedge clk) begin
        if (beat) memory[place_q] <= sum;
    end

    // the two greatest of a frame, a clock behind its beats, and whether they are far enough apart
    reg                sum_valid_q;
    reg                sum_first_q;          // of a frame
    reg                sum_second_q;
    reg signed [W-1:0] sum_q;
    reg signed [W-1:0] best_q;
    reg signed [W-1:0] second_q;
    reg signed [W:0]   apart_q;
    wire               better = sum_first_q || sum_q > best_q;
    always @(posedge clk) begin
        if (rst) sum_valid_q <= 1'b0;
        else sum_valid_q <= beat;
    end
    always @(posedge clk) begin
        if (beat) begin
            sum_q        <= sum;
            sum_first_q  <= place_q == {A_W{1'b0}};
            sum_second_q <= place_q == SECOND_A[A_W-1:0];
        end
        if (sum_valid_q && better) best_q <= sum_q;
        if (sum_valid_q && better) second_q <= best_q;
        else if (sum_valid_q && (sum_second_q || sum_q > second_q)) second_q <= sum_q;
        apart_q <= {best_q[W-1], best_q} - {second_q[W-1], second_q};
    end
    assign enough = apart_q > $signed(MARGIN[W:0]);

endmodule
`default_nettype wire
