"""Layers in which only what spiked takes time against lanes: MNIST, rate-coded, of which a time step is a frame.

python -m benchmarks.spikes FOLDER   trains, builds, verifies and counts, where benchmarks/spikes.json has no result;
                                     FOLDER holds MNIST's four idx.gz files
python -m benchmarks.spikes          the tables into docs/spikes.md
"""

import copy
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.cells import count
from benchmarks.netlist import synthesize
from benchmarks.spatial.tables import table, write_document
from examples.common import Batches, train_float
from examples.lenet5.model import read_mnist
from hwgen import build, verify
from hwgen.compress import Recipe, Training, convert, fit, prepare
from hwgen.compress.formats import PowerOfTwo
from hwgen.compress.methods import Magnitude
from hwgen.compress.recipe import Override
from hwgen.config import BuildConfig
from hwgen.devices.ultrascale_plus import DEVICE
from hwgen.ir import TensorType
from hwgen.manifest import read_manifest
from hwgen.nn import LIF, ActQuant, StepsOut
from hwgen.ops.conv import Conv
from hwgen.ops.quantize import Quantize
from hwgen.qtype import QType
from hwgen.stage import Stage
from hwgen.stream import Order
from hwgen.units.spike_banks import balanced
from hwgen.units.spike_lanes import SpikeLanes

RESULTS = Path(__file__).with_name("spikes.json")
NET = Path(__file__).parents[1] / "build" / "spikes.pt"  # trained, made anew where it is missing
PAGE = Path(__file__).parents[1] / "docs" / "spikes.md"
RECIPE = Recipe(
    weights=PowerOfTwo(4),
    input_bits=1,
    activation_bits=1,
    pruning=Magnitude(zeros=0.8),
    overrides=(Override("out", zeros=0.0),),
    quantize_from=0.25,
    training=Training(epochs=3, rate=2e-3, grid_rate=2e-3, seed=0),
)
BLOCK = 4  # inputs
STEPS = 400  # frames that are verified
BUILDS = {
    "lanes, 16 accumulators": BuildConfig(name="net", lanes=16),
    "for spikes, 16": BuildConfig(name="net", lanes=16, engine="spikes"),
    "for spikes, 32": BuildConfig(name="net", lanes=32, engine="spikes"),
}
NEURONS = {name: BUILDS[name] for name in ("lanes, 16 accumulators", "for spikes, 16")}
TIME = 10  # steps of an image, where hidden units are neurons
CONVOLUTIONS = {
    "lanes, 14 accumulators": BuildConfig(name="net", lanes=14),
    "lanes, 28": BuildConfig(name="net", lanes=28),
    "for spikes, 14": BuildConfig(name="net", lanes=14, engine="spikes"),
}
# inputs, outputs, accumulators, bits and density of weights, quantizer, activations a beat
PRICES = (
    (784, 128, 16, 4, 0.2, (3, 0, 1), 8),
    (784, 128, 32, 4, 0.2, (3, 0, 15), 8),
    (128, 10, 10, 4, 1.0, None, 1),
    (128, 10, 2, 6, 0.5, None, 1),
    (64, 16, 4, 4, 0.3, (0, -8, 7), 4),
    (30, 12, 6, 3, 0.5, (2, 0, 3), 2),
    (256, 64, 8, 8, 0.1, (4, 0, 255), 8),
)


def spiked(images: Tensor) -> Tensor:
    """A time step of a rate code: each pixel spikes with the chance that it is bright."""
    return (torch.rand(images.shape) < images).float()


def network() -> nn.Sequential:
    net = nn.Sequential()
    net.add_module("flatten", nn.Flatten())
    net.add_module("hidden", nn.Linear(784, 128))
    net.add_module("relu", nn.ReLU())
    net.add_module("out", nn.Linear(128, 10))
    return net


def trained(folder: Path) -> nn.Module:
    torch.set_num_threads(1)
    if NET.exists():
        return torch.load(NET, weights_only=False)
    x, y = read_mnist(folder, "train")
    batches = Batches(x, y, 128, spiked)
    model = train_float(network(), batches, epochs=1, rate=2e-3, seed=0)
    prepared = prepare(model, RECIPE, (torch.zeros(1, 1, 28, 28),))
    fit(prepared, batches, show=print)
    net = convert(prepared)
    NET.parent.mkdir(exist_ok=True)
    torch.save(net, NET)
    return net


