"""Activations: a quantizer whose power-of-two clip is learned, and becomes an ActQuant."""

import torch
from torch import Tensor, nn

from hwgen.nn import MAX_EXPONENT, ActQuant, act_quant, limits, round_half_up


class _Quantize(torch.autograd.Function):
    """act_quant with the gradient to log2 of its unit: of learned step size quantization (Esser et al., ICLR 2020)."""

    @staticmethod
    def forward(ctx, x, log2_scale, exponent: int, low: int, high: int):
        v = x * 2.0**-exponent
        level = round_half_up(x, exponent).clamp_(low, high)
        ctx.save_for_backward(v, level)
        ctx.ends, ctx.unit = (low, high), 2.0**exponent
        return level * ctx.unit

    @staticmethod
    def backward(ctx, *grads):
        (grad,) = grads
        v, level = ctx.saved_tensors
        low, high = ctx.ends
        inside = (v > low - 0.5) & (v < high + 0.5)
        to_scale = None
        if ctx.needs_input_grad[1]:
            slope = torch.where(inside, level - v, level)
            to_scale = (
                (grad * slope).sum() * ctx.unit * torch.log(torch.tensor(2.0)) / (grad.numel() * max(high, 1)) ** 0.5
            )
        return grad * inside, to_scale, None, None, None


class LearnedActQuant(nn.Module):
    """Passes activations through until `calibrate`d; then quantizes them as an ActQuant whose exponent is learned.

    bits    1 to 8
    signed  None: from the sign of what is seen when it is calibrated
    learned whether the exponent moves with training; that of the network's input does not

    The first batch after `start` chooses the exponent of least squared error among all that are no less than `least`.
    Quantizers that share `log2_scale` (see `share`) take the greatest that one of them chooses.
    """

    started: Tensor
    calibrated: Tensor
    signed: Tensor

    def __init__(self, bits: int, signed: bool | None, learned: bool):
        super().__init__()
        self.bits = bits
        self.may_be_signed = signed
        self.least = -MAX_EXPONENT
        self.partners: list[LearnedActQuant] = []
        self.leader: list[LearnedActQuant] = []  # not a part of this module
        self.register_buffer("started", torch.tensor(False))
        self.register_buffer("calibrated", torch.tensor(False))
        self.register_buffer("signed", torch.tensor(bool(signed)))
        self.log2_scale = nn.Parameter(torch.zeros(()), requires_grad=learned)

    @property
    def exponent(self) -> int:
        up = self.leader[0].bits - self.bits if self.leader else 0
        return max(self.least, min(MAX_EXPONENT, round(self.log2_scale.item()) + up))

    def share(self, other: "LearnedActQuant") -> None:
        """One exponent for both from now on: their results are joined in one tensor."""
        group = dict.fromkeys([self, *self.partners, other, *other.partners])
        for one in group:
            one.partners = [q for q in group if q is not one]
            one.log2_scale = self.log2_scale

    def follow(self, leader: "LearnedActQuant") -> None:
        """Clips where `leader` does from now on, in levels of the bits of its own; the leader is calibrated first."""
        self.leader, self.log2_scale = [leader], leader.log2_scale

    def start(self) -> None:
        self.started.fill_(True)

    @torch.no_grad()
    def calibrate(self, x: Tensor) -> None:
        if self.leader:
            self.signed.copy_(self.leader[0].signed)
            self.calibrated.fill_(True)
            return
        if self.may_be_signed is None:
            self.signed.fill_(bool((x < 0).any()))
        high = limits(self.bits, bool(self.signed))[1]
        x = x.flatten()[:: x.numel() // 100_000 | 1].double()  # an odd step meets all columns
        top = max(x.abs().max().item(), 2.0**-30)
        highest = int(torch.ceil(torch.log2(torch.tensor(top / max(high, 1)))).item()) + 1
        highest = max(highest, self.least)
        candidates = range(highest, max(highest - x.numel().bit_length() - 4, self.least - 1), -1)
        errors = [(act_quant(x, self.bits, e, bool(self.signed)) - x).square().sum().item() for e in candidates]
        chosen = [float(candidates[errors.index(min(errors))])]
        chosen += [q.log2_scale.item() for q in self.partners if q.calibrated]
        self.log2_scale.fill_(max(chosen))
        self.calibrated.fill_(True)

    def forward(self, x: Tensor) -> Tensor:
        if not self.started:
            return x
        if not self.calibrated:
            self.calibrate(x)
        return _Quantize.apply(x, self.log2_scale, self.exponent, *limits(self.bits, bool(self.signed)))

    def frozen(self) -> ActQuant:
        """The ActQuant that computes the same."""
        return ActQuant(self.bits, self.exponent, bool(self.signed))

    def extra_repr(self) -> str:
        return f"bits={self.bits}, exponent={self.exponent if self.calibrated else None}"
