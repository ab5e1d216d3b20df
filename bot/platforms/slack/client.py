"""One call of Slack's Web API: exactly one HTTP attempt, and what became of it.

    Refused (SendError)     Slack said no, or nothing was sent; `code` is Slack's own word for it
    AmbiguousSend           the request may have been carried out: no answer, half an answer, or a fault on Slack's side

`slack_sdk` would send a message a second time when the connection breaks after Slack has taken it; its retries are off here.
"""

from __future__ import annotations

import errno
import logging
import re
import ssl
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPException
from socket import gaierror
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit

from slack_sdk.errors import SlackApiError
from slack_sdk.web import WebClient
from slack_sdk.webhook import WebhookClient

from bot.chat import AmbiguousSend, SendError
from bot.platforms.slack.pace import Pace

TIMEOUT_S = 10
_FORMS = frozenset(
    {"conversations.history", "conversations.replies", "users.info", "users.lookupByEmail", "auth.test", "files.info"}
)
"""Methods that read their arguments from a form only."""
_CODE = re.compile(r"[a-z0-9_]{1,80}")
_SLOWEST_S = 3600.0
_LOOPBACK = ("127.0.0.1", "::1", "localhost")

_REASONS: dict[str, tuple[bool, str]] = {
    "account_inactive": (True, "the workspace has removed the app"),
    "app_missing_action_scope": (False, "the app lacks a scope: install it again from its manifest"),
    "cannot_dm_bot": (True, "a bot cannot be written to"),
    "cannot_reply_to_message": (True, "that message takes no replies"),
    "cant_update_message": (True, "that message cannot be edited"),
    "channel_is_archived": (True, "the channel is archived"),
    "channel_not_found": (True, "the channel is gone, or the app is not in it"),
    "edit_window_closed": (True, "that message can no longer be edited"),
    "ekm_access_denied": (True, "the workspace's administrators have suspended writing there"),
    "expired_trigger_id": (True, "the form was asked for too long ago"),
    "exchanged_trigger_id": (True, "the form was opened already"),
    "invalid_arguments": (True, "the message is not one that Slack takes"),
    "invalid_auth": (True, "the bot token is not valid: set SLACK_BOT_TOKEN again"),
    "invalid_blocks": (True, "the card is not one that Slack takes"),
    "invalid_blocks_format": (True, "the card is not one that Slack takes"),
    "invalid_metadata_format": (True, "the message is not one that Slack takes"),
    "invalid_trigger_id": (True, "the form was asked for in a way that Slack does not know"),
    "invalid_users": (True, "nobody has that account"),
    "is_archived": (True, "the channel is archived"),
    "message_not_found": (True, "the message is gone"),
    "messages_tab_disabled": (True, "the app's messages tab is off: turn it on under “App Home”"),
    "missing_scope": (False, "the app lacks a scope: install it again from its manifest"),
    "msg_too_long": (True, "the message is too long for Slack"),
    "no_text": (True, "the message is empty"),
    "not_allowed_token_type": (False, "the token is of the wrong kind: SLACK_BOT_TOKEN begins with xoxb-"),
    "not_authed": (False, "there is no bot token: set SLACK_BOT_TOKEN"),
    "not_in_channel": (True, "the app is not in the channel: invite it there"),
    "org_login_required": (False, "the workspace is being moved"),
    "restricted_action": (True, "the workspace does not let the app write there"),
    "team_added_to_org": (False, "the workspace is being moved"),
    "team_access_not_granted": (True, "the app is not allowed in that workspace"),
    "team_not_found": (True, "the workspace is gone"),
    "thread_not_found": (True, "the thread is gone"),
    "token_expired": (True, "the bot token has expired: set SLACK_BOT_TOKEN again"),
    "token_revoked": (True, "the workspace has taken back the app's token"),
    "user_disabled": (True, "the account is deactivated"),
    "user_not_found": (True, "nobody has that account"),
    "user_not_in_channel": (True, "the person is not in that channel"),
    "user_not_visible": (True, "the account cannot be reached from that workspace"),
    "users_not_found": (True, "nobody has that account"),
}
"""Slack's word: whether it is for good, and why in our words. What an operator can mend is not for good."""

