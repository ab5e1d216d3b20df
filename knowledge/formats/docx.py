"""Word (.docx) -> Markdown: the body in its order, lists as they are printed, and what nobody sees kept apart.

`wordfile` opens the package, `wordstyles` says how letters look, `wordlists` what is printed before a list paragraph.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from knowledge.formats import Converted, Seen, Unconvertible, archive, unseen
from knowledge.formats.pieces import Piece, markdown
from knowledge.formats.wordfile import R, W, WordFile
from knowledge.formats.wordlists import Numbering
from knowledge.formats.wordstyles import FAR, Look, Style, Styles, fill, left_of, look, num_pr

NEEDS = ("docx", "docx.oxml.parser", "lxml.etree")

_MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_WP = "{http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing}"
_WPS = "{http://schemas.microsoft.com/office/word/2010/wordprocessingShape}"
_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_V = "{urn:schemas-microsoft-com:vml}"
_M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_PAPER = "FFFFFF"
_EMU_WIDE, _EMU_HIGH, _EMU_MARGIN, _EMU_NONE = 11_500_000, 16_000_000, 1_800_000, 30_000
"""English metric units, 360,000 to the centimetre: the widest and highest paper, a wide margin, and a box without room."""

_TYPED = re.compile(
    r"(?P<mark>[•‣▪●◦○■□☐☑☒✓✔➢➤►·]|[-–*](?=\s)|\(?\d{1,3}[.)](?=\s|[A-Za-z])|\(?(?:[a-z]|[ivx]{1,5})\)(?=\s)"
    r"|(?:[A-Za-z]|[ivxIVX]{1,5}|\d{1,3}(?:\.\d{1,3}){1,4})\.?\t|o\t)\s*"
)
"""A list mark that somebody typed instead of using Word's lists."""
_WORDS_OF_HEADING = 14


def convert(data: bytes, name: str) -> Converted:
    """The Word document's visible text as Markdown.

    raises Unconvertible   damaged, encrypted, a bomb, with macros, or without text
    """
    with archive.opened(data) as packed:
        return _Reader(WordFile(packed)).document()


@dataclass(frozen=True)
class _Run:
    """Letters of one look; `why` they are hidden, empty for what a reader sees."""

    text: str
    look: Look
    why: str = ""


@dataclass
class _Row:
    """A piece, and what decides at the end, when the whole document was read, whether it is a heading."""

    piece: Piece
    bold: bool = False
    caps: bool = False
    size: float = 0.0
    could_head: bool = False


@dataclass(frozen=True)
class _Place:
    """Where the walk is: the colour behind the letters (empty: not known), and why all of it is hidden, if it is."""

    ground: str = _PAPER
    in_table: bool = False
    why: str = ""


@dataclass(frozen=True)
class _Item:
    """A list item that is open: of which list, at which of its levels, and where its text begins (twips)."""

    num: str
    level: int
    left: int


@dataclass
class _Field:
    """A field: its code is never shown, its result is, but for page numbers."""

    code: str = ""
    at_result: bool = False

    @property
    def shown(self) -> bool:
        return self.at_result and not re.match(r"\s*(?:PAGE|NUMPAGES|SECTIONPAGES)\b", self.code)


