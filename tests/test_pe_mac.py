"""The DSP48E2 of pe_mac.v equals its behavioural form for the model sim/DSP48E2.v: proven at small widths, sampled at
large ones."""

import json

import bench_pe_mac
import pytest

from hwgen.lint import lint as lint_instances
from hwgen.share import share
from hwgen.simulators import lint, run_cocotb
from tests.proofs import yosys

PE_MAC = share("rtl") / "pe_mac.v"
MODEL = share("sim") / "DSP48E2.v"

# beside both forms the exact sums of each lane, in 48 bits: the behavioural form has W bits of them, the slice's P has
# both lanes in one
BOTH = """
module both #(PARAMETERS) (
    input clk, input enable, input [WEIGHT_W-1:0] weight, input [PRODUCTS*X_W-1:0] x,
    input first, input [IMMEDIATE_W-1:0] immediate
);
    localparam SPLIT = (PRODUCTS == 1) ? 48 : (X_W > 2) ? 26 - X_W : 24;
    wire [PRODUCTS*W-1:0] gold;
    wire [PRODUCTS*W-1:0] gate;
    pe_mac #(.PRODUCTS(PRODUCTS), .X_W(X_W), .X_SIGNED(X_SIGNED), .WEIGHT_W(WEIGHT_W),
        .IMMEDIATE_W(IMMEDIATE_W), .W(W), .BASE(BASE), .XILINX(0)) gold_i(
        .clk(clk), .enable(enable), .weight(weight), .x(x), .first(first), .immediate(immediate),
        .sum(gold));
    pe_mac_gate #(.PRODUCTS(PRODUCTS), .X_W(X_W), .X_SIGNED(X_SIGNED), .WEIGHT_W(WEIGHT_W),
        .IMMEDIATE_W(IMMEDIATE_W), .W(W), .BASE(BASE), .XILINX(1)) gate_i(
        .clk(clk), .enable(enable), .weight(weight), .x(x), .first(first), .immediate(immediate),
        .sum(gate));

    reg [WEIGHT_W-1:0]     weight_q;
    reg [PRODUCTS*X_W-1:0] x_q;
    reg                    first_q;
    reg [IMMEDIATE_W-1:0]  immediate_q;
    reg [95:0]             product_q;
    reg [95:0]             sum_q;
    wire [47:0]            factor = {{48{weight_q[WEIGHT_W-1]}}, weight_q};
    wire [47:0]            constant = {48'd0, immediate_q};
    wire [95:0]            operand;
    wire [PRODUCTS*(X_W+1)-1:0] operands;
    wire [PRODUCTS*W-1:0]       products, sums;
    genvar l;
    generate for (l = 0; l < 2; l = l + 1) begin : lane
        wire [X_W-1:0] mine = x_q[(l % PRODUCTS)*X_W +: X_W];
        assign operand[48*l +: 48] = {{48{X_SIGNED != 0 && mine[X_W-1]}}, mine};
        if (l < PRODUCTS) begin : used
            assign operands[l*(X_W+1) +: X_W+1] = operand[48*l +: 48];
            assign products[l*W +: W] = product_q[48*l +: 48];
            assign sums[l*W +: W] = sum_q[48*l +: 48];
        end
        always @(posedge clk) if (enable) begin
            product_q[48*l +: 48] <= factor * operand[48*l +: 48];
            sum_q[48*l +: 48] <= (first_q ? BASE : sum_q[48*l +: 48]) + product_q[48*l +: 48] + constant;
        end
    end endgenerate
    always @(posedge clk) if (enable) begin
        weight_q <= weight;
        x_q <= x;
        first_q <= first;
        immediate_q <= immediate;
    end

    wire [17:0] port_b = factor;
    wire [26:0] port_ad = operand[47:0] + (PRODUCTS == 2 ? operand[95:48] << SPLIT : 0);
    wire [47:0] port_c = constant + (PRODUCTS == 2 ? constant << SPLIT : 0);
    wire [47:0] product = product_q[47:0] + (PRODUCTS == 2 ? product_q[95:48] << SPLIT : 0);
    wire [47:0] both_sums = sum_q[47:0] + (PRODUCTS == 2 ? (sum_q[95:48] << SPLIT) + (48'd1 << (W - 1)) : 0);
    wire [8:0]  port_opmode = {first_q, !first_q, 7'b0110101};
    wire fits = PRODUCTS == 1 || &sum_q[47:W-1] || !(|sum_q[47:W-1]);
    wire same = gold == sums && (!fits || gate == sums);
endmodule
"""

