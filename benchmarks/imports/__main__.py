"""Networks that other tools quantized, imported: accuracy and outputs beside the tool's own, widths of multipliers,
area and cycles beside the same network in powers of two. Results are kept beside this file, and go into docs/import.md.

The networks are trained on scikit-learn's digits, 1,400 of the images; the other 397 are the test. Areas and cycles are
the estimates of `hwgen build` with its defaults.
"""

import fnmatch
import json
import tempfile
import time
import traceback
import warnings
from pathlib import Path

import click
import numpy as np
import torch

from benchmarks.imports.cases import CASES, Case
from benchmarks.imports.compressed import powers_of_two
from benchmarks.imports.networks import NETWORKS, digits
from benchmarks.spatial.run import ROOT
from benchmarks.spatial.tables import table, write_document
from hwgen import BuildConfig, build, verify
from hwgen.found import bit_lengths, multipliers
from hwgen.frontend import read_model
from hwgen.ir import Graph
from hwgen.load import load
from hwgen.passes import run_passes
from hwgen.target import Target

RESULTS = Path(__file__).with_name("results.json")
NOISE = 2.0**-18  # of the greatest output
RTL_FRAMES, RTL_OF = 3, ("residual",)  # the networks whose RTL is simulated
HEAD = (
    *(
        "tool",
        "network",
        "layers",
        "accuracy, tool",
        "hwgen",
        "outputs that differ",
        "tool in float64",
        "by its target",
    ),
    *("multipliers, bits", "LUT", "DSP", "BRAM36", "cycles", "RTL"),
)
OWN = ("network", "layers", "accuracy, float", "powers of two", "LUT", "DSP", "BRAM36", "cycles")


def measured(case: Case, rtl: bool) -> dict:
    """What a case gives."""
    x, labels = (values.numpy() for values in digits()[2:])
    frames = np.ascontiguousarray(x.transpose(0, 2, 3, 1)) if case.network.startswith("keras") else x
    with tempfile.TemporaryDirectory() as name:
        path, run, run64 = case.write(case.network, Path(name))
        theirs = np.asarray(run(x), np.float64)
        result = {"frames": len(x), "accuracy_tool": _accuracy(theirs, labels)}
        for target in dict.fromkeys(("exact", case.target)):
            graph, notes = read_model(*load(str(path), target), BuildConfig(target=target).requantization)
            graph = run_passes(graph)
            ours = _evaluated(graph, frames)
            result[f"differ_{target}"] = _differing(ours, theirs)
            result[f"departs_{target}"] = sum(note.departs for note in notes)
            if target == "exact":
                factors = np.concatenate([np.zeros(0, np.int64), *(multipliers(n.op, n.operands) for n in notes)])
                result["differ_float64"] = _differing(ours, run64(x))
                result |= {
                    "accuracy": _accuracy(ours, labels),
                    "layers": sum(node.op.has_weights for node in graph.nodes),
                    "outputs": ours.size,
                    "accumulators": sum(note.of for note in notes),
                    "bits": sorted(bit_lengths(factors).tolist()),
                }
        return result | _built(path, Path(name) / "net", rtl, frames)


def _evaluated(graph: Graph, x: np.ndarray) -> np.ndarray:
    """The floats of the only output."""
    (y,) = graph.golden(torch.from_numpy(x))
    return y.numpy()


def _differing(ours: np.ndarray, theirs: np.ndarray) -> int:
    """Outputs that are further apart than float32 rounds the last layer's sums: a level inside makes more."""
    return int((abs(ours - theirs) > NOISE * abs(theirs).max()).sum())


def _accuracy(y: np.ndarray, labels: np.ndarray) -> float:
    return float((y.argmax(1) == labels).mean())


def _built(net: Path | torch.nn.Module, out: Path, rtl: bool, x: np.ndarray) -> dict:
    """Estimates of a build, and frames of which the RTL, with stalls, gives the golden integers."""
    model = load(str(net)) if isinstance(net, Path) else (net, (torch.from_numpy(x[:1]),))
    design = build(*model, out=out, config=BuildConfig())
    result = {name: round(number, 1) for name, number in design.estimate().items()}
    result["cycles"] = json.loads((out / "hwgen.json").read_text())["interval"]
    if rtl:
        result["rtl"] = verify(out, x[:RTL_FRAMES], stall=0.3)["equal"]
    return result


