"""Graphs of integers built, and run as RTL, without a PyTorch module before them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from hwgen.board import load_board
from hwgen.config import BuildConfig
from hwgen.design import Design, place
from hwgen.emit import emit
from hwgen.engines import Border, Choice, Context
from hwgen.ir import Graph, Input, Node, Op, Output, TensorType
from hwgen.lint import lint
from hwgen.lower import lower
from hwgen.pace import interval_of
from hwgen.passes import run_passes
from hwgen.schedule import schedule
from hwgen.simulate import Run, run_frames
from hwgen.stage import Stage

FRAMES = 10  # enough for a steady interval


def graph_of(x: TensorType, *nodes: tuple[str, Op, tuple[str, ...]]) -> Graph:
    """A graph whose input is called x, and whose last node is its output."""
    made = tuple(Node(name, op, inputs) for name, op, inputs in nodes)
    inputs, last = (Input("x", x, x.shape),), made[-1].name
    shape = Graph(inputs, made, ()).types()[last].shape
    return Graph(inputs, made, (Output(last, shape),))


def frames_of(kind: TensorType, count: int = FRAMES, seed: int = 1) -> torch.Tensor:
    """Random integers of a type, its ends among them."""
    rng = np.random.default_rng(seed)
    low, high = kind.qtype.low, kind.qtype.high
    values = rng.integers(low, high + 1, (count, *kind.shape))
    return torch.from_numpy(np.where(rng.random(values.shape) < 0.2, rng.choice([low, high], values.shape), values))


def placed(
    graph: Graph, choices: Mapping[str, Choice], border: Choice | None = None, board: str = "zcu104"
) -> tuple[Design, list[Stage]]:
    """The design of a graph, by the choices of its stages' results."""
    stages = lower(graph)
    context = Context.of(graph, stages, load_board(board).device, 3)
    chosen = {one.name: border or Border() for one in graph.inputs} | dict(choices)
    return place("net", graph, stages, chosen, context), stages


def scheduled(graph: Graph, config: BuildConfig) -> Design:
    """The design of a graph after all passes, as a build would choose it."""
    graph, board = run_passes(graph), load_board(config.board)
    stages = lower(graph)
    chosen = schedule(graph, stages, config, board)
    return place("net", graph, stages, chosen, Context.of(graph, stages, board.device, config.levels))


def check_design(folder: Path, design: Design, simulator: str = "icarus", stall: float = 0.0) -> Run:
    """Runs a design on random frames and asserts each value, and without stalls the predicted frame interval."""
    files = emit(design)
    lint(files)
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    frames = [frames_of(one.type, seed=n) for n, one in enumerate(design.graph.inputs, 1)]
    run = run_frames(folder, design, frames, simulator, stall, 1)
    for stream, words, want in zip(design.outputs, run.words, design.graph.eval(*frames), strict=True):
        assert torch.equal(stream.order.unflatten(words), want), stream.name
    if not stall:
        predicted = interval_of(design)
        assert run.interval is not None and run.interval <= predicted, f"{run.interval} clocks, predicted {predicted}"
    return run
