"""A convolution's kernels as sums of a few that all channels share: W[o, c] = sum_m C[o, c, m] B[m].

The decomposition of ESCALATE (Li et al., MICRO 2021) and PENNI (Li et al., ICML 2020), by singular values. It makes
two layers of one, in either order: the M basis kernels on each input channel, then a 1x1 convolution of the
coefficients; or the coefficients first, M maps for each output, then the basis on these.
"""

from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, fx, nn

from hwgen.compress.recipe import Decomposition
from hwgen.compress.rewrite import inline
from hwgen.compress.trace import module_of, plain
from hwgen.errors import BadInput, UnsupportedLayer

Convolution = nn.Conv1d | nn.Conv2d
BASIS, COEFFICIENTS = "basis", "coefficients"


class Stages(nn.Module):
    """A convolution in two: `basis` and `coefficients`, one behind the other; the second has the bias."""

    basis: Any
    coefficients: Any

    def __init__(self, conv: Convolution, kernels: int, first: str):
        super().__init__()
        c, b = factors(conv.weight.detach(), kernels)
        kind: Any = type(conv)
        inputs, outputs, groups = conv.in_channels, conv.out_channels, conv.groups
        bias, dtype = conv.bias is not None, conv.weight.dtype
        # the windows, and the padding of zeros that they reach, are the basis's
        window: Any = {"stride": conv.stride, "padding": conv.padding, "dilation": conv.dilation, "dtype": dtype}
        self.basis_first = first == BASIS
        if self.basis_first:
            self.basis = kind(inputs, inputs * kernels, conv.kernel_size, groups=inputs, bias=False, **window)
            self.coefficients = kind(inputs * kernels, outputs, 1, groups=groups, bias=bias, dtype=dtype)
            _set(self.basis.weight, b.repeat(inputs, *[1] * (b.dim() - 1)).unsqueeze(1))
            _set(self.coefficients.weight, c)
        else:
            self.coefficients = kind(inputs, outputs * kernels, 1, groups=groups, bias=False, dtype=dtype)
            self.basis = kind(outputs * kernels, outputs, conv.kernel_size, groups=outputs, bias=bias, **window)
            _set(self.coefficients.weight, c.permute(0, 2, 1))
            _set(self.basis.weight, b.expand(outputs, *b.shape))
        if conv.bias is not None:
            last = self.coefficients if self.basis_first else self.basis
            _set(last.bias, conv.bias.detach())

    def forward(self, x):
        return self.coefficients(self.basis(x)) if self.basis_first else self.basis(self.coefficients(x))


def factors(weight: Tensor, kernels: int) -> tuple[Tensor, Tensor]:
    """C [outputs, channels, M] and B [M, *kernel] whose products are nearest a convolution's weights [outputs,
    channels, *kernel] by squared error; the coefficients of each basis kernel have the root mean square 1."""
    outputs, channels, *kernel = weight.shape
    flat = weight.double().reshape(outputs * channels, -1)
    u, s, v = torch.linalg.svd(flat, full_matrices=False)
    scale = s[:kernels] / len(flat) ** 0.5
    c = u[:, :kernels] * len(flat) ** 0.5
    b = scale[:, None] * v[:kernels]
    return c.reshape(outputs, channels, kernels).to(weight.dtype), b.reshape(kernels, *kernel).to(weight.dtype)


def decompose(network: fx.GraphModule, chosen: tuple[Decomposition, ...]) -> dict[str, int]:
    """Puts two layers, NAME.basis and NAME.coefficients, in the place of each convolution that a pattern names: the
    last that matches counts. Returns for the second of each the bits between both.

    Raises BadInput for a pattern that matches no convolution, or more kernels than make all of a convolution's,
    UnsupportedLayer for a convolution of single pixels.
    """
    named = [node for node in network.graph.nodes if _is_convolution(network, node)]
    for own in chosen:
        if not any(fnmatchcase(str(node.target), own.pattern) for node in named):
            names = ", ".join(dict.fromkeys(str(node.target) for node in named)) or "none"
            raise BadInput(f"the pattern {own.pattern!r} matches no convolution", "decompose", f"there are {names}")
    bits: dict[str, int] = {}
    made: dict[str, Stages] = {}
    for node in named:
        name = str(node.target)
        found = [own for own in chosen if fnmatchcase(name, own.pattern)]
        if not found:
            continue
        if name not in made:
            made[name] = _stages(name, network.get_submodule(name), found[-1])
        inline(network, node, made[name])
        bits[f"{name}.{COEFFICIENTS if made[name].basis_first else BASIS}"] = found[-1].bits
    network.recompile()
    return bits


def _stages(name: str, conv: nn.Module, own: Decomposition) -> Stages:
    assert isinstance(conv, Convolution)
    taps = conv.weight[0, 0].numel()
    if taps == 1:
        raise UnsupportedLayer("its kernels have one tap: there is nothing to decompose", name, "leave it out")
    most = min(taps, conv.weight.numel() // taps)
    if own.kernels > most:
        raise BadInput(f"{own.kernels} basis kernels, of which {most} make all of its own", name, f"use at most {most}")
    if conv.padding_mode != "zeros":
        raise UnsupportedLayer(f"its padding is {conv.padding_mode}", name, "decompose convolutions that pad zeros")
    return Stages(conv, own.kernels, own.first)


def _is_convolution(network: fx.GraphModule, node: fx.Node) -> bool:
    module = module_of(network, node)
    return isinstance(module, Convolution) and plain(module)


def _set(parameter: Tensor, values: Tensor) -> None:
    with torch.no_grad():
        parameter.copy_(values.reshape(parameter.shape))