class _Reader:
    def __init__(self, file: WordFile) -> None:
        self.file = file
        self.styles = Styles(next(file.linked("styles"), None))
        self.numbering = Numbering(next(file.linked("numbering"), None))
        self.rows: list[_Row] = []
        self.lost: list[Seen] = []
        self.hidden: list[Seen] = []
        self.fields: list[_Field] = []
        self.boxes: list[tuple[Any, _Place]] = []
        self.notes: list[tuple[str, str]] = []
        self.commented: dict[str, str] = {}
        self.part = ""
        self.count = self.pictures = self.contents = self.headed = 0
        self.open: list[_Item] = []
        """The list items that the next one may stand under, outermost first."""

    def document(self) -> Converted:
        root = self.file.part(self.file.name)
        body = root.find(f"{W}body")
        if body is None:
            raise Unconvertible("The Word file holds no text: open it in Word, save it again, and bring that.")
        self.blocks(body, _Place(_page_colour(root)))
        if not self.headed:
            self._promote()
        title = next((row.piece.text for row in self.rows if row.piece.kind == "heading" or _heads(row, self._body_size())), "")
        text, kept = markdown([*self._furniture(body), *(row.piece for row in self.rows), *self._footnotes()])
        self._comments()
        self._left_out()
        return Converted(text, title, kept, tuple(self.lost), tuple(self.hidden))

    @property
    def place(self) -> str:
        return self.part or f"paragraph {self.count}"

    # --- blocks -----------------------------------------------------------------------------------------------------------

    def blocks(self, parent: Any, at: _Place) -> None:
        """Every paragraph, table and wrapper below `parent`, in reading order."""
        for element in parent:
            tag = element.tag if isinstance(element.tag, str) else ""
            if tag == f"{W}p":
                self.paragraph(element, at)
            elif tag == f"{W}tbl":
                self.table(element, at)
            elif tag == f"{W}sdt" and _gallery(element) == "Table of Contents":
                self.contents += sum(1 for _ in element.iter(f"{W}p"))
            elif tag in (f"{W}del", f"{W}moveFrom"):
                self._deleted(element)
            elif tag == f"{W}altChunk":
                self.lost.append(Seen(self.place, "an inserted file, which Word would show here"))
            elif (inside := _inside(element)) is not None:
                self.blocks(inside, at)

    def paragraph(self, element: Any, at: _Place) -> None:
        self.count += not self.part
        p = element.find(f"{W}pPr")
        named = None if p is None else p.find(f"{W}pStyle")
        style = self.styles.body if named is None else self.styles.of(named.get(f"{W}val") or "")
        if style.name.lower().startswith(("toc ", "table of figures")):
            self.contents += 1
            return
        why = at.why or _outside(p)
        ground = fill(p)
        here = replace(at, why=why, ground=at.ground if ground is None else ground)
        runs = list(self.inline(element, self.styles.default.under(style.look), here))
        self.fields.clear()
        self._say_hidden(runs)
        row = self._row(p, style, [run for run in runs if not run.why], at)
        if row:
            self.rows.append(row)
        boxes, self.boxes = self.boxes, []
        for box, inside in boxes:
            self.blocks(box, inside)

    def _row(self, p: Any, style: Style, runs: list[_Run], at: _Place) -> _Row | None:
        text = "".join(run.text for run in runs)
        mark = None if p is None else p.find(f"{W}rPr")
        gone = mark is not None and (mark.find(f"{W}del") is not None or bool(look(mark).vanish))
        if gone and not text.strip():
            return None
        label = self._label(p, style)
        if not text.strip():
            return None
        outline = None if p is None else p.find(f"{W}outlineLvl")
        said = (outline.get(f"{W}val") or "") if outline is not None else ""
        heading = int(said) + 1 if said.isdigit() and int(said) < 9 else style.heading if not said else None
        if heading is not None and not at.in_table:
            self.headed += heading > 0
            self.open = []
            return _Row(Piece("heading", f"{_words(label)}{text}", level=max(1, heading)))
        return self._text_row(p, style, runs, text, label, at)

    def _text_row(self, p: Any, style: Style, runs: list[_Run], text: str, label: tuple[str, _Item] | None, at: _Place) -> _Row:
        sizes: Counter[float] = Counter()
        for run in runs:
            sizes[run.look.size or 20.0] += len(run.text.strip())
        letters = [run for run in runs if any(letter.isalnum() for letter in run.text)]
        row = _Row(
            Piece("paragraph", text),
            bold=bool(letters) and all(run.look.bold for run in letters),
            caps=sum(c.isalpha() for c in text) > 3 and (text.isupper() or all(run.look.caps for run in letters)),
            size=sizes.most_common(1)[0][0],
            could_head=label is None and not at.in_table and not self.part,
        )
        if label:
            marker, item = label
            if re.fullmatch(r"\d+(?:\.\d+)+\.?", marker):  # 1.1 is a step of its own, not a part of step 1
                self.open = []
            row.piece = Piece("item", text, level=self._depth(item), marker=marker)
            return row
        left = left_of(p)
        left = style.left if left is None else left
        if typed := _TYPED.match(text.lstrip()):
            rest = text.lstrip()[typed.end() :]
            if rest.strip():
                level = self._depth(_Item("", 0, left or 0))
                row.piece = Piece("item", rest, level=level, marker=_typed(typed["mark"].strip()))
                return row
        while self.open and (left or 0) < self.open[-1].left - 100:
            self.open.pop()
        row.piece = replace(row.piece, level=len(self.open) if left else 0)
        if not left:
            self.open = []
        return row

    def _depth(self, item: _Item) -> int:
        """How deep a list item stands: by its list's own levels, and among different lists by where their texts begin."""
        same = [n for n, other in enumerate(self.open) if other.num == item.num]
        if same:
            depth = next((n for n in same if self.open[n].level >= item.level), same[-1] + 1)
        else:
            depth = next((n for n, other in enumerate(self.open) if other.left >= item.left - 60), len(self.open))
        del self.open[depth:]
        self.open.append(item)
        return depth

    def _label(self, p: Any, style: Style) -> tuple[str, _Item] | None:
        """What is printed before the paragraph, and where that belongs."""
        num, level = num_pr(p)
        if not num:
            num, level = style.num, style.level if level is None else level
        if not num or num == "0":
            return None
        if level is None:
            level = next((n for name in style.chain if (n := self.numbering.level_of(num, name)) is not None), 0)
        label = self.numbering.next(num, level)
        if label is None:
            return None
        left = left_of(p)
        marker = f"{label.text}." if label.text.isdigit() else label.text
        of_list = label.left if style.num != num or style.left is None else style.left
        places = (left, of_list, style.left)
        return marker, _Item(num, level, next((x for x in places if x is not None), 360 * (level + 1)))

    def table(self, element: Any, at: _Place) -> None:
        self.open = []
        properties = element.find(f"{W}tblPr")
        style = None if properties is None else properties.find(f"{W}tblStyle")
        painted = style is not None and self.styles.shades(style.get(f"{W}val") or "")
        ground = fill(properties)
        inside = replace(at, ground="" if painted else at.ground if ground is None else ground)
        found = [self._cells(row, inside) for row in _children(element, f"{W}tr")]
        rows = [row for row in found if row]
        filled = {n for row in rows for n, (_, cell) in enumerate(row) if any(_line([part]) for part in cell)}
        if len(filled) == 1 and (len(rows) > 1 or len(rows[0]) == 1):  # a box around text, or text beside pictures
            self.rows += [replace(part, could_head=False) for row in rows for _, cell in row for part in cell]
            return
        texts = tuple(tuple(text for span, cell in row for text in [_line(cell), *[""] * (span - 1)]) for row in rows)
        if any(text for row in texts for text in row):
            self.rows.append(_Row(Piece("table", rows=texts)))

    def _cells(self, element: Any, at: _Place) -> list[tuple[int, list[_Row]]]:
        """The cells of one row: how many columns each takes, and what stands in it."""
        properties = element.find(f"{W}trPr")
        before = 0
        if properties is not None:
            if properties.find(f"{W}del") is not None:
                self._deleted(element)
                return []
            height, skipped = properties.find(f"{W}trHeight"), properties.find(f"{W}gridBefore")
            flat = height is not None and height.get(f"{W}hRule") == "exact" and _number(height.get(f"{W}val"), 999) <= 60
            if flat or properties.find(f"{W}hidden") is not None:
                at = replace(at, why="hidden text (a table row without height)")
            before = min(20, _number(None if skipped is None else skipped.get(f"{W}val"), 0))
        cells: list[tuple[int, list[_Row]]] = [(1, []) for _ in range(before)]
        for cell in _children(element, f"{W}tc"):
            own = cell.find(f"{W}tcPr")
            span = None if own is None else own.find(f"{W}gridSpan")
            ground = fill(own)
            outer, self.rows = self.rows, []
            self.blocks(cell, replace(at, in_table=True, ground=at.ground if ground is None else ground))
            cells.append((min(60, max(1, _number(None if span is None else span.get(f"{W}val"), 1))), self.rows))
            self.rows = outer
        self.open = []
        return cells

    # --- inside a paragraph -------------------------------------------------------------------------------------------------

    def inline(self, parent: Any, base: Look, at: _Place) -> Iterator[_Run]:
        for element in parent:
            tag = element.tag if isinstance(element.tag, str) else ""
            if tag == f"{W}r":
                yield from self.run(element, base, at)
            elif tag in (f"{W}del", f"{W}moveFrom"):
                self._deleted(element)
            elif tag == f"{W}fldSimple":
                if _Field(element.get(f"{W}instr") or "", at_result=True).shown:
                    yield from self.inline(element, base, at)
            elif tag.startswith(_M):
                yield _Run(" ".join(t.text or "" for t in element.iter(f"{_M}t")), base, at.why)
            elif (inside := _inside(element)) is not None:
                runs = list(self.inline(inside, base, at))
                text = " ".join("".join(run.text for run in runs).split())
                if tag in (f"{W}ins", f"{W}moveTo") and text:
                    self.lost.append(Seen(self.place, "inserted text that nobody has accepted yet, kept", text))
                yield from runs

    def run(self, element: Any, base: Look, at: _Place) -> Iterator[_Run]:
        r = element.find(f"{W}rPr")
        named = None if r is None else r.find(f"{W}rStyle")
        letters = base if named is None else base.under(self.styles.of(named.get(f"{W}val") or "").look)
        letters = letters.under(look(r))
        why = at.why or letters.why_hidden(at.ground)
        for child in element:
            text = self._said(child, why, at)
            if text and all(field.shown for field in self.fields):
                yield _Run(text, letters, why)

    def _said(self, element: Any, why: str, at: _Place) -> str:
        """The letters that one child of a run shows."""
        tag = element.tag if isinstance(element.tag, str) else ""
        match tag.rpartition("}")[2] if tag.startswith(W) else "":
            case "t":
                return "".join(_symbol(letter) for letter in (element.text or "").replace("\ufffc", " "))
            case "tab" | "ptab":
                return "\t"
            case "br" | "cr":
                return "\n"
            case "noBreakHyphen":
                return "-"
            case "sym":
                code = element.get(f"{W}char") or ""
                return _symbol(chr(int(code, 16))) if re.fullmatch(r"[0-9A-Fa-f]{4}", code) else ""
            case "fldChar":
                self._field(element.get(f"{W}fldCharType") or "")
            case "instrText" if self.fields:
                self.fields[-1].code += element.text or ""
            case "footnoteReference" | "endnoteReference" if not why:
                self.notes.append((tag.rpartition("}")[2][:-9] + "s", element.get(f"{W}id") or ""))
                return f"[{len(self.notes)}]"
            case "commentReference":
                self.commented[element.get(f"{W}id") or ""] = self.place
            case "delText":
                self.hidden.append(Seen(self.place, "deleted text (a tracked change)", element.text or ""))
            case "ruby":
                return "".join(t.text or "" for base in element.iter(f"{W}rubyBase") for t in base.iter(f"{W}t"))
            case "drawing" | "pict" | "object":
                self._graphic(element, replace(at, why=why))
            case _ if tag == f"{_MC}AlternateContent" and (chosen := _inside(element)) is not None:
                return "".join(self._said(child, why, at) for child in chosen)
        return ""

    def _field(self, kind: str) -> None:
        if kind == "begin":
            self.fields.append(_Field())
        elif kind == "separate" and self.fields:
            self.fields[-1].at_result = True
        elif kind == "end" and self.fields:
            self.fields.pop()

    def _graphic(self, element: Any, at: _Place) -> None:
        """Text boxes are read after their paragraph, a diagram's words with them; a picture is counted."""
        boxes = [box for box in element.iter(f"{W}txbxContent") if not _within(box, f"{W}txbxContent", element)]
        boxes = [box for box in boxes if not _passed_over(box, element)]
        self.boxes += [(box, _box_place(box, element, at)) for box in boxes]
        for marked in element.iter(f"{_V}textpath"):
            if said := (marked.get("string") or "").strip():
                self.lost.append(Seen(self.place, "a watermark", said))
        for diagram in element.iter():
            if (link := self.file.links(self.file.name).get(diagram.get(f"{R}dm") or "")) and not self.part:
                self._diagram(link.target)
        self.pictures += any(True for _ in element.iter(f"{_A}blip", f"{_V}imagedata"))

    def _diagram(self, name: str) -> None:
        root = self.file.part(name)
        for paragraph in root.iter(f"{_A}p") if root is not None else ():
            if text := "".join(t.text or "" for t in paragraph.iter(f"{_A}t")).strip():
                self.rows.append(_Row(Piece("paragraph", text)))

    # --- what is told -------------------------------------------------------------------------------------------------------

    def _say_hidden(self, runs: list[_Run]) -> None:
        texts: dict[str, list[str]] = {}
        for run in runs:
            if run.why:
                texts.setdefault(run.why, []).append(run.text)
        for why, parts in texts.items():
            if any(not letter.isspace() for part in parts for letter in part):
                self.hidden.append(Seen(self.place, why, " ".join("".join(parts).split())))

    def _deleted(self, element: Any) -> None:
        text = " ".join("".join(t.text or "" for t in element.iter(f"{W}delText", f"{W}t")).split())
        if text:
            self.hidden.append(Seen(self.place, "deleted text (a tracked change)", text))

    def _comments(self) -> None:
        for part in self.file.linked("comments"):
            for comment in part.iter(f"{W}comment"):
                paragraphs = ("".join(t.text or "" for t in p.iter(f"{W}t")) for p in comment.iter(f"{W}p"))
                text = " ".join(" ".join(paragraphs).split())
                author = (comment.get(f"{W}author") or "somebody")[:60]
                if text:
                    self.hidden.append(
                        Seen(self.commented.get(comment.get(f"{W}id") or "", ""), f"a comment by {author}", text)
                    )

    def _left_out(self) -> None:
        if self.pictures:
            self.lost.append(Seen("", f"{self.pictures} picture{'s' * (self.pictures > 1)}"))
        if self.contents:
            self.lost.append(Seen("", "the table of contents"))
        for seen in self.file.beside():
            (self.hidden if seen.text else self.lost).append(seen)

    def _elsewhere(self, part: Any, name: str) -> list[_Row]:
        """What another part of the file says, read like the body."""
        outer, self.rows, self.part, self.open = self.rows, [], name, []
        self.blocks(part, _Place())
        found, self.rows, self.part, self.open = self.rows, outer, "", []
        return found

    def _furniture(self, body: Any) -> Iterator[Piece]:
        """The lines of page headers and footers, each once, at the top: never among the steps."""
        links, said = self.file.links(self.file.name), set()
        for kind, name in (("headerReference", "page header"), ("footerReference", "page footer")):
            for reference in body.iter(f"{W}{kind}"):
                link = links.get(reference.get(f"{R}id") or "")
                part = self.file.part(link.target) if link and not link.outside else None
                for row in self._elsewhere(part, name) if part is not None else ():
                    text = _line([row])
                    if text and text not in said and not re.fullmatch(r"(?i)\W*(?:page)?\W*(?:of|/)?\W*", text):
                        said.add(text)
                        self.lost.append(Seen(name, "printed on every page, kept once at the top", text))
                        yield Piece("paragraph", text)

    def _footnotes(self) -> Iterator[Piece]:
        parts = {kind: {note.get(f"{W}id"): note for part in self.file.linked(kind) for note in part}
                 for kind in ("footnotes", "endnotes")}  # fmt: skip
        for number, (kind, named) in enumerate(self.notes, start=1):
            note = parts[kind].get(named)
            if note is not None and (text := _line(self._elsewhere(note, f"{kind[:-1]} {number}"))):
                yield Piece("paragraph", f"[{number}] {text}")

    # --- headings without styles ----------------------------------------------------------------------------------------------

    def _promote(self) -> None:
        """Where nobody used heading styles: short lines, all bold or far larger than the text; the larger, the higher."""
        body = self._body_size()
        letters = sum(len(row.piece.text) for row in self.rows) or 1
        plain = sum(len(row.piece.text) for row in self.rows if row.bold) < letters * 0.3
        heads = [row for row in self.rows if _heads(row, body) or (plain and _titled(row))]
        ranks = sorted({_rank(row, body) for row in heads})
        for row in heads:
            marker = f"{row.piece.marker} " if row.piece.kind == "item" else ""
            level = ranks.index(_rank(row, body)) + 1
            row.piece = Piece("heading", marker + row.piece.text, level=min(6, level))

    def _body_size(self) -> float:
        """The size of most letters outside tables, in half points."""
        sizes: Counter[float] = Counter()
        for row in self.rows:
            sizes[row.size] += len(row.piece.text) * (row.piece.kind in ("paragraph", "item"))
        return sizes.most_common(1)[0][0] if sizes else 20.0


