"""Yosys counts what was instantiated, and refuses a netlist that is not the design."""

import json
import re
import shutil

import pytest
from toy_build import write_build

from hwgen.board import load_board
from hwgen.errors import BadInput, ToolFailed
from hwgen.synth import processes, table, yosys
from hwgen.synth.parts import Part, parts_of

BOARD = load_board("zcu104")
RESOURCES = BOARD.device.resources


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def toy(tmp_path_factory, cache):
    """A synthesized toy build: its folder, its result and the progress it told."""
    build, told = write_build(tmp_path_factory.mktemp("toy")), []
    return build, yosys.synthesize(build, jobs=2, progress=told.append, cache=cache), told


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
    return change(build, core="toy_top", sources=["rtl/toy.v"], roms={}, units=[])


def change(build, **entries):
    """Of the manifest."""
    manifest = json.loads((build / "hwgen.json").read_text())
    (build / "hwgen.json").write_text(json.dumps(manifest | entries))
    return build


def only(build, name):
    """Leaves one unit, and its ROM, in the manifest; its keyword arguments synthesize no more than that."""
    manifest = json.loads((build / "hwgen.json").read_text())
    units = [unit for unit in manifest["units"] if unit["name"] == name]
    change(
        build, units=units, roms={rom: manifest["roms"][rom] for rom in manifest["roms"] if rom == f"rom/{name}.hex"}
    )
    return {"top": "toy_core", "whole": False}


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
    build, result, _ = toy
    assert json.loads((build / "synth/yosys.json").read_text()) == result
    assert result["version"].startswith("Yosys 0.70")
    assert result["flags"] == "synth_xilinx -family xcup -flatten -noiopad -noclkbuf -nodsp -widemux 5"
    assert result["units"][1]["parameters"] == {"FILE": '"rom/b.hex"', "DEPTH": "16", "W": "12"}


def test_progress_tells_each_part_as_it_starts_and_ends(toy):
    _, _, told = toy
    assert told[0] == "yosys: 0 of 7 parts done"
    working = [line.partition("at work on ")[2].split(", ") for line in told]
    names = ["a", "b", "border", "c", "core", "d", "total"]
    assert sorted({name for line in working for name in line if name}) == names
    assert max(map(len, working)) == 2  # jobs
    done = [int(line.split()[1]) for line in told]
    assert done == sorted(done) and set(done) == set(range(8))
    ended = [found[1] for line in told if (found := re.search(r"done, (\w+) \d+ LUT", line))]
    assert sorted(set(ended)) == names


def test_sum_is_of_the_units_and_of_the_top_without_its_core(toy):
    _, result, _ = toy
    parts = [*result["units"], result["border"]]
    assert result["sum"] == {key: sum(part["resources"][key] for part in parts) for key in RESOURCES}
    # what the border has is the register of y; nothing melts into anything here but LUTs and their muxes
    assert result["border"]["resources"] == dict.fromkeys(RESOURCES, 0) | {"FF": 16}
    differing = {key for key in RESOURCES if result["sum"][key] != result["total"][key]}
    assert differing <= {"LUT", "MUXF7"}


def test_table_shows_parts_sum_total_budget_and_percent(toy):
    lines = table(toy[1], BOARD).splitlines()
    assert lines[0] == "| unit | LUT | LUTRAM | FF | CARRY8 | BRAM36 | URAM | DSP | seconds |"
    assert re.fullmatch(r"\| d \| 3 \| 3 \| 0 \| 0 \| 0 \| 0 \| 0 \| [\d.]+ \|", lines[5])
    assert [line.split()[1] for line in lines[6:]] == ["border", "sum", "core", "total", "zcu104", "used"]
    assert lines[10] == "| zcu104 | 230400 | 101760 | 460800 | 28800 | 312 | 96 | 1728 |  |"


def test_table_shows_a_dash_for_what_was_not_counted():
    text = table({"core": {"LUT": 23040}, "units": []}, BOARD)
    assert "| core | 23040 | - | - | - | - | - | - |" in text
    assert "| used | 10.0% | - | - | - | - | - | - |" in text


def test_key_changes_with_all_below_the_part_only(toy, tmp_path):
    build, result, _ = toy
    manifest = json.loads((build / "hwgen.json").read_text())
    copy = tmp_path / "copy"
    shutil.copytree(build, copy)

    def changed():
        known = json.loads((copy / "hwgen.json").read_text())
        pairs = zip(parts_of(build, manifest, "toy_top", True), parts_of(copy, known, "toy_top", True), strict=True)
        return [before.name for before, after in pairs if before.key([]) != after.key([])]

    assert changed() == []
    edit(copy / "rom/a.hex", "a2", "a3")
    assert changed() == ["a", "core", "total"]
    edit(copy / "rom/a.hex", "a3", "a2")
    edit(copy / "rtl/toy.v", "module scratch", "// a comment\nmodule scratch")
    for path in ("hwgen.json", "rtl/toy_core.v"):
        (copy / path).write_text((copy / path).read_text().replace("rom/a.hex", "rom/other.hex"))
    (copy / "rom/a.hex").rename(copy / "rom/other.hex")
    assert changed() == ["border"]  # which reads the core's Verilog for its ports
    edit(copy / "rtl/toy.v", "DEPTH = 8", "DEPTH = 9")
    assert changed() == ["a", "b", "c", "d", "border", "core", "total"]
    assert len({unit["sha256"] for unit in result["units"]}) == 4


