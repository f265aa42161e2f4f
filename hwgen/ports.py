"""The streams that a host sees: how wide they are, and how fast a frame can pass."""

from collections.abc import Mapping
from dataclasses import dataclass

from hwgen.errors import BadInput

WIDTHS = tuple(8 << i for i in range(8))  # bits of a stream that AXI DMA takes: PG021


@dataclass(frozen=True)
class Ports:
    """bits -- of every stream, one of WIDTHS; None: of each as many as a beat of the network, at most 1,024
    load_stream -- whether weights of loadable layers come over a stream too
    """

    bits: int | None = None
    load_stream: bool = False

    def __post_init__(self):
        if self.bits is not None and (isinstance(self.bits, bool) or self.bits not in WIDTHS):
            raise BadInput(f"stream_bits = {self.bits!r}", "--stream-bits", f"use {', '.join(map(str, WIDTHS))}")

    def of(self, beat_bits: int) -> int:
        """Bits of the stream for a network's beat of so many, a power of two."""
        return self.bits or min(beat_bits, WIDTHS[-1])


NATURAL = Ports()


def word_bits(bits: int) -> int:
    """Of the word of a host that holds an activation of so many."""
    return next(width for width in (8, 16, 32, 64) if width >= bits)


def beat_bits(bits: int, side: int) -> int:
    """Of a beat of so many activations in a frame that lies in memory: a power of two."""
    return 1 << (side * word_bits(bits) - 1).bit_length()


def clocks(end: Mapping) -> int:
    """Clocks that a frame of a stream (of hwgen.json) takes at least, of all its time steps."""
    return end["frames"] * end["beats"] * max(1, end["beat_bits"] // end["port_bits"])


def narrower(known: Mapping) -> list[str]:
    """Of hwgen.json, in words: the streams that take longer for a frame than the network between them."""
    lines = []
    for way, does in (("inputs", "brings"), ("outputs", "takes")):
        for end in known[way]:
            if clocks(end) > known["interval"]:
                beat, port = end["beat_bits"], end["port_bits"]
                most = ", which is all that an AXI DMA takes" if port == WIDTHS[-1] else ""
                lines.append(
                    f"the stream {end['name']} {does} a beat of {beat:,} bits as {beat // port} of {port:,}{most}: a "
                    f"frame takes {clocks(end):,} clocks, the network {known['interval']:,}"
                )
    return lines
