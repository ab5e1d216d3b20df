"""The front of the house: takes what chat edges heard, answers it, and has the answer shown. One way for every platform.

What was heard is redacted and kept before anything else (`bot.inbox`). A worker takes it up, finds out whose account it is,
asks the core, and has the platform show the reply where it was asked for. Whatever goes wrong, whoever asked is told so.
"""

from __future__ import annotations

import logging
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import BinaryIO

from sqlalchemy import Engine, select
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col

from bot import accounts, asking, assistant, cards, digest, evidence, inbox, nudges, uploads
from bot.cards import NOTICES, say
from bot.chat import (
    AmbiguousSend,
    Ask,
    Attached,
    CannotKeep,
    Card,
    Chat,
    Form,
    Heard,
    Known,
    Press,
    Receipt,
    Reply,
    SendError,
    Wording,
    heard_from_json,
)
from bot.evidence import Event
from bot.inbox import Inbox, Kept, Taken
from bot.items import FeedConfig
from bot.metrics import Answered
from bot.nudges import House
from bot.practice import Person
from bot.records import AccountClaim, ChatAccount, Delivery, Incoming, PressSeen, insert_new, read, write
from bot.settings import Settings
from knowledge.library import Library

log = logging.getLogger(__name__)

_REMEMBERED = 2000
"""How many questions are kept in memory as they were typed, until a worker of this process takes them up."""
_PAGE = re.compile(r"(?:my |the )?page|sign ?in|log ?in", re.IGNORECASE)
DOUBLE_CLICK = timedelta(seconds=3)
"""Two clicks on one drawn button within this time are one press."""


