"""lookup sends the table's word for each activation of a beat, in order, whoever stalls."""

import random

import cocotb
from cocotb.utils import get_sim_time
from parts import config
from parts.stream import Sink, Source, interrupt, start


def table(x_bits, out_bits):
    """Any function: words by the bits of an activation."""
    rng = random.Random(x_bits)
    return [rng.getrandbits(out_bits) for _ in range(1 << x_bits)]


def parameters(n, x_bits, out_bits):
    check = sum(place * word for place, word in enumerate(table(x_bits, out_bits), 1)) % (1 << 32)
    return {"N": n, "X_W": x_bits, "OUT_W": out_bits, "FILE": f"table_{x_bits}.hex", "CHECK": (check, 32)}


CONFIGS = [parameters(1, 4, 4), parameters(3, 7, 5), parameters(2, 10, 16), parameters(1, 1, 1)]


def prepare(folder, config):
    words = table(config["X_W"], config["OUT_W"])
    (folder / config["FILE"]).write_text("".join(f"{word:x}\n" for word in words))


def beats(count):
    """Beats of activations, among them each that there is; and what the table says of them."""
    n, x_bits, out_bits = (config()[name] for name in ("N", "X_W", "OUT_W"))
    words, rng = table(x_bits, out_bits), random.Random(5)
    every = list(range(1 << x_bits))
    activations = every + [rng.choice(every) for _ in range(count * n - len(every) % n)]
    groups = [activations[i : i + n] for i in range(0, len(activations) // n * n, n)]

    def packed(values, bits):
        return sum(value << (i * bits) for i, value in enumerate(values))

    return [packed(group, x_bits) for group in groups], [
        packed([words[x] for x in group], out_bits) for group in groups
    ]


async def begin(dut, source_stall=0.0, sink_stall=0.0):
    source, sink = Source(dut, "s_axis", source_stall, seed=1), Sink(dut, "m_axis", sink_stall, seed=2)
    await start(dut, s_axis_tvalid=0, s_axis_tdata=0, m_axis_tready=0)
    return source, sink


@cocotb.test()
@cocotb.parametrize(source_stall=[0.0, 0.6], sink_stall=[0.0, 0.6])
async def every_activation_gives_its_word(dut, source_stall, sink_stall):
    source, sink = await begin(dut, source_stall, sink_stall)
    taken, sent = beats(50)
    cocotb.start_soon(source.send(taken))
    assert await sink.take(len(sent)) == sent


@cocotb.test()
async def a_beat_leaves_every_cycle(dut):
    source, sink = await begin(dut)
    taken, sent = beats(20)
    before = get_sim_time("ns")
    cocotb.start_soon(source.send(taken))
    await sink.take(len(sent))
    assert get_sim_time("ns") - before <= (len(sent) + 2) * 10


@cocotb.test()
async def reset_in_mid_stream_forgets_the_word_inside(dut):
    source, sink = await begin(dut)
    taken, sent = beats(20)
    sending = cocotb.start_soon(source.send(taken))
    await sink.take(3)
    await interrupt(dut, sending, source)
    cocotb.start_soon(source.send(taken))
    assert await sink.take(len(sent)) == sent
