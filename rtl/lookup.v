// SPDX-License-Identifier: Apache-2.0
//
// A function of one activation, as a table: each of the N activations of a beat is looked up by itself.
//
// Word number x of FILE is the result for an activation with the bits x. The table is made of lookup tables, one copy
// an activation: up to 10 bits that is a smaller share of a device than block RAM would be. CHECK is as in term_rom.v: simulation ends at once when
// the file is not the one that the build wrote.
//
// bench: sim/bench_lookup.py
`default_nettype none

module lookup #(
    parameter N = 1,                 // activations side by side in a beat
    parameter X_W = 4,               // bits of an activation, 1 to 10
    parameter OUT_W = 4,             // bits of a result
    parameter FILE = "",             // $readmemh file of 2^X_W words, relative to the directory that the tool runs in
    parameter CHECK = 0              // sum of place, from 1, times word, modulo 2^32
) (
    input  wire               clk,
    input  wire               rst,             // synchronous, active high

    input  wire [N*X_W-1:0]   s_axis_tdata,
    input  wire               s_axis_tvalid,
    output wire               s_axis_tready,

    output wire [N*OUT_W-1:0] m_axis_tdata,
    output wire               m_axis_tvalid,
    input  wire               m_axis_tready
);

    localparam DEPTH = 1 << X_W;

    generate
        if (X_W < 1 || X_W > 10) begin : gen_check_x
            lookup_X_W_must_be_1_to_10 error_i ();
        end
        if (OUT_W < 1 || OUT_W > 32) begin : gen_check_out
            lookup_OUT_W_must_be_1_to_32 error_i ();
        end
    endgenerate

    reg [OUT_W-1:0] memory [0:DEPTH-1];
    reg  [N*OUT_W-1:0] data_q;
    wire [N*OUT_W-1:0] found;
    reg                valid_q;
    wire               taken = !valid_q || m_axis_tready;

    initial $readmemh(FILE, memory);

    assign s_axis_tready = taken;
    assign m_axis_tdata = data_q;
    assign m_axis_tvalid = valid_q;

    generate
        genvar n;
        for (n = 0; n < N; n = n + 1) begin : gen_activation
            assign found[n*OUT_W +: OUT_W] = memory[s_axis_tdata[n*X_W +: X_W]];
        end
    endgenerate

    // data: no reset, a word counts only with its valid bit
    always @(posedge clk) begin
        if (taken) data_q <= found;
    end

    always @(posedge clk) begin
        if (rst) valid_q <= 1'b0;
        else if (taken) valid_q <= s_axis_tvalid;
    end

    // synthesis translate_off
    reg [31:0] check_sum;
    integer i;
    initial begin
        #0 check_sum = 0;
        for (i = 0; i < DEPTH; i = i + 1) check_sum = check_sum + (i + 1) * {{(32-OUT_W){1'b0}}, memory[i]};
        if (check_sum !== CHECK) begin
            $display("ROM %m: %0s does not hold the %0d words this build wrote (sum %h, expected %h)",
                     FILE, DEPTH, check_sum, CHECK);
            $finish;
        end
    end
    // synthesis translate_on

endmodule
`default_nettype wire
