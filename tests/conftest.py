"""What the tests share: a migrated database of their own, on SQLite or on both, and a small practice."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from bot import records
from bot.migrations import migrate
from tests import guard, postgres
from tests.behaviour.small import Opens, Small, published_home

guard.install()
os.environ.setdefault("EMBEDDING_MODEL", "none")  # the tests of meaning name theirs: a graph for each test's home takes seconds

BOTH = [pytest.param("sqlite"), pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One migrated SQLite file, to be copied: faster than migrating for every test."""
    file = tmp_path_factory.mktemp("migrated") / "holdfast.sqlite"
    engine = records.open_engine(f"sqlite:///{file}")
    migrate(engine)
    engine.dispose()
    return file


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The address of a PostgreSQL server where databases may be created."""
    with postgres.server() as url:
        yield url


@pytest.fixture
def engine(tmp_path: Path, migrated_file: Path) -> Iterator[Engine]:
    """A migrated SQLite database of this test alone."""
    file = tmp_path / "home" / "holdfast.sqlite"
    file.parent.mkdir()
    shutil.copyfile(migrated_file, file)
    engine = records.open_engine(f"sqlite:///{file}")
    yield engine
    engine.dispose()


@pytest.fixture(params=BOTH)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty database: once SQLite, once PostgreSQL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'home' / 'holdfast.sqlite'}"
        return
    with postgres.database(request.getfixturevalue("postgres_server")) as url:
        yield url


@pytest.fixture
def both_engines(database_url: str) -> Iterator[Engine]:
    """A migrated database of this test alone: once SQLite, once PostgreSQL."""
    engine = records.open_engine(database_url)
    migrate(engine)
    yield engine
    engine.dispose()


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
