"""Pad: zeros around the activations, each side its own width; the pass fold_pad puts them into the convolutions behind
it. Other modes, negative widths and other dimensions only move numbers."""

import numpy as np
from torch.nn import functional

from hwgen.errors import UnsupportedLayer
from hwgen.ops import imports
from hwgen.ops.conv import Conv


@imports("aten.pad.default", "aten.constant_pad_nd.default", picks=True)
def pad(importer, x, sides, mode="constant", value=None):
    """`sides` as torch gives them, the last dimension first: left, right, top, bottom ..."""
    if isinstance(mode, (int, float)):  # constant_pad_nd has no mode
        mode, value = "constant", mode
    if mode == "constant" and value:
        raise UnsupportedLayer(
            f"padding with the value {value}", importer.path, "pad with zeros, before the values are shifted"
        )
    shape = importer.shape(x)
    rows_and_columns = len(sides) <= 2 * min(2, len(shape) - 1) and len(shape) <= 3
    if mode == "constant" and rows_and_columns and min(sides, default=0) >= 0 and not importer.is_floats(x):
        # a depthwise 1x1 convolution by one, padded
        left, right, top, bottom = [*sides, 0, 0, 0, 0][:4]
        channels = importer.type(x).shape[0]
        ones = np.ones((channels, 1, 1, 1))
        sides = (top, bottom, left, right)
        op = Conv(
            ones, np.zeros(channels), padding=sides, groups=channels, path=importer.path, activations_limited=False
        )
        return importer.add(op, x)
    return importer.moved(x, lambda places: _padded(places, sides, mode))


def _padded(places, sides, mode: str):
    if mode == "constant":
        return functional.pad(places, sides, value=-1.0)
    return functional.pad(places, sides, mode=mode)
