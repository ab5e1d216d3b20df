"""The local page: the chat of the person you are, as HTML that works without JavaScript and lives with it.

Its address holds a random token, and every answer is under it. A request is refused when its Host is not ours (a foreign name
that was pointed at this machine), and a form when another site sent it. Nothing is fetched from anywhere else.

    Problem             a request we cannot serve; shown as one sentence with its status
    CannotServe         the port cannot be opened; the text says what to do
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import uvicorn
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.chat import Card
from bot.platforms.console import BOLD, clean, flowing, when
from bot.platforms.console.desk import KINDS, Desk, NoticeCode, PersonView

LONGEST = 2000
"""Characters one question or note may have."""

_BODY = 64 * 1024
_LINES = 80
"""How many messages of a conversation one page shows."""
_IDLE_S = 20.0
_HERE = Path(__file__).parent
_STATIC = {"page.css": "text/css", "page.js": "text/javascript", "mark.svg": "image/svg+xml"}
_WORD = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_TARGET = re.compile(r"[\x21-\x7e]{1,200}")
_REF = re.compile(r"[A-Za-z0-9]{1,32}")
_HEADERS = {
    "content-security-policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
    ),
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_log = logging.getLogger(__name__)


class Problem(Exception):
    """What cannot be done with this request, in one sentence for the reader."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


class CannotServe(Exception):
    """The page's port cannot be opened. The text names it and says what to do."""


