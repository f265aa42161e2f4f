"""benchmarks.depth on a netlist whose paths are known."""

from benchmarks.depth import Longest, Netlist, columns

LUTS = {f"LUT{n}": [f"I{i}" for i in range(n)] for n in range(1, 7)}
WAYS = {
    "FDRE": ("C D CE R", "Q"),
    "CARRY4": ("CI CYINIT DI S", "O CO"),
    "MUXF7": ("I0 I1 S", "O"),
    "RAMB18E2": ("CLKARDCLK ADDRARDADDR ENARDEN", "DOUTADOUT"),
    "RAM64M8": ("WCLK WE ADDRA ADDRH DIA", "DOA"),
    "SRL16E": ("CLK CE D A0", "Q"),
    "LUT6_2": ("I0 I1 I2 I3 I4 I5", "O5 O6"),
} | {lut: (" ".join(inputs), "O") for lut, inputs in LUTS.items()}


class Builder:
    """A module in the JSON of yosys; a bit is known by its name."""

    def __init__(self):
        self.bits, self.cells, self.ports = {"0": "0"}, {}, {}

    def bit(self, name):
        return self.bits.setdefault(name, len(self.bits) + 1)

    def cell(self, kind, init=None, **ports):
        """Of a port the names of its bits, with blanks between."""
        inputs, outputs = (text.split() for text in WAYS[kind])
        self.cells[f"$cell${len(self.cells)}"] = {
            "hide_name": 1,
            "type": kind,
            "parameters": {} if init is None else {"INIT": f"{init:064b}"},
            "port_directions": dict.fromkeys(inputs, "input") | dict.fromkeys(outputs, "output"),
            "connections": {port: [self.bit(name) for name in names.split()] for port, names in ports.items()},
        }

    def port(self, name, direction):
        self.ports[name] = {"direction": direction, "bits": [self.bit(name)]}

    def module(self):
        names = {name: {"bits": [bit]} for name, bit in self.bits.items() if name != "0"}
        return {"cells": self.cells, "ports": self.ports, "netnames": names}


def found(builder):
    paths = columns(Netlist.of(builder.module()))
    return {key: str(path) if path else None for key, path in paths.items()}, paths


def adder():
    """a_q -> LUT2 -> CARRY4 -> CARRY4 -> LUT3 -> MUXF7 -> b_q, a clock enable behind a LUT, a reset from a register."""
    net = Builder()
    net.cell("FDRE", C="clk", D="b_d", CE="go", R="b_q", Q="a_q")
    net.cell("LUT2", I0="a_q", I1="b_q", O="s0")
    net.cell("CARRY4", CI="0", CYINIT="0", DI="a_q 0 0 0", S="s0 0 0 0", O="o0 o1 o2 o3", CO="c0 c1 c2 c3")
    net.cell("CARRY4", CI="c3", CYINIT="0", DI="0 0 0 0", S="0 0 0 0", O="o4 o5 o6 o7", CO="c4 c5 c6 c7")
    net.cell("LUT3", I0="o5", I1="a_q", I2="b_q", O="t")
    net.cell("MUXF7", I0="t", I1="b_q", S="a_q", O="b_d")
    net.cell("LUT1", I0="a_q", O="go")
    net.cell("FDRE", C="clk", D="b_d", CE="go", R="0", Q="b_q")
    return net


def test_a_chain_of_any_length_is_one_and_a_multiplexer_a_lut():
    depths, paths = found(adder())
    wanted = {"data": "3+1", "enable": "1", "reset": "0", "address": None, "behind BRAM": None, "most LUTs": "3+1"}
    assert depths | wanted == depths
    assert paths["longest"] in (
        Longest(3, 1, f"{start} -> LUT2(s0) -> CARRY4(o5) -> LUT3(t) -> MUXF7(b_d) -> {end} (FDRE.D)")
        for start in ("a_q", "b_q")
        for end in ("a_q", "b_q")
    )


def test_a_chain_that_ends_in_logic_and_begins_again_is_two():
    net = adder()
    net.cell("CARRY4", CI="0", CYINIT="0", DI="0 0 0 0", S="b_d 0 0 0", O="p0 p1 p2 p3", CO="d0 d1 d2 d3")
    net.cell("FDRE", C="clk", D="p0", CE="0", R="0", Q="p_q")
    # of a sum no bit depends on those above it
    net.cell("CARRY4", CI="0", CYINIT="0", DI="0 0 0 0", S="a_q p0 0 0", O="r0 r1 r2 r3", CO="e0 e1 e2 e3")
    net.cell("FDRE", C="clk", D="r0", CE="0", R="0", Q="r_q")
    depths, _ = found(net)
    assert depths["longest"] == "3+2" and depths["most chains"] == "3+2"


def test_memories_begin_and_end_paths_and_a_lut_ram_is_read_through():
    net = Builder()
    net.cell("FDRE", C="clk", D="word", CE="0", R="0", Q="a")
    net.cell("LUT1", I0="a", O="b")
    net.cell("RAMB18E2", CLKARDCLK="clk", ADDRARDADDR="b", ENARDEN="a", DOUTADOUT="word")
    net.cell("LUT2", I0="word", I1="a", O="c")
    net.cell("RAM64M8", WCLK="clk", WE="a", ADDRA="c", ADDRH="d", DIA="a", DOA="e")
    net.cell("LUT6", I0="e", I1="a", I2="a", I3="a", I4="a", I5="a", O="f")
    net.cell("FDRE", C="clk", D="f", CE="0", R="0", Q="d")
    net.cell("SRL16E", CLK="clk", CE="0", D="f", A0="0", Q="late")
    net.cell("LUT1", I0="late", O="later")
    net.cell("FDRE", C="clk", D="later", CE="0", R="0", Q="g")
    depths, paths = found(net)
    wanted = {"data": "3", "address": "1", "enable": "0", "behind BRAM": "3", "longest": "3"}
    assert depths | wanted == depths
    assert paths["behind BRAM"].text.startswith("word (block RAM) -> LUT2(c) -> RAM64M8(e) -> LUT6(f) -> ")


def test_paths_from_and_to_ports_are_no_paths_between_registers():
    net = Builder()
    net.port("ready_in", "input")
    net.port("ready_out", "output")
    net.cell("LUT2", I0="ready_in", I1="full", O="x")
    net.cell("LUT1", I0="x", O="ready_out")
    net.cell("FDRE", C="clk", D="x", CE="ready_out", R="0", Q="full")
    depths, _ = found(net)
    wanted = {"data": "1", "enable": "2", "in": "2", "out": "2", "through": "2"}
    assert depths | wanted == depths


def test_an_output_of_a_lut_with_two_depends_on_what_its_table_says():
    """Columns of a row of adders: each sends the majority of three bits to the next, whose parity it is part of."""
    net, row = Builder(), 0x69966996_E8E8E8E8
    net.cell("FDRE", C="clk", D="p2", CE="0", R="0", Q="a")
    for i in range(3):
        sent = f"m{i - 1}" if i else "0"
        net.cell("LUT6_2", init=row, I0="a", I1="a", I2="a", I3=sent, I4="0", I5="0", O5=f"m{i}", O6=f"p{i}")
    assert found(net)[0]["data"] == "2"
