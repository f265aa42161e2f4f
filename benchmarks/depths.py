"""Logic depth of units of every kind: LUTs and carry chains between registers, as `benchmarks.depth` counts them.

    python -m benchmarks.depths [--only NAME] [--again]

Results are in depths.json; what is built as it was is not mapped again. The table of docs/clock.md is made from that
file.
"""

import fnmatch
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import click
import torch
from torch import nn

from benchmarks import depth
from benchmarks.kinds import lanes_of
from benchmarks.spatial.__main__ import read, record
from benchmarks.spatial.tables import table, write_document
from hwgen import build
from hwgen.config import BuildConfig
from hwgen.engines import engines
from hwgen.folder import sources_digest
from hwgen.manifest import read_manifest
from hwgen.nn import GRU, LIF, LSTM, ActQuant, LayerNorm, Softmax, StepsIn, StepsOut
from hwgen.nn_spiking import RecurrentLIF

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).parent / "depths.json"
COLUMNS = (*depth.ENDS, "most LUTs", "most chains")


class Joins(nn.Module):
    """Convolutions, a pool, a table, and joins of each kind."""

    def __init__(self):
        super().__init__()
        self.acts = nn.ModuleList(ActQuant(8, -4, True) for _ in range(8))
        self.first, self.second, self.last = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3), nn.Conv2d(16, 8, 3)

    def forward(self, x):
        x = self.acts[1](nn.functional.silu(self.acts[2](self.first(self.acts[0](x)))))
        y = self.acts[3](self.second(nn.functional.max_pool2d(x, 2)))
        y = nn.functional.interpolate(y, scale_factor=2)
        x = self.acts[4](x[:, :, 2:-2, 2:-2] * y)
        return self.acts[6](self.last(self.acts[5](torch.cat([x, self.acts[7](x - y)], 1))))


