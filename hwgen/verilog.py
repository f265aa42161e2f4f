"""Verilog text: literals, and what an instance of a module of rtl/ has to say of its parameters."""

import functools
import re
from dataclasses import dataclass

from hwgen.share import share

Value = int | str | tuple[int, int]

_PARAMETER = re.compile(r"\s*parameter\s+(?:signed\s+)?(?:\[.*?\]\s+)?(\w+)\s*=\s*(.*?),?\s*(?://.*)?")
_NUMBER = re.compile(r"(-?)(?:\d+'s?([bdh]))?([0-9a-fA-F_]+)")
_BASE = {None: 10, "b": 2, "d": 10, "h": 16}


class Name(str):
    """A value that is the name of a parameter of the module around the instance."""


@dataclass(frozen=True)
class Parameter:
    """Of a module's header.

    default  as Verilog
    group    the comment line that stands above it and those with it; empty if there is none
    """

    name: str
    default: str
    group: str


@dataclass(frozen=True)
class Override:
    """A line of an instance: the parameter, its value as Verilog, and the group that begins with it, or nothing."""

    name: str
    value: str
    heading: str


def signed64(value: int) -> tuple[int, int]:
    """The value of a parameter that is declared `signed [63:0]`."""
    return value & ((1 << 64) - 1), 64


def literal(value: Value) -> str:
    """A Verilog literal: a name as it is, a string, a plain number of up to 32 bits, or (value, bits): hexadecimal, and
    signed decimal for 64 bits, which in rtl/ are numbers."""
    if isinstance(value, Name):
        return str(value)
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, int):
        return str(int(value)) if value < 1 << 31 else f"32'h{value:x}"  # without a width it would be a signed one
    number, bits = value
    if bits != 64:
        return f"{bits}'h{number:x}"
    return f"-64'sd{(1 << 64) - number}" if number >> 63 else f"64'sd{number}"


def header(text: str) -> list[Parameter]:
    """The parameters of the first module of a text that is written as those of rtl/ are: one a line."""
    found, group = [], ""
    for line in text.partition("#(\n")[2].partition("\n) (")[0].splitlines():
        if line.strip().startswith("//"):
            group = line.strip(" /")
        elif parameter := _PARAMETER.fullmatch(line):
            found.append(Parameter(parameter[1], parameter[2], group))
    return found


@functools.cache
def _header(module: str) -> list[Parameter]:
    path = share("rtl") / f"{module}.v"
    return header(path.read_text()) if path.is_file() else []


def overrides(module: str, values: dict[str, Value]) -> list[Override]:
    """Of `values` those that are not the module's defaults, in the order and the groups of its header; of a module that
    is not in rtl/ all, as they come. A name that the header lacks stays: it fits no module, which hwgen.lint says."""
    known = {parameter.name: parameter for parameter in _header(module)}
    order = [name for name in known if name in values] + [name for name in values if name not in known]
    found, heading = [], ""
    for name in order:
        if name in known and _is_default(name, values, known):
            continue
        group = known[name].group if name in known else ""
        found.append(Override(name, literal(values[name]), group if group != heading else ""))
        heading = group
    return found


def _is_default(name: str, values: dict[str, Value], known: dict[str, Parameter]) -> bool:
    """Whether the module gives a parameter its value by itself; of expressions only a name is understood."""
    default = known[name].default
    while default in known:
        if default in values:
            return literal(values[name]) == literal(values[default])
        default = known[default].default
    value = values[name]
    return literal(value) == default or (not isinstance(value, str) and _number(literal(value)) == _number(default))


def _number(text: str) -> int | None:
    """A literal's number; of what is none, None."""
    found = _NUMBER.fullmatch(text)
    if not found or (found[2] is None and not found[3].isdecimal()):
        return None
    return int(found[1] + found[3].replace("_", ""), _BASE[found[2]])
