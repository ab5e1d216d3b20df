"""Slack's door: signed HTTP requests or a socket, the same handlers behind both; nothing is acknowledged before it is kept.

Bolt acknowledges an event before its listener runs, unless it is told to process before it responds. It is told so here, and
its listener does one short thing: read the payload, hand it to the front, which returns once it is stored, then acknowledge.
What raises, or cannot be stored, is answered with 503 (over the socket: not at all), and Slack delivers an event again.
Bolt's own authorization would ask Slack who we are before each listener; ours asks nobody: no listener here uses a token.

The signature is checked by us, on the raw bytes, before Bolt sees anything: Bolt's check raises on half of the malformed inputs
and turns that into a 500. The body, too, is decoded by us, because Bolt takes a command whose text has the word “payload” in it
for an interaction and finds it empty. A retried delivery is handled like a first one: the inbox knows by its key what it has.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import re
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Protocol
from urllib.parse import parse_qsl, urljoin

from slack_bolt import App, BoltRequest, BoltResponse
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_bolt.adapter.socket_mode.internals import send_response
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.authorization.authorize import Authorize
from slack_bolt.oauth import OAuthFlow
from slack_bolt.oauth.oauth_settings import OAuthSettings
from slack_sdk.errors import SlackClientError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from bot import cards, metrics
from bot.chat import Front, Heard
from bot.platforms.slack import manifest
from bot.platforms.slack.client import Client, discreet_logger
from bot.platforms.slack.installs import Installations, States
from bot.platforms.slack.read import PLATFORM, FormSent, FormWanted, Read, read
from bot.settings import Settings

LARGEST = 1_000_000
"""Bytes of a request."""
SKEW_S = 300
"""How old a signed request may be: what is older is a replay."""
_SECONDS = re.compile(r"[0-9]{1,12}", re.ASCII)
_SIGNATURE = re.compile(r"v0=[0-9a-f]{64}", re.ASCII)
_FIELDS = 100
_ASKED = ("state", "code", "error", "team")
_PLAIN = re.compile(r"[A-Za-z0-9._~-]{1,500}", re.ASCII)
"""What a browser may bring to an installation. Bolt puts some of it into a page and a header as it is."""
_WAIT_S = (1, 2, 5, 10, 30, 60)
_log = logging.getLogger(__name__)


class Aside(Protocol):
    """What the edge may have shown beside an answer. Each may take its time and raises nothing."""

    def open_form(self, wanted: FormWanted) -> None: ...

    def working(self, heard: Heard) -> None: ...

    def gone(self, heard: Heard) -> None:
        """The workspace removed the app. This one may raise: it must not be lost."""
        ...


def is_signed(headers: Mapping[str, list[str]], body: bytes, secret: str, now: float) -> bool:
    """Whether Slack signed this request within the last five minutes. False for any fault; raises nothing.

    headers   by lower-case name, each with all its values: a second signature is a fault
    now       seconds since 1970
    source    https://docs.slack.dev/authentication/verifying-requests-from-slack
    """
    stamps, signatures = headers.get("x-slack-request-timestamp", []), headers.get("x-slack-signature", [])
    if not secret or len(stamps) != 1 or len(signatures) != 1:
        return False
    stamp, signature = stamps[0], signatures[0]
    if not _SECONDS.fullmatch(stamp) or not _SIGNATURE.fullmatch(signature) or abs(now - int(stamp)) > SKEW_S:
        return False
    expected = hmac.new(secret.encode(), b"v0:" + stamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(f"v0={expected}", signature)


def decoded(body: str) -> dict[str, Any] | None:
    """The payload of a request: JSON, a form with a `payload` of JSON, or a command's form fields. None for anything else."""
    try:
        if body.lstrip().startswith("{"):
            found = json.loads(body)
        else:
            fields = dict(parse_qsl(body, keep_blank_values=True, max_num_fields=_FIELDS))
            found = json.loads(fields["payload"]) if "payload" in fields and "command" not in fields else fields
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


