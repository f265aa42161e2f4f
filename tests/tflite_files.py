"""Small .tflite files: what the tests of the reader run beside TensorFlow Lite's own kernels."""

import flatbuffers
import numpy as np
import tflite

SAME, VALID = 0, 1
NONE, RELU, RELU_N1_TO_1, RELU6 = range(4)
OPTIONS = {
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "ADD": "AddOptions",
    "SUB": "SubOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions",
    "CONCATENATION": "ConcatenationOptions",
    "SOFTMAX": "SoftmaxOptions",
}
VERSIONS = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4, "SOFTMAX": 2}


class File:
    """A network of one subgraph, written operator by operator."""

    def __init__(self):
        self.builder = flatbuffers.Builder(1 << 16)
        self.buffers: list[bytes] = [b""]
        self.tensors: list[int] = []
        self.shapes: list[tuple[int, ...]] = []
        self.scales: list[np.ndarray] = []
        self.zeros: list[int] = []
        self.operators: list[int] = []
        self.codes: list[tuple[str, str]] = []

    def tensor(self, shape, scale=None, zero=0, kind="INT8", data=None, axis=0, name="", buffer=None) -> int:
        """A tensor's number; scale -- one or, along `axis`, several; data -- an array, or the bytes of a constant."""
        b = self.builder
        number = 0
        if data is not None:
            self.buffers.append(data if isinstance(data, bytes) else np.ascontiguousarray(data).tobytes())
            number = len(self.buffers) - 1
        quantization = None
        scales = np.atleast_1d(np.asarray([] if scale is None else scale, np.float32))
        if scale is not None:
            zeros = np.broadcast_to(np.asarray(zero, np.int64), scales.shape)
            parts = b.CreateNumpyVector(scales), b.CreateNumpyVector(np.ascontiguousarray(zeros))
            tflite.QuantizationParametersStart(b)
            tflite.QuantizationParametersAddScale(b, parts[0])
            tflite.QuantizationParametersAddZeroPoint(b, parts[1])
            tflite.QuantizationParametersAddQuantizedDimension(b, axis)
            quantization = tflite.QuantizationParametersEnd(b)
        sizes = b.CreateNumpyVector(np.asarray(shape, np.int32))
        called = b.CreateString(name or f"tensor_{len(self.tensors)}")
        tflite.TensorStart(b)
        tflite.TensorAddShape(b, sizes)
        tflite.TensorAddType(b, getattr(tflite.TensorType, kind))
        tflite.TensorAddBuffer(b, number if buffer is None else buffer)
        tflite.TensorAddName(b, called)
        if quantization is not None:
            tflite.TensorAddQuantization(b, quantization)
        self.tensors.append(tflite.TensorEnd(b))
        self.shapes.append(tuple(shape))
        self.scales.append(scales)
        self.zeros.append(zero)
        return len(self.tensors) - 1

    def operator(self, kind: str, inputs, outputs, custom: str = "", **options) -> None:
        """Appends an operator; options by the names of the schema."""
        b = self.builder
        if (kind, custom) not in self.codes:
            self.codes.append((kind, custom))
        table = None
        if kind in OPTIONS:
            name = OPTIONS[kind]
            getattr(tflite, f"{name}Start")(b)
            for key, value in options.items():
                getattr(tflite, f"{name}Add{key}")(b, value)
            table = getattr(tflite, f"{name}End")(b)
        vectors = [b.CreateNumpyVector(np.asarray(numbers, np.int32)) for numbers in (inputs, outputs)]
        tflite.OperatorStart(b)
        tflite.OperatorAddOpcodeIndex(b, self.codes.index((kind, custom)))
        tflite.OperatorAddInputs(b, vectors[0])
        tflite.OperatorAddOutputs(b, vectors[1])
        if table is not None:
            tflite.OperatorAddBuiltinOptionsType(b, getattr(tflite.BuiltinOptions, OPTIONS[kind]))
            tflite.OperatorAddBuiltinOptions(b, table)
        self.operators.append(tflite.OperatorEnd(b))

    def content(self, inputs, outputs, subgraphs: int = 1, version: int = 3, outside: bool = False) -> bytes:
        """The file; outside -- with its constants behind the flatbuffer."""
        b = self.builder
        vectors = [b.CreateNumpyVector(np.asarray(numbers, np.int32)) for numbers in (inputs, outputs)]
        tensors, operators = self._vector(self.tensors), self._vector(self.operators)
        tflite.SubGraphStart(b)
        tflite.SubGraphAddTensors(b, tensors)
        tflite.SubGraphAddInputs(b, vectors[0])
        tflite.SubGraphAddOutputs(b, vectors[1])
        tflite.SubGraphAddOperators(b, operators)
        graphs = self._vector([tflite.SubGraphEnd(b)] * subgraphs)
        codes = []
        for kind, custom in self.codes:
            called = b.CreateString(custom) if custom else None
            number = getattr(tflite.BuiltinOperator, kind)
            tflite.OperatorCodeStart(b)
            tflite.OperatorCodeAddDeprecatedBuiltinCode(b, min(number, 127))
            tflite.OperatorCodeAddBuiltinCode(b, number)
            tflite.OperatorCodeAddVersion(b, VERSIONS.get(kind, 1))
            if called is not None:
                tflite.OperatorCodeAddCustomCode(b, called)
            codes.append(tflite.OperatorCodeEnd(b))
        codes, buffers = self._vector(codes), []
        for data in self.buffers:
            numbers = b.CreateNumpyVector(np.frombuffer(data, np.uint8)) if data else None
            tflite.BufferStart(b)
            if numbers is not None and outside:
                tflite.BufferAddOffset(b, 1 << 20)
                tflite.BufferAddSize(b, len(data))
            elif numbers is not None:
                tflite.BufferAddData(b, numbers)
            buffers.append(tflite.BufferEnd(b))
        buffers = self._vector(buffers)
        tflite.ModelStart(b)
        tflite.ModelAddVersion(b, version)
        tflite.ModelAddOperatorCodes(b, codes)
        tflite.ModelAddSubgraphs(b, graphs)
        tflite.ModelAddBuffers(b, buffers)
        b.Finish(tflite.ModelEnd(b), file_identifier=b"TFL3")
        return bytes(b.Output())

    def _vector(self, offsets) -> int:
        self.builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return self.builder.EndVector()


