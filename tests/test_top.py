"""The AXI top works around a stand-in core, on both simulators, and four tools read it."""

import numpy as np
import pytest
import torch
from pyverilog.vparser.parser import VerilogParser
from torch import nn

from hwgen import build, emit
from hwgen.nn import ActQuant
from hwgen.share import share
from hwgen.simulators import SIMULATORS, lint, run_cocotb
from hwgen.templates import render

IN_BEATS = 6  # the core answers every second word of a frame with the sum since the frame's start
CORE = """
`default_nettype none
module toy_core #(
    parameter XILINX = 0
) (
    input wire clk,
    input wire rst,
    input wire [IN_BITS-1:0] s_axis_tdata,
    input wire s_axis_tvalid,
    output wire s_axis_tready,
    output wire [OUT_BITS-1:0] m_axis_tdata,
    output wire m_axis_tvalid,
    input wire m_axis_tready
);
    reg [2:0] beat_q;
    reg [OUT_BITS-1:0] sum_q;
    wire [OUT_BITS-1:0] word = {{(OUT_BITS - IN_BITS){SIGNED & s_axis_tdata[IN_BITS-1]}}, s_axis_tdata};
    wire [OUT_BITS-1:0] sum = (beat_q == 3'd0 ? {OUT_BITS{1'b0}} : sum_q) + word;
    wire unused = XILINX != 0;

    always @(posedge clk) begin
        if (s_axis_tvalid && s_axis_tready) begin
            sum_q <= sum;
            beat_q <= beat_q == 3'd5 ? 3'd0 : beat_q + 3'd1;
        end
        if (rst) beat_q <= 3'd0;
    end

    stream_fifo #(
        .DATA_W(OUT_BITS),
        .DEPTH(4)
    ) u_fifo (
        .clk(clk),
        .rst(rst),
        .s_axis_tdata(sum),
        .s_axis_tvalid(s_axis_tvalid && beat_q[0]),
        .s_axis_tready(s_axis_tready),
        .m_axis_tdata(m_axis_tdata),
        .m_axis_tvalid(m_axis_tvalid),
        .m_axis_tready(m_axis_tready)
    );
endmodule
`default_nettype wire
"""
WIDTHS = [(6, 13, True), (8, 16, True), (3, 17, False), (17, 33, True)]  # bits in, bits out, signed


@pytest.fixture(params=WIDTHS, ids=lambda widths: "{}in{}out".format(*widths))
def toy(request, tmp_path):
    """(sources, data file) of a top around the stand-in core."""
    in_bits, out_bits, signed = request.param
    core = CORE.replace("IN_BITS", str(in_bits)).replace("OUT_BITS", str(out_bits))
    (tmp_path / "toy_core.v").write_text(core.replace("SIGNED", f"1'b{int(signed)}"))
    top = render(
        "top.v.j2",
        top="toy_top",
        core="toy_core",
        in_bits=in_bits,
        out_bits=out_bits,
        out_signed=signed,
        in_beats=IN_BEATS,
        out_beats=IN_BEATS // 2,
        build_id=0xDEADBEEF,
        version=1,
    )
    (tmp_path / "toy_top.v").write_text(top)
    low = -(2 ** (in_bits - 1)) if signed else 0
    inputs = np.random.default_rng(1).integers(low, low + 2**in_bits, (8, IN_BEATS))
    np.savez(tmp_path / "data.npz", inputs=inputs, outputs=np.cumsum(inputs, axis=1)[:, 1::2])
    sources = [tmp_path / "toy_core.v", tmp_path / "toy_top.v", *sorted(share("rtl").glob("*.v"))]
    return sources, tmp_path / "data.npz"


@pytest.mark.sim
@pytest.mark.parametrize("simulator", SIMULATORS)
def test_top_passes_its_bench(toy, simulator, tmp_path):
    sources, data = toy
    run_cocotb(
        simulator=simulator,
        sources=sources,
        toplevel="toy_top",
        module="bench_top",
        build_dir=tmp_path / "build",
        environment={"TOP_DATA": str(data)},
        timeout=600,
    )


def test_top_is_clean(toy, tmp_path):
    sources, _ = toy
    lint(sources, "toy_top")
    VerilogParser(outputdir=str(tmp_path), debug=False).parse((tmp_path / "toy_top.v").read_text())


def test_build_id_follows_every_file_that_makes_the_hardware(tmp_path, monkeypatch):
    design = build(nn.Sequential(ActQuant(4, -4), nn.ReLU()), (torch.zeros(1, 3),), out=tmp_path / "net")
    library = emit.library
    files = emit.emit(design)
    assert emit.emit(design) == files

    def another(texts):
        return library(texts) | {"rtl/pe.v": "// another accumulator"}

    monkeypatch.setattr(emit, "library", another)
    changed = emit.emit(design)
    assert {path for path in files if files[path] != changed[path]} == {"rtl/net_top.v", "rtl/pe.v"}
