"""A model of UltraScale+ block RAMs for simulation, as far as yosys's netlists need it: its library has none.

One clock, no output registers, no cascades, no resets of the outputs. A read sees what was there before a write of the
same clock. Whether that is so shows in the results, which are compared with the golden integers.
"""

from textwrap import indent

PARTS = {"RAMB36E2": (64, 128, 16), "RAMB18E2": (32, 64, 8)}  # bits of a line, INIT and INITP parameters

MODEL = """
module block_ram #(parameter LINE = 64, parameter READ = 0, parameter WRITE = 0, parameter ADDRESS = 15) (
    input wire clk, input wire read, input wire [ADDRESS-1:0] read_address, output reg [LINE-1:0] q,
    output reg [LINE/8-1:0] q_parity, input wire write, input wire [ADDRESS-1:0] write_address,
    input wire [LINE/8-1:0] bytes, input wire [LINE-1:0] d, input wire [LINE/8-1:0] d_parity
);
    // bits of data of a port of 1, 2, 4, 9, 18, 36 or 72 bits
    localparam R = READ >= 9 ? READ / 9 * 8 : READ;
    localparam W = WRITE >= 9 ? WRITE / 9 * 8 : WRITE;
    localparam LOW = $clog2(LINE);
    reg [LINE-1:0] data [0:511];
    reg [LINE/8-1:0] parity [0:511];
    wire [LOW-1:0] r_at = R == 0 || R == LINE ? 0 : read_address[LOW-1:0] & ~(R - 1);
    wire [LOW-1:0] w_at = W == 0 || W == LINE ? 0 : write_address[LOW-1:0] & ~(W - 1);
    wire [LINE-1:0] taken = data[read_address[ADDRESS-1:LOW]] >> r_at;
    wire [LINE/8-1:0] taken_parity = parity[read_address[ADDRESS-1:LOW]] >> (r_at >> 3);
    wire [LINE-1:0] mask;
    genvar i;
    generate
        for (i = 0; i < LINE; i = i + 1) assign mask[i] = i < W && bytes[i / 8];
    endgenerate
    wire [LINE-1:0] at = mask << w_at;
    wire [LINE/8-1:0] at_parity = (W >= 8 ? bytes & ((1 << W / 8) - 1) : 0) << (w_at >> 3);
    always @(posedge clk) begin
        if (read && R != 0) begin
            q <= taken;
            q_parity <= taken_parity;
        end
        if (write && W != 0) begin
            data[write_address[ADDRESS-1:LOW]] <= data[write_address[ADDRESS-1:LOW]] & ~at | (d << w_at) & at;
            parity[write_address[ADDRESS-1:LOW]] <=
                parity[write_address[ADDRESS-1:LOW]] & ~at_parity | (d_parity << (w_at >> 3)) & at_parity;
        end
    end
endmodule
"""

