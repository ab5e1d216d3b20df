"""What people ask that no SOP is about: the rest of life, in sentences by which such a question is told from others.

A question about the printer has some nearest passage in every library, and a cosine that good questions have as well. It is
nearer still to one of these sentences.
"""

from __future__ import annotations

import threading
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from knowledge.embedding import Embedder

if TYPE_CHECKING:
    from knowledge.embedding import Vectors

FIRST = 5


class Elsewhere:
    """The sentences of elsewhere.txt as vectors, made by the first question; one is enough for all indexes of an embedder."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._lock = threading.Lock()
        self._vectors: Vectors | None = None

    def nearest(self, question: str) -> list[tuple[str, float]]:
        """The sentences nearest to the question with their cosines, nearest first. raises embedding.EmbeddingError"""
        cosines = self._rows() @ self._embedder.question(question)
        best = sorted(range(len(cosines)), key=lambda n: -float(cosines[n]))[:FIRST]
        return [(_sentences()[n], float(cosines[n])) for n in best]

    def _rows(self) -> Vectors:
        with self._lock:
            if self._vectors is None:
                self._vectors = self._embedder.documents(_sentences())
            return self._vectors


@cache
def _sentences() -> tuple[str, ...]:
    return tuple((files("knowledge") / "elsewhere.txt").read_text("utf-8").splitlines())
