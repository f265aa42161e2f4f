"""da4ml as its command line runs it: pipeline cutoff 5, delay constraint 2, adder costs (1, -1, -1)."""

from da4ml.codegen import RTLModel
from da4ml.trace import FixedVariableArray, HWConfig, comb_trace
from da4ml.types import minimal_kif

from benchmarks.spatial.peers.common import fields, input_type, main, trace_layers


def convert(net, folder, choices):
    x = FixedVariableArray.from_kif(*input_type(net), HWConfig(1, -1, -1), solver_options={"hard_dc": 2})
    comb = comb_trace(x, trace_layers(net, x))
    result = {"adders": sum(op.opcode in (0, 1) for op in comb.ops), "cost": comb.cost}
    if not choices.solve_only:
        model = RTLModel(comb, "model", folder, flavor="verilog", latency_cutoff=5)
        model.write()
        result |= {
            "top": "model",
            "sources": sorted(str(path) for path in (folder / "src").rglob("*.v")),
            # a register behind each stage, and one in front of the first
            "latency": len(model._pipe.solutions) + 1,
            "input": "model_inp",
            "output": "model_out",
            "input_fields": fields(map(minimal_kif, comb.inp_qint)),
            "output_fields": fields(map(minimal_kif, comb.out_qint)),
        }
    return result, comb.predict


if __name__ == "__main__":
    main(convert)
