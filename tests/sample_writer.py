"""Writes the exports of the sample practice: `python tests/sample_writer.py` rewrites bot/sample/exports, byte for byte.

The story in sample_story.txt is the only source: the life of each claim and plan, in the site's own local time. What a report
shows is each life up to the instant in the report's name.
"""

from __future__ import annotations

import csv
import io
import random
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from pathlib import Path

SEED = 2026
STORY = Path(__file__).with_name("sample_story.txt")
EXPORTS = Path(__file__).parent.parent / "bot" / "sample" / "exports"
FIRST, LAST = date(2026, 2, 16), date(2026, 3, 13)

PRICES = {
    "D0120": 5200, "D0140": 8400, "D0220": 3100, "D0274": 7400, "D1110": 9800, "D1206": 4100, "D2391": 18700, "D2392": 23600,
    "D2740": 124000, "D2950": 28500, "D3330": 118500, "D4341": 26800, "D4910": 14200, "D6010": 231000, "D7140": 19600,
}  # fmt: skip
"""Fee in cents of each service code we bill."""


# --- the model -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Site:
    """Where the story is told: its open days, and the two instants of an open day at which reports are written."""

    id: str
    name: str
    closed: frozenset[date] = frozenset()

    def open_on(self, day: date) -> bool:
        return day.weekday() < 5 and day not in self.closed

    def days(self, first: date, last: date) -> Iterator[date]:
        for n in range((last - first).days + 1):
            if self.open_on(day := first + timedelta(days=n)):
                yield day

    def reports(self) -> Iterator[datetime]:
        """07:00 and 14:30 of each open day, 13:30 on Fridays, which end at 14:00; the first on the day we set up."""
        if not self.open_on(FIRST):
            yield datetime.combine(FIRST, time(7))
        for day in self.days(FIRST, LAST):
            yield datetime.combine(day, time(7))
            yield datetime.combine(day, time(13, 30) if day.weekday() == 4 else time(14, 30))

    def spore_logs(self) -> Iterator[datetime]:
        """With the first report, and with the second one of each open day: before the week ends."""
        for n, at in enumerate(self.reports()):
            if n == 0 or at.hour > 12:
                yield at


SITES = {
    "harbor": Site("harbor", "Harbor"),
    "pine": Site("pine", "Pine", frozenset({date(2026, 2, 16)})),  # keeps the public holidays; Harbor works on Presidents' Day
}


@dataclass(frozen=True)
class Event:
    at: datetime
    word: str
    more: tuple[str, ...] = ()


@dataclass(frozen=True)
class Life:
    """One claim or one plan: what happened to it, in order."""

    no: str
    site: Site
    codes: tuple[str, ...]
    events: tuple[Event, ...]

    @property
    def fee_cents(self) -> int:
        return sum(PRICES[code] for code in self.codes)

    def until(self, at: datetime) -> tuple[Event, ...]:
        return tuple(e for e in self.events if e.at <= at)

    def last(self, word: str, at: datetime) -> Event | None:
        return next((e for e in reversed(self.until(at)) if e.word == word), None)


STATUS = {
    "created": "unsent", "sent": "sent", "rejected": "rejected", "denied": "denied", "worked": "sent", "received": "received",
    "paid": "paid",
}  # fmt: skip
"""The status each event leaves a claim in; the others leave it as it was."""
PAYERS_DOING = {"rejected", "denied"}
"""Events that are no work of ours: the last activity stays where it was."""


@dataclass(frozen=True)
class Outcome:
    """One claim inside an ERA, in cents; adjustments as (group, reason, amount)."""

    claim: Life
    status: str
    sign: int
    adjustments: tuple[tuple[str, str, int], ...]

    @property
    def charge(self) -> int:
        return self.sign * self.claim.fee_cents

    @property
    def paid(self) -> int:
        return self.charge - sum(amount for _, _, amount in self.adjustments)

    @property
    def patient(self) -> int:
        return sum(amount for group, _, amount in self.adjustments if group == "PR")


@dataclass(frozen=True)
class Era:
    site: Site
    received: datetime
    trace: str
    payer: str
    posted: datetime | None
    outcomes: tuple[Outcome, ...]
    taken_back: int = 0

    @property
    def paid(self) -> int:
        return sum(o.paid for o in self.outcomes) - self.taken_back


