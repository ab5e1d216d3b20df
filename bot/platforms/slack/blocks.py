"""Cards, forms and the home page as Block Kit: every field drawn, nothing in a text alive, no limit ever hit.

Slack gives no way to escape `*`, `_`, `~`, a backtick, a quote mark or `:emoji:` in mrkdwn. So a text is mrkdwn only where
nothing in it could format (`&`, `<` and `>` escaped, `verbatim` so that addresses, names and channels stay words), and
plain_text otherwise. `_words` decides; `_mrkdwn` is the one place that escapes.

Lengths are counted in UTF-16 units, as Slack's clients count; the budget of a whole message is its JSON (`msg_blocks_too_long`
comes at about 13,200 characters, slackapi/bolt-js 2509).
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast, get_args

from bot.cards import Count, say
from bot.chat import Account, Button, Card, Choice, Fact, Form, Link, Needs, Source, Wording

Block = dict[str, Any]

FORMAT = 1
"""Of what a button carries. A button drawn in another format is told to be out of date."""
HEADER, SECTION, FIELD, LABEL, TITLE, METADATA = 150, 3000, 2000, 75, 24, 3000
"""Characters that Slack takes: in a header, a section, a field, a button or option, a modal's title, a modal's private data."""
FIELDS, BUTTONS, OPTIONS, TYPED = 10, 25, 100, 500
"""Fields of a section, elements of an actions block, options of a menu or group, characters to type in a form."""
MESSAGE_BLOCKS, HOME_BLOCKS = 50, 100
MESSAGE_SIZE, HOME_SIZE = 11_500, 100_000
"""Characters of JSON that all blocks together may have."""
NARROW = 120
"""A fact up to this long stands beside another; a longer one has the whole width."""


@dataclass(frozen=True)
class Message:
    """`text` is what a notification shows and a screen reader says; `blocks` is what is seen."""

    text: str
    blocks: list[Block]


@dataclass(frozen=True)
class Pressed:
    """What a drawn button carried."""

    verb: str
    target: str
    nonce: str
    needs: Needs


# --- a card --------------------------------------------------------------------------------------------------------------


def messages(card: Card, nonce: str, *, note: Wording | None = None, hosts: Sequence[str] = ()) -> list[Message]:
    """The card as one message, and what does not fit into it as further ones for its thread.

    nonce   of this drawing: a press is known by it
    note    stands above the card, such as that it may have come before
    hosts   where a link may lead, each with its scheme; a link to anywhere else is shown as plain words
    """
    title = _title(card.title)
    head = [*title[:1], *_small(note)]
    actions, words = _actions(card.buttons, card.links, nonce, hosts, feedback=True)
    foot = _reference(card)
    more = _small(say("It goes on in the thread below."))
    text, facts, quotes = [*title[1:], *_text(card)], _facts(card.facts), [_quote(source) for source in card.sources]
    buttons_first = card.kind == "digest"  # its buttons belong to its text
    story = [*text, *actions, *words, *facts] if buttons_first else [*text, *facts, *actions, *words]
    whole = [*head, *story, *(block for quote in quotes for block in quote), *foot]
    if _fit(whole, MESSAGE_BLOCKS, MESSAGE_SIZE):
        return [Message(_fallback(card, note), whole)]
    room = _Room(MESSAGE_BLOCKS, MESSAGE_SIZE)
    room.hold([*head, *foot, *more])
    pressed, actions = room.take(actions, part=3)
    said, text = room.take(text, part=2)
    known, facts = room.take(facts)
    labels, words = room.take(words)
    shown = [*pressed, *labels, *known] if buttons_first else [*known, *pressed, *labels]
    first, rest = [*head, *said, *shown], [*text, *facts, *actions, *words]
    while quotes and not rest and _fit([*first, *quotes[0], *more, *foot], MESSAGE_BLOCKS, MESSAGE_SIZE):
        first += quotes.pop(0)
    further = _further(card.title, [*([block] for block in rest), *quotes])
    return [Message(_fallback(card, note), [*first, *more, *foot]), *further]


def home(cards: Card | Sequence[Card], nonce: str, *, hosts: Sequence[str] = ()) -> Block:
    """The app's home page with these cards one below the other; what is too much for it is said to be missing."""
    blocks: list[Block] = []
    for card in [cards] if isinstance(cards, Card) else cards:
        first = sum(len(block["elements"]) for block in blocks if block["type"] == "actions")
        actions, words = _actions(card.buttons, card.links, nonce, hosts, feedback=False, first=first)
        quotes = [block for source in card.sources for block in _quote(source)]
        if blocks:
            blocks.append({"type": "divider"})
        blocks += [*_title(card.title), *_text(card), *_facts(card.facts), *actions, *words, *quotes, *_reference(card)]
    more = _small(say("There is more than fits here. Ask me for it in a message."))
    room = _Room(HOME_BLOCKS, HOME_SIZE)
    room.hold(more)
    shown, rest = room.take(blocks)
    return {
        "type": "home",
        "callback_id": "hf:home",
        "blocks": [*shown, *(more if rest else [])] or _small(say("Nothing yet.")),
    }


