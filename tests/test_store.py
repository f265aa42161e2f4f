"""The golden graph on disk: what is damaged or odd is refused, whatever it is; ops are found by being there."""

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import hwgen
from hwgen import ops, store
from hwgen.errors import BadInput, HwgenError
from hwgen.flow import read_design
from hwgen.folder import seal
from hwgen.ir import Graph, Input, Node, Output, TensorType
from hwgen.nn import ActQuant
from hwgen.qtype import QType


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A build with every op; no test changes it."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.quant, self.pool = ActQuant(4, 0, signed=True), nn.MaxPool2d(2)
            self.a, self.b = (nn.Conv2d(2, 2, 1) for _ in range(2))
            for conv in (self.a, self.b):
                conv.weight.data.fill_(0.5)
                conv.bias.data.fill_(1.0)

        def forward(self, x):
            x = self.pool(self.quant(x))
            return self.a(x) + self.b(x)

    out = tmp_path_factory.mktemp("built") / "net"
    hwgen.build(Net(), (torch.zeros(1, 2, 4, 4),), out=out)
    return out


@pytest.fixture
def own(built, tmp_path) -> Path:
    return shutil.copytree(built, tmp_path / "net")


def mutations(sound: bytes, count: int, seed: int):
    """A file cut short, or with a few of its bits turned, lost or doubled."""
    dice = random.Random(seed)
    for number in range(count):
        text = bytearray(sound)
        if number % 4 == 0:
            del text[dice.randrange(len(text)) :]
        for _ in range(dice.choice((0, 1, 1, 3)) if number % 4 == 0 else dice.choice((1, 1, 3))):
            at = dice.randrange(len(text) or 1)
            change = dice.randrange(3)
            if change == 0 and text:
                text[at] ^= 1 << dice.randrange(8)
            elif change == 1:
                del text[at : at + dice.randrange(1, 9)]
            else:
                text[at:at] = text[at : at + dice.randrange(1, 9)] or b"\0"
        if text != sound:
            yield bytes(text)


@pytest.mark.parametrize("name", ["golden.npz", "golden.json", "hwgen.json"])
def test_a_damaged_build_is_never_read(own, name):
    path = own / name
    sound = path.read_bytes()
    read_design(own)
    meanings = json.loads(sound) if name == "hwgen.json" else None
    for number, text in enumerate(mutations(sound, 150, seed=1)):
        path.write_bytes(text)
        if meanings and _same(text, meanings):
            continue
        with pytest.raises(HwgenError) as raised:
            read_design(own)
        assert isinstance(raised.value, BadInput) and raised.value.hint, number


def _same(text: bytes, meanings) -> bool:
    """Whether only white space differs."""
    try:
        return json.loads(text) == meanings
    except (ValueError, RecursionError):
        return False


@pytest.mark.parametrize("name", ["golden.npz", "golden.json"])
def test_a_damaged_graph_gives_no_other_error(own, name):
    """Without the check of the files before it: a mutation may be one of what is not read, all else is refused."""
    path = own / name
    sound, graph = path.read_bytes(), store.dump(store.load(own))[0]
    hints = []
    for text in mutations(sound, 150, seed=2):
        path.write_bytes(text)
        try:
            read = store.load(own)
        except BadInput as error:
            hints.append(error.hint)
        else:
            assert isinstance(read, Graph) and (name == "golden.json" or store.dump(read)[0] == graph)
    assert len(hints) > 75 and set(hints) == {"build again"}


