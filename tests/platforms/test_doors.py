"""Every address of a running Holdfast takes whatever is sent to it: no fault of ours, no word of it in a log, no harm done.

The addresses are read from the routes themselves, so that a new one is tried without anybody thinking of it. Schemathesis makes
requests that are wrong by the addresses' own description; what is signed by Slack, carries a good token of Teams, or comes from
somebody who is signed in is made here: good requests with something else in some places. HOLDFAST_SOAK=1: ten times more.
"""

from __future__ import annotations

import asyncio
import base64
import copy
import hmac
import json
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlencode

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from sqlalchemy import func, select, text
from sqlmodel import SQLModel
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Mount, Route

from bot import signin
from bot.platforms.console import page
from bot.platforms.slack import blocks
from bot.platforms.teams import Teams
from bot.platforms.teams.trust import Cloud
from bot.records import read
from bot.signin import SignedIn
from tests.behaviour import slack as on_slack
from tests.behaviour import teams as on_teams
from tests.behaviour.small import PRACTICE, STALLED, Opens, Small, stalled
from tests.fakes.teams import FakeTeams
from tests.platforms.slack_rig import SECRET, as_form, event, signed

SOAK = os.environ.get("HOLDFAST_SOAK") == "1"
EACH = 600 if SOAK else 60
"""How many requests of each kind are made up; there are four kinds, and every address is tried beside them."""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
HOST = "127.0.0.1:8377"
TOKEN = "a-token-for-tests-only"
CANARY = "zebra-crossing-4711"
"""Stands in every body: no line of a log may hold it."""
KEY = base64.b64encode(b"k" * 32).decode()
NEAR = [
    "/slack/events", "/slack/install", "/slack/oauth_redirect", "/api/messages", "/health", "/metrics", "/page/in",
    "/page/ask", "/page/press", "/page/out", "/page/r/{ref}", "/{token}/ask", "/{token}/events", "/r/{ref}", "/",
]  # fmt: skip
"""Addresses that must be among those found: without them the search itself is broken."""

Header = tuple[str, str]


@dataclass(frozen=True)
class Sent:
    """One request, as it is sent."""

    method: str
    path: str
    query: str = ""
    headers: tuple[Header, ...] = ()
    body: bytes = b""


@dataclass
class Doors:
    """A whole Holdfast with every chat service there is, a page where people sign in, and what it answered so far."""

    small: Small
    app: Starlette
    fake: FakeTeams
    cookie: str
    form: str
    runner: asyncio.Runner
    statuses: Counter[str] = field(default_factory=Counter)

    def send(self, sent: Sent) -> int:
        """The status. Nothing between us and the application mends the request; who sent it is gone once it is sent."""
        status = self.runner.run(self._send(sent))
        self.statuses[f"{status // 100}xx"] += 1
        is_stale = sent.path == "/health" and not self.small.holdfast.health()["ok"]
        assert status < 500 or (status == 503 and is_stale), (status, sent)
        return status

    async def _send(self, sent: Sent) -> int:
        headers = [
            (name.lower().encode("latin-1", "replace"), value.encode("utf-8", "replace")) for name, value in sent.headers
        ]
        if not any(name == b"host" for name, _ in headers):
            headers.append((b"host", HOST.encode()))
        scope = {
            "type": "http", "http_version": "1.1", "method": sent.method, "path": sent.path, "raw_path": sent.path.encode(),
            "scheme": "http", "query_string": sent.query.encode("utf-8", "replace"), "headers": headers,
            "server": ("127.0.0.1", 8377), "client": ("127.0.0.1", 1), "root_path": "",
        }  # fmt: skip
        parts = [sent.body[start : start + 65536] for start in range(0, len(sent.body), 65536)] or [b""]
        told: list[Any] = []

        async def receive() -> dict[str, Any]:
            if not parts:
                return {"type": "http.disconnect"}
            part = parts.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(parts)}

        async def send(message: Any) -> None:
            told.append(message)

        await self.app(scope, receive, send)
        return int(told[0]["status"])

    def paths(self) -> dict[str, set[str]]:
        """Every address, and the methods that it is there for; none: it decides itself."""
        found: dict[str, set[str]] = {}
        for path, methods in _within(self.app.routes):
            found.setdefault(path, set()).update(methods)
        return found

    def filled(self, path: str) -> str:
        return path.replace("{token}", TOKEN).replace("{ref}", self.small.nudge().id).replace("{name}", "page.css")

    def rows(self) -> dict[str, int]:
        """How many rows each table has."""
        tables = SQLModel.metadata.sorted_tables
        with read(self.small.holdfast.engine) as session:
            return {table.name: session.scalar(select(func.count()).select_from(table)) or 0 for table in tables}

    def stands(self) -> None:
        """The database is whole, what came in is worked off without a fault, and the evidence holds."""
        self.small.holdfast.work()
        with read(self.small.holdfast.engine) as session:
            if self.small.holdfast.engine.dialect.name == "sqlite":
                assert session.scalar(text("PRAGMA integrity_check")) == "ok"
            assert session.execute(text("PRAGMA foreign_key_check")).all() == []
        assert self.small.verify().ok
        assert self.send(Sent("GET", "/health")) == 200


