"""A small build directory whose cells can be counted by hand: the tests of the synthesizers share it."""

import json
from pathlib import Path

from hwgen.board import CONSTRAINTS, load_board

# `adder`: W cells LUT6_2, (W + 7) / 8 CARRY8, a ROM.  `delay`: one SRL16E a bit.  `scratch`: 64 words.
TOY_V = """
`default_nettype none
module term_rom #(parameter FILE = "", parameter DEPTH = 2, parameter WIDTH = 8) (
    input wire clk, input wire [7:0] address, output reg [WIDTH-1:0] word
);
    reg [WIDTH-1:0] memory [0:DEPTH-1];
    initial $readmemh(FILE, memory);
    always @(posedge clk) word <= memory[address[$clog2(DEPTH)-1:0]];
endmodule

module adder #(parameter FILE = "", parameter DEPTH = 2, parameter W = 8) (
    input wire clk, input wire [7:0] address, input wire [W-1:0] x, output reg [W-1:0] sum
);
    localparam CHAINS = (W + 7) / 8;
    wire [W-1:0] word;
    wire [8*CHAINS-1:0] propagate, bypass, result, carry;
    term_rom #(.FILE(FILE), .DEPTH(DEPTH), .WIDTH(W)) u_rom (.clk(clk), .address(address), .word(word));
    genvar i;
    generate
        for (i = 0; i < 8 * CHAINS; i = i + 1) begin : gen_bit
            if (i < W) begin : gen_used
                LUT6_2 #(.INIT(64'h6666_6666_AAAA_AAAA)) lut_i (
                    .I0(word[i]), .I1(x[i]), .I2(sum[i]), .I3(1'b0), .I4(1'b0), .I5(1'b1),
                    .O5(bypass[i]), .O6(propagate[i])
                );
            end else begin : gen_unused
                assign bypass[i] = 1'b0;
                assign propagate[i] = 1'b0;
            end
        end
        for (i = 0; i < CHAINS; i = i + 1) begin : gen_chain
            wire carry_in;
            if (i == 0) begin : gen_first
                assign carry_in = 1'b0;
            end else begin : gen_next
                assign carry_in = carry[8*i-1];
            end
            CARRY8 #(.CARRY_TYPE("SINGLE_CY8")) carry_i (
                .CI(carry_in), .CI_TOP(1'b0), .DI(bypass[8*i +: 8]), .S(propagate[8*i +: 8]),
                .O(result[8*i +: 8]), .CO(carry[8*i +: 8])
            );
        end
    endgenerate
    always @(posedge clk) sum <= result[W-1:0];
endmodule

module delay #(parameter W = 1, parameter DEPTH = 8) (
    input wire clk, input wire [W-1:0] x, output wire [W-1:0] y
);
    genvar i;
    generate
        for (i = 0; i < W; i = i + 1) begin : gen_bit
            SRL16E shift_i (
                .CLK(clk), .CE(1'b1), .D(x[i]), .Q(y[i]),
                .A0(DEPTH[0]), .A1(DEPTH[1]), .A2(DEPTH[2]), .A3(DEPTH[3])
            );
        end
    endgenerate
endmodule

module scratch #(parameter W = 7) (
    input wire clk, input wire write, input wire [5:0] address, input wire [W-1:0] x, output wire [W-1:0] y
);
    (* ram_style = "distributed" *) reg [W-1:0] memory [0:63];
    reg [5:0] read_q;
    always @(posedge clk) begin
        if (write) memory[address] <= x;
        read_q <= address;
    end
    assign y = memory[read_q];
endmodule
"""

TOY_CORE_V = """
`default_nettype none
module toy_core (
    input wire clk, input wire write, input wire [7:0] address, input wire [15:0] x,
    output wire [15:0] y
);
    wire [7:0] a;
    wire [11:0] b;
    wire [6:0] c;
    wire [2:0] d;
    adder #(
        .FILE("rom/a.hex"), .DEPTH(8), .W(8)
    ) u_adder_a (.clk(clk), .address(address), .x(x[7:0]), .sum(a));
    adder #(
        .FILE("rom/b.hex"), .DEPTH(16), .W(12)
    ) u_adder_b (.clk(clk), .address(address), .x(x[11:0]), .sum(b));
    scratch #(.W(7)) u_scratch_c (.clk(clk), .write(write), .address(address[5:0]), .x(a[6:0]), .y(c));
    delay #(.W(3), .DEPTH(8)) u_delay_d (.clk(clk), .x({c[0], a[7], b[0]}), .y(d));
    assign y = {d, c[6:1], b[11:5]} ^ {11'd0, b[4:0]};
endmodule
"""

TOY_TOP_V = """
`default_nettype none
module toy_top (
    input wire clk, input wire write, input wire [7:0] address, input wire [15:0] x,
    output reg [15:0] y
);
    wire [15:0] core_y;
    toy_core u_core (.clk(clk), .write(write), .address(address), .x(x), .y(core_y));
    always @(posedge clk) y <= core_y;
endmodule
"""

ROMS = {
    "rom/a.hex": ([1, 0xA2, 3, 0xFF, 0x5C, 6, 0x70, 0x81], 8),
    "rom/b.hex": ([(37 * i * i + 5) % 4096 for i in range(16)], 12),
}


def unit(name: str, module: str, **parameters) -> dict:
    """An entry of the manifest."""
    instance, given = f"u_{module}_{name}", {key: str(value) for key, value in parameters.items()}
    return {"name": name, "kind": module, "module": module, "instance": instance, "parameters": given}


def write_build(folder: Path) -> Path:
    """Writes the toy build into the folder and returns it."""
    manifest = {
        "name": "toy",
        "core": "toy_core",
        "top": "toy_top",
        "clocks": {"core": "clk", "top": "clk"},
        "board": load_board("zcu104").record(),
        "sources": ["rtl/toy.v", "rtl/toy_core.v", "rtl/toy_top.v"],
        "roms": {path: {"depth": len(words), "width": width} for path, (words, width) in ROMS.items()},
        "units": [
            unit("a", "adder", FILE='"rom/a.hex"', DEPTH=8, W=8),
            unit("b", "adder", FILE='"rom/b.hex"', DEPTH=16, W=12),
            unit("c", "scratch", W=7),
            unit("d", "delay", W=3, DEPTH=8),
        ],
    }
    (folder / "rtl").mkdir()
    (folder / "rom").mkdir()
    for path, text in (("rtl/toy.v", TOY_V), ("rtl/toy_core.v", TOY_CORE_V), ("rtl/toy_top.v", TOY_TOP_V)):
        (folder / path).write_text(text)
    for path, (words, width) in ROMS.items():
        digits = (width + 3) // 4
        (folder / path).write_text("".join(f"{word:0{digits}x}\n" for word in words))
    (folder / CONSTRAINTS).write_text(load_board("zcu104").constraints)
    (folder / "hwgen.json").write_text(json.dumps(manifest))
    return folder
