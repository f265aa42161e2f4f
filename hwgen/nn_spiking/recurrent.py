"""Leaky integrate-and-fire neurons whose spikes come back to them: one custom operator, `hwgen::recurrent_lif`."""

import torch
from torch import Tensor, nn

from hwgen.errors import BadInput
from hwgen.grids import require_float
from hwgen.nn_spiking.neurons import LIF
from hwgen.nn_spiking.operators import neuron_of, run


@torch.library.custom_op("hwgen::recurrent_lif", mutates_args=())
def recurrent_lif(
    x: Tensor,
    weight: Tensor,
    share: Tensor,
    threshold: Tensor,
    numbers: list[int],
    words: str,
    synapse: list[int] | None = None,
) -> Tensor:
    """Spikes [samples * steps, neurons]; see `RecurrentLIF`. Arguments but `weight` are those of `hwgen::lif`."""
    require_float(x, "recurrent_lif")
    terms, exponent, neuron = neuron_of(numbers, words.split(), synapse)
    return run(x, share, threshold, terms, exponent, neuron, weight)[0]


@recurrent_lif.register_fake
def _(x, weight, share, threshold, numbers, words, synapse=None):
    require_float(x, "recurrent_lif")
    return torch.empty_like(x)


def _setup(ctx, inputs, output):
    *tensors, ctx.numbers, ctx.words, ctx.synapse = inputs
    ctx.save_for_backward(*tensors)


def _backward(ctx, grad):
    """Through the steps once more, with surrogates for what has no gradient."""
    x, weight, share, threshold = values = [value.detach().requires_grad_() for value in ctx.saved_tensors]
    terms, exponent, neuron = neuron_of(ctx.numbers, ctx.words.split(), ctx.synapse)
    with torch.enable_grad():
        y = run(x, share, threshold, terms, exponent, neuron, weight)[0]
    return *torch.autograd.grad(y, values, grad, allow_unused=True), None, None, None


recurrent_lif.register_autograd(_backward, setup_context=_setup)


class RecurrentLIF(LIF):
    """`hwgen.nn.LIF` with weights from the spikes of each step to the currents of the next one.

    weight   [neurons, neurons], the currents' first: multiples of 2^exponent within 16 bits, or the build refuses them
    others   as `LIF` takes them

    With each step I[t] = x[t] + weight @ s[t - 1], where s are the spikes that were sent, none before a sample's first
    step; then it is a `LIF`. x is [samples * steps, neurons], the result as well. Gradient: through the weights, too.
    Raises BadInput for weights or an input of another shape.
    """

    def __init__(self, weight: Tensor, steps: int, exponent: int, **options):
        super().__init__(steps, exponent, **options)
        if weight.dim() != 2 or weight.shape[0] != weight.shape[1]:
            raise BadInput(f"weights of shape {list(weight.shape)}", "RecurrentLIF", "give [neurons, neurons]")
        self.weight = nn.Parameter(weight.detach().clone())

    def _checked(self, x: Tensor) -> Tensor:
        if x.dim() != 2 or x.shape[1] != len(self.weight):
            raise BadInput(
                f"an input of shape {list(x.shape)}", "RecurrentLIF", f"give [samples * steps, {len(self.weight)}]"
            )
        return x

    def forward(self, x: Tensor) -> Tensor:
        words = f"{self.rounding} {self.reset} {self.fire} {self.order}"
        return recurrent_lif(
            self._checked(x), self.weight, self.share, self.threshold, self._numbers, words, self._synapse
        )

    def extra_repr(self) -> str:
        return f"neurons={len(self.weight)}, {super().extra_repr()}"
