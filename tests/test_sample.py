"""The sample practice: its files are what the writer writes, the loaders read them, and the rules find the story told."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import pyx12.params
import pyx12.x12n_document
from sqlalchemy import Engine, select
from sqlmodel import Session, col

import connectors
from bot import items
from bot.hours import digest_at, parse_clock
from bot.people import coverage_gaps, holders, load_practice, load_roles, manager_on_duty, reachable_at
from bot.practice import Practice
from bot.records import Item, ItemKey, write
from bot.rules import Anchor, Finding, Loaded, load
from connectors import KINDS, Batch
from connectors.era835 import read, text_of
from tests import sample_oracle, sample_writer

HOME = Path(__file__).parent.parent / "bot" / "sample"
EXPORTS = HOME / "exports"
NEEDED = (
    "billing_coordinator", "treatment_coordinator", "front_desk", "sterilization_lead", "office_manager", "rcm_specialist",
    "owner_dentist", "compliance_officer",
)  # fmt: skip
GARBLED = "era_2026-02-25T0930.835"
SPOILED = "claims_2026-02-24T0700.csv"

Window = tuple[str, str, datetime]
"""rule, the item's own key, and since when it lies still"""


@pytest.fixture(scope="module")
def practice() -> Practice:
    return load_practice(HOME / "practice.toml", load_roles())


@pytest.fixture(scope="module")
def feeds(practice: Practice) -> dict[str, items.FeedConfig]:
    return items.load_feeds(HOME / "feeds.toml", practice.sites)


@pytest.fixture(scope="module")
def batches(practice: Practice, feeds: dict[str, items.FeedConfig]) -> list[tuple[items.FeedConfig, Batch]]:
    """Every batch of every feed, as the connectors give it."""
    found = []
    for feed in feeds.values():
        zone = practice.sites[feed.site].zone
        source = connectors.connect(feed.connector, feed.options, home=HOME, zone=zone, site=feed.site)
        found += [(feed, batch) for batch in source.fetch(None)]
    return found


def expectations() -> dict[str, Any]:
    return tomllib.loads(sample_oracle.TABLE.read_text(encoding="utf-8"))


def scenes() -> dict[str, Any]:
    return tomllib.loads((HOME / "scenes.toml").read_text(encoding="utf-8"))


# --- files ---------------------------------------------------------------------------------------------------------------


def test_the_exports_are_what_the_writer_writes(tmp_path: Path) -> None:
    """Without this an export could be edited by hand, and the story and its expectations would no longer be its source."""
    sample_writer.write(tmp_path / "exports")
    written = {path.relative_to(tmp_path / "exports"): path for path in (tmp_path / "exports").rglob("*") if path.is_file()}
    kept = {path.relative_to(EXPORTS): path for path in EXPORTS.rglob("*") if path.is_file()}
    assert written.keys() == kept.keys()
    differing = [str(name) for name in kept if kept[name].read_bytes() != written[name].read_bytes()]
    assert not differing, "run python tests/sample_writer.py"


def test_the_expectations_are_what_the_story_and_the_starter_clocks_give() -> None:
    """Without this a changed SOP clock would leave the end-to-end tests expecting nudges at the wrong instants."""
    assert sample_oracle.TABLE.read_text(encoding="utf-8") == sample_oracle.table(), "run python -m tests.sample_oracle"


def test_the_sample_stays_small() -> None:
    """The demo reads its history at every start; a heavy sample would make people wait for their first nudge."""
    assert sum(path.stat().st_size for path in HOME.rglob("*") if path.is_file()) < 1_500_000


def test_every_file_is_read_but_the_garbled_one(batches: list[tuple[items.FeedConfig, Batch]]) -> None:
    """A sample with accidental faults would teach newcomers that the readers are unreliable."""
    assert [batch.name for _, batch in batches if batch.unreadable] == [GARBLED]
    assert {batch.name for _, batch in batches if batch.problems} == {SPOILED}
    files = {path.name for path in EXPORTS.rglob("*") if path.is_file()}
    assert {batch.name for _, batch in batches} == files


