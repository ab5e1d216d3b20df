"""A folder of files, searched without installing anything: what `python -m bot search --library` asks."""

from __future__ import annotations

import hashlib
import json
import logging
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from knowledge import documents, index, intake, sops, tables, vectors
from knowledge.elsewhere import Elsewhere
from knowledge.embedding import Embedder, EmbeddingError, Remembering
from knowledge.followup import Query, Turn, resolved
from knowledge.index import Entry, Index, Meaning, Stretch
from knowledge.library import MAX_QUESTION

if TYPE_CHECKING:
    from knowledge.embedding import Vectors

log = logging.getLogger(__name__)

OUTCOMES = {"answer": "answered", "nearest": "nearest", "refusal": "refused"}
LAST = 10
"""How many of a thread's earlier questions are looked at."""
ANSWER_PIECES, ANSWER_WORDS = 3, 120
"""What is shown of a question's answer: so many stretches of documents, of so many words. Together, a screen."""


def search_folder(
    folder: Path, questions: Iterable[Mapping[str, Any]], k: int, cache_dir: Path, embedder: Embedder | None = None
) -> Iterator[dict[str, Any]]:
    """One answer to each question from the documents below `folder`, without installing anything.

    questions   {"id", "question"} each, and "thread": the questions asked before it in its thread, where there are any
    cache_dir   where what was read is kept; a file that changed is read again
    embedder    by which passages are also found by what they mean; None: by their words alone
    yields      {"id", "passages": [{"doc", "heading", "text", "score"}], "outcome", "refused", "answer", "ms"}; `doc` is the
                path below `folder`, a passage is shown with what stands around it, `outcome` is answered, nearest or refused,
                `answer` is what the asker is shown, verbatim, and empty when refused
    raises      documents.Unreadable   there is no such folder
    """
    shelf = _FolderShelf(folder, cache_dir, embedder)
    for given in questions:
        started = time.perf_counter()
        result = shelf.answer(str(given.get("question", "")), k, [str(each) for each in given.get("thread", ())])
        yield {"id": given.get("id"), **result, "ms": round((time.perf_counter() - started) * 1000, 2)}


def entries(folder: Path, cache_dir: Path) -> tuple[Entry, ...]:
    """Every passage below `folder`, as it is searched. raises documents.Unreadable"""
    return _FolderShelf(folder, cache_dir, None).index.entries


class _FolderShelf:
    """Every document of one folder, read and indexed."""

    FORMAT = 2  # raised when passages are cut differently: what was kept by an older version is then read again

    def __init__(self, folder: Path, cache_dir: Path, embedder: Embedder | None) -> None:
        if not folder.is_dir():
            raise documents.Unreadable(f"{folder} is not a folder.")
        name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
        self._kept_at = cache_dir / f"folder-{name}.json"
        kept = self._load()
        files = {found.name: _file_state(found, kept) for found in documents.find([folder])}
        self._files = {name: file for name, file in files.items() if file}
        if self._files != kept:
            self._save()
        entries = [entry for name, file in self._files.items() for entry in _entries(name, file)]
        self.index = Index(entries, _meaning(entries, embedder, cache_dir) if embedder and entries else None)
        self._mask = index.everything(self.index.entries)

    def _load(self) -> dict[str, Any]:
        try:
            kept = json.loads(self._kept_at.read_text("utf-8"))
            return dict(kept["files"]) if kept["format"] == self.FORMAT else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def _save(self) -> None:
        self._kept_at.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=self._kept_at.parent, delete=False) as new:
            json.dump({"format": self.FORMAT, "files": self._files}, new)
        Path(new.name).replace(self._kept_at)

    def answer(self, question: str, k: int, thread: Sequence[str] = ()) -> dict[str, Any]:
        found = self.index.search(self._query(question[:MAX_QUESTION], thread), self._mask, k=20 * k)
        outcome = OUTCOMES[found.signals.outcome]
        pieces = self.index.stretches(found, ANSWER_PIECES, ANSWER_WORDS) if outcome != "refused" else ()
        return {
            "passages": [self._passage(stretch) for stretch in self.index.stretches(found, k)],
            "outcome": outcome,
            "refused": outcome == "refused",
            "answer": "\n\n".join(self._text(piece.first, piece.last) for piece in pieces),
        }

    def _query(self, question: str, thread: Sequence[str]) -> Query:
        """The question as it is meant in its thread, whose questions are asked again to know what they were answered from."""
        turns: list[Turn] = []
        for earlier in thread[-LAST:]:
            found = self.index.search(resolved(earlier[:MAX_QUESTION], turns), self._mask, k=1)
            turns.append(Turn(earlier[:MAX_QUESTION], found.hits[0].entry.doc if found.hits else ""))
        return resolved(question, turns)

    def _passage(self, stretch: Stretch) -> dict[str, Any]:
        hit, text = stretch.hit, self._text(stretch.first, stretch.last)
        return {"doc": hit.entry.doc, "heading": str(hit.entry.heading), "text": text, "score": round(hit.score, 4)}

    def _text(self, first: int, last: int) -> str:
        one, other = self.index.entries[first], self.index.entries[last]
        return str(self._files[one.doc]["source"])[one.start : other.end]


