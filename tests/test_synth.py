"""Yosys counts what was instantiated, and refuses a netlist that is not the design."""

import json
import re
import shutil

import pytest
from toy_build import write_build

from hwgen.board import load_board
from hwgen.errors import BadInput, ToolFailed
from hwgen.synth import RESOURCES, table, yosys


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """A synthesized toy build: its folder, its result and the progress it told."""
    build, told = write_build(tmp_path_factory.mktemp("toy")), []
    return build, yosys.synthesize(build, jobs=2, progress=told.append), told


@pytest.fixture
def build(tmp_path):
    return write_build(tmp_path)


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def one_module(build, body, ports="input wire clk, input wire a, input wire b, output wire y"):
    """Makes the build a single module without units or ROMs."""
    (build / "rtl/toy.v").write_text(f"module toy_top ({ports});\n{body}\nendmodule\n")
    manifest = json.loads((build / "hwgen.json").read_text())
    manifest |= {"core": "toy_top", "roms": {}, "units": []}
    (build / "hwgen.json").write_text(json.dumps(manifest))
    return build


def test_counts_are_those_of_the_primitives_instantiated(toy):
    _, result, _ = toy
    unit = {unit["name"]: unit["resources"] for unit in result["units"]}
    assert unit["d"] == dict.fromkeys(RESOURCES, 0) | {"LUT": 3, "LUTRAM": 3}
    # one 64-bit LUT a bit of the memory, and its read address
    assert unit["c"] == dict.fromkeys(RESOURCES, 0) | {"LUT": 7, "LUTRAM": 7, "FF": 6}
    assert (unit["a"]["CARRY8"], unit["b"]["CARRY8"], result["core"]["CARRY8"]) == (1, 2, 3)
    assert result["core"]["LUTRAM"] == result["total"]["LUTRAM"] == 10
    # the top adds one register a bit of y
    assert result["total"]["FF"] == result["core"]["FF"] + 16


def test_lut6_2_survives_flattening_and_counts_one(toy):
    build, result, _ = toy
    cells = {job: cells_of(build, job) for job in ("unit_a", "unit_b", "total")}
    assert [cells[job]["LUT6_2"] for job in cells] == [8, 12, 20]
    luts = sum(n for c, n in cells["unit_a"].items() if "LUT" in c or c == "INV")
    assert result["units"][0]["resources"]["LUT"] == luts


def cells_of(build, job):
    return json.loads((build / f"synth/{job}.stat.json").read_text())["design"]["num_cells_by_type"]


def test_result_is_written_with_version_flags_and_parameters(toy):
    build, result, told = toy
    assert json.loads((build / "synth/yosys.json").read_text()) == result
    assert result["version"].startswith("Yosys 0.70")
    assert result["flags"] == "synth_xilinx -family xcup -flatten -noiopad -noclkbuf -nodsp -widemux 5"
    assert result["units"][1]["parameters"] == {"FILE": "rom/b.hex", "DEPTH": 16, "W": 12}
    assert told[0] == "yosys reads the sources and the ROMs"
    assert re.fullmatch(r"yosys: \w+ \d+ LUT \(6 of 6\)", told[-1])


def test_table_shows_units_total_budget_and_percent(toy):
    lines = table(toy[1], load_board("zcu104")).splitlines()
    assert lines[0] == "| unit | LUT | LUTRAM | FF | CARRY8 | BRAM36 | URAM | DSP |"
    assert lines[5] == "| d | 3 | 3 | 0 | 0 | 0 | 0 | 0 |"
    assert [line.split()[1] for line in lines[6:]] == ["core", "total", "zcu104", "used"]
    assert lines[8] == "| zcu104 | 230400 | 101760 | 460800 | 28800 | 312 | 96 | 1728 |"


def test_table_shows_a_dash_for_what_was_not_counted():
    text = table({"core": {"LUT": 23040}, "units": []}, load_board("zcu104"))
    assert "| core | 23040 | - | - | - | - | - | - |" in text
    assert "| used | 10.0% | - | - | - | - | - | - |" in text


def test_sha256_changes_with_the_roms_and_sources_below_the_unit_only(toy, tmp_path):
    build, result, _ = toy
    copy = tmp_path / "copy"
    shutil.copytree(build, copy)
    edit(copy / "rom/a.hex", "a2", "a3")
    modules = json.loads((build / "synth/elaborate.json").read_text())["modules"]
    manifest = json.loads((build / "hwgen.json").read_text())
    before, after = (yosys._find_units(folder, manifest, modules) for folder in (build, copy))
    changed = [a["name"] for a, b in zip(before, after, strict=True) if a["sha256"] != b["sha256"]]
    assert changed == ["a"]
    assert [unit["sha256"] for unit in before] == [unit["sha256"] for unit in result["units"]]
    assert len({unit["sha256"] for unit in before}) == 4


def test_every_cell_is_worth_what_it_occupies(tmp_path):
    cells = {
        "LUT1": 1,
        "LUT6_2": 2,
        "INV": 4,
        "SRLC32E": 1,
        "RAM64M8": 2,
        "RAM32M": 1,
        "MUXF7": 3,
        "MUXF8": 2,
    }
    cells |= {"FDSE": 5, "FDCE": 1, "CARRY8": 1, "CARRY4": 3, "RAMB36E2": 2, "RAMB18E2": 1, "URAM288": 1}
    assert counts(tmp_path, cells | {"$scopeinfo": 9}) == {
        "LUT": 1 + 2 + 4 + 1 + 16 + 4,
        "LUTRAM": 1 + 16 + 4,
        "MUXF7": 3,
        "MUXF8": 2,
        "MUXF9": 0,
        "FF": 6,
        "CARRY8": 3,
        "BRAM36": 2.5,
        "URAM": 1,
        "DSP": 0,
    }


