"""What lanes cost, of terms as the unit says and dense ones, against yosys, and from how many zeros on pruning pays.

Each lane is synthesized LANES times side by side, with the engine's own lane select and clamp; the cost of one is
a LANES-th. Two lanes are compared with rtl/pe.v, both without a DSP block and blind to zeros: a multiply-accumulate by
Booth's radix-4 digits (yosys's own `*` takes more), and a barrel shifter in front of an accumulator, for powers of two.
Their weights come decoded, for one decoder serves all lanes; where they subtract, they add the complement, and the ones
that this lacks depend on weights only: they are part of the bias.
"""

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table
from torch import nn

from hwgen.board import CONSTRAINTS, load_board
from hwgen.compress import price
from hwgen.compress.formats import AdditivePowersOfTwo, PowerOfTwo, Ternary, Uniform
from hwgen.ir import TensorType
from hwgen.lanes.entries import PlaceBits
from hwgen.lanes.kinds.lut import sum_program
from hwgen.ops.conv import Conv
from hwgen.ops.quantize import Quantize
from hwgen.qtype import QType, ceil_log2
from hwgen.share import share
from hwgen.synth import yosys

LANES = 16

MAC_V = """
`default_nettype none
// sum = acc + weight * x, without the ones of the complements;
// weight = sum of (two ? 2 : one) * (negate ? -1 : 1) * 4^digit
module mac #(parameter X_W = 8, parameter DIGITS = 4, parameter W = 24) (
    input wire clk, input wire clear, input wire enable, input wire [X_W-1:0] x,
    input wire [DIGITS-1:0] one, input wire [DIGITS-1:0] two, input wire [DIGITS-1:0] negate,
    output wire [W-1:0] sum
);
    localparam ROW_W = X_W + 2;
    // each row adds a digit's multiple of x to the row before, whose two low bits are final
    wire [ROW_W+2*DIGITS-3:0] product;
    genvar d;
    generate
        for (d = 0; d < DIGITS; d = d + 1) begin : gen_row
            wire [ROW_W-1:0] magnitude = one[d] ? {2'b0, x} : two[d] ? {1'b0, x, 1'b0} : {ROW_W{1'b0}};
            wire [ROW_W-1:0] multiple = magnitude ^ {ROW_W{negate[d]}};
            wire signed [ROW_W-1:0] row;
            if (d == 0) assign row = multiple;
            else assign row = (gen_row[d-1].row >>> 2) + $signed(multiple);
            if (d == DIGITS - 1) assign product[2*d +: ROW_W] = row;
            else assign product[2*d +: 2] = row[1:0];
        end
    endgenerate
    reg [W-1:0] acc_q;
    assign sum = acc_q + {{(W-ROW_W-2*DIGITS+2){product[ROW_W+2*DIGITS-3]}}, product};
    always @(posedge clk) if (clear) acc_q <= 0; else if (enable) acc_q <= sum;
endmodule
`default_nettype wire
"""

SHIFTER_V = """
`default_nettype none
// sum = acc + (nonzero ? x << shift : 0), or its complement; shift < SHIFTS
module shifter #(parameter X_W = 8, parameter SHIFTS = 7, parameter W = 22) (
    input wire clk, input wire clear, input wire enable, input wire [X_W-1:0] x,
    input wire nonzero, input wire negate, input wire [3:0] shift, output wire [W-1:0] sum
);
    localparam Y_W = X_W + SHIFTS - 1;
    wire [3:0] amount = shift & ((1 << $clog2(SHIFTS)) - 1);
    wire [Y_W-1:0] near = x << amount[1:0];
    wire [Y_W-1:0] far = near << {amount[3:2], 2'b0};
    wire [W-1:0] y = {{(W-Y_W){1'b0}}, nonzero ? far : {Y_W{1'b0}}} ^ {W{negate}};
    reg [W-1:0] acc_q;
    assign sum = acc_q + y;
    always @(posedge clk) if (clear) acc_q <= 0; else if (enable) acc_q <= sum;
endmodule
`default_nettype wire
"""

