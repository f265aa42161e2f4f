// SPDX-License-Identifier: Apache-2.0
//
// The K greatest of the N channels of each pixel, or which channels these are; the greatest first, and of like ones that
// of the lowest number.
//
// Activations come in raster order, one a beat. Each goes into a sorted list of K, behind those that are as great; the
// list of a pixel's last beat is sent, word by word, while the next pixel comes.
//
// bench: sim/bench_topk.py
`default_nettype none

module topk #(
    parameter N = 8,            // channels of a pixel
    parameter K = 1,            // results of a pixel, 1 to N
    parameter X_W = 8,          // bits of an activation
    parameter X_SIGNED = 1,     // 1: activations are two's complement
    parameter VALUES = 0,       // 1: sends activations, 0: the numbers of their channels
    parameter OUT_W = 3         // bits of a result: X_W, or those of N - 1
) (
    input  wire             clk,
    input  wire             rst,       // synchronous, active high

    input  wire [X_W-1:0]   s_axis_tdata,
    input  wire             s_axis_tvalid,
    output wire             s_axis_tready,

    output wire [OUT_W-1:0] m_axis_tdata,
    output wire             m_axis_tvalid,
    input  wire             m_axis_tready
);

    localparam COUNT_W = (N > 1) ? $clog2(N) : 1;
    localparam LEFT_W = (K > 1) ? $clog2(K) : 1;
    localparam LAST = N - 1;
    localparam LAST_OUT = K - 1;
    localparam [X_W:0] SIGN = {(X_SIGNED != 0), {X_W{1'b0}}};

    generate
        if (K < 1 || K > N) begin : gen_check_k
            topk_K_must_be_1_to_N error_i ();
        end
        if (OUT_W != ((VALUES != 0) ? X_W : COUNT_W)) begin : gen_check_out
            topk_OUT_W_must_be_X_W_or_the_bits_of_N_less_1 error_i ();
        end
    endgenerate

    reg  [COUNT_W-1:0] in_q;
    reg                sends_q;
    reg  [LEFT_W-1:0]  left_q;                 // results behind the one that is offered
    wire               first = in_q == 0;
    wire               last = in_q == LAST[COUNT_W-1:0];
    wire               leaves = sends_q && m_axis_tready && left_q == 0;
    wire               beat = s_axis_tvalid && s_axis_tready;
    wire [X_W-1:0]     x = s_axis_tdata ^ SIGN[X_W:1]; // compares as unsigned

    assign s_axis_tready = !last || !sends_q || leaves;

    always @(posedge clk) begin
        if (rst) begin
            in_q    <= {COUNT_W{1'b0}};
            sends_q <= 1'b0;
        end else begin
            if (beat) in_q <= last ? {COUNT_W{1'b0}} : in_q + 1'b1;
            if (beat && last) sends_q <= 1'b1;
            else if (leaves) sends_q <= 1'b0;
        end
    end

    always @(posedge clk) begin
        if (beat && last) left_q <= LAST_OUT[LEFT_W-1:0];
        else if (sends_q && m_axis_tready) left_q <= left_q - 1'b1;
    end

    // the list, the greatest first
    wire [K-1:0]       passes;                 // the activation goes before place i
    wire [K*X_W-1:0]   values;                 // the list with it
    wire [K*OUT_W-1:0] results;                // what is sent of that list
    reg  [K*OUT_W-1:0] sent_q;

    generate
        genvar i;
        for (i = 0; i < K; i = i + 1) begin : gen_place
            reg  [X_W-1:0] value_q;
            reg            full_q;             // the place holds one of this pixel
            wire           full = full_q && !first;
            assign passes[i] = !full || x > value_q;
            if (i == 0) begin : gen_first
                assign values[0 +: X_W] = passes[0] ? x : value_q;
            end else begin : gen_other
                assign values[i*X_W +: X_W] = passes[i-1] ? gen_place[i-1].value_q : passes[i] ? x : value_q;
            end
            always @(posedge clk) begin
                if (beat) value_q <= values[i*X_W +: X_W];
            end
            always @(posedge clk) begin
                if (rst) full_q <= 1'b0;
                else if (beat) full_q <= (i == 0) || (!first && gen_place[(i > 0) ? i - 1 : 0].full_q);
            end
            if (VALUES != 0) begin : gen_value
                assign results[i*OUT_W +: OUT_W] = values[i*X_W +: X_W] ^ SIGN[X_W:1];
            end else begin : gen_number
                reg  [OUT_W-1:0] number_q;
                wire [OUT_W-1:0] number;
                if (i == 0) begin : gen_first
                    assign number = passes[0] ? in_q : number_q;
                end else begin : gen_other
                    assign number = passes[i-1] ? gen_place[i-1].gen_number.number_q : passes[i] ? in_q : number_q;
                end
                always @(posedge clk) begin
                    if (beat) number_q <= number;
                end
                assign results[i*OUT_W +: OUT_W] = number;
            end
        end
        if (K > 1) begin : gen_shift
            always @(posedge clk) begin
                if (beat && last) sent_q <= results;
                else if (m_axis_tready) sent_q <= {{OUT_W{1'b0}}, sent_q[K*OUT_W-1:OUT_W]};
            end
        end else begin : gen_single
            always @(posedge clk) begin
                if (beat && last) sent_q <= results;
            end
        end
    endgenerate

    assign m_axis_tdata = sent_q[OUT_W-1:0];
    assign m_axis_tvalid = sends_q;

endmodule
`default_nettype wire
