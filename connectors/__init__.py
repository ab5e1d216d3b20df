"""What a source system may tell us: Row, Batch, Connector, and the allow-list of facts.

A row says what is true of one real thing (a claim, a treatment plan, an ERA, a sterilizer-week). Its `keys` are the source's
own names for that thing (claim number, payer's control number): they join rows, and people on duty see them at /r/REF, but no
message is ever built from them. Its `facts` are typed and listed in KINDS; a value that is not on the list has no place to
live, so free text and names cannot travel any further than the connector. Of a patient's name it hands on what a Seal makes
of it: keyed hashes, by which a name that staff type is known again.

A connector is a module of this package that has a `connect` function; it is found by being there.

    ConnectorError      the whole source cannot be read: quarantine it, tell the administrator, change nothing
"""

from __future__ import annotations

import hmac
import importlib
import pkgutil
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Literal, Protocol, cast, runtime_checkable
from zoneinfo import ZoneInfo

Kind = Literal["claim", "treatment_plan", "era", "sterilizer_week"]
Value = int | str | date | datetime | tuple[str, ...]
Covers = Literal["snapshot", "delta"]

CODE = re.compile(r"(?=[A-Z-]*[0-9])[A-Z0-9]{1,8}(-[A-Z0-9]{1,8})?")
"""What a code may look like (CARC `CO-16`, X12 status `A3`): upper case, short, a digit in it, no blanks: no name fits."""

KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/#:+-]{0,63}")
"""What a key may look like: 64 characters at most, no blanks and no commas, so that no full name fits."""

Seal = Callable[[str], Iterable[str]]
"""A patient's name as the source writes it, "Alvarez, Maria" or "Maria Alvarez" -> what may be handed on of it: SEALED each."""

SEALED = re.compile(r"[0-9a-f]{32}")
"""What a keyed hash looks like. No name does."""

LONGEST_NAME = 80
"""Characters. More is a remark in a name's place."""


@dataclass(frozen=True)
class Fact:
    """One allowed fact of a kind: its type, and for an enum the words it may be."""

    type: Literal["cents", "date", "instant", "count", "enum", "codes"]
    words: tuple[str, ...] = ()
    moves: bool = False
    """True where a change of this fact is work on the item (movement), not bookkeeping."""


KINDS: Mapping[Kind, Mapping[str, Fact]] = MappingProxyType(
    {
        "claim": {
            "status": Fact("enum", ("unsent", "sent", "rejected", "denied", "received", "paid", "closed"), moves=True),
            "service_on": Fact("date"),
            "sent_at": Fact("instant", moves=True),
            "touched_at": Fact("instant", moves=True),
            "rejected_at": Fact("instant"),
            "denied_at": Fact("instant"),
            "worked_at": Fact("instant", moves=True),  # a person worked the rejection or denial
            "escalated_at": Fact("instant", moves=True),  # handed to appeals or central follow-up
            "resolved_at": Fact("instant", moves=True),
            "charge_cents": Fact("cents"),
            "paid_cents": Fact("cents"),
            "patient_share_cents": Fact("cents"),
            "reasons": Fact("codes"),
        },
        "treatment_plan": {
            "presented_on": Fact("date"),
            "value_cents": Fact("cents"),
            "procedures": Fact("count"),
            "scheduled_for": Fact("instant", moves=True),
            "scheduled_codes": Fact("count", moves=True),  # planned procedures of this plan that now have an appointment
            "contacted_at": Fact("instant", moves=True),
            "status": Fact("enum", ("active", "accepted", "declined", "completed"), moves=True),
        },
        "era": {
            "received_at": Fact("instant"),
            "paid_on": Fact("date"),
            "paid_cents": Fact("cents"),
            "claims": Fact("count"),
            "posted_at": Fact("instant", moves=True),
            "posted_cents": Fact("cents", moves=True),
            "balanced": Fact("enum", ("yes", "no")),
        },
        "sterilizer_week": {
            "tested_at": Fact("instant", moves=True),
            "read_at": Fact("instant", moves=True),
            "result": Fact("enum", ("pass", "fail"), moves=True),
        },
    }
)


