"""Chooses the unit of every stage and its fold: an integer program over the price lists of the units."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from math import ceil, lcm

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from hwgen.board import Board
from hwgen.config import RESOURCES, BuildConfig
from hwgen.design import Choice, Design, arriving, first_order, leaving, place, unit_of
from hwgen.errors import DoesNotFit, UnsupportedLayer
from hwgen.ir import Graph
from hwgen.lower import Stage
from hwgen.stream import Order
from hwgen.units import window
from hwgen.units.adder_graph import Spatial
from hwgen.units.term_lanes import Fold, TermLanes, legal_groups, legal_lanes, work
from hwgen.units.unit import Unit

MARGIN = 0.95
TRIES = 12  # of a margin at which units that wait for each other still meet a rate
BETWEEN = 6  # more margins that are tried once one does
STEP = 1.001  # the search for the best rate ends where a faster one would gain less
NEIGHBOURS = 4  # folds of a layer that are more than it needs, for the sake of its neighbours
OUTPUT = ""  # the network's border, as a stage


def schedule(graph: Graph, stages: list[Stage], config: BuildConfig, board: Board) -> dict[str, Choice]:
    """The choice by each stage's result, and the input's by its own name.

    The network is as fast as --lanes lets the slowest layer be, or as --fps asks, or as the --budget allows; at that
    rate it takes the least of the board, by the sum of its shares of LUTs, memories and DSP slices. Neighbours that are equally
    slow hold each other up now and then (hwgen/pace.py), so every layer that can is a little faster than the slowest.

    Raises UnsupportedLayer for an engine that a layer cannot have, DoesNotFit for a rate or a budget that cannot be met.
    """
    menu = Menu(graph, stages, config, board, dsp=config.dsp and config.targets)
    whole = {name: board.resources[name] for name in RESOURCES}
    if config.fps:
        hertz = config.hertz(board)
        interval = int(hertz // config.fps)
        choices, took = menu.meeting(interval, whole)
        if choices is None:
            raise does_not_fit(menu)
        if took > interval:
            raise _too_slow(menu, interval, took)
        return choices
    if config.budget:
        return _within(menu, config.limits(board))
    options = menu.options(np.inf)
    if all(len(choices) == 1 for choices in options.values()):
        return {name: choices[0] for name, choices in options.items()}
    # the rate of the lanes, whatever else is allowed
    folded = Menu(graph, stages, config, board, auto="lanes")
    menu.least = folded.least
    return menu.smallest(folded.fastest({}), {})


def does_not_fit(menu: "Menu") -> DoesNotFit:
    """Of a network that is too large at any rate."""
    lacks = menu.lacks(np.inf)
    what = f"it does not fit at any rate: it needs {_percent(lacks)}"
    return DoesNotFit(what, menu.board.name, f"prune it{_other_memory(menu, lacks)}")


def _too_slow(menu: "Menu", interval: int, took: int) -> DoesNotFit:
    """Of a network that takes at least `took` cycles a frame, not `interval`."""
    config, name, least = menu.config, menu.board.name, max(menu.least.values())
    if least > interval:
        why = f"{menu.bottleneck}, which can be no faster than {least:,} cycles"
        hint = "ask for less, allow --engine auto and more --lanes or --pixels, or prune it"
    else:
        lacks = menu.lacks(interval)
        why = f"{name}: {interval:,} cycles need {_percent(lacks)}"
        hint = f"ask for less, or prune it{_other_memory(menu, lacks)}"
    hertz = config.hertz(menu.board)
    return DoesNotFit(
        f"{config.fps:,.0f} frames/s are {interval:,} cycles a frame at {hertz / 1e6:g} MHz; the least that {name} has room for is "
        f"{took:,}",
        why,
        hint,
    )


def _percent(lacks: Mapping[str, float]) -> str:
    of_each = [f"{share:.0%} of {name}" for name, share in lacks.items()]
    return ", ".join(of_each) or "units that do not wait for each other"


def _other_memory(menu: "Menu", lacks: Mapping[str, float]) -> str:
    """What else to try where block RAM lacks and UltraRAM is not considered."""
    layers = [stage.layer for stage in menu.stages if stage.layer is not None]
    free = menu.board.resources["URAM"] and (len(menu.config.memories) == 1 or not any(x.loadable for x in layers))
    return ", or let lists be in UltraRAM too: --loadable '*' --weights-in auto" if "BRAM36" in lacks and free else ""


def _within(menu: "Menu", budget: dict[str, int]) -> dict[str, Choice]:
    """The fastest design in a budget. Forks and FIFOs, which no edge prices, are found by placing it, and kept room for."""
    left = budget
    while chosen := menu.best(left):
        takes = menu.placed(chosen).estimate()
        over = {name: max(0, takes[name] - n) for name, n in budget.items()}
        if not any(over.values()):
            return chosen
        left = {name: left[name] - n for name, n in over.items()}
    chosen = menu.sparing(np.inf, budget)
    takes = {name: ceil(n) for name, n in menu.placed(chosen).estimate().items()}
    if all(takes[name] <= n for name, n in budget.items()):
        return chosen
    text = ", ".join(f"{name}={takes[name]} ({menu.board.share(name, takes[name]):.1%} of the board)" for name in budget)
    raise DoesNotFit(
        "no choice of units is in the budget", f"the least that would do is {text}", "give it that much, or prune it"
    )


@dataclass(frozen=True)
class Price:
    """Of the units between two stages' results: cycles of the slowest, and what all take."""

    cycles: int
    resources: tuple[int, ...]


