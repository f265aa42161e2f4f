"""Whose integers a network shall have that another tool quantized."""

from dataclasses import dataclass

EXACT, ONNXRUNTIME = "exact", "onnxruntime"
TFLITE_REFERENCE = "tflite-reference"  # whose rules the reader of a file writes into the network
TARGETS = (EXACT, ONNXRUNTIME, TFLITE_REFERENCE)


@dataclass(frozen=True, eq=False)
class Target:
    """Whose integers a network's shall be.

    rule  "exact", or a key of hwgen.rules.RULES: the tool's own arithmetic
    near  None, or the most bits of a multiplier: where that does not do, some accumulators get another level
    """

    rule: str = EXACT
    near: int | None = None
