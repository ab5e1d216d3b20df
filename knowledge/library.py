"""The library of SOPs: what staff ask, what a nudge quotes, what an author publishes.

NoPrincipal     a question without an asker, a role or a site: nothing is searched
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from pathlib import Path
from threading import Lock

from sqlmodel import Session

from knowledge import index, intake, sops, tables, vectors
from knowledge.calibration import Calibrated, Shift, outcome
from knowledge.elsewhere import Elsewhere
from knowledge.embedding import Embedder, Remembering
from knowledge.index import Entry, Hit, Index, Meaning, NoPrincipal, Principal
from knowledge.intake import FileReport, Open, Record, Report
from knowledge.phrases import Phrases, named
from knowledge.sops import NO_TEXT, Branch, SopText
from knowledge.wording import Passage, Pen, Worded

__all__ = [
    "Answer",
    "FileReport",
    "Health",
    "Hit",
    "Library",
    "LiveStep",
    "Nearest",
    "NoPrincipal",
    "Principal",
    "Quote",
    "Refusal",
    "Report",
]

NEAREST = 3
"""How many candidates are offered where no step certainly answers."""
QUOTE_CHARS = 1_800
"""A longer step is quoted in part, cut where a sentence or a list item ends: a card is read on a phone."""
FURTHER = 2
"""How many further sources stand below an answer."""
FURTHER_FROM = 0.6
"""A further source scores at least this share of the best one."""
MAX_QUESTION = 4_000


def lead(text: SopText) -> SopText:
    """The first paragraph, verbatim; where that only announces what follows (it ends in a colon), what follows as well."""
    first, _, rest = text.partition("\n\n")
    if rest and first.rstrip().endswith(":"):
        first = text[: len(first) + 2 + len(rest.split("\n\n", 1)[0])]
    return SopText(first)


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
        return lead(self.text)


@dataclass(frozen=True)
class Quote:
    """A verbatim piece of an SOP version in force: `text` is `source[start:end]`.

    step            its id, or empty where the piece stands outside the steps; then `step_title` is its heading
    whole           false where a long step or section was cut
    review_overdue  the version's review date has passed
    sha256          of the version's whole source
    approver        the role that approves this SOP; `published_at` and `published_by` say when and by whom it was
    local           it holds at some sites only; another SOP of the same answer may be the core that it adds to
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
    sha256: str = ""
    approver: str = ""
    published_at: datetime | None = None
    published_by: str = ""
    local: bool = False

    @property
    def place(self) -> Place:
        return Place(self.sop, self.version, self.step, self.start, self.end)

    @property
    def lead(self) -> SopText:
        """Its first paragraph, verbatim, which stands alone."""
        return lead(self.text)


@dataclass(frozen=True)
class Place:
    """Where a quote stands, to be found again: the step of an SOP, or a span of one version's source where there is no step."""

    sop: str
    version: int
    step: str
    start: int
    end: int


@dataclass(frozen=True)
class _Told:
    """What every outcome says of the search. `generation`: of the library that was searched; `degraded`: by words alone."""

    generation: int = field(default=0, kw_only=True)
    degraded: bool = field(default=False, kw_only=True)
    instead: tuple[SopText, ...] = field(default=(), kw_only=True)
    """Words of the library that were searched for in place of misspelt ones."""


@dataclass(frozen=True)
class Answer(_Told):
    """What the SOPs say: the step that meets the question, and up to two further sources.

    quotes   the step; where it is too long for one card its beginning, and then the piece that meets the question; last the
             same step of the core SOP, or of the addendum to it that holds at the asker's site
    """

    quotes: tuple[Quote, ...]
    also: tuple[Quote, ...] = ()
    worded: Worded | None = None
    """What a model chose from these quotes, to stand above them; None: show them as they are."""


@dataclass(frozen=True)
class Nearest(_Told):
    """No step certainly answers, and these come near: to be picked from, never to be shown as an answer.

    candidates   at most NEAREST, of different steps, best first
    owner        role id that owns the first of them, or empty
    searched, count   as of a Refusal
    """

    candidates: tuple[Quote, ...]
    owner: str
    searched: tuple[SopText, ...]
    count: int


