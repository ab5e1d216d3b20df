"""The child process in which documents are read: one file a process, with limits on memory, computing time and output.

    python -m knowledge.formats SUFFIX [NAME] [MEMBER]   one document on stdin, its JSON on stdout
    python -m knowledge.formats --turns                  the same for many, each in a fork of its own (where there is `fork`)

A turn is a line of JSON {"suffix", "name", "member", "size"} and `size` bytes; its answer is a line with the length in bytes
and that many bytes of JSON: {"converted"}, {"members"} of an archive, or {"refused", "line"}. A file that ends its own fork
badly is answered for, and then the whole child ends, because the rest of that file still stands in the pipe.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from knowledge.formats import MAX_TEXT, READERS, SHORT, Converted, Unconvertible, archive, as_json, sniff, unseen

MEMORY = 1_000_000_000
CPU_S = 20
IDLE_S = 60
MAX_ANSWER = 12_000_000
REHEARSAL_S, REHEARSAL_BYTES = 3.0, 30_000_000

TOO_LONG = "The document is too long to be one SOP: split it into one file for each procedure."

TOO_BIG = "The file needs more memory to be read than a document should: save it again without pictures and embedded objects."
TOO_SLOW = "The file takes too long to be read: save it again as a plain document, or split it."
BROKEN = "The file could not be read, it may be damaged: open it in the program it came from and save it again."


def main(arguments: list[str]) -> int:
    """One document, or turns until the input ends. returns the exit code"""
    _silence()
    if arguments[:1] == ["--turns"]:
        return _turns()
    suffix, name, member = (*arguments, "", "", "")[:3]
    _make_ready(suffix)
    _limit()
    sys.stdout.buffer.write(_packed(_answer(suffix, name, member, sys.stdin.buffer.read())))
    return 0


def _turns() -> int:
    while _readable():
        line = _line()
        if not line:
            return 0
        asked = json.loads(line)
        _make_ready(asked["suffix"])
        child = os.fork()
        if child == 0:
            _limit()
            _send(_answer(asked["suffix"], asked["name"], asked["member"], _exactly(asked["size"])))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status != 0:
            over_time = os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGALRM)
            _send({"refused": TOO_SLOW if over_time else BROKEN, "line": 0, "last": True})
            return 1
    return 0


def _readable() -> bool:
    """Is there a further turn? Not when nobody asked for a minute: the next one who asks starts another child."""
    return bool(select.select([0], [], [], IDLE_S)[0])


def _line() -> bytes:
    """One line of the input and not one byte more: what follows belongs to the fork."""
    got = b""
    while not got.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte or len(got) > 4_000:
            return b""
        got += byte
    return got


def _exactly(size: int) -> bytes:
    parts, missing = [], size
    while missing:
        part = os.read(0, min(missing, 1 << 20))
        if not part:
            os._exit(1)
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _make_ready(suffix: str) -> None:
    """The reader and its libraries, imported before the fork: only the first file of a kind pays for them."""
    if suffix in READERS:
        module = importlib.import_module(READERS[suffix])
        for needed in getattr(module, "NEEDS", ()):
            importlib.import_module(needed)


# --- one document ---------------------------------------------------------------------------------------------------------


def _answer(suffix: str, name: str, member: str, data: bytes) -> dict[str, Any]:
    try:
        if suffix == ".zip":
            if not member:
                return {"members": archive.members(data)}
            suffix, data = archive.member(data, member)
        return {"converted": as_json(convert(suffix, name, data))}
    except Unconvertible as wrong:
        return {"refused": wrong.what, "line": wrong.line}
    except MemoryError:
        return {"refused": TOO_BIG, "line": 0}
    except Exception:  # noqa: BLE001  whatever a parser throws at a strange file, the answer is one sentence
        return {"refused": BROKEN, "line": 0}


def convert(suffix: str, name: str, data: bytes) -> Converted:
    """The document in `data`, read by its suffix's module after a look at what it really is.

    raises Unconvertible
    """
    sniff.check(suffix, data)
    _make_ready(suffix)
    read: Callable[[bytes, str], Converted] = importlib.import_module(READERS[suffix]).convert
    found = read(data, name)
    if len(found.text) > MAX_TEXT:
        raise Unconvertible(TOO_LONG)
    if READERS[suffix] == "knowledge.formats.plain":
        _rehearse(found.text)
        return found
    text, odd = unseen.clear(found.text)
    if not any(letter.isalnum() for letter in text):
        raise Unconvertible("No text was found in the file: if it is a scan or a picture, bring the text version of it.")
    _rehearse(text)
    return Converted(text, unseen.clear(found.title)[0], found.kept, found.lost, found.hidden + odd)


def _rehearse(text: str) -> None:
    """A long text is first cut into steps here, because whoever asked does the same next and has no limits.

    raises Unconvertible   more than 3 s or 30 MB: 190,000 list items in 1 MB of Markdown take 80 s and 700 MB
    """
    from knowledge import sops

    if len(text) < SHORT:
        return
    sops.loose("# First\n\n1. What is loaded once\n", "first.md")
    memory, started = _memory(), time.process_time()
    _stop_after(REHEARSAL_S)
    sops.loose(text, "rehearsal.md")
    if time.process_time() - started > REHEARSAL_S or _memory() - memory > REHEARSAL_BYTES:
        raise Unconvertible(TOO_LONG)


def _stop_after(seconds: float) -> None:
    """This process is ended by the system when it computes for longer than that from now."""
    if sys.platform == "win32":
        return
    import resource

    most, hard = resource.getrlimit(resource.RLIMIT_CPU)
    until = int(time.process_time() + seconds) + 2
    resource.setrlimit(resource.RLIMIT_CPU, (until if most == resource.RLIM_INFINITY else min(most, until), hard))


def _memory() -> int:
    """The most memory that this process has used, in bytes; 0 where that is not told."""
    if sys.platform == "win32":
        return 0
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1_024)


# --- limits ---------------------------------------------------------------------------------------------------------------


def _limit() -> None:
    """Memory, computing time, no file written, few files open. Where there are no such limits the parent's clock is left."""
    _shut()
    if sys.platform == "win32":
        return
    import resource

    used = int(sum(resource.getrusage(resource.RUSAGE_SELF)[:2])) + 1
    for what, most in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_DATA, MEMORY),
        (resource.RLIMIT_CPU, used + CPU_S),
        (resource.RLIMIT_FSIZE, MAX_ANSWER),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64),
    ):
        try:
            hard = resource.getrlimit(what)[1]
            resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
        except (ValueError, OSError):
            continue  # macOS knows some of these by name only


