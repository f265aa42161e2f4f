"""The multiplier, bias and shift that give every accumulator that can be reached the level that a tool gives it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np
import torch

from hwgen.errors import DoesNotFit, UnsupportedLayer
from hwgen.ops.rescale import PRODUCT_BITS, Rescale, Steps
from hwgen.rules import EXACT, Values, values_of

CHUNK = 1 << 20  # thresholds that are worked on at once
FAR = np.int64(1 << 62)
MOST_SHIFT = 61


@dataclass(frozen=True, eq=False)
class Fitted:
    """The op that requantizes, and what it was made of.

    thresholds  int64 [kinds, high - low]: the least accumulator with level low + 1, low + 2, ..., from reach[:, 0] to
                reach[:, 1] + 1; of a kind whose scale is negative these and `reach` are of the accumulator's negative
    reach       int64 [kinds, 2]: the least and the greatest accumulator
    wrong       how many accumulators get another level than by the rule: 0 unless `near` was asked for
    """

    op: Rescale | Steps
    thresholds: np.ndarray = field(repr=False)
    reach: np.ndarray = field(repr=False)
    wrong: int = 0

    @property
    def of(self) -> int:
        """How many accumulators can be reached, over all kinds."""
        return sum(int(high) - int(low) + 1 for low, high in self.reach)


def requantize(
    scales: Sequence[Fraction],
    offsets: Sequence[Fraction],
    reach: np.ndarray,
    low: int,
    high: int,
    rounding: str,
    *,
    rule: str | Values = EXACT,
    single: np.ndarray | None = None,
    near: int | None = None,
    exponent: int = 0,
    path: str = "",
) -> Fitted:
    """The op of least shift that gives level(acc) = clamp(round(acc * scale + offset), low, high), each kind (channel)
    by its own scale and offset, for each integer acc from reach[kind, 0] to reach[kind, 1].

    rounding  a key of hwgen.nn_affine.ROUNDINGS
    rule      how acc * scale + offset is worked out: "exact", a name in hwgen.rules.RULES, or a function of
              accumulators, int64 [kinds, n], to the numbers that are then rounded, float64 [kinds, n], which never falls
              where its kind's scale is positive, and never rises where it is negative
    single    float [kinds]: the tool's own factors, where its rule does not take them from the scales
    near      the most bits of a multiplier: where they do not do, the op is the best that they allow, and Fitted.wrong
              says how many accumulators get another level

    A Rescale is the result; Steps where there is none with products of PRODUCT_BITS. Raises UnsupportedLayer where
    those Steps would fall, DoesNotFit where the accumulators are too wide for either.

    A line M acc + B has the thresholds t[k] just if k 2^s - M t[k] <= B < k 2^s - M (t[k] - 1) for all k: so the slopes
    M 2^-s for which there is such a B are an open interval, the same for all s, and Newton's method finds its ends in
    integers. Where half even meets ties it is the interval of the line that rounds half up, less the slopes for which
    a tie is no nearer to its level than the first accumulators of untied levels are to theirs.
    """
    signs = np.array([-1 if scale < 0 else 1 for scale in scales], np.int64)
    reach = np.asarray(reach, np.int64).reshape(-1, 2)
    reach = np.where(signs[:, None] < 0, -reach[:, ::-1], reach)
    values = values_of(rule, scales, offsets, single)

    levels = np.arange(low + 1, high + 1, dtype=np.int64)

    def thresholds_of(rounding: str) -> np.ndarray:
        if values is None:
            return _exact_thresholds([abs(scale) for scale in scales], offsets, reach, levels, rounding)
        return _bisected(lambda x: values(signs[:, None] * x), reach, levels, rounding)

    thresholds = thresholds_of(rounding)
    upward = thresholds_of("half_up") if rounding == "half_even" else thresholds
    fit = _Fit(levels, thresholds, upward, reach, low, high)
    fit.require_width(path)
    op, wrong = fit.exact(near), 0
    if op is not None:
        fit.prove(op)
    elif near is not None:
        op = fit.nearest([abs(scale) for scale in scales], near)
        wrong = 0 if op is None else differing(thresholds, fit.thresholds_of(op))
    if op is not None:
        op = replace(op, multipliers=op.multipliers * signs, exponent=exponent, path=path)
        return Fitted(op, thresholds, reach, wrong)
    if (signs < 0).any():
        raise UnsupportedLayer(
            f"thresholds that are no line, of a factor of {float(min(scales)):.3g}", path, "use positive scales"
        )
    return Fitted(Steps(thresholds, low, exponent, path), thresholds, reach)


def differing(a: np.ndarray, b: np.ndarray) -> int:
    """How many accumulators get other levels by the thresholds a than by b, both int64 [kinds, levels], ascending."""
    if not a.size:
        return 0
    first, after = np.minimum(a, b), np.maximum(a, b)  # both ascend, so what comes before ends at the last `after`
    first[:, 1:] = np.maximum(first[:, 1:], after[:, :-1])
    return int(np.maximum(after - first, 0).sum())


def _boundaries(levels: np.ndarray, rounding: str) -> tuple[np.ndarray, np.ndarray]:
    """Twice the number from which on a number is rounded to a level or more, and whether that number itself is."""
    positive = levels > 0
    always = np.ones(len(levels), bool)
    return {
        "half_even": (2 * levels - 1, levels % 2 == 0),
        "half_up": (2 * levels - 1, always),
        "half_away": (2 * levels - 1, positive),
        "floor": (2 * levels, always),
        "ceil": (2 * levels - 2, ~always),
        "to_zero": (np.where(positive, 2 * levels, 2 * levels - 2), positive),
    }[rounding]


def _exact_thresholds(scales, offsets, reach: np.ndarray, levels: np.ndarray, rounding: str) -> np.ndarray:
    """The thresholds by rational arithmetic; no scale is negative.

    They are worked out in floats, and in integers where those are too near to an integer.
    """
    twice, closed = _boundaries(levels, rounding)
    found = np.empty((len(scales), len(levels)), np.int64)
    step = max(1, CHUNK // max(1, len(levels)))
    for start in range(0, len(scales), step):
        kinds = slice(start, start + step)
        found[kinds] = _exact_chunk(scales[kinds], offsets[kinds], reach[kinds], twice, closed)
    return found


def _exact_chunk(scales, offsets, reach, twice, closed) -> np.ndarray:
    first, after = reach[:, :1], reach[:, 1:] + 1
    constant = np.array([not scale for scale in scales])[:, None]
    inverse = [1 / scale if scale else Fraction(0) for scale in scales]
    slope = _long([each / 2 for each in inverse])
    start = _long([-offset * each for offset, each in zip(offsets, inverse, strict=True)])
    place = slope * twice + start
    error = 8 * np.finfo(np.longdouble).eps * (abs(slope * twice) + abs(start))
    inside = (place > first - 1 - error) & (place < after + 1 + error)
    unsure = inside & ~(abs(place - np.rint(place)) > error) & ~constant
    found = np.ceil(np.clip(place, first, after)).astype(np.int64)
    for i in np.flatnonzero(unsure.any(1)):
        above, below = scales[i].as_integer_ratio(), offsets[i].as_integer_ratio()
        factor, rest, divisor = below[1] * above[1], -2 * below[0] * above[1], 2 * below[1] * above[0]
        for j in np.flatnonzero(unsure[i]):
            numerator = int(twice[j]) * factor + rest
            exact = -(-numerator // divisor) if closed[j] else numerator // divisor + 1
            found[i, j] = min(max(exact, int(first[i, 0])), int(after[i, 0]))
    for i in np.flatnonzero(constant):
        above = [
            2 * offsets[i] >= int(t) if of else 2 * offsets[i] > int(t) for t, of in zip(twice, closed, strict=True)
        ]
        found[i] = np.where(above, first[i], after[i])
    return found


def _long(values: list[Fraction]) -> np.ndarray:
    """As long doubles, a column: of two doubles each."""
    limit = Fraction(10) ** 300
    heads = [float(min(max(value, -limit), limit)) for value in values]
    tails = [float(min(max(value - Fraction(head), -limit), limit)) for value, head in zip(values, heads, strict=True)]
    return (np.array(heads, np.longdouble) + np.array(tails, np.longdouble))[:, None]


def _bisected(values: Values, reach: np.ndarray, levels: np.ndarray, rounding: str) -> np.ndarray:
    """The thresholds of a function that never falls."""
    twice, closed = _boundaries(levels, rounding)
    low = np.repeat(reach[:, :1], len(levels), 1)
    high = np.repeat(reach[:, 1:] + 1, len(levels), 1)
    while (low < high).any():
        middle = np.minimum((low + high) >> 1, reach[:, 1:])
        doubled = 2 * values(middle)
        met = np.where(closed, doubled >= twice, doubled > twice) | (low == high)
        low, high = np.where(met, low, middle + 1), np.where(met & (low < high), middle, high)
    return high


@dataclass(frozen=True, eq=False)
class _Fit:
    """The lines of thresholds [kinds, levels]; all slopes are positive.

    upward  the thresholds where ties are rounded up: apart from `thresholds` where half even reaches ties
    """

    levels: np.ndarray
    thresholds: np.ndarray
    upward: np.ndarray
    reach: np.ndarray
    low: int
    high: int

    def require_width(self, path: str):
        """Raises DoesNotFit where a slope's numerator times an accumulator is not an int64."""
        span = int((self.reach[:, 1] - self.reach[:, 0]).max()) + 2
        if span * (self.high - self.low + 2) >= 1 << (PRODUCT_BITS - 1):
            raise DoesNotFit(
                f"accumulators of {span.bit_length()} bits and {self.high - self.low + 1} levels",
                path,
                "quantize its input to fewer bits, or its result to fewer levels",
            )

    def exact(self, near: int | None) -> Rescale | None:
        """The op of least shift that has all thresholds; None where none has, or none with `near` bits."""
        shifts, multipliers = self._lines(self.thresholds, None)
        tied = self.upward != self.thresholds
        even = np.zeros(len(shifts), bool)
        if tied.any():
            kinds = np.flatnonzero(tied.any(1))
            tie_shifts, tie_multipliers = self._part(kinds)._lines(self.upward[kinds], tied[kinds])
            better = tie_shifts < shifts[kinds]
            even[kinds] = better
            shifts[kinds[better]], multipliers[kinds[better]] = tie_shifts[better], tie_multipliers[better]
        shift = int(shifts.max())
        if shift > MOST_SHIFT:
            return None
        raised = [int(m) << (shift - int(s)) for m, s in zip(multipliers, shifts, strict=True)]
        if (near is not None and max(raised).bit_length() > near) or not self._holds(max(raised), shift):
            return None
        return self._op(np.array(raised, np.int64), shift, even, tied)

    def _part(self, kinds) -> "_Fit":
        return replace(self, thresholds=self.thresholds[kinds], upward=self.upward[kinds], reach=self.reach[kinds])

    def _holds(self, multiplier: int, shift: int) -> bool:
        """Whether the products, and their distances from levels, are below 2^PRODUCT_BITS."""
        furthest = max(abs(self.low), abs(self.high)) + 1
        widest = multiplier * (int(abs(self.reach).max()) + 1)
        return 2 * widest + (furthest << shift) < 1 << PRODUCT_BITS

    def _lines(self, thresholds: np.ndarray, tied: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Of each kind the least shift of a line, MOST_SHIFT + 1 if there is none, and its multiplier."""
        first, last = self.reach[:, :1], self.reach[:, 1:]
        x = thresholds - first
        low, high = _slopes(self.levels, x, thresholds <= last, x - 1, thresholds > first)
        if tied is not None:
            odd = (self.levels % 2 == 1) & (thresholds <= last)
            nearer = _slopes(self.levels, x, odd & ~tied, x, tied)
            low = [max(a, b) for a, b in zip(low, nearer[0], strict=True)]
            high = [min(a, b) for a, b in zip(high, nearer[1], strict=True)]
        found = [_least(*ends) for ends in zip(low, high, strict=True)]
        shifts, multipliers = (np.array(column) for column in zip(*found, strict=True))
        return shifts, multipliers

    def _room(self, multipliers: np.ndarray, shift: int, thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The least and the greatest bias of each kind."""
        first, last = self.reach[:, :1], self.reach[:, 1:]
        above = (self.levels << shift) - multipliers[:, None] * thresholds
        bottom = np.where(thresholds <= last, above, -FAR).max(1, initial=-FAR)
        top = np.where(thresholds > first, above + multipliers[:, None], FAR).min(1, initial=FAR) - 1
        return bottom, top

    def _op(self, multipliers: np.ndarray, shift: int, even: np.ndarray, tied: np.ndarray) -> Rescale | None:
        thresholds = np.where(even[:, None], self.upward, self.thresholds)
        bottom, top = self._room(multipliers, shift, thresholds)
        if (bottom > top).any():
            return None
        # no bias is further than the levels are
        furthest = np.int64((max(abs(self.low), abs(self.high)) + 1) << shift) + multipliers * abs(self.reach).max()
        biases = _roundest(np.maximum(bottom, -furthest), np.minimum(top, furthest))
        ties = np.zeros_like(multipliers)
        for kind in np.flatnonzero(even):
            odd = (self.levels % 2 == 1) & (thresholds[kind] <= self.reach[kind, 1])
            distances = multipliers[kind] * thresholds[kind] - (self.levels << shift)
            furthest_tie = int(distances[tied[kind]].max())
            nearest_other = int(distances[odd & ~tied[kind]].min(initial=FAR))
            if bottom[kind] <= -furthest_tie <= top[kind]:
                biases[kind] = -furthest_tie
            end = min(nearest_other + int(biases[kind]), int(multipliers[kind]))
            least = furthest_tie + int(biases[kind]) + 1
            ties[kind] = 1 if least == 1 else end
        return Rescale(multipliers, biases, ties, shift, self.low, self.high)

    def nearest(self, scales: list[Fraction], bits: int) -> Rescale | None:
        """The op with multipliers of at most `bits` bits that gives the fewest accumulators another level: of the two
        multipliers beside each scale, and of the biases within a multiplier of the median one."""
        limit = (1 << bits) - 1
        shift = max((s for s in range(MOST_SHIFT) if max(scales) * (1 << s) <= limit), default=None)
        while shift and not self._holds(limit, shift):
            shift -= 1
        if shift is None:
            return None
        chosen = [self._nearest_line(kind, scale, shift, limit) for kind, scale in enumerate(scales)]
        multipliers, biases = (np.array(column, np.int64) for column in zip(*chosen, strict=True))
        return Rescale(multipliers, biases, np.zeros_like(multipliers), shift, self.low, self.high)

    def _nearest_line(self, kind: int, scale: Fraction, shift: int, limit: int) -> tuple[int, int]:
        best: tuple[int, int, int] | None = None
        part = self._part([kind])
        thresholds = self.thresholds[kind]
        used = (thresholds > self.reach[kind, 0]) & (thresholds <= self.reach[kind, 1])
        below = int(scale * (1 << shift))
        for multiplier in (below, min(below + 1, limit)):
            distances = (self.levels << shift) - multiplier * thresholds
            middle = int(np.median(distances[used])) if used.any() else 0
            if not used.any() or not multiplier:
                bottom, top = part._room(np.array([multiplier]), shift, part.thresholds)
                biases = np.clip([bottom[0], top[0], middle], -(FAR >> 2), FAR >> 2)
            else:
                near = middle + (distances[used] - middle) % multiplier
                biases = np.unique(np.concatenate([near, near - multiplier]))
            for bias in biases:
                op = Rescale(np.array([multiplier]), np.array([bias]), np.array([0]), shift, self.low, self.high)
                wrong = differing(part.thresholds, part.thresholds_of(op))
                if best is None or wrong < best[0]:
                    best = wrong, multiplier, int(bias)
        assert best is not None
        return best[1:]

    def thresholds_of(self, op: Rescale) -> np.ndarray:
        """The thresholds that a line without ties has."""
        above = (self.levels << op.shift) - op.biases[:, None]
        found = -(-above // np.maximum(op.multipliers, 1)[:, None])
        constant = np.where(above <= 0, self.reach[:, :1], self.reach[:, 1:] + 1)
        found = np.where(op.multipliers[:, None] > 0, found, constant)
        return np.clip(found, self.reach[:, :1], self.reach[:, 1:] + 1)

    def prove(self, op: Rescale):
        """The op never falls, as `ties` is at most the multiplier; so it has the thresholds if each accumulator that is
        one has its level or more, and the one before it less."""
        first, last = self.reach[:, :1], self.reach[:, 1:]

        def levels(accumulators: np.ndarray) -> np.ndarray:
            numbers = torch.from_numpy(np.clip(accumulators, first, last))
            return op.eval([], numbers[None, :, :, None])[0, :, :, 0].numpy()

        reached = (levels(self.thresholds) >= self.levels) | (self.thresholds > last)
        not_before = (levels(self.thresholds - 1) < self.levels) | (self.thresholds <= first)
        if not (reached & not_before).all():
            raise AssertionError(f"{op} does not have the thresholds that it was fitted to")


def _slopes(levels, lower_x, lower_used, upper_x, upper_used) -> tuple[list[Fraction], list[Fraction]]:
    """The open interval of slopes r of each kind for which max(k - r x) over the lower points is less than min(k - r x)
    over the upper ones: its ends, the upper one below the lower one where it is empty, and [-1, ...) where 0 is in it.

    levels          int64 [K]: k of both points of an index
    lower_x, ...    int64 [kinds, K], from 0 on, and whether the point is there

    The difference is concave in r. Newton's method, from the left and from the right, so goes to its zeros, by the line
    of one pair of points after the other.
    """
    kinds = len(lower_x)
    steepest = int(levels[-1] - levels[0]) + 2 if len(levels) else 2
    ends = []
    for side, start in ((1, 0), (-1, steepest)):
        above, below = np.full(kinds, start, np.int64), np.ones(kinds, np.int64)
        beyond, empty = np.zeros(kinds, bool), np.zeros(kinds, bool)
        active = np.arange(kinds) if len(levels) else np.arange(0)
        beyond |= not len(levels)
        while len(active):
            numerator, denominator = above[active, None], below[active, None]
            bottoms = np.where(lower_used[active], levels * denominator - numerator * lower_x[active], -FAR)
            tops = np.where(upper_used[active], levels * denominator - numerator * upper_x[active], FAR)
            i, j = bottoms.argmax(1), tops.argmin(1)
            row = np.arange(len(active))
            bottom, top = bottoms[row, i], tops[row, j]
            open_ = (bottom == -FAR) | (top == FAR) | (bottom < top)
            rise = side * (lower_x[active, i] - upper_x[active, j])
            stuck = ~open_ & (rise <= 0)
            beyond[active[open_]], empty[active[stuck]] = True, True
            moving = ~open_ & ~stuck & (bottom > top)
            active, i, j, rise = active[moving], i[moving], j[moving], rise[moving]
            above[active], below[active] = side * (levels[i] - levels[j]), rise
        found = [Fraction(int(a), int(b)) for a, b in zip(above, below, strict=True)]
        found = [Fraction(-1) if far and side > 0 else value for value, far in zip(found, beyond, strict=True)]
        ends.append(
            [Fraction(side * 2 * steepest) if none else value for value, none in zip(found, empty, strict=True)]
        )
    return ends[0], ends[1]


def _least(low: Fraction, high: Fraction) -> tuple[int, int]:
    """The least shift for which a multiple of 2^-shift, not negative, is between both ends, and the least such."""
    if low < high:
        for shift in range(MOST_SHIFT + 1):
            multiplier = max(0, (low.numerator << shift) // low.denominator + 1)
            if multiplier * high.denominator < high.numerator << shift:
                return shift, multiplier
    return MOST_SHIFT + 1, 0


def _roundest(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The numbers from low to high with the most zeros at their ends."""
    found = low.copy()
    for zeros in range(1, PRODUCT_BITS):
        candidates = -(-low >> zeros) << zeros
        found = np.where(candidates <= high, candidates, found)
    return found
