"""Yosys for proofs, in a process of its own: it prints and exits as it likes."""

import subprocess
import sys
from pathlib import Path

_WORKER = "import sys; from pyosys import libyosys as ys; ys.run_pass('script ' + sys.argv[1], ys.Design())"


def yosys(folder: Path, *script: str) -> subprocess.CompletedProcess:
    """Runs the commands in `folder`; what they prove or refute is in stdout, and whether all held in returncode."""
    (folder / "proof.ys").write_text("\n".join(script) + "\n")
    command = [sys.executable, "-c", _WORKER, "proof.ys"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=600)


def both_forms(
    folder: Path, module: str, gold: str, gate: str, parameters: dict[str, int], primitives: int, cells: tuple[str, int]
) -> list[str]:
    """Commands that make of the texts `gold`, of the behavioural form, and `gate`, with primitives, modules of these
    names, flat.

    primitives -- XILINX of the gate; cells -- the name of its primitives, and how many there must be
    """
    name, count = cells
    script = []
    for form, text, number in (("gold", gold, 0), ("gate", gate, primitives)):
        (folder / f"{form}.v").write_text(text)
        chosen = parameters | {"XILINX": number}
        script += [
            "design -reset",
            "read_verilog +/xilinx/cells_sim.v",  # without -lib: the cells' behaviour counts
            f"read_verilog {form}.v",
            f"hierarchy -check -top {module} " + " ".join(f"-chparam {key} {value}" for key, value in chosen.items()),
            *([f"select -assert-count {count} */c:*.{name}"] if number else []),
            "proc",
            "flatten",
            "opt_clean",
            f"rename -top {form}",
            f"design -stash {form}",
        ]
    return [*script, *(f"design -copy-from {form} -as {form} {form}" for form in ("gold", "gate"))]


def equal_forms(folder: Path, *forms) -> subprocess.CompletedProcess:
    """Proves or refutes that both forms of a combinational module, as `both_forms` takes them, give the same."""
    miter = ["miter -equiv -flatten gold gate miter", "hierarchy -top miter", "sat -verify -prove trigger 0 miter"]
    return yosys(folder, *both_forms(folder, *forms), *miter)
