"""The Bot Framework's connector service, as far as we call it: one HTTP attempt per call, and what each outcome means.

The SDK's client is not used here: it repeats requests, and creating an activity has no key by which a repeat could be told.
Its token manager is not used either: it sets no time limit and cannot be made to forget a token that was refused.

    SendError       refused: `permanent` and `retry_after_s` say what can be done
    AmbiguousSend   it was handed over and no answer came
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

import httpx

from bot.chat import AmbiguousSend, SendError
from bot.platforms.teams.trust import Cloud, is_on_this_machine, may_call
from bot.settings import Settings

TIMEOUT_S = 15.0
LANE_S = 1.02
"""Between two messages to one conversation."""
GLOBAL_S = 1 / 50
"""Between any two requests: Teams takes 50 a second of one app in one tenant."""
_ANSWER_LIMIT = 256 * 1024
_EARLY_S = 300
"""A token is replaced so long before it ends."""
_WRONG: tuple[tuple[str, str], ...] = (
    ("AADSTS7000215", "TEAMS_CLIENT_SECRET is not the secret of TEAMS_CLIENT_ID: copy its value, not its id."),
    ("AADSTS7000222", "TEAMS_CLIENT_SECRET has expired: make a new one under “Certificates & secrets”."),
    ("AADSTS700016", "TEAMS_CLIENT_ID is not an app of the first tenant of TEAMS_TENANTS: put the app's own tenant first."),
    ("AADSTS90002", "The first tenant of TEAMS_TENANTS does not exist: copy the “Directory (tenant) ID”."),
)
_UNINSTALLED = ("BotNotInConversationRoster", "ForbiddenOperationException", "not installed in user's personal scope")
_BLOCKED = ("MessageWritesBlocked", "BlockedByUser", "ConversationBlockedByUser", "BotDisabledByUser", "BotBlocked")


class NoToken(Exception):
    """A token could not be had; the text is one sentence on what to do."""


class Tokens:
    """The bot's own token, kept until shortly before it ends."""

    def __init__(self, settings: Settings, cloud: Cloud, http: httpx.Client) -> None:
        self._settings, self._cloud, self._http = settings, cloud, http
        self._token, self._until = "", 0.0
        self._lock = threading.Lock()

    def get(self) -> str:
        """raises NoToken"""
        with self._lock:
            if not self._token or time.monotonic() >= self._until:
                self._fetch()
            return self._token

    def drop(self, token: str) -> None:
        """This token was refused: the next call fetches another."""
        with self._lock:
            if self._token == token:
                self._token = ""

    def _fetch(self) -> None:
        tenant = next(iter(self._settings.teams_tenants), "botframework.com")
        form = {
            "grant_type": "client_credentials",
            "client_id": self._settings.teams_client_id,
            "client_secret": self._settings.teams_client_secret,
            "scope": self._cloud.scope,
        }
        try:
            answer = self._http.post(f"{self._cloud.login}/{quote(tenant, safe='')}/oauth2/v2.0/token", data=form)
            said = answer.json()
            token, lasts_s = said["access_token"], float(said.get("expires_in", 0))
        except (httpx.HTTPError, httpx.InvalidURL) as bad:
            why, where = type(bad).__name__, self._cloud.login
            raise NoToken(f"Microsoft's sign-in service cannot be reached ({why}): let this machine call {where}.") from bad
        except (ValueError, TypeError, KeyError) as bad:
            raise _no_token(answer) from bad
        self._token, self._until = str(token), time.monotonic() + max(lasts_s - _EARLY_S, lasts_s / 2)


def _no_token(answer: httpx.Response) -> NoToken:
    for code, sentence in _WRONG:
        if code in answer.text[:5000]:
            return NoToken(sentence)
    found = re.search(r"AADSTS\d{1,9}", answer.text[:5000])
    said = found[0] if found else f"HTTP {answer.status_code}"
    return NoToken(
        f"Microsoft's sign-in service gives the bot no token ({said}): "
        "check TEAMS_CLIENT_ID, TEAMS_CLIENT_SECRET and TEAMS_TENANTS."
    )


class Lanes:
    """When something may be sent again: one lane per conversation, one bucket for all, and what a 429 told us."""

    def __init__(self) -> None:
        self._free_at: dict[str, float] = {}
        self._all_at = 0.0
        self._lock = threading.Lock()

    def busy_s(self, conversation: str) -> float:
        with self._lock:
            now = time.monotonic()
            return max(0.0, self._free_at.get(conversation, 0.0) - now, self._all_at - now)

    def used(self, conversation: str, wait_s: float = LANE_S) -> None:
        """Something is being sent there: nothing else for `wait_s` seconds."""
        with self._lock:
            now = time.monotonic()
            self._free_at[conversation] = max(now + wait_s, self._free_at.get(conversation, 0.0))
            self._all_at = max(now, self._all_at) + GLOBAL_S
            if len(self._free_at) > 10_000:
                self._free_at = {name: at for name, at in self._free_at.items() if at > now}


