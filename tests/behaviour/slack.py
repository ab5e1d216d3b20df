"""The driver for Slack: what a person does at a Slack client, and what they read there."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, Protocol

from starlette.applications import Starlette

from bot.platforms.slack.blocks import read_value
from bot.records import Delivery
from tests.behaviour.chat import Shown
from tests.behaviour.platforms import LACK
from tests.behaviour.small import PRACTICE, Opens, Small
from tests.fakes import slack as fake_slack
from tests.fakes.local_slack import LocalSlack
from tests.fakes.serving import serving, wait_for
from tests.fakes.slack import Json, Slack, elements_of

PEOPLE = {f"U0{name.upper()}": name for name in ("bea", "tom", "rae", "mona", "olu")}
ADDRESSES = "\n[chat.slack]\n" + "".join(f'{account} = "{person}"\n' for account, person in PEOPLE.items())
"""The lines of a practice file that say whose the accounts are."""
_ACCOUNTS = {person: account for account, person in PEOPLE.items()}


class Workspace(Protocol):
    """What a driver needs of a stand-in: a Slack in which it can act as people, and look over their shoulders."""

    @property
    def bot(self) -> str: ...

    def dm(self, user: str) -> str: ...

    def seen_by(self, user: str, channel: str) -> list[Json]: ...

    def modal(self, user: str) -> Json | None: ...

    def say(self, user: str, channel: str, text: str) -> object: ...

    def command(self, user: str, channel: str, command: str, text: str) -> object: ...

    def press(self, user: str, message: Json, element: Json, *, channel: str, value: str | None) -> object: ...

    def submit(self, user: str, values: Mapping[str, Mapping[str, Json]]) -> Mapping[str, str]: ...

    def dismiss(self, user: str) -> None: ...


class SlackChat:
    """People of the practice at their Slack clients, each in the direct messages with the bot.

    small   a practice whose settings name `slack`, and whose practice file ends with `ADDRESSES`
    """

    def __init__(self, small: Small, slack: Workspace) -> None:
        self.small = small
        self.slack = slack

    def ask(self, person: str, words: str) -> Shown:
        user, dm = _at(person, self.slack)
        before = {message["ts"] for message in self.slack.seen_by(user, dm)}
        if words.strip():
            self.slack.say(user, dm, words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))
        else:  # nothing but blanks cannot be sent as a message
            self.slack.command(user, dm, "/sop", words)
        self.small.holdfast.work()
        fresh = [each for each in self._messages(person) if each["ts"] not in before]
        assert fresh, f"nothing came back to {words[:40]!r}"
        return self._shown(person, fresh[-1])

    def ask_among(self, person: str, others: Sequence[str], words: str) -> tuple[str, str]:
        assert isinstance(self.slack, Slack), LACK["channels"]["local-slack-http"]
        user, dm = _at(person, self.slack)
        channel = self.slack.channel("front-desk", [user, *(_ACCOUNTS[other] for other in others)])
        before = {each["ts"] for each in self.slack.seen_by(user, dm)}
        self.slack.mention(user, channel, words)
        self.small.holdfast.work()
        open_to_all = [each for each in self.slack.messages(channel) if each.get("user") == self.slack.bot]
        known = {each["ts"] for each in open_to_all}
        alone = [each for each in self.slack.seen_by(user, channel) if each["ts"] not in known and each.get("blocks")]
        alone += [each for each in self.slack.seen_by(user, dm) if each["ts"] not in before]
        return _all(open_to_all), _all(alone)

    def send(self, person: str, name: str, data: bytes) -> Shown:
        user, dm = _at(person, self.slack)
        before = {message["ts"] for message in self.slack.seen_by(user, dm)}
        assert isinstance(self.slack, Slack), LACK["files"]["local-slack-http"]
        self.slack.share(user, dm, name, data)
        self.small.holdfast.work()
        fresh = [each for each in self._messages(person) if each["ts"] not in before]
        assert fresh, f"nothing came back to {name!r}"
        return self._shown(person, fresh[-1])

    def press(self, person: str, label: str, note: str = "", *, about: str = "") -> Shown:
        for message in reversed(self._messages(person)):
            button = next((each for each in pressables(message["blocks"]) if each.label == label), None)
            if button and about in self._shown(person, message).all:
                return self._pressed(person, message, button, note)
        raise AssertionError(f"{person} sees no button {label!r}")

    def inbox(self, person: str) -> list[Shown]:
        brought = {each.message for each in self.small.deliveries() if _was_brought(each)}
        return [self._shown(person, each) for each in self._messages(person) if each["ts"] in brought]

    def _pressed(self, person: str, message: Json, button: Pressable, note: str) -> Shown:
        user, dm = _at(person, self.slack)
        before = {each["ts"] for each in self.slack.seen_by(user, dm)}
        self.slack.press(user, message, button.element, channel=dm, value=button.value)
        if button.asks:
            wait_for(lambda: self.slack.modal(user), f"no form was opened after {button.label!r}")
            form = self.slack.modal(user) or {}
            errors = self.slack.submit(user, filled(form, note))
            if errors:
                self.slack.dismiss(user)
                behind = self._shown(person, message)
                return replace(behind, text="\n".join([*errors.values(), behind.text]))
        self.small.holdfast.work()
        after = self._messages(person)
        now = next((each for each in after if each["ts"] == message["ts"]), None)
        fresh = [each for each in after if each["ts"] not in before]
        if now is not None and (now["blocks"] != message["blocks"] or not fresh):
            return self._shown(person, now)
        assert fresh, f"nothing came back to {button.label!r}"
        return self._shown(person, fresh[-1])

    def _messages(self, person: str) -> list[Json]:
        """What the bot has put before this person, oldest first; what goes on in a thread belongs to its message."""
        user, dm = _at(person, self.slack)
        return [each for each in self.slack.seen_by(user, dm) if each.get("user") == self.slack.bot and not _continues(each)]

    def _shown(self, person: str, message: Json) -> Shown:
        user, dm = _at(person, self.slack)
        more = [each for each in self.slack.seen_by(user, dm) if each.get("thread_ts") == message["ts"] and _continues(each)]
        return read_blocks([block for each in (message, *more) for block in each["blocks"]])


def _all(messages: Sequence[Json]) -> str:
    return "\n".join(read_blocks(each["blocks"]).all for each in messages)


def _at(person: str, slack: Workspace) -> tuple[str, str]:
    user = _ACCOUNTS[person]
    return user, slack.dm(user)


def _was_brought(delivery: Delivery) -> bool:
    return bool(delivery.message) and delivery.kind != "shown"


def _continues(message: Json) -> bool:
    return message.get("thread_ts", message["ts"]) != message["ts"] and str(message["text"]).endswith(", continued")


# --- pressing ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pressable:
    """A button as it can be pressed. `value`: set where the element holds several. `asks`: pressing it opens a form."""

    label: str
    element: Json
    value: str | None
    asks: bool


def pressables(blocks: Sequence[Json]) -> Iterator[Pressable]:
    """The buttons of a message, in order."""
    for block in blocks:
        for element in elements_of(block) if block["type"] in ("actions", "context_actions", "section") else []:
            if element["type"] == "button" and "url" not in element:
                drawn = read_value(element["value"])
                yield Pressable(words(element["text"]), element, None, bool(drawn and drawn.needs))
            elif element["type"] == "feedback_buttons":
                for half in (element["positive_button"], element["negative_button"]):
                    drawn = read_value(half["value"])
                    yield Pressable(words(half["text"]), element, half["value"], bool(drawn and drawn.needs))


def filled(form: Json, note: str) -> dict[str, dict[str, Json]]:
    """A note as somebody enters it: the choice that it begins with is picked and the rest is typed; else all of it is typed."""
    values: dict[str, dict[str, Json]] = {}
    inputs = [block for block in form["blocks"] if block["type"] == "input"]
    rest = note
    for block in inputs:
        element = block["element"]
        if element["type"] == "static_select":
            options = element.get("options") or [o for group in element["option_groups"] for o in group["options"]]
            found = _chosen(options, note, whole=block["optional"])
            if found:
                option, rest = found
                values[block["block_id"]] = {element["action_id"]: {"type": element["type"], "selected_option": option}}
    for block in inputs:
        element = block["element"]
        if element["type"] == "plain_text_input" and rest:
            values[block["block_id"]] = {element["action_id"]: {"type": element["type"], "value": rest}}
    return values


def _chosen(options: Sequence[Json], note: str, *, whole: bool) -> tuple[Json, str] | None:
    """The option that the note begins with (where it need not be chosen: that the note is), and what is left of the note."""
    named = [(word, o) for o in options for word in (o["value"], o["value"].replace("-", " "), words(o["text"]))]
    for word, option in sorted(named, key=lambda each: -len(each[0])):
        rest = note[len(word) :]
        if note.lower().startswith(word.lower()) and (not rest or (not whole and not rest[0].isalnum())):
            return option, rest.lstrip(" :,;-")
    return None


# --- reading -------------------------------------------------------------------------------------------------------------

_QUOTED = re.compile(r"^> ?", re.MULTILINE)
_LABELLED = re.compile(r"\*([^*\n]+)\*\n(.*)", re.DOTALL)
_STARS = re.compile(r"(?<!\w)\*(\S(?:[^*\n]*\S)?)\*(?!\w)")


@dataclass
class _Reader:
    """A message as it is read from top to bottom."""

    title: str = ""
    text: list[str] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    quotes: list[str] = field(default_factory=list)
    quoting: list[str] = field(default_factory=list)

    def read(self, block: Json, following: Json) -> None:
        match block["type"]:
            case "header":
                self.title = self.title or words(block["text"])
            case "section" if "fields" in block:
                for each in block["fields"]:
                    label, _, value = words(each).partition("\n")
                    self.facts[label] = value
            case "section" if self._is_quote(block, following):
                self.quoting.append(_QUOTED.sub("", words(block["text"])))
            case "section" if self.facts or _LABELLED.fullmatch(str(block["text"]["text"])):
                label, _, value = words(block["text"]).partition("\n")
                self.facts[label] = value
            case "section":
                self.text.append(words(block["text"]))
            case "context" if _says_where(block):
                self.quotes.append("\n".join(self.quoting).removeprefix("“").removesuffix("”"))
                self.quoting = []
            case "context" if not self.facts and not self.quotes and len(block["elements"]) == 1:
                self.text.append(words(block["elements"][0]))

    def _is_quote(self, block: Json, following: Json) -> bool:
        text = block["text"]
        as_quote = text["type"] == "mrkdwn" and str(text["text"]).startswith(">")
        return as_quote or bool(self.quoting) or (str(text["text"]).startswith("“") and _says_where(following))


def _says_where(block: Json) -> bool:
    return bool(block) and block["type"] == "context" and words(block["elements"][0]).startswith("— ")


def read_blocks(blocks: Sequence[Json]) -> Shown:
    """A message's blocks as a reader sees them."""
    reader = _Reader()
    for n, block in enumerate(blocks):
        reader.read(block, blocks[n + 1] if n + 1 < len(blocks) else {})
    buttons = [button.label for button in pressables(blocks)]
    return Shown(reader.title, "\n".join(reader.text), reader.facts, reader.quotes, buttons)


