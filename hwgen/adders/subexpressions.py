"""Common sub-expressions: pairs of terms that several sums hold become a node of their own.

A pair is a + (-1)^negative * 2^shift * b of two nodes. It pays where the bits that it takes out of the sums cost more
adders than the pair itself: a sum of B bits takes about LUT_PER_BIT * B lookup tables (see rows.py). So this weighs bits
and not operations, unlike the searches for two-input adders from which it comes (Hartley, TCAS-II 1996; da4ml, arXiv
2507.04535).
"""

from dataclasses import dataclass

import numpy as np

from hwgen.terms import TermTable

LUT_PER_BIT = 0.5  # a row takes three bits of a column and leaves one
MOST_SHIFT = 4  # of a pair: beyond, what the two overlap is worth little
NODE_BITS = 24
TERMS_AT_ONCE = 64  # of a sum, among which pairs are sought: so that the work grows with the terms, not their square


@dataclass(frozen=True, eq=False)
class Sums:
    """Terms of sums, parallel int64 arrays: sum `row` gets (-1)^negative * 2^exponent * node.

    Nodes from 0 are the inputs; node `inputs` + k is what sum `outputs` + k makes; sums below `outputs` are the
    results. span holds the greatest less the least value of each node.
    """

    row: np.ndarray
    node: np.ndarray
    exponent: np.ndarray
    negative: np.ndarray
    span: np.ndarray
    outputs: int
    inputs: int


def bit_length(values: np.ndarray) -> np.ndarray:
    """Bits of int64 values from 0 to 2^52."""
    return np.frexp(values.astype(np.float64))[1].astype(np.int64)


