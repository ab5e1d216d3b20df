"""The plain terminal: the same practice in lines of text, for pipes, ssh and programs. The lines are a contract.

Programs read one JSON object per line: cards as they reach people, what a line asked for, and one `done` after every line of
input.
"""

from __future__ import annotations

import contextlib
import json as jsonlib
import logging
import os
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from io import TextIOWrapper
from typing import Any, TextIO
from zoneinfo import ZoneInfo

from bot.chat import Button, Card
from bot.platforms.console import clean
from bot.platforms.console.desk import Desk, Look, NoticeCode, PersonView, TrailRow
from bot.platforms.console.printer import Printer
from bot.platforms.console.when import FURTHEST, instant

LONGEST = 2000
"""Characters one line may have."""

HELP = (
    ("any question", "an answer from the SOPs, with its source"),
    ("inbox", "the cards that reached you, newest last"),
    ("press N [note]", "button N of the last card shown to you; the note says until when, or why"),
    ("open REF", "shows the card with that reference again, to press its buttons"),
    ("my day", "your open work in order"),
    ("digest", "the stand-up, for managers"),
    ("trail [REF]", "the evidence behind the last card, or behind REF"),
    ("/r/REF", "the record that a reference stands for, for people on duty"),
    ("people", "who works here"),
    ("as NAME", "be another person"),
    ("skip 2h", "moves the clock; also 90m, 3d, until 2026-03-02T09:00, next opening, tomorrow 9:00"),
    ("quit", "ends"),
)

_READ = 100_000
_REF = re.compile(r"[A-Za-z0-9]{1,32}")
_log = logging.getLogger(__name__)


def plain(desk: Desk, stdin: TextIO, stdout: TextIO, *, json: bool = False, after: int = 0) -> None:
    """Serve lines from `stdin` on `stdout` until `quit` or the end of input.

    json    print JSON lines and nothing else
    after   messages up to this id are old news; newer ones are printed at the start
    """
    _forgive(stdin, stdout)
    terminal = _Terminal(desk, _Json(stdout) if json else Printer(stdout, prompting=stdin.isatty() and stdout.isatty()), after)
    try:
        terminal.start()
        for line, whole in _lines(stdin):
            if line.lower() in ("quit", "exit"):
                terminal.done()
                return
            terminal.take(line, whole)
    except BrokenPipeError:  # the reader went away; nothing is left to say
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())
    except KeyboardInterrupt:
        return


