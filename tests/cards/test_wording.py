"""Wording: nothing a connector read and nothing a person typed becomes part of a card; notes lose what could name a patient."""

from __future__ import annotations

import ast
import random
import re
import string
import time
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot import cards, phi, replies, rules
from bot.cards import Age, Asked, Count, Day, Filed, Money, NudgeView, Ref, StepQuote, Token, When, redact, say
from bot.chat import Button, Card, Fact, Source, UnsafeText
from bot.phi.lists import hidden, spans
from bot.phi.shapes import HARMLESS
from tests.cards import house

CONNECTOR_TEXT = "Maria Gonzalez, born 03/14/1961"
TOP = Path(cards.__file__).parent.parent


# --- connector text in every place --------------------------------------------------------------------------------------------


def builders() -> Iterator[tuple[str, Callable[..., Card], dict[str, Any]]]:
    """Every function of bot.cards that makes a card, with arguments that it takes."""
    view, quote = house.view(), house.QUOTE
    role, person, site = house.FRONT_DESK, house.BEA, house.HARBOR
    yield "nudge", cards.nudge, {"view": view}
    asked = {"view": view, "ask_id": "K7Q29F4M", "reason": "system-down", "asked_by": person, "asked_at": house.NOON}
    yield "exception", partial(cards.exception, has_note=True), asked
    backlog = {"nudge_id": "K7Q29F4M", "rule": view.rule, "site": site, "role": role, "count": 2, "cents": 5}
    yield "review", cards.review, {**backlog, "oldest": house.NOON, "quote": quote}
    yield "answer", replies.answer, {"lead": quote.text, "quotes": [quote], "notes": [say("Note.")]}
    when, question = When(house.NOON, house.HARBOR.zone), Asked("how do I", ("Bea Ortiz",))
    standing = replies.Standing(house.NOON.date(), role, person, (quote.sop_title, 1), (quote.sop_title, 2), site)
    more = {"standing": standing, "mine": [view], "ref": "K7Q29F4M"}
    yield "answer with all", replies.answer, {"lead": quote.text, "quotes": [quote], **more}
    yield "rest", replies.rest, {"quotes": [quote]}
    yield "refusal", replies.refusal, {"searched": [quote.sop_title], "ask": role, "ref": "K7Q29F4M", "notes": [say("Note.")]}
    near = {"candidates": [quote], "ask": person, "ref": "K7Q29F4M", "notes": [say("Note.")]}
    yield "nearest", replies.nearest, near
    to_owner = {"asked": question, "asker": person, "role": role, "at": when, "ref": "K7Q29F4M"}
    yield "put_to_owner", replies.put_to_owner, to_owner
    yield "replied to", replies.put_to_owner, {**to_owner, "reply": say("Answered.")}
    yield "from_owner", replies.from_owner, {"by": person, "asked": question, "reply": question}
    yield "judge_again", replies.judge_again, {"ref": "K7Q29F4M"}
    yield "put", replies.put, {"owner": person, "at": when}
    yield "put_already", replies.put_already, {"owner": person}
    yield "out_of_reach", replies.out_of_reach, {"owner": person}
    yield "checklist", replies.checklist, {"quote": quote, "walk": "K7Q29F4M", "n": 1, "total": 2, "ticked": [Token("1")]}
    yield "walked", replies.walked, {"title": quote.sop_title, "version": 1, "total": 3, "done": 2, "skipped": [Token("3")]}
    yield "overtaken", replies.overtaken, {"title": quote.sop_title, "version": 2, "ref": "K7Q29F4M"}
    rows = {"what": [say("Denied")], "rows": [say("Front desk: 3")]}
    yield "counted", partial(replies.counted, mine=True), {"total": Count(3, "item"), "worth": say("$5"), **rows, "as_of": when}
    yield "declined", replies.declined, {"tongue": "es", "ask": person}
    yield "reply", cards.reply, {"text": say("Text."), "title": say("Title")}
    yield "again", cards.again, {"card": cards.reply(say("Text.")), "text": say("More.")}
    yield "stale_feed", cards.stale_feed, {"feed": Token("pms"), "site": site, "as_of": house.NOON}
    yield "set_aside", cards.set_aside, {"feed": Token("pms"), "site": site, "number": 1}
    yield "notice", cards.notice, {"code": "no_button", "n": 3, "last": 2}
    yield "link_account", cards.link_account, {"account": "U0BEA"}
    claim = {"claim": "K7Q29F4M", "platform": "slack", "account": "U0BEA", "person": person}
    yield "account_claim", cards.account_claim, claim
    yield "welcome", cards.welcome, {"person": person}
    yield "help_card", cards.help_card, {"platform": "teams"}
    yield "page_link", cards.page_link, {"url": "https://holdfast.example.com/page/in?code=x"}
    yield "bundle", cards.bundle, {"views": [view, view]}
    yield "repeat", cards.repeat, {"card": cards.reply(say("Text."))}


