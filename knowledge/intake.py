"""Files and folders into the library: each read, judged and kept as a draft or published, whole or not at all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from knowledge import documents, index, sops, tables
from knowledge.formats import Converted, Seen
from knowledge.sops import Finding, Sop, SopError

Open = Callable[[], AbstractContextManager[Session]]
"""Opens one transaction; the caller decides on which database and how it locks."""
Record = Callable[[Session, str, Mapping[str, Any]], None]
"""Told what was done inside the transaction that did it: `sop_added` or `sop_published`, and the details."""
Outcome = Literal["published", "draft", "unchanged", "refused", "skipped"]
UNSEEN = "The file holds something that nobody sees, so it stays a draft: look at `sop show`, then name that text with --seen."


@dataclass(frozen=True)
class FileReport:
    """What became of one file.

    problems   what must be put right before it is accepted, or why it was refused
    notes      what the author should look at; nothing is lost by it
    lost       what of the file is not in the library
    kept       how many headings, numbered steps, bullets, tables and words were read
    hidden     what a machine would read in the file and a person would not see; none of it is in the library
    proposed   what the text seems to say about title, steps, roles and clocks of a document that does not state them: a
               help for whoever gives it front matter, never part of the SOP
    removed    steps of the version before that this one no longer has: rules and links that name them have lost their step
    """

    path: str
    outcome: Outcome
    sop: str = ""
    version: int = 0
    title: str = ""
    steps: int = 0
    words: int = 0
    superseded: tuple[int, ...] = ()
    removed: tuple[str, ...] = ()
    problems: tuple[Finding, ...] = ()
    notes: tuple[Finding, ...] = ()
    lost: tuple[Finding, ...] = ()
    kept: Mapping[str, int] = field(default_factory=dict)
    hidden: tuple[Seen, ...] = ()
    proposed: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """What became of every file, in the order they were read."""

    files: tuple[FileReport, ...]

    @property
    def ok(self) -> bool:
        return bool(self.files) and all(file.outcome != "refused" for file in self.files)


class _Refused(Exception):
    def __init__(self, what: str, line: int = 0) -> None:
        super().__init__(what)
        self.what, self.line = what, line


@dataclass(frozen=True)
class File:
    path: str
    name: str
    sop: Sop
    converted: Converted
    seen: bool = False
    """Somebody who was shown this exact text named it."""

    def report(self, outcome: Outcome, *, notes: tuple[Finding, ...] = (), **more: Any) -> FileReport:
        sop, converted = self.sop, self.converted
        left_out = tuple(w for w in sop.warnings if w.what.endswith("was left out."))
        return FileReport(
            path=self.path,
            outcome=outcome,
            sop=sop.id,
            version=more.pop("version", sop.version),
            title=sop.title,
            steps=len(sop.steps),
            words=sop.words,
            lost=(*left_out, *(Finding(self.name, 0, _sentence(seen)) for seen in converted.lost)),
            notes=(*(w for w in sop.warnings if w not in left_out), *notes),
            kept=dict(converted.kept),
            hidden=converted.hidden,
            proposed={} if sop.authored else _proposed(sop),
            **more,
        )


def _sentence(seen: Seen) -> str:
    return ": ".join(filter(None, (seen.place, seen.what, seen.text)))


def opened(found: documents.Found) -> File | FileReport:
    """The file as it would stand in the library, or why it cannot."""
    path, name = found.shown, documents.printable(found.name.rsplit("/", 1)[-1])
    try:
        converted = documents.read_document(found.path, found.member, found.why)
        if found.suffix in documents.TEXT and sops.has_front_matter(converted.text):
            sop = sops.parse(converted.text, name)
        else:
            printed = found.suffix not in documents.TEXT
            sop = sops.loose(converted.text, name, title=converted.title if printed else "", printed=printed)
    except documents.Unreadable as wrong:
        outcome: Outcome = "refused" if found.asked or found.why or found.suffix in documents.KNOWN else "skipped"
        return FileReport(path, outcome, problems=(Finding(name, wrong.line, wrong.what),))
    except SopError as wrong:
        return FileReport(path, "refused", problems=wrong.findings)
    return File(path, name, sop, converted)


def ingest(
    write: Open, paths: Iterable[Path], *, publish: bool, at: datetime, by: str, record: Record | None = None, seen: str = ""
) -> Report:
    """As `Library.ingest`; `write` opens one transaction a file.

    A file that holds something nobody sees is never published here: it stays a draft until somebody who was shown its exact
    text names that text: `seen` is the beginning of its SHA-256, 16 characters at least, for one file.
    """
    read = [opened(found) for found in documents.find(paths)]
    read = [replace(f, seen=len(seen) >= 16 and f.sop.sha256.startswith(seen)) if isinstance(f, File) else f for f in read]
    files = [file for file in read if isinstance(file, File)]
    clashes = _clashes(files)
    done = {
        id(file): clashes.get(id(file)) or _keep(write, file, publish, at, by, record)
        for file in sorted(files, key=lambda file: (file.sop.id, file.sop.version))
    }
    return Report(tuple(done[id(file)] if isinstance(file, File) else file for file in read))


def _keep(write: Open, file: File, publish: bool, at: datetime, by: str, record: Record | None) -> FileReport:
    for last in (False, True):
        try:
            with write() as session:
                return _apply(session, file, publish, at, by, record)
        except _Refused as refusal:
            return file.report("refused", problems=(Finding(file.name, refusal.line, refusal.what),))
        except IntegrityError:  # another process added the same version between our look and our write
            if last:
                raise
    raise AssertionError("unreachable")


def _clashes(files: list[File]) -> dict[int, FileReport]:
    """Files of one run that claim to be the same version of the same SOP with different texts: none of them is taken."""
    result = {}
    for file in files:
        twin = next(
            (
                other
                for other in files
                if (other.sop.id, other.sop.version) == (file.sop.id, file.sop.version) and other.sop.sha256 != file.sop.sha256
            ),
            None,
        )
        if twin:
            what = f"{twin.path} is {_called(file.sop)} too, with another text: give one of them another id or version."
            result[id(file)] = file.report("refused", problems=(Finding(file.name, 1, what),))
    return result


def _called(sop: Sop) -> str:
    return f"{sop.id} version {sop.version}" if sop.authored else f"called {sop.id}"


def _apply(session: Session, file: File, publish: bool, at: datetime, by: str, record: Record | None) -> FileReport:
    sop = file.sop
    asked, publish = publish, publish and (file.seen or not file.converted.hidden)
    notes = (Finding(file.name, 0, UNSEEN),) if asked and not publish else ()
    known = tables.versions(session, sop.id)
    version = _version(sop, known)
    same = next((row for row in known if row.version == version), None)
    if same and same.sha256 == sop.sha256 and (same.state != "draft" or not publish):
        return file.report("unchanged", version=version, notes=notes)
    before = max((row.version for row in known if row.state == "published"), default=0)
    cuts = list(index.cuts(sop))
    tables.add_draft(session, sop, cuts, version=version, name=file.name, at=at, by=by)
    detail = {"sop": sop.id, "version": version, "sha256": sop.sha256, "file": file.name, "by": by}
    if not publish:
        if record:
            record(session, "sop_added", detail)
        return file.report("draft", version=version, notes=notes)
    removed = _removed(session, sop, before)
    superseded = tables.publish(session, sop.id, version, at=at, by=by)
    tables.raise_generation(session)
    if record:
        record(session, "sop_published", {**detail, "superseded": _listed(superseded), "removed": _listed(removed)})
    return file.report("published", version=version, superseded=superseded, removed=removed)


def _listed(things: Iterable[object]) -> str:
    """Several values as one, for evidence that holds plain values only."""
    return ", ".join(map(str, things))


def _version(sop: Sop, known: list[tables.SopVersion]) -> int:
    """The number under which the file is kept. raises _Refused where that number is taken or past."""
    newest = max(known, key=lambda row: row.version, default=None)
    if newest is None:
        return sop.version or 1
    if not sop.authored:
        if newest.authored:
            raise _Refused(f"{sop.id} is an SOP with an owner already: rename the file or give it front matter.", 1)
        return newest.version + (newest.sha256 != sop.sha256 and newest.state != "draft")
    same = next((row for row in known if row.version == sop.version), None)
    if same and same.state != "draft" and same.sha256 != sop.sha256:
        raise _Refused(f"Version {sop.version} of {sop.id} is published with another text: raise the version.", 1)
    published = max((row.version for row in known if row.state == "published"), default=0)
    if sop.version < published and not (same and same.sha256 == sop.sha256 and same.state != "draft"):
        raise _Refused(f"Version {sop.version} of {sop.id} is older than the published version {published}.", 1)
    return sop.version


def _removed(session: Session, sop: Sop, before: int) -> tuple[str, ...]:
    """Ids of the steps that the published version had and the new one lacks."""
    kept = {step.id for step in sop.steps}
    return tuple(row.step for row in tables.steps(session, sop.id, before) if row.step not in kept)


# --- what a document seems to say -------------------------------------------------------------------------------------------

_TRADE = (
    "administrator|analyst|assistant|biller|clinician|coordinator|dentist|director|doctor|hygienist|inspector|lead|manager|nurse"
    "|officer|operator|owner|physician|pharmacist|pilot|practitioner|receptionist|representative|specialist|supervisor|technician"
)
_ROLE = re.compile(
    rf"\b(?:the|an?|our|your|each|by)\s+((?:[a-z][\w-]{{1,20}}\s){{0,2}}?(?:{_TRADE})|front desk)\b(?!\s*['’]s\b)",
    re.IGNORECASE,
)
_SPAN = re.compile(
    r"\b(?:within|in under|no later than|not later than|at most)\s+(?:the\s+next\s+)?"
    r"(?P<n>\d{1,4}|one|two|three|four|five|six|seven|ten|twelve|fourteen|thirty|sixty|ninety)(?:\s*\(\d{1,4}\))?\s+"
    r"(?P<kind>open|business|working)?\s*(?:calendar\s+)?(?P<unit>hours?|hrs?|days?)\b"
    r"|\b(?:the\s+)?same\s+(?:business\s+|working\s+)?day\b",
    re.IGNORECASE,
)
_SAID = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "ten": 10, "twelve": 12, "fourteen": 14,
    "thirty": 30, "sixty": 60, "ninety": 90,
}  # fmt: skip
_MOST = 20


def _proposed(sop: Sop) -> dict[str, Any]:
    """Title and number of steps as read; roles and clocks that the text names, each with its line and its words."""
    source = sop.source[:300_000]
    return {"title": str(sop.title), "steps": len(sop.steps), "roles": _roles(source), "clocks": list(_clocks(source))[:_MOST]}


def _roles(source: str) -> list[dict[str, Any]]:
    """Each role once, where it is named first."""
    named: dict[str, dict[str, Any]] = {}
    for found in _ROLE.finditer(source):
        role = " ".join(found[1].split()).capitalize()
        named.setdefault(role.lower(), {"role": role, **_where(source, found)})
    return list(named.values())[:_MOST]


def _clocks(source: str) -> Iterator[dict[str, Any]]:
    for found in _SPAN.finditer(source):
        said = found[0]
        if found["n"]:
            number = _SAID.get(found["n"].lower(), found["n"])
            said = f"{number} {'open ' if found['kind'] else ''}{found['unit']}"
        if clock := sops.clock(said):
            yield {"clock": clock, **_where(source, found)}


def _where(source: str, found: re.Match[str]) -> dict[str, Any]:
    around = source[max(0, found.start() - 60) : found.end() + 60]
    return {"line": source.count("\n", 0, found.start()) + 1, "text": " ".join(around.split())}
