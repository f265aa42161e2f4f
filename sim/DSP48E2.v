// SPDX-License-Identifier: Apache-2.0
// Simulation and proofs only: a DSP48E2 as an adder in lanes, or behind its multiplier, after the tables of UG579.
//
//   P = ALUMODE 0000: Z + (W + X + Y + CIN)          ALUMODE 0001: not(Z) + (W + X + Y + CIN)
//       ALUMODE 0011: Z - (W + X + Y + CIN)          ALUMODE 0010: not(Z + W + X + Y + CIN)
//
//   OPMODE [8:7] W: 00 0, 01 P, 10 RND, 11 C       [3:2] Y: 00 0, 01 M (X too), 10 ones, 11 C
//          [6:4] Z: 000 0, 010 P, 011 C            [1:0] X: 00 0, 01 M (Y too), 10 P, 11 A:B
//
//   M = B * AD, signed, with AMULTSEL "AD"; AD = (INMODE[2] ? D : 0) + (INMODE[1] ? 0 : A[26:0]), a difference with INMODE[3]
//
// USE_SIMD cuts the carries, and CARRYIN enters the lowest lane alone. Registers and their resets are as in the guide, PREG = 1
// (P needs it). Left out, and x where it shows (`legal` low): A1 and B1 (INMODE[0], [4]), FOUR12, logic modes, PCIN, shifts by 17,
// carry cascades, pattern detection, and the multiplier's other inputs (BMULTSEL, PREADDINSEL).
`default_nettype none

module DSP48E2 #(
    parameter USE_MULT = "MULTIPLY",
    parameter USE_SIMD = "ONE48",
    parameter AMULTSEL = "A",
    parameter AREG = 1,
    parameter BREG = 1,
    parameter CREG = 1,
    parameter DREG = 1,
    parameter ADREG = 1,
    parameter MREG = 1,
    parameter PREG = 1,
    parameter OPMODEREG = 1,
    parameter ALUMODEREG = 1,
    parameter CARRYINREG = 1,
    parameter CARRYINSELREG = 1,
    parameter INMODEREG = 1,
    parameter [47:0] RND = 48'd0
) (
    input  wire        CLK,
    input  wire [29:0] A,
    input  wire [17:0] B,
    input  wire [47:0] C,
    input  wire [26:0] D,
    input  wire [4:0]  INMODE,
    input  wire [8:0]  OPMODE,
    input  wire [3:0]  ALUMODE,
    input  wire        CARRYIN,
    input  wire [2:0]  CARRYINSEL,
    output wire [47:0] P,
    input  wire        CEA2,
    input  wire        CEB2,
    input  wire        CEC,
    input  wire        CED,
    input  wire        CEAD,
    input  wire        CEM,
    input  wire        CEINMODE,
    input  wire        CECTRL,
    input  wire        CEALUMODE,
    input  wire        CECARRYIN,
    input  wire        CEP,
    input  wire        RSTA,
    input  wire        RSTB,
    input  wire        RSTC,
    input  wire        RSTD,
    input  wire        RSTM,
    input  wire        RSTINMODE,
    input  wire        RSTCTRL,
    input  wire        RSTALUMODE,
    input  wire        RSTALLCARRYIN,
    input  wire        RSTP,
    // nothing that the model covers reads these
    /* verilator lint_off UNUSEDSIGNAL */
    input  wire [29:0] ACIN,
    input  wire [17:0] BCIN,
    input  wire [47:0] PCIN,
    input  wire        CARRYCASCIN,
    input  wire        MULTSIGNIN,
    input  wire        CEA1,
    input  wire        CEB1
    /* verilator lint_on UNUSEDSIGNAL */
);

    generate
        /* verilator lint_off WIDTHEXPAND */  // strings of other lengths are compared
        if (USE_MULT != "MULTIPLY" && (USE_MULT != "NONE" || MREG != 0)) begin : gen_check_mult
            DSP48E2_USE_MULT_must_be_MULTIPLY_or_NONE_with_MREG_0 error_i ();
        end
        if (USE_MULT == "MULTIPLY" && USE_SIMD != "ONE48") begin : gen_check_whole
            DSP48E2_USE_SIMD_must_be_ONE48_with_MULTIPLY error_i ();
        end
        if (USE_MULT == "MULTIPLY" && AMULTSEL != "AD") begin : gen_check_amultsel
            DSP48E2_AMULTSEL_must_be_AD_with_MULTIPLY error_i ();
        end
        if (USE_SIMD != "ONE48" && USE_SIMD != "TWO24") begin : gen_check_simd
            DSP48E2_USE_SIMD_must_be_ONE48_or_TWO24 error_i ();
        end
        /* verilator lint_on WIDTHEXPAND */
        if (PREG != 1 || AREG > 1 || BREG > 1) begin : gen_check_registers
            DSP48E2_PREG_must_be_1_and_AREG_and_BREG_at_most_1 error_i ();
        end
        if (INMODEREG > 1 || DREG > 1 || ADREG > 1 || MREG > 1) begin : gen_check_multiplier_registers
            DSP48E2_INMODEREG_DREG_ADREG_and_MREG_must_be_0_or_1 error_i ();
        end
    endgenerate

    reg [29:0] a_q;
    reg [17:0] b_q;
    reg [47:0] c_q;
    reg [26:0] d_q;
    reg [26:0] ad_q;
    reg [44:0] m_q;
    reg [4:0]  inmode_q;
    reg [8:0]  opmode_q;
    reg [3:0]  alumode_q;
    reg        carryin_q;
    reg [2:0]  carryinsel_q;
    reg [47:0] p_q;

    wire [29:0] a = (AREG != 0) ? a_q : A;
    wire [17:0] b = (BREG != 0) ? b_q : B;
    wire [47:0] c = (CREG != 0) ? c_q : C;
    wire [26:0] d = (DREG != 0) ? d_q : D;
    wire [4:0]  inmode = (INMODEREG != 0) ? inmode_q : INMODE;
    wire [8:0]  opmode = (OPMODEREG != 0) ? opmode_q : OPMODE;
    wire [3:0]  alumode = (ALUMODEREG != 0) ? alumode_q : ALUMODE;
    wire        carryin = (CARRYINREG != 0) ? carryin_q : CARRYIN;
    wire [2:0]  carryinsel = (CARRYINSELREG != 0) ? carryinsel_q : CARRYINSEL;

    wire [26:0] from_d = inmode[2] ? d : 27'd0;
    wire [26:0] from_a = inmode[1] ? 27'd0 : a[26:0];
    wire [26:0] ad_d = inmode[3] ? from_d - from_a : from_d + from_a;
    wire [26:0] ad = (ADREG != 0) ? ad_q : ad_d;
    wire [44:0] product = {{18{ad[26]}}, ad} * {{27{b[17]}}, b};
    wire [44:0] m_d = (inmode[4] || inmode[0]) ? {45{1'bx}} : product;
    wire [44:0] m = (MREG != 0) ? m_q : m_d;
    /* verilator lint_off WIDTHEXPAND */
    wire        multiplies = USE_MULT == "MULTIPLY" && opmode[3:0] == 4'b0101;
    /* verilator lint_on WIDTHEXPAND */

    reg [47:0] w;
    reg [47:0] x;
    reg [47:0] y;
    reg [47:0] z;
    reg        legal;
    always @* begin
        legal = alumode[3:2] == 2'b00 && carryinsel == 3'b000;
        case (opmode[8:7])
            2'b00: w = 48'd0;
            2'b01: w = p_q;
            2'b10: w = RND;
            default: w = c;
        endcase
        case (opmode[6:4])
            3'b000: z = 48'd0;
            3'b010: z = p_q;
            3'b011: z = c;
            default: begin
                z = {48{1'bx}};
                legal = 1'b0;
            end
        endcase
        case (opmode[3:2])
            2'b00: y = 48'd0;
            2'b01: begin  // both partial products, as one
                y = 48'd0;
                legal = legal && multiplies;
            end
            2'b10: y = {48{1'b1}};
            default: y = c;
        endcase
        case (opmode[1:0])
            2'b00: x = 48'd0;
            2'b01: begin
                x = {{3{m[44]}}, m};
                legal = legal && multiplies;
            end
            2'b10: x = p_q;
            default: x = {a, b};
        endcase
    end

    localparam LANE_W = (USE_SIMD == "TWO24") ? 24 : 48;
    wire [47:0] z_inverted = z ^ {48{alumode[0]}};
    wire [47:0] added;
    generate
        genvar l;
        for (l = 0; l < 48 / LANE_W; l = l + 1) begin : gen_lane
            wire [LANE_W-1:0] cin;
            if (l == 0) begin : gen_first
                assign cin = {{(LANE_W-1){1'b0}}, carryin};
            end else begin : gen_next
                assign cin = {LANE_W{1'b0}};
            end
            assign added[l*LANE_W +: LANE_W] = z_inverted[l*LANE_W +: LANE_W]
                + (w[l*LANE_W +: LANE_W] + x[l*LANE_W +: LANE_W] + y[l*LANE_W +: LANE_W] + cin);
        end
    endgenerate
    wire [47:0] result = legal ? added ^ {48{alumode[1]}} : {48{1'bx}};

    always @(posedge CLK) begin
        if (RSTA) a_q <= 30'd0;
        else if (CEA2) a_q <= A;
        if (RSTB) b_q <= 18'd0;
        else if (CEB2) b_q <= B;
        if (RSTC) c_q <= 48'd0;
        else if (CEC) c_q <= C;
        if (RSTD) d_q <= 27'd0;
        else if (CED) d_q <= D;
        if (RSTD) ad_q <= 27'd0;
        else if (CEAD) ad_q <= ad_d;
        if (RSTM) m_q <= 45'd0;
        else if (CEM) m_q <= m_d;
        if (RSTINMODE) inmode_q <= 5'd0;
        else if (CEINMODE) inmode_q <= INMODE;
        if (RSTALUMODE) alumode_q <= 4'd0;
        else if (CEALUMODE) alumode_q <= ALUMODE;
        if (RSTALLCARRYIN) carryin_q <= 1'b0;
        else if (CECARRYIN) carryin_q <= CARRYIN;
        if (RSTP) p_q <= 48'd0;
        else if (CEP) p_q <= result;
    end

    always @(posedge CLK) begin
        if (RSTCTRL) begin
            opmode_q <= 9'd0;
            carryinsel_q <= 3'd0;
        end else if (CECTRL) begin
            opmode_q <= OPMODE;
            carryinsel_q <= CARRYINSEL;
        end
    end

    assign P = p_q;

endmodule
`default_nettype wire
