"""Lets the harness of an emitted network run: the words go by file, at the simulator's own speed; Python only waits.

BULK names a JSON file {chance, seed, frames, patience}; `result` is written into it.
"""

import json
import os
from pathlib import Path

import cocotb
from cocotb.triggers import First, RisingEdge


@cocotb.test()
async def every_word_comes_out(dut):
    path = Path(os.environ["BULK"])
    settings = json.loads(path.read_text())
    for name in ("chance", "seed", "frames", "patience"):
        getattr(dut, name).value = settings[name]
    dut.go.value = 1
    await First(RisingEdge(dut.done), RisingEdge(dut.hung))
    result = {name: int(getattr(dut, name).value) for name in ("done", "hung", "first_in", "first_out", "last_out")}
    path.write_text(json.dumps({**settings, "result": result}))
