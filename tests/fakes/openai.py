"""A stand-in for a service that speaks OpenAI's protocol, on loopback, with a character: honest, lying, slow, and worse.

What it writes is made by a `Script` from the question and the passages that it was sent; how it is sent is its `manner`. Every
request is kept, so that a test can look at what left.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.fakes.serving import serving

Passages = Sequence[Mapping[str, str]]
Script = Callable[[str, Passages], str]
Manner = Literal[
    "whole", "slow", "trickle", "silent", "huge", "one line", "down", "key", "limited", "no json", "redirect", "cut off"
]


@dataclass
class OpenAI:
    """The service. `asked` are the bodies it was sent, `headers` theirs."""

    script: Script
    manner: Manner = "whole"
    wait_s: float = 5.0
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)
    """Paths that were asked for and that are not the model's."""

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Its base URL, as MODEL_URL takes it."""
        routes = [
            Route("/v1/chat/completions", self._completions, methods=["POST"]),
            Route("/{path:path}", self._elsewhere, methods=["GET", "POST", "PATCH"]),
        ]
        with serving(Starlette(routes=routes)) as address:
            yield f"{address}/v1"

    async def _elsewhere(self, request: Request) -> Response:
        self.elsewhere.append(request.url.path)
        return JSONResponse({})

    async def _completions(self, request: Request) -> Response:
        body = await request.json()
        self.asked.append(body)
        self.headers.append(dict(request.headers))
        match self.manner:
            case "down":
                return JSONResponse({"error": {"message": "overloaded"}}, 503)
            case "key":
                return JSONResponse({"error": {"message": "Incorrect API key provided: sk-secret-of-somebody"}}, 401)
            case "limited":
                return JSONResponse({"error": {"message": "Rate limit reached"}}, 429)
            case "no json" if "response_format" in body:
                return JSONResponse({"error": {"message": "response_format is not supported"}}, 400)
            case "redirect":
                return RedirectResponse("/elsewhere", 307)
        question, passages = given(body)
        said = self.script(question, passages)
        return StreamingResponse(self._events(said), media_type="text/event-stream")

    def _events(self, said: str) -> Iterator[str]:
        if self.manner in ("slow", "silent"):
            end = time.monotonic() + self.wait_s
            while time.monotonic() < end:
                time.sleep(0.05)
                yield ": still here\n\n" if self.manner == "silent" else ""
        if self.manner == "one line":
            yield "data: " + "x" * 3_000_000
        if self.manner == "huge":
            said = said[:-2] + "," + " " * 2_000_000
        yield _event({"role": "assistant", "content": ""})
        size = 400 if self.manner == "huge" else 7
        for n in range(0, len(said), size):
            if self.manner == "trickle":
                time.sleep(0.1)
            yield _event({"content": said[n : n + size]})
            if self.manner == "cut off" and n > len(said) / 2:
                return
        yield _event({}, "stop")
        yield _event(None, usage={"prompt_tokens": 500, "completion_tokens": 40, "total_tokens": 540})
        yield "data: [DONE]\n\n"


def _event(delta: dict[str, str] | None, finish: str | None = None, usage: dict[str, int] | None = None) -> str:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    chunk = {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": "stand-in",
        "choices": choices,
        "usage": usage,
    }
    return f"data: {json.dumps(chunk)}\n\n"


def given(body: Mapping[str, Any]) -> tuple[str, list[dict[str, str]]]:
    """The question and the passages of a request."""
    asked = str(body["messages"][-1]["content"])
    lines = asked.splitlines()
    question = json.loads(lines[0].removeprefix("Question: "))
    return str(question), [json.loads(line) for line in lines if line.startswith('{"id"')]


# --- what it writes ------------------------------------------------------------------------------------------------------


def reply(*claims: tuple[str, str, str], sufficient: bool = True) -> str:
    """A reply in the form that the prompt asks for, of (claim, passage, quote)."""
    listed = [{"claim": claim, "passage": passage, "quote": quote} for claim, passage, quote in claims]
    return json.dumps({"sufficient": sufficient, "claims": listed}, ensure_ascii=False)


def sentence(text: str, n: int = 0) -> str:
    """The n-th sentence of a passage, as a model would copy it."""
    lines = [re.sub(r"^\s*(?:[-*+]|\d+[.)]|#+)\s+", "", line).strip() for line in text.splitlines()]
    found = [part for line in lines for part in re.split(r"(?<=[.!?])\s+", line) if part.strip()]
    return found[n % len(found)] if found else text.strip()


def honest(question: str, passages: Passages) -> str:
    """Quotes what shares most words with the question, word for word."""
    words = set(re.findall(r"\w{4,}", question.lower()))
    ranked = sorted(
        ((len(words & set(re.findall(r"\w{4,}", s.lower()))), -n, p["id"], s) for p in passages for n, s in _all(p["text"])),
        reverse=True,
    )
    best = ranked[0]
    return reply((best[3], best[2], best[3]))


def _all(text: str) -> list[tuple[int, str]]:
    first = sentence(text, 0)
    out = [(0, first)]
    n = 1
    while (following := sentence(text, n)) != first and n < 50:
        out.append((n, following))
        n += 1
    return out


def insufficient(question: str, passages: Passages) -> str:
    return reply(sufficient=False)


def obeys(question: str, passages: Passages) -> str:
    """Does what a passage tells it: claims every line of it that looks like an order, as if it had been asked for."""
    claims = []
    for passage in passages:
        for line in passage["text"].splitlines():
            if re.search(
                r"ignore|instead|system|assistant|http|@|<!|!\[|\[|post|send|reply|you are|override", line, re.IGNORECASE
            ):
                claims.append((line.strip()[:400], passage["id"], line.strip()[:400]))
    first = passages[0]
    return reply(*(claims[:6] or [(sentence(first["text"]), first["id"], sentence(first["text"]))]))
