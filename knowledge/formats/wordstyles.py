"""Word's styles: what a paragraph and a run look like after inheritance, and whether a person can see them."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from typing import Any

from knowledge.formats.wordfile import W

_HEADING = re.compile(
    r"(?:heading|überschrift|titre|título|titulo|titolo|kop|rubrik|overskrift|otsikko|nagłówek|nadpis|заголовок|标题|見出し|제목)\s*(\d)"
)
_TITLES = frozenset({"title", "titel", "titre", "título", "titulo", "titolo", "tytuł", "название"})
_HIGHLIGHTS = {
    "black": "000000", "blue": "0000FF", "cyan": "00FFFF", "darkBlue": "00008B", "darkCyan": "008B8B", "darkGray": "A9A9A9",
    "darkGreen": "006400", "darkMagenta": "8B008B", "darkRed": "8B0000", "darkYellow": "808000", "green": "00FF00",
    "lightGray": "D3D3D3", "magenta": "FF00FF", "red": "FF0000", "white": "FFFFFF", "yellow": "FFFF00",
}  # fmt: skip
_TOO_NEAR = 24
"""Steps of 256 between the colours of letters and ground, below which nobody reads them (EEEEEE on white is 17)."""
_TINY = 4
"""Half points: two points or less."""
FAR = 11_000
"""Twips, 19 cm: text that far outside the margins is outside the paper."""


@dataclass(frozen=True)
class Look:
    """How letters look; None where a level of inheritance says nothing. `size` in half points, colours as RRGGBB or `auto`."""

    vanish: bool | None = None
    bold: bool | None = None
    caps: bool | None = None
    size: float | None = None
    color: str | None = None
    ground: str | None = None
    squeezed: bool | None = None

    def under(self, nearer: Look) -> Look:
        """This look where `nearer` says nothing."""
        said = {f.name: value for f in fields(nearer) if (value := getattr(nearer, f.name)) is not None}
        return replace(self, **said)

    def why_hidden(self, ground: str) -> str:
        """Why nobody sees letters of this look on `ground` (RRGGBB; empty: not known), as one phrase; empty when seen."""
        if self.vanish:
            return "hidden text (formatted as hidden)"
        if self.size is not None and self.size <= _TINY:
            return "hidden text (letters too small to read)"
        if self.squeezed:
            return "hidden text (squeezed to nothing)"
        own = self.ground if self.ground and self.ground != "auto" else ground
        if self.color and self.color != "auto" and own and _near(self.color, own):
            return "hidden text (letters in the colour of the paper)"
        return ""


@dataclass(frozen=True)
class Style:
    """A paragraph or character style after inheritance. `heading`: 0 for the title, 1 to 9, None for text."""

    id: str = ""
    name: str = ""
    look: Look = Look()
    heading: int | None = None
    num: str = ""
    level: int | None = None
    left: int | None = None
    chain: tuple[str, ...] = ()


class Styles:
    def __init__(self, root: Any) -> None:
        self._elements: dict[str, Any] = {}
        self._known: dict[str, Style] = {}
        self.default = Look()
        self.body = Style()
        self._shaded: set[str] = set()
        if root is None:
            return
        self.default = look(root.find(f"{W}docDefaults/{W}rPrDefault/{W}rPr"))
        for element in root.iterchildren(f"{W}style"):
            self._elements[element.get(f"{W}styleId") or ""] = element
            if element.get(f"{W}type") == "table" and any(_colour(s, "fill") for s in element.iter(f"{W}shd")):
                self._shaded.add(element.get(f"{W}styleId") or "")
        for element in self._elements.values():
            if element.get(f"{W}type") == "paragraph" and element.get(f"{W}default") in ("1", "true"):
                self.body = self.of(element.get(f"{W}styleId") or "")

    def shades(self, table_style: str) -> bool:
        """Does this table style paint cells? Then white letters in them may well be seen."""
        return table_style in self._shaded or any(base in self._shaded for base in self.of(table_style).chain)

    def of(self, style: str) -> Style:
        """The style with this id; a guess by its id where the file does not define it."""
        if style not in self._known:
            self._known[style] = self._resolved(style)
        return self._known[style]

    def _resolved(self, style: str) -> Style:
        chain: list[str] = []
        at = style
        while at in self._elements and at not in chain and len(chain) < 20:
            chain.append(at)
            based = self._elements[at].find(f"{W}basedOn")
            at = "" if based is None else based.get(f"{W}val") or ""
        if not chain:
            return Style(style, style, heading=_heading(style, None))
        made = Style(style, chain=tuple(chain))
        for name in reversed(chain):
            made = self._over(made, self._elements[name])
        return made

    def _over(self, base: Style, element: Any) -> Style:
        named = element.find(f"{W}name")
        name = (named.get(f"{W}val") or "") if named is not None else ""
        p = element.find(f"{W}pPr")
        outline = None if p is None else p.find(f"{W}outlineLvl")
        heading = _heading(name, None if outline is None else outline.get(f"{W}val"))
        num, level = num_pr(p)
        return replace(
            base,
            name=name,
            look=base.look.under(look(element.find(f"{W}rPr"))),
            heading=base.heading if heading is None and outline is None else heading,
            num=num or base.num,
            level=base.level if level is None else level,
            left=base.left if (left := left_of(p)) is None else left,
        )


def _heading(name: str, outline: str | None) -> int | None:
    low = name.lower().strip()
    if low in _TITLES:
        return 0
    if found := _HEADING.match(low):
        return int(found[1]) or None
    return int(outline) + 1 if outline and outline.isdigit() and int(outline) < 9 else None


def look(r: Any) -> Look:
    """What one `rPr` says."""
    if r is None:
        return Look()
    size, color, shade, mark = (r.find(f"{W}{name}") for name in ("sz", "color", "shd", "highlight"))
    width = r.find(f"{W}w")
    caps = _on(r, "caps")
    return Look(
        vanish=_on(r, "vanish"),
        bold=_on(r, "b"),
        caps=_on(r, "smallCaps") if caps is None else caps,
        size=None if size is None else _float(size.get(f"{W}val")),
        color=None if color is None else _named(color),
        ground=_HIGHLIGHTS.get((mark.get(f"{W}val") or "") if mark is not None else "") or _colour(shade, "fill"),
        squeezed=None if width is None else (_float(width.get(f"{W}val")) or 100) <= 5,
    )


def _named(color: Any) -> str:
    """The colour as written; of a theme colour without a value only white can be told."""
    said = _colour(color, "val")
    if said:
        return said
    return "FFFFFF" if color.get(f"{W}themeColor") in ("background1", "light1") else "auto"


def _colour(element: Any, name: str) -> str | None:
    said = (element.get(f"{W}{name}") or "") if element is not None else ""
    return said.upper() if re.fullmatch(r"[0-9A-Fa-f]{6}", said) else None


def fill(element: Any) -> str | None:
    """The colour behind a paragraph, cell or table (`shd`); "" where it is a theme's and so not known."""
    shade = None if element is None else element.find(f"{W}shd")
    if shade is None:
        return None
    if shade.get(f"{W}val") not in (None, "clear", "nil") and _colour(shade, "color"):
        return ""
    return _colour(shade, "fill") or ("" if shade.get(f"{W}themeFill") else None)


