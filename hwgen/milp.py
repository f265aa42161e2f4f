"""The integer program behind a schedule: a choice for each stage, priced edge by edge."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from hwgen.config import RESOURCES

NOTHING = (0.0,) * len(RESOURCES)
C = TypeVar("C", bound=Hashable)  # a choice
Sent = TypeVar("Sent", bound=Hashable)  # what its readers see of it


class Priced(Protocol):
    """least, about -- what it takes at least, as far as is known now, and what that may come to, by RESOURCES"""

    @property
    def least(self) -> Sequence[float]: ...

    @property
    def about(self) -> Sequence[float]: ...


class IntegerProgram(Generic[C, Sent]):
    """A choice for each stage such that all edges together cost least: a binary for each choice, and for each edge a
    transport from the orders that its source may send to the choices of its reader, whose relaxation is tight where the
    edges form a tree (HiGHS solves it)."""

    def __init__(self, options: Mapping[str, list[C]]):
        self.nodes = {(name, choice): i for i, (name, choice) in enumerate((n, c) for n in options for c in options[n])}
        self.prices: list[Priced | None] = [None] * len(self.nodes)
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
        orders: Mapping[C, Sent],
        prices: Mapping[tuple[Sent, C], Priced],
    ) -> None:
        """The ends of an edge are chosen together: the order that the source's choice sends in, and the reader's
        choice.

        edge -- source, reader and the number of the reader's input; prices -- of each pair
        """
        source, result, _ = edge
        senders: dict[Sent, list[int]] = {}
        for choice, order in orders.items():
            senders.setdefault(order, []).append(self.nodes[source, choice])
        of_order: dict[Sent, list[int]] = {order: [] for order in senders}
        of_reader: dict[int, list[int]] = {i: [] for (name, _), i in self.nodes.items() if name == result}
        for (order, after), price in prices.items():
            of_order[order].append(len(self.prices))
            of_reader[self.nodes[result, after]].append(len(self.prices))
            self.prices.append(price)
        for order, variables in of_order.items():
            self.row(variables, 0.0, less=senders[order])
        for node, variables in of_reader.items():
            self.row(variables, 0.0, less=[node])

    def solve(
        self, have: Mapping[str, int], budget: Mapping[str, float], exceed: bool = False, roughly: bool = False
    ) -> dict[str, C] | None:
        """The choice of each stage, by its name, that takes the least sum of shares of what there is, by what is known
        of prices now; None where none is in the budget.

        exceed -- the budget may be exceeded, by the least sum of shares
        roughly -- by what prices may come to, not by what they are at least
        """
        known = [(price.about if roughly else price.least) if price else NOTHING for price in self.prices]
        costs = np.array(known, float)
        ones = np.array([have[name] for name in RESOURCES])
        rows, variables, factors = (np.array(column) for column in zip(*self.entries, strict=True))
        # the last variables are those shares
        size = len(costs) + len(ones)
        matrix = coo_array((factors, (rows, variables)), (len(self.ends), size)).tocsr()
        takes = np.column_stack([costs.T, -np.diag(ones)])
        # scipy's own annotations say that ends are single numbers
        most: Any = np.array([budget.get(name, np.inf) for name in RESOURCES])
        none: Any = np.full(len(most), -np.inf)
        ends: Any = np.array(self.ends)
        least: Any = np.zeros(size)
        greatest: Any = np.where(np.arange(size) < len(costs), 1.0, np.inf if exceed else 0.0)
        found = milp(
            # shares of a thousandth are what the solver tells apart well
            np.concatenate([1000 * (costs / ones).sum(axis=1), np.full(len(ones), 1e6)]),
            integrality=np.arange(size) < len(self.nodes),
            bounds=Bounds(least, greatest),
            constraints=[
                LinearConstraint(matrix, ends, ends),
                LinearConstraint(takes, none, most),
            ],
            options={"mip_rel_gap": 1e-3} if exceed else {},
        )
        if not found.success:
            return None
        return {name: choice for (name, choice), i in self.nodes.items() if found.x[i] > 0.5}
