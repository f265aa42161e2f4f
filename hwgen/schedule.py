"""Chooses the engine of every layer, and its fold."""

from hwgen.config import BuildConfig
from hwgen.errors import UnsupportedLayer
from hwgen.lower import Stage
from hwgen.stream import Order
from hwgen.units import adder_graph, window
from hwgen.units.layer import Layer
from hwgen.units.term_lanes import Fold, TermLanes, legal_groups, legal_lanes

MARGIN = 0.95
SPATIAL = Fold(0, 0)  # of a layer that is not folded


def schedule(stages: list[Stage], config: BuildConfig) -> dict[str, Fold]:
    """The fold by the stage's result, SPATIAL where the layer is unfolded.

    Folded layers are as fast as the slowest of them can be with `config.lanes` accumulators, with few more than that
    takes; the lanes of a row grow first, then the groups. Two neighbours that are equally slow hold each other up now
    and then, so every layer that can is a little faster than the slowest.

    The two sides of an addition get the same lanes where both have them, so that their beats meet in one order.
    """
    layers = {stage.result: stage.layer for stage in stages if stage.layer is not None}
    config.check_patterns([layer.name for layer in layers.values()])
    engines = {name: config.engine_of(layer.name) for name, layer in layers.items()}
    for name, layer in layers.items():
        obstacle = window.obstacle(layer)
        if engines[name] == "spatial" and obstacle:
            raise UnsupportedLayer(
                f"a pixel a cycle is not possible: {obstacle}", layer.name, f"build it with --engine {layer.name}=lanes"
            )
        if obstacle:
            engines[name] = "lanes"
    cycles = {
        name: {fold: _cycles(layer, fold) for fold in _folds(layer, config.lanes)}
        for name, layer in layers.items()
        if engines[name] != "spatial"
    }
    slowest = max((min(known.values()) for known in cycles.values()), default=0)
    folds = dict.fromkeys(layers, SPATIAL)
    for name, known in cycles.items():
        target = max(MARGIN * slowest, min(known.values()))
        folds[name] = next(fold for fold in known if known[fold] <= target)
        if engines[name] == "auto" and _smaller_unfolded(layers[name], folds[name]):
            folds[name] = SPATIAL
    for stage in stages:
        if stage.layer is None:
            sides = [name for name in stage.inputs if folds.get(name, SPATIAL) != SPATIAL]
            most = max((folds[name] for name in sides), key=lambda fold: fold.lanes, default=SPATIAL)
            if all(most in cycles[name] for name in sides):
                folds.update(dict.fromkeys(sides, most))
    return folds


def _folds(layer: Layer, limit: int) -> list[Fold]:
    """Folds of up to `limit` accumulators, the smallest first; several groups only where all lanes of a row are taken."""
    lanes = legal_lanes(layer, limit)
    groups = legal_groups(layer, limit // lanes[-1])
    return [*(Fold(n) for n in lanes[:-1]), *(Fold(lanes[-1], n) for n in groups)]


def _cycles(layer: Layer, fold: Fold) -> int:
    return TermLanes(layer, fold, Order(layer.x.shape), sort=True).cycles()


def _smaller_unfolded(layer: Layer, fold: Fold) -> bool:
    """Whether adders for all terms take less than these lanes, with what turns pixels into a stream of activations."""
    turns = layer.y.shape[0] * layer.y.qtype.bits // 3 + 20
    folded = TermLanes(layer, fold, Order(layer.x.shape)).estimate()["LUT"]
    return adder_graph.estimate(layer)["LUT"] + turns < folded
