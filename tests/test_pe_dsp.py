"""The DSP48E2 of pe_dsp.v equals its behavioural form for the model sim/DSP48E2.v: proven, not sampled."""

import json
import re
from pathlib import Path

import bench_DSP48E2
import bench_pe_dsp
import pytest

from hwgen.errors import ToolFailed
from hwgen.lint import lint as lint_instances
from hwgen.share import share
from hwgen.simulators import lint, run_cocotb
from tests.proofs import yosys

PE_DSP = share("rtl") / "pe_dsp.v"
MODEL = share("sim") / "DSP48E2.v"

# beside both forms the command that their registers hold, and what the ports of the slice are then
BOTH = """
module both #(parameter W = 24) (
    input clk, input enable, input first, input shift, input negate, input use_immediate, input [W-1:0] immediate,
    input [2*W-1:0] x, output [2*W-1:0] sum, output [2*W-1:0] sum_gate);
    pe_dsp #(.W(W), .XILINX(0)) gold(
        .clk(clk), .enable(enable), .first(first), .shift(shift), .negate(negate), .use_immediate(use_immediate),
        .immediate(immediate), .x(x), .sum(sum));
    pe_dsp_gate #(.W(W), .XILINX(1)) gate(
        .clk(clk), .enable(enable), .first(first), .shift(shift), .negate(negate), .use_immediate(use_immediate),
        .immediate(immediate), .x(x), .sum(sum_gate));

    reg [2*W-1:0] x_q;
    reg [W-1:0]   constant_q;
    reg           keep_q, double_q, negate_q, use_q;
    always @(posedge clk) if (enable) begin
        x_q <= x;
        constant_q <= immediate;
        keep_q <= !first;
        double_q <= !first && shift;
        negate_q <= negate && !use_immediate;
        use_q <= use_immediate;
    end
    // nothing doubles what it does not keep, nor subtracts an immediate
    wire reached = (keep_q || !double_q) && !(negate_q && use_q);
    wire [8:0] port_opmode = {1'b0, keep_q, use_q ? {1'b0, double_q, 1'b0} : 3'b011, 2'b00, double_q || use_q, use_q};
    wire [3:0] port_alumode = {3'b000, negate_q};
    wire [23:0] constant = constant_q;
    wire [47:0] port_ab = {constant, constant};
endmodule
"""


def elaborated(folder, w, gate):
    """Commands that read both forms beside each other, `gate` being the text of the one with the DSP48E2."""
    (folder / "gold.v").write_text(PE_DSP.read_text())
    (folder / "gate.v").write_text(gate.replace("module pe_dsp ", "module pe_dsp_gate "))
    (folder / "both.v").write_text(BOTH)
    return [
        f"read_verilog -defer {MODEL} gold.v gate.v both.v",
        f"hierarchy -check -top both -chparam W {w}",
        "proc",
        "flatten",
    ]


def prove(folder, w, gate):
    """Four steps, each from any state that its assumptions allow, registers that power up in any way included.

    1  after a clock with enable both hold the same term and command, and the slice's are legal;
    2  they do for ever then: with enable or without;
    3  where both hold a `first`, a clock with enable makes the sums equal;
    4  sums that are equal stay equal.
    """
    gold, gate_ = "gold.gen_behavioural", "gate.gen_primitive.dsp_i"
    command = {
        f"{gold}.x_q": "x_q",
        f"{gold}.constant_q": "constant_q",
        f"{gold}.keep_q": "keep_q",
        f"{gold}.double_q": "double_q",
        f"{gold}.negate_q": "negate_q",
        f"{gold}.immediate_q": "use_q",
        f"{gate_}.c_q[{w - 1}:0]": f"x_q[{w - 1}:0]",
        f"{gate_}.c_q[{w + 23}:24]": f"x_q[{2 * w - 1}:{w}]",
        f"{gate_}.a_q": "port_ab[47:18]",
        f"{gate_}.b_q": "port_ab[17:0]",
        f"{gate_}.opmode_q": "port_opmode",
        f"{gate_}.alumode_q": "port_alumode",
        f"{gate_}.legal": "1'b1",
        "reached": "1'b1",
    }
    sums = {"sum": "sum_gate"}
    nothing = {"keep_q": "1'b0", "double_q": "1'b0"}

    def each(option, pairs):
        return " ".join(f"{option} {a} {b}" for a, b in pairs.items())

    same = each("-prove", command)
    after_one = "sat -verify -seq 2 -prove-skip 1 -set-at 1 enable 1"
    for_ever = "sat -verify -tempinduct -tempinduct-inductonly -seq 1 -maxsteps 3"
    return yosys(
        folder,
        *elaborated(folder, w, gate),
        f"{after_one} {same}",
        f"{for_ever} {same}",
        f"{after_one} {each('-set-at 1', nothing | command)} {each('-prove', sums)}",
        f"{for_ever} {same} {each('-prove', sums)}",
    )


