"""`hwgen compress`: a user's model and data, a recipe, and the folder that holds what came out."""

import json
from collections.abc import Callable, Sized
from pathlib import Path

import torch
from torch import nn

from hwgen.compress.convert import convert
from hwgen.compress.fit import CHECKPOINT, accuracy, fit
from hwgen.compress.prepare import prepare
from hwgen.compress.recipe import Recipe
from hwgen.compress.size import LayerSize, sizes
from hwgen.errors import BadInput
from hwgen.load import call

RECIPE, HISTORY, MODEL = "recipe.json", "history.json", "model.pt2"


def load(source: str) -> tuple[nn.Module, Sized, Sized]:
    """(model, train, validation) from `path.py:function`; raises BadInput for anything else."""
    result = call(source)
    what = "return (model, train, validation), the last two batches of (x, y) with a length"
    if not isinstance(result, tuple) or len(result) != 3 or not isinstance(result[0], nn.Module):
        raise BadInput(f"it returned {type(result).__name__}", source, what)
    for name, batches in zip(("train", "validation"), result[1:], strict=True):
        if not isinstance(batches, Sized) or len(batches) == 0:
            raise BadInput(f"{name} is {type(batches).__name__}, empty or without a length", source, what)
        first = next(iter(batches))
        if not (
            isinstance(first, tuple | list) and len(first) == 2 and all(isinstance(t, torch.Tensor) for t in first)
        ):
            raise BadInput(f"{name} does not give pairs of tensors", source, what)
    return result


def run(
    model: nn.Module, train, validation, recipe: Recipe, out: Path, *, show: Callable[[str], None]
) -> tuple[list[LayerSize], float]:
    """Compresses, and writes model.pt2, recipe.json and history.json; the sizes, and the accuracy on `validation`.

    Raises BadInput for a folder that holds something else, or the work of another recipe.
    """
    if out.exists() and any(out.iterdir()) and not (out / CHECKPOINT).is_file():
        raise BadInput("the folder is not empty and holds no compression", str(out), "name a new folder")
    x = next(iter(validation))[0]
    prepared = prepare(model, recipe, (x[:1],))
    history = fit(prepared, train, validation, folder=out, show=show)
    converted = convert(prepared)
    rows = sizes(converted, (x[:1],))
    (out / RECIPE).write_text(recipe.to_json())
    (out / HISTORY).write_text(json.dumps(history, indent=1) + "\n")
    # of any batch: torch takes a size that is 1 for a constant
    program = torch.export.export(converted, (torch.cat([x[:1], x[:1]]),), dynamic_shapes=({0: torch.export.Dim.AUTO},))
    for node in program.graph.nodes:
        for key in ("stack_trace", "torch_fn", "from_node", "source_fn_stack"):
            node.meta.pop(key, None)  # counters of this process, and paths: the same work gives the same file
    part = out / f"{MODEL}.part"
    with part.open("wb") as file:
        torch.export.save(program, file)
    part.replace(out / MODEL)
    return rows, accuracy(converted, validation)