def _within(routes: Sequence[BaseRoute], below: str = "") -> Iterator[tuple[str, set[str]]]:
    for route in routes:
        if isinstance(route, Route):
            yield below + route.path or "/", set(route.methods or ())
        else:
            assert isinstance(route, Mount), f"an address of a kind that this test does not know: {route}"
            yield from _below(route.app, below + route.path)


def _below(app: Any, below: str) -> Iterator[tuple[str, set[str]]]:
    """What lies behind a guard or a door, and what an application hands everything else to."""
    while isinstance(app, page._Guard | page._Entered):
        app = app._app
    yield from _within(app.routes, below)
    router = getattr(app, "router", app)
    if isinstance(router.default, page._Entered):
        yield from _below(router.default, below)


@pytest.fixture
def doors(opens: Opens, everything_logged: pytest.LogCaptureFixture) -> Iterator[Doors]:
    for name in list(logging.root.manager.loggerDict):
        if name.startswith("sqlalchemy"):
            logging.getLogger(name).setLevel(logging.INFO)  # below that it shows the rows that it reads, which is its purpose
    fake, microsoft = FakeTeams(), Teams.cloud
    Teams.cloud = Cloud(login=fake.url, openid=fake.openid_metadata_url)
    chats: dict[str, Any] = {
        "slack_signing_secret": SECRET, "slack_client_id": "1.2", "slack_client_secret": "s", "slack_teams": ("T01",),
        "slack_api_url": "http://127.0.0.1:9/api/", "key": KEY, "url": f"http://{HOST}", **fake.settings,
    }  # fmt: skip
    small = opens(practice=PRACTICE + on_slack.ADDRESSES + on_teams.ADDRESSES, settings=chats)
    small.holdfast.is_silent = True
    small.report("harbor")
    stalled(small)
    small.clock.at = STALLED
    small.tick()
    small.holdfast.is_silent = False
    holdfast, now = small.holdfast, small.clock.now()
    word = signin.use(holdfast.engine, signin.make(holdfast.engine, "bea", now), now) or ""
    own = page.Page(holdfast, TOKEN, [HOST], SignedIn(holdfast.engine, holdfast.now))
    handlers: Mapping[Any, Any] = {HTTPException: page._nothing_here, Exception: page._broken}
    app = Starlette(routes=[*holdfast.routes(), *own.routes()], exception_handlers=handlers)
    with asyncio.Runner() as runner:
        yield Doors(small, app, fake, f"holdfast={word}", hmac.new(word.encode(), b"form", "sha256").hexdigest(), runner)
    for chat in holdfast.chats.values():
        chat.stop()
    Teams.cloud = microsoft
    fake.close()


# --- good requests, and what may stand in them instead ----------------------------------------------------------------------


