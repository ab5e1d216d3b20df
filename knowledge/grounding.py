"""Does a quote stand in a passage, and what has to stand beside it so that it is not misread?

A quote stands where its words stand, letter for letter and number for number, from one word's beginning to another's end; only
white space, Markdown's emphasis and typographic spellings of one character may differ. What is shown is never the quote as it
was given: it is a span cut from the source, and the span is whole. "keep using the sterilizer" stands in "Do not keep using
the sterilizer.", and what is shown is that sentence.

Whole sentences are not enough. An item of a list below "Never:" says the opposite without that line, a row of a table says
nothing without its head, and "Otherwise call the lab." hangs on the sentence before. `whole` takes these in. No grammar is
needed for it: it adds what stands beside, and so can make a quote longer, never another one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from knowledge.sops import SopText, excerpt

_MARKER = re.compile(
    r"(?P<indent>\s*(?:>\s*)*)(?:(?P<heading>#{1,6}\s+)"
    r"|(?P<item>(?:[-*+]|(?P<number>\d{1,9})[.)])\s+(?:\[[ xX]\]\s+)?)|(?P<row>\|))?"
)
_END = re.compile(r"[.!?]+[\"”’)\]*_`]*(?=\s|$)")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:e\.g|i\.e|etc|vs|no|nos|dr|mr|ms|mrs|approx|st|fig|min|max|inc|[A-Za-z])\.$", re.IGNORECASE
)
_EMPHASIS = frozenset("*`_")
_SPELLED = str.maketrans(
    {"‘": "'", "’": "'", "‚": "'", "“": '"', "”": '"', "„": '"', "‐": "-", "‑": "-", "‒": "-", "–": "-", "—": "-", "−": "-"}
)
_JOINS = frozenset("-.,:/'’+%")

_NEGATIVE = re.compile(r"\b(?:not|no|never|none|nor|neither|cannot|without|avoid|stop|unless|except)\b|n['’]t\b", re.IGNORECASE)
_LEANS_BACK = re.compile(
    r"\W*(?:otherwise|instead|then|this|that|these|those|it|they|he|she|such|so|but|however|except|unless|also|in (?:that|this|"
    r"such|either|both|these|those) cases?|if (?:so|not|yes|no)|and|or)\b",
    re.IGNORECASE,
)
_TAKES_BACK = re.compile(
    r"\W*(?:except|unless|but|however|exceptions?|not|never|do not|don['’]t|only|otherwise|if not)\b", re.IGNORECASE
)


@dataclass(frozen=True)
class Span:
    """A piece of a source: `text` is `source[start:end]` of the source called `source`."""

    source: str
    start: int
    end: int
    text: SopText


@dataclass(frozen=True)
class Standing:
    """Where a quote stands in a passage, as places in its text.

    said      the whole sentences that the quote touches
    shown     the same with what they hang on
    numbered  they begin with an item of a numbered list
    """

    said: tuple[int, int]
    shown: tuple[int, int]
    numbered: bool

    def span(self, source: str, passage: SopText, offset: int) -> Span:
        """What is to be shown, as a span of the source that the passage was cut from at `offset`."""
        start, end = self.shown
        return Span(source, offset + start, offset + end, excerpt(passage, start, end))


def stands(quote: str, passage: str) -> Standing | None:
    """Where the quote stands in the passage, first place first; None where it does not."""
    wanted, _ = _folded(quote)
    text, places = _folded(passage)
    wanted = wanted.strip()
    if not any(c.isalnum() for c in wanted):
        return None
    at = text.find(wanted)
    while at >= 0:
        end = at + len(wanted)
        if _is_whole_words(text, at, end) and (found := _standing(passage, places[at], places[end - 1] + 1)):
            return found
        at = text.find(wanted, at + 1)
    return None


def sentences(text: str) -> Iterator[tuple[int, int]]:
    """The sentences of Markdown text as spans, without list markers; a list item, heading or table row is one unit."""
    for unit in _units(text):
        yield from _sentences(text, unit)


def plain(text: str) -> str:
    """The text with every run of white space as one blank, without emphasis and with one spelling for each character."""
    return _folded(text)[0].strip()


def negatives(text: str) -> int:
    """How many words in it turn a sentence round or take something out of it."""
    return len(_NEGATIVE.findall(plain(text)))


# --- units and sentences -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Unit:
    """Lines that a reader sees as one run of text; `start` is behind the list marker."""

    kind: Literal["heading", "item", "row", "paragraph"]
    start: int
    end: int
    indent: int
    numbered: bool


def _units(text: str) -> Iterator[_Unit]:
    at, unit, end = 0, None, -1
    for line in text.split("\n"):
        marker = _MARKER.match(line)
        assert marker  # everything in it is optional
        begins = bool(marker["heading"] or marker["item"] or marker["row"])
        if unit and (begins or not line.strip()):
            yield _Unit(unit.kind, unit.start, end, unit.indent, unit.numbered)
            unit = None
        if line.strip():
            if unit is None:
                kind = next((k for k in ("heading", "item", "row") if marker[k]), "paragraph")
                start = at + (marker.start("row") if marker["row"] else marker.end())
                if start - at < len(line.rstrip()):
                    unit = _Unit(kind, start, start, len(marker["indent"]), bool(marker["number"]))  # type: ignore[arg-type]
            end = at + len(line.rstrip())
        at += len(line) + 1
    if unit:
        yield _Unit(unit.kind, unit.start, end, unit.indent, unit.numbered)


def _sentences(text: str, unit: _Unit) -> Iterator[tuple[int, int]]:
    first = unit.start
    for stop in _END.finditer(text, unit.start, unit.end):
        rest = text[stop.end() : unit.end].lstrip()
        if rest and (rest[0].islower() or rest[0].isdigit() or _ABBREVIATION.search(text[first : stop.end()])):
            continue
        yield first, stop.end()
        first = unit.end - len(rest)
    if first < unit.end:
        yield first, unit.end


# --- what stands beside --------------------------------------------------------------------------------------------------


def _standing(text: str, start: int, end: int) -> Standing | None:
    """None: the place holds nothing but a list's marks."""
    units = list(_units(text))
    parts = [(n, *span) for n, unit in enumerate(units) for span in _sentences(text, unit)]
    touched = [n for n, (_, first, last) in enumerate(parts) if first < end and start < last]
    if not touched:
        return None
    first, last = touched[0], touched[-1]
    said = (parts[first][1], parts[last][2])
    numbered = units[parts[first][0]].numbered
    while (wider := (_back(text, units, parts, first), _forth(text, units, parts, last))) != (first, last):
        first, last = wider
    return Standing(said, (parts[first][1], parts[last][2]), numbered)


