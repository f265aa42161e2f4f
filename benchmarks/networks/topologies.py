"""Networks of real size in plain PyTorch, float, with their batch norms, as published. A last softmax is left out.

TensorFlow's "same" padding of a stride-2 layer has its odd row or column below and at the right, so it is a ZeroPad2d.
An average over 9, 49 or 120 pixels is the sum times 1/8, 1/64 or 1/128: what is left of the factor goes, in a trained
network, into the weights of the layer behind it before they are quantized.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from torch import Tensor, nn

from hwgen.nn import AvgPool2d

norm = partial(nn.BatchNorm2d, eps=1e-3)  # as TensorFlow's


def same(inputs: int, outputs: int, kernel: tuple[int, int], stride: int, size: tuple[int, int], **options):
    """A convolution with TensorFlow's "same" padding for inputs of `size` rows and columns, as a list of modules."""
    total = [max(0, (-(-n // stride) - 1) * stride + k - n) for n, k in zip(size, kernel, strict=True)]
    (top, bottom), (left, right) = ((t // 2, t - t // 2) for t in total)
    if (top, left) == (bottom, right):
        return [nn.Conv2d(inputs, outputs, kernel, stride, (top, left), **options)]
    return [nn.ZeroPad2d((left, right, top, bottom)), nn.Conv2d(inputs, outputs, kernel, stride, **options)]


class Residual(nn.Module):
    """Two 3x3 convolutions and a shortcut: the input itself, or a 1x1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, size: int):
        super().__init__()
        stride = 1 if inputs == outputs else 2
        self.convs = nn.Sequential(
            *same(inputs, outputs, (3, 3), stride, (size, size)),
            norm(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1),
            norm(outputs),
        )
        self.shortcut = nn.Identity() if stride == 1 else nn.Conv2d(inputs, outputs, 1, stride)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.shortcut(x) + self.convs(x))


def resnet8() -> nn.Module:
    """MLPerf Tiny, image classification: resnet_v1_eembc with 16 filters, the pretrained reference of v0.5 to v1.x.

    mlcommons/tiny, benchmark/training/image_classification/keras_model.py. The shortcut convolutions have no batch
    norm.
    """
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        norm(16),
        nn.ReLU(),
        Residual(16, 16, 32),
        Residual(16, 32, 32),
        Residual(32, 64, 16),
        nn.AvgPool2d(8),
        nn.Flatten(),
        nn.Linear(64, 10),
    )


def separable(inputs: int, outputs: int, stride: int, size: tuple[int, int], bias: bool) -> list[nn.Module]:
    """A depthwise 3x3 and a pointwise convolution, each with batch norm and ReLU."""
    return [
        *same(inputs, inputs, (3, 3), stride, size, groups=inputs, bias=bias),
        norm(inputs),
        nn.ReLU(),
        nn.Conv2d(inputs, outputs, 1, bias=bias),
        norm(outputs),
        nn.ReLU(),
    ]


def ds_cnn() -> nn.Module:
    """MLPerf Tiny, keyword spotting: 49 frames of 10 cepstral coefficients, 12 words.

    mlcommons/tiny, benchmark/training/keyword_spotting/keras_model.py, after Zhang et al., "Hello Edge", arXiv
    1711.07128. The average pool is 24x5, half the input's size rounded down, so the last of the 25 rows is not read.
    """
    layers = [*same(1, 64, (10, 4), 2, (49, 10)), norm(64), nn.ReLU(), nn.Dropout(0.2)]
    for _ in range(4):
        layers += separable(64, 64, 1, (25, 5), bias=True)
    return nn.Sequential(*layers, nn.Dropout(0.4), AvgPool2d((24, 5), bits=1), nn.Flatten(), nn.Linear(64, 12))


# outputs and stride of MobileNetV1's separable blocks at width 1
MOBILENET = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]


def mobilenet(divisor: int, size: int, classes: int, bias: bool) -> nn.Module:
    """MobileNetV1 (Howard et al., arXiv 1704.04861, table 1), its channels divided by `divisor`.

    ReLU as in the paper; later implementations have ReLU6. The last depthwise layer has stride 1: its stride 2 in the
    paper's table contradicts the sizes there. The padding is "same", as in the authors' own TensorFlow code.
    """
    channels = 32 // divisor
    layers = [*same(3, channels, (3, 3), 2, (size, size), bias=bias), norm(channels), nn.ReLU()]
    size //= 2
    for outputs, stride in MOBILENET:
        layers += separable(channels, outputs // divisor, stride, (size, size), bias)
        channels, size = outputs // divisor, size // stride
    return nn.Sequential(*layers, AvgPool2d(size, bits=1), nn.Flatten(), nn.Linear(channels, classes))


def autoencoder() -> nn.Module:
    """MLPerf Tiny, anomaly detection: 5 frames of 128 mel bands, and back.

    mlcommons/tiny, benchmark/training/anomaly_detection/keras_model.py.
    """
    sizes = [640, 128, 128, 128, 128, 8, 128, 128, 128, 128]
    layers = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs, eps=1e-3), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(128, 640))


def cnv() -> nn.Module:
    """FINN's CNV (Umuroglu et al., FPGA 2017, arXiv 1612.07119): VGG-like, 3x3 without padding or biases.

    The order of layers is that of Xilinx/brevitas, src/brevitas_examples/bnn_pynq/models/CNV.py: signed quantizers are
    the only activations. The scale behind the last layer is left out.
    """
    layers, inputs = [], 3
    for outputs, pool in [(64, False), (64, True), (128, False), (128, True), (256, False), (256, False)]:
        layers += [nn.Conv2d(inputs, outputs, 3, bias=False), nn.BatchNorm2d(outputs, eps=1e-4)]
        layers += [nn.MaxPool2d(2)] * pool
        inputs = outputs
    layers.append(nn.Flatten())
    for inputs, outputs in [(256, 512), (512, 512)]:
        layers += [nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs, eps=1e-4)]
    return nn.Sequential(*layers, nn.Linear(512, 10, bias=False))


@dataclass(frozen=True)
class Topology:
    """A float network, the shape of its input without the batch, and the least of its inputs, which end at 1.

    batch -- frames that its batch norms and quantizers are calibrated on
    """

    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    least: float
    batch: int


TOPOLOGIES = {
    "resnet8": Topology(resnet8, (3, 32, 32), 0.0, 16),
    "ds_cnn": Topology(ds_cnn, (1, 49, 10), -1.0, 32),
    "mobilenet_025_96": Topology(lambda: mobilenet(4, 96, 2, bias=True), (3, 96, 96), 0.0, 16),
    "autoencoder": Topology(autoencoder, (640,), -1.0, 256),
    "cnv": Topology(cnv, (3, 32, 32), -1.0, 64),
    "mobilenet_224": Topology(lambda: mobilenet(1, 224, 1000, bias=False), (3, 224, 224), 0.0, 4),
}
