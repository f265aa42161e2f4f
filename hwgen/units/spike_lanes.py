"""rtl/spike_lanes.v: a layer of activations of one bit, of which only those that are 1 take time."""

from dataclasses import dataclass
from functools import cached_property
from math import gcd

import numpy as np

from hwgen.devices import Device
from hwgen.lanes.memories import MEMORIES
from hwgen.lanes.price import clamp_luts, different
from hwgen.ops.quantize import clamp_ends, end_parameters
from hwgen.qtype import ceil_log2, signed_width
from hwgen.rom import LUT_WORDS, Rom
from hwgen.stage import Stage
from hwgen.stream import Order
from hwgen.sums import conv_of, exact_sums, term_count
from hwgen.tiles import vector_of
from hwgen.units.spike_banks import balanced
from hwgen.units.unit import Unit
from hwgen.verilog import Value
from hwgen.walks import Blocks, Rows, Step, Walk

MOST_SIDE = 8  # activations of a beat that it asks for
QUEUE = 32  # spikes that wait for their lists
MOST_CODE = 6  # bits of the number of a weight: its bits are a lookup table each
HELD = 2  # vectors inside: one that fills, one that is read out


def side_of(stage: Stage, order: Order | None = None) -> int:
    """How many activations of a beat it takes: all that its source brings in `order`, or the most that part them."""
    channels, _, columns = stage.x.shape
    unit = channels * min(columns, vector_of(conv_of(stage), stage.x.shape))  # a row's, where a vector has several
    unit = unit if order is None else gcd(unit, order.side)
    return max(n for n in range(1, MOST_SIDE + 1) if unit % n == 0)


