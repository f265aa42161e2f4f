"""Powers of two against uniform weights on the same hardware: docs/pot_vs_uniform.md.

The same convolution, LeNet-5 and ResNet-8 with weights of each format, on each engine, at equal folding and at an equal
rate: what yosys counts, cycles, and how often the nets of the netlist change. A case that is in results.json is not
done again, so the command may be stopped at any time; the tables of the document are made from that file. With --again
each is built, and what its netlist depends on is compared: where that is what was counted before, counts stay.
"""

import fnmatch
import hashlib
import importlib.metadata
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
from hwgen.board import read_board
from hwgen.manifest import read_manifest
from hwgen.synth import yosys
from hwgen.synth.parts import parts_of

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


def sources(folder: Path, units: list[str], whole: bool) -> str:
    """SHA-256 of all that the netlist of these units, or of the whole core, depends on."""
    manifest = read_manifest(folder)
    tool = [importlib.metadata.version("pyosys"), read_board(folder, manifest).device.yosys]
    parts = parts_of(folder, manifest, manifest["core"], whole)
    keys = [parts[-1].key(tool)] if whole else [part.key(tool) for part in parts if part.name in units]
    return hashlib.sha256("".join(keys).encode()).hexdigest()


def run(case: Case, folder: Path, folds: dict | None, before: dict) -> dict:
    """Builds a case and counts it.

    folds -- by stage, those of the powers of two, for the others
    before -- what is known of the case, whose counts stay where the netlist is the same
    """
    _build(case, folder, folds)
    manifest = read_manifest(folder)
    units = manifest["units"]
    if case.network.startswith("convolution"):  # behind it stands a reordering, which a network has once at its border
        units = [next(unit for unit in units if unit["kind"] in ("term_lanes", "adder_graph"))]
    estimate = {key: sum(unit["estimate"].get(key, 0) for unit in units) for key in ("LUT", "BRAM36", "DSP")}
    result = {
        "cycles": units[0]["cycles"] if len(units) == 1 else manifest["interval"],
        "estimate": {key: round(number, 1) for key, number in estimate.items()},
        "folds": {} if case.engine == "spatial" else folds_of(manifest),
    }
    if not case.counted:
        return result
    whole = case.counted == "whole" and len(units) > 1
    result["sources"] = sources(folder, [unit["name"] for unit in units], whole)
    if before.get("sources") == result["sources"] and ("toggles" in before or not case.toggles):
        return result | {key: before[key] for key in ("counted", "toggles") if key in before}
    return result | _counted(case, folder, None if whole else units[0]["name"])


def _build(case: Case, folder: Path, folds: dict | None) -> None:
    spatial = case.engine == "spatial"
    config = BuildConfig(name="net", engine="spatial" if spatial else "lanes")
    if case.rate:
        config = replace(config, fps=case.rate, clock=CLOCK)
    elif not spatial:
        config = replace(config, lanes=LANES)
    network, example = model(case.network, case.format, case.percent, case.bits)
    with lanes_of(case.engine, folds):
        build(network, example, out=folder, config=config)


def _counted(case: Case, folder: Path, unit: str | None) -> dict:
    """What yosys counts, and the toggles; unit -- the only one, or None: the core."""
    if case.counted == "parts":
        found = yosys.synthesize(folder, top=read_manifest(folder)["core"], whole=False)["sum"]
        return {"counted": {key: found[key] for key in COUNTS}}
    netlist = synthesize(folder, unit)
    counted = {"counted": {key: netlist.counts[key] for key in COUNTS}}
    if not case.toggles:
        return counted
    return counted | {"toggles": asdict(measure(folder, unit, netlist.path, frames(case.network, FRAMES)))}


@click.command(help=__doc__)
@click.option("--only", default="*", help="Cases that match this pattern, as '* / lut / fold / *'.")
@click.option(
    "--again", is_flag=True, help="Also those that are in results.json, counted where the netlist is another."
)
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
            result = run(case, Path(folder) / "net", folds, known.get(name, {}))
        known = read_results() | {name: result}
        known = {str(one): known[str(one)] for one in cases() if str(one) in known}
        RESULTS.write_text(json.dumps(known, indent=1) + "\n")
        console.print(f"{name}: {result.get('counted', result['estimate'])}, {time.monotonic() - start:.0f} s")
    click.echo(write(known))


if __name__ == "__main__":
    main()