LANES_V = """
`default_nettype none
module lanes #(PARAMETERS) (
    input wire clk, input wire rst, input wire [LANES*X_W-1:0] word, input wire [LEG_W-1:0] leg,
    input wire [X_W-1:0] immediate, input wire last,
    input wire [11:0] command, input wire tready,
    output wire [LANES*X_W-1:0] tdata, output wire tvalid
);
    wire full;
    wire enable = !(last && full);
    wire clear = rst || (enable && last);
    wire [LANES*X_W-1:0] operands;
    reg [LANES*X_W-1:0] operands_q;
    reg above_q;
    lane_select #(
        .X_W(X_W), .STRIPES(LANES), .LANES(LANES), .FIRST_LEG(-(LEGS/2)), .LEGS(LEGS), .XILINX(1)
    ) u_lane_select (
        .word(word), .leg(leg), .operands(operands)
    );
    always @(posedge clk) if (enable) above_q <= immediate[X_W-1];
    genvar k;
    generate
        for (k = 0; k < LANES * X_W; k = k + 1) begin : gen_operand
            always @(posedge clk) if (enable) begin
                if (immediate[k % X_W]) operands_q[k] <= 1'b1;
                else operands_q[k] <= operands[k];
            end
        end
    endgenerate
    wire [LANES*SENT_W-1:0] sums;
    genvar l;
    generate
        for (l = 0; l < LANES; l = l + 1) begin : gen_lane
            wire [OPERAND_W-1:0] x = {{(OPERAND_W-X_W){above_q}}, operands_q[l*X_W +: X_W]};
            wire [W-1:0] sum;
            INSTANCE
            assign sums[l*SENT_W +: SENT_W] = sum[W-1 -: SENT_W];
        end
    endgenerate
    requantize #(
        .LANES(LANES), .IN_W(SENT_W), .OUT_W(X_W), .LOW(0), .HIGH((1 << X_W) - 1), .XILINX(1)
    ) u_requantize (
        .clk(clk), .rst(rst), .load(enable && last), .is_final(1'b0), .sums(sums), .full(full),
        .m_axis_tdata(tdata), .m_axis_tvalid(tvalid), .m_axis_tready(tready)
    );
endmodule
`default_nettype wire
"""

FORMATS = {
    "uniform 8": Uniform(8),
    "uniform 4": Uniform(4),
    "PoT 4": PowerOfTwo(4),
    "APoT 4": AdditivePowersOfTwo(4),
    "APoT 3": AdditivePowersOfTwo(3),
    "ternary": Ternary(),
}

# by name, with the bits of its input and the output's columns: LeNet-5, then two layers of larger networks
LAYERS = {
    "conv1 5x5, 1 to 6": (nn.Conv2d(1, 6, 5, padding=2), 8),
    "conv2 5x5, 6 to 16": (nn.Conv2d(6, 16, 5), 4),
    "linear1 400 to 120": (nn.Linear(400, 120), 4),
    "linear2 120 to 84": (nn.Linear(120, 84), 4),
    "linear3 84 to 10": (nn.Linear(84, 10), 4),
    "conv 3x3, 16 to 16": (nn.Conv2d(16, 16, 3, padding=1), 8),
    "conv 3x3, 64 to 64": (nn.Conv2d(64, 64, 3, padding=1), 8),
}


