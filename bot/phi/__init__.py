"""What names a patient in a text that staff typed, and the text without it. Pure; no pattern can be made slow.

Shapes (addresses, numbers, dates) are found by RE2 patterns. Names are found by the patients that the feeds know, by lists of
common names, and by what stands around a word. Numbers and capital letters are taken out unless they are known to be harmless.

Whatever fails in here, or takes too long, counts as found: the whole text is withheld.
"""

from __future__ import annotations

import logging
import time
import unicodedata
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from bot.phi.lists import HIDDEN, MARK, NOBODY, Kind, Known, Listed, Mode, blanked, fold, harmless, marks_of
from bot.phi.names import Names
from bot.phi.shapes import Shapes

__all__ = ["MARK", "NOBODY", "Cleaned", "Kind", "Known", "Listed", "Mode", "clean", "fold", "harmless", "marks_of"]

LIMIT = 4000
"""Characters that are looked at; the rest is cut first."""
PATIENCE_S = 2.0
"""A text of LIMIT characters takes some hundredths of a second. What takes longer than this is withheld."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cleaned:
    """A text without what names a patient; what kinds of it were found; withheld: nothing could be made sure of."""

    text: str
    found: frozenset[Kind] = frozenset()
    withheld: bool = False


def clean(
    text: str,
    *,
    mode: Mode = "note",
    staff: Iterable[str] = (),
    known: Known = NOBODY,
    spoken: Collection[str] = frozenset(),
    most: int = LIMIT,
    clock: Callable[[], float] = time.monotonic,
) -> Cleaned:
    """`text` with MARK in the place of what could name a patient. Never raises.

    text    cut at LIMIT characters
    staff   full names that may stay, whole or in part, as long as the words are of one person
    spoken  folded words that may stay though no list of ours has them: those of the practice's own SOPs
    most    characters of the text's plain form that are looked at and kept
    clock   seconds; asked after each part of the work
    limit   a rare name in small letters, which no feed knows and beside which nothing points to a person, stays
    """
    try:
        return _Cleaning(mode, [frozenset(map(fold, name.split())) for name in staff], known, spoken, clock).run(text, most)
    except Exception as bad:  # noqa: BLE001  (whatever it is: nothing is known of this text, so nothing of it goes on)
        log.error("a typed text was withheld: %s", type(bad).__name__)  # noqa: TRY400  (a traceback may hold the text)
        return Cleaned(MARK, frozenset({"name"}), withheld=True)


class _TooSlow(Exception):
    pass


@dataclass
class _Cleaning:
    mode: Mode
    staff: Sequence[frozenset[str]]
    known: Known
    spoken: Collection[str]
    clock: Callable[[], float]

    def run(self, text: str, most: int) -> Cleaned:
        self.began = self.clock()
        plain = _normal(text[:LIMIT])[:most]
        found: list[tuple[int, int, Kind]] = [*Shapes(self.mode, self.spoken, self._in_time).find(plain)]
        self._in_time()
        names = Names(blanked(plain, found), self.mode, self.staff, self.known, self.spoken)
        found += [(at, end, "name") for at, end in names.spans()]
        self._in_time()
        kept = _without(plain, found)
        return Cleaned(kept, frozenset(kind for _, _, kind in found))

    def _in_time(self) -> None:
        if self.clock() - self.began > PATIENCE_S:
            raise _TooSlow


def _normal(text: str) -> str:
    """One line, every character in its plain form, digits of every script as ours; what cannot be seen is gone."""
    seen = "".join(str(unicodedata.digit(c, c)) for c in text if unicodedata.category(c) != "Cf")
    composed = unicodedata.normalize("NFKC", seen)[:LIMIT].replace("[...]", MARK)
    return " ".join("".join(c if c.isprintable() else " " for c in composed).split()).replace(HIDDEN, " ")


def _without(text: str, found: Iterable[tuple[int, int, Kind]]) -> str:
    out: list[str] = []
    end = 0
    for at, to, _ in sorted(found):
        if to <= end:
            continue
        out += [text[end : max(at, end)], MARK]
        end = to
    return " ".join("".join([*out, text[end:]]).split())
