"""Microsoft Teams: the edge that turns activities into Heard, and the sender that posts Cards through the connector service.

Of the SDK (`microsoft-teams-apps`) we use its `TokenValidator` with its `CloudEnvironment`: who may call us is not ours to
reinvent. What it lets through, a token without an end or for another audience, `trust` refuses. The rest stays unused. Its
models answer 500 to what real clients send (every automatic refresh, an update of the app), and repeated 5xx make Teams fall
silent for hours: `read` takes any JSON. Its client repeats requests, and a repeated post is a second message: `connector`
makes one attempt. Its import warns, takes a second, and loads a `.env` file from the folders above: `trust` imports it at the
first use, quietly and with that switched off.

    read        activity -> Heard or Invoke, pure
    cards       Card -> Adaptive Cards, and what a pressed button carries, pure
    trust       who may call us, whom we may call
    connector   the calls to Teams, and what each outcome means
    manifest    the app package
"""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, BinaryIO

import httpx
from sqlalchemy import Engine
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from bot import fetching, metrics
from bot.cards import say
from bot.chat import (
    AmbiguousSend,
    Attached,
    CannotKeep,
    Card,
    Form,
    Front,
    Heard,
    Known,
    Receipt,
    Reply,
    SendError,
    Wording,
)
from bot.platforms.teams.cards import adaptive, inert, summary
from bot.platforms.teams.connector import TIMEOUT_S, Connector, NoToken
from bot.platforms.teams.read import Invoke, read, tenants
from bot.platforms.teams.trust import LOOPBACK, Callers, Cloud, NoKeys, Refused, check_place, is_on_this_machine, may_call
from bot.settings import Settings

BODY_LIMIT = 1024 * 1024
PATH = "/api/messages"
CARD = "application/vnd.microsoft.card.adaptive"
FILE_HOSTS = (".sharepoint.com", ".sharepoint.us", ".sharepoint-mil.us", ".sharepoint.cn")
"""Where Teams keeps the files that people send: their organisation's OneDrive."""
_MESSAGE = "application/vnd.microsoft.activity.message"
_ERROR = "application/vnd.microsoft.error"
_PREVIEW = "application/vnd.microsoft.card.thumbnail"
_RENEWED = ("nudge", "escalation")
"""The kinds of card for which the core has a view of each reader's own."""

log = logging.getLogger(__name__)

Json = dict[str, Any]
Answer = tuple[int, Json]
"""HTTP status and body."""


class _Malformed(Exception):
    """The body is no JSON object."""


