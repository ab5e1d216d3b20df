"""The passage index: which passages of which SOPs may this person read, and which of them meet the question best.

Passages are ranked by words, and by meaning as well where there are vectors (`knowledge.ranking`); whether the best of them
meets the question is weighed apart (`knowledge.certainty`). What is shown of a hit is a stretch of its document around it.
An Index is a private, in-memory copy of one process; the tables are the truth, and the generation number says when it is old.

    NoPrincipal     a question without an asker, a role or a site: nothing is searched
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from knowledge import certainty, sops
from knowledge.certainty import Signals
from knowledge.followup import Query
from knowledge.ranking import Entry as Entry
from knowledge.ranking import Lexical, blend, led
from knowledge.ranking import Meaning as Meaning
from knowledge.sops import NO_TEXT, Block, Sop, SopText
from knowledge.spelling import Reading
from knowledge.tables import Cut
from knowledge.words import stems

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Scores = NDArray[np.float64]
    Mask = NDArray[np.bool_]
    Places = NDArray[np.int64]
    Space = tuple[frozenset[str], frozenset[str]]

PASSAGE_CHARS = 380
"""A passage is a step or two: blocks of one step or heading are joined while they stay below this."""
AROUND_WORDS = 200
"""How much of its section stands around a passage when it is ranked and shown."""
SHOWN_WORDS = 210
"""How long a stretch of a document is shown for a hit."""
SAME = 0.6
"""A stretch of which this much (of its runs of four words) was shown already, from another copy of the text, is left out."""
CARRIED, TOWARD = 0.3, 0.2
"""Of a question that leans on an earlier one: how much the two together count beside it alone, and what the document that was
spoken of has before others, from the worst to the best score."""
STANDING = 1.0
"""How far the logarithm of its standing moves a passage that is ranked by words and meaning, in spreads."""

LOOKED = 20
"""In so many passages it is looked how they write a word."""
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
class Hit:
    """A passage that meets the question: its place in the index, the mixed score, and each half's own score."""

    place: int
    entry: Entry
    score: float
    raw: Mapping[str, float]


@dataclass(frozen=True)
class Found:
    """What a search brings up. `degraded`: by words alone, though there is an embedder.

    reading     the question as it was searched for
    scores      the mixed score of every passage by place, -inf where the asker may not read it
    """

    hits: tuple[Hit, ...] = ()
    signals: Signals = field(default_factory=Signals)
    degraded: bool = False
    reading: Reading = field(default_factory=Reading)
    scores: Scores | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Stretch:
    """A hit and the passages around it that are shown with it, from the first place to the last."""

    hit: Hit
    first: int
    last: int


# --- cutting --------------------------------------------------------------------------------------------------------------


def cuts(sop: Sop) -> Iterator[Cut]:
    """The passages of an SOP, in order: neighbouring blocks of one step under one heading, a step or two long.

    What to do and the closing lines (Who, Clock, If …) of a step are never in one passage, so that each can be quoted alone.
    """
    ends = {step.id: step.end for step in sop.steps}
    held: Block | None = None
    for block in sop.blocks:
        if sop.authored and any(heading.lower() in sops.UNSEARCHED for heading in block.path):
            continue
        if held and _joins(held, block, ends.get(block.step, len(sop.source))):
            held = replace(held, end=block.end)
            continue
        if held:
            yield _cut(held)
        held = block
    if held:
        yield _cut(held)


def _joins(held: Block, block: Block, closing: int) -> bool:
    if (block.step, block.path, block.asked) != (held.step, held.path, held.asked) or (held.start < closing <= block.start):
        return False
    return block.end - held.start <= PASSAGE_CHARS


def _cut(block: Block) -> Cut:
    return Cut(block.step, block.path[-1] if block.path else NO_TEXT, block.start, block.end, block.asked)


