"""What may be chosen for every stage of a network, and what it costs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from hwgen.board import Board
from hwgen.config import RESOURCES, BuildConfig
from hwgen.design import Design, place
from hwgen.engines import Border, Choice, Context, Engine, Limits, engine_of, engines
from hwgen.errors import UnsupportedLayer
from hwgen.ir import Graph
from hwgen.milp import IntegerProgram
from hwgen.pace import interval_of
from hwgen.reorder import arriving, leaving
from hwgen.stage import Stage
from hwgen.stream import Order
from hwgen.units.unit import Unit

MARGIN = 0.95
TRIES = 12  # of a margin at which units that wait for each other still meet a rate
BETWEEN = 6  # more margins that are tried once one does
STEP = 1.001  # the search for the best rate ends where a faster one would gain less
OUTPUT = ""  # the network's border, as a stage

Edge = tuple[str, str, int]  # from a stage or an input, to a stage, as its input of that number, or to an OUTPUT


@dataclass(frozen=True, eq=False)
class Price:
    """What units cost, as those between two stages' results: cycles of the slowest for a turn of the border, which is a
    frame unless time steps begin or end there, and what all take, by RESOURCES."""

    cycles: int
    units: tuple[Unit, ...]

    @cached_property
    def resources(self) -> tuple[float, ...]:
        return _total([unit.estimate() for unit in self.units])

    @property
    def known(self) -> bool:
        """Whether `resources` is worked out, or told at once."""
        return all(unit.counted for unit in self.units)

    @property
    def least(self) -> tuple[float, ...]:
        """What they take at least, told at once: `resources` where that is known."""
        return self.resources if self.known else _total([unit.bound() for unit in self.units])

    @property
    def about(self) -> tuple[float, ...]:
        """What they may come to, told at once: `resources` where that is known."""
        return self.resources if self.known else _total([unit.about() for unit in self.units])


def _allowed(interval: float, margin: float) -> float:
    """The most cycles of a layer at a margin."""
    return margin * interval * (1 + 1e-9)  # 0.95 * (2 / 0.95) is below 2


def _total(estimates: list[dict[str, float]]) -> tuple[float, ...]:
    return tuple(sum(estimate.get(name, 0) for estimate in estimates) for name in RESOURCES)


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
        self.of_input = {one.name: one.type for one in graph.inputs}
        self.of_result = {stage.result: stage for stage in stages}
        # what a board has none of is weighed as if it had one
        self.have = {name: max(1, board.resources[name]) for name in RESOURCES}
        self.context = Context.of(graph, stages, board.device, config.levels, config.protection)
        memories = config.memories_of(board.device)
        self.limits = Limits(
            None,
            config.most_lanes,
            config.pixels,
            dsp,
            memories,
            self.have,
            board.device,
            config.protection,
            config.targets,
        )
        self.turns = graph.turns
        self.engines = self._engines()
        self.edges: list[Edge] = [
            (tensor, stage.result, i) for stage in stages for i, tensor in enumerate(stage.inputs)
        ]
        self.edges += [(output.name, OUTPUT, i) for i, output in enumerate(graph.outputs)]
        # what was worked out, where a cache of a method would hold the menu for ever
        self._prices: dict[tuple[Edge, Order, Choice], Price] = {}
        self._orders: dict[tuple[str, Choice], Order] = {}

    def _engines(self) -> dict[str, list[Engine]]:
        """The engines that the user allows for each stage, of those that can take it."""
        self.config.check_patterns([stage.name for stage in self.stages])
        return {stage.result: self._engines_of(stage) for stage in self.stages}

    def _engines_of(self, stage: Stage) -> list[Engine]:
        obstacles = {engine: engine.refuses(stage) for engine in engines().values()}
        able = [engine for engine, obstacle in obstacles.items() if obstacle is None]
        family = self.config.engine_of(stage.name)
        if not able:
            raise UnsupportedLayer(
                f"no engine computes {stage.op}", stage.name, "replace the layer, or add a file to hwgen/engines/"
            )
        wanted = [engine for engine in able if family == "auto" or family in engine.families]
        if not wanted:
            why = obstacles[engines()[family]]  # a family is called after the engine that most stages of it have
            other = sorted({word for engine in able for word in engine.families})[0]
            raise UnsupportedLayer(
                f"--engine {family} is not possible: {why}", stage.name, f"build it with --engine {stage.name}={other}"
            )
        rest = [engine for engine in wanted if family != "auto" or self.auto == "auto" or self.auto in engine.families]
        return rest or wanted

    def order(self, name: str, choice: Choice) -> Order:
        """The order of the stream that a stage, or an input of the network, sends."""
        if name in self.of_input:
            return choice.order(self.of_input[name].shape)
        if (found := self._orders.get((name, choice))) is None:
            stage = self.of_result[name]
            found = self.unit(stage, choice, 0, choice.order(stage.x.shape)).out_order
            self._orders[name, choice] = found
        return found

    def unit(self, stage: Stage, choice: Choice, i: int, order: Order) -> Unit:
        """The unit of a stage whose input i comes in `order`, and the others as if they could have it their way."""
        orders = [order if j == i else choice.order(kind.shape) for j, kind in enumerate(stage.types)]
        return engine_of(choice).unit(stage, choice, orders, self.context)

    def price(self, edge: Edge, before: Choice, after: Choice) -> Price:
        return self.price_from(edge, self.order(edge[0], before), after)

    def price_from(self, edge: Edge, order: Order, after: Choice) -> Price:
        """The price of an edge whose source sends in `order`."""
        if (found := self._prices.get((edge, order, after))) is None:
            found = self._prices[edge, order, after] = self._priced(edge, order, after)
        return found

    def _priced(self, edge: Edge, order: Order, after: Choice) -> Price:
        source, result, i = edge
        if result == OUTPUT:
            kind = self.of_input[source] if source in self.of_input else self.of_result[source].y
            units = [unit for unit, _ in leaving(source, kind, order, self.context)]
            cycles = [unit.cycles() * self.turns[source] for unit in units]
        else:
            stage = self.of_result[result]
            reading = arriving(stage, i, after, order, self.context)
            units = [unit for unit, _ in reading]
            cycles = [unit.cycles() * self.turns[source] for unit in units]
            if i == 0:
                units.append(self.unit(stage, after, i, reading[-1][1] if reading else order))
                cycles.append(units[-1].cycles() * self.times(stage))
        return Price(max(cycles, default=0), tuple(units))

    def times(self, stage: Stage) -> int:
        """How often in a turn of the border its unit is as at first (hwgen.design.Placed.times)."""
        return min(self.turns[stage.result], *(self.turns[name] for name in stage.inputs))

    def options(self, limit: float) -> dict[str, list[Choice]]:
        """What is worth considering where no layer may take more cycles than `limit`, of each stage."""
        found: dict[str, list[Choice]] = {}
        for stage in self.stages:
            found[stage.result] = self._choices(stage, limit, found)
        for source, kind in self.of_input.items():
            readers = [stage.result for stage in self.stages if source in stage.inputs]
            wanted = [choice.order(kind.shape) for name in readers for choice in found[name]] or [Order(kind.shape)]
            found[source] = [Border(n) for n in sorted({order.side if order.lanes == 1 else 1 for order in wanted})]
        found[OUTPUT] = [Border()]
        return found

    def _choices(
        self, stage: Stage, limit: float | None = None, known: Mapping[str, list[Choice]] | None = None
    ) -> list[Choice]:
        """What the stage's engines offer: what is worth considering at a limit, or all; known -- the choices of stages
        before."""

        def sides() -> list[Order]:
            return [self.order(name, choice) for name in stage.inputs for choice in (known or {}).get(name, [])]

        limits = replace(self.limits, cycles=None if limit is None else limit / self.times(stage))
        return [choice for engine in self.engines[stage.result] for choice in engine.choices(stage, limits, sides)]

    def meeting(self, interval: float, budget: Mapping[str, float]) -> tuple[dict[str, Choice] | None, float]:
        """What is `met`, and the cycles that it takes a frame; where that is nothing, the best of the budget, None if
        nothing is in the budget."""
        if found := self.met(interval, budget):
            return found
        best = self.best(budget)
        return best, np.inf if best is None else interval_of(self.placed(best))

    def met(self, interval: float, budget: Mapping[str, float]) -> tuple[dict[str, Choice], float] | None:
        """The choices of least area in a budget whose design, units that wait for each other included, takes at most
        `interval` cycles a frame: each layer that can is so much faster as that needs; and the cycles that it takes.
        None where none is found."""

        def tried(margin: float) -> tuple[dict[str, Choice] | None, float, float]:
            """What is chosen at a margin, its cycles and its share of the board."""
            chosen = self.smallest(interval, budget, margin=margin)
            if chosen is None:
                return None, np.inf, np.inf
            same = tuple(chosen.items())  # margins between two steps of its folds choose the same
            if same not in weighed:
                design = self.placed(chosen)
                weighed[same] = interval_of(design), self.share(_total([design.estimate()]))
            return chosen, *weighed[same]

        weighed: dict[tuple[tuple[str, Choice], ...], tuple[float, float]] = {}
        margin = 1.0
        for _ in range(TRIES):
            chosen, took, share = tried(margin)
            if chosen is None:
                break
            if took <= interval:
                # the steps so far may have passed by a smaller one
                between = np.geomspace(1.0, margin, BETWEEN + 2)[1:-1] if margin < 1 else []
                found = [(chosen, took, share), *map(tried, between)]
                choices, cycles, _ = min((one for one in found if one[1] <= interval), key=lambda one: one[2])
                return (choices, cycles) if choices else None
            # until the slowest layer that keeps within the margin has to be faster, the same is chosen
            allowed = _allowed(interval, margin)
            slowest = max((price.cycles for price in self.prices(chosen) if price.cycles <= allowed), default=allowed)
            margin = min(margin * min(interval / took, STEP**-5), slowest / interval / STEP)
        return None

    def best(self, budget: Mapping[str, float]) -> dict[str, Choice] | None:
        """The choices of the least interval that the budget allows, to within STEP; None where it allows none."""
        interval = self.fastest(budget)
        return None if interval is None else self.smallest(interval, budget)

    def placed(self, chosen: dict[str, Choice]) -> Design:
        return place("", self.graph, self.stages, chosen, self.context)

    def smallest(
        self,
        interval: float,
        budget: Mapping[str, float],
        margin: float = MARGIN,
    ) -> dict[str, Choice] | None:
        """The choices of least area, by the sum of its shares of the board, whose units take at most `interval` cycles
        a frame, `margin` of it each that can; None where the budget does not hold them."""
        return self._solved(interval, budget, margin)

    def sparing(self, interval: float, budget: Mapping[str, float]) -> dict[str, Choice]:
        """The choices that exceed a budget least, by the sum of the shares of the board that are lacking."""
        chosen = self._solved(interval, budget, 1.0, exceed=True)
        assert chosen is not None  # what exceeds a budget is only dear
        return chosen

    def lacks(self, interval: float) -> dict[str, float]:
        """The shares of those resources of the board of which a network of that interval needs more than there is, in
        a design that needs little more."""
        board = {name: self.board.resources[name] for name in RESOURCES}
        # a refusal is worth no long search: what is not known of spatial layers is taken as it is usual
        chosen = self._program(interval, 1.0).solve(self.have, board, exceed=True, roughly=True)
        assert chosen is not None  # what exceeds a budget is only dear
        takes = self.placed(chosen).estimate()
        return {name: takes[name] / self.have[name] for name, n in board.items() if takes[name] > n}

    def _solved(
        self, interval: float, budget: Mapping[str, float], margin: float, exceed: bool = False
    ) -> dict[str, Choice] | None:
        """What is chosen; `exceed` as in IntegerProgram. What a choice takes is worked out only where it would be
        chosen for the least that it may take: until all that is chosen is known, and all else takes no less than what
        it was weighed with."""
        program = self._program(interval, margin)
        while chosen := program.solve(self.have, budget, exceed):
            unknown = [price for price in self.prices(chosen) if not price.known]
            if not unknown:
                return chosen
            for price in unknown:
                _ = price.resources
        return None

    def _program(self, interval: float, margin: float) -> IntegerProgram:
        allowed = _allowed(interval, margin)
        most = {edge: max(allowed, min(interval, self.least[edge[1]])) for edge in self.edges}
        options = self.options(allowed)
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

    def fastest(self, budget: Mapping[str, float]) -> float | None:
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
        """What cannot be faster: a stage, or what brings the result into the order of the border."""
        slowest = max(self.least, key=lambda name: self.least[name])
        return "the reordering of the output" if slowest == OUTPUT else slowest

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
            tuple(unit for price in prices.values() for unit in price.units),
        )

    def next_step(self, result: str, chosen: dict[str, Choice]) -> tuple[Choice, Price] | None:
        """The choice that makes a layer faster for the least area, all others staying, and what its `around` is
        then."""
        stage, now = self.of_result[result], self.around(result, chosen)
        choices = self._choices(stage)
        prices = {choice: self.around(result, chosen | {result: choice}) for choice in choices}
        faster = [(choice, price) for choice, price in prices.items() if price.cycles < now.cycles]
        return min(faster, key=lambda pair: self.share(pair[1].resources), default=None)

    def share(self, resources: tuple[float, ...]) -> float:
        """Of the board: the sum over the resources."""
        return self.board.weight(dict(zip(RESOURCES, resources, strict=True)))