def num_pr(p: Any) -> tuple[str, int | None]:
    """List id and level that a `pPr` gives; "" and None where it gives none."""
    pr = None if p is None else p.find(f"{W}numPr")
    if pr is None:
        return "", None
    num, level = pr.find(f"{W}numId"), pr.find(f"{W}ilvl")
    said = level.get(f"{W}val") if level is not None else None
    return (num.get(f"{W}val") or "" if num is not None else ""), int(said) if said and said.isdigit() else None


def left_of(p: Any) -> int | None:
    """Where a paragraph's text begins, in twips from the margin."""
    ind = None if p is None else p.find(f"{W}ind")
    said = None if ind is None else ind.get(f"{W}left") or ind.get(f"{W}start")
    return int(said) if said and re.fullmatch(r"-?\d{1,7}", said) else None


def _on(r: Any, name: str) -> bool | None:
    found = r.find(f"{W}{name}")
    return None if found is None else found.get(f"{W}val") not in ("0", "false", "off")


def _float(text: str | None) -> float | None:
    return float(text) if text and re.fullmatch(r"\d{1,6}(?:\.\d{1,6})?", text) else None


def _near(one: str, other: str) -> bool:
    return all(abs(int(one[n : n + 2], 16) - int(other[n : n + 2], 16)) < _TOO_NEAR for n in (0, 2, 4))
