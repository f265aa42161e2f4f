"""One file per way to compute a stage. It is found by being here: lowering, scheduling and emission know none by name.

An engine says which stages it can take, what may be chosen of it at a rate, in which order it reads, and which unit it
becomes.
"""

import functools
import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar, Generic, TypeVar

from hwgen.devices import Device
from hwgen.ir import Graph
from hwgen.protect import UNPROTECTED, Protection
from hwgen.stage import Stage
from hwgen.stream import Order
from hwgen.units.unit import Unit


@dataclass(frozen=True)
class Choice:
    """What is chosen for a stage: plain numbers, whose names and values hwgen.json holds; reports say its str().

    engine -- the name of the engine whose choice it is
    """

    engine: ClassVar[str]

    def order(self, shape: tuple[int, int, int]) -> Order:
        """The order in which a stage of this choice would have a frame come if it could have its way."""
        raise NotImplementedError(f"{type(self).__name__}.order")

    def as_json(self) -> dict[str, int | str]:
        return {"engine": self.engine, **asdict(self)}


@dataclass(frozen=True)
class Border(Choice):
    """What the network's input sends: so many activations a beat, in raster order."""

    side: int = 1
    engine = "border"

    def order(self, shape):
        return Order(shape, 1, self.side)


@dataclass(frozen=True)
class Limits:
    """What may be chosen of an engine.

    cycles   a stage should take no more a frame; None: all that is possible is asked for
    lanes    most accumulators of a stage
    pixels   most pixels a beat
    dsp      whether DSP slices may be taken
    memories for the list of a stage that can be loaded, by name
    have     what there is of each resource, to weigh what takes several
    device   the family of the board
    protect  against flipped bits
    targets  whether a rate or a budget is asked for
    """

    cycles: float | None
    lanes: int
    pixels: int
    dsp: bool
    memories: Sequence[str]
    have: Mapping[str, float]
    device: Device
    protect: Protection = UNPROTECTED
    targets: bool = False


@dataclass(frozen=True)
class Context:
    """What a unit must know beside its stage.

    device  the family that it is built for
    levels  rows of adders between two registers, in unfolded layers
    free    the tensors whose readers find channels in any order
    protect  against flipped bits
    aborts   whether samples may end before their time
    """

    device: Device
    levels: int
    free: frozenset[str] = frozenset()
    protect: Protection = UNPROTECTED
    aborts: bool = False

    @staticmethod
    def of(
        graph: Graph, stages: list[Stage], device: Device, levels: int, protect: Protection = UNPROTECTED
    ) -> "Context":
        readers: dict[str, list[Stage]] = {}
        for stage in stages:
            for name in stage.inputs:
                readers.setdefault(name, []).append(stage)
        free: set[str] = set()

        def takes_any(stage: Stage) -> bool:
            able = [engine for engine in engines().values() if engine.refuses(stage) is None]
            return all(
                engine.takes_any_order(stage) or (engine.passes_order and stage.result in free) for engine in able
            )

        for name, found in reversed(readers.items()):
            if not graph.is_output(name) and all(map(takes_any, found)):
                free.add(name)
        return Context(device, levels, frozenset(free), protect, any(node.op.aborts for node in graph.nodes))


EVERY = ("lanes", "spatial", "spikes")  # the families of what has no other form


C = TypeVar("C", bound=Choice)


class Engine(Generic[C]):
    """A way to compute stages.

    name       of the engine, as hwgen.json has it
    families   the words of --engine that allow it: lanes, folded; spatial, unfolded; spikes, folded by what spiked
    choice     the class of its choices
    any_order  whether it reads the channels of its inputs in any order
    passes_order  whether it reads them in any order, and sends them in that same order
    by_mode    whether it can compute a stage whose weights or quantizers a frame chooses
    """

    name: str
    families: tuple[str, ...]
    choice: type[C]
    any_order: bool = False
    passes_order: bool = False
    by_mode: bool = False

    def takes_any_order(self, stage: Stage) -> bool:
        """Whether it reads the channels of a stage's inputs in any order."""
        return self.any_order

    def refuses(self, stage: Stage) -> str | None:
        """The `obstacle` of a stage, its modes counted."""
        if stage.modes and not self.by_mode:
            return "its weights or quantizers are another in each mode, which lanes alone can have"
        return self.obstacle(stage)

    def obstacle(self, stage: Stage) -> str | None:
        """Why it cannot compute a stage; None where it can."""
        raise NotImplementedError(f"{type(self).__name__}.obstacle")

    def choices(self, stage: Stage, limits: Limits, sides: Callable[[], Sequence[Order]]) -> Sequence[C]:
        """What is worth considering; sides -- gives the orders in which what the stage reads may be sent, if known."""
        raise NotImplementedError(f"{type(self).__name__}.choices")

    def reads(self, stage: Stage, i: int, choice: C, order: Order) -> Order:
        """The order in which input i must come where its source sends it in `order`: that one, if it can read it."""
        raise NotImplementedError(f"{type(self).__name__}.reads")

    def unit(self, stage: Stage, choice: C, orders: Sequence[Order], context: Context) -> Unit:
        """The unit that computes a stage from inputs in `orders`, each as `reads` says."""
        raise NotImplementedError(f"{type(self).__name__}.unit")


ENGINES: dict[str, Engine] = {}


def engine(kind: type[Engine]) -> type[Engine]:
    """Registers an engine."""
    ENGINES[kind.name] = kind()
    return kind


@functools.cache
def engines() -> dict[str, Engine]:
    """All engines by name, every file of this folder read; in alphabetical order."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return dict(sorted(ENGINES.items()))


def engine_of(choice: Choice) -> Engine:
    return engines()[choice.engine]


def read_choice(entry: dict) -> Choice:
    """The choice that `Choice.as_json` wrote; raises KeyError, TypeError for what none did."""
    values = dict(entry)
    name = values.pop("engine")
    kind = Border if name == Border.engine else engines()[name].choice
    return kind(**values)
