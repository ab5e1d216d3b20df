"""A document as a row of pieces - headings, paragraphs, list items, tables - and that row as Markdown.

Readers that find their pieces on paper (PDF) or in styles (Word's HTML) end here. The Markdown is for `knowledge.sops.loose`:
a step keeps its printed number there, and no word of a paragraph turns into a heading, a list or a tag.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["heading", "paragraph", "item", "table", "code"]

_DIGITS = re.compile(r"\(?(\d{1,9})([.)])")
_STARTS = re.compile(r"(?:[-+*](?=\s|$)|#{1,6}(?=\s|$)|>|(?:`{3,}|~{3,})|[-*_=](?:\s*[-*_=])*$|\[[^\]]{1,80}\]:)")
_NUMBER = re.compile(r"(\d{1,9})([.)])(?=\s|$)")
_TAG = re.compile(r"<(?=[A-Za-z/!?])")


@dataclass(frozen=True)
class Piece:
    """
    level    of a heading: 1 to 6; of an item: 0 for the outermost
    marker   of an item, as printed: `3.`, `a)`, `1.1`, `•`; `[ ]` and `[x]` for a box to tick
    text     of code with its line ends; otherwise a single line
    rows     of a table, the first being its head; cells without line ends
    """

    kind: Kind
    text: str = ""
    level: int = 0
    marker: str = ""
    rows: tuple[tuple[str, ...], ...] = ()


def markdown(pieces: Iterable[Piece]) -> tuple[str, dict[str, int]]:
    """The Markdown and what stands in it: headings, numbered, bullets, tables, words."""
    writer = _Writer()
    for piece in pieces:
        writer.add(piece)
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(writer.lines)).strip() + "\n"
    return text, {**writer.kept, "words": words(text)}


def words(text: str) -> int:
    """Words of Markdown as a reader counts them: marks, rules and pipes are none."""
    return sum(1 for word in text.split() if any(letter.isalnum() for letter in word))


def safe(text: str) -> str:
    """One paragraph that Markdown takes for nothing else; blanks joined."""
    text = _TAG.sub(r"\\<", " ".join(text.split()))
    if _STARTS.match(text):
        return "\\" + text
    return _NUMBER.sub(r"\1\\\2", text, count=1) if _NUMBER.match(text) else text


class _Writer:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.kept = {"headings": 0, "numbered": 0, "bullets": 0, "tables": 0}
        self.open: list[_Open] = []
        """The lists that the next item may go on with, outermost first."""

    def add(self, piece: Piece) -> None:
        if piece.kind == "item":
            self.item(piece)
            return
        if piece.kind == "paragraph" and piece.level and self.open:
            self.lines += ["", " " * self.open[min(piece.level, len(self.open)) - 1].indent + safe(piece.text), ""]
            return
        if piece.kind == "code":
            self.code(piece)
            return
        self.open = []
        if piece.kind == "heading" and piece.text.strip():
            self.kept["headings"] += 1
            self.lines += ["", "#" * min(6, max(1, piece.level)) + " " + _TAG.sub(r"\\<", " ".join(piece.text.split())), ""]
        elif piece.kind == "table" and piece.rows:
            self.kept["tables"] += 1
            self.lines += ["", *table(piece.rows), ""]
        elif piece.text.strip():
            self.lines += ["", safe(piece.text), ""]

    def code(self, piece: Piece) -> None:
        """Lines as they are, fenced; inside the item that they belong to."""
        base = " " * (self.open[min(piece.level, len(self.open)) - 1].indent if piece.level and self.open else 0)
        fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", piece.text)), default=0))
        self.open = self.open if base else []
        self.lines += ["", base + fence, *(base + line for line in piece.text.split("\n")), base + fence, ""]

    def item(self, piece: Piece) -> None:
        level = min(piece.level, len(self.open))
        before = self.open[level] if level < len(self.open) else None
        del self.open[level:]
        base = self.open[-1].indent if self.open else 0
        mark, number, sign = _mark(piece.marker, before)
        if before is None and (self.lines and self.lines[-1]) and not self.open:
            self.lines.append("")
        if before is not None and mark[:1] != before.mark[:1] and not (number and before.number):
            self.lines.append("")
        if number is None and not mark:  # a form that Markdown has no list for: it stands as it is printed
            self.lines += ["", " " * base + f"{piece.marker} {safe(piece.text)}".strip(), ""]
            self.kept["numbered"] += 1
            self.open.append(_Open(base, "", None, ""))
            return
        self.kept["numbered" if number is not None else "bullets"] += 1
        tick = f"{piece.marker} " if piece.marker in ("[ ]", "[x]") else ""
        self.lines.append(f"{' ' * base}{mark} {tick}{safe(piece.text)}".rstrip())
        self.open.append(_Open(base + len(mark) + 1, mark, number, sign))


@dataclass(frozen=True)
class _Open:
    indent: int
    mark: str
    number: int | None
    sign: str


def _mark(marker: str, before: _Open | None) -> tuple[str, int | None, str]:
    """How the item is marked in Markdown, its number, and the sign after it.

    A viewer counts on from a list's first number. Where another is printed, the sign changes: that starts a new list.
    """
    found = _DIGITS.fullmatch(marker)
    if not found:
        return ("-" if _bullet(marker) else ""), None, ""
    number, sign = int(found[1]), found[2]
    if before and before.number is not None and number != before.number + 1 and sign == before.sign:
        sign = ")" if sign == "." else "."
    elif before and before.number is not None and number == before.number + 1:
        sign = before.sign
    return f"{found[1]}{sign}", number, sign


def _bullet(marker: str) -> bool:
    return marker in ("[ ]", "[x]") or not any(letter.isalnum() for letter in marker)


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as pipes, the first as the head. Empty columns are left out."""
    wide = max(len(row) for row in rows)
    full = [[*row, *[""] * (wide - len(row))] for row in rows]
    keep = [n for n in range(wide) if any(row[n].strip() for row in full)]
    lines = ["| " + " | ".join(cell(row[n]) for n in keep) + " |" for row in full]
    return [lines[0], "|" + " --- |" * len(keep), *lines[1:]]


def cell(text: str) -> str:
    return _TAG.sub(r"\\<", " ".join(text.split())).replace("|", "\\|")
