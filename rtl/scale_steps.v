// SPDX-License-Identifier: Apache-2.0
//
// N numbers of a channel, each to its level: LOW and how many of the channel's thresholds are not above it
//
// A binary search in a memory of words {never, threshold}, threshold i of a channel, from 1, at {channel, i}; one that
// is never reached fills up what is not there. `phase` counts from 0 to 2 * STEPS - 1, and is 0 while there is nothing
// to do: each bit of the count, the highest first, is asked for at an even one and compared two clocks later, where the
// next one is asked for. channel and phase come two clocks before x, which stays; y is there in the clock behind the
// last phase. Without `enable` all holds.
//
// bench: sim/bench_scale_steps.py
`default_nettype none

module scale_steps #(
    parameter N = 1,                     // numbers at a time
    parameter X_W = 18,                  // bits of a number, two's complement
    parameter STEPS = 4,                 // bits of a count
    parameter OUT_W = 8,                 // bits of a level
    parameter signed [63:0] LOW = 0,     // least level
    parameter FILE = "",                 // for $readmemh, 2^STEPS words for each channel
    parameter DEPTH = 2,                 // channels
    parameter CHECK = 0,                 // of FILE, see term_rom.v
    // not to be set
    parameter CHANNEL_W = (DEPTH > 1) ? $clog2(DEPTH) : 1,  // bits of a channel's number
    parameter PHASE_W = $clog2(2 * STEPS) // of a phase
) (
    input  wire                 clk,
    input  wire                 enable,
    input  wire [CHANNEL_W-1:0] channel,
    input  wire [PHASE_W-1:0]   phase,
    input  wire [N*X_W-1:0]     x,
    output wire [N*OUT_W-1:0]   y
);

    localparam WORDS = DEPTH << STEPS;
    localparam ADDRESS_W = (DEPTH > 1) ? CHANNEL_W + STEPS : STEPS;
    localparam SUM_W = (OUT_W > STEPS) ? OUT_W : STEPS;

    generate
        if (STEPS < 1) begin : gen_check_steps
            scale_steps_STEPS_must_be_at_least_1 error_i ();
        end
    endgenerate

    localparam READ = (WORDS > 64) ? 2 : 1;    // clocks from an address to its word, see term_rom.v
    localparam [STEPS-1:0] HIGHEST = {{(STEPS-1){1'b0}}, 1'b1} << (STEPS - 1);
    reg  [STEPS-1:0] bit_q;                     // of the count that is compared
    wire             asks = enable && !phase[0];
    wire             starts = phase == {PHASE_W{1'b0}};
    wire [STEPS-1:0] next_bit = starts ? HIGHEST : bit_q >> 1;
    always @(posedge clk) begin
        if (asks) bit_q <= next_bit;
    end

    generate
        genvar n;
        for (n = 0; n < N; n = n + 1) begin : gen_number
            reg  [STEPS-1:0]     count_q;
            wire [ADDRESS_W-1:0] address;
            wire [X_W:0]         word;
            wire signed [X_W-1:0] threshold = word[X_W-1:0];
            wire signed [X_W-1:0] own = x[n*X_W +: X_W];
            wire                 reached = !word[X_W] && own >= threshold;
            wire [STEPS-1:0]     count = count_q | (reached ? bit_q : {STEPS{1'b0}});
            wire [STEPS-1:0]     asked = (starts ? {STEPS{1'b0}} : count) | next_bit;
            /* verilator lint_off UNUSEDSIGNAL */
            wire [SUM_W+STEPS-1:0] extended = {{SUM_W{1'b0}}, count};
            wire [SUM_W-1:0]     level = extended[SUM_W-1:0] + LOW[SUM_W-1:0];
            /* verilator lint_on UNUSEDSIGNAL */
            if (DEPTH > 1) begin : gen_channels
                assign address = {channel, asked};
            end else begin : gen_one_channel
                wire unused = &{1'b0, channel};
                assign address = asked;
            end
            term_rom #(
                .FILE(FILE),
                .DEPTH(WORDS),
                .WIDTH(X_W + 1),
                .REGISTERED(READ - 1),
                .CHECK(CHECK)
            ) u_term_rom (
                .clk(clk),
                .enable((READ > 1) ? enable : asks),
                .address(address),
                .word(word),
                .write(1'b0),
                .write_address({ADDRESS_W{1'b0}}),
                .write_word({(X_W+1){1'b0}})
            );
            always @(posedge clk) begin
                if (asks) count_q <= starts ? {STEPS{1'b0}} : count;
            end
            assign y[n*OUT_W +: OUT_W] = level[OUT_W-1:0];
        end
    endgenerate

endmodule
`default_nettype wire