class Connector:
    """Calls to the connector service at an activity's service URL."""

    def __init__(self, settings: Settings, cloud: Cloud) -> None:
        self._settings = settings
        self._http = httpx.Client(timeout=TIMEOUT_S, follow_redirects=False)
        self.tokens = Tokens(settings, cloud, self._http)
        self.lanes = Lanes()

    def close(self) -> None:
        self._http.close()

    def post(self, service_url: str, conversation: str, activity: Mapping[str, Any]) -> str:
        """Create an activity there; its id. raises SendError, AmbiguousSend"""
        answer = self._call("POST", service_url, conversation, "/activities", activity)
        name = answer.get("id")
        if not isinstance(name, str) or not name:
            raise AmbiguousSend("Teams answered without saying which message it made")
        return name

    def put(self, service_url: str, conversation: str, message: str, activity: Mapping[str, Any]) -> None:
        """Replace an activity. The same again does no harm, so nothing is ambiguous. raises SendError"""
        self._safely("PUT", service_url, conversation, f"/activities/{_part(message)}", activity)

    def delete(self, service_url: str, conversation: str, message: str) -> None:
        """Take an activity away. raises SendError"""
        self._safely("DELETE", service_url, conversation, f"/activities/{_part(message)}")

    def member(self, service_url: str, conversation: str, account: str) -> Mapping[str, Any]:
        """What Teams knows of somebody in a conversation. raises SendError"""
        return self._safely("GET", service_url, conversation, f"/members/{_part(account)}")

    def _safely(
        self, method: str, service_url: str, conversation: str, path: str, body: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any]:
        try:
            return self._call(method, service_url, conversation, path, body)
        except AmbiguousSend as unknown:
            raise SendError(str(unknown), permanent=False) from unknown

    def _call(
        self, method: str, service_url: str, conversation: str, path: str, body: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any]:
        token = self._token_for(service_url)
        headers = {"authorization": f"Bearer {token}"} if token else {}
        url = f"{service_url.rstrip('/')}/v3/conversations/{_part(conversation)}{path}"
        if method in ("POST", "PUT"):
            self.lanes.used(conversation)
        try:
            with self._http.stream(method, url, headers=headers, json=body) as answer:
                status, retry_after, said = answer.status_code, answer.headers.get("retry-after", ""), _read(answer)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as bad:
            raise SendError(f"Teams cannot be reached ({type(bad).__name__})", permanent=False, everywhere=True) from bad
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as bad:
            raise SendError("the conversation has no address that can be called", permanent=True) from bad
        except httpx.HTTPError as bad:
            raise AmbiguousSend(f"Teams did not answer ({type(bad).__name__})") from bad
        fault = outcome(method, status, retry_after, said)
        if status == 401 and token:
            self.tokens.drop(token)
        if isinstance(fault, SendError) and fault.retry_after_s:
            self.lanes.used(conversation, fault.retry_after_s)
        if fault is not None:
            raise fault
        return _parsed(method, said)

    def _token_for(self, service_url: str) -> str:
        """The token to send there; empty for an open connector service on this machine. raises SendError"""
        if not may_call(self._settings, service_url):
            raise SendError("its service URL is not on TEAMS_SERVICE_HOSTS", permanent=True)
        if self._settings.teams_dangerously_open and is_on_this_machine(service_url):
            return ""
        try:
            return self.tokens.get()
        except NoToken as bad:
            raise SendError(str(bad), permanent=False, everywhere=True) from bad


def outcome(method: str, status: int, retry_after: str, said: str) -> SendError | AmbiguousSend | None:
    """What an answer of the connector service means; None where it was taken."""
    if 200 <= status < 300:
        return None
    if status == 429:
        return SendError("Teams asks us to slow down", permanent=False, retry_after_s=_seconds(retry_after))
    if status == 401:
        return SendError("Teams refused our token: a new one is fetched for the next attempt", permanent=False, everywhere=True)
    if status == 403:
        return SendError(_why_forbidden(said), permanent=True)
    if status in (404, 410):
        is_message = method in ("PUT", "DELETE") or "ActivityNotFound" in said
        return SendError("the message is gone" if is_message else "uninstalled", permanent=True)
    if status in (408, 412) or status >= 500:
        return AmbiguousSend(f"Teams answered {status}")
    if status < 400:
        return SendError(f"Teams sent us elsewhere ({status}), where we do not go", permanent=False)
    return SendError(f"Teams refused it ({status}, {_code(said)})", permanent=True)


def _why_forbidden(said: str) -> str:
    if any(code in said for code in _BLOCKED):
        return "blocked"
    if any(code in said for code in _UNINSTALLED):
        return "uninstalled"
    return f"Teams forbids it ({_code(said)})"


def _code(said: str) -> str:
    """The service's own word for what is wrong, which is a code and no text."""
    found = re.search(r'"code"\s*:\s*"([A-Za-z]{1,60})"', said)
    return found[1] if found else "no code"


def _seconds(retry_after: str) -> float | None:
    """What a Retry-After header says, in seconds from now; None where it says nothing."""
    if re.fullmatch(r"\d{1,7}(\.\d{1,6})?", retry_after):
        return float(retry_after)
    try:
        return max(0.0, (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def _read(answer: httpx.Response) -> str:
    """The answer's text. raises httpx.ReadTimeout where it comes too slowly, as one that does not come at all"""
    ends_at, parts, size = time.monotonic() + TIMEOUT_S, [], 0
    for part in answer.iter_bytes():
        parts.append(part)
        size += len(part)
        if size > _ANSWER_LIMIT or time.monotonic() > ends_at:
            raise httpx.ReadTimeout("the answer is too long or too slow")
    return b"".join(parts).decode("utf-8", "replace")


def _parsed(method: str, said: str) -> Mapping[str, Any]:
    """The answer's object. raises AmbiguousSend   something else came, where an object matters"""
    try:
        parsed = json.loads(said)
    except (ValueError, RecursionError):
        parsed = None
    if isinstance(parsed, dict):
        return parsed
    if method in ("PUT", "DELETE"):
        return {}
    raise AmbiguousSend("Teams sent an answer that cannot be read")


def _part(name: str) -> str:
    """An id as one part of a path."""
    return quote(name, safe=":@;=")
