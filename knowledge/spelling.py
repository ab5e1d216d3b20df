"""A question's words as they were meant: one that nobody writes is read as the word of the library that a finger slipped from.

Only plain words are touched, never a code, a number, an abbreviation or a name inside a sentence, and only where neither
the passages that the asker may read nor English have the word. What was read otherwise is said to the asker.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from knowledge.sops import SopText
from knowledge.words import empty, others, stems

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LONG = 9
"""From so many letters on two slips are put right, where no English word is one slip away."""
COMMON = 300
"""So many of the most frequent words of English come before any word of the library: `hwich` is `which`."""
_PLAIN = re.compile(r"(?<![\w@./\\'’-])[A-Za-z]+(?![\w@/\\]|['’-](?!s\b)\w|\.\w)")
_OPENS = re.compile(r"(?:^|[!?:\n]|(?<!\bDr)(?<!\bMr)(?<!\bMs)(?<!\bMrs)\.)[\s\"'“‘(]*\Z")


@dataclass(frozen=True)
class Reading:
    """A question as it is searched for. `instead`: the library's words that were put in the place of others, in order."""

    text: str = ""
    instead: tuple[SopText, ...] = ()


class Spelling:
    """The words of one library, small. `words` may grow until the first misspelt word is looked for."""

    LEAST = 5
    """A shorter word is one slip from too many others."""

    def __init__(self, words: Collection[str]) -> None:
        self._words = words
        self._near: _Near | None = None

    def read(self, text: str, seen: Callable[[str], int], written: Callable[[str], SopText | None]) -> Reading:
        """The text with its misspelt words as they were meant.

        seen      in how many passages that the asker may read a word stands, in some form
        written   the word as one of them writes it, in whatever form; None where none has it
        """
        instead: list[SopText] = []

        def meant(found: re.Match[str]) -> str:
            word = found[0].lower()
            if len(word) < self.LEAST or word in _english() or _named(found, text) or seen(word) or _known(word):
                return found[0]
            nearest = self._nearest(word, seen)
            best = written(nearest) if nearest else None
            instead.extend([best] if best else [])
            return best or found[0]

        read = _PLAIN.sub(meant, text)
        return Reading(read, tuple(dict.fromkeys(instead)))

    def _nearest(self, word: str, seen: Callable[[str], int]) -> str:
        """The word it is the least number of slips from, of those the most frequent one; empty where there is none."""
        if self._near is None:
            self._near = _Near([each for each in list(self._words) if each.isalpha() and len(each) >= self.LEAST - 1])
        if any(not seen(other) for _, other in _common().within(word, 1)):
            return ""
        most = 2 if len(word) >= LONG else 1
        english = _english_words().within(word, most)
        ranked = [
            (slips, other[0] != word[0], -times, other)
            for slips, other in {*self._near.within(word, most), *english}
            if _slipped(word, other, slips) and (times := seen(other))
        ]
        if not ranked:
            return ""
        slips, _, _, best = min(ranked)
        return "" if any(fewer < slips for fewer, _ in english) else best


def _slipped(word: str, other: str, slips: int) -> bool:
    """Whether one may be a slip from the other: one with a letter more before it, or one less behind it, is mostly not."""
    if word.endswith(other) or other.endswith(word):
        return False  # `vlookup`
    if len(word) < LONG and other.startswith(word):
        return False  # `perio`
    return slips < 2 or word[0] == other[0]


def _known(word: str) -> bool:
    """Whether English or the glossary has the word (small letters) in some form."""
    return any(form in _english() for form in _forms(word)) or bool(others(*stems([word])))


_ENDINGS = (
    ("s", ("",)),
    ("es", ("",)),
    ("ies", ("y",)),
    ("ed", ("", "e")),
    ("ing", ("", "e")),
    ("ied", ("y",)),
    ("er", ("", "e")),
    ("ly", ("",)),
)


def _forms(word: str) -> Iterator[str]:
    """The word and what it may be an inflection of. A stem would say too much: that of `remitance` is `remit`."""
    yield word
    for ending, instead in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            base = word[: -len(ending)]
            yield from (base + end for end in instead)
            if base[-1] == base[-2]:
                yield base[:-1]


def _named(found: re.Match[str], text: str) -> bool:
    """Is it written as a name or an abbreviation is: with capitals that the start of its sentence does not explain?"""
    word = found[0]
    if word.islower() or (text.isupper() and " " in text):
        return False
    return not word[1:].islower() or not _OPENS.search(text, 0, found.start())


class _Near:
    """Words, ready to be compared with another one all at once."""

    def __init__(self, words: Collection[str]) -> None:
        self._words = list(words)
        self._letters, self._lengths = _counted(self._words)
        self._has = _has(self._letters)

    def within(self, word: str, most: int) -> list[tuple[int, str]]:
        """Those that at most so many slips lie between: a letter too many, missing, wrong, or two letters swapped."""
        import numpy as np

        letters, _ = _counted([word])
        some = np.flatnonzero(
            (np.bitwise_count(self._has ^ _has(letters)[0]) <= 2 * most) & (abs(self._lengths - min(len(word), 99)) <= most)
        )
        more = self._letters[some] - letters
        apart = np.maximum(more.clip(min=0).sum(axis=1), (-more).clip(min=0).sum(axis=1))
        near = [(between(word, self._words[n]), self._words[n]) for n in some[apart <= most].tolist()]
        return [(slips, other) for slips, other in near if slips <= most]


def _counted(words: Collection[str]) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """How often each word has each letter, (words, 26); and how long each is."""
    import numpy as np

    lengths = np.array([len(word) for word in words], dtype=np.int64)
    written = np.frombuffer("".join(words).encode("ascii"), dtype=np.uint8).astype(np.int64) - ord("a")
    places = np.repeat(np.arange(len(words)), lengths) * 26 + written
    counts = np.bincount(places, minlength=26 * len(words)).reshape(-1, 26)
    return counts.clip(max=99).astype(np.int8), lengths.clip(max=99).astype(np.int8)


def _has(letters: NDArray[np.int8]) -> NDArray[np.uint32]:
    """Which letters each word has, a bit each: one slip changes two of them at most."""
    import numpy as np

    bits: NDArray[np.uint32] = ((letters > 0) * (np.uint32(1) << np.arange(26, dtype=np.uint32))).sum(axis=1, dtype=np.uint32)
    return bits


def between(one: str, other: str) -> int:
    """How many slips lie between two words (optimal string alignment)."""
    before, row = [0] * (len(other) + 1), list(range(len(other) + 1))
    for at, letter in enumerate(one, 1):
        new = [at]
        for n, its in enumerate(other, 1):
            slips = min(row[n] + 1, new[n - 1] + 1, row[n - 1] + (letter != its))
            if at > 1 and n > 1 and letter == other[n - 2] and one[at - 2] == its:
                slips = min(slips, before[n - 2] + 1)
            new.append(slips)
        before, row = row, new
    return row[-1]


@cache
def _english() -> frozenset[str]:
    return frozenset(_listed())


def _listed() -> list[str]:
    """english.txt: whole words of the vocabulary of BERT (Apache-2.0), the most frequent first, then words of practices."""
    return (files("knowledge") / "english.txt").read_text("utf-8").split()


@cache
def _english_words() -> _Near:
    return _Near(_listed())


@cache
def _common() -> _Near:
    plain = [word for word in empty() if word.isascii() and word.isalpha() and len(word) >= Spelling.LEAST - 1]
    return _Near(sorted({*plain, *(word for word in _listed()[:COMMON] if len(word) >= Spelling.LEAST - 1)}))
