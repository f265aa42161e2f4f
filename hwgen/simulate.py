"""Runs the emitted network on a batch: words by file through a compiled harness, on Verilator or Icarus."""

import fcntl
import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from hwgen.design import Design, Stream
from hwgen.emit import border_wires, files_of_units, render_core
from hwgen.errors import BadInput, ToolFailed
from hwgen.flow import read_design, read_manifest
from hwgen.folder import changed_files, check_places, read_record, write_record, writing
from hwgen.share import share
from hwgen.simulators import Seconds, check_simulator, run_cocotb, simulator_of
from hwgen.templates import render
from hwgen.weights import LOAD_DATA, LOAD_LAYER, LOAD_WORDS, lists_of

HARNESS = "hwgen_harness"
WORD = (1 << 32) - 1  # the harness counts words and clocks in 32 bits
MOST_STALL = 0.99
EXACT = 1 << 53  # all integers below are float64
SLACK = 1000  # clocks without a handshake beyond what a frame can take


@dataclass(frozen=True, eq=False)
class Run:
    """What a simulation gave.

    words      int64 [N, activations]: the output stream, signed values
    traces     stream name -> int64 [N, activations], for the streams inside, if traced
    cycles     clocks in which the network was busy: from that of the first word in to that of the last word out
    first_word clocks from the first word in to the first word out
    latency    clocks from the first word in to the last word of the first frame out
    interval   clocks from one frame's last word to the next one's, the median; None for fewer than three frames
    seconds    to compile the simulator, and to run it
    """

    words: np.ndarray
    traces: dict[str, np.ndarray]
    cycles: int
    first_word: int
    latency: int
    interval: int | None
    seconds: Seconds


def simulate(
    folder: str | Path,
    x: np.ndarray | torch.Tensor,
    *,
    simulator: str = "verilator",
    stall: float = 0.0,
    seed: int = 1,
    waves: str | Path | None = None,
    edited: bool = False,
) -> tuple[np.ndarray, Run]:
    """Runs the build in `folder` on real numbers [N, *input shape]; returns float64 [N, *output shape] and the run.

    The result equals module.double()(x.double()). `stall` is the chance, 0 to 0.99, that a stream is held up in a
    clock: each one at both ends and, when above 0, inside too. `waves` names the VCD file to write, of all signals.
    A build that is not as hwgen wrote it is refused; with `edited` all but its golden graph may have been. Verilog
    can do what a program can ($system): only simulate a build of one whom you trust.
    """
    design = read_design(folder, edited)
    frames = check_run(Path(folder), design, x, simulator, stall)
    target = None if waves is None else _check_waves(Path(waves))
    run = run_words(Path(folder), design, design.inputs[0].order.flatten(frames), simulator, stall, seed, waves=target)
    (result,) = design.graph.dequantize_outputs(design.outputs[0].order.unflatten(run.words))
    return result.numpy(), run


def check_run(folder: Path, design: Design, x: np.ndarray | torch.Tensor, simulator: str, stall: float) -> torch.Tensor:
    """The input integers [N, channels, rows, columns] for a user's array; raises what can be raised before a run."""
    if not 0 <= stall <= MOST_STALL:
        raise BadInput(f"stall = {stall}", "--stall", f"use a chance from 0 to {MOST_STALL}")
    shape = design.graph.inputs[0].shape
    x = as_array(x)
    if x.ndim == 0 or x.shape[1:] != tuple(shape) or len(x) == 0:
        raise BadInput(
            f"the input has shape {list(x.shape)}",
            "--input",
            f"give [N, {', '.join(map(str, shape))}], N at least 1",
        )
    if len(x) % design.graph.frames:
        raise BadInput(
            f"{len(x)} frames are no whole samples", "--input", f"give a multiple of {design.graph.frames} frames"
        )
    if len(x) * max(design.inputs[0].order.beats, design.outputs[0].order.beats) > WORD:
        raise BadInput(f"{len(x)} frames are more words than one run can count", "--input", "give fewer with --count")
    with np.errstate(over="ignore"):
        floats = np.array(x, np.float64, order="C")  # torch takes no other layout, nor all types of numpy
    if not np.isfinite(floats).all():
        raise BadInput("the input holds NaN or infinity", "--input", "give finite numbers")
    exact = (abs(floats) < EXACT) if x.dtype.kind in "iu" else (floats == x)
    if not exact.all():
        value = x.reshape(-1)[int(np.argmin(exact))]
        raise BadInput(f"the input holds {value!s}, which no float64 is", "--input", "give numbers that float64 holds")
    check_simulator(simulator, folder)
    return design.graph.inputs[0].quantize(torch.from_numpy(floats))


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


