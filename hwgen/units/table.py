"""What a table of functions takes where it is made of lookup tables: rtl/lookup.v, and inside of other units."""

from hwgen.qtype import ceil_log2
from hwgen.rom import Rom

INPUTS = 6  # of a lookup table
# LUTs that yosys takes for each different function of six input bits, by the bits of an activation: it makes
# multiplexers of a table (python -m benchmarks.tables prints how far that is off)
FACTORS = {1: 1.0, 2: 1.0, 3: 1.0, 4: 0.9, 5: 2.4, 6: 2.5, 7: 3.0, 8: 2.0, 9: 1.85, 10: 1.5}


def table_luts(rom: Rom) -> int:
    """LUTs of a copy of a table of 2 to 1,024 words."""
    different = 0
    for column in rom.bits.T:
        parts = column.reshape(-1, min(len(column), 1 << INPUTS))
        # a function and its complement are one; a constant takes none
        parts = parts ^ parts[:, :1]
        different += len({part.tobytes() for part in parts if part.any()})
    return round(FACTORS[ceil_log2(rom.depth)] * different)
