"""What a lane and a weight cost on the term engine and on a dense one, and from which fraction of zeros pruning pays.

Break-even is ADMM-NN's (Ren et al., ASPLOS 2019): the least fraction of zeros at which the sparse engine is no slower
or larger than the dense one, layer by layer. The dense engine has the same memory, lane select and clamp, takes
one weight a cycle and skips nothing; its lane multiplies and accumulates in lookup tables, without a DSP block, or
shifts where all weights are powers of two.

A lane of terms costs what the unit itself says (hwgen/lanes/price.py, fitted to yosys); here is what a dense one costs
beyond it, and `python -m benchmarks.price` prints how far that is off yosys.
"""

from dataclasses import dataclass
from math import isfinite, prod
from numbers import Real

import numpy as np
from torch import nn

from hwgen.errors import BadInput
from hwgen.lanes import fold, price
from hwgen.ops.conv import ACCUMULATOR_BITS, ACTIVATION_BITS, WEIGHT_BITS
from hwgen.qtype import ceil_log2
from hwgen.terms import term_table

ROW_BITS = 2  # a Booth digit's row, or a shifter's stage of four, has so many bits more than x, a LUT each
FLAG_BITS = 4  # of a ROM entry: last, shift, negate, immediate


def lane_luts(x_bits: int, accumulator_bits: int, legs: int = 3) -> float:
    """LUTs of one lane of term_lanes: lane select, accumulator and clamp to as many bits as x.

    x_bits            of an activation, 1 to 16
    accumulator_bits  1 to 48
    legs              stripes that a lane chooses from, 1 to 7
    Raises BadInput, as all functions here, for a number out of its range. What all lanes share is not in it: control,
    memories.
    """
    _check("x_bits", x_bits, ACTIVATION_BITS)
    _check("accumulator_bits", accumulator_bits, ACCUMULATOR_BITS)
    _check("legs", legs, fold.MOST_LEGS)
    clamp = price.clamp_luts(accumulator_bits, x_bits, 0, (1 << x_bits) - 1)
    return price.lane_luts(x_bits, accumulator_bits, legs) + clamp


