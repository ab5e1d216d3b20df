"""Zip archives, opened with suspicion: what an archive declares is checked first, what it unpacks to is counted as it comes."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Any

from knowledge.formats import Unconvertible

MAX_UNPACKED = 100_000_000
MAX_RATIO = 100
MAX_ENTRIES = 2_000
SMALL = 1_000_000
"""Below this size a high ratio is no bomb: a page of blanks packs 1 to 200."""

_DEVICES = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d|conin\$|conout\$)(?:\..*)?", re.IGNORECASE)


@contextmanager
def opened(data: bytes) -> Iterator[zipfile.ZipFile]:
    """The archive, after its directory was checked: at most 2,000 entries, 100 MB unpacked, packed at most 1 to 100.

    raises Unconvertible   no archive, damaged, encrypted, or a bomb
    """
    if data.count(b"PK\x01\x02") > 4 * MAX_ENTRIES:  # before zipfile builds a value for each of them
        raise Unconvertible(f"The archive holds more than {MAX_ENTRIES:,} entries: send the documents in smaller archives.")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check(archive.infolist(), len(data))
            yield archive
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError, zlib.error, ValueError, OSError):
        raise Unconvertible("The file is damaged or cut short: save it again in the program it came from.") from None


def _check(entries: list[zipfile.ZipInfo], packed: int) -> None:
    if len(entries) > MAX_ENTRIES:
        raise Unconvertible(f"The archive holds more than {MAX_ENTRIES:,} entries: send the documents in smaller archives.")
    total = sum(entry.file_size for entry in entries)
    bomb = any(entry.file_size > SMALL and entry.file_size > MAX_RATIO * max(1, entry.compress_size) for entry in entries)
    if total > MAX_UNPACKED or bomb or (total > SMALL and total > MAX_RATIO * packed):
        raise Unconvertible("The file unpacks to far more than a document holds and was not opened: save it again without it.")
    if any(entry.flag_bits & 1 for entry in entries):
        raise Unconvertible("The file is encrypted: save it without a password.")


def entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo, limit: int = MAX_UNPACKED) -> bytes:
    """The bytes of one entry, counted while they are unpacked: what an archive declares need not be true.

    raises Unconvertible   more than `limit` bytes, or more than were declared
    """
    limit = min(limit, info.file_size)
    with archive.open(info) as stream:
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise Unconvertible("A part of the file is larger than a document needs: save it again without it.")
    return data


def members(data: bytes) -> list[dict[str, Any]]:
    """What a folder that was sent as an archive holds, in the order of its names: {"name", "why"}, `why` where it is refused.

    raises Unconvertible
    """
    with opened(data) as archive:
        found = [info for info in archive.infolist() if not info.is_dir()]
        if not found:
            raise Unconvertible("The archive is empty: pack the documents again.")
        names = [info.orig_filename for info in found]
        return [
            {
                "name": name,
                "why": why_not(name)
                or ("Its name stands twice in the archive: rename one of them." if names.count(name) > 1 else ""),
            }
            for name in sorted(set(names))
        ]


def member(data: bytes, name: str) -> tuple[str, bytes]:
    """The suffix and the bytes of one document of the archive. raises Unconvertible"""
    suffix = PurePosixPath(name).suffix.lower()
    with opened(data) as archive:
        info = next((info for info in archive.infolist() if info.orig_filename == name), None)
        if info is None or why_not(name):
            raise Unconvertible("The archive changed while it was read: bring it again.")
        return suffix, entry(archive, info)


def why_not(name: str) -> str:
    """Why the name of an archive's entry is refused, as one sentence; empty when it may be shown and its end believed.

    Nothing is ever written under such a name; it is refused because nobody who packs documents makes one.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    if not name or any(ord(letter) < 32 or ord(letter) == 127 for letter in name):
        return "Its name holds characters that no file name has: rename it."
    if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", name):
        return "Its name leads out of the archive: pack it again from inside its folder."
    if any(_DEVICES.fullmatch(part.strip(" .")) for part in path.parts):
        return "Its name is that of a device: rename it."
    if len(name) > 400:
        return "Its name is longer than 400 characters: rename it."
    return ""