def test_the_spoiled_report_loses_one_row_and_says_which(batches: list[tuple[items.FeedConfig, Batch]]) -> None:
    """The demo shows a real bad row; if it were read, or took the rest with it, there would be nothing to show."""
    claims = {batch.name: batch for feed, batch in batches if feed.id == "harbor-claims"}
    spoiled, after = claims[SPOILED], claims["claims_2026-02-24T1430.csv"]
    assert len(spoiled.rows) == len(after.rows) - 1
    assert any("column Status" in problem.where for problem in spoiled.problems)
    assert (spoiled.covers, after.covers) == ("delta", "snapshot")


def test_both_dialects_give_the_same_kinds_of_facts(batches: list[tuple[items.FeedConfig, Batch]]) -> None:
    """Pine's semicolons, Windows-1252 and $1,250.00 must not cost a fact that Harbor's plain export has."""
    facts: dict[str, set[str]] = {}
    for feed, batch in batches:
        for row in batch.rows:
            facts.setdefault(feed.id, set()).update(row.facts)
    for report in ("claims", "plans", "postings", "spore"):
        assert facts[f"harbor-{report}"] == facts[f"pine-{report}"]
    assert facts["pine-claims"] >= KINDS["claim"].keys() - {"patient_share_cents"}
    totals = {feed.id: batch.totals for feed, batch in batches if batch.as_of == datetime(2026, 2, 26, 14, 0, tzinfo=UTC)}
    assert totals["pine-claims"]["charge_cents"] == _charges("pine", datetime(2026, 2, 26, 7))  # noqa: DTZ001 - local


def _charges(site: str, at: datetime) -> int:
    story, dialect = sample_writer.tell(), sample_writer.DIALECTS[site]
    shown = [c for c in story.claims if c.site.id == site and sample_writer.claim_cells(c, at, story.eras, dialect)]
    return sum(claim.fee_cents for claim in shown)


def test_reports_name_no_patient() -> None:
    """The sample is copied into demos, tickets and screenshots: it must hold nothing that looks like a person's name."""
    for path in EXPORTS.rglob("*.csv"):
        header = path.read_bytes().splitlines()[1].decode("cp1252").lower()
        assert not re.search(r"patient|name|birth|dob|phone|address|member|subscriber|notes?\b", header), path.name
    for path in EXPORTS.rglob("*.835"):
        people = re.findall(r"NM1\*\w+\*1\*([^~]*)", path.read_text(encoding="ascii"))
        assert all(person.startswith("PATIENT*") for person in people)


# --- 835 -----------------------------------------------------------------------------------------------------------------

ERAS = sorted(path for path in EXPORTS.glob("*-era/*.835") if path.name != GARBLED)


