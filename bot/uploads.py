"""SOP files that people send us: who may, what is kept of each as a draft, and the report that its sender reads.

Nothing that was sent is ever in force by that: it waits as a draft for whoever approves it, who reads it first exactly as it
will be read. What the report quotes of a file was redacted; it goes to its sender alone.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from sqlalchemy import Engine
from sqlmodel import Session

from bot import asking, cards, evidence, people, phi
from bot.cards import NOTHING, NOTICES, Count, Filed, Token, lines, say
from bot.chat import Attached, Card, Fact, Heard, NotFetched, Reply, Wording
from bot.evidence import Event
from bot.nudges import House
from bot.practice import Person
from bot.records import PressSeen, insert_new, read, write
from knowledge import documents, tables
from knowledge.intake import FileReport, Record
from knowledge.library import Library
from knowledge.sops import Finding

LARGEST = documents.MAX_BYTES
"""Bytes of one file; what may be read in it is for `knowledge.documents` to say."""
MOST = 10
"""How many files of one message are read."""
SHOWN = 6
"""How many things of one kind a report names; the rest are counted."""
APPROVER = "approver"
"""The role of whoever releases what others wrote."""

Filing = Callable[..., Filed]
"""Words out of a file, as `Filed` with the names that may stay."""
Fetch = Callable[[Attached, BinaryIO, int], None]
"""Writes one file where it is told, up to so many bytes. raises NotFetched"""


def is_meant(heard: Heard) -> bool:
    """Whether something heard brings files rather than a question: a document, or a file and no word. In a chat of one only."""
    is_ours = heard.act == "ask" and heard.place.surface in ("dm", "pane") and bool(heard.files)
    return is_ours and (not heard.text.strip() or any(_suffix(file.name) in documents.KNOWN for file in heard.files))


def may_bring(house: House, library: Library, person: Person, at: datetime) -> bool:
    """Whether this person may bring SOP files: they own or approve SOPs by a role of theirs, or are in charge of a site."""
    held = people.principal_of(house.practice, person, at).roles
    return bool(held & (library.keepers(at) | {APPROVER})) or bool(asking.in_charge_of(house, person, at))


def named(house: House, name: str) -> str:
    """A file's name as it may be kept: without folders, dates, long numbers, and what could name a patient."""
    plain = documents.printable(re.split(r"[/\\]", name)[-1])
    suffix = _suffix(f"x{plain}")
    stem = " ".join(_NUMBERS.sub(" ", plain[: len(plain) - len(suffix)]).split()).strip(" .-_")
    letters = " ".join(word for word in re.split(r"[\W_]+", stem) if not word.isdecimal())
    read_as = phi.clean(letters, mode="search", staff=asking.names_of(house), known=house.patients)
    if read_as.found or read_as.withheld:
        stem = " ".join(read_as.text.replace(phi.MARK, " ").split()) if not read_as.withheld else ""
    if not any(char.isalnum() for char in stem):
        stem = f"document {hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:8]}"
    return f"{stem[:80].rstrip()}{suffix}"


_NUMBERS = re.compile(r"\d{1,4}[-_.]\d{1,2}[-_.]\d{1,4}|\d{5,}")


def _suffix(name: str) -> str:
    suffix = PurePosixPath(name).suffix.lower()
    return suffix if re.fullmatch(r"\.[a-z0-9]{1,10}", suffix) else ""


def recorder(at: datetime, by: str) -> Record:
    """What puts each version that is added or published on record, in the transaction that does it."""

    def record(session: Session, what: str, detail: Mapping[str, Any]) -> None:
        plain = {k: v for k, v in detail.items() if v is None or isinstance(v, str | int | bool)}
        sop, version = str(plain.get("sop", "")), plain.get("version")
        number = version if isinstance(version, int) else None
        event = Event(what=what, at=at, subject=f"sop:{sop}", actor=by, sop=sop, sop_version=number, detail=plain)
        evidence.append(session, event)

    return record


@dataclass(frozen=True)
class _Read:
    """What became of one file that was sent. `sha256` and `size` of its bytes; empty where it was never had."""

    name: str
    files: tuple[FileReport, ...] = ()
    sha256: str = ""
    size: int = 0
    why: Wording = NOTHING
    """Why it was not fetched."""


