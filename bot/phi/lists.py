"""The words that names are told by, and what is common to every search in a typed text. Pure."""

from __future__ import annotations

import tomllib
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal, Protocol, cast

import re2

Kind = Literal["name", "number", "date", "address", "age"]
Mode = Literal["note", "question", "search"]
"""note: a remark kept with a record, taken apart most strictly. question: kept, logged, sent to a model. search: looked for
in our own passages, so that an ordinary word which is also some patient's name stays unless it is used as a name."""

MARK = "[…]"


class Known(Protocol):
    """The patients that the practice's own feeds name."""

    def among(self, marks: Collection[str]) -> Collection[str]:
        """Which of these belong to a patient: marks as `marks_of` makes them."""
        ...


@dataclass(frozen=True)
class Listed:
    """Known by a list of marks in memory."""

    marks: frozenset[str] = frozenset()

    def among(self, marks: Collection[str]) -> Collection[str]:
        return self.marks.intersection(marks)


NOBODY = Listed()


def marks_of(name: str) -> frozenset[str]:
    """What a patient's name is known by: "Alvarez, Maria", "Maria Alvarez" or "Maria de la Cruz-Ortiz".

    returns   s: a surname, g: a given name, f: both together, t: a surname with one letter left out. Folded; to be kept hashed
    limit     without a comma every word but the first counts as a surname
    """
    before, comma, after = name.partition(",")
    words, behind = _name_words(before), _name_words(after)
    surname, given = (words, behind) if comma else (words[1:] or words, words[:1] if words[1:] else [])
    own = [w for w in surname if w not in data().particles]
    parts = {p for w in own for p in (w, *w.split("-"))} | {"".join(surname)}
    folded = {p for part in parts if len(p := fold(part)) > 1 or not p.isascii()}
    first = [w for part in given if len(w := fold(part)) > 1 and part not in data().particles]
    marks = {f"s:{p}" for p in folded} | {f"g:{p}" for p in first}
    marks |= {f"f:{pair}" for g in first for s in folded for pair in (g + s, s + g)}
    marks |= {f"f:{''.join(first)}{s}" for s in folded if first}
    return frozenset(marks | {f"t:{slip}" for p in folded if len(p) >= LONG for slip in near(p)})


def fold(word: str) -> str:
    """Letters and digits alone, small, without accents: every spelling of one name is one."""
    plain = unicodedata.normalize("NFKD", word.translate(_LETTERS)).casefold()
    return "".join(c for c in plain.translate(_LETTERS) if c.isalnum())


def harmless(word: str) -> bool:
    """Whether a word is an ordinary one or a thing's name, so that it may stay where nothing beside it makes it a person's."""
    return word.isascii() and (data().is_plain(fold(word)) or fold(word) in data().proper)


_LETTERS = str.maketrans({"ł": "l", "Ł": "L", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D", "æ": "ae", "œ": "oe", "ı": "i", "ð": "d"})
LONG = 6
"""Letters from which on a surname is known with one of them wrong."""
_AFTER_NAMES = frozenset("jr sr ii iii iv".split())  # noqa: SIM905
MONTHS = frozenset("january february march april may june july august september october november december".split())  # noqa: SIM905


@dataclass(frozen=True)
class Data:
    given: frozenset[str]
    surnames: frozenset[str]
    words_too: frozenset[str]
    proper: frozenset[str]
    never_alone: frozenset[str]
    particles: frozenset[str]
    titles: frozenset[str]
    doctors: frozenset[str]
    strong: frozenset[str]
    weak: frozenset[str]
    does: frozenset[str]
    had: frozenset[str]
    phrases: frozenset[str]
    """Folded, their words joined."""
    words: frozenset[str]

    def is_plain(self, word: str) -> bool:
        """Whether this folded word is an ordinary one, in some form of it."""
        return word in self.words or any(form in self.words for form in _forms(word))


@cache
def data() -> Data:
    read: dict[str, Any] = tomllib.loads(files("bot.phi").joinpath("lists.toml").read_text("utf-8"))
    phrases = frozenset(fold(p) for p in read.pop("phrases").split("|"))
    words = frozenset(files("bot.phi").joinpath("words.txt").read_text("utf-8").split())
    lists = {name: frozenset(text.split()) for name, text in read.items()}
    lists["words_too"] |= lists["proper"] & (lists["given"] | lists["surnames"])
    return Data(**lists, phrases=phrases, words=words.union(*(lists[name] for name in _PLAIN_LISTS)))


_PLAIN_LISTS = ("never_alone", "words_too", "titles", "doctors", "strong", "weak", "does", "had")


def _forms(word: str) -> Iterator[str]:
    for ending, instead in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            stem = word[: -len(ending)]
            yield from (stem + end for end in instead)
            if ending in ("ed", "ing") and stem[-1] == stem[-2]:
                yield stem[:-1]


_ENDINGS = (
    ("s", ("",)), ("es", ("",)), ("ies", ("y",)), ("ed", ("", "e")), ("ing", ("", "e")), ("ied", ("y",)), ("ly", ("",)),
)  # fmt: skip


def _name_words(text: str) -> list[str]:
    """The words of a patient's name as a feed writes it, small, without initials, numbers and what follows a name."""
    found = [w.casefold().strip("'’") for w in words_of(text)]
    return [w for w in found if fold(w) not in _AFTER_NAMES and not any(c.isdigit() for c in w) and (w[1:] or not w.isascii())]


def words_of(text: str) -> list[str]:
    return [text[at:end] for at, end in spans(WORD, text)]


def near(word: str) -> set[str]:
    """The word, and all it can be with one letter left out: two words with a common one differ by a slip of the finger."""
    return {word, *(word[:n] + word[n + 1 :] for n in range(len(word)))}


class Pattern(Protocol):
    """Of google-re2, which brings no types: a compiled pattern. Its time is linear in the text's length."""

    def finditer(self, text: str) -> Iterator[Any]: ...


def compiled(*alternatives: str) -> Pattern:
    return cast(Pattern, re2.compile("(?i)" + "|".join(f"(?:{each})" for each in alternatives)))


def spans(pattern: Pattern, text: str) -> Iterator[tuple[int, int]]:
    """Where it matches: the whole, or its one group that took part (what stands before that stays)."""
    for found in pattern.finditer(text):
        yield next((found.span(n + 1) for n, group in enumerate(found.groups()) if group is not None), found.span())


WORD = compiled(r"[\p{L}\p{M}\p{N}]+(?:['’ʼ‘`´\-‐‑][\p{L}\p{M}\p{N}]+)*")
PART = compiled(r"[\p{L}\p{M}\p{N}]+")
"""What dashes and apostrophes part within one WORD."""
HIDDEN = "\ue000"
"""Stands for a digit that may stay, while the others are looked for."""


def blanked(text: str, spans: Iterable[tuple[int, int, Kind]]) -> str:
    """`text` with MARK's own sign where something was found: nothing on both sides of it is one name or number."""
    chars = list(text)
    for at, end, _ in spans:
        chars[at:end] = "…" * (end - at)
    return "".join(chars)


def hidden(text: str, spans: Iterable[tuple[int, int]]) -> str:
    chars = list(text)
    for at, end in spans:
        chars[at:end] = [HIDDEN if c.isdigit() else c for c in chars[at:end]]
    return "".join(chars)
