"""How passages are ranked for a question: by its words (BM25), by its meaning (vectors), and by both together.

A half scores every passage; `blend` brings halves to one scale, and `led` lets a section that meets the question as a whole go
before a passage that meets it alone. Raw scores are kept beside the mixed ones: only they say whether a question was met.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from knowledge.bm25 import Bm25, Cut
from knowledge.embedding import EmbeddingError
from knowledge.sops import SopText
from knowledge.spelling import Spelling
from knowledge.words import others, stems, terms

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from knowledge.bm25 import Numbers
    from knowledge.elsewhere import Elsewhere
    from knowledge.vectors import Nearest

    Scores = NDArray[np.float64]
    Mask = NDArray[np.bool_]
    Places = NDArray[np.int64]

_MAX_TERMS = 120
SECTION = 0.2
"""How much of its section's three best passages counts for a passage that is ranked by words and meaning."""
COVERED = 0.5
"""From this cosine with a passage on, a sentence about the rest of life is about this library."""
SPREAD = 0.1
"""The usual spread of the cosines of a question with all passages, for when only those of the nearest are known."""


@dataclass(frozen=True)
class Entry:
    """One passage as it is searched. `doc` names the document version it was cut from, `start:end` where in its source."""

    doc: str
    title: SopText
    heading: SopText
    step: str
    text: SopText
    start: int
    end: int
    roles: frozenset[str] = frozenset({"all"})
    sites: frozenset[str] = frozenset({"all"})
    asked: tuple[str, ...] = ()
    """What its step or section is asked as, by its author: searched by, never shown."""
    standing: float = 1.0
    """Factor on its score: what a part of an SOP is worth as an answer (`index.standing`)."""


class Half(Protocol):
    """One way to score every passage for a question; higher is better."""

    name: str

    def scores(self, question: str, mask: Mask) -> Scores:
        """By place; NaN where the half does not know, and all NaN where it knows nothing just now."""


def blend(parts: Sequence[tuple[float, Scores]], mask: Mask) -> Scores:
    """Scores of several halves as one, by share, each in units of its own spread over what the asker may read.

    With one half the scores stay as they are. A convex blend beat reciprocal ranks on every set we measured, and spreads beat
    the distance of best and worst, which one outlier moves. What a half does not know is as low as the lowest it knows.
    """
    if len(parts) == 1:
        return parts[0][1]
    total: Scores = parts[0][1] * 0.0
    whole = sum(share for share, _ in parts)
    for share, scores in parts:
        total = total + share / whole * _standard(scores, mask)
    return total


def _standard(scores: Scores, mask: Mask) -> Scores:
    import numpy as np

    known = scores[mask & ~np.isnan(scores)]
    if not known.size:
        return np.zeros(len(scores))
    partly = known.size < mask.sum()
    spread = SPREAD if partly else float(known.std())
    middle = float(known.min() if partly else known.mean())
    filled = np.where(np.isnan(scores), known.min(), scores)
    return (filled - middle) / spread if spread > 1e-9 else np.zeros(len(scores))


def led(mixed: Scores, starts: Places, mask: Mask) -> Scores:
    """The scores with SECTION of the mean of the best three of each section added; a section begins at each of `starts`.

    What the mask hides takes no part. All of it is brought to 0..1, so that scores of one search can be compared.
    """
    import numpy as np

    rest: Scores = np.where(mask, mixed, -np.inf)
    sizes = np.diff(np.append(starts, len(mixed)))
    total, count = np.zeros(len(starts)), np.zeros(len(starts))
    for _ in range(3):
        best = np.maximum.reduceat(rest, starts)
        found = np.isfinite(best)
        total[found] += best[found]
        count += found
        spent = rest == np.repeat(best, sizes)
        rest[spent] = -np.inf
    mean = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
    score: Scores = mixed + SECTION * np.repeat(mean, sizes)
    low, high = float(score[mask].min()), float(score[mask].max())
    return (score - low) / (high - low) if high > low else np.ones(len(score))


class Meaning:
    """Vectors: the cosine of question and passage.

    embedder    its id, by which thresholds and share are kept
    elsewhere   what is asked that no SOP is about, as vectors of the same embedder
    """

    name = "meaning"

    def __init__(self, nearest: Nearest, embedder: str, elsewhere: Elsewhere | None = None) -> None:
        self.nearest, self.embedder = nearest, embedder
        self._elsewhere = elsewhere
        self._covered: dict[str, bool] = {}

    def scores(self, question: str, mask: Mask) -> Scores:
        return self.nearest.nearest(question, mask)

    def elsewhere(self, question: str, mask: Mask) -> float:
        """The question's cosine with the nearest of the sentences about something else; NaN where that is not known.

        A sentence that a passage is near to does not count: this library does speak of it.
        """
        try:
            sentences = self._elsewhere.nearest(question) if self._elsewhere else []
        except EmbeddingError:
            sentences = []
        return next((cosine for sentence, cosine in sentences if not self._covers(sentence, mask)), math.nan)

    def _covers(self, sentence: str, mask: Mask) -> bool:
        import numpy as np

        if sentence not in self._covered:
            found = self.nearest.nearest(sentence, np.ones_like(mask))
            if np.isnan(found).all():
                return False
            self._covered[sentence] = bool(np.nanmax(found) >= COVERED)
        return self._covered[sentence]


