"""The page of local-slack, driven in Chromium: `python -m tests.live.local_slack [FOLDER FOR PICTURES]`.

`.ci/stand_ins` fetches local-slack. It listens on every interface, so run this where loopback is the only network:

    unshare --net sh -c 'ip link set lo up && .venv/bin/python -m tests.live.local_slack docs'
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page

from tests import chromium
from tests.behaviour.small import Small
from tests.fakes import local_slack
from tests.live import stage
from tests.live.stage import QUESTION, see, shoot

PEOPLE = {"U0ALEX": "Alex Wilber", "U0RAE": "Rae Whitlock"}
ACCOUNTS = '\n[chat.slack]\nU0ALEX = "alex"\nU0RAE = "rae"\n'


def why_not() -> str:
    """Why it cannot be run here, in one sentence; empty where it can."""
    return local_slack.why_not() or ("" if chromium.path() else "local-slack's page needs Chromium: install it")


def drive(home: Path, pictures: Path | None = None) -> None:
    """Ask, be nudged, be refused without a reason, give one, say done, read the stand-up.

    raises AssertionError, playwright's TimeoutError
    """
    with local_slack.running("socket", PEOPLE) as slack:
        settings = {
            "slack_api_url": slack.url,
            "slack_bot_token": slack.bot_token,
            "slack_app_token": slack.app_token,
        }
        with stage.practice(home, ACCOUNTS, settings) as small, stage.at_work(small):
            chat = small.holdfast.chats["slack"]
            chat.start()
            try:
                slack.wait_for_sockets()
                slack.dm("U0ALEX")  # the page lists a conversation once there is one
                with stage.browser_page(pictures) as page:
                    page.goto(f"http://127.0.0.1:{slack.port}/")
                    _person_at(page, small, pictures)
            finally:
                chat.stop()


def _person_at(page: Page, small: Small, pictures: Path | None) -> None:
    def picture(name: str, top: str = "") -> None:
        shoot(page, pictures, f"slack-{name}", see(page, top) if top else None)

    page.locator(".sidebar-item", has_text="Alex Wilber").click()
    say(page, QUESTION)
    see(page, "Appeal packet")  # it draws no feedback buttons
    picture("answer", QUESTION)

    stage.let_a_claim_lie(small)
    see(page, "Nobody has moved this claim since")
    picture("nudge", "Claim not touched")

    press(page, "Can't")
    see(page, "Why can it not be done?")
    press(page, "Send")
    see(page, "Why? Pick a reason")
    assert small.nudge().state == "sent", "a press without a reason took effect"
    picture("reason")

    page.locator("select").last.select_option(label="Waiting on the payer")
    stage.out_of_the_exception(page, small, say, press)
    picture("digest", "Stand-up · Harbor · Pine")


def say(page: Page, words: str) -> None:
    page.locator("textarea").last.fill(words)
    page.keyboard.press("Enter")


def press(page: Page, label: str) -> None:
    page.get_by_role("button", name=label, exact=True).last.click()


if __name__ == "__main__":
    if reason := why_not():
        sys.exit(reason)
    with tempfile.TemporaryDirectory() as folder:
        drive(Path(folder), Path(sys.argv[1]) if len(sys.argv) > 1 else None)
