"""Networks of the NIR paper as hwgen builds them, against their own equations in float64.

FOLDER holds cnn_sinabs.nir, the N-MNIST CNN of IF neurons, braille_noDelay_noBias_subtract.nir, the recurrent Braille
network, and the spikes of its first layer as snnTorch and Norse recorded them, *_activity_noDelay_noBias_subtract.npy:
all of NIR's own repository. Which data the recordings are of is not among them. So for each one an input of spikes is
looked for under which the file's equations, in float64, give it spike for spike: a linear program of zeros and ones, as
membranes are linear in the input once the spikes are known, solved a few steps at a time. There are many such inputs;
the one that was found, of few spikes, is kept in nir_inputs.npz (--find looks for it anew), and no finger made it. How
many spikes differ from the recording under it is what the grid costs.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import torch
from scipy.optimize import Bounds, LinearConstraint, milp

import hwgen
from hwgen.formats import read_network
from hwgen.formats.nir import leaks
from hwgen.formats.nir.asked import Asked
from hwgen.formats.nir.file import Graph
from hwgen.formats.nir.reference import tensors
from hwgen.formats.nir.topology import Topology
from hwgen.manifest import read_manifest
from hwgen.nn_spiking import LI
from hwgen.verify import verify

INPUTS = Path(__file__).with_name("nir_inputs.npz")
DOCUMENT = Path(__file__).parents[1] / "docs" / "nir.md"
START, END = "<!-- made by benchmarks.nir -->\n", "<!-- end of nir -->"
CNN, BRAILLE = "cnn_sinabs.nir", "braille_noDelay_noBias_subtract.nir"
RECORDINGS = ("snntorch", "norse")
TOLERANCES = {"2 powers": 0.02, "4 powers": 0.001}  # of the Braille network's leaks
BITS = (4, 6, 8, 12, 16)
OPTIONS = {
    CNN: {"steps": 30, "dt": 1.0, "reset": "subtract", "input_grid": "2"},
    BRAILLE: {
        "steps": 256,
        "dt": 1e-4,
        "reset": "subtract",
        "input_grid": "1",
        "leak_tolerance": TOLERANCES["4 powers"],
    },
}
LEAKS = [f"leaks of {name} alone" for name in TOLERANCES]
BUILT = [f"built, {bits} bits" for bits in BITS]
SAMPLES = {CNN: 2, BRAILLE: 8}
WINDOW, KEPT = 14, 7  # steps that are solved at once, and of these kept
MARGIN = 1e-6  # of a membrane from the threshold


def events(name: str) -> torch.Tensor:
    """Seeded frames: counts of events in the place of N-MNIST's, spikes in the place of a finger's."""
    generator = torch.Generator().manual_seed(1)
    frames = SAMPLES[name] * OPTIONS[name]["steps"]
    if name == CNN:
        return torch.poisson(torch.full((frames, 2, 34, 34), 0.06, dtype=torch.float64), generator=generator).clamp(
            max=3
        )
    return (torch.rand(frames, 12, generator=generator) < 0.1).double()


def built(path: str, bits: int, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """The spikes of each layer as they are built, by the layer's path in the module."""
    module, _ = read_network(path, **OPTIONS[Path(path).name], weight_bits=bits)
    with torch.no_grad():
        found = module.tensors(x)  # type: ignore[operator]
    spiking = {names[0] for name, _, names in module.calls if _spikes(module.get_submodule(name))}  # type: ignore
    return {name: value for name, value in found.items() if name in spiking}


def _spikes(module) -> bool:
    return isinstance(module, LI) or any(isinstance(part, LI) for part in module.children())


def on_leaks(path: str, tolerance: float) -> Topology:
    """The file's network with leaks that can be built, everything else as it is."""
    topology = Topology.of(path)
    dt, nodes = OPTIONS[Path(path).name]["dt"], dict(topology.graph.nodes)
    for name, node in nodes.items():
        values = dict(node.values)
        for tau, factor in (("tau", "r"), ("tau_mem", "r"), ("tau_syn", "w_in")):
            if tau in values:
                share = dt / float(values[tau].flat[0])
                other = leaks.worth(leaks.shifts(share, tolerance, name, tau))
                values |= {tau: values[tau] * share / other, factor: values[factor] * share / other}
        nodes[name] = replace(node, values=values)
    return Topology(Graph(nodes, topology.graph.edges), path)


