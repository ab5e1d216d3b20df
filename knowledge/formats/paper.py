"""Lines as they stand on paper -> headings, paragraphs, list items and tables."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from knowledge.formats.pieces import Piece

_BOX = "□☐▢❏❑❒◻⬜☑☒✓✔✅"
_TICKED = "☑☒✓✔✅"
_BULLETS = "•◦▪▫‣⁃∙●○■◆◇►▸▶➢➤➔✦❖·*¨§Øo\uf0b7\uf0a7\uf0d8\uf076\uf0fc\uf0a8\uf06f–—-"
MARKER = re.compile(
    rf"(?P<box>[{_BOX}\uf0a8\uf06f]|\[[ xX]?\])|(?P<bullet>[{re.escape(_BULLETS)}])|"
    r"(?P<number>(?:[Ss][Tt][Ee][Pp]\s+)?(?:\(\d{1,3}\)|\d{1,3}[.):](?!\d))|[Ss][Tt][Ee][Pp]\s+\d{1,3})|"
    r"(?P<multi>\d{1,3}(?:\.\d{1,3}){1,4}[.):]?)|(?P<letter>\(?(?:[A-Za-z]|[ivx]{2,5}|[IVX]{2,5})[.)])"
)
_MARKED = re.compile(rf"(?:{MARKER.pattern})(?:\s+(?P<rest>\S.*))$")
_ENDED = re.compile(r"[.:;!?…][\"”’)\]]*$")
_NOTES = {"note", "notes", "important", "warning", "caution", "tip", "danger", "attention", "example", "hint", "info"}


@dataclass(slots=True)
class Part:
    """Neighbouring words of a line without a wide gap."""

    text: str
    x0: float
    x1: float


@dataclass(slots=True)
class Line:
    """One line of text in a column.

    parts     more than one where wide gaps stand between them: cells of a table
    top       the way down the page, in points
    text_x    where its text begins behind a list marker that was painted on its own; -1 where there is none
    rows      the cells of a ruled table that stands in this place, row by row; then `parts` holds all its words
    column    0, or 1 and 2 for the halves of a page in two columns, or -1 for text that stands across the page
    """

    parts: list[Part]
    top: float
    size: float
    bold: bool
    page: int
    text_x: float = -1
    column: int = 0
    rows: tuple[tuple[str, ...], ...] = ()

    @property
    def text(self) -> str:
        return " ".join(part.text for part in self.parts)

    @property
    def x0(self) -> float:
        return self.parts[0].x0

    @property
    def x1(self) -> float:
        return self.parts[-1].x1


def pieces(lines: Sequence[Line], outline: Mapping[tuple[int, str], int]) -> list[Piece]:
    """The document in order.

    outline   (page, title reduced by `bare`) -> depth from 1, as the file's own outline has it
    """
    sheet = _Sheet.of(lines, outline)
    builder = _Builder(sheet)
    n = 0
    while n < len(lines):
        if lines[n].rows:
            builder.ruled(lines[n])
            n += 1
        elif (past := sheet.heading_end(n)) > n:
            builder.heading(lines[n:past])
            n = past
        elif rows := sheet.table(n):
            builder.table(rows[1])
            n = rows[0]
        else:
            builder.line(lines[n])
            n += 1
    builder.close()
    return builder.done


def bare(text: str) -> str:
    """Text for comparing: its letters and digits."""
    return "".join(letter for letter in text.casefold() if letter.isalnum())


def _whole_words(text: str) -> list[str]:
    """Words of a line, without its last where that is cut and without its first, which may be the other half of one."""
    return [word for word in re.findall(r"[^\W\d_]+(?:-[^\W\d_]+)*(?!-$)\b", text)[1:] if not text.endswith(f"{word}-")]


def _bulleted(text: str) -> bool:
    marked = _MARKED.fullmatch(text)
    return bool(marked and (marked["bullet"] or marked["box"]))


@dataclass
class _Sheet:
    """All lines, and what is usual in them."""

    lines: Sequence[Line]
    outline: Mapping[tuple[int, str], int]
    body: float
    leading: float
    right: Mapping[tuple[int, int], float]
    titles: Mapping[str, int]
    size_levels: Mapping[float, int]
    words: frozenset[str]
    trusted: bool
    """The outline names the headings, so that bold lines need not be guessed at."""

    @classmethod
    def of(cls, lines: Sequence[Line], outline: Mapping[tuple[int, str], int]) -> _Sheet:
        sizes: Counter[float] = Counter()
        prose = [line for line in lines if len(line.parts) == 1 and len(line.text) >= 40 and not line.rows]
        for line in prose or lines:
            sizes[line.size] += len(line.text)
        body = sizes.most_common(1)[0][0] if sizes else 10.0
        steps = [
            b.top - a.top
            for a, b in pairwise(lines)
            if (a.page, a.column, a.size) == (b.page, b.column, b.size) and 0.8 * a.size < b.top - a.top < 2.2 * a.size
        ]
        right: dict[tuple[int, int], float] = {}
        for line in lines:
            key = (line.page, line.column)
            right[key] = max(right.get(key, 0), line.x1)
        titles = {title: depth for (_, title), depth in outline.items() if title}
        words = frozenset(word.casefold() for line in lines for word in _whole_words(line.text))
        leading = median(steps) / body if len(steps) > 5 else min([1.35, *(step / body for step in steps)])
        sheet = cls(lines, outline, body, leading, right, titles, {}, words, trusted=False)
        sheet.size_levels = sheet.levels_of_sizes()
        texts = {(line.page, bare(line.text)) for line in lines}
        sheet.trusted = sum(1 for key in outline if key in texts) >= 3
        return sheet

    def levels_of_sizes(self) -> dict[float, int]:
        """Heading sizes, the largest being level 1; a size that the outline knows has the depth it has there."""
        known: dict[float, Counter[int]] = {}
        for line in self.lines:
            if depth := self.outline.get((line.page, bare(line.text))):
                known.setdefault(line.size, Counter())[depth] += 1
        found = sorted({line.size for line in self.lines if self.is_large(line)}, reverse=True)
        ranks: list[float] = []
        for size in found:  # 17.9 and 18 are one size to the eye
            if not ranks or size < 0.94 * ranks[-1]:
                ranks.append(size)
        levels = {size: 1 + sum(1 for rank in ranks if rank * 0.94 > size) for size in found}
        return levels | {size: counts.most_common(1)[0][0] for size, counts in known.items() if size in levels}

    def is_large(self, line: Line) -> bool:
        if line.size < 1.12 * self.body or len(line.parts) > 1 or line.column < 0 or line.rows:
            return False
        return len(line.text) <= 160 and any(map(str.isalpha, line.text)) and not _bulleted(line.text)

    # headings

    def heading_end(self, n: int) -> int:
        """The line past a heading that begins at line `n`; `n` where none does."""
        line = self.lines[n]
        for past in range(n + 1, min(n + 4, len(self.lines)) + 1):
            group = self.lines[n:past]
            if any(other.page != line.page or abs(other.size - line.size) > 0.1 * line.size for other in group):
                break
            if (line.page, bare(" ".join(other.text for other in group))) in self.outline:
                return past
        if self.is_large(line) and not self.large_text(n):
            past = n + 1
            while past < min(n + 4, len(self.lines)) and self.goes_on(self.lines[past - 1], self.lines[past]):
                past += 1
            return past if sum(len(other.text) for other in self.lines[n:past]) <= 200 else n
        return n + 1 if self.bold_heading(n) else n

    def goes_on(self, line: Line, below: Line) -> bool:
        """Is `below` the second line of the heading `line`?"""
        same = line.page == below.page and line.size == below.size and line.bold == below.bold
        return (
            same
            and 0 < below.top - line.top <= 1.45 * line.size
            and not self.known(below)
            and not _MARKED.fullmatch(below.text)
        )

    def known(self, line: Line) -> bool:
        return (line.page, bare(line.text)) in self.outline

    def large_text(self, n: int) -> bool:
        """A paragraph set in large letters: five lines or more of the same size, one below the other, or a sentence of them."""
        line = self.lines[n]
        same = 1
        for step in (1, -1):
            at = n + step
            while 0 <= at < len(self.lines) and self.lines[at].size == line.size and same < 5:
                if abs(self.lines[at].top - self.lines[at - step].top) > 1.45 * line.size:
                    break
                same += 1
                at += step
        return same >= 5

    def bold_heading(self, n: int) -> bool:
        line = self.lines[n]
        text = line.text
        if (
            not line.bold
            or len(line.parts) > 1
            or line.column < 0
            or len(text) > 90
            or bare(text) in _NOTES
            or line.size < 0.95 * self.body
        ):
            return False
        if self.trusted and n and self.near(self.lines[n - 1], line):
            return False  # the outline tells what stands at the head of a section; a bold line of its own is one below that
        if (not text[0].isupper() and not text[0].isdigit()) or sum(map(str.isalpha, text)) < 3:
            return False
        capitals = text == text.upper()
        if re.search(r"[.,;:!?]$", text) and not (capitals and text.endswith(":")):
            return False
        marked = _MARKED.fullmatch(text)
        if marked and not capitals and not (marked["multi"] or marked["number"]):
            return False
        if marked and marked["number"] and not capitals and not self.lone_number(n):
            return False
        before, after = (self.lines[n - 1] if n else None), (self.lines[n + 1] if n + 1 < len(self.lines) else None)
        if after is None or (after.bold and self.near(line, after) and not capitals):
            return False
        return before is None or not self.near(before, line) or before.bold or _ENDED.search(before.text) is not None

    def lone_number(self, n: int) -> bool:
        """Is the bold numbered line a heading ("1. Scope" above text that is not bold), not a step that is all bold?"""
        line, after = self.lines[n], self.lines[n + 1] if n + 1 < len(self.lines) else None
        return after is not None and not after.bold and after.x0 <= line.x0 + 2 and not _MARKED.fullmatch(after.text)

    def level(self, group: Sequence[Line]) -> int:
        line = group[0]
        text = bare(" ".join(other.text for other in group))
        if depth := self.outline.get((line.page, text)) or self.titles.get(text):
            return depth
        if line.size in self.size_levels:
            return self.size_levels[line.size]
        deepest: int = max([0, *self.size_levels.values(), *(self.titles.values() if self.trusted else ())])
        dots = _MARKED.fullmatch(line.text)
        return min(6, deepest + 1 + (dots["multi"].rstrip(".):").count(".") if dots and dots["multi"] else 0))

    def near(self, a: Line, b: Line) -> bool:
        """Does `b` stand right below `a`, no more than a line's usual way down?"""
        way = b.top - a.top
        return (a.page, a.column) == (b.page, b.column) and 0 < way <= 1.18 * self.leading * max(a.size, b.size)

    # tables

    def table(self, n: int) -> tuple[int, tuple[tuple[str, ...], ...]] | None:
        """The line past a table that begins at `n`, and its rows."""
        lines = self.lines
        if len(lines[n].parts) < 2:
            return None
        past = n + 1
        while past < len(lines) and self.in_table(lines[n:past], lines[past]) and self.heading_end(past) == past:
            past += 1
        while past > n and len(lines[past - 1].parts) < 2 and lines[past - 1].x0 <= lines[n].x0 + 2:
            past -= 1
        group = lines[n:past]
        wide = sum(1 for line in group if len(line.parts) > 1)
        columns = _columns(group)
        if len(columns) < 2 or wide < 2 or (wide < 3 and len(columns) < 3):
            return None
        return past, _rows(group, columns)

    def in_table(self, above: Sequence[Line], line: Line) -> bool:
        last = above[-1]
        if (
            line.rows
            or (last.page, last.column) != (line.page, line.column)
            or line.top - last.top > 3.2 * max(last.size, line.size)
        ):
            return False
        if len(line.parts) > 1:
            return True
        if line.top - last.top > 1.7 * line.size or _MARKED.fullmatch(line.text):
            return False
        gaps = [(a.x1, b.x0) for row in above if len(row.parts) > 1 for a, b in zip(row.parts, row.parts[1:], strict=False)]
        return not any(line.x0 < west - 1 and line.x1 > east + 1 for west, east in gaps)


