"""Bad input: each kind has its own error, which says what, where and what to do, and leaves no file and touches
none."""

import contextlib
import gc
import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

import hwgen
from hwgen.cli import main
from hwgen.config import BuildConfig
from hwgen.errors import (
    BadInput,
    DoesNotFit,
    HwgenError,
    MissingActQuant,
    MissingTool,
    Obstacles,
    OffGrid,
    UnsupportedLayer,
)
from hwgen.load import load, load_data
from hwgen.nn import ActQuant

COMMAND = [sys.executable, "-c", "from hwgen.cli import main; main()"]


def content(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder: files with their bytes, folders with None."""
    return {str(p.relative_to(folder)): None if p.is_dir() else p.read_bytes() for p in sorted(folder.rglob("*"))}


def small() -> nn.Sequential:
    """A network that builds in no time."""
    net = nn.Sequential(ActQuant(4, 0, signed=True), nn.Linear(3, 2, bias=False))
    net[1].weight.data.copy_(torch.tensor([[1.0, -2.0, 0.0], [0.5, 0.0, 4.0]]))
    return net


SMALL = (torch.zeros(1, 3),)


def conv(*arguments, fill: float = 0.5, **options) -> nn.Conv2d:
    layer = nn.Conv2d(*arguments, **options)
    layer.weight.data.fill_(fill)
    if layer.bias is not None:
        layer.bias.data.fill_(fill)
    return layer


def off_grid(layer: nn.Conv2d) -> nn.Conv2d:
    """With weights that are multiples of no number."""
    layer.weight.data[:, 0] = 0.1
    layer.weight.data[:, 1] = 0.7
    return layer


def image(*layers: nn.Module) -> tuple[nn.Module, tuple[torch.Tensor]]:
    return nn.Sequential(*layers), (torch.zeros(1, 2, 8, 8),)


@pytest.fixture
def refused(tmp_path):
    """Builds a network that must be refused: with `error`, naming every one of `words`, and no file written."""

    def check(error: type[HwgenError], network, *words: str) -> None:
        model, inputs = network
        with pytest.raises(error) as raised:
            hwgen.build(model, inputs, out=tmp_path / "net")
        assert type(raised.value) is error
        assert raised.value.at and raised.value.hint
        for word in words:
            assert word in str(raised.value), f"{word!r} is not in: {raised.value}"
        assert content(tmp_path) == {}

    return check


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A build of small(); no test changes it."""
    out = tmp_path_factory.mktemp("built") / "net"
    hwgen.build(small(), SMALL, out=out)
    return out


class Inside(nn.Module):
    """Calls a function in a module of its own, after the quantizer."""

    def __init__(self, function):
        super().__init__()
        self.quant = ActQuant(4, 0, signed=True)
        self.body = nn.Module()
        self.body.forward = function

    def forward(self, x):
        return self.body(self.quant(x))


class Cumulated(nn.Module):
    def forward(self, x):
        return x.cumsum(1)


# what a network may hold

UNSUPPORTED = {
    "op": (image(ActQuant(4, 0), nn.Sequential(Cumulated())), "cumsum", "1.0", "replace the layer"),
    "softmax": (image(ActQuant(4, 0), nn.Softmax(1), nn.Flatten()), "softmax", "at:   1", "hwgen.nn.Softmax"),
    "op of no module": ((Inside(lambda x: x.cumsum(1)), SMALL), "aten.cumsum", "replace the layer"),
    "adaptive to 3": (image(ActQuant(4, 0), nn.AdaptiveAvgPool2d(3)), "whose windows differ", "at:   1"),
    "a maximum of padding": (
        (
            nn.Sequential(ActQuant(4, 0), nn.MaxPool2d((2, 1), padding=(1, 0), dilation=(2, 1))),
            (torch.zeros(1, 1, 1, 3),),
        ),
        "minus infinity",
        "padding",
    ),
    "shapes that do not meet": (
        (Inside(lambda x: nn.functional.unfold(x, 2)[:, :, :3].sum(0, keepdim=True)), (torch.zeros(1, 2, 8, 8),)),
        "dimensions [0]",
        "batch",
    ),
    "no batch": ((nn.Sequential(ActQuant(4, 0)), (torch.zeros(3),)), "an input of shape [3]", "rows, columns"),
    "empty output": (image(ActQuant(4, 0), nn.ZeroPad2d(-4)), "would have shape [1, 2, 0, 0]"),
}


@pytest.mark.parametrize("case", UNSUPPORTED)
def test_unsupported_layers_are_named(refused, case):
    network, *words = UNSUPPORTED[case]
    refused(UnsupportedLayer, network, *words)


def test_a_window_larger_than_its_input(refused):
    """torch.export itself refuses it, and a pool of ours gives its own error."""
    refused(UnsupportedLayer, image(ActQuant(4, 0), conv(2, 2, 9)), "torch.export fails", "Kernel size")


def test_training_mode(refused):
    """A module is put into eval mode for its export; a call that insists on training is refused."""
    dropout = Inside(lambda x: nn.functional.dropout(x, 0.5))
    refused(UnsupportedLayer, (dropout, SMALL), "dropout in training mode", "F.dropout(x, p, training=self.training)")
    norm = Inside(lambda x: nn.functional.batch_norm(x, None, None, training=True))
    refused(UnsupportedLayer, (norm, (torch.zeros(2, 3),)), "batch norm in training mode", "eval()")


def test_a_program_that_was_exported_in_training_mode(refused):
    net, (x,) = image(ActQuant(4, 0), conv(2, 2, 3), nn.BatchNorm2d(2))
    program = torch.export.export(net.train(), (x.repeat(2, 1, 1, 1),))
    refused(UnsupportedLayer, (program, None), "batch norm in training mode", "at:   2", "eval() before the export")
    program = torch.export.export(nn.Sequential(ActQuant(4, 0), nn.Dropout()).train(), SMALL)
    refused(UnsupportedLayer, (program, None), "dropout in training mode", "at:   1", "eval() before the export")


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.zeros(()))
        self.quant = ActQuant(4, 0)

    def forward(self, x):
        self.seen.add_(1)
        return self.quant(x)