def table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---", *["---:"] * (len(head) - 1)], *rows])


def share(ours: torch.Tensor, theirs: torch.Tensor) -> str:
    differ = int((ours != theirs).sum())
    return f"{differ:,} ({differ / theirs.numel():.2%})"


def layers(path: str) -> str:
    """Of each layer, how many spikes are others than in float64."""
    name = Path(path).name
    x, asked = events(name), Asked(**OPTIONS[name])
    exact = tensors(path, asked, x)
    leaking = [tensors(on_leaks(path, tolerance), asked, x) for tolerance in TOLERANCES.values()]
    found = {bits: built(path, bits, x) for bits in BITS}
    rows = []
    for layer in found[BITS[0]]:
        spikes = exact[layer]
        others = [*(each[layer] for each in leaking), *(found[bits][layer] for bits in BITS)]
        counts = f"{spikes.numel():,}", f"{int(spikes.sum()):,}"
        rows.append([layer, *counts, *(share(other, spikes) for other in others)])
    return table(["layer", "neurons x steps", "spikes", *LEAKS, *BUILT], rows)


def recorded(folder: Path, tool: str) -> np.ndarray:
    """The spikes of the Braille network's first layer: float64 [steps, neurons]."""
    return np.load(folder / f"{tool}_activity_noDelay_noBias_subtract.npy", allow_pickle=False).astype(np.float64)


def recordings(folder: Path) -> str:
    """Of each recording, how many spikes are others under the input that was found for it."""
    path = str(folder / BRAILLE)
    asked, inputs = Asked(**OPTIONS[BRAILLE]), np.load(INPUTS)
    rows = []
    for tool in RECORDINGS:
        spikes = torch.from_numpy(recorded(folder, tool))
        x = torch.from_numpy(np.unpackbits(inputs[tool])[: len(spikes) * 12].reshape(-1, 12)).double()
        networks = [path, *(on_leaks(path, tolerance) for tolerance in TOLERANCES.values())]
        others = [tensors(network, asked, x)["lif1.lif"] for network in networks]
        others += [built(path, bits, x)["lif1.lif"] for bits in BITS]
        differ = [share(other, spikes) for other in others]
        rows.append([tool, f"{int(spikes.sum())}", f"{int(x.sum())}", *differ])
    return table(["recording", "spikes", "of the input", "others in float64", *LEAKS, *BUILT], rows)


def looked_for(folder: Path, tool: str) -> Iterator[np.ndarray]:
    """An input that gives a recording, KEPT steps after the other: uint8 [steps, 12]."""
    nodes = Topology.of(str(folder / BRAILLE)).graph.nodes
    weight, back = (np.asarray(nodes[name].values["weight"]) for name in ("fc1", "lif1.w_rec"))
    lif, dt = nodes["lif1.lif"].values, OPTIONS[BRAILLE]["dt"]
    # the gains of both states are one
    keeps_c, keeps_v = (1 - dt / float(np.asarray(lif[tau]).flat[0]) for tau in ("tau_syn", "tau_mem"))
    spikes = recorded(folder, tool)
    before = np.vstack([np.zeros(len(back)), spikes])  # of the step before each

    def step(c, v, t, drive):
        c = keeps_c * c + drive + back @ before[t]
        return c, keeps_v * (v - before[t]) + c

    c = v = np.zeros(len(back))
    t = 0
    while t < len(spikes):
        count = min(WINDOW, len(spikes) - t)
        x = _window(weight, spikes[t : t + count], _base(step, c, v, t, count), (keeps_c, keeps_v))
        kept = x if t + count == len(spikes) else x[:KEPT]
        for drive in kept @ weight.T:
            c, v = step(c, v, t, drive)
            t += 1
        yield kept


def _base(step, c, v, t, count) -> np.ndarray:
    """The membranes of so many steps without an input."""
    found = []
    for n in range(count):
        c, v = step(c, v, t + n, 0.0)
        found.append(v)
    return np.array(found)