def mutations() -> Iterator[Any]:
    for name, build, arguments in builders():
        for argument in arguments:
            for bad in (CONNECTOR_TEXT, [CONNECTOR_TEXT]):
                yield pytest.param(build, arguments | {argument: bad}, id=f"{name}.{argument}-{type(bad).__name__}")


@pytest.mark.parametrize("build, arguments", list(mutations()))
def test_a_card_with_connector_text_in_any_argument_is_not_built(build: Callable[..., Card], arguments: dict[str, Any]) -> None:
    """Lost: one slip in a new rule or platform, and a patient's name stands in a chat channel."""
    with pytest.raises((UnsafeText, TypeError, AttributeError, KeyError)):
        build(**arguments)


def test_every_builder_is_in_the_mutation_test() -> None:
    """Lost: the next kind of card would be the one that nobody mutates."""
    trees = [ast.parse(Path(str(module.__file__)).read_text("utf-8")) for module in (cards, replies)]
    functions = [node for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef) and node.returns]
    makers = {node.name for node in functions if node.returns and ast.unparse(node.returns) == "Card"}
    assert makers | {"replied"} == {name.partition(" ")[0] for name, _, _ in builders()}  # a line that carries typed words


def test_what_was_asked_is_redacted_as_it_is_said_and_only_for_the_owner() -> None:
    """Lost: a patient's name travels with a question to whoever owns the topic, or onto any card at all."""
    said = say("{asked}", asked=Asked("Maria Gonzalez, born 03/14/1961, wants records from Bea Ortiz", ("Bea Ortiz",)))
    assert "Gonzalez" not in said and "1961" not in said and "Bea Ortiz" in said
    makers = {file.name for file in (TOP / "bot").rglob("*.py") if re.search(r"\bAsked\(", file.read_text("utf-8"))}
    assert makers == {"cards.py", "asking.py", "learning.py"}


def test_words_out_of_a_file_are_redacted_as_they_are_said_and_only_to_its_sender() -> None:
    """Lost: a patient's name that stood in a file's comment travels to a chat service in the report on it."""
    said = say("{said}", said=Filed("a comment: call Maria Gonzalez, born 03/14/1961,\nor Bea Ortiz", ("Bea Ortiz",)))
    assert "Gonzalez" not in said and "1961" not in said and "Bea Ortiz" in said and "\n" not in said
    assert str(Filed("word " * 100, most=20)) == "word word word word…"
    makers = {file.name for file in (TOP / "bot").rglob("*.py") if re.search(r"\bFiled\b", file.read_text("utf-8"))}
    assert makers == {"cards.py", "uploads.py", "app.py"}


@pytest.mark.parametrize("state", ["open", "acknowledged", "said_done", "snoozed", "exception_asked", "excepted", "closed"])
@pytest.mark.parametrize("name", [f.name for f in fields(NudgeView)])
def test_a_view_with_connector_text_in_any_field_is_not_made(name: str, state: str) -> None:
    """Lost: a field that one state shows and another does not would be refused in the tests and leak in the practice."""
    bad: dict[str, Any] = {name: CONNECTOR_TEXT}
    with pytest.raises(UnsafeText):
        replace(house.view(state), **bad)


@pytest.mark.parametrize("name", [f.name for f in fields(StepQuote)])
def test_a_quote_takes_only_sop_text(name: str) -> None:
    """Lost: text from a report could be dressed as an SOP step, with a source to make it look approved."""
    bad: dict[str, Any] = {name: CONNECTOR_TEXT}
    with pytest.raises(UnsafeText):
        replace(house.QUOTE, **bad)


def test_a_card_takes_no_plain_text_anywhere() -> None:
    """Lost: a platform could add a line of its own making to a card."""
    w, text = say("fine"), CONNECTOR_TEXT
    bad: list[dict[str, Any]] = [
        {"title": text}, {"title": w, "text": text}, {"title": w, "facts": (Fact(text, w),)},  # type: ignore[arg-type]
        {"title": w, "facts": (Fact(w, text),)}, {"title": w, "buttons": (Button("on_it", "n", text),)},  # type: ignore[arg-type]
        *({"title": w, "sources": (Source(*parts),)} for parts in ((text, 1, w, w, w), (w, 1, text, w, w), (w, 1, w, text, w),
                                                                  (w, 1, w, w, text))),
    ]  # fmt: skip
    for arguments in bad:
        with pytest.raises(UnsafeText):
            Card(kind="reply", **arguments)


