"""The practice and the chat of one test, on every platform. A new one adds its driver to `DRIVERS`, its name to `platforms`."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.behaviour import ledgers
from tests.behaviour.chat import Chat, ConsoleChat
from tests.behaviour.platforms import having
from tests.behaviour.slack import PEOPLE, on_fake_slack, on_local_slack
from tests.behaviour.small import Opens, Small
from tests.behaviour.teams import on_teams
from tests.fakes import local_slack
from tests.fakes.local_slack import LocalSlack
from tests.fakes.slack import Mode

Driver = Callable[[Opens], AbstractContextManager[Chat]]
_PASSED = pytest.StashKey[bool]()


@pytest.fixture
def small(opens: Opens) -> Small:
    return opens()


@pytest.fixture(params=having())
def chat(request: pytest.FixtureRequest, opens: Opens, ledger_folder: Path) -> Iterator[Chat]:
    """The chat of a practice, on each platform. A test that passed must have left the same ledger on all of them."""
    name: str = request.param
    driver = DRIVERS[name] if name in DRIVERS else _local(request, name)
    with driver(opens) as chat:
        yield chat
        if request.node.stash.get(_PASSED, False):
            test = request.node.nodeid.replace(name, "*")
            ledgers.compare(ledger_folder, test, name, ledgers.of(chat.small))


@pytest.fixture(scope="session")
def ledger_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all processes of this run."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "ledgers"


@pytest.fixture(scope="session")
def local_slack_http() -> Iterator[LocalSlack]:
    yield from _running("http")


@pytest.fixture(scope="session")
def local_slack_socket() -> Iterator[LocalSlack]:
    yield from _running("socket")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember whether the test itself passed."""
    report = yield
    if call.when == "call":
        item.stash[_PASSED] = report.passed
    return report


# --- the drivers -----------------------------------------------------------------------------------------------------------


@contextmanager
def _on_console(opens: Opens) -> Iterator[Chat]:
    yield ConsoleChat(opens())


DRIVERS: dict[str, Driver] = {
    "console": _on_console,
    "slack-http": lambda opens: on_fake_slack(opens, "http"),
    "slack-socket": lambda opens: on_fake_slack(opens, "socket"),
    "teams": on_teams,
}


def _local(request: pytest.FixtureRequest, name: str) -> Driver:
    slack: LocalSlack = request.getfixturevalue(name.replace("-", "_"))
    return lambda opens: on_local_slack(opens, slack)


def _running(mode: Mode) -> Iterator[LocalSlack]:
    if reason := local_slack.why_not():
        pytest.skip(reason)
    with local_slack.running(mode, {account: f"{name.title()} Example" for account, name in PEOPLE.items()}) as slack:
        yield slack