PRIMITIVE = """
module {name} #(
{parameters}
    parameter integer DOA_REG = 1, parameter integer DOB_REG = 1,
    parameter integer READ_WIDTH_A = 0, parameter integer READ_WIDTH_B = 0,
    parameter integer WRITE_WIDTH_A = 0, parameter integer WRITE_WIDTH_B = 0,
    parameter [35:0] INIT_A = 0, parameter [35:0] INIT_B = 0, parameter [35:0] SRVAL_A = 0,
    parameter [35:0] SRVAL_B = 0, parameter WRITE_MODE_A = "NO_CHANGE", parameter WRITE_MODE_B = "NO_CHANGE"
) (
    input wire CLKARDCLK, input wire CLKBWRCLK, input wire ENARDEN, input wire ENBWREN,
    input wire REGCEAREGCE, input wire REGCEB, input wire ADDRENA, input wire ADDRENB, input wire RSTRAMARSTRAM,
    input wire RSTRAMB, input wire RSTREGARSTREG, input wire RSTREGB, input wire SLEEP,
    input wire [3:0] WEA, input wire [7:0] WEBWE,
    input wire [{address}-1:0] ADDRARDADDR, input wire [{address}-1:0] ADDRBWRADDR,
    input wire [{half}-1:0] DINADIN, input wire [{half}-1:0] DINBDIN,
    input wire [{half}/8-1:0] DINPADINP, input wire [{half}/8-1:0] DINPBDINP,
    output wire [{half}-1:0] DOUTADOUT, output wire [{half}-1:0] DOUTBDOUT,
    output wire [{half}/8-1:0] DOUTPADOUTP, output wire [{half}/8-1:0] DOUTPBDOUTP
);
    // one port reads and the other writes, and there is no other use
    localparam SWAP = WRITE_WIDTH_A != 0;
    localparam WRITE = SWAP ? WRITE_WIDTH_A : WRITE_WIDTH_B;
    localparam WHOLE = WRITE == {line} / 8 * 9;
    localparam H = {half};
    wire [{line}-1:0] q;
    wire [{line}/8-1:0] q_parity;
    wire [H-1:0] d = SWAP ? DINADIN : DINBDIN;
    wire [H/8-1:0] d_parity = SWAP ? DINPADINP : DINPBDINP;
    block_ram #(.LINE({line}), .READ(SWAP ? READ_WIDTH_B : READ_WIDTH_A), .WRITE(WRITE), .ADDRESS({address})) u_ram (
        .clk(CLKARDCLK),
        .read(SWAP ? ENBWREN : ENARDEN), .read_address(SWAP ? ADDRBWRADDR : ADDRARDADDR),
        .q(q), .q_parity(q_parity),
        .write(SWAP ? ENARDEN : ENBWREN), .write_address(SWAP ? ADDRARDADDR : ADDRBWRADDR),
        .bytes(SWAP ? {{4'b0, WEA}} : WEBWE),
        .d(WHOLE ? {{d, DINADIN}} : {{{{H{{1'b0}}}}, d}}),
        .d_parity(WHOLE ? {{d_parity, DINPADINP}} : {{{{H/8{{1'b0}}}}, d_parity}})
    );
    assign {{DOUTBDOUT, DOUTADOUT}} = SWAP ? {{q[H-1:0], {{H{{1'b0}}}}}} : q;
    assign {{DOUTPBDOUTP, DOUTPADOUTP}} = SWAP ? {{q_parity[H/8-1:0], {{H/8{{1'b0}}}}}} : q_parity;
    integer i;
    localparam [{bits}-1:0] DATA = {{{data}}};
    localparam [{bits}/8-1:0] PARITY = {{{parity}}};
    initial begin
        if (DOA_REG != 0 || DOB_REG != 0 || (SWAP ? READ_WIDTH_A != 0 || WRITE_WIDTH_B != 0 : READ_WIDTH_B != 0)) begin
            $display("a block RAM that this model does not know");
            $stop;
        end
        for (i = 0; i < 512; i = i + 1) begin
            u_ram.data[i] = DATA[{line}*i +: {line}];
            u_ram.parity[i] = PARITY[{line}/8*i +: {line}/8];
        end
    end
endmodule
"""


def models() -> str:
    """The Verilog of RAMB36E2 and RAMB18E2."""
    texts = [MODEL]
    for name, (line, inits, parities) in PARTS.items():
        data = [f"INIT_{i:02X}" for i in range(inits)]
        parity = [f"INITP_{i:02X}" for i in range(parities)]
        declared = "\n".join(f"parameter [255:0] {one} = 0," for one in [*data, *parity])
        texts.append(
            PRIMITIVE.format(
                name=name,
                line=line,
                half=line // 2,
                bits=line * 512,
                address=15 if line == 64 else 14,
                parameters=indent(declared, "    "),
                data=", ".join(reversed(data)),
                parity=", ".join(reversed(parity)),
            )
        )
    return "".join(texts)