VALUES = [CONNECTOR_TEXT, "", "K7Q29F4M", CONNECTOR_TEXT.encode(), [CONNECTOR_TEXT], (1,), None, True, 1.5, {"a": 1}, object(),
          type("Text", (str,), {})(CONNECTOR_TEXT), datetime(2026, 2, 2, tzinfo=UTC), timedelta(1), Path("x")]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=lambda v: type(v).__name__)
def test_say_takes_only_typed_values(value: Any) -> None:
    """Lost: `say("{who} called", who=row["patient"])` would compile, pass review and go out."""
    with pytest.raises(UnsafeText):
        say("{value}", value=value)


@pytest.mark.parametrize(
    "made",
    [lambda t: Money(t), lambda t: Count(t, "claim"), lambda t: When(t, house.HARBOR.zone), lambda t: When(house.NOON, t),
     lambda t: Day(t), lambda t: Age(t)],
)  # fmt: skip
def test_a_typed_value_holds_its_type(made: Callable[[Any], object]) -> None:
    """Lost: a value class would be a wrapper that lets any text through."""
    for bad in (CONNECTOR_TEXT, None, True, [1]):
        with pytest.raises(UnsafeText):
            made(bad)


@pytest.mark.parametrize("word", ["", " ", "Maria Gonzalez", "Maria\nGonzalez", "Maria\u00a0Gonzalez", "Gonzalez,Maria", "-x",
                                  "José", "a" * 81, "a\u200bb", "x\n"])  # fmt: skip
def test_a_token_is_one_word(word: str) -> None:
    """Lost: a feed id or a file name could carry a full name into a card."""
    with pytest.raises(UnsafeText):
        Token(word)


@pytest.mark.parametrize("ref", ["", "K7Q29F4", "K7Q29F4MM", "k7q29f4m", "MARIAGON", "K7Q2 F4M", "K7Q29F4M\n", "03141961 "])
def test_a_reference_is_one_of_ours(ref: str) -> None:
    """Lost: a claim number or a name could stand where people expect our own reference."""
    with pytest.raises(UnsafeText):
        Ref(ref)


def test_nouns_and_rules_are_literals() -> None:
    """Lost: `Count(2, row["payer"])` or a rule whose title was computed would put any text on a card."""
    files = [*(TOP / "bot").rglob("*.py")]
    loose = []
    for file in files:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            if name in ("Count", "cards.Count"):
                parts = [*node.args[1:], *(k.value for k in node.keywords if k.arg != "n")]
            elif name == "Rule" and file.parent.name == "rules":
                parts = [k.value for k in node.keywords]
            else:
                continue
            loose += [f"{file.name}:{node.lineno}" for part in parts if not isinstance(part, ast.Constant)]
    assert loose == []
    assert len(rules.discover()) >= 8


# --- notes --------------------------------------------------------------------------------------------------------------------

STAFF = ("Bea Ortiz", "Grace Kim", "Pat Nolan", "Dr. Ines Holm")


@pytest.mark.parametrize(
    "note, kept",
    [
        ("Waiting on the payer", "Waiting on the payer"),
        ("Maria Gonzalez called", "[…] called"),
        ("spoke to MARIA GONZALEZ", "spoke to […]"),
        ("mail maria.g@example.com please", "mail […] please"),
        ("see https://portal.example/p?id=9", "see […]"),
        ("call 555-0142", "call […]"),
        ("call (617) 555 0142", "call […]"),
        ("seen 3/14/61 and 2026-02-03", "seen […] and […]"),
        ("born March 3rd", "born […]"),
        ("on 3 of march", "on […]"),
        ("claim 10442", "claim […]"),
        ("Bea has it, Grace Kim knows", "Bea has it, Grace Kim knows"),
        ("Bea's list", "Bea's list"),
        ("Grace Nolan waits", "[…] waits"),
        ("Will Miller moved", "[…] moved"),
        ("April May rang", "[…] rang"),
        ("ask again in May", "ask again in May"),
        ("o'Brien and mcDonald", "[…] and […]"),
        ("Łukasz, Ђорђе, 李小龍", "[…]"),
        ("Ｍａｒｉａ ⑫③", "[…] […]"),
        ("J. Gonzalez-Ruiz", "[…]"),
        ("O'Ne called", "[…] called"),
        ("HÒ", "[…]"),
        ("2-Maria called", "2-[…] called"),
        ("000E/O00.00", "[…]"),
        ("", ""),
    ],
)
def test_a_note_loses_what_could_name_a_patient_and_keeps_the_rest(note: str, kept: str) -> None:
    """Lost: notes would hold names for ever, or say nothing at all."""
    assert redact(note, STAFF) == kept


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=600) | st.text(alphabet="0123456789 -/.:,()+xA٣²", max_size=60))
def test_no_long_number_survives(text: str) -> None:
    """Lost: phone, claim and member numbers would be kept with the reason for an exception."""
    kept = hidden(once := redact(text), spans(HARMLESS, once))  # without codes, amounts and times
    assert not re.search(r"\d{3,}", kept)
    assert not re.search(r"[0-9][0-9 ()/.:,+-]+[0-9][0-9 ()/.:,+-]*[0-9]", kept)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
