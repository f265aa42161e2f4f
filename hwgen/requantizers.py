"""What a quantizer behind a line becomes: the op that gives every integer its level, and what that took."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from math import ceil, inf
from typing import TypeVar

import numpy as np
import torch

from hwgen.errors import DoesNotFit, OffGrid
from hwgen.functions import Levels, Line
from hwgen.ir import Op, TensorType
from hwgen.ops.add import Add
from hwgen.ops.lookup import TABLE_BITS, Lookup
from hwgen.ops.quantize import UNBOUNDED, Quantize
from hwgen.ops.rescale import Rescale, Steps
from hwgen.requantize import Fitted, requantize, requantize_sum
from hwgen.target import EXACT, Target
from hwgen.thresholds import differing

FLOAT32 = 1 << 22  # what a product of float32 numbers is at least, of its rounding error


@dataclass(frozen=True, eq=False)
class Requantization:
    """What a quantizer became.

    name    of the node
    path    the layer's path in the module
    op      the node's op
    wrong   accumulators that get another level than by the target's rule: 0 unless `near` was asked for
    departs accumulators that get another level by the target's rule than by rational arithmetic
    of      how many accumulators, or pairs of operands, can be reached, over all channels that differ
    line    what the accumulators are worth
    levels  what the quantizer makes of that
    operands  the multipliers of the two operands of a sum
    """

    name: str
    path: str
    op: Op
    wrong: int
    departs: int
    of: int
    line: Line
    levels: Levels
    operands: tuple[int, ...] = ()


def requantizer(
    of: Line, levels: Levels, exponent: int, kind: TensorType, reach: np.ndarray | None, carried: bool, target: Target
) -> tuple[Op, Requantization | None]:
    """The op that a quantizer behind a line of one tensor becomes, whose levels are each worth 2^exponent.

    of      its `kinds` are those of the channels
    kind    the tensor's type
    reach   int64 [channels, 2], the least and the greatest integer of each channel; None: those of the type
    carried whether the unit before can requantize, too
    """
    ratios = [scale / levels.scale for scale in of.scales]
    shifts = [offset / levels.scale for offset in of.offsets]
    plain = None if of.rising is not None or of.doubles else _power(ratios, shifts, levels, exponent, kind)
    if plain is not None:
        return plain, None
    ends = np.tile([kind.qtype.low, kind.qtype.high], (len(ratios), 1)) if reach is None else _ends(of, reach)
    fitted = _fitted(of, ratios, shifts, ends, levels, exponent, target)
    note = Requantization("", of.path, fitted.op, fitted.wrong, 0, fitted.of, of, levels)
    if levels.rule is not None or target.rule != EXACT:
        ideal = _fitted(of, ratios, shifts, ends, replace(levels, rule=None), exponent, Target(near=target.near))
        note = replace(note, departs=differing(fitted.thresholds, ideal.thresholds))
    if of.kinds is not None:
        note = replace(note, op=_by_channel(fitted.op, of.kinds))
    return _hardware(note, kind, carried), note


def _hardware(note: Requantization, kind: TensorType, carried: bool) -> Op:
    """The op of a requantization, or the table of it where its unit would be one of its own."""
    if note.line.kinds is None and not carried and kind.qtype.bits <= TABLE_BITS:
        return _table(note.op, note.line, kind)
    return note.op


def counter(
    of: Line, steps: np.ndarray, kind: TensorType, reach: np.ndarray | None, carried: bool, target: Target
) -> tuple[Op, Requantization]:
    """The op that gives each integer of a line the number of `steps`, float64 [kinds, K], that its value is not below;
    the line is of one tensor. Other arguments as of `requantizer`."""
    ends = np.tile([kind.qtype.low, kind.qtype.high], (len(of.scales), 1)) if reach is None else _ends(of, reach)
    counts = _Counts.of(of, steps)
    levels = Levels(Fraction(1), *counts.ends, "floor")
    fitted = requantize(
        *(of.scales, of.offsets, ends, levels.low, levels.high, levels.rounding),
        rule=counts,
        path=of.path,
    )
    op = fitted.op if of.kinds is None else _by_channel(fitted.op, of.kinds)
    note = Requantization("", of.path, op, fitted.wrong, 0, fitted.of, of, levels)
    return _hardware(note, kind, carried), note


@dataclass(frozen=True, eq=False)
class _Counts:
    """How many steps of its kind the value of an accumulator reaches.

    firsts  int64 [kinds, K], ascending: of a rising line the accumulators that first reach a step; of a falling one
            their negatives
    """

    firsts: np.ndarray
    signs: np.ndarray

    @staticmethod
    def of(line: Line, steps: np.ndarray) -> "_Counts":
        low, high = line.ends
        firsts = np.empty(steps.shape, np.int64)
        for kind, (scale, offset) in enumerate(zip(line.scales, line.offsets, strict=True)):
            for i, step in enumerate(np.sort(steps[kind]).tolist()):
                if step <= low or step > high or step == inf:  # whatever the accumulator, as the line is cut off there
                    firsts[kind, i] = -UNBOUNDED if step <= low else UNBOUNDED
                elif scale:
                    firsts[kind, i] = min(max(ceil((Fraction(step) - offset) / abs(scale)), -UNBOUNDED), UNBOUNDED)
                else:
                    firsts[kind, i] = -UNBOUNDED if step <= offset else UNBOUNDED
        return _Counts(firsts, np.array([-1 if scale < 0 else 1 for scale in line.scales]))

    @property
    def ends(self) -> tuple[int, int]:
        """How many steps are reached by all accumulators of all kinds, and by any."""
        always, ever = (self.firsts == -UNBOUNDED).sum(1), (self.firsts < UNBOUNDED).sum(1)
        return int(always.min()), int(ever.max())

    def __call__(self, accumulators: np.ndarray) -> np.ndarray:
        rising = accumulators * self.signs[:, None]
        found = [np.searchsorted(*pair, side="right") for pair in zip(self.firsts, rising, strict=True)]
        return np.array(found, np.float64)


def _ends(of: Line, reach: np.ndarray) -> np.ndarray:
    """The least and the greatest integer of each kind: int64 [kinds, 2]."""
    kinds = np.zeros(len(reach), np.int64) if of.kinds is None else of.kinds
    ends = np.tile(np.array([reach.max(), reach.min()]), (len(of.scales), 1))
    np.minimum.at(ends[:, 0], kinds, reach[:, 0])
    np.maximum.at(ends[:, 1], kinds, reach[:, 1])
    return ends


def _power(
    ratios: Sequence[Fraction], shifts: Sequence[Fraction], levels: Levels, exponent: int, kind: TensorType
) -> Quantize | None:
    """The Quantize that does the same: where the factor is a power of two, which its exponents say, and there are no
    ties to round to even."""
    if len(ratios) > 1 or shifts[0] or levels.rule:
        return None
    drop = exponent - kind.exponent
    if ratios[0] != Fraction(2) ** -drop or (drop > 0 and levels.rounding != "half_up"):
        return None
    return Quantize(exponent, levels.low, levels.high)


def _fitted(of: Line, ratios, shifts, ends: np.ndarray, levels: Levels, exponent: int, target: Target) -> Fitted:
    single = None
    if of.single is not None and target.rule == "onnxruntime" and _has_integer_biases(of):
        single = (of.single / np.float32(float(levels.scale))).astype(np.float32)
    zero, rule = levels.zero, EXACT if single is None else target.rule
    if levels.rule is not None:
        biases = [round(shift / ratio) if ratio else 0 for ratio, shift in zip(ratios, shifts, strict=True)]
        rule = levels.rule(np.array([float(ratio) for ratio in ratios]), np.array(biases, np.int64))
    if of.rising is not None or (of.doubles and rule == EXACT):
        rule = partial(_in_float64, of, levels)
    fitted = requantize(
        ratios,
        [shift + zero for shift in shifts],
        ends,
        levels.low + zero,
        levels.high + zero,
        levels.rounding,
        rule=rule,
        single=single,
        near=target.near if of.rising is None else None,
        exponent=exponent,
        path=of.path,
    )
    return replace(fitted, op=_less(fitted.op, zero))


def _has_integer_biases(of: Line) -> bool:
    """Whether each offset is an integer times its factor, which a tool may have rounded to float32: what its kernels
    of integers add. Others it adds to floats."""
    for scale, offset in zip(of.scales, of.offsets, strict=True):
        bias = offset / scale if scale else offset
        if abs(bias - round(bias)) * FLOAT32 > abs(bias) or (offset and not scale):
            return False
    return True


def _in_float64(of: Line, levels: Levels, q: np.ndarray) -> np.ndarray:
    """What is rounded of what torch makes of a line in float64."""
    return of.values(q) / float(levels.scale) + levels.zero


Q = TypeVar("Q", Rescale, Rescale | Steps)


def _less(op: Q, zero: int) -> Q:
    """The op whose levels are less by a zero point; where it is odd none is rounded to even."""
    if isinstance(op, Steps):
        return replace(op, low=op.low - zero)
    assert zero % 2 == 0 or not op.ties.any()
    return replace(op, biases=op.biases - (zero << op.shift), low=op.low - zero, high=op.high - zero)


def _by_channel(op: Rescale | Steps, kinds: np.ndarray) -> Rescale | Steps:
    if isinstance(op, Steps):
        return replace(op, thresholds=op.thresholds[kinds])
    return replace(op, multipliers=op.multipliers[kinds], biases=op.biases[kinds], ties=op.ties[kinds])


def _table(op: Op, of: Line, kind: TensorType) -> Lookup:
    """The same as a table of its results."""
    x = torch.arange(kind.qtype.low, kind.qtype.high + 1).reshape(1, 1, 1, -1)
    table = op.eval([replace(kind, shape=(1, 1, x.shape[-1]))], x).reshape(-1).numpy()
    return Lookup(table, kind.qtype.low, op.infer(kind).exponent, of.name, of.path)


def sum_requantizer(
    of: Line, levels: Levels, exponent: int, kind: TensorType, other: TensorType
) -> tuple[Add, Rescale, Requantization]:
    """The ops that a quantizer behind a line of two tensors, of these types, becomes: by rational arithmetic, whatever
    the target, as a reader whose tool adds in another way says so itself."""
    assert of.other is not None
    ends = [(one.qtype.low, one.qtype.high) for one in (kind, other)]
    a, b, shift = of.scale / levels.scale, of.other[1] / levels.scale, of.offset / levels.scale
    found = requantize_sum(
        a,
        b,
        shift + levels.zero,
        ends[0],
        ends[1],
        levels.low + levels.zero,
        levels.high + levels.zero,
        levels.rounding,
        path=of.path,
    )
    if found is None:
        raise OffGrid(
            f"a sum of scales {float(a):.6g} and {float(b):.6g}: no two multipliers give all its levels",
            of.path,
            "quantize both operands with one scale",
        )
    (first, second), rescale = found[0], _less(found[1], levels.zero)
    pairs = (kind.qtype.high - kind.qtype.low + 1) * (other.qtype.high - other.qtype.low + 1)
    note = Requantization("", of.path, rescale, 0, 0, pairs, of, levels, (first, second))
    # on the finer of their grids
    up = max(kind.exponent, other.exponent) - min(kind.exponent, other.exponent)
    ups = [kind.exponent - min(kind.exponent, other.exponent), other.exponent - min(kind.exponent, other.exponent)]
    if rescale.shift + up > 61:
        raise DoesNotFit("a sum of grids that are too far apart", of.path, "quantize both operands with one scale")
    rescale = replace(
        rescale,
        biases=rescale.biases << up,
        ties=np.where(rescale.ties > 0, ((rescale.ties - 1) << up) + 1, 0),
        shift=rescale.shift + up,
        exponent=exponent,
        path=of.path,
    )
    return Add(of.path, multipliers=((first << up) >> ups[0], (second << up) >> ups[1])), rescale, note
