"""What a typed line wants: commands are few and whole, and everything else is a question to the SOPs."""

from __future__ import annotations

import time
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot import intents, rules
from bot.earlier import earlier

TOPICS = intents.topics_of(module.RULE.title for module in rules.discover())
TODAY = date(2026, 6, 10)

SAID = {
    "my_items": """
        my day|My Day!|show my day|what's on my list|Whats on my list?|what is on my plate today|
        anything due today for me|anything due today?|is there anything overdue|do I have anything open|
        what's due today|what is overdue for me|my tasks|show me my open denials|do I have any open denials?|
        do I still have any denials open|list my open claims|my overdue claims|which of my claims are stuck|
        what do I have on my plate|am I behind on anything|what should I work on first today|how many denials do I have|
        how many open claims do I still have|whats on my lsit|anythign due today|mt day|what needs me|
        hey holdfast, what's on my list please|anything for me?|which claims are waiting for me|my open items
    """,
    "count": """
        how many denials are open|How many denials are open?|how many open denials do we have|how many claims are stuck|
        number of open denials|list open denials|show me all stalled claims|which claims are overdue|
        how many ERAs are unposted|how many items are at risk|how many treatment plans are not scheduled|
        count of open rejections|how many claims are there|how much money is stuck|list the overdue treatment plans|
        how many denied claims are waiting|how many things are open today
    """,
    "digest": """
        digest|standup|stand-up|the stand-up please|give me the digest|daily digest|todays standup|standpu|
        how are we doing today
    """,
    "help": "help|HELP!|what can you do?|hi|hello|hey there|good morning|how does this work|commands|i need help",
    "thanks": """
        thanks|thank you!|thx|ty|ok thanks|great, thank you so much|perfect|got it|ok|thansk|cheers|thanks holdfast
    """,
    "small_talk": "how are you?|who are you|are you a bot|what are you",
    "next": """
        next|next step|Next step?|what's next|whats the next step|what then|then what?|and then|go on|continue|
        what next|ok next|what do I do next|what comes after that|what happens next?|nxet step
    """,
    "back": "back|go back|previous step|the step before",
    "done": "done|ok done|that's done|did it|finished",
    "stop": "stop|cancel|never mind|stop the checklist",
    "start_over": "start over|restart|new question|forget it|different topic|strat over",
    "walk": "walk me through it|take me through it step by step|step by step|from the top",
    "out_of_scope": """
        tell me a joke|write me a poem about teeth|what's the weather tomorrow|who won the game last night|
        what time is it
    """,
    "empty": "| |???|🦷🦷|...|\t|—",
    "numbers": "12345|1 2 3|10,000.00|99%",
    "how_to": """
        how many days do I have to appeal|how many days do I have to appeal a denial|
        how many hours do I have to work a denial|how many times do I call about a claim|
        how many denials can we appeal at once|how many claims do I work a day|
        how many bitewings do I attach to a claim|what is due at 45 days|what do I do when a claim is overdue|
        when is a claim overdue|who works the open denials|list the attachments for a crown claim|
        what do I do with a stuck claim|how do I open my day|what do I do first after a needle stick|
        what next when the payer does not answer|next of kin consent|do I have to call the patient|
        do I need to open a claim for this|how many sharps containers are open at a time|help me with a denial|
        thanks but how do I post an ERA|stop payment on a check|done with the ERA, what do I file|
        what is on the sterilization list|is there anything due when a new patient comes|back of the claim form|
        what are pending claims|what does overdue mean|how long is a claim open before it goes to appeals|
        my patient is late|what should I do if a patient is late|when is the standup|who gets the digest|
        hi, how do I post an era|my claim was denied|who tells the patient a story about the weather|
        write off a balance|how many signatures does a refund need|which claims need a narrative|
        how many steps are there in the denial SOP|what if nobody answers
    """,
}  # fmt: skip
LINES = [(line.strip(), intent) for intent, lines in SAID.items() for line in lines.replace("\n", "").split("|")]


@pytest.mark.parametrize("line, intent", LINES)
def test_a_line_is_taken_for_what_it_is(line: str, intent: str) -> None:
    """Lost: "how many days do I have to appeal" would be counted, or "what's on my list" looked up in the SOPs."""
    assert intents.read(line, TOPICS).intent == intent


def test_what_is_counted_is_named() -> None:
    """Lost: "how many denials are open" would count the treatment plans as well."""
    assert intents.read("how many denials are open", TOPICS).topics == {"denial"}
    assert intents.read("show me all stalled claims", TOPICS).topics == {"claim"}
    assert intents.read("how many items are at risk", TOPICS).topics == frozenset()


def test_a_thing_that_no_rule_watches_is_not_counted() -> None:
    """Lost: "how many autoclaves are open" would be answered with a number of something else."""
    assert intents.read("how many autoclaves are open", TOPICS).intent == "how_to"
    assert intents.read("how many denials are open", ()).intent == "how_to"


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=300))
def test_any_text_wants_something(text: str) -> None:
    """Lost: one odd character ends in an error instead of an answer."""
    assert intents.read(text, TOPICS).intent
    assert len(intents.tongue(text)) == 2
    assert intents.leans(text) in (True, False)
    assert (found := earlier(text, TODAY)) is None or found.day < TODAY


@pytest.mark.parametrize("text", ["a" * 10_000, "how many " * 2_000, "my day " * 2_000, "1/" * 5_000, "ok, " * 2_500])
def test_a_long_line_is_read_at_once(text: str) -> None:
    """Lost: one pasted page holds up everybody who waits behind it."""
    began = time.perf_counter()
    intents.read(text, TOPICS), intents.tongue(text), intents.leans(text), earlier(text[:2000], TODAY)
    assert time.perf_counter() - began < 0.5


