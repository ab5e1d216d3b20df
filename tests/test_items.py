"""Items: one real thing is one item, whatever the order and number of imports; stillness, staleness, and who may judge."""

from __future__ import annotations

import multiprocessing
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, func, select, update
from sqlmodel import Session, col

from bot import items
from bot.app import Holdfast
from bot.hours import Site, parse_hours
from bot.items import FeedConfig, encode
from bot.migrations import migrate
from bot.records import ConsoleMessage, Feed, Item, ItemKey, Nudge, Sighting, open_engine, read, write
from bot.settings import Settings
from connectors import Batch, Covers, Key, Kind, Row, Value
from tests import postgres

START = datetime(2026, 2, 2, 12, tzinfo=UTC)
NOW = datetime(2026, 2, 27, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SAMPLE = Path(items.__file__).parent / "sample"
STARTER = Path(items.__file__).parent.parent / "knowledge" / "starter"
DAY = parse_hours("08:00-17:00")
HARBOR = Site("harbor", "Harbor", ZoneInfo("America/New_York"), (DAY, DAY, DAY, DAY, DAY, (), ()))
_number = count()


@pytest.fixture
def postgres_engine(postgres_server: str) -> Iterator[Engine]:
    """A migrated PostgreSQL database of this test alone."""
    with postgres.database(postgres_server) as url:
        engine = open_engine(url)
        migrate(engine)
        yield engine
        engine.dispose()


def at(hour: float) -> datetime:
    return START + timedelta(hours=hour)


def feed_of(name: str = "pms", site: str = "harbor", stale: timedelta = timedelta(days=60), **options: object) -> FeedConfig:
    kinds = options.pop("kinds", ())
    assert isinstance(kinds, list | tuple)
    return FeedConfig(f"{site}-{name}", "csv_file", site, stale, options, kinds=tuple(kinds))


def claim(number: str, *others: Key, **facts: Value) -> Row:
    return Row("claim", (Key("claim_no", number), *others), facts or {"status": "sent", "charge_cents": 10_000})


def said(hour: float, *rows: Row, covers: Covers = "snapshot", kind: Kind = "claim", gone: tuple[Key, ...] = ()) -> Batch:
    return Batch(rows, f"c{hour}", at(hour), covers, kind, deleted=gone)


def merge(engine: Engine, feed: FeedConfig, *batches: Batch, now: datetime = NOW) -> None:
    for batch in batches:
        with write(engine) as session:
            items.merge(session, feed, batch, now)


def only(engine: Engine) -> Item:
    with read(engine) as session:
        return session.scalars(select(Item).where(col(Item.merged_into) == "")).one()


# --- any order, any number of times -----------------------------------------------------------------------------------------


class Told(NamedTuple):
    """An item without its random reference."""

    keys: frozenset[tuple[str, str]]
    facts: str
    opened_at: datetime
    moved_at: datetime
    gone: bool
    amount_cents: int


def world(session: Session, site: str) -> set[Told]:
    """Everything that is known at one site."""
    keys: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for key in session.scalars(select(ItemKey).where(col(ItemKey.site) == site)):
        keys[key.item].add((key.name, key.value))
    found = session.scalars(select(Item).where(col(Item.site) == site, col(Item.merged_into) == ""))
    return {
        Told(frozenset(keys[i.ref]), repr(sorted(i.facts.items())), i.opened_at, i.moved_at, i.gone, i.amount_cents)
        for i in found
    }


@dataclass(frozen=True)
class File:
    """One file of a history: which feed, as of when, what it lists."""

    feed: str
    hour: int
    covers: Covers
    lines: tuple[tuple[str, str, str, int | None], ...]
    """number, the other feed's number or "", status, hour of the last touch"""
    gone: tuple[str, ...] = ()

    def batch(self) -> Batch:
        name = "claim_no" if self.feed == "pms" else "payer_icn"
        other = "payer_icn" if self.feed == "pms" else "claim_no"
        rows = []
        for number, joins, status, touched in self.lines:
            facts: dict[str, Value] = {"status": status, "charge_cents": 100 * len(status)}
            if touched is not None:
                facts["touched_at"] = at(touched)
            keys = (Key(name, f"{self.feed}-{number}"), *([Key(other, joins)] if joins else []))
            rows.append(Row("claim", keys, facts))
        deleted = tuple(Key(name, f"{self.feed}-{number}") for number in self.gone)
        return Batch(tuple(rows), "", at(self.hour), self.covers, "claim", deleted=deleted)


@st.composite
def files(draw: st.DrawFn) -> File:
    """A report of one of two feeds. Few numbers, few instants, few words, so that histories collide often."""
    feed = draw(st.sampled_from(["pms", "payer"]))
    covers: Covers = draw(st.sampled_from(["snapshot", "snapshot", "delta"]))
    numbers = draw(st.lists(st.sampled_from(["1", "2", "3"]), max_size=3, unique=True))
    joins = st.sampled_from(["", "", "", "payer-1", "payer-2"] if feed == "pms" else ["", "", "", "pms-1", "pms-3"])
    status = st.sampled_from(["sent", "denied", "paid"])
    touched = st.one_of(st.none(), st.integers(0, 9))
    lines = tuple((n, draw(joins), draw(status), draw(touched)) for n in numbers)
    gone = tuple(draw(st.lists(st.sampled_from(["1", "2", "3"]), max_size=1))) if covers == "delta" else ()
    return File(feed, draw(st.integers(1, 6)), covers, lines, gone)


histories = st.lists(files(), min_size=1, max_size=8)


def take_in(session: Session, site: str, told: Iterable[File]) -> None:
    for file in told:
        items.merge(session, feed_of(file.feed, site), file.batch(), NOW)


def any_order_gives_one_world(engine: Engine, told: Sequence[File], shuffled: Sequence[File]) -> None:
    """In order once, and shuffled with repetitions, at two sites of their own; then against what was said, one by one."""
    one, other = f"s{next(_number)}", f"s{next(_number)}"
    with write(engine) as session:
        take_in(session, one, sorted(told, key=lambda f: f.hour))
        take_in(session, other, shuffled)
        assert world(session, one) == world(session, other)
        assert world(session, other) == expected(session, told, other)
        session.rollback()


def expected(session: Session, told: Sequence[File], site: str) -> set[Told]:
    """The same world worked out slowly: every statement written down by itself, no runs, no order."""
    owner = {(k.name, k.value): k.item for k in session.scalars(select(ItemKey).where(col(ItemKey.site) == site))}
    statements = [
        Sighting(feed=f"{site}-{feed}", natural_key=f"{key.name}={key.value}", as_of=instant, until=instant,
                 item=owner[key.name, key.value], facts=facts or {}, sha="", gone=facts is None)
        for feed in ("pms", "payer")
        for key, line in _statements([f.batch() for f in told if f.feed == feed]).items()
        for instant, facts in line.items()
    ]  # fmt: skip
    out = set()
    for ref in {s.item for s in statements}:
        folded = items.fold("claim", [s for s in statements if s.item == ref])
        keys = frozenset(key for key, item in owner.items() if item == ref)
        facts = repr(sorted(folded.facts.items()))
        out.add(Told(keys, facts, folded.opened_at, folded.moved_at, folded.gone, int(folded.facts.get("charge_cents", 0))))
    return out


def _statements(batches: Sequence[Batch]) -> dict[Key, dict[datetime, dict[str, Any] | None]]:
    """What one feed said of each thing at each instant; None: that it is gone."""
    out: dict[Key, dict[datetime, dict[str, Any] | None]] = defaultdict(dict)
    for batch in batches:
        for row in batch.rows:
            facts, line = encode(row.facts), out[row.keys[0]]
            before = line.get(batch.as_of)
            line[batch.as_of] = facts if before is None else max(facts, before, key=items._sha)
    first = {key: min(line) for key, line in out.items()}
    for batch in batches:
        listed = {row.keys[0] for row in batch.rows}
        for key, line in out.items():
            absent = batch.covers == "snapshot" and batch.as_of > first[key]
            if (absent or key in batch.deleted) and key not in listed:
                line.setdefault(batch.as_of, None)
    return out


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_files_in_any_order_and_number_give_the_same_items(engine: Engine, data: st.DataObject) -> None:
    """Lost: a report that arrives late, twice, or beside another would leave other items than the same reports in order."""
    told = data.draw(histories)
    again = data.draw(st.lists(st.sampled_from(told), max_size=4))
    any_order_gives_one_world(engine, told, data.draw(st.permutations([*told, *again])))


@pytest.mark.postgres
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_files_in_any_order_give_the_same_items_on_postgres(postgres_engine: Engine, data: st.DataObject) -> None:
    """Lost: the larger installations would count claims differently from the small ones."""
    told = data.draw(histories)
    any_order_gives_one_world(postgres_engine, told, data.draw(st.permutations([*told, *told[:2]])))


# --- stillness --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "batches, moved",
    [
        pytest.param([said(1, claim("C1"))], 1, id="first seen"),
        pytest.param([said(1, claim("C1")), said(5, claim("C1"))], 1, id="imported again, nothing changed"),
        pytest.param([said(1, claim("C1", status="sent")), said(5, claim("C1", status="denied"))], 5, id="status changed"),
        pytest.param(
            [said(1, claim("C1", charge_cents=1)), said(5, claim("C1", charge_cents=2))], 1, id="bookkeeping is no movement"
        ),
        pytest.param([said(5, claim("C1", status="sent", touched_at=at(-90)))], -90, id="the source says when"),
        pytest.param(
            [said(1, claim("C1", touched_at=at(0))), said(5, claim("C1", touched_at=at(4)))], 4, id="touched between reports"
        ),
        pytest.param(
            [said(1, claim("C1", status="sent")), said(3, claim("C1", status="denied")), said(5, claim("C1", status="sent"))],
            5, id="there and back is two movements",
        ),
        pytest.param([said(1, claim("C1")), said(3), said(5, claim("C1"))], 1, id="left out of one report"),
        pytest.param([said(5, claim("C1")), said(1, claim("C1"))], 1, id="an old report read late"),
        pytest.param([said(1, claim("C1", sent_at=at(40)))], 1, id="an instant still to come is no movement yet"),
    ],
)  # fmt: skip
def test_movement_is_the_last_change_that_matters(engine: Engine, batches: list[Batch], moved: float) -> None:
    """Lost: importing a report again would look like work, and stalled claims would never be found."""
    merge(engine, feed_of(), *batches)
    assert only(engine).moved_at == at(moved)


