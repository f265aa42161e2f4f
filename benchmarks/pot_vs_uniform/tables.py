"""The Markdown of docs/pot_vs_uniform.md between its markers, from results.json and accuracy.json."""

import json
from pathlib import Path
from statistics import mean

from benchmarks.pot_vs_uniform.lenet5 import RESULTS as ACCURACY
from benchmarks.pot_vs_uniform.networks import FORMATS, NAMES
from benchmarks.spatial.tables import table, write_document

README = Path(__file__).parents[2] / "README.md"
DOCUMENT = README.parent / "docs" / "pot_vs_uniform.md"
ENGINES = {
    "lut": "LUT lanes",
    "dsp": "DSP lanes",
    "mac": "MAC lanes",
    "spatial": "spatial",
    "own": "hwgen's own choice",
}
SLICES = "DSP or MAC lanes, the less for each"
WAYS = {"fold": "equal folding", "rate": "equal rate"}
GOAL = 1.4
COUNTED = ("weights", "LUT", "DSP", "BRAM36", "cycles a frame", "LUT x cycles, million", "to PoT-4")


def lut_cycles(result: dict) -> float:
    return takes(result)["LUT"] * result["cycles"]


def takes(result: dict) -> dict[str, float]:
    return result.get("counted") or result["estimate"]


def groups(known: dict, how: str) -> dict[tuple[str, str], dict[str, dict]]:
    """By network and engine, the results of all formats, where all are there; how -- fold or rate."""
    found: dict[tuple[str, str], dict[str, dict]] = {}
    for name, result in known.items():
        network, engine, way, format = name.split(" / ")
        if way == how:
            found.setdefault((network, engine), {})[format] = result
    return {key: of for key, of in found.items() if of.keys() == set(FORMATS)}


def ratio(of: dict[str, dict], format: str, value=lut_cycles) -> float:
    return value(of[format]) / value(of["pot4"])


def what(network: str) -> str:
    """The words for what results.json calls NETWORK-PERCENT-aBITS."""
    name, percent, bits = network.split("-")
    zeros = "dense" if percent == "0" else f"{percent} % zeros"
    return f"{name}, {zeros}, {bits[1:]}-bit activations"


def counts(known: dict, how: str) -> str:
    rows = []
    for (network, engine), of in groups(known, how).items():
        for format, result in of.items():
            have = takes(result)
            estimated = "" if "counted" in result else "about "
            numbers = [f"{estimated}{have['LUT']:,.0f}", f"{have['DSP']:g}", f"{have['BRAM36']:g}"]
            numbers += [f"{result['cycles']:,}", f"{lut_cycles(result) / 1e6:,.2f}", f"{ratio(of, format):.2f}x"]
            rows.append((what(network), ENGINES[engine], NAMES[format], *numbers))
    return table(("network", "engine", *COUNTED), rows)


def compared(known: dict, how: str, engine: str) -> list[dict[str, dict]]:
    """The results of all formats on an engine, or on SLICES, of each network where all are counted."""
    found = {key: of for key, of in groups(known, how).items() if all("counted" in one for one in of.values())}
    if engine != SLICES:
        return [of for (_, other), of in found.items() if other == engine]
    both = [(of, found[network, "mac"]) for (network, other), of in found.items() if other == "dsp"]
    return [{format: min(dsp[format], mac[format], key=lut_cycles) for format in FORMATS} for dsp, mac in both]


def span(ratios: list[float]) -> str:
    """Of some comparisons, least and greatest."""
    if not ratios:
        return "-"
    return f"{ratios[0]:.2f}x" if len(ratios) == 1 else f"{min(ratios):.2f}x to {max(ratios):.2f}x"


def met(ratios: list[float]) -> str:
    reached = [ratio >= GOAL for ratio in ratios]
    return "yes" if all(reached) else "in some" if any(reached) else "no"


def where(known: dict) -> str:
    """LUT x cycles of the other formats, those of PoT-4 being 1, by engine, over all that is counted."""
    rows = []
    for engine, words in (ENGINES | {SLICES: SLICES}).items():
        for how, way in WAYS.items():
            if found := compared(known, how, engine):
                ratios = [[round(ratio(of, format), 2) for of in found] for format in FORMATS[1:]]
                rows.append((words, way, str(len(found)), *map(span, ratios), " / ".join(map(met, ratios))))
    others = [NAMES[format] for format in FORMATS[1:]]
    return table(("engine", "at", "networks", *others, f"{GOAL}x or more, against {' / '.join(others)}"), rows)


def toggles(known: dict) -> str:
    rows = []
    for (network, engine), of in groups(known, "fold").items():
        for format, result in of.items():
            if all("toggles" in one for one in of.values()):
                found = result["toggles"]
                rate = found["toggles"] / found["cycles"]
                numbers = [f"{found['nets']:,}", f"{found['toggles'] / 1e6:,.2f}", f"{rate:,.0f}"]
                more = ratio(of, format, lambda one: one["toggles"]["toggles"])
                rows.append((what(network), ENGINES[engine], NAMES[format], *numbers, f"{more:.2f}x"))
    head = ("network", "engine", "weights", "nets", "toggles a frame, million", "toggles a cycle", "to PoT-4")
    return table(head, rows)


def accuracy() -> str:
    known = json.loads(ACCURACY.read_text())
    rows = []
    for percent in (50, 90):
        for format in FORMATS:
            found = [one for name, one in known.items() if name.startswith(f"{format}-{percent}-")]
            each = ", ".join(f"{one['accuracy']:.2f}" for one in found)
            numbers = [f"{mean(one['accuracy'] for one in found):.2f}", each, f"{found[0]['float']:.2f}"]
            sizes = [f"{mean(one['zeros'] for one in found):.1%}", f"{mean(one['terms'] for one in found):,.0f}"]
            rows.append((NAMES[format], f"{percent} %", *numbers, *sizes))
    head = ("weights", "asked to be zero", "accuracy, %", "by seed", "float, %", "zeros", "terms")
    return table(head, rows)


def text(known: dict) -> str:
    """All tables of the document."""
    parts = [
        ("Where it holds", where(known)),
        *((f"At {how}", counts(known, way)) for way, how in WAYS.items()),
        ("Toggles", toggles(known)),
        ("Accuracy", accuracy()),
    ]
    return "\n".join(f"### {title}\n\n{part}" for title, part in parts)


def write(known: dict) -> str:
    """Writes the tables into the document, the first one into the README too, and returns them."""
    write_document("pot_vs_uniform", text(known), DOCUMENT)
    write_document("pot_vs_uniform", where(known), README)
    return text(known)
