"""The hardware as a netlist of units and streams: forks, reorderings and FIFOs put in where the graph branches and
joins."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from hwgen.board import Board
from hwgen.chains import registered
from hwgen.config import RESOURCES
from hwgen.devices import Device
from hwgen.engines import Choice, Context, engine_of
from hwgen.errors import DoesNotFit, UnsupportedLayer
from hwgen.ir import Graph, TensorType
from hwgen.ports import NATURAL, Ports, beat_bits
from hwgen.protect import UNPROTECTED, Protection
from hwgen.qtype import QType, ceil_log2
from hwgen.reorder import arriving, leaving
from hwgen.stage import Stage
from hwgen.stream import Order
from hwgen.units import border
from hwgen.units.stream_fifo import StreamFifo
from hwgen.units.stream_fork import StreamFork
from hwgen.units.stream_reg import StreamReg
from hwgen.units.unit import LoadableUnit, Unit
from hwgen.walks import Rows, Step, Turns, Walk


@dataclass(frozen=True)
class Stream:
    """Wires between two units. `tensor` is the tensor of the graph whose values it carries; `frames` -- of it in a turn
    of the network's border (hwgen.ir.Graph.turn)."""

    name: str
    tensor: str
    type: TensorType
    order: Order
    frames: int = 1

    @property
    def bits(self) -> int:
        """Bits of a beat."""
        return self.type.qtype.bits * self.order.side

    @property
    def beats(self) -> int:
        """Beats of a turn."""
        return self.order.beats * self.frames

    @property
    def row_beats(self) -> int:
        """Beats of a row."""
        return self.order.beats // self.order.shape[1]


@dataclass(frozen=True, eq=False)
class Placed:
    """A unit and the streams at its ports, in the order of `unit.takes` and `unit.gives`."""

    unit: Unit
    inputs: tuple[Stream, ...]
    outputs: tuple[Stream, ...]

    @property
    def times(self) -> int:
        """How often in a turn the unit is as at first: what it tells of a frame is of the fewer, on either side."""
        return min(stream.frames for stream in (*self.inputs, *self.outputs))

    @property
    def cycles(self) -> int:
        """Cycles that it takes for a turn by itself."""
        return self.unit.cycles() * self.times

    @property
    def in_steps(self) -> bool:
        """Whether it is where a frame of the border is several time steps, between their beginning and their end."""
        return self.times > 1

    def needs(self, i: int) -> np.ndarray:
        """`Unit.needs` of a turn."""
        return self._each_time(self.unit.needs(i), i)

    def holds(self, i: int) -> np.ndarray:
        """`Unit.holds` of a turn."""
        return self._each_time(self.unit.holds(i), i)

    def _each_time(self, beats: np.ndarray, i: int) -> np.ndarray:
        taken = self.inputs[i].beats // self.times
        return (beats[None, :] + taken * np.arange(self.times)[:, None]).reshape(-1)


