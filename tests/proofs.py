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
