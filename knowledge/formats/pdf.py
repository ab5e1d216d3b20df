"""PDF -> Markdown: lines from where text stands on the page, headings from the outline, size and weight, lists as printed."""

from __future__ import annotations

import logging
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from statistics import median
from typing import TYPE_CHECKING, Any
from unicodedata import normalize

from knowledge.formats import Converted, Seen, Unconvertible, paper, unseen
from knowledge.formats.glyphs import Run, TooMuch, page_text
from knowledge.formats.grids import grids
from knowledge.formats.paper import MARKER, Line, Part, bare
from knowledge.formats.pieces import markdown
from knowledge.formats.planes import Box

if TYPE_CHECKING:
    from pypdf import PdfReader

NEEDS = ("pypdf", "pypdf.generic._font")

MAX_PAGES = 400
SECONDS = 15
_FURNITURE = 0.6
"""Share of the pages on which a line at the edge is printed until it counts as the page's and not the text's."""


def convert(data: bytes, name: str) -> Converted:
    """The PDF's visible text as Markdown.

    raises Unconvertible   damaged, encrypted, no text (a scan), too many pages, too slow
    """
    logging.getLogger("pypdf").setLevel(logging.CRITICAL + 1)  # its warnings quote the document
    until = time.monotonic() + SECONDS
    reader = _opened(data)
    beside = _Beside()
    pages = _pages(reader, beside, until)
    outline = _outline(reader, beside)
    beside.document(reader)
    lines = _without_furniture(pages, beside)
    found = paper.pieces(lines, outline)
    text, kept = markdown(found)
    title = next((piece.text for piece in found if piece.kind == "heading"), "")
    return Converted(text, title, kept, tuple(beside.lost), tuple(beside.hidden))


# --- the file ---------------------------------------------------------------------------------------------------------------


def _opened(data: bytes) -> PdfReader:
    from pypdf import PdfReader
    from pypdf.errors import DependencyError

    try:
        reader = PdfReader(BytesIO(data), strict=False)
        locked = reader.is_encrypted and not reader.decrypt("")
    except (DependencyError, NotImplementedError):
        raise Unconvertible("The PDF is encrypted in a way that cannot be opened: save it without protection.") from None
    except Exception:  # noqa: BLE001  pypdf's own list of what a broken file may raise is open
        raise _damaged() from None
    if locked:
        raise Unconvertible("The PDF is protected by a password: save it without one.")
    return reader


def _damaged() -> Unconvertible:
    return Unconvertible("The PDF is damaged or cut short: open it, save or print it as a PDF again, and bring that.")


@dataclass
class _Page:
    number: int
    height: float
    lines: list[Line]


def _pages(reader: PdfReader, beside: _Beside, until: float) -> list[_Page]:
    try:
        count = len(reader.pages)
    except Exception:  # noqa: BLE001
        raise _damaged() from None
    if count > MAX_PAGES:
        raise Unconvertible(f"The PDF has {count:,} pages: bring the procedure in a file of at most {MAX_PAGES}.")
    closed = _closed_layers(reader, beside)
    pages, pictures, glyphs, broken = [], 0, 0, 0
    invisible = False
    for number in range(1, count + 1):
        try:
            page = reader.pages[number - 1]
            found = page_text(page, closed, until)
        except TooMuch:
            if time.monotonic() > until:
                raise Unconvertible("The PDF takes too long to be read: print it to a new PDF, or split it.") from None
            beside.lost.append(Seen(f"page {number}", "a page too large to be read"))
            broken += 1
            continue
        except Exception:  # noqa: BLE001
            beside.lost.append(Seen(f"page {number}", "a damaged page"))
            broken += 1
            continue
        pictures += found.pictures
        glyphs += found.glyphs
        invisible = invisible or any("render mode" in run.hidden or "covered" in run.hidden for run in found.runs)
        beside.page(number, page, found.runs, found.pictures, found.unreadable)
        if found.unreadable > 0.3 * max(1, found.glyphs) and found.glyphs > 20:
            raise Unconvertible("The PDF's letters cannot be read out of its fonts: bring the document it was made from.")
        beside.characters(number, found.runs)
        pages.append(_Page(number, found.height, _lines([run for run in found.runs if not run.hidden], found.rules, number)))
    if not any(letter.isalnum() for page in pages for line in page.lines for letter in line.text):
        if broken:
            raise _damaged()
        if pictures or invisible:
            raise Unconvertible("The PDF is a scan, a picture without text: it needs a text version, such as the Word file.")
        raise Unconvertible("No text was found in the PDF: it needs a text version, such as the Word file.")
    return pages


