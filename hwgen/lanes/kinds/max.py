"""Lanes of lookup tables that keep the greatest activation of a window (rtl/pe_max.v)."""

import numpy as np

from hwgen.ir import TensorType, Window
from hwgen.lanes.entries import LAST
from hwgen.lanes.kinds import LaneKind, lane_kind
from hwgen.lanes.program import Program


@lane_kind
class Max(LaneKind):
    name = "max"
    module = "pe_max"
    registers = 6
    immediates = False

    def obstacle(self, stage):
        return None if stage.op.maximum else "it is no maximum"

    def luts(self, program):
        # of a choice, and of a comparison, of which two bits are a part of it
        return program.accumulator + max(0, program.accumulator - 2)

    def entry_luts(self, program, x_bits, payload, constants):
        return 0

    def make(self, stage, *, gap_bits: int = 0):
        return max_program(stage.window, stage.x)

    def program(self, stage):
        return stage.once(("program", self.name), lambda: self.make(stage))

    def parameters(self, program, x_bits):
        return {"MAXIMUM": 1}


def max_program(window: Window, x: TensorType) -> Program:
    """The program of a maximum: every tap of each channel once."""
    channels, kernel, dilation = x.shape[0], window.kernel, window.dilation
    taps = kernel[0] * kernel[1]
    tap = np.tile(np.arange(taps), channels)
    return Program(
        flags=np.where(tap == taps - 1, LAST, 0),
        channel=np.repeat(np.arange(channels), taps),
        tap_row=tap // kernel[1] * dilation[0],
        tap_column=tap % kernel[1] * dilation[1],
        immediate=np.zeros(len(tap), np.int64),
        lengths=np.full(channels, taps),
        terms=len(tap),
        accumulator=x.qtype.bits,
        below=0,
        drop=0,
        immediate_bits=x.qtype.bits,
        constant_bits=0,
    )
