// SPDX-License-Identifier: Apache-2.0
//
// The host's view of a network: an AXI4-Lite slave of 32-bit registers, the map of docs/registers.md.
//
//   0x00 ID  0x04 VERSION  0x08 CONTROL  0x0C STATUS  0x10 FRAMES  0x14 FRAMES_IN  0x18 FRAMES_OUT
//   0x1C CYCLES  0x24 INPUT_STALLS  0x2C OUTPUT_STALLS  0x34 STARVED (low word, then high word)
//   0x3C IN_BEATS  0x40 OUT_BEATS  0x44 BUILD_ID
//   0x48 LOAD_LAYERS  0x4C LOAD_LAYER  0x50 LOAD_WORDS  0x54 LOAD_DATA  0x58 LOAD_CHECK  0x5C LOADED
//   0x60 WATCHED  0x64 EVENTS  0x68 LOST_FROM  0x6C LOST_TO  0x300 + 4 i FAULTS, 0x380 + 4 i REPAIRS of layers 32 i to 32 i + 31
//   0x70 MODES  0x74 MODE  0x78 INTERRUPT  0x7C INTERRUPT_ENABLE
//   0x100 + 4 i IN_BEATS of input i, 0x200 + 4 i OUT_BEATS of output i, from the second on
//
// Writable are CONTROL (bit 0 start, bit 1 soft_reset: one-cycle pulses, read as 0; bits 2 and 3 tlast_each and
// tlast_none, which count with start) and FRAMES, byte by byte as WSTRB says, and whole, while the network stands
// still, LOAD_LAYER, LOAD_WORDS and LOAD_DATA, if there is a layer to load, and whole, at any time, MODE, if there is
// more than one. EVENTS, FAULTS and REPAIRS are there if a
// layer is watched; their bits, and two of INTERRUPT, stay until a one is written over them. INTERRUPT_ENABLE is written
// whole. Any other write, and any other read, answers SLVERR and changes nothing. The low two address bits are not looked at. One write and one read are in hand at
// a time; address and data of a write may come in either order.
//
// `unloaded` rises with every write of LOAD_WORDS and LOAD_DATA and falls when all layers are `loaded` and have had
// time to say so; meanwhile there is no start. With a LOAD_STREAM the same writes come over a stream too, a pair of offset
// and value a beat, as fast as one a clock, between those of the host and while the network stands still.
//
// `irq` is high while a bit is set both in INTERRUPT and in INTERRUPT_ENABLE: bit 0, a run got `done`; bit 1, it met a
// `tlast_error`; bit 2, a bit of FAULTS or EVENTS is set.
//
// bench: sim/bench_axil_registers.py
`default_nettype none

module axil_registers #(
    parameter        INPUTS    = 1,     // streams in, up to 64
    parameter        OUTPUTS   = 1,     // streams out, up to 64
    parameter [32*INPUTS-1:0]  IN_BEATS  = {INPUTS{32'd16}},   // words in a frame, of each input, the first lowest
    parameter [32*OUTPUTS-1:0] OUT_BEATS = {OUTPUTS{32'd10}},  // words in a frame, of each output
    parameter [31:0] VERSION   = 0,     // of the generator
    parameter [31:0] BUILD_ID  = 0,     // of this network
    parameter        LAYERS    = 0,     // that can be loaded, up to 256
    parameter        LOAD_STREAM = 0,   // 1: lists come over a stream too
    parameter        WATCHED   = 0,     // layers that tell of flipped bits, up to 1024
    parameter        TMR       = 0,     // 1: three copies of each register of control, see voted_reg.v
    parameter        MODES     = 1,     // sets of lists that a frame may choose from, up to 256
    // not to be set
    parameter        LOAD_W    = (LAYERS > 0) ? LAYERS : 1, // bits of load_select
    parameter        MODE_W    = (MODES > 1) ? $clog2(MODES) : 1, // bits of a mode
    parameter        WATCH_W   = (WATCHED > 0) ? WATCHED : 1 // bits of fault
) (
    input  wire        clk,
    input  wire        rst,             // synchronous, active high

    // write address, data and response
    input  wire [11:0] s_axi_awaddr,
    input  wire [2:0]  s_axi_awprot,
    input  wire        s_axi_awvalid,
    output wire        s_axi_awready,
    input  wire [31:0] s_axi_wdata,
    input  wire [3:0]  s_axi_wstrb,
    input  wire        s_axi_wvalid,
    output wire        s_axi_wready,
    output wire [1:0]  s_axi_bresp,
    output wire        s_axi_bvalid,
    input  wire        s_axi_bready,

    // read address and data
    input  wire [11:0] s_axi_araddr,
    input  wire [2:0]  s_axi_arprot,
    input  wire        s_axi_arvalid,
    output wire        s_axi_arready,
    output wire [31:0] s_axi_rdata,
    output wire [1:0]  s_axi_rresp,
    output wire        s_axi_rvalid,
    input  wire        s_axi_rready,

    // to and from dataflow_controller
    output wire        start,
    output wire        soft_reset,
    output wire [31:0] frames,
    output wire        tlast_each,
    output wire        tlast_none,
    input  wire        busy,
    input  wire        done,
    input  wire        tlast_error,
    input  wire [31:0] frames_in,
    input  wire [31:0] frames_out,
    input  wire [63:0] cycles,
    input  wire [63:0] input_stalls,
    input  wire [63:0] output_stalls,
    input  wire [63:0] starved,

    // to and from the layers: see term_loader.v
    output wire [LOAD_W-1:0] load_select,
    output wire [33:0]       load,      // {begins, writes, 32 bits of data}
    input  wire [LOAD_W-1:0] loaded,
    output wire              unloaded,

    // writes to LOAD_LAYER, LOAD_WORDS and LOAD_DATA: an offset in the low 32 bits, a value in the high
    input  wire [63:0]       s_load_tdata,
    input  wire              s_load_tvalid,
    output wire              s_load_tready,

    // flipped bits that the layers found, and put right; the watchdog of dataflow_controller
    input  wire [WATCH_W-1:0] fault,
    input  wire [WATCH_W-1:0] repaired,
    input  wire               desync,
    input  wire [31:0]        lost_from,
    input  wire [31:0]        lost_to,
    output wire               irq,

    // of frames that are yet to enter
    output wire [MODE_W-1:0] mode
);

    localparam [31:0] ID = 32'h4857474E;  // "HWGN"
    localparam [9:0] CONTROL = 10'h002;   // word addresses
    localparam [9:0] FRAMES = 10'h004;
    localparam [9:0] LOAD_LAYER = 10'h013;
    localparam [9:0] LOAD_WORDS = 10'h014;
    localparam [9:0] LOAD_DATA = 10'h015;
    localparam [9:0] EVENTS = 10'h019;
    localparam [9:0] MODE = 10'h01D;
    localparam [9:0] INTERRUPT = 10'h01E;
    localparam [9:0] INTERRUPT_ENABLE = 10'h01F;
    localparam [9:0] IN_BEATS_OF = 10'h040;
    localparam [9:0] OUT_BEATS_OF = 10'h080;
    localparam [9:0] FAULTS_OF = 10'h0C0;
    localparam [9:0] REPAIRS_OF = 10'h0E0;
    localparam WATCH_WORDS = (WATCH_W + 31) / 32;
    localparam [1:0] OKAY = 2'b00;
    localparam [1:0] SLVERR = 2'b10;

    wire        aw_held_q;
    reg  [9:0]  awaddr_q;
    wire        w_held_q;
    reg  [31:0] wdata_q;
    reg  [3:0]  wstrb_q;
    wire        bvalid_q;
    reg  [1:0]  bresp_q;
    wire        rvalid_q;
    reg  [1:0]  rresp_q;
    reg  [31:0] rdata_q;
    wire        start_q;
    wire        soft_reset_q;
    wire        tlast_each_q;
    wire        tlast_none_q;
    wire [31:0] frames_q;

    // loading; settle_q spans the way of a write to its layer and back
    wire [7:0]        load_layer_q;
    wire [LOAD_W-1:0] load_select_q;
    wire [1:0]        load_move_q;      // begins, writes
    reg  [31:0]       load_data_q;
    reg  [31:0]       load_sum_q;
    reg  [31:0]       load_check_q;
    wire              load_added_q;
    wire [3:0]        settle_q;
    wire              unloaded_q;

    generate
        if (MODES < 1 || MODES > 256) begin : gen_check_modes
            axil_registers_MODES_must_be_1_to_256 error_i ();
        end
        if (INPUTS < 1 || INPUTS > 64 || OUTPUTS < 1 || OUTPUTS > 64) begin : gen_check_streams
            axil_registers_INPUTS_and_OUTPUTS_must_be_1_to_64 error_i ();
        end
        if (LAYERS > 256) begin : gen_check_layers
            axil_registers_LAYERS_must_be_up_to_256 error_i ();
        end
        if (LOAD_STREAM != 0 && LAYERS == 0) begin : gen_check_load_stream
            axil_registers_LAYERS_must_be_1_or_more_with_a_LOAD_STREAM error_i ();
        end
        if (WATCHED > 1024) begin : gen_check_watched
            axil_registers_WATCHED_must_be_up_to_1024 error_i ();
        end
    endgenerate

    wire writes = aw_held_q && w_held_q && !bvalid_q;
    wire reads = s_axi_arvalid && s_axi_arready;

    assign s_axi_awready = !aw_held_q;
    assign s_axi_wready  = !w_held_q;
    assign s_axi_bvalid  = bvalid_q;
    assign s_axi_bresp   = bresp_q;
    assign s_axi_arready = !rvalid_q;
    assign s_axi_rvalid  = rvalid_q;
    assign s_axi_rresp   = rresp_q;
    assign s_axi_rdata   = rdata_q;

    assign start      = start_q;
    assign soft_reset = soft_reset_q;
    assign frames     = frames_q;
    assign tlast_each = tlast_each_q;
    assign tlast_none = tlast_none_q;

    assign load_select = load_select_q;
    assign load        = {load_move_q, load_data_q};
    assign unloaded    = unloaded_q;

    // a write to a list is the host's or, where it has none, one of the stream
    wire        whole = wstrb_q == 4'b1111;
    wire        streams;
    wire [9:0]  load_at;
    wire [31:0] load_value;
    wire still = LAYERS != 0 && !busy && !start_q;
    wire loadable = still && (streams || whole);
    wire selects = loadable && load_at == LOAD_LAYER && load_value < LAYERS;
    wire begins = loadable && load_at == LOAD_WORDS;
    wire loads = loadable && load_at == LOAD_DATA;
    wire chooses = MODES > 1 && whole && awaddr_q == MODE && wdata_q < MODES;
    wire enables = whole && awaddr_q == INTERRUPT_ENABLE;
    wire settles = whole && awaddr_q == INTERRUPT;     // clears bits of INTERRUPT
    wire loading = writes || streams;
    wire moves = loading && (begins || loads);
    generate
        if (LOAD_STREAM != 0) begin : gen_load_stream
            wire        valid_q;
            reg  [9:0]  at_q;
            reg  [31:0] value_q;
            wire unused_offset = &{1'b0, s_load_tdata[31:12], s_load_tdata[1:0]};
            assign streams = valid_q && !writes && still;
            assign load_at = writes ? awaddr_q : at_q;
            assign load_value = writes ? wdata_q : value_q;
            assign s_load_tready = !valid_q || streams;
            always @(posedge clk)
                if (s_load_tready) begin
                    at_q <= s_load_tdata[11:2];
                    value_q <= s_load_tdata[63:32];
                end
            voted_reg #(
                .TMR(TMR)
            ) u_load_valid (
                .clk(clk),
                .rst(rst || soft_reset_q),
                .enable(s_load_tready),
                .d(s_load_tvalid),
                .q(valid_q)
            );
        end else begin : gen_no_load_stream
            wire unused_stream = &{1'b0, s_load_tdata, s_load_tvalid};
            assign streams = 1'b0;
            assign load_at = awaddr_q;
            assign load_value = wdata_q;
            assign s_load_tready = 1'b0;
        end
    endgenerate
    wire selected_loaded = |(loaded & load_select_q);

    wire unused = &{1'b0, s_axi_awprot, s_axi_arprot, s_axi_awaddr[1:0], s_axi_araddr[1:0]};

    // what was found since it was cleared, in words of 32 bits
    wire [32*WATCH_WORDS-1:0] faults;
    wire [32*WATCH_WORDS-1:0] repairs;
    wire                      event_desync;
    wire                      clears;           // a write that clears some of it
    generate
        if (WATCHED > 0) begin : gen_watch
            genvar w;
            reg event_q;
            wire [2*WATCH_WORDS-1:0] of;        // the word that a write is about
            for (w = 0; w < WATCH_WORDS; w = w + 1) begin : gen_word
                assign of[w] = whole && awaddr_q == FAULTS_OF + w;
                assign of[WATCH_WORDS+w] = whole && awaddr_q == REPAIRS_OF + w;
            end
            for (w = 0; w < 32 * WATCH_WORDS; w = w + 1) begin : gen_layer
                if (w < WATCHED) begin : gen_bits
                    reg fault_q;
                    reg repair_q;
                    assign faults[w] = fault_q;
                    assign repairs[w] = repair_q;
                    always @(posedge clk) begin
                        if (rst) begin
                            fault_q <= 1'b0;
                            repair_q <= 1'b0;
                        end else begin
                            fault_q <= fault[w] || (fault_q && !(writes && of[w/32] && wdata_q[w%32]));
                            repair_q <= repaired[w]
                                || (repair_q && !(writes && of[WATCH_WORDS+w/32] && wdata_q[w%32]));
                        end
                    end
                end else begin : gen_none
                    assign faults[w] = 1'b0;
                    assign repairs[w] = 1'b0;
                end
            end
            assign event_desync = event_q;
            assign clears = whole && (awaddr_q == EVENTS || |of);
            always @(posedge clk) begin
                if (rst) event_q <= 1'b0;
                else event_q <= desync || (event_q && !(writes && whole && awaddr_q == EVENTS && wdata_q[0]));
            end
        end else begin : gen_no_watch
            wire unused_watch = &{1'b0, fault, repaired, desync, lost_from, lost_to};
            assign faults = {(32*WATCH_WORDS){1'b0}};
            assign repairs = {(32*WATCH_WORDS){1'b0}};
            assign event_desync = 1'b0;
            assign clears = 1'b0;
        end
    endgenerate

    // the interrupt: a flag that rose is kept
    wire [1:0] flags = {tlast_error, done};
    wire [1:0] before_q;
    wire [1:0] rose_q;
    wire [2:0] enable_q;
    wire       irq_q;
    wire [2:0] told = {event_desync || |faults, rose_q};
    wire [1:0] rose_d = (flags & ~before_q) | (rose_q & ~({2{writes && settles}} & wdata_q[1:0]));
    assign irq = irq_q;
    voted_reg #(
        .W(5),
        .TMR(TMR)
    ) u_interrupt (
        .clk(clk),
        .rst(rst),
        .enable(1'b1),
        .d({flags, rose_d, |(told & enable_q)}),
        .q({before_q, rose_q, irq_q})
    );
    voted_reg #(
        .W(3),
        .TMR(TMR)
    ) u_enable (
        .clk(clk),
        .rst(rst),
        .enable(writes && enables),
        .d({WATCHED != 0 && wdata_q[2], wdata_q[1:0]}),
        .q(enable_q)
    );

    generate
        if (MODES > 1) begin : gen_mode
            reg [MODE_W-1:0] mode_q;
            assign mode = mode_q;
            always @(posedge clk) begin
                if (rst) mode_q <= {MODE_W{1'b0}};
                else if (writes && chooses) mode_q <= wdata_q[MODE_W-1:0];
            end
        end else begin : gen_one_mode
            assign mode = 1'b0;
        end
    endgenerate

    // what is read, and whether there is something to read
    reg  [31:0] value_d;
    reg         known_d;
    reg  [31:0] first_d;                // of the first sixteen words
    reg  [31:0] other_d;
    reg  [31:0] beats_d;                // of a stream that is not the first
    reg         has_beats_d;
    reg  [31:0] watch_d;                // of what was found
    reg         has_watch_d;
    integer     n;
    always @* begin
        beats_d = 32'd0;
        has_beats_d = 1'b0;
        for (n = 1; n < INPUTS; n = n + 1)
            if (s_axi_araddr[11:2] == IN_BEATS_OF + n[9:0]) begin
                beats_d = IN_BEATS[32*n +: 32];
                has_beats_d = 1'b1;
            end
        for (n = 1; n < OUTPUTS; n = n + 1)
            if (s_axi_araddr[11:2] == OUT_BEATS_OF + n[9:0]) begin
                beats_d = OUT_BEATS[32*n +: 32];
                has_beats_d = 1'b1;
            end
        watch_d = 32'd0;
        has_watch_d = 1'b0;
        if (WATCHED != 0) begin
            for (n = 0; n < WATCH_WORDS; n = n + 1) begin
                if (s_axi_araddr[11:2] == FAULTS_OF + n[9:0]) begin
                    watch_d = faults[32*n +: 32];
                    has_watch_d = 1'b1;
                end
                if (s_axi_araddr[11:2] == REPAIRS_OF + n[9:0]) begin
                    watch_d = repairs[32*n +: 32];
                    has_watch_d = 1'b1;
                end
            end
            if (s_axi_araddr[11:2] == 10'h018) begin
                watch_d = WATCHED;
                has_watch_d = 1'b1;
            end
            if (s_axi_araddr[11:2] == EVENTS) begin
                watch_d = {31'd0, event_desync};
                has_watch_d = 1'b1;
            end
            if (s_axi_araddr[11:2] == 10'h01A) begin
                watch_d = lost_from;
                has_watch_d = 1'b1;
            end
            if (s_axi_araddr[11:2] == 10'h01B) begin
                watch_d = lost_to;
                has_watch_d = 1'b1;
            end
        end
        // the first sixteen words, then the others: of one case yosys 0.70 makes a multiplexer that looks at four bits of
        // the address alone
        case (s_axi_araddr[5:2])
            4'h0: first_d = ID;
            4'h1: first_d = VERSION;
            4'h2: first_d = 32'd0;
            4'h3: first_d = {28'd0, unloaded_q, tlast_error, done, busy};
            4'h4: first_d = frames_q;
            4'h5: first_d = frames_in;
            4'h6: first_d = frames_out;
            4'h7: first_d = cycles[31:0];
            4'h8: first_d = cycles[63:32];
            4'h9: first_d = input_stalls[31:0];
            4'hA: first_d = input_stalls[63:32];
            4'hB: first_d = output_stalls[31:0];
            4'hC: first_d = output_stalls[63:32];
            4'hD: first_d = starved[31:0];
            4'hE: first_d = starved[63:32];
            default: first_d = IN_BEATS[31:0];
        endcase
        known_d = 1'b1;
        case (s_axi_araddr[11:2])
            10'h010: other_d = OUT_BEATS[31:0];
            10'h011: other_d = BUILD_ID;
            10'h012: other_d = LAYERS;
            INTERRUPT: other_d = {29'd0, told};
            INTERRUPT_ENABLE: other_d = {29'd0, enable_q};
            default: begin
                other_d = beats_d | watch_d;
                known_d = LAYERS != 0;
                case (s_axi_araddr[11:2])
                    LOAD_LAYER: other_d = {24'd0, load_layer_q};
                    LOAD_WORDS: other_d = 32'd0;
                    LOAD_DATA:  other_d = 32'd0;
                    10'h016:    other_d = load_check_q;
                    10'h017:    other_d = {31'd0, selected_loaded && settle_q == 4'd0};
                    default:    known_d = has_beats_d || has_watch_d;
                endcase
                if (MODES > 1 && s_axi_araddr[11:3] == MODE[9:1]) begin
                    other_d = s_axi_araddr[2] ? {{(32-MODE_W){1'b0}}, mode} : MODES;
                    known_d = 1'b1;
                end
            end
        endcase
        value_d = other_d;
        if (s_axi_araddr[11:6] == 6'd0) begin
            value_d = first_d;
            known_d = 1'b1;
        end
    end

    // data: no reset, counts only with its valid bit
    always @(posedge clk) begin
        if (!aw_held_q) awaddr_q <= s_axi_awaddr[11:2];
        if (!w_held_q) begin
            wdata_q <= s_axi_wdata;
            wstrb_q <= s_axi_wstrb;
        end
        if (writes)
            bresp_q <= awaddr_q == CONTROL || awaddr_q == FRAMES || selects || begins || loads || clears || chooses
                || settles || enables
                ? OKAY : SLVERR;
        if (reads) begin
            rdata_q <= value_d;
            rresp_q <= known_d ? OKAY : SLVERR;
        end
    end

    wire controls = writes && awaddr_q == CONTROL && wstrb_q[0];
    wire [3:0] held_d = {!writes && (aw_held_q || s_axi_awvalid), !writes && (w_held_q || s_axi_wvalid),
                         writes || (bvalid_q && !s_axi_bready), reads || (rvalid_q && !s_axi_rready)};
    voted_reg #(
        .W(4),
        .TMR(TMR)
    ) u_held (
        .clk(clk),
        .rst(rst),
        .enable(1'b1),
        .d(held_d),
        .q({aw_held_q, w_held_q, bvalid_q, rvalid_q})
    );
    voted_reg #(
        .W(2),
        .TMR(TMR)
    ) u_control (
        .clk(clk),
        .rst(rst),
        .enable(1'b1),
        .d({controls && wdata_q[0] && !unloaded_q, controls && wdata_q[1]}),
        .q({start_q, soft_reset_q})
    );
    // these count with start
    voted_reg #(
        .W(2),
        .TMR(TMR)
    ) u_tlast (
        .clk(clk),
        .rst(1'b0),
        .enable(1'b1),
        .d(wdata_q[3:2]),
        .q({tlast_none_q, tlast_each_q})
    );
    generate
        genvar f;
        for (f = 0; f < 4; f = f + 1) begin : gen_frames
            voted_reg #(
                .W(8),
                .TMR(TMR)
            ) u_frames (
                .clk(clk),
                .rst(rst),
                .enable(writes && awaddr_q == FRAMES && wstrb_q[f]),
                .d(wdata_q[8*f +: 8]),
                .q(frames_q[8*f +: 8])
            );
        end
    endgenerate

    // the check sum is the sum of the sums after each write from LOAD_WORDS on
    always @(posedge clk) begin
        load_data_q <= load_value;
        if (moves) load_sum_q <= begins ? load_value : load_sum_q + load_value;
    end

    always @(posedge clk) begin
        if (rst || (moves && begins)) load_check_q <= 32'd0;
        else if (load_added_q) load_check_q <= load_check_q + load_sum_q;
    end

    localparam [0:0] LOADABLE = LAYERS != 0;
    wire [LOAD_W-1:0] load_select_d;
    generate
        genvar l;
        for (l = 0; l < LOAD_W; l = l + 1) begin : gen_select
            assign load_select_d[l] = load_value == l;
        end
    endgenerate
    wire unloaded_d = LAYERS != 0 && (moves || settle_q != 4'd0 || !(&loaded));
    wire [3:0] settle_d = moves ? 4'b1111 : settle_q >> 1;
    voted_reg #(
        .W(3),
        .TMR(TMR)
    ) u_move (
        .clk(clk),
        .rst(rst),
        .enable(1'b1),
        .d({loading && begins, loading && loads, moves}),
        .q({load_move_q, load_added_q})
    );
    voted_reg #(
        .W(8),
        .TMR(TMR)
    ) u_layer (
        .clk(clk),
        .rst(rst),
        .enable(loading && selects),
        .d(load_value[7:0]),
        .q(load_layer_q)
    );
    voted_reg #(
        .W(LOAD_W),
        .RESET(1),
        .TMR(TMR)
    ) u_select (
        .clk(clk),
        .rst(rst),
        .enable(loading && selects),
        .d(load_select_d),
        .q(load_select_q)
    );
    voted_reg #(
        .W(5),
        .RESET({4'd0, LOADABLE}),
        .TMR(TMR)
    ) u_unloaded (
        .clk(clk),
        .rst(rst),
        .enable(1'b1),
        .d({settle_d, unloaded_d}),
        .q({settle_q, unloaded_q})
    );

endmodule
`default_nettype wire
