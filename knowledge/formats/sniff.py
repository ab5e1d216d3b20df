"""What a file really is, by its first bytes: names are given by people, and by those who want something opened."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from io import BytesIO

from knowledge.formats import Unconvertible

LEGACY: Mapping[str, str] = {
    ".doc": "This is an old Word file (.doc): open it in Word, save it as .docx, and bring that.",
    ".docm": "This Word file may hold macros (.docm): save it as .docx, and bring that.",
    ".dot": "This is a Word template (.dot): save it as .docx, and bring that.",
    ".dotm": "This is a Word template with macros (.dotm): save it as .docx, and bring that.",
    ".dotx": "This is a Word template (.dotx): save it as .docx, and bring that.",
    ".odt": "This is an OpenDocument text (.odt): save it as .docx, and bring that.",
    ".rtf": "This is a Rich Text file (.rtf): save it as .docx, and bring that.",
    ".pages": "This is a Pages document: export it as Word (.docx), and bring that.",
    ".wpd": "This is a WordPerfect file: save it as .docx, and bring that.",
    ".gdoc": "This is only a link to a Google document: download it there as Word (.docx), and bring that.",
    ".mht": "This is a web archive (.mht): save the page as HTML, or print it to PDF, and bring that.",
    ".mhtml": "This is a web archive (.mhtml): save the page as HTML, or print it to PDF, and bring that.",
}
"""Suffixes of documents that are not read, each with what to do instead."""

_SAVE = "open it in the program it came from and save it as .docx"
_KINDS: Mapping[str, tuple[str, str]] = {
    "pdf": ("a PDF", "rename it to .pdf"),
    "docx": ("a Word document", "rename it to .docx"),
    "docm": ("a Word document with macros", "save it as .docx in Word"),
    "doc": ("an old Word file", "open it in Word and save it as .docx"),
    "encrypted": ("an encrypted document", "open it in Word, take its password off and save it"),
    "ole": ("an old Office file", _SAVE),
    "odt": ("an OpenDocument text", _SAVE),
    "rtf": ("Rich Text", "open it in Word and save it as .docx"),
    "sheet": ("a spreadsheet", "copy the procedure into a Word document"),
    "slides": ("a presentation", "copy the procedure into a Word document"),
    "html": ("a web page", "rename it to .html"),
    "mhtml": ("a web archive", "save the page as HTML, or print it to PDF"),
    "xml": ("XML", _SAVE),
    "zip": ("a zip archive", "rename it to .zip, or unpack it"),
    "archive": ("an archive of another kind", "unpack it and bring the documents"),
    "picture": ("a picture", "bring the text version of the procedure"),
    "program": ("a program", "bring the document itself"),
}
_WANTED: Mapping[str, frozenset[str]] = {
    ".docx": frozenset({"docx", "zip"}),  # a damaged one looks like any archive; its own reader says so
    ".pdf": frozenset({"pdf"}),
    ".htm": frozenset({"html", "xml", ""}),
    ".html": frozenset({"html", "xml", ""}),
    ".md": frozenset({"", "xml"}),
    ".markdown": frozenset({"", "xml"}),
    ".txt": frozenset({"", "xml"}),
    ".zip": frozenset({"zip"}),
}


def check(suffix: str, data: bytes) -> None:
    """raises Unconvertible   the file is empty, or holds something else than its suffix says"""
    if not data.strip(b"\0 \t\r\n"):
        raise Unconvertible("The file is empty: bring it again with its text.")
    found = kind(data)
    if found in _WANTED[suffix]:
        return
    if not found:
        raise Unconvertible(f"The file is called {suffix} but does not hold that: {_SAVE}.")
    what, do = _KINDS[found]
    raise Unconvertible(f"The file is called {suffix} but holds {what}: {do}.")


def kind(data: bytes) -> str:
    """One word for what the bytes are; empty for text and for what is not known."""
    head = data[:2_048]
    if b"%PDF-" in head[:1_024]:
        return "pdf"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _packed(data)
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return _compound(data)
    for start, name in _STARTS:
        if head.startswith(start):
            return name
    text = _text(head).lstrip("\ufeff \t\r\n").lower()
    if re.match(r"(?:<!--.*?-->\s*)*<!doctype\s+html|(?:<\?xml[^>]*>\s*(?:<!doctype[^>]*>\s*)?)?<html[\s>]", text, re.DOTALL):
        return "html"
    if re.match(r"(?:from|mime-version|content-type)\s*:", text) and "multipart/related" in text:
        return "mhtml"
    return "xml" if text.startswith("<?xml") else ""


_STARTS = (
    (b"{\\rtf", "rtf"),
    (b"\x89PNG", "picture"),
    (b"\xff\xd8\xff", "picture"),
    (b"GIF8", "picture"),
    (b"II*\x00", "picture"),
    (b"MM\x00*", "picture"),
    (b"7z\xbc\xaf", "archive"),
    (b"Rar!", "archive"),
    (b"\x1f\x8b", "archive"),
    (b"MZ\x90", "program"),
    (b"\x7fELF", "program"),
)


def _text(head: bytes) -> str:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return head[: len(head) // 2 * 2].decode("utf-16", "replace")
    return head.decode("latin-1").removeprefix("\xef\xbb\xbf")


def _packed(data: bytes) -> str:
    """A zip by the names in it; one that cannot be listed is still a zip, and whoever opens it says what is wrong."""
    if data.count(b"PK\x01\x02") > 10_000:
        return "zip"
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            names = set(archive.namelist())
            if "mimetype" in names:
                told = archive.read("mimetype")[:100] if archive.getinfo("mimetype").file_size < 200 else b""
                return "odt" if b"opendocument" in told else "zip"
    except Exception:  # noqa: BLE001  a damaged archive fails in many ways; whoever opens it names them
        return "docx" if b"word/document.xml" in data or b"[Content_Types].xml" in data[:200] else "zip"
    if any(name.lower().startswith("xl/") for name in names):
        return "sheet"
    if any(name.lower().startswith("ppt/") for name in names):
        return "slides"
    return "docx" if "[Content_Types].xml" in names else "zip"


def _compound(data: bytes) -> str:
    if "EncryptedPackage".encode("utf-16-le") in data:
        return "encrypted"
    return "doc" if "WordDocument".encode("utf-16-le") in data else "ole"