def _closed_layers(reader: PdfReader, beside: _Beside) -> frozenset[int]:
    """The object numbers of the layers that a viewer does not show when the file is opened."""
    try:
        root: Any = reader.trailer["/Root"].get_object()
        if "/OCProperties" not in root:
            return frozenset()
        layers: Any = root["/OCProperties"]
        shown = layers["/D"]
        off = {ref.idnum for ref in shown.get("/OFF", [])}
        if shown.get("/BaseState") == "/OFF":
            off |= {ref.idnum for ref in layers["/OCGs"]} - {ref.idnum for ref in shown.get("/ON", [])}
    except Exception:  # noqa: BLE001
        beside.lost.append(Seen("", "which layers are closed: the list is damaged, and text of every layer is read"))
        return frozenset()
    return frozenset(off)


def _outline(reader: PdfReader, beside: _Beside) -> dict[tuple[int, str], int]:
    """(page, title without blanks and case) -> depth from 1."""
    found: dict[tuple[int, str], int] = {}

    def walk(entries: Any, depth: int) -> None:
        for entry in entries[:2_000]:
            if isinstance(entry, list):
                if depth < 10:
                    walk(entry, depth + 1)
            elif entry.title:
                page = reader.get_destination_page_number(entry)
                found.setdefault(((page if page is not None else -1) + 1, bare(str(entry.title))), depth)

    try:
        walk(reader.outline, 1)
    except Exception:  # noqa: BLE001  headings are then found by their looks
        beside.lost.append(Seen("", "an outline that is damaged"))
    return found


# --- what stands beside the text --------------------------------------------------------------------------------------------


