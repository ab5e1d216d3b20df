"""The Slack story at the page of local-slack."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live import local_slack

pytestmark = [pytest.mark.stand_in, pytest.mark.browser, pytest.mark.xdist_group("browser")]


def test_one_person_at_local_slack_asks_is_nudged_and_answers(tmp_path: Path) -> None:
    """Without this our blocks and forms are only ever read by our own tests, never by a client that somebody else wrote."""
    if reason := local_slack.why_not():
        pytest.skip(reason)
    local_slack.drive(tmp_path)
