"""Answers worded with a model, which may only choose, order and shorten: every word that is shown is cut from an SOP.

The model is given one question and the passages that were found for this person in the versions in force. It says whether they
are sufficient, and which sentences answer. What it writes is read strictly and judged claim by claim, each before it is given
on: a claim that says a number, a unit or a name that its quote does not say, that turns it round, or that holds a link or a
mention, ends the whole answer, and the SOP's own words are shown as if there were no model. A claim that merely says it in
other words is shown in the SOP's. So a model can leave something out or choose badly; it cannot say anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from json import JSONDecodeError
from typing import Any, Protocol

from sqlmodel import Session

import prompts
from knowledge import grounding, tables
from knowledge.grounding import Span, Standing
from knowledge.model import Model, Mute, Reason, Usage
from knowledge.sops import SopText

Open = Callable[[], AbstractContextManager[Session]]

PROMPT = "answer"
MAX_CLAIMS = 6
MAX_CHARS = 900
"""Of one claim with what it hangs on."""
MAX_REPLY = 8_000
"""Characters that are read of what a model says."""
MAX_QUESTION = 1_000


class Speaks(Protocol):
    """A model as it is needed here: `knowledge.model.Model`."""

    @property
    def name(self) -> str:
        """`provider:name`, as evidence holds it."""
        ...

    def room(self) -> int:
        """Characters that a question may take up with its passages."""
        ...

    def say(self, messages: Sequence[tuple[str, str]], usage: Usage) -> Generator[str, None, None]:
        """What it says to these (role, text) messages, piece by piece, within its time. raises Mute"""
        ...


@dataclass(frozen=True)
class Passage:
    """What may be quoted: a piece of an SOP version in force that this person may read.

    source   names the version, like `post-era@3`; `start` is where the piece begins in its text
    """

    source: str
    start: int
    text: SopText
    title: SopText
    heading: SopText


@dataclass(frozen=True)
class Claim:
    """One line of an answer: `text` is its quote's own words, perhaps without a closing remark (then it ends in " …")."""

    text: SopText
    quote: Span


@dataclass(frozen=True)
class Worded:
    """An answer of one to six claims. `model`, `prompt_sha256` and `tokens` are what evidence holds of how it was made."""

    claims: tuple[Claim, ...]
    model: str
    prompt_sha256: str
    tokens: int


@dataclass(frozen=True)
class Unworded:
    """No answer of a model: show the SOP's own words. "insufficient": the passages are the nearest, and no answer."""

    reason: Reason
    model: str = ""
    prompt_sha256: str = ""
    tokens: int = 0


def word(question: str, passages: Sequence[Passage], model: Speaks) -> Worded | Unworded:
    """The question answered in the passages' own words, as the model chose them, or why not. Never raises for what a model did.

    question   without patient data: it leaves the building
    passages   best first; those that fit into the model's room are sent
    """
    last: Claim | Worded | Unworded = Unworded("empty")
    for last in stream(question, passages, model):  # noqa: B007  (what comes last is the whole)
        pass
    assert not isinstance(last, Claim)
    return last


def stream(question: str, passages: Sequence[Passage], model: Speaks) -> Iterator[Claim | Worded | Unworded]:
    """Each claim as soon as it was said and checked; then the whole, or why there is none. After an Unworded the claims that
    came before it are to be taken back: each is true, but together they are no answer.
    """
    prompt, usage = prompts.load(PROMPT), Usage()
    given = _fitting(question, passages, model.room())
    if not given:
        yield Unworded("budget", model.name, prompt.sha256)
        return
    claims: list[Claim] = []
    try:
        for claim in _judged(_read(model.say(_messages(prompt, question, given), usage)), given):
            claims.append(claim)
            yield claim
    except Mute as mute:
        yield Unworded(mute.reason, model.name, prompt.sha256, usage.tokens)
    else:
        yield Worded(tuple(claims), model.name, prompt.sha256, usage.tokens)


