"""mode_clamp puts every value between the ends of its mode."""

import cocotb
from cocotb.triggers import Timer
from parts import config, signed


def ends(*pairs):
    """LOWS and HIGHS of modes, each (low, high)."""
    packed = [sum((pair[i] % (1 << 64)) << 64 * n for n, pair in enumerate(pairs)) for i in range(2)]
    return {"MODES": len(pairs), "LOWS": (packed[0], 64 * len(pairs)), "HIGHS": (packed[1], 64 * len(pairs))}


CONFIGS = [
    {"IN_W": 7, "OUT_W": 4, **ends((0, 15), (0, 3))},  # by a look at the bits above
    {"IN_W": 7, "OUT_W": 6, **ends((-32, 20), (-8, 7), (0, 1))},  # by comparison, and by bits
    {"IN_W": 7, "OUT_W": 6, **ends((-20, -3), (5, 9), (0, 0), (-1, 31), (-32, 31))},
    {"IN_W": 3, "OUT_W": 5, **ends((-16, 15), (0, 15))},  # wider out than in
]


@cocotb.test()
async def every_word_is_clamped_in_every_mode(dut):
    c = config()
    for mode in range(c["MODES"]):
        low, high = (signed(c[end][0] >> 64 * mode & ((1 << 64) - 1), 64) for end in ("LOWS", "HIGHS"))
        dut.mode.value = mode
        for word in range(1 << c["IN_W"]):
            dut.x.value = word
            await Timer(1, "ns")
            value = signed(word, c["IN_W"])
            assert int(dut.y.value) == min(max(value, low), high) % (1 << c["OUT_W"]), (mode, value)
