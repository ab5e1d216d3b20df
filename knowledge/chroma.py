"""A folder of Chroma that one process has for itself: ids and vectors, a collection for each permission space.

Chroma gives wrong answers, or ends the process, when two processes share a folder or a file of it is damaged. So a folder is
locked while it is open; what was whole is written down with the hash of every file; a folder that was left by an earlier
process is opened only when all of that still holds, and in a child process first. While it is open, any change of its files
that was not ours counts as damage, and so does a stored vector that no longer finds itself.

    Damaged     the folder must not be asked any more: build another
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from knowledge.embedding import Vectors

    Load = Callable[[Sequence[str]], Vectors]
    """ids -> float32 (ids, dimension), rows of unit length"""

FORMAT = 1
HNSW = {"space": "cosine", "max_neighbors": 32, "ef_construction": 200, "ef_search": 400, "num_threads": 1,
        "batch_size": 2, "sync_threshold": 2}  # fmt: skip
"""Set for recall: of 4,000 random vectors the nearest 5 are found whole, at 2 to 3 ms. Everything is written at once (2):
what is only in Chroma's journal is lost to it when an index makes room for another."""
OPEN_AT_ONCE = 24
"""Indexes in memory; each takes 2.6 MB besides its vectors."""
CANARIES = 3
"""Vectors of each space that must find themselves."""
AT_ONCE = 2_000
SELF = 0.99
"""The cosine at which a vector has found itself: it is kept in half precision elsewhere."""
TWINS, TWIN = 10, 0.9995
"""Texts that differ in capitals only have one vector: a canary is one of the nearest, or hidden by so many twins."""
PROBE_LIMIT_S = 60.0
WORN = 0.3
"""An index of which so large a share was taken out again is built anew: what is taken out stays in its way."""

PIPE, NULL = subprocess.PIPE, subprocess.DEVNULL

OURS = frozenset({"lock", "whole.json", "whole.json.part"})
"""Files of a folder that are not Chroma's."""

log = logging.getLogger(__name__)


class Damaged(Exception):
    """One sentence on what gave it away."""


def stamp(embedder: str, dimension: int, chunker: int) -> dict[str, Any]:
    """What an index was made from and with: one with another stamp is never opened."""
    return {"embedder": embedder, "dimension": dimension, "chunker": chunker, "format": FORMAT, "chromadb": version("chromadb")}


