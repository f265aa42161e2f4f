"""What a .nir file says, in float64: its equations by forward Euler, without any grid.

What is built is held against it: it shares the reading of the file and what is asked with that, and nothing else.
"""

import torch
from torch import Tensor
from torch.nn import functional

from hwgen.formats.nir.asked import Asked
from hwgen.formats.nir.file import Node
from hwgen.formats.nir.topology import Topology
from hwgen.formats.nir.value import INTEGRATING, SPIKING, rounded


def tensors(network: str | Topology, asked: Asked, *inputs: Tensor) -> dict[str, Tensor]:
    """What each node gives for frames [samples * steps, ...] of each input, float64, by the nodes' names.

    network -- the path of a file, or what was read of it
    """
    topology = Topology.of(network) if isinstance(network, str) else network
    found = {name: x.double() for name, x in zip(topology.inputs, inputs, strict=True)}
    for name in topology.order():
        if name in found:
            continue
        node = topology.graph.nodes[name]
        x = sum((found[source] for source in topology.sources(name)), torch.zeros((), dtype=torch.float64))
        if node.kind in (*SPIKING, *INTEGRATING):
            back = topology.back.get(name)
            found[name] = _euler(node, topology.graph.nodes[back] if back else None, asked, x)
        else:
            found[name] = _layer(node, x)
    return found


def _number(node: Node, name: str, default: float | None = None) -> Tensor:
    value = node.values.get(name, default)
    return torch.as_tensor(value, dtype=torch.float64)


def _integers(node: Node, name: str) -> tuple[int, ...]:
    return tuple(int(n) for n in _number(node, name).reshape(-1))


def _layer(node: Node, x: Tensor) -> Tensor:
    """Weights, pools, flatten; others give what they take."""
    if node.kind in ("Affine", "Linear"):
        return functional.linear(x, _number(node, "weight"), _number(node, "bias", 0.0))
    if node.kind in ("Conv1d", "Conv2d"):
        weight = _number(node, "weight")
        bias = _number(node, "bias", 0.0).expand(len(weight))
        padding = node.values["padding"]
        padding = padding if isinstance(padding, str) else _integers(node, "padding")
        function = functional.conv1d if node.kind == "Conv1d" else functional.conv2d
        stride, dilation = _integers(node, "stride"), _integers(node, "dilation")
        return function(x, weight, bias, stride, padding, dilation, int(_number(node, "groups", 1)))
    if node.kind in ("SumPool2d", "AvgPool2d"):
        divisor = 1 if node.kind == "SumPool2d" else None
        kernel, stride, padding = (_integers(node, name) for name in ("kernel_size", "stride", "padding"))
        return functional.avg_pool2d(x, kernel, stride, padding, divisor_override=divisor)
    if node.kind == "Flatten":
        start, end = (int(_number(node, name)) for name in ("start_dim", "end_dim"))
        return x.flatten(start + 1 if start >= 0 else start, end + 1 if end >= 0 else end)
    return x


def _euler(node: Node, back: Node | None, asked: Asked, x: Tensor) -> Tensor:
    """Spikes of a neuron, or the membrane of an integrator, of each step."""
    fires, reset = node.kind in SPIKING, _number(node, "v_reset", 0.0)
    leak, gain = _rates(node, asked.the_dt(), {"IF": None, "I": None}.get(node.kind, "tau"), "r")
    rest = _number(node, "v_leak", 0.0)
    frames = x.unflatten(0, (-1, asked.the_steps()))
    v = torch.zeros_like(frames[:, 0])
    current, spikes, sent = v.clone(), v.clone(), []
    for drive in frames.unbind(1):
        drive = drive if back is None else drive + _layer(back, spikes)
        if node.kind.startswith("Cuba"):
            decay, share = _rates(node, asked.the_dt(), "tau_syn", "w_in")
            current = current - decay * current + share * drive
        else:
            current = drive
        v = v + leak * (rest - v) + gain * current
        if fires:
            spikes, v = _fire(v, _number(node, "v_threshold"), reset, asked)
        sent.append(spikes if fires else v)
    return torch.stack(sent, 1).flatten(0, 1)


def _rates(node: Node, dt: float, tau: str | None, factor: str) -> tuple[Tensor, Tensor]:
    """What a step takes of a state, and what it adds of what drives it."""
    if tau is None:
        return torch.zeros(()), torch.as_tensor(rounded((_number(node, factor, 1.0) * dt).numpy()))
    name = "tau_mem" if tau == "tau" and node.kind.startswith("Cuba") else tau
    rate = dt / _number(node, name)
    gain = _number(node, factor, 1.0) * rate
    return torch.as_tensor(rounded(rate.numpy())), torch.as_tensor(rounded(gain.numpy()))


def _fire(v: Tensor, threshold: Tensor, reset: Tensor, asked: Asked) -> tuple[Tensor, Tensor]:
    """(spikes, the membranes behind them)"""
    spikes = (v > threshold if asked.fire == ">" else v >= threshold).double()
    how = asked.the_reset()
    if how == "subtract":
        return spikes, v - spikes * (threshold - reset)
    return spikes, torch.where(spikes > 0, reset.expand_as(v), v) if how == "zero" else v
