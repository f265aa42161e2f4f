"""Every file of rtl/ reads alike in pyverilog, Verilator, Icarus, yosys and slang, without a warning; so do emitted
files."""

import subprocess
from collections.abc import Mapping, Sequence
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import bench_term_lanes
import pyslang
import pytest
import torch
from pyslang.ast import Compilation, CompilationOptions
from pyslang.parsing import LexerOptions, ParserOptions, PreprocessorOptions
from pyslang.syntax import SyntaxTree
from torch import nn

from hwgen import BuildConfig, build
from hwgen.emit import library
from hwgen.errors import ToolFailed
from hwgen.nn import ActQuant
from hwgen.share import share
from hwgen.simulators import lint
from hwgen.verilog import Value, literal
from tests.proofs import yosys
from tests.sources import sources_of
from tests.test_rtl import side_by_side, with_open_ports

SOURCES = sorted(share("rtl").glob("*.v"))
LICENSE = "// SPDX-License-Identifier: Apache-2.0"
_every_module = pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)


@_every_module
def test_pyverilog_parses(path, parser):
    tree = parser.parse(path.read_text())
    assert [item.name for item in tree.description.definitions if hasattr(item, "portlist")] == [path.stem]


@_every_module
def test_verilator_lint_is_clean(path, tmp_path):
    """With the default parameters and with all that the bench runs."""
    lint_configurations(path, tmp_path)


def lint_configurations(path, folder, some=6):
    """Of a module, so many side by side, where it takes least; what is around them is not linted."""
    configs = [{}, *import_module(f"bench_{path.stem}").CONFIGS]
    others = [source for source in sources_of(path.stem) if source.stem != path.stem]
    (folder / "configs.vlt").write_text('`verilator_config\nlint_off -file "*/configs.v"\n')
    for first in range(0, len(configs), some):
        own = folder / str(first)
        own.mkdir()
        beside = configs[first : first + some]
        top = side_by_side([f"{path.stem}_ports"] * len(beside), beside, None, own)
        (own / "configs.v").write_text(with_open_ports(path.stem) + top)
        lint([folder / "configs.vlt", path, *others, own / "configs.v"], "configs")


def test_lint_rejects_what_one_configuration_alone_has_wrong(tmp_path):
    clamp = tmp_path / "clamp.v"
    text = (share("rtl") / "clamp.v").read_text()
    end = "begin : gen_high_ones\n"
    assert text.count(end) == 1
    clamp.write_text(text.replace(end, f"{end}wire [7:0] wider = x[0];\n"))
    with pytest.raises(ToolFailed, match="WIDTHEXPAND"):
        lint_configurations(clamp, tmp_path)


