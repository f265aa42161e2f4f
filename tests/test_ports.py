"""The streams that a host sees: what may be asked for, and what is said of those that are too narrow."""

import pytest
import torch
from click.testing import CliRunner
from torch import nn

from hwgen import BuildConfig, build
from hwgen.cli import main
from hwgen.errors import BadInput
from hwgen.flow import read_design
from hwgen.manifest import read_manifest
from hwgen.nn import ActQuant
from hwgen.ports import WIDTHS, Ports
from hwgen.report import report


def linear(inputs=9, bits=8):
    layer = nn.Linear(inputs, 2, bias=False)
    layer.weight.data = torch.eye(2, inputs)
    return nn.Sequential(ActQuant(bits, 0), layer), (torch.zeros(1, inputs),)


@pytest.mark.parametrize(
    ("asked", "what", "hint"),
    [
        ({"stream_bits": 24}, "stream_bits = 24", "use 8, 16, 32, 64, 128, 256, 512, 1024"),
        ({"stream_bits": 2048}, "stream_bits = 2048", "use 8, 16"),
        ({"stream_bits": True}, "stream_bits = True", "use 8, 16"),
        ({"load_stream": True}, "a stream of weights, and no layer to load", "name layers by --loadable"),
    ],
)
def test_what_cannot_be_asked_for_is_told(asked, what, hint):
    with pytest.raises(BadInput) as raised:
        BuildConfig(**asked)
    assert raised.value.what == what and raised.value.hint.startswith(hint)


def test_a_port_is_as_wide_as_the_beat_or_as_a_dma_takes():
    assert [Ports().of(bits) for bits in (8, 64, 1024, 4096)] == [8, 64, 1024, 1024]
    assert all(Ports(width).of(bits) == width for width in WIDTHS for bits in (8, 2048))


def test_a_narrow_stream_is_no_obstacle_but_to_a_rate(tmp_path):
    """Nine activations side by side are a beat of 128 bits."""
    for fps, most in ((2.5e8, 1), (3e7, 8)):
        with pytest.raises(BadInput) as raised:
            build(*linear(), out=tmp_path / "net", config=BuildConfig(engine="spatial", fps=fps, stream_bits=8))
        assert raised.value.what == f"a frame takes 16 clocks over a stream of 8 bits, the rate leaves {most}"
        assert raised.value.at == "--stream-bits" and not (tmp_path / "net").exists()
    (tmp_path / "net.py").write_text(
        "from tests.test_ports import linear\n\n\ndef load():\n    return linear()\n",
    )
    arguments = ["build", f"{tmp_path / 'net.py'}:load", "-o", str(tmp_path / "net"), "--engine", "spatial"]
    said = CliRunner().invoke(main, [*arguments, "--stream-bits", "8"])
    assert said.exit_code == 0, said.output
    line = "the stream input brings a beat of 128 bits as 16 of 8: a frame takes 16 clocks, the network 1"
    assert line in said.output.splitlines()
    known, (_, text) = read_manifest(tmp_path / "net"), report(tmp_path / "net")
    assert known["ports"] == {"bits": 8, "load_stream": False, "interval": 16}
    assert "| cycles of a frame over the slowest stream | 16 | counted |" in text and "| s_axis | 8 | input |" in text
    assert read_design(tmp_path / "net").ports == Ports(8)
