"""Pad: a frame of zeros around the activations, each side its own width; the pass fold_pad puts it into the
convolutions behind it."""

import numpy as np

from hwgen.errors import UnsupportedLayer
from hwgen.ops import imports
from hwgen.ops.conv import Conv


@imports("aten.pad.default", "aten.constant_pad_nd.default")
def pad(importer, x, sides, mode="constant", value=None):
    """A depthwise 1x1 convolution by one, padded. `sides` as torch gives them: left, right, top, bottom."""
    kind = importer.type(x)
    if isinstance(mode, (int, float)):  # constant_pad_nd has no mode
        mode, value = "constant", mode
    if mode != "constant" or value or min(sides, default=0) < 0 or len(sides) > 2 * (len(importer.shape(x)) - 1):
        raise UnsupportedLayer(
            f"padding {list(sides)} in mode {mode} with the value {value}",
            importer.path,
            "pad rows and columns with zeros: nn.ZeroPad2d",
        )
    left, right, top, bottom = [*sides, 0, 0, 0, 0][:4]
    ones = np.ones((kind.shape[0], 1, 1, 1))
    op = Conv(
        ones,
        np.zeros(len(ones)),
        padding=(top, bottom, left, right),
        groups=len(ones),
        path=importer.path,
        activations_limited=False,
    )
    return importer.add(op, x)
