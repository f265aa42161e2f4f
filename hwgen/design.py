"""The hardware as a netlist of units and streams: forks, reorderings and FIFOs put in where the graph branches and
joins."""

from dataclasses import dataclass, field, replace
from math import gcd

import numpy as np

from hwgen import pace
from hwgen.board import Board
from hwgen.config import RESOURCES
from hwgen.errors import DoesNotFit
from hwgen.ir import Graph, TensorType
from hwgen.lower import Stage, passing
from hwgen.stream import Order
from hwgen.units import pixel_sum
from hwgen.units.add import Add
from hwgen.units.adder_graph import AdderGraph, Spatial
from hwgen.units.pixel_sum import PixelSum
from hwgen.units.stream_fifo import StreamFifo
from hwgen.units.stream_fork import StreamFork
from hwgen.units.stream_width import StreamNarrow, StreamWiden
from hwgen.units.term_lanes import Fold, TermLanes, takes
from hwgen.units.unit import Unit

Choice = Fold | Spatial


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
        """Predicted cycles between two frames: the slowest unit's, and what units add by waiting for each other."""
        return pace.interval(self)

    def estimate(self) -> dict[str, float]:
        """What all units take, by RESOURCES."""
        estimates = [placed.unit.estimate() for placed in self.placed]
        return {name: sum(estimate.get(name, 0) for estimate in estimates) for name in RESOURCES}

    def check_fits(self, board: Board) -> None:
        """Raises DoesNotFit when the estimate exceeds the board."""
        for resource, total in self.estimate().items():
            if total > board.resources[resource]:
                most = max((placed.unit for placed in self.placed), key=lambda unit: unit.estimate().get(resource, 0))
                raise DoesNotFit(
                    f"the network needs about {total:g} {resource}, {board.name} has {board.resources[resource]}",
                    f"{most.name} alone takes about {most.estimate().get(resource, 0):g}",
                    "prune it, narrow its weights or activations, or allow fewer --lanes",
                )

    @property
    def loadable(self) -> list[TermLanes]:
        """The layers whose lists can be written, in the order of their numbers."""
        units = [placed.unit for placed in self.placed]
        return [unit for unit in units if isinstance(unit, TermLanes) and unit.fold.memory != "rom"]

    def streams(self) -> list[Stream]:
        return [self.input, *(stream for p in self.placed for stream in p.outputs)]


def place(name: str, graph: Graph, stages: list[Stage], choices: dict[str, Choice], levels: int) -> Design:
    """The design of `stages`, each as `choices` says by its result; the network's input by its own name.

    levels -- rows of adders between two registers, in unfolded layers
    """
    design = Design(name, graph)
    order = first_order(graph, choices[graph.input_name])
    design.input = Stream(graph.input_name, graph.input_name, graph.input_type, order)
    taps = {graph.input_name: _fan_out(design, design.input, stages, graph)}
    for stage in stages:
        sources = []
        for i, tensor in enumerate(stage.inputs):
            source = taps[tensor].pop()
            for unit, order in arriving(stage, i, choices[stage.result], source.order):
                source = _append(design, unit, source, order)
            sources.append(source)
        unit = unit_of(stage, choices[stage.result], sources[0].order, graph, stages, levels)
        result = Stream(stage.result, stage.result, stage.y, unit.out_order)
        design.placed.append(Placed(unit, tuple(sources), (result,)))
        taps[stage.result] = _fan_out(design, result, stages, graph)
    design.output = taps[graph.output_name if graph.nodes else stages[-1].result].pop()
    for unit, order in leaving(design.output.name, design.output.type, design.output.order):
        design.output = _append(design, unit, design.output, order)
    _insert_fifos(design)
    return design


def first_order(graph: Graph, choice: Choice) -> Order:
    """Of the network's input: one activation a beat, or whole pixels."""
    order = Order(graph.input_type.shape)
    return order.by_pixels(choice.pixels) if isinstance(choice, Spatial) else order


