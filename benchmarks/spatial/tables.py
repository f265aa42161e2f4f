"""The Markdown of docs/spatial.md between its markers, from results.json and growth.json."""

from collections.abc import Callable
from pathlib import Path
from statistics import geometric_mean

from benchmarks.spatial.intnet import names
from benchmarks.spatial.run import ROOT, TOOLS

DOCUMENT, START, END = ROOT / "docs" / "spatial.md", "<!-- made by benchmarks.{} -->", "<!-- end of {} -->"


def _mapped(result: dict, key: str) -> str:
    return f"{result['mapped'][key]:,}" if "mapped" in result else "not run"


COLUMNS: dict[str, Callable[[dict], str]] = {
    "LUT, as mapped": lambda r: _mapped(r, "lut"),
    "LUT, adder model": lambda r: f"{r['adder_model']['lut']:,}" if "adder_model" in r else "not run",
    "FF": lambda r: _mapped(r, "ff"),
    "CARRY8": lambda r: _mapped(r, "carry8"),
    "depth": lambda r: _mapped(r, "depth"),
    "latency": lambda r: str(r["latency"]),
    "CPU seconds": lambda r: f"{r['cpu_seconds']:.1f}",
    "MB": lambda r: f"{r['megabytes']:,}",
}
# numerator, denominator, what
RATIOS = [
    ("hwgen", "da4ml", "as mapped", "mapped"),
    ("hwgen", "Alkaid", "adder model", "adder_model"),
    ("hwgen", "da4ml", "adder model", "adder_model"),
    ("hwgen", "Alkaid", "as mapped", "mapped"),
    ("Alkaid", "da4ml", "as mapped", "mapped"),
    ("Alkaid", "da4ml", "adder model", "adder_model"),
    ("Alkaid --no-ternary", "Alkaid", "adder model", "adder_model"),
]


def tables(results: dict) -> str:
    measured = {tool: {net: results.get(f"{tool} / {net}") for net in names()} for tool in TOOLS}
    present = [tool for tool in TOOLS if any(measured[tool].values())]
    rows = []
    for net in names():
        for tool in present:
            result = measured[tool][net]
            if result:
                rows.append((net, str(result["nonzeros"]), tool, *(cell(result) for cell in COLUMNS.values())))
    text = [table(("network", "non-zeros", "tool", *COLUMNS), rows)]
    rows = []
    for ours, theirs, what, key in RATIOS:
        both = [net for net in names() if all(key in (measured[tool][net] or {}) for tool in (ours, theirs))]
        ratios = [measured[ours][net][key]["lut"] / measured[theirs][net][key]["lut"] for net in both]
        if ratios:
            mean = f"{geometric_mean(ratios):.3f}"
            rows.append((f"{ours} / {theirs}", what, mean, f"{min(ratios):.3f}", f"{max(ratios):.3f}", str(len(both))))
    text.append(table(("LUT", "count", "geometric mean", "least", "greatest", "networks"), rows))
    return "\n".join(text)


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
