"""The passage index: which passages of which SOPs may this person read, and which of them meet the question best.

Lexical today (BM25 over stems), with room for a second half: a `Half` scores every passage for a question, `blend` mixes halves
by their share, and a hit keeps its raw scores beside the mixed one, because only raw scores say whether the question was met.
An Index is a private, in-memory copy of one process; the tables are the truth, and the generation number says when it is old.

    NoPrincipal     a question without an asker, a role or a site: nothing is searched
"""

from __future__ import annotations

import math
import re
import threading
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal, Protocol

from knowledge import sops
from knowledge.sops import NO_TEXT, Block, Sop, SopText
from knowledge.tables import Cut

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Scores = NDArray[np.float64]
    Mask = NDArray[np.bool_]

PASSAGE_CHARS = 380
"""A passage is a step or two: blocks of one step or heading are joined while they stay below this."""
AROUND_WORDS = 200
"""How much of its section stands around a passage when it is ranked and shown."""
FEW = 100
"""In a library of fewer passages than this no word is rare, and how many of a question's words are met counts instead."""
UNSEARCHED = frozenset({"raci", "change log"})
"""Sections of our format that name every step and answer no question: as passages they would outrank the steps themselves."""

PREFACE = frozenset({"purpose", "scope", "exceptions", "escalation", "kpis", "compliance notes"})
"""Sections of our format that speak about the steps."""


Bound = Literal["step", "heading", "document"]


class NoPrincipal(Exception):
    """Nobody asked, or somebody without a role or a site: a filter that lets all through must not be built by accident."""


@dataclass(frozen=True)
class Principal:
    """Who asks: the roles held now, and the site it is asked for."""

    person: str
    roles: frozenset[str]
    site: str


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
    standing: float = 1.0
    """Factor on its score: what a part of an SOP is worth as an answer (`standing`)."""


@dataclass(frozen=True)
class Hit:
    """A passage that meets the question: its place in the index, the mixed score, and each half's own score."""

    place: int
    entry: Entry
    score: float
    raw: Mapping[str, float]


@dataclass(frozen=True)
class Signals:
    """How well the best passage meets the question, in units that hold for any length of question and size of library.

    evidence   its score, counted in words that only one passage of the library has
    coverage   share of the question's weight (rare words weigh more) that it and its surroundings hold
    named      the same for its title and heading
    known      share of the question's weight that any passage the asker may read holds
    matched    how many of the question's words it holds
    """

    evidence: float = 0.0
    coverage: float = 0.0
    named: float = 0.0
    known: float = 0.0
    matched: int = 0
    asked: int = 0

    @property
    def certainty(self) -> float:
        """Above 0: answer. A logistic weighing of the signals, fitted on questions to two libraries (figures: docs/sops.md).

        It leans to refusing: a refusal still shows the nearest passages and the owner, a wrong answer is believed.
        """
        if not self.asked:
            return float("-inf")
        met = 1.69 * math.log(self.evidence + 0.05) + 2.26 * self.coverage + 2.1 * self.named + 1.89 * self.known
        return met + 3.04 * math.log1p(self.asked) - 7.7

    @property
    def off_topic(self) -> bool:
        """Nothing of the library comes near: no passage is worth showing."""
        return self.certainty < -2.5


@dataclass(frozen=True)
class Found:
    hits: tuple[Hit, ...] = ()
    signals: Signals = Signals()


# --- cutting --------------------------------------------------------------------------------------------------------------


def cuts(sop: Sop) -> Iterator[Cut]:
    """The passages of an SOP, in order: neighbouring blocks of one step under one heading, a step or two long.

    What to do and the closing lines (Who, Clock, If …) of a step are never in one passage, so that each can be quoted alone.
    """
    ends = {step.id: step.end for step in sop.steps}
    held: Block | None = None
    for block in sop.blocks:
        if sop.authored and any(heading.lower() in UNSEARCHED for heading in block.path):
            continue
        if held and _joins(held, block, ends.get(block.step, len(sop.source))):
            held = Block(held.start, block.end, held.path, held.step)
            continue
        if held:
            yield _cut(held)
        held = block
    if held:
        yield _cut(held)


