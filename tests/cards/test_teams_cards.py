"""Cards as Teams gets them: every part drawn, nothing in a text that means anything to a client, and no limit passed."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot import cards, replies
from bot.cards import Count, StepQuote, Token, say
from bot.chat import Account, Button, Card, Choice, Fact, Form, Link, Source, Wording
from bot.platforms.teams import cards as teams
from bot.practice import Person
from knowledge.sops import SopText
from tests.cards import house
from tests.gates import teams as gate
from tests.gates.teams import CONTENT_TYPE, READERS, check_activity, check_answer, check_card

NONCE = "ab12cd34"
ROSTER = [Person(f"p{n}", f"Pat Sample {n}") for n in range(30)]
MANY = [Person(f"person-{n}", f"Pat Of A Rather Large Group {n}") for n in range(900)]


def form(verb: str) -> Form | None:
    return cards.form(verb, ROSTER)


def quote(text: str, n: str = "7") -> StepQuote:
    return replace(house.QUOTE, text=SopText(text), number=Token(n))


MARKED_UP = quote(
    "**Every morning** open the list of claims that\nnobody moved.\n\n1. Call the payer.\n2. Note the answer:\n   - who spoke\n"
    "   - *when*\n\n| Age | Does |\n|---|:--|\n| 30 days | Front desk |\n\nThen close the list."
)


STYLED: tuple[tuple[str, Literal["primary", "danger"]], ...] = (("approve", "primary"), ("refuse", "danger"))


def digest_like() -> Card:
    facts = tuple(Fact(say("Figure {n}", n=n), say("{n} items · $1,{n}.00\nHarbor Dental: {n} items", n=n)) for n in range(120))
    sources = tuple(quote(f"Step {n}. " + "Do it now, and write it down. " * 40, str(n)).source() for n in range(30))
    buttons = tuple(
        Button(verb, f"E7Q29F4{c}", say("{n}: {verb}", n=n, verb=Wording(verb)), style=style)
        for n, c in enumerate("ABC", start=1)
        for verb, style in STYLED
    )
    return Card("digest", say("Stand-up · Harbor Dental · Thu Feb 26"), say("Three wait for you."), facts, sources, buttons)


def my_day() -> Card:
    rows = [say("{n}. Claim not touched · by Fri Feb 27, 12:00 PM · $1,185.00", n=n) for n in range(1, 9)]
    buttons = tuple(Button("show", f"N7Q29F4{n}", say("Show {n}", n=n)) for n in range(1, 9))
    facts = (Fact(say("Snoozed"), say("2 items")),)
    return Card("my_day", say("My day · Bea Ortiz · Thu Feb 26"), cards.lines(rows), facts, (), buttons)


def every_kind() -> Iterator[tuple[str, Card]]:
    for state in house.STATES:
        yield f"nudge, {state}", cards.nudge(house.view(state))
    asked = (house.view("exception_asked"), "E7Q29F4M", "system-down", house.BEA, house.NOON)
    yield "exception", cards.exception(*asked, has_note=True)
    yield "exception, decided", cards.exception(*asked, has_note=False, decision=say("Refused."))
    backlog = ("R7Q29F4M", house.RULE, house.HARBOR, house.FRONT_DESK, 3, 4_200_00, house.NOON, house.QUOTE)
    yield "review", cards.review(*backlog)
    yield "review, ended", cards.review(*backlog, ended=say("Reviewed."))
    answer = replies.answer(SopText("**Every morning** open the list\nof claims."), [MARKED_UP, house.QUOTE], [say("Of 2025.")])
    yield "answer", answer
    thanked = tuple(Button(verb, "A7Q29F4M", label) for verb, label in (("helpful", say("Yes")), ("unhelpful", say("No"))))
    yield "answer with feedback", replace(answer, buttons=thanked)
    yield "refusal", replies.refusal([SopText(f"SOP {n}") for n in range(20)], house.MANAGER, "A7Q29F4M")
    yield "refusal, no SOPs", replies.refusal([], house.BEA)
    yield "nearest", replies.nearest([MARKED_UP, house.QUOTE], house.FRONT_DESK, "A7Q29F4M")
    yield "checklist", replies.checklist(MARKED_UP, "A7Q29F4M", 2, 9, [Token("1")])
    yield "walked", replies.walked(SopText("Claims"), 3, 9, 7, [Token("4"), Token("5")])
    yield "counted", replies.counted(Count(3, "item"), say("$5.00"), [say("Denied")], [say("Front desk: 3")], None, mine=True)
    yield "in another language", replies.declined("ar", house.BEA)
    yield "digest", digest_like()
    yield "my day", my_day()
    yield "reply with a reference", cards.reply(say("It is done."), ref="K7Q29F4M")
    yield "repeated", cards.again(cards.nudge(house.view()), say("You may have this already."))
    yield "stale feed", cards.stale_feed(Token("harbor-claims"), house.HARBOR, house.NOON)
    yield "file set aside", cards.set_aside(Token("harbor_claims.csv"), house.HARBOR, 2)
    for code in cards.NOTICES:
        yield f"notice, {code}", Card("reply", say("Holdfast"), Wording(cards.NOTICES[code]))
    who = Button("claim", str(Account("29:1-a_B")), say("Say who I am"), needs="person", style="primary")
    yield "unknown account", Card("reply", say("Who are you?"), say("I do not know this account."), buttons=(who,))
    facts = (Fact(say("Account"), Account("29:1-a_B")), Fact(say("On"), say("Teams")))
    yield "claim", Card("exception", say("Is this Bea Ortiz?"), say("Confirm only if you know."), facts)
    page = Link(say("Open the page"), "https://holdfast.example/in/abc")
    yield "page", Card("reply", say("Your page"), say("Signs you in once."), links=(page,))


KINDS = dict(every_kind())
each_kind = pytest.mark.parametrize("kind", KINDS)


def activity(content: Mapping[str, Any], card: Card) -> dict[str, Any]:
    """A message as an edge would send it, with the longest addresses there are."""
    return {
        "type": "message",
        "summary": teams.summary(card),
        "from": {"id": "28:" + "a" * 36, "name": "Holdfast"},
        "conversation": {"id": "19:" + "b" * 180 + "@thread.tacv2", "tenantId": "c" * 36},
        "recipient": {"id": "29:" + "d" * 90},
        "attachments": [{"contentType": CONTENT_TYPE, "content": content}],
    }


def drawn(card: Card, **more: Any) -> list[dict[str, Any]]:
    """The card as drawn, each part through the gate, alone and in its message."""
    contents = teams.adaptive(card, NONCE, more.pop("forms", form), **more)
    for content in contents:
        check_activity(activity(content, card))
    return contents


def nodes(thing: Any) -> Iterator[dict[str, Any]]:
    if isinstance(thing, dict):
        yield thing
        for value in thing.values():
            yield from nodes(value)
    elif isinstance(thing, list):
        for value in thing:
            yield from nodes(value)


def shown(contents: Any) -> str:
    """Everything a reader can see, in its order."""
    texts = []
    for node in nodes(contents):
        kind = node.get("type", "")
        if kind in ("TextBlock", "TextRun"):
            texts.append(node["text"])
        elif {"title", "value"} <= node.keys() or kind.startswith("Action."):
            texts += [node.get("title", ""), node.get("value", "")]
        elif kind.startswith("Input."):
            texts += [node["label"], node.get("placeholder", "")]
    return "".join(texts)


def tight(text: str) -> str:
    """`text` without blanks and without what nobody can see: what must arrive, however the lines fall."""
    return "".join(line for word in text.split() for line in teams._visible(word).split())


def executes(contents: Any) -> list[dict[str, Any]]:
    return [node for node in nodes(contents) if node.get("type") == "Action.Execute" and node["verb"] != teams.REFRESH]


# --- every part of every card -----------------------------------------------------------------------------------------------


@each_kind
def test_every_part_of_every_card_reaches_teams(kind: str) -> None:
    """Lost: a deadline, a quote or a button that the other platforms show is silently missing on Teams."""
    card = KINDS[kind]
    contents = drawn(card)
    check_answer({"statusCode": 200, "type": CONTENT_TYPE, "value": contents[0]})
    seen = tight(shown(contents))
    parts: list[str] = [card.title, card.ref, *card.text.replace("**", "").split("\n")]
    for fact in card.facts:
        parts += [fact.label, *fact.value.split("\n")]
    for source in card.sources:
        parts += [source.title, source.sop, f"v{source.version}", source.step]
        parts += [line.replace("**", "") for line in source.quote.split("\n") if not line.startswith("|")]
        parts += [
            cell for line in source.quote.split("\n") if line.startswith("|") for cell in line.split("|") if "-" not in cell
        ]
    parts += [button.label for button in card.buttons] + [link.label for link in card.links]
    assert [part for part in parts if tight(part) not in seen] == []
    pressed = [(action["verb"], action["data"]["target"]) for action in executes(contents)]
    assert sorted(pressed) == sorted((button.verb, button.target) for button in card.buttons)


@each_kind
def test_the_parts_stand_in_their_order(kind: str) -> None:
    """Lost: the buttons are below thirty quotes, where nobody scrolls."""
    whole = drawn(KINDS[kind])[0]["body"]
    kinds = [node["type"] for node in whole]
    if "Container" in kinds and "ActionSet" in kinds and KINDS[kind].buttons[0].verb not in ("helpful", "unhelpful"):
        assert kinds.index("ActionSet") < kinds.index("Container")
    if "FactSet" in kinds and "ActionSet" in kinds:
        assert kinds.index("FactSet") < kinds.index("ActionSet")


def test_the_decisions_of_a_stand_up_stand_above_its_figures() -> None:
    """Lost: the manager reads what to decide, and the button for it is a screen further down."""
    figures = (Fact(say("Due today"), say("3 items")), Fact(say("At risk"), say("2 items")))
    (whole,) = drawn(replace(digest_like(), facts=figures, sources=()))
    kinds = [node["type"] for node in whole["body"]]
    assert kinds.index("ActionSet") < kinds.index("FactSet")


def test_a_title_is_a_heading_and_an_escalation_stands_out() -> None:
    """Lost: a screen reader cannot jump from card to card, and an escalation looks like a first nudge."""
    title = drawn(cards.nudge(house.view("escalated")))[0]["body"][0]
    assert (title["type"], title["style"], title["color"]) == ("TextBlock", "heading", "attention")
    assert "color" not in drawn(cards.nudge(house.view()))[0]["body"][0]


def test_a_passage_reads_as_it_was_written() -> None:
    """Lost: the steps of an SOP run into one another, or its stars and table rules are shown to staff."""
    [content] = drawn(replies.answer(SopText("Lead."), [MARKED_UP]))
    box = next(node for node in content["body"] if node["type"] == "Container")
    said = ["".join(run["text"] for run in line["inlines"]) for line in box["items"][2:]]
    assert said == [
        "Every morning open the list of claims that nobody moved.",
        "1. Call the payer.",
        "2. Note the answer:",
        "\u2003- who spoke",
        "\u2003- *when*",
        "Age | Does",
        "30 days | Front desk",
        "Then close the list.",
    ]
    assert box["items"][2]["inlines"][0] == {"type": "TextRun", "text": "Every morning", "weight": "bolder"}


def test_a_reference_is_said_once() -> None:
    """Lost: "Reference K7Q29F4M" twice on every nudge."""
    assert shown(drawn(cards.nudge(house.view()))).count("K7Q29F4M") == 1
    assert "Reference K7Q29F4M" in shown(drawn(cards.reply(say("Done."), ref="K7Q29F4M")))


def test_what_was_wrong_is_said_on_top() -> None:
    """Lost: the card comes back unchanged, and the person presses again instead of giving a reason."""
    body = drawn(cards.nudge(house.view()), note=say("Say why, in a word or two."))[0]["body"]
    assert body[0]["inlines"][0]["text"] == "Say why, in a word or two."


def test_only_links_of_the_card_are_links() -> None:
    """Lost: a link in a text that somebody else wrote becomes one that we recommend."""
    assert [node["url"] for node in nodes(drawn(KINDS["page"])) if "url" in node] == ["https://holdfast.example/in/abc"]
    for kind in set(KINDS) - {"page"}:
        assert not any("url" in node or "selectAction" in node for node in nodes(drawn(KINDS[kind]))), kind


# --- forms -----------------------------------------------------------------------------------------------------------------


def test_a_form_opens_inside_the_card_and_asks_what_the_core_says() -> None:
    """Lost: "Can't" arrives without a reason, or the form of one button fills in another's."""
    contents = drawn(cards.nudge(house.view()))
    cant = next(node for node in nodes(contents) if node.get("type") == "Action.ShowCard" and node["title"] == "Can't")
    choice, typed = cant["card"]["body"][1:]
    assert (choice["id"], choice["isRequired"], choice["errorMessage"]) == ("choice-4", True, "Choose one.")
    assert [each["value"] for each in choice["choices"]] == list(cards.REASONS)
    assert (typed["id"], typed["maxLength"], "isRequired" in typed) == ("typed-4", 500, False)
    [send] = cant["card"]["actions"]
    assert (send["verb"], send["data"]) == (
        "cant",
        {"v": 1, "target": "N7Q29F4M", "nonce": NONCE, "needs": "reason", "n": 4},
    )
    assert send["title"] == "Send"


