"""A front that only listens, Slack with our edge at its door, and requests as exact bytes: for the tests of the Slack edge."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import Engine
from starlette.applications import Starlette

from bot import cards
from bot.chat import CannotKeep, Form, Heard, Reply, Wording
from bot.platforms.slack import Slack
from bot.settings import Settings
from tests.fakes import slack as fake
from tests.fakes.serving import serving

SECRET = "0123456789abcdef0123456789abcdef"


@dataclass
class Ears:
    """chat.Front that keeps what it hears in a list."""

    heard: list[Heard] = field(default_factory=list)
    fails: bool = False

    def hear(self, heard: Heard) -> bool:
        if self.fails:
            raise CannotKeep("the database is away")
        is_new = heard.key not in [each.key for each in self.heard]
        if is_new:
            self.heard.append(heard)
        return is_new

    def answer(self, heard: Heard) -> Reply:
        raise NotImplementedError

    look = answer

    def form(self, verb: str, platform: str) -> Form | None:
        return cards.form(verb)

    def objection(self, heard: Heard) -> Wording | None:
        return None if heard.note and len(heard.note) < 600 else cards.say("Say why, in a few words.")

    def sentence(self, code: str) -> Wording:
        return cards.notice(code).text

    def examples(self, platform: str, account: str) -> Sequence[Wording]:
        return ()

    def links(self) -> Sequence[str]:
        return ("https://holdfast.example.com",)

    def reference(self, platform: str, address: str) -> Mapping[str, str]:
        return {}


def settings(home: Path, **more: Any) -> Settings:
    plain = {"slack_bot_token": "xoxb-1", "slack_signing_secret": SECRET, "slack_api_url": "http://127.0.0.1:9/api/"}
    return Settings(home=home, database_url="sqlite://", **{**plain, **more})


@contextmanager
def together(home: Path, engine: Engine, *, mode: fake.Mode = "http", **more: Any) -> Iterator[tuple[fake.Slack, Slack, Ears]]:
    """Slack, our edge connected to it, and what the edge hears."""
    with fake.workspace(mode=mode) as cloud:
        ears = Ears()
        tokens = {"slack_bot_token": cloud.bot_token, "slack_signing_secret": cloud.signing_secret, "slack_api_url": cloud.url}
        tokens |= {"slack_app_token": cloud.app_token} if mode == "socket" else {}
        ours = Slack(settings(home, **{**tokens, **more}), ears, engine)
        with serving(Starlette(routes=ours.routes())) as address:
            cloud.request_url = address + "/slack/events"
            ours.start()
            if mode == "socket":
                cloud.wait_for_sockets()
            try:
                yield cloud, ours, ears
            finally:
                ours.stop()


def signed(body: bytes, *, secret: str = SECRET, at: str | None = None) -> list[tuple[bytes, bytes]]:
    """The headers of a request that Slack signed."""
    stamp = at if at is not None else str(int(time.time()))
    digest = hmac.new(secret.encode(), b"v0:" + stamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    return [(b"x-slack-request-timestamp", stamp.encode()), (b"x-slack-signature", f"v0={digest}".encode())]


def post(
    app: Starlette, body: bytes, headers: Sequence[tuple[bytes, bytes]], *, path: str = "/slack/events", method: str = "POST"
) -> tuple[int, bytes]:
    """Status and body of one request, sent as these bytes; nothing between us and the application mends it."""
    at, _, query = path.partition("?")
    scope = {
        "type": "http", "http_version": "1.1", "method": method, "path": at, "raw_path": at.encode(), "scheme": "http",
        "query_string": query.encode(), "headers": list(headers), "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1),
        "root_path": "",
    }  # fmt: skip
    chunks = [body[start : start + 65536] for start in range(0, len(body), 65536)] or [b""]
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        chunk = chunks.pop(0) if chunks else b""
        return {"type": "http.request", "body": chunk, "more_body": bool(chunks)}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    said = b"".join(each.get("body", b"") for each in sent if each["type"] == "http.response.body")
    return int(sent[0]["status"]), said


def event(event: Mapping[str, Any], event_id: str = "Ev001") -> dict[str, Any]:
    """An event in its envelope."""
    authorization = {"enterprise_id": None, "team_id": "T01", "user_id": "U0BOT", "is_bot": True}
    return {
        "type": "event_callback", "team_id": "T01", "event_id": event_id, "event_time": 1_770_000_000, "event": dict(event),
        "authorizations": [authorization],
    }  # fmt: skip


def as_form(payload: Mapping[str, Any]) -> bytes:
    """An interaction, as Slack posts it."""
    return urlencode({"payload": json.dumps(payload)}).encode()
