"""The library of SOPs: what staff ask, what a nudge quotes, what an author publishes. The whole public surface of this package.

NoPrincipal     a question without an asker, a role or a site: nothing is searched
"""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from threading import Lock
from typing import Any, Literal

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from knowledge import documents, index, sops, tables
from knowledge.index import Entry, Hit, Index, NoPrincipal, Principal
from knowledge.sops import NO_TEXT, Branch, Finding, Sop, SopError, SopText

__all__ = [
    "Answer",
    "FileReport",
    "Health",
    "Hit",
    "Library",
    "LiveStep",
    "NoPrincipal",
    "Principal",
    "Quote",
    "Refusal",
    "Report",
    "search_folder",
]

QUOTE_CHARS = 1_800
"""A longer step is quoted in part, cut where a sentence or a list item ends: a card is read on a phone."""
FURTHER = 2
"""How many further sources stand below an answer."""
FURTHER_FROM = 0.6
"""A further source scores at least this share of the best one."""
MAX_QUESTION = 4_000

log = logging.getLogger(__name__)

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

    @property
    def lead(self) -> SopText:
        """Its first paragraph, verbatim, which stands alone: what a nudge has room for."""
        return SopText(self.text.split("\n\n", 1)[0])


@dataclass(frozen=True)
class Quote:
    """A verbatim piece of an SOP version in force: `text` is `source[start:end]`.

    step            its id, or empty where the piece stands outside the steps; then `step_title` is its heading
    whole           false where a long step or section was cut
    review_overdue  the version's review date has passed
    """

    sop: str
    title: SopText
    version: int
    step: str
    step_title: SopText
    number: str
    text: SopText
    start: int
    end: int
    role: str
    clock: str
    effective: date
    review_overdue: bool
    owner: str
    score: float
    whole: bool = True

    @property
    def lead(self) -> SopText:
        """Its first paragraph, verbatim, which stands alone."""
        return SopText(self.text.split("\n\n", 1)[0])


@dataclass(frozen=True)
class Answer:
    """What the SOPs say: the step that meets the question, and up to two further sources.

    quotes   the step; where it is too long for one card its beginning, and then the piece that meets the question
    """

    quotes: tuple[Quote, ...]
    also: tuple[Quote, ...] = ()


@dataclass(frozen=True)
class Refusal:
    """The SOPs that this person may read do not say.

    searched    their titles; `count` how many
    owner       role id that owns the nearest topic, or empty
    nearest     the nearest pieces, when the topic at least is known; never to be shown as an answer
    off_topic   nothing came near
    """

    searched: tuple[SopText, ...]
    count: int
    owner: str
    nearest: tuple[Quote, ...]
    off_topic: bool


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


@dataclass(frozen=True)
class Health:
    """The library in figures. `halves` are the ways of searching that answer now; `overdue` the SOPs past their review date."""

    generation: int
    sops: int
    steps: int
    passages: int
    halves: tuple[str, ...]
    overdue: tuple[str, ...]