def receive(
    engine: Engine,
    house: House,
    library: Library,
    person: Person,
    files: Sequence[Attached],
    fetch: Fetch,
    *,
    key: str,
    at: datetime,
) -> Reply:
    """Read what a person sent and keep it as drafts; the reply is the report, for them alone.

    key   the platform's identity of this one act: done again, it finds its drafts there and is on record once
    """
    if not may_bring(house, library, person, at):
        detail: evidence.Detail = {"files": len(files)}
        _record(engine, person, f"files:{key}", at, "refused", [_event("sop file refused", person, at, detail)])
        return Reply(cards.reply(say(NOTICES["no_files"]), title=say("Not for me to take")))
    with tempfile.TemporaryDirectory(prefix="holdfast-") as folder:
        done = [
            _read(engine, house, library, person, file, fetch, Path(folder, str(n)), at) for n, file in enumerate(files[:MOST])
        ]
    events = [_told(each, person, at) for each in done if each.sha256]
    _record(engine, person, f"files:{key}", at, "done", events)
    return Reply(report(house, done))


def _read(
    engine: Engine, house: House, library: Library, person: Person, file: Attached, fetch: Fetch, folder: Path, at: datetime
) -> _Read:
    name = named(house, file.name)
    if _suffix(name) not in documents.KNOWN:
        return _Read(name, (FileReport(name, "refused", problems=(Finding(name, 0, documents.NO_DOCUMENT),)),))
    if file.size > LARGEST:
        return _Read(name, why=say(NOTICES["file_too_large"]))
    folder.mkdir()
    path = folder / name
    try:
        with path.open("wb") as into:
            fetch(file, into, LARGEST)
    except NotFetched as missing:
        return _Read(name, why=_WHY[missing.why])
    with path.open("rb") as sent:
        sha256 = hashlib.file_digest(sent, "sha256").hexdigest()
    size = path.stat().st_size
    found = library.ingest([path], publish=False, at=at, by=person.id, record=recorder(at, person.id))
    with read(engine) as session:
        files = tuple(_standing(session, _elsewhere(each, folder)) for each in found.files)
    return _Read(name, files, sha256, size)


_WHY = {
    "gone": say(NOTICES["file_gone"]),
    "forbidden": say(NOTICES["file_forbidden"]),
    "too_large": say(NOTICES["file_too_large"]),
    "elsewhere": say(NOTICES["file_elsewhere"]),
    "unreachable": say(NOTICES["file_unreachable"]),
}


def _standing(session: Session, file: FileReport) -> FileReport:
    """A text that was here already is what it is: a draft, so that an answer that was lost comes again as it was."""
    if file.outcome != "unchanged":
        return file
    is_draft = any(row.version == file.version and row.state == "draft" for row in tables.versions(session, file.sop))
    return replace(file, outcome="draft") if is_draft else file


def _elsewhere(file: FileReport, folder: Path) -> FileReport:
    """The report without the folder in which the file stood while it was read."""
    below = f"{folder}/"
    problems = tuple(replace(each, what=each.what.replace(below, "")) for each in file.problems)
    return replace(file, path=file.path.removeprefix(below), problems=problems)


# --- on record -------------------------------------------------------------------------------------------------------------


def _record(engine: Engine, person: Person, key: str, at: datetime, outcome: str, events: Iterable[Event]) -> None:
    """Once for each act, however often it is taken up."""
    with write(engine) as session:
        if insert_new(session, PressSeen, key=key, person=person.id, verb="files", target="", at=at, outcome=outcome):
            for event in events:
                evidence.append(session, event)


def _told(sent: _Read, person: Person, at: datetime) -> Event:
    drafts = [f"{file.sop}@{file.version}" for file in sent.files if file.outcome == "draft"]
    refused = sum(file.outcome == "refused" for file in sent.files)
    detail: evidence.Detail = {
        "sha256": sent.sha256, "bytes": sent.size, "file": sent.name, "drafts": ", ".join(drafts), "refused": refused,
    }  # fmt: skip
    return _event("sop file sent", person, at, detail, f"file:{sent.sha256[:16]}")


def _event(what: str, person: Person, at: datetime, detail: evidence.Detail, subject: str = "file") -> Event:
    return Event(what=what, at=at, subject=subject, actor=person.id, detail=detail)


# --- the report ------------------------------------------------------------------------------------------------------------


def report(house: House, done: Sequence[_Read]) -> Card:
    """What was kept of the files, what was lost, what nobody would have seen, and what makes a draft an SOP in force."""
    filed = partial(Filed, known=tuple(asking.names_of(house)), patients=house.patients)
    files = [file for each in done for file in each.files if file.outcome != "skipped"]
    kept = [file for file in files if file.sop and file.outcome != "refused"]
    missing = [_line(each.name, each.why, filed) for each in done if each.why]
    if len(files) == 1 and len(kept) == 1 and not missing:
        return _of_one(kept[0], filed)
    facts = [_of_many(file, filed) for file in files[:SHOWN]]
    more = len(files) - len(facts)
    said = [*missing, say("And {n} more.", n=Count(more, "file")) if more else NOTHING]
    if not files and not missing:
        said = [say("There is no document in it.")]
    if drafts := sum(file.outcome == "draft" for file in kept):
        said = [say("{n} kept. {standing}", n=Count(drafts, "draft"), standing=_STANDING), *said]
    title = say("Kept as drafts") if kept else say("Not taken in")
    onward = _onward(kept[0] if len(kept) == 1 else None, is_hidden=any(file.hidden for file in kept)) if kept else ()
    return replace(cards.reply(lines(said), title=title), facts=(*facts, *onward))


