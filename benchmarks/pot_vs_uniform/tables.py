"""The Markdown of docs/pot_vs_uniform.md between its markers, from results.json and accuracy.json."""

import json
from pathlib import Path
from statistics import mean

from benchmarks.pot_vs_uniform.lenet5 import RESULTS as ACCURACY
from benchmarks.pot_vs_uniform.networks import FORMATS, NAMES
from benchmarks.spatial.tables import table, write_document

DOCUMENT = Path(__file__).parents[2] / "docs" / "pot_vs_uniform.md"
ENGINES = {"lut": "LUT lanes", "dsp": "DSP lanes", "mac": "MAC lanes", "spatial": "spatial"}
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


def where(known: dict) -> str:
    """Whether PoT-4 is GOAL times better, by engine, over all that is counted."""
    rows = []
    for engine, words in ENGINES.items():
        for format in FORMATS[1:]:
            ratios = [
                ratio(of, format)
                for how in ("fold", "rate")
                for (_, other), of in groups(known, how).items()
                if other == engine and all("counted" in result for result in of.values())
            ]
            if ratios:
                least, most = round(min(ratios), 2), round(max(ratios), 2)
                met = "yes" if least >= GOAL else "no" if most < GOAL else "in some"
                rows.append((words, NAMES[format], f"{least:.2f}x to {most:.2f}x", str(len(ratios)), met))
    return table(("engine", "against", "LUT x cycles", "comparisons", f"{GOAL}x or more"), rows)


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


def write(known: dict) -> str:
    """Writes the tables into the document, and returns them."""
    parts = [
        ("Where it holds", where(known)),
        ("At equal folding", counts(known, "fold")),
        ("At an equal rate", counts(known, "rate")),
        ("Toggles", toggles(known)),
        ("Accuracy", accuracy()),
    ]
    text = "\n".join(f"### {title}\n\n{part}" for title, part in parts)
    write_document("pot_vs_uniform", text, DOCUMENT)
    return text