# a product of two numbers of many bits is beyond the solver
SMALL = [
    {"PRODUCTS": 2, "X_W": 3, "X_SIGNED": 0, "WEIGHT_W": 3, "IMMEDIATE_W": 4, "W": 23, "BASE": -5},
    {"PRODUCTS": 2, "X_W": 4, "X_SIGNED": 1, "WEIGHT_W": 3, "IMMEDIATE_W": 1, "W": 9, "BASE": 7},
    {"PRODUCTS": 1, "X_W": 4, "X_SIGNED": 1, "WEIGHT_W": 3, "IMMEDIATE_W": 48, "W": 48, "BASE": -9},
    {"PRODUCTS": 1, "X_W": 3, "X_SIGNED": 0, "WEIGHT_W": 4, "IMMEDIATE_W": 5, "W": 6, "BASE": 3},
]


def elaborated(folder, config, gate):
    """Commands that read both forms and the sums beside each other; `gate` is the text of the one with the DSP48E2."""
    (folder / "gold.v").write_text(PE_MAC.read_text())
    (folder / "gate.v").write_text(gate.replace("module pe_mac ", "module pe_mac_gate "))
    given = ", ".join(f"parameter signed [63:0] {name} = {value}" for name, value in config.items())
    (folder / "both.v").write_text(BOTH.replace("PARAMETERS", given))
    return [
        f"read_verilog -defer {MODEL} gold.v gate.v both.v",
        "hierarchy -check -top both",
        "proc",
        "flatten",
    ]


def prove(folder, config, gate):
    """Six steps, each from any state that its assumptions allow, registers that power up in any way included.

    1  after a clock with enable all hold the same term and command, and the slice's are legal;
    2  where they do, the products are the same after another;
    3  both is so for ever then: with enable or without;
    4  where all hold a `first` too, a clock with enable makes the sums the same;
    5  sums that are the same stay so;
    6  and while they are, both forms give the sums, of the low lane one that fits.
    """
    gold, gate_ = "gold_i.gen_behavioural", "gate_i.gen_primitive.dsp_i"
    inputs = {
        f"{gold}.weight_q": "weight_q",
        f"{gold}.x_q": "operands",
        f"{gold}.first_q": "first_q",
        f"{gold}.immediate_q": "immediate_q",
        f"{gate_}.b": "port_b",
        f"{gate_}.ad": "port_ad",
        f"{gate_}.c": "port_c",
        f"{gate_}.opmode": "port_opmode",
        f"{gate_}.legal": "1'b1",
    }
    products = {f"{gold}.product_q": "products", f"{gate_}.x": "product"}
    sums = {f"{gold}.sum_q": "sums", "gate_i.gen_primitive.p": "both_sums"}

    def each(option, pairs):
        return " ".join(f"{option} {a} {b}" for a, b in pairs.items())

    step = "sat -verify -seq 2 -prove-skip 1"
    after_one = f"{step} -set-at 1 enable 1"
    held = inputs | products
    return yosys(
        folder,
        *elaborated(folder, config, gate),
        f"{after_one} {each('-prove', inputs)}",
        f"{after_one} {each('-set-at 1', inputs)} {each('-prove', products)}",
        f"{step} {each('-set-at 1', held)} {each('-prove', held)}",
        f"{after_one} {each('-set-at 1', held | {'first_q': '1'})} {each('-prove', sums)}",
        f"{step} {each('-set-at 1', held | sums)} {each('-prove', sums)}",
        f"sat -verify -seq 1 {each('-set', held | sums)} -prove same 1",
    )