@dataclass(frozen=True)
class Story:
    claims: tuple[Life, ...]
    plans: tuple[Life, ...]
    eras: tuple[Era, ...]
    spores: tuple[tuple[str, datetime, datetime], ...] = field(default=())
    """(sterilizer, tested, entered in the log)"""


def tell() -> Story:
    """The whole story, parsed; payments of posted ERAs are events in the lives of their claims."""
    told = _sections(STORY.read_text(encoding="utf-8"))
    claims = [life for site in SITES.values() for life in _lives(told[f"{site.id} claims"], site)]
    plans = [life for site in SITES.values() for life in _lives(told[f"{site.id} plans"], site)]
    by_no = {claim.no: claim for claim in claims}
    eras = tuple(_era(line, by_no) for line in told["eras"])
    posted = {o.claim.no: Event(e.posted, "paid") for e in eras if e.posted for o in e.outcomes if o.status == "1"}
    claims = [_with(c, posted[c.no]) if c.no in posted else c for c in claims]
    return Story(tuple(claims), tuple(plans), eras, tuple(_spores(told["spore"])))


def when(text: str) -> datetime:
    """`02-24T15:10` as a local instant; a bare day is its midnight."""
    year = 2025 if text.startswith("12-") else 2026
    return datetime.fromisoformat(f"{year}-{text}")


def _sections(text: str) -> dict[str, list[str]]:
    """The lines below each [title], without comments and blank lines."""
    sections: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("["):
            lines = sections.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            lines.append(line)
    return sections


def _lives(lines: Iterable[str], site: Site) -> Iterator[Life]:
    for line in lines:
        head, *words = (part.split() for part in line.split("|"))
        chance = random.Random(f"{SEED} {head[0]}")
        events = sorted((e for word in words for e in _events(word, site, chance)), key=lambda e: e.at)
        yield Life(head[0], site, tuple(head[1:]), _open_life(tuple(events)))


def _events(word: list[str], site: Site, chance: random.Random) -> Iterator[Event]:
    """The events of one part of a line. Daily touches fall between 08:30 and 10:00, so that both reports can show them."""
    if word[0] != "daily":
        yield Event(when(word[1]), word[0], tuple(word[2:]))
        return
    for day in site.days(when(word[1]).date(), when(word[2]).date()):
        yield Event(datetime.combine(day, time(8, 30)) + timedelta(minutes=chance.randrange(90)), "touched")


def _open_life(events: tuple[Event, ...]) -> tuple[Event, ...]:
    """Nobody touches a claim after it has been answered."""
    ends = min((e.at for e in events if e.word in ("received", "paid")), default=None)
    return tuple(e for e in events if ends is None or e.at <= ends or e.word != "touched")


def _with(claim: Life, event: Event) -> Life:
    events = sorted((*claim.events, event), key=lambda e: e.at)
    return replace(claim, events=_open_life(tuple(events)))


def _era(line: str, claims: Mapping[str, Life]) -> Era:
    head, posted, *parts = (part.split() for part in line.split("|"))
    site, received, trace, payer = head
    taken = sum(int(part[1]) for part in parts if part[0] == "take-back")
    outcomes = tuple(_outcome(claims[part[0]], part[1:]) for part in parts if part[0] != "take-back")
    at = None if posted[0] == "never" else when(posted[0])
    return Era(SITES[site], when(received), trace, payer, at, outcomes, taken)


def _outcome(claim: Life, words: list[str]) -> Outcome:
    """Denied: nothing paid. Otherwise 12 % is written off (CO-45), the patient owes a fifth (PR-2), the payer pays the rest."""
    if words[0] == "deny":
        group, reason = words[1].split("-")
        return Outcome(claim, "4", 1, ((group, reason, claim.fee_cents),))
    write_off = claim.fee_cents * 12 // 100
    share = (claim.fee_cents - write_off) // (10 if words[0] == "again" else 5)
    sign = -1 if words[0] == "undo" else 1
    return Outcome(claim, "22" if sign < 0 else "1", sign, (("CO", "45", sign * write_off), ("PR", "2", sign * share)))


def _spores(lines: Iterable[str]) -> Iterator[tuple[str, datetime, datetime]]:
    for line in lines:
        sterilizer, *tests = line.split()
        for test in tests:
            if test != "-":
                tested, _, logged = test.partition("/")
                yield sterilizer, when(tested), when(logged or tested)


