"""Several networks as the modes of one: the same layers, and weights, biases and quantizers that a frame chooses.

A stage that is alike in all modes is one as ever. Where weights or quantizers differ, lanes hold a list for each mode,
one behind the other, and clamp to the ends of the mode (rtl/term_sequencer.v, rtl/mode_clamp.v). A stream holds what
any mode sends; what an integer is worth is the mode's own, and nothing that hardware knows.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from math import ceil
from typing import Any, cast

import numpy as np

from hwgen.config import BuildConfig
from hwgen.design import Design, Placed
from hwgen.errors import BadInput, UnsupportedLayer
from hwgen.ir import Graph, Op, TensorType
from hwgen.lanes.shifts import as_shift
from hwgen.lower import lower
from hwgen.ops.conv import Conv
from hwgen.ops.move import Move
from hwgen.ops.quantize import Quantize
from hwgen.pace import Pace, pace_of
from hwgen.qtype import QType
from hwgen.stage import Stage

MOST_MODES = 256
SPARE = 2  # frames inside, beyond those that the latency takes
HINT = "build modes of one network: weights, biases and quantizers may differ, layers may not"


def check_modes(graphs: Sequence[Graph], config: BuildConfig) -> None:
    """Raises BadInput where a network is to have several modes that it cannot have with these options."""
    if len(graphs) < 2:
        return
    if len(graphs) > MOST_MODES:
        raise BadInput(f"{len(graphs)} modes", "--modes", f"give at most {MOST_MODES}")
    if config.loadable is not None:
        raise BadInput(
            "modes and loadable layers", "--modes, --loadable", "give one of them: a list that is loaded is one"
        )
    if config.protection.tmr:
        raise BadInput(
            "modes and tmr-control", "--modes, --protect", "use --protect parity or ecc: modes are kept once"
        )
    if any(count > 1 for graph in graphs for count in graph.turns.values()):
        raise BadInput("modes, and time steps that begin or end inside", "--modes", "leave StepsIn and StepsOut out")


def joined(graphs: Sequence[Graph]) -> Graph:
    """The first graph, its inputs holding what those of all hold.

    Raises BadInput that names the first layer of which the graphs are not one network.
    """
    first = graphs[0]
    for number, other in enumerate(graphs[1:], 1):
        if found := _difference(first, other):
            what, where = found
            raise BadInput(f"mode {number} has {what}", where, HINT)
    inputs = [
        replace(each[0], type=_hull([one.type for one in each]))
        for each in zip(*(graph.inputs for graph in graphs), strict=True)
    ]
    return replace(first, inputs=tuple(inputs))


def _difference(first: Graph, other: Graph) -> tuple[str, str] | None:
    """What the second graph has where the first has something else, and where; None where the layers are the same."""
    ours, theirs = ([*graph.inputs, *graph.outputs] for graph in (first, other))
    for a, b in zip(ours, theirs, strict=False):
        if a.name != b.name or a.shape != b.shape or not _equal(a.view, b.view):
            return f"{b.name} {list(b.shape)} at its border, mode 0 {a.name} {list(a.shape)}", a.name
    if len(ours) != len(theirs):
        return f"{len(theirs)} inputs and outputs, mode 0 {len(ours)}", first.inputs[0].name
    for a, b in zip(first.nodes, other.nodes, strict=False):
        if a.name != b.name or type(a.op) is not type(b.op):
            return f"{b.name}, {b.op}, where mode 0 has {a.name}, {a.op}", a.name
        if a.inputs != b.inputs:
            return f"what reads {', '.join(b.inputs)}, mode 0 what reads {', '.join(a.inputs)}", a.name
    if len(first.nodes) != len(other.nodes):
        longer = max(first.nodes, other.nodes, key=len)
        where = longer[min(len(first.nodes), len(other.nodes))].name
        return f"{len(other.nodes)} layers, mode 0 {len(first.nodes)}", where
    types = first.types(), other.types()
    for name, kind in types[0].items():
        if types[1][name].shape != kind.shape:
            return f"frames of {types[1][name]}, mode 0 of {kind}", name
    return None


def lowered(graphs: Sequence[Graph], is_loadable: Callable[[str], bool] = lambda layer: False) -> list[Stage]:
    """The stages of all modes, side by side; graphs -- those of one network, see `joined`.

    Raises UnsupportedLayer that names a layer that cannot be another in each mode.
    """
    each = [lower(graph, is_loadable) for graph in graphs]
    for number, other in enumerate(each[1:], 1):
        for a, b in zip(each[0], other, strict=False):
            if (a.name, a.result, a.inputs) != (b.name, b.result, b.inputs):
                raise BadInput(
                    f"mode {number} computes {b.name} with {b.result}, mode 0 {a.name} with {a.result}", a.name, HINT
                )
    return [together(stages) for stages in zip(*each, strict=True)]


def together(stages: Sequence[Stage]) -> Stage:
    """One stage of the stages of all modes; raises UnsupportedLayer where it cannot be another in each."""
    first = stages[0]
    types = tuple(_hull(kinds) for kinds in zip(*(stage.types for stage in stages), strict=True))
    whole = replace(first, types=types, y=_hull([stage.y for stage in stages]))
    if all(_alike(first, other) for other in stages[1:]):
        return whole
    for number, stage in enumerate(stages):
        if what := _obstacle(first, stage):
            raise UnsupportedLayer(
                f"{what} in mode {number}, and not all modes are alike there",
                first.name,
                "give it the same weights and the same quantizers before and behind it in all modes",
            )
    shifts = [as_shift(stage) for stage in stages]
    return replace(whole, op=shifts[0].op, quantize=shifts[0].quantize, modes=tuple(shifts))


def _obstacle(first: Stage, stage: Stage) -> str | None:
    """What keeps a stage from being a mode of lanes; None where it can be."""
    if not isinstance(stage.op, Conv) or not isinstance(first.op, Conv):
        return f"{stage.op} is no sum of products"
    same = first.op.weight.shape == stage.op.weight.shape and _equal_fields(
        first.op, stage.op, {"weight", "bias", "path"}
    )
    if not same:
        return f"it is {stage.op} of another shape, stride, padding or dilation"
    stage = as_shift(stage)
    if (stage.quantize is None) != (first.quantize is None):
        return "it has a quantizer or has none"
    if stage.quantize is not None and (stage.rounds is None or stage.rounds.even):
        return f"its sums pass {stage.quantize}, not a shift by rounding half up"
    return None


def _alike(a: Stage, b: Stage) -> bool:
    """Whether the integers that two stages of one place make of theirs are the same function."""
    up = {two.exponent - one.exponent for one, two in zip(a.types, b.types, strict=True)}
    if len(up) > 1:
        return False
    by = up.pop()
    if isinstance(a.op, Conv) and isinstance(b.op, Conv):
        same = _equal_fields(a.op, b.op, {"bias", "path"}) and np.array_equal(np.ldexp(a.op.bias, by), b.op.bias)
        return same and _quantized_alike(a, b, by)
    if not _equal_fields(a.op, b.op, {"path"}):
        return False
    wide = all(one.qtype == two.qtype for one, two in zip(a.types, b.types, strict=True))
    if a.op.degree is not None or isinstance(a.op, Move):
        return _quantized_alike(a, b, by * (a.op.degree or 1))
    return wide and (by == 0 or a.op.of_integers) and _quantized_alike(a, b, 0)


def _quantized_alike(a: Stage, b: Stage, by: int) -> bool:
    """Whether two stages round alike what is worth 2^by times as much in the second."""
    if isinstance(a.quantize, Quantize) and isinstance(b.quantize, Quantize):
        return replace(a.quantize, exponent=a.quantize.exponent + by) == b.quantize
    return type(a.quantize) is type(b.quantize) and _equal_fields(a.quantize, b.quantize, {"path", "exponent"})


def _equal_fields(a: Op | None, b: Op | None, but: set[str]) -> bool:
    if a is None or b is None or type(a) is not type(b):
        return a is b
    names = {field.name for field in fields(cast(Any, a))} - but
    return all(_equal(getattr(a, name), getattr(b, name)) for name in names)


def _equal(a: object, b: object) -> bool:
    return bool(np.array_equal(cast(Any, a), cast(Any, b)))


def _hull(types: Sequence[TensorType]) -> TensorType:
    """The first type with a range that holds those of all."""
    ranges = [kind.qtype for kind in types]
    return replace(types[0], qtype=QType(min(one.low for one in ranges), max(one.high for one in ranges)))


def switched(design: Design, graphs: Sequence[Graph]) -> Design:
    """The design with the ring that holds the modes of the frames inside; as it is for one graph."""
    if len(graphs) == 1:
        return design
    design = replace(design, modes=tuple(graphs))
    paces = paces_of(design)
    inside = ceil(max(pace.latency for pace in paces) / min(pace.interval for pace in paces)) + SPARE
    depth = 1 << (inside - 1).bit_length()
    placed = [Placed(each.unit.with_ring(depth), each.inputs, each.outputs) for each in design.placed]
    return replace(design, placed=placed, in_flight=depth)


def paces_of(design: Design) -> list[Pace]:
    """How fast frames of each mode follow each other."""
    modes = range(len(design.graphs))
    of_modes = [[Placed(each.unit.in_mode(i), each.inputs, each.outputs) for each in design.placed] for i in modes]
    return [pace_of(replace(design, placed=placed)) for placed in of_modes]
