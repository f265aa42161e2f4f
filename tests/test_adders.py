"""A layer's adders: every sum exact, shared or not, in rows that rtl/row_adder.v can be."""

import random
from dataclasses import dataclass
from itertools import chain, combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen.adders import subexpressions
from hwgen.adders.netlist import adder_netlist
from hwgen.adders.rows import ONE, Heaps, bit, index_of, word_of
from hwgen.adders.subexpressions import share
from hwgen.qtype import QType
from hwgen.terms import TermTable, term_table

KINDS = [
    QType(0, 1),  # one bit
    QType(0, 15),
    QType(0, 9),
    QType(-8, 7),
    QType(-8, -1),  # four bits, never positive
    QType(-1, 0),
    QType(-5, 100),
    QType(0, 255),
]


@dataclass
class Case:
    """Weights [outputs, inputs], what they read, and a constant for each output."""

    weights: np.ndarray
    inputs: tuple[QType, ...]
    constants: list[int]

    @property
    def lows(self):
        return np.array([kind.low for kind in self.inputs])

    @property
    def highs(self):
        return np.array([kind.high for kind in self.inputs])

    def ends(self):
        """Least and greatest of weights * x for each output."""
        positive, negative = np.maximum(self.weights, 0), np.minimum(self.weights, 0)
        return positive @ self.lows + negative @ self.highs, positive @ self.highs + negative @ self.lows

    def ranges(self):
        lows, highs = (side + np.array(self.constants) for side in self.ends())
        return [QType(low, high) for low, high in zip(lows.tolist(), highs.tolist(), strict=True)]

    def x(self):
        """Inputs: the ends of every sum, and random ones."""
        worst = [np.where((row > 0) == up, self.highs, self.lows) for row in self.weights for up in (True, False)]
        drawn = np.random.default_rng(1).integers(self.lows, self.highs + 1, (30, len(self.inputs)))
        return np.stack([*worst, *drawn])

    def netlist(self, table=None):
        return adder_netlist(table or term_table(self.weights), self.constants, self.inputs, self.ranges())

    def spans(self):
        return np.array([(1 << kind.bits) - 1 for kind in self.inputs])


def random_case(seed):
    rng, pick = np.random.default_rng(seed), random.Random(seed)
    inputs = tuple(pick.choice(KINDS) for _ in range(pick.choice((1, 2, 3, 5, 9))))
    if pick.random() < 0.3:
        inputs = (pick.choice(KINDS),) * len(inputs)
    span = pick.choice((1, 3, 40, 1 << 15))
    keep = pick.choice((0.2, 0.6, 1.0))
    rows = []
    for _ in range(pick.choice((1, 2, 4, 8))):
        fresh = rng.integers(-span, span + 1, len(inputs)) * (rng.random(len(inputs)) < keep)
        old = pick.choice(rows) if rows else fresh
        single = np.zeros(len(inputs), np.int64)
        single[pick.randrange(len(single))] = pick.choice((1, -1, 2, -4, 1 << 12))
        kinds = {
            "fresh": fresh,
            "zeros": fresh * 0,
            "single": single,
            "same": old,
            "negated": -old,
            "shifted": old << pick.randrange(10),
            "more": old + single,
            "sum": old - (fresh << 3),
        }
        kind = pick.choice(("fresh", "fresh", "fresh", *kinds))
        rows.append(kinds[kind])
    constants = [pick.choice((0, 0, 1, -1, pick.randint(-300, 300), 1 << 40, -(1 << 40) - 12345)) for _ in rows]
    case = Case(np.stack(rows), inputs, constants)
    if pick.random() < 0.3:  # nothing left to add but what the signs put above the sum
        case.constants = (-case.ends()[0]).tolist()
    return case


CASES = [random_case(seed) for seed in range(150)]


@st.composite
def any_case(draw):
    """Any small matrix, of weights of one size; rows may be there twice."""
    inputs = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=7))
    span = draw(st.sampled_from((1, 7, 127, 1 << 15)))
    row = st.lists(st.integers(-span, span), min_size=len(inputs), max_size=len(inputs))
    rows = draw(st.lists(row, min_size=1, max_size=8))
    rows += draw(st.lists(st.sampled_from(rows), max_size=3))
    constants = draw(st.lists(st.integers(-(1 << 20), 1 << 20), min_size=len(rows), max_size=len(rows)))
    return Case(np.array(rows), tuple(inputs), constants)


