"""Powers of two against uniform weights on the same hardware: docs/pot_vs_uniform.md.

The same convolution, LeNet-5 and ResNet-8 with weights of each format, on each engine, at equal folding and at an equal
rate: what yosys counts, cycles, and how often the nets of the netlist change. A case that is in results.json is not
done again, so the command may be stopped at any time; the tables of the document are made from that file.
"""

import fnmatch
import json
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click
from rich.console import Console

from benchmarks.kinds import lanes_of
from benchmarks.netlist import synthesize
from benchmarks.pot_vs_uniform.networks import FORMATS, frames, model
from benchmarks.pot_vs_uniform.tables import write
from benchmarks.pot_vs_uniform.toggles import measure
from hwgen import BuildConfig, build
from hwgen.flow import read_manifest

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
COUNTS = ("LUT", "FF", "CARRY8", "BRAM36", "DSP")
LANES = 16
FPS = {"convolution": 10_000, "lenet5": 30_000, "resnet8": 2_000}
CLOCK = 250  # MHz, assumed
FRAMES = 4  # whose toggles are counted


@dataclass(frozen=True)
class Case:
    """engine -- the kind of lanes, or spatial
    rate -- equal frames/s, not equal folding
    counted -- by yosys, not hwgen's estimate"""

    network: str
    percent: int
    bits: int
    engine: str
    format: str
    rate: bool = False
    counted: bool = True
    toggles: bool = False

    def __str__(self) -> str:
        return " / ".join(
            [f"{self.network}-{self.percent}-a{self.bits}", self.engine, "rate" if self.rate else "fold", self.format]
        )


KINDS = ("lut", "dsp", "mac")


def cases() -> list[Case]:
    """In the order in which they are done: PoT-4, whose folds the others take, before them."""
    layer, lenet, resnet = ("convolution", 50, 8), ("lenet5", 90, 4), ("resnet8", 50, 4)
    found = [(layer, engine, False, True, engine != "spatial") for engine in (*KINDS, "spatial")]
    found.append((("convolution8", 50, 8), "spatial", False, True, True))  # the other takes Verilator minutes
    found += [(lenet, engine, False, True, engine == "lut") for engine in KINDS]
    for other in (("convolution", 0, 8), ("convolution", 50, 4)):
        found += [(other, engine, False, engine != "spatial", False) for engine in ("lut", "dsp", "spatial")]
    found += [(network, engine, True, True, False) for network in (layer, lenet) for engine in KINDS]
    found += [(resnet, engine, False, engine == "lut", False) for engine in (*KINDS, "spatial")]
    found += [(resnet, engine, True, False, False) for engine in KINDS]
    found.append((lenet, "spatial", False, False, False))
    return [Case(*network, engine, format, *rest) for network, engine, *rest in found for format in FORMATS]


def folds_of(manifest: dict) -> dict[str, tuple[int, int]]:
    """(lanes, groups) of each stage on lanes."""
    choices = manifest["choices"].items()
    return {name: (one["lanes"], one["groups"]) for name, one in choices if one["engine"] == "lanes"}


def run(case: Case, folder: Path, folds: dict | None) -> dict:
    """Builds a case and counts it; folds -- by stage, those of the powers of two, for the others."""
    spatial = case.engine == "spatial"
    config = BuildConfig(name="net", engine="spatial" if spatial else "lanes")
    if case.rate:
        config = replace(config, fps=FPS[case.network], clock=CLOCK)
    elif not spatial:
        config = replace(config, lanes=LANES)
    network, example = model(case.network, case.format, case.percent, case.bits)
    with lanes_of(case.engine, folds):
        build(network, example, out=folder, config=config)
    manifest = read_manifest(folder)
    units = manifest["units"]
    if case.network.startswith("convolution"):  # behind it stands a reordering, which a network has once at its border
        units = [next(unit for unit in units if unit["kind"] in ("term_lanes", "adder_graph"))]
    estimate = {key: sum(unit["estimate"].get(key, 0) for unit in units) for key in ("LUT", "BRAM36", "DSP")}
    result = {
        "cycles": units[0]["cycles"] if len(units) == 1 else manifest["interval"],
        "estimate": {key: round(number, 1) for key, number in estimate.items()},
        "folds": {} if spatial else folds_of(manifest),
    }
    if case.counted:
        unit = units[0]["name"] if len(units) == 1 else None
        netlist = synthesize(folder, unit)
        result["counted"] = {key: netlist.counts[key] for key in COUNTS}
        if case.toggles:
            result["toggles"] = asdict(measure(folder, unit, netlist.path, frames(case.network, FRAMES)))
    return result


@click.command(help=__doc__)
@click.option("--only", default="*", help="Cases that match this pattern, as '* / lut / fold / *'.")
@click.option("--again", is_flag=True, help="Also those that are in results.json.")
def main(only, again):
    console = Console(stderr=True)
    known = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    for case in cases():
        name = str(case)
        if not fnmatch.fnmatchcase(name, only) or (name in known and not again):
            continue
        start = time.monotonic()
        folds = None
        if not case.rate and case.engine != "spatial" and case.format != FORMATS[0]:
            folds = known[name.replace(case.format, FORMATS[0])]["folds"]
        with tempfile.TemporaryDirectory() as folder:
            known[name] = run(case, Path(folder) / "net", folds)
        RESULTS.write_text(json.dumps(known, indent=1) + "\n")
        console.print(
            f"{name}: {known[name].get('counted', known[name]['estimate'])}, {time.monotonic() - start:.0f} s"
        )
    click.echo(write(known))


if __name__ == "__main__":
    main()
