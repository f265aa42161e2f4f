"""rtl/mul_adam.v, an approximate multiplier with and without protection: area, error, and what stuck nets do to it.

Compared with an exact product, and with what hwgen approximates products by: fewer terms of a weight. Written into
docs/faults.md with --write. The netlist of LUTs is that of hwgen's own flags for UltraScale+; stuck nets are those of
`synth -flatten -noabc`, every gate's output at 0 and at 1, over 8,192 random pairs of bytes; each eighth of them, and
those in the sum of the mantissas, over all pairs, for the accuracy of a network.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import click
import numpy as np
import torch
from torch import nn

from benchmarks import counting
from benchmarks.spatial.tables import table, write_document
from examples.digits.model import test_data, train_data
from hwgen.compress.formats import at_most, nearest
from hwgen.devices.ultrascale_plus import DEVICE
from hwgen.share import share
from hwgen.synth.processes import WORKER
from hwgen.terms import term_table

DOCUMENT = Path(__file__).resolve().parent.parent / "docs/faults.md"
# T and PROTECT of rtl/mul_adam.v, 2 being rtl/mul_adam_tmr.v; None: a * b
DESIGNS = {
    "exact": None,
    "Mitchell, T = 7": (7, 0),
    "Mitchell, T = 5": (5, 0),
    "AdAM, T = 5": (5, 1),
    "Mitchell, T = 5, three times": (5, 2),
}
TERMS = (1, 2, 3)
WORDS = 128  # of 64 pairs, that most stuck nets are tried on
WHOLE = 8  # of so many stuck nets, one is tried on all pairs
STUCK = (
    "multiplier",
    "stuck",
    "faults",
    "mean error, uniform",
    "digits",
    "wrong, digits",
    "least accuracy, %",
    "silent",
)
COST = ("product", "MRED, uniform", "MRED, digits", "accuracy, %", "cycles a weight", "LUT a lane", "LUT x cycles")
A, B = (grid.ravel() for grid in np.meshgrid(np.arange(256), np.arange(256), indexing="ij"))
EXACT, EVERY = A * B, np.arange(len(A))
GATES = {
    "$_NOT_": lambda a: ~a,
    "$_AND_": lambda a, b: a & b,
    "$_OR_": lambda a, b: a | b,
    "$_XOR_": lambda a, b: a ^ b,
    "$_XNOR_": lambda a, b: ~(a ^ b),
    "$_ANDNOT_": lambda a, b: a & ~b,
    "$_ORNOT_": lambda a, b: a | ~b,
    "$_NAND_": lambda a, b: ~(a & b),
    "$_NOR_": lambda a, b: ~(a | b),
    "$_MUX_": lambda a, b, s: (a & ~s) | (b & s),
}


def mitchell(bits: int) -> np.ndarray:
    """The products of all pairs by logarithms, with so many bits of a mantissa."""
    high = [np.floor(np.log2(np.maximum(x, 1))).astype(int) for x in (A, B)]
    mantissas = [((x << (7 - k)) & 127) >> (7 - bits) for x, k in zip((A, B), high, strict=True)]
    total = sum(mantissas)
    carry, mantissa = total >> bits, total & ((1 << bits) - 1)
    product = (((1 << bits) + mantissa) << (high[0] + high[1] + carry)) >> bits
    return np.where((A == 0) | (B == 0), 0, product)


def wrapper(parameters: tuple[int, int] | None) -> str:
    ports = "(input wire [7:0] a, input wire [7:0] b, output wire [15:0] p);"
    if parameters is None:
        return f"module product_top {ports} assign p = a * b; endmodule\n"
    module = f"mul_adam_tmr #(.T({parameters[0]}))"
    if parameters[1] < 2:
        module = f"mul_adam #(.T({parameters[0]}), .PROTECT({parameters[1]}))"
    return f"module product_top {ports} {module} u (.a(a), .b(b), .p(p)); endmodule\n"


def run_yosys(folder: Path, script: list[str]) -> None:
    (folder / "script.ys").write_text("\n".join(script) + "\n")
    with (folder / "log").open("w") as log:
        subprocess.run([sys.executable, "-c", WORKER, "script.ys"], cwd=folder, stdout=log, stderr=log, check=True)


def read(folder: Path, parameters: tuple[int, int] | None, map_: list[str], unite: bool = True) -> dict:
    """The top module of a design as yosys writes it; unite -- afterwards what is kept apart, without looking at it
    again."""
    (folder / "top.v").write_text(wrapper(parameters))
    united = ["setattr -mod -unset keep_hierarchy *", "setattr -unset keep_hierarchy */c:*", "flatten"] if unite else []
    sources = [f"read_verilog {share('rtl')}/mul_adam.v {share('rtl')}/mul_adam_tmr.v top.v"]
    sources += ["hierarchy -check -top product_top"]
    run_yosys(folder, [*sources, *map_, *united, "write_json net.json"])
    return json.loads((folder / "net.json").read_text())["modules"]["product_top"]


@dataclass(frozen=True, eq=False)
class Gates:
    """A netlist of gates, in an order in which each one's inputs are known."""

    module: dict

    @cached_property
    def order(self) -> list[tuple[str, list[int | str], int]]:
        """(type, inputs, output)"""
        waiting = []
        for cell in self.module["cells"].values():
            pins = cell["connections"]
            if cell["type"] not in GATES:
                assert cell["type"] in ("$scopeinfo",), cell["type"]
                continue
            waiting.append((cell["type"], [pins[name][0] for name in ("A", "B", "S") if name in pins], pins["Y"][0]))
        known = {"0", "1", "x", *self.module["ports"]["a"]["bits"], *self.module["ports"]["b"]["bits"]}
        order = []
        while waiting:
            ready = [gate for gate in waiting if known.issuperset(gate[1])]
            assert ready, "the netlist has a loop"
            order += ready
            known |= {output for *_, output in ready}
            waiting = [gate for gate in waiting if gate[2] not in known]
        return order

    def products(self, stuck: tuple[int, int] | None = None, pairs: np.ndarray = EVERY) -> np.ndarray:
        """int64: what comes out for some pairs, by their numbers; stuck -- a net, and its value."""
        ones = np.full(len(pairs) // 64, ~np.uint64(0))
        values = {"0": ones ^ ones, "x": ones ^ ones, "1": ones}
        for name, numbers in (("a", A[pairs]), ("b", B[pairs])):
            for i, net in enumerate(self.module["ports"][name]["bits"]):
                values[net] = np.packbits((numbers >> i & 1).astype(np.uint8), bitorder="little").view(np.uint64)
        for kind, inputs, output in self.order:
            values[output] = GATES[kind](*(values[net] for net in inputs))
            if stuck is not None and output == stuck[0]:
                values[output] = values[str(stuck[1])]
        found = np.zeros(len(pairs), np.int64)
        for i, net in enumerate(self.module["ports"]["p"]["bits"]):
            found |= np.unpackbits(values[net].view(np.uint8), bitorder="little").astype(np.int64) << i
        return found

    @property
    def stuck(self) -> Iterator[tuple[int, int]]:
        """Every gate's output, at 0 and at 1."""
        return ((output, value) for *_, output in self.order for value in (0, 1))

    def nets(self, *names: str) -> set[int]:
        """The nets of the wires whose names end so."""
        wires = self.module["netnames"].items()
        return {net for name, wire in wires for net in wire["bits"] if name.endswith(names) and isinstance(net, int)}


@dataclass(frozen=True)
class Stuck:
    """A stuck net: the mean error against the products without it, of uniform pairs and of those of a network, the
    share of the latter that are wrong, and the network's accuracy, where it was tried on all pairs."""

    net: int
    uniform: float
    digits: float
    wrong: float
    accuracy: float | None


class Network:
    """A 64-32-10 network on scikit-learn's digits with weights of a sign and a byte and activations of a byte, trained
    in float and rounded: whose products are looked up in a table."""

    def __init__(self):
        torch.manual_seed(0)
        torch.set_num_threads(1)
        (x, y), (self.x, self.y) = ((a.reshape(len(a), -1), b) for a, b in (train_data(), test_data()))
        net = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
        optimizer = torch.optim.Adam(net.parameters(), 3e-3)
        for _ in range(60):
            for part in torch.randperm(len(x)).split(32):
                optimizer.zero_grad()
                nn.functional.cross_entropy(net(torch.tensor(x[part])), torch.tensor(y[part])).backward()
                optimizer.step()
        first, second = net[0], net[2]
        hidden = net[1](first(torch.tensor(x))).detach().numpy()
        self.steps = [1 / 255, float(hidden.max()) / 255]  # of the activations
        self.layers = []
        for layer, step in zip((first, second), self.steps, strict=True):
            weight = layer.weight.detach().numpy().astype(float)
            unit = abs(weight).max() / 255
            magnitude = np.rint(abs(weight) / unit).astype(int)
            bias = np.rint(layer.bias.detach().numpy() / (unit * step)).astype(int)
            self.layers.append((np.sign(weight).astype(int), magnitude, bias, unit * step))

    def _activations(self, numbers: np.ndarray, step: float) -> np.ndarray:
        return np.clip(np.rint(numbers / step), 0, 255).astype(int)

    def run(self, products: np.ndarray) -> tuple[float, np.ndarray]:
        """The accuracy in percent with a table of products [65536], weight first, and how often each pair was asked."""
        numbers, asked = self.x.astype(float), np.zeros(len(products))
        for (sign, magnitude, bias, unit), step in zip(self.layers, self.steps, strict=True):
            pairs = magnitude[None] * 256 + self._activations(numbers, step)[:, None, :]
            asked += np.bincount(pairs.ravel(), minlength=len(products))
            numbers = ((sign[None] * products[pairs]).sum(2) + bias) * unit
        return 100 * float((numbers.argmax(1) == self.y).mean()), asked / asked.sum()


def relative_error(products: np.ndarray, weights: np.ndarray) -> float:
    """The mean of |p - ab| / ab over pairs that are not zero."""
    chosen = EXACT > 0
    errors = np.abs(products - EXACT)[chosen] / EXACT[chosen]
    return float((errors * weights[chosen]).sum() / weights[chosen].sum())


def with_terms(terms: int) -> tuple[np.ndarray, np.ndarray]:
    """The products of all pairs where the first factor has at most so many terms, and the terms of each byte."""
    levels = nearest(torch.arange(256.0), at_most(tuple(range(257)), terms)).numpy().astype(int)
    output = term_table(levels[:, None]).output
    return levels[A] * B, np.bincount(output, minlength=256)


def luts(folder: Path, parameters: tuple[int, int] | None) -> float:
    folder.mkdir()
    (folder / "top.v").write_text(wrapper(parameters))
    return counting.count(folder, "product_top", ["top.v"], boxes=("mul_adam",))["LUT"]


def redundancy(folder: Path, parameters: tuple[int, int]) -> str:
    """What of the protection is in the netlist of LUTs, counted: nets that are driven by a cell of their own."""
    module = read(folder, parameters, [DEVICE.yosys], unite=False)
    drivers = {}
    for name, cell in module["cells"].items():
        for pin, nets in cell["connections"].items():
            if cell.get("port_directions", {}).get(pin) == "output":
                drivers |= dict.fromkeys(nets, name)
    if parameters[1] == 2:
        return f"{sum('mul_adam' in cell['type'] for cell in module['cells'].values())} multipliers"
    gates = Gates(module)
    again = {net for net in gates.nets("gen_some.again", "gen_some.carry_again") if net in drivers}
    return f"{len({drivers[net] for net in again})} cells for {len(again)} bits"


def faults(gates: Gates, right: np.ndarray, network: Network, asked: np.ndarray) -> list[Stuck]:
    """What comes of each stuck net."""
    found, random = [], np.random.default_rng(0)
    some = {
        "uniform": random.choice(len(A), 64 * WORDS, replace=False),
        "digits": random.choice(A.size, 64 * WORDS, p=asked),
    }
    adder = gates.nets(".sum", "gen_twice.once", "gen_twice.carry")
    for number, net in enumerate(gates.stuck):
        uniform, digits = (np.abs(gates.products(net, pairs) - right[pairs]) for pairs in some.values())
        whole = number % WHOLE == 0 or net[0] in adder
        accuracy = network.run(gates.products(net))[0] if whole else None
        found.append(Stuck(net[0], uniform.mean(), digits.mean(), (digits > 0).mean(), accuracy))
    return found


def lane(bits: int = 8) -> float:
    """LUTs of a lane more of an 8-bit convolution, by hwgen's estimate."""
    import hwgen
    from hwgen.config import BuildConfig
    from hwgen.nn import ActQuant

    torch.manual_seed(0)
    net = nn.Sequential(ActQuant(bits, 0), nn.Conv2d(16, 16, 3, padding=1, bias=False), ActQuant(bits, 8))
    net[1].weight.data = torch.randint(-127, 128, net[1].weight.shape).float()
    with tempfile.TemporaryDirectory() as folder:
        example = (torch.zeros(1, 16, 16, 16),)
        few, many = (
            hwgen.build(net, example, out=f"{folder}/{n}", config=BuildConfig(lanes=n)).estimate()["LUT"]
            for n in (8, 16)
        )
    return (many - few) / 8


@click.command(help=__doc__)
@click.option("--write", is_flag=True, help="Put the tables into docs/faults.md.")
def main(write):
    network = Network()
    _, asked = network.run(EXACT)
    uniform = np.ones(len(A)) / len(A)
    area, stuck = [], []
    with tempfile.TemporaryDirectory() as name:
        for number, (design, parameters) in enumerate(DESIGNS.items()):
            folder = Path(name) / str(number)
            count = luts(folder, parameters)
            gates = Gates(read(folder, parameters, ["synth -flatten -noabc"]))
            products = gates.products()
            model = EXACT if parameters is None else mitchell(parameters[0])
            assert (products == model).all(), f"{design}: the netlist is not the model"
            there = redundancy(folder, parameters) if parameters and parameters[1] else "-"
            errors = (f"{relative_error(products, weights):.4f}" for weights in (uniform, asked))
            area.append((design, f"{count:g}", *errors, f"{network.run(products)[0]:.2f}", there))
            found = faults(gates, products, network, asked)
            stuck.append(stuck_row(design, "every gate", found))
            adder = gates.nets(".sum")
            if adder:
                own = gates.nets("gen_twice.once", "gen_twice.carry") or adder
                stuck.append(stuck_row(design, "sum of the mantissas", [one for one in found if one.net in own]))
            click.echo(" | ".join(area[-1]))
    per_lane = lane()
    terms = []
    for most in (*TERMS, None):
        products, count = (EXACT, with_terms(8)[1]) if most is None else with_terms(most)
        errors = [f"{relative_error(products, weights):.4f}" for weights in (uniform, asked)]
        mean = float((count[A] * asked).sum())
        row = (f"terms, at most {most}" if most else "terms, all", *errors, f"{network.run(products)[0]:.2f}")
        terms.append((*row, f"{mean:.2f}", f"{per_lane:.0f}", f"{mean * per_lane:.0f}"))
    for design, count, *errors, accuracy, _ in area:
        total = float(count) + per_lane  # a lane has one beside all that it has for terms
        terms.append((design, *errors, accuracy, "1", f"{total:.0f}", f"{total:.0f}"))
    text = "\n".join(
        (
            table(("multiplier", "LUT", "MRED, uniform", "MRED, digits", "accuracy, %", "redundancy mapped"), area),
            table(STUCK, stuck),
            table(COST, terms),
        )
    )
    click.echo(text)
    if write:
        write_document("adam", text, DOCUMENT)


def stuck_row(design: str, what: str, found: list[Stuck]) -> tuple[str, ...]:
    count = len(found)
    means = (
        f"{sum(one.uniform for one in found) / count:.1f}",
        f"{sum(one.digits for one in found) / count:.1f}",
        f"{sum(one.wrong for one in found) / count:.3f}",
    )
    accuracies = [one.accuracy for one in found if one.accuracy is not None]
    return (design, what, str(count), *means, f"{np.mean(accuracies):.2f}", f"{min(accuracies):.2f}")


if __name__ == "__main__":
    main()
