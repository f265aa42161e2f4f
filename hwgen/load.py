"""Reads what the command line names: NET, a module or a `.pt2` file that is data only, and X, frames and labels."""

import importlib
import importlib.util
import json
import re
import sys
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from io import BytesIO
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.export import ExportedProgram

import hwgen.nn  # registers the custom ops that a program may hold
import hwgen.nn_affine  # noqa: F401
from hwgen.collector import no_collector
from hwgen.errors import BadInput, HwgenError
from hwgen.formats import check_asked, read_network, readers
from hwgen.simulate import Array, Batch


def load(
    net: str, target: str = "exact", **asked
) -> tuple[nn.Module | ExportedProgram, tuple[torch.Tensor, ...] | None]:
    """What NET on the command line names, as hwgen.build takes it: the program of `file.pt2` and None, or the
    (module, example_inputs) that `file.py:function` returns, or that a reader of hwgen/formats/ makes of another file,
    for a target of BuildConfig and with what it is asked beyond.

    A `.py` file is the user's own program and is run; a `.pt2` file is data, and nothing in it is executed.
    """
    name, _, function = net.partition(":")
    path = Path(name)
    if not path.is_file():
        raise BadInput(f"there is no file {name}", net, "name a .pt2 file, or path.py:function")
    if path.suffix in readers() and not function:
        return read_network(name, target, **asked)
    check_asked([option for option, value in asked.items() if value is not None], (), name)
    if path.suffix == ".pt2":
        return _load_program(path), None
    if path.suffix != ".py" or not function:
        raise BadInput(
            f"{net} is neither a .pt2 file nor path.py:function, nor a file of {', '.join(readers())}",
            net,
            "save with torch.export.save, or name a function",
        )
    result = call(net)
    if not (isinstance(result, tuple) and len(result) == 2 and isinstance(result[0], nn.Module)):
        raise BadInput(f"{function}() returned {type(result).__name__}", net, "return (module, example_inputs)")
    return result


def load_batch(sources: Sequence[str], count: int | None = None) -> tuple[Batch, Array | None]:
    """The first `count` frames of each input and labels, or all: of one X on the command line what `load_data` gives;
    of several, each names one input's frames, and the first that has labels gives them."""
    if len(sources) == 1:
        return load_data(sources[0], count)
    arrays, labels = [], None
    for source in sources:
        x, own = load_data(source, count)
        labels = own if labels is None else labels
        if not isinstance(x, (np.ndarray, torch.Tensor)):
            raise BadInput(f"it holds {len(x)} arrays", source, "name one array with each --input, or all with one")
        arrays.append(x)
    return arrays, labels


def load_data(source: str, count: int | None = None) -> tuple[Batch, Array | None]:
    """The first `count` frames and labels, or all, that X on the command line names: `x.npy` or, of several inputs,
    `x.npz`, without labels; or `path.py:function` returning x or (x, labels), x being a list or a dict of arrays where
    there are several inputs."""
    name, _, function = source.partition(":")
    labels = None
    if function:
        result = call(source)
        x, labels = result if isinstance(result, tuple) and len(result) == 2 else (result, None)
    else:
        x = _read(name)

    def first(array):
        if not isinstance(array, (np.ndarray, torch.Tensor)):
            raise BadInput(f"it holds {type(array).__name__}, no array", source, "give one array or tensor, [N, ...]")
        return array[:count]

    try:
        if isinstance(x, Mapping):
            x = {key: first(array) for key, array in x.items()}
        else:
            x = [first(array) for array in x] if isinstance(x, (list, tuple)) else first(x)
        return x, None if labels is None else labels[:count]
    except (IndexError, KeyError, TypeError) as error:
        raise BadInput(f"it gives no rows to take: {error}", source, "give arrays [N, ...] and [N]") from error


