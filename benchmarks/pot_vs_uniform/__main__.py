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
from hwgen.manifest import read_manifest
from hwgen.synth import yosys

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
COUNTS = ("LUT", "FF", "CARRY8", "BRAM36", "DSP")
LANES = 16
RATES = {"convolution": (10_000,), "lenet5": (30_000,), "resnet8": (2_000, 20_000)}  # frames/s
CLOCK = 250  # MHz, assumed
FRAMES = 4  # whose toggles are counted


@dataclass(frozen=True)
class Case:
    """engine -- the kind of lanes, or spatial
    rate -- frames/s that all are asked for; 0: equal folding
    counted -- by yosys, the "whole" flattened or its "parts" one by one; else it is hwgen's estimate"""

    network: str
    percent: int
    bits: int
    engine: str
    format: str
    rate: int = 0
    counted: str = "whole"
    toggles: bool = False

    def __str__(self) -> str:
        way = f"{self.rate}/s" if self.rate else "fold"
        return " / ".join([f"{self.network}-{self.percent}-a{self.bits}", self.engine, way, self.format])


KINDS = ("lut", "dsp", "mac")


def cases() -> list[Case]:
    """In the order in which they are done: PoT-4, whose folds the others take, before them."""
    layer, lenet, resnet = ("convolution", 50, 8), ("lenet5", 90, 4), ("resnet8", 50, 4)
    found: list[tuple[tuple[str, int, int], str, int, str, bool]]  # network, and what a Case says behind the format
    found = [(layer, engine, 0, "whole", engine != "spatial") for engine in (*KINDS, "spatial")]
    found.append((("convolution8", 50, 8), "spatial", 0, "whole", True))  # the other takes Verilator minutes
    found += [(lenet, engine, 0, "whole", engine == "lut") for engine in KINDS]
    found += [(net, engine, RATES[net[0]][0], "whole", False) for net in (layer, lenet) for engine in KINDS]
    found += [(("convolution", 50, 4), engine, 0, "whole", False) for engine in (*KINDS, "spatial")]
    found += [(("convolution", 0, 8), engine, 0, "whole", False) for engine in KINDS]
    found += [(resnet, engine, 0, "parts", False) for engine in KINDS]
    found.append((lenet, "spatial", 0, "parts", False))
    found += [(resnet, engine, rate, "", False) for rate in RATES["resnet8"] for engine in KINDS]
    found += [(net, "spatial", 0, "", False) for net in (("convolution", 0, 8), resnet)]
    return [
        Case(*network, engine, format, rate, counted, toggles)
        for network, engine, rate, counted, toggles in found
        for format in FORMATS
    ]


def read_results() -> dict[str, dict]:
    return json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}


def folds_of(manifest: dict) -> dict[str, tuple[int, int]]:
    """(lanes, groups) of each stage on lanes."""
    choices = manifest["choices"].items()
    return {name: (one["lanes"], one["groups"]) for name, one in choices if one["engine"] == "lanes"}


def run(case: Case, folder: Path, folds: dict | None) -> dict:
    """Builds a case and counts it; folds -- by stage, those of the powers of two, for the others."""
    spatial = case.engine == "spatial"
    config = BuildConfig(name="net", engine="spatial" if spatial else "lanes")
    if case.rate:
        config = replace(config, fps=case.rate, clock=CLOCK)
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
    if case.counted == "parts":
        found = yosys.synthesize(folder, top=manifest["core"], whole=False)["sum"]
        result["counted"] = {key: found[key] for key in COUNTS}
    elif case.counted:
        unit = units[0]["name"] if len(units) == 1 else None
        netlist = synthesize(folder, unit)
        result["counted"] = {key: netlist.counts[key] for key in COUNTS}
        if case.toggles:
            result["toggles"] = asdict(measure(folder, unit, netlist.path, frames(case.network, FRAMES)))
    return result


@click.command(help=__doc__)
@click.option("--only", default="*", help="Cases that match this pattern, as '* / lut / fold / *'.")
@click.option("--again", is_flag=True, help="Also those that are in results.json.")
@click.option("--estimate", is_flag=True, help="Count nothing: a later run counts what has estimates only.")
def main(only, again, estimate):
    console = Console(stderr=True)
    known = read_results()
    for case in cases():
        name, case = str(case), replace(case, counted="") if estimate else case
        done = name in known and ("counted" in known[name] or not case.counted)
        if not fnmatch.fnmatchcase(name, only) or (done and not again):
            continue
        start = time.monotonic()
        folds = None
        if not case.rate and case.engine != "spatial" and case.format != FORMATS[0]:
            folds = known[name.replace(case.format, FORMATS[0])]["folds"]
        with tempfile.TemporaryDirectory() as folder:
            result = run(case, Path(folder) / "net", folds)
        known = read_results() | {name: result}
        known = {str(one): known[str(one)] for one in cases() if str(one) in known}
        RESULTS.write_text(json.dumps(known, indent=1) + "\n")
        console.print(f"{name}: {result.get('counted', result['estimate'])}, {time.monotonic() - start:.0f} s")
    click.echo(write(known))


if __name__ == "__main__":
    main()