def _joins(held: Block, block: Block, closing: int) -> bool:
    if (block.step, block.path) != (held.step, held.path) or (held.start < closing <= block.start):
        return False
    return block.end - held.start <= PASSAGE_CHARS


def _cut(block: Block) -> Cut:
    return Cut(block.step, block.path[-1] if block.path else NO_TEXT, block.start, block.end)


def standing(step: str, heading: str, text: str) -> float:
    """What a passage of an SOP in our format is worth as an answer: a step says what to do, a preface only names the topic."""
    if step:
        return 1.0 if sops.closes(text) else 1.2
    return 0.8 if heading.lower() in PREFACE else 1.0


# --- permission -----------------------------------------------------------------------------------------------------------


def permitted(entries: Sequence[Entry], asker: Principal) -> Mask:
    """Which passages the asker may read: the one filter, applied before anything is ranked.

    raises NoPrincipal   no person, no role or no site
    """
    import numpy as np

    if not (asker.person and asker.site and asker.roles and all(asker.roles)):
        raise NoPrincipal("a question needs an asker with a role and a site")
    roles, sites = asker.roles | {"all"}, {asker.site, "all"}
    return np.array([bool(entry.roles & roles and entry.sites & sites) for entry in entries], dtype=np.bool_)


def everything(entries: Sequence[Entry]) -> Mask:
    """No filter: for a folder of files that the person at the keyboard can read anyway, never for the installed library."""
    import numpy as np

    return np.ones(len(entries), dtype=np.bool_)


# --- words ----------------------------------------------------------------------------------------------------------------

_WORD = re.compile(r"[a-z0-9]+")
_ENTITY = re.compile(r"&#?\w{2,8};")
_CONTRACTED = re.compile(r"(?:n't|'(?:s|ll|d|ve|re|m))\b")
_HEDGE = re.compile(r"\bi (?:think|guess|believe|suppose)\b")
_LETTER = re.compile(r"\b([a-z])-([a-z])")  # x-ray, e-mail
_BRITISH = re.compile(r"is(e|ed|es|er|ers|ing|ation|ations|able)$")
_MAX_TERMS = 120
_local = threading.local()


def terms(text: str) -> list[str]:
    """The stems of the words that carry meaning, in order, in one spelling (`sterilise` is `sterilize`)."""
    plain = _CONTRACTED.sub("", _ENTITY.sub(" ", text.lower().replace("’", "'"))).replace("'", "")
    plain = _LETTER.sub(r"\1\2", _HEDGE.sub(" ", plain))
    empty = _words().empty
    words = [_BRITISH.sub(r"iz\1", word) if len(word) > 6 else word for word in _WORD.findall(plain) if word not in empty]
    words = [_words().forms.get(word, word).replace("colour", "color").replace("metre", "meter") for word in words]
    return list(_stemmer().stemWords(words))


def _stemmer() -> Any:
    """One stemmer a thread: Snowball's object keeps state while it works."""
    if not hasattr(_local, "stemmer"):
        import Stemmer

        _local.stemmer = Stemmer.Stemmer("english")
    return _local.stemmer


@dataclass(frozen=True)
class _Words:
    """knowledge/glossary.toml: words for one thing, words that say nothing about a topic, irregular forms and their base."""

    same: tuple[tuple[str, ...], ...]
    empty: frozenset[str]
    forms: Mapping[str, str]


@cache
def _words() -> _Words:
    data = tomllib.loads((files("knowledge") / "glossary.toml").read_text("utf-8"))
    return _Words(tuple(map(tuple, data["same"])), frozenset(data["empty"]), data["forms"])


@cache
def _glossary() -> Mapping[str, frozenset[str]]:
    """Stem -> the stems that staff use for the same thing."""
    same: dict[str, set[str]] = {}
    for group in _words().same:
        stems = {stem for word in group for stem in terms(word)}
        for stem in stems:
            same.setdefault(stem, set()).update(stems - {stem})
    return {stem: frozenset(others) for stem, others in same.items()}


# --- halves ---------------------------------------------------------------------------------------------------------------


class Half(Protocol):
    """One way to score every passage for a question; higher is better, 0 is nothing in common."""

    name: str

    def scores(self, question: str) -> Scores: ...


