"""Compares the emitted network with the golden integers, and finds the first wrong layer, channel and pixel."""

from math import prod
from pathlib import Path

import numpy as np
import torch

from hwgen.design import Design
from hwgen.errors import BadInput, Mismatch, ToolFailed
from hwgen.flow import read_build, read_design
from hwgen.folder import VERIFICATION, sources_digest, write_record, writing
from hwgen.simulate import check_run, remedy, run_words

ACTIVATIONS = 1 << 24  # of one tensor, about as many as the golden model evaluates at once


def verify(
    folder: str | Path,
    x: np.ndarray | torch.Tensor,
    *,
    labels: np.ndarray | torch.Tensor | None = None,
    simulator: str = "verilator",
    stall: float = 0.0,
    seed: int = 1,
    edited: bool = False,
) -> dict:
    """Runs the build in `folder` on real numbers [N, *input shape] and compares every output integer with the golden
    model's.

    labels -- int [N]: adds the accuracy of the largest output
    edited -- whether files of the build may have been changed; as in `hwgen.simulate`
    Returns simulator, stall, seed, sources (a digest of what was simulated), edited (the files that are not as hwgen
    wrote them), frames, equal (frames); cycles, interval, first_word, latency as in `hwgen.simulate.Run`;
    predicted_latency; compile_seconds, run_seconds; accuracy; and leaves it in the build for the report. When a frame
    differs, the network is run again with every stream recorded, up to the first wrong frame, and Mismatch names the
    first wrong place; a run that failed is recorded as `failed`, what was wrong.
    """
    folder = Path(folder)
    known, changed = read_build(folder, edited)
    design = read_design(folder, edited)
    labels = None if labels is None else _check_labels(labels, x)
    frames = check_run(folder, design, x, simulator, stall)
    record = folder / VERIFICATION
    with writing(record):
        record.unlink(missing_ok=True)
    result = {
        "simulator": simulator,
        "stall": stall,
        "seed": seed,
        "sources": sources_digest(folder, known),
        "predicted_latency": known["latency"],
        "edited": changed,
        "frames": len(frames),
    }
    try:
        result |= _compare(folder, design, frames, labels, simulator, stall, seed)
    except (Mismatch, ToolFailed) as error:
        write_record(record, result | {"failed": error.what})
        raise
    write_record(record, result)
    return result


def _check_labels(labels: object, x: np.ndarray | torch.Tensor) -> np.ndarray:
    """The labels as integers [N]; raises BadInput if they are not one for each frame of `x`."""
    hint = "give one integer for each frame"
    try:
        labels = labels.detach().numpy() if isinstance(labels, torch.Tensor) else np.asarray(labels)
    except (TypeError, ValueError, RuntimeError) as error:
        raise BadInput(f"the labels are no array: {error}", "--input", hint) from error
    if labels.dtype.kind not in "iu":
        raise BadInput(f"the labels are {labels.dtype}", "--input", hint)
    if labels.shape != np.shape(x)[:1]:
        raise BadInput(f"the labels have shape {list(labels.shape)}, the input {list(np.shape(x))}", "--input", hint)
    return labels


def _compare(
    folder: Path,
    design: Design,
    frames: torch.Tensor,
    labels: np.ndarray | None,
    simulator: str,
    stall: float,
    seed: int,
) -> dict:
    """What a run adds to the result of `verify`."""
    run = run_words(folder, design, design.inputs[0].order.flatten(frames), simulator, stall, seed)
    largest = max(prod(kind.shape) for kind in design.graph.types().values())
    sample = design.graph.frames
    at_once = sample * max(1, ACTIVATIONS // (largest * sample))
    golden = torch.cat([design.graph.eval(part)[0] for part in frames.split(at_once)])
    wrong = np.flatnonzero((run.words != design.outputs[0].order.flatten(golden)).any(axis=1))
    if len(wrong):
        first = int(wrong[0])
        raise Mismatch(
            f"{len(wrong)} of {len(frames)} frames differ from the golden integers; frame {first}: "
            + _locate(folder, design, frames[: first - first % sample + sample], simulator, stall, seed),
            str(folder),
            remedy(folder),
        )
    result = {
        "equal": len(frames),
        "cycles": run.cycles,
        "interval": run.interval,
        "first_word": run.first_word,
        "latency": run.latency,
        "compile_seconds": round(run.seconds.compile, 2),
        "run_seconds": round(run.seconds.run, 2),
    }
    if labels is not None:
        guesses = golden.reshape(len(golden), -1).argmax(dim=1).numpy()
        result["accuracy"] = float((guesses == labels).mean())
    return result


def _locate(folder: Path, design: Design, frames: torch.Tensor, simulator: str, stall: float, seed: int) -> str:
    """Where the last sample of `frames` first goes wrong, in the order of the graph."""
    sample = design.graph.frames
    run = run_words(folder, design, design.inputs[0].order.flatten(frames), simulator, stall, seed, traced=True)
    golden = dict(design.graph.trace(frames[-sample:]))
    senders = {stream.name: placed.unit.name for placed in design.placed for stream in placed.outputs}
    for stream in design.streams():
        where = f"{senders.get(stream.name, 'input')} (stream {stream.name})"
        want = golden[stream.tensor]
        sent = run.traces[stream.name]
        if len(sent) < len(frames):
            return f"{where} sent {len(sent)} of {len(frames)} frames"
        got = stream.order.unflatten(sent[len(frames) - sample :][:sample])
        if not torch.equal(got, want):
            frame, channel, row, column = (int(i) for i in (got != want).nonzero()[0])
            return (
                f"first wrong layer {where}, channel {channel}, pixel row {row} column {column}: "
                f"got {int(got[frame, channel, row, column])}, want {int(want[frame, channel, row, column])}"
            )
    return "every stream is right when recorded: the fault does not repeat"
