"""The AXI face of a network, templates/top.v.j2: registers, controller, and at each border a register and, where a
stream is wider or narrower than the beats, a converter."""

from collections.abc import Sequence

from hwgen.devices import Device
from hwgen.qtype import ceil_log2

# LUTs, fitted to what yosys counts (python -m benchmarks.border prints how far they are off)
FIXED = 336  # registers that a host reads, counters
AN_INPUT, AN_OUTPUT = 102, 86  # of each stream but the first: where it is in its frame, the frames that went
A_BIT = 1.03  # of a beat in or out: the choice between what came and what waits
LOADER = 163  # the registers that load other weights ...
A_LAYER = 2  # ... and what chooses between the layers
LOAD_STREAM = 25  # over a stream too
WATCHED, A_WATCHED = 176, 4  # what tells of flipped bits
VOTES = 235  # of control that is kept three times
MODES = 24  # the register of the mode


Widths = tuple[int, int, int]  # bits of a stream inside, of a beat in words of the host, and of the port


def estimate(
    inputs: Sequence[Widths],
    outputs: Sequence[Widths],
    layers: int,
    load_stream: bool = False,
    watched: int = 0,
    tmr: int = 0,
    modes: int = 1,
) -> dict[str, float]:
    """What the border takes; layers -- that a host can load; others as in templates/top.v.j2."""
    luts = FIXED + AN_INPUT * (len(inputs) - 1) + AN_OUTPUT * (len(outputs) - 1)
    luts += sum(A_BIT * bits for bits, _, _ in (*inputs, *outputs))
    luts += sum(_into(*one) for one in inputs) + sum(_out_of(*one) for one in outputs)
    luts += LOADER + A_LAYER * layers + LOAD_STREAM * load_stream if layers else 0
    luts += WATCHED + A_WATCHED * watched if watched else 0
    luts += VOTES * (tmr > 0)
    luts += MODES + ceil_log2(modes) if modes > 1 else 0
    return {"LUT": round(luts), "BRAM36": 0}


def _into(bits: int, beat: int, port: int) -> float:
    """Of rtl/port_in.v: which bytes are there, and the choice of a beat of a wider port."""
    bytes_there = port / 8 / 5
    if port == beat:
        return bytes_there
    count = max(port, beat) // min(port, beat)
    if port < beat:
        return bytes_there + ceil_log2(count) + 3
    return 2 * bytes_there + (bits + 1) * Device.multiplexer(count) + ceil_log2(count) + 0.8 * count


def _out_of(bits: int, beat: int, port: int) -> float:
    """Of rtl/port_out.v: the choice of a part of a beat, or the enables of a port's parts."""
    if port == beat:
        return 0
    count = max(port, beat) // min(port, beat)
    if port < beat:
        return min(bits, port) * Device.multiplexer(count) + ceil_log2(count) + 17
    return 3 * count + 5
