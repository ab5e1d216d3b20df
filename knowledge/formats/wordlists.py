"""Word's list numbering as it is printed: counters, levels, restarts, and the text that each level shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from knowledge.formats.wordfile import W

_BOXES = "☐□❏❑▢◻\uf0a8\uf06f\uf071\uf072\uf0a3"
_TICKED = "☑☒🗹\uf0fe\uf052\uf0fd\uf054"
_WINGDINGS_BOXES = "oqr¨£x"
_ONES = (
    "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten", "Eleven", "Twelve", "Thirteen", "Fourteen",
    "Fifteen", "Sixteen", "Seventeen", "Eighteen", "Nineteen", "Twenty",
)  # fmt: skip
_ORDINALS = (
    "First",
    "Second",
    "Third",
    "Fourth",
    "Fifth",
    "Sixth",
    "Seventh",
    "Eighth",
    "Ninth",
    "Tenth",
    "Eleventh",
    "Twelfth",
)


@dataclass(frozen=True)
class Level:
    """One level of a list: its number format, the text around it (`%1.%2`), where it starts and when it starts again."""

    format: str
    text: str
    start: int
    restart: int | None
    legal: bool
    style: str
    font: str
    left: int | None


@dataclass(frozen=True)
class Label:
    """What stands before a list paragraph: `3.`, `a)`, `1.1`, `•`, `[ ]`; at which level, and how far the text is indented."""

    text: str
    level: int
    left: int | None


@dataclass
class _List:
    levels: dict[int, Level]
    counts: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Num:
    list: _List
    starts: dict[int, int]
    levels: dict[int, Level]


class Numbering:
    """The lists of one document. Paragraphs are told in reading order; each answer counts on."""

    def __init__(self, root: Any) -> None:
        self._nums: dict[str, _Num] = {}
        self._begun: set[tuple[str, int]] = set()
        if root is None:
            return
        lists = {_val(a, "abstractNumId"): _List(dict(_levels(a))) for a in root.iter(f"{W}abstractNum")}
        named = {}
        for abstract in root.iter(f"{W}abstractNum"):
            if (link := abstract.find(f"{W}styleLink")) is not None:
                named[_val(link)] = lists[_val(abstract, "abstractNumId")]
        for abstract in root.iter(f"{W}abstractNum"):
            if (link := abstract.find(f"{W}numStyleLink")) is not None and _val(link) in named:
                lists[_val(abstract, "abstractNumId")] = named[_val(link)]
        for num in root.iter(f"{W}num"):
            of = num.find(f"{W}abstractNumId")
            if of is not None and _val(of) in lists:
                self._nums[_val(num, "numId")] = _num(num, lists[_val(of)])

    def level_of(self, num: str, style: str) -> int | None:
        """The level that belongs to a paragraph style, where the list says so."""
        known = self._nums.get(num)
        levels = {**known.list.levels, **known.levels} if known else {}
        return next((n for n, level in levels.items() if level.style == style), None)

    def next(self, num: str, level: int) -> Label | None:
        """The label of the next paragraph of list `num` at `level` (from 0); None where nothing is printed before it."""
        known = self._nums.get(num)
        if known is None:
            return None
        levels = {**known.list.levels, **known.levels}
        if level not in levels:
            return None
        self._count(num, known, levels, level)
        shown = levels[level]
        text = _bullet(shown) if shown.format == "bullet" else _printed(levels, known.list.counts, level)
        return Label(text, level, shown.left) if text else None

    def _count(self, num: str, known: _Num, levels: dict[int, Level], level: int) -> None:
        counts = known.list.counts
        if level in known.starts and (num, level) not in self._begun:
            counts[level] = known.starts[level]
        elif level in counts:
            counts[level] += 1
        else:
            counts[level] = known.starts.get(level, levels[level].start)
        self._begun.add((num, level))
        for deeper in [n for n in counts if n > level]:
            restart = levels[deeper].restart if deeper in levels else None
            if restart is None or level < restart:
                del counts[deeper]


def _num(element: Any, of: _List) -> _Num:
    starts: dict[int, int] = {}
    levels: dict[int, Level] = {}
    for override in element.iter(f"{W}lvlOverride"):
        at = _int(override.get(f"{W}ilvl"), 0)
        if (start := override.find(f"{W}startOverride")) is not None:
            starts[at] = _int(_val(start), 1)
        levels |= dict(_levels(override))
    return _Num(of, starts, levels)


def _levels(element: Any) -> Iterator[tuple[int, Level]]:
    for lvl in element.iterchildren(f"{W}lvl"):
        restart, text = lvl.find(f"{W}lvlRestart"), lvl.find(f"{W}lvlText")
        fonts, ind = lvl.find(f"{W}rPr/{W}rFonts"), lvl.find(f"{W}pPr/{W}ind")
        picture = lvl.find(f"{W}lvlPicBulletId") is not None
        legal = lvl.find(f"{W}isLgl")
        left = None if ind is None else ind.get(f"{W}left") or ind.get(f"{W}start")
        yield (
            _int(lvl.get(f"{W}ilvl"), 0),
            Level(
                format="bullet" if picture else _val(lvl.find(f"{W}numFmt")) or "decimal",
                text=_val(text),
                start=_int(_val(lvl.find(f"{W}start")), 0),
                restart=None if restart is None else _int(_val(restart), 0),
                legal=legal is not None and _val(legal) not in ("0", "false", "off"),
                style=_val(lvl.find(f"{W}pStyle")),
                font="" if fonts is None else fonts.get(f"{W}ascii") or "",
                left=None if left is None else _int(left, 0),
            ),
        )


def _bullet(level: Level) -> str:
    glyph = level.text.strip()[:1]
    if glyph in _TICKED and glyph:
        return "[x]"
    if glyph and (glyph in _BOXES or ("wingdings" in level.font.lower() and glyph in _WINGDINGS_BOXES)):
        return "[ ]"
    return "•"


def _printed(levels: dict[int, Level], counts: dict[int, int], at: int) -> str:
    legal = levels[at].legal

    def number(found: re.Match[str]) -> str:
        level = levels.get(int(found[1]) - 1)
        if level is None:
            return ""
        count = counts.get(int(found[1]) - 1, level.start)
        return spelt(count, "decimal" if legal and level.format != "none" else level.format)

    return " ".join(re.sub(r"%([1-9])", number, levels[at].text).split())


def spelt(count: int, form: str) -> str:
    """A count in one of Word's number formats; in digits where that is not one we know."""
    match form:
        case "none" | "bullet":
            return ""
        case "lowerLetter" | "upperLetter" if 0 < count < 10_000:
            letters = chr(ord("a") + (count - 1) % 26) * ((count - 1) // 26 + 1)
            return letters.upper() if form == "upperLetter" else letters
        case "lowerRoman" | "upperRoman" if 0 < count < 4_000:
            roman = _roman(count)
            return roman if form == "upperRoman" else roman.lower()
        case "decimalZero":
            return f"{count:02d}"
        case "ordinal":
            ending = "th" if 10 <= count % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(count % 10, "th")
            return f"{count}{ending}"
        case "cardinalText" if 0 < count <= len(_ONES):
            return _ONES[count - 1]
        case "ordinalText" if 0 < count <= len(_ORDINALS):
            return _ORDINALS[count - 1]
    return str(count)


def _roman(count: int) -> str:
    signs = ((1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X"))
    text = ""
    for value, sign in (*signs, (9, "IX"), (5, "V"), (4, "IV"), (1, "I")):
        text += sign * (count // value)
        count %= value
    return text


def _val(element: Any, name: str = "val") -> str:
    return "" if element is None else element.get(f"{W}{name}") or ""


def _int(text: str | None, otherwise: int) -> int:
    return int(text) if text and re.fullmatch(r"-?\d{1,9}", text) else otherwise
