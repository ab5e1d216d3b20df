"""Gaps, the golden set, and what a publication does to them."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlmodel import select

from bot import golden, learning
from bot.__main__ import main
from bot.records import Gap, Golden, Question, read, write
from knowledge import alike, calibration, tables
from knowledge.calibration import Case, Shift
from knowledge.library import Principal, Refusal
from tests.behaviour.chat import ConsoleChat
from tests.behaviour.small import START, STARTER, Opens, Small, stalled

APPEALS = "When does a claim go to appeals?"
FIX = """

### 99. Bill the veterans plan <!-- step: veterans-plan -->

Claims of the veterans plan go out on paper, with the form from the shared drive.

- **Who:** Billing coordinator
"""


@pytest.fixture
def small(opens: Opens) -> Small:
    return opens()


def kept(small: Small) -> list[Golden]:
    with read(small.holdfast.engine) as session:
        return golden.questions(session)


def with_fix(tmp_path: Path, *, without: str = "") -> Path:
    """The billing SOP one version later, with a step for what nobody could answer; perhaps without another step."""
    source = (STARTER / "billing-claims.md").read_text()
    version = next(line for line in source.splitlines() if line.startswith("version: "))
    source = source.replace(version, f"version: {int(version.split()[1]) + 1}", 1)
    if without:
        first = source.index("### ", source.rindex("\n### ", 0, source.index(f"<!-- step: {without} -->")))
        past = source.index("\n### ", first + 4)
        source = source[:first] + source[past + 1 :]
    at = source.index("\n## RACI")
    file = tmp_path / "billing-claims.md"
    file.write_text(source[:at] + FIX + source[at:])
    return file


def found_now(small: Small) -> tuple[str, str]:
    """The step that the question about appeals is answered with."""
    with read(small.holdfast.engine) as session:
        editions = tables.editions(session)
    return golden.answered(small.holdfast.library, APPEALS, editions, "harbor", small.clock.at)[0]


@pytest.mark.parametrize(
    ("texts", "together"),
    [
        (["How do we book an interpreter?", "Book the interpreter how", "Where is the toner?"], [[0, 1], [2]]),
        (["toner", "TONER!", "paper"], [[0, 1], [2]]),
        ([], []),
        (["", "…"], [[0, 1]]),
    ],
)
def test_questions_that_say_the_same_are_one(texts: list[str], together: list[list[int]]) -> None:
    """Lost: nine people ask one thing in nine ways, and it is nine small matters."""
    assert alike.groups(texts) == together


def test_gaps_are_clustered_and_joined_to_the_work_that_stands_still(small: Small) -> None:
    """Lost: the list of unanswered questions that nobody reads, because none of them says what it costs."""
    stalled(small, 2)
    small.passes(minutes=5)
    chat = ConsoleChat(small)
    chat.ask("rae", "How are claims of the veterans plan billed?")
    chat.ask("bea", "How do I bill claims of a veterans plan?")
    chat.ask("bea", "Who waters the plants?")
    with read(small.holdfast.engine) as session:
        found = learning.gaps(session, small.holdfast.house, ["harbor", "pine"], small.clock.at - timedelta(days=7))
    first = found[0]
    assert (len(first.refs), first.people, first.sop, first.stalled, first.cents) == (2, 2, "billing-claims", 2, 2_500_00)
    assert (set(first.roles), first.disliked) == ({"billing_coordinator", "rcm_specialist"}, 0)
    assert [each.asked for each in found[1:]] == [("Who waters the plants?",)]


def test_an_answer_that_did_not_help_is_a_gap_with_its_reasons(small: Small) -> None:
    """Lost: an SOP that answers wrongly never comes up, because it did answer."""
    chat = ConsoleChat(small)
    chat.ask("bea", APPEALS)
    chat.press("bea", "It did not", "out-of-date")
    with read(small.holdfast.engine) as session:
        (gap,) = learning.gaps(session, small.holdfast.house, ["harbor"], START - timedelta(days=1))
    assert (gap.disliked, gap.reasons, gap.asked) == (1, ("out-of-date",), (APPEALS,))


def test_the_stand_up_counts_what_nobody_could_answer(small: Small) -> None:
    """Lost: whoever is in charge never hears that people ask in vain."""
    chat = ConsoleChat(small)
    chat.ask("bea", "Who waters the plants?")
    chat.ask("bea", APPEALS)
    assert chat.ask("mona", "digest").facts["Questions nobody could answer this week"] == "1"


def test_a_thumb_up_makes_a_question_golden_and_a_thumb_down_takes_it_back(small: Small) -> None:
    """Lost: what staff confirm is forgotten; or one slip of the thumb binds the library for good."""
    chat = ConsoleChat(small)
    chat.ask("bea", APPEALS)
    chat.press("bea", "This helped")
    (row,) = kept(small)
    assert (row.question, row.how, row.by, (row.sop, row.step)) == (APPEALS, "helpful", "bea", found_now(small))
    chat.press("bea", "It did not", "wrong-step")
    assert kept(small) == []
    assert [e.what for e in small.events("golden kept") + small.events("golden given up")] == ["golden kept", "golden given up"]


def put_by_hand(small: Small, question: str, sop: str, step: str) -> None:
    with write(small.holdfast.engine) as session:
        golden.keep(session, question, sop, step, site="", how="added", by="olu", at=small.clock.at)


def test_a_publication_says_which_question_it_loses_and_which_gap_it_closes(small: Small, tmp_path: Path) -> None:
    """Lost: a step is cut, and the first to notice is the biller who needed it; a fix that nobody connects to its question."""
    chat = ConsoleChat(small)
    said = chat.ask("rae", "How are claims of the veterans plan billed?")
    chat.press("rae", next(label for label in said.buttons if label.startswith("Ask ")))
    chat.press("bea", "Answer", "on paper, with the form from the shared drive")
    sop, step = found_now(small)
    put_by_hand(small, APPEALS, sop, step)
    file, holdfast = with_fix(tmp_path, without=step), small.holdfast
    report, effect = golden.publishing(
        holdfast.engine, holdfast.library, lambda: holdfast.ingest([file], publish=True, by="olu"), "olu", small.clock.at
    )
    assert report.ok, report
    assert [(one.question, one.step) for one in effect.lost] == [(APPEALS, step)]
    assert effect.closed == (("How are claims of the veterans plan billed?", "billing-claims", "veterans-plan"),)
    with read(holdfast.engine) as session:
        (gap,) = session.exec(select(Gap))
    assert (gap.state, gap.fixed_in.endswith("#veterans-plan")) == ("closed", True)
    assert ("billing-claims", "veterans-plan", "gap") in [(row.sop, row.step, row.how) for row in kept(small)]
    assert small.verify().ok


def test_a_draft_is_tried_without_a_trace(small: Small, tmp_path: Path) -> None:
    """Lost: the only way to learn what a draft breaks is to publish it."""
    sop, step = found_now(small)
    put_by_hand(small, APPEALS, sop, step)
    file, holdfast = with_fix(tmp_path, without=step), small.holdfast
    generation = holdfast.library.generation()
    with golden.rehearsed(holdfast.engine, [file], None, small.clock.at) as (library, report, editions, at):
        assert report.ok, report
        assert [one.step for one in golden.lost(library, kept(small), editions, at)] == [step]
    assert holdfast.library.generation() == generation
    assert found_now(small) == (sop, step)


@pytest.fixture
def at_home(small: Small, monkeypatch: pytest.MonkeyPatch) -> Iterator[Small]:
    """The commands are typed in this practice's home."""
    monkeypatch.setenv("HOLDFAST_HOME", str(small.home))
    monkeypatch.setenv("EMBEDDING_MODEL", "none")
    monkeypatch.delenv("DATABASE_URL", raising=False)
    yield small