@dataclass
class _Shelf:
    """What this process keeps of one generation of the library."""

    generation: int
    editions: tuple[tables.Edition, ...]
    steps: dict[tuple[str, int], dict[str, LiveStep]] = field(default_factory=dict)
    sources: dict[tuple[str, int], SopText] = field(default_factory=dict)
    indexes: dict[tuple[tuple[str, int], ...], Index] = field(default_factory=dict)

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

    def ask(self, question: str, asker: Principal, at: datetime) -> Answer | Refusal:
        """What the SOPs in force at `at` say to this person, verbatim; or that they do not, what was searched and who owns it.

        raises NoPrincipal   the asker has no name, no role or no site
        """
        with self._read() as session:
            shelf = self._shelf(session)
            current = {f"{e.sop}@{e.version}": e for e in shelf.in_force(at)}
            found_in = self._index(session, shelf, tuple(current.values()))
            mask = index.permitted(found_in.entries, asker)
            found = found_in.search(question[:MAX_QUESTION], mask, k=30)
            sources: list[list[Quote]] = []
            for hit in found.hits:
                if len(sources) > FURTHER or hit.score < FURTHER_FROM * found.hits[0].score:
                    break
                quotes = self._quotes(session, shelf, found_in, hit, current[hit.entry.doc], at)
                if not any(_overlap(quotes[0], other) for others in sources for other in others):
                    sources.append(quotes)
        if sources and found.signals.certainty > 0:
            return Answer(tuple(sources[0]), tuple(quotes[0] for quotes in sources[1:]))
        readable = {found_in.entries[n].doc for n in mask.nonzero()[0]}
        titles = tuple(sorted(current[doc].title for doc in readable))
        off_topic = not sources or found.signals.off_topic
        nearest = () if off_topic else tuple(quotes[0] for quotes in sources)
        return Refusal(titles, len(titles), nearest[0].owner if nearest else "", nearest, off_topic)

    def is_open_to_all(self, sops: Iterable[tuple[str, int]]) -> bool:
        """Whether everybody at every site may read all of these versions: what a channel may be shown."""
        with self._read() as session:
            known = {(e.sop, e.version): e for e in tables.editions(session)}
        return all((e := known.get(each)) is not None and "all" in e.roles and "all" in e.sites for each in sops)

    def find(self, question: str, asker: Principal, at: datetime, k: int = 10) -> tuple[Hit, ...]:
        """The passages in force at `at` that this person may read and that meet the question best, best first.

        An entry's `doc` is `sop@version`.

        raises NoPrincipal   as `ask`
        """
        with self._read() as session:
            shelf = self._shelf(session)
            found_in = self._index(session, shelf, shelf.in_force(at))
        return found_in.search(question[:MAX_QUESTION], index.permitted(found_in.entries, asker), k).hits

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

    def health(self, at: datetime) -> Health:
        """How large the library is, whether its index can be built, and what is past its review date."""
        with self._read() as session:
            shelf = self._shelf(session)
            current = shelf.in_force(at)
            passages = len(self._index(session, shelf, current).entries)
            steps = sum(len(self._steps(session, shelf, edition)) for edition in current)
        today = at.astimezone(UTC).date()
        overdue = tuple(e.sop for e in current if e.review_by and e.review_by < today)
        return Health(shelf.generation, len(current), steps, passages, ("bm25",), overdue)

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

    def _index(self, session: Session, shelf: _Shelf, current: tuple[tables.Edition, ...]) -> Index:
        """The index of exactly these versions; built by the first question after a change, once however many ask then."""
        key = tuple((edition.sop, edition.version) for edition in current)
        with self._lock:
            if key not in shelf.indexes:
                while len(shelf.indexes) > 1:  # today's, and one of an earlier day
                    shelf.indexes.pop(next(iter(shelf.indexes)))
                by_key = {(edition.sop, edition.version): edition for edition in current}
                rows = tables.passages(session, by_key)
                shelf.indexes[key] = Index([_entry(row, by_key[row.sop, row.version]) for row in rows])
            return shelf.indexes[key]

    def _quotes(
        self, session: Session, shelf: _Shelf, found_in: Index, hit: Hit, edition: tables.Edition, at: datetime
    ) -> list[Quote]:
        """The whole step around the hit, or its beginning and the hit; where there is no step, what stands around the hit."""
        key = (edition.sop, edition.version)
        if key not in shelf.sources:
            shelf.sources[key] = tables.source(session, *key) or NO_TEXT
        step = self._steps(session, shelf, edition).get(hit.entry.step)
        spans, whole = _spans(hit.place, found_in, step if edition.authored else None)
        return [
            Quote(
                sop=edition.sop,
                title=edition.title,
                version=edition.version,
                step=step.step if step else "",
                step_title=step.title if step else hit.entry.heading,
                number=step.number if step else "",
                text=sops.excerpt(shelf.sources[key], start, end),
                start=start,
                end=end,
                role=step.role if step else "",
                clock=step.clock if step else "",
                effective=edition.effective,
                review_overdue=bool(edition.review_by and edition.review_by < at.astimezone(UTC).date()),
                owner=edition.owner,
                score=hit.score,
                whole=whole,
            )
            for start, end in spans
        ]

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


def _entry(row: tables.PassageRow, edition: tables.Edition) -> Entry:
    return Entry(
        doc=f"{row.sop}@{row.version}",
        title=edition.title,
        heading=tables.text(row.heading),
        step=row.step,
        text=tables.text(row.text),
        start=row.span_start,
        end=row.span_end,
        roles=frozenset(row.roles),
        sites=frozenset(row.sites),
        standing=index.standing(row.step, row.heading, row.text) if edition.authored else 1.0,
    )


def _spans(place: int, found_in: Index, step: LiveStep | None) -> tuple[list[tuple[int, int]], bool]:
    """What to quote for the hit, and whether that is all of it: the step's text, with its closing lines where the hit is there.

    A step that is too long is quoted from its beginning, as far as whole passages go: nobody should start a procedure at its
    sixth item. The hit follows as a second piece where the first does not reach it.
    """
    entries = found_in.entries
    hit = entries[place]
    if step is None:
        first, last = found_in.around(place, "heading", chars=QUOTE_CHARS)
        same = sum(1 for e in entries if (e.doc, e.heading, e.step) == (hit.doc, hit.heading, hit.step))
        return [(entries[first].start, entries[last].end)], same <= last - first + 1
    past = step.end if hit.start < step.end else step.end_all
    if past - step.start <= QUOTE_CHARS:
        return [(step.start, past)], True
    inside = [e.end for e in entries if e.doc == hit.doc and e.step == hit.step and e.end <= step.end]
    limit = step.start + QUOTE_CHARS
    end = step.end if step.end <= limit else max((e for e in inside if e <= limit), default=limit)
    return [(step.start, end), *([(hit.start, hit.end)] if hit.end > end else [])], end == step.end


