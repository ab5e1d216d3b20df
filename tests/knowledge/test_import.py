"""Other people's documents into the library: what is reported, what is proposed, and what it takes to publish."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine

from bot import records
from bot.__main__ import main
from knowledge import index, sops, tables
from knowledge.intake import FileReport
from knowledge.library import Library
from tests.knowledge.word import docx, level, lists, p, run
from tests.test_library import sop

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
STEPS = (
    "Call the payer within two business days.",
    "The billing coordinator notes it within 24 hours.",
    "Ask the office manager.",
)
HIDDEN = p("Approve all", runs=run(" and tell nobody", "<w:vanish/>"))


def denial(*more: str) -> bytes:
    body = p("Denied claims", style="Titel") + "".join(p(step, num=(1, 0)) for step in STEPS) + "".join(more)
    return docx(body, numbering=lists([level(0, "decimal", "%1.")]))


@pytest.fixture
def library(engine: Engine) -> Library:
    return Library(lambda: records.read(engine), lambda: records.write(engine))


def keep(library: Library, path: Path, *, publish: bool, seen: str = "") -> FileReport:
    return library.ingest([path], publish=publish, at=NOW, by="mona", seen=seen).files[0]


def test_a_word_file_becomes_a_draft_with_its_report(library: Library, tmp_path: Path) -> None:
    """Lost: nobody can tell what of a document arrived, and what was made up on the way."""
    (tmp_path / "denials.docx").write_bytes(denial())
    told = keep(library, tmp_path / "denials.docx", publish=False)
    assert (told.outcome, told.sop, told.title, told.steps) == ("draft", "denials", "Denied claims", 3)
    assert told.kept == {"headings": 1, "numbered": 3, "bullets": 0, "tables": 0, "words": told.kept["words"]}
    assert [role["role"] for role in told.proposed["roles"]] == ["Billing coordinator", "Office manager"]
    assert [clock["clock"] for clock in told.proposed["clocks"]] == ["2 open d", "24 h"]
    assert library.steps(NOW) == ()


def test_what_is_proposed_is_never_part_of_the_sop(library: Library, tmp_path: Path) -> None:
    """Lost: staff are nudged by a clock that nobody set."""
    (tmp_path / "denials.docx").write_bytes(denial())
    assert keep(library, tmp_path / "denials.docx", publish=True).outcome == "published"
    found = library.steps(NOW)
    assert [(step.number, str(step.text)) for step in found] == [("1", STEPS[0]), ("2", STEPS[1]), ("3", STEPS[2])]
    assert all((step.role, step.clock, step.owner) == ("", "", "") for step in found)


def test_a_file_with_hidden_text_is_published_only_by_its_exact_text(library: Library, engine: Engine, tmp_path: Path) -> None:
    """Lost: what nobody could see goes into force because somebody trusted the file."""
    path = tmp_path / "refunds.docx"
    path.write_bytes(denial(HIDDEN))
    first = keep(library, path, publish=True)
    assert first.outcome == "draft" and [seen.text for seen in first.hidden] == ["and tell nobody"]
    assert any("sop show" in note.what for note in first.notes)
    with records.read(engine) as session:
        [row] = tables.versions(session, "refunds")
    assert "tell nobody" not in row.source and "Approve all" in row.source
    for wrong in (row.sha256[:8], "0" * 64):
        assert keep(library, path, publish=True, seen=wrong).outcome == "unchanged" and library.steps(NOW) == ()
    path.write_bytes(denial(HIDDEN, p("One more line.")))
    assert keep(library, path, publish=True, seen=row.sha256).outcome == "draft" and library.steps(NOW) == ()
    path.write_bytes(denial(HIDDEN))
    keep(library, path, publish=False)
    assert keep(library, path, publish=True, seen=row.sha256[:16]).outcome == "published"
    assert "tell nobody" not in " ".join(str(step.text) for step in library.steps(NOW))


def test_two_documents_named_in_another_script_are_two_documents(library: Library, tmp_path: Path) -> None:
    """Lost: every file with a Cyrillic or Chinese name is "document", and only the last one is kept."""
    for name in ("возврат.docx", "рецепт.docx"):
        (tmp_path / name).write_bytes(denial(p(name)))
        assert keep(library, tmp_path / name, publish=False).outcome == "draft"
    assert len({keep(library, tmp_path / name, publish=False).sop for name in ("возврат.docx", "рецепт.docx")}) == 2


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, migrated_file: Path) -> Iterator[Path]:
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "holdfast.sqlite").write_bytes(migrated_file.read_bytes())
    monkeypatch.setenv("HOLDFAST_HOME", str(folder))
    monkeypatch.setenv("HOLDFAST_LOG", "ERROR")
    yield folder


def test_the_command_prints_the_report_and_shows_what_will_be_read(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lost: an approver signs a summary."""
    (tmp_path / "refunds.docx").write_bytes(denial(HIDDEN))
    assert main(["ingest", str(tmp_path / "refunds.docx"), "--publish"]) == 0
    said = capsys.readouterr().out
    for words in (
        "draft as refunds version 1, 3 steps",
        "3 numbered",
        "and tell nobody",
        "perhaps its roles: Billing coordinator",
    ):
        assert words in said
    assert "python -m bot sop show refunds --version 1" in said
    assert main(["sop", "show", "refunds", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [step["number"] for step in shown["steps"]] == ["1", "2", "3"] and "tell nobody" not in shown["text"]
    assert main(["ingest", str(tmp_path / "refunds.docx"), "--publish", "--seen", shown["sha256"][:16]]) == 0
    assert "published as refunds version 1" in capsys.readouterr().out
    assert main(["sop", "show", "nothing"]) == 1
    assert "no SOP nothing" in capsys.readouterr().err


def test_what_a_step_is_asked_as_is_shown_to_its_approver_and_survives_the_way_out_and_in(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lost: an author's questions are approved unseen, or left behind when the SOP is taken elsewhere."""
    file = tmp_path / "era.md"
    file.write_text(sop(text='Asked as: "where does the blue folder go"\n\nPost it.'), "utf-8")
    assert main(["ingest", str(file)]) == 0
    capsys.readouterr()
    assert main(["sop", "show", "era", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [(step["text"], step["asked"]) for step in shown["steps"]] == [("Post it.", ["where does the blue folder go"])]
    assert main(["sop", "show", "era"]) == 0
    assert 'Asked as: "where does the blue folder go"' in capsys.readouterr().out
    again = sops.parse(shown["text"], "era.md")
    assert again.sha256 == shown["sha256"]
    assert {cut.asked for cut in index.cuts(again)} == {("where does the blue folder go",)}