def _columns(group: Sequence[Line]) -> list[tuple[float, float]]:
    """The table's columns as x ranges: what no cell reaches into lies between them."""
    most = max(len(line.parts) for line in group)
    for rows in (group, [line for line in group if len(line.parts) == most]):
        merged: list[tuple[float, float]] = []
        for part in sorted((part for line in rows for part in line.parts), key=lambda part: part.x0):
            if merged and part.x0 <= merged[-1][1] + 0.3 * group[0].size:
                merged[-1] = (merged[-1][0], max(merged[-1][1], part.x1))
            else:
                merged.append((part.x0, part.x1))
        if len(merged) >= max(2, most - 1):
            return merged
    return merged


def _rows(group: Sequence[Line], columns: Sequence[tuple[float, float]]) -> tuple[tuple[str, ...], ...]:
    """Rows of cells. Where rows stand further apart than the lines of a cell, that parts them; else the first column does."""
    ways = [b.top - a.top for a, b in pairwise(group)]
    wide = 1.12 * min(ways, default=0)
    spaced = sum(1 for way in ways if way > wide) >= max(2, len(ways) // 4)
    rows: list[list[str]] = []
    for n, line in enumerate(group):
        cells = [""] * len(columns)
        for part in line.parts:
            at = max(range(len(columns)), key=lambda c: min(part.x1, columns[c][1]) - max(part.x0, columns[c][0]))
            cells[at] = f"{cells[at]} {part.text}".strip()
        new = not rows or (ways[n - 1] > wide if spaced else bool(cells[0]))
        if new:
            rows.append(cells)
        else:
            rows[-1] = [f"{a} {b}".strip() for a, b in zip(rows[-1], cells, strict=True)]
    return tuple(tuple(row) for row in rows)


@dataclass
class _Open:
    """A list that an item may go on with."""

    kind: str
    text_x: float
    marker: str


@dataclass
class _Text:
    """The paragraph or item that lines are being added to."""

    item: bool
    marker: str
    level: int
    text_x: float
    lines: list[Line] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)


