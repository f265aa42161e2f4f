"""One file per device family, found by being here: what a family's primitives are called, and what its memories
take.

A file holds DEVICE, a `Device`; nothing else in hwgen knows the name of a family.
"""

import functools
import importlib
import pkgutil
from dataclasses import dataclass

Ports = frozenset[str]


@dataclass(frozen=True)
class Processor:
    """A processing system as Vivado has it.

    ip, rule, automation  the name of its IP, and of the rule that sets it as the board is made, with its options
    config       what a design with one master, one slave and interrupts sets
    pins         the names of those that are used, by what they are for
    registers    the bus address of the first registers; each device has 64 KiB
    interrupts   the number of the first line among the interrupt controller's shared ones, and lines
    address_bits that a DMA engine needs
    reference_mhz  of the clock that it gives
    cells        of an address in the device tree
    arch         as bootgen calls it
    most_mhz     of its ports' clocks
    """

    ip: str
    rule: str
    automation: str
    config: dict[str, str]
    pins: dict[str, str]
    registers: int
    interrupts: tuple[int, int]
    address_bits: int
    reference_mhz: float
    cells: int
    arch: str
    most_mhz: float


@dataclass(frozen=True, eq=False)
class Device:
    """A family of devices whose lookup tables have six inputs.

    family       its name, as the file of a board has it
    parts        regular expression of its part numbers, as Vivado spells them
    resources    what is counted of a design, in the order of tables; a board says how many it has of those in
                 `of_a_board`. LUTRAM (LUTs used as memory or shift register) is part of LUT, as Vivado reports them;
                 BRAM36 counts half for a half-block
    of_a_board   the resources that a board's file has to give
    lanes        kinds of lanes that its slices can carry, by the names of hwgen/lanes/kinds/
    memories     where the terms of a layer may be: rom, and bram or uram for those that a host replaces
    synthesis    parameters that the core and the AXI top are given by synthesis, which choose their primitives
    primitives   cells that rtl/ instantiates then, by name: ports that must be connected, and parameters that may be
                 given
    yosys        the command of yosys that synthesizes, without its steps
    cells        what a cell of a netlist occupies, by resource
    vivado       rows of Vivado's report_utilization, and the resource that each counts
    lut_rams     shapes of a LUT RAM with a port to write and one to read, the least deep first: words, bits, LUTs
    block_rams   shapes of a block RAM as yosys has them: bits of a word, bits of the address of one bit, cost, halves,
                 and whether one port reads and the other writes
    block_depth  words of the shape of a block RAM that is widest
    ultra_ram    words and bits of an UltraRAM; None in a family without
    block_luts   LUTs that a device of the family has for each BRAM36: what a block is worth to a memory that could be
                 either
    ip_families  its subfamilies, as IP-XACT names them for Vivado
    processor    the processing system of those with one
    """

    family: str
    parts: str
    resources: tuple[str, ...]
    of_a_board: tuple[str, ...]
    lanes: tuple[str, ...]
    memories: tuple[str, ...]
    synthesis: dict[str, int]
    primitives: dict[str, tuple[Ports, Ports]]
    yosys: str
    cells: dict[str, dict[str, float]]
    vivado: dict[str, str]
    lut_rams: tuple[tuple[int, int, int], ...]
    block_rams: tuple[tuple[tuple[int, ...], int, int, int, bool], ...]
    block_depth: int
    ultra_ram: tuple[int, int] | None
    block_luts: int
    ip_families: tuple[str, ...]
    processor: Processor

    @property
    def lut_depth(self) -> int:
        """Words of the deepest memory that is made of LUTs whatever its width; a deeper one is worth a block RAM."""
        return self.lut_rams[-1][0]

    def block_memory(self, depth: int, bits: int, written: tuple[int, ...] | None = None) -> tuple[float, int]:
        """BRAM36 of a memory of `depth` words of `bits`, and how many of its words a multiplexer chooses from.

        written -- the bits of the parts of a word that are written one by one; (): it is a ROM; None: words are
        written whole
        As yosys does it (its passes/memory/memory_libmap.cc): blocks of one shape, filled with the words
        of one bank beside those of another; of all shapes the one of least cost, multiplexers counted.
        """
        return _block_memory(self.block_rams, depth, bits, (bits,) if written is None else written)

    def lut_memory(self, depth: int, bits: int) -> int:
        """LUTs of a memory with a port to write and one to read, of words that the least deep shape holds, or in banks
        of the deepest; what chooses between the banks is not counted."""
        words, width, luts = next((shape for shape in self.lut_rams if depth <= shape[0]), self.lut_rams[-1])
        return luts * -(-depth // words) * -(-bits // width)

    def lut_banks(self, depth: int, bits: int) -> int:
        """LUTs of such a memory in banks of the one shape or the other, whichever is less, with what chooses between
        them."""
        banks = [(-(-depth // words), luts * -(-bits // width)) for words, width, luts in self.lut_rams]
        return min(n * luts + bits * -(-n // 4) + n for n, luts in banks)

    def prefers_block(self, depth: int, bits: int) -> bool:
        """Whether a memory is to be a block RAM: where that is the smaller share of a device."""
        return (
            depth > self.lut_depth and self.lut_banks(depth, bits) > self.block_luts * self.block_memory(depth, bits)[0]
        )

    @staticmethod
    def multiplexer(inputs: int) -> int:
        """LUTs of a bit of a multiplexer: one up to four inputs, then one for each two more, up to four for sixteen."""
        whole = 4 * -(-inputs // 16) + (inputs > 16)
        return max(int(inputs > 1), min((inputs - 1) // 2, whole))


@functools.cache
def _block_memory(shapes: tuple, depth: int, bits: int, written: tuple[int, ...]) -> tuple[float, int]:
    best = None
    for widths, address, cost, halves, simple in shapes:
        for log2, width in enumerate(widths):
            if written and simple and width < 9:
                continue
            byte = min(9, width)  # the least that can be written alone
            word = sum(-(-part // byte) * byte for part in written) if written else bits
            banks = -(-depth // (1 << (address - log2)))
            count = -(-banks * word // width)
            total = cost * count + (banks - 1) * bits / 2 + (banks * len(written) / 2 if banks > 1 else 0)
            if best is None or total < best[0]:
                best = total, count * halves / 2, banks
    assert best is not None  # a family has a block RAM
    return best[1:]


def cells_worth(*groups: tuple[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """`Device.cells` of groups of cells, their names with blanks between, that are worth the same."""
    return {cell: worth for cells, worth in groups for cell in cells.split()}


@functools.cache
def devices() -> dict[str, Device]:
    """The families by name, in alphabetical order; every file of this folder read."""
    found = [importlib.import_module(f"{__name__}.{module.name}").DEVICE for module in pkgutil.iter_modules(__path__)]
    return {device.family: device for device in sorted(found, key=lambda device: device.family)}
