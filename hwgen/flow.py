"""The whole path on one screen: from a PyTorch network to a folder of RTL, and back from that folder to its design."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn
from torch.export import ExportedProgram

from hwgen import store
from hwgen.alternatives import Plan, best
from hwgen.board import CONSTRAINTS, Board, load_board, read_board
from hwgen.border import check_rate
from hwgen.collector import no_collector
from hwgen.config import BuildConfig
from hwgen.design import Design, place
from hwgen.emit import emit
from hwgen.engines import Context, read_choice
from hwgen.errors import DoesNotFit
from hwgen.folder import MANIFEST, check_writable, seal, write
from hwgen.frontend import read_model
from hwgen.ir import Graph
from hwgen.lint import lint
from hwgen.manifest import manifest, read_build
from hwgen.modes import check_modes, joined, lowered, switched
from hwgen.passes import run_passes
from hwgen.ports import Ports
from hwgen.protect import Protection
from hwgen.remedies import advised


def build(
    model: nn.Module | ExportedProgram,
    example_inputs: tuple[torch.Tensor, ...] | None = None,
    *,
    out: str | Path,
    modes: Sequence[tuple[nn.Module | ExportedProgram, tuple[torch.Tensor, ...] | None]] = (),
    config: BuildConfig | None = None,
    progress: Callable[[str], None] = lambda stage: None,
) -> Design:
    """Writes the RTL of `model` into the folder `out`, whole or not at all; the same model gives the same bytes.

    model, example_inputs -- a module in the form that torch.export takes, and a tuple with a tensor [1, ...] for each
    input; or an exported program
    modes -- what a frame may choose in its place, mode 1 and further: (model, example_inputs) as above, the same
    network with other weights, biases and quantizers (docs/modes.md)
    progress -- called with the name of each stage as it starts
    Raises an HwgenError that names the layer and what to do.
    """
    out, config = Path(out), config or BuildConfig()
    check_writable(out)
    board = load_board(config.board)
    progress("import")
    networks = [(model, example_inputs), *modes]
    read = [read_model(*network, config.requantization) for network in networks]
    graphs = [run_passes(graph) for graph, _ in read]
    notes = [note for _, found in read for note in found]
    check_modes(graphs, config)
    with no_collector():
        progress("schedule")
        plan = _planned(config.name or _name(out), graphs, config, board, progress)
        design = replace(plan.design, ports=config.ports)
        plan = replace(plan, design=design)
        check_rate(design, config, board)
        progress("emit")
        emitted = emit(design)
        progress("lint")
        lint(emitted)
        files: dict[str, str | bytes] = {**emitted}
        for number, golden in enumerate(design.graphs):
            files |= dict(zip(store.names(number), store.dump(golden), strict=True))
        files[CONSTRAINTS] = board.constraints
        # what a reader of another tool's file put in the place of its numbers
        substitutions = [line for network, _ in networks for line in getattr(network, "notes", [])]
        known = manifest(plan, board, files, config, notes, substitutions)
        files[MANIFEST] = seal(known)
        progress("write")
        write(out, files)
    return design


def read_design(folder: str | Path, edited: bool = False) -> Design:
    """The design of a build, with its golden graph, from what the folder holds; raises as `read_build`."""
    known, _ = read_build(folder, edited)
    graphs = [store.load(Path(folder), number) for number in range(max(1, len(known["modes"])))]
    choices = {name: read_choice(entry) for name, entry in known["choices"].items()}
    graph, stages = joined(graphs), lowered(graphs, lambda layer: layer in known["loadable"])
    device, protect = read_board(folder, known).device, Protection.of(known["protect"])
    context = Context.of(graph, stages, device, known["levels"], protect)
    design = switched(place(known["name"], graph, stages, choices, context), graphs)
    return replace(design, ports=Ports(known["ports"]["bits"], known["ports"]["load_stream"]))


def _planned(
    name: str, graphs: Sequence[Graph], config: BuildConfig, board: Board, progress: Callable[[str], None]
) -> Plan:
    """The network as it is built; of several modes, which are not rewritten, a design that switches between them."""
    graph, stages = joined(graphs), lowered(graphs, config.is_loadable)
    if len(graphs) > 1:
        return Plan.of(name, graph, stages, config, board).switched(graphs)
    try:
        return best(name, graph, stages, config, board)
    except DoesNotFit as error:
        progress("schedule: what would fit")
        raise advised(error, graph, stages, config, board) from None


def _name(out: Path) -> str:
    name = re.sub(r"[^a-z0-9]+", "_", out.resolve().name.lower()).strip("_")
    return name if name[:1].isalpha() else f"net_{name}".rstrip("_")
