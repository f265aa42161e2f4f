"""The tensors of a network that is being read: what each is a view or a function of, and the nodes that they need."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from math import prod

import numpy as np

from hwgen.errors import OffGrid, UnsupportedLayer
from hwgen.functions import Function, Levels, Line
from hwgen.ir import Input, Op, Output, TensorType
from hwgen.lines import Lines
from hwgen.nn_affine import rounding_of
from hwgen.nodes import Tensor, short
from hwgen.ops.add import Add
from hwgen.ops.concat import Concat
from hwgen.ops.conv import Conv, depthwise
from hwgen.ops.move import Move
from hwgen.ops.quantize import Quantize
from hwgen.qtype import QType
from hwgen.requantizers import counter, requantizer, sum_requantizer
from hwgen.rules import Rule
from hwgen.views import View, frame_shape, laid_out


class Tensors(Lines):
    """What the functions of hwgen/ops/ build a network with.

    A tensor is a view of its base: a node of the graph, an input's floats, or a function that awaits its quantizer. A
    call that only moves numbers is evaluated on their places (`moved`), one of each number by itself on the values of
    its function (`pointwise`); what is left becomes nodes.

    path, node, args, kwargs -- of the call at work
    """

    def add(self, op: Op, *inputs: Tensor) -> Tensor:
        """Appends a node that reads the tensors in the default layout, and returns its tensor: of one input in the
        user's shape where the op works on each number by itself, else in the shape of the op's frame."""
        if len(inputs) == 1 and op.elementwise:
            return self._each(op, inputs[0])
        op, inputs, behind = self._of_integers(op, inputs)
        base = self._node(op, *(self.framed(x) for x in inputs))
        return behind(self._whole(base, (1, *self.types[base].shape)))

    def _each(self, op: Op, x: Tensor) -> Tensor:
        """A node of an elementwise op, on what the tensor is a view of where that is no more than the tensor."""
        view, quantize = self.views[x], op.requantization
        if isinstance(quantize, Quantize) and view.base in self.floats:
            return self._quantize_input(Levels.of(quantize), quantize.exponent, x)
        if isinstance(quantize, Quantize) and view.base in self.deferred:
            if quantize.bounded:
                return self._levels(x, Levels.of(quantize), quantize.exponent)
            view = self.exact(x)
        if not view.covers or (
            view.zeros and isinstance(quantize, Quantize) and not quantize.low <= 0 <= quantize.high
        ):
            view = self._settled(x)
        if isinstance(quantize, Quantize) and self._better_as_function(view.base):
            of = self.functions[view.base]
            return self._named(view.on(self._of_function(of, Levels.of(quantize), quantize.exponent)))
        base = self._node(op, self.exact(self._named(view)).base)
        return self._named(view.on(base))

    def _levels(self, x: Tensor, levels: Levels, exponent: int) -> Tensor:
        """The levels, each worth 2^exponent, that a quantizer makes of a function that awaits it."""
        view = self.views[x]
        of = self.functions[view.base]
        if not view.covers and not view.zeros:
            of, view = self._part(of, view)
        if (
            view.zeros
            and isinstance(of, Line)
            and (of.rising is not None or any(levels.of_end(of.cut_off(offset)) for offset in of.offsets))
        ):
            if of.kinds is not None or of.other is not None:
                raise UnsupportedLayer(
                    f"padding of {of.name}, whose channels have several offsets", self.path, "quantize it before"
                )
            view = self._settled(self._named(view.on(of.x)))
            of = replace(of, x=view.base)
        return self._named(view.on(self._of_function(of, levels, exponent)))

    def _part(self, of: Function | Line, view: View) -> tuple[Function | Line, View]:
        """A function of those numbers alone that a view of it takes, and the view of all of these."""
        index = view.places.reshape(frame_shape(view.shape[1:]))
        path, self.path = self.path, of.path
        source = self._node(Move(index, of.path), of.x, name=f"{of.path} moved")
        self.path = path
        of = replace(of, x=source)
        if isinstance(of, Line):
            other = None
            if of.other is not None:
                other = self._node(Move(index, of.path), of.other[0], name=f"{of.path} moved"), of.other[1]
            kinds = None if of.kinds is None else of.kinds[index.reshape(-1)]
            of = replace(of, kinds=kinds, other=other)
        return of, View(source, index.size, view.shape)

    def _better_as_function(self, base: str) -> bool:
        """Whether a quantizer of a node is a table of what it is computed from: it is the result of a product."""
        of = self.functions.get(base)
        node = next((node for node in reversed(self.nodes) if node.name == base), None)
        return of is not None and node is not None and len(node.inputs) > 1

    def _of_function(self, of: Function | Line, levels: Levels, exponent: int) -> str:
        """The node of a function and its quantizer, whose levels are each worth 2^exponent."""
        kind, here = self.types[of.x], self.path
        self.path = of.path  # the layer's own name
        try:
            if isinstance(of, Function):
                return self._node(of.lookup(levels, exponent, kind), of.x)
            return self._of_line(of, of.levels(levels), exponent)
        finally:
            self.path = here

    def _of_line(self, of: Line, levels: Levels, exponent: int) -> str:
        """The node that requantizes a line by channel, or each number as a channel of its own."""
        kind = self.types[of.x]
        if of.kinds is not None:
            kinds = of.kinds.reshape(kind.shape)
            if (kinds != kinds[:, :1, :1]).any():
                flat = self._node(Move(np.arange(kinds.size).reshape(-1, 1, 1), self.path), of.x)
                of, kinds = replace(of, x=flat), kinds.reshape(-1, 1, 1)
                kind = self.types[flat]
            of = of.of_kinds(kinds[:, 0, 0])
        if of.other is not None:
            add, op, note = sum_requantizer(of, levels, exponent, kind, self.types[of.other[0]])
            name = self._node(op, self._node(add, of.x, of.other[0]))
            self.requantizations.append(replace(note, name=name))
            return name
        return self._requantized(of, requantizer, levels, exponent)

    def _requantized(self, of: Line, fit: Callable, *how) -> str:
        """The node of the op that `fit` of hwgen/requantizers.py finds for a line of one tensor, whose kinds are those
        of the channels; where steps would fall it is of the negative of these channels."""
        made = next((node for node in reversed(self.nodes) if node.name == of.x), None)
        reach = None if made is None else made.op.channel_ends(*(self.types[name] for name in made.inputs))
        carried = made is not None and isinstance(made.op, Conv)
        try:
            op, note = fit(of, *how, self.types[of.x], reach, carried, self.target)
        except UnsupportedLayer:
            if min(of.scales) >= 0:
                raise
            channels = self.types[of.x].shape[0]
            signs = np.array([-1.0 if scale < 0 else 1.0 for scale in of.scales])
            each = np.broadcast_to(signs, channels) if of.kinds is None else signs[of.kinds]
            base = self._node(depthwise(each, np.zeros(channels), of.path), of.x)
            return self._requantized(replace(of.flipped(signs), x=base), fit, *how)
        name = self._node(op, of.x)
        if note is not None:
            self.requantizations.append(replace(note, name=name))
        return name

    def over(self, x: Tensor, dim: int, op: Op) -> Tensor:
        """Appends a node that works on the channels of each pixel, dimension `dim` of the user's shape (the batch
        counted) being the channels; the result has another size there, or the same."""
        op, (x,), behind = self._of_integers(op, (x,))
        view = self.exact(x)
        places = np.moveaxis(view.places, dim, 0)
        rest = places.shape[1:]
        own = self.types[view.base].shape
        flat = View.of(view.base, view.size, places.reshape(len(places), -1))
        frame = own if flat.index is None and own[0] == len(places) else (len(places), *laid_out(rest))
        base = self._node(op, self.framed(x, places.reshape(frame)))
        channels = self.types[base].shape[0]
        index = np.moveaxis(np.arange(channels * prod(rest)).reshape(channels, *rest), 0, dim)
        return behind(self._named(View.of(base, index.size, index)))

    def join(self, op: Op, a: Tensor, b: Tensor) -> Tensor:
        """Appends a node that takes a number of each of two tensors for each of its results; shapes are broadcast."""
        if self.line(a) is not None or self.line(b) is not None:
            return self._joined_lines(op, a, b)
        bases, index = self._sides(a, b)
        return self._named(View.of(self._node(op, *bases), index.size, index))

    def _sides(self, a: Tensor, b: Tensor) -> tuple[list[str], np.ndarray]:
        """The nodes of two tensors, broadcast, in frames that are alike, and the index of the user's shape in these."""
        views = [self.exact(a), self.exact(b)]
        try:
            shape = np.broadcast_shapes(*(view.shape for view in views))
        except ValueError:
            raise UnsupportedLayer(
                f"{list(views[0].shape)} and {list(views[1].shape)} do not broadcast",
                self.path,
                "make the shapes equal",
            ) from None
        able = [view.whole and view.shape == shape for view in views]
        first = 1 if able[1] and not able[0] else 0
        if able[first]:
            # as the one lies in its frame, so must the other
            order = np.argsort(views[first].places.reshape(-1))
            frame = self.types[views[first].base].shape
        else:
            order, frame = np.arange(prod(shape)), frame_shape(shape[1:])
        bases = [
            self.framed(x, view.spread(shape).reshape(-1)[order].reshape(frame))
            for x, view in zip((a, b), views, strict=True)
        ]
        index = np.empty(prod(shape), np.int64)
        index[order] = np.arange(prod(shape))
        return bases, index.reshape(shape)

    def concat(self, parts: Sequence[Tensor], dim: int) -> Tensor:
        """The tensors one behind the other along a dimension of the user's shape, the batch counted."""
        if any(self.line(part) is not None for part in parts):
            return self._concat_lines(parts, dim)
        views = [self.exact(part) for part in parts]
        merged = views[:1]
        for view in views[1:]:
            last = merged[-1]
            if view.base == last.base:
                merged[-1] = View.of(view.base, view.size, np.concatenate([last.places, view.places], axis=dim))
            else:
                merged.append(view)
        if len(merged) == 1:
            return self._named(merged[0])
        axis, sides, others = self._along(merged, dim)
        base, indices, start = "", [], 0
        whole = [*sides]
        whole[axis] = sum(view.shape[dim] for view in merged)
        for view in merged:
            own = [*sides]
            own[axis] = view.shape[dim]
            at = np.arange(own[axis]).reshape(-1, *[1] * (len(view.shape) - 1 - dim))
            frame = np.empty(prod(own), np.int64)
            frame[_place(others, axis, at, own).reshape(-1)] = view.places.reshape(-1)
            part = self.framed(self._named(view), frame.reshape(own))
            base = self._node(Concat(axis, self.path), base, part) if base else part
            indices.append(_place(others, axis, at + start, whole))
            start += own[axis]
        return self._named(View.of(base, prod(whole), np.concatenate(indices, axis=dim)))

    def _along(self, views: list[View], dim: int) -> tuple[int, tuple[int, ...], list[np.ndarray]]:
        """How to concatenate: along which axis of frames of which shape, and which coordinates in these a number has by
        the other dimensions, those along the axis being of no account. As one of them lies already, or by channels."""
        for view in views:
            frame = self.types[view.base].shape
            if not view.whole:
                continue
            places = np.unravel_index(view.places, frame)
            along = np.arange(view.shape[dim]).reshape(-1, *[1] * (len(view.shape) - 1 - dim))
            first = [np.take(place, [0], dim) for place in places]
            for axis in range(3):
                fixed = all((places[n] == first[n]).all() for n in range(3) if n != axis)
                if fixed and frame[axis] == view.shape[dim] and (places[axis] == along).all():
                    return axis, frame, first
        shape = views[0].shape
        rest = (*shape[:dim], *shape[dim + 1 :])
        rows, columns = laid_out(rest)
        at = np.unravel_index(np.expand_dims(np.arange(prod(rest)).reshape(rest), dim), (1, rows, columns))
        return 0, (shape[dim], rows, columns), list(at)

    def matmul(self, op: Op, a: Tensor, b: Tensor) -> Tensor:
        """Appends a node of hwgen/ops/matmul.py: a [..., L, K] times b [..., K, M], what is before these dimensions
        broadcast: its rows."""
        (a, b), behind = self._factors(a, b)
        views = [self.exact(a), self.exact(b)]
        length, outputs = views[0].shape[-2], views[1].shape[-1]
        before = np.broadcast_shapes(*(view.shape[:-2] for view in views))
        rows = prod(before)
        left, right = (view.spread((*before, *view.shape[-2:])).reshape(rows, *view.shape[-2:]) for view in views)
        sides = self.framed(a, left.transpose(2, 0, 1)), self.framed(b, right.transpose(1, 0, 2))
        base = self._node(op, *sides)
        index = np.arange(outputs * rows * length).reshape(outputs, *before, length)
        return behind(self._named(View.of(base, index.size, np.moveaxis(index, 0, -1))))

    def _joined_lines(self, op: Op, a: Tensor, b: Tensor) -> Tensor:
        """A sum or a product of lines."""
        if op.degree == 2:
            (a, b), behind = self._factors(a, b)
            return behind(self.join(op, a, b))
        if not isinstance(op, Add):
            self.exact(a)
            self.exact(b)
            return self.join(op, a, b)
        (raw_a, of_a), (raw_b, of_b) = self._unclipped(a), self._unclipped(b)
        if any(of.kinds is not None or of.other is not None for of in (of_a, of_b)):
            worst = of_a if of_a.kinds is not None or of_a.other is not None else of_b
            raise UnsupportedLayer(
                f"a sum with {worst.name}, which is not quantized and has several scales",
                self.path,
                f"put a quantizer behind {worst.name}",
            )
        sign = op.multipliers[1]
        bases, index = self._sides(raw_a, raw_b)
        view = View.of(bases[0], index.size, index)
        offset = of_a.offset + sign * of_b.offset
        name = short(self.node)
        if abs(of_a.scale) == abs(of_b.scale) and self._same_grid(*bases):
            base = self._node(Add(self.path, (1, sign if of_a.scale == of_b.scale else -sign)), *bases)
            return self.defer(view.on(base), Line(base, name, self.path, (of_a.scale,), (offset,)))
        other = bases[1], sign * of_b.scale
        return self.defer(view, Line(bases[0], name, self.path, (of_a.scale,), (offset,), other=other))

    def _same_grid(self, a: str, b: str) -> bool:
        return self.types[a].exponent == self.types[b].exponent

    def _concat_lines(self, parts: Sequence[Tensor], dim: int) -> Tensor:
        """Lines one behind the other: a kind for each."""
        pairs = [self._unclipped(part) for part in parts]
        for _, of in pairs:
            if not of.uniform:
                raise UnsupportedLayer(
                    f"a concatenation with {of.name}, which is not quantized and has several scales",
                    self.path,
                    f"put a quantizer behind {of.name}",
                )
        exponents = {self.types[of.x].exponent for _, of in pairs}
        if len(exponents) > 1:
            raise UnsupportedLayer(
                "a concatenation of numbers with scales and of others", self.path, "put a quantizer behind each part"
            )
        result = self.concat([raw for raw, _ in pairs], dim)
        kinds_of = sorted({(of.scale, of.offset) for _, of in pairs})
        each = [kinds_of.index((of.scale, of.offset)) for _, of in pairs]
        sizes = [self.views[raw].shape[dim] for raw, _ in pairs]
        along = np.repeat(each, sizes).reshape(-1, *[1] * (len(self.views[result].shape) - 1 - dim))
        scales, offsets = zip(*kinds_of, strict=True)
        kinds = None
        if len(kinds_of) > 1:
            found = self._backed(result, along)
            if found is None:  # numbers that are left out, or that are there with several scales
                result = self._named(self._settled(result))
                found = self.views[result].back(along)
            kinds = found.astype(np.int64)
        view = self.views[result]
        return self.defer(view, Line(view.base, "cat", self.path, scales, offsets, kinds))

    def quantized(
        self, x: Tensor, scale, zero, axis: int, low: int, high: int, rounding: str, rule: Rule | None = None
    ) -> Tensor:
        """The levels that hwgen.quantize_affine makes of a tensor, for its arguments: a line of integers that are these
        levels less the zero point, so that what is padded with them is worth zero; rule -- see `Levels`."""
        self.foreign = True
        key, zero_first = rounding_of(rounding)
        scale, zero = (np.asarray(values, np.float64).reshape(-1) for values in (scale, zero))
        if not (np.isfinite(scale) & (scale > 0)).all():
            raise OffGrid(
                f"a quantizer's scale is {float(scale[~(np.isfinite(scale) & (scale > 0))][0])}",
                self.path,
                "look for a channel that was never calibrated; scales are positive numbers",
            )
        point = int(zero[0])
        if (zero != point).any():
            raise UnsupportedLayer(
                "an activation's zero points differ from channel to channel, or are no integers",
                self.path,
                "use one zero point for all channels",
            )
        if len(scale) > 1:
            along = scale.reshape(
                [-1 if n == axis % len(self.views[x].shape) else 1 for n in range(len(self.views[x].shape))]
            )
            x, scale = self.affine(x, 1, 0, by_number=False, divisor=along), np.ones(1)
        shifted = point if zero_first and key in ("half_away", "to_zero") else 0
        if zero_first and key == "half_even" and point % 2:
            key = "half_odd"
        if key == "half_away" and low >= point and not shifted:
            key = "half_up"  # above zero
        levels = Levels(Fraction(float(scale[0])), low - point, high - point, key, shifted, rule)
        exponent = _exponent(levels.scale) if self.dyadic else 0
        if self.views[x].base in self.floats:
            result = self._quantize_input(levels, exponent, x)
        else:
            if not self.is_function(x):
                view = self.views[x]
                x = self.defer(view, Line.itself(view.base, self.types[view.base], self.path))
            result = self._levels(x, levels, exponent)
        of = Line(
            self.views[result].base, "levels", self.path, offsets=(Fraction(point),), single=np.ones(1, np.float32)
        )
        return self.defer(self.views[result], of)

    def counted(self, x: Tensor, steps: np.ndarray) -> Tensor:
        """How many steps of its channel each number is not below: what hwgen.count_steps makes of a tensor."""
        of = self.line(x)
        if of is None:
            view = self.exact(x)
            of = Line.itself(view.base, self.types[view.base], self.path)
        if of.other is not None or np.isnan(steps).any():
            raise UnsupportedLayer(
                f"thresholds of {of.name} of two scales, or that are no numbers", self.path, "quantize the sum first"
            )
        raw = self._named(self.views[x].on(of.x))
        kinds = self._channels(raw, of)
        view = self._settled(raw)
        kind = self.types[view.base]
        if len(steps) > 1 or kinds is not None:
            own = np.zeros(kind.shape[0], np.int64) if kinds is None else kinds
            if len(steps) not in (1, len(own)):
                raise UnsupportedLayer(
                    f"thresholds of {len(steps)} channels for {len(own)}", self.path, "give each channel its thresholds"
                )
            scales, offsets = (tuple(numbers[k] for k in own) for numbers in (of.scales, of.offsets))
            steps = np.broadcast_to(steps, (len(own), steps.shape[1]))
            of = replace(of, scales=scales, offsets=offsets, kinds=np.arange(len(own)))
        return self._named(view.on(self._requantized(replace(of, x=view.base, path=self.path), counter, steps)))

    def _quantize_input(self, levels: Levels, exponent: int, x: Tensor) -> Tensor:
        """The tensor of an input's integers, each worth 2^exponent; its frame is that of the user's shape, or of what
        was made of it before the first quantizer by moving all of it."""
        view = self.views[x]
        of = self.floats[view.base]
        known = self.inputs.get(of.name)
        steps = of.steps
        if levels.zero:
            raise UnsupportedLayer(
                f"an input rounded by {levels.rounding} with a zero point", self.path, "round half even"
            )
        levels = replace(levels, low=levels.of_end(of.ends[0]), high=levels.of_end(of.ends[1]))
        if view.zeros and not levels.low <= 0 <= levels.high:
            raise UnsupportedLayer(
                f"zeros beside an input whose levels are {levels.low} to {levels.high}, less the zero point",
                self.path,
                "put them behind the quantizer",
            )
        if levels.scale != Fraction(2) ** exponent:
            steps = (*steps, ("div", np.array(float(levels.scale))))
        kind = TensorType(self.types[of.name].shape, QType(levels.low, levels.high), exponent)
        if known is None:
            shape = view.shape[1:] if view.whole else of.shape
            moved = None if not view.whole or view.index is None else view.index.reshape(-1)
            kind = replace(kind, shape=frame_shape(shape))
            known = self.inputs[of.name] = Input(of.name, kind, of.shape, moved, steps, levels.rounding)
            self.types[of.name] = kind
        quantized = (known.type, known.rounding, [step for step, _ in known.steps])
        alike = quantized == (kind, levels.rounding, [step for step, _ in steps])
        if not alike or not all(np.array_equal(a, b) for (_, a), (_, b) in zip(known.steps, steps, strict=True)):
            raise UnsupportedLayer(
                "the input is quantized in two ways", self.path, "quantize it once, and use the result twice"
            )
        index = view.places
        if known.view is not None:
            index = np.where(index < 0, -1, np.argsort(known.view)[index])
        return self._named(View.of(of.name, view.size, index))

    def left_to_host(self, x: Tensor, what: str, dim: int) -> Tensor:
        """The tensor, as an output of which the host makes `what` along a dimension of the user's shape."""
        result = self._named(self.views[x])
        self.hosts[result] = (what, dim)
        return result

    def output(self, x: Tensor) -> Output:
        """What is sent of a tensor: all of its base, if the host can pick its numbers from that; of a line its
        integers."""
        of, host = self.line(x), self.hosts.get(x)
        if of is None or of.other is not None:
            raw, scale, offset = self._named(self.exact(x)), None, None
        else:
            raw, of = self._unclipped(x)
            worth = Fraction(2) ** self.types[of.x].exponent
            sides = [[number / worth for number in of.scales], of.offsets]
            if of.kinds is None:
                scale, offset = (np.array(float(side[0])) for side in sides)
            else:
                kinds = of.kinds[self.views[raw].places[0]]
                scale, offset = (np.array([float(number) for number in side])[kinds] for side in sides)
            scale = None if (scale == 1).all() else scale
            offset = None if (offset == 0).all() else offset
        view = self.exact(raw)
        if view.shape[:1] != (1,):
            raise UnsupportedLayer(
                f"a result of shape {list(view.shape)}, which is no frame of numbers for each input",
                "output",
                "keep the batch as the first dimension",
            )
        if view.covers and not view.zeros:
            index = None if view.index is None else view.index[0]
            return Output(view.base, view.shape[1:], index, host, scale, offset)
        return Output(self.framed(raw), view.shape[1:], None, host, scale, offset)


def _exponent(scale: Fraction) -> int:
    """That of a power of two; 0 of any other number."""
    return scale.numerator.bit_length() - scale.denominator.bit_length() if is_power(scale) else 0


def is_power(scale: Fraction) -> bool:
    return all(number & (number - 1) == 0 for number in scale.as_integer_ratio())


def _place(others: list[np.ndarray], axis: int, along: np.ndarray, frame: Sequence[int]) -> np.ndarray:
    """The places in a frame of the coordinates `others`, but for `axis`, where they are `along`."""
    at = [along if n == axis else other for n, other in enumerate(others)]
    return np.ravel_multi_index(np.broadcast_arrays(*at), tuple(frame))
