"""The Vivado scripts name files that exist and run in order under stand-ins; reports are read whole."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from toy_build import write_build

from hwgen.board import load_board
from hwgen.devices import devices
from hwgen.errors import BadInput, MissingTool, ToolFailed
from hwgen.synth import table, vivado

HERE = Path(__file__).resolve().parent / "vivado"
BOARD = load_board("zcu104")
REPORTS = {name: (HERE / f"{name}.rpt").read_text() for name in ("utilization", "hierarchy", "timing")}
LAST_STEPS = ["report utilization", "report hierarchy", "report timing", "write_checkpoint"]


@pytest.fixture
def build(tmp_path):
    """A toy build with its Vivado project."""
    (tmp_path / "toy").mkdir()
    folder = write_build(tmp_path / "toy")
    vivado.write_project(folder, BOARD)
    return folder


@pytest.fixture
def with_vivado(tmp_path, monkeypatch):
    """A PATH on which `vivado` is the stand-in."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/vivado"
    program.write_text(f'#!/bin/sh\nexec tclsh {HERE}/standin.tcl "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")


def standin(build, mode, cwd=None):
    """Runs a script under the stand-in; its exit code and its log."""
    log = build / f"vivado/{mode}.log"
    command = [
        "tclsh",
        HERE / "standin.tcl",
        "-mode",
        "batch",
        "-log",
        log,
        "-source",
        build / f"vivado/{mode}.tcl",
    ]
    return subprocess.run(command, cwd=cwd or build, check=False).returncode, log.read_text()


def steps(log):
    """The commands called, in order, with a report's kind; repetitions once."""
    calls = re.findall(r"^CALL (report \w+|\w+)", log, re.MULTILINE)
    return list(dict.fromkeys(call for call in calls if call not in ("set_property", "create_clock")))


def test_project_files_are_those_returned(tmp_path):
    files = vivado.write_project(write_build(tmp_path), BOARD)
    assert sorted(path.name for path in files) == [
        "implement.tcl",
        "implement_clocks.xdc",
        "synth.tcl",
        "synth_clocks.xdc",
    ]
    assert sorted(files) == sorted((tmp_path / "vivado").iterdir())


def test_synth_script_synthesizes_the_core(build):
    code, log = standin(build, "synth")
    assert code == 0, log
    assert steps(log) == [
        "create_project",
        "read_verilog",
        "add_files",
        "read_xdc",
        "synth_design",
        *LAST_STEPS,
    ]
    assert f"CALL synth_design -top toy_core -part {BOARD.part} -mode out_of_context" in log


def test_implement_script_routes_the_top(build):
    code, log = standin(build, "implement")
    assert code == 0, log
    implementation = ["opt_design", "place_design", "phys_opt_design", "route_design"]
    assert steps(log)[4:] == ["synth_design", *implementation, *LAST_STEPS]
    assert f"CALL synth_design -top toy_top -part {BOARD.part} -mode out_of_context" in log


def test_script_takes_every_file_part_and_clock(build, tmp_path):
    code, log = standin(build, "synth", cwd=tmp_path)  # whatever the directory it is started in
    assert code == 0, log
    assert f"CALL create_project -in_memory -part {BOARD.part}\n" in log
    assert re.findall(r"CALL (?:read_verilog|read_xdc) (.*)", log) == [
        *json.loads((build / "hwgen.json").read_text())["sources"],
        "vivado/synth_clocks.xdc",
        "board.xdc",
    ]
    roms = re.findall(r"CALL set_property file_type \{Memory Initialization Files\} (.*)", log)
    assert roms == ["rom/a.hex", "rom/b.hex"]
    assert "CALL create_clock -name clk -period 4.000 clk\n" in log


def test_rom_not_found_by_vivado_stops_its_run(build):
    assert "set_msg_config -id {Synth 8-4445} -new_severity ERROR\n" in (build / "vivado/synth.tcl").read_text()


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("synth.tcl", "rtl/toy.v", "rtl/no.v", "no file rtl/no.v"),
        ("synth.tcl", "write_checkpoint", "write_chekpoint", "invalid command name"),
        ("implement.tcl", "place_design\n", "", "physically_optimized after optimized"),
        (
            "synth_clocks.xdc",
            "create_clock",
            "# create_clock",
            "no clock reaches toy_(core|top): .* names port clk",
        ),
    ],
)
def test_standin_refuses_a_wrong_script(build, file, old, new, message):
    path = build / "vivado" / file
    path.write_text(path.read_text().replace(old, new))
    code, log = standin(build, "implement" if file == "implement.tcl" else "synth")
    assert code == 1 and re.search(f"ERROR: {message}", log)


def test_clock_ports_and_parameters_are_the_manifests(tmp_path):
    manifest = json.loads((write_build(tmp_path) / "hwgen.json").read_text())
    chosen = {"clocks": {"core": "clk", "top": "aclk"}, "synthesis": {"XILINX": 1}}
    (tmp_path / "hwgen.json").write_text(json.dumps(manifest | chosen))
    vivado.write_project(tmp_path, BOARD)
    for mode, port in (("synth", "clk"), ("implement", "aclk")):
        clocks = (tmp_path / f"vivado/{mode}_clocks.xdc").read_text()
        assert f"create_clock -name {port} -period 4.000 [get_ports {port}]" in clocks
        assert "-mode out_of_context -generic XILINX=1\n" in (tmp_path / f"vivado/{mode}.tcl").read_text()


