"""Networks on sequences, sets of points, and plain features."""

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import weight_norm


class TemporalBlock(nn.Module):
    """Causal dilated convolutions with a residual; the past is padded with zeros by a call."""

    def __init__(self, inputs: int, outputs: int, dilation: int, kernel: int = 3):
        super().__init__()
        self.past = (kernel - 1) * dilation
        self.conv1 = nn.Conv1d(inputs, outputs, kernel, dilation=dilation)
        self.conv2 = nn.Conv1d(outputs, outputs, kernel, dilation=dilation)
        self.shortcut = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x):
        y = functional.relu(self.conv1(functional.pad(x, (self.past, 0))))
        y = functional.relu(self.conv2(functional.pad(y, (self.past, 0))))
        return functional.relu(y + self.shortcut(x))


def tcn() -> nn.Module:
    return nn.Sequential(
        *(TemporalBlock(2, 8, 1), TemporalBlock(8, 8, 2), nn.AvgPool1d(32), nn.Flatten(), nn.Linear(8, 5))
    )


class Chomp(nn.Module):
    """Takes away what padding on both sides has put behind the end."""

    def __init__(self, size: int):
        super().__init__()
        self.size = size

    def forward(self, x):
        return x[:, :, : -self.size].contiguous()


class ChompBlock(nn.Module):
    """The block of the sequence models of Bai, Kolter and Koltun, with its weight norm."""

    def __init__(self, inputs: int, outputs: int, dilation: int, kernel: int = 3):
        super().__init__()
        past = (kernel - 1) * dilation
        conv1 = weight_norm(nn.Conv1d(inputs, outputs, kernel, padding=past, dilation=dilation))
        conv2 = weight_norm(nn.Conv1d(outputs, outputs, kernel, padding=past, dilation=dilation))
        self.net = nn.Sequential(
            *(conv1, Chomp(past), nn.ReLU(), nn.Dropout(0.2), conv2, Chomp(past), nn.ReLU(), nn.Dropout(0.2))
        )
        self.downsample = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        return functional.relu(self.net(x) + shortcut)


class ChompTcn(nn.Module):
    def __init__(self):
        super().__init__()
        self.tcn = nn.Sequential(ChompBlock(2, 8, 1), ChompBlock(8, 8, 2))
        self.linear = nn.Linear(8, 5)

    def forward(self, x):
        return self.linear(self.tcn(x)[:, :, -1])


class Residual1d(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv1d(inputs, outputs, 5, stride, 2, bias=False), nn.BatchNorm1d(outputs)
        self.conv2, self.bn2 = nn.Conv1d(outputs, outputs, 5, 1, 2, bias=False), nn.BatchNorm1d(outputs)
        self.shortcut = nn.Sequential(nn.Conv1d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm1d(outputs))

    def forward(self, x):
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        return functional.relu(y + self.shortcut(x))


def resnet1d() -> nn.Module:
    """For electrocardiograms."""
    return nn.Sequential(
        *(nn.Conv1d(1, 4, 7, 2, 3, bias=False), nn.BatchNorm1d(4), nn.ReLU(), nn.MaxPool1d(3, 2, 1)),
        *(Residual1d(4, 8, 2), Residual1d(8, 8, 2), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 5)),
    )


def mlp_autoencoder() -> nn.Module:
    widths = (32, 16, 8, 4, 8, 16)
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(16, 32))


def jet_tagging() -> nn.Module:
    """A batch norm first and a softmax last."""
    return nn.Sequential(
        *(nn.BatchNorm1d(16), nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU()),
        *(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 5), nn.Softmax(dim=1)),
    )


class KeywordTransformer(nn.Module):
    """Frames of 10 coefficients, positions learned, one encoder layer of torch's, the mean over time."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(10, 8)
        self.position = nn.Parameter(torch.randn(1, 16, 8) * 0.1)
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, activation="gelu", batch_first=True)
        self.head = nn.Linear(8, 12)

    def forward(self, x):
        return self.head(self.encoder(self.embed(x) + self.position).mean(dim=1))


class Attention(nn.Module):
    """Attention by hand: one Linear for queries, keys and values, two heads, softmax over the keys."""

    def __init__(self, size: int = 8, heads: int = 2):
        super().__init__()
        self.heads, self.scale = heads, (size // heads) ** -0.5
        self.qkv, self.out = nn.Linear(size, 3 * size), nn.Linear(size, size)

    def forward(self, x):
        batch, length, size = x.shape
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        q, k, v = (t.view(batch, length, self.heads, size // self.heads).transpose(1, 2) for t in (q, k, v))
        weights = torch.softmax(q @ k.transpose(-2, -1) * self.scale, dim=-1)
        return self.out((weights @ v).transpose(1, 2).reshape(batch, length, size))


class AttentionByHand(nn.Module):
    """A transformer's block with the norms first."""

    def __init__(self):
        super().__init__()
        self.embed, self.norm1, self.attention = nn.Linear(10, 8), nn.LayerNorm(8), Attention()
        self.norm2, self.head = nn.LayerNorm(8), nn.Linear(8, 12)
        self.mlp = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))

    def forward(self, x):
        x = self.embed(x)
        x = x + self.attention(self.norm1(x))
        x = x + self.mlp(self.norm2(x))
        return self.head(x.mean(dim=1))


class Recurrent(nn.Module):
    """The last step of an LSTM or a GRU, classified."""

    def __init__(self, cell: type[nn.Module]):
        super().__init__()
        self.cell = cell(10, 8, batch_first=True)
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        y, _ = self.cell(x)
        return self.head(y[:, -1])


class PointNet(nn.Module):
    """Features of each point, the greatest over all points, a classifier."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv1d(3, 8, 1), nn.BatchNorm1d(8)
        self.conv2, self.bn2 = nn.Conv1d(8, 16, 1), nn.BatchNorm1d(16)
        self.conv3, self.bn3 = nn.Conv1d(16, 32, 1), nn.BatchNorm1d(32)
        self.fc1, self.bn4, self.fc2 = nn.Linear(32, 16), nn.BatchNorm1d(16), nn.Linear(16, 10)

    def forward(self, x):
        x = functional.relu(self.bn1(self.conv1(x)))
        x = functional.relu(self.bn2(self.conv2(x)))
        x = self.bn3(self.conv3(x))
        x = torch.max(x, 2, keepdim=True)[0]
        x = functional.relu(self.bn4(self.fc1(x.view(-1, 32))))
        return functional.log_softmax(self.fc2(x), dim=1)


class DuelingDqn(nn.Module):
    """The value of a state and the advantage of each action."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Linear(8, 32), nn.ReLU())
        self.value = nn.Sequential(nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 1))
        self.advantage = nn.Sequential(nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 2))

    def forward(self, x):
        x = self.features(x)
        advantage = self.advantage(x)
        return self.value(x) + advantage - advantage.mean(dim=1, keepdim=True)
