"""Which passages mean what a question means: their vectors, kept in the tables and searched in an index.

The tables are the truth. The index is this process's own copy, brought to what is in force by a thread of its own: a question
waits for it a moment and is then answered without it, and says so.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sqlmodel import Session

from knowledge import chroma, tables
from knowledge.embedding import Embedder, EmbeddingError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from knowledge.embedding import Vectors

    Scores = NDArray[np.float64]
    Mask = NDArray[np.bool_]


Open = Callable[[], AbstractContextManager[Session]]
"""Opens one transaction."""

CHUNKER = 1
"""Raised when passages are cut or worded differently: an index of other passages is then not opened again."""
K = 100
"""How many passages are found by meaning; what is further away has no cosine."""
COLLECTION_FROM = 100
"""A space of fewer passages is compared whole, in memory: exact, and a fraction of what an index of its own takes."""
EMBED_AT_ONCE = 64
"""So many texts are worth a moment's wait."""
STORED_AT_ONCE = 128
"""Texts a transaction. Of fewer at once, more unlike lengths would stand side by side in the model, which costs."""
READERS = min(2, os.cpu_count() or 1)
"""Batches that are embedded at once, a thread each."""
QUICK = 2_000
"""So many passages are indexed in about a second."""
COMPARED = 20_000
"""So many passages are compared whole (30 MB) while the index is being opened: a start need not wait for it."""
ENOUGH = 0.95
"""While new passages are embedded, the index answers if it has this share of what is searched."""
AGAIN_S = 60.0
"""After something failed, so long until it is tried again."""

log = logging.getLogger(__name__)


class Nearest(Protocol):
    """The passages of an index, in its order, by what they mean."""

    @property
    def away(self) -> str:
        """Empty, or one sentence on why nothing is found by meaning just now."""

    def nearest(self, question: str, mask: Mask) -> Scores:
        """The cosine of each passage (by place) with the question; NaN where the mask hides it or it is not among the nearest.

        All of them are NaN while the meaning half is `away`.
        """


def worded(title: str, heading: str, text: str) -> str:
    """What of a passage is embedded: it stands under its document's title and its heading."""
    return "\n".join(filter(None, (title, heading if heading != title else "", text)))


def digest(text: str) -> str:
    """The name a text's vector is kept under: equal texts are embedded once."""
    return hashlib.sha256(text.encode()).hexdigest()


class Exact:
    """Every vector compared with every question: for a folder of files, and for tests.

    matrix      float32 (passages, dimension), rows of unit length, in the order of the index
    """

    away = ""

    def __init__(self, matrix: Vectors, embedder: Embedder) -> None:
        self._matrix, self._embedder = matrix, embedder

    def nearest(self, question: str, mask: Mask) -> Scores:
        import numpy as np

        cosines = (self._matrix @ self._embedder.question(question)).astype(np.float64)
        return np.where(mask, cosines, np.nan)


def kept(texts: Sequence[str], embedder: Embedder, folder: Path) -> Vectors:
    """float32 (texts, dimension): what `folder` has of them from earlier, the others embedded now and kept there."""
    import numpy as np

    file = folder / f"vectors-{digest(embedder.id)[:16]}.npz"
    names = [digest(text) for text in texts]
    known = _load(file, embedder.dimension)
    wanted = {name: text for name, text in zip(names, texts, strict=True) if name not in known}
    if wanted:
        fresh = embedder.documents(list(wanted.values()))
        known = {name: known[name] for name in names if name in known} | dict(zip(wanted, fresh, strict=True))
        _save(file, known)
    matrix: Vectors = np.array([known[name] for name in names], dtype=np.float32).reshape(len(names), embedder.dimension)
    return matrix


def _load(file: Path, dimension: int) -> dict[str, Any]:
    import numpy as np

    try:
        with file.open("rb") as data, np.load(data, allow_pickle=False) as found:
            names, rows = found["names"], found["rows"]
    except Exception:  # noqa: BLE001  # a cut or foreign file: zip, header and array each raise their own
        return {}
    whole = rows.ndim == 2 and rows.shape == (len(names), dimension)
    return dict(zip(names.tolist(), rows, strict=True)) if whole else {}


