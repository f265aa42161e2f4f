"""The synthesized netlist, UltraScale+ primitives and all, gives what the module gives."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyosys
import pytest
import torch
from torch import nn

import hwgen
from hwgen.board import read_board
from hwgen.config import BuildConfig
from hwgen.engines.channels import ChannelEngine
from hwgen.flow import read_manifest
from hwgen.lanes.unit import TermLanes
from hwgen.nn import ActQuant, LayerNorm, Softmax
from hwgen.share import share
from hwgen.synth.parts import parts_of
from hwgen.synth.processes import WORKER
from hwgen.synth.yosys import commands
from tests.networks import Greatest, only

CELLS = Path(pyosys.__file__).parent / "share/xilinx/cells_sim.v"


def small() -> nn.Sequential:
    """Memories of at most 64 words, which become LUTs: yosys has no model of a block RAM's behaviour."""
    torch.manual_seed(1)
    net = nn.Sequential(
        ActQuant(3, -2),
        nn.Conv2d(2, 2, 3, padding=1),
        nn.ReLU(),
        ActQuant(4, -1),
        nn.MaxPool2d(2),
        nn.SiLU(),
        ActQuant(4, -1, True),
        nn.Conv2d(2, 3, 2),
    )
    for layer in (net[1], net[7]):
        exponents = torch.randint(-3, 1, layer.weight.shape)
        layer.weight.data = torch.randint(-1, 2, layer.weight.shape) * 2.0**exponents
        layer.bias.data = torch.randint(-8, 8, layer.bias.shape) / 8
    return net.eval()


def sliced(engine, stage, limits, sides):
    """Products in DSP slices wherever these hold them."""
    return [engine.choice(int(engine.unit_of(stage, limits.device).fits_slices))]


def over_channels() -> nn.Sequential:
    """Two lines, and layers that look at all channels of a pixel, each behind another."""
    torch.manual_seed(2)
    net = nn.Sequential(
        ActQuant(3, -2),
        nn.Conv2d(2, 7, 1),
        ActQuant(5, -2, True),
        nn.LeakyReLU(0.25),
        ActQuant(5, -2, True),
        LayerNorm(-2, 6, -3, dim=1),
        Softmax(-3, 6, dim=1),
        Greatest(4),
    )
    net[1].weight.data = torch.randint(-3, 4, net[1].weight.shape) / 4
    net[1].bias.data = torch.randint(-8, 8, net[1].bias.shape) / 8
    return net.eval()


@pytest.mark.sim
@pytest.mark.parametrize(
    ("board", "kind"),
    [
        ("zcu104", "lut"),
        ("zcu104", "dsp"),
        ("zcu104", "mac"),
        ("zcu104", "spatial"),
        ("pynq-z2", "lut"),
        ("pynq-z2", "spatial"),
        ("zcu104", "channels"),
        ("pynq-z2", "channels"),
        ("zcu104", "channels in slices"),
    ],
)
def test_netlist_equals_the_module(board, kind, tmp_path, monkeypatch):
    options = {
        "lut": {},
        "spatial": {"engine": "spatial", "pixels": 2},
        "channels": {"lanes": 4},
        "channels in slices": {},
    }.get(kind, {"engine": "lanes", "fps": 1_000_000})
    folded = not kind.startswith(("spatial", "channels"))
    if folded:
        only(monkeypatch, kind)
    if kind == "channels in slices":
        monkeypatch.setattr(ChannelEngine, "choices", sliced)
    net, x = over_channels() if kind.startswith("channels") else small(), torch.rand(5, 2, 6, 6) * 2
    folder = tmp_path / "small_net"
    design = hwgen.build(net, (x[:1],), out=folder, config=BuildConfig(board=board, **options))
    if folded:
        folds = [placed.unit.fold for placed in design.placed if isinstance(placed.unit, TermLanes)]
        assert kind in {fold.kind for fold in folds}
    manifest = read_manifest(folder)
    core = manifest["core"]
    whole = parts_of(folder, manifest, core, whole=True)[-1]
    (folder / "synth").mkdir()
    script = [
        *commands(whole, read_board(folder, manifest).device)[:-1],
        f"rename -top {core}",
        f"write_verilog -noattr rtl/{core}.v",
    ]
    (folder / "netlist.ys").write_text("\n".join(script))
    subprocess.run([sys.executable, "-c", WORKER, "netlist.ys"], cwd=folder, check=True, capture_output=True)
    netlist = (folder / f"rtl/{core}.v").read_text()
    primitives = (
        ["DSP48E2"]
        if kind in ("dsp", "mac", "channels in slices")
        else ["LUT6_2", "CARRY8" if board == "zcu104" else "CARRY4"]
    )
    assert all(primitive in netlist for primitive in primitives) and netlist.count("endmodule") == 1
    models = CELLS.read_text(), (share("sim") / "DSP48E2.v").read_text()
    (folder / f"rtl/{core}.v").write_text("\n".join(["`default_nettype wire", *models, netlist]))
    y, _ = hwgen.simulate(folder, x.numpy(), simulator="icarus", edited=True)
    with torch.no_grad():
        assert np.array_equal(y, net.double()(x.double()).numpy())
