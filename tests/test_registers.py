"""One table of registers: the document says what it says; sim/bench_axil_registers.py holds the RTL against it."""

from pathlib import Path

import pytest

from hwgen.registers import OFFSET, REGISTERS, SIZE, table

DOCUMENT = Path(__file__).parents[1] / "docs/registers.md"
ALL = {"INPUTS": 64, "OUTPUTS": 64, "LAYERS": 256, "WATCHED": 1024, "MODES": 256}


def test_the_document_has_the_table():
    assert table() in DOCUMENT.read_text()


@pytest.mark.parametrize("parameters", [{}, ALL])
def test_no_two_registers_share_an_address(parameters):
    offsets = [offset for one in REGISTERS for offset in one.at(parameters)]
    assert len(offsets) == len(set(offsets)) and max(offsets) < SIZE and not any(offset % 4 for offset in offsets)


def test_registers_of_what_a_build_lacks_are_not_there():
    assert {name for name, offset in OFFSET.items() if not any(offset in one.at({}) for one in REGISTERS)} == {
        *("LOAD_LAYER", "LOAD_WORDS", "LOAD_DATA", "LOAD_CHECK", "LOADED"),
        *("WATCHED", "EVENTS", "LOST_FROM", "LOST_TO", "FAULTS", "REPAIRS"),
        *("MODES", "MODE", "IN_BEATS_OF", "OUT_BEATS_OF"),
    }
