"""Bad files: each is refused or read with a reason, in time, and nobody notices but whoever brought it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from bot import records
from knowledge import documents, intake
from knowledge.library import Library
from tests.knowledge import hostile
from tests.knowledge.word import docx, p

TOP = Path(__file__).parents[2]
NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
HARMLESS = {
    "bomb-lzma.zip", "bomb-repeated.docx", "deep-tables.docx", "style-loop.docx", "number-huge.docx", "span-huge.docx",
    "template.docx", "remote-frame.docx", "remote-picture.docx", "ole.docx", "altchunk.docx", "kids.pdf", "name-9.zip",
    "deep.html", "attributes.html", "entities.html", "fetches.html", "quotes.md", "fences.md", "stars.md", "laughs.docx",
}  # fmt: skip
"""These may be read, for what of them is a document; all the others have to be refused."""

MEASURE = """
import json, resource, sys, time
from pathlib import Path
from knowledge import documents, intake, sops
def most():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 * 1024 if sys.platform == "darwin" else 1024)
sops.loose("# a\\n\\n1. b\\n", "a.md")
before = most()
for path in sorted(Path(sys.argv[1]).iterdir()):
    started = time.monotonic()
    for found in documents.find([path]):
        read = intake.opened(found)
        says = [] if isinstance(read, intake.File) else [str(problem.what) for problem in read.problems]
        outcome = "read" if isinstance(read, intake.File) else read.outcome
        hidden = isinstance(read, intake.File) and bool(read.converted.hidden)
        line = {"file": path.name, "outcome": outcome, "says": says, "hidden": hidden}
        print(json.dumps({**line, "seconds": time.monotonic() - started, "grown": most() - before}), flush=True)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("hostile")
    for name, data in hostile.files():
        (made / name).write_bytes(data)
    with (made / "large.pdf").open("wb") as sparse:
        sparse.write(b"%PDF-1.7")
        sparse.truncate(300_000_000)
    with (made / "large.docx").open("wb") as sparse:
        sparse.write(b"PK\x03\x04")
        sparse.truncate(300_000_000)
    return made


