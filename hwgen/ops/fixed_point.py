"""TensorFlow Lite's requantization by a 32-bit multiplier and two roundings."""

from hwgen.ops import imports
from hwgen.rules import tflite_reference


@imports("hwgen.requantize_fixed.default", quantizes=True)
def requantize_fixed(importer, x, multiplier, shift, low, high):
    """A quantizer of the line that multiplier * 2^(shift - 31) makes of sums, by the kernels' own rule."""
    factors = (multiplier * 2.0 ** (shift - 31.0)).reshape(-1, *[1] * (len(importer.shape(x)) - 1))
    x = importer.affine(x, factors, 0, by_number=False)
    return importer.quantized(x, 1, 0, 0, low, high, "half_away", rule=tflite_reference)
