"""`hwgen compress`: a user's model and data, a recipe, and the folder that holds what came out."""

import json
from collections.abc import Callable, Iterable, Sequence, Sized
from pathlib import Path

import torch
from torch import nn

from hwgen.compress.channels import search
from hwgen.compress.convert import convert
from hwgen.compress.fit import CHECKPOINT, accuracy, fit
from hwgen.compress.modes import convert_modes, prepare_modes
from hwgen.compress.prepare import prepare
from hwgen.compress.recipe import Recipe
from hwgen.compress.size import LayerSize, sizes
from hwgen.compress.trace import WEIGHTED
from hwgen.errors import BadInput
from hwgen.load import call

RECIPE, HISTORY, MODEL = "recipe.json", "history.json", "model.pt2"
SEARCH = "channels"  # the folder of a search of formats


def load(source: str) -> tuple[nn.Module, Sized, Sized]:
    """(model, train, validation) from `path.py:function`; raises BadInput for anything else."""
    result = call(source)
    what = "return (model, train, validation), the last two batches of (x, y) with a length"
    if not isinstance(result, tuple) or len(result) != 3 or not isinstance(result[0], nn.Module):
        raise BadInput(f"it returned {type(result).__name__}", source, what)
    for name, batches in zip(("train", "validation"), result[1:], strict=True):
        if not isinstance(batches, Sized) or not isinstance(batches, Iterable) or len(batches) == 0:
            raise BadInput(f"{name} is {type(batches).__name__}, empty or without a length", source, what)
        first = next(iter(batches))
        if not (
            isinstance(first, tuple | list) and len(first) == 2 and all(isinstance(t, torch.Tensor) for t in first)
        ):
            raise BadInput(f"{name} does not give pairs of tensors", source, what)
    return result


def run(
    model: nn.Module, train, validation, recipe: Recipe, out: Path, *, show: Callable[[str], None]
) -> tuple[list[LayerSize], float, float]:
    """Compresses, and writes model.pt2, recipe.json and history.json; the sizes, the accuracy on `validation`, and that
    of the float network. What looks wrong about the result is shown, line by line.

    Raises BadInput for a folder that holds something else, or the work of another recipe.
    """
    _check_folder(out)
    x = next(iter(validation))[0]
    if recipe.split is not None:
        recipe = search(model, recipe, (x[:1],), train, folder=out / SEARCH, show=show)
    prepared = prepare(model, recipe, (x[:1],))
    history = fit(prepared, train, validation, folder=out, show=show)
    converted = convert(prepared)
    rows = sizes(converted, (x[:1],))
    (out / RECIPE).write_text(recipe.to_json())
    (out / HISTORY).write_text(json.dumps(history, indent=1) + "\n")
    _export(converted, x, out / MODEL)
    reached = accuracy(converted, validation)
    for line in [*_starved(converted), *_constant(reached, validation)]:
        show(f"warning: {line}")
    return rows, reached, history[-1]["float_accuracy"]


def run_modes(
    model: nn.Module, train, validation, recipes: Sequence[Recipe], out: Path, *, show: Callable[[str], None]
) -> list[float]:
    """Compresses for several modes at once, and writes model.pt2, model1.pt2 ..., recipe.json, recipe1.json ... and
    history.json; the accuracy of each on `validation`. Raises as `run`."""
    _check_folder(out)
    x = next(iter(validation))[0]
    prepared = prepare_modes(model, recipes, (x[:1],))
    history = fit(prepared, train, validation, folder=out, show=show)
    (out / HISTORY).write_text(json.dumps(history, indent=1) + "\n")
    reached = []
    for number, (recipe, converted) in enumerate(zip(recipes, convert_modes(prepared), strict=True)):
        (out / RECIPE.replace(".", f"{number or ''}.")).write_text(recipe.to_json())
        _export(converted, x, out / model_of(number))
        reached.append(accuracy(converted, validation))
    return reached


def model_of(mode: int) -> str:
    """The file of a mode's network."""
    return MODEL.replace(".", f"{mode or ''}.")


def _check_folder(out: Path) -> None:
    if out.exists() and any(out.iterdir()) and not any((out / at / CHECKPOINT).is_file() for at in ("", SEARCH)):
        raise BadInput("the folder is not empty and holds no compression", str(out), "name a new folder")


def _export(converted: nn.Module, x: torch.Tensor, path: Path) -> None:
    # of any batch: torch takes a size that is 1 for a constant
    program = torch.export.export(converted, (torch.cat([x[:1], x[:1]]),), dynamic_shapes=({0: torch.export.Dim.AUTO},))
    for node in program.graph.nodes:
        for key in ("stack_trace", "torch_fn", "from_node", "source_fn_stack"):
            node.meta.pop(key, None)  # counters of this process, and paths: the same work gives the same file
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as file:
        torch.export.save(program, file)
    part.replace(path)


def _starved(network: nn.Module) -> list[str]:
    """The layers that have fewer weights left than outputs."""
    found = []
    for name, module in network.named_modules():
        if isinstance(module, WEIGHTED):
            left, outputs = int(module.weight.count_nonzero()), len(module.weight)
            if left < outputs:
                found.append(
                    f"{name} has {left:,} of {module.weight.numel():,} weights left for {outputs:,} outputs; "
                    'prune it less (`overrides`, `floor`), or each layer alike (scope "layer")'
                )
    return found


def _constant(reached: float, validation) -> list[str]:
    """Whether one answer for all would be right as often."""
    counts = torch.cat([y.flatten() for _, y in validation]).bincount()
    share = 100 * counts.max().item() / counts.sum().item()
    if reached > share:
        return []
    answer = f"always answering {counts.argmax().item()}, which is right in {share:.2f} %"
    return [f"an accuracy of {reached:.2f} % is no better than {answer}"]