@dataclass(frozen=True)
class Lane:
    """A lane to synthesize: what the price list says of it, and its processing element as a Verilog instance."""

    price: float
    x_bits: int
    operand_bits: int
    accumulator_bits: int
    legs: int
    instance: str

    def measure(self, lanes: int = LANES) -> float:
        """LUTs of one of `lanes` lanes, by yosys."""
        parameters = {
            "LANES": lanes,
            "X_W": self.x_bits,
            "OPERAND_W": self.operand_bits,
            "LEGS": self.legs,
            "LEG_W": max(1, (self.legs - 1).bit_length()),
            "W": self.accumulator_bits,
            "SENT_W": self.x_bits + 1,  # a result fills its sum, but for the sign
        }
        text = LANES_V.replace(
            "INSTANCE", f"{self.instance}, .clk(clk), .clear(clear), .enable(enable), .x(x), .sum(sum));"
        )
        text = text.replace(
            "PARAMETERS", ", ".join(f"parameter {name} = {value}" for name, value in parameters.items())
        )
        with tempfile.TemporaryDirectory() as name:
            folder, used = Path(name), ("lane_select", "pe", "carry_chain", "requantize", "voted_reg", "clamp")
            sources = [f"{module}.v" for module in used]
            for source in sources:
                shutil.copy(share("rtl") / source, folder)
            (folder / "lanes.v").write_text(MAC_V + SHIFTER_V + text)
            board = load_board("zcu104")
            manifest = {"core": "lanes", "top": "lanes", "sources": [*sources, "lanes.v"], "roms": {}, "units": []}
            manifest["board"] = board.record()
            (folder / CONSTRAINTS).write_text(board.constraints)
            (folder / "hwgen.json").write_text(json.dumps(manifest))
            return yosys.synthesize(folder)["total"]["LUT"] / lanes


def term(x_bits: int, accumulator_bits: int, legs: int = 3) -> Lane:
    return Lane(
        price.lane_luts(x_bits, accumulator_bits, legs),
        x_bits,
        accumulator_bits,
        accumulator_bits,
        legs,
        "pe #(.W(W), .XILINX(1)) u_pe (.shift(command[0]), .negate(command[1])",
    )


