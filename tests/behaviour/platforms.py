"""The names of the platforms that the behaviour suite runs on, and what one of them cannot do."""

from __future__ import annotations

import pytest

NAMES = ("console", "slack-http", "slack-socket", "local-slack-http", "local-slack-socket", "teams")

LACK = {
    "channels": {
        "console": "the page has no channels",
        "local-slack-http": "local-slack makes no channels by its control API",
        "local-slack-socket": "local-slack makes no channels by its control API",
    },
    "files": {
        "local-slack-http": "local-slack shares no files by its control API",
        "local-slack-socket": "local-slack shares no files by its control API",
    },
}
"""What is missing where, and why; the fake Slack has it."""


def having(what: str = "") -> list[object]:
    """The platforms that have `what`, as parameters of the `chat` fixture; all of them for nothing.

    With `pytest.mark.parametrize("chat", having("files"), indirect=True)` a test runs on those alone, and none is skipped.
    """
    names = [name for name in NAMES if name not in LACK.get(what, {})]
    return [pytest.param(name, marks=pytest.mark.stand_in) if name.startswith("local-") else name for name in names]
