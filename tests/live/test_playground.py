"""The Teams story at the page of the Agents Playground."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live import playground

pytestmark = [pytest.mark.stand_in, pytest.mark.browser, pytest.mark.xdist_group("browser")]


def test_one_person_at_the_playground_asks_is_nudged_and_answers(tmp_path: Path) -> None:
    """Without this our cards are only ever read by our own tests, never by a client that somebody else wrote."""
    if reason := playground.why_not():
        pytest.skip(reason)
    playground.drive(tmp_path)