_STANDING = say("Nobody is answered from a draft: it waits until it is approved.")


def _line(name: str, why: Wording, filed: Filing) -> Wording:
    return say("“{name}”: {why}", name=filed(name), why=why)


def _of_one(file: FileReport, filed: Filing) -> Card:
    title = say("Draft: {title}", title=filed(file.title))
    said = _STANDING
    if file.outcome == "unchanged":
        said = say("This very text is here already, as version {v}: nothing was changed.", v=file.version)
    facts = [Fact(say("Kept"), _kept(file))]
    facts.append(Fact(say("Lost"), _listed([_found(each, filed) for each in file.lost]) or say("Nothing that I noticed.")))
    hidden = [_seen(each, filed) for each in file.hidden]
    unseen = say("Left out of the draft, though a machine would have read it:")
    facts.append(Fact(say("Not seen by a reader"), lines([unseen, _listed(hidden)]) if hidden else say("Nothing.")))
    if file.notes:
        facts.append(Fact(say("Look at"), _listed([_found(each, filed) for each in file.notes])))
    if proposed := _proposed(file, filed):
        facts.append(Fact(say("It seems to name"), proposed))
    return replace(cards.reply(said, title=title), facts=(*facts, *_onward(file, is_hidden=bool(file.hidden))))


def _of_many(file: FileReport, filed: Filing) -> Fact:
    """One file among several, in a line or two."""
    label = say("{title}", title=filed(file.title or file.path.rsplit("/", 1)[-1], most=60))
    if file.outcome == "refused" or not file.sop:
        return Fact(label, _listed([_found(each, filed) for each in file.problems]))
    counted = [say("{n} lost", n=Count(len(file.lost), "thing"))] if file.lost else []
    counted += [say("{n} that no reader sees, left out", n=Count(len(file.hidden), "thing"))] if file.hidden else []
    return Fact(label, lines([_kept(file), *counted], ", "))


def _kept(file: FileReport) -> Wording:
    read_as = file.kept
    counts = [
        Count(file.steps, "step"), Count(file.words, "word"), Count(read_as.get("headings", 0), "heading"),
        Count(read_as.get("numbered", 0), "numbered step"), Count(read_as.get("bullets", 0), "bullet"),
        Count(read_as.get("tables", 0), "table"),
    ]  # fmt: skip
    counted = lines([say("{n}", n=count) for n, count in enumerate(counts) if count.n or n < 2], ", ")
    return say("{sop} version {v}: {counted}", sop=Token(file.sop[:80]), v=file.version, counted=counted)


def _found(finding: Finding, filed: Filing) -> Wording:
    what = filed(finding.what, most=240)
    return say("line {n}: {what}", n=finding.line, what=what) if finding.line else say("{what}", what=what)


def _seen(seen: Any, filed: Filing) -> Wording:
    said = ": ".join(part for part in (seen.place, seen.what, seen.text) if part)
    return say("{said}", said=filed(said))


def _listed(parts: Sequence[Wording]) -> Wording:
    shown = [say("- {part}", part=part) for part in parts[:SHOWN]] if len(parts) > 1 else list(parts)
    more = len(parts) - SHOWN
    return lines([*shown, say("- and {n} more", n=more) if more > 0 else NOTHING])


def _proposed(file: FileReport, filed: Filing) -> Wording:
    """Roles and clocks that the text names, for whoever writes its front matter."""
    said = [
        say("{what} (line {n})", what=filed(str(each[kind])), n=int(each["line"]))
        for kind in ("role", "clock")
        for each in file.proposed.get(f"{kind}s", ())[:SHOWN]
    ]
    return lines(said, ", ")


def _onward(file: FileReport | None, *, is_hidden: bool) -> tuple[Fact, Fact]:
    """How it is read exactly as it will be read, and how it comes into force."""
    show = say("python -m bot sop show ID, with the id above")
    if file is not None:
        show = say("python -m bot sop show {sop} --version {v}", sop=Token(file.sop[:80]), v=file.version)
    force = say("Whoever approves it reads that first, then runs: python -m bot ingest FILE --publish")
    if is_hidden:
        force = say("{force} --seen TEXT, with the text that “sop show” printed", force=force)
    return Fact(say("As it will be read"), show), Fact(say("To put it in force"), force)
