"""What both live scripts stand on: a small practice that one person runs, its bot at work, and a browser."""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from playwright.sync_api import FloatRect, Locator, Page, sync_playwright

from tests.behaviour.small import START, Claim, Small, at, published_home
from tests.fakes.serving import wait_for

TOP = Path(__file__).parent.parent.parent
STALLED = at("2026-03-04", "08:30")
QUESTION = "When does a claim go to appeals?"
SAID_DONE = "The source has not shown it yet."
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")
PRACTICE = """
[organisation]
name = "Two Chairs Dental"

[sites.harbor]
name = "Harbor"
time_zone = "America/New_York"
manager = "alex"
hours = { mon-fri = "08:00-17:00" }

[sites.pine]
name = "Pine"
time_zone = "America/Denver"
manager = "alex"
hours = { mon-fri = "08:00-17:00" }

[people.alex]
name = "Alex Wilber"
roles = ["billing_coordinator@harbor", "office_manager@*"]

[people.rae]
name = "Rae Whitlock"
roles = ["rcm_specialist@*", "billing_coordinator@pine", "operations_lead@*"]
"""
"""Alex does the billing and runs the office, so that one client sees nudges and stand-ups."""


def is_cut_off() -> bool:
    """Whether what listens on every interface may be started: there is none but loopback, or the machine's owner says so."""
    return {name for _, name in socket.if_nameindex()} <= {"lo"} or os.environ.get("HOLDFAST_STAND_INS_ANYWHERE") == "1"


def chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@contextmanager
def practice(home: Path, accounts: str, settings: dict[str, Any]) -> Iterator[Small]:
    """The practice with these chat accounts. Its clock stands until a script moves it."""
    published_home(home / "published")
    small = Small.open(home / "published", home / "practice", practice=PRACTICE + accounts, settings=settings)
    try:
        yield small
    finally:
        small.holdfast.close()


@contextmanager
def at_work(small: Small) -> Iterator[None]:
    """What is heard is answered, and what a rate limit held back is sent, until the block ends."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(0.1):
            small.holdfast.work()
            small.holdfast.deliver()

    worker = threading.Thread(target=work, name="at work")
    worker.start()
    try:
        yield
    finally:
        over.set()
        worker.join()


@contextmanager
def browser_page(pictures: Path | None, width: int = 1200, height: int = 900) -> Iterator[Page]:
    """A page in headless Chromium. What it showed when something failed is `failed.png` among the pictures."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        page = browser.new_context(viewport={"width": width, "height": height}, device_scale_factor=1).new_page()
        page.set_default_timeout(20_000)
        try:
            yield page
        except Exception:
            shoot(page, pictures, "failed")
            raise
        finally:
            browser.close()


def let_a_claim_lie(small: Small) -> None:
    """Claim C-1 is touched on Monday morning and then by nobody; it is Wednesday, 8:30, and the nudge goes out."""
    small.report("harbor", Claim("C-1", START - timedelta(minutes=30)))
    small.report("pine")
    small.tick()
    small.clock.at = STALLED
    small.tick()
    wait_for(lambda: all(each.ended_at for each in small.deliveries()), "something was not sent", 20)


def see(page: Page, text: str) -> Locator:
    """The newest place at which this text stands. raises playwright's TimeoutError"""
    found = page.get_by_text(text).last
    found.wait_for()
    return found


def shoot(page: Page, folder: Path | None, name: str, top: Locator | None = None, *, width: int = 0) -> None:
    """A picture of the page as it is now, where somebody wants one; `top` is what stands highest, `width` how much is shown."""
    if folder is None:
        return
    if top is not None:
        top.evaluate("element => element.scrollIntoView({block: 'start'})")
    page.wait_for_timeout(400)  # what slides in has arrived
    size = page.viewport_size or {"width": 0, "height": 0}
    clip: FloatRect = {"x": 0, "y": 0, "width": width or size["width"], "height": size["height"]}
    page.screenshot(path=folder / f"{name}.png", clip=clip)
