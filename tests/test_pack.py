"""Both drivers make of a user's numbers the words of a stream, and of words numbers, as the golden graph does."""

import importlib.util
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from hwgen.deploy.kit import plain
from hwgen.deploy.network import describe, network_c, registers_h, registers_py
from hwgen.ir import Graph, Input, Output, TensorType
from hwgen.nn_affine import ROUNDINGS
from hwgen.ports import NATURAL
from hwgen.qtype import QType
from hwgen.share import share

SANITIZED = ["-std=c11", "-g", "-O2", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror"]
SANITIZED += ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
CONVERT = share("rtl").parent / "tests/system/convert.c"
SHAPE = (2, 3, 4)
LAST = np.arange(24).reshape(3, 4, 2).transpose(2, 0, 1).reshape(-1)  # channels last in the user's array
MEAN, DEVIATION = np.array([[[0.485]], [[0.456]]]), np.array([[[0.229]], [[0.224]]])
SCALE, OFFSET = np.array([0.3, -1.7]), np.array([[[0.1]], [[0.2]], [[-0.9]]])  # of a channel, of a row


def kind(low, high, exponent, shape=SHAPE):
    return TensorType(shape, QType(low, high), exponent)


ENDS = [
    *(Input(f"of_{name}", kind(-8, 7, -1), SHAPE, rounding=name) for name in ROUNDINGS),
    Input("bytes", kind(0, 255, -8, (1, 5, 60)), (300,)),
    Input("below_zero", kind(-300, 200, -3), (24,)),
    Input("wide", kind(-(2**20), 2**20, -12), SHAPE),
    Input("steps", kind(-128, 127, -4), SHAPE, steps=(("sub", MEAN), ("div", DEVIATION))),
    Input("view", kind(0, 15, -2), (3, 4, 2), view=LAST, steps=(("mul", SCALE), ("add", OFFSET))),
    Input("beats", kind(-8, 7, -2, (3, 4, 5)), (3, 4, 5)),
    Input("large", kind(0, 3, 3, (3, 40, 7)), (840,)),
]
OUTPUTS = [
    Output("wide", SHAPE),
    Output("below_zero", (24,), scale=np.array(0.1)),
    Output("view", (3, 4, 2), view=np.argsort(LAST).reshape(3, 4, 2), scale=SCALE, offset=OFFSET),
    Output("bytes", (5, 60)),
    Output("beats", (3, 4, 5)),
]
SOFTMAX = [replace(OUTPUTS[2], host=(name, axis)) for name, axis in (("softmax", -1), ("log_softmax", 2))]
GRAPH = Graph(tuple(ENDS), (), (*OUTPUTS, *SOFTMAX))


class Streams:
    """As much of a design as `describe` asks for."""

    ports = NATURAL

    def __init__(self, graph):
        self.graph = graph
        self.inputs = [self._stream(one.name) for one in graph.inputs]
        self.outputs = [self._stream(one.name) for one in graph.outputs]

    def _stream(self, name):
        from hwgen.design import Stream
        from hwgen.stream import Order

        kind = self.graph.types()[name]
        return Stream(name, name, kind, Order(kind.shape).by_pixels(1) if name == "beats" else Order(kind.shape))


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    """(the C program, the Python module's streams in and out)."""
    folder = tmp_path_factory.mktemp("driver")
    manifest = {"name": "ends", "build_id": 1, "modes": [], "loadable": []}
    described = describe(Streams(GRAPH), manifest, 250.0)
    for name, text in (
        ("network.c", network_c(described)),
        ("hwgen_registers.h", registers_h()),
        ("hwgen_registers.py", registers_py()),
    ):
        (folder / name).write_text(text)
    source = share("kit") / "driver"
    command = ["gcc", *SANITIZED, f"-I{source}", CONVERT, source / "pack.c", folder / "network.c", "-lm"]
    subprocess.run([*map(str, command), "-o", str(folder / "convert")], check=True)
    sys.path.insert(0, str(folder))
    try:
        spec = importlib.util.spec_from_file_location("hwgen_driver", share("kit") / "python/hwgen_driver.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(folder))
    described = plain(described)
    return (
        folder / "convert",
        [module.Stream(each, True) for each in described["inputs"]],
        [module.Stream(each, False) for each in described["outputs"]],
    )


def numbers(one, frames=40):
    """float32 [N, *shape]: ties and what is next to them, and beyond both ends."""
    dice = np.random.default_rng(len(one.name))
    low, high, unit = one.type.qtype.low, one.type.qtype.high, 2.0**one.type.exponent
    x = dice.uniform(low - 2, high + 2, (frames, *one.shape))
    ties = dice.random(x.shape) < 0.5
    x = np.where(ties, np.floor(x) + 0.5, x).astype(np.float32)
    x = np.where(dice.random(x.shape) < 0.3, np.nextafter(x, np.float32(-np.inf)), x)
    x.flat[:4] = np.nextafter(np.float32(0.5), np.float32(0)), -1e-30, 3e38, -3e38
    with np.errstate(over="ignore"):
        return np.clip(x * np.float32(unit), -3e38, 3e38)


def words_of(stream, ints):
    dtype = {8: np.uint8, 16: np.uint16, 32: np.uint32, 64: np.uint64}[stream.dtype.itemsize * 8]
    words = ints.numpy().transpose(0, 2, 3, 1).reshape(len(ints), -1, stream.side).astype(dtype)
    return np.pad(words, ((0, 0), (0, 0), (0, stream.beat - stream.side))).reshape(len(ints), -1)


@pytest.mark.parametrize("at", range(len(ENDS)), ids=[one.name for one in ENDS])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numbers_become_the_words_of_the_golden_integers(driver, at, dtype):
    program, inputs, _ = driver
    x = numbers(ENDS[at]).astype(dtype)
    want = words_of(inputs[at], ENDS[at].quantize(torch.from_numpy(x)))
    assert np.array_equal(inputs[at].pack(x).view(want.dtype), want)
    name = "float" if dtype == np.float32 else "double"
    done = subprocess.run([program, "in", str(at), name], input=x.tobytes(), capture_output=True, check=True)
    assert np.array_equal(np.frombuffer(done.stdout, want.dtype).reshape(want.shape), want)


@pytest.mark.parametrize("at", range(len(GRAPH.outputs)), ids=lambda at: f"{GRAPH.outputs[at].name}{at}")
def test_words_become_the_numbers_of_the_golden_graph(driver, at):
    program, _, outputs = driver
    one, dice = GRAPH.outputs[at], np.random.default_rng(at)
    kind = GRAPH.types()[one.name]
    ints = torch.from_numpy(dice.integers(kind.qtype.low, kind.qtype.high + 1, (9, *kind.shape)))
    want = one.dequantize(ints, kind.exponent).numpy()
    words = words_of(outputs[at], ints)
    done = subprocess.run([program, "out", str(at)], input=words.tobytes(), capture_output=True, check=True)
    for got in (outputs[at].unpack(words.view(outputs[at].dtype)), np.frombuffer(done.stdout).reshape(want.shape)):
        if one.host is None:
            assert np.array_equal(got, want)
        else:  # exp and log of three libraries
            np.testing.assert_allclose(got, want, rtol=1e-14)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["bytes", "steps", "view"])
def test_what_is_not_finite_is_refused(driver, wrong, name):
    program, inputs, _ = driver
    at = next(i for i, one in enumerate(ENDS) if one.name == name)
    x = np.zeros((1, *ENDS[at].shape), np.float32)
    x.flat[-1] = wrong
    with pytest.raises(ValueError, match="holds a number that is not finite"):
        inputs[at].pack(x)
    done = subprocess.run([program, "in", str(at), "float"], input=x.tobytes(), capture_output=True, check=False)
    assert done.returncode == 3 and not done.stdout