class Pen:
    """The model as an installation uses it: questions are redacted, each day has its limit, what came of them is counted.

    write       opens a transaction on the library's tables
    redact      takes out what could name a patient; nothing else decides what leaves
    day_tokens  for the whole organisation, by UTC day, over all its processes
    tell        hears "worded" or the reason, once a question
    """

    def __init__(
        self,
        model: Model,
        write: Open,
        *,
        redact: Callable[[str], str],
        day_tokens: int,
        tell: Callable[[str], object],
    ) -> None:
        self.model, self._write, self._redact, self._day_tokens, self._tell = model, write, redact, day_tokens, tell

    def word(self, question: str, passages: Sequence[Passage], at: datetime) -> Worded | Unworded:
        """As `word`, within the day's tokens. `at`: aware UTC."""
        last: Claim | Worded | Unworded = Unworded("empty")
        for last in self.stream(question, passages, at):  # noqa: B007
            pass
        assert not isinstance(last, Claim)
        return last

    def stream(self, question: str, passages: Sequence[Passage], at: datetime) -> Iterator[Claim | Worded | Unworded]:
        """As `stream`, within the day's tokens."""
        day, most = at.astimezone(UTC).date(), self.model.config.tokens
        with self._write() as session:
            may = tables.take_tokens(session, day, most, self._day_tokens)
        outcome: Claim | Worded | Unworded = Unworded("budget", self.model.name, prompts.load(PROMPT).sha256)
        try:
            if may:
                for outcome in stream(self._redact(question), passages, self.model):
                    yield outcome
            else:
                yield outcome
        finally:
            used = most if isinstance(outcome, Claim) else outcome.tokens  # a Claim: the reader left before the end
            came = outcome.reason if isinstance(outcome, Unworded) else "worded"
            with self._write() as session:
                tables.settle_tokens(session, day, used - most if may else 0, came)
            self._tell(came)


# --- asking --------------------------------------------------------------------------------------------------------------


def _fitting(question: str, passages: Sequence[Passage], room: int) -> dict[str, Passage]:
    """The passages that fit, by the ids they have in this one request."""
    left = room - len(question[:MAX_QUESTION])
    given: dict[str, Passage] = {}
    for passage in passages:
        name = f"p{len(given) + 1}"
        left -= len(_line(name, passage))
        if left < 0:
            break
        given[name] = passage
    return given


def _messages(prompt: prompts.Prompt, question: str, given: dict[str, Passage]) -> list[tuple[str, str]]:
    listed = "\n".join(_line(name, passage) for name, passage in given.items())
    filled = {"question": _data(question[:MAX_QUESTION]), "passages": listed}
    return [(role, text.format(**filled)) for role, text in prompt.messages]


def _line(name: str, passage: Passage) -> str:
    return _data({"id": name, "sop": passage.title, "under": passage.heading, "text": passage.text})


def _data(value: object) -> str:
    """JSON that cannot end the place it stands in: one line, no quote, angle bracket or invisible character of its own."""
    shown = json.dumps(value, ensure_ascii=False).translate({ord("<"): "\\u003c", ord(">"): "\\u003e", ord("`"): "\\u0060"})
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in shown)


# --- reading -------------------------------------------------------------------------------------------------------------

_HEAD = re.compile(r'\s*(?:```(?:json)?\s*)?\{\s*"sufficient"\s*:\s*(true|false)\s*(?:,\s*"claims"\s*:\s*\[|(?=\}))\s*')
_TAIL = re.compile(r"\s*\]\s*\}\s*(?:```\s*)?")
_NEXT = re.compile(r"\s*,\s*(?=\{)")
_HEAD_CHARS = 200
_KEYS = frozenset({"claim", "passage", "quote"})


def _read(pieces: Generator[str, None, None]) -> Generator[dict[str, str], None, None]:
    """Each claim of a reply as soon as it is whole. raises Mute"""
    said, at, first = "", 0, True
    with closing(pieces) as coming:
        for piece in coming:
            said += piece
            if len(said) > MAX_REPLY:
                raise Mute("huge")
            if not at:
                at = _after_head(said)
            while at and (found := _claim_at(said, at, first)):
                claim, at = found
                first = False
                yield claim
    if not said.strip():
        raise Mute("empty")
    if not at:
        raise Mute(_prose_or_worse(said))
    if not _TAIL.fullmatch(said, at):
        raise Mute("unreadable")
    if first:
        raise Mute("empty")