class Scaled(nn.Module):
    """Two convolutions between quantizers whose scales are no powers of two."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.weights = [
            torch.randint(-7, 8, shape, generator=generator).double() for shape in ((8, 4, 3, 3), (8, 8, 3, 3))
        ]
        self.scales = [torch.randint(120, 240, (len(w), 1, 1, 1), generator=generator) / 8192 for w in self.weights]

    def forward(self, x):
        quantize = torch.ops.hwgen.quantize_affine
        for step, weight, scale in zip((0.375, 0.3), self.weights, self.scales, strict=True):
            step = torch.tensor([step])
            x = quantize(x, step, torch.zeros(1), 0, -128, 127, "half_even") * step.double()
            x = nn.functional.conv2d(x, weight * scale.double())
        return quantize(x, torch.ones(1), torch.zeros(1), 0, -128, 127, "half_even")


class Sequence(nn.Module):
    """A product of computed matrices, or a cell, over a sequence."""

    def __init__(self, cell: type | None):
        super().__init__()
        self.quant, self.product = ActQuant(8, -5, True), ActQuant(8, -2, True)
        self.cell = cell and cell(8, 16)

    def forward(self, x):
        x = self.quant(x)
        return self.cell(x)[0] if self.cell else self.product(x @ x.transpose(1, 2))


def weighed(net: nn.Module) -> nn.Module:
    """With weights of 4 bits, of which a third is zero."""
    generator = torch.Generator().manual_seed(1)
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            shape = layer.weight.shape
            weight = torch.randint(-7, 8, shape, generator=generator) * (torch.rand(shape, generator=generator) > 1 / 3)
            layer.weight.data = weight / 16.0
            if layer.bias is not None:
                layer.bias.data = torch.randint(-64, 64, layer.bias.shape, generator=generator) / 64
    return net.eval()


def plain() -> nn.Module:
    acts = [ActQuant(8, -4, True) for _ in range(3)]
    return nn.Sequential(acts[0], nn.Conv2d(3, 8, 3), acts[1], nn.MaxPool2d(2), nn.Conv2d(8, 8, 3), acts[2])


def over_channels() -> nn.Module:
    return nn.Sequential(
        ActQuant(8, -4, True),
        nn.Conv2d(16, 64, 1),
        ActQuant(8, -4, True),
        nn.LeakyReLU(0.25),
        ActQuant(8, -4, True),
        LayerNorm(-5, 8, -4, dim=1),
        Softmax(-4, 8, dim=1),
        _Greatest(),
    )


class _Greatest(nn.Module):
    def forward(self, x):
        return x.topk(4, 1)[0]


def time_steps() -> nn.Module:
    return nn.Sequential(
        ActQuant(8, -8),
        nn.Linear(64, 32),
        StepsIn(5),
        LIF(5, -6, leak=(3,)),
        nn.Linear(32, 10),
        StepsOut(5, margin=8.0),
    )


def comes_back() -> nn.Module:
    weight = torch.randint(-7, 8, (32, 32), generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    options = {"leak": (1, 3), "threshold": 15.0, "guard": 3, "rounding": "half_up", "synapse": (1,)}
    return nn.Sequential(ActQuant(8, 0, signed=True), RecurrentLIF(weight, 5, 0, **options)).double()


def spikes() -> nn.Module:
    return nn.Sequential(ActQuant(1, 0), nn.Linear(128, 64), ActQuant(1, -1), nn.Linear(64, 10), ActQuant(8, 0, True))


@contextmanager
def slices(wanted: int, lanes: int | None = None) -> Iterator[None]:
    """Within it products are in DSP slices, or not, of those that may be; and so many are made in step."""

    def choices(self, stage, limits, sides, own):
        found = own(self, stage, replace(limits, dsp=bool(wanted)), sides)
        found = [one for one in found if one.slices == wanted] or found
        return [one for one in found if getattr(one, "lanes", lanes) == lanes] or found

    with ExitStack() as stack:
        for engine in {type(one) for one in engines().values()}:
            if hasattr(getattr(engine, "choice"), "slices"):  # noqa: B009
                own = engine.choices
                stack.enter_context(
                    patch.object(engine, "choices", lambda self, s, li, si, own=own: choices(self, s, li, si, own))
                )
        yield


Made = tuple[Callable[[], nn.Module], tuple[int, ...], dict, Callable]
IMAGE, SERIES = (1, 3, 16, 16), (1, 12, 8)
NETWORKS: dict[str, Made] = {
    "joins, LUT lanes": (Joins, IMAGE, {"engine": "lanes", "lanes": 8}, lambda: lanes_of("lut")),
    "DSP lanes": (plain, IMAGE, {"engine": "lanes", "lanes": 8}, lambda: lanes_of("dsp")),
    "MAC lanes": (plain, IMAGE, {"engine": "lanes", "lanes": 8}, lambda: lanes_of("mac")),
    "loadable": (plain, IMAGE, {"engine": "lanes", "lanes": 8, "loadable": "*"}, lambda: lanes_of("lut")),
    "protected": (plain, IMAGE, {"engine": "lanes", "lanes": 8, "protect": "ecc,tmr-control"}, lambda: lanes_of("lut")),
    "joins, spatial": (Joins, IMAGE, {"engine": "spatial"}, ExitStack),
    "joins, spatial, --levels 1": (Joins, IMAGE, {"engine": "spatial", "levels": 1}, ExitStack),
    "over channels": (over_channels, (1, 16, 4, 4), {"lanes": 4}, lambda: slices(0)),
    "over channels, in DSP slices": (over_channels, (1, 16, 4, 4), {"lanes": 4}, lambda: slices(1)),
    "factors": (Scaled, (1, 4, 12, 12), {"engine": "lanes", "lanes": 8}, ExitStack),
    "product of matrices": (lambda: Sequence(None), SERIES, {}, lambda: slices(0, 4)),
    "product of matrices, in DSP slices": (lambda: Sequence(None), SERIES, {}, lambda: slices(1, 4)),
    "LSTM": (lambda: Sequence(LSTM), SERIES, {}, lambda: slices(0, 4)),
    "GRU": (lambda: Sequence(GRU), SERIES, {}, lambda: slices(0, 4)),
    "time steps": (time_steps, (1, 64), {"lanes": 4}, ExitStack),
    "spikes that come back": (comes_back, (1, 32), {"lanes": 4}, ExitStack),
    "lists for spikes": (spikes, (1, 128), {"engine": "spikes", "lanes": 4}, ExitStack),
}


def build_network(name: str, folder: Path) -> None:
    """Builds one of NETWORKS."""
    model, shape, options, within = NETWORKS[name]
    with within():
        net = weighed(model())
        dtype = torch.float64 if isinstance(net, Scaled) else next(net.parameters(), torch.zeros(1)).dtype
        build(net, (torch.zeros(shape, dtype=dtype),), out=folder, config=BuildConfig(name="net", **options))


def measure(name: str, folder: Path, known: dict, again: bool) -> dict:
    """Of each unit of a network its kind and depths."""
    build_network(name, folder)
    manifest = read_manifest(folder)
    sources = sources_digest(folder, manifest)
    if not again and known.get("sources") == sources:
        return known
    found = depth.measure(folder)
    kinds = {unit["name"]: unit["module"] for unit in manifest["units"]}
    units = [
        [
            kinds[unit].removesuffix(f"_{unit}"),
            unit,
            {key: path and [path.luts, path.chains, path.text] for key, path in paths.items()},
        ]
        for unit, paths in found.items()
    ]
    return {"sources": sources, "units": units}


def tables(results: dict) -> str:
    """Markdown: of each network the deepest unit of a kind; then the paths that exceed the goal."""
    rows, over = [], []
    for network in NETWORKS:
        deepest: dict[str, tuple] = {}
        for kind, unit, paths in results.get(network, {}).get("units", []):
            found = {key: depth.Longest(*path) for key, path in paths.items() if path}
            rank = max((path.luts + path.chains, path.luts) for path in [*found.values(), depth.Longest(0, 0, "")])
            if kind not in deepest or rank > deepest[kind][0]:
                deepest[kind] = rank, unit, found
        for kind, (_, unit, found) in deepest.items():
            rows.append((network, kind, unit, *(str(found.get(key, "-")) for key in COLUMNS)))
            texts = {
                f"- {network}, {unit} ({kind}): {found[key]}: {found[key].text}\n"
                for key in ("most LUTs", "most chains")
                if key in found and (found[key].luts > depth.MOST_LUTS or found[key].chains > depth.MOST_CHAINS)
            }
            over += sorted(texts)
    return table(("network", "unit", "the deepest of them", *COLUMNS), rows) + "\n" + "".join(over)


@click.command(help=__doc__)
@click.option("--only", default="*", help="Networks that match this pattern.")
@click.option("--again", is_flag=True, help="Also what is built as it was when it was measured.")
def main(only, again):
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="hwgen-depths-") as work:
        for number, name in enumerate(NETWORKS):
            if fnmatch.fnmatch(name, only):
                known = read(RESULTS).get(name, {})
                record(RESULTS, name, measure(name, Path(work) / f"n{number}", known, again))
                click.echo(name, err=True)
    text = tables(read(RESULTS))
    write_document("depths", text, ROOT / "docs/clock.md")
    click.echo(text)


if __name__ == "__main__":
    main()
