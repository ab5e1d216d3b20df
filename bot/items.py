"""Connector rows -> one item per real thing; and which feeds are too old to judge by.

What a feed says of a thing is kept as runs of equal statements (Sighting), and an item is folded from the runs of every feed
that knows it. The fold looks only at what was said and as of when, so files may come twice, late, or in any order.
"""

from __future__ import annotations

import hashlib
import json
import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select, tuple_, update
from sqlmodel import Session, col

from bot.hours import Site, midnight
from bot.practice import Finding, PracticeError, read_toml, toml_lines
from bot.records import Feed, Intake, Item, ItemKey, Sighting, alone, new_ref
from bot.rules import Anchor, Snapshot
from connectors import KINDS, Batch, Key, Kind, Row

AMOUNT: Mapping[str, str] = {"claim": "charge_cents", "treatment_plan": "value_cents", "era": "paid_cents"}
"""The fact that says what an item is worth."""

ENDED: Mapping[str, frozenset[str]] = {
    "claim": frozenset({"paid", "closed"}),
    "treatment_plan": frozenset({"declined", "completed"}),
}
"""Statuses after which a thing no longer counts as open work."""

_CHUNK = 400
_FEED_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
"""Feeds are named on cards and in the evidence."""


@dataclass(frozen=True)
class FeedConfig:
    """One feed of feeds.toml. `options` are the connector's own."""

    id: str
    connector: str
    site: str
    stale_after: timedelta
    options: Mapping[str, object]
    line: int = 0
    kinds: tuple[str, ...] = ()
    """What its connector says it will bring, for the time before its first statement."""


@dataclass(frozen=True)
class Merged:
    """What one batch did: items it made, items whose facts it changed, and whether it was known already."""

    created: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    known: bool = False


@dataclass(frozen=True)
class Staleness:
    """A feed that is too old to judge by. `as_of` None: it never said anything."""

    feed: str
    site: str
    as_of: datetime | None
    limit: timedelta


# --- feeds -------------------------------------------------------------------------------------------------------------


def load_feeds(path: Path, sites: Iterable[str]) -> dict[str, FeedConfig]:
    """The feeds of feeds.toml by id; no file means no feeds. raises PracticeError with every mistake and its line"""
    if not path.exists():
        return {}
    data, text, _ = read_toml(path)
    lines = toml_lines(text)
    tables = data.get("feeds", {})
    if not isinstance(tables, dict):
        raise PracticeError([Finding(str(path), lines.get(("feeds",), 1), "feeds must be tables, one for each: [feeds.NAME].")])
    findings: list[Finding] = []
    feeds = {
        name: feed
        for name, table in tables.items()
        if (feed := _feed(name, table, lines.get(("feeds", name), 1), set(sites), str(path), findings))
    }
    if findings:
        raise PracticeError(findings)
    return feeds


def stale(session: Session, feeds: Mapping[str, FeedConfig], now: datetime) -> list[Staleness]:
    """The feeds whose last true statement is older than their limit, or that never made one."""
    known = {f.id: f.as_of for f in session.scalars(select(Feed).where(col(Feed.id).in_(list(feeds))))}
    out = []
    for feed in feeds.values():
        as_of = known.get(feed.id)
        if as_of is None or now - as_of > feed.stale_after:
            out.append(Staleness(feed.id, feed.site, as_of, feed.stale_after))
    return out


def unjudged(session: Session, feeds: Mapping[str, FeedConfig], now: datetime) -> set[tuple[str, str]]:
    """The (site, kind) pairs on which nothing may be judged now.

    What brings a kind as snapshots decides; deltas count only where no snapshot exists. A pair that no feed brings is judged:
    an obligation without a feed has no evidence on file.
    """
    too_old = {s.feed for s in stale(session, feeds, now)}
    rows = {f.id: f for f in session.scalars(select(Feed).where(col(Feed.id).in_(list(feeds))))}
    pairs: dict[tuple[str, str], list[tuple[bool, bool]]] = defaultdict(list)
    for feed in feeds.values():
        for site, kind, is_snapshot in _brings(feed, rows.get(feed.id)):
            pairs[site, kind].append((is_snapshot, feed.id in too_old))
    out = set()
    for pair, sources in pairs.items():
        deciding = [old for snapshot, old in sources if snapshot] or [old for _, old in sources]
        if any(deciding):
            out.add(pair)
    return out


