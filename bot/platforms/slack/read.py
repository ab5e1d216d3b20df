"""What a payload of Slack means: somebody did something (Heard), wants a form, sent one back, or nothing we listen to.

Pure, and tolerant: whatever JSON comes in, nothing raises. Ids are ASCII and short; text has no NUL and no half characters,
which a database would refuse; and Slack's markup in it is plain words again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, cast, get_args

from bot.chat import Act, Attached, Heard, Place, Surface
from bot.platforms.slack import blocks
from bot.platforms.slack.manifest import ABOUT_MESSAGE, COMMANDS

PLATFORM = "slack"
STALE = "stale"
"""The verb of a button that we do not know any more: the core answers it with a card that does."""

_COMMANDS = {command.name: command for command in COMMANDS}
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,120}", re.ASCII)
_TOKEN = re.compile(r"<([^<>]{0,3000})>")
_MENTION = re.compile(r"\s*<@([A-Z0-9]{1,30})(?:\|[^<>]*)?>[\s,:]*")
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))
_SILENT = frozenset({"thread_broadcast", "file_share"})
"""Subtypes of a message that is still a person's new message; every other one is an edit, a deletion, or a bot's."""
_GONE = frozenset({"tombstone", "hidden_by_limit"})
"""Modes of a file that is no longer there."""
_FILES = 10
"""How many files of one message are taken; Slack sends no more at once."""
_LINK = re.compile(r"hf:\d+:open")
_URL_LONGEST = 500
_NAME_LONGEST = 200


@dataclass(frozen=True)
class FormWanted:
    """A press on a button that asks for more: its form is to be opened at once, a trigger lives for 3 seconds."""

    press: Heard
    trigger: str


@dataclass(frozen=True)
class FormSent:
    """A form that came back.

    press    the press it belongs to, without its note
    code     the choice that was made, or empty
    typed    what was typed, or empty
    fields   the names of its fields, below which something can be said
    """

    press: Heard
    code: str
    typed: str
    fields: tuple[str, ...] = ()


Read = Heard | FormWanted | FormSent | None


def read(payload: object, now: datetime) -> Read:
    """What this payload means; None: nothing that we listen to.

    payload  the JSON of an event, an interaction or (its form fields as a dict) a command
    now      aware UTC, when it came
    """
    body = _map(payload)
    kind = body.get("type")
    if kind == "event_callback":
        return _event(body, now)
    if kind == "block_actions":
        return _press(body, now)
    if kind == "view_submission":
        return _sent(body, now)
    if kind == "message_action":
        return _about(body, now)
    if "command" in body:
        return _command(body, now)
    return None


# --- events --------------------------------------------------------------------------------------------------------------


def _event(body: Mapping[str, Any], now: datetime) -> Heard | None:
    event, key = _map(body.get("event")), _id(body.get("event_id"))
    if not key:
        return None
    base = _Base(f"{PLATFORM}:{key}", _team(body), now)
    match event.get("type"):
        case "app_mention":
            return _mention(event, base)
        case "message":
            return _message(body, event, base)
        case "app_home_opened":
            user = _id(event.get("user"))
            return base.heard("home", user, surface="home") if user and event.get("tab", "home") == "home" else None
        case "assistant_thread_started":
            thread = _map(event.get("assistant_thread"))
            channel, root, user = (_id(thread.get(name)) for name in ("channel_id", "thread_ts", "user_id"))
            is_whole = channel and root and user
            return base.heard("hello", user, surface="pane", channel=channel, thread=root) if is_whole else None
        case "app_uninstalled":
            return base.heard("left", "", details={"why": "uninstalled"})
        case "tokens_revoked":
            is_ours = bool(_list(_map(event.get("tokens")).get("bot")))
            return base.heard("left", "", details={"why": "uninstalled"}) if is_ours else None
        case "user_change":
            changed = _map(event.get("user"))
            account = _id(changed.get("id"))
            is_gone = changed.get("deleted") is True and account and changed.get("is_bot") is not True
            return base.heard("left", account, details={"why": "deactivated"}) if is_gone else None
    return None


@dataclass(frozen=True)
class _Base:
    """What everything heard in one payload shares."""

    key: str
    team: str
    at: datetime

    def heard(
        self,
        act: Act,
        account: str,
        *,
        surface: Surface = "dm",
        channel: str = "",
        thread: str = "",
        message: str = "",
        text: str = "",
        details: Mapping[str, str] | None = None,
        files: tuple[Attached, ...] = (),
    ) -> Heard:
        place = Place(PLATFORM, self.team, channel, thread, message, surface)
        return Heard(self.key, act, account, place, self.at, text=text, details=details or {}, files=files)


def _mention(event: Mapping[str, Any], base: _Base) -> Heard | None:
    where = _where(event)
    if where is None:
        return None
    account, channel, message, thread = where
    text = plain(_text(event.get("text")), drop_first_mention=True)
    return base.heard("ask", account, surface="channel", channel=channel, thread=thread, message=message, text=text)


def _message(body: Mapping[str, Any], event: Mapping[str, Any], base: _Base) -> Heard | None:
    """Written to us directly, or a follow-up in a thread. A reply that begins by naming somebody is said to them."""
    where = _where(event)
    if where is None:
        return None
    account, channel, message, thread = where
    raw = _text(event.get("text"))
    if event.get("channel_type") == "im" or (not event.get("channel_type") and channel.startswith("D")):
        surface: Surface = "pane" if thread else "dm"
        text = plain(raw, drop_first_mention=True)
        files = tuple(_files(event.get("files")))
        return base.heard(
            "ask", account, surface=surface, channel=channel, thread=thread, message=message, text=text, files=files
        )
    names_us = any(f"<@{bot}" in raw for bot in _bots(body))  # comes as app_mention too
    if not thread or thread == message or names_us or _MENTION.match(raw):
        return None
    return base.heard(
        "ask",
        account,
        surface="channel",
        channel=channel,
        thread=thread,
        message=message,
        text=plain(raw),
        details={"follow_up": "1"},
    )


def _files(value: object) -> Iterator[Attached]:
    """The files of a message by their ids; where each can be fetched is asked for when it is."""
    for file in map(_map, _list(value)[:_FILES]):
        if (found := _id(file.get("id"))) and file.get("mode") not in _GONE:
            size = file.get("size")
            bytes_ = size if isinstance(size, int) and not isinstance(size, bool) and 0 <= size < 10**15 else 0
            yield Attached(_text(file.get("name"))[:_NAME_LONGEST], found, size=bytes_)


def _where(event: Mapping[str, Any]) -> tuple[str, str, str, str] | None:
    """Account, channel, message and thread of a message that a person has just written; None for any other."""
    subtype = event.get("subtype")
    is_new = not subtype or (isinstance(subtype, str) and subtype in _SILENT)
    if not is_new or event.get("bot_id") or event.get("bot_profile") or event.get("hidden"):
        return None
    account, channel, message = _id(event.get("user")), _id(event.get("channel")), _id(event.get("ts"))
    if not (account and channel and message) or account == "USLACKBOT" or event.get("edited"):
        return None
    return account, channel, message, _id(event.get("thread_ts"))


def _bots(body: Mapping[str, Any]) -> Iterator[str]:
    """Our own account, as the event names it."""
    for one in _list(body.get("authorizations")):
        if _map(one).get("is_bot") is True and (bot := _id(_map(one).get("user_id"))):
            yield bot


# --- commands, shortcuts, buttons, forms -----------------------------------------------------------------------------------


def _command(body: Mapping[str, Any], now: datetime) -> Heard | None:
    command = _COMMANDS.get(str(body.get("command")))
    account, channel = _id(body.get("user_id")), _id(body.get("channel_id"))
    if command is None or not account:
        return None
    text = plain(_text(body.get("text"))) if command.takes_words else ""
    key = f"{PLATFORM}:{_id(body.get('trigger_id')) or f'{account}:{now.timestamp():.6f}'}"
    base = _Base(key, _id(body.get("team_id")) or _id(body.get("enterprise_id")), now)
    return base.heard("ask", account, surface="command", channel=channel, text=text or command.asks, details=_answer_at(body))


def _about(body: Mapping[str, Any], now: datetime) -> Heard | None:
    message = _map(body.get("message"))
    account, trigger = _id(_map(body.get("user")).get("id")), _id(body.get("trigger_id"))
    if body.get("callback_id") != ABOUT_MESSAGE or not account or not trigger:
        return None
    return _Base(f"{PLATFORM}:{trigger}", _team(body), now).heard(
        "ask",
        account,
        surface="command",
        channel=_id(_map(body.get("channel")).get("id")),
        thread=_id(message.get("thread_ts")),
        message=_id(message.get("ts")) or _id(body.get("message_ts")),
        text=plain(_text(message.get("text")), drop_first_mention=True),
        details=_answer_at(body),
    )


def _press(body: Mapping[str, Any], now: datetime) -> Heard | FormWanted | None:
    account, actions = _id(_map(body.get("user")).get("id")), _list(body.get("actions"))
    if not account or not actions:
        return None
    action, container, message = _map(actions[0]), _map(body.get("container")), _map(body.get("message"))
    channel = _id(container.get("channel_id")) or _id(_map(body.get("channel")).get("id"))
    surface: Surface = "home" if not channel else "dm" if channel.startswith("D") else "channel"
    place = Place(
        PLATFORM,
        _team(body),
        channel,
        _id(container.get("thread_ts")) or _id(message.get("thread_ts")),
        _id(container.get("message_ts")) or _id(message.get("ts")),
        surface,
    )
    if _LINK.fullmatch(_text(action.get("action_id"))):
        return None  # a button that leads to a page is pressed in the browser; Slack only says so
    details = _answer_at(body) | ({"ephemeral": "1"} if container.get("is_ephemeral") is True else {})
    drawn = blocks.read_value(_value(action))
    if drawn is None:
        when = _id(action.get("action_ts")) or _id(body.get("trigger_id")) or f"{now.timestamp():.6f}"
        return Heard(f"{PLATFORM}:{account}:{STALE}:{when}", "press", account, place, now, verb=STALE, details=details)
    if pressed_at := _id(action.get("action_ts")):
        details |= {"pressed_at": pressed_at}
    press = Heard(
        f"{PLATFORM}:{account}:{drawn.nonce}:{drawn.verb}:{drawn.target}",
        "press",
        account,
        place,
        now,
        verb=drawn.verb,
        target=drawn.target,
        details=details,
    )
    return FormWanted(press, _id(body.get("trigger_id"))) if drawn.needs else press


def _value(action: Mapping[str, Any]) -> str:
    """What a button, a chosen option or a feedback button carries."""
    chosen = _map(action.get("selected_option")) or _map(action.get("selected_button"))
    return _text(action.get("value") or chosen.get("value"))


def _sent(body: Mapping[str, Any], now: datetime) -> Heard | FormSent | None:
    view, account = _map(body.get("view")), _id(_map(body.get("user")).get("id"))
    if not account:
        return None
    private, code, typed = blocks.read_form(view)
    press = opened_by(private, now)
    if press is None:
        when = _id(view.get("id")) or _id(body.get("trigger_id")) or f"{now.timestamp():.6f}"
        place = Place(PLATFORM, _team(body), "")
        return Heard(f"{PLATFORM}:{account}:{STALE}:{when}", "press", account, place, now, verb=STALE)
    if press.account != account:
        return None
    values = _map(_map(view.get("state")).get("values"))
    if opened := _id(view.get("id")):
        press = replace(press, details={**press.details, "pressed_at": opened})
    return FormSent(press, _text(code), _text(typed), tuple(name for name in values if isinstance(name, str)))


def carried(press: Heard) -> dict[str, str]:
    """A press, as the form that it opened carries it until it comes back."""
    place = press.place
    return {
        "key": press.key,
        "account": press.account,
        "verb": press.verb,
        "target": press.target,
        "team": place.team,
        "channel": place.channel,
        "thread": place.thread,
        "message": place.message,
        "surface": place.surface,
        **{f"d.{name}": value for name, value in press.details.items()},
    }


def opened_by(private: Mapping[str, str], now: datetime) -> Heard | None:
    """What `carried` wrote; None for anything else."""
    if not all(private.get(name) for name in ("key", "account", "verb", "surface")):
        return None
    surface = private["surface"]
    if surface not in get_args(Surface):
        return None
    team, channel, thread, message = (private.get(name, "") for name in ("team", "channel", "thread", "message"))
    return Heard(
        private["key"],
        "press",
        private["account"],
        Place(PLATFORM, team, channel, thread, message, cast("Surface", surface)),
        now,
        verb=private["verb"],
        target=private.get("target", ""),
        details={name.removeprefix("d."): value for name, value in private.items() if name.startswith("d.")},
    )


def _answer_at(body: Mapping[str, Any]) -> dict[str, str]:
    url = body.get("response_url")
    return {"response_url": url} if isinstance(url, str) and url.isascii() and 0 < len(url) <= _URL_LONGEST else {}


# --- text and ids ----------------------------------------------------------------------------------------------------------


def plain(text: str, *, drop_first_mention: bool = False) -> str:
    """Slack's markup as the words that a person sees: `<https://a.b|label>` is “label”, `&amp;` is “&”."""
    if drop_first_mention:
        text = _MENTION.sub("", text, count=1)
    text = _TOKEN.sub(_word, text)
    for entity, sign in _ENTITIES:
        text = text.replace(entity, sign)
    return text.strip()


def _word(token: re.Match[str]) -> str:
    target, _, label = token[1].partition("|")
    if label:
        return f"{target[0]}{label}" if target[:1] in ("@", "#") else label
    return f"@{target[1:]}" if target.startswith("!") else target


def _text(value: object) -> str:
    """A string without what databases and encoders refuse: NUL, halves of characters."""
    if not isinstance(value, str):
        return ""
    return value.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")


def _id(value: object) -> str:
    return value if isinstance(value, str) and _ID.fullmatch(value) else ""


def _team(body: Mapping[str, Any]) -> str:
    team = _map(body.get("team"))
    return _id(body.get("team_id")) or _id(team.get("id")) or _id(_map(body.get("enterprise")).get("id"))


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
