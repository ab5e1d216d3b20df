"""Which SOPs hold where somebody works, who reads an answer along, and what becomes of a question in another language."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from knowledge import embedding
from tests.behaviour.chat import Chat
from tests.behaviour.platforms import having
from tests.behaviour.small import PUBLISHED, Small
from tests.fakes.embedding import Words
from tests.fakes.serving import wait_for

SOP = """---
id: {id}
title: {title}
domain: Front desk
version: 1
owner: Office manager
approver: Office manager
effective: 2026-01-05
review_by: 2027-01-05
roles: [{roles}]
sites: [{sites}]
retention: 6 years
---

# {title}

## Steps

### 1. {heading} <!-- step: {step} -->

{text}

- **Who:** Office manager
- **Clock:** 2 open d
"""
CORE = {
    "id": "sharps", "title": "Sharps containers", "heading": "Replace the sharps container", "step": "replace-container",
    "text": "Replace the sharps container when it is three quarters full, and close its lid before you carry it.",
}  # fmt: skip
ADDENDUM = CORE | {
    "id": "sharps-harbor", "title": "Sharps containers at Harbor", "sites": "harbor",
    "text": "Carry the closed sharps container to the locked room on the second floor: the courier collects it on Thursdays.",
}  # fmt: skip
SAFE = {
    "id": "safe", "title": "The safe", "heading": "Open the safe", "step": "open-safe", "roles": "Office manager",
    "text": "The safe is opened by two people, and its combination is changed on the first of each quarter.",
}  # fmt: skip
QUESTION = "When do I replace the sharps container?"


def publish(small: Small, *sops: dict[str, str]) -> None:
    for each in sops:
        file = small.home / f"{each['id']}.md"
        file.write_text(SOP.format(**{"roles": "all", "sites": "all"} | each), "utf-8")
        report = small.holdfast.ingest([file], publish=True, by="olu", now=PUBLISHED)
        assert report.ok, report


def test_a_core_sop_and_the_addendum_of_ones_own_site_are_both_stated(chat: Chat) -> None:
    """Lost: at Harbor the container is carried out as everywhere else, past the locked room."""
    publish(chat.small, CORE, ADDENDUM)
    at_harbor = chat.ask("bea", QUESTION)
    assert at_harbor.facts["Both hold"] == "core: Sharps containers v1 + Harbor: Sharps containers at Harbor v1"
    assert "three quarters full" in at_harbor.all and "locked room" in at_harbor.all
    at_pine = chat.ask("tom", QUESTION)
    assert "three quarters full" in at_pine.all
    assert "Both hold" not in at_pine.facts and "locked room" not in at_pine.all and "Harbor" not in at_pine.all


@pytest.mark.parametrize("chat", having("channels"), indirect=True)
def test_a_channel_reads_what_everybody_in_it_may_and_the_rest_goes_to_the_asker(chat: Chat) -> None:
    """Lost: a question in the team's channel tells the whole team what is for the manager alone."""
    publish(chat.small, CORE, SAFE)
    everybody, alone = chat.ask_among("mona", ["bea", "tom"], QUESTION)
    assert "three quarters full" in everybody and "three quarters full" not in alone
    starter = chat.small.holdfast.library.steps(chat.small.clock.now())
    closed = {step.sop_title for step in starter} - {"Sharps containers"}
    assert not any(title in everybody for title in closed), "the six starter SOPs are not for every role"


@pytest.mark.parametrize("chat", having("channels"), indirect=True)
def test_the_addendum_of_a_site_goes_to_the_asker_alone(chat: Chat) -> None:
    """Lost: half an answer in the channel, and who works at Harbor never hears of the rest; or all sites read Harbor's."""
    publish(chat.small, CORE, ADDENDUM)
    everybody, alone = chat.ask_among("bea", ["tom"], "How full may the sharps container be before its lid is closed?")
    assert "three quarters full" in everybody and "locked room" not in everybody and "Harbor" not in everybody
    assert "locked room" in alone and "not everybody there may read it" in alone


@pytest.mark.parametrize("chat", having("channels"), indirect=True)
def test_what_the_manager_alone_may_read_stays_out_of_the_channel(chat: Chat) -> None:
    """Lost: as above, the other way round."""
    publish(chat.small, CORE, SAFE)
    everybody, alone = chat.ask_among("mona", ["bea", "tom"], "How is the safe opened?")
    assert "two people" not in everybody and "combination" not in everybody
    assert "opened by two people" in alone


@pytest.mark.parametrize("chat", having("channels"), indirect=True)
def test_who_may_not_read_it_is_not_told_by_a_channel_either(chat: Chat) -> None:
    """Lost: somebody reads in company what they may not read alone."""
    publish(chat.small, CORE, SAFE)
    everybody, alone = chat.ask_among("bea", ["mona"], "How is the safe opened?")
    assert "two people" not in everybody + alone and "combination" not in everybody + alone


# --- by meaning ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def embedder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Words]:
    """What the settings of the practice name: it reads Spanish, as far as this test speaks it."""
    words = Words(SPANISH)
    monkeypatch.setattr(embedding, "chosen", lambda *_: words)
    yield words


SPANISH = {
    "cuándo": "when", "cambio": "replace", "cambiar": "replace", "recipiente": "container", "punzantes": "sharps",
    "lleno": "full", "receta": "recipe", "paella": "dinner", "cocino": "cook",
}  # fmt: skip
EN_ESPANOL = "¿Cuándo debo cambiar el recipiente de los punzantes?"


def test_where_meaning_is_away_the_asker_and_the_operator_are_told(embedder: Words, chat: Chat) -> None:
    """Lost: answers get worse for a week and nobody knows why."""
    embedder.is_down = True
    publish(chat.small, CORE)
    said = chat.ask("bea", QUESTION)
    assert "I search by words only just now" in said.text and "three quarters full" in said.all
    wait_for(lambda: "is away" in chat.small.holdfast.library.away, "nobody noticed that the service is away")
    assert chat.small.holdfast.health()["library"].endswith(
        "word search alone: The embedding service is away: try again later."
    )
    chat.small.holdfast.library.close()


def test_another_language_is_answered_where_the_embedder_reads_it(embedder: Words, chat: Chat) -> None:
    """Lost: whoever thinks in Spanish is told to ask in English by a machine that could have answered."""
    publish(chat.small, CORE)
    assert chat.small.holdfast.library.ready(chat.small.clock.now(), 60)
    said = chat.ask("bea", EN_ESPANOL)
    assert said.title == "Replace the sharps container" and "three quarters full" in said.quotes[0]
    (given,) = chat.small.events("answer given")
    assert (given.actor, given.sop, given.step) == ("bea", "sharps", "replace-container")
    other = chat.ask("bea", "¿Cómo cocino la receta de la paella?")
    assert other.title in ("Not in our SOPs", "Nearest I found")
    chat.small.holdfast.library.close()


def test_another_language_is_declined_while_meaning_is_away(embedder: Words, chat: Chat) -> None:
    """Lost: a question that words alone cannot meet is refused as if no SOP said it."""
    embedder.is_down = True
    publish(chat.small, CORE)
    chat.ask("bea", QUESTION)
    said = chat.ask("bea", EN_ESPANOL)
    assert "please ask me in English, or ask Mona Ferris" in said.text and not said.quotes
    chat.small.holdfast.library.close()
