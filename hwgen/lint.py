"""Checks emitted Verilog as pyverilog reads it: every instance names ports and parameters that its module has, all
ports connected."""

import functools
import importlib.util
import re
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from pyverilog.vparser import ast
from pyverilog.vparser.parser import VerilogParser

from hwgen.devices import devices
from hwgen.errors import ToolFailed
from hwgen.share import cache, share

ADDERS_READ = 20
_ADDER = re.compile(r"^    row_adder #.*\n.*;\n", re.MULTILINE)


def lint(files: dict[str, str]) -> None:
    """Raises ToolFailed at the first instance that does not fit its module, or file that does not parse.

    A module of rtl/ may be missing where the parameters keep its instance out.
    """
    modules = {}
    for path, text in files.items():
        if path.endswith(".v"):
            modules.update(_modules(path, _shortened(text)))
    known = {name: (ports, parameters) for name, (ports, parameters, _) in modules.items()}
    for device in devices().values():  # a module of rtl/ holds the primitives of every family, side by side
        known |= device.primitives
    for name, (_, _, instances) in modules.items():
        for module, instance, ports, parameters in instances:
            where = f"{name}: {module} {instance}"
            if module not in known:
                known |= _left_out(module)
            if module not in known:
                if "_must_" in module:  # a parameter check: a module that must not exist
                    continue
                raise ToolFailed(f"no file defines the module {module}", where, "this is an error of hwgen: report it")
            wrong = (ports ^ known[module][0]) | (parameters - known[module][1])
            if wrong:
                raise ToolFailed(
                    f"{min(wrong)} does not fit the module's ports and parameters",
                    where,
                    "this is an error of hwgen: report it",
                )


def _left_out(module: str) -> dict[str, tuple[set[str], set[str]]]:
    """The ports and parameters of a module of rtl/, by its name."""
    path = share("rtl") / f"{module}.v"
    found = _modules(f"rtl/{module}.v", path.read_text()) if path.is_file() else {}
    return {name: (ports, parameters) for name, (ports, parameters, _) in found.items()}


def _shortened(text: str) -> str:
    """Without most of a long run of adders: one line of the template wrote them all, and the parser takes its time."""
    adders = list(_ADDER.finditer(text))
    if len(adders) <= ADDERS_READ:
        return text
    return text[: adders[ADDERS_READ].start()] + text[adders[-1].end() :]


@functools.cache
def _parser() -> VerilogParser:
    """pyverilog's parser; its tables take seconds to work out, so they are kept in the user's cache folder."""
    kept = cache() / f"pyverilog-{version('pyverilog')}-ply-{version('ply')}"
    kept.mkdir(exist_ok=True)
    table = kept / "parsetab.py"
    if table.is_file():
        # ply imports its tables from the package of the grammar, wherever it has written them
        spec = importlib.util.spec_from_file_location(f"{VerilogParser.__module__.rpartition('.')[0]}.parsetab", table)
        assert spec is not None and spec.loader is not None  # it is a .py file
        sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[spec.name])
    with tempfile.TemporaryDirectory(dir=kept) as fresh:
        parser = VerilogParser(outputdir=fresh, debug=False)
        made = Path(fresh) / table.name
        if made.is_file():
            made.replace(table)  # whole or not at all: others may be reading
    return parser


@functools.lru_cache(maxsize=256)
def _modules(path: str, text: str) -> dict[str, tuple[set[str], set[str], list]]:
    """Module name -> (ports, parameters, instances as (module, name, ports, parameters))."""
    parser = _parser()
    try:
        description = parser.parse(text).description
    except Exception as error:
        raise ToolFailed(f"pyverilog cannot read it: {error}", path, "this is an error of hwgen: report it") from error
    result = {}
    for module in description.definitions:
        if isinstance(module, ast.ModuleDef):
            ports = {getattr(port, "first", port).name for port in module.portlist.ports}
            parameters = {p.name for d in _find(module, ast.Decl) for p in d.list if isinstance(p, ast.Parameter)}
            parameters |= {p.name for p in _find(module.paramlist, ast.Parameter)}
            instances = [
                (i.module, i.name, {p.portname for p in i.portlist}, {p.paramname for p in i.parameterlist})
                for i in _find(module, ast.Instance)
            ]
            result[module.name] = (ports, parameters, instances)
    return result


def _find(node, kind) -> list:
    found = [node] if isinstance(node, kind) else []
    return found + [match for child in (node.children() if node is not None else ()) for match in _find(child, kind)]
