"""Where the lanes of rtl/term_lanes.v find their windows: the input's columns in stripes, its rows in a ring."""

from dataclasses import dataclass
from math import gcd

from hwgen.devices import Device
from hwgen.qtype import ceil_log2
from hwgen.stage import Stage
from hwgen.stream import Order
from hwgen.walks import Rows


@dataclass(frozen=True)
class Windows:
    """How the input's columns are cut into stripes so that each lane finds its window in a few of them.

    stripe     columns of a stripe
    lead       columns left of the frame with which the first one begins, which are never written
    last_stripe columns of the last one up to the frame's end
    lane_step  stripes from a lane's own to the next lane's
    phases     beats that fill a place of all stripes, where a beat brings several pixels of a row
    first_leg  the least distance, in stripes, from a lane's own to one that its window lies in
    legs       distances from there on, without those that lie outside the frame for a lane that is alone
    """

    stripe: int
    stripes: int
    lead: int
    last_stripe: int
    lane_step: int
    phases: int
    first_leg: int
    legs: int

    @staticmethod
    def of(stage: Stage, lanes: int, order: Order) -> "Windows":
        columns, window = stage.x.shape[2], stage.window
        step = window.stride[1]
        out_stripe = -(-stage.y.shape[2] // lanes)
        right = (out_stripe - 1) * step + window.reach[1] - 1 - window.left
        stripe, lead = out_stripe * step, 0
        if order.side > 1:
            stripe = gcd(order.stripe, out_stripe * step) if lanes > 1 else order.stripe
        elif lanes > 1:  # columns come one by one: the window of a lane may begin with a stripe
            lead = window.left % stripe
        else:  # the row and its padding, where they take no more memory than the row
            stripe = max(columns, stripe)
            whole = window.left + max(columns, right + 1)
            if ceil_log2(whole) == ceil_log2(stripe):
                stripe, lead = whole, window.left
        stripes = -(-(columns + lead) // stripe)
        first = (lead - window.left) // stripe
        last = (right + lead) // stripe
        return Windows(
            stripe,
            stripes,
            lead,
            columns + lead - (stripes - 1) * stripe,
            out_stripe * step // stripe if lanes > 1 else 1,
            stripes if order.side == 1 else order.stripe // stripe,
            first if lanes > 1 else 0,
            last - first + 1 if lanes > 1 else min(last + 1, stripes),
        )


def rows_of(stage: Stage, windows: Windows, device: Device) -> Rows:
    """The rows of a stage's input in the line memory of its lanes."""
    rows, out_rows, window = stage.x.shape[1], stage.y.shape[1], stage.window
    reach, step, top = window.reach[0], window.stride[0], window.top
    virtual = max((out_rows - 1) * step + reach, top + rows)
    last_step = virtual - (out_rows - 1) * step
    need = max(reach, step) if out_rows > 1 else last_step
    least = max(need, last_step) + (step if out_rows > 1 else last_step)
    # room for a whole window of the next frame hides its loading: taken where it costs no memory
    words = 1 << (ceil_log2(windows.stripe) + ceil_log2(stage.x.shape[0]))
    deep = max(device.block_depth, 1 << ceil_log2(least * words))
    depth = device.lut_depth if least * words <= device.lut_depth else deep
    ring = max(least, min(need + last_step, depth // words))
    # slots are added to in one table up to six bits, else in two sums, or one where no slot comes behind the last
    power = 1 << ceil_log2(ring)
    if ceil_log2(ring) + ceil_log2(reach) > 6 and power <= depth // words:
        ring = power
    return Rows(rows, top, virtual - top - rows, out_rows, step, need, last_step, ring)
