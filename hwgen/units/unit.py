"""What every hardware block tells the rest: ports, parameters, files, and the pace of a frame."""

from dataclasses import replace

import numpy as np
from torch import Tensor

from hwgen.ir import Op
from hwgen.rom import Rom
from hwgen.stream import Order
from hwgen.verilog import Value
from hwgen.walks import Step, Walk


class Unit:
    """One instance of an rtl/ module. Subclasses are frozen dataclasses with a `name`, unique in the design.

    module        the Verilog module
    takes, gives  prefixes of its stream ports: prefix p has p_tdata, p_tvalid, p_tready
    loads         whether the module has the ports load_select, load and loaded (rtl/term_lanes.v)
    watches       whether the module has the ports fault and repaired, which tell of flipped bits (docs/protect.md)
    votes         whether the module has the parameter TMR
    protects      what of `Protection` reaches all that the unit has: memories, control
    primitives    whether the module has the parameter XILINX
    latency       registers from its input to its output that no line memory is part of
    empty_slots   cycles of a frame in which it takes no beat
    wakes         cycles behind a reset in which it takes no beat
    rigid         whether it takes nothing while a result of it waits
    stops         whether a beat that waits behind it stops what comes before it: not where rows are held
    instant       whether it takes a beat only where what it sends is taken in that clock: its tready is no register's
    loadable      whether a host writes its list: then it is a LoadableUnit
    by_mode       whether it is another in each mode of a frame, and has `modes` of rtl/mode_ring.v at a port
    leaves_out    modules of rtl/ that its parameters keep out of what is below it
    keeps         None, or the bits of what it keeps of each activation from frame to frame: see `kept`
    keeper        the instance in it that does, with a dot behind it: its wires `write` and `keep`, a beat a clock
    over          None, or what its port `over` is, which tells that a sample of time steps has ended: input or output
    """

    name: str
    module: str
    takes: tuple[str, ...] = ("s_axis",)
    gives: tuple[str, ...] = ("m_axis",)
    watches: bool = False
    votes: bool = False
    protects: frozenset[str] = frozenset()
    primitives: bool = False
    loads: bool = False
    latency: int = 1
    empty_slots: int = 0
    wakes: int = 0
    rigid: bool = False
    stops: bool = True
    instant: bool = True
    loadable: bool = False
    by_mode: bool = False
    leaves_out: frozenset[str] = frozenset()
    keeps: int | None = None
    keeper: str = ""
    over: str | None = None

    @property
    def out_order(self) -> Order:
        """The order of the stream that it sends; of a unit with several outputs that of each."""
        raise NotImplementedError(f"{type(self).__name__}.out_order")

    @property
    def delay(self) -> int:
        """Cycles from the last beat that a row of the output needs to the row's last beat, when neither side waits."""
        return self.latency

    @property
    def kind(self) -> str:
        """What a user calls it: the module's name, but where each layer has a module of its own."""
        return self.module

    @property
    def instance(self) -> str:
        return f"u_{self.kind}_{self.name}"

    def note(self) -> str:
        """One line that tells a reader of the Verilog what the instance does."""
        return f"{self.name}: {self.module}"

    def parameters(self) -> dict[str, Value]:
        """The module's parameters by name, those with its defaults too; a (value, bits) pair is a sized literal."""
        raise NotImplementedError(f"{type(self).__name__}.parameters")

    def files(self) -> dict[str, str]:
        """Files this instance reads, by their path in the build directory."""
        return {}

    def roms(self) -> dict[str, dict[str, int]]:
        """The `depth` and the `width` in bits of each file that is a ROM."""
        return {}

    def facts(self) -> dict:
        """What the manifest says of it beside its cycles: of a layer its lanes and terms; useful, the terms that a
        frame needs, and capacity, how many it can add in a cycle; varies, where its cycles are the most, as they depend
        on the data."""
        return {}

    def in_mode(self, mode: int) -> "Unit":
        """The unit whose cycles, walks and delay are those of frames of one mode."""
        return self

    def with_ring(self, depth: int) -> "Unit":
        """The unit that reads the modes of so many frames."""
        return self

    def kept(self, x: Tensor) -> Tensor:
        """What it keeps of each activation behind each frame, as unsigned numbers [N, channels, rows, columns], for the
        integers of its input; of units that say how many bits it `keeps`."""
        raise NotImplementedError(f"{type(self).__name__}.kept")

    def cycles(self) -> int:
        """Cycles between two frames when nothing else holds the unit up; the most, where they depend on the data."""
        raise NotImplementedError(f"{type(self).__name__}.cycles")

    def estimate(self) -> dict[str, float]:
        """LUT and BRAM36 before synthesis, to refuse what cannot fit; benchmarks/estimates.py holds it to yosys."""
        raise NotImplementedError(f"{type(self).__name__}.estimate")

    @property
    def counted(self) -> bool:
        """Whether `estimate` is told at once, and not by much work that is yet to be done."""
        return True

    def bound(self) -> dict[str, float]:
        """What the estimate is not below, told at once."""
        return self.estimate()

    def about(self) -> dict[str, float]:
        """What it may come to, told at once."""
        return self.estimate()

    def needs(self, i: int = 0) -> np.ndarray:
        """For each beat of an output frame, how many beats of a frame of input i must have come."""
        raise NotImplementedError(f"{type(self).__name__}.needs")

    def holds(self, i: int = 0) -> np.ndarray:
        """For each beat of an output frame, how many beats of input i it has taken at least when it waits for nothing
        but another input: those of the beats before, or more if it has a memory for them. What else has come by then
        waits in a FIFO."""
        return np.concatenate(([0], self.needs(i)[:-1]))

    def pauses(self, i: int = 0) -> int:
        """The most beats that it sends, within a row, without one of input i: while it is busy with the others a FIFO
        takes what comes."""
        return 0

    def sends(self) -> np.ndarray:
        """For each beat of an output frame, after how many beats and empty slots it is sent; for units without rows."""
        return self.needs() - 1

    def walks(self, rows: int, taken: int, sent: int) -> list[Walk]:
        """How it goes through a frame: the walk that takes its input, and the one that sends its output, if that is
        another; of a unit that only passes beats on, none. The first takes all inputs, but those that another one says
        that it takes (`Walk.sides`); the last sends.

        rows -- of the first input's frame; taken, sent -- beats of a row of that input and of the output
        """
        slots = self.sends().reshape(-1, sent)
        spacing = int(slots[0, 1] - slots[0, 0]) if sent > 1 else 1
        sends = {int(slot) // taken for slot in slots[:, sent // 2]}  # the row in which most of an output row falls
        count = max(rows, max(sends) + 1)
        cycles = [max(taken, sent)] * count
        rest = self.empty_slots - (count - rows) * taken
        cycles[-1] += rest
        quiet = [max(0, cycle - sent * max(1, spacing)) for cycle in cycles]
        steps = [Step(i < rows, i in sends, cycles[i], sent, quiet[i]) for i in range(count)]
        steps[-1] = replace(steps[-1], rest=rest, rest_beats=int((slots >= self.cycles() - rest).sum()))
        return [Walk(steps, gap=float(slots[0, 0] + self.cycles() - 1 - slots[-1, -1]))]


class BeatByBeat(Unit):
    """A unit that sends one beat for each that it takes, in the same order."""

    order: Order

    @property
    def out_order(self):
        return self.order

    def cycles(self):
        return self.order.beats

    def needs(self, i=0):
        return np.arange(1, self.order.beats + 1)


class LoadableUnit(Unit):
    """A unit whose list a host can write.

    rom -- the list of the build; depth -- the words that its memory holds
    """

    rom: Rom
    depth: int

    def reloaded(self, op: Op) -> Rom:
        """The list of an op that is the stage's but for weights and biases; raises DoesNotFit where the hardware cannot
        hold it."""
        raise NotImplementedError(f"{type(self).__name__}.reloaded")
