"""The numbers of the scalers of rtl/rescale.v: drawn for a bench, written as a file, and what they make of a sum."""

import random

from parts import clog2, config, ends, limits, packed, signed

FILE = "rom/scales.hex"


BLOCK_WORDS = 64  # of the deepest memory that is made of LUTs: of a deeper one a word comes a clock later
TAIL = ("BEYOND", "OUT_W", "LOW", "HIGH", "NO_LOW", "NO_HIGH")  # of rescale.v: what scale_level.v does to products


def product(x_bits, m_bits, bias_bits, ties_bits, shift, out_bits, low, high, *none, depth=5, beyond=0, zeros=0):
    """Parameters of scale_product.v, with random numbers for each channel, the most for the first two; and TAIL."""
    most = (1 << (m_bits - 1)) * (1 << (x_bits - 1)) + (1 << (bias_bits + zeros - 1))
    found = {
        "X_W": x_bits,
        "M_W": m_bits,
        "BIAS_W": bias_bits,
        "BIAS_ZEROS": zeros,
        "BASE": (-(1 << (bias_bits + zeros - 1)) % (1 << 64), 64),
        "TIES_W": ties_bits,
        "BEYOND": beyond,
        "P_W": max(most.bit_length() + 1, shift + 1),
        "SHIFT": shift,
        "OUT_W": out_bits,
        **ends(low, high, *none),
        "FILE": FILE,
        "DEPTH": depth,
    }
    return found | {"CHECK": (check_sum(words(found), ties_bits + bias_bits + m_bits), 32)}


def serial(x_bits, digits, ties_bits, shift, out_bits, low, high, *none, depth=5, beyond=0):
    """Parameters of scale_serial.v, and TAIL."""
    found = {
        "X_W": x_bits,
        "DIGITS": digits,
        "TIES_W": ties_bits,
        "BEYOND": beyond,
        "P_W": max(2 * digits + x_bits + 1, shift + 1),
        "SHIFT": shift,
        "OUT_W": out_bits,
        **ends(low, high, *none),
        "FILE": FILE,
        "DEPTH": depth,
    }
    return found | {"CHECK": (check_sum(words(found), 7 if ties_bits else 5), 32)}


def steps(x_bits, bits, out_bits, low, depth=5):
    """Parameters of scale_steps.v."""
    found = {
        "X_W": x_bits,
        "STEPS": bits,
        "OUT_W": out_bits,
        "LOW": (low % (1 << 64), 64),
        "FILE": FILE,
        "DEPTH": depth,
    }
    return found | {"CHECK": (check_sum(words(found), x_bits + 1), 32)}


def alone(found):
    """Of such parameters those of the scaler."""
    return {key: value for key, value in found.items() if key not in TAIL}


def late(c):
    """Clocks from an address of the memory of a config to its word."""
    depth = c["DEPTH"] << (c["STEPS"] if "STEPS" in c else clog2(c["DIGITS"] + 1) if "DIGITS" in c else 0)
    return 1 + (depth > BLOCK_WORDS)


def numbers(c):
    """Of each channel: multiplier, bias, and how many remainders are ties; or of steps its thresholds."""
    rng = random.Random(f"{c['X_W']} {c['DEPTH']}")
    if "STEPS" in c:
        most = (1 << (c["X_W"] - 1)) - 1
        draw = [sorted(rng.randint(-most - 1, most) for _ in range(2 ** c["STEPS"] - 1)) for _ in range(c["DEPTH"])]
        return [found[: rng.randint(1, len(found))] for found in draw]
    if "DIGITS" in c:
        m_bits = bias_bits = 2 * c["DIGITS"]
        zeros = base = 0
    else:
        m_bits, bias_bits, zeros, base = c["M_W"], c["BIAS_W"], c["BIAS_ZEROS"], signed(c["BASE"][0], 64)
    found = []
    for channel in range(c["DEPTH"]):
        multiplier, bias = rng.getrandbits(m_bits), rng.getrandbits(bias_bits)
        if channel < 2:
            multiplier, bias = (1 << (m_bits - 1)) - channel, channel * ((1 << bias_bits) - 1)
        ties = rng.choice([0, 1, rng.getrandbits(c["TIES_W"]), 1 << c["SHIFT"]]) if c["TIES_W"] else 0
        found.append((signed(multiplier, m_bits), (bias << zeros) + base, min(ties, (1 << c["TIES_W"]) - 1)))
    return found