def _heads(row: _Row, body: float) -> bool:
    text = row.piece.text.strip()
    if (
        not row.could_head
        or row.piece.level
        or len(text.split()) > _WORDS_OF_HEADING
        or not any(letter.isalpha() for letter in text)
    ):
        return False
    if text.endswith((".", ",", ";")) and len(text.split()) > 4:
        return False
    if row.piece.kind == "item" and not any(letter.isalnum() for letter in row.piece.marker):
        return False
    large = row.size > body and (row.size >= 26 or row.bold)
    return (row.bold and (row.size >= 26 or row.caps or large)) or row.size >= body * 1.25


def _titled(row: _Row) -> bool:
    """A short bold line of the text's own size, without an end mark: how most people write a heading."""
    text = row.piece.text.strip()
    short = len(text.split()) <= 8 and text[:1].isupper() and text[-1:] not in ".,;!?"
    said = row.piece.level and re.match(r"(?i)note|warning|caution|danger|important|tip\b|attention", text)
    return row.could_head and row.bold and short and not said and row.piece.kind == "paragraph"


def _rank(row: _Row, body: float) -> tuple[float, bool]:
    """Among headings of one document: by size, and of the text's own size capitals before small letters."""
    return -max(row.size, body), row.size <= body and not row.caps


# --- small things -------------------------------------------------------------------------------------------------------------