def test_a_field_that_stands_alone_must_be_filled_in() -> None:
    """Lost: an empty form is sent and comes back with a complaint."""
    alone = Form(say("Why"), say("Why?"), (), say("Your words"), say("No names"), say("Send"), needs_choice=False)
    card = Card("reply", say("T"), buttons=(Button("cant", "X", say("Can't"), needs="reason"),))
    [field] = [node for node in nodes(drawn(card, forms=lambda verb: alone)) if node.get("type") == "Input.Text"]
    assert (field["isRequired"], field["errorMessage"]) == (True, "Please fill this in.")


def test_a_button_whose_form_nobody_knows_is_still_drawn() -> None:
    """Lost: a verb that gets its form later takes its button off every card until then."""
    card = Card("reply", say("T"), buttons=(Button("cant", "X", say("Can't"), needs="reason"),))
    [action] = executes(drawn(card, forms=lambda verb: None))
    assert (action["verb"], action["data"]["needs"]) == ("cant", "reason")


def test_nine_hundred_names_to_choose_from_fit_or_can_be_typed() -> None:
    """Lost: in a large group nobody can say who they are, because the card is too big to be sent."""
    contents = drawn(KINDS["unknown account"], forms=lambda verb: cards.form(verb, MANY))
    [choices] = [node for node in nodes(contents) if node.get("type") == "Input.ChoiceSet"]
    assert 100 < len(choices["choices"]) < 900
    assert "isRequired" not in choices
    left = 900 - len(choices["choices"])
    assert f"{left} choices fit no more into this list" in shown(contents)
    assert [node["id"] for node in nodes(contents) if node.get("type") == "Input.Text"] == ["typed-1"]


