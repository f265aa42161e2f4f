"""A .nir file as plain data: nodes, each a type and arrays, and the edges between them.

NIR is HDF5, which can do more than hold numbers: link to other files, keep a dataset's bytes in another one, promise
arrays of any size in a few bytes, or hold a group in itself. None of that is followed: what is read are numbers and
texts of stated sizes that lie in the file itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from math import prod
from pathlib import Path

import h5py
import numpy as np

from hwgen.errors import BadInput

MOST = 1 << 28  # bytes of a file
MOST_NUMBERS = 1 << 24  # of all arrays together
MOST_NAMES = 1 << 12  # nodes, and edges, and members of a node
MOST_TEXT = 1 << 10  # characters of a name
DEEPEST = 8  # graphs within graphs
FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}
AGAIN = "write it again with nir.write"
GRAPH = "NIRGraph"
# what h5py raises where the bytes are no such thing
BROKEN = (OSError, ValueError, TypeError, KeyError, RuntimeError, OverflowError, AttributeError, MemoryError)


@dataclass(frozen=True, eq=False)
class Node:
    """A node of the network.

    name   of the node, its graphs before it with dots between: lif1.lif
    kind   its type: LIF, Conv2d ...
    values float64 or int64 arrays, or texts, by their names
    """

    name: str
    kind: str
    values: dict[str, np.ndarray | str] = field(repr=False)


@dataclass(frozen=True, eq=False)
class Graph:
    """The nodes of a file by name, and its edges; graphs within are dissolved, their inputs and outputs nodes."""

    nodes: dict[str, Node]
    edges: list[tuple[str, str]]


def parse(path: str) -> Graph:
    """The graph of a file; raises BadInput where it is no NIR file, or holds what is not read."""
    size = Path(path).stat().st_size
    if size > MOST:
        raise BadInput(f"the file has {size:,} bytes, above {MOST:,}", path, "leave out what is not the network")
    try:
        with h5py.File(BytesIO(Path(path).read_bytes()), "r") as file:
            return _Reader(path).graph(file)
    except BROKEN as error:
        first = (str(error).splitlines() or [""])[0]
        raise BadInput(f"it cannot be read as NIR: {type(error).__name__}: {first}", path, AGAIN) from None


class _Reader:
    def __init__(self, path: str):
        self.path = path
        self.numbers = 0  # read until now
        self.nodes: dict[str, Node] = {}
        self.edges: list[tuple[str, str]] = []

    def graph(self, file: h5py.File) -> Graph:
        root = self._group(file, "node")
        if self._text(root, "type") != GRAPH:
            raise BadInput(f"its root is a {self._text(root, 'type')}, no {GRAPH}", self.path, AGAIN)
        self._inside(root, "", DEEPEST)
        for edge in self.edges:
            for name in edge:
                if name not in self.nodes:
                    raise BadInput(f"an edge names {name}, which is no node", self.path, AGAIN)
        return Graph(self.nodes, list(dict.fromkeys(self.edges)))

    def _inside(self, group: h5py.Group, prefix: str, deepest: int) -> None:
        """The nodes and edges of one graph; one within it is replaced by its own nodes."""
        if not deepest:
            raise BadInput(f"graphs within graphs, more than {DEEPEST} deep", self.path, "flatten the network")
        inner: set[str] = set()
        nodes = self._group(group, "nodes")
        for name in self._members(nodes):
            node = self._group(nodes, name)
            kind = self._text(node, "type")
            if kind == GRAPH:
                inner.add(name)
                self._inside(node, f"{prefix}{name}.", deepest - 1)
            else:
                if prefix + name in self.nodes:
                    raise BadInput(f"two nodes are called {prefix + name}", self.path, AGAIN)
                if len(self.nodes) >= MOST_NAMES:
                    raise BadInput(f"more than {MOST_NAMES} nodes", self.path, "split the network")
                self.nodes[prefix + name] = Node(prefix + name, kind, dict(self._values(node)))
        for source, target in self._edges(group):
            source = self._end(prefix + source, "Output") if source in inner else prefix + source
            target = self._end(prefix + target, "Input") if target in inner else prefix + target
            self.edges.append((source, target))

    def _end(self, graph: str, kind: str) -> str:
        """The one input or output of a graph within."""
        ends = [node.name for node in self.nodes.values() if node.kind == kind and node.name.startswith(f"{graph}.")]
        ends = [name for name in ends if "." not in name[len(graph) + 1 :]]
        if len(ends) != 1:
            raise BadInput(f"the graph {graph} has {len(ends)} nodes of type {kind}", self.path, "give it one")
        return ends[0]

    def _members(self, group: h5py.Group) -> list[str]:
        if len(group) > MOST_NAMES:
            raise BadInput(f"{group.name} has {len(group):,} members, above {MOST_NAMES:,}", self.path, AGAIN)
        return sorted(group)

    def _own(self, group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset:
        """A member that is in the file and is no link."""
        where = f"{group.name}/{name}"
        if name not in group.keys():  # noqa: SIM118  `in group` follows a path
            raise BadInput(f"it lacks {where}", self.path, AGAIN)
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise BadInput(
                f"{where} is a link, which is not followed", self.path, "store what it links to in its place"
            )
        found = group[name]
        if isinstance(found, (h5py.Group, h5py.Dataset)):
            return found
        raise BadInput(f"{where} is neither a group nor a dataset", self.path, AGAIN)

    def _group(self, group: h5py.Group, name: str) -> h5py.Group:
        found = self._own(group, name)
        if not isinstance(found, h5py.Group):
            raise BadInput(f"{group.name}/{name} is no group", self.path, AGAIN)
        return found

    def _dataset(self, group: h5py.Group, name: str) -> h5py.Dataset:
        """A dataset whose bytes are in the file, and no more of them than are allowed."""
        found = self._own(group, name)
        where = f"{group.name}/{name}"
        if not isinstance(found, h5py.Dataset):
            raise BadInput(f"{where} is no dataset", self.path, AGAIN)
        if found.is_virtual or found.external:
            raise BadInput(f"the numbers of {where} are in another file, which is not read", self.path, AGAIN)
        if found.shape is None:
            raise BadInput(f"{where} holds nothing", self.path, AGAIN)
        plan = found.id.get_create_plist()
        if any(plan.get_filter(i)[0] not in FILTERS for i in range(plan.get_nfilters())):
            raise BadInput(f"{where} is packed by a filter that is not read", self.path, "use gzip or none")
        self.numbers += max(prod(found.shape), prod(found.chunks or ()))
        if self.numbers > MOST_NUMBERS:
            raise BadInput(f"its arrays have more than {MOST_NUMBERS:,} numbers, with {where}", self.path, AGAIN)
        return found

    def _text(self, group: h5py.Group, name: str) -> str:
        return self._texts(self._dataset(group, name), ())

    def _texts(self, dataset: h5py.Dataset, index: tuple) -> str:
        """One text of a dataset of them."""
        if h5py.check_string_dtype(dataset.dtype) is None or dataset.dtype.itemsize > MOST_TEXT:
            raise BadInput(f"{dataset.name} holds {dataset.dtype}, no texts", self.path, AGAIN)
        value = dataset[index]
        text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
        if len(text) > MOST_TEXT:
            raise BadInput(f"{dataset.name} holds a text of {len(text):,} characters", self.path, AGAIN)
        return text

    def _edges(self, group: h5py.Group) -> Iterator[tuple[str, str]]:
        dataset = self._dataset(group, "edges")
        if prod(dataset.shape) == 0:
            return
        if len(dataset.shape) != 2 or dataset.shape[1] != 2 or len(dataset) > MOST_NAMES:
            raise BadInput(f"its edges have the shape {list(dataset.shape)}", self.path, f"{MOST_NAMES} pairs at most")
        for i in range(len(dataset)):
            yield self._texts(dataset, (i, 0)), self._texts(dataset, (i, 1))

    def _values(self, node: h5py.Group) -> Iterator[tuple[str, np.ndarray | str]]:
        """The arrays and texts of a node; its metadata is not looked at."""
        for name in self._members(node):
            if name in ("type", "metadata"):
                continue
            dataset = self._dataset(node, name)
            if dataset.dtype.kind in "fiu" and dataset.dtype.itemsize <= 8:
                yield name, np.asarray(dataset[()]).astype(np.float64 if dataset.dtype.kind == "f" else np.int64)
            elif dataset.shape == ():
                yield name, self._texts(dataset, ())
            else:
                raise BadInput(f"{dataset.name} holds {dataset.dtype}", self.path, "store floats or integers")
