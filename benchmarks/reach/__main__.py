"""Networks that people run, from float to RTL: which are exact, and where the others stop.

Each is prepared as it is written, `Recipe(activation_bits=8)`, trained for two steps, converted, built, its golden
integers held against the module in float64, and its RTL against the golden integers, 2 frames with stalls. Results are
kept beside this file; a run does what is missing there, or what is named.
"""

import json
import tempfile
import time
import traceback
import warnings
from pathlib import Path

import click
import torch
from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table

import hwgen
from benchmarks.reach.networks import NETWORKS, network
from hwgen.compress import Recipe, convert, prepare
from hwgen.errors import HwgenError

RESULTS = Path(__file__).with_name("results.json")
GOLDEN_FRAMES = 20
STAGES = ("prepare", "train", "convert", "build", "golden", "RTL")  # and "exact" behind the last


def run(name: str, simulate: bool) -> dict:
    """stage: where the network stops, or "exact"; message: why; golden, rtl: frames that are equal; distinct: output
    values; LUT: the estimate; seconds."""
    torch.manual_seed(1)
    torch.set_num_threads(1)
    result: dict = {"stage": "prepare", "message": "", "golden": 0, "rtl": 0, "distinct": 0, "LUT": 0}
    begun = time.monotonic()
    try:
        for stage, found in _stages(name, simulate):
            result |= {"stage": stage, **found}
    except HwgenError as error:
        result["message"] = str(error)
    except Exception:
        result["message"] = "CRASH " + traceback.format_exc(limit=-4)
    return result | {"seconds": round(time.monotonic() - begun, 1)}


def _stages(name: str, simulate: bool):
    """Yields the stage that comes next, and what is known."""
    model, example = network(name)
    frames = [torch.rand(GOLDEN_FRAMES, *x.shape[1:]) for x in example]
    prepared = prepare(model, Recipe(activation_bits=8, quantize_from=0.0), example)
    yield "train", {}
    optimizer = torch.optim.SGD((p for p in prepared.parameters() if p.requires_grad), 1e-3)
    prepared.train()
    for step in range(2):
        prepared.step(step / 2)
        loss = sum(y.square().mean() for y in _outputs(prepared(*frames)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    yield "convert", {}
    converted = convert(prepared)
    yield "build", {}
    with tempfile.TemporaryDirectory() as folder:
        design = hwgen.build(converted, example, out=Path(folder) / name)
        yield "golden", {"LUT": round(design.estimate()["LUT"])}
        equal, distinct = _golden(design.graph, converted, frames)
        yield "RTL" if equal == GOLDEN_FRAMES else "golden", {"golden": equal, "distinct": distinct}
        if equal < GOLDEN_FRAMES or not simulate:
            return
        shown = [x[:2].numpy() for x in frames]
        verified = hwgen.verify(Path(folder) / name, shown[0] if len(shown) == 1 else shown, stall=0.3)
        yield "exact", {"rtl": verified["equal"]}


def _outputs(y) -> list[torch.Tensor]:
    return list(y) if isinstance(y, tuple | list) else [y]


def _golden(graph, converted, frames) -> tuple[int, int]:
    """Frames whose integers are the module's numbers, and the distinct numbers among them."""
    with torch.no_grad():
        wanted = _outputs(converted.double()(*(x.double() for x in frames)))
    equal = torch.ones(len(frames[0]), dtype=torch.bool)
    for want, got in zip(wanted, graph.golden(*frames), strict=True):
        equal &= torch.tensor([torch.equal(w, g) for w, g in zip(want, got, strict=True)])
    return int(equal.sum()), sum(len(want.unique()) for want in wanted)


def first_message(result: dict) -> str:
    """The first thing that stands in the way, on one line, with where it is."""
    lines = [line.strip() for line in result["message"].splitlines()]
    if not lines:
        return ""
    if lines[0].startswith("CRASH"):
        return f"CRASH {lines[-1]}"
    told = [line for line in lines if not line.startswith(("Obstacles:", "try:"))]
    return " ".join(told[:2]).replace("|", "/")[:160]


def show(results: dict[str, dict]) -> None:
    exact = sum(result["stage"] == "exact" for result in results.values())
    table = Table("network", "stage", "exact golden", "RTL equal", "LUT", "first message", box=MARKDOWN)
    for name in NETWORKS:
        if (result := results.get(name)) is not None:
            cells = (name, result["stage"], result["golden"], result["rtl"], result["LUT"], first_message(result))
            table.add_row(*map(str, cells))
    Console(width=240).print(table)
    print(f"{exact} of {len(NETWORKS)} networks are exact in RTL")


@click.command(help=__doc__)
@click.argument("names", nargs=-1, type=click.Choice(list(NETWORKS)))
@click.option("--simulate/--no-simulate", default=True, help="Without: ends behind the golden integers.")
@click.option("--all", "everything", is_flag=True, help="Each network, whatever is known.")
def main(names: tuple[str, ...], simulate: bool, everything: bool):
    warnings.simplefilter("ignore")
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    wanted = names or [name for name in NETWORKS if everything or name not in results]
    for name in wanted:
        found = run(name, simulate)
        print(f"{name}: {found['stage']} in {found['seconds']} s\n{found['message']}", flush=True)
        results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}  # two runs may share the networks
        results[name] = found
        RESULTS.write_text(json.dumps({n: results[n] for n in NETWORKS if n in results}, indent=1) + "\n")
    show(results)


if __name__ == "__main__":
    main()
