"""Trains, prunes and quantizes the digits network: `python -m examples.digits.train`."""

from pathlib import Path

import click
import torch

from examples.common import APOT4, Recipe, compress, print_table
from examples.digits.model import Digits, test_data, train_data

RECIPES = {
    "conv1": Recipe(zeros=0.4, input_unit=-4),
    "conv2": Recipe(zeros=0.6, input_unit=-2, magnitudes=APOT4),
    "depthwise": Recipe(zeros=0.3, input_unit=-2),
    "pointwise": Recipe(zeros=0.55, input_unit=-2),
    "linear": Recipe(zeros=0.6, input_unit=-2),
}

STAY_OR_STEP = ((0, 0), (0, 0), (0, 1), (0, -1), (1, 0), (-1, 0))


def jitter(images: torch.Tensor) -> torch.Tensor:
    """Two batches in three move by one pixel, so that 1,437 images are not learnt by heart."""
    dy, dx = STAY_OR_STEP[int(torch.randint(len(STAY_OR_STEP), (1,)))]
    return torch.nn.functional.pad(images, (dx, -dx, dy, -dy))


@click.command()
@click.option("--seed", default=0, show_default=True)
@click.option("--out", default=Path(__file__).with_name("digits.pt"), type=Path, help="The checkpoint to write.")
def main(seed: int, out: Path):
    """Writes the checkpoint and prints the table of the README."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    x, y = map(torch.from_numpy, train_data())
    model = Digits()
    compress(
        model,
        x,
        y,
        RECIPES,
        bias_bits=6,
        epochs=(40, 40, 60),
        rates=(3e-3, 1e-3, 1e-3),
        batch=32,
        augment=jitter,
    )
    torch.save(model.state_dict(), out)
    print_table(model, *test_data())


if __name__ == "__main__":
    main()
