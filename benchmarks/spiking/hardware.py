"""Trained spiking networks as hardware: cycles a sample, what yosys counts, and every integer against PyTorch."""

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.netlist import synthesize
from benchmarks.spatial.tables import table
from benchmarks.spiking import programs, series
from benchmarks.spiking.counts import ADDITION, MAC, traced
from examples.spiking import cubes, respiration
from examples.spiking.model import HERE, encode, test_data
from hwgen import build, verify
from hwgen.config import BuildConfig
from hwgen.errors import BadInput
from hwgen.flow import read_design
from hwgen.load import load, load_batch
from hwgen.manifest import read_manifest
from hwgen.simulate import check_run, run_frames

COUNTS = ("LUT", "LUTRAM", "FF", "BRAM36", "DSP")
STALL = 0.3


def _images(coding: str, steps: int) -> Callable[[int], np.ndarray]:
    """Frames of so many test images."""
    return lambda count: encode(test_data()[0][:count], coding, steps).astype(np.float32)


@dataclass(frozen=True)
class Hardware:
    """program -- a file; frames -- of so many samples; goal -- what is asked of the build; make -- trains the file
    anew; samples -- simulated, on Icarus so many of them"""

    program: Path
    frames: Callable[[int], np.ndarray]
    goal: dict[str, Any]
    make: Callable[[], None] | None = None
    samples: int = 100
    on_icarus: int = 100


def _records(count: int) -> np.ndarray:
    return respiration.records(count, 1)[0]


def _patches(count: int) -> np.ndarray:
    return cubes.patches(count, 30)[0]


RESPIRATION = partial(series.make, "respiration", 16)
DIRECT = HERE / "mnist_128.pt2"
BUILDS = {
    "MNIST 784-128-10, direct, T = 5, --lanes 16": Hardware(DIRECT, _images("direct", 5), {"lanes": 16}),
    "MNIST 784-128-10, direct, T = 5, --lanes 8": Hardware(DIRECT, _images("direct", 5), {"lanes": 8}),
    "MNIST 784-128-10, direct, one step, T = 1, --lanes 8": Hardware(
        programs.path("mnist / 784-128-10, direct, one step / 0"), _images("direct", 1), {"lanes": 8}
    ),
    "MNIST 784-128-10, direct, 25 steps, T = 25, --lanes 8": Hardware(
        programs.path("mnist / 784-128-10, direct, 25 steps / 0"), _images("direct", 25), {"lanes": 8}
    ),
    "MNIST 784-400-10, direct, T = 5, --lanes 16": Hardware(
        programs.path("mnist / 784-400-10, direct / 0"), _images("direct", 5), {"lanes": 16}
    ),
    "MNIST 784-128-10, rate, T = 10, --lanes 16": Hardware(
        programs.path("mnist / 784-128-10, rate / 0"), _images("rate", 10), {"lanes": 16}
    ),
    "MNIST 784-128-10, rate, T = 10, linear1=spikes": Hardware(
        programs.path("mnist / 784-128-10, rate / 0"),
        _images("rate", 10),
        {"lanes": 16, "engine": "lanes,linear1=spikes"},
    ),
    "MNIST 784-128-10, rate, T = 10, --engine spikes": Hardware(
        programs.path("mnist / 784-128-10, rate / 0"), _images("rate", 10), {"lanes": 16, "engine": "spikes"}
    ),
    "MNIST 784-128-10, latency, T = 10, linear1=spikes": Hardware(
        programs.path("mnist / 784-128-10, latency / 0"),
        _images("latency", 10),
        {"lanes": 16, "engine": "lanes,linear1=spikes"},
    ),
    "respiration, T = 16, --lanes 16": Hardware(
        programs.path("series / respiration / 16 steps"), _records, {"lanes": 16}, RESPIRATION, on_icarus=4
    ),
    "respiration, one pass, 4 bits, --lanes 16": Hardware(
        programs.path("series / respiration / one pass, 4 bits"), _records, {"lanes": 16}, RESPIRATION
    ),
    "patches, hybrid, T = 5, --lanes 16": Hardware(
        programs.path("cubes / hybrid / SNN"), _patches, {"lanes": 16}, on_icarus=10
    ),
    "patches, 3-D, T = 5, --lanes 16": Hardware(
        programs.path("cubes / 3-D / SNN"), _patches, {"lanes": 16}, on_icarus=10
    ),
}


