"""A Card as Adaptive Cards 1.5, and what a pressed Action.Execute carries back. Pure: no SDK, no input or output.

Teams reads Markdown in a TextBlock and a FactSet, and its clients disagree on how to escape it (a backslash is shown on some
phones). So nothing is escaped there: only text of letters and harmless signs goes into them. Every other text is drawn as
TextRuns, which know no Markdown, cut wherever a client might see a link, a mention, an entity or a template.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast, get_args

from bot.cards import Count, say
from bot.chat import Button, Card, Fact, Form, Link, Needs, Source, Wording

VERSION = "1.5"
"""Of Adaptive Cards: the newest that Teams draws everywhere."""
SCHEMA = "http://adaptivecards.io/schemas/adaptive-card.json"
DATA_VERSION = 1
"""Of what a button carries. A button with another one is out of date and is not read."""
REFRESH = "refresh"
"""The verb with which a client asks for its reader's own view of a card."""

READERS = 60
"""Teams refreshes a card by itself for so many people at most."""
CARD_BYTES = 24 * 1024
"""One card, as JSON in ASCII. Teams takes 28 KB with all that is around it."""
ACTIONS = 6
"""Teams shows so many actions of one set."""
TYPED_LIMIT = 500

_ELEMENT_BYTES = 6 * 1024
_SET_BYTES = 18 * 1024
_CHOICES_BYTES = 16 * 1024
_RUN = 480
"""Characters in one run: even escaped as JSON they fit into one element."""
_LABEL = 100
_SUMMARY = 200
_FEEDBACK = ("helpful", "unhelpful")
_STYLES = {"primary": "positive", "danger": "destructive"}

Json = dict[str, Any]


@dataclass(frozen=True)
class Pressed:
    """What an Action.Execute carries back: the button's own words, and what was filled in."""

    verb: str
    target: str
    nonce: str
    needs: Needs = ""
    choice: str = ""
    typed: str = ""


def adaptive(
    card: Card,
    nonce: str,
    forms: Callable[[str], Form | None],
    *,
    readers: Sequence[str] = (),
    note: Wording | None = None,
) -> list[Json]:
    """The contents of the attachments that draw this card, each for a message of its own; nearly always one.

    nonce    of this drawing; every button carries it
    forms    what the button with a verb asks for, or None
    readers  the accounts for which Teams asks by itself for their own view; those past READERS see the common one
    note     what is wrong with what was just sent, said on top
    returns  the first holds the buttons, and says that it continues below where there are more
    """
    head = [*(_lines(note, weight="bolder", color="attention") if note else ()), *_title(card)]
    text, facts = list(_text(card)), list(_facts(card.facts))
    story = [*text, *facts]
    deciding, feedback = _action_sets(card, nonce, forms)
    sources = [element for source in card.sources for element in _source(source)]
    foot = [*feedback, *_ref(card)]
    outside = _outside(card, nonce, readers)
    pressed = [*text, *deciding, *facts] if card.kind == "digest" else [*story, *deciding]  # its buttons belong to its text
    whole = {**outside, "body": [*head, *pressed, *sources, *foot]}
    if _size(whole) <= CARD_BYTES:
        return [whole]
    return _split(card, outside, head, story, [*deciding, *foot], sources)


def read_action(value: object) -> Pressed | None:
    """What was pressed, from the value of an `adaptiveCard/action` invoke; None where it is no button of ours as drawn now."""
    action = value.get("action") if isinstance(value, Mapping) else None
    data = action.get("data") if isinstance(action, Mapping) else None
    if not isinstance(action, Mapping) or not isinstance(data, Mapping) or action.get("type", "") not in ("", "Action.Execute"):
        return None
    verb, target, nonce = action.get("verb"), data.get("target"), data.get("nonce")
    needs, number = data.get("needs", ""), data.get("n", 0)
    if isinstance(data.get("v"), bool) or data.get("v") != DATA_VERSION or needs not in get_args(Needs):
        return None
    if not all(isinstance(word, str) and re.fullmatch(r"[\w.:/@-]{1,200}", word, re.ASCII) for word in (verb, target, nonce)):
        return None
    return Pressed(
        verb=cast("str", verb),
        target=cast("str", target),
        nonce=cast("str", nonce),
        needs=cast("Needs", needs),
        choice=_filled_in(data, f"choice-{number}"),
        typed=_filled_in(data, f"typed-{number}"),
    )


def summary(card: Card) -> str:
    """The card in one line without markup, for the notification and where cards are not shown."""
    first = next((line for line in (_visible(each) for each in str(card.text).splitlines()) if line), "")
    return _cut(inert(f"{card.title} · {first}" if first else card.title), _SUMMARY) or str(say("Holdfast"))


# --- text ----------------------------------------------------------------------------------------------------------------

