"""Registers behind block RAMs of an ECP5 are moved into them, and the netlist does what it did."""

import copy
import json
import subprocess
import sys
from collections import Counter

import pytest
from ecp5 import mapped, simulate

from hwgen.synth import ecp5_registers, nextpnr

MEMORY_V = """
module memory (
    input wire clk, input wire write, input wire read, input wire take, input wire clear,
    input wire [8:0] write_address, input wire [8:0] read_address, input wire [{last}:0] x, output wire [{last}:0] y
);
    (* ram_style = "block" *) (* no_rw_check *) reg [{last}:0] words [0:511];
    reg [{last}:0] word, word_q = 0, y_q;
    always @(posedge clk) begin
        if (write) words[write_address] <= x;
        if (read) word <= words[read_address];
        {register}
        y_q <= word_q;
    end
    assign y = y_q;
endmodule
"""
REGISTERS = {
    "by its own enable": "if (take) word_q <= word;",
    "by a low enable": "if (!take) word_q <= word;",
    "always": "word_q <= word;",
    "cleared": "if (clear) word_q <= 0; else if (take) word_q <= word;",
    "set": "if (clear) word_q <= ~0; else if (take) word_q <= word;",
    "read twice": "if (take) word_q <= word ^ {word[0], word[1]};",
    "two enables": "if (take) word_q[3:0] <= word[3:0]; if (read) word_q[8:4] <= word[8:4];",
}
BENCH_V = """
module bench;
    reg clk = 0, write = 0, read = 0, take = 0, clear = 0;
    reg [8:0] write_address = 0, read_address = 1;
    reg [{last}:0] x = 0;
    wire [{last}:0] y_before, y_after;
    before u_before (clk, write, read, take, clear, write_address, read_address, x, y_before);
    after u_after (clk, write, read, take, clear, write_address, read_address, x, y_after);
    integer i, different = 0, ones = 0;
    initial begin
        for (i = 0; i < 4000; i = i + 1) begin
            #5 clk = 1;
            #5 clk = 0;
            different = different + (y_before !== y_after);
            ones = ones + (^y_before === 1'b1);
            {{write, read, take, clear}} = $random;
            write_address = $random & 7;
            read_address = (write_address + 1 + ($random & 3)) & 7;
            x = {{$random, $random}};
        end
        $display("%0d different, ones in %0d", different, ones);
    end
endmodule
"""


def memory(folder, width, register):
    """The netlist of a memory with a register behind, and its top."""
    netlist = mapped(folder, MEMORY_V.format(last=width - 1, register=REGISTERS[register]), "memory")
    return netlist, netlist["modules"]["memory"]


def cells(module):
    return Counter(cell["type"] for cell in module["cells"].values())


def compared(folder, before, after, width):
    said = simulate(folder, BENCH_V.format(last=width - 1), before=(before, "memory"), after=(after, "memory"))
    different, ones = (int(word) for word in said.split() if word.isdigit())
    assert ones > 500
    return different


@pytest.mark.sim
@pytest.mark.parametrize(("width", "register"), [(36, "by its own enable"), (18, "by a low enable"), (9, "always")])
def test_a_register_in_the_block_ram_is_the_register_behind_it(tmp_path, width, register):
    before, top = memory(tmp_path, width, register)
    after = copy.deepcopy(before)
    moved = after["modules"]["memory"]
    assert ecp5_registers.absorb(moved) == width
    assert cells(top) - cells(moved) == Counter({"TRELLIS_FF": width})
    (ram,) = (cell for cell in moved["cells"].values() if cell["type"] == "DP16KD")
    assert ram["parameters"]["OCEBMUX"] == ("INV" if "low" in register else "OCEB")
    assert compared(tmp_path, before, after, width) == 0
    # and it is timed as one
    (tmp_path / "after.json").write_text(json.dumps(after))
    options = f"{nextpnr._options(250, 'own')} --json after.json --report report.json --quiet"
    subprocess.run([sys.executable, "-c", nextpnr._WORKER, options], cwd=tmp_path, check=True, capture_output=True)
    paths = json.loads((tmp_path / "report.json").read_text())["critical_paths"]
    outputs = [path["path"][0] for path in paths if path["path"][0]["from"]["port"].startswith("DO")]
    assert outputs and all(step["type"] == "clk-to-q" and step["delay"] < 1 for step in outputs)


@pytest.mark.parametrize("register", ["cleared", "set", "read twice", "two enables"])
def test_a_register_that_a_block_ram_has_not_stays(tmp_path, register):
    _, top = memory(tmp_path, 9, register)
    before = copy.deepcopy(top)
    assert ecp5_registers.absorb(top) == 0
    assert top == before and cells(top)["DP16KD"] == 1


@pytest.mark.sim
def test_a_reset_in_the_block_ram_would_lose_a_word(tmp_path, monkeypatch):
    """Why a register with a reset stays: what would come of it otherwise."""
    before, top = memory(tmp_path, 9, "cleared")
    resets = {cell["connections"]["LSR"][0] for cell in top["cells"].values() if cell["type"] == "TRELLIS_FF"}
    (reset,) = resets - {"0"}
    after = copy.deepcopy(before)
    moved = after["modules"]["memory"]
    monkeypatch.setattr(ecp5_registers, "_fits", lambda *_: True)
    assert ecp5_registers.absorb(moved) == 9
    (ram,) = (cell for cell in moved["cells"].values() if cell["type"] == "DP16KD")
    ram["connections"]["RSTB"] = [reset]
    ram["parameters"]["RESETMODE"] = "SYNC"
    assert compared(tmp_path, before, after, 9) > 100