def run(name: str) -> dict:
    """What a build takes, as yosys counts it, its cycles, and how many frames equal PyTorch's, with stalls."""
    torch.set_num_threads(1)
    own = BUILDS[name]
    if not own.program.is_file() and own.make:
        own.make()
    if not own.program.is_file():
        raise BadInput("the network is not trained yet", str(own.program), "do the run that trains it first")
    program, _ = load(str(own.program))
    made = own.frames(own.samples)
    file = programs.FOLDER / f"{own.program.stem}, frames.npy"
    file.parent.mkdir(parents=True, exist_ok=True)
    np.save(file, made)
    x, _ = load_batch([str(file)])
    assert isinstance(x, np.ndarray)
    module, each = program.module().double(), len(x) // own.samples
    with torch.no_grad():
        want = torch.cat([module(sample) for sample in torch.tensor(x, dtype=torch.float64).split(each)])
    with tempfile.TemporaryDirectory(prefix="hwgen-spiking-") as work:
        folder = Path(work) / "net"
        graph = build(program, out=folder, config=BuildConfig(name="net", **own.goal)).graph
        golden = graph.golden(torch.tensor(x))[0]
        # the RTL's integers are the golden ones, in each place and time step, or this raises
        inside = {}
        for simulator in ("verilator", "icarus"):
            some = x if simulator == "verilator" else x[: own.on_icarus * each]
            result = verify(folder, some, simulator=simulator, stall=STALL, inside=True)
            inside[simulator] = {"equal": result["equal"], "numbers": sum(result["inside"].values())}
        cycles, traces = _steady(folder, x)
        predicted = read_manifest(folder)["interval"]
        core, whole = synthesize(folder), synthesize(folder, border=True)
    return {
        "samples": own.samples,
        "frames out": len(golden),
        "equal": int((golden == want).reshape(len(golden), -1).all(1).sum()),
        "simulated": inside,
        "cycles": cycles,
        "predicted": predicted,
        "operations": traced(graph, traces, own.samples),
        "sha256 of the frames": hashlib.sha256(file.read_bytes()).hexdigest(),
        "core": core.counts,
        "total": whole.counts,
        "tool": core.tool,
    }


def _steady(folder: Path, x: np.ndarray) -> tuple[float, dict[str, torch.Tensor]]:
    """Cycles from sample to sample without stalls, the mean; and the integers of each tensor, as the running RTL sent
    them."""
    design = read_design(folder)
    frames, modes = check_run(folder, design, x, "verilator", 0.0)
    run = run_frames(folder, design, frames, "verilator", 0.0, 1, traced=True, modes=modes)
    streams = {stream.tensor: stream for stream in design.streams()}
    values = {name: stream.order.unflatten(run.traces[stream.name]) for name, stream in streams.items()}
    assert run.mean_interval is not None
    return run.mean_interval, values


def tables(results: dict) -> str:
    rows, counts = [], []
    for name in BUILDS:
        if found := results.get(f"hardware / {name}"):
            sizes = [f"{found['core'][key]:,g}" for key in COUNTS]
            equal = f"{found['equal']} of {found['frames out']}"
            inside = {kind: f"{one['equal']}, {one['numbers']:,} numbers" for kind, one in found["simulated"].items()}
            total = f"{found['total']['LUT']:,g}"
            cycles = f"{found['cycles']:,.0f}", f"{found['predicted']:,}", f"{found['cycles'] / 100:.1f}"
            rows.append((name, *cycles, *sizes, total, equal, *inside.values()))
            of = found["operations"]
            if of["spikes"]:
                fired = ", ".join(f"{layer:.2f}" for layer in of["spikes"])
                ratio = of["macs"] * MAC / (of["first"] * MAC + of["additions"] * ADDITION)
                numbers = [f"{of[key]:,.0f}" for key in ("macs", "first", "additions")]
                counts.append((name, fired, *numbers, f"{ratio:.2f}"))
    head = (
        "build",
        "cycles a sample, mean",
        "at most",
        "us at an assumed 100 MHz, mean",
        *COUNTS,
        "LUT with the AXI border",
    )
    of = ("samples equal PyTorch's", "frames on Verilator, with stalls", "on Icarus")
    counted = ("build", "spikes a neuron, by layer", "MACs, every layer once", "of layer 1", "additions")
    ratio = "energy of the CNN / SNN, by formula"
    return "\n".join((table((*head, *of), rows), table((*counted, ratio), counts)))


# what abstracts say: the network on MNIST, accuracy, time an image, size
OTHERS = (
    ("Spiker+ (Carpegna et al., arXiv 2401.01141)", "-", "-", "780 us", "7,612 logic cells, 18 BRAM"),
    ("Flexi-NeurA (arXiv 2602.18140)", "256-128-10", "97.23", "1.1 ms", "1,623 logic cells, 7 BRAM"),
    ("Fan and Levy (arXiv 2507.07284)", "-", "-", "0.52 ms at 100 MHz", "6,358 LUT, 40.5 BRAM"),
    ("Han et al. (Tsinghua Science and Technology 25(4), 2020)", "-", "97.06", "161 frames/s", "-"),
)


def others(results: dict) -> str:
    """Ours beside what others publish of MNIST."""
    rows = list(OTHERS)
    for name in BUILDS:
        trained = results.get(f"mnist / {name.removeprefix('MNIST ').partition(', T')[0]} / 0")
        if (found := results.get(f"hardware / {name}")) and trained:
            size = f"{found['total']['LUT']:,g} LUT, {found['total']['BRAM36']:g} BRAM36"
            net, coding, *goal = name.removeprefix("MNIST ").split(", ")
            time = f"{found['cycles'] / 100:.1f} us"
            rows.append((f"hwgen, {coding}, {', '.join(goal)}", net, f"{trained['accuracy']:.2f}", time, size))
    return table(("system", "network", "accuracy, %", "time an image", "size"), rows)
