"""pyverilog's tables are worked out once."""

import sys

import ply.yacc
import pytest

from hwgen import lint
from hwgen.errors import ToolFailed

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


@pytest.mark.parametrize(
    ("instance", "says"),
    [
        ("stream_reg u_a (.clk(clk));", "does not fit"),  # of rtl/, not among the files
        ("stream_registers u_a (.clk(clk));", "no file defines the module stream_registers"),
        ("a_W_must_be_1 error_i ();", None),
    ],
)
def test_an_instance_must_fit_a_module_of_the_files_or_of_rtl(instance, says):
    files = {
        "rtl/a.v": f"module a (input wire clk);\n    generate if (0) begin : gen\n    {instance}\n    end endgenerate\nendmodule\n"
    }
    if says is None:
        lint.lint(files)
    else:
        with pytest.raises(ToolFailed, match=says):
            lint.lint(files)


@pytest.fixture(autouse=True)
def fresh_parser():
    yield
    lint._parser.cache_clear()
