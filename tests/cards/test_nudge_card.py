"""The nudge's card: in every state it stands alone, says what is so, and offers only buttons that make sense."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from bot import cards, rules
from bot.cards import NOTHING, Age, Count, Money, say
from bot.chat import Card
from tests.cards import house

ALL = ("on_it", "done", "snooze", "cant", "wrong")
BUTTONS = {
    "open": ALL,
    "sent": ALL,
    "escalated": ALL,
    "escalated, taken": ALL,
    "contradicted": ALL,
    "acknowledged": ALL[1:],
    "said_done": (),
    "snoozed": ALL,
    "exception_asked": ("done",),
    "excepted": (),
    "held": (),
    "closed": (),
}
STANDING = {
    "escalated": "The Front desk has not taken it on, so it has come up.",
    "escalated, taken": "Bea Ortiz is on it, and it has not moved.",
    "contradicted": "Contradicted: Bea Ortiz said done Thu Feb 26, 12:00 PM, but the source does not show it. "
    "It is open again.",
    "acknowledged": "Bea Ortiz is on it since Thu Feb 26, 12:00 PM.",
    "said_done": "Bea Ortiz said done Thu Feb 26, 12:00 PM. The source has not shown it yet.",
    "snoozed": "Snoozed until Thu Feb 26, 2:00 PM.",
    "exception_asked": "An exception was asked for. It waits for the manager; until then the deadline stands.",
    "excepted": "Excepted until Thu Mar 12, 1:00 PM.",
    "closed": "Verified: the source shows it was done. Thu Feb 26, 12:00 PM",
}
each_state = pytest.mark.parametrize("state", house.STATES)


def labels(card: Card) -> dict[str, str]:
    return {str(fact.label): str(fact.value) for fact in card.facts}


@each_state
def test_a_card_stands_alone(state: str) -> None:
    """Lost: somebody opens the chat on Friday and has to ask what this was about."""
    card = cards.nudge(house.view(state))
    said = labels(card)
    assert card.title == "Claim not touched · $1,185.00"
    assert card.text.startswith("Nobody has moved this claim since Mon Feb 23, 12:00 PM.")
    assert (said["Site"], said["For"], said["Reference"]) == ("Harbor Dental", "Front desk", "K7Q29F4M")
    assert said["Still since"] == "Mon Feb 23, 12:00 PM (3 days)"
    if state != "closed":
        assert said["Put right by"] == "Fri Feb 27, 12:00 PM"
        assert said["Closes when"] == house.RULE.done
        assert said["Then goes to"] == "Office manager"
        assert [str(s.title) for s in card.sources] == ["Billing and claims playbook v3, step 7: Work open claims"]
        assert [(s.version, str(s.quote)) for s in card.sources] == [(3, "Open every claim that nobody moved.")]


@each_state
def test_a_card_says_where_it_stands_and_offers_what_makes_sense(state: str) -> None:
    """Lost: a button that can only answer "too late", or two people doing the same work."""
    card = cards.nudge(house.view(state))
    assert tuple(button.verb for button in card.buttons) == BUTTONS[state]
    assert card.text.partition("\n")[2] == STANDING.get(state, "")
    assert {button.verb: button.needs for button in card.buttons if button.needs} == {
        verb: needs for verb, needs in (("snooze", "until"), ("cant", "reason"), ("wrong", "reason")) if verb in BUTTONS[state]
    }
    assert card.kind == ("escalation" if state.startswith("escalated") else "nudge")


@pytest.mark.parametrize("ending", [*cards._ENDINGS, ""])
def test_a_closed_card_says_how_it_ended_and_asks_for_nothing(ending: str) -> None:
    """Lost: an old card that still looks like work."""
    card = cards.nudge(house.view("closed", ending=ending))
    assert (card.buttons, card.sources) == ((), ())
    assert str(cards._ENDINGS.get(ending, "Closed.")) in card.text
    assert not {"Put right by", "Overdue since", "Closes when", "Then goes to"} & labels(card).keys()


def test_past_its_deadline_a_card_says_since_when() -> None:
    """Lost: "put right by yesterday"."""
    view = house.view(now=house.NOON + timedelta(days=1, seconds=1))
    assert labels(cards.nudge(view))["Overdue since"] == "Fri Feb 27, 12:00 PM"
    at = replace(view, now=view.due)
    assert "Overdue since" not in labels(cards.nudge(at))


@pytest.mark.parametrize("loaded", [module.RULE for module in rules.discover()], ids=lambda rule: rule.id)
def test_every_rules_words_fill_a_card(loaded: rules.Rule) -> None:
    """Lost: a rule whose sentence names a value that no card has fails at the first nudge, not here."""
    card = cards.nudge(house.view(rule=loaded, amount_cents=0, quote=None, next_role=None))
    assert card.title == loaded.title
    assert "{" not in card.text
    assert card.sources == ()
    assert "Then goes to" not in labels(card)


def test_an_exception_is_decided_with_two_buttons_and_then_with_none() -> None:
    """Lost: the manager decides without the reason, or twice."""
    view = house.view("exception_asked")
    asked = cards.exception(view, "E7Q29F4M", "system-down", house.BEA, house.NOON, has_note=True)
    assert [(b.verb, b.target) for b in asked.buttons] == [("approve", "E7Q29F4M"), ("refuse", "E7Q29F4M")]
    assert labels(asked)["Reason"] == "System down"
    assert labels(asked)["Asked by"] == "Bea Ortiz, Thu Feb 26, 12:00 PM"
    assert labels(asked)["Note"] == "on file with the record"
    assert "Then goes to" not in labels(asked)
    decided = cards.exception(view, "E7Q29F4M", "other", house.BEA, house.NOON, has_note=False, decision=say("Refused."))
    assert (decided.buttons, decided.text) == ((), "Refused.")
    assert "Note" not in labels(decided)


def test_a_backlog_is_one_card_with_its_size_and_worth() -> None:
    """Lost: the first import's two hundred claims come as two hundred cards, or without what they are worth."""
    arguments = ("R7Q29F4M", house.RULE, house.HARBOR, house.FRONT_DESK, 3, 4_200_00, house.NOON, house.QUOTE)
    card = cards.review(*arguments)
    assert [b.verb for b in card.buttons] == ["start_review", "leave_review"]
    assert (labels(card)["Found"], labels(card)["Worth"]) == ("3 items", "$4,200.00")
    ended = cards.review(*arguments, ended=say("Reviewed."))
    assert (ended.buttons, ended.sources, ended.text) == ((), (), "Reviewed.")


