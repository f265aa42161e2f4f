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
from hwgen.config import BuildConfig
from hwgen.flow import read_manifest
from hwgen.nn import ActQuant
from hwgen.synth import yosys
from hwgen.synth.parts import parts_of

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
        nn.Conv2d(2, 3, 2),
    )
    for layer in (net[1], net[5]):
        exponents = torch.randint(-3, 1, layer.weight.shape)
        layer.weight.data = torch.randint(-1, 2, layer.weight.shape) * 2.0**exponents
        layer.bias.data = torch.randint(-8, 8, layer.bias.shape) / 8
    return net.eval()


@pytest.mark.sim
@pytest.mark.parametrize("options", [{}, {"engine": "spatial", "pixels": 2}], ids=["lanes", "spatial"])
def test_netlist_equals_the_module(options, tmp_path):
    net, x = small(), torch.rand(5, 2, 6, 6) * 2
    folder = tmp_path / "small_net"
    hwgen.build(net, (x[:1],), out=folder, config=BuildConfig(**options))
    manifest = read_manifest(folder)
    core = manifest["core"]
    whole = parts_of(folder, manifest, core, whole=True)[-1]
    (folder / "synth").mkdir()
    script = [
        *yosys._commands(whole)[:-1],
        f"rename -top {core}",
        f"write_verilog -noattr rtl/{core}.v",
    ]
    (folder / "netlist.ys").write_text("\n".join(script))
    subprocess.run([sys.executable, "-c", yosys._WORKER, "netlist.ys"], cwd=folder, check=True, capture_output=True)
    netlist = (folder / f"rtl/{core}.v").read_text()
    assert "LUT6_2" in netlist and "CARRY8" in netlist and netlist.count("endmodule") == 1
    (folder / f"rtl/{core}.v").write_text("`default_nettype wire\n" + CELLS.read_text() + netlist)
    y, _ = hwgen.simulate(folder, x.numpy(), simulator="icarus")
    with torch.no_grad():
        assert np.array_equal(y, net.double()(x.double()).numpy())
