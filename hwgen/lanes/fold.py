"""How far a stage on lanes is folded."""

from dataclasses import dataclass

from hwgen.engines import Choice
from hwgen.lanes.epitome import epitome_of
from hwgen.lanes.geometry import Windows
from hwgen.lanes.kinds import lane_kinds
from hwgen.stage import Stage
from hwgen.stream import Order

MOST_LEGS = 7  # a LUT6 a bit for up to 4, about three for up to 7


@dataclass(frozen=True)
class Fold(Choice):
    """How many output pixels of a row, and how many output channels, a stage computes at a time, on which kind of lanes
    (hwgen/lanes/kinds/), the memory of its list (hwgen/lanes/memories.py), and where sums are multiplied
    (hwgen/lanes/rescale.py): in slices, dsp, or lookup tables, lut."""

    lanes: int
    groups: int = 1
    kind: str = "lut"
    memory: str = "rom"
    multiplier: str = "lut"
    engine = "lanes"

    @property
    def size(self) -> int:
        """Accumulators."""
        return self.lanes * self.groups

    def order(self, shape):
        return Order(shape)

    def __str__(self) -> str:
        lanes = f"{self.lanes} {lane_kinds()[self.kind].word}{'lane' if self.lanes == 1 else 'lanes'}"
        return f"{self.groups} x {lanes}" if self.groups > 1 else lanes


def takes(stage: Stage, lanes: int, order: Order) -> bool:
    """Whether so many lanes can read a stream of this order: a lane reaches at most MOST_LEGS stripes."""
    if order.lanes == 1 and order.side > 1:
        return False
    return (lanes == 1 and order.side == 1) or Windows.of(stage, lanes, order).legs <= MOST_LEGS


def legal_lanes(stage: Stage, limit: int) -> list[int]:
    """Lanes up to `limit` that are all in use and can read some stream: one lane always can."""
    columns = stage.y.shape[2]
    counts = sorted({-(-columns // stripe) for stripe in range(1, columns + 1)})
    return [n for n in counts if n == 1 or (n <= limit and takes(stage, n, Order(stage.x.shape)))]


def legal_groups(stage: Stage, limit: int) -> list[int]:
    """Groups up to `limit`, of those that make the same number of rounds the fewest."""
    channels = stage.y.shape[0]
    if epitome := epitome_of(stage):  # all groups have a channel in each round
        return [n for n in range(1, limit + 1) if channels // epitome.times % n == 0]
    counts = sorted({-(-channels // rounds) for rounds in range(1, channels + 1)})
    return [n for n in counts if n <= limit]