@dataclass(frozen=True)
class Refusal(_Told):
    """The SOPs that this person may read do not say.

    searched    their titles; `count` how many
    owner       role id that owns the topic that the question names, or empty
    """

    searched: tuple[SopText, ...]
    count: int
    owner: str


@dataclass(frozen=True)
class Walkable:
    """A whole procedure as its reader may walk it: every step of one version in force, in order."""

    title: SopText
    version: int
    steps: tuple[Quote, ...]


@dataclass(frozen=True)
class Health:
    """The library in figures. `halves` are the ways of searching that answer now; `overdue` the SOPs past their review date."""

    generation: int
    sops: int
    steps: int
    passages: int
    halves: tuple[str, ...]
    overdue: tuple[str, ...]
    away: str = ""
    """Why the others of them do not answer, in one sentence."""


@dataclass(frozen=True)
class Weighed:
    """What a search made of a question: by which embedder's thresholds, how far above them, and the step found first."""

    embedder: str
    topic: float
    certainty: float
    sop: str
    step: str


@dataclass
class _Shelf:
    """What this process keeps of one generation of the library."""

    generation: int
    editions: tuple[tables.Edition, ...]
    steps: dict[tuple[str, int], dict[str, LiveStep]] = field(default_factory=dict)
    sources: dict[tuple[str, int], SopText] = field(default_factory=dict)
    indexes: dict[tuple[tuple[str, int], ...], Index] = field(default_factory=dict)
    current: dict[int, tuple[tables.Edition, ...]] = field(default_factory=dict)
    """What is in force, by how many versions have begun; under -1 the newest published."""
    begin: list[datetime] = field(init=False)

    def __post_init__(self) -> None:
        self.begin = sorted(map(_begins_at, self.editions))

    def in_force(self, at: datetime | None) -> tuple[tables.Edition, ...]:
        """One version of each SOP: the newest that was published and in effect at `at` (None: the newest published)."""
        began = -1 if at is None else bisect_right(self.begin, at)
        if began not in self.current:
            newest: dict[str, tables.Edition] = {}
            for edition in self.editions:  # versions of an SOP come in rising order
                if at is None or _begins_at(edition) <= at:
                    newest[edition.sop] = edition
            self.current[began] = tuple(newest.values())
        return self.current[began]


