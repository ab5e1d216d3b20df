"""ERA files (X12 835): which checks came, what they pay, and which claims they pay or deny.

Read from each ST: BPR02, 04 and 16, TRN02 and 03, CLP01 to 05 and 07, CAS of both levels, SVC01 to 03 and 06, remark codes,
and PLB. Of names those of patients and subscribers (NM1) are read, to be sealed. A file gives two batches: its checks ("era"),
its claims ("claim").
Numbers like 835 CLP04 name segment and element of 005010X221A1; 004010X091 is read the same way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

from connectors import (
    CODE,
    Batch,
    Connector,
    ConnectorError,
    Key,
    Kind,
    Problem,
    Row,
    Seal,
    Value,
    counted,
    files,
    is_key,
    money,
    plain,
    sealed,
    unnamed,
    x12,
)

NAME = "era835"
OPTIONS = ("path", "files", "as_of")

REVERSAL = "22"  # 835 CLP02: takes an earlier payment back
PREDETERMINATION = "25"  # 835 CLP02: an estimate before treatment; no payment was due
COST_SHARE = frozenset({"PR-1", "PR-2", "PR-3", "CO-45"})
"""What may stand beside a deductible without making the claim denied: co-insurance, co-payment, the contract's write-off."""

PATIENTS = frozenset({"QC", "IL", "74", "GB"})
"""835 NM101: the patient, the subscriber, either of them as the payer corrects it, another plan's subscriber."""


@dataclass(frozen=True)
class Adjustment:
    """One triple of a CAS: the payer's reason for not paying an amount."""

    reason: str
    """Group and code, such as CO-16."""
    cents: int


@dataclass(frozen=True)
class Service:
    """One SVC: a procedure line of a claim."""

    code: str
    """SVC01-2, what was adjudicated."""
    submitted: str
    """SVC06-2, what was billed, where the payer says that it differs; otherwise empty."""
    charge_cents: int | None
    paid_cents: int | None
    adjustments: tuple[Adjustment, ...]

    @property
    def downcoded(self) -> bool:
        """Did the payer put another procedure in the place of the billed one?"""
        return bool(self.submitted and self.code and self.submitted != self.code)


@dataclass(frozen=True)
class Claim:
    """One CLP with its loops. Amounts that cannot be read are None; an identifier that is no key is empty."""

    segment: int
    claim_no: str
    payer_icn: str
    status_code: str
    charge_cents: int | None
    paid_cents: int | None
    patient_share_cents: int | None
    adjustments: tuple[Adjustment, ...]
    services: tuple[Service, ...]
    remarks: tuple[str, ...]

    @property
    def all_adjustments(self) -> tuple[Adjustment, ...]:
        """Those of the claim, then those of its services."""
        return self.adjustments + tuple(a for s in self.services for a in s.adjustments)

    @property
    def adjusted_cents(self) -> int:
        return sum(a.cents for a in self.all_adjustments)

    @property
    def reversal(self) -> bool:
        return self.status_code == REVERSAL

    @property
    def denied(self) -> bool:
        """Billed, nothing paid, and the reason is neither the deductible nor a reversal nor an estimate.

        CLP02 does not decide: payers send denials as "processed" (2) too.
        """
        if self.status_code in (REVERSAL, PREDETERMINATION):
            return False
        return _denied(self.charge_cents or 0, self.paid_cents or 0, self.all_adjustments)


@dataclass(frozen=True)
class ProviderAdjustment:
    """One pair of a PLB: money moved outside of any claim. Positive lowers the payment."""

    reason: str
    cents: int


