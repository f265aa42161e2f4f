"""A layer's weights -> the rows of adders that make its accumulators, with the registers between them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain

import numpy as np

from hwgen.adders.rows import MOST_BITS, ONE, Cell, Heaps, bit, index_of, word_of
from hwgen.adders.subexpressions import share
from hwgen.qtype import QType
from hwgen.terms import TermTable, term_table


@dataclass(frozen=True, eq=False)
class AdderNetlist:
    """Words 1 to len(inputs) are the inputs, word 0 is the constant 1, the others are made by the rows.

    inputs    type of each input
    rows      in an order of evaluation
    sums      for each output the bits of its accumulator, lowest first, as references of hwgen/adders/rows.py
    types     of the accumulators
    shared    nodes that more than one sum reads
    """

    inputs: tuple[QType, ...]
    rows: list[Cell]
    sums: list[list[int]]
    types: list[QType]
    shared: int

    @cached_property
    def levels(self) -> int:
        """Rows on the longest way."""
        return max((row.level for row in self.rows), default=0)

    @cached_property
    def luts(self) -> int:
        """Lookup tables of the rows."""
        return sum(row.luts() for row in self.rows)

    @cached_property
    def _made(self) -> np.ndarray:
        """Of each word the level that makes it."""
        return np.array([0] * (1 + len(self.inputs)) + [row.level for row in self.rows])

    @cached_property
    def _reads(self) -> tuple[np.ndarray, np.ndarray]:
        """What the rows read: (word * MOST_BITS + bit, level of the row)."""
        each = [list(chain.from_iterable(row.columns)) for row in self.rows]
        levels = np.repeat([row.level for row in self.rows], [len(references) for references in each])
        return np.array(list(chain.from_iterable(each)), np.int64) // 2, levels.astype(np.int64)

    def registers(self, levels: int, read: Iterable[int], more: int = 0) -> tuple[int, ...]:
        """The levels behind which registers stand, ascending: no more than `levels` between two of them, and of all
        such places those where the fewest bits are.

        read -- the references that are read behind all rows; more -- levels of logic between these and a register

        A word that several later levels read is in one register of each place that it passes, so what places take adds
        up, and a shortest path finds them. Rows are made level by level: to move registers of single rows as well (as
        retiming does: Leiserson and Saxe, Algorithmica 1991) saves less than 1 % of them.
        """
        end = self.levels + 1
        bits, until = self._reads
        last = np.array(list(read), np.int64) // 2
        bits, until = np.concatenate([bits, last]), np.concatenate([until, np.full(len(last), end)])
        order = np.lexsort((until, bits))
        latest = np.append(bits[order][1:] != bits[order][:-1], True)[: len(order)]
        word, until = bits[order][latest] // MOST_BITS, until[order][latest]
        made, until = self._made[word[word > 0]], until[word > 0]
        # bits that stand behind each level
        passing = np.cumsum(np.bincount(made, minlength=end + 1) - np.bincount(until, minlength=end + 1)).tolist()
        least: list[tuple[int, tuple[int, ...]]] = [(0, ())]
        for place in range(1, end):
            least.append(min((bits + passing[place], (*before, place)) for bits, before in least[-levels:]))
        return min(least[max(0, self.levels + more - levels) :])[1]

    def delays(self, registers: tuple[int, ...], read: list[int] | None = None) -> dict[int, int]:
        """By word, the registers behind it, where these stand behind some levels; read -- the stage in which each sum
        is read, if that is not the one behind them all."""
        bits, levels = self._reads
        stages = np.array(read or [len(registers)] * len(self.sums), np.int64)
        last = np.array(list(chain.from_iterable(self.sums)), np.int64) // (2 * MOST_BITS)
        latest = np.zeros(len(self._made), np.int64)
        np.maximum.at(latest, bits // MOST_BITS, np.searchsorted(registers, levels))
        np.maximum.at(latest, last, np.repeat(stages, [len(bits) for bits in self.sums]))
        late = latest - np.searchsorted(registers, self._made)
        return {word: count for word, count in enumerate(late.tolist()) if word and count > 0}

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        """The accumulators, int64 [N, outputs], of input integers [N, inputs]: what the rows do, by numpy."""
        words = {0: np.ones(len(x), np.int64)}
        for i, kind in enumerate(self.inputs):
            words[i + 1] = x[:, i] & ((1 << kind.bits) - 1)
        for row in self.rows:
            columns = [[self._bit(words, reference) for reference in column] for column in row.columns]
            words[row.word] = row.value(columns, len(x))
        result = np.zeros((len(x), len(self.sums)), np.int64)
        for output, bits in enumerate(self.sums):
            for i, reference in enumerate(bits):
                result[:, output] += self._bit(words, reference) << i
            if self.types[output].signed:
                result[:, output] -= (result[:, output] >> (len(bits) - 1)) << len(bits)
        return result

    @staticmethod
    def _bit(words: dict[int, np.ndarray], reference: int) -> np.ndarray:
        return (words[word_of(reference)] >> index_of(reference) & 1) ^ (reference & 1)


@dataclass(frozen=True)
class Factors:
    """What sums become: multipliers * min(max(sum, 0), 2^windows - 1) + constants.

    multipliers, constants, windows  per output; where a window is 0 the sum is not clamped
    ranges     of the results
    """

    multipliers: list[int]
    constants: list[int]
    windows: list[int]
    ranges: list[QType]


@dataclass(frozen=True)
class Thresholds:
    """What sums become: low + how many of the thresholds are not above min(max(sum, 0), 2^windows - 1).

    thresholds  per output as many, ascending, none below 0
    windows     per output; none is 0
    ranges      of the results
    """

    thresholds: list[list[int]]
    low: int
    windows: list[int]
    ranges: list[QType]


Node = tuple[list[int], int]  # bits, lowest first, all positive; and what they are above its value


def adder_netlist(
    table: TermTable,
    constants: list[int],
    inputs: tuple[QType, ...],
    sums: list[QType],
    then: Factors | Thresholds | None = None,
) -> AdderNetlist:
    """The rows that make sum(terms) + constant for every output, and what these become.

    table      exponents from 0
    constants  per output
    sums       the range of each output's sum, that with the constant
    """
    heaps = Heaps()
    nodes = [_node(_bits(heaps.add_word(), kind.bits), kind) for kind in inputs]
    made, shared = _sums(heaps, nodes, inputs, table, constants, sums)
    if then is None:
        return AdderNetlist(inputs, heaps.rows, made, sums, shared)
    narrow: dict[tuple, int] = {}  # what is made of a sum, by its bits and its window
    read = [
        narrow.setdefault((*bits, kind, window), len(narrow))
        for bits, kind, window in zip(made, sums, then.windows, strict=True)
    ]
    clamped = [
        (list(bits), kind)
        if not window
        else (heaps.clamp(list(bits), kind.signed, window), QType(0, (1 << window) - 1))
        for *bits, kind, window in narrow
    ]
    if isinstance(then, Thresholds):
        counts = {
            key: heaps.count(clamped[key[0]][0], list(key[1:]), then.low, kind.bits)
            for key, kind in zip(map(_key, read, then.thresholds), then.ranges, strict=True)
        }
        results = [counts[key] for key in map(_key, read, then.thresholds)]
        return AdderNetlist(inputs, heaps.rows, results, then.ranges, shared)
    kinds = tuple(kind for _, kind in clamped)
    results = [clamped[source][0] for source in read]
    some = [n for n, one in enumerate(zip(then.multipliers, then.constants, strict=True)) if one != (1, 0)]
    factors = term_table(np.array([then.multipliers[n] for n in some])[:, None])
    factors = replace(factors, input=np.array(read)[some][factors.output])
    nodes = [_node(bits, kind) for bits, kind in clamped]
    constants, ranges = [then.constants[n] for n in some], [then.ranges[n] for n in some]
    products, more = _sums(heaps, nodes, kinds, factors, constants, ranges)
    for n, bits in zip(some, products, strict=True):
        results[n] = bits
    return AdderNetlist(inputs, heaps.rows, results, then.ranges, shared + more)


def _key(source: int, thresholds: list[int]) -> tuple[int, ...]:
    return source, *thresholds


def _bits(word: int, count: int) -> list[int]:
    return [bit(word, k) for k in range(count)]


def _node(bits: list[int], kind: QType) -> Node:
    """Two's complement is its sign bit inverted."""
    return ([*bits[:-1], bits[-1] ^ 1], 1 << (len(bits) - 1)) if kind.signed else (bits, 0)