def _meaning(entries: Sequence[Entry], embedder: Embedder, cache_dir: Path) -> Meaning | None:
    """The meaning of every passage; None, and a line in the log, where the embedder cannot be used."""
    texts = [vectors.worded(entry.title, entry.heading, entry.text) for entry in entries]
    try:
        matrix = vectors.kept(texts, _Told(embedder), cache_dir)
    except EmbeddingError as wrong:
        log.warning("The folder is searched by words alone. %s", wrong)
        return None
    once = Remembering(embedder)
    return Meaning(vectors.Exact(matrix, once), embedder.id, Elsewhere(once))


class _Told:
    """An embedder that says on stderr how far it is: the first use of a large folder takes minutes."""

    SLICE = 256

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self.id, self.dimension, self.max_tokens = embedder.id, embedder.dimension, embedder.max_tokens
        self.question, self.multilingual = embedder.question, embedder.multilingual

    def documents(self, texts: Sequence[str]) -> Vectors:
        import numpy as np

        done: list[Vectors] = []
        for start in range(0, len(texts), self.SLICE):
            done.append(self._embedder.documents(texts[start : start + self.SLICE]))
            sys.stderr.write(f"{min(start + self.SLICE, len(texts)):,} of {len(texts):,} passages read for their meaning\n")
        return np.concatenate(done)


def _file_state(found: documents.Found, kept: Mapping[str, Any]) -> dict[str, Any] | None:
    """What is known of one file: as kept where it did not change, else read again; None where it is no document."""
    try:
        stat = found.path.stat()
    except OSError:
        return None
    stamp = [stat.st_size, stat.st_mtime_ns]
    if found.name in kept and kept[found.name]["stamp"] == stamp:
        return dict(kept[found.name])
    read = intake.opened(found)
    if isinstance(read, intake.FileReport):
        if read.outcome == "refused":
            log.warning("%s was not searched: %s", found.name, read.problems[0].what)
        return None
    sop = read.sop
    pieces = [[cut.step, str(cut.heading), cut.start, cut.end, cut.asked] for cut in index.cuts(sop)]
    return {"stamp": stamp, "title": str(sop.title), "source": str(sop.source), "authored": sop.authored, "pieces": pieces}


def _entries(name: str, file: Mapping[str, Any]) -> Iterator[Entry]:
    source = tables.text(file["source"])
    for step, heading, start, end, asked in file["pieces"]:
        text = sops.excerpt(source, start, end)
        worth = index.standing(step, heading, text) if file["authored"] else 1.0
        title = tables.text(file["title"])
        yield Entry(name, title, tables.text(heading), step, text, start, end, asked=tuple(asked), standing=worth)
