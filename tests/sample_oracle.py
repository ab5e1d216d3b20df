"""What the sample practice's story must lead to, worked out without any code of the product.

`python -m tests.sample_oracle` rewrites sample_expectations.toml: which claim, plan, ERA and sterilizer-week stalls under which
rule, when, whose it is, and when the reports show the answer. Role and clock of each step are read from the starter SOPs, so
that file is written again when a clock there changes. Deadlines are counted here in plain local time: no clock change falls on
a day on which a site is open.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

from tests.sample_writer import FIRST, LAST, PAYERS_DOING, SITES, STATUS, Era, Life, Site, Story, tell

TABLE = Path(__file__).with_name("sample_expectations.toml")
STARTER = Path(__file__).parent.parent / "knowledge" / "starter"
ZONES = {"harbor": ZoneInfo("America/New_York"), "pine": ZoneInfo("America/Denver")}
STEPS = {
    "claim_untouched": "billing-claims#work-claims-daily",
    "rejection_unworked": "billing-claims#work-rejection",
    "denial_unworked": "billing-claims#work-denial",
    "claim_unresolved_30": "billing-claims#follow-up-30",
    "claim_unresolved_45": "billing-claims#escalate-45",
    "plan_unscheduled": "treatment-follow-up#schedule-treatment",
    "era_unposted": "billing-claims#post-era",
    "spore_log_missing": "infection-control#weekly-spore-test",
}
HOLDERS = {
    "harbor": {
        "billing_coordinator": "bea",
        "rcm_specialist": "rae",
        "treatment_coordinator": "tom",
        "sterilization_lead": "hana",
    },
    "pine": {
        "billing_coordinator": "priya",
        "rcm_specialist": "rae",
        "treatment_coordinator": "theo",
        "sterilization_lead": "tess",
    },
}
END = datetime.combine(LAST, time(18))


@dataclass(frozen=True)
class Finding:
    """One stall. Instants are the site's local time; `answered` is the report that shows it, None where none does."""

    rule: str
    key: str
    site: Site
    since: datetime
    fires: datetime
    answered: datetime | None
    backlog: bool


@dataclass(frozen=True)
class Known:
    """What is known of one claim at one instant."""

    status: str
    moved: datetime
    sent: datetime | None
    touched: datetime
    rejected: datetime | None
    denied: datetime | None
    worked: datetime | None
    escalated: datetime | None
    resolved: datetime | None

    def after(self, since: datetime, *names: str) -> bool:
        """Whether one of these happened after `since`."""
        return any((at := getattr(self, name)) is not None and at > since for name in names)


Stall = tuple[str, datetime, datetime]
"""rule, since, and the instant its clock runs out"""


def findings() -> list[Finding]:
    """Every stall of the story, by the instant it fires."""
    story = tell()
    found = [f for claim in story.claims for f in _told(claim.no, claim.site, _claim_stalls(claim, story.eras))]
    found += [f for plan in story.plans for f in _told(plan.no, plan.site, _plan_stalls(plan))]
    found += [f for era in story.eras for f in _told(era.trace, era.site, _era_stalls(era))]
    found += [f for site in SITES.values() for f in _spore_findings(site, story)]
    return sorted(found, key=lambda f: (f.fires.replace(tzinfo=ZONES[f.site.id]), f.rule, f.key))


def _told(key: str, site: Site, known: Iterable[tuple[datetime, list[Stall]]]) -> Iterator[Finding]:
    """Findings from what was known: at each instant of new knowledge, the stalls that it makes possible."""
    steps = [*known, (END, [])]
    first = next(site.reports())
    fired: set[tuple[str, datetime]] = set()
    for n, ((at, stalls), (until, _)) in enumerate(pairwise(steps)):
        for rule, since, out in stalls:
            if out < until and (rule, since) not in fired:
                fired.add((rule, since))
                rest = (later for later, others in steps[n + 1 : -1] if not any(o[:2] == (rule, since) for o in others))
                yield Finding(rule, key, site, since, max(at, out), next(rest, None), backlog=at == first and out <= first)


# --- claims --------------------------------------------------------------------------------------------------------------