def _sums(
    heaps: Heaps,
    nodes: list[Node],
    inputs: tuple[QType, ...],
    table: TermTable,
    constants: list[int],
    sums: list[QType],
) -> tuple[list[list[int]], int]:
    """The bits of each output, and how many nodes more than one sum reads; nodes -- of the inputs."""
    table, first, same = _without_copies(table, constants)
    spans = np.array([(1 << kind.bits) - 1 for kind in inputs], np.int64)
    shared = share(table, spans, len(first))
    nodes = list(nodes)
    order = np.argsort(shared.row, kind="stable")
    starts = np.searchsorted(shared.row[order], np.arange(shared.outputs + shared.nodes - shared.inputs + 1))
    starts = starts.tolist()
    terms = np.stack([shared.node, shared.exponent, shared.negative], axis=1)[order].tolist()

    def gather(row: int) -> tuple[list[tuple[int, int]], int]:
        """Of a sum: (column, reference) of its bits without those that are always one; what they are above the sum."""
        bits, above = [], 0
        for node, exponent, negative in terms[starts[row] : starts[row + 1]]:
            references, offset = nodes[node]
            for column, reference in enumerate(references, exponent):
                if word_of(reference):
                    bits.append((column, reference ^ negative))
                elif reference ^ negative == ONE:
                    above -= 1 << column
            above += (((1 << len(references)) - 1 - offset) if negative else offset) << exponent
        return bits, above

    factors: list[dict[int, int]] = [{i: 1} for i in range(len(inputs))]  # what each node is, of the inputs
    for row in range(shared.outputs, len(starts) - 1):
        bits, above = gather(row)
        factor: Counter[int] = Counter()
        for node, exponent, negative in terms[starts[row] : starts[row + 1]]:
            for i, value in factors[node].items():
                factor[i] += (-value if negative else value) << exponent
        factors.append(factor)
        width, constant = _narrowest(bits, above, factor, inputs)
        nodes.append((heaps.compress(bits, constant, width), above + constant))
    made = []
    for row, output in enumerate(first):
        bits, above = gather(row)
        made.append(heaps.compress(bits, constants[output] - above, sums[output].bits))
    return [made[row] for row in same], len(starts) - 1 - shared.outputs