_SYMBOLS = {
    0xA8: "☐", 0x6F: "☐", 0x71: "☐", 0x72: "☐", 0xA3: "☐", 0xFE: "☑", 0x52: "☑", 0x54: "☒", 0xFD: "☒", 0xFC: "✓", 0xFB: "✗",
    0xE0: "→", 0xE8: "→", 0xDF: "←", 0xB7: "•", 0xA7: "▪", 0xB0: "°", 0xB1: "±", 0xA2: "•",
}  # fmt: skip
_BOXED = {"☐": "[ ]", "□": "[ ]", "☑": "[x]", "☒": "[x]"}


def _symbol(letter: str) -> str:
    """A letter of a symbol font as what it shows; nothing for one that we do not know."""
    return _SYMBOLS.get(ord(letter) - 0xF000, "") if "\uf000" <= letter <= "\uf0ff" else letter


def _typed(mark: str) -> str:
    if mark in _BOXED:
        return _BOXED[mark]
    return "•" if mark == "o" or not any(letter.isalnum() for letter in mark) else mark


def _words(label: tuple[str, _Item] | None) -> str:
    return f"{label[0]} " if label and any(letter.isalnum() for letter in label[0]) else ""


def _line(rows: list[_Row]) -> str:
    """Several pieces as one line, for a cell or a header."""
    parts = []
    for row in rows:
        piece = row.piece
        marker = f"{piece.marker} " if piece.kind == "item" and piece.marker not in ("•", "[ ]", "[x]") else ""
        cells = " ".join(cell for cells in piece.rows for cell in cells)
        parts.append(f"{marker}{piece.text} {cells}")
    return " ".join(" ".join(parts).split())