def known_until(session: Session, feeds: Mapping[str, FeedConfig], site: str, kind: str) -> datetime | None:
    """Up to when the feeds that decide this kind at this site know the world; None where no feed brings it."""
    rows = {f.id: f for f in session.scalars(select(Feed).where(col(Feed.id).in_(list(feeds))))}
    sources = [
        (is_snapshot, rows[feed.id].as_of if feed.id in rows else None)
        for feed in feeds.values()
        for where, what, is_snapshot in _brings(feed, rows.get(feed.id))
        if (where, what) == (site, kind)
    ]
    deciding = [as_of for snapshot, as_of in sources if snapshot] or [as_of for _, as_of in sources]
    if not deciding:
        return None
    return min(as_of or datetime.min.replace(tzinfo=UTC) for as_of in deciding)


def _brings(feed: FeedConfig, row: Feed | None) -> list[tuple[str, str, bool]]:
    """(site, kind, whether as snapshots) of what a feed brings; before its first statement, what its connector announces."""
    if row is None or not row.kinds:
        return [(feed.site, kind, False) for kind in feed.kinds]
    words = [(*word.rstrip("!").partition("@"), word.endswith("!")) for word in row.kinds.split()]
    return [(site or feed.site, kind, is_snapshot) for kind, _, site, is_snapshot in words]


def end_first_pull(session: Session, feed: FeedConfig) -> None:
    """After a feed's first pull: what had stalled by its newest statement is the past, and is reviewed instead of nudged."""
    row = _feed_row(session, feed)
    if row.first_as_of is None and row.as_of is not None:
        row.first_as_of = row.as_of


def past_until(session: Session, feeds: Mapping[str, FeedConfig]) -> dict[tuple[str, str], datetime]:
    """(site, kind) -> the instant up to which a stall belongs to the past that the first import brought."""
    out: dict[tuple[str, str], datetime] = {}
    for row in session.scalars(select(Feed).where(col(Feed.id).in_(list(feeds)))):
        first = row.first_as_of or row.as_of  # its first pull may have broken off half-way: all it brought is the past
        if first is None:
            continue
        for site, kind, _ in _brings(feeds[row.id], row):
            out[site, kind] = max(first, out.get((site, kind), first))
    return out


# --- merging -----------------------------------------------------------------------------------------------------------


@dataclass
class _Run:
    """Equal statements of one feed about one thing, at `start`, at `until`, and at every snapshot between the two.

    Only snapshots make runs longer than an instant. What a delta says stands by itself, since its next file proves nothing.
    """

    start: datetime
    until: datetime
    sha: str
    item: str
    id: int | None = None
    facts: dict[str, Any] | None = None
    copies: int | None = None
    """The stored run whose facts this one repeats; set where a split made two of one."""
    touched: bool = False


@dataclass(frozen=True)
class _Said:
    """One batch on its way into the runs."""

    feed: FeedConfig
    batch: Batch
    rows: Mapping[str, Row]
    snapshots: Sequence[datetime]
    """When this feed listed everything, this batch included, oldest first."""
    is_new_instant: bool
    """No snapshot was as of this instant before."""


def merge(session: Session, feed: FeedConfig, batch: Batch, now: datetime) -> Merged:
    """Apply one batch whole, in the caller's transaction. The same bytes as of the same instant change nothing."""
    for site in sorted({feed.site, *(each.site for each in batch.rows if each.site)}):
        alone(session, f"merge:{site}")
    row = _feed_row(session, feed)
    if _known(session, feed.id, batch):
        row.cursor, row.pulled_at = batch.cursor, now
        session.flush()
        return Merged(known=True)
    said = _said(session, feed, batch)
    session.add(_intake(feed.id, batch, now))
    runs = _runs(session, said)
    created, united, owner = _resolve(session, said, runs, now)
    changed = _place_all(runs, said, owner) | united
    _store(session, feed.id, runs)
    _advance(row, batch, now)
    session.flush()
    refs = changed | set(created)
    refold(session, refs, now)
    return Merged(tuple(created), tuple(sorted(refs)))