def _back(text: str, units: list[_Unit], parts: list[tuple[int, int, int]], first: int) -> int:
    """The first part that the part `first` hangs on, or itself."""
    place, start, end = parts[first]
    unit = units[place]
    above = place - 1
    if (
        first
        and unit.kind != "heading"
        and _LEANS_BACK.match(text, start, end)
        and units[parts[first - 1][0]].kind != "heading"
    ):
        return first - 1
    if unit.kind == "row":
        while above >= 0 and units[above].kind == "row":
            above -= 1
        hangs_on = above + 1
    elif unit.kind == "item":
        while above >= 0 and _is_beside(units[above], unit):
            above -= 1
        hangs_on = above if above >= 0 and (units[above].kind == "item" or _opens(text, units[above])) else place
    else:
        hangs_on = above if above >= 0 and unit.kind == "paragraph" and _opens(text, units[above]) else place
    if hangs_on == place:
        hangs_on = _forbidding(text, units, place)
    return next(n for n, part in enumerate(parts) if part[0] == hangs_on) if hangs_on != place else first


def _is_beside(other: _Unit, item: _Unit) -> bool:
    """Whether it is an item of the same list, or below one: what is passed on the way up to what the list hangs on."""
    return other.indent >= (item.indent if other.kind == "item" else max(item.indent, 1)) and other.kind != "heading"


def _opens(text: str, unit: _Unit) -> bool:
    """Whether a paragraph is not finished, and so speaks of what stands below it."""
    return unit.kind == "paragraph" and text[: unit.end].rstrip("*_` ")[-1:] not in (".", "!", "?")


def _forbidding(text: str, units: list[_Unit], place: int) -> int:
    """The heading above, where it says what not to do; else the unit itself."""
    for above in range(place - 1, -1, -1):
        if units[above].kind == "heading":
            return above if _NEGATIVE.search(text, units[above].start, units[above].end) else place
    return place


def _forth(text: str, units: list[_Unit], parts: list[tuple[int, int, int]], last: int) -> int:
    """The last part without which the part `last` says too much, or itself."""
    place, _, end = parts[last]
    if last + 1 == len(parts):
        return last
    below, start, stop = parts[last + 1]
    if units[below].kind == "heading":
        return last
    if _TAKES_BACK.match(text, start, stop):
        return last + 1
    if text[:end].rstrip("*_` ").endswith(":") and units[place].kind != "heading":
        inside = below
        while inside + 1 < len(units) and units[inside + 1].kind == units[below].kind and units[below].kind != "paragraph":
            inside += 1
        return max(n for n, part in enumerate(parts) if part[0] <= inside)
    return last


# --- folding -------------------------------------------------------------------------------------------------------------


def _folded(text: str) -> tuple[str, list[int]]:
    """The text as it is compared, and for each of its characters the place in `text` that it comes from."""
    out: list[str] = []
    places: list[int] = []
    for place, char in enumerate(text):
        if char in _EMPHASIS and not _is_inside_a_word(text, place):
            continue
        if char.isspace():
            if out and out[-1] != " ":
                out.append(" ")
                places.append(place)
            continue
        for part in unicodedata.normalize("NFKD", char).translate(_SPELLED):
            if unicodedata.category(part) != "Cf":
                out.append(" " if part.isspace() else part)
                places.append(place)
    return "".join(out), places


def _is_inside_a_word(text: str, place: int) -> bool:
    """`billing_rule` and `2*3` are no emphasis."""
    return 0 < place < len(text) - 1 and text[place - 1].isalnum() and text[place + 1].isalnum()


def _is_whole_words(text: str, start: int, end: int) -> bool:
    return not (_goes_on(text[start::-1][:3]) or _goes_on(text[end - 1 : end + 2]))


def _goes_on(outward: str) -> bool:
    """Whether a word or number goes on past the first of these characters, read away from the quote."""
    edge, beyond = outward[:1], outward[1:]
    if not edge.isalnum() or not beyond:
        return False
    return beyond[0].isalnum() or (beyond[0] in _JOINS and beyond[1:2].isalnum())
