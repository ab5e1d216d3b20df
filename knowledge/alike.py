"""Which of many short texts say the same thing: by their meaning where there is an embedder, else by the words they share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from knowledge.embedding import Embedder, EmbeddingError
from knowledge.words import terms

NEAR = 0.6
"""From this cosine on, two questions are one."""
SHARED = 0.5
"""From this share of the shorter one's words on, and two words at least, two questions are one."""


def groups(texts: Sequence[str], embedder: Embedder | None = None) -> list[list[int]]:
    """The places of texts that are alike, each group in order, the largest first: greedy, by the first text of each group."""
    alike = _by_meaning(texts, embedder) or _by_words(texts)
    found: list[list[int]] = []
    for n in range(len(texts)):
        home = next((group for group in found if alike(group[0], n)), None)
        if home is None:
            found.append([n])
        else:
            home.append(n)
    return sorted(found, key=lambda group: (-len(group), group[0]))


def _by_words(texts: Sequence[str]) -> Callable[[int, int], bool]:
    words = [frozenset(terms(text)) for text in texts]

    def alike(one: int, other: int) -> bool:
        both, shorter = len(words[one] & words[other]), min(len(words[one]), len(words[other]))
        return words[one] == words[other] or (both >= 2 and both >= SHARED * shorter)

    return alike


def _by_meaning(texts: Sequence[str], embedder: Embedder | None) -> Callable[[int, int], bool] | None:
    if embedder is None or not texts:
        return None
    try:
        rows = embedder.documents(list(texts))
    except EmbeddingError:
        return None
    return lambda one, other: bool(float(rows[one] @ rows[other]) >= NEAR)
