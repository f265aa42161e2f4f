"""What an instance says of its module: the parameters that are not as its header has them, in the header's order and groups."""

import pytest

from hwgen.share import share
from hwgen.verilog import Name, Override, Parameter, header, literal, overrides, signed64

SHAPE = """
module shape #(
    // size
    parameter W = 8,                       // bits
    parameter [W-1:0] MASK = {W{1'b1}},    // of them, one
    parameter signed [63:0] LOW = -1,      // least
    // memory
    parameter DEPTH = W,                   // words
    parameter FILE = "",                   // of words
    parameter ROOM = (DEPTH > 1) ? $clog2(DEPTH) : 1
) (
    input wire clk
);
endmodule
"""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("rom/a.hex", '"rom/a.hex"'),
        (Name("XILINX"), "XILINX"),
        (-3, "-3"),
        (True, "1"),
        ((0x1F, 5), "5'h1f"),
        (signed64(-32), "-64'sd32"),
        (signed64(1 << 40), "64'sd1099511627776"),
        (signed64(-(1 << 63)), "-64'sd9223372036854775808"),
    ],
)
def test_literals_read_as_what_they_mean(value, text):
    assert literal(value) == text


def test_a_header_is_read_in_its_groups():
    assert header(SHAPE) == [
        Parameter("W", "8", "size"),
        Parameter("MASK", "{W{1'b1}}", "size"),
        Parameter("LOW", "-1", "size"),
        Parameter("DEPTH", "W", "memory"),
        Parameter("FILE", '""', "memory"),
        Parameter("ROOM", "(DEPTH > 1) ? $clog2(DEPTH) : 1", "memory"),
    ]


@pytest.mark.parametrize("path", sorted(share("rtl").glob("*.v")), ids=lambda path: path.stem)
def test_every_parameter_of_rtl_is_read(path, parser):
    (module,) = (item for item in parser.parse(path.read_text()).description.definitions if hasattr(item, "portlist"))
    declared = [item.name for each in module.paramlist.params for item in each.list]
    assert [each.name for each in header(path.read_text())] == declared


@pytest.fixture
def shape(tmp_path, monkeypatch):
    (tmp_path / "shape.v").write_text(SHAPE)
    monkeypatch.setattr("hwgen.verilog.share", lambda folder: tmp_path)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"W": 8, "FILE": "", "LOW": signed64(-1)}, []),
        ({"FILE": "a", "W": 7}, [Override("W", "7", "size"), Override("FILE", '"a"', "memory")]),
        ({"LOW": signed64(1), "W": (9, 8)}, [Override("W", "8'h9", "size"), Override("LOW", "64'sd1", "")]),
        # what another parameter's value is need not be said; an expression is not worked out
        ({"DEPTH": 8}, []),
        ({"W": 5, "DEPTH": 5}, [Override("W", "5", "size")]),
        ({"W": 5, "DEPTH": 8}, [Override("W", "5", "size"), Override("DEPTH", "8", "memory")]),
        ({"MASK": (255, 8)}, [Override("MASK", "8'hff", "size")]),
        ({"W": Name("W")}, [Override("W", "W", "size")]),
        # the lint finds it
        ({"TYPO": 1}, [Override("TYPO", "1", "")]),
    ],
)
def test_what_is_as_the_module_has_it_is_not_said(values, said, shape):
    assert overrides("shape", values) == said


def test_of_a_module_made_for_a_layer_all_is_said():
    assert overrides("adder_graph_conv1", {"XILINX": Name("XILINX"), "A": 0}) == [
        Override("XILINX", "XILINX", ""),
        Override("A", "0", ""),
    ]
