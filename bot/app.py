"""Puts the parts together; the only file that knows all of them.

`Holdfast` is one installation: its folder, database, people, rules, library and platforms, and what can be done with them. It
is also the Desk that the local page and the plain terminal stand on.

    CannotStart     the installation cannot be used as it stands; one sentence on what to do
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from sqlalchemy import Engine, func, select
from sqlmodel import col

import connectors
from bot import (
    accounts,
    asking,
    assistant,
    cards,
    digest,
    evidence,
    figures,
    golden,
    inbox,
    items,
    metrics,
    patients,
    people,
    rules,
    sweep,
    uploads,
)
from bot.cards import Filed, StepQuote, Token, say
from bot.chat import Ask, Attached, Card, Chat, Platform, Press, Wording
from bot.front import Front
from bot.hours import next_open, parse_clock
from bot.inbox import PATIENCE_S, Inbox
from bot.items import FeedConfig
from bot.migrations import guards, migrate
from bot.nudges import House
from bot.patients import Patients
from bot.platforms.console import Console, Message
from bot.platforms.console.desk import FeedView, Look, NoticeCode, PersonView, Reason, Status, TrailRow
from bot.practice import Finding, Person, Practice, PracticeError, load_practice, load_roles
from bot.records import Delivery, Feed, Intake, Mark, open_engine, read, write
from bot.rules import Anchor, Loaded, Refused
from bot.settings import Settings
from connectors import Connector, ConnectorError
from knowledge import embedding, tables
from knowledge.library import Library, LiveStep, Report
from knowledge.model import Config, Model, NoModel
from knowledge.wording import Pen

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

log = logging.getLogger(__name__)


LOST_LATELY = timedelta(days=7)
"""How long a message that could not be delivered counts against the installation's health; the ledger has it for good."""

_LATE = timedelta(minutes=10)
"""After so long without a sweep, and three ticks, the clock counts as standing still."""


class CannotStart(Exception):
    """What is missing or wrong, and what to do about it, in one sentence."""


class Clock(Protocol):
    def now(self) -> datetime:
        """Aware UTC."""
        ...


class WallClock:
    """The real time."""

    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass(frozen=True)
class _Standing:
    """What is read from files and the library, as of one state of both."""

    key: tuple[object, ...]
    house: House
    feeds: Mapping[str, FeedConfig]
    refused: tuple[Refused, ...]
    wrong: str = ""
    """What is wrong with the files as they are now; the rest is as they last were without a mistake."""


