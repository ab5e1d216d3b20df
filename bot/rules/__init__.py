"""Stall rules: one file each, found by being there, pure functions over a Snapshot.

A rule file holds `RULE` (what it is and which SOP step it hangs on) and three functions:

    wake_at(s) -> datetime | None     the next instant at which it could fire; None: only the source can make it stall
    find(s, now) -> Finding | None    has it stalled, since when, to be put right by when
    proof(s, since) -> datetime | None  the instant at which the source shows that it was put right, or None

Role and clock come from the live SOP step, so editing the SOP changes the rule, and a rule without a live step does not load.
"""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from bot.hours import Clock, Site, due_at, parse_clock

Facts = Mapping[str, Any]
"""Facts of connectors.KINDS[kind], decoded: int, str, date, aware UTC datetime, tuple of codes."""


@dataclass(frozen=True)
class Anchor:
    """The live SOP step a rule hangs on."""

    sop: str
    version: int
    step: str
    role: str
    clock: Clock


@dataclass(frozen=True)
class Snapshot:
    """One item as a rule sees it: facts, stillness, and the site whose hours count."""

    ref: str
    kind: str
    site: Site
    facts: Facts
    opened_at: datetime
    moved_at: datetime
    gone: bool
    anchor: Anchor

    @property
    def clock(self) -> Clock:
        return self.anchor.clock

    def digest(self) -> str:
        """Hash of what was known, for the evidence."""
        text = repr((self.kind, sorted((k, str(v)) for k, v in self.facts.items()), self.moved_at.isoformat(), self.gone))
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Finding:
    """An item has stalled.

    since   when the stillness began; it is also the window, so one stillness gives one nudge
    fired   when the step's clock ran out
    due     put right by then: the close of the next open day
    """

    since: datetime
    fired: datetime
    due: datetime
    amount_cents: int = 0

    @property
    def window(self) -> str:
        return self.since.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Rule:
    """What a rule is. `why` is a sentence with {since}, {age} and {amount} where they help.

    verify    how long after "done" the source may take to show it
    renudge   how long an acknowledged item may lie still before the person hears again
    """

    id: str
    kind: str
    step: str
    title: str
    why: str
    done: str
    safety: bool = False
    verify: str = "4 open h"
    renudge: str = "4 open h"


class RuleModule(Protocol):
    RULE: Rule

    def wake_at(self, s: Snapshot) -> datetime | None: ...
    def find(self, s: Snapshot, now: datetime) -> Finding | None: ...
    def proof(self, s: Snapshot, since: datetime) -> datetime | None: ...


@dataclass(frozen=True)
class Loaded:
    """A rule bound to its live step, with the version its evidence will carry."""

    rule: Rule
    anchor: Anchor
    version: str
    module: Any

    def wake_at(self, s: Snapshot) -> datetime | None:
        return None if s.gone else self.module.wake_at(s)

    def find(self, s: Snapshot, now: datetime) -> Finding | None:
        return None if s.gone else self.module.find(s, now)

    def proof(self, s: Snapshot, since: datetime) -> datetime | None:
        found: datetime | None = self.module.proof(s, since)
        return found

    @property
    def verify(self) -> Clock:
        return parse_clock(self.rule.verify)

    @property
    def renudge(self) -> Clock:
        return parse_clock(self.rule.renudge)


@dataclass(frozen=True)
class Refused:
    """A rule that cannot run, and why, in one sentence."""

    rule: str
    file: str
    why: str


def discover() -> list[ModuleType]:
    """Every rule file of this folder, in order of name."""
    names = sorted(m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)]))
    return [importlib.import_module(f"{__name__}.{name}") for name in names]


def load(
    anchor: Callable[[str], Anchor | None], modules: Iterable[ModuleType] | None = None
) -> tuple[dict[str, Loaded], list[Refused]]:
    """The rules whose SOP step is live, and those refused, each with its reason.

    anchor   gives the live step for `sop#step`, or None; raises ValueError where the step has no role or clock
    """
    loaded: dict[str, Loaded] = {}
    refused: list[Refused] = []
    for module in discover() if modules is None else modules:
        rule: Rule = module.RULE
        file = Path(module.__file__ or "?").name
        try:
            step = anchor(rule.step)
        except ValueError as bad:
            refused.append(Refused(rule.id, file, f"rule {rule.id}: the SOP step {rule.step} cannot carry it: {bad}"))
            continue
        if step is None:
            why = f"rule {rule.id}: no published SOP has the step {rule.step}; publish one, or take the rule out"
            refused.append(Refused(rule.id, file, why))
            continue
        loaded[rule.id] = Loaded(rule, step, _version(module), module)
    return loaded, refused


def when_clock_ran_out(s: Snapshot, since: datetime | None, now: datetime, *, amount_cents: int = 0) -> Finding | None:
    """The finding of a rule that fires when the step's clock, started at `since`, has run out."""
    if since is None:
        return None
    fired = due_at(since, s.clock, s.site)
    return fired_at(s, since, fired, amount_cents=amount_cents) if now >= fired else None


def fired_at(s: Snapshot, since: datetime, fired: datetime, *, amount_cents: int = 0) -> Finding:
    """A finding that fired at `fired`, to be put right by the close of the next open day."""
    return Finding(since, fired, due_at(fired, parse_clock("1 open d"), s.site), amount_cents)


def ran_out(s: Snapshot, since: datetime | None) -> datetime | None:
    """When the step's clock, started at `since`, runs out; None when it does not run."""
    return None if since is None else due_at(since, s.clock, s.site)


def first_after(s: Snapshot, since: datetime, *names: str) -> datetime | None:
    """The earliest of these facts that lies after `since`, or None: what somebody did, and when."""
    found: list[datetime] = [at for name in names if (at := s.facts.get(name)) is not None and at > since]
    return min(found, default=None)


def _version(module: ModuleType) -> str:
    source = Path(module.__file__ or "").read_bytes()
    return hashlib.sha256(source).hexdigest()[:12]
