"""The multiplier, bias and shift that give every accumulator that can be reached the level that a tool gives it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import product
from math import ceil, floor

import numpy as np
import torch

from hwgen.errors import DoesNotFit, UnsupportedLayer
from hwgen.ops.rescale import PRODUCT_BITS, Rescale, Steps
from hwgen.rules import SumValues, Values, values_of
from hwgen.target import EXACT
from hwgen.thresholds import bisected, differing, differing_by_kind, exact_thresholds

FAR = np.int64(1 << 62)
MOST_SHIFT = 61
MOST_RATIO = 1 << 8  # of two scales that are brought to one by zeros
MOST_POINTS = 1 << 22  # of a sum's thresholds


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
              accumulators, int64 [kinds, n], to the numbers that are then rounded, float64 [kinds, n]; it never
              falls where its kind's scale is positive, and never rises where it is negative
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
            return exact_thresholds([abs(scale) for scale in scales], offsets, reach, levels, rounding)
        return bisected(lambda x, of=values: of(signs[:, None] * x), reach, levels, rounding)

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
            f"thresholds that are no line, of a factor of {float(min(scales)):.3g}",
            path,
            "use positive scales" + (", or a greater --near" if near is not None else ""),
        )
    return Fitted(Steps(thresholds, low, exponent, path), thresholds, reach)


def requantize_sum(
    scale_a: Fraction,
    scale_b: Fraction,
    offset: Fraction,
    reach_a: tuple[int, int],
    reach_b: tuple[int, int],
    low: int,
    high: int,
    rounding: str,
    *,
    rule: SumValues | None = None,
    exponent: int = 0,
    path: str = "",
) -> tuple[tuple[int, int], Rescale] | None:
    """The multipliers (Ma, Mb) and the Rescale of which each pair of an integer a in reach_a and b in reach_b, ends
    included, gets the level clamp(round(a * scale_a + b * scale_b + offset), low, high) of a * Ma + b * Mb.

    rule  None, rational arithmetic; or a function of int64 a and b to what is rounded, float64, which never falls in
          either where its scale is positive, and never rises where it is negative

    Where a scale is the other times a power of two, or its negative, Ma and Mb are powers of two, and the Rescale has a
    multiplier. Else that is 1, and Ma and Mb those of the least shift for which multipliers beside the scales do;
    None where there are none, or where there are more than MOST_POINTS thresholds of one for each value of the other.
    """
    if rule is None:
        pair = _powers(scale_a, scale_b)
        if pair is not None:
            unit = scale_a / pair[0] if pair[0] else scale_b
            ends = [sorted((end[0] * m, end[1] * m)) for end, m in zip((reach_a, reach_b), pair, strict=True)]
            both = np.array([[ends[0][0] + ends[1][0], ends[0][1] + ends[1][1]]])
            try:
                fitted = requantize([unit], [offset], both, low, high, rounding, exponent=exponent, path=path)
            except UnsupportedLayer:  # thresholds that are no line, of a negative factor
                return None
            return (pair, fitted.op) if isinstance(fitted.op, Rescale) else None
    if reach_a[1] - reach_a[0] > reach_b[1] - reach_b[0]:  # thresholds of the one with more values
        turned = None if rule is None else lambda b, a: rule(a, b)
        found = _fit_sum(scale_b, scale_a, offset, reach_b, reach_a, low, high, rounding, turned)
        found = found and (found[0][::-1], found[1])
    else:
        found = _fit_sum(scale_a, scale_b, offset, reach_a, reach_b, low, high, rounding, rule)
    return found and (found[0], replace(found[1], exponent=exponent, path=path))


def _powers(a: Fraction, b: Fraction) -> tuple[int, int] | None:
    """Powers of two in the ratio of a and b, of either sign, the first not negative; 0 where they are."""
    if not a or not b:
        return int(a != 0), int(b != 0)
    above, below = (a / b).as_integer_ratio()
    sign = 1 if above > 0 else -1
    powers = all(number & (number - 1) == 0 for number in (abs(above), below))
    return (abs(above), sign * below) if powers and abs(above) < MOST_RATIO and below < MOST_RATIO else None


def _fit_sum(scale_a, scale_b, offset, reach_a, reach_b, low, high, rounding, values):
    """requantize_sum by lines of b for each a."""
    rows = np.arange(reach_a[0], reach_a[1] + 1, dtype=np.int64)
    levels = np.arange(low + 1, high + 1, dtype=np.int64)
    if len(rows) * len(levels) > MOST_POINTS:
        return None
    sign_a, sign_b = (-1 if scale < 0 else 1 for scale in (scale_a, scale_b))
    ends = sorted((sign_b * reach_b[0], sign_b * reach_b[1]))
    reach = np.tile(np.array(ends, np.int64), (len(rows), 1))

    def thresholds_of(rounding: str) -> np.ndarray:
        if values is None:
            offsets = [int(a) * scale_a + offset for a in rows]
            return exact_thresholds([abs(scale_b)] * len(rows), offsets, reach, levels, rounding)
        return bisected(lambda b: values(rows[:, None], sign_b * b), reach, levels, rounding)

    thresholds = thresholds_of(rounding)
    upward = thresholds_of("half_up") if rounding == "half_even" else thresholds
    fit = _Fit(levels, thresholds, upward, reach, low, high)
    for shift in range(MOST_SHIFT):
        factors = [abs(scale) * (1 << shift) for scale in (scale_a, scale_b)]
        for a, b in product(*({floor(factor), ceil(factor)} for factor in factors)):
            widest = a * int(abs(rows).max()) + b * int(abs(reach).max() + 1)
            if 2 * widest + ((max(abs(low), abs(high)) + 1) << shift) >= 1 << PRODUCT_BITS:
                return None
            op = fit.plane(sign_a * a * rows, b, shift)
            if op is not None:
                return (sign_a * a, sign_b * b), op
    return None


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
        low, high = _slopes(self.levels, x, thresholds <= last, x - 1, self._bounded(thresholds, tied))
        if tied is not None:
            nearer = _slopes(self.levels, x, self._odd(thresholds) & ~tied, x, tied)
            low = [max(a, b) for a, b in zip(low, nearer[0], strict=True)]
            high = [min(a, b) for a, b in zip(high, nearer[1], strict=True)]
        found = [_least(*ends) for ends in zip(low, high, strict=True)]
        shifts, multipliers = (np.array(column) for column in zip(*found, strict=True))
        return shifts, multipliers

    def _bounded(self, thresholds: np.ndarray, tied: np.ndarray | None) -> np.ndarray:
        """Whether the accumulator before a threshold has to have a lower level: that before a tie, even where it is
        not reached, as then `ties` is at most the multiplier."""
        before = thresholds > self.reach[:, :1]
        return before if tied is None else before | tied

    def _room(
        self, multipliers: np.ndarray, shift: int, thresholds: np.ndarray, tied: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The least and the greatest bias of each kind."""
        last, bounded = self.reach[:, 1:], self._bounded(thresholds, tied)
        above = (self.levels << shift) - multipliers[:, None] * thresholds
        bottom = np.where(thresholds <= last, above, -FAR).max(1, initial=-FAR)
        top = np.where(bounded, above + multipliers[:, None], FAR).min(1, initial=FAR) - 1
        return bottom, top

    def _op(self, multipliers: np.ndarray, shift: int, even: np.ndarray, tied: np.ndarray) -> Rescale | None:
        thresholds = np.where(even[:, None], self.upward, self.thresholds)
        bottom, top = self._room(multipliers, shift, thresholds, tied & even[:, None])
        if (bottom > top).any():
            return None
        # no bias is further than the levels are
        furthest = np.int64((max(abs(self.low), abs(self.high)) + 1) << shift) + multipliers * abs(self.reach).max()
        biases = _roundest(np.maximum(bottom, -furthest), np.minimum(top, furthest))
        ties = np.zeros_like(multipliers)
        odd = self._odd(thresholds)
        for kind in np.flatnonzero(even):
            distances = multipliers[kind] * thresholds[kind] - (self.levels << shift)
            room = int(bottom[kind]), int(top[kind])
            found = _ties(distances, tied[kind], odd[kind], int(multipliers[kind]), *room)
            if found is None:
                return None
            biases[kind], ties[kind] = found
        return Rescale(multipliers, biases, ties, shift, self.low, self.high)

    def plane(self, starts: np.ndarray, multiplier: int, shift: int) -> Rescale | None:
        """The op of multiplier 1 that has the thresholds of starts[kind] + multiplier * x; None if there is none."""
        tied = self.upward != self.thresholds
        bottom, top = self._room(np.array([multiplier]), shift, self.upward, tied)
        bottom, top = int((bottom - starts).max()), int((top - starts).min())
        if bottom > top or not multiplier:
            return None
        bias, ties = _roundest(np.array([bottom]), np.array([top])), 0
        if tied.any():
            distances = starts[:, None] + multiplier * self.upward - (self.levels << shift)
            found = _ties(distances, tied, self._odd(self.upward), multiplier, bottom, top)
            if found is None:
                return None
            bias, ties = np.array([found[0]]), found[1]
        op = Rescale(np.array([1]), bias, np.array([ties]), shift, self.low, self.high)
        self.prove(op, lambda x: starts[:, None] + multiplier * x)
        return op

    def _odd(self, thresholds: np.ndarray) -> np.ndarray:
        """Whether they are of odd levels, and reached."""
        return (self.levels % 2 == 1) & (thresholds <= self.reach[:, 1:])

    def nearest(self, scales: list[Fraction], bits: int) -> Rescale | None:
        """The op with multipliers of at most `bits` bits that gives the fewest accumulators another level: of the two
        multipliers beside each scale, and of the biases within a multiplier of the median one."""
        limit = (1 << bits) - 1
        shifts = [s for s in range(MOST_SHIFT) if max(scales) * (1 << s) <= limit and self._holds(limit, s)]
        if not shifts:
            return None
        shift = shifts[-1]
        chosen = [
            self._nearest_line(kind, int(scale * (1 << shift)), shift, limit) for kind, scale in enumerate(scales)
        ]
        multipliers, biases = (np.array(column, np.int64) for column in zip(*chosen, strict=True))
        return Rescale(multipliers, biases, np.zeros_like(multipliers), shift, self.low, self.high)

    def _nearest_line(self, kind: int, below: int, shift: int, limit: int) -> tuple[int, int]:
        part, found = self._part([kind]), []
        thresholds = self.thresholds[kind]
        used = (thresholds > self.reach[kind, 0]) & (thresholds <= self.reach[kind, 1])
        for multiplier in (below, min(below + 1, limit)):
            distances = (self.levels << shift) - multiplier * thresholds
            if multiplier and used.any():
                middle = int(np.median(distances[used]))
                beside = middle + (distances[used] - middle) % multiplier
                biases = np.unique(np.concatenate([beside, beside - multiplier]))
            else:  # one level, or two ends of a room
                bottom, top = part._room(np.array([multiplier]), shift, part.thresholds)
                furthest = (max(abs(self.low), abs(self.high)) + 1) << shift
                biases = np.clip(np.concatenate([bottom, top]), -furthest, furthest)
            lines = part._lines_thresholds(np.full(len(biases), multiplier), biases, shift)
            wrong = np.broadcast_to(differing_by_kind(part.thresholds, lines), len(biases))
            least = int(wrong.argmin())
            found.append((int(wrong[least]), multiplier, int(biases[least])))
        return min(found)[1:]

    def thresholds_of(self, op: Rescale) -> np.ndarray:
        """The thresholds of an op without ties."""
        return self._lines_thresholds(op.multipliers, op.biases, op.shift)

    def _lines_thresholds(self, multipliers: np.ndarray, biases: np.ndarray, shift: int) -> np.ndarray:
        above = (self.levels << shift) - biases[:, None]
        found = -(-above // np.maximum(multipliers, 1)[:, None])
        constant = np.where(above <= 0, self.reach[:, :1], self.reach[:, 1:] + 1)
        found = np.where(multipliers[:, None] > 0, found, constant)
        return np.clip(found, self.reach[:, :1], self.reach[:, 1:] + 1)

    def prove(self, op: Rescale, sums: Callable[[np.ndarray], np.ndarray] = lambda x: x):
        """The op never falls, as `ties` is at most the multiplier; so it has the thresholds if each accumulator that is
        one has its level or more, and the one before it less. `sums` of accumulators are what the op reads."""
        first, last = self.reach[:, :1], self.reach[:, 1:]

        def levels(accumulators: np.ndarray) -> np.ndarray:
            numbers = torch.from_numpy(sums(np.clip(accumulators, first, last)))
            return op.eval([], numbers[None, :, :, None])[0, :, :, 0].numpy()

        reached = (levels(self.thresholds) >= self.levels) | (self.thresholds > last)
        not_before = (levels(self.thresholds - 1) < self.levels) | (self.thresholds <= first)
        if not (reached & not_before).all():
            raise AssertionError(f"{op} does not have the thresholds that it was fitted to")


def _ties(distances, tied, odd, multiplier: int, bottom: int, top: int) -> tuple[int, int] | None:
    """The bias, from bottom to top, and `ties` for which the tied levels' first accumulators, and no other odd level's,
    are below `ties`; the distances of first accumulators from their levels are without the bias."""
    furthest, nearest = int(distances[tied].max()), int(distances[odd & ~tied].min(initial=FAR))
    if furthest >= nearest:
        return None
    if bottom <= -furthest <= top:
        return -furthest, 1
    bias = int(_roundest(np.array([bottom]), np.array([top]))[0])
    return bias, min(nearest + bias, multiplier)


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