@dataclass(frozen=True)
class Check:
    """One ST: a payment, or the notice that there is none."""

    segment: int
    trace: str
    """TRN02, the number of the check or transfer; empty where it is missing or all zeros."""
    payer_id: str
    """TRN03, or else N104 of the payer."""
    control: str
    """Payer id, ISA13, GS06 and ST02 joined: names the set where there is no trace."""
    method: str
    paid_cents: int | None
    paid_on: date | None
    sent: datetime | None
    """When the file says it was made, in the local time of no named zone: ISA09 and ISA10, or GS, BPR16, DTM*405."""
    claims: tuple[Claim, ...]
    plb: tuple[ProviderAdjustment, ...]
    complete: bool
    sums: bool
    """False where an amount could not be read, so that no sum is certain."""

    @property
    def plb_cents(self) -> int:
        return sum(p.cents for p in self.plb)

    @property
    def keys(self) -> tuple[Key, ...]:
        """`era_trace` and `check_no`; without a trace `era_control`; none where nothing names it."""
        whole = f"{self.trace}/{self.payer_id}" if self.payer_id else self.trace
        if self.trace and is_key(whole):
            return (Key("era_trace", whole), Key("check_no", self.trace))
        return (Key("era_control", self.control),) if is_key(self.control) else ()

    @property
    def estimates_only(self) -> bool:
        """Nothing but pre-determinations, and no money: there is nothing to post."""
        return bool(self.claims) and not self.paid_cents and all(c.status_code == PREDETERMINATION for c in self.claims)

    @property
    def balanced(self) -> bool | None:
        """BPR02 = sum of CLP04 less sum of PLB; None where an amount could not be read."""
        if not self.sums or self.paid_cents is None:
            return None
        return self.paid_cents == sum(c.paid_cents or 0 for c in self.claims) - self.plb_cents


@dataclass(frozen=True)
class Remittance:
    """An 835 file. `unreadable` is a sentence where it is no 835, or an empty one. `patients` as in a Batch."""

    checks: tuple[Check, ...]
    problems: tuple[Problem, ...]
    unreadable: str = ""
    patients: frozenset[str] = frozenset()


def read(text: str, seal: Seal = unnamed) -> Remittance:
    """The checks of an 835's text and what is wrong with it. Never raises on bad input."""
    file = x12.read(text)
    sets = [s for s in file.sets if s.code == "835"]
    if not sets:
        return Remittance((), (), _not_an_835(file))
    problems = list(file.problems)
    checks: list[Check] = []
    names: list[str] = []
    seen: set[tuple[tuple[str, ...], ...]] = set()
    for one in file.sets:
        if one.code != "835":
            problems.append(Problem(f"segment {one.segments[0].number}", f"{_kind_of(one)}: not read here"))
            continue
        content = (one.sender, one.interchange, one.group), *(tuple(s.elements) for s in one.segments)
        if content in seen:
            problems.append(Problem(f"segment {one.segments[0].number}", "the same set again: read once"))
            continue
        seen.add(content)
        check, said = _Reading(one, names=names).check()
        problems += said
        if check is not None:
            checks.append(check)
    empty = "" if checks else "This 835 holds no payment: BPR, TRN and CLP are all missing."
    return Remittance(tuple(checks), tuple(problems), empty, sealed(names, seal))


def summary(remittance: Remittance) -> Iterator[dict[str, object]]:
    """Each check as plain data with every amount in cents: payment, claims, adjustments, services, PLB."""
    for check in remittance.checks:
        yield {
            "type": "check",
            "keys": [[k.name, k.value] for k in check.keys],
            "trace": check.trace,
            "payer_id": check.payer_id,
            "method": check.method,
            "paid_on": check.paid_on.isoformat() if check.paid_on else None,
            "paid_cents": check.paid_cents,
            "balanced": check.balanced,
            "complete": check.complete,
            "plb_cents": check.plb_cents,
            "plb": [{"reason": p.reason, "cents": p.cents} for p in check.plb],
            "claims": [_claim_summary(c) for c in check.claims],
        }


def connect(options: Mapping[str, object], *, home: Path, zone: ZoneInfo, site: str, seal: Seal = unnamed) -> Connector:
    """A feed of ERA files. Options: path, files (patterns), as_of ("isa", "modified", "name:FORMAT"). raises ConnectorError"""
    return _feed(options, home, zone, seal)


def kinds(options: Mapping[str, object], *, home: Path, zone: ZoneInfo) -> tuple[Kind, ...]:
    """Payment advice, and the claims it pays or denies."""
    return ("claim", "era")


