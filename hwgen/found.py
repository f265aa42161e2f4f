"""What an import found: layers, weights and quantizers of a network that another tool quantized, for people."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwgen.ir import Graph, Input, Op, Output
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
    weights       bits of the integers, and how many scales their sums have
    integers      range of the result, the zero point taken away
    worth         what one of them is worth
    requantized   by what the sum is brought to that range
    departs       accumulators, of how many, whose level is not that of rational arithmetic, or of the target
    """

    name: str
    op: str
    frame: str
    weights: str
    integers: str
    worth: str
    requantized: str
    departs: str


def layers(graph: Graph, notes: Sequence[Requantization]) -> list[Layer]:
    """The rows of a graph behind its passes; notes -- of its import."""
    by_name = {note.name: note for note in notes}
    rows = [
        Layer(one.name, "input", _frame(one.type.shape), "-", _range(one.type.qtype), _scale_of(one), _host(one), "-")
        for one in graph.inputs
    ]
    sent = {output.name: output for output in graph.outputs}
    return rows + [_layer(stage, by_name.get(stage.result), sent.get(stage.result)) for stage in lower(graph)]


def _layer(stage: Stage, note: Requantization | None, output: Output | None) -> Layer:
    return Layer(
        stage.name,
        _name(stage.op),
        _frame(stage.y.shape),
        _weights(stage, note, output),
        _range(stage.y.qtype),
        _worth(stage, note, output),
        _by(stage, note),
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


def _weights(stage: Stage, note: Requantization | None, output: Output | None) -> str:
    op = stage.op
    if not isinstance(op, Conv) or not op.has_weights:
        return "-"
    bits = signed_width(int(op.integers.min()), int(op.integers.max()))
    scales = 1 if output is None or output.scale is None else len(np.unique(output.scale))
    scales = scales if note is None else len(set(note.line.scales))
    return f"{bits} bits, {scales} scale{'s' * (scales > 1)}"


def _range(kind: QType) -> str:
    return f"{kind.low}..{kind.high}"


def _worth(stage: Stage, note: Requantization | None, output: Output | None) -> str:
    """Of a tensor behind a quantizer, or of an output; what else is not quantized may have a scale for each channel."""
    quantized = isinstance(stage.quantize or stage.op, Quantize | Rescale | Steps | Lookup)
    if note is not None:  # the sums that a tool makes of integers have scales above one
        return f"{float(note.levels.scale):.6g}" if note.levels.scale <= 1 else "-"
    if output is not None and output.scale is not None:
        low, high = (float(end) * 2.0**stage.y.exponent for end in (output.scale.min(), output.scale.max()))
        return f"{low:.6g}" if low == high else f"{low:.3g} to {high:.3g}"
    return f"2^{stage.y.exponent}" if quantized else "-"


def _scale_of(one: Input) -> str:
    """What an integer of an input is worth to the first of the host's steps, if that is its quantizer's."""
    if one.steps and one.steps[-1][0] == "div" and one.steps[-1][1].size == 1 and not one.type.exponent:
        return f"{float(one.steps[-1][1].reshape(())):.6g}"
    return f"2^{one.type.exponent}"


def _host(one: Input) -> str:
    return f"by the host, {one.rounding.replace('_', ' ')}"


def _by(stage: Stage, note: Requantization | None) -> str:
    quantizer = stage.quantize if stage.quantize is not None else stage.op
    if not isinstance(quantizer, Quantize | Rescale | Steps | Lookup):
        return "-"
    return told(quantizer, () if note is None else note.operands)


def _departs(note: Requantization) -> str:
    return f"{max(note.wrong, note.departs):,} of {note.of:,}"


def told(op: Op, operands: Sequence[int] = ()) -> str:
    """A quantizer in words; operands -- the multipliers of a sum's operands."""
    if isinstance(op, Quantize):
        return "a shift, half up"
    if isinstance(op, Steps):
        return f"{op.thresholds.shape[1]} thresholds"
    if isinstance(op, Lookup):
        return f"a table of {len(op.table)}"
    assert isinstance(op, Rescale)
    even = ", half even" if op.ties.any() else ""
    factors = multipliers(op, operands)
    if not factors.size:
        half = (op.biases == 1 << op.shift >> 1).all()
        return f"a shift{even or ', half up'}" if half else f"a shift and a bias{even}"
    bits = bit_lengths(factors)
    each = f"{bits.min()} to {bits.max()}" if bits.min() < bits.max() else f"{bits.max()}"
    return f"{each} bits, at most {signed_digits(factors).max()} digits, >> {op.shift}{even}"


def multipliers(op: Op, operands: Sequence[int] = ()) -> np.ndarray:
    """The magnitudes of the multipliers of a quantizer, int64: none where it is a shift, or thresholds."""
    own = op.multipliers.tolist() if isinstance(op, Rescale) else []
    found = [values for values in (own, operands) if any(abs(each).bit_count() > 1 for each in values)]
    return np.array([abs(each) for values in found for each in values], np.int64)


def bit_lengths(magnitudes: np.ndarray) -> np.ndarray:
    return np.array([int(each).bit_length() for each in magnitudes])


def signed_digits(magnitudes: np.ndarray) -> np.ndarray:
    """Canonical signed digits that are not zero."""
    return np.bitwise_count(magnitudes ^ (3 * magnitudes)).astype(np.int64)


def record(note: Requantization) -> dict:
    """What hwgen.json and the report keep of a requantization."""
    factors = multipliers(note.op, note.operands)
    return {
        "name": note.name,
        "layer": note.path,
        "by": told(note.op, note.operands),
        "multiplier_bits": int(bit_lengths(factors).max(initial=0)),
        "signed_digits": int(signed_digits(factors).max(initial=0)),
        "accumulators": note.of,
        "not_as_target": note.wrong,
        "not_as_rational": note.departs,
    }


def summary(notes: Sequence[Requantization], target: str) -> list[str]:
    """What there is to say of all requantizations together, a line each."""
    if not notes:
        return ["every requantization is a shift that rounds half up: exact"]
    total, wrong, departs = (sum(getattr(note, what) for note in notes) for what in ("of", "wrong", "departs"))
    factors = np.concatenate([multipliers(note.op, note.operands) for note in notes])
    lines = [f"{len(notes)} requantizations that are no shift rounding half up"]
    if factors.size:
        bits = bit_lengths(factors)
        lines[0] += f", with {len(bits):,} multipliers of {bits.min()} to {bits.max()} bits, median {np.median(bits):g}"
    whose = "rational arithmetic over its scales" if target == "exact" else target
    if wrong:
        lines.append(
            f"NOT EXACT: {wrong:,} of {total:,} accumulators get another level than by {whose}, as --near allows"
        )
    else:
        lines.append(f"exact: each of {total:,} accumulators gets the level of {whose}")
    if departs:
        lines.append(f"by {target} {departs:,} of {total:,} accumulators get another level than by rational arithmetic")
    return lines