def test_a_module_that_keeps_state(refused):
    refused(UnsupportedLayer, (nn.Sequential(Counting()), SMALL), "changes 0.seen", "at:   0", "no state")


def test_an_example_without_a_batch_is_told_so_and_torch_prints_nothing(refused, capfd):
    net = nn.Sequential(ActQuant(4, 0), conv(1, 2, 3), nn.Flatten(), nn.Linear(72, 2))
    refused(BadInput, (net, (torch.zeros(1, 8, 8),)), "without a batch", "[1, 8, 8]", "x[None]: [1, 1, 8, 8]")
    assert capfd.readouterr() == ("", "")


# several at once


def lines(error: HwgenError) -> list[str]:
    return [line.strip() for line in str(error).splitlines()]


def test_all_obstacles_of_a_network_are_named_at_once(tmp_path):
    net, x = image(
        *(
            ActQuant(4, 0),
            off_grid(conv(2, 4, 3)),
            Cumulated(),
            ActQuant(4, 0),
            conv(4, 4, 3),
            Cumulated(),
        ),
        *(ActQuant(4, 0), nn.AdaptiveAvgPool2d(3), conv(4, 4, 1, fill=float("nan")), nn.Softmax(1), nn.ReLU()),
    )
    with pytest.raises(Obstacles) as raised:
        hwgen.build(net, x, out=tmp_path / "net")
    assert content(tmp_path) == {}
    found = [(type(error), error.at) for error in raised.value.each()]
    assert found == [
        *((OffGrid, "1"), (UnsupportedLayer, "2, 5"), (UnsupportedLayer, "7"), (OffGrid, "8"), (UnsupportedLayer, "9")),
    ]
    text = lines(raised.value)
    assert text[0] == "Obstacles: 5 things stand in the way of this network"
    assert "UnsupportedLayer: no op imports aten.cumsum.default" in text and "at:   2, 5" in text
    assert sum(line.startswith("try:") for line in text) == 5


