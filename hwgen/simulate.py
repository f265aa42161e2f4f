"""Runs the emitted network on a batch: words by file through a compiled harness, on Verilator or Icarus."""

import fcntl
import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from hwgen.border import ends
from hwgen.design import Design, Stream
from hwgen.emit import files_of_units, render_core
from hwgen.errors import BadInput, ToolFailed
from hwgen.flow import read_design
from hwgen.folder import changed_files, check_places, read_record, write_record, writing
from hwgen.ir import Graph
from hwgen.manifest import read_manifest
from hwgen.share import share
from hwgen.simulators import Seconds, check_simulator, run_cocotb, simulator_of
from hwgen.templates import render
from hwgen.weights import LOAD_DATA, LOAD_LAYER, LOAD_WORDS, lists_of

HARNESS = "hwgen_harness"
WORD = (1 << 32) - 1  # the harness counts words and clocks in 32 bits
MOST_STALL = 0.99
EXACT = 1 << 53  # all integers below are float64
MOST_BLOCK = 8  # samples of one mode that begin a run of modes at random
SLACK = 1000  # clocks without a handshake beyond what a frame can take

# a user's frames: an array [N, *shape], or one for each input, in their order or by their names
Array = np.ndarray | torch.Tensor
Batch = Array | Sequence[Array] | Mapping[str, Array]
Mode = int | str | Sequence[int] | np.ndarray | None


@dataclass(frozen=True, eq=False)
class Run:
    """What a simulation gave.

    words      of each output int64 [N, activations]: its stream, signed values
    traces     stream name -> int64 [N, activations], for the streams inside, and what units keep, if traced
    cycles     clocks in which the network was busy: from that of the first word in to that of the last word out
    first_word clocks from the first word in to the first word out
    latency    clocks from the first word in to the last word of the first turn out, on whatever output
    interval   clocks from one turn's last word to the next one's, the median; None for fewer than three turns
    ended      int64 [turns]: the clock of each turn's last word; a turn is a frame unless the network leaves time steps
               out (hwgen.ir.Graph.turn)
    seconds    to compile the simulator, and to run it
    """

    words: tuple[np.ndarray, ...]
    traces: dict[str, np.ndarray]
    cycles: int
    first_word: int
    latency: int
    interval: int | None
    ended: np.ndarray
    seconds: Seconds

    @property
    def mean_interval(self) -> float | None:
        """The mean of what `interval` is the median of, to a tenth of a clock."""
        return round(float(np.diff(self.ended).mean()), 1) if len(self.ended) > 2 else None


def simulate(
    folder: str | Path,
    x: Batch,
    *,
    simulator: str = "verilator",
    stall: float = 0.0,
    seed: int = 1,
    waves: str | Path | None = None,
    edited: bool = False,
    mode: Mode = None,
) -> tuple[np.ndarray | tuple[np.ndarray, ...], Run]:
    """Runs the build in `folder` on real numbers [N, *input shape]; returns float64 [N, *output shape] and the run.

    Of several inputs, x is a list of such arrays, or they by the inputs' names; of several outputs, a tuple comes back.
    The result equals module.double()(x.double()). `stall` is the chance, 0 to 0.99, that a stream is held up in a
    clock: each one at both ends and, when above 0, inside too. `waves` names the VCD file to write, of all signals.
    A build that is not as hwgen wrote it is refused; with `edited` all but its golden graph may have been. Verilog
    can do what a program can ($system): only simulate a build of one whom you trust. Of a build with several modes:
    mode -- of all frames (default: 0), of each, [N], or "random", as `random_modes`; the result is that of the mode's
    own module.
    """
    design = read_design(folder, edited)
    frames, modes = check_run(Path(folder), design, x, simulator, stall, mode, seed)
    target = None if waves is None else _check_waves(Path(waves))
    run = run_frames(Path(folder), design, frames, simulator, stall, seed, waves=target, modes=modes)
    sent = [stream.order.unflatten(words) for stream, words in zip(design.outputs, run.words, strict=True)]
    results = tuple(
        result.numpy() for result in in_modes(modes, lambda i, *q: design.graphs[i].dequantize_outputs(*q), *sent)
    )
    return (results[0] if len(results) == 1 else results), run