_TOKEN = frozenset(
    {"account_inactive", "invalid_auth", "not_allowed_token_type", "not_authed", "token_expired", "token_revoked"}
)
"""The fault is the token's, not the address's."""
_SLOWER = frozenset({"ratelimited", "rate_limited"})
_ITS_FAULT = frozenset({"fatal_error", "internal_error", "service_unavailable", "request_timeout", "service_timeout"})
"""Slack stumbled while it worked: it may have carried the request out."""
_UNREADABLE = (OSError, HTTPException, ValueError, LookupError, AttributeError)
"""What the SDK raises when no whole answer comes: LookupError for a charset nobody knows, AttributeError for a list."""
_NEVER_LEFT = (ConnectionRefusedError, gaierror, ssl.SSLCertVerificationError)
_NO_ROUTE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN)


class Refused(SendError):
    """Slack said no. `code`: its word for it, or ours: `unreachable`, `http_403`."""

    def __init__(
        self, code: str, reason: str, *, permanent: bool, retry_after_s: float | None = None, everywhere: bool = False
    ) -> None:
        super().__init__(reason, permanent=permanent, retry_after_s=retry_after_s, everywhere=everywhere)
        self.code = code


class _Discreet(logging.Filter):
    """Lets a library say where something failed, never what: its messages hold requests, answers and what people typed."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING or record.funcName == "__init__":  # there: remarks on variables it need not read
            return False
        kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else ""
        record.msg = f"Slack's library reports a fault in {record.module}.{record.funcName}" + (f": {kind}" if kind else "")
        record.args, record.exc_info, record.exc_text, record.stack_info = None, None, None, None
        return True


def discreet_logger() -> logging.Logger:
    """The only logger that Slack's libraries are given."""
    logger = logging.getLogger("bot.platforms.slack.library")
    logger.setLevel(logging.WARNING)
    if not logger.filters:
        logger.addFilter(_Discreet())
    return logger


class Client:
    """Slack's Web API for every workspace we are in.

    token_of    the bot token of a workspace; raises Refused where there is none
    """

    def __init__(self, api_url: str, token_of: Callable[[str], str], pace: Pace) -> None:
        self._api_url = api_url
        self._token_of = token_of
        self._pace = pace
        self._log = discreet_logger()
        self._tls = ssl.create_default_context() if api_url.startswith("https:") else None  # reading it for each call is slow

    def call(self, team: str, method: str, *, timeout_s: int = TIMEOUT_S, **given: Any) -> Mapping[str, Any]:
        """What Slack answered. One attempt; none at all while Slack has asked us to wait. raises Refused, AmbiguousSend"""
        answer, _ = self._call(team, method, self._token_of(team), timeout_s, given)
        return answer

    def scopes(self, token: str) -> frozenset[str] | None:
        """What the token may do, as auth.test says; None where it does not say. raises Refused, AmbiguousSend"""
        _, headers = self._call("", "auth.test", token, TIMEOUT_S, {})
        said = {name.lower(): value for name, value in headers.items()}.get("x-oauth-scopes")
        return None if said is None else frozenset(scope.strip() for scope in said.split(",") if scope.strip())

    def connects(self, app_token: str) -> None:
        """Ask for a socket's address and forget it: whether the app-level token is good. raises Refused, AmbiguousSend"""
        self._call("", "apps.connections.open", app_token, TIMEOUT_S, {})

    def web(self, token: str | None, timeout_s: int = TIMEOUT_S) -> WebClient:
        """The SDK's client with its retries off."""
        return WebClient(
            token=token, base_url=self._api_url, timeout=timeout_s, retry_handlers=[], logger=self._log, ssl=self._tls
        )

    def closed_s(self, team: str, method: str, channel: str = "") -> float:
        """Seconds for which Slack asked us not to call this; `chat.post` with a channel for everything that posts there."""
        return self._pace.closed_s((team, method, channel))

    def respond(self, url: str, body: Mapping[str, Any]) -> None:
        """Write to a response_url. raises Refused, AmbiguousSend"""
        if not self._is_slacks(url):
            raise Refused("bad_url", "the address to answer at is not one of Slack's", permanent=True)
        hook = WebhookClient(url, timeout=TIMEOUT_S, retry_handlers=[], logger=self._log, ssl=self._tls)
        try:
            said = hook.send_dict(dict(body))
        except _UNREADABLE as error:
            raise _failed(error) from None
        if said.status_code >= 500 or said.status_code == 408:
            raise AmbiguousSend(f"Slack answered with status {said.status_code}")
        if said.status_code == 429:
            raise Refused("ratelimited", "Slack asks us to wait", permanent=False, retry_after_s=_retry_after(said.headers))
        if said.status_code != 200:
            raise Refused(f"http_{said.status_code}", "Slack no longer takes an answer there", permanent=True)

    def _call(
        self, team: str, method: str, token: str, timeout_s: int, given: Mapping[str, Any]
    ) -> tuple[Mapping[str, Any], Mapping[str, str]]:
        posts = method.startswith("chat.post")  # counted by channel, everything else by workspace
        key = (team, "chat.post", str(given.get("channel", ""))) if posts else (team, method, "")
        if (wait := self._pace.closed_s(key)) > 0:
            raise Refused("ratelimited", "Slack asks us to wait", permanent=False, retry_after_s=wait)
        arguments = {name: value for name, value in given.items() if value is not None}
        sent_as: dict[str, Any] = {"params": arguments} if method in _FORMS else {"json": arguments}
        try:
            answer = self.web(token, timeout_s).api_call(method, **sent_as)
        except SlackApiError as error:
            answer = error.response
            refused = _refusal(answer.status_code, answer.data, answer.headers, is_only=not team)
            if isinstance(refused, Refused) and refused.code in _SLOWER:
                self._pace.close(key, refused.retry_after_s or 1.0)
            raise refused from None
        except _UNREADABLE as error:
            raise _failed(error) from None
        if not isinstance(answer.data, Mapping):
            raise AmbiguousSend("Slack's answer cannot be read")
        return answer.data, answer.headers

    def _is_slacks(self, url: str) -> bool:
        """A response_url leads to Slack, or to the stand-in on this machine that SLACK_API_URL names."""
        try:
            to, api = urlsplit(url), urlsplit(self._api_url)
            is_slack = to.scheme == "https" and (to.hostname or "").endswith(".slack.com") and to.port in (None, 443)
            return is_slack or (api.hostname in _LOOPBACK and to.hostname in _LOOPBACK and to.port == api.port)
        except ValueError:
            return False


