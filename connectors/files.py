"""Files that another program leaves in a folder: which are new, in which order, and how far we have read.

A file is taken whole or not at all: one that changes while we read it is left for the next time. What was read is remembered
by name, size and modification time, so that an old report that arrives late is still read.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from zoneinfo import ZoneInfo

from connectors import Batch, ConnectorError, Covers, Kind, Problem

LARGEST = 200_000_000
"""Bytes. A report of a practice is far below; more than this is something else."""

MOST_PROBLEMS = 200
"""Per batch: a wrong column map makes one for each row, and nobody reads more."""

_FOREIGN = {
    b"PK\x03\x04": "an Excel workbook or a zip file",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"%PDF": "a PDF",
    b"{\\rtf": "a rich-text document",
    b"<": "a web page",
}

_UNFINISHED = (".tmp", ".part", ".partial", ".filepart", ".crdownload", ".download", ".swp", "~")

_DIRECTIVES: Mapping[str, str] = {
    "Y": r"[0-9]{4}", "y": r"[0-9]{2}", "m": r"[0-9]{1,2}", "d": r"[0-9]{1,2}", "j": r"[0-9]{3}", "H": r"[0-9]{1,2}",
    "I": r"[0-9]{1,2}", "M": r"[0-9]{2}", "S": r"[0-9]{2}", "f": r"[0-9]{1,6}", "p": r"[AaPp][Mm]", "b": r"[A-Za-z]{3}",
    "B": r"[A-Za-z]{3,9}", "a": r"[A-Za-z]{3}", "A": r"[A-Za-z]{6,9}", "z": r"(?:Z|[+-][0-9]{2}:?[0-9]{2})", "%": "%",
}  # fmt: skip


@dataclass(frozen=True)
class File:
    """A file as it was when we looked."""

    path: Path
    size: int
    modified_ns: int

    @property
    def name(self) -> str:
        """Its name as text; bytes that are no UTF-8 (zip files from Windows) are spelled out, so that it can be stored."""
        return self.path.name.encode("utf-8", "backslashreplace").decode()

    @property
    def modified_at(self) -> datetime:
        """Aware UTC, to the second."""
        return datetime.fromtimestamp(self.modified_ns // 1_000_000_000, UTC)


def option_text(options: Mapping[str, object], name: str, default: str | None = None) -> str:
    """A text option of a feed. raises ConnectorError when it is missing (and has no default), empty or not a text"""
    value = options.get(name, default)
    if not isinstance(value, str) or not value.strip():
        raise ConnectorError(f"The feed's option {name!r} must be a text" + (": it is missing." if value is None else "."))
    return value


def option_path(options: Mapping[str, object], name: str, home: Path) -> Path:
    """A path option: absolute, or below `home`. raises ConnectorError"""
    text = option_text(options, name)
    if "\0" in text:
        raise ConnectorError(f"The feed's option {name!r} is not a path.")
    return home / text


def option_patterns(options: Mapping[str, object], default: tuple[str, ...]) -> tuple[str, ...]:
    """Which names in a folder are read: option `files`, a pattern or a list of them. raises ConnectorError"""
    value = options.get("files", list(default))
    patterns = [value] if isinstance(value, str) else value
    if not isinstance(patterns, list) or not patterns or not all(isinstance(p, str) and p for p in patterns):
        raise ConnectorError("The feed's option 'files' must be a pattern such as \"claims-*.csv\", or a list of patterns.")
    return tuple(patterns)


def listed(path: Path, patterns: tuple[str, ...]) -> list[File]:
    """The file at `path`, or the files of the folder `path` whose names fit, without hidden and unfinished ones.

    raises ConnectorError   there is nothing at `path`, or it may not be looked at
    """
    try:
        if path.is_dir():
            paths = [p for p in sorted(path.iterdir()) if _wanted(p.name, patterns) and p.is_file()]
        elif path.is_file():
            paths = [path]
        else:
            raise ConnectorError(f"There is no file or folder {path}: put the export there or correct the feed's path.")
        return [File(p, s.st_size, s.st_mtime_ns) for p in paths if (s := p.stat())]
    except OSError as error:
        raise ConnectorError(f"{path} cannot be looked at: {error.strerror or error}.") from error


def fetch(
    path: Path,
    patterns: tuple[str, ...],
    cursor: str | None,
    kind: Kind,
    as_of: Callable[[File], datetime],
    read: Callable[[File, bytes], list[Batch]],
    covers: Covers = "delta",
) -> Iterator[Batch]:
    """The batches of every file that `cursor` has not seen, oldest first; each with the file's name, hash and cursor.

    as_of  the instant for which a file speaks, for the order
    read   a file's bytes into at least one batch. Only the last batch of a file moves the cursor past it, so a file of
           which only a part was applied comes again
    raises ConnectorError   after all others were given: files that could not be opened. They were not consumed
    """
    files = listed(path, patterns)
    seen = _parse(cursor)
    here = {f.name: seen[f.name] for f in files if f.name in seen}
    new = [f for f in files if here.get(f.name) != [f.size, f.modified_ns]]
    closed: list[str] = []
    for file in sorted(new, key=lambda f: (as_of(f), f.name)):
        after = here | {file.name: [file.size, file.modified_ns]}
        try:
            batches, digest = _taken(file, kind, covers, read)
        except _Changing:
            continue
        except OSError as error:
            closed.append(f"{file.name} ({error.strerror or 'cannot be read'})")
            continue
        for batch in batches:
            mark = after if batch is batches[-1] else here
            yield replace(batch, cursor=_format(mark), sha256=digest, name=file.name, problems=_capped(batch.problems))
        here = after
    if closed:
        raise ConnectorError(f"Not opened, tried again next time: {', '.join(closed)}.")


def foreign(data: bytes) -> str:
    """What the file is, by its first bytes, where it is surely no report: "a PDF"; otherwise empty."""
    return next((what for start, what in _FOREIGN.items() if data[:64].lstrip().startswith(start)), "")


def quarantined(file: File, kind: Kind, covers: Covers, sentence: str) -> Batch:
    """The batch of a file that cannot be read as a whole."""
    return Batch(rows=(), cursor="", as_of=file.modified_at, covers=covers, kind=kind, totals={"rows": 0}, unreadable=sentence)


def utc(local: datetime, zone: ZoneInfo) -> datetime:
    """A wall-clock time of `zone` as aware UTC; a time that already knows its offset keeps it.

    In the hour that happens twice the first is meant; a time in the hour that is skipped is moved on by that hour.
    """
    return (local if local.tzinfo else local.replace(tzinfo=zone)).astimezone(UTC)


def check_as_of(value: object, also: tuple[str, ...] = ()) -> str:
    """`value` if it says where a file's instant comes from: "modified", "name:FORMAT" or one of `also`. raises ValueError"""
    if isinstance(value, str):
        if value in ("modified", *also):
            return value
        if value.startswith("name:"):
            check_format(value.removeprefix("name:"))
            return value
    words = ", ".join(f'"{word}"' for word in (*also, "modified"))
    raise ValueError(f'must be {words} or "name:FORMAT", such as "name:%Y-%m-%d"')


