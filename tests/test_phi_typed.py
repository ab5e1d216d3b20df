"""What staff type about patients: taken out before it is kept, searched or sent on (PROMISES 28, 29)."""

from __future__ import annotations

import itertools
import time
from collections.abc import Collection

import pytest

from bot import phi
from tests.bench.phi import feeds_with, figures, lines, practice, questions

FIRST = "Maria Will Grace José Siobhán De'Andre Anne-Marie Xiomara Oluwaseun Mark".split()  # noqa: SIM905
LAST = (
    "Gonzalez", "O'Brien", "van der Berg", "Smith-Jones", "Żak", "St. Clair", "Young", "Nguyen", "Zbikowska", "Price",
    "Okonkwo", "de la Cruz", "Ng", "Thistlewood",
)  # fmt: skip
PATIENTS = tuple(itertools.product(FIRST, LAST))
KNOWN = phi.Listed(frozenset().union(*(phi.marks_of(f"{last}, {first}") for first, last in PATIENTS)))
FRAMES = (
    "how do i refund {} for the crown", "{} called about the estimate", "is {}'s preauth back", "do we premedicate {}?",
    "left a voicemail for {}", "what do i tell {}",
)  # fmt: skip
KEPT = (
    "Bill the claim on 3 March with D1110 and CO-45", "we appeal within 30 days, step 4",
    "2 open days are left on the CMS-1500",
    "write off over $1,250 at 5:30 pm", "is K02.9 right for ICD", "claims older than 45 days go to Delta Dental",
    "post the ERA 835",
    "what was the rule as of January 15, 2026?", "Does Medicaid in May cover Invisalign and Botox",
)  # fmt: skip
ATTACKS = (
    "a" * 4000, "1-" * 2000, "a@" * 2000, "a.a." * 1000, "@" * 4000, "1 " * 2000, "(" * 4000, "A-" * 2000, "may " * 1000,
    "1" * 4000, "www." * 1000, "Mr. " * 1000, "O'" * 2000, "patient " * 500, "\u200b" * 4000, "\ufdfa" * 4000, "$1," * 1300,
    "12 oak " * 570, "1:" * 2000, "John Smith " * 360,
)  # fmt: skip


@pytest.mark.parametrize("mode", ["note", "question", "search"])
def test_every_known_patient_goes_by_full_name_and_by_surname(mode: phi.Mode) -> None:
    """Lost: the practice's own patients, whose names it holds, would be kept with what its staff ask."""
    left = []
    for n, (first, last) in enumerate(PATIENTS):
        frame = FRAMES[n % len(FRAMES)]
        for said in (
            f"{first} {last}",
            f"{first} {last}".lower(),
            f"{first} {last}".upper(),
            f"{last}, {first}",
            f"Mrs. {last}",
        ):
            kept = phi.clean(frame.format(said), mode=mode, known=KNOWN).text
            if phi.fold(last) in phi.fold(kept):
                left.append((said, kept))
    assert left == []


def test_a_surname_alone_in_small_letters_goes_from_what_is_kept_even_where_it_is_a_word() -> None:
    """Lost: a patient who is called Young or Price could be read in a log by whoever knows that there is one."""
    for _, last in PATIENTS[: len(LAST)]:
        kept = phi.clean(f"has {last.lower()} paid yet", mode="question", known=KNOWN).text
        assert phi.fold(last) not in phi.fold(kept), kept


def test_a_search_keeps_an_ordinary_word_that_is_also_some_patients_name() -> None:
    """Lost: in a practice with a patient Price nobody could ask for a price."""
    assert phi.clean("what is the price of a crown", mode="search", known=KNOWN).text == "what is the price of a crown"
    assert "price" not in phi.clean("refund mrs price today", mode="search", known=KNOWN).text


