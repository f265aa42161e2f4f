"""Chooses the lanes of every layer."""

from hwgen.lower import Stage

MARGIN = 0.95


def schedule(stages: list[Stage], most_lanes: int) -> dict[str, int]:
    """Lanes by the stage's result: as fast as the slowest layer can be with `most_lanes`, and few lanes more than that
    takes.

    Two neighbours that are equally slow hold each other up now and then, so every layer that can is a little faster
    than the slowest.

    The two sides of an addition get the same fold where both have it, so that their beats meet in one order.
    """
    layers = {stage.result: stage.layer for stage in stages if stage.layer is not None}
    legal = {name: layer.legal_lanes(most_lanes) for name, layer in layers.items()}
    work = {name: {n: layer.work(n) for n in legal[name]} for name, layer in layers.items()}
    slowest = max((min(layer.cycles(n) for n in legal[name]) for name, layer in layers.items()), default=0)
    lanes = {}
    for name in layers:
        target = max(MARGIN * slowest, min(work[name].values()))
        lanes[name] = next(n for n in legal[name] if work[name][n] <= target)
    for stage in stages:
        if stage.layer is None:
            sides = [name for name in stage.inputs if name in lanes]
            most = max((lanes[name] for name in sides), default=1)
            if all(most in legal[name] for name in sides):
                lanes.update(dict.fromkeys(sides, most))
    return lanes
