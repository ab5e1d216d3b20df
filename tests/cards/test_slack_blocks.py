"""Slack's cards: every field drawn, within every limit, with no text alive; and the gate that holds it does bite."""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bot import cards
from bot.chat import Account, Button, Card, Choice, Fact, Form, Link, Source, Wording
from bot.platforms.slack import blocks
from bot.platforms.slack.blocks import Message, Pressed
from tests.cards import house, test_wording
from tests.gates import slack as gate

EXAMPLES = 10_000 if os.environ.get("HOLDFAST_SOAK") == "1" else 1_000
NONCE = "0a1b2c3d"
W = Wording


# --- the gate ------------------------------------------------------------------------------------------------------------


def p(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}


def m(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text, "verbatim": True, **more}


def button(**more: Any) -> dict[str, Any]:
    return {"type": "button", "action_id": "a", "text": p("Done"), **more}


def section(**more: Any) -> dict[str, Any]:
    return {"type": "section", "text": m("hi"), **more}


def actions(*elements: dict[str, Any]) -> dict[str, Any]:
    return {"type": "actions", "elements": list(elements)}


def select(**more: Any) -> dict[str, Any]:
    return actions({"type": "static_select", "action_id": "s", **more})


def option(n: int, text: str = "o") -> dict[str, Any]:
    return {"text": p(text), "value": str(n)}


def asked(**more: Any) -> dict[str, Any]:
    return {"type": "input", "element": {"type": "plain_text_input", "action_id": "t"}, **more}


def modal(without: str = "", **more: Any) -> dict[str, Any]:
    view = {"type": "modal", "title": p("T"), "submit": p("Go"), "blocks": [asked(label=p("L"))], **more}
    return {key: value for key, value in view.items() if key != without}


def home(*drawn: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "home", "blocks": list(drawn), **more}


def body(*drawn: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"channel": "C1", "text": "hi", "blocks": list(drawn), "unfurl_links": False, "unfurl_media": False, **more}


