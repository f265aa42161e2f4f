"""Builds with --protect: the same integers, codes that repair, registers that tell, copies that synthesis keeps."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks import counting
from hwgen import BuildConfig, build, load_words, simulate
from hwgen.codes import check_bits, coded, hsiao
from hwgen.errors import BadInput, ToolFailed, UnsupportedLayer
from hwgen.flow import read_design
from hwgen.lanes.unit import TermLanes
from hwgen.manifest import read_manifest
from hwgen.nn import ActQuant
from hwgen.protect import Protection
from hwgen.rom import LUT_WORDS, Rom
from hwgen.scrub import FAULTS, LOAD_CHECK, REPAIRS, STATUS, Scrubber
from hwgen.simulators import SIMULATORS, lint, run_cocotb
from hwgen.weights import LOAD_LAYER
from tests.test_examples_rtl import axi_words

EXAMPLE = (torch.zeros(1, 2, 6, 6),)


def network() -> nn.Sequential:
    """A convolution, a pool and a Linear layer."""
    torch.manual_seed(3)
    net = nn.Sequential(
        ActQuant(3, -1),
        nn.Conv2d(2, 5, 3, padding=1),
        nn.ReLU(),
        ActQuant(4, -1),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(45, 4),
    )
    for layer in (net[1], net[6]):
        layer.weight.data = torch.randint(-1, 2, layer.weight.shape) * 2.0 ** torch.randint(-2, 1, layer.weight.shape)
        layer.bias.data = torch.randint(-8, 8, layer.bias.shape) / 8
    return net.eval()


def frames(count: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(count, 2, 6, 6, generator=torch.Generator().manual_seed(seed)) * 4


@pytest.mark.parametrize("width", [*range(1, 30), 57, 58, 120])
def test_a_code_has_columns_of_odd_weight_and_no_two_alike(width):
    code = hsiao(width)
    columns = [tuple(column) for column in code.T]
    assert code.shape == (check_bits(width), width)
    assert len({*columns}) == width and all(sum(column) % 2 and sum(column) > 2 for column in columns)
    assert code.sum(axis=1).max() - code.sum(axis=1).min() <= 2, "rows nearly even as can be"


def test_words_are_coded_as_the_memory_holds_them():
    rom = Rom(np.array([[1, 0, 0, 1, 1], [0, 0, 0, 0, 0]], np.uint8))
    assert coded(Protection.of("parity"), rom).bits.tolist() == [[1, 1, 0, 0, 1, 1], [0] * 6]
    words = coded(Protection.of("ecc"), rom)
    checks = hsiao(5)[:, [0, 1, 4]].sum(axis=1) % 2  # bits 0, 1 and 4 of the first word
    assert words.bits[0].tolist() == [*checks[::-1], 1, 0, 0, 1, 1] and not words.bits[1].any()
    assert coded(Protection(), rom).bits.tolist() == rom.bits.tolist()


@pytest.mark.sim
@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("protect", ["parity", "ecc,tmr-control"])
def test_a_protected_build_gives_the_same_integers(protect, simulator, tmp_path):
    net = network()
    build(net, EXAMPLE, out=tmp_path / "net", config=BuildConfig(protect=protect))
    x = frames(3)
    y, _ = simulate(tmp_path / "net", x.numpy(), simulator=simulator, stall=0.3)
    with torch.no_grad():
        assert np.array_equal(y, net.double()(x.double()).numpy())


def test_all_modules_of_a_protected_build_are_clean(tmp_path):
    build(network(), EXAMPLE, out=tmp_path / "net", config=BuildConfig(protect="ecc,tmr-control", loadable="*"))
    manifest = read_manifest(tmp_path / "net")
    assert manifest["protected"] == [unit["name"] for unit in manifest["units"] if unit["module"] == "term_lanes"]
    lint([tmp_path / "net" / path for path in manifest["sources"]], manifest["top"])


def test_a_build_is_read_with_its_protection(tmp_path):
    build(network(), EXAMPLE, out=tmp_path / "net", config=BuildConfig(protect="parity,tmr-control"))
    design = read_design(tmp_path / "net")
    assert design.protect == Protection(parity=True, tmr=True)
    assert [unit.name for unit in design.watched] == read_manifest(tmp_path / "net")["protected"]


def memory_of(unit: TermLanes) -> str:
    """The path of its list's memory in the top."""
    block = "gen_lut" if unit.depth <= LUT_WORDS else "gen_block"
    if unit.memory.written:
        block = "gen_lutram" if unit.depth <= LUT_WORDS else "gen_block_ram"
    return f"u_core.{unit.instance}.u_term_sequencer.u_term_rom.{block}.memory"


