"""pyverilog's tables are worked out once."""

import sys

import ply.yacc
import pytest

from hwgen import lint

MODULE = {"rtl/a.v": "module a (input wire clk);\nendmodule\n"}


def test_the_parser_s_tables_are_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = []
    generate = ply.yacc.LRGeneratedTable.__init__
    monkeypatch.setattr(
        ply.yacc.LRGeneratedTable, "__init__", lambda self, *args: made.append(True) or generate(self, *args)
    )
    for name in [name for name in sys.modules if name.endswith(".parsetab")]:
        monkeypatch.delitem(sys.modules, name)
    for _ in range(2):
        lint._parser.cache_clear()
        lint._modules.cache_clear()
        lint.lint(MODULE)
    assert made == [True]
    (tables,) = tmp_path.rglob("parsetab.py")
    assert [path.name for path in tables.parent.iterdir()] == ["parsetab.py"]


@pytest.fixture(autouse=True)
def fresh_parser():
    yield
    lint._parser.cache_clear()
