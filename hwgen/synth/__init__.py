"""Synthesis, one file per tool; every tool answers with the same counts."""

from hwgen.board import Board

# What a tool counts. LUTRAM (LUTs used as memory or shift register) is included in LUT, as Vivado reports
# them; BRAM36 counts half for a half-block.
RESOURCES = ("LUT", "LUTRAM", "MUXF7", "MUXF8", "MUXF9", "FF", "CARRY8", "BRAM36", "URAM", "DSP")


def table(result: dict, board: Board) -> str:
    """A Markdown table of a synthesis result against the board: units, core, total, budget, percent.

    Percent is of the total, or of the core if the tool was given no more. What it did not count is a dash.
    """
    whole = result.get("total", result.get("core", {}))
    columns = list(board.resources)
    rows = [(unit["name"], unit["resources"]) for unit in result.get("units", [])]
    rows += [(key, result[key]) for key in ("core", "total") if key in result]
    lines = ["| " + " | ".join(["unit", *columns]) + " |", "|---|" + "---:|" * len(columns)]
    for name, counts in [*rows, (board.name, board.resources)]:
        lines.append("| " + " | ".join([name, *(f"{counts.get(key, '-')}" for key in columns)]) + " |")
    used = [f"{whole[key] / board.resources[key]:.1%}" if key in whole else "-" for key in columns]
    lines.append("| " + " | ".join(["used", *used]) + " |")
    return "\n".join(lines) + "\n"
