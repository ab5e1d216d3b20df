"""A form with a file in it, as a browser posts it: written to disk as it comes, never held in memory.

NotAForm    the body is no such form
TooLarge    there is more of it than may come
"""

from __future__ import annotations

import mmap
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesParser
from pathlib import Path
from typing import IO

FIELD_LONGEST = 2000
_PARTS = 20
_HEADERS = 8000
_BOUNDARY = re.compile(r"[A-Za-z0-9'()+_,./:=? -]{1,70}")


class NotAForm(Exception):
    """What came cannot be read as a form."""


class TooLarge(Exception):
    """It was not received to its end."""


@dataclass
class Posted:
    """Its fields, and its file: `name` as the browser says it, empty where none was chosen."""

    fields: dict[str, str] = field(default_factory=dict)
    name: str = ""
    path: Path | None = None


def boundary_of(content_type: str) -> bytes:
    """The line between the parts of a body with this content type. raises NotAForm"""
    said = Message()
    said["content-type"] = content_type
    boundary = said.get_boundary("")
    if said.get_content_type() != "multipart/form-data" or not _BOUNDARY.fullmatch(boundary or ""):
        raise NotAForm("it is of another kind")
    return b"--" + str(boundary).encode()


async def spool(stream: AsyncIterator[bytes], into: IO[bytes], limit: int) -> None:
    """Write the body to `into` as it comes. raises TooLarge"""
    size = 0
    async for chunk in stream:
        size += len(chunk)
        if size > limit:
            raise TooLarge("it is larger than may come")
        into.write(chunk)
    into.flush()


def read(body: IO[bytes], boundary: bytes, folder: Path) -> Posted:
    """The form in `body`; its file is copied into `folder`. raises NotAForm"""
    posted = Posted()
    if not body.seek(0, 2):
        raise NotAForm("it is empty")
    with mmap.mmap(body.fileno(), 0, access=mmap.ACCESS_READ) as whole:
        for start, end in _parts(whole, boundary):
            head = whole.find(b"\r\n\r\n", start, min(end, start + _HEADERS))
            if head < 0:
                raise NotAForm("a part has no beginning")
            about = BytesParser().parsebytes(whole[start:head], headersonly=True)
            name = about.get_param("name", "", "content-disposition")
            file = about.get_filename()
            if file is None:
                if end - head > FIELD_LONGEST * 4:
                    raise NotAForm("a field is too long")
                posted.fields[str(name)] = whole[head + 4 : end].decode("utf-8", "replace")
            elif file and posted.path is None:
                posted.name, posted.path = _text(file), folder / "sent"
                with posted.path.open("wb") as into:
                    body.seek(head + 4)
                    _copy(body, into, end - head - 4)
    return posted


def _parts(whole: mmap.mmap, boundary: bytes) -> Iterator[tuple[int, int]]:
    """Where each part begins and ends, its headers included."""
    at = whole.find(boundary)
    if at != 0:
        raise NotAForm("it does not begin as a form does")
    for _ in range(_PARTS):
        start = at + len(boundary)
        if whole[start : start + 2] == b"--":
            return
        at = whole.find(b"\r\n" + boundary, start)
        if at < 0 or whole[start : start + 2] != b"\r\n":
            raise NotAForm("a part has no end")
        yield start + 2, at
        at += 2
    raise NotAForm("it has more parts than any form of ours")


def _text(name: str) -> str:
    """A file's name: browsers write UTF-8 where a header's reader takes each byte for a character that it cannot tell."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _copy(source: IO[bytes], into: IO[bytes], size: int) -> None:
    while size > 0:
        piece = source.read(min(size, 1 << 16))
        if not piece:
            raise NotAForm("a file has no end")
        into.write(piece)
        size -= len(piece)