def _save(file: Path, known: dict[str, Any]) -> None:
    import numpy as np

    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(f".{os.getpid()}.part")
    with part.open("wb") as out:
        np.savez(out, names=np.array(list(known)), rows=np.array(list(known.values()), dtype=np.float32))
    part.replace(file)


# --- the installed library ------------------------------------------------------------------------------------------------


Space = tuple[frozenset[str], frozenset[str]]
"""Who may read a passage: roles and sites. Whoever may read one passage of a space may read them all."""


def _name(space: Space) -> str:
    return f"space-{digest(json.dumps([sorted(part) for part in space]))[:24]}"


@dataclass(frozen=True, eq=False)
class _Target:
    """What the index is to hold: the texts by their digest, and which of them stand in which space."""

    texts: Mapping[str, str]
    spaces: Mapping[str, frozenset[str]]


@dataclass(frozen=True, eq=False)
class _Live:
    """An index that can be asked: spaces with a collection in `folder`, the small ones as matrices.

    folder   None while it is being opened: until then every space is a matrix
    """

    target: _Target
    dimension: int
    folder: chroma.Folder | None
    small: Mapping[str, tuple[list[str], Vectors]]

    def discard(self) -> None:
        if self.folder is not None:
            self.folder.discard()

    def holds(self, target: _Target) -> float:
        """The share of another target that can be found here, in the right space."""
        if target is self.target:
            return 1.0
        total = sum(map(len, target.spaces.values()))
        here = sum(len(ids & self.target.spaces.get(name, frozenset())) for name, ids in target.spaces.items())
        return here / total if total else 1.0