def test_what_is_behind_a_layer_that_fails_is_not_judged_by_its_numbers(refused):
    """The sum would need 100 bits if the sums' result were an integer."""
    net = nn.Sequential(ActQuant(4, 60), conv(2, 2, 1, bias=False), Summing(Cumulated()), conv(2, 2, 1), conv(2, 2, 1))
    refused(UnsupportedLayer, (net, (torch.zeros(1, 2, 8, 8),)), "aten.cumsum", "at:   2")


class Summing(nn.Module):
    """x + function(x)"""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return x + self.function(x)


def test_a_recurrent_layer_is_named_once(refused):
    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.quant, self.lstm, self.head = ActQuant(4, 0), nn.LSTM(3, 4, batch_first=True), nn.Linear(4, 2)

        def forward(self, x):
            return self.head(self.lstm(self.quant(x))[0][:, -1])

    net = Last()
    for parameter in net.parameters():
        parameter.data.fill_(0.5)
    with pytest.raises(HwgenError) as raised:
        hwgen.frontend.import_model(net, (torch.zeros(1, 5, 3),))
    assert [(e.what, e.at) for e in raised.value.each()] == [("a recurrent layer in floats", "lstm")]


def test_a_float_network_is_told_to_compress(refused, tmp_path):
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Hardtanh(-0.3, 0.7), nn.Conv2d(4, 4, 3), nn.ReLU())
    words = ("no quantizer", "hwgen compress train.py:job --recipe recipe.json -o DIR", "DIR/model.pt2", "ActQuant")
    refused(MissingActQuant, (net, (torch.zeros(1, 2, 8, 8),)), *words)
    with pytest.raises(Obstacles) as raised:
        hwgen.build(net.append(Cumulated()), (torch.zeros(1, 2, 8, 8),), out=tmp_path / "net")
    assert [type(error) for error in raised.value.each()] == [UnsupportedLayer, MissingActQuant]


def test_a_dynamic_shape(refused, tmp_path):
    rows = torch.export.Dim("rows", min=3, max=64)
    net, inputs = image(ActQuant(4, 0), nn.ReLU())
    program = torch.export.export(net, inputs, dynamic_shapes=({2: rows},))
    refused(UnsupportedLayer, (program, None), "dynamic shape", "static")


@pytest.mark.parametrize("inputs", [torch.zeros(1, 3), None, [torch.zeros(1, 3)], ("x",)])
def test_example_inputs_that_are_no_tuple_of_tensors(refused, inputs):
    refused(BadInput, (small(), inputs), "example_inputs", "tuple of tensors")


def test_an_example_of_integers(refused):
    refused(BadInput, (small(), (torch.zeros(1, 3, dtype=torch.int64),)), "int64", "float32 or torch.float64")


# weights and grids


@pytest.mark.parametrize("value", [0.1, 1 / 3, 65537.0])
def test_an_off_grid_weight(refused, value):
    net = small()
    net[1].weight.data[1, 2] = value
    refused(OffGrid, (net, SMALL), "weight[1, 2", str(np.float32(value))[:6], "at:   1", "project the weights")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["weight", "bias"])
def test_a_number_that_is_not_finite(refused, name, value):
    net, inputs = image(ActQuant(4, 0), nn.Sequential(conv(2, 2, 3)))
    getattr(net[1][0], name).data[1] = value
    refused(OffGrid, (net, inputs), f"{name}[1", str(value), "not finite", "at:   1.0")


def test_a_batch_norm_that_leaves_the_grid(refused):
    norm = nn.BatchNorm2d(2)
    norm.running_var.fill_(0.3)
    net = image(ActQuant(4, 0), conv(2, 2, 3), norm, nn.ReLU(), conv(2, 2, 3))
    refused(MissingActQuant, net, "the result of batch_norm is used as floats", "at:   2", "put a quantizer behind it")


def test_a_batch_norm_with_a_variance_of_zero(refused):
    norm = nn.BatchNorm2d(2, eps=0.0)
    norm.running_var.fill_(0.0)
    refused(OffGrid, image(ActQuant(4, 0), conv(2, 2, 3), norm), "not finite", "at:   2", "division by zero")


