"""What a Teams client sends, read as Heard or Invoke. Pure, and tolerant: whatever JSON comes, nothing is raised.

An activity that is nothing for us (an edited message, a reaction, another bot) is None. Field names are those of the Bot
Framework's Activity and of Teams' channelData.
"""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from bot.chat import Act, Attached, Form, Heard, Place, Surface
from bot.platforms.teams.cards import REFRESH, Pressed, read_action
from bot.platforms.teams.manifest import EXTENSIONS, SEARCHED

Way = Literal["press", "refresh", "stale", "search", "about", "unknown"]
Forms = Callable[[str], Form | None]

FILE = "application/vnd.microsoft.teams.file.download.info"
_FILES = 10
"""How many files of one message are taken; Teams sends no more at once."""
TEXT_LIMIT = 28_000
"""Characters that are read of what somebody typed: no Teams client sends more."""
_AT = re.compile(r"</?at\b[^<>]{0,200}>", re.IGNORECASE)
_AT_FIRST = re.compile(r"\s*<at\b[^<>]{0,200}>[^<>]{0,200}</at>", re.IGNORECASE)
_BLOCK = re.compile(r"</?(?:p|div|br|li|tr|blockquote)\b[^<>]*>", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>")
_ACCOUNT = re.compile(r"[A-Za-z0-9_:./@-]{1,200}")
_WAYS: Mapping[str, Way] = {extension.id: extension.way for extension in EXTENSIONS}


@dataclass(frozen=True)
class Invoke:
    """Something that wants its answer in the same breath.

    way    press a button; refresh a card for its reader; a button that is stale; search or ask about a message in the message
           extension; or nothing that we offer
    heard  None where `way` is unknown
    """

    way: Way
    heard: Heard | None = None


def read(activity: Mapping[str, Any], now: datetime, forms: Forms) -> Heard | Invoke | None:
    """What this activity is for us.

    now    when it was received, aware UTC
    forms  what the button with a verb asks for, or None
    """
    kind = activity.get("type")
    if kind == "invoke":
        return _invoke(activity, now, forms)
    heard = _heard(activity, now)
    if heard is None or _is_bot(activity):
        return None
    if kind == "message":
        return _message(activity, heard, forms)
    if heard.place.surface != "dm":
        return None
    act = _coming_or_going(activity, kind)
    if act is None:
        return None
    return replace(heard, act=act, details={**heard.details, "why": "uninstalled"} if act == "left" else heard.details)


def _message(activity: Mapping[str, Any], heard: Heard, forms: Forms) -> Heard | None:
    value = activity.get("value")
    if isinstance(value, Mapping):
        pressed = read_action(value if "action" in value else {"action": {**value, "data": value.get("data", value)}})
        if pressed and pressed.verb != REFRESH:
            return _press(activity, heard, pressed, forms)
    said, is_for_us = _said(activity)
    if heard.place.surface != "dm" and not is_for_us:
        return None
    return replace(heard, text=said, files=_files(activity) if heard.place.surface == "dm" else ())


def _files(activity: Mapping[str, Any]) -> tuple[Attached, ...]:
    """The files that were sent in a chat of one; elsewhere Teams gives a bot none. Its links need no token of ours."""
    sent = [each for each in map(_object, _list(activity.get("attachments"))) if each.get("contentType") == FILE]
    links = [(each, _url(_object(each.get("content")).get("downloadUrl"))) for each in sent[:_FILES]]
    return tuple(Attached(_typed(each.get("name"))[:200], url=url) for each, url in links)


def _invoke(activity: Mapping[str, Any], now: datetime, forms: Forms) -> Invoke:
    heard = _heard(activity, now)
    name, value = activity.get("name"), _object(activity.get("value"))
    if heard is None:
        return Invoke("unknown")
    if name == "adaptiveCard/action":
        pressed = read_action(value)
        if pressed is None:
            return Invoke("stale", heard)
        press = _press(activity, heard, pressed, forms)
        is_refresh = pressed.verb == REFRESH or value.get("trigger") == "automatic"  # what nobody pressed must do nothing
        return Invoke("refresh" if is_refresh else "press", press)
    way = _WAYS.get(_word(value.get("commandId")))
    asked = replace(heard, place=replace(heard.place, surface="command"), details={**heard.details, "scope": "command"})
    if name == "composeExtension/query" and way == "search":
        return Invoke("search", replace(asked, text=_searched(value)))
    if name in ("composeExtension/fetchTask", "composeExtension/submitAction") and way == "about":
        return Invoke("about", replace(asked, text=_quoted(value)))
    return Invoke("unknown")


def _press(activity: Mapping[str, Any], heard: Heard, pressed: Pressed, forms: Forms) -> Heard:
    """The key names the drawn button and who pressed it: Teams repeats an invoke under new activity ids."""
    form = forms(pressed.verb) if pressed.needs else None
    choice, typed = _typed(pressed.choice), _typed(pressed.typed)
    return replace(
        heard,
        key=f"teams:{heard.account}:{pressed.nonce}:{pressed.verb}:{pressed.target}",
        act="press",
        place=replace(heard.place, message=_word(activity.get("replyToId"))),
        verb=pressed.verb,
        target=pressed.target,
        note=form.note(choice, typed) if form else (typed.strip() or choice),
    )


def _heard(activity: Mapping[str, Any], now: datetime) -> Heard | None:
    """Who did it and where; None where one of them is missing."""
    sender, bot = _object(activity.get("from")), _object(activity.get("recipient"))
    conversation = _object(activity.get("conversation"))
    user, whole = _word(sender.get("id")), _word(conversation.get("id"))
    account = _word(sender.get("aadObjectId")) or user
    if not _ACCOUNT.fullmatch(account) or not whole:
        return None
    channel, _, thread = whole.partition(";messageid=")
    surface = _surface(activity, conversation, whole)
    tenant = next(iter(tenants(activity)), "")
    name = _word(activity.get("id")) or _name(activity, account)
    return Heard(
        key=f"teams:{channel}:{name}",
        act="ask",
        account=account,
        place=Place("teams", tenant, channel, thread, _word(activity.get("id")), surface),
        at=now,
        details={
            "service_url": _word(activity.get("serviceUrl")),
            "bot": _word(bot.get("id")),
            "conversation": whole,
            "tenant": tenant,
            "user": user,
            "scope": "personal" if surface == "dm" else "group",
        },
    )


def _name(activity: Mapping[str, Any], account: str) -> str:
    """An id for an activity that came without one: the same for the same words at the same time."""
    parts = (account, *(_typed(activity.get(field)) for field in ("type", "name", "timestamp", "text", "action")))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def tenants(activity: Mapping[str, Any]) -> list[str]:
    """Every tenant that the activity names, in lower case."""
    told = (
        _object(activity.get("conversation")).get("tenantId"),
        _object(_object(activity.get("channelData")).get("tenant")).get("id"),
    )
    return list(dict.fromkeys(_word(each).lower() for each in told if each is not None))


def _surface(activity: Mapping[str, Any], conversation: Mapping[str, Any], whole: str) -> Surface:
    """A chat of one with the bot, or one where others read along. What is not told counts as the second where it looks so."""
    kind, data = conversation.get("conversationType"), _object(activity.get("channelData"))
    if kind is None and not (conversation.get("isGroup") or data.get("team") or data.get("channel") or whole.startswith("19:")):
        return "dm"
    return "dm" if kind == "personal" else "channel"


def _is_bot(activity: Mapping[str, Any]) -> bool:
    sender, bot = _object(activity.get("from")), _object(activity.get("recipient"))
    name = _word(sender.get("id"))
    return sender.get("role") == "bot" or name.startswith("28:") or (bool(name) and name == bot.get("id"))


def _coming_or_going(activity: Mapping[str, Any], kind: object) -> Act | None:
    """Whether the bot was added or removed."""
    if kind == "installationUpdate":
        acts: Mapping[str, Act] = {"add": "joined", "add-upgrade": "joined", "remove": "left", "remove-upgrade": "left"}
        return acts.get(_word(activity.get("action")))
    if kind == "conversationUpdate":
        bot = _word(_object(activity.get("recipient")).get("id"))
        if bot in _ids(activity.get("membersAdded")):
            return "joined"
        if bot in _ids(activity.get("membersRemoved")):
            return "left"
    return None


def _ids(members: object) -> set[str]:
    return {_word(_object(member).get("id")) for member in _list(members)} - {""}


# --- what was typed --------------------------------------------------------------------------------------------------------


def _said(activity: Mapping[str, Any]) -> tuple[str, bool]:
    """What was typed, without the mention of the bot; and whether the bot was mentioned."""
    text, bot = _typed(activity.get("text")), _word(_object(activity.get("recipient")).get("id"))
    mentions = [each for each in map(_object, _list(activity.get("entities"))) if each.get("type") == "mention"]
    ours = [each for each in mentions if bot and _object(each.get("mentioned")).get("id") == bot]
    is_for_us = bool(ours)
    for each in ours:
        named = _typed(each.get("text"))
        text = text.replace(named, " ", 1) if named else text
    if not mentions and _AT_FIRST.match(text):
        text, is_for_us = _AT_FIRST.sub(" ", text, count=1), True
    return html.unescape(_AT.sub("", text)).replace("\xa0", " ").strip(), is_for_us


def _searched(value: Mapping[str, Any]) -> str:
    """What is searched for; empty while nothing is typed yet."""
    for each in map(_object, _list(value.get("parameters"))):
        if each.get("name") == SEARCHED:
            return _typed(each.get("value")).strip()
    return ""


def _quoted(value: Mapping[str, Any]) -> str:
    """The text of the message that is asked about."""
    body = _object(_object(value.get("messagePayload")).get("body"))
    content = _typed(body.get("content"))
    if body.get("contentType") == "text":
        return content.strip()
    lines = _TAG.sub("", _BLOCK.sub("\n", content))
    return re.sub(r"[^\S\n]*\n\s*", "\n", html.unescape(lines).replace("\xa0", " ")).strip()


# --- reading JSON of any shape ---------------------------------------------------------------------------------------------


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return value[:500] if isinstance(value, list) else []


def _word(value: object) -> str:
    """An id or an address: one line of at most 500 visible characters; empty for anything else."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18:
        return str(value)
    is_word = isinstance(value, str) and len(value) <= 500 and value.isprintable() and not re.search(r"\s", value)
    return str(value) if is_word else ""


def _url(value: object) -> str:
    """An address of at most 4,000 characters, which a file's is: it holds a key. Empty for anything else."""
    is_url = isinstance(value, str) and value.isascii() and value.isprintable() and " " not in value and len(value) <= 4000
    return str(value) if is_url else ""


def _typed(value: object) -> str:
    """What a person typed, without the characters that no database keeps."""
    text = value[:TEXT_LIMIT] if isinstance(value, str) else ""
    return "".join(char for char in text if char in "\n\t" or (char >= " " and not "\ud800" <= char <= "\udfff"))