class _Beside:
    """Collects what is left out, and what nobody sees."""

    def __init__(self) -> None:
        self.lost: list[Seen] = []
        self.hidden: list[Seen] = []
        self.links = 0

    def page(self, number: int, page: Any, runs: Sequence[Run], pictures: int, unreadable: int) -> None:
        place = f"page {number}"
        why: dict[str, list[str]] = {}
        for run in runs:
            if run.hidden:
                why.setdefault(re.sub(r"\d+\.\d points", "less than 2 points", run.hidden), []).append(run.text)
        self.hidden += [Seen(place, what, " ".join(" ".join(texts).split())) for what, texts in why.items()]
        if pictures:
            self.lost.append(Seen(place, "a picture" if pictures == 1 else f"{pictures} pictures"))
        if unreadable:
            self.lost.append(Seen(place, f"{unreadable} signs that have no letter in the file"))
        try:
            self.annotations(place, page)
        except Exception:  # noqa: BLE001
            self.lost.append(Seen(place, "notes or fields that are damaged"))

    def characters(self, number: int, runs: Sequence[Run]) -> None:
        """Takes out characters without a shape; what they stand beside is kept, a soft hyphen at a line's end is a hyphen."""
        for run in runs:
            if not run.hidden and not run.text.isascii():
                run.text, odd = unseen.clear(re.sub("\u00ad$", "-", run.text), lambda _: f"page {number}")
                self.hidden += odd

    def annotations(self, place: str, page: Any) -> None:
        for ref in list(page.get("/Annots") or [])[:2_000]:
            note = ref.get_object()
            if not isinstance(note, dict):
                continue
            kind, words = str(note.get("/Subtype", "")), _words(note.get("/Contents"))
            if kind == "/Link":
                self.links += 1
            elif kind == "/Widget":
                self.form_field(place, note)
            elif kind == "/FileAttachment":
                self.lost.append(Seen(place, "an attached file", words))
            elif kind in ("/Stamp", "/FreeText") and not int(note.get("/F") or 0) & 0b100010:
                self.lost.append(Seen(place, "text laid over the page", words))
            elif words and kind != "/Popup":
                by = _words(note.get("/T"))
                self.hidden.append(Seen(place, f"a comment by {by}" if by else "a comment", words))
            if "/AA" in note or _is_script(note.get("/A")):
                self.hidden.append(Seen(place, "a script", _script(note.get("/A"))))

    def form_field(self, place: str, field: Any) -> None:
        up = field["/Parent"].get_object() if "/Parent" in field else {}
        label = _words(field.get("/T") or up.get("/T"))
        value = field.get("/V", up.get("/V"))
        value = _words(value.get_object() if hasattr(value, "get_object") else value)
        if int(field.get("/F") or 0) & 0b100010 and value:
            self.hidden.append(Seen(place, f"a hidden form field {label}".strip(), value))
        else:
            self.lost.append(Seen(place, f"a form field {label}".strip(), value))
        about = _words(field.get("/TU"))
        if about and about != label:
            self.hidden.append(Seen(place, f"the note of a form field {label}".strip(), about))

    def document(self, reader: PdfReader) -> None:
        """Scripts, attached files and forms of the file as a whole."""
        if self.links:
            self.lost.append(Seen("", "the addresses of 1 link" if self.links == 1 else f"the addresses of {self.links} links"))
        try:
            root: Any = reader.trailer["/Root"].get_object()
            names = root.get("/Names", {}).get_object() if "/Names" in root else {}
            if _is_script(root.get("/OpenAction")):
                self.hidden.append(Seen("", "a script that runs when the file is opened", _script(root.get("/OpenAction"))))
            if "/JavaScript" in names or "/AA" in root:
                self.hidden.append(Seen("", "a script", ""))
            form = root.get("/AcroForm", {}).get_object() if "/AcroForm" in root else {}
            if "/XFA" in form:
                self.lost.append(Seen("", "a form of Adobe's own kind (XFA)"))
            attached = list(reader.attachment_list) if "/EmbeddedFiles" in names else []
            self.lost += [Seen("", "an attached file", str(file.name)) for file in attached[:50]]
        except Exception:  # noqa: BLE001
            self.lost.append(Seen("", "parts of the file that are damaged"))


def _words(value: Any) -> str:
    return " ".join(str(value).split()) if isinstance(value, str) else ""


def _is_script(action: Any) -> bool:
    action = action.get_object() if hasattr(action, "get_object") else action
    return isinstance(action, dict) and action.get("/S") in ("/JavaScript", "/Launch", "/ImportData", "/SubmitForm")


def _script(action: Any) -> str:
    action = action.get_object() if hasattr(action, "get_object") else action
    return _words(action.get("/JS")) if isinstance(action, dict) else ""


# --- lines ------------------------------------------------------------------------------------------------------------------

_LIGATURES = re.compile("[\ufb00-\ufb06]")
_CONTENTS = re.compile(r".*\S\s*(?:\.\s?){4,}\s*(?:\d{1,4}|[ivxlc]+)?\s*$", re.IGNORECASE)


def _lines(runs: list[Run], rules: list[Box], page: int) -> list[Line]:
    """The page's lines in reading order, ruled tables in their place; text that stands across the page comes after it."""
    result: list[Line] = []
    tables, runs = _ruled(runs, rules, page)
    for angle in range(4):
        turned = [run for run in runs if run.angle == angle]
        lines = _ordered(sorted([*_parts_of(turned, page), *(tables if angle == 0 else [])], key=lambda line: line.top))
        for line in lines:
            line.column = line.column if angle == 0 else -1
        result += lines
    return result


