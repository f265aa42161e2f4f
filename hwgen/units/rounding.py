"""What units have in common that round and clamp an exact result: the parameters of rtl/add.v, mul.v and offset.v."""

from dataclasses import dataclass

from hwgen.ops.quantize import Quantize, clamp_ends, end_parameters
from hwgen.ops.rescale import Rescale
from hwgen.qtype import QType, signed_width
from hwgen.stage import Stage
from hwgen.verilog import Value, signed64


@dataclass(frozen=True)
class Scaling:
    """(factor * x + constant) >> drop of each exact result x; where the bits that are dropped are below `ties`, an odd
    level is one less."""

    factor: int
    constant: int
    drop: int
    ties: int = 0

    @staticmethod
    def of(stage: Stage) -> "Scaling":
        """Of a stage whose quantizer is the same for all channels."""
        quantize = stage.quantize
        if isinstance(quantize, Rescale):
            assert quantize.alike is not None, f"{stage.name}: its channels are requantized each in a way of its own"
            factor, constant, ties = quantize.alike
            return Scaling(factor, constant, quantize.shift, ties)
        assert quantize is None or isinstance(quantize, Quantize), f"{stage.name}: {quantize} is not carried"
        exact = stage.op.infer(*stage.types)
        up, drop = max(0, exact.exponent - stage.y.exponent), max(0, stage.y.exponent - exact.exponent)
        return Scaling(1 << up, (1 << drop) >> 1, drop)

    def reduced(self, zeros: int) -> "Scaling":
        """The same of x that all end in so many zeros, which are left away, as far as they are dropped."""
        zeros = min(zeros, self.drop)
        below = self.constant & ((1 << zeros) - 1)
        ties = -(-max(0, self.ties - below) >> zeros)
        return Scaling(self.factor, self.constant >> zeros, self.drop - zeros, ties)

    def parameters(self, exact: QType, stage: Stage) -> dict[str, Value]:
        """W to NO_HIGH: the bits of the sum of the exact result times the factor and the constant; that; the bits
        dropped; the bits of the result; the ends of the clamp. exact -- the range before the constant."""
        low, high = min(exact.low, exact.low + self.constant), max(exact.high, exact.high + self.constant)
        return {
            "W": max(signed_width(low, high), self.drop + 1),
            "CONSTANT": signed64(self.constant),
            "DROP": self.drop,
            "OUT_W": stage.y.qtype.bits,
            **end_parameters(clamp_ends(QType(low >> self.drop, high >> self.drop), stage.quantize)),
        }


def lift(stage: Stage) -> int:
    """Bits that the exact result is shifted up, where the grid of the quantizer is finer."""
    return Scaling.of(stage).factor.bit_length() - 1


def rounding(stage: Stage) -> dict[str, Value]:
    """W to NO_HIGH of a stage whose exact result is only shifted up, by `lift`."""
    exact, up = stage.op.infer(*stage.types).qtype, lift(stage)
    return Scaling.of(stage).parameters(QType(exact.low << up, exact.high << up), stage)


def clamp_luts(parameters: dict[str, Value], bits: int) -> int:
    """LUTs of the clamp of a result of so many bits: one end is what clears or sets the register, the other takes a LUT
    a bit."""
    return (0, 1, bits + 1)[("LOW" in parameters) + ("HIGH" in parameters)]
