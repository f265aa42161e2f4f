"""adder_graph_LAYER.v, made for each layer by templates/adder_graph.v.j2: all terms of an output pixel in one cycle."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from math import log2, prod

import numpy as np

from hwgen.adders.netlist import AdderNetlist, adder_netlist
from hwgen.adders.rows import ZERO, word_of
from hwgen.adders.subexpressions import LUT_PER_BIT
from hwgen.adders.wires import Wires, on_a_line
from hwgen.devices import Device
from hwgen.ops.quantize import UNBOUNDED, clamp_ends, end_parameters
from hwgen.qtype import QType, ceil_log2
from hwgen.stage import Stage
from hwgen.stream import Order
from hwgen.sums import conv_of, exact_sums, term_count, window_places
from hwgen.templates import render
from hwgen.terms import TermTable
from hwgen.units import window
from hwgen.units.unit import Unit
from hwgen.units.window import Slots
from hwgen.verilog import overrides

EXACT_TERMS = 20_000  # up to so many the adders are made to be counted
CONTROL = 15  # LUTs that walk the frame: counters, and where a tap is padding


@dataclass(frozen=True, eq=False)
class Sums:
    """What an adder_graph adds: terms whose inputs are activations of the window, counted (tap row, tap column, place
    of the channel) with the place fastest; constants and ranges of each output; the low bits that are not sent."""

    terms: TermTable
    constants: list[int]
    ranges: list[QType]
    drop: int


@dataclass(frozen=True, eq=False)
class AdderGraph(Unit):
    """A stage, unfolded.

    order -- of its input, by pixels; levels -- rows of adders between two registers, at least 1
    """

    stage: Stage
    order: Order
    levels: int
    device: Device
    primitives = True
    rigid = True

    @property
    def name(self) -> str:
        return self.stage.name

    @property
    def kind(self) -> str:
        return "adder_graph"

    @property
    def module(self) -> str:
        return f"{self.kind}_{self.name}"

    @property
    def out_order(self) -> Order:
        channels = self.order.channels if self.maximum else ()
        return Order(self.stage.y.shape, channels=channels).by_pixels(self.slots.outs)

    @property
    def pixels(self) -> int:
        """Of the input, a beat."""
        return self.order.pixels

    @property
    def slots(self) -> Slots:
        return Slots.of(self.stage, self.pixels)

    @property
    def maximum(self) -> bool:
        return self.stage.op.maximum

    @property
    def taps(self) -> int:
        return prod(self.stage.window.kernel)

    @cached_property
    def sums(self) -> Sums:
        conv, x, sums = conv_of(self.stage), self.stage.x, exact_sums(self.stage)
        table = sums.terms
        channel, tap_row, tap_column = window_places(conv, table.output, table.input)
        source = (tap_row * conv.weight.shape[3] + tap_column) * x.shape[0] + self.order.places[channel]
        return Sums(replace(table, input=source), sums.constants, sums.ranges, sums.drop)

    @property
    def netlist(self) -> AdderNetlist:
        """Kept with the stage: a design may be placed more than once."""

        def made() -> AdderNetlist:
            inputs = (self.stage.x.qtype,) * (self.taps * self.stage.x.shape[0])
            return adder_netlist(self.sums.terms, self.sums.constants, inputs, self.sums.ranges)

        return self.stage.once(("netlist", self.order.channels), made)

    @property
    def stages(self) -> int:
        """Registers from a window to its result."""
        if self.maximum:
            return max(1, ceil_log2(self.taps))
        return self.netlist.stage(self.netlist.levels + 1, self.levels) + 1

    @property
    def latency(self) -> int:
        return self.stages + (not window.trivial(self.stage))

    @property
    def empty_slots(self) -> int:
        return self.cycles() - self.order.beats

    def note(self):
        stage = self.stage
        rate = "a pixel" if self.pixels == 1 else f"{self.pixels} pixels"
        return f"{self.name}: {stage.op}, {stage.x} -> {stage.y}: {rate} a cycle, {self.cycles()} cycles a frame"

    def parameters(self):
        return {}

    def files(self):
        stage = self.stage
        bits = stage.x.qtype.bits
        # the least of all, which never wins; or zero
        pad = 1 << (bits - 1) if self.maximum and stage.x.qtype.signed else 0
        text = render(
            "adder_graph.v.j2",
            module=self.module,
            note=self.note(),
            x_bits=bits,
            channels=stage.x.shape[0],
            taps=self.taps,
            pixels=self.pixels,
            outs=self.slots.outs,
            y_bits=stage.y.qtype.bits,
            outputs=stage.y.shape[0],
            signed=int(stage.x.qtype.signed),
            window=[] if window.trivial(stage) else overrides("window", window.parameters(stage, self.pixels, pad)),
            maximum=self.maximum,
            stages=self.stages,
            **({} if self.maximum else self._graph()),
        )
        return {f"rtl/{self.module}.v": text}

    def facts(self):
        _, rows, columns = self.stage.y.shape
        terms = term_count(self.stage)
        found = {
            "terms": terms,
            "latency": self.latency,
            "useful": terms * rows * columns,
            "capacity": terms * self.slots.outs,
        }
        return found if self.maximum else found | {"adders": len(self.netlist.rows)}

    def cycles(self):
        return self.slots.count

    def estimate(self):
        return self.stage.once(("adder graph", self.order, self.levels, self.device), self._estimate)

    def _estimate(self) -> dict[str, float]:
        stage, bits = self.stage, self.stage.x.qtype.bits
        if self.maximum:
            # a comparison of up to 3 bits is part of the LUT that chooses a bit
            nodes = (self.taps - 1) * stage.x.shape[0]
            luts = nodes * bits if bits <= 3 else 7 * nodes * bits // 4
        elif term_count(stage) > EXACT_TERMS:
            luts = self._extrapolated_luts()
        else:
            luts = self._graph_luts()
        lines = _lines(stage, self.pixels, self.device)
        luts = luts * self.slots.outs + lines["LUT"] + (3 if window.trivial(stage) else CONTROL)
        return {"LUT": luts, "BRAM36": lines["BRAM36"]}

    def _graph_luts(self) -> int:
        """Of all between the window and the results."""
        clamps = sum(self._clamp_luts(len(kept), sent.signed, ends) for kept, sent, ends in self._sent())
        return self.netlist.luts + clamps + self._shift_luts()

    def _extrapolated_luts(self) -> int:
        """From the adders of a few outputs and of four times as many: what a term takes falls by as much with every
        doubling of the terms, as more is shared."""
        stage, op = self.stage, conv_of(self.stage)
        terms = np.cumsum(np.bincount(self.sums.terms.output, minlength=len(op.weight)))
        samples = [int(np.searchsorted(terms, EXACT_TERMS // share)) + 1 for share in (8, 2)]
        if op.groups > 1 or terms[samples[1] - 1] > EXACT_TERMS:
            return int(LUT_PER_BIT * stage.x.qtype.bits * term_count(stage))
        points = []
        for outputs in samples:
            some = replace(op, weight=op.weight[:outputs], bias=op.bias[:outputs])
            y = replace(stage.y, shape=(outputs, *stage.y.shape[1:]))
            part = replace(self, stage=replace(stage, op=some, y=y))
            points.append((log2(terms[outputs - 1]), part._graph_luts() / terms[outputs - 1]))
        (few, first), (many, second) = points
        falls = (first - second) / (many - few) if many > few else 0.0
        return round(terms[-1] * max(second / 2, second - falls * (log2(terms[-1]) - many)))

    def _clamp_luts(self, kept: int, signed: bool, ends: dict[str, int]) -> int:
        """Of rtl/clamp.v: kept -- bits of the sum that it looks at."""
        sent, low, high = self.stage.y.qtype.bits, ends["LOW"], ends["HIGH"]
        if (low, high) == (-UNBOUNDED, UNBOUNDED - 1):
            return 0
        over = kept - sent - signed > 0  # more than a sign above the bits that are sent
        if low == 0 and high == (1 << sent) - 1 and signed and kept > sent:
            return -(-sent // 2) + over
        # one end is what clears or sets the register; a sign passes as it is
        return sent + over if low != -UNBOUNDED and high != UNBOUNDED - 1 else 2

    def _shift_luts(self) -> int:
        """Of words that wait three clocks or more, in shift registers."""
        late = self.netlist.delays(self.levels)
        words = dict(enumerate((kind.bits for kind in self.netlist.inputs), 1))
        words |= {row.word: row.bits for row in self.netlist.rows}
        return sum(words[word] * -(-clocks // 32) for word, clocks in late.items() if clocks >= 3)

    def needs(self, i=0):
        return self.slots.needs()

    def sends(self):
        return self.slots.of_outputs()

    def _sent(self) -> Iterator[tuple[list[int], QType, dict[str, int]]]:
        """Of each output: the bits of its sum that the clamp looks at, their range, and the clamp's ends."""
        for bits, kind in zip(self.netlist.sums, self.netlist.types, strict=True):
            sent = QType(kind.low >> self.sums.drop, kind.high >> self.sums.drop)
            # bits above only repeat the sign
            kept = bits[self.sums.drop :][: sent.bits] or [bits[-1] if kind.signed else ZERO]
            yield kept, sent, clamp_ends(sent, self.stage.quantize)

    def _graph(self) -> dict:
        """What the template writes of the adders."""
        netlist, stage = self.netlist, self.stage
        channels, columns = stage.x.shape[0], stage.window.kernel[1]
        names = ["1'b1"]
        for i in range(len(netlist.inputs)):
            tap, channel = divmod(i, channels)
            names.append(f"x{channel}" if self.taps == 1 else f"x{tap // columns}_{tap % columns}_{channel}")
        bits = [1, *(kind.bits for kind in netlist.inputs)]
        since = [0] * len(names)
        for number, row in enumerate(netlist.rows):  # words are numbered as rows are made
            names.append(f"s{number}")
            bits.append(row.bits)
            since.append(netlist.stage(row.level, self.levels))
        wires = Wires(names, bits, since)
        rows = [wires.row(row, since[row.word]) for row in netlist.rows]
        results, y_bits = [], stage.y.qtype.bits
        for number, (kept, sent, ends) in enumerate(self._sent()):
            inverted = sum(1 << i for i, reference in enumerate(kept) if word_of(reference) and reference & 1)
            text = wires.concatenation(kept, self.stages - 1) + f" ^ {len(kept)}'h{inverted:x}" * (inverted > 0)
            results.append(f"    wire [{len(kept) - 1}:0] sum{number} = {text};")
            results.append(f"    wire [{y_bits - 1}:0] y{number};")
            results += _result(number, len(kept), sent.signed, y_bits, ends)
        x_bits = stage.x.qtype.bits
        late = [
            (names[word], wires.bits[word], n) for word, most in sorted(wires.late.items()) for n in range(1, most + 1)
        ]
        return {
            "adders": len(rows),
            "luts": netlist.luts,
            "inputs": [
                f"    wire [{x_bits - 1}:0] {names[word]} = x[{(word - 1) * x_bits} +: {x_bits}];"
                for word in sorted(wires.read)
                if word <= len(netlist.inputs)
            ],
            "registers": [f"    reg [{bits - 1}:0] {name}_d{n};" for name, bits, n in late],
            "rows": rows,
            "moves": [f"            {name}_d{n} <= {name}{f'_d{n - 1}' if n > 1 else ''};" for name, _, n in late],
            "results": results,
            "taken": [f"            y_q[{n * y_bits} +: {y_bits}] <= y{n};" for n in range(stage.y.shape[0])],
        }


