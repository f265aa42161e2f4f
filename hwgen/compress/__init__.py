"""Compression that fits the hardware: from a float PyTorch model to few terms.

prepared = compress.prepare(model, recipe)
compress.fit(prepared, train, validation)        # or your own loop
hwgen.build(compress.convert(prepared), example_inputs, out="build/net")
"""

from hwgen.compress.convert import convert
from hwgen.compress.fit import Diverged, accuracy, fit
from hwgen.compress.prepare import Prepared, prepare
from hwgen.compress.recipe import Recipe, Training

__all__ = ["Diverged", "Prepared", "Recipe", "Training", "accuracy", "convert", "fit", "prepare"]
