"""The hardware as a netlist of units and streams: forks, reorderings and FIFOs put in where the graph branches and
joins."""

from dataclasses import dataclass, field

import numpy as np

from hwgen.board import Board
from hwgen.errors import DoesNotFit
from hwgen.ir import Graph, TensorType
from hwgen.lower import Stage, passing
from hwgen.stream import Order
from hwgen.units.add import Add
from hwgen.units.stream_fifo import StreamFifo
from hwgen.units.stream_fork import StreamFork
from hwgen.units.term_lanes import TermLanes
from hwgen.units.unit import Unit


@dataclass(frozen=True)
class Stream:
    """Wires between two units. `tensor` is the tensor of the graph whose values it carries."""

    name: str
    tensor: str
    type: TensorType
    order: Order


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


def place(name: str, graph: Graph, stages: list[Stage], lanes: dict[str, int]) -> Design:
    """The design of `stages` with the given lanes by result."""
    design = Design(name, graph)
    design.input = Stream(graph.input_name, graph.input_name, graph.input_type, Order(graph.input_type.shape))
    taps = {graph.input_name: _fan_out(design, design.input, stages, graph)}
    for stage in stages:
        sources = [taps[name].pop() for name in stage.inputs]
        if stage.layer is None:
            if sources[0].order != sources[1].order:
                turn = int(sources[0].order.lanes > sources[1].order.lanes)
                sources[turn] = _reorder(
                    design, sources[turn], sources[1 - turn].order.lanes, f"reorder_for_{stage.result}"
                )
            unit = Add(stage.result, *stage.types, stage.quantize, stage.y, sources[0].order)
            order = sources[0].order
        else:
            unit = TermLanes(stage.layer, lanes[stage.result], sources[0].order)
            order = unit.out_order
        result = Stream(stage.result, stage.result, stage.y, order)
        design.placed.append(Placed(unit, tuple(sources), (result,)))
        taps[stage.result] = _fan_out(design, result, stages, graph)
    output_name = graph.output_name if graph.nodes else stages[-1].result
    output = taps[output_name].pop()
    design.output = output if output.order.lanes == 1 else _reorder(design, output, 1, f"reorder_{output.name}")
    _insert_fifos(design)
    return design


def _reorder(design: Design, source: Stream, lanes: int, name: str) -> Stream:
    stage = passing(name, source.name, source.type)
    unit = TermLanes(stage.layer, lanes, source.order)
    result = Stream(name, source.tensor, source.type, unit.out_order)
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
        unit = StreamFork(f"{stream.tensor}_{i}", stream.type.qtype.bits, stream.order)
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
    too, so that no beat waits for the one before it to be through.
    """
    progress = {design.input.name: np.arange(1, design.input.order.beats + 1)}
    registers = {design.input.name: 0}  # since the last line memory
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
                if ahead > 1 or uneven:
                    depth = ahead + (stream.order.beats // stream.order.shape[1] if ahead > 1 else uneven + 1)
                    fifo = StreamFifo(f"{placed.unit.name}_{len(inputs)}", stream.type.qtype.bits, depth, stream.order)
                    behind = Stream(f"{stream.name}_queued{len(inputs)}", stream.tensor, stream.type, stream.order)
                    result.append(Placed(fifo, (stream,), (behind,)))
                    registers[behind.name] = registers[stream.name] + FIFO_CLOCKS
                    stream = behind
                inputs.append(stream)
            placed = Placed(placed.unit, tuple(inputs), placed.outputs)
            arrivals = [together]
        needs = placed.unit.needs()
        before = max(registers[stream.name] for stream in placed.inputs)
        for stream in placed.outputs:
            registers[stream.name] = 0 if isinstance(placed.unit, TermLanes) else before + isinstance(placed.unit, Add)
            progress[stream.name] = arrivals[0][np.maximum(needs, 1) - 1]
        result.append(placed)
    design.placed = result
