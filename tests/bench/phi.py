"""What the recogniser of typed patient data finds and what it takes by mistake: `python -m tests.bench.phi`.

The lines are in tests/fixtures/phi: one half was in view when the recogniser was written, the other was held apart.
"""

from __future__ import annotations

import json
import random
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bot import phi
from bot.phi.lists import data

TEXTS = Path(__file__).parent.parent / "fixtures" / "phi"
QUESTIONS = Path(__file__).parents[3] / "shared" / "data" / "questions" / "dev.jsonl"
QUESTIONED = "development questions"
MODES: tuple[phi.Mode, ...] = ("question", "search", "note")
_SPAN = re.compile(r"\[([nx])\|([^\]]*)\]")


@dataclass(frozen=True)
class Line:
    """One text and what in it tells who somebody is: names, and everything else."""

    text: str
    names: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


def lines(half: str) -> Iterator[Line]:
    """The lines of `half`, "practised" or "held"; those without a name or another span are clean."""
    for line in (TEXTS / f"{half}.txt").read_text("utf-8").splitlines():
        if line and not line.startswith(("#", "= ")):
            spans = _SPAN.findall(line)
            yield Line(
                _SPAN.sub(r"\2", line),
                tuple(t for kind, t in spans if kind == "n"),
                tuple(t for kind, t in spans if kind == "x"),
            )


def questions() -> list[Line]:
    """The development questions over other people's SOPs, which name no patient; empty where they are missing."""
    if not QUESTIONS.exists():
        return []
    return [Line(json.loads(line)["question"]) for line in QUESTIONS.read_text("utf-8").splitlines()]


def left_over(span: str, kept: str, *, is_name: bool) -> bool:
    """Whether a part of `span` by which somebody could be known still stands in `kept`: any of its words, or its number."""
    said = {phi.fold(word) for word in re.findall(r"[\w'’-]+", re.sub(r"['’]s\b", "", kept))}
    if not is_name:
        return span in kept or any(phi.fold(w) in said for w in re.findall(r"[\w@.-]*\d[\w@.-]*", span))
    words = [w for w in re.findall(r"[\w'’-]+", span) if len(w) > 1 and w.casefold() not in _NO_NAMES]
    return any(phi.fold(word) in said for word in words)


_NO_NAMES = {"mr", "mrs", "ms", "dr", "and", "jr", "van", "der", "de", "la", "al"}


@dataclass(frozen=True)
class Figures:
    """Counts over some lines, and what went wrong, to be read."""

    names: int
    names_removed: int
    others: int
    others_removed: int
    clean: int
    alarms: int
    missed: tuple[tuple[str, str], ...]
    wrongly: tuple[tuple[str, str], ...]
    ms_each: float


def figures(of: Sequence[Line], mode: phi.Mode = "question", known: phi.Known = phi.NOBODY) -> Figures:
    missed: list[tuple[str, str]] = []
    wrongly: list[tuple[str, str]] = []
    names_left = others_left = 0
    started = time.perf_counter()
    kept = [phi.clean(line.text, mode=mode, known=known).text for line in of]
    took = time.perf_counter() - started
    for line, text in zip(of, kept, strict=True):
        names = [n for n in line.names if left_over(n, text, is_name=True)]
        others = [x for x in line.others if left_over(x, text, is_name=False)]
        names_left, others_left = names_left + len(names), others_left + len(others)
        if names or others:
            missed.append((line.text, text))
        if not line.names and not line.others and phi.MARK in text:
            wrongly.append((line.text, text))
    clean = sum(not line.names and not line.others for line in of)
    every, other = sum(len(line.names) for line in of), sum(len(line.others) for line in of)
    return Figures(
        every, every - names_left, other, other - others_left, clean, len(wrongly), tuple(missed), tuple(wrongly),
        took / max(len(of), 1) * 1000,
    )  # fmt: skip


def feeds_with(of: Sequence[Line]) -> phi.Known:
    """What feeds tell that name the people of these lines; not the doctors, who are nobody's patients here."""
    names = [name for line in of for name in line.names if not name.casefold().startswith("dr")]
    return phi.Listed(frozenset().union(*(phi.marks_of(one) for name in names for one in _as_in_a_feed(name))))


def _as_in_a_feed(name: str) -> Iterator[str]:
    """ "Mr. and Mrs. Castellano" as "Castellano, X"; of a single word a given name where it is one."""
    words = [w for w in name.replace(".", "").split() if w.casefold() not in ("mr", "mrs", "ms", "and")]
    if len(words) > 1:
        yield " ".join(words)
    elif words:
        titled = len(name.split()) > 1
        yield f"{words[0]}, X" if titled or phi.fold(words[0]) not in data().given else f"Quillonby, {words[0]}"


def practice(number: int = 2000) -> phi.Known:
    """The patients of a practice, with names as common as in the lists: among them Young, Price, Grace and Mark."""
    chance = random.Random(28)
    given, surnames = sorted(data().given), sorted(data().surnames)
    people = (f"{chance.choice(surnames)}, {chance.choice(given)}" for _ in range(number))
    return phi.Listed(frozenset().union(*map(phi.marks_of, people)))


def table() -> Table:
    """The figures of every half, as a question and as a note, and with feeds that know somebody."""
    shown = Table(
        title="Patient data that staff type",
        caption="Without feeds names are told by lists and by what stands around them.",
    )
    for heading in ("texts", "names removed", "other spans removed", "false alarms", "each"):
        shown.add_column(heading, justify="left" if heading == "texts" else "right")
    known: list[tuple[str, list[Line], phi.Known]] = [(title, of, phi.NOBODY) for title, of in sets().items()]
    known += [(f"{title}, known to feeds", of, feeds_with(of)) for title, of in sets().items() if title != QUESTIONED]
    known += [(f"{title}, a practice of 2,000 patients", of, practice()) for title, of in sets().items()]
    for title, of, by in known:
        for mode in MODES:
            f = figures(of, mode, by)
            shown.add_row(
                f"{title}, as a {mode}", f"{f.names_removed}/{f.names}", f"{f.others_removed}/{f.others}",
                f"{f.alarms}/{f.clean}", f"{f.ms_each:.2f} ms",
            )  # fmt: skip
    return shown


def sets() -> dict[str, list[Line]]:
    return {"practised": list(lines("practised")), "held": list(lines("held")), QUESTIONED: questions()}


def main() -> int:
    console = Console()
    console.print(table())
    if "--lines" in sys.argv:
        for title in sys.argv[sys.argv.index("--lines") + 1 :]:
            f = figures(sets()[title])
            for before, after in (*f.missed, *f.wrongly):
                console.print(f"{before}\n    {after}", markup=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
