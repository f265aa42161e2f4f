"""ADMM-NN (Ren et al., ASPLOS 2019, arXiv 1812.11677): joint pruning and projection onto levels."""

import torch
from torch import Tensor, nn

from hwgen.compress import prune


class State(nn.Module):
    """Z and U of every layer that is pruned, in buffers, and how often they were renewed."""

    iteration: Tensor

    def __init__(self, weights: dict[str, Tensor]):
        super().__init__()
        self.names = list(weights)
        for index, w in enumerate(weights.values()):
            self.register_buffer(f"z{index}", w.detach().clone())
            self.register_buffer(f"u{index}", torch.zeros_like(w))
        self.register_buffer("iteration", torch.tensor(0))

    def pairs(self) -> dict[str, tuple[Tensor, Tensor]]:
        """(Z, U) by layer."""
        return {name: (getattr(self, f"z{i}"), getattr(self, f"u{i}")) for i, name in enumerate(self.names)}

    @torch.no_grad()
    def advance(self, prepared, done: float) -> None:
        """Renews Z and U when another iteration's share of the ramp is over: Z = project(W + U), U += W - Z."""
        method = prepared.recipe.pruning
        due = 1 + int(method.iterations * min(done / max(prepared.recipe.prune_until, 1e-9), 1) + 1e-9)
        if self.iteration >= due:
            return
        self.iteration.fill_(due)
        layers = {name: prepared.layers[name] for name in self.names}
        sums = {name: layers[name].original + u for name, (_, u) in self.pairs().items()}
        own = {name: layer.zeros for name, layer in layers.items() if layer.zeros is not None}
        masks = prune.magnitude_masks(sums, method.zeros, own, method.scope, method.floor)
        for name, (z, u) in self.pairs().items():
            kept = torch.where(masks[name], sums[name], 0)
            if method.levels:
                grid = layers[name].grid
                unit = torch.exp2(grid.choose(kept))
                kept = torch.where(masks[name], grid.levels(kept / unit), 0) * unit
            z.copy_(kept)
            u.add_(layers[name].original - z)

    def masks(self) -> dict[str, Tensor]:
        return {name: z != 0 for name, (z, _) in self.pairs().items()}

    def residual(self, prepared) -> float:
        """|W - Z| over all layers: what the last projection still moves."""
        moved = [(prepared.layers[name].original - z).square().sum() for name, (z, _) in self.pairs().items()]
        return float(torch.stack(moved).sum().detach().sqrt())

    def penalty(self, prepared) -> Tensor:
        """rho/2 |W - Z + U|^2 over all layers."""
        total = sum((prepared.layers[n].original - z + u).square().sum() for n, (z, u) in self.pairs().items())
        return prepared.recipe.pruning.rho / 2 * total
