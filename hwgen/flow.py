"""The whole path on one screen: from a PyTorch network to a folder of RTL, and back from that folder to its design."""

import gc
import json
import re
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn
from torch.export import ExportedProgram

from hwgen import store
from hwgen.board import CONSTRAINTS, load_board, read_board
from hwgen.config import BuildConfig
from hwgen.design import Design, place
from hwgen.emit import emit, manifest, to_json
from hwgen.engines import Context, read_choice
from hwgen.errors import BadInput
from hwgen.folder import check_writable, write
from hwgen.frontend import import_model
from hwgen.lint import lint
from hwgen.lower import lower
from hwgen.passes import run_passes
from hwgen.schedule import schedule
from hwgen.version import VERSION

# what later commands read in hwgen.json
KEYS = {
    "hwgen",
    "name",
    "core",
    "top",
    "clocks",
    "board",
    "choices",
    "levels",
    "loadable",
    "build_id",
    "sources",
    "roms",
    "interval",
    "latency",
    "units",
    "files",
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

    model, example_inputs -- a module in the form that torch.export takes, and a tuple with one tensor [1, ...]; or an
    exported program
    progress -- called with the name of each stage as it starts
    Raises an HwgenError that names the layer and what to do.
    """
    out, config = Path(out), config or BuildConfig()
    check_writable(out)
    board = load_board(config.board)
    progress("import")
    graph = run_passes(import_model(model, example_inputs))
    with _no_collector():
        progress("schedule")
        stages = lower(graph, config.is_loadable)
        choices = schedule(graph, stages, config, board)
        context = Context.of(graph, stages, board.device, config.levels)
        design = place(config.name or _name(out), graph, stages, choices, context)
        weighted = {node.name for node in graph.nodes if node.op.has_weights}
        units = [placed.unit for placed in design.placed]
        config.check_loadable([unit.name for unit in units if unit.loads and unit.name in weighted])
        design.check_fits(board)
        progress("emit")
        files = emit(design)
        progress("lint")
        lint(files)
        files |= dict(zip(("golden.json", "golden.npz"), store.dump(graph), strict=True))
        files[CONSTRAINTS] = board.constraints
        files["hwgen.json"] = to_json(manifest(design, board, files, choices, config))
        progress("write")
        write(out, files)
    return design


@contextmanager
def _no_collector():
    """Without Python's cyclic garbage collector: a full collection visits each of torch's objects, which takes longer
    than a small network does, and what is made of a graph leaves hardly a cycle behind."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def read_manifest(folder: str | Path) -> dict:
    """hwgen.json of a build; raises BadInput when the folder is none, or another version's."""
    path = Path(folder) / "hwgen.json"
    try:
        known = json.loads(path.read_text())
    except FileNotFoundError:
        raise BadInput(
            "the folder is no build: it has no hwgen.json",
            str(folder),
            "make one with hwgen build NET -o DIR",
        ) from None
    except (OSError, ValueError) as error:
        raise BadInput(f"hwgen.json cannot be read: {error}", str(path), "build again") from error
    if not isinstance(known, dict) or "hwgen" not in known:
        raise BadInput("hwgen.json is not one that hwgen wrote", str(path), "build again")
    if known["hwgen"] != VERSION:
        raise BadInput(f"made by hwgen {known['hwgen']}, this is {VERSION}", str(path), "build again")
    if missing := KEYS - known.keys():
        raise BadInput(f"hwgen.json lacks {', '.join(sorted(missing))}", str(path), "build again")
    return known


def read_design(folder: str | Path) -> Design:
    """The design of a build, with its golden graph, from what the folder holds."""
    known = read_manifest(folder)
    graph = store.load(Path(folder))
    choices = {name: read_choice(entry) for name, entry in known["choices"].items()}
    stages = lower(graph, lambda layer: layer in known["loadable"])
    context = Context.of(graph, stages, read_board(folder, known).device, known["levels"])
    return place(known["name"], graph, stages, choices, context)


def _name(out: Path) -> str:
    name = re.sub(r"[^a-z0-9]+", "_", out.resolve().name.lower()).strip("_")
    return name if name[:1].isalpha() else f"net_{name}".rstrip("_")