def test_one_claim_in_two_reports_and_an_era_is_one_item_with_three_sources(engine: Engine) -> None:
    """Lost: the same claim would be nudged about three times, and what the payer said would close none of them."""
    number, icn = Key("claim_no", "C1"), Key("payer_icn", "88-1")
    merge(engine, feed_of("pms"), said(1, claim("C1", status="sent", charge_cents=12_000)))
    era = Row("claim", (icn, number), {"status": "denied", "denied_at": at(2), "reasons": ("CO-16",)})
    merge(engine, feed_of("era"), said(2, era, covers="delta"))
    merge(engine, feed_of("clearinghouse"), said(3, Row("claim", (icn,), {"touched_at": at(3)})))
    item = only(engine)
    with read(engine) as session:
        look = items.look(session, item.ref)
    assert look is not None
    assert look.keys == (("claim_no", "C1"), ("payer_icn", "88-1"))
    assert look.sources == (("harbor-clearinghouse", at(3)), ("harbor-era", at(2)), ("harbor-pms", at(1)))
    assert dict(look.facts)["status"] == "denied"
    assert (item.amount_cents, item.moved_at, item.open) == (12_000, at(3), True)


def test_a_key_that_joins_two_items_late_leaves_one_and_has_the_other_judged(engine: Engine) -> None:
    """Lost: the same claim would stay on two lists, and a nudge about the vanished half would stand for ever."""
    merge(engine, feed_of("pms"), said(1, claim("C1")))
    merge(engine, feed_of("era"), said(2, Row("claim", (Key("payer_icn", "88"),), {"status": "denied"}), covers="delta"))
    with write(engine) as session:
        session.execute(update(Item).values(wake_at=None))
    merge(engine, feed_of("pms"), said(3, claim("C1", Key("payer_icn", "88"))))
    kept = only(engine)
    with read(engine) as session:
        lost = session.scalars(select(Item).where(col(Item.merged_into) != "")).one()
        found = items.look(session, lost.ref)
        due = {item.ref for item in items.due(session, NOW, [])}
    assert lost.merged_into == kept.ref
    assert (lost.gone, lost.open) == (True, False)
    assert found is not None
    assert found.ref == kept.ref
    assert due == {kept.ref, lost.ref}


