// SPDX-License-Identifier: Apache-2.0
//
// A unit's place in the ring of mode_ring.v: the mode of the frame that it begins next, once that has entered the
// network.
//
// `known` says that `mode` is that frame's. `taken`, which comes only then, goes on to the next frame, whose mode is
// known two clocks later at the earliest.
//
// bench: sim/bench_mode_reader.py
`default_nettype none

module mode_reader #(
    parameter MODES = 2,             // up to 256
    parameter DEPTH = 4,             // places of the ring; a power of two
    // not to be set
    parameter MODE_W = (MODES > 1) ? $clog2(MODES) : 1, // bits of a mode
    parameter COUNT_W = $clog2(DEPTH) + 1               // bits of a count of frames
) (
    input  wire                            clk,
    input  wire                            rst,
    input  wire [COUNT_W+DEPTH*MODE_W-1:0] modes,      // see mode_ring.v
    output wire [MODE_W-1:0]               mode,
    output wire                            known,
    input  wire                            taken
);

    generate
        if (DEPTH < 2 || (DEPTH & (DEPTH - 1)) != 0) begin : gen_check_depth
            mode_reader_DEPTH_must_be_a_power_of_two_from_2 error_i ();
        end
    endgenerate

    reg  [COUNT_W-1:0] frame_q;
    reg  [MODE_W-1:0]  mode_q;
    reg                known_q;
    wire [COUNT_W-1:0] begun = modes[DEPTH*MODE_W +: COUNT_W];
    reg  [MODE_W-1:0]  mode_d;

    // an OR of places, of which one is looked at
    integer i;
    always @* begin
        mode_d = {MODE_W{1'b0}};
        for (i = 0; i < DEPTH; i = i + 1)
            if (frame_q[COUNT_W-2:0] == i[COUNT_W-2:0]) mode_d = mode_d | modes[i*MODE_W +: MODE_W];
    end

    assign mode = mode_q;
    assign known = known_q;

    always @(posedge clk) begin
        if (rst) begin
            frame_q <= {COUNT_W{1'b0}};
            known_q <= 1'b0;
        end else begin
            if (taken) frame_q <= frame_q + 1'b1;
            known_q <= !taken && begun != frame_q;
        end
    end

    always @(posedge clk) mode_q <= mode_d;

endmodule
`default_nettype wire