def _children(parent: Any, tag: str) -> Iterator[Any]:
    """Rows of a table or cells of a row, through the wrappers that Word puts around them."""
    for element in parent:
        if element.tag == tag:
            yield element
        elif element.tag not in (f"{W}tc", f"{W}tr") and (inside := _inside(element)) is not None:
            yield from _children(inside, tag)


_WRAPPERS = frozenset(f"{W}{name}" for name in ("hyperlink", "smartTag", "customXml", "dir", "bdo", "ins", "moveTo"))


def _inside(element: Any) -> Any:
    """What a wrapper holds; None for anything else. Of alternatives the first that Word can draw, else the older drawing."""
    if element.tag in _WRAPPERS:
        return element
    if element.tag == f"{W}sdt":
        return element.find(f"{W}sdtContent")
    if element.tag == f"{_MC}AlternateContent":
        choice = element.find(f"{_MC}Choice")
        return element.find(f"{_MC}Fallback") if choice is None or not len(choice) else choice
    return None


def _gallery(sdt: Any) -> str:
    found = next(sdt.iter(f"{W}docPartGallery"), None)
    return "" if found is None else found.get(f"{W}val") or ""


def _within(element: Any, tag: str, top: Any) -> bool:
    return any(above.tag == tag for above in _above(element, top))


