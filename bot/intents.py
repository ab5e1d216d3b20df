"""What a typed line wants, by its words alone: tables of patterns (intents.toml), read from top to bottom. Pure.

Only a line that is nothing but a command is one. Whatever else it says, it is a question about how something is done; so
"how many days do I have to appeal" goes to the SOPs, and "how many denials are open" to the figures.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal, cast

Intent = Literal[
    "empty", "numbers", "help", "thanks", "small_talk", "my_items", "digest", "count", "walk", "next", "back", "done", "stop",
    "start_over", "out_of_scope", "how_to",
]  # fmt: skip
LONGEST_COMMAND = 90
"""A longer line is a question, whatever it begins with."""

_SPOKEN = re.compile(
    r"^(?:(?:please|pls|plz|hey|hi|hello|holdfast|ok|okay|so|um|and|can you|could you|would you|will you|can i)[ ,]+)+"
)
_POLITE = re.compile(r"(?:[ ,]+(?:please|pls|plz|holdfast|thanks?|thank you|thx))+$")
_MINE = re.compile(
    r"(?:do i (?:still )?(?:have|got)|have i (?:still )?got|(?:which|how many|what) of my|my"
    r"|(?:show|list|see|open|give)(?: me)?(?: all)? my)\b"
)
_I_HAVE = re.compile(r"how many (?:\w+ ){1,4}(?:do|have) i (?:still )?(?:have|got)\b")
_COUNT = re.compile(
    r"(?:how many|how much|(?:the )?number of|count(?: of| up)?|total(?: of| number of)?|list|show|give me|which"
    r"|what(?! (?:are|is|does|s)\b))(?: me)?(?: (?:all|of|the|our|every))* (?P<what>.+)"
)
_THERE = re.compile(
    r"\b(?:are there|(?:do )?we (?:still )?have|have we got|(?:is|are) (?:with|on) us|in (?:the )?(?:queue|backlog))\b"
)
_DOES = re.compile(
    r"\b(?:do|does|can|could|should|must|may|needs?|have|has) (?:i|you|we|one|they|it|to)\b(?! (?:still )?(?:have|got)\b)"
)
_AFTER_THE_NOUN = re.compile(r"\b(?:are|is|do|does|did|can|have|has|were|was|that|which|in|on|at|for|with|of|to|there|we|i)\b")
_JOINED = re.compile(
    r"(?:and|but|or|so|then|also|ok(?:ay)?(?: and| but)?|what if|what about|how about|even if|unless|except|otherwise)\b",
    re.IGNORECASE,
)
_IF = re.compile(r"\b(?:if|unless|except|without|when)\b")
_TURNS = frozenset({"after", "before", "no", "not", "many", "long"})
_POINTING = re.compile(
    r"\b(?:it|its|it's|that|this|those|these|them|they|there|he|she|him|her|same|ones?|else|instead)\b", re.IGNORECASE
)
_SCRIPTS = (
    ("ja", r"[\u3040-\u30ff]"),
    ("zh", r"[\u4e00-\u9fff]"),
    ("ko", r"[\uac00-\ud7af]"),
    ("ru", r"[\u0400-\u04ff]"),
    ("ar", r"[\u0600-\u06ff]"),
)


@dataclass(frozen=True)
class Said:
    """What a line wants. `topics`: the words, of those that can be counted, that it speaks about; empty: about everything."""

    intent: Intent
    topics: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _Tables:
    rules: tuple[tuple[Intent, re.Pattern[str]], ...]
    vocabulary: frozenset[str]
    """The words that commands are made of."""
    state: re.Pattern[str]
    general: frozenset[str]
    units: frozenset[str]
    uncounted: frozenset[str]
    small: frozenset[str]
    of_step: Mapping[str, re.Pattern[str]]
    languages: Mapping[str, frozenset[str]]


def read(text: str, topics: Collection[str] = ()) -> Said:
    """What is wanted by `text`.

    topics   the nouns that can be counted and listed here, in the singular: claim, denial, plan (`topics_of`)
    """
    if not any(char.isalpha() for char in text):
        return Said("numbers" if any(char.isdigit() for char in text) else "empty")
    line = _line(text[: LONGEST_COMMAND * 4])
    if len(line) > LONGEST_COMMAND:
        return Said("how_to")
    bare = _POLITE.sub("", _SPOKEN.sub("", line)) or line
    for plain in dict.fromkeys((line, bare, _mended(bare))):
        if found := _command(plain) or _counting(plain, frozenset(topics)):
            return found
    return Said("how_to")


def topics_of(titles: Iterable[str]) -> frozenset[str]:
    """The nouns of these titles, in the singular: what can be counted."""
    words = (word for title in titles for word in re.findall(r"[a-z]{3,}", title.lower()))
    return frozenset(singular(word) for word in words if word not in _tables().uncounted)


def singular(word: str) -> str:
    """A noun in the singular, well enough to compare: `denials` is `denial`, `entries` is `entry`; `denied` is `denial` too."""
    if word in ("denied", "rejected"):
        return {"denied": "denial", "rejected": "rejection"}[word]
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("sses", "xes", "ches", "shes")):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def tongue(text: str) -> str:
    """The language of a question as a code of two letters, "en" where nothing speaks against it.

    Three words of another language (two of a short line), and more than there are of English, or a third of the letters in
    another script. A word that is a name, a code or a payer's alone decides nothing.
    """
    letters = [char for char in text if char.isalpha()]
    for code, script in _SCRIPTS:
        if letters and len(re.findall(script, text)) * 3 >= len(letters):
            return code
    words = re.findall(r"[^\W\d_]+(?:['-][^\W\d_]+)*", text.lower().replace("’", "'"))[:200]
    votes = {code: sum(word in known for word in words) for code, known in _tables().languages.items()}
    english = votes.pop("en")
    best = max(votes, key=lambda code: (votes[code], code))
    enough = 2 if len(words) <= 6 else 3
    return best if votes[best] >= enough and votes[best] > english and votes[best] * 4 >= len(words) else "en"


def own_words(text: str) -> list[str]:
    """The words of a question that say something of their own, in order."""
    words = re.findall(r"[a-z0-9]+(?:-[a-z0-9]+)*", text.lower().replace("’", "'").replace("'", ""))
    return [word for word in words if word not in _tables().small]


def condition(text: str) -> str:
    """The two words that a question's "if" turns on: "and if it's after hours?" on `after hours`; empty without one."""
    after = _IF.split(text.lower().replace("’", "'"), maxsplit=1)
    words = (
        [w for w in re.findall(r"[a-z0-9-]+", after[1]) if w in _TURNS or w not in _tables().small] if len(after) > 1 else []
    )
    return " ".join(words[:2])


