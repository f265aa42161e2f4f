"""The figures of docs/import.md are those that the benchmark kept, and none of them is a difference in float64."""

import json
from pathlib import Path

ROOT = Path(__file__).parent.parent
RESULTS = json.loads((ROOT / "benchmarks" / "imports" / "results.json").read_text())


def test_every_import_is_exact():
    imported = {key: found for key, found in RESULTS.items() if not key.startswith("powers of two")}
    assert len({key.partition(",")[0] for key in imported}) == 5 and len(imported) >= 40
    for key, found in imported.items():
        assert found["differ_float64"] == 0, key
        assert found.get("rtl", 3) == 3 and abs(found["accuracy"] - found["accuracy_tool"]) < 0.01, key
        if "differ_onnxruntime" in found:
            assert found["differ_onnxruntime"] == 0, key
    assert sum("rtl" in found for found in imported.values()) >= 8


def test_the_document_has_these_figures():
    text = (ROOT / "docs" / "import.md").read_text()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    for key, found in RESULTS.items():
        case, _, network = key.rpartition(": ")
        first = [network] if case == "powers of two" else [case.replace(", ", " "), network]
        (row,) = [row for row in rows if row[: len(first)] == first and len(row) > 5]
        for figure in (f"{found['accuracy']:.2%}", f"{found['LUT']:,.0f}", f"{found['cycles']:,}"):
            assert figure in row, key
