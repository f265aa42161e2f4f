"""The whole path on one screen: from a PyTorch network to a folder of RTL, and back from that folder to its design."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.export import ExportedProgram

from hwgen import store
from hwgen.alternatives import best
from hwgen.board import CONSTRAINTS, load_board, read_board
from hwgen.collector import no_collector
from hwgen.config import BuildConfig
from hwgen.design import Design, place
from hwgen.emit import emit, manifest
from hwgen.engines import Context, read_choice
from hwgen.errors import BadInput, DoesNotFit
from hwgen.folder import MANIFEST, check_unchanged, check_writable, is_name, is_sealed, recover, seal, write
from hwgen.frontend import read_model
from hwgen.lint import lint
from hwgen.lower import lower
from hwgen.passes import run_passes
from hwgen.remedies import advised
from hwgen.version import VERSION

# what later commands read in hwgen.json
KEYS = {
    "hwgen": str,
    "name": str,
    "core": str,
    "top": str,
    "clocks": dict,
    "board": dict,
    "rewrites": list,
    "choices": dict,
    "levels": int,
    "loadable": list,
    "target": str,
    "requantizations": list,
    "exactness": list,
    "build_id": int,
    "sources": list,
    "roms": dict,
    "interval": int,
    "latency": int,
    "units": list,
    "border": dict,
    "inputs": list,
    "outputs": list,
    "files": dict,
}


def build(
    model: nn.Module | ExportedProgram,
    example_inputs: tuple[torch.Tensor, ...] | None = None,
    *,
    out: str | Path,
    config: BuildConfig | None = None,
    progress: Callable[[str], None] = lambda stage: None,
) -> Design:
    """Writes the RTL of `model` into the folder `out`, whole or not at all; the same model gives the same bytes.

    model, example_inputs -- a module in the form that torch.export takes, and a tuple with a tensor [1, ...] for each
    input; or an exported program
    progress -- called with the name of each stage as it starts
    Raises an HwgenError that names the layer and what to do.
    """
    out, config = Path(out), config or BuildConfig()
    check_writable(out)
    board = load_board(config.board)
    progress("import")
    graph, notes = read_model(model, example_inputs, config.requantization)
    graph = run_passes(graph)
    with no_collector():
        progress("schedule")
        stages = lower(graph, config.is_loadable)
        try:
            plan = best(config.name or _name(out), graph, stages, config, board)
        except DoesNotFit as error:
            progress("schedule: what would fit")
            raise advised(error, graph, stages, config, board) from None
        design = plan.design
        progress("emit")
        files = emit(design)
        progress("lint")
        lint(files)
        files |= dict(zip(("golden.json", "golden.npz"), store.dump(design.graph), strict=True))
        files[CONSTRAINTS] = board.constraints
        files[MANIFEST] = seal(manifest(plan, board, files, config, notes))
        progress("write")
        write(out, files)
    return design


def read_manifest(folder: str | Path) -> dict:
    """hwgen.json of a build; raises BadInput when the folder is none, or another version's, or hwgen.json was edited.

    The other files may have been: see `read_build`.
    """
    recover(Path(folder))
    path = Path(folder) / MANIFEST
    try:
        known = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        raise BadInput(
            "the folder is no build: it has no hwgen.json",
            str(folder),
            "make one with hwgen build NET -o DIR",
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"hwgen.json cannot be read: {error}", str(path), "build again") from error
    if not isinstance(known, dict) or "hwgen" not in known:
        raise BadInput("hwgen.json is not one that hwgen wrote", str(path), "build again")
    if known["hwgen"] != VERSION:
        raise BadInput(f"made by hwgen {known['hwgen']}, this is {VERSION}", str(path), "build again")
    if missing := KEYS.keys() - known.keys():
        raise BadInput(f"hwgen.json lacks {', '.join(sorted(missing))}", str(path), "build again")
    names = [known["name"], known["core"], known["top"], *known["files"], *known["sources"], *known["roms"]]
    wrong = [key for key, kind in KEYS.items() if type(known[key]) is not kind]
    if wrong or not is_sealed(known) or not all(is_name(name) for name in names) or "/" in known["name"]:
        raise BadInput("hwgen.json is not as hwgen wrote it", str(path), "build again")
    return known


def read_build(folder: str | Path, edited: bool = False) -> tuple[dict, list[str]]:
    """hwgen.json of a build whose files are all as hwgen wrote them, and no name; with `edited`, all but the golden
    graph may have been changed since, and the names of those files come with it. Raises BadInput that names a file."""
    known = read_manifest(folder)
    return known, check_unchanged(Path(folder), known, edited)


def read_design(folder: str | Path, edited: bool = False) -> Design:
    """The design of a build, with its golden graph, from what the folder holds; raises as `read_build`."""
    known, _ = read_build(folder, edited)
    graph = store.load(Path(folder))
    choices = {name: read_choice(entry) for name, entry in known["choices"].items()}
    stages = lower(graph, lambda layer: layer in known["loadable"])
    context = Context.of(graph, stages, read_board(folder, known).device, known["levels"])
    return place(known["name"], graph, stages, choices, context)


def _name(out: Path) -> str:
    name = re.sub(r"[^a-z0-9]+", "_", out.resolve().name.lower()).strip("_")
    return name if name[:1].isalpha() else f"net_{name}".rstrip("_")
