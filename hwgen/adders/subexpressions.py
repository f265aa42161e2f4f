"""Common sub-expressions: two or three terms that several sums hold become a node of their own.

Such a group is a ± 2^s · b or a ± 2^s · b ± 2^t · c. It pays where the bits that it takes out of the sums cost more adders than the group
itself: a sum of B bits takes about LUT_PER_BIT * B lookup tables (see rows.py). So this weighs bits and not operations, unlike the searches
for two-input adders from which it comes (Hartley, TCAS-II 1996; da4ml, arXiv 2507.04535). With three-input adders a group of three costs
little more than a pair and saves twice as much. It is sought behind the commonest pairs: the pair that it begins with is no less common
(as in Agrawal and Srikant, VLDB 1994).
"""

from dataclasses import dataclass

import numpy as np

from hwgen.terms import TermTable

LUT_PER_BIT = 0.5  # a row takes three bits of a column and leaves one
MOST_SHIFT = 4  # within a group: beyond, what its terms overlap is worth little
NODE_BITS, SHIFT_BITS = 24, 3
TERM_BITS = NODE_BITS + SHIFT_BITS + 1
TERMS_AT_ONCE = 64  # of a sum, among which groups are sought: so that the work grows with the terms, not their square
MOSTLY = 0.6  # of its gain a group must keep beside those that are made with it
EXTENDED = 2  # pairs for each term to which a third is sought


@dataclass(frozen=True, eq=False)
class Sums:
    """Terms of sums, parallel int64 arrays: sum `row` gets (-1)^negative * 2^exponent * node.

    Nodes from 0 are the inputs; node `inputs` + k is what sum `outputs` + k makes; sums below `outputs` are the results.
    """

    row: np.ndarray
    node: np.ndarray
    exponent: np.ndarray
    negative: np.ndarray
    nodes: int
    outputs: int
    inputs: int


