"""Slack as a chat: cards sent, edited and found again, answers shown where they were asked for, and who somebody is there.

Importing this package starts nothing and loads no Slack library; making a `Slack` does.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, BinaryIO

from bot import cards
from bot.chat import AmbiguousSend, Attached, Card, Front, Heard, Known, NotFetched, Receipt, Reply, SendError
from bot.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from starlette.routing import BaseRoute

    from bot.platforms.slack.blocks import Message
    from bot.platforms.slack.read import FormWanted

_LONGEST_TURN_S = 2.5
"""How long a message waits for its turn in a channel, before its sender is told to come again."""
_BRIEF_S = 2
"""Seconds that opening a form may take, whose trigger lives for 3, and an ornament."""
_PAGE = 200
_PAGES = 100
_EARLIER = timedelta(minutes=5)
"""How far Slack's clock may be behind ours."""
_PROMPTS = 4
_TITLE = 100
_OUTSIDE = frozenset({"not_in_channel", "channel_not_found", "user_not_in_channel", "is_archived", "http_404", "bad_url"})
"""Where an answer that only one person sees cannot be shown in the channel: there are other ways to them."""
_GONE = frozenset({"message_not_found", "thread_not_found", "cannot_reply_to_message"})
"""The question, or the thread that it stood in, was deleted."""
_NOBODY = frozenset({"user_not_found", "users_not_found", "user_not_visible"})
_log = logging.getLogger(__name__)


