"""rtl/resample.v: beats left out, sent several times, zeros between them, and the activations of a beat rewired."""

from dataclasses import dataclass
from math import gcd

import numpy as np

from hwgen.beatmap import BeatMap, Steps
from hwgen.qtype import ceil_log2
from hwgen.stage import Stage
from hwgen.stream import Order
from hwgen.units.unit import Unit
from hwgen.verilog import Value
from hwgen.walks import Blocks, Rows, Step, Walk

NOTHING = 0xFFFF  # of PLACES
LOOPS = ("OUTER", "MIDDLE", "INNER")


def wiring(stage: Stage, beats: BeatMap) -> dict[str, Value]:
    """The parameters that say what becomes of a beat's activations, of rtl/resample.v and rtl/gather.v."""
    found: dict[str, Value] = {"X_W": stage.x.qtype.bits, "N": beats.taken.side, "M": beats.sent.side}
    if not beats.straight:
        places = np.array([NOTHING if place < 0 else place for place in beats.wires], "<u2")
        found |= {"WIRED": 1, "PLACES": (int.from_bytes(places.tobytes(), "little"), 16 * len(places))}
    return found


def buffered(taken: int, sent: int, rows: tuple[int, int], count: int, held: int) -> list[Walk]:
    """The walks through a memory of blocks: that which fills it, and that which empties it.

    taken, sent -- beats of a row of input and output; rows -- of both; count -- blocks of a frame, each of whole rows,
    or of which whole ones are a row; held -- blocks in the memory
    """
    own = rows[0] // count, rows[1] // count
    ring = Blocks(Rows(rows[0], 0, 0, rows[1], 1, 1, 1, held * own[0]), taken=own[0], sent=own[1])
    return [
        Walk([Step(True, False, taken)] * rows[0], fills=ring),
        Walk([Step(False, True, sent, sent)] * rows[1], empties=ring),
    ]


@dataclass(frozen=True, eq=False)
class Resample(Unit):
    """beats -- has `steps`"""

    stage: Stage
    beats: BeatMap
    module = "resample"
    latency = 0

    @property
    def name(self) -> str:
        return self.stage.name

    @property
    def steps(self) -> Steps:
        assert self.beats.steps is not None
        return self.beats.steps

    @property
    def out_order(self) -> Order:
        return self.beats.sent

    @property
    def rigid(self) -> bool:
        return not self.beats.passes

    def note(self):
        what = "wires" if self.beats.passes else f"{self.beats.taken.beats} beats to {self.beats.sent.beats}"
        return f"{self.name}: {self.stage.op}, {what}"

    def parameters(self):
        if self.beats.passes:
            return wiring(self.stage, self.beats)
        found = wiring(self.stage, self.beats)
        for name, loop in zip(LOOPS, self.steps.loops, strict=True):
            found[name] = len(loop)
            for what, bits, usual in zip(("TAKE", "SEND", "ZERO"), loop.T, (1, 1, 0), strict=True):
                if (bits != usual).any():
                    packed = np.packbits(bits, bitorder="little").tobytes()
                    found[f"{name}_{what}"] = (int.from_bytes(packed, "little"), len(bits))
        return found

    def cycles(self):
        return self.beats.taken.beats if self.beats.passes else self.steps.cycles

    def needs(self, i=0):
        return self.beats.needs

    def estimate(self):
        if self.beats.passes:
            return {"LUT": 0, "BRAM36": 0}
        # a loop counts if it, or one around it, does not do the same everywhere
        matters = [bool((loop != (True, True, False)).any()) for loop in self.steps.loops]
        counts = self.steps.counts[matters.index(True) :]
        odd = sum(count & (count - 1) != 0 for count in counts)
        zeros = any(loop[:, 2].any() for loop in self.steps.loops)
        luts = sum(map(ceil_log2, counts)) - 1 + 4 * odd + zeros * (3 + self.beats.sent.side * self.stage.x.qtype.bits)
        return {"LUT": luts, "BRAM36": 0}

    def walks(self, rows, taken, sent):
        out_rows = self.beats.sent.shape[1]
        if self.beats.passes and rows == out_rows:
            return []
        if (self.steps.taken[0], self.steps.sent[0]) != (rows, out_rows):
            # nothing is between both, but a row of the one is not a row of the other: rather too slow
            return buffered(taken, sent, (rows, out_rows), gcd(rows, out_rows), 1)
        inner = self.steps.loops[1][:, None] & self.steps.loops[2]
        cycles, takes, sends = self.steps.counts[1] * self.steps.counts[2], int(inner[..., 0].sum()), sent
        steps = []
        for take, send, _ in self.steps.loops[0]:
            still = cycles - takes if take else 0  # it takes nothing meanwhile, however slow its sender is
            steps.append(Step(bool(take), bool(send), cycles - still, sends, max(0, cycles - still - sends)))
            if still:
                steps.append(Step(False, False, still))
        return [Walk(steps, gap=0.0)]
