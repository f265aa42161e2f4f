"""Whose integers a network shall have that another tool quantized."""

from dataclasses import dataclass

from hwgen.rules import EXACT


@dataclass(frozen=True, eq=False)
class Target:
    """Whose integers a network's shall be.

    rule  "exact", or a key of hwgen.rules.RULES: the tool's own arithmetic
    near  None, or the most bits of a multiplier: where that does not do, some accumulators get another level
    """

    rule: str = EXACT
    near: int | None = None