def _above(element: Any, top: Any) -> Iterator[Any]:
    while element is not top and (element := element.getparent()) is not None:
        yield element


def _passed_over(box: Any, top: Any) -> bool:
    """Is this the older drawing of a box whose newer one is read?"""
    return any(
        above.tag == f"{_MC}Fallback"
        and any(True for c in above.getparent().iter(f"{_MC}Choice") for _ in c.iter(f"{W}txbxContent"))
        for above in _above(box, top)
    )


def _box_place(box: Any, top: Any, at: _Place) -> _Place:
    why, ground = at.why, at.ground
    for above in _above(box, top):
        if above.tag in (f"{_WP}anchor", f"{_WP}inline"):
            why = why or _unplaced(above)
        elif above.tag == f"{_WPS}wsp":
            ground = _shape_ground(above, ground)
        elif isinstance(above.tag, str) and above.tag.startswith(_V):
            why = why or unseen.why_hidden(above.get("style") or "")
            ground = "" if above.get("fillcolor") else ground
    return _Place(ground, why=why)


def _shape_ground(shape: Any, ground: str) -> str:
    properties, style = shape.find(f"{_WPS}spPr"), shape.find(f"{_WPS}style/{_A}fillRef")
    if properties is not None:
        if (solid := properties.find(f"{_A}solidFill/{_A}srgbClr")) is not None:
            said = (solid.get("val") or "").upper()
            return said if re.fullmatch(r"[0-9A-F]{6}", said) else ""
        if properties.find(f"{_A}noFill") is not None:
            return ground
        if any(properties.find(f"{_A}{name}") is not None for name in ("solidFill", "gradFill", "blipFill", "pattFill")):
            return ""
    return "" if style is not None and style.get("idx") not in (None, "0") else ground