# --- limits ----------------------------------------------------------------------------------------------------------------


def test_a_large_card_becomes_several_and_says_so() -> None:
    """Lost: the month's stand-up is refused by Teams for its size, or a manager believes that the first half was all."""
    card = digest_like()
    contents = drawn(card, readers=[f"29:{n:090}" for n in range(80)])
    assert len(contents) > 2
    assert all(len(json.dumps(content)) <= teams.CARD_BYTES for content in contents)
    for content in contents[:-1]:
        assert "Continued below." in shown(content["body"][-1])
    assert "Continued below." not in shown(contents[-1])
    assert len(executes(contents[0])) == 6
    assert executes(contents[1:]) == []
    assert all("Continued" in shown(content["body"][:2]) for content in contents[1:])
    assert all(card.title in shown(content) for content in contents)
    order = [tight(shown(contents)).find(tight(f"Step {n}. Do it")) for n in range(30)]
    assert order == sorted(order)
    assert -1 not in order


@pytest.mark.parametrize("count, sets", [(1, [1]), (6, [6]), (7, [6, 1]), (12, [6, 6]), (25, [6, 6, 6, 6, 1])])
def test_a_set_of_buttons_is_never_longer_than_teams_shows(count: int, sets: list[int]) -> None:
    """Lost: the seventh button is hidden, and nobody can open the seventh item of their day."""
    buttons = tuple(Button("show", f"N{n}", say("Show {n}", n=n)) for n in range(count))
    body = drawn(Card("my_day", say("My day"), buttons=buttons))[0]["body"]
    assert [len(node["actions"]) for node in body if node["type"] == "ActionSet"] == sets


