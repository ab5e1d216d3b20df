"""A small practice that a test can write, run and look into: two sites in two zones, five people, claims, a clock by hand."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlmodel import col, select

from bot import evidence, sweep
from bot.app import Holdfast
from bot.chat import Platform
from bot.hours import digest_at
from bot.records import Delivery, ExceptionAsked, Nudge, read
from bot.settings import Settings

NEW_YORK, DENVER = ZoneInfo("America/New_York"), ZoneInfo("America/Denver")
ZONES = {"harbor": NEW_YORK, "pine": DENVER}
STARTER = Path(__file__).parent.parent.parent / "knowledge" / "starter"
PUBLISHED = datetime(2026, 1, 5, 15, tzinfo=UTC)

TWO_SITES = """
[organisation]
name = "Two Chairs Dental"

[sites.harbor]
name = "Harbor"
time_zone = "America/New_York"
manager = "MANAGER"
hours = { mon-fri = "08:00-17:00" }

[sites.pine]
name = "Pine"
time_zone = "America/Denver"
manager = "MANAGER"
hours = { mon-fri = "08:00-17:00" }
"""
"""A practice file up to its people. Put the id of who runs both sites in the place of MANAGER."""

PRACTICE = (
    TWO_SITES.replace("MANAGER", "mona")
    + """
[people.bea]
name = "Bea Lindqvist"
roles = ["billing_coordinator@harbor"]
cover = ["tom"]

[people.tom]
name = "Tom Achterberg"
roles = ["billing_coordinator@pine", "treatment_coordinator@*"]
shifts = { pine = { mon-fri = "08:00-17:00" }, harbor = { mon-fri = "08:00-17:00" } }

[people.rae]
name = "Rae Whitlock"
roles = ["rcm_specialist@*"]

[people.mona]
name = "Mona Ferris"
roles = ["office_manager@*"]
cover = ["olu"]

[people.olu]
name = "Dr. Olu Abayomi"
roles = ["owner_dentist@*", "operations_lead@*"]
"""
)

FEED = """
[feeds.{site}-claims]
connector = "csv_file"
site = "{site}"
path = "exports/{site}-claims"
stale_after = "{stale_after}"
map = "maps/claims.toml"
"""

MAP = """
kind = "claim"
covers = "snapshot"
as_of = "name:%Y-%m-%dT%H%M"

[keys]
claim_no = "Claim #"

[facts]
sent_at = { column = "Sent", format = "%Y-%m-%d %H:%M" }
touched_at = { column = "Last activity", format = "%Y-%m-%d %H:%M" }
charge_cents = "Fee"
status = { column = "Status", words = { "Ready" = "unsent", "Sent" = "sent", "Paid" = "paid" } }
"""


def at(day: str, clock: str, site: str = "harbor") -> datetime:
    """An instant by the wall clock of a site: at("2026-03-04", "08:30")."""
    return datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=ZONES[site]).astimezone(UTC)


START = at("2026-03-02", "09:00")
"""A Monday. A claim last touched at 8:30 that day has stalled on Wednesday at 8:30: the SOP says 48 hours."""
STALLED = at("2026-03-04", "08:30")
"""48 hours of open days after that touch."""


@dataclass(frozen=True)
class Claim:
    """One line of the claims report. `touched` and `sent` are aware."""

    number: str
    touched: datetime
    fee: str = "1,250.00"
    status: str = "Sent"
    sent: datetime = START - timedelta(days=3)


class MovableClock:
    """Stands where it was put."""

    def __init__(self, now: datetime) -> None:
        self.at = now

    def now(self) -> datetime:
        return self.at


class Installation(Holdfast):
    """An installation whose messages go where a test wants them to go; to the console if it does not say."""

    sends_to: Platform | None = None

    @property
    def platforms(self) -> Mapping[str, Platform]:
        return {name: self.sends_to or platform for name, platform in super().platforms.items()}


def furnish(home: Path, *, practice: str = PRACTICE, stale_after: str = "80 h") -> None:
    """Write the files that a practice writes by hand."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "practice.toml").write_text(practice)
    (home / "feeds.toml").write_text("".join(FEED.format(site=site, stale_after=stale_after) for site in ZONES))
    (home / "maps").mkdir(exist_ok=True)
    (home / "maps" / "claims.toml").write_text(MAP)
    for site in ZONES:
        (home / "exports" / f"{site}-claims").mkdir(parents=True, exist_ok=True)


def write_report(home: Path, site: str, when: datetime, claims: Sequence[Claim], more: Mapping[str, str] | None = None) -> Path:
    """The claims report of a site as its software writes it; `more` are columns that the map does not name."""
    local = when.astimezone(ZONES[site])
    path = home / "exports" / f"{site}-claims" / f"claims_{local:%Y-%m-%dT%H%M}.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["Claim #", "Status", "Sent", "Last activity", "Fee", *(more or {})])
        for claim in claims:
            stamps = [f"{each.astimezone(ZONES[site]):%Y-%m-%d %H:%M}" for each in (claim.sent, claim.touched)]
            rows.writerow([claim.number, claim.status, *stamps, claim.fee, *(more or {}).values()])
    return path


def published_home(home: Path) -> None:
    """A home with the starter library in force, to be copied by tests: publishing takes longer than most of them."""
    holdfast = Holdfast(settings_of(home))
    holdfast.ingest([STARTER], publish=True, by="olu", now=PUBLISHED)
    holdfast.close()


def settings_of(home: Path) -> Settings:
    return Settings(home=home, database_url=f"sqlite:///{home / 'holdfast.sqlite'}", embedding_model="none")