class _Builder:
    """Joins lines to paragraphs and items."""

    def __init__(self, sheet: _Sheet) -> None:
        self.sheet = sheet
        self.done: list[Piece] = []
        self.now: _Text | None = None
        self.lists: list[_Open] = []
        self.ruled_on = 0
        """The page that the last ruled table stands on."""

    def heading(self, group: Sequence[Line]) -> None:
        self.close()
        self.lists = []
        text = self.joined([line.text for line in group])
        self.done.append(Piece("heading", text, level=self.sheet.level(group)))

    def table(self, rows: tuple[tuple[str, ...], ...]) -> None:
        self.close()
        self.lists = []
        self.done.append(Piece("table", rows=rows))

    def ruled(self, line: Line) -> None:
        """A ruled table; one that goes on from the page before is one with it."""
        before = self.done[-1] if self.done and self.now is None else None
        self.table(line.rows)
        if before and before.kind == "table" and self.ruled_on == line.page - 1 and len(before.rows[0]) == len(line.rows[0]):
            more = line.rows[1:] if line.rows[0] == before.rows[0] else line.rows
            self.done[-2:] = [Piece("table", rows=(*before.rows, *more))]
        self.ruled_on = line.page

    def line(self, line: Line) -> None:
        marked = _MARKED.fullmatch(line.text)
        if marked and self.begins_item(line, marked):
            self.item(line, marked)
        elif self.now and self.goes_on(self.now, line):
            self.now.lines.append(line)
            self.now.texts.append(line.text)
        else:
            self.paragraph(line)

    def paragraph(self, line: Line) -> None:
        self.close()
        while self.lists and line.x0 < self.lists[-1].text_x - 0.4 * line.size:
            self.lists.pop()
        self.now = _Text(False, "", len(self.lists), line.x0, [line], [line.text])

    def item(self, line: Line, marked: re.Match[str]) -> None:
        self.close()
        kind = next(name for name in ("box", "bullet", "number", "multi", "letter") if marked[name])
        printed = marked[kind]
        text_x = line.text_x if line.text_x >= 0 else line.x0 + 0.5 * line.size * (len(printed) + 1)
        level = self.level(kind, text_x, line)
        self.lists.append(_Open(kind, text_x, printed))
        if kind == "box":
            printed = "[x]" if printed in _TICKED or "x" in printed.lower() else "[ ]"
        elif kind == "bullet":
            printed = "•"
        elif found := re.fullmatch(r"(?i)step\s+(\d+)([.):]?)", printed):
            printed = f"{found[1]}{'.' if found[2] in ('', ':') else found[2]}"
        elif kind == "number":
            printed = printed.replace(":", ".")
        self.now = _Text(True, printed, level, text_x, [line], [marked["rest"]])

    def level(self, kind: str, text_x: float, line: Line) -> int:
        """How deep the item stands; lists that it ends are forgotten."""
        near = 0.5 * line.size
        same = [n for n, held in enumerate(self.lists) if held.kind == kind and abs(held.text_x - text_x) <= near]
        if same:
            del self.lists[same[-1] :]
        else:
            while self.lists and self.lists[-1].text_x > text_x + near:
                self.lists.pop()
            if self.lists and abs(self.lists[-1].text_x - text_x) <= near and self.lists[-1].kind in ("bullet", "box"):
                self.lists.pop()  # a number below a bullet at the same indent is not part of it
        return len(self.lists)

    def begins_item(self, line: Line, marked: re.Match[str]) -> bool:
        """Or is it only a line that happens to begin with "5." or a dash?"""
        now = self.now
        apart = now is None or not self.sheet.near(now.lines[-1], line) or line.x0 < now.text_x - 0.8 * line.size
        if marked["box"]:
            return True
        if marked["bullet"]:
            letter = marked["bullet"]
            if letter in "o*¨§Ø" and not (apart or line.text_x >= 0 or any(held.kind == "bullet" for held in self.lists)):
                return False
            return letter not in "–—-" or apart or (now is not None and (now.item or bool(_ENDED.search(now.texts[-1]))))
        if marked["letter"]:
            return self.next_letter(marked["letter"]) and (
                apart or bool(_ENDED.search(now.texts[-1] if now else "")) or self.in_list("letter")
            )
        if marked["multi"]:
            return apart or self.in_list("multi")
        if marked["number"][0] in "Ss":
            return True
        number = int(re.sub(r"\D", "", marked["number"]))
        following = any(held.kind == "number" and number == int(re.sub(r"\D", "", held.marker)) + 1 for held in self.lists)
        return apart or following or (number == 1 and bool(_ENDED.search(now.texts[-1] if now else "")))

    def in_list(self, kind: str) -> bool:
        return any(held.kind == kind for held in self.lists)

    def next_letter(self, printed: str) -> bool:
        letter = printed.strip("().")
        if letter in ("a", "A", "i", "I"):
            return True
        held = [other.marker.strip("().") for other in self.lists if other.kind == "letter"]
        if not held:
            return False
        romans = ["i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x", "xi", "xii", "xiii", "xiv", "xv"]
        for before in held:
            if len(before) == len(letter) == 1 and ord(letter) == ord(before) + 1:
                return True
            if before.lower() in romans and letter.lower() in romans[romans.index(before.lower()) + 1 :][:1]:
                return True
        return False

    def goes_on(self, now: _Text, line: Line) -> bool:
        """Is the line part of the paragraph or item that is open?"""
        last = now.lines[-1]
        if abs(last.size - line.size) > 0.12 * last.size:
            return False
        ended = bool(_ENDED.search(now.texts[-1]))
        if (last.page, last.column) != (line.page, line.column):
            return not ended and (line.text[0].islower() or (now.item and abs(line.x0 - now.text_x) < 0.6 * line.size))
        if not self.sheet.near(last, line):
            return False
        if (
            last.bold
            and not line.bold
            and all(other.bold for other in now.lines)
            and len(" ".join(now.texts).split()) <= 4
            and not now.item
        ):
            return False
        if now.item and line.x0 < now.lines[0].x0 - 0.4 * line.size:
            return False
        right = self.sheet.right[last.page, last.column]
        short = last.x1 < right - 0.25 * (right - last.x0)
        if now.item:
            return not (short and ended and line.x0 < now.text_x - 0.8 * line.size)
        return not (short and ended)

    def close(self) -> None:
        if self.now is None:
            return
        text = self.joined(self.now.texts)
        if self.now.item:
            self.done.append(Piece("item", text, level=self.now.level, marker=self.now.marker))
        else:
            self.done.append(Piece("paragraph", text, level=self.now.level))
        self.now = None

    def joined(self, texts: Sequence[str]) -> str:
        """Lines as running text; a word that was parted at a line's end is whole again."""
        result = ""
        for text in texts:
            if (cut := re.search(r"([^\W\d_]+)[-\u00ad\u2010]$", result)) and (next_word := re.match(r"[^\W\d_]+", text)):
                result = result[:-1] + self.hyphen(cut[1], next_word[0]) + text
            else:
                result = f"{result} {text}" if result else text
        return result

    def hyphen(self, first: str, second: str) -> str:
        """What stands between the halves: nothing, or the hyphen of a word that has one elsewhere or looks as if it did."""
        words = self.sheet.words
        if f"{first}-{second}".casefold() in words:
            return "-"
        if not second[0].islower():
            return "-"
        return "" if (first + second).casefold() in words or not {first.casefold(), second.casefold()} <= words else "-"
