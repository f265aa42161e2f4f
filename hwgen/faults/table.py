"""What came of flips, counted: with confidence intervals, as a table and as a picture."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scipy.stats import binomtest

from hwgen.faults.sites import KINDS, Site, Sites
from hwgen.folder import write_record, write_text

# from harmless to worst; a flip counts as the worst that it did to any frame
OUTCOMES = {
    "masked": "all integers are right",
    "integers": "another integer, the same class in all frames",
    "class": "another class in some frame",
    "hang": "fewer words than expected in twice the time",
}
COLOURS = ("#d9d9d9", "#fdcc8a", "#e34a33", "#7a0177")
CONFIDENCE = 0.95
COUNTS = ("flips", *OUTCOMES, "detected", "repaired")
HEAD = ("where", "flips", "masked", "other\nintegers", "other\nclass", "hang", "detected", "repaired", "wrong, %")


@dataclass(frozen=True)
class Outcome:
    """What a flip did.

    outcome  one of OUTCOMES
    stays    whether the last sample that was looked at is wrong too
    detected  whether a register told it
    repaired  whether one told that it was put right
    engine   golden or rtl: which told it
    """

    index: int
    outcome: str
    stays: bool
    detected: bool
    repaired: bool
    engine: str


def summary(rows: Sequence[tuple[Site, str, Outcome]], sites: Sites) -> dict:
    """The counts of all flips, and of each kind by layer and by field."""
    bits: dict[tuple[str, str], int] = {}
    for site in sites.chosen:
        bits[site.kind, site.layer] = bits.get((site.kind, site.layer), 0) + site.bits
    by_layer, by_field = [], []
    for (kind, layer), count in sorted(bits.items(), key=lambda item: list(KINDS).index(item[0][0])):
        chosen = [outcome for site, _, outcome in rows if (site.kind, site.layer) == (kind, layer)]
        by_layer.append({"kind": kind, "layer": layer, "bits": count} | counted(chosen))
    fields = sorted({(site.kind, field) for site, field, _ in rows})
    for kind, field in fields:
        chosen = [outcome for site, name, outcome in rows if (site.kind, name) == (kind, field)]
        by_field.append({"kind": kind, "field": field} | counted(chosen))
    outcomes = [outcome for *_, outcome in rows]
    kinds = [
        {"kind": kind} | counted([outcome for site, _, outcome in rows if site.kind == kind])
        for kind in KINDS
        if kind in sites.kinds
    ]
    engines = {name: sum(outcome.engine == name for outcome in outcomes) for name in ("golden", "rtl")}
    return {"engines": engines, "total": counted(outcomes), "kinds": kinds, "layers": by_layer, "fields": by_field}


def counted(outcomes: Iterable[Outcome]) -> dict:
    """How many of each outcome; stays, detected, repaired and silent (wrong and not detected); and the shares, with
    intervals, of those that are wrong, of those that change a class or hang, and of the silent ones."""
    outcomes = list(outcomes)
    count = len(outcomes)
    found = {name: sum(one.outcome == name for one in outcomes) for name in OUTCOMES}
    wrong = count - found["masked"]
    silent = sum(one.outcome != "masked" and not one.detected for one in outcomes)
    return {
        "flips": count,
        **found,
        "stays": sum(one.stays for one in outcomes),
        "detected": sum(one.detected for one in outcomes),
        "repaired": sum(one.repaired for one in outcomes),
        "silent": silent,
        "wrong_share": share(wrong, count),
        "grave_share": share(found["class"] + found["hang"], count),
        "silent_share": share(silent, count),
    }


def share(part: int, count: int) -> list[float]:
    """The share, and the ends of its interval: Clopper and Pearson's, which never promises too much; 0 to 1 of none."""
    if count == 0:
        return [0.0, 0.0, 1.0]
    interval = binomtest(part, count).proportion_ci(CONFIDENCE, method="exact")
    return [part / count, float(interval.low), float(interval.high)]


def percent(values: Sequence[float]) -> str:
    """A share and its interval."""
    return f"{100 * values[0]:.1f} ({100 * values[1]:.1f}-{100 * values[2]:.1f})"


def tables(result: dict) -> dict[str, list[tuple[str, ...]]]:
    """The rows of the tables by kind, by layer and by field, under HEAD; what no flip met is left out."""
    found: dict[str, list[tuple[str, ...]]] = {}
    for title, key in (("kind", "kinds"), ("layer", "layers"), ("field", "fields")):
        rows = [row for row in result[key] if row["flips"]]
        found[title] = [
            (
                row["kind"] if title == "kind" else f"{row['kind']}: {row[title]}",
                *(f"{row[name]:,}" for name in COUNTS),
                percent(row["wrong_share"]),
            )
            for row in rows
        ]
    return found


def save(result: dict, folder: Path) -> None:
    """faults.json, faults.md and faults.svg in a folder."""
    write_record(folder / "faults.json", result)
    lines = [f"{result['flips']:,} flips, seed {result['seed']}, {result['frames']:,} frames"]
    for rows in tables(result).values():
        lines += ["", f"| {' | '.join(HEAD)} |".replace("\n", " "), "|---|" + "--:|" * (len(HEAD) - 1)]
        lines += [f"| {' | '.join(row)} |" for row in rows]
    write_text(folder / "faults.md", "\n".join(lines) + "\n")
    write_text(folder / "faults.svg", picture(result))


def picture(result: dict) -> str:
    """The outcomes of each kind and layer, as SVG: bars of shares, and the interval of those that are wrong."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    rows = [row for row in result["layers"] if row["flips"]][::-1]
    figure = Figure(figsize=(8, 1.2 + 0.28 * len(rows)), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    names = [f"{row['kind']}: {row['layer']}, {row['flips']:,} flips" for row in rows]
    left = [0.0] * len(rows)
    for name, colour in reversed([*zip(OUTCOMES, COLOURS, strict=True)]):
        if name == "masked":
            continue
        widths = [100 * row[name] / row["flips"] for row in rows]
        axes.barh(names, widths, left=left, color=colour, label=name)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    ends = [[100 * abs(row["wrong_share"][i] - row["wrong_share"][0]) for row in rows] for i in (1, 2)]
    axes.errorbar(left, names, xerr=ends, fmt="none", ecolor="black", elinewidth=0.8, capsize=2)
    axes.set_xlabel(f"% of flips that change an output, with its {CONFIDENCE:.0%} interval")
    axes.set_xlim(0, 100)
    axes.grid(visible=True, axis="x", alpha=0.3)
    axes.legend(loc="lower right")
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()