@dataclass
class Small:
    """The practice of one test: its home, its clock, what its software has exported, and what the tables hold."""

    home: Path
    holdfast: Installation
    clock: MovableClock
    claims: dict[str, dict[str, Claim]] = field(default_factory=lambda: {"harbor": {}, "pine": {}})

    @staticmethod
    def open(template: Path, home: Path, *, now: datetime = START, practice: str = PRACTICE, stale_after: str = "80 h",
             database_url: str = "", settings: Mapping[str, Any] | None = None) -> Small:  # fmt: skip
        """A practice in a new home; with `database_url` its tables are there, and the library is published into them.

        settings   what differs from those of a practice that has the console alone: the tokens of a chat service
        """
        furnish(home, practice=practice, stale_after=stale_after)
        clock = MovableClock(now)
        if not database_url:
            shutil.copyfile(template / "holdfast.sqlite", home / "holdfast.sqlite")
        own: dict[str, Any] = {**(settings or {}), **({"database_url": database_url} if database_url else {})}
        holdfast = Installation(replace(settings_of(home), **own), clock)
        if database_url:
            holdfast.ingest([STARTER], publish=True, by="olu", now=PUBLISHED)
        return Small(home, holdfast, clock)

    @property
    def writes_on(self) -> Platform:
        """Where its people are written to: a chat service, or the console where the settings name none."""
        return next(iter(self.holdfast.chats.values()), self.holdfast.console)

    # --- the software of the practice ----------------------------------------------------------------------------------

    def report(self, site: str = "harbor", *claims: Claim, gone: Sequence[str] = (), when: datetime | None = None) -> None:
        """The site's software writes its claims report: these claims are as given, the others as they were."""
        known = self.claims[site]
        known.update({claim.number: claim for claim in claims})
        for number in gone:
            known.pop(number)
        write_report(self.home, site, when or self.clock.now(), list(known.values()))

    def touch(self, number: str, site: str = "harbor", when: datetime | None = None) -> None:
        """Somebody works on a claim, and the report shows it."""
        self.report(site, replace(self.claims[site][number], touched=when or self.clock.now()))

    # --- time ----------------------------------------------------------------------------------------------------------

    def tick(self) -> sweep.Swept:
        return self.holdfast.tick(self.clock.now())

    def until(self, to: datetime) -> None:
        """Let time pass: a sweep at every instant at which a row falls due or a stand-up goes out, and one at the end."""
        self.tick()
        while self.clock.at < to:
            self.clock.at = min(self._next(), to)
            self.tick()

    def passes(self, **length: float) -> None:
        self.until(self.clock.at + timedelta(**length))

    def _next(self) -> datetime:
        now = self.clock.at
        moments = [due for due in [sweep.next_moment(self.holdfast.engine, now)] if due]
        for site in self.holdfast.practice.sites.values():
            day = now.astimezone(site.zone).date()
            goes_out = (digest_at(site, day + timedelta(days=n), sweep.BEFORE_OPENING) for n in range(8))
            moments += [moment for moment in goes_out if moment and moment > now][:1]
        return min(moments)

    # --- looking into the tables ---------------------------------------------------------------------------------------

    def nudge(self, number: str = "C-1", rule: str = "claim_untouched") -> Nudge:
        """The newest nudge about a claim."""
        from bot import items

        with read(self.holdfast.engine) as session:
            item = items.by_key(session, number)
            query = select(Nudge).where(col(Nudge.item) == item, col(Nudge.rule) == rule)
            return session.exec(query.order_by(col(Nudge.opened_at).desc())).first() or _none(number)

    def nudges(self) -> list[Nudge]:
        with read(self.holdfast.engine) as session:
            return list(session.exec(select(Nudge).order_by(col(Nudge.opened_at))))

    def deliveries(self) -> list[Delivery]:
        with read(self.holdfast.engine) as session:
            return list(session.exec(select(Delivery).order_by(col(Delivery.created_at), col(Delivery.marker))))

    def exceptions(self) -> list[ExceptionAsked]:
        with read(self.holdfast.engine) as session:
            return list(session.exec(select(ExceptionAsked).order_by(col(ExceptionAsked.asked_at))))

    def told(self, subject: str = "") -> list[str]:
        """What the ledger says happened, in order; of one nudge, or of everything."""
        with read(self.holdfast.engine) as session:
            return [e.event.what for e in evidence.read(session) if not subject or e.event.subject == subject]

    def events(self, what: str) -> list[evidence.Event]:
        with read(self.holdfast.engine) as session:
            return [e.event for e in evidence.read(session) if e.event.what == what]

    def verify(self) -> evidence.Verdict:
        with read(self.holdfast.engine) as session:
            return evidence.verify(session)


Opens = Callable[..., Small]


def stalled(small: Small, claims: int = 1) -> Small:
    """These claims lie still; it is one minute before they have done so for 48 hours. Each nudge is a message of its own."""
    small.holdfast.settings = replace(small.holdfast.settings, bundle_from=0)
    small.report("harbor", *(Claim(f"C-{n}", START - timedelta(minutes=30)) for n in range(1, claims + 1)))
    small.report("pine")
    small.tick()
    small.clock.at = STALLED - timedelta(minutes=1)
    small.tick()
    return small


def _none(number: str) -> Nudge:
    raise AssertionError(f"there is no nudge about {number}")


def on(day: date, clock: str, zone: ZoneInfo) -> datetime:
    """An instant by any wall clock."""
    return datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=zone).astimezone(UTC)
