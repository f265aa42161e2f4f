"""What only moves numbers."""

from math import prod

import numpy as np
import torch
from torch.nn import functional

from hwgen.formats import Call
from hwgen.formats.onnx.node import Node, builds


def reshaped(shape: tuple[int, ...], target: list[int]) -> Call:
    """To a shape; the batch, where it stays the first dimension, is that of the argument."""
    if target and shape and target[0] == shape[0]:
        return Call(lambda x: x.reshape(x.shape[0], *target[1:]))
    return Call(lambda x: x.reshape(target))


@builds("Reshape", levels="kept")
def reshape(node: Node):
    shape = node.value(0).shape
    target = node.attribute("shape") if node.opset < 5 else node.listed(1)
    if not node.attribute("allowzero", 0):
        if any(n == 0 and at >= len(shape) for at, n in enumerate(target)):
            raise node.broken(f"to the shape {target} from {list(shape)}")
        target = [shape[at] if n == 0 else n for at, n in enumerate(target)]
    known, count = prod(n for n in target if n != -1), prod(shape)
    if target.count(-1) == 1 and known > 0 and count % known == 0:
        target = [count // known if n == -1 else n for n in target]
    if min(target, default=1) < 0 or prod(target) != count:
        raise node.broken(f"to the shape {target} from {list(shape)}")
    return reshaped(shape, target)


@builds("Flatten", levels="kept")
def flatten(node: Node):
    shape = node.value(0).shape
    axis = node.attribute("axis", 1)
    if not -len(shape) <= axis <= len(shape):
        raise node.broken(f"axis {axis} of a tensor of {len(shape)} dimensions")
    axis = axis if axis >= 0 else axis + len(shape)
    return reshaped(shape, [prod(shape[:axis]), prod(shape[axis:])])


@builds("Squeeze", levels="kept")
def squeeze(node: Node):
    shape = node.value(0).shape
    axes = node.listed(1) if node.has(1) else node.attribute("axes", [])
    axes = {node.axis(axis, len(shape)) for axis in axes} or {n for n, size in enumerate(shape) if size == 1}
    if any(shape[axis] != 1 for axis in axes):
        raise node.broken(f"axes {sorted(axes)} of the shape {list(shape)}")
    return reshaped(shape, [size for n, size in enumerate(shape) if n not in axes])


@builds("Unsqueeze", levels="kept")
def unsqueeze(node: Node):
    shape = node.value(0).shape
    axes = node.listed(1) if node.has(1) else node.attribute("axes", [])
    rank = len(shape) + len(axes)
    places = {node.axis(axis, rank) for axis in axes}
    if len(places) != len(axes) or rank > 8:
        raise node.broken(f"axes {axes} of a result of {rank} dimensions")
    sizes = iter(shape)
    return reshaped(shape, [1 if n in places else next(sizes) for n in range(rank)])


@builds("Transpose", levels="kept")
def transpose(node: Node):
    rank = len(node.value(0).shape)
    order = node.attribute("perm", list(reversed(range(rank))))
    if sorted(order) != list(range(rank)):
        raise node.broken(f"perm {order} of a tensor of {rank} dimensions")
    return Call(lambda x: x.permute(order))


@builds("Concat", levels="kept")
def concat(node: Node):
    rank = len(node.shape(0))
    axis = node.axis(node.attribute("axis", 1), rank)
    return node.apply(lambda *values: torch.cat(values, axis))


@builds("Slice", levels="kept")
def slice_(node: Node):
    shape = node.value(0).shape
    if node.opset < 10:
        starts, ends = node.attribute("starts", []), node.attribute("ends", [])
        axes, steps = node.attribute("axes", list(range(len(starts)))), [1] * len(starts)
    else:
        starts, ends = node.listed(1), node.listed(2)
        axes, steps = node.listed(3, list(range(len(starts)))), node.listed(4, [1] * len(starts))
    if len({len(part) for part in (starts, ends, axes, steps)}) != 1 or 0 in steps:
        raise node.broken(f"starts {starts}, ends {ends}, axes {axes}, steps {steps}")
    cuts = {}
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        axis = node.axis(axis, len(shape))
        cuts[axis] = range(shape[axis])[start:end:step]
    if any(not len(places) for places in cuts.values()):
        raise node.broken("it cuts nothing out")

    def run(x):
        for axis, places in cuts.items():
            x = _cut(x, axis, places)
        return x

    return Call(run)


def _cut(x, axis: int, places: range):
    if places == range(x.shape[axis]):
        return x
    if places.step > 0:
        return x[(slice(None),) * axis + (slice(places.start, places[-1] + 1, places.step),)]
    return x.index_select(axis, torch.tensor(list(places)))


@builds("Gather", levels="kept")
def gather(node: Node):
    shape, indices = node.value(0).shape, node.constant(1)
    axis = node.axis(node.attribute("axis", 0), len(shape))
    if indices.dtype.kind not in "iu" or not ((-shape[axis] <= indices) & (indices < shape[axis])).all():
        raise node.broken(f"indices beyond axis {axis} of the shape {list(shape)}")
    places = torch.from_numpy((indices.astype(np.int64) % shape[axis]).reshape(-1))
    if not indices.ndim:
        place = int(places[0])
        return Call(lambda x: x.select(axis, place))
    whole = [*shape[:axis], *indices.shape, *shape[axis + 1 :]]
    if indices.ndim == 1:
        return Call(lambda x, places: x.index_select(axis, places), places)
    return Call(lambda x, places: x.index_select(axis, places).reshape(whole), places)


@builds("Split", levels="kept")
def split(node: Node):
    shape, parts = node.value(0).shape, len(node.proto.output)
    axis = node.axis(node.attribute("axis", 0), len(shape))
    node.ignore("num_outputs")
    equal = -(-shape[axis] // parts)
    default = [min(equal, shape[axis] - equal * n) for n in range(parts)]
    sizes = node.listed(1) if node.has(1) else node.attribute("split", default)
    if len(sizes) != parts or sum(sizes) != shape[axis] or min(sizes) < 1:
        raise node.broken(f"into {sizes} along axis {axis} of the shape {list(shape)}")
    return Call(lambda x: torch.split(x, sizes, axis) if parts > 1 else x)


@builds("Pad", levels="kept")
def pad(node: Node):
    rank, mode = len(node.value(0).shape), node.attribute("mode", "constant")
    pads = node.attribute("pads", []) if node.opset < 11 else node.listed(1)
    value = node.attribute("value", 0.0) if node.opset < 11 else node.optional(2, 0)
    axes = node.listed(3, list(range(rank)))
    if len(pads) != 2 * len(axes) or mode not in ("constant", "reflect", "edge"):
        raise node.refusal(f"pads {pads} in mode {mode}", "pad with a constant, reflected, or with the edge")
    sides = [(0, 0)] * rank
    for n, axis in enumerate(axes):
        sides[node.axis(axis, rank)] = (pads[n], pads[n + len(axes)])
    while len(sides) > 1 and sides[0] == (0, 0):
        sides.pop(0)
    widths = [n for pair in reversed(sides) for n in pair]
    if mode == "constant":
        filler = float(np.asarray(value).reshape(-1)[0])
        return Call(lambda x: functional.pad(x, widths, value=filler))
    torch_mode = "replicate" if mode == "edge" else mode
    return Call(lambda x: functional.pad(x, widths, mode=torch_mode))


@builds("Expand", levels="kept")
def expand(node: Node):
    shape = node.value(0).shape
    try:
        target = np.broadcast_shapes(shape, tuple(node.listed(1)))
    except ValueError as error:
        raise node.broken(f"to {node.listed(1)} from {list(shape)}: {error}") from error
    added = len(target) - len(shape)
    sizes = [n if at < added or shape[at - added] == 1 != n else -1 for at, n in enumerate(target)]
    return Call(lambda x: x.expand(sizes))


@builds("Tile", levels="kept")
def tile(node: Node):
    repeats = node.listed(1)
    if len(repeats) != len(node.value(0).shape) or min(repeats, default=1) < 1:
        raise node.broken(f"repeats {repeats} of the shape {list(node.value(0).shape)}")
    return Call(lambda x: x.repeat(repeats))


@builds("DepthToSpace", levels="kept")
def depth_to_space(node: Node):
    size, mode = node.attribute("blocksize", 0), node.attribute("mode", "DCR")
    _, channels, rows, columns = _image(node, size)
    if mode not in ("DCR", "CRD") or channels % size**2:
        raise node.broken(f"mode {mode}, blocks of {size} of {channels} channels")
    if mode == "CRD":
        return Call(lambda x: functional.pixel_shuffle(x, size))
    deep = channels // size**2

    def run(x):
        parts = x.reshape(x.shape[0], size, size, deep, rows, columns).permute(0, 3, 4, 1, 5, 2)
        return parts.reshape(x.shape[0], deep, rows * size, columns * size)

    return Call(run)


@builds("SpaceToDepth", levels="kept")
def space_to_depth(node: Node):
    size = node.attribute("blocksize", 0)
    _, channels, rows, columns = _image(node, size)
    if rows % size or columns % size:
        raise node.broken(f"blocks of {size} of {rows} rows and {columns} columns")

    def run(x):
        parts = x.reshape(x.shape[0], channels, rows // size, size, columns // size, size).permute(0, 3, 5, 1, 2, 4)
        return parts.reshape(x.shape[0], channels * size**2, rows // size, columns // size)

    return Call(run)


def _image(node: Node, size) -> tuple[int, ...]:
    shape = node.value(0).shape
    if len(shape) != 4 or not isinstance(size, int) or size < 1:
        raise node.broken(f"blocks of {size} of the shape {list(shape)}")
    return shape


# nearest neighbours


@builds("Resize", "Upsample", levels="kept")
def resize(node: Node):
    """Nearest neighbours: each result's place in the input, by ONNX's formulas."""
    mode = node.attribute("mode", "nearest")
    if mode != "nearest":
        raise node.refusal(f"mode {mode}", "resize to nearest neighbours")
    node.ignore("cubic_coeff_a", "exclude_outside", "extrapolation_value", "antialias")
    shape = node.value(0).shape
    asymmetric = node.proto.op_type == "Upsample" or node.opset < 11
    where = "asymmetric" if asymmetric else node.attribute("coordinate_transformation_mode", "half_pixel")
    rounding = "floor" if asymmetric else node.attribute("nearest_mode", "round_prefer_floor")
    if node.attribute("axes") or node.attribute("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise node.refusal("axes, or a kept aspect ratio", "say the sizes of all dimensions")
    scales, sizes = _scales(node, asymmetric, shape)
    if where not in _PLACES or rounding not in _NEAREST:
        raise node.refusal(f"{where} and {rounding}", f"use one of {', '.join(_PLACES)}; {', '.join(_NEAREST)}")
    picked = {}
    for axis, (own, scale, size) in enumerate(zip(shape, scales, sizes, strict=True)):
        places = _NEAREST[rounding](_PLACES[where](np.arange(size), scale, own, size))
        places = places.astype(np.int64).clip(0, own - 1)
        if not np.array_equal(places, np.arange(own)):
            picked[axis] = torch.from_numpy(places)

    def run(x, *places):
        for axis, index in zip(picked, places, strict=True):
            x = x.index_select(axis, index)
        return x

    return Call(run, *picked.values())


_PLACES = {
    "asymmetric": lambda n, scale, own, size: n / scale,
    "half_pixel": lambda n, scale, own, size: (n + 0.5) / scale - 0.5,
    "pytorch_half_pixel": lambda n, scale, own, size: (n + 0.5) / scale - 0.5 if size > 1 else np.zeros(1),
    "align_corners": lambda n, scale, own, size: n * (own - 1) / max(size - 1, 1),
}
_NEAREST = {
    "floor": np.floor,
    "ceil": np.ceil,
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
}


def _scales(node: Node, old: bool, shape: tuple[int, ...]) -> tuple[list[float], list[int]]:
    """By what each dimension grows, and what it is then."""
    scales = node.attribute("scales") if node.proto.op_type == "Upsample" and node.opset < 9 else None
    if scales is None:
        scales = [float(v) for v in np.reshape(node.optional(1 if old else 2, []), -1)]
    sizes = [] if old else node.listed(3, [])
    if len(sizes) == len(shape) and not scales:
        return [size / own for size, own in zip(sizes, shape, strict=True)], _sizes(node, sizes)
    if len(scales) != len(shape) or not np.isfinite(scales).all() or min(scales) <= 0:
        raise node.broken(f"scales {scales}, sizes {sizes} of the shape {list(shape)}")
    return scales, _sizes(node, [int(np.floor(n * scale)) for n, scale in zip(shape, scales, strict=True)])


def _sizes(node: Node, sizes: list[int]) -> list[int]:
    if min(sizes) < 1 or max(sizes) > 1 << 16:
        raise node.broken(f"to the sizes {sizes}")
    return sizes
