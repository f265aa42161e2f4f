"""The tables of docs/mlperf_tiny.md."""

import click

from benchmarks.mlperf_tiny.networks import CLOCK, NETWORKS
from benchmarks.spatial.run import ROOT
from benchmarks.spatial.tables import table, write_document

BUILDS = {
    "tflite-reference": "int8, the reference kernels' integers",
    "exact": "int8, rational arithmetic",
    "pot4-50": "PoT 4, 50 % zeros",
    "pot4-80": "PoT 4, 80 % zeros",
}
EQUAL = (
    "network",
    "values",
    "differ from BUILTIN_REF (target tflite-reference)",
    "differ from the default kernels (target exact), in frames",
    "values of all layers",
    "differ, each layer by itself",
    "furthest from a tie, of its value",
)
HARDWARE = (
    "network",
    "",
    "layers",
    "terms",
    "multipliers, thresholds",
    "cycles a frame",
    "frames/s",
    "LUT: estimated, yosys",
    "BRAM36",
    "DSP",
    "RTL equal",
)
SHARED = ("network", "zeros", "answers as the int8 network", "the most common answer")


def document(results: dict) -> None:
    known = [name for name in NETWORKS if name in results]
    compared = [(name, results[name]["equal"]) for name in known if "equal" in results[name]]
    text = table(EQUAL, [row for name, found in compared for row in _equal(name, found)])
    rows = [
        _hardware(name, build, results[name][build]) for name in known for build in BUILDS if build in results[name]
    ]
    text += "\n" + table(HARDWARE, rows)
    compressed = [(name, build) for name in known for build in ("pot4-50", "pot4-80") if build in results[name]]
    text += "\n" + table(SHARED, [_shared(name, build, results[name][build]) for name, build in compressed])
    write_document("mlperf_tiny", text, ROOT / "docs" / "mlperf_tiny.md")
    click.echo(text)


def _equal(name: str, found: dict) -> list[tuple[str, ...]]:
    layers = found["layers"]
    furthest = f"{layers['furthest']:.1e}" if layers["differ"] else "-"
    rows = [(name, *_ends(found), f"{layers['values']:,}", f"{layers['differ']:,}", furthest)]
    if own := found.get("own"):
        rows.append((f"{name}, its own {own['exact']['frames']} inputs", *_ends(own), "", "", ""))
    return rows


def _ends(found: dict) -> tuple[str, str, str]:
    reference, exact = found["tflite-reference"], found["exact"]
    apart = f"{exact['differ']:,}, in {exact['frames_differ']:,} of {exact['frames']:,}"
    return f"{reference['values']:,}", f"{reference['differ']:,}", apart


def _hardware(name: str, build: str, found: dict) -> tuple[str, ...]:
    if "refused" in found:
        return (name, BUILDS[build], f"refused: {found['refused']}", *[""] * (len(HARDWARE) - 3))
    counted, estimate = found.get("synthesis", {}), found["estimate"]
    equal = f"{found['equal']} of {found['frames']}" if "equal" in found else found.get("failed", "-")
    return (
        name,
        BUILDS[build],
        str(found["layers"]),
        f"{found['terms']:,}",
        f"{found['by_multiplier']} of up to {found['multiplier_bits']} bits, {found['by_thresholds']}",
        f"{found['interval']:,}",
        f"{CLOCK * 1e6 / found['interval']:,.0f}",
        f"{estimate['LUT']:,.0f}, {counted.get('LUT', '-')}",
        f"{estimate['BRAM36']:g}",
        f"{estimate['DSP']:g}",
        equal,
    )


def _shared(name: str, build: str, found: dict) -> tuple[str, ...]:
    if "error" in found:
        return name, build[-2:] + " %", f"error {found['error']} % of the variance", "-"
    return name, build[-2:] + " %", f"{found['agree']} %", f"{found['common']} %"
