"""Compares the emitted network with the golden integers, and finds the first wrong layer, channel and pixel."""

import time
from pathlib import Path

import numpy as np
import torch

from hwgen.design import Design
from hwgen.errors import Mismatch
from hwgen.flow import read_design
from hwgen.simulate import check_input, run_words

CHUNK = 512  # frames that the golden model evaluates at once


def verify(
    folder: str | Path,
    x: np.ndarray,
    *,
    labels: np.ndarray | None = None,
    simulator: str = "verilator",
    stall: float = 0.0,
    seed: int = 1,
) -> dict:
    """Runs the build in `folder` on floats [N, *input shape] and compares every output integer with the golden model's.

    labels -- int [N]: adds the accuracy of the largest output
    Returns simulator, stall, seed, frames, equal (frames), cycles, interval, seconds, accuracy. When a frame differs,
    the network is run again with every stream recorded, up to the first wrong frame, and Mismatch names the first wrong
    place.
    """
    folder = Path(folder)
    design = read_design(folder)
    frames = check_input(design, x)
    start = time.monotonic()
    words = design.input.order.to_beats(frames)
    run = run_words(folder, design, words, simulator, stall, seed)
    seconds = time.monotonic() - start
    golden = torch.cat([design.graph.eval(part) for part in frames.split(CHUNK)])
    wrong = np.flatnonzero((run.words != design.output.order.to_beats(golden)).any(axis=1))
    if len(wrong):
        first = int(wrong[0])
        raise Mismatch(
            f"{len(wrong)} of {len(frames)} frames differ from the golden integers; frame {first}: "
            + _locate(folder, design, frames[: first + 1], simulator, stall, seed),
            str(folder),
            "report it, with the build folder" if simulator else "",
        )
    result = {
        "simulator": simulator,
        "stall": stall,
        "seed": seed,
        "frames": len(frames),
        "equal": len(frames) - len(wrong),
        "cycles": run.cycles,
        "interval": run.interval,
        "seconds": round(seconds, 2),
    }
    if labels is not None:
        guesses = golden.reshape(len(golden), -1).argmax(dim=1).numpy()
        result["accuracy"] = float((guesses == np.asarray(labels)).mean())
    return result


def _locate(folder: Path, design: Design, frames: torch.Tensor, simulator: str, stall: float, seed: int) -> str:
    """Where the last of `frames` first goes wrong, in the order of the graph."""
    run = run_words(folder, design, design.input.order.to_beats(frames), simulator, stall, seed, traced=True)
    golden = dict(design.graph.trace(frames[-1:]))
    for stream in design.streams():
        want = golden[stream.tensor]
        sent = run.traces[stream.name]
        if len(sent) < len(frames):
            return f"the stream {stream.name} holds {len(sent)} of {len(frames)} frames"
        got = stream.order.from_beats(sent[len(frames) - 1 :][:1])
        if not torch.equal(got, want):
            channel, row, column = (int(i) for i in (got != want)[0].nonzero()[0])
            return (
                f"first wrong layer {stream.name}, channel {channel}, pixel row {row} column {column}: "
                f"got {int(got[0, channel, row, column])}, want {int(want[0, channel, row, column])}"
            )
    return "every stream is right when recorded: the fault does not repeat"