def over_time(net: nn.Module, images: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Accuracy on the first 2,000 test images, of one step, and of neurons over TIME steps."""
    torch.manual_seed(3)
    x, y = spiked(torch.from_numpy(images[:2000]).repeat_interleave(TIME, 0)), torch.from_numpy(labels[:2000])
    with torch.no_grad():
        scores = {"one step": net(x[::TIME]), "neurons": copy.deepcopy(spiking(net)).double()(x.double())}
    return {name: float((each.argmax(1) == y).double().mean()) for name, each in scores.items()}


def measured(net: nn.Module, x: Tensor, y: np.ndarray | None, config: BuildConfig, area: bool = True) -> dict:
    """A build, verified on time steps x without stalls and with them; area -- whether yosys counts it."""
    with TemporaryDirectory() as name:
        folder = Path(name) / "net"
        steps = TIME if any(isinstance(layer, LIF) for layer in net.modules()) else 1
        build(net, (x[:steps],), out=folder, config=config)
        result = verify(folder, x, labels=y, stall=0.0)
        stalled = verify(folder, x[:20], simulator="icarus", stall=0.3, seed=7)
        known, counts = read_manifest(folder), synthesize(folder).counts if area else {}
    return {
        "most": known["interval"],
        "mean": result["mean_interval"],
        "equal": [result["equal"] + stalled["equal"], result["frames"] + stalled["frames"]],
        "accuracy": result.get("accuracy"),
        "units": {unit["name"]: unit["cycles"] for unit in known["units"]},
        "bits": sum(rom["depth"] * rom["width"] for rom in known["roms"].values()),
        **{what: counts[what] for what in ("LUT", "FF", "BRAM36") if area},
    }


def layer(inputs: int, outputs: int, banks: int, bits: int, density: float, levels, side: int) -> SpikeLanes:
    """A layer of random weights."""
    rng, most = np.random.default_rng(inputs + outputs), (1 << (bits - 1)) - 1
    weight = rng.integers(-most, most + 1, (outputs, inputs, 1, 1)) * (rng.random((outputs, inputs, 1, 1)) < density)
    op = Conv(weight * 1.0, rng.integers(-20, 21, outputs) / 4.0)
    kind = TensorType((inputs, 1, 1), QType(0, 1), 0)
    stage = Stage.alone("layer", op, None if levels is None else Quantize(*levels), kind)
    return SpikeLanes(stage, banks, Order(kind.shape, 1, side), DEVICE)


def spiking(net: nn.Module) -> nn.Sequential:
    """The network with leaking neurons in the place of the hidden quantizer, and scores summed over TIME steps; its
    weights are as they were trained for one step."""
    hidden, out = (layer for layer in net.modules() if isinstance(layer, nn.Linear))
    neurons = LIF(TIME, -6, leak=(2,), threshold=2.0, fire=">=")
    return nn.Sequential(ActQuant(1, 0), nn.Flatten(), hidden, neurons, out, StepsOut(TIME)).eval()


def convolution() -> nn.Sequential:
    """Random spikes and weights of 4-bit powers of two, of which one in five is kept."""
    torch.manual_seed(2)
    layer = nn.Conv2d(16, 32, 3, padding=1, bias=False)
    kept = torch.rand(layer.weight.shape) < 0.2
    sizes = 2.0 ** torch.randint(-3, 4, layer.weight.shape) * (2 * torch.randint(0, 2, layer.weight.shape) - 1)
    layer.weight.data = sizes * kept
    return nn.Sequential(ActQuant(1, 0), layer, ActQuant(1, 1)).eval()


def walks(used: np.ndarray, banks: int) -> dict[str, Callable[[np.ndarray], int]]:
    """Who walks the lists of a layer how, and the cycles that a frame of spikes takes then.

    used -- bool [outputs, inputs]: the weights that are not zero; banks -- accumulators
    """
    order = np.argsort(-used.sum(axis=1), kind="stable")
    rounds = [used[order[i : i + banks]] for i in range(0, len(used), banks)]
    starts = np.arange(0, used.shape[1], BLOCK)
    blocks = [np.add.reduceat(one, starts, axis=1, dtype=int) for one in rounds]
    shared = np.stack([used[own[own >= 0]].sum(axis=0) for own in balanced(used.astype(int), banks).T])
    words = np.maximum(1, shared.max(axis=0))

    def alive(spikes: np.ndarray) -> np.ndarray:
        return np.logical_or.reduceat(spikes, starts)

    own, one = "a list for each accumulator", "one list for all"
    return {
        "lanes: all of a round": lambda _: sum(int(each.sum(axis=1).max()) for each in rounds),
        f"blocks of {BLOCK} inputs, {own}": lambda x: sum(int(b[:, alive(x)].sum(axis=1).max()) for b in blocks),
        f"blocks of {BLOCK} inputs, {one}": lambda x: sum(int(b[:, alive(x)].max(axis=0).sum()) for b in blocks),
        f"single inputs, {one}: this engine": lambda x: int(words[x].sum()),
        f"single inputs, {own}": lambda x: int(shared[:, x].sum(axis=1).max()),
    }


def counted(used: np.ndarray, spikes: np.ndarray) -> dict[str, dict[str, list[int]]]:
    """By `walks` and accumulators: the mean cycles of frames of spikes, bool [frames, inputs], and the most of any."""
    found: dict[str, dict[str, list[int]]] = {}
    for banks in (8, 16, 32):
        for name, cycles in walks(used, banks).items():
            most = cycles(np.ones(used.shape[1], bool))
            found.setdefault(name, {})[str(banks)] = [round(sum(map(cycles, spikes)) / len(spikes)), most]
    return found


def priced(unit: SpikeLanes) -> dict:
    """What a layer says that it takes, and what yosys counts."""
    found = count(unit, {"s_axis": unit.order.side, "m_axis": unit.stage.y.qtype.bits})
    says = unit.estimate()
    return {f"{name} {how}": of[name] for name in ("LUT", "BRAM36") for how, of in (("says", says), ("yosys", found))}


def run(folder: Path, known: dict) -> None:
    """Does what is not known, and saves each result as it comes."""

    def one(key: str, make: Callable[[], object]) -> None:
        if key not in known:
            known[key] = make()
            RESULTS.write_text(json.dumps(known, indent=1) + "\n")
            print(key, known[key], flush=True)

    net, (images, labels) = trained(folder), read_mnist(folder, "t10k")
    torch.manual_seed(1)
    x, y = spiked(torch.from_numpy(images[:STEPS])), labels[:STEPS]
    hidden = next(layer for layer in net.modules() if isinstance(layer, nn.Linear))
    kept = float((hidden.weight != 0).float().mean())
    one("facts", lambda: {"spikes": float(x.mean()), "kept": kept, "frames": STEPS})
    one("counts", lambda: counted((hidden.weight != 0).numpy(), x.flatten(1).numpy() > 0))
    for name, config in BUILDS.items():
        one(f"build {name}", lambda config=config: measured(net, x, y, config))
    images_of = torch.from_numpy(images[: STEPS // TIME]).repeat_interleave(TIME, 0)
    steps = spiked(images_of)
    one("accuracy", lambda: over_time(net, images, labels))
    for name, config in NEURONS.items():
        one(f"neurons {name}", lambda config=config: measured(spiking(net), steps, None, config, area=False))
    still = torch.rand(STEPS // 8, 16, 14, 14)
    still = (still < 0.12).float()
    for name, config in CONVOLUTIONS.items():
        one(f"convolution {name}", lambda config=config: measured(convolution(), still, None, config))
    for case in PRICES:
        one(f"price {case}", lambda case=case: priced(layer(*case)))


def _rows(known: dict, kind: str, names: Iterable[str]) -> list[tuple[str, ...]]:
    rows = []
    for name in names:
        made = known[f"{kind} {name}"]
        equal, frames = made["equal"]
        counts = [f"{made[what]:,.10g}" for what in ("LUT", "FF", "BRAM36") if what in made]
        rows.append((name, f"{made['most']:,}", f"{made['mean']:,}", *counts, f"{equal} of {frames}"))
    return rows


def document(known: dict) -> str:
    """The tables of docs/spikes.md."""
    facts, head = known["facts"], ("cycles a step, at most", "mean", "LUT", "FF", "BRAM36", "steps equal, some stalled")
    text = f"{facts['spikes']:.1%} of the pixels spike, {facts['kept']:.1%} of the hidden layer's weights are kept.\n\n"
    text += table(("784-128-10, both layers on", *head), _rows(known, "build", BUILDS))
    head = ("cycles an image, at most", head[1], "steps equal, some stalled")
    text += "\n" + table((f"784-128-10, neurons, {TIME} steps", *head), _rows(known, "neurons", NEURONS))
    accuracy = ", ".join(f"{name} {value:.1%}" for name, value in known["accuracy"].items())
    text += f"\nAccuracy on 2,000 test images: {accuracy}, the weights being those that were trained for one step.\n"
    head = ("cycles a frame, at most", "mean", "LUT", "FF", "BRAM36", "frames equal, some stalled")
    text += "\n" + table(("3x3, 16 to 32 channels, on", *head), _rows(known, "convolution", CONVOLUTIONS))
    prices = []
    for case in PRICES:
        found = known[f"price {case}"]
        inputs, outputs, banks, bits, density, _, side = case
        what = f"{inputs}-{outputs}, {banks} accumulators, {density:.0%} of {bits}-bit weights, {side} a beat"
        error = found["LUT says"] / found["LUT yosys"] - 1
        prices.append((what, *(f"{found[key]:g}" for key in found), f"{error:+.0%}"))
    price_head = ("layer", "LUT, estimate", "yosys", "BRAM36, estimate", "yosys", "error of LUT")
    return f"{text}\nEstimates against yosys:\n\n{table(price_head, prices)}"


def alternatives(known: dict) -> str:
    """The table of what else was tried."""
    counts = known["counts"]
    rows = [(name, *(f"{mean:,} ({most:,})" for mean, most in each.values())) for name, each in counts.items()]
    head = ("who walks which lists: mean (most)", *(f"{banks} accumulators" for banks in counts[rows[0][0]]))
    return table(head, rows)


def main(arguments: list[str]) -> None:
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if arguments:
        run(Path(arguments[0]), known)
    else:
        write_document("spikes", document(known), PAGE)
        write_document("spikes counts", alternatives(known), PAGE)


if __name__ == "__main__":
    main(sys.argv[1:])
