"""adder_graph_LAYER.v, made for each layer by templates/adder_graph.v.j2: all terms of an output pixel in one cycle."""

from collections.abc import Hashable
from dataclasses import dataclass, replace
from functools import cached_property
from math import log2, prod

import numpy as np

from hwgen.adders.datapath import Datapath
from hwgen.adders.netlist import AdderNetlist, adder_netlist
from hwgen.adders.scaled import Requantized, requantized
from hwgen.adders.subexpressions import LUT_PER_BIT
from hwgen.devices import Device
from hwgen.qtype import ceil_log2
from hwgen.stage import Stage
from hwgen.stream import Order
from hwgen.sums import conv_of, exact_sums, term_count, window_places
from hwgen.templates import render
from hwgen.units import window
from hwgen.units.unit import Unit
from hwgen.units.window import Slots
from hwgen.verilog import overrides

EXACT_TERMS = 20_000  # up to so many the adders are made to be counted
BOUND = 1 / 8  # LUTs for each bit of a term at least; 0.35 to 1.3 are usual, 0.26 is the least of dense weights of +-1
CONTROL = 3  # LUTs of what says that there is a result
MOST_HELD = 1_000  # registers of adders that one enable holds; a pipeline of more is never stopped
MOST_POOLED = 128  # registers of a pool, its window's among them, where there are registers behind each level of adders
CREDIT_CLOCKS = 4  # of rtl/credit_fifo.v, from a result in it to room for another
CREDIT_DEPTH = 16  # its results at least: what a memory of the smallest lookup tables has
CREDIT_CONTROL = 5  # its LUTs beside the memory, and two for a bit of a place in it


