"""Quantizers of other tools: levels of any scale and zero point, and what they are worth."""

from hwgen.ops import imports


@imports("hwgen.quantize_affine.default")
def quantize_affine(importer, x, scale, zero, axis, low, high, rounding):
    return importer.quantized(x, scale, zero, axis, low, high, rounding)