def mac(weight_bits: int, x_bits: int, accumulator_bits: int) -> Lane:
    digits = -(-weight_bits // 2)
    ports = ", ".join(f".{name}(command[{i * digits} +: {digits}])" for i, name in enumerate(("one", "two", "negate")))
    return Lane(
        price.mac_luts(weight_bits, x_bits, accumulator_bits),
        x_bits,
        x_bits,
        accumulator_bits + weight_bits - 1,
        3,
        f"mac #(.X_W(X_W), .DIGITS({digits}), .W(W)) u_mac ({ports}",
    )


def shifter(shifts: int, x_bits: int, accumulator_bits: int) -> Lane:
    return Lane(
        price.shifter_luts(shifts, x_bits, accumulator_bits),
        x_bits,
        x_bits,
        accumulator_bits + shifts - 1,
        3,
        f"shifter #(.X_W(X_W), .SHIFTS({shifts}), .W(W)) u_shifter "
        "(.nonzero(command[0]), .negate(command[1]), .shift(command[5:2])",
    )


# rows of the price list, by the bits of x; the accumulator has 8 bits more than x, but for the rows that say 12
GRID = {
    "term, 1 leg": lambda x: term(x, x + 8, 1),
    "term, 3 legs": lambda x: term(x, x + 8),
    "term, 3 legs, x + 12": lambda x: term(x, x + 12),
    "term, 5 legs": lambda x: term(x, x + 8, 5),
    "term, 7 legs": lambda x: term(x, x + 8, 7),
    "integers, 2 bits": lambda x: mac(2, x, x + 8),
    "integers, 3 bits": lambda x: mac(3, x, x + 8),
    "integers, 4 bits": lambda x: mac(4, x, x + 8),
    "integers, 6 bits": lambda x: mac(6, x, x + 8),
    "integers, 8 bits": lambda x: mac(8, x, x + 8),
    "integers, 8 bits, x + 12": lambda x: mac(8, x, x + 12),
    "powers of two, 3 bits": lambda x: shifter(3, x, x + 8),
    "powers of two, 4 bits": lambda x: shifter(7, x, x + 8),
    "powers of two, 5 bits": lambda x: shifter(15, x, x + 8),
}
X_BITS = (2, 4, 8)


def price_table(console: Console) -> float:
    """Prints yosys's LUTs and the price list's, and returns the worst error, relative to yosys."""
    table = _table("LUT of a lane: yosys, price list, error", *(f"x of {x} bits" for x in X_BITS))
    worst = 0.0
    for name, kind in GRID.items():
        cells = []
        for lane in map(kind, X_BITS):
            measured = lane.measure()
            error = lane.price / measured - 1
            worst = max(worst, abs(error))
            cells.append(f"{measured:.1f}, {lane.price:.1f}, {error:+.1%}")
        table.add_row(name, *cells)
    console.print(table)
    return worst


def format_table() -> Table:
    """What break_even takes of each format, and lanes for the layer of benchmarks/lanes.py."""
    layer, bits = LAYERS["conv 3x3, 16 to 16"]
    lane = bits, price.layer_accumulator_bits(layer, bits)
    table = _table("format", "bits", "greatest", "terms of a non-zero weight", "LUT a term lane", "LUT a dense lane")
    for name, weights in FORMATS.items():
        known = price.format_arguments(weights.magnitudes())
        width = known["greatest"].bit_length()
        dense = price.shifter_luts(width, *lane) if known["powers_of_two"] else price.mac_luts(width + 1, *lane)
        cells = known["weight_bits"], known["greatest"], f"{known['terms_per_weight']:.2f}"
        table.add_row(name, *map(str, cells), f"{price.lane_luts(*lane):.1f}", f"{dense:.1f}")
    return table


def break_even_table() -> Table:
    table = _table("zeros from which pruning pays: lanes, ROM", "input bits", *FORMATS)
    for name, (layer, bits) in LAYERS.items():
        cells = []
        for weights in FORMATS.values():
            known = price.format_arguments(weights.magnitudes())
            found = price.layer_break_even(layer, input_bits=bits, **known)
            cells.append(f"{found.throughput:.0%}, {found.memory:.0%}")
        table.add_row(name, str(bits), *cells)
    return table


def program_table(zeros: float = 0.9) -> Table:
    """The closed forms beside the programs of random weights, 4-bit powers of two of which `zeros` are zero."""
    rng = np.random.default_rng(0)
    table = _table(
        f"{zeros:.0%} zeros, PoT 4: closed form, program",
        "accumulator bits",
        "entry bits",
        "ROM entries: terms, all",
        "ROM bits: dense, terms",
    )
    for name, (layer, bits) in LAYERS.items():
        shape = (*layer.weight.shape, 1, 1)[:4]
        weight = 2.0 ** rng.integers(0, 7, shape) * rng.choice([-1.0, 1.0], shape)
        weight.flat[rng.permutation(weight.size)[: round(zeros * weight.size)]] = 0
        inputs = weight[0].size
        conv = Conv(weight, rng.integers(-128, 128, shape[0]).astype(float))
        x = TensorType((shape[1], 32, 32), QType(0, (1 << bits) - 1), 0)
        program = sum_program(conv, x, Quantize(6 + ceil_log2(inputs) // 2, 0, (1 << bits) - 1))
        entries = len(program.flags)
        width = program.payload_bits(PlaceBits.of(conv.window, x)) + 4
        known = price.layer_accumulator_bits(layer, bits), price.entry_bits(price.layer_address_bits(layer), bits)
        table.add_row(
            name,
            f"{known[0]}, {program.accumulator}",
            f"{known[1]}, {width}",
            f"{program.terms}, {entries}",
            f"{weight.size * 4}, {entries * width}",
        )
    return table


def _table(*columns: str) -> Table:
    table = Table(box=MARKDOWN)
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left")
    return table


@click.command(help=__doc__)
def main():
    console = Console(width=200)
    worst = price_table(console)
    console.print(f"Worst error of the price list: {worst:.1%}; {LANES} lanes, {load_board('zcu104').device.yosys}\n")
    for table in (format_table(), break_even_table(), program_table()):
        console.print(table)
        console.print()


if __name__ == "__main__":
    main()
