"""BM25 in Lucene's form (k1 1.5, b 0.75), of texts whose words are numbers: a whole library is weighed in one go.

The scores are those of bm25s, which takes its words as text and one passage after the other: with a library's three fields that
is 6 s and 200 MB for 10,000 passages, to be spent again at every edit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from knowledge.words import spoken, stems

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.int32]
    Scores = NDArray[np.float64]

K1, B = 1.5, 0.75
AT_ONCE = 10_000


class Cut:
    """Texts as the numbers of their words; what `earlier` has cut is not cut again, and keeps its numbers."""

    def __init__(self, texts: Iterable[str], earlier: Cut | None = None) -> None:
        import numpy as np

        self.numbers: dict[str, int] = earlier.numbers if earlier else {}  # shared: it only ever grows
        self.words: list[str] = earlier.words if earlier else []
        self.forms: dict[str, int] = earlier.forms if earlier else {}
        """Each word as it is written somewhere, with its number."""
        known: Mapping[str, Numbers] = earlier._known if earlier else {}
        self._known: dict[str, Numbers] = {}
        for text in texts:
            if text not in self._known:
                found = known.get(text)
                self._known[text] = np.array(self._numbered(text), np.int32) if found is None else found

    def __getitem__(self, text: str) -> Numbers:
        return self._known[text]

    def named(self, *parts: Numbers) -> frozenset[str]:
        """The words themselves, each once."""
        return frozenset(map(self.words.__getitem__, {n for part in parts for n in part.tolist()}))

    def _numbered(self, text: str) -> list[int]:
        return [self.forms[word] if word in self.forms else self._formed(word) for word in spoken(text)]

    def _formed(self, word: str) -> int:
        (stem,) = stems([word])
        self.forms[word] = number = self._number(stem)
        return number

    def _number(self, word: str) -> int:
        number = self.numbers.get(word)
        if number is None:
            number = len(self.words)
            self.words.append(word)
            self.numbers[word] = number
        return number


class Bm25:
    """What each word is worth in each text that has it."""

    def __init__(self, texts: Sequence[Numbers], words: int) -> None:
        """`words`: how many numbers there are."""
        import numpy as np

        self.size = len(texts)
        lengths = np.array([len(text) for text in texts], dtype=np.int64)
        starts = range(0, self.size, AT_ONCE)
        found = [_counted(texts[n : n + AT_ONCE], n, lengths[n : n + AT_ONCE], self.size) for n in starts]
        none = np.zeros(0, dtype=np.int64)
        keys, counts = (np.concatenate(part) for part in zip((none, none), *found, strict=True))
        order = np.argsort(keys, kind="stable")
        word, place = np.divmod(keys[order], max(self.size, 1))
        times = counts[order].astype(np.float32)
        self._ends = np.searchsorted(word, np.arange(words + 1))
        seen = np.diff(self._ends)
        rarity = np.log(1 + (self.size - seen + 0.5) / (seen + 0.5))
        length = K1 * (1 - B + B * lengths / max(float(lengths.mean()), 1e-9)) if self.size else lengths
        self._places = place.astype(np.int32)
        self._worth = (rarity[word] * times / (length[place] + times)).astype(np.float32)

    def scores(self, numbers: Iterable[int]) -> Scores:
        """One score a text, for a question of these words."""
        import numpy as np

        total = np.zeros(self.size)
        for number in numbers:
            here = self._span(number)
            total[self._places[here]] += self._worth[here]
        return total

    def places(self, number: int) -> Numbers:
        """Which texts have the word."""
        places: Numbers = self._places[self._span(number)]
        return places

    def _span(self, number: int) -> slice:
        """Where the word's texts stand; nowhere for a word that came with a later edit."""
        return slice(*self._ends[number : number + 2]) if number + 1 < len(self._ends) else slice(0)


def _counted(texts: Sequence[Numbers], first: int, lengths: NDArray[np.int64], size: int) -> tuple[NDArray[np.int64], ...]:
    """Each word of each text once, as `word * size + place`, in that order; and how often it stands there."""
    import numpy as np

    place = np.repeat(np.arange(first, first + len(texts)), lengths)
    keys: tuple[NDArray[np.int64], ...] = np.unique(np.concatenate(texts).astype(np.int64) * size + place, return_counts=True)
    return keys