class Layers(File):
    """int8 layers with random weights, each with a scale that its results fill. Methods take and give numbers of
    tensors."""

    def __init__(self, seed: int, shape, scale: float = 0.02, zero: int = -3):
        super().__init__()
        self.rng = np.random.default_rng(seed)
        self.input = self.tensor((1, *shape), scale, zero, name="input")

    def _weights(self, shape, axis: int, channels: int):
        """Numbers of weights and bias, and the scale of sums; some weights of each channel are zero, one channel's all
        even."""
        weights = self.rng.integers(-127, 128, shape) * (self.rng.random(shape) > 0.3)
        even = np.moveaxis(weights, axis, 0)
        even[0] = even[0] // 2 * 2
        scales = np.exp(self.rng.uniform(-6, -4, channels)).astype(np.float32)
        return weights.astype(np.int8), scales

    def _layer(self, kind: str, x: int, size, weights, scales, axis: int, zero: int, **options) -> int:
        units = float(self.scales[x][0]) * scales.astype(np.float64)
        fan_in = weights.size // len(scales)
        bias = self.rng.integers(-2000, 2000, len(scales)).astype(np.int32)
        weight = self.tensor(weights.shape, scales, kind="INT8", data=weights, axis=axis)
        offset = self.tensor(bias.shape, units, kind="INT32", data=bias)
        scale = float(np.median(units)) * np.sqrt(fan_in) * 60 * 70 / 40
        y = self.tensor((1, *size, len(scales)), scale, zero, name=f"{kind.lower()}_{len(self.tensors)}")
        self.operator(kind, [x, weight, offset], [y], **options)
        return y

    def conv(self, x: int, channels: int, kernel=(3, 3), stride=(1, 1), padding=SAME, zero=-128, fused=RELU) -> int:
        _, rows, columns, inputs = self.shapes[x]
        weights, scales = self._weights((channels, *kernel, inputs), 0, channels)
        size = sizes((rows, columns), kernel, stride, padding)
        return self._layer(
            "CONV_2D", x, size, weights, scales, 0, zero,
            Padding=padding, StrideH=stride[0], StrideW=stride[1],
            DilationHFactor=1, DilationWFactor=1, FusedActivationFunction=fused,
        )  # fmt: skip

    def depthwise(self, x: int, kernel=(3, 3), stride=(1, 1), padding=SAME, zero=-128, fused=RELU, times=1) -> int:
        _, rows, columns, inputs = self.shapes[x]
        weights, scales = self._weights((1, *kernel, inputs * times), 3, inputs * times)
        size = sizes((rows, columns), kernel, stride, padding)
        return self._layer(
            "DEPTHWISE_CONV_2D", x, size, weights, scales, 3, zero,
            Padding=padding, StrideH=stride[0], StrideW=stride[1], DepthMultiplier=times,
            DilationHFactor=1, DilationWFactor=1, FusedActivationFunction=fused,
        )  # fmt: skip

    def fully_connected(self, x: int, outputs: int, zero=5, fused=NONE) -> int:
        inputs = int(np.prod(self.shapes[x]))
        weights, _ = self._weights((outputs, inputs), 0, outputs)
        scale = np.exp(self.rng.uniform(-6, -4, 1)).astype(np.float32)
        bias = self.rng.integers(-2000, 2000, outputs).astype(np.int32)
        unit = float(self.scales[x][0]) * float(scale[0])
        parts = self.tensor(weights.shape, scale, data=weights), self.tensor(bias.shape, unit, kind="INT32", data=bias)
        y = self.tensor((1, outputs), unit * np.sqrt(inputs) * 100, zero, name=f"dense_{len(self.tensors)}")
        self.operator("FULLY_CONNECTED", [x, *parts], [y], FusedActivationFunction=fused)
        return y

    def like(self, x: int, shape, name: str) -> int:
        """A tensor of the scale of another."""
        return self.tensor(shape, self.scales[x], self.zeros[x], name=f"{name}_{len(self.tensors)}")

    def pool(self, kind: str, x: int, kernel=(2, 2), stride=None, fused=NONE) -> int:
        stride = stride or kernel
        _, rows, columns, channels = self.shapes[x]
        y = self.like(x, (1, *sizes((rows, columns), kernel, stride, VALID), channels), "pool")
        self.operator(
            kind, [x], [y], Padding=VALID, StrideH=stride[0], StrideW=stride[1],
            FilterHeight=kernel[0], FilterWidth=kernel[1], FusedActivationFunction=fused,
        )  # fmt: skip
        return y

    def mean(self, x: int, scale: float, zero: int, keep: bool = False) -> int:
        channels = self.shapes[x][3]
        axes = self.tensor((2,), kind="INT32", data=np.array([1, 2], np.int32))
        y = self.tensor((1, 1, 1, channels) if keep else (1, channels), scale, zero, name=f"mean_{len(self.tensors)}")
        self.operator("MEAN", [x, axes], [y], KeepDims=keep)
        return y

    def join(self, kind: str, a: int, b: int, scale: float, zero: int = -128, fused=RELU) -> int:
        y = self.tensor(self.shapes[a], scale, zero, name=f"{kind.lower()}_{len(self.tensors)}")
        self.operator(kind, [a, b], [y], FusedActivationFunction=fused)
        return y

    def quantize(self, x: int, scale: float, zero: int) -> int:
        y = self.tensor(self.shapes[x], scale, zero, name=f"quantize_{len(self.tensors)}")
        self.operator("QUANTIZE", [x], [y])
        return y

    def softmax(self, x: int) -> int:
        y = self.tensor(self.shapes[x], 1 / 256, -128, name="softmax")
        self.operator("SOFTMAX", [x], [y], Beta=1.0)
        return y

    def reshape(self, x: int, shape) -> int:
        sizes_ = self.tensor((len(shape),), kind="INT32", data=np.asarray(shape, np.int32))
        y = self.like(x, shape, "reshape")
        self.operator("RESHAPE", [x, sizes_], [y])
        return y

    def pad(self, x: int, sides) -> int:
        pads = self.tensor((4, 2), kind="INT32", data=np.asarray(sides, np.int32))
        y = self.like(x, [n + sum(pair) for n, pair in zip(self.shapes[x], sides, strict=True)], "pad")
        self.operator("PAD", [x, pads], [y])
        return y

    def concat(self, *parts: int) -> int:
        channels = sum(self.shapes[x][3] for x in parts)
        y = self.like(parts[0], (*self.shapes[parts[0]][:3], channels), "concat")
        self.operator("CONCATENATION", parts, [y], Axis=3)
        return y

    def written(self, *outputs: int) -> bytes:
        return self.content([self.input], outputs)


def sizes(size, kernel, stride, padding) -> tuple[int, ...]:
    """Rows and columns of a result."""
    counts = zip(size, kernel, stride, strict=True)
    return tuple(-(-n // s) if padding == SAME else (n - k) // s + 1 for n, k, s in counts)