def blend(parts: Sequence[tuple[float, Scores]], mask: Mask) -> Scores:
    """Scores of several halves as one, by share, each brought to 0..1 over what the asker may read.

    With one half the scores stay as they are. A convex blend beat reciprocal ranks on every set we measured.
    """
    if len(parts) == 1:
        return parts[0][1]
    total: Scores = parts[0][1] * 0.0
    whole = sum(share for share, _ in parts)
    for share, scores in parts:
        low, high = (float(scores[mask].min()), float(scores[mask].max())) if mask.any() else (0.0, 0.0)
        if high > low:
            total = total + share / whole * (scores - low) / (high - low)
    return total


class Lexical:
    """BM25 of the passage, half as much of its surroundings, a third of its document; glossary words count for half.

    Measured without any model: nDCG@10 .81 and .855 on two public how-to sets, where BM25 of passages alone has .795 and .85.
    """

    name = "bm25"
    AROUND, DOCUMENT, GLOSSARY = 0.5, 0.3, 0.5

    def __init__(self, entries: Sequence[Entry], around: Sequence[tuple[int, int]]) -> None:
        import numpy as np

        heads = [terms(f"{entry.title}\n{entry.heading}\n{entry.heading}") for entry in entries]  # a heading weighs twice
        bodies = [terms(entry.text) for entry in entries]
        self.heads = [frozenset(head) for head in heads]
        self.words = [frozenset(head) | frozenset(body) for head, body in zip(heads, bodies, strict=True)]
        docs = {doc: n for n, doc in enumerate(dict.fromkeys(entry.doc for entry in entries))}
        self._doc_of = np.array([docs[entry.doc] for entry in entries], dtype=np.int64)
        whole: list[list[str]] = [[] for _ in docs]
        for n, body in enumerate(bodies):
            whole[self._doc_of[n]] += [*(heads[n] if not whole[self._doc_of[n]] else ()), *body]
        wide = [[*heads[n], *(word for body in bodies[a : z + 1] for word in body)] for n, (a, z) in enumerate(around)]
        self.wide_words = [frozenset(words) for words in wide]
        self._passages = _bm25([head + body for head, body in zip(heads, bodies, strict=True)])
        self._around = _bm25(wide)
        self._docs = _bm25(whole)
        self._places: dict[str, list[int]] = {}
        for n, words in enumerate(self.words):
            for word in words:
                self._places.setdefault(word, []).append(n)
        self._standing = np.array([entry.standing for entry in entries], dtype=np.float64)
        self._size = len(entries)

    def scores(self, question: str) -> Scores:
        asked = self.asked(question)
        meant = sorted({other for word in asked for other in _glossary().get(word, ())} - set(asked))
        return (self._score(asked) + self.GLOSSARY * self._score(meant)) * self._standing

    def asked(self, question: str) -> list[str]:
        """The question's words, each once; two swapped letters are put right where that gives a word of the library."""
        return list(dict.fromkeys(self._unswapped(word) for word in terms(question)))[:_MAX_TERMS]

    def weight(self, word: str) -> float:
        """How much a word says: its inverse passage frequency."""
        seen = len(self._places.get(word, ()))
        return math.log(1 + (self._size - seen + 0.5) / (seen + 0.5))

    def holds(self, words: frozenset[str], word: str) -> float:
        """1 where `words` has the word, half where it has another word for it, else 0."""
        return 1.0 if word in words else self.GLOSSARY if words & _glossary().get(word, frozenset()) else 0.0

    def known(self, word: str, mask: Mask) -> float:
        """As `holds`, over all that the asker may read."""
        if mask[self._places.get(word, [])].any():
            return 1.0
        others = _glossary().get(word, ())
        return self.GLOSSARY if any(mask[self._places.get(other, [])].any() for other in others) else 0.0

    def _score(self, words: Sequence[str]) -> Scores:
        import numpy as np

        if not words:
            return np.zeros(self._size)
        here: Scores = self._passages(words)
        total: Scores = here + self.AROUND * self._around(words) + self.DOCUMENT * self._docs(words)[self._doc_of]
        return total

    def _unswapped(self, word: str) -> str:
        if len(word) < 5 or word in self._places or _glossary().get(word):
            return word
        swaps = (word[:i] + word[i + 1] + word[i] + word[i + 2 :] for i in range(len(word) - 1))
        return next((swap for swap in swaps if swap in self._places), word)