def describe(options: Mapping[str, object], *, home: Path, zone: ZoneInfo, site: str) -> Iterator[dict[str, object]]:
    """See connectors.describe; with one line "check" for each payment."""
    feed = _feed(options, home, zone, counted())
    found: dict[str, Remittance] = {}

    def read_and_keep(file: files.File, data: bytes) -> list[Batch]:
        found[file.name] = read_bytes(data, feed.seal)
        return feed.batches(file, found[file.name])

    for batch in files.fetch(feed.path, feed.patterns, None, "era", feed.order, read_and_keep):
        yield from plain(batch)
        if batch.kind == "claim":
            yield from ({"name": batch.name} | check for check in summary(found.pop(batch.name)))


def _feed(options: Mapping[str, object], home: Path, zone: ZoneInfo, seal: Seal) -> Era835:
    try:
        as_of = files.check_as_of(options.get("as_of", "isa"), ("isa",))
    except ValueError as error:
        raise ConnectorError(f"The feed's option 'as_of' {error}.") from None
    return Era835(files.option_path(options, "path", home), files.option_patterns(options, ("*",)), as_of, zone, seal)


def read_bytes(data: bytes, seal: Seal = unnamed) -> Remittance:
    """As `read`, from a file's bytes. Never raises on bad input."""
    if what := files.foreign(data):
        return Remittance((), (), f"This is not an 835: it is {what}.")
    return read(text_of(data), seal)


