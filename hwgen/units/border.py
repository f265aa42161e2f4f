"""The AXI face of a network, templates/top.v.j2: registers, controller, and a register at each border."""

# LUTs, fitted to what yosys counts of borders from 1 to 256 bits (python -m benchmarks.border prints how far they are
# off)
FIXED = 323  # registers that a host reads, counters
A_BIT = 1.08  # of a beat in or out: the choice between what came and what waits
LOADER = 140  # the registers that load other weights ...
A_LAYER = 3  # ... and what chooses between the layers


def estimate(beats: list[int], layers: int) -> dict[str, float]:
    """What the border takes; beats -- the bits of each stream's beat; layers -- that a host can load."""
    luts = FIXED + A_BIT * sum(beats) + (LOADER + A_LAYER * layers if layers else 0)
    return {"LUT": round(luts), "BRAM36": 0}
