"""What an import found: layers, weights and quantizers of a network that another tool quantized, for people."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from hwgen.ir import Graph, Input, Op
from hwgen.lower import lower
from hwgen.ops.conv import Conv
from hwgen.ops.lookup import Lookup
from hwgen.ops.quantize import Quantize
from hwgen.ops.rescale import Rescale, Steps
from hwgen.qtype import QType, signed_width
from hwgen.requantizers import Requantization
from hwgen.stage import Stage


@dataclass(frozen=True)
class Layer:
    """A row of the table of `hwgen import`, in words: a stage, with the quantizer that rides on it.

    name, op, frame  of the stage: what it computes, and (channels, rows, columns) of its result
    weights       bits of the integers, and of how many scales they are
    activations   range of the result, the zero point taken away, and what one is worth
    requantized   by what the sum is brought to that range
    departs       accumulators, of how many, whose level is not that of rational arithmetic, or of the target
    """

    name: str
    op: str
    frame: str
    weights: str
    activations: str
    requantized: str
    departs: str


def layers(graph: Graph, notes: Sequence[Requantization]) -> list[Layer]:
    """The rows of a graph behind its passes; notes -- of its import."""
    by_name = {note.name: note for note in notes}
    rows = [
        Layer(one.name, "input", _frame(one.type.shape), "-", _range(one.type.qtype, _scale_of(one)), _host(one), "-")
        for one in graph.inputs
    ]
    return rows + [_layer(stage, by_name.get(stage.result)) for stage in lower(graph)]


def _layer(stage: Stage, note: Requantization | None) -> Layer:
    quantizer = stage.quantize if stage.quantize is not None else stage.op
    scale = Fraction(2) ** stage.y.exponent if note is None else note.levels.scale
    return Layer(
        stage.name,
        _name(stage.op),
        _frame(stage.y.shape),
        _weights(stage, note),
        _range(stage.y.qtype, None if stage.quantize is None and note is None else scale),
        told_op(quantizer) if isinstance(quantizer, Quantize | Rescale | Steps | Lookup) else "-",
        "-" if note is None else _departs(note),
    )


def _name(op: Op) -> str:
    if not isinstance(op, Conv):
        return type(op).__name__
    rows, columns = op.kernel
    kind = "depthwise" if 1 < op.groups == len(op.weight) else "Conv"
    return f"{kind} {rows}x{columns}"


def _frame(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _weights(stage: Stage, note: Requantization | None) -> str:
    op = stage.op
    if not isinstance(op, Conv) or not op.has_weights:
        return "-"
    bits = signed_width(int(op.integers.min()), int(op.integers.max()))
    scales = 1 if note is None else len(set(note.line.scales))
    return f"{bits} bits, {scales} scale{'s' * (scales > 1)}"


def _range(kind: QType, scale: Fraction | None) -> str:
    return f"{kind.low}..{kind.high}" + ("" if scale is None else f" x {float(scale):.6g}")


def _scale_of(one: Input) -> Fraction:
    """What an integer of an input is worth, its first steps left out."""
    worth = Fraction(2) ** one.type.exponent
    if one.steps and one.steps[-1][0] == "div" and one.steps[-1][1].size == 1:
        worth *= Fraction(float(one.steps[-1][1].reshape(())))
    return worth


def _host(one: Input) -> str:
    return f"by the host, {one.rounding.replace('_', ' ')}"


def _departs(note: Requantization) -> str:
    return f"{max(note.wrong, note.departs):,} of {note.of:,}"


def told_op(op: Op) -> str:
    """A quantizer in words."""
    if isinstance(op, Quantize):
        return "a shift, half up"
    if isinstance(op, Steps):
        return f"{op.thresholds.shape[1]} thresholds"
    if isinstance(op, Lookup):
        return f"a table of {len(op.table)}"
    assert isinstance(op, Rescale)
    even = ", half even" if op.ties.any() else ""
    if (abs(op.multipliers) == 1).all():
        return f"a shift{even or ', half up'}"
    bits, digits = multiplier_bits(op), signed_digits(op)
    each = f"{bits.min()} to {bits.max()}" if bits.min() < bits.max() else f"{bits.max()}"
    return f"{each} bits, at most {digits.max()} digits, >> {op.shift}{even}"


def multiplier_bits(op: Rescale) -> np.ndarray:
    """Bits of the magnitude of each multiplier, int64."""
    return np.array([int(abs(each)).bit_length() for each in op.multipliers])


def signed_digits(op: Rescale) -> np.ndarray:
    """Nonzero canonical signed digits of each multiplier, int64."""
    magnitude = abs(op.multipliers)
    return np.bitwise_count(magnitude ^ (3 * magnitude)).astype(np.int64)


def record(note: Requantization) -> dict:
    """What hwgen.json and the report keep of a requantization."""
    op = note.op
    entry = {"name": note.name, "layer": note.path, "by": told_op(op)}
    if isinstance(op, Rescale):
        bits, digits = multiplier_bits(op), signed_digits(op)
        entry |= {
            "multiplier_bits": int(bits.max()),
            "median_bits": float(np.median(bits)),
            "signed_digits": int(digits.max()),
            "shift": op.shift,
            "half_even": bool(op.ties.any()),
        }
    return entry | {"accumulators": note.of, "not_as_target": note.wrong, "not_as_rational": note.departs}


def summary(notes: Sequence[Requantization], target: str) -> list[str]:
    """What there is to say of all requantizations together: a line each."""
    total = sum(note.of for note in notes)
    rescaled = [note.op for note in notes if isinstance(note.op, Rescale)]
    lines = []
    if rescaled:
        bits = np.concatenate([multiplier_bits(op) for op in rescaled])
        lines.append(
            f"{len(notes)} requantizations, {len(bits):,} multipliers of {bits.min()} to {bits.max()} bits, "
            f"median {np.median(bits):g}"
        )
    wrong, departs = (sum(getattr(note, what) for note in notes) for what in ("wrong", "departs"))
    whose = "rational arithmetic over the file's scales" if target == "exact" else target
    if not wrong:
        lines.append(f"each of {total:,} accumulators gets the level of {whose}")
    else:
        lines.append(f"{wrong:,} of {total:,} accumulators get another level than by {whose}, as near allows")
    if target != "exact":
        lines.append(f"{departs:,} of {total:,} accumulators get another level by {target} than by rational arithmetic")
    return lines