def test_golden_exits_1_and_names_each_lost_question_in_one_line(
    at_home: Small, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Lost: a release gate that cannot fail, or that fails without saying why."""
    sop, step = found_now(at_home)
    assert main(["golden", "add", APPEALS, f"{sop}#{step}"]) == 0
    assert "1 of 1 find their step." in capsys.readouterr().out
    assert main(["golden", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"questions": 1, "lost": 0}
    file = with_fix(tmp_path, without=step)
    assert main(["golden", "--draft", str(file)]) == 1
    assert f"“{APPEALS}” should find {sop}#{step}" in capsys.readouterr().out.splitlines()[0]
    assert main(["golden"]) == 0
    assert main(["golden", "add", APPEALS, "billing-claims#no-such-step"]) == 1
    assert main(["golden", "add", APPEALS]) == 2
    assert main(["golden", "remove", APPEALS, f"{sop}#{step}"]) == 0
    assert kept(at_home) == []


def test_gaps_are_listed_closed_and_left(at_home: Small, capsys: pytest.CaptureFixture[str]) -> None:
    """Lost: a list that only grows, so that nobody reads it."""
    chat = ConsoleChat(at_home)
    at_home.holdfast.clock = at_home.clock
    chat.ask("bea", "Who waters the plants?")
    with write(at_home.holdfast.engine) as session:
        question = session.exec(select(Question)).one()
        question.at = datetime.now(UTC)  # the command goes by the real clock
        session.add(question)
    assert main(["gaps", "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["asked"] == ["Who waters the plants?"]
    assert main(["gaps", "--leave", question.ref]) == 0
    assert main(["gaps", "--leave", question.ref]) == 1
    capsys.readouterr()
    assert main(["gaps"]) == 0
    assert "was answered" in capsys.readouterr().out


# --- words that were confirmed, and thresholds -------------------------------------------------------------------------------


def test_what_was_confirmed_is_found_again_in_other_order_and_inflection(small: Small) -> None:
    """Lost: the same question is refused every week, though somebody said long ago which step answers it."""
    asked = "Where do we send the blue folder after lunch?"
    chat = ConsoleChat(small)
    assert "This helped" not in chat.ask("bea", asked).buttons
    sop, step = found_now(small)
    put_by_hand(small, asked, sop, step)
    said = chat.ask("bea", "After lunch, where are blue folders sent?")
    assert "This helped" in said.buttons
    with read(small.holdfast.engine) as session:
        last = session.exec(select(Question).order_by(Question.at.desc())).all()  # type: ignore[attr-defined]
    assert (sop, step) in [(row.sop, row.step) for row in last]
    assert "This helped" not in chat.ask("bea", "Where do we send the red folder on Friday?").buttons


def test_a_confirmed_step_is_shown_to_nobody_who_may_not_read_it(small: Small) -> None:
    """Lost: one person's thumb opens an SOP to another who may not read it."""
    sop, step = found_now(small)
    put_by_hand(small, "Where do we send the blue folder after lunch?", sop, step)
    stranger = Principal("x", frozenset({"nobody_of_ours"}), "harbor")
    found = small.holdfast.library.ask("Where do we send the blue folder after lunch?", stranger, small.clock.at)
    assert isinstance(found, Refusal)


def cases(right: int, wrong: int, *, above: float) -> list[Case]:
    """Questions of which those that are answered wrongly all lie below `above`, which is above the threshold of 0."""
    well = [Case(2.0 + n / 100, above + 0.1 + n / 100, True, True) for n in range(right)]
    badly = [Case(2.0 + n / 100, above - 0.1 - n / 100, True, states=False) for n in range(wrong)]
    return well + badly


def test_thresholds_move_to_where_the_organisations_questions_say() -> None:
    """Lost: an organisation whose words fool the search is told wrong things with certainty, however often it says so."""
    fitted = calibration.fit(cases(30, 20, above=0.7))
    assert fitted.before.wrong == 1.0
    assert (fitted.after.wrong, fitted.after.held_back, fitted.better) == (0.0, 0.0, True)
    assert 0.6 <= fitted.shift.answer <= 0.8
    assert fitted.shift.topic == 0.0  # nothing was said of questions that belong in no SOP
    assert any("speak of" in each for each in fitted.missing)


def test_too_few_questions_move_nothing() -> None:
    """Lost: three thumbs on the first day turn every answer into a refusal."""
    fitted = calibration.fit(cases(20, 19, above=0.7))
    assert (fitted.shift, fitted.better) == (Shift(), False)
    assert "39 confirmed questions of at least 40" in fitted.missing


def test_noise_moves_nothing() -> None:
    """Lost: thresholds that follow whatever was judged last, and are worse on the next question."""
    chance = random.Random(7)
    noise = [Case(3.0, chance.uniform(-1, 1), True, chance.random() < 0.5) for _ in range(60)]
    assert not calibration.fit(noise).better


def test_kept_thresholds_are_read_by_the_library_at_once(small: Small, tmp_path: Path) -> None:
    """Lost: what was fitted stands in a file that nobody reads, or after the next restart only."""
    chat = ConsoleChat(small)
    assert "This helped" in chat.ask("bea", APPEALS).buttons
    calibration.save(small.home, "", Shift(answer=50.0))
    assert "Nearest" in chat.ask("bea", APPEALS).title
    calibration.save(small.home, "other-model", Shift(topic=99.0))
    assert "Nearest" in chat.ask("bea", APPEALS).title
    (small.home / calibration.FILE).write_text("{broken")
    assert "This helped" in chat.ask("bea", APPEALS).buttons


def test_calibrate_says_what_is_missing_and_changes_nothing(at_home: Small, capsys: pytest.CaptureFixture[str]) -> None:
    """Lost: a command that runs through on an empty installation and leaves it worse."""
    put_by_hand(at_home, APPEALS, *found_now(at_home))
    assert main(["calibrate", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["questions"], said["moved"], said["embedder"]) == (1, False, "")
    assert any("1 confirmed" in each for each in said["missing"])
    assert not (at_home.home / calibration.FILE).exists()