@dataclass(frozen=True, eq=False)
class _Kinds:
    """Kinds of groups, each as two integers: its first node and its second term; its third term, or -1. Terms are as
    _Search.code makes them, against the first, which has the lowest exponent."""

    pair: np.ndarray
    third: np.ndarray

    def beside(self, other: "_Kinds") -> "_Kinds":
        return _Kinds(np.append(self.pair, other.pair), np.append(self.third, other.third))

    def only(self, which: np.ndarray) -> "_Kinds":
        return _Kinds(self.pair[which], self.third[which])

    @property
    def terms(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Node, shift and sign of the terms, [3, kinds] each; -1 is no node."""
        codes = np.stack(
            [self.pair >> TERM_BITS << (SHIFT_BITS + 1), self.pair & ((1 << TERM_BITS) - 1), np.maximum(self.third, 0)]
        )
        node = codes >> (SHIFT_BITS + 1)
        node[2, self.third < 0] = -1
        return node, codes >> 1 & ((1 << SHIFT_BITS) - 1), codes & 1


def bit_length(values: np.ndarray) -> np.ndarray:
    """Bits of int64 values from 0 to 2^52."""
    return np.frexp(values.astype(np.float64))[1].astype(np.int64)


def share(table: TermTable, spans: np.ndarray, outputs: int) -> Sums:
    """The sums of `table` with what they have in common made once.

    spans -- int64 [inputs], greatest less least value of each input
    """
    inputs = len(spans)
    search = _Search(table, np.asarray(spans, np.int64))
    size = max(1, inputs * outputs * TERMS_AT_ONCE // max(1, len(table)))
    while True:
        while search.make_groups(size):
            pass
        if size >= inputs or len(search.row) * 2 * size > inputs * outputs * TERMS_AT_ONCE:
            return _dissolve(search.sums(inputs, outputs))
        size *= 2


class _Search:
    """row, node, exponent, negative -- terms of the results, as in Sums; span, place -- of each node: the greatest less
    the least value, and where it stands among the inputs: groups are sought within blocks of places; made -- what the
    nodes behind the inputs are."""

    def __init__(self, table: TermTable, spans: np.ndarray):
        self.row, self.node, self.exponent, self.negative = table.output, table.input, table.exponent, table.negative
        self.span, self.place = spans, np.arange(len(spans))
        self.made = _Kinds(np.zeros(0, np.int64), np.zeros(0, np.int64))

    def make_groups(self, size: int) -> bool:
        """Makes the groups, in blocks of `size` places, that pay and do not stand in each other's way, if there are any."""
        kinds, members, kind = self._groups(self._sort(size))
        known = self._known(kinds)
        node, shift, _ = kinds.terms
        spans = np.append(self.span, 0)[node]
        span = (spans << shift).sum(axis=0)
        bits, total = bit_length(spans), bit_length(span)
        count = np.bincount(kind, minlength=len(known))
        saved = LUT_PER_BIT * (bits.sum(axis=0) - total)
        # from where the second term begins; above where one is left, half of the columns, for the carry
        overlap = np.sort(bits + shift, axis=0)[1] - shift[1]
        cost = np.where((overlap > 0) & (known < 0), (total - shift[1] + overlap) / 2, 0.0)
        # a tie between kinds must not leave all of them halfway: their order breaks it
        gain = count * saved - cost - np.arange(len(known)) * 1e-9
        gain[saved <= 0] = -1

        pays = gain[kind] > 0
        members, kind = members[:, pays], kind[pays]
        taken = self._best_of_all_terms(members, gain[kind])
        times = np.bincount(kind[taken], minlength=len(known))
        good = (times > 0) & (times * saved > cost)
        mostly = good & (times * saved - cost >= MOSTLY * gain)
        if mostly.any():
            good = mostly  # the others are weighed again when these are made
        taken = taken[good[kind[taken]]]
        new = np.flatnonzero(good & (known < 0))
        known[new] = len(self.span) + np.arange(len(new))
        self.made = self.made.beside(kinds.only(new))
        self.span = np.append(self.span, span[new])
        self.place = np.append(self.place, self.place[node[0, new]])
        self._replace(members[:, taken], known[kind[taken]])
        return len(taken) > 0

    def _sort(self, size: int) -> np.ndarray:
        """Sorts the terms by result, block, exponent and node. Where result and block of each one end."""
        block = self.place[self.node] // size
        order = np.lexsort((self.node, self.exponent, block, self.row))
        self.row, self.node, self.exponent, self.negative = (
            column[order] for column in (self.row, self.node, self.exponent, self.negative)
        )
        starts = np.flatnonzero(np.diff(self.row, prepend=-1) | np.diff(block[order], prepend=-1))
        sizes = np.diff(starts, append=len(order))
        return np.repeat(starts + sizes, sizes)

    def _groups(self, end: np.ndarray) -> tuple[_Kinds, np.ndarray, np.ndarray]:
        """The kinds of pairs and of groups of three that are there more than once; the terms of each such group,
        [3, groups], where len(row) is none; and its kind, as an index."""
        terms = np.arange(len(self.row))
        first, second = self._behind(terms, terms, end)
        pairs, which, pair = _repeated(self.node[first] << TERM_BITS | self._code(first, second))
        first, second = first[which], second[which]
        count = np.bincount(pair, minlength=len(pairs))
        extended = np.zeros(len(pairs), bool)
        commonest = np.argsort(-count, kind="stable")
        extended[commonest[count[commonest].cumsum() <= EXTENDED * len(terms)]] = True
        use = np.flatnonzero(extended[pair])
        group, third = self._behind(first[use], second[use], end)
        use = use[group]
        threes, which, three = _repeated(pair[use] << TERM_BITS | self._code(first[use], third))
        use, third = use[which], third[which]
        no_third = np.full(len(first), len(terms))
        members = [np.append(first, first[use]), np.append(second, second[use]), np.append(no_third, third)]
        kinds = _Kinds(
            np.append(pairs, pairs[threes >> TERM_BITS]),
            np.append(np.full(len(pairs), -1), threes & ((1 << TERM_BITS) - 1)),
        )
        return kinds, np.stack(members), np.append(pair, len(pairs) + three)

    def _behind(self, first: np.ndarray, last: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For groups that have a first and a last term, all terms that may follow: the indices of the groups, and the terms."""
        more = end[last] - last - 1
        group = np.repeat(np.arange(len(last)), more)
        term = last[group] + 1 + np.arange(len(group)) - np.repeat(more.cumsum() - more, more)
        near = self.exponent[term] - self.exponent[first[group]] <= MOST_SHIFT
        return group[near], term[near]

    def _code(self, first: np.ndarray, term: np.ndarray) -> np.ndarray:
        """A term against the first one of its group: node, shift and sign as one integer."""
        shift, opposite = self.exponent[term] - self.exponent[first], self.negative[term] ^ self.negative[first]
        return (self.node[term] << SHIFT_BITS | shift) << 1 | opposite

    def _known(self, kinds: _Kinds) -> np.ndarray:
        """For each kind the node that is made of it, or -1."""
        known = np.full(len(kinds.pair), -1)
        # complex numbers are ordered by both parts
        _, at, made = np.intersect1d(
            kinds.pair + 1j * kinds.third,
            self.made.pair + 1j * self.made.third,
            assume_unique=True,
            return_indices=True,
        )
        known[at] = len(self.span) - len(self.made.pair) + made
        return known

    def _best_of_all_terms(self, members: np.ndarray, gain: np.ndarray) -> np.ndarray:
        """Groups of which each term has no better one; of two that are as good the first."""
        terms = len(self.row)
        best, first = np.zeros(terms + 1), np.full(terms + 1, len(gain))
        for member in members:
            np.maximum.at(best, member, gain)
        best[terms] = 0
        taken = np.flatnonzero((gain >= best[members]).all(axis=0))
        for member in members:
            np.minimum.at(first, member[taken], taken)
        own = (first[members[:, taken]] == taken) | (members[:, taken] == terms)
        return taken[own.all(axis=0)]

    def _replace(self, members: np.ndarray, nodes: np.ndarray) -> None:
        """The first term of each group becomes its node, the others go."""
        self.node[members[0]] = nodes
        stays = np.ones(len(self.row) + 1, bool)
        stays[members[1:]] = False
        stays = stays[:-1]
        self.row, self.node, self.exponent, self.negative = (
            column[stays] for column in (self.row, self.node, self.exponent, self.negative)
        )

    def sums(self, inputs: int, outputs: int) -> Sums:
        node, shift, negative = self.made.terms
        there = node >= 0
        own = np.broadcast_to(outputs + np.arange(node.shape[1]), node.shape)
        columns = ((self.row, own), (self.node, node), (self.exponent, shift), (self.negative, negative))
        joined = (np.append(column, more[there]) for column, more in columns)
        return Sums(*joined, nodes=len(self.span), outputs=outputs, inputs=inputs)


def _repeated(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What is there more than once; the indices where it is; and there its index in the first."""
    kinds, kind, count = np.unique(codes, return_inverse=True, return_counts=True)
    often = count > 1
    which = np.flatnonzero(often[kind])
    return kinds[often], which, (often.cumsum() - 1)[kind[which]]


def _dissolve(sums: Sums) -> Sums:
    """Nodes that one sum alone reads go back into it."""
    row, exponent, negative = sums.row.copy(), sums.exponent.copy(), sums.negative.copy()
    once = np.bincount(sums.node, minlength=sums.nodes) == 1
    once[: sums.inputs] = False
    reader = np.zeros(sums.nodes, np.int64)
    reader[sums.node] = np.arange(len(row))
    while True:
        made = np.maximum(row - sums.outputs + sums.inputs, 0)
        inside = np.flatnonzero((row >= sums.outputs) & once[made])
        if not len(inside):
            break
        at = reader[made[inside]]
        row[inside], exponent[inside], negative[inside] = (
            row[at],
            exponent[inside] + exponent[at],
            negative[inside] ^ negative[at],
        )
    stays = ~once[sums.node]
    columns = (column[stays] for column in (row, sums.node, exponent, negative))
    return Sums(*columns, sums.nodes, sums.outputs, sums.inputs)