def _said(session: Session, feed: FeedConfig, batch: Batch) -> _Said:
    query = select(col(Intake.as_of)).where(
        col(Intake.feed) == feed.id,
        col(Intake.kind) == batch.kind,
        col(Intake.outcome) == "applied",
        col(Intake.covers) == "snapshot",
    )
    before = set(session.scalars(query))
    snapshots = before | {batch.as_of} if batch.covers == "snapshot" else before
    rows = {_natural(row.kind, row.site or feed.site, row.keys[0]): row for row in batch.rows}
    return _Said(feed, batch, rows, sorted(snapshots), batch.as_of not in before)


def _natural(kind: str, site: str, key: Key) -> str:
    return f"{kind}:{site}:{key.name}={key.value}"


def _runs(session: Session, said: _Said) -> dict[str, list[_Run]]:
    """What this feed said before, by thing, oldest first: of everything for a snapshot, else of what the batch names."""
    s = Sighting
    columns = (col(s.natural_key), col(s.as_of), col(s.until), col(s.sha), col(s.item), col(s.id))
    query = select(*columns).where(col(s.feed) == said.feed.id).order_by(col(s.as_of))
    if said.batch.covers == "snapshot":
        queries = [query.where(col(s.natural_key).startswith(f"{said.batch.kind}:", autoescape=True))]
    else:
        named = sorted({*said.rows, *_deleted(said)})
        queries = [query.where(col(s.natural_key).in_(named[at : at + _CHUNK])) for at in range(0, len(named), _CHUNK)]
    runs: dict[str, list[_Run]] = defaultdict(list)
    for each in queries:
        for natural, start, until, sha, item, run_id in session.execute(each):
            runs[natural].append(_Run(start, until, sha, item, run_id))
    return runs


def _deleted(said: _Said) -> list[str]:
    return [n for key in said.batch.deleted if (n := _natural(said.batch.kind, said.feed.site, key)) not in said.rows]


def _place_all(runs: dict[str, list[_Run]], said: _Said, owner: Mapping[str, str]) -> set[str]:
    """Put every statement of the batch into its thing's runs; the items whose history that changed."""
    at = said.batch.as_of
    changed: set[str] = set()
    for natural, row in said.rows.items():
        facts, ref = encode(row.facts), owner[natural]
        for run in runs[natural]:
            if not run.item:  # its deletion was read before it was
                run.item, run.touched = ref, True
        if _place(runs[natural], _Run(at, at, _sha(facts), ref, facts=facts, touched=True), said):
            changed.add(ref)
    gone = [n for n, mine in runs.items() if n not in said.rows and mine and mine[0].start < at]
    for natural in gone if said.batch.covers == "snapshot" else _deleted(said):
        ref = runs[natural][0].item if runs[natural] else ""
        if _place(runs[natural], _Run(at, at, "", ref, facts={}, touched=True), said) and ref:
            changed.add(ref)
    return changed


def _place(runs: list[_Run], new: _Run, said: _Said) -> bool:
    """Put one statement in its place in time; True where that changed what is known.

    Of two statements as of the same instant the one with the greater hash stands, in whatever order they came; presence beats
    absence. What stood before and after goes on at the snapshots before and after.
    """
    at = new.start
    if not runs or at < runs[0].start:
        _place_first(runs, new, said)
        return True
    i = bisect_right(runs, at, key=lambda r: r.start) - 1
    mine = runs[i]
    is_stated = at in (mine.start, mine.until) or (at < mine.until and not said.is_new_instant)
    if is_stated and new.sha <= mine.sha:
        return False
    if at <= mine.until:
        if new.sha == mine.sha and said.batch.covers == "snapshot":
            return False  # one more snapshot that says what those around it say
        _split(runs, i, new, said.snapshots)
        return new.sha != mine.sha
    if said.batch.covers == "snapshot" and _joins(mine, mine.until, new, said):
        mine.until, mine.touched = at, True
        return False
    after = runs[i + 1] if i + 1 < len(runs) else None
    if said.batch.covers == "snapshot" and after is not None and _joins(after, after.start, new, said):
        after.start, after.touched = at, True
        return True
    runs.insert(i + 1, new)
    return True