def _read(name: str) -> Batch:
    """The array of `x.npy`, or those of `x.npz`: by their names, or in their order if numpy gave them theirs."""
    try:
        with np.errstate(over="ignore"):
            # mapped: a header may claim more than there is, and only `count` frames are read
            x = np.load(name, mmap_mode="r", allow_pickle=False)
            x = dict(x) if isinstance(x, np.lib.npyio.NpzFile) else x
    except (OSError, ValueError, EOFError, OverflowError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise BadInput(f"it cannot be read as an array: {error}", name, "write it with numpy.save") from error
    if isinstance(x, dict) and all(key == f"arr_{n}" for n, key in enumerate(x)):
        return list(x.values())
    return x


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
    if spec is None or spec.loader is None:
        raise BadInput(f"{path.name} is no Python file", source, "name path.py:function")
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
    _register_pt2e()
    try:
        with no_collector():  # it imports much of torch
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


def _register_pt2e() -> None:
    """The operators of PT2E become known to torch, if one of the packages that have them is there."""
    for name in ("torch.ao.quantization.fx._decomposed", "torchao.quantization.pt2e.quantize_pt2e"):
        with suppress(ImportError):
            importlib.import_module(name)
            return


# The members of an archive that are read: structure, plain tensors, and the example inputs
_DATA = re.compile(
    r"archive_format|archive_version|byteorder|\.data/\w+|models/model\.json|data/weights/(weight_\d+|model_weights_config\.json)"
    r"|data/constants/(tensor_\d+|model_constants_config\.json)|data/sample_inputs/model\.pt"
)


# a dynamic batch's size as text; it is evaluated, so nothing else may stand there
_SYMBOL = re.compile(r"Symbol\('\w+'(, (positive|nonnegative|integer)=True)*\)")


MOST = 1 << 30  # bytes that an archive's members, and its tensors, may take in memory
MOST_TEXT = 1 << 26  # of these a JSON member, which takes some ten times as much once it is read
ITEM = 16  # bytes of an element of a tensor, at most
_REMEDY = "make it again with torch.export.save, from a network of tensors and static shapes"


def _harmless(path: Path) -> BytesIO:
    """A copy of the archive that holds data only, and no more than its tensors need.

    torch.export.load runs what an archive tells it to: it unpickles members that a config marks, custom objects,
    example inputs that its safe loader refuses and all of an archive of old form, loads compiled libraries, and
    evaluates the text of symbolic sizes. Each of these is refused. The copy is what is loaded, so that no other reading
    of the zip's directory matters. Sizes are those of the directory, past which nothing is unpacked.
    """
    copy = BytesIO()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(copy, "w") as clean:
        members = archive.infolist()
        names = [member.filename for member in members]
        roots = {name.partition("/")[0] for name in names}
        if len(roots) != 1 or len(set(names)) != len(names):
            raise BadInput("the archive is not one that torch.export.save writes", str(path), _REMEDY)
        texts = _texts(archive, path)
        needs = _needs(texts, path)
        for member in members:
            inside = member.filename.partition("/")[2]
            # a tensor may be a view of more, but what is not in the file was not saved with it
            needed = needs.get(inside, MOST_TEXT)
            if member.file_size > max(needed, member.compress_size):
                raise BadInput(
                    f"{member.filename} in the archive unpacks to {member.file_size:,} bytes, "
                    f"and {needed:,} are needed",
                    str(path),
                    _REMEDY,
                )
            content = texts[inside] if inside in texts else archive.read(member)
            if inside.endswith(".pt"):
                _refuse_pickles(content, member.filename, path)
            clean.writestr(f"model/{inside}", content)
    copy.seek(0)
    return copy


def _texts(archive: zipfile.ZipFile, path: Path) -> dict[str, bytes]:
    """The JSON members by their names inside the archive, which may hold nothing but data, and asks to run nothing."""
    total = sum(member.file_size for member in archive.infolist())
    if total > MOST:
        raise BadInput(f"the archive unpacks to {total:,} bytes, above {MOST:,}", str(path), _REMEDY)
    texts = {}
    for member in archive.infolist():
        inside = member.filename.partition("/")[2]
        if not _DATA.fullmatch(inside):
            raise BadInput(
                f"the archive holds {member.filename}, which is neither structure nor a plain tensor",
                str(path),
                _REMEDY,
            )
        if inside.endswith(".json"):
            if member.file_size > MOST_TEXT:
                raise BadInput(f"{member.filename} in the archive has {member.file_size:,} bytes", str(path), _REMEDY)
            texts[inside] = archive.read(member)
            _refuse_code(json.loads(texts[inside]), member.filename, path, _REMEDY)
    return texts


def _needs(texts: dict[str, bytes], path: Path) -> dict[str, int]:
    """The bytes that the tensors in each member of an archive can need, by what its configs say of their shapes."""
    needs: dict[str, int] = {}
    total = 0
    for name in ("weights", "constants"):
        text = texts.get(f"data/{name}/model_{name}_config.json", b'{"config": {}}')
        for entry in json.loads(text)["config"].values():
            meta = entry["tensor_meta"]
            sizes, strides = ([size["as_int"] for size in meta[key]] for key in ("sizes", "strides"))
            reach = sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
            last = meta["storage_offset"]["as_int"] + reach + 1
            member = f"data/{name}/{entry['path_name']}"
            needs[member] = max(needs.get(member, 0), last * ITEM)
            total += prod(sizes) * ITEM
    if total > MOST:
        raise BadInput(f"the archive's tensors take {total:,} bytes, above {MOST:,}", str(path), _REMEDY)
    return needs


def _refuse_pickles(content: bytes, name: str, path: Path) -> None:
    """Raises BadInput unless a .pt member is one that torch.save writes, without code and not compressed."""
    try:
        with zipfile.ZipFile(BytesIO(content)) as inner:
            plain = all(member.file_size <= member.compress_size for member in inner.infolist())
        if plain:
            torch.load(BytesIO(content), weights_only=True)
    except Exception as error:
        raise BadInput(f"{name} in the archive holds pickled code", str(path), _REMEDY) from error
    if not plain:
        raise BadInput(f"{name} in the archive is compressed in itself", str(path), _REMEDY)


def _refuse_code(value, name: str, path: Path, remedy: str) -> None:
    if isinstance(value, dict):
        if value.get("use_pickle") or not re.fullmatch(r"(weight|tensor)_\d+", value.get("path_name", "tensor_0")):
            raise BadInput(f"{name} in the archive asks for pickled code", str(path), remedy)
        if not _SYMBOL.fullmatch(value.get("expr_str", "Symbol('s')")):
            raise BadInput(f"a size in the archive is the expression {value['expr_str']!r:.80}", str(path), remedy)
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _refuse_code(part, name, path, remedy)