def _after_head(said: str) -> int:
    """Where the claims begin; 0 while that is not there yet. Sufficiency is read before anything else. raises Mute"""
    if head := _HEAD.match(said):
        if head[1] == "false":
            raise Mute("insufficient")
        return head.end() if "[" in head[0] else 0
    if len(said.strip()) > _HEAD_CHARS:
        raise Mute(_prose_or_worse(said[:_HEAD_CHARS]))
    return 0


def _prose_or_worse(said: str) -> Reason:
    return "unreadable" if "{" in said or "[" in said else "refused"


def _claim_at(said: str, at: int, first: bool) -> tuple[dict[str, str], int] | None:
    """The claim that begins here and where it ends; None while it is not whole. raises Mute"""
    if not first:
        comma = _NEXT.match(said, at)
        if not comma:
            return None
        at = comma.end()
    if said[at : at + 1] != "{":
        return None
    try:
        claim, end = _STRICT.raw_decode(said, at)
    except (JSONDecodeError, RecursionError):
        return None
    if not isinstance(claim, dict) or claim.keys() != _KEYS or not all(isinstance(v, str) for v in claim.values()):
        raise Mute("unreadable")
    return claim, end


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Mute("unreadable")
    return found


_STRICT = json.JSONDecoder(object_pairs_hook=_once)


# --- judging -------------------------------------------------------------------------------------------------------------

_LIVE = re.compile(
    r"https?:|\bwww\.|\b[a-z][a-z0-9+.-]*://|\bmailto:|\bjavascript:|\bdata:"
    r"|(?<![\w.+-])@\w|@\w[\w-]*(?![\w-]*\.\w)|(?<!\w)#[a-z]|\]\s*\(|\]\s*\[|!\[|<[^\s\d=]|&[a-z#]\w*;|:[a-z0-9_+-]+:(?!\d)"
    r"|(?<![\w@.+-])(?:[a-z0-9-]+\.)+[a-z]{2,24}(?![\w.-]*@)\b",
    re.IGNORECASE,
)
"""What a chat or a page could make live, and what only looks like it: addresses, mentions, channels, images, markup, emoji."""
_WORD = re.compile(r"[^\W_]+(?:[-.,:/'@+&_%][^\W_]+)*[%°+]?")
_TO_TWENTY = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
nineteen twenty
"""
_OTHER_NUMBERS = """
thirty forty fifty sixty seventy eighty ninety hundred thousand half once twice double quarter dozen first second third daily
weekly monthly hourly yearly annually quarterly
"""
_NUMBER_WORDS = {w: str(n) for n, w in enumerate(_TO_TWENTY.split())} | {w: w for w in _OTHER_NUMBERS.split()}
_LIMITS = re.compile(
    r"\b(?:only|if|when|whenever|while|until|till|before|after|within|by|at|least|most|more|less|must|may|should|can|or|either"
    r"|other|otherwise|than|provided|depending|during|for|from|between|above|below|over|under|up|minimum|maximum|always|every"
    r"|each|both|all|any|and|then|first|last|who|whom|whose|which|unless|except|but|instead|as|to|with|per|in|on)\b",
    re.IGNORECASE,
)
"""What is left out of a claim holds none of these: a condition, a limit, a further thing to do."""


def _judged(said: Generator[dict[str, str], None, None], given: dict[str, Passage]) -> Iterator[Claim]:
    """The claims that hold, in the order given. raises Mute for the first that does not, and for none at all"""
    shown: set[tuple[str, int, int]] = set()
    reached: dict[str, int] = {}
    with closing(said) as coming:
        for n, one in enumerate(coming):
            if n == MAX_CLAIMS:
                raise Mute("huge")
            if not (passage := given.get(one["passage"])):
                raise Mute("passage")
            if not (standing := grounding.stands(one["quote"], passage.text)):
                raise Mute("quote")
            claim = _checked(one["claim"], standing, passage)
            if standing.numbered:
                if reached.get(one["passage"], -1) > standing.said[0]:
                    raise Mute("order")
                reached[one["passage"]] = standing.said[0]
            key = (claim.quote.source, claim.quote.start, claim.quote.end)
            if key not in shown:
                shown.add(key)
                yield claim


def _checked(claim: str, standing: Standing, passage: Passage) -> Claim:
    """The claim in its quote's words. raises Mute where it says what the quote does not"""
    said = passage.text[slice(*standing.said)]
    if not any(c.isalnum() for c in claim):
        raise Mute("empty")
    if _LIVE.search(grounding.plain(claim)) or _LIVE.search(claim):
        raise Mute("markup")
    mine, theirs = _words(claim), _words(said)
    _hold_numbers(mine, theirs)
    _hold_names(mine, theirs)
    if grounding.negatives(claim) != grounding.negatives(said):
        raise Mute("negation")
    quote = standing.span(passage.source, passage.text, passage.start)
    text = (_shortened(claim, quote.text) if standing.said == standing.shown else None) or quote.text
    if len(text) > MAX_CHARS:
        raise Mute("long")
    if _LIVE.search(grounding.plain(text)):
        raise Mute("markup")
    return Claim(text, quote)


