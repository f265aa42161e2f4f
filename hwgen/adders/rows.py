"""Sums of shifted words as rows of three-input adders, bit by bit.

All bits of a sum stand in a heap, a column for each power of two. A row adds up to three bits of each column of a
range, one more of the lowest, and leaves one: a lookup table a column (rtl/row_adder.v). Rows are made in parallel,
level by level, until one bit a column is left (heap compression: Dadda 1965; with ternary adders on FPGAs: Hormigo et
al., TC 2013; Preusser, FPL 2017).

Bits are unsigned. A negative term comes in inverted, as -x = ~x - (2^bits - 1), and all such constants of a sum are one
number, which is put into the free places of its rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

MOST_BITS = 64  # of a word
EARLY_COLUMNS = 4  # of three bits, for which a row is made before it must be: both its ends cost lookup tables


def bit(word: int, index: int, inverted: int = 0) -> int:
    """A bit of a word, as one integer; bits of one word are neighbours."""
    return (word * MOST_BITS + index) * 2 + inverted


def word_of(reference: int) -> int:
    return reference // (2 * MOST_BITS)


def index_of(reference: int) -> int:
    return reference // 2 % MOST_BITS


ONE = bit(0, 0)  # word 0 is the constant 1
ZERO = bit(0, 0, 1)


@dataclass(frozen=True, eq=False)
class Cell:
    """What makes the `bits` bits of a word of the bits of other words, which stand in columns; level -- cells on the
    longest way from the inputs to it."""

    word: int
    columns: list[list[int]]
    bits: int
    level: int

    def luts(self) -> int:
        """Lookup tables."""
        raise NotImplementedError(f"{type(self).__name__}.luts")

    def value(self, columns: list[list[np.ndarray]], count: int) -> np.ndarray:
        """The word, int64 [count], of the bits of the columns."""
        raise NotImplementedError(f"{type(self).__name__}.value")


@dataclass(frozen=True, eq=False)
class Row(Cell):
    """A row_adder: makes `word`, whose bits have the weights of its columns and, at the end, of one or none beyond.

    columns  the bits of each column: up to three, and in the lowest a fourth, which is not inverted
    one      1 where one more is added in the lowest column
    """

    one: int

    def luts(self) -> int:
        """A column with a single bit and nothing from its neighbour is the carry chain's own."""
        count, carried = 0, False
        for column in self.columns:
            load = len(column)
            count += load + carried >= 2 or (load == 1 and column[0] & 1)
            carried = load > 2 or (load == 2 and carried)
        return count

    def value(self, columns, count):
        total = np.full(count, self.one, np.int64)
        for i, column in enumerate(columns):
            for values in column:
                total += values << i
        return total & ((1 << self.bits) - 1)