def check_run(
    folder: Path, design: Design, x: Batch, simulator: str, stall: float, mode: Mode = None, seed: int = 1
) -> tuple[tuple[torch.Tensor, ...], np.ndarray]:
    """The integers [N, channels, rows, columns] of each input for a user's arrays, and the mode of each frame; raises
    what can be raised before a run."""
    if not 0 <= stall <= MOST_STALL:
        raise BadInput(f"stall = {stall}", "--stall", f"use a chance from 0 to {MOST_STALL}")
    graph = design.graph
    arrays = _arrays(graph, x)
    count = len(arrays[0])
    if any(len(array) != count for array in arrays):
        each = ", ".join(f"{one.name} {len(array)}" for one, array in zip(graph.inputs, arrays, strict=True))
        raise BadInput(f"the inputs have different numbers of frames: {each}", "--input", "give as many of each")
    if count % graph.frames:
        raise BadInput(f"{count} frames are no whole samples", "--input", f"give a multiple of {graph.frames} frames")
    if count * max(stream.beats for stream in (*design.inputs, *design.outputs)) > WORD:
        raise BadInput(f"{count} frames are more words than one run can count", "--input", "give fewer with --count")
    floats = [_floats(array) for array in arrays]
    modes = modes_of(design, mode, count, seed)
    check_simulator(simulator, folder)
    return in_modes(modes, lambda i, *each: design.graphs[i].quantize_inputs(*each), *floats), modes