GOOD: dict[str, dict[str, Any]] = {
    "a nudge": body(section(), actions(button(action_id="ack"), button(action_id="done", style="primary"))),
    "a modal": modal(),
    "a home page": home(section(), actions(button())),
}
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "section without text": (body({"type": "section"}), "text or fields"),
    "section too long": (body(section(text=m("x" * 3001))), "3000"),
    "section empty": (body(section(text=m(""))), "empty"),
    "button label too long": (body(actions(button(text=p("x" * 76)))), "75"),
    "button label in mrkdwn": (body(actions(button(text=m("x")))), "plain_text|verbatim"),
    "button green": (body(actions(button(style="green"))), "style"),
    "button value too long": (body(actions(button(value="x" * 2001))), "2000"),
    "action_id too long": (body(actions(button(action_id="x" * 256))), "255"),
    "two equal action_ids": (body(actions(button(), button())), "action_id occurs twice"),
    "two equal block_ids": (body(section(block_id="x"), section(block_id="x")), "block_id occurs twice"),
    "26 buttons": (body(actions(*(button(action_id=str(n)) for n in range(26)))), "25"),
    "no buttons": (body(actions()), "elements"),
    "header too long": (body({"type": "header", "text": p("x" * 151)}), "150"),
    "header in mrkdwn": (body({"type": "header", "text": m("x")}), "plain_text"),
    "unknown block": (body({"type": "banner", "text": p("x")}), "unknown kind of block"),
    "unknown property": (body(section(colour="red")), "colour"),
    "11 fields": (body({"type": "section", "fields": [m("x")] * 11}), "10"),
    "11 elements of a context": (body({"type": "context", "elements": [m("x")] * 11}), "10"),
    "51 blocks": (body(*(section() for _ in range(51))), "50"),
    "101 options": (body(select(options=[option(n) for n in range(101)])), "100"),
    "no options": (body(select()), "options"),
    "option too long": (body(select(options=[option(1, "x" * 76)])), "75"),
    "6 options of an overflow": (
        body(section(accessory={"type": "overflow", "action_id": "o", "options": [option(n) for n in range(6)]})), "5",
    ),
    "a date the wrong way round": (
        body(actions({"type": "datepicker", "action_id": "d", "initial_date": "21/11/2026"})), "YYYY-MM-DD",
    ),
    "modal title too long": (modal(title=p("x" * 25)), "24"),
    "modal without title": (modal("title"), "no title"),
    "modal without submit": (modal("submit"), "no submit"),
    "modal keeps too much": (modal(private_metadata="x" * 3001), "3000"),
    "input without label": (modal(blocks=[asked()]), "label"),
    "101 blocks at home": (home(*(section() for _ in range(101))), "100"),
    "home with title": (home(section(), title=p("x")), "title"),
    "home with markdown": (home({"type": "markdown", "text": "x"}), "messages only"),
}  # fmt: skip
OURS: dict[str, tuple[dict[str, Any], str]] = {
    "no text": (body(section(), text=" "), "notification"),
    "previews": ({key: value for key, value in body(section()).items() if key != "unfurl_media"}, "unfurl_media"),
    "previews of an update": ({"channel": "C1", "ts": "1.2", "text": "hi", "unfurl_links": True}, "unfurl_links"),
    "words made links": (body(section(), parse="full"), "parse"),
    "names made mentions": (body(section(), link_names=True), "link_names"),
    "metadata without payload": (body(section(), metadata={"event_type": "holdfast"}), "event_payload"),
    "metadata with a blank": (body(section(), metadata={"event_type": "a b", "event_payload": {}}), "event_type"),
    "too much in all": (body(*(section(text=m("x" * 2900)) for _ in range(5))), "13200"),
    "addresses made links": (body(section(text={"type": "mrkdwn", "text": "a.example"})), "verbatim"),
    "everybody called": (body(section(text=m("<!channel>"))), "raw <"),
    "everybody called in the notification": (body(section(), text="<!here>"), "raw <"),
    "a link": (body(section(text=m("<https://a.example|here>"))), "raw <"),
    "a raw ampersand": (body(section(text=m("a & b"))), "raw &"),
    "struck through": (body(section(text=m("~gone~"))), "formatting"),
    "a quote by an escaped sign": (body(section(text=m("a\n &gt; b"))), "formatting"),
    "blocks that are no JSON": (body(section()) | {"blocks": "[{"}, "no JSON"),
    "an emoji": (body(section(text=m("fine :tada:"))), "formatting"),
    "a blank header": (body({"type": "header", "text": p(" ")}), "empty"),
    "an input in a message": (body(asked(label=p("L"))), "views only"),
    "two options that mean the same": (modal(blocks=[section(), select(options=[option(1), option(1)])]), "mean the same"),
    "an unknown element": (body(actions({"type": "lever", "action_id": "a"})), "unknown"),
    "an unknown key of a text": (body(section(text=m("x", size="big"))), "size"),
    "thumbs at home": (home({"type": "context_actions", "elements": [button()]}), "messages only"),
}  # fmt: skip


def pass_gate(payload: Mapping[str, Any]) -> None:
    (gate.check_view if payload.get("type") in ("modal", "home") else gate.check_message)(payload)


@pytest.mark.parametrize("name", GOOD)
def test_the_gate_lets_good_payloads_pass(name: str) -> None:
    """Lost: a gate that refuses everything proves nothing."""
    pass_gate(GOOD[name])


@pytest.mark.parametrize("name", [*BAD, *OURS])
def test_the_gate_stops_bad_payloads_for_their_own_reason(name: str) -> None:
    """Lost: a payload that every test of ours accepts and Slack answers with invalid_blocks, to a nudge that was due."""
    payload, reason = {**BAD, **OURS}[name]
    with pytest.raises(AssertionError, match=reason):
        pass_gate(payload)


def test_the_gate_knows_every_case_that_the_sdk_was_tried_with() -> None:
    """Lost: a case quietly leaves the table, and with it the limit it stood for."""
    assert (len(BAD), len(GOOD)) == (32, 3)


# --- drawing -------------------------------------------------------------------------------------------------------------


def drawn(card: Card, **more: Any) -> list[Message]:
    """The card's messages, each of which passed the gate as it would be posted."""
    made = blocks.messages(card, NONCE, **more)
    for message in made:
        gate.check_message(body(*message.blocks, text=message.text))
    return made


def all_seen(made: Sequence[Message]) -> str:
    return "\n".join(gate.seen(message.blocks) for message in made)


def bare(text: str) -> str:
    """What must be found again of a text: all that a reader can see, without blanks and stars."""
    joined = "".join(char for char in text if char in "\u200c\u200d" or unicodedata.category(char)[0] != "C")
    return "".join(joined.split()).replace("*", "")


