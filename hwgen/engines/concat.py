"""Two frames one behind the other: rtl/concat.v, rtl/concat_pixels.v."""

from dataclasses import dataclass

from hwgen.engines import engine
from hwgen.engines.beats import BeatEngine, Beats
from hwgen.ops.concat import Concat as ConcatOp
from hwgen.stage import Stage
from hwgen.units.concat import Concat


@dataclass(frozen=True)
class ChannelBeats(Beats):
    engine = "concat"


@dataclass(frozen=True)
class PlaceBeats(Beats):
    engine = "concat_places"


@engine
class ConcatEngine(BeatEngine[ChannelBeats]):
    """Of channels."""

    name = "concat"
    choice = ChannelBeats
    passes_order = True

    def obstacle(self, stage):
        return None if _axis(stage) == 0 else "it is no concatenation of channels"

    def choices(self, stage, limits, sides):
        """By pixels too where a side has one channel, whose beats are pixels anyway."""
        some = {order.pixels for order in sides() if order.lanes == 1 and order.pixels}
        found = {*super().choices(stage, limits, sides), *(self.choice(pixels=n) for n in some)}
        return sorted(found, key=lambda one: (one.pixels, one.lanes))

    def unit(self, stage, choice, orders, context):
        return Concat(stage, (orders[0], orders[1]), choice.pixels)


@engine
class ConcatPlacesEngine(BeatEngine[PlaceBeats]):
    """Of rows or columns: channels in their own order, for those of both sides must come alike."""

    name = "concat_places"
    choice = PlaceBeats

    def obstacle(self, stage):
        return None if _axis(stage) in (1, 2) else "it is no concatenation of rows or columns"

    def choices(self, stage, limits, sides):
        found = super().choices(stage, limits, sides)
        if _axis(stage) == 1:
            return found
        columns = [kind.shape[2] for kind in stage.types]
        return [one for one in found if one.lanes == 1 and all(n % max(1, one.pixels) == 0 for n in columns)]

    def unit(self, stage, choice, orders, context):
        return Concat(stage, (orders[0], orders[1]), choice.pixels)


def _axis(stage: Stage) -> int | None:
    return stage.op.axis if isinstance(stage.op, ConcatOp) else None