@pytest.mark.parametrize("config", SMALL, ids=str)
def test_the_slice_equals_the_behavioural_form(config, tmp_path):
    done = prove(tmp_path, config, PE_MAC.read_text())
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert done.stdout.count("SUCCESS!") == 6


BROKEN = {
    "first forgotten": ("{first, !first, 3'b011", "{1'b0, 1'b1, 3'b011", 0),
    "no immediate": ("!first, 3'b011", "!first, 3'b000", 0),
    "the low lane subtracts the high one": ("5'b00100", "5'b01100", 0),
    "no low lane": ("5'b00100", "5'b00000", 0),
    "nothing against a borrow": (" + (48'd1 << (W - 1)) : ONE_BASE", " : ONE_BASE", 0),
    "the highest bit not inverted": (" ^ ({{(W-1){1'b0}}, 1'b1} << (W - 1))", "", 1),
    "the base of one lane": ("(ONE_BASE << SPLIT) + ONE_BASE +", "ONE_BASE +", 1),
    "the immediate of one lane": (
        "1'b0}}, immediate, {(SPLIT-IMMEDIATE_W)",
        "1'b0}}, {IMMEDIATE_W{1'b0}}, {(SPLIT-IMMEDIATE_W)",
        0,
    ),
    "an unsigned weight": ("{(18-WEIGHT_W){weight[WEIGHT_W-1]}}", "{(18-WEIGHT_W){1'b0}}", 3),
    "an unsigned x": ("{(26-X_W){x_signed[X_W]}}", "{(26-X_W){1'b0}}", 1),
    "the product not registered": (".MREG(1)", ".MREG(0)", 3),
    "D not registered": (".DREG(1)", ".DREG(0)", 3),
    "A not registered": (".AREG(1)", ".AREG(0)", 0),
    "B not registered": (".BREG(1)", ".BREG(0)", 3),
    "C not registered": (".CREG(1)", ".CREG(0)", 3),
    "OPMODE not registered": (".OPMODEREG(1)", ".OPMODEREG(0)", 3),
    "a register more": (".ADREG(0)", ".ADREG(1)", 3),
    "P held by nothing": (".CEP(enable)", ".CEP(1'b1)", 3),
    "the product held by nothing": (".CEM(enable)", ".CEM(1'b1)", 3),
    "subtracted": ("4'b0000", "4'b0011", 3),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_wrong_instance_is_refuted(broken, tmp_path):
    """By a few terms whose sums differ."""
    good, bad, index = BROKEN[broken]
    text = PE_MAC.read_text()
    assert text.count(good) == 1
    refuted = yosys(
        tmp_path,
        *elaborated(tmp_path, SMALL[index], text.replace(good, bad)),
        "sat -falsify -seq 7 -prove-skip 5 -set-init-zero -set-at 1 enable 1 -set-at 3 enable 1 -set-at 3 first 1 "
        "-set-at 4 enable 1 -prove same 1",
    )
    assert refuted.returncode == 0, refuted.stdout[-2000:] + refuted.stderr
    assert "model found: FAIL" in refuted.stdout


@pytest.mark.parametrize("config", bench_pe_mac.CONFIGS, ids=str)
def test_verilator_lint_is_clean_with_the_slice(config):
    lint([PE_MAC, MODEL], "pe_mac", config | {"XILINX": 1})


def test_the_instance_connects_every_input_of_the_slice():
    lint_instances({"rtl/pe_mac.v": PE_MAC.read_text()})


@pytest.mark.sim
@pytest.mark.parametrize("config", bench_pe_mac.CONFIGS, ids=str)
def test_the_bench_passes_with_the_slice(config, tmp_path):
    run_cocotb(
        simulator="icarus",
        sources=[PE_MAC, MODEL],
        toplevel="pe_mac",
        module="bench_pe_mac",
        build_dir=tmp_path,
        parameters=config | {"XILINX": 1},
        environment={"BENCH_CONFIG": json.dumps(config)},
        timeout=300,
    )