def mac_luts(weight_bits: int, x_bits: int, accumulator_bits: int, legs: int = 3) -> float:
    """LUTs of one lane of the dense engine that multiplies by an integer, in Booth's radix-4 digits.

    weight_bits       of the integer, with its sign, 1 to 16
    accumulator_bits  of term_lanes in its place; a multiplier's own has weight_bits - 1 more, for it keeps the low bits
    """
    _check("weight_bits", weight_bits, WEIGHT_BITS)
    digits = -(-weight_bits // 2)
    # a single digit is added to the accumulator at once
    rows = digits * (x_bits + ROW_BITS) if digits > 1 else 0
    return rows + weight_bits - 1 + lane_luts(x_bits, accumulator_bits, legs)


def shifter_luts(shifts: int, x_bits: int, accumulator_bits: int, legs: int = 3) -> float:
    """LUTs of one lane of the dense engine that shifts x left by 0 to shifts - 1 bits, 1 to 16 of them.

    accumulator_bits  of term_lanes in its place; a shifter's own has shifts - 1 more
    """
    _check("shifts", shifts, 16)
    # a stage chooses from four; one that chooses from two is in the accumulator's LUTs
    stages = 0 if shifts <= 2 else 1 if shifts <= 8 else 2
    return stages * (x_bits + ROW_BITS) + shifts - 1 + lane_luts(x_bits, accumulator_bits, legs)


def entry_bits(address_bits: int, immediate_bits: int) -> int:
    """Bits of an entry of the term ROM: the flags, and the place of an activation or an immediate, 0 to 48 bits."""
    _check("address_bits", address_bits, ACCUMULATOR_BITS, least=0)
    _check("immediate_bits", immediate_bits, ACCUMULATOR_BITS, least=0)
    return FLAG_BITS + max(address_bits, immediate_bits)


@dataclass(frozen=True)
class BreakEven:
    """The least fractions of zeros, 0 to 1, from which the term engine is no worse than the dense one; 0: always.

    throughput  no slower with as many LUTs in lanes, which is no larger at the same speed
    memory      a ROM of terms that is no larger than one of all weights
    """

    throughput: float
    memory: float


def break_even(
    *,
    weight_bits: int,
    terms_per_weight: float,
    x_bits: int,
    accumulator_bits: int,
    address_bits: int,
    legs: int = 3,
    greatest: int | None = None,
    powers_of_two: bool = False,
) -> BreakEven:
    """Where (1 - zeros) * terms_per_weight * cost of a term = cost of a weight, a cost being LUTs or ROM bits.

    weight_bits       of a weight in the dense ROM, 1 to 16
    terms_per_weight  mean over the weights that are not zero, 1 to 16
    x_bits, accumulator_bits, legs   as in lane_luts
    address_bits      that name one activation of the window: row, column, channel; 0 to 48
    greatest          the greatest weight as an integer, 1 to 2^15; what weight_bits hold, unless given
    powers_of_two     all weights are: the dense engine shifts; terms_per_weight is 1
    Biases, and entries that shift only, are counted on neither side.
    """
    _check("weight_bits", weight_bits, WEIGHT_BITS)
    real = isinstance(terms_per_weight, Real) and not isinstance(terms_per_weight, bool)
    if not real or not isfinite(terms_per_weight) or not 1 <= terms_per_weight <= 16:
        raise BadInput(f"terms_per_weight = {terms_per_weight!r}", "price", "use a mean from 1 to 16")
    if powers_of_two and terms_per_weight != 1:
        raise BadInput(
            f"terms_per_weight = {terms_per_weight!r} with powers_of_two", "price", "a power of two is one term"
        )
    if greatest is None:
        codes = max(1, (1 << (weight_bits - 1)) - 1)  # with the same sign, without zero
        greatest = 1 << min(codes - 1, WEIGHT_BITS) if powers_of_two else codes
    _check("greatest", greatest, 1 << (WEIGHT_BITS - 1))
    if powers_of_two and greatest & (greatest - 1):
        raise BadInput(f"greatest = {greatest} with powers_of_two", "price", "use a power of two")
    integer_bits = min(greatest.bit_length() + 1, WEIGHT_BITS)
    dense = (
        shifter_luts(greatest.bit_length(), x_bits, accumulator_bits, legs)
        if powers_of_two
        else mac_luts(integer_bits, x_bits, accumulator_bits, legs)
    )
    term = terms_per_weight * lane_luts(x_bits, accumulator_bits, legs)
    return BreakEven(
        throughput=max(0.0, 1 - dense / term),
        memory=max(0.0, 1 - weight_bits / (terms_per_weight * entry_bits(address_bits, x_bits))),
    )


def layer_break_even(
    layer: nn.Module,
    *,
    weight_bits: int,
    terms_per_weight: float,
    input_bits: int,
    legs: int = 3,
    greatest: int | None = None,
    powers_of_two: bool = False,
) -> BreakEven:
    """break_even of a convolution or a Linear whose activations have input_bits bits, 1 to 16."""
    _check("input_bits", input_bits, ACTIVATION_BITS)
    return break_even(
        weight_bits=weight_bits,
        terms_per_weight=terms_per_weight,
        x_bits=input_bits,
        accumulator_bits=layer_accumulator_bits(layer, input_bits),
        address_bits=layer_address_bits(layer),
        legs=legs,
        greatest=greatest,
        powers_of_two=powers_of_two,
    )


def layer_accumulator_bits(layer: nn.Module, input_bits: int) -> int:
    """Bits of term_lanes' accumulator: input_bits + log2(weights of an output), rounded up.

    So many hold the sum if no weight is zero, all are as great as the greatest power of two, and half are negative.
    """
    channels, kernel, _, groups = _window(layer)
    return input_bits + ceil_log2(channels // groups * prod(kernel))


def layer_address_bits(layer: nn.Module) -> int:
    """Bits that name an activation of the layer's window: tap row, tap column, channel."""
    channels, kernel, dilation, _ = _window(layer)
    reaches = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    return sum(map(ceil_log2, (*reaches, channels)))


def format_arguments(magnitudes: tuple[int, ...]) -> dict:
    """weight_bits, terms_per_weight, greatest, powers_of_two for weights +-magnitudes, all but 0 equally frequent.

    magnitudes  non-negative integers, all different, not only 0: those of hwgen/compress/formats.py
    """
    nonzero = sorted({m for m in magnitudes if m > 0})
    if not nonzero or min(magnitudes) < 0 or nonzero[-1] > 1 << (WEIGHT_BITS - 1):
        raise BadInput(
            f"the magnitudes are {str(tuple(magnitudes))[:80]}",
            "price",
            f"use 0 to 2^{WEIGHT_BITS - 1}, and not only 0",
        )
    terms = len(term_table(np.array([nonzero], np.int64))) / len(nonzero)
    return {
        "weight_bits": ceil_log2(2 * len(nonzero) + (0 in magnitudes)),
        "terms_per_weight": terms,
        "greatest": nonzero[-1],
        "powers_of_two": terms == 1,
    }


def _window(layer: nn.Module) -> tuple[int, tuple[int, ...], tuple[int, ...], int]:
    """Input channels, kernel, dilation, groups."""
    if isinstance(layer, nn.Linear):
        window = layer.in_features, (), (), 1
    elif isinstance(layer, nn.modules.conv._ConvNd):
        window = layer.in_channels, layer.kernel_size, layer.dilation, layer.groups
    else:
        raise BadInput(f"the layer is a {type(layer).__name__}", "price", "give a convolution or a Linear")
    _check("input channels", window[0], 1 << ACCUMULATOR_BITS)
    return window


def _check(name: str, value: int, most: int, least: int = 1) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise BadInput(f"{name} = {value!r}", "price", f"use an integer from {least} to {most}")