def said(card: Card) -> Iterator[str]:
    """Every text of a card."""
    yield from (card.title, card.text, card.ref)
    for fact in card.facts:
        yield from (fact.label, fact.value if not isinstance(fact.value, Account) else "")
    for source in card.sources:
        yield from (source.title, source.quote, f"{source.sop} v{source.version}, {source.step}")
    yield from (button.label for button in card.buttons)
    yield from (link.label for link in card.links)


def missing(card: Card, shown: str) -> list[str]:
    whole = bare(shown)
    return [text for text in said(card) if bare(text) not in whole]


def elements(made: Sequence[Message] | Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    drawn_blocks = [b for message in made for b in message.blocks] if isinstance(made, Sequence) else made["blocks"]
    return [e for b in drawn_blocks if b["type"] == kind for e in b["elements"]]


def of_the_core() -> Iterator[Any]:
    for state in house.STATES:
        yield pytest.param(cards.nudge(house.view(state)), id=f"nudge {state}")
    view = house.view("exception_asked")
    asked_for = cards.exception(view, "E7Q29F4M", "system-down", house.BEA, house.NOON, has_note=True)
    yield pytest.param(asked_for, id="exception with note")
    for name, build, arguments in test_wording.builders():
        yield pytest.param(build(**arguments), id=name)


def sources(count: int, length: int = 40) -> tuple[Source, ...]:
    quote = W(("Rinse the tray. " * length)[:length].strip())
    return tuple(Source(W("sop"), n, W(f"step-{n}"), quote, W(f"Rinsing v{n}, step {n}")) for n in range(count))


def facts(count: int) -> tuple[Fact, ...]:
    return tuple(Fact(W(f"Fact {n}"), W(f"value {n} " * (1 + n % 30))) for n in range(count))


def buttons(count: int, label: str = "Show") -> tuple[Button, ...]:
    return tuple(Button("show", f"T{n}", W(f"{label} {n}")) for n in range(count))


@pytest.mark.parametrize("card", list(of_the_core()))
def test_every_card_of_the_core_is_drawn_whole_in_one_message(card: Card) -> None:
    """Lost: a kind of card that Slack refuses, or one whose deadline or source nobody sees."""
    made = drawn(card)
    assert len(made) == 1
    assert missing(card, all_seen(made)) == []
    for text in (card.title, card.text, *(fact.value for fact in card.facts)):
        assert bare(text) in bare(made[0].text.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">"))
    pressed = [blocks.read_value(e.get("value")) for e in elements(made, "actions") if "value" in e]
    thumbs = [thumb for e in elements(made, "context_actions") for thumb in (e["positive_button"], e["negative_button"])]
    pressed += [blocks.read_value(thumb["value"]) for thumb in thumbs]
    assert pressed == [Pressed(b.verb, b.target, NONCE, b.needs) for b in card.buttons]
    pass_gate(page := blocks.home(card, NONCE))
    assert missing(card, gate.seen(page)) == []


def test_a_card_is_read_in_twenty_seconds() -> None:
    """Lost: the buttons stand below a page of quotes, and nobody scrolls to them."""
    (message,) = drawn(replace(cards.nudge(house.view()), ref="OTHERREF"))
    kinds = [block["type"] for block in message.blocks]
    assert kinds == ["header", "section", "section", "actions", "section", "context", "context"]
    assert message.blocks[0]["text"]["text"] == "Claim not touched · $1,185.00"
    assert [field["text"].partition("\n")[0] for field in message.blocks[2]["fields"]][:2] == [
        "*Put right by*",
        "*Still since*",
    ]
    assert message.blocks[4]["text"] == m("> Open every claim that nobody moved.")
    assert "billing-claims v3, work-claims-daily" in message.blocks[5]["elements"][0]["text"]
    assert [e["text"] for e in message.blocks[6]["elements"]] == ["Reference", "OTHERREF"]
    assert [e.get("style", "") for e in message.blocks[3]["elements"]] == ["primary", "", "", "", ""]
    assert [e["action_id"] for e in message.blocks[3]["elements"]][:2] == ["hf:0:on_it", "hf:1:done"]


def test_the_decisions_of_a_stand_up_stand_above_its_figures() -> None:
    """Lost: the manager reads what to decide, and the button for it is a screen further down."""
    card = Card("digest", W("Stand-up"), W("Decide 1: the backlog."), facts(12), buttons=buttons(2))
    (message,) = drawn(card)
    assert [block["type"] for block in message.blocks[:4]] == ["header", "section", "actions", "section"]