LONG = {
    "title": Card("reply", Wording("long title " * 3_000), say("x")),
    "text of one line": Card("reply", say("T"), Wording("word " * 20_000)),
    "text without a blank": Card("reply", say("T"), Wording("ß" * 20_000)),
    "emoji": Card("reply", say("T"), Wording("🦷" * 20_000)),
    "seams": Card("reply", say("T"), Wording("{" * 2_000)),
    "two thousand lines": Card("reply", say("T"), Wording("a\n" * 2_000)),
    "fact": Card("reply", say("T"), facts=(Fact(say("L"), Wording("v " * 30_000)),)),
    "label of a fact": Card("reply", say("T"), facts=(Fact(Wording("L " * 30_000), say("v")),)),
    "many facts": Card("reply", say("T"), facts=(Fact(say("Label"), say("value")),) * 3_000),
    "quote": Card("answer", say("T"), sources=(Source(say("s"), 1, say("x"), Wording("- row\n" * 2_000)),)),
    "forty forms": Card(
        "nudge", say("T"), buttons=tuple(Button("cant", f"N{n}", say("Can't {n}", n=n), needs="reason") for n in range(40))
    ),
    "label of a button": Card("reply", say("T"), buttons=(Button("done", "X", Wording("done " * 9_000)),)),
    "label of a link": Card("reply", say("T"), links=(Link(Wording("open " * 9_000), "https://x.example/"),)),
    "reference": Card("reply", say("T"), ref="R" * 9_000),
    "everything": Card(
        "digest", Wording("t " * 9_000), Wording("x " * 9_000), (Fact(say("L"), Wording("v " * 9_000)),),
        (Source(say("s"), 1, say("x"), Wording("q " * 9_000)),), tuple(Button("done", f"N{n}", say("Done")) for n in range(90)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", LONG)
def test_nothing_is_too_long_to_be_drawn(what: str) -> None:
    """Lost: one long passage, and the whole card is never delivered."""
    card = LONG[what]
    contents = drawn(card, readers=[f"29:{'x' * 190}{n}" for n in range(200)])
    seen = tight(shown(contents))
    for part in (card.text, card.ref, *(f.value for f in card.facts), *(f.label for f in card.facts)):
        assert tight(part) in seen or tight(shown_without_heads(contents)).find(tight(part)) >= 0
    for source in card.sources:
        assert tight(source.quote) in tight(shown_without_heads(contents))
    assert len(executes(contents)) == len(card.buttons)


def shown_without_heads(contents: list[dict[str, Any]]) -> str:
    """What is shown, without what each further card repeats and without buttons."""
    kept = []
    for n, content in enumerate(contents):
        body = [node for node in content["body"] if node["type"] != "ActionSet"]
        if body and shown(body[-1]) == "Continued below.":
            body.pop()
        kept.append(body[2:] if n else body)
    return shown(kept)


def test_a_label_too_long_for_a_button_is_told_in_its_tip() -> None:
    """Lost: two buttons that read the same."""
    [action] = executes(drawn(Card("reply", say("T"), buttons=(Button("done", "X", Wording("word " * 40)),))))
    assert (len(action["title"]) <= 100, action["title"][-1], action["tooltip"]) == (True, "…", ("word " * 40).strip())


@pytest.mark.parametrize("count, asked", [(0, 0), (1, 1), (60, 60), (61, 60), (500, 60)])
def test_each_reader_gets_their_own_view_up_to_what_teams_allows(count: int, asked: int) -> None:
    """Lost: with 61 readers Teams refuses the card; with none each opening of the channel asks us for nothing."""
    content = drawn(cards.nudge(house.view()), readers=[f"29:{n}" for n in range(count)] * 2)[0]
    assert len(content.get("refresh", {}).get("userIds", ())) == asked
    assert asked <= READERS
    if asked:
        action = content["refresh"]["action"]
        assert teams.read_action({"action": action}) == teams.Pressed("refresh", "N7Q29F4M", NONCE)


def test_a_card_about_nothing_is_not_refreshed() -> None:
    """Lost: Teams asks again and again for a card that has no one to ask about."""
    assert "refresh" not in drawn(cards.reply(say("Hello.")), readers=["29:a"])[0]
    assert (
        drawn(cards.reply(say("Hello."), ref="K7Q29F4M"), readers=["29:a"])[0]["refresh"]["action"]["data"]["target"]
        == "K7Q29F4M"
    )


# --- what comes back ---------------------------------------------------------------------------------------------------------


def invoke(action: Mapping[str, Any], **filled: Any) -> dict[str, Any]:
    """The invoke that Teams makes of a press, with what was filled in merged into the data."""
    return {"action": {**action, "data": {**action["data"], **filled}}, "trigger": "manual"}


@each_kind
def test_every_button_reads_back_as_it_was_drawn(kind: str) -> None:
    """Lost: a press acts on something else than what was pressed, or on nothing."""
    card = KINDS[kind]
    contents = drawn(card)
    back = [teams.read_action(invoke(action)) for action in executes(contents)]
    assert sorted(map(repr, back)) == sorted(repr(teams.Pressed(b.verb, b.target, NONCE, b.needs)) for b in card.buttons)


def test_what_was_filled_in_comes_back_with_its_button() -> None:
    """Lost: the reason of one open form is filed under another."""
    cant = next(action for action in executes(drawn(cards.nudge(house.view()))) if action["verb"] == "cant")
    filled = {"choice-4": "system-down", "typed-4": "no line", "choice-5": "other", "typed-3": "2h"}
    back = teams.read_action(invoke(cant, **filled))
    assert back == teams.Pressed("cant", "N7Q29F4M", NONCE, "reason", "system-down", "no line")


GOOD = {"v": 1, "target": "T", "nonce": "n", "needs": "", "n": 1}


@pytest.mark.parametrize(
    "value",
    [
        None, "", 5, [], {}, {"action": None}, {"action": []}, {"action": {}}, {"action": {"verb": "done"}},
        {"action": {"verb": "done", "data": None}}, {"action": {"verb": "done", "data": "v=1"}},
        {"action": {"verb": "done", "data": []}}, {"action": {"verb": "done", "data": {}}},
        {"action": {"verb": "done", "data": {**GOOD, "v": 0}}}, {"action": {"verb": "done", "data": {**GOOD, "v": 2}}},
        {"action": {"verb": "done", "data": {**GOOD, "v": "1"}}}, {"action": {"verb": "done", "data": {**GOOD, "v": True}}},
        {"action": {"verb": "done", "data": {**GOOD, "v": None}}}, {"action": {"verb": "done", "data": {**GOOD, "v": []}}},
        {"action": {"verb": "", "data": GOOD}}, {"action": {"verb": 5, "data": GOOD}}, {"action": {"data": GOOD}},
        {"action": {"verb": "d" * 201, "data": GOOD}}, {"action": {"verb": "do ne", "data": GOOD}},
        {"action": {"verb": "done\n", "data": GOOD}},
        {"action": {"verb": "done", "data": {**GOOD, "target": ""}}},
        {"action": {"verb": "done", "data": {**GOOD, "target": 7}}},
        {"action": {"verb": "done", "data": {**GOOD, "target": "a'; --"}}},
        {"action": {"verb": "done", "data": {**GOOD, "nonce": None}}},
        {"action": {"verb": "done", "data": {**GOOD, "nonce": {}}}},
        {"action": {"verb": "done", "data": {**GOOD, "needs": "blood"}}},
        {"action": {"verb": "done", "data": {**GOOD, "needs": []}}},
        {"action": {"type": "Action.Submit", "verb": "done", "data": GOOD}},
        {"action": {"type": 5, "verb": "done", "data": GOOD}},
        {"action": {"type": [], "verb": "done", "data": GOOD}},
    ],
)  # fmt: skip
def test_what_is_no_button_of_ours_reads_as_nothing(value: object) -> None:
    """Lost: an old or a forged button acts, or Teams gets a 500 and stops talking to us for a day."""
    assert teams.read_action(value) is None


@pytest.mark.parametrize("filled", [None, 5, [], {}, True])
def test_a_field_of_another_kind_is_an_empty_one(filled: object) -> None:
    """Lost: a client that sends a number where text was asked for makes a 500."""
    data = {**GOOD, "choice-1": filled, "typed-1": filled}
    assert teams.read_action({"action": {"verb": "done", "data": data}}) == teams.Pressed("done", "T", "n")
    assert teams.read_action({"action": {"verb": "done", "data": {**data, "n": filled}}}) == teams.Pressed("done", "T", "n")


KEYS = st.sampled_from(["action", "verb", "data", "v", "target", "nonce", "needs", "n"]) | st.text()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6),
)


@given(JSON)
@settings(max_examples=300, deadline=None)
def test_no_value_breaks_the_reader(value: object) -> None:
    """Lost: a malformed invoke is a 500."""
    back = teams.read_action(value)
    assert back is None or isinstance(back, teams.Pressed)


# --- inert text --------------------------------------------------------------------------------------------------------------

NASTY = [
    "[pay here](https://evil.example)", "https://evil.example", "www.evil.example", "mail me@evil.example",
    "<at>Everyone</at>", "<a href='x'>y</a>", "<script>x</script>",
    "&lt;b&gt;", "&#60;", "**bold**", "__bold__", "_it_", "*it*",
    "~~gone~~", "`code`", "- item", "1. item", "1) item", "# head", "> quote", "+ item", "* item",
    "{{DATE(2026-02-14T06:00:00Z, SHORT)}}", "{{TIME(2026-02-14T06:00:00Z)}}", "${name}", "$${x}", "{{{x}}}",
    "![img](https://evil.example/x.png)", "[a][b]", "[b]: http://x.y", "<!channel>", "<@U123>", "\\*x\\*", "\\",
    "a\u202eb", "a\u200bb", "\x00", "\x1b[31m", "\ud800", "\ufeff", "\u2028", "\r\n", "\t", "|a|b|", "|---|", "evil.com",
    "javascript:alert(1)", "=1+1", "@everyone", "<speak><break/></speak>", "]]>", "%s{0}", "ﷺ", "🦷", "https:/", "/evil", "{",
    "$", "<", "&", "]", "(", "ww", "w.x", "*", "**", "_", "at>", "lt;", "\u200d", "ßß", "عربي",
]  # fmt: skip
TEXT = st.lists(st.sampled_from(NASTY) | st.text(max_size=12) | st.just(" ") | st.just("\n"), max_size=8).map("".join)
SOAK = settings(
    max_examples=10_000 if os.environ.get("HOLDFAST_SOAK") else 1_000,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
_BACK = str.maketrans("∗ˍˋ∼⧵‹›＆‐＋＃․﹚", "*_`~\\<>&-+#.)")


def as_text(text: str) -> str:
    """A text as it reads, whichever look-alikes stand in it."""
    return tight(text).translate(_BACK)


@given(TEXT, TEXT, TEXT)
@SOAK
def test_no_text_does_anything_but_be_read(one: str, two: str, three: str) -> None:
    """Lost: a step or a name that looks like a link, a mention or a date is one, on a card that people trust."""
    a, b, c = Wording(one), Wording(two), Wording(three)
    asks = Form(a, b, (Choice("x", c), Choice("y", a)), b, c, a, needs_choice=True)
    buttons = (Button("done", "X", a), Button("cant", "X", b, needs="reason"))
    facts = (Fact(a, b), Fact(say("Label"), c), Fact(c, say("value")))
    card = Card("notice", a, b, facts, (Source(a, 3, b, Wording("Quoted."), c),), buttons, ref="K7Q29F4M")
    contents = drawn(card, forms=lambda verb: asks, note=c)
    seen = as_text(shown(contents))
    for text in (one, two, three):
        assert as_text(text) in seen
    note, heading = as_text(three), as_text(one) or "Holdfast"
    told = f"{note}{heading}{as_text(two)}{as_text(one)}"
    assert seen.startswith(told)


@pytest.mark.parametrize("value", ["- x", " - x", "\n1. x", "\t# x", " > x", "x ", "\u200b- x", "1.", "-"])
def test_blanks_before_a_mark_do_not_hide_it(value: str) -> None:
    """Lost: a value that begins with a blank becomes a list on Teams (found by ten thousand generated cards)."""
    drawn(Card("notice", Wording(value), Wording(value), (Fact(say("Label"), Wording(value)), Fact(Wording(value), say("v")))))


@given(TEXT)
@SOAK
def test_a_quoted_passage_is_as_inert_and_reads_the_same(text: str) -> None:
    """Lost: an SOP is where most text comes from, and its lists and bold words are the only markup that is meant."""
    card = Card("answer", say("T"), Wording(text), sources=(Source(say("s"), 1, say("x"), Wording(text)),))
    seen = tight(shown(drawn(card)))
    bare = re.compile(r"[*|:-]")  # what only draws: stars of bold, and the lines of a table
    assert seen.count(tight("s · v1 · x")) >= 1
    assert bare.sub("", tight(text)) in bare.sub("", seen)


@given(TEXT)
@SOAK
def test_what_takes_one_string_reads_the_same(text: str) -> None:
    """Lost: the notification of a card is where a link is pressed without looking."""
    assert as_text(teams.inert(text)) == as_text(text)
    card = Card("notice", Wording(text), say("x"))
    check_activity({"type": "message", "summary": teams.summary(card), "text": teams.summary(card)})


# --- the gate itself -----------------------------------------------------------------------------------------------------


def block(**more: Any) -> dict[str, Any]:
    return {"type": "TextBlock", "text": "hi", **more}


def press(**more: Any) -> dict[str, Any]:
    return {"type": "Action.Execute", "title": "Done", "verb": "done", "data": {"v": 1}, **more}


def plain(body: Any = None, **more: Any) -> dict[str, Any]:
    return {"type": "AdaptiveCard", "version": "1.5", "body": [block()] if body is None else body, **more}


def ask(kind: str = "Text", **more: Any) -> dict[str, Any]:
    return {"type": f"Input.{kind}", "id": "a", "label": "Why", **more}


def opens(card: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Action.ShowCard", "title": "More", "card": card}


CHOICE = {"title": "Yes", "value": "y"}
GOOD_CARDS = {
    "text": plain(),
    "a button": plain(actions=[press()]),
    "refresh": plain(refresh={"action": press(verb="r"), "userIds": ["29:a"]}),
    "full width": plain(msteams={"width": "Full"}),
    "input": plain([ask(isRequired=True, errorMessage="Say why")], actions=[press()]),
    "choices": plain([ask("ChoiceSet", choices=[CHOICE])]),
    "form": plain(actions=[opens(plain([ask()], actions=[press()])), opens(plain([ask(id="b")], actions=[press()]))]),
    "facts": plain([{"type": "FactSet", "facts": [{"title": "Site", "value": "Harbor (2 rooms), $1,185.00"}]}]),
    "runs": plain([{"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": "*x*"}, "plain"]}]),
    "link": plain(actions=[{"type": "Action.OpenUrl", "title": "Open", "url": "https://x.example/"}]),
    "six buttons": plain([{"type": "ActionSet", "actions": [press()] * 6}]),
    "an older version": plain(version="1.4"),
}
BAD_CARDS: dict[str, tuple[Any, str]] = {
    "not an object": ([], "object"),
    "another type": ({**plain(), "type": "Card"}, "type 'Card'"),
    "no version": ({"type": "AdaptiveCard", "body": [block()]}, "version is None"),
    "version above 1.5": (plain(version="1.6"), "above 1.5"),
    "version 9.9": (plain(version="9.9"), "above 1.5"),
    "version that is a number": (plain(version=1.5), "version is 1.5"),
    "empty card": (plain([]), "empty"),
    "body is an object": (plain(block()), "body"),
    "unknown element": (plain([{"type": "Banner", "text": "x"}]), "type 'Banner'"),
    "element of 1.6": (plain([{"type": "Carousel", "pages": []}]), "type 'Carousel'"),
    "unknown property": (plain([block(colour="red")]), "'colour' was unexpected"),
    "unknown property of the card": (plain(footer="x"), "'footer' was unexpected"),
    "unknown property of the host": (plain(msteams={"entities": []}), "msteams"),
    "bad size": (plain([block(size="Huge")]), "size"),
    "text block without text": (plain([{"type": "TextBlock"}]), "'text' is a required"),
    "text is a number": (plain([block(text=5)]), "text"),
    "empty text": (plain([block(text=" ")]), "empty"),
    "empty run": (plain([{"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": ""}]}]), "empty"),
    "no runs": (plain([{"type": "RichTextBlock", "inlines": []}]), "no inlines"),
    "no facts": (plain([{"type": "FactSet", "facts": []}]), "no facts"),
    "fact without value": (plain([{"type": "FactSet", "facts": [{"title": "x"}]}]), "'value' is a required"),
    "no items": (plain([{"type": "Container", "items": []}]), "no items"),
    "no actions": (plain([{"type": "ActionSet", "actions": []}]), "no actions"),
    "input without id": (plain([{"type": "Input.Text", "label": "x"}]), "'id' is a required"),
    "input without label": (plain([{"type": "Input.Text", "id": "x"}]), "label"),
    "same id twice": (plain([ask(), ask()]), "taken by"),
    "same id in two forms": (plain(actions=[opens(plain([ask()], actions=[press()]))] * 2), "taken by"),
    "required without a message": (plain([ask(isRequired=True)]), "errorMessage"),
    "choice without value": (plain([ask("ChoiceSet", choices=[{"title": "x"}])]), "'value' is a required"),
    "no choices": (plain([ask("ChoiceSet", choices=[])]), "nothing to choose"),
    "same choice twice": (plain([ask("ChoiceSet", choices=[CHOICE, CHOICE])]), "two choices"),
    "choice with a comma": (plain([ask("ChoiceSet", choices=[{"title": "x", "value": "a,b"}])]), "comma"),
    "unknown action": (plain(actions=[{"type": "Action.Press", "title": "x"}]), "Action.Press"),
    "misspelt verb": (plain(actions=[{"type": "Action.Execute", "title": "x", "verbb": "done"}]), "'verbb' was unexpected"),
    "no verb": (plain(actions=[press(verb="")]), "without a verb"),
    "no data": (plain(actions=[{"type": "Action.Execute", "title": "x", "verb": "done"}]), "without data"),
    "data is a string": (plain(actions=[press(data="x")]), "without data"),
    "button without title": (plain(actions=[press(title="")]), "without a title"),
    "submit": (plain(actions=[{"type": "Action.Submit", "title": "x"}]), "Action.Submit"),
    "execute in a 1.2 card": (plain(actions=[press()], version="1.2"), "newer"),
    "refresh in a 1.3 card": (plain(version="1.3", refresh={"userIds": ["a"]}), "newer"),
    "tooltip in a 1.4 card": (plain(actions=[press(tooltip="x")], version="1.4"), "newer"),
    "link without address": (plain(actions=[{"type": "Action.OpenUrl", "title": "x"}]), "'url' is a required"),
    "link to nowhere good": (plain(actions=[{"type": "Action.OpenUrl", "title": "x", "url": "http://x.y/"}]), "https"),
    "seven buttons": (plain(actions=[press()] * 7), "shows 6"),
    "seven in a set": (plain([{"type": "ActionSet", "actions": [press()] * 7}]), "shows 6"),
    "form without a button": (plain(actions=[opens(plain([ask()]))]), "cannot be sent"),
    "form in a form": (plain(actions=[opens(plain(actions=[opens(plain(actions=[press()]))]))]), "inside a form"),
    "61 readers": (plain(refresh={"action": press(), "userIds": [str(n) for n in range(61)]}), "60 readers"),
    "refresh for nobody": (plain(refresh={"action": press(), "userIds": []}), "60 readers"),
    "too large": (plain([block(text="x" * 300)] * 100), "bytes"),
    "link in a text": (plain([block(text="see [x](y)")]), "live"),
    "address in a text": (plain([block(text="https://x.y")]), "live"),
    "bold in a fact": (plain([{"type": "FactSet", "facts": [{"title": "x", "value": "**y**"}]}]), "live"),
    "list in a text": (plain([block(text="- x")]), "live"),
    "mention in a text": (plain([block(text="<at>x</at>")]), "live"),
    "mention in a run": (plain([{"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": "<at>x</at>"}]}]), "live"),
    "date in a run": (plain([{"type": "RichTextBlock", "inlines": ["{{DATE(2026-02-14T06:00:00Z)}}"]}]), "live"),
    "template": (plain([block(text="${x}")]), "live"),
    "link in the fallback": (plain(fallbackText="[x](y)"), "live"),
    "markup spoken": (plain(speak="<speak>x</speak>"), "live"),
    "link on a button": (plain(actions=[press(title="[x](y)")]), "live"),
}  # fmt: skip


