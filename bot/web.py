"""Two addresses for machines: `/health` for whoever restarts us, `/metrics` for Prometheus.

Both are open and hold coarse facts only: truth values and counts, never a name, a path or a text. Whoever asks from this
machine also sees the ages of single feeds.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import threading
import time
from collections.abc import Callable, Mapping, Sized
from typing import Generic, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from bot.metrics import CONTENT_TYPE, Figures, Metrics, here
from bot.platforms.console.page import is_local

Health = Mapping[str, object]
Known = TypeVar("Known")

_BODY = 4096
"""Bytes a request may announce; neither address reads any."""
_KEPT_S = 1.0
_WORD = re.compile(r"[a-z][a-z_]{0,39}")
_HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
_log = logging.getLogger(__name__)


def routes(health: Callable[[], Health], figures: Callable[[], Figures], metrics: Metrics = here) -> list[BaseRoute]:
    """`/health` and `/metrics`. `health` and `figures` may block, may raise, and are asked at most once a second.

    health   what `python -m bot health` shows; its "ok" decides between 200 and 503
    """
    standing, counted = _Once(health), _Once(figures)

    def say_health(request: Request) -> Response:
        try:
            facts = coarse(standing())
        except Exception:  # noqa: BLE001 whoever restarts us must be told, whatever it was
            _log.exception("the health cannot be read")
            facts = {"ok": False}
        return Response(json.dumps(facts) + "\n", 200 if facts["ok"] else 503, media_type="application/json")

    def say_metrics(request: Request) -> Response:
        return Response(metrics.text(counted, feeds=is_local(request)), headers={"content-type": CONTENT_TYPE})

    return [Route("/health", _Get(say_health)), Route("/metrics", _Get(say_metrics))]


def coarse(facts: Health) -> dict[str, bool | int | float]:
    """What anybody may know: truth values and numbers as they are, of lists their length; no text at all."""
    shown: dict[str, bool | int | float] = {"ok": facts.get("ok") is True}
    for name, value in facts.items():
        if name == "ok" or not _WORD.fullmatch(name) or isinstance(value, str | bytes):
            continue
        if isinstance(value, bool | int | float):
            shown[name] = value
        elif isinstance(value, Sized):
            shown[name] = len(value)
    return shown


class _Once(Generic[Known]):
    """What `read` gives, read again only when it is a second old: a flood of requests costs one reading a second."""

    def __init__(self, read: Callable[[], Known]) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._kept: tuple[float, Known] | None = None

    def __call__(self) -> Known:
        with self._lock:
            now = time.monotonic()
            if self._kept is None or now - self._kept[0] >= _KEPT_S:
                self._kept = (now, self._read())
            return self._kept[1]


class _Get:
    """An address that is read: GET and HEAD, without a body."""

    def __init__(self, answer: Callable[[Request], Response]) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        if request.method not in ("GET", "HEAD"):
            response = Response(status_code=405, headers={"allow": "GET, HEAD"})
        elif _announced(request) > _BODY:
            response = Response(status_code=413, headers={"connection": "close"})
        else:
            response = await asyncio.to_thread(self._answer, request)
        response.headers.update(_HEADERS)
        await response(scope, receive, send)


def _announced(request: Request) -> int:
    length = request.headers.get("content-length", "0")
    return int(length) if length.isascii() and length.isdecimal() and len(length) < 12 else _BODY + 1
