"""rtl/stream_fifo.v: room for the beats that one branch is ahead of the other."""

from dataclasses import dataclass

from hwgen.qtype import ceil_log2
from hwgen.stream import Order
from hwgen.units.unit import LUTRAM_DEPTH, BeatByBeat, block_memory
from hwgen.walks import Ring, Rows, Step, Walk

LUTS_OF_A_BLOCK = 738  # a ZCU104 has so many for each BRAM36


@dataclass(frozen=True, eq=False)
class StreamFifo(BeatByBeat):
    name: str
    bits: int
    depth: int
    order: Order
    module = "stream_fifo"

    def note(self):
        addition, _, branch = self.name.rpartition("_")
        return f"{self.name}: up to {self.depth} beats wait for {'ab'[int(branch)]}_axis of the addition {addition}"

    def parameters(self):
        return {"DATA_W": self.bits, "DEPTH": self.depth, "BLOCK": int(self.block)}

    @property
    def block(self) -> bool:
        """Whether the memory is a block RAM: where that is the smaller share of a board."""
        return self.depth > LUTRAM_DEPTH and self._lut_memory > LUTS_OF_A_BLOCK * block_memory(self.depth, self.bits)[0]

    @property
    def _lut_memory(self) -> int:
        """LUTs of LUT RAM in banks of 32 or 64 words, with what chooses between the banks."""
        banks = [(-(-self.depth // words), 8 * -(-self.bits // width)) for words, width in ((32, 14), (64, 7))]
        return min(n * luts + self.bits * -(-n // 4) + n for n, luts in banks)

    def estimate(self):
        address = ceil_log2(self.depth)
        control = 2 * address + 2  # the level, one LUT a bit, and what compares it; or as much for two pointers
        if self.depth <= LUTRAM_DEPTH:
            return {"LUT": self.bits * -(-self.depth // 32) + control, "BRAM36": 0}
        control += 10 if self.depth != 1 << address else 0  # the pointers' way back to zero
        if self.block:
            return {"LUT": control, "BRAM36": block_memory(self.depth, self.bits)[0]}
        return {"LUT": control + self._lut_memory, "BRAM36": 0}

    def walks(self, rows, taken, sent):
        whole = (self.depth + 1) // taken  # rows that it holds
        if not whole:
            return []
        # a row that is on its way through takes no room
        ring = Ring(Rows(rows, 0, 0, rows, 1, 1, 1, 1 + whole))
        return [
            Walk([Step(True, False, taken)] * rows, fills=ring),
            Walk([Step(False, True, sent, sent)] * rows, empties=ring),
        ]