def test_missing_quantizers(refused):
    refused(MissingActQuant, image(conv(2, 2, 3)), "floats", "at:   input", "first layer")
    refused(MissingActQuant, image(nn.GELU(), ActQuant(4, 0)), "floats", "at:   0", "first layer")
    refused(MissingActQuant, image(nn.Identity()), "never meets a quantizer", "input", "first layer")
    aside = Inside(lambda x: x)
    aside.forward = lambda x: (aside.quant(x), x)[1]
    refused(MissingActQuant, (aside, SMALL), "never meets a quantizer", "input", "first layer")
    stack = image(ActQuant(8, 0), conv(2, 2, 3, fill=100.0), nn.ReLU(), nn.Sequential(conv(2, 2, 3)))
    refused(MissingActQuant, stack, "17 bits", "at:   3.0", "hwgen.nn.ActQuant", "before this layer")


def test_an_input_quantized_in_two_ways(refused):
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = ActQuant(4, 0), ActQuant(5, 0)

        def forward(self, x):
            return self.a(x) + self.b(x)

    refused(UnsupportedLayer, (Two(), SMALL), "two ways", "once")


def test_an_accumulator_above_48_bits(refused):
    net = small()
    net[1].weight.data[0] = torch.tensor([1.0, 2.0**45, 0.0])
    refused(DoesNotFit, (net, SMALL), "bits, above 48", "at:   1", "narrow the spread")

    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.quant, self.fine = ActQuant(8, 40), ActQuant(4, -4)

        def forward(self, x):
            x = self.quant(x)
            return x + self.fine(x)

    refused(DoesNotFit, (Sum(), SMALL), "bits, above 48", "quantize the operands")


def test_a_network_that_exceeds_the_board(refused):
    net = nn.Sequential(ActQuant(4, 0), nn.Linear(2048, 1024, bias=False))
    signs = torch.randint(0, 2, (1024, 2048), generator=torch.Generator().manual_seed(0))
    net[1].weight.data = 2.0 * signs - 1  # no two outputs share a list
    refused(DoesNotFit, (net, (torch.zeros(1, 2048),)), "BRAM", "zcu104", "prune")


# .pt2 files


