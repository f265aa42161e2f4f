"""clamp puts every value between LOW and HIGH, of which either may be none."""

import random

import cocotb
from cocotb.triggers import Timer
from parts import config, ends, limits, signed

CONFIGS = [
    {"IN_W": 7, "IN_SIGNED": 1, "OUT_W": 4, **ends(-8, 5)},  # -8 by bits, 5 by comparison
    {"IN_W": 7, "IN_SIGNED": 1, "OUT_W": 3, **ends(0, 7)},  # both ends by a look at the bits above
    {"IN_W": 7, "IN_SIGNED": 1, "OUT_W": 5, **ends(-11, -3)},
    {"IN_W": 6, "IN_SIGNED": 0, "OUT_W": 6, **ends(9, 50)},
    # an end that is not there, whatever its number says
    {"IN_W": 6, "IN_SIGNED": 1, "OUT_W": 6, **ends(0, 15, "NO_LOW")},
    {"IN_W": 6, "IN_SIGNED": 1, "OUT_W": 6, **ends(2, 15, "NO_LOW")},
    {"IN_W": 7, "IN_SIGNED": 0, "OUT_W": 7, **ends(9, 15, "NO_HIGH")},
    {"IN_W": 4, "IN_SIGNED": 1, "OUT_W": 9, **ends(0, 3, "NO_LOW", "NO_HIGH")},  # nothing to do, and wider out than in
    {"IN_W": 64, "IN_SIGNED": 1, "OUT_W": 17, **ends(0, (1 << 17) - 1)},
]


@cocotb.test()
async def every_word_is_clamped(dut):
    """All words; of a wide one those near each power of two and each end, and random ones."""
    c, rng = config(), random.Random(3)
    (low, high), bits = limits(c), c["IN_W"]
    if bits <= 8:
        words = range(1 << bits)
    else:
        near = [low, high, *(sign << i for i in range(bits) for sign in (1, -1))]
        words = [(value + step) % (1 << bits) for value in near for step in (-1, 0, 1)]
        words += [rng.getrandbits(bits) for _ in range(300)]
    for word in words:
        dut.x.value = word
        await Timer(1, "ns")
        value = signed(word, bits) if c["IN_SIGNED"] else word
        assert int(dut.y.value) == min(max(value, low), high) % (1 << c["OUT_W"]), value
