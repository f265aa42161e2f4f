"""Streams with tkeep and tlast, as one value each: data lowest; and what benches of a port's converters share."""

import random

from parts import config

CONFIGS = [{"PORT": port, "WORD": word} for port, word in ((32, 8), (8, 32), (16, 16), (64, 32), (8, 16))]
LENGTHS = (1, 2, 3, 7, 16, 5, 4)


class Bundle:
    """Several signals as one, the first lowest; `value` is read and written as an integer."""

    def __init__(self, *signals):
        object.__setattr__(self, "signals", signals)

    def __len__(self):
        return sum(map(len, self.signals))

    @property
    def value(self):
        found = 0
        for signal in reversed(self.signals):
            found = found << len(signal) | int(signal.value)
        return found

    @value.setter
    def value(self, value):
        for signal in self.signals:
            signal.value = value & ((1 << len(signal)) - 1)
            value >>= len(signal)


def transfers(word_bits: int, lengths, seed: int) -> list[list[int]]:
    """Random words of so many transfers, each of so many words."""
    rng = random.Random(seed)
    return [[rng.getrandbits(word_bits) for _ in range(length)] for length in lengths]


def as_beats(words: list[int], word_bits: int, beat_bits: int) -> list[tuple[int, int, int]]:
    """(data, keep, last) of the beats of a transfer: its bytes one after the other, from the lowest on."""
    size, beat = word_bits // 8, beat_bits // 8
    held = b"".join(word.to_bytes(size, "little") for word in words)
    parts = [held[at : at + beat] for at in range(0, len(held), beat)]
    return [
        (int.from_bytes(part, "little"), (1 << len(part)) - 1, int(number == len(parts) - 1))
        for number, part in enumerate(parts)
    ]


def widths() -> tuple[int, int]:
    """Bits of a beat of the port, and of the network's."""
    return config()["PORT"], config()["WORD"]


def network_side(some: list[list[int]]) -> list[int]:
    """Transfers as values of the network's stream: data and tlast."""
    _, word = widths()
    return [each | (place == len(words) - 1) << word for words in some for place, each in enumerate(words)]


def port_side(some: list[list[int]]) -> list[int]:
    """Transfers as values of the port's stream: data, tkeep and tlast."""
    port, word = widths()
    return [as_value(beat) for words in some for beat in as_beats(words, word, port)]


def as_value(beat: tuple[int, int, int]) -> int:
    """The value of (data, keep, last) at the port."""
    port, _ = widths()
    data, keep, last = beat
    return data | keep << port | last << port + port // 8