def text_of(data: bytes) -> str:
    """An 835's bytes as text. X12 is ASCII; UTF-16 is told by its mark, anything else is read byte by byte."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="replace")
    return data.removeprefix(b"\xef\xbb\xbf").decode("latin-1")


@dataclass(frozen=True)
class Era835:
    """A folder into which a clearinghouse puts ERA files."""

    path: Path
    patterns: tuple[str, ...]
    as_of: str
    zone: ZoneInfo
    seal: Seal = unnamed
    name: str = NAME

    def fetch(self, cursor: str | None) -> Iterator[Batch]:
        """See Connector.fetch. Two batches for each file, "era" and then "claim", with one hash."""
        return files.fetch(
            self.path, self.patterns, cursor, "era", self.order, lambda f, data: self.batches(f, read_bytes(data, self.seal))
        )

    def order(self, file: files.File) -> datetime:
        """For which instant `file` speaks, to read the oldest first."""
        try:
            checks = read_bytes(file.path.read_bytes()).checks if self.as_of == "isa" and file.size <= files.LARGEST else ()
            return self._moment(file, checks)
        except (OSError, ValueError):
            return file.modified_at

    def _moment(self, file: files.File, checks: Iterable[Check]) -> datetime:
        """The instant for which the file speaks; raises ValueError where its name should say it and does not."""
        if self.as_of != "isa":
            return files.instant(file, self.as_of, self.zone)
        local = [moment for check in checks if (moment := check.sent) is not None]
        return max((files.utc(moment, self.zone) for moment in local), default=file.modified_at)

    def batches(self, file: files.File, remittance: Remittance) -> list[Batch]:
        """The checks and the claims of `file`, or the one batch that says why it cannot be read."""
        if remittance.unreadable:
            return [files.quarantined(file, "era", "delta", remittance.unreadable)]
        try:
            as_of = self._moment(file, remittance.checks)
        except ValueError as error:
            return [files.quarantined(file, "era", "delta", str(error))]
        return [replace(_era_batch(remittance, as_of), patients=remittance.patients), _claim_batch(remittance, as_of)]


# --- one set -------------------------------------------------------------------------------------------------------------


@dataclass
class _Open:
    """A claim while its loops are read."""

    segment: x12.Segment
    adjustments: list[Adjustment] = field(default_factory=list)
    services: list[tuple[x12.Segment, list[Adjustment]]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


@dataclass
class _Reading:
    """Walks one ST of an 835."""

    set: x12.TransactionSet
    problems: list[Problem] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    plb: list[ProviderAdjustment] = field(default_factory=list)
    current: _Open | None = None
    bpr: x12.Segment | None = None
    trn: x12.Segment | None = None
    produced: x12.Segment | None = None
    payer: str = ""
    sums: bool = True
    names: list[str] = field(default_factory=list)

    def check(self) -> tuple[Check | None, list[Problem]]:
        """The check of this set, or None where there is nothing in it; and what is wrong with it."""
        for segment in self.set.segments:
            self._take(segment)
        if self.set.cut and self.current is not None:
            self._say(self.current.segment, "the last claim before the file stops may not be whole: not used")
            self.current, self.sums = None, False
        self._close_claim()
        if self.bpr is None and self.trn is None and not self.claims:
            self._say(self.set.segments[0], "an 835 without BPR, TRN and CLP: nothing in it")
            return None, self.problems
        return self._finished(), self.problems

    def _take(self, segment: x12.Segment) -> None:
        match segment.tag:
            case "BPR":
                self.bpr = self.bpr or segment
            case "TRN":
                self.trn = self.trn or segment
            case "DTM" if segment[1] == "405":
                self.produced = self.produced or segment
            case "N1":
                self._close_claim()
                if segment[1] == "PR" and is_key(segment[4]):
                    self.payer = self.payer or segment[4]
            case "LX":
                self._close_claim()
            case "NM1" if segment[1] in PATIENTS and segment[2] != "2":  # 2: no person
                self.names.append(f"{_spelled(segment[3])}, {_spelled(segment[4])} {_spelled(segment[5])}")
            case "CLP":
                self._close_claim()
                self.current = _Open(segment)
            case "PLB":
                self._close_claim()
                self._provider_adjustments(segment)
            case "CAS" | "SVC" | "LQ" | "MOA" | "MIA":
                self._in_claim(segment)

    def _in_claim(self, segment: x12.Segment) -> None:
        claim = self.current
        if claim is None:
            self._say(segment, f"a {segment.tag} outside of any claim: not read")
            return
        match segment.tag:
            case "SVC":
                claim.services.append((segment, []))
            case "CAS":
                target = claim.services[-1][1] if claim.services else claim.adjustments
                target += self._adjustments(segment)
            case "LQ" if segment[1] == "HE":
                claim.remarks.append(segment[2])
            case "MOA":  # remark codes: MOA03 to 07
                claim.remarks += [segment[n] for n in range(3, 8)]
            case "MIA":  # remark codes: MIA05 and 20 to 23
                claim.remarks += [segment[n] for n in (5, 20, 21, 22, 23)]

    def _adjustments(self, segment: x12.Segment) -> list[Adjustment]:
        """Up to six triples of code, amount and quantity from CAS02 on; payers leave gaps between them."""
        found: list[Adjustment] = []
        for n in range(2, 20, 3):
            code, amount = segment[n], segment[n + 1]
            if not code and not amount:
                continue
            reason = f"{segment[1]}-{code}"
            cents = self._cents(segment, n + 1)
            if not CODE.fullmatch(reason):
                self._say(segment, f"CAS{n:02} is no reason code: not read")
            else:
                found.append(Adjustment(reason, cents or 0))
        return found

    def _provider_adjustments(self, segment: x12.Segment) -> None:
        """Up to six pairs of reason and amount from PLB03 on."""
        for n in range(3, 15, 2):
            if not segment[n] and not segment[n + 1]:
                continue
            cents = self._cents(segment, n + 1, counts=True)
            reason = segment[n].split(self.set.component)[0]
            if cents is not None:
                self.plb.append(ProviderAdjustment(reason if re.fullmatch(r"[A-Z0-9]{2}", reason) else "", cents))

    def _close_claim(self) -> None:
        if (one := self.current) is None:
            return
        self.current = None
        head = one.segment
        claim = Claim(
            segment=head.number,
            claim_no=self._key(head, 1),
            payer_icn=self._key(head, 7),
            status_code=head[2] if re.fullmatch(r"[0-9]{1,2}", head[2]) else "",
            charge_cents=self._cents(head, 3, counts=True),
            paid_cents=self._cents(head, 4, counts=True),
            patient_share_cents=self._cents(head, 5) if head[5] else None,
            adjustments=tuple(one.adjustments),
            services=tuple(self._service(segment, adjustments) for segment, adjustments in one.services),
            remarks=tuple(dict.fromkeys(r for r in one.remarks if re.fullmatch(r"[A-Z]{1,3}[0-9]{1,4}", r))),
        )
        self.claims.append(claim)
        self._weigh(claim)

    def _weigh(self, claim: Claim) -> None:
        """Say so where a claim's amounts do not add up; it is used all the same."""
        if claim.charge_cents is not None and claim.paid_cents is not None:
            left = claim.charge_cents - claim.paid_cents - claim.adjusted_cents
            if left and claim.status_code != PREDETERMINATION:
                self.problems.append(
                    Problem(f"segment {claim.segment}", "charge less payment is not the sum of the adjustments")
                )

    def _service(self, segment: x12.Segment, adjustments: list[Adjustment]) -> Service:
        return Service(
            code=self._procedure(segment[1]),
            submitted=self._procedure(segment[6]),
            charge_cents=self._cents(segment, 2),
            paid_cents=self._cents(segment, 3) if segment[3] else 0,
            adjustments=tuple(adjustments),
        )

    def _procedure(self, composite: str) -> str:
        """The procedure in `AD:D2740`. Some files use another mark inside than their ISA16 says; it is taken as meant."""
        parts = composite.split(self.set.component)
        if len(parts) == 1:
            parts = re.split(r"[:>^|<]", composite)
        code = parts[1].strip() if len(parts) > 1 else ""
        return code if CODE.fullmatch(code) else ""

    def _finished(self) -> Check:
        nothing = x12.Segment(self.set.segments[0].number, ("",))
        bpr, trn = self.bpr or nothing, self.trn or nothing
        trace = self._key(trn, 2)
        if self.bpr is None:
            self._say(bpr, "an 835 without BPR: what was paid is unknown")
        if not trace:
            self._say(trn, "no trace number (TRN02): the payment is known by its control numbers only")
        one = self.set
        payer = trn[3] if is_key(trn[3]) else self.payer
        paid_on, produced_on = x12.day(bpr[16]), x12.day((self.produced or nothing)[2])
        day = paid_on or produced_on
        return Check(
            segment=one.segments[0].number,
            trace=trace,
            payer_id=payer,
            control="/".join(part for part in (payer, one.interchange, one.group, one.control) if is_key(part))
            if one.interchange
            else "",
            method=bpr[4] if bpr[4] in ("ACH", "BOP", "CHK", "FWT", "NON") else "",
            paid_cents=self._cents(bpr, 2, counts=True) if self.bpr else None,
            paid_on=paid_on,
            sent=one.sent or (datetime.combine(day, time()) if day else None),
            claims=tuple(self.claims),
            plb=tuple(self.plb),
            complete=not one.cut,
            sums=self.sums,
        )

    def _key(self, segment: x12.Segment, n: int) -> str:
        """Element `n` if it can be a key; payers write zeros where they know none."""
        text = segment[n]
        if not text.strip("0"):
            return ""
        if not is_key(text):
            self._say(segment, f"{segment.tag}{n:02} is too long for a key or holds characters that no key has: not read")
            return ""
        return text

    def _cents(self, segment: x12.Segment, n: int, *, counts: bool = False) -> int | None:
        """The amount in element `n`, or None with a problem; where it `counts`, no sum of this check is certain then."""
        try:
            return money.cents(segment[n])
        except money.Doubtful:
            self._say(segment, f"{segment.tag}{n:02} is not surely one amount: not read")
            self.sums = self.sums and not counts
            return None

    def _say(self, segment: x12.Segment, what: str) -> None:
        self.problems.append(Problem(f"segment {segment.number}", what))


