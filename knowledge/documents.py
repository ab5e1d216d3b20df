"""Files, folders and archives -> documents as Markdown. Every format but text is read in a child process with limits.

Unreadable      the file cannot be read as a document: one sentence on why and what to do; `line` where one is known
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from knowledge.formats import READERS, SHORT, Converted, Unconvertible, from_json, plain
from knowledge.formats.sniff import LEGACY

Unreadable = Unconvertible

TEXT = frozenset({".md", ".markdown", ".txt"})
KNOWN = frozenset({*READERS, *LEGACY, ".zip"})
"""Suffixes of documents, read or refused with what to do; a file with another suffix in a folder is passed over."""
NO_DOCUMENT = "This is not a document: SOPs are Word (.docx), PDF, HTML, Markdown or text files, or a zip of them."
MAX_TEXT_BYTES = 5_000_000
MAX_BYTES = 50_000_000
"""A document with its pictures, or an archive of them: it is handed to the child in small pieces, never held here."""
WALL_S = 25.0

_TOO_SLOW = "The file takes too long to be read: save it again as a plain document, or split it."
_BROKEN = "The file could not be read, it may be damaged: open it in the program it came from and save it again."
_NESTED = "This is an archive inside an archive: unpack it and bring the documents."
_CHUNK = 1 << 16
_MAX_ANSWER = 12_000_000


@dataclass(frozen=True)
class Found:
    """A file to read. `name` is its path below the folder or archive it was found in; `asked` says that it was named itself.

    member   the name of an archive's entry, when `path` is that archive
    why      why it is not read at all, when that is known already
    """

    path: Path
    name: str
    asked: bool
    member: str = ""
    why: str = ""

    @property
    def shown(self) -> str:
        """How a person is told of it."""
        return f"{self.path}/{printable(self.member)}" if self.member else str(self.path)

    @property
    def suffix(self) -> str:
        return _suffix(self.path, self.member)


def find(paths: Iterable[Path]) -> Iterator[Found]:
    """Every file that `paths` stand for, folders and archives with all below them, in a fixed order; hidden files are left out.

    A path that does not exist is given back as it is: reading it says so.
    """
    for path in paths:
        if not path.is_dir():
            yield from _unpacked(Found(path, path.name, asked=True))
            continue
        for folder, folders, files in os.walk(path):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(files):
                if not name.startswith("."):
                    file = Path(folder, name)
                    yield from _unpacked(Found(file, file.relative_to(path).as_posix(), asked=False))


def _unpacked(found: Found) -> Iterator[Found]:
    """The file itself, or what it holds when it is an archive. Nothing is written: an entry's name leads nowhere."""
    if found.path.suffix.lower() != ".zip" or not found.path.is_file():
        yield found
        return
    try:
        members = _ask(found.path, "", "")["members"]
    except Unreadable as wrong:
        yield Found(found.path, found.name, found.asked, why=wrong.what)
        return
    for member in members:
        name, why = str(member["name"]), str(member["why"])
        parts = PurePosixPath(name).parts
        if not why and any(part.startswith((".", "__MACOSX")) for part in parts):
            continue
        nested = _NESTED if PurePosixPath(name).suffix.lower() == ".zip" else ""
        yield Found(found.path, f"{found.name}/{printable(name)}", asked=False, member=name, why=why or nested)


def printable(name: str) -> str:
    """A name as it may be shown: one line, nothing invisible, at most 200 characters."""
    return "".join(letter if letter.isprintable() else "?" for letter in name)[:200]


def read_document(path: Path, member: str = "", why: str = "") -> Converted:
    """The document at `path`, or the entry `member` of the archive there, as Markdown.

    why     a reason, found already, not to read it
    raises Unreadable   missing, another format, too large, empty, damaged, encrypted, without text, or too much to read in 30 s
    """
    suffix = _suffix(path, member)
    if why:
        raise Unreadable(why)
    if not path.exists():
        raise Unreadable("There is no such file or folder.")
    if suffix in LEGACY:
        raise Unreadable(LEGACY[suffix])
    if suffix not in READERS or not path.is_file():
        raise Unreadable(NO_DOCUMENT)
    if suffix in TEXT and not member and len(data := _small(path)) < SHORT:
        return plain.convert(data, path.name)
    answer = _ask(path, PurePosixPath(member).name or path.name, member)
    try:
        return from_json(answer["converted"])
    except (KeyError, TypeError, ValueError):
        raise Unreadable(_BROKEN) from None


def _suffix(path: Path, member: str) -> str:
    return (PurePosixPath(member).suffix if member else path.suffix).lower()


