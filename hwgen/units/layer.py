"""A layer as the units see it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

from hwgen.entries import Entries, PlaceBits
from hwgen.ir import TensorType
from hwgen.ops.conv import Conv, reach
from hwgen.ops.maxpool import MaxPool
from hwgen.ops.quantize import UNBOUNDED, Quantize
from hwgen.program import (
    DSP_LANE_BITS,
    Program,
    dsp_accumulator,
    dsp_program,
    mac_base,
    mac_obstacle,
    mac_program,
    max_program,
    sum_program,
)
from hwgen.qtype import QType
from hwgen.stream import Order


@dataclass(frozen=True, eq=False)
class Layer:
    """What a unit computes, whatever its engine and fold: the op, its requantization (None: exact), its types.

    loadable -- whether a host can replace its weights, where it is folded
    """

    name: str
    op: Conv | MaxPool
    quantize: Quantize | None
    x: TensorType
    y: TensorType
    loadable: bool = False

    @cached_property
    def netlists(self) -> dict:
        """What AdderGraph made of it, by the order of the input's channels."""
        return {}

    @cached_property
    def estimates(self) -> dict:
        """What AdderGraph counted of it, by the input's order and the levels."""
        return {}

    @cached_property
    def program(self) -> Program:
        if isinstance(self.op, MaxPool):
            return max_program(self.x.shape[0], self.op.kernel, self.op.dilation, self.x)
        return self._short(sum_program)

    @cached_property
    def dsp_program(self) -> Program:
        """For lanes in DSP slices that add; where `kinds` has them."""
        return self._short(dsp_program)

    @cached_property
    def mac_program(self) -> Program:
        """For lanes in DSP slices that multiply; where `kinds` has them."""
        base = mac_base(self.op, self.x, self.quantize) if self.loadable else None
        return self._short(partial(mac_program, base=base))

    def _short(self, make: Callable[..., Program]) -> Program:
        """The program in few bits; one that is alike for all channels is short as it is."""
        program = make(self.op, self.x, self.quantize)
        gap_bits = 0 if program.shared else program.best_gap_bits(self.place_bits)
        return make(self.op, self.x, self.quantize, gap_bits=gap_bits) if gap_bits else program

    @property
    def place_bits(self) -> PlaceBits:
        return PlaceBits.of(self.op, self.x)

    def entries(self, program: Program, order: Order) -> Entries:
        """Of the ROM, for one of the layer's programs and the order in which its input comes."""
        key = id(program), order.channels
        if key not in self._entries:
            self._entries[key] = program.entries(self.place_bits, order.places)
        return self._entries[key]

    @cached_property
    def _entries(self) -> dict[tuple, Entries]:
        return {}

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """The lanes that can compute it: lut, in lookup tables; dsp, that add in DSP slices, if sums are not too wide; mac, that multiply
        there, if weights are not. Maxima are in lookup tables alone."""
        if not isinstance(self.op, Conv):
            return ("lut",)
        adds = dsp_accumulator(self.op, self.x, self.quantize) <= DSP_LANE_BITS
        multiplies = mac_obstacle(self.op, self.x, self.quantize) is None
        return ("lut", *["dsp"] * adds, *["mac"] * multiplies)

    @cached_property
    def unclamped(self) -> QType:
        """The range of the result before the clamp."""
        acc = self.op.infer(self.x)
        return Quantize(self.y.exponent, -UNBOUNDED, UNBOUNDED).infer(acc).qtype

    @property
    def kernel(self) -> tuple[int, int]:
        return self.op.kernel

    @property
    def reach(self) -> tuple[int, int]:
        """Rows and columns of the window, dilation counted."""
        return reach(self.kernel, self.op.dilation)

    @property
    def padding(self) -> tuple[int, int]:
        """Rows above and columns to the left."""
        return (self.op.padding[0], self.op.padding[2] if isinstance(self.op, Conv) else self.op.padding[1])
