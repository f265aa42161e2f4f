"""What an engine of lanes takes of the board, before synthesis; python -m benchmarks.fit_lanes fits it to yosys."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hwgen import codes
from hwgen.devices import Device
from hwgen.lanes.entries import IMMEDIATE
from hwgen.lanes.memories import MEMORIES
from hwgen.ops.quantize import UNBOUNDED
from hwgen.qtype import ceil_log2
from hwgen.rom import Rom

if TYPE_CHECKING:
    from hwgen.lanes.unit import TermLanes

# LUTs for each count of `features` (python -m benchmarks.fit_lanes): exact are what the Verilog says
FACTORS = {
    "exact": 1.0,
    "sequencer": 8,
    "short list, counter": 2.03,
    "long list, counter": 0.72,
    "list of up to 4": 1,
    "list of up to 16": 0.76,
    "list of up to 64": 2,
    "list that is loaded": 1.68,
    "list that is loaded, counter": 4,
    "list of all channels": 1.73,
    "column": 1.3,
    "row": 1.84,
    "row of padding": 0.5,
    "slot": 1.01,
    "group": 2.17,
    "group, column": 1.06,
    "group, column that is a sum": 0.5,
    "group, slot": 1,
    "group, padding": 1,
    "group, columns of padding": 7.11,
    "group, distance": 1.95,
    "line memory": 8,
    "padding above or below": 2.43,
    "channels": 1.55,
    "banks": 3.08,
    "columns one by one": 0.94,
    "phases": 0.32,
    "beats": 0.5,
    "phases of a table": 1.5,
    "copies": 0.54,
    "results of several groups": 1,
}
MOST_INPUTS = 6  # of a lookup table


def lane_luts(x_bits: int, accumulator: int, legs: int) -> int:
    """LUTs of a lane in lookup tables, before its clamp: the choice of one of `legs` stripes, two bits of two in a LUT,
    and the accumulator."""
    return (-(-x_bits // 2) if legs == 2 else x_bits * Device.multiplexer(legs)) + accumulator


def clamp_luts(bits: int, sent: int, low: int, high: int) -> int:
    """LUTs of rtl/clamp.v from `bits` to `sent`; `above` or `below` looks at the bits of a sum above the end's own and
    the sign."""
    luts = 0
    if high < UNBOUNDED - 1:
        luts += -(-max(0, bits - 1 - high.bit_length()) // 5)
    if -UNBOUNDED < low < 0:
        luts += -(-max(0, bits - 1 - (~low).bit_length()) // 5)
    primitives = low == 0 and high == (1 << sent) - 1 and bits > sent
    return luts + (-(-sent // 2) if primitives else 0)


def estimate(unit: TermLanes) -> dict[str, float]:
    """LUTs, block RAMs, UltraRAMs and DSP slices of a unit."""
    blocks, _ = unit.memory.blocks(*unit.rom_shape, unit.device)
    slices, scales = 0, 0.0
    if unit.scaler is not None:
        slices = unit.scalers * unit.scaler.slices
        shape = unit.scales.depth, unit.scales.width
        scales = _copies(unit) * MEMORIES["rom"].blocks(*shape, unit.device)[0]["BRAM36"]
    per_slice = unit.kind_of_lanes.per_slice(unit.program, unit.stage.x.qtype.bits)
    return {
        "LUT": round(sum(FACTORS[name] * count for name, count in features(unit).items())),
        **blocks,
        "BRAM36": unit.fold.groups * unit.line_memory[1] + blocks["BRAM36"] + scales,
        "DSP": (unit.fold.groups * -(-unit.fold.lanes // per_slice) if per_slice else 0) + slices,
    }


def features(unit: TermLanes) -> dict[str, float]:
    """What the LUTs of the unit depend on, by the names in FACTORS."""
    exact = _exact(unit) + _requantize_luts(unit) + _entry_luts(unit) + 2 * _count_luts(unit.rows.ring)
    exact += _turn_luts(unit) + _mode_luts(unit)
    return {
        "exact": exact,
        **_sequencer(unit),
        **_groups(unit),
        **_line_writer(unit),
        "results of several groups": unit.scaler is None and unit.fold.groups > 1,
    }


def _exact(unit: TermLanes) -> int:
    """LUTs of accumulators, multiplexers before the lanes and behind banks of memory, and LUT RAMs; of what protects
    them."""
    program, kind, fold = unit.program, unit.kind_of_lanes, unit.fold
    below = program.below if unit.scaler is None else 0  # one after the other
    lane = lane_luts(unit.stage.x.qtype.bits, kind.luts(program) + below, unit.windows.legs)
    return (
        fold.size * lane
        + fold.groups * _line_luts(unit)
        + unit.memory.luts(*unit.rom_shape, unit.device)
        + _scaler_luts(unit)
        + _check_luts(unit)
        + unit.control_bits * unit.protect.tmr
    )


def _requantize_luts(unit: TermLanes) -> int:
    """Of rtl/requantize.v: clamps, and the words that wait to be sent."""
    if unit.scaler is not None:
        return 0
    stage, program, fold = unit.stage, unit.program, unit.fold
    out_bits, (low, high) = stage.y.qtype.bits, unit.ends.values()
    even = stage.rounds is not None and stage.rounds.even
    clamp = clamp_luts(program.sum_bits, out_bits, low, high) + 2 * even - (even and program.below > 0)
    # a choice of both ends is part of that of the word to send, but for the last group's
    chosen = fold.groups - 1 + (-UNBOUNDED < low < 0 and high < UNBOUNDED - 1)
    # below zero a word is reset, where no primitives do it
    resets = low == 0 and not (high == (1 << out_bits) - 1 and program.sum_bits > out_bits)
    return fold.size * clamp + chosen * fold.lanes * out_bits + resets * fold.lanes


def _entry_luts(unit: TermLanes) -> int:
    """Of the registers of rtl/term_sequencer.v behind a list's entry. A word that is the only one is wires, and a short
    list's immediates may be none."""
    program, (words, width) = unit.program, unit.rom_shape
    if words == 1:
        return 0
    constants = not _short(unit) or bool((program.flags & IMMEDIATE).any())
    payload = (width - 1) // (1 if unit.shared else unit.fold.groups) - 1 - program.command_bits
    return unit.fold.groups * unit.kind_of_lanes.entry_luts(program, unit.stage.x.qtype.bits, payload, constants)