_JOINER = "\u200d"  # holds emoji together
_UNSEEN = ("Cc", "Cf", "Cs", "Cn", "Co")
_BOLD = re.compile(r"\*\*([^*\n]+)\*\*")
_SOFT = re.compile(r"(?<!\n)\n[ \t]*(?!\n|\s*(?:[-*+]|\d+[.)])\s|\s*\|)")
_RULED = re.compile(r"[|:\-\s]*-[|:\-\s]*")
_SEAM = re.compile(
    r"(?<=\{)(?=\{)|(?<=\$)(?=\{)|(?<=<)(?=[a-z/!?])|(?<=&)(?=[#\w])|(?<=:)(?=//)|(?<=www)(?=\.)|(?<=\])(?=\()",
    re.IGNORECASE,
)
"""Where a text is cut in two runs: inside what some client may take for a function, a template, a tag, an entity or a link."""
_AT_START = re.compile(r"(?:[-+#>]|\d+[.)])(?=\s|#|$)")
"""What makes the line that it begins a heading or an entry of a list."""
_AT_WORDS = re.compile(r"[^\W\d]\.\w|\w\.[^\W\d]|://")
_HARMLESS = frozenset(" ·,.:;!?'\"()$%/+-–—“”‘’…#")
_LOOKALIKE = str.maketrans("*_`~\\<>&", "∗ˍˋ∼⧵‹›＆")
_LOOKALIKE_AT_START = str.maketrans("-+#.)", "‐＋＃․﹚")
_PAIRS = re.compile(r"(?<=\{)(?=\{)|(?<=\$)(?=\{)|(?<=\])(?=[(\[:])|(?<=:)(?=//)|(?<=www)(?=\.)", re.IGNORECASE)


def inert(text: str) -> str:
    """`text` for the places that take one string: no sign in it means anything to Markdown, HTML, SSML or a template.

    Signs become their look-alikes, and a blank parts the pairs that mean something together, so that it reads the same.
    """
    shown = _visible(text).translate(_LOOKALIKE)
    if mark := _AT_START.match(shown):
        shown = mark.group().translate(_LOOKALIKE_AT_START) + shown[mark.end() :]
    return _PAIRS.sub(" ", shown)


def _harmless(text: str) -> bool:
    """Whether every client shows `text` as it stands, even where it reads Markdown."""
    return (
        0 < len(text) <= _RUN
        and all(char.isalnum() or char in _HARMLESS for char in text)
        and not _AT_START.match(text)
        and not _AT_WORDS.search(text)
        and not _SEAM.search(text)
    )


def _visible(text: str) -> str:
    """`text` in one line, without control, direction and half characters."""
    spaced = (" " if char.isspace() else char for char in text)
    return "".join(char for char in spaced if char == _JOINER or unicodedata.category(char) not in _UNSEEN).strip()


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def _runs(text: str, **style: Any) -> Iterator[Json]:
    for part in _SEAM.split(text):
        for start in range(0, len(part), _RUN):
            yield {"type": "TextRun", "text": part[start : start + _RUN], **style}


def _block(runs: Iterable[Json], spacing: str = "") -> Iterator[Json]:
    """One line of runs; more than one element only where it is too long for one."""
    for part in _packed(runs, _ELEMENT_BYTES):
        yield {"type": "RichTextBlock", "inlines": part, **({"spacing": spacing} if spacing else {})}


def _lines(text: str, **style: Any) -> Iterator[Json]:
    """A text of ours: its lines stay lines."""
    for line in text.splitlines():
        if shown := _visible(line):
            yield from _block(_runs(shown, **style), "small")