def standing(step: str, heading: str, text: str) -> float:
    """What a passage of an SOP in our format is worth as an answer: a step says what to do, a preface only names the topic."""
    if step:
        return 1.0 if sops.closes(text) else 1.2
    return 0.8 if heading.lower() in PREFACE else 1.0


# --- permission -----------------------------------------------------------------------------------------------------------


def permitted(searched: Index | Sequence[Entry], asker: Principal) -> Mask:
    """Which passages the asker may read: the one filter, applied before anything is ranked.

    raises NoPrincipal   no person, no role or no site
    """
    import numpy as np

    if not (asker.person and asker.site and asker.roles and all(asker.roles)):
        raise NoPrincipal("a question needs an asker with a role and a site")
    roles, sites = asker.roles | {"all"}, {asker.site, "all"}
    spaces, space_of = searched.spaces if isinstance(searched, Index) else _spaces(searched)
    mask: Mask = np.array([bool(space[0] & roles and space[1] & sites) for space in spaces], dtype=np.bool_)[space_of]
    return mask


def _spaces(entries: Sequence[Entry]) -> tuple[tuple[Space, ...], Places]:
    """The different roles and sites there are, and which of them each passage is for: few, where passages are many."""
    import numpy as np

    known: dict[Space, int] = {}
    space_of = np.array([known.setdefault((entry.roles, entry.sites), len(known)) for entry in entries], dtype=np.int64)
    return tuple(known), space_of


def everything(entries: Sequence[Entry]) -> Mask:
    """No filter: for a folder of files that the person at the keyboard can read anyway, never for the installed library."""
    import numpy as np

    return np.ones(len(entries), dtype=np.bool_)


# --- the index --------------------------------------------------------------------------------------------------------------


