"""Layer normalization and softmax in integers: what a network puts in the place of torch.nn.LayerNorm and Softmax.

Each is one custom operator (`hwgen::layer_norm`, `hwgen::softmax`), so that it stays one node through `torch.export`,
and is defined by a function on integers, which the golden model computes too. The forms follow I-BERT (Kim et al.,
ICML 2021): integers and exact sums throughout, a softmax of differences to the maximum, an integer root; but where
that takes a polynomial for exp and Newton's method for the root, here are a table and one digit of the root a step,
which is what small hardware is good at. `python -m benchmarks.norms` prints how far both are from the float layers.
"""

import math

import torch
from torch import Tensor, nn

from hwgen.errors import BadInput
from hwgen.grids import MAX_BITS, MAX_EXPONENT, limits, require_float, require_int, round_half_up

TABLE_WORDS = 1024  # of the exponentials of a softmax
WORD_BITS = 62  # of int64, with the sign and a carry
ROOT_GUARD = 2  # significant bits of a reciprocal root above those of the results
QUOTIENT_GUARD = 2  # the same of a softmax's reciprocal: less than 2^-2 of a result's unit is lost
TABLE_GUARD = 4  # bits of an exponential above those of the results


def reciprocal_root(v: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """(r, h) with r = floor(2^h / sqrt(v)) of exactly `bits` significant bits, so that one h belongs to each v; for a v
    of 0 or 1, 2^bits - 1 and h = bits.

    v -- int64, below 2^(WORD_BITS - bits - 3). A digit a step, as rtl/layer_norm.v does it: what is left is
    4^h - r^2 * v, and the next digit takes (4 * r + 1) * v of four times that.
    """
    left, takes, r, h = torch.ones_like(v), v.clone(), torch.zeros_like(v), torch.zeros_like(v)
    while bool((short := r < 1 << (bits - 1)).any()):
        rest = 4 * left - takes
        digit = rest >= 0
        left = torch.where(short, torch.where(digit, rest, 4 * left), left)
        takes = torch.where(short, torch.where(digit, 2 * takes + 3 * v, 2 * takes - v), takes)
        r = torch.where(short, 2 * r + digit, r)
        h = h + short.long()
    return r, h


def normalize(x: Tensor, dim: int, eps: int, bits: int, exponent: int) -> Tensor:
    """The definition of `LayerNorm`, on int64 x; raises BadInput where the sums leave 64 bits."""
    n = x.shape[dim]
    s = x.sum(dim, keepdim=True)
    v = n * (x * x).sum(dim, keepdim=True) - s * s + eps
    most = int(v.max()).bit_length() if v.numel() else 0
    if most + bits + ROOT_GUARD + 3 > WORD_BITS:
        raise BadInput(f"a variance of {n} activations needs {most} bits", "LayerNorm", NARROWER)
    r, h = reciprocal_root(v, bits + ROOT_GUARD)
    shift = h + exponent
    return (((n * x - s) * r + (1 << (shift - 1))) >> shift).clamp(*limits(bits, True))


NARROWER = "put hwgen.nn.ActQuant of fewer bits before it"


def integer_eps(eps: float, n: int, in_exponent: int) -> int:
    """eps * n^2 on the grid of a squared activation; raises BadInput where that leaves 64 bits."""
    found = math.floor(eps * n * n * 4.0**-in_exponent + 0.5)
    if found.bit_length() > WORD_BITS - 2:
        raise BadInput(
            f"eps = {eps:g} has {found.bit_length()} bits on the grid of squares of 2^{in_exponent}",
            "LayerNorm",
            "give its input a coarser grid, or choose a lesser eps",
        )
    return found


def exponentials(in_exponent: int, bits: int) -> Tensor:
    """int64: floor(exp(-d * 2^in_exponent) * (2^bits - 1) + 1/2) for d = 0, 1 ... up to the last that is not zero.

    Raises BadInput if these are more than TABLE_WORDS.
    """
    most = (1 << bits) - 1
    words = math.floor(math.log(2 * most) * 2.0**-in_exponent) + 2
    if words > TABLE_WORDS + 2:
        raise BadInput(
            f"exp on the grid 2^{in_exponent} has about {words} values in {bits} bits, above {TABLE_WORDS}",
            "Softmax",
            "give its input a coarser grid, or the table fewer bits",
        )
    values = torch.floor(torch.exp(-torch.arange(words, dtype=torch.float64) * 2.0**in_exponent) * most + 0.5).long()
    return values[: int((values > 0).sum())]


def softmax_shift(table_bits: int, bits: int) -> int:
    """The exponent of what a softmax's sum divides."""
    return table_bits + bits + QUOTIENT_GUARD


def share_of_sum(x: Tensor, dim: int, table: Tensor, bits: int) -> Tensor:
    """The definition of `Softmax`, on int64 x; table -- of `exponentials`."""
    below = x.amax(dim, keepdim=True) - x
    e = torch.where(below < len(table), table[below.clamp(max=len(table) - 1)], 0)
    shift = softmax_shift(int(table[0]).bit_length(), bits)
    r = (1 << shift) // e.sum(dim, keepdim=True)
    drop = shift - bits
    return ((e * r + (1 << (drop - 1))) >> drop).clamp(*limits(bits, False))


@torch.library.custom_op("hwgen::layer_norm", mutates_args=())
def layer_norm(x: Tensor, dim: int, in_exponent: int, bits: int, exponent: int, eps: float) -> Tensor:
    """A dimension less its mean, divided by its deviation, in integers; see `LayerNorm`."""
    require_float(x, "layer_norm")
    q = round_half_up(x.double(), in_exponent).long()
    y = normalize(q, dim, integer_eps(eps, x.shape[dim], in_exponent), bits, exponent)
    return (y.double() * 2.0**exponent).to(x.dtype)


@layer_norm.register_fake
def _(x, dim, in_exponent, bits, exponent, eps):
    require_float(x, "layer_norm")
    return torch.empty_like(x)


def _layer_norm_setup(ctx, inputs, output):
    x, ctx.dim, _, bits, exponent, ctx.eps = inputs
    low, high = limits(bits, True)
    level = output * 2.0**-exponent
    ctx.save_for_backward(x, (level > low) & (level < high))


def _layer_norm_backward(ctx, grad):
    x, inside = ctx.saved_tensors
    grad = grad * inside
    centered = x - x.mean(ctx.dim, keepdim=True)
    scale = (centered.square().mean(ctx.dim, keepdim=True) + ctx.eps).rsqrt()
    y = centered * scale
    along = grad.mean(ctx.dim, keepdim=True) + y * (grad * y).mean(ctx.dim, keepdim=True)
    return scale * (grad - along), None, None, None, None, None


layer_norm.register_autograd(_layer_norm_backward, setup_context=_layer_norm_setup)


@torch.library.custom_op("hwgen::softmax", mutates_args=())
def softmax(x: Tensor, dim: int, in_exponent: int, bits: int, table_bits: int) -> Tensor:
    """Shares of the sum of exponentials, in integers; see `Softmax`."""
    require_float(x, "softmax")
    q = round_half_up(x.double(), in_exponent).long()
    table = exponentials(in_exponent, table_bits).to(x.device)
    return (share_of_sum(q, dim, table, bits).double() * 2.0**-bits).to(x.dtype)


@softmax.register_fake
def _(x, dim, in_exponent, bits, table_bits):
    require_float(x, "softmax")
    return torch.empty_like(x)


def _softmax_setup(ctx, inputs, output):
    x, ctx.dim, *_ = inputs
    ctx.save_for_backward(x)


def _softmax_backward(ctx, grad):
    (x,) = ctx.saved_tensors
    y = x.softmax(ctx.dim)
    return y * (grad - (grad * y).sum(ctx.dim, keepdim=True)), None, None, None, None


softmax.register_autograd(_softmax_backward, setup_context=_softmax_setup)


class LayerNorm(nn.Module):
    """Layer normalization over one dimension, from integers to integers; gain and bias are a layer of their own.

    Of the integers x = round(input * 2^-in_exponent), n of them along `dim`:

        s = sum(x),  v = n * sum(x^2) - s^2 + e,  r = floor(2^h / sqrt(v)) of bits + 2 significant bits
        y = clamp(floor((n * x - s) * r / 2^(h + exponent) + 1/2), -2^(bits-1), 2^(bits-1) - 1)

    and the result is y * 2^exponent. n * x - s is n times an activation less the mean, v is n^2 times the variance, so
    the mean is never rounded. e is the nearest integer to eps * n^2 * 4^-in_exponent. Where v is 0 or 1, h is bits + 2,
    and r is 2^h - 1.

    in_exponent  -64 to 64: the input's grid, that of the ActQuant before it
    bits         2 to 16 of a result, two's complement
    exponent     -bits to 0: the weight of a result's least significant bit is 2^exponent
    eps          above 0: added to the variance, as torch.nn.LayerNorm does
    dim          the dimension that is normalized

    x has any shape and dtype float32 or float64; the result has the same shape and dtype, and is exact. r is at most
    1 / 2^(bits+1) of itself too small, so a result is off by half of its unit and at most a quarter more, and by what
    the rounding of e is to a small v. `python -m benchmarks.norms` measures it: of 8 bits in and out, 4 to 256
    channels, 0.71 units at most against torch.nn.LayerNorm, 0.25 on average, what the clamp cuts off left out.
    Gradient: that of the float layer, zero where the result is at an end of its range.
    Raises BadInput for an argument or a dtype outside these, and where v has more than 57 - bits bits.
    """

    def __init__(self, in_exponent: int, bits: int, exponent: int, eps: float = 1e-5, dim: int = -1):
        super().__init__()
        require_int("in_exponent", in_exponent, -MAX_EXPONENT, MAX_EXPONENT, "LayerNorm")
        require_int("bits", bits, 2, MAX_BITS, "LayerNorm")
        require_int("exponent", exponent, -bits, 0, "LayerNorm")
        require_int("dim", dim, -8, 7, "LayerNorm")
        if not isinstance(eps, (int, float)) or not 0 < eps < math.inf:
            raise BadInput(f"eps = {eps!r}", "LayerNorm", "use a number above 0")
        self.in_exponent, self.bits, self.exponent, self.eps, self.dim = in_exponent, bits, exponent, float(eps), dim

    def forward(self, x: Tensor) -> Tensor:
        return layer_norm(x, self.dim, self.in_exponent, self.bits, self.exponent, self.eps)

    def extra_repr(self) -> str:
        grids = f"in_exponent={self.in_exponent}, bits={self.bits}, exponent={self.exponent}"
        return f"{grids}, eps={self.eps}, dim={self.dim}"


class Softmax(nn.Module):
    """Softmax over one dimension, from integers to integers.

    Of the integers x = round(input * 2^-in_exponent) along `dim`, with w = table_bits and k = w + bits + 2:

        t(d) = floor(exp(-d * 2^in_exponent) * (2^w - 1) + 1/2)     a table of at most 1,024 words, then zero
        e = t(max(x) - x),  r = floor(2^k / sum(e))
        y = min(floor(e * r / 2^(k - bits) + 1/2), 2^bits - 1)

    and the result is y * 2^-bits: a whole share is 1 - 2^-bits.

    in_exponent  -64 to 64: the input's grid, that of the ActQuant before it
    bits         1 to 16 of a result, unsigned
    dim          the dimension along which the shares add up to one
    table_bits   2 to 20 bits of an exponential; bits + 4 if left out

    x has any shape and dtype float32 or float64; the result has the same shape and dtype, and is exact. r costs less
    than a quarter of a result's unit, the table half of its own unit for each of the exponentials that are summed.
    `python -m benchmarks.norms` measures it: of 8 bits in and out, 4 to 256 channels, 0.88 units at most against
    torch.softmax, but for a whole share, which is one too small; 0.27 on average.
    Gradient: that of the float layer.
    Raises BadInput for an argument or a dtype outside these, or a table of more words.
    """

    def __init__(self, in_exponent: int, bits: int = 8, dim: int = -1, table_bits: int | None = None):
        super().__init__()
        table_bits = min(bits + TABLE_GUARD, 20) if table_bits is None else table_bits
        require_int("in_exponent", in_exponent, -MAX_EXPONENT, MAX_EXPONENT, "Softmax")
        require_int("bits", bits, 1, MAX_BITS, "Softmax")
        require_int("dim", dim, -8, 7, "Softmax")
        require_int("table_bits", table_bits, 2, 20, "Softmax")
        exponentials(in_exponent, table_bits)
        self.in_exponent, self.bits, self.dim, self.table_bits = in_exponent, bits, dim, table_bits

    def forward(self, x: Tensor) -> Tensor:
        return softmax(x, self.dim, self.in_exponent, self.bits, self.table_bits)

    def extra_repr(self) -> str:
        return f"in_exponent={self.in_exponent}, bits={self.bits}, dim={self.dim}, table_bits={self.table_bits}"
