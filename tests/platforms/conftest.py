"""What the tests of several platforms share."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Every logger there is, at DEBUG, however it was set."""
    loggers = [each for each in logging.root.manager.loggerDict.values() if isinstance(each, logging.Logger)]
    levels = {logger: logger.level for logger in [*loggers, logging.root]}
    for logger in levels:
        logger.setLevel(logging.DEBUG)
    yield caplog
    for logger, level in levels.items():
        logger.setLevel(level)