class Bomb:
    """Its pickle makes a file when it is loaded."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


def saved(path: Path, change=lambda members: None) -> Path:
    """A .pt2 of small(), its members changed by `change`."""
    torch.export.save(torch.export.export(small().eval(), SMALL), path)
    with zipfile.ZipFile(path) as archive:
        members = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w") as archive:
        for name, value in members.items():
            archive.writestr(f"{path.stem}/{name}", value)
    return path


WEIGHTS = "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"


def edit(members: dict[str, bytes], name: str, old: str, new: str) -> None:
    assert old.encode() in members[name]
    members[name] = members[name].replace(old.encode(), new.encode())


def attacks(trace: Path, bomb: bytes, torch_bomb: bytes) -> dict:
    """Ways in which an archive of the right form can ask torch.export.load to run code."""

    def weight(members):
        edit(members, WEIGHTS, '"use_pickle": false', '"use_pickle": true')
        members["data/weights/weight_0"] = torch_bomb

    def constant(members, file, value):
        entry = {"path_name": file, "is_param": False, "use_pickle": True, "tensor_meta": None}
        members[CONSTANTS] = json.dumps({"config": {"c": entry}}).encode()
        members[f"data/constants/{file}"] = value

    def expression(members):
        code = f"__import__('os').mkdir('{trace}')"
        edit(
            members,
            "models/model.json",
            '"as_int": 3}',
            f'"as_expr": {{"expr_str": "{code}", "hint": null}}}}',
        )

    def old_form(members):
        members["version"] = b"8.9"
        members["serialized_exported_program.json"] = members.pop("models/model.json")
        for name in ("state_dict", "constants", "example_inputs"):
            members[f"serialized_{name}.pt"] = torch_bomb

    return {
        "pickled weight": weight,
        "pickled constant": lambda m: constant(m, "tensor_0", torch_bomb),
        "custom object": lambda m: constant(m, "custom_obj_0", torch_bomb),
        "opaque object": lambda m: constant(m, "opaque_obj_0", bomb),
        "sample inputs": lambda m: m.update({"data/sample_inputs/model.pt": torch_bomb}),
        "legacy weights": lambda m: m.update({"data/weights/model.pt": torch_bomb}),
        "legacy constants": lambda m: m.update({"data/constants/model.pt": torch_bomb}),
        "compiled library": lambda m: m.update({"data/aotinductor/model/model.so": b"\x7fELF"}),
        "stray pickle": lambda m: m.update({"data.pkl": bomb}),
        "member outside": lambda m: m.update({"../outside": b""}),
        "expression": expression,
        "old form": old_form,
    }


@pytest.mark.parametrize("attack", attacks(Path(), b"", b""))
def test_a_malicious_archive_runs_nothing(tmp_path, attack):
    trace = tmp_path / "trace"
    torch.save(Bomb(trace), tmp_path / "bomb.pt")
    change = attacks(trace, pickle.dumps(Bomb(trace)), (tmp_path / "bomb.pt").read_bytes())[attack]
    path = saved(tmp_path / "net.pt2", change)
    before = content(tmp_path)
    with pytest.raises(BadInput, match=re.escape(str(path))) as raised:
        load(str(path))
    assert "torch.export.save" in raised.value.hint
    assert content(tmp_path) == before


@pytest.mark.parametrize(
    "attack", ["pickled weight", "pickled constant", "opaque object", "sample inputs", "expression"]
)
def test_the_attacks_would_run_without_the_check(tmp_path, attack):
    """The bombs are real: torch.export.load itself sets them off."""
    trace = tmp_path / "trace"
    torch.save(Bomb(trace), tmp_path / "bomb.pt")
    change = attacks(trace, pickle.dumps(Bomb(trace)), (tmp_path / "bomb.pt").read_bytes())[attack]
    path = saved(tmp_path / "net.pt2", change)
    with contextlib.suppress(Exception):
        torch.export.load(path)
    assert trace.is_dir()


def test_files_that_are_no_archive(tmp_path):
    trace = tmp_path / "trace"
    path = tmp_path / "net.pt2"
    for make in (
        lambda: torch.save(Bomb(trace), path),
        lambda: torch.save(Bomb(trace), path, _use_new_zipfile_serialization=False),
        lambda: path.write_bytes(pickle.dumps(Bomb(trace))),
        lambda: torch.save(small(), path),
        lambda: path.write_bytes(b""),
        lambda: path.write_bytes(b"PK\x03\x04 and no more"),
        lambda: path.write_bytes(saved(path).read_bytes()[:-100]),
        lambda: saved(path, lambda members: members.pop("models/model.json")),
        lambda: saved(path, lambda members: members.update({"models/model.json": b"{"})),
        lambda: saved(path, lambda members: members.update({"models/model.json": b"[]"})),
    ):
        make()
        with pytest.raises(BadInput, match=r"net\.pt2"):
            load(str(path))
        assert [p.name for p in tmp_path.iterdir()] == ["net.pt2"]


def test_a_sound_archive_is_read(tmp_path):
    program, inputs = load(str(saved(tmp_path / "net.pt2")))
    assert inputs is None
    hwgen.build(program, out=tmp_path / "net")
    hwgen.build(small(), SMALL, out=tmp_path / "same", config=BuildConfig(name="net"))
    written = [content(tmp_path / name) for name in ("net", "same")]
    assert written[0].keys() == written[1].keys()
    assert written[0]["rom/layer_1.hex"] == written[1]["rom/layer_1.hex"]


def test_an_archive_with_a_dynamic_batch_is_read(tmp_path):
    batch = torch.export.Dim("batch")
    program = torch.export.export(small().eval(), (torch.zeros(2, 3),), dynamic_shapes=({0: batch},))
    torch.export.save(program, tmp_path / "net.pt2")
    hwgen.build(*load(str(tmp_path / "net.pt2")), out=tmp_path / "net")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "has no function"),
        ("def load(): return 3", "returned int"),
        ("def load(): return 1 / 0", "ZeroDivisionError"),
        ("def load(:", "SyntaxError"),
        ("import no_such_module", "no_such_module"),
        ("import sys; sys.exit(3)", "SystemExit"),
    ],
)
def test_a_python_file_that_gives_no_network(tmp_path, text, word):
    (tmp_path / "model.py").write_text(text)
    with pytest.raises(BadInput, match=word):
        load(f"{tmp_path}/model.py:load")


def test_data_from_a_file_that_is_no_python(tmp_path):
    (tmp_path / "x.csv").write_text("1, 2, 3")
    with pytest.raises(BadInput, match=r"x\.csv is no Python file"):
        load_data(f"{tmp_path}/x.csv:get")


# the folder


@pytest.mark.parametrize("enabled", [True, False])
def test_the_garbage_collector_is_as_it_was(tmp_path, enabled):
    """A build goes without it, and leaves it as it was, also where the build fails."""
    seen = {}
    before = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        hwgen.build(small(), SMALL, out=tmp_path / "net", progress=lambda stage: seen.setdefault(stage, gc.isenabled()))
        assert gc.isenabled() == enabled
        with pytest.raises(DoesNotFit):
            hwgen.build(small(), SMALL, out=tmp_path / "none", config=BuildConfig(fps=1e12))
        assert gc.isenabled() == enabled
    finally:
        (gc.enable if before else gc.disable)()
    assert seen == {"import": enabled} | dict.fromkeys(("schedule", "emit", "lint", "write"), False)


def test_a_folder_that_is_no_build(tmp_path):
    out = tmp_path / "mine"
    out.mkdir()
    (out / "thesis.tex").write_text("all my work")
    before = content(tmp_path)
    with pytest.raises(BadInput, match="not empty and is no build"):
        hwgen.build(small(), SMALL, out=out)
    with pytest.raises(BadInput, match="it is a file"):
        hwgen.build(small(), SMALL, out=out / "thesis.tex")
    with pytest.raises(BadInput, match="cannot be written"):
        hwgen.build(small(), SMALL, out=out / "thesis.tex" / "net")
    assert content(tmp_path) == before


@pytest.mark.parametrize(
    "manifest",
    ["", "{}", "[]", '{"files": 3}', '{"files": {"../thesis.tex": ""}}', '{"files": {"/etc/hosts": ""}}'],
)
def test_a_manifest_that_is_not_ours(tmp_path, manifest):
    out = tmp_path / "net"
    out.mkdir()
    (tmp_path / "thesis.tex").write_text("all my work")
    (out / "hwgen.json").write_text(manifest)
    before = content(tmp_path)
    with pytest.raises(BadInput, match=r"hwgen\.json"):
        hwgen.build(small(), SMALL, out=out)
    assert content(tmp_path) == before


def test_building_over_a_build(tmp_path):
    """What the old build wrote goes, also what was derived from it; the user's own files stay."""
    out = tmp_path / "net"
    hwgen.build(*image(ActQuant(4, 0), conv(2, 2, 3)), out=out)
    (out / "notes.txt").write_text("mine")
    (out / "rtl" / "mine.v").write_text("mine")
    (out / "synth").mkdir()
    (out / "report.md").write_text("stale")
    hwgen.build(small(), SMALL, out=out)
    hwgen.build(small(), SMALL, out=tmp_path / "fresh", config=BuildConfig(name="net"))
    expected = content(tmp_path / "fresh") | {"notes.txt": b"mine", "rtl/mine.v": b"mine"}
    assert content(out) == dict(sorted(expected.items()))


