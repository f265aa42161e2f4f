"""What only moves activations: rtl/resample.v where the order of beats stays, else rtl/gather.v, a memory of blocks."""

from dataclasses import dataclass

from hwgen.beatmap import BeatMap
from hwgen.engines import EVERY, Choice, Engine, engine
from hwgen.ops.move import Move
from hwgen.stage import Stage
from hwgen.stream import Order
from hwgen.units.gather import Gather
from hwgen.units.resample import Resample


@dataclass(frozen=True)
class MoveBeats(Choice):
    """The input comes on so many lanes, or so many pixels a beat, and `sent` pixels a beat leave; 0 pixels: an
    activation a beat, or as many lanes as come."""

    lanes: int = 1
    pixels: int = 0
    sent: int = 0
    engine = "move"

    def order(self, shape):
        own = Order(shape)
        return own.by_pixels(self.pixels) if self.pixels else own.by_lanes(self.lanes)

    def sends(self, shape: tuple[int, int, int]) -> Order:
        """The order in which a result of that shape leaves."""
        own = Order(shape)
        return own.by_pixels(self.sent) if self.sent else own.by_lanes(self.lanes)

    def __str__(self) -> str:
        if self.pixels:
            many = f"{self.pixels} to {self.sent}" if self.pixels != self.sent else f"{self.pixels}"
            return "a pixel a beat" if many == "1" else f"{many} pixels a beat"
        return "an activation a beat" if self.lanes == 1 else f"{self.lanes} lanes"


@engine
class MoveEngine(Engine[MoveBeats]):
    name = "move"
    families = EVERY
    choice = MoveBeats

    def obstacle(self, stage):
        return None if isinstance(stage.op, Move) else "it computes something"

    def choices(self, stage, limits, sides):
        """An activation a beat, and as the source sends, where the result is whole beats of that."""
        if _op(stage).whole:
            return [MoveBeats(1, 1, 1)]
        columns, out_columns = stage.x.shape[2], stage.y.shape[2]
        found = set()
        for order in sides():
            if order.lanes > 1 and _all_used(order.lanes, out_columns):
                found.add(MoveBeats(order.lanes))
            if order.lanes == 1 and order.pixels:
                some = {1, order.pixels, order.pixels * out_columns // columns}
                able = {n for n in some if n and out_columns % n == 0 and n <= max(order.pixels, limits.pixels)}
                found |= {MoveBeats(1, order.pixels, n) for n in able}
        able = [one for one in found if beat_map(stage, one) is not None]
        return sorted({MoveBeats(), *able}, key=lambda one: (one.pixels, one.sent, one.lanes))

    def reads(self, stage, i, choice, order):
        return choice.order(order.shape)

    def unit(self, stage, choice, orders, context):
        beats = beat_map(stage, choice)
        assert beats is not None, f"{stage.name}: {choice} cannot be"
        if beats.steps is not None:
            return Resample(stage, beats)
        return Gather(stage, beats, context.device)


def _all_used(lanes: int, columns: int) -> bool:
    """Whether each of so many lanes has a pixel of a row."""
    return -(-columns // -(-columns // lanes)) == lanes


def beat_map(stage: Stage, choice: MoveBeats) -> BeatMap | None:
    """Which beats become which; None where a beat that leaves would be of several that come."""
    op, taken, sent = _op(stage), choice.order(stage.x.shape), choice.sends(stage.y.shape)
    return stage.once(("beats", taken, sent), lambda: BeatMap.of(op.index, taken, sent))


def _op(stage: Stage) -> Move:
    assert isinstance(stage.op, Move)
    return stage.op