def _bm25(texts: Sequence[Sequence[str]]) -> Any:
    """A function from words to one BM25 score a text."""
    import bm25s
    import numpy as np

    if not any(texts):
        return lambda _words: np.zeros(len(texts))
    model = bm25s.BM25()
    model.index([list(text) for text in texts], show_progress=False)
    known = model.vocab_dict

    def scores(words: Sequence[str]) -> Scores:
        inside = [word for word in words if word in known]
        return np.asarray(model.get_scores(inside), dtype=np.float64) if inside else np.zeros(len(texts))

    return scores


# --- the index --------------------------------------------------------------------------------------------------------------


class Index:
    """Passages in the order of their documents, ready to be searched. Immutable; safe to share between threads."""

    def __init__(self, entries: Sequence[Entry], others: Sequence[tuple[float, Half]] = (), share: float = 1.0) -> None:
        """`others` are further halves with their shares, `share` the lexical half's own."""
        self.entries = tuple(entries)
        self._lengths = [len(entry.text.split()) for entry in self.entries]
        self.lexical = Lexical(self.entries, [self._section(n) for n in range(len(self.entries))])
        self._halves: tuple[tuple[float, Half], ...] = ((share, self.lexical), *others)

    def search(self, question: str, mask: Mask, k: int = 10) -> Found:
        """The best `k` passages among those the mask lets through, best first, and how well the first meets the question."""
        import numpy as np

        if not mask.any():
            return Found()
        raw = {half.name: half.scores(question) for _, half in self._halves}
        mixed = blend([(share, raw[half.name]) for share, half in self._halves], mask)
        places = np.flatnonzero(mask & (mixed > 0))
        best = places[np.argsort(-mixed[places], kind="stable")][:k]
        hits = tuple(
            Hit(int(n), self.entries[n], float(mixed[n]), {name: float(scores[n]) for name, scores in raw.items()})
            for n in best
        )
        return Found(hits, self._signals(question, hits, mask)) if hits else Found()

    def _section(self, place: int) -> tuple[int, int]:
        """The neighbours under the same heading that a passage is ranked with."""
        return self.around(place, "heading")

    def around(self, place: int, bound: Bound, *, words: int = AROUND_WORDS, chars: int = 0) -> tuple[int, int]:
        """First and last place of the neighbouring passages, this one among them, that fit together within `bound`.

        words   how long they may be together; with `chars`, counted in characters of the source instead
        """
        first = last = place
        grown = True
        while grown:
            grown = False
            for more, less in ((1, 0), (0, 1)):
                start, end = first - less, last + more
                inside = start >= 0 and end < len(self.entries)
                if inside and self._together(place, start, end, bound) and self._size(start, end, chars) <= (chars or words):
                    first, last, grown = start, end, True
        return first, last

    def _together(self, place: int, start: int, end: int, bound: Bound) -> bool:
        one = self.entries[place]
        others = (self.entries[start], self.entries[end])
        if any(other.doc != one.doc for other in others):
            return False
        if bound == "step":
            return all(other.step == one.step for other in others)
        return bound == "document" or all(other.heading == one.heading for other in others)

    def _size(self, start: int, end: int, chars: int) -> int:
        if chars:
            return self.entries[end].end - self.entries[start].start
        return sum(self._lengths[start : end + 1])

    def _signals(self, question: str, hits: Sequence[Hit], mask: Mask) -> Signals:
        lexical = self.lexical
        asked = lexical.asked(question)
        weights = {word: lexical.weight(word) for word in asked}
        total = sum(weights.values()) or 1.0
        best = hits[0]
        evidence = best.raw[lexical.name] / lexical.weight("")
        if len(self.entries) < FEW:
            evidence = max(evidence, 0.4 * sum(lexical.holds(lexical.words[best.place], word) for word in asked))
        wide = lexical.wide_words[best.place]
        return Signals(
            evidence=evidence,
            coverage=sum(weights[word] * lexical.holds(wide, word) for word in asked) / total,
            named=sum(weights[word] * lexical.holds(lexical.heads[best.place], word) for word in asked) / total,
            known=sum(weights[word] * lexical.known(word, mask) for word in asked) / total,
            matched=sum(1 for word in asked if lexical.holds(wide, word)),
            asked=len(asked),
        )