def test_key_is_that_of_another_layer_with_the_same_content(build):
    texts = {"rtl/adder_graph_x.v": "module adder_graph_x (); // x\nendmodule"}
    parts = [
        Part("x", "unit_x", "adder_graph_x", "adder_graph", texts, {}),
        Part("y", "unit_y", "adder_graph_y", "adder_graph", {"y.v": "module adder_graph_y (); /* y */\nendmodule"}, {}),
        Part(
            "z",
            "unit_z",
            "adder_graph_z",
            "adder_graph",
            {"z.v": "module adder_graph_z (input wire a);\nendmodule"},
            {},
        ),
    ]
    assert parts[0].key([]) == parts[1].key([]) != parts[2].key([])
    assert parts[0].key(["0.70"]) != parts[0].key(["0.71"])


def test_every_cell_is_worth_what_it_occupies():
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
    assert counts(cells | {"$scopeinfo": 9}) == {
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


def counts(cells):
    return yosys.count(cells, "job", "synth/job.log", BOARD.device)


def part(name):
    return Part(name, name, "top", "top", {}, {})


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("LDCE", "holds a latch: 2 LDCE"),
        ("FOO", "cannot count: 2 FOO"),
    ],
)
def test_a_cell_that_must_not_be_there_is_an_error(cell, message):
    with pytest.raises(ToolFailed, match=message):
        counts({"LUT1": 1, cell: 2})


def test_an_instantiated_dsp_slice_is_counted_and_none_is_inferred(build):
    one_module(build, "wire [47:0] p;\nDSP48E2 dsp_i (.CLK(clk), .CEP(a), .RSTP(b), .P(p));\nassign y = p[0];")
    assert yosys.synthesize(build)["total"]["DSP"] == 1
    assert "-nodsp" in BOARD.device.yosys


@pytest.mark.parametrize(
    ("depth", "bits", "written"),
    [(2457, 45, ()), (3200, 40, None), (2048, 88, (80, 8))],
)
def test_block_memory_is_what_yosys_makes_of_a_memory(build, depth, bits, written):
    end, parts = 0, []
    for i, part in enumerate((bits,) if written is None else written):
        parts.append(f"if (we[{i}]) memory[wa][{end} +: {part}] <= d[{end} +: {part}];")
        end += part
    # without a write it is a ROM, of numbers that look random
    first = (
        ""
        if parts
        else "integer i; initial for (i = 0; i < DEPTH; i = i + 1) memory[i] = {2{i * 64'h9e3779b97f4a7c15}} >> 23;"
    )
    body = f"""
        localparam DEPTH = {depth};
        (* ram_style = "block", rom_style = "block" *) (* no_rw_check *) reg [{bits - 1}:0] memory [0:DEPTH-1];
        reg [{bits - 1}:0] q;
        {first}
        always @(posedge clk) begin {" ".join(parts)} end
        always @(posedge clk) q <= memory[ra];
        assign y = q;"""
    address = f"[{(depth - 1).bit_length() - 1}:0]"
    word = f"[{bits - 1}:0]"
    ports = f"input wire clk, input wire [7:0] we, input wire {address} wa, ra, input wire {word} d, output {word} y"
    counts = yosys.synthesize(one_module(build, body, ports), top="toy_top")["total"]
    assert counts["BRAM36"] == BOARD.device.block_memory(depth, bits, written)[0]


def test_missing_rom_names_file_and_instance(build):
    (build / "rom/b.hex").unlink()
    with pytest.raises(ToolFailed, match=r"rom/b.hex: cannot be read .*\n  at:   instance u_adder_b, rtl/toy_core.v"):
        yosys.synthesize(build)


@pytest.mark.parametrize(
    ("old", "new", "message"),
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
    ("old", "new", "message"),
    [
        ("initial $readmemh(FILE, memory);", "", "word 0 is 1 in the file and x{8} in the design"),
        (
            "readmemh(FILE, memory)",
            'readmemh("rom/a.hex", memory)',
            r"rom/b.hex: word 0 is 5 in the file and 1",
        ),
        ("memory [0:DEPTH-1]", "memory [0:DEPTH]", "holds 8 words of 8 bits, .* names it 9 words of 8 bits"),
    ],
)
def test_rom_that_the_design_does_not_hold_is_an_error(build, old, new, message):
    edit(build / "rtl/toy.v", old, new)
    with pytest.raises(ToolFailed, match=message):
        yosys.synthesize(build, **only(build, "b" if "rom/b" in message else "a"))


