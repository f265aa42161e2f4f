"""The streams at the sides of the network: what templates and hosts call them, and how fast frames pass them."""

from collections.abc import Sequence

from hwgen.board import Board
from hwgen.config import BuildConfig
from hwgen.design import Design, Stream
from hwgen.errors import BadInput
from hwgen.ports import NATURAL, Ports, beat_bits, clocks, word_bits


def ends(way: str, streams: Sequence[Stream], ports: Ports = NATURAL) -> list[dict]:
    """The streams at one side of the network, `in` or `out`, for the templates: what `border_wires` tells, and
    port, word, border, core  what their signals are called at the port, behind its converter, before the register at
            the border, and behind it
    n       the number of all but the first
    of      whose values they are, where there are several streams
    each, width  bits of an activation, and of what it takes in a word
    side, signed, exponent  of the activations in a beat
    beat_bits, port_bits  bits of a beat in a frame that lies in memory: a power of two; and of one at the port
    """
    found = []
    for i, stream in enumerate(streams):
        n, qtype = i or "", stream.type.qtype
        beat = beat_bits(qtype.bits, stream.order.side)
        more = {
            "port": f"{'s' if way == 'in' else 'm'}{n}_axis",
            "word": f"word_{way}{n}",
            "border": f"border_{way}{n}",
            "core": f"core_{way}{n}",
            "n": n,
            "of": f"{stream.tensor}: " if len(streams) > 1 else "",
            "each": qtype.bits,
            "width": word_bits(qtype.bits),
            "beat_bits": beat,
            "port_bits": ports.of(beat),
            "side": stream.order.side,
            "frames": stream.frames,
            "signed": qtype.signed,
            "exponent": stream.type.exponent,
        }
        found.append(border_wires(stream) | more)
    return found


def border_wires(stream: Stream) -> dict:
    bits = stream.type.qtype.bits
    side = stream.order.side
    lanes = f", {stream.order.lanes} lanes" if stream.order.lanes > 1 else ""
    together = f", {side} a beat" if side > 1 else ""
    return {
        "name": stream.name,
        "bits": side * bits,
        "range": f"[{side * bits - 1}:0] ",
        "beats": stream.beats,
        "words": f"{bits} bits, {'signed' if stream.type.qtype.signed else 'unsigned'}, worth 2^{stream.type.exponent}"
        f"; {stream.order.beats * side} words a frame, by row, then column, then channel"
        + (f"; {stream.frames} frames a turn" if stream.frames > 1 else "")
        + (f"; {side} a beat, the first in the lowest bits" if side > 1 else ""),
        "note": f"{stream.tensor}: {stream.type}{lanes}{together}",
    }


def port_interval(design: Design) -> int:
    """Clocks that its slowest stream takes for a turn, at least."""
    both = *ends("in", design.inputs, design.ports), *ends("out", design.outputs, design.ports)
    return max(map(clocks, both))


def check_rate(design: Design, config: BuildConfig, board: Board) -> None:
    """Raises BadInput where streams that the user made narrow do not bring frames at the rate that he asked for."""
    if config.fps and config.stream_bits and (takes := port_interval(design)) > config.interval(board):
        raise BadInput(
            f"a frame takes {takes:,} clocks over a stream of {config.stream_bits} bits, the rate "
            f"leaves {config.interval(board):,}",
            "--stream-bits",
            "use a wider stream or a lower rate, or leave it out",
        )
