"""A layer's list in the order in which lanes run it, and their datapath's numbers; hwgen/lanes/kinds/ makes them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hwgen.ir import TensorType
from hwgen.lanes.entries import IMMEDIATE, LAST, NEGATE, SHIFT, PlaceBits, TermList
from hwgen.ops.conv import Conv
from hwgen.qtype import signed_width
from hwgen.sums import window_places
from hwgen.terms import TermTable


@dataclass(frozen=True, eq=False, kw_only=True)
class Program(TermList):
    """A list, and the numbers of the datapath.

    terms       how many entries are terms of weights, or weights: the useful ones
    accumulator, below, drop   widths W, F and DROP of rtl/term_lanes.v, whose IMMEDIATE_W is immediate_bits
    base        for lanes that multiply: what each sum begins at
    """

    terms: int
    accumulator: int
    below: int
    drop: int
    base: int = 0

    @property
    def sum_bits(self) -> int:
        """Of a finished sum as it is sent."""
        return self.accumulator + self.below - self.drop


def one_after_another(programs: Sequence[Program], x_bits: int) -> Program:
    """The lists of several programs as one of all their channels, for a datapath that runs each: their results must
    stand at the same bits. x_bits -- of an activation; 0: an immediate may have fewer."""
    assert len({(each.below, each.drop, each.base) for each in programs}) == 1, "results stand at different bits"
    first = programs[0]
    names = ["flags", "channel", "tap_row", "tap_column", "immediate", "lengths"]
    names += [] if first.weight is None else ["weight"]
    arrays: dict[str, Any] = {name: np.concatenate([getattr(each, name) for each in programs]) for name in names}
    immediate_bits = max(x_bits, *(each.immediate_bits for each in programs))
    return replace(
        first,
        **arrays,
        terms=sum(each.terms for each in programs),
        accumulator=max(immediate_bits, *(each.accumulator for each in programs)),
        immediate_bits=immediate_bits,
        constant_bits=max(each.constant_bits for each in programs),
        weight_bits=max(each.weight_bits for each in programs),
    )


def immediates(
    constants: list[int], top: int, conv: Conv, x: TensorType, most: int | None
) -> tuple[list[list[tuple[int, int]]], int]:
    """Each output's constant as (exponent, value) of its immediates, and the bits that hold every value.

    Below the top an immediate has as many bits as an activation, or as a place if that costs no lookup table; at the
    top as many as it takes. most -- bits of any of them
    """
    # above an unsigned activation an immediate's bits cost no lookup table: as many as the payload has anyway
    bits = max(2, x.qtype.bits, 0 if x.qtype.signed else PlaceBits.of(conv.window, x).all)
    chunks = [_chunks(constant, top, min(bits, most or bits), most) for constant in constants]
    used = [signed_width(value, value) for parts in chunks for _, value in parts]
    return chunks, max([2, *used])


def in_order(conv: Conv, table: TermTable, chunks, top: int, descending: bool = False) -> dict[str, Any]:
    """The arrays of a TermList: the exponents of each output up to `top`, or down to 0.

    A level counts the shifts from the exponent where the order begins, 0 or `top`, so every order ends at level `top`.
    """
    outputs = len(chunks)
    rows = [(m, exponent, value) for m, parts in enumerate(chunks) for exponent, value in parts]
    immediate_output, immediate_exponent, immediate_value = np.array(rows, np.int64).reshape(-1, 3).T
    exponent = np.concatenate([table.exponent, immediate_exponent])
    output = np.concatenate([table.output, immediate_output])
    level = top - exponent if descending else exponent

    # the last level must be reached: outputs that end before it get an empty immediate there
    reached = np.full(outputs, -1)
    np.maximum.at(reached, output, level)
    ends = np.flatnonzero(reached < top)

    added = len(immediate_output) + len(ends)
    output = np.concatenate([output, ends])
    level = np.concatenate([level, np.full(len(ends), top)])
    source = np.concatenate([table.input, np.zeros(added, np.int64)])
    negative = np.concatenate([table.negative, np.zeros(added, np.int64)])
    is_immediate = np.concatenate([np.zeros(len(table), np.int64), np.ones(added, np.int64)])
    value = np.concatenate([np.zeros(len(table), np.int64), immediate_value, np.zeros(len(ends), np.int64)])
    # by output, level, terms before immediates, and source: one key is sorted faster than four
    key = (output * (top + 1) + level) * 2 + is_immediate
    order = np.argsort(key * (int(source.max(initial=0)) + 1) + source, kind="stable")
    output, level, source, negative, is_immediate, value = (
        a[order] for a in (output, level, source, negative, is_immediate, value)
    )

    # a step to the next level is a flag; each further step is an entry of its own before this one
    first = np.diff(output, prepend=-1) != 0
    steps = np.where(first, 0, np.diff(level, prepend=0))
    fillers = np.maximum(steps - 1, 0)
    here = np.cumsum(fillers + 1) - 1
    size = int(here[-1]) + 1

    def spread(values: np.ndarray, filler: int = 0) -> np.ndarray:
        result = np.full(size, filler, np.int64)
        result[here] = values
        return result

    last = np.append(first[1:], True)
    flags = last * LAST + (steps > 0) * SHIFT + negative * NEGATE + is_immediate * IMMEDIATE
    channel, tap_row, tap_column = window_places(conv, output, source)
    is_term = is_immediate == 0
    return {
        "flags": spread(flags, SHIFT | IMMEDIATE),
        "channel": spread(np.where(is_term, channel, 0)),
        "tap_row": spread(np.where(is_term, tap_row * conv.dilation[0], 0)),
        "tap_column": spread(np.where(is_term, tap_column * conv.dilation[1], 0)),
        "immediate": spread(value),
        "lengths": np.bincount(output, weights=fillers + 1, minlength=outputs).astype(np.int64),
    }


def _chunks(constant: int, top: int, bits: int, most: int | None) -> list[tuple[int, int]]:
    """Splits a constant into (level, signed value) with levels up to `top`; a value below the top level has at most
    `bits` bits, one at the top at most `most`."""
    if constant == 0:
        return []
    level = min((constant & -constant).bit_length() - 1, top)
    value = constant >> level
    if level == top and most:
        largest = (1 << (most - 1)) - 1
        whole, rest = divmod(abs(value), largest)
        sign = 1 if value > 0 else -1
        return [(top, sign * part) for part in [largest] * whole + [rest] * (rest > 0)]
    if level == top or signed_width(value, value) <= bits:
        return [(level, value)]
    step = min(bits - 1, top - level)
    low = value & ((1 << step) - 1)
    rest = _chunks(constant - (low << level), top, bits, most)
    return ([(level, low)] if low else []) + rest
