"""Reads a network: nn.Module -> torch.export program -> Graph of integers."""

import logging
import warnings
from contextlib import contextmanager, suppress

import torch
from torch import nn
from torch.export import ExportedProgram

import hwgen.nn
import hwgen.nn_affine  # noqa: F401
from hwgen.errors import BadInput, HwgenError, UnsupportedLayer
from hwgen.importer import Importer
from hwgen.ir import Graph
from hwgen.requantizers import Requantization
from hwgen.target import Target

EXACT_TARGET = Target()


def import_model(model: nn.Module | ExportedProgram, example_inputs: tuple[torch.Tensor, ...] | None = None) -> Graph:
    """The graph of integers that equals model.double() in eval mode on every input.

    Raises an HwgenError that names the layer; Obstacles, if several layers cannot be taken, that name them all.
    """
    return read_model(model, example_inputs, EXACT_TARGET)[0]


def read_model(
    model: nn.Module | ExportedProgram, example_inputs: tuple[torch.Tensor, ...] | None, target: Target
) -> tuple[Graph, list[Requantization]]:
    """The graph of integers of `target`, and what each quantizer became whose factor is no power of two; raises as
    `import_model`."""
    if isinstance(model, nn.Module):
        if not isinstance(example_inputs, tuple) or not all(isinstance(x, torch.Tensor) for x in example_inputs):
            raise BadInput(
                f"example_inputs is {type(example_inputs).__name__}", "build", "pass a tuple of tensors: (x,)"
            )
        model = _export(model, example_inputs)
    importer = Importer(model, target)
    return importer.graph(), importer.requantizations


def _export(model: nn.Module, example_inputs: tuple[torch.Tensor, ...]) -> ExportedProgram:
    was_training = [m for m in model.modules() if m.training]
    try:
        with suppress(NotImplementedError):  # a program's module, as PT2E gives it, is in the mode of its export
            model.eval()
        with torch.no_grad(), _quiet():
            return torch.export.export(model, example_inputs)
    except HwgenError:
        raise
    except Exception as error:
        if _wants_a_batch(model, example_inputs):
            shape = list(example_inputs[0].shape)
            raise BadInput(
                f"the example is one frame without a batch: its shape is {shape}",
                type(model).__name__,
                f"give it a batch of one, x[None]: {[1, *shape]}",
            ) from error
        first = next((line for line in str(error).splitlines() if line.strip()), "")
        raise UnsupportedLayer(
            f"torch.export fails: {type(error).__name__}: {first}",
            type(model).__name__,
            "make torch.export.export(module, example_inputs) work first",
        ) from error
    finally:
        for module in was_training:
            module.training = True


@torch.no_grad()
def _wants_a_batch(model: nn.Module, example_inputs: tuple[torch.Tensor, ...]) -> bool:
    """Whether the network takes its example as soon as it has a batch."""
    with suppress(Exception), _quiet():
        model(*(x[None] for x in example_inputs))
        return True
    return False


@contextmanager
def _quiet():
    """Without what torch logs and warns of while it exports: what goes wrong is raised, and told in one line."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