def test_missing_source_or_rom_is_an_error(tmp_path):
    build = write_build(tmp_path)
    (build / "rom/a.hex").unlink()
    with pytest.raises(ToolFailed, match=r"rom/a\.hex: cannot be read"):
        vivado.write_project(build, BOARD)
    (build / "rom/a.hex").write_text("1\n" * 8)
    (build / "rtl/toy.v").rename(build / "rtl/other.v")
    with pytest.raises(BadInput, match=r"rtl/toy\.v is missing"):
        vivado.write_project(build, BOARD)


def test_without_vivado_the_error_names_script_and_command(build, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingTool, match=r"(?s)vivado is not on PATH.*vivado/synth.tcl.*vivado -mode batch"):
        vivado.run(build, "synth")


def test_run_needs_a_mode_and_a_script(tmp_path):
    with pytest.raises(BadInput, match="no Vivado mode 'fast'\n  try:  one of: synth, implement"):
        vivado.run(tmp_path, "fast")
    with pytest.raises(BadInput, match=r"there is no .*synth\.tcl"):
        vivado.run(tmp_path, "synth")


def test_run_returns_the_reports(build, with_vivado):
    result = vivado.run(build, "implement")
    assert json.loads((build / "vivado/implement.json").read_text()) == result
    assert (result["tool"], result["version"]) == ("vivado", "Vivado v2099.1")
    assert result["total"]["LUT"] == 4455
    assert result["core"] == {"LUT": 4450, "LUTRAM": 288, "FF": 5104, "BRAM36": 17.5, "URAM": 0, "DSP": 0}
    assert [unit["resources"].get("LUT") for unit in result["units"]] == [2000, 2162, 192, None]
    assert "| d | - | - | - | - | - | - | - |" in table(result, BOARD)
    assert vivado.run(build, "synth")["core"]["CARRY8"] == 310


def test_run_fails_with_the_end_of_the_log(build, with_vivado):
    (build / "rtl/toy.v").unlink()
    with pytest.raises(ToolFailed, match=r"(?s)vivado exited with 1 on synth:.*ERROR: no file rtl/toy.v"):
        vivado.run(build, "synth")


def test_run_fails_if_vivado_does_not_say_it_read_a_rom(build, with_vivado):
    script = build / "vivado/synth.tcl"
    script.write_text(re.sub(r"set_property file_type .*rom/b.hex\]\n", "", script.read_text()))
    with pytest.raises(ToolFailed, match=r"vivado does not say that it read rom/b\.hex"):
        vivado.run(build, "synth")


def test_utilization_report_is_read():
    assert vivado.parse_utilization(REPORTS["utilization"], BOARD.device) == {
        "LUT": 4455,
        "LUTRAM": 288,
        "MUXF7": 12,
        "MUXF8": 3,
        "MUXF9": 0,
        "FF": 5120,
        "CARRY8": 310,
        "BRAM36": 17.5,
        "URAM": 0,
        "DSP": 0,
    }


def test_utilization_report_of_another_family_is_read():
    """A 7 series device has other rows: its carry chains are counted among the primitives, at the report's end."""
    series7, report = devices()["series7"], REPORTS["utilization"]
    with pytest.raises(ToolFailed, match=r"no Slice LUTs and Slice Registers in the text: .* of the family series7"):
        vivado.parse_utilization(report, series7)
    report = re.sub(r"^\| CARRY8 .*\n|^\| F9 .*\n|^\| URAM .*\n", "", report, flags=re.MULTILINE)
    report = report.replace("CLB LUTs* ", "Slice LUTs*").replace("CLB Registers  ", "Slice Registers")
    report += "\n| CARRY4   |  621 |          CarryLogic |\n"
    counts = vivado.parse_utilization(report, series7)
    assert counts == {
        "LUT": 4455,
        "LUTRAM": 288,
        "MUXF7": 12,
        "MUXF8": 3,
        "FF": 5120,
        "CARRY4": 621,
        "BRAM36": 17.5,
        "DSP": 0,
    }


def test_hierarchy_report_is_read():
    rows = vivado.parse_hierarchy(REPORTS["hierarchy"])
    assert [row["instance"] for row in rows] == ["toy_top", "u_core", "u_adder_a", "u_adder_b", "u_scratch_c"]
    assert rows[2]["resources"] == {"LUT": 2000, "LUTRAM": 0, "FF": 3000, "BRAM36": 9.5, "URAM": 0, "DSP": 0}


def test_timing_report_is_read():
    assert vivado.parse_timing(REPORTS["timing"]) == {
        "wns_ns": -0.35,
        "tns_ns": -4.212,
        "whs_ns": 0.012,
        "ths_ns": 0.0,
        "period_ns": 4.0,
        "fmax_mhz": 229.9,
    }


def test_timing_report_without_paths_has_no_fmax():
    figures = r"^ +-0.350 .*$"
    text = re.sub(figures, " NA NA NA NA NA NA NA NA 1.458 0.000 0 5137", REPORTS["timing"], flags=re.MULTILINE)
    timing = vivado.parse_timing(text)
    assert (timing["wns_ns"], timing["whs_ns"], timing["fmax_mhz"]) == (None, None, None)


@pytest.mark.parametrize(
    "parse",
    [lambda text: vivado.parse_utilization(text, BOARD.device), vivado.parse_hierarchy, vivado.parse_timing],
    ids=["utilization", "hierarchy", "timing"],
)
def test_a_text_that_is_no_report_is_an_error(parse):
    with pytest.raises(ToolFailed):
        parse("Vivado ran out of memory\n")