def compressed(name: str) -> dict:
    """A network in powers of two."""
    x, labels = (values.numpy() for values in digits()[2:])
    network, floats = powers_of_two(name)
    with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
        result = {"accuracy": _accuracy(network(torch.from_numpy(x)).numpy(), labels)}
        result["accuracy_float"] = _accuracy(floats(torch.from_numpy(x)).numpy(), labels)
        graph, _ = read_model(network, (torch.from_numpy(x[:1]),), Target())
        result["layers"] = sum(node.op.has_weights for node in graph.nodes)
        return result | _built(network, Path(folder) / "net", False, x)


def _row(case: Case, found: dict) -> tuple[str, ...]:
    if "failed" in found:
        return (f"{case.tool} {case.form}", case.network, found["failed"], *[""] * (len(HEAD) - 3))
    bits = found["bits"]
    middle = f"{bits[0]} / {np.median(bits):g} / {bits[-1]}" if bits else "shifts only"
    others = ("float64", case.target if case.target != "exact" else "-")
    own = [f"{found[f'differ_{other}']:,}" if f"differ_{other}" in found else "-" for other in others]
    return (
        f"{case.tool} {case.form}",
        case.network,
        str(found["layers"]),
        f"{found['accuracy_tool']:.2%}",
        f"{found['accuracy']:.2%}",
        f"{found['differ_exact']:,} of {found['outputs']:,}",
        *own,
        middle,
        f"{found['LUT']:,.0f}",
        f"{found.get('DSP', 0):g}",
        f"{found.get('BRAM36', 0):g}",
        f"{found['cycles']:,}",
        f"{found['rtl']} of {RTL_FRAMES}" if "rtl" in found else "-",
    )


def _own_row(name: str, found: dict) -> tuple[str, ...]:
    shares = (f"{found[key]:.2%}" for key in ("accuracy_float", "accuracy"))
    areas = (f"{found.get(key, 0):,.10g}" for key in ("LUT", "DSP", "BRAM36"))
    return (name, str(found["layers"]), *shares, *areas, f"{found['cycles']:,}")


def _summary(found: list[dict]) -> str:
    found = [each for each in found if "failed" not in each]
    outputs, differ, exact = (sum(each[key] for each in found) for key in ("outputs", "differ_exact", "differ_float64"))
    bits = np.concatenate([each["bits"] for each in found])
    return (
        f"{len(found)} imports: of {outputs:,} outputs {differ:,} differ from the tools' float32, {exact:,} from "
        f"float64. {len(bits):,} multipliers, of {np.median(bits):g} bits in the middle, at most {bits.max():g}.\n"
    )


def attempt(key: str, results: dict, work) -> None:
    """Does a piece of work, and keeps what comes of it."""
    start = time.monotonic()
    try:
        results[key] = work()
    except Exception as error:
        results[key] = {"failed": (str(error).splitlines() or [type(error).__name__])[0][:100]}
        click.echo(traceback.format_exc(limit=-3), err=True)
    results[key]["seconds"] = round(time.monotonic() - start, 1)
    RESULTS.write_text(json.dumps(dict(sorted(results.items())), indent=1) + "\n")
    click.echo(f"{key}: {results[key]}", err=True)


@click.command(help=__doc__)
@click.option("--only", default="*", help="Cases that match this pattern, such as 'onnxruntime*: plain'.")
@click.option("--again", is_flag=True, help="Also those whose results are known.")
@click.option("--rtl/--no-rtl", default=True, help="Whether RTL is simulated on Verilator, with stalls.")
def main(only: str, again: bool, rtl: bool):
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    works = {str(case): lambda case=case: measured(case, rtl and case.network in RTL_OF) for case in CASES}
    works |= {f"powers of two: {name}": lambda name=name: compressed(name) for name in NETWORKS}
    for key, work in works.items():
        if fnmatch.fnmatch(key, only) and (again or key not in results or "failed" in results[key]):
            attempt(key, results, work)
    text = table(HEAD, [_row(case, results[str(case)]) for case in CASES if str(case) in results])
    own = [(name, results[f"powers of two: {name}"]) for name in NETWORKS if f"powers of two: {name}" in results]
    text += "\n" + table(OWN, [_own_row(*each) for each in own])
    text += "\n" + _summary([results[str(case)] for case in CASES if str(case) in results])
    write_document("imports", text, ROOT / "docs" / "import.md")
    click.echo(text)


if __name__ == "__main__":
    main()