def _spelled(text: str) -> str:
    """A name's element. X12 is ASCII and read byte by byte; a payer that writes UTF-8 all the same is understood."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def _denied(charge_cents: int, paid_cents: int, adjustments: Iterable[Adjustment]) -> bool:
    if charge_cents <= 0 or paid_cents != 0:
        return False
    reasons = {a.reason for a in adjustments if a.cents}
    return not ("PR-1" in reasons and reasons <= COST_SHARE)


def _not_an_835(file: x12.X12) -> str:
    if not file.sets:
        return "This is not an 835: no X12 set (ST) was found in it."
    kinds = ", ".join(dict.fromkeys(_kind_of(s) for s in file.sets))
    return f"This is not an 835: it holds {kinds}."


def _kind_of(one: x12.TransactionSet) -> str:
    code = f"{'an' if one.code[:1] == '8' else 'a'} {one.code}" if re.fullmatch(r"[0-9]{3}", one.code) else "an unknown set"
    return f"{code} ({one.version})" if re.fullmatch(r"[0-9X]{6,8}[A-Z0-9]{0,4}", one.version) else code


# --- rows ----------------------------------------------------------------------------------------------------------------


def _era_batch(remittance: Remittance, as_of: datetime) -> Batch:
    """One row for each check that has something to post; the file's problems are here."""
    rows: dict[Key, Row] = {}
    problems = list(remittance.problems)
    for check in remittance.checks:
        where = f"segment {check.segment}"
        if check.estimates_only:
            continue
        if not check.keys:
            problems.append(Problem(where, "a payment without any number that could name it: not used"))
            continue
        if check.balanced is False:
            problems.append(Problem(where, "the payment is not what its claims and provider adjustments (PLB) add up to"))
        if rows.pop(check.keys[0], None) is not None:
            problems.append(Problem(where, "the same payment number again in this file: the last one holds"))
        rows[check.keys[0]] = Row("era", check.keys, _era_facts(check, as_of), line=check.segment)
    totals = {
        "rows": len(rows),
        "paid_cents": _sum("paid_cents", rows.values()),
        "claims": sum(len(c.claims) for c in remittance.checks),
        "plb_cents": sum(c.plb_cents for c in remittance.checks),
    }
    return Batch(tuple(rows.values()), "", as_of, "delta", "era", problems=tuple(problems), totals=totals)


