"""What becomes of a question that no SOP answers, and of an answer that did not help: told as a practice lives it."""

from __future__ import annotations

from datetime import timedelta

from sqlmodel import select

from bot.records import Gap, Note, Question, read
from tests.behaviour.chat import Chat, Shown
from tests.behaviour.small import at

ASKED = "How do we book the interpreter for a deaf patient?"
VETERANS = "How are claims of the veterans plan billed?"
ANSWER = "Call the interpreter line two days ahead, then tell Bea."


def asked_the_manager(chat: Chat) -> Shown:
    """Bea asks what is in no SOP, and has it put to whoever is in charge."""
    put(chat, "bea", ASKED)
    return chat.inbox("mona")[-1]


def put(chat: Chat, person: str, words: str) -> Shown:
    """Somebody asks, and has the question put to whoever the card names."""
    said = chat.ask(person, words)
    return chat.press(person, next(label for label in said.buttons if label.startswith("Ask ")))


def gaps(chat: Chat) -> list[Gap]:
    with read(chat.small.holdfast.engine) as session:
        return list(session.exec(select(Gap)))


def questions(chat: Chat) -> list[Question]:
    with read(chat.small.holdfast.engine) as session:
        return list(session.exec(select(Question).order_by(Question.at)))  # type: ignore[arg-type]


def note(chat: Chat, ref: str) -> str:
    with read(chat.small.holdfast.engine) as session:
        return session.get_one(Note, ref).text


def test_a_person_answers_where_no_sop_does(chat: Chat) -> None:
    """Lost: an honest refusal is where it ends, and the same is asked again next week."""
    card = asked_the_manager(chat)
    assert card.title == "A question for you"
    assert ASKED in card.text
    after = chat.press("mona", "Answer", ANSWER)
    assert (after.buttons, f"Mona Ferris answered: “{ANSWER}”" in after.text) == ([], True)
    came = chat.inbox("bea")[-1]
    assert came.title == "An answer from Mona Ferris"
    assert came.text.startswith("Mona Ferris answered; this is not from an SOP.")
    assert ANSWER in came.text
    assert came.quotes == []
    assert ASKED in came.facts["You asked"]


def test_what_a_person_answered_waits_as_a_change_with_its_thread(chat: Chat) -> None:
    """Lost: the answer helps one person once, and the SOP never hears of it."""
    asked_the_manager(chat)
    chat.press("mona", "Answer", ANSWER)
    (gap,), (question,) = gaps(chat), questions(chat)
    assert (gap.question, gap.by, gap.state) == (question.ref, "mona", "open")
    assert (gap.thread, note(chat, gap.reply)) == (question.thread, ANSWER)
    assert gap.thread
    (put,), (answered,) = chat.small.events("question put"), chat.small.events("question answered")
    assert (put.actor, answered.actor, answered.detail["to"]) == ("bea", "mona", "bea")
    assert ANSWER not in str(answered)
    assert chat.small.verify().ok


def test_a_patient_in_an_answer_reaches_nobody(chat: Chat) -> None:
    """Lost: the owner types a patient's name, and it is passed on and kept."""
    asked_the_manager(chat)
    after = chat.press("mona", "Answer", "as with Harriet Quimby, 555-0142: call the line.")
    for shown in (after, chat.inbox("bea")[-1]):
        assert "call the line" in shown.text
        assert not {"Harriet", "Quimby", "0142"} & set(shown.all.replace("-", " ").split())
    (gap,) = gaps(chat)
    assert "Quimby" not in note(chat, gap.reply)


def test_an_empty_answer_is_none(chat: Chat) -> None:
    """Lost: a slip of the finger tells the asker nothing, in the owner's name, and cannot be taken back."""
    asked_the_manager(chat)
    after = chat.press("mona", "Answer", "")
    assert "Type your answer first" in after.text
    assert "Answer" in after.buttons
    assert (gaps(chat), chat.inbox("bea")) == ([], [])


