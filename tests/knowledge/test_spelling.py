"""Questions typed in a hurry: what is read as another word, what is never touched, and what the asker is told."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from bot import records, replies
from knowledge import index, sops, spelling, tables
from knowledge.followup import Query
from knowledge.index import Entry, Index, Principal
from knowledge.library import Answer, Library
from knowledge.spelling import between
from tests.test_library import BEA, NOW, keep, sop

STAFF = Principal("x", frozenset({"hygienist"}), "pine")
TEXTS = (
    "Log every spore test. Autoclaves run at 121 degrees. The autoclave's log is signed.",
    "Post the remittances and balance them.",
    "Clamp the tubing. Change it every quarter.",
    "The clasp of the tray. A damaged clasp is repaired. Each clasp.",
    "Look up D1110 in the Zephyrine table, and the perioding of the traveller.",
)


def entry(text: str, *roles: str, heading: str = "") -> Entry:
    made = sops.loose(text, "a").source
    return Entry(text[:9], sops.NO_TEXT, tables.text(heading), "", made, 0, len(made), frozenset(roles or ("all",)))


@pytest.fixture(scope="module")
def built() -> Index:
    return Index([*map(entry, TEXTS), entry("Sedation with midazolam.", "dentist", heading="Midazolams")])


def read(built: Index, question: str) -> tuple[str, list[str]]:
    """The question as it is searched for somebody who may not read the last passage, and what was put in it."""
    found = built.search(question, index.permitted(built, STAFF)).reading
    return found.text, [str(each) for each in found.instead]


@pytest.mark.parametrize(
    ("typed", "meant", "shown"),
    [
        ("where is the autoclve log", "where is the autoclave log", ["autoclave"]),
        ("AUTOCLVE IS BEEPING", "autoclave IS BEEPING", ["autoclave"]),
        ("Autoclvae beeps", "autoclave beeps", ["autoclave"]),
        ("the autoclve’s door, the auttoclave", "the autoclave’s door, the autoclave", ["autoclave"]),
        ("post a remitance?", "post a remittances?", ["remittances"]),  # as English has it, and as the SOP writes it
        ("a reimttence came", "a remittances came", ["remittances"]),
        ("the clapm broke", "the clamp broke", ["Clamp"]),
        ("the cla\u017fp", "the cla\u017fp", []),
    ],
)
def test_a_slip_of_the_finger_is_put_right_with_the_librarys_own_word(
    built: Index, typed: str, meant: str, shown: list[str]
) -> None:
    """Lost: whoever types in a hurry is told that no SOP says it."""
    text, instead = read(built, typed)
    assert (text.lower(), instead) == (meant.lower(), shown)


@pytest.mark.parametrize(
    "question",
    [
        "look up D1111 and 1210 degrees",  # codes and numbers
        "is the RENTT or the claps-ed one",  # an abbreviation; a word in parts
        "does Remittanse know, or Dr. Autoclve?",  # a name
        "who is mailto:autoclve@x.org or www.autoclve.org",
        "my clam and her clams",  # English has it
        "a perio chart",  # short for something
        "psot it",  # too short
        "an autoclaving",  # the library has it in another form
        "zzzzzzzz qqqqqqq",
        "hwich travelers",  # `which`; one spelling
        "einverständnis der patientin",
    ],
)
def test_what_may_be_meant_as_it_stands_is_not_touched(built: Index, question: str) -> None:
    """Lost: a code, a name or a trade's own word is turned into something that was not asked."""
    assert read(built, question) == (question, [])


def test_the_most_frequent_of_equally_near_words_is_meant(built: Index) -> None:
    """Lost: a rare word answers in the place of the one that everybody writes."""
    for often, seldom in (("cable", "camel"), ("camel", "cable")):
        many = Index([*(entry(f"The {often} {n}.") for n in range(5)), entry(f"A {seldom}.")])
        assert read(many, "the cabel")[1] == [often]


def test_a_word_is_never_read_as_one_that_the_asker_may_not_read(built: Index) -> None:
    """Lost: a misspelt word shows what is in an SOP of another role."""
    assert read(built, "dose of midazolan") == ("dose of midazolan", [])
    dentist = index.permitted(built, Principal("y", frozenset({"dentist"}), "pine"))
    assert [str(each) for each in built.search("dose of midazolan", dentist).reading.instead] == ["midazolam"]
    forms = Index([entry("Give midazolams.", "dentist"), entry("No midazolam here.")])
    assert read(forms, "mydazolams")[1] == ["midazolam"]  # never the form of the other passage


def test_what_an_edit_took_away_is_not_read_again(built: Index) -> None:
    """Lost: a question is turned into a word that no SOP has any more."""
    later = Index(built.entries[1:], earlier=built)
    assert read(built, "an autoclve")[1] == ["autoclave"] and read(later, "an autoclve")[1] == []
    newer = Index([*later.entries, entry("Kingfishers dive.")], earlier=later)
    assert read(newer, "kingfshers")[1] == ["Kingfishers"] and read(later, "kingfshers")[1] == []


def test_the_question_before_is_put_right_as_well(built: Index) -> None:
    """Lost: a follow-up is looked for beside a misspelt question."""
    plain, slipped = (
        built.search(Query("and when?", after=f"who signs the {word} log"), index.permitted(built, STAFF))
        for word in ("autoclave", "autoclvae")
    )
    assert [hit.place for hit in slipped.hits] == [hit.place for hit in plain.hits]
    assert slipped.signals == plain.signals and not slipped.reading.instead


def test_the_asker_is_told_what_was_searched_for(engine: Engine, tmp_path: Path) -> None:
    """Lost: somebody acts on the answer to a question that they did not ask."""
    library = Library(partial(records.read, engine), partial(records.write, engine))
    keep(library, tmp_path, sop())
    found = library.ask("how do I post the remitance", BEA, NOW)
    assert isinstance(found, Answer) and found.quotes[0].step == "post-era"
    assert replies.searched_for(found.instead) == ("I searched for “remittance”.",)
    told = library.ask("how do I post the remittance", BEA, NOW)
    assert replies.searched_for(told.instead) == ()


# --- nearness ---------------------------------------------------------------------------------------------------------------

WORDS = st.text("abcd", min_size=1, max_size=7)


@given(st.lists(WORDS, min_size=1, max_size=20), WORDS, st.integers(1, 2))
def test_all_words_within_reach_are_found_and_no_others(words: list[str], word: str, most: int) -> None:
    """Lost: a quick look that passes over the word that was meant."""
    found = spelling._Near(words).within(word, most)
    assert found == [(slips, other) for other in words if (slips := between(word, other)) <= most]


@given(WORDS, WORDS)
def test_slips_are_counted_alike_from_both_sides(one: str, other: str) -> None:
    """Lost: a distance that depends on which word was typed."""
    assert between(one, other) == between(other, one) >= abs(len(one) - len(other))
    assert (between(one, other) == 0) == (one == other)


@pytest.mark.parametrize(
    ("one", "other", "slips"), [("tray", "tary", 1), ("tray", "try", 1), ("tray", "stray", 1), ("a", "bc", 2)]
)
def test_two_letters_swapped_are_one_slip(one: str, other: str, slips: int) -> None:
    """Lost: the commonest slip of all counts as two."""
    assert between(one, other) == slips