def _claim_stalls(claim: Life, eras: Iterable[Era]) -> Iterator[tuple[datetime, list[Stall]]]:
    mine = [(e, o) for e in eras if e.site is claim.site for o in e.outcomes if o.claim.no == claim.no]
    reports = list(claim.site.reports())
    for at in sorted({*reports, *(e.received for e, _ in mine)}):
        read = [report for report in reports if report <= at]
        if not read or not claim.until(read[-1]):
            continue
        yield (
            at,
            list(_stalls_of(_known(claim, read, [(e.received, o.status) for e, o in mine if e.received <= at]), claim.site)),
        )


def _known(claim: Life, read: list[datetime], advised: list[tuple[datetime, str]]) -> Known:
    """The last report and the ERAs together; of two statuses the one that began to be said later is believed."""
    at = read[-1]
    past = claim.until(at)
    said = [_status(claim, report) for report in read]
    since = next(report for n, report in enumerate(read) if all(word == said[-1] for word in said[n:]))
    status, denied = said[-1], _last(claim, "denied", at)
    for received, code in advised:
        if received > since:
            status = "denied" if code == "4" else "paid"
        denied = denied or (received if code == "4" else None)
    touched = max(e.at for e in past if e.word not in PAYERS_DOING)
    sent = max((e.at for e in past if e.word in ("sent", "worked")), default=None)
    return Known(
        status,
        touched,
        sent,
        touched,
        _last(claim, "rejected", at),
        denied,
        _last(claim, "worked", at),
        _last(claim, "escalated", at),
        _last(claim, "paid", at),
    )


def _status(claim: Life, at: datetime) -> str:
    return next((STATUS[e.word] for e in reversed(claim.until(at)) if e.word in STATUS), "")


def _last(life: Life, word: str, at: datetime) -> datetime | None:
    event = life.last(word, at)
    return event.at if event else None


def _stalls_of(k: Known, site: Site) -> Iterator[Stall]:
    if k.status in ("unsent", "sent"):
        yield _stall("claim_untouched", k.moved, site)
    if k.status == "rejected" and k.rejected and not k.after(k.rejected, "worked", "sent", "resolved"):
        yield _stall("rejection_unworked", k.rejected, site)
    if k.status == "denied" and k.denied and not k.after(k.denied, "worked", "escalated", "sent", "resolved"):
        yield _stall("denial_unworked", k.denied, site)
    if k.status == "sent" and k.sent:
        month = _stall("claim_unresolved_30", k.sent, site)
        if not k.after(month[2] - timedelta(seconds=1), "touched", "escalated", "resolved"):
            yield month
        if not k.after(k.sent, "escalated", "resolved"):
            yield _stall("claim_unresolved_45", k.sent, site)


# --- plans, ERAs, sterilizers ----------------------------------------------------------------------------------------------


def _plan_stalls(plan: Life) -> Iterator[tuple[datetime, list[Stall]]]:
    for at in plan.site.reports():
        past = plan.until(at)
        if past:
            is_answered = any(e.word in ("scheduled", "declined") for e in past)
            contact = max(past[-1].at, datetime.combine(past[0].at.date(), time(8)))
            yield at, [] if is_answered else [_stall("plan_unscheduled", contact, plan.site)]


def _era_stalls(era: Era) -> Iterator[tuple[datetime, list[Stall]]]:
    yield era.received, [_stall("era_unposted", era.received, era.site)]
    for at in era.site.reports():
        if at > era.received:
            is_posted = era.posted is not None and era.posted <= at
            yield at, [] if is_posted else [_stall("era_unposted", era.received, era.site)]


def _spore_findings(site: Site, story: Story) -> Iterator[Finding]:
    """One for each sterilizer and ISO week whose test no report shows by closing time of the week's last open day."""
    names = sorted({name for name, _, _ in story.spores if name[0] == site.name[0]})
    for monday in (FIRST + timedelta(weeks=n) for n in range(4)):
        ends = _closing(site, max(site.days(monday, monday + timedelta(days=6))))
        year, week, _ = monday.isocalendar()
        for name in names:
            logged = [log for s, tested, log in story.spores if s == name and tested.isocalendar()[:2] == (year, week)]
            shown = [report for report in site.spore_logs() if logged and report >= logged[0]]
            if not shown or shown[0] > ends:
                since = datetime.combine(monday, time())
                answered = shown[0] if shown else None
                yield Finding("spore_log_missing", f"{name}/{year}-W{week:02d}", site, since, ends, answered, backlog=False)


