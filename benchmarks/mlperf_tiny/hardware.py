"""A network as RTL: scheduled to a rate, held against its golden integers on Verilator, counted."""

import time
from pathlib import Path

import torch

import hwgen
from benchmarks.mlperf_tiny.networks import CLOCK
from hwgen.config import RESOURCES, BuildConfig
from hwgen.errors import HwgenError
from hwgen.manifest import read_manifest
from hwgen.ops.rescale import Rescale, Steps
from hwgen.synth import yosys

STALL = 0.3


def built(module, example, frames: torch.Tensor, out: Path, fps: float, target: str = "exact") -> dict:
    """seconds, layers, terms, interval (cycles a frame, predicted), estimate, how sums become levels; frames, equal,
    simulated (cycles) of Verilator with stalls; or why it was refused, or failed."""
    start = time.monotonic()
    try:
        design = hwgen.build(module, example, out=out, config=BuildConfig(fps=fps, clock=CLOCK, target=target))
    except HwgenError as error:
        return {"fps": fps, "refused": " ".join(str(error).split())}
    manifest = read_manifest(out)
    ops = [node.op for node in design.graph.nodes]
    multipliers = [int(abs(op.multipliers).max()).bit_length() for op in ops if isinstance(op, Rescale)]
    result = {
        "fps": fps,
        "seconds": round(time.monotonic() - start, 1),
        "layers": sum(op.has_weights for op in ops),
        "terms": sum(unit.get("terms", 0) for unit in manifest["units"]),
        "interval": manifest["interval"],
        "estimate": {key: round(value, 1) for key, value in design.estimate().items() if key in RESOURCES},
        "multiplier_bits": max(multipliers, default=0),
        "by_multiplier": len(multipliers),
        "by_thresholds": sum(isinstance(op, Steps) for op in ops),
    }
    try:
        compared = hwgen.verify(out, frames.double(), stall=STALL)
        result |= {key: compared[key] for key in ("frames", "equal")}
    except HwgenError as error:
        result["failed"] = " ".join(str(error).split())
    return result


def counted(out: Path, minutes: float) -> dict:
    """What yosys counts of a build's units and its border."""
    try:
        found = yosys.synthesize(out, 1, read_manifest(out)["core"], whole=False, minutes=minutes)
    except HwgenError as error:
        return {"not_synthesized": " ".join(str(error).split())}
    return {key: found["sum"][key] for key in ("LUT", "FF", "BRAM36", "DSP")}