def arriving(stage: Stage, i: int, choice: Choice, order: Order) -> list[tuple[Unit, Order]]:
    """What turns a stream in `order` into what the stage reads as its input i, each unit with the order that it sends."""
    kind = stage.types[i]
    number = f"_{i}" if stage.layer is None else ""
    name = f"reorder_for_{stage.result}{number}"
    if stage.layer is None:  # both sides in the channels' own order
        order_of = Order(order.shape)
        wanted = order_of.by_pixels(choice.pixels) if isinstance(choice, Spatial) else order_of.by_lanes(choice.lanes)
        return _turned(name, kind, order, wanted)
    if isinstance(choice, Spatial):
        return _turned(
            name,
            kind,
            order,
            order.by_pixels(choice.pixels) if order.lanes == 1 else Order(order.shape).by_pixels(choice.pixels),
        )
    return [] if takes(stage.layer, choice.lanes, order) else _turned(name, kind, order, order.serial)


def unit_of(stage: Stage, choice: Choice, order: Order, graph: Graph, stages: list[Stage], levels: int) -> Unit:
    """The unit that computes a stage from inputs in `order`."""
    if stage.layer is None:
        return Add(stage.result, *stage.types, stage.quantize, stage.y, order)
    if isinstance(choice, Spatial):
        if choice.pixels == 1 and pixel_sum.possible(stage.layer):
            return PixelSum(stage.layer, order)
        return AdderGraph(stage.layer, order, levels)
    return TermLanes(stage.layer, choice, order, _only_layers_read(stage.result, graph, stages))


def leaving(name: str, kind: TensorType, order: Order) -> list[tuple[Unit, Order]]:
    """What brings the network's result into raster order."""
    raster = Order(order.shape, 1, order.side) if order.lanes == 1 else Order(order.shape)
    return _turned(f"reorder_{name}", kind, order, raster)


def _only_layers_read(result: str, graph: Graph, stages: list[Stage]) -> bool:
    """Whether everyone who takes a result finds its channels in any order: an addition and the border do not."""
    readers = [stage for stage in stages if result in stage.inputs]
    return bool(readers) and graph.output_name != result and all(stage.layer is not None for stage in readers)


def _turned(name: str, kind: TensorType, order: Order, wanted: Order) -> list[tuple[Unit, Order]]:
    """From one order to another: through lanes of its own to another fold, then wider or narrower."""
    units: list[tuple[Unit, Order]] = []
    if (order.lanes, order.channels) != (wanted.lanes, wanted.channels):
        fold = Order(order.shape).by_lanes(wanted.lanes)
        last = name if fold == wanted else f"{name}_raster"
        layer = replace(passing(name, name, kind).layer, name=last)
        if not takes(layer, wanted.lanes, order):
            units = _turned(f"{name}_serial", kind, order, order.serial)
            order = order.serial
        units.append((TermLanes(layer, Fold(wanted.lanes), order), fold))
        order = fold
    if order.side % wanted.side and wanted.side % order.side:
        one = order.by_pixels(gcd(order.pixels, wanted.pixels))
        units.append((StreamNarrow(f"{name}_apart", kind.qtype.bits, order, one), one))
        order = one
    if order.side > wanted.side:
        units.append((StreamNarrow(name, kind.qtype.bits, order, wanted), wanted))
    if order.side < wanted.side:
        units.append((StreamWiden(name, kind.qtype.bits, order, wanted), wanted))
    return units


def _append(design: Design, unit: Unit, source: Stream, order: Order) -> Stream:
    result = Stream(unit.name, source.tensor, source.type, order)
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
        unit = StreamFork(f"{stream.tensor}_fork{i}", stream.bits, stream.order)
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
    registers = {design.input.name: 0}  # passed since the network's input
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
                    depth = ahead + uneven + 1 + (stream.order.beats // stream.order.shape[1] if ahead > 1 else 0)
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
        lanes = isinstance(placed.unit, TermLanes)
        rigid = placed.unit.rigid or (not lanes and any(stops[stream.name] for stream in placed.inputs))
        for stream in placed.outputs:
            stops[stream.name] = rigid
            registers[stream.name] = before + placed.unit.latency + placed.unit.empty_slots
            progress[stream.name] = arrivals[0][np.maximum(needs, 1) - 1]
        result.append(placed)
    design.placed = result
