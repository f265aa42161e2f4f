"""What the drivers of LeNet-5's kit take of a processor, and the share of the network's rate that a simulated system
sustains: the table of docs/board.md.

Packing is measured here, in nanoseconds; where Debian's gcc-aarch64-linux-gnu and qemu-user are installed, instructions
of a Cortex-A53 are counted too. The system is that of sim/system/, whose memory answers after 20 to 60 clocks.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import numpy as np
import torch

from benchmarks.spatial.tables import table, write_document
from hwgen import BuildConfig, build
from hwgen.deploy import deploy
from hwgen.deploy.system import compile_system, environment_of
from hwgen.manifest import read_manifest

HERE = Path(__file__).parents[1]
DOCUMENT = HERE / "docs/board.md"
FLAGS = ("-std=c11", "-O3", "-ffp-contract=off")
PYTHON = """
import sys, time
sys.path.insert(0, sys.argv[1])
import json, numpy as np
from hwgen_driver import Stream
described = json.load(open(sys.argv[1] + "/network.json"))
sent, came = Stream(described["inputs"][0], True), Stream(described["outputs"][0], False)
x, words = np.load(sys.argv[2])[:128], np.zeros((128, came.size), came.dtype)
for _ in range(2):
    start = time.process_time()
    for _ in range(20):
        sent.pack(x)
        came.unpack(words)
print((time.process_time() - start) / 20 / 128 * 1e9)
"""
RUN = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from hwgen_driver import Network, Uio
with Network(Uio()) as net:
    net.run(np.load(sys.argv[2]))
    print(net.counters()["cycles"])
"""


def run(*command: object, **environment: str) -> str:
    names = {**os.environ, **environment}
    return subprocess.run([*map(str, command)], env=names, capture_output=True, text=True, check=True).stdout


def convert(kit: Path, folder: Path, compiler: str, *flags: str) -> Path:
    """A program that packs and unpacks: tests/system/convert.c."""
    driver, out = kit / "driver", folder / f"convert-{compiler}"
    sources = (HERE / "tests/system/convert.c", driver / "pack.c", driver / "network.c")
    run(compiler, *FLAGS, *flags, f"-I{driver}", *sources, "-lm", "-o", out)
    return out


def instructions(program: Path, folder: Path) -> int | None:
    """Of a frame packed and unpacked; between two counts of frames, so that the start is not in it."""
    counts = []
    for frames in (10, 20):
        log = folder / "log"
        run("qemu-aarch64", "-singlestep", "-d", "exec,nochain", "-D", log, program, "time", frames)
        counts.append(len(log.read_bytes().splitlines()))
    return (counts[1] - counts[0]) // 10


@click.command(help=__doc__)
@click.option("--write", is_flag=True, help="Put the table into docs/board.md.")
def main(write):
    with tempfile.TemporaryDirectory() as name:
        folder, rows = Path(name), []
        kit, program = folder / "kit", torch.export.load(HERE / "examples/lenet5/lenet5.pt2")
        build(program, out=folder / "build", config=BuildConfig(name="lenet5"))
        deploy(folder / "build", kit)
        times = [line.split() for line in run(convert(kit, folder, "gcc"), "time", 20000).splitlines()]
        total, size = sum(float(each[-1]) for each in times), sum(int(each[-2]) for each in times)
        mhz = float(re.findall(r"cpu MHz\s*: ([\d.]+)", Path("/proc/cpuinfo").read_text())[0])
        rows.append(("C, this machine", f"{total:.0f} ns a frame", f"{total * mhz / 1000 / size:.1f} cycles a byte"))
        if shutil.which("aarch64-linux-gnu-gcc") and shutil.which("qemu-aarch64"):
            count = instructions(convert(kit, folder, "aarch64-linux-gnu-gcc", "-mcpu=cortex-a53", "-static"), folder)
            rows.append(("C, for a Cortex-A53", f"{count:,} instructions a frame", f"{count / size:.1f} a byte"))
        x = np.random.default_rng(1).random((1000, 1, 28, 28), dtype=np.float32)
        np.save(folder / "x.npy", x)
        python = float(run(sys.executable, "-c", PYTHON, kit / "python", folder / "x.npy", OMP_NUM_THREADS="1"))
        rows.append(
            ("Python, this machine", f"{python:,.0f} ns a frame", f"{python * mhz / 1000 / size:.1f} cycles a byte")
        )
        library = compile_system(kit, folder / "system")
        names = environment_of(kit, library, folder / "devices")
        cycles = int(run(sys.executable, "-c", RUN, kit / "python", folder / "x.npy", **names)) / len(x)
        best = read_manifest(folder / "build")["interval"]
        rows.append(
            ("DMA and memory, simulated", f"{cycles:,.1f} cycles a frame", f"{best / cycles:.1%} of the predicted rate")
        )
    text = table(("what", "takes", "which is"), rows)
    print(text)
    if write:
        write_document("driver", text, DOCUMENT)


if __name__ == "__main__":
    main()