@example("0@0@0")
def test_what_is_redacted_stays_redacted(text: str) -> None:
    """Lost: a note that is shown, stored and shown again would change, or come back."""
    once = redact(text, STAFF)
    assert redact(once, STAFF) == once
    bare = "".join(c for c in once if not unicodedata.category(c).startswith("M"))
    words = re.findall(r"(?<!\w)[^\W\d_]+(?:['’ʼ‘`´‐‑-][^\W\d_]+)*(?!\w)", bare)
    assert not [w for w in words if w[0].isupper() and not (may_stay(w) or all(map(may_stay, re.split(r"\W", w))))]


def may_stay(word: str) -> bool:
    return phi.harmless(word) or phi.fold(word) in STAFF_WORDS


STAFF_WORDS = {phi.fold(word) for name in STAFF for word in name.split()}

SLOW = ["1-" * 2000, "a@" * 2000, "A " * 2000, "@" * 4000, "1 " * 2000, "(" * 4000, "A-" * 2000, "may " * 1000, "1" * 4000,
        "www." * 1000, "\u200b" * 4000, "\ufdfa" * 4000]  # fmt: skip


@pytest.mark.parametrize("text", SLOW, ids=range(len(SLOW)))
def test_no_note_is_slow(text: str) -> None:
    """Lost: one pasted page would hold up everybody's presses. They take 11 ms at most; the limit is for busy machines."""
    start = time.perf_counter()
    redact(text, STAFF)
    assert time.perf_counter() - start < 1


FIRST = ["Maria", "Desmond", "Aiko", "Will", "April", "Grace", "José", "Siobhán", "De'Andre", "Łukasz", "Anne-Marie", "McKenna"]
LAST = [
    "Gonzalez",
    "O'Brien",
    "Nakamura",
    "van der Berg",
    "Nolan",
    "May",
    "Ng",
    "Smith-Jones",
    "Żak",
    "St. Clair",
    "Lee",
    "Kim",
]
SENTENCES = [
    "{n} called and wants to move the crown", "Left a voicemail for {n}", "Insurance for {n} is inactive", "waiting on {n}",
    "Need the x-ray of {n} before we resend", "{n}: no answer twice", "spoke with {n}'s husband, he pays Friday",
    "The claim of {n}, Delta, was denied", "Patient {n} is in the hospital until Monday", "please call {n} at 617-555-0142",
    "DOB wrong for {n}", "{n} (mother of the patient) disputes it", "Mr. {n} moved away", "EOB shows {n} twice",
    "chart says {n}, card says other name", "Bea told {n} on Tuesday", "Sent to {n}@example.org", "{n} - see note",
]  # fmt: skip


def test_of_two_hundred_notes_with_a_full_name_none_keeps_it() -> None:
    """Lost: the figure that we give when somebody asks how well notes are cleaned. Small letters only: see below."""
    chance = random.Random(7)
    survivors = []
    for _ in range(200):
        first, last = chance.choice(FIRST), chance.choice(LAST)
        spoken = chance.choice([f"{first} {last}", f"{first} {last}", f"{last}, {first}", f"{first} {last}".upper()])
        kept = redact(chance.choice(SENTENCES).replace("{n}", spoken), STAFF).lower()
        parts = [re.sub(r"\W", "", p) for p in re.split(r"[\s,]+", spoken.lower()) if p not in ("van", "der")]
        if all(part in re.sub(r"[^\w\s]", "", kept).split() for part in parts):
            survivors.append((spoken, kept))
    assert survivors == []


def test_a_name_in_small_letters_goes_too_and_a_rare_one_is_known_to_stay() -> None:
    """Lost: the name of a patient whose friend is in a hurry; and the honest limit of what can be told from words."""
    assert redact("maria gonzalez called", STAFF) == "[…] called"
    assert "limit" in (phi.clean.__doc__ or "")
    assert redact("zbysława called", STAFF) == "zbysława called"
    assert set(string.ascii_uppercase).isdisjoint(redact("Q Z X", ()))
