"""Was the question met? What the best passages have of it, weighed into one of three outcomes.

The weights stand in certainty.toml, one entry for each embedder and one for words alone: a cosine means something else in each.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal

from knowledge.ranking import Lexical, Meaning

if TYPE_CHECKING:
    from knowledge.ranking import Mask, Scores

FEW = 100
"""In a library of fewer passages than this no word is rare, and how many of a question's words are met counts instead."""
FIRST = 5
"""Among how many of the first passages the one that holds most of the question is looked for."""
OTHER_SHARE = 0.5
"""Of meaning, where nothing was measured for an embedder."""

STANDS_OUT = 0.65
"""Of the way from the middle of the library to its nearest passage, what lies between that and the tenth: then it states it.
Measured in docs/answers.md, In another language."""

Outcome = Literal["answer", "nearest", "refusal"]


@dataclass(frozen=True)
class Measures:
    """What was found out for one embedder, or for words alone.

    share       of meaning in the ranking
    topic       the weight of each signal for whether the library speaks of this at all; below 0 the question is refused
    answer      the same for whether the best passages state what is asked; above 0 they are shown as the answer
    """

    share: float
    topic: Mapping[str, float]
    answer: Mapping[str, float]


@dataclass(frozen=True)
class Signals:
    """How well the best passages meet the question, in units that hold for any length of question and size of library.

    evidence        BM25 of the best passage, counted in words that only one passage of the library has (logarithm)
    evidence_any    the same of the passage where it is greatest
    coverage        share of the question's weight (rare words weigh more) that the best passage and its surroundings hold
    coverage_any    the same of that one of the first passages where it is greatest
    named           the same of the best passage's title and heading
    known           share of the question's weight that any passage the asker may read holds
    asked           how many words the question has (logarithm)
    cosine          the greatest cosine of a passage with the question; like the next two unknown by words alone
    gap             by how much that is above the tenth
    elsewhere       the greatest cosine of a sentence about the rest of life with the question
    """

    values: Mapping[str, float] = field(default_factory=dict)
    topic: float = float("-inf")
    certainty: float = float("-inf")
    """Above 0: answer."""
    outcome: Outcome = "refusal"

    @property
    def off_topic(self) -> bool:
        """Nothing of the library comes near: no passage is worth showing."""
        return self.outcome == "refusal"


def signals(
    question: str, best: Sequence[int], raw: Mapping[str, Scores], mask: Mask, lexical: Lexical, meaning: Meaning | None
) -> Signals:
    """How well the passages at the places `best`, best first, meet the question, by their raw scores.

    meaning     None where only words are known of the passages
    """
    asked = lexical.asked(question)
    if not asked:
        return Signals()
    values = {"": 1.0, **_by_words(asked, best, raw[lexical.name], mask, lexical)}
    used = measures("")
    if meaning:
        values |= _by_meaning(raw[meaning.name], mask) | {"elsewhere": meaning.elsewhere(question, mask)}
        stored = measures(meaning.embedder)
        used = used if any(math.isnan(values[name]) for name in (*stored.topic, *stored.answer)) else stored
    topic, certainty = (sum(weight * values[name] for name, weight in weights.items()) for weights in (used.topic, used.answer))
    outcome: Outcome = "refusal" if topic <= 0 else "answer" if certainty > 0 else "nearest"
    return Signals(values, topic, certainty, outcome)


def by_meaning(cosines: Scores, mask: Mask, elsewhere: float) -> Signals:
    """How well passages meet a question in another language than theirs, by its cosines alone, for any embedder.

    Nothing but cosines of this one question are compared, because a cosine means something else to each embedder: whether a
    passage is nearer than any sentence about the rest of life, and whether the first passages stand out from the library.
    Where that is not known, what comes near is shown as that.
    """
    import numpy as np

    known = np.sort(cosines[mask & ~np.isnan(cosines)])[::-1]
    values = _by_meaning(cosines, mask) | {"elsewhere": elsewhere}
    topic = 0.0 if math.isnan(elsewhere) else values["cosine"] - elsewhere
    certainty = values["gap"] - STANDS_OUT * (values["cosine"] - float(np.median(known)))
    if topic < 0:
        return Signals(values, topic, certainty, "refusal")
    return Signals(values, topic, certainty, "answer" if certainty > 0 and topic > 0 else "nearest")


def _by_words(asked: Sequence[str], best: Sequence[int], bm25: Scores, mask: Mask, lexical: Lexical) -> dict[str, float]:
    weights = {word: lexical.weight(word) for word in asked}
    total = sum(weights.values()) or 1.0

    def share(words: frozenset[str]) -> float:
        return sum(weights[word] * lexical.holds(words, word) for word in asked) / total

    first = best[0]
    evidence = float(bm25[first]) / lexical.weight("")
    if lexical.size < FEW:
        evidence = max(evidence, 0.4 * sum(lexical.holds(lexical.words(first), word) for word in asked))
    return {
        "evidence": math.log(max(evidence, 0.0) + 0.05),
        "evidence_any": math.log(max(float(bm25[mask].max()) / lexical.weight(""), 0.0) + 0.05),
        "coverage": share(lexical.wide_words(first)),
        "coverage_any": max(share(lexical.wide_words(n)) for n in best[:FIRST]),
        "named": share(lexical.head_words(first)),
        "known": sum(weights[word] * lexical.known(word, mask) for word in asked) / total,
        "asked": math.log1p(len(asked)),
    }


def _by_meaning(cosines: Scores, mask: Mask) -> dict[str, float]:
    import numpy as np

    known = np.sort(cosines[mask & ~np.isnan(cosines)])[::-1]
    return {"cosine": float(known[0]), "gap": float(known[0] - known[min(9, known.size - 1)])}


def measures(embedder: str) -> Measures:
    """What is stored for the embedder with this id, for its model where that ran in another way, else for words alone."""
    table = _table()
    name = next((name for name in (embedder, *_shorter(embedder)) if name in table), "")
    found = table[name]
    share = found.get("share", OTHER_SHARE)
    return Measures(float(share), found["topic"], found["answer"])


def _shorter(embedder: str) -> Sequence[str]:
    parts = embedder.split(":")
    return [":".join(parts[:n]) for n in range(len(parts) - 1, 0, -1)]


@cache
def _table() -> Mapping[str, Any]:
    entries = tomllib.loads((files("knowledge") / "certainty.toml").read_text("utf-8"))["measured"]
    return {entry["embedder"]: entry for entry in entries}