class Lexical:
    """BM25 of the passage, half as much of its surroundings, a third of its document; glossary words count for half.

    Measured without any model: nDCG@10 .81 and .855 on two public how-to sets, where BM25 of passages alone has .795 and .85.
    """

    name = "bm25"
    AROUND, DOCUMENT, GLOSSARY = 0.5, 0.3, 0.5

    def __init__(self, entries: Sequence[Entry], around: Sequence[tuple[int, int]], earlier: Lexical | None = None) -> None:
        """`around`: first and last place of what each passage is ranked with. `earlier`: of an index that shares most texts."""
        import numpy as np

        texts = (text for entry in entries for text in (_head(entry), entry.text))
        self._cut: Cut = Cut(texts, earlier._cut if earlier else None)
        cut = self._cut
        self._heads = [cut[_head(entry)] for entry in entries]
        self._bodies = [cut[entry.text] for entry in entries]
        self._surroundings = around
        docs = {doc: n for n, doc in enumerate(dict.fromkeys(entry.doc for entry in entries))}
        self._doc_of = np.array([docs[entry.doc] for entry in entries], dtype=np.int64)
        whole: list[list[Numbers]] = [[] for _ in docs]
        for n, body in enumerate(self._bodies):
            whole[self._doc_of[n]] += [*(() if whole[self._doc_of[n]] else (self._heads[n],)), body]
        known = len(cut.words)
        self.spelling = Spelling(cut.forms)
        self._passages = Bm25([np.concatenate(both) for both in zip(self._heads, self._bodies, strict=True)], known)
        self._around = Bm25([np.concatenate(self._wide(n)) for n in range(len(entries))], known)
        self._docs = Bm25([np.concatenate(parts) for parts in whole], known)
        self.standing = np.array([entry.standing for entry in entries], dtype=np.float64)
        self.size = len(entries)

    def _wide(self, place: int) -> list[Numbers]:
        first, last = self._surroundings[place]
        return [self._heads[place], *self._bodies[first : last + 1]]

    def head_words(self, place: int) -> frozenset[str]:
        """Of the passage's title and heading."""
        return self._cut.named(self._heads[place])

    def words(self, place: int) -> frozenset[str]:
        """Of the passage, its title and heading."""
        return self._cut.named(self._heads[place], self._bodies[place])

    def wide_words(self, place: int) -> frozenset[str]:
        """Of the passage and what it is ranked with."""
        return self._cut.named(*self._wide(place))

    def scores(self, question: str, mask: Mask) -> Scores:
        asked = self.asked(question)
        meant = sorted({other for word in asked for other in others(word)} - set(asked))
        return (self._score(asked) + self.GLOSSARY * self._score(meant)) * self.standing

    def asked(self, question: str) -> list[str]:
        """The question's words, each once."""
        return list(dict.fromkeys(terms(question)))[:_MAX_TERMS]

    def weight(self, word: str) -> float:
        """How much a word says: its inverse passage frequency."""
        seen = len(self._places(word))
        return math.log(1 + (self.size - seen + 0.5) / (seen + 0.5))

    def holds(self, words: frozenset[str], word: str) -> float:
        """1 where `words` has the word, half where it has another word for it, else 0."""
        return 1.0 if word in words else self.GLOSSARY if words & others(word) else 0.0

    def known(self, word: str, mask: Mask) -> float:
        """As `holds`, over all that the asker may read."""
        if mask[self._places(word)].any():
            return 1.0
        return self.GLOSSARY if any(mask[self._places(other)].any() for other in others(word)) else 0.0

    def places(self, written: str, mask: Mask) -> Numbers:
        """The passages with this word (small letters) in some form that the asker may read."""
        (stem,) = stems([written])
        there = self._places(stem)
        return there[mask[there]]

    def _places(self, word: str) -> Numbers:
        """The passages that have the word."""
        return self._passages.places(self._cut.numbers.get(word, len(self._cut.words)))

    def _score(self, words: Sequence[str]) -> Scores:
        import numpy as np

        if not words:
            return np.zeros(self.size)
        numbers = [number for word in words if (number := self._cut.numbers.get(word)) is not None]
        total = self._passages.scores(numbers)
        total += self.AROUND * self._around.scores(numbers)
        total += self.DOCUMENT * self._docs.scores(numbers)[self._doc_of]
        return total


def _head(entry: Entry) -> str:
    named = f"{entry.title}\n{entry.heading}\n{entry.heading}"  # a heading weighs twice
    return "\n".join((named, *entry.asked)) if entry.asked else named
