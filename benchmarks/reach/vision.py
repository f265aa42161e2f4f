"""torchvision's own classes, thin: the model files need none of the compiled operators that their package registers."""

from functools import partial

import torch
from torch import nn

try:
    import torchvision  # noqa: F401
except RuntimeError:  # a package built for CUDA beside a torch for the CPU: importing it asks for two operators' names
    for _name in ("nms", "qnms"):
        torch.library.define(f"torchvision::{_name}", "(Tensor boxes, Tensor scores, float iou_threshold) -> Tensor")

from torchvision.models.convnext import CNBlock
from torchvision.models.densenet import DenseNet
from torchvision.models.efficientnet import EfficientNet, MBConvConfig
from torchvision.models.googlenet import Inception
from torchvision.models.mobilenetv2 import MobileNetV2
from torchvision.models.mobilenetv3 import InvertedResidualConfig, MobileNetV3
from torchvision.models.resnet import BasicBlock, ResNet
from torchvision.models.shufflenetv2 import ShuffleNetV2
from torchvision.models.squeezenet import Fire

CLASSES = 10


class ThinResNet(ResNet):
    """A sixteenth of the width."""

    def _make_layer(self, block, planes, blocks, stride=1, dilate=False):
        if planes == 64:
            self.inplanes = 4
        return super()._make_layer(block, planes // 16, blocks, stride, dilate)


def resnet18() -> nn.Module:
    model = ThinResNet(BasicBlock, [2, 2, 2, 2], CLASSES)
    model.conv1, model.bn1 = nn.Conv2d(3, 4, 7, 2, 3, bias=False), nn.BatchNorm2d(4)
    model.fc = nn.Linear(32, CLASSES)
    return model


def mobilenet_v2() -> nn.Module:
    return MobileNetV2(CLASSES, 0.25, [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 2, 2]])


def mobilenet_v3_small() -> nn.Module:
    """A block of each kind: with the gate and without, ReLU and hardswish."""
    block = partial(InvertedResidualConfig, dilation=1, width_mult=0.25)
    blocks = [
        block(16, 3, 16, 16, True, "RE", 2),
        block(16, 3, 72, 24, False, "RE", 2),
        block(24, 3, 88, 24, False, "RE", 1),
        block(24, 5, 96, 40, True, "HS", 2),
    ]
    return MobileNetV3(blocks, 64, CLASSES)


def efficientnet_b0() -> nn.Module:
    block = partial(MBConvConfig, width_mult=0.25)
    return EfficientNet(
        [block(1, 3, 1, 32, 16, 1), block(6, 3, 2, 16, 24, 1), block(6, 5, 2, 24, 40, 1)], 0.2, 0.2, CLASSES
    )


def densenet() -> nn.Module:
    return DenseNet(4, (2, 2), 8, bn_size=2, num_classes=CLASSES)


def shufflenet_v2() -> nn.Module:
    return ShuffleNetV2([2, 2, 2], [8, 16, 16, 32, 32], CLASSES)


def squeezenet() -> nn.Module:
    """SqueezeNet 1.1: its Fire modules, a tenth as wide, and its pools."""
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, ceil_mode=True)),
        *(Fire(8, 4, 8, 8), Fire(16, 4, 8, 8), nn.MaxPool2d(3, 2, ceil_mode=True), Fire(16, 4, 8, 8)),
        *(nn.Dropout(0.5), nn.Conv2d(16, CLASSES, 1), nn.ReLU(inplace=True)),
        *(nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten()),
    )


def inception() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), Inception(8, 4, 4, 8, 2, 4, 4)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(20, CLASSES)),
    )


def convnext() -> nn.Module:
    """Its block behind a stem of patches."""
    block = CNBlock(8, layer_scale=0.5, stochastic_depth_prob=0.0)
    return nn.Sequential(nn.Conv2d(3, 8, 4, 4), block, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, CLASSES))