def words(c):
    """The words of the file of a config."""
    if "STEPS" in c:
        most = 1 << c["X_W"]
        rows = [[0, *(x % most for x in row), *[most] * (2 ** c["STEPS"] - 1 - len(row))] for row in numbers(c)]
        return [word for row in rows for word in row]
    if "DIGITS" not in c:
        base = signed(c["BASE"][0], 64)
        return [
            ties << (c["BIAS_W"] + c["M_W"])
            | (bias - base) >> c["BIAS_ZEROS"] << c["M_W"]
            | multiplier % (1 << c["M_W"])
            for multiplier, bias, ties in numbers(c)
        ]
    found = []
    for multiplier, bias, ties in numbers(c):
        for place in reversed(range(0, 2 * c["DIGITS"], 2)):
            three = (multiplier << 1) >> place & 7
            digit = {0: 0b000, 1: 0b001, 2: 0b001, 3: 0b010, 4: 0b110, 5: 0b101, 6: 0b101, 7: 0b100}[three]
            found.append((ties >> place & 3) << 5 | (bias >> place & 3) << 3 | digit)
        found += [0] * ((1 << clog2(c["DIGITS"] + 1)) - c["DIGITS"])
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


def level(own, x, c=None):
    """What a channel's own numbers make of a sum, by the definition in whole numbers; beyond X_W bits an end."""
    c = c or config()
    if "STEPS" in c:
        return (signed(c["LOW"][0], 64) + sum(x >= threshold for threshold in own)) % (1 << c["OUT_W"])
    multiplier, bias, ties = own
    low, high = limits(c)
    if not -(1 << (c["X_W"] - 1)) <= x < 1 << (c["X_W"] - 1):
        return (low if (x < 0) != (multiplier < 0) else high) % (1 << c["OUT_W"])
    found, rest = divmod(x * multiplier + bias, 1 << c["SHIFT"])
    if rest < ties:
        found -= found % 2
    return min(max(found, low), high) % (1 << c["OUT_W"])


def show(dut, xs):
    """Numbers to scale_product.v or scale_serial.v, and of those beyond X_W bits any bits and what side they are on."""
    bits = config()["X_W"]
    dut.x.value = packed(xs, bits)
    dut.over.value = sum((x >= 1 << (bits - 1)) << n for n, x in enumerate(xs))
    dut.under.value = sum((x < -(1 << (bits - 1))) << n for n, x in enumerate(xs))


def check(dut, own, xs):
    """That what these make of numbers of a channel is there."""
    c = config()
    multiplier, bias, ties = own
    assert int(dut.ties.value) == ties
    products, above, below = (int(port.value) for port in (dut.products, dut.above, dut.below))
    for n, x in enumerate(xs):
        inside = -(1 << (c["X_W"] - 1)) <= x < 1 << (c["X_W"] - 1)
        high = not inside and (x < 0) == (multiplier < 0)
        assert (above >> n & 1, below >> n & 1) == (high, not inside and not high), (own, x)
        if inside:
            mask = (1 << c["P_W"]) - 1
            assert products >> n * c["P_W"] & mask == x * multiplier + bias & mask, (own, x)


def sums(rng, bits, count, c=None):
    """Numbers of so many bits, the ends among them, and some at which levels begin."""
    c = c or config()
    least, found, each = -(1 << (bits - 1)), [], numbers(c)
    beyond = 1 << max(0, min(bits, c["X_W"] + 1) - 2)  # the first number that X_W bits do not hold
    ends = [x for x in (least, -least - 1, 0, beyond, -beyond - 1) if least <= x < -least]
    for _ in range(count):
        x, own = rng.choice([*ends, rng.randint(least, -least - 1)]), rng.choice(each)
        if "STEPS" in c:
            near = rng.choice(own) - rng.randint(0, 1)
        else:
            near = ((rng.randint(-9, 20) << c["SHIFT"]) - own[1]) // (own[0] or 1) + rng.randint(-1, 1)
        found.append(near if rng.random() < 0.5 and least <= near < -least else x)
    return found
