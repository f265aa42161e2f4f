"""One tool on one network: built in an environment of its own, simulated, measured."""

import json
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.spatial import measure, simulate
from benchmarks.spatial.intnet import NETWORKS, IntNet
from hwgen.errors import ToolFailed

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "build" / "spatial"


@dataclass(frozen=True)
class Tool:
    module: str  # called as peers/common.py says
    package: str | None = None  # of PyPI, for its environment in build/spatial; None: this very one
    options: tuple[str, ...] = ()


TOOLS = {
    "da4ml": Tool("benchmarks.spatial.peers.da4ml", "da4ml==0.6.0"),
    "Alkaid": Tool("benchmarks.spatial.peers.alkaid", "alkaid==0.8.2"),
    "Alkaid --no-ternary": Tool("benchmarks.spatial.peers.alkaid", "alkaid==0.8.2", ("--no-ternary",)),
    "hwgen": Tool("benchmarks.spatial.ours"),
}
TIMES = ("seconds", "cpu_seconds", "build_cpu_seconds", "megabytes")
COUNTS = {"mapped": measure.as_mapped, "adder_model": measure.adder_model}


def python(tool: Tool) -> str:
    """The interpreter of a tool's environment, which is made where it is missing."""
    if tool.package is None:
        return sys.executable
    environment = WORK / tool.package.split("==")[0]
    made = environment / "installed"
    if not made.is_file() or made.read_text() != tool.package:
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        command = [str(environment / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", tool.package]
        subprocess.run(command, check=True)
        made.write_text(tool.package)
    return str(environment / "bin" / "python")


def convert(
    tool: Tool, network: Path, folder: Path, *options: str, limit: float | None = None, megabytes: int | None = None
) -> dict:
    """What the tool says of a network (peers/common.py), its Verilog in `folder`.

    limit -- of CPU seconds; subprocess.TimeoutExpired when they are used up
    megabytes -- of memory; MemoryError when more are asked for
    """
    command = [python(tool), "-m", tool.module, str(network), str(folder), *tool.options, *options]
    seconds = resource.RLIM_INFINITY if limit is None else int(limit)
    memory = resource.RLIM_INFINITY if megabytes is None else megabytes << 20

    def restrict():
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.RLIM_INFINITY))
        resource.setrlimit(resource.RLIMIT_DATA, (memory, resource.RLIM_INFINITY))

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, preexec_fn=restrict)
    if done.returncode == -signal.SIGXCPU:
        raise subprocess.TimeoutExpired(command, limit)
    if done.returncode and ("MemoryError" in done.stderr or "std::bad_alloc" in done.stderr):
        raise MemoryError(done.stderr[-2000:])
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if done.returncode or not lines:
        what = f"{tool.module} on {network.stem} ends with {done.returncode}"
        raise ToolFailed(what, str(folder), done.stderr[-2000:])
    return json.loads(lines[-1].removeprefix("RESULT "))


def run(name: str, network: str, counts: Sequence[str] = tuple(COUNTS), known: dict | None = None) -> dict:
    """The result of the tool `name` on a network of networks/. What `known` has stays, and is not checked or counted
    again."""
    known = known or {}
    net = IntNet.load(network)
    folder = WORK / "runs" / name.lower().replace(" ", "_").replace("--", "") / network
    if folder.exists():
        shutil.rmtree(folder)
    design = convert(TOOLS[name], NETWORKS / f"{network}.json", folder)
    x = net.vectors()
    result = {key: design[key] for key in (*TIMES, "latency", "adders", "cost") if key in design}
    result["three_input_adders"] = design.get("three_input_adders", 0)
    result["nonzeros"] = net.nonzeros()
    if "vectors" not in known:
        result["vectors"] = simulate.check(design, x, net.forward(x), folder / "simulation")
    for count, measured in COUNTS.items():
        if count in counts and count not in known:
            result[count] = measured(design, folder / "yosys")
    return result | known