@dataclass(frozen=True, eq=False)
class SpikeLanes(Unit):
    """order -- of the input: vectors one after the other, so many activations of one a beat
    banks -- accumulators
    sort -- whether the outputs may come in an order of their own, which shortens the lists
    """

    stage: Stage
    banks: int
    order: Order
    device: Device
    sort: bool = False
    module = "spike_lanes"
    primitives = True
    stops = False
    instant = False

    @property
    def name(self) -> str:
        return self.stage.name

    @property
    def slots(self) -> int:
        return -(-self.stage.y.shape[0] // self.banks)

    @property
    def vectors(self) -> int:
        """Of a frame."""
        _, rows, columns = self.stage.y.shape
        return rows * columns

    @property
    def beats(self) -> int:
        """Of a vector."""
        return self.order.beats // self.vectors

    @property
    def latency(self):  # type: ignore[override]
        # a beat's register, the queue, the table, the sequencer, the list, and two of requantize.v
        return 1 + 2 + 1 + (self.beats * self.side > LUT_WORDS) + 1 + self.reads + 2

    @property
    def wakes(self) -> int:  # type: ignore[override]
        return 2 * self.slots  # all sums of both halves begin anew

    @property
    def delay(self):
        waiting = min(QUEUE + 2 * self.order.side + 4, len(self.words)) * int(self.words.max())
        return self.latency + waiting + 2 * self.drain

    @property
    def side(self) -> int:
        """Places of a beat in the table."""
        return 1 << ceil_log2(self.order.side)

    @property
    def reads(self) -> int:
        """Clocks from an address of the list to its word."""
        return 1 if self.depth <= LUT_WORDS else 2 + (self.rom_rows < self.depth)

    @property
    def rom_rows(self) -> int:
        return MEMORIES["rom"].rows(self.depth, self.device)

    @cached_property
    def weights(self) -> np.ndarray:
        """int64 [outputs, places of a vector as they come]: each worth 2^lift."""
        weights, order = exact_sums(self.stage).weights, self.order
        if self.vectors == 1:
            return weights[:, order.indices()]
        taps = weights.reshape(len(weights), order.shape[0], -1)
        return taps[:, list(order.channels) or slice(None)].transpose(0, 2, 1).reshape(weights.shape)

    @cached_property
    def outputs(self) -> np.ndarray:
        """int64 [slots, banks]: the output that each bank sums up in each slot; -1 for none."""
        if self.sort:
            return self.stage.once(("banks", self.banks), lambda: balanced(exact_sums(self.stage).weights, self.banks))
        count = len(self.weights)
        return np.append(np.arange(count), np.full(self.slots * self.banks - count, -1)).reshape(self.slots, -1)

    @property
    def out_order(self) -> Order:
        outputs = self.outputs[self.outputs >= 0]
        alike = (outputs == np.arange(len(outputs))).all()
        return Order(self.stage.y.shape, channels=() if alike else tuple(outputs.tolist()))

    @cached_property
    def words(self) -> np.ndarray:
        """int64 [places]: words of the list of each."""
        used = np.append(self.weights != 0, np.zeros((1, self.weights.shape[1]), bool), axis=0)
        return np.maximum(1, used[self.outputs].sum(axis=0).max(axis=0))

    @property
    def sums(self) -> dict[str, int]:
        """Bits of a weight, of a constant and of a sum."""
        sums = exact_sums(self.stage)
        weight = signed_width(int(sums.weights.min()), int(sums.weights.max()))
        constant = signed_width(min(sums.constants), max(sums.constants))
        low, high = min(r.low for r in sums.ranges), max(r.high for r in sums.ranges)
        bits = max(signed_width(low, high), weight + sums.lift, constant, sums.drop + 1)
        return {"WEIGHT_W": weight, "LIFT": sums.lift, "CONSTANT_W": constant, "W": bits, "DROP": sums.drop}

    @property
    def slot_bits(self) -> int:
        """Of the slot that a payload names."""
        return ceil_log2(self.slots)

    @cached_property
    def values(self) -> np.ndarray:
        """The weights that the lists' numbers stand for, zero first; none where the lists have the weights: where that
        is the smaller share of a device."""
        values = np.unique(exact_sums(self.stage).weights)
        values = np.append(0, values[values != 0])
        bits, plain = max(1, ceil_log2(len(values))), self.sums["WEIGHT_W"]
        blocks = [self.list_memory(width)["BRAM36"] for width in (bits, plain)]
        short = bits <= MOST_CODE and bits < plain
        pays = short and (blocks[1] - blocks[0]) * self.device.block_luts > plain * self.banks
        return values if pays else values[:0]

    @property
    def code_bits(self) -> int:
        """Of a weight in a list."""
        return max(1, ceil_log2(len(self.values))) if len(self.values) else self.sums["WEIGHT_W"]

    @cached_property
    def depth(self) -> int:
        """Words of the lists; one that adds nothing is the list of all places without a weight."""
        empty = ~self.weights.any(axis=0)
        return int(self.words[~empty].sum()) + int(empty.any())

    def list_memory(self, code_bits: int) -> dict[str, float]:
        """What the memory of the lists takes where a weight has so many bits."""
        width = self.banks * (self.slot_bits + code_bits)
        return MEMORIES["rom"].blocks(self.depth, width, self.device)[0]

    @cached_property
    def lists(self) -> dict[str, Rom]:
        """The memories by the parameters that name their files."""
        return self.stage.once(("lists", self.banks, self.order, self.sort), self._lists)

    def _lists(self) -> dict[str, Rom]:
        empty = ~self.weights.any(axis=0)
        own = np.where(empty, 0, self.words)
        first = np.where(empty, 0, int(empty.any()) + np.cumsum(own) - own)
        fields = np.zeros((self.depth, self.banks), np.int64)
        codes = {int(value): code for code, value in enumerate(self.values)}
        for bank in range(self.banks):
            chosen = self.outputs[:, bank]
            used = self.weights[chosen[chosen >= 0]]
            place, slot = np.nonzero(used.T)
            rank = np.arange(len(place)) - np.searchsorted(place, place)
            weights = used[slot, place]
            if codes:
                weights = np.array([codes[int(weight)] for weight in weights], np.int64)
            fields[first[place] + rank, bank] = slot << self.code_bits | weights % (1 << self.code_bits)
        table = np.zeros((self.beats, self.side, 2), np.int64)
        table[:, : self.order.side, 0] = first.reshape(self.beats, -1)
        table[:, : self.order.side, 1] = (self.words - 1).reshape(self.beats, -1)
        places = table.reshape(-1, 2)
        constants = np.append(exact_sums(self.stage).constants, 0).astype(np.int64)[self.outputs]
        return {
            "FILE": self._rom(fields, self.slot_bits + self.code_bits),
            "TABLE_FILE": Rom.of_fields(
                [(places[:, 0], max(1, ceil_log2(self.depth))), (places[:, 1], self.count_bits)]
            ),
            "CONSTANT_FILE": self._rom(constants, self.sums["CONSTANT_W"]),
        }

    def _rom(self, fields: np.ndarray, width: int) -> Rom:
        """Words of a field for each bank, the first in the lowest bits."""
        return Rom.of_fields([(fields[:, bank], width) for bank in reversed(range(self.banks))])

    @property
    def count_bits(self) -> int:
        """Of the words of a list less one."""
        return max(1, int(self.words.max() - 1).bit_length())

    def note(self):
        return (
            f"{self.name}: {self.stage.op}, {self.stage.x} -> {self.stage.y}: {term_count(self.stage)} terms, "
            f"{self.depth} words, {self.banks} accumulators, at most {self.cycles()} cycles a frame, if all spike"
        )

    @property
    def files_of(self) -> dict[str, tuple[str, Rom]]:
        """Path and contents of each file, by the parameter that names it; of the lists the banks side by side."""
        names = {"FILE": "", "TABLE_FILE": "_places", "CONSTANT_FILE": "_constants"}
        roms = self.lists | {"FILE": self.lists["FILE"].banked(self.rom_rows)}
        return {key: (f"rom/{self.name}{name}.hex", roms[key]) for key, name in names.items()}

    def parameters(self):
        stage, sums, coded = self.stage, self.sums, len(self.values) > 0
        even = stage.rounds is not None and stage.rounds.even and sums["DROP"] > 0
        files: dict[str, Value] = {}
        for key, (path, rom) in self.files_of.items():
            files |= {key: path, key.replace("FILE", "CHECK"): (rom.check, 32)}
        packed = sum(
            int(value) % (1 << sums["WEIGHT_W"]) << n * sums["WEIGHT_W"] for n, value in enumerate(self.values)
        )
        codes = {"CODED": 1, "CODE_W": self.code_bits, "VALUES": (packed, sums["WEIGHT_W"] << self.code_bits)}
        return {
            "SIDE": self.order.side,
            "BEATS": self.beats,
            "BANKS": self.banks,
            "SLOTS": self.slots,
            "FINAL": stage.y.shape[0] - (self.slots - 1) * self.banks,
            **files,
            "WORDS": self.depth,
            "ROM_ROWS": self.rom_rows,
            "COUNT_W": self.count_bits,
            "QUEUE": QUEUE,
            **sums,
            **(codes if coded else {}),
            "EVEN": int(even),
            "OUT_W": stage.y.qtype.bits,
            **end_parameters(clamp_ends(stage.unclamped, stage.quantize)),
        }

    def files(self):
        return {path: rom.text() for path, rom in self.files_of.values()}

    def roms(self):
        return {path: {"depth": rom.depth, "width": rom.width} for path, rom in self.files_of.values()}

    def facts(self):
        weights = int(np.count_nonzero(self.weights))
        return {
            "terms": weights,
            "entries": self.depth,
            "groups": 1,
            "lanes": self.banks,
            "useful": weights * self.vectors,
            "capacity": self.banks,
            "varies": True,
        }

    @property
    def drain(self) -> int:
        """Cycles in which the sums of a vector are read out and sent, when they are taken."""
        return self.slots * max(self.banks, self.reads + 2)

    @property
    def vector(self) -> int:
        """Cycles of a vector of spikes alone: those of all lists, of its end, and of what is read out."""
        return max(int(self.words.sum()) + 1 + self.slots, self.drain)

    def cycles(self):
        return self.vectors * self.vector

    def needs(self, i=0):
        return np.repeat(np.arange(1, self.vectors + 1) * self.beats, self.stage.y.shape[0])

    def walks(self, rows, taken, sent):
        drain = self.drain * self.stage.y.shape[2]
        if self.vectors > 1:
            work = self.vector * self.stage.y.shape[2]
            return [Walk([Step(True, True, work, sent, max(0, work - drain))] * rows, gap=0.0)]
        ring = Blocks(Rows(rows, 0, 0, 1, 1, 1, 1, HELD * rows), taken=rows, sent=1)
        each = self.words.reshape(rows, -1).sum(axis=1)
        each[-1] += 1 + self.slots
        return [
            Walk([Step(True, False, int(cycles)) for cycles in each], fills=ring),
            Walk([Step(False, True, drain, sent)], empties=ring),
        ]

    def estimate(self):
        """Fitted to python -m benchmarks.spikes."""
        widths, sent = self.sums, self.stage.y.qtype.bits
        ends, bits = clamp_ends(self.stage.unclamped, self.stage.quantize), self.sums["W"]
        words, shallow = 2 << max(1, self.slot_bits), self.device.lut_depth
        memory = (self.device.lut_memory if words <= shallow else self.device.lut_banks)(words, bits)
        bank = memory + bits + self.slot_bits
        bank += clamp_luts(bits - widths["DROP"], sent, ends["LOW"], ends["HIGH"])
        bank += widths["WEIGHT_W"] * (len(self.values) > 0)
        luts = 46 + ceil_log2(self.depth) + ceil_log2(self.beats * self.side) + 2 * self.order.side
        luts += self.banks * bank + (self.banks - 1) * sent
        memories = [MEMORIES["rom"].blocks(rom.depth, rom.width, self.device)[0] for rom in self.lists.values()]
        luts += sum(map(self._memory_luts, self.lists.values()))
        return {"LUT": round(luts), "BRAM36": sum(memory["BRAM36"] for memory in memories)}

    def _memory_luts(self, rom: Rom) -> int:
        """Of a table of lookup tables, or of the choice among a deep memory's words."""
        if rom.depth > LUT_WORDS:
            return MEMORIES["rom"].luts(rom.depth, rom.width, self.device)
        return different(rom) * (2 if rom.depth > 16 else 1)
