"""Synthesis, one file per tool; every tool answers with the same counts."""

from hwgen.board import Board


def table(result: dict, board: Board) -> str:
    """A Markdown table of a synthesis result against the board: units, border, sum, core, total, budget, percent.

    Percent is of the total, or of the core or the sum of the parts if the tool was given no more; of what the board has
    none, it is infinite. What it did not count is a dash. Seconds are those of the run that counted; "cached" is said
    of those before this one.
    """
    whole = next((result[key] for key in ("total", "core", "sum") if key in result), {})
    columns = list(board.resources)
    parts = [(part.get("name", "border"), part) for part in (*result.get("units", []), result.get("border")) if part]
    rows = [(name, part["resources"], _seconds(part)) for name, part in parts]
    rows += [(key, result[key], "") for key in ("sum", "core", "total") if key in result]
    rows.append((board.name, board.resources, ""))
    lines = ["| " + " | ".join(["unit", *columns, "seconds"]) + " |", "|---|" + "---:|" * (len(columns) + 1)]
    for name, counts, seconds in rows:
        lines.append("| " + " | ".join([name, *(f"{counts.get(key, '-')}" for key in columns), seconds]) + " |")
    used = [f"{board.share(key, whole[key]):.1%}" if key in whole else "-" for key in columns]
    lines.append("| " + " | ".join(["used", *used, ""]) + " |")
    return "\n".join(lines) + "\n"


def _seconds(part: dict) -> str:
    return f"{part['seconds']:g}{', cached' if part.get('cached') else ''}" if "seconds" in part else ""