def _further(title: Wording, groups: Sequence[Sequence[Block]]) -> Iterator[Message]:
    """Blocks as messages; a group (a quote and where it stands) stays together."""
    blocks: list[Block] = []
    text = _mrkdwn(_cut(_line(say("{title}, continued", title=title)), HEADER))
    for group in _loose(groups):
        if blocks and not _fit([*blocks, *group], MESSAGE_BLOCKS, MESSAGE_SIZE):
            yield Message(text, blocks)
            blocks = []
        blocks = [*blocks, *group]
    if blocks:
        yield Message(text, blocks)


def _loose(groups: Sequence[Sequence[Block]]) -> Iterator[Sequence[Block]]:
    """Groups that fit into a message; of one that does not, its blocks one by one."""
    for group in groups:
        yield from [group] if _fit(group, MESSAGE_BLOCKS, MESSAGE_SIZE) else ([block] for block in group)


def _fallback(card: Card, note: Wording | None) -> str:
    """Title, note, text and facts, each in its own line."""
    facts = [f"{fact.label}: {fact.value}" if fact.label else str(fact.value) for fact in card.facts]
    said = "\n".join(part for part in (_line(card.title), note or "", _flow(card), *facts) if part)
    pieces = list(_pieces(_bare(_clean(said)), SECTION - 1, _escaped_size)) or ["…"]
    return _mrkdwn(pieces[0]) + ("…" if len(pieces) > 1 else "")


def _title(title: Wording) -> list[Block]:
    line = _line(title)
    if not line:
        return []
    header: Block = {"type": "header", "text": _plain(_cut(line, HEADER))}
    return [header] if _size(line) <= HEADER else [header, *_sections(line)]


def _text(card: Card) -> list[Block]:
    return _sections(_clean(_flow(card)))


def _flow(card: Card) -> str:
    """An answer opens with a step's own lines, which are wrapped as its author's editor wrapped them."""
    return _flowing(card.text) if card.kind == "answer" else card.text


def _facts(facts: Sequence[Fact]) -> list[Block]:
    """Short facts beside each other, long ones below each other, in the order they were given."""
    blocks: list[Block] = []
    beside: list[Block] = []
    size = 0
    for fact in (fact for fact in facts if _line(fact.label) or _clean(fact.value)):
        field, is_narrow = _field(fact)
        if beside and (not is_narrow or len(beside) == FIELDS or size + _size(field["text"]) > SECTION):
            blocks.append({"type": "section", "fields": beside})
            beside, size = [], 0
        if is_narrow:
            beside.append(field)
            size += _size(field["text"])
        elif _size(field["text"]) <= FIELD:
            blocks.append({"type": "section", "text": field})
        else:
            blocks += _sections("\n".join(part for part in (_line(fact.label), _clean(fact.value)) if part))
    if beside:
        blocks.append({"type": "section", "fields": beside})
    return blocks


