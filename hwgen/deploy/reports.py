"""What Vivado reported of a kit's bitstream, read back."""

import json
from pathlib import Path

from hwgen.board import Board, read_board
from hwgen.deploy.kit import read_kit
from hwgen.errors import BadInput
from hwgen.folder import write_text
from hwgen.synth import vivado


def report_kit(kit: str | Path) -> tuple[dict, str]:
    """Writes report.json into the kit: resources of the whole design and of the network, slacks, watts; returns it, and
    a table. Raises BadInput where `kit` is none or holds no reports, ToolFailed where one is not what it should be."""
    kit = Path(kit)
    known = read_kit(kit)
    board = read_board(kit / "vivado", known)
    design = vivado.parse_utilization(_text(kit, "utilization"), board.device)
    rows = vivado.parse_hierarchy(_text(kit, "hierarchy"))
    network = next((row["resources"] for row in rows if row["module"] == known["top"]), None)
    timing = vivado.parse_slacks(_text(kit, "timing"))
    found = {
        "name": known["name"],
        "build_id": known["build_id"],
        "clock_mhz": known["clock_mhz"],
        "design": design,
        "network": network,
        "timing": timing,
        "watts": vivado.parse_power(_text(kit, "power")),
    }
    write_text(kit / "report.json", json.dumps(found, indent=1) + "\n")
    return found, _table(found, board)


def _text(kit: Path, name: str) -> str:
    path = kit / "reports" / f"{name}.rpt"
    try:
        return path.read_text(errors="replace")
    except OSError as error:
        raise BadInput(f"the report is not there: {error.strerror}", str(path), "run make bitstream first") from None


def _table(found: dict, board: Board) -> str:
    columns = list(board.resources)
    rows = [("design", found["design"]), ("network", found["network"] or {}), (board.name, board.resources)]
    lines = ["| " + " | ".join(["", *columns]) + " |", "|---|" + "---:|" * len(columns)]
    lines += ["| " + " | ".join([name, *(f"{row.get(key, '-')}" for key in columns)]) + " |" for name, row in rows]
    slacks = ", ".join(f"{name} {found['timing'][key]} ns" for name, key in (("setup", "wns_ns"), ("hold", "whs_ns")))
    ends = f"at {found['clock_mhz']:g} MHz: slack of {slacks}; {found['watts']} W on the chip, estimated by Vivado"
    return "\n".join([*lines, "", ends]) + "\n"
