"""Compares the emitted network with the golden integers, and finds the first wrong layer, channel and pixel."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import prod
from pathlib import Path

import numpy as np
import torch

from hwgen.design import Design, Placed
from hwgen.errors import BadInput, Mismatch, ToolFailed
from hwgen.flow import read_design
from hwgen.folder import VERIFICATION, sources_digest, write_record, writing
from hwgen.ir import Graph
from hwgen.manifest import read_build
from hwgen.simulate import Batch, Mode, Run, check_run, in_modes, remedy, run_frames

STEADY = 4  # frames of one mode until they follow each other at its pace
ACTIVATIONS = 1 << 24  # of one tensor, about as many as the golden model evaluates at once


def verify(
    folder: str | Path,
    x: Batch,
    *,
    labels: np.ndarray | torch.Tensor | None = None,
    simulator: str = "verilator",
    stall: float = 0.0,
    seed: int = 1,
    edited: bool = False,
    mode: Mode = None,
    inside: bool = False,
) -> dict:
    """Runs the build in `folder` on real numbers [N, *input shape], of several inputs a list of these or they by name,
    and compares every integer of every output with the golden model's.

    labels -- int [N], one for each frame of the first output: adds the accuracy of its largest value
    edited -- whether files of the build may have been changed; as in `hwgen.simulate`
    mode -- of a build with several, as in `hwgen.simulate`; default: that of each frame at random
    inside -- also compares, of all frames, each number of each stream inside, and what neurons keep of each time step;
    of a build with one mode. Where samples may end early, streams of their time steps are left out.
    Returns simulator, stall, seed, sources (a digest of what was simulated), edited (the files that are not as hwgen
    wrote them), frames, equal (frames); cycles, interval, mean_interval, first_word, latency as in
    `hwgen.simulate.Run`; predicted_latency; modes and interval_of_modes, of each mode the frames and the cycles from
    one to the next, None where too few followed each other; compile_seconds, run_seconds; accuracy; and leaves it in
    the build for the report. When a frame differs, the network is run again with every stream recorded, up to the first
    wrong frame, and Mismatch names the first wrong place; a run that failed is recorded as `failed`, what was wrong.
    """
    folder = Path(folder)
    known, changed = read_build(folder, edited)
    design = read_design(folder, edited)
    if inside and design.modes:
        raise BadInput("the build has several modes", "--inside", "leave it out: a frame that is wrong is looked into")
    mode = "random" if mode is None and design.modes else mode
    frames, modes = check_run(folder, design, x, simulator, stall, mode, seed)
    labels = (
        None
        if labels is None
        else _check_labels(labels, len(frames[0]) // design.graph.turn * design.outputs[0].frames)
    )
    record = folder / VERIFICATION
    with writing(record):
        record.unlink(missing_ok=True)
    result = {
        "simulator": simulator,
        "stall": stall,
        "seed": seed,
        "sources": sources_digest(folder, known),
        "predicted_latency": known["modes"][modes[0]]["latency"] if design.modes else known["latency"],
        "edited": changed,
        "frames": len(frames[0]),
        "modes": [int((modes == i).sum()) for i in range(len(design.modes))],
    }
    try:
        result |= _compare(folder, design, frames, modes, labels, simulator, stall, seed, inside)
    except (Mismatch, ToolFailed) as error:
        write_record(record, result | {"failed": error.what})
        raise
    write_record(record, result)
    return result


def _check_labels(labels: object, count: int) -> np.ndarray:
    """The labels as integers [count]; raises BadInput if they are not one for each frame."""
    hint = "give one integer for each frame"
    try:
        labels = labels.detach().numpy() if isinstance(labels, torch.Tensor) else np.asarray(labels)
    except (TypeError, ValueError, RuntimeError) as error:
        raise BadInput(f"the labels are no array: {error}", "--input", hint) from error
    if labels.dtype.kind not in "iu":
        raise BadInput(f"the labels are {labels.dtype}", "--input", hint)
    if labels.shape != (count,):
        raise BadInput(f"the labels have shape {list(labels.shape)}, for {count} frames", "--input", hint)
    return labels


def _compare(
    folder: Path,
    design: Design,
    frames: tuple[torch.Tensor, ...],
    modes: np.ndarray,
    labels: np.ndarray | None,
    simulator: str,
    stall: float,
    seed: int,
    inside: bool,
) -> dict:
    """What a run adds to the result of `verify`."""
    run = run_frames(folder, design, frames, simulator, stall, seed, traced=inside, modes=modes)
    count, sample = len(frames[0]), design.graph.frames
    golden = in_modes(modes, lambda mode, *q: golden_of(design.graphs[mode], q), *frames)
    wrong = np.zeros(count, bool)
    for stream, sent, want in zip(design.outputs, run.words, golden, strict=True):
        of_turns = (sent != stream.order.flatten(want)).reshape(count // design.graph.turn, -1).any(axis=1)
        wrong |= of_turns.repeat(design.graph.turn)
    if wrong.any():
        first = int(np.argmax(wrong))
        until = tuple(each[: first - first % sample + sample] for each in frames)
        raise Mismatch(
            f"{wrong.sum()} of {count} frames differ from the golden integers; frame {first}: "
            + (f"of mode {modes[first]}: " if design.modes else "")
            + _locate(folder, design, until, modes[: len(until[0])], simulator, stall, seed),
            str(folder),
            remedy(folder),
        )
    compared = {}
    if inside:
        turns = count // design.graph.turn
        found, compared = _first_wrong(design, run, design.graph.trace(*frames), (turns, turns))
        if found:
            raise Mismatch(f"all outputs are right, but not all inside: {found}", str(folder), remedy(folder))
    result = {
        "equal": count,
        "cycles": run.cycles,
        "interval": run.interval,
        "mean_interval": run.mean_interval,
        "first_word": run.first_word,
        "latency": run.latency,
        "compile_seconds": round(run.seconds.compile, 2),
        "run_seconds": round(run.seconds.run, 2),
        "interval_of_modes": [_interval(run.ended, modes == i) for i in range(len(design.modes))],
        "inside": compared,
    }
    if labels is not None:
        (values,) = in_modes(modes, lambda i, q: [torch.from_numpy(classes(design.graphs[i], q))], golden[0])
        right = values.numpy() == labels
        result["accuracy"] = float(right.mean())
        of_modes = [right[modes == i] for i in range(len(design.modes))]
        result["accuracy_of_modes"] = [float(each.mean()) if len(each) else None for each in of_modes]
    return result


def golden_of(graph: Graph, frames: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """The integers of each output for those of each input, a part of the frames at a time."""
    largest = max(prod(kind.shape) for kind in graph.types().values())
    at_once = graph.frames * max(1, ACTIVATIONS // (largest * graph.frames))
    parts = [graph.eval(*part) for part in zip(*(each.split(at_once) for each in frames), strict=True)]
    return [torch.cat(values) for values in zip(*parts, strict=True)]


def classes(graph: Graph, sent: torch.Tensor) -> np.ndarray:
    """int64 [N]: where the largest value is in each frame of the first output's integers."""
    output = replace(graph.outputs[0], host=None)
    exponent = graph.types()[output.name].exponent
    return output.dequantize(sent, exponent).reshape(len(sent), -1).argmax(dim=1).numpy()