def _result(number: int, bits: int, signed: bool, y_bits: int, ends: dict[str, int]) -> list[str]:
    """Lines that make an output of its sum, which has `bits` bits."""
    y, total = f"y{number}", f"sum{number}"
    if ends != {"LOW": -UNBOUNDED, "HIGH": UNBOUNDED - 1}:
        inside = {"IN_W": bits, "IN_SIGNED": int(signed), "OUT_W": y_bits, **end_parameters(ends)}
        return [f"    clamp #({on_a_line('clamp', inside)})", f"    u_clamp{number} (.x({total}), .y({y}));"]
    if bits >= y_bits:
        return [f"    assign {y} = {total}[{y_bits - 1}:0];"]
    above = f"{{{y_bits - bits}{{{total}[{bits - 1}]}}}}" if signed else f"{y_bits - bits}'d0"
    return [f"    assign {y} = {{{above}, {total}}};"]


def _lines(stage: Stage, pixels: int, device: Device) -> dict[str, float]:
    """LUT and BRAM36 of the window's memory of the rows above."""
    bits, depth = (
        stage.x.qtype.bits * stage.x.shape[0] * pixels * (stage.window.reach[0] - 1),
        stage.x.shape[2] // pixels,
    )
    if bits == 0 or depth == 1:
        return {"LUT": 0, "BRAM36": 0}
    if depth <= device.lut_depth:
        return {"LUT": device.lut_memory(depth, bits), "BRAM36": 0}
    return {"LUT": 0, "BRAM36": device.block_memory(depth, bits)[0]}
