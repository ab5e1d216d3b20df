"""A loopback Teams: it signs what it delivers, keeps what the bot sends, and goes wrong when it is told to.

One HTTP server in a thread is the identity provider (OpenID configuration, keys, the bot's own token) and the connector
service. People act through `install`, `say`, `mention`, `press` and so on: each is one really signed POST to the bot. Every
message and card that the bot sends goes through the gate `tests.gates.teams`; `close` asserts that none was faulty.

    FakeTeams     one tenant with one bot
    Posted        one message as the service keeps it
    Pressable     one button as a client offers it
    NotSent       the client itself refused, as Teams does for an empty required input; the text is what it shows
"""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.applications import Starlette
from starlette.routing import BaseRoute
from starlette.testclient import TestClient

from tests.gates import teams as gate

Json = dict[str, Any]
Went = Literal["reset", "close", "hang", "500", "garbled", "refused", "429", "404", "403", "slow"]
"""How a request goes wrong. The message is kept for reset, close, hang, 500, garbled and slow; for the others it is not."""

APP = "00000000-aaaa-4aaa-8aaa-0000000000b0"
TENANT = "00000000-cccc-4ccc-8ccc-0000000000d0"
SECRET = "the-bot's-own-secret"
ISSUER = "https://api.botframework.com"
BOT = f"28:{APP}"
CARD = "application/vnd.microsoft.card.adaptive"
FILE = "application/vnd.microsoft.teams.file.download.info"
KEPT: frozenset[Went] = frozenset({"reset", "close", "hang", "500", "garbled", "slow"})


class NotSent(Exception):
    """The client did not send it: a required input is empty. Its text is the input's own error message."""


@dataclass
class Member:
    """One account of the tenant. `chat` is its personal chat with the bot."""

    id: str
    name: str
    email: str
    aad: str
    chat: str
    guest: bool = False
    installed: bool = False
    blocked: bool = False


@dataclass
class Channel:
    """A channel of a team in which the bot is installed."""

    id: str
    team: str
    members: list[str]


@dataclass
class Posted:
    """A message of the bot. `activity` is how it stands now; `only_for` names the one account that may see it."""

    id: str
    conversation: str
    activity: Json
    at: float
    only_for: str = ""
    edits: int = 0
    deleted: bool = False

    @property
    def card(self) -> Json:
        """Its first Adaptive Card; empty where it has none."""
        return next((a["content"] for a in self.activity.get("attachments") or [] if a.get("contentType") == CARD), {})


@dataclass(frozen=True)
class Answer:
    """What the bot said to one request. `activity` is what was sent to it, `seconds` how long it took."""

    status: int
    body: Json
    seconds: float
    activity: Json


@dataclass(frozen=True)
class Pressable:
    """A button that can be pressed now or after opening a form. `label` is the one on the card; `inputs` are what it sends."""

    label: str
    title: str
    action: Json
    inputs: tuple[Json, ...] = ()
    in_form: bool = False


@dataclass
class Trouble:
    """Something that goes wrong `times` times with requests of this method to this conversation (empty: any)."""

    went: Went
    times: int = 1
    conversation: str = ""
    method: str = "POST"
    retry_after_s: float = 1.0
    slow_s: float = 0.5


@dataclass
class _Heard:
    """A request as the server read it."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Json:
        found = json.loads(self.body or b"{}")
        assert isinstance(found, dict)
        return found


@cache
def _keys() -> tuple[rsa.RSAPrivateKey, rsa.RSAPrivateKey]:
    """The provider's key, and one that nobody published. Made once: it takes a tenth of a second."""
    return rsa.generate_private_key(65537, 2048), rsa.generate_private_key(65537, 2048)


