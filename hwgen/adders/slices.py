"""A product by a constant in a DSP slice: rtl/pe_mac.v, which begins anew each clock."""

from dataclasses import dataclass

from hwgen.adders.wires import on_a_line
from hwgen.qtype import QType, signed_width, width
from hwgen.verilog import Value, signed64

CLOCKS = 3  # from a sum to its product
WIDER, NARROWER, SUM = 26, 18, 48  # bits of rtl/pe_mac.v


@dataclass(frozen=True)
class Slice:
    """multiplier * x + constant; x, result -- the ranges of the number and of what is made of it"""

    multiplier: int
    constant: int
    x: QType
    result: QType

    @property
    def narrow_constant(self) -> bool:
        """Whether the multiplier is at the narrower of the two ports."""
        return signed_width(self.multiplier, self.multiplier) <= NARROWER and self.x.bits <= WIDER

    @property
    def fits(self) -> bool:
        other = width(self.multiplier, self.multiplier) <= WIDER and signed_width(self.x.low, self.x.high) <= NARROWER
        return (self.narrow_constant or other) and self.bits <= SUM

    @property
    def bits(self) -> int:
        """Of the result, two's complement."""
        return signed_width(self.result.low, self.result.high)

    def verilog(self, name: str, x: str) -> str:
        """The instance that makes `name`; x -- the number's bits."""
        times = self.multiplier
        if self.narrow_constant:
            ports = (self.x.bits, int(self.x.signed), x), (signed_width(times, times), times)
            wide, (bits, value) = ports
            weight = f"{bits}'d{value % (1 << bits)}"
        else:
            wide_bits = width(times, times)
            wide = wide_bits, int(times < 0), f"{wide_bits}'d{times % (1 << wide_bits)}"
            bits, weight = self.x.bits + (not self.x.signed), x if self.x.signed else f"{{1'b0, {x}}}"
        inside: dict[str, Value] = {
            "X_W": wide[0],
            "X_SIGNED": wide[1],
            "WEIGHT_W": bits,
            "IMMEDIATE_W": 1,
            "W": self.bits,
            "BASE": signed64(self.constant),
        }
        return (
            f"    wire [{self.bits - 1}:0] {name};\n"
            f"    pe_mac #({on_a_line('pe_mac', inside)})\n"
            f"    u_{name} (.clk(clk), .enable(enable), .weight({weight}), .x({wide[2]}), "
            f".first(1'b1), .immediate(1'b0), .sum({name}));"
        )
