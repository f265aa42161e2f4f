"""Writes the golden graph of a spiking build as NIR, for snnTorch, Norse, spikingjelly and others.

The file holds what the integers are worth. What it cannot hold is told: how many steps a sample has, what a reset does,
what numbers the input is, and how a leak is rounded.
"""

from functools import singledispatch
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from hwgen import store
from hwgen.errors import BadInput, HwgenError, MissingTool, Obstacles, UnsupportedLayer
from hwgen.folder import writing
from hwgen.ir import Graph, Input, Node, Op, Output, TensorType
from hwgen.manifest import read_build
from hwgen.ops.conv import Conv
from hwgen.ops.lif import Li, Lif
from hwgen.ops.move import Move, keeps_order
from hwgen.ops.quantize import UNBOUNDED, Quantize
from hwgen.ops.recurrent_lif import RecurrentLif

SUFFIX = ".nir"
INTEGRATORS = ("LI", "CubaLI", "I")
Values = dict[str, Any]  # arrays and numbers


def export(folder: str | Path, out: str | Path, dt: float) -> list[str]:
    """Writes the network of the build in `folder` to the new file `out`, a step being `dt` seconds, and tells what the
    file does not hold; raises BadInput, MissingTool without the extra `nir`, and UnsupportedLayer, all of them at once,
    for what NIR cannot say."""
    out = Path(out)
    if out.suffix != SUFFIX:
        raise BadInput(f"the suffix {out.suffix!r}", str(out), f"name it net{SUFFIX}")
    if out.exists():
        raise BadInput("the file is there already", str(out), "remove it, or give another name")
    if not 0 < dt < float("inf"):
        raise BadInput(f"{dt}", "--dt", "give the seconds of a step, above 0")
    if read_build(folder)[0]["modes"]:
        raise BadInput("the build has several modes, which NIR has not", str(folder), "build one alone and export it")
    writer = Writer(store.load(Path(folder)), dt)
    content = writer.content()
    with writing(out):
        out.write_bytes(content)
    return writer.notes