@dataclass(frozen=True, eq=False)
class AdderGraph(Unit):
    """A stage, unfolded.

    order -- of its input, by pixels; levels -- rows of adders between two registers, at least 1; slices -- whether
    factors of the sums are in DSP slices
    """

    stage: Stage
    order: Order
    levels: int
    device: Device
    slices: bool = False
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
    def sums(self) -> Requantized:
        """Inputs are activations of the window, counted (tap row, tap column, place of the channel) with the place
        fastest."""
        conv, x = conv_of(self.stage), self.stage.x
        sums = requantized(self.stage, self.slices)
        table = sums.terms
        channel, tap_row, tap_column = window_places(conv, table.output, table.input)
        source = (tap_row * conv.weight.shape[3] + tap_column) * x.shape[0] + self.order.places[channel]
        return replace(sums, terms=replace(table, input=source))

    @property
    def netlist(self) -> AdderNetlist:
        """Kept with the stage: a design may be placed more than once."""

        def made() -> AdderNetlist:
            inputs = (conv_of(self.stage).reads(self.stage.x),) * (self.taps * self.stage.x.shape[0])
            sums = self.sums
            return adder_netlist(sums.terms, sums.constants, inputs, sums.ranges, sums.then)

        return self.stage.once(("netlist", self.order.channels, self.slices), made)

    @property
    def datapath(self) -> Datapath:
        """What is between the window and the results. Kept as the netlist is."""

        def made() -> Datapath:
            sums, y = self.sums, self.stage.y.qtype
            return Datapath(self.netlist, self.levels, sums.drop, sums.ties, y, self.stage.quantize, sums.slices)

        return self.stage.once(("datapath", self.order.channels, self.levels, self.slices), made)

    @property
    def stages(self) -> int:
        """Registers from a window to its result."""
        if self.maximum:
            return max(1, ceil_log2(self.taps))
        return self.datapath.stages

    @property
    def credit(self) -> int:
        """Results that rtl/credit_fifo.v holds behind adders that never stop; 0: one enable holds them all."""
        if self._held <= (MOST_POOLED if self.maximum else MOST_HELD):
            return 0
        return max(CREDIT_DEPTH, 1 << ceil_log2(self.stages + 2 * self._windows + CREDIT_CLOCKS))

    @property
    def _held(self) -> int:
        """Registers that an enable would hold; of a pool none unless a fast clock is asked for."""
        if not self.maximum:
            return self.datapath.registered * self.slots.outs
        taps = self.taps * self.stage.x.qtype.bits * self.stage.x.shape[0] * self.slots.outs
        return 2 * taps if self.levels == 1 else 0  # of the window, and of the tree of comparisons

    @property
    def instant(self) -> bool:  # type: ignore[override]
        return not self.credit

    @property
    def latency(self) -> int:
        return self.stages + self._windows + (2 + self._windows if self.credit else 0)

    @property
    def _windows(self) -> bool:
        """Whether its input becomes windows of more than a pixel."""
        return not window.trivial(self.stage)

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
            pixel_bits=stage.y.qtype.bits * stage.y.shape[0],
            signed=int(stage.x.qtype.signed),
            window=overrides("window", window.parameters(stage, self.pixels, pad, self.credit > 0))
            if self._windows
            else [],
            maximum=self.maximum,
            credit=self.credit,
            **({"stages": self.stages} if self.maximum else self._graph),
        )
        return {f"rtl/{self.module}.v": text}

    @property
    def _graph(self) -> dict:
        """What the template writes of the adders."""
        what = "its channel" if self.taps == 1 else "tap row, tap column, channel"
        about = f"One output pixel from its window. x is an input ({what})"
        return {"about": about} | self.datapath.verilog(self._names)

    @property
    def _names(self) -> list[str]:
        """Of the inputs of a pixel."""
        channels, columns = self.stage.x.shape[0], self.stage.window.kernel[1]
        if self.taps == 1:
            return [f"x{channel}" for channel in range(channels)]
        places = [(tap // columns, tap % columns) for tap in range(self.taps)]
        return [f"x{row}_{column}_{channel}" for row, column in places for channel in range(channels)]

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

    @property
    def _key(self) -> Hashable:
        return "adder graph", self.order, self.levels, self.device, self.slices

    @property
    def counted(self):
        return self.maximum or self.stage.has(self._key)

    def bound(self):
        """Of adders that are not made yet BOUND for each bit of a term, outputs of equal weights counted once."""
        return self.estimate() if self.counted else self._by_terms(BOUND)

    def about(self):
        return self.estimate() if self.counted else self._by_terms(LUT_PER_BIT)

    def _by_terms(self, luts: float) -> dict[str, float]:
        """The estimate at so many LUTs for each bit of a term."""
        terms = self.stage.once("distinct terms", self._distinct_terms)
        return self._with(luts * self.stage.x.qtype.bits * terms)

    def _distinct_terms(self) -> int:
        weights = conv_of(self.stage).weight
        distinct = {row.tobytes(): output for output, row in enumerate(weights)}
        terms = np.bincount(exact_sums(self.stage).terms.output, minlength=len(weights))
        return int(terms[list(distinct.values())].sum())

    def estimate(self):
        def made() -> dict[str, float]:
            depth = self._credit_depth()
            found = self._with(self._luts(), depth > 0)
            return found | {"LUT": found["LUT"] + self._credit_luts(depth)}

        return self.stage.once(self._key, made)

    def _credit_depth(self) -> int:
        """As `credit`; where adders are too many to be made, they are too many for an enable."""
        return CREDIT_DEPTH if not self.maximum and term_count(self.stage) > EXACT_TERMS else self.credit

    def _credit_luts(self, depth: int) -> int:
        """Of what holds the results."""
        bits = self.stage.y.qtype.bits * self.stage.y.shape[0] * self.slots.outs
        return self.device.lut_memory(depth, bits) + 2 * ceil_log2(depth) + CREDIT_CONTROL if depth else 0

    def _with(self, luts: float, ahead: bool = False) -> dict[str, float]:
        """The estimate, with so many LUTs for each pixel that is made at once; ahead -- as in rtl/window.v."""
        found = window.estimate(self.stage, self.pixels, ahead, self.device)
        found = found | {"LUT": luts * self.slots.outs + found["LUT"] + CONTROL}
        return found | {"DSP": len(self.sums.slices) * self.slots.outs} if self.slices else found

    def _luts(self) -> float:
        """Of what makes a pixel of a window."""
        stage, bits = self.stage, self.stage.x.qtype.bits
        if self.maximum:
            # a comparison of up to 3 bits is part of the LUT that chooses a bit; from 6 on it is a chain of steps of
            # two LUTs for three bits
            node = bits if bits <= 3 else 1.7 * bits if bits <= 5 else bits + 2 * -(-bits // 3)
            # the last tap goes through levels by itself, from three on in shift registers
            waits = bits * (self.taps > 1 and (self.taps - 1) % 8 == 0)
            return round(((self.taps - 1) * node + waits) * stage.x.shape[0])
        return self._extrapolated_luts() if term_count(stage) > EXACT_TERMS else self.datapath.luts

    def _extrapolated_luts(self) -> int:
        """From the adders of a few outputs and of four times as many: what a term takes falls by as much with every
        doubling of the terms, as more is shared."""
        stage, op = self.stage, conv_of(self.stage)
        terms = np.cumsum(np.bincount(self.sums.terms.output, minlength=len(op.weight)))
        samples = [int(np.searchsorted(terms, EXACT_TERMS // share)) + 1 for share in (8, 2)]
        if op.groups > 1 or terms[samples[1] - 1] > EXACT_TERMS:
            return int(LUT_PER_BIT * stage.x.qtype.bits * len(self.sums.terms) + self.sums.luts)
        points = []
        for outputs in samples:
            some = replace(op, weight=op.weight[:outputs], bias=op.bias[:outputs])
            y = replace(stage.y, shape=(outputs, *stage.y.shape[1:]))
            quantize = stage.quantize and stage.quantize.only(list(range(outputs)))
            part = replace(self, stage=replace(stage, op=some, quantize=quantize, y=y))
            points.append((log2(terms[outputs - 1]), part.datapath.luts / terms[outputs - 1]))
        (few, first), (many, second) = points
        falls = (first - second) / (many - few) if many > few else 0.0
        return round(terms[-1] * max(second / 2, second - falls * (log2(terms[-1]) - many)))

    def needs(self, i=0):
        return self.slots.needs()

    def sends(self):
        return self.slots.of_outputs()
