"""Files and folders -> text. Markdown and plain text now; everything else is named and refused with what to do.

Unreadable      the file cannot be read as a document; `line` where one is known
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

TEXT = frozenset({".md", ".markdown", ".txt"})
LATER = frozenset({".docx", ".doc", ".pdf", ".html", ".htm", ".odt", ".rtf"})
MAX_BYTES = 5_000_000


class Unreadable(Exception):
    """One sentence on why, and what to do."""

    def __init__(self, what: str, line: int = 0) -> None:
        super().__init__(what)
        self.what, self.line = what, line


@dataclass(frozen=True)
class Found:
    """A file to read. `name` is its path below the folder it was found in; `asked` says that it was named itself."""

    path: Path
    name: str
    asked: bool


def find(paths: Iterable[Path]) -> Iterator[Found]:
    """Every file that `paths` stand for, folders with all below them, in a fixed order; hidden files are left out.

    A path that does not exist is given back as it is: reading it says so.
    """
    for path in paths:
        if not path.is_dir():
            yield Found(path, path.name, asked=True)
            continue
        for folder, folders, files in os.walk(path):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(files):
                if not name.startswith("."):
                    file = Path(folder, name)
                    yield Found(file, file.relative_to(path).as_posix(), asked=False)


def read(path: Path) -> str:
    """The text of a Markdown or text file.

    raises Unreadable   missing, another format, larger than 5 MB, empty, binary, or not UTF-8
    """
    suffix = path.suffix.lower()
    if not path.exists():
        raise Unreadable("There is no such file or folder.")
    if suffix in LATER:
        raise Unreadable(f"{suffix} files are not readable yet: save it as Markdown or text.")
    if suffix not in TEXT or not path.is_file():
        raise Unreadable("This is not a document: SOPs are Markdown (.md) or text (.txt) files.")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise Unreadable("The file is larger than 5 MB: an SOP is a few pages of text; split it.")
        data = path.read_bytes()
    except OSError as wrong:
        raise Unreadable(f"The file cannot be opened: {wrong.strerror or 'input error'}.") from None
    return decode(data)


def decode(data: bytes) -> str:
    """Bytes of a text file as text. raises Unreadable"""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif b"\0" in data:
        raise Unreadable("The file is not text.")
    else:
        encoding = "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as wrong:
        line = data.count(b"\n", 0, wrong.start) + 1
        raise Unreadable("The file is not UTF-8 text: save it again with the encoding UTF-8.", line) from None
    if not text.strip():
        raise Unreadable("The file is empty.")
    strange = len(re.findall(r"[\x00-\x08\x0e-\x1f\ufffd]", text))
    if strange > len(text) // 100:
        raise Unreadable("The file is not text.")
    return text
