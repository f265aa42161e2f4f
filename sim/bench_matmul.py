"""matmul multiplies two streams of matrices row by row, rounds and clamps, whoever stalls."""

import random

import cocotb
from cocotb.triggers import FallingEdge
from cocotb.utils import get_sim_time
from parts import clog2, config, ends, limits, signed
from parts.stream import Sink, Source, reset, start


def parameters(shape, a, b, lanes, w, drop, out_w, clamp, ring=2, slices=0, lift=0):
    """shape: (K, columns of a, columns of b); a, b: (bits, signed); rounds half up, as hwgen/units/matmul.py does."""
    k, a_columns, b_columns = shape
    stripe = b_columns // lanes
    entry = 1 + clog2(lanes) + clog2(stripe)
    places = [(1 << (entry - 1)) | (m % lanes) << clog2(stripe) | m // lanes for m in range(b_columns)]
    return {
        "K": k,
        "A_COLUMNS": a_columns,
        "B_COLUMNS": b_columns,
        "A_W": a[0],
        "A_SIGNED": a[1],
        "B_W": b[0],
        "B_SIGNED": b[1],
        "A_RING": ring,
        "LANES": lanes,
        "SLICES": slices,
        "W": w,
        "BASE": ((1 << drop) >> 1, 64),
        "DROP": drop,
        "LIFT": lift,
        "OUT_W": out_w,
        **clamp,
        "TABLE": (sum(place << (i * entry) for i, place in enumerate(places)), b_columns * entry),
    }


CONFIGS = [
    parameters((4, 3, 6), (4, 0), (3, 1), 2, 12, 2, 5, ends(-16, 15)),  # three sums of a lane for each column of a
    parameters((5, 4, 4), (4, 1), (5, 0), 4, 13, 3, 6, ends(-32, 31), ring=4),  # a sum of each lane
    parameters((1, 3, 2), (5, 1), (4, 1), 1, 9, 0, 12, ends(7, 7, "NO_LOW", "NO_HIGH"), lift=3),  # exact; a product
    parameters((3, 1, 1), (2, 0), (2, 0), 1, 6, 1, 4, ends(0, 12), ring=3),  # a single sum
    parameters((2, 2, 6), (3, 1), (4, 1), 6, 10, 1, 7, ends(-64, 30), ring=3, slices=2),  # sending takes longest
    parameters((3, 7, 3), (4, 0), (4, 1), 3, 11, 2, 6, ends(0, 40), ring=4, slices=2),  # an odd lane alone in a pair
    # memories in blocks: both, that of a, that of b
    parameters((20, 2, 4), (4, 0), (3, 1), 2, 14, 3, 6, ends(-32, 31), ring=4),
    parameters((17, 3, 1), (3, 1), (4, 1), 1, 13, 2, 6, ends(-32, 31), ring=4),
    parameters((17, 2, 4), (4, 1), (3, 0), 2, 13, 2, 6, ends(-32, 31)),
]


def frames(count, seed=1):
    """Rows of both sides, each words in the order of the stream, and the results."""
    c, rng = config(), random.Random(seed)
    low, high = limits(c)

    def matrix(side):
        """Columns of K activations; at first the ends of the range."""
        half = 1 << (c[f"{side}_W"] - 1)
        least, most = (-half, half - 1) if c[f"{side}_SIGNED"] else (0, 2 * half - 1)
        ends = rng.choice([[least], [most], [least, most], range(least, most + 1)])
        return [[rng.choice(ends) for _ in range(c["K"])] for _ in range(c[f"{side}_COLUMNS"])]

    a_words, b_words, sent = [], [], []
    for _ in range(count):
        a, b = matrix("A"), matrix("B")
        for side, words, rows in (("A", a_words, a), ("B", b_words, b)):
            words += [x % (1 << c[f"{side}_W"]) for column in rows for x in column]
        for column in a:
            for other in b:
                total = sum(x * y for x, y in zip(column, other, strict=True)) + signed(c["BASE"][0], 64)
                sent.append(min(max(total << c["LIFT"] >> c["DROP"], low), high) % (1 << c["OUT_W"]))
    return a_words, b_words, sent


class Multiplier:
    """The device and its streams."""

    def __init__(self, dut, stalls):
        self.dut = dut
        self.a, self.b = (Source(dut, f"{n}_axis", s, seed=1) for n, s in zip("ab", stalls, strict=False))
        self.sink = Sink(dut, "m_axis", stalls[2], seed=3)

    def send(self, a, b):
        return [cocotb.start_soon(self.a.send(a)), cocotb.start_soon(self.b.send(b))]


async def begin(dut, *stalls):
    multiplier = Multiplier(dut, stalls or (0.0, 0.0, 0.0))
    await start(dut, a_axis_tvalid=0, a_axis_tdata=0, b_axis_tvalid=0, b_axis_tdata=0, m_axis_tready=0)
    return multiplier


@cocotb.test()
@cocotb.parametrize(
    (
        ("a_stall", "b_stall", "sink_stall"),
        [(0.6, 0.0, 0.0), (0.0, 0.6, 0.0), (0.0, 0.0, 0.7), (0.6, 0.6, 0.7)],
    )
)
async def every_result_is_the_rounded_and_clamped_sum(dut, a_stall, b_stall, sink_stall):
    multiplier = await begin(dut, a_stall, b_stall, sink_stall)
    a, b, sent = frames(15)
    multiplier.send(a, b)
    assert await multiplier.sink.take(len(sent)) == sent


def cycles(c):
    """Of a row in the long run, as hwgen/units/matmul.py says."""
    stripe = c["B_COLUMNS"] // c["LANES"]
    column = stripe * max(c["K"], c["LANES"])
    turn = 1
    a = max(column, c["K"], -(-(column + c["K"] + turn) // c["A_RING"])) * c["A_COLUMNS"]
    fill = c["K"] * c["B_COLUMNS"]
    return max(a, fill, -(-(fill + a + turn) // 2))


@cocotb.test()
async def rows_take_no_longer_than_predicted(dut):
    multiplier = await begin(dut)
    a, b, sent = frames(24)
    multiplier.send(a, b)
    row = config()["A_COLUMNS"] * config()["B_COLUMNS"]
    assert await multiplier.sink.take(4 * row) == sent[: 4 * row]
    before = get_sim_time("ns")
    assert await multiplier.sink.take(20 * row - 1) == sent[4 * row : -1]
    took = (get_sim_time("ns") - before) / 10 / 20
    cocotb.log.info(f"PACE {took} predicted {cycles(config())}")
    assert took <= cycles(config())


@cocotb.test()
async def nothing_is_sent_before_both_are_there(dut):
    multiplier = await begin(dut)
    a, b, sent = frames(1)
    dut.m_axis_tready.value = 1
    cocotb.start_soon(multiplier.a.send(a))
    cocotb.start_soon(multiplier.b.send(b[:-1]))
    for _ in range(len(a) + len(b) + 20):
        await FallingEdge(dut.clk)
        assert int(dut.m_axis_tvalid.value) == 0
    cocotb.start_soon(multiplier.b.send(b[-1:]))
    assert await multiplier.sink.take(len(sent)) == sent


@cocotb.test()
async def reset_in_mid_stream_forgets_all(dut):
    multiplier = await begin(dut)
    a, b, sent = frames(9)
    sending = multiplier.send(a, b)
    await multiplier.sink.take(len(sent) // 2)
    for task in sending:
        task.cancel()
    multiplier.a.idle()
    multiplier.b.idle()
    await reset(dut, cycles=1)
    assert int(dut.m_axis_tvalid.value) == 0
    a, b, sent = frames(5, seed=4)
    multiplier.send(a, b)
    assert await multiplier.sink.take(len(sent)) == sent