class Edge:
    """Takes in what Slack sends. `aside` is what may be shown without waiting for an answer."""

    def __init__(
        self,
        settings: Settings,
        front: Front,
        client: Client,
        aside: Aside,
        installs: Installations | None,
        states: States | None,
    ) -> None:
        self._settings = settings
        self._front = front
        self._aside = aside
        self._client = client
        self._pool = ThreadPoolExecutor(settings.slack_pool, thread_name_prefix="slack")
        self._forms = ThreadPoolExecutor(8, thread_name_prefix="slack-form")
        self._statuses = ThreadPoolExecutor(
            2, thread_name_prefix="slack-status"
        )  # apart: a form cannot wait behind an ornament
        self._flow = self._oauth(installs, states) if installs and states else None
        self.app = self._bolt()
        self._socket: Any = None
        self._ended = threading.Event()

    # --- what listens ------------------------------------------------------------------------------------------------

    def routes(self) -> list[BaseRoute]:
        """The HTTP routes: events where there is a signing secret, installing where there is a client id."""
        routes: list[BaseRoute] = []
        if self._settings.slack_signing_secret:
            routes.append(Route(manifest.EVENTS_PATH, self._events, methods=["POST"]))
        if self._flow:
            routes.append(Route(manifest.INSTALL_PATH, self._install, methods=["GET"]))
            routes.append(Route(manifest.REDIRECT_PATH, self._redirect, methods=["GET"]))
        return routes

    def start(self) -> None:
        """Connect by socket where there is an app-level token; keep trying when Slack is away. Returns at once."""
        if self._settings.slack_app_token and self._socket is None:
            self._ended.clear()
            web = self._client.web(self._settings.slack_app_token)
            self._socket = _Socket(
                self._answered,
                self.app,
                app_token=self._settings.slack_app_token,
                logger=discreet_logger(),
                web_client=web,
                concurrency=self._settings.slack_pool,
            )
            threading.Thread(target=self._connect, args=(self._socket,), name="slack-socket", daemon=True).start()

    def stop(self) -> None:
        """Close the socket, and let what is under way end."""
        self._ended.set()
        if self._socket:
            _close(self._socket)
            self._socket = None
        for pool in (self._pool, self._forms, self._statuses):
            pool.shutdown()

    def is_connected(self) -> bool:
        """Whether the socket is open."""
        return self._socket is not None and bool(self._socket.client.is_connected())

    def _connect(self, socket: Any) -> None:
        """The first connection; the SDK looks after the next ones itself."""
        tries = 0
        while not self._ended.is_set():
            try:
                socket.connect()
                if self._ended.is_set():
                    _close(socket)
                return
            except (SlackClientError, OSError, ValueError) as error:
                wait = _WAIT_S[min(tries, len(_WAIT_S) - 1)]
                tries += 1
                _log.warning("Slack's socket does not open (%s): trying again in %d s.", type(error).__name__, wait)
                self._ended.wait(wait)

    # --- HTTP --------------------------------------------------------------------------------------------------------

    async def _events(self, request: Request) -> Response:
        try:
            raw = await _bounded(request)
        except ClientDisconnect:
            return Response(status_code=400)
        if raw is None:
            return Response(status_code=413)
        headers: dict[str, list[str]] = {}
        for name, value in request.headers.items():
            headers.setdefault(name.lower(), []).append(value)
        text = _utf8(raw)
        if text is None or not is_signed(headers, raw, self._settings.slack_signing_secret, time.time()):
            return Response(status_code=401)
        payload = decoded(text)
        if payload is None:
            return Response(status_code=400)
        came = time.monotonic()
        answer = await self._pooled(self._received, payload)
        metrics.here.acked(PLATFORM, "http", time.monotonic() - came)
        return answer

    async def _install(self, request: Request) -> Response:
        return await self._pooled(self._flowed, "handle_installation", request)

    async def _redirect(self, request: Request) -> Response:
        return await self._pooled(self._flowed, "handle_callback", request)

    async def _pooled(self, work: Callable[..., Response], *given: Any) -> Response:
        """Bolt is not made for an event loop: its work is done in a thread."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work, *given)
        except RuntimeError:  # we are closing, or an answer could not be made
            return Response(status_code=503)

    def _received(self, payload: dict[str, Any]) -> Response:
        return _starlette(self._answered(payload))

    def _answered(self, payload: dict[str, Any]) -> BoltResponse:
        """What Bolt answers to a payload that is known to be Slack's: 200, 400 (it cannot be read) or 503 (it was not kept)."""
        try:
            answer = self.app.dispatch(BoltRequest(mode="socket_mode", body=payload))  # no check but ours, which was made
        except Exception as error:  # noqa: BLE001  Bolt reads parts of a payload before any handler of its own is in place
            _log.warning("A request of Slack cannot be read (%s).", type(error).__name__)
            return BoltResponse(status=400)
        known = {404: 200, 500: 400}  # unknown to us, unreadable to Bolt: neither would be mended by a second delivery
        return BoltResponse(status=known[answer.status]) if answer.status in known else answer

    def _flowed(self, step: str, request: Request) -> Response:
        asked = {name: value for name in _ASKED if (value := request.query_params.get(name)) and _PLAIN.fullmatch(value)}
        try:
            answer: BoltResponse = getattr(self._flow, step)(BoltRequest(body="", query=asked, headers=dict(request.headers)))
        except Exception as error:  # noqa: BLE001  whatever it was, the person can only try again
            _log.warning("A workspace could not install the app (%s).", type(error).__name__)
            return Response(cards.say("Slack could not be reached. Please try again."), status_code=503)
        return _starlette(answer)

    # --- Bolt --------------------------------------------------------------------------------------------------------

    def _bolt(self) -> App:
        """The app with everything registered that the manifest names."""
        app = App(
            name=manifest.APP,
            logger=discreet_logger(),
            client=self._client.web(None),
            authorize=_Nobody(),
            process_before_response=True,
            request_verification_enabled=False,
            token_verification_enabled=False,
            ignoring_self_events_enabled=False,  # it would need our bot's id, that is, a call; read() leaves out every bot
            attaching_function_token_enabled=False,
            attaching_conversation_kwargs_enabled=False,
            oauth_flow=self._flow,
            oauth_settings=self._flow.settings if self._flow else None,
            listener_executor=self._pool,
        )
        for kind in manifest.event_types():
            app.event(kind)(self._on_payload)
        for command in manifest.COMMANDS:
            app.command(command.name)(self._on_payload)
        app.message_shortcut(manifest.ABOUT_MESSAGE)(self._on_payload)
        app.action(re.compile(""))(self._on_payload)
        app.view(re.compile(""))(self._on_payload)
        return app

    def _oauth(self, installs: Installations, states: States) -> OAuthFlow:
        settings = OAuthSettings(
            client_id=self._settings.slack_client_id,
            client_secret=self._settings.slack_client_secret,
            scopes=list(manifest.SCOPES),
            user_scopes=[],
            redirect_uri=f"{self._settings.url}{manifest.REDIRECT_PATH}" if self._settings.url else None,
            install_path=manifest.INSTALL_PATH,
            redirect_uri_path=manifest.REDIRECT_PATH,
            authorization_url=urljoin(self._settings.slack_api_url, "/oauth/v2/authorize"),
            installation_store=installs,
            installation_store_bot_only=True,
            state_store=states,
            logger=discreet_logger(),
        )
        return OAuthFlow(client=self._client.web(None), logger=discreet_logger(), settings=settings)

    def _on_payload(self, ack: Callable[..., BoltResponse], body: dict[str, Any]) -> BoltResponse:
        """The one listener. 503: not kept, so not acknowledged."""
        try:
            refusal = self._take(read(body, datetime.now(UTC)))
        except Exception as error:  # noqa: BLE001  whatever it was, Slack must not be told that we have it
            _log.error("What Slack sent could not be kept (%s): it is asked to send it again.", type(error).__name__)
            return BoltResponse(status=503, body="")
        return ack(response_action="errors", errors=refusal) if refusal else ack()

    def _take(self, heard: Read) -> dict[str, str] | None:
        """Keep it. What is wrong with a form that came back, by the form's block; None where nothing is."""
        if isinstance(heard, FormWanted):
            self._ask_for_more(heard)
        elif isinstance(heard, FormSent):
            return self._form_back(heard)
        elif heard is not None:
            self._hear(heard)
            if heard.act == "left" and not heard.account:
                self._aside.gone(heard)
            elif heard.act == "ask" and heard.place.surface == "pane":
                self._statuses.submit(self._aside.working, heard)
        return None

    def _ask_for_more(self, wanted: FormWanted) -> None:
        """Open the form. Nothing is done yet, so nothing is to be kept; an old button whose form is gone is a press."""
        if self._front.form(wanted.press.verb, PLATFORM) is None:
            self._hear(wanted.press)
        else:
            self._forms.submit(self._aside.open_form, wanted)

    def _form_back(self, sent: FormSent) -> dict[str, str] | None:
        form = self._front.form(sent.press.verb, PLATFORM)
        press = replace(sent.press, note=form.note(sent.code, sent.typed) if form else sent.typed)
        below = _field_for(sent, needs_choice=form is not None and form.needs_choice)
        if below and (objection := self._front.objection(press)) is not None:
            return {below: str(objection)}
        self._hear(press)
        return None

    def _hear(self, heard: Heard) -> None:
        """Keep it. With many workspaces a conversation is named with its workspace, as in the receipt of what is sent there."""
        place = heard.place
        if self._settings.slack_client_id and place.team and place.channel:
            heard = replace(heard, place=replace(place, channel=f"{place.team}/{place.channel}"))
        self._front.hear(heard)


