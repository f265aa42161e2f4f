"""rtl/gather.v: beats in another order, by way of a memory of two blocks."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwgen.beatmap import BeatMap, Blocks, Nest
from hwgen.devices import Device
from hwgen.qtype import ceil_log2
from hwgen.rom import Rom
from hwgen.stage import Stage
from hwgen.stream import Order
from hwgen.units.resample import buffered, wiring
from hwgen.units.unit import Unit
from hwgen.walks import Step, Walk


@dataclass(frozen=True, eq=False)
class Gather(Unit):
    stage: Stage
    beats: BeatMap
    device: Device
    module = "gather"
    stops = False
    instant = False

    @property
    def name(self) -> str:
        return self.stage.name

    @property
    def out_order(self) -> Order:
        return self.beats.sent

    @property
    def blocks(self) -> Blocks:
        return self.beats.blocks

    @property
    def nest(self) -> Nest:
        return self.beats.blocks.nest

    @property
    def by_rows(self) -> bool:
        """Whether a block is whole rows; else a row is whole blocks."""
        return self.beats.taken.shape[1] % self.blocks.count == 0

    @property
    def latency(self) -> int:
        return 2 + self.block_ram + (0 if self.by_rows else self.blocks.taken)

    def note(self):
        return (
            f"{self.name}: {self.stage.op}, {self.blocks.count} times {self.blocks.taken} beats to {self.blocks.sent}"
        )

    @property
    def bits(self) -> int:
        """Bits of a word of the memory."""
        return self.beats.sent.side * self.stage.x.qtype.bits

    @property
    def block_ram(self) -> bool:
        """Whether the memory is a block RAM: where that is the smaller share of a board."""
        return self.device.prefers_block(2 * self.blocks.taken, self.bits)

    @cached_property
    def rom(self) -> Rom | None:
        """The first place of each run, and whether it is zeros; None where there is one run."""
        starts = self.nest.starts
        if self.runs == 1:
            return None
        places = [(np.maximum(starts, 0), ceil_log2(self.blocks.taken))]
        return Rom.of_fields([((starts < 0).astype(np.int64), 1), *places] if self.zeros else places)

    @property
    def runs(self) -> int:
        """Runs of a block, which are the words of its file."""
        return len(self.nest.starts)

    @property
    def zeros(self) -> bool:
        """Whether some runs are of zeros."""
        return bool((self.nest.starts < 0).any())

    @property
    def rom_path(self) -> str:
        return f"rom/{self.name}.hex"

    def parameters(self):
        nest, wide = self.nest, 32 * len(self.nest.counts)
        found = wiring(self.stage, self.beats) | {
            "BLOCK": self.blocks.taken,
            "RAM": int(self.block_ram),
            "LEVELS": len(nest.counts),
            "COUNTS": (_packed(nest.counts), wide),
            "STEPS": (_packed(nest.steps), wide),
        }
        if self.rom is None:
            found["FIRST"] = int(nest.starts[0])
        else:
            found |= {
                "RUNS": self.runs,
                "ZEROS": int(self.zeros),
                "FILE": self.rom_path,
                "CHECK": (self.rom.check, 32),
            }
        return found

    def files(self):
        return {} if self.rom is None else {self.rom_path: self.rom.text()}

    def roms(self):
        return {} if self.rom is None else {self.rom_path: {"depth": self.rom.depth, "width": self.rom.width}}

    def cycles(self):
        return self.blocks.count * max(self.blocks.taken, self.blocks.sent)

    def needs(self, i=0):
        return np.repeat(np.arange(1, self.blocks.count + 1) * self.blocks.taken, self.blocks.sent)

    def estimate(self):
        depth, address = 2 * self.blocks.taken, ceil_log2(2 * self.blocks.taken)
        odd = self.blocks.taken & (self.blocks.taken - 1) != 0  # both counters go back to zero by a comparison
        levels = len(self.nest.counts)
        rounds = sum(ceil_log2(count) for count in self.nest.counts)
        luts, blocks = 4 + 2 * address + rounds + max(0, levels - 2) * address // 2 + odd * address * 4 // 3, 0.0
        if self.block_ram:
            luts += 2
            blocks += self.device.block_memory(depth, self.bits)[0]
        elif depth <= self.device.lut_depth:
            luts += self.device.lut_memory(depth, self.bits)
        else:
            luts += self.device.lut_banks(depth, self.bits)
        if self.runs > 1:
            width = ceil_log2(self.blocks.taken) + self.zeros
            luts += ceil_log2(self.runs) - (0 if odd or rounds else address)
            if self.runs > self.device.lut_depth:
                blocks += self.device.block_memory(self.runs, width, ())[0]
            else:
                luts += width
        return {"LUT": luts, "BRAM36": blocks}

    def walks(self, rows, taken, sent):
        if self.by_rows:
            return buffered(taken, sent, (rows, self.beats.sent.shape[1]), self.blocks.count, 2)
        return [Walk([Step(True, True, max(taken, sent), sent, max(0, taken - sent))] * rows, gap=0.0)]


def _packed(numbers: tuple[int, ...]) -> int:
    """32 bits each, the first lowest."""
    return int.from_bytes(np.array(numbers, "<i8").astype("<i4").tobytes(), "little")
