// SPDX-License-Identifier: Apache-2.0
//
// Sums of weights over the inputs of a vector that spiked, requantized: a layer of activations of one bit, of which
// only those that are 1 take time.
//
//   beats -> the spikes of each, one a clock -> stream_fifo -> table: first word of its list, words -> sequencer
//            sequencer -> term_rom: BANKS x payload -> BANKS x spike_bank -> requantize -> stream
//
// BANKS accumulators with SLOTS sums each make BANKS * SLOTS outputs; output slot * BANKS + bank leaves in that order.
// The list of an input has the weights of all outputs: a word brings each bank one of its own, zero where it has none
// left. So an input takes as many clocks as its longest bank has weights, at least one, and beats without a spike one.
// Behind the last spike of a vector both halves of the banks change places: the sums of the one are read out, a slot
// whenever requantize.v has room, a clock of the sequencer each, and begin anew with their constants, a word of a
// memory of their own for each slot; the other half takes the next vector meanwhile. After a reset both halves begin
// anew before a spike is taken.
//
// bench: sim/bench_spike_lanes.py
`default_nettype none

module spike_lanes #(
    parameter SIDE = 4,              // activations of a beat
    parameter BEATS = 4,             // beats of a vector
    parameter BANKS = 4,             // accumulators
    parameter SLOTS = 2,             // sums of each
    parameter FINAL = 4,             // banks that the last slot uses
    // lists
    parameter FILE = "",             // the lists, see term_rom.v
    parameter WORDS = 16,            // of it
    parameter ROM_ROWS = WORDS,      // words of a bank of that memory
    parameter CHECK = 0,             // of it
    parameter TABLE_FILE = "",       // of each place, beat * 2^clog2(SIDE) + lane: {first word, words less one}
    parameter TABLE_CHECK = 0,       // of it
    parameter CONSTANT_FILE = "",    // what the sums of each slot begin with
    parameter CONSTANT_CHECK = 0,    // of it
    parameter COUNT_W = 1,           // bits of the words less one
    parameter QUEUE = 32,            // spikes that may wait
    // sums
    parameter WEIGHT_W = 4,          // bits of a weight, two's complement
    parameter LIFT = 0,              // low bits of a sum in which a weight has none
    parameter CODED = 0,             // 1: a list has the numbers of weights in VALUES
    parameter CODE_W = WEIGHT_W,     // bits of that number, or of a weight
    parameter VALUES_W = (CODED != 0) ? WEIGHT_W << CODE_W : 1, // not to be set
    parameter [VALUES_W-1:0] VALUES = 0, // the weights by number, the first lowest
    parameter CONSTANT_W = 8,        // bits of a constant, two's complement
    parameter W = 12,                // bits of a sum
    parameter DROP = 0,              // low bits of it that are rounded away, fewer than W
    parameter EVEN = 0,              // 1: half to even, the half being part of the constants
    parameter OUT_W = 8,             // bits of a result
    parameter signed [63:0] LOW = 0, // least result
    parameter signed [63:0] HIGH = 255, // greatest result
    parameter NO_LOW = 0,            // 1: there is no least result, whatever LOW
    parameter NO_HIGH = 0,           // 1: there is no greatest result, whatever HIGH
    parameter XILINX = 0             // primitives of a device family, see spike_bank.v
) (
    input  wire             clk,
    input  wire             rst,

    input  wire [SIDE-1:0]  s_axis_tdata,
    input  wire             s_axis_tvalid,
    output wire             s_axis_tready,

    output wire [OUT_W-1:0] m_axis_tdata,
    output wire             m_axis_tvalid,
    input  wire             m_axis_tready
);

    localparam LANE_W = $clog2(SIDE);
    localparam BEAT_W = (BEATS > 1) ? $clog2(BEATS) : 1;
    localparam PLACES = BEATS << LANE_W;
    localparam PLACE_W = (PLACES > 1) ? $clog2(PLACES) : 1;
    localparam SLOT_W = (SLOTS > 1) ? $clog2(SLOTS) : 1;
    localparam PAYLOAD_W = (SLOTS > 1) ? SLOT_W + CODE_W : CODE_W;
    localparam ADDRESS_W = (WORDS > 1) ? $clog2(WORDS) : 1;
    localparam LAST_BEAT = BEATS - 1;
    localparam LAST_SLOT = SLOTS - 1;
    localparam IN_W = W - DROP;
    localparam REST_W = (EVEN != 0) ? DROP : 0;
    // clocks from an address to a word: block RAMs have registers behind them
    localparam LOOKS = (PLACES > 64) ? 2 : 1;
    localparam READS = (WORDS > 64) ? ((ROM_ROWS < WORDS) ? 3 : 2) : 1;

    generate
        if (SIDE < 1 || BEATS < 1) begin : gen_check_beats
            spike_lanes_SIDE_and_BEATS_must_be_at_least_1 error_i ();
        end
        if (FINAL < 1 || FINAL > BANKS) begin : gen_check_final
            spike_lanes_FINAL_must_be_1_to_BANKS error_i ();
        end
        if (DROP < 0 || DROP >= W) begin : gen_check_drop
            spike_lanes_DROP_must_be_0_to_below_W error_i ();
        end
    endgenerate

    // the spikes of a beat, the lowest first, and behind the last beat's an item that ends the vector
    reg  [SIDE-1:0]   spikes_q;
    reg               last_q;                // they are of the last beat
    reg  [BEAT_W-1:0] beat_q;
    reg  [BEAT_W-1:0] count_q;               // the beat that comes next
    wire              beat = s_axis_tvalid && s_axis_tready;
    wire              any = |spikes_q;
    wire [SIDE-1:0]   left = spikes_q & (spikes_q - 1'b1);
    wire              room;
    wire              push = (any || last_q) && room;
    wire              last_beat = count_q == LAST_BEAT[BEAT_W-1:0];
    wire [PLACE_W-1:0] place;

    assign s_axis_tready = any ? (room && left == 0 && !last_q) : (room || !last_q);

    always @(posedge clk) begin
        if (rst) begin
            spikes_q <= {SIDE{1'b0}};
            last_q <= 1'b0;
            count_q <= {BEAT_W{1'b0}};
        end else begin
            if (beat) begin
                spikes_q <= s_axis_tdata;
                last_q <= last_beat;
                count_q <= last_beat ? {BEAT_W{1'b0}} : count_q + 1'b1;
            end else if (push) begin
                spikes_q <= left;
                if (!any) last_q <= 1'b0;
            end
        end
    end

    always @(posedge clk) begin
        if (beat) beat_q <= count_q;
    end

    generate
        genvar k, l;
        if (SIDE > 1) begin : gen_lane
            wire [LANE_W-1:0] lane;
            wire [SIDE-1:0]   first = spikes_q & ~left;
            for (k = 0; k < LANE_W; k = k + 1) begin : gen_bit
                wire [SIDE-1:0] some;
                for (l = 0; l < SIDE; l = l + 1) begin : gen_place
                    localparam [31:0] PLACE = l;
                    assign some[l] = PLACE[k] && first[l];
                end
                assign lane[k] = |some;
            end
            if (BEATS > 1) begin : gen_beats
                assign place = {beat_q, lane};
            end else begin : gen_beat
                assign place = lane;
                wire unused = &{1'b0, beat_q};
            end
        end else begin : gen_one
            assign place = beat_q;
        end
    endgenerate

    // where each one's list is
    wire [PLACE_W:0]            queued;      // {whether it ends a vector, place}
    wire                        queued_valid;
    wire                        look;
    wire [ADDRESS_W+COUNT_W-1:0] found;
    reg  [LOOKS-1:0]            valid_q;     // beside the table's registers
    reg  [LOOKS-1:0]            ends_q;
    /* verilator lint_off UNUSEDSIGNAL */
    wire [LOOKS:0]              valid_d = {valid_q, queued_valid};
    wire [LOOKS:0]              ends_d = {ends_q, queued[PLACE_W]};
    /* verilator lint_on UNUSEDSIGNAL */

    stream_fifo #(
        .DATA_W(PLACE_W + 1),
        .DEPTH(QUEUE)
    ) u_queue (
        .clk(clk),
        .rst(rst),
        .s_axis_tdata({!any, place}),
        .s_axis_tvalid(any || last_q),
        .s_axis_tready(room),
        .m_axis_tdata(queued),
        .m_axis_tvalid(queued_valid),
        .m_axis_tready(look)
    );

    term_rom #(
        .FILE(TABLE_FILE),
        .DEPTH(PLACES),
        .WIDTH(ADDRESS_W + COUNT_W),
        .REGISTERED(LOOKS - 1),
        .CHECK(TABLE_CHECK)
    ) u_table (
        .clk(clk),
        .enable(look),
        .address(queued[PLACE_W-1:0]),
        .word(found),
        .write(1'b0),
        .write_address({PLACE_W{1'b0}}),
        .write_word({ADDRESS_W+COUNT_W{1'b0}})
    );

    always @(posedge clk) begin
        if (rst) valid_q <= {LOOKS{1'b0}};
        else if (look) valid_q <= valid_d[LOOKS-1:0];
    end

    always @(posedge clk) begin
        if (look) ends_q <= ends_d[LOOKS-1:0];
    end

    // the sequencer: a word of a list in each clock, or a slot that is read out
    reg                  active_q;           // a list is read
    reg  [ADDRESS_W-1:0] address_q;
    reg  [COUNT_W:0]     left_q;             // words behind the one at address_q, negated
    reg                  half_q;             // that fills
    reg                  drains_q;           // the other one is read out
    reg  [SLOT_W-1:0]    slot_q;
    reg  [1:0]           fresh_q;            // halves whose sums are those of before a reset
    wire                 full;
    wire                 sending;            // a slot is on its way to requantize.v
    wire                 item = valid_q[LOOKS-1];
    wire                 ends = ends_q[LOOKS-1];
    wire                 fresh = fresh_q != 2'd0;
    wire                 drain = drains_q && (fresh || (!full && !sending));
    wire                 last_slot = slot_q == LAST_SLOT[SLOT_W-1:0];
    wire                 drained = drain && last_slot;
    wire                 word = active_q && !drain;
    wire                 done = word && !left_q[COUNT_W];
    wire                 take = item && (done || !active_q) && (!ends || !drains_q) && !fresh;

    assign look = take || !item;

    always @(posedge clk) begin
        if (rst) begin
            active_q <= 1'b0;
            half_q <= 1'b0;
            drains_q <= 1'b1;
            fresh_q <= 2'd2;
        end else begin
            if (take) active_q <= !ends;
            else if (done) active_q <= 1'b0;
            if ((take && ends) || (drained && fresh)) half_q <= !half_q;
            if (take && ends) drains_q <= 1'b1;
            else if (drained && fresh_q != 2'd2) drains_q <= 1'b0;
            if (drained && fresh) fresh_q <= fresh_q - 2'd1;
        end
    end

    always @(posedge clk) begin
        if (rst || drained) slot_q <= {SLOT_W{1'b0}};
        else if (drain) slot_q <= slot_q + 1'b1;
    end

    // -left is ~left + 1
    wire [ADDRESS_W-1:0] address = take ? found[COUNT_W +: ADDRESS_W] : address_q;
    wire [COUNT_W:0]     left_less = take ? {1'b1, ~found[COUNT_W-1:0]} : left_q;
    always @(posedge clk) begin
        if (take || word) begin
            address_q <= address + {{(ADDRESS_W-1){1'b0}}, !take};
            left_q <= left_less + 1'b1;
        end
    end

    wire [BANKS*PAYLOAD_W-1:0] payloads;
    term_rom #(
        .FILE(FILE),
        .DEPTH(WORDS),
        .WIDTH(BANKS * PAYLOAD_W),
        .ROWS(ROM_ROWS),
        .REGISTERED((READS > 1) ? 1 : 0),
        .CHECK(CHECK)
    ) u_rom (
        .clk(clk),
        .enable(1'b1),
        .address(address_q),
        .word(payloads),
        .write(1'b0),
        .write_address({ADDRESS_W{1'b0}}),
        .write_word({BANKS*PAYLOAD_W{1'b0}})
    );

    // beside the memory's registers
    reg  [READS-1:0]          words_q;       // a word was read
    reg  [READS-1:0]          drain_q;       // in its place a slot is read out
    reg  [READS-1:0]          sends_q;       // whose sums before are sent
    reg  [READS-1:0]          of_half_q;
    reg  [READS*SLOT_W-1:0]   of_slot_q;
    /* verilator lint_off UNUSEDSIGNAL */
    wire [READS:0]            words_d = {words_q, word || drain};
    wire [READS:0]            drain_d = {drain_q, drain};
    wire [READS:0]            sends_d = {sends_q, drain && !fresh};
    wire [READS:0]            of_half_d = {of_half_q, half_q ^ drain};
    wire [(READS+1)*SLOT_W-1:0] of_slot_d = {of_slot_q, slot_q};
    /* verilator lint_on UNUSEDSIGNAL */
    wire                      load = sends_q[READS-1];
    wire [SLOT_W-1:0]         slot = of_slot_q[(READS-1)*SLOT_W +: SLOT_W];

    assign sending = |sends_q;

    wire [BANKS*CONSTANT_W-1:0] constants;
    term_rom #(
        .FILE(CONSTANT_FILE),
        .DEPTH(SLOTS),
        .WIDTH(BANKS * CONSTANT_W),
        .CHECK(CONSTANT_CHECK)
    ) u_constants (
        .clk(clk),
        .enable(1'b1),
        .address(of_slot_d[(READS-1)*SLOT_W +: SLOT_W]),
        .word(constants),
        .write(1'b0),
        .write_address({SLOT_W{1'b0}}),
        .write_word({BANKS*CONSTANT_W{1'b0}})
    );

    always @(posedge clk) begin
        if (rst) begin
            words_q <= {READS{1'b0}};
            sends_q <= {READS{1'b0}};
        end else begin
            words_q <= words_d[READS-1:0];
            sends_q <= sends_d[READS-1:0];
        end
    end

    always @(posedge clk) begin
        drain_q <= drain_d[READS-1:0];
        of_half_q <= of_half_d[READS-1:0];
        of_slot_q <= of_slot_d[READS*SLOT_W-1:0];
    end

    wire [BANKS*(IN_W+REST_W)-1:0] sums;
    generate
        genvar b;
        for (b = 0; b < BANKS; b = b + 1) begin : gen_bank
            /* verilator lint_off UNUSEDSIGNAL */
            wire [W-1:0] sum;                // what is dropped is not read
            /* verilator lint_on UNUSEDSIGNAL */
            spike_bank #(
                .SLOTS(SLOTS),
                .WEIGHT_W(WEIGHT_W),
                .LIFT(LIFT),
                .CODED(CODED),
                .CODE_W(CODE_W),
                .VALUES(VALUES),
                .CONSTANT_W(CONSTANT_W),
                .W(W),
                .XILINX(XILINX)
            ) u_spike_bank (
                .clk(clk),
                .enable(words_q[READS-1]),
                .drain(drain_q[READS-1]),
                .half(of_half_q[READS-1]),
                .drain_slot(slot),
                .constant(constants[b*CONSTANT_W +: CONSTANT_W]),
                .payload(payloads[b*PAYLOAD_W +: PAYLOAD_W]),
                .sum(sum)
            );
            assign sums[b*(IN_W+REST_W) +: IN_W+REST_W] = sum[W-1:DROP-REST_W];
        end
    endgenerate

    requantize #(
        .LANES(1),
        .GROUPS(BANKS),
        .FINAL(FINAL),
        .IN_W(IN_W),
        .REST_W(REST_W),
        .OUT_W(OUT_W),
        .LOW(LOW),
        .HIGH(HIGH),
        .NO_LOW(NO_LOW),
        .NO_HIGH(NO_HIGH),
        .XILINX(XILINX)
    ) u_requantize (
        .clk(clk),
        .rst(rst),
        .load(load),
        .is_final(slot == LAST_SLOT[SLOT_W-1:0]),
        .sums(sums),
        .mode(1'b0),
        .full(full),
        .m_axis_tdata(m_axis_tdata),
        .m_axis_tvalid(m_axis_tvalid),
        .m_axis_tready(m_axis_tready)
    );

endmodule
`default_nettype wire
