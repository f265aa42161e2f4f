// SPDX-License-Identifier: Apache-2.0
//
// The host's view of a network: an AXI4-Lite slave of 32-bit registers, the map of docs/registers.md.
//
//   0x00 ID  0x04 VERSION  0x08 CONTROL  0x0C STATUS  0x10 FRAMES  0x14 FRAMES_IN  0x18 FRAMES_OUT
//   0x1C CYCLES  0x24 INPUT_STALLS  0x2C OUTPUT_STALLS  0x34 STARVED (low word, then high word)
//   0x3C IN_BEATS  0x40 OUT_BEATS  0x44 BUILD_ID
//
// Writable are CONTROL (bit 0 start, bit 1 soft_reset: one-cycle pulses, read as 0) and FRAMES, byte by byte
// as WSTRB says. Any other write, and a read past BUILD_ID, answers SLVERR and changes nothing. The low two
// address bits are not looked at. One write and one read are in hand at a time; address and data of a write
// may come in either order.
//
// bench: sim/bench_axil_registers.py
`default_nettype none
module axil_registers #(
    parameter        IN_BEATS  = 16,    // words in an input frame
    parameter        OUT_BEATS = 10,    // words in an output frame
    parameter [31:0] VERSION   = 0,     // of the generator
    parameter [31:0] BUILD_ID  = 0      // of this network
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
    input  wire        busy,
    input  wire        done,
    input  wire        tlast_error,
    input  wire [31:0] frames_in,
    input  wire [31:0] frames_out,
    input  wire [63:0] cycles,
    input  wire [63:0] input_stalls,
    input  wire [63:0] output_stalls,
    input  wire [63:0] starved
);

    localparam [31:0] ID = 32'h4857474E;  // "HWGN"
    localparam [9:0] CONTROL = 10'h002;   // word addresses
    localparam [9:0] FRAMES = 10'h004;
    localparam [1:0] OKAY = 2'b00;
    localparam [1:0] SLVERR = 2'b10;

    reg         aw_held_q;
    reg  [9:0]  awaddr_q;
    reg         w_held_q;
    reg  [31:0] wdata_q;
    reg  [3:0]  wstrb_q;
    reg         bvalid_q;
    reg  [1:0]  bresp_q;
    reg         rvalid_q;
    reg  [1:0]  rresp_q;
    reg  [31:0] rdata_q;
    reg         start_q;
    reg         soft_reset_q;
    reg  [31:0] frames_q;

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

    wire unused = &{1'b0, s_axi_awprot, s_axi_arprot, s_axi_awaddr[1:0], s_axi_araddr[1:0]};

    // what is read, and whether there is something to read
    reg  [31:0] value_d;
    reg         known_d;
    always @* begin
        known_d = 1'b1;
        case (s_axi_araddr[11:2])
            10'h000: value_d = ID;
            10'h001: value_d = VERSION;
            CONTROL: value_d = 32'd0;
            10'h003: value_d = {29'd0, tlast_error, done, busy};
            FRAMES:  value_d = frames_q;
            10'h005: value_d = frames_in;
            10'h006: value_d = frames_out;
            10'h007: value_d = cycles[31:0];
            10'h008: value_d = cycles[63:32];
            10'h009: value_d = input_stalls[31:0];
            10'h00A: value_d = input_stalls[63:32];
            10'h00B: value_d = output_stalls[31:0];
            10'h00C: value_d = output_stalls[63:32];
            10'h00D: value_d = starved[31:0];
            10'h00E: value_d = starved[63:32];
            10'h00F: value_d = IN_BEATS;
            10'h010: value_d = OUT_BEATS;
            10'h011: value_d = BUILD_ID;
            default: begin
                value_d = 32'd0;
                known_d = 1'b0;
            end
        endcase
    end

    // data: no reset, counts only with its valid bit
    always @(posedge clk) begin
        if (!aw_held_q) awaddr_q <= s_axi_awaddr[11:2];
        if (!w_held_q) begin
            wdata_q <= s_axi_wdata;
            wstrb_q <= s_axi_wstrb;
        end
        if (writes) bresp_q <= awaddr_q == CONTROL || awaddr_q == FRAMES ? OKAY : SLVERR;
        if (reads) begin
            rdata_q <= value_d;
            rresp_q <= known_d ? OKAY : SLVERR;
        end
    end

    always @(posedge clk) begin
        if (rst) begin
            aw_held_q    <= 1'b0;
            w_held_q     <= 1'b0;
            bvalid_q     <= 1'b0;
            rvalid_q     <= 1'b0;
            start_q      <= 1'b0;
            soft_reset_q <= 1'b0;
            frames_q     <= 32'd0;
        end else begin
            aw_held_q    <= !writes && (aw_held_q || s_axi_awvalid);
            w_held_q     <= !writes && (w_held_q || s_axi_wvalid);
            bvalid_q     <= writes || (bvalid_q && !s_axi_bready);
            rvalid_q     <= reads || (rvalid_q && !s_axi_rready);
            start_q      <= writes && awaddr_q == CONTROL && wstrb_q[0] && wdata_q[0];
            soft_reset_q <= writes && awaddr_q == CONTROL && wstrb_q[0] && wdata_q[1];
            if (writes && awaddr_q == FRAMES) begin
                if (wstrb_q[0]) frames_q[7:0] <= wdata_q[7:0];
                if (wstrb_q[1]) frames_q[15:8] <= wdata_q[15:8];
                if (wstrb_q[2]) frames_q[23:16] <= wdata_q[23:16];
                if (wstrb_q[3]) frames_q[31:24] <= wdata_q[31:24];
            end
        end
    end

endmodule
`default_nettype wire
