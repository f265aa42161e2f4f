"""The networks: their files, and the rates that are asked of them."""

from dataclasses import dataclass

CLOCK = 250  # MHz, assumed


@dataclass(frozen=True)
class Network:
    """A network of MLPerf Tiny.

    name    what it is called here
    file    its int8 file
    floats  the file with the weights that compression begins with
    fps     frames a second that are asked of it by target, and of its compressed forms
    about   the integer that its random inputs are about, and their contrast: see `compressed.inputs`
    """

    name: str
    file: str
    floats: str
    fps: dict[str, int]
    about: tuple[float, float] = (0, 1)


def _rates(exact: int, reference: int, compressed: int) -> dict[str, int]:
    return {"exact": exact, "tflite-reference": reference, "compressed": compressed}


_ALL = (
    Network("resnet8", "pretrainedResnet_quant.tflite", "pretrainedResnet.tflite", _rates(5000, 5000, 5000)),
    Network("ds_cnn", "kws_ref_model.tflite", "kws_ref_model_float32.tflite", _rates(5000, 5000, 5000), (83, 0.25)),
    Network("mobilenet", "vww_96_int8.tflite", "vww_96_float.tflite", _rates(1000, 1000, 1000)),
    Network("autoencoder", "ad01_int8.tflite", "ad01_fp32.tflite", _rates(60_000, 60_000, 60_000), (89, 0.25)),
    Network("wake_word", "str_ww_ref_model.tflite", "str_ww_ref_model.tflite", _rates(5000, 5000, 5000)),
)
NETWORKS = {network.name: network for network in _ALL}
