"""Trains, prunes and quantizes LeNet-5: `python -m examples.lenet5.train FOLDER`."""

from pathlib import Path

import click
import torch

from examples.common import Recipe, compress, print_table
from examples.lenet5.model import HERE, network, read_mnist, test_data

RECIPES = {
    "conv1": Recipe(zeros=0.6, input_unit=-8),
    "conv2": Recipe(zeros=0.82, input_unit=-2),
    "linear1": Recipe(zeros=0.96, input_unit=-1),
    "linear2": Recipe(zeros=0.93, input_unit=-1),
    "linear3": Recipe(zeros=0.8, input_unit=-1),
}


def jitter(images: torch.Tensor) -> torch.Tensor:
    """The batch moved by up to one pixel."""
    dy, dx = torch.randint(-1, 2, (2,)).tolist()
    return torch.nn.functional.pad(images, (dx, -dx, dy, -dy))


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--seed", default=0, show_default=True)
@click.option("--out", default=HERE / "lenet5.pt", type=Path, help="The checkpoint to write.")
def main(folder: Path, seed: int, out: Path):
    """Writes the checkpoint and prints the table of the README.

    FOLDER holds MNIST's train-images-idx3-ubyte.gz and train-labels-idx1-ubyte.gz.
    """
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    x, y = map(torch.from_numpy, read_mnist(folder, "train"))
    model = network()
    compress(
        model,
        x,
        y,
        RECIPES,
        bias_bits=6,
        epochs=(5, 11, 11),
        rates=(2e-3, 1e-3, 1e-3),
        batch=128,
        augment=jitter,
    )
    torch.save(model.state_dict(), out)
    print_table(model, *test_data())


if __name__ == "__main__":
    main()