def test_the_gate_is_the_official_schema_and_more() -> None:
    """Lost: the gate's shortcut through the schema lets something through that the schema itself stops."""
    cases = [*GOOD_CARDS.values(), *(card for card, _ in BAD_CARDS.values() if isinstance(card, dict))]
    cases += drawn(cards.nudge(house.view())) + drawn(KINDS["answer"])
    for card in cases:
        bare = {key: value for key, value in card.items() if key != "msteams"}
        assert gate._validator().is_valid(bare) == gate.fits_the_schema_as_shipped(bare), json.dumps(card)[:300]


@pytest.mark.parametrize("what", GOOD_CARDS)
def test_the_gate_lets_good_cards_through(what: str) -> None:
    """Lost: a gate that refuses everything proves nothing."""
    check_card(GOOD_CARDS[what])


@pytest.mark.parametrize("what", BAD_CARDS)
def test_the_gate_stops_bad_cards_and_says_why(what: str) -> None:
    """Lost: a card that Teams refuses passes every test, and the first to see it is a customer."""
    card, why = BAD_CARDS[what]
    with pytest.raises(AssertionError, match=re.escape(why)):
        check_card(card)


def message(**more: Any) -> dict[str, Any]:
    return {"type": "message", "summary": "x", "attachments": [{"contentType": CONTENT_TYPE, "content": plain()}], **more}


