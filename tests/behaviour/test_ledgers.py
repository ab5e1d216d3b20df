"""The comparison of ledgers finds what differs, and nothing else."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.behaviour import ledgers
from tests.behaviour.chat import ConsoleChat
from tests.behaviour.small import START, Claim, Opens, at


def left_behind(opens: Opens, *, presses: bool) -> list[str]:
    """What three claims that stalled at the same instant leave, one of them with an answer."""
    chat = ConsoleChat(opens())
    fees = {"C-1": "100.00", "C-2": "900.00", "C-3": "900.00"}
    chat.small.report("harbor", *(Claim(number, START - timedelta(minutes=30), fee=fee) for number, fee in fees.items()))
    chat.small.until(at("2026-03-04", "08:30"))
    if presses:
        chat.press("bea", "On it", about="$100.00")
    return ledgers.of(chat.small)


def test_the_same_story_leaves_the_same_ledger(opens: Opens) -> None:
    """Without this random references and their order make every comparison a coin toss."""
    first = left_behind(opens, presses=True)
    assert all(left_behind(opens, presses=True) == first for _ in range(3))


def test_another_story_leaves_another_ledger(opens: Opens, tmp_path: Path) -> None:
    """Without this a platform on which presses are lost compares equal."""
    ledgers.compare(tmp_path / "kept", "a test", "console", left_behind(opens, presses=True))
    ledgers.compare(tmp_path / "kept", "a test", "teams", left_behind(opens, presses=True))
    with pytest.raises(AssertionError, match=r"console and slack differ:(?s:.*)-.*nudge acknowledged"):
        ledgers.compare(tmp_path / "kept", "a test", "slack", left_behind(opens, presses=False))