@dataclass(eq=False)
class Design:
    """inputs, outputs -- the streams at the network's borders, as the graph has them
    modes -- the graph of each mode, where a frame chooses one (hwgen/modes.py): `graph` is then the first with inputs
    that hold those of all
    in_flight -- then the most frames inside
    ports -- what its streams are to a host
    """

    name: str
    graph: Graph
    inputs: tuple[Stream, ...]
    outputs: tuple[Stream, ...] = ()
    placed: list[Placed] = field(default_factory=list)
    protect: Protection = UNPROTECTED
    modes: tuple[Graph, ...] = ()
    in_flight: int = 0
    ports: Ports = NATURAL

    @property
    def graphs(self) -> tuple[Graph, ...]:
        """The golden graph of each mode."""
        return self.modes or (self.graph,)

    @property
    def mode_bits(self) -> int:
        """Of the number of a mode; 0 where there is one."""
        return ceil_log2(len(self.graphs))

    def slowest(self) -> int:
        """Cycles between two turns that the slowest unit takes by itself."""
        return max(placed.cycles for placed in self.placed)

    def registers(self) -> int:
        """Registers on the longest way from an input of the network to an output, memories left out."""
        passed = {stream.name: 0 for stream in self.inputs}
        for placed in self.placed:
            before = max(passed[stream.name] for stream in placed.inputs)
            passed |= dict.fromkeys((stream.name for stream in placed.outputs), before + placed.unit.latency)
        return max(passed[stream.name] for stream in self.outputs)

    def walks(self) -> list[Walk]:
        """How all units go through a frame, joined, in the order of the design; the first are those of the inputs."""
        senders = {}
        for stream in self.inputs:
            beats = stream.row_beats
            senders[stream.name] = Walk([Step(False, True, beats, beats)] * stream.order.shape[1], gap=0)
        walks = list(senders.values())
        of_units: dict[str, list[Walk]] = {}
        for placed in self.placed:
            before = {i: senders[stream.name] for i, stream in enumerate(placed.inputs)}
            taken, sent = placed.inputs[0], placed.outputs[0]
            own = placed.unit.walks(taken.order.shape[1], taken.row_beats, sent.row_beats)
            for walk in own:
                walk.turn = placed.times
            for walk in reversed(own):  # the first takes what no other does
                sides = walk.sides if walk.sides is not None else tuple(before) if walk is own[0] else ()
                if sides:
                    walk.reads({i: before.pop(i) for i in sides})
            senders |= dict.fromkeys(
                (stream.name for stream in placed.outputs), own[-1] if own else senders[taken.name]
            )
            walks += own
            of_units[placed.unit.name] = own
        self._begin_when_over(of_units)
        for stream in self.outputs:
            senders[stream.name].last = True
        for number, walk in enumerate(walks):
            walk.number = number
        return walks

    @property
    def aborts(self) -> bool:
        """Whether samples may end before their time: then what is between is reset with each."""
        return any(placed.unit.over for placed in self.placed)

    def _begin_when_over(self, of_units: Mapping[str, list[Walk]]) -> None:
        """Where samples may end before their time, one is begun when that before has ended."""
        for first in (placed for placed in self.placed if placed.unit.over == "input"):
            for last in (placed for placed in self.placed if placed.unit.over == "output"):
                begins, ends = of_units[first.unit.name][-1], of_units[last.unit.name][0]
                inside = [p.unit for p in self.placed if p.in_steps or p is first]
                restart = 4 + sum(unit.latency for unit in inside) + max(unit.wakes for unit in inside)
                begins.steps.insert(0, Step(False, False, 0))  # waits for the restart
                rows, slots = sum(step.sends for step in ends.steps), len(begins.steps)
                ring = Turns(Rows(slots, 0, 0, rows, 1, 1, 1, slots), restart, filler=begins, reader=ends)
                begins.fills = ends.empties = ring

    def check_aborts(self) -> None:
        """Raises UnsupportedLayer where samples may end before their time, but not all of what they are in can be
        reset."""
        if not self.aborts:
            return
        ways = sorted(str(placed.unit.over) for placed in self.placed if placed.unit.over)
        inside = [placed.unit for placed in self.placed if placed.in_steps]
        held = [unit.name for unit in inside if unit.loadable or (self.protect and unit.watches)]
        (last,) = [placed.unit for placed in self.placed if placed.unit.over == "output"][:1]
        whole = all(stream.frames == 1 for stream in (*self.inputs, *self.outputs))
        if ways != ["input", "output"] or not whole:
            raise UnsupportedLayer(
                "a sum with a margin, but its time steps do not begin and end with one StepsIn and one StepsOut",
                last.name,
                "put one hwgen.nn.StepsIn before all neurons and no other StepsOut, or leave the margin out",
            )
        if held:
            raise UnsupportedLayer(
                f"a sum with a margin resets {', '.join(held)}, which is loadable or protected",
                last.name,
                "leave the margin out",
            )

    def estimate(self) -> dict[str, float]:
        """What all units and the AXI border take, by RESOURCES."""
        estimates = [placed.unit.estimate() for placed in self.placed] + [self.border()]
        return {name: sum(estimate.get(name, 0) for estimate in estimates) for name in RESOURCES}

    def border(self) -> dict[str, float]:
        """What the AXI border takes."""

        def widths(streams: tuple[Stream, ...]) -> list[border.Widths]:
            beats = [beat_bits(stream.type.qtype.bits, stream.order.side) for stream in streams]
            return [(stream.bits, beat, self.ports.of(beat)) for stream, beat in zip(streams, beats, strict=True)]

        return border.estimate(
            widths(self.inputs),
            widths(self.outputs),
            len(self.loadable),
            load_stream=self.ports.load_stream,
            watched=len(self.watched),
            tmr=int(self.protect.tmr),
            modes=len(self.graphs),
        )

    def check_fits(self, board: Board) -> None:
        """Raises DoesNotFit when the estimate exceeds the board."""
        for resource, total in self.estimate().items():
            if total > board.resources[resource]:
                most = max((placed.unit for placed in self.placed), key=lambda unit: unit.estimate().get(resource, 0))
                raise DoesNotFit(
                    f"the network needs about {total:g} {resource}, {board.name} has {board.resources[resource]}",
                    f"{most.name} alone takes about {most.estimate().get(resource, 0):g}",
                    "prune it, or narrow its weights or activations",
                )

    def check_protected(self) -> None:
        """Raises UnsupportedLayer where a unit has something that the protection asked for does not reach."""
        for unit in (placed.unit for placed in self.placed):
            if missing := self.protect.reaches - unit.protects:
                raise UnsupportedLayer(
                    f"nothing protects the {' and '.join(sorted(missing))} of {unit.kind}",
                    unit.name,
                    "build it with --engine lanes, or with another --protect",
                )

    @property
    def watched(self) -> list[Unit]:
        """The units that tell of flipped bits, in the order of their bits in FAULTS; none without protection."""
        return [p.unit for p in self.placed if p.unit.watches] if self.protect else []

    @property
    def early(self) -> bool:
        """Whether an output may have words of a frame before a word of it came: some rows may be of padding alone."""
        return any(placed.unit.needs(i)[0] == 0 for placed in self.placed for i in range(len(placed.inputs)))

    @property
    def loadable(self) -> list[LoadableUnit]:
        """The units whose lists a host can write, in the order of their numbers."""
        return [p.unit for p in self.placed if isinstance(p.unit, LoadableUnit) and p.unit.loadable]

    def streams(self) -> list[Stream]:
        return [*self.inputs, *(stream for p in self.placed for stream in p.outputs)]

    def kept(self) -> dict[Stream, Placed]:
        """What units keep of each activation from frame to frame, as streams NAME_kept of what is written."""
        found = {}
        for placed in self.placed:
            if (bits := placed.unit.keeps) is not None:
                (sent,) = placed.outputs
                words = TensorType(sent.type.shape, QType(0, (1 << bits) - 1), 0)
                name = f"{placed.unit.name}_kept"
                found[Stream(name, sent.tensor, words, sent.order, placed.inputs[0].frames)] = placed
        return found