@pytest.mark.parametrize(
    "bad, why",
    [
        ("x", "object"), (message(type="invoke"), "type 'invoke'"), ({"type": "message", "summary": "x"}, "nothing"),
        (message(attachments="x"), "list"), (message(attachments=[{"contentType": "text/html", "content": "x"}]), "text/html"),
        (message(attachments=[{"contentType": CONTENT_TYPE, "content": plain([])}]), "empty"), (message(summary=""), "summary"),
        (message(text="[x](y)"), "live"), (message(summary="<at>x</at>"), "live"), (message(channelData="x" * 30_000), "bytes"),
    ],
)  # fmt: skip
def test_the_gate_stops_bad_messages(bad: Any, why: str) -> None:
    """Lost: the card is good and its message is refused."""
    check_activity(message())
    check_activity({"type": "message", "text": "[x](y)", "textFormat": "plain"})
    with pytest.raises(AssertionError, match=re.escape(why)):
        check_activity(bad)


@pytest.mark.parametrize(
    "bad, why",
    [
        (None, "object"), ({"statusCode": 500}, "500"), ({"statusCode": 200, "type": "x"}, "type 'x'"),
        ({"statusCode": 200, "type": "application/vnd.microsoft.activity.message", "value": " "}, "empty message"),
        ({"statusCode": 200, "type": CONTENT_TYPE, "value": {}}, "AdaptiveCard"),
    ],
)  # fmt: skip
def test_the_gate_stops_bad_answers_to_a_press(bad: Any, why: str) -> None:
    """Lost: Teams takes an empty answer for a failure and presses the button again."""
    check_answer({"statusCode": 200, "type": CONTENT_TYPE, "value": plain()})
    check_answer({"statusCode": 200, "type": "application/vnd.microsoft.activity.message", "value": "Done."})
    with pytest.raises(AssertionError, match=re.escape(why)):
        check_answer(bad)
