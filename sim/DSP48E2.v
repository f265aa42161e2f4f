// SPDX-License-Identifier: Apache-2.0
// Simulation and proofs only: a DSP48E2 as an adder in lanes, without its multiplier, after the tables of UG579.
//
//   P = ALUMODE 0000: Z + (W + X + Y + CIN)          ALUMODE 0001: not(Z) + (W + X + Y + CIN)
//       ALUMODE 0011: Z - (W + X + Y + CIN)          ALUMODE 0010: not(Z + W + X + Y + CIN)
//
//   OPMODE [8:7] W: 00 0, 01 P, 10 RND, 11 C       [3:2] Y: 00 0, 10 ones, 11 C
//          [6:4] Z: 000 0, 010 P, 011 C            [1:0] X: 00 0, 10 P, 11 A:B
//
// USE_SIMD cuts the carries, and CARRYIN enters the lowest lane alone. Registers and their resets are as in the guide, PREG = 1
// (P needs it). Left out, and x where it shows (`legal` low): the multiplier, FOUR12, logic modes, PCIN, shifts by 17, carry cascades,
// pattern detection, and INMODE and D, which nothing reads then.
`default_nettype none

module DSP48E2 #(
    parameter USE_MULT = "MULTIPLY",
    parameter USE_SIMD = "ONE48",
    parameter AREG = 1,
    parameter BREG = 1,
    parameter CREG = 1,
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
    input  wire [8:0]  OPMODE,
    input  wire [3:0]  ALUMODE,
    input  wire        CARRYIN,
    input  wire [2:0]  CARRYINSEL,
    output wire [47:0] P,
    input  wire        CEA2,
    input  wire        CEB2,
    input  wire        CEC,
    input  wire        CECTRL,
    input  wire        CEALUMODE,
    input  wire        CECARRYIN,
    input  wire        CEP,
    input  wire        RSTA,
    input  wire        RSTB,
    input  wire        RSTC,
    input  wire        RSTCTRL,
    input  wire        RSTALUMODE,
    input  wire        RSTALLCARRYIN,
    input  wire        RSTP,
    // nothing that the model covers reads these
    /* verilator lint_off UNUSEDSIGNAL */
    input  wire [26:0] D,
    input  wire [4:0]  INMODE,
    input  wire [29:0] ACIN,
    input  wire [17:0] BCIN,
    input  wire [47:0] PCIN,
    input  wire        CARRYCASCIN,
    input  wire        MULTSIGNIN,
    input  wire        CEA1,
    input  wire        CEB1,
    input  wire        CEAD,
    input  wire        CED,
    input  wire        CEINMODE,
    input  wire        CEM,
    input  wire        RSTD,
    input  wire        RSTINMODE,
    input  wire        RSTM
    /* verilator lint_on UNUSEDSIGNAL */
);

    generate
        if (USE_MULT != "NONE" || MREG != 0) begin : gen_check_mult
            DSP48E2_USE_MULT_must_be_NONE_with_MREG_0 error_i ();
        end
        if (USE_SIMD != "ONE48" && USE_SIMD != "TWO24") begin : gen_check_simd
            DSP48E2_USE_SIMD_must_be_ONE48_or_TWO24 error_i ();
        end
        if (PREG != 1 || AREG > 1 || BREG > 1) begin : gen_check_registers
            DSP48E2_PREG_must_be_1_and_AREG_and_BREG_at_most_1 error_i ();
        end
        if (INMODEREG > 1) begin : gen_check_inmode
            DSP48E2_INMODEREG_must_be_0_or_1 error_i ();
        end
    endgenerate

    reg [29:0] a_q;
    reg [17:0] b_q;
    reg [47:0] c_q;
    reg [8:0]  opmode_q;
    reg [3:0]  alumode_q;
    reg        carryin_q;
    reg [2:0]  carryinsel_q;
    reg [47:0] p_q;

    wire [29:0] a = (AREG != 0) ? a_q : A;
    wire [17:0] b = (BREG != 0) ? b_q : B;
    wire [47:0] c = (CREG != 0) ? c_q : C;
    wire [8:0]  opmode = (OPMODEREG != 0) ? opmode_q : OPMODE;
    wire [3:0]  alumode = (ALUMODEREG != 0) ? alumode_q : ALUMODE;
    wire        carryin = (CARRYINREG != 0) ? carryin_q : CARRYIN;
    wire [2:0]  carryinsel = (CARRYINSELREG != 0) ? carryinsel_q : CARRYINSEL;

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
            2'b10: y = {48{1'b1}};
            2'b11: y = c;
            default: begin
                y = {48{1'bx}};
                legal = 1'b0;
            end
        endcase
        case (opmode[1:0])
            2'b00: x = 48'd0;
            2'b10: x = p_q;
            2'b11: x = {a, b};
            default: begin
                x = {48{1'bx}};
                legal = 1'b0;
            end
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
