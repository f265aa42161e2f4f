"""What both peers' scripts share; it runs in a peer's own environment, where numpy is all there is.

A script is called as `python -m benchmarks.spatial.peers.PEER NETWORK.json FOLDER`, writes FOLDER/src/*.v and prints
one line of JSON, RESULT and then:
seconds, cpu_seconds  -- of tracing, solving and writing Verilog; imports and the tool's own test are not in it
megabytes             -- the most memory of the process until then, so imports are in it
latency               -- clock edges from an input to its result
adders, cost          -- additions in the tool's program (`three_input_adders` of them), its own estimate of LUTs
top, sources, input, output, input_fields, output_fields -- the module, its files and its two data ports; the fields
                      of a port, from bit 0 up, are [width, signed, exponent]: a field is integer * 2^exponent
"""

import argparse
import json
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.spatial.intnet import IntNet


def main(convert: Callable[[IntNet, Path, argparse.Namespace], tuple[dict, Callable]], *options: str) -> None:
    """Runs `convert`, which writes the Verilog and returns what to print and the tool's own emulator."""
    parser = argparse.ArgumentParser()
    parser.add_argument("network", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--solve-only", action="store_true", help="no Verilog")
    for option in options:
        parser.add_argument(option, action="store_true")
    choices = parser.parse_args()
    net = IntNet.load(choices.network)
    wall, cpu = time.perf_counter(), time.process_time()
    result, predict = convert(net, choices.folder, choices)
    result = {
        "seconds": round(time.perf_counter() - wall, 2),
        "cpu_seconds": round(time.process_time() - cpu, 2),
        "megabytes": _megabytes(),
    } | result
    x = net.vectors()
    if not np.array_equal(predict(x.astype(np.float64)).reshape(len(x), -1), net.forward(x)):
        raise SystemExit(f"{net.name}: the tool's own emulator differs from numpy")
    print("RESULT", json.dumps(result))


def trace_layers(net: IntNet, x):
    """The network on the tool's own symbolic array; both tools take numpy's operators."""
    return net.run(x, _quantize, np.float32)


def _quantize(x, requant):
    """Scaling by 2^-shift moves the point only; truncating to 0 fraction bits is the floor."""
    if requant is None:
        return x
    x = x * 2.0 ** -requant["shift"]
    if requant["relu"]:
        x = x.relu()
    signed = int(requant["signed"])
    return x.quantize(signed, requant["bits"] - signed, 0, overflow_mode="SAT", round_mode="TRN")


def input_type(net: IntNet) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(sign bits, integer bits, fraction bits) of each input."""
    signed, bits = net.spec["input"]["signed"], net.spec["input"]["bits"]
    ones = np.ones(net.inputs, np.int64)
    return ones * signed, ones * (bits - signed), ones * 0


def fields(kifs: Sequence) -> list[list[int]]:
    """[width, signed, exponent] of each (sign, integer, fraction bits)."""
    return [[int(sum(kif)), int(kif[0]), -int(kif[2])] for kif in kifs]


def _megabytes() -> int:
    # getrusage's ru_maxrss would begin with the memory of the process that started this one
    return int(re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024
