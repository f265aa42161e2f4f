"""A board is read whole from its file, and an unknown one names those present."""

import pytest

from hwgen.board import boards, load_board
from hwgen.errors import BadInput


def test_zcu104_is_the_part_on_the_board():
    board = load_board("zcu104")
    assert board.part == "xczu7ev-ffvc1156-2-e"
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
def test_every_board_loads_and_its_constraints_exist(name):
    assert load_board(name).constraints.is_file()


def test_unknown_board_names_those_present():
    with pytest.raises(BadInput, match=r"no board is called 'zcu9'\n  try:  one of: .*zcu104"):
        load_board("zcu9")