def _short(unit: TermLanes) -> bool:
    """Whether the list is made of LUTs."""
    return unit.rom_shape[0] <= unit.device.lut_depth and not unit.memory.written


def _count_luts(ring: int) -> int:
    """Of rtl/row_count.v."""
    bits = ceil_log2(ring + 1)
    return bits if bits + 3 <= MOST_INPUTS else 2 * bits


def _slot_luts(ring: int, bits: int) -> int:
    """Of rtl/ring_sum.v, for a number of so many bits."""
    slot = ceil_log2(ring)
    return slot if slot + bits <= MOST_INPUTS or ring == 1 << slot else 3 * max(slot, bits) + 2


def _sequencer(unit: TermLanes) -> dict[str, float]:
    """What all groups share in rtl/term_sequencer.v: counters, and the list."""
    rows, words, kinds = unit.rows, unit.rom_shape[0], different(unit.rom) if _short(unit) else 0
    bits, written = ceil_log2(words), unit.memory.written
    pads = _padded_rows(unit)
    alike = rows.out_rows == 1 or rows.last_step == rows.step == rows.need
    return {
        "sequencer": 1,
        "short list, counter": bits * (0 < bits <= MOST_INPUTS),
        "long list, counter": bits * (bits > MOST_INPUTS),
        "list of up to 4": kinds * (bits <= 2),
        "list of up to 16": kinds * (2 < bits <= 4),
        "list of up to 64": kinds * (bits > 4),
        "list that is loaded": written,
        "list that is loaded, counter": bits * written,
        "list of all channels": unit.shared and unit.stage.x.shape[0] > unit.fold.groups,
        "column": _column_bits(unit),
        "row": (ceil_log2(rows.out_rows) + 1) * (pads > 0 or not alike),
        "row of padding": pads,
        "slot": _slot_luts(rows.ring, ceil_log2(rows.ring + 1)) * (rows.out_rows > 1),
    }