def _place_first(runs: list[_Run], new: _Run, said: _Said) -> None:
    """Put what is now the earliest statement about a thing before the others: snapshots since then did not name it."""
    nxt = bisect_right(said.snapshots, new.start)
    end = bisect_left(said.snapshots, runs[0].start) if runs else len(said.snapshots)
    if nxt < end:
        first, last = said.snapshots[nxt], said.snapshots[end - 1]
        runs.insert(0, _Run(first, last, "", new.item, facts={}, touched=True))
    elif runs and said.batch.covers == "snapshot" and _joins(runs[0], runs[0].start, new, said):
        runs[0].start, runs[0].touched = new.start, True
        return
    runs.insert(0, new)


def _joins(run: _Run, end: datetime, new: _Run, said: _Said) -> bool:
    """Whether a snapshot's statement lengthens this run: it says the same, and that end is a snapshot too."""
    i = bisect_left(said.snapshots, end)
    return run.sha == new.sha and i < len(said.snapshots) and said.snapshots[i] == end


def _split(runs: list[_Run], i: int, new: _Run, snapshots: Sequence[datetime]) -> None:
    """Put `new` in place of one instant of run i."""
    old, at = runs[i], new.start
    parts = [new]
    if old.until > at:
        later = snapshots[bisect_right(snapshots, at)]
        copies = old.id if old.facts is None else old.copies
        parts.append(_Run(later, old.until, old.sha, old.item, facts=old.facts, copies=copies, touched=True))
    if old.start < at:
        old.until, old.touched = snapshots[bisect_left(snapshots, at) - 1], True
        parts.insert(0, old)
    else:
        new.id = old.id
    runs[i : i + 1] = parts


def _store(session: Session, feed: str, runs: Mapping[str, list[_Run]]) -> None:
    """Write the touched runs: new ones inserted, others' ends, items or contents updated."""
    new: list[dict[str, Any]] = []
    moved: list[dict[str, Any]] = []
    rewritten: list[dict[str, Any]] = []
    copied = _facts_of(session, [run.copies for mine in runs.values() for run in mine if run.copies is not None])
    for natural, mine in runs.items():
        for run in mine:
            if not run.touched:
                continue
            ends = {"as_of": run.start, "until": run.until, "item": run.item}
            facts = run.facts if run.copies is None else copied[run.copies]
            said = {"facts": facts or {}, "sha": run.sha, "gone": not run.sha}
            if run.id is None:
                new.append({"feed": feed, "natural_key": natural, **ends, **said})
            elif facts is None:
                moved.append({"id": run.id, **ends})
            else:
                rewritten.append({"id": run.id, **ends, **said})
    for values in (moved, rewritten):
        if values:
            session.execute(update(Sighting), values)
    if new:
        session.execute(insert(Sighting), new)