def test_a_digest_of_any_size_goes_on_below() -> None:
    """Lost: the busiest day's digest is the one that Slack refuses."""
    card = Card("digest", W("Stand-up"), W("All sites."), facts(120), sources(30, 2500), buttons(30), ref="K7Q29F4M")
    first, *rest = made = drawn(card)
    assert rest
    assert missing(card, all_seen(made)) == []
    shown = gate.seen(first.blocks)
    assert "It goes on in the thread below." in shown
    assert "Stand-up" in shown and "Show 0" in shown and "Fact 0" in shown
    assert all(message.text == "Stand-up, continued" for message in rest)
    ids = [e["action_id"] for e in elements(made, "actions")]
    assert len(ids) == len(set(ids)) == 30


def test_as_many_quotes_as_fit_stand_with_their_answer() -> None:
    """Lost: a reader has to open a thread for the first source of an answer, because the fifth did not fit."""
    card = Card("answer", W("Title"), W("Text."), sources=sources(5, 2900))
    first, rest = drawn(card)
    assert missing(replace(card, sources=card.sources[:3]), gate.seen(first.blocks)) == []
    assert missing(card, all_seen([first, rest])) == []


@pytest.mark.parametrize("length", [2_999, 3_000, 3_001, 8_000, 60_000])
@pytest.mark.parametrize("sign", ["word", "&", "😀"])
def test_the_deadline_and_the_buttons_stand_in_the_first_message_however_long_the_text(sign: str, length: int) -> None:
    """Lost: what is asked of the reader comes after a text that pushed it out."""
    text = " ".join(f"{sign}{n}" for n in range(length // (len(sign) + 5)))
    card = replace(cards.nudge(house.view()), text=W(text))
    made = drawn(card)
    shown = gate.seen(made[0].blocks)
    assert "Put right by" in shown and "On it" in shown and "Claim not touched" in shown
    everything = iter(all_seen(made).split())
    assert all(word in everything for word in text.split())


@pytest.mark.parametrize("length, is_cut", [(150, False), (151, True), (3_100, True), (40_000, True)])
def test_a_long_title_goes_on_whole_in_a_section(length: int, is_cut: bool) -> None:
    """Lost: the end of a title, where the amount stands."""
    card = Card("reply", W("t" * length), W("Text."))
    made = drawn(card)
    assert made[0].blocks[0]["text"]["text"].endswith("…") is is_cut
    whole = bare(all_seen(made)).removeprefix("t" * 149 + "…")
    assert whole.count("t" * 2000) >= length // 3000 and whole.count("t") >= length


@pytest.mark.parametrize("length", [75, 76, 500, 2_100])
def test_a_long_label_stands_whole_beside_its_button(length: int) -> None:
    """Lost: two buttons that begin alike cannot be told apart."""
    card = Card("reply", W("Title"), buttons=(Button("show", "T", W("b" * length)),))
    made = drawn(card)
    assert missing(card, all_seen(made)) == []
    assert len(elements(made, "actions")[0]["text"]["text"]) == 75


@pytest.mark.parametrize("length", [1, 119, 121, 1_990, 2_100, 3_100, 30_000])
@pytest.mark.parametrize("sign", ["v", "&", "_"])
def test_a_fact_of_any_length_is_drawn(sign: str, length: int) -> None:
    """Lost: a fact that is too long for a field takes the whole card with it."""
    card = Card("reply", W("Title"), facts=(Fact(W("Label"), W(sign * length)), Fact(W("After"), W("it"))))
    made = drawn(card)
    whole = all_seen(made)
    assert bare(whole).count(sign) >= length and "After" in whole


@pytest.mark.parametrize("length", [2_900, 3_100, 20_000, 60_000])
@pytest.mark.parametrize("word", ["Rinse", "a_b", "**Rinse**", "x\n"])
def test_a_quote_of_any_length_is_drawn(word: str, length: int) -> None:
    """Lost: the one long step that nobody gets to read."""
    quote = " ".join(f"{word}{n}" for n in range(length // (len(word) + 4)))
    card = Card("answer", W("Title"), W("Text."), sources=(Source(W("sop"), 1, W("step"), W(quote), W("Where")),))
    everything = iter(all_seen(drawn(card)).replace("*", "").replace("“", " ").replace("”", " ").split())
    assert all(part in everything for part in quote.replace("*", "").split())


@pytest.mark.parametrize("count", [0, 1, 25, 26, 100, 300])
def test_any_number_of_buttons_is_drawn(count: int) -> None:
    """Lost: the twenty-sixth button, or the message that has it."""
    made = drawn(Card("my_day", W("My day"), W("Text."), buttons=buttons(count)))
    assert [e["action_id"] for e in elements(made, "actions")] == [f"hf:{n}:show" for n in range(count)]


@pytest.mark.parametrize("count", [9, 10, 11, 30])
def test_any_number_of_facts_is_drawn(count: int) -> None:
    """Lost: the eleventh fact."""
    card = Card("reply", W("Title"), facts=tuple(Fact(W(f"L{n}."), W(f"v{n}.")) for n in range(count)))
    assert missing(card, all_seen(drawn(card))) == []


EMPTY = Fact(W(""), W("\n"))


def test_a_card_with_next_to_nothing_is_still_a_message() -> None:
    """Lost: a card whose parts are all empty is refused by Slack, and its press seems lost."""
    assert drawn(Card("reply", W("")))[0].text == "…"
    shown = all_seen(
        drawn(Card("reply", W(" "), W("\n"), (Fact(W(""), W("v")), Fact(W("l"), W("")), EMPTY), buttons=buttons(1, "")))
    )
    assert shown.split() == ["v", "l", "0"]
    assert drawn(Card("reply", W("T"), facts=(EMPTY,)))[0].blocks[1:] == []
    assert gate.seen(blocks.home([], NONCE)) == "Nothing yet."


def test_a_note_stands_above_what_it_is_about() -> None:
    """Lost: a card that may have come twice does not say so."""
    (message,) = drawn(cards.nudge(house.view()), note=W("You may have had this before."))
    assert message.blocks[1]["elements"][0]["text"] == "You may have had this before."
    assert message.text.splitlines()[1] == "You may have had this before."


def test_a_notification_reads_title_text_and_facts() -> None:
    """Lost: who listens to the message instead of looking at it hears "This content can't be displayed"."""
    (message,) = drawn(Card("reply", W("A & B"), W("It is <b>."), (Fact(W("By"), W("noon")),)))
    assert message.text == "A &amp; B\nIt is &lt;b&gt;.\nBy: noon"
    long = drawn(Card("reply", W("T"), W("& " * 5_000)))[0].text
    assert len(long) <= 3000 and long.endswith("…")


# --- what is alive -------------------------------------------------------------------------------------------------------

TRAPS = [
    "<!channel>", "<!here|here>", "<!everyone>", "<@U012AB3CD>", "<#C012AB3CD|general>",
    "<https://evil.example|our page>", "<mailto:a@evil.example|mail>", "<!subteam^S1|all>",
    "<!date^1392734382^{date}^https://evil.example|x>", "@channel", "@here", "#general", "evil.example",
    "https://evil.example/?a=1&b=2", "http://a:b@evil.example", "*bold*", "_italic_", "~gone~", "`code`",
    "```\nblock\n```", "> quote", ">>> quote", "\n> quote", "\n>", ":tada:", ":100:", "10:30:45", "**bold**", "**",
    "***", "****x****", "a**b**c", "- one\n- two", "1. one", "# Head", "&lt;!channel&gt;", "&amp;", "&#60;", "&", "<",
    ">", "<\u200b!channel>", "\u202e", "\u2060", "\x00", "\r\n", "\u2028", "\t", " ", "\n", "\\", '"', "{", "}",
    "[x](https://evil.example)", "![x](y)", "\ud800", "😀", "👩‍⚕️", "é", "한", "|", "^", "=HYPERLINK(1)",
]  # fmt: skip
nasty = st.lists(st.sampled_from(TRAPS) | st.text(max_size=6) | st.sampled_from("*_~`<>&: \n-ab")).map("".join)
LIVE = re.compile(r"<[!@#/A-Za-z]")


hard = partial(settings, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@hard(max_examples=EXAMPLES)
@given(st.lists(nasty, min_size=5, max_size=5))
@example(TRAPS[:5])
@example(["*", "_", "**", "*a* **b**", "> x"])
@example(["**> x**", "<!channel> *x*", "**<!here>**", ">\u2060 x", "**:**tada:"])
def test_nothing_in_a_text_is_alive_and_all_of_it_is_read(texts: list[str]) -> None:
    """Lost: an SOP or a name that pings the whole workspace, hides a link behind a word, or swallows half a sentence."""
    card = of_nasty(texts)
    made = drawn(card)
    shown = all_seen(made)
    assert missing(card, shown) == []
    assert [text for message in made for text in texts_of(message.blocks) if LIVE.search(text)] == []
    if all("**" not in each for each in texts):
        whole = "".join(shown.split())
        assert [each for each in said(card) if stars(each) not in whole] == []


@hard(max_examples=EXAMPLES // 10)
@given(st.lists(nasty, min_size=5, max_size=5))
def test_nothing_in_a_form_or_at_home_is_alive(texts: list[str]) -> None:
    """Lost: a choice or a page that pings the whole workspace, or is refused for a name with a sign in it."""
    card = of_nasty(texts)
    pass_gate(page := blocks.home(card, NONCE))
    assert missing(card, gate.seen(page)) == []
    ask = Form(card.title, card.text, (Choice("c", card.title),), card.text, card.title, card.text, needs_choice=True)
    pass_gate(view := blocks.form(ask, {}))
    assert [text for text in (*texts_of(page), *texts_of(view)) if LIVE.search(text)] == []


def of_nasty(texts: Sequence[str]) -> Card:
    title, text, label, value, quote = map(W, texts)
    return Card(
        "answer", title, text, (Fact(label, value), Fact(W("Site"), value)), (Source(value, 3, W("step"), quote, value),),
        (Button("show", "T", label), Button("done", "T", label)), ref=str(title),
    )  # fmt: skip


def stars(text: str) -> str:
    """As `bare`, and the stars stay."""
    return bare(text.replace("*", "\u26ac")).replace("\u26ac", "*")


def texts_of(node: object) -> Iterator[str]:
    if isinstance(node, Mapping):
        if node.get("type") in ("plain_text", "mrkdwn"):
            yield str(node["text"])
        for part in node.values():
            yield from texts_of(part)
    elif isinstance(node, list):
        for part in node:
            yield from texts_of(part)


@pytest.mark.parametrize(
    "text, object_",
    [
        ("Call the payer.", m("Call the payer.")),
        ("Call **the payer** first.", m("Call *the payer* first.")),
        ("Fish & chips <b>", m("Fish &amp; chips &lt;b&gt;")),
        ("a**b**c", m("abc")),
        ("see evil.example, @channel", m("see evil.example, @channel")),
        ("*x*", {**p("*x*"), "emoji": False}),
        ("feed era_unposted", {**p("feed era_unposted"), "emoji": False}),
        ("> x", {**p("> x"), "emoji": False}),
        ("see https://evil.example", {**p("see https://evil.example"), "emoji": False}),
        ("10:30:45", {**p("10:30:45"), "emoji": False}),
        ("_<!channel>_", {**p("_<\u2060!channel>_"), "emoji": False}),
    ],
)
def test_a_text_is_drawn_as_itself(text: str, object_: dict[str, Any]) -> None:
    """Lost: stars and entities on the card, or formatting that its author never meant."""
    (message,) = drawn(Card("reply", W("T"), W(text)))
    assert message.blocks[1]["text"] == object_


def test_a_quote_keeps_its_list_and_loses_its_editors_line_breaks() -> None:
    """Lost: a step's list runs together, or its sentences break in the middle of a line."""
    quote = W("Open the\nclaim **now**.\n\n- Call\n- Note it")
    (message,) = drawn(Card("answer", W("T"), sources=(Source(W("sop"), 1, W("s"), quote),)))
    assert message.blocks[1]["text"] == m("> Open the claim *now*.\n>\n> - Call\n> - Note it")
    assert message.blocks[2]["elements"][0]["text"] == "— sop v1, s"
    (message,) = drawn(Card("answer", W("T"), sources=(Source(W("sop"), 1, W("s"), W("Use `F2`\nnow.")),)))
    assert message.blocks[1]["text"] == {**p("“Use `F2` now.”"), "emoji": False}


@pytest.mark.parametrize(
    "account, is_ours",
    [("U012AB3CD", True), ("W012AB3CD", True), ("u012ab3cd", False), ("29:1xyz", False), ("C012AB3CD", False)],
)
def test_an_account_is_a_mention_only_if_it_is_one_of_slacks(account: str, is_ours: bool) -> None:
    """Lost: a manager confirms an id that nobody can read, or a mention that is none."""
    (message,) = drawn(Card("exception", W("T"), facts=(Fact(W("Account"), Account(account)),)))
    text = message.blocks[1]["fields"][0]["text"]
    assert text == f"*Account*\n<@{account}>" if is_ours else account in text and "<@" not in text


def test_a_link_leads_only_where_links_may_lead() -> None:
    """Lost: one wrong address in a card, and our own button opens it."""
    link = Link(W("Open the page"), "https://holdfast.example/go?t=1")
    card = Card("reply", W("T"), links=(link,))
    (message,) = drawn(card, hosts=("https://holdfast.example",))
    assert elements([message], "actions") == [
        {"type": "button", "action_id": "hf:0:open", "text": {**p("Open the page"), "emoji": False}, "url": link.url}
    ]
    for hosts in ((), ("https://holdfast.exampl",), ("https://other.example",)):
        made = drawn(card, hosts=hosts)
        assert elements(made, "actions") == []
        assert f"Open the page: {link.url}" in all_seen(made)


# --- buttons, forms, home ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        None, "", "x", "1", "[]", "{}", "null", 7, b"{}", "[" * 5000, '{"f":0,"v":"done","t":"N","n":"x","w":""}',
        '{"f":2,"v":"done","t":"N","n":"x","w":""}', '{"f":true,"v":"done","t":"N","n":"x","w":""}',
        '{"f":1,"v":"","t":"N","n":"x","w":""}', '{"f":1,"v":"done","t":1,"n":"x","w":""}',
        '{"f":1,"v":"done","t":"N","n":"x"}',
        '{"f":1,"v":"done","t":"N","n":"x","w":"blood"}', '{"f":1,"v":["done"],"t":"N","n":"x","w":""}',
    ],
)  # fmt: skip
def test_a_button_of_nobody_we_know_says_nothing(value: object) -> None:
    """Lost: a button of an old version crashes the edge, or does something else today."""
    assert blocks.read_value(value) is None


@given(st.text(min_size=1, max_size=20), st.text(max_size=30), st.sampled_from(["", "until", "reason", "person"]))
def test_a_button_carries_what_a_press_needs(verb: str, target: str, needs: Any) -> None:
    """Lost: the press arrives, and nobody knows of what."""
    pressed = blocks.read_value(blocks.button_value(Button(verb, target, W("x"), needs), NONCE))
    assert pressed == Pressed(verb, target, NONCE, needs)


def test_feedback_is_asked_with_slacks_own_thumbs() -> None:
    """Lost: two more buttons that look like work; and at home, where Slack has no thumbs, none at all."""
    pair = (Button("helpful", "Q", W("This helped")), Button("unhelpful", "Q", W("It did not")))
    card = Card("answer", W("T"), W("Text."), buttons=(Button("my_day", "me", W("My day")), *pair))
    (message,) = drawn(card)
    (thumbs,) = elements([message], "context_actions")
    assert thumbs["type"] == "feedback_buttons"
    assert blocks.read_value(thumbs["positive_button"]["value"]) == Pressed("helpful", "Q", NONCE, "")
    assert blocks.read_value(thumbs["negative_button"]["value"]) == Pressed("unhelpful", "Q", NONCE, "")
    assert [e["action_id"] for e in elements([message], "actions")] == ["hf:0:my_day"]
    pass_gate(page := blocks.home(card, NONCE))
    assert [e["action_id"] for e in elements(page, "actions")] == ["hf:0:my_day", "hf:1:helpful", "hf:2:unhelpful"]
    (alone,) = drawn(replace(card, buttons=pair[:1]))
    assert [e["action_id"] for e in elements([alone], "actions")] == ["hf:0:helpful"]


def test_the_home_page_holds_several_cards_and_says_when_it_is_full() -> None:
    """Lost: one person's busy day leaves their home page blank."""
    many = [Card("nudge", W(f"Title {n}"), W("Text."), facts(3), sources(1), buttons(2)) for n in range(3)]
    pass_gate(page := blocks.home(many, NONCE))
    assert [text for card in many for text in missing(card, gate.seen(page))] == []
    ids = [e["action_id"] for e in elements(page, "actions")]
    assert len(ids) == len(set(ids)) == 6
    pass_gate(page := blocks.home(many * 40, NONCE))
    assert gate.seen(page).endswith("There is more than fits here. Ask me for it in a message.")
    pass_gate(blocks.home(Card("digest", W("T"), W("x " * 200_000)), NONCE))


def asks(count: int = 3, label: str = "Choice", **more: Any) -> Form:
    picks = tuple(Choice(f"c{n}", W(f"{label} {n}")) for n in range(count))
    plain: dict[str, Any] = {
        "title": W("Can't"), "ask": W("Why?"), "choices": picks, "typed": W("Anything to add"), "hint": W("No names"),
        "send": W("Send"), "needs_choice": True,
    }  # fmt: skip
    return Form(**{**plain, **more})


PRIVATE = {"verb": "cant", "target": "N", "nonce": NONCE, "channel": "D1", "message": "1.2", "thread": "", "team": "T1"}


def submitted(view: Mapping[str, Any], code: str | None, typed: str | None) -> dict[str, Any]:
    values = {
        "choice": {"choice": {"type": "static_select", "selected_option": {"value": code} if code else None}},
        "typed": {"typed": {"type": "plain_text_input", "value": typed}},
    }
    return {**view, "state": {"values": values}}


@pytest.mark.parametrize("count", [0, 1, 100, 101, 950])
@pytest.mark.parametrize(
    "label", ["Choice", "A choice with a name that goes on and on until nobody can tell where it would ever end, & more"]
)
def test_a_form_takes_any_number_of_choices(label: str, count: int) -> None:
    """Lost: a practice with more than a hundred people cannot link a single account."""
    view = blocks.form(asks(count, label), PRIVATE)
    pass_gate(view)
    menus = [block["element"] for block in view["blocks"] if block.get("block_id") == "choice"]
    options = [o for menu in menus for group in menu.get("option_groups", menus) for o in group.get("options", [])]
    assert [o["value"] for o in options] == [f"c{n}" for n in range(count)]


def test_a_form_asks_only_what_it_needs() -> None:
    """Lost: a choice that must be made can be left out, or a time that may be typed cannot."""
    choice, typed = blocks.form(asks(), PRIVATE)["blocks"]
    assert (choice["optional"], typed["optional"], typed["element"]["max_length"]) == (False, True, 500)
    assert typed["hint"]["text"] == "No names" and "hint" not in choice
    assert blocks.form(asks(needs_choice=False), PRIVATE)["blocks"][0]["optional"] is True
    (only,) = blocks.form(asks(typed=W("")), PRIVATE)["blocks"]
    assert only["block_id"] == "choice" and only["hint"]["text"] == "No names"
    pass_gate(blocks.form(asks(0, typed=W("")), PRIVATE))
    pass_gate(long := blocks.form(asks(title=W("A title that is much longer than a modal's may be")), PRIVATE))
    assert "A title that is much longer than a modal's may be" in gate.seen(long)


@pytest.mark.parametrize("verb", ["snooze", "cant", "wrong", "claim"])
def test_every_form_of_the_core_is_a_modal(verb: str) -> None:
    """Lost: a button that opens nothing."""
    described = cards.form(verb, [house.BEA])
    assert described
    pass_gate(view := blocks.form(described, {**PRIVATE, "verb": verb}))
    shown = gate.seen(view)
    for text in (described.title, described.ask, described.typed, described.hint, *(c.label for c in described.choices)):
        assert text in shown


def test_a_form_brings_back_what_was_said() -> None:
    """Lost: the reason, or which nudge it was for."""
    view = blocks.form(asks(), PRIVATE)
    assert blocks.read_form(submitted(view, "c1", "friday 14:00")) == (PRIVATE, "c1", "friday 14:00")
    assert blocks.read_form(submitted(view, None, None)) == (PRIVATE, "", "")


@pytest.mark.parametrize(
    "view",
    [
        {}, {"private_metadata": "x", "state": None}, {"private_metadata": "[]", "state": {"values": []}},
        {"private_metadata": '{"verb":"cant"}'}, {"private_metadata": '{"f":2,"verb":"cant"}'},
        {"private_metadata": "[" * 5000},
        {"private_metadata": None, "state": {"values": {"choice": {"choice": {"selected_option": {"value": 7}}}}}},
        {"state": {"values": {"choice": [], "typed": {"typed": {"value": {}}}}}},
    ],
)  # fmt: skip
def test_a_form_of_nobody_we_know_says_nothing(view: dict[str, Any]) -> None:
    """Lost: a modal that stood open over an update ends in an error instead of a sentence."""
    assert blocks.read_form(view) == ({}, "", "")


def test_a_form_that_would_lose_where_it_belongs_is_not_opened() -> None:
    """Lost: Slack refuses the modal with a code that names nothing."""
    with pytest.raises(ValueError, match="3000"):
        blocks.form(asks(), {"target": "x" * 3000})


def test_what_is_drawn_is_json() -> None:
    """Lost: a value that only Python knows fails at the moment of sending."""
    card = replace(cards.nudge(house.view()), facts=(Fact(W("A"), Account("U012AB3CD")), *facts(3)))
    for message in drawn(card):
        assert json.loads(json.dumps(message.blocks)) == message.blocks
