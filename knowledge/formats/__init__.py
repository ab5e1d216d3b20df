"""Documents of other programs -> Markdown. Each reader is one module with `convert`; they run in a child process with limits.

    Unconvertible   the file cannot be taken in: one sentence on what is wrong and what to do

A reader is given bytes, never a path: it opens no file, no connection, and believes nothing that a name says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

READERS: Mapping[str, str] = {
    ".docx": "knowledge.formats.docx",
    ".htm": "knowledge.formats.html",
    ".html": "knowledge.formats.html",
    ".markdown": "knowledge.formats.plain",
    ".md": "knowledge.formats.plain",
    ".pdf": "knowledge.formats.pdf",
    ".txt": "knowledge.formats.plain",
}
"""Suffix -> the module whose `convert(data: bytes, name: str) -> Converted` reads it.

A module may name in `NEEDS` the libraries that it imports inside its functions: the child imports them before the first file.
"""

MAX_TEXT = 1_000_000
"""Characters of Markdown that one document may become: a practice's whole handbook is about half of it."""
SHORT = 50_000
"""Characters below which no text is worth a rehearsal: the worst of them is cut into steps in 4 s and 40 MB."""
MAX_SEEN = 200
"""Entries of `lost` and of `hidden` that are kept one by one; the rest is one entry that counts them."""
KEPT = ("headings", "numbered", "bullets", "tables", "words")


@dataclass(frozen=True)
class Seen:
    """Something that a machine would read and a person would not see, or that was left out.

    place   where a person would look for it: "paragraph 12", "page 3", "line 40", "header", or "" for the file as a whole
    what    what it is, as one phrase: "hidden text (formatted as hidden)", "a comment by Ann", "3 pictures"
    text    the words themselves, as far as there are any; cut at 500 characters
    """

    place: str
    what: str
    text: str = ""


@dataclass(frozen=True)
class Converted:
    """One document as Markdown.

    text     headings as `#`, lists with the numbers that a reader sees printed, tables as pipes. Holds nothing of `hidden`
    title    the document's own title as a reader sees it; empty where it shows none
    kept     how many `headings`, `numbered`, `bullets`, `tables` and `words` stand in `text`
    lost     what a reader sees in the document and does not find in `text`: pictures, page headers, removed text
    hidden   what a reader does not see in the document: never part of `text`, shown to whoever approves it
    """

    text: str
    title: str
    kept: Mapping[str, int]
    lost: tuple[Seen, ...] = ()
    hidden: tuple[Seen, ...] = ()


class Unconvertible(Exception):
    """One sentence for the person who brought the file: what is wrong, and what to do. `line` where one is known."""

    def __init__(self, what: str, line: int = 0) -> None:
        super().__init__(what)
        self.what, self.line = what, line


def as_json(converted: Converted) -> dict[str, Any]:
    """The values that travel from the child to its parent."""
    return {
        "text": converted.text,
        "title": converted.title[:200],
        "kept": {name: int(converted.kept.get(name, 0)) for name in KEPT},
        "lost": [asdict(seen) for seen in capped(converted.lost)],
        "hidden": [asdict(seen) for seen in capped(converted.hidden)],
    }


def from_json(values: Mapping[str, Any]) -> Converted:
    """What `as_json` sent. raises KeyError, TypeError, ValueError   it is something else"""
    return Converted(
        text=str(values["text"]),
        title=str(values["title"]),
        kept={name: int(values["kept"][name]) for name in KEPT},
        lost=tuple(Seen(str(s["place"]), str(s["what"]), str(s["text"])) for s in values["lost"]),
        hidden=tuple(Seen(str(s["place"]), str(s["what"]), str(s["text"])) for s in values["hidden"]),
    )


def capped(seen: tuple[Seen, ...]) -> tuple[Seen, ...]:
    """At most MAX_SEEN entries and 500 characters each; what is beyond is counted."""
    short = tuple(Seen(s.place[:80], s.what[:200], s.text[:500]) for s in seen[:MAX_SEEN])
    return (*short, Seen("", f"and {len(seen) - MAX_SEEN} more places")) if len(seen) > MAX_SEEN else short
