"""The words in which a step is asked for, as further names of that step: confirmed by staff, or given by its author.

Whoever asks the same (but for inflection, order and small words) is shown that step.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TypeVar

from knowledge.words import terms

SAME = 0.85
"""From this share of common words on (of both together), two questions are one."""
LEAST = 2
"""A question of fewer words than this names too much."""

Phrases = Mapping[tuple[str, str], tuple[str, ...]]
"""(sop, step) -> what it was asked as."""


Place = TypeVar("Place")


def named(question: str, phrases: Mapping[Place, tuple[str, ...]]) -> list[Place]:
    """The places that are asked for in the words of this question, the nearest first."""
    asked = _stems(question)
    if len(asked) < LEAST:
        return []
    near = {place: max((_share(asked, _stems(each)) for each in texts), default=0.0) for place, texts in phrases.items()}
    return sorted((place for place, share in near.items() if share >= SAME), key=lambda place: -near[place])


def _share(one: frozenset[str], other: frozenset[str]) -> float:
    return 2 * len(one & other) / (len(one) + len(other)) if one and other else 0.0


@lru_cache(maxsize=20_000)
def _stems(text: str) -> frozenset[str]:
    return frozenset(terms(text))
