"""A loopback Slack that behaves: Web API, signed events, Socket Mode, modals, the home page, and the troubles of a real one.

It runs in this process, in threads. A test acts as people through the verbs of `Slack` (`say`, `press`, `submit`, …), each of
which returns when the app has acknowledged; `Slack.trouble` has a method fail in the ways that networks and Slack do.
What the app did wrong is kept in `Slack.refused`: assert that it is empty when the test ends (`Slack.close` does).

    ApiError        Slack answers `ok: false` with this word
    NotTaken        the app did not acknowledge what somebody did: no 2xx, or not within 3 s
"""

from __future__ import annotations

import base64
import copy
import hashlib
import hmac
import http.client
import itertools
import json
import secrets
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from tests.gates.slack import check_message, check_view

Json = dict[str, Any]
Mode = Literal["http", "socket"]
Surface = Literal["events", "interactive", "commands"]
How = Literal["reset", "close", "hang", "500", "refuse", "429", "slow", "error"]
"""What goes wrong. `reset`, `close`, `hang`, `500`: Slack does what it was asked and the answer is lost (the connection is torn
down, closed, silent, or ends in a 500). `refuse` (500), `429`, `error`: nothing is done. `slow`: all is well, but late."""

ACK_S = 3.0
TRIGGER_S = 3.0
RESPONSE_USES = 5
SCOPES = (
    "app_mentions:read", "assistant:write", "channels:history", "channels:read", "chat:write", "commands", "files:read",
    "groups:history", "groups:read", "im:history", "im:read", "im:write", "mpim:history", "reactions:write", "team:read",
    "users:read", "users:read.email",
)  # fmt: skip
_NEEDS = {
    "chat.postMessage": "chat:write", "chat.update": "chat:write", "chat.postEphemeral": "chat:write",
    "chat.delete": "chat:write", "conversations.open": "im:write", "conversations.list": "channels:read",
    "conversations.info": "channels:read", "conversations.history": "channels:history",
    "conversations.replies": "channels:history", "files.info": "files:read", "users.info": "users:read",
    "users.list": "users:read", "users.lookupByEmail": "users:read.email", "assistant.threads.setStatus": "assistant:write",
    "assistant.threads.setSuggestedPrompts": "assistant:write", "assistant.threads.setTitle": "assistant:write",
}  # fmt: skip


class ApiError(Exception):
    """`ok: false`, the word, and what else the answer holds."""

    def __init__(self, word: str, **more: Any) -> None:
        super().__init__(word)
        self.word = word
        self.more = more


class NotTaken(AssertionError):
    """The app did not acknowledge in time, or said no. `status`: 0 where nothing came back."""

    def __init__(self, what: str, status: int) -> None:
        super().__init__(what)
        self.status = status


@dataclass
class Trouble:
    """How the next calls of one method go wrong.

    times      how many calls; None: all of them until it is taken away
    only       which calls: the arguments are given
    for_s      how long a hang or a slow answer takes; what `Retry-After` says
    word       the error of `error`
    """

    how: How
    times: int | None = 1
    only: Callable[[Mapping[str, Any]], bool] = lambda arguments: True
    for_s: float = 1.0
    word: str = "internal_error"
    met: int = 0


@dataclass(frozen=True)
class Call:
    """One call of the Web API as it came. `outcome`: `ok`, an error's word, or how it went wrong. `at_s`: monotonic."""

    method: str
    arguments: Mapping[str, Any]
    token: str
    outcome: str
    at_s: float


@dataclass(frozen=True)
class Envelope:
    """Something that the app is told. The same envelope may be delivered several times, as Slack does."""

    surface: Surface
    payload: Json

    @property
    def event_id(self) -> str:
        return str(self.payload.get("event_id", ""))


@dataclass(frozen=True)
class Delivered:
    """One delivery of an envelope and how it was acknowledged. `latency_s`: until the acknowledgement was read."""

    envelope: Envelope
    retry: int
    status: int
    answer: Any
    latency_s: float


@dataclass
class User:
    id: str
    name: str
    email: str
    zone: str = "America/New_York"
    is_bot: bool = False
    is_guest: bool = False
    deleted: bool = False

    def as_json(self, team: str, *, with_email: bool = True) -> Json:
        profile: Json = {"real_name": self.name, "display_name": self.name.split()[0]}
        if with_email:
            profile["email"] = self.email
        return {
            "id": self.id, "team_id": team, "name": self.name.lower().replace(" ", "."), "real_name": self.name,
            "tz": self.zone, "deleted": self.deleted, "is_bot": self.is_bot, "is_restricted": self.is_guest,
            "is_ultra_restricted": False, "is_app_user": False, "is_stranger": False, "profile": profile, "locale": "en-US",
        }  # fmt: skip


@dataclass
class File:
    """A file that somebody shared. `status`: what whoever fetches it is answered; `leads_to`: where that sends them."""

    id: str
    name: str
    data: bytes
    url: str
    status: int = 200
    leads_to: str = ""
    fetched: int = 0

    def as_json(self) -> Json:
        name = self.name.rsplit(".", 1)[-1]
        return {
            "id": self.id, "name": self.name, "title": self.name, "filetype": name, "size": len(self.data), "mode": "hosted",
            "is_external": False, "url_private": self.url, "url_private_download": self.url,
        }  # fmt: skip


@dataclass
class Channel:
    id: str
    name: str
    members: set[str]
    kind: Literal["im", "channel", "group"] = "channel"
    archived: bool = False
    messages: list[Json] = field(default_factory=list)

    def as_json(self, me: str) -> Json:
        other = next((member for member in self.members if member != me), me)
        named = {"user": other} if self.kind == "im" else {"name": self.name}
        return {
            "id": self.id, **named, "is_im": self.kind == "im", "is_channel": self.kind == "channel", "is_mpim": False,
            "is_group": self.kind == "group", "is_private": self.kind == "group", "is_archived": self.archived,
            "is_member": me in self.members, "num_members": len(self.members),
        }  # fmt: skip


@dataclass
class _Trigger:
    user: str
    made_s: float
    used: bool = False


