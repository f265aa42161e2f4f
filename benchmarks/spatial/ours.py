"""hwgen on the same networks: `python -m benchmarks.spatial.ours NETWORK.json FOLDER`, printing what a peer prints.

The network becomes a module of nn.Linear, nn.ReLU and ActQuant; hwgen's integers are compared with the reference.
"""

import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.spatial.intnet import IntNet, limits, quantize
from benchmarks.spatial.peers.common import main
from hwgen import build
from hwgen.adders.netlist import AdderNetlist, adder_netlist
from hwgen.config import BuildConfig
from hwgen.design import Design
from hwgen.frontend import import_model
from hwgen.nn import ActQuant
from hwgen.qtype import QType
from hwgen.terms import term_table
from hwgen.units.adder_graph import AdderGraph


def to_module(net: IntNet) -> nn.Sequential:
    """The same integers: a layer's outputs are y * 2^shift, which the next layer's weights undo.

    ActQuant adds a half before its floor, so where a shift drops bits the bias has a half less.
    """
    layers: list[nn.Module] = [ActQuant(net.spec["input"]["bits"], 0, net.spec["input"]["signed"])]
    exponent = 0
    for weight, bias, requant in net.layers:
        linear = nn.Linear(*weight.shape)
        half = 0
        if requant is not None and requant["shift"] > 0:
            half = 1 << (requant["shift"] - 1)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(weight.T) * 2.0**-exponent)
            linear.bias.copy_(torch.from_numpy(bias - half))
        layers.append(linear)
        if requant is not None:
            layers += [nn.ReLU()] if requant["relu"] else []
            exponent = requant["shift"]
            layers.append(ActQuant(requant["bits"], exponent, requant["signed"]))
    return nn.Sequential(*layers).eval()


WRAPPER = """// The core, with UltraScale+ primitives for synthesis.
module wrapper (
    input  wire clk,
    input  wire rst,
    input  wire [{inputs}-1:0] s_axis_tdata,
    input  wire s_axis_tvalid,
    output wire s_axis_tready,
    output wire [{outputs}-1:0] m_axis_tdata,
    output wire m_axis_tvalid,
    input  wire m_axis_tready
);
`ifdef SYNTHESIS
    localparam XILINX = 1;
`else
    localparam XILINX = 0;
`endif
    {core} #(.XILINX(XILINX)) u_core (
        .clk(clk), .rst(rst),
        .s_axis_tdata(s_axis_tdata), .s_axis_tvalid(s_axis_tvalid), .s_axis_tready(s_axis_tready),
        .m_axis_tdata(m_axis_tdata), .m_axis_tvalid(m_axis_tvalid), .m_axis_tready(m_axis_tready));
endmodule
"""


def build_hwgen(net: IntNet, folder: Path) -> dict:
    """Builds the network into `folder` and describes the core as peers/common.py says, its `ties` and `reset`.

    cpu_seconds are from the imported graph to its Verilog and those of writing the files, as a peer's are from its
    traced arrays; build_cpu_seconds those of the whole build, with torch.export, the lint and the AXI border.
    """
    stages = {}
    started = time.process_time()
    design = build(
        to_module(net),
        example(net),
        out=folder / "build",
        config=BuildConfig(engine="spatial", name=net.name),
        progress=lambda stage: stages.setdefault(stage, time.process_time()),
    )
    ended = time.process_time()
    units = [placed.unit for placed in design.placed]
    return wrapped_core(design, folder) | {
        "cpu_seconds": round(stages["lint"] - stages["schedule"] + ended - stages["write"], 2),
        "build_cpu_seconds": round(ended - started, 2),
        **_adders([unit.netlist for unit in units if isinstance(unit, AdderGraph)]),
        "latency": sum(unit.latency for unit in units),
        "input": "s_axis_tdata",
        "output": "m_axis_tdata",
        "input_fields": _fields(design.inputs[0]),
        "output_fields": _fields(design.outputs[0]),
        "reset": "rst",
        "ties": {"s_axis_tvalid": "1'b1", "m_axis_tready": "1'b1"},
    }


def _adders(netlists: list[AdderNetlist]) -> dict:
    rows = [row for netlist in netlists for row in netlist.rows]
    return {
        "adders": len(rows),
        "three_input_adders": sum(max(map(len, row.columns)) > 2 for row in rows),
        "cost": sum(netlist.luts for netlist in netlists),
    }


def wrapped_core(design: Design, folder: Path) -> dict:
    """`top` and `sources` of a design built into FOLDER/build, for simulation as for synthesis."""
    wrapper = folder / "wrapper.v"
    text = WRAPPER.format(core=f"{design.name}_core", inputs=design.inputs[0].bits, outputs=design.outputs[0].bits)
    wrapper.write_text(text)
    sources = [path for path in sorted((folder / "build" / "rtl").glob("*.v")) if not path.stem.endswith("_top")]
    return {"top": "wrapper", "sources": [str(path) for path in (wrapper, *sources)]}


def _fields(stream) -> list[list[int]]:
    kind = stream.type
    return [[kind.qtype.bits, int(kind.qtype.signed), kind.exponent]] * stream.order.side


def example(net: IntNet) -> tuple[torch.Tensor]:
    return (torch.zeros(1, net.inputs),)


def golden(net: IntNet):
    """hwgen's own integers of the network, as a function of its inputs [n, inputs]."""
    graph = import_model(to_module(net), example(net))

    def predict(x):
        n = len(x)
        q = graph.eval(torch.from_numpy(x).to(torch.int64).reshape(n, *graph.inputs[0].type.shape))
        return graph.dequantize_outputs(*q)[0].numpy()

    return predict


def solve(net: IntNet) -> list[AdderNetlist]:
    """The adders of each layer and nothing else, as a build makes them; no board limits their number."""
    netlists = []
    low, high = limits(**net.spec["input"])
    for weight, bias, requant in net.layers:
        positive, negative = np.maximum(weight, 0).sum(axis=0), np.minimum(weight, 0).sum(axis=0)
        lows = (positive * low + negative * high + bias).tolist()
        highs = (positive * high + negative * low + bias).tolist()
        sums = [QType(*ends) for ends in zip(lows, highs, strict=True)]
        netlists.append(adder_netlist(term_table(weight.T), bias.tolist(), (QType(low, high),) * len(weight), sums))
        if requant is not None:
            low, high = limits(**requant)
            low = max(low, 0) if requant["relu"] else low
    return netlists


def evaluate(net: IntNet, netlists: list[AdderNetlist], x: np.ndarray) -> np.ndarray:
    """What the adders make of inputs [n, inputs], requantized between the layers."""
    x = x.astype(np.int64)
    for netlist, (_, _, requant) in zip(netlists, net.layers, strict=True):
        x = quantize(netlist.evaluate(x), requant)
    return x


def convert(net, folder, choices):
    if choices.solve_only:
        netlists = solve(net)
        return _adders(netlists), lambda x: evaluate(net, netlists, x)
    return build_hwgen(net, folder), golden(net)


if __name__ == "__main__":
    main(convert)
