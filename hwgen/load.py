"""Reads what the command line names: NET, a module or a `.pt2` file that is data only, and X, frames and labels."""

import importlib.util
import json
import re
import sys
import zipfile
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.export import ExportedProgram

import hwgen.nn  # noqa: F401  registers the custom ops that a program may hold
from hwgen.errors import BadInput, HwgenError


def load(net: str) -> tuple[nn.Module | ExportedProgram, tuple[torch.Tensor, ...] | None]:
    """What NET on the command line names, as hwgen.build takes it: the program of `file.pt2` and None, or the
    (module, example_inputs) that `file.py:function` returns.

    A `.py` file is the user's own program and is run; a `.pt2` file is data, and nothing in it is executed.
    """
    name, _, function = net.partition(":")
    path = Path(name)
    if not path.is_file():
        raise BadInput(f"there is no file {name}", net, "name a .pt2 file, or path.py:function")
    if path.suffix == ".pt2":
        return _load_program(path), None
    if path.suffix != ".py" or not function:
        raise BadInput(
            f"{net} is neither a .pt2 file nor path.py:function",
            net,
            "save with torch.export.save, or name a function",
        )
    result = call(net)
    if not (isinstance(result, tuple) and len(result) == 2 and isinstance(result[0], nn.Module)):
        raise BadInput(f"{function}() returned {type(result).__name__}", net, "return (module, example_inputs)")
    return result


def load_data(source: str, count: int | None = None) -> tuple[np.ndarray, np.ndarray | None]:
    """The first `count` frames and labels, or all, that X on the command line names: `x.npy`, without labels, or
    `path.py:function` returning x or (x, labels)."""
    name, _, function = source.partition(":")
    labels = None
    if function:
        result = call(source)
        x, labels = result if isinstance(result, tuple) and len(result) == 2 else (result, None)
    else:
        try:
            x = np.load(name, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise BadInput(f"it cannot be read as an array: {error}", name, "write it with numpy.save") from error
    if not isinstance(x, np.ndarray):
        raise BadInput(f"it holds {type(x).__name__}, no array", source, "give one array, [N, ...]")
    try:
        return x[:count], None if labels is None else labels[:count]
    except (IndexError, KeyError, TypeError) as error:
        raise BadInput(f"it gives no rows to take: {error}", source, "give arrays [N, ...] and [N]") from error


def call(source: str):
    """The result of `path.py:function`, the file run as a module of its own; raises BadInput if it cannot be had.

    The file's folder is searched first meanwhile, as python itself does, so the file can import its neighbours.
    """
    name, _, function = source.partition(":")
    path = Path(name)
    if not path.is_file():
        raise BadInput(f"there is no file {name}", source, "name path.py:function")
    # a name of its own: the file may be called as a module that others import
    spec = importlib.util.spec_from_file_location(f"_hwgen_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    neighbours = str(path.resolve().parent)
    sys.path.insert(0, neighbours)
    try:
        spec.loader.exec_module(module)
        if not hasattr(module, function):
            raise BadInput(f"{path.name} has no function {function}", source, f"define {function}() in that file")
        return getattr(module, function)()
    except HwgenError:
        raise
    except (Exception, SystemExit) as error:
        raise BadInput(
            f"{path.name} ends with {type(error).__name__}: {error}", source, f"run it alone: python {name}"
        ) from error
    finally:
        with suppress(ValueError):  # the file itself may have taken it away
            sys.path.remove(neighbours)


def _load_program(path: Path) -> ExportedProgram:
    try:
        return torch.export.load(_harmless(path))
    except HwgenError:
        raise
    except Exception as error:
        first = (str(error).splitlines() or [""])[0]
        raise BadInput(
            f"it cannot be read as a torch.export program: {type(error).__name__}: {first}",
            str(path),
            "write it with torch.export.save(torch.export.export(module, inputs), path)",
        ) from error


# The members of an archive that are read: structure, plain tensors, and the example inputs
_DATA = re.compile(
    r"archive_format|archive_version|byteorder|\.data/\w+|models/model\.json|data/weights/(weight_\d+|model_weights_config\.json)"
    r"|data/constants/(tensor_\d+|model_constants_config\.json)|data/sample_inputs/model\.pt"
)


# a dynamic batch's size as text; it is evaluated, so nothing else may stand there
_SYMBOL = re.compile(r"Symbol\('\w+'(, (positive|nonnegative|integer)=True)*\)")


def _harmless(path: Path) -> BytesIO:
    """A copy of the archive that holds data only.

    torch.export.load runs what an archive tells it to: it unpickles members that a config marks, custom objects,
    example inputs that its safe loader refuses and all of an archive of old form, loads compiled libraries, and
    evaluates the text of symbolic sizes. Each of these is refused. The copy is what is loaded, so that no other reading
    of the zip's directory matters.
    """
    remedy = "make it again with torch.export.save, from a network of tensors and static shapes"
    copy = BytesIO()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(copy, "w") as clean:
        names = archive.namelist()
        roots = {name.partition("/")[0] for name in names}
        if len(roots) != 1 or len(set(names)) != len(names):
            raise BadInput("the archive is not one that torch.export.save writes", str(path), remedy)
        for name in names:
            inside = name.partition("/")[2]
            if not _DATA.fullmatch(inside):
                raise BadInput(
                    f"the archive holds {name}, which is neither structure nor a plain tensor",
                    str(path),
                    remedy,
                )
            content = archive.read(name)
            if inside.endswith(".json"):
                _refuse_code(json.loads(content), name, path, remedy)
            if inside.endswith(".pt"):
                try:
                    torch.load(BytesIO(content), weights_only=True)
                except Exception as error:
                    raise BadInput(f"{name} in the archive holds pickled code", str(path), remedy) from error
            clean.writestr(f"model/{inside}", content)
    copy.seek(0)
    return copy


def _refuse_code(value, name: str, path: Path, remedy: str) -> None:
    if isinstance(value, dict):
        if value.get("use_pickle") or not re.fullmatch(r"(weight|tensor)_\d+", value.get("path_name", "tensor_0")):
            raise BadInput(f"{name} in the archive asks for pickled code", str(path), remedy)
        if not _SYMBOL.fullmatch(value.get("expr_str", "Symbol('s')")):
            raise BadInput(f"a size in the archive is the expression {value['expr_str']!r:.80}", str(path), remedy)
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _refuse_code(part, name, path, remedy)