class Folder:
    """Not safe for several threads: whoever holds it asks and changes it under one lock of their own."""

    def __init__(self, path: Path, lock: int, stamp: Mapping[str, Any]) -> None:
        self.path, self._lock, self._stamp = path, lock, dict(stamp)
        self._members: dict[str, set[str]] = {}
        self._gone: dict[str, int] = {}
        self._collections: dict[str, Any] = {}
        self._canaries: dict[str, dict[str, Any]] = {}
        self._seen: dict[str, tuple[int, ...]] = {}
        self._client: Any = None

    @property
    def members(self) -> Mapping[str, set[str]]:
        """Space -> the ids in its collection."""
        return self._members

    # --- opening ------------------------------------------------------------------------------------------------------

    @classmethod
    def new(cls, root: Path, stamp: Mapping[str, Any]) -> Folder:
        """An empty one below `root`; not whole before it is sealed."""
        lock = None
        while lock is None:  # another process may clear it away before it is locked
            path = root / uuid.uuid4().hex
            path.mkdir(parents=True)
            lock = _locked(path)
        folder = cls(path, lock, stamp)
        folder._open()
        return folder

    @classmethod
    def left(cls, root: Path, stamp: Mapping[str, Any]) -> Folder | None:
        """One that an earlier process left whole, with this stamp; None where there is none.

        One more is left for another process; the others are cleared away.
        """
        found: Folder | None = None
        spare = False
        for path in sorted(root.glob("*"), key=_age):
            lock = _locked(path) if path.is_dir() else None
            if lock is None:
                continue  # another process has it
            folder = cls(path, lock, stamp)
            if found is None and folder._is_as_left() and folder._survives_a_probe():
                found = folder
                continue
            if found and not spare and (path / "whole.json").exists():
                spare = True
            else:
                shutil.rmtree(path, ignore_errors=True)
            os.close(lock)
        if found:
            found._open()
            found._write_down()  # opening it touches Chroma's database
        return found

    def _is_as_left(self) -> bool:
        """Whether what was written down when it was whole is still so, to the last byte."""
        try:
            kept = json.loads((self.path / "whole.json").read_text("utf-8"))
            if kept["stamp"] != self._stamp or kept["files"] != {name: _hash(self.path / name) for name in self._files()}:
                return False
            self._members = {space: set(ids) for space, ids in kept["members"].items()}
            self._gone = dict(kept["gone"])
            self._canaries = dict(kept["canaries"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return False
        return True

    def _survives_a_probe(self) -> bool:
        """Whether a child process that opens it and asks for the canaries comes back with them."""
        home = str(Path(__file__).resolve().parent.parent)
        code = (
            "import sys; sys.path.insert(0, sys.argv.pop(1)); from knowledge import chroma; sys.exit(chroma.probe(sys.argv[1]))"
        )
        child = subprocess.Popen(
            [sys.executable, "-c", code, home, str(self.path)], stdin=PIPE, stdout=NULL, stderr=NULL, text=True
        )
        import chromadb.api.client  # noqa: F401  # it takes a second here as well: meanwhile

        try:
            child.communicate(json.dumps(self._canaries), timeout=PROBE_LIMIT_S)
        except (subprocess.TimeoutExpired, OSError):
            child.kill()
            child.wait()
        if child.returncode:
            log.warning("the search index in %s was left damaged (probe ended with %d)", self.path.name, child.returncode)
        return child.returncode == 0

    def _open(self) -> None:
        self._client = _client(self.path)
        try:
            self._collections = {space: _collection(self._client, space) for space in self._members}
        except Exception as wrong:
            raise Damaged(f"Its collections cannot be opened ({type(wrong).__name__}).") from wrong
        self._seen = self._states()

    def close(self) -> None:
        """Let go of it, for the next process to find."""
        self._collections = {}
        if self._client is not None:
            self._client.close()
            self._client = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def discard(self) -> None:
        """Remove it: it is damaged, worn, or not wanted any more. It may be discarded twice."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.close()

    # --- changing -----------------------------------------------------------------------------------------------------

    def is_worn(self, wanted: Mapping[str, set[str]]) -> bool:
        """Whether bringing it to `wanted` is better done by building another."""
        total = sum(map(len, wanted.values())) or 1
        out = sum(len(ids - wanted.get(space, set())) for space, ids in self._members.items()) + sum(self._gone.values())
        return out > WORN * total

    def bring_to(self, wanted: Mapping[str, set[str]], vectors: Load) -> None:
        """Put in and take out what differs, then write down that it is whole.

        wanted    space -> ids
        raises    Damaged, and whatever `vectors` raises
        """
        if wanted == self._members and (self.path / "whole.json").exists():
            return
        (self.path / "whole.json").unlink(missing_ok=True)
        try:
            for space in self._members.keys() - wanted.keys():
                self._client.delete_collection(space)
                for known in (self._members, self._gone, self._collections, self._canaries):
                    known.pop(space, None)
        except Exception as wrong:
            raise Damaged(f"It could not be changed ({type(wrong).__name__}).") from wrong
        for space, ids in wanted.items():
            self._bring(space, ids, vectors)
        self._seal()

    def _bring(self, space: str, ids: set[str], vectors: Load) -> None:
        old, new = self._members.get(space, set()) - ids, ids - self._members.get(space, set())
        if not old and not new:
            return
        spread = sorted(ids)[:: max(1, len(ids) // CANARIES)][:CANARIES]
        kept = zip(spread, vectors(spread), strict=True)
        self._canaries[space] = {each: [round(float(x), 6) for x in vector] for each, vector in kept}
        for some in _batches(sorted(new)):
            self._change(space, "add", {"ids": some, "embeddings": vectors(some)})
            self._members[space].update(some)
        for some in _batches(sorted(old)):
            self._change(space, "delete", {"ids": some})
            self._members[space].difference_update(some)
            self._gone[space] = self._gone.get(space, 0) + len(some)

    def _change(self, space: str, how: Literal["add", "delete"], what: Mapping[str, Any]) -> None:
        try:
            if space not in self._collections:
                made = self._client.create_collection(space, embedding_function=None, configuration={"hnsw": HNSW})
                self._collections[space] = made
                self._members[space] = set()
            getattr(self._collections[space], how)(**what)
        except Exception as wrong:
            raise Damaged(f"It could not be changed ({type(wrong).__name__}).") from wrong

    def _seal(self) -> None:
        if (lost := _lost(self._collections, self._canaries)) is not None:
            raise Damaged(f"A passage of {lost} does not find itself in an index just built.")
        self._write_down()

    def _write_down(self) -> None:
        """Note what is whole now, and how every file is."""
        self._seen = self._states()
        whole = {
            "stamp": self._stamp,
            "members": {space: sorted(ids) for space, ids in self._members.items()},
            "gone": self._gone,
            "canaries": self._canaries,
            "files": {name: _hash(self.path / name) for name in self._files()},
        }
        part = self.path / "whole.json.part"
        part.write_text(json.dumps(whole), "utf-8")
        part.replace(self.path / "whole.json")

    # --- asking -------------------------------------------------------------------------------------------------------

    def nearest(self, space: str, vector: Vectors, k: int) -> list[tuple[str, float]]:
        """The `k` ids of one space that are nearest, with their cosines, best first. raises Damaged"""
        ids = self._members[space]
        try:
            found = self._collections[space].query(
                query_embeddings=vector[None], n_results=min(k, len(ids)), include=["distances"]
            )
            near = [(name, 1 - float(far)) for name, far in zip(found["ids"][0], found["distances"][0], strict=True)]
        except Exception as wrong:
            raise Damaged(f"It cannot be asked ({type(wrong).__name__}).") from wrong
        if len(near) < min(k, len(ids)) or any(name not in ids or not -1.01 < cosine < 1.01 for name, cosine in near):
            raise Damaged("It answers with too little, or with what was never put in.")
        return near

    def check(self) -> None:
        """A look at every file's state: a millisecond. raises Damaged where one was changed, and not by us"""
        if self._states() != self._seen:
            raise Damaged("One of its files was changed or taken away.")

    def check_canaries(self, space: str = "") -> None:
        """The stored vectors that must find themselves, of one space or of all. raises Damaged"""
        asked = {space: self._canaries[space]} if space else self._canaries
        if (lost := _lost(self._collections, asked)) is not None:
            raise Damaged(f"A passage of {lost} does not find itself any more.")

    def _files(self) -> Iterator[str]:
        """Every file of Chroma's, below the folder."""
        for parent, folders, names in os.walk(self.path):
            folders.sort()
            for name in sorted(names):
                if name not in OURS:
                    yield os.path.relpath(os.path.join(parent, name), self.path)  # noqa: PTH118  # thousands of them

    def _states(self) -> dict[str, tuple[int, ...]]:
        """What a file's inode says of it: content cannot be changed without one of these."""
        states: dict[str, tuple[int, ...]] = {}
        folders = [str(self.path)]
        while folders:
            folder = folders.pop()
            try:
                found = list(os.scandir(folder))
            except OSError:
                states[folder] = (0,)
                continue
            for entry in found:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif entry.name not in OURS:
                    states[entry.path] = _state(entry)
        return states


def _state(entry: os.DirEntry[str]) -> tuple[int, ...]:
    try:
        stat = entry.stat()
    except OSError:
        return (0,)
    return stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def _lost(collections: Mapping[str, Any], canaries: Mapping[str, Mapping[str, Sequence[float]]]) -> str | None:
    """The first space of which a canary does not find itself."""
    import numpy as np

    for space, vectors in canaries.items():
        names = list(vectors)
        try:
            found = collections[space].query(
                query_embeddings=np.array(list(vectors.values()), dtype=np.float32), n_results=TWINS, include=["distances"]
            )
            near = [
                dict(zip(ids, (1 - far for far in fars), strict=True))
                for ids, fars in zip(found["ids"], found["distances"], strict=True)
            ]
        except Exception:  # noqa: BLE001  # Chroma's errors have no common class, and each means the same here
            return space
        for own, cosines in zip(names, near, strict=True):
            crowded = len(cosines) == TWINS and min(cosines.values()) > TWIN
            if not (cosines.get(own, 0.0) > SELF or crowded):
                return space
    return None


def prepare() -> None:
    """Load what takes a second, beside other work."""
    import chromadb.api.client  # noqa: F401


def probe(path: str) -> int:
    """In a child process, canaries as JSON on stdin: 0 when every one finds itself. A damaged index may end the process."""
    canaries = json.load(sys.stdin)
    client = _client(Path(path))
    return 0 if _lost({space: _collection(client, space) for space in canaries}, canaries) is None else 3


_opening = threading.Lock()


def _client(path: Path) -> Any:
    """Chroma on this folder, without telemetry, with at most OPEN_AT_ONCE indexes in memory."""
    from chromadb.api import ServerAPI
    from chromadb.api.client import Client
    from chromadb.config import Settings, System

    with _opening:  # Chroma keeps a list of its clients that is not safe for threads
        system = System(Settings(is_persistent=True, persist_directory=str(path), anonymized_telemetry=False))
        api: Any = system.instance(ServerAPI)  # type: ignore[type-abstract]
        api.hnsw_cache_size = OPEN_AT_ONCE  # else as many as the process may open files, by five
        system.start()
        return Client.from_system(system)


def _collection(client: Any, space: str) -> Any:
    return client.get_collection(space, embedding_function=None)


def _locked(path: Path) -> int | None:
    """The folder's lock, held until it is closed or the process ends; None where another process has it."""
    try:
        lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_there = os.fstat(lock).st_ino == (path / "lock").stat().st_ino  # not removed while we came for it
    except OSError:
        is_there = False
    if not is_there:
        os.close(lock)
        return None
    return lock


def _age(path: Path) -> float:
    """Newest first."""
    try:
        return -path.stat().st_mtime
    except OSError:
        return 0.0


def _hash(file: Path) -> str:
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def _batches(ids: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(ids), AT_ONCE):
        yield list(ids[start : start + AT_ONCE])
