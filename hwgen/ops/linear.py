"""Products with a constant matrix: Linear on any dimensions, x @ W, einsum with a constant; 1x1 convolutions."""

import numpy as np

from hwgen.errors import UnsupportedLayer
from hwgen.ops import imports
from hwgen.ops.conv import Conv
from hwgen.ops.matmul import MatMul


def _product(importer, x, weight, bias, dim):
    """sum_i weight[o, i] * x[..., i, ...] + bias[o], along dimension `dim`, the batch counted."""
    outputs = len(weight)
    bias = np.zeros(outputs) if bias is None else np.broadcast_to(bias, (outputs,)).copy()
    op = Conv(np.ascontiguousarray(weight)[:, :, None, None], bias, path=importer.path)
    return importer.over(x, dim, op)


@imports("aten.linear.default")
def linear(importer, x, weight, bias=None):
    return _product(importer, x, weight, bias, -1)


@imports("aten.mm", "aten.matmul", "aten.bmm", tensors=2)
def matmul(importer, a, b):
    if importer.is_tensor(a) and importer.is_tensor(b):
        return importer.matmul(MatMul(importer.path), a, b)
    constant, x = (b, a) if importer.is_tensor(a) else (a, b)
    if constant.ndim > 2 and all((part == constant.reshape(-1, *constant.shape[-2:])[0]).all() for part in constant):
        constant = constant.reshape(-1, *constant.shape[-2:])[0]
    if constant.ndim > 2:
        raise UnsupportedLayer(
            f"a product with {len(constant)} constant matrices", importer.path, "one Linear for each, and torch.cat"
        )
    rank = len(importer.shape(x)) + 1
    if x is a:  # x @ W
        if constant.ndim == 1:
            column = _product(importer, x, constant[None], None, -1)
            return importer.moved(column, lambda places: places.squeeze(-1))
        return _product(importer, x, constant.T, None, -1)
    if constant.ndim == 1:
        return importer.moved(_product(importer, x, constant[None], None, -2), lambda places: places.squeeze(-2))
    return _product(importer, x, constant, None, -2 if rank > 1 else -1)


@imports("aten.addmm", tensors=2)
def addmm(importer, bias, x, weight, beta=1, alpha=1):
    if not importer.is_tensor(x) or importer.is_tensor(bias) or importer.is_tensor(weight):
        raise UnsupportedLayer("addmm of computed tensors", importer.path, "write the product and the sum")
    return _product(importer, x, alpha * weight.T, beta * bias, -1)


@imports("aten.einsum.default", tensors=2)
def einsum(importer, equation, operands, path=None):
    """Of two operands: brought into the form of a product of matrices, and its result out of it."""
    given, arrow, result = equation.replace(" ", "").partition("->")
    if not arrow:  # the letters that come once, by the alphabet
        result = "".join(sorted(x for x in {*given} - {","} if given.count(x) == 1))
    owns = given.split(",")
    if "." in equation or any(len({*own}) < len(own) for own in owns) or len(owns) > 2:
        raise UnsupportedLayer(f"einsum {equation}", importer.path, "write it as a product of two tensors")
    if len(owns) == 1:
        if {*given} != {*result}:
            raise UnsupportedLayer(f"einsum {equation} of one tensor", importer.path, "call x.sum(dims) before it")
        return importer.moved(operands[0], lambda places: places.permute([given.index(x) for x in result]))
    first, second = owns
    letters = set(first + second)
    batch = [x for x in first if x in second and x in result]
    inner = [x for x in first if x in second and x not in result]
    sides = [[x for x in own if x in result and x not in batch] for own in (first, second)]
    if letters != {*batch, *inner, *sides[0], *sides[1]}:
        raise UnsupportedLayer(f"einsum {equation} sums over one operand", importer.path, "sum before the product")
    sizes: dict[str, int] = {}
    for own, operand in zip((first, second), operands, strict=True):
        shape = (1, *importer.shape(operand)) if importer.is_tensor(operand) else operand.shape
        sizes |= dict(zip(own, shape, strict=True))

    def arranged(operand, own, order):
        """[batch..., rows, columns] of an operand; order -- the letters of rows and columns."""
        wanted = [*batch, *order[0], *order[1]]
        shape = [*(sizes[x] for x in batch), *(int(np.prod([sizes[x] for x in part])) for part in order)]
        axes = [own.index(x) for x in wanted]
        if importer.is_tensor(operand):
            return importer.moved(operand, lambda places: places.permute(axes).reshape(shape))
        return operand.transpose(axes).reshape(shape)

    left, right = arranged(operands[0], first, (sides[0], inner)), arranged(operands[1], second, (inner, sides[1]))
    product = matmul(importer, left, right)
    found = [*batch, *sides[0], *sides[1]]
    return importer.moved(
        product, lambda places: places.reshape([sizes[x] for x in found]).permute([found.index(x) for x in result])
    )
