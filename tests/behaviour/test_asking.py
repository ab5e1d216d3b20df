"""What people ask in a thread and are told: what comes near, who owns a topic, a follow-up, a procedure step by step."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlmodel import select

from bot.records import Question, Walk, read
from tests.behaviour.chat import Chat
from tests.behaviour.small import START, Claim, at

ASKED = "When does a claim go to appeals?"
NEAR = "who signs for the delivery of supplies to the front desk"


def test_what_comes_near_is_marked_and_picked_from(chat: Chat) -> None:
    """Lost: a step about something else is read as the answer, or a good one cannot be reached."""
    said = chat.ask("bea", NEAR)
    assert said.title == "Nearest I found"
    assert "may be about something else" in said.text
    assert said.buttons[0].startswith("1: ") and said.buttons[-1].startswith("Ask ")
    assert chat.small.told().count("answer given") == 0
    picked = chat.press("bea", said.buttons[0])
    assert said.buttons[0] == f"1: {picked.title}"
    assert picked.facts["Approved"] and picked.quotes[0].startswith(said.quotes[0][:40])
    assert [e.actor for e in chat.small.events("answer given")] == ["bea"]


def test_a_question_is_put_to_the_owner_once_and_kept_to_be_answered(chat: Chat) -> None:
    """Lost: "not in our SOPs" is where it ends, and the same question is asked again next week."""
    said = chat.ask("bea", "What is the wifi password of the coffee machine?")
    assert said.title == "Not in our SOPs" and "6 SOPs" in said.text and "HIPAA and PHI handling" in said.facts["Searched"]
    told = chat.press("bea", said.buttons[-1])
    assert "I have put your question to Mona Ferris" in told.text
    chat.small.tick()
    brought = [message for message in chat.inbox("mona") if message.title == "A question for you"]
    assert len(brought) == 1 and "wifi password of the coffee machine" in brought[0].text
    assert "Bea Lindqvist" in brought[0].facts["Asked by"]
    with read(chat.small.holdfast.engine) as session:
        rows = [row for row in session.exec(select(Question)) if row.put_to]
    assert [(row.person, row.put_to, row.outcome) for row in rows] == [("bea", "mona", "refusal")]
    assert [e.actor for e in chat.small.events("question put")] == ["bea"]


def test_a_follow_up_stays_with_its_step(chat: Chat) -> None:
    """Lost: "who signs that?" is about another SOP, or about none."""
    first = chat.ask("bea", ASKED)
    who = chat.ask("bea", "and who does that?")
    assert who.title == first.title and "Who: Billing coordinator" in who.all.replace("*", "")
    hours = chat.ask("bea", "and if it's after hours?")
    assert hours.title == "Nearest I found", "no SOP says what holds after hours, so nothing may be stated"
    assert first.title in hours.all
    assert chat.ask("bea", "start over").text.startswith("Forgotten")
    assert chat.ask("bea", "next").text.startswith("There is no procedure open here")


def test_a_conversation_is_over_after_hours_and_is_nobody_elses(chat: Chat) -> None:
    """Lost: Monday's "and then?" goes on with Friday's claim, or with a colleague's."""
    chat.ask("bea", ASKED)
    assert chat.ask("tom", "next").text.startswith("There is no procedure open here")
    chat.small.clock.at += timedelta(hours=9)
    assert chat.ask("bea", "next").text.startswith("There is no procedure open here")


def test_a_procedure_is_walked_step_by_step_and_is_on_record(chat: Chat) -> None:
    """Lost: a temp is given fourteen steps at once, and nobody can show that they were gone through."""
    first = chat.ask("bea", ASKED)
    step = chat.press("bea", "Step by step", about=first.title)
    total = int(step.title.split(":")[0].split(" of ")[1])
    assert step.title.startswith(f"1 of {total}: ") and step.buttons == ["Done", "Next", "Stop"]
    second = chat.press("bea", "Done", about=f"1 of {total}")
    assert second.title.startswith(f"2 of {total}: ") and "Done: 1." in second.text
    assert chat.press("bea", "Back", about=f"2 of {total}").title.startswith("1 of")
    last = chat.press("bea", "Next", about=f"1 of {total}")
    for n in range(2, total):
        last = chat.press("bea", "Done", about=f"{n} of {total}")
    assert "Finish" in last.buttons
    end = chat.press("bea", "Done", about=f"{total} of {total}")
    assert f"{total} steps ticked off" in end.text and end.buttons == []
    (walked,) = chat.small.events("procedure walked")
    assert (walked.actor, walked.detail["steps"], walked.detail["done"], walked.detail["not_done"]) == (
        "bea",
        total,
        total,
        None,
    )
    assert chat.small.verify().ok


