"""The parts of a Word file as checked XML: nothing outside the file is fetched, nothing in it is run."""

from __future__ import annotations

import posixpath
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from knowledge.formats import Seen, Unconvertible, archive

MAX_XML = 30_000_000
"""Bytes of one XML part; the text of a 1,000-page document is about a third of it."""

_DAMAGED = "The Word file is damaged or cut short: open it in Word, save it again, and bring that."
_NOT_WORD = "The file is called .docx but holds no Word document: open it in the program it came from and save it as .docx."
_MACROS = "The Word file holds macros: save it as .docx (without macros) in Word, and bring that."
_DECLARES = "The Word file declares its own XML document type, which no Word program writes: save it again in Word."

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_STRICT = (
    (b"http://purl.oclc.org/ooxml/wordprocessingml/main", b"http://schemas.openxmlformats.org/wordprocessingml/2006/main"),
    (
        b"http://purl.oclc.org/ooxml/officeDocument/relationships",
        b"http://schemas.openxmlformats.org/officeDocument/2006/relationships",
    ),
    (b"http://purl.oclc.org/ooxml/drawingml/main", b"http://schemas.openxmlformats.org/drawingml/2006/main"),
)


@dataclass(frozen=True)
class Link:
    """A relationship of a part: the last word of its type (`footnotes`, `image`), where it leads, is that outside."""

    kind: str
    target: str
    outside: bool


class WordFile:
    """One .docx. raises Unconvertible   damaged, a bomb, encrypted, with macros, or with a document type of its own"""

    def __init__(self, packed: zipfile.ZipFile) -> None:
        self._packed = packed
        self._names = {_plain(info.filename): info for info in packed.infolist()}
        if "[content_types].xml" not in self._names:
            raise Unconvertible(_NOT_WORD)
        types = self._read("[Content_Types].xml")
        if b"macroEnabled" in types or b"vbaProject" in types or any(n.endswith("vbaproject.bin") for n in self._names):
            raise Unconvertible(_MACROS)
        self.name = next((link.target for link in self.links("").values() if link.kind == "officeDocument"), "")
        if not self.name or self.part(self.name) is None or b"wordprocessingml" not in types:
            raise Unconvertible(_NOT_WORD)

    def part(self, name: str) -> Any:
        """The root element of a part, or None where there is none. raises Unconvertible"""
        if _plain(name) not in self._names:
            return None
        from docx.oxml.parser import parse_xml

        data = self._read(name)
        for strict, usual in _STRICT:
            data = data.replace(strict, usual)
        try:
            return parse_xml(data)
        except (SyntaxError, ValueError, LookupError):  # what lxml raises for bad XML is a SyntaxError
            raise Unconvertible(_DAMAGED) from None

    def links(self, name: str) -> Mapping[str, Link]:
        """What a part refers to, by id; of the whole file for the empty name."""
        folder, _, last = name.rpartition("/")
        root = self.part(posixpath.join(folder, "_rels", f"{last}.rels"))
        found = {}
        for link in root if root is not None else ():
            if not isinstance(link.tag, str):
                continue
            outside = link.get("TargetMode") == "External"
            target = link.get("Target") or ""
            if not outside:
                target = posixpath.normpath(posixpath.join("/" + folder, target)).lstrip("/")
            found[link.get("Id") or ""] = Link((link.get("Type") or "").rpartition("/")[2], target, outside)
        return found

    def linked(self, kind: str) -> Iterator[Any]:
        """The parts of one kind that the document refers to."""
        for link in self.links(self.name).values():
            if link.kind == kind and not link.outside and (part := self.part(link.target)) is not None:
                yield part

    def beside(self) -> Iterator[Seen]:
        """What comes with the text and is not read: embedded files, and what would be fetched from elsewhere."""
        embedded = sum("/embeddings/" in name or "/activex/" in name for name in self._names)
        if embedded:
            yield Seen("", f"{embedded} embedded file{'s' * (embedded > 1)}")
        for owner in (self.name, posixpath.join(posixpath.dirname(self.name), "settings.xml")):
            for link in self.links(owner).values():
                if link.kind in ("attachedTemplate", "frame", "subDocument", "oleObject") and link.outside:
                    yield Seen("", f"a {_NAMED[link.kind]} that Word would fetch from elsewhere", link.target)

    def _read(self, name: str) -> bytes:
        info = self._names.get(_plain(name))
        if info is None:
            raise Unconvertible(_DAMAGED)
        try:
            data = archive.entry(self._packed, info, MAX_XML)
        except (KeyError, RuntimeError):
            raise Unconvertible(_DAMAGED) from None
        # a document type hides from this only in an encoding that Word never writes
        if not data.startswith((b"\xff\xfe", b"\xfe\xff")):
            declared = re.match(rb"\s*<\?xml[^>]{0,200}encoding\s*=\s*[\"']([^\"']{0,40})", data.removeprefix(b"\xef\xbb\xbf"))
            if declared and declared[1].lower() not in (b"utf-8", b"utf-16", b"us-ascii", b"ascii", b"iso-8859-1"):
                raise Unconvertible(_DECLARES)
        bare = data.replace(b"\0", b"") if b"\0" in data[:200] else data
        if b"<!DOCTYPE" in bare or b"<!ENTITY" in bare:
            raise Unconvertible(_DECLARES)
        return data


_NAMED = {"attachedTemplate": "template", "frame": "frame", "subDocument": "part", "oleObject": "object"}


def _plain(name: str) -> str:
    return name.replace("\\", "/").lstrip("/").lower()
