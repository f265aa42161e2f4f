"""ONNX: QuantizeLinear and DequantizeLinear as onnxruntime and others write them, and QONNX (Quant, BipolarQuant,
Trunc, MultiThreshold) of Brevitas, QKeras, PQuant and FINN, in one walk. It reads with the package `onnx` alone."""

from hwgen.formats import Read, needs

SUFFIXES = (".onnx", ".qonnx")


def read(path: str, target: str = "exact") -> Read:
    """The network of an .onnx file, as hwgen.formats.read_network gives it.

    Weights are evaluated by the rule of the tool, in float32, to integers times a scale, which float64 holds exactly;
    activations become `hwgen.nn_affine.quantize_affine` and `count_steps`. A file without any quantizer gives a float32
    module, for hwgen.compress. A dynamic batch becomes one.
    """
    needs("onnx", path, "onnx")
    from hwgen.formats.onnx.walk import network

    return network(path)