def test_a_claim_ends_with_its_payment_and_a_thing_ends_when_no_snapshot_names_it(engine: Engine) -> None:
    """Lost: paid and vanished work would be counted as open for ever."""
    merge(engine, feed_of(), said(1, claim("C1")))
    assert only(engine).open
    merge(engine, feed_of(), said(2, claim("C1", status="paid", paid_cents=1)))
    assert not only(engine).open
    merge(engine, feed_of(), said(3))
    assert only(engine).gone


# --- who may judge ------------------------------------------------------------------------------------------------------------


def unjudged(engine: Engine, *feeds: FeedConfig, now: datetime) -> set[tuple[str, str]]:
    with read(engine) as session:
        return items.unjudged(session, {f.id: f for f in feeds}, now)


def test_a_missing_file_is_a_stale_feed_and_a_fresh_empty_one_a_statement(engine: Engine) -> None:
    """Lost: the morning the export job died would send fifty nudges about work that was done."""
    feed = feed_of(stale=timedelta(hours=26))
    merge(engine, feed, said(1, claim("C1")))
    assert unjudged(engine, feed, now=at(27)) == set()
    assert unjudged(engine, feed, now=at(27) + timedelta(seconds=1)) == {("harbor", "claim")}
    merge(engine, feed, said(40))
    assert unjudged(engine, feed, now=at(41)) == set()
    assert only(engine).gone


