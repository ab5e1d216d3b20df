"""HTML -> Markdown: pages, Word's own HTML, Google Docs exports, Confluence's storage format. Read as a browser would show it.

`stylesheet` says how an element looks, `pieces` writes. Nothing is fetched; scripts are not run.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from knowledge.formats import Converted, Seen, Unconvertible, markup, unseen
from knowledge.formats.looks import Look, seen_as, why_gone, why_unseen
from knowledge.formats.paper import MARKER
from knowledge.formats.pieces import Piece, markdown
from knowledge.formats.stylesheet import Styles, pixels
from knowledge.formats.wordlists import spelt

if TYPE_CHECKING:
    from bs4 import BeautifulSoup, Tag

NEEDS = ("bs4", "html.parser", "soupsieve")

MAX_DEPTH = 200
_BLOCKS = frozenset({
    "address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "dialog", "div", "dl", "dt",
    "fieldset", "figcaption", "figure", "footer", "form", "header", "html", "legend", "main", "nav", "p", "pre", "section",
    "summary", "ac:rich-text-body", "ac:layout", "ac:layout-section", "ac:layout-cell", "ac:task-body", "hgroup", "search",
})  # fmt: skip
_NEVER = frozenset({
    "script", "style", "template", "noscript", "noframes", "head", "title", "meta", "link", "object", "applet",
    "ac:placeholder",
})  # fmt: skip
_PICTURES: Mapping[str, str] = {
    "img": "picture", "svg": "drawing", "canvas": "drawing", "video": "film", "audio": "recording", "iframe": "embedded page",
    "embed": "embedded file", "v:shape": "drawing", "v:imagedata": "picture", "ac:image": "picture", "math": "formula",
    "map": "picture map",
}  # fmt: skip
_STRUCK = frozenset({"del", "s", "strike"})
_NUMBERS: Mapping[str, str] = {
    "a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman", "1": "decimal",
    "lower-alpha": "lowerLetter", "lower-latin": "lowerLetter", "upper-alpha": "upperLetter", "upper-latin": "upperLetter",
    "lower-roman": "lowerRoman", "upper-roman": "upperRoman", "decimal": "decimal", "decimal-leading-zero": "decimalZero",
}  # fmt: skip
_BULLET_STYLES = frozenset({"disc", "circle", "square"})
_NOTES = frozenset({
    "note", "notes", "important", "warning", "caution", "tip", "danger", "attention", "example", "hint", "info",
})  # fmt: skip
_MARKED = re.compile(rf"(?:{MARKER.pattern})\s+(?P<rest>\S.*)", re.DOTALL)


def convert(data: bytes, name: str) -> Converted:
    """What a browser would show of the page, as Markdown.

    raises Unconvertible   empty, without text, or larger or deeper than a page is
    """
    text = markup.decoded(data)
    if not text.strip():
        raise Unconvertible("The file is empty.")
    soup = markup.parsed(text)
    reader = _Reader(soup)
    found = reader.document(soup)
    if not any(letter.isalnum() for piece in found for letter in (piece.text + "".join(map("".join, piece.rows)))):
        raise Unconvertible("The page shows no text of its own: save it from the browser as a PDF, and bring that.")
    written, kept = markdown(found)
    title = next((piece.text for piece in found if piece.kind == "heading"), "")
    return Converted(written, title, kept, tuple(reader.lost()), tuple(reader.hidden()))


@dataclass
class _Row:
    """A paragraph on its way to a piece: what is a heading shows only when the whole page was read."""

    piece: Piece
    bold: bool = False
    size: float = 16.0
    could_head: bool = False


@dataclass
class _Open:
    """The paragraph that letters are being added to."""

    texts: list[tuple[str, Look]] = field(default_factory=list)
    marker: str = ""
    heading: int = 0
    level: int = 0
    indent: float | None = None
    listed: bool = False
    word_level: int = 0


class _Reader:
    """Walks the page in the order it is written."""

    def __init__(self, soup: BeautifulSoup) -> None:
        self.styles = Styles(soup)
        self.rows: list[_Row] = []
        self.now = _Open()
        self.unseen_texts: dict[tuple[str, str], list[str]] = {}
        self.struck: list[Seen] = []
        self.counts: Counter[str] = Counter()
        self.links = 0
        self.counters: dict[str, int] = {}
        self.indents: list[float] = []
        self.sizes: Counter[float] = Counter()

    def document(self, soup: BeautifulSoup) -> list[Piece]:
        self.beside(soup)
        for child in list(soup.children):
            self.walk(child, Look())
        self.close()
        return list(self.pieces())

    # what a person does not see

    def beside(self, soup: BeautifulSoup) -> None:
        """Comments and what is never shown; what stands in it is reported, not read."""
        from bs4.element import Comment

        for comment in soup.find_all(string=lambda text: isinstance(text, Comment)):
            words = _comment_words(str(comment))
            if words:
                self.hide(_line_of(comment.parent), "a comment", words)

    def hide(self, place: str, what: str, text: str) -> None:
        text = " ".join(text.split())
        if any(letter.isalnum() for letter in text) or any(ord(letter) > 0x2000 for letter in text):
            self.unseen_texts.setdefault((place, what), []).append(text)

    def hidden(self) -> Iterator[Seen]:
        for (place, what), texts in self.unseen_texts.items():
            yield Seen(place, what, " ".join(texts))

    def lost(self) -> Iterator[Seen]:
        for what, count in self.counts.items():
            yield Seen("", f"1 {what}" if count == 1 else f"{count} {what}s")
        if self.links:
            yield Seen("", "the address of 1 link" if self.links == 1 else f"the addresses of {self.links} links")
        yield from self.struck

    # the walk

    def walk(self, node: Any, look: Look) -> None:
        from bs4.element import CData, NavigableString, Tag

        if isinstance(node, Tag):
            if look.depth > MAX_DEPTH:
                raise Unconvertible(markup.TOO_DEEP)
            self.tag(node, replace(look, depth=look.depth + 1))
        elif type(node) in (NavigableString, CData):
            self.letters(str(node), look, node.parent)

    def inside(self, tag: Tag, look: Look) -> None:
        for child in list(tag.children):
            self.walk(child, look)

    def letters(self, text: str, look: Look, parent: Tag | None) -> None:
        if not text.strip():
            if self.now.texts:
                self.now.texts.append((text if look.pre else " ", look))
            return
        if why := why_unseen(look):
            self.hide(_line_of(parent), why, text)
            return
        text, odd = unseen.clear(text.replace("\u2028", " "), lambda _: _line_of(parent))
        for seen in odd:
            self.unseen_texts.setdefault((seen.place, seen.what), []).append(seen.text)
        self.now.texts.append((text, look))

    def tag(self, tag: Tag, look: Look) -> None:
        name = tag.name.lower()
        if name in _NEVER:
            self.never(tag, name)
            return
        if {"msocomanchor", "msocomoff"} & set(tag.get("class") or ()):  # "[AB1]", where Word's comment is
            return
        style = self.styles.of(tag)
        if why := why_gone(tag, style):
            self.hide(_line_of(tag), why, tag.get_text(" "))
            return
        if name in _PICTURES:
            self.counts[_PICTURES[name]] += 1
            return
        if name in _STRUCK or "line-through" in style.get("text-decoration", "") + style.get("text-decoration-line", ""):
            if words := " ".join(tag.get_text(" ").split()):
                self.struck.append(Seen(_line_of(tag), "text that is struck out", words))
            return
        look = seen_as(tag, name, style, look)
        handler = _HANDLERS.get(name) or (_Reader.heading if re.fullmatch(r"h[1-6]", name) else None)
        if handler:
            handler(self, tag, style, look)
        elif name in _BLOCKS or style.get("display") in ("block", "flex", "grid"):
            self.block(tag, style, look)
        else:
            self.inside(tag, look)

    def never(self, tag: Tag, name: str) -> None:
        if name == "script" and tag.get("type", "") not in ("application/ld+json", "text/template", "text/html"):
            self.counts["script"] += bool(tag.get_text().strip() or tag.get("src"))
        elif name in ("template", "noscript", "noframes", "object", "applet", "ac:placeholder", "script"):
            self.hide(_line_of(tag), f"text in <{name}>, which is not shown", tag.get_text(" "))

    def block(self, tag: Tag, style: Mapping[str, str], look: Look) -> None:
        self.close()
        self.now.level = self.now.level if self.now.marker else look.level
        classes = " ".join(str(name) for name in tag.get("class") or ())
        if tag.name == "p" or "Mso" in classes:
            self.now.listed = "MsoList" in classes or "mso-list" in style
            self.now.indent = pixels(style.get("margin-left", "0"), look.size) or _margin(style.get("margin", "")) or 0.0
            if found := re.search(r"level(\d)", style.get("mso-list", "")):
                self.now.word_level = int(found[1])
            if found := re.search(r"MsoTitle|MsoHeading(\d)", classes):
                self.now.heading = int(found[1] or 1)
        self.inside(tag, look)
        self.close()
        self.now.level = look.level

    def heading(self, tag: Tag, style: Mapping[str, str], look: Look) -> None:
        self.close()
        self.now.heading, self.now.level = int(tag.name[1]), look.level
        self.inside(tag, look)
        self.close()
        self.now.level = look.level

    def link(self, tag: Tag, style: Mapping[str, str], look: Look) -> None:
        if tag.get("href") and not str(tag["href"]).startswith("#"):
            self.links += 1
        self.inside(tag, look)

    def line_end(self, tag: Tag, style: Mapping[str, str], look: Look) -> None:
        self.now.texts.append(("\n", look))

    def rule(self, tag: Tag, style: Mapping[str, str], look: Look) -> None:
        self.close()

    def preformatted(self, tag: Tag, style: Mapping[str, str], look: Look) -> None:
        self.block(tag, style, replace(look, pre=True))

    def field(self, tag: Tag, style: Mapping[str, str], look: Look) -> None:
        kind = str(tag.get("type") or tag.name).lower()
        value = tag.get_text(" ") if tag.name in ("textarea", "select", "button") else str(tag.get("value") or "")
        if kind == "hidden":
            self.hide(_line_of(tag), "a hidden form field", value)
        elif kind in ("checkbox", "radio"):
            self.now.marker = (
                self.now.marker if self.now.marker not in ("", "•") else "[x]" if tag.has_attr("checked") else "[ ]"
            )
        else:
            self.counts["form field"] += 1

    # lists

    def bulleted(self, tag: Tag, style: Mapping[str, str], look: Look) -> None:
        self.items(tag, look, lambda number: self.google(tag, number) or "•", 1, 1)

    def numbered(self, tag: Tag, style: Mapping[str, str], look: Look) -> None:
        form = _NUMBERS.get(str(tag.get("type") or ""), "decimal")
        listed = style.get("list-style-type") or next((w for w in style.get("list-style", "").split() if w in _NUMBERS), "")
        form = _NUMBERS.get(listed, form)
        if listed in _BULLET_STYLES:
            self.bulleted(tag, style, look)
            return
        count = len(tag.find_all("li", recursive=False))
        step = -1 if tag.has_attr("reversed") else 1
        start = _whole(tag.get("start"), count if step < 0 else 1)
        self.items(tag, look, lambda number: self.google(tag, number) or f"{spelt(number, form)}.", start, step)

    def items(self, tag: Tag, look: Look, marker: Callable[[int], str], start: int, step: int) -> None:
        from bs4.element import Tag as TagType

        self.close()
        level = max(look.level, _google_level(tag) if look.level == 0 else 0)
        number = start - step
        for child in list(tag.children):
            if not isinstance(child, TagType) or child.name != "li":
                self.walk(child, replace(look, level=level + 1))
                continue
            number = _whole(child.get("value"), number + step)
            style = self.styles.of(child)
            if why := why_gone(child, style):
                self.hide(_line_of(child), why, child.get_text(" "))
                continue
            self.close()
            self.now.marker, self.now.level = marker(number), level
            if child.get("data-checked") or "checked" in (child.get("class") or []):
                self.now.marker = "[x]" if str(child.get("data-checked", "true")) == "true" else "[ ]"
            inner = replace(seen_as(child, "li", style, look), level=level + 1, depth=look.depth + 1)
            self.inside(child, inner)
            self.close()
        self.now.level = look.level

    def google(self, tag: Tag, number: int) -> str:
        """What Google Docs prints before an item: its lists are numbered by generated text, for example `(a)` or `1.2.`."""
        name = next((str(c) for c in tag.get("class") or () if str(c).startswith("lst-")), "")
        if not name:
            return ""
        counter = name.replace("lst-", "lst-ctn-", 1)
        self.counters[counter] = number
        content = self.styles.before.get(name)
        if content is None or "counter(" not in content:
            return ""
        printed = ""
        for quoted, named, form in re.findall(r"\"([^\"]*)\"|counter\(\s*([\w-]+)\s*(?:,\s*([\w-]+)\s*)?\)", content):
            printed += spelt(self.counters.get(named, 1), _NUMBERS.get(form, "decimal")) if named else quoted
        return " ".join(printed.split())

    def tasks(self, tag: Tag, style: Mapping[str, str], look: Look) -> None:
        """Confluence: `ac:task` holds an id, a status and a body."""
        self.close()
        for task in tag.find_all("ac:task", recursive=False):
            status, body = task.find("ac:task-status", recursive=False), task.find("ac:task-body", recursive=False)
            if body is None:
                continue
            self.close()
            self.now.marker = "[x]" if status is not None and status.get_text().strip() == "complete" else "[ ]"
            self.now.level = look.level
            self.inside(body, replace(look, level=look.level + 1, depth=look.depth + 2))
            self.close()
        self.now.level = look.level

    def macro(self, tag: Tag, style: Mapping[str, str], look: Look) -> None:
        """Confluence: a panel's title and body are read, code is kept as code; what is made when the page is shown is lost."""
        self.close()
        for child in tag.find_all("ac:parameter", recursive=False):
            if child.get("ac:name") == "title":
                self.inside(child, look)
                self.close()
        body = tag.find(["ac:rich-text-body", "ac:plain-text-body"], recursive=False)
        if body is None:
            self.counts[f"{str(tag.get('ac:name') or 'unnamed')[:40]} macro"] += 1
            return
        plain = body.name == "ac:plain-text-body"
        self.block(body, style, replace(look, pre=plain))

    def definition(self, tag: Tag, style: Mapping[str, str], look: Look) -> None:
        self.block(tag, style, look)

    def parameter(self, tag: Tag, style: Mapping[str, str], look: Look) -> None:
        return

    # tables

    def table(self, tag: Tag, style: Mapping[str, str], look: Look) -> None:
        self.close()
        if caption := tag.find("caption", recursive=False):
            self.walk(caption, look)
        rows = [row for row in tag.find_all("tr") if row.find_parent("table") is tag]
        if _is_layout(tag, rows):
            for row in rows:
                for cell in row.find_all(["td", "th"], recursive=False):
                    self.cell(cell, self.look_of(row, look))
                    self.close()
            return
        outside, self.rows = self.rows, []
        texts = []
        for row in rows:
            texts.append(self.cells(row, self.look_of(row, look)))
        self.rows = outside
        if any(any(row) for row in texts):
            self.rows.append(_Row(Piece("table", rows=tuple(tuple(row) for row in texts if any(row)))))
        self.now.level = look.level

    def look_of(self, row: Tag, look: Look) -> Look:
        style = self.styles.of(row)
        why = why_gone(row, style)
        return replace(seen_as(row, "tr", style, look), why=why or look.why, in_cell=True)

    def cells(self, row: Tag, look: Look) -> list[str]:
        texts: list[str] = []
        for cell in row.find_all(["td", "th"], recursive=False):
            held, self.rows = self.rows, []
            self.cell(cell, look)
            self.close()
            made, self.rows = self.rows, held
            texts.append(" ".join(f"{row.piece.marker} {row.piece.text}".strip() for row in made))
            texts += [""] * (min(20, _whole(cell.get("colspan"), 1)) - 1)
        return texts

    def cell(self, cell: Tag, look: Look) -> None:
        style = self.styles.of(cell)
        if why := why_gone(cell, style):
            self.hide(_line_of(cell), why, cell.get_text(" "))
            return
        self.inside(cell, replace(seen_as(cell, cell.name, style, look), level=0, depth=look.depth + 2))

    # paragraphs

    def close(self) -> None:
        """The open paragraph is done: an item, a heading, a paragraph, or several where line ends part list items."""
        now, self.now = self.now, _Open(level=self.now.level)
        if not any(text.strip() for text, _ in now.texts):
            if now.marker and not now.texts:
                self.now.marker, self.now.level = now.marker, now.level  # the item's own paragraph is still to come
            return
        if any(look.pre for _, look in now.texts):
            text = "".join(text for text, _ in now.texts).strip("\n")
            self.rows.append(_Row(Piece("code", text, level=now.level)))
            return
        for lines in _parted(now.texts):
            self.paragraph(now, lines)
            now = replace(now, marker="")

    def paragraph(self, now: _Open, texts: Sequence[tuple[str, Look]]) -> None:
        text = " ".join("".join(text for text, _ in texts).split())
        letters = [(look, len(part.strip())) for part, look in texts if any(map(str.isalnum, part))]
        if not text:
            return
        bold = bool(letters) and all(look.bold for look, _ in letters)
        size = max((look.size for look, _ in letters), default=16.0)
        in_cell = any(look.in_cell for look, _ in letters)
        for look, count in letters:
            self.sizes[round(look.size, 1)] += count
        if now.heading:
            self.indents = []
            self.rows.append(_Row(Piece("heading", text, level=now.heading)))
            return
        if now.marker:
            self.rows.append(_Row(_item(now.marker, text, now.level)))
            return
        if now.listed and MARKER.fullmatch(text) and text[0].isdigit():  # a step that is a picture: its number is printed
            self.rows.append(_Row(_item(text, "", self.level_of(now))))
            return
        marked = _MARKED.fullmatch(_with_box(text, texts))
        head = bold and not in_cell and len(text) <= 90 and now.level == 0
        if marked and not now.level and self.is_item(marked, now) and not (head and _capitals(text)):
            level = self.level_of(now)
            self.rows.append(_Row(_item(_printed(marked), marked["rest"], level)))
            return
        level = now.level
        if not level and self.indents and now.indent is not None and now.indent > self.indents[0] + 4 and not head:
            level = sum(1 for indent in self.indents if indent < now.indent - 4)
        elif not level:
            self.indents = []
        self.rows.append(_Row(Piece("paragraph", text, level=level), bold, size, could_head=not in_cell and not now.level))

    def is_item(self, marked: re.Match[str], now: _Open) -> bool:
        """Outside Word's list styles a letter or a dash may just begin a sentence ("A. Smith"); a number is a number."""
        if now.listed or marked["box"] or marked["number"] or marked["multi"]:
            return True
        return bool(marked["bullet"] and marked["bullet"] not in "o*§Ø¨") or bool(
            marked["letter"] and marked["letter"].endswith(")")
        )

    def level_of(self, now: _Open) -> int:
        """Word's own level, else how far the paragraph is indented."""
        if now.word_level:
            return now.word_level - 1
        indent = now.indent or 0.0
        while self.indents and self.indents[-1] > indent - 4:
            self.indents.pop()
        self.indents.append(indent)
        return len(self.indents) - 1

    def pieces(self) -> Iterator[Piece]:
        """The rows, those that look like headings as headings: in a page that has hardly any of its own."""
        own = sum(1 for row in self.rows if row.piece.kind == "heading")
        body = self.sizes.most_common(1)[0][0] if self.sizes else 16.0
        heads = {id(row) for row in self.rows if own < 3 and self.looks_like_heading(row, body)}
        sizes = sorted({round(row.size) for row in self.rows if id(row) in heads}, reverse=True)
        deepest = max((row.piece.level for row in self.rows if row.piece.kind == "heading"), default=0)
        for row in self.rows:
            if id(row) in heads:
                level = min(6, deepest + 1 + sizes.index(round(row.size)))
                yield Piece("heading", row.piece.text, level=level)
            else:
                yield row.piece

    def looks_like_heading(self, row: _Row, body: float) -> bool:
        text = row.piece.text
        if row.piece.kind != "paragraph" or not row.could_head or len(text) > 90 or sum(map(str.isalpha, text)) < 3:
            return False
        if (
            re.search(r"[.,;!?]$", text)
            or (text.endswith(":") and not _capitals(text))
            or text.casefold().strip(" :") in _NOTES
        ):
            return False
        return row.bold or row.size >= 1.3 * body