def serve(desk: Desk, host: str, port: int, token: str, ready: Callable[[str], None], more: Sequence[BaseRoute] = ()) -> None:
    """Serve the page until Ctrl-C or SIGTERM; open pages are let go within a second.

    port    0 takes any free one
    ready   is told the whole address once it answers
    more    other routes of the same server; they come first
    raises  CannotServe
    """
    with _listening(host, port) as listener:
        port = listener.getsockname()[1]
        page = Page(desk, token, _names(host, port))
        app = Starlette(routes=[*more, *page.routes()], exception_handlers={HTTPException: _nothing_here})
        config = uvicorn.Config(
            app,
            lifespan="off",
            ws="none",
            log_config=None,
            log_level="warning",
            access_log=False,  # it would write the token into a log
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        shown = "127.0.0.1" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host  # noqa: S104 compared, not bound
        server = _Server(config, lambda: ready(f"http://{shown}:{port}/{token}/"), page.close)
        with suppress(KeyboardInterrupt):
            server.run(sockets=[listener])


class Page:
    """The routes below `/TOKEN/`. `hosts` are the values of Host that are ours, with port."""

    def __init__(self, desk: Desk, token: str, hosts: Collection[str]) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_-]{16,200}", token):
            raise CannotServe(
                "The page's token must be 16 or more letters, digits, - or _: set HOLDFAST_PAGE_TOKEN to such a one."
            )
        self._desk = desk
        self._token = token
        self._hosts = frozenset(hosts)
        self._form_token = hmac.new(token.encode(), b"form", "sha256").hexdigest()
        self._bell = _Bell(desk)
        self._welcomed = False
        self._seen: dict[str, int] = {}
        """Up to which message each person's chat has been on a page of this process."""
        self._templates = _templates(f"/{token}")
        self._static = {name: (_HERE / "static" / name).read_bytes() for name in _STATIC}

    def routes(self) -> list[BaseRoute]:
        """To be placed last: they take every path whose first part may be the token."""
        inside = Starlette(
            routes=[
                Route("/", self._chat_page),
                Route("/my-day", self._my_day_page),
                Route("/digest", self._digest_page),
                Route("/trail/{ref}", self._trail_page),
                Route("/r/{ref}", self._look_page),
                Route("/events", self._events),
                Route("/static/{name}", self._file),
                Route("/ask", self._ask, methods=["POST"]),
                Route("/press", self._press, methods=["POST"]),
                Route("/skip", self._skip, methods=["POST"]),
                Route("/welcome", self._welcome_read, methods=["POST"]),
            ],
            exception_handlers={HTTPException: self._no_such_page, Problem: self._problem, Exception: self._fault},
        )
        guarded = _Guard(inside, self._token, self._hosts)
        bare = _Guard(RedirectResponse(f"/{self._token}/"), self._token, self._hosts)
        return [Route("/{token}", bare), Mount("/{token}", guarded)]

    def close(self) -> None:
        """Let every open event stream end. Call it in the server's loop."""
        self._bell.close()

    # --- what is read ------------------------------------------------------------------------------------------------

    async def _chat_page(self, request: Request) -> Response:
        wanted = request.query_params.get("as", "")
        return HTMLResponse(await asyncio.to_thread(self._chat, wanted, {}))

    async def _my_day_page(self, request: Request) -> Response:
        return HTMLResponse(await asyncio.to_thread(self._alone, request.query_params.get("as", ""), self._desk.my_day))

    async def _digest_page(self, request: Request) -> Response:
        return HTMLResponse(await asyncio.to_thread(self._alone, request.query_params.get("as", ""), self._desk.digest))

    async def _trail_page(self, request: Request) -> Response:
        def draw() -> str:
            me = self._person(request.query_params.get("as", ""))
            rows = self._desk.trail(me.id, ref)
            if not rows:
                raise Problem(404, self._sentence("no_record"))
            return self._draw("trail.html", me, ref=ref, rows=rows)

        ref = _ref(request)
        return HTMLResponse(await asyncio.to_thread(draw))

    async def _look_page(self, request: Request) -> Response:
        def draw() -> str:
            me = self._person(request.query_params.get("as", ""))
            look = self._desk.look(me.id, ref)
            if look is None:
                raise Problem(404, self._sentence("no_record"))
            return self._draw("record.html", me, ref=ref, look=look)

        ref = _ref(request)
        return HTMLResponse(await asyncio.to_thread(draw))

    async def _events(self, request: Request) -> Response:
        headers = {"content-type": "text/event-stream", "x-accel-buffering": "no"}
        if request.method == "HEAD":
            return Response(headers=headers)
        return StreamingResponse(self._bell.changes(request.query_params.get("seen", "")), headers=headers)

    async def _file(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._static:
            raise Problem(404, "This file is not part of the page.")
        return Response(self._static[name], media_type=_STATIC[name])

    # --- what is sent ------------------------------------------------------------------------------------------------

    async def _ask(self, request: Request) -> Response:
        form = await self._form(request)
        return await asyncio.to_thread(self._asked, form)

    def _asked(self, form: dict[str, str]) -> Response:
        me = self._person(form.get("as", ""))
        words = clean(form.get("text", ""))
        if not words:
            raise Problem(400, "Type a question first.")
        if len(words) > LONGEST:
            raise Problem(400, self._sentence("too_long", limit=LONGEST))
        self._desk.ask(me.id, words)
        return self._back_to_chat(me)

    async def _press(self, request: Request) -> Response:
        form = await self._form(request)
        return await asyncio.to_thread(self._pressed, form)

    def _pressed(self, form: dict[str, str]) -> Response:
        me = self._person(form.get("as", ""))
        verb, target, key = form.get("verb", ""), form.get("target", ""), form.get("key", "")
        if not (_WORD.fullmatch(verb) and _TARGET.fullmatch(target) and _TARGET.fullmatch(key)):
            raise Problem(400, "This button was not on a card of ours: go back to the chat and press it there.")
        card = self._desk.press(me.id, verb, target, self._note(me, form), f"page:{me.id}:{key}")
        pressed = form.get("message", "")
        if not re.fullmatch(r"[0-9]{1,15}", pressed):
            return HTMLResponse(self._alone(me.id, lambda _: card))
        kept = next((m.card for m in self._desk.messages(me.id, int(pressed) - 1) if m.id == int(pressed)), None)
        if kept is None or kept == card:
            return self._back_to_chat(me, f"#m{pressed}")
        return HTMLResponse(self._chat(me.id, {int(pressed): card}))

    def _note(self, me: PersonView, form: dict[str, str]) -> str:
        """What the person added, as Desk.press wants it; empty where they added nothing, which the card itself then says."""
        typed = clean(form.get("note", ""))
        if len(typed) > LONGEST:
            raise Problem(400, self._sentence("too_long", limit=LONGEST))
        if form.get("needs") != "until":
            code = form.get("reason", "")
            return f"{code} {typed}".strip() if not code or _WORD.fullmatch(code) else typed
        until = form.get("until", "")
        if not until:
            return ""
        return self._instant(me, until, "when_unclear").isoformat()

    async def _skip(self, request: Request) -> Response:
        form = await self._form(request)
        return await asyncio.to_thread(self._skipped, form)

    def _skipped(self, form: dict[str, str]) -> Response:
        me = self._person(form.get("as", ""))
        if not self._desk.can_skip:
            raise Problem(400, self._sentence("cannot_skip"))
        to, now = self._instant(me, form.get("to", ""), "skip_unclear"), self._desk.now()
        if to <= now:
            raise Problem(400, self._sentence("skip_back"))
        if to - now > when.FURTHEST:
            raise Problem(400, self._sentence("skip_far", days=when.FURTHEST.days))
        self._desk.skip(to)
        return self._back_to_chat(me)

    async def _welcome_read(self, request: Request) -> Response:
        form = await self._form(request)
        self._welcomed = True
        return self._back_to_chat(await asyncio.to_thread(self._person, form.get("as", "")))

    async def _form(self, request: Request) -> dict[str, str]:
        """The fields of a form of ours. raises Problem"""
        if request.headers.get("content-type", "").split(";")[0].strip() != "application/x-www-form-urlencoded":
            raise Problem(415, "This page takes its own forms only.")
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > _BODY:
                raise Problem(413, self._sentence("too_long", limit=LONGEST))
        try:
            fields = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=20))
        except ValueError:
            raise Problem(400, "This form has more fields than any of ours.") from None
        if not hmac.compare_digest(fields.get("form", "").encode("utf-8", "replace"), self._form_token.encode()):
            raise Problem(403, "This form is not from this page: load the page again and send it from there.")
        return fields

    # --- drawing -----------------------------------------------------------------------------------------------------

    def _chat(self, wanted: str, swap: dict[int, Card]) -> str:
        """The chat of one person. `swap` puts cards in place of stored ones: an answer to a press that changed nothing."""
        me = self._person(wanted)
        version = self._desk.wait("", 0)  # before the messages: what comes in between is then announced again
        messages = self._desk.messages(me.id)
        if messages:
            self._seen[me.id] = messages[-1].id
        verbs = {b.verb for m in messages if m.card for b in (swap.get(m.id) or m.card).buttons if b.needs == "reason"}
        return self._draw(
            "chat.html",
            me,
            messages=messages[-_LINES:],
            earlier=max(0, len(messages) - _LINES),
            swap=swap,
            reasons={verb: self._desk.reasons(verb) for verb in verbs},
            version=version,
            unread=self._unread(),
            welcome="" if self._welcomed else self._desk.welcome(me.id),
            examples=self._desk.examples(me.id),
            status=self._desk.status(),
            longest=LONGEST,
        )

    def _alone(self, wanted: str, give: Callable[[str], Card]) -> str:
        """A page with one card: my day, the stand-up, or the answer to a press on one of them."""
        me = self._person(wanted)
        card = give(me.id)
        verbs = {button.verb for button in card.buttons if button.needs == "reason"}
        return self._draw("alone.html", me, card=card, reasons={verb: self._desk.reasons(verb) for verb in verbs})

    def _draw(self, template: str, me: PersonView, **more: Any) -> str:
        now, people = self._desk.now(), self._desk.people()
        return self._templates.get_template(template).render(
            practice=self._desk.practice_name,
            me=me,
            people=people,
            sites=dict(reversed([(p.site, p.zone) for p in people])),
            now=now,
            opening=self._desk.next_opening(me.id),
            tomorrow=when.tomorrow_at_nine(now, me.zone),
            can_skip=self._desk.can_skip,
            form_token=self._form_token,
            **more,
        )

    def _unread(self) -> dict[str, int]:
        """How many deliveries of each person have not been on a page yet."""
        return {
            person.id: sum(m.delivered for m in self._desk.messages(person.id, self._seen.get(person.id, 0)))
            for person in self._desk.people()
        }

    def _person(self, wanted: str) -> PersonView:
        people = self._desk.people()
        found = [person for person in people if wanted in ("", person.id)]
        if not found:
            raise Problem(404, self._sentence("no_such_person"))
        return found[0]

    def _instant(self, me: PersonView, text: str, unclear: NoticeCode) -> datetime:
        found = when.instant(text[:100], self._desk.now(), me.zone, self._desk.next_opening(me.id))
        if found is None:
            raise Problem(400, self._sentence(unclear))
        return found

    def _sentence(self, code: NoticeCode, **typed: int) -> str:
        card = self._desk.notice(code, **typed)
        return card.text or card.title

    def _back_to_chat(self, me: PersonView, place: str = "") -> Response:
        return RedirectResponse(f"/{self._token}/?{urlencode({'as': me.id})}{place}", status_code=303)

    async def _problem(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return self._problem_page(error.status, error.sentence)

    async def _no_such_page(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        known = {404: "There is no such page here.", 405: "This address does not take that kind of request."}
        return self._problem_page(error.status_code, known.get(error.status_code, "This request cannot be served."))

    async def _fault(self, request: Request, error: Exception) -> Response:
        number = secrets.token_hex(4)
        _log.error("a page could not be made; the reader was given reference %s", number)
        return self._problem_page(500, f"Something went wrong on our side. It is in the log under reference {number}.")

    def _problem_page(self, status: int, sentence: str) -> Response:
        practice = self._desk.practice_name
        return HTMLResponse(self._templates.get_template("problem.html").render(sentence=sentence, practice=practice), status)


class _Guard:
    """Lets a request in whose Host and token are ours, and a form only from our own page. Adds the safety headers."""

    def __init__(self, app: ASGIApp, token: str, hosts: frozenset[str]) -> None:
        self._app = app
        self._token = token.encode()
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
                message["headers"] = [*message.get("headers", ()), *own]
            await send(message)

        problem = self._refusal(Request(scope))
        app: ASGIApp = self._app if problem is None else _bare_page(problem)
        await app(scope, receive, send_safely)

    def _refusal(self, request: Request) -> Problem | None:
        host = request.headers.get("host", "").lower()
        if host not in self._hosts:
            return Problem(421, "This address is not one of ours: use the address that was printed at the start.")
        token = str(request.path_params.get("token", "")).encode("utf-8", "replace")
        if not hmac.compare_digest(token, self._token):
            return _HIDDEN
        if request.method not in ("GET", "HEAD") and not _same_site(request, host):
            return Problem(403, "This form was sent by another site, so nothing was done.")
        return None


def _same_site(request: Request, host: str) -> bool:
    """Browsers say where a form comes from: in Sec-Fetch-Site, the older ones in Origin (`null` under our referrer policy)."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    return request.headers.get("origin", "null").lower() in ("null", f"http://{host}", f"https://{host}")


class _Bell:
    """Rings every open page when a message is new or replaced: one waiting thread, however many pages are open."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._pages: set[asyncio.Event] = set()
        self._watch: asyncio.Task[None] | None = None
        self._version = ""
        self._closed = False

    async def changes(self, seen: str) -> AsyncIterator[str]:
        """Server-sent events: `changed` whenever the version is no longer what the page has seen, `tick` when long idle."""
        rung = asyncio.Event()
        self._pages.add(rung)
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._wait())
        try:
            yield "retry: 1000\n\n"
            while not self._closed:
                if self._version and self._version != seen:
                    seen = self._version
                    yield f"event: changed\ndata: {seen}\n\n"
                try:
                    await asyncio.wait_for(rung.wait(), _IDLE_S)
                    rung.clear()
                except TimeoutError:
                    yield "event: tick\ndata: .\n\n"
        finally:
            self._pages.discard(rung)

    def close(self) -> None:
        self._closed = True
        self._ring()

    async def _wait(self) -> None:
        while self._pages and not self._closed:
            try:
                version = await asyncio.to_thread(self._desk.wait, self._version, 1.0)
            except Exception:  # noqa: BLE001 the database may be away for a moment; open pages must outlive that
                _log.exception("the console's messages cannot be watched; trying again")
                await asyncio.sleep(1)
                continue
            if version != self._version:
                self._version = version
                self._ring()

    def _ring(self) -> None:
        for page in self._pages:
            page.set()


class _Server(uvicorn.Server):
    """A server that says when it is open, and lets event streams end before it waits for them."""

    def __init__(self, config: uvicorn.Config, opened: Callable[[], None], closing: Callable[[], None]) -> None:
        super().__init__(config)
        self._opened = opened
        self._closing = closing

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._opened()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._closing()
        await super().shutdown(sockets=sockets)


_HIDDEN = Problem(404, "There is nothing here. Use the whole address that was printed at the start.")


def _bare_page(problem: Problem) -> Response:
    """A page for somebody who has not shown the token: it names nothing and nobody."""
    return HTMLResponse(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Not here</title><p>{problem.sentence}</p></html>',
        problem.status,
    )


async def _nothing_here(request: Request, error: Exception) -> Response:
    page = _bare_page(_HIDDEN)
    page.headers.update(_HEADERS)
    return page


def _ref(request: Request) -> str:
    ref = str(request.path_params["ref"])
    if not _REF.fullmatch(ref):
        raise Problem(404, "A reference is made of letters and digits, as it stands on a card.")
    return ref.upper()


def _quoted(text: str) -> Markup:
    """A quote for the page: escaped first, then with Markdown's bold, and flowing."""
    return Markup(BOLD.sub(r"<strong>\1</strong>", str(escape(flowing(text)))))  # noqa: S704 escaped above


def _templates(base: str) -> Environment:
    env = Environment(loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined)
    env.trim_blocks = env.lstrip_blocks = True
    env.filters |= {
        "clock": when.clock,
        "day": when.day,
        "stamp": when.stamp,
        "minutes": when.local_minutes,
        "flowing": flowing,
    }
    env.globals |= {"base": base, "kinds": KINDS, "new_key": lambda: secrets.token_hex(8), "query": quote}
    return env


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or "not a port"
        raise CannotServe(f"Port {port} on {host} cannot be opened ({why}): set HOLDFAST_PORT to another, or to 0.") from None
    with listener:
        yield listener


def _names(host: str, port: int) -> list[str]:
    """The values of Host under which this server may be meant."""
    names = {"127.0.0.1", "localhost", "[::1]", f"[{host}]" if ":" in host else host.lower()}
    if host in ("0.0.0.0", "::"):  # noqa: S104 every address of this machine
        own = socket.gethostname()
        names |= {own.lower(), *(str(found[4][0]) for found in socket.getaddrinfo(own, None, socket.AF_INET))}
    return [f"{name}:{port}" for name in names] + (list(names) if port == 80 else [])