def _narrowest(
    bits: list[tuple[int, int]], above: int, factor: dict[int, int], inputs: tuple[QType, ...]
) -> tuple[int, int]:
    """The width of a node that is `factor` of each input, and the constant without which it would not fit."""
    width = sum(1 << column for column, _ in bits).bit_length()
    ends = [(value * inputs[i].low, value * inputs[i].high) for i, value in factor.items()]
    low, high = sum(map(min, ends)), sum(map(max, ends))
    exact = (high - low).bit_length()
    if exact >= width:
        return width, 0
    # an input is there more than once: the sum has a smaller range than its bits
    least = -above - low
    return exact, _roundest(least, least + (1 << exact) - 1 - (high - low))


def _roundest(low: int, high: int) -> int:
    """Of the integers from `low` to `high` one with the most zeros at its end."""
    zeros = max(abs(low), abs(high)).bit_length()
    while -(-low >> zeros) << zeros > high:
        zeros -= 1
    return -(-low >> zeros) << zeros


def _without_copies(table: TermTable, constants: list[int]) -> tuple[TermTable, list[int], list[int]]:
    """The terms of the outputs that differ, numbered anew; the first output of each; which it is for each output."""
    order = np.lexsort((table.input, table.exponent, table.output))
    columns = np.stack([table.input, table.exponent, table.negative], axis=1)[order]
    starts = np.searchsorted(table.output[order], np.arange(len(constants) + 1))
    known: dict[tuple[bytes, int], int] = {}
    first, same = [], []
    for output, constant in enumerate(constants):
        key = columns[starts[output] : starts[output + 1]].tobytes(), constant
        if key not in known:
            known[key] = len(first)
            first.append(output)
        same.append(known[key])
    row = np.full(len(constants), -1)
    row[first] = np.arange(len(first))
    keep = row[table.output] >= 0
    columns = (table.input, table.exponent, table.negative)
    return TermTable(row[table.output][keep], *(column[keep] for column in columns)), first, same
