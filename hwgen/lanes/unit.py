"""rtl/term_lanes.v: a layer, GROUPS output channels of LANES pixels at a time, one term a cycle for each channel."""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from hwgen import codes
from hwgen.devices import Device
from hwgen.lanes import price
from hwgen.lanes.entries import Entries, PlaceBits, Rounds
from hwgen.lanes.epitome import Epitome, epitome_of
from hwgen.lanes.fold import Fold
from hwgen.lanes.geometry import Windows, rows_of
from hwgen.lanes.kinds import LaneKind, lane_kinds, too_much
from hwgen.lanes.memories import MEMORIES, ListMemory
from hwgen.lanes.program import Program
from hwgen.lanes.rescale import Scaler, scaler_of, shared
from hwgen.lanes.shifts import as_shift
from hwgen.ops.conv import Conv
from hwgen.ops.quantize import UNBOUNDED, clamp_ends, end_parameters
from hwgen.protect import EVERYTHING, UNPROTECTED, Protection
from hwgen.qtype import ceil_log2
from hwgen.rom import Rom
from hwgen.stage import Stage
from hwgen.stream import Order
from hwgen.sums import term_count
from hwgen.units.unit import LoadableUnit
from hwgen.verilog import signed64
from hwgen.walks import HANDOVER, Ring, Rows, Step, Walk


def entries_of(stage: Stage, kind: LaneKind, order: Order) -> Entries:
    """What the memory of a stage's list holds, for the order in which its input comes."""
    place = PlaceBits.of(stage.window, stage.x)

    def made() -> Entries:
        return kind.program(stage).entries(place, order.places)

    return stage.once(("entries", kind.name, order.channels, stage.loadable and kind.loads), made)


