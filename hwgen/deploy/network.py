"""What a host must know of a build to pack its frames and to unpack its results: for drivers, as C and as JSON."""

from collections.abc import Mapping

import numpy as np

from hwgen.border import ends
from hwgen.design import Design
from hwgen.ir import Input, Output
from hwgen.registers import c_header, python_constants

MOST = 1 << 63  # C's int64_t ends there
LINE = 64  # bytes of a line of a processor's cache


def describe(design: Design, manifest: Mapping, clock_mhz: float) -> dict:
    """Of a build: what `struct hwgen_network` of the C driver has, arrays as numpy's."""
    graph = design.graph
    return {
        "name": manifest["name"],
        "build_id": manifest["build_id"],
        "modes": max(1, len(manifest["modes"])),
        "layers": len(manifest["loadable"]),
        "load_stream": design.ports.load_stream,
        "sample": graph.frames,
        "clock_mhz": clock_mhz,
        "inputs": [
            _input(end, one) | {"frames": stream.frames}
            for end, one, stream in zip(
                ends("in", design.inputs, design.ports), graph.inputs, design.inputs, strict=True
            )
        ],
        "outputs": [
            _output(end, one, graph.types()[one.name]) | {"frames": stream.frames}
            for end, one, stream in zip(
                ends("out", design.outputs, design.ports), graph.outputs, design.outputs, strict=True
            )
        ],
    }


def _stream(end: Mapping, one: Input | Output, kind) -> dict:
    return {
        "name": one.name,
        "port": end["port"],
        "beat_bits": end["beat_bits"],
        "port_bits": end["port_bits"],
        "side": end["side"],
        "shape": list(one.shape),
        "frame": list(kind.shape),
        "width": end["width"],
        "low": kind.qtype.low,
        "high": kind.qtype.high,
        "exponent": kind.exponent,
        "view": None if one.view is None else np.asarray(one.view).reshape(-1),
        "steps": [],
        "rounding": "half_up",
        "softmax": None,
    }


def _input(end: Mapping, one: Input) -> dict:
    steps = [_step(*step, one.shape) for step in one.steps]
    return _stream(end, one, one.type) | {"steps": steps, "rounding": one.rounding}


def _output(end: Mapping, one: Output, kind) -> dict:
    steps = [_step("mul", one.scale, one.shape)] if one.scale is not None else []
    steps += [_step("add", one.offset, one.shape)] if one.offset is not None else []
    softmax = None
    if one.host is not None:
        name, dimension = one.host
        axis = dimension - 1 if dimension > 0 else dimension % len(one.shape)
        inner = int(np.prod(one.shape[axis + 1 :]))
        softmax = {"over": one.shape[axis], "inner": inner, "log": name == "log_softmax", "axis": axis}
    return _stream(end, one, kind) | {"steps": steps, "softmax": softmax}


