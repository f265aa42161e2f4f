"""What a quantizer behind a line becomes: the op that gives every integer its level, and what that took."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import torch

from hwgen.errors import DoesNotFit, OffGrid
from hwgen.functions import Levels, Line
from hwgen.ir import Op, TensorType
from hwgen.ops.add import Add
from hwgen.ops.lookup import TABLE_BITS, Lookup
from hwgen.ops.quantize import Quantize
from hwgen.ops.rescale import Rescale, Steps
from hwgen.requantize import Fitted, requantize, requantize_sum
from hwgen.rules import EXACT
from hwgen.target import Target
from hwgen.thresholds import differing


@dataclass(frozen=True, eq=False)
class Requantization:
    """What a quantizer became.

    name    of the node
    path    the layer's path in the module
    op      the node's op
    wrong   accumulators that get another level than by the target's rule: 0 unless `near` was asked for
    departs accumulators that get another level by the target's rule than by rational arithmetic
    of      how many accumulators can be reached, over all channels that differ
    """

    name: str
    path: str
    op: Op
    wrong: int
    departs: int
    of: int


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
    plain = _power(ratios, shifts, levels, exponent, kind)
    if plain is not None:
        return plain, None
    ends = np.tile([kind.qtype.low, kind.qtype.high], (len(ratios), 1)) if reach is None else _ends(of, reach)
    fitted = _fitted(of, ratios, shifts, ends, levels, exponent, target)
    note = Requantization("", of.path, fitted.op, fitted.wrong, 0, fitted.of)
    if target.rule != EXACT:
        ideal = _fitted(of, ratios, shifts, ends, levels, exponent, Target())
        note = replace(note, departs=differing(fitted.thresholds, ideal.thresholds))
    if of.kinds is None:
        if not carried and kind.qtype.bits <= TABLE_BITS:
            return _table(fitted.op, of, kind), replace(note, op=fitted.op)
        return fitted.op, note
    op = _by_channel(fitted.op, of.kinds)
    return op, replace(note, op=op)


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
    if len(ratios) > 1 or shifts[0]:
        return None
    drop = exponent - kind.exponent
    if ratios[0] != Fraction(2) ** -drop or (drop > 0 and levels.rounding != "half_up"):
        return None
    return Quantize(exponent, levels.low, levels.high)


def _fitted(of: Line, ratios, shifts, ends: np.ndarray, levels: Levels, exponent: int, target: Target) -> Fitted:
    single = None
    if of.single is not None:
        single = (of.single / np.float32(float(levels.scale))).astype(np.float32)
    return requantize(
        ratios,
        shifts,
        ends,
        levels.low,
        levels.high,
        levels.rounding,
        rule=target.rule if single is not None else EXACT,
        single=single if target.rule == "onnxruntime" else None,
        near=target.near,
        exponent=exponent,
        path=of.path,
    )


def _by_channel(op: Rescale | Steps, kinds: np.ndarray) -> Rescale | Steps:
    if isinstance(op, Steps):
        return replace(op, thresholds=op.thresholds[kinds])
    return replace(op, multipliers=op.multipliers[kinds], biases=op.biases[kinds], ties=op.ties[kinds])


def _table(op: Rescale | Steps, of: Line, kind: TensorType) -> Lookup:
    """The same as a table of its results."""
    x = torch.arange(kind.qtype.low, kind.qtype.high + 1).reshape(1, 1, 1, -1)
    table = op.eval([replace(kind, shape=(1, 1, x.shape[-1]))], x).reshape(-1).numpy()
    return Lookup(table, kind.qtype.low, op.exponent, of.name, of.path)


def sum_requantizer(
    of: Line, levels: Levels, exponent: int, kind: TensorType, other: TensorType, target: Target
) -> tuple[Add, Rescale]:
    """The ops that a quantizer behind a line of two tensors, of these types, becomes."""
    assert of.other is not None
    ends = [(one.qtype.low, one.qtype.high) for one in (kind, other)]
    a, b, shift = of.scale / levels.scale, of.other[1] / levels.scale, of.offset / levels.scale
    found = requantize_sum(a, b, shift, *ends, levels.low, levels.high, levels.rounding, rule=target.rule, path=of.path)
    if found is None:
        raise OffGrid(
            f"a sum of scales {float(a):.6g} and {float(b):.6g}: no two multipliers give all its levels",
            of.path,
            "quantize both operands with one scale",
        )
    (first, second), rescale = found
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
    return Add(of.path, multipliers=((first << up) >> ups[0], (second << up) >> ups[1])), rescale
