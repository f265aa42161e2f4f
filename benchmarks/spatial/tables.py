"""The Markdown of docs/spatial.md between its markers, from results.json and growth.json."""

from collections.abc import Callable
from pathlib import Path
from statistics import geometric_mean

from benchmarks.spatial.intnet import names
from benchmarks.spatial.run import ROOT, TOOLS

README, DOCUMENT = ROOT / "README.md", ROOT / "docs" / "spatial.md"
START, END = "<!-- made by benchmarks.{} -->", "<!-- end of {} -->"


def _mapped(result: dict, key: str) -> str:
    return f"{result['mapped'][key]:,}" if "mapped" in result else "not run"


COLUMNS: dict[str, Callable[[dict], str]] = {
    "LUT, as mapped": lambda r: _mapped(r, "lut"),
    "LUT, adder model": lambda r: f"{r['adder_model']['lut']:,}" if "adder_model" in r else "not run",
    "FF": lambda r: _mapped(r, "ff"),
    "CARRY8": lambda r: _mapped(r, "carry8"),
    "depth": lambda r: _mapped(r, "depth"),
    "latency": lambda r: str(r["latency"]),
    "CPU seconds": lambda r: f"{r['cpu_seconds']:.2f}",
    "whole build": lambda r: f"{r['build_cpu_seconds']:.1f}" if "build_cpu_seconds" in r else "-",
    "MB": lambda r: f"{r['megabytes']:,}",
}
# what is compared: None where a result has it not
VALUES: dict[str, Callable[[dict], float | None]] = {
    "LUT, as mapped": lambda r: r.get("mapped", {}).get("lut"),
    "LUT, adder model": lambda r: r.get("adder_model", {}).get("lut"),
    "FF": lambda r: r.get("mapped", {}).get("ff"),
    "CPU seconds": lambda r: r["cpu_seconds"],
    "MB": lambda r: r["megabytes"],
}
PAIRS = [("hwgen", "da4ml"), ("hwgen", "Alkaid"), ("Alkaid", "da4ml"), ("Alkaid --no-ternary", "Alkaid")]


def tables(results: dict) -> str:
    rows = []
    for net in names():
        for tool in TOOLS:
            result = results.get(f"{tool} / {net}")
            if result:
                rows.append((net, str(result["nonzeros"]), tool, *(cell(result) for cell in COLUMNS.values())))
    text = [table(("network", "non-zeros", "tool", *COLUMNS), rows)]
    rows = []
    for what in VALUES:
        for ours, theirs in PAIRS:
            found = ratios(results, what, ours, theirs)
            if found:
                numbers = (f"{ratio:.3f}" for ratio in (geometric_mean(found), min(found), max(found)))
                rows.append((what, f"{ours} / {theirs}", *numbers, str(len(found))))
    text.append(table(("what", "ratio", "geometric mean", "least", "greatest", "networks"), rows))
    return "\n".join(text)


def ratios(results: dict, what: str, ours: str, theirs: str) -> list[float]:
    """Of a key of VALUES, on each network for which both tools have it."""
    found = [[results.get(f"{tool} / {net}") for tool in (ours, theirs)] for net in names()]
    values = [[VALUES[what](one) for one in both if one] for both in found]
    return [both[0] / both[1] for both in values if len(both) == 2 and None not in both]


def means(results: dict) -> str:
    """The geometric means of hwgen's ratios, for the README."""
    compared = [what for what in VALUES if what != "MB"]
    rows = [
        (theirs, *(f"{geometric_mean(ratios(results, what, ours, theirs)):.3f}" for what in compared))
        for ours, theirs in PAIRS
        if ours == "hwgen"
    ]
    return table(("hwgen against", *compared), rows)


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def write_document(name: str, text: str, document: Path = DOCUMENT) -> None:
    """Puts the text between the markers of benchmarks.NAME, if the document is there and has them."""
    start, end = START.format(name), END.format(name)
    if document.is_file() and start in document.read_text():
        before, _, rest = document.read_text().partition(start)
        _, _, after = rest.partition(end)
        document.write_text(f"{before}{start}\n{text}{end}{after}")