@settings(deadline=None, max_examples=200)
@given(any_case())
def test_every_sum_of_any_matrix_is_exact(case):
    x = case.x()
    assert np.array_equal(case.netlist().evaluate(x), x @ case.weights.T + np.array(case.constants))
    assert np.array_equal(expanded(share(term_table(case.weights), case.spans(), len(case.weights))), case.weights)


def test_the_cases_hold_every_kind_of_row():
    weights = [case.weights for case in CASES]
    assert any(not row.any() for matrix in weights for row in matrix)
    assert any(np.count_nonzero(row) == 1 for matrix in weights for row in matrix)
    assert any(len(np.unique(matrix, axis=0)) < len(matrix) for matrix in weights)
    assert any(not matrix.any() for matrix in weights) and any(not matrix.any(axis=0).all() for matrix in weights)
    assert {kind for case in CASES for kind in case.inputs} == set(KINDS)


def test_every_sum_is_exact():
    for seed, case in enumerate(CASES):
        x = case.x()
        want = x @ case.weights.T + np.array(case.constants)
        assert np.array_equal(case.netlist().evaluate(x), want), seed


def rows_as_tuples(netlist):
    return [(row.word, row.columns, row.one, row.bits, row.level) for row in netlist.rows], netlist.sums


def test_the_same_layer_gives_the_same_rows_whatever_the_order_of_its_terms():
    for seed, case in enumerate(CASES):
        table = term_table(case.weights)
        mixed = np.random.default_rng(seed).permutation(len(table))
        other = TermTable(*(getattr(table, name)[mixed] for name in ("output", "input", "exponent", "negative")))
        assert rows_as_tuples(case.netlist()) == rows_as_tuples(case.netlist(other)), seed


def test_each_row_is_one_that_row_adder_takes():
    for case in CASES:
        netlist = case.netlist()
        level = dict.fromkeys(range(len(case.inputs) + 1), 0)
        bits = {0: 1} | {i + 1: kind.bits for i, kind in enumerate(case.inputs)}
        for row in netlist.rows:
            read = [reference for column in row.columns for reference in column]
            assert all(index_of(reference) < bits[word_of(reference)] for reference in read)
            assert row.level > max(level[word_of(reference)] for reference in read)
            lowest, *others = row.columns
            assert row.one in (0, 1) and len(lowest) <= 4 and all(len(column) <= 3 for column in others)
            assert not any(reference & 1 for reference in lowest[3:])
            sent = False
            for column in row.columns:
                sent = len(column) > 2 or (len(column) == 2 and sent)
            assert 1 <= row.bits <= len(row.columns) + (not sent)
            level[row.word], bits[row.word] = row.level, row.bits
        for sums, kind in zip(netlist.sums, netlist.types, strict=True):
            assert len(sums) == kind.bits


def test_bits_are_read_once_but_where_words_are_shared():
    """A heap uses every bit: a row's bits go to one place, unless a node is behind it or two outputs are one."""
    for case in CASES:
        netlist = case.netlist()
        if netlist.shared or len(np.unique(case.weights, axis=0)) < len(case.weights):
            continue
        made = {row.word for row in netlist.rows}
        places = [*(column for row in netlist.rows for column in row.columns), *netlist.sums]
        read = [reference for column in places for reference in column if word_of(reference) in made]
        assert len(read) == len(set(read))


def test_rows_take_at_most_a_lookup_table_for_each_bit_that_they_add():
    """Of the terms, and of the constant, which is as wide as its sum; on the whole about half of that."""
    taken = given = 0
    for seed, case in enumerate(CASES):
        terms = sum(case.inputs[i].bits for i in term_table(case.weights).input)
        luts = case.netlist().luts
        assert luts <= terms + sum(kind.bits for kind in case.ranges()), seed
        taken, given = taken + luts, given + terms
    assert taken < 0.6 * given