class _Socket(SocketModeHandler):
    """Bolt's handler for the socket, with our answer: what was kept, and what nothing can be done with, is acknowledged."""

    def __init__(self, answered: Callable[[dict[str, Any]], BoltResponse], app: App, **given: Any) -> None:
        self._answered = answered
        super().__init__(app, **given)

    def handle(self, client: Any, req: Any) -> None:
        came = time.monotonic()
        answer = self._answered(req.payload)
        metrics.here.acked(PLATFORM, "socket", time.monotonic() - came)
        send_response(client, req, BoltResponse(status=200) if answer.status == 400 else answer, time.time())


class _Nobody(Authorize):
    """Says yes without asking: the signature or the socket's token said whose request it is, and no listener uses a token."""

    def __init__(self) -> None: ...

    def __call__(self, *, enterprise_id: str | None, team_id: str | None, user_id: str | None, **_: Any) -> AuthorizeResult:
        return AuthorizeResult(enterprise_id=enterprise_id, team_id=team_id, user_id=user_id)


def _close(socket: Any) -> None:
    """Close a socket for good. The SDK stumbles, half-way, over a connection that ends at the same moment: then once more.

    It waits up to 3 s to receive something before it lets go. The answer to a ping comes at once, but after the two bytes of an
    empty one it would wait for more.
    """
    socket.client.current_session_state.terminated = True
    with suppress(AttributeError, OSError):
        socket.client.current_session.ping("closing")
    for _ in range(2):
        with suppress(AttributeError, OSError):
            socket.close()
            return


def _field_for(sent: FormSent, *, needs_choice: bool) -> str:
    """The field of a form below which it is said what is wrong with it; empty where it has none."""
    if needs_choice and not sent.code and "choice" in sent.fields:
        return "choice"
    return "typed" if "typed" in sent.fields else next(iter(sent.fields), "")


async def _bounded(request: Request) -> bytes | None:
    """The body; None where it is too large. No more of it is held than is allowed."""
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and len(declared) < 20 and int(declared) > LARGEST:
        return None
    held = bytearray()
    async for chunk in request.stream():
        held += chunk
        if len(held) > LARGEST:
            return None
    return bytes(held)


def _utf8(raw: bytes) -> str | None:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _starlette(answer: BoltResponse) -> Response:
    """Bolt's answer as Starlette's, with every cookie it sets."""
    response = Response(answer.body, status_code=answer.status)
    for name, values in answer.headers.items():
        for value in values:
            if name.lower() == "set-cookie":
                response.headers.append(name, value)
            elif name.lower() != "content-length":
                response.headers[name] = value
    return response
