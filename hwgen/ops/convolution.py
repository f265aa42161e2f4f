"""Convolutions as torch's core operators have them: one call for all."""

from hwgen.errors import UnsupportedLayer
from hwgen.ops import imports
from hwgen.ops.conv import conv1d, conv2d
from hwgen.ops.conv3d import conv3d
from hwgen.ops.conv_transpose import conv_transpose1d, conv_transpose2d


@imports("aten.convolution.default")
def convolution(importer, x, weight, bias, stride, padding, dilation, transposed, output_padding, groups):
    sides = weight.ndim - 2
    plain, spread = {1: (conv1d, conv_transpose1d), 2: (conv2d, conv_transpose2d), 3: (conv3d, None)}[sides]
    if not transposed:
        return plain(importer, x, weight, bias, stride, padding, dilation, groups)
    if spread is None:
        raise UnsupportedLayer("a transposed convolution of three dimensions", importer.path, "use two dimensions")
    return spread(importer, x, weight, bias, stride, padding, output_padding, groups, dilation)