class Index:
    """Passages in the order of their documents, ready to be searched. Immutable; safe to share between threads."""

    def __init__(self, entries: Sequence[Entry], meaning: Meaning | None = None, earlier: Index | None = None) -> None:
        """`meaning` knows the passages by the same places as `entries`. With an `earlier` index only new texts are cut."""
        import numpy as np

        self.entries = tuple(entries)
        self.meaning = meaning
        self._share = certainty.measures(meaning.embedder if meaning else "").share
        self._lengths = [len(entry.text.split()) for entry in self.entries]
        headed = [(entry.doc, entry.heading) for entry in self.entries]
        self._starts = np.array([n for n, each in enumerate(headed) if not n or each != headed[n - 1]], dtype=np.int64)
        docs = [doc for doc, _ in headed]
        self._doc_starts = np.array([n for n, doc in enumerate(docs) if not n or doc != docs[n - 1]], dtype=np.int64)
        self.spaces = _spaces(self.entries)
        first = {(e.doc, e.asked): n for n, e in reversed([*enumerate(self.entries)]) if e.asked}
        self.asked = {n: asked for (_, asked), n in first.items()}
        """By the first passage of a step or section, what it is asked as."""
        self.lexical: Lexical = Lexical(self.entries, self._sections(), earlier.lexical if earlier else None)

    def search(self, question: str | Query, mask: Mask, k: int = 10) -> Found:
        """The best `k` passages among those the mask lets through, best first, and how well they meet the question.

        A question that leans on an earlier one is looked for as it stands and with that, near to what that was answered from.
        """
        import numpy as np

        if not mask.any():
            return Found()
        query, reading = self._read(question if isinstance(question, Query) else Query(question), mask)
        raw, both, mixed = self._ranked(query.whole, mask)
        if query.after:
            alone = self._ranked(query.text, mask)[2]
            near = np.array([entry.doc == query.toward for entry in self.entries])
            mixed = _scaled((1 - CARRIED) * alone + CARRIED * mixed + TOWARD * float(mixed[mask].max()) * near, mask)
        places = np.flatnonzero(mask if both else mask & (mixed > 0))
        best = places[np.argsort(-mixed[places], kind="stable")][:k]
        hits = tuple(
            Hit(int(n), self.entries[n], float(mixed[n]), {name: float(scores[n]) for name, scores in raw.items()})
            for n in best
        )
        degraded = self.meaning is not None and not both
        if not hits:
            return Found(degraded=degraded, reading=reading)
        places_of = [hit.place for hit in hits]
        signals = certainty.signals(query.whole, places_of, raw, mask, self.lexical, self.meaning if both else None)
        if signals.outcome == "refusal" and query.toward == hits[0].entry.doc != "":
            signals = replace(signals, outcome="nearest")  # the thread is about this document: its topic is no other
        return Found(hits, signals, degraded, reading, np.where(mask, mixed, -np.inf))

    def search_by_meaning(self, question: str, mask: Mask, k: int = 10) -> Found:
        """As `search`, for a question in another language than the passages': nothing but meaning can find or judge them."""
        import numpy as np

        if not mask.any() or self.meaning is None:
            return Found()
        cosines = self.meaning.scores(question, mask)
        known = mask & ~np.isnan(cosines)
        if not known.any():
            return Found(degraded=True)
        places = np.flatnonzero(known)
        score = _scaled(cosines, known)
        best = places[np.argsort(-cosines[places], kind="stable")][:k]
        hits = tuple(Hit(int(n), self.entries[n], float(score[n]), {self.meaning.name: float(cosines[n])}) for n in best)
        signals = certainty.by_meaning(cosines, mask, self.meaning.elsewhere(question, mask))
        return Found(hits, signals, scores=np.where(known, score, -np.inf))

    def _read(self, query: Query, mask: Mask) -> tuple[Query, Reading]:
        """The question, and what it was asked after, with their misspelt words as they were meant."""

        def seen(word: str) -> int:
            return len(self.lexical.places(word, mask))

        def written(word: str) -> SopText | None:
            return next(filter(None, (self._written(word, n) for n in self.lexical.places(word, mask)[:LOOKED].tolist())), None)

        text, after = (self.lexical.spelling.read(each, seen, written) for each in (query.text, query.after))
        return replace(query, text=text.text, after=after.text), text

    def _written(self, word: str, place: int) -> SopText | None:
        """The word as this passage, its heading or its title writes it: if it can be, in this form."""
        entry, stem = self.entries[place], stems([word])
        texts = (entry.text, entry.heading, entry.title)
        found = [(text, each) for text in texts for each in re.finditer(r"[A-Za-z]+", text) if stems([each[0].lower()]) == stem]
        text, best = min(found, key=lambda each: each[1][0].lower() != word, default=(NO_TEXT, None))
        return sops.excerpt(text, *best.span()) if best else None

    def _ranked(self, text: str, mask: Mask) -> tuple[dict[str, Scores], bool, Scores]:
        """What each half scores, whether meaning is among them, and both together."""
        import numpy as np

        raw = {self.lexical.name: self.lexical.scores(text, mask)}
        if self.meaning:
            raw[self.meaning.name] = self.meaning.scores(text, mask)
        both = self.meaning is not None and not np.isnan(raw[self.meaning.name][mask]).all()
        return raw, both, self._mixed(raw, mask) if both else raw[self.lexical.name]

    def _mixed(self, raw: Mapping[str, Scores], mask: Mask) -> Scores:
        """Both halves by the embedder's share; a part of an SOP that is worth less as an answer is set back."""
        import numpy as np

        mixed = blend([(1 - self._share, raw[Lexical.name]), (self._share, raw[Meaning.name])], mask)
        return led(mixed + STANDING * np.log(self.lexical.standing), self._starts, mask)

    def stretches(self, found: Found, k: int, words: int = SHOWN_WORDS) -> Iterator[Stretch]:
        """What to show of the best hits, at most `k`: each with the neighbours that meet the question better, no passage twice.

        A stretch stays in its document, and says something that was not shown already: of copies of a text, one is enough.
        """
        import numpy as np

        if found.scores is None:
            return
        free: Mask = np.isfinite(found.scores)
        shown: list[Set[tuple[str, ...]]] = []
        for hit in found.hits:
            if len(shown) == k:
                return
            if not free[hit.place]:
                continue
            first, last = self._stretch(hit.place, found.scores, free, words)
            free[first : last + 1] = False
            runs = _runs(" ".join(entry.text for entry in self.entries[first : last + 1]))
            if runs and any(len(runs & other) >= SAME * len(runs) for other in shown):
                continue
            shown.append(runs)
            yield Stretch(hit, first, last)

    def _stretch(self, place: int, scores: Scores, free: Mask, words: int) -> tuple[int, int]:
        """The hit and, one by one, the better of its two neighbours, while there is room."""
        first = last = place
        while True:
            sides = [
                (n, a, z)
                for n, a, z in ((last + 1, first, last + 1), (first - 1, first - 1, last))
                if self._fits(n, a, z, place, free, words)
            ]
            if not sides:
                return first, last
            _, first, last = max(sides, key=lambda side: scores[side[0]])

    def _fits(self, new: int, first: int, last: int, place: int, free: Mask, words: int) -> bool:
        if not 0 <= new < len(self.entries) or not free[new] or self.entries[new].doc != self.entries[place].doc:
            return False
        return self._shown_words(first, last) <= words

    def _shown_words(self, first: int, last: int) -> int:
        """Words of the source from the first passage to the last, headings between them counted."""
        inside = self._starts[(self._starts > first) & (self._starts <= last)]
        return sum(self._lengths[first : last + 1]) + sum(len(self.entries[n].heading.split()) + 1 for n in inside)

    def _sections(self) -> list[tuple[int, int]]:
        """As `around` within the heading, of every passage: what it is ranked with."""
        import numpy as np

        many = len(self.entries)
        bounds = np.append(self._starts, many)
        section = np.repeat(np.arange(len(self._starts)), np.diff(bounds))
        low, high = bounds[section], bounds[section + 1] - 1
        words = np.concatenate([np.zeros(1, np.int64), np.cumsum(self._lengths, dtype=np.int64)])
        first, last = np.arange(many), np.arange(many)
        grown = True
        while grown:
            more = (last < high) & (words[np.minimum(last + 2, many)] - words[first] <= AROUND_WORDS)
            last = last + more
            less = (first > low) & (words[last + 1] - words[np.maximum(first - 1, 0)] <= AROUND_WORDS)
            first = first - less
            grown = bool(more.any() or less.any())
        return list(zip(first.tolist(), last.tolist(), strict=True))

    def docs(self, mask: Mask) -> set[str]:
        """The documents of which the mask lets something through."""
        import numpy as np

        inside = np.logical_or.reduceat(mask, self._doc_starts) if len(mask) else mask
        return {self.entries[n].doc for n in self._doc_starts[inside]}

    def document(self, place: int) -> Sequence[Entry]:
        """The passages of the document that this passage stands in."""
        import numpy as np

        number = int(np.searchsorted(self._doc_starts, place, side="right"))
        end = int(self._doc_starts[number]) if number < len(self._doc_starts) else len(self.entries)
        return self.entries[int(self._doc_starts[number - 1]) : end]

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
        return bound == "document" or all((other.heading, other.asked) == (one.heading, one.asked) for other in others)

    def _size(self, start: int, end: int, chars: int) -> int:
        if chars:
            return self.entries[end].end - self.entries[start].start
        return sum(self._lengths[start : end + 1])


def _scaled(scores: Scores, mask: Mask) -> Scores:
    """As high as 1 at most, in proportion."""
    top = float(scores[mask].max())
    return scores / top if top > 0 else scores


_RUN = 4


def _runs(text: str) -> Set[tuple[str, ...]]:
    """Every run of four words: what two texts have in common, whatever their marks and line breaks."""
    words = re.findall(r"[a-z0-9]+", text.lower())
    return {tuple(words[n : n + _RUN]) for n in range(len(words) - _RUN + 1)}