def test_the_same_empty_file_on_the_next_day_keeps_a_feed_fresh(engine: Engine) -> None:
    """Lost: a practice with nothing to report would be told that its feed is dead."""
    feed = feed_of(stale=timedelta(hours=26))
    empty = replace(said(1), sha256="a" * 64)
    merge(engine, feed, empty, replace(empty, as_of=at(25)), replace(empty, as_of=at(49)))
    with read(engine) as session:
        assert items.stale(session, {feed.id: feed}, at(60)) == []


def test_a_feed_that_never_spoke_is_stale_and_only_what_it_announces_waits(engine: Engine) -> None:
    """Lost: a feed that is configured and silent would let its obligations fire, or hold back those of others."""
    feed = feed_of(kinds=["claim"])
    with read(engine) as session:
        assert [s.as_of for s in items.stale(session, {feed.id: feed}, NOW)] == [None]
    assert unjudged(engine, feed, now=NOW) == {("harbor", "claim")}


def test_a_feed_that_names_other_sites_is_known_at_each_of_them(engine: Engine) -> None:
    """Lost: an export for two offices would go stale at one only, and the other's people be contradicted on old data."""
    feed = feed_of(stale=timedelta(hours=26))
    merge(engine, feed, said(1, claim("C1"), replace(claim("C2"), site="pine")))
    assert unjudged(engine, feed, now=at(2)) == set()
    assert unjudged(engine, feed, now=NOW) == {("harbor", "claim"), ("pine", "claim")}
    with read(engine) as session:
        assert items.known_until(session, {feed.id: feed}, "pine", "claim") == at(1)
        items.end_first_pull(session, feed)
        assert items.past_until(session, {feed.id: feed}) == {("harbor", "claim"): at(1), ("pine", "claim"): at(1)}


def test_an_obligation_without_a_feed_is_judged(engine: Engine) -> None:
    """Lost: a practice that keeps no spore log at all would be the one that never hears of it."""
    feed = feed_of(stale=timedelta(hours=1))
    merge(engine, feed, said(1, claim("C1")))
    assert ("harbor", "sterilizer_week") not in unjudged(engine, feed, now=NOW)
    with read(engine) as session:
        assert items.known_until(session, {feed.id: feed}, "harbor", "sterilizer_week") is None


