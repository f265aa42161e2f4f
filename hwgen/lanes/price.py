"""What an engine of lanes takes of the board, before synthesis; python -m benchmarks.fit_lanes fits it to yosys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwgen import codes
from hwgen.devices import Device
from hwgen.lanes.memories import MEMORIES
from hwgen.ops.quantize import UNBOUNDED
from hwgen.qtype import ceil_log2

if TYPE_CHECKING:
    from hwgen.lanes.unit import TermLanes

# LUTs for each count of `features`: the least relative error on random units and on those of networks
# (python -m benchmarks.fit_lanes)
FACTORS = {
    "exact": 1.0,
    "unit": 18.03,
    "counters": 0.95,
    "position table": 0.07,
    "group": 10.29,
    "group, column of the window": 0.48,
    "group, row of the window": 1.23,
    "slot": 0.69,
    "group, bit of an immediate": 1.39,
    "row of padding": 5.15,
    "phases": 5.38,
    "group, gaps": 2.02,
    "group, lanes that multiply": 9.40,
    "group, slices that add": 7.34,
    "lane, maximum": 0.58,
    "list of LUTs": 2.37,
    "loader": 4.24,
}


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
    stage, window, windows, rows = unit.stage, unit.stage.window, unit.windows, unit.rows
    fields, (words, width) = unit.fields, unit.rom_shape
    stripe, beats = unit.out_order.stripe, unit.beats
    column = ceil_log2(stripe * window.stride[1] + (1 << fields["TAP_COLUMN_BITS"]) + 1) * (stripe > 1)
    kind = unit.kind_of_lanes
    groups = 1 if unit.shared else unit.fold.groups  # groups of a shared list differ in the channel alone
    return {
        "exact": _exact(unit),
        "unit": 1,
        "counters": ceil_log2(words)
        + ceil_log2(rows.out_rows)
        + ceil_log2(stripe)
        + column
        + 2 * ceil_log2(rows.ring + 1)
        + ceil_log2(rows.pad_top + rows.rows + rows.pad_bottom)
        + ceil_log2(stage.x.shape[0])
        + 2 * ceil_log2(beats),
        "position table": unit.entry_bits * max(1, beats / 64) * (beats > 1 and not unit.raster),
        "phases": windows.phases * (windows.phases > 1 and not unit.raster),
        "group": groups,
        "group, column of the window": groups * column * (window.reach[1] > 1),
        "group, row of the window": groups * fields["ROW_BITS"] * (window.reach[0] > 1),
        "slot": rows.ring,
        "group, bit of an immediate": unit.fold.groups * stage.x.qtype.bits * (kind.sums and kind.immediates),
        "row of padding": min(window.reach[0], rows.pad_top + rows.pad_bottom),
        "group, gaps": groups * unit.place_bits.all * (unit.program.gap_bits > 0),
        "list of LUTs": words * width / 64 * (words <= unit.device.lut_depth and not unit.memory.written),
        "loader": ceil_log2(words) * unit.memory.written,
        **kind.features(unit.fold.size, unit.fold.groups, unit.program),
    }


def _exact(unit: TermLanes) -> int:
    """LUTs of accumulators, clamps, words that wait to be sent, multiplexers before the lanes and behind banks of
    memory, and LUT RAMs."""
    stage, program, kind, fold = unit.stage, unit.program, unit.kind_of_lanes, unit.fold
    bits, out_bits, legs = stage.x.qtype.bits, stage.y.qtype.bits, unit.windows.legs
    low, high = unit.ends.values()
    below, even = program.below, stage.rounds is not None and stage.rounds.even
    clamp = clamp_luts(program.sum_bits, out_bits, low, high) + 2 * even - (even and program.below > 0)
    # a choice of both ends is part of that of the word to send, but for the last group's
    chosen = fold.groups - 1 + (-UNBOUNDED < low < 0 and high < UNBOUNDED - 1)
    if unit.scaler is not None:  # one after the other
        clamp = chosen = below = 0
    lane = lane_luts(bits, program.accumulator + below if kind.sums else 0, legs)
    return (
        fold.size * (lane + clamp)
        + chosen * fold.lanes * out_bits
        + fold.groups * _line_luts(unit)
        + unit.memory.luts(*unit.rom_shape, unit.device)
        + _scaler_luts(unit)
        + _check_luts(unit)
        + unit.control_bits * unit.protect.tmr
    )


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
    numbers = rom.width * (2 < rom.depth <= unit.device.lut_depth)
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
