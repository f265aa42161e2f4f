"""Runs the emitted network on a batch: words by file through a compiled harness, on Verilator or Icarus."""

import fcntl
import hashlib
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from hwgen.design import Design, Stream
from hwgen.emit import border_wires, library, render_core
from hwgen.errors import BadInput, ToolFailed
from hwgen.flow import read_design
from hwgen.share import share
from hwgen.simulators import check_simulator, run_cocotb
from hwgen.templates import render
from hwgen.weights import LOAD_DATA, LOAD_LAYER, LOAD_WORDS, lists_of

HARNESS = "hwgen_harness"
WORD = (1 << 32) - 1  # the harness counts words and clocks in 32 bits
MOST_STALL = 0.99
SLACK = 1000  # clocks without a handshake beyond what a frame can take


@dataclass(frozen=True, eq=False)
class Run:
    """What a simulation gave.

    words    int64 [N, activations]: the output stream, signed values
    traces   stream name -> int64 [N, activations], for the streams inside, if traced
    cycles   clocks from the first word in to the last word out
    interval clocks from one frame's last word to the next one's, the median; None for fewer than three frames
    """

    words: np.ndarray
    traces: dict[str, np.ndarray]
    cycles: int
    interval: int | None


def simulate(
    folder: str | Path, x: np.ndarray, *, simulator: str = "verilator", stall: float = 0.0, seed: int = 1
) -> tuple[np.ndarray, Run]:
    """Runs the build in `folder` on floats [N, *input shape]; returns float64 [N, *output shape] and the run.

    The result equals module.double()(x.double()). `stall` is the chance, 0 to 0.99, that a stream is held up in a
    clock: each one at both ends and, when above 0, inside too.
    """
    design = read_design(folder)
    frames = check_run(Path(folder), design, x, simulator, stall)
    run = run_words(Path(folder), design, design.input.order.flatten(frames), simulator, stall, seed)
    result = design.graph.dequantize_output(design.output.order.unflatten(run.words))
    return result.numpy(), run


def check_run(folder: Path, design: Design, x: np.ndarray, simulator: str, stall: float) -> torch.Tensor:
    """The input integers [N, channels, rows, columns] for a user's array; raises what can be raised before a run."""
    if not 0 <= stall <= MOST_STALL:
        raise BadInput(f"stall = {stall}", "--stall", f"use a chance from 0 to {MOST_STALL}")
    shape = design.graph.input_shape
    if not (isinstance(x, np.ndarray) and np.issubdtype(x.dtype, np.floating)):
        raise BadInput(
            f"the input is {getattr(x, 'dtype', type(x).__name__)}",
            "--input",
            "give an array of floats, as the module takes them",
        )
    if x.ndim == 0 or x.shape[1:] != tuple(shape) or len(x) == 0:
        raise BadInput(
            f"the input has shape {list(x.shape)}",
            "--input",
            f"give [N, {', '.join(map(str, shape))}], N at least 1",
        )
    if len(x) * max(design.input.order.beats, design.output.order.beats) > WORD:
        raise BadInput(f"{len(x)} frames are more words than one run can count", "--input", "give fewer with --count")
    with np.errstate(over="ignore"):
        x = np.array(x, np.float64, order="C")  # torch takes no other layout, nor all types of numpy
    if not np.isfinite(x).all():
        raise BadInput("the input holds NaN or infinity", "--input", "give finite numbers")
    check_simulator(simulator, folder)
    return design.graph.quantize_input(torch.from_numpy(x))


