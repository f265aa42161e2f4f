"""LeNet-5 on 28x28 pixels, every layer spatial: what one or more pixels a cycle take, and what the peers' adders would.

Weights are random (fixed seeds), -7 to 7, half of them zero; activations have 4 bits, the input 8. Cycles are measured
in Icarus, where each output is compared with the golden integers; LUTs are yosys's, as mapped, of the core without its
AXI border. da4ml and Alkaid get the same integers and make adders for all pixels of a frame, which takes a clock; LUTs
are their own estimate. A row whose result is in lenet5.json is not done again. The table of docs/spatial.md is made
from that file.
"""

import tempfile
import time
from functools import partial
from pathlib import Path

import click
import numpy as np
import torch
from torch import nn

from benchmarks.spatial import growth
from benchmarks.spatial.__main__ import read, record
from benchmarks.spatial.intnet import IntNet
from benchmarks.spatial.measure import as_mapped
from benchmarks.spatial.ours import wrapped_core
from benchmarks.spatial.tables import table, write_document
from hwgen import build, verify
from hwgen.board import load_board
from hwgen.config import BuildConfig
from hwgen.nn import ActQuant

RESULTS = Path(__file__).parent / "lenet5.json"
PEERS = ("da4ml", "Alkaid")
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


def integers() -> IntNet:
    """The same network; activations by row, column, channel."""
    arrays, layers = {}, []
    weighted = [layer for layer in lenet5() if hasattr(layer, "weight")]
    for i, (layer, shift) in enumerate(zip(weighted, (10, 6, 6, 6, 0), strict=True)):
        weight = (layer.weight.detach().numpy() * 16).astype(np.int64)
        if i == 2:  # behind Flatten, where channels come first
            weight = weight.reshape(-1, 16, 4, 4).transpose(0, 2, 3, 1)
        elif weight.ndim == 4:
            weight = weight.transpose(0, 2, 3, 1)
        arrays |= {f"w{i}": weight.reshape(len(weight), -1).T.astype(np.int8)}
        arrays |= {f"b{i}": np.full(len(weight), 1 << shift >> 1)}  # ActQuant rounds, intnet's shift is a floor
        requant = {"shift": shift, "relu": True, "bits": 4, "signed": False} if shift else None
        step = {"type": "dense", "weight": f"w{i}", "bias": f"b{i}", "weight_kind": "uniform4", "requant": requant}
        layers.append(step | ({"windows": 5, "pool": 2} if i < 2 else {}))
    spec = {"format": "intnet-1", "name": "lenet5", "layers": layers}
    return IntNet(spec | {"input": {"shape": [28, 28, 1], "bits": 8, "signed": False}}, arrays)


def measure_peer(tool: str, limit: float) -> dict:
    """Of a tool that makes adders for a whole frame, what growth.measure says."""
    net = integers()
    x = net.vectors(random=20)
    with torch.no_grad():
        wanted = lenet5().double()(torch.from_numpy(x / 256).reshape(-1, 1, 28, 28))  # its last exponent is 0
    if not np.array_equal(net.forward(x), wanted):
        raise SystemExit("the integers of LeNet-5 differ from its module")
    return growth.measure(tool, net, limit)


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
        units = [placed.unit for placed in design.placed]
        return {
            "frames": verified["equal"],
            "interval": verified["interval"],
            "adders": sum(unit.facts().get("adders", 0) for unit in units),
            "cost": sum(unit.estimate()["LUT"] for unit in units),
            "cpu_seconds": round(seconds, 1),
            "mapped": mapped,
        }


def tables(results: dict) -> str:
    board = load_board("zcu104").resources["LUT"]
    rows = []
    for name, result in results.items():
        if "cost" not in result:
            rows.append((name, *["-"] * 8, "time or memory used up"))
            continue
        counted = (
            [f"{result['mapped'][key]:,}" for key in ("lut", "lutram", "ff", "carry8")]
            if "mapped" in result
            else ["-"] * 4
        )
        cost, interval = result["cost"], str(result.get("interval", 1))
        share = f"{cost / board:.0%}"
        rows.append(
            (name, interval, f"{result['adders']:,}", f"{cost:,.0f}", share, *counted, f"{result['cpu_seconds']:.0f}")
        )
    head = (
        "design",
        "cycles a frame",
        "adders",
        "LUT, estimated",
        "of the ZCU104",
        "LUT, yosys",
        "LUTRAM",
        "FF",
        "CARRY8",
        "CPU seconds",
    )
    return table(head, rows)


@click.command(help=__doc__)
@click.option("--pixels", multiple=True, type=int, default=(1,), show_default=True, help="A cycle.")
@click.option("--seconds", default=1500.0, show_default=True, help="CPU time for a peer.")
def main(pixels, seconds):
    runs = {f"hwgen, pixels a cycle: {n}": partial(measure, n) for n in pixels}
    runs |= {f"{tool}, all pixels at once": partial(measure_peer, tool, seconds) for tool in PEERS}
    for name, run in runs.items():
        if name not in read(RESULTS):
            record(RESULTS, name, run())
    text = tables(read(RESULTS))
    write_document("spatial.lenet5", text)
    click.echo(text)


if __name__ == "__main__":
    main()
