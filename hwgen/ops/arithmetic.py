"""Sums, differences, products and quotients: of two tensors, or of one and a constant."""

import numpy as np

from hwgen.errors import UnsupportedLayer
from hwgen.ops import imports
from hwgen.ops.add import Add
from hwgen.ops.mul import Mul


def _both(importer, op, a, b):
    """Of two tensors: a function, where they are functions of one activation that have no integers; else a node."""
    same = importer.of_one([a, b])
    if same and (importer.is_floats(a) or importer.is_floats(b)):
        return importer.pointwise()
    result = importer.join(op, a, b)
    return importer.known(result) if same else result


@imports("aten.add", "aten.add_", tensors=2)
def add(importer, a, b, alpha=1):
    return _sum(importer, a, b, alpha)


@imports("aten.sub", "aten.sub_", tensors=2)
def sub(importer, a, b, alpha=1):
    return _sum(importer, a, b, -alpha)


@imports("aten.rsub", tensors=2)
def rsub(importer, a, b, alpha=1):
    return _sum(importer, b, a, -alpha)


def _sum(importer, a, b, factor):
    """a + factor * b."""
    if not importer.is_tensor(b):
        return importer.affine(a, 1, factor * np.asarray(b))
    if not importer.is_tensor(a):
        return importer.affine(b, factor, a)
    if abs(factor) != 1:
        b, factor = importer.affine(b, factor, 0, by_number=False), 1
    return _both(importer, Add(importer.path, (1, int(factor))), a, b)


@imports("aten.neg", "aten.neg_")
def neg(importer, x):
    return importer.affine(x, -1, 0)


@imports("aten.mul", "aten.mul_", tensors=2)
def mul(importer, a, b):
    if importer.is_tensor(a) and importer.is_tensor(b):
        return _both(importer, Mul(importer.path), a, b)
    return importer.affine(a, b, 0) if importer.is_tensor(a) else importer.affine(b, a, 0)


@imports("aten.div", "aten.div_", tensors=2)
def div(importer, a, b, rounding_mode=None):
    if rounding_mode is not None:
        raise UnsupportedLayer(
            f"a division with rounding_mode {rounding_mode}", importer.path, "divide by a power of two, and ActQuant"
        )
    if importer.is_tensor(b):
        return importer.pointwise()
    return importer.affine(a, 1, 0, divisor=b)


@imports("aten.square", "aten.square_")
def square(importer, x):
    return _power(importer, x, 2)


@imports("aten.pow.Tensor_Scalar", "aten.pow_.Scalar")
def _power(importer, x, exponent):
    if exponent == 2 and not importer.is_floats(x) and not importer.is_narrow(x):
        return importer.join(Mul(importer.path), x, x)
    return importer.pointwise()