_HANDLERS: Mapping[str, Callable[[_Reader, Any, Mapping[str, str], Look], None]] = {
    "a": _Reader.link,
    "ac:parameter": _Reader.parameter,
    "ac:structured-macro": _Reader.macro,
    "ac:task-list": _Reader.tasks,
    "br": _Reader.line_end,
    "button": _Reader.field,
    "dd": _Reader.definition,
    "dir": _Reader.bulleted,
    "hr": _Reader.rule,
    "input": _Reader.field,
    "menu": _Reader.bulleted,
    "ol": _Reader.numbered,
    "pre": _Reader.preformatted,
    "select": _Reader.field,
    "table": _Reader.table,
    "textarea": _Reader.field,
    "ul": _Reader.bulleted,
}


def _margin(value: str) -> float | None:
    """The left one of a `margin` shorthand."""
    parts = value.split()
    return pixels(parts[-1 if len(parts) in (1, 4) else 1]) if parts else None


# --- text -----------------------------------------------------------------------------------------------------------------

_BOXES: Mapping[str, str] = {"¨": "☐", "q": "☐", "o": "☐", "r": "☐", "£": "☐", "þ": "☑", "ü": "✓", "x": "☑", "R": "☑"}


def _with_box(text: str, texts: Sequence[tuple[str, Look]]) -> str:
    """The paragraph with the boxes that Wingdings shows in the place of letters."""
    first = next(((part.strip(), look) for part, look in texts if part.strip()), None)
    if first and first[1].symbol and first[0][:1] in _BOXES and len(first[0]) == 1:
        return _BOXES[first[0]] + " " + text[1:].strip()
    if first and first[1].symbol and len(first[0]) == 1:
        return "• " + text[1:].strip()
    return text