class Writer:
    """The nodes of a file as they are written.

    nodes  (kind, values) by name; edges between them
    at     the node that gives each tensor of the graph
    """

    def __init__(self, graph: Graph, dt: float):
        self.graph, self.dt, self.types = graph, dt, graph.types()
        self.nodes: dict[str, tuple[str, Values]] = {}
        self.edges: list[tuple[str, str]] = []
        self.at: dict[str, str] = {}
        self.notes: list[str] = []
        obstacles: list[HwgenError] = []
        parts = [lambda one=one: self._input(one) for one in graph.inputs]
        parts += [lambda node=node: _write(node.op, node, self) for node in graph.nodes]
        parts += [lambda n=n, one=one: self._output(n, one) for n, one in enumerate(graph.outputs)]
        for part in parts:
            try:
                part()
            except HwgenError as error:
                obstacles += error.each()
        if obstacles:
            raise Obstacles.of(obstacles)

    def content(self) -> bytes:
        """The file."""
        try:
            import h5py
        except ImportError as error:
            raise MissingTool("h5py is not installed", "hwgen export", "pip install hwgen[nir]") from error
        buffer, text = BytesIO(), h5py.string_dtype()
        with h5py.File(buffer, "w") as file:
            root = file.create_group("node")
            root.create_dataset("type", data="NIRGraph", dtype=text)
            root.create_dataset("edges", data=np.array(self.edges, dtype=object), dtype=text)
            for name, (kind, values) in self.nodes.items():
                group = root.create_group(f"nodes/{name}")
                group.create_dataset("type", data=kind, dtype=text)
                for key, value in values.items():
                    group[key] = value
            file.create_dataset("version", data="1.0", dtype=text)
        return buffer.getvalue()

    def add(self, name: str, kind: str, values: Values, source: str | None = None) -> str:
        """A node that reads a tensor of the graph, or another node; the name is the tensor's that it gives."""
        self.nodes[name] = kind, values
        if source is not None:
            self.edges.append((self.at.get(source, source), name))
        self.at[name] = name
        return name

    def flat(self, name: str, frame: tuple[int, ...], source: str) -> str:
        """A Flatten of frames of a shape."""
        return self.add(name, "Flatten", {"start_dim": 0, "end_dim": -1, "input_type": np.array(frame)}, source)

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def _input(self, one: Input) -> None:
        if one.steps or (one.view is not None and (one.view != np.arange(one.view.size)).any()):
            raise UnsupportedLayer(
                "an input that the host scales or moves", one.name, "export a network that takes its frames as they are"
            )
        kind = one.type
        sign = ",signed" if kind.qtype.signed else ""
        self.note(f"the input is {kind.qtype}: --input-grid {kind.qtype.bits},{kind.exponent}{sign}")
        self.add(one.name, "Input", {"shape": np.array(one.shape)})

    def _output(self, number: int, one: Output) -> None:
        if one.host or one.offset is not None or (one.view is not None and not _in_order(one.view)):
            raise UnsupportedLayer(
                "an output of which the host makes something", one.name, "export a network that sends what it gives"
            )
        if one.name not in self.at:  # something stood in its way
            return
        source = self.at[one.name]
        kind, values = self.nodes[source]
        if one.scale is not None:
            if kind not in INTEGRATORS or one.scale.size != 1:
                raise UnsupportedLayer("an output that the host scales", one.name, "leave the scale out")
            self.nodes[source] = kind, values | {"r": values["r"] * float(one.scale.reshape(()))}
        frame = _frame(self.types[one.name])
        if len(frame) > len(one.shape):
            source = self.flat(f"{source}_flat", frame, source)
        name = "output" if len(self.graph.outputs) == 1 else f"output_{number}"
        self.add(name, "Output", {"shape": np.array(one.shape)}, source)

    def neuron(self, op: Li, kind: TensorType, synapse: Op | None) -> tuple[str, Values]:
        """The kind and values of a neuron or an integrator."""
        frame = np.ones(_frame(kind))
        share = sum(2.0**-shift for shift in op.leak)
        spiking = isinstance(op, Lif)
        values: Values = {"r": frame / (share or self.dt)}
        if share:
            values |= {"tau_mem" if synapse else "tau": frame * self.dt / share, "v_leak": frame * 0}
        if isinstance(op, Lif):
            levels = op.levels.reshape(-1, *[1] * (frame.ndim - 1)) * 2.0**op.exponent
            values |= {"v_threshold": frame * levels, "v_reset": frame * 0}
            self.note(f"--reset {op.reset} --fire {'>=' if op.at else '>'}")
            if op.order != "now":
                self.note(f"{op.path}: the order is {op.order!r}, in a file a reset is always of its own step")
        if op.start:
            self.note(f"{op.path}: membranes start at {op.start * 2.0**op.exponent:g}, in a file at 0")
        self.note(f"--steps {op.steps} --dt {self.dt:g}")
        if synapse is None:
            return {(True, True): "LIF", (True, False): "IF", (False, True): "LI"}.get(
                (spiking, share > 0), "I"
            ), values
        assert isinstance(synapse, Li)
        taken = sum(2.0**-shift for shift in synapse.leak)
        if not (share and taken):
            raise UnsupportedLayer("a synapse, or a membrane behind it, that does not leak", op.path, "export it as IF")
        values |= {"tau_syn": frame * self.dt / taken, "w_in": frame / taken}
        return "CubaLIF" if spiking else "CubaLI", values


def _frame(kind: TensorType) -> tuple[int, ...]:
    """The shape of a frame in the file."""
    return kind.shape[:1] if kind.shape[1:] == (1, 1) else kind.shape


def _in_order(view: np.ndarray) -> bool:
    return bool((view.reshape(-1) == np.arange(view.size)).all())


