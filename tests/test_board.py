"""A board is read whole from its file, and what is wrong with it is named; each build keeps the board that it was made
for."""

import json

import pytest
import torch
from torch import nn

import hwgen
from hwgen.board import boards, load_board, read_board
from hwgen.config import BuildConfig
from hwgen.devices import devices
from hwgen.errors import BadInput
from hwgen.nn import ActQuant
from hwgen.share import share

ZCU104 = (share("boards") / "zcu104.toml").read_text()
ARTY = """
family = "series7"
part = "xc7a100tcsg324-1"
clock_mhz = 100
constraints = "pins/arty.xdc"

[resources]
LUT = 63400
LUTRAM = 19000
FF = 126800
CARRY4 = 15850
BRAM36 = 135
URAM = 0
DSP = 240
"""


@pytest.fixture
def arty(tmp_path):
    """The file of a board of a user's own, with its constraints."""
    (tmp_path / "pins").mkdir()
    (tmp_path / "pins/arty.xdc").write_text("# of the Arty\n")
    (tmp_path / "arty.toml").write_text(ARTY)
    return tmp_path / "arty.toml"


def test_zcu104_is_the_part_on_the_board():
    board = load_board("zcu104")
    assert (board.part, board.device.family) == ("xczu7ev-ffvc1156-2-e", "ultrascale_plus")
    assert (board.clock_mhz, board.period_ns) == (250.0, 4.0)
    assert board.resources == {
        "LUT": 230400,
        "LUTRAM": 101760,
        "FF": 460800,
        "CARRY8": 28800,
        "BRAM36": 312,
        "URAM": 96,
        "DSP": 1728,
    }


@pytest.mark.parametrize("name", boards())
def test_every_board_loads_and_its_counts_agree_with_each_other(name):
    """A carry chain for each slice, two registers a LUT, and memory in half of the LUTs at most."""
    board = load_board(name)
    assert name.upper() in board.constraints
    have, slice_luts = board.resources, 8 if "CARRY8" in board.resources else 4
    assert have[f"CARRY{slice_luts}"] * slice_luts == have["LUT"] == have["FF"] / 2
    assert 0 < have["LUTRAM"] < have["LUT"] and have["LUTRAM"] % slice_luts == 0


def test_unknown_board_names_those_present():
    with pytest.raises(
        BadInput, match=r"no board is called 'zcu9'\n  try:  one of: kv260, pynq-z2, zcu102, zcu104; or"
    ):
        load_board("zcu9")


def test_a_board_of_a_users_own_is_read_with_its_constraints(arty, monkeypatch):
    monkeypatch.chdir(arty.parent)
    for path in (str(arty), "arty.toml", "./pins/../arty.toml"):
        board = load_board(path)
        assert (board.name, board.part, board.clock_mhz) == ("arty", "xc7a100tcsg324-1", 100.0)
        assert board.device is devices()["series7"]
        assert (board.resources["CARRY4"], board.constraints) == (15850, "# of the Arty\n")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('family = "series7"\n', "", r"the board lacks 'family'\n  at:   .*arty.toml\n"),
        ('"series7"', '"spartan6"', "no device family is called 'spartan6'.*one of: series7, ultrascale_plus"),
        ('"series7"', "7", "no device family is called 7"),
        ('"series7"', '"ultrascale_plus"', 'xc7a100tcsg324-1 is no part of the family ultrascale_plus.*= "series7"'),
        ("xc7a100tcsg324-1", "5csema5f31c6", "no part of the family series7.*hwgen has no family of it"),
        ("xc7a100tcsg324-1", "xc7a100t; exec rm", "part = 'xc7a100t; exec rm'"),
        ('part = "xc7a100tcsg324-1"', "part = 7", "part = 7"),
        ("clock_mhz", "clock_mhx", "a board has no field 'clock_mhx'.*its fields are family, part, clock_mhz"),
        ("= 100\n", "= 0\n", "clock_mhz = 0"),
        ("= 100\n", "= inf\n", "clock_mhz = inf"),
        ("= 100\n", '= "100"\n', "clock_mhz = '100'"),
        ("= 100\n", "= true\n", "clock_mhz = True"),
        ("arty.xdc", "other.xdc", "constraints: .*pins/other.xdc cannot be read: No such file"),
        ('"pins/arty.xdc"', "[]", r"constraints = \[\]"),
        ("[resources]", "[resource]", "a board has no field 'resource'"),
        (ARTY[ARTY.index("[resources]") :], "resources = 5", "resources = 5"),
        ("FF = 126800\n", "", "resources lack FF.*give LUT, LUTRAM, FF, CARRY4"),
        ("CARRY4", "CARRY8", "the family series7 has no resource 'CARRY8'.*its resources are LUT, LUTRAM, FF, CARRY4"),
        ("63400", "-1", "resources: LUT = -1"),
        ("63400", "63400.0", "resources: LUT = 63400.0"),
        ("63400", "true", "resources: LUT = True"),
        ("63400", "63,400", "the board's file is not TOML: .*line 8"),
    ],
)
def test_what_is_wrong_with_a_boards_file_is_named(arty, old, new, says):
    assert old in ARTY
    arty.write_text(ARTY.replace(old, new))
    with pytest.raises(BadInput, match=f"(?s){says}"):
        load_board(str(arty))


def test_a_boards_file_that_cannot_be_read_is_named(arty):
    with pytest.raises(BadInput, match=r"cannot be read: No such file or directory\n  at:   .*none.toml"):
        load_board(str(arty.with_name("none.toml")))
    arty.with_name("folder.toml").mkdir()
    with pytest.raises(BadInput, match="cannot be read: Is a directory"):
        load_board(str(arty.with_name("folder.toml")))
    arty.write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput, match="is not TOML"):
        load_board(str(arty))
    odd = arty.with_name("my board.toml")
    odd.write_text(ARTY)
    with pytest.raises(
        BadInput, match=r"a board called 'my board'.*\n.*my board\.toml\n  try:  name its file by letters"
    ):
        load_board(str(odd))


def test_shares_of_a_board_without_a_resource():
    board = load_board("zcu102")
    assert board.share("BRAM36", 456) == 0.5
    assert (board.share("URAM", 0), board.share("URAM", 1)) == (0, float("inf"))


def test_a_build_keeps_its_board(arty, tmp_path):
    """What later commands read is the board as it was, not a file that may have changed or gone."""
    net = nn.Sequential(ActQuant(2, 0), nn.Conv2d(1, 1, 1), ActQuant(2, 0)).eval()
    net[1].weight.data.fill_(0.5)
    net[1].bias.data.zero_()
    folder = tmp_path / "net"
    hwgen.build(net, (torch.zeros(1, 1, 2, 2),), out=folder, config=BuildConfig(board=str(arty)))
    board, manifest = load_board(str(arty)), json.loads((folder / "hwgen.json").read_text())
    assert "board.xdc" in manifest["files"] and manifest["synthesis"] == board.device.synthesis
    assert str(tmp_path) not in (folder / "hwgen.json").read_text()
    arty.unlink()
    assert read_board(folder, manifest) == board
    for record in ("arty", {}, {"name": 5}, manifest["board"] | {"part": "xczu7ev"}):
        with pytest.raises(BadInput, match=r"hwgen\.json, board"):
            read_board(folder, manifest | {"board": record})
