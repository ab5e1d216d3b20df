"""What our bookkeeping costs, as ratios to the bare work in the same run: `make bench`. Never collected as tests."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """Seconds for the same `n` pieces of work: our way, and the barest way to the same rows."""

    what: str
    database: str
    n: int
    ours_s: float
    bare_s: float

    @property
    def ratio(self) -> float:
        return self.ours_s / self.bare_s


def compare(
    what: str, database: str, n: int, ours: Callable[[], object], bare: Callable[[], object], rounds: int = 5
) -> Measure:
    """Both, in turns so that a slow moment of the machine hits both; the median round of each counts."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for way, kept in zip((ours, bare), seconds, strict=True):
            gc.collect()
            began = time.perf_counter()
            way()
            kept.append(time.perf_counter() - began)
    return Measure(what, database, n, statistics.median(seconds[0]), statistics.median(seconds[1]))