def test_rom_of_another_unit_is_an_error(build):
    chosen = only(build, "a")
    edit(build / "rtl/toy_core.v", '"rom/a.hex"', '"rom/b.hex"')
    edit(build / "hwgen.json", '"FILE": "\\"rom/a.hex\\""', '"FILE": "\\"rom/b.hex\\""')
    with pytest.raises(BadInput, match=r"rom/b\.hex is not among the manifest's ROMs\n  at:   instance u_adder_a"):
        yosys.synthesize(build, **chosen)
    change(build, roms={"rom/b.hex": {"depth": 16, "width": 12}})
    with pytest.raises(ToolFailed, match=r"rom/b\.hex: holds 16 words of 12 bits"):
        yosys.synthesize(build, **chosen)


def test_rom_file_that_yosys_does_not_find_is_an_error(build):
    edit(build / "rtl/toy.v", "readmemh(FILE, memory)", 'readmemh("rom/c.hex", memory)')
    with pytest.raises(ToolFailed, match="Can not open file"):
        yosys.synthesize(build, **only(build, "a"))


def test_rom_of_the_manifest_that_nothing_reads_is_an_error(build, toy, cache):
    """The units are the toy's, counted already."""
    edit(build / "hwgen.json", '"roms": {', '"roms": {"rom/c.hex": {"depth": 1, "width": 1}, ')
    (build / "rom/c.hex").write_text("1\n")
    with pytest.raises(ToolFailed, match=r"rom/c\.hex: is in the manifest, and no memory of the design reads it"):
        yosys.synthesize(build, cache=cache)


@pytest.mark.parametrize(
    ("body", "message"),
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


def test_parameter_that_the_core_does_not_give_is_an_error(build):
    edit(build / "rtl/toy_core.v", ".DEPTH(16)", ".DEPTH(15)")
    with pytest.raises(BadInput, match="toy_core holds no instance 'u_adder_b' with the parameters of the manifest"):
        yosys.synthesize(build)


def test_interrupt_stops_every_worker_and_its_children(build, monkeypatch):
    (build / "synth").mkdir()
    started, start = [], processes.start

    def remember(*args):
        started.append(start(*args))
        return started[-1]

    def interrupt(job, seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(processes, "start", remember)
    with pytest.raises(KeyboardInterrupt):
        processes.run_all(build, scripts(slow="exec -- sleep 60", quick="log done"), 2, interrupt)
    assert [process.poll() for process in started] == [-9, 0]


def scripts(**commands):
    """Yosys on a part of each name, with a script of one command."""
    return [processes.yosys_task(part(name), [command]) for name, command in commands.items()]


def test_killed_worker_is_an_error_with_the_end_of_its_log(build):
    (build / "synth").mkdir()
    with pytest.raises(ToolFailed, match=r"(?s)yosys was killed by signal 9 on job:.*kill -9.*at:   .*job.log"):
        processes.run_all(build, scripts(job="exec -- kill -9 $PPID"), 1, lambda *_: None)


def test_counts_that_another_process_wrote_are_refused_and_not_kept(build, tmp_path, monkeypatch):
    checked = processes.check_log

    def overwrite(folder, task, returncode):
        checked(folder, task, returncode)
        path = folder / f"synth/{task.stem}.stat.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"modules": {"$paramod\\other\\W=s32'1": {}}}))

    monkeypatch.setattr(processes, "check_log", overwrite)
    options = only(build, "a")
    with pytest.raises(ToolFailed, match=r"(?s)the counts of a are those of other, not of .*unit_a.stat.json"):
        yosys.synthesize(build, cache=tmp_path / "cache", **options)
    assert not list((tmp_path / "cache").glob("*.json"))


def test_every_failure_is_named_and_stops_no_other_part(build):
    (build / "synth").mkdir()
    three = scripts(one="exec -- kill -9 $PPID", two="log fine", three="no_such_command")
    done = []
    with pytest.raises(
        ToolFailed, match=r"(?s)2 parts failed, one, three; the first: .*signal 9 on one.*one.log, .*three.log"
    ):
        processes.run_all(build, three, 1, lambda task, _: done.append(task.name))
    assert done == ["two"]


def test_limits_end_a_part_and_name_it(build):
    (build / "synth").mkdir()
    slow, large = scripts(slow="exec -- sleep 60"), scripts(large="read_verilog -lib +/xilinx/cells_xtra.v")
    with pytest.raises(ToolFailed, match=r"yosys took more than 0.02 minutes on slow\n  at:   .*slow.log"):
        processes.run_all(build, slow, 1, lambda *_: None, minutes=0.02)
    processes.run_all(build, large, 1, lambda *_: None, memory=4)
    with pytest.raises(ToolFailed, match=r"(?s)on large:.*at:   .*large.log"):
        processes.run_all(build, large, 1, lambda *_: None, memory=0.1)