def _era_facts(check: Check, as_of: datetime) -> dict[str, Value]:
    facts: dict[str, Value] = {"received_at": as_of, "claims": len(check.claims)}
    if check.paid_on is not None:
        facts["paid_on"] = check.paid_on
    if check.paid_cents is not None:
        facts["paid_cents"] = check.paid_cents
    if check.balanced is not None:
        facts["balanced"] = "yes" if check.balanced else "no"
    return facts


def _claim_batch(remittance: Remittance, as_of: datetime) -> Batch:
    """One row for each claim, whatever the number of CLPs it takes; what could not be used of them."""
    rows: list[Row] = []
    problems: list[Problem] = []
    for group in _by_claim(remittance, problems):
        row = _claim_row(group, as_of)
        if row is None:
            problems.append(Problem(f"segment {group[-1][1].segment}", "a claim whose amounts cannot be read: not used"))
        else:
            rows.append(row)
    totals = {"rows": len(rows)} | {name: _sum(name, rows) for name in ("charge_cents", "paid_cents", "patient_share_cents")}
    return Batch(tuple(rows), "", as_of, "delta", "claim", problems=tuple(problems), totals=totals)


def _by_claim(remittance: Remittance, problems: list[Problem]) -> list[list[tuple[str, Claim]]]:
    """The file's CLPs, each with its payer, gathered by claim, without pre-determinations."""
    groups: dict[str, list[tuple[str, Claim]]] = {}
    number_of = {c.payer_icn: c.claim_no for check in remittance.checks for c in check.claims if c.claim_no and c.payer_icn}
    for check in remittance.checks:
        for claim in check.claims:
            where = f"segment {claim.segment}"
            number = claim.claim_no or number_of.get(claim.payer_icn, "")
            if claim.status_code == PREDETERMINATION:
                problems.append(Problem(where, "a pre-determination (CLP02 25): nothing was to be paid, not used"))
            elif number or claim.payer_icn:
                groups.setdefault(f"claim_no {number}" if number else f"icn {claim.payer_icn}", []).append(
                    (check.payer_id, claim)
                )
            else:
                problems.append(
                    Problem(where, "a claim without a usable number of ours (CLP01) or the payer's (CLP07): not used")
                )
    return list(groups.values())