def asked_of_step(text: str) -> str:
    """Which closing line of the step that was quoted last a question asks for: who, clock, proof; empty for any other."""
    line = _line(text[: LONGEST_COMMAND * 4])
    return next((part for part, pattern in _tables().of_step.items() if pattern.fullmatch(line)), "")


def leans(text: str) -> bool:
    """Whether a question needs what was said before it: it joins on, or points back and names little of its own."""
    own = own_words(text)
    if _JOINED.match(text.strip()) and len(own) <= 6:
        return True
    return len(own) <= 1 or (bool(_POINTING.search(text)) and len(own) <= 2)


# --- commands --------------------------------------------------------------------------------------------------------------


@cache
def _tables() -> _Tables:
    data: Any = tomllib.loads((files("bot") / "intents.toml").read_text("utf-8"))
    pieces = {name: "|".join(alternatives) for name, alternatives in data["pieces"].items()}

    def filled(pattern: str) -> str:
        plain = pattern.replace("{now}", f"(?: (?:{pieces['now']}))*")
        return plain.replace("{state}", f"(?:{pieces['state']})").replace("{about}", f"(?:{pieces['about']})")

    commands = {intent: [filled(pattern) for pattern in patterns] for intent, patterns in data["commands"].items()}
    rules = tuple((cast("Intent", intent), re.compile("|".join(f"(?:{p})" for p in each))) for intent, each in commands.items())
    written = re.sub(r"\\[a-z]", " ", " ".join(pattern for each in commands.values() for pattern in each))
    return _Tables(
        rules=rules,
        vocabulary=frozenset(re.findall(r"[a-z]{3,}", written)) | {"standup", "many", "much", "number", "count", "list"},
        state=re.compile(rf"\b(?:{pieces['state']})\b"),
        languages={code: frozenset(words.split()) for code, words in data["languages"].items()},
        small=frozenset(data["leaning"]["small"].split()),
        of_step={part: re.compile("|".join(f"(?:{p})" for p in each)) for part, each in data["leaning"]["step"].items()},
        **{name: frozenset(words) for name, words in data["counting"].items()},
    )