@singledispatch
def _write(op: Op, node: Node, writer: Writer) -> None:
    raise UnsupportedLayer(f"NIR has no {op}", node.name, "export a network of weights, pools and spiking neurons")


@_write.register
def _conv(op: Conv, node: Node, writer: Writer) -> None:
    source = node.inputs[0]
    x, y = writer.types[source], writer.types[node.name]
    if x.shape[1:] == op.kernel and op.groups == 1 and not any(op.padding):
        if op.kernel != (1, 1):
            source = writer.flat(f"{node.name}_flat", x.shape, source)
        writer.add(node.name, "Affine", {"weight": op.weight.reshape(len(op.weight), -1), "bias": op.bias}, source)
        return
    (top, bottom, left, right), (down, across), (tall, wide) = op.padding, op.stride, op.dilation
    sizes = [
        (size + 2 * pad - dilation * (taps - 1) - 1) // step + 1
        for size, pad, dilation, taps, step in zip(
            x.shape[1:], (top, left), (tall, wide), op.kernel, (down, across), strict=True
        )
    ]
    if bottom > top or right > left or tuple(sizes) != y.shape[1:]:
        raise UnsupportedLayer(
            f"padding {list(op.padding)}, which is not the same on both sides", node.name, "give it the same"
        )
    values: Values = {
        "weight": op.weight,
        "bias": op.bias,
        "stride": np.array((down, across)),
        "padding": np.array((top, left)),
        "dilation": np.array((tall, wide)),
        "groups": op.groups,
        "input_shape": np.array(x.shape[1:]),
    }
    writer.add(node.name, "Conv2d", values, source)


@_write.register
def _move(op: Move, node: Node, writer: Writer) -> None:
    x, y = writer.types[node.inputs[0]], writer.types[node.name]
    if not keeps_order(op.index, x.shape) or y.shape[1:] != (1, 1):
        raise UnsupportedLayer("NIR moves nothing but to flatten it", node.name, "leave the permutation out")
    writer.flat(node.name, _frame(x), node.inputs[0])


@_write.register
def _quantize(op: Quantize, node: Node, writer: Writer) -> None:
    """Of currents, which a file does not round."""
    if op.low > -UNBOUNDED or op.high < UNBOUNDED:
        raise UnsupportedLayer("NIR has no quantizer", node.name, "export a network of spikes between its layers")
    writer.note(f"{node.name}: currents are rounded to multiples of 2^{op.exponent}, in a file they are not")
    writer.at[node.name] = writer.at[node.inputs[0]]


def _synapse_of(node: Node, writer: Writer) -> Node | None:
    """The integrator before a neuron that nothing else reads: it is written with it."""
    before = next((other for other in writer.graph.nodes if other.name == node.inputs[0]), None)
    if (
        before is None
        or type(before.op) is not Li
        or before.op.start
        or writer.graph.only_consumer(before.name) is None
    ):
        return None
    return None if _synapse_of(before, writer) else before


@_write.register
def _li(op: Li, node: Node, writer: Writer) -> None:
    source, synapse = node.inputs[0], _synapse_of(node, writer)
    reader = writer.graph.only_consumer(node.name)
    if reader is not None and isinstance(reader.op, Li) and _synapse_of(reader, writer) is node:
        writer.at[node.name] = writer.at[source]
        return
    writer.note(f"a leak is rounded {'half up' if op.half_up else 'down'} on a grid that the file does not hold")
    kind, values = writer.neuron(op, writer.types[node.name], None if synapse is None else synapse.op)
    writer.add(node.name, kind, values, source)


@_write.register
def _recurrent(op: RecurrentLif, node: Node, writer: Writer) -> None:
    kind, values = writer.neuron(op.lif, writer.types[node.name], op.li)
    writer.add(node.name, kind, values, node.inputs[0])
    weights = f"{node.name}.w_rec"
    writer.add(weights, "Linear", {"weight": op.weight}, node.name)
    writer.edges.append((weights, node.name))