@dataclass(frozen=True, order=True)
class Key:
    """One name the source uses for the thing, e.g. Key("claim_no", "C-1042"). Unique per site and kind.

    raises ValueError   a value that is too long for a key or holds characters that no key has
    """

    name: str
    value: str

    def __post_init__(self) -> None:
        if not KEY.fullmatch(self.value):
            raise ValueError(f"{self.name} does not take this value")


def is_key(text: str) -> bool:
    """May `text`, as it came out of a source, be used as a key? Also asks for a digit: a column of names has none."""
    return bool(KEY.fullmatch(text)) and any(c in "0123456789" for c in text)


@dataclass(frozen=True)
class Row:
    """What one source says of one thing at one moment.

    kind   which sort of thing
    keys   at least one; the first is the source's primary key
    facts  names and types of KINDS[kind]; a fact that is absent is unknown, not empty
    site   set only where the source itself names the site; otherwise the feed's site holds
    line   line or segment number in the source, for reports
    raises ValueError   no key, an unknown fact, or a value of the wrong type
    """

    kind: Kind
    keys: tuple[Key, ...]
    facts: Mapping[str, Value] = field(default_factory=dict)
    site: str | None = None
    line: int | None = None

    def __post_init__(self) -> None:
        if not self.keys:
            raise ValueError("a row needs at least one key")
        for name, value in self.facts.items():
            check_fact(self.kind, name, value)


@dataclass(frozen=True)
class Problem:
    """Something in the source that was not used, said in one sentence without any of the source's free text."""

    where: str
    what: str


@dataclass(frozen=True)
class Batch:
    """A piece of a source, applied whole or not at all.

    rows      what is true
    deleted   primary keys the source says are gone (delta only)
    cursor    where to go on; opaque, stored by the caller
    as_of     aware UTC; everything here was true at this instant
    covers    "snapshot": things not named here are gone from the source; "delta": absence means nothing
    problems  what was left out and why
    totals    named sums to print and to compare (cents and counts)
    sha256    of the bytes read, where the source is a file; imports of the same bytes are recognised by it
    name      of the file read, without its folder
    patients  what the feed's Seal made of the patients' names in this piece, also of those whose row could not be used
    raises ValueError   something in `patients` that is no keyed hash
    """

    rows: tuple[Row, ...]
    cursor: str
    as_of: datetime
    covers: Covers
    kind: Kind
    deleted: tuple[Key, ...] = ()
    problems: tuple[Problem, ...] = ()
    totals: Mapping[str, int] = field(default_factory=dict)
    sha256: str = ""
    name: str = ""
    unreadable: str = ""
    """One sentence where the whole file could not be read: it is quarantined and nothing of it is applied."""
    patients: frozenset[str] = field(default=frozenset(), repr=False)

    def __post_init__(self) -> None:
        if not all(map(SEALED.fullmatch, self.patients)):
            raise ValueError("a batch holds something else than sealed names")


@runtime_checkable
class Connector(Protocol):
    """One read-only way into one source system."""

    @property
    def name(self) -> str:
        """The connector's own name, as feeds.toml writes it."""
        ...

    def fetch(self, cursor: str | None) -> Iterator[Batch]:
        """What is new since `cursor` (None: everything), oldest first.

        raises ConnectorError   one file or answer cannot be read; it was not consumed
        """
        ...


class ConnectorError(Exception):
    """The source cannot be read. The text says what, where and what to do, and holds no patient data."""


class _Module(Protocol):
    """What a module must offer to be a connector. `OPTIONS` are the names it reads from the feed's table."""

    NAME: str
    OPTIONS: tuple[str, ...]

    def connect(self, options: Mapping[str, object], *, home: Path, zone: ZoneInfo, site: str, seal: Seal) -> Connector: ...

    def kinds(self, options: Mapping[str, object], *, home: Path, zone: ZoneInfo) -> tuple[Kind, ...]: ...

    def describe(
        self, options: Mapping[str, object], *, home: Path, zone: ZoneInfo, site: str
    ) -> Iterator[dict[str, object]]: ...


def names() -> tuple[str, ...]:
    """The connectors there are, sorted."""
    return tuple(sorted(m.name for m in pkgutil.iter_modules(__path__) if hasattr(_import(m.name), "connect")))


def unnamed(_name: str) -> Iterable[str]:
    """The Seal that hands on nothing."""
    return ()