def test_snapshots_decide_and_deltas_only_where_there_are_none(engine: Engine) -> None:
    """Lost: a payer that sends nothing for a fortnight would stop all judging of claims, or a dead PMS export would not."""
    pms, era = feed_of("pms", stale=timedelta(hours=26)), feed_of("era", stale=timedelta(days=14))
    merge(engine, era, said(1, claim("C1"), covers="delta"))
    assert unjudged(engine, era, now=at(1) + timedelta(days=15)) == {("harbor", "claim")}
    merge(engine, pms, said(2, claim("C1")))
    assert unjudged(engine, pms, era, now=at(20)) == set()
    assert unjudged(engine, pms, era, now=at(40)) == {("harbor", "claim")}
    merge(engine, pms, said(24 * 16, claim("C1")))
    assert unjudged(engine, pms, era, now=at(24 * 16 + 1)) == set()
    with read(engine) as session:
        assert items.known_until(session, {f.id: f for f in (pms, era)}, "harbor", "claim") == at(24 * 16)


def test_what_stalled_before_the_first_import_is_the_past(engine: Engine) -> None:
    """Lost: the day a feed is connected, everybody would be nudged about everything that ever lay."""
    feed = feed_of()
    feeds = {feed.id: feed}
    merge(engine, feed, said(1, claim("C1")), said(9, claim("C1")))
    with write(engine) as session:
        assert items.past_until(session, feeds) == {("harbor", "claim"): at(9)}  # also where its first pull broke off
        items.end_first_pull(session, feed)
        assert items.past_until(session, feeds) == {("harbor", "claim"): at(9)}
    merge(engine, feed, said(20, claim("C1")))
    with write(engine) as session:
        items.end_first_pull(session, feed)
        assert items.past_until(session, feeds) == {("harbor", "claim"): at(9)}


def test_due_gives_what_is_due_and_judged_oldest_first(engine: Engine) -> None:
    """Lost: a tick would look at every open item, or at those on which nothing may be judged."""
    merge(engine, feed_of(), said(1, claim("C1"), claim("C2"), claim("C3")))
    with write(engine) as session:
        for number, item in enumerate(session.scalars(select(Item).order_by(col(Item.ref)))):
            item.wake_at = NOW - number * HOUR if number else NOW + timedelta(seconds=1)
    with read(engine) as session:
        assert [i.wake_at for i in items.due(session, NOW, [])] == [NOW - 2 * HOUR, NOW - HOUR]
        assert len(items.due(session, NOW, [], limit=1)) == 1
        assert items.due(session, NOW, [("harbor", "claim")]) == []
        assert len(items.due(session, NOW, [("harbor", "era"), ("pine", "claim")])) == 2


# --- what the calendar expects ----------------------------------------------------------------------------------------------


def weeks(engine: Engine, since: datetime, now: datetime) -> list[str]:
    with write(engine) as session:
        return items.expect_weeks(session, HARBOR, ["H1", "H2"], since, now)


def test_every_sterilizer_and_week_is_expected_once(engine: Engine) -> None:
    """Lost: the week in which nobody opened the log would have no item to notice it by, or two."""
    assert len(weeks(engine, NOW - timedelta(days=14), NOW)) == 6
    assert weeks(engine, NOW - timedelta(days=14), NOW + HOUR) == []
    assert len(weeks(engine, NOW - timedelta(days=14), NOW + timedelta(days=3))) == 2  # Monday


@pytest.mark.parametrize("log_first", [True, False])
def test_a_week_begins_on_its_monday_whenever_the_log_first_names_it(engine: Engine, log_first: bool) -> None:
    """Lost: a late log row would move the week's end, and open a second nudge about the same week."""
    row = Row("sterilizer_week", (Key("sterilizer_week", "H1/2026-W06"),), {"result": "pass"})
    late = Batch((row,), "", at(24 * 9), "snapshot", "sterilizer_week")  # on Wednesday of week 7
    if log_first:
        merge(engine, feed_of("spore"), late)
    weeks(engine, START, NOW)
    if not log_first:
        merge(engine, feed_of("spore"), late)
    merge(engine, feed_of("spore"), replace(late, as_of=at(24 * 11)))
    with read(engine) as session:
        ref = items.by_key(session, "H1/2026-W06")
        item = session.get_one(Item, ref)
    assert item.opened_at == datetime(2026, 2, 2, 5, tzinfo=UTC)  # Monday 00:00 in New York