def instant(file: File, as_of: str, zone: ZoneInfo) -> datetime:
    """The instant for which `file` speaks, by "modified" or "name:FORMAT". raises ValueError, with one sentence"""
    if as_of == "modified":
        return file.modified_at
    return date_in_name(file.name, as_of.removeprefix("name:"), zone)


def check_format(form: str) -> None:
    """Raise ValueError, with one sentence, unless `form` is a strptime format that fixes a day."""
    used = re.findall(r"%(.?)", form.replace("%%", ""))
    strange = [d for d in used if d not in _DIRECTIVES]
    if strange:
        raise ValueError(f"%{strange[0]} is not known here; use {' '.join('%' + d for d in _DIRECTIVES if d != '%')}")
    if not ({"Y", "y"} & set(used)) or not ("j" in used or ("d" in used and {"m", "b", "B"} & set(used))):
        raise ValueError("a format needs a year, a month and a day, such as %Y-%m-%d")
    if len(used) != len(set(used)):
        raise ValueError("a part of the date is named twice")
    if "I" in used and "p" not in used:
        raise ValueError("%I needs %p beside it (AM or PM), or use %H")


def date_in_name(name: str, form: str, zone: ZoneInfo) -> datetime:
    """The instant that a file's name carries, in `zone`'s local time; without a time of day, the day's first instant.

    form  strptime format, found anywhere in the name before its extension; other letters in it must be there too
    raises ValueError   with one sentence: no such date in the name, or two different ones
    """
    pattern = re.sub(r"%(.)", lambda m: _DIRECTIVES[m[1]], re.sub(r"([^\w%\s])", r"\\\1", form))
    if re.search(r"%[a-zA-Z]%", form):  # 2026112 could be 1 December or 11 February: run together, every part is full
        pattern = pattern.replace("{1,2}", "{2}")
    found = {m[1] for m in re.finditer(rf"(?<![0-9])(?=({pattern})(?![0-9]))", Path(name).stem)}
    moments = set()
    for text in found:
        try:
            moments.add(utc(datetime.strptime(text, form), zone))  # noqa: DTZ007 - utc() gives it its zone
        except (ValueError, OverflowError):
            continue
    if len(moments) != 1:
        many = "two dates" if moments else "no date"
        raise ValueError(f"It is not known when this file was true: its name has {many} of the form {form}.")
    return moments.pop()


def _capped(problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
    if len(problems) <= MOST_PROBLEMS:
        return problems
    return (*problems[:MOST_PROBLEMS], Problem("whole file", f"{len(problems) - MOST_PROBLEMS} more problems are not listed"))


class _Changing(Exception):
    """The file is being written: leave it for the next time."""


def _wanted(name: str, patterns: Iterable[str]) -> bool:
    small = name.lower()
    hidden = small.startswith((".", "~")) or small.endswith(_UNFINISHED) or small in ("thumbs.db", "desktop.ini")
    return not hidden and any(fnmatchcase(small, p.lower()) for p in patterns)


def _taken(file: File, kind: Kind, covers: Covers, read: Callable[[File, bytes], list[Batch]]) -> tuple[list[Batch], str]:
    with file.path.open("rb") as handle:
        if file.size > LARGEST:
            digest = hashlib.file_digest(handle, "sha256").hexdigest()
            sentence = f"The file has more than {LARGEST // 1_000_000} MB: it is no report; nothing of it was read."
            return [quarantined(file, kind, covers, sentence)], digest
        data = handle.read(file.size + 1)
        now = os.fstat(handle.fileno())
    if len(data) != file.size or now.st_mtime_ns != file.modified_ns:
        raise _Changing
    return read(file, data), hashlib.sha256(data).hexdigest()


def _parse(cursor: str | None) -> dict[str, list[int]]:
    """What was read; a cursor that is not ours means nothing was (the caller knows the same bytes by their hash)."""
    try:
        data = json.loads(cursor or "{}")
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def _format(seen: Mapping[str, list[int]]) -> str:
    return json.dumps(seen, sort_keys=True, separators=(",", ":"))
