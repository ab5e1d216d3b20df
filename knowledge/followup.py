"""What a question means in its thread: "and if it's after hours?" is about what was spoken of just before.

Pure: questions in, a query out. Who keeps the thread, and for how long, is the caller's business.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from knowledge.words import terms

FEW_TERMS = 3
"""A question of no more words that carry meaning leans on what was asked before."""
SOME_TERMS = 6
"""One of no more does so if it says `it`, `that one` or `there`, or starts with `and`."""
_OPENS = re.compile(
    r"\s*(?:and|or|but|then|so|also|ok(?:ay)?|yep|yes|no|what about|how about|what if|what else|same)\b", re.IGNORECASE
)
_POINTS = re.compile(
    r"\b(?:it|its|it's|that|this|these|those|they|them|theirs?|one|ones|there|then|after that|he|she|him|her|else)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Turn:
    """A question asked earlier in the thread, and the document that what was shown for it came from first (empty: none)."""

    question: str
    doc: str = ""


@dataclass(frozen=True)
class Query:
    """What to search for: the question as it stands, what it was asked after, and the document that the thread is about."""

    text: str
    after: str = ""
    toward: str = ""

    @property
    def whole(self) -> str:
        return f"{self.after} {self.text}".strip()


def resolved(question: str, earlier: Sequence[Turn]) -> Query:
    """The question as it is meant after the `earlier` ones, oldest first; as it stands where it stands alone."""
    if not earlier or not leans(question):
        return Query(question)
    told = next((turn.doc for turn in reversed(earlier) if turn.doc), "")
    return Query(question, earlier[-1].question, told)


def leans(question: str) -> bool:
    """Whether it makes sense only with what was asked before."""
    carried = len(terms(question))
    return carried <= FEW_TERMS or (carried <= SOME_TERMS and bool(_OPENS.match(question) or _POINTS.search(question)))