def _parted(texts: Sequence[tuple[str, Look]]) -> list[list[tuple[str, Look]]]:
    """The paragraph at once, or by its line ends where two of them start list items or the lines are headings of their own."""
    lines: list[list[tuple[str, Look]]] = [[]]
    for text, look in texts:
        if text == "\n" and not look.pre:
            lines.append([])
        else:
            lines[-1].append((text, look))
    filled = ["".join(text for text, _ in line).strip() for line in lines]
    items = sum(1 for line in filled if _MARKED.fullmatch(line))
    if items >= 2 or (items and not _MARKED.fullmatch(filled[0])) or any(not line for line in filled[1:-1]):
        return [line for line, text in zip(lines, filled, strict=True) if text]
    return [[(" " if text == "\n" else text, look) for text, look in texts]]


def _printed(marked: re.Match[str]) -> str:
    if marked["box"]:
        return "[x]" if marked["box"] in "☑☒✓✔✅" or "x" in marked["box"].lower() else "[ ]"
    if marked["bullet"]:
        return "•"
    printed = next(marked[kind] for kind in ("number", "multi", "letter") if marked[kind])
    if found := re.fullmatch(r"(?i)step\s+(\d+)([.):]?)", printed):
        return f"{found[1]}{')' if found[2] == ')' else '.'}"
    return printed.replace(":", ".")