def _passage(text: str) -> Iterator[Json]:
    """Text of an SOP: bold is bold, lists and tables keep their lines and numbers, and a soft line break is a blank."""
    spacing = ""
    for line in _SOFT.sub(" ", text.replace("\r\n", "\n").strip("\n")).splitlines():
        indent = len(line) - len(line.lstrip())
        shown = _row(_visible(line))
        if shown:
            yield from _block(_with_bold("\u2003" * (indent // 2) + shown), spacing)
        spacing = "none" if shown or line.strip() else ""


def _row(line: str) -> str:
    """A row of a table without its outer lines; other lines as they are. The rule below a table's head is not shown."""
    if not line.startswith("|"):
        return line
    return "" if _RULED.fullmatch(line) else line.strip("| ")


def _with_bold(line: str) -> Iterator[Json]:
    for n, part in enumerate(_BOLD.split(line)):
        yield from _runs(part, **({"weight": "bolder"} if n % 2 else {}))


# --- the parts of a card ---------------------------------------------------------------------------------------------------


def _title(card: Card) -> list[Json]:
    color = {"color": "attention"} if card.kind == "escalation" else {}
    return _heading(_visible(card.title) or say("Holdfast"), **color)


def _heading(title: str, **color: str) -> list[Json]:
    if _harmless(title):
        text = {"type": "TextBlock", "text": str(title), "style": "heading", "size": "large", "weight": "bolder", "wrap": True}
        return [{**text, **color}]
    return list(_block(_runs(title, size="large", weight="bolder", **color)))


def _text(card: Card) -> Iterator[Json]:
    """An answer's text is a step's own first paragraph; every other text is made of our lines."""
    return _passage(card.text) if card.kind == "answer" else _lines(card.text)


def _facts(facts: Iterable[Fact]) -> Iterator[Json]:
    """Harmless facts in a FactSet, the others as lines, in their order."""
    table: list[Json] = []
    for fact in facts:
        label, values = _visible(fact.label), [shown for line in fact.value.splitlines() if (shown := _visible(line))]
        if len(values) == 1 and _harmless(label) and _harmless(values[0]):
            table.append({"title": label, "value": values[0]})
            continue
        yield from _tables(table)
        table = []
        yield from _lone_fact(label, values)
    yield from _tables(table)


def _tables(facts: Iterable[Json]) -> Iterator[Json]:
    for part in _packed(facts, _ELEMENT_BYTES):
        yield {"type": "FactSet", "facts": part}


def _lone_fact(label: str, values: Sequence[str]) -> Iterator[Json]:
    """A fact beside its label, or below it where it has several lines."""
    if len(values) <= 1:
        yield from _block([*_runs(f"{label}: " if label else "", weight="bolder"), *_runs("".join(values))])
        return
    yield from _block(_runs(label, weight="bolder"))
    for value in values:
        yield from _block(_runs(value), "none")


def _source(source: Source) -> Iterator[Json]:
    """The passage as a quote, below the place it stands at: in a reader's words, and as SOP, version and step."""
    where = _visible(source.title)
    exact = " · ".join(part for part in (_visible(source.sop), f"v{source.version}", _visible(source.step)) if part)
    items = [
        *_block(_runs(where, weight="bolder")),
        *_block(_runs(exact, isSubtle=True, size="small"), "none"),
        *_passage(source.quote),
    ]
    for part in _packed(items, _ELEMENT_BYTES):
        yield {"type": "Container", "style": "emphasis", "items": part}


def _ref(card: Card) -> Iterator[Json]:
    """The reference, unless a fact already says it."""
    shown = _visible(card.ref)
    if not shown or any(shown == fact.value for fact in card.facts):
        return
    yield from _block([*_runs(str(say("Reference")) + " ", isSubtle=True), *_runs(shown, isSubtle=True)])


# --- buttons and forms -------------------------------------------------------------------------------------------------------


def _action_sets(card: Card, nonce: str, forms: Callable[[str], Form | None]) -> tuple[list[Json], list[Json]]:
    """The buttons and links in sets that Teams shows whole, and the buttons that only say whether an answer helped."""
    deciding: list[Json] = []
    feedback: list[Json] = []
    for n, button in enumerate(card.buttons, start=1):
        form = forms(button.verb) if button.needs else None
        action = _show_card(n, button, form, nonce) if form else _execute(n, button, button.label, nonce)
        (feedback if button.verb in _FEEDBACK else deciding).append(action)
    return _sets([*deciding, *(_open(link) for link in card.links)]), _sets(feedback)


def _sets(actions: Iterable[Json]) -> list[Json]:
    return [{"type": "ActionSet", "actions": part} for part in _packed(actions, _SET_BYTES, ACTIONS)]


def _execute(n: int, button: Button, label: Wording, nonce: str, style: str = "") -> Json:
    data = {"v": DATA_VERSION, "target": button.target, "nonce": nonce, "needs": button.needs, "n": n}
    return {"type": "Action.Execute", "verb": button.verb, "data": data, **_labelled(label, style or button.style)}


def _open(link: Link) -> Json:
    return {"type": "Action.OpenUrl", "url": link.url, **_labelled(link.label, "plain")}


def _labelled(label: Wording, style: str) -> Json:
    title = inert(label) or "…"
    drawn: Json = {"title": _cut(title, _LABEL)}
    if len(title) > _LABEL:
        drawn["tooltip"] = _cut(title, 4 * _LABEL)
    if style in _STYLES:
        drawn["style"] = _STYLES[style]
    return drawn


def _show_card(n: int, button: Button, form: Form, nonce: str) -> Json:
    """A button that opens its form inside the card. Input ids carry its number: Teams refuses the same id twice."""
    body = [*_block(_runs(_visible(form.title), weight="bolder")), *_asked(n, form)]
    inside = {"type": "AdaptiveCard", "version": VERSION, "body": body}
    inside["actions"] = [_execute(n, button, form.send, nonce, "danger" if button.style == "danger" else "primary")]
    return {"type": "Action.ShowCard", "card": inside, **_labelled(button.label, button.style)}


def _asked(n: int, form: Form) -> Iterator[Json]:
    """The form's inputs. Where the choices are too many for a card, those left out can be typed."""
    choices = [{"title": _label(choice.label) or choice.code, "value": choice.code} for choice in form.choices]
    shown = next(_packed(choices, _CHOICES_BYTES), [])
    left = len(choices) - len(shown)
    if shown:
        yield _choices(n, form, shown, required=form.needs_choice and not left)
    if left:
        yield from _lines(say("{n} fit no more into this list: type the one you mean.", n=Count(left, "choice")))
    if form.typed or left:
        yield _typed(n, form, required=not shown)


def _choices(n: int, form: Form, shown: list[Json], *, required: bool) -> Json:
    label = _label(form.ask) or str(say("Your choice"))
    drawn: Json = {"type": "Input.ChoiceSet", "id": f"choice-{n}", "label": label}
    drawn["style"] = "compact"  # the labels of radio buttons are read as Markdown
    if required:
        drawn |= {"isRequired": True, "errorMessage": str(say("Choose one."))}
    return {**drawn, "choices": shown}


def _typed(n: int, form: Form, *, required: bool) -> Json:
    label = _label(form.typed) or str(say("Or type it"))
    drawn: Json = {"type": "Input.Text", "id": f"typed-{n}", "label": label, "maxLength": TYPED_LIMIT}
    if hint := _label(form.hint):
        drawn["placeholder"] = hint
    if required:
        drawn |= {"isRequired": True, "errorMessage": str(say("Please fill this in."))}
    return drawn


def _label(text: Wording) -> str:
    return _cut(inert(text), 2 * _LABEL)


def _filled_in(data: Mapping[str, Any], field: str) -> str:
    filled = data.get(field, "")
    return filled if isinstance(filled, str) else ""


# --- one card or several -----------------------------------------------------------------------------------------------


def _outside(card: Card, nonce: str, readers: Sequence[str]) -> Json:
    """Everything of the first card but its body."""
    said = summary(card)
    target = card.buttons[0].target if card.buttons else card.ref
    outside: Json = {
        "$schema": SCHEMA,
        "type": "AdaptiveCard",
        "version": VERSION,
        "fallbackText": said,
        "speak": said,
        "msteams": {"width": "Full"},
    }
    who = next(_packed(dict.fromkeys(readers), _ELEMENT_BYTES, READERS), [])
    if who and target:
        data = {"v": DATA_VERSION, "target": target, "nonce": nonce, "needs": ""}
        action = {"type": "Action.Execute", "title": str(say("Refresh")), "verb": REFRESH, "data": data}
        outside["refresh"] = {"action": action, "userIds": who}
    return outside


def _split(
    card: Card, outside: Json, head: list[Json], story: list[Json], actions: list[Json], sources: list[Json]
) -> list[Json]:
    """The card in several: whatever can be pressed stays in the first, below as much of the story as leaves room for it."""
    below = list(_lines(say("Continued below."), isSubtle=True))
    more = {key: value for key, value in outside.items() if key != "refresh"}
    again = [*_heading(_cut(_visible(card.title), _LABEL) or say("Holdfast")), *_lines(say("Continued"), isSubtle=True)]

    room = CARD_BYTES - _size({**outside, "body": below})
    top, late = _fitting(head, min(room, _ELEMENT_BYTES + 1024))
    room -= _size(top)
    pressed, out = _fitting(actions, room)
    told, left = _fitting([*late, *story], room - _size(pressed))
    rest = list(_packed([*left, *out, *sources], CARD_BYTES - _size({**more, "body": [*again, *below]})))
    first = {**outside, "body": [*top, *told, *pressed, *(below if rest else ())]}
    last = len(rest) - 1
    return [first, *({**more, "body": [*again, *part, *(below if n < last else ())]} for n, part in enumerate(rest))]


def _fitting(elements: Sequence[Json], room: int) -> tuple[list[Json], list[Json]]:
    """As many of the first elements as fit into `room` bytes, and the others."""
    fits = 0
    while fits < len(elements) and _size(elements[: fits + 1]) <= room:
        fits += 1
    return list(elements[:fits]), list(elements[fits:])


def _packed(things: Iterable[Any], limit: int, count: int = 10_000) -> Iterator[list[Any]]:
    """`things` in lists of at most `count` and at most `limit` bytes, or of one that is larger alone."""
    part: list[Any] = []
    size = 0
    for thing in things:
        bytes_ = _size(thing) + 2
        if part and (size + bytes_ > limit or len(part) == count):
            yield part
            part, size = [], 0
        part.append(thing)
        size += bytes_
    if part:
        yield part


def _size(thing: Any) -> int:
    """Bytes of `thing` as JSON, written the longest way a sender may choose."""
    return len(json.dumps(thing))
