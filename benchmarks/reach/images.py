"""Networks on images, and on volumes: not torchvision's."""

import torch
from torch import nn
from torch.nn import functional


class PreActivation(nn.Module):
    """A block of WideResNet: batch norm and ReLU come before each convolution."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.b1, self.c1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.b2, self.c2 = nn.BatchNorm2d(outputs), nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if inputs != outputs else None

    def forward(self, x):
        y = functional.relu(self.b1(x))
        shortcut = x if self.shortcut is None else self.shortcut(y)
        y = self.c2(functional.relu(self.b2(self.c1(y))))
        return y + shortcut


def wide_resnet() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(3, 4, 3, padding=1, bias=False), PreActivation(4, 8, 1), PreActivation(8, 8, 1)),
        *(PreActivation(8, 16, 2), nn.BatchNorm2d(16), nn.ReLU(), nn.AvgPool2d(8), nn.Flatten(), nn.Linear(16, 10)),
    )


def _twice(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)),
        *(nn.Conv2d(outputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)),
    )


class UNet(nn.Module):
    """Two levels; up by a transposed convolution or by bilinear interpolation."""

    def __init__(self, bilinear: bool):
        super().__init__()
        self.down1, self.down2 = _twice(1, 4), _twice(4, 8)
        self.bottom = _twice(8, 8 if bilinear else 16)
        ups = [nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False) for _ in range(2)]
        self.up2 = ups[0] if bilinear else nn.ConvTranspose2d(16, 8, 2, 2)
        self.join2 = _twice(16, 4 if bilinear else 8)
        self.up1 = ups[1] if bilinear else nn.ConvTranspose2d(8, 4, 2, 2)
        self.join1 = _twice(8, 4)
        self.head = nn.Conv2d(4, 2, 1)

    def forward(self, x):
        one = self.down1(x)
        two = self.down2(functional.max_pool2d(one, 2))
        x = self.up2(self.bottom(functional.max_pool2d(two, 2)))
        x = self.up1(self.join2(torch.cat([two, x], dim=1)))
        return self.head(self.join1(torch.cat([one, x], dim=1)))


def _leaky(inputs: int, outputs: int, kernel: int = 3) -> nn.Module:
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.LeakyReLU(0.1, inplace=True))


class TinyYolo(nn.Module):
    """The two heads of a tiny YOLO: a coarse one, and a fine one behind upsampling."""

    def __init__(self, anchors: int = 3, classes: int = 1):
        super().__init__()
        outputs = anchors * (5 + classes)
        self.stem = nn.Sequential(_leaky(3, 4), nn.MaxPool2d(2, 2), _leaky(4, 8), nn.MaxPool2d(2, 2), _leaky(8, 8))
        self.deep = nn.Sequential(nn.MaxPool2d(2, 2), _leaky(8, 16), _leaky(16, 8, 1))
        self.coarse = nn.Sequential(_leaky(8, 16), nn.Conv2d(16, outputs, 1))
        self.up = nn.Sequential(_leaky(8, 4, 1), nn.Upsample(scale_factor=2))
        self.fine = nn.Sequential(_leaky(12, 8), nn.Conv2d(8, outputs, 1))

    def forward(self, x):
        route = self.stem(x)
        deep = self.deep(route)
        return self.coarse(deep), self.fine(torch.cat([self.up(deep), route], 1))


def autoencoder() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(4, 8, 3, stride=2, padding=1), nn.ReLU()),
        *(nn.ConvTranspose2d(8, 4, 3, stride=2, padding=1, output_padding=1), nn.ReLU()),
        *(nn.ConvTranspose2d(4, 1, 3, stride=2, padding=1, output_padding=1), nn.Sigmoid()),
    )


def conv3d() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv3d(1, 4, 3, padding=1), nn.BatchNorm3d(4), nn.ReLU(), nn.MaxPool3d(2)),
        *(nn.Conv3d(4, 8, 3, padding=1), nn.ReLU(), nn.MaxPool3d(2), nn.Flatten(), nn.Linear(64, 10)),
    )


def lenet(function: type[nn.Module]) -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(1, 4, 5, padding=2), function(), nn.AvgPool2d(2), nn.Conv2d(4, 8, 5), function(), nn.AvgPool2d(2)),
        *(nn.Flatten(), nn.Linear(32, 24), function(), nn.Linear(24, 10)),
    )


class Mixing(nn.Module):
    """Linear, function, Linear over the last dimension."""

    def __init__(self, size: int, hidden: int, function: type[nn.Module]):
        super().__init__()
        self.one, self.function, self.two = nn.Linear(size, hidden), function(), nn.Linear(hidden, size)

    def forward(self, x):
        return self.two(self.function(self.one(x)))


class MlpMixer(nn.Module):
    """Patches of 4x4; each block mixes tokens, then channels."""

    def __init__(self, function: type[nn.Module], norm: bool):
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, 4)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(8) if norm else nn.Identity() for _ in range(3))
        self.tokens, self.channels = Mixing(16, 8, function), Mixing(8, 16, function)
        self.head = nn.Linear(8, 10)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = x + self.tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        x = x + self.channels(self.norm2(x))
        return self.head(self.norm3(x).mean(dim=1))


class Detector(nn.Module):
    """A classifier and a box on the same features."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(4, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        )
        self.classes, self.box = nn.Linear(128, 10), nn.Linear(128, 4)

    def forward(self, x):
        x = self.features(x)
        return self.classes(x), self.box(x)


class Mnist(nn.Module):
    """The network of pytorch/examples, an eighth as wide."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 4, 3, 1), nn.Conv2d(4, 8, 3, 1)
        self.dropout1, self.dropout2 = nn.Dropout(0.25), nn.Dropout(0.5)
        self.fc1, self.fc2 = nn.Linear(8 * 6 * 6, 16), nn.Linear(16, 10)

    def forward(self, x):
        x = functional.relu(self.conv1(x))
        x = functional.relu(self.conv2(x))
        x = functional.max_pool2d(x, 2)
        x = torch.flatten(self.dropout1(x), 1)
        x = functional.relu(self.fc1(x))
        return functional.log_softmax(self.fc2(self.dropout2(x)), dim=1)


class Vgg(nn.Module):
    """torchvision's forward(); its own widths are fixed. Here the average is over a map of its output's size."""

    def __init__(self):
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in ((3, 4), (4, 8), (8, 8)):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
            layers += [nn.MaxPool2d(2, 2)]
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((4, 4))
        self.classifier = nn.Sequential(nn.Linear(128, 32), nn.ReLU(True), nn.Dropout(), nn.Linear(32, 10))

    def forward(self, x):
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


def alexnet() -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 11, stride=4, padding=5), nn.ReLU(inplace=True), nn.Conv2d(8, 8, 5, padding=2)),
        *(nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, padding=1), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(inplace=True)),
        *(nn.AdaptiveAvgPool2d((2, 2)), nn.Flatten(), nn.Dropout(), nn.Linear(64, 16), nn.ReLU(inplace=True)),
        nn.Linear(16, 10),
    )


def ds_cnn() -> nn.Module:
    """Keywords from 49 times 10 cepstral coefficients; the average is over 25x5."""
    layers: list[nn.Module] = [nn.Conv2d(1, 8, (10, 4), stride=2, padding=(5, 1)), nn.BatchNorm2d(8), nn.ReLU()]
    for _ in range(2):
        layers += [nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.BatchNorm2d(8), nn.ReLU()]
        layers += [nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 12))