class Slack:
    """One or many workspaces (bot.chat.Chat). An address is `U…` or `C…`, or `T…/U…` where there are many workspaces."""

    name = "slack"
    may_repeat = True
    may_write_first = True

    def __init__(self, settings: Settings, front: Front, engine: Engine) -> None:
        from bot.platforms.slack import blocks, edge, installs
        from bot.platforms.slack.client import Client
        from bot.platforms.slack.pace import Pace

        self._settings = settings
        self._front = front
        self._blocks = blocks
        self._pace = Pace()
        self._client = Client(settings.slack_api_url, self._token, self._pace)
        many = bool(settings.slack_client_id)
        self._installs = installs.Installations(engine, installs.Seal(settings.key)) if many else None
        self._opened: dict[tuple[str, str], str] = {}
        states = installs.States(engine) if many else None
        self._edge = edge.Edge(settings, front, self._client, self, self._installs, states)

    def __repr__(self) -> str:
        return "Slack()"

    def routes(self) -> list[BaseRoute]:
        """The HTTP routes to serve: none in Socket Mode without a signing secret."""
        return self._edge.routes()

    def start(self) -> None:
        self._edge.start()

    def stop(self) -> None:
        self._edge.stop()

    def is_connected(self) -> bool:
        """Whether the socket of Socket Mode is open."""
        return self._edge.is_connected()

    # --- the outbox --------------------------------------------------------------------------------------------------

    def busy_s(self, address: str) -> float:
        team, target = self._split(address)
        channel = self._opened.get((team, target), target)
        closed = self._client.closed_s(team, "chat.post", channel)
        if channel == target and _is_person(target):
            closed = max(closed, self._client.closed_s(team, "conversations.open"))
        return max(closed, self._pace.wait_s((team, channel)))

    def send(self, address: str, card: Card, marker: str) -> Receipt:
        team, channel = self._conversation(address)
        message = self._post(team, channel, self._drawn(card), marker)
        return self._receipt(team, channel, message)

    def update(self, receipt: Receipt, card: Card) -> None:
        team, channel = self._split(receipt.channel)
        try:
            self._edit(team, channel, receipt.message, self._drawn(card)[0])
        except AmbiguousSend as unsure:  # an edit may be made twice
            raise SendError(str(unsure), permanent=False) from None

    def find(self, address: str, marker: str, since: datetime) -> Receipt | None:
        try:
            team, channel = self._conversation(address)
            message = self._look(team, channel, marker, since)
        except SendError as refused:
            raise AmbiguousSend(f"it cannot be looked up: {refused.reason}") from None
        return None if message is None else self._receipt(team, channel, message)

    # --- answers -----------------------------------------------------------------------------------------------------

    def show(self, heard: Heard, reply: Reply, *, again: bool) -> Receipt | None:
        place = heard.place
        if heard.act == "home" or place.surface == "home":
            if reply.card is not None:
                view = self._blocks.home(reply.card, secrets.token_hex(4), hosts=self._front.links())
                self._call(place.team, "views.publish", user_id=heard.account, view=view)
            return None
        if heard.act == "hello":
            self._prompt(heard, reply)
        if reply.card is None:
            if place.surface == "pane":
                self._status(heard, "")
            return None
        drawn = self._drawn(reply.card)
        if heard.act == "press" and reply.took and place.message:
            return self._replace(heard, drawn)
        if heard.act == "press" or place.surface == "command" or (reply.private and place.surface == "channel"):
            return self._privately(heard, drawn, again=again)
        return self._answer(heard, drawn, place.thread if place.surface != "channel" else place.thread or place.message, again)

    def _answer(self, heard: Heard, drawn: Sequence[Message], thread: str, again: bool) -> Receipt | None:
        """A message in the conversation that the person is in, once. Where its thread is gone, beside it."""
        try:
            return self._once(*self._spot(heard), drawn, heard, thread, again)
        except SendError as refused:
            if not thread or getattr(refused, "code", "") not in _GONE:
                raise
        if heard.place.surface == "channel":
            return self._privately(replace(heard, place=replace(heard.place, thread="")), drawn, again=again)
        return self._once(*self._spot(heard), drawn, heard, "", again)

    def _once(self, team: str, channel: str, drawn: Sequence[Message], heard: Heard, thread: str, again: bool) -> Receipt:
        marker = f"heard:{heard.key}"
        said = self._look(team, channel, marker, heard.at, thread) if again else None
        return self._receipt(team, channel, said or self._post(team, channel, drawn, marker, thread))

    def _replace(self, heard: Heard, drawn: Sequence[Message]) -> Receipt | None:
        """The pressed message becomes this card; where it cannot any more, the card is shown to who pressed."""
        team, channel = self._spot(heard)
        try:
            if heard.details.get("ephemeral") and heard.details.get("response_url"):  # there is no other way to reach it
                self._respond(heard, drawn, replace_original=True)
                return None
            self._edit(team, channel, heard.place.message, drawn[0])
        except SendError as refused:
            if not refused.permanent:
                raise
            return self._privately(heard, drawn, again=True)
        return self._receipt(team, channel, heard.place.message)

    def _privately(self, heard: Heard, drawn: Sequence[Message], *, again: bool) -> Receipt | None:
        """To this person alone: in the channel, else by the response_url, else directly.

        What is shown to one person is kept nowhere and cannot be looked up, so after a doubt it is shown again.
        """
        place, (team, channel) = heard.place, self._spot(heard)
        if channel.startswith("D") and place.surface in ("dm", "pane"):
            return self._answer(heard, drawn, place.thread, again)
        try:
            if channel:
                for message in drawn:
                    self._whisper(team, channel, heard.account, place.thread, message)
                return None
        except SendError as refused:
            if getattr(refused, "code", "") not in _OUTSIDE:
                raise
        try:
            if heard.details.get("response_url"):
                self._respond(heard, drawn, replace_original=False)
                return None
        except SendError as refused:
            if not refused.permanent:
                raise
        team, channel = self._conversation(self._address(team, heard.account))
        return self._once(team, channel, drawn, heard, "", again)

    def _whisper(self, team: str, channel: str, account: str, thread: str, message: Message) -> None:
        self._take_turn(team, channel)
        said = {"text": message.text, "blocks": message.blocks}
        self._call(team, "chat.postEphemeral", channel=channel, user=account, thread_ts=thread or None, **said)

    def _respond(self, heard: Heard, drawn: Sequence[Message], *, replace_original: bool) -> None:
        for number, message in enumerate(drawn):
            body = {"response_type": "ephemeral", "text": message.text, "blocks": message.blocks}
            self._client.respond(heard.details["response_url"], {**body, "replace_original": replace_original and number == 0})

    def _prompt(self, heard: Heard, reply: Reply) -> None:
        """The suggestions of a fresh pane, and its title. Without them the pane works all the same."""
        team, channel = self._spot(heard)
        where = {"channel_id": channel, "thread_ts": heard.place.thread}
        try:
            if reply.prompts:
                prompts = [{"title": str(prompt), "message": str(prompt)} for prompt in reply.prompts[:_PROMPTS]]
                self._call(team, "assistant.threads.setSuggestedPrompts", **where, prompts=prompts)
            title = reply.card.title if reply.card is not None and reply.card.title else cards.say("Ask Holdfast")
            self._call(team, "assistant.threads.setTitle", **where, title=str(title)[:_TITLE])
        except (SendError, AmbiguousSend) as failed:
            _log.warning("The side pane was not set up: %s.", failed)

    # --- beside the answers, for the edge ------------------------------------------------------------------------------

    def open_form(self, wanted: FormWanted) -> None:
        """Open what a button asks for, or tell the person to press again. Raises nothing."""
        from bot.platforms.slack.read import carried

        press = wanted.press
        try:
            form = self._front.form(press.verb, self.name)
            if form is not None:
                view = self._blocks.form(form, carried(press))
                self._call(press.place.team, "views.open", timeout_s=_BRIEF_S, trigger_id=wanted.trigger, view=view)
            return
        except (SendError, AmbiguousSend, ValueError) as failed:
            _log.warning("A form was not opened: %s.", failed)
        try:
            self._privately(press, self._drawn(Card("reply", self._front.sentence("press_again"))), again=False)
        except Exception as failed:  # noqa: BLE001  the last thing to be tried, in a thread of its own
            _log.warning("Nor could the person be told to press again (%s).", type(failed).__name__)

    def working(self, heard: Heard) -> None:
        """Say in the side pane that we are at it. Raises nothing."""
        self._status(heard, cards.say("is looking in your SOPs…"))

    def gone(self, heard: Heard) -> None:
        """The workspace removed the app: its tokens are worth nothing any more."""
        if self._installs is not None:
            self._installs.forget(heard.place.team)

    def _status(self, heard: Heard, status: str) -> None:
        team, channel = self._spot(heard)
        where = {"channel_id": channel, "thread_ts": heard.place.thread or heard.place.message}
        try:
            self._call(team, "assistant.threads.setStatus", timeout_s=_BRIEF_S, **where, status=str(status))
        except Exception as failed:  # noqa: BLE001  an ornament, in a thread of its own
            _log.info("The side pane shows no status (%s).", type(failed).__name__)

    # --- people ------------------------------------------------------------------------------------------------------

    def who(self, team: str, account: str) -> Known | None:
        return self._known(team, "users.info", user=account)

    def by_email(self, email: str) -> Known | None:
        for team in self._teams():
            if (known := self._known(team, "users.lookupByEmail", email=email)) is not None:
                return known
        return None

    def _known(self, team: str, method: str, **by: str) -> Known | None:
        from bot.platforms.slack.client import Refused

        try:
            user = self._call(team, method, **by).get("user")
        except Refused as refused:
            if refused.code in _NOBODY:
                return None
            raise
        except AmbiguousSend as unsure:
            raise SendError(str(unsure), permanent=False) from None
        return self._person(team, user if isinstance(user, Mapping) else {})

    def _person(self, team: str, user: Mapping[str, Any]) -> Known | None:
        """A colleague; None for a bot, a guest, somebody of another workspace, or somebody who has left."""
        account = user.get("id")
        not_ours = ("deleted", "is_bot", "is_workflow_bot", "is_restricted", "is_ultra_restricted", "is_stranger")
        if not isinstance(account, str) or not account or account == "USLACKBOT" or any(user.get(flag) for flag in not_ours):
            return None
        profile = user.get("profile")
        email = profile.get("email") if isinstance(profile, Mapping) else None
        home = team or str(user.get("team_id") or "")
        address = self._address(team if self._installs else "", account)
        return Known(account, home, email if isinstance(email, str) else "", address)

    # --- files -------------------------------------------------------------------------------------------------------

    def fetch(self, heard: Heard, file: Attached, into: BinaryIO, limit: int) -> None:
        from bot.platforms.slack import files
        from bot.platforms.slack.client import Refused

        team = heard.place.team

        def call(method: str, **given: str) -> Mapping[str, Any]:
            return self._call(team, method, **given)

        try:
            files.fetch(call, lambda: self._token(team), self._settings.slack_api_url, file, into, limit)
        except Refused:  # there is no token of this workspace
            raise NotFetched("forbidden") from None

    # --- what keeps it from working ------------------------------------------------------------------------------------

    def probe(self) -> Sequence[str]:
        return list(self._problems())

    def _problems(self) -> Iterator[str]:
        from bot.platforms.slack import manifest
        from bot.platforms.slack.installs import Unsealable

        settings = self._settings
        tokens = {"SLACK_BOT_TOKEN": settings.slack_bot_token} if settings.slack_bot_token else {}
        for team in self._installs.teams() if self._installs else ():
            try:
                tokens[f"The token of workspace {team}"] = self._token(team)
            except (Unsealable, SendError) as unreadable:
                yield str(unreadable)
        if not tokens:
            yield f"No workspace has installed the app yet: open {settings.url or ''}{manifest.INSTALL_PATH} and allow it."
        for what, token in tokens.items():
            yield from self._token_problems(what, token)
        if settings.slack_app_token:
            try:
                self._client.connects(settings.slack_app_token)
            except (SendError, AmbiguousSend) as failed:
                yield _app_token_problem(settings.slack_api_url, failed)
        elif not settings.url:
            yield (
                "HOLDFAST_URL is not set: Slack calls us over HTTP and needs an https address for "
                f"{manifest.EVENTS_PATH}; set it, or use Socket Mode with SLACK_APP_TOKEN."
            )

    def _token_problems(self, what: str, token: str) -> Iterator[str]:
        from bot.platforms.slack import manifest

        try:
            scopes = self._client.scopes(token)
        except (SendError, AmbiguousSend) as failed:
            code = getattr(failed, "code", "")
            if code in ("", "unreachable", "ratelimited"):
                yield f"Slack cannot be asked at {self._settings.slack_api_url}: {failed}. Check the network, or SLACK_API_URL."
            else:
                yield f"{what} is refused by Slack ({code}): copy the bot token from “OAuth & Permissions” again."
            return
        for scope, purpose in manifest.SCOPES.items():
            if scopes is not None and scope not in scopes:
                yield f"{what} lacks the scope {scope}, which is needed to {purpose}: add it and install the app again."

    # --- one call ----------------------------------------------------------------------------------------------------

    def _call(self, team: str, method: str, **given: Any) -> Mapping[str, Any]:
        return self._client.call(team if self._installs else "", method, **given)

    def _token(self, team: str) -> str:
        """raises Refused"""
        from bot.platforms.slack.client import Refused
        from bot.platforms.slack.installs import Unsealable

        if self._installs is not None:
            try:
                known = team or next(iter(self._installs.teams()), "")
                if token := self._installs.token(known):
                    return token
            except Unsealable as unreadable:
                raise Refused("unsealable", str(unreadable), permanent=False) from None
        if self._settings.slack_bot_token:
            return self._settings.slack_bot_token
        raise Refused("not_installed", "the workspace has removed the app", permanent=True)

    def _teams(self) -> Sequence[str]:
        """The workspaces to look in; one without a name where there is but one."""
        return [*(self._installs.teams() if self._installs else ()), *([""] if self._settings.slack_bot_token else [])]

    def _drawn(self, card: Card) -> list[Message]:
        return self._blocks.messages(card, secrets.token_hex(4), hosts=self._front.links())

    def _conversation(self, address: str) -> tuple[str, str]:
        """The workspace and conversation of an address; a person's is opened first. Nothing is sent, so nothing is unsure."""
        team, target = self._split(address)
        if not _is_person(target):
            return team, target
        known = self._opened.get((team, target))
        if known is None:
            try:
                channel = self._call(team, "conversations.open", users=target).get("channel")
            except AmbiguousSend as unsure:
                raise SendError(str(unsure), permanent=False) from None
            opened = channel.get("id") if isinstance(channel, Mapping) else None
            if not isinstance(opened, str) or not opened:
                raise SendError("Slack opened a conversation without a name", permanent=False)
            known = self._opened[team, target] = opened
        return team, known

    def _post(self, team: str, channel: str, drawn: Sequence[Message], marker: str, thread: str = "") -> str:
        """The first message with our marker, what did not fit into it below it; the first one's id."""
        first, *rest = drawn
        said = self._post_one(team, channel, first, thread, marker)
        for more in rest:
            self._continue(team, channel, more, thread or said)
        return said

    def _post_one(self, team: str, channel: str, message: Message, thread: str, marker: str = "") -> str:
        self._take_turn(team, channel)
        metadata = {"event_type": "holdfast", "event_payload": {"marker": marker}} if marker else None
        said = self._call(
            team,
            "chat.postMessage",
            channel=channel,
            text=message.text,
            blocks=message.blocks,
            thread_ts=thread or None,
            metadata=metadata,
            unfurl_links=False,
            unfurl_media=False,
        ).get("ts")
        if not isinstance(said, str) or not said:
            raise AmbiguousSend("Slack took the message without saying where it is")
        return said

    def _take_turn(self, team: str, channel: str) -> None:
        """Wait for this channel's next turn. raises SendError where that is far off"""
        wait = self._pace.reserve((team, channel), _LONGEST_TURN_S)
        if wait is None:
            later = self._pace.wait_s((team, channel))
            raise SendError("it is not this channel's turn", permanent=False, retry_after_s=later)
        if wait > 0:
            time.sleep(wait)

    def _continue(self, team: str, channel: str, message: Message, thread: str) -> None:
        """The rest of a card whose beginning has arrived: what is refused for now is tried again, what is unsure is not."""
        for _ in range(3):
            try:
                self._post_one(team, channel, message, thread)
                return
            except SendError as refused:
                if refused.permanent or (refused.retry_after_s or 0) > 30:
                    break
                time.sleep(refused.retry_after_s or 1.0)
            except AmbiguousSend:
                break
        _log.warning("The rest of a long message may be missing in the thread below it.")

    def _edit(self, team: str, channel: str, message: str, drawn: Message) -> None:
        self._call(team, "chat.update", channel=channel, ts=message, text=drawn.text, blocks=drawn.blocks)

    def _look(self, team: str, channel: str, marker: str, since: datetime, thread: str = "") -> str | None:
        """The id of the message with this marker, if it was posted after `since`. raises AmbiguousSend where nobody can know"""
        method, where = ("conversations.replies", {"ts": thread}) if thread else ("conversations.history", {})
        oldest, cursor = f"{(since - _EARLIER).timestamp():.6f}", ""
        for _ in range(_PAGES):
            try:
                page = self._call(
                    team,
                    method,
                    channel=channel,
                    **where,
                    oldest=oldest,
                    limit=_PAGE,
                    include_all_metadata=True,
                    cursor=cursor or None,
                )
            except SendError as refused:
                if thread and getattr(refused, "code", "") in _GONE:
                    return None
                raise AmbiguousSend(f"it cannot be looked up: {refused.reason}") from None
            for message in _maps(page.get("messages")):
                if _marker_of(message) == marker and isinstance(message.get("ts"), str):
                    return str(message["ts"])
            cursor = _cursor(page)
            if not cursor:
                return None
        raise AmbiguousSend("there is too much to look through")

    def _spot(self, heard: Heard) -> tuple[str, str]:
        """The workspace and the conversation in which something was heard."""
        return heard.place.team if self._installs else "", heard.place.channel.rpartition("/")[2]

    def _receipt(self, team: str, channel: str, message: str) -> Receipt:
        return Receipt(self._address(team, channel), message)

    def _address(self, team: str, target: str) -> str:
        return f"{team}/{target}" if team else target

    def _split(self, address: str) -> tuple[str, str]:
        """The workspace and what it names there; no workspace where there is but one, so that its limits are counted once."""
        team, slash, target = address.rpartition("/")
        return (team if self._installs else "", target) if slash else ("", address)