@dataclass
class Front:
    """chat.Front of one installation.

    deliver_soon   called when something became due for somebody else
    wake           called when something was kept for a worker
    """

    engine: Engine
    inbox: Inbox
    settings: Settings
    library: Library
    now: Callable[[], datetime]
    house: Callable[[], House]
    feeds: Callable[[], Mapping[str, FeedConfig]]
    chats: Callable[[], Mapping[str, Chat]]
    deliver_soon: Callable[[], None]
    wake: Callable[[], None]
    count: Callable[[str, Answered], None] = lambda *_: None
    _typed: OrderedDict[str, str] = field(default_factory=OrderedDict)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    # --- what an edge calls ----------------------------------------------------------------------------------------------

    def hear(self, heard: Heard) -> bool:
        """Keep it, redacted, for a worker. False where it was kept before, or is none of our business. raises CannotKeep"""
        kept = self._keep(heard, at_once=False)
        if kept == "before" and heard.act == "press" and self._is_another_press(heard):
            kept = self._keep(replace(heard, key=f"{heard.key}:{heard.details['pressed_at']}"), at_once=False)
        self.wake()
        return kept == "now"

    def answer(self, heard: Heard) -> Reply:
        """Keep it and do it now. What has the same key is done once; the second time tells how it stands. raises CannotKeep"""
        is_new = self._keep(heard, at_once=True) == "now"
        reply = self._safely(heard)
        if is_new:
            inbox.finish(self.engine, Taken(heard, 1), self.now())
        self._note_shown(heard, reply, Receipt(heard.place.channel, heard.place.message) if heard.act == "press" else None)
        return reply

    def look(self, heard: Heard) -> Reply:
        """The reply to something that changes nothing and is not kept."""
        return self._safely(heard, keep=False)

    def form(self, verb: str, platform: str) -> Form | None:
        if verb != "claim":
            return cards.form(verb)
        with read(self.engine) as session:
            return cards.form(verb, accounts.unlinked(session, self.house().practice, platform, self.now()))

    def objection(self, heard: Heard) -> Wording | None:
        if heard.verb == "claim":
            return None if heard.note else say("Pick your name first.")
        return assistant.objection(self.engine, self.house(), self._press_of("", heard))

    def sentence(self, code: str) -> Wording:
        return say(NOTICES[code])

    def examples(self, platform: str, account: str) -> Sequence[Wording]:
        with read(self.engine) as session:
            person = accounts.person_of(session, self.house().practice, platform, account, self.now())
        return asking.examples(self.house(), person, self.now()) if person else ()

    def links(self) -> Sequence[str]:
        return (self.settings.url,) if self.settings.url else ()

    def reference(self, platform: str, address: str) -> Mapping[str, str]:
        with read(self.engine) as session:
            return accounts.reference(session, platform, address)

    # --- keeping ---------------------------------------------------------------------------------------------------------

    def _keep(self, heard: Heard, *, at_once: bool) -> Kept:
        try:
            redacted = self._redacted(heard)
        except SQLAlchemyError as bad:  # the people whose names may stay could not be read
            raise CannotKeep("the database does not answer") from bad
        if heard.text:
            with self._guard:
                self._typed[heard.key] = heard.text
                while len(self._typed) > _REMEMBERED:
                    self._typed.popitem(last=False)
        kept = self.inbox.keep(redacted, self.now(), at_once=at_once)
        if kept == "not ours":
            with self._guard:
                self._typed.pop(heard.key, None)
        return kept

    def _is_another_press(self, heard: Heard) -> bool:
        """Whether this is no double click of the press that was kept, but the same button pressed once more."""
        pressed = heard.details.get("pressed_at", "")
        with read(self.engine) as session:
            kept = session.get(Incoming, heard.key)
            return (
                kept is not None
                and pressed not in ("", dict(kept.heard["details"]).get("pressed_at"))
                and heard.at - heard_from_json(kept.heard).at > DOUBLE_CLICK
            )

    def _redacted(self, heard: Heard) -> Heard:
        """Without anything that a person typed and that could name a patient. A time stays a time."""
        patients = self.house().patients
        note = heard.note[: cards.NOTE_LIMIT * 4]
        if heard.verb in cards.REASONED:
            code, rest = cards.parse_reason(note, cards.REASONED[heard.verb])
            note = f"{code} {cards.redact(rest, patients=patients)}".strip() if note.strip() else ""
        elif heard.verb == "reply_asker":
            note = cards.redact(note, asking.names_of(self.house()), patients=patients)
        elif heard.verb == "snooze":
            site = next(iter(self.house().practice.sites.values()))
            note = note if assistant.parse_until(note, heard.at, site) else cards.redact(note, patients=patients)
        elif heard.verb == "claim":
            note = note if note in self.house().practice.people else ""
        else:
            note = ""
        files = tuple(replace(file, name=uploads.named(self.house(), file.name)) for file in heard.files)
        return replace(heard, text=asking.redacted(self.house(), heard.text), note=note, files=files)

    # --- working ---------------------------------------------------------------------------------------------------------

    def work(self) -> int:
        """Answer everything that is due, one after the other; how many were taken up. Several workers may do so at once."""
        count = 0
        while (taken := inbox.take(self.engine, self.now())) is not None:
            count += 1
            self._work(taken)
        return count

    def _work(self, taken: Taken) -> None:
        heard = taken.heard
        chat = self.chats().get(heard.place.platform)
        if chat is None:
            inbox.give_up(self.engine, taken, self.now(), "no such chat platform")
            return
        try:
            with self._guard:
                typed = self._typed.get(heard.key, heard.text)
            with inbox.holding(self.engine, taken, self.now) if heard.files else nullcontext():
                reply = self._reply(replace(heard, text=typed))
        except SendError as later:  # the platform would not say whose account it is
            self._later(taken, later.reason, None if later.permanent else later.retry_after_s)
            return
        except SQLAlchemyError:
            log.exception("what was heard could not be answered; it is tried again")
            return  # its lease ends, and it is taken up again
        except Exception:
            log.exception("a fault of ours while answering")
            reply = Reply(cards.reply(say(NOTICES["try_later"])))
        self._show(chat, taken, reply)

    def _show(self, chat: Chat, taken: Taken, reply: Reply) -> None:
        heard, now = taken.heard, self.now()
        if reply.card is None and not reply.prompts:
            self._done(taken, "nothing to say")
            return
        if reply.took and self._will_be_redrawn(heard):
            self._done(taken)
            return
        try:
            receipt = chat.show(heard, reply, again=taken.attempt > 1)
        except SendError as refused:
            if refused.permanent:
                log.warning("an answer could not be shown on %s: %s", chat.name, refused.reason)
                inbox.give_up(self.engine, taken, now, refused.reason)
                self.count(chat.name, "failed")
                return
            self._later(taken, refused.reason, refused.retry_after_s)
        except AmbiguousSend:
            self._later(taken, "nobody knows whether it arrived", None)
        except Exception:
            log.exception("an answer could not be shown on %s", chat.name)
            self._later(taken, "a fault of ours", None)
        else:
            if reply.rest is not None:
                self._show_rest(chat, heard, reply.rest, again=taken.attempt > 1)
            self._note_shown(heard, reply, receipt)
            self._done(taken)

    def _show_rest(self, chat: Chat, heard: Heard, rest: Card, *, again: bool) -> None:
        """What not everybody in the channel may read. The answer stands without it, so it is tried once."""
        try:
            chat.show(heard, Reply(rest), again=again)
        except (SendError, AmbiguousSend) as bad:
            log.warning("what belongs to an answer could not be shown to its asker alone on %s: %s", chat.name, bad)

    def _done(self, taken: Taken, reason: str = "") -> None:
        inbox.finish(self.engine, taken, self.now(), reason)
        with self._guard:
            self._typed.pop(taken.heard.key, None)
        self.count(taken.heard.place.platform, "done")

    def _later(self, taken: Taken, reason: str, after_s: float | None) -> None:
        if not inbox.put_off(self.engine, taken, self.now(), reason, after_s):
            log.error("an answer on %s was given up after %d tries: %s", taken.heard.place.platform, taken.attempt, reason)
            self.count(taken.heard.place.platform, "failed")

    def _will_be_redrawn(self, heard: Heard) -> bool:
        """Whether the pressed message is one of the outbox's, which edits it wherever it stands."""
        with read(self.engine) as session:
            here = (col(Delivery.channel) == heard.place.channel) & (col(Delivery.message) == heard.place.message)
            query = select(col(Delivery.marker)).where(
                here, col(Delivery.redraw), col(Delivery.platform) == heard.place.platform
            )
            found = session.scalar(query.limit(1)) is not None
        return found and bool(heard.place.message)

    def _note_shown(self, heard: Heard, reply: Reply, receipt: Receipt | None) -> None:
        """Have a nudge's card edited in place where it was shown beside the outbox's own messages."""
        if not reply.nudge or not receipt or not receipt.message or reply.card is None:
            return
        with write(self.engine) as session:
            here = (col(Delivery.channel) == receipt.channel) & (col(Delivery.message) == receipt.message)
            query = select(col(Delivery.marker)).where(here, col(Delivery.platform) == heard.place.platform).limit(1)
            if session.scalar(query) is None:
                insert_new(
                    session, Delivery, marker=f"shown:{heard.key}"[:200], kind="shown", nudge=reply.nudge, person="",
                    platform=heard.place.platform, address=receipt.channel, card=reply.card.as_json(), state="sent",
                    attempts=1, not_before=self.now(), created_at=self.now(), ended_at=self.now(), channel=receipt.channel,
                    message=receipt.message, reason="", repeated=False, bundle="", redraw=False,
                )  # fmt: skip

    # --- answering -------------------------------------------------------------------------------------------------------

    def _safely(self, heard: Heard, *, keep: bool = True) -> Reply:
        try:
            return self._reply(heard, keep=keep)
        except Exception:
            log.exception("a fault of ours while answering")
            return Reply(cards.reply(say(NOTICES["try_later"])))

    def _reply(self, heard: Heard, *, keep: bool = True) -> Reply:
        if heard.act == "left":
            return self._left(heard)
        if self._is_foreign(heard):
            return Reply(cards.reply(say(NOTICES["foreign"])))
        person = self._person(heard)
        if heard.act == "press" and heard.verb == "claim":
            return self._claim(heard, person)
        if person is None:
            return self._to_nobody(heard)
        match heard.act:
            case "press":
                return self._pressed(person, heard)
            case "home":
                return Reply(self._my_day(person))
            case "hello":
                return Reply(None, prompts=tuple(asking.examples(self.house(), person, self.now())))
            case "joined":
                return Reply(cards.welcome(person))
        return self._brought(person, heard) if uploads.is_meant(heard) else self._asked(person, heard, keep=keep)

    def _left(self, heard: Heard) -> Reply:
        """An account, or a whole workspace, can no longer be written to."""
        why, platform = heard.details.get("why", "uninstalled"), heard.place.platform
        practice = self.house().practice
        with write(self.engine) as session:
            if heard.account:
                accounts.gone(session, practice, platform, heard.account, why, self.now())
            elif heard.place.team:
                accounts.team_gone(session, practice, platform, heard.place.team, why, self.now())
        return Reply(None)

    def _is_foreign(self, heard: Heard) -> bool:
        """Whether it comes from a workspace that is not ours: what it says of its people proves nothing."""
        many = heard.place.platform == "slack" and bool(self.settings.slack_client_id)
        return many and heard.place.team not in self.settings.slack_teams

    def _person(self, heard: Heard) -> Person | None:
        """Whose account it is, asking the platform for its e-mail address where nobody has said so. raises SendError"""
        platform, now = heard.place.platform, self.now()
        practice = self.house().practice
        chat = self.chats().get(platform)
        with read(self.engine) as session:
            person = accounts.person_of(session, practice, platform, heard.account, now)
            row = session.get(ChatAccount, (platform, heard.account))
        told = self._told_of(heard, chat)
        if told and (row is None or row.gone_at or row.address != told.address or dict(row.reference) != dict(told.reference)):
            with write(self.engine) as session:
                accounts.note(session, platform, told, now)
        if person is not None or chat is None or (row is not None and row.person):
            return person
        known = chat.who(heard.place.team, heard.account)
        if known is None:
            return None
        known = replace(known, address=told.address, reference=told.reference) if told else known
        with write(self.engine) as session:
            return accounts.match(session, practice, platform, known, now)

    def _told_of(self, heard: Heard, chat: Chat | None) -> Known | None:
        """What this act itself says of where the person can be written to, on a platform where one must know."""
        if chat is None or chat.may_write_first or heard.place.surface != "dm" or not heard.details:
            return None
        return Known(heard.account, heard.place.team, "", heard.place.channel, heard.details)

    def _to_nobody(self, heard: Heard) -> Reply:
        if heard.act == "press":
            self._refuse_stranger(heard)
        return Reply(cards.link_account(heard.account)) if heard.act != "hello" else Reply(None)

    def _refuse_stranger(self, heard: Heard) -> None:
        """Put a press of somebody unknown on record: once, however often the platform repeats it."""
        now, detail = self.now(), {"platform": heard.place.platform, "account": heard.account, "why": "nobody we know"}
        seen = {"person": "", "verb": heard.verb, "target": heard.target, "at": now, "outcome": "refused"}
        with write(self.engine) as session:
            if insert_new(session, PressSeen, key=f"stranger:{heard.key}", **seen):  # its own key is free once they are known
                refused = Event(what="press refused", at=now, subject=heard.target, detail={"verb": heard.verb, **detail})
                evidence.append(session, refused)

    def _asked(self, person: Person, heard: Heard, *, keep: bool) -> Reply:
        words = heard.text.strip()
        if not words:
            return Reply(cards.help_card(heard.place.platform))
        if _PAGE.fullmatch(words):
            return self._page(person, heard)
        question = Ask(person.id, words, self.now(), heard.place.surface, _thread(heard), heard.place.platform)
        return asking.ask(self.engine, self.house(), self.library, self.feeds(), question, keep=keep)

    def _brought(self, person: Person, heard: Heard) -> Reply:
        chat = self.chats()[heard.place.platform]

        def fetch(file: Attached, into: BinaryIO, limit: int) -> None:
            chat.fetch(heard, file, into, limit)

        key, now = heard.key, self.now()
        return uploads.receive(self.engine, self.house(), self.library, person, heard.files, fetch, key=key, at=now)

    def _page(self, person: Person, heard: Heard) -> Reply:
        if not self.settings.url:
            return Reply(cards.reply(say(NOTICES["no_page"])))
        from bot import signin

        code = signin.make(self.engine, person.id, self.now(), by=(heard.place.platform, heard.account))
        return Reply(cards.page_link(f"{self.settings.url}/page/in?code={code}"))

    def _my_day(self, person: Person) -> Card:
        with read(self.engine) as session:
            return digest.my_day(session, self.house(), person, self.now())

    def _press_of(self, person: str, heard: Heard) -> Press:
        return Press(person, heard.verb, heard.target, heard.key, self.now(), heard.note, heard.place.platform)

    def _pressed(self, person: Person, heard: Heard) -> Reply:
        if heard.verb in ("refresh", "show") and not heard.place.message:
            show = replace(self._press_of(person.id, heard), verb="show")
            return assistant.press(self.engine, self.house(), self.library, show)
        if heard.verb == "stale":
            return Reply(cards.reply(say(NOTICES["stale_button"])))
        verb = "show" if heard.verb == "refresh" else heard.verb
        reply = assistant.press(self.engine, self.house(), self.library, replace(self._press_of(person.id, heard), verb=verb))
        if reply.took and verb == "confirm_claim":
            self._welcome(heard.target)
        self.deliver_soon()
        if heard.place.surface != "home" or verb == "show":
            return reply
        day = self._my_day(person)
        return replace(reply, card=day if reply.took or reply.card is None else cards.again(day, reply.card.text), took=True)

    # --- who is who ------------------------------------------------------------------------------------------------------

    def _claim(self, heard: Heard, known: Person | None) -> Reply:
        """Somebody says who they are: whoever is in charge is asked."""
        if known is not None:
            return Reply(cards.reply(say(NOTICES["claim_known"])))
        now, house = self.now(), self.house()
        with write(self.engine) as session:
            free = {person.id: person for person in accounts.unlinked(session, house.practice, heard.place.platform, now)}
            person = free.get(heard.note.strip())
            if person is None:
                return Reply(cards.reply(say(NOTICES["claim_nobody"])))
            made = accounts.claim(session, heard.place.platform, heard.account, person, now)
            nudges.ask_about_claim(session, house, made, now)
        self.deliver_soon()
        return Reply(cards.reply(say(NOTICES["claim_sent"])), took=True)

    def _welcome(self, claim: str) -> None:
        """Greet an account that was just confirmed, where it can be written to."""
        with read(self.engine) as session:
            made: AccountClaim = session.get_one(AccountClaim, claim)
        person = self.house().person(made.person)
        if person is not None:
            with write(self.engine) as session:
                card = cards.welcome(person)
                nudges.post(session, self.house(), f"welcome:{claim}", "notice", person, self.now(), card=card)

    def acquaint(self, asked: Callable[[str, str], bool]) -> int:
        """Find the accounts of people who have none yet by their e-mail address, asking each platform.

        asked     (platform, person id) -> whether to ask now
        returns   how many were found
        """
        found, now = 0, self.now()
        for chat in self.chats().values():
            with read(self.engine) as session:
                waiting = [p for p in accounts.unlinked(session, self.house().practice, chat.name, now) if p.email]
            for person in waiting:
                if not asked(chat.name, person.id):
                    continue
                try:
                    known = chat.by_email(person.email)
                except (SendError, AmbiguousSend) as bad:
                    log.warning("%s does not say who has an e-mail address: %s", chat.name, bad)
                    break
                if known is not None:
                    with write(self.engine) as session:
                        found += accounts.match(session, self.house().practice, chat.name, known, now) is not None
        return found


def _thread(heard: Heard) -> str:
    """The conversation that a question goes on with: where others read along, the thread that it stands in or opens."""
    place = heard.place
    opened = place.thread or (place.message if place.surface == "channel" else "")
    return f"{place.platform}:{place.channel}/{opened}"