def counts(folder, cells):
    (folder / "synth").mkdir(exist_ok=True)
    stat = {"creator": "Yosys", "design": {"num_cells_by_type": cells}}
    (folder / "synth/job.stat.json").write_text(json.dumps(stat))
    return yosys._counts(folder, "job")["resources"]


@pytest.mark.parametrize(
    "cell, message",
    [
        ("DSP48E2", "holds a DSP block: 2 DSP48E2"),
        ("LDCE", "holds a latch: 2 LDCE"),
        ("FOO", "cannot count: 2 FOO"),
    ],
)
def test_a_cell_that_must_not_be_there_is_an_error(tmp_path, cell, message):
    with pytest.raises(ToolFailed, match=message):
        counts(tmp_path, {"LUT1": 1, cell: 2})


def test_instantiated_dsp_is_an_error(build):
    one_module(build, "wire [47:0] p;\nDSP48E2 dsp_i (.CLK(clk), .CEP(a), .RSTP(b), .P(p));\nassign y = p[0];")
    with pytest.raises(ToolFailed, match="the netlist of total holds a DSP block: 1 DSP48E2"):
        yosys.synthesize(build)
    assert not (build / "synth/yosys.json").exists()


def test_missing_rom_names_file_and_instance(build):
    (build / "rom/b.hex").unlink()
    with pytest.raises(ToolFailed, match=r"rom/b.hex: cannot be read .*\n  at:   instance u_adder_b, rtl/toy.v"):
        yosys.synthesize(build)


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("a2\n", "", "holds 7 words, the manifest says 8"),
        ("a2\n", "1a2\n", "holds 1a2, wider than its 8 bits"),
        ("a2\n", "no\n", "is not one hex word a line"),
    ],
)
def test_rom_file_that_is_not_as_the_manifest_says_is_an_error(build, old, new, message):
    edit(build / "rom/a.hex", old, new)
    with pytest.raises(ToolFailed, match=f"rom/a.hex: {message}"):
        yosys.synthesize(build)


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("initial $readmemh(FILE, memory);", "", "word 0 is 1 in the file and x{8} in the design"),
        (
            "readmemh(FILE, memory)",
            'readmemh("rom/a.hex", memory)',
            r"rom/b.hex: word 0 is 5 in the file and 1",
        ),
        ("memory [0:DEPTH-1]", "memory [0:DEPTH]", "holds 8 words of 8 bits, .* names it 9 words of 8 bits"),
        ('.FILE("rom/a.hex")', '.FILE("")', "Can not open file"),
        ('"rom/a.hex"', '"rom/b.hex"', "rom/b.hex: holds 16 words of 12 bits"),
    ],
)
def test_rom_that_the_design_does_not_hold_is_an_error(build, old, new, message):
    edit(build / "rtl/toy.v", old, new)
    with pytest.raises(ToolFailed, match=message):
        yosys.synthesize(build)


def test_rom_of_the_manifest_that_nothing_reads_is_an_error(build):
    edit(build / "hwgen.json", '"roms": {', '"roms": {"rom/c.hex": {"depth": 1, "width": 1}, ')
    (build / "rom/c.hex").write_text("1\n")
    with pytest.raises(ToolFailed, match="rom/c.hex: is in the manifest, and no memory of the design reads it"):
        yosys.synthesize(build)


@pytest.mark.parametrize(
    "body, message",
    [
        ("reg q; always @* if (a) q = b;\nassign y = q;", "Latch inferred"),
        ("assign y = a; assign y = b;", "conflicting"),
        ("wire c; assign y = a & c;", "has no driver"),
        ("wire c; assign c = a ^ y; assign y = b & c;", "logic loop"),
        ("absent absent_i (.a(a), .y(y));", "absent.*is not part of the design"),
        ("assign y = ;", "syntax error"),
    ],
)
def test_verilog_that_is_not_a_netlist_is_an_error(build, body, message):
    with pytest.raises(ToolFailed, match=message):
        yosys.synthesize(one_module(build, body))


def test_unit_that_the_core_does_not_hold_is_named(build):
    edit(build / "hwgen.json", '"u_delay_d"', '"u_delay_e"')
    with pytest.raises(BadInput, match="toy_core holds no instance 'u_delay_e'"):
        yosys.synthesize(build)


def test_interrupt_stops_every_worker_and_its_children(build, monkeypatch):
    (build / "synth").mkdir()
    started, start = [], yosys._start

    def remember(*args):
        started.append(start(*args))
        return started[-1]

    def interrupt(job, seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(yosys, "_start", remember)
    with pytest.raises(KeyboardInterrupt):
        yosys._run_all(build, {"slow": ["exec -- sleep 60"], "quick": ["log done"]}, 2, interrupt)
    assert [process.poll() for process in started] == [-9, 0]


def test_killed_worker_is_an_error_with_the_end_of_its_log(build):
    (build / "synth").mkdir()
    with pytest.raises(ToolFailed, match=r"(?s)yosys was killed by signal 9 on job:.*kill -9.*at:   .*job.log"):
        yosys._run_all(build, {"job": ["exec -- kill -9 $PPID"]}, 1, lambda *_: None)