def place(name: str, graph: Graph, stages: list[Stage], choices: Mapping[str, Choice], context: Context) -> Design:
    """The design of `stages`, each as `choices` says by its result; inputs of the network by their own names."""
    orders = [choices[one.name].order(one.type.shape) for one in graph.inputs]
    turns = graph.turns
    inputs = [
        Stream(one.name, one.name, one.type, order, turns[one.name])
        for one, order in zip(graph.inputs, orders, strict=True)
    ]
    design = Design(name, graph, tuple(inputs), protect=context.protect)
    taps = {source.name: _fan_out(design, source, stages, graph) for source in inputs}
    for stage in stages:
        choice, sources = choices[stage.result], []
        for i, tensor in enumerate(stage.inputs):
            source = taps[tensor].pop()
            sources.append(_appended(design, source, arriving(stage, i, choice, source.order, context)))
        unit = engine_of(choice).unit(stage, choice, [source.order for source in sources], context)
        result = Stream(stage.result, stage.result, stage.y, unit.out_order, turns[stage.result])
        design.placed.append(Placed(unit, tuple(sources), (result,)))
        taps[stage.result] = _fan_out(design, result, stages, graph)
    for output in graph.outputs:
        last = taps[output.name].pop()
        design.outputs += (_appended(design, last, leaving(last.name, last.type, last.order, context)),)
    _insert_registers(design, context.levels)
    _insert_fifos(design, context.device)
    design.check_aborts()
    return design


