"""How LUTs and time grow with a dense layer: squares of 8-bit signed inputs, the peers and hwgen.

LUTs are each tool's own estimate, as the larger layers take yosys hours; time is from the integers to adders, without
Verilog. Each tool's adders are compared with numpy. A layer whose result is in growth.json is not done again, unless it
used up a shorter time than --seconds. Behind a layer that used up its time or memory, a tool is not given a larger one.
"""

import subprocess
from pathlib import Path

import click
import numpy as np
from rich.console import Console

from benchmarks.spatial.__main__ import read, record
from benchmarks.spatial.intnet import IntNet
from benchmarks.spatial.run import TOOLS, WORK, convert
from benchmarks.spatial.tables import table, write_document
from hwgen.errors import HwgenError

RESULTS = Path(__file__).parent / "growth.json"
SIZES = (64, 128, 256, 512)
KINDS = {"pow2": "PoT, 80 % zeros", "uniform4": "4 bits"}
COMPARED = ("da4ml", "Alkaid", "hwgen")
MEGABYTES = 8000  # for a layer


def layer(kind: str, size: int) -> IntNet:
    """A layer of random weights and no bias: 0 (80 %) or +-2^0 to +-2^6, or -7 to 7; the same at each call."""
    rng = np.random.default_rng(size)
    shape = (size, size)
    if kind == "pow2":
        kept = rng.random(shape) >= 0.8
        weight = kept * rng.choice([-1, 1], shape) * 2 ** rng.integers(0, 7, shape)
    else:
        weight = rng.integers(-7, 8, shape)
    spec = {
        "format": "intnet-1",
        "name": f"{kind}_{size}",
        "input": {"shape": [size], "bits": 8, "signed": True},
        "layers": [{"type": "dense", "weight": "w", "bias": "b", "weight_kind": kind, "requant": None}],
    }
    return IntNet(spec, {"w": weight.astype(np.int8), "b": np.zeros(size, np.int8)})


def terms(net: IntNet) -> int:
    """Signed powers of two in all weights, canonical signed digits: what hwgen counts, too."""
    weight = np.abs(net.layers[0][0])
    # a canonical digit is where w and 3w differ
    return sum(int(number).bit_count() for number in (weight ^ (3 * weight)).flat)


def measure(tool: str, net: IntNet, limit: float) -> dict:
    """seconds, cpu_seconds, megabytes, adders, cost; or {"unfinished": limit}, or {"out_of_memory": MEGABYTES}."""
    path = WORK / "growth" / f"{net.name}.json"
    net.save(path)
    try:
        folder = path.with_suffix(f".{tool}")
        result = convert(TOOLS[tool], path, folder, "--solve-only", limit=limit, megabytes=MEGABYTES)
    except subprocess.TimeoutExpired:
        return {"unfinished": limit}
    except MemoryError:
        return {"out_of_memory": MEGABYTES}
    return {key: result[key] for key in ("seconds", "cpu_seconds", "megabytes", "adders", "cost")}


def tables(results: dict) -> str:
    rows = []
    for kind, what in KINDS.items():
        for size in SIZES:
            net = layer(kind, size)
            for tool in COMPARED:
                result = results.get(f"{tool} / {net.name}")
                if result is None:
                    continue
                if "cost" in result:
                    cells = (
                        f"{result['adders']:,}",
                        f"{result['cost']:,.0f}",
                        f"{result['cost'] / terms(net):.2f}",
                        f"{result['cpu_seconds']:.1f}",
                        f"{result['megabytes']:,}",
                    )
                elif "unfinished" in result:
                    cells = ("-", "-", "-", f"not in {result['unfinished']:,.0f}", "-")
                else:
                    cells = ("-", "-", "-", "-", f"not in {result['out_of_memory']:,}")
                rows.append((f"{size} x {size}, {what}", f"{terms(net):,}", tool, *cells))
    return table(("layer", "terms", "tool", "adders", "LUT, estimated", "LUT per term", "CPU seconds", "MB"), rows)


@click.command(help=__doc__)
@click.option("--seconds", default=300.0, show_default=True, help="CPU time for a layer.")
@click.option("--tool", "tools", type=click.Choice(COMPARED), default=COMPARED, multiple=True, show_default=True)
@click.option("--size", "sizes", type=click.IntRange(1), default=SIZES, multiple=True, show_default=True)
@click.option("--results", default=RESULTS, show_default=True, type=click.Path(path_type=Path))
def main(seconds, tools, sizes, results):
    console = Console(stderr=True)
    for tool in tools:
        for kind in KINDS:
            for size in sorted(sizes):
                net = layer(kind, size)
                name = f"{tool} / {net.name}"
                if read(results).get(name, {"unfinished": 0}).get("unfinished", seconds) < seconds:
                    try:
                        record(results, name, measure(tool, net, seconds))
                    except HwgenError as error:  # the others go on
                        console.print(f"{name} failed: {error}", markup=False)
                        continue
                    console.print(f"{name}: {read(results)[name]}", highlight=False)
                if "cost" not in read(results)[name]:
                    break
    text = tables(read(results))
    if results == RESULTS:
        write_document("spatial.growth", text)
    click.echo(text)


if __name__ == "__main__":
    main()