def test_words_go_on_with_a_procedure_after_a_restart(chat: Chat) -> None:
    """Lost: who walks through a procedure has to begin again when the service was updated."""
    chat.ask("bea", ASKED)
    one = chat.ask("bea", "next step")
    chat.small.holdfast.library._kept = None  # what a process holds is gone; where somebody stands is a row
    two = chat.ask("bea", "what's next?")
    n, m = (int(card.title.split(" of ")[0]) for card in (one, two))
    assert m == n + 1
    assert chat.ask("bea", "back").title == one.title
    assert chat.ask("bea", "stop").title.startswith("Stopped: ")
    with read(chat.small.holdfast.engine) as session:
        assert [row.state for row in session.exec(select(Walk))] == ["stopped"]


def test_ones_own_open_items_stand_below_the_answer_and_nobody_elses(chat: Chat) -> None:
    """Lost: the biller learns the step and not that three of hers wait for it; or reads what waits for a colleague."""
    chat.small.report("harbor", *(Claim(f"C-{n}", START - timedelta(minutes=30)) for n in (1, 2)))
    chat.small.until(at("2026-03-04", "08:30"))
    said = chat.ask("bea", "How do I work the claims list every day?")
    label = next(label for label in said.facts if label.startswith("You have"))
    assert label == "You have 2 items open on this"
    assert chat.press("bea", "Show 1", about=said.title).title.startswith("Claim not touched")
    other = chat.ask("tom", "How do I work the claims list every day?")
    assert not any(label.startswith("You have") for label in other.facts) and "Show 1" not in other.buttons


def test_what_is_open_is_counted_from_the_figures(chat: Chat) -> None:
    """Lost: "how many claims are stuck" is answered with a step, or with a number that somebody guessed."""
    chat.small.report("harbor", *(Claim(f"C-{n}", START - timedelta(minutes=30), fee="100.00") for n in (1, 2, 3)))
    chat.small.until(at("2026-03-04", "08:30"))
    assert "3 items open, $300.00" in chat.ask("bea", "how many claims are untouched?").text
    everything = chat.ask("mona", "how many items are open")
    assert "3 items open" in everything.text and "Billing coordinator, Harbor: 3 items" in everything.facts["By role and site"]
    assert "0 items open" in chat.ask("mona", "how many denials are open").text


def test_an_earlier_day_is_answered_from_what_was_in_force(chat: Chat) -> None:
    """Lost: what applied in January is told from what applies in March."""
    before = chat.ask("bea", "When did a claim go to appeals on 3 January?")
    assert before.title == "Not in our SOPs" and "Jan 3, 2026" in before.text
    then = chat.ask("bea", "As of 2026-02-01, when does a claim go to appeals?")
    assert then.quotes and "As it was in force on Feb 1, 2026" in then.text


@pytest.mark.parametrize("words", ["¿Cómo trabajo un reclamo denegado?", "如何处理被拒绝的索赔？"])
def test_another_language_is_declined_kindly_in_it(chat: Chat, words: str) -> None:
    """Lost: a new colleague is told that no SOP says it, when one does in English."""
    said = chat.ask("bea", words)
    assert "please ask me in English, or ask Mona Ferris" in said.text
    assert not said.quotes


@pytest.mark.parametrize(
    "words",
    ["12345", "🦷🦷🦷", "SELECT * FROM claims; DROP TABLE claims; --", "<script>alert(1)</script>", "**[x](https://evil.example)**",
     "def f():\n    return 1", "how do I post an ERA " * 500],
)  # fmt: skip
def test_a_bad_question_ends_in_a_sentence_and_nothing_of_it_comes_back(chat: Chat, words: str) -> None:
    """Lost: a pasted page or a slip ends in silence, or stands as a link on a card of ours."""
    said = chat.ask("bea", words)
    assert said.title
    assert "evil.example" not in said.all and "alert(1)" not in said.all and "DROP TABLE" not in said.all


def test_who_asks_forty_things_at_once_is_told_and_nobody_waits(chat: Chat) -> None:
    """Lost: one person's questions hold up everybody's, and they do not know why."""
    told = [chat.ask("bea", f"how do I post an ERA number {n}") for n in range(20)]
    assert "I answer you in turn" in told[-1].text and "I answer you in turn" not in told[0].text
    assert "I answer you in turn" not in chat.ask("tom", "how do I post an ERA").text