def expanded(sums):
    """The matrix that shared sums stand for: nodes put into each other until only inputs are left."""
    count = sums.nodes
    below = np.zeros((sums.outputs + count - sums.inputs, count), np.int64)
    for row, node, exponent, negative in zip(sums.row, sums.node, sums.exponent, sums.negative, strict=True):
        below[row, node] += (-1 if negative else 1) << int(exponent)
    nodes = np.zeros((count, sums.inputs), np.int64)
    nodes[: sums.inputs] = np.eye(sums.inputs, dtype=np.int64)
    for node in range(sums.inputs, count):  # a node is made of earlier ones
        nodes[node] = below[sums.outputs + node - sums.inputs] @ nodes
    return below[: sums.outputs] @ nodes


def test_shared_sums_are_the_same_matrix():
    shared = 0
    for seed, case in enumerate(CASES):
        sums = share(term_table(case.weights), case.spans(), len(case.weights))
        assert np.array_equal(expanded(sums), case.weights), seed
        shared += sums.nodes > len(case.inputs)
    assert shared > 20


def test_every_shared_node_has_two_readers_or_more():
    for case in CASES:
        sums = share(term_table(case.weights), case.spans(), len(case.weights))
        alive = np.unique(sums.row[sums.row >= sums.outputs]) - sums.outputs + sums.inputs
        readers = np.bincount(sums.node, minlength=sums.nodes)
        assert (readers[alive] > 1).all()


def test_three_terms_that_two_sums_hold_are_one_node():
    """And one row, as each sum behind it is."""
    common = np.array([1, 2, -1])
    weights = np.stack([np.append(common, (1, 0)), np.append(-4 * common, (0, 1))])
    sums = share(term_table(weights), np.full(5, 255), 2)
    assert sums.nodes == 6 and np.count_nonzero(sums.row == 2) == 3
    assert len(Case(weights, (QType(0, 255),) * 5, [0, 0]).netlist().rows) == 3


@pytest.mark.parametrize("kind", [QType(0, 255), QType(-128, 127), QType(0, 31)])
def test_a_node_is_as_wide_as_its_values(kind):
    """Three times an input, as four times less once: the sum of its bits could be a bit wider."""
    weights = np.append(np.array([[3, 6, -3, 12, -6, 3]]).T, 64 * np.eye(6, dtype=np.int64), axis=1)
    case = Case(weights, (kind,) * 7, [0] * 6)
    netlist = case.netlist()
    assert netlist.shared == 1
    # its two lowest bits are the input's own
    assert netlist.rows[0].bits == (3 * (kind.high - kind.low)).bit_length() - 2
    x = case.x()
    assert np.array_equal(netlist.evaluate(x), x @ weights.T)


@pytest.mark.parametrize("more", [0, 1])
@pytest.mark.parametrize("levels", [1, 2, 5, 64])
def test_registers_bring_every_word_to_its_readers_in_time(levels, more):
    """Counted from the readers: a word has as many registers behind it as its latest reader is stages later."""
    for case in CASES[::3]:
        netlist = case.netlist()
        registers = netlist.registers(levels, chain(*netlist.sums), more)
        ends = (0, *registers, netlist.levels + more)
        assert max(b - a for a, b in pairwise(ends)) <= levels
        stage = dict.fromkeys(range(len(case.inputs) + 1), 0)
        late = {}
        for reads, at in [
            *(([*chain(*row.columns)], sum(place < row.level for place in registers)) for row in netlist.rows),
            *((bits, len(registers)) for bits in netlist.sums),
        ]:
            for word in {word_of(reference) for reference in reads} - {0}:
                made = stage.setdefault(word, at)
                assert made <= at, "read before it is made"
                late[word] = max(late.get(word, 0), at - made)
            for row in netlist.rows:
                stage[row.word] = sum(place < row.level for place in registers)
        assert netlist.delays(registers) == {word: count for word, count in late.items() if count}