def _refusal(status: int, data: Any, headers: Mapping[str, Any], *, is_only: bool) -> SendError | AmbiguousSend:
    """What an answer that is not `ok` means. `is_only`: there is no other workspace, so a bad token stops everything."""
    said = data.get("error") if isinstance(data, Mapping) else None
    code = said if isinstance(said, str) and _CODE.fullmatch(said) else ""
    if status == 429 or code in _SLOWER:
        return Refused("ratelimited", "Slack asks us to wait", permanent=False, retry_after_s=_retry_after(headers))
    if status >= 500 or status == 408 or code in _ITS_FAULT:
        return AmbiguousSend(f"Slack failed at it: {code or f'status {status}'}")
    if status == 200 and not code:
        return AmbiguousSend("Slack's answer cannot be read")
    is_for_good, reason = _REASONS.get(code, (False, f"Slack said no: {code or f'status {status}'}"))
    if code == "missing_scope" and isinstance(needed := data.get("needed"), str):
        reason = f"the app lacks the scope {needed[:100]}: install it again from its manifest"
    if code in _TOKEN and is_only:
        return Refused(code, reason, permanent=False, everywhere=True)
    return Refused(code or f"http_{status}", reason, permanent=is_for_good)


def _failed(error: Exception) -> SendError | AmbiguousSend:
    """What it means that no whole answer came."""
    reason = error.reason if isinstance(error, URLError) else None
    if isinstance(reason, _NEVER_LEFT) or (isinstance(reason, OSError) and reason.errno in _NO_ROUTE):
        return Refused("unreachable", "Slack cannot be reached from here", permanent=False, everywhere=True)
    return AmbiguousSend(f"no answer came from Slack: {type(reason or error).__name__}")


def _retry_after(headers: Mapping[str, Any]) -> float:
    """Seconds, from the header; 30 where it does not say."""
    said: Any = {name.lower(): value for name, value in headers.items()}.get("retry-after", "")
    said = said[0] if isinstance(said, Sequence) and not isinstance(said, str) and said else said
    try:
        seconds = float(said)
    except (TypeError, ValueError):
        return 30.0
    return min(max(seconds, 1.0), _SLOWEST_S) if seconds == seconds else 30.0  # NaN is not itself