# --- clocks --------------------------------------------------------------------------------------------------------------


def live_steps() -> dict[str, tuple[str, str]]:
    """Role and clock of each rule's step, as the starter SOPs have them."""
    return {rule: _step(*step.split("#")) for rule, step in STEPS.items()}


def _step(sop: str, step: str) -> tuple[str, str]:
    text = (STARTER / f"{sop}.md").read_text(encoding="utf-8")
    body = text.split(f"<!-- step: {step} -->", 1)[1].split("\n### ", 1)[0]
    who, clock = (re.search(rf"^- \*\*{word}:\*\* (.+)$", body, re.MULTILINE) for word in ("Who", "Clock"))
    if who is None or clock is None:
        raise ValueError(f"{sop}#{step} names no role or no clock")
    return who[1].strip().lower().replace(" ", "_"), clock[1].strip()


LIVE = live_steps()


def _stall(rule: str, since: datetime, site: Site) -> Stall:
    return rule, since, runs_out(since, LIVE[rule][1], site)


def runs_out(since: datetime, clock: str, site: Site) -> datetime:
    """When `48 h`, `2 open d` or `30 d` from a local instant is over; docs/sops.md, Clock."""
    amount, unit = re.fullmatch(r"(\d+) (h|open d|d)", clock).groups()  # type: ignore[union-attr]
    if unit == "h":
        return _into_hours(site, _hours_of_open_days(site, since, timedelta(hours=int(amount))))
    if unit == "d":
        last = since.date() + timedelta(days=int(amount))
        return next(shut for day in _open_days(site, last) if (shut := _closing(site, day)) > since)
    after = _open_days(site, since.date() + timedelta(days=1))
    return _closing(site, next(day for n, day in enumerate(after, start=1) if n == int(amount)))


def _hours_of_open_days(site: Site, since: datetime, left: timedelta) -> datetime:
    for day in _open_days(site, since.date()):
        start = max(since, datetime.combine(day, time()))
        end = datetime.combine(day, time()) + timedelta(days=1)
        if left <= end - start:
            return start + left
        left -= end - start
    raise AssertionError("open days do not end")


def _into_hours(site: Site, at: datetime) -> datetime:
    """`at` within opening hours, or the next opening."""
    for day in _open_days(site, at.date()):
        opens = datetime.combine(day, time(8))
        if at <= _closing(site, day):
            return max(at, opens)
    raise AssertionError("open days do not end")


def _open_days(site: Site, first: date) -> Iterator[date]:
    return site.days(first, first + timedelta(days=400))


def _closing(site: Site, day: date) -> datetime:
    return datetime.combine(day, time(14) if day.weekday() == 4 else time(17))


# --- the table -------------------------------------------------------------------------------------------------------------


def table() -> str:
    """sample_expectations.toml as it must be."""
    lines = [
        "# Written by `python -m tests.sample_oracle`; do not edit. What the sample practice's story leads to:",
        "#   since     the stillness began; it is the nudge's window",
        "#   fires     the step's clock has run out, and it is known",
        "#   answered  the first report that shows the answer; absent where none does",
        "#   backlog   true: it lay there at the feed's first import, so it goes into the manager's review",
        "",
        "[clocks]",
        *(f'{rule} = "{clock}"' for rule, (_, clock) in LIVE.items()),
    ]
    for f in findings():
        role = LIVE[f.rule][0]
        lines += [
            "",
            "[[finding]]",
            f'rule = "{f.rule}"',
            f'key = "{f.key}"',
            f'site = "{f.site.id}"',
            f'role = "{role}"',
            f'person = "{HOLDERS[f.site.id][role]}"',
            f"since = {_offset(f.since, f.site)}",
            f"fires = {_offset(f.fires, f.site)}",
            *([f"answered = {_offset(f.answered, f.site)}"] if f.answered else []),
            f"backlog = {str(f.backlog).lower()}",
        ]
    return "\n".join(lines) + "\n"


def _offset(at: datetime, site: Site) -> str:
    return at.replace(tzinfo=ZONES[site.id]).isoformat(timespec="seconds")


if __name__ == "__main__":
    TABLE.write_text(table(), encoding="utf-8")
    print(f"wrote {len(findings())} findings to {TABLE}")
