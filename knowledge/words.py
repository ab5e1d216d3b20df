"""The words of questions and passages as they are compared: stems in one spelling, and the words staff use for one thing."""

from __future__ import annotations

import re
import threading
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

_WORD = re.compile(r"[a-z0-9]+")
_ENTITY = re.compile(r"&#?\w{2,8};")
_CONTRACTED = re.compile(r"(?:n't|'(?:s|ll|d|ve|re|m))\b")
_HEDGE = re.compile(r"\bi (?:think|guess|believe|suppose)\b")
_LETTER = re.compile(r"\b([a-z])-([a-z])")  # x-ray, e-mail
_BRITISH = re.compile(r"is(e|ed|es|er|ers|ing|ation|ations|able)$")
_local = threading.local()


def terms(text: str) -> list[str]:
    """The stems of the words that carry meaning, in order, in one spelling (`sterilise` is `sterilize`)."""
    return stems(spoken(text))


def spoken(text: str) -> list[str]:
    """The words that carry meaning, in order, small, as they are written."""
    plain = _CONTRACTED.sub("", _ENTITY.sub(" ", text.lower().replace("’", "'"))).replace("'", "")
    plain = _LETTER.sub(r"\1\2", _HEDGE.sub(" ", plain))
    empty = _words().empty
    return [word for word in _WORD.findall(plain) if word not in empty]


def stems(words: Iterable[str]) -> list[str]:
    """Of each of these small words its stem, in one spelling."""
    words = [_BRITISH.sub(r"iz\1", word) if len(word) > 6 else word for word in words]
    words = [_words().forms.get(word, word).replace("colour", "color").replace("metre", "meter") for word in words]
    return list(_stemmer().stemWords(words))


def empty() -> frozenset[str]:
    """The words that say nothing about a question's topic."""
    return _words().empty


def others(stem: str) -> frozenset[str]:
    """The stems that staff use for the same thing."""
    return _glossary().get(stem, frozenset())


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
    same: dict[str, set[str]] = {}
    for group in _words().same:
        stems = {stem for word in group for stem in terms(word)}
        for stem in stems:
            same.setdefault(stem, set()).update(stems - {stem})
    return {stem: frozenset(others) for stem, others in same.items()}