def _appended(design: Design, source: Stream, units: list[tuple[Unit, Order]]) -> Stream:
    """The stream behind `units`, one after the other, of which each sends in its order."""
    for unit, order in units:
        result = Stream(unit.name, source.tensor, source.type, order, source.frames)
        design.placed.append(Placed(unit, (source,), (result,)))
        source = result
    return source


def _fan_out(design: Design, stream: Stream, stages: list[Stage], graph: Graph) -> list[Stream]:
    """One stream per reader of `stream`, through a chain of forks."""
    readers = sum(stage.inputs.count(stream.name) for stage in stages)
    readers += sum(output.name == stream.name for output in graph.outputs)
    ends = []
    for i in range(readers - 1):
        pair = tuple(replace(stream, name=f"{stream.tensor}_fork{i}_{side}") for side in "ab")
        unit = StreamFork(f"{stream.tensor}_fork{i}", stream.bits, stream.order)
        design.placed.append(Placed(unit, (stream,), pair))
        ends.append(pair[0])
        stream = pair[1]
    return [*ends, stream]


def _insert_registers(design: Design, levels: int) -> None:
    """A stream_reg on the streams that hwgen/chains.py names."""
    places = [
        (placed.unit, [stream.name for stream in placed.inputs], [stream.name for stream in placed.outputs])
        for placed in design.placed
    ]
    names = registered(places, {stream.name: stream.bits for stream in design.streams()}, levels)
    result, held = [], {}
    for placed in design.placed:
        result.append(Placed(placed.unit, tuple(held.get(s.name, s) for s in placed.inputs), placed.outputs))
        for stream in placed.outputs:
            if stream.name in names:
                unit = StreamReg(f"{stream.name}_reg", stream.bits, stream.order)
                held[stream.name] = replace(stream, name=unit.name)
                result.append(Placed(unit, (stream,), (held[stream.name],)))
    design.placed = result


@dataclass
class _Reached:
    """How far a stream is.

    base       the network's input in whose beats its time is counted
    progress   beats of that input that must have come before each beat
    registers  passed since the network's input
    delay      cycles from a row of the network's input to what is made of it, when nothing waits
    stops      whether a beat that waits stops what it comes from
    """

    base: str
    progress: np.ndarray
    registers: int = 0
    delay: int = 0
    stops: bool = False

    def when(self, beats: np.ndarray) -> np.ndarray:
        """The progress at which so many of its beats can have come."""
        return np.where(beats > 0, self.progress[np.maximum(beats, 1) - 1], 0)

    def come(self, progress: np.ndarray) -> np.ndarray:
        """How many of its beats can have come at a progress."""
        return np.searchsorted(self.progress, progress, side="right")

    def behind(self, unit: Unit) -> "_Reached":
        """Of what comes out of a unit that passes all beats on."""
        return replace(self, registers=self.registers + unit.latency, delay=self.delay + unit.delay)


def _insert_fifos(design: Design, device: Device) -> None:
    """A FIFO on each side of a join that must hold more than one beat, so that no branch can starve the other.

    Time is counted in beats of the network's input. When the join has all that its beat n needs, all sides can have
    been sent every beat that the input up to then allows; what it cannot have taken before n (`Unit.holds`) waits in
    the FIFO. One row more keeps the branches from stalling each other inside a row. Sides that passed unequally many
    registers since they parted get one each too, so that no beat waits for the one before it to be through; and so does
    a side whose unit takes nothing while a result of it waits, for the other side may need more of what both come from:
    only lanes go on filling their rows.

    Where a join waits for the whole frame, all that comes after its last beat until the late side is computed must find
    room, or no frame is begun meanwhile: at the rate of the slowest unit.

    Each input of the network has a time of its own, as its host may wait: sides that come from different inputs need no
    FIFO. Where two inputs first meet their times become one: a beat of the second comes when it is first needed there.
    As units wait for nothing but words and room, no order in which words are offered leads to a deadlock if one does
    not: provided that every word is offered whatever became of those of other inputs, and every result is taken
    whatever came on other outputs.
    """
    if all(len(placed.inputs) == 1 for placed in design.placed):
        return
    slowest = design.slowest()
    inputs = design.inputs
    reached = {stream.name: _Reached(stream.name, np.arange(1, stream.beats + 1)) for stream in inputs}
    result = []
    for placed in design.placed:
        unit, bases = placed.unit, [reached[stream.name].base for stream in placed.inputs]
        for base in dict.fromkeys(bases):
            if base != bases[0]:
                _make_one(bases[0], base, placed, reached)
        progress = np.maximum.reduce(
            [reached[stream.name].when(placed.needs(i)) for i, stream in enumerate(placed.inputs)]
        )
        if len(placed.inputs) > 1:
            placed = _queued(placed, bases, reached, result, device, slowest)
        sides = [reached[stream.name] for stream in placed.inputs]
        rigid = unit.rigid or (unit.stops and any(side.stops for side in sides))
        registers = max(side.registers for side in sides) + unit.latency + unit.empty_slots
        delay = max(side.delay for side in sides) + unit.delay
        for stream in placed.outputs:
            reached[stream.name] = _Reached(bases[0], progress, registers, delay, rigid)
        result.append(placed)
    design.placed = result