# --- what a report shows -------------------------------------------------------------------------------------------------

Cells = dict[str, str]


@dataclass(frozen=True)
class Dialect:
    """How one site's software writes a report: separators, instants, money, words."""

    encoding: str
    delimiter: str
    instant: str
    day: str
    money: Callable[[int], str]
    title: str
    columns: Mapping[str, str]
    words: Mapping[str, str]

    def write(self, rows: Iterable[Cells], columns: Iterable[str], folder: Path, at: datetime) -> None:
        """One report as this software writes it: a line on what was run when, as most print, then the table."""
        names, title = list(columns), folder.name.partition("-")[2]
        text = io.StringIO()
        writer = csv.writer(text, delimiter=self.delimiter, lineterminator="\r\n")
        writer.writerow([self.title.format(title=title), f"Run {at.strftime(self.instant)}"])
        writer.writerow([self.columns.get(name, name) for name in names])
        for row in rows:
            writer.writerow([row[name] for name in names])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{title}_{_stamp(at)}.csv").write_bytes(text.getvalue().encode(self.encoding))


_CLAIM = (
    "Claim #", "Status", "DOS", "Sent", "Last activity", "Rejected on", "Denied on", "Worked on", "Escalated", "Resolved",
    "Fee", "Ins paid", "Reason codes", "Office",
)  # fmt: skip
_PLAN = ("Plan #", "Presented", "Status", "Procedures", "Estimate", "Scheduled procs", "Next visit", "Last contact", "Office")
_POSTING = ("Trace #", "Posted", "Amount posted", "Office")
_SPORE = ("Sterilizer", "Test date", "Read date", "Result")

DIALECTS = {
    "harbor": Dialect(
        encoding="utf-8-sig",
        delimiter=",",
        instant="%m/%d/%Y %I:%M %p",
        day="%m/%d/%Y",
        money=lambda cents: f"{cents / 100:.2f}",
        title="Harbor {title} report",
        columns={},
        words={
            "unsent": "Ready to send",
            "sent": "Sent",
            "rejected": "Rejected",
            "denied": "Denied",
            "received": "Received",
            "paid": "Paid",
            "active": "Active",
            "declined": "Declined",
        },
    ),
    "pine": Dialect(
        encoding="cp1252",
        delimiter=";",
        instant="%Y-%m-%d %H:%M",
        day="%Y-%m-%d",
        money=lambda cents: f"${cents / 100:,.2f}",
        title="Pine – {title}",
        columns={
            "Claim #": "Claim No.",
            "Status": "State",
            "DOS": "Service date",
            "Sent": "Submitted",
            "Fee": "Billed",
            "Last activity": "Last worked",
            "Ins paid": "Insurance paid",
            "Reason codes": "Codes",
            "Plan #": "Plan No.",
            "Estimate": "Plan total",
            "Trace #": "Check / EFT",
            "Office": "Clinic",
        },
        words={
            "unsent": "Open – not submitted",
            "sent": "Submitted – awaiting payer",
            "rejected": "Returned – clearinghouse",
            "denied": "Denied – payer",
            "received": "Answered",
            "paid": "Paid – posted",
            "active": "Open",
            "declined": "Refused",
        },
    ),
}


def claim_cells(claim: Life, at: datetime, eras: Iterable[Era], d: Dialect) -> Cells | None:
    """The row of one claim in the report of `at`; None before it exists and 30 days after it was answered."""
    past = claim.until(at)
    if not past:
        return None
    words = [e for e in past if e.word in STATUS]
    resolved = next((e.at for e in past if e.word == "paid"), None)
    if resolved and at - resolved > timedelta(days=30):
        return None
    sent = next((e.at for e in reversed(past) if e.word in ("sent", "worked")), None)
    moved = max((e.at for e in past if e.word not in PAYERS_DOING), default=None)
    reasons = next((e.more for e in reversed(past) if e.word in PAYERS_DOING), ())
    return {
        "Claim #": claim.no,
        "Status": d.words[STATUS[words[-1].word]],
        "DOS": past[0].at.strftime(d.day),
        "Sent": _instant(sent, d),
        "Last activity": _instant(moved, d),
        "Rejected on": _instant(_at(claim, "rejected", at), d),
        "Denied on": _instant(_at(claim, "denied", at), d),
        "Worked on": _instant(_at(claim, "worked", at), d),
        "Escalated": _instant(_at(claim, "escalated", at), d),
        "Resolved": _instant(resolved, d),
        "Fee": d.money(claim.fee_cents),
        "Ins paid": d.money(_paid(claim, eras, at) if resolved else 0),
        "Reason codes": " ".join(reasons),
        "Office": claim.site.name,
    }


