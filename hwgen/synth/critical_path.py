"""The slowest path of a routed design as one line, from the report of nextpnr."""

import re
from itertools import groupby

# yosys names a cell after a signal near it: SIGNAL_CELL_PORT...
_DERIVED = re.compile(
    r"(_(LUT4|PFUMX|L6MUX21|CCU2C|TRELLIS_FF|TRELLIS_DPR16X4|DP16KD|MULT18X18[CD]|ALU54B)(_|$)|_DO([AB]\d|_)|\$).*"
)
_GENERATED = re.compile(r"\bgenblk\d+(\[\d+\])?\.")


def describe(path: list[dict], units: dict[str, str]) -> dict:
    """What a path of the report goes through.

    path -- its steps: type (clk-to-q, logic, routing or setup), delay in ns, from, to, and the net of a routing
    units -- the name of each unit by the instance that the names of its signals begin with; {} in a unit by itself
    Keys: ns, logic_ns (cells, with clock to output and setup), routing_ns; text: the start, the LUTs, multiplexers and
    carry chains between, the signals on the way that the Verilog names, and the end.
    """
    routing = sum(step["delay"] for step in path if step["type"] == "routing")
    total = sum(step["delay"] for step in path)
    first, last = path[0]["from"], path[-1]["to"]
    net = next(step["net"] for step in path if step["type"] == "routing")
    block = first["port"].startswith(("DOA", "DOB"))
    start = _named(first["cell"], units) + f" (block RAM, {path[0]['delay']:.2f} ns)" if block else _named(net, units)
    middle = [part for step in path[1:-1] for part in _parts(step, units)]
    ends = {start, _named(last["cell"], units)}
    told = []
    for part, group in groupby(part for part in middle if part not in ends):
        number = len(list(group))
        told.append(f"{number} {part}" if part in ("LUT", "mux") else part)
    text = " -> ".join([start, *told, _named(last["cell"], units)])
    return {
        "ns": round(total, 2),
        "logic_ns": round(total - routing, 2),
        "routing_ns": round(routing, 2),
        "text": text,
    }


def _parts(step: dict, units: dict[str, str]) -> list[str]:
    """A cell of logic by its kind; a net only if the Verilog names it."""
    if step["type"] == "routing":
        net = step["net"]
        return [] if _DERIVED.search(net) else [_named(net, units)]
    ports = step["from"]["port"], step["to"]["port"]
    if "$CCU2_COMB" in step["to"]["cell"]:
        return ["carry"]
    if ports[1].startswith("OFX"):
        return ["mux"]
    return ["LUT"] if ports[1].startswith("F") else ["multiplier"]


def _named(name: str, units: dict[str, str]) -> str:
    """A signal or cell without what yosys added to its name, its unit by name."""
    name = _GENERATED.sub("", _DERIVED.sub("", name))
    instance, _, rest = name.partition(".")
    return f"{units[instance]}: {rest}" if instance in units else name
