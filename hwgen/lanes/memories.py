"""The memories that may hold the list of a layer."""

from hwgen.devices import Device

BANKS = 1024, 2048, 4096  # words that a block RAM of any family holds in one of its shapes
BYTE = 9  # bits that a block of memory can write alone


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

    def depth(self, words: int, device: Device) -> int:
        """Words of the memory for a list of so many: all that its blocks hold, since another list may be longer."""
        raise NotImplementedError(f"{type(self).__name__}.depth")

    def rows(self, words: int, device: Device) -> int:
        """Words of a bank: all, or as many as a block holds, whose register comes before the choice of a bank."""
        if words <= BANKS[0]:
            return words
        return next((rows for rows in BANKS if words <= 4 * rows), BANKS[-1])  # a choice of four is a LUT a bit

    def blocks(self, words: int, width: int, device: Device) -> tuple[dict[str, float], int]:
        """What a memory of `words` words of `width` bits takes by resource, LUTs left out, and from how many of its
        words a multiplexer chooses."""
        raise NotImplementedError(f"{type(self).__name__}.blocks")

    def luts(self, words: int, width: int, device: Device) -> int:
        """LUTs of its multiplexers, which a register is behind, or of a LUT RAM: of a choice among blocks that hold a
        bank, and of a bank."""
        side = -(-words // self.rows(words, device))
        banks = self.blocks(words, width, device)[1] // side
        return side * width * device.multiplexer(banks) + width * device.multiplexer(side)


class Rom(ListMemory):
    """Block RAM that nobody writes; a short list is made of lookup tables."""

    name, number, written = "rom", 0, False

    def depth(self, words, device):
        return words

    def blocks(self, words, width, device):
        if words <= device.lut_depth:
            return {"BRAM36": 0.0}, 1
        rows = self.rows(words, device)
        side = -(-words // rows)
        blocks, banks = device.block_memory(rows, side * width, ())
        return {"BRAM36": blocks}, banks * side


class Bram(ListMemory):
    """Block RAM with a port to write; a short list is in LUT RAM."""

    name, number = "bram", 1

    def depth(self, words, device):
        block = device.block_depth if words > device.lut_depth else device.lut_depth // 2
        return -(-words // block) * block

    def blocks(self, words, width, device):
        if words <= device.lut_depth:
            return {"BRAM36": 0.0}, 1
        rows = self.rows(words, device)
        side = -(-words // rows)
        blocks, banks = device.block_memory(rows, side * width, (width,) * side)
        return {"BRAM36": blocks}, banks * side

    def luts(self, words, width, device):
        return device.lut_memory(words, width) if words <= device.lut_depth else super().luts(words, width, device)


class Uram(ListMemory):
    """UltraRAM, which is empty until a host has written it."""

    name, number, file = "uram", 2, False

    def depth(self, words, device):
        block, _ = self._shape(device)
        return -(-words // block) * block

    def rows(self, words, device):
        return min(words, self._shape(device)[0])

    def blocks(self, words, width, device):
        _, bits = self._shape(device)
        side = -(-words // self.rows(words, device))
        each = -(-width // BYTE) * BYTE if side > 1 else width  # a word of a row is written alone
        return {"BRAM36": 0.0, "URAM": -(-side * each // bits)}, side

    @staticmethod
    def _shape(device: Device) -> tuple[int, int]:
        """Words and bits of a block."""
        assert device.ultra_ram is not None, f"{device.family} has no UltraRAM"
        return device.ultra_ram


MEMORIES: dict[str, ListMemory] = {memory.name: memory for memory in (Rom(), Bram(), Uram())}
