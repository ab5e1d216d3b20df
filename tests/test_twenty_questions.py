"""Twenty questions as a tired biller, hygienist and temp type them, over the starter library: would one act on it?"""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot.chat import Card
from tests.behaviour.small import PRACTICE, Opens, Small

TIRED = """
[people.hana]
name = "Hana Holt"
roles = ["hygienist@harbor"]

[people.tess]
name = "Tess Moor"
roles = ["temp@harbor"]
"""

QUESTIONS = [
    ("bea", "claim got kicked back by the clearing house what now", "billing-claims#work-rejection"),
    ("bea", "pt says they already paid, where do i put the EOB payment", "billing-claims#post-era"),
    ("bea", "how many days till i hafta send a denied claim back", "billing-claims#work-denial"),
    ("bea", "do we bill the patient before insurance pays", "billing-claims#bill-patient-balance"),
    ("bea", "era doesnt match the deposit", "billing-claims#post-era"),
    ("bea", "what if nobody at the insurance picks up", "near"),
    ("bea", "who gets the appeal packet", "billing-claims#escalate-45"),
    ("hana", "spore test came back positive!!", "infection-control#spore-failure"),
    ("hana", "got stuck w a needle what first", "infection-control#exposure-response"),
    ("hana", "can i use the autoclave if the strip didnt change", "infection-control#release-load"),
    ("hana", "how long do waterlines run in the morning", "infection-control#treat-waterlines"),
    ("hana", "do i need new gloves between patients", "infection-control#wear-ppe"),
    ("hana", "where does the blood soaked gauze go", "near"),
    ("hana", "how often do we have fire drills", "refusal"),
    ("tess", "somebody called asking for her husbands records", "hipaa-phi#verify-identity"),
    ("tess", "patient no showed what do i do", "intake-scheduling#follow-up-no-show"),
    ("tess", "can i text a patient their results", "hipaa-phi"),
    ("tess", "lost my work phone", "hipaa-phi#report-lost-device"),
    ("tess", "whats the wifi password", "refusal"),
    ("tess", "how much vacation do i get", "refusal"),
]
"""Who asks what, and the step that helps; "near": no SOP says it outright, so nothing may be stated."""
MISLED = {
    "can i text a patient their results": "by words alone, `results` leads to the spore test: stated, and wrong",
}
"""What is known to be answered in a way that nobody should act on, and why."""


@pytest.fixture
def tired(opens: Opens) -> Small:
    return opens(practice=PRACTICE + TIRED)


def _steps(card: Card) -> list[str]:
    return [f"{source.sop}#{source.step}" for source in card.sources]


def test_a_tired_question_gets_what_one_would_act_on(tired: Small) -> None:
    """Lost: the way people really type at five in the afternoon finds nothing, or the wrong step, stated as right."""
    wrong = {}
    for who, question, expected in QUESTIONS:
        tired.clock.at += timedelta(minutes=2)
        card = tired.holdfast.ask(who, question)
        if expected == "refusal":
            fine = card.kind == "refusal"
        elif expected == "near":
            fine = card.kind in ("nearest", "refusal")
        else:
            fine = card.kind in ("answer", "nearest") and any(step.startswith(expected) for step in _steps(card))
        if not fine:
            wrong[question] = (card.kind, _steps(card))
    assert set(wrong) <= set(MISLED), wrong


def test_each_of_them_leads_on(tired: Small) -> None:
    """Lost: a card that says no is where it ends: no button, nobody named."""
    for who, question, _ in QUESTIONS:
        tired.clock.at += timedelta(minutes=2)
        card = tired.holdfast.ask(who, question)
        verbs = {button.verb for button in card.buttons}
        assert verbs >= ({"helpful", "unhelpful"} if card.kind == "answer" else {"ask_owner"})
        assert card.kind != "nearest" or "pick" in verbs
