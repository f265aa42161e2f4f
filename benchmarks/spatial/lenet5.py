"""LeNet-5 on 28x28 pixels, every layer spatial: what one or more pixels a cycle take.

Weights are random (fixed seeds), -7 to 7, half of them zero; activations have 4 bits, the input 8. Cycles are measured
in Icarus, where each output is compared with the golden integers; LUTs are yosys's, as mapped, of the core without its
AXI border. A row whose result is in lenet5.json is not done again. The table of docs/spatial.md is made from that file.
"""

import tempfile
import time
from pathlib import Path

import click
import numpy as np
import torch
from torch import nn

from benchmarks.spatial.__main__ import read, record
from benchmarks.spatial.measure import as_mapped
from benchmarks.spatial.ours import wrapped_core
from benchmarks.spatial.tables import table, write_document
from hwgen import build, verify
from hwgen.board import load_board
from hwgen.config import BuildConfig
from hwgen.nn import ActQuant

RESULTS = Path(__file__).parent / "lenet5.json"
FRAMES = 4


def lenet5() -> nn.Module:
    def weigh(layer, seed):
        rng = np.random.default_rng(seed)
        integers = rng.integers(1, 8, layer.weight.shape) * rng.choice([-1, 1], layer.weight.shape)
        integers = integers * (rng.random(layer.weight.shape) < 0.5)
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(integers / 16))
            layer.bias.zero_()
        return layer

    return nn.Sequential(
        ActQuant(8, -8),
        weigh(nn.Conv2d(1, 6, 5), 1),
        nn.ReLU(),
        ActQuant(4, -2),
        nn.MaxPool2d(2),
        weigh(nn.Conv2d(6, 16, 5), 2),
        nn.ReLU(),
        ActQuant(4, 0),
        nn.MaxPool2d(2),
        nn.Flatten(),
        weigh(nn.Linear(256, 120), 3),
        nn.ReLU(),
        ActQuant(4, 2),
        weigh(nn.Linear(120, 84), 4),
        nn.ReLU(),
        ActQuant(4, 4),
        weigh(nn.Linear(84, 10), 5),
    ).eval()


def measure(pixels: int) -> dict:
    with tempfile.TemporaryDirectory(prefix="hwgen-lenet5-") as work:
        folder = Path(work) / "build"
        started = time.process_time()
        design = build(
            lenet5(),
            (torch.zeros(1, 1, 28, 28),),
            out=folder,
            config=BuildConfig(engine="spatial", pixels=pixels, name="lenet5"),
        )
        seconds = time.process_time() - started
        x = np.random.default_rng(6).random((FRAMES, 1, 28, 28))
        verified = verify(folder, x, simulator="icarus")
        mapped = as_mapped(wrapped_core(design, Path(work)), Path(work) / "yosys")
        return {
            "pixels": pixels,
            "terms": sum(placed.unit.facts()["terms"] for placed in design.placed),
            "frames": verified["equal"],
            "interval": verified["interval"],
            "build_cpu_seconds": round(seconds, 1),
            "mapped": mapped,
        }


def tables(results: dict) -> str:
    board = load_board("zcu104").resources
    rows = []
    for result in results.values():
        mapped = result["mapped"]
        share = f"{mapped['lut'] / board['LUT']:.1%}"
        numbers = (result["terms"], result["interval"], *(mapped[key] for key in ("lut", "lutram", "ff", "carry8")))
        counts = (f"{number:,}" for number in numbers)
        rows.append((str(result["pixels"]), *counts, share, f"{result['build_cpu_seconds']:.0f}"))
    head = (
        "pixels a cycle",
        "terms",
        "cycles a frame",
        "LUT",
        "LUTRAM",
        "FF",
        "CARRY8",
        "of the ZCU104's LUTs",
        "CPU seconds of the build",
    )
    return table(head, rows)


@click.command(help=__doc__)
@click.option("--pixels", multiple=True, type=int, default=(1,), show_default=True)
def main(pixels):
    for n in pixels:
        if str(n) not in read(RESULTS):
            record(RESULTS, str(n), measure(n))
    text = tables(read(RESULTS))
    write_document("spatial.lenet5", text)
    click.echo(text)


if __name__ == "__main__":
    main()
