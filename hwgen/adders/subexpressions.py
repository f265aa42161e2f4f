"""Common sub-expressions: two or three terms that several sums hold become a node of their own.

Such a group is a ± 2^s · b or a ± 2^s · b ± 2^t · c. It pays where the bits that it takes out of the sums cost more
adders than the group itself: a sum of B bits takes about LUT_PER_BIT * B lookup tables (see rows.py). So this weighs
bits and not operations, unlike the searches for two-input adders from which it comes (Hartley, TCAS-II 1996; da4ml,
arXiv 2507.04535). With three-input adders a group of three costs little more than a pair and saves twice as much. It is
sought behind the commonest pairs: the pair that it begins with is no less common (as in Agrawal and Srikant, VLDB
1994).
"""

from dataclasses import dataclass, replace

import numpy as np

from hwgen.terms import TermTable

LUT_PER_BIT = 0.5  # a row takes three bits of a column and leaves one
MOST_SHIFT = 4  # within a group: beyond, what its terms overlap is worth little
NODE_BITS, SHIFT_BITS = 24, 3
TERM_BITS = NODE_BITS + SHIFT_BITS + 1
TERMS_AT_ONCE = 64  # of a sum, among which groups are sought: so that the work grows with the terms, not their square
MOSTLY = 0.6  # of its gain a group must keep beside those that are made with it
CHUNK = 1 << 14  # terms among which groups are sought in one go: more, and they leave the processor's cache
EXTENDED = 2  # pairs for each term to which a third is sought