def _small(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_TEXT_BYTES:
            raise Unreadable("The file is larger than 5 MB: an SOP is a few pages of text; split it.")
        return path.read_bytes()
    except OSError as wrong:
        raise Unreadable(f"The file cannot be opened: {wrong.strerror or 'input error'}.") from None


# --- the child ------------------------------------------------------------------------------------------------------------


def _ask(path: Path, name: str, member: str) -> Mapping[str, Any]:
    """The child's answer about one file. raises Unreadable"""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise Unreadable("The file is larger than 50 MB: save it again with smaller pictures, or split it.")
        with path.open("rb") as stream:
            answer = _turn({"suffix": path.suffix.lower(), "name": name, "member": member, "size": size}, stream)
    except OSError as wrong:
        raise Unreadable(f"The file cannot be opened: {wrong.strerror or 'input error'}.") from None
    if "refused" in answer:
        raise Unreadable(str(answer["refused"])[:400], int(answer.get("line", 0)))
    return answer


def _turn(asked: Mapping[str, Any], stream: BinaryIO) -> Mapping[str, Any]:
    """One file read by a child that waits for the next, or by a new one."""
    child = _waiting() or _Child()
    answer = child.turn(asked, stream)
    if child.again and not _idle:
        _idle.append(child)
    else:
        child.end()
    return answer


def _waiting() -> _Child | None:
    """A child that waits for its next file; those that ended meanwhile are cleared away."""
    while True:
        try:
            child = _idle.pop()
        except IndexError:
            return None
        if not child.ended:
            return child
        child.end()


_idle: list[_Child] = []


@atexit.register
def _end_idle() -> None:
    while _idle:
        _idle.pop().end()


class _Child:
    """One reading process. It gets no setting and no secret of ours; when its time is over, all it started ends with it."""

    forks = hasattr(os, "fork")

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = self._started("--turns") if self.forks else None
        self._late = False
        self.again = False

    @staticmethod
    def _started(*arguments: str) -> subprocess.Popen[bytes]:
        kept = ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
        return subprocess.Popen(
            [sys.executable, "-m", "knowledge.formats", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=Path(__file__).resolve().parent.parent,
            env={name: os.environ[name] for name in kept if name in os.environ} | {"PYTHONUTF8": "1"},
            start_new_session=True,
        )

    @property
    def ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def turn(self, asked: Mapping[str, Any], stream: BinaryIO) -> Mapping[str, Any]:
        """What the child says about one file; what to tell a person when it says nothing. Never raises for what is in it."""
        process = self._process or self._started(str(asked["suffix"]), str(asked["name"]), str(asked["member"]))
        self._process, self.again = process, False
        assert process.stdin and process.stdout
        clock = threading.Timer(WALL_S, self._over)
        clock.daemon = True
        clock.start()
        try:
            with suppress(BrokenPipeError, ValueError):  # it may have answered and gone before it took everything
                if self.forks:
                    process.stdin.write(json.dumps(asked).encode() + b"\n")
                if not _poured(stream, process.stdin, int(asked["size"])):
                    return {"refused": "The file changed while it was read: bring it again."}
                if not self.forks:
                    process.stdin.close()
            answer = _heard(process.stdout, framed=self.forks)
        finally:
            clock.cancel()
        if answer is None:
            return {"refused": _TOO_SLOW if self._late else _BROKEN}
        self.again = self.forks and not self._late and not answer.get("last")
        return answer

    def _over(self) -> None:
        self._late = True
        self._kill()

    def _kill(self) -> None:
        if self._process is None:
            return
        with suppress(OSError):
            if sys.platform == "win32":
                self._process.kill()
            else:
                os.killpg(self._process.pid, signal.SIGKILL)

    def end(self) -> None:
        """No process of it is left behind."""
        if self._process is None:
            return
        self._kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                with suppress(OSError):
                    pipe.close()
        self._process.wait()


def _poured(stream: BinaryIO, into: Any, size: int) -> bool:
    while size:
        piece = stream.read(min(size, _CHUNK))
        if not piece:
            return False
        into.write(piece)
        size -= len(piece)
    into.flush()
    return True


def _heard(stream: Any, *, framed: bool) -> dict[str, Any] | None:
    """The child's answer; None where it broke off, said too much or something else."""
    try:
        data = stream.read(int(stream.readline(20))) if framed else stream.read(_MAX_ANSWER + 1)
        answer = json.loads(data) if len(data) <= _MAX_ANSWER else None
    except (ValueError, OSError, RecursionError, OverflowError, MemoryError):
        return None
    return answer if isinstance(answer, dict) else None
