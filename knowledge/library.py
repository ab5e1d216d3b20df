"""The library of SOPs: what staff ask, what a nudge quotes, what an author publishes. The whole public surface of this package.

NoPrincipal     a question without an asker, a role or a site: nothing is searched
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from threading import Lock
from typing import Any, Literal

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from knowledge import documents, index, sops, tables
from knowledge.sops import Branch, Finding, Sop, SopError, SopText

Open = Callable[[], AbstractContextManager[Session]]
"""Opens one transaction; the caller decides on which database and how it locks."""
Record = Callable[[Session, str, Mapping[str, Any]], None]
"""Told what was done inside the transaction that did it: `sop_added` or `sop_published`, and the details."""
Outcome = Literal["published", "draft", "unchanged", "refused", "skipped"]


@dataclass(frozen=True)
class LiveStep:
    """One step of one published version, ready to be quoted."""

    sop: str
    sop_title: SopText
    version: int
    sha256: str
    step: str
    number: str
    title: SopText
    text: SopText
    role: str
    clock: str
    proof: SopText
    branches: tuple[Branch, ...]
    escalation: SopText
    start: int
    end: int
    end_all: int
    effective: date
    owner: str

    @property
    def ref(self) -> str:
        return f"{self.sop}#{self.step}"


@dataclass(frozen=True)
class FileReport:
    """What became of one file.

    problems   what must be put right before it is accepted, or why it was refused
    notes      what the author should look at; nothing is lost by it
    lost       what of the file is not in the library
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


@dataclass(frozen=True)
class Report:
    """What became of every file, in the order they were read."""

    files: tuple[FileReport, ...]

    @property
    def ok(self) -> bool:
        return bool(self.files) and all(file.outcome != "refused" for file in self.files)


@dataclass
class _Shelf:
    """What this process keeps of one generation of the library."""

    generation: int
    editions: tuple[tables.Edition, ...]
    steps: dict[tuple[str, int], dict[str, LiveStep]] = field(default_factory=dict)

    def in_force(self, at: datetime | None) -> tuple[tables.Edition, ...]:
        """One version of each SOP: the newest that was published and in effect at `at` (None: the newest published)."""
        newest: dict[str, tables.Edition] = {}
        for edition in self.editions:  # versions of an SOP come in rising order
            if at is None or (edition.published_at <= at and edition.effective <= at.astimezone(UTC).date()):
                newest[edition.sop] = edition
        return tuple(newest.values())


class Library:
    """The installed library. Holds no connection; `read` and `write` open one transaction each when it is needed."""

    def __init__(self, read: Open, write: Open) -> None:
        self._read, self._write = read, write
        self._lock = Lock()
        self._kept: _Shelf | None = None

    # --- reading ------------------------------------------------------------------------------------------------------

    def step(self, ref: str, at: datetime | None = None, version: int | None = None) -> LiveStep | None:
        """The step `sop#step` as it is in force, or None where the library has no such step.

        at        aware UTC: the version in force then; left out, the newest published version
        version   exactly this version, if it was ever published
        """
        sop, _, step = ref.partition("#")
        with self._read() as session:
            shelf = self._shelf(session)
            wanted = [e for e in shelf.editions if e.version == version] if version is not None else shelf.in_force(at)
            edition = next((e for e in wanted if e.sop == sop), None)
            return self._steps(session, shelf, edition).get(step) if edition else None

    def steps(self, at: datetime | None = None) -> tuple[LiveStep, ...]:
        """Every step in force, by SOP and in the SOP's order."""
        with self._read() as session:
            shelf = self._shelf(session)
            return tuple(s for edition in shelf.in_force(at) for s in self._steps(session, shelf, edition).values())

    def source(self, sop: str, version: int) -> SopText | None:
        """The whole text of one version: every span of a quote cuts into it."""
        with self._read() as session:
            return tables.source(session, sop, version)

    def generation(self) -> int:
        """A number that rises with every change of the published library."""
        with self._read() as session:
            return tables.generation(session)

    def _shelf(self, session: Session) -> _Shelf:
        """This generation's shelf; a new one when another process or this one has changed the library."""
        now = tables.generation(session)
        kept = self._kept
        if kept is None or kept.generation != now:
            kept = _Shelf(now, tables.editions(session))
            self._kept = kept
        return kept

    def _steps(self, session: Session, shelf: _Shelf, edition: tables.Edition) -> dict[str, LiveStep]:
        key = (edition.sop, edition.version)
        if key not in shelf.steps:
            rows = tables.steps(session, *key)
            shelf.steps[key] = {row.step: _live(row, edition) for row in rows}
        return shelf.steps[key]

    # --- publishing ---------------------------------------------------------------------------------------------------

    def ingest(self, paths: Iterable[Path], *, publish: bool, at: datetime, by: str, record: Record | None = None) -> Report:
        """Files and folders into the library: as drafts, or published at once.

        Each file is one transaction, applied whole or not at all; what was there already is left alone. Files are SOPs in our
        format (docs/sops.md); one that does not claim to be is kept as a document of numbered steps that every role may read.
        """
        read = [_open(found) for found in documents.find(paths)]
        files = [file for file in read if isinstance(file, _File)]
        clashes = _clashes(files)
        done = {
            id(file): clashes.get(id(file)) or self._keep(file, publish, at, by, record)
            for file in sorted(files, key=lambda file: (file.sop.id, file.sop.version))
        }
        return Report(tuple(done[id(file)] if isinstance(file, _File) else file for file in read))

    def _keep(self, file: _File, publish: bool, at: datetime, by: str, record: Record | None) -> FileReport:
        for last in (False, True):
            try:
                with self._write() as session:
                    return _apply(session, file, publish, at, by, record)
            except _Refused as refusal:
                return file.report("refused", problems=(Finding(file.name, refusal.line, refusal.what),))
            except IntegrityError:  # another process added the same version between our look and our write
                if last:
                    raise
        raise AssertionError("unreachable")


