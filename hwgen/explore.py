"""What a network costs at every rate: the frontier of rate against area, and which layer stands in the way."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from hwgen.alternatives import places, rewritten
from hwgen.board import Board, load_board
from hwgen.config import MOST_LANES, RESOURCES, BuildConfig
from hwgen.engines import Choice
from hwgen.errors import HwgenError
from hwgen.frontend import read_model
from hwgen.ir import Graph
from hwgen.lower import lower
from hwgen.menu import Menu
from hwgen.pace import interval_of
from hwgen.passes import run_passes
from hwgen.schedule import does_not_fit


def explore(
    model,
    example_inputs=None,
    *,
    config: BuildConfig | None = None,
    points: int = 12,
    progress: Callable[[str], None] = lambda stage: None,
) -> list[dict]:
    """The frontier of a network: the smallest design at each of `points` rates, the fastest that the board holds first.

    model, example_inputs -- as hwgen.build takes them; config -- default: any engine, as many lanes as a layer can have
    A row: interval (cycles a frame), fps (frames a second at the clock), the estimate of each resource, and `layers`,
    each with its choice, its cycles and the next faster choice with what that takes more (None: there is none).
    """
    config = config or BuildConfig(engine="auto", lanes=MOST_LANES)
    board = load_board(config.board)
    progress("import")
    graph = run_passes(read_model(model, example_inputs, config.requantization)[0])
    menus = _menus(graph, config, board)
    whole = {name: board.resources[name] for name in RESOURCES}
    progress("fastest")
    ends = [end for menu in menus if (end := _ends(menu, whole))]
    if not ends:
        raise does_not_fit(menus[0])
    fastest, last = min(end[0] for end in ends), max(end[1] for end in ends)
    rows = []
    for interval in np.ceil(np.geomspace(fastest, max(fastest, last), points)).tolist():
        progress(f"{interval:,.0f} cycles a frame")
        found = [(menu, chosen) for menu in menus if (chosen := menu.meeting(interval, whole)[0])]
        if not found:
            continue
        each = [_row(menu, chosen, config.hertz(board)) for menu, chosen in found]
        row = min(each, key=lambda one: (max(one["interval"], interval), board.weight(_takes(one))))
        if row["interval"] not in [known["interval"] for known in rows]:
            rows.append(row)
    return rows


def _menus(graph: Graph, config: BuildConfig, board: Board) -> list[Menu]:
    """Of the network, and of it rewritten wherever that can be, if the layers are there that the config names."""
    found: list[Menu] = []
    refused: list[HwgenError] = []
    everywhere = [ways[0] for ways in places(graph, lower(graph, config.is_loadable), config)]
    for own in (graph, rewritten(graph, everywhere)) if everywhere else (graph,):
        try:
            found.append(Menu(own, lower(own, config.is_loadable), config, board, dsp=config.dsp))
        except HwgenError as error:
            refused.append(error)
    if not found:
        raise refused[0]
    return found


def _ends(menu: Menu, whole: dict[str, int]) -> tuple[float, float] | None:
    """The least interval that the board allows, and that of the smallest design; None where it holds none."""
    fastest, smallest = menu.fastest(whole), menu.smallest(np.inf, whole)
    return None if fastest is None or smallest is None else (fastest, menu.slowest(smallest))


def _takes(row: dict) -> dict[str, float]:
    return {name: row[name] for name in RESOURCES}


def _row(menu: Menu, chosen: dict[str, Choice], hertz: float) -> dict:
    design = menu.placed(chosen)
    interval = interval_of(design)
    layers = []
    for stage in menu.stages:
        now, step = menu.around(stage.result, chosen), menu.next_step(stage.result, chosen)
        layers.append(
            {
                "layer": stage.name,
                "choice": str(chosen[stage.result]),
                "cycles": now.cycles,
                "next": step and str(step[0]),
                "next_cycles": step and step[1].cycles,
                **{
                    f"more_{name}": step and after - before
                    for name, before, after in zip(
                        RESOURCES, now.resources, step[1].resources if step else now.resources, strict=True
                    )
                },
            }
        )
    return {"interval": interval, "fps": hertz / interval, **design.estimate(), "layers": layers}


def save(rows: list[dict], out: Path, config: BuildConfig, title: str) -> None:
    """frontier.json and frontier.svg in a folder; other files there stay."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "frontier.json").write_text(json.dumps(rows, indent=1) + "\n")
    (out / "frontier.svg").write_text(picture(rows, load_board(config.board), title))


def picture(rows: list[dict], board: Board, title: str) -> str:
    """The frontier as SVG: frames a second against shares of the board."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    for name, marker in zip(RESOURCES, "osd^", strict=True):
        share = [100 * board.share(name, row[name]) for row in rows]
        axes.plot(share, [row["fps"] for row in rows], marker=marker, markersize=4, label=name)
    axes.set_yscale("log")
    axes.set_xlabel(f"% of {board.name}, estimated")
    axes.set_ylabel("frames a second")
    axes.set_title(title)
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()