def _app_token_problem(api_url: str, failed: Exception) -> str:
    from bot.platforms.slack import manifest

    code = getattr(failed, "code", "")
    if code in ("", "unreachable", "ratelimited"):
        return f"Slack cannot be asked for a socket at {api_url}: {failed}. Check the network, or SLACK_API_URL."
    if code == "missing_scope":
        return f"SLACK_APP_TOKEN lacks the scope {manifest.APP_TOKEN_SCOPE}: make a new one under “Basic Information”."
    return f"SLACK_APP_TOKEN is refused by Slack ({code}): make one with {manifest.APP_TOKEN_SCOPE} under “Basic Information”."


def _is_person(target: str) -> bool:
    return target.startswith(("U", "W"))


def _marker_of(message: Mapping[str, Any]) -> str:
    metadata = message.get("metadata")
    payload = metadata.get("event_payload") if isinstance(metadata, Mapping) else None
    return str(payload.get("marker", "")) if isinstance(payload, Mapping) else ""


def _cursor(page: Mapping[str, Any]) -> str:
    about = page.get("response_metadata")
    cursor = about.get("next_cursor") if isinstance(about, Mapping) else None
    return cursor if isinstance(cursor, str) else ""


def _maps(value: object) -> Iterator[Mapping[str, Any]]:
    yield from (one for one in value if isinstance(one, Mapping)) if isinstance(value, list) else ()