_REACHING_OUT = ("socket.", "subprocess.", "os.exec", "os.fork", "os.posix_spawn", "os.system", "os.kill", "ctypes.")


def _shut() -> None:
    """From here on no connection, no program and no file to write: a document has nothing to do with any of them."""

    def refuse(event: str, given: tuple[Any, ...]) -> None:
        if event.startswith(
            ("socket.", "subprocess.", "os.exec", "os.fork", "os.posix_spawn", "os.system", "ctypes.", "os.kill")
        ):
            raise PermissionError(event)
        if event == "open" and (set(str(given[1] or "")) & set("wax+") or given[2] & (os.O_WRONLY | os.O_RDWR)):
            raise PermissionError(event)

    sys.addaudithook(refuse)


def _silence() -> None:
    """Libraries that print or warn would speak into the answer."""
    import logging
    import warnings

    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")


def _packed(answer: Mapping[str, Any]) -> bytes:
    data = json.dumps(answer).encode()
    return data if len(data) <= MAX_ANSWER else json.dumps({"refused": TOO_LONG, "line": 0}).encode()


def _send(answer: Mapping[str, Any]) -> None:
    data = _packed(answer)
    out: BinaryIO = sys.stdout.buffer
    out.write(b"%d\n" % len(data))
    out.write(data)
    out.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