class Store:
    """This process's index of the installed library's passages, kept whole by a thread that the first question starts.

    folder      where it lies between two starts; each process takes one of its own below it
    patience_s  how long a question waits for an edit to be indexed
    watch_s     how often the canaries are asked: a lost or damaged index is noticed within this
    """

    def __init__(
        self, embedder: Embedder, read: Open, write: Open, folder: Path, *, patience_s: float = 2.0, watch_s: float = 20.0
    ) -> None:
        self.embedder, self._read, self._write, self._root = embedder, read, write, folder
        self._patience_s, self._watch_s = patience_s, watch_s
        self._changed = threading.Condition()
        self._asking = threading.Lock()
        self._target: _Target | None = None
        self._live: _Live | None = None
        self._work: threading.Thread | None = None
        self._closed = False
        self._why = ""
        self._takes_long = False
        self._deaf_until = 0.0
        self._deaf = ""
        self.progress = (0, 0)
        """Texts embedded and to be embedded in the present round."""

    @property
    def id(self) -> str:
        """The embedder's, or empty where its model cannot be read: the thread says why."""
        try:
            return self.embedder.id
        except EmbeddingError:
            return ""

    @property
    def away(self) -> str:
        """Empty, or one sentence on why questions are answered by their words alone just now."""
        with self._changed:
            if time.monotonic() < self._deaf_until:
                return self._deaf
            done, total = self.progress
            if self._live is None and self._work is not None and not self._why and total:
                return f"The passages are being read for their meaning: {done} of {total}."
            return self._why

    def of(self, texts: Sequence[str], spaces: Sequence[Space]) -> Stored:
        """These passages, in this order, as what is in force from now on. Costs nothing until it is asked."""
        names = [digest(text) for text in texts]
        held: dict[Space, set[str]] = {}
        for name, space in zip(names, spaces, strict=True):
            held.setdefault(space, set()).add(name)
        target = _Target(dict(zip(names, texts, strict=True)), {_name(space): frozenset(ids) for space, ids in held.items()})
        with self._changed:
            if self._target and (self._target.texts, self._target.spaces) == (target.texts, target.spaces):
                target = self._target
            self._target = target
            self._changed.notify_all()
        named = {space: _name(space) for space in held}
        return Stored(self, target, names, [named[space] for space in spaces])

    def earlier(self, texts: Sequence[str]) -> Earlier:
        """Passages of an earlier day: compared one by one, beside the index."""
        return Earlier(self, texts)

    def close(self) -> None:
        """Stop the thread and let go of the folder, which the next process finds whole."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            work = self._work
        if work is not None:
            work.join(timeout=10)
        atexit.unregister(self.close)

    def matrix(self, texts: Sequence[str]) -> Vectors | None:
        """float32 (texts, dimension), out of the tables; None where too much of it is not there, or cannot be had."""
        import numpy as np

        by_name = {digest(text): text for text in texts}
        try:
            dimension = self.embedder.dimension
            with self._read() as session:
                names = sorted(tables.embedded(session, self.embedder.id, by_name, 2 * dimension))
            wanted = sorted(by_name.keys() - set(names))
            if len(wanted) > EMBED_AT_ONCE:
                return None
            known = dict(zip(names, _Rows(self._read, self.embedder.id, dimension)(names), strict=True))
            known.update(zip(wanted, self.embedder.documents([by_name[name] for name in wanted]), strict=True))
        except EmbeddingError as wrong:
            log.warning("an earlier day is searched by words alone: %s", wrong)
            return None
        return np.array([known[digest(text)] for text in texts], dtype=np.float32).reshape(len(texts), dimension)

    # --- asking -------------------------------------------------------------------------------------------------------

    def question(self, text: str) -> Vectors | None:
        """Its vector; None where the embedder fails, which is then not asked again for half a minute."""
        if time.monotonic() < self._deaf_until:
            return None
        try:
            return self.embedder.question(text)
        except EmbeddingError as wrong:
            self._deaf, self._deaf_until = str(wrong), time.monotonic() + AGAIN_S / 2
            log.warning("answering by words alone: %s", wrong)
            return None

    def find(
        self, target: _Target, vector: Callable[[], Vectors | None], spaces: Collection[str]
    ) -> dict[str, dict[str, float]]:
        """Space -> digest -> cosine of the K nearest of those spaces together; empty while the index is away."""
        live = self._ready(target)
        asked = vector() if live else None
        if live is None or asked is None:
            return {}
        if asked.shape != (live.dimension,):
            self._lost(live, f"The embedder gives {asked.shape[0]} numbers a text, the index has {live.dimension}.")
            return {}
        try:
            with self._asking:
                if live.folder is not None:
                    live.folder.check()
                found = [(cosine, space, name) for space in spaces for name, cosine in _near(live, space, asked)]
        except chroma.Damaged as wrong:
            self._lost(live, str(wrong))
            return {}
        best: dict[str, dict[str, float]] = {}
        for cosine, space, name in sorted(found, reverse=True)[:K]:
            best.setdefault(space, {})[name] = cosine
        return best

    def wait(self, timeout_s: float, *, settled: bool = False) -> bool:
        """Start the thread if need be, and wait until what is in force can be asked for; whether it can.

        settled   and the index itself is open, not only the comparing of everything that goes before it
        """
        with self._changed:
            self._start()
            return self._changed.wait_for(self._is_settled if settled else self._is_current, timeout_s)

    def _is_current(self) -> bool:
        return self._live is not None and self._live.target is self._target

    def _is_settled(self) -> bool:
        return self._is_current() and self._live is not None and self._live.folder is not None

    def _ready(self, target: _Target) -> _Live | None:
        with self._changed:
            self._start()
            until = time.monotonic() + self._patience_s
            while self._target is target and not self._is_current() and not (self._why or self._takes_long or self._closed):
                if not self._changed.wait(max(0.0, until - time.monotonic())):
                    break
            live = self._live
        return live if live and live.holds(target) >= ENOUGH else None

    def _start(self) -> None:
        if self._work is None and not self._closed:
            self._work = threading.Thread(target=self._keep, name="meaning", daemon=True)
            self._work.start()
            atexit.register(self.close)

    def _lost(self, live: _Live, why: str) -> None:
        """Never ask this index again: another is built from the tables."""
        with self._changed:
            if self._live is live:
                log.error("the search index cannot be trusted and is built anew: %s", why)
                self._live, self._why = None, f"The search index was damaged and is being built anew: {why}"
                self._changed.notify_all()
        with self._asking:
            live.discard()

    # --- keeping ------------------------------------------------------------------------------------------------------

    def _keep(self) -> None:
        """The thread: bring the index to what is in force, and look after it."""
        while not self._closed:
            try:
                with self._changed:
                    self._changed.wait_for(lambda: self._closed or not self._is_settled(), self._watch_s)
                    target, live = self._target, self._live
                if self._closed or target is None:
                    continue
                if live is not None and live.target is target and live.folder is not None:
                    self._look_after(live, live.folder)
                    continue
                self._bring(target)
            except EmbeddingError as wrong:
                self._rest(str(wrong))
            except Exception as wrong:
                log.exception("the search index could not be built")
                self._rest(f"The search index could not be built ({type(wrong).__name__}).")
        with self._changed, self._asking:
            live, self._live = self._live, None
            if live is not None and live.folder is not None:
                live.folder.close()

    def _rest(self, why: str) -> None:
        log.warning("answering by words alone: %s", why)
        with self._changed:
            self._why = why
            target = self._target
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._closed or self._target is not target, AGAIN_S)

    def _look_after(self, live: _Live, folder: chroma.Folder) -> None:
        try:
            with self._asking:
                folder.check()
            for space in folder.members:
                with self._asking:
                    folder.check_canaries(space)
        except chroma.Damaged as wrong:
            self._lost(live, str(wrong))

    def _bring(self, target: _Target) -> None:
        if not self._embed(target):
            return  # something newer is wanted
        dimension = self.embedder.dimension
        big = {name: set(ids) for name, ids in target.spaces.items() if len(ids) >= COLLECTION_FROM}
        load = _Rows(self._read, self.embedder.id, dimension)
        if self._live is None and not self._why and len(target.texts) <= COMPARED:
            whole = {name: _small(ids, load) for name, ids in target.spaces.items()}
            self._swap(_Live(target, dimension, None, whole))
        live = self._live
        small = {
            name: live.small[name] if live and live.target.spaces.get(name) == ids and name in live.small else _small(ids, load)
            for name, ids in target.spaces.items()
            if name not in big
        }
        if live is not None and live.folder is not None and not live.folder.is_worn(big):
            try:
                with self._asking:
                    live.folder.check()
                    live.folder.bring_to(big, load)
            except chroma.Damaged as wrong:
                self._lost(live, str(wrong))
                return
            self._swap(_Live(target, dimension, live.folder, small))
            return
        stamp = chroma.stamp(self.embedder.id, dimension, CHUNKER)
        left = chroma.Folder.left(self._root, stamp) if live is None or live.folder is None else None
        if left and left.is_worn(big):
            left.discard()
            left = None
        folder = left or chroma.Folder.new(self._root, stamp)
        try:
            with self._changed:
                builds = left is None and (live is None or live.folder is not None)
                self._takes_long = self._takes_long or (builds and sum(map(len, big.values())) > QUICK)
                self._changed.notify_all()
            folder.bring_to(big, load)
        except BaseException:
            folder.discard()
            raise
        self._swap(_Live(target, dimension, folder, small))
        if live is not None:
            with self._asking:
                live.discard()

    def _swap(self, live: _Live) -> None:
        with self._changed:
            self._live, self._why, self._takes_long, self.progress = live, "", False, (0, 0)
            self._changed.notify_all()

    def _sure(self, target: _Target) -> set[str]:
        """Texts whose vectors the index holds and goes on holding where they are: the tables need not be asked for these."""
        live = self._live
        if live is None or live.folder is None or live.folder.is_worn({name: set(ids) for name, ids in target.spaces.items()}):
            return set()
        held = {name: ids for name, ids in live.folder.members.items() if len(target.spaces.get(name, ())) >= COLLECTION_FROM}
        still = {name: ids for name, (ids, _) in live.small.items() if target.spaces.get(name) == frozenset(ids)}
        return {each for part in (held, still) for name, ids in part.items() for each in target.spaces[name].intersection(ids)}

    def _embed(self, target: _Target) -> bool:
        """Embed what has no vector yet, a batch a transaction; False where something else is wanted before it is done."""
        if not target.texts:
            return True
        size = 2 * self.embedder.dimension
        unsure = target.texts.keys() - self._sure(target)
        with self._read() as session:
            missing = sorted(unsure - tables.embedded(session, self.embedder.id, unsure, size))
        missing.sort(key=lambda name: len(target.texts[name]))  # texts of one length at once: what is padded is read as well
        with self._changed:
            self.progress, self._takes_long = (0, len(missing)), len(missing) > EMBED_AT_ONCE
            self._changed.notify_all()
        batches = [missing[start : start + STORED_AT_ONCE] for start in range(0, len(missing), STORED_AT_ONCE)]
        done = 0
        for rows in _read_ahead(lambda names: self._vectors({name: target.texts[name] for name in names}), batches):
            with self._write() as session:
                tables.add_vectors(session, self.embedder.id, rows)
            done += len(rows)
            with self._changed:
                self.progress = (done, len(missing))
                if self._closed or self._target is not target:
                    return False
        return done == len(missing)

    def _vectors(self, texts: Mapping[str, str]) -> dict[str, bytes]:
        """As they are stored. raises EmbeddingError"""
        import numpy as np

        rows = self.embedder.documents(list(texts.values())).astype("<f2")
        if not np.isfinite(rows).all():
            raise EmbeddingError(f"{self.embedder.id} gave vectors that are no numbers: choose another embedder.")
        return {name: row.tobytes() for name, row in zip(texts, rows, strict=True)}


def _read_ahead(read: Callable[[list[str]], dict[str, bytes]], batches: Sequence[list[str]]) -> Iterator[dict[str, bytes]]:
    """What `read` makes of each batch, in turn: some are read at once while the one before is stored.

    Ends early where the interpreter is ending.
    """
    waiting: deque[Future[dict[str, bytes]]] = deque()
    with ThreadPoolExecutor(READERS, "reading") as readers:
        if len(batches) > READERS:
            readers.submit(chroma.prepare)
        for batch in batches:
            try:
                waiting.append(readers.submit(read, batch))
            except RuntimeError:
                return
            if len(waiting) > READERS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@dataclass(frozen=True)
class _Rows:
    """Vectors out of the tables, by the digest of their text: float32 (texts, dimension), rows of unit length."""

    read: Open
    embedder: str
    dimension: int

    def __call__(self, names: Sequence[str]) -> Vectors:
        import numpy as np

        with self.read() as session:
            kept = tables.vectors(session, self.embedder, names)
        rows = np.frombuffer(b"".join(kept[name] for name in names), dtype="<f2").astype(np.float32)
        rows = rows.reshape(len(names), self.dimension)
        matrix: Vectors = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
        return matrix


def _small(ids: Collection[str], load: chroma.Load) -> tuple[list[str], Vectors]:
    return sorted(ids), load(sorted(ids))


def _near(live: _Live, space: str, vector: Vectors) -> list[tuple[str, float]]:
    if space in live.small:
        names, matrix = live.small[space]
        return list(zip(names, (matrix @ vector).tolist(), strict=True))
    return live.folder.nearest(space, vector, K) if live.folder is not None and space in live.folder.members else []


class Stored:
    """The passages in force, found in the store's index. An answer never waits long for it: it is `away` instead."""

    def __init__(self, store: Store, target: _Target, names: Sequence[str], spaces: Sequence[str]) -> None:
        import numpy as np

        self._store, self._target = store, target
        known = {space: n for n, space in enumerate(dict.fromkeys(spaces))}
        self._spaces = list(known)
        self._space_of = np.array([known[space] for space in spaces], dtype=np.int64)
        self._places: dict[tuple[str, str], list[int]] = {}
        for place, key in enumerate(zip(spaces, names, strict=True)):
            self._places.setdefault(key, []).append(place)

    @property
    def away(self) -> str:
        return self._store.away

    def nearest(self, question: str, mask: Mask) -> Scores:
        import numpy as np

        scores = np.full(mask.shape, np.nan)
        permitted = [self._spaces[n] for n in np.bincount(self._space_of[mask]).nonzero()[0]]  # no other space is ever asked
        if not permitted:
            return scores
        found = self._store.find(self._target, lambda: self._store.question(question), permitted)
        for space, cosines in found.items():
            for name, cosine in cosines.items():
                for place in self._places.get((space, name), ()):
                    scores[place] = cosine
        return np.where(mask, scores, np.nan)


@dataclass
class Earlier:
    """Passages that are not in force any more, or not yet: their vectors are read when first asked for."""

    store: Store
    texts: Sequence[str]
    _matrix: Any = field(default=None, repr=False)

    @property
    def away(self) -> str:
        return self.store.away

    def nearest(self, question: str, mask: Mask) -> Scores:
        import numpy as np

        vector = self.store.question(question)
        if vector is not None and self._matrix is None:
            self._matrix = self.store.matrix(self.texts)
        if vector is None or self._matrix is None:
            return np.full(mask.shape, np.nan)
        return np.where(mask, (self._matrix @ vector).astype(np.float64), np.nan)
