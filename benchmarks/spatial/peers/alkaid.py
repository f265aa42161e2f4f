"""Alkaid as its command line runs it: pipeline cutoff 5, delay constraint 5, adder costs (1, 1, -1).

It joins two two-input adders into a three-input one where it can, unless told --no-ternary.
"""

from alkaid.codegen import RTLModel
from alkaid.trace import FVArray, HWConfig, trace

from benchmarks.spatial.peers.common import fields, input_type, main, trace_layers


def convert(net, folder, choices):
    x = FVArray.from_kif(*input_type(net), HWConfig(1, 1, -1), solver_options={"hard_dc": 5})
    comb = trace(x, trace_layers(net, x), keep_dead_inputs=True)
    result = {"adders": sum(op.opcode in (0, 1) for op in comb.ops), "cost": comb.cost}
    if not choices.solve_only:
        model = RTLModel(comb, folder, "model", flavor="verilog", latency_cutoff=5, ternary_fuse=not choices.no_ternary)
        model.write()
        (inputs,), (outputs,) = model.fsm.inp_signals, model.fsm.out_signals
        result |= {
            "adders": sum(op.opcode in (0, 1, 11) for op in model._comb.ops),
            "three_input_adders": sum(op.opcode == 11 for op in model._comb.ops),
            "cost": model._comb.cost,
            "top": "model",
            "sources": sorted(str(path) for path in (folder / "src").rglob("*.v")),
            "latency": model.latency + 1,  # model.latency is the number of the edge that registers the outputs
            "input": inputs.name,
            "output": outputs.name,
            "input_fields": fields(inputs.precisions),
            "output_fields": fields(outputs.precisions),
        }
    return result, comb.predict


if __name__ == "__main__":
    main(convert, "--no-ternary")