ODD = {
    "a text for a number": lambda m: m["nodes"][1].update(groups="1"),
    "a float for an integer": lambda m: m["nodes"][1].update(groups=1.0),
    "a truth for an integer": lambda m: m["nodes"][1].update(groups=True),
    "an integer for a truth": lambda m: m["nodes"][1].update(activations_limited=1),
    "too short a list": lambda m: m["nodes"][1].update(stride=[1]),
    "too long a list": lambda m: m["nodes"][1].update(stride=[1, 1, 1]),
    "a number for a list": lambda m: m["nodes"][1].update(stride=1),
    "a stride of zero": lambda m: m["nodes"][1].update(stride=[0, 0]),
    "null for an integer": lambda m: m["nodes"][1].update(groups=None),
    "a number for an array": lambda m: m["nodes"][1].update(weight=1.0),
    "a field too many": lambda m: m["nodes"][1].update(bits=3),
    "a field too few": lambda m: m["nodes"][1].pop("groups"),
    "an op that is none": lambda m: m["nodes"][1].update(op="Node"),
    "an op that is no text": lambda m: m["nodes"][1].update(op=[]),
    "a name that is no text": lambda m: m["nodes"][1].update(name=3),
    "an input that is none": lambda m: m["nodes"][1].update(inputs=["none"]),
    "inputs that are no list": lambda m: m["nodes"][1].update(inputs="input"),
    "a node that is no table": lambda m: m["nodes"].append(3),
    "an output that is none": lambda m: m["outputs"][0].update(name="none"),
    "an output without a name": lambda m: m["outputs"][0].pop("name"),
    "a shape of two": lambda m: m["inputs"][0]["type"].update(shape=[2, 4]),
    "a shape of text": lambda m: m["inputs"][0].update(shape="244"),
    "an exponent of text": lambda m: m["inputs"][0]["type"].update(exponent="0"),
    "a huge exponent": lambda m: m["inputs"][0]["type"].update(exponent=10**30),
    "a key of no meaning": lambda m: m.update(version=1),
    "an empty range": lambda m: m["inputs"][0]["type"].update(low=9, high=-9),
}


@pytest.mark.parametrize("case", ODD)
def test_an_odd_value_is_refused(own, case):
    path = own / "golden.json"
    text = json.loads(path.read_text())
    assert text["nodes"][1]["op"] == "Conv"
    ODD[case](text)
    path.write_text(json.dumps(text))
    with pytest.raises(BadInput, match="golden graph cannot be read"):
        store.load(own)


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays: arrays.popitem(),
        lambda arrays: arrays.update(more=np.zeros(1)),
        lambda arrays: arrays.update({next(iter(arrays)): np.zeros((2, 2, 1, 1), np.float32)}),
        lambda arrays: arrays.update({next(iter(arrays)): np.full((2, 2, 1, 1), "a")}),
    ],
)
def test_other_arrays_are_refused(own, change):
    with np.load(own / "golden.npz") as file:
        arrays = dict(file)
    change(arrays)
    np.savez(own / "golden.npz", **arrays)
    with pytest.raises(BadInput, match="golden graph cannot be read"):
        store.load(own)


@pytest.mark.parametrize("name", ["a/b", "../net", "", 3])
def test_a_manifest_with_a_name_that_is_none(own, name):
    """Sealed again, as one who means harm would."""
    known = json.loads((own / "hwgen.json").read_text())
    known.pop("sha256")
    (own / "hwgen.json").write_text(seal(known | {"name": name}))
    with pytest.raises(BadInput, match=r"hwgen\.json is not as hwgen wrote it"):
        read_design(own)


NEW_OP = """
from dataclasses import dataclass
import numpy as np
from hwgen.ir import Op

@dataclass(frozen=True, eq=False)
class ForATest(Op):
    table: np.ndarray
    first: int = 0
    names: tuple[str, ...] = ()

    def infer(self, x):
        return x
"""


def test_a_new_op_is_found_by_being_there(tmp_path, monkeypatch):
    (tmp_path / "op_for_a_test.py").write_text(NEW_OP)
    monkeypatch.setattr(ops, "__path__", [*ops.__path__, str(tmp_path)])
    ops.importers.cache_clear()
    new = store.ops()["ForATest"]
    op = new(np.arange(4), 3, ("a", "b"))
    kind = TensorType((1, 1, 1), QType(0, 3), 0)
    text, arrays = store.dump(
        Graph((Input("input", kind, (1,)),), (Node("look", op, ("input",)),), (Output("look", (1,)),))
    )
    (tmp_path / "golden.json").write_text(text)
    (tmp_path / "golden.npz").write_bytes(arrays)
    read = store.load(tmp_path)["look"].op
    assert type(read) is new and read.first == 3 and read.names == ("a", "b")
    assert np.array_equal(read.table, np.arange(4))
