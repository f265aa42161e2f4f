"""What a user may choose about a build."""

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import inf

from hwgen.board import Board
from hwgen.devices import Device
from hwgen.errors import BadInput
from hwgen.ports import Ports
from hwgen.protect import NONE, Protection
from hwgen.target import EXACT, TARGETS, TFLITE_REFERENCE, Target

MEMORIES = ("bram", "uram", "auto")  # that can be loaded
MOST_LOADABLE = 256
MOST_NEAR = 40  # bits of a multiplier
ENGINES = ("auto", "lanes", "spatial", "spikes")
RESOURCES = ("LUT", "BRAM36", "URAM", "DSP")  # what units are priced in, and a budget may limit
MOST_LANES = 4096


@dataclass(frozen=True)
class BuildConfig:
    """Choices of `hwgen build`; raises BadInput for a value outside its range."""

    board: str = "zcu104"  # a file of boards/
    # at most so many accumulators per layer, 1 to 4096; default: 16, or all with a rate or a budget
    lanes: int | None = None
    # folded on lanes, or spatial: unfolded, a pixel a cycle; auto: what is smaller at the rate. An engine, or
    # PATTERN=ENGINE for layers by name, several with commas between; the last that matches counts. Default: lanes, or
    # auto with a rate or a budget
    engine: str | None = None
    pixels: int = 1  # at most so many a cycle into a spatial layer, 1 to 1024
    # time steps of a sample by which layers are scheduled, and a rate is meant, 1 to 65536; default: all. Samples that
    # end early (hwgen.nn.StepsOut with a margin) take fewer on average
    mean_steps: int | None = None
    fps: float | None = None  # frames a second that the slowest layer must reach, with the least area
    clock: float | None = None  # MHz of the rate; default: the board's
    # what the network may take, as fast as it can be: 60% of everything, or RESOURCE=NUMBER or RESOURCE=PERCENT% by
    # commas
    budget: str | None = None
    dsp: bool = True  # whether lanes may be in DSP slices, where a rate or a budget makes that worth it
    loadable: str | None = (
        None  # layers on lanes whose weights a host can replace: patterns, several with commas between
    )
    # the memory of a loadable layer's terms: bram, or uram, which is empty until it is loaded; auto: either
    weights_in: str = "bram"
    # layers on lanes whose output channels may be on two kinds of them, in LUTs by terms and in DSP slices by weights:
    # patterns, several with commas between; with a rate or a budget, and where the network is better by it
    split: str | None = None
    levels: int = 3  # rows of adders between two registers of a spatial layer, a clamp counted as one, 1 to 64
    # whose integers a network that another tool quantized shall have: exact, rational arithmetic over its scales, or
    # one of hwgen.target.TARGETS, that tool's own
    target: str = EXACT
    near: int | None = None  # the most bits of a multiplier that requantizes, 1 to 40, where exact ones need more
    # against flipped bits: none, or parity or ecc, and tmr-control, with commas between
    protect: str = NONE
    # bits of every stream at the AXI top, a power of two from 8 to 1024; default: of each, as the network's beat
    stream_bits: int | None = None
    load_stream: bool = False  # whether weights of loadable layers come over a stream too
    name: str = ""  # of the network's Verilog modules; default: the output folder's name

    def __post_init__(self):
        self._check_numbers()
        if self.fps and self.budget:
            raise BadInput("a rate and a budget", "--fps, --budget", "give one: the other is what comes out")
        if self.budget is not None:
            self._shares()
        for _, engine in self._engines():
            if engine not in ENGINES:
                raise BadInput(
                    f"no engine {engine!r}",
                    "--engine",
                    f"use {', '.join(ENGINES)}, or PATTERN=ENGINE for layers by name",
                )
        if self.target not in TARGETS:
            raise BadInput(f"target = {self.target!r}", "--target", f"use one of {', '.join(TARGETS)}")
        if self.weights_in not in MEMORIES:
            raise BadInput(f"weights_in = {self.weights_in!r}", "--weights-in", f"use {', '.join(MEMORIES)}")
        if self.loadable is not None and (not isinstance(self.loadable, str) or not all(self._loadable())):
            raise BadInput(f"loadable = {self.loadable!r}", "--loadable", "use names or patterns of layers, or *")
        Protection.of(self.protect)
        self._check_split()
        if self.ports.load_stream and self.loadable is None:
            raise BadInput("a stream of weights, and no layer to load", "--load-stream", "name layers by --loadable")
        if self.name and not re.fullmatch(r"[a-z][a-z0-9_]*", self.name):
            raise BadInput(f"name = {self.name!r}", "--name", "use lower-case letters, digits and _, a letter first")

    def _check_split(self) -> None:
        if self.split is None:
            return
        if not isinstance(self.split, str) or not all(_patterns(self.split)):
            raise BadInput(f"split = {self.split!r}", "--split", "use names or patterns of layers, or *")
        if not self.targets or not self.dsp:
            raise BadInput(
                "a split needs DSP slices, which are chosen for a rate or in a budget",
                "--split",
                "give --fps or --budget, without --no-dsp",
            )

    @property
    def requantization(self) -> Target:
        return Target(EXACT if self.target == TFLITE_REFERENCE else self.target, self.near)

    @property
    def protection(self) -> Protection:
        return Protection.of(self.protect)

    @property
    def ports(self) -> Ports:
        return Ports(self.stream_bits, self.load_stream)

    def _check_numbers(self) -> None:
        """Raises BadInput for a number of the wrong type or outside its range."""
        for name, most in (("lanes", MOST_LANES), ("pixels", 1024), ("levels", 64), ("mean_steps", 1 << 16)):
            value = getattr(self, name)
            if value is None and name in ("lanes", "mean_steps"):
                continue
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
                option = f"--{name.replace('_', '-')}"
                raise BadInput(f"{name} = {value!r}", option, f"use an integer from 1 to {most}")
        if self.near is not None and (isinstance(self.near, bool) or self.near not in range(1, MOST_NEAR + 1)):
            raise BadInput(
                f"near = {self.near!r}", "--near", f"use an integer from 1 to {MOST_NEAR}: a multiplier's bits"
            )
        for name in ("fps", "clock"):
            value = getattr(self, name)
            if value is not None and (
                isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < inf
            ):
                raise BadInput(f"{name} = {value!r}", f"--{name}", "use a positive number")

    def _engines(self) -> list[tuple[str, str]]:
        """(pattern, engine), in the order given."""
        engine = self.default_engine if self.engine is None else self.engine
        if not isinstance(engine, str):
            raise BadInput(f"engine = {engine!r}", "--engine", f"use one of {', '.join(ENGINES)}")
        parts = [part.strip().rpartition("=") for part in engine.split(",")]
        return [(pattern.strip() if equals else "*", engine.strip()) for pattern, equals, engine in parts]

    @property
    def targets(self) -> bool:
        """Whether a rate or a budget is asked for."""
        return bool(self.fps or self.budget)

    @property
    def default_engine(self) -> str:
        return "auto" if self.targets else "lanes"

    @property
    def most_lanes(self) -> int:
        """Accumulators of a layer."""
        return self.lanes or (MOST_LANES if self.targets else 16)

    def engine_of(self, layer: str) -> str:
        """The engine chosen for a layer by its name; the default where no pattern matches."""
        found = [engine for pattern, engine in self._engines() if fnmatchcase(layer, pattern)]
        return found[-1] if found else self.default_engine

    def _loadable(self) -> list[str]:
        return _patterns(self.loadable)

    def is_split(self, layer: str) -> bool:
        """Whether the channels of a layer, by its name, may be parted."""
        return any(fnmatchcase(layer, pattern) for pattern in _patterns(self.split))

    def names_split(self, layer: str) -> bool:
        """Whether that is said of the layer by its own name."""
        return layer in _patterns(self.split)

    def check_split(self, layers: list[str]) -> None:
        """Raises BadInput when a pattern matches none of the layers."""
        _check_patterns(_patterns(self.split), layers, "--split")

    def is_loadable(self, layer: str) -> bool:
        """Whether the weights of a layer, by its name, can be replaced."""
        return any(fnmatchcase(layer, pattern) for pattern in self._loadable())

    def memories_of(self, device: Device) -> list[str]:
        """Which a loadable layer's terms may have on a device; raises BadInput when it has none of those asked for."""
        asked = ["bram", "uram"] if self.weights_in == "auto" else [self.weights_in]
        found = [memory for memory in asked if memory in device.memories]
        if not found:
            raise BadInput(f"the family {device.family} has no {self.weights_in}", "--weights-in", "use bram")
        return found

    def check_loadable(self, layers: list[str]) -> None:
        """Raises BadInput when a pattern matches none of the layers, those with weights on lanes."""
        for pattern in self._loadable():
            if not any(fnmatchcase(layer, pattern) for layer in layers):
                names = f"they are {', '.join(layers)}" if layers else "there is none"
                raise BadInput(f"no layer with weights on lanes matches {pattern!r}", "--loadable", names)
        if (count := sum(self.is_loadable(layer) for layer in layers)) > MOST_LOADABLE:
            raise BadInput(f"{count} layers", "--loadable", f"name at most {MOST_LOADABLE}")

    def hertz(self, board: Board) -> float:
        """The clock at which a rate is meant."""
        return (self.clock or board.clock_mhz) * 1e6

    def interval(self, board: Board) -> int:
        """The most cycles a frame at the rate that is asked for."""
        assert self.fps
        return int(self.hertz(board) / self.fps * (1 + 1e-9))  # a rate that is a point of the frontier is met

    def _shares(self) -> dict[str, tuple[float, bool]]:
        """Of a budget: a number and whether it is a percentage, by resource."""
        hint = "use 60%, or LUT=100000,BRAM36=50%"
        if not isinstance(self.budget, str) or not self.budget.strip():
            raise BadInput(f"budget = {self.budget!r}", "--budget", hint)
        shares = {}
        for part in self.budget.split(","):
            name, equals, value = part.strip().rpartition("=")
            match = re.fullmatch(r"(\d+(?:\.\d+)?)(%?)", value.strip())
            name = {"BRAM": "BRAM36"}.get(name.strip().upper(), name.strip().upper())
            if not match or (equals and name not in RESOURCES) or (not equals and not match[2]):
                raise BadInput(f"{part.strip()!r} is no budget", "--budget", hint)
            shares |= dict.fromkeys([name] if equals else RESOURCES, (float(match[1]), bool(match[2])))
        return shares

    def limits(self, board: Board) -> dict[str, int]:
        """The budget, by resource."""
        return {
            name: int(value * board.resources[name] / 100) if percent else int(value)
            for name, (value, percent) in self._shares().items()
        }

    def check_patterns(self, layers: list[str]) -> None:
        """Raises BadInput when a pattern matches none of the layers."""
        _check_patterns([pattern for pattern, _ in self._engines()], layers, "--engine")


def _patterns(text: str | None) -> list[str]:
    """Patterns of layers, with commas between."""
    return [] if text is None else [pattern.strip() for pattern in text.split(",")]


def _check_patterns(patterns: list[str], layers: list[str], option: str) -> None:
    for pattern in patterns:
        if pattern != "*" and not any(fnmatchcase(layer, pattern) for layer in layers):
            raise BadInput(f"no layer matches {pattern!r}", option, f"the layers are {', '.join(layers)}")
