"""The registers of an emitted network, described once: docs/registers.md, the drivers and the IP-XACT are made of this
table, and the bench of rtl/axil_registers.v reads its addresses from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

SIZE = 4096  # bytes of the window
READ, WRITE, BOTH, CLEAR = "read", "write, reads 0", "read, write", "read, write 1 to clear"


@dataclass(frozen=True)
class Register:
    """32 bits, or two words of 32 for a wide counter, the low one first.

    only  of builds that have such: "LAYERS" that can be loaded, "WATCHED" layers, more than one of "MODES"
    each  there is one each, 4 bytes further: "INPUTS" or "OUTPUTS" but the first, or 32 "WATCHED" layers
    bits  name -> its bit
    """

    offset: int
    name: str
    access: str
    meaning: str
    words: int = 1
    only: str = ""
    each: str = ""
    bits: Mapping[str, int] = field(default_factory=dict)

    def at(self, parameters: Mapping[str, int]) -> list[int]:
        """The offsets of its words in a build; parameters -- of rtl/axil_registers.v: INPUTS, OUTPUTS and MODES,
        default 1, LAYERS and WATCHED, default 0."""
        has = {"INPUTS": 1, "OUTPUTS": 1, "LAYERS": 0, "WATCHED": 0, "MODES": 1} | dict(parameters)
        if self.only and has[self.only] < (2 if self.only == "MODES" else 1):
            return []
        if self.each == "WATCHED":
            indices = range(-(-has["WATCHED"] // 32))
        elif self.each:
            indices = range(1, has[self.each])
        else:
            indices = range(self.words)
        return [self.offset + 4 * i for i in indices]


REGISTERS = (
    Register(0x00, "ID", READ, '0x4857474E, "HWGN"'),
    Register(0x04, "VERSION", READ, "of hwgen: major << 16, minor << 8, patch"),
    Register(
        0x08,
        "CONTROL",
        WRITE,
        "bit 0 `start`, bit 1 `soft_reset`; with `start` bit 2 `tlast_each`, bit 3 `tlast_none`",
        bits={"START": 0, "SOFT_RESET": 1, "TLAST_EACH": 2, "TLAST_NONE": 3},
    ),
    Register(
        0x0C,
        "STATUS",
        READ,
        "bit 0 `busy`, bit 1 `done`, bit 2 `tlast_error`, bit 3 `unloaded`",
        bits={"BUSY": 0, "DONE": 1, "TLAST_ERROR": 2, "UNLOADED": 3},
    ),
    Register(0x10, "FRAMES", BOTH, "frames of the next run, 0: run until `soft_reset`"),
    Register(0x14, "FRAMES_IN", READ, "whole frames that have entered since start, of several inputs on all"),
    Register(0x18, "FRAMES_OUT", READ, "whole frames that have left since start, of several outputs on all"),
    Register(0x1C, "CYCLES", READ, "cycles from start to the last transfer, low word and high word", 2),
    Register(
        0x24,
        "INPUT_STALLS",
        READ,
        "cycles with a word of the run offered, on some input, that the network was not ready for",
        2,
    ),
    Register(0x2C, "OUTPUT_STALLS", READ, "cycles with a result, on some output, that the sink was not ready for", 2),
    Register(
        0x34,
        "STARVED",
        READ,
        "cycles in which the network was ready on some input and no word was offered there",
        2,
    ),
    Register(0x3C, "IN_BEATS", READ, "words in a frame of the first input"),
    Register(0x40, "OUT_BEATS", READ, "words in a frame of the first output"),
    Register(
        0x44,
        "BUILD_ID",
        READ,
        "first 32 bits of a SHA-256 of the Verilog and ROM files of the build, the top with a BUILD_ID of 0",
    ),
    Register(0x48, "LOAD_LAYERS", READ, "layers whose weights can be loaded; with 0 the next five are unmapped"),
    Register(0x4C, "LOAD_LAYER", BOTH, "the layer that the next three are about, from 0", only="LAYERS"),
    Register(0x50, "LOAD_WORDS", WRITE, "words of the list that follows: the layer's old one is gone", only="LAYERS"),
    Register(0x54, "LOAD_DATA", WRITE, "the next 32 bits of the list", only="LAYERS"),
    Register(
        0x58,
        "LOAD_CHECK",
        READ,
        "sum of the sums after each write from LOAD_WORDS on, modulo 2^32",
        only="LAYERS",
    ),
    Register(0x5C, "LOADED", READ, "bit 0: the layer's list is whole", only="LAYERS"),
    Register(
        0x60,
        "WATCHED",
        READ,
        "layers that tell of flipped bits; unmapped, as are the next five, in a build without [--protect](protect.md)",
        only="WATCHED",
    ),
    Register(
        0x64,
        "EVENTS",
        CLEAR,
        "bit 0 `desync`: the watchdog reset the network, see below",
        only="WATCHED",
        bits={"DESYNC": 0},
    ),
    Register(
        0x68,
        "LOST_FROM",
        READ,
        "the first frame of the run, from 0, that was lost at the last `desync`",
        only="WATCHED",
    ),
    Register(0x6C, "LOST_TO", READ, "the first frame behind that was not", only="WATCHED"),
    Register(
        0x70,
        "MODES",
        READ,
        "modes that a frame may have ([modes.md](modes.md)); of a build with one this and the next are unmapped",
        only="MODES",
    ),
    Register(
        0x74,
        "MODE",
        BOTH,
        "that of frames whose first word enters from now on, at any time, from 0; another number answers SLVERR",
        only="MODES",
    ),
    Register(
        0x78,
        "INTERRUPT",
        CLEAR,
        "bit 0 `done`, bit 1 `tlast_error`: it rose in STATUS; bit 2 `fault`: a bit of FAULTS or EVENTS is set, and is "
        "cleared there",
        bits={"DONE": 0, "TLAST_ERROR": 1, "FAULT": 2},
    ),
    Register(0x7C, "INTERRUPT_ENABLE", BOTH, "the same bits: `irq` is high while one is set in both registers"),
    Register(
        0x300,
        "FAULTS",
        CLEAR,
        "of layers 32 i to 32 i + 31, a bit each: something read was wrong and was not put right",
        only="WATCHED",
        each="WATCHED",
    ),
    Register(
        0x380,
        "REPAIRS",
        CLEAR,
        "the same: a word of its list was wrong and was put right",
        only="WATCHED",
        each="WATCHED",
    ),
    Register(
        0x100,
        "IN_BEATS_OF",
        READ,
        "words in a frame of input i, from 1 on; unmapped where there is none",
        each="INPUTS",
    ),
    Register(
        0x200,
        "OUT_BEATS_OF",
        READ,
        "words in a frame of output i, from 1 on; unmapped where there is none",
        each="OUTPUTS",
    ),
)

OFFSET = {register.name: register.offset for register in REGISTERS}
BIT = {f"{register.name}_{bit}": 1 << n for register in REGISTERS for bit, n in register.bits.items()}


def table() -> str:
    """The table of docs/registers.md."""
    lines = ["| offset | name | access | meaning |", "|---|---|---|---|"]
    for one in REGISTERS:
        offset = ", ".join(f"0x{one.offset + 4 * i:02X}" for i in range(one.words)) + " + 4 i" * bool(one.each)
        lines.append(f"| {offset} | {one.name} | {one.access} | {one.meaning} |")
    return "\n".join(lines) + "\n"


def c_header() -> str:
    """Constants for C: HWGEN_NAME, the offset of a register, HWGEN_NAME_BIT, a bit of it as a mask."""
    offsets = [f"#define HWGEN_{name} 0x{offset:03X}u" for name, offset in OFFSET.items()]
    return "\n".join([*offsets, *(f"#define HWGEN_{name} 0x{mask:X}u" for name, mask in BIT.items())]) + "\n"


def python_constants() -> str:
    """The same for Python, without the prefix."""
    offsets = [f"{name} = 0x{offset:03X}" for name, offset in OFFSET.items()]
    return "\n".join([*offsets, *(f"{name} = 0x{mask:X}" for name, mask in BIT.items())]) + "\n"