@dataclass(frozen=True, eq=False)
class Sums:
    """Terms of sums, parallel int64 arrays: sum `row` gets (-1)^negative * 2^exponent * node.

    Nodes from 0 are the inputs; node `inputs` + k is what sum `outputs` + k makes; sums below `outputs` are the
    results.
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
    _Terms.code makes them, against the first, which has the lowest exponent."""

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
    nodes = _Nodes(np.asarray(spans, np.int64))
    terms = _Terms(table.output, table.input, table.exponent, table.negative)
    size = max(1, inputs * outputs * TERMS_AT_ONCE // max(1, len(table)))
    while True:
        terms = nodes.share_within_blocks(terms, size)
        if size >= inputs or len(terms.row) * 2 * size > inputs * outputs * TERMS_AT_ONCE:
            return _dissolve(_sums(terms, nodes, inputs, outputs))
        size *= 2


@dataclass(frozen=True, eq=False)
class _Terms:
    """Of the results, as in Sums."""

    row: np.ndarray
    node: np.ndarray
    exponent: np.ndarray
    negative: np.ndarray

    def only(self, which: np.ndarray) -> "_Terms":
        return _Terms(self.row[which], self.node[which], self.exponent[which], self.negative[which])

    @staticmethod
    def joined(parts: list["_Terms"]) -> "_Terms":
        columns = ([getattr(part, name) for part in parts] for name in ("row", "node", "exponent", "negative"))
        return _Terms(*map(np.concatenate, columns))

    def behind(self, first: np.ndarray, last: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For groups that have a first and a last term, all terms that may follow up to `end` of the last: the indices
        of the groups, and the terms."""
        more = end[last] - last - 1
        group = np.repeat(np.arange(len(last)), more)
        term = last[group] + 1 + np.arange(len(group)) - np.repeat(more.cumsum() - more, more)
        near = self.exponent[term] - self.exponent[first[group]] <= MOST_SHIFT
        return group[near], term[near]

    def code(self, first: np.ndarray, term: np.ndarray) -> np.ndarray:
        """A term against the first one of its group: node, shift and sign as one integer."""
        shift, opposite = self.exponent[term] - self.exponent[first], self.negative[term] ^ self.negative[first]
        return (self.node[term] << SHIFT_BITS | shift) << 1 | opposite

    def groups(self, end: np.ndarray) -> tuple[_Kinds, np.ndarray, np.ndarray]:
        """The kinds of pairs and of groups of three that are there more than once; the terms of each such group,
        [3, groups], where len(row) is none; and its kind, as an index.

        end -- for each term where those end that it may be in a group with; they are sorted by exponent and node
        """
        terms = np.arange(len(self.row))
        first, second = self.behind(terms, terms, end)
        pairs, which, pair = _repeated(self.node[first] << TERM_BITS | self.code(first, second))
        first, second = first[which], second[which]
        count = np.bincount(pair, minlength=len(pairs))
        extended = np.zeros(len(pairs), bool)
        commonest = np.argsort(-count, kind="stable")
        extended[commonest[count[commonest].cumsum() <= EXTENDED * len(terms)]] = True
        use = np.flatnonzero(extended[pair])
        group, third = self.behind(first[use], second[use], end)
        use = use[group]
        threes, which, three = _repeated(pair[use] << TERM_BITS | self.code(first[use], third))
        use, third = use[which], third[which]
        no_third = np.full(len(first), len(terms))
        members = [np.append(first, first[use]), np.append(second, second[use]), np.append(no_third, third)]
        kinds = _Kinds(
            np.append(pairs, pairs[threes >> TERM_BITS]),
            np.append(np.full(len(pairs), -1), threes & ((1 << TERM_BITS) - 1)),
        )
        return kinds, np.stack(members), np.append(pair, len(pairs) + three)

    def replaced(self, members: np.ndarray, nodes: np.ndarray) -> "_Terms":
        """The first term of each group is its node, the others are gone."""
        node = self.node.copy()
        node[members[0]] = nodes
        stays = np.ones(len(self.row) + 1, bool)
        stays[members[1:]] = False
        return replace(self, node=node).only(stays[:-1])


class _Nodes:
    """span, place -- of each node the greatest less the least value, and where it stands among the inputs: groups are
    sought within blocks of places; made -- what the nodes behind the inputs are."""

    def __init__(self, spans: np.ndarray):
        self.span, self.place = spans, np.arange(len(spans))
        self.made = _Kinds(np.zeros(0, np.int64), np.zeros(0, np.int64))

    def share_within_blocks(self, terms: _Terms, size: int) -> _Terms:
        """Makes the groups that pay in blocks of `size` places; what is left of the terms."""
        block = self.place[terms.node] // size
        order = np.argsort(block, kind="stable")
        starts = np.flatnonzero(np.diff(block[order], prepend=-1))
        cuts = starts[np.flatnonzero(np.diff(starts // CHUNK, prepend=0))]
        left = []
        for chunk in np.split(order, cuts):
            part, more = terms.only(chunk), True
            while more:
                part, more = self._make_groups(part, size)
            left.append(part)
        return _Terms.joined(left)

    def _make_groups(self, terms: _Terms, size: int) -> tuple[_Terms, bool]:
        """One round: those of the best groups that do not stand in each other's way. Whether there was one."""
        block = self.place[terms.node] // size
        order = np.lexsort((terms.node, terms.exponent, block, terms.row))
        terms = terms.only(order)
        starts = np.flatnonzero(np.diff(terms.row, prepend=-1) | np.diff(block[order], prepend=-1))
        sizes = np.diff(starts, append=len(order))
        kinds, members, kind = terms.groups(np.repeat(starts + sizes, sizes))
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

        pays = gain[kind] > 0
        members, kind = members[:, pays], kind[pays]
        taken = _best_of_all_terms(members, gain[kind], len(order))
        times = np.bincount(kind[taken], minlength=len(known))
        good = times * saved > cost
        mostly = good & (times * saved - cost >= MOSTLY * gain)
        if mostly.any():
            good = mostly  # the others are weighed again when these are made
        taken = taken[good[kind[taken]]]
        new = np.flatnonzero(good & (known < 0))
        known[new] = len(self.span) + np.arange(len(new))
        self.made = self.made.beside(kinds.only(new))
        self.span = np.append(self.span, span[new])
        self.place = np.append(self.place, self.place[node[0, new]])
        return terms.replaced(members[:, taken], known[kind[taken]]), len(taken) > 0

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


def _sums(terms: _Terms, nodes: _Nodes, inputs: int, outputs: int) -> Sums:
    node, shift, negative = nodes.made.terms
    there = node >= 0
    own = np.broadcast_to(outputs + np.arange(node.shape[1]), node.shape)
    all_terms = _Terms.joined([terms, _Terms(own[there], node[there], shift[there], negative[there])])
    return Sums(**vars(all_terms), nodes=len(nodes.span), outputs=outputs, inputs=inputs)


def _best_of_all_terms(members: np.ndarray, gain: np.ndarray, terms: int) -> np.ndarray:
    """Groups of which each term has no better one; of two that are as good the first."""
    best, first = np.zeros(terms + 1), np.full(terms + 1, len(gain))
    for member in members:
        np.maximum.at(best, member, gain)
    best[terms] = 0
    taken = np.flatnonzero((gain >= best[members]).all(axis=0))
    for member in members:
        np.minimum.at(first, member[taken], taken)
    own = (first[members[:, taken]] == taken) | (members[:, taken] == terms)
    return taken[own.all(axis=0)]


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
    row, node, exponent, negative = (column[stays] for column in (row, sums.node, exponent, negative))
    return Sums(row, node, exponent, negative, sums.nodes, sums.outputs, sums.inputs)