def _field(fact: Fact) -> tuple[Block, bool]:
    """A fact as label above value, and whether it may stand beside another."""
    label, value = _line(fact.label), _clean(fact.value)
    is_narrow = _size(label) + _size(value) <= NARROW and "\n" not in value
    if isinstance(fact.value, Account) and _USER.fullmatch(fact.value) and not _formats(label):
        return _marked("\n".join([*([f"*{_mrkdwn(label)}*"] if label else []), f"<@{fact.value}>"])), is_narrow
    if not label or not value or _formats(label) or _formats(_bare(value)):
        return _words("\n".join(part for part in (label, value) if part)), is_narrow
    return _marked(f"*{_mrkdwn(label)}*\n{_bold(value)}"), is_narrow


def _quote(source: Source) -> list[Block]:
    """The passage, marked as one, and below it where it stands."""
    quote = _clean(_flowing(source.quote))
    where = f"{source.sop} v{source.version}, {source.step}"
    where = _line(f"{source.title} ({where})" if source.title else where)
    if _formats(_bare(quote)):
        passage = _sections(f"“{quote}”", as_plain=True)
    else:
        pieces = _pieces(_bare(quote), SECTION - 2, lambda c: 3 if c == "\n" else _escaped_size(c)) if quote else ()
        passage = [{"type": "section", "text": _marked(_behind(_mrkdwn(piece)))} for piece in pieces]
        if len(passage) == 1 and _size(marked := _behind(_bold(quote))) <= SECTION:
            passage = [{"type": "section", "text": _marked(marked)}]
    return [*passage, *_contexts(f"— {where}")]


def _behind(text: str) -> str:
    """A text as a block quote."""
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


def _reference(card: Card) -> list[Block]:
    """The card's reference, where no fact of it says so already."""
    if not card.ref or any(fact.value == card.ref for fact in card.facts):
        return []
    return [{"type": "context", "elements": [_plain(say("Reference")), _short(card.ref, FIELD)]}]


def _small(text: Wording | None) -> list[Block]:
    return _contexts(_clean(text)) if text else []


def _contexts(text: str) -> list[Block]:
    return [{"type": "context", "elements": [_plain(piece)]} for piece in _pieces(text, FIELD, _size)]


# --- buttons -------------------------------------------------------------------------------------------------------------


def button_value(button: Button, nonce: str) -> str:
    """What a drawn button carries, for `read_value`."""
    parts = {"f": FORMAT, "v": button.verb, "t": button.target, "n": nonce, "w": button.needs}
    return json.dumps(parts, ensure_ascii=False, separators=(",", ":"))


def read_value(value: object) -> Pressed | None:
    """What `button_value` wrote; None for anything else, and for what another version wrote."""
    try:
        parts = json.loads(value) if isinstance(value, str) else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(parts, dict) or parts.get("f") != FORMAT or isinstance(parts["f"], bool):
        return None
    verb, target, nonce, needs = (parts.get(key) for key in "vtnw")
    if not all(isinstance(part, str) for part in (verb, target, nonce, needs)) or not verb or needs not in get_args(Needs):
        return None
    return Pressed(str(verb), str(target), str(nonce), cast("Needs", needs))


def _actions(
    buttons: Sequence[Button], links: Sequence[Link], nonce: str, hosts: Sequence[str], *, feedback: bool, first: int = 0
) -> tuple[list[Block], list[Block]]:
    """The buttons, and in words what a button cannot hold: the whole of a long label, a link that leads elsewhere.

    first   the number of the first button: no two on a page may have the same
    """
    pair = _pair(buttons) if feedback else None
    drawn = [_button(n, button, nonce) for n, button in enumerate(buttons, start=first) if not pair or button not in pair]
    allowed = [link for link in links if _leads_to(link.url, hosts)]
    drawn += [_link(n, link) for n, link in enumerate(allowed, start=first + len(buttons))]
    blocks: list[Block] = [{"type": "actions", "elements": chunk} for chunk in _chunks(drawn, BUTTONS)]
    if pair:
        blocks.append(_feedback(first + buttons.index(pair[0]), pair, nonce))
    labels = (*(button.label for button in buttons), *(link.label for link in allowed))
    words = [_line(label) for label in labels if _size(_line(label)) > LABEL]
    words += [_line(f"{link.label}: {link.url}") for link in links if link not in allowed]
    return blocks, [block for text in words for block in _contexts(text)]