def share(table: TermTable, spans: np.ndarray, outputs: int) -> Sums:
    """The sums of `table` with what they have in common made once.

    spans -- int64 [inputs], greatest less least value of each input
    """
    order = np.lexsort((table.input, table.exponent, table.output))
    sums = Sums(
        table.output[order],
        table.input[order],
        table.exponent[order],
        table.negative[order],
        np.asarray(spans, np.int64),
        outputs,
        len(spans),
    )
    place = np.arange(len(spans))  # of each node among the inputs; pairs are sought within a range of places
    size = max(1, len(spans) * outputs * TERMS_AT_ONCE // max(1, len(table)))
    while True:
        sums, place = _share_within(sums, place // size, place)
        left = np.count_nonzero(sums.row < outputs)
        if size >= len(spans) or left * 2 * size > len(spans) * outputs * TERMS_AT_ONCE:
            return _dissolve(sums)
        size *= 2


def _share_within(sums: Sums, blocks: np.ndarray, place: np.ndarray) -> tuple[Sums, np.ndarray]:
    """Shares pairs of nodes in the same block until none pays. place -- of each node among the inputs."""
    row, node, exponent, negative, span = sums.row, sums.node, sums.exponent, sums.negative, sums.span
    while True:
        first, second = _pairs(row, blocks[node], exponent, node, sums.outputs)
        shift = exponent[second] - exponent[first]
        near = shift <= MOST_SHIFT
        first, second, shift = first[near], second[near], shift[near]
        kinds, kind, count = np.unique(
            _kind(node[first], node[second], shift, negative[first] ^ negative[second]),
            return_inverse=True,
            return_counts=True,
        )
        a, b, kind_shift, opposite = _parts(kinds)
        known = _known(row, node, exponent, negative, sums, kinds)
        kind_span = span[a] + (span[b] << kind_shift)
        a_bits, b_bits, bits = bit_length(span[a]), bit_length(span[b]), bit_length(kind_span)
        saved = LUT_PER_BIT * (a_bits + b_bits - bits)
        cost = np.where(a_bits > kind_shift, (bits - kind_shift + np.minimum(a_bits - kind_shift, b_bits)) / 2, 0.0)
        cost[known >= 0] = 0
        least = np.where(known >= 0, 1, 2)
        # a tie between kinds must not leave all of them halfway: their order breaks it
        gain = count * saved - cost - np.arange(len(kinds)) * 1e-9
        gain[(count < least) | (saved <= 0)] = -1

        # a pair is taken where it is the best one of both its terms
        offered = gain[kind]
        pays = offered > 0
        first, second, kind, offered = first[pays], second[pays], kind[pays], offered[pays]
        best = np.zeros(len(row))
        np.maximum.at(best, first, offered)
        np.maximum.at(best, second, offered)
        taken = np.flatnonzero((offered == best[first]) & (offered == best[second]))
        holder = np.full(len(row), len(first))
        np.minimum.at(holder, first[taken], taken)
        np.minimum.at(holder, second[taken], taken)
        taken = taken[(holder[first[taken]] == taken) & (holder[second[taken]] == taken)]
        count = np.bincount(kind[taken], minlength=len(kinds))
        good = (count >= least) & (count * saved > cost)
        if not good.any():
            return Sums(row, node, exponent, negative, span, sums.outputs, sums.inputs), place
        taken = taken[good[kind[taken]]]
        first, second, kind = first[taken], second[taken], kind[taken]

        made = np.flatnonzero(good & (known < 0))
        name = known.copy()
        name[made] = len(span) + np.arange(len(made))
        node = node.copy()
        node[first] = name[kind]
        stays = np.ones(len(row), bool)
        stays[second] = False
        own_row = sums.outputs - sums.inputs + name[made]
        zeros = np.zeros(len(made), np.int64)
        row = np.concatenate([row[stays], own_row, own_row])
        node = np.concatenate([node[stays], a[made], b[made]])
        exponent = np.concatenate([exponent[stays], zeros, kind_shift[made]])
        negative = np.concatenate([negative[stays], zeros, opposite[made]])
        span = np.concatenate([span, kind_span[made]])
        blocks = np.concatenate([blocks, blocks[a[made]]])
        place = np.concatenate([place, place[a[made]]])


def _kind(a: np.ndarray, b: np.ndarray, shift: np.ndarray, opposite: np.ndarray) -> np.ndarray:
    """Pairs a + (-1)^opposite * 2^shift * b as one integer each."""
    return (((a << NODE_BITS) | b) * (MOST_SHIFT + 1) + shift) * 2 + opposite


def _parts(kinds: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rest, opposite = np.divmod(kinds, 2)
    rest, shift = np.divmod(rest, MOST_SHIFT + 1)
    return rest >> NODE_BITS, rest & ((1 << NODE_BITS) - 1), shift, opposite


def _known(row, node, exponent, negative, sums: Sums, kinds: np.ndarray) -> np.ndarray:
    """For each kind the node that is already made of it, or -1."""
    own = np.flatnonzero(row >= sums.outputs)
    own = own[np.argsort(row[own], kind="stable")]
    a, b = own[::2], own[1::2]  # a node's two terms, in the order in which they were put in
    have = _kind(node[a], node[b], exponent[b], negative[b])
    order = np.argsort(have)
    at = np.minimum(np.searchsorted(have[order], kinds), max(0, len(have) - 1))
    if not len(have):
        return np.full(len(kinds), -1)
    return np.where(have[order][at] == kinds, row[a][order][at] - sums.outputs + sums.inputs, -1)


def _pairs(
    row: np.ndarray, block: np.ndarray, exponent: np.ndarray, node: np.ndarray, outputs: int
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of both terms of all pairs within a result and a block; the first has the lower exponent, or else
    node."""
    order = np.lexsort((node, exponent, block, row))
    order = order[: np.searchsorted(row[order], outputs)]  # what makes a node stays as it is
    group = np.flatnonzero(np.diff(row[order], prepend=-1) | np.diff(block[order], prepend=-1))
    sizes = np.diff(group, append=len(order))
    first, second = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for size in np.unique(sizes[sizes > 1]):
        i, j = np.triu_indices(size, 1)
        starts = group[sizes == size][:, None]
        first.append(order[starts + i].ravel())
        second.append(order[starts + j].ravel())
    return np.concatenate(first), np.concatenate(second)


def _dissolve(sums: Sums) -> Sums:
    """Nodes that one sum alone reads go back into it."""
    row, exponent, negative = sums.row.copy(), sums.exponent.copy(), sums.negative.copy()
    once = np.bincount(sums.node, minlength=len(sums.span)) == 1
    once[: sums.inputs] = False
    reader = np.zeros(len(sums.span), np.int64)
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
    return Sums(row[stays], sums.node[stays], exponent[stays], negative[stays], sums.span, sums.outputs, sums.inputs)
