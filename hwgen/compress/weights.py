"""What stands between a layer's trained weights and the ones it computes with: pruning, then a grid."""

import torch
from torch import Tensor, nn

from hwgen.compress.formats import (
    HIGHEST_EXPONENT,
    LOWEST_EXPONENT,
    Format,
    at_most,
    exponent_by_error,
    exponent_by_maximum,
    most_terms,
    nearest,
)

FREE = 255  # a cap that caps nothing


class WeightGrid(nn.Module):
    """A parametrization of a weight [C, ...]: each weight has at most caps terms (0: pruned); once `on_grid`, it lies
    on its channel's format times a power of two.

    Gradients go straight through the projection ("identity"), or stop where the weight lies beyond the greatest level
    ("clip"). While `regrow` is set they reach pruned weights too, which may so come back (dynamic network surgery, Guo
    et al., NeurIPS 2016); later a pruned weight gets none.

    Buffers: caps uint8 [C, ...]; fisher [C, ...], a running mean of the squared gradients; pixels, the layer's output
    positions of a frame. With scale "learned", log2_scale is a parameter of the exponent's shape, rounded to the
    nearest integer; its gradient is that of learned step size quantization (Esser et al., ICLR 2020), which is
    APoT's too. `gain`, if there is one, is a factor of each output channel before all that.
    """

    caps: Tensor
    fisher: Tensor
    pixels: Tensor
    on_grid: Tensor
    regrow: Tensor
    capped: Tensor
    codebook: Tensor

    def __init__(self, w: Tensor, formats: list[Format], *, per_channel: bool, scale: str, gradient: str):
        super().__init__()
        self.per_channel, self.scale, self.gradient = per_channel, scale, gradient
        self.formats = tuple(dict.fromkeys(formats))
        self.format_of = [self.formats.index(f) for f in formats]
        shape = (w.shape[0] if per_channel or len(self.formats) > 1 else 1, *[1] * (w.ndim - 1))
        self.register_buffer("caps", torch.full(w.shape, FREE, dtype=torch.uint8))
        self.register_buffer("fisher", torch.zeros_like(w))
        self.register_buffer("pixels", torch.tensor(0))
        self.register_buffer("on_grid", torch.tensor(False))
        self.register_buffer("regrow", torch.tensor(False))
        self.register_buffer("capped", torch.tensor(False))
        learnt = max(own.learnt for own in self.formats)
        self.register_buffer("codebook", torch.zeros(len(self.formats), learnt, dtype=torch.int64))
        self.log2_scale = nn.Parameter(torch.zeros(shape), requires_grad=scale == "learned")
        self.register_parameter("gain", None)

    def scaled_by_channel(self, w: Tensor) -> None:
        """Gives each output channel of w [C, ...] a factor of its own, 1 for now."""
        self.gain = nn.Parameter(torch.ones(w.shape[0], *[1] * (w.ndim - 1)))

    @property
    def exponent(self) -> Tensor:
        """The exponents of the levels' unit, float integers [C or 1, 1 ...]."""
        return torch.round(self.log2_scale.detach()).clamp(LOWEST_EXPONENT, HIGHEST_EXPONENT)

    def magnitudes(self, which: int = 0) -> tuple[int, ...]:
        """The levels of the which-th format of this layer."""
        learnt = bool(self.codebook[which].any())
        return tuple(sorted(set(self.codebook[which].tolist()))) if learnt else self.formats[which].magnitudes()

    def most_terms(self) -> int:
        return max(most_terms(self.magnitudes(k)) for k in range(len(self.formats)))

    def keeps(self) -> Tensor:
        """True where a weight is not pruned."""
        return self.caps > 0

    @torch.no_grad()
    def prune(self, keep: Tensor) -> None:
        """Prunes where `keep` is false, and nowhere else."""
        self.caps.copy_(torch.where(keep, FREE, 0))

    @torch.no_grad()
    def cap(self, caps: Tensor) -> None:
        """Gives each weight at most so many terms."""
        self.caps.copy_(caps)
        self.capped.fill_(True)

    @torch.no_grad()
    def to_grid(self, w: Tensor) -> None:
        """Chooses codebook and exponents from the weights before this parametrization, and stays on the grid."""
        w = w if self.gain is None else w * self.gain
        kept = torch.where(self.keeps(), w, 0)
        for which, own in enumerate(self.formats):
            if own.learnt:
                found = torch.tensor(own.codebook(kept[self._channels(which)]))
                self.codebook[which, : len(found)] = found
        if self.per_channel:  # a channel that is pruned whole may come back
            empty = ~kept.flatten(1).any(1)
            kept[empty] = w[empty]
        self.log2_scale.copy_(self.choose(kept))
        self.on_grid.fill_(True)

    @torch.no_grad()
    def choose(self, w: Tensor) -> Tensor:
        """The exponents that fit the weights best, of the shape of `exponent`."""
        by = exponent_by_maximum if self.scale == "max" else exponent_by_error
        result = torch.zeros_like(self.log2_scale)
        for which in range(len(self.formats)):
            mine = self._channels(which)
            result[mine if len(result) > 1 else [0]] = by(w[mine], self.magnitudes(which), self.per_channel)
        return result

    def levels(self, v: Tensor, terms: int = FREE) -> Tensor:
        """The nearest level of at most `terms` terms, as integers, to weights in units of 2^exponent; no caps."""
        result = torch.empty_like(v)
        for which in range(len(self.formats)):
            own = self.magnitudes(which)
            mine = slice(None) if len(self.formats) == 1 else self._channels(which)
            result[mine] = nearest(v[mine], own if terms == FREE else at_most(own, terms))
        return result

    def level(self, v: Tensor) -> Tensor:
        """The nearest level, as integers, to weights in units of 2^exponent, under the caps."""
        found = self.levels(v)
        if self.capped:
            for terms in range(1, self.most_terms()):
                found = torch.where(self.caps == terms, self.levels(v, terms), found)
        return torch.where(self.keeps(), found, 0)

    def _channels(self, which: int) -> list[int]:
        return [channel for channel, k in enumerate(self.format_of) if k == which]

    def forward(self, w: Tensor) -> Tensor:
        keep = self.keeps()
        w = w if self.gain is None else w * self.gain
        if not self.on_grid:
            kept = w * keep
            return w + (kept - w).detach() if self.regrow else kept
        log2 = self.log2_scale
        unit = torch.exp2(log2 + (self.exponent - log2).detach())
        v = w / unit
        inside = v
        if self.gradient == "clip" or self.scale == "learned":
            tops = [float(self.magnitudes(k)[-1]) for k in range(len(self.formats))]
            top = torch.tensor([tops[k] for k in self.format_of], dtype=w.dtype).reshape(-1, *[1] * (w.ndim - 1))
            inside = v.clamp(-top, top)
        with torch.no_grad():
            level = self.level(v)
        # a pruned weight that may come back learns, but does not move the scale
        straight = torch.where(keep, inside, w / unit.detach()) if self.regrow else inside * keep
        return (straight + (level - straight).detach()) * unit


class BiasGrid(nn.Module):
    """A parametrization of a bias, or of any tensor: `bits` wide signed integers times one power of two, once
    `on_grid`; with `each` a power of two for each number, so that all have `bits` significant bits.

    The unit follows from the greatest magnitude. Where `keep` is false, as for a pruned filter, the bias is zero.
    """

    keep: Tensor
    on_grid: Tensor

    def __init__(self, b: Tensor, bits: int, each: bool = False):
        super().__init__()
        self.bits, self.each = bits, each
        self.register_buffer("keep", torch.ones_like(b, dtype=torch.bool))
        self.register_buffer("on_grid", torch.tensor(False))

    def forward(self, b: Tensor) -> Tensor:
        b = b * self.keep
        if not self.on_grid:
            return b
        with torch.no_grad():
            magnitudes = range(1 << (self.bits - 1))
            unit = torch.exp2(exponent_by_maximum(b.reshape(-1), (magnitudes[-1],), per_channel=self.each))
            unit = unit.reshape(b.shape if self.each else ())
            on_grid = torch.floor(b.abs() / unit + 0.5) * b.sign() * unit
        return b + (on_grid - b).detach()
