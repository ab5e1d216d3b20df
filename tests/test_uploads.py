"""Files that people send: what their names keep, who may send them, and the lease of what takes long to read."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from bot import inbox, uploads
from bot.chat import Attached, Heard, NotFetched, Place, heard_from_json
from bot.records import Incoming, read
from knowledge import documents
from knowledge.intake import FileReport
from knowledge.sops import Finding
from tests.behaviour.small import START, Opens, Small
from tests.fakes.serving import wait_for

DM = Place("slack", "T", "D1")


@pytest.fixture
def small(opens: Opens) -> Small:
    return opens()


def test_a_name_keeps_what_is_no_patients(small: Small) -> None:
    """Lost: every SOP file is called “document”, or a patient's name stands in the ledger for good."""
    house = small.holdfast.house
    for name, kept in {
        "Opening the office.docx": "Opening the office.docx",
        "SOP-014_Sterilization v3.DOCX": "SOP-014_Sterilization v3.docx",
        "Front_desk_opening_checklist_2025.pdf": "Front_desk_opening_checklist_2025.pdf",
        "C:\\Users\\x\\billing.md": "billing.md",
        "../../etc/passwd": "passwd",
        "Maria Gonzalez claim.docx": "claim.docx",
        "recall 03-14-1961 chart 4471829.md": "recall chart.md",
        "notes from Mona Ferris.txt": "notes from Mona Ferris.txt",
    }.items():
        assert uploads.named(house, name) == kept
    for name in ("Maria Gonzalez.docx", "\u202e.docx", ".docx"):
        assert uploads.named(house, name).startswith("document ")
    assert uploads.named(house, "Maria Gonzalez.docx") != uploads.named(house, "Jose Martinez.docx")
    assert len(uploads.named(house, "long " * 90 + ".docx")) < 100


def test_what_is_said_of_a_file_loses_no_word_to_the_redaction(small: Small) -> None:
    """Lost: the one sentence that says what to do has a hole in it."""
    sentences = [documents.NO_DOCUMENT, "The file is larger than 5 MB: an SOP is a few pages of text; split it.",
                 "The file is larger than 50 MB: save it again with smaller pictures, or split it.",
                 "Version 2 of billing-claims is published with another text: raise the version."]  # fmt: skip
    for sentence in sentences:
        report = FileReport("a.md", "refused", problems=(Finding("a.md", 3, sentence),))
        card = uploads.report(small.holdfast.house, [uploads._Read("a.md", (report,))])
        assert sentence in str(card.facts[0].value)


def test_who_may_send_files_is_who_answers_for_sops(small: Small) -> None:
    """Lost: the biller who owns the playbook may not bring its next version, or the temp may."""
    house, library, now = small.holdfast.house, small.holdfast.library, small.clock.now()
    may = {person.id for person in house.practice.people.values() if uploads.may_bring(house, library, person, now)}
    assert may == {"bea", "tom", "mona", "olu"}


def test_files_alone_or_documents_are_an_upload_and_a_picture_with_a_question_is_not() -> None:
    """Lost: a question with a screenshot is not answered, or a file that was sent is searched for as a question."""

    def meant(text: str, *names: str, surface: str = "dm") -> bool:
        place = Place("slack", "T", "D1", surface=surface)  # type: ignore[arg-type]
        return uploads.is_meant(Heard("k", "ask", "U1", place, START, text=text, files=tuple(map(Attached, names))))

    assert meant("", "a.png") and meant("", "a.docx") and meant("here it is", "a.png", "b.zip")
    assert meant("our new one", "a.docx", surface="pane")
    assert not meant("what is this?", "a.png") and not meant("how do I?") and not meant("", "a.docx", surface="channel")


def test_what_was_heard_with_files_is_read_back_as_it_was() -> None:
    """Lost: a restart forgets the files that came before it; or a row of the version before cannot be read."""
    heard = Heard("k", "ask", "U1", DM, START, files=(Attached("a.md", "F1", "https://x/y", 9), Attached("b.md")))
    assert heard_from_json(heard.as_json()) == heard
    old = heard.as_json()
    del old["files"]
    assert heard_from_json(old).files == ()
    assert "https://x/y" not in repr(heard)


def test_more_files_than_are_read_are_left_and_the_same_act_is_on_record_once(small: Small, tmp_path: Path) -> None:
    """Lost: two hundred files of one message hold up everybody; or each attempt is one more row of evidence."""
    holdfast, asked = small.holdfast, []

    def fetch(file: Attached, into: object, limit: int) -> None:
        asked.append(file.name)
        raise NotFetched("gone")

    mona = holdfast.house.practice.people["mona"]
    files = [Attached(f"part {n}.md") for n in range(12)]
    for _ in range(2):
        reply = uploads.receive(
            holdfast.engine, holdfast.house, holdfast.library, mona, files, fetch, key="k", at=small.clock.now()
        )
        assert reply.private and reply.card and reply.card.title == "Not taken in"
    assert len(asked) == 2 * uploads.MOST
    assert small.events("sop file sent") == []


def test_what_takes_long_keeps_its_lease(opens: Opens, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost: a second worker reads the same archive while the first still does, and its sender is told twice."""
    small = opens()
    monkeypatch.setattr(inbox, "LEASE", timedelta(seconds=0.03))
    small.holdfast.inbox.keep(Heard("long", "ask", "U1", DM, START), START)
    taken = inbox.take(small.holdfast.engine, START)
    assert taken
    later = START + timedelta(minutes=5)

    def leased() -> bool:
        with read(small.holdfast.engine) as session:
            return session.get_one(Incoming, "long").lease_until == later + inbox.LEASE

    assert not leased()
    with inbox.holding(small.holdfast.engine, taken, lambda: later):
        wait_for(leased, "the lease was not renewed")
    assert inbox.take(small.holdfast.engine, later) is None
