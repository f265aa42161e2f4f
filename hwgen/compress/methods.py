"""Pruning methods: each is one class that says what a user chooses, which weights go, and when."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from hwgen.compress import admm, prune
from hwgen.compress.formats import STRICT
from hwgen.errors import BadInput

if TYPE_CHECKING:
    from hwgen.compress.prepared import Prepared

Fraction = Annotated[float, Field(ge=0, lt=1)]
Scope = Literal["global", "layer"]
Floor = Annotated[float, Field(ge=0, le=1)]


class Method:
    """What `Prepared` and `fit` ask of a pruning method; a subclass is a frozen dataclass with a `kind` of its own.

    fractions  whether it prunes a fraction, so that single layers may have their own (`Override.zeros`)
    measures   whether `fit` tightens it by measuring: then it has `accuracy_drop`, `rounds` and `tighten`
    """

    fractions: ClassVar[bool] = False
    measures: ClassVar[bool] = False

    def state(self, weights: dict[str, Tensor]) -> nn.Module | None:
        """What is remembered from step to step, in buffers; weights: of the layers that may be pruned, by name."""
        return None

    def regrows(self, part: float) -> bool:
        """Whether a pruned weight is trained on and may come back; part: 0 to 1 along the ramp."""
        return part < 1

    def prune(self, prepared: "Prepared", part: float, done: float) -> None:
        """Sets the masks of the layers that may be pruned; done: 0 to 1 of the training."""

    def penalty(self, prepared: "Prepared") -> Tensor:
        """What is added to the loss until `prune_until`."""
        return torch.zeros(())

    def tighten(self, prepared: "Prepared", holds: Callable[[], bool]) -> bool:
        """Prunes more as long as `holds()`, which measures; whether anything went."""
        return False


@dataclass(frozen=True, config=STRICT)
class Magnitude(Method):
    """The weights of least magnitude become zero, on a cubic ramp (Zhu and Gupta, arXiv 1710.01878).

    zeros  the fraction of the weights; of all layers together (scope "global") or of each ("layer")
    regrow while the ramp lasts a pruned weight is trained on and may come back
    floor  with scope "global": each layer keeps at least this part of the fraction that all keep together, its greatest
           weights; 0 lets a layer whose weights are small as a whole go altogether
    """

    zeros: Fraction
    scope: Scope = "global"
    regrow: bool = True
    floor: Floor = 0.5
    kind: Literal["magnitude"] = "magnitude"
    fractions: ClassVar[bool] = True

    def regrows(self, part: float) -> bool:
        return part < 1 and self.regrow

    def prune(self, prepared: "Prepared", part: float, done: float) -> None:
        weights = {name: layer.original for name, layer in prepared.prunable().items()}
        own = prepared.own_zeros(part)
        prepared.keep(prune.magnitude_masks(weights, self.zeros * part, own, self.scope, self.floor))


@dataclass(frozen=True, config=STRICT)
class ADMM(Method):
    """ADMM-NN (Ren et al., ASPLOS 2019): training is pulled to the nearest pruned weights on their levels.

    `iterations` times until `prune_until`: train on loss + rho/2 |W - Z + U|^2; Z = project(W + U); U += W - Z.
    Then the weights are pruned as Z is, and trained on. The projection keeps the greatest weights, as `Magnitude` does
    with the same zeros, scope and floor, and, if `levels`, puts them on their format's levels.
    """

    zeros: Fraction
    scope: Scope = "global"
    rho: Annotated[float, Field(gt=0)] = 1e-2
    iterations: Annotated[int, Field(ge=1, le=1000)] = 12
    levels: bool = True
    floor: Floor = 0.5
    kind: Literal["admm"] = "admm"
    fractions: ClassVar[bool] = True

    def state(self, weights: dict[str, Tensor]) -> admm.State:
        return admm.State(weights)

    def regrows(self, part: float) -> bool:
        return False

    def prune(self, prepared: "Prepared", part: float, done: float) -> None:
        prepared.state.advance(prepared, done)
        if part == 1:
            prepared.keep(prepared.state.masks())

    def penalty(self, prepared: "Prepared") -> Tensor:
        return prepared.state.penalty(prepared)


@dataclass(frozen=True, config=STRICT)
class FilterSimilarity(Method):
    """The filters nearest their layer's geometric median go (He et al., CVPR 2019, as arXiv 2509.04244 uses it).

    filters  the fraction of the filters of each layer but the last; transposed convolutions and the weights that meet a
             recurrent state keep theirs
    With `quantize_from` 0 this is SPQ, pruned and quantized together; with `quantize_from` no less than `prune_until`
    it is PPQ, pruned first. While the ramp lasts, filters are chosen anew and may come back.
    """

    filters: Fraction
    kind: Literal["filter_similarity"] = "filter_similarity"
    fractions: ClassVar[bool] = True

    def prune(self, prepared: "Prepared", part: float, done: float) -> None:
        own = prepared.own_zeros(part)
        prepared.keep_filters(
            {
                name: prune.filter_mask(layer.original, own.get(name, self.filters * part))
                for name, layer in prepared.prunable().items()
                if layer.filters and not layer.last
            }
        )


@dataclass(frozen=True, config=STRICT)
class NofM(Method):
    """Of each m neighbours along a filter's inputs the n greatest stay."""

    n: Annotated[int, Field(ge=1, le=64)] = 2
    m: Annotated[int, Field(ge=2, le=64)] = 4
    kind: Literal["n_of_m"] = "n_of_m"

    def __post_init__(self):
        if self.n >= self.m:
            raise BadInput(f"n = {self.n} of m = {self.m} prunes nothing", "NofM", "choose n < m")

    def prune(self, prepared: "Prepared", part: float, done: float) -> None:
        if part == 1:
            layers = prepared.prunable().items()
            prepared.keep({name: prune.n_of_m_mask(layer.original, self.n, self.m) for name, layer in layers})


@dataclass(frozen=True, config=STRICT)
class PowerOfTwoAdapted(Method):
    """The smallest codes become zero as long as the accuracy drops by no more than `accuracy_drop` points, then
    training goes on (after Przewlocka-Rus and Kryjak); `rounds` times. A method for `fit`, as it measures.
    """

    accuracy_drop: Annotated[float, Field(ge=0, le=100)] = 1.0
    rounds: Annotated[int, Field(ge=1, le=100)] = 4
    kind: Literal["pot_adapted"] = "pot_adapted"
    measures: ClassVar[bool] = True

    def tighten(self, prepared: "Prepared", holds: Callable[[], bool]) -> bool:
        """Layer by layer, from the most terms a frame."""
        went = False
        for layer in sorted(prepared.prunable().values(), key=lambda layer: -prune.layer_terms(layer) * layer.pixels):
            while (mask := prune.without_smallest_code(layer)) is not None:
                caps = layer.grid.caps.clone()
                layer.grid.prune(mask)
                if not holds():
                    layer.grid.caps.copy_(caps)
                    break
                went = True
        return went


Pruning = Annotated[Magnitude | ADMM | FilterSimilarity | NofM | PowerOfTwoAdapted, Field(discriminator="kind")]