def _facts_of(session: Session, ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """The facts of stored runs."""
    found: dict[int, dict[str, Any]] = {}
    for at in range(0, len(ids), _CHUNK):
        query = select(col(Sighting.id), col(Sighting.facts)).where(col(Sighting.id).in_(ids[at : at + _CHUNK]))
        found.update((run_id, facts) for run_id, facts in session.execute(query))
    return found


def _owners(session: Session, site: str, rows: Iterable[Row]) -> dict[tuple[str, str, str, str], str]:
    """The items that already carry any of these keys, by (kind, site, name, value)."""
    wanted = sorted({(row.kind, row.site or site, key.name, key.value) for row in rows for key in row.keys})
    found: dict[tuple[str, str, str, str], str] = {}
    columns = tuple_(col(ItemKey.kind), col(ItemKey.site), col(ItemKey.name), col(ItemKey.value))
    for start in range(0, len(wanted), _CHUNK):
        for key in session.scalars(select(ItemKey).where(columns.in_(wanted[start : start + _CHUNK]))):
            found[key.kind, key.site, key.name, key.value] = key.item
    return found


def _resolve(
    session: Session, said: _Said, runs: Mapping[str, list[_Run]], now: datetime
) -> tuple[list[str], set[str], dict[str, str]]:
    """Give every statement its item: the one its keys lead to, a new one, or the union of several.

    returns   the new references, those that now stand for several items, and each statement's item
    """
    site = said.feed.site
    owners = _owners(session, site, said.rows.values())
    created: list[str] = []
    united: set[str] = set()
    new_keys: list[dict[str, str]] = []
    for row in said.rows.values():
        place = row.site or site
        keys = [(row.kind, place, key.name, key.value) for key in row.keys]
        refs = list(dict.fromkeys(owners[k] for k in keys if k in owners))
        if not refs:
            refs = [_new_item(session, row.kind, place, said.batch.as_of)]
            created += refs
        ref = refs[0]
        if len(refs) > 1:
            ref = _unite(session, refs, owners, new_keys, runs, now)
            united.add(ref)
        for key in keys:
            if key not in owners:
                new_keys.append(dict(zip(("kind", "site", "name", "value"), key, strict=True)) | {"item": ref})
            owners[key] = ref
    session.flush()
    if new_keys:
        session.execute(insert(ItemKey), new_keys)
    owner = {n: owners[row.kind, row.site or site, row.keys[0].name, row.keys[0].value] for n, row in said.rows.items()}
    living = set(owner.values())
    return [ref for ref in created if ref in living], united & living, owner


def _new_item(session: Session, kind: str, site: str, at: datetime) -> str:
    ref = new_ref()
    session.add(Item(ref=ref, kind=kind, site=site, opened_at=at, moved_at=at, wake_at=at))
    return ref


def _unite(
    session: Session,
    refs: Sequence[str],
    owners: dict[tuple[str, str, str, str], str],
    new_keys: list[dict[str, str]],
    runs: Mapping[str, list[_Run]],
    now: datetime,
) -> str:
    """Make several items one: the oldest keeps its reference, the others point to it and are judged once more, as gone."""
    session.flush()
    rows = list(session.scalars(select(Item).where(col(Item.ref).in_(refs))))
    kept = min(rows, key=lambda item: (item.opened_at, item.ref)).ref
    lost = [item.ref for item in rows if item.ref != kept]
    session.execute(update(ItemKey).where(col(ItemKey.item).in_(lost)).values(item=kept))
    session.execute(update(Sighting).where(col(Sighting.item).in_(lost)).values(item=kept))
    session.execute(update(Item).where(col(Item.ref).in_(lost)).values(merged_into=kept, open=False, gone=True, wake_at=now))
    for key, ref in owners.items():
        if ref in lost:
            owners[key] = kept
    for new in new_keys:
        new["item"] = kept if new["item"] in lost else new["item"]
    for mine in runs.values():
        for run in mine:
            run.item = kept if run.item in lost else run.item
    return kept


# --- folding -----------------------------------------------------------------------------------------------------------


def refold(session: Session, refs: Iterable[str], now: datetime) -> None:
    """Work out these items again from all that was ever said of them, and wake them.

    PostgreSQL keeps their rows until the end: a sweep that judges them at this moment must not put them back to sleep.
    """
    wanted = sorted(set(refs))
    for start in range(0, len(wanted), _CHUNK):
        chunk = wanted[start : start + _CHUNK]
        history: dict[str, list[Sighting]] = defaultdict(list)
        for sighting in session.scalars(select(Sighting).where(col(Sighting.item).in_(chunk))):
            history[sighting.item].append(sighting)
        query = select(Item).where(col(Item.ref).in_(chunk), col(Item.merged_into) == "").with_for_update()
        for item in session.scalars(query.execution_options(populate_existing=True)):
            if history[item.ref]:
                _apply(item, fold(item.kind, history[item.ref]))
                item.wake_at = now
    session.flush()


@dataclass(frozen=True)
class Folded:
    """An item as all its feeds together tell it."""

    facts: Mapping[str, Any]
    opened_at: datetime
    moved_at: datetime
    gone: bool


def fold(kind: str, sightings: Iterable[Sighting]) -> Folded:
    """One item from every run of every feed: a pure function of what was said and as of when.

    Where two feeds differ on a fact, the one whose value changed last is believed. Movement is the last change of a fact that
    matters: the instant the source gives for it, or else the first report that showed it.
    """
    sources: dict[tuple[str, str], list[Sighting]] = defaultdict(list)
    for sighting in sightings:
        sources[sighting.feed, sighting.natural_key].append(sighting)
    best: dict[str, tuple[datetime, str, Any]] = {}
    moves: list[datetime] = []
    opened: list[datetime] = []
    for (feed, _), runs in sorted(sources.items()):
        runs.sort(key=lambda r: r.as_of)
        while runs[0].gone and len(runs) > 1:  # said to be gone before it was ever named
            del runs[0]
        opened.append(runs[0].as_of)
        moves += _movements(kind, runs)
        for name, value in runs[-1].facts.items():
            candidate = (_since(runs, name), feed, value)
            if name not in best or candidate[:2] > best[name][:2]:
                best[name] = candidate
    facts = {name: value for name, (_, _, value) in sorted(best.items())}
    return Folded(facts, min(opened), max(moves, default=min(opened)), all(runs[-1].gone for runs in sources.values()))


def _since(runs: Sequence[Sighting], name: str) -> datetime:
    """Since when the newest value of one fact has been said, without a break."""
    value = runs[-1].facts[name]
    start = runs[-1].as_of
    for run in reversed(runs[:-1]):
        if run.facts.get(name) != value:
            break
        start = run.as_of
    return start


def _movements(kind: str, runs: Sequence[Sighting]) -> Iterator[datetime]:
    """When a thing moved, by one feed's account."""
    moving = {name: fact for name, fact in KINDS[_kind(kind)].items() if fact.moves}
    before: Mapping[str, Any] = {}
    for position, run in enumerate(runs):
        if run.gone:
            continue
        changed = [name for name in moving if name in run.facts and run.facts[name] != before.get(name)]
        stamped = [at for name in changed if moving[name].type == "instant" and (at := _instant(run.facts[name])) <= run.as_of]
        if stamped:
            yield max(stamped)
        elif changed and position:
            yield run.as_of
        before = run.facts


def _apply(item: Item, folded: Folded) -> None:
    item.facts = dict(folded.facts)
    if item.kind == "sterilizer_week":  # expected from its Monday on, whenever the log first names it
        item.opened_at = min(item.opened_at, folded.opened_at)
    else:
        item.opened_at = folded.opened_at
    item.moved_at, item.gone = folded.moved_at, folded.gone
    item.amount_cents = int(folded.facts.get(AMOUNT.get(item.kind, ""), 0))
    item.open = not folded.gone and folded.facts.get("status") not in ENDED.get(item.kind, frozenset())


# --- what rules see ----------------------------------------------------------------------------------------------------


def snapshot(item: Item, site: Site, anchor: Anchor) -> Snapshot:
    """The item as a rule sees it."""
    return Snapshot(
        ref=item.ref,
        kind=item.kind,
        site=site,
        facts=decode(item.kind, item.facts),
        opened_at=item.opened_at,
        moved_at=item.moved_at,
        gone=item.gone,
        anchor=anchor,
    )


def due(session: Session, now: datetime, unjudged: Iterable[tuple[str, str]], limit: int = 500) -> list[Item]:
    """The items whose moment has come, oldest first; those of `unjudged` feeds wait. Each is one sweep's at a time."""
    query = select(Item).where(col(Item.wake_at).is_not(None), col(Item.wake_at) <= now)
    for site, kind in sorted(unjudged):
        query = query.where((col(Item.site) != site) | (col(Item.kind) != kind))
    return list(session.scalars(query.order_by(col(Item.wake_at)).limit(limit).with_for_update(skip_locked=True)))


def expect_weeks(session: Session, site: Site, sterilizers: Iterable[str], since: datetime, now: datetime) -> list[str]:
    """Make the item of every sterilizer and ISO week from `since` to now, before anybody reports one. New refs are returned."""
    alone(session, f"merge:{site.id}")
    first, last = (at.astimezone(site.zone).date() for at in (since, now))
    monday = first - timedelta(days=first.weekday())
    weeks = []
    while monday <= last:
        year, week, _ = monday.isocalendar()
        weeks.append((f"{year}-W{week:02d}", monday))
        monday += timedelta(days=7)
    names = [(f"{s}/{week}", midnight(site, day)) for s in sterilizers for week, day in weeks]
    query = select(col(ItemKey.value), Item).join(Item, col(Item.ref) == col(ItemKey.item))
    query = query.where(
        col(ItemKey.kind) == "sterilizer_week", col(ItemKey.site) == site.id, col(ItemKey.name) == "sterilizer_week"
    )
    known: dict[str, Item] = {value: item for value, item in session.execute(query)}  # noqa: C416
    made = []
    for name, start in names:
        if name not in known:
            made.append(_expected(session, site, name, start))
        elif known[name].opened_at > start:  # the log named it before it was expected
            known[name].opened_at, known[name].wake_at = start, start
    session.flush()
    return made


def _expected(session: Session, site: Site, name: str, start: datetime) -> str:
    ref = new_ref()
    session.add(Item(ref=ref, kind="sterilizer_week", site=site.id, opened_at=start, moved_at=start, wake_at=start))
    session.add(ItemKey(kind="sterilizer_week", site=site.id, name="sterilizer_week", value=name, item=ref))
    return ref


@dataclass(frozen=True)
class Look:
    """What people on duty see behind a reference: the source's own names, the facts, and who said them as of when."""

    ref: str
    kind: str
    site: str
    keys: tuple[tuple[str, str], ...]
    facts: tuple[tuple[str, Any], ...]
    sources: tuple[tuple[str, datetime], ...] = field(default_factory=tuple)


def look(session: Session, ref: str) -> Look | None:
    """What is behind a reference, following merges; None when there is no such item."""
    item = session.get(Item, ref)
    while item is not None and item.merged_into:
        item = session.get(Item, item.merged_into)
    if item is None:
        return None
    keys = session.scalars(select(ItemKey).where(col(ItemKey.item) == item.ref).order_by(col(ItemKey.name)))
    runs = session.scalars(select(Sighting).where(col(Sighting.item) == item.ref))
    said: dict[str, datetime] = {}
    for run in runs:
        said[run.feed] = max(run.until, said.get(run.feed, run.until))
    return Look(
        item.ref,
        item.kind,
        item.site,
        tuple((k.name, k.value) for k in keys),
        tuple(sorted(decode(item.kind, item.facts).items())),
        tuple(sorted(said.items())),
    )


def by_key(session: Session, value: str) -> str | None:
    """The item that carries this key value, of whatever name. For the sample's replay and for people on duty."""
    return session.scalar(select(col(ItemKey.item)).where(col(ItemKey.value) == value).limit(1))


# --- facts as JSON -----------------------------------------------------------------------------------------------------


def encode(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts as JSON values: dates and instants as ISO text, codes as lists."""
    out: dict[str, Any] = {}
    for name, value in facts.items():
        if isinstance(value, datetime):
            out[name] = value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        elif isinstance(value, date):
            out[name] = value.isoformat()
        else:
            out[name] = list(value) if isinstance(value, tuple) else value
    return out


def decode(kind: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts as rules use them again."""
    allowed = KINDS[_kind(kind)]
    out: dict[str, Any] = {}
    for name, value in facts.items():
        match allowed[name].type:
            case "instant":
                out[name] = _instant(value)
            case "date":
                out[name] = date.fromisoformat(value)
            case "codes":
                out[name] = tuple(value)
            case _:
                out[name] = value
    return out


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _sha(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _kind(kind: str) -> Kind:
    return kind  # type: ignore[return-value]


# --- feed rows ---------------------------------------------------------------------------------------------------------


def _feed_row(session: Session, feed: FeedConfig) -> Feed:
    row = session.get(Feed, feed.id)
    if row is None:
        row = Feed(id=feed.id, connector=feed.connector, site=feed.site)
        session.add(row)
    return row


def _known(session: Session, feed: str, batch: Batch) -> bool:
    """Whether these bytes were read before as of the same instant. The same bytes later are news: nothing has changed."""
    return session.get(Intake, (feed, _fingerprint(batch), batch.kind, batch.as_of)) is not None


def _fingerprint(batch: Batch) -> str:
    """The hash of the file, or of what was said where the source is no file."""
    if batch.sha256:
        return batch.sha256
    rows = [(row.kind, row.site, [(k.name, k.value) for k in row.keys], encode(row.facts)) for row in batch.rows]
    said = [batch.covers, rows, [(k.name, k.value) for k in batch.deleted], batch.unreadable]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _intake(feed: str, batch: Batch, now: datetime) -> Intake:
    return Intake(
        feed=feed,
        sha256=_fingerprint(batch),
        kind=batch.kind,
        covers=batch.covers,
        name=batch.name,
        at=now,
        as_of=batch.as_of,
        outcome="quarantined" if batch.unreadable else "applied",
        detail=batch.unreadable or "; ".join(f"{p.where}: {p.what}" for p in batch.problems)[:2000],
        rows=len(batch.rows),
    )


def quarantine(session: Session, feed: FeedConfig, batch: Batch, now: datetime) -> bool:
    """Record an unreadable file whole and move past it; True the first time these bytes were seen."""
    alone(session, f"merge:{feed.site}")
    row = _feed_row(session, feed)
    row.cursor, row.pulled_at = batch.cursor, now
    if _known(session, feed.id, batch):
        return False
    session.add(_intake(feed.id, batch, now))
    return True


def _advance(row: Feed, batch: Batch, now: datetime) -> None:
    row.cursor, row.pulled_at, row.problem = batch.cursor, now, ""
    row.as_of = max(row.as_of, batch.as_of) if row.as_of else batch.as_of
    words = set(row.kinds.split())
    for site in {each.site or row.site for each in batch.rows} or {row.site}:
        name = batch.kind if site == row.site else f"{batch.kind}@{site}"
        if batch.covers == "snapshot":
            words = (words - {name}) | {name + "!"}
        elif name + "!" not in words:  # one report with a bad row does not make a snapshot a delta
            words |= {name}
    row.kinds = " ".join(sorted(words))


def _feed(name: str, table: object, line: int, sites: set[str], file: str, findings: list[Finding]) -> FeedConfig | None:
    def wrong(what: str) -> None:
        findings.append(Finding(file, line, f"feed {name}: {what}"))

    if not isinstance(table, dict):
        wrong("must be a table, [feeds.name]")
        return None
    if not _FEED_NAME.fullmatch(name):
        wrong("its name must be one word of letters, digits, - and _, at most 40")
        return None
    options = dict(table)
    connector, site = options.pop("connector", None), options.pop("site", None)
    limit = _limit(options.pop("stale_after", "26 h"))
    if not isinstance(connector, str):
        wrong('names no connector; add connector = "csv_file" or another of connectors/')
    if site not in sites:
        wrong(f"site {site!r} is not in practice.toml; it has {', '.join(sorted(sites))}")
    if limit is None:
        wrong('stale_after takes a number and h or d, such as "26 h"')
    if not isinstance(connector, str) or not isinstance(site, str) or limit is None or site not in sites:
        return None
    return FeedConfig(name, connector, site, limit, options, line)


def _limit(text: object) -> timedelta | None:
    found = re.fullmatch(r"(\d{1,4})\s*(min|h|d)", str(text).strip())
    if not found:
        return None
    amount = int(found.group(1))
    return {"min": timedelta(minutes=amount), "h": timedelta(hours=amount), "d": timedelta(days=amount)}[found.group(2)]
