"""Chooses the engine of every layer, and its lanes."""

from hwgen.config import BuildConfig
from hwgen.errors import UnsupportedLayer
from hwgen.lower import Stage
from hwgen.stream import Order
from hwgen.units import adder_graph, window
from hwgen.units.layer import Layer
from hwgen.units.term_lanes import TermLanes, legal_lanes, work

MARGIN = 0.95
SPATIAL = 0  # lanes of a layer that is not folded


def schedule(stages: list[Stage], config: BuildConfig) -> dict[str, int]:
    """Lanes by the stage's result, SPATIAL where the layer is unfolded.

    Folded layers are as fast as the slowest of them can be with `config.lanes`, with few lanes more than that takes.
    Two neighbours that are equally slow hold each other up now and then, so every layer that can is a little faster
    than the slowest.

    The two sides of an addition get the same fold where both have it, so that their beats meet in one order.
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
    folded = {name: layer for name, layer in layers.items() if engines[name] != "spatial"}
    legal = {name: legal_lanes(layer, config.lanes) for name, layer in folded.items()}
    cycles = {
        name: {n: TermLanes(layer, n, Order(layer.x.shape)).cycles() for n in legal[name]}
        for name, layer in folded.items()
    }
    slowest = max((min(cycles[name].values()) for name in folded), default=0)
    lanes = dict.fromkeys(layers, SPATIAL)
    for name, layer in folded.items():
        needed = {n: work(layer, n) for n in legal[name]}
        target = max(MARGIN * slowest, min(needed.values()))
        lanes[name] = next(n for n in legal[name] if needed[n] <= target)
        if engines[name] == "auto" and _smaller_unfolded(layer, lanes[name]):
            lanes[name] = SPATIAL
    for stage in stages:
        if stage.layer is None:
            sides = [name for name in stage.inputs if lanes.get(name, SPATIAL) != SPATIAL]
            most = max((lanes[name] for name in sides), default=1)
            if all(most in legal[name] for name in sides):
                lanes.update(dict.fromkeys(sides, most))
    return lanes


def _smaller_unfolded(layer: Layer, lanes: int) -> bool:
    """Whether adders for all terms take less than these lanes, with what turns pixels into a stream of activations."""
    turns = layer.y.shape[0] * layer.y.qtype.bits // 3 + 20
    folded = TermLanes(layer, lanes, Order(layer.x.shape)).estimate()["LUT"]
    return adder_graph.estimate(layer)["LUT"] + turns < folded
