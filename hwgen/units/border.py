"""The AXI face of a network, templates/top.v.j2: registers, controller, and a register at each border."""

from collections.abc import Sequence

# LUTs, fitted to what yosys counts of borders from 1 to 256 bits (python -m benchmarks.border prints how far they are
# off)
FIXED = 323  # registers that a host reads, counters
AN_INPUT, AN_OUTPUT = 98, 84  # of each stream but the first: where it is in its frame, the frames that went
A_BIT = 1.08  # of a beat in or out: the choice between what came and what waits
LOADER = 140  # the registers that load other weights ...
A_LAYER = 3  # ... and what chooses between the layers


def estimate(inputs: Sequence[int], outputs: Sequence[int], layers: int) -> dict[str, float]:
    """What the border takes; inputs, outputs -- the bits of each stream's beat; layers -- that a host can load."""
    streams = AN_INPUT * (len(inputs) - 1) + AN_OUTPUT * (len(outputs) - 1)
    luts = FIXED + streams + A_BIT * sum((*inputs, *outputs)) + (LOADER + A_LAYER * layers if layers else 0)
    return {"LUT": round(luts), "BRAM36": 0}
