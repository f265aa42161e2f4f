"""rtl/recurrent_lif.v: neurons whose spikes come back to them, by a matrix of which spikes choose the columns."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwgen.devices import Device
from hwgen.lanes.memories import MEMORIES
from hwgen.lanes.price import different
from hwgen.ops.recurrent_lif import RecurrentLif as RecurrentLifOp
from hwgen.qtype import ceil_log2, signed_width
from hwgen.rom import LUT_WORDS, Rom
from hwgen.stage import Stage
from hwgen.stream import Order
from hwgen.units.lif import LEAKS, Neurons
from hwgen.units.unit import Unit
from hwgen.walks import Step, Walk

START = 4  # registers from the last spike of a step to the first sum of the next one, but for those of its products
OF_NEURON = ("SHIFT", "W", "LEAKS", *LEAKS, "START", "ORDER", "RESET", "AT", "THRESHOLD", "K_W", "WORDS")
OF_SYNAPSE = ("W", "SHIFT", "LEAKS", *LEAKS)


@dataclass(frozen=True, eq=False)
class RecurrentLif(Unit):
    """lanes -- rows of the matrix in step"""

    stage: Stage
    lanes: int
    device: Device
    module = "recurrent_lif"
    rigid = True
    keeper = "u_lif."

    @property
    def name(self) -> str:
        return self.stage.name

    @property
    def op(self) -> RecurrentLifOp:
        assert isinstance(self.stage.op, RecurrentLifOp)
        return self.stage.op

    @property
    def out_order(self) -> Order:
        return Order(self.stage.y.shape)

    @property
    def units(self) -> int:
        return len(self.op.weight)

    def note(self):
        return f"{self.name}: {self.op}, {self.stage.x} -> {self.stage.y}: at most {self.cycles()} cycles a step"

    @cached_property
    def neurons(self) -> Neurons:
        """The neurons, as a unit of their own would have them."""
        stage = Stage.alone(self.name, self.op.lif, None, self.op.added(self.stage.x))
        return Neurons(stage, self.out_order, self.device)

    @cached_property
    def synapse(self) -> Neurons | None:
        """The integrator before them."""
        if self.op.li is None:
            return None
        return Neurons(
            Stage.alone(self.name, self.op.li, None, self.op.currents(self.stage.x)), self.out_order, self.device
        )

    @property
    def keeps(self) -> int:  # type: ignore[override]
        return self.neurons.keeps

    def kept(self, x):
        return self.op.kept(self.stage.x, x)

    @cached_property
    def weight_bits(self) -> int:
        weights = self.op.matrix.integers
        return max(2, signed_width(int(weights.min()), int(weights.max())))

    @property
    def sum_bits(self) -> int:
        sums = self.op.sums.qtype
        return max(self.weight_bits, signed_width(sums.low, sums.high))

    @property
    def current_bits(self) -> int:
        currents = self.op.currents(self.stage.x).qtype
        return max(2, signed_width(currents.low, currents.high))

    @cached_property
    def rom(self) -> Rom:
        """The matrix: words of `lanes` rows."""
        return self.stage.once(("rom", self.lanes), self._rom)

    def _rom(self) -> Rom:
        rows = self.op.matrix.integers.reshape(-1, self.lanes, self.units)  # rounds, lanes, columns
        return Rom.of_fields([(rows[:, lane].reshape(-1), self.weight_bits) for lane in reversed(range(self.lanes))])

    @property
    def rom_path(self) -> str:
        return f"rom/{self.name}_matrix.hex"

    def parameters(self):
        x, currents = self.stage.x, self.op.currents(self.stage.x)
        neuron = self.neurons.parameters()
        found = {
            "UNITS": self.units,
            "STEPS": self.op.steps,
            "X_W": x.qtype.bits,
            "X_SIGNED": int(x.qtype.signed),
            "X_SHIFT": x.exponent - currents.exponent,
            "LANES": self.lanes,
            "U_W": self.weight_bits,
            "S_W": self.sum_bits,
            "S_SHIFT": self.op.sums.exponent - currents.exponent,
            "FILE": self.rom_path,
            "CHECK": (self.rom.check, 32),
            "I_W": self.current_bits,
            "RAM": neuron["RAM"],
            "HALF_UP": neuron["HALF_UP"],
            "SYNAPSE": int(self.synapse is not None),
        }
        if self.synapse is not None:
            synapse = self.synapse.parameters()
            found |= {f"SYNAPSE_{name}": synapse[name] for name in OF_SYNAPSE}
        found |= {name: neuron[name] for name in OF_NEURON if name in neuron}
        return found | {f"LEVEL_{name}": neuron[name] for name in ("FILE", "CHECK") if name in neuron}

    def files(self):
        return {self.rom_path: self.rom.text(), **self.neurons.files()}

    def roms(self):
        return {self.rom_path: {"depth": self.rom.depth, "width": self.rom.width}, **self.neurons.roms()}

    def facts(self):
        return {
            "groups": 1,
            "lanes": self.lanes,
            "useful": self.op.weight.size,
            "capacity": self.lanes,
            "steps": self.op.steps,
            "latency": self.latency,
            "membrane_bits": self.neurons.bits,
        }

    @property
    def _start(self) -> int:
        return START + (self.rom.depth > LUT_WORDS)

    @property
    def latency(self):  # type: ignore[override]
        return 1 + self.neurons.latency + (0 if self.synapse is None else self.synapse.latency)

    def cycles(self):
        """Of a step whose neurons all spiked in the step before: the first rows, the others, and what is left of the
        last when their sums are there."""
        row = max(self.units, self.lanes)
        return self._start + self.units + (self.units // self.lanes - 1) * row + self.lanes + self.latency

    def needs(self, i=0):
        return np.arange(1, self.units + 1)

    def walks(self, rows, taken, sent):
        return [Walk([Step(True, True, self.cycles(), sent)], gap=self._start)]

    def estimate(self):
        """Fitted to 14 units; python -m benchmarks.neurons recurrent prints others."""
        neurons = [unit.estimate() for unit in (self.neurons, self.synapse) if unit is not None]
        memory, depth, width = MEMORIES["rom"], self.rom.depth, self.rom.width
        more, _ = memory.blocks(depth, width, self.device)
        index = max(1, ceil_log2(self.units))
        luts = 57 + 1.9 * self.lanes * self.sum_bits
        # the columns of a row lie where an adder says, unless they are a power of two
        luts += 2.9 * ceil_log2(depth) * (self.units & (self.units - 1) > 0)
        luts += self.device.lut_memory(2 << index, index)
        if depth > LUT_WORDS:
            luts += memory.luts(depth, width, self.device)
        else:
            luts += different(self.rom) * (1.6 if depth > 16 else 0.8)
        return {
            "LUT": round(luts + sum(each["LUT"] for each in neurons)),
            "BRAM36": more.get("BRAM36", 0) + sum(each["BRAM36"] for each in neurons),
        }