def _ruled(runs: list[Run], rules: list[Box], page: int) -> tuple[list[Line], list[Run]]:
    """The page's ruled tables, each as one line, and the runs that stand in none."""
    tables = []
    for grid in grids(rules):
        cells: dict[tuple[int, int], list[Run]] = {}
        inside: set[int] = set()
        for run in runs:
            if at := grid.cell(*run.at):
                cells.setdefault(at, []).append(run)
                inside.add(id(run))
        rows = [
            [_cell(cells.get((row, column), []), page) for column in range(len(grid.xs) - 1)] for row in range(len(grid.ys) - 1)
        ]
        rows = [row for row in rows if any(row)]
        if sum(1 for row in rows if sum(map(bool, row)) > 1) < 2:
            continue  # boxes of a drawing or a form
        used = [n for n in range(len(rows[0])) if any(row[n] for row in rows)]
        words = Part(" ".join(cell for row in rows for cell in row if cell), grid.xs[0], grid.xs[-1])
        size = max(set(sizes := [run.size for run in runs if id(run) in inside]), key=sizes.count)
        table = tuple(tuple(row[n] for n in used) for row in rows)
        tables.append(Line([words], -grid.ys[0], size, bold=False, page=page, rows=table))
        runs = [run for run in runs if id(run) not in inside]
    return tables, runs


def _cell(runs: list[Run], page: int) -> str:
    lines = [line for angle in range(4) for line in _parts_of([run for run in runs if run.angle == angle], page)]
    return " ".join(line.text for line in lines)


def _parts_of(runs: list[Run], page: int) -> list[Line]:
    """Lines from the top down, each with its parts from left to right."""
    rows: list[list[Run]] = []
    for run in sorted(runs, key=lambda run: (-run.y, run.x0)):
        for row in reversed(rows[-4:]):
            base = max(row, key=lambda other: other.size)
            if abs(base.y - run.y) <= 0.35 * max(base.size, run.size):
                row.append(run)
                break
        else:
            rows.append([run])
    lines = []
    for row in rows:
        if line := _line(sorted(row, key=lambda run: run.x0), page):
            lines.append(line)
    return sorted(lines, key=lambda line: line.top)


def _line(row: list[Run], page: int) -> Line | None:
    parts: list[Part] = []
    weights: Counter[tuple[float, bool]] = Counter()
    seen: set[tuple[str, int]] = set()
    for run in row:
        key = (run.text, round(run.x0))
        if key in seen:  # printed twice, a hair apart: how some programs print bold
            continue
        seen.add(key)
        weights[round(run.size, 1), run.bold] += len(run.text.strip())
        gap = run.x0 - parts[-1].x1 if parts else 0.0
        if parts and gap <= 1.2 * run.size:
            blank = " " if gap > 0.12 * run.size and not parts[-1].text.endswith(" ") and not run.text.startswith(" ") else ""
            parts[-1] = Part(parts[-1].text + blank + run.text, parts[-1].x0, max(parts[-1].x1, run.x1))
        else:
            parts.append(Part(run.text, run.x0, run.x1))
    for part in parts:
        part.text = " ".join(_LIGATURES.sub(lambda found: normalize("NFKC", found[0]), part.text).replace("\xa0", " ").split())
    parts = [part for part in parts if part.text]
    if len(parts) > 1 and MARKER.fullmatch(parts[0].text):  # a marker and its text are one, however far apart
        parts[:2] = [Part(f"{parts[0].text} {parts[1].text}", parts[0].x0, parts[1].x1)]
    if not parts:
        return None
    text_x = next((run.x0 for run in row[1:] if run.text.strip()), -1.0) if MARKER.fullmatch(row[0].text.strip()) else -1.0
    size = max(weights, key=lambda weight: (weights[weight], weight))[0]
    bold = sum(count for (_, heavy), count in weights.items() if heavy) > 0.9 * sum(weights.values())
    return Line(parts, -max(row, key=lambda run: run.size).y, size, bold, page, text_x)


def _ordered(lines: list[Line]) -> list[Line]:
    """Two columns of prose are read one after the other, between lines that go across both."""
    gutter = _gutter(lines)
    if gutter is None:
        return lines
    result: list[Line] = []
    halves: tuple[list[Line], list[Line]] = ([], [])

    def close() -> None:
        for column, half in enumerate(halves, 1):
            for line in half:
                line.column = column
            result.extend(half)
            half.clear()

    for line in lines:
        left = [part for part in line.parts if part.x1 <= gutter]
        right = [part for part in line.parts if part.x0 >= gutter]
        if len(left) + len(right) < len(line.parts):
            close()
            result.append(line)
            continue
        for half, parts in zip(halves, (left, right), strict=True):
            if parts:
                half.append(
                    Line(parts, line.top, line.size, line.bold, line.page, line.text_x if parts[0] is line.parts[0] else -1)
                )
    close()
    return result