def _overlap(one: Quote, other: Quote) -> bool:
    return one.sop == other.sop and (one.step == other.step != "" or (one.start < other.end and other.start < one.end))


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


# --- a folder of files --------------------------------------------------------------------------------------------------


def search_folder(folder: Path, questions: Iterable[Mapping[str, Any]], k: int, cache_dir: Path) -> Iterator[dict[str, Any]]:
    """One answer to each question from the documents below `folder`, without installing anything.

    questions   {"id", "question"} each
    cache_dir   where what was read is kept; a file that changed is read again
    yields      {"id", "passages": [{"doc", "heading", "text", "score"}], "refused", "answer", "ms"}; `doc` is the path below
                `folder`, a passage is shown with what stands around it, `answer` is verbatim and empty when refused
    raises      documents.Unreadable   there is no such folder
    """
    shelf = _FolderShelf(folder, cache_dir)
    for given in questions:
        started = time.perf_counter()
        result = shelf.answer(str(given.get("question", "")), k)
        yield {"id": given.get("id"), **result, "ms": round((time.perf_counter() - started) * 1000, 2)}


class _FolderShelf:
    """Every document of one folder, read and indexed."""

    FORMAT = 1  # raised when passages are cut differently: what was kept by an older version is then read again

    def __init__(self, folder: Path, cache_dir: Path) -> None:
        if not folder.is_dir():
            raise documents.Unreadable(f"{folder} is not a folder.")
        name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
        self._kept_at = cache_dir / f"folder-{name}.json"
        kept = self._load()
        files = {found.name: _file_state(found.path, found.name, kept) for found in documents.find([folder])}
        self._files = {name: file for name, file in files.items() if file}
        if self._files != kept:
            self._save()
        self.index = Index([entry for name, file in self._files.items() for entry in _entries(name, file)])
        self._mask = index.everything(self.index.entries)

    def _load(self) -> dict[str, Any]:
        try:
            kept = json.loads(self._kept_at.read_text("utf-8"))
            return dict(kept["files"]) if kept["format"] == self.FORMAT else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def _save(self) -> None:
        self._kept_at.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=self._kept_at.parent, delete=False) as new:
            json.dump({"format": self.FORMAT, "files": self._files}, new)
        Path(new.name).replace(self._kept_at)

    def answer(self, question: str, k: int) -> dict[str, Any]:
        found = self.index.search(question[:MAX_QUESTION], self._mask, k=6 * k)
        passages: list[dict[str, Any]] = []
        shown: set[int] = set()
        for hit in found.hits:
            if hit.place in shown or len(passages) == k:
                continue
            first, last = self.index.around(hit.place, "document")
            shown.update(range(first, last + 1))
            doc, text = hit.entry.doc, self._text(first, last)
            passages.append({"doc": doc, "heading": str(hit.entry.heading), "text": text, "score": round(hit.score, 4)})
        refused = not passages or found.signals.certainty <= 0
        best = None if refused else self.index.around(found.hits[0].place, "heading", chars=QUOTE_CHARS)
        return {"passages": passages, "refused": refused, "answer": self._text(*best) if best else ""}

    def _text(self, first: int, last: int) -> str:
        one, other = self.index.entries[first], self.index.entries[last]
        return str(self._files[one.doc]["source"])[one.start : other.end]


def _file_state(path: Path, name: str, kept: Mapping[str, Any]) -> dict[str, Any] | None:
    """What is known of one file: as kept where it did not change, else read again; None where it is no document."""
    try:
        stat = path.stat()
    except OSError:
        return None
    stamp = [stat.st_size, stat.st_mtime_ns]
    if name in kept and kept[name]["stamp"] == stamp:
        return dict(kept[name])
    read = _open(documents.Found(path, name, asked=False))
    if isinstance(read, FileReport):
        if read.outcome == "refused":
            log.warning("%s was not searched: %s", name, read.problems[0].what)
        return None
    sop = read.sop
    pieces = [[cut.step, str(cut.heading), cut.start, cut.end] for cut in index.cuts(sop)]
    return {"stamp": stamp, "title": str(sop.title), "source": str(sop.source), "authored": sop.authored, "pieces": pieces}


def _entries(name: str, file: Mapping[str, Any]) -> Iterator[Entry]:
    source = tables.text(file["source"])
    for step, heading, start, end in file["pieces"]:
        text = sops.excerpt(source, start, end)
        worth = index.standing(step, heading, text) if file["authored"] else 1.0
        yield Entry(name, tables.text(file["title"]), tables.text(heading), step, text, start, end, standing=worth)