@pytest.mark.parametrize(
    "said, words",
    [
        (Money(0), "$0.00"), (Money(5), "$0.05"), (Money(-123_456), "-$1,234.56"), (Money(123_456_789), "$1,234,567.89"),
        (Count(1, "claim"), "1 claim"), (Count(0, "claim"), "0 claims"), (Count(2, "entry", "entries"), "2 entries"),
        (Age(timedelta(minutes=1)), "1 minute"), (Age(timedelta(minutes=59)), "59 minutes"),
        (Age(timedelta(hours=1)), "1 hour"),
        (Age(timedelta(hours=47, minutes=59)), "47 hours"), (Age(timedelta(hours=48)), "2 days"),
        (Age(timedelta(seconds=-5)), "0 minutes"), (Age(timedelta(hours=-30)), "0 minutes"),
    ],
)  # fmt: skip
def test_values_read_as_people_write_them(said: Money | Count | Age, words: str) -> None:
    """Lost: "1 claims", "-5 hours", and amounts nobody can read."""
    assert say("{said}", said=said) == words


def test_nothing_is_said_of_nothing() -> None:
    """Lost: empty lines and hanging separators in every card."""
    assert cards.lines([NOTHING, say("One."), NOTHING, say("Two.")]) == "One.\nTwo."