@pytest.mark.parametrize("w", [1, 2, 9, 23, 24])
def test_the_slice_equals_the_behavioural_form(w, tmp_path):
    done = prove(tmp_path, w, PE_DSP.read_text())
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert done.stdout.count("SUCCESS!") == 4


BROKEN = {
    "one lane of 48 bits": ('"TWO24"', '"ONE48"'),
    "first forgotten": ("{1'b0, keep, z", "{1'b0, 1'b1, z"),
    "never doubled": ("double || use_immediate, use", "use_immediate, use"),
    "C as W": ("{1'b0, keep, z,", "{1'b1, keep, z,"),
    "Z from P": (": 3'b011", ": 3'b010"),
    "an immediate not doubled": ("? {1'b0, double, 1'b0}", "? {1'b0, 1'b0, 1'b0}"),
    "an immediate and x": ("z = use_immediate ?", "z = 1'b0 ?"),
    "an immediate subtracted": ("negate && !use_immediate};", "negate};"),
    "an immediate of one lane": ("assign ab[24*l +: W] = immediate;", "assign ab[24*l +: W] = l ? 0 : immediate;"),
    "A not registered": (".AREG(1)", ".AREG(0)"),
    "not of the sum instead of not of x": ("{3'b000, negate &&", "{2'b00, 1'b1, negate &&"),
    "P held by nothing": (".CEP(enable)", ".CEP(1'b1)"),
    "C not registered": (".CREG(1)", ".CREG(0)"),
    "ALUMODE not registered": (".ALUMODEREG(1)", ".ALUMODEREG(0)"),
    "a carry always": (".CARRYIN(1'b0)", ".CARRYIN(1'b1)"),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_wrong_instance_is_refuted(broken, tmp_path):
    good, bad = BROKEN[broken]
    text = PE_DSP.read_text()
    assert text.count(good) == 1
    done = prove(tmp_path, 9, text.replace(good, bad))
    said = done.stdout + done.stderr
    assert done.returncode != 0 and ("proof did fail" in said or "Failed to parse" in said)  # or a register is gone
    # and not for want of a stronger invariant: terms of a few clocks give other sums
    refuted = yosys(
        tmp_path,
        *elaborated(tmp_path, 9, text.replace(good, bad)),
        "sat -falsify -seq 4 -prove-skip 3 -set-init-zero -set-at 1 first 1 -set-at 1 enable 1 -set-at 2 enable 1 "
        "-prove sum sum_gate",
    )
    assert refuted.returncode == 0, refuted.stdout[-2000:] + refuted.stderr
    assert "model found: FAIL" in refuted.stdout


def test_the_slice_gets_nine_operations_and_no_other(tmp_path):
    """All inputs, all that they make of OPMODE (W, Z, Y, X) and ALUMODE; each is legal in UG579's tables without M."""
    done = yosys(
        tmp_path,
        "read_verilog -lib +/xilinx/cells_xtra.v",
        f"read_verilog -defer {PE_DSP}",
        "hierarchy -check -top pe_dsp -chparam XILINX 1",
        "proc",
        "eval -table first,shift,negate,use_immediate -show gen_primitive.opmode -show gen_primitive.alumode",
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    rows = re.findall(r"1'([01])\s+1'([01])\s+1'([01])\s+1'([01])\s*\|\s*9'([01]{9})\s+4'([01]{4})", done.stdout)
    assert {row[:4] for row in rows} == {tuple(f"{i:04b}") for i in range(16)}
    of_x = "00_011_00_00", "01_011_00_00", "01_011_00_10"
    of_immediate = "00_000_00_11", "01_000_00_11", "01_010_00_11"
    for first, shift, negate, use, opmode, alumode in rows:
        clear, once, twice = of_immediate if use == "1" else of_x
        expected = clear if first == "1" else twice if shift == "1" else once
        assert (opmode, alumode) == (expected.replace("_", ""), "000" + ("0" if use == "1" else negate))


@pytest.mark.parametrize("config", bench_pe_dsp.CONFIGS, ids=str)
def test_verilator_lint_is_clean_with_the_slice(config):
    lint([PE_DSP, MODEL], "pe_dsp", config | {"XILINX": 1})


def test_the_instance_connects_every_input_of_the_slice():
    text = PE_DSP.read_text()
    lint_instances({"rtl/pe_dsp.v": text})
    assert text.count(".RSTM(1'b0),") == 1
    with pytest.raises(ToolFailed, match="RSTM does not fit"):
        lint_instances({"rtl/pe_dsp.v": text.replace(".RSTM(1'b0),", "")})


def bench(folder, simulator, top, module, sources, config):
    run_cocotb(
        simulator=simulator,
        sources=sources,
        toplevel=top,
        module=module.__name__,
        build_dir=folder,
        parameters=config,
        environment={"BENCH_CONFIG": json.dumps(config)},
        timeout=300,
    )


@pytest.mark.sim
@pytest.mark.parametrize("config", bench_pe_dsp.CONFIGS, ids=str)
def test_the_bench_passes_with_the_slice(config, tmp_path):
    bench(tmp_path, "icarus", "pe_dsp", bench_pe_dsp, [PE_DSP, MODEL], config | {"XILINX": 1})


@pytest.mark.sim
@pytest.mark.parametrize("config", bench_DSP48E2.CONFIGS, ids=str)
def test_the_model_adds_as_the_tables_say(config, tmp_path):
    bench(tmp_path, "icarus", "DSP48E2", bench_DSP48E2, [MODEL], config)


MODEL_BROKEN = {
    "a carry between the lanes": ('(USE_SIMD == "TWO24") ? 24 : 48', "48", 0),
    "W and X exchanged": ("2'b01: w = p_q", "2'b10: w = p_q", 0),
    "Z not inverted": ("z ^ {48{alumode[0]}}", "z", 0),
    "an illegal mode taken": ("alumode[3:2] == 2'b00 && ", "", 1),
    "an unsigned factor": ("{{27{b[17]}}, b}", "{27'd0, b}", 2),
    "an unsigned product": ("x = {{3{m[44]}}, m}", "x = {3'd0, m}", 2),
    "D and A exchanged": ("from_d - from_a", "from_a - from_d", 2),
    "A not gated": ("inmode[1] ? 27'd0 : a[26:0]", "a[26:0]", 2),
    "no register behind the pre-adder": ("(ADREG != 0) ? ad_q : ad_d", "ad_d", 3),
    "no register behind the product": ("(MREG != 0) ? m_q : m_d", "m_d", 4),
    "an enable of another": ("else if (CED) d_q", "else if (CEAD) d_q", 4),
}


@pytest.mark.sim
@pytest.mark.parametrize("broken", MODEL_BROKEN)
def test_the_bench_of_the_model_fails_on(broken, tmp_path):
    good, bad, index = MODEL_BROKEN[broken]
    assert MODEL.read_text().count(good) == 1
    wrong = Path(tmp_path / "DSP48E2.v")
    wrong.write_text(MODEL.read_text().replace(good, bad))
    with pytest.raises(ToolFailed, match="tests failed"):
        bench(tmp_path, "icarus", "DSP48E2", bench_DSP48E2, [wrong], bench_DSP48E2.CONFIGS[index])