def work(stage: Stage, fold: Fold, order: Order, device: Device, sort: bool = False, mode: int | None = None) -> int:
    """Cycles of a frame at this fold when its input is there and its output taken; `sort` as in Rounds; mode -- of the
    frame, None: the slowest."""
    stripe = -(-stage.y.shape[2] // fold.lanes)
    late = rows_of(stage, Windows.of(stage, fold.lanes, order), device).late(order.beats // stage.x.shape[1])
    rounds = walked(stage, fold, order, sort)[1]
    rounds = rounds if mode is None else rounds.in_mode(mode)
    return late + stage.y.shape[1] * stripe * rounds.cycles


def walked(stage: Stage, fold: Fold, order: Order, sort: bool) -> tuple[int, Rounds]:
    """The scalers of rtl/rescale.v, 0 where there is none, and how the groups walk the list."""
    kind = lane_kinds()[fold.kind]
    sort = sort and not MEMORIES[fold.memory].written
    rounds = Rounds.of(entries_of(stage, kind, order).lengths, fold.groups, sort, len(stage.modes) or 1)
    epitome = epitome_of(stage)
    rounds = rounds.repeated(epitome.times if epitome else 1)
    program = kind.program(stage)
    scaler = scaler_of(stage, program.sum_bits, fold.multiplier)
    return (0, rounds) if scaler is None else shared(rounds, fold.lanes, scaler.pace, int(program.below > 0))


@dataclass(frozen=True, eq=False)
class TermLanes(LoadableUnit):
    """order -- of the input
    sort -- whether the output's channels may come in an order of their own, which balances the groups; those of a layer
    that can be loaded keep theirs, whatever the weights.
    protect -- against flipped bits
    mode -- of all frames, as far as cycles are asked for; None: the slowest
    in_flight -- frames whose modes the ring of rtl/mode_ring.v holds
    """

    stage: Stage
    fold: Fold
    order: Order
    device: Device
    sort: bool = False
    protect: Protection = UNPROTECTED
    mode: int | None = None
    in_flight: int = 2
    given: Stage = field(init=False)
    module = "term_lanes"

    def __post_init__(self):
        object.__setattr__(self, "given", self.stage)
        object.__setattr__(self, "stage", as_shift(self.stage))

    primitives = True
    watches = True
    votes = True
    loads = True
    stops = False
    instant = False

    @property
    def leaves_out(self) -> frozenset[str]:
        others = {kind.module for kind in lane_kinds().values()} - {self.kind_of_lanes.module}
        others = (others | {"rescale"}) if self.scaler is None else (others | {"requantize"}) - {"pe_mac"}
        others |= set() if self.stage.modes else {"mode_reader"}
        others |= set() if self.mode_ends else {"mode_clamp"}
        return frozenset(others if self.memory.written else {*others, "term_loader"})

    @property
    def protects(self) -> frozenset[str]:
        return frozenset() if self.scaler is not None else EVERYTHING

    @property
    def name(self) -> str:
        return self.stage.name

    @property
    def kind_of_lanes(self) -> LaneKind:
        return lane_kinds()[self.fold.kind]

    @property
    def memory(self) -> ListMemory:
        return MEMORIES[self.fold.memory]

    @property
    def loadable(self) -> bool:
        return self.memory.written

    @property
    def by_mode(self) -> bool:
        return bool(self.stage.modes)

    def in_mode(self, mode):
        return replace(self, mode=mode) if self.by_mode else self

    def with_ring(self, depth):
        return replace(self, in_flight=depth) if self.by_mode else self

    @property
    def out_order(self) -> Order:
        channels = self.order.channels if self.shared else self.rounds.channels
        return Order(self.stage.y.shape).by_lanes(self.fold.lanes, channels)

    @property
    def latency(self):
        late = 0 if self.scaler is None else self.scaler.registers + self.rounds.late
        listed = self.rom_shape[0] > self.device.lut_depth or not self.memory.file
        reads = self.protect.ecc + listed + (listed and self.rom_rows < self.depth) + 2 * (self.line_memory[2] > 0)
        return self.kind_of_lanes.registers + self.entries.gaps + reads + late

    @property
    def delay(self):
        return self.latency + self.out_order.stripe * self.paced.cycles + self._last_word

    @property
    def _last_word(self) -> int:
        """Cycles from the first sums of a position's last round to the last ones, where they are multiplied."""
        return self.rounds.final * self.rounds.word_cycles

    @cached_property
    def shared(self) -> bool:
        """Whether the ROM holds one list for all channels. They leave in the order in which they came."""
        # other weights may not be alike
        alike = self.program.shared and self.stage.x.shape[0] == self.stage.y.shape[0]
        alike = alike and not self.memory.written and not self.stage.modes and self.epitome is None
        return alike and (self.sort or not self.order.channels)

    @property
    def rom_path(self) -> str:
        return f"rom/{self.name}.hex"

    @cached_property
    def rows(self) -> Rows:
        return rows_of(self.stage, self.windows, self.device)

    @cached_property
    def windows(self) -> Windows:
        return Windows.of(self.stage, self.fold.lanes, self.order)

    @property
    def program(self) -> Program:
        return self.kind_of_lanes.program(self.stage)

    @property
    def place_bits(self) -> PlaceBits:
        return PlaceBits.of(self.stage.window, self.stage.x)

    @property
    def entries(self) -> Entries:
        return entries_of(self.stage, self.kind_of_lanes, self.order)

    @cached_property
    def _walked(self) -> tuple[int, Rounds]:
        return walked(self.stage, self.fold, self.order, self.sort)

    @property
    def rounds(self) -> Rounds:
        return self._walked[1]

    @cached_property
    def paced(self) -> Rounds:
        """The rounds of the mode whose cycles are asked for."""
        if self.mode is not None or not self.stage.modes:
            return self.rounds.in_mode(self.mode or 0)
        return max((self.rounds.in_mode(i) for i in range(self.rounds.modes)), key=lambda rounds: rounds.cycles)

    @property
    def scalers(self) -> int:
        """How many work through the sums; 0: these are clamped as they are."""
        return self._walked[0]

    @property
    def scaler(self) -> Scaler | None:
        return scaler_of(self.stage, self.program.sum_bits, self.fold.multiplier)

    @cached_property
    def fields(self) -> dict[str, int]:
        """Bits of the fields of addresses and places."""
        place = self.place_bits
        return {
            "ROW_BITS": ceil_log2(self.rows.ring),
            "COLUMN_BITS": ceil_log2(self.windows.stripe),
            "CHANNEL_BITS": place.channel,
            "TAP_ROW_BITS": place.tap_row,
            "TAP_COLUMN_BITS": place.tap_column,
        }

    @cached_property
    def rom(self) -> Rom:
        if self.shared:
            one, place = self.program.one_channel, replace(self.place_bits, channel=0)
            return one.entries(place, np.zeros(1, np.int64)).rom(Rounds.of(one.lengths, 1, False))
        return self.entries.rom(self.once)

    @property
    def epitome(self) -> Epitome | None:
        """How its outputs share lists, if they do."""
        return epitome_of(self.stage)

    @cached_property
    def once(self) -> Rounds:
        """The rounds of the lists that there are, walked once."""
        if self.epitome is None:
            return self.rounds
        return Rounds.of(self.entries.lengths, self.fold.groups, self.sort and not self.memory.written)

    def reloaded(self, op: Conv) -> Rom:
        new = as_shift(replace(self.given, op=op))
        if type(new.quantize) is not type(self.stage.quantize) or not isinstance(new.op, Conv):
            raise too_much(self.given, "its sums are no longer rounded by a shift alone", "use another grid of biases")
        program = self.kind_of_lanes.reloaded(self.stage, new.op, self.program, self.entries.payload_bits)
        # the channels' places and the widths are the build's
        entries = program.entries(self.place_bits, self.order.places, self.entries.payload_bits)
        return entries.rom(Rounds.of(entries.lengths, self.fold.groups, sort=False))

    @property
    def depth(self) -> int:
        """Words of the memory of terms."""
        return self.memory.depth(int(self.program.lengths[0] if self.shared else self.once.lengths.sum()), self.device)

    @property
    def rom_rows(self) -> int:
        """Words of a bank of that memory."""
        return self.memory.rows(self.depth, self.device)

    @cached_property
    def rows_of_rom(self) -> Rom:
        """The file of that memory."""
        return codes.coded(self.protect, self.rom).padded(self.depth).banked(self.rom_rows)

    @property
    def ends(self) -> dict[str, int]:
        """LOW and HIGH of the clamp; other weights may reach an end that these do not."""
        if self.scaler is not None:
            return self.scaler.ends
        quantize = self.stage.rounds
        if self.stage.modes and quantize is not None:
            each = [clamp_ends(mode.unclamped, mode.quantize) for mode in self.stage.modes]
            return {"LOW": max(ends["LOW"] for ends in each), "HIGH": min(ends["HIGH"] for ends in each)}
        if not self.memory.written or quantize is None:
            return clamp_ends(self.stage.unclamped, quantize)
        return {"LOW": max(quantize.low, -UNBOUNDED), "HIGH": min(quantize.high, UNBOUNDED - 1)}

    @cached_property
    def mode_ends(self) -> list[tuple[int, int]]:
        """The ends of the results of each mode, where these differ; else none."""
        y = self.stage.y.qtype
        quantizers = [mode.quantize for mode in self.stage.modes if mode.quantize is not None]
        ends = [(max(one.low, y.low), min(one.high, y.high)) for one in quantizers]
        return ends if len(set(ends)) > 1 else []

    def note(self):
        stage = self.stage
        modes = f", {len(stage.modes)} modes" if stage.modes else ""
        modes += f", walked {self.times} times" if self.times > 1 else ""
        loadable = f", loadable, up to {self.depth}" if self.memory.written else ""
        groups = f"{self.fold.groups} groups of " if self.fold.groups > 1 else ""
        return (
            f"{self.name}: {stage.op}, {stage.x} -> {stage.y}: {term_count(stage)} terms, "
            f"{self.rom.depth} entries{loadable}{modes}, {groups}{replace(self.fold, groups=1)}, "
            f"{self.cycles()} cycles a frame"
        )

    def parameters(self):
        lists = {**self._list(), **self._modes()}
        return {**self._numbers(), **self._scales(), **lists, **self._geometry(), **self._protection()}

    def _numbers(self) -> dict:
        """The parameters of the datapath."""
        stage, program = self.stage, self.program
        bits, signed = stage.x.qtype.bits, stage.x.qtype.signed
        least = 1 << (bits - 1) if stage.op.maximum and signed else 0  # never wins
        return {
            "X_W": bits,
            "X_SIGNED": int(signed),
            **self.kind_of_lanes.parameters(program, bits),
            "COMMAND_W": program.command_bits,
            "BASE": signed64(program.base),
            "W": program.accumulator,
            "F": program.below,
            "DROP": program.drop,
            "EVEN": int(stage.rounds is not None and stage.rounds.even and program.drop > 0),
            "OUT_W": stage.y.qtype.bits,
            **end_parameters(self.ends),
            "IMMEDIATE_W": program.immediate_bits,
            "PAD_VALUE": (least, program.immediate_bits),
        }

    def _scales(self) -> dict:
        """The parameters of rtl/rescale.v."""
        if self.scaler is None:
            return {}
        return {
            "SCALERS": self.scalers,
            **self.scaler.parameters(),
            "SCALE_FILE": self._scale_path,
            "SCALE_DEPTH": self.scaler.depth(self.channels),
            "SCALE_CHECK": (self.scales.check, 32),
        }

    @property
    def channels(self) -> tuple[int, ...]:
        """In the order in which their results come."""
        return self.out_order.channels or tuple(range(self.stage.y.shape[0]))

    @cached_property
    def scales(self) -> Rom:
        """The numbers of rtl/rescale.v."""
        assert self.scaler is not None, f"{self.name}: sums are clamped as they are"
        return self.scaler.rom(self.channels)

    @property
    def _scale_path(self) -> str:
        return f"rom/{self.name}_scales.hex"

    def _list(self) -> dict:
        """The parameters of the list; what is in a memory without a file is none of the hardware's business."""
        program, rom, file = self.program, self.rom, self.memory.file
        return {
            "FILE": self.rom_path if file else "",
            "TERMS": rom.depth if file else self.depth,
            "LOAD": self.memory.number,
            "DEPTH": self.depth,
            "ROM_ROWS": self.rom_rows,
            "CHECK": (self.rows_of_rom.check if file else 0, 32),
            "PAYLOAD_W": (rom.width - 1) // (1 if self.shared else self.fold.groups) - 1 - program.command_bits,
            "GROUPS": self.fold.groups,
            "FINAL": self.rounds.final,
            "GAPS": int(self.entries.gaps),
            "SHARED": int(self.shared),
            **self._repeats(),
            "EAGER": int(self.memory.written or self.rounds.eager),
        }

    @property
    def times(self) -> int:
        """That the list is walked for an output."""
        return self.epitome.times if self.epitome else 1

    def _repeats(self) -> dict[str, int]:
        if self.epitome is None:
            return {}
        # an entry of channel c reads c - step the second time
        return {"REPEAT": self.times, "TURN": self.stage.x.shape[0] - self.epitome.step}

    def _modes(self) -> dict:
        """The parameters of what a frame's mode decides."""
        count, ends = len(self.stage.modes), self.mode_ends
        if not count:
            return {}
        lasts = np.cumsum(self.rounds.lengths.reshape(count, -1).sum(axis=1)) - 1
        of_modes: dict = {
            "MODES": count,
            "LASTS": (sum(int(last) << 32 * i for i, last in enumerate(lasts)), 32 * count),
            "IN_FLIGHT": self.in_flight,
        }
        if not ends:
            return of_modes
        packed = [sum((end[i] % (1 << 64)) << 64 * n for n, end in enumerate(ends)) for i in range(2)]
        return of_modes | {"MODE_ENDS": 1, "LOWS": (packed[0], 64 * count), "HIGHS": (packed[1], 64 * count)}

    def _geometry(self) -> dict:
        """The parameters of the window, the output and the input's memory."""
        window, windows, rows = self.stage.window, self.windows, self.rows
        return {
            "LANES": self.fold.lanes,
            "OUT_ROWS": rows.out_rows,
            "OUT_STRIPE": self.out_order.stripe,
            "REACH_ROWS": window.reach[0],
            "REACH_COLUMNS": window.reach[1],
            "ROW_STEP": window.stride[0],
            "COLUMN_STEP": window.stride[1],
            "PAD_LEFT": window.left,
            "PAD_TOP": rows.pad_top,
            "PAD_BOTTOM": rows.pad_bottom,
            "SIDE": self.order.side,
            "STRIPES": windows.stripes,
            "STRIPE": windows.stripe,
            "LEAD": windows.lead,
            "LAST_STRIPE": windows.last_stripe,
            "PHASES": windows.phases,
            "CHANNELS": self.stage.x.shape[0],
            "ROWS": rows.rows,
            "RING": rows.ring,
            "TABLE": (self._table(), self.beats * self.entry_bits),
        }

    def _protection(self) -> dict:
        return {"PARITY": int(self.protect.parity), **codes.parameters(self.protect, self.rom.width)}

    @property
    def beats(self) -> int:
        """Beats of a row's channel."""
        return self.order.shape[2] if self.order.side == 1 else self.order.stripe

    @cached_property
    def raster(self) -> bool:
        """Whether the columns of the input come one by one, so that rtl/line_memory.v counts them."""
        if self.order.side != 1:
            return False
        columns, last = self.order.columns()
        return bool(last.all() and (np.diff(columns) == 1).all())

    @property
    def entry_bits(self) -> int:
        """Bits of an entry of TABLE."""
        return 1 + ceil_log2(self.windows.phases) + self.fields["COLUMN_BITS"]

    def _table(self) -> int:
        """TABLE of rtl/line_memory.v, as one integer."""
        windows, bits = self.windows, self.entry_bits
        if self.order.side == 1:
            columns, last = self.order.columns()
            phase, inside = np.divmod(columns + windows.lead, windows.stripe)
        else:
            phase, inside = np.divmod(np.arange(self.order.stripe), windows.stripe)
            last = np.ones(len(phase), bool)
        entries = (last.astype(np.int64) << (bits - 1)) | (phase << self.fields["COLUMN_BITS"]) | inside
        table = 0
        for i, entry in enumerate(entries):
            table |= int(entry) << (i * bits)
        return table

    def files(self):
        files = {self.rom_path: self.rows_of_rom.text()} if self.memory.file else {}
        return files if self.scaler is None else files | {self._scale_path: self.scales.text()}

    def roms(self) -> dict[str, dict[str, int]]:
        rows = self.rows_of_rom if self.memory.file else None
        roms = {self.rom_path: {"depth": rows.depth, "width": rows.width}} if rows else {}
        if self.scaler is not None:
            roms[self._scale_path] = {"depth": self.scales.depth, "width": self.scales.width}
        return roms

    def facts(self):
        _, rows, columns = self.stage.y.shape
        return {
            "lanes": self.fold.lanes,
            "groups": self.fold.groups,
            "terms": term_count(self.stage),
            "entries": self.rom.depth if self.mode is None else int(self.paced.lengths.sum()),
            "useful": self.program.terms // self.rounds.modes * self.times * rows * columns,
            "capacity": self.fold.size,
        }

    def cycles(self):
        # the work, or taking the input, where a padding row takes one, if that is more
        taking = self.order.beats + self.rows.pad_top + self.rows.pad_bottom
        return max(work(self.stage, self.fold, self.order, self.device, self.sort, self.mode), taking)

    @property
    def rom_shape(self) -> tuple[int, int]:
        """Words and bits of the memory of terms."""
        place = replace(self.place_bits, channel=0) if self.shared else self.place_bits
        groups = 1 if self.shared else self.fold.groups
        width = 1 + groups * self.program.entry_bits(place)
        return self.depth, width + len(codes.code(self.protect, width))

    @cached_property
    def line_memory(self) -> tuple[int, float, int]:
        """Words of each copy of the line memory, and its BRAM36 and banks; none of LUTs has these."""
        fields, windows = self.fields, self.windows
        words = self.rows.ring << (fields["COLUMN_BITS"] + fields["CHANNEL_BITS"])
        if words <= self.device.lut_depth:
            return words, 0.0, 0
        stripes, bits = windows.stripes, self.stage.x.qtype.bits + self.protect.parity
        written = (bits,) * stripes
        if windows.phases == 1:  # together, but what lies past a row's end
            written = (bits * stripes,) if windows.last_stripe == windows.stripe else (bits * (stripes - 1), bits)
        return words, *self.device.block_memory(words, stripes * bits, written)

    @property
    def control_bits(self) -> int:
        """Registers of control, those of a copy: a vote each, where there are three."""
        fields, rows, stripe = self.fields, self.rows, self.out_order.stripe
        fetches = 2 + (self.depth > self.device.lut_depth) + self.protect.ecc + self.entries.gaps
        position = ceil_log2(self.depth) + ceil_log2(rows.out_rows) + 3 * ceil_log2(stripe) + 2 * fields["ROW_BITS"]
        command = 2 + ceil_log2(self.windows.legs) + self.program.immediate_bits + self.program.command_bits
        written = ceil_log2(rows.rows) + 2 * fields["ROW_BITS"] + fields["COLUMN_BITS"] + fields["CHANNEL_BITS"]
        padding = min(self.stage.window.reach[0], rows.pad_top + rows.pad_bottom)
        groups = 1 if self.shared else self.fold.groups
        others = 20 + 3 * self.fold.groups + padding + ceil_log2(self.beats) + 2 * self.windows.phases
        return 2 * fetches + position + groups * command + written + others

    def estimate(self):
        return price.estimate(self)

    def needs(self, i=0):
        rows = self.rows
        until = np.arange(rows.out_rows) * rows.step + rows.need
        until[-1] = (rows.out_rows - 1) * rows.step + rows.last_step
        real = np.clip(until - rows.pad_top, 0, rows.rows)
        return np.repeat(real * (self.order.beats // rows.rows), self.out_order.beats // rows.out_rows)

    def walks(self, rows, taken, sent):
        ring, padding = Ring(self.rows, HANDOVER), Step(False, False, 1)
        fill = [padding] * self.rows.pad_top + [Step(True, False, taken)] * rows + [padding] * self.rows.pad_bottom
        cycles = self.out_order.stripe * self.paced.cycles
        first = max(0, int(self.paced.lengths[0]) - self.fold.groups)  # cycles before the first result
        empty = [Step(False, False, first), Step(False, True, cycles - first, sent)] * self.rows.out_rows
        return [Walk(fill, fills=ring), Walk(empty, empties=ring, lanes=True)]
