"""One file per layer. A file declares its Op and, with `imports`, the torch calls that become it; it is found by being
here."""

import functools
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Import:
    """How calls of one name become nodes.

    function  (importer, *arguments) -> the result's tensor. An argument is a `hwgen.importer.Tensor`, an array of
              constants, a number, or a list of these
    tensors   computed tensors that a call may take, by themselves or in lists; None: any number
    rank      dimensions that the name stands for, the batch included: with one fewer torch takes the tensor as
              unbatched
    shares    the result is in the memory of the first argument, so a change of one in place is a change of both
    picks     every number of the result is one of the first argument's, in each frame: a rounding behind the call may
              as well come before it
    constant  (importer, *arguments) -> the value of a call of constants alone, which are float64 tensors; None: that
              of the call itself
    quantizes it puts floats on a grid
    """

    function: Callable
    tensors: int | None = 1
    rank: int | None = None
    shares: bool = False
    picks: bool = False
    constant: Callable | None = None
    quantizes: bool = False


_IMPORTS: dict[str, Import] = {}


def imports(*targets: str, **traits) -> Callable:
    """Registers a function for ATen calls such as 'aten.relu.default'; traits are the fields of `Import`."""

    def register(function: Callable) -> Callable:
        for target in targets:
            _IMPORTS[target] = Import(function, **traits)
        return function

    return register


@functools.cache
def importers() -> dict[str, Import]:
    """All imports by the name of the torch call, every file of this folder read."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return _IMPORTS
