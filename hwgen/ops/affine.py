"""Quantizers of other tools: levels of any scale and zero point."""

from hwgen.ops import imports


@imports("hwgen.quantize_affine.default")
def quantize_affine(importer, x, scale, zero, axis, low, high, rounding):
    return importer.quantized(x, scale, zero, axis, low, high, rounding)


@imports("hwgen.requantize_fixed.default")
def requantize_fixed(importer, x, multiplier, shift, low, high):
    sides = [-1, *[1] * (len(importer.shape(x)) - 1)]
    factors = multiplier * 2.0 ** (shift - 31.0)
    x = importer.affine(x, factors.reshape(sides), 0, by_number=False)
    return importer.quantized(x, 1.0, 0.0, 1, low, high, "half_even", "tflite-reference")