def of_slack(small: Small) -> list[dict[str, Any]]:
    """What Slack sends: events, presses, forms, shortcuts."""
    said = {"type": "message", "user": "U0BEA", "channel": "D01", "channel_type": "im", "ts": "17.1", "text": CANARY}
    value = json.dumps({"f": blocks.FORMAT, "v": "on_it", "t": small.nudge().id, "n": "a1b2c3d4", "w": ""})
    action = {"type": "button", "action_id": "hf:0:on_it", "value": value, "action_ts": "18.0"}
    container = {"type": "message", "message_ts": "17.5", "channel_id": "D01"}
    who = {"team": {"id": "T01"}, "user": {"id": "U0BEA"}, "trigger_id": "1.2.x", "response_url": "http://127.0.0.1:9/r"}
    press = {"type": "block_actions", **who, "actions": [action], "container": container, "channel": {"id": "D01"}}
    opened = {"f": blocks.FORMAT, "key": "k", "account": "U0BEA", "verb": "cant", "surface": "dm", "target": small.nudge().id}
    chosen = {"choice": {"choice": {"selected_option": {"value": "other"}}}, "typed": {"typed": {"value": CANARY}}}
    view = {"id": "V1", "private_metadata": json.dumps(opened), "state": {"values": chosen}, "callback_id": "hf"}
    shortcut = {"type": "message_action", **who, "callback_id": "about_message", "message": {"text": CANARY, "ts": "1.1"}}
    kinds = (
        {"type": "app_mention"},
        {"thread_ts": "16.1", "channel_type": "channel", "channel": "C01"}, {"type": "app_uninstalled"},
        {"type": "user_change", "user": {"id": "U0TOM", "deleted": True}}, {"type": "app_home_opened", "tab": "home"},
        {"type": "assistant_thread_started", "assistant_thread": {"channel_id": "D1", "thread_ts": "1.1", "user_id": "U0BEA"}},
    )  # fmt: skip
    events = [event({**said, **kind}) for kind in ({}, *kinds)]
    return [*events, press, {"type": "view_submission", **who, "view": view}, shortcut]


def of_teams(small: Small, fake: FakeTeams) -> list[dict[str, Any]]:
    """What Teams sends: messages, presses, searches, comings and goings."""
    bea = fake.members.get("29:bea") or fake.add("bea")
    data = {"f": 1, "t": small.nudge().id, "n": "a1b2c3d4", "typed": CANARY}
    pressed = {"action": {"type": "Action.Execute", "verb": "on_it", "data": data}, "trigger": "manual"}
    search = {"commandId": "sop", "parameters": [{"name": "query", "value": CANARY}]}
    about = {"commandId": "ask", "messagePayload": {"body": {"contentType": "html", "content": CANARY}}}
    acts: list[dict[str, Any]] = [
        {"type": "message", "text": CANARY},
        {"type": "message", "value": pressed},
        {"type": "invoke", "name": "adaptiveCard/action", "value": pressed, "replyToId": "1"},
        {"type": "invoke", "name": "composeExtension/query", "value": search},
        {"type": "invoke", "name": "composeExtension/fetchTask", "value": about},
        {"type": "conversationUpdate", "membersAdded": [{"id": "28:bot"}]},
        {"type": "installationUpdate", "action": "remove"},
        {"type": "messageReaction", "reactionsAdded": [{"type": CANARY}]},
    ]
    return [fake._activity(bea, **act) for act in acts]


words = st.one_of(
    st.text(max_size=30).map(lambda typed: CANARY + typed),
    st.sampled_from(["", "\x00", "\ud800", "9" * 400, "../..", "<@U0BEA>", "null", "a" * 5000, "\u202e", "on_it", "open"]),
)
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), words),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(words, inner, max_size=4)),
    max_leaves=6,
)


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in JSON."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in parts:
        yield (*at, key)
        yield from places(inner, (*at, key))


@st.composite
def changed(draw: st.DrawFn, good: Sequence[dict[str, Any]], kept: frozenset[str] = frozenset()) -> Any:
    """One of these with something else in up to three places, but not in what is `kept`; one time in eight any JSON at all."""
    if not kept and draw(st.integers(0, 7)) == 0:
        return draw(anything)
    made = copy.deepcopy(draw(st.sampled_from(good)))
    for _ in range(draw(st.integers(0, 3))):
        free = [at for at in places(made) if at[0] not in kept]
        *way, last = draw(st.sampled_from(free))
        inner: Any = made
        for key in way:
            inner = inner[key]
        if draw(st.booleans()):
            inner[last] = draw(anything)
        else:
            del inner[last]
    return made


KINDS = ("application/json", "application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x", "", "\xff")
content_types = st.sampled_from(KINDS).map(lambda kind: ("content-type", kind))


def latin(headers: Sequence[tuple[bytes, bytes]]) -> tuple[Header, ...]:
    return tuple((name.decode(), value.decode()) for name, value in headers)