def plan_cells(plan: Life, at: datetime, d: Dialect) -> Cells | None:
    past = plan.until(at)
    if not past:
        return None
    scheduled = plan.last("scheduled", at)
    return {
        "Plan #": plan.no,
        "Presented": past[0].at.strftime(d.day),
        "Status": d.words["declined" if plan.last("declined", at) else "active"],
        "Procedures": str(len(plan.codes)),
        "Estimate": d.money(plan.fee_cents),
        "Scheduled procs": scheduled.more[0] if scheduled else "0",
        "Next visit": _instant(when(scheduled.more[1]) if scheduled else None, d),
        "Last contact": _instant(past[-1].at, d),
        "Office": plan.site.name,
    }


def _at(life: Life, word: str, at: datetime) -> datetime | None:
    event = life.last(word, at)
    return event.at if event else None


def _instant(at: datetime | None, d: Dialect) -> str:
    return at.strftime(d.instant) if at else ""


def _paid(claim: Life, eras: Iterable[Era], at: datetime) -> int:
    """What the last posted ERA says was paid; for a claim that none of ours names, the usual share."""
    posted = [o for e in eras if e.posted and e.posted <= at for o in e.outcomes if o.claim.no == claim.no and o.status == "1"]
    return (posted[-1] if posted else _outcome(claim, ["pay"])).paid


# --- 835 -----------------------------------------------------------------------------------------------------------------

PAYERS = {
    "evergreen": ("EVERGREEN DENTAL PLAN", "900000001", "PO BOX 1200", "PORTLAND*OR*97208"),
    "cascade": ("CASCADE BENEFIT TRUST", "900000002", "400 SUMMIT STREET", "SEATTLE*WA*98101"),
}
NPI = "1234567893"  # the example number of the check-digit standard; nobody's
ORDINALS = ("ONE", "TWO", "THREE")


def write_835(era: Era) -> bytes:
    """One 005010X221A1 file with one check, one segment to a line; it balances at every level."""
    control = f"{int(era.received.strftime('%m%d%H%M')):09d}"
    name, payer_id, street, town = PAYERS[era.payer]
    body = [
        f"ST*835*{control[-4:]}",
        f"BPR*I*{_money(era.paid)}*C*CHK************{era.received:%Y%m%d}",
        f"TRN*1*{era.trace}*1{payer_id}",
        f"DTM*405*{era.received:%Y%m%d}",
        f"N1*PR*{name}",
        f"N3*{street}",
        f"N4*{town}",
        "PER*BL*PROVIDER SERVICES*TE*8005550100",
        f"N1*PE*HARBOR AND PINE DENTAL {era.site.name.upper()}*XX*{NPI}",
        f"REF*TJ*{payer_id[::-1]}",
        "LX*1",
        *(segment for n, outcome in enumerate(era.outcomes) for segment in _claim_loop(outcome, era, n)),
    ]
    if era.taken_back:
        body.append(f"PLB*{NPI}*20261231*WO:{era.trace}*{_money(era.taken_back)}")
    body.append(f"SE*{len(body) + 1}*{control[-4:]}")
    segments = [
        f"ISA*00*{'':10}*00*{'':10}*ZZ*{payer_id:<15}*ZZ*{'HPDENTAL':<15}*{era.received:%y%m%d}*{era.received:%H%M}"
        f"*^*00501*{control}*0*P*:",
        f"GS*HP*{payer_id}*HPDENTAL*{era.received:%Y%m%d}*{era.received:%H%M}*1*X*005010X221A1",
        *body,
        "GE*1*1",
        f"IEA*1*{control}",
    ]
    return "".join(f"{segment}~\n" for segment in segments).encode("ascii")


