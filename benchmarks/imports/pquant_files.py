"""PQuant's small networks, trained on digits and exported by itself as QONNX and as QDQ: tests/data/pquant_*.onnx; one
is of Keras layers with HGQ2's quantizers, channels last.

PQuant has requirements of its own, so it is run in an environment of its own: `pip install pquant-ml hwgen[dev]`, then
`KERAS_BACKEND=torch python -m benchmarks.imports.pquant_files tests/data`. It prints where PQuant's module and its file
differ, on the images of digits.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.imports import ort
from benchmarks.imports.executor import execute
from benchmarks.imports.networks import digits, fit

# (network, rounding, bits of activations, forms of file)
FILES = (
    ("convolutions", "RND_CONV", 6, ("qonnx", "qdq")),
    ("perceptron", "RND", 5, ("qonnx", "qdq")),
    ("perceptron", "TRN", 5, ("qonnx",)),
    ("keras", "RND_CONV", 7, ("qonnx", "qdq")),
)


def configuration(rounding: str, bits: int):
    """Activations of `bits` bits, weights of one less, all with a sign."""
    import pquant

    found = pquant.pdp_config()
    found.pruning_parameters.enable_pruning = False
    quantization = found.quantization_parameters
    quantization.round_mode = rounding
    quantization.default_data_integer_bits = 2.0
    quantization.default_data_keep_negatives = 1.0
    quantization.default_data_fractional_bits = float(bits - 3)
    quantization.default_weight_fractional_bits = float(bits - 2)
    return found


def convolutions(found) -> nn.Module:
    from pquant import layers

    return nn.Sequential(
        layers.PQConv2d(found, 1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        layers.PQConv2d(found, 4, 4, 3, padding=1, groups=4),
        nn.ReLU(),
        layers.PQConv2d(found, 4, 8, 1),
        nn.ReLU(),
        layers.PQAvgPool2d(found, 2),
        nn.Flatten(),
        layers.PQDense(found, 32, 10),
    )


def perceptron(found) -> nn.Module:
    from pquant import layers

    layers = [layers.PQDense(found, *sizes) for sizes in ((64, 16), (16, 16), (16, 10))]
    return nn.Sequential(nn.Flatten(), layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])


def keras_layers(found) -> nn.Module:
    """Of Keras layers, channels last, with HGQ2's quantizers: a width for each channel or weight."""
    import keras
    from pquant.core.keras import layers

    found.quantization_parameters.use_high_granularity_quantization = True
    x = frames = keras.Input(shape=(8, 8, 1))
    x = layers.PQConv2d(found, filters=4, kernel_size=3, padding="same")(x)
    x = keras.layers.ReLU()(x)
    x = layers.PQConv2d(found, filters=6, kernel_size=3, strides=2, padding="same")(x)
    x = keras.layers.Flatten()(keras.layers.ReLU()(x))
    return keras.Model(frames, layers.PQDense(found, units=10)(x))


def written(name: str, rounding: str, bits: int, form: str, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Trains and writes a network; its frames and what the module makes of them."""
    import pquant

    torch.manual_seed(0)
    make = {"convolutions": convolutions, "perceptron": perceptron, "keras": keras_layers}[name]
    network = make(configuration(rounding, bits))
    frames = digits()[2]
    options = {"use_qonnx": form == "qonnx", "store_integer_weights": True}
    if name == "keras":
        import keras
        from pquant.core.keras.convert_to_onnx import convert_to_onnx

        x, y = (value.numpy() for value in digits()[:2])
        network.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        network.fit(x.transpose(0, 2, 3, 1), y, epochs=8, verbose=0)
        network = pquant.apply_final_compression(network)
        for parameter in network.parameters():
            parameter.requires_grad_(False)
        frames = frames.permute(0, 2, 3, 1)
        convert_to_onnx(network, (8, 8, 1), str(path), **options)
    else:
        from pquant.core.torch.convert_to_onnx import convert_to_onnx

        network(digits()[0][:10])
        fit(network, 8)
        network = pquant.apply_final_compression(network.eval())
        convert_to_onnx(network, (1, 8, 8), str(path), **options)
    with torch.no_grad():
        return frames.numpy(), network(frames).detach().numpy()


def main(folder: str) -> None:
    for name, rounding, bits, forms in FILES:
        for form in forms:
            path = Path(folder) / f"pquant_{name}_{rounding.lower()}_{form}.onnx"
            frames, wanted = written(name, rounding, bits, form, path)
            found = execute(path, frames) if form == "qonnx" else ort.run(path, frames, False)
            differ = (np.abs(found - wanted) > 1e-6).any(1).sum()
            right = (wanted.argmax(1) == digits()[3].numpy()).mean()
            print(
                f"{path.name}: {path.stat().st_size} bytes, {right:.3f} right; "
                f"file and module differ in {differ} of {len(frames)}"
            )


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(sys.argv[1])