def connect(
    name: str, options: Mapping[str, object], *, home: Path, zone: ZoneInfo, site: str, seal: Seal = unnamed
) -> Connector:
    """The connector `name`, set up with a feed's table from feeds.toml. Opens nothing yet.

    options  the feed's table; what each connector reads from it is in docs/connectors.md
    home     relative paths start here
    zone     local times in the source are of this zone
    site     the feed's site
    seal     what is handed on of a patient's name
    raises ConnectorError   no such connector, an option that cannot be used, a column map with a mistake (file and line)
    """
    return _module(name).connect(options, home=home, zone=zone, site=site, seal=seal)


def kinds(name: str, options: Mapping[str, object], *, home: Path, zone: ZoneInfo) -> tuple[Kind, ...]:
    """What connector `name` will bring with these options, before it has brought anything. raises ConnectorError"""
    found: tuple[Kind, ...] = _module(name).kinds(options, home=home, zone=zone)
    return found


def describe(name: str, options: Mapping[str, object], *, home: Path, zone: ZoneInfo, site: str) -> Iterator[dict[str, object]]:
    """What the source says, as plain JSON data for a person at a terminal: one dict per line, told apart by "type".

    file     name, kind, as_of, covers, sha256, unreadable, totals, patients (how many names were read)
    row      kind, keys, facts, site, line
    problem  where, what
    and what a connector adds: "check" (era835), "columns" and "note" (csv_file without a map)
    raises ConnectorError   as `connect` and `Connector.fetch`; may come after some lines
    """
    return _module(name).describe(options, home=home, zone=zone, site=site)


def option_names(name: str) -> tuple[str, ...]:
    """The options that connector `name` reads from a feed's table. raises ConnectorError"""
    return _module(name).OPTIONS


def counted() -> Seal:
    """A Seal for `describe`: one hash for each different name, so that they can be counted, under a key that nobody keeps."""
    key = secrets.token_bytes(32)
    return lambda name: [hmac.digest(key, name.encode(), "sha256").hex()[:32]]


def sealed(names: Iterable[str], seal: Seal) -> frozenset[str]:
    """What may be handed on of these names."""
    wanted = {name for each in names if (name := each.strip(" ,")) and len(name) <= LONGEST_NAME}
    return frozenset(mark for name in wanted for mark in seal(name))


def plain(batch: Batch) -> Iterator[dict[str, object]]:
    """`batch` as `describe` gives it: its file line, its rows, its problems."""
    yield {
        "type": "file",
        "name": batch.name,
        "kind": batch.kind,
        "as_of": batch.as_of.isoformat(),
        "covers": batch.covers,
        "sha256": batch.sha256,
        "unreadable": batch.unreadable,
        "totals": dict(batch.totals),
        "patients": len(batch.patients),
    }
    for row in batch.rows:
        facts = {name: value.isoformat() if isinstance(value, date) else value for name, value in row.facts.items()}
        keys = [[key.name, key.value] for key in row.keys]
        yield {"type": "row", "kind": row.kind, "keys": keys, "facts": facts, "site": row.site, "line": row.line}
    for problem in batch.problems:
        yield {"type": "problem", "name": batch.name, "where": problem.where, "what": problem.what}


def _module(name: str) -> _Module:
    if name not in names():
        raise ConnectorError(f"There is no connector {name!r}; there are: {', '.join(names())}.")
    return cast(_Module, _import(name))


def _import(name: str) -> object:
    return importlib.import_module(f"{__name__}.{name}")


def check_fact(kind: Kind, name: str, value: Value) -> None:
    """Raise ValueError unless `value` may stand as fact `name` of `kind`."""
    fact = KINDS[kind].get(name)
    if fact is None:
        raise ValueError(f"{kind} has no fact {name!r}")
    if not _fits(fact, value):
        raise ValueError(f"{kind}.{name} does not take this value")


def _fits(fact: Fact, value: Value) -> bool:
    match fact.type:
        case "cents" | "count":
            return type(value) is int and (fact.type == "cents" or value >= 0)
        case "date":
            return type(value) is date
        case "instant":
            return isinstance(value, datetime) and value.tzinfo is UTC
        case "enum":
            return value in fact.words
        case "codes":
            return isinstance(value, tuple) and all(CODE.fullmatch(code) for code in value)
