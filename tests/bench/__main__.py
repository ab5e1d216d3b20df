"""Run every measure on every database there is and print the ratios: `make bench`."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine

from bot import records
from bot.migrations import migrate
from tests import postgres
from tests.bench import Measure, ledger, peers, phi, retrieval, size, slack, ticks

ABOUT = "Ratio: how many times as long as the bare work, in the same run. Times are of this machine and mean little elsewhere."

RANKING = (
    "all, appn, denver, hipaa: recall@5 of development questions; slips: of all, with one slip of the finger in each. "
    "starter: right step first. The last two: nDCG@10."
)


def main() -> int:
    console = Console()
    table = Table(title="What our bookkeeping costs", caption=ABOUT)
    for heading in ("measure", "database", "ours, each", "bare, each", "ratio"):
        table.add_column(heading, justify="left" if heading in ("measure", "database") else "right")
    with ExitStack() as open_until_the_end, console.status("Measuring"):
        for engine in _engines(open_until_the_end, console):
            for part in (ledger, slack, ticks):
                for measure in part.measures(engine):
                    table.add_row(*_cells(measure))
    console.print(table)
    console.print(phi.table())
    with console.status("Ranking"):
        ranked = list(retrieval.rows())
    if ranked:
        console.print(_ranking(ranked))
    for what, tables in (("Asking other systems", peers.results()), ("Growing", size.results())):
        with console.status(what):
            for each in tables:
                console.print(each)
    return 0


def _ranking(rows: list[retrieval.Row]) -> Table:
    table = Table(title="What each part of the ranking does", caption=RANKING)
    for heading in ("way", *rows[0].figures):
        table.add_column(heading, justify="left" if heading == "way" else "right")
    for row in rows:
        table.add_row(row.what, *(f"{figure:.3f}" for figure in row.figures.values()))
    return table


def _engines(stack: ExitStack, console: Console) -> Iterator[Engine]:
    """A migrated empty database of each kind."""
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="holdfast-bench-"))
    yield _migrated(stack, f"sqlite:///{Path(folder) / 'holdfast.sqlite'}")
    try:
        server = stack.enter_context(postgres.server())
    except pytest.skip.Exception as reason:
        console.print(f"PostgreSQL is left out: {reason}")
        return
    yield _migrated(stack, stack.enter_context(postgres.database(server)))


def _migrated(stack: ExitStack, url: str) -> Engine:
    engine = records.open_engine(url)
    stack.callback(engine.dispose)
    migrate(engine)
    return engine


def _cells(measure: Measure) -> tuple[str, ...]:
    return (
        measure.what,
        measure.database,
        f"{measure.ours_s / measure.n * 1000:,.2f} ms",
        f"{measure.bare_s / measure.n * 1000:,.2f} ms",
        f"{measure.ratio:,.1f}",
    )


if __name__ == "__main__":
    sys.exit(main())
