"""add adds two streams beat by beat on their common grid, rounds and clamps."""

import cocotb
from parts import ends
from parts.pairs import begin, check_pace, check_partner, check_reset, rounded, sides


def parameters(a, b, w, drop, out_w, clamp, n=1, minus=0):
    """a, b: (bits, signed, shift); rounds half up, as hwgen/units/add.py does. n -- activations side by side; minus --
    whether b is taken away."""
    return {
        "N": n,
        **sides(("W", "SIGNED", "SHIFT"), a, b),
        "B_MINUS": minus,
        "W": w,
        **rounded(drop),
        "OUT_W": out_w,
        **clamp,
    }


CONFIGS = [
    parameters((5, 0, 0), (5, 1, 2), 8, 1, 5, ends(0, 20)),  # grids apart, a bit rounded away
    # an end that is not there, whatever its number
    parameters((4, 1, 2), (8, 1, 0), 9, 3, 5, ends(-16, 5, "NO_HIGH")),
    parameters((3, 0, 1), (3, 0, 1), 6, 0, 6, ends(9, 9, "NO_LOW", "NO_HIGH")),  # exact
    parameters((4, 1, 1), (3, 0, 0), 7, 2, 3, ends(-4, 3), n=5),  # a pixel a beat
    parameters((5, 0, 1), (4, 1, 0), 8, 2, 5, ends(-6, 15), n=2, minus=1),  # a difference
]


def exact(a, b, c):
    sign = -1 if c["B_MINUS"] else 1
    return (a << c["A_SHIFT"]) + sign * (b << c["B_SHIFT"])


@cocotb.test()
@cocotb.parametrize(
    (
        ("a_stall", "b_stall", "sink_stall"),
        [(0.6, 0.0, 0.0), (0.0, 0.6, 0.0), (0.0, 0.0, 0.5), (0.6, 0.6, 0.5)],
    )
)
async def every_beat_is_the_rounded_and_clamped_sum(dut, a_stall, b_stall, sink_stall):
    pairs = await begin(dut, exact, a_stall, b_stall, sink_stall)
    await pairs.check(150)


@cocotb.test()
async def a_sum_leaves_every_cycle(dut):
    await check_pace(dut, exact)


@cocotb.test()
async def a_beat_waits_for_its_partner(dut):
    await check_partner(dut, exact)


@cocotb.test()
async def reset_in_mid_stream_forgets_the_sum_inside(dut):
    await check_reset(dut, exact)