def _interval(ended: np.ndarray, chosen: np.ndarray) -> int | None:
    """Clocks from the end of a frame to that of the next at the end of the longest block of frames that are chosen;
    None where it has fewer than STEADY."""
    edges = np.flatnonzero(np.diff(np.pad(chosen.astype(int), 1)))
    begins, ends = edges[::2], edges[1::2]
    if len(begins) == 0 or (ends - begins).max() < STEADY:
        return None
    last = ends[np.argmax(ends - begins)] - 1
    return int(ended[last] - ended[last - 1])


def _locate(
    folder: Path,
    design: Design,
    frames: tuple[torch.Tensor, ...],
    modes: np.ndarray,
    simulator: str,
    stall: float,
    seed: int,
) -> str:
    """Where the last sample of `frames` first goes wrong, in the order of the graph."""
    turn = design.graph.turn
    samples = design.graph.frames // turn, len(frames[0]) // turn
    run = run_frames(folder, design, frames, simulator, stall, seed, traced=True, modes=modes)
    golden = design.graphs[modes[-1]].trace(*(each[-design.graph.frames :] for each in frames))
    found, _ = _first_wrong(design, run, golden, samples)
    return found or "every stream is right when recorded: the fault does not repeat"


def _first_wrong(
    design: Design, run: Run, golden: Iterable[tuple[str, torch.Tensor]], turns: tuple[int, int]
) -> tuple[str | None, dict[str, int]]:
    """Where a run that was traced first goes wrong, in the order of the graph, or None; and how many numbers of each
    stream, and of what units keep, were compared.

    golden -- of the last frames of the run; turns -- how many these are, and all of the run
    """
    values, compared = dict(golden), {}
    senders = {stream.name: placed.unit.name for placed in design.placed for stream in placed.outputs}
    wanted = {stream: partial(values.__getitem__, stream.tensor) for stream in design.streams()}
    for stream, placed in design.kept().items():
        wanted[stream] = partial(_kept, placed, values)
        senders[stream.name] = placed.unit.name
    # what is in time steps that may be left out, others than the golden ones, is not compared
    for stream in (stream for stream in wanted if stream.frames == 1 or not design.aborts):
        where = f"{senders.get(stream.name, 'input')} (stream {stream.name})"
        sample, count = (number * stream.frames for number in turns)
        if len(sent := run.traces[stream.name]) < count:
            return f"{where} sent {len(sent)} of {count} frames", compared
        got, want = stream.order.unflatten(sent[count - sample :][:sample]), wanted[stream]()
        if not torch.equal(got, want):
            frame, channel, row, column = (int(i) for i in (got != want).nonzero()[0])
            return (
                f"first wrong layer {where}, channel {channel}, pixel row {row} column {column}: "
                f"got {int(got[frame, channel, row, column])}, want {int(want[frame, channel, row, column])}"
            ), compared
        compared[stream.name] = got.numel()
    return None, compared


def _kept(placed: Placed, values: Mapping[str, torch.Tensor]) -> torch.Tensor:
    return placed.unit.kept(values[placed.inputs[0].tensor])