def words(text: Mapping[str, Any]) -> str:
    """A text object without formatting and escapes."""
    plain = str(text["text"]).replace("\u2060", "")
    if text["type"] == "plain_text":
        return plain
    return _STARS.sub(r"\1", plain).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


# --- a practice on Slack ---------------------------------------------------------------------------------------------------


@contextmanager
def on_fake_slack(opens: Opens, mode: fake_slack.Mode) -> Iterator[SlackChat]:
    """A practice on our own loopback Slack."""
    with fake_slack.workspace(mode=mode) as slack:
        for account, person in PEOPLE.items():
            slack.person(person.title(), f"{person}@example.com", id=account)
        with _connected(opens, slack, mode) as chat:
            slack.now = lambda: chat.small.clock.now().timestamp()
            yield chat


@contextmanager
def on_local_slack(opens: Opens, slack: LocalSlack) -> Iterator[SlackChat]:
    """A practice on a local-slack that is running, as it was when it was started."""
    slack.reset()
    with _connected(opens, slack, slack.mode, port=slack.app_port) as chat:
        yield chat


@contextmanager
def _connected(opens: Opens, slack: Slack | LocalSlack, mode: fake_slack.Mode, port: int = 0) -> Iterator[SlackChat]:
    tokens: Json = {"slack_api_url": slack.url, "slack_bot_token": slack.bot_token, "bundle_from": 0}
    tokens |= {"slack_app_token": slack.app_token} if mode == "socket" else {"slack_signing_secret": slack.signing_secret}
    small = opens(practice=PRACTICE + ADDRESSES, settings=tokens)
    platform: Any = small.holdfast.chats["slack"]
    hurried = count(0, 10)
    platform._pace._clock = lambda: float(next(hurried))  # its own tests hold it to its pace; here the clock stands
    if mode == "http":
        try:
            with serving(Starlette(routes=platform.routes()), port) as url:
                if isinstance(slack, Slack):
                    slack.request_url = url + "/slack/events"
                yield SlackChat(small, slack)
        finally:
            platform.stop()
        return
    platform.start()
    try:
        slack.wait_for_sockets()
        yield SlackChat(small, slack)
    finally:
        stopping = threading.Thread(target=platform.stop)
        stopping.start()
        while stopping.is_alive():
            if isinstance(slack, Slack):
                slack.stir_sockets()
            stopping.join(0.02)
