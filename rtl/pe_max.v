// SPDX-License-Identifier: Apache-2.0
//
// One lane's running maximum: sum = max(acc, x), signed or unsigned, with the ports that pe.v has.
//
// At the clock edge `clear` sets acc to the least value, else `enable` takes sum into it.
//
// bench: sim/bench_pe_max.py
`default_nettype none

module pe_max #(
    parameter W = 8,                 // bits in x
    parameter SIGNED = 0             // 1: two's complement
) (
    input  wire         clk,
    input  wire         clear,
    input  wire         enable,
    input  wire [W-1:0] x,
    output wire [W-1:0] sum
);

    generate
        if (W < 1) begin : gen_check_w
            pe_max_W_must_be_at_least_1 error_i ();
        end
    endgenerate

    // With the sign bit turned over, two's complement compares as unsigned; the accumulator is kept so, and starts at zero.
    wire [W-1:0] flip = (SIGNED != 0) ? ({{(W-1){1'b0}}, 1'b1} << (W - 1)) : {W{1'b0}};
    reg  [W-1:0] acc_q;
    wire [W-1:0] key = x ^ flip;
    wire [W-1:0] acc_d = (key > acc_q) ? key : acc_q;

    always @(posedge clk) begin
        if (clear) acc_q <= {W{1'b0}};
        else if (enable) acc_q <= acc_d;
    end

    assign sum = acc_d ^ flip;

endmodule
`default_nettype wire