def run_words(
    folder: Path,
    design: Design,
    words: np.ndarray,
    simulator: str,
    stall: float,
    seed: int,
    traced: bool = False,
) -> Run:
    """Plays input words [N, activations] into the emitted core, and reads what comes out of it and, if `traced`, runs inside
    it. Runs of one kind in one folder wait for each other."""
    kind = simulator + ("-stalls" if stall else "") + ("-traced" if traced else "")
    with _alone(folder / "sim" / kind) as work:
        _prepare(work, folder, design, stall > 0, traced)
        # what is read back must be of this run
        for old in [*work.glob("*.hex"), work / "settings.json"]:
            old.unlink(missing_ok=True)
        _write_words(work / "input.hex", words, design.input)
        if design.loadable:
            np.savetxt(work / "load.hex", lists_of(design, {})[1], fmt="%x")
        patience = int((2 * sum(p.unit.cycles() for p in design.placed) + SLACK) / (1 - stall) ** 2)
        settings = {
            "chance": max(round(stall * 65536), 1) if stall else 0,
            "seed": seed % (1 << 32) or 1,
            "words_out": len(words) * design.output.order.beats,
            "patience": min(patience, WORD - 1),  # the counter must be able to exceed it
        }
        (work / "settings.json").write_text(json.dumps(settings))
        built = work / "built.json"
        if not built.is_file():  # what an interrupted build left would be taken for up to date
            shutil.rmtree(work / "build", ignore_errors=True)
        run_cocotb(
            simulator=simulator,
            sources=[folder / name for name in json.loads((work / "sources.json").read_text())],
            toplevel=HARNESS,
            module="bulk",
            build_dir=work / "build",
            # no assert to rewrite: pytest's plugins, a sixth of a short run, stay out
            environment={"BULK": str((work / "settings.json").resolve()), "COCOTB_REWRITE_ASSERTION_FILES": ""},
            rebuild=not built.is_file(),
            cwd=folder,
        )
        built.write_text("true")
        result = json.loads((work / "settings.json").read_text())["result"]
        if result["hung"] or not result["done"]:
            raise ToolFailed(
                f"the network stopped: no word moved for {settings['patience']} clocks",
                str(work),
                "report it, with the build folder",
            )
        ends = np.loadtxt(work / "frames.txt", dtype=np.int64, ndmin=1)
        return Run(
            words=_read_words(work / "output.hex", design.output),
            traces={s.name: _read_words(work / f"trace_{s.name}.hex", s, len(words)) for s in design.streams()}
            if traced
            else {},
            cycles=result["last_out"] - result["first_in"] + 1,
            interval=int(np.median(np.diff(ends))) if len(ends) > 2 else None,
        )


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


def _prepare(work: Path, folder: Path, design: Design, stalls: bool, traced: bool) -> None:
    """Writes the sources of this kind of run; a simulator built from other sources is forgotten."""
    kind = work.name
    core = f"{design.name}_core"
    harness = render(
        "harness.v.j2",
        harness=HARNESS,
        core=core,
        folder=f"sim/{kind}",
        input=border_wires(design.input),
        output=border_wires(design.output),
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
    made = [path for p in design.placed for path in p.unit.files() if path.endswith(".v")]
    emitted = [(folder / name).read_text() for name in (f"rtl/{core}.v", *made)]
    sources = [
        *library(emitted),
        *made,
        core_path,
        *(f"sim/{kind}/{name}" for name in ("harness.v", "stream_stall.v")),
    ]
    (work / "sources.json").write_text(json.dumps(sources))
    digest = hashlib.sha256(b"".join((folder / name).read_bytes() for name in sources)).hexdigest()
    built = work / "built.json"
    if not (work / "digest").is_file() or (work / "digest").read_text() != digest:
        built.unlink(missing_ok=True)
        (work / "digest").write_text(digest)


def _write_words(path: Path, words: np.ndarray, stream: Stream) -> None:
    bits, side = stream.type.qtype.bits, stream.order.side
    words = words.reshape(-1, side) & ((1 << bits) - 1)
    if side == 1:
        np.savetxt(path, words, fmt="%x")
        return
    beats = (words[:, :, None] >> np.arange(bits) & 1).astype(np.uint8).reshape(len(words), -1)
    beats = np.pad(beats, ((0, 0), (0, -side * bits % 8)))[:, ::-1]
    path.write_text("".join(f"{row.tobytes().hex()}\n" for row in np.packbits(beats, axis=1)))


def _read_words(path: Path, stream: Stream, frames: int | None = None) -> np.ndarray:
    """int64 [N, activations] of a stream's file; `frames` leaves out what was sent after the last whole frame wanted."""
    qtype, side = stream.type.qtype, stream.order.side
    text = path.read_text().split()
    unknown = [word for word in text if not set(word) <= set("0123456789abcdef")]
    if unknown:
        raise ToolFailed(
            f"the network sent a word that is not known: {unknown[0]}",
            str(path),
            "report it, with the build folder",
        )
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