class Slack:
    """One workspace with one app in it, on this machine.

    mode         how the app is told of things: by HTTP to `request_url`, or over the sockets that it opened
    request_url  where the app takes events, interactivity and commands (HTTP)
    now          Unix seconds, for message timestamps and event times; signatures use the real clock, as their readers do
    scopes       what the bot token may do
    limits       whether one message a second and channel is held to
    """

    def __init__(self, *, mode: Mode = "http", request_url: str = "", now: Callable[[], float] = time.time) -> None:
        self.mode = mode
        self.request_url = request_url
        self.now = now
        self.team, self.app, self.bot, self.bot_id = "T0FAKE001", "A0FAKE001", "U0FAKEBOT", "B0FAKEBOT"
        self.bot_token, self.app_token = "xoxb-fake-" + secrets.token_hex(8), "xapp-fake-" + secrets.token_hex(8)
        self.signing_secret, self.client_id, self.client_secret = secrets.token_hex(16), "111.222", secrets.token_hex(16)
        self.scopes: tuple[str, ...] = SCOPES
        self.limits = False
        self.pace_s = 1.0
        self.holds = False
        """Whether what people do waits in `held` until the test delivers it."""
        self.held: list[Envelope] = []
        self.users: dict[str, User] = {self.bot: User(self.bot, "Holdfast", "", is_bot=True)}
        self.channels: dict[str, Channel] = {}
        self.ephemerals: dict[str, list[Json]] = {}
        self.views: dict[str, list[Json]] = {}
        self.homes: dict[str, Json] = {}
        self.prompts: dict[tuple[str, str], Json] = {}
        self.statuses: list[tuple[str, str, str]] = []
        self.files: dict[str, File] = {}
        self.titles: dict[tuple[str, str], str] = {}
        self.calls: list[Call] = []
        self.delivered: list[Delivered] = []
        self.refused: list[str] = []
        """What Slack would have refused of the app's payloads; a test that has any here has failed."""
        self.too_early: list[str] = []
        """Calls made before the `Retry-After` of an earlier answer had ended."""
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._last_ts = 0
        self._troubles: dict[str, list[Trouble]] = {}
        self._triggers: dict[str, _Trigger] = {}
        self._hooks: dict[str, Json] = {}
        self._codes: dict[str, str] = {}
        self._tickets: set[str] = set()
        self._sockets: list[ServerConnection] = []
        self._acks: dict[str, tuple[threading.Event, list[Any]]] = {}
        self._free_s: dict[str, float] = {}
        self._closed_s: dict[str, float] = {}
        self._ended = threading.Event()
        self._web = _Web(("127.0.0.1", 0), self)
        self._socket_server: Server | None = serve(self._plugged, "127.0.0.1", 0) if mode == "socket" else None
        self._threads = [threading.Thread(target=self._web.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)]
        if self._socket_server:
            self._threads.append(threading.Thread(target=self._socket_server.serve_forever, daemon=True))
        for thread in self._threads:
            thread.start()

    @property
    def url(self) -> str:
        """The Web API, for SLACK_API_URL."""
        return f"http://127.0.0.1:{self._web.server_address[1]}/api/"

    def close(self) -> None:
        """Stop. raises AssertionError   the app sent something that Slack would have refused"""
        self._ended.set()
        self._web.shutdown()
        if self._socket_server:
            self._socket_server.shutdown()
        for connection in list(self._sockets):
            with suppress(Exception):
                connection.close()
        for thread in self._threads:
            thread.join(5)
        self._web.server_close()
        assert not self.refused, "Slack would have refused:\n" + "\n".join(self.refused)

    # --- the workspace ---------------------------------------------------------------------------------------------------

    def person(self, name: str, email: str = "", *, id: str = "", guest: bool = False, bot: bool = False) -> str:
        """Somebody new in the workspace; their id."""
        user = User(id or self._new("U"), name, email, is_guest=guest, is_bot=bot)
        self.users[user.id] = user
        return user.id

    def channel(self, name: str, members: Sequence[str], *, private: bool = False, with_bot: bool = True) -> str:
        """A new channel; its id."""
        made = Channel(self._new("C"), name, {*members, *([self.bot] if with_bot else [])}, "group" if private else "channel")
        self.channels[made.id] = made
        return made.id

    def dm(self, user: str) -> str:
        """The conversation of a person and the bot."""
        with self._lock:
            for channel in self.channels.values():
                if channel.kind == "im" and channel.members == {user, self.bot}:
                    return channel.id
            made = Channel(self._new("D"), "", {user, self.bot}, "im")
            self.channels[made.id] = made
            return made.id

    def messages(self, channel: str) -> list[Json]:
        """Everything in a channel and its threads as it stands now, oldest first."""
        with self._lock:
            return copy.deepcopy(self.channels[channel].messages)

    def seen_by(self, user: str, channel: str) -> list[Json]:
        """The same as this person sees it: with what only they were shown."""
        with self._lock:
            private = [each for each in self.ephemerals.get(user, []) if each["channel"] == channel]
            return copy.deepcopy(sorted([*self.channels[channel].messages, *private], key=lambda each: float(each["ts"])))

    def modal(self, user: str) -> Json | None:
        """The form that is open before a person."""
        stack = self.views.get(user)
        return copy.deepcopy(stack[-1]) if stack else None

    def trouble(self, method: str, how: How, **more: Any) -> Trouble:
        """Have calls of `method` (`response_url` for those) go wrong; see `Trouble`."""
        made = Trouble(how, **more)
        with self._lock:
            self._troubles.setdefault(method, []).append(made)
        return made

    def calm(self) -> None:
        """No more troubles."""
        with self._lock:
            self._troubles.clear()

    def called(self, method: str) -> list[Call]:
        return [call for call in self.calls if call.method == method]

    def authorize(self, user: str) -> str:
        """Somebody agrees to the app at Slack's own page: the code with which their browser comes back."""
        code = secrets.token_hex(8)
        self._codes[code] = user
        return code

    # --- acting as people ------------------------------------------------------------------------------------------------

    def say(self, user: str, channel: str, text: str, thread: str = "", **more: Any) -> Json:
        """A person writes. In a channel the bot is told as often as Slack does: once more where it is mentioned."""
        with self._lock:
            message = {"type": "message", "user": user, "text": text, "team": self.team, "ts": self._ts(), **more}
            message |= {"thread_ts": thread} if thread else {}
            self.channels[channel].messages.append(message)
            kind = self.channels[channel].kind
            is_here = self.bot in self.channels[channel].members
        event = {**message, "channel": channel, "channel_type": kind, "event_ts": message["ts"]}
        if is_here:
            self.event(event)
        if f"<@{self.bot}>" in text and kind != "im":
            self.event({**event, "type": "app_mention"})
        return message

    def share(self, user: str, channel: str, name: str, data: bytes, text: str = "") -> File:
        """A person sends a file, with words beside it or none."""
        id = self._new("F")
        slug = "".join(char if char.isalnum() or char == "." else "_" for char in name.lower())
        url = f"{self.url.removesuffix('api/')}files-pri/{self.team}-{id}/download/{slug}"
        file = self.files[id] = File(id, name, data, url)
        self.say(user, channel, text, subtype="file_share", files=[file.as_json()], upload=False)
        return file

    def mention(self, user: str, channel: str, text: str, thread: str = "") -> Json:
        return self.say(user, channel, f"<@{self.bot}> {text}", thread)

    def edit(self, user: str, channel: str, ts: str, text: str) -> None:
        with self._lock:
            message = self._find(channel, ts)
            before = dict(message)
            message |= {"text": text, "edited": {"user": user, "ts": self._ts()}}
        self._changed(channel, "message_changed", message=dict(message), previous_message=before)

    def delete(self, user: str, channel: str, ts: str) -> None:
        with self._lock:
            message = self._find(channel, ts)
            self.channels[channel].messages.remove(message)
        self._changed(channel, "message_deleted", deleted_ts=ts, previous_message=message)

    def command(self, user: str, channel: str, command: str, text: str = "") -> Delivered | None:
        """A person types a slash command; what the app answers with is shown."""
        payload = {
            "token": "gone", "team_id": self.team, "team_domain": "fake", "channel_id": channel, "user_id": user,
            "channel_name": "directmessage" if self.channels[channel].kind == "im" else self.channels[channel].name,
            "user_name": self.users[user].name, "command": command, "text": text, "api_app_id": self.app,
            "is_enterprise_install": "false", "response_url": self._hook(user, channel), "trigger_id": self._trigger(user),
        }  # fmt: skip
        done = self._tell(Envelope("commands", payload))
        if done and done.answer:
            answer = done.answer if isinstance(done.answer, dict) else {"text": str(done.answer)}
            self._answer(answer, {"user": user, "channel": channel})
        return done

    def shortcut(self, user: str, callback: str, channel: str, ts: str) -> Delivered | None:
        """A person picks a shortcut from a message's menu."""
        message = {key: value for key, value in self._find(channel, ts).items() if key != "metadata"}
        acted = self._acted("message_action", user)
        about = {"callback_id": callback, "channel": self._named(channel), "message": message, "message_ts": ts}
        return self._tell(Envelope("interactive", {**acted, **about, "response_url": self._hook(user, channel, ts)}))

    def press(
        self, user: str, message: Json, element: Json, *, channel: str = "", value: str | None = None
    ) -> Delivered | None:
        """A person presses an element (as it stands in the blocks) of a message, an ephemeral one, or their home page.

        message   as read from here; a view for the home page
        value     in place of the element's own, for elements that hold several (feedback buttons)
        """
        acted = self._acted("block_actions", user)
        block = next((b["block_id"] for b in message["blocks"] if any(element == e for e in elements_of(b))), "gone")
        pressed: Json = {key: element[key] for key in ("type", "action_id", "value", "text", "style") if key in element}
        action = {**pressed, "block_id": block, "action_ts": self._ts(), **({"value": value} if value is not None else {})}
        acted["state"] = {"values": {}}
        if message.get("type") in ("home", "modal"):
            at_home: Json = {"container": {"type": "view", "view_id": message["id"]}, "view": message}
            return self._tell(Envelope("interactive", {**acted, **at_home, "actions": [action]}))
        where, ts, hidden = channel or str(message.get("channel", "")), str(message["ts"]), bool(message.get("is_ephemeral"))
        container: Json = {"type": "message", "message_ts": ts, "channel_id": where, "is_ephemeral": hidden}
        if "thread_ts" in message:
            container["thread_ts"] = message["thread_ts"]
        shown = {} if hidden else {"message": {key: each for key, each in message.items() if key != "metadata"}}
        hook = self._hook(user, where, ts, hidden=hidden)
        about: Json = {"container": container, "channel": self._named(where), "response_url": hook}
        return self._tell(Envelope("interactive", {**acted, **about, **shown, "actions": [action]}))

    def submit(self, user: str, values: Mapping[str, Mapping[str, Json]]) -> dict[str, str]:
        """A person sends the open form. `values`: block id -> action id -> the element's state. Returns the form's errors."""
        view = self.modal(user)
        assert view, f"{user} has no form open"
        view["state"] = {"values": form_state(view["blocks"], values)}
        done = self._tell(Envelope("interactive", {**self._acted("view_submission", user), "view": view, "response_urls": []}))
        answer = done.answer if done and isinstance(done.answer, dict) else {}
        match answer.get("response_action", ""):
            case "errors":
                unknown = set(answer["errors"]) - {b["block_id"] for b in view["blocks"] if b["type"] == "input"}
                if unknown:
                    self.refused.append(f"errors at {sorted(unknown)}, which are no inputs of the form")
                return dict(answer["errors"])
            case "update" | "push" as action:
                self._gate(check_view, answer["view"])
                stack = self.views[user]
                self.views[user] = [*(stack[:-1] if action == "update" else stack), self._view(answer["view"])]
            case "clear":
                self.views[user] = []
            case "":
                self.views[user].pop()
        return {}

    def dismiss(self, user: str) -> None:
        """A person closes the form; the app is told only where it asked to be."""
        view = self.views[user].pop()
        if view.get("notify_on_close"):
            self._tell(Envelope("interactive", {**self._acted("view_closed", user), "view": view, "is_cleared": False}))

    def open_home(self, user: str, tab: str = "home") -> None:
        event = {"type": "app_home_opened", "user": user, "channel": self.dm(user), "tab": tab, "event_ts": self._ts()}
        self.event({**event, **({"view": self.homes[user]} if user in self.homes else {})})

    def open_pane(self, user: str) -> tuple[str, str]:
        """A person opens the assistant pane: the channel and thread that it talks in."""
        channel, thread = self.dm(user), self._ts()
        about = {"user_id": user, "channel_id": channel, "thread_ts": thread, "context": {"team_id": self.team}}
        self.event({"type": "assistant_thread_started", "assistant_thread": about, "event_ts": thread})
        return channel, thread

    def invite(self, user: str, channel: str) -> None:
        """A person brings the bot into a channel."""
        self.channels[channel].members.add(self.bot)
        kind = {"channel": "C", "group": "G"}[self.channels[channel].kind]
        joined = {"type": "member_joined_channel", "user": self.bot, "channel": channel, "channel_type": kind, "inviter": user}
        self.event({**joined, "team": self.team, "event_ts": self._ts()})

    def uninstall(self) -> None:
        """An administrator removes the app."""
        self.event({"type": "app_uninstalled", "event_ts": self._ts()})
        self.event({"type": "tokens_revoked", "tokens": {"oauth": [], "bot": [self.bot]}, "event_ts": self._ts()})
        self.bot_token = "xoxb-gone-" + secrets.token_hex(8)

    def event(self, event: Json) -> Delivered | None:
        """Any event, in its envelope."""
        authorization = {"enterprise_id": None, "team_id": self.team, "user_id": self.bot, "is_bot": True}
        payload = {
            "token": "gone", "team_id": self.team, "api_app_id": self.app, "event": event, "type": "event_callback",
            "event_id": self._new("Ev"), "event_time": int(self.now()), "is_ext_shared_channel": False,
            "authorizations": [{**authorization, "is_enterprise_install": False}],
        }  # fmt: skip
        return self._tell(Envelope("events", payload))

    # --- telling the app -------------------------------------------------------------------------------------------------

    def _tell(self, envelope: Envelope) -> Delivered | None:
        if self.holds:
            self.held.append(envelope)
            return None
        return self.deliver(envelope)

    def deliver(self, envelope: Envelope, *, retry: int = 0, reason: str = "http_timeout") -> Delivered:
        """Deliver once; `retry` 1 to 3 is a redelivery. raises NotTaken"""
        began = time.monotonic()
        posts = self._post if self.mode == "http" else self._send
        status, answer = posts(envelope, retry, reason)
        done = Delivered(envelope, retry, status, answer, time.monotonic() - began)
        with self._lock:
            self.delivered.append(done)
        if not 200 <= status < 300:
            raise NotTaken(f"the app answered {status} to {_kind(envelope)}", status)
        if done.latency_s >= ACK_S:
            raise NotTaken(f"the app took {done.latency_s:.1f} s to acknowledge {_kind(envelope)}", status)
        return done

    def signed(self, body: bytes, at_s: int | None = None) -> dict[str, str]:
        """The headers that prove that Slack sent this body."""
        stamp = str(int(time.time()) if at_s is None else at_s)
        digest = hmac.new(self.signing_secret.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()
        return {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={digest}"}

    def _post(self, envelope: Envelope, retry: int, reason: str) -> tuple[int, Any]:
        if envelope.surface == "events":
            kind, body = "application/json", json.dumps(envelope.payload).encode()
        elif envelope.surface == "commands":
            kind, body = "application/x-www-form-urlencoded", urlencode(envelope.payload).encode()
        else:
            kind, body = "application/x-www-form-urlencoded", urlencode({"payload": json.dumps(envelope.payload)}).encode()
        again = {"X-Slack-Retry-Num": str(retry), "X-Slack-Retry-Reason": reason} if retry else {}
        to = urlsplit(self.request_url)
        connection = http.client.HTTPConnection(str(to.hostname), to.port, timeout=ACK_S + 2)
        try:
            connection.request("POST", to.path, body, {"Content-Type": kind, **self.signed(body), **again})
            response = connection.getresponse()
            text = response.read().decode("utf-8", "replace")
        except OSError:
            return 0, None
        finally:
            connection.close()
        is_json = (response.headers.get("Content-Type") or "").startswith("application/json")
        return response.status, json.loads(text) if is_json and text else text

    def _send(self, envelope: Envelope, retry: int, reason: str) -> tuple[int, Any]:
        kind = {"events": "events_api", "interactive": "interactive", "commands": "slash_commands"}[envelope.surface]
        name, ready, answers = secrets.token_hex(8), threading.Event(), list[Any]()
        sent = {
            "envelope_id": name, "type": kind, "payload": envelope.payload, "accepts_response_payload": kind != "events_api",
            **({"retry_attempt": retry, "retry_reason": reason} if kind == "events_api" else {}),
        }  # fmt: skip
        self.wait_for_sockets()
        with self._lock:
            self._acks[name] = (ready, answers)
            connection = self._sockets[next(self._numbers) % len(self._sockets)]
        try:
            connection.send(json.dumps(sent))
        except ConnectionClosed:
            return 0, None
        return (200, answers[0]) if ready.wait(ACK_S + 2) else (0, None)

    def wait_for_sockets(self, count: int = 1, within_s: float = 10.0) -> None:
        """Until the app has opened this many sockets."""
        end = time.monotonic() + within_s
        while len(self._sockets) < count:
            assert time.monotonic() < end, "the app did not open a socket"
            time.sleep(0.005)

    def stir_sockets(self) -> None:
        """Send a ping: the SDK closes a socket only when it has heard something, or after 3 s."""
        for connection in list(self._sockets):
            with suppress(ConnectionClosed):
                connection.ping()

    def refresh_sockets(self) -> None:
        """Slack asks the app to connect anew, and closes the old sockets."""
        for connection in list(self._sockets):
            connection.send(json.dumps({"type": "disconnect", "reason": "refresh_requested", "debug_info": {"host": "fake"}}))
            connection.close()

    def _plugged(self, connection: ServerConnection) -> None:
        """One socket for as long as it is open."""
        ticket = dict(parse_qsl(urlsplit(connection.request.path if connection.request else "").query)).get("ticket", "")
        with self._lock:
            if ticket not in self._tickets:
                return
            self._tickets.remove(ticket)
        hello = {"type": "hello", "num_connections": len(self._sockets) + 1, "connection_info": {"app_id": self.app}}
        connection.send(json.dumps({**hello, "debug_info": {"host": "fake", "approximate_connection_time": 3600}}))
        with self._lock:
            self._sockets.append(connection)
        try:
            for said in connection:
                answer = json.loads(said)
                ready, answers = self._acks.pop(answer.get("envelope_id", ""), (threading.Event(), list[Any]()))
                answers.append(answer.get("payload"))
                ready.set()
        except ConnectionClosed:
            pass
        finally:
            with self._lock:
                self._sockets.remove(connection)

    # --- the Web API: how a call goes ------------------------------------------------------------------------------------

    def _handle(self, web: _Request, method: str, token: str, arguments: Json) -> None:
        trouble = self._trouble_of(method, arguments)
        how = trouble.how if trouble else ""
        if trouble and how in ("refuse", "429", "error"):
            self._note(method, arguments, token, trouble.word if how == "error" else how)
            if how == "429":
                self._closed_s[self._lane(method, arguments)] = time.monotonic() + trouble.for_s
            answers: dict[str, tuple[int, Json, dict[str, str]]] = {
                "refuse": (500, {"ok": False, "error": "internal_error"}, {}),
                "429": (429, {"ok": False, "error": "ratelimited"}, {"Retry-After": f"{trouble.for_s:g}"}),
                "error": (200, {"ok": False, "error": trouble.word}, {}),
            }
            web.answer(*answers[how])
            return
        status, answer, headers = self._done(method, token, arguments)
        self._note(method, arguments, token, how or str(answer.get("error", "ok")))
        match how:
            case "reset" | "close" as cut:
                web.cut(reset=cut == "reset")
            case "hang":
                self._ended.wait(trouble.for_s if trouble else 0)
                web.cut(reset=False)
            case "500":
                web.answer(500, {"ok": False, "error": "internal_error"}, {})
            case _:
                if how == "slow" and trouble:
                    self._ended.wait(trouble.for_s)
                web.answer(status, answer, headers)

    def _done(self, method: str, token: str, arguments: Json) -> tuple[int, Json, dict[str, str]]:
        """What Slack does with a call and says to it."""
        work = getattr(self, "_api_" + method.replace(".", "_").lower(), None)
        try:
            self._allow(method, token, known=work is not None)
            with self._lock:
                wait_s = self._early(method, arguments)
                if wait_s:
                    return 429, {"ok": False, "error": "ratelimited"}, {"Retry-After": str(max(1, -int(-wait_s // 1)))}
                answer = work(arguments) if work else {}
        except ApiError as error:
            return 200, {"ok": False, "error": error.word, **error.more}, {}
        except AssertionError as bad:
            self.refused.append(f"{method}: {bad}")
            return 200, {"ok": False, "error": "invalid_blocks", "response_metadata": {"messages": [str(bad)]}}, {}
        return 200, {"ok": True, **answer}, {"x-oauth-scopes": ",".join(self.scopes)}

    def _allow(self, method: str, token: str, *, known: bool) -> None:
        if not known:
            raise ApiError("unknown_method")
        if method == "oauth.v2.access":
            return
        if not token:
            raise ApiError("not_authed")
        wanted = self.app_token if method == "apps.connections.open" else self.bot_token
        if token != wanted:
            raise ApiError("not_allowed_token_type" if token in (self.app_token, self.bot_token) else "invalid_auth")
        needed = _NEEDS.get(method, "")
        if needed and needed not in self.scopes:
            raise ApiError("missing_scope", needed=needed, provided=",".join(self.scopes))

    def _early(self, method: str, arguments: Json) -> float:
        """Seconds this call comes too early; 0 where it may be done now."""
        lane, now_s = self._lane(method, arguments), time.monotonic()
        if now_s < self._closed_s.get(lane, 0.0):
            self.too_early.append(f"{method} {lane}, {self._closed_s[lane] - now_s:.2f} s before it might")
            return self._closed_s[lane] - now_s
        if not self.limits or method not in ("chat.postMessage", "chat.postEphemeral"):
            return 0.0
        wait_s = self._free_s.get(lane, 0.0) - now_s
        if wait_s > 0.05 * self.pace_s:  # a client that keeps to the pace may come a breath early
            self._closed_s[lane] = now_s + max(1.0, -(-wait_s // 1))
            return self._closed_s[lane] - now_s
        self._free_s[lane] = now_s + self.pace_s
        return 0.0

    def _lane(self, method: str, arguments: Mapping[str, Any]) -> str:
        return str(arguments.get("channel", "")) if method.startswith("chat.post") else method

    def _note(self, method: str, arguments: Json, token: str, outcome: str) -> None:
        with self._lock:
            self.calls.append(Call(method, arguments, token, outcome, time.monotonic()))

    def _trouble_of(self, method: str, arguments: Json) -> Trouble | None:
        with self._lock:
            for trouble in self._troubles.get(method, []):
                if (trouble.times is None or trouble.met < trouble.times) and trouble.only(arguments):
                    trouble.met += 1
                    return trouble
        return None

    # --- the Web API: conversations and people ---------------------------------------------------------------------------

    def _api_auth_test(self, a: Json) -> Json:
        return {
            "url": "http://127.0.0.1/", "team": "Fake", "user": "holdfast", "team_id": self.team, "user_id": self.bot,
            "bot_id": self.bot_id, "is_enterprise_install": False,
        }  # fmt: skip

    def _api_api_test(self, a: Json) -> Json:
        return {}

    def _api_team_info(self, a: Json) -> Json:
        return {"team": {"id": self.team, "name": "Fake", "domain": "fake"}}

    def _api_bots_info(self, a: Json) -> Json:
        return {"bot": {"id": self.bot_id, "app_id": self.app, "user_id": self.bot, "name": "Holdfast", "deleted": False}}

    def _api_apps_connections_open(self, a: Json) -> Json:
        if self._socket_server is None:
            raise ApiError("forbidden")
        ticket = secrets.token_hex(8)
        self._tickets.add(ticket)
        return {"url": f"ws://127.0.0.1:{self._socket_server.socket.getsockname()[1]}/link/?ticket={ticket}"}

    def _api_oauth_v2_access(self, a: Json) -> Json:
        if (a.get("client_id"), a.get("client_secret")) != (self.client_id, self.client_secret):
            raise ApiError("bad_client_secret")
        user = self._codes.pop(str(a.get("code", "")), "")
        if not user:
            raise ApiError("invalid_code")
        return {
            "access_token": self.bot_token, "token_type": "bot", "scope": ",".join(self.scopes), "bot_user_id": self.bot,
            "app_id": self.app, "team": {"id": self.team, "name": "Fake"}, "enterprise": None, "authed_user": {"id": user},
            "is_enterprise_install": False,
        }  # fmt: skip

    def _api_conversations_open(self, a: Json) -> Json:
        if a.get("channel"):
            return {"channel": self._channel(a).as_json(self.bot)}
        users = str(a.get("users", "")).split(",")
        if users == [""]:
            raise ApiError("users_list_not_supplied")
        user = self._user({"user": users[0]})
        if user.deleted:
            raise ApiError("user_disabled")
        if user.is_bot:
            raise ApiError("cannot_dm_bot")
        return {"channel": {"id": self.dm(user.id), "user": user.id, "is_im": True}}

    def _api_conversations_list(self, a: Json) -> Json:
        kinds = {"public_channel": "channel", "private_channel": "group", "im": "im"}
        wanted = {kinds.get(each.strip()) for each in str(a.get("types") or "public_channel").split(",")}
        found = [c for c in self.channels.values() if c.kind in wanted and not (_is(a, "exclude_archived") and c.archived)]
        return _page(a, "channels", [c.as_json(self.bot) for c in found if c.kind == "channel" or self.bot in c.members])

    def _api_conversations_info(self, a: Json) -> Json:
        return {"channel": self._channel(a).as_json(self.bot)}

    def _api_conversations_members(self, a: Json) -> Json:
        return _page(a, "members", sorted(self._channel(a).members))

    def _api_conversations_history(self, a: Json) -> Json:
        found = [m for m in self._readable(a).messages if m.get("thread_ts", m["ts"]) == m["ts"]]
        return self._excerpt(a, list(reversed(found)))

    def _api_conversations_replies(self, a: Json) -> Json:
        root = str(a.get("ts", ""))
        found = [m for m in self._readable(a).messages if m["ts"] == root or m.get("thread_ts") == root]
        if not found:
            raise ApiError("thread_not_found")
        return self._excerpt(a, found)

    def _excerpt(self, a: Json, found: list[Json]) -> Json:
        oldest, latest = _moment(a, "oldest", 0.0), _moment(a, "latest", float("inf"))
        inclusive = _is(a, "inclusive")
        found = [m for m in found if (oldest <= float(m["ts"]) <= latest if inclusive else oldest < float(m["ts"]) < latest)]
        hidden = set() if _is(a, "include_all_metadata") else {"metadata"}
        answer = _page(a, "messages", [{key: m[key] for key in m.keys() - hidden} for m in found], 28)
        return {**answer, "has_more": bool(answer["response_metadata"]["next_cursor"])}

    def _api_files_info(self, a: Json) -> Json:
        file = self.files.get(str(a.get("file", "")))
        if file is None:
            raise ApiError("file_not_found")
        return {"file": file.as_json()}

    def serve_file(self, web: _Request, path: str, token: str) -> None:
        """A file's bytes, to who shows the bot's token; others are sent to the page where people sign in."""
        file = next((each for each in self.files.values() if urlsplit(each.url).path == path), None)
        if file is None:
            web.answer_bytes(404, b"", {})
        elif token != self.bot_token or "files:read" not in self.scopes or file.leads_to:
            web.answer_bytes(302, b"", {"Location": file.leads_to or "https://fake.slack.com/?redir=%2Ffiles-pri"})
        else:
            file.fetched += 1
            web.answer_bytes(file.status, file.data if file.status == 200 else b"", {})

    def _api_users_info(self, a: Json) -> Json:
        return {"user": self._user(a).as_json(self.team, with_email="users:read.email" in self.scopes)}

    def _api_users_list(self, a: Json) -> Json:
        return _page(
            a, "members", [u.as_json(self.team, with_email="users:read.email" in self.scopes) for u in self.users.values()]
        )

    def _api_users_lookupbyemail(self, a: Json) -> Json:
        for user in self.users.values():
            if user.email and user.email.lower() == str(a.get("email", "")).lower() and not user.deleted:
                return {"user": user.as_json(self.team)}
        raise ApiError("users_not_found")

    # --- the Web API: messages -------------------------------------------------------------------------------------------

    def _api_chat_postmessage(self, a: Json) -> Json:
        channel = self._to(a)
        message = {**self._ours(a), "ts": self._ts()}
        if a.get("thread_ts"):
            self._find(channel.id, str(a["thread_ts"]))
            message["thread_ts"] = str(a["thread_ts"])
        channel.messages.append(message)
        return {"channel": channel.id, "ts": message["ts"], "message": _without_metadata(message)}

    def _api_chat_update(self, a: Json) -> Json:
        channel = self._channel(a)
        message = self._find(channel.id, str(a.get("ts", "")))
        if message.get("bot_id") != self.bot_id:
            raise ApiError("cant_update_message")
        fresh = self._ours(a, before=message)
        message |= {**fresh, "edited": {"user": self.bot, "ts": self._ts()}}
        return {"channel": channel.id, "ts": message["ts"], "text": message["text"], "message": _without_metadata(message)}

    def _api_chat_delete(self, a: Json) -> Json:
        message = self._find(self._channel(a).id, str(a.get("ts", "")))
        if message.get("bot_id") != self.bot_id:
            raise ApiError("cant_delete_message")
        self._channel(a).messages.remove(message)
        return {"channel": a["channel"], "ts": message["ts"]}

    def _api_chat_postephemeral(self, a: Json) -> Json:
        channel, user = self._to(a), self._user(a)
        if user.id not in channel.members:
            raise ApiError("user_not_in_channel")
        message = {**self._ours(a), "ts": self._ts(), "channel": channel.id, "is_ephemeral": True}
        message |= {"thread_ts": str(a["thread_ts"])} if a.get("thread_ts") else {}
        self.ephemerals.setdefault(user.id, []).append(message)
        return {"message_ts": message["ts"]}

    def _api_chat_getpermalink(self, a: Json) -> Json:
        channel, ts = self._channel(a).id, str(a.get("message_ts", ""))
        self._find(channel, ts)
        return {"channel": channel, "permalink": f"https://fake.slack.com/archives/{channel}/p{ts.replace('.', '')}"}

    def _api_chat_startstream(self, a: Json) -> Json:
        channel = self._channel(a)
        self._find(channel.id, str(a.get("thread_ts", "")))
        text, ts = str(a.get("markdown_text") or ""), self._ts()
        message: Json = {"type": "message", "user": self.bot, "bot_id": self.bot_id, "app_id": self.app, "text": text, "ts": ts}
        channel.messages.append({**message, "thread_ts": a["thread_ts"], "streaming": True})
        return {"channel": channel.id, "ts": ts}

    def _api_chat_appendstream(self, a: Json) -> Json:
        message = self._streaming(a)
        message["text"] += str(a.get("markdown_text") or "")
        return {"channel": a["channel"], "ts": message["ts"]}

    def _api_chat_stopstream(self, a: Json) -> Json:
        message = self._streaming(a)
        message["text"] += str(a.get("markdown_text") or "")
        del message["streaming"]
        if a.get("blocks"):
            message["blocks"] = self._drawn(a["blocks"])
        return {"channel": a["channel"], "ts": message["ts"], "message": _without_metadata(message)}

    def _streaming(self, a: Json) -> Json:
        message = self._find(self._channel(a).id, str(a.get("ts", "")))
        if not message.get("streaming"):
            raise ApiError("message_not_in_streaming_state")
        return message

    def _api_reactions_add(self, a: Json) -> Json:
        self._find(self._channel(a).id, str(a.get("timestamp", ""))).setdefault("reactions", []).append(a.get("name"))
        return {}

    def _ours(self, a: Json, before: Json | None = None) -> Json:
        """A message of the bot's from the arguments; what an edit does not name stays as it was."""
        text, blocks = str(a.get("text") or ""), a.get("blocks")
        if not text and not blocks and not a.get("attachments"):
            raise ApiError("no_text")
        if len(text) > 40_000:
            raise ApiError("msg_too_long")
        self._gate(check_message, a)
        made: Json = {
            "type": "message",
            "user": self.bot,
            "bot_id": self.bot_id,
            "app_id": self.app,
            "team": self.team,
            "text": text,
        }
        made["blocks"] = self._drawn(blocks) if blocks is not None else (before or {}).get("blocks", [])
        if a.get("metadata") is not None:
            if not isinstance(a["metadata"], dict) or not {"event_type", "event_payload"} <= a["metadata"].keys():
                raise ApiError("invalid_metadata_format")
            made["metadata"] = a["metadata"]
        return made

    def _drawn(self, blocks: Any) -> list[Json]:
        """Blocks as Slack keeps them: each with an id."""
        if not isinstance(blocks, list):
            raise ApiError("invalid_blocks_format")
        return [{**block, "block_id": block.get("block_id") or secrets.token_hex(3)} for block in copy.deepcopy(blocks)]

    # --- the Web API: forms, pages, the pane -----------------------------------------------------------------------------

    def _api_views_open(self, a: Json) -> Json:
        trigger = self._triggers.get(str(a.get("trigger_id", "")))
        if trigger is None:
            raise ApiError("invalid_trigger_id")
        if time.monotonic() - trigger.made_s > TRIGGER_S:
            raise ApiError("expired_trigger_id")
        if trigger.used:
            raise ApiError("exchanged_trigger_id")
        trigger.used = True
        self._gate(check_view, a.get("view"))
        view = self._view(a["view"])
        self.views[trigger.user] = [view]
        return {"view": view}

    def _api_views_update(self, a: Json) -> Json:
        for stack in self.views.values():
            for n, old in enumerate(stack):
                if old["id"] == a.get("view_id"):
                    if a.get("hash") and a["hash"] != old["hash"]:
                        raise ApiError("hash_conflict")
                    self._gate(check_view, a.get("view"))
                    stack[n] = {**self._view(a["view"]), "id": old["id"]}
                    return {"view": stack[n]}
        raise ApiError("not_found")

    def _api_views_publish(self, a: Json) -> Json:
        user = self._user({"user": a.get("user_id")})
        view = a.get("view")
        if not isinstance(view, dict) or view.get("type") != "home":
            raise ApiError("invalid_arguments")
        self._gate(check_view, view)
        self.homes[user.id] = self._view(view)
        return {"view": self.homes[user.id]}

    def _view(self, view: Json) -> Json:
        known = {
            "team_id": self.team,
            "app_id": self.app,
            "bot_id": self.bot_id,
            "hash": secrets.token_hex(6),
            "state": {"values": {}},
        }
        blocks = self._drawn(view.get("blocks"))
        return {"private_metadata": "", "callback_id": "", **view, **known, "id": self._new("V"), "blocks": blocks}

    def _api_assistant_threads_setstatus(self, a: Json) -> Json:
        where = self._pane(a)
        self.statuses.append((*where, str(a.get("status", ""))))
        return {}

    def _api_assistant_threads_setsuggestedprompts(self, a: Json) -> Json:
        where, prompts = self._pane(a), a.get("prompts")
        if not isinstance(prompts, list) or not 1 <= len(prompts) <= 4:
            raise ApiError("invalid_arguments")
        if not all(isinstance(each, dict) and each.get("title") and each.get("message") for each in prompts):
            raise ApiError("invalid_arguments")
        self.prompts[where] = {"title": a.get("title", ""), "prompts": prompts}
        return {}

    def _api_assistant_threads_settitle(self, a: Json) -> Json:
        if not a.get("title"):
            raise ApiError("invalid_arguments")
        self.titles[self._pane(a)] = str(a["title"])
        return {}

    def _pane(self, a: Json) -> tuple[str, str]:
        channel = self._channel({"channel": a.get("channel_id")}).id
        if not a.get("thread_ts"):
            raise ApiError("invalid_thread_ts")
        return channel, str(a["thread_ts"])

    # --- response_url ----------------------------------------------------------------------------------------------------

    def _handle_hook(self, web: _Request, name: str, arguments: Json) -> None:
        trouble = self._trouble_of("response_url", arguments)
        if trouble and trouble.how in ("refuse", "429", "error"):
            web.answer(429 if trouble.how == "429" else 500, {"ok": False}, {"Retry-After": f"{trouble.for_s:g}"})
            self._note("response_url", arguments, "", trouble.how)
            return
        with self._lock:
            hook = self._hooks.get(name)
            word = "expired_url" if hook is None else "used_url" if hook["uses"] >= RESPONSE_USES else ""
            if hook is not None and not word:
                hook["uses"] += 1
                try:
                    self._answer(arguments, hook)
                except (ApiError, AssertionError) as bad:
                    word = "invalid_blocks"
                    self.refused.append(f"response_url: {bad}")
            self._note("response_url", arguments, "", trouble.how if trouble else word or "ok")
        if trouble and trouble.how in ("reset", "close", "hang", "500"):
            self._ended.wait(trouble.for_s if trouble.how == "hang" else 0)
            web.cut(reset=trouble.how == "reset")
        else:
            web.answer(404 if word else 200, {"ok": False, "error": word} if word else {"ok": True}, {})

    def _answer(self, a: Json, hook: Mapping[str, Any]) -> None:
        """An answer to a command, or through a response_url."""
        with self._lock:
            ts, channel, user = hook.get("ts", ""), str(hook["channel"]), str(hook["user"])
            own = self.ephemerals.setdefault(user, [])
            place = own if hook.get("hidden") else self.channels[channel].messages
            old = next((each for each in place if each["ts"] == ts), None)
            if _is(a, "delete_original"):
                if old:
                    place.remove(old)
            elif old and _is(a, "replace_original"):
                old |= self._ours(a)
            elif a.get("response_type") == "in_channel":
                self.channels[channel].messages.append({**self._ours(a), "ts": self._ts()})
            else:
                own.append({**self._ours(a), "ts": self._ts(), "channel": channel, "is_ephemeral": True})

    # --- small parts -----------------------------------------------------------------------------------------------------

    def _gate(self, check: Callable[[Any], object], payload: Any) -> None:
        """raises ApiError; what the gate says is kept in `refused`"""
        try:
            check(payload)
        except AssertionError as bad:
            self.refused.append(f"{check.__name__}: {bad}\n{json.dumps(payload)[:2000]}")
            raise ApiError("invalid_blocks", response_metadata={"messages": [str(bad)]}) from None

    def _changed(self, channel: str, subtype: str, **more: Any) -> None:
        ts, kind = self._ts(), self.channels[channel].kind
        event = {"type": "message", "subtype": subtype, "hidden": True, "channel": channel, "channel_type": kind, "ts": ts}
        self.event({**event, "event_ts": ts, **more})

    def _acted(self, kind: str, user: str) -> Json:
        who = {"id": user, "username": self.users[user].name, "name": self.users[user].name, "team_id": self.team}
        team = {"id": self.team, "domain": "fake"}
        return {
            "type": kind, "team": team, "user": who, "api_app_id": self.app, "token": "gone", "trigger_id": self._trigger(user),
            "enterprise": None, "is_enterprise_install": False,
        }  # fmt: skip

    def _named(self, channel: str) -> Json:
        found = self.channels[channel]
        return {"id": channel, "name": "directmessage" if found.kind == "im" else found.name}

    def _trigger(self, user: str) -> str:
        name = f"{next(self._numbers)}.{secrets.token_hex(8)}"
        self._triggers[name] = _Trigger(user, time.monotonic())
        return name

    def _hook(self, user: str, channel: str, ts: str = "", *, hidden: bool = False) -> str:
        name = secrets.token_hex(8)
        self._hooks[name] = {"user": user, "channel": channel, "ts": ts, "hidden": hidden, "uses": 0}
        return self.url.replace("/api/", f"/actions/{name}")

    def _new(self, letter: str) -> str:
        return f"{letter}0{next(self._numbers):08d}"

    def _ts(self) -> str:
        """A message's timestamp: later than every one before."""
        with self._lock:
            self._last_ts = max(int(self.now() * 1_000_000), self._last_ts + 1)
            return f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06d}"

    def _find(self, channel: str, ts: str) -> Json:
        for message in self.channels[channel].messages:
            if message["ts"] == ts:
                return message
        raise ApiError("message_not_found")

    def _user(self, a: Json) -> User:
        if a.get("user") not in self.users:
            raise ApiError("user_not_found")
        return self.users[str(a["user"])]

    def _channel(self, a: Json) -> Channel:
        if a.get("channel") not in self.channels:
            raise ApiError("channel_not_found")
        return self.channels[str(a["channel"])]

    def _readable(self, a: Json) -> Channel:
        channel = self._channel(a)
        if self.bot not in channel.members:
            raise ApiError("not_in_channel" if channel.kind == "channel" else "channel_not_found")
        return channel

    def _to(self, a: Json) -> Channel:
        """Where a message goes: a channel that the bot is in, or a person."""
        target = str(a.get("channel", ""))
        channel = self.channels[self.dm(target)] if target in self.users else self._readable(a)
        if channel.archived:
            raise ApiError("is_archived")
        if any(self.users[member].deleted for member in channel.members if channel.kind == "im"):
            raise ApiError("channel_not_found")
        return channel


# --- the server ----------------------------------------------------------------------------------------------------------


class _Request(BaseHTTPRequestHandler):
    """One request to the Web API or a response_url."""

    server: _Web

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the calls are kept."""

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, _, query = self.path.partition("?")
        arguments: Json = dict(parse_qsl(query, keep_blank_values=True))
        if (self.headers.get("Content-Type") or "").startswith("application/json"):
            arguments |= json.loads(body or b"{}")
        else:
            arguments |= dict(parse_qsl(body.decode(), keep_blank_values=True))
        for name in ("blocks", "attachments", "view", "metadata", "prompts"):
            if isinstance(arguments.get(name), str):
                with suppress(ValueError):
                    arguments[name] = json.loads(arguments[name])
        kind, _, secret = (self.headers.get("Authorization") or "").partition(" ")
        if kind == "Basic":
            client, _, password = base64.b64decode(secret).decode().partition(":")
            arguments |= {"client_id": client, "client_secret": password}
        token = secret if kind == "Bearer" else str(arguments.pop("token", "") or "")
        if path.startswith("/files-pri/"):
            self.server.slack.serve_file(self, path, token)
        elif path.startswith("/actions/"):
            self.server.slack._handle_hook(self, path.removeprefix("/actions/"), arguments)
        else:
            self.server.slack._handle(self, path.removeprefix("/api/"), token, arguments)

    def answer(self, status: int, body: Json, headers: Mapping[str, str]) -> None:
        self.answer_bytes(status, json.dumps(body).encode(), {"Content-Type": "application/json; charset=utf-8", **headers})

    def answer_bytes(self, status: int, data: bytes, headers: Mapping[str, str]) -> None:
        with suppress(OSError):  # nobody may be waiting any more
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    def cut(self, *, reset: bool) -> None:
        """End the connection without an answer."""
        self.close_connection = True
        with suppress(OSError):
            if reset:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                self.connection.shutdown(socket.SHUT_RDWR)
            self.connection.close()


class _Web(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], slack: Slack) -> None:
        super().__init__(address, _Request)
        self.slack = slack

    def shutdown_request(self, request: Any) -> None:
        """A connection that was reset must not be closed politely as well."""
        with suppress(OSError):
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """What goes wrong in here is the test's business."""
        import traceback

        self.slack.refused.append(traceback.format_exc())


# --- reading -------------------------------------------------------------------------------------------------------------


def elements_of(block: Mapping[str, Any]) -> list[Json]:
    """What can be pressed in a block."""
    return [*block.get("elements", []), *([block["accessory"]] if "accessory" in block else [])]


@contextmanager
def workspace(**how: Any) -> Iterator[Slack]:
    """A Slack for the length of a block; its end asserts that Slack would have refused nothing."""
    slack = Slack(**how)
    try:
        yield slack
    finally:
        slack.close()


def form_state(blocks: Sequence[Json], values: Mapping[str, Mapping[str, Json]]) -> Json:
    """What a form's state holds when it is sent: every input, also those left empty."""
    state: Json = {}
    empty = {"plain_text_input": "value", "datepicker": "selected_date", "timepicker": "selected_time"}
    for block in blocks:
        if block["type"] == "input":
            element = block["element"]
            blank = {"type": element["type"], empty.get(element["type"], "selected_option"): None}
            state[block["block_id"]] = {element["action_id"]: {**blank, **_pre(element)}}
    for block_id, actions in values.items():
        assert block_id in state, f"the form has no input {block_id!r}"
        for action, value in actions.items():
            assert action in state[block_id], f"{block_id!r} has no element {action!r}"
            state[block_id][action] |= value
    return state


def _pre(element: Json) -> Json:
    """What stands in an element before anybody touches it."""
    if "initial_option" in element:
        return {"selected_option": element["initial_option"]}
    return {"value": element["initial_value"]} if "initial_value" in element else {}


def _kind(envelope: Envelope) -> str:
    return str(envelope.payload.get("event", envelope.payload).get("type", envelope.payload.get("command", "")))


def _without_metadata(message: Json) -> Json:
    return {key: value for key, value in copy.deepcopy(message).items() if key != "metadata"}


def _is(a: Mapping[str, Any], name: str) -> bool:
    return str(a.get(name, "")).lower() in ("1", "true")


def _moment(a: Json, name: str, default: float) -> float:
    try:
        return float(a[name]) if a.get(name) not in (None, "") else default
    except ValueError:
        raise ApiError(f"invalid_ts_{name}") from None


def _page(a: Json, name: str, rows: Sequence[Any], default: int = 100) -> Json:
    """A page of rows and the cursor of the next."""
    limit, start = int(a.get("limit") or default), int(str(a.get("cursor") or "at:0").removeprefix("at:"))
    end = start + limit
    return {name: list(rows[start:end]), "response_metadata": {"next_cursor": f"at:{end}" if end < len(rows) else ""}}
