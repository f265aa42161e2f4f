"""The reference networks of MLPerf Tiny in int8 TensorFlow Lite: bit for bit, as RTL, and compressed.

FOLDER holds their files, of github.com/mlcommons/tiny (Apache-2.0). What is in results.json is not done again, so the
command may be stopped at any time; docs/mlperf_tiny.md is made from that file.
"""

import json
import shutil
import tempfile
import warnings
from pathlib import Path

import click
import numpy as np
import torch

from benchmarks.mlperf_tiny.hardware import built, counted
from benchmarks.mlperf_tiny.networks import NETWORKS, Network
from benchmarks.mlperf_tiny.tables import document

RESULTS = Path(__file__).parent / "results.json"
COMPARED, SIMULATED = 1000, 2  # frames
MINUTES = 20  # of yosys for a part
SPECTRA = "calibration_samples.npz"  # the wake word's own inputs


def equal(network: Network, folder: Path) -> dict:
    """By target the last tensor, and layer by layer, against TensorFlow Lite's kernels."""
    from benchmarks.mlperf_tiny import kernels

    path = folder / network.file
    _, (example,), _ = kernels.graph_of(path, "exact")
    frames = kernels.random_frames(tuple(example.shape[1:]), COMPARED)
    result: dict[str, dict] = {target: kernels.outputs(path, target, frames) for target in kernels.RESOLVERS}
    result["layers"] = kernels.layers(path, frames[: COMPARED // 10])
    if network.name == "wake_word" and (folder / SPECTRA).is_file():
        spectra = np.load(folder / SPECTRA)["specs"]
        scale, zero = kernels.Kernels(path, "exact").input["quantization"]
        levels = np.clip(np.rint(spectra / scale) + zero, -128, 127).astype(np.int8)
        result["own"] = {target: kernels.outputs(path, target, levels) for target in kernels.RESOLVERS}
    return result


def hardware(network: Network, folder: Path, out: Path, target: str) -> dict:
    from benchmarks.mlperf_tiny import kernels

    module, example, _ = kernels.graph_of(folder / network.file, target)
    frames = kernels.random_frames(tuple(example[0].shape[1:]), SIMULATED)
    return built(module, example, torch.from_numpy(frames), out, network.fps[target], target)


def compressed(network: Network, folder: Path, out: Path, zeros: float) -> dict:
    from benchmarks.mlperf_tiny.compressed import trained

    module, test, shared = trained(network, folder, zeros)
    return shared | built(module, (test[:1],), test[:SIMULATED], out, network.fps["compressed"])


STAGES = {
    "equal": lambda network, folder, out: equal(network, folder),
    "tflite-reference": lambda network, folder, out: hardware(network, folder, out, "tflite-reference"),
    "exact": lambda network, folder, out: hardware(network, folder, out, "exact"),
    "pot4-50": lambda network, folder, out: compressed(network, folder, out, 0.5),
    "pot4-80": lambda network, folder, out: compressed(network, folder, out, 0.8),
}


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--only", multiple=True, type=click.Choice(list(NETWORKS)), help="These networks; all if none is named.")
@click.option("--stage", "stages", multiple=True, type=click.Choice(list(STAGES)), help="These stages; all if none is.")
@click.option("--again", is_flag=True, help="Whatever results.json has of them.")
@click.option("--synth", is_flag=True, help="Count what was built with yosys, too.")
def main(folder: Path, only, stages, again: bool, synth: bool):
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    for name in only or NETWORKS:
        for stage in stages or STAGES:
            known = _results().get(name, {}).get(stage)
            if known is not None and not again and not (synth and "estimate" in known and "synthesis" not in known):
                continue
            with tempfile.TemporaryDirectory() as scratch:
                out = Path(scratch) / name
                found = STAGES[stage](NETWORKS[name], folder, out)
                if synth and "estimate" in found:
                    found["synthesis"] = counted(out, MINUTES)
                shutil.rmtree(out, ignore_errors=True)
            results = _results()  # another run may have added to it
            results.setdefault(name, {})[stage] = found
            RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
            click.echo(f"{name} {stage}: {found}", err=True)
    document(_results())


def _results() -> dict:
    return json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}


if __name__ == "__main__":
    main()