def _unplaced(anchor: Any) -> str:
    """Why a drawing is not seen: marked hidden, without size, or outside the paper."""
    named, extent = anchor.find(f"{_WP}docPr"), anchor.find(f"{_WP}extent")
    if named is not None and named.get("hidden") in ("1", "true"):
        return "hidden text (in a hidden box)"
    wide, high = (_number(None if extent is None else extent.get(name), 1_000_000) for name in ("cx", "cy"))
    if min(wide, high) < _EMU_NONE:
        return "hidden text (in a box without room)"
    for name, size, most in (("positionH", wide, _EMU_WIDE), ("positionV", high, _EMU_HIGH)):
        position = anchor.find(f"{_WP}{name}")
        offset = None if position is None else position.find(f"{_WP}posOffset")
        if position is None or offset is None:
            continue
        start = _number((offset.text or "").strip(), 0)
        before = 0 if position.get("relativeFrom") == "page" else most if name == "positionV" else _EMU_MARGIN
        if start + size < -before or start > most:
            return "hidden text (outside the page)"
    return ""


def _outside(p: Any) -> str:
    """Why a whole paragraph is not seen: outside the paper, or in lines without height."""
    if p is None:
        return ""
    ind, spacing, frame = p.find(f"{W}ind"), p.find(f"{W}spacing"), p.find(f"{W}framePr")
    moves = [_number(ind.get(f"{W}{name}"), 0) for name in ("left", "start", "firstLine")] if ind is not None else []
    back = _number(ind.get(f"{W}hanging"), 0) if ind is not None else 0
    places = [_number(frame.get(f"{W}{name}"), 0) for name in ("x", "y")] if frame is not None else []
    if (
        any(abs(move) > FAR for move in moves)
        or back - max([0, *moves]) > FAR
        or any(x < -FAR // 2 or x > 3 * FAR for x in places)
    ):
        return "hidden text (outside the page)"
    if spacing is not None and spacing.get(f"{W}lineRule") == "exact" and _number(spacing.get(f"{W}line"), 999) <= 40:
        return "hidden text (lines without height)"
    return ""


def _page_colour(root: Any) -> str:
    background = root.find(f"{W}background")
    said = "" if background is None else (background.get(f"{W}color") or "").upper()
    return said if re.fullmatch(r"[0-9A-F]{6}", said) else _PAPER


def _number(text: str | None, otherwise: int) -> int:
    return int(text) if text and re.fullmatch(r"-?\d{1,10}", text) else otherwise
