"""The practice and the chat of one test. A new platform adds its driver to `chat`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.behaviour.chat import Chat, ConsoleChat
from tests.behaviour.small import Opens, Small, published_home


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the starter library in force."""
    home = tmp_path_factory.mktemp("published")
    published_home(home)
    return home


@pytest.fixture
def opens(published: Path, tmp_path: Path) -> Iterator[Opens]:
    """Opens practices for a test, and closes them after it."""
    opened: list[Small] = []

    def open_one(**how: Any) -> Small:
        opened.append(Small.open(published, tmp_path / f"home{len(opened)}", **how))
        return opened[-1]

    yield open_one
    for small in opened:
        small.holdfast.close()


@pytest.fixture
def small(opens: Opens) -> Small:
    return opens()


@pytest.fixture(params=["console"])
def chat(request: pytest.FixtureRequest, small: Small) -> Chat:
    """The chat of `small`, on each platform."""
    drivers = {"console": ConsoleChat}
    return drivers[request.param](small)