@_every_module
def test_icarus_compiles_without_a_warning(path, tmp_path):
    command = [
        "iverilog",
        "-g2005",
        "-Wall",
        "-s",
        path.stem,
        "-o",
        str(tmp_path / "out"),
        *map(str, sources_of(path.stem)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and not done.stderr, done.stderr


@_every_module
def test_header_is_of_one_shape(path):
    """License, purpose and reasons, bench; then the module, with a word for every parameter."""
    lines = path.read_text().splitlines()
    start = lines.index(f"module {path.stem} #(")
    assert lines[:2] == [LICENSE, "//"] and all(line.startswith("//") for line in lines[: start - 2])
    assert lines[start - 4 : start] == ["//", f"// bench: sim/bench_{path.stem}.py", "`default_nettype none", ""]
    header = lines[start : lines.index(") (")]
    for above, line in pairwise(header):
        assert "parameter" not in line or "//" in line or above.strip().startswith("//"), line


def test_yosys_reads_all(tmp_path):
    """-defer, for a ROM's file is not there."""
    done = yosys(tmp_path, *(f"read_verilog -defer {path}" for path in SOURCES))
    assert done.returncode == 0, done.stdout + done.stderr


class Slang:
    """The strictest reader, Verilog-2005 alone: a name must be declared above its use, as vendors' simulators ask."""

    # no-...: a shift by one in a word of one bit is what a parameter can ask for, and the language says what it gives
    VERSION = pyslang.LanguageVersion.v1364_2005
    WARNINGS = ("extra", "no-shift-count-overflow")

    def __init__(self, sources: Sequence[Path]):
        self.files = pyslang.SourceManager()
        options = [PreprocessorOptions(), LexerOptions(), ParserOptions()]
        for each in options:
            each.languageVersion = self.VERSION
        bag = pyslang.Bag(options)
        self.trees = [SyntaxTree.fromFile(str(source), self.files, bag) for source in sources]

    def says(self, top: str, parameters: Mapping[str, Value] | None = None) -> str:
        """Its errors and warnings on `top`, elaborated with `parameters`; empty if there are none."""
        options = CompilationOptions()
        options.languageVersion = self.VERSION
        options.topModules = {top}
        options.paramOverrides = [f"{name}={literal(value)}" for name, value in (parameters or {}).items()]
        compilation = Compilation(pyslang.Bag([options]))
        for tree in self.trees:
            compilation.addSyntaxTree(tree)
        engine, client = pyslang.DiagnosticEngine(self.files), pyslang.TextDiagnosticClient()
        assert not list(engine.setWarningOptions(list(self.WARNINGS)))
        engine.addClient(client)
        for diagnostic in compilation.getAllDiagnostics():
            engine.issue(diagnostic)
        return client.getString()


@pytest.fixture(scope="module")
def slang():
    return Slang(SOURCES)


@pytest.mark.smoke
@_every_module
def test_slang_is_silent(path, slang):
    """With the default parameters and with all that the bench runs."""
    for config in [{}, *import_module(f"bench_{path.stem}").CONFIGS]:
        assert not slang.says(path.stem, config), config


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("wire a = b; wire b = 1'b0;", "used before its declaration"),
        ("wire [3:0] a; assign a = 8'd255;", "implicit conversion"),
        ("logic a;", "undeclared identifier 'logic'"),
        ("absent u_absent ();", "unknown module"),
    ],
)
def test_slang_speaks_up(line, complaint, tmp_path):
    (tmp_path / "bad.v").write_text(f"module bad; {line} endmodule")
    assert complaint in Slang([tmp_path / "bad.v"]).says("bad")