def _gutter(lines: list[Line]) -> float | None:
    """Where the right column begins, if the page is set in two columns of prose."""
    parts = [part for line in lines for part in line.parts]
    if len(parts) < 16:
        return None
    left, right = min(part.x0 for part in parts), max(part.x1 for part in parts)
    starts = Counter(round(part.x0 / 3) for part in parts if 0.35 < (part.x0 - left) / (right - left or 1) < 0.65)
    if not starts or starts.most_common(1)[0][1] < 6:
        return None
    edge = starts.most_common(1)[0][0] * 3 - 3.0
    west = [part for part in parts if part.x1 <= edge]
    east = [part for part in parts if part.x0 >= edge]
    across = len(parts) - len(west) - len(east)
    if min(len(west), len(east)) < 6 or across > 0.3 * len(parts):
        return None
    prose = all(median(len(part.text) for part in side) >= 18 and _alone(side) for side in (west, east))
    return edge if prose else None


def _alone(parts: list[Part]) -> bool:
    """Do most parts of the side begin at its edge, or its indented edge? Cells of a table begin at several."""
    edges = Counter(round(part.x0 / 12) for part in parts)
    return sum(count for _, count in edges.most_common(3)) >= 0.8 * len(parts)


# --- page furniture ---------------------------------------------------------------------------------------------------------


def _without_furniture(pages: list[_Page], beside: _Beside) -> list[Line]:
    """All lines but headers, footers, page numbers and the table of contents; each kind is named once."""
    shapes: Counter[str] = Counter()
    for page in pages:
        shapes.update({_shape(line) for line in _edges(page)})
    often = {shape for shape, count in shapes.items() if count >= max(3, _FURNITURE * len(pages))}
    result: list[Line] = []
    dropped: dict[str, Seen] = {}
    contents = 0
    for page in pages:
        edges = {id(line) for line in _edges(page)}
        for line in page.lines:
            if id(line) in edges and (_shape(line) in often or _is_page_number(line, page, len(pages))):
                dropped.setdefault(
                    _shape(line), Seen(f"page {page.number}", "a line of the page's header or footer", line.text)
                )
            elif _CONTENTS.fullmatch(line.text) and not _MARKED_BLANK.search(line.text):
                contents += 1
            else:
                result.append(line)
    beside.lost += dropped.values()
    if contents:
        beside.lost.append(Seen("", f"{contents} lines of a table of contents"))
    return result


_MARKED_BLANK = re.compile(r"_{4,}|(?:signature|date|name)\s*:?\s*\.{4,}\s*$", re.IGNORECASE)


def _edges(page: _Page) -> list[Line]:
    """The lines that may be furniture: of the three topmost and the three lowest those near the paper's edge."""
    by_height = sorted(page.lines, key=lambda line: line.top)
    near = by_height[:3] + by_height[-3:] if len(by_height) > 6 else by_height
    return [line for line in near if not 0.13 * page.height < -line.top < 0.87 * page.height]


def _shape(line: Line) -> str:
    return re.sub(r"\d+", "0", line.text.casefold())


def _is_page_number(line: Line, page: _Page, count: int) -> bool:
    """`7`, `- 7 -`, `Page 7 of 12`, `7/12`: the page's own number, standing lowest or highest."""
    found = re.fullmatch(
        r"[-–—\s]*(?:page|p\.|seite|page no\.?)?\s*(\d{1,4})(?:\s*(?:of|/|von|de)\s*\d{1,4})?[-–—\s]*", line.text, re.IGNORECASE
    )
    if not found or (int(found[1]) != page.number and "page" not in line.text.casefold()):
        return False
    ordered = sorted(page.lines, key=lambda other: other.top)
    return line is ordered[0] or line is ordered[-1]