class Holdfast:
    """One installation. Cheap to make; opens its database at first use.

    raises CannotStart   from any use, where the home folder or the database cannot be used
    """

    can_skip = False
    page_for_all = False
    """Whether whoever has no account on a chat service is written to on the page."""
    is_silent = False
    """While set, the chat services that the settings name are left alone."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.settings = settings
        self.home = settings.home
        self.clock = clock or WallClock()
        self._standing: _Standing | None = None
        self._ticking = threading.Lock()
        self._sending = threading.Lock()
        self._due = threading.Event()
        self._heard = threading.Event()
        self._pauses: dict[str, sweep.Pause] = {}
        self._asked_at: dict[tuple[str, str], datetime] = {}
        self._connectors: dict[str, tuple[FeedConfig, Connector]] = {}

    # --- parts ---------------------------------------------------------------------------------------------------------

    @cached_property
    def engine(self) -> Engine:
        if self.settings.database_url.startswith("sqlite"):
            try:
                self.home.mkdir(parents=True, exist_ok=True)
            except OSError as bad:
                raise CannotStart(
                    f"The folder {self.home} cannot be made ({bad.strerror}): set HOLDFAST_HOME to another."
                ) from None
        engine = open_engine(self.settings.database_url)
        try:
            migrate(engine)
        except Exception as bad:
            raise CannotStart(f"The database cannot be opened: {_first_line(bad)}") from bad
        return engine

    @cached_property
    def library(self) -> Library:
        set_to = self.settings
        embedder = embedding.chosen(set_to.embedding_model, set_to.embedding_model_dir, self.home / "models")
        if embedder is None:
            log.info("there is no embedding model: questions are answered by their words alone")
        folder = self.home / "index"
        return Library(
            lambda: read(self.engine), lambda: write(self.engine), self.pen, embedder=embedder, folder=folder,
            phrases=golden.phrases, calibrated=self.home,
        )  # fmt: skip

    @cached_property
    def pen(self) -> Pen | None:
        """What words answers, where the settings name a model."""
        set_to = self.settings
        if not set_to.model:
            return None
        config = Config(set_to.model, set_to.model_url, set_to.model_key, set_to.model_s, set_to.model_tokens)
        return Pen(
            Model(config),
            lambda: write(self.engine),
            redact=lambda text: cards.redact(text, patients=self.patients),  # our own people's names need not leave either
            day_tokens=set_to.model_day_tokens,
            tell=metrics.here.worded,
        )

    @cached_property
    def console(self) -> Console:
        return Console(self.engine, self.clock.now)

    @cached_property
    def inbox(self) -> Inbox:
        """What was heard, over connections that give up in time to say so."""
        _ = self.engine  # the tables are there from here on
        return Inbox(open_engine(self.settings.database_url, PATIENCE_S))

    @cached_property
    def patients(self) -> Patients:
        """Who is a patient as far as the feeds say, asked over connections of its own: nobody's transaction holds it up."""
        key = patients.key(self.engine, self.now())
        return Patients(open_engine(self.settings.database_url, patients.PATIENCE_S), key)

    @cached_property
    def front(self) -> Front:
        return Front(
            self.engine, self.inbox, self.settings, self.library, self.now, lambda: self.house, lambda: self.feeds,
            lambda: self.chats, self._due.set, self._heard.set, metrics.here.answered,
        )  # fmt: skip

    @property
    def chats(self) -> Mapping[str, Chat]:
        """The chat services that the settings name."""
        return {} if self.is_silent else self._chats

    @cached_property
    def _chats(self) -> Mapping[str, Chat]:
        made: dict[str, Chat] = {}
        if self.settings.has_slack:
            from bot.platforms.slack import Slack

            made["slack"] = Slack(self.settings, self.front, self.engine)
        if self.settings.has_teams:
            from bot.platforms.teams import Teams

            made["teams"] = Teams(self.settings, self.front, self.engine)
        return made

    @property
    def platforms(self) -> Mapping[str, Platform]:
        return {**self.chats, "console": self.console}

    @property
    def practice(self) -> Practice:
        return self.standing().house.practice

    @property
    def house(self) -> House:
        return self.standing().house

    @property
    def feeds(self) -> Mapping[str, FeedConfig]:
        return self.standing().feeds

    @property
    def practice_name(self) -> str:
        return self.practice.name

    def standing(self) -> _Standing:
        """Practice, feeds and rules, read again when a file or the library has changed, and each day (versions take effect)."""
        practice_file, feeds_file = self.home / "practice.toml", self.home / "feeds.toml"
        key = (_stamp(practice_file), _stamp(feeds_file), self.library.generation(), self.now().astimezone(UTC).date())
        if self._standing is None or self._standing.key != key:
            self._standing = self._read_or_keep(key, practice_file, feeds_file)
        return self._standing

    def _read_or_keep(self, key: tuple[object, ...], practice_file: Path, feeds_file: Path) -> _Standing:
        """What the files say; once running, what they last said without a mistake."""
        try:
            return self._read(key, practice_file, feeds_file)
        except (PracticeError, CannotStart) as bad:
            if self._standing is None:
                raise
            log.warning("the files have a mistake and are used as they were before it: %s", bad)
            return replace(self._standing, key=key, wrong=str(bad))

    def _read(self, key: tuple[object, ...], practice_file: Path, feeds_file: Path) -> _Standing:
        if not practice_file.exists():
            raise CannotStart(f"There is no {practice_file}: write one as in docs/practice.md, or run “python -m bot demo”.")
        practice = load_practice(practice_file, load_roles())
        loaded, refused = self._rules()
        house = House(practice, loaded, self._quote, self._address(practice), self.patients)
        self._connectors.clear()
        feeds = items.load_feeds(feeds_file, practice.sites)
        announced = {name: replace(feed, kinds=self._announced(practice, feed)) for name, feed in feeds.items()}
        return _Standing(key, house, announced, tuple(refused))

    def _announced(self, practice: Practice, feed: FeedConfig) -> tuple[str, ...]:
        """What a feed's connector will bring; nothing where it cannot be set up, which the sweep then says."""
        try:
            return connectors.kinds(feed.connector, feed.options, home=self.home, zone=practice.sites[feed.site].zone)
        except ConnectorError:
            return ()

    def _rules(self) -> tuple[dict[str, Loaded], list[Refused]]:
        return rules.load(lambda ref: anchor_of(self.library.step(ref, self.clock.now())))

    def _quote(self, sop: str, version: int, step: str) -> StepQuote | None:
        found = self.library.step(f"{sop}#{step}", version=version)
        return quote_of(found) if found else None

    def _address(self, practice: Practice) -> Callable[[Person], tuple[str, str] | None]:
        """Where people are reached: on a chat service; where there is none, or the practice file says so, on the page."""

        def address(person: Person) -> tuple[str, str] | None:
            if self.chats:
                with read(self.engine) as session:
                    for chat in self.chats.values():
                        found = accounts.address_of(session, practice, chat.name, person, may_write_first=chat.may_write_first)
                        if found:
                            return chat.name, found
                if not self.page_for_all and person.id not in practice.chat.get("console", {}).values():
                    return None
            return "console", people.address_of(practice, "console", person) or person.id

        return address

    def _connect(self, feed: FeedConfig) -> Connector:
        known = self._connectors.get(feed.id)
        if known is None or known[0] != feed:
            zone = self.practice.sites[feed.site].zone
            made = connectors.connect(
                feed.connector, feed.options, home=self.home, zone=zone, site=feed.site, seal=self.patients.seal
            )
            self._connectors[feed.id] = known = (feed, made)
        return known[1]

    def round(self) -> sweep.Round:
        standing = self.standing()
        return sweep.Round(
            self.engine, standing.house, standing.feeds, self._connect, self.platforms, pauses=self._pauses,
            count=metrics.here.sent, bundle_from=self.settings.bundle_from,
        )  # fmt: skip

    # --- what is done ----------------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        return self.clock.now()

    def tick(
        self, now: datetime | None = None, only: Collection[str] | None = None, *, then_deliver: bool = True
    ) -> sweep.Swept:
        """One sweep. Two at once in one process wait for each other; two processes share the work by rows."""
        self.acquaint()
        started = time.monotonic()
        with self._ticking:
            done = sweep.tick(self.round(), now or self.now(), only, then_deliver=False)
        metrics.here.ticked(time.monotonic() - started)
        if then_deliver:
            with self._sending:
                sweep.deliver(self.round(), now or self.now(), done)
        self._due.set()
        return done

    def deliver(self) -> sweep.Swept:
        """Send what is due now; what a rate limit holds back stays for the next call (`Swept.later_s`)."""
        self._due.clear()
        with self._sending:
            return sweep.deliver(self.round(), self.now())

    def work(self) -> int:
        """Answer all that was heard, then send what that made due; how much was answered. For tests and one-off commands."""
        count = self.front.work()
        if self._due.is_set():
            self.deliver()
        return count

    def acquaint(self) -> int:
        """Find the chat accounts of people who have none yet, by e-mail address; each person is asked after once an hour."""

        def asked(platform: str, person: str) -> bool:
            now = self.now()
            last = self._asked_at.get((platform, person))
            self._asked_at[platform, person] = now
            return last is None or now - last >= timedelta(hours=1)

        return self.front.acquaint(asked) if self.chats else 0

    def ingest(
        self, paths: Sequence[Path], *, publish: bool, by: str = "", now: datetime | None = None, seen: str = ""
    ) -> Report:
        """SOP files into the library, each with its evidence; `seen` as `intake.ingest`."""
        at = now or self.now()
        return self.library.ingest(paths, publish=publish, at=at, by=by, record=uploads.recorder(at, by), seen=seen)

    def ask(self, person: str, text: str) -> Card:
        who = self._person(person)
        self.console.hear(person, asking.redacted(self.house, text))
        card = asking.ask(self.engine, self.house, self.library, self.feeds, Ask(who.id, text, self.now())).card
        assert card is not None, "a question is always answered"
        self.console.reply(person, card)
        return card

    def may_bring(self, person: str) -> bool:
        return uploads.may_bring(self.house, self.library, self._person(person), self.now())

    def bring(self, person: str, name: str, path: Path, key: str) -> Card:
        who = self._person(person)
        file = Attached(uploads.named(self.house, name), size=path.stat().st_size)

        def fetch(_: Attached, into: BinaryIO, limit: int) -> None:
            with path.open("rb") as sent:
                shutil.copyfileobj(sent, into)

        self.console.hear(person, say("A file: {name}", name=Filed(file.name, tuple(asking.names_of(self.house)))))
        reply = uploads.receive(self.engine, self.house, self.library, who, [file], fetch, key=key, at=self.now())
        assert reply.card is not None, "whoever sends a file is told what became of it"
        self.console.reply(person, reply.card)
        return reply.card

    def answer(self, person: str, text: str) -> Card:
        """One answer, kept in nobody's conversation."""
        question = Ask(person, text, self.now())
        card = asking.ask(self.engine, self.house, self.library, self.feeds, question, keep=False).card
        assert card is not None, "a question is always answered"
        return card

    def press(self, person: str, verb: str, target: str, note: str, key: str) -> Card:
        card = assistant.press(self.engine, self.house, self.library, Press(person, verb, target, key, self.now(), note)).card
        assert card is not None, "a press is always answered"
        if self._sending.acquire(timeout=1):  # what the press made due reaches people at once, or else with the next sweep
            try:
                sweep.deliver(self.round(), self.now())
            except Exception:  # the press itself is done and answered
                log.exception("what a press made due could not be delivered; the next sweep tries again")
            finally:
                self._sending.release()
        return card

    def my_day(self, person: str) -> Card:
        who = self._person(person)
        with read(self.engine) as session:
            return digest.my_day(session, self.house, who, self.now())

    def digest(self, person: str) -> Card:
        return asking.standup(self.engine, self.house, self.feeds, self._person(person), self.now())

    def standup(self, sites: Sequence[str]) -> Card:
        """The stand-up of these sites, for whoever runs the installation."""
        with read(self.engine) as session:
            return digest.card(session, self.house, self.feeds, sites, self.now())

    # --- the Desk --------------------------------------------------------------------------------------------------------

    def people(self) -> Sequence[PersonView]:
        now = self.now()
        practice = self.practice
        return [self._view(person, now) for person in practice.people.values() if person.is_here(now.date())]

    def _view(self, person: Person, now: datetime) -> PersonView:
        home = people.home_site(self.practice, person)
        titles = tuple(dict.fromkeys(self.practice.roles[post.role].title for post in person.posts))
        on_shift = people.reachable_at(self.practice, person, now) == now
        return PersonView(person.id, person.name, titles, home.name, str(home.zone), on_shift)

    def next_opening(self, person: str) -> datetime:
        site = people.home_site(self.practice, self._person(person))
        at = next_open(site, self.now())
        if at > self.now():
            return at
        day = self.now().astimezone(site.zone).date() + timedelta(days=1)
        return next_open(site, datetime(day.year, day.month, day.day, tzinfo=site.zone).astimezone(UTC))

    def welcome(self, person: str) -> Wording:
        who = self._person(person)
        site = people.home_site(self.practice, who)
        role = self.practice.roles[who.posts[0].role] if who.posts else None
        if role is None:
            return say("You are {who} at {site}.", who=who, site=site)
        return say(
            "You are {who}, {role} at {site}. A card below is work that has stopped moving: press a button on it. "
            "Or ask how something is done, or be another person.",
            who=who,
            role=role,
            site=site,
        )

    def examples(self, person: str) -> Sequence[Wording]:
        return asking.examples(self.house, self._person(person), self.now())

    def reasons(self, verb: str) -> Sequence[Reason]:
        table = cards.REASONED.get(verb, {})
        return [Reason(code, label) for code, label in table.items()]

    def messages(self, person: str, after: int = 0) -> Sequence[Message]:
        return self.console.inbox(person, after)

    def wait(self, seen: str, timeout_s: float) -> str:
        return self.console.wait(seen, timeout_s)

    def trail(self, person: str, ref: str) -> Sequence[TrailRow]:
        self._person(person)
        with read(self.engine) as session:
            return [self._trail_row(entry) for entry in evidence.read(session, item=ref)]

    def _trail_row(self, entry: evidence.Entry) -> TrailRow:
        event = entry.event
        who = self.practice.people.get(event.actor)
        name = who.name if who else "Holdfast"
        detail = {
            **event.detail,
            "to": self._name_or_role(event.detail.get("to")),
            "for": self._name_or_role(event.detail.get("for")),
        }
        told = _TOLD.get(event.what, event.what.capitalize())
        sentence = told.format_map(_Blank(detail)) if "{" in told else told
        return TrailRow(
            event.at, name, sentence, entry.link.seq, entry.link.hash[:12], event.sop, event.sop_version or 0, event.step
        )

    def _name_or_role(self, word: object) -> str:
        key = str(word or "")
        person = self.practice.people.get(key)
        if person is not None:
            return person.name
        return self.house.role(key).title if key else ""

    def look(self, person: str, ref: str) -> Look | None:
        found = assistant.look(self.engine, self.house, self._person(person), ref, self.now())
        if found is None:
            return None
        if isinstance(found, Card):
            return Look(refusal=str(found.text))
        site = self.practice.sites[found.site]
        facts = tuple((name.replace("_", " "), _shown(name, value, site.zone)) for name, value in found.facts)
        sources = tuple((f"known to {feed}", str(cards.When(at, site.zone))) for feed, at in found.sources)
        return Look(found.kind.replace("_", " "), site.name, found.keys, facts + sources)

    def status(self) -> Status:
        with read(self.engine) as session:
            old = {s.feed for s in items.stale(session, self.feeds, self.now())}
            known = figures.feeds(session, [(f.id, f.site) for f in self.feeds.values()], old)
            mark = session.get(Mark, "last sweep")
            lost = len(figures.undelivered(session, since=self.now() - LOST_LATELY))
            head = evidence.head(session)
        views = tuple(FeedView(f.feed, f.as_of, f.stale) for f in known)
        library = f"{len({step.sop for step in self.library.steps(self.now())})} SOPs, {self._search_now()}"
        return Status(views, mark.at if mark else None, lost, head.seq if head else 0, head.hash[:12] if head else "", library)

    def skip(self, to: datetime) -> None:
        raise CannotStart("Only the demo's clock can be moved.")

    def notice(self, code: NoticeCode, **typed: int) -> Card:
        return cards.notice(code, **typed)

    def whose(self, platform: str, account: str) -> str:
        """The person whose chat account this is now, by the practice file as it stands; empty where it is nobody's."""
        practice = self.practice
        with read(self.engine) as session:
            person = accounts.person_of(session, practice, platform, account, self.now())
        return person.id if person is not None else ""

    def _person(self, person: str) -> Person:
        found = self.practice.people.get(person)
        if found is None:
            raise LookupError("nobody of the practice file has this id")
        return found

    def routes(self) -> list[BaseRoute]:
        """The addresses of every chat service, and those for machines."""
        from bot import web

        theirs = [route for chat in self.chats.values() for route in chat.routes()]
        return [*theirs, *web.routes(self.health, self.standing_figures)]

    # --- looking after it ----------------------------------------------------------------------------------------------

    def check(self) -> list[Finding]:
        """What is wrong or probably not meant in files, people, feeds, rules and SOP links, with file and line."""
        now = self.now()
        try:
            practice = load_practice(self.home / "practice.toml", load_roles())
        except PracticeError as bad:
            return list(bad.findings)
        found = [*practice.warnings, *people.check_staffing(practice, now)]
        try:
            feeds = items.load_feeds(self.home / "feeds.toml", practice.sites)
        except PracticeError as bad:
            return found + list(bad.findings)
        found += [finding for feed in feeds.values() for finding in self._check_feed(practice, feed)]
        for name in sorted(set(practice.chat) - set(self.platforms)):
            there = ", ".join(sorted(self.platforms))
            what = f"There is no chat platform {name!r} here, so these addresses reach nobody; there is {there}."
            found.append(practice.finding(("chat", name), what, "warning"))
        found += self._check_chats(practice, now)
        loaded, refused = self._rules()
        found += [Finding(f"bot/rules/{each.file}", 0, each.why) for each in refused]
        found += self._check_steps(practice, now)
        if self.pen:
            try:
                self.pen.model.connect()
            except NoModel as bad:
                found.append(Finding("environment", 0, str(bad)))
        for rule in loaded.values():
            for site in practice.sites.values():
                if not people.holders(practice, rule.anchor.role, site.id, now.astimezone(site.zone).date()):
                    title = practice.roles[rule.anchor.role].title if rule.anchor.role in practice.roles else rule.anchor.role
                    what = (
                        f"Nobody at {site.id} holds {title}, so what the rule {rule.rule.id} finds there goes to the manager."
                    )
                    found.append(practice.finding(("sites", site.id), what, "warning"))
        return found

    def _check_chats(self, practice: Practice, now: datetime) -> Iterator[Finding]:
        """What keeps a chat service from working, and whom nobody can write to."""
        for name in sorted(set(practice.channels) - set(self.platforms)):
            what = f"There is no chat platform {name!r} here, so these channels get no stand-up."
            yield practice.finding(("channels", name), what, "warning")
        for chat in self.chats.values():
            for sentence in chat.probe():
                yield Finding(chat.name, 0, sentence)
        if not self.chats:
            return
        self.acquaint()
        with read(self.engine) as session:
            where = [(chat.name, chat.may_write_first) for chat in self.chats.values()]
            alone = accounts.without_address(session, practice, where, now)
        for person in alone:
            if person.id not in practice.chat.get("console", {}).values():
                what = (
                    f"{person.id} can be written to on none of {', '.join(self.chats)}: give their email, name their account "
                    "under [chat], or have them write to Holdfast and say who they are."
                )
                yield practice.finding(("people", person.id), what, "warning")

    def _check_feed(self, practice: Practice, feed: FeedConfig) -> Iterator[Finding]:
        zone = practice.sites[feed.site].zone
        try:
            connectors.connect(feed.connector, feed.options, home=self.home, zone=zone, site=feed.site)
            known = connectors.option_names(feed.connector)
        except ConnectorError as bad:
            yield Finding("feeds.toml", feed.line, f"feed {feed.id}: {bad}")
            return
        for name in feed.options.keys() - set(known):
            what = f"feed {feed.id}: there is no option {name!r}; there are connector, site, stale_after, {', '.join(known)}."
            yield Finding("feeds.toml", feed.line, what)

    def _search_now(self) -> str:
        if "meaning" in self.library.halves:
            return "search by words and meaning"
        return f"word search alone: {self.library.away}" if self.library.away else "word search"

    def _check_steps(self, practice: Practice, now: datetime) -> Iterator[Finding]:
        for step in self.library.steps(now):
            if step.role and step.role not in practice.roles:
                known = ", ".join(sorted(practice.roles))
                yield Finding(f"SOP {step.sop}", 0, f"step {step.step} names the role {step.role!r}; the roles are {known}.")

    def health(self) -> dict[str, Any]:
        """Feeds, queue, index, last sweep, undelivered; `ok` is False where somebody should look."""
        now = self.now()
        status = self.status()
        with read(self.engine) as session:
            waiting = session.scalar(select(func.count()).select_from(Delivery).where(col(Delivery.ended_at).is_(None)))
            aside = session.execute(
                select(col(Intake.feed), col(Intake.name), col(Intake.detail)).where(col(Intake.outcome) == "quarantined")
            ).all()
            problems = {f.id: f.problem for f in session.scalars(select(Feed)) if f.problem}
            unguarded = list(guards.missing(session.connection()))
            model = tables.model_day(session, now.date())
            unanswered, oldest = inbox.pending(session)
            failed = inbox.failed_since(session, now - LOST_LATELY)
        away = sorted(name for name, pause in self._pauses.items() if now < pause.until)
        late = status.swept_at is None or now - status.swept_at > max(_LATE, 3 * timedelta(seconds=self.settings.tick_s))
        slow = oldest is not None and now - oldest > _LATE
        stale = [feed.name for feed in status.feeds if feed.stale]
        refused = [each.why for each in self.standing().refused]
        wrong = self.standing().wrong
        return {
            "ok": not (late or stale or problems or refused or wrong or unguarded or status.undelivered or slow or away),
            "now": now.isoformat(),
            "last_sweep": status.swept_at.isoformat() if status.swept_at else "never",
            "feeds": {feed.name: feed.as_of.isoformat() if feed.as_of else "nothing yet" for feed in status.feeds},
            "late": late,
            "stale": stale,
            "problems": problems,
            "files": wrong,
            "set_aside": [f"{feed}: {name}: {why}" for feed, name, why in aside],
            "rules_refused": refused,
            "queue": int(waiting or 0),
            "unanswered": unanswered,
            "slow": slow,
            "away": away,
            "answers_failed": sum(failed.values()),
            "undelivered": status.undelivered,
            "library": status.library,
            "model": self._of_model(model),
            "unguarded": unguarded,
            "ledger": status.ledger,
            "head": status.head,
        }

    def _of_model(self, day: Mapping[str, int]) -> dict[str, str | int]:
        """Which model words answers, and what came of it today (UTC): questions by outcome, and tokens."""
        if not self.settings.model:
            return {}
        outcomes = {outcome: n for outcome, n in sorted(day.items()) if outcome}
        return {"name": self.settings.model, **outcomes, "tokens": day.get("", 0)}

    def standing_figures(self) -> metrics.Figures:
        """How the installation stands, for /metrics."""
        now = self.now()
        status = self.status()
        with read(self.engine) as session:
            waiting, oldest = inbox.pending(session)
            query = select(col(Delivery.state), func.count()).group_by(col(Delivery.state))
            outbox = {state: int(count) for state, count in session.execute(query).all()}
        return metrics.Figures(
            inbox_pending=waiting,
            inbox_oldest_s=(now - oldest).total_seconds() if oldest else None,
            outbox=outbox,
            feed_ages_s={feed.name: (now - feed.as_of).total_seconds() if feed.as_of else None for feed in status.feeds},
            swept_s=(now - status.swept_at).total_seconds() if status.swept_at else None,
            ledger=status.ledger,
        )

    # --- running ---------------------------------------------------------------------------------------------------------

    def _read_passages(self) -> None:
        """Make the search ready before somebody asks: else the first answers after a start are by words alone."""
        try:
            self.library.ready(self.now(), 0)
        except Exception:
            log.exception("the search was not made ready before a question")

    @contextmanager
    def talking(self) -> Iterator[None]:
        """Listen to the chat services and answer, in threads, until the block ends; what is under way is ended first."""
        stop = threading.Event()
        if self.pen:  # its provider's package takes seconds to load, which are no asker's
            threading.Thread(target=self.pen.model.warm, name="warming", daemon=True).start()
        threading.Thread(target=self._read_passages, name="reading", daemon=True).start()
        crew = [threading.Thread(target=self._answer, args=(stop,), name=f"worker {n}") for n in range(self.settings.workers)]
        for worker in crew if self.chats else ():
            worker.start()
        for chat in self.chats.values():
            chat.start()
        try:
            yield
        finally:
            for chat in self.chats.values():
                chat.stop()
            stop.set()
            self._heard.set()
            for worker in crew if self.chats else ():
                worker.join(timeout=15)

    def _answer(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self._heard.wait(1.0)  # rows that were put off, or kept by another process, are found by looking
            self._heard.clear()
            try:
                self.front.work()
            except Exception:  # the worker must not die
                log.exception("answering failed; it goes on from the same rows")
                stop.wait(1.0)

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Send what is due in a thread of its own, at the pace that the chat services allow, until the block ends."""
        stop = threading.Event()
        sender = threading.Thread(target=self._send, args=(stop,), name="sender")
        sender.start()
        try:
            yield
        finally:
            stop.set()
            self._due.set()
            sender.join(timeout=30)

    def _send(self, stop: threading.Event) -> None:
        wait: float | None = None
        while not stop.is_set():
            self._due.wait(1.0 if wait is None else min(wait, 1.0))
            try:
                done = self.deliver()
                wait = done.later_s
                while wait is not None and not stop.is_set():
                    stop.wait(max(wait, 0.005))
                    wait = self.deliver().later_s
            except Exception:  # the sender must not die
                log.exception("sending failed; it goes on from the same rows")
                stop.wait(1.0)

    def close(self) -> None:
        for name in {"engine", "inbox", "patients"} & self.__dict__.keys():
            part = getattr(self, name)
            (part if name == "engine" else part.engine).dispose()


# --- the clock that keeps ticking ------------------------------------------------------------------------------------------


class Ticker:
    """Ticks every few seconds in a thread of its own until stopped.

    APScheduler is the clock and owns nothing: memory job store, one interval job. It goes silent when the wall clock is set
    back, so a monotonic watchdog starts a new one when two intervals have passed without a tick.
    """

    def __init__(self, tick: Callable[[], object], every_s: float) -> None:
        self._tick = tick
        self._every_s = every_s
        self._last = time.monotonic()
        self._scheduler: Any = None
        self._stop = threading.Event()
        self._watchdog = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        self._begin()
        self._watchdog.start()

    def stop(self) -> None:
        self._stop.set()
        if self._scheduler is not None:
            self._scheduler.shutdown(wait=True)

    def _begin(self) -> None:
        from apscheduler.schedulers.background import BackgroundScheduler

        if self._scheduler is not None:
            self._scheduler.shutdown(wait=False)
        self._last = time.monotonic()
        self._scheduler = BackgroundScheduler(timezone=UTC)
        self._scheduler.add_job(
            self._once, "interval", seconds=self._every_s, next_run_time=datetime.now(UTC),
            coalesce=True, max_instances=1, misfire_grace_time=None,
        )  # fmt: skip
        self._scheduler.start()

    def _once(self) -> None:
        try:
            self._tick()
        except Exception:  # the loop must not die; the next tick tries again
            log.exception("a sweep failed; the next one goes on from the same rows")
        finally:
            self._last = time.monotonic()

    def _watch(self) -> None:
        while not self._stop.wait(self._every_s):
            if time.monotonic() - self._last > 2 * self._every_s + 60:
                log.warning("the clock has been silent for %d s: starting it again", time.monotonic() - self._last)
                self._begin()


_CLOCK_LOCK = 7023519842
STAND_BY_S = 5.0
"""How long a clock in reserve waits before it tries again to take over."""


@contextmanager
def only_clock(home: Path, engine: Engine, stopped: threading.Event | None = None) -> Iterator[bool]:
    """Hold the right to tick for this installation. True: we tick; False: we were stopped while another process did.

    stopped              on PostgreSQL, stand by until the other process ends or this is set; without it a second one is refused
    raises CannotStart   another process ticks already
    """
    if engine.dialect.name != "postgresql":
        with _file_lock(home / "clock.lock"):
            yield True
        return
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        standing_by = False
        while not connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({_CLOCK_LOCK})").scalar():
            if stopped is None:
                raise CannotStart("Another Holdfast clock is running on this database; stop it first, or run “web” here.")
            if not standing_by:
                log.info("another clock is running on this database; standing by to take over")
            standing_by = True
            if stopped.wait(STAND_BY_S):
                yield False
                return
        try:
            yield True
        finally:  # the connection goes back to its pool and would take the lock along
            connection.exec_driver_sql(f"SELECT pg_advisory_unlock({_CLOCK_LOCK})")


def _file_lock(path: Path) -> AbstractContextManager[object]:
    import fcntl

    file = path.open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise CannotStart(
            f"Another Holdfast clock is running on {path.parent}; stop it first, or set another HOLDFAST_HOME."
        ) from None
    return file


# --- small things ----------------------------------------------------------------------------------------------------------


def anchor_of(step: LiveStep | None) -> Anchor | None:
    """The live step as a rule's anchor. raises ValueError where it names no role or no clock"""
    if step is None:
        return None
    if not step.role:
        raise ValueError("it names no role; add a Who line")
    if not step.clock:
        raise ValueError("it names no clock; add a Clock line")
    return Anchor(step.sop, step.version, step.step, step.role, parse_clock(step.clock))


def quote_of(step: LiveStep) -> StepQuote:
    """A live step as cards quote it: its first paragraph, which stands alone."""
    return StepQuote(
        Token(step.sop),
        step.version,
        Token(step.step),
        Token(step.number) if step.number else None,
        step.sop_title,
        step.title,
        step.lead,
    )


_TOLD = {
    "answer given": "was given the step",
    "question put": "put a question to {to}",
    "question answered": "answered {to}, where no SOP does",
    "answer judged": "said whether the answer helped",
    "gap closed": "had it put into the SOP",
    "gap left": "left it to no SOP",
    "golden kept": "kept a question that must go on finding its step",
    "golden given up": "gave up a question that had to find its step",
    "procedure begun": "began to go through the procedure",
    "procedure walked": "went through the procedure: {done} of {steps} steps ticked off",
    "procedure stopped": "stopped going through the procedure: {done} of {steps} steps ticked off",
    "nudge found": "found that this has stalled",
    "nudge reopened": "opened it again: the source shows that it has stalled after all",
    "nudge planned": "chose {to} to be told",
    "nudge sent": "told {to}",
    "nudge acknowledged": "took it on",
    "said done": "said done",
    "nudge verified": "saw in the source that it was done",
    "nudge overtaken": "closed it: the source had moved on",
    "done contradicted": "opened it again: the source does not show that it was done",
    "nudge escalated": "passed it up to {to}",
    "nudge snoozed": "put it off until {until}",
    "nudge woke": "woke it",
    "nudge repeated": "reminded, because it had not moved",
    "nudge wrong": "reported it wrong ({reason})",
    "nudge not mine": "said it is not theirs",
    "exception asked": "asked for an exception ({reason})",
    "exception granted": "approved the exception",
    "exception refused": "refused the exception",
    "exception undecided": "asked again: nobody had decided the exception",
    "exception expired": "opened it again: the exception ran out",
    "nobody on duty": "found nobody on duty for the {for}",
    "press refused": "pressed {verb} and may not",
    "send dropped": "did not send it: {why}",
    "nudge undelivered": "could not reach {to}",
    "nudge released": "released it from the review",
    "nudge reviewed": "closed it in the first review",
    "record looked at": "looked at the record",
    "sop file sent": "sent an SOP file to be imported",
    "sop file refused": "sent a file and may not",
}
"""Evidence in a sentence, after the name of who did it."""


class _Blank(dict[str, object]):
    def __missing__(self, key: str) -> str:
        return "…"


def _shown(name: str, value: object, zone: Any) -> str:
    if isinstance(value, datetime):
        return str(cards.When(value, zone))
    if name.endswith("_cents") and isinstance(value, int):
        return str(cards.Money(value))
    return ", ".join(str(v) for v in value) if isinstance(value, tuple) else str(value)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError:
        return (0, 0)
    return (stat.st_mtime_ns, stat.st_size)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