@pytest.mark.parametrize("name", ["usual", "max_signed", "dsp", "mac", "scaled", "scaled_mac"])
def test_all_read_lanes_without_the_modules_that_they_leave_out(name, tmp_path):
    """A build holds no module that no instance elaborates; generate branches that are not taken name those even so."""
    (unit,) = (unit for unit in bench_term_lanes.UNITS if unit.name == name)
    sources = []
    for path, text in library(["term_lanes"], unit.leaves_out).items():
        sources.append(tmp_path / Path(path).name)
        sources[-1].write_text(text)
    assert len(unit.leaves_out) >= 4 and not unit.leaves_out & {source.stem for source in sources}
    given = unit.parameters() | {"FILE": ""}  # the list is not there
    lint(sources, "term_lanes", given)
    assert not Slang(sources).says("term_lanes", given)
    (tmp_path / "top.v").write_text(
        "module top; term_lanes #("
        + ", ".join(f".{key}({literal(value)})" for key, value in given.items())
        + ") i ();\n"
        "endmodule\n"
    )
    command = [
        "iverilog",
        "-g2005",
        "-s",
        "top",
        "-o",
        str(tmp_path / "out"),
        *map(str, sources),
        str(tmp_path / "top.v"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for path, text in unit.files().items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    (tmp_path / "top.v").write_text((tmp_path / "top.v").read_text().replace('""', f'"{unit.rom_path}"'))
    read = [f"read_verilog -defer {source.name}" for source in [*sources, tmp_path / "top.v"]]
    family = "read_verilog -lib +/xilinx/cells_sim.v", "read_verilog -lib +/xilinx/cells_xtra.v"
    done = yosys(tmp_path, *family, *read, "hierarchy -check -top top")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr


class Residual(nn.Module):
    """Convolutions, a pool, an addition and a flattened layer."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(ActQuant(4, -2), nn.Conv2d(2, 3, 3, padding=1), nn.MaxPool2d(2), ActQuant(4, 0))
        self.branch = nn.Conv2d(3, 3, 3, padding=1)
        self.last = nn.Sequential(
            ActQuant(4, 1, signed=True), nn.Flatten(), nn.Linear(27, 2), ActQuant(6, 0, signed=True)
        )
        for layer in self.modules():
            if hasattr(layer, "bias"):
                layer.weight.data = torch.arange(layer.weight.numel()).reshape(layer.weight.shape) % 7 - 3.0
                layer.bias.data = torch.arange(len(layer.bias)) * 0.5

    def forward(self, x):
        x = self.first(x)
        return self.last(x + self.branch(x))


@pytest.fixture(
    scope="module",
    params=[{"lanes": 4}, {"engine": "spatial", "pixels": 2}, {"loadable": "*"}],
    ids=["folded", "spatial", "loadable"],
)
def emitted(request, tmp_path_factory):
    """The Verilog files of a build, the AXI top and all that is below it."""
    folder = tmp_path_factory.mktemp("emitted") / "net"
    build(Residual().eval(), (torch.zeros(1, 2, 6, 6),), out=folder, config=BuildConfig(**request.param))
    return sorted((folder / "rtl").glob("*.v"))


def test_slang_is_silent_on_an_emitted_network(emitted):
    assert {"net_core", "net_top"} <= {source.stem for source in emitted}
    assert not Slang(emitted).says("net_top")


def test_verilator_lint_is_clean_on_a_spatial_layer_without_adders(tmp_path):
    linear = nn.Linear(3, 3, bias=False)
    linear.weight.data = torch.eye(3)
    build(
        nn.Sequential(ActQuant(4, -4), linear),
        (torch.zeros(1, 3),),
        out=tmp_path / "net",
        config=BuildConfig(engine="spatial"),
    )
    lint(sorted((tmp_path / "net" / "rtl").glob("*.v")), "net_top")


def test_nettype_of_an_emitted_network_does_not_leak(emitted):
    assert all(_keeps_its_nettype(source.read_text()) for source in emitted)


def test_every_emitted_file_names_its_license(emitted):
    assert all(source.read_text().startswith(f"{LICENSE}\n") for source in emitted)


def _keeps_its_nettype(text):
    """Implicit nets are an error from the first line of code to the last, and only there."""
    code = [line for line in text.splitlines() if line and not line.startswith("//")]
    said = [line for line in code if "`default_nettype" in line]
    return said == ["`default_nettype none", "`default_nettype wire"] == [code[0], code[-1]]


@_every_module
def test_nettype_does_not_leak(path):
    assert _keeps_its_nettype(path.read_text())


@pytest.mark.parametrize(
    ("module", "config", "says"),
    [
        ("requantize", {"IN_W": 65}, "clamp_IN_W_must"),
        ("add", {"A_SHIFT": 56}, "add_A_W_with_A_SHIFT_must"),
        ("add", {"DROP": 10}, "add_DROP_must"),
        ("pe", {"W": 0}, "pe_W_must"),
        ("carry_chain", {"W": 0}, "carry_chain_W_must"),
        ("carry_chain", {"XILINX": 3}, "carry_chain_XILINX_must"),
        ("pe_dsp", {"W": 25}, "pe_dsp_W_must"),
        ("pe_dsp", {"XILINX": 2}, "pe_dsp_XILINX_must"),
        ("pe_mac", {"XILINX": 2}, "pe_mac_XILINX_must"),
        ("pe_mac", {"PRODUCTS": 2, "W": 19}, "pe_mac_W_must"),
        ("pe_mac", {"IMMEDIATE_W": 25}, "pe_mac_IMMEDIATE_W_must"),
        ("clamp", {"OUT_W": 65}, "clamp_OUT_W_must"),
        ("row_adder", {"ONE": 2}, "row_adder_ONE_must"),
        ("row_adder", {"D": 2}, "row_adder_D_must"),
        ("row_adder", {"BITS": 10}, "row_adder_BITS_must"),
        ("row_adder", {"BITS": 9}, "row_adder_W_must"),
        ("stream_widen", {"N": 1}, "stream_widen_N_must"),
        ("window", {"PIXELS": 3}, "window_PIXELS_and_OUTS_must"),
        ("window", {"COLUMN_STEP": 2}, "window_OUT_SLOTS_must"),
        ("window", {"PAD_LEFT": 3}, "window_PAD_TOP_and_PAD_LEFT_must"),
        ("window", {"COLUMN_STEP": 2, "OUT_SLOTS": 2}, "window_OUT_COLUMNS_must"),
        ("line_memory", {"RING": 0}, "line_memory_RING_must"),
        ("line_memory", {"PHASES": 2}, "line_memory_PHASES_must"),
        ("line_memory", {"LAST_STRIPE": 9}, "line_memory_LAST_STRIPE_must"),
        ("term_lanes", {"DROP": 16}, "term_lanes_DROP_must"),
        ("term_lanes", {"W": 65}, "term_lanes_W_with_F_less_DROP_must"),
        ("term_lanes", {"IMMEDIATE_W": 7}, "term_lanes_IMMEDIATE_W_must"),
        ("term_lanes", {"W": 7}, "term_lanes_IMMEDIATE_W_must"),
        ("term_lanes", {"ROWS": 29}, "term_lanes_ROWS_with_padding_must"),
        ("term_lanes", {"STRIPE": 3}, "term_lanes_STRIPE_must"),
        ("term_lanes", {"LANES": 0}, "term_lanes_LANES_must"),
        ("term_lanes", {"REACH_ROWS": 5, "ROWS": 34}, "term_lanes_RING_must"),
        ("term_lanes", {"PAD_BOTTOM": 3}, "term_lanes_RING_must"),
        ("port_in", {"PORT": 24}, "port_in_PORT_must"),
        ("port_out", {"WORD": 4}, "port_out_WORD_must"),
        ("axil_registers", {"LOAD_STREAM": 1}, "axil_registers_LAYERS_must"),
    ],
)
def test_parameters_that_cannot_work_are_named(module, config, says, tmp_path):
    """Elaboration ends at a module that does not exist, its name being the rule that was broken."""
    given = [f"-P{module}.{name}={value}" for name, value in config.items()]
    command = ["iverilog", "-g2005", "-s", module, *given, "-o", str(tmp_path / "out"), *map(str, SOURCES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode and f"Unknown module type: {says}" in done.stdout + done.stderr


@pytest.mark.parametrize("module", ["axil_registers", "dataflow_controller", "port_in", "port_out"])
def test_yosys_infers_no_latch_at_the_border(module, tmp_path):
    """A variable of a loop in one branch of a case is one."""
    for n, config in enumerate(import_module(f"bench_{module}").CONFIGS):
        values = {name: value if isinstance(value, tuple) else (value, 32) for name, value in config.items()}
        given = " ".join(f"-chparam {name} {bits}'b{value:0{bits}b}" for name, (value, bits) in values.items())
        (tmp_path / str(n)).mkdir()
        done = yosys(
            tmp_path / str(n),
            *(f"read_verilog -defer {share('rtl')}/{name}.v" for name in (module, "voted_reg")),
            f"hierarchy -check -top {module} {given}",
            "proc",
        )
        assert done.returncode == 0 and "\nLatch inferred" not in done.stdout.replace("Warning: ", ""), done.stdout
