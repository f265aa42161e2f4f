"""Synthesis, one file per tool; every tool answers with the same counts."""

from hwgen.board import Board


def table(result: dict, board: Board) -> str:
    """A Markdown table of a synthesis result against the board: units, border, sum, core, total, budget, percent; of a
    placement, which is of another device, `placed_table`.

    Percent is of the total, or of the core or the sum of the parts if the tool was given no more; of what the board has
    none, it is infinite. What it did not count is a dash. Seconds are those of the run that counted; "cached" is said
    of those before this one.
    """
    if "seeds" in result:
        return placed_table(result)
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


def placed_table(result: dict) -> str:
    """A Markdown table of what nextpnr placed: units and core, what each takes, the clock of the seeds: median, least
    and most; below it the slowest path of each, of the seed in the middle."""
    rows = [*result["units"], *([{"name": "core"} | result["core"]] if "core" in result else [])]
    columns = list(rows[0]["resources"])
    lines = ["| " + " | ".join(["unit", *columns, "MHz", "of the seeds", "seconds"]) + " |"]
    lines.append("|---|" + "---:|" * (len(columns) + 3))
    for row in rows:
        clocks = [mhz for mhz in row["fmax_by_seed"] if mhz is not None]
        spread = f"{min(clocks)} to {max(clocks)}" if clocks else "-"
        counts = [f"{row['resources'][key]}" for key in columns]
        lines.append(
            "| " + " | ".join([row["name"], *counts, f"{row['fmax_mhz'] or '-'}", spread, _seconds(row)]) + " |"
        )
    lines.append("")
    lines += [f"- {row['name']}: {slowest(row['path'])}" for row in rows if row["path"]]
    return "\n".join(lines) + "\n"


def slowest(path: dict) -> str:
    """A path that nextpnr found in words, with the ns that it takes."""
    return f"{path['ns']} ns, {path['logic_ns']} of logic and {path['routing_ns']} of routing: {path['text']}"


def _seconds(part: dict) -> str:
    return f"{part['seconds']:g}{', cached' if part.get('cached') else ''}" if "seconds" in part else ""