def test_a_patient_long_or_day_costs_no_question_its_words_and_goes_where_a_person_stands() -> None:
    """Lost: with one patient Long every “how long” is cut out of what is kept, sent to the model and learnt from."""
    known = phi.Listed(frozenset().union(*map(phi.marks_of, ("Long, Ann", "Day, Will", "May, Grace", "Good, Ida"))))
    for kept in (
        "how long do we keep it, 3 days or a week",
        "is a good seal as long as 2 weeks",
        "may we do that the same day",
    ):
        assert phi.clean(kept, mode="question", known=known).text == kept
    for said in (
        "mrs long called",
        "ann long called",
        "long's claim",
        "has long paid",
        "mr. day called",
        "day, will",
        "ms may",
    ):
        kept = phi.clean(said, mode="question", known=known).text
        assert not {"long", "day", "may"} & {phi.fold(word) for word in kept.replace("'s", "").split()}, kept


def test_a_known_surname_with_one_wrong_letter_goes() -> None:
    """Lost: nobody spells Thistlewood right the first time."""
    for wrong in ("thistelwood", "thistlwood", "thistlewoood", "thistlewuod"):
        assert wrong not in phi.clean(f"call {wrong} back", known=KNOWN).text


def test_of_texts_held_apart_nearly_all_that_names_somebody_goes_and_clean_ones_stay() -> None:
    """Lost: the figures we give. Measured when written: 93 % of names that no feed knows, all other spans, no false alarm."""
    found = figures(list(lines("held")))
    assert found.names_removed / found.names >= 0.9
    assert found.others_removed / found.others >= 0.95
    assert found.alarms / found.clean <= 0.1


@pytest.mark.parametrize("mode", ["note", "question", "search"])
def test_of_texts_held_apart_every_name_that_the_feeds_know_goes(mode: phi.Mode) -> None:
    """Lost: the figure we give for a practice's own patients, whatever words stand around them."""
    held = list(lines("held"))
    doctors = sum(name.casefold().startswith("dr") for line in held for name in line.names)
    found = figures(held, mode, feeds_with(held))
    assert found.names_removed >= found.names - doctors, found.missed
    assert found.alarms / found.clean <= 0.1


@pytest.mark.parametrize("mode", ["question", "search"])
def test_a_practice_of_two_thousand_patients_leaves_questions_as_they_are(mode: phi.Mode) -> None:
    """Lost: with so many names every second question would hold an ordinary word that is somebody's."""
    asked = questions()
    if not asked:
        pytest.skip("needs ../shared/data/questions/dev.jsonl")
    assert figures(asked, mode, practice()).alarms / len(asked) <= 0.1


def test_questions_over_other_peoples_sops_are_left_as_they_are() -> None:
    """Lost: the search would miss what was asked, because a product or a machine was taken for a patient."""
    asked = questions()
    if not asked:
        pytest.skip("needs ../shared/data/questions/dev.jsonl")
    assert figures(asked).alarms / len(asked) <= 0.1


@pytest.mark.parametrize("text", KEPT)
def test_what_the_trade_writes_with_numbers_and_capitals_stays(text: str) -> None:
    """Lost: a question without its code, its amount or its day finds another step."""
    assert phi.clean(text, mode="question").text == text


@pytest.mark.parametrize("text", ATTACKS, ids=range(len(ATTACKS)))
def test_no_text_is_slow(text: str) -> None:
    """Lost: one pasted page would hold up everybody. The best of three in processor time: a busy machine does not count."""
    phi.clean("warm", known=KNOWN)
    took = []
    for _ in range(3):
        started = time.thread_time()
        phi.clean(text, mode="question", known=KNOWN)
        took.append(time.thread_time() - started)
    assert min(took) < 0.1


class Broken:
    def among(self, marks: Collection[str]) -> Collection[str]:
        raise OSError("the database does not answer")


def test_what_cannot_be_made_sure_of_is_withheld_whole() -> None:
    """Lost: a failing detector would let everything through and report success."""
    ticks = itertools.count(0, 10)
    slow = phi.clean("Maria Gonzalez called", clock=lambda: float(next(ticks)))
    broken = phi.clean("Maria Gonzalez called", known=Broken())
    for cleaned in (slow, broken):
        assert cleaned.withheld and cleaned.text == phi.MARK and cleaned.found
