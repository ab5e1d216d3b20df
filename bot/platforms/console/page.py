"""The page: the chat of the person you are, as HTML that works without JavaScript and lives with it.

Two ways lead in. Below `/TOKEN/`, an address that holds a random token, whoever has it is whoever they choose: for the demo,
and for whoever sits at the machine itself. Below `/page/` people are themselves: signed in by a link that the bot sent in
chat. A request is refused when its Host is not ours (a foreign name that was pointed at this machine), and a form when another
site sent it. Nothing is fetched from anywhere else.

    Problem             a request we cannot serve; shown as one sentence with its status
    CannotServe         the port cannot be opened; the text says what to do
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import logging
import re
import secrets
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Protocol
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

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
from bot.platforms.console import BOLD, clean, flowing, upload, when
from bot.platforms.console.desk import KINDS, Desk, NoticeCode, PersonView
from bot.signin import SESSION_LASTS, SignedIn

LONGEST = 2000
"""Characters one question or note may have."""

_BODY = 64 * 1024
_FILE = 50_000_000 + _BODY
"""Bytes of a form with a file in it."""
_LINES = 80
"""How many messages of a conversation one page shows."""
_IDLE_S = 20.0
_HERE = Path(__file__).parent
_STATIC = {"page.css": "text/css", "page.js": "text/javascript", "mark.svg": "image/svg+xml"}
_WORD = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_TARGET = re.compile(r"[\x21-\x7e]{1,200}")
_REF = re.compile(r"[A-Za-z0-9]{1,32}")
_CODE = re.compile(r"[A-Za-z0-9_-]{1,100}")
_TRIES, _TRIES_A_S = 30, 0.5
"""How many links that open nothing are looked up at once, and how many more each second."""
_PAGE = "/page"
_THROUGH = ("x-forwarded-for", "x-forwarded-host", "x-real-ip", "forwarded", "via")
"""What a proxy adds to a request."""
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


def serve(
    desk: Desk,
    host: str,
    port: int,
    token: str,
    ready: Callable[[str], None],
    more: Sequence[BaseRoute] = (),
    signed_in: SignedIn | None = None,
    url: str = "",
) -> None:
    """Serve the page until Ctrl-C or SIGTERM; open pages are let go within a second.

    port       0 takes any free one
    ready      is told the whole address once it answers
    more       other routes of the same server; they come first
    signed_in  people sign in, below /page/; the token's address then answers this machine alone
    url        the address at which people reach us, where it is another than host and port
    raises     CannotServe
    """
    with _listening(host, port) as listener:
        port = listener.getsockname()[1]
        public = urlsplit(url).netloc.lower()
        page = Page(desk, token, [*_names(host, port), *filter(None, [public])], signed_in)
        app = Starlette(routes=[*more, *page.routes()], exception_handlers={HTTPException: _nothing_here, Exception: _broken})
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
        below = token if signed_in is None or _is_loopback(shown) else _PAGE.strip("/")
        server = _Server(config, lambda: ready(f"http://{shown}:{port}/{below}/"), page.close)
        with suppress(KeyboardInterrupt):
            server.run(sockets=[listener])


@dataclass(frozen=True)
class Visit:
    """Who asks for a page, and how they came in.

    base     what every address of theirs begins with
    person   whose page it is; empty: whoever comes first
    is_free  they may be anybody; else they are signed in as `person`
    session  the word of their session, or empty
    """

    base: str
    person: str
    form_token: str
    is_free: bool
    session: str = ""


class Page:
    """The routes below `/TOKEN/`, and below `/page/` where people sign in. `hosts` are the values of Host that are ours."""

    def __init__(self, desk: Desk, token: str, hosts: Collection[str], signed_in: SignedIn | None = None) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_-]{16,200}", token):
            raise CannotServe(
                "The page's token must be 16 or more letters, digits, - or _: set HOLDFAST_PAGE_TOKEN to such a one."
            )
        self._desk = desk
        self._token = token
        self._hosts = frozenset(hosts)
        self._signed_in = signed_in
        self._bell = _Bell(desk)
        self._tries = _Bucket(_TRIES, _TRIES_A_S)
        self._welcomed = False
        self._seen: dict[str, int] = {}
        """Up to which message each person's chat has been on a page of this process."""
        self._templates = {base: _templates(base, is_free=base != _PAGE) for base in (f"/{token}", _PAGE)}
        self._static = {name: (_HERE / "static" / name).read_bytes() for name in _STATIC}

    def routes(self) -> list[BaseRoute]:
        """To be placed last: they take every path whose first part may be the token."""
        by_token = _TokenDoor(self._token, only_here=self._signed_in is not None)
        base = f"/{self._token}"
        bare = self._guarded(_Entered(RedirectResponse(f"{base}/"), by_token))
        rooms = self._guarded(_Entered(self._app(self._rooms()), by_token))
        return [*self._signed_in_routes(), Route("/{token}", bare), Mount("/{token}", rooms)]

    def _signed_in_routes(self) -> list[BaseRoute]:
        if self._signed_in is None:
            return []
        out = Route("/out", self._sign_out, methods=["POST"])
        inside = _Entered(self._app([*self._rooms(), out]), _SessionDoor(self._signed_in, self._desk, self._door_page))
        front = self._app([Route("/in", self._link, methods=["GET", "POST"]), Route("/static/{name}", self._file)])
        front.router.redirect_slashes = False
        front.router.default = inside  # whatever is not for everybody
        to_page = self._guarded(RedirectResponse(f"{_PAGE}/", 303))
        return [
            Route("/", to_page),
            Route(_PAGE, to_page),
            Route("/r/{ref}", self._guarded(_to_record)),
            Mount(_PAGE, self._guarded(front)),
        ]

    def _rooms(self) -> list[BaseRoute]:
        """What both ways lead to."""
        return [
            Route("/", self._chat_page),
            Route("/my-day", self._my_day_page),
            Route("/digest", self._digest_page),
            Route("/trail/{ref}", self._trail_page),
            Route("/r/{ref}", self._look_page),
            Route("/events", self._events),
            Route("/static/{name}", self._file),
            Route("/ask", self._ask, methods=["POST"]),
            Route("/press", self._press, methods=["POST"]),
            Route("/file", self._file_sent, methods=["POST"]),
            Route("/skip", self._skip, methods=["POST"]),
            Route("/welcome", self._welcome_read, methods=["POST"]),
        ]

    def _app(self, routes: Sequence[BaseRoute]) -> Starlette:
        handlers = {HTTPException: self._no_such_page, Problem: self._problem, Exception: self._fault}
        return Starlette(routes=routes, exception_handlers=handlers)

    def _guarded(self, app: ASGIApp) -> ASGIApp:
        return _Guard(app, self._hosts)

    def close(self) -> None:
        """Let every open event stream end. Call it in the server's loop."""
        self._bell.close()

    # --- what is read ------------------------------------------------------------------------------------------------

    async def _chat_page(self, request: Request) -> Response:
        return HTMLResponse(await asyncio.to_thread(self._chat, _visit(request), {}))

    async def _my_day_page(self, request: Request) -> Response:
        return HTMLResponse(await asyncio.to_thread(self._alone, _visit(request), self._desk.my_day))

    async def _digest_page(self, request: Request) -> Response:
        return HTMLResponse(await asyncio.to_thread(self._alone, _visit(request), self._desk.digest))

    async def _trail_page(self, request: Request) -> Response:
        def draw() -> str:
            me = self._person(visit)
            rows = self._desk.trail(me.id, ref)
            if not rows:
                raise Problem(404, self._sentence("no_record"))
            return self._draw("trail.html", visit, me, ref=ref, rows=rows)

        ref, visit = _ref(request), _visit(request)
        return HTMLResponse(await asyncio.to_thread(draw))

    async def _look_page(self, request: Request) -> Response:
        def draw() -> str:
            me = self._person(visit)
            look = self._desk.look(me.id, ref)
            if look is None:
                raise Problem(404, self._sentence("no_record"))
            return self._draw("record.html", visit, me, ref=ref, look=look)

        ref, visit = _ref(request), _visit(request)
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
        return await asyncio.to_thread(self._asked, *await self._form(request))

    def _asked(self, visit: Visit, form: dict[str, str]) -> Response:
        me = self._person(visit)
        words = clean(form.get("text", ""))
        if not words:
            raise Problem(400, "Type a question first.")
        if len(words) > LONGEST:
            raise Problem(400, self._sentence("too_long", limit=LONGEST))
        self._desk.ask(me.id, words)
        return _back_to_chat(visit, me)

    async def _press(self, request: Request) -> Response:
        return await asyncio.to_thread(self._pressed, *await self._form(request))

    def _pressed(self, visit: Visit, form: dict[str, str]) -> Response:
        me = self._person(visit)
        verb, target, key = form.get("verb", ""), form.get("target", ""), form.get("key", "")
        if not (_WORD.fullmatch(verb) and _TARGET.fullmatch(target) and _TARGET.fullmatch(key)):
            raise Problem(400, "This button was not on a card of ours: go back to the chat and press it there.")
        card = self._desk.press(me.id, verb, target, self._note(me, form), f"page:{me.id}:{key}")
        pressed = form.get("message", "")
        if not re.fullmatch(r"[0-9]{1,15}", pressed):
            return HTMLResponse(self._alone(visit, lambda _: card))
        kept = next((m.card for m in self._desk.messages(me.id, int(pressed) - 1) if m.id == int(pressed)), None)
        if kept is None or kept == card:
            return _back_to_chat(visit, me, f"#m{pressed}")
        return HTMLResponse(self._chat(visit, {int(pressed): card}))

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

    async def _file_sent(self, request: Request) -> Response:
        """An SOP file. It goes to disk as it comes; who sent it, and whether they may, is looked at before it is opened."""
        visit = _visit(request)
        with tempfile.TemporaryFile(prefix="holdfast-") as body:
            try:
                boundary = upload.boundary_of(request.headers.get("content-type", ""))
                await upload.spool(request.stream(), body, _FILE)
            except upload.TooLarge:
                raise Problem(413, self._sentence("file_too_large")) from None
            except upload.NotAForm:
                raise Problem(415, "This page takes its own forms only.") from None
            return await asyncio.to_thread(self._brought, visit, boundary, body)

    def _brought(self, visit: Visit, boundary: bytes, body: IO[bytes]) -> Response:
        with tempfile.TemporaryDirectory(prefix="holdfast-") as folder:
            try:
                sent = upload.read(body, boundary, Path(folder))
            except upload.NotAForm:
                raise Problem(400, "This form could not be read: load the page again and send it from there.") from None
            visit = _of_ours(visit, sent.fields)
            me, key = self._person(visit), sent.fields.get("key", "")
            if not _TARGET.fullmatch(key):
                raise Problem(400, "This form is not from this page: load the page again and send it from there.")
            if sent.path is None:
                raise Problem(400, self._sentence("no_file"))
            self._desk.bring(me.id, sent.name, sent.path, f"page:{me.id}:{key}")
        return _back_to_chat(visit, me)

    async def _skip(self, request: Request) -> Response:
        return await asyncio.to_thread(self._skipped, *await self._form(request))

    def _skipped(self, visit: Visit, form: dict[str, str]) -> Response:
        me = self._person(visit)
        if not self._desk.can_skip:
            raise Problem(400, self._sentence("cannot_skip"))
        to, now = self._instant(me, form.get("to", ""), "skip_unclear"), self._desk.now()
        if to <= now:
            raise Problem(400, self._sentence("skip_back"))
        if to - now > when.FURTHEST:
            raise Problem(400, self._sentence("skip_far", days=when.FURTHEST.days))
        self._desk.skip(to)
        return _back_to_chat(visit, me)

    async def _welcome_read(self, request: Request) -> Response:
        visit, _ = await self._form(request)
        self._welcomed = True
        return _back_to_chat(visit, await asyncio.to_thread(self._person, visit))

    async def _form(self, request: Request) -> tuple[Visit, dict[str, str]]:
        """Who sent a form of ours, and its fields. raises Problem"""
        fields = await self._fields(request)
        return _of_ours(_visit(request), fields), fields

    async def _fields(self, request: Request) -> dict[str, str]:
        if request.headers.get("content-type", "").split(";")[0].strip() != "application/x-www-form-urlencoded":
            raise Problem(415, "This page takes its own forms only.")
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > _BODY:
                raise Problem(413, self._sentence("too_long", limit=LONGEST))
        try:
            return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=20))
        except ValueError:
            raise Problem(400, "This form has more fields than any of ours.") from None

    # --- signing in and out ------------------------------------------------------------------------------------------

    async def _link(self, request: Request) -> Response:
        """Where the link in chat leads. Looking only shows a button: what looks at links before people do uses none up."""
        if request.method == "POST":
            return await self._sign_in(request)
        code = request.query_params.get("code", "")
        if not _CODE.fullmatch(code):
            raise Problem(403, self._sentence("sign_in_first"))
        return self._door_page(200, code=code)

    async def _sign_in(self, request: Request) -> Response:
        code = (await self._fields(request)).get("code", "")
        assert self._signed_in
        if not self._tries.take():
            raise Problem(429, self._sentence("too_many_tries"))
        word = await asyncio.to_thread(self._signed_in.use, code)
        if word is None:
            raise Problem(403, self._sentence("link_over"))
        self._tries.give_back()
        old = request.cookies.get(_cookie(request))
        if old:
            await asyncio.to_thread(self._signed_in.end, old)
        answer = RedirectResponse(f"{_PAGE}/", 303)
        lasts = int(SESSION_LASTS.total_seconds())
        answer.set_cookie(
            _cookie(request), word, max_age=lasts, path="/", secure=_is_secure(request), httponly=True, samesite="strict"
        )
        return answer

    async def _sign_out(self, request: Request) -> Response:
        visit, _ = await self._form(request)
        assert self._signed_in
        await asyncio.to_thread(self._signed_in.end, visit.session)
        answer = self._door_page(200, sentence=self._sentence("sign_in_first"), heading="Signed out")
        answer.delete_cookie(_cookie(request), path="/", secure=_is_secure(request), httponly=True, samesite="strict")
        return answer

    def _door_page(
        self, status: int, *, sentence: str = "", code: str = "", heading: str = "Sign in", onward: str = ""
    ) -> Response:
        """A page for somebody who is not signed in: it names nothing and nobody."""
        template = self._templates[_PAGE].get_template("door.html")
        sentence = sentence or ("" if code or onward else self._sentence("sign_in_first"))
        return HTMLResponse(template.render(sentence=sentence, code=code, heading=heading, onward=onward), status)

    # --- drawing -----------------------------------------------------------------------------------------------------

    def _chat(self, visit: Visit, swap: dict[int, Card]) -> str:
        """The chat of one person. `swap` puts cards in place of stored ones: an answer to a press that changed nothing."""
        me = self._person(visit)
        version = self._desk.wait("", 0)  # before the messages: what comes in between is then announced again
        messages = self._desk.messages(me.id)
        if messages:
            self._seen[me.id] = messages[-1].id
        verbs = {b.verb for m in messages if m.card for b in (swap.get(m.id) or m.card).buttons if b.needs == "reason"}
        return self._draw(
            "chat.html",
            visit,
            me,
            messages=messages[-_LINES:],
            earlier=max(0, len(messages) - _LINES),
            swap=swap,
            reasons={verb: self._desk.reasons(verb) for verb in verbs},
            version=version,
            unread=self._unread() if visit.is_free else {},
            welcome="" if self._welcomed or not visit.is_free else self._desk.welcome(me.id),
            examples=self._desk.examples(me.id),
            status=self._desk.status(),
            may_bring=self._desk.may_bring(me.id),
            longest=LONGEST,
        )

    def _alone(self, visit: Visit, give: Callable[[str], Card]) -> str:
        """A page with one card: my day, the stand-up, or the answer to a press on one of them."""
        me = self._person(visit)
        card = give(me.id)
        verbs = {button.verb for button in card.buttons if button.needs == "reason"}
        return self._draw("alone.html", visit, me, card=card, reasons={verb: self._desk.reasons(verb) for verb in verbs})

    def _draw(self, template: str, visit: Visit, me: PersonView, **more: Any) -> str:
        now, people = self._desk.now(), self._desk.people()
        return (
            self._templates[visit.base]
            .get_template(template)
            .render(
                practice=self._desk.practice_name,
                me=me,
                people=people,
                sites=dict(reversed([(p.site, p.zone) for p in people])),
                now=now,
                opening=self._desk.next_opening(me.id),
                tomorrow=when.tomorrow_at_nine(now, me.zone),
                can_skip=self._desk.can_skip,
                form_token=visit.form_token,
                **more,
            )
        )

    def _unread(self) -> dict[str, int]:
        """How many deliveries of each person have not been on a page yet."""
        return {
            person.id: sum(m.delivered for m in self._desk.messages(person.id, self._seen.get(person.id, 0)))
            for person in self._desk.people()
        }

    def _person(self, visit: Visit) -> PersonView:
        people = self._desk.people()
        found = [person for person in people if visit.person in ("", person.id)]
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

    async def _problem(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return self._problem_page(request, error.status, error.sentence)

    async def _no_such_page(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        answer = self._problem_page(request, error.status_code, _KNOWN.get(error.status_code, "This request cannot be served."))
        answer.headers.update(error.headers or {})
        return answer

    async def _fault(self, request: Request, error: Exception) -> Response:
        number = secrets.token_hex(4)
        _log.error("a page could not be made; the reader was given reference %s", number)
        sentence = f"Something went wrong on our side. It is in the log under reference {number}."
        return self._problem_page(request, 500, sentence)

    def _problem_page(self, request: Request, status: int, sentence: str) -> Response:
        visit: Visit | None = getattr(request.state, "visit", None)
        if visit is None:
            return self._door_page(status, sentence=sentence)
        template, practice = self._templates[visit.base].get_template("problem.html"), self._desk.practice_name
        return HTMLResponse(template.render(sentence=sentence, practice=practice), status)


def is_local(request: Request) -> bool:
    """Whether a request comes from this machine itself: to a name of its own, and through no proxy that says so."""
    client = request.client.host if request.client else ""
    is_direct = not any(name in request.headers for name in _THROUGH)
    return is_direct and _is_loopback(client) and _is_loopback(_name(request.headers.get("host", "")))


def _of_ours(visit: Visit, fields: Mapping[str, str]) -> Visit:
    """Who sent a form with these fields. raises Problem   it is none of ours"""
    if not hmac.compare_digest(fields.get("form", "").encode("utf-8", "replace"), visit.form_token.encode()):
        raise Problem(403, "This form is not from this page: load the page again and send it from there.")
    return replace(visit, person=fields.get("as", "")) if visit.is_free else visit


class _Guard:
    """Lets a request in whose Host is ours, and a form only from our own page. Adds the safety headers."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._app = app
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
        if request.method not in ("GET", "HEAD") and not _same_site(request, host):
            return Problem(403, "This form was sent by another site, so nothing was done.")
        return None


class _Door(Protocol):
    """A way in."""

    def enter(self, request: Request) -> Visit | Response:
        """Who it is; or what to answer to somebody who may not come in. May block."""
        ...


class _Entered:
    """An application whose every request has a Visit, in `request.state.visit`."""

    def __init__(self, app: ASGIApp, door: _Door) -> None:
        self._app = app
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        entered = await asyncio.to_thread(self._door.enter, Request(scope))
        if isinstance(entered, Visit):
            scope.setdefault("state", {})["visit"] = entered
            await self._app(scope, receive, send)
        else:
            await entered(scope, receive, send)


class _TokenDoor:
    """For whoever has the token. `only_here`: and asks from this machine."""

    def __init__(self, token: str, *, only_here: bool) -> None:
        self._token = token
        self._only_here = only_here
        self._form_token = hmac.new(token.encode(), b"form", "sha256").hexdigest()

    def enter(self, request: Request) -> Visit | Response:
        shown = str(request.path_params.get("token", "")).encode("utf-8", "replace")
        if not hmac.compare_digest(shown, self._token.encode()) or (self._only_here and not is_local(request)):
            return _bare_page(_HIDDEN)
        return Visit(f"/{self._token}", request.query_params.get("as", ""), self._form_token, is_free=True)


class _SessionDoor:
    """For people who signed in and still work here."""

    def __init__(self, signed_in: SignedIn, desk: Desk, page: Callable[..., Response]) -> None:
        self._signed_in = signed_in
        self._desk = desk
        self._page = page

    def enter(self, request: Request) -> Visit | Response:
        word = request.cookies.get(_cookie(request), "")
        if not word and _comes_from_elsewhere(request):
            return self._page(200, heading="One moment", onward=f"{quote(request.url.path)}?here=1")
        person = self._signed_in.who(word)
        if person is None or person not in {one.id for one in self._desk.people()}:
            return self._page(403)
        return Visit(_PAGE, person, hmac.new(word.encode(), b"form", "sha256").hexdigest(), is_free=False, session=word)


def _comes_from_elsewhere(request: Request) -> bool:
    """Whether somebody followed a link from another site (Slack or Teams in a browser).

    Their browser then keeps a SameSite=Strict cookie back. It sends it once one of our own pages leads on.
    """
    is_followed = request.headers.get("sec-fetch-site") in ("cross-site", "same-site") and request.method == "GET"
    return is_followed and request.headers.get("sec-fetch-mode") == "navigate" and "here" not in request.query_params


def _visit(request: Request) -> Visit:
    visit = request.state.visit
    assert isinstance(visit, Visit)
    return visit


def _is_secure(request: Request) -> bool:
    """Whether the browser speaks https to us or to what stands before us: everything but this machine's own names does."""
    return request.url.scheme == "https" or not _is_loopback(_name(request.headers.get("host", "")))


def _cookie(request: Request) -> str:
    """The session's cookie. With `__Host-` no neighbouring site can set it in our place."""
    return "__Host-holdfast" if _is_secure(request) else "holdfast"


def _name(host: str) -> str:
    """The name in a value of Host, without its port."""
    return host.partition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]


def _is_loopback(name: str) -> bool:
    if name.strip("[]").lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


class _Bucket:
    """So many at once, and so many more each second. For one thread."""

    def __init__(self, size: float, a_second: float) -> None:
        self._size = self._left = size
        self._a_second = a_second
        self._at = time.monotonic()

    def take(self) -> bool:
        now = time.monotonic()
        self._left = min(self._size, self._left + (now - self._at) * self._a_second)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def give_back(self) -> None:
        self._left += 1


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


_KNOWN = {404: "There is no such page here.", 405: "This address does not take that kind of request."}
_HIDDEN = Problem(404, "There is nothing here. Use the whole address that was printed at the start.")


def _bare_page(problem: Problem) -> Response:
    """A page for somebody who has not shown the token: it names nothing and nobody."""
    return HTMLResponse(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Not here</title><p>{problem.sentence}</p></html>',
        problem.status,
    )


async def _nothing_here(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    known = error.status_code != 404 and _KNOWN.get(error.status_code)
    page = _bare_page(Problem(error.status_code, known) if known else _HIDDEN)
    page.headers.update({**_HEADERS, **(error.headers or {})})
    return page


async def _broken(request: Request, error: Exception) -> Response:
    """A fault of ours outside the page: for a program, which can do nothing with words."""
    return Response(status_code=500, headers=_HEADERS)


async def _to_record(scope: Scope, receive: Receive, send: Send) -> None:
    """`/r/REF`, as cards name it: to the record on the page of whoever is signed in."""
    ref = str(scope["path_params"]["ref"])
    to = f"{_PAGE}/r/{ref.upper()}" if _REF.fullmatch(ref) else f"{_PAGE}/"
    await RedirectResponse(to, 303)(scope, receive, send)


def _back_to_chat(visit: Visit, me: PersonView, place: str = "") -> Response:
    mine = f"?{urlencode({'as': me.id})}" if visit.is_free else ""
    return RedirectResponse(f"{visit.base}/{mine}{place}", status_code=303)


def _ref(request: Request) -> str:
    ref = str(request.path_params["ref"])
    if not _REF.fullmatch(ref):
        raise Problem(404, "A reference is made of letters and digits, as it stands on a card.")
    return ref.upper()


def _quoted(text: str) -> Markup:
    """A quote for the page: escaped first, then with Markdown's bold, and flowing."""
    return Markup(BOLD.sub(r"<strong>\1</strong>", str(escape(flowing(text)))))  # noqa: S704 escaped above


def _templates(base: str, *, is_free: bool) -> Environment:
    """`is_free`: the reader may be anybody, and each address says whom they chose."""

    env = Environment(loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined)
    env.trim_blocks = env.lstrip_blocks = True
    env.filters |= {
        "clock": when.clock,
        "day": when.day,
        "stamp": when.stamp,
        "minutes": when.local_minutes,
        "flowing": flowing,
        "quoted": _quoted,
    }
    env.globals |= {
        "base": base,
        "is_free": is_free,
        "mine": lambda me: f"?{urlencode({'as': me.id})}" if is_free else "",
        "kinds": KINDS,
        "new_key": lambda: secrets.token_hex(8),
        "query": quote,
    }
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