@pytest.mark.parametrize("more", [0, 1])
def test_registers_are_where_the_fewest_bits_are(more):
    """Of all places with no more than two levels between them."""
    for case in CASES[::3]:
        netlist = case.netlist()
        made = {row.word: row.level for row in netlist.rows}
        until = {}
        for reads, level in [
            *((chain(*row.columns), row.level) for row in netlist.rows),
            *((bits, netlist.levels + 1) for bits in netlist.sums),
        ]:
            for reference in reads:
                if word_of(reference):
                    until[reference // 2] = max(until.get(reference // 2, 0), level)

        def bits(places, until=until, made=made):
            return sum(
                made.get(word_of(2 * bit), 0) <= place < level for bit, level in until.items() for place in places
            )

        end = netlist.levels + more
        every = [
            places
            for count in range(netlist.levels + 1)
            for places in combinations(range(1, netlist.levels + 1), count)
            if max(b - a for a, b in pairwise((0, *places, end))) <= 2
        ]
        assert bits(netlist.registers(2, chain(*netlist.sums), more)) == min(map(bits, every))


def test_a_sum_that_two_outputs_have_is_made_once():
    rng = np.random.default_rng(1)
    row, kinds = rng.integers(-20, 21, 6), (QType(0, 15),) * 6

    def luts(*rows):
        return Case(np.stack(rows), kinds, [3] * len(rows)).netlist().luts

    assert luts(row, row) <= luts(row)  # less where the common pairs are a better start
    # eight sums with most terms in common: much less than eight times one
    others = [row + 64 * np.eye(6, dtype=np.int64)[i % 6] * (1 - 2 * (i // 6)) for i in range(8)]
    assert luts(*others) < 5 * luts(row)


@pytest.mark.parametrize("chunk", [subexpressions.CHUNK, 100])
@pytest.mark.parametrize(("values", "sizes"), [((-1, 1), 2), (range(-20, 21), 1)])
def test_a_wide_dense_layer_is_shared_in_blocks(values, sizes, chunk, monkeypatch):
    """Groups are first sought among few inputs, then among more, if few terms are left: no step changes the sums."""
    rng = np.random.default_rng(2)
    weights = rng.choice(values, (8, 300))
    within, blocks = subexpressions._Nodes.share_within_blocks, []

    def watched(nodes, terms, size):
        blocks.append(-(-300 // size))
        result = within(nodes, terms, size)
        assert np.array_equal(expanded(subexpressions._sums(result, nodes, 300, 8)), weights)
        return result

    monkeypatch.setattr(subexpressions._Nodes, "share_within_blocks", watched)
    monkeypatch.setattr(subexpressions, "CHUNK", chunk)
    ranges = [QType(5 - 8 * reach, 5 + 8 * reach) for reach in np.abs(weights).sum(axis=1).tolist()]
    netlist = adder_netlist(term_table(weights), [5] * 8, (QType(-8, 7),) * 300, ranges)
    assert len(blocks) >= sizes and blocks == sorted(blocks, reverse=True) and blocks[0] > 4
    assert netlist.shared > 200
    x = rng.integers(-8, 8, (50, 300))
    assert np.array_equal(netlist.evaluate(x), x @ weights.T + 5)


def read(values, reference):
    """A bit of the words in `values`."""
    return (values[word_of(reference)] >> index_of(reference) & 1) ^ (reference & 1)


def test_a_heap_of_bits_adds_up_modulo_its_width():
    """compress alone: bits in any column, inverted or not, columns beyond the width, any constant."""
    rng = random.Random(3)
    for _ in range(150):
        heaps = Heaps()
        words = [heaps.add_word() for _ in range(3)]
        width = rng.randint(1, 20)
        bits = [
            (rng.randint(0, 22), bit(rng.choice(words), rng.randrange(4), rng.getrandbits(1)))
            for _ in range(rng.randint(0, 40))
        ]
        constant = rng.randint(-(1 << 22), 1 << 22)
        sums = heaps.compress(list(bits), constant, width)
        for _ in range(4):
            values = {0: 1} | {word: rng.getrandbits(4) for word in words}
            for row in heaps.rows:
                total = row.one + sum(
                    read(values, reference) << i for i, column in enumerate(row.columns) for reference in column
                )
                values[row.word] = total & ((1 << row.bits) - 1)
            total = constant + sum(read(values, reference) << column for column, reference in bits)
            assert sum(read(values, reference) << i for i, reference in enumerate(sums)) == total % (1 << width)


def test_a_sum_without_terms_is_its_constant():
    kinds = (QType(0, 3),) * 2
    constants = [0, 5, -7, 1 << 45, -1]
    netlist = adder_netlist(
        term_table(np.zeros((5, 2), np.int64)), constants, kinds, [QType(value, value) for value in constants]
    )
    assert netlist.luts == 0 or netlist.rows
    assert netlist.evaluate(np.zeros((2, 2), np.int64)).tolist() == [constants] * 2
    assert all(reference in (ONE, ONE + 1) for bits in netlist.sums for reference in bits)
