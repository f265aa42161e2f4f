"""The whole path on one screen: from a PyTorch network to a folder of RTL, and back from that folder to its design."""

import json
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
from hwgen.collector import no_collector
from hwgen.config import BuildConfig
from hwgen.design import Design, place
from hwgen.emit import emit, manifest, port_interval
from hwgen.engines import Context, read_choice
from hwgen.errors import BadInput, DoesNotFit
from hwgen.folder import MANIFEST, check_unchanged, check_writable, is_name, is_sealed, recover, seal, write
from hwgen.frontend import read_model
from hwgen.ir import Graph
from hwgen.lint import lint
from hwgen.lower import lower
from hwgen.modes import MOST_MODES, joined, lowered, switched
from hwgen.passes import run_passes
from hwgen.ports import Ports
from hwgen.protect import Protection
from hwgen.remedies import advised
from hwgen.requantizers import Requantization
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
    "protect": str,
    "protected": list,
    "modes": list,
    "target": str,
    "requantizations": list,
    "exactness": list,
    "substitutions": list,
    "build_id": int,
    "sources": list,
    "roms": dict,
    "interval": int,
    "latency": int,
    "units": list,
    "border": dict,
    "ports": dict,
    "inputs": list,
    "outputs": list,
    "files": dict,
}


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
    graphs, notes = _read_all(networks, config)
    with no_collector():
        progress("schedule")
        plan = _planned(config.name or _name(out), graphs, config, board, progress)
        design = replace(plan.design, ports=config.ports)
        plan = replace(plan, design=design)
        _check_rate(design, config, board)
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
        known = manifest(plan, board, files, config, notes) | {"substitutions": substitutions}
        files[MANIFEST] = seal(known)
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
    graphs = [store.load(Path(folder), number) for number in range(max(1, len(known["modes"])))]
    choices = {name: read_choice(entry) for name, entry in known["choices"].items()}
    graph = joined(graphs)
    stages = lowered(graphs) if len(graphs) > 1 else lower(graph, lambda layer: layer in known["loadable"])
    device, protect = read_board(folder, known).device, Protection.of(known["protect"])
    context = Context.of(graph, stages, device, known["levels"], protect)
    design = switched(place(known["name"], graph, stages, choices, context), graphs)
    return replace(design, ports=Ports(known["ports"]["bits"], known["ports"]["load_stream"]))


def _check_rate(design: Design, config: BuildConfig, board: Board) -> None:
    """Raises BadInput where streams that the user made narrow do not bring frames at the rate that he asked for."""
    if config.fps and config.stream_bits and port_interval(design) > config.interval(board):
        raise BadInput(
            f"a frame takes {port_interval(design):,} clocks over a stream of {config.stream_bits} bits, the rate "
            f"leaves {config.interval(board):,}",
            "--stream-bits",
            "use a wider stream or a lower rate, or leave it out",
        )


def _planned(
    name: str, graphs: Sequence[Graph], config: BuildConfig, board: Board, progress: Callable[[str], None]
) -> Plan:
    """The network as it is built; of several modes, which are not rewritten, a design that switches between them."""
    if len(graphs) > 1:
        return Plan.of(name, joined(graphs), lowered(graphs), config, board).switched(graphs)
    (graph,) = graphs
    stages = lower(graph, config.is_loadable)
    try:
        return best(name, graph, stages, config, board)
    except DoesNotFit as error:
        progress("schedule: what would fit")
        raise advised(error, graph, stages, config, board) from None


def _read_all(
    networks: Sequence[tuple[nn.Module | ExportedProgram, tuple[torch.Tensor, ...] | None]], config: BuildConfig
) -> tuple[list[Graph], list[Requantization]]:
    """The graph of each mode, and what the quantizers of all became."""
    if len(networks) > 1 and config.loadable is not None:
        raise BadInput(
            "modes and loadable layers", "--modes, --loadable", "give one of them: a list that is loaded is one"
        )
    if len(networks) > 1 and config.protection.tmr:
        raise BadInput(
            "modes and tmr-control", "--modes, --protect", "use --protect parity or ecc: modes are kept once"
        )
    if len(networks) > MOST_MODES:
        raise BadInput(f"{len(networks)} modes", "--modes", f"give at most {MOST_MODES}")
    graphs, notes = [], []
    for model, example_inputs in networks:
        graph, found = read_model(model, example_inputs, config.requantization)
        graphs.append(run_passes(graph))
        notes += found
    if len(networks) > 1 and any(count > 1 for graph in graphs for count in graph.turns.values()):
        raise BadInput("modes, and time steps that begin or end inside", "--modes", "leave StepsIn and StepsOut out")
    return graphs, notes


def _name(out: Path) -> str:
    name = re.sub(r"[^a-z0-9]+", "_", out.resolve().name.lower()).strip("_")
    return name if name[:1].isalpha() else f"net_{name}".rstrip("_")
