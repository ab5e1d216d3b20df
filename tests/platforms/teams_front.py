"""What stands behind the Teams edge in its own tests: a front that keeps what it hears, and a bot connected to a fake Teams."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from bot import cards
from bot.cards import NOTICES, say
from bot.chat import Button, CannotKeep, Card, Form, Heard, Reply, Wording
from bot.platforms.teams import Teams
from bot.platforms.teams.trust import Cloud
from bot.settings import Settings
from tests.fakes.teams import FakeTeams

NUDGE = Card(
    "nudge",
    say("A claim is unpaid"),
    say("It stands still."),
    buttons=(
        Button("done", "N1", say("Done"), style="primary"),
        Button("cant", "N1", say("Can't"), needs="reason"),
    ),
    ref="N1",
)
NOTED = Card("reply", say("Noted"), say("It is noted."))
ANSWER = Card("answer", say("Posting an ERA"), say("Open the ERA."))


@dataclass
class StubFront:
    """bot.chat.Front: keeps what it is told, and replies what it was given."""

    reply: Reply = field(default_factory=lambda: Reply(NOTED, took=True))
    heard: list[Heard] = field(default_factory=list)
    answered: list[Heard] = field(default_factory=list)
    looked: list[Heard] = field(default_factory=list)
    references: dict[str, Mapping[str, str]] = field(default_factory=dict)
    objects: Wording | None = None
    is_down: bool = False

    def hear(self, heard: Heard) -> bool:
        if self.is_down:
            raise CannotKeep("the database is down")
        self.heard.append(heard)
        if heard.place.surface == "dm":
            self.references[heard.account] = self.references[heard.place.channel] = heard.details
        return True

    def answer(self, heard: Heard) -> Reply:
        if self.is_down:
            raise CannotKeep("the database is down")
        self.answered.append(heard)
        return self.reply

    def look(self, heard: Heard) -> Reply:
        self.looked.append(heard)
        return self.reply

    def form(self, verb: str, platform: str) -> Form | None:
        return cards.form(verb)

    def objection(self, heard: Heard) -> Wording | None:
        return self.objects

    def sentence(self, code: str) -> Wording:
        return say(NOTICES[code])

    def examples(self, platform: str, account: str) -> Sequence[Wording]:
        return ()

    def links(self) -> Sequence[str]:
        return ()

    def reference(self, platform: str, address: str) -> Mapping[str, str]:
        return self.references.get(address, {})


@dataclass
class Bot:
    """A Teams edge that is connected to a fake Teams, where Bea has added it."""

    fake: FakeTeams
    front: StubFront
    teams: Teams


def settings(**more: object) -> Settings:
    known = Settings(home=Path("nowhere"), database_url="sqlite://", url="https://bot.practice.example")
    return replace(known, **more)  # type: ignore[arg-type]


def teams_for(front: StubFront, chosen: Settings, cloud: Cloud | None = None) -> Teams:
    class Here(Teams):
        """Teams with Microsoft's side somewhere else."""

    if cloud:
        Here.cloud = cloud
    return Here(chosen, front, create_engine("sqlite://"))


@contextmanager
def bot_on_teams() -> Iterator[Bot]:
    """raises AssertionError at its end   something that the bot sent is not what Teams takes"""
    fake, front = FakeTeams(), StubFront()
    teams = teams_for(front, settings(**fake.settings), Cloud(login=fake.url, openid=fake.openid_metadata_url))
    teams.start()
    fake.connect(teams.routes())
    fake.add("bea")
    fake.install("bea")
    try:
        yield Bot(fake, front, teams)
    finally:
        teams.stop()
        fake.close()


@pytest.fixture
def bot() -> Iterator[Bot]:
    with bot_on_teams() as bot:
        yield bot