@pytest.mark.sim
@pytest.mark.parametrize("protect", ["parity", "ecc,tmr-control"])
def test_flips_in_lists_are_told_or_put_right(protect, tmp_path):
    folder, net = tmp_path / "net", network()
    repairs = "ecc" in protect
    build(net, EXAMPLE, out=folder, config=BuildConfig(protect=protect, loadable="*" if repairs else None))
    design, manifest, x = read_design(folder), read_manifest(folder), frames(2)
    y = torch.ldexp(net.double()(x.double()).detach(), torch.tensor(-design.outputs[0].type.exponent))
    units = [unit for unit in design.watched if isinstance(unit, TermLanes) and (unit.loadable or not repairs)]
    lists = [
        [unit.name, manifest["protected"].index(unit.name), memory_of(unit), unit.rom.depth, unit.rows_of_rom.width]
        for unit in units
    ]
    np.savez(
        tmp_path / "data.npz",
        inputs_0=axi_words(design.inputs[0], design.graph.inputs[0].quantize(x)),
        outputs_0=axi_words(design.outputs[0], y.long().reshape(2, 4, 1, 1)),
        writes=load_words(folder).writes if repairs else np.zeros((0, 2), np.uint32),
    )
    run_cocotb(
        simulator="icarus",
        sources=[folder / path for path in manifest["sources"]],
        toplevel=manifest["top"],
        module="bench_protect",
        build_dir=tmp_path / "sim",
        environment={
            "PROTECT_DATA": str(tmp_path / "data.npz"),
            "PROTECT": protect,
            "PROTECT_LISTS": json.dumps(lists),
        },
        cwd=folder,
        timeout=600,
    )


class Registers:
    """Of a top, as a host sees them."""

    def __init__(self, checks: list[int]):
        self.values: dict[int, int] = {STATUS: 0, FAULTS: 0, REPAIRS: 0}
        self.writes, self.checks = list[tuple[int, int]](), checks

    def read(self, offset: int) -> int:
        if offset == LOAD_CHECK:
            return self.checks[next(value for at, value in reversed(self.writes) if at == LOAD_LAYER)]
        return self.values[offset]

    def write(self, offset: int, value: int) -> None:
        self.writes.append((offset, value))
        if offset in (FAULTS, REPAIRS):
            self.values[offset] &= ~value


def test_a_scrubber_writes_what_was_told_of_and_all_at_its_time(tmp_path):
    build(network(), EXAMPLE, out=tmp_path / "net", config=BuildConfig(protect="ecc", loadable="*"))
    weights, protected = load_words(tmp_path / "net"), read_manifest(tmp_path / "net")["protected"]
    host, now = Registers([layer.check for layer in weights.layers]), [0.0]
    scrubber = Scrubber(tmp_path / "net", host.read, host.write, 60, clock=lambda: now[0])
    names = [layer.name for layer in weights.layers]
    assert scrubber.step() == [] and not host.writes
    for register in (REPAIRS, FAULTS):
        host.writes.clear()
        host.values[register] = 1 << protected.index(names[1])
        assert scrubber.step() == [names[1]]
        assert host.values == dict.fromkeys((STATUS, FAULTS, REPAIRS), 0)
        assert host.writes[0] == (LOAD_LAYER, 1) and sum(at == LOAD_LAYER for at, _ in host.writes) == 1
    now[0], host.values[STATUS] = 61.0, 1
    assert scrubber.step() == [], "a run is on"
    host.values[STATUS] = 0
    host.writes.clear()
    assert scrubber.step() == names
    sent = [pair for pair in host.writes if pair[0] < FAULTS]
    assert sent == [tuple(pair) for pair in weights.writes.tolist()]
    assert scrubber.step() == []
    host.checks[0] += 1
    now[0] = 122.0
    with pytest.raises(ToolFailed, match=names[0]):
        scrubber.step()


@pytest.mark.parametrize(("options", "what"), [({"loadable": "*"}, "--protect"), ({"protect": "ecc"}, "--loadable")])
def test_a_scrubber_needs_both(options, what, tmp_path):
    build(network(), EXAMPLE, out=tmp_path / "net", config=BuildConfig(**options))
    with pytest.raises(BadInput, match=what):
        Scrubber(tmp_path / "net", lambda offset: 0, lambda offset, value: None)


def test_an_engine_that_cannot_be_protected_is_refused(tmp_path):
    with pytest.raises(UnsupportedLayer, match="protects the memories of adder_graph"):
        build(network(), EXAMPLE, out=tmp_path / "net", config=BuildConfig(protect="ecc", engine="spatial"))
    assert not (tmp_path / "net").exists()


@pytest.mark.parametrize("protect", ["", "none,ecc", "parity, ecc", "ecc,all", None, 3])
def test_a_protection_that_there_is_not_is_refused(protect):
    with pytest.raises(BadInput, match="protect"):
        BuildConfig(protect=protect)


@pytest.mark.parametrize("tmr", [0, 1])
def test_synthesis_keeps_three_copies(tmr, tmp_path):
    """Of the handshake of 4 groups, two flags and a count of two bits: all other registers are numbers."""
    parameters = "LANES(1), .GROUPS(4), .FINAL(4), .IN_W(3), .IN_SIGNED(0), .OUT_W(3), .HIGH(7), .XILINX(1)"
    wrapper = f"""module wrapped (input wire clk, rst, load, ready, input wire [11:0] sums, output wire full, valid,
        output wire [2:0] word);
        requantize #(.{parameters}, .TMR({tmr})) u_part (.clk(clk), .rst(rst), .load(load), .is_final(1'b0),
        .mode(1'b0), .sums(sums), .full(full), .m_axis_tdata(word), .m_axis_tvalid(valid), .m_axis_tready(ready));
    endmodule
    """
    (tmp_path / "wrapped.v").write_text(wrapper)
    found = counting.count(tmp_path, "wrapped", ["wrapped.v"])
    assert found["FF"] == 12 + 12 + 4 * (3 if tmr else 1)
