"""rtl/spike_lanes.v: a layer of activations of one bit, of which only those that are 1 take time."""

from dataclasses import dataclass
from functools import cached_property
from math import gcd

import numpy as np

from hwgen.devices import Device
from hwgen.lanes.memories import MEMORIES
from hwgen.lanes.price import clamp_luts
from hwgen.ops.conv import Conv
from hwgen.ops.quantize import clamp_ends, end_parameters
from hwgen.qtype import ceil_log2, signed_width
from hwgen.rom import LUT_WORDS, Rom
from hwgen.stage import Stage
from hwgen.stream import Order
from hwgen.sums import conv_of, exact_sums, term_count
from hwgen.units.spike_banks import balanced
from hwgen.units.unit import Unit
from hwgen.walks import Blocks, Rows, Step, Walk

MOST_SIDE = 8  # activations of a beat that it asks for
QUEUE = 32  # spikes that wait for their lists
HELD = 2  # vectors inside: one that fills, one that is read out


def is_whole(conv: Conv, shape: tuple[int, int, int]) -> bool:
    """Whether an output reads the whole of a frame of this shape, and so there is one pixel of them."""
    return conv.kernel == tuple(shape[1:]) and not any(conv.padding)


def side_of(stage: Stage, order: Order | None = None) -> int:
    """How many activations of a beat it takes: all that its source brings in `order`, or the most that part them."""
    channels, _, columns = stage.x.shape
    unit = channels * (columns if is_whole(conv_of(stage), stage.x.shape) else 1)
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
    varies = True

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
        return 1 if self.rom.depth <= LUT_WORDS else 2 + (self.rom_rows < self.rom.depth)

    @property
    def rom_rows(self) -> int:
        return MEMORIES["rom"].rows(self.rom.depth, self.device)

    @cached_property
    def weights(self) -> np.ndarray:
        """int64 [outputs, places of a vector as they come]: each worth 2^lift."""
        weights, order = exact_sums(self.stage).weights, self.order
        if is_whole(conv_of(self.stage), order.shape):
            return weights[:, order.indices()]
        return weights[:, list(order.channels) or slice(None)]

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
    def lists(self) -> tuple[Rom, Rom]:
        """The constants and lists, and where each place's list is."""
        return self.stage.once(("lists", self.banks, self.order, self.sort), self._lists)

    def _lists(self) -> tuple[Rom, Rom]:
        widths, words = self.sums, self.words
        payload = max(widths["CONSTANT_W"], widths["WEIGHT_W"] + self.slot_bits)
        # a place without a weight is given the word behind the constants, which adds nothing
        empty = ~self.weights.any(axis=0)
        first = self.slots + int(empty.any()) + np.cumsum(np.where(empty, 0, words)) - np.where(empty, 0, words)
        first[empty] = self.slots
        depth = self.slots + int(empty.any()) + int(words[~empty].sum())
        fields = np.zeros((depth, self.banks), np.int64)
        constants = np.append(exact_sums(self.stage).constants, 0).astype(np.int64)
        fields[: self.slots] = constants[self.outputs] % (1 << payload)
        for bank in range(self.banks):
            chosen = self.outputs[:, bank]
            used = self.weights[chosen[chosen >= 0]]  # the last of a bank alone may be none
            place, slot = np.nonzero(used.T)
            rank = np.arange(len(place)) - np.searchsorted(place, place)
            named = slot << widths["WEIGHT_W"]
            fields[first[place] + rank, bank] = named | used[slot, place] % (1 << widths["WEIGHT_W"])
        rom = Rom.of_fields([(fields[:, bank], payload) for bank in reversed(range(self.banks))])
        table = np.zeros((self.beats, self.side), np.int64)
        counts = np.zeros_like(table)
        table[:, : self.order.side] = first.reshape(self.beats, -1)
        counts[:, : self.order.side] = (words - 1).reshape(self.beats, -1)
        address = max(1, ceil_log2(depth))
        return rom, Rom.of_fields([(table.reshape(-1), address), (counts.reshape(-1), self.count_bits)])

    @property
    def count_bits(self) -> int:
        """Of the words of a list less one."""
        return max(1, int(self.words.max() - 1).bit_length())

    @property
    def rom(self) -> Rom:
        return self.lists[0]

    def note(self):
        return (
            f"{self.name}: {self.stage.op}, {self.stage.x} -> {self.stage.y}: {term_count(self.stage)} terms, "
            f"{self.rom.depth} words, {self.banks} accumulators, at most {self.cycles()} cycles a frame, as many as "
            f"there are spikes"
        )

    @property
    def rom_paths(self) -> tuple[str, str]:
        return f"rom/{self.name}.hex", f"rom/{self.name}_places.hex"

    def parameters(self):
        stage, (rom, table), (file, table_file) = self.stage, self.lists, self.rom_paths
        even = stage.rounds is not None and stage.rounds.even and self.sums["DROP"] > 0
        return {
            "SIDE": self.order.side,
            "BEATS": self.beats,
            "BANKS": self.banks,
            "SLOTS": self.slots,
            "FINAL": stage.y.shape[0] - (self.slots - 1) * self.banks,
            "FILE": file,
            "WORDS": rom.depth,
            "ROM_ROWS": self.rom_rows,
            "CHECK": (self.banked.check, 32),
            "TABLE_FILE": table_file,
            "TABLE_CHECK": (table.check, 32),
            "COUNT_W": self.count_bits,
            "QUEUE": QUEUE,
            **self.sums,
            "EVEN": int(even),
            "OUT_W": stage.y.qtype.bits,
            **end_parameters(clamp_ends(stage.unclamped, stage.quantize)),
        }

    @property
    def banked(self) -> Rom:
        """The file of the lists."""
        return self.rom.banked(self.rom_rows)

    def files(self):
        return dict(zip(self.rom_paths, (self.banked.text(), self.lists[1].text()), strict=True))

    def roms(self):
        roms = zip(self.rom_paths, (self.banked, self.lists[1]), strict=True)
        return {path: {"depth": rom.depth, "width": rom.width} for path, rom in roms}

    def facts(self):
        weights = int(np.count_nonzero(self.weights))
        return {
            "terms": weights,
            "entries": self.rom.depth,
            "groups": 1,
            "lanes": self.banks,
            "useful": weights * self.vectors,
            "capacity": self.banks,
        }

    @property
    def drain(self) -> int:
        """Cycles in which the sums of a vector are read out and sent, when they are taken."""
        return self.slots * max(self.banks, self.reads + 2)

    @property
    def vector(self) -> int:
        """Cycles of a vector of spikes alone: those of all lists, of its end, and of the constants."""
        return max(int(self.words.sum()) + 1 + self.slots, self.drain)

    def cycles(self):
        return self.vectors * self.vector

    def needs(self, i=0):
        return np.repeat(np.arange(1, self.vectors + 1) * self.beats, self.stage.y.shape[0])

    def walks(self, rows, taken, sent):
        drain = self.drain * self.stage.y.shape[2]
        if self.vectors > 1 or rows == 1:
            pass
        if not is_whole(conv_of(self.stage), self.order.shape):
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
        widths, place = self.sums, ceil_log2(self.beats * self.side)
        bits, sent, address = widths["W"], self.stage.y.qtype.bits, ceil_log2(self.rom.depth)
        ends = clamp_ends(self.stage.unclamped, self.stage.quantize)
        bank = self.device.lut_memory(2 << max(1, self.slot_bits), bits) + bits + self.slot_bits
        bank += clamp_luts(bits - widths["DROP"], sent, ends["LOW"], ends["HIGH"]) + sent
        luts = 30 + self.banks * bank + 3 * self.order.side + 2 * place + 3 * address
        blocks = 0.0
        for rom, rows in ((self.rom, self.rom_rows), (self.lists[1], self.lists[1].depth)):
            memory = MEMORIES["rom"]
            blocks += memory.blocks(rom.depth, rom.width, self.device)[0]["BRAM36"]
            luts += memory.luts(rom.depth, rom.width, self.device) if rom.depth > LUT_WORDS else rom.width * rows / 64
        return {"LUT": round(luts), "BRAM36": blocks}
