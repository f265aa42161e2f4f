"""New weights for a build whose layers can be loaded: the register writes that a host sends to the AXI top.

docs/weights.md tells what may change, and how a host writes it.
"""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn
from torch.export import ExportedProgram

from hwgen import store
from hwgen.alternatives import read_rewrite, rewritten
from hwgen.config import BuildConfig
from hwgen.design import Design
from hwgen.errors import BadInput, DoesNotFit
from hwgen.flow import read_design
from hwgen.frontend import read_model
from hwgen.ir import Graph, Op
from hwgen.manifest import read_manifest
from hwgen.passes import run_passes
from hwgen.registers import OFFSET

LOAD_LAYER, LOAD_WORDS, LOAD_DATA = (OFFSET[name] for name in ("LOAD_LAYER", "LOAD_WORDS", "LOAD_DATA"))


@dataclass(frozen=True)
class LayerList:
    """The list of one layer: its number at LOAD_LAYER, words of `bits` bits, how many its memory holds, and what
    LOAD_CHECK reads once it is loaded."""

    name: str
    layer: int
    words: int
    bits: int
    capacity: int
    check: int


@dataclass(frozen=True, eq=False)
class Weights:
    """writes -- uint32 [N, 2]: register offsets and data, in the order in which a host writes them
    build_id -- what BUILD_ID of the hardware reads
    """

    build_id: int
    layers: list[LayerList]
    writes: np.ndarray

    def save(self, path: Path) -> None:
        """Writes the register writes to `path`, little-endian pairs of 32 bits, the rest to a JSON file beside it."""
        path.write_bytes(self.writes.astype("<u4").tobytes())
        described = {"build_id": self.build_id, "writes": len(self.writes), "layers": [asdict(x) for x in self.layers]}
        path.with_suffix(".json").write_text(json.dumps(described, indent=1) + "\n")


def load_words(
    folder: str | Path,
    model: nn.Module | ExportedProgram | None = None,
    example_inputs: tuple[torch.Tensor, ...] | None = None,
) -> Weights:
    """What loads the build in `folder` with the weights of `model`; of None: with its own.

    model, example_inputs -- as hwgen.build takes them: the build's network with other weights and biases in its
    loadable layers
    Raises BadInput where anything else differs or no layer can be loaded, and DoesNotFit where the hardware is too
    narrow or too short for a layer's new weights; both name the layer.
    """
    design, known = read_design(folder), read_manifest(folder)
    if not design.loadable:
        raise BadInput("no layer of the build can be loaded", str(folder), "build it with --loadable")
    ops = {}
    if model is not None:
        target = BuildConfig(target=known["target"], near=known["near"]).requantization
        graph = run_passes(read_model(model, example_inputs, target)[0])
        ops = _new_ops(design, rewritten(graph, [read_rewrite(one) for one in known["rewrites"]]))
    layers, writes = lists_of(design, ops)
    return Weights(known["build_id"], layers, writes)


def lists_of(design: Design, ops: dict[str, Op]) -> tuple[list[LayerList], np.ndarray]:
    """The lists of all loadable layers, and the writes [N, 2] that load them; ops -- new ones by the layer's name."""
    layers, writes = [], []
    for number, unit in enumerate(design.loadable):
        rom = unit.reloaded(ops[unit.name]) if unit.name in ops else unit.rom
        if rom.depth > unit.depth:
            raise DoesNotFit(
                f"its list has {rom.depth} words, the memory {unit.depth}",
                unit.name,
                "prune it to fewer terms, or build this network",
            )
        values = np.concatenate([np.array([rom.depth], np.uint32), rom.pieces.ravel()])
        check = np.cumsum(np.cumsum(values, dtype=np.uint32), dtype=np.uint32)[-1]
        layers.append(LayerList(unit.name, number, rom.depth, rom.width, unit.depth, int(check)))
        offsets = np.full(len(values), LOAD_DATA, np.uint32)
        offsets[0] = LOAD_WORDS
        writes += [np.array([[LOAD_LAYER, number]], np.uint32), np.stack([offsets, values], axis=1)]
    return layers, np.concatenate(writes)


def _check_border(old: Graph, new: Graph) -> None:
    """Raises BadInput where two graphs do not take and send the same."""
    (inputs, outputs, arrays), (new_inputs, new_outputs, new_arrays) = store.border(old), store.border(new)
    same = arrays.keys() == new_arrays.keys()
    same = same and all(np.array_equal(value, new_arrays[name]) for name, value in arrays.items())
    if inputs != new_inputs or not same:
        told, wanted = (", ".join(str(one.type) for one in graph.inputs) for graph in (new, old))
        raise BadInput(f"the network's input is {told}, the build's {wanted}", "the input", "build this network")
    if outputs != new_outputs:
        raise BadInput("the network's outputs are not those of the build", "the output", "build this network")


def _new_ops(design: Design, new: Graph) -> dict[str, Op]:
    """The ops of the loadable layers in another graph, which must be the build's in all else."""
    old = design.graph
    _check_border(old, new)
    layers = [(node.name, type(node.op).__name__, node.inputs) for node in old.nodes]
    others = [(node.name, type(node.op).__name__, node.inputs) for node in new.nodes]
    if layers != others:
        first = next((a or b for a, b in zip(layers, others, strict=False) if a != b), max(layers, others, key=len)[-1])
        raise BadInput("the network's layers are not those of the build", first[0], "build this network")
    loadable = {unit.name for unit in design.loadable}
    ops = {}
    for one, other in zip(old.nodes, new.nodes, strict=True):
        free = {"weight", "bias"} if one.name in loadable else set()
        for field in fields(cast(Any, one.op)):
            a, b = getattr(one.op, field.name), getattr(other.op, field.name)
            same = np.shape(a) == np.shape(b) if field.name in free else np.array_equal(a, b)
            if not same and field.name != "path":
                what = "shape of the " if field.name in free else ""
                hint = (
                    "--loadable must name it in the build" if field.name in ("weight", "bias") else "build this network"
                )
                raise BadInput(f"the {what}{field.name} is not that of the build", one.name, hint)
        if one.name in loadable:
            ops[one.name] = other.op
    return ops
