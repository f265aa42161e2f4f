"""What makes the results of one pixel: rows of adders, registers between them, rounding and clamps; their Verilog."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from hwgen.adders.netlist import AdderNetlist
from hwgen.adders.rows import ONE, ZERO, bit, word_of
from hwgen.adders.slices import CLOCKS, Slice
from hwgen.adders.wires import Wires, on_a_line
from hwgen.ops.quantize import UNBOUNDED, clamp_ends, end_parameters
from hwgen.ops.rescale import Quantizer
from hwgen.qtype import QType


@dataclass(frozen=True)
class _Result:
    """An output: the bits of its sum that the clamp looks at, and their range; the bits below, and the number below
    which they are a tie (0: there is none); the clamp's ends."""

    kept: list[int]
    sent: QType
    below: list[int]
    ties: int
    ends: dict[str, int]


@dataclass(frozen=True, eq=False)
class Datapath:
    """clamp(sum >> drop) of each sum of a netlist; where the bits that are dropped are below `ties` the result, if it
    is odd, is one less before the clamp.

    levels   rows of adders between two registers, at least 1; a clamp counts as one
    drop     bits
    ties     of each output
    y        the range of the results
    quantize which has the ends of the clamp; None, there is none
    slices   of some outputs, by number, the product that is made of the sum first
    """

    netlist: AdderNetlist
    levels: int
    drop: int
    ties: list[int]
    y: QType
    quantize: Quantizer | None
    slices: Mapping[int, Slice] = field(default_factory=dict)

    @property
    def stages(self) -> int:
        """Registers from the inputs to the results."""
        return len(self.registers) + 1 + (CLOCKS if self.slices else 0)

    @cached_property
    def registers(self) -> tuple[int, ...]:
        """The levels of rows behind which registers stand."""
        sums, results, words = self.netlist.sums, self._results, self._words
        read = [reference for output in self.slices for reference in sums[output]]
        for result in results:
            read += [one for one in (*result.kept, *(result.below if result.ties else ())) if word_of(one) < words]
        # slices have registers of their own in front, and what is made of their results has more than a clock
        clamped = not self.slices and any(self._clamp_luts(result) or result.ties for result in results)
        return self.netlist.registers(self.levels, read, int(clamped))

    @property
    def _multiplied(self) -> int:
        """The stage in which sums enter slices."""
        return len(self.registers)

    @cached_property
    def luts(self) -> int:
        """Lookup tables, as yosys maps them."""
        results = sum(self._clamp_luts(result) + _tie_luts(result) for result in self._results)
        return self.netlist.luts + results + self._shift_luts()

    @cached_property
    def _results(self) -> list[_Result]:
        sums, types = list(self.netlist.sums), list(self.netlist.types)
        for number, (output, one) in enumerate(self.slices.items(), self._words):
            sums[output], types[output] = [bit(number, i) for i in range(one.bits)], one.result
        return [self._result(*one) for one in zip(sums, types, self.ties, strict=True)]

    @property
    def _words(self) -> int:
        """Of the netlist; the next are made by slices."""
        return 1 + len(self.netlist.inputs) + len(self.netlist.rows)

    def _result(self, bits: list[int], kind: QType, ties: int) -> _Result:
        low = kind.low >> self.drop
        sent = QType(low & ~1 if ties else low, kind.high >> self.drop)
        above = bits[-1] if kind.signed else ZERO  # repeated as often as it is asked for
        bits = bits + [above] * (self.drop + sent.bits - len(bits))
        return _Result(bits[self.drop :][: sent.bits], sent, bits[: self.drop], ties, clamp_ends(sent, self.quantize))

    def _clamp_luts(self, result: _Result) -> int:
        """Of rtl/clamp.v."""
        bits, kept, signed = self.y.bits, len(result.kept), result.sent.signed
        low, high = result.ends["LOW"], result.ends["HIGH"]
        if (low, high) == (-UNBOUNDED, UNBOUNDED - 1):
            return 0
        over = kept - bits - signed > 0  # more than a sign above the bits that are sent
        if low == 0 and high == (1 << bits) - 1 and signed and kept > bits:
            return -(-bits // 2) + over
        # one end is what clears or sets the register; a sign passes as it is
        return bits + over if low != -UNBOUNDED and high != UNBOUNDED - 1 else 2

    @cached_property
    def registered(self) -> int:
        """Bits in registers, the results among them."""
        return sum(bits * clocks for bits, clocks in self._waiting) + self.y.bits * len(self.ties)

    def _shift_luts(self) -> int:
        """Of words that wait three clocks or more, in shift registers."""
        return sum(bits * -(-clocks // 32) for bits, clocks in self._waiting if clocks >= 3)

    @cached_property
    def _waiting(self) -> list[tuple[int, int]]:
        """Of each word that waits its bits, and the clocks."""
        read = [self._multiplied if n in self.slices else self.stages - 1 for n in range(len(self.ties))]
        late = self.netlist.delays(self.registers, read)
        words = dict(enumerate((kind.bits for kind in self.netlist.inputs), 1))
        words |= {row.word: row.bits for row in self.netlist.rows}
        return [(words[word], clocks) for word, clocks in late.items()]

    def evaluate(self, x: np.ndarray) -> np.ndarray:
        """The results, int64 [N, outputs], of input integers [N, inputs]: what the hardware does, by numpy."""
        sums = self.netlist.evaluate(x)
        for output, one in self.slices.items():
            sums[:, output] = sums[:, output] * one.multiplier + one.constant
        levels = sums >> self.drop
        tie = (sums & ((1 << self.drop) - 1)) < np.array(self.ties)
        levels = np.where(tie, levels & ~1, levels)
        return levels if self.quantize is None else levels.clip(self.quantize.low, self.quantize.high)

    def verilog(self, names: list[str]) -> dict:
        """What templates/pixel.v.j2 writes; names -- of the inputs, which lie in x one above the other."""
        netlist = self.netlist
        names = ["1'b1", *names]
        bits = [1, *(kind.bits for kind in netlist.inputs)]
        places = [sum(bits[1:word]) for word in range(1, len(bits))]
        since = [0] * len(names)
        for number, row in enumerate(netlist.rows):  # words are numbered as rows are made
            names.append(f"s{number}")
            bits.append(row.bits)
            since.append(bisect_left(self.registers, row.level))
        for output, one in self.slices.items():
            names.append(f"p{output}")
            bits.append(one.bits)
            since.append(self._multiplied + CLOCKS)
        wires = Wires(names, bits, since)
        rows = [wires.cell(row, since[row.word]) for row in netlist.rows]
        for output, one in self.slices.items():
            rows.append(one.verilog(f"p{output}", wires.bits_of(netlist.sums[output], self._multiplied)))
        results = list(self._lines(wires))
        late = [
            (names[word], wires.bits[word], n) for word, most in sorted(wires.late.items()) for n in range(1, most + 1)
        ]
        return {
            "adders": len(netlist.rows),
            "luts": netlist.luts,
            "x_w": sum(kind.bits for kind in netlist.inputs),
            "y_w": self.y.bits * len(self._results),
            "stages": self.stages,
            "inputs": [
                f"    wire [{bits[word] - 1}:0] {names[word]} = x[{places[word - 1]} +: {bits[word]}];"
                for word in sorted(wires.read)
                if word <= len(netlist.inputs)
            ],
            "registers": [f"    reg [{bits - 1}:0] {name}_d{n};" for name, bits, n in late],
            "rows": rows,
            "moves": [f"            {name}_d{n} <= {name}{f'_d{n - 1}' if n > 1 else ''};" for name, _, n in late],
            "results": results,
            "taken": [
                f"            y_q[{n * self.y.bits} +: {self.y.bits}] <= y{n};" for n in range(len(self._results))
            ],
        }

    def _lines(self, wires: Wires) -> Iterator[str]:
        """Verilog of the results of their sums."""
        for number, result in enumerate(self._results):
            text, bits = wires.bits_of(result.kept, self.stages - 1), len(result.kept)
            if result.ties:
                yield f"    wire tie{number} = {self._tie(wires, result)};"
                cleared = f"{{{bits - 1}'d0, tie{number}}}" if bits > 1 else f"tie{number}"
                text = f"({text}) & ~{cleared}"
            yield f"    wire [{bits - 1}:0] sum{number} = {text};"
            yield f"    wire [{self.y.bits - 1}:0] y{number};"
            yield from self._clamped(number, result)

    def _tie(self, wires: Wires, result: _Result) -> str:
        if result.ties >> self.drop:  # whatever the bits are
            return "1'b1"
        below = wires.bits_of(result.below, self.stages - 1)
        return f"({below}) {'==' if result.ties == 1 else '<'} {self.drop}'d{result.ties * (result.ties > 1)}"

    def _clamped(self, number: int, result: _Result) -> Iterator[str]:
        y, total, bits, y_bits = f"y{number}", f"sum{number}", len(result.kept), self.y.bits
        if result.ends != {"LOW": -UNBOUNDED, "HIGH": UNBOUNDED - 1}:
            inside = {"IN_W": bits, "IN_SIGNED": int(result.sent.signed), "OUT_W": y_bits}
            yield f"    clamp #({on_a_line('clamp', inside | end_parameters(result.ends))})"
            yield f"    u_clamp{number} (.x({total}), .y({y}));"
        elif bits >= y_bits:
            yield f"    assign {y} = {total}[{y_bits - 1}:0];"
        else:
            above = f"{{{y_bits - bits}{{{total}[{bits - 1}]}}}}" if result.sent.signed else f"{y_bits - bits}'d0"
            yield f"    assign {y} = {{{above}, {total}}};"


def _tie_luts(result: _Result) -> int:
    """Six bits are looked at in a lookup table where they must be zero, two in each where they must be below a number;
    one clears the bit."""
    if not result.ties:
        return 0
    made = sum(reference not in (ONE, ZERO) for reference in result.below)
    return 1 + (-(-made // 6) if result.ties == 1 else -(-made // 2))