def slack_requests(small: Small) -> st.SearchStrategy[Sent]:
    """Signed by Slack, whatever is in them."""

    def drawn(payload: Any, way: str, raw: bytes, kind: Header) -> Sent:
        body = {"json": lambda: json.dumps(payload).encode(), "form": lambda: as_form(payload), "raw": lambda: raw}[way]()
        return Sent("POST", "/slack/events", "", (kind, *latin(signed(body))), body)

    command = {"command": "/sop", "text": CANARY, "user_id": "U0BEA", "trigger_id": "1.1.a", "payload": "x"}
    raw = st.one_of(
        st.binary(max_size=60).map(CANARY.encode().__add__),
        st.dictionaries(st.sampled_from(sorted(command)), words).map(
            lambda some: urlencode({**command, **some}, errors="replace").encode()
        ),
    )
    return st.builds(drawn, changed(of_slack(small)), st.sampled_from(["json", "form", "form", "raw"]), raw, content_types)


def teams_requests(doors: Doors) -> st.SearchStrategy[Sent]:
    """With a good token and from a tenant of ours, whatever else is in them."""
    kept = frozenset(("serviceUrl", "conversation", "channelData"))

    def drawn(activity: Any, kind: Header) -> Sent:
        token = ("authorization", f"Bearer {doors.fake.token()}")
        return Sent("POST", "/api/messages", "", (kind, token), json.dumps(activity).encode())

    good = of_teams(doors.small, doors.fake)
    return st.builds(drawn, st.one_of(changed(good, kept), changed(good, kept), changed(good)), content_types)


def page_requests(doors: Doors) -> st.SearchStrategy[Sent]:
    """From somebody who is signed in, or has the page's token, to any address of it."""
    paths = sorted(path for path in doors.paths() if path.startswith(("/page", "/{token}", "/r/")) and path != "/page/out")
    asked = {"text": CANARY, "verb": "on_it", "target": doors.small.nudge().id, "key": "k1", "message": "1", "note": CANARY}
    free = hmac.new(TOKEN.encode(), b"form", "sha256").hexdigest()

    def drawn(method: str, path: str, change: Mapping[str, str], ref: str, kind: Header) -> Sent:
        form = free if path.startswith("/{token}") else doors.form
        body = urlencode({**asked, "form": form, "as": "bea", **change}, errors="replace").encode()
        at = doors.filled(path.replace("{ref}", ref).replace("{name}", ref) if ref else path)
        own = ("sec-fetch-site", "same-origin"), ("origin", f"http://{HOST}")
        headers = (*own, ("cookie", doors.cookie), kind)
        return Sent(method, at, urlencode(change, errors="replace"), headers, body if method == "POST" else b"")

    fields = st.sampled_from([*asked, "as", "reason", "needs", "until", "to", "code", "seen", "here"])
    kinds = st.one_of(st.just(("content-type", KINDS[1])), st.just(("content-type", KINDS[1])), content_types)
    methods = st.sampled_from(["GET", "POST", "POST", "HEAD"])
    refs = st.one_of(st.just(""), words.filter(lambda word: "\ud800" not in word))
    return st.builds(drawn, methods, st.sampled_from(paths), st.dictionaries(fields, words, max_size=3), refs, kinds)


def wrong_requests(doors: Doors) -> st.SearchStrategy[Sent]:
    """What Schemathesis makes of every address: from anybody, unsigned, and wrong by the address's own description."""
    text_of = {"schema": {"type": "string"}}
    forms = {"type": "object", "required": ["text"], "properties": {"text": {"const": CANARY}}}
    body = {"content": {kind: {"schema": forms} for kind in KINDS[:3]}}
    names = ("authorization", "x-slack-signature", "x-slack-request-timestamp", "cookie")
    asked = [{"name": name, "in": "header", **text_of} for name in names]
    asked += [{"name": name, "in": "query", **text_of} for name in ("code", "state", "seen", "as")]
    described: dict[str, Any] = {}
    for path in doors.paths():
        parts = [
            {"name": name, "in": "path", "required": True, **text_of}
            for name in ("token", "ref", "name")
            if f"{{{name}}}" in path
        ]
        answers = {"parameters": [*asked, *parts], "responses": {"default": {"description": "anything"}}}
        described[path] = {
            method.lower(): {**answers, **({} if method in ("GET", "HEAD", "TRACE") else {"requestBody": body})}
            for method in METHODS
        }
    schema = schemathesis.openapi.from_dict(
        {"openapi": "3.1.0", "info": {"title": "Holdfast", "version": "1"}, "paths": described}
    )
    return schema.as_strategy(generation_mode=GenerationMode.NEGATIVE).map(_as_sent)


