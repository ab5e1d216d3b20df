"""Tables whose cells are ruled: which cell of which table a point of the page lies in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from knowledge.formats.planes import Box

_TOUCH = 3.0  # points: borders of neighbouring cells are drawn a hair apart
_MAX_RULES = 1_500  # more are a drawing
_MAX_CELLS = 5_000


@dataclass(frozen=True)
class Grid:
    """One ruled table: `xs` from the left, `ys` from the top down, and the rules themselves."""

    xs: tuple[float, ...]
    ys: tuple[float, ...]
    across: tuple[Box, ...]
    down: tuple[Box, ...]

    def cell(self, x: float, y: float) -> tuple[int, int] | None:
        """Row and column that the point lies in, those of the upper left part where cells are joined; None outside."""
        if not (self.xs[0] <= x <= self.xs[-1] and self.ys[-1] <= y <= self.ys[0]):
            return None
        column = max(n for n, edge in enumerate(self.xs[:-1]) if edge <= x)
        row = max(n for n, edge in enumerate(self.ys[:-1]) if edge >= y)
        while column and not any(abs(rule[0] - self.xs[column]) <= _TOUCH and rule[1] <= y <= rule[3] for rule in self.down):
            column -= 1
        middle = (self.xs[column] + min(edge for edge in self.xs if edge > self.xs[column])) / 2
        while row and not any(abs(rule[1] - self.ys[row]) <= _TOUCH and rule[0] <= middle <= rule[2] for rule in self.across):
            row -= 1
        return row, column


def grids(rules: Sequence[Box]) -> list[Grid]:
    """The ruled tables of a page. A frame around a text is none: a table has two columns at least."""
    if len(rules) > _MAX_RULES:
        return []
    found = []
    for group in _touching(rules):
        across = tuple(rule for rule in group if rule[2] - rule[0] >= rule[3] - rule[1])
        down = tuple(rule for rule in group if rule[2] - rule[0] < rule[3] - rule[1])
        if not across or not down:
            continue
        xs = _merged([*(rule[0] for rule in down), min(rule[0] for rule in across), max(rule[2] for rule in across)])
        ys = _merged([*(rule[1] for rule in across), min(rule[1] for rule in down), max(rule[3] for rule in down)])
        if len(xs) >= 3 and len(ys) >= 2 and len(xs) * len(ys) <= _MAX_CELLS:
            found.append(Grid(tuple(xs), tuple(reversed(ys)), across, down))
    return found


def _touching(rules: Sequence[Box]) -> Iterable[list[Box]]:
    """The rules in groups of those that touch each other."""
    parents = list(range(len(rules)))

    def root(n: int) -> int:
        while parents[n] != n:
            parents[n] = parents[parents[n]]
            n = parents[n]
        return n

    order = sorted(range(len(rules)), key=lambda n: rules[n][0])
    for place, n in enumerate(order):
        for m in order[place + 1 :]:
            if rules[m][0] > rules[n][2] + _TOUCH:
                break
            if rules[m][1] <= rules[n][3] + _TOUCH and rules[n][1] <= rules[m][3] + _TOUCH:
                parents[root(m)] = root(n)
    groups: dict[int, list[Box]] = {}
    for n, rule in enumerate(rules):
        groups.setdefault(root(n), []).append(rule)
    return groups.values()


def _merged(values: Iterable[float]) -> list[float]:
    """Ascending, what is within 3 points of the one before left out."""
    result: list[float] = []
    for value in sorted(values):
        if not result or value > result[-1] + _TOUCH:
            result.append(value)
    return result
