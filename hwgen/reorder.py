"""What turns a stream from one order of beats into another."""

from dataclasses import replace
from math import gcd

from hwgen.engines import Choice, Context, engine_of
from hwgen.ir import TensorType
from hwgen.lanes.fold import Fold, takes
from hwgen.lanes.unit import TermLanes
from hwgen.lower import passing
from hwgen.stage import Stage
from hwgen.stream import Order
from hwgen.units.stream_width import StreamNarrow, StreamWiden
from hwgen.units.unit import Unit


def arriving(stage: Stage, i: int, choice: Choice, order: Order, context: Context) -> list[tuple[Unit, Order]]:
    """What turns a stream in `order` into what the stage reads as input i, each unit with the order that it sends."""
    number = f"_{i}" if len(stage.inputs) > 1 else ""
    wanted = engine_of(choice).reads(stage, i, choice, order)
    return _turned(f"reorder_for_{stage.result}{number}", stage.types[i], order, wanted, context)


def leaving(name: str, kind: TensorType, order: Order, context: Context) -> list[tuple[Unit, Order]]:
    """What brings the network's result into raster order."""
    raster = Order(order.shape, 1, order.side) if order.lanes == 1 else Order(order.shape)
    return _turned(f"reorder_{name}", kind, order, raster, context)


def _turned(name: str, kind: TensorType, order: Order, wanted: Order, context: Context) -> list[tuple[Unit, Order]]:
    """From one order to another: through lanes of its own to another fold, then wider or narrower."""
    units: list[tuple[Unit, Order]] = []
    if (order.lanes, order.channels) != (wanted.lanes, wanted.channels):
        fold = Order(order.shape).by_lanes(wanted.lanes)
        stage = passing(name if fold == wanted else f"{name}_raster", name, kind)
        if not takes(stage, wanted.lanes, order):
            units = _turned(f"{name}_serial", kind, order, order.serial, context)
            order = order.serial
        units.append((TermLanes(stage, Fold(wanted.lanes), order, context.device, protect=context.protect), fold))
        order = fold
    if order.side % wanted.side and wanted.side % order.side:
        one = replace(order, side=gcd(order.side, wanted.side))
        units.append((StreamNarrow(f"{name}_apart", kind.qtype.bits, order, one), one))
        order = one
    if order.side > wanted.side:
        units.append((StreamNarrow(name, kind.qtype.bits, order, wanted), wanted))
    if order.side < wanted.side:
        units.append((StreamWiden(name, kind.qtype.bits, order, wanted), wanted))
    return units
