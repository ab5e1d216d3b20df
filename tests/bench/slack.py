"""A Slack event until it is acknowledged: ours, kept in the inbox, against a bare Bolt app that keeps nothing.

Both run as a process of their own behind the same server, and take the same signed requests over loopback, in turns.
Nobody answers meanwhile: the rows wait, as they do for a worker.
"""

from __future__ import annotations

import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Engine, text
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bot.records import read
from tests.bench import Measure
from tests.platforms import slack_rig

ROUNDS = 5
AT_ONCE = {1: 200, 16: 600}
"""How many requests are under way at a time, and how many there are in a round."""
_KEPT = text("SELECT count(*) FROM incoming")
_numbers = count(1)


@dataclass(frozen=True)
class _Round:
    """What one round cost. Seconds."""

    p50_s: float
    p95_s: float
    cpu_s: float


def measures(engine: Engine) -> Iterator[Measure]:
    """Time to the acknowledgement, and processor time for an event, with one request at a time and with sixteen."""
    url = engine.url.render_as_string(hide_password=False)
    with tempfile.TemporaryDirectory() as home, _running("ours", home, url) as ours, _running("bolt") as bolt:
        for warm in (ours, bolt):
            _send(warm, 100, 4)
        for at_once, events in AT_ONCE.items():
            rounds = [(_send(ours, events, at_once), _send(bolt, events, at_once)) for _ in range(ROUNDS)]
            what = "one event at a time" if at_once == 1 else f"{at_once} events at once"
            yield _measure(f"Slack ack p50, {what}", engine, [(a.p50_s, b.p50_s) for a, b in rounds])
            yield _measure(f"Slack ack p95, {what}", engine, [(a.p95_s, b.p95_s) for a, b in rounds])
            cpu = [(a.cpu_s / events, b.cpu_s / events) for a, b in rounds]
            yield _measure(f"Slack event, processor time, {what}", engine, cpu)
    sent = 100 + ROUNDS * sum(AT_ONCE.values())
    with read(engine) as session:
        kept = session.scalar(_KEPT)
    assert kept == sent, f"{sent} events were acknowledged and {kept} are in the inbox: this measured something else"


def _measure(what: str, engine: Engine, rounds: Sequence[tuple[float, float]]) -> Measure:
    ours, bare = (statistics.median(seconds) for seconds in zip(*rounds, strict=True))
    return Measure(what, engine.dialect.name, 1, ours, bare)


# --- sending ---------------------------------------------------------------------------------------------------------------


def _send(to: str, events: int, at_once: int) -> _Round:
    """So many new events, and what they cost. raises AssertionError where one is not acknowledged"""
    requests: SimpleQueue[tuple[bytes, dict[str, str]] | None] = SimpleQueue()
    for _ in range(events):
        body = json.dumps(_event(next(_numbers))).encode()
        signed = {name.decode(): value.decode() for name, value in slack_rig.signed(body)}
        requests.put((body, {"Content-Type": "application/json", **signed}))
    for _ in range(at_once):
        requests.put(None)

    def sender() -> list[float]:
        seconds: list[float] = []
        connection = _connected(to)
        while (request := requests.get()) is not None:
            began = time.perf_counter()
            connection.request("POST", "/slack/events", *request)
            answer = connection.getresponse()
            answer.read()
            seconds.append(time.perf_counter() - began)
            assert answer.status == 200, f"an event was answered with {answer.status}"
        connection.close()
        return seconds

    before = _cpu_s(to)
    with ThreadPoolExecutor(at_once) as people:
        parts = [people.submit(sender) for _ in range(at_once)]
    seconds = sorted(each for part in parts for each in part.result())
    return _Round(seconds[len(seconds) // 2], seconds[len(seconds) * 95 // 100], _cpu_s(to) - before)


def _event(number: int) -> dict[str, object]:
    message = {
        "type": "message", "channel_type": "im", "channel": "D0BEA", "user": "U0BEA", "team": "T01",
        "text": f"How do I send claim {number} again?", "ts": f"{time.time():.6f}", "event_ts": f"{time.time():.6f}",
    }  # fmt: skip
    return slack_rig.event(message, f"Ev{number:09d}")


def _connected(to: str) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(to).netloc, timeout=30)


def _cpu_s(of: str) -> float:
    """Seconds of processor time that a server has used."""
    connection = _connected(of)
    try:
        connection.request("GET", "/cpu")
        return float(connection.getresponse().read())
    finally:
        connection.close()


# --- the two servers -------------------------------------------------------------------------------------------------------


@contextmanager
def _running(kind: str, *given: str) -> Iterator[str]:
    """A server in a process of its own, which ends with its input."""
    command = [sys.executable, "-m", "tests.bench.slack", kind, *given]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        url = process.stdout.readline().strip()
        assert url, f"the server {kind!r} did not start"
        try:
            yield url
        finally:
            process.stdin.close()
            process.wait(30)


def _serve(routes: Sequence[Route]) -> None:
    from tests.fakes.serving import serving

    with serving(Starlette(routes=[*routes, Route("/cpu", _cpu)])) as url:
        print(url, flush=True)
        sys.stdin.read()


async def _cpu(_: Request) -> Response:
    return PlainTextResponse(str(time.process_time()))


def _serve_ours(home: Path, url: str) -> None:
    """An installation with every address that it has in a practice."""
    from bot.app import Holdfast
    from tests.behaviour.slack import ADDRESSES
    from tests.behaviour.small import PRACTICE, furnish, settings_of

    furnish(home, practice=PRACTICE + ADDRESSES)
    tokens: dict[str, Any] = {
        "slack_bot_token": "xoxb-1",
        "slack_signing_secret": slack_rig.SECRET,
        "slack_api_url": "http://127.0.0.1:9/api/",
    }
    holdfast = Holdfast(replace(settings_of(home), database_url=url, **tokens))
    _serve(holdfast.routes())  # type: ignore[arg-type]
    holdfast.close()


def _serve_bolt() -> None:
    """As Bolt's own page on Starlette shows it; nothing calls Slack."""
    from slack_bolt import App
    from slack_bolt.adapter.starlette import SlackRequestHandler
    from slack_bolt.authorization import AuthorizeResult

    who = AuthorizeResult(enterprise_id=None, team_id="T01", bot_user_id="U0BOT", bot_id="B01", bot_token="xoxb-1")
    app = App(signing_secret=slack_rig.SECRET, authorize=lambda **_: who)

    @app.event("message")
    def _heard() -> None:
        """Taken."""

    handler = SlackRequestHandler(app)
    _serve([Route("/slack/events", handler.handle, methods=["POST"])])


if __name__ == "__main__":
    _serve_ours(Path(sys.argv[2]), sys.argv[3]) if sys.argv[1] == "ours" else _serve_bolt()
