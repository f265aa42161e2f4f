"""mul multiplies two streams activation by activation, rounds and clamps."""

import cocotb
from bench_product import digits
from parts import ends
from parts.pairs import begin, check_pace, check_partner, check_reset, rounded, sides


def parameters(a, b, w, drop, out_w, clamp, n=1, shift=0):
    """a, b: (bits, signed); rounds half up, as hwgen/units/mul.py does. n -- activations side by side."""
    return {
        "N": n,
        **sides(("W", "SIGNED"), a, b),
        "SHIFT": shift,
        "W": w,
        **rounded(drop),
        "OUT_W": out_w,
        **clamp,
    }


CONFIGS = [
    parameters((5, 0), (4, 1), 10, 3, 5, ends(-16, 12)),  # a gate
    parameters((4, 1), (4, 1), 8, 0, 8, ends(9, 9, "NO_LOW", "NO_HIGH")),  # exact
    # an end that is not there, whatever its number; a finer grid
    parameters((3, 0), (6, 0), 12, 0, 11, ends(20, 5, "NO_HIGH"), shift=2),
    parameters((4, 0), (3, 0), 9, 4, 3, ends(0, 5), n=3),  # a pixel a beat
    parameters((1, 1), (5, 0), 7, 1, 5, ends(-16, 15)),
    parameters((8, 1), (7, 1), 16, 11, 5, ends(-16, 15)),  # a half too great for the first row
]


def exact(a, b, c):
    return a * b << c["SHIFT"]


@cocotb.test()
@cocotb.parametrize(
    (
        ("a_stall", "b_stall", "sink_stall"),
        [(0.6, 0.0, 0.0), (0.0, 0.6, 0.0), (0.0, 0.0, 0.5), (0.6, 0.6, 0.5)],
    )
)
async def every_beat_is_the_rounded_and_clamped_product(dut, a_stall, b_stall, sink_stall):
    pairs = await begin(dut, exact, a_stall, b_stall, sink_stall)
    await pairs.check(150)


@cocotb.test()
async def a_product_leaves_every_cycle(dut):
    await check_pace(dut, exact, digits())


@cocotb.test()
async def a_beat_waits_for_its_partner(dut):
    await check_partner(dut, exact)


@cocotb.test()
async def reset_in_mid_stream_forgets_the_product_inside(dut):
    await check_reset(dut, exact)