def test_only_whom_it_was_put_to_or_who_is_in_charge_answers(chat: Chat) -> None:
    """Lost: anybody who learns a reference speaks to colleagues as if the question had been theirs."""
    asked_the_manager(chat)
    (question,) = questions(chat)
    small = chat.small
    small.holdfast.press("tom", "reply_asker", question.ref, "Just guess.", "t-1")
    assert gaps(chat) == []
    (refused,) = small.events("press refused")
    assert refused.actor == "tom"
    small.holdfast.press("olu", "reply_asker", question.ref, "Ask the front desk.", "o-1")
    assert [gap.by for gap in gaps(chat)] == ["olu"]


def test_the_second_answer_changes_nothing(chat: Chat) -> None:
    """Lost: two people answer one question, and the asker has to choose."""
    asked_the_manager(chat)
    (question,) = questions(chat)
    chat.press("mona", "Answer", ANSWER)
    card = chat.small.holdfast.press("olu", "reply_asker", question.ref, "No, ask me.", "o-2")
    assert ANSWER in card.text
    assert len(gaps(chat)) == len(chat.small.events("question answered")) == 1
    assert len([message for message in chat.inbox("bea") if message.title.startswith("An answer")]) == 1


def test_an_answer_waits_until_the_asker_is_in(chat: Chat) -> None:
    """Lost: somebody is called back from their evening by the answer to this morning's question."""
    small = chat.small
    small.clock.at = at("2026-03-02", "16:58")
    asked_the_manager(chat)
    small.clock.at = at("2026-03-02", "17:30")
    chat.press("mona", "Answer", ANSWER)
    small.until(at("2026-03-03", "07:30"))
    assert [each for each in chat.inbox("bea") if each.title.startswith("An answer")] == []
    small.until(at("2026-03-03", "08:00") + timedelta(minutes=1))
    assert [each.title for each in chat.inbox("bea") if each.title.startswith("An answer")] == ["An answer from Mona Ferris"]


def test_a_question_goes_to_who_owns_its_topic(chat: Chat) -> None:
    """Lost: every question ends at the manager, who has to pass it on."""
    put(chat, "rae", VETERANS)
    (card,) = chat.inbox("bea")
    assert "You own this topic as Billing coordinator." in card.text
    chat.press("bea", "Answer", "On paper, with the form from the shared drive.")
    assert chat.inbox("rae")[-1].title == "An answer from Bea Lindqvist"
    (gap,) = gaps(chat)
    assert gap.sop == "billing-claims"


def test_who_asks_about_their_own_topic_is_heard_by_the_manager(chat: Chat) -> None:
    """Lost: the one who sees best what an SOP lacks is told to ask themselves, and it is never written down."""
    said = put(chat, "bea", VETERANS)
    assert "Mona Ferris" in said.text
    assert VETERANS in chat.inbox("mona")[-1].text


def test_an_answer_that_did_not_help_says_why(chat: Chat) -> None:
    """Lost: a thumb down tells an SOP's owner that something is wrong, and not what."""
    chat.ask("bea", "When does a claim go to appeals?")
    said = chat.press("bea", "It did not", "out-of-date since the merger")
    assert "Thank you" in said.text
    (question,) = questions(chat)
    assert (question.helped, question.judged, note(chat, question.note)) == (False, "out-of-date", "since the merger")
    (judged,) = chat.small.events("answer judged")
    assert (judged.detail["reason"], judged.sop, judged.step) == ("out-of-date", question.sop, question.step)
    assert "merger" not in str(judged)


def test_a_thumb_down_without_a_reason_is_asked_for_one(chat: Chat) -> None:
    """Lost: a bare thumb down counts as an opinion that nobody can act on."""
    chat.ask("bea", "When does a claim go to appeals?")
    said = chat.press("bea", "It did not", "")
    assert "Pick one" in said.text
    assert chat.small.events("answer judged") == []


def test_the_last_word_counts(chat: Chat) -> None:
    """Lost: who pressed the wrong thumb has said it for good."""
    chat.ask("bea", "When does a claim go to appeals?")
    chat.press("bea", "This helped")
    chat.small.holdfast.press("bea", "unhelpful", questions(chat)[0].ref, "wrong-step", "b-2")
    assert [event.detail["helped"] for event in chat.small.events("answer judged")] == [True, False]
    (question,) = questions(chat)
    assert (question.helped, question.judged) == (False, "wrong-step")
