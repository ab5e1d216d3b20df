"""Where an organisation's own questions say that the thresholds of the three outcomes should lie, and what moving them does.

Only the two thresholds move (`knowledge.certainty` weighs the signals): whether the library speaks of it at all, and whether
what was found states it. A threshold is moved only with enough questions on both of its sides, and only where questions that
took no part in the move were judged better by it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

LEAST = 40
"""Confirmed questions without which nothing is moved."""
LEAST_EACH = 8
"""Questions on each side of a threshold without which it stays where it is."""
FOLDS = 5
FILE = "calibration.json"


@dataclass(frozen=True)
class Case:
    """One confirmed question. topic, certainty: as weighed; speaks, states: what is so, None where nobody said.

    speaks   the library speaks of what is asked
    states   what was found first states it
    """

    topic: float
    certainty: float
    speaks: bool | None
    states: bool | None


@dataclass(frozen=True)
class Shift:
    """By how much each threshold lies above (or below) where it was measured for everybody."""

    topic: float = 0.0
    answer: float = 0.0


@dataclass(frozen=True)
class Rates:
    """What comes of questions, as shares; 0 where there is none of the kind.

    refused     of those that the library speaks of, refused
    let_in      of those that it does not speak of, not refused
    wrong       of those whose first passage does not state it, shown as the answer
    held_back   of those whose first passage states it, not shown as the answer
    """

    refused: float
    let_in: float
    wrong: float
    held_back: float

    @property
    def cost(self) -> float:
        return self.refused + self.let_in + self.wrong + self.held_back


@dataclass(frozen=True)
class Fitted:
    """`after` is of questions that took no part in the shift they were judged by. `missing`: why nothing was moved."""

    questions: int
    shift: Shift
    before: Rates
    after: Rates
    missing: tuple[str, ...] = ()

    @property
    def better(self) -> bool:
        return self.after.cost < self.before.cost - 1e-9


def fit(cases: Sequence[Case], least: int = LEAST) -> Fitted:
    """The thresholds that these questions ask for, and what they do."""
    before = _rates(cases, [Shift()] * len(cases))
    missing = _missing(cases, least)
    if len(cases) < least:
        return Fitted(len(cases), Shift(), before, before, missing)
    shifts = [_shift([other for m, other in enumerate(cases) if m % FOLDS != n % FOLDS]) for n in range(len(cases))]
    return Fitted(len(cases), _shift(cases), before, _rates(cases, shifts), missing)


def _missing(cases: Sequence[Case], least: int) -> tuple[str, ...]:
    out = []
    if len(cases) < least:
        out.append(f"{len(cases)} confirmed questions of at least {least}")
    for what, labels in (
        ("that the SOPs speak of or not", [case.speaks for case in cases]),
        ("that were answered rightly or wrongly", [case.states for case in cases]),
    ):
        fewer = min(labels.count(True), labels.count(False))
        if fewer < LEAST_EACH:
            out.append(f"of those {what}, {labels.count(True)} and {labels.count(False)}, of at least {LEAST_EACH} each")
    return tuple(out)


def _shift(cases: Sequence[Case]) -> Shift:
    topic = _threshold([(case.topic, case.speaks) for case in cases if case.speaks is not None])
    answer = _threshold([(case.certainty, case.states) for case in cases if case.states is not None and case.topic > topic])
    return Shift(topic, answer)


def _threshold(known: Sequence[tuple[float, bool]]) -> float:
    """Where the fewest of both kinds fall on the wrong side, each kind weighing the same; of several the nearest to 0."""
    yes, no = [value for value, is_so in known if is_so], [value for value, is_so in known if not is_so]
    if min(len(yes), len(no)) < LEAST_EACH:
        return 0.0

    def cost(at: float) -> float:
        return sum(value <= at for value in yes) / len(yes) + sum(value > at for value in no) / len(no)

    values = sorted({value for value, _ in known if abs(value) != float("inf")})
    between = [(one + other) / 2 for one, other in pairwise(values)]
    return min([0.0, *between], key=lambda at: (round(cost(at), 9), abs(at)))


def _rates(cases: Sequence[Case], shifts: Sequence[Shift]) -> Rates:
    every = list(zip(cases, shifts, strict=True))

    def share(kind: Callable[[Case], bool], wrong: Callable[[str], bool]) -> float:
        of_kind = [outcome(case.topic, case.certainty, shift) for case, shift in every if kind(case)]
        return sum(map(wrong, of_kind)) / len(of_kind) if of_kind else 0.0

    return Rates(
        refused=share(lambda case: case.speaks is True, lambda found: found == "refusal"),
        let_in=share(lambda case: case.speaks is False, lambda found: found != "refusal"),
        wrong=share(lambda case: case.states is False, lambda found: found == "answer"),
        held_back=share(lambda case: case.states is True, lambda found: found != "answer"),
    )


def outcome(topic: float, certainty: float, shift: Shift) -> Literal["answer", "nearest", "refusal"]:
    """What comes of a question that was weighed so, with the thresholds moved."""
    return "refusal" if topic <= shift.topic else "answer" if certainty > shift.answer else "nearest"


# --- kept ------------------------------------------------------------------------------------------------------------------


def save(folder: Path, embedder: str, shift: Shift) -> Path:
    """Keep the thresholds for this embedder (empty: words alone), beside those of others."""
    folder.mkdir(parents=True, exist_ok=True)
    path, fresh = folder / FILE, folder / f"{FILE}.new"
    kept = {name: asdict(each) for name, each in load(folder).items()} | {embedder: asdict(shift)}
    fresh.write_text(json.dumps(kept, indent=1) + "\n", "utf-8")
    fresh.replace(path)
    return path


def load(folder: Path) -> dict[str, Shift]:
    """The thresholds by embedder; none where there is no file, or one that cannot be read."""
    try:
        kept = json.loads((folder / FILE).read_text("utf-8"))
        return {str(name): Shift(float(each["topic"]), float(each["answer"])) for name, each in kept.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


class Calibrated:
    """The kept thresholds of a folder, read again when the file has changed."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._seen, self._shifts = folder, 0, dict[str, Shift]()

    def of(self, embedder: str) -> Shift:
        try:
            seen = (self._folder / FILE).stat().st_mtime_ns
        except OSError:
            seen = 0
        if seen != self._seen:
            self._seen, self._shifts = seen, load(self._folder)
        return self._shifts.get(embedder, Shift())
