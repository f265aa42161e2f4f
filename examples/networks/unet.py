"""U-Net: which pixels are a digit's, among strokes of clutter."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from examples.networks.task import Answers, Task, digits, placed

SIZE = 16


def _twice(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        *(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()),
        *(nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()),
    )


class UNet(nn.Module):
    """[N, 1, 16, 16] -> [N, 1, 16, 16], above zero where a digit is."""

    def __init__(self):
        super().__init__()
        self.down1, self.down2, self.bottom = _twice(1, 6), _twice(6, 12), _twice(12, 24)
        self.up2, self.up1 = nn.ConvTranspose2d(24, 12, 2, 2), nn.ConvTranspose2d(12, 6, 2, 2)
        self.join2, self.join1 = _twice(24, 12), _twice(12, 6)
        self.head = nn.Conv2d(6, 1, 1)

    def forward(self, x):
        one = self.down1(x)
        two = self.down2(functional.max_pool2d(one, 2))
        x = self.up2(self.bottom(functional.max_pool2d(two, 2)))
        x = self.up1(self.join2(torch.cat([two, x], 1)))
        return self.head(self.join1(torch.cat([one, x], 1)))


def data(train: bool) -> tuple[Tensor, Tensor]:
    """Images, and 1 where a digit's pixel is."""
    x, _, corners = placed(train, SIZE, clutter=12)
    masks = torch.zeros_like(x)
    for image, (row, column), mask in zip(digits(train)[0], corners.tolist(), masks, strict=True):
        mask[0, row : row + 8, column : column + 8] = torch.from_numpy(image > 0.2)
    return x, masks


def overlap(answers: Answers, y: Tensor) -> float:
    """Percent of intersection over union, of all pixels together."""
    assert isinstance(answers, Tensor)
    found, wanted = answers > 0, y > 0
    return 100 * float((found & wanted).sum() / (found | wanted).sum())


TASK = Task(UNet, data, functional.binary_cross_entropy_with_logits, overlap, "overlap (IoU)")
