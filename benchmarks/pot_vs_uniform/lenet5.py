"""LeNet-5 on MNIST in each format: python -m benchmarks.pot_vs_uniform.lenet5 MNIST.

MNIST is the folder of the four idx.gz files. All start from one float network, that of benchmarks.compress, and are
pruned to the same share of zeros by the recipe of its table, so accuracies differ by format and seed alone. A network
whose accuracy is in accuracy.json is not trained again. Those of seed 0 are kept beside it, for the hardware.
"""

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import click
import torch
from torch.export import ExportedProgram

from benchmarks.compress import FORMATS, QUICK, data, float_network
from hwgen.compress import Recipe, accuracy, convert, fit, prepare
from hwgen.compress.methods import Magnitude
from hwgen.compress.size import sizes

HERE = Path(__file__).parent
RESULTS = HERE / "accuracy.json"
NAMES = {"pot4": "PoT 4", "uniform4": "uniform 4", "uniform8": "uniform 8"}
KEPT = ((90, 0), (50, 0))
RUNS = [(format, percent, seed) for percent, seed in (*KEPT, (90, 1), (90, 2)) for format in NAMES]


def recipe(format: str, percent: int, seed: int) -> Recipe:
    """4-bit activations, `percent` zeros over all layers, by magnitude, in all of which formats differ in nothing."""
    return Recipe(
        weights=FORMATS[NAMES[format]],
        pruning=Magnitude(percent / 100),
        break_even=False,  # which would prune a layer in one format, and not in another
        training=replace(QUICK, seed=seed),
    )


def path(format: str, percent: int) -> Path:
    return HERE / f"lenet5-{format}-{percent}.zip"


def load(format: str, percent: int) -> ExportedProgram:
    """The trained network of seed 0."""
    with zipfile.ZipFile(path(format, percent)) as archive:
        return torch.export.load(io.BytesIO(archive.read("model.pt2")))


def train(format: str, percent: int, seed: int, folder: Path) -> dict:
    """Trains one network; the test images are looked at once, at its end."""
    train, validation, test = data("lenet5", folder)
    start = float_network("lenet5", 0, train)
    of_float = accuracy(start, test)
    prepared = prepare(start, recipe(format, percent, seed))
    fit(prepared, train, validation, show=lambda line: print(format, percent, seed, line, flush=True))
    converted = convert(prepared)
    example = (next(iter(test))[0][:1].clone(),)  # without the batch that it is a view of
    if (percent, seed) in KEPT:
        written = io.BytesIO()
        torch.export.save(torch.export.export(converted, example), written)
        with zipfile.ZipFile(path(format, percent), "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("model.pt2", written.getvalue())
    whole = sizes(converted, example)[-1]
    return {
        "float": of_float,
        "accuracy": accuracy(converted, test),
        "validation": accuracy(converted, validation),
        "weights": whole.weights,
        "zeros": 1 - whole.nonzero / whole.weights,
        "terms": whole.terms,
        "terms_per_frame": whole.terms_per_frame,
    }


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(folder):
    torch.set_num_threads(1)
    for format, percent, seed in RUNS:
        known = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
        name = f"{format}-{percent}-{seed}"
        if name not in known:
            known[name] = train(format, percent, seed, folder)
            RESULTS.write_text(json.dumps(known, indent=1) + "\n")
            click.echo(f"{name}: {known[name]}")


if __name__ == "__main__":
    main()