class _Terminal:
    """One session: who it is, what it has shown to whom, and what each line does."""

    def __init__(self, desk: Desk, out: _Json | Printer, after: int) -> None:
        self._desk = desk
        self._out = out
        self._people = {person.id: person for person in desk.people()}
        self._me = next(iter(self._people.values()))
        self._shown: dict[str, Card] = {}
        """The last card with buttons that was shown to each person: what `press` presses."""
        self._told: dict[str, int] = dict.fromkeys(self._people, after)
        """Up to which message each person's deliveries have been printed."""

    def start(self) -> None:
        """Greet, remember what earlier sessions showed, and print what is new."""
        for person, told in self._told.items():
            old = [m.card for m in self._desk.messages(person) if m.id <= told and m.card and m.card.buttons]
            self._shown |= {person: old[-1]} if old else {}
        self._out.begin(self._desk.practice_name, self._me, str(self._desk.welcome(self._me.id)))
        self._news()
        self._out.ready(self._me, self._now())

    def take(self, line: str, whole: bool) -> None:
        """Do what one line says. Whatever happens, exactly one `done` ends it."""
        try:
            self._do(line, whole)
            self._news()
        except (BrokenPipeError, KeyboardInterrupt):
            raise
        except Exception:  # noqa: BLE001 one line's fault is not the end of the session
            _log.exception("a line could not be carried out")
            self._notice("failed")
        self.done()

    def done(self) -> None:
        self._out.done(self._me, self._now())

    def _do(self, line: str, whole: bool) -> None:
        if not whole or len(line) > LONGEST:
            self._notice("too_long", limit=LONGEST)
            return
        for pattern, act in self._lines_known():
            found = re.fullmatch(pattern, line, re.IGNORECASE)
            if found:
                act(*(group or "" for group in found.groups()))
                return
        if line:
            self._show(self._me.id, self._desk.ask(self._me.id, line))

    def _lines_known(self) -> Sequence[tuple[str, Callable[..., None]]]:
        """What a line may be. What asks (`as soon as the payer…`, `skip the test?`) is a question, not a command."""
        return (
            (r"as((?:\s+[^\s?]+){0,3})", self._be),
            (r"press(?:\s+(\d{1,9}))(\s+.*)?", self._press),
            (r"press(?:\s+([^\s?]+))?()", self._press),
            (r"skip((?:\s+[^?]*)?)", self._skip),
            (r"inbox", self._inbox),
            (r"open\s+(?:/r/)?([a-z0-9]{8})", self._open),
            (r"my\s+day", lambda: self._show(self._me.id, self._desk.my_day(self._me.id))),
            (r"digest", lambda: self._show(self._me.id, self._desk.digest(self._me.id))),
            (r"trail(?:\s+(?:/r/)?([a-z0-9]{1,32}))?", self._trail),
            (r"/r/(\S*)", self._look),
            (r"people", lambda: self._out.people(self._me, list(self._people.values()))),
            (r"help", lambda: self._out.help(self._me, HELP)),
        )

    # --- what lines do -----------------------------------------------------------------------------------------------

    def _be(self, name: str) -> None:
        wanted = name.strip().lower()
        exact = [p for p in self._people.values() if wanted in (p.id.lower(), p.name.lower())]
        found = exact or [p for p in self._people.values() if wanted and wanted in p.name.lower().split()]
        if len(found) == 1:
            self._me = found[0]
            self._out.became(self._me)
        else:
            self._notice("several_people" if found else "no_such_person")

    def _press(self, number: str, note: str) -> None:
        card = self._shown.get(self._me.id)
        if not re.fullmatch(r"[0-9]{1,3}", number):
            self._notice("press_what")
        elif card is None:
            self._notice("no_card")
        elif not 1 <= int(number) <= len(card.buttons):
            self._notice("no_button", n=int(number), last=len(card.buttons))
        else:
            self._press_button(card.buttons[int(number) - 1], note.strip())

    def _press_button(self, button: Button, note: str) -> None:
        if button.needs == "until" and note:
            until = instant(note, self._desk.now(), self._me.zone, self._desk.next_opening(self._me.id))
            if until is None:
                self._notice("when_unclear")
                return
            note = until.isoformat()
        card = self._desk.press(self._me.id, button.verb, button.target, note, f"plain:{secrets.token_hex(8)}")
        self._show(self._me.id, card)
        self._shown[self._me.id] = card  # also without buttons: what was pressed is what counts now

    def _skip(self, ahead: str) -> None:
        now = self._desk.now()
        to = instant(ahead, now, self._me.zone, self._desk.next_opening(self._me.id))
        if not self._desk.can_skip:
            self._notice("cannot_skip")
        elif to is None:
            self._notice("skip_back" if re.match(r"\s*-\s*\d", ahead) else "skip_unclear")
        elif to <= now:
            self._notice("skip_back")
        elif to - now > FURTHEST:
            self._notice("skip_far", days=FURTHEST.days)
        else:
            self._desk.skip(to)

    def _inbox(self) -> None:
        messages = self._desk.messages(self._me.id)
        self._told[self._me.id] = max([self._told[self._me.id], *(message.id for message in messages)])
        cards = [message.card for message in messages if message.delivered and message.card]
        for card in cards:
            self._show(self._me.id, card)
        if not cards:
            self._notice("inbox_empty")

    def _open(self, ref: str) -> None:
        about = [m.card for m in self._desk.messages(self._me.id) if m.card and m.card.ref == ref.upper()]
        if about:
            self._show(self._me.id, about[-1])
            self._shown[self._me.id] = about[-1]
        else:
            self._notice("no_record")

    def _trail(self, ref: str) -> None:
        shown = self._shown.get(self._me.id)
        ref = ref.upper() or (shown.ref if shown else "")
        rows = self._desk.trail(self._me.id, ref) if ref else ()
        if rows:
            self._out.trail(self._me, ref, rows)
        else:
            self._notice("no_record" if ref else "no_card")

    def _look(self, ref: str) -> None:
        look = self._desk.look(self._me.id, ref.upper()) if _REF.fullmatch(ref) else None
        if look is None:
            self._notice("no_record")
        else:
            self._out.look(self._me, ref.upper(), look)

    # --- what is shown -----------------------------------------------------------------------------------------------

    def _notice(self, code: NoticeCode, **typed: int) -> None:
        self._show(self._me.id, self._desk.notice(code, **typed))

    def _show(self, person: str, card: Card) -> None:
        """Print a card. One without buttons (an answer, a remark) leaves the card before it pressable."""
        self._out.card(self._people[person], card)
        if card.buttons:
            self._shown[person] = card

    def _news(self) -> None:
        """Print what the outbox brought to anybody since the last look, in the order it came."""
        fresh: list[tuple[int, str, Card]] = []
        for person, told in self._told.items():
            messages = self._desk.messages(person, told)
            self._told[person] = max([told, *(message.id for message in messages)])
            fresh += [(message.id, person, message.card) for message in messages if message.delivered and message.card]
        for _, person, card in sorted(fresh, key=lambda one: one[0]):
            self._show(person, card)

    def _now(self) -> datetime:
        return self._desk.now().astimezone(ZoneInfo(self._me.zone))


