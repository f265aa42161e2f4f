"""Sums of shifted words as rows of three-input adders, bit by bit.

All bits of a sum stand in a heap, a column for each power of two. A row adds up to three bits of each column of a range
and leaves one: a lookup table a column (rtl/row_adder.v). Rows are made in parallel, level by level, until one bit a
column is left (heap compression: Dadda 1965; with ternary adders on FPGAs: Hormigo et al., TC 2013; Preusser, FPL 2017).

Bits are unsigned. A negative term comes in inverted, as -x = ~x - (2^bits - 1), and all such constants of a sum are one
number, which is put into the free places of its rows.
"""

from dataclasses import dataclass, field

MOST_BITS = 64  # of a word


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
class Row:
    """A row_adder: makes `word`, whose bits have the weights of its columns and, at the end, of one or none beyond.

    columns  the bits of each column: up to three
    ones     0 to 2, added in the lowest column
    bits     of the result
    level    adders on the longest way from the inputs to its result
    """

    word: int
    columns: list[list[int]]
    ones: int
    bits: int
    level: int

    def luts(self) -> int:
        """Lookup tables: a column with a single bit and nothing from its neighbour is the carry chain's own."""
        count, carried = 0, self.ones == 2
        for column in self.columns:
            load = len(column)
            count += load + carried >= 2 or (load == 1 and column[0] & 1)
            carried = load == 3 or (load == 2 and carried)
        return count


@dataclass(eq=False)
class Heaps:
    """Makes rows. level -- of each word; rows -- what was made, in order."""

    level: list[int] = field(default_factory=lambda: [0])
    rows: list[Row] = field(default_factory=list)

    def add_word(self, level: int = 0) -> int:
        self.level.append(level)
        return len(self.level) - 1

    def compress(self, bits: list[tuple[int, int]], constant: int, width: int) -> list[int]:
        """The `width` bits, lowest first, of the sum modulo 2^width of `constant` and of bits, (column, reference)."""
        constant %= 1 << width
        waiting: dict[int, list[tuple[int, int]]] = {}
        for column, reference in bits:
            if column < width:
                waiting.setdefault(self.level[word_of(reference)], []).append((column, reference))
        columns: list[list[int]] = [[] for _ in range(width)]
        level = min(waiting, default=0)
        while True:
            for column, reference in waiting.pop(level, ()):
                columns[column].append(reference)
            level += 1
            made = 0
            while (full := min(3, max(map(len, columns), default=0))) > 1 or constant:
                if full < 3 and (made or waiting):
                    break
                if full < 2:
                    for i in range(width):
                        if not columns[i] and constant >> i & 1:
                            columns[i].append(ONE)
                            constant -= 1 << i
                    if not constant:
                        break
                start, row, constant = self._row(columns, full, constant, level)
                waiting.setdefault(level, []).extend((start + i, bit(row.word, i)) for i in range(row.bits))
                made += 1
            if not waiting:
                return [column[0] if column else ZERO for column in columns]

    def _row(self, columns: list[list[int]], full: int, constant: int, level: int) -> tuple[int, Row, int]:
        """Takes one row out of the columns: from the first that holds `full` bits, to the last and as far as it carries.

        Where no column holds two, it adds the constant. Returns where it starts, the row, and what is left of the
        constant.
        """
        width = len(columns)
        heights = [len(column) for column in columns]
        if full < 2:
            start = last = (constant & -constant).bit_length() - 1
        else:
            filled = [i for i, height in enumerate(heights) if height >= full]
            start, last = filled[0], filled[-1]
        while full == 3 and start > 0 and heights[start - 1] == 2:
            start -= 1
        ones = constant >> start & 1
        if not ones and constant >> start & 2 and heights[start] >= 3:
            ones = 2
        constant -= ones << start
        taken = []
        carried = ones == 2
        for i in range(start, width):
            here = columns[i][:3]
            if i > last and not carried and len(here) < (2 if full == 3 else 1):
                break
            del columns[i][:3]
            # a place that costs no lookup table takes a one of the constant
            if constant >> i & 1 and (full < 2 or (carried + len(here) == 2 and i < last)):
                here.append(ONE)
                constant -= 1 << i
            taken.append(here)
            carried = len(here) == 3 or (len(here) == 2 and carried)
        greatest = sum(len(column) << i for i, column in enumerate(taken)) + ones
        bits = min(greatest.bit_length(), width - start)
        row = Row(self.add_word(level), taken, ones, bits, level)
        self.rows.append(row)
        return start, row, constant
