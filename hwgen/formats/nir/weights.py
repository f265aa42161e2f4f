"""Weights as integers times a scale, the same for all that meet in one neuron."""

import numpy as np

from hwgen.errors import OffGrid
from hwgen.formats.nir.asked import WEIGHT_BITS
from hwgen.formats.nir.file import Node
from hwgen.terms import trailing_exponent


def scale_of(layers: list[tuple[Node, np.ndarray]], bits: int | None) -> float:
    """What an integer of these layers' weights is worth: a power of two, if they all are multiples of it as they are,
    else such that the greatest takes all bits.

    bits -- of a weight, two's complement; None: only the former will do, within 16 bits
    """
    weights = np.concatenate([np.zeros(0), *(weight.reshape(-1) for _, weight in layers)])
    at = ", ".join(node.name for node, _ in layers)
    if not np.isfinite(weights).all():
        raise OffGrid("a weight is not finite", at, "look for a diverged training run")
    greatest = (1 << ((bits or WEIGHT_BITS) - 1)) - 1
    nonzero = weights[weights != 0]
    if not len(nonzero):
        return 1.0
    unit = 2.0 ** int(trailing_exponent(nonzero).min())
    if np.abs(nonzero).max() / unit <= greatest:
        return unit
    if bits is None:
        raise OffGrid(
            "the weights are no multiples of a power of two within 16 bits",
            at,
            "give --weight-bits, 2 to 16: each layer's become integers of so many bits times a scale",
        )
    return float(np.abs(nonzero).max()) / greatest


def error(weight: np.ndarray, scale: float) -> float:
    """How far the worst weight is from what stands for it, as a share of the greatest."""
    return float(np.abs(np.rint(weight / scale) * scale - weight).max() / max(np.abs(weight).max(), 1e-300))