@dataclass(frozen=True, eq=False)
class Clamp(Cell):
    """A clamp from 0 to 2^bits - 1 of a number, a column for each of its bits; signed -- two's complement."""

    signed: bool

    def luts(self) -> int:
        """A lookup table for two bits, and what says that it is above."""
        return -(-self.bits // 2) + (len(self.columns) - self.signed > self.bits)

    def value(self, columns, count):
        return np.clip(_number(columns, self.signed), 0, (1 << self.bits) - 1)


@dataclass(frozen=True, eq=False)
class Compare(Cell):
    """Whether a number is not below a threshold: the columns are its bits, and then those of the threshold's index."""

    thresholds: list[int]

    @property
    def index_bits(self) -> int:
        return (len(self.thresholds) - 1).bit_length()

    @staticmethod
    def columns_of(index_bits: int) -> int:
        """LUTs of a bit of the number: a column of the carry chain, with its threshold's bit where that is a function
        of four; else that has tables of its own. As yosys maps it."""
        return 1 if index_bits < 5 else 3 if index_bits < 7 else 5

    def luts(self) -> int:
        return (len(self.columns) - self.index_bits) * self.columns_of(self.index_bits)

    def value(self, columns, count):
        split = len(columns) - self.index_bits
        index = _number(columns[split:], False) if self.index_bits else np.zeros(count, np.int64)
        return (_number(columns[:split], False) >= np.array(self.thresholds)[index]).astype(np.int64)


def _number(columns: list[list[np.ndarray]], signed: bool) -> np.ndarray:
    total = np.sum([values << i for i, (values,) in enumerate(columns)], axis=0)
    return total - (total >> (len(columns) - 1) << len(columns)) if signed else total


@dataclass(eq=False)
class _Heap:
    """Bits of a sum between two levels of rows.

    columns  bits that are made
    later    how many of each column are not made yet
    goal     bits that the next level may find in a column
    early    as many would be left if all rows were full
    """

    columns: list[list[int]]
    later: list[int]
    goal: int
    early: int

    def starts(self) -> Iterator[int]:
        """The columns where rows begin; each is taken out before the next is asked for."""
        for asked in (self.must, self.may):
            for start in range(len(self.columns)):
                while asked(start):
                    yield start

    def goes_on(self, i: int) -> bool:
        """Whether a row that carries nothing to column i takes bits there: it leaves one in any case."""
        bits = len(self.columns[i])
        left = bits + self.later[i]
        return bits > 0 and (left >= self.goal or (bits > 2 and left > self.early))

    def must(self, start: int) -> bool:
        """Whether a row begins there."""
        bits = len(self.columns[start])
        return bits > 1 and bits + self.later[start] > self.goal

    def may(self, start: int) -> bool:
        """Whether a row begins there that has three bits in some columns."""
        columns = range(start, start + EARLY_COLUMNS)
        return columns[-1] < len(self.columns) and all(
            len(self.columns[i]) > 2 and len(self.columns[i]) + self.later[i] > self.early for i in columns
        )


@dataclass(eq=False)
class Heaps:
    """Makes rows. level -- of each word; rows -- what was made, in order."""

    level: list[int] = field(default_factory=lambda: [0])
    rows: list[Cell] = field(default_factory=list)

    def add_word(self, level: int = 0) -> int:
        self.level.append(level)
        return len(self.level) - 1

    def compress(self, bits: list[tuple[int, int]], constant: int, width: int) -> list[int]:
        """The `width` bits, lowest first, of the sum modulo 2^width of `constant` and of bits, (column, reference).

        Each level of rows takes as many bits as the next power of three of bits a column asks for, so that the last
        row, whose carry passes all columns, is the only one that may find less than three (Dadda 1965, for full
        adders). Where a row finds three bits in each of several columns it takes them at once, which makes one of
        three before they are registered, and takes no more lookup tables.
        """
        columns = [[ONE] if constant >> i & 1 else [] for i in range(width)]
        later = [0] * width  # bits of each column that are not made yet
        waiting: dict[int, list[tuple[int, int]]] = {}
        for column, reference in bits:
            if column < width:
                waiting.setdefault(self.level[word_of(reference)], []).append((column, reference))
                later[column] += 1
        level = min(waiting, default=0)
        while True:
            for column, reference in waiting.pop(level, ()):
                columns[column].append(reference)
                later[column] -= 1
            level += 1
            highest = max((len(column) + more for column, more in zip(columns, later, strict=True)), default=0)
            if highest < 2 and not waiting:
                return [column[0] if column else ZERO for column in columns]
            goal = _goal(highest)
            if goal == 1 and waiting:
                continue  # the last row waits for all
            heap = _Heap(columns, later, goal, -(-highest // 3))
            for start in heap.starts():
                row, inverted = self._row(heap, start, level)
                for i in range(row.bits):
                    reference = bit(row.word, i, inverted and start + i == width - 1)
                    waiting.setdefault(level, []).append((start + i, reference))
                    later[start + i] += 1

    def _row(self, heap: _Heap, start: int, level: int) -> tuple[Row, bool]:
        """Takes a row out of the columns from `start` on, as far as it has bits to take and it carries; and whether its
        bit of the sum's last column is inverted, which is what a one there does."""
        columns = heap.columns
        width = len(columns)
        one = int(ONE in columns[start])
        if one:
            columns[start].remove(ONE)  # the carry chain has a place for it
        fourth = []
        if len(columns[start]) > 3:
            fourth = [reference for reference in columns[start] if not reference & 1][-1:]
        for reference in fourth:
            columns[start].remove(reference)
        taken: list[list[int]] = []
        carried = False
        for i in range(start, width):
            column = columns[i]
            if i > start and not carried and not heap.goes_on(i):
                break
            taken.append(column[:3])
            del column[:3]
            carried = len(taken[-1]) == 3 or (len(taken[-1]) == 2 and carried)
        taken[0] += fourth
        inverted = (
            start + len(taken) == width > start + 1
            and ONE in taken[-1]
            and _greatest(taken[:-1], one) >> (width - start - 1) > 0
        )
        if inverted:
            taken[-1].remove(ONE)
        bits = _greatest(taken, one).bit_length()
        row = Row(self.add_word(level), taken, min(bits, width - start), level, one)
        self.rows.append(row)
        return row, inverted

    def clamp(self, bits: list[int], signed: bool, width: int) -> list[int]:
        """The bits of a number between 0 and 2^width - 1; itself where it is there anyway."""
        if not signed and len(bits) <= width:
            return bits
        level = self._behind(bits)
        made = Clamp(self.add_word(level), [[reference] for reference in bits], width, level, signed)
        self.rows.append(made)
        return [bit(made.word, i) for i in range(width)]

    def count(self, bits: list[int], thresholds: list[int], low: int, width: int) -> list[int]:
        """The `width` bits of `low` and how many of the thresholds, ascending, are not above a number: a search, the
        highest bit of the count first."""
        found: list[int] = []
        digits = len(thresholds).bit_length()
        never = 1 << len(bits)
        padded = [*thresholds, *[never] * ((1 << digits) - 1 - len(thresholds))]
        for digit in reversed(range(digits)):
            step = 1 << digit
            some = padded[step - 1 :: 2 * step]
            if set(some) in ({0}, {never}):
                found = [ONE if some[0] == 0 else ZERO, *found]
                continue
            level = self._behind(bits + found)
            columns = [[reference] for reference in (*bits, *found)]
            made = Compare(self.add_word(level), columns, 1, level, some)
            self.rows.append(made)
            found = [bit(made.word, 0), *found]
        made_bits = [(i, reference) for i, reference in enumerate(found) if word_of(reference)]
        return self.compress(
            made_bits, low + sum(1 << i for i, reference in enumerate(found) if reference == ONE), width
        )

    def _behind(self, bits: list[int]) -> int:
        return 1 + max((self.level[word_of(reference)] for reference in bits), default=0)


def _greatest(columns: list[list[int]], one: int) -> int:
    """The most that a row adds up to."""
    return sum(len(column) << i for i, column in enumerate(columns)) + one


def _goal(highest: int) -> int:
    """The least power of three that is a third of `highest` or more."""
    goal = 1
    while goal * 3 < highest:
        goal *= 3
    return goal