def different(rom: Rom) -> int:
    """Columns of a list that are neither constant nor a bit of the address, those that are alike counted once."""
    columns = rom.bits.T
    wires = {(np.arange(rom.depth) >> k & 1).astype(np.uint8).tobytes() for k in range(ceil_log2(rom.depth))}
    return len({column.tobytes() for column in columns if column.any() and not column.all()} - wires)


def _column_bits(unit: TermLanes) -> int:
    """Of the column where a window begins; none is counted where an output stripe is one column."""
    stripe, taps = unit.out_order.stripe, 1 << unit.fields["TAP_COLUMN_BITS"]
    return ceil_log2(stripe * unit.stage.window.stride[1] + taps + 1) if stripe > 1 else 0


def _padded_rows(unit: TermLanes) -> int:
    """Rows of the window that lie in the padding for some output rows, and what is compared for each."""
    rows, found = unit.rows, 0
    step = rows.step if rows.out_rows > 1 else 1
    for row in range(unit.stage.window.reach[0]):
        top = max(0, -(-(rows.pad_top - row) // step))
        bottom = max(0, -(-(rows.pad_top + rows.rows - row) // step))
        if top or bottom < rows.out_rows:
            found += 1 + (top > 1) + (1 < bottom < rows.out_rows)
    return found


def _reaches_out(unit: TermLanes) -> bool:
    """Whether a lane that is alone has columns of padding that its memory does not hold."""
    window, windows, stripe = unit.stage.window, unit.windows, unit.out_order.stripe
    right = (stripe - 1) * window.stride[1] + window.reach[1] - 1 - window.left + windows.lead
    return unit.fold.lanes == 1 and (windows.lead < window.left or right >= windows.stripe * windows.stripes)


def _groups(unit: TermLanes) -> dict[str, float]:
    """What each group has of its own in rtl/term_sequencer.v: an address. Groups of a shared list differ in the channel
    alone."""
    groups = 1 if unit.shared else unit.fold.groups
    fields, rows, legs = unit.fields, unit.rows, ceil_log2(unit.windows.legs)
    taps, column = fields["TAP_COLUMN_BITS"], _column_bits(unit)
    places = fields["COLUMN_BITS"] + 2 * legs if taps or legs else 0
    table = column + taps <= MOST_INPUTS
    slot = _slot_luts(rows.ring, fields["TAP_ROW_BITS"]) if fields["TAP_ROW_BITS"] else 0
    return {
        "group": groups,
        "group, column": groups * places * table,
        "group, column that is a sum": groups * (column + 2 * legs) * (places > 0 and not table),
        "group, slot": groups * slot,
        "group, padding": groups * (_padded_rows(unit) > 0),
        "group, columns of padding": groups * _reaches_out(unit),
        "group, distance": unit.fold.groups * unit.place_bits.all * (unit.program.gap_bits > 0),
    }


def _line_writer(unit: TermLanes) -> dict[str, float]:
    """Of rtl/line_memory.v what writes."""
    rows, windows, beats = unit.rows, unit.windows, unit.beats
    banks, phases = unit.line_memory[2], windows.phases * (windows.phases > 1)
    return {
        "line memory": 1,
        "padding above or below": (rows.pad_top > 0) + (rows.pad_bottom > 0),
        "channels": ceil_log2(unit.stage.x.shape[0]),
        "banks": banks * max(1, phases) * (banks > 1),
        "columns one by one": unit.fields["COLUMN_BITS"] * unit.raster,
        "phases": phases * unit.raster,
        "beats": 2 * ceil_log2(beats) * (not unit.raster),
        "phases of a table": phases * (not unit.raster),
        "copies": unit.fold.groups,
    }


def _parity_luts(bits: int) -> int:
    """LUTs of a sum of so many bits modulo 2."""
    return -(-(bits - 1) // 5)


def _check_luts(unit: TermLanes) -> int:
    """LUTs that look at what memories give: of a list's check bits and, where they repair, of the turned bits; of an
    activation's parity on either side of the line memory."""
    if not unit.protect.memories:
        return 0
    code = codes.code(unit.protect, unit.rom.width)
    words = sum(_parity_luts(1 + int(row.sum())) for row in code)
    repairs = unit.rom.width * 2 + 2 if unit.protect.ecc else 0
    written = sum(_parity_luts(int(row.sum())) for row in code) * unit.memory.written
    bits, read = unit.stage.x.qtype.bits, unit.fold.groups * unit.windows.stripes
    lines = read * _parity_luts(bits + 1) + unit.order.side * _parity_luts(bits) + _parity_luts(read + 1)
    return words + repairs + written + lines * unit.protect.parity


def _turn_luts(unit: TermLanes) -> int:
    """Of outputs that share lists: the time, how far the channels are turned, and what each group adds to its own.
    Where they are no power of two, one more adder takes the sum back into them."""
    if unit.epitome is None:
        return 0
    channels, step = unit.stage.x.shape[0], unit.epitome.step
    whole = channels & (channels - 1) == 0
    bits = ceil_log2(channels) - ((step & -step).bit_length() - 1) if whole else 2 * ceil_log2(channels)
    return ceil_log2(unit.epitome.times) + bits * (1 + unit.fold.groups)


def _mode_luts(unit: TermLanes) -> int:
    """Of several modes: where each begins and ends, which is part of a short list's tables, and the ends of results
    where these differ."""
    bits, ends = ceil_log2(unit.rom_shape[0]), len(unit.mode_ends)
    lists = 2 + 5 * bits // 2 if unit.stage.modes and bits > MOST_INPUTS else 0
    return lists + (unit.fold.size * (ends + unit.stage.y.qtype.bits) if ends else 0)


def _copies(unit: TermLanes) -> int:
    """Of the memory of the scalers' numbers."""
    return unit.scalers if unit.scaler is not None and unit.scaler.own_memory else 1


def _scaler_luts(unit: TermLanes) -> int:
    """LUTs of rtl/rescale.v: of the choice of a sum for each scaler, the scalers, their numbers, and counters; fitted
    to yosys on the module alone."""
    scaler, rom = unit.scaler, unit.scales if unit.scaler is not None else None
    if scaler is None or rom is None:
        return 0
    chunks = -(-unit.fold.lanes // unit.scalers)
    places = unit.fold.groups << ceil_log2(chunks)
    # as yosys makes a multiplexer: of up to 4, of 8, of up to 16, and of these
    used = unit.fold.groups * chunks
    choice = int(places > 1) if places <= 4 else 3 if places == 8 else 4 * -(-used // 16) + (places > 16)
    each = unit.program.sum_bits * choice + scaler.luts(unit.program.sum_bits, unit.stage.y.qtype.bits)
    # up to 16 words most columns are functions of two bits, or of one another
    numbers = different(rom) / (1 + (rom.depth <= 16)) * (2 < rom.depth <= unit.device.lut_depth)
    depth = scaler.depth(unit.channels)
    counters = sum(ceil_log2(count) for count in (scaler.pace, chunks, unit.fold.groups, depth))
    return round(8 + counters + unit.scalers * each + _copies(unit) * numbers)


def _line_luts(unit: TermLanes) -> int:
    """LUTs of a copy of the line memory: of multiplexers, or LUT RAMs. Stripes that no lane reads are none."""
    words, _, banks = unit.line_memory
    if banks == 1:
        return 0
    windows, bits = unit.windows, unit.stage.x.qtype.bits + unit.protect.parity
    firsts = range(windows.first_leg, windows.first_leg + unit.fold.lanes * windows.lane_step, windows.lane_step)
    read = len({first + leg for first in firsts for leg in range(windows.legs)} & set(range(windows.stripes)))
    return read * (bits * Device.multiplexer(banks) if banks else unit.device.lut_memory(words, bits))
