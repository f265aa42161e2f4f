"""Nests of lists and dicts, as calls take them: their leaves, and floats in them as float64."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

HALVES = (torch.float16, torch.bfloat16, torch.float32)


def mapped(function: Callable, value) -> Any:
    """A nest of lists and dicts with `function` of each leaf."""
    if isinstance(value, list | tuple):
        return [mapped(function, part) for part in value]
    if isinstance(value, dict):
        return {key: mapped(function, part) for key, part in value.items()}
    return function(value)


def leaves(value) -> Iterator:
    """The leaves of a nest of lists and dicts."""
    if isinstance(value, list | tuple | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from leaves(part)
    else:
        yield value


def as_double(value):
    """Tensors of floats, in a nest, as float64."""

    def double(leaf):
        return leaf.double() if isinstance(leaf, torch.Tensor) and leaf.dtype in HALVES else leaf

    return mapped(double, value)


def doubles(value) -> Any:
    """Arguments of a call that shall be in float64: arrays as tensors, and float64 for narrower floats."""

    def double(leaf):
        leaf = torch.from_numpy(leaf) if isinstance(leaf, np.ndarray) else leaf
        return torch.float64 if isinstance(leaf, torch.dtype) and leaf in HALVES else leaf

    return mapped(double, value)


def as_arrays(value):
    """Tensors, in a nest, as arrays."""
    return mapped(lambda leaf: leaf.numpy() if isinstance(leaf, torch.Tensor) else leaf, value)
