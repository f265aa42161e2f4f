"""Lets the harness that flips bits run: what it tries and finds goes by file, at the simulator's own speed.

FLIPS names a JSON file {frames, sample, patience, more}, the harness's inputs.
"""

import json
import os
from pathlib import Path

import cocotb
from cocotb.triggers import RisingEdge


@cocotb.test()
async def every_flip_is_tried(dut):
    for name, value in json.loads(Path(os.environ["FLIPS"]).read_text()).items():
        getattr(dut, name).value = value
    dut.go.value = 1
    await RisingEdge(dut.done)
