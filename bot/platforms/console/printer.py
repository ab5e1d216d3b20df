"""Cards and tables for people at a terminal: wrapped, quiet, readable as well when piped into a file (then without colour)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TextIO

from rich.console import Console as Screen
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from bot.chat import Button, Card
from bot.platforms.console import clean, without_marks
from bot.platforms.console.desk import KINDS, Look, PersonView, TrailRow
from bot.platforms.console.when import stamp

_WIDEST = 92
_ASKS = {"": "", "until": " … until when", "reason": " … why", "words": " … what"}


class _Screen(Screen):
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError  # not SystemExit: the reader may go away, that is no failure


class Printer:
    """Draws for one reader. `prompting` where a person sits at both ends."""

    def __init__(self, stdout: TextIO, *, prompting: bool) -> None:
        self._screen = _Screen(file=stdout, highlight=False, markup=False, emoji=False)
        self._screen.width = min(self._screen.width, _WIDEST)
        self._stdout = stdout
        self._prompting = prompting

    def begin(self, practice: str, me: PersonView, welcome: str) -> None:
        self._screen.print(Text(practice, style="bold"))
        self._screen.print(_words(welcome))
        self._screen.print(Text("Type a question, or help.", style="dim"))

    def ready(self, me: PersonView, now: datetime) -> None:
        self._ask(me, now)

    def done(self, me: PersonView, now: datetime) -> None:
        self._ask(me, now)

    def became(self, me: PersonView) -> None:
        duty = "on shift" if me.on_shift else "off shift"
        self._screen.print(_words(f"You are {me.name}, {', '.join(me.roles).lower()} at {me.site} ({duty})."))

    def card(self, to: PersonView, card: Card) -> None:
        self.show(card, f" · to {clean(to.name)}")

    def show(self, card: Card, to: str = "") -> None:
        """One card, for whoever is at this terminal."""
        if card.kind == "reply" and not (card.ref or card.facts or card.buttons or card.sources):
            self._screen.print(_words(card.text or card.title, "italic"))
            return
        head = Text(f"{KINDS[card.kind]}{to}" + (f" · {card.ref}" if card.ref else ""), style="cyan")
        self._screen.print()
        self._screen.print(Rule(head, align="left", style="dim", characters="─"))
        self._screen.print(_words(card.title, "bold"))
        is_quoted_below = bool(card.sources) and card.sources[0].quote.startswith(card.text)
        if card.text and not is_quoted_below:
            for line in card.text.splitlines():
                self._screen.print(_words(without_marks(line)))
        if card.facts:
            self._screen.print(Padding(_pairs([(f.label, f.value) for f in card.facts]), (0, 0, 0, 2)))
        for source in card.sources:
            said = Text.assemble(_words(f"“{without_marks(source.quote.strip())}”", "italic"), "\n")
            where = source.title or f"{source.sop} v{source.version}, {source.step}"
            said.append(f"— {clean(where)}", style="dim")
            self._screen.print(Padding(said, (0, 0, 0, 2)))
        for number, button in enumerate(card.buttons, start=1):
            self._screen.print(_button(number, button))
        self._stdout.flush()

    def trail(self, me: PersonView, ref: str, rows: Sequence[TrailRow]) -> None:
        self._screen.print(_words(f"Evidence for {ref}", "bold"))
        for row in rows:
            step = f"{row.sop} v{row.version}, {row.step} · " if row.sop else ""
            self._screen.print(_words(f"{stamp(row.at, me.zone)} · {row.who}: {row.what}"))
            self._screen.print(Padding(_words(f"{step}row {row.seq} · {row.hash}", "dim"), (0, 0, 0, 2)))

    def look(self, me: PersonView, ref: str, look: Look) -> None:
        if look.refusal:
            self._screen.print(_words(look.refusal))
            return
        self._screen.print(_words(f"{ref}: {look.kind} at {look.site}", "bold"))
        self._screen.print(_pairs([*look.keys, *look.facts]))

    def people(self, me: PersonView, people: Sequence[PersonView]) -> None:
        table = Table("as", "who", "roles", "site", "now", box=None, header_style="bold", padding=(0, 1))
        for person in people:
            duty = "on shift" if person.on_shift else "off shift"
            cells = (person.id, person.name, ", ".join(person.roles), person.site, duty)
            table.add_row(*(_words(cell) for cell in cells))
        self._screen.print(table)

    def help(self, me: PersonView, lines: Sequence[tuple[str, str]]) -> None:
        self._screen.print(_pairs(lines))

    def _ask(self, me: PersonView, now: datetime) -> None:
        if self._prompting:
            self._screen.print()
            self._screen.print(Text(f"{clean(me.name)}, {stamp(now, me.zone)} › ", style="bold cyan"), end="")
        self._stdout.flush()


def _words(text: str, style: str = "") -> Text:
    """Text that a terminal cannot take for a command. Its lines stay lines: a list in a step is read as a list."""
    return Text("\n".join(clean(line) for line in text.split("\n")), style=style)


def _pairs(pairs: Sequence[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for label, value in pairs:
        table.add_row(_words(label), _words(value))
    return table


def _button(number: int, button: Button) -> Text:
    return Text.assemble((f"  [{number}] ", "bold cyan"), clean(button.label), (_ASKS[button.needs], "dim"))