def _button(n: int, button: Button, nonce: str) -> Block:
    drawn: Block = {
        "type": "button",
        "action_id": f"hf:{n}:{button.verb}",
        "text": _label(button.label),
        "value": button_value(button, nonce),
    }
    return drawn if button.style == "plain" else {**drawn, "style": button.style}


def _link(n: int, link: Link) -> Block:
    return {"type": "button", "action_id": f"hf:{n}:open", "text": _label(link.label), "url": link.url}


def _leads_to(url: str, hosts: Sequence[str]) -> bool:
    return any(url.startswith(host.rstrip("/") + "/") for host in hosts)


def _pair(buttons: Sequence[Button]) -> tuple[Button, Button] | None:
    """The two buttons that say whether an answer helped, if both are there."""
    found = {button.verb: button for button in buttons if button.verb in ("helpful", "unhelpful")}
    return (found["helpful"], found["unhelpful"]) if len(found) == 2 else None


def _feedback(n: int, pair: tuple[Button, Button], nonce: str) -> Block:
    good, bad = ({"text": _label(button.label), "value": button_value(button, nonce)} for button in pair)
    thumbs = {"type": "feedback_buttons", "action_id": f"hf:{n}:feedback", "positive_button": good, "negative_button": bad}
    return {"type": "context_actions", "elements": [thumbs]}


# --- forms ---------------------------------------------------------------------------------------------------------------


def form(form: Form, private: Mapping[str, str]) -> Block:
    """A modal that asks what a button needs.

    private   verb, target, nonce, channel, message, thread, team: what comes back with it
    raises    ValueError   `private` is longer than Slack keeps
    """
    kept = json.dumps({"f": FORMAT, **private}, ensure_ascii=False, separators=(",", ":"))
    if _size(kept) > METADATA:
        raise ValueError(
            f"a form keeps at most {METADATA} characters to itself, and these ids have {_size(kept)}: shorten them"
        )
    blocks = [*(_sections(_line(form.title)) if _size(_line(form.title)) > TITLE else []), *_inputs(form)]
    return {
        "type": "modal",
        "callback_id": "hf:form",
        "title": _short(form.title, TITLE),
        "submit": _short(form.send, TITLE),
        "close": _plain(say("Cancel")),
        "private_metadata": kept,
        "blocks": blocks or _sections(_clean(form.ask)) or _small(say("Nothing is asked.")),
    }


def read_form(view: Mapping[str, Any]) -> tuple[dict[str, str], str, str]:
    """What a submitted `form` says: what it kept to itself, the code of the choice, what was typed; empty where it is silent.

    What it kept is empty as a whole where another version drew the form.
    """
    try:
        kept = json.loads(str(view.get("private_metadata") or ""))
    except (ValueError, RecursionError):
        kept = None
    is_ours = isinstance(kept, dict) and kept.pop("f", None) == FORMAT
    private = (
        {key: value for key, value in kept.items() if isinstance(value, str)} if isinstance(kept, dict) and is_ours else {}
    )
    values = _inside(view, "state", "values")
    code = _inside(values, "choice", "choice", "selected_option", "value")
    typed = _inside(values, "typed", "typed", "value")
    return private, code if isinstance(code, str) else "", typed if isinstance(typed, str) else ""


def _inside(data: object, *path: str) -> object:
    for key in path:
        data = data.get(key) if isinstance(data, Mapping) else None
    return data