def modes_of(design: Design, mode: Mode, count: int, seed: int) -> np.ndarray:
    """The mode [N] of each of `count` frames, alike within a sample; mode -- as in `simulate`."""
    known, sample = len(design.graphs), design.graph.frames
    hint = f"use 0 to {known - 1}, or random" if known > 1 else "the build has one: leave it out"
    if isinstance(mode, str) and mode != "random":
        raise BadInput(f"mode = {mode!r}", "--mode", hint)
    if isinstance(mode, str):
        return random_modes(known, count // sample, seed).repeat(sample)
    modes = np.asarray(0 if mode is None else mode)
    modes = np.full(count, modes) if modes.ndim == 0 else modes
    if modes.dtype.kind not in "iu" or modes.shape != (count,) or modes.min() < 0 or modes.max() >= known:
        raise BadInput(f"mode = {mode} for {count} frames", "--mode", hint)
    if (modes.reshape(-1, sample) != modes[::sample, None]).any():
        raise BadInput("a sample has frames of several modes", "--mode", f"give each {sample} frames one")
    return modes.astype(np.int64)


def random_modes(known: int, count: int, seed: int) -> np.ndarray:
    """The modes of `count` samples: at random, behind a block of each mode, `block_of` samples long, whose pace can be
    measured."""
    modes = np.random.default_rng(seed).integers(known, size=count)
    blocks = np.arange(known).repeat(block_of(known, count))
    modes[: len(blocks)] = blocks
    return modes


def block_of(known: int, count: int) -> int:
    return min(MOST_BLOCK, count // (2 * known))


def in_modes(
    modes: np.ndarray, function: Callable[..., Sequence[torch.Tensor]], *tensors: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """What function(mode, *tensors) gives for the frames [N] of each mode, in the order of the frames."""
    if (modes == modes[0]).all():
        return tuple(function(int(modes[0]), *tensors))
    found: dict[int, Sequence[torch.Tensor]] = {}
    places = {int(mode): torch.from_numpy(np.flatnonzero(modes == mode)) for mode in np.unique(modes)}
    for mode, at in places.items():
        found[mode] = function(mode, *(tensor[at] for tensor in tensors))
    first = next(iter(found.values()))
    merged = tuple(part.new_empty((len(modes), *part.shape[1:])) for part in first)
    for mode, at in places.items():
        for whole, part in zip(merged, found[mode], strict=True):
            whole[at] = part
    return merged


def _arrays(graph: Graph, x: Batch) -> list[np.ndarray]:
    """One array [N, *shape], N at least 1, for each input, in their order; raises BadInput where there is none."""
    names = [one.name for one in graph.inputs]
    if isinstance(x, Mapping):
        if x.keys() != set(names):
            raise BadInput(
                f"the arrays are called {', '.join(map(str, x)) or 'nothing'}",
                "--input",
                f"call them {', '.join(names)}",
            )
        x = [x[name] for name in names]
    several = isinstance(x, (list, tuple)) and all(isinstance(each, (np.ndarray, torch.Tensor)) for each in x)
    given = list(x) if several else [x]
    if len(given) != len(names):
        number = "1 array is" if len(given) == 1 else f"{len(given)} arrays are"
        what = f"the inputs {', '.join(names)}" if len(names) > 1 else "one input"
        hint = "give one --input for each, in this order" if len(names) > 1 else "give one array [N, ...]"
        raise BadInput(f"{number} given for {what}", "--input", hint)
    arrays = [as_array(array) for array in given]
    for one, array in zip(graph.inputs, arrays, strict=True):
        if array.ndim == 0 or array.shape[1:] != tuple(one.shape) or len(array) == 0:
            which = f" {one.name}" if len(names) > 1 else ""
            raise BadInput(
                f"the input{which} has shape {list(array.shape)}",
                "--input",
                f"give [N, {', '.join(map(str, one.shape))}], N at least 1",
            )
    return arrays


def _floats(x: np.ndarray) -> torch.Tensor:
    """The numbers as float64; raises BadInput where that holds not all of them."""
    with np.errstate(over="ignore"):
        floats = np.array(x, np.float64, order="C")  # torch takes no other layout, nor all types of numpy
    if not np.isfinite(floats).all():
        raise BadInput("the input holds NaN or infinity", "--input", "give finite numbers")
    exact = (abs(floats) < EXACT) if x.dtype.kind in "iu" else (floats == x)
    if not exact.all():
        value = x.reshape(-1)[int(np.argmin(exact))]
        raise BadInput(f"the input holds {value!s}, which no float64 is", "--input", "give numbers that float64 holds")
    return torch.from_numpy(floats)


def as_array(x: object, where: str = "--input") -> np.ndarray:
    """A tensor or an array of real numbers as an array, its values as they are; raises BadInput for anything else."""
    if isinstance(x, torch.Tensor):
        wide = x.dtype.is_floating_point and x.dtype not in (torch.float16, torch.float32, torch.float64)
        try:
            x = (x.double() if wide else x).detach().cpu().numpy()  # numpy has no bfloat16
        except (TypeError, RuntimeError) as error:
            raise BadInput(
                f"the input is a tensor that is no plain array: {error}", where, "give x.to_dense()"
            ) from error
    if not isinstance(x, np.ndarray) or x.dtype.kind not in "fiub":
        raise BadInput(
            f"the input is {getattr(x, 'dtype', type(x).__name__)}",
            where,
            "give an array or a tensor of real numbers, as the module takes them",
        )
    return x


def run_frames(
    folder: Path,
    design: Design,
    frames: Sequence[torch.Tensor],
    simulator: str,
    stall: float,
    seed: int,
    traced: bool = False,
    waves: Path | None = None,
    modes: np.ndarray | None = None,
) -> Run:
    """Plays integers [N, channels, rows, columns] of each input into the emitted core, and reads what comes out of it
    and, if `traced`, runs inside it; `waves` is the VCD file to write; modes -- of each frame, where there are several:
    with all words but a frame's first come modes at random. Runs of one kind in one folder wait for each other."""
    kind = simulator + ("-stalls" if stall else "") + ("-traced" if traced else "") + ("-waves" if waves else "")
    check_places(folder, [f"sim/{kind}/*"])
    with writing(folder / "sim" / kind), alone(folder / "sim" / kind) as work:
        sources, digest = _prepare(work, folder, design, stall > 0, traced, simulator)
        # what is read back must be of this run
        for old in [*work.glob("*.hex"), *work.glob("frames*.txt"), work / "settings.json"]:
            old.unlink(missing_ok=True)
        for i, (stream, values) in enumerate(zip(design.inputs, frames, strict=True)):
            tags = None if i or not design.modes else _tags(design, modes, len(values), seed)
            _write_words(work / f"input{i or ''}.hex", stream.order.flatten(values), stream, tags)
        if design.loadable:
            np.savetxt(work / "load.hex", lists_of(design, {})[1], fmt="%x")
        patience = int((2 * sum(p.cycles for p in design.placed) + SLACK) / (1 - stall) ** 2)
        turns = len(frames[0]) // design.graph.turn
        settings = {
            "chance": max(round(stall * 65536), 1) if stall else 0,
            "seed": seed % (1 << 32) or 1,
            "frames": turns,
            "patience": min(patience, WORD - 1),  # the counter must be able to exceed it
        }
        (work / "settings.json").write_text(json.dumps(settings))
        seconds = _run(folder, work, simulator, sources, digest, waves)
        result = json.loads((work / "settings.json").read_text())["result"]
        if result["hung"] or not result["done"]:
            raise ToolFailed(
                f"the network stopped: no word moved for {settings['patience']} clocks", str(work), remedy(folder)
            )
        words, ended = _outputs(work, folder, design, turns)
        traces = {}
        if traced:
            files = {stream: work / f"trace_{stream.name}.hex" for stream in (*design.streams(), *design.kept())}
            traces = {s.name: _read_words(path, s, folder, turns) for s, path in files.items()}
        return Run(
            words=words,
            traces=traces,
            cycles=result["last_out"] - result["first_in"] + 1,
            first_word=result["first_out"] - result["first_in"],
            latency=int(ended[0]) - result["first_in"],
            interval=int(np.median(np.diff(ended))) if len(ended) > 2 else None,
            ended=ended,
            seconds=seconds,
        )


def _outputs(work: Path, folder: Path, design: Design, count: int) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """The frames of the first `count` turns of each output, and the clocks [count] at which these had ended on all."""
    words, ended = [], []
    for i, stream in enumerate(design.outputs):
        n = i or ""
        out = _read_words(work / f"output{n}.hex", stream, folder, count)
        at = np.loadtxt(work / f"frames{n}.txt", dtype=np.int64, ndmin=1)
        if len(out) < count * stream.frames or len(at) < count:
            raise ToolFailed(
                f"the simulation left {len(out)} of {count * stream.frames} frames", str(work), "look for a full disk"
            )
        words.append(out)
        ended.append(at[:count])
    return tuple(words), np.max(ended, axis=0)


def remedy(folder: Path) -> str:
    """What to do about a build that answers wrongly: whose fault it can be depends on who wrote its files."""
    changed = changed_files(folder, read_manifest(folder))
    if changed:
        return f"the build was edited: look at {', '.join(changed)}, or build again"
    return "report it, with the build folder"


def _check_waves(path: Path) -> Path:
    """The file to write; raises BadInput if it cannot be."""
    if path.suffix != ".vcd":
        raise BadInput("waves are written as VCD", str(path), "name a file *.vcd")
    with writing(path):
        path.open("w").close()
    return path


def _run(folder: Path, work: Path, simulator: str, sources: list[str], digest: str, waves: Path | None) -> Seconds:
    """Runs the harness, with the simulator of an earlier run where it was built from what would be compiled now."""
    built = work / "built.json"
    old = read_record(built)
    rebuild = old is None or old.get("digest") != digest
    if rebuild:  # what an interrupted build left would be taken for up to date
        built.unlink(missing_ok=True)
        shutil.rmtree(work / "build", ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="hwgen-") as place:
        # the paths of the memories and of the harness hold here too, but Python imports from where it runs, and a
        # build's folder may hold anything
        for name in ("rom", "sim"):
            (Path(place) / name).symlink_to((folder / name).resolve())
        seconds = run_cocotb(
            simulator=simulator,
            sources=[folder / name for name in sources],
            toplevel=HARNESS,
            module="bulk",
            build_dir=work / "build",
            # no assert to rewrite: pytest's plugins, a sixth of a short run, stay out
            environment={"BULK": str((work / "settings.json").resolve()), "COCOTB_REWRITE_ASSERTION_FILES": ""},
            rebuild=rebuild,
            waves=waves,
            cwd=place,
        )
    write_record(built, {"digest": digest})
    return seconds


@contextmanager
def alone(work: Path) -> Iterator[Path]:
    """The folder of a kind of run, for this process only."""
    work.mkdir(parents=True, exist_ok=True)
    with (work / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"waiting for another run in {work}", file=sys.stderr)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield work


def _prepare(
    work: Path, folder: Path, design: Design, stalls: bool, traced: bool, simulator: str
) -> tuple[list[str], str]:
    """Writes what this kind of run adds to the build; returns its sources, and a digest of them and of the tool."""
    kind = work.name
    core = f"{design.name}_core"
    harness = render(
        "harness.v.j2",
        harness=HARNESS,
        core=core,
        folder=f"sim/{kind}",
        inputs=ends("in", design.inputs),
        outputs=ends("out", design.outputs),
        traced=_traced(design) if traced else [],
        held=[stream.name for stream in design.streams()] if stalls else [],
        stalls=stalls,
        layers=len(design.loadable),
        watched=len(design.watched),
        registers={"LAYER": LOAD_LAYER, "WORDS": LOAD_WORDS, "DATA": LOAD_DATA},
        mode_bits=design.mode_bits,
    )
    texts = {"harness.v": harness}
    core_path = f"rtl/{core}.v"
    if stalls:
        texts["core.v"] = render_core(design, core, stalls=True)
        core_path = f"sim/{kind}/core.v"
    texts["stream_stall.v"] = (share("sim") / "stream_stall.v").read_text()
    for name, text in texts.items():
        (work / name).write_text(text)
    sources = [
        *sorted(path for path in files_of_units(design) if path.endswith(".v")),
        core_path,
        *(f"sim/{kind}/{name}" for name in ("harness.v", "stream_stall.v")),
    ]
    if missing := next((name for name in sources if not (folder / name).is_file()), None):
        raise BadInput(f"the Verilog needs {missing}, which is not there", str(folder / missing), "build again")
    tool = f"{simulator} {simulator_of(simulator).version()}".encode()
    texts_read = [name.encode() + (folder / name).read_bytes() for name in sources]
    return sources, hashlib.sha256(b"\0".join([tool, *texts_read])).hexdigest()


def _traced(design: Design) -> list[dict[str, str]]:
    """What the harness writes of the streams inside, and of what units keep from frame to frame."""
    found = [
        {"name": name, "moves": f"dut.{name}_tvalid && dut.{name}_tready", "data": f"dut.{name}_tdata"}
        for name in (stream.name for stream in design.streams())
    ]
    for stream, placed in design.kept().items():
        inside = f"dut.{placed.unit.instance}.{placed.unit.keeper}"
        found.append({"name": stream.name, "moves": f"{inside}write", "data": f"{inside}keep"})
    return found


def _tags(design: Design, modes: np.ndarray | None, count: int, seed: int) -> np.ndarray:
    """The bits [beats, mode_bits] above the words of the first input, the lowest first."""
    tags = np.random.default_rng(seed).integers(len(design.modes), size=(count, design.inputs[0].order.beats))
    tags[:, 0] = 0 if modes is None else modes
    return (tags.reshape(-1, 1) >> np.arange(design.mode_bits) & 1).astype(np.uint8)


def _write_words(path: Path, words: np.ndarray, stream: Stream, tags: np.ndarray | None = None) -> None:
    """A beat a line; tags -- bits [beats, n] above them."""
    bits, side = stream.type.qtype.bits, stream.order.side
    words = words.reshape(-1, side) & ((1 << bits) - 1)
    if side == 1 and tags is None:
        np.savetxt(path, words, fmt="%x")
        return
    beats = (words[:, :, None] >> np.arange(bits) & 1).astype(np.uint8).reshape(len(words), -1)
    beats = beats if tags is None else np.concatenate([beats, tags], axis=1)
    beats = np.pad(beats, ((0, 0), (0, -beats.shape[1] % 8)))[:, ::-1]
    path.write_text("".join(f"{row.tobytes().hex()}\n" for row in np.packbits(beats, axis=1)))


def _read_words(path: Path, stream: Stream, folder: Path, turns: int | None = None) -> np.ndarray:
    """int64 [N, activations] of a stream's file; `turns` leaves out what was sent after the last one wanted."""
    qtype, side = stream.type.qtype, stream.order.side
    text = path.read_text().split()
    unknown = [word for word in text if not set(word) <= set("0123456789abcdef")]
    if unknown:
        raise ToolFailed(f"the network sent a word that is not known: {unknown[0]}", str(path), remedy(folder))
    if turns is not None:
        text = text[: turns * stream.beats]
    if side == 1:
        words = np.array([int(word, 16) for word in text], np.int64)
    else:
        padded = "".join(word.zfill(len(word) + len(word) % 2) for word in text)
        rows = np.frombuffer(bytes.fromhex(padded), np.uint8).reshape(len(text), -1)
        bits = np.unpackbits(rows, axis=1)[:, ::-1][:, : side * qtype.bits].astype(np.int64)
        words = (bits.reshape(-1, qtype.bits) << np.arange(qtype.bits)).sum(axis=1)
    if qtype.signed:
        words = np.where(words >> (qtype.bits - 1), words - (1 << qtype.bits), words)
    activations = stream.order.beats * side
    return words[: len(words) // activations * activations].reshape(-1, activations)