class Library:
    """The installed library. Holds no connection; `read` and `write` open one transaction each when it is needed."""

    def __init__(
        self,
        read: Open,
        write: Open,
        wording: Pen | None = None,
        *,
        embedder: Embedder | None = None,
        folder: Path | None = None,
        phrases: Callable[[Session], Phrases] | None = None,
        calibrated: Path | None = None,
    ) -> None:
        """`embedder`: searches by meaning as well, with its index below `folder`; left out, by words alone.

        phrases      in what words each step was asked for and confirmed
        calibrated   the folder that holds the organisation's own thresholds, if it has any
        """
        self._phrases, self._calibrated = phrases, Calibrated(calibrated) if calibrated else None
        self._read, self._write, self._wording = read, write, wording
        self._embedder = embedder = embedder and Remembering(embedder)
        self._store = vectors.Store(embedder, read, write, folder) if embedder and folder else None
        self._elsewhere = Elsewhere(embedder) if embedder else None
        self._newest: dict[str, int] = {}
        self._lock = Lock()
        self._kept: _Shelf | None = None
        self._entries: dict[tables.Edition, list[Entry]] = {}
        self._last: Index | None = None

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

    def ask(
        self, question: str, asker: Principal, at: datetime, *, as_of: datetime | None = None, foreign: bool = False
    ) -> Answer | Nearest | Refusal:
        """What the SOPs say to this person, verbatim; or what comes near; or that they do not, what was searched, who owns it.

        at       now: the asker may read what is open to them now
        as_of    answer from the versions that were in force then; left out, from those in force now
        foreign  the question is in another language than the SOPs: it is found and judged by meaning alone
        raises NoPrincipal   the asker has no name, no role or no site
        """
        with self._read() as session:
            shelf = self._shelf(session)
            current = {f"{e.sop}@{e.version}": e for e in shelf.in_force(as_of or at)}
            found_in = self._index(session, shelf, tuple(current.values()))
            mask = index.permitted(found_in, asker)
            if as_of is not None:  # an old version may have been open to more people than today's is
                still = {e.sop for e in shelf.in_force(at) if _may_read(e, asker)}
                mask = mask & _of_docs(found_in, {doc for doc, e in current.items() if e.sop in still})
            if foreign:
                found = found_in.search_by_meaning(question[:MAX_QUESTION], mask, k=30)
            else:
                found = self._calibrate(found_in, found_in.search(question[:MAX_QUESTION], mask, k=30))
            asked = found.reading.text or question[:MAX_QUESTION]
            found = _named(found_in, found, mask, self._known_as(session, found_in, asked, as_of))
            sources: list[list[Quote]] = []
            for hit in found.hits:
                if len(sources) > FURTHER or hit.score < FURTHER_FROM * found.hits[0].score:
                    break
                quotes = self._quotes(session, shelf, found_in, hit, current[hit.entry.doc], at)
                if not any(_overlap(quotes[0], other) for others in sources for other in others):
                    sources.append(quotes)
            searched = _searched(current, found_in.docs(mask))
            generation, degraded, instead = shelf.generation, found.degraded, found.reading.instead
            if sources and found.signals.outcome == "answer":
                first = [*sources[0], *self._variants(session, shelf, current, sources[0][0], asker, at)]
                also = [q[0] for q in sources[1:] if not any(_overlap(q[0], other) for other in first)]
                return Answer(tuple(first), tuple(also), generation=generation, degraded=degraded, instead=instead)
            if sources and found.signals.outcome == "nearest":
                near = tuple(quotes[0] for quotes in sources[:NEAREST])
                told = Nearest(near, near[0].owner, searched, len(searched), generation=generation, degraded=degraded)
                return replace(told, instead=instead)
            owner = sources[0][0].owner if sources and not found.signals.off_topic else ""
            return Refusal(searched, len(searched), owner, generation=generation, degraded=degraded, instead=instead)

    def _known_as(self, session: Session, found_in: Index, question: str, as_of: datetime | None) -> Iterator[int]:
        """The passages that begin a step which is asked for in these words: by its author, else by who was shown it."""
        yield from named(question, found_in.asked)
        confirmed = self._phrases(session) if self._phrases and as_of is None else {}
        for sop, step in named(question, confirmed):
            yield from (n for n, e in enumerate(found_in.entries) if e.step == step and e.doc.rpartition("@")[0] == sop)

    def weigh(self, question: str, asker: Principal, at: datetime) -> Weighed:
        """How the library would judge a question by the search alone, for fitting its thresholds."""
        with self._read() as session:
            shelf = self._shelf(session)
            found_in = self._index(session, shelf, shelf.in_force(at))
        found = found_in.search(question[:MAX_QUESTION], index.permitted(found_in, asker), k=1)
        first = found.hits[0].entry if found.hits else None
        step = (first.doc.rpartition("@")[0], first.step) if first else ("", "")
        return Weighed(_embedder(found_in, found), found.signals.topic, found.signals.certainty, *step)

    def _calibrate(self, found_in: Index, found: index.Found) -> index.Found:
        """The outcome by the organisation's own thresholds."""
        shift = self._calibrated.of(_embedder(found_in, found)) if self._calibrated else Shift()
        if shift == Shift() or not found.hits:
            return found
        signals = found.signals
        return replace(found, signals=replace(signals, outcome=outcome(signals.topic, signals.certainty, shift)))

    def word(self, found: Answer, question: str, asker: Principal, at: datetime) -> Answer | Nearest:
        """An answer as a model words it from its own quotes; as it is, where there is no model or none that can be believed.

        A model makes no answer of what is none, and can only take one back: then its quotes are the nearest that were found.
        Takes up to the model's time. Call it once a question, outside any transaction.
        """
        if self._wording is None:
            return found
        passages = [Passage(f"{q.sop}@{q.version}", q.start, q.text, q.title, q.step_title) for q in found.quotes + found.also]
        said = self._wording.word(question[:MAX_QUESTION], passages, at)
        if isinstance(said, Worded):
            return replace(found, worded=said)
        if said.reason != "insufficient":
            return found
        with self._read() as session:
            searched = tuple(sorted(e.title for e in self._shelf(session).in_force(at) if _may_read(e, asker)))
        near = (found.quotes[0], *found.also)[:NEAREST]
        told = Nearest(near, near[0].owner, searched, len(searched), generation=found.generation, degraded=found.degraded)
        return replace(told, instead=found.instead)

    def quote(self, place: Place, asker: Principal, at: datetime) -> Quote | None:
        """The quote at this place as it is in force now; None where there is no such step any more, or they may not read it.

        A place without a step is a span of one version: it is gone with that version.
        """
        with self._read() as session:
            shelf = self._shelf(session)
            edition = next((e for e in shelf.in_force(at) if e.sop == place.sop and _may_read(e, asker)), None)
            if edition is None:
                return None
            step = self._steps(session, shelf, edition).get(place.step)
            if step is not None:
                return self._quote(session, shelf, edition, step, step.start, step.end_all, at)
            if place.step or edition.version != place.version:
                return None
            return self._quote(session, shelf, edition, None, place.start, place.end, at)

    def closing(self, place: Place, asker: Principal, at: datetime) -> Quote | None:
        """The lines that close a step (Who, Clock, Proof, If, Escalate), as `quote`; None where it has none."""
        with self._read() as session:
            shelf = self._shelf(session)
            edition = next((e for e in shelf.in_force(at) if e.sop == place.sop and _may_read(e, asker)), None)
            step = self._steps(session, shelf, edition).get(place.step) if edition else None
            if edition is None or step is None or step.end_all <= step.end:
                return None
            found = self._quote(session, shelf, edition, step, step.end, step.end_all, at)
            blank = len(found.text) - len(found.text.lstrip())
            return (
                self._quote(session, shelf, edition, step, step.end + blank, step.end_all, at) if found.text.strip() else None
            )

    def procedure(self, sop: str, asker: Principal, at: datetime) -> Walkable | None:
        """Every step of an SOP in force, in order, for somebody who may read it; None for others, and where it has no steps."""
        with self._read() as session:
            shelf = self._shelf(session)
            edition = next((e for e in shelf.in_force(at) if e.sop == sop and _may_read(e, asker)), None)
            if edition is None:
                return None
            steps = self._steps(session, shelf, edition).values()
            quotes = tuple(self._quote(session, shelf, edition, step, step.start, step.end_all, at) for step in steps)
            return Walkable(edition.title, edition.version, quotes) if quotes else None

    def stands(self, session: Session, generation: int) -> bool:
        """Whether the library is still that of this generation; nobody changes it before the caller's transaction ends.

        Call it last, after the evidence is written: then every transaction locks the ledger first and the library second.
        """
        return tables.generation(session, hold=True) == generation

    def is_open_to_all(self, sops: Iterable[tuple[str, int]]) -> bool:
        """Whether everybody at every site may read all of these versions: what a channel may be shown."""
        with self._read() as session:
            known = {(e.sop, e.version): e for e in tables.editions(session)}
        return all((e := known.get(each)) is not None and "all" in e.roles and "all" in e.sites for each in sops)

    def keepers(self, at: datetime) -> frozenset[str]:
        """The roles that own or approve an SOP in force."""
        with self._read() as session:
            current = self._shelf(session).in_force(at)
        return frozenset(role for edition in current for role in (edition.owner, edition.approver) if role)

    def find(self, question: str, asker: Principal, at: datetime, k: int = 10) -> tuple[Hit, ...]:
        """The passages in force at `at` that this person may read and that meet the question best, best first.

        An entry's `doc` is `sop@version`.

        raises NoPrincipal   as `ask`
        """
        with self._read() as session:
            shelf = self._shelf(session)
            found_in = self._index(session, shelf, shelf.in_force(at))
        return found_in.search(question[:MAX_QUESTION], index.permitted(found_in, asker), k).hits

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
        return Health(shelf.generation, len(current), steps, passages, self.halves, overdue, self.away)

    @property
    def halves(self) -> tuple[str, ...]:
        """The ways of searching that answer now."""
        return ("bm25", "meaning") if self._store and not self._store.away else ("bm25",)

    @property
    def multilingual(self) -> bool:
        """Whether a question in another language than English can be searched just now."""
        return bool(self._embedder and self._embedder.multilingual and "meaning" in self.halves)

    @property
    def away(self) -> str:
        """Empty, or one sentence on why there is an embedder and questions are answered by their words alone."""
        return self._store.away if self._store else ""

    def ready(self, at: datetime, timeout_s: float, *, settled: bool = False) -> bool:
        """Wait until what is in force at `at` can be searched in every way there is; whether it can be.

        settled   and nothing of the search is still being opened
        """
        if self._store is None:
            return True
        with self._read() as session:
            shelf = self._shelf(session)
            self._index(session, shelf, shelf.in_force(at))
        return self._store.wait(timeout_s, settled=settled)

    def close(self) -> None:
        """Let go of the index; asking afterwards finds by words alone."""
        if self._store:
            self._store.close()

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
                entries = self._read_entries(session, current)
                self._last = Index(entries, self._meaning(entries, dict(key)), self._last)
                shelf.indexes[key] = self._last
            return shelf.indexes[key]

    def _read_entries(self, session: Session, current: tuple[tables.Edition, ...]) -> list[Entry]:
        """The passages of these versions, by SOP and place; what was read before is not read again: a version never changes."""
        new = {(edition.sop, edition.version): edition for edition in current if edition not in self._entries}
        fresh: dict[tables.Edition, list[Entry]] = {edition: [] for edition in new.values()}
        for row in tables.passages(session, new) if new else ():
            edition = new[row.sop, row.version]
            fresh[edition].append(_entry(row, edition))
        self._entries = {edition: fresh[edition] if edition in fresh else self._entries[edition] for edition in current}
        return [entry for edition in current for entry in self._entries[edition]]

    def _meaning(self, entries: Sequence[Entry], versions: dict[str, int]) -> Meaning | None:
        """How these passages are found by meaning: those in force by the store's index, those of an earlier day one by one."""
        if self._store is None:
            return None
        texts = [vectors.worded(entry.title, entry.heading, entry.text) for entry in entries]
        if versions != self._newest and all(version <= self._newest.get(sop, 0) for sop, version in versions.items()):
            return Meaning(self._store.earlier(texts), self._store.id, self._elsewhere)
        self._newest = versions
        nearest = self._store.of(texts, [(entry.roles, entry.sites) for entry in entries])
        return Meaning(nearest, self._store.id, self._elsewhere)

    def _quotes(
        self, session: Session, shelf: _Shelf, found_in: Index, hit: Hit, edition: tables.Edition, at: datetime
    ) -> list[Quote]:
        """The whole step around the hit, or its beginning and the hit; where there is no step, what stands around the hit."""
        step = self._steps(session, shelf, edition).get(hit.entry.step)
        spans, whole = _spans(hit.place, found_in, step if edition.authored else None)
        made = (self._quote(session, shelf, edition, step, start, end, at) for start, end in spans)
        heading = step.title if step else hit.entry.heading
        return [replace(quote, step_title=heading, score=hit.score, whole=whole) for quote in made]

    def _quote(
        self,
        session: Session,
        shelf: _Shelf,
        edition: tables.Edition,
        step: LiveStep | None,
        start: int,
        end: int,
        at: datetime,
    ) -> Quote:
        key = (edition.sop, edition.version)
        if key not in shelf.sources:
            shelf.sources[key] = tables.source(session, *key) or NO_TEXT
        return Quote(
            sop=edition.sop,
            title=edition.title,
            version=edition.version,
            step=step.step if step else "",
            step_title=step.title if step else edition.title,
            number=step.number if step else "",
            text=sops.excerpt(shelf.sources[key], start, end),
            start=start,
            end=end,
            role=step.role if step else "",
            clock=step.clock if step else "",
            effective=edition.effective,
            review_overdue=bool(edition.review_by and edition.review_by < at.astimezone(UTC).date()),
            owner=edition.owner,
            score=0.0,
            sha256=edition.sha256,
            approver=edition.approver,
            published_at=edition.published_at,
            published_by=edition.published_by,
            local="all" not in edition.sites,
        )

    def _variants(
        self,
        session: Session,
        shelf: _Shelf,
        current: Mapping[str, tables.Edition],
        first: Quote,
        asker: Principal,
        at: datetime,
    ) -> list[Quote]:
        """The same step in the core SOP, or in the addenda to it that hold at the asker's site.

        An addendum is an SOP of some sites whose id begins with the core's id, and whose step has the id of the core's step.
        """
        if not first.step:
            return []
        out = []
        for edition in current.values():
            is_local = "all" not in edition.sites
            core, local = (first.sop, edition.sop) if is_local else (edition.sop, first.sop)
            if is_local == first.local or not local.startswith(f"{core}-") or not _may_read(edition, asker):
                continue
            step = self._steps(session, shelf, edition).get(first.step)
            if step is not None:
                out.append(self._quote(session, shelf, edition, step, step.start, step.end_all, at))
        return out

    # --- publishing ---------------------------------------------------------------------------------------------------

    def ingest(
        self, paths: Iterable[Path], *, publish: bool, at: datetime, by: str, record: Record | None = None, seen: str = ""
    ) -> Report:
        """Files and folders into the library: as drafts, or published at once.

        Each file is one transaction, applied whole or not at all; what was there already is left alone. Files are SOPs in our
        format (docs/sops.md); one that does not claim to be is kept as a document of numbered steps that every role may read.
        """
        return intake.ingest(self._write, paths, publish=publish, at=at, by=by, record=record, seen=seen)