@pytest.fixture(scope="module")
def told(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """What became of each file, read one after another by one process that is measured."""
    ran = subprocess.run(
        [sys.executable, "-c", MEASURE, str(folder)], cwd=TOP, capture_output=True, text=True, timeout=1_200, check=False
    )
    assert ran.returncode == 0, ran.stderr[-2_000:]
    lines: dict[str, list[dict[str, Any]]] = {}
    for line in map(json.loads, ran.stdout.splitlines()):
        lines.setdefault(line["file"], []).append(line)
    return lines


@pytest.mark.timeout(1_300)
def test_no_hostile_file_hurts_whoever_reads_it(folder: Path, told: dict[str, list[dict[str, Any]]]) -> None:
    """Lost: one upload takes the service down, by memory, by time or by an error that nobody caught."""
    assert len(told) == len(list(folder.iterdir())) >= 60
    lines = [line for lines in told.values() for line in lines]
    assert max(line["grown"] for line in lines) <= 50
    assert [line for line in lines if line["seconds"] > 30] == []


@pytest.mark.timeout(1_300)
def test_every_hostile_file_is_refused_in_one_sentence_or_read_for_what_it_is(told: dict[str, list[dict[str, Any]]]) -> None:
    """Lost: "error" is all that is said; or a bomb counts as a document."""
    for name, lines in told.items():
        for line in lines:
            if line["outcome"] == "read":
                assert name in HARMLESS, line
                continue
            assert line["outcome"] in ("refused", "skipped") and line["says"], line
            for sentence in line["says"]:
                assert (sentence[0].isupper() or sentence[0] == "`") and sentence.endswith(".") and 20 < len(sentence) < 220, (
                    line
                )
                assert "Traceback" not in sentence and "Error" not in sentence and str(TOP) not in sentence, line


def test_nothing_of_a_hostile_folder_is_indexed(folder: Path, engine: Engine, tmp_path: Path) -> None:
    """Lost: what was half read, or what nobody saw, is quoted to staff."""
    library = Library(lambda: records.read(engine), lambda: records.write(engine))
    bad = tmp_path / "bad"
    bad.mkdir()
    for name in ("xxe", "macro-renamed", "bomb-body", "template", "remote-frame", "only-hidden"):
        (bad / f"{name}.docx").write_bytes((folder / f"{name}.docx").read_bytes())
    report = library.ingest([bad, folder / "nested.zip", folder / "name-0.zip"], publish=True, at=NOW, by="mona")
    kept = {Path(file.path).name: file.outcome for file in report.files if file.outcome != "refused"}
    assert kept == {"remote-frame.docx": "draft", "template.docx": "draft"}
    assert library.steps(NOW) == () and library.generation() == 0


def test_what_word_would_fetch_is_never_fetched() -> None:
    """Lost: opening a document tells somebody outside that it was opened, and from where."""
    code = (
        "import sys; sys.argv = ['x']\n"
        "from knowledge.formats import __main__ as child\n"
        "child._make_ready('.docx'); child._limit()\n"
        "import socket, subprocess\n"
        "for reach in (\n"
        "    lambda: socket.create_connection(('127.0.0.1', 9)), lambda: subprocess.run(['true']), lambda: open('x', 'w')\n"
        "):\n"
        "    try: reach()\n"
        "    except PermissionError: print('refused')\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=TOP, capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.split() == ["refused"] * 3


def test_a_reader_that_dies_or_hangs_costs_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost: after one bad file every good one is refused too; or an import waits for ever."""
    (tmp_path / "good.docx").write_bytes(docx(p("Wash.")))
    assert documents.read_document(tmp_path / "good.docx").text == "Wash.\n"
    child = documents._idle[-1]
    assert child._process
    os.kill(child._process.pid, 9)
    child._process.wait()
    assert documents.read_document(tmp_path / "good.docx").text == "Wash.\n"
    monkeypatch.setattr(documents, "WALL_S", 0.0)
    started = time.monotonic()
    with pytest.raises(documents.Unreadable, match="too long"):
        documents.read_document(tmp_path / "good.docx")
    monkeypatch.undo()
    assert time.monotonic() - started < 5
    assert documents.read_document(tmp_path / "good.docx").text == "Wash.\n"


def test_the_next_file_does_not_wait_for_another_interpreter(tmp_path: Path) -> None:
    """Lost: a folder of 300 files takes minutes, most of it starting Python."""
    (tmp_path / "good.docx").write_bytes(docx(p("Wash.")))
    documents.read_document(tmp_path / "good.docx")
    process = documents._idle[-1]._process
    started = time.monotonic()
    for _ in range(10):
        documents.read_document(tmp_path / "good.docx")
    assert documents._idle[-1]._process is process
    assert time.monotonic() - started < 5


def test_a_folder_in_an_archive_is_read_like_a_folder(tmp_path: Path) -> None:
    """Lost: what Google Docs and people send, a zip, cannot be taken in; or its rubbish is."""
    entries = [("sops/wash.docx", docx(p("Wash."))), ("sops/dry.md", b"# Dry\n\n1. Dry it\n"), ("images/a.png", b"\x89PNG")]
    (tmp_path / "all.zip").write_bytes(hostile.archive(*entries, ("__MACOSX/._wash.docx", b"x"), ("sops/.hidden.md", b"x")))
    read = [intake.opened(found) for found in documents.find([tmp_path / "all.zip"])]
    assert [(file.sop.id, len(file.sop.steps)) for file in read if isinstance(file, intake.File)] == [("dry", 1), ("wash", 0)]
    assert [file.outcome for file in read if isinstance(file, intake.FileReport)] == ["skipped"]
    assert not list(tmp_path.glob("sops*"))