class FakeTeams:
    """One tenant of Teams with one bot. `connect` it to the bot's routes or address; `close` it in the end."""

    def __init__(self) -> None:
        self.members: dict[str, Member] = {}
        self.channels: dict[str, Channel] = {}
        self.posted: list[Posted] = []
        self.troubles: list[Trouble] = []
        self.violations: list[str] = []
        """Requests that came to a conversation before the time that a 429 had named."""
        self.faults: list[str] = []
        """What the gate found in what the bot sent."""
        self.requests: list[tuple[str, str]] = []
        """Method and path of everything that the connector service was asked, in order."""
        self.typing: list[str] = []
        self.files: dict[str, bytes] = {}
        """What can be fetched, by the key in its link. A key that is taken away opens nothing any more."""
        self.fetched = 0
        self.latencies: list[float] = []
        self.tokens_given = 0
        self._views: dict[tuple[str, str], Json] = {}
        self._closed_until: dict[str, float] = {}
        self._lock = threading.RLock()
        self._going = threading.Event()
        self._connections: set[socket.socket] = set()
        self._number = int(time.time() * 1000)
        self._send: Callable[[bytes, Mapping[str, str]], tuple[int, bytes]] | None = None
        self.at_close: list[Callable[[], None]] = []
        """Called by `close`, the last first."""
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True, name="fake Teams").start()

    # --- where it is ---------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def service_url(self) -> str:
        """The address of the connector service, as it stands in every activity."""
        return f"{self.url}/emea/"

    @property
    def openid_metadata_url(self) -> str:
        return f"{self.url}/v1/.well-known/openidconfiguration"

    @property
    def settings(self) -> dict[str, Any]:
        """The fields of Settings that make a bot this one."""
        return {
            "teams_client_id": APP,
            "teams_client_secret": SECRET,
            "teams_tenants": (TENANT,),
            "teams_service_hosts": ("127.0.0.1",),
        }

    def connect(self, routes: Sequence[BaseRoute], path: str = "/api/messages") -> None:
        """Deliver to these routes, in this process."""
        client = TestClient(Starlette(routes=list(routes)), base_url="http://127.0.0.1", raise_server_exceptions=False)
        client.__enter__()
        self.at_close.append(lambda: client.__exit__(None, None, None))

        def send(body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
            answer = client.post(path, content=body, headers=dict(headers))
            return answer.status_code, answer.content

        self._send = send

    def connect_url(self, url: str) -> None:
        """Deliver to a bot that listens here."""
        client = httpx.Client(timeout=30)
        self.at_close.append(client.close)

        def send(body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
            answer = client.post(url, content=body, headers=dict(headers))
            return answer.status_code, answer.content

        self._send = send

    def close(self) -> None:
        """Stop. raises AssertionError   the gate found a fault in something that the bot sent"""
        self._going.set()
        for close in reversed(self.at_close):
            close()
        self._server.shutdown()
        with self._lock:
            open_now = list(self._connections)
        for connection in open_now:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._server.server_close()
        assert not self.faults, "\n".join(self.faults)

    # --- who there is --------------------------------------------------------------------------------------------------

    def add(self, who: str, name: str = "", *, email: str = "", guest: bool = False) -> Member:
        """An account. `who` is a short name of ours; its id is `account(who)`."""
        member = Member(account(who), name or who, email or f"{who}@practice.example", aad(who), f"a:chat-{who}", guest=guest)
        self.members[member.id] = member
        return member

    def add_channel(self, name: str, members: Sequence[str]) -> Channel:
        """A channel that holds these people and the bot; the bot is told that it was added to its team."""
        channel = Channel(f"19:{name}@thread.tacv2", f"19:team-of-{name}@thread.tacv2", [account(m) for m in members])
        self.channels[channel.id] = channel
        event: Json = {
            "type": "conversationUpdate",
            "membersAdded": [{"id": BOT}],
            "channelData": {"eventType": "teamMemberAdded"},
        }
        self.deliver(self._activity(self.members[account(members[0])], channel, **event))
        return channel

    # --- what people do ------------------------------------------------------------------------------------------------

    def install(self, who: str) -> Answer:
        """A person adds the bot to their own Teams."""
        member = self.members[account(who)]
        member.installed, member.blocked = True, False
        added = [{"id": BOT}, {"id": member.id, "aadObjectId": member.aad}]
        self.deliver(self._activity(member, type="conversationUpdate", membersAdded=added))
        return self.deliver(self._activity(member, type="installationUpdate", action="add"))

    def uninstall(self, who: str) -> Answer:
        """A person removes the bot: from now on it may not write to them."""
        member = self.members[account(who)]
        member.installed = False
        return self.deliver(self._activity(member, type="installationUpdate", action="remove"))

    def say(self, who: str, text: str) -> Answer:
        """Type into the personal chat with the bot."""
        return self.deliver(self._activity(self.members[account(who)], **self._text(text)))

    def share(self, who: str, name: str, data: bytes, text: str = "", *, url: str = "") -> Answer:
        """Send a file in the personal chat: it lies in the sender's OneDrive, and the bot is given a link with a key in it.

        url   where the link leads instead
        """
        at = f"/personal/{who}/download.aspx"
        key = base64.urlsafe_b64encode(os.urandom(600)).decode()
        self.files[key] = data
        info = {"downloadUrl": url or f"{self.url}{at}?UniqueId={self._new_id()}&tempauth={key}", "uniqueId": key[:8]}
        content = {**info, "fileType": name.rsplit(".", 1)[-1]}
        file = {"contentType": FILE, "name": name, "contentUrl": f"{self.url}/personal/{who}/{name}", "content": content}
        said = self._text(text)
        said = {**said, "attachments": [*(said["attachments"] if text else []), file]}
        return self.deliver(self._activity(self.members[account(who)], **said))

    def mention(self, who: str, channel: Channel, text: str, *, thread: str = "") -> Answer:
        """Mention the bot in a channel, in a new thread or below the message with this id."""
        name = "<at>Holdfast</at>"
        at = {"type": "mention", "text": name, "mentioned": {"id": BOT, "name": "Holdfast"}}
        message = {**self._text(f"{name} {text}"), "entities": [at]}
        return self.deliver(self._activity(self.members[account(who)], channel, thread=thread, **message))

    def edit(self, who: str, said: Answer, text: str) -> Answer:
        """Edit what was typed before: the client sends it again under the same id, as an update."""
        channel_data = {**said.activity["channelData"], "eventType": "editMessage"}
        return self.deliver({**said.activity, "type": "messageUpdate", "text": text, "channelData": channel_data})

    def press(
        self,
        who: str,
        posted: Posted,
        button: Pressable,
        inputs: Mapping[str, str] | None = None,
        *,
        checked: bool = True,
        trigger: str = "manual",
    ) -> Answer:
        """Press a button that this person sees; the card that comes back takes its place before this person.

        checked          the client looks at required inputs before it sends, as Teams does
        raises NotSent   a required input is empty: the client does not send it
        """
        member = self.members[account(who)]
        data = filled(button, inputs or {}, checked=checked)
        value: Json = {"action": {**button.action, "data": data}, "trigger": trigger}
        if not value["action"]["data"]:
            del value["action"]["data"]  # as the clients do
        shown_in = self.channels.get(posted.conversation.partition(";")[0])
        invoke = {"type": "invoke", "name": "adaptiveCard/action", "value": value, "replyToId": posted.id}
        answer = self.deliver(self._activity(member, shown_in, thread=_thread(posted.conversation), **invoke))
        self._apply(member, posted, answer)
        return answer

    def replay(self, answer: Answer) -> Answer:
        """Teams did not see our answer: the same invoke again, under a new activity id and at a new time."""
        return self.deliver({**answer.activity, "id": self._new_id(), "timestamp": _stamp()})

    def refresh(self, who: str, posted: Posted) -> Answer | None:
        """The client shows a card that wants to be refreshed for this person. None where it does not want that."""
        refresh = posted.card.get("refresh") or {}
        if account(who) not in refresh.get("userIds", []):
            return None
        return self.press(who, posted, Pressable("", "", refresh["action"]), trigger="automatic")

    def search(self, who: str, words: str, command: str = "sop") -> Answer:
        """Type into the search of the message extension."""
        value = {
            "commandId": command,
            "parameters": [{"name": "query", "value": words}],
            "queryOptions": {"skip": 0, "count": 25},
        }
        return self._extension(who, "composeExtension/query", value)

    def about_message(self, who: str, text: str, command: str = "ask", *, name: str = "composeExtension/fetchTask") -> Answer:
        """Choose the bot's action on a message that somebody wrote."""
        message = {"id": self._new_id(), "messageType": "message", "body": {"contentType": "html", "content": text}}
        value = {"commandId": command, "commandContext": "message", "messagePayload": message}
        return self._extension(who, name, value)

    def _extension(self, who: str, name: str, value: Json) -> Answer:
        answer = self.deliver(self._activity(self.members[account(who)], type="invoke", name=name, value=value))
        for card in _cards_in(answer.body):
            self._check(f"the answer to {name}", gate.check_card, card)
        return answer

    # --- what people see -----------------------------------------------------------------------------------------------

    def chat_of(self, who: str) -> list[Posted]:
        """The bot's messages in a person's own chat, oldest first."""
        return self.messages(self.members[account(who)].chat)

    def messages(self, conversation: str, who: str = "") -> list[Posted]:
        """The bot's messages in a conversation and its threads; those for one person only where `who` is that person."""
        seen_by = ("", account(who)) if who else ("",)
        with self._lock:
            return [
                p
                for p in self.posted
                if p.conversation.partition(";")[0] == conversation.partition(";")[0]
                if not p.deleted and (p.only_for in seen_by or p.conversation == f"a:chat-{p.only_for.removeprefix('29:')}")
            ]

    def seen(self, who: str, posted: Posted) -> Json:
        """The card of a message as this person sees it."""
        with self._lock:
            return self._views.get((account(who), posted.id), posted.card)

    def _apply(self, member: Member, posted: Posted, answer: Answer) -> None:
        if answer.status != 200:
            return
        self._check(f"the answer to {answer.activity['value']['action'].get('verb')}", gate.check_answer, answer.body)
        if answer.body.get("type") == CARD:
            with self._lock:
                self._views[member.id, posted.id] = answer.body.get("value") or {}

    # --- delivering to the bot -----------------------------------------------------------------------------------------

    def token(self, *, forged: bool = False, **claims: Any) -> str:
        """What the bot framework signs for each request. A claim given as None is left out; `forged`: by a key nobody knows."""
        now = int(time.time())
        known = {"iss": ISSUER, "aud": APP, "nbf": now - 60, "exp": now + 3600, "serviceurl": self.service_url, **claims}
        key = _keys()[1 if forged else 0]
        return jwt.encode({k: v for k, v in known.items() if v is not None}, key, "RS256", headers={"kid": "one"})

    def deliver(self, activity: Json, *, token: str | None = None) -> Answer:
        """One POST to the bot, signed unless another `token` (or none: an empty one) is given."""
        bearer = self.token(serviceurl=activity.get("serviceUrl", self.service_url)) if token is None else token
        headers = {
            "content-type": "application/json; charset=utf-8",
            **({"authorization": f"Bearer {bearer}"} if bearer else {}),
        }
        return self.deliver_raw(json.dumps(activity).encode(), headers, activity)

    def deliver_raw(self, body: bytes, headers: Mapping[str, str], activity: Json | None = None) -> Answer:
        """One POST of these bytes to the bot."""
        assert self._send, "connect the fake Teams to a bot first"
        began = time.perf_counter()
        status, content = self._send(body, headers)
        seconds = time.perf_counter() - began
        self.latencies.append(seconds)
        try:
            said = json.loads(content) if content else {}
        except ValueError:
            said = {}
        return Answer(status, said if isinstance(said, dict) else {"value": said}, seconds, activity or {})

    def _activity(self, member: Member, channel: Channel | None = None, *, thread: str = "", **what: Any) -> Json:
        """An activity as the bot framework sends it."""
        number = self._new_id()
        data: Json = {"tenant": {"id": TENANT}}
        where: Json = {"conversationType": "personal", "tenantId": TENANT, "id": member.chat}
        if channel:
            data |= {"teamsChannelId": channel.id, "teamsTeamId": channel.team, "channel": {"id": channel.id}}
            data |= {"team": {"id": channel.team}}
            name = f"{channel.id};messageid={thread or number}"
            where = {"isGroup": True, "conversationType": "channel", "tenantId": TENANT, "id": name}
        client = {"type": "clientInfo", "locale": "en-US", "country": "US", "platform": "Web", "timezone": "America/New_York"}
        more = {**what, "channelData": {**data, **what.get("channelData", {})}, "entities": [*what.get("entities", []), client]}
        return {
            "id": number,
            "timestamp": _stamp(),
            "localTimestamp": _stamp(),
            "localTimezone": "America/New_York",
            "locale": "en-US",
            "channelId": "msteams",
            "serviceUrl": self.service_url,
            "from": {"id": member.id, "name": member.name, "aadObjectId": member.aad},
            "recipient": {"id": BOT, "name": "Holdfast"},
            "conversation": where,
            **more,
        }

    def _text(self, text: str) -> Json:
        html = {"contentType": "text/html", "content": f"<p>{text}</p>"}
        return {"type": "message", "text": text, "textFormat": "plain", "attachments": [html]}

    def _new_id(self) -> str:
        with self._lock:
            self._number += 1
            return str(self._number)

    def _check(self, what: str, check: Callable[[Any], None], sent: Any) -> None:
        try:
            check(sent)
        except AssertionError as fault:
            self.faults.append(f"{what}: {fault}")

    # --- the servers ---------------------------------------------------------------------------------------------------

    def trouble(self, went: Went, **more: Any) -> Trouble:
        """Let the next request go wrong; `times`, `conversation` and `method` say which and how many."""
        trouble = Trouble(went, **more)
        self.troubles.append(trouble)
        return trouble

    def handle(self, heard: _Heard) -> tuple[int, Json, Trouble | None, Mapping[str, str]]:
        """The answer to one request: status, body, how sending it goes wrong, and further headers."""
        if heard.path.startswith("/emea/v3/"):
            return self._connector(heard)
        if heard.path == "/v1/.well-known/openidconfiguration":
            supported = {"id_token_signing_alg_values_supported": ["RS256"]}
            return 200, {"issuer": ISSUER, "jwks_uri": f"{self.url}/v1/.well-known/keys", **supported}, None, {}
        if heard.path == "/v1/.well-known/keys":
            public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(_keys()[0].public_key()))
            return 200, {"keys": [{**public, "kid": "one", "use": "sig", "endorsements": ["msteams"]}]}, None, {}
        if heard.method == "POST" and heard.path.endswith("/oauth2/v2.0/token"):
            return self._token_for_bot(heard)
        return 404, {"error": {"code": "NotFound", "message": heard.path}}, None, {}

    def _token_for_bot(self, heard: _Heard) -> tuple[int, Json, Trouble | None, Mapping[str, str]]:
        form = {name: values[0] for name, values in parse_qs(heard.body.decode()).items()}
        basic = heard.headers.get("authorization", "")
        if basic.startswith("Basic "):
            name, _, secret = base64.b64decode(basic[6:]).decode().partition(":")
            form |= {"client_id": unquote(name), "client_secret": unquote(secret)}
        if (form.get("client_id"), form.get("client_secret")) != (APP, SECRET):
            wrong = "AADSTS7000215: Invalid client secret provided."
            return 401, {"error": "invalid_client", "error_description": wrong}, None, {}
        if form.get("grant_type") != "client_credentials" or form.get("scope") != f"{ISSUER}/.default":
            return 400, {"error": "invalid_scope", "error_description": "AADSTS70011: The scope is not valid."}, None, {}
        self.tokens_given += 1
        claims = {"aud": ISSUER, "appid": APP, "iat": int(time.time()), "exp": int(time.time()) + 3600}
        token = jwt.encode(claims, _keys()[0], "RS256", headers={"kid": "one"})
        return 200, {"token_type": "Bearer", "expires_in": 3599, "access_token": token}, None, {}

    def _connector(self, heard: _Heard) -> tuple[int, Json, Trouble | None, Mapping[str, str]]:
        with self._lock:
            self.requests.append((heard.method, heard.path))
            if not self._is_the_bot(heard.headers.get("authorization", "")):
                return 401, {"message": "Authorization has been denied for this request."}, None, {}
            parts = heard.path.removeprefix("/emea/v3/conversations").strip("/").split("/")
            conversation = parts[0] if parts else ""
            shut = self._closed_until.get(conversation, 0) - time.monotonic()
            if shut > 0:
                self.violations.append(f"{heard.method} {heard.path} came {shut:.2f} s too early")
            trouble = self._trouble_for(heard.method, conversation)
            if trouble and trouble.went not in KEPT:
                return self._refusal(trouble, conversation)
            status, body = self._do(heard, parts)
        if trouble and trouble.went == "500":
            return 500, {"error": {"code": "ServiceError", "message": "Unknown"}}, None, {}
        return status, body, trouble, {}

    def _is_the_bot(self, header: str) -> bool:
        try:
            jwt.decode(header.removeprefix("Bearer "), _keys()[0].public_key(), ["RS256"], audience=ISSUER)
        except jwt.InvalidTokenError:
            return False
        return True

    def _trouble_for(self, method: str, conversation: str) -> Trouble | None:
        for trouble in self.troubles:
            if trouble.times > 0 and trouble.method == method and trouble.conversation in ("", conversation):
                trouble.times -= 1
                return trouble
        return None

    def _refusal(self, trouble: Trouble, conversation: str) -> tuple[int, Json, Trouble | None, Mapping[str, str]]:
        match trouble.went:
            case "429":
                self._closed_until[conversation] = time.monotonic() + trouble.retry_after_s
                wait = {"retry-after": f"{trouble.retry_after_s:g}"}
                return 429, _error("TooManyRequests", "The request rate is too high."), None, wait
            case "403":
                return 403, _error("BotNotInConversationRoster", "The bot is not part of the conversation roster."), None, {}
            case "404":
                return 404, _error("ConversationNotFound", "Conversation not found."), None, {}
        return 400, _error("BadSyntax", "The request was refused."), None, {}

    def _do(self, heard: _Heard, parts: list[str]) -> tuple[int, Json]:
        """What the connector service does with a request that is the bot's."""
        match heard.method, parts:
            case "POST", [""]:
                return self._open_chat(heard.json())
            case "POST", [conversation, "activities", *_]:
                is_targeted = heard.query.get("isTargetedActivity") == ["true"]
                return self._post(conversation, heard.json(), is_targeted)
            case "PUT", [conversation, "activities", name]:
                return self._put(conversation, name, heard.json())
            case "DELETE", [conversation, "activities", name]:
                for posted in self.posted:
                    posted.deleted |= posted.id == name and posted.conversation == conversation
                return 200, {}
            case "GET", [conversation, "members" | "pagedMembers"]:
                found = [_member(m) for m in self._in(conversation)]
                return 200, {"members": found} if parts[-1] == "pagedMembers" else {"": found}
            case "GET", [conversation, "members", who]:
                for member in self._in(conversation):
                    if who in (member.id, member.aad):
                        return 200, _member(member)
                return 404, _error("MemberNotFoundInConversation", "The member is not part of the conversation.")
        return 405, _error("MethodNotAllowed", f"{heard.method} {heard.path}")

    def _open_chat(self, asked: Json) -> tuple[int, Json]:
        who = (asked.get("members") or [{}])[0].get("id")
        member = next((m for m in self.members.values() if who in (m.id, m.aad)), None)
        if member is None:
            return 400, _error("BadArgument", "Bad format of conversation ID")
        if not member.installed:
            return 403, _error("ForbiddenOperationException", "The bot is not installed in user's personal scope")
        return 201, {"id": member.chat}

    def _post(self, conversation: str, activity: Json, is_targeted: bool) -> tuple[int, Json]:
        refused = self._may_write(conversation)
        if refused:
            return refused
        if activity.get("type") == "typing":
            self.typing.append(conversation)
            return 202, {}
        self._check("a message", gate.check_activity, activity)
        only_for = str((activity.get("recipient") or {}).get("id", "")) if is_targeted else ""
        self.posted.append(Posted(self._new_id(), conversation, activity, time.monotonic(), only_for))
        return 201, {"id": self.posted[-1].id}

    def _put(self, conversation: str, name: str, activity: Json) -> tuple[int, Json]:
        refused = self._may_write(conversation)
        if refused:
            return refused
        self._check("a changed message", gate.check_activity, activity)
        for posted in self.posted:
            if posted.id == name and posted.conversation.partition(";")[0] == conversation.partition(";")[0]:
                if posted.deleted:
                    break
                posted.activity = activity
                posted.edits += 1
                for key in [key for key in self._views if key[1] == name]:
                    del self._views[key]
                return 200, {"id": name}
        return 404, _error("ActivityNotFoundInConversation", "The activity is not part of the conversation.")

    def _may_write(self, conversation: str) -> tuple[int, Json] | None:
        """Why nobody may write there; None where the bot may."""
        if conversation.partition(";")[0] in self.channels:
            return None
        member = next((m for m in self.members.values() if m.chat == conversation), None)
        if member is None:
            return 404, _error("ConversationNotFound", "Conversation not found.")
        if member.blocked:
            return 403, _error("MessageWritesBlocked", "Thread members have blocked the bot.")
        if not member.installed:
            return 403, _error("BotNotInConversationRoster", "The bot is not part of the conversation roster.")
        return None

    def _in(self, conversation: str) -> list[Member]:
        channel = self.channels.get(conversation.partition(";")[0])
        if channel:
            return [self.members[name] for name in channel.members]
        return [m for m in self.members.values() if m.chat == conversation]


# --- a client's reading of a card ---------------------------------------------------------------------------------------------


def account(who: str) -> str:
    """The account id of a short name of ours."""
    return who if who.startswith("29:") else f"29:{who}"


def aad(who: str) -> str:
    """The directory's id of a short name of ours: what a practice file names."""
    return f"aad-{who.removeprefix('29:')}"


def pressables(card: Json) -> list[Pressable]:
    """Every button of a card in reading order; one that opens a form is the button that sends the form."""
    return list(_pressables(card, ()))


def _pressables(card: Json, outer: tuple[Json, ...], opened_by: str = "") -> Iterator[Pressable]:
    inputs = (*outer, *(e for e in elements(card) if str(e.get("type", "")).startswith("Input.")))
    in_body = [action for e in elements(card) if e.get("type") == "ActionSet" for action in e["actions"]]
    for action in [*in_body, *card.get("actions", [])]:
        title = str(action.get("title", ""))
        if action["type"] == "Action.ShowCard":
            yield from _pressables(action["card"], inputs, title)
        elif action["type"] in ("Action.Execute", "Action.Submit"):
            sent = () if action.get("associatedInputs") in ("none", "None") else inputs
            yield Pressable(opened_by or title, title, action, sent, bool(opened_by))


def elements(card: Json) -> Iterator[Json]:
    """Every element of a card's body in reading order, containers before what they hold; forms that open are not among them."""
    for element in card.get("body", []):
        yield from _inside(element)


def _inside(element: Json) -> Iterator[Json]:
    if element.get("isVisible") is False:
        return
    yield element
    for held in (*element.get("items", []), *element.get("columns", [])):
        yield from _inside(held)


def filled(button: Pressable, typed: Mapping[str, str], *, checked: bool = True) -> Json:
    """The data that pressing sends: the action's own and every input. raises NotSent, unless the client does not check"""
    data = dict(button.action.get("data") or {})
    for each in button.inputs:
        value = typed.get(each["id"], each.get("value", ""))
        if checked and each.get("isRequired") and not value:
            raise NotSent(each.get("errorMessage", ""))
        choices = [choice["value"] for choice in each.get("choices", [])]
        if value and choices and value not in choices:
            raise AssertionError(f"{value!r} is no choice of {each['id']}: {choices}")
        if len(value) > each.get("maxLength", len(value)):
            value = value[: each["maxLength"]]  # the client lets nobody type more
        if value or each.get("type") == "Input.Text":
            data[each["id"]] = value
    return data


def _cards_in(said: Any) -> Iterator[Json]:
    """Every Adaptive Card in an answer."""
    if isinstance(said, dict):
        if said.get("type") == "AdaptiveCard":
            yield said
            return
        for held in said.values():
            yield from _cards_in(held)
    elif isinstance(said, list):
        for held in said:
            yield from _cards_in(held)


def _thread(conversation: str) -> str:
    found = re.search(r";messageid=(\d+)", conversation)
    return found[1] if found else ""


def _error(code: str, message: str) -> Json:
    return {"error": {"code": code, "message": message}}


def _member(member: Member) -> Json:
    role = {"userRole": "guest"} if member.guest else {"userRole": "user"}
    named = {"id": member.id, "name": member.name, "aadObjectId": member.aad, "objectId": member.aad, "tenantId": TENANT}
    return {**named, "email": member.email, "userPrincipalName": member.email, **role}


def _stamp() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


# --- the loopback server ------------------------------------------------------------------------------------------------------


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news."""


def _handler(fake: FakeTeams) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            with fake._lock:
                fake._connections.add(self.connection)

        def finish(self) -> None:
            with fake._lock:
                fake._connections.discard(self.connection)
            super().finish()

        def log_message(self, format: str, *args: Any) -> None:
            """Tests say what they saw themselves."""

        def handle_any(self) -> None:
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            heard = _Heard(self.command, unquote(parts.path), parse_qs(parts.query), headers, body)
            if heard.path.startswith("/personal/"):
                found = fake.files.get(heard.query.get("tempauth", [""])[0])
                fake.fetched += found is not None
                assert "authorization" not in headers, "no token of the bot's goes where files lie"
                return self.answer(200 if found is not None else 403, found or b"", {})
            try:
                status, said, trouble, more = fake.handle(heard)
            except Exception as bad:  # a fault of this fake: the test must hear of it, the bot gets an answer
                fake.faults.append(f"the fake failed at {self.command} {heard.path}: {bad!r}")
                status, said, trouble, more = 500, {}, None, {}
            match trouble.went if trouble else "":
                case "reset":
                    return self.hang_up(hard=True)
                case "close":
                    return self.hang_up(hard=False)
                case "hang":
                    fake._going.wait(60)
                    return self.hang_up(hard=False)
                case "slow" if trouble:
                    fake._going.wait(trouble.slow_s)
                case "garbled":
                    return self.answer(200, b"<html>gateway</html>", {"content-type": "text/html"})
            listed = said.get("") if set(said) == {""} else said
            return self.answer(status, json.dumps(listed).encode(), {"content-type": "application/json", **more})

        def answer(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def hang_up(self, *, hard: bool) -> None:
            """Close without an answer: orderly, or with a reset."""
            self.close_connection = True
            if hard:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            with fake._lock:
                fake._connections.discard(self.connection)
            os.close(self.connection.detach())

        do_GET = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815  the names that the base class calls

    return Handler
