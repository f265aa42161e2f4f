"""The check bits of words, for the benches of what stands around memories."""

from hwgen import codes
from hwgen.protect import Protection


def code(kind: str, width: int) -> list[int]:
    """Of each check bit the bits of a word that it looks at, as a mask; kind -- of --protect."""
    rows = codes.code(Protection.of(kind), width)
    return [sum(int(bit) << i for i, bit in enumerate(row)) for row in rows]


def parameters(kind: str, width: int) -> dict:
    """CODE_W and CODE of rtl/word_code.v."""
    rows = code(kind, width)
    packed = sum(row << (i * width) for i, row in enumerate(rows))
    return {"CODE_W": len(rows), "CODE": (packed, max(1, len(rows) * width))}


def checks(word: int, config: dict) -> int:
    """The check bits of a word, by the CODE and WIDTH of a config."""
    width, packed = config["WIDTH"], config["CODE"][0]
    rows = [packed >> (i * width) & ((1 << width) - 1) for i in range(config["CODE_W"])]
    return sum(((row & word).bit_count() & 1) << i for i, row in enumerate(rows))


def stored(word: int, config: dict) -> int:
    """The word with its check bits above it."""
    return checks(word, config) << config["WIDTH"] | word