def _inputs(form: Form) -> list[Block]:
    blocks: list[Block] = []
    if form.choices:
        blocks.append(_input("choice", form.ask, _menu(form.choices), optional=not form.needs_choice))
    if form.typed:
        element = {"type": "plain_text_input", "action_id": "typed", "max_length": TYPED, "multiline": not form.choices}
        blocks.append(_input("typed", form.typed, element, optional=bool(form.choices)))
    hint = _line(form.hint)
    if blocks and hint:
        blocks[-1]["hint"] = _short(hint, FIELD)
    cut = [_line(choice.label) for choice in form.choices if _size(_line(choice.label)) > LABEL]
    return [*blocks, *(block for label in islice(cut, HOME_BLOCKS // 2) for block in _contexts(label))]


def _input(name: str, label: Wording, element: Block, *, optional: bool) -> Block:
    return {"type": "input", "block_id": name, "label": _short(label, FIELD), "element": element, "optional": optional}


def _menu(choices: Sequence[Choice]) -> Block:
    """All choices as one menu; more than a hundred in groups that are named for their first and last."""
    options = [{"text": _label(choice.label), "value": choice.code} for choice in choices]
    menu: Block = {"type": "static_select", "action_id": "choice"}
    if len(options) <= OPTIONS:
        return {**menu, "options": options}
    groups = []
    for start in range(0, len(options), OPTIONS):
        chunk = options[start : start + OPTIONS]
        label = say("{first} to {last} of {n}", first=start + 1, last=start + len(chunk), n=Count(len(options), "choice"))
        groups.append({"label": _plain(label), "options": chunk})
    return {**menu, "option_groups": groups}


# --- text ----------------------------------------------------------------------------------------------------------------

_MARKS = re.compile(r"[*_~`]|^\s*>|:[^\s:]+:|://", re.MULTILINE)
_BOLD = re.compile(r"\*\*([^*\n]+)\*\*")
_WHOLE_BOLD = re.compile(r"(?<![^\s(“])\*\*([^\s*](?:[^*\n]*[^\s*])?)\*\*(?![^\s.,;:!?)”])")
_SOFT = re.compile(r"(?<!\n)\n(?!\n|\s*(?:[-*+]|\d+[.)])\s|\s*\|)")
_TOKEN = re.compile(r"<(?=[!@#/A-Za-z])")
_USER = re.compile(r"[UW][A-Z0-9]{2,20}")
_JOINERS = "\u200c\u200d"  # hold scripts and emoji together
_APART = "\u2060"  # seen by nobody


def _mrkdwn(text: str) -> str:
    """`text` with Slack's three control characters escaped: what it holds can be no mention, channel, link or date."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _formats(text: str) -> bool:
    """Whether anything in it might be taken for formatting, an emoji or an address, none of which mrkdwn can escape."""
    return bool(_MARKS.search(text))


def _words(text: str, *, as_plain: bool = False) -> Block:
    """A text object that shows `text` as it is. `text` is clean, not empty, and fits."""
    return _plain(_bare(text)) if as_plain or _formats(_bare(text)) else _marked(_bold(text))


def _marked(mrkdwn: str) -> Block:
    return {"type": "mrkdwn", "text": mrkdwn, "verbatim": True}


def _plain(text: str) -> Block:
    """Slack formats nothing here. A `<` that might open a token is yet kept apart from what follows it."""
    return {"type": "plain_text", "text": _TOKEN.sub(f"<{_APART}", text), "emoji": False}


def _label(label: Wording) -> Block:
    return _short(label, LABEL)


def _short(text: str, limit: int) -> Block:
    return _plain(_cut(_line(text) or "…", limit))


def _sections(text: str, *, as_plain: bool = False) -> list[Block]:
    """`text` over as many sections as it needs; drawn the same way in all of them. Bold is lost where it has to be split."""
    as_plain = as_plain or _formats(_bare(text))
    if text and _escaped_size(text) <= SECTION:
        return [{"type": "section", "text": _words(text, as_plain=as_plain)}]
    return [
        {"type": "section", "text": _words(piece, as_plain=as_plain)} for piece in _pieces(_bare(text), SECTION, _escaped_size)
    ]


def _bold(text: str) -> str:
    """Clean text in which nothing but Markdown's stars for bold formats, as mrkdwn. Stars within a word are left out."""
    return _bare(_WHOLE_BOLD.sub(r"*\1*", _mrkdwn(text)))


def _bare(text: str) -> str:
    """Without Markdown's stars for bold."""
    return _BOLD.sub(r"\1", text)


def _flowing(text: str) -> str:
    """Line breaks that Markdown means as blanks are blanks; lists and paragraphs stay."""
    return _SOFT.sub(" ", text)


def _line(text: str) -> str:
    return " ".join(_bare(_clean(text)).split())


def _clean(text: str) -> str:
    """Without control, direction and half characters, which hide what is said; its lines stay lines."""
    return "\n".join(_clean_line(line) for line in text.strip().splitlines()).strip()


def _clean_line(line: str) -> str:
    spaced = (" " if char.isspace() else char for char in line)
    return "".join(char for char in spaced if char in _JOINERS or unicodedata.category(char) not in _UNSEEN).rstrip()


_UNSEEN = ("Cc", "Cf", "Cs", "Cn", "Co")


# --- lengths -------------------------------------------------------------------------------------------------------------


def _size(text: str) -> int:
    """In UTF-16 units, and one more for each `<` that `_plain` keeps apart."""
    return len(text) + sum(char > "\uffff" for char in text) + len(_TOKEN.findall(text))


def _escaped_size(text: str) -> int:
    return len(text) + sum(4 if c == "&" else 3 if c in "<>" else int(c > "\uffff") for c in text)


def _cut(text: str, limit: int) -> str:
    """At most `limit` long, with dots where something is left out."""
    if _size(text) <= limit:
        return text
    return next(_pieces(text, limit - 1, _size)).rstrip() + "…"


def _pieces(text: str, limit: int, size: Callable[[str], int]) -> Iterator[str]:
    """`text` in pieces of at most `limit`, cut where a line or at least a word ends, or anywhere if neither does."""
    while text := text.strip():
        end, used = 0, 0
        while end < len(text) and (used := used + size(text[end]) + (text[end] == "<")) <= limit:
            end += 1
        if end < len(text):
            ends = (text.rfind(mark, end // 2, end + 1) for mark in ("\n", " "))
            end = next((at for at in ends if at > 0), max(end, 1))
        if piece := text[:end].rstrip():
            yield piece
        text = text[end:]


def _chunks(elements: Sequence[Block], most: int) -> Iterator[list[Block]]:
    """In their order, at most so many at once, and never more than a message could hold."""
    chunk: list[Block] = []
    for element in elements:
        if chunk and (len(chunk) == most or _weight([*chunk, element]) > MESSAGE_SIZE // 3):
            yield chunk
            chunk = []
        chunk.append(element)
    if chunk:
        yield chunk


def _weight(blocks: Sequence[Block]) -> int:
    return _size(json.dumps(blocks, ensure_ascii=False))


def _fit(blocks: Sequence[Block], most: int, size: int) -> bool:
    return len(blocks) <= most and _weight(blocks) <= size


class _Room:
    """What is left of a message or page."""

    def __init__(self, blocks: int, size: int) -> None:
        self._blocks = blocks
        self._size = size - 2

    def hold(self, blocks: Sequence[Block]) -> None:
        self._blocks -= len(blocks)
        self._size -= sum(_weight([block]) for block in blocks)

    def take(self, blocks: list[Block], part: int = 1) -> tuple[list[Block], list[Block]]:
        """As many of the blocks as fit into this part of the room (2: half of it), and the others."""
        room, size = self._blocks // part, self._size // part
        taken = 0
        while taken < len(blocks) and taken < room and (size := size - _weight([blocks[taken]])) >= 0:
            taken += 1
        self.hold(blocks[:taken])
        return blocks[:taken], blocks[taken:]