@pytest.mark.parametrize("path", ERAS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_each_era_satisfies_the_implementation_guide_and_balances(path: Path) -> None:
    """An 835 that another program rejects, or that does not add up, would prove nothing about our reader."""
    assert pyx12.x12n_document.x12n_document(pyx12.params.params(), str(path), None, None, None, None)
    (check,) = read(text_of(path.read_bytes())).checks
    assert check.balanced
    assert all(claim.charge_cents == (claim.paid_cents or 0) + claim.adjusted_cents for claim in check.claims)


def test_an_era_pays_claims_that_the_site_billed() -> None:
    """Claim numbers join the payer's word to the office's; an ERA about unknown claims would make orphans."""
    story = sample_writer.tell()
    for era in story.eras:
        for outcome in era.outcomes:
            assert outcome.claim.site is era.site
            assert outcome.claim.events[0].at < era.received
    assert len(story.eras) == 8
    assert sum(outcome.status == "4" for era in story.eras for outcome in era.outcomes) == 1


# --- people --------------------------------------------------------------------------------------------------------------


def test_ten_people_hold_every_needed_role_at_both_sites(practice: Practice) -> None:
    """A role nobody holds would send every nudge of its rule to the manager, and the demo would show only escalations."""
    assert len(practice.people) == 10
    assert not practice.warnings
    for site in practice.sites:
        for role in NEEDED:
            assert holders(practice, role, site, sample_writer.FIRST), f"{role} at {site}"


def test_every_open_hour_has_somebody_for_every_role(practice: Practice) -> None:
    """While Max is away, and every afternoon after the east coast has closed, somebody still acts."""
    first, last = scenes()["begins"], scenes()["ends"]
    assert not coverage_gaps(practice, first, last)


def test_the_digest_reaches_a_manager_who_is_in(practice: Practice) -> None:
    """The stand-up goes out twenty minutes before opening; a manager who starts later would read it too late."""
    day = sample_writer.FIRST
    while day <= sample_writer.LAST:
        for id, site in practice.sites.items():
            at = digest_at(site, day, timedelta(minutes=20))
            if at is not None:
                reached, duty = manager_on_duty(practice, id, at, at)
                assert reached == at, f"{id} on {day}"
                assert duty.person.id == ("mona" if id == "harbor" or duty.instead_of else "max")
        day += timedelta(days=1)


def test_the_person_expected_is_the_one_who_holds_the_role(practice: Practice) -> None:
    """The table names people; it must follow the practice file."""
    for finding in expectations()["finding"]:
        day = finding["fires"].date()
        assert [p.id for p in holders(practice, finding["role"], finding["site"], day)] == [finding["person"]]


# --- scenes --------------------------------------------------------------------------------------------------------------


def test_each_scene_presses_a_nudge_that_is_there(practice: Practice) -> None:
    """A press before its nudge, or after its answer, would fail in the replay, and the demo would open without its history."""
    told = scenes()
    pressed = told["scene"]
    assert [s["at"] for s in pressed] == sorted(s["at"] for s in pressed)
    assert told["begins"] < pressed[0]["at"]
    assert pressed[-1]["at"] < told["start"] < told["ends"]
    stalls = expectations()["finding"]
    for scene in pressed:
        person = practice.people[scene["person"]]
        assert reachable_at(practice, person, scene["at"]) == scene["at"], f"{person.id} is not in at {scene['at']}"
        assert bool(scene.get("note")) == (scene["press"] in ("snooze", "cant", "wrong"))
        if scene["press"] in ("start_review", "leave_review"):
            assert any(f["backlog"] and f["rule"] == scene["rule"] and f["site"] == scene["about"] for f in stalls)
            continue
        mine = [f for f in stalls if (f["rule"], f["key"]) == (scene["rule"], scene["about"]) and f["fires"] < scene["at"]]
        assert mine, f"nothing to press for {scene['about']} at {scene['at']}"
        assert all(scene["at"] < f.get("answered", scene["at"] + timedelta(1)) for f in mine)


def test_every_review_of_the_first_import_is_answered() -> None:
    """An unanswered review would be the loudest card of a demo that is about something else."""
    answered = {(s["rule"], s["about"]) for s in scenes()["scene"] if s["press"].endswith("_review")}
    assert answered == {(f["rule"], f["site"]) for f in expectations()["finding"] if f["backlog"]}


def test_what_was_said_to_be_done_is_shown_or_never_was() -> None:
    """Two of the history's "done" are not true, and the reports contradict them; all others are shown within a day."""
    answered = {(f["rule"], f["key"]): f.get("answered") for f in expectations()["finding"]}
    untrue = set()
    for scene in scenes()["scene"]:
        if scene["press"] == "done":
            shown = answered[scene["rule"], scene["about"]]
            if shown is None or shown - scene["at"] > timedelta(hours=24):
                untrue.add((scene["about"], scene["at"].date().isoformat()))
    assert untrue == {("H-20405", "2026-02-20"), ("H-20410", "2026-02-26")}


# --- the rules find the story ----------------------------------------------------------------------------------------------


def test_the_rules_find_exactly_the_story(
    engine: Engine, practice: Practice, batches: list[tuple[items.FeedConfig, Batch]]
) -> None:
    """Connectors, merging, business hours and rules together must find what the story's own arithmetic says, and no more."""
    found, answered = _judged(engine, practice, batches)
    wanted, shown = {}, {}
    for f in expectations()["finding"]:
        window = (f["rule"], f["key"], f["since"].astimezone(UTC))
        wanted[window] = f["fires"].astimezone(UTC)
        if "answered" in f:
            shown[window] = f["answered"].astimezone(UTC)
    assert found == wanted
    assert answered == shown


def _judged(
    engine: Engine, practice: Practice, batches: list[tuple[items.FeedConfig, Batch]]
) -> tuple[dict[Window, datetime], dict[Window, datetime]]:
    """When each stall fires and when it is answered, with every batch applied at the instant for which it speaks."""
    rules = _rules()
    readable = sorted((b for b in batches if not b[1].unreadable), key=lambda b: (b[1].as_of, b[0].id))
    steps = [(at, list(group)) for at, group in groupby(readable, key=lambda b: b[1].as_of)]
    ends = [at for at, _ in steps[1:]] + [scenes()["ends"].astimezone(UTC)]
    found: dict[Window, datetime] = {}
    answered: dict[Window, datetime] = {}
    first = scenes()["begins"].astimezone(UTC)
    for (at, group), until in zip(steps, ends, strict=True):
        with write(engine) as session:
            for feed, batch in group:
                items.merge(session, feed, batch, at)
            for id, sterilizers in practice.sterilizers.items():
                items.expect_weeks(session, practice.sites[id], sterilizers, first, at)
            _look(session, practice.sites, rules, at, until, found, answered)
    return found, answered


def _look(
    session: Session,
    sites: Any,
    rules: dict[str, Loaded],
    at: datetime,
    until: datetime,
    found: dict[Window, datetime],
    answered: dict[Window, datetime],
) -> None:
    keys = dict(_keys(session))
    for item in session.scalars(select(Item).where(col(Item.merged_into) == "")):
        key = keys[item.ref]
        for rule in (r for r in rules.values() if r.rule.kind == item.kind):
            s = items.snapshot(item, sites[item.site], rule.anchor)
            _answers(rule, key, s, at, found, answered)
            wake = rule.wake_at(s)
            fires = max(wake, at) if wake else None
            if fires and fires < until:
                finding = rule.find(s, fires)
                assert finding is not None, f"{rule.rule.id} woke at {wake} and found nothing"
                found.setdefault((rule.rule.id, key, finding.since), fires)


def _answers(
    rule: Loaded, key: str, s: Any, at: datetime, found: dict[Window, datetime], answered: dict[Window, datetime]
) -> None:
    """Note at `at` every standing stall of this rule and item that the source has now answered."""
    for window in [w for w in found if w[:2] == (rule.rule.id, key) and w not in answered]:
        now_found: Finding | None = rule.find(s, max(at, found[window]))
        if rule.proof(s, window[2]) or now_found is None or now_found.since != window[2]:
            answered[window] = at


def _keys(session: Session) -> Iterator[tuple[str, str]]:
    """Each item's own key: what people in the office call it."""
    names = ("claim_no", "plan_no", "check_no", "sterilizer_week")
    for key in session.scalars(select(ItemKey).where(col(ItemKey.name).in_(names))):
        yield key.item, key.value


def _rules() -> dict[str, Loaded]:
    """Every rule on the role and clock of the starter SOPs."""
    by_step = {sample_oracle.STEPS[rule]: step for rule, step in sample_oracle.LIVE.items()}

    def anchor(step: str) -> Anchor | None:
        if step not in by_step:
            return None
        role, clock = by_step[step]
        sop, _, id = step.partition("#")
        return Anchor(sop, 1, id, role, parse_clock(clock))

    loaded, refused = load(anchor)
    assert not refused
    return loaded