def _item(marker: str, text: str, level: int) -> Piece:
    """A list item; a box at its beginning makes it one to tick."""
    box = re.match(r"(?P<box>[☐□▢❏❑◻⬜☑☒✅]|\[[ xX]\])\s*", text)
    if box and marker == "•":
        ticked = box["box"] in "☑☒✅" or "x" in box["box"].lower()
        return Piece("item", text[box.end() :], level=level, marker="[x]" if ticked else "[ ]")
    return Piece("item", text, level=level, marker=marker)


def _capitals(text: str) -> bool:
    return text == text.upper() and sum(map(str.isalpha, text)) >= 3


def _is_layout(table: Tag, rows: Sequence[Tag]) -> bool:
    """A table that only places things: said so, with one column, or with headings, lists or tables in its cells."""
    if str(table.get("role", "")).lower() in ("presentation", "none"):
        return True
    if max((len(row.find_all(["td", "th"], recursive=False)) for row in rows), default=0) < 2:
        return True
    if table.find(["table", "h1", "h2", "h3", "h4", "ac:structured-macro", "ac:task-list"]) is not None:
        return True
    if any(len(found.find_all("li")) >= 2 for found in table.find_all("ol")):
        return True
    return len(rows) <= 3 and any(len(cell.find_all("p")) > 6 for row in rows for cell in row.find_all("td", recursive=False))


def _google_level(tag: Tag) -> int:
    """Google Docs writes inner lists beside the outer ones; the level stands at the end of the class."""
    found = re.search(r"\blst-[\w-]*-(\d)\b", " ".join(str(name) for name in tag.get("class") or ()))
    return int(found[1]) if found else 0


def _whole(value: Any, otherwise: int) -> int:
    return int(value) if isinstance(value, str) and re.fullmatch(r"\s*-?\d{1,6}\s*", value) else otherwise


def _line_of(tag: Any) -> str:
    line = getattr(tag, "sourceline", None)
    return f"line {line}" if line else ""


def _comment_words(text: str) -> str:
    """What a comment says; nothing for Word's own conditions with drawings and settings in them."""
    if re.match(r"\s*\[(?:if|endif)", text):
        if re.search(r"<(?:xml|style|v:|o:|w:|link|meta|script|m:)|^\s*\[endif", text, re.IGNORECASE):
            return ""
        text = re.sub(r"^\s*\[if[^\]]*\]>?|<!\[endif\]\s*$|<!-*>?", "", text)
    text = re.sub(r"<[^>]*>", " ", text)
    return text if any(map(str.isalnum, text)) else ""
