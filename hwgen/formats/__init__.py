"""One file per format of other tools. A file says which SUFFIXES it reads, and its `read(path, target)` gives a module
of torch operations and the inputs of an example; it is found by being here. What a format does not hold and `read`
takes beyond that is in its ASKS; where a module is not all that a file says, its `compare` tells by how much."""

import functools
import importlib
import pkgutil
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from hwgen.errors import BadInput

Read = tuple[nn.Module, tuple[Tensor, ...]]


@functools.cache
def readers() -> dict[str, ModuleType]:
    """The module that reads each suffix, every file of this folder read."""
    found = {}
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        found.update(dict.fromkeys(module.SUFFIXES, module))
    return found


def read_network(path: str, target: str = "exact", **asked) -> Read:
    """The network of a file as (module, example_inputs), which hwgen.build takes.

    The module computes in float64 what the file says, with a submodule for each of its nodes; `target` is that of
    BuildConfig, `asked` what a format does not hold and its ASKS names, None standing for what is not given. Raises
    BadInput where no reader knows the suffix, an extra is not installed, the file is broken or something is asked that
    its format holds, and UnsupportedLayer, or Obstacles, for what it holds.
    """
    file = Path(path)
    if file.suffix not in readers():
        raise BadInput(f"no reader of {file.suffix or 'files without a suffix'}", path, f"use {', '.join(readers())}")
    if not file.is_file():
        raise BadInput(f"there is no file {path}", path, "name a file that is there")
    reader = readers()[file.suffix]
    given = {name: value for name, value in asked.items() if value is not None}
    check_asked(given, getattr(reader, "ASKS", ()), path)
    return reader.read(path, target, **given)


def compare(path: str, module: nn.Module, x: Tensor, **asked) -> list[str]:
    """How far a module of `read_network` is from what its file says, on frames [N, ...], in lines; raises BadInput for
    formats whose networks are what the file says."""
    reader = readers().get(Path(path).suffix)
    if reader is None or not hasattr(reader, "compare"):
        raise BadInput(
            "--input for a network that is built as it is", path, "leave it out: hwgen verify compares the RTL"
        )
    return reader.compare(path, module, x, **{name: value for name, value in asked.items() if value is not None})


def check_asked(given: Iterable[str], known: Sequence[str], path: str) -> None:
    """Raises BadInput for an option that says what a network of this kind tells itself."""
    if others := [name for name in given if name not in known]:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in others)
        raise BadInput(f"{names} for a {Path(path).suffix} file, which tells that itself", path, "leave it out")


def needs(module: str, path: str, extra: str) -> ModuleType:
    """A module that reads files of one kind, and which an extra of the package brings."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise BadInput(f"a {Path(path).suffix} file needs {module}", path, f"pip install hwgen[{extra}]") from error


class Network(nn.Module):
    """A network as a list of named steps, each a submodule, on tensors that have names.

    inputs, outputs  names of tensors: those of forward's arguments, and of its result, a tensor or a tuple of them
    notes            what was put in the place of the file's numbers, to be told to the user
    """

    def __init__(self, inputs: Sequence[str], outputs: Sequence[str]):
        super().__init__()
        self.inputs, self.outputs = list(inputs), list(outputs)
        self.notes: list[str] = []
        self.calls: list[tuple[str, list[str], list[str]]] = []  # submodule, tensors that it takes, tensors it gives

    def step(self, name: str, module: nn.Module, takes: Sequence[str], gives: Sequence[str]) -> str:
        """Appends a step; `name` is the file's, of which the submodule's is made. A step that gives several tensors
        returns a tuple or list of them, one that gives one the tensor itself. Returns the submodule's name."""
        name = base = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "step"
        if not base.isidentifier():
            name = base = f"n{base}"
        count = 1
        while hasattr(self, name):
            count += 1
            name = f"{base}_{count}"
        self.add_module(name, module)
        self.calls.append((name, list(takes), list(gives)))
        return name

    def tensors(self, *arguments: Tensor) -> dict[str, Tensor]:
        """All tensors of the network by their names."""
        values = dict(zip(self.inputs, arguments, strict=True))
        for name, takes, gives in self.calls:
            result = self.get_submodule(name)(*[values[tensor] for tensor in takes])
            values.update(zip(gives, result if len(gives) > 1 else [result], strict=True))
        return values

    def forward(self, x: Tensor, *more: Tensor):
        # torch.fx takes `more` for one thing, which it never looks into where there is one input
        values = self.tensors(*([x, *more] if len(self.inputs) > 1 else [x]))
        results = [values[tensor] for tensor in self.outputs]
        return tuple(results) if len(results) > 1 else results[0]


class Call(nn.Module):
    """A step that is one function of its tensors and of constants, kept as float64 buffers in the order given."""

    def __init__(self, function: Callable, *constants: Tensor):
        super().__init__()
        self.function = function
        for n, constant in enumerate(constants):
            self.register_buffer(f"constant_{n}", constant if constant.dtype == torch.int64 else constant.double())

    def forward(self, *tensors: Tensor):
        return self.function(*tensors, *self.buffers())
