"""Files of the QONNX model zoo and of qonnx, read, built for the ZCU104 and held against qonnx's executor:
`python -m benchmarks.imports.qonnx FOLDER [NAME ...]`, the folder holding TFC_1W1A.onnx and the others.

Where a file's first layer reads floats, as QKeras writes it, the input is put on a grid here. TFC sees the 10,000
images of the MNIST test set, the others noise.
"""

import gzip
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table
from torch import nn

from benchmarks.imports.executor import Executor
from benchmarks.imports.ties import near_ties
from hwgen import build, verify
from hwgen.board import load_board
from hwgen.config import BuildConfig
from hwgen.errors import HwgenError
from hwgen.formats import read_network
from hwgen.manifest import read_manifest
from hwgen.nn import ActQuant

MNIST = Path(__file__).parents[2] / "examples" / "lenet5" / "data"
NOISE = 2.0**-18  # of the greatest output
HEAD = (
    "file, frames a second, asked, LUT, DSP, BRAM36, outputs, differ, levels, no ties, right, executor, published, RTL"
)


@dataclass(frozen=True)
class File:
    """name       of the file
    fps        frames a second that are asked for
    published  percent of images that are right, as its authors say; and what is known of it in hardware
    frames     that are looked at
    rtl        of these, that are simulated with stalls
    grid       None, or what puts the input on a grid
    spread     of the noise
    """

    name: str
    fps: float
    published: str = ""
    frames: int = 1000
    rtl: int = 10
    grid: ActQuant | None = None
    spread: float = 1.0

    @property
    def images(self) -> bool:
        return self.name.startswith("TFC")


FILES = (
    File("TFC_1W1A", 100_000, "93.17 %", 10_000),
    File("TFC_2W2A", 100_000, "96.60 %", 10_000),
    File("kwsmlp_w3a3", 60_000, "87.89 %; FINN, Pynq-Z2: 57,268 a second", rtl=3, spread=30.0),
    File("qkeras_jettagging", 1_000_000, "", grid=ActQuant(10, -6, signed=True), spread=2.0),
    File("espcn_subpixel_quant", 60, "", frames=4, rtl=1, grid=ActQuant(8, -8, signed=False)),
    File("residual_block_clean", 60),
)


def mnist() -> tuple[np.ndarray, np.ndarray]:
    """The images of the MNIST test set from 0 to 1, float32 [N, 1, 28, 28], and their labels."""
    images, labels = (
        np.frombuffer(gzip.decompress((MNIST / f"t10k-{name}-ubyte.gz").read_bytes()), np.uint8)
        for name in ("images-idx3", "labels-idx1")
    )
    return images[16:].reshape(-1, 1, 28, 28) / np.float32(255), labels[8:].astype(np.int64)


def inputs(file: File, shape: Sequence[int]) -> np.ndarray:
    """Frames, on the file's grid where it has one."""
    if file.images:
        return mnist()[0][: file.frames]
    noise = torch.randn((file.frames, *shape), generator=torch.Generator().manual_seed(0)) * file.spread
    return (noise if file.grid is None else file.grid(noise)).numpy()


def measured(file: File, path: Path) -> list[str]:
    """The row of a file."""
    network, (example,) = read_network(str(path))
    x = inputs(file, example.shape[1:])
    whole = network if file.grid is None else nn.Sequential(file.grid, network)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "net"
        design = build(whole, (example,), out=out, config=BuildConfig(fps=file.fps))
        (ours,) = (y.numpy() for y in design.graph.golden(torch.from_numpy(x)))
        executor = Executor(path)
        theirs = executor.tensors(x)
        result = theirs[executor.model.graph.output[0].name]
        differ = int((abs(ours - result) > NOISE * abs(result).max()).sum())
        levels, others = near_ties(path, theirs, x)
        estimate = design.estimate()
        rate = load_board("zcu104").clock_mhz * 1e6 / read_manifest(out)["interval"]
        rtl = verify(out, x[: file.rtl], stall=0.3)["equal"] if file.rtl else 0
    right = ["", ""]
    if file.images:
        labels = mnist()[1][: file.frames]
        right = [f"{(y.argmax(1) == labels).mean():.2%}" for y in (ours, result)]
    return [
        file.name,
        f"{rate:,.0f}",
        f"{file.fps:,.0f}",
        *(f"{estimate.get(name, 0):,.0f}" for name in ("LUT", "DSP", "BRAM36")),
        f"{result.size:,}",
        f"{differ:,}",
        f"{levels:,}",
        f"{others:,}",
        *right,
        file.published,
        f"{rtl} of {file.rtl}",
    ]


def main(folder: str, *names: str) -> None:
    torch.set_num_threads(1)
    table = Table(*HEAD.split(", "), box=MARKDOWN)
    for file in FILES:
        if names and file.name not in names:
            continue
        start = time.time()
        try:
            row = measured(file, Path(folder) / f"{file.name}.onnx")
        except HwgenError as error:
            row = [file.name, *[""] * (len(table.columns) - 2), "; ".join(one.what for one in error.each())]
        print(f"{file.name}: {time.time() - start:.0f} s", file=sys.stderr)
        table.add_row(*row)
    Console(width=240).print(table)


if __name__ == "__main__":
    main(*sys.argv[1:])
