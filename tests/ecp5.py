"""A model of Lattice's DP16KD for simulation, as far as tests need it, and netlists of yosys as Verilog.

The model follows Lattice's own: a port reads where it does not write; with REGMODE OUTREG a register behind the read
has OCE as its only enable; a synchronous RST clears what the port reads whether it is enabled or not, and, by OCE, the
register. Ports are 9 or 18 bits wide, or A writes and B reads 36.
"""

import json
import subprocess
import sys

from hwgen.synth import nextpnr
from hwgen.synth.processes import WORKER

CELLS_V = """
module LUT4 #(parameter [15:0] INIT = 0) (input A, B, C, D, output Z);
    assign Z = INIT[{D, C, B, A}];
endmodule

module TRELLIS_FF #(
    parameter GSR = "", parameter [31:0] CEMUX = "1", parameter CLKMUX = "CLK", parameter LSRMUX = "LSR",
    parameter SRMODE = "LSR_OVER_CE", parameter REGSET = "RESET"
) (input CLK, LSR, CE, DI, output reg Q);
    wire enable = CEMUX == "1" ? 1'b1 : CEMUX == "INV" ? !CE : CE;
    initial Q = REGSET == "SET";
    always @(posedge CLK)
        if (LSR) Q <= REGSET == "SET";
        else if (enable) Q <= DI;
    initial if (CLKMUX != "CLK" || LSRMUX != "LSR") $display("not of this model");
endmodule
"""


def _pins(name, number):
    return [f"{name}{i}" for i in range(number)]


def _vector(pins):
    return f"{{{', '.join(reversed(pins))}}}"


def _port(p):
    """A port by itself; the memory is of bytes of 9 bits."""
    return f"""
    wire [13:0] ad{p} = {_vector(_pins(f"AD{p}", 14))};
    wire [10:0] first{p} = DATA_WIDTH_{p} == 36 ? {{ad{p}[13:5], 2'd0}}
        : DATA_WIDTH_{p} == 18 ? {{ad{p}[13:4], 1'd0}} : ad{p}[13:3];
    wire [3:0] write{p} = DATA_WIDTH_{p} == 36 ? ad{p}[3:0] : DATA_WIDTH_{p} == 18 ? ad{p}[1:0] : 4'd1;
    reg [35:0] latch{p} = 0, register{p} = 0;
    always @(posedge CLK{p}) begin
        for (i = 0; i < 4; i = i + 1) begin
            if (CE{p} && WE{p} && !RST{p} && write{p}[i]) memory[first{p} + i] <= di{p}[9*i +: 9];
            if (CE{p} && !WE{p} && 9 * i < DATA_WIDTH_{p}) latch{p}[9*i +: 9] <= memory[first{p} + i];
        end
        if (RST{p}) latch{p} <= 0;
        if (OCE{p}MUX == "INV" ? !OCE{p} : OCE{p}) register{p} <= RST{p} ? 36'd0 : latch{p};
    end
    wire [35:0] do{p} = REGMODE_{p} == "OUTREG" ? register{p} : latch{p};
"""


def dp16kd() -> str:
    """Verilog of the model."""
    inputs = [pin for p in "AB" for pin in (*_pins(f"AD{p}", 14), *_pins(f"DI{p}", 18), *_pins(f"CS{p}", 3))]
    inputs += [f"{name}{p}" for p in "AB" for name in ("CLK", "CE", "OCE", "WE", "RST")]
    outputs = [pin for p in "AB" for pin in _pins(f"DO{p}", 18)]
    numbers = {f"DATA_WIDTH_{p}": 18 for p in "AB"} | {f"INITVAL_{i:02X}": "320'd0" for i in range(64)}
    texts = [f"{name}_{p}" for name in ("REGMODE", "WRITEMODE", "CSDECODE") for p in "AB"]
    texts += ["OCEAMUX", "OCEBMUX", "RESETMODE", "ASYNC_RESET_RELEASE", "CLKAMUX", "CLKBMUX", "GSR", "INIT_DATA", "WID"]
    parameters = [f"parameter {name} = {value}" for name, value in numbers.items()]
    parameters += [f'parameter {name} = "NOREG"' for name in texts]
    return f"""
module DP16KD #({", ".join(parameters)}) (input {", ".join(inputs)}, output {", ".join(outputs)});
    reg [8:0] memory [0:2047];
    integer i;
    initial for (i = 0; i < 2048; i = i + 1) memory[i] = 0;
    wire [35:0] diA = {{{_vector(_pins("DIB", 18))}, {_vector(_pins("DIA", 18))}}};
    wire [35:0] diB = {{18'd0, {_vector(_pins("DIB", 18))}}};
    {_port("A")}
    {_port("B")}
    assign {_vector(_pins("DOB", 18))} = DATA_WIDTH_B == 36 ? doB[35:18] : doB[17:0];
    assign {_vector(_pins("DOA", 18))} = DATA_WIDTH_B == 36 ? doB[17:0] : doA[17:0];
endmodule
"""


def yosys(folder, *commands):
    """Runs commands of yosys in a folder."""
    (folder / "script.ys").write_text("\n".join(commands) + "\n")
    subprocess.run([sys.executable, "-c", WORKER, "script.ys"], cwd=folder, check=True, capture_output=True)


def mapped(folder, verilog, top):
    """The netlist of a module as hwgen synth --tool nextpnr has it mapped."""
    (folder / "design.v").write_text(verilog)
    yosys(folder, "read_verilog design.v", f"hierarchy -top {top}", nextpnr.MAPPING, "write_json mapped.json")
    return json.loads((folder / "mapped.json").read_text())


def simulate(folder, bench, **netlists):
    """What a bench prints that instantiates netlists, each a module of its own name."""
    for name, (netlist, top) in netlists.items():
        (folder / f"{name}.json").write_text(json.dumps(netlist))
        yosys(folder, f"read_json {name}.json", f"rename {top} {name}", f"write_verilog -noattr {name}.v")
    (folder / "bench.v").write_text(dp16kd() + CELLS_V + bench)
    sources = ["bench.v", *(f"{name}.v" for name in netlists)]
    subprocess.run(["iverilog", "-g2005", "-s", "bench", "-o", "bench", *sources], cwd=folder, check=True)
    return subprocess.run(["vvp", "-n", "bench"], cwd=folder, check=True, capture_output=True, text=True).stdout
