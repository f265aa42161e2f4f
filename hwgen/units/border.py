"""The AXI face of a network, templates/top.v.j2: registers, controller, and a register at each border."""

# LUTs, fitted to what yosys counts of borders from 1 to 256 bits (python -m benchmarks.border prints how far they are
# off)
FIXED = 323  # registers that a host reads, counters
A_BIT = 1.08  # of a beat in or out: the choice between what came and what waits
LOADER = 140  # the registers that load other weights ...
A_LAYER = 3  # ... and what chooses between the layers


def estimate(beat_bits: int, layers: int) -> dict[str, float]:
    """What the border takes; beat_bits -- of a beat in and one out together; layers -- that a host can load."""
    luts = FIXED + A_BIT * beat_bits + (LOADER + A_LAYER * layers if layers else 0)
    return {"LUT": round(luts), "BRAM36": 0}