def _claim_row(group: list[tuple[str, Claim]], as_of: datetime) -> Row | None:
    """What holds of one claim after all its CLPs; None where an amount could not be read."""
    claims = [claim for _, claim in group]
    if any(c.charge_cents is None or c.paid_cents is None for c in claims):
        return None
    number = next((c.claim_no for c in claims if c.claim_no), "")
    keys = [Key("claim_no", number)] if number else []
    keys += [Key("payer_icn", icn) for icn in dict.fromkeys(c.payer_icn for c in claims) if icn]
    return Row("claim", tuple(keys), _claim_facts(_standing(group), as_of), line=claims[-1].segment)


def _standing(group: list[tuple[str, Claim]]) -> dict[tuple[str, str], Claim]:
    """The CLPs that hold: by payer and control number the last one; one that a reversal takes back exactly is gone.

    A correction may stand before or behind its reversal. Several control numbers of one payer are a split claim.
    """
    standing: dict[tuple[str, str], Claim] = {}
    for payer, claim in group:
        which = (payer, claim.payer_icn)
        if not claim.reversal:
            standing[which] = claim
        elif (earlier := standing.get(which)) is not None and _undoes(claim, earlier):
            del standing[which]
    return standing


def _undoes(reversal: Claim, earlier: Claim) -> bool:
    return (reversal.charge_cents, reversal.paid_cents) == (-(earlier.charge_cents or 0), -(earlier.paid_cents or 0))


def _claim_facts(standing: Mapping[tuple[str, str], Claim], as_of: datetime) -> dict[str, Value]:
    """Facts of the CLPs that hold. Without any, the payment was taken back: the claim is the payer's again."""
    if not standing:
        return {"status": "received"}
    claims = list(standing.values())
    by_payer: dict[str, int] = {}
    for (payer, _), claim in standing.items():
        by_payer[payer] = by_payer.get(payer, 0) + (claim.charge_cents or 0)
    charge, paid = max(by_payer.values()), sum(c.paid_cents or 0 for c in claims)  # a second payer sees the same charge again
    facts: dict[str, Value] = {"status": "paid", "charge_cents": charge, "paid_cents": paid}
    if _denied(charge, paid, (a for c in claims for a in c.all_adjustments)):
        facts |= {"status": "denied", "denied_at": as_of}
    if (share := claims[-1].patient_share_cents) is not None:
        facts["patient_share_cents"] = share
    if reasons := tuple(dict.fromkeys(r for c in claims for r in (*(a.reason for a in c.all_adjustments), *c.remarks))):
        facts["reasons"] = reasons
    return facts


def _sum(name: str, rows: Iterable[Row]) -> int:
    return sum(value for row in rows if isinstance(value := row.facts.get(name, 0), int))


def _claim_summary(claim: Claim) -> dict[str, object]:
    return {
        "segment": claim.segment,
        "claim_no": claim.claim_no,
        "payer_icn": claim.payer_icn,
        "status_code": claim.status_code,
        "charge_cents": claim.charge_cents,
        "paid_cents": claim.paid_cents,
        "patient_share_cents": claim.patient_share_cents,
        "adjusted_cents": claim.adjusted_cents,
        "denied": claim.denied,
        "reversal": claim.reversal,
        "adjustments": [{"reason": a.reason, "cents": a.cents} for a in claim.adjustments],
        "remarks": list(claim.remarks),
        "services": [_service_summary(s) for s in claim.services],
    }


def _service_summary(service: Service) -> dict[str, object]:
    return {
        "code": service.code,
        "submitted": service.submitted,
        "downcoded": service.downcoded,
        "charge_cents": service.charge_cents,
        "paid_cents": service.paid_cents,
        "adjustments": [{"reason": a.reason, "cents": a.cents} for a in service.adjustments],
    }