def _claim_loop(o: Outcome, era: Era, n: int) -> Iterator[str]:
    icn = f"{era.trace}{n + 1:02d}"
    owed = _money(o.patient) if o.patient else ""
    yield f"CLP*{o.claim.no}*{o.status}*{_money(o.charge)}*{_money(o.paid)}*{owed}*12*{icn}*11*1"
    yield f"NM1*QC*1*PATIENT*{ORDINALS[n]}****MI*SAMPLE{n + 1:03d}"
    left = [amount for _, _, amount in o.adjustments]
    for i, code in enumerate(o.claim.codes):
        charge = o.sign * PRICES[code]
        last = i == len(o.claim.codes) - 1
        shares = left if last else [amount * charge // o.charge for _, _, amount in o.adjustments]
        left = [rest - share for rest, share in zip(left, shares, strict=True)]
        yield f"SVC*AD:{code}*{_money(charge)}*{_money(charge - sum(shares))}**1"
        yield f"DTM*472*{o.claim.events[0].at:%Y%m%d}"
        for (group, reason, _), share in zip(o.adjustments, shares, strict=True):
            yield f"CAS*{group}*{reason}*{_money(share)}"


def _money(cents: int) -> str:
    sign = "-" if cents < 0 else ""
    whole, rest = divmod(abs(cents), 100)
    return f"{sign}{whole}.{rest:02d}".rstrip("0").rstrip(".") or "0"


# --- the folder ----------------------------------------------------------------------------------------------------------


def write(to: Path = EXPORTS) -> int:
    """Write every export below `to`, which is emptied first. Returns the number of files."""
    story = tell()
    if to.exists():
        shutil.rmtree(to)
    for site in SITES.values():
        _write_reports(story, site, to)
        _write_eras(story, site, to)
        _write_postings(story, site, to)
        _write_spores(story, site, to)
    return sum(1 for path in to.rglob("*") if path.is_file())


def _write_reports(story: Story, site: Site, to: Path) -> None:
    d = DIALECTS[site.id]
    for at in site.reports():
        claims = [claim_cells(c, at, story.eras, d) for c in story.claims if c.site is site]
        rows = [row for row in claims if row]
        if site.id == "harbor" and at == when("02-24T07:00"):
            _spoil(rows)
        d.write(rows, _CLAIM, to / f"{site.id}-claims", at)
        plans = [plan_cells(p, at, d) for p in story.plans if p.site is site]
        d.write([row for row in plans if row], _PLAN, to / f"{site.id}-plans", at)


def _spoil(rows: list[Cells]) -> None:
    """Somebody opened this report in a spreadsheet and left a remark where the status belongs: that row cannot be read."""
    next(row for row in rows if row["Claim #"] == "H-20331")["Status"] = "Paid - see ledger"


def _write_eras(story: Story, site: Site, to: Path) -> None:
    folder = to / f"{site.id}-era"
    folder.mkdir(parents=True, exist_ok=True)
    for era in story.eras:
        if era.site is site:
            (folder / f"era_{_stamp(era.received)}.835").write_bytes(write_835(era))
    if site.id == "pine":  # what the clearinghouse's download gives when its session has run out
        page = b"<!DOCTYPE html>\n<html><body><h1>Session expired</h1><p>Please sign in again.</p></body></html>\n"
        (folder / f"era_{_stamp(when('02-25T09:30'))}.835").write_bytes(page)


def _write_postings(story: Story, site: Site, to: Path) -> None:
    """Each report lists what was posted in the seven days before it; an empty one says that nothing was."""
    d = DIALECTS[site.id]
    for at in site.reports():
        new = [e for e in story.eras if e.site is site and e.posted and e.posted <= at < e.posted + timedelta(days=7)]
        rows = [
            {"Trace #": e.trace, "Posted": _instant(e.posted, d), "Amount posted": d.money(e.paid), "Office": site.name}
            for e in sorted(new, key=lambda e: e.posted or at)
        ]
        d.write(rows, _POSTING, to / f"{site.id}-postings", at)


def _write_spores(story: Story, site: Site, to: Path) -> None:
    d = DIALECTS[site.id]
    for at in site.spore_logs():
        rows = [
            {
                "Sterilizer": sterilizer,
                "Test date": _instant(tested, d),
                "Read date": _instant(read if read <= at else None, d),
                "Result": "Pass" if read <= at else "",
            }
            for sterilizer, tested, logged in story.spores
            for read in [tested + timedelta(days=1)]
            if sterilizer[0] == site.name[0] and logged <= at
        ]
        d.write(rows, _SPORE, to / f"{site.id}-spore", at)


def _stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H%M")


if __name__ == "__main__":
    print(f"wrote {write()} files below {EXPORTS}")