class Menu:
    """The choices of every stage, with their prices.

    An edge leads from a stage to one that reads it; its price is that of the units from the one's result to the
    other's, for a choice of each. So what a stage costs may depend on the stream that it reads.
    """

    def __init__(
        self,
        graph: Graph,
        stages: list[Stage],
        config: BuildConfig,
        board: Board,
        *,
        auto: str = "auto",
        dsp: bool = False,
    ):
        """auto -- the engine where the user leaves the choice; dsp -- whether lanes may be in DSP slices"""
        self.graph, self.stages, self.config, self.board, self.auto = graph, stages, config, board, auto
        self.dsp = dsp and "dsp" in board.device.lanes
        self.of_result = {stage.result: stage for stage in stages}
        # what a board has none of is weighed as if it had one
        self.have = {name: max(1, board.resources[name]) for name in RESOURCES}
        self.engines = self._engines()
        self.edges = [(tensor, stage.result, i) for stage in stages for i, tensor in enumerate(stage.inputs)]
        self.edges.append((graph.output_name if graph.nodes else stages[-1].result, OUTPUT, 0))
        self.price_from = cache(self.price_from)
        self.order = cache(self.order)
        self.cycles_alone = cache(self.cycles_alone)
        self.blocks_alone = cache(self.blocks_alone)

    def _engines(self) -> dict[str, str]:
        layers = {stage.result: stage.layer for stage in self.stages if stage.layer is not None}
        self.config.check_patterns([layer.name for layer in layers.values()])
        engines = {name: self.config.engine_of(layer.name) for name, layer in layers.items()}
        for name, layer in layers.items():
            obstacle = window.obstacle(layer)
            if engines[name] == "spatial" and obstacle:
                raise UnsupportedLayer(
                    f"a pixel a cycle is not possible: {obstacle}",
                    layer.name,
                    f"build it with --engine {layer.name}=lanes",
                )
            if obstacle:
                engines[name] = "lanes"
            elif engines[name] == "auto":
                engines[name] = self.auto
        return engines

    def order(self, name: str, choice: Choice) -> Order:
        """Of the stream that a stage, or the network's input, sends."""
        if name == self.graph.input_name:
            return first_order(self.graph, choice)
        stage = self.of_result[name]
        order = Order(stage.types[0].shape)
        if isinstance(choice, Spatial):
            order = order.by_pixels(choice.pixels)
        elif stage.layer is None:
            order = order.by_lanes(choice.lanes)
        return self.unit(stage, choice, order).out_order

    def unit(self, stage: Stage, choice: Choice, order: Order) -> Unit:
        return unit_of(stage, choice, order, self.graph, self.stages, self.config.levels)

    def price(self, edge: tuple[str, str, int], before: Choice, after: Choice) -> Price:
        return self.price_from(edge, self.order(edge[0], before), after)

    def price_from(self, edge: tuple[str, str, int], order: Order, after: Choice) -> Price:
        """Of an edge whose source sends in `order`."""
        source, result, i = edge
        if result == OUTPUT:
            kind = self.graph.input_type if source == self.graph.input_name else self.of_result[source].y
            units = [unit for unit, _ in leaving(source, kind, order)]
        else:
            stage = self.of_result[result]
            reading = arriving(stage, i, after, order)
            units = [unit for unit, _ in reading]
            if stage.layer is not None or i == 0:
                units.append(self.unit(stage, after, reading[-1][1] if reading else order))
        estimates = [unit.estimate() for unit in units]
        return Price(
            max((unit.cycles() for unit in units), default=0),
            tuple(sum(estimate.get(name, 0) for estimate in estimates) for name in RESOURCES),
        )

    def cycles_alone(self, name: str, fold: Fold) -> int:
        layer = self.of_result[name].layer
        return work(layer, fold, Order(layer.x.shape), sort=True)

    def blocks_alone(self, name: str, fold: Fold) -> float:
        """Share of the board's memories that a layer takes."""
        layer = self.of_result[name].layer
        takes = TermLanes(layer, fold, Order(layer.x.shape), sort=True).estimate()
        return sum(takes.get(key, 0) / self.have[key] for key in ("BRAM36", "URAM"))

    def options(self, limit: float) -> dict[str, list[Choice]]:
        """What is worth considering where no layer may take more cycles than `limit`, of each stage."""
        found: dict[str, list[Choice]] = {}
        for stage in self.stages:
            if stage.layer is not None:
                found[stage.result] = self._choices(stage, limit)
            else:
                # as one of its sides sends, or an activation a beat
                orders = [self.order(name, c) for name in stage.inputs for c in found.get(name, [])]
                kinds = {Spatial(o.pixels) if o.pixels and o.side > 1 else Fold(o.lanes) for o in orders} | {Fold(1)}
                # ... or so many pixels that neither side brings more
                some = {kind.pixels for kind in kinds if isinstance(kind, Spatial)}
                kinds |= {Spatial(n) for a in some for b in some if stage.y.shape[2] % (n := lcm(a, b)) == 0}
                found[stage.result] = sorted(kinds, key=str)
        readers = [
            choice for stage in self.stages if self.graph.input_name in stage.inputs for choice in found[stage.result]
        ]
        spatial = {choice for choice in readers if isinstance(choice, Spatial)}
        serial = [] if spatial and all(isinstance(choice, Spatial) for choice in readers) else [Fold(1)]
        found[self.graph.input_name] = [*serial, *sorted(spatial, key=lambda choice: choice.pixels)]
        found[OUTPUT] = [Fold(1)]
        return found

    def _pixels(self, stage: Stage) -> list[Spatial]:
        most = min(self.config.pixels, stage.layer.x.shape[2])
        return [Spatial(n) for n in range(1, most + 1) if window.obstacle(stage.layer, n) is None]

    def _folds(self, name: str, kind: str, limit: float) -> list[Fold]:
        """Of a kind of lanes the smallest folds that are fast enough, the smallest of these with all lanes of a row, those whose
        lists fill their memories best, and the fastest."""
        folds = self._all_folds(name, kind)
        enough = [fold for fold in folds if self.cycles_alone(name, fold) <= limit]
        whole = [fold for fold in enough if fold.lanes == folds[-1].lanes]
        memories = self.config.memories if self.of_result[name].layer.loadable else ["rom"]
        best = [
            min(enough, key=lambda fold: self.blocks_alone(name, replace(fold, memory=m)), default=folds[-1])
            for m in memories
        ]
        return list(dict.fromkeys([*enough[:NEIGHBOURS], *whole[:1], *best, folds[-1]]))

    def _choices(self, stage: Stage, limit: float | None = None) -> list[Choice]:
        """What the engine allows: folds, those worth considering at a limit or all, in LUTs and in DSP slices; pixels."""
        engine = self.engines[stage.result]
        found: list[Choice] = []
        if engine != "spatial":
            name = stage.result
            for kind in stage.layer.kinds if self.dsp else ("lut",):
                found += self._all_folds(name, kind) if limit is None else self._folds(name, kind, limit)
            if stage.layer.loadable:
                found += [replace(fold, memory=memory) for fold in found for memory in self.config.memories[1:]]
        if engine != "lanes":
            found += self._pixels(stage)
        return found

    def _all_folds(self, name: str, kind: str) -> list[Fold]:
        layer, most = self.of_result[name].layer, self.config.most_lanes
        lanes = legal_lanes(layer, most)
        groups = legal_groups(layer, most // lanes[-1])
        shapes = [*((n, 1) for n in lanes[:-1]), *((lanes[-1], n) for n in groups)]
        memory = self.config.memories[0] if layer.loadable else "rom"
        return [Fold(*shape, kind, memory) for shape in shapes]

    def meeting(self, interval: float, budget: Mapping[str, int]) -> tuple[dict[str, Choice] | None, float]:
        """The choices of least area whose design, units that wait for each other included, takes at most `interval` cycles a
        frame: each layer that can is so much faster as that needs; and the cycles that it takes. Where none is found in the budget, its
        best; None if nothing is in the budget."""

        def tried(margin: float) -> tuple[dict[str, Choice] | None, float, float]:
            """What is chosen at a margin, its cycles and its share of the board."""
            chosen = self.smallest(interval, budget, margin=margin)
            if chosen is None:
                return None, np.inf, np.inf
            design = self.placed(chosen)
            takes = design.estimate()
            return chosen, design.interval(), self.share(tuple(takes[name] for name in RESOURCES))

        margin = 1.0
        for _ in range(TRIES):
            chosen, took, share = tried(margin)
            if chosen is None:
                break
            if took <= interval:
                # the steps so far may have passed by a smaller one
                between = np.geomspace(1.0, margin, BETWEEN + 2)[1:-1] if margin < 1 else []
                found = [(chosen, took, share), *map(tried, between)]
                return min((one for one in found if one[1] <= interval), key=lambda one: one[2])[:2]
            margin *= min(interval / took, STEP**-5)
        best = self.best(budget)
        return best, np.inf if best is None else self.placed(best).interval()

    def best(self, budget: Mapping[str, int]) -> dict[str, Choice] | None:
        """The choices of the least interval that the budget allows, to within STEP; None where it allows none."""
        interval = self.fastest(budget)
        return None if interval is None else self.smallest(interval, budget)

    def placed(self, chosen: dict[str, Choice]) -> Design:
        return place("", self.graph, self.stages, chosen, self.config.levels)

    def smallest(
        self,
        interval: float,
        budget: Mapping[str, int],
        margin: float = MARGIN,
    ) -> dict[str, Choice] | None:
        """The choices of least area, by the sum of its shares of the board, whose units take at most `interval` cycles a frame,
        `margin` of it each that can; None where the budget does not hold them."""
        return self._program(interval, margin).solve(self.have, budget)

    def sparing(self, interval: float, budget: Mapping[str, int]) -> dict[str, Choice]:
        """The choices that exceed a budget least, by the sum of the shares of the board that are lacking."""
        return self._program(interval, 1.0).solve(self.have, budget, exceed=True)

    def lacks(self, interval: float) -> dict[str, float]:
        """The shares of those resources of the board of which a network of that interval needs more than there is."""
        board = {name: self.board.resources[name] for name in RESOURCES}
        takes = self.placed(self.sparing(interval, board)).estimate()
        return {name: takes[name] / self.have[name] for name, n in board.items() if takes[name] > n}

    def _program(self, interval: float, margin: float) -> "IntegerProgram":
        most = {edge: max(margin * interval, min(interval, self.least[edge[1]])) for edge in self.edges}
        options = self.options(margin * interval)
        program = IntegerProgram(options)
        for edge in self.edges:
            orders = {before: self.order(edge[0], before) for before in options[edge[0]]}
            prices = {
                (order, after): price
                for order in dict.fromkeys(orders.values())
                for after in options[edge[1]]
                if (price := self.price_from(edge, order, after)).cycles <= most[edge]
            }
            program.edge(edge, orders, prices)
        return program

    def fastest(self, budget: Mapping[str, int]) -> float | None:
        """The least interval that the budget allows, to within STEP; None where it allows none."""
        chosen = self.smallest(np.inf, budget)
        if chosen is None:
            return None
        low, high = max(self.least.values()), self.slowest(chosen) / MARGIN
        if self.smallest(low, budget):
            return low
        while high > STEP * low:
            middle = (low * high) ** 0.5
            if self.smallest(middle, budget):
                high = middle
            else:
                low = middle
        return high

    @cached_property
    def least(self) -> dict[str, int]:
        """The least cycles that the units before and of each stage take with any choice."""
        fastest = self.options(0)
        least: dict[str, int] = {}
        for edge in self.edges:
            orders = dict.fromkeys(self.order(edge[0], before) for before in fastest[edge[0]])
            cycles = min(self.price_from(edge, o, after).cycles for o in orders for after in fastest[edge[1]])
            least[edge[1]] = max(cycles, least.get(edge[1], 0))
        return least

    @property
    def bottleneck(self) -> str:
        """The stage that cannot be faster."""
        return max(self.least, key=self.least.get)

    def prices(self, chosen: dict[str, Choice]) -> list[Price]:
        return [self.price(edge, chosen[edge[0]], chosen[edge[1]]) for edge in self.edges]

    def slowest(self, chosen: dict[str, Choice]) -> int:
        """Cycles of the slowest unit."""
        return max(price.cycles for price in self.prices(chosen))

    def around(self, result: str, chosen: dict[str, Choice]) -> Price:
        """A stage's cycles, and all that its choice decides: what it takes, and what those take that read it."""
        prices = {edge: self.price(edge, chosen[edge[0]], chosen[edge[1]]) for edge in self.edges if result in edge[:2]}
        return Price(
            max(price.cycles for edge, price in prices.items() if edge[1] == result),
            tuple(np.sum([price.resources for price in prices.values()], axis=0).tolist()),
        )

    def next_step(self, result: str, chosen: dict[str, Choice]) -> tuple[Choice, Price] | None:
        """The choice that makes a layer faster for the least area, all others staying, and what its `around` is then."""
        stage, now = self.of_result[result], self.around(result, chosen)
        choices = self._choices(stage)
        prices = {choice: self.around(result, chosen | {result: choice}) for choice in choices}
        faster = [(choice, price) for choice, price in prices.items() if price.cycles < now.cycles]
        return min(faster, key=lambda pair: self.share(pair[1].resources), default=None)

    def share(self, resources: tuple[int, ...]) -> float:
        """Of the board: the sum over the resources."""
        return sum(n / self.have[name] for n, name in zip(resources, RESOURCES, strict=True))

    def totals(self, chosen: dict[str, Choice]) -> dict[str, int]:
        return dict(
            zip(RESOURCES, np.sum([price.resources for price in self.prices(chosen)], axis=0).tolist(), strict=True)
        )


class IntegerProgram:
    """A choice for each stage such that all edges together cost least: a binary for each choice, and for each edge a
    transport from the orders that its source may send to the choices of its reader, whose relaxation is tight where the edges form a tree (HiGHS solves it)."""

    def __init__(self, options: Mapping[str, list[Choice]]):
        self.nodes = {(name, choice): i for i, (name, choice) in enumerate((n, c) for n in options for c in options[n])}
        self.costs = [(0,) * len(RESOURCES)] * len(self.nodes)
        self.entries: list[tuple[int, int, float]] = []  # row, variable, factor
        self.ends: list[float] = []  # what each row sums to
        for name, choices in options.items():
            self.row([self.nodes[name, choice] for choice in choices], 1.0)

    def row(self, variables: list[int], end: float, less: list[int] | None = None) -> None:
        """The sum of `variables`, less that of others, is `end`."""
        self.entries += [(len(self.ends), variable, 1.0) for variable in variables]
        self.entries += [(len(self.ends), variable, -1.0) for variable in less or ()]
        self.ends.append(end)

    def edge(
        self,
        edge: tuple[str, str, int],
        orders: dict[Choice, Order],
        prices: dict[tuple[Order, Choice], Price],
    ) -> None:
        """The ends of an edge are chosen together: the order that the source's choice sends in, and the reader's choice."""
        source, result, _ = edge
        senders: dict[Order, list[int]] = {}
        for choice, order in orders.items():
            senders.setdefault(order, []).append(self.nodes[source, choice])
        of_order: dict[Order, list[int]] = {order: [] for order in senders}
        of_reader: dict[int, list[int]] = {i: [] for (name, _), i in self.nodes.items() if name == result}
        for (order, after), price in prices.items():
            of_order[order].append(len(self.costs))
            of_reader[self.nodes[result, after]].append(len(self.costs))
            self.costs.append(price.resources)
        for order, variables in of_order.items():
            self.row(variables, 0.0, less=senders[order])
        for node, variables in of_reader.items():
            self.row(variables, 0.0, less=[node])

    def solve(
        self, have: Mapping[str, int], budget: Mapping[str, int], exceed: bool = False
    ) -> dict[str, Choice] | None:
        """The choice of each stage, by its name, that takes the least sum of shares of what there is; None where none is in the budget.

        exceed -- the budget may be exceeded, by the least sum of shares
        """
        costs = np.array(self.costs, float)
        ones = np.array([have[name] for name in RESOURCES])
        rows, variables, factors = (np.array(column) for column in zip(*self.entries, strict=True))
        # the last variables are those shares
        size = len(costs) + len(ones)
        matrix = coo_array((factors, (rows, variables)), (len(self.ends), size)).tocsr()
        takes = np.column_stack([costs.T, -np.diag(ones)])
        found = milp(
            # shares of a thousandth are what the solver tells apart well
            np.concatenate([1000 * (costs / ones).sum(axis=1), np.full(len(ones), 1e6)]),
            integrality=np.arange(size) < len(self.nodes),
            bounds=Bounds(0, np.where(np.arange(size) < len(costs), 1, np.inf if exceed else 0)),
            constraints=[
                LinearConstraint(matrix, self.ends, self.ends),
                LinearConstraint(takes, -np.inf, [budget.get(name, np.inf) for name in RESOURCES]),
            ],
            options={"mip_rel_gap": 1e-3} if exceed else {},
        )
        if not found.success:
            return None
        return {name: choice for (name, choice), i in self.nodes.items() if found.x[i] > 0.5}
