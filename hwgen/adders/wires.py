"""The bits of an adder netlist as Verilog: wires, and the instances that add them up."""

from collections.abc import Sequence

from hwgen.adders.rows import ONE, ZERO, Cell, Clamp, Compare, Row, index_of, word_of
from hwgen.ops.quantize import end_parameters
from hwgen.verilog import Name, Value, overrides


def on_a_line(module: str, values: dict[str, Value]) -> str:
    """The parameters of an instance that hands on its module's XILINX."""
    return ", ".join(f".{each.name}({each.value})" for each in overrides(module, values | {"XILINX": Name("XILINX")}))


class Wires:
    """Bits of words as Verilog, and what was read of them. stage -- the pipeline stage that makes each word."""

    def __init__(self, names: list[str], bits: list[int], stage: list[int]):
        self.names, self.bits, self.stage = names, bits, stage
        self.read: set[int] = set()
        self.late: dict[int, int] = {}  # by word, the registers behind it

    def concatenation(self, references: Sequence[int | None], stage: int) -> str:
        """The bits, lowest first, as they are in a pipeline stage; None is zero. Inversions are not written."""
        parts = []
        i = 0
        while i < len(references):
            first, end = references[i], i + 1
            if first in (None, ZERO):
                while end < len(references) and references[end] in (None, ZERO):
                    end += 1
                parts.append(f"{end - i}'d0")
            elif first == ONE:
                parts.append("1'b1")
            else:
                while end < len(references) and references[end] == first + 2 * (end - i):
                    end += 1
                parts.append(self._slice(first, end - i, stage))
            i = end
        return parts[0] if len(parts) == 1 else "{" + ", ".join(reversed(parts)) + "}"

    def _slice(self, reference: int, count: int, stage: int) -> str:
        word, low = word_of(reference), index_of(reference)
        self.read.add(word)
        late = stage - self.stage[word]
        if late:
            self.late[word] = max(late, self.late.get(word, 0))
        name = f"{self.names[word]}_d{late}" if late else self.names[word]
        if count == self.bits[word]:
            text = name
        else:
            text = f"{name}[{low}]" if count == 1 else f"{name}[{low + count - 1}:{low}]"
        return text

    def bits_of(self, references: Sequence[int], stage: int) -> str:
        """The bits, lowest first, as they are in a pipeline stage, inversions too."""
        inverted = sum(1 << i for i, reference in enumerate(references) if word_of(reference) and reference & 1)
        text = self.concatenation(references, stage)
        return f"{text} ^ {len(references)}'h{inverted:x}" if inverted else text

    def cell(self, cell: Cell, stage: int) -> str:
        """What makes a word, in a pipeline stage."""
        if isinstance(cell, Row):
            return self._row(cell, stage)
        bits = [reference for (reference,) in cell.columns]
        if isinstance(cell, Clamp):
            return self._clamp(cell, bits, stage)
        assert isinstance(cell, Compare)
        return self._compare(cell, bits, stage)

    def _clamp(self, cell: Clamp, bits: list[int], stage: int) -> str:
        name, ends = self.names[cell.word], {"LOW": 0, "HIGH": (1 << cell.bits) - 1}
        inside: dict[str, Value] = {"IN_W": len(bits), "IN_SIGNED": int(cell.signed), "OUT_W": cell.bits}
        return (
            f"    wire [{cell.bits - 1}:0] {name};\n"
            f"    clamp #({on_a_line('clamp', inside | end_parameters(ends))})\n"
            f"    u_{name} (.x({self.bits_of(bits, stage)}), .y({name}));"
        )

    def _compare(self, cell: Compare, bits: list[int], stage: int) -> str:
        name, count = self.names[cell.word], len(bits) - cell.index_bits
        width = max(count, *(threshold.bit_length() for threshold in cell.thresholds))
        x = self.bits_of([*bits[:count], *[ZERO] * (width - count)], stage)
        if not cell.index_bits:
            return f"    wire [0:0] {name} = ({x}) >= {width}'d{cell.thresholds[0]};"
        place = (width - 1).bit_length()  # each threshold has a power of two of bits
        table = sum(threshold << (i << place) for i, threshold in enumerate(cell.thresholds))
        index = self.bits_of(bits[count:], stage)
        return (
            f"    wire [{(len(cell.thresholds) << place) - 1}:0] {name}_all = "
            f"{len(cell.thresholds) << place}'h{table:x};\n"
            f"    wire [0:0] {name} = ({x}) >= {name}_all[{{{index}, {place}'d0}} +: {width}];"
        )

    def _row(self, row: Row, stage: int) -> str:
        """The instance of a row_adder."""
        name, width = self.names[row.word], len(row.columns)
        fourth = row.columns[0][3:]
        inside: dict[str, Value] = {"W": width, "BITS": row.bits, "ONE": row.one, "D": len(fourth)}
        ports = ""
        for letter, references in zip("ABC", self._operands(row.columns), strict=True):
            has = sum(1 << i for i, reference in enumerate(references) if reference is not None)
            inverted = sum(1 << i for i, reference in enumerate(references) if reference and reference & 1)
            inside |= {letter: (has, width), f"NOT_{letter}": (inverted, width)}
            ports += f".{letter.lower()}({self.concatenation(references, stage)}), "
        return (
            f"    wire [{row.bits - 1}:0] {name};\n"
            f"    row_adder #({on_a_line('row_adder', inside)})\n"
            f"    u_{name} ({ports}.d({self.concatenation(fourth or [None], stage)}), .sum({name}));"
        )

    @staticmethod
    def _operands(columns: list[list[int]]) -> list[list[int | None]]:
        """Of each operand of a row its bit in each column, or None. Neighbours of a word stay together."""
        lists: list[list[int | None]] = [[], [], []]
        for column in columns:
            rest = column[:3]
            places: list[int | None] = [None] * 3
            for operand, before in enumerate(lists):
                if before and before[-1] is not None and before[-1] + 2 in rest:
                    places[operand] = before[-1] + 2
                    rest.remove(before[-1] + 2)
            for operand in range(3):
                if rest and places[operand] is None:
                    places[operand] = rest.pop(0)
            for operand, reference in enumerate(places):
                lists[operand].append(reference)
        return lists
