"""Integer-only networks: their format, `intnet-1`, and their reference in numpy.

A network is two files, NAME.json and NAME.npz.

NAME.json
  name     NAME
  test     the stem of the archive of test vectors, which all networks of a task share:
           `test_x` (n, inputs) and `test_label` (n,), integers
  input    {"shape": [inputs] or [rows, columns, channels], "bits": 8, "signed": true}
  layers   a list, run in this order:
           {"type": "dense", "weight": KEY, "bias": KEY, "weight_kind": "uniform8", "uniform4" or "pow2",
            "requant": {"shift": s, "relu": true, "bits": 8, "signed": false} or null}
           acc = x @ weight + bias, exact; y = acc where requant is null, which it is in the last layer;
           else y = clip(acc >> s, lo, hi), at least 0 where relu is true; >> is floor(acc / 2^s), s may be negative
           with "windows": k, x is all windows of k x k pixels (a convolution); with "pool": k, of k x k pixels of y the
           greatest goes on
  meta     how it was trained: accuracy, fraction of zeros, ...
NAME.npz   the arrays that KEY names: weight (inputs, outputs), bias (outputs,)

Weights: `uniform8` -127 to 127, `uniform4` -7 to 7, `pow2` 0 and +-2^0 to +-2^6. The 18 networks of networks/ are
TASK_KIND_pZEROS, ZEROS the percentage of weights that are zero:
digits   64-32-16-10 on scikit-learn's 8x8 digits, 5-bit unsigned inputs
jsc      16-64-32-32-5, the topology of jet tagging, on a synthetic task of 16 features and 5 classes (not the jets),
         8-bit signed inputs
Needs numpy alone, for it is also read in the environments of the peers.
"""

import json
from collections.abc import Callable
from math import prod
from pathlib import Path

import numpy as np

NETWORKS = Path(__file__).parent / "networks"


class IntNet:
    """A network: `spec` is its json, `arrays` its weights and biases, `test_x` and `test_label` its test vectors."""

    def __init__(self, spec: dict, arrays: dict[str, np.ndarray], test: dict[str, np.ndarray] | None = None):
        if spec["format"] != "intnet-1":
            raise ValueError(f"{spec['name']}: the format is {spec['format']}, not intnet-1")
        self.spec, self.arrays, self.test = spec, arrays, test or {}

    @classmethod
    def load(cls, path: str | Path) -> "IntNet":
        """The network of a .json file, or of a name in networks/."""
        path = Path(path) if str(path).endswith(".json") else NETWORKS / f"{path}.json"
        spec = json.loads(path.read_text())
        test = _arrays(path.with_name(f"{spec['test']}.npz")) if spec.get("test") else None
        return cls(spec, _arrays(path.with_suffix(".npz")), test)

    def save(self, path: Path) -> None:
        """Writes the .json file `path` and the archive of weights beside it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.spec, indent=1) + "\n")
        np.savez_compressed(path.with_suffix(".npz"), **self.arrays)

    @property
    def name(self) -> str:
        return self.spec["name"]

    @property
    def inputs(self) -> int:
        return prod(self.spec["input"]["shape"])

    @property
    def layers(self) -> list[tuple[np.ndarray, np.ndarray, dict | None]]:
        """(weight, bias, requant) of each layer, int64."""
        arrays = {key: array.astype(np.int64) for key, array in self.arrays.items()}
        return [(arrays[layer["weight"]], arrays[layer["bias"]], layer["requant"]) for layer in self.spec["layers"]]

    def forward(self, x: np.ndarray) -> np.ndarray:
        """The outputs (n, outputs) of the inputs (n, inputs)."""
        return self.run(np.asarray(x, np.int64).reshape(-1, self.inputs), quantize, np.int64)

    def run(self, x, quantize: Callable, number: type):
        """The outputs (..., outputs) of what has numpy's operators, (..., inputs); weights are of the type `number`."""
        shape = list(self.spec["input"]["shape"])
        for layer, (weight, bias, requant) in zip(self.spec["layers"], self.layers, strict=True):
            flat = x.shape
            if "windows" in layer:
                x = x[..., windows(shape, layer["windows"])]
            x = quantize(x @ weight.astype(number) + bias.astype(number), requant)
            if "windows" in layer:
                shape = [*(side - layer["windows"] + 1 for side in shape[:2]), len(bias)]
                x = x.reshape(*flat[:-1], prod(shape))
            if "pool" in layer:
                x = np.max(x[..., tiles(shape, layer["pool"])], axis=-1)
                shape = [*(side // layer["pool"] for side in shape[:2]), len(bias)]
        return x

    def vectors(self, random: int = 200, seed: int = 0) -> np.ndarray:
        """At most 400 test vectors, then `random` ones of the input's whole range, its two corners first."""
        low, high = limits(**self.spec["input"])
        rng = np.random.default_rng(seed)
        drawn = rng.integers(low, high + 1, (random, self.inputs))
        drawn[0], drawn[1] = low, high
        test = self.test.get("test_x", drawn[:0]).astype(np.int64).reshape(-1, self.inputs)
        return np.concatenate([test[:400], drawn])

    def nonzeros(self) -> int:
        return sum(int(np.count_nonzero(weight)) for weight, _, _ in self.layers)


def limits(bits: int, signed: bool, **_) -> tuple[int, int]:
    """The least and the greatest integer of a type."""
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)


def quantize(acc: np.ndarray, requant: dict | None) -> np.ndarray:
    if requant is None:
        return acc
    shift = requant["shift"]
    y = acc >> shift if shift >= 0 else acc << -shift
    low, high = limits(**requant)
    return np.clip(y, max(low, 0) if requant["relu"] else low, high)


def windows(shape: list[int], size: int) -> np.ndarray:
    """Of an image, flat: the indices (windows, size * size * channels) of all windows."""
    indices = np.arange(prod(shape)).reshape(shape)
    # row, column and channel of a window, then row and column inside
    view = np.lib.stride_tricks.sliding_window_view(indices, (size, size), (0, 1))
    return view.transpose(0, 1, 3, 4, 2).reshape(-1, size * size * shape[2])


def tiles(shape: list[int], size: int) -> np.ndarray:
    """Of an image, flat: the indices (tiles * channels, size * size) of windows side by side."""
    rows, columns, channels = shape
    indices = np.arange(prod(shape)).reshape(rows // size, size, columns // size, size, channels)
    return indices.transpose(0, 2, 4, 1, 3).reshape(-1, size * size)


def names() -> list[str]:
    """Of the networks in networks/."""
    return sorted(path.stem for path in NETWORKS.glob("*.json"))


def _arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as archive:
        return {key: archive[key] for key in archive.files}