class Teams:
    """bot.chat.Chat on Teams. An address is the id of a conversation; an account is an Entra object id where Teams tells it."""

    name = "teams"
    may_repeat = False
    may_write_first = False
    cloud = Cloud()
    """Where Microsoft's side is; a test sets another before the first use."""

    def __init__(self, settings: Settings, front: Front, engine: Engine) -> None:
        self._settings, self._front = settings, front
        self._seen_at = ""
        """The service URL of the last request, for a conversation whose own is not known."""
        self._met = _Memory()
        """Where each account was met last; whom nobody can name yet is asked for there."""
        self._unsure = _Memory()
        """The answers of which nobody knows whether they arrived."""

    @cached_property
    def _callers(self) -> Callers:
        return Callers(self._settings.teams_client_id, self.cloud)

    @cached_property
    def _connector(self) -> Connector:
        return Connector(self._settings, self.cloud)

    def routes(self) -> list[BaseRoute]:
        return [Route(PATH, self._receive, methods=["POST"])]

    def start(self) -> None:
        """Have everything made, and the SDK imported, before the first request waits for it."""
        _ = self._connector
        if self._settings.teams_client_id:
            _ = self._callers.validator

    def stop(self) -> None:
        if "_connector" in vars(self):
            self._connector.close()

    # --- what comes in -----------------------------------------------------------------------------------------------------

    async def _receive(self, request: Request) -> Response:
        try:
            body = await _body(request)
        except ClientDisconnect:
            return JSONResponse({"error": "incomplete"}, 400)
        if body is None:
            return JSONResponse({"error": "too large"}, 413)
        tokens = request.headers.getlist("authorization")
        came = time.monotonic()
        status, said = await run_in_threadpool(self._handle, tokens, body, _is_from_here(request))
        metrics.here.acked(self.name, "http", time.monotonic() - came)
        return JSONResponse(said, status)

    def _handle(self, tokens: Sequence[str], body: bytes, is_from_here: bool) -> Answer:
        """The answer to one request. Nothing of its body is logged."""
        try:
            activity = self._trusted(tokens, body, is_from_here)
        except Refused as refused:
            log.warning("a request to %s was refused: %s", PATH, refused.reason)
            return 401, {"error": "unauthorized"}
        except _Malformed:
            return 400, {"error": "not an activity"}
        except NoKeys as bad:
            log.warning("%s; nobody can be told from anybody, and Teams is told to try again", bad)
            return 503, {"error": "try again"}
        found = read(activity, datetime.now(UTC), self._form)
        heard = found.heard if isinstance(found, Invoke) else found
        if heard is not None:
            self._met.put(heard.account, heard.details)
        if isinstance(found, Invoke):
            return self._answer(found)
        if heard is None:
            return 200, {}
        try:
            self._front.hear(heard)
        except CannotKeep:
            return 503, {"error": "try again"}
        return 202, {}

    def _trusted(self, tokens: Sequence[str], body: bytes, is_from_here: bool) -> Json:
        """The activity, once it is proved whose it is. raises Refused, NoKeys, _Malformed"""
        if self._settings.teams_dangerously_open and is_from_here:
            activity = _parsed(body)
            if is_on_this_machine(activity.get("serviceUrl")):
                return activity
        if not self._settings.teams_client_id:
            raise Refused("no request but the Agents Playground's of this machine")
        claims = self._callers.check(tokens)
        activity = _parsed(body)
        check_place(self._settings, claims, activity.get("serviceUrl"), tenants(activity))
        self._seen_at = str(activity["serviceUrl"])
        return activity

    def _form(self, verb: str) -> Form | None:
        return self._front.form(verb, self.name)

    # --- what wants its answer in the same breath ----------------------------------------------------------------------------

    def _answer(self, invoke: Invoke) -> Answer:
        """Never an empty value: Teams takes that for a failure and sends the invoke again."""
        heard = invoke.heard
        if heard is None:
            return 400, {"error": "not offered"}  # not 501: repeated 5xx make Teams fall silent
        try:
            match invoke.way:
                case "press":
                    return self._pressed(heard)
                case "refresh":
                    return self._refreshed(heard)
                case "search":
                    return 200, {"composeExtension": self._found(heard)}
                case "about":
                    return 200, {"task": self._told_about(heard)}
                case _:
                    return _message(self._front.sentence("stale_button"))
        except CannotKeep:
            return 503, _error(503, self._front.sentence("not_kept"))

    def _pressed(self, heard: Heard) -> Answer:
        """The card that takes the place of the pressed one before its presser. A note that will not do leaves the form open."""
        objection = self._front.objection(heard)
        if objection:
            return _message(objection)
        card = self._front.answer(heard).card
        if card is None:
            return _message(say("That is done."))
        first, *more = self._drawn(card, heard.details)
        if more and heard.place.surface == "dm":
            with suppress(SendError, AmbiguousSend):
                for part in more:
                    self._post(heard.details, {**_activity(heard.details, card, part, _marker(heard)), **_below(heard)})
        return _card(first)

    def _refreshed(self, heard: Heard) -> Answer:
        """This reader's view and nothing else: whatever else happened here would make the client ask again, for ever."""
        card = self._front.look(heard).card
        if card is None:
            return _message(self._front.sentence("gone"))
        return _card(self._drawn(card, heard.details)[0])

    def _found(self, heard: Heard) -> Json:
        """The results of a search. Their asker alone sees them, and may send one on: it holds no buttons then."""
        if not heard.text:
            return {"type": "message", "text": str(say("Type what you want to know: how do I post an ERA?"))}
        card = self._front.look(heard).card
        if card is None or card.kind != "answer":
            return {"type": "message", "text": summary(card) if card else str(self._front.sentence("try_later"))}
        preview = {"contentType": _PREVIEW, "content": {"title": inert(card.title), "text": summary(card)}}
        shared = Card(card.kind, card.title, card.text, card.facts, card.sources)
        return {
            "type": "result",
            "attachmentLayout": "list",
            "attachments": [{**_attached(part), "preview": preview} for part in self._drawn(shared, {})],
        }

    def _told_about(self, heard: Heard) -> Json:
        """What the SOPs say about a message, in a window of the asker's own."""
        card = self._front.answer(heard).card
        if card is None:
            return {"type": "message", "value": str(self._front.sentence("try_later"))}
        title = str(say("What your SOPs say"))
        drawn = _attached(self._drawn(card, {})[0])
        return {"type": "continue", "value": {"title": title, "height": "large", "width": "large", "card": drawn}}

    # --- what goes out: answers ----------------------------------------------------------------------------------------------

    def show(self, heard: Heard, reply: Reply, *, again: bool) -> Receipt | None:
        """Show an answer where it was asked for.

        Nobody can look whether an earlier attempt got through. One that Teams may have taken is not repeated; one that it
        refused, or that died with its process, is.
        """
        card = reply.card
        if card is None or (again and self._unsure.get(heard.key) is not None):
            return None
        try:
            return self._show(heard, reply, card)
        except AmbiguousSend:
            self._unsure.put(heard.key, {})
            raise

    def _show(self, heard: Heard, reply: Reply, card: Card) -> Receipt | None:
        if heard.act == "press" and reply.took and heard.place.message:
            receipt = Receipt(heard.place.channel, heard.place.message)
            self._replace(heard.details, receipt, card)
            return receipt
        if reply.private and heard.place.surface != "dm":
            return self._show_privately(heard, card)
        return self._post_card(heard.details, card, _marker(heard), {**_below(heard), **self._suggested(heard, reply)})

    def _suggested(self, heard: Heard, reply: Reply) -> Json:
        """What might be asked next, which Teams offers in a chat of one only."""
        if not reply.prompts or heard.place.surface != "dm":
            return {}
        actions = [{"type": "imBack", "title": inert(each), "value": str(each)} for each in reply.prompts]
        return {"suggestedActions": {"to": [heard.details.get("user", "")], "actions": actions}}

    def _show_privately(self, heard: Heard, card: Card) -> Receipt | None:
        """Teams shows nothing to one person among others: it goes to their own chat with the bot, and a sentence says so."""
        own = self._front.reference(self.name, heard.account)
        if not _is_personal(own):
            self._say(heard, self._front.sentence("add_the_app"))
            return None
        receipt = self._post_card(own, card, _marker(heard))
        try:
            self._say(heard, self._front.sentence("answered_privately"))
        except (SendError, AmbiguousSend) as bad:
            log.info("an answer was sent privately, and the channel could not be told so: %s", bad)
        return receipt

    def _say(self, heard: Heard, sentence: Wording) -> None:
        words = {"text": inert(sentence), "textFormat": "plain", "channelData": {"holdfast": _marker(heard)}}
        self._post(heard.details, {"type": "message", **_ends(heard.details), **_below(heard), **words})

    # --- what goes out: the outbox ----------------------------------------------------------------------------------------

    def busy_s(self, address: str) -> float:
        return self._connector.lanes.busy_s(address)

    def send(self, address: str, card: Card, marker: str) -> Receipt:
        return self._post_card(self._reference(address), card, marker)

    def update(self, receipt: Receipt, card: Card) -> None:
        self._replace(self._reference(receipt.channel), receipt, card)

    def find(self, address: str, marker: str, since: datetime) -> Receipt | None:
        raise AmbiguousSend("Teams lets no bot read back what it sent")

    def _post_card(
        self, reference: Mapping[str, str], card: Card, marker: str, more: Mapping[str, Any] | None = None
    ) -> Receipt:
        """One message for each part of the card, the first with `more`. The receipt names them all.

        raises SendError, AmbiguousSend
        """
        first, *others = (_activity(reference, card, part, marker) for part in self._drawn(card, reference))
        messages = [self._post(reference, {**first, **(more or {})})]
        try:
            messages += [self._post(reference, activity) for activity in others]
        except SendError as bad:
            raise AmbiguousSend(f"only the first part of it arrived: {bad}") from bad
        return Receipt(reference["conversation"].partition(";")[0], " ".join(messages))

    def _replace(self, reference: Mapping[str, str], receipt: Receipt, card: Card) -> None:
        """Edit every message of this card in place; parts it no longer has go, parts it newly has come. raises SendError"""
        service_url, messages = self._service_url(reference), receipt.message.split()
        activities = [_activity(reference, card, part, "edited") for part in self._drawn(card, reference)]
        for message, activity in zip(messages, activities, strict=False):
            self._connector.put(service_url, receipt.channel, message, {**activity, "id": message})
        for message in messages[len(activities) :]:
            self._connector.delete(service_url, receipt.channel, message)
        for activity in activities[len(messages) :]:
            with suppress(AmbiguousSend):
                self._post(reference, activity)

    def _post(self, reference: Mapping[str, str], activity: Json) -> str:
        return self._connector.post(self._service_url(reference), reference["conversation"], activity)

    def _drawn(self, card: Card, reference: Mapping[str, str]) -> list[Json]:
        """The parts of a card. A client asks again for its reader's view of one open nudge, and of nothing else."""
        user = reference.get("user", "")
        readers = (user,) if user and card.kind in _RENEWED and card.ref and card.buttons else ()
        return adaptive(card, secrets.token_hex(4), self._form, readers=readers)

    def _reference(self, address: str) -> dict[str, str]:
        """What is needed to write to a conversation. raises SendError   nobody there has added the bot"""
        known = self._front.reference(self.name, address)
        is_channel = address.startswith("19:")
        if not known and not is_channel:
            raise SendError("uninstalled", permanent=True)
        return {"bot": f"28:{self._settings.teams_client_id}", **known, "conversation": address}

    def _service_url(self, reference: Mapping[str, str]) -> str:
        """Where a conversation is served: as it told us, else where the last request came from, else Teams' common address."""
        common = f"https://{self._settings.teams_service_hosts[0]}/teams/"
        return reference.get("service_url") or self._seen_at or common

    # --- who and whether --------------------------------------------------------------------------------------------------

    def who(self, team: str, account: str) -> Known | None:
        """Asked for where the account was met. The address is its sign-in name, which the tenant vouches for."""
        reference = dict(self._front.reference(self.name, account) or self._met.get(account) or {})
        if not reference.get("conversation"):
            return None
        try:
            conversation = reference["conversation"].partition(";")[0]
            member = self._connector.member(self._service_url(reference), conversation, account)
        except SendError as bad:
            if bad.permanent:
                return None
            raise
        email = str(member.get("userPrincipalName") or member.get("email") or "")
        tenant = str(member.get("tenantId") or team).lower()
        is_ours = tenant in self._settings.teams_tenants or self._settings.teams_dangerously_open
        is_guest = str(member.get("userRole", "")).lower() in ("guest", "anonymous", "bot") or "#ext#" in email.lower()
        if is_guest or not is_ours or str(member.get("id", "")).startswith("28:"):
            return None
        address = reference["conversation"] if _is_personal(reference) else ""
        return Known(account, team, email, address, reference)

    def by_email(self, email: str) -> Known | None:
        """Teams tells no bot: an account is known once its person has added the app."""
        return None

    def fetch(self, heard: Heard, file: Attached, into: BinaryIO, limit: int) -> None:
        """From the OneDrive or SharePoint that Teams keeps it in; or from the stand-in that the message came from."""
        at = fetching.origin(heard.details.get("service_url", ""))
        local = at if may_call(self._settings, at) and is_on_this_machine(at) else ""
        fetching.fetch(file.url, into, limit=limit, hosts=FILE_HOSTS, local=local)

    def probe(self) -> Sequence[str]:
        if not self._settings.teams_client_id:
            return []
        problems = []
        if not self._settings.url.startswith("https:"):
            problems.append(f"HOLDFAST_URL is no https address: Teams calls the bot at that address followed by {PATH}.")
        try:
            self._connector.tokens.get()
        except NoToken as bad:
            problems.append(str(bad))
        try:
            httpx.get(self.cloud.openid, timeout=TIMEOUT_S).raise_for_status()
        except httpx.HTTPError as bad:
            problems.append(
                f"The Bot Framework's keys cannot be fetched ({type(bad).__name__}): let this machine call {self.cloud.openid}."
            )
        return problems