def _window(weight: np.ndarray, spikes: np.ndarray, base: np.ndarray, keeps: tuple[float, float]) -> np.ndarray:
    """An input of few spikes that brings each membrane above its threshold of 1 where it spiked, and no other."""
    count, (neurons, inputs) = len(spikes), weight.shape
    response, c, v = [], 1.0, 1.0  # of a membrane to an input, by the steps since
    for _ in range(count):
        response.append(v)
        c *= keeps[0]
        v = keeps[1] * v + c
    parts = np.zeros((count, neurons, count, inputs))
    for n in range(count):
        for since in range(n + 1):
            parts[n, :, n - since] = response[since] * weight
    low = np.where(spikes > 0, 1 + MARGIN - base, -np.inf).reshape(-1)
    high = np.where(spikes > 0, np.inf, 1 - MARGIN - base).reshape(-1)
    size = count * inputs
    solved = milp(
        np.ones(size),
        constraints=LinearConstraint(parts.reshape(-1, size), low, high),
        bounds=Bounds(0, 1),
        integrality=np.ones(size),
        options={"time_limit": 60, "mip_rel_gap": 1.0},
    )
    if solved.x is None:
        raise SystemExit(f"no input gives the recording: {solved.message}")
    return np.rint(solved.x).astype(np.uint8).reshape(count, inputs)


def hardware(path: str, out: Path, frames: int, bits: int) -> str:
    """A build, its cycles, and its RTL on the first frames against the golden integers."""
    name, x = Path(path).name, events(Path(path).name)
    network, example = read_network(path, **OPTIONS[name] | {"steps": frames}, weight_bits=bits)
    hwgen.build(network, example, out=out / Path(path).stem)
    run = verify(out / Path(path).stem, x[:frames], simulator="verilator")
    known = read_manifest(out / Path(path).stem)
    kinds = ", ".join(dict.fromkeys(unit["kind"] for unit in known["units"]))
    pace = (run["cycles"] - run["latency"]) / (frames - 1)
    luts = sum(unit["estimate"].get("LUT", 0) for unit in known["units"])
    blocks = sum(unit["estimate"].get("BRAM36", 0) for unit in known["units"])
    return (
        f"- {name}, {bits}-bit weights: RTL equal to golden in {run['equal']} of {run['frames']} steps; "
        f"{pace:,.0f} cycles a step measured, at most {known['interval']:,}; "
        f"about {luts:,.0f} LUT and {blocks:g} BRAM36 in {len(known['units'])} units ({kinds})"
    )


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--find", is_flag=True, help="Look for the inputs of the recordings anew: a minute.")
@click.option("--rtl", type=click.Path(file_okay=False, path_type=Path), help="Build both into that folder and verify.")
@click.option("--write", is_flag=True, help="Into docs/nir.md, too.")
def main(folder, find, rtl, write):
    torch.set_num_threads(1)
    if find:
        bits = {tool: np.packbits(np.vstack(list(looked_for(folder, tool)))) for tool in RECORDINGS}
        np.savez_compressed(INPUTS, **bits)
    parts = []
    for name in (CNN, BRAILLE):
        parts.append(f"{name}, {SAMPLES[name]} samples of {OPTIONS[name]['steps']} steps of seeded events:")
        parts.append(layers(str(folder / name)))
    notes = read_network(str(folder / BRAILLE), **OPTIONS[BRAILLE], weight_bits=12)[0].notes  # type: ignore[union-attr]
    parts += ["What `hwgen build` tells of the latter, with 12-bit weights:", "\n".join(f"- {note}" for note in notes)]
    first, second = (recorded(folder, tool) for tool in RECORDINGS)
    parts.append(
        f"Its first layer as snnTorch and Norse recorded it, {first.size:,} neurons x steps, of which the two differ "
        f"in {int((first != second).sum())}, and what is built under the inputs that were found for them:"
    )
    parts.append(recordings(folder))
    if rtl:
        found = [
            hardware(str(folder / name), rtl, frames, bits) for name, frames, bits in ((CNN, 10, 8), (BRAILLE, 256, 12))
        ]
        parts += ["In hardware, with the defaults of `hwgen build`:", "\n".join(found)]
    text = "\n\n".join(parts) + "\n"
    click.echo(text)
    if write:
        before, _, rest = DOCUMENT.read_text().partition(START)
        DOCUMENT.write_text(f"{before}{START}\n{text}\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