def _live(row: tables.StepRow, edition: tables.Edition) -> LiveStep:
    return LiveStep(
        sop=edition.sop,
        sop_title=edition.title,
        version=edition.version,
        sha256=edition.sha256,
        step=row.step,
        number=row.number,
        title=tables.text(row.title),
        text=tables.text(row.text),
        role=row.role,
        clock=row.clock,
        proof=tables.text(row.proof),
        branches=tables.branches(row),
        escalation=tables.text(row.escalation),
        start=row.span_start,
        end=row.span_end,
        end_all=row.span_all,
        effective=edition.effective,
        owner=edition.owner,
    )


# --- one file -------------------------------------------------------------------------------------------------------------


class _Refused(Exception):
    def __init__(self, what: str, line: int = 0) -> None:
        super().__init__(what)
        self.what, self.line = what, line


@dataclass(frozen=True)
class _File:
    path: str
    name: str
    sop: Sop

    def report(self, outcome: Outcome, **more: Any) -> FileReport:
        sop = self.sop
        lost = tuple(w for w in sop.warnings if w.what.endswith("was left out."))
        return FileReport(
            path=self.path,
            outcome=outcome,
            sop=sop.id,
            version=more.pop("version", sop.version),
            title=sop.title,
            steps=len(sop.steps),
            words=sop.words,
            lost=lost,
            notes=tuple(w for w in sop.warnings if w not in lost),
            **more,
        )


def _open(found: documents.Found) -> _File | FileReport:
    path, name = str(found.path), found.path.name
    try:
        text = documents.read(found.path)
        sop = sops.parse(text, name) if sops.has_front_matter(text) else sops.loose(text, name)
    except documents.Unreadable as wrong:
        known = found.path.suffix.lower() in documents.TEXT | documents.LATER
        outcome: Outcome = "refused" if found.asked or known else "skipped"
        return FileReport(path, outcome, problems=(Finding(name, wrong.line, wrong.what),))
    except SopError as wrong:
        return FileReport(path, "refused", problems=wrong.findings)
    return _File(path, name, sop)


def _clashes(files: list[_File]) -> dict[int, FileReport]:
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


def _apply(session: Session, file: _File, publish: bool, at: datetime, by: str, record: Record | None) -> FileReport:
    sop = file.sop
    known = tables.versions(session, sop.id)
    version = _version(sop, known)
    same = next((row for row in known if row.version == version), None)
    if same and same.sha256 == sop.sha256 and (same.state != "draft" or not publish):
        return file.report("unchanged", version=version)
    before = max((row.version for row in known if row.state == "published"), default=0)
    cuts = list(index.cuts(sop))
    tables.add_draft(session, sop, cuts, version=version, name=file.name, at=at, by=by)
    detail = {"sop": sop.id, "version": version, "sha256": sop.sha256, "file": file.name, "by": by}
    if not publish:
        if record:
            record(session, "sop_added", detail)
        return file.report("draft", version=version)
    removed = _removed(session, sop, before)
    superseded = tables.publish(session, sop.id, version, at=at, by=by)
    tables.raise_generation(session)
    if record:
        record(session, "sop_published", {**detail, "superseded": list(superseded), "removed": list(removed)})
    return file.report("published", version=version, superseded=superseded, removed=removed)


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