def _embedder(found_in: Index, found: index.Found) -> str:
    """By which embedder's thresholds this was judged; empty: by words alone."""
    return found_in.meaning.embedder if found_in.meaning and not found.degraded else ""


def _named(found_in: Index, found: index.Found, mask: index.Mask, places: Iterable[int]) -> index.Found:
    """The hits with the first of these passages that the asker may read in front, as the answer."""
    place = next((n for n in places if mask[n]), None)
    if place is None:
        return found
    top = max((hit.score for hit in found.hits), default=1.0)
    entry = found_in.entries[place]
    step = [hit for hit in found.hits if hit.entry.doc == entry.doc and hit.entry.step == entry.step != ""]
    first = next((hit for hit in found.hits if hit.place == place), Hit(place, entry, top, {}))
    hit = replace(step[0] if step else first, score=top)
    rest = tuple(other for other in found.hits if other.place != hit.place)
    return replace(found, hits=(hit, *rest), signals=replace(found.signals, outcome="answer"))


def _begins_at(edition: tables.Edition) -> datetime:
    """When it was published and in effect, from the first instant of that UTC day."""
    return max(edition.published_at, datetime.combine(edition.effective, time.min, UTC))


def _may_read(edition: tables.Edition, asker: Principal) -> bool:
    """As `index.permitted`, for a whole version. raises NoPrincipal"""
    if not (asker.person and asker.site and asker.roles and all(asker.roles)):
        raise NoPrincipal("a question needs an asker with a role and a site")
    return bool(edition.roles & (asker.roles | {"all"}) and edition.sites & {asker.site, "all"})


def _of_docs(found_in: Index, docs: Collection[str]) -> index.Mask:
    import numpy as np

    return np.array([entry.doc in docs for entry in found_in.entries], dtype=np.bool_)


def _searched(current: Mapping[str, tables.Edition], docs: Iterable[str]) -> tuple[SopText, ...]:
    return tuple(sorted(current[doc].title for doc in docs))


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
        asked=tuple(row.asked),
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
        same = sum(1 for e in found_in.document(place) if (e.doc, e.heading, e.step) == (hit.doc, hit.heading, hit.step))
        return [(entries[first].start, entries[last].end)], same <= last - first + 1
    past = step.end if hit.start < step.end else step.end_all
    if past - step.start <= QUOTE_CHARS:
        return [(step.start, past)], True
    inside = [e.end for e in found_in.document(place) if e.doc == hit.doc and e.step == hit.step and e.end <= step.end]
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
