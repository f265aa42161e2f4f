"""A device family is a file; what it says that memories take is what yosys makes of them."""

import json
import re
from pathlib import Path

import pytest
import torch
from torch import nn

import hwgen
from hwgen.config import BuildConfig
from hwgen.devices import devices
from hwgen.errors import BadInput, ToolFailed
from hwgen.lint import lint
from hwgen.nn import ActQuant
from tests.proofs import yosys

FAMILIES = list(devices())
FOLDER = Path(hwgen.__file__).parent
# words, bits: one shape or several, the last word of a shape, banks
LUT_RAMS = [(16, 1), (32, 6), (32, 7), (32, 14), (32, 15), (33, 3), (33, 7), (64, 4), (64, 8), (64, 19)]
BLOCK_RAMS = [(65, 5), (512, 72), (700, 36), (1024, 37), (3000, 18), (4096, 9), (6000, 45), (8000, 9), (15000, 18)]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_counts_and_names_what_it_has(family):
    device = devices()[family]
    counted = {resource for worth in device.cells.values() for resource in worth}
    assert counted <= set(device.resources) and set(device.vivado.values()) <= set(device.resources)
    assert {"LUT", "LUTRAM", "FF", "BRAM36", "URAM", "DSP"} < set(device.of_a_board) <= set(device.resources)
    assert set(device.primitives) <= set(device.cells)
    assert ("uram" in device.memories) == (device.ultra_ram is not None) == ("URAM" in counted)


def test_only_the_files_of_families_name_them_and_their_cells():
    names = {name for device in devices().values() for name in device.primitives}
    names |= {device.family for device in devices().values()}
    names |= {re.search(r"-family (\w+)", device.yosys)[1] for device in devices().values()}
    others = [path for path in FOLDER.rglob("*.py") if path.parent.name != "devices"]
    found = {(path.name, name) for path in others for name in names if re.search(rf"\b{name}\b", path.read_text())}
    assert len(others) > 50 and not found


def test_the_instances_of_every_family_are_checked():
    def module(instance):
        return {"rtl/a.v": f"module a (input wire s);\n    wire [3:0] o;\n    {instance}\nendmodule\n"}

    carry4 = "CARRY4 carry_i (.CI(1'b0), .CYINIT(s), .DI(4'd0), .S(4'd0), .O(o), .CO()%s);"
    lint(module(carry4 % ""))
    with pytest.raises(ToolFailed, match="CI_TOP does not fit the module's ports"):
        lint(module(carry4 % ", .CI_TOP(1'b0)"))


@pytest.mark.parametrize("family", FAMILIES)
def test_memories_take_what_yosys_makes_of_them(family, tmp_path):
    device = devices()[family]
    cases = [("distributed", *shape) for shape in LUT_RAMS] + [("block", *shape) for shape in BLOCK_RAMS]
    (tmp_path / "memories.v").write_text("".join(memory(i, *case) for i, case in enumerate(cases)) + top(cases))
    script = [
        "read_verilog memories.v",
        f"{device.yosys.replace(' -flatten', '')} -top top -run begin:fine",
        "tee -q -o stat.json stat -json",
    ]
    done = yosys(tmp_path, *script)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    modules = json.loads((tmp_path / "stat.json").read_text())["modules"]
    for i, (style, depth, bits) in enumerate(cases):
        found = {"LUT": 0, "BRAM36": 0} | dict.fromkeys(device.resources, 0)
        for cell, number in modules[f"\\memory{i}"]["num_cells_by_type"].items():
            for resource, each in device.cells[cell].items() if cell.startswith("RAM") else ():
                found[resource] += each * number
        if style == "distributed":
            assert (found["LUT"], found["BRAM36"]) == (device.lut_memory(depth, bits), 0), (depth, bits)
        else:
            assert (found["LUT"], found["BRAM36"]) == (0, device.block_memory(depth, bits)[0]), (depth, bits)


def test_a_family_without_a_slice_or_a_memory_is_given_none(tmp_path):
    """At a rate at which the other family's layer is in slices, and with lists that may be in UltraRAM."""
    net = nn.Sequential(ActQuant(4, 0), nn.Linear(48, 48), ActQuant(4, 0)).eval()
    net[1].weight.data = (torch.arange(48 * 48) * 83 % 255 - 127.0).reshape(48, 48) / 128
    net[1].bias.data.zero_()

    def takes(board, **options):
        config = BuildConfig(board=board, engine="lanes", **options)
        return hwgen.build(net, (torch.zeros(1, 48),), out=tmp_path / board, config=config).estimate()

    fast = {"fps": 1_700_000, "clock": 250.0}
    assert takes("zcu104", **fast)["DSP"] > 0
    assert takes("pynq-z2", **fast)["DSP"] == 0
    assert takes("zcu104", loadable="*", weights_in="uram")["URAM"] > 0
    auto = takes("pynq-z2", loadable="*", weights_in="auto")
    assert (auto["URAM"], auto["BRAM36"] > 0) == (0, True)
    with pytest.raises(BadInput, match="the family series7 has no uram\n  at:   --weights-in\n  try:  use bram"):
        takes("pynq-z2", loadable="*", weights_in="uram")


def memory(number: int, style: str, depth: int, bits: int) -> str:
    address = (depth - 1).bit_length()
    return f"""
        module memory{number} (input clk, input we, input [{address - 1}:0] wa, ra, input [{bits - 1}:0] d,
            output reg [{bits - 1}:0] q);
            (* ram_style = "{style}" *) (* no_rw_check *) reg [{bits - 1}:0] memory [0:{depth - 1}];
            always @(posedge clk) if (we) memory[wa] <= d;
            always @(posedge clk) q <= memory[ra];
        endmodule"""


def top(cases: list) -> str:
    """All of them, with ports of their own."""
    ports, instances = "input clk", ""
    for i, (_, depth, bits) in enumerate(cases):
        address = (depth - 1).bit_length()
        ports += f", input we{i}, input [{address - 1}:0] wa{i}, ra{i}"
        ports += f", input [{bits - 1}:0] d{i}, output [{bits - 1}:0] q{i}"
        instances += f"    memory{i} m{i} (.clk(clk), .we(we{i}), .wa(wa{i}), .ra(ra{i}), .d(d{i}), .q(q{i}));\n"
    return f"\nmodule top ({ports});\n{instances}endmodule\n"