def run_words(
    folder: Path,
    design: Design,
    words: np.ndarray,
    simulator: str,
    stall: float,
    seed: int,
    traced: bool = False,
    waves: Path | None = None,
) -> Run:
    """Plays input words [N, activations] into the emitted core, and reads what comes out of it and, if `traced`, runs
    inside it; `waves` is the VCD file to write. Runs of one kind in one folder wait for each other."""
    kind = simulator + ("-stalls" if stall else "") + ("-traced" if traced else "") + ("-waves" if waves else "")
    check_places(folder, [f"sim/{kind}/*"])
    with writing(folder / "sim" / kind), _alone(folder / "sim" / kind) as work:
        sources, digest = _prepare(work, folder, design, stall > 0, traced, simulator)
        # what is read back must be of this run
        for old in [*work.glob("*.hex"), work / "settings.json"]:
            old.unlink(missing_ok=True)
        _write_words(work / "input.hex", words, design.inputs[0])
        if design.loadable:
            np.savetxt(work / "load.hex", lists_of(design, {})[1], fmt="%x")
        patience = int((2 * sum(p.unit.cycles() for p in design.placed) + SLACK) / (1 - stall) ** 2)
        settings = {
            "chance": max(round(stall * 65536), 1) if stall else 0,
            "seed": seed % (1 << 32) or 1,
            "words_out": len(words) * design.outputs[0].order.beats,
            "patience": min(patience, WORD - 1),  # the counter must be able to exceed it
        }
        (work / "settings.json").write_text(json.dumps(settings))
        seconds = _run(folder, work, simulator, sources, digest, waves)
        result = json.loads((work / "settings.json").read_text())["result"]
        if result["hung"] or not result["done"]:
            raise ToolFailed(
                f"the network stopped: no word moved for {settings['patience']} clocks", str(work), remedy(folder)
            )
        ends = np.loadtxt(work / "frames.txt", dtype=np.int64, ndmin=1)
        out = _read_words(work / "output.hex", design.outputs[0], folder)
        if len(out) != len(words) or len(ends) != len(words):
            raise ToolFailed(
                f"the simulation left {len(out)} of {len(words)} frames", str(work), "look for a full disk"
            )
        traces = {}
        if traced:
            files = {stream: work / f"trace_{stream.name}.hex" for stream in design.streams()}
            traces = {s.name: _read_words(path, s, folder, len(words)) for s, path in files.items()}
        return Run(
            words=out,
            traces=traces,
            cycles=result["last_out"] - result["first_in"] + 1,
            first_word=result["first_out"] - result["first_in"],
            latency=int(ends[0]) - result["first_in"],
            interval=int(np.median(np.diff(ends))) if len(ends) > 2 else None,
            seconds=seconds,
        )


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
def _alone(work: Path) -> Iterator[Path]:
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
        input=border_wires(design.inputs[0]),
        output=border_wires(design.outputs[0]),
        traced=[border_wires(stream) for stream in design.streams()] if traced else [],
        held=[stream.name for stream in design.streams()] if stalls else [],
        stalls=stalls,
        layers=len(design.loadable),
        registers={"LAYER": LOAD_LAYER, "WORDS": LOAD_WORDS, "DATA": LOAD_DATA},
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


def _write_words(path: Path, words: np.ndarray, stream: Stream) -> None:
    bits, side = stream.type.qtype.bits, stream.order.side
    words = words.reshape(-1, side) & ((1 << bits) - 1)
    if side == 1:
        np.savetxt(path, words, fmt="%x")
        return
    beats = (words[:, :, None] >> np.arange(bits) & 1).astype(np.uint8).reshape(len(words), -1)
    beats = np.pad(beats, ((0, 0), (0, -side * bits % 8)))[:, ::-1]
    path.write_text("".join(f"{row.tobytes().hex()}\n" for row in np.packbits(beats, axis=1)))


def _read_words(path: Path, stream: Stream, folder: Path, frames: int | None = None) -> np.ndarray:
    """int64 [N, activations] of a stream's file; `frames` leaves out what was sent after the last frame wanted."""
    qtype, side = stream.type.qtype, stream.order.side
    text = path.read_text().split()
    unknown = [word for word in text if not set(word) <= set("0123456789abcdef")]
    if unknown:
        raise ToolFailed(f"the network sent a word that is not known: {unknown[0]}", str(path), remedy(folder))
    if frames is not None:
        text = text[: frames * stream.order.beats]
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