def _make_one(base: str, other: str, placed: Placed, reached: dict[str, _Reached]) -> None:
    """The time of what comes from input `other` becomes that of `base`, at the first unit that reads of both."""
    sides = [(i, reached[stream.name]) for i, stream in enumerate(placed.inputs)]
    ours, theirs = (
        np.maximum.reduce([side.when(placed.needs(i)) for i, side in sides if side.base == of]) for of in (base, other)
    )
    end, last = (max(side.progress[-1] for side in reached.values() if side.base == of) for of in (base, other))
    times = np.append(ours, end)[np.searchsorted(theirs, np.arange(last + 1))]  # a beat no longer needed: at the end
    times[0] = 0
    for side in reached.values():
        if side.base == other:
            side.base, side.progress = base, times[side.progress]


def _queued(
    placed: Placed,
    bases: list[str],
    reached: dict[str, _Reached],
    result: list[Placed],
    device: Device,
    slowest: int,
) -> Placed:
    """A join behind FIFOs, which go into `result`; bases -- whence each side comes."""
    inputs = []
    for i, stream in enumerate(placed.inputs):
        depth = _depth(placed, i, [reached[stream.name] for stream in placed.inputs], bases, slowest)
        if depth:
            fifo = StreamFifo(f"{placed.unit.name}_{i}", stream.bits, depth, stream.order, device)
            behind = replace(stream, name=f"{stream.name}_queued{i}")
            result.append(Placed(fifo, (stream,), (behind,)))
            reached[behind.name] = reached[stream.name].behind(fifo)
            stream = behind
        inputs.append(stream)
    return Placed(placed.unit, tuple(inputs), placed.outputs)


def _depth(placed: Placed, i: int, sides: list[_Reached], bases: list[str], slowest: int) -> int:
    """Words of the FIFO before input i of a join; 0: it needs none. sides -- what is reached at all inputs."""
    unit, stream, side = placed.unit, placed.inputs[i], sides[i]
    if bases.count(bases[i]) == 1:  # nothing that it could starve
        return 2 + unit.pauses(i) if unit.pauses(i) else 0
    ready = [other.when(placed.needs(j)) for j, other in enumerate(sides)]

    def ahead_at(progress: np.ndarray) -> int:
        return max(1, int((side.come(progress) - placed.holds(i)).max()))

    ahead, pauses, late = ahead_at(np.maximum.reduce(ready)), unit.pauses(i), 0
    inside = max(1, *(unit.pauses(j) for j in range(len(sides)) if j != i))  # what it takes in one go
    if ahead >= stream.beats:  # the whole turn: not of the side that is waited for
        ahead = ahead_at(np.maximum.reduce(ready[:i] + ready[i + 1 :]))
        latest = max(other.delay for other in sides) - side.delay
        late = -(-latest * stream.beats // slowest) if ahead > 1 else 0
    registers = [other.registers for other, base in zip(sides, bases, strict=True) if base == bases[i]]
    uneven = max(registers) - min(registers)
    if not (ahead > 1 or uneven or side.stops or pauses):
        return 0
    return ahead + uneven + 1 + max(pauses, stream.row_beats if ahead > inside else 0) + late
