"""rtl/lif.v: neurons, a beat a cycle, their membranes in a memory in the order of the beats."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwgen.devices import Device
from hwgen.lanes.memories import MEMORIES
from hwgen.ops.lif import Li, Lif
from hwgen.qtype import ceil_log2, width
from hwgen.rom import Rom
from hwgen.stage import Stage
from hwgen.stream import Order
from hwgen.units.unit import BeatByBeat
from hwgen.verilog import Value, signed64

CUT_BEATS = 3  # of a frame from which on there are registers between the adders of a neuron
LEAKS = ("LEAK_A", "LEAK_B", "LEAK_C", "LEAK_D")
ORDERS = ("now", "late", "spiker")
RESETS = ("subtract", "zero", "none")


@dataclass(frozen=True, eq=False)
class Neurons(BeatByBeat):
    """order -- of its input and its output"""

    stage: Stage
    order: Order
    device: Device
    module = "lif"

    @property
    def name(self) -> str:
        return self.stage.name

    @property
    def op(self) -> Li:
        assert isinstance(self.stage.op, Li)
        return self.stage.op

    @property
    def latency(self) -> int:  # type: ignore[override]
        return 2 if isinstance(self.op, Lif) and self.order.beats >= CUT_BEATS else 1

    def note(self):
        return f"{self.name}: {self.stage.op}, {self.stage.x} -> {self.stage.y}"

    @cached_property
    def levels(self) -> np.ndarray | None:
        """int64 [beats until they come again, side]: thresholds that differ; None where all have one."""
        if not isinstance(self.op, Lif) or len(set(self.op.levels.tolist())) == 1:
            return None
        _, rows, columns = self.order.shape
        indices = self.order.indices()
        each = self.op.hardware_levels(self.stage.x)[np.maximum(indices, 0) // (rows * columns)]
        words = np.where(indices < 0, 1, each).reshape(-1, self.order.side)
        periods = 1 + np.flatnonzero(len(words) % np.arange(1, len(words) + 1) == 0)
        return next(words[:n] for n in periods if (words.reshape(-1, n, self.order.side) == words[:n]).all())

    @cached_property
    def rom(self) -> Rom | None:
        """The thresholds that differ."""
        if self.levels is None:
            return None
        bits = width(0, int(self.levels.max()))
        return Rom.of_fields([(self.levels[:, n], bits) for n in reversed(range(self.order.side))])

    @property
    def rom_path(self) -> str:
        return f"rom/{self.name}.hex"

    @cached_property
    def bits(self) -> int:
        """Of a membrane."""
        return self.op.bits(self.stage.x)

    @property
    def keeps(self) -> int:  # type: ignore[override]
        return self.bits + (isinstance(self.op, Lif) and self.op.order == "spiker")

    def kept(self, x):
        return self.op.kept(self.stage.x, x)

    @property
    def block_ram(self) -> bool:
        """Whether the membranes are in a block RAM."""
        return self.device.prefers_block(self.order.beats, self.order.side * self.bits)

    def parameters(self):
        op, x = self.op, self.stage.x
        leak = {name: shift for name, shift in zip(LEAKS, op.leak, strict=False)}
        found: dict[str, Value] = {
            "N": self.order.side,
            "X_W": x.qtype.bits,
            "X_SIGNED": int(x.qtype.signed),
            "SHIFT": op.shift(x),
            "W": self.bits,
            "OUT_W": self.stage.y.qtype.bits,
            "BEATS": self.order.beats,
            "STEPS": op.steps,
            "RAM": int(self.block_ram),
            "LEAKS": len(op.leak),
            **dict.fromkeys(LEAKS, 0),
            **leak,
            "HALF_UP": int(op.half_up),
            "START": signed64(op.neuron.leaked(op.start, op.leak)),
        }
        return found | (self._firing(op) if isinstance(op, Lif) else {"SPIKES": 0})

    def _firing(self, op: Lif) -> dict[str, Value]:
        found: dict[str, Value] = {
            "SPIKES": 1,
            "ORDER": ORDERS.index(op.order),
            "RESET": RESETS.index(op.reset),
            "AT": int(op.at),
        }
        if self.rom is None or self.levels is None:
            return found | {"THRESHOLD": signed64(int(op.hardware_levels(self.stage.x)[0])), "WORDS": 0}
        return found | {
            "K_W": self.rom.width // self.order.side,
            "WORDS": self.rom.depth,
            "FILE": self.rom_path,
            "CHECK": (self.rom.check, 32),
        }

    def files(self):
        return {} if self.rom is None else {self.rom_path: self.rom.text()}

    def roms(self):
        return {} if self.rom is None else {self.rom_path: {"depth": self.rom.depth, "width": self.rom.width}}

    def facts(self):
        return {"steps": self.op.steps, "latency": self.latency, "membrane_bits": self.bits}

    def estimate(self):
        op, bits, side, beats = self.op, self.bits, self.order.side, self.order.beats
        each = bits * (1 + len(op.leak))
        each -= bits * (op.half_up and 1 in op.leak)  # as yosys counts them
        if isinstance(op, Lif):
            each += bits * (op.reset != "none") + -(-bits // 5) + (op.order == "spiker")
            each += 0 if self.rom is None else bits + bits // 6
            each += bits // 2 * (beats < CUT_BEATS)
        luts = 6 + ceil_log2(beats) + ceil_log2(op.steps) + side * each
        word = side * self.keeps
        blocks = 0.0
        if self.block_ram:
            blocks += self.device.block_memory(beats, word)[0]
        elif beats > 1:
            deep = beats > self.device.lut_depth
            luts += self.device.lut_banks(beats, word) if deep else self.device.lut_memory(beats, word)
            # one of two banks is chosen where the activation is added
            luts -= word if self.device.lut_depth < beats <= 2 * self.device.lut_depth else 0
        if self.rom is not None:
            memory = MEMORIES["rom"]
            more, _ = memory.blocks(self.rom.depth, self.rom.width, self.device)
            blocks += more.get("BRAM36", 0)
            luts += memory.luts(self.rom.depth, self.rom.width, self.device)
            luts += 0 if self.rom.depth > self.device.lut_depth else self.rom.width
        return {"LUT": luts, "BRAM36": blocks}
