"""The numbers of rtl/scale_product.v: drawn for a bench, written as a file, and what they make of a sum."""

import random

from parts import config, ends, limits, signed

FILE = "rom/scales.hex"


def product(x_bits, m_bits, bias_bits, ties_bits, shift, out_bits, low, high, *none, depth=5):
    """Parameters of scale_product.v with random numbers for each channel, those of the first two the most."""
    most = (1 << (m_bits - 1)) * (1 << (x_bits - 1)) + (1 << (bias_bits - 1))
    found = {
        "X_W": x_bits,
        "M_W": m_bits,
        "BIAS_W": bias_bits,
        "BASE": (-(1 << (bias_bits - 1)) % (1 << 64), 64),
        "TIES_W": ties_bits,
        "P_W": max(most.bit_length() + 1, shift + 1),
        "SHIFT": shift,
        "OUT_W": out_bits,
        **ends(low, high, *none),
        "FILE": FILE,
        "DEPTH": depth,
    }
    return found | {"CHECK": (check_sum(words(found), ties_bits + bias_bits + m_bits), 32)}


def words(c):
    """The words of the file of a config."""
    rng = random.Random(f"{c['M_W']} {c['BIAS_W']} {c['TIES_W']}")
    m_bits, bias_bits, ties_bits = c["M_W"], c["BIAS_W"], c["TIES_W"]
    found = []
    for channel in range(c["DEPTH"]):
        multiplier, bias = rng.getrandbits(m_bits), rng.getrandbits(bias_bits)
        if channel < 2:
            multiplier, bias = (1 << (m_bits - 1)) - channel, channel * ((1 << bias_bits) - 1)
        ties = rng.choice([0, 1, rng.getrandbits(ties_bits), 1 << c["SHIFT"]]) if ties_bits else 0
        found.append(min(ties, (1 << ties_bits) - 1) << (bias_bits + m_bits) | bias << m_bits | multiplier)
    return found


def check_sum(words, width):
    """CHECK of rtl/term_rom.v."""
    pieces = [sum((word >> at) & 0xFFFFFFFF for at in range(0, width, 32)) for word in words]
    return sum((i + 1) * piece for i, piece in enumerate(pieces)) % (1 << 32)


def prepare(folder, c):
    """Writes the file of a config."""
    path = folder / c["FILE"]
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{word:x}\n" for word in words(c)))


def level(word, x):
    """What a word of the file makes of a sum, by the definition in whole numbers."""
    c = config()
    multiplier = signed(word % (1 << c["M_W"]), c["M_W"])
    bias = (word >> c["M_W"]) % (1 << c["BIAS_W"]) + signed(c["BASE"][0], 64)
    found, rest = divmod(x * multiplier + bias, 1 << c["SHIFT"])
    if rest < word >> (c["M_W"] + c["BIAS_W"]):
        found -= found % 2
    low, high = limits(c)
    return min(max(found, low), high) % (1 << c["OUT_W"])


def sums(rng, bits, count):
    """Numbers of so many bits, the ends among them, and some at which levels begin."""
    c = config()
    found = []
    for _ in range(count):
        x = rng.choice([-(1 << (bits - 1)), (1 << (bits - 1)) - 1, 0, signed(rng.getrandbits(bits), bits)])
        word = rng.choice(words(c))
        multiplier = signed(word % (1 << c["M_W"]), c["M_W"])
        if rng.random() < 0.5 and multiplier:
            bias = (word >> c["M_W"]) % (1 << c["BIAS_W"]) + signed(c["BASE"][0], 64)
            near = ((rng.randint(-9, 20) << c["SHIFT"]) - bias) // multiplier + rng.randint(-1, 1)
            x = near if -(1 << (bits - 1)) <= near < 1 << (bits - 1) else x
        found.append(x)
    return found
