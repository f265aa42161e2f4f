"""rtl/stream_fifo.v: room for the beats that one branch is ahead of the other."""

from dataclasses import dataclass

from hwgen.qtype import ceil_log2
from hwgen.stream import Order
from hwgen.units.unit import LUTRAM_DEPTH, BeatByBeat, block_rams, lut_rams


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
        return {"DATA_W": self.bits, "DEPTH": self.depth}

    def estimate(self):
        address = ceil_log2(self.depth)
        control = 2 * address + 2  # the level, one LUT a bit, and what compares it; or as much for two pointers
        if self.depth <= LUTRAM_DEPTH:
            return {"LUT": self.bits * -(-self.depth // 32) + control, "BRAM36": 0}
        if self.depth != 1 << address:
            control += (5 * address - 18) // 2  # the pointers' way back to zero
        # yosys's choice: the costs of lutrams_xcu.txt and brams_xc4v.txt, and a LUT for each bit of a block but one
        blocks, rams = -(-self.depth // 64), block_rams(self.depth, self.bits)
        if blocks * self.bits * 16 / 7 + (blocks - 1) * self.bits < 129 * 2 * rams:
            read = self.bits * -(-blocks // 4) + blocks
            return {"LUT": lut_rams(self.depth, self.bits) + read + control, "BRAM36": 0}
        return {"LUT": control, "BRAM36": rams}
