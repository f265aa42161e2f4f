"""Functions of integers that await their quantizer: lines of any scale, exactly, and what rises or is a table."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from math import inf, isinf
from typing import Any

import numpy as np
import torch

from hwgen.errors import DoesNotFit, MissingActQuant, OffGrid, UnsupportedLayer
from hwgen.functions import Function, Line, single_product
from hwgen.ir import STEPS, Op, TensorType
from hwgen.nests import doubles, leaves, mapped
from hwgen.nodes import Floats, Nodes, Tensor, short
from hwgen.ops.conv import Conv, depthwise
from hwgen.ops.lookup import TABLE_BITS
from hwgen.ops.move import Move
from hwgen.ops.offset import Offset
from hwgen.ops.quantize import UNBOUNDED, Quantize
from hwgen.terms import significant_bits, trailing_exponent
from hwgen.views import View, frame_shape

FINER_BITS = 12  # by which a constant may make integers wider that another tool's quantizer made
# calls that never fall, of which the levels of any number are steps
RISING = (
    *("atan", "celu", "clamp", "clamp_max", "clamp_min", "elu", "exp", "hardsigmoid", "hardtanh", "leaky_relu"),
    *("log_sigmoid", "prelu", "relu", "relu6", "selu", "sigmoid", "softplus", "tanh"),
)
RISING_SAMPLES = 1001


class Lines(Nodes):
    """What calls make of functions that await their quantizer."""

    def of_one(self, tensors: Sequence[Tensor]) -> bool:
        """Whether tensors are functions of the same one, number by number, which a table takes."""
        if any(self.views[x].base in self.floats or not self.views[x].same(self.views[tensors[0]]) for x in tensors):
            return False
        known = [self.functions[base] for x in tensors if (base := self.views[x].base) in self.functions]
        plain = all(
            isinstance(of, Function) or (of.kinds is None and of.other is None and of.rising is None) for of in known
        )
        return plain and len({self.source(x) for x in tensors}) == 1 and self.is_narrow(tensors[0])

    def known(self, x: Tensor) -> Tensor:
        """The tensor, noted as what the call at work makes of a narrower one, if it is of one alone."""
        base = self.views[x].base
        if self.of_one(self.computed()) and self._in_place(base):
            self.functions[base] = self._called()
        return x

    def _in_place(self, base: str) -> bool:
        """Whether each number of a node's result is where those are that it is computed from: no Move is between."""
        node = next(node for node in reversed(self.nodes) if node.name == base)
        source = self.source(self.computed()[0])
        return all(name == source or ((of := self.functions.get(name)) and of.x == source) for name in node.inputs)

    def _called(self) -> Function:
        """The function that the call at work makes of the one that its tensors are."""
        of = self.function(self.computed()[0])
        return Function(of.x, short(self.node), self.path, self._values())

    def _values(self) -> np.ndarray:
        """The results of the call at work on the values of the functions that its tensors are: float64."""

        return self._at(self._of_each).reshape(-1)

    def _of_each(self, x: Tensor) -> torch.Tensor:
        """The values that a tensor may have, one for each integer in the range of its source."""
        return torch.tensor(self.function(x).values)

    def _settle_zeros(self) -> None:
        """Makes the zeros of the views that the call at work takes numbers like the others, unless it makes zeros of
        them."""
        padded = [x for x in self.computed() if self.views[x].zeros]
        if padded and self._at(lambda x: torch.zeros_like(self._of_each(x)[:1])).any():  # NaN is not zero
            for x in padded:
                self.views[x] = self._settled(x)

    def clipped(self, x: Tensor, low: float, high: float) -> Tensor:
        """An input's floats, or a function that awaits its quantizer, cut off by the call at work."""
        view, of = self.views[x], self.line(x)
        ends = [end if isinf(end) else Fraction(end) for end in (low, high)]
        if view.base in self.floats:
            if view.zeros and not low <= 0 <= high:  # the zeros would be cut off, too
                self.exact(x)
            base = f"{self.floats[view.base].name}, cut {len(self.floats)}"
            self.floats[base] = self.floats[view.base].cut(*ends)
            return self._named(view.on(base))
        return self.pointwise() if of is None else self.defer(self.views[x], of.cut(*ends))

    def pointwise(self) -> Tensor:
        """The call at work, of tensors that are functions of the same one: a table, once a quantizer says on which grid
        its results are."""
        name, computed = short(self.node), self.computed()
        if any(getattr(leaf, "ndim", 0) and leaf.numel() > 1 for leaf in leaves([self.args, self.kwargs])):
            raise UnsupportedLayer(
                f"{name} with a constant that differs from place to place",
                self.path,
                "use one number for all, or sums and products with constants: x * mask + value",
            )
        self._settle_zeros()
        source = self.types[self.source(computed[0])]
        if source.qtype.bits > TABLE_BITS:
            return self._risen(name in RISING)
        if not self.of_one(computed):
            for x in computed:
                self.exact(x)
            raise UnsupportedLayer(
                f"{name} of several tensors", self.path, "only functions of one activation are built"
            )
        return self.defer(self.views[computed[0]], self._called())

    def _risen(self, rises: bool) -> Tensor:
        """The call at work, of a line that is too wide for a table: where it rises its levels are steps."""
        name, computed = short(self.node), self.computed()
        x = computed[0]
        base = self.views[x].base
        of = self.functions[base] if base in self.deferred else Line.itself(base, self.types[base], self.path)
        kind = self.types[of.x]
        node, args, kwargs = self.node, self.args, self.kwargs

        def call(values: np.ndarray) -> np.ndarray:
            given = torch.from_numpy(np.asarray(values, np.float64))
            these, named = (mapped(lambda leaf: given if isinstance(leaf, Tensor) else leaf, a) for a in (args, kwargs))
            result = node.target(*doubles(these), **doubles(named))
            return (result[0] if isinstance(result, tuple) else result).numpy()

        if rises and len(computed) == 1 and isinstance(of, Line) and of.other is None:
            found = of.followed(call, name, self.path)
            samples = np.linspace(kind.qtype.low, kind.qtype.high, RISING_SAMPLES).astype(np.int64)
            risen = np.diff(found.values(np.tile(samples, (len(of.scales), 1))), axis=1)
            signs = np.array([-1 if scale < 0 else 1 for scale in of.scales])
            if (risen * signs[:, None] >= 0).all():
                return self.defer(self.views[x], found)
        raise UnsupportedLayer(
            f"{name} of {kind.qtype.bits} bits: a table takes up to {TABLE_BITS}, and it is not known to rise",
            self.path,
            f"put hwgen.nn.ActQuant(bits, exponent, signed) of up to {TABLE_BITS} bits before it",
        )

    def _is_plain(self, of: Line) -> bool:
        """Whether a line is what its tensor is worth, anyway."""
        own = Line.itself(of.x, self.types[of.x], of.path)
        return self.dyadic and of.uniform and (of.scale, of.offset) == (own.scale, own.offset)

    def affine(self, x: Tensor, scale, offset, by_number: bool = True, divisor: Any = 1) -> Tensor:
        """scale * x / divisor + offset, exactly, as the call at work computes it: constants that broadcast against the
        user's shape; a line where that is on no grid.

        by_number -- whether that call takes a number, too, as it takes the tensor
        """
        scale, offset, divisor = (self.of_one_frame(values) for values in (scale, offset, divisor))
        view = self.views[x]
        if view.base in self.floats:
            return self._step(x)
        finite = all(np.isfinite(values).all() for values in (scale, offset)) and (divisor != 0).all()
        of = self.line(x)
        if of is None or not finite:
            numbers = (
                by_number and max(np.size(scale), np.size(offset), np.size(divisor)) == 1 and self.computed() == [x]
            )
            try:
                with np.errstate(divide="ignore", invalid="ignore"):
                    exact = scale / divisor
                if (finite and (exact * divisor != scale).any()) or (_odd_part(divisor) != 1).any():
                    raise OffGrid(f"a quotient by {divisor.reshape(-1)[0]:g} is on no grid", self.path)
                if self.foreign and not self.is_function(x) and self._is_wide(exact, offset, self.types[view.base]):
                    raise OffGrid("a factor or an offset that the quantizer behind it takes", self.path)
                result = self._affine(x, exact, offset)
                return self.known(result) if numbers else result
            except (OffGrid, DoesNotFit, MissingActQuant):
                if not finite or (self.is_function(x) and not numbers):
                    raise
                if self.is_function(x):
                    self._settle_zeros()
                    if self.is_narrow(x):
                        return self.defer(self.views[x], self._called())
                    return self._risen(bool((scale / divisor > 0).all()))
                of = Line.itself(view.base, self.types[view.base], self.path)
        of = replace(of, name=short(self.node), path=self.path)
        return self._along_line(self._named(view.on(of.x)), of, scale, offset, divisor)

    @staticmethod
    def _is_wide(scale: np.ndarray, offset: np.ndarray, kind: TensorType) -> bool:
        """Whether integers times the scales and plus the offsets take far more bits."""
        some, factors = offset[offset != 0], scale[scale != 0]
        fine = some.size > 0 and int(trailing_exponent(some).min()) < kind.exponent - FINER_BITS
        return fine or (factors.size > 0 and int(significant_bits(factors).max()) > FINER_BITS)

    def _affine(self, x: Tensor, scale: np.ndarray, offset: np.ndarray) -> Tensor:
        """The same, exactly: by channel, or with a constant for each place, or else each number a channel."""
        view = self.exact(x)
        if not (np.isfinite(scale).all() and np.isfinite(offset).all()):
            raise OffGrid(
                f"a constant of {short(self.node)} is not finite",
                self.path,
                "use the least number on the grid for -inf",
            )
        shape = np.broadcast_shapes(view.shape, scale.shape, offset.shape)
        if shape != view.shape:
            x = self.moved(x, lambda places: torch.broadcast_to(places, shape))
            view = self.exact(x)
        if not view.covers or view.zeros:
            view = self._settled(x)
        frame = self.types[view.base].shape
        scales, offsets = (view.back(values).reshape(frame) for values in (scale, offset))
        if np.isnan(scales).any() or np.isnan(offsets).any():  # of numbers that are there several times
            view = self._settled(x)
            frame = self.types[view.base].shape
            scales, offsets = (view.back(values).reshape(frame) for values in (scale, offset))
        by_channel = [(values == values[:, :1, :1]).all() for values in (scales, offsets)]
        if all(by_channel):
            base = self._node(depthwise(scales[:, 0, 0], offsets[:, 0, 0], self.path), view.base)
            return self._named(view.on(base))
        if by_channel[0]:
            base = view.base
            if (scales != 1).any():
                base = self._node(depthwise(scales[:, 0, 0], np.zeros(frame[0]), self.path), base)
            return self._named(view.on(self._node(Offset.of(offsets, self.path), base)))
        flat = self._node(Move(np.arange(view.size).reshape(-1, 1, 1), self.path), view.base)
        return self._named(view.on(self._node(depthwise(scales.reshape(-1), offsets.reshape(-1), self.path), flat)))

    def _along_line(self, raw: Tensor, of: Line, scale: np.ndarray, offset: np.ndarray, divisor: np.ndarray) -> Tensor:
        """scale * it / divisor + offset of a line whose integers are `raw`: constants that broadcast against that."""
        if scale.size == offset.size == divisor.size == 1:
            of = of.scaled(*(float(number.reshape(())) for number in (scale, offset, divisor)))
            return raw if self._is_plain(of) else self.defer(self.views[raw], of)
        if of.other is not None or of.clipped:
            raise UnsupportedLayer(
                f"the result of {of.name} is scaled place by place before it is quantized",
                self.path,
                "put a quantizer behind the sum or the clipping",
            )
        scale, divisor = np.broadcast_arrays(scale, divisor)
        shape = np.broadcast_shapes(self.views[raw].shape, scale.shape, offset.shape)
        if shape != self.views[raw].shape:
            raw = self.moved(raw, lambda places: torch.broadcast_to(places, shape))
        raw, of, found = self._in_base(raw, of, scale, divisor, offset)
        steps, which = np.unique(found, axis=1, return_inverse=True)
        return self.defer(self.views[raw], of.scaled_by_place(steps, which.reshape(-1)))

    def _in_base(self, raw: Tensor, of: Line, *constants: np.ndarray) -> tuple[Tensor, Line, np.ndarray]:
        """Constants that broadcast against a line's integers `raw` where they belong in the base of these: float64
        [constants, size]; the numbers become a node of their own, if need be."""
        found = [self._backed(raw, values) for values in constants]
        if any(values is None for values in found) or self.views[raw].zeros:
            places = self.views[raw].places.reshape(-1)
            of = replace(of, kinds=None if of.kinds is None else of.kinds[places])
            raw = self._named(self._settled(raw))
            found = [self._backed(raw, values) for values in constants]
        return raw, replace(of, x=self.views[raw].base), np.stack(found)  # type: ignore[arg-type]

    def by_index(self, x: Tensor, values: np.ndarray) -> tuple[Tensor, np.ndarray]:
        """A tensor of integers, or a line, as a line of which each kind is of one of `values`: integers from 0 on that
        broadcast against the user's shape; and that one of each kind, int64."""
        raw, of, (found,) = self._in_base(*self._unclipped(x), values)
        own = 0 if of.kinds is None else of.kinds
        codes, kinds = np.unique(own * (values.max() + 1) + found, return_inverse=True)
        before, which = np.divmod(codes.astype(np.int64), values.max() + 1)
        line = replace(
            of,
            scales=tuple(of.scales[kind] for kind in before),
            offsets=tuple(of.offsets[kind] for kind in before),
            kinds=kinds.reshape(-1).astype(np.int64) if len(codes) > 1 else None,
            single=None,
        )
        return self.defer(self.views[raw], line), which

    def _unclipped(self, x: Tensor) -> tuple[Tensor, Line]:
        """The integers of a tensor and the line that they are worth, where what it is cut off at is done to them."""
        view, of = self.views[x], self.line(x)
        if of is None:
            view = self.exact(x)
            return self._named(view), Line.itself(view.base, self.types[view.base], self.path)
        raw = view.on(of.x)
        if not of.clipped:
            return self._named(raw), of
        ends = of.integer_ends()
        if ends is None:
            raise MissingActQuant(f"the result of {of.name} is used as floats", of.path, _QUANTIZE)
        kind = self.types[of.x]
        low, high = (int(min(max(end, -UNBOUNDED), UNBOUNDED)) for end in ends)
        if raw.zeros and not low <= 0 <= high:  # the zeros are cut off, too
            kinds = None if of.kinds is None else of.kinds[raw.places.reshape(-1)]
            raw = self._settled(self._named(raw))
            of = replace(of, x=raw.base, kinds=kinds)
        base = self._node(Quantize(kind.exponent, low, high), of.x)
        return self._named(raw.on(base)), replace(of, x=base, ends=(-inf, inf))

    def _exact_line(self, x: Tensor, of: Line) -> View:
        """The view of a line's numbers as integers on a grid, where there is one."""
        raw, of = self._unclipped(x)
        worth = Fraction(2) ** self.types[of.x].exponent
        numbers = [[scale / worth for scale in of.scales], list(of.offsets)]
        dyadic = all(_is_float(number) for side in numbers for number in side)
        if of.other is not None or not dyadic:
            raise MissingActQuant(f"the result of {of.name} is used as floats", of.path, _QUANTIZE)
        if of.kinds is None:
            scale, offset = (np.array(float(side[0])) for side in numbers)
        else:
            kinds = of.kinds[self.views[raw].places]
            scale, offset = (np.array([float(number) for number in side])[kinds] for side in numbers)
        return self.views[self._affine(raw, scale, offset)]

    def _of_integers(self, op: Op, inputs: Sequence[Tensor]) -> tuple[Op, tuple[Tensor, ...], Callable]:
        """What works on integers in the place of an op of lines, on which integers, and what makes of its result the
        line that it is."""
        lines = [self.line(x) for x in inputs]
        if isinstance(op, Conv):
            if lines[0] is not None or not op.is_on_grid:
                return self._convolution(op, inputs[0])
        elif len(inputs) == 1 and lines[0] is not None and op.degree is not None:
            raw, of = self._rising(inputs[0], lines[0]) if op.maximum else self._unclipped(inputs[0])
            if of.other is None and (min(of.scales) > 0 or (op.maximum and min(of.scales) == 0)):
                channels = self._channels(raw, of)
                if channels is not None and not op.maximum:
                    raise UnsupportedLayer(
                        f"{short(self.node)} over {of.name}, whose channels have several scales",
                        self.path,
                        f"put a quantizer behind {of.name}, of one scale for all channels",
                    )
                if op.degree == 0:
                    return op, (raw,), lambda result: result
                return op, (raw,), lambda result: self._by_channel(result, of, channels)
        return op, tuple(inputs), lambda result: result

    def _rising(self, x: Tensor, of: Line) -> tuple[Tensor, Line]:
        """The integers of a tensor, those of negative factors negated, and the line that they are worth, cut off as it
        is: the greatest of some is worth the most, whatever that is cut off at."""
        raw = self._named(self.views[x].on(of.x))
        if of.other is not None or min(of.scales) > 0:
            return raw, of
        each = np.array([-1.0 if scale < 0 else 1.0 for scale in of.scales])
        signs = each[0] if of.kinds is None else each[of.kinds[self.views[raw].places]]
        raw = self._affine(raw, signs, np.zeros_like(signs))
        if of.kinds is not None:
            of = replace(of, kinds=np.asarray(self.views[raw].back(of.kinds[self.views[x].places])).astype(np.int64))
        return raw, replace(of.flipped(each), x=self.views[raw].base)

    def _channels(self, raw: Tensor, of: Line) -> np.ndarray | None:
        """The kind of each channel of the frame of a line's integers; None where there is one."""
        if of.kinds is None:
            return None
        view = self.views[raw]
        kinds = of.kinds[view.places].reshape(frame_shape(view.shape[1:]))
        if (kinds != kinds[:, :1, :1]).any():
            raise UnsupportedLayer(
                f"{of.name} has scales that differ within a channel", self.path, "put a quantizer before this layer"
            )
        return kinds[:, 0, 0]

    def _by_channel(self, result: Tensor, of: Line, channels: np.ndarray | None = None) -> Tensor:
        """The tensor of a new node as the line that another one was; channels -- the kind of each channel of its frame;
        None: there is one."""
        view, kinds = self.views[result], None
        if channels is not None:
            shape = self.types[view.base].shape
            kinds = np.broadcast_to(channels[:, None, None], shape).reshape(-1).astype(np.int64)
        return self.defer(view, replace(of, x=view.base, kinds=kinds))

    def _convolution(self, op: Conv, x: Tensor) -> tuple[Op, tuple[Tensor, ...], Callable]:
        """A convolution of a line, or with weights on a grid of their own for each output, as one of integers."""
        raw, of = self._unclipped(x)
        channels = self._channels(raw, of)
        depthwise = op.groups == len(op.weight) and op.weight.shape[1] == 1
        if of.other is not None or (channels is not None and not depthwise):
            made = next((node.op.requantization for node in reversed(self.nodes) if node.name == of.x), None)
            if made is None or not made.bounded:
                raise MissingActQuant(f"the result of {of.name} is used as floats", of.path, _QUANTIZE)
            raise UnsupportedLayer(
                f"its input, {of.name}, has scales that differ from channel to channel",
                self.path,
                "put a quantizer before this layer, of one scale for all channels",
            )
        integers, worths = op.on_integers()
        own = [0] * len(worths) if channels is None else channels.tolist()
        totals = integers.weight.sum(axis=(1, 2, 3)).tolist()
        if any(of.offsets) and any(op.padding):
            raise UnsupportedLayer(
                f"padding with zeros of {of.name}, whose integers are not worth a multiple of their scale",
                self.path,
                "take the zero point away before this layer",
            )
        scales = [of.scales[k] * worth for k, worth in zip(own, worths, strict=True)]
        offsets = [
            of.offsets[k] * worth * int(total) + Fraction(bias)
            for k, worth, total, bias in zip(own, worths, totals, op.bias.tolist(), strict=True)
        ]
        single = None if of.single is None else single_product(of.single[own], worths)
        alike = len(set(zip(scales, offsets, strict=True))) == 1
        if alike:
            scales, offsets, single = scales[:1], offsets[:1], None if single is None else single[:1]
        sums = Line(raw, short(self.node), self.path, tuple(scales), tuple(offsets), single=single)
        channels = None if alike else np.arange(len(scales))
        return integers, (raw,), lambda result: self._by_channel(result, sums, channels)

    def _factors(self, a: Tensor, b: Tensor) -> tuple[tuple[Tensor, Tensor], Callable]:
        """The integers of the two factors of a product, and what makes of that the line that it is."""
        if self.line(a) is None and self.line(b) is None:
            return (a, b), lambda result: result
        (raw_a, of_a), (raw_b, of_b) = self._unclipped(a), self._unclipped(b)
        for of in (of_a, of_b):
            if not of.uniform or of.offset:
                raise UnsupportedLayer(
                    f"a product with {of.name}, which has several scales, or an offset",
                    self.path,
                    f"put a quantizer behind {of.name}, and take its zero point away",
                )
        product = Line(raw_a, short(self.node), self.path, (of_a.scale * of_b.scale,))
        return (raw_a, raw_b), lambda result: self._by_channel(result, product)

    def _step(self, x: Tensor) -> Tensor:
        """The call at work, of an input's floats and constants: the host does it, before it quantizes them."""
        view, name = self.views[x], short(self.node)
        of = self.floats[view.base]
        constants = [leaf for leaf in leaves([self.args, self.kwargs]) if not isinstance(leaf, Tensor)]
        first = isinstance(self.args[0], Tensor)
        if name not in STEPS or len(constants) != 1 or not (first or name in ("add", "mul")) or of.ends != (-inf, inf):
            self.exact(x)
        values = self.of_one_frame(constants[0])
        if view.zeros and name in ("add", "sub"):  # the zeros would be shifted, too
            self.exact(x)
        if values.size == 1:
            values = values.reshape(())
        else:
            fits = np.broadcast_shapes(view.shape, values.shape) == view.shape
            if not fits or not view.covers or np.isnan(values := view.back(values)).any():
                self.exact(x)
            values = values.reshape(of.shape)
        base = f"{of.name}, {name} {len(self.floats)}"
        self.floats[base] = Floats(of.name, of.shape, (*of.steps, (name, values)))
        return self._named(view.on(base))


_QUANTIZE = "put a quantizer behind it: it says on which grid its results are"


def _is_float(number: Fraction) -> bool:
    """Whether float64 holds a number."""
    return Fraction(float(number)) == number


def _odd_part(values: np.ndarray) -> np.ndarray:
    """abs(values) without its factors of two: float64."""
    mantissa = abs(np.frexp(values)[0]) * 2.0**53
    integer = mantissa.astype(np.int64)
    return integer / np.maximum(1, integer & -integer)