def _line(text: str) -> str:
    """Small letters, one blank between words, no ornament."""
    plain = unicodedata.normalize("NFKC", text).lower().replace("’", "'").replace("'", "")
    plain = re.sub(r"[^\w ,&/+*-]+", " ", plain)
    return " ".join(plain.replace("stand-up", "standup").replace("to-do", "todo").split()).strip(" ,-")


def _command(line: str) -> Said | None:
    return next((Said(intent) for intent, pattern in _tables().rules if pattern.fullmatch(line)), None)


def _counting(line: str, topics: frozenset[str]) -> Said | None:
    """Whether it asks how much work of some kind stands open, or for one's own; only about what can be counted."""
    words = frozenset(singular(word) for word in re.findall(r"[a-z0-9-]+", line))
    named = words & topics
    if not named and not words & _tables().general:
        return None
    stated = bool(_tables().state.search(line))
    if not re.search(r"\b(?:have|need)s? to\b", line) and (_I_HAVE.search(line) or (stated and _MINE.match(line))):
        return Said("my_items", named)
    asked = _COUNT.fullmatch(line)
    if asked is None or _head(asked["what"]) in _tables().units or _DOES.search(line):
        return None
    is_number = line.startswith(("how many", "number", "the number", "count", "total"))
    return Said("count", named) if stated or (is_number and _THERE.search(line)) else None


def _head(what: str) -> str:
    """The noun that is counted: the last word before what is said of it."""
    words = re.findall(r"[a-z0-9-]+", _AFTER_THE_NOUN.split(what)[0]) or re.findall(r"[a-z0-9-]+", what)
    return singular(words[-1]) if words else ""


# --- typing in a hurry -----------------------------------------------------------------------------------------------------


def _mended(line: str) -> str:
    """The line with each word that is one slip away from a word of a command put right: read only where that is a command."""
    return " ".join(_nearest(word) for word in line.split())


def _nearest(word: str) -> str:
    known = _tables().vocabulary
    if word in ("mt", "ny", "mmy"):
        return "my"
    if len(word) < 4 or word in known or not (word.isascii() and word.isalpha()):
        return word
    return min((each for each in known if _one_slip(word, each)), default=word)


def _one_slip(one: str, other: str) -> bool:
    """Whether one letter too many, too few, other, or swapped with its neighbour parts the two."""
    if abs(len(one) - len(other)) > 1 or one[0] != other[0]:
        return False
    if len(one) != len(other):
        longer, shorter = (one, other) if len(one) > len(other) else (other, one)
        return any(longer[:n] + longer[n + 1 :] == shorter for n in range(len(longer)))
    wrong = [n for n, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
    if len(wrong) == 2 and wrong[1] == wrong[0] + 1:
        return one[wrong[0]] == other[wrong[1]] and one[wrong[1]] == other[wrong[0]]
    return len(wrong) == 1
