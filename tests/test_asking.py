"""What stands behind an answer: a version in force, evidence, and a turn of one's own."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

from bot import evidence, inbox
from bot.chat import Heard, Place
from bot.records import read
from knowledge import library as of_knowledge
from tests.behaviour.small import START, Opens, Small

SOP = """---
id: era-race
title: Posting of remittances on marbled paper
domain: Billing
version: {version}
owner: Billing coordinator
approver: Office manager
effective: 2026-01-05
roles: [all]
sites: [all]
retention: 6 years
---

# Posting of remittances on marbled paper

## Steps

### 1. Post the marbled remittance <!-- step: post-marbled -->

Post the marbled remittance in round {version}.

- **Who:** Billing coordinator
- **Clock:** 2 open d
"""
QUESTION = "how do I post the marbled remittance"


def publish(small: Small, folder: Path, version: int) -> None:
    file = folder / f"era-{version}.md"
    file.write_text(SOP.format(version=version))
    report = small.holdfast.ingest([file], publish=True, by="olu")
    assert report.files[0].outcome == "published", report


def test_an_answer_cites_the_version_in_force_however_the_library_moves(opens: Opens, tmp_path: Path) -> None:
    """Lost: what was replaced between search and answer is quoted, and on record as if it had been in force.

    100 questions; in every one the next version is published after the search and before the answer is kept.
    """
    small = opens()
    publish(small, tmp_path, 1)
    library, search = small.holdfast.library, of_knowledge.Library.ask
    versions = iter(range(2, 200))
    moved = {"now": False}

    class Moving(of_knowledge.Library):
        def ask(self, *given, **more):  # type: ignore[no-untyped-def]
            found = search(self, *given, **more)
            if moved["now"]:
                moved["now"] = False
                publish(small, tmp_path, next(versions))
            return found

    library.__class__ = Moving
    told = 0
    for n in range(100):
        small.clock.at = START + timedelta(minutes=2 * n)
        moved["now"] = n % 2 == 0
        card = small.holdfast.ask("bea", QUESTION)
        told += card.kind == "answer"
    assert told == 100
    assert_bound(small)


def test_an_answer_is_bound_while_others_publish(opens: Opens, tmp_path: Path) -> None:
    """Lost: two processes at once, and an answer cites what the ledger says was replaced before it."""
    small = opens()
    publish(small, tmp_path, 1)
    stop = threading.Event()

    def publishing() -> None:
        for version in range(2, 40):
            if stop.is_set():
                return
            publish(small, tmp_path, version)

    beside = threading.Thread(target=publishing)
    beside.start()
    try:
        kinds = [small.holdfast.ask("bea", QUESTION).kind for _ in range(30)]
    finally:
        stop.set()
        beside.join()
    assert set(kinds) <= {"answer", "reply"}, "an answer, or that the SOP was changed meanwhile"
    assert_bound(small)


def assert_bound(small: Small) -> None:
    """Each answer on record is of the version that was published last before it, with the hash of its source."""
    with read(small.holdfast.engine) as session:
        events = [entry.event for entry in evidence.read(session)]
        assert evidence.verify(session).ok
    newest, seen = 0, 0
    for event in events:
        if event.what == "sop_published" and event.sop == "era-race":
            newest = event.sop_version or 0
        if event.what == "answer given":
            assert (event.sop, event.sop_version, event.step) == ("era-race", newest, "post-marbled")
            step = small.holdfast.library.step("era-race#post-marbled", version=newest)
            assert step and event.detail["source"] == step.sha256
            assert len(str(event.detail["quote"])) == 64
            assert QUESTION not in str(event)
            seen += 1
    assert seen


def test_people_take_turns_in_the_inbox(opens: Opens) -> None:
    """Lost: somebody who pastes forty questions holds up everybody who asks one."""
    small = opens()
    engine, now = small.holdfast.engine, small.clock.now()
    keeper = inbox.Inbox(engine)
    for n in range(40):
        keeper.keep(Heard(f"a{n}", "ask", "UFLOOD", Place("slack", "T", "D1"), now), now + timedelta(milliseconds=n))
    for n, who in enumerate(("UBEA", "UTOM")):
        keeper.keep(Heard(f"{who}", "ask", who, Place("slack", "T", f"D{who}"), now), now + timedelta(seconds=1 + n))
    order = []
    while (taken := inbox.take(engine, now + timedelta(seconds=5))) is not None:
        order.append(taken.heard.account)
        inbox.finish(engine, taken, now)
    assert order[:4] == ["UFLOOD", "UBEA", "UTOM", "UFLOOD"] and len(order) == 42
