"""A PT2E program, or one of torch's fake quantizers, in float64: what it is without the rounding errors of float32."""

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import Interpreter, Node


class InFloat64(Interpreter):
    """What is computed of an input is in float64, with scales as float32 numbers; constants, and levels of weights, are
    as torch has them."""

    def __init__(self, program: ExportedProgram):
        super().__init__(program.module())
        self.computed: set[Node] = set()
        for node in self.module.graph.nodes:
            if node.op == "placeholder" or self.computed.intersection(node.all_input_nodes):
                self.computed.add(node)

    def run_node(self, n: Node):
        name = getattr(n.target, "__name__", "").partition(".")[0] if n.op == "call_function" else ""
        if name.startswith("dequantize_per") or (n in self.computed and name in LEVELS):
            args, _ = self.fetch_args_kwargs_from_env(n)
            return _quantizer(name, *args)
        result = super().run_node(n) if n not in self.computed or n.op != "call_function" else self._doubled(n)
        if name.startswith("fake_quantize") and n not in self.computed:  # weights
            args, _ = self.fetch_args_kwargs_from_env(n)
            scale = _along(torch.as_tensor(args[1]).float().double(), args[3] if "channel" in name else 0, result)
            return torch.round(result.double() / scale) * scale
        return result

    def _doubled(self, n: Node):
        def double(value):
            return value.double() if isinstance(value, Tensor) and value.is_floating_point() else value

        args, kwargs = self.fetch_args_kwargs_from_env(n)
        return n.target(*torch.fx.node.map_aggregate(args, double), **kwargs)


LEVELS = ("quantize_per_tensor", "fake_quantize_per_tensor_affine")


def _quantizer(name: str, x: Tensor, scale, zero, *rest) -> Tensor:
    axis = rest[0] if "channel" in name else 0
    scale, zero = (_along(torch.as_tensor(each).float().double(), axis, x) for each in (scale, zero))
    level = x.double() if name.startswith("dequantize") else (torch.round(x / scale) + zero).clamp(rest[0], rest[1])
    return level if name == "quantize_per_tensor" else (level - zero) * scale


def _along(values: Tensor, axis: int, x: Tensor) -> Tensor:
    return (
        values.reshape([-1 if n == axis else 1 for n in range(x.dim())]) if values.numel() > 1 else values.reshape(())
    )


def run(program: ExportedProgram, x: Tensor) -> Tensor:
    with torch.no_grad():
        found = InFloat64(program).run(x.double())
    return found[0] if isinstance(found, tuple | list) else found