def _words(text: str) -> list[str]:
    return _WORD.findall(grounding.plain(text))


def _hold_numbers(mine: Sequence[str], theirs: Sequence[str]) -> None:
    """Every number of the claim, and what it counts, stands in the quote. raises Mute"""
    numbers = {_number(word) for word in theirs} - {""}
    counted = {(_number(a), _singular(b)) for a, b in pairwise(theirs)}
    for n, word in enumerate(mine):
        if not (number := _number(word)):
            continue
        if number not in numbers:
            raise Mute("number")
        if n + 1 < len(mine) and (number, _singular(mine[n + 1])) not in counted:
            raise Mute("number")


def _number(word: str) -> str:
    """The word as a number or code, or empty: digits wherever they stand in it, and numbers in words."""
    folded = word.casefold()
    return folded if any(c.isdigit() for c in folded) else _NUMBER_WORDS.get(folded, "")


def _singular(word: str) -> str:
    return word.casefold().removesuffix("s")


def _hold_names(mine: Sequence[str], theirs: Sequence[str]) -> None:
    """Every word of the claim that is written large, or that is an address, stands in the quote. raises Mute"""
    known = {word.casefold() for word in theirs}
    for word in mine:
        if (any(c.isupper() for c in word) or "@" in word) and word.casefold() not in known:
            raise Mute("name")


_BRACKET = re.compile(r"\s*\([^()]*\)")
_CUT = re.compile(r"\s*[,;:–—]\s|\s-\s|\s–\s")


def _shortened(claim: str, quote: SopText) -> SopText | None:
    """The quote as the claim shortens it: without harmless brackets, without a harmless end. None: it is no such shortening."""
    wanted = _folded_words(claim)
    if wanted == _folded_words(quote):
        return quote
    without = _BRACKET.sub(lambda bracket: "" if _is_harmless(bracket[0]) else bracket[0], quote)
    for text in dict.fromkeys((str(quote), without)):
        if text != quote and _folded_words(text) == wanted:
            return SopText(text)
        for cut in _CUT.finditer(text):
            if _is_harmless(text[cut.end() :]) and _folded_words(text[: cut.start()]) == wanted:
                return SopText(f"{text[: cut.start()]} …")
    return None


def _folded_words(text: str) -> list[str]:
    return [word.casefold() for word in _words(text)]


def _is_harmless(piece: str) -> bool:
    """Whether a sentence says the same without it: it holds no number, no name, no condition, no negation, no further thing."""
    plain = grounding.plain(piece)
    spoken = grounding.negatives(plain) or _LIMITS.search(plain)
    return not spoken and not any(c.isdigit() or c.isupper() for c in plain) and not any(map(_number, _words(plain)))