# --- two sweeps at once -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StandingClock:
    """A clock that stands."""

    at: datetime

    def now(self) -> datetime:
        return self.at


EARLIER = datetime(2026, 3, 4, 17, tzinfo=UTC)
LATER = datetime(2026, 3, 6, 17, tzinfo=UTC)
STAMP = "2026-03-04T1200"


def installation(home: Path, url: str, now: datetime) -> Holdfast:
    return Holdfast(Settings(home=home, database_url=url), StandingClock(now))


def furnish(home: Path) -> None:
    """The sample practice with the claims, plans and advices of its first weeks."""
    for name in ("practice.toml", "feeds.toml"):
        shutil.copyfile(SAMPLE / name, home / name)
    shutil.copytree(SAMPLE / "maps", home / "maps")
    receive(home, lambda name: name.partition("_")[2] < STAMP)


def receive(home: Path, wanted: Any) -> None:
    for file in SAMPLE.glob("exports/*/*"):
        folder = home / "exports" / file.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        if file.name.partition("_")[2] > "2026-03-02" and wanted(file.name):
            shutil.copyfile(file, folder / file.name)


def sweep_five_times(home: Path, url: str, start: Any) -> None:
    """What each of the two processes does: forget where every feed was read to, and sweep."""
    holdfast = installation(home, url, LATER)
    holdfast.standing()
    start.wait(60)
    for _ in range(5):
        with write(holdfast.engine) as session:
            session.execute(update(Feed).values(cursor=None))
        holdfast.tick(LATER)
    holdfast.engine.dispose()


def outcome(engine: Engine) -> dict[str, Counter[Any]]:
    """What is known, what was found, and what reached whom, without random references."""
    with read(engine) as session:
        name = {item: f"{kind}:{value}" for item, kind, value in session.execute(
            select(col(ItemKey.item), col(ItemKey.kind), col(ItemKey.value)).order_by(col(ItemKey.value)))}  # fmt: skip
        return {
            "items": Counter(session.scalars(select(col(Item.kind)))),
            "nudges": Counter((name.get(n.item, n.item), n.rule, n.state, n.sends) for n in session.scalars(select(Nudge))),
            "messages": Counter((m.person, m.kind) for m in session.scalars(select(ConsoleMessage))),
        }


def test_ten_imports_from_two_processes_at_once_are_one_import(database_url: str, tmp_path: Path) -> None:
    """Lost: a second worker, or a folder read again, would make a second item of a claim or send a second message about it."""
    homes = {name: tmp_path / name for name in ("once", "often")}
    urls = {"once": f"sqlite:///{tmp_path / 'once' / 'holdfast.sqlite'}", "often": database_url}
    if database_url.startswith("sqlite"):
        urls["often"] = f"sqlite:///{tmp_path / 'often' / 'holdfast.sqlite'}"
    for name, home in homes.items():
        home.mkdir()
        furnish(home)
        holdfast = installation(home, urls[name], EARLIER)
        holdfast.ingest([STARTER], publish=True, by="olu", now=EARLIER)
        holdfast.tick(EARLIER)
        receive(home, lambda name: STAMP <= name.partition("_")[2] < "2026-03-06T1200")
        holdfast.engine.dispose()
    once = installation(homes["once"], urls["once"], LATER)
    once.tick(LATER)
    once.tick(LATER)
    spawn = multiprocessing.get_context("spawn")
    start = spawn.Barrier(2)
    both = [spawn.Process(target=sweep_five_times, args=(homes["often"], urls["often"], start)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(120)
    assert [process.exitcode for process in both] == [0, 0]
    often = installation(homes["often"], urls["often"], LATER)
    assert outcome(often.engine) == outcome(once.engine)
    with read(often.engine) as session:
        repeated = select(col(ConsoleMessage.marker)).group_by(col(ConsoleMessage.marker)).having(func.count() > 1)
        assert list(session.scalars(repeated)) == []
        assert outcome(often.engine)["messages"].total() > 3
    for holdfast in (once, often):
        holdfast.engine.dispose()
