"""The memories that may hold the list of a layer."""

from hwgen.units.unit import LUTRAM_DEPTH, block_memory, lut_rams, multiplexer

BRAM_DEPTH = 512
URAM_DEPTH, URAM_BITS = 4096, 72


class ListMemory:
    """A memory of words that rtl/term_rom.v reads one by one.

    name      as a fold has it
    number    LOAD of rtl/term_lanes.v
    written   whether a host can write it, and so whether other lists than the build's may be in it
    file      whether it holds the build's list as soon as the FPGA is configured
    """

    name: str
    number: int
    written: bool = True
    file: bool = True

    def depth(self, words: int) -> int:
        """Words of the memory for a list of so many: all that its blocks hold, since another list may be longer."""
        raise NotImplementedError(f"{type(self).__name__}.depth")

    def blocks(self, words: int, width: int) -> tuple[dict[str, float], int]:
        """What a memory of `words` words of `width` bits takes by resource, LUTs left out, and from how many of its words a
        multiplexer chooses."""
        raise NotImplementedError(f"{type(self).__name__}.blocks")

    def luts(self, words: int, width: int) -> int:
        """LUTs of its multiplexers, or of a LUT RAM; a multiplexer of two is part of what comes behind it."""
        banks = self.blocks(words, width)[1]
        return width * multiplexer(banks) if banks > 2 else 0


class Rom(ListMemory):
    """Block RAM that nobody writes; a short list is made of lookup tables."""

    name, number, written = "rom", 0, False

    def depth(self, words):
        return words

    def blocks(self, words, width):
        if words <= LUTRAM_DEPTH:
            return {"BRAM36": 0.0}, 1
        blocks, banks = block_memory(words, width, ())
        return {"BRAM36": blocks}, banks


class Bram(ListMemory):
    """Block RAM with a port to write; a short list is in LUT RAM."""

    name, number = "bram", 1

    def depth(self, words):
        block = BRAM_DEPTH if words > LUTRAM_DEPTH else LUTRAM_DEPTH // 2
        return -(-words // block) * block

    def blocks(self, words, width):
        if words <= LUTRAM_DEPTH:
            return {"BRAM36": 0.0}, 1
        blocks, banks = block_memory(words, width)
        return {"BRAM36": blocks}, banks

    def luts(self, words, width):
        return lut_rams(words, width) if words <= LUTRAM_DEPTH else super().luts(words, width)


class Uram(ListMemory):
    """UltraRAM, which is empty until a host has written it."""

    name, number, file = "uram", 2, False

    def depth(self, words):
        return -(-words // URAM_DEPTH) * URAM_DEPTH

    def blocks(self, words, width):
        deep = -(-words // URAM_DEPTH)
        return {"BRAM36": 0.0, "URAM": deep * -(-width // URAM_BITS)}, deep


MEMORIES: dict[str, ListMemory] = {memory.name: memory for memory in (Rom(), Bram(), Uram())}