class _Json:
    """One JSON object per line, flushed at once, and nothing else."""

    def __init__(self, stdout: TextIO) -> None:
        self._stdout = stdout

    def card(self, to: PersonView, card: Card) -> None:
        whole = card.as_json()
        buttons = [{"n": b["n"], "label": b["label"], "needs": b["needs"]} for b in whole["buttons"]]
        sources = [{name: s[name] for name in ("sop", "version", "step", "quote")} for s in whole["sources"]]
        self._line(to=to.id, kind=card.kind, card=whole | {"sources": sources, "buttons": buttons})

    def done(self, me: PersonView, now: datetime) -> None:
        self._line(kind="done", now=now.isoformat(timespec="seconds"))

    def trail(self, me: PersonView, ref: str, rows: Sequence[TrailRow]) -> None:
        self._line(to=me.id, kind="trail", ref=ref, rows=[asdict(row) | {"at": row.at.isoformat()} for row in rows])

    def look(self, me: PersonView, ref: str, look: Look) -> None:
        self._line(to=me.id, kind="record", ref=ref, record=asdict(look) | {"keys": dict(look.keys), "facts": dict(look.facts)})

    def people(self, me: PersonView, people: Sequence[PersonView]) -> None:
        self._line(to=me.id, kind="people", people=[asdict(person) for person in people])

    def help(self, me: PersonView, lines: Sequence[tuple[str, str]]) -> None:
        self._line(to=me.id, kind="help", lines=dict(lines))

    def begin(self, practice: str, me: PersonView, welcome: str) -> None: ...

    def ready(self, me: PersonView, now: datetime) -> None: ...

    def became(self, me: PersonView) -> None: ...

    def _line(self, **fields: Any) -> None:
        self._stdout.write(jsonlib.dumps(fields) + "\n")
        self._stdout.flush()


def _forgive(stdin: TextIO, stdout: TextIO) -> None:
    """Bytes that are no text, or that the terminal cannot draw, become question marks instead of ending the session."""
    for stream in (stdin, stdout):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def _lines(stdin: TextIO) -> Iterator[tuple[str, bool]]:
    """Each line, cleaned, and whether it was short enough to be read whole; of a longer one only the beginning is kept."""
    while line := stdin.readline(_READ):
        piece, whole = line, True
        while len(piece) == _READ and not piece.endswith("\n"):
            piece, whole = stdin.readline(_READ), False
        yield clean(line), whole
