"""Compression that fits the hardware: from a float PyTorch model to few terms.

`prepare(model, recipe)`, then `fit` or your own loop, then `convert`, whose result `hwgen.build` takes.
"""

from hwgen.compress.convert import convert
from hwgen.compress.fit import Diverged, accuracy, fit
from hwgen.compress.modes import PreparedModes, convert_modes, prepare_modes
from hwgen.compress.prepare import prepare
from hwgen.compress.prepared import Prepared
from hwgen.compress.recipe import Recipe, Training
from hwgen.compress.spiking import to_spiking

__all__ = [
    "Diverged",
    "Prepared",
    "PreparedModes",
    "Recipe",
    "Training",
    "accuracy",
    "convert",
    "convert_modes",
    "fit",
    "prepare",
    "prepare_modes",
    "to_spiking",
]