@pytest.mark.parametrize(
    "question, day, rest",
    [
        ("what was the deadline for a rejection on 3 March?", date(2026, 3, 3), "what was the deadline for a rejection"),
        ("On March 3rd, how did we post an ERA?", date(2026, 3, 3), "how did we post an ERA"),
        ("as of 2026-01-15, when does a claim go to appeals?", date(2026, 1, 15), "when does a claim go to appeals"),
        ("last spring what was the rule for spore tests", date(2026, 5, 31), "what was the rule for spore tests"),
        ("how did we confirm visits in May", date(2026, 5, 31), "how did we confirm visits"),
        ("what was the step for refunds last year?", date(2025, 12, 31), "what was the step for refunds"),
        (
            "which version of the denial step applied on 12/24/2025",
            date(2025, 12, 24),
            "which version of the denial step applied",
        ),
        ("what did the SOP say about sharps two months ago", date(2026, 4, 11), "what did the SOP say about sharps"),
        ("what was the limit for refunds in 2025", date(2025, 12, 31), "what was the limit for refunds"),
        ("what was the deadline in November", date(2025, 11, 30), "what was the deadline"),
    ],
)
def test_a_question_about_an_earlier_day_is_known(question: str, day: date, rest: str) -> None:
    """Lost: an auditor who asks what applied in March is shown what applies today."""
    found = earlier(question, TODAY)
    assert found is not None
    assert (found.day, found.question) == (day, rest)


@pytest.mark.parametrize(
    "question",
    [
        "the patient was seen on 3 March, can I still appeal?", "she was here last month, what do I do?",
        "when does a claim go out",
        "the claim was denied on 2026-03-03, what now", "may we bill the patient", "what was the deadline",
        "what happens on 3 March",
        "what was due on 31 February", "it was sent in May, must I call the payer", "what was planned for 3 March 2027",
        "how may I help a patient who was late", "the march to the sea was long",
    ],
)  # fmt: skip
def test_a_date_in_a_story_changes_no_version(question: str) -> None:
    """Lost: somebody with a claim of March would be shown the step as it stood in March, and act on it."""
    assert earlier(question, TODAY) is None


@pytest.mark.parametrize(
    "question, code",
    [
        ("¿Cómo trabajo un reclamo denegado?", "es"), ("como hago una cita para el paciente", "es"),
        ("Comment traiter une demande refusée par l'assurance ?", "fr"), ("Wie oft machen wir den Sporentest?", "de"),
        ("Como devo confirmar a consulta do paciente?", "pt"), ("Quando devo chiamare il paziente per la visita?", "it"),
        ("Làm thế nào để hẹn bệnh nhân?", "vi"), ("如何处理被拒绝的索赔？", "zh"), ("どうやって滅菌しますか", "ja"),
        ("как часто проводить тест", "ru"), ("كيف أسجل مريضا جديدا", "ar"), ("환자 예약은 어떻게 하나요", "ko"),
    ],
)  # fmt: skip
def test_another_language_is_heard(question: str, code: str) -> None:
    """Lost: somebody who asks in Spanish is told that no SOP says it, when one does in English."""
    assert intents.tongue(question) == code


@pytest.mark.parametrize(
    "question",
    [
        "how do I post an ERA", "no show fee", "what does CO-45 mean", "patient from São Paulo wants records",
        "de novo caries coding",
        "who is on call", "Delta Dental de Puerto Rico claim denied", "era posting", "la carte plan", "naïve patient résumé",
        "SELECT * FROM claims; DROP TABLE claims", "<b>how</b> do I refund",
        "il pt wants to reschedule", "D2740 crown narrative", "", "???",
    ],
)  # fmt: skip
def test_english_with_a_foreign_word_is_english(question: str) -> None:
    """Lost: a payer's name or a patient's town has a good question turned away."""
    assert intents.tongue(question) == "en"


@pytest.mark.parametrize(
    "question, needs",
    [
        ("and if it's after hours?", True),
        ("who signs that?", True),
        ("what about Pine?", True),
        ("how long?", True),
        ("why", True),
        ("but the payer says no", True),
        ("where do I note it?", True),
        ("and who is told?", True),
        ("what if nobody answers", True),
        ("how do I post an ERA?", False),
        ("when does a claim go to appeals?", False),
        ("what is the limit for a refund?", False),
        ("how often do we spore test the sterilizer", False),
        ("is there a form for exposure incidents", False),
    ],
)
def test_what_leans_on_the_question_before_is_known(question: str, needs: bool) -> None:
    """Lost: "who signs that?" is looked up without "that", or a new question is bent to the old topic."""
    assert intents.leans(question) is needs


@pytest.mark.parametrize(
    "question, part",
    [
        ("who signs that?", "who"), ("and who signs off on it", "who"), ("Who does that?", "who"),
        ("who is responsible for this", "who"),
        ("whose job is that?", "who"), ("how long do I have?", "clock"), ("by when?", ""), ("when is it due?", "clock"),
        ("what's the deadline for that", "clock"), ("where do I note that?", "proof"), ("how do we prove it", "proof"),
        ("who do I call if nobody answers", ""), ("what if nobody answers", ""), ("how long is a referral valid", ""),
        ("who signs the treatment plan", ""), ("when is the spore test due", ""),
    ],
)  # fmt: skip
def test_what_is_asked_of_the_last_step_is_known(question: str, part: str) -> None:
    """Lost: "who signs that?" is searched for like any words, and another step's signature is quoted."""
    assert intents.asked_of_step(question) == part