class _Memory:
    """The last 5,000 things told of, in memory: what helps where it is known and is missed by nobody after a restart."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Mapping[str, str]] = OrderedDict()
        self._guard = threading.Lock()

    def put(self, key: str, told: Mapping[str, str]) -> None:
        with self._guard:
            self._kept[key] = told
            self._kept.move_to_end(key)
            while len(self._kept) > 5000:
                self._kept.popitem(last=False)

    def get(self, key: str) -> Mapping[str, str] | None:
        return self._kept.get(key)


# --- a request ---------------------------------------------------------------------------------------------------------------


async def _body(request: Request) -> bytes | None:
    """The body; None where it is larger than BODY_LIMIT. raises ClientDisconnect"""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > BODY_LIMIT:
            return None
        parts.append(part)
    return b"".join(parts)


def _is_from_here(request: Request) -> bool:
    """Whether a program on this machine calls: no proxy stands between, and no page in a browser."""
    host = request.client.host if request.client else ""
    passed_on = any(name in request.headers for name in ("x-forwarded-for", "forwarded", "x-real-ip", "origin"))
    return host in LOOPBACK and not passed_on


def _parsed(body: bytes) -> Json:
    """raises _Malformed"""
    try:
        activity = json.loads(body)
    except (ValueError, RecursionError):
        raise _Malformed from None
    if not isinstance(activity, dict):
        raise _Malformed
    return activity


# --- an answer ---------------------------------------------------------------------------------------------------------------


def _card(drawn: Json) -> Answer:
    return 200, {"statusCode": 200, "type": CARD, "value": drawn}


def _message(sentence: Wording) -> Answer:
    return 200, {"statusCode": 200, "type": _MESSAGE, "value": inert(sentence)}


def _error(code: int, sentence: Wording) -> Json:
    return {"statusCode": code, "type": _ERROR, "value": {"code": str(code), "message": inert(sentence)}}


# --- an activity -------------------------------------------------------------------------------------------------------------


def _activity(reference: Mapping[str, str], card: Card, drawn: Json, marker: str) -> Json:
    """One message that holds one drawn card."""
    return {
        "type": "message",
        **_ends(reference),
        "summary": summary(card),
        "attachments": [_attached(drawn)],
        "channelData": {"holdfast": marker},
    }


def _ends(reference: Mapping[str, str]) -> Json:
    """From whom to whom. Teams refuses some messages to a single person that do not name them and their tenant."""
    user, tenant = reference.get("user", ""), reference.get("tenant", "")
    return {
        "from": {"id": reference.get("bot", "")},
        **({"recipient": {"id": user}} if user and _is_personal(reference) else {}),
        "conversation": {"id": reference["conversation"], **({"tenantId": tenant} if tenant else {})},
    }


def _below(heard: Heard) -> Json:
    """That it answers the message which was typed or held the button."""
    return {"replyToId": heard.place.message} if heard.place.message else {}


def _attached(drawn: Json) -> Json:
    return {"contentType": CARD, "content": drawn}


def _is_personal(reference: Mapping[str, str]) -> bool:
    """Whether this is a person's own chat with the bot. Where nobody told, a conversation of several is named `19:…`."""
    conversation = reference.get("conversation", "")
    return bool(conversation) and not conversation.startswith("19:") and reference.get("scope", "personal") == "personal"


def _marker(heard: Heard) -> str:
    """What marks the answer to something heard: of no meaning to anybody else."""
    return "answer:" + hashlib.sha256(heard.key.encode()).hexdigest()[:16]
