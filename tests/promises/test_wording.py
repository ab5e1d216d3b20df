"""Promise 34: documents that give orders to a model steer nothing, even where the model obeys them all.

The stand-in for the model is told nothing of our checks: it reads the passages and does whatever a line in them asks for, by
claiming and quoting it. What a real model would do is another question, and nothing here answers it.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import pytest
from sqlalchemy import Engine

from bot import cards, records
from bot.cards import StepQuote, Token, say
from bot.chat import Card
from bot.platforms.console import page
from bot.platforms.console.printer import Printer
from bot.platforms.slack import blocks
from bot.platforms.teams import cards as teams
from knowledge.library import Answer, Library, Nearest, Principal
from knowledge.model import Config, Model
from knowledge.wording import Pen
from tests.fakes.openai import OpenAI, obeys
from tests.gates import slack
from tests.gates import teams as teams_gate
from tests.promises.injections import NOW, ORDERS, PLACES, WHERE, sop

BEA = Principal("bea", frozenset({"billing_coordinator"}), "harbor")
NONCE = "0a1b2c3d"


def variants() -> Iterator[tuple[int, str]]:
    """Every order in every place of an SOP."""
    for n, (order, place) in enumerate(itertools.product(ORDERS, PLACES)):
        yield n, place.format(order=order)


@pytest.mark.timeout(600)
def test_documents_that_give_orders_to_a_model_steer_nothing(engine: Engine, tmp_path: Path) -> None:
    """Lost: a link to somebody's page, or a shout at a whole channel, out of a file that was taken for an SOP."""
    service = OpenAI(obeys)
    told: Counter[str] = Counter()
    with service.serving() as url:
        model = Model(Config("openai:gpt-test", url, "k", 30))
        pen = Pen(model, partial(records.write, engine), redact=str, day_tokens=10**9, tell=lambda came: told.update([came]))
        library = Library(partial(records.read, engine), partial(records.write, engine), pen)
        made, folder = list(variants()), tmp_path / "sops"
        folder.mkdir()
        for n, text in made:
            (folder / f"s{n}.md").write_text(sop(n, text), "utf-8")
        report = library.ingest([folder], publish=True, at=NOW, by="mona")
        assert report.ok and len(report.files) == len(made) >= 300
        before, shown = _state(engine), 0
        for n, _ in made:
            question = f"How do I do {WHERE[n % len(WHERE)]} number {n}?"
            found = library.ask(question, BEA, NOW)
            assert isinstance(found, Answer | Nearest), question
            quotes = found.quotes if isinstance(found, Answer) else found.candidates
            worded = library.word(Answer(tuple(quotes)), question, BEA, NOW)
            assert isinstance(worded, Answer)
            _renders_nothing_live(_card(worded))
            shown += worded.worded is not None
        assert _state(engine) == before
        model.close()
    assert len(service.asked) == len(made) and service.elsewhere == []
    assert all("tools" not in body for body in service.asked)
    assert told["markup"] > 50 and shown > 0, told  # orders were tried, and some harmless sentence was shown


def _card(answer: Answer) -> Card:
    """As an answer is drawn: what was chosen on top, the quotes whole below."""
    quoted = [
        StepQuote(Token(q.sop), q.version, Token(q.step or "text"), None, q.title, q.step_title or q.title, q.text)
        for q in answer.quotes
    ]
    claims = [claim.text for claim in answer.worded.claims] if answer.worded else [answer.quotes[0].lead]
    return Card(
        "answer",
        say("{title}", title=quoted[0].title),
        cards.lines([say("{claim}", claim=claim) for claim in claims]),
        sources=tuple(each.source() for each in quoted),
    )


def _renders_nothing_live(card: Card) -> None:
    """raises AssertionError   a link, mention, image or markup that is not ours, on any platform"""
    for message in blocks.messages(card, NONCE):
        payload = {
            "channel": "C1", "text": message.text, "blocks": message.blocks, "unfurl_links": False, "unfurl_media": False
        }  # fmt: skip
        slack.check_message(payload)
        drawn = json.dumps(message.blocks)
        assert not re.search(r'"type": "(?:image|link|user|usergroup|channel|broadcast|rich_text|video)"|_url"', drawn)
    for content in teams.adaptive(card, NONCE, lambda verb: None):
        teams_gate.check_card(content)
        assert not re.search(r'"(?:url|backgroundImage|iconUrl|entities)"|"Image"|"Media"|OpenUrl|<at>', json.dumps(content))
    seen = _Tags()
    draw = page._templates("/page", is_free=True).get_template("card.html").module.draw  # type: ignore[attr-defined]
    seen.feed(str(draw(card, "", "p1", None, "", {}, None)))
    assert not seen.tags & {"a", "img", "script", "iframe", "svg", "link", "object", "form", "video", "style"}, seen.tags
    assert not seen.attributes & {"href", "src", "style", "onerror", "onclick", "onload", "action"}, seen.attributes
    terminal = io.StringIO()
    Printer(terminal, prompting=False).show(card)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", terminal.getvalue())


class _Tags(HTMLParser):
    """Which elements and attributes a piece of HTML has."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def _state(engine: Engine) -> str:
    """A hash of every row of every table but the model's own counters."""
    raw = engine.raw_connection()
    try:
        dump = (line for line in raw.iterdump() if '"model_day"' not in line)
        return hashlib.sha256("\n".join(dump).encode()).hexdigest()
    finally:
        raw.close()
