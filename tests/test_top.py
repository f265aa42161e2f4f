"""The AXI top works around a stand-in core, on both simulators, and four tools read it."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from hwgen import build, emit
from hwgen.design import Stream
from hwgen.emit import ends
from hwgen.ir import TensorType
from hwgen.nn import ActQuant
from hwgen.ports import Ports
from hwgen.qtype import QType
from hwgen.share import share
from hwgen.simulators import SIMULATORS, lint, run_cocotb
from hwgen.stream import Order
from hwgen.templates import render

# the core answers every second beat of a frame with the sum of all words since the frame's start, and that plus 1, ...
IN_BEATS = 6
CORE = """
`default_nettype none
module toy_core #(
    parameter XILINX = 0
) (
    input wire clk,
    input wire rst,
    input wire [IN_SIDE*IN_BITS-1:0] s_axis_tdata,
    input wire s_axis_tvalid,
    output wire s_axis_tready,
    output wire [OUT_SIDE*OUT_BITS-1:0] m_axis_tdata,
    output wire m_axis_tvalid,
    input wire m_axis_tready
);
    reg [2:0] beat_q;
    reg [OUT_BITS-1:0] sum_q;
    reg [OUT_BITS-1:0] sum;
    wire [OUT_SIDE*OUT_BITS-1:0] answer;
    wire unused = XILINX != 0;
    integer n;

    always @* begin
        sum = beat_q == 3'd0 ? {OUT_BITS{1'b0}} : sum_q;
        for (n = 0; n < IN_SIDE; n = n + 1)
            sum = sum + {{(OUT_BITS-IN_BITS){SIGNED & s_axis_tdata[(n+1)*IN_BITS-1]}},
                s_axis_tdata[n*IN_BITS +: IN_BITS]};
    end
    generate
        genvar m;
        for (m = 0; m < OUT_SIDE; m = m + 1) begin : gen_answer
            localparam MORE = m;
            assign answer[m*OUT_BITS +: OUT_BITS] = sum + {{(OUT_BITS-4){1'b0}}, MORE[3:0]};
        end
    endgenerate

    always @(posedge clk) begin
        if (s_axis_tvalid && s_axis_tready) begin
            sum_q <= sum;
            beat_q <= beat_q == 3'd5 ? 3'd0 : beat_q + 3'd1;
        end
        if (rst) beat_q <= 3'd0;
    end

    stream_fifo #(
        .DATA_W(OUT_SIDE*OUT_BITS),
        .DEPTH(4)
    ) u_fifo (
        .clk(clk),
        .rst(rst),
        .s_axis_tdata(answer),
        .s_axis_tvalid(s_axis_tvalid && beat_q[0]),
        .s_axis_tready(s_axis_tready),
        .m_axis_tdata(m_axis_tdata),
        .m_axis_tvalid(m_axis_tvalid),
        .m_axis_tready(m_axis_tready)
    );
endmodule
`default_nettype wire
"""
# bits in, bits out, signed, activations in and out side by side, bits of the ports
WIDTHS = [
    (6, 13, True, 2, 3, None),
    (8, 16, True, 1, 1, 64),
    (3, 17, False, 4, 2, 8),
    (17, 33, True, 1, 1, None),
    (8, 13, True, 2, 1, 32),
]


def stream(name, bits, side, beats, signed):
    """A stream of so many beats a frame, in each so many activations of so many bits."""
    low = -(1 << bits - 1) if signed else 0
    kind = TensorType((side, 1, beats), QType(low, low + (1 << bits) - 1), 0)
    return Stream(name, name, kind, Order(kind.shape).by_pixels(1))


def packed(activations, bits):
    """uint64 [...] of integers [..., activations]: each in 1, 2, 4 or 8 bytes, the first in the lowest."""
    width = next(width for width in (8, 16, 32, 64) if width >= bits)
    shifts = np.arange(activations.shape[-1], dtype=np.uint64) * np.uint64(width)
    mask = np.uint64((1 << width) - 1)
    return ((activations.astype(np.int64).view(np.uint64) & mask) << shifts).sum(axis=-1, dtype=np.uint64)


# Icarus runs those with a converter on either side
RUNS = [
    (widths, simulator) for simulator in SIMULATORS for widths in (WIDTHS if simulator != "icarus" else WIDTHS[1:3])
]


@pytest.fixture
def toy(request, tmp_path):
    return toy_top(request.param, tmp_path)


def toy_top(widths, tmp_path):
    """(sources, environment of the bench) of a top around the stand-in core; widths -- one of WIDTHS."""
    in_bits, out_bits, signed, in_side, out_side, port = widths
    values = {"IN_BITS": in_bits, "OUT_BITS": out_bits, "IN_SIDE": in_side, "OUT_SIDE": out_side}
    core = CORE.replace("SIGNED", f"1'b{int(signed)}")
    for name, value in values.items():
        core = core.replace(name, str(value))
    (tmp_path / "toy_core.v").write_text(core)
    taken = ends("in", [stream("x", in_bits, in_side, IN_BEATS, signed)], Ports(port))
    given = ends("out", [stream("y", out_bits, out_side, IN_BEATS // 2, signed)], Ports(port))
    top = render(
        "top.v.j2",
        top="toy_top",
        core="toy_core",
        inputs=taken,
        outputs=given,
        build_id=0xDEADBEEF,
        layers=0,
        load_stream=False,
        watched=0,
        tmr=0,
        modes=1,
        mode_bits=0,
        version=1,
    )
    (tmp_path / "toy_top.v").write_text(top)
    low = -(2 ** (in_bits - 1)) if signed else 0
    inputs = np.random.default_rng(1).integers(low, low + 2**in_bits, (8, IN_BEATS, in_side))
    sums = np.cumsum(inputs.sum(axis=2), axis=1)[:, 1::2]
    outputs = sums[:, :, None] + np.arange(out_side)
    np.savez(tmp_path / "data.npz", inputs_0=packed(inputs, in_bits), outputs_0=packed(outputs, out_bits))
    sources = [tmp_path / "toy_core.v", tmp_path / "toy_top.v", *sorted(share("rtl").glob("*.v"))]
    sizes = {end["port"]: end["beat"] // 8 for end in (*taken, *given)}
    return sources, {"TOP_DATA": str(tmp_path / "data.npz"), "TOP_BYTES": json.dumps(sizes)}


@pytest.mark.sim
@pytest.mark.parametrize(("toy", "simulator"), RUNS, indirect=["toy"])
def test_top_passes_its_bench(toy, simulator, tmp_path):
    sources, environment = toy
    run_cocotb(
        simulator=simulator,
        sources=sources,
        toplevel="toy_top",
        module="bench_top",
        build_dir=tmp_path / "build",
        environment=environment,
        timeout=600,
    )


@pytest.mark.parametrize("toy", WIDTHS, indirect=True)
def test_top_is_clean(toy, tmp_path, parser):
    sources, _ = toy
    lint(sources, "toy_top")
    parser.parse((tmp_path / "toy_top.v").read_text())


def test_build_id_follows_every_file_that_makes_the_hardware(tmp_path, monkeypatch):
    design = build(nn.Sequential(ActQuant(4, -4), nn.ReLU()), (torch.zeros(1, 3),), out=tmp_path / "net")
    library = emit.library
    files = emit.emit(design)
    assert emit.emit(design) == files

    def another(*given):
        return library(*given) | {"rtl/pe.v": "// another accumulator"}

    monkeypatch.setattr(emit, "library", another)
    changed = emit.emit(design)
    assert {path for path in files if files[path] != changed[path]} == {"rtl/net_top.v", "rtl/pe.v"}
