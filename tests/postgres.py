"""A PostgreSQL server for the tests, and a fresh database on it for each test that asks.

HOLDFAST_TEST_POSTGRES   an address of a server where we may create databases, postgresql://user@host:port/postgres
otherwise                a server on 127.0.0.1:5432 or the Unix socket that lets us in without a password
otherwise                our own, from /usr/lib/postgresql/*/bin, thrown away at the end
otherwise                the tests are skipped with one line; with CI=true they fail, so that nothing is skipped unseen
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest
from sqlalchemy import Engine, NullPool, create_engine, make_url
from sqlalchemy.exc import OperationalError

_GUESSES = (
    "postgresql+psycopg://postgres@127.0.0.1:5432/postgres",
    "postgresql+psycopg:///postgres?host=/var/run/postgresql",
    "postgresql+psycopg://postgres@/postgres?host=/var/run/postgresql",
)


@contextmanager
def server() -> Iterator[str]:
    """The address of a server for this test run."""
    given = os.environ.get("HOLDFAST_TEST_POSTGRES")
    if given:
        yield "postgresql+psycopg://" + given.split("://", 1)[1]
        return
    running = next((url for url in _GUESSES if _lets_us_in(url)), None)
    if running:
        yield running
        return
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not binaries:
        without_server("no PostgreSQL: set HOLDFAST_TEST_POSTGRES, or install the server (Debian: postgresql)")
    with _own_server(binaries[-1].parent) as url:
        yield url


def without_server(reason: str) -> NoReturn:
    """Skip, saying why; on CI fail instead."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def database(server_url: str, template: str = "template0") -> Iterator[str]:
    """The address of a new database, a copy of `template`; dropped afterwards with whoever is still connected."""
    name = f"holdfast_test_{secrets.token_hex(6)}"
    admin = administrator(server_url)
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE {template}")
    try:
        yield make_url(server_url).set(database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def administrator(server_url: str) -> Engine:
    """An engine that may create databases and roles; every statement by itself, no connection kept."""
    return create_engine(server_url, isolation_level="AUTOCOMMIT", poolclass=NullPool)


def _lets_us_in(url: str) -> bool:
    engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool, connect_args={"connect_timeout": 3})
    try:
        with engine.connect() as connection:
            return bool(connection.exec_driver_sql("SELECT rolcreatedb FROM pg_roles WHERE rolname = current_user").scalar())
    except OperationalError:
        return False


@contextmanager
def _own_server(binaries: Path) -> Iterator[str]:
    """A server on a free loopback port; as the user `postgres` or `nobody` when we are root, which PostgreSQL refuses."""
    folder = Path(tempfile.mkdtemp(prefix="holdfast-postgres-"))
    user = _unprivileged(folder) if os.geteuid() == 0 else None
    data, log = folder / "data", folder / "log"
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    settings = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
    try:
        _run(binaries / "initdb", "-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync", user=user)
        _run(binaries / "pg_ctl", "-D", data, "-l", log, "-o", settings, "-w", "start", user=user)
        yield f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"
    finally:
        _run(binaries / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop", user=user, check=False)
        shutil.rmtree(folder, ignore_errors=True)


def _unprivileged(folder: Path) -> str:
    for name in ("postgres", "nobody"):
        try:
            shutil.chown(folder, name)
        except LookupError:
            continue
        return name
    without_server("PostgreSQL does not run as root and there is no user postgres or nobody")


def _run(*command: object, user: str | None, check: bool = True) -> None:
    """Output goes nowhere: the server would keep a pipe open for as long as it runs."""
    words = [str(word) for word in command]
    subprocess.run(words, user=user, check=check, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
