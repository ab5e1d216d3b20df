"""The Agents Playground of Microsoft 365, driven in Chromium: `python -m tests.live.playground [FOLDER FOR PICTURES]`.

The Playground is a page that behaves as Teams does, under a licence for evaluating it: `.ci/stand_ins` fetches it, Holdfast
never needs it. It listens on every interface, so run this where loopback is the only network:

    unshare --net sh -c 'ip link set lo up && .venv/bin/python -m tests.live.playground docs'
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page
from starlette.applications import Starlette

from tests import chromium
from tests.behaviour.small import Small
from tests.fakes.serving import serving, wait_for
from tests.live import stage
from tests.live.stage import QUESTION, TOP, see, shoot

CLI = TOP / ".stand-ins/node_modules/@microsoft/m365agentsplayground/cli.js"
PANEL_PX = 870
"""To the right of it stands the log of what was sent."""
ALEX = "00000000-0000-0000-0000-0000000000020"
"""The directory id of the person who sits at the Playground."""
ACCOUNTS = f'\n[chat.teams]\n"{ALEX}" = "alex"\n'


def why_not() -> str:
    """Why it cannot be run here, in one sentence; empty where it can."""
    if not CLI.is_file():
        return "the Agents Playground is not installed: run .ci/stand_ins"
    if shutil.which("node") is None or chromium.path() is None:
        return "the Agents Playground needs Node.js and Chromium: install both"
    if not stage.is_cut_off():
        return "the Agents Playground listens on every interface: run it in a network namespace"
    return ""


def drive(home: Path, pictures: Path | None = None) -> None:
    """Ask, be nudged, be refused without a reason, give one, say done, read the stand-up.

    raises AssertionError, playwright's TimeoutError
    """
    with stage.practice(home, ACCOUNTS, {"teams_dangerously_open": True}) as small:
        web = Starlette(routes=small.holdfast.routes())
        try:
            with serving(web) as bot, playground(home, bot) as url, stage.at_work(small), stage.browser_page(pictures) as page:
                page.goto(url)
                see(page, "Connected.")
                _person_at(page, small, pictures)
        finally:
            small.holdfast.chats["teams"].stop()


def _person_at(page: Page, small: Small, pictures: Path | None) -> None:
    def picture(name: str, top: str) -> None:
        shoot(page, pictures, f"teams-{name}", page.get_by_text(top).first, width=PANEL_PX)  # the log repeats what was typed

    say(page, QUESTION)
    see(page, "This helped")
    picture("answer", QUESTION)

    stage.let_a_claim_lie(small)
    see(page, "Nobody has moved this claim since")
    picture("nudge", "Claim not touched")

    press(page, "Can't")
    press(page, "Send")
    see(page, "Choose one.")
    assert small.nudge().state == "sent", "a press without a reason took effect"
    picture("reason", "Claim not touched")

    page.get_by_role("combobox").last.click()
    page.get_by_role("option", name="Waiting on the payer").click()
    stage.out_of_the_exception(page, small, say, press)
    picture("digest", "Stand-up · Harbor · Pine")


def say(page: Page, words: str) -> None:
    page.locator("[contenteditable]").first.click()
    page.keyboard.type(words)
    page.get_by_role("button", name="Send Message").click()


def press(page: Page, label: str) -> None:
    page.get_by_role("button", name=label, exact=True).last.click()


@contextmanager
def playground(home: Path, bot: str) -> Iterator[str]:
    """A running Playground that calls the bot at this address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = ["node", str(CLI), "start", "-e", f"{bot}/api/messages", "-c", "msteams", "-p", str(port), "--dt"]
    environment = {**os.environ, "BROWSER": "true", "TEAMSFX_TELEMETRY": "off", "HOME": str(home)}
    with (home / "playground.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=home, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        wait_for(lambda: _answers(port) or process.poll() is not None, "the Agents Playground did not start", 60)
        assert process.poll() is None, "the Agents Playground ended:\n" + (home / "playground.log").read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 0.2).close()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    if reason := why_not():
        sys.exit(reason)
    with tempfile.TemporaryDirectory() as folder:
        drive(Path(folder), Path(sys.argv[1]) if len(sys.argv) > 1 else None)