def _step(operation: str, value: np.ndarray, shape: tuple[int, ...]) -> dict:
    """The numbers of a step, each for a run of the frame's elements, again and again."""
    whole = np.broadcast_to(np.asarray(value, np.float64), shape).reshape(-1)
    sizes = [size for size in range(1, len(whole) + 1) if len(whole) % size == 0]
    for count in sizes:
        for run in (size for size in reversed(sizes) if len(whole) % (size * count) == 0):
            tried = np.tile(np.repeat(whole[: run * count : run], run), len(whole) // (run * count))
            if np.array_equal(tried, whole):
                return {"operation": operation, "run": run, "values": tried[: run * count : run].copy()}
    raise AssertionError("the whole frame is a run of its own")


def network_c(described: Mapping) -> str:
    """network.c of the kit."""
    both = [*described["inputs"], *described["outputs"]]
    lines = ["/* SPDX-License-Identifier: Apache-2.0", " *", f" * {described['name']}, made by hwgen. */"]
    lines += ['#include "hwgen.h"', ""]
    for way in ("inputs", "outputs"):
        for number, stream in enumerate(described[way]):
            lines += _tables(f"{way[:-1]}{number}", stream)
    for way in ("inputs", "outputs"):
        lines.append(f"static const struct hwgen_stream {way}[] = {{")
        for number, stream in enumerate(described[way]):
            lines += [f"    {{{text}," for text in [_fields(f"{way[:-1]}{number}", stream)]]
        lines += ["};", ""]
    lines += [
        "const struct hwgen_network hwgen_network = {",
        f'    .name = "{described["name"]}",',
        f"    .build_id = 0x{described['build_id']:08X}u,",
        f"    .modes = {described['modes']},",
        f"    .layers = {described['layers']},",
        f"    .load_stream = {int(described['load_stream'])},",
        f"    .align = {max(LINE, *(each['port_bits'] // 8 for each in both))},",
        f"    .sample = {described['sample']},",
        f"    .clock_mhz = {described['clock_mhz']!r},",
        f"    .inputs = {len(described['inputs'])},",
        f"    .outputs = {len(described['outputs'])},",
        "    .input = inputs,",
        "    .output = outputs,",
        "};",
    ]
    return "\n".join(lines) + "\n"


def registers_h() -> str:
    """hwgen_registers.h of the kit."""
    head = "/* SPDX-License-Identifier: Apache-2.0\n *\n * Offsets and bits of docs/registers.md. */\n"
    return f"{head}#ifndef HWGEN_REGISTERS_H\n#define HWGEN_REGISTERS_H\n\n{c_header()}\n#endif\n"


def registers_py() -> str:
    """hwgen_registers.py of the kit."""
    head = '# SPDX-License-Identifier: Apache-2.0\n"""Offsets and bits of docs/registers.md."""\n\n'
    return head + python_constants()


def _numbers(kind: str, name: str, values: list[str]) -> list[str]:
    lines = [f"static const {kind} {name}[] = {{"]
    lines += [f"    {', '.join(values[i : i + 12])}," for i in range(0, len(values), 12)]
    return [*lines, "};", ""]


def _tables(name: str, stream: Mapping) -> list[str]:
    lines = []
    if stream["view"] is not None:
        lines += _numbers("uint32_t", f"{name}_view", [str(int(at)) for at in stream["view"]])
    for number, step in enumerate(stream["steps"]):
        lines += _numbers("double", f"{name}_value{number}", [float(x).hex() for x in step["values"]])
    if stream["steps"]:
        lines.append(f"static const struct hwgen_step {name}_step[] = {{")
        for number, step in enumerate(stream["steps"]):
            word = f"HWGEN_{step['operation'].upper()}"
            lines.append(f"    {{{word}, {len(step['values'])}, {step['run']}, {name}_value{number}}},")
        lines += ["};", ""]
    return lines


def _fields(name: str, stream: Mapping) -> str:
    channels, rows, columns = stream["frame"]
    softmax = stream["softmax"] or {"over": 0, "inner": 0, "log": False}
    fields = {
        "name": f'"{stream["name"]}"',
        "frames": stream["frames"],
        "size": channels * rows * columns,
        "channels": channels,
        "rows": rows,
        "columns": columns,
        "side": stream["side"],
        "beat": stream["beat_bits"] // stream["width"],
        "width": stream["width"],
        "low": f"INT64_C({max(stream['low'], 1 - MOST)})",
        "high": f"INT64_C({min(stream['high'], MOST - 1)})",
        "exponent": stream["exponent"],
        "view": f"{name}_view" if stream["view"] is not None else "NULL",
        "steps": len(stream["steps"]),
        "step": f"{name}_step" if stream["steps"] else "NULL",
        "rounding": f"HWGEN_{stream['rounding'].upper()}",
        "softmax": softmax["over"],
        "inner": softmax["inner"],
        "logarithm": int(softmax["log"]),
    }
    return "\n     ".join(f".{key} = {value}," for key, value in fields.items())[:-1] + "}"