@pytest.mark.parametrize("board", ["none", "../zcu104", ""])
def test_a_board_that_is_not_there(tmp_path, board):
    with pytest.raises(BadInput, match="board"):
        hwgen.build(small(), SMALL, out=tmp_path / "net", config=BuildConfig(board=board))
    assert content(tmp_path) == {}


# Ctrl-C


@pytest.fixture
def python_handles_ctrl_c():
    """Also where the tests run in the background of a shell, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("python_handles_ctrl_c")
def test_an_interrupt_at_any_stage_leaves_the_old_build(tmp_path):
    out = tmp_path / "net"
    hwgen.build(*image(ActQuant(4, 0), conv(2, 2, 3)), out=out)
    before = content(tmp_path)
    stages = []
    hwgen.build(small(), SMALL, out=tmp_path / "other", progress=stages.append)
    shutil.rmtree(tmp_path / "other")
    for stage in stages:
        with pytest.raises(KeyboardInterrupt):
            hwgen.build(
                small(),
                SMALL,
                out=out,
                progress=lambda now, at=stage: now == at and signal.raise_signal(signal.SIGINT),
            )
        assert content(tmp_path) == before


@pytest.mark.usefixtures("python_handles_ctrl_c")
@pytest.mark.parametrize("call", ["write_bytes", "mkdir", "replace", "unlink"])
@pytest.mark.parametrize("count", [1, 3])
def test_an_interrupt_while_writing_leaves_one_whole_build(tmp_path, monkeypatch, call, count):
    """The signal comes at the count-th such call: before the files are moved the old build stays, after that the new
    one is whole."""
    builds = {}
    for name, network in {"new": (small(), SMALL), "old": image(ActQuant(4, 0), conv(2, 2, 3))}.items():
        hwgen.build(*network, out=tmp_path / name / "net")
        builds[name] = content(tmp_path / name)
    work = tmp_path / "old"
    calls = []
    original = getattr(Path, call)

    def interrupted(*arguments, **options):
        calls.append(call)
        if len(calls) == count:
            signal.raise_signal(signal.SIGINT)
        return original(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Path, call, interrupted)
        with pytest.raises(KeyboardInterrupt):
            hwgen.build(small(), SMALL, out=work / "net")
    whole = "old" if call in ("write_bytes", "mkdir") else "new"
    assert content(work) == builds[whole]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("delay", [0.5, 2.0, 3.5])
def test_ctrl_c_on_the_command_line(tmp_path, delay):
    source = Path(__file__).resolve()
    work = tmp_path / "work"
    hwgen.build(*image(ActQuant(4, 0), conv(2, 2, 3)), out=work / "net")
    hwgen.build(small(), SMALL, out=tmp_path / "net")
    old, new = content(work), content(tmp_path / "net")
    command = [*COMMAND, "build", f"{source}:load_small", "-o", str(work / "net")]
    child = subprocess.Popen(
        command, cwd=source.parent.parent, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    time.sleep(delay)
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=60)
    assert child.returncode in (0, 130, -signal.SIGINT), errors
    now = {name: value for name, value in content(work).items() if name != "net/seconds.json"}
    assert now == old or {name.removeprefix("net/"): value for name, value in now.items() if name != "net"} == new


def load_small():
    return small(), SMALL


# the command line


def run(*arguments: str):
    """The words of what the command printed, wrapped or not; it must end with an error and no traceback."""
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code in (1, 2), result.output
    assert isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    return " ".join(result.output.split())


def test_the_command_line_prints_the_error_alone(tmp_path):
    saved(tmp_path / "net.pt2", lambda members: members.update({"data.pkl": b""}))
    (tmp_path / "model.py").write_text(
        "from torch import nn, zeros\ndef load(): return nn.Softmax2d(), (zeros(1, 4, 2, 2),)"
    )
    before = content(tmp_path)
    out = ("-o", str(tmp_path / "out"))
    assert "BadInput" in run("build", str(tmp_path / "net.pt2"), *out)
    assert "no file" in run("build", str(tmp_path / "none.pt2"), *out)
    assert "neither a .pt2 file" in run("build", str(tmp_path / "model.py"), *out)
    text = run("build", f"{tmp_path}/model.py:load", *out)
    assert "quantizer" in text and "at:" in text and "try:" in text
    assert "lanes = 0" in run("build", f"{tmp_path}/model.py:load", *out, "--lanes", "0")
    assert "name = 'Net!'" in run("build", f"{tmp_path}/model.py:load", *out, "--name", "Net!")
    assert "board" in run("build", f"{tmp_path}/model.py:load", *out, "--board", "none")
    assert content(tmp_path) == before


@pytest.mark.parametrize("verb", ["simulate", "verify", "synth", "report"])
def test_a_folder_that_is_no_build_for_the_other_verbs(tmp_path, verb):
    np.save(tmp_path / "x.npy", np.zeros((1, 3)))
    before = content(tmp_path)
    options = {
        "simulate": ["--input", f"{tmp_path}/x.npy", "--output", f"{tmp_path}/y.npy"],
        "verify": ["--input", f"{tmp_path}/x.npy"],
    }
    assert "no build" in run(verb, str(tmp_path), *options.get(verb, []))
    assert "no build" in run(verb, str(tmp_path / "none"), *options.get(verb, []))
    assert content(tmp_path) == before


WRONG = {
    "shape": (np.zeros((2, 4)), "shape [2, 4]", "[N, 3]"),
    "rank": (np.zeros(3), "shape [3]", "[N, 3]"),
    "no frame": (np.zeros((0, 3)), "shape [0, 3]", "at least 1"),
    "large integers": (np.full((2, 3), 2**53 + 1), "9007199254740993", "float64"),
    "complex": (np.zeros((2, 3), complex), "complex128", "real numbers"),
    "text": (np.array([["a", "b", "c"]]), "<U1", "real numbers"),
    "nan": (np.array([[0.0, np.nan, 0.0]]), "NaN", "finite"),
    "infinity": (np.array([[0.0, -np.inf, 0.0]]), "infinity", "finite"),
}


@pytest.mark.parametrize("case", WRONG)
def test_an_array_that_does_not_fit(tmp_path, built, case):
    array, *words = WRONG[case]
    np.save(tmp_path / "x.npy", array)
    before = content(tmp_path), content(built)
    for verb, options in {"simulate": ["--output", f"{tmp_path}/y.npy"], "verify": []}.items():
        text = run(verb, str(built), "--input", f"{tmp_path}/x.npy", *options)
        for word in words:
            assert word in text
    assert (content(tmp_path), content(built)) == before


def test_files_that_are_no_array(tmp_path, built):
    trace = tmp_path / "trace"
    np.save(tmp_path / "objects.npy", np.array([Bomb(trace)], dtype=object), allow_pickle=True)
    (tmp_path / "text.npy").write_text("1 2 3")
    (tmp_path / "bomb.npy").write_bytes(pickle.dumps(Bomb(trace)))
    np.savez(tmp_path / "several.npy.npz", x=np.zeros((1, 3)))
    before = content(tmp_path)
    for name in ("objects.npy", "text.npy", "bomb.npy", "several.npy.npz", "none.npy"):
        assert "BadInput" in run("verify", str(built), "--input", str(tmp_path / name))
    assert content(tmp_path) == before


@pytest.mark.parametrize("stall", ["1", "-0.1", "nan"])
def test_a_chance_that_is_none(tmp_path, built, stall):
    np.save(tmp_path / "x.npy", np.zeros((1, 3)))
    before = content(built)
    assert "stall" in run("verify", str(built), "--input", f"{tmp_path}/x.npy", "--stall", stall)
    assert content(built) == before


@pytest.mark.parametrize(("simulator", "package"), [("icarus", "iverilog"), ("verilator", "g++")])
def test_a_missing_simulator(tmp_path, monkeypatch, built, simulator, package):
    np.save(tmp_path / "x.npy", np.zeros((1, 3)))
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    before = content(tmp_path), content(built)
    text = run(
        "simulate",
        str(built),
        "--input",
        f"{tmp_path}/x.npy",
        "--output",
        f"{tmp_path}/y.npy",
        "--simulator",
        simulator,
    )
    assert MissingTool.__name__ in text and f"Debian package {package}" in text
    assert (content(tmp_path), content(built)) == before


def test_a_damaged_build(tmp_path, built):
    np.save(tmp_path / "x.npy", np.zeros((1, 3)))
    for name, text in {"hwgen.json": "{", "golden.json": "[]", "golden.npz": "no zip"}.items():
        copy = tmp_path / "copy"
        shutil.copytree(built, copy)
        (copy / name).write_text(text)
        before = content(copy)
        assert "build again" in run("verify", str(copy), "--input", f"{tmp_path}/x.npy")
        assert content(copy) == before
        shutil.rmtree(copy)
