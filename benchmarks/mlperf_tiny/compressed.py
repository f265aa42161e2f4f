"""The same networks in 4-bit powers of two, trained to answer as the int8 network does. No data set is here: the inputs
are random, and what is measured is not accuracy."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.mlperf_tiny.networks import Network
from hwgen.compress import Recipe, convert, fit, prepare
from hwgen.compress.formats import PowerOfTwo
from hwgen.compress.methods import Magnitude
from hwgen.compress.recipe import Training
from hwgen.formats import read_network
from hwgen.formats.tflite import floats

TRAIN, TEST, BATCH, EPOCHS, RATE = 1024, 256, 32, 10, 5e-4
# of the noise that an input is made of, in numbers along a side
GRIDS, GRIDS_OF_ROW = (2, 4, 8), (8, 32, 128)


def inputs(shape: tuple[int, ...], count: int, seed: int, about: tuple[float, float]) -> Tensor:
    """int8 integers as floats [N, *shape]: noise on coarse grids, interpolated, of random contrast and brightness.

    about -- the integer that it is about, and the contrast as a part of what fills int8
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(*sizes: int) -> Tensor:
        return torch.randn(*sizes, generator=generator)

    rows, columns, channels = shape if len(shape) == 3 else (1, shape[0], 1)
    sizes = [(min(n, rows), min(n, columns)) for n in (GRIDS if len(shape) == 3 else GRIDS_OF_ROW)]
    parts = [F.interpolate(normal(count, channels, *size), (rows, columns), mode="bilinear") for size in sizes]
    contrast = torch.rand(count, 1, 1, 1, generator=generator) * 120 / len(parts) ** 0.5
    x = (sum(parts) * contrast + normal(count, 1, 1, 1) * 40).permute(0, 2, 3, 1).reshape(count, *shape)
    return (x * about[1] + about[0]).round().clamp(-128, 127)


class Teacher:
    """The int8 network, in what its integers are worth."""

    def __init__(self, network: Network, folder: Path):
        self.module, (example,) = read_network(str(folder / network.file))
        self.shape = tuple(example.shape[1:])
        self.scale, self.zero = _scale(folder / network.file, 0)
        self.out = _scale(folder / network.file, -1) if len(self.shape) == 1 else None

    @torch.no_grad()
    def answers(self, x: Tensor) -> Tensor:
        """Probabilities; of the autoencoder its output."""
        y = torch.cat([self.module(part.double()) for part in x.split(64)])
        return (y if self.out is None else (y - self.out[1]) * self.out[0]).float()

    def worth(self, x: Tensor) -> Tensor:
        """The floats that integers of the input stand for."""
        return ((x - self.zero) * self.scale).float()


def _scale(path: Path, place: int) -> tuple[float, int]:
    """Of the input (0) or the output (-1): scale and zero point."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    details = interpreter.get_input_details() if place == 0 else interpreter.get_output_details()
    return details[0]["quantization"]


def trained(network: Network, folder: Path, zeros: float) -> tuple[nn.Module, Tensor, dict]:
    """The compressed network, inputs of test, and what it has in common with its teacher there: of answers that are
    classes the percent that agree, and of the teacher's the percent of its most common class; else the error's part of
    the teacher's variance, in percent."""
    torch.manual_seed(0)
    teacher = Teacher(network, folder)
    module, _ = floats(str(folder / network.floats))
    recipe = Recipe(
        weights=PowerOfTwo(4),
        granularity="channel",
        pruning=Magnitude(zeros=zeros),
        activation_bits=8,
        training=Training(epochs=EPOCHS, rate=RATE, grid_rate=RATE),
    )
    x, test = (inputs(teacher.shape, count, seed, network.about) for count, seed in ((TRAIN, 1), (TEST, 2)))
    batches = list(zip(teacher.worth(x).split(BATCH), teacher.answers(x).split(BATCH), strict=True))
    prepared = prepare(module.float(), recipe, (teacher.worth(x[:1]),))
    classes = teacher.out is None
    fit(prepared, batches, loss=_divergence if classes else F.mse_loss)
    network_ = convert(prepared).eval()
    with torch.no_grad():
        found, wanted = network_(teacher.worth(test)), teacher.answers(test)
    if classes:
        common = torch.bincount(wanted.argmax(1)).max() / len(wanted)
        agree = (found.argmax(1) == wanted.argmax(1)).float().mean()
        shared = {"agree": round(100 * float(agree), 1), "common": round(100 * float(common), 1)}
    else:
        shared = {"error": round(100 * float(F.mse_loss(found, wanted) / wanted.var()), 2)}
    return network_, teacher.worth(test), shared


def _divergence(found: Tensor, wanted: Tensor) -> Tensor:
    """Of probabilities from the teacher's."""
    return F.kl_div((found + 1e-4).log(), wanted, reduction="batchmean")
