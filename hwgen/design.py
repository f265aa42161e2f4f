"""The hardware as a netlist of units and streams: forks, reorderings and FIFOs put in where the graph branches and
joins."""

from dataclasses import dataclass, field, replace
from math import lcm

import numpy as np

from hwgen.board import Board
from hwgen.errors import DoesNotFit
from hwgen.ir import Graph, TensorType
from hwgen.lower import Stage, passing
from hwgen.schedule import SPATIAL
from hwgen.stream import Order
from hwgen.units.add import Add
from hwgen.units.adder_graph import AdderGraph
from hwgen.units.stream_fifo import StreamFifo
from hwgen.units.stream_fork import StreamFork
from hwgen.units.stream_width import StreamNarrow, StreamWiden
from hwgen.units.term_lanes import Fold, TermLanes, takes
from hwgen.units.unit import Unit
from hwgen.units.window import most_pixels


@dataclass(frozen=True)
class Stream:
    """Wires between two units. `tensor` is the tensor of the graph whose values it carries."""

    name: str
    tensor: str
    type: TensorType
    order: Order

    @property
    def bits(self) -> int:
        """Of a beat."""
        return self.type.qtype.bits * self.order.side


@dataclass(frozen=True, eq=False)
class Placed:
    """A unit and the streams at its ports, in the order of `unit.takes` and `unit.gives`."""

    unit: Unit
    inputs: tuple[Stream, ...]
    outputs: tuple[Stream, ...]


@dataclass(eq=False)
class Design:
    name: str
    graph: Graph
    placed: list[Placed] = field(default_factory=list)
    input: Stream = None
    output: Stream = None

    def interval(self) -> int:
        """Predicted cycles between two frames: the slowest unit's, and no less than the border needs."""
        return max(p.unit.cycles() for p in self.placed)

    def check_fits(self, board: Board) -> None:
        """Raises DoesNotFit when the rough estimate of LUTs or block RAMs exceeds the board."""
        estimates = {p.unit.name: p.unit.estimate() for p in self.placed}
        for resource in ("LUT", "BRAM36"):
            total = sum(estimate[resource] for estimate in estimates.values())
            if total > board.resources[resource]:
                most = max(estimates, key=lambda name: estimates[name][resource])
                raise DoesNotFit(
                    f"the network needs about {total} {resource}, {board.name} has {board.resources[resource]}",
                    f"{most} alone takes about {estimates[most][resource]}",
                    "prune it, narrow its weights or activations, or allow fewer --lanes",
                )

    def streams(self) -> list[Stream]:
        return [self.input, *(stream for p in self.placed for stream in p.outputs)]


def place(name: str, graph: Graph, stages: list[Stage], folds: dict[str, Fold], pixels: int, levels: int) -> Design:
    """The design of `stages` with the given folds by result, SPATIAL for an unfolded layer.

    pixels -- the most that come in a beat of the network's input, if its first layers are unfolded; each later one
    takes as many as come, or the greatest part of them that it can
    levels -- rows of adders between two registers, in unfolded layers
    """
    design = Design(name, graph)
    order = Order(graph.input_type.shape)
    readers = [stage for stage in stages if graph.input_name in stage.inputs]
    if readers and all(folds.get(stage.result) == SPATIAL for stage in readers):
        together = (n for n in range(min(pixels, order.shape[2]), 0, -1) if order.shape[2] % n == 0)
        order = order.by_pixels(next(n for n in together if all(most_pixels(s.layer, n) == n for s in readers)))
    design.input = Stream(graph.input_name, graph.input_name, graph.input_type, order)
    taps = {graph.input_name: _fan_out(design, design.input, stages, graph)}
    for stage in stages:
        sources = [taps[name].pop() for name in stage.inputs]
        if stage.layer is None:
            order = _meeting(sources[0].order, sources[1].order)
            sources = [
                _turned(design, source, order, f"reorder_for_{stage.result}_{i}") for i, source in enumerate(sources)
            ]
            unit = Add(stage.result, *stage.types, stage.quantize, stage.y, order)
        elif folds[stage.result] == SPATIAL:
            together = most_pixels(stage.layer, max(1, sources[0].order.pixels))
            order = sources[0].order.by_pixels(together)
            sources = [_turned(design, sources[0], order, f"reorder_for_{stage.result}")]
            unit = AdderGraph(stage.layer, together, levels)
            order = unit.out_order
        else:
            fold = folds[stage.result]
            if not takes(stage.layer, fold.lanes, sources[0].order):
                sources = [_turned(design, sources[0], sources[0].order.serial, f"reorder_for_{stage.result}")]
            unit = TermLanes(stage.layer, fold, sources[0].order, _only_lanes_read(stage.result, stages, folds))
            order = unit.out_order
        result = Stream(stage.result, stage.result, stage.y, order)
        design.placed.append(Placed(unit, tuple(sources), (result,)))
        taps[stage.result] = _fan_out(design, result, stages, graph)
    output_name = graph.output_name if graph.nodes else stages[-1].result
    output = taps[output_name].pop()
    design.output = (
        output if output.order.lanes == 1 else _turned(design, output, Order(output.order.shape), f"reorder_{output.name}")
    )
    _insert_fifos(design)
    return design


