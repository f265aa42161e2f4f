"""Trained networks as files that `hwgen build` takes, made anew by the runs that train them."""

from pathlib import Path

import torch
from torch import Tensor, nn

FOLDER = Path(__file__).parents[2] / "build" / "spiking"


def save(name: str, network: nn.Module, sample: Tensor) -> None:
    """sample -- the frames of one"""
    FOLDER.mkdir(parents=True, exist_ok=True)
    torch.export.save(torch.export.export(network.eval(), (sample.clone(),)), path(name))


def path(name: str) -> Path:
    return FOLDER / f"{name.replace(' / ', ', ')}.pt2"
