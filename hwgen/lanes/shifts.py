"""Factors that are powers of two: they go into a convolution's weights, and what is left of a Rescale is a shift."""

from dataclasses import dataclass, replace

import numpy as np

from hwgen.errors import HwgenError
from hwgen.ir import TensorType
from hwgen.ops.conv import Conv
from hwgen.ops.quantize import Quantize
from hwgen.ops.rescale import Rescale
from hwgen.stage import Stage

FLOAT_BITS = 53  # of a bias


@dataclass(frozen=True)
class HalfEven(Quantize):
    """A Quantize that rounds half to even: where all bits that are dropped are zero, with the half that was added, an
    odd result is one less."""

    even = True

    @staticmethod
    def _round(value, shift):
        if shift <= 0:
            return value << -shift
        level = (value + (1 << (shift - 1))) >> shift
        tie = (value + (1 << (shift - 1))) & ((1 << shift) - 1) == 0
        return level - (level & 1) * tie


def as_shift(stage: Stage) -> Stage:
    """The stage with weights and biases that a shift is left of its Rescale; as it is where that is not so."""
    if not isinstance(stage.quantize, Rescale) or not isinstance(stage.op, Conv):
        return stage
    quantize, conv = stage.quantize, stage.op
    return stage.once(("shift", stage.loadable), lambda: _as_shift(stage, conv, quantize) or stage)


def _as_shift(stage: Stage, conv: Conv, quantize: Rescale) -> Stage | None:
    multipliers, biases, ties = np.broadcast_arrays(quantize.multipliers, quantize.biases, quantize.ties)
    size = np.abs(multipliers)
    even = bool((ties > 0).all())
    # among multiples of a factor, those below it are zero
    known = even and (ties <= size).all() and (biases % np.maximum(size, 1) == 0).all()
    if ((size & (size - 1)) != 0).any() or (size == 0).any() or not (known or not ties.any()):
        return None
    grid = conv.out_exponent(stage.x)
    half = (1 << quantize.shift) >> 1
    moved = np.ldexp(conv.bias, -grid).astype(np.int64).astype(object) * multipliers + (biases - half).astype(object)
    if max(abs(int(one)) for one in moved) >> FLOAT_BITS:
        return None
    op = replace(
        conv,
        weight=conv.weight * multipliers[:, None, None, None],
        bias=np.ldexp(moved.astype(np.float64), grid),
    )
    # what a sum's constant has below its products would be dropped unseen
    if even and op.exponents[1] < stage.x.exponent + op.exponents[0]:
        return None
    try:
        op.infer(stage.x)
    except HwgenError:
        return None
    exponent = grid + quantize.shift
    shift = (HalfEven if even else Quantize)(exponent, quantize.low, quantize.high)
    return replace(stage, op=op, quantize=shift, y=TensorType(stage.y.shape, stage.y.qtype, exponent))