def _only_lanes_read(result: str, stages: list[Stage], folds: dict[str, Fold]) -> bool:
    """Whether everyone who takes a result finds its channels in any order: term lanes do."""
    readers = [stage for stage in stages if result in stage.inputs]
    return bool(readers) and all(folds.get(stage.result, SPATIAL) != SPATIAL for stage in readers)


def _meeting(a: Order, b: Order) -> Order:
    """The order in which an addition takes both its sides: so many pixels that neither brings more, else fewest lanes."""
    if a.pixels or b.pixels:
        return a.by_pixels(lcm(max(1, a.pixels), max(1, b.pixels)))
    return min(a, b, key=lambda order: order.lanes)


def _turned(design: Design, source: Stream, order: Order, name: str) -> Stream:
    """`source` in another order: through lanes of its own to another fold, then wider or narrower."""
    bits = source.type.qtype.bits
    if source.order.lanes != order.lanes:
        fold = order.by_lanes(order.lanes)
        layer = passing(name, source.name, source.type).layer
        last = name if fold == order else f"{name}_raster"
        if not takes(layer, order.lanes, source.order):
            source = _turned(design, source, source.order.serial, f"{name}_serial")
        unit = TermLanes(replace(layer, name=last), Fold(order.lanes), source.order)
        source = _append(design, unit, source, fold, last)
    if source.order.side > order.side:
        return _append(design, StreamNarrow(name, bits, source.order, order), source, order, name)
    if source.order.side < order.side:
        return _append(design, StreamWiden(name, bits, source.order, order), source, order, name)
    return source


def _append(design: Design, unit: Unit, source: Stream, order: Order, name: str) -> Stream:
    result = Stream(name, source.tensor, source.type, order)
    design.placed.append(Placed(unit, (source,), (result,)))
    return result


def _fan_out(design: Design, stream: Stream, stages: list[Stage], graph: Graph) -> list[Stream]:
    """One stream per reader of `stream`, through a chain of forks."""
    readers = sum(stage.inputs.count(stream.name) for stage in stages) + (
        graph.output_name == stream.name and bool(graph.nodes)
    )
    ends = []
    for i in range(readers - 1):
        pair = tuple(
            Stream(f"{stream.tensor}_fork{i}_{side}", stream.tensor, stream.type, stream.order) for side in "ab"
        )
        unit = StreamFork(f"{stream.tensor}_{i}", stream.bits, stream.order)
        design.placed.append(Placed(unit, (stream,), pair))
        ends.append(pair[0])
        stream = pair[1]
    return [*ends, stream]


FIFO_CLOCKS = 2  # from a word in to the same word out of rtl/stream_fifo.v


def _insert_fifos(design: Design) -> None:
    """A FIFO on each side of an addition that must hold more than one beat, so that no branch can starve the other.

    Time is counted in beats of the network's input. When the addition takes its beat n, both sides can have been sent
    every beat that the input up to then allows; what is ahead of n waits in the FIFO. One row more keeps the branches
    from stalling each other inside a row. Sides that passed unequally many registers since they parted get one each
    too, so that no beat waits for the one before it to be through; and so does a side whose unit takes nothing while a
    result of it waits, for the other side may need more of what both come from: only lanes go on filling their rows.
    """
    if not any(isinstance(placed.unit, Add) for placed in design.placed):
        return
    progress = {design.input.name: np.arange(1, design.input.order.beats + 1)}
    registers = {design.input.name: 0}  # since the last line memory
    stops = {design.input.name: False}  # whether a beat that waits stops what it comes from
    result = []
    for placed in design.placed:
        arrivals = [progress[stream.name] for stream in placed.inputs]
        if isinstance(placed.unit, Add):
            together = np.maximum(*arrivals)
            passed = [registers[stream.name] for stream in placed.inputs]
            uneven = abs(passed[0] - passed[1])
            inputs = []
            for stream, arrival in zip(placed.inputs, arrivals, strict=True):
                ahead = int((np.searchsorted(arrival, together, side="right") - np.arange(len(together))).max())
                if ahead > 1 or uneven or stops[stream.name]:
                    depth = ahead + (stream.order.beats // stream.order.shape[1] if ahead > 1 else uneven + 1)
                    fifo = StreamFifo(f"{placed.unit.name}_{len(inputs)}", stream.bits, depth, stream.order)
                    behind = Stream(f"{stream.name}_queued{len(inputs)}", stream.tensor, stream.type, stream.order)
                    result.append(Placed(fifo, (stream,), (behind,)))
                    registers[behind.name] = registers[stream.name] + FIFO_CLOCKS
                    stops[behind.name] = stops[stream.name]
                    stream = behind
                inputs.append(stream)
            placed = Placed(placed.unit, tuple(inputs), placed.outputs)
            arrivals = [together]
        needs = placed.unit.needs()
        before = max(registers[stream.name] for stream in placed.inputs)
        rigid = isinstance(placed.unit, AdderGraph | StreamWiden | StreamNarrow)
        rigid |= not isinstance(placed.unit, TermLanes) and any(stops[stream.name] for stream in placed.inputs)
        for stream in placed.outputs:
            stops[stream.name] = rigid
            registers[stream.name] = 0 if isinstance(placed.unit, TermLanes) else before + placed.unit.latency
            progress[stream.name] = arrivals[0][np.maximum(needs, 1) - 1]
        result.append(placed)
    design.placed = result
