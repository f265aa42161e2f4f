"""One file per layer. A file declares its Op and, with `imports`, the torch calls that become it; it is found by being
here."""

import functools
import importlib
import pkgutil
from collections.abc import Callable

IMPORTERS: dict[str, Callable] = {}


def imports(*targets: str) -> Callable:
    """Registers function(importer, *arguments) -> tensor name for ATen calls such as 'aten.relu.default'."""

    def register(function: Callable) -> Callable:
        for target in targets:
            IMPORTERS[target] = function
        return function

    return register


@functools.cache
def importers() -> dict[str, Callable]:
    """All importers by the name of the torch call, every file of this folder read."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return IMPORTERS