def _as_sent(case: Any) -> Sent:
    given = {name: value for name, value in case.as_transport_kwargs(base_url=f"http://{HOST}").items() if name in _TAKEN}
    made = requests.Request(**given).prepare()
    path, _, query = (made.path_url or "/").partition("?")
    body: Any = made.body or b""
    body = body.encode() if isinstance(body, str) else body
    assert isinstance(body, bytes)
    return Sent(case.method, unquote(path), query, tuple((n, str(v)) for n, v in made.headers.items()), body)


_TAKEN = ("method", "url", "headers", "params", "data", "json", "cookies", "files")


def try_all(made: st.SearchStrategy[Sent], try_one: Callable[[Sent], None]) -> None:
    """So many requests of this kind; the same ones each time unless the run is a long one."""
    how = settings(
        max_examples=EACH, deadline=None, database=None, derandomize=not SOAK, suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
    )  # fmt: skip
    how(given(made)(try_one))()


# --- the tests -------------------------------------------------------------------------------------------------------------


def test_whoever_is_not_let_in_changes_nothing_at_any_address(
    doors: Doors, everything_logged: pytest.LogCaptureFixture
) -> None:
    """Lost: somewhere there is an address at which a stranger makes us fail, write, or log what they sent."""
    paths, before, huge = doors.paths(), doors.rows(), CANARY.encode() * 70_000
    assert [path for path in NEAR if path not in paths] == []
    bodies = (b"", CANARY.encode(), json.dumps({"text": CANARY}).encode(), huge)
    badly = latin(signed(b"another body", secret="f" * 32)), (("authorization", f"Bearer {doors.fake.token(forged=True)}"),)
    for path, methods in paths.items():
        for method in METHODS:
            for n, body in enumerate(bodies):
                sent = Sent(method, doors.filled(path), "", (*badly[n % 2], ("content-type", KINDS[n])), body)
                status = doors.send(sent)
                if methods and method not in methods:
                    assert status in (400, 403, 404, 405, 421), (status, sent)
                if path in ("/slack/events", "/api/messages") and method == "POST":
                    assert status in (400, 401, 413), (status, sent)
    after = doors.rows()
    after["oauth_state"] = before["oauth_state"]  # whoever begins to install the app is given a word
    assert after == before
    assert CANARY not in everything_logged.text
    doors.stands()
    print(f"{len(paths)} addresses, {sum(doors.statuses.values())} requests of strangers: {dict(doors.statuses)}")


def test_requests_that_are_wrong_by_every_description_are_refused(
    doors: Doors, everything_logged: pytest.LogCaptureFixture
) -> None:
    """Lost: a scanner finds the one malformed request that makes us answer with a fault, and sends it all night."""
    before = doors.rows()

    def try_one(sent: Sent) -> None:
        status = doors.send(sent)
        if sent.path in ("/slack/events", "/api/messages") and sent.method == "POST":
            assert status in (400, 401, 413), (status, sent)

    try_all(wrong_requests(doors), try_one)
    assert {**doors.rows(), "oauth_state": 0} == {**before, "oauth_state": 0}
    assert CANARY not in everything_logged.text
    doors.stands()
    print(f"Schemathesis, every address: {sum(doors.statuses.values())} requests, {dict(doors.statuses)}")


@pytest.mark.parametrize("kind", ["slack", "teams", "page"])
def test_whatever_stands_in_a_request_that_is_let_in_is_no_fault_of_ours(
    doors: Doors, kind: str, everything_logged: pytest.LogCaptureFixture
) -> None:
    """Lost: an odd client, or somebody who may come in, makes us fail; and a platform that meets 5xx falls silent."""
    made = {
        "slack": lambda: slack_requests(doors.small),
        "teams": lambda: teams_requests(doors),
        "page": lambda: page_requests(doors),
    }
    try_all(made[kind](), lambda sent: assert_well(doors, sent))
    assert CANARY not in everything_logged.text
    let_in = doors.statuses["2xx"] + doors.statuses["3xx"]  # a form of the page is answered with the way back
    assert let_in > EACH // 4, f"hardly any was let in: {doors.statuses}"
    doors.stands()
    print(f"{kind}: {sum(doors.statuses.values())} requests, {dict(doors.statuses)}")


def assert_well(doors: Doors, sent: Sent) -> None:
    doors.send(sent)
