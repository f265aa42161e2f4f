"""rtl/recurrent.v: a recurrent cell over a sequence."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwgen.devices import Device
from hwgen.ops.recurrent import Recurrent as RecurrentOp
from hwgen.qtype import ceil_log2, signed_width
from hwgen.rom import LUT_WORDS, Rom
from hwgen.stage import Stage
from hwgen.stream import Order
from hwgen.units.product import product_rows
from hwgen.units.unit import Unit
from hwgen.walks import Step, Walk

KINDS = {"rnn": 0, "lstm": 1, "gru": 2}
# cycles from a unit's last gate until the next unit's first one can be taken, and the tables looked up in these
FINISH = {"rnn": (3, 1), "lstm": (11, 2), "gru": (11, 2)}
START = 4  # registers from the first product of a step to its first sum, and from the last hidden state


@dataclass(frozen=True, eq=False)
class Recurrent(Unit):
    """lanes -- rows of the matrix in step; slices -- whether multipliers are DSP slices"""

    stage: Stage
    lanes: int
    slices: bool
    device: Device
    module = "recurrent"
    primitives = True
    rigid = True

    @property
    def name(self) -> str:
        return self.stage.name

    @property
    def op(self) -> RecurrentOp:
        assert isinstance(self.stage.op, RecurrentOp)
        return self.stage.op

    @property
    def out_order(self) -> Order:
        return Order(self.stage.y.shape)

    @property
    def steps(self) -> int:
        return self.stage.y.shape[2]

    def note(self):
        return f"{self.name}: {self.op}, {self.stage.x} -> {self.stage.y}: {self.cycles()} cycles a frame"

    @cached_property
    def weight_bits(self) -> int:
        weights = self.op.matrix.integers
        return signed_width(int(weights.min()), int(weights.max()))

    @property
    def sum_bits(self) -> int:
        sums = self.op.sums.qtype
        return max(2, signed_width(sums.low, sums.high))

    def rom_paths(self) -> dict[str, str]:
        """The file of each memory, by the parameter that names it."""
        paths = {"FILE": f"rom/{self.name}.hex", "TABLE_FILE": f"rom/{self.name}_table.hex"}
        return paths | ({"BIAS_FILE": f"rom/{self.name}_bias.hex"} if self.op.kind == "gru" else {})

    @cached_property
    def memories(self) -> dict[str, Rom]:
        """The memories by the same names."""
        return self.stage.once(("memories", self.lanes), self._memories)

    def _memories(self) -> dict[str, Rom]:
        op, lanes = self.op, self.lanes
        rows = op.matrix.integers.reshape(-1, lanes, op.units)  # rounds, lanes, places
        fields = [(rows[:, lane].reshape(-1), self.weight_bits) for lane in reversed(range(lanes))]
        functions = ("tanh",) if op.kind == "rnn" else ("sigmoid", "tanh")
        tables = [np.roll(op.table(function).numpy(), 1 << (op.gate_bits - 1)) for function in functions]
        found = {
            "FILE": Rom.of_fields(fields),
            "TABLE_FILE": Rom.of_fields([(np.concatenate(tables), self.value_bits)]),
        }
        if op.kind == "gru":
            found["BIAS_FILE"] = Rom.of_fields([(op.bias, self.bias_bits)])
        return found

    @property
    def value_bits(self) -> int:
        """Bits of a word of the tables."""
        return self.op.hidden_bits if self.op.kind == "rnn" else self.op.activation_bits + 1

    @property
    def bias_bits(self) -> int:
        return signed_width(int(self.op.bias.min()), int(self.op.bias.max()))

    @property
    def per_slice(self) -> int:
        """Lanes of a DSP slice; 0: none is in one."""
        if not self.slices:
            return 0
        return 2 if self.lanes > 1 and self.sum_bits <= min(24, 26 - self.weight_bits) else 1

    def parameters(self):
        paths = self.rom_paths()
        checks = {name.replace("FILE", "CHECK"): (rom.check, 32) for name, rom in self.memories.items()}
        return {
            "KIND": KINDS[self.op.kind],
            "UNITS": self.op.units,
            "STEPS": self.steps,
            "LANES": self.lanes,
            "SLICES": self.per_slice,
            "U_W": self.weight_bits,
            **paths,
            **checks,
            **({"BIAS_W": self.bias_bits} if self.op.kind == "gru" else {}),
            **self._gate_parameters(),
            **self._product_parameters(),
            "H_W": self.op.hidden_bits,
        }

    def _gate_parameters(self) -> dict:
        op, x = self.op, self.stage.x
        grid = min(x.exponent, op.sums.exponent, op.gate_exponent)
        return {
            "P_W": x.qtype.bits,
            "P_SIGNED": int(x.qtype.signed),
            "P_SHIFT": x.exponent - grid,
            "S_W": self.sum_bits,
            "S_SHIFT": op.sums.exponent - grid,
            "PRE_DROP": op.gate_exponent - grid,
            "PRE_W": op.gate_bits,
        }

    @property
    def product_bits(self) -> int:
        """Bits of a sum of products."""
        op = self.op
        # two of a value below one and what has at most so many bits, and a half
        return op.activation_bits + op.factor_bits + 2

    def _product_parameters(self) -> dict:
        op, x = self.op, self.stage.x
        if op.kind == "rnn":
            return {}
        factor = op.factor_exponent
        product = factor - op.activation_bits
        found = {
            "ACT_W": op.activation_bits,
            "T_SHIFT": 1 - op.activation_bits - factor,
            "M_W": self.product_bits,
            "H_DROP": op.hidden_exponent - product,
        }
        if op.kind == "lstm":
            seen = op.gate_exponent - op.state_exponent
            return found | {
                "STATE_W": op.state_bits,
                "STATE_SHIFT": op.state_exponent - factor,
                "STATE_DROP": op.state_exponent - product,
                "SEEN_LIFT": max(0, -seen),
                "SEEN_DROP": max(0, seen),
            }
        new = op.gate_exponent - op.activation_bits
        grid = min(x.exponent, new)
        return found | {
            "STATE_W": op.hidden_bits,
            "STATE_SHIFT": op.hidden_exponent - factor,
            "NP_SHIFT": x.exponent - grid,
            "N_SHIFT": new - grid,
            "N_DROP": op.gate_exponent - grid,
        }

    def files(self):
        return {path: self.memories[name].text() for name, path in self.rom_paths().items()}

    def roms(self):
        found = {path: self.memories[name] for name, path in self.rom_paths().items()}
        return {path: {"depth": rom.depth, "width": rom.width} for path, rom in found.items()}

    def facts(self):
        products = self.op.weight.size * self.steps
        return {"groups": 1, "lanes": self.lanes, "useful": products, "capacity": self.lanes}

    @property
    def _start(self) -> int:
        """START, a register more where the matrix or the vector is in block RAM, and those of a product's rows."""
        words = max(self.op.units * self.op.gates // self.lanes * self.op.units, 2 << ceil_log2(self.op.units))
        return START + (words > LUT_WORDS) + (0 if self.slices else self._product[1] - 2)

    @cached_property
    def _product(self) -> tuple[int, int]:
        """LUTs and rows of a product of the matrix in lookup tables."""
        return product_rows(self.op.hidden_bits, True, self.weight_bits, True)

    @property
    def _finish(self) -> int:
        """FINISH, and a register more for each look at a table in block RAM."""
        cycles, looks = FINISH[self.op.kind]
        table = 1 << (self.op.gate_bits + (self.op.kind != "rnn"))
        return cycles + looks * (table > LUT_WORDS)

    @property
    def latency(self):  # type: ignore[override]
        return self._finish + 3  # a FIFO before it, and what is sent

    @property
    def step(self) -> int:
        """Cycles of a step: the products of the first unit, or of those that are in step, what comes later of the
        others, and what is left when the last sums are there."""
        units, gates, finish = self.op.units, self.op.gates, self._finish
        together = max(1, self.lanes // gates)
        loads = max(1, gates // self.lanes)  # of sums, for a unit
        load = units if together > 1 else max(units, self.lanes)
        if together > 1:
            rest = late = together * (finish + gates)
        else:
            rest = self.lanes + finish
            # two loads wait for a unit to be finished, more are yet to come
            late = finish + (2 * self.lanes + (loads - 2) * load if loads > 1 else gates)
        first = units + (loads - 1) * load
        return self._start + first + (units // together - 1) * max(loads * load, late) + rest

    def cycles(self):
        return self.steps * self.step

    def needs(self, i=0):
        gates, units = self.op.gates, self.op.units
        return (np.arange(self.steps * units) + 1) * gates

    def walks(self, rows, taken, sent):
        return [Walk([Step(True, True, self.cycles(), sent)], gap=self._start)]

    def estimate(self):
        """Fitted to python -m benchmarks.cells."""
        op, device = self.op, self.device
        products = op.kind != "rnn"
        # what chooses the sum to send: shifts, where the lanes are no power of two
        choice = device.multiplexer(self.lanes) * (1 if self.lanes & (self.lanes - 1) else 0.55)
        luts = 43 + self.stage.x.qtype.bits + self.sum_bits * (1 + choice)
        if op.kind == "lstm":
            luts += 88
        if op.kind == "gru":
            luts += 3.1 * (self.product_bits + op.hidden_bits + op.activation_bits)
        if not self.slices:
            luts += 24 + self.lanes * (self._product[0] + self.sum_bits)
            luts += products * (1.9 * (op.activation_bits + 2) * op.factor_bits + self.product_bits)
        memories = [self._rom(rom) for rom in self.memories.values()]
        memories.append(self._ram(2 << max(1, ceil_log2(op.units)), op.hidden_bits))
        if products:
            state = op.state_bits if op.kind == "lstm" else op.hidden_bits
            memories.append(self._ram(1 << max(1, ceil_log2(op.units)), state))
        return {
            "LUT": round(luts + sum(memory[0] for memory in memories)),
            "BRAM36": sum(memory[1] for memory in memories),
            "DSP": -(-self.lanes // self.per_slice) + products if self.slices else 0,
        }

    def _rom(self, rom: Rom) -> tuple[float, float]:
        """LUTs and BRAM36 of a ROM, as rtl/term_rom.v has it."""
        if rom.depth <= LUT_WORDS:
            return rom.width * rom.depth / LUT_WORDS, 0.0
        return 0.0, self.device.block_memory(rom.depth, rom.width, ())[0]

    def _ram(self, words: int, bits: int) -> tuple[float, float]:
        """The same of a memory that is written."""
        if words <= LUT_WORDS:
            return self.device.lut_memory(words, bits), 0.0
        return 0.0, self.device.block_memory(words, bits)[0]
