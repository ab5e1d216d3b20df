"""What both live scripts stand on: a small practice that one person runs, its bot at work, and a browser."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import FloatRect, Locator, Page

from tests import chromium
from tests.behaviour.small import STALLED, TWO_SITES, Small, published_home, stalled
from tests.fakes.serving import wait_for

TOP = Path(__file__).parent.parent.parent
QUESTION = "When does a claim go to appeals?"
PRACTICE = (
    TWO_SITES.replace("MANAGER", "alex")
    + """
[people.alex]
name = "Alex Wilber"
roles = ["billing_coordinator@harbor", "office_manager@*"]

[people.rae]
name = "Rae Whitlock"
roles = ["rcm_specialist@*", "billing_coordinator@pine", "operations_lead@*"]
"""
)
"""Alex does the billing and runs the office, so that one client sees nudges and stand-ups."""


def is_cut_off() -> bool:
    """Whether what listens on every interface may be started: there is none but loopback, or the machine's owner says so."""
    return {name for _, name in socket.if_nameindex()} <= {"lo"} or os.environ.get("HOLDFAST_STAND_INS_ANYWHERE") == "1"


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
    with chromium.running() as browser:
        page = browser.new_context(viewport={"width": width, "height": height}, device_scale_factor=1).new_page()
        page.set_default_timeout(20_000)
        try:
            yield page
        except Exception:
            shoot(page, pictures, "failed")
            raise


def out_of_the_exception(
    page: Page, small: Small, say: Callable[[Page, str], None], press: Callable[[Page, str], None]
) -> None:
    """The form is open and a reason chosen: send it, say done all the same, and read the stand-up."""
    press(page, "Send")
    see(page, "An exception was asked for.")
    assert small.nudge().state == "exception_asked"

    press(page, "Done")
    see(page, "The source has not shown it yet.")
    assert small.nudge().state == "said_done"

    say(page, "digest")
    see(page, "Stand-up · Harbor · Pine")


def let_a_claim_lie(small: Small) -> None:
    """Claim C-1 is touched on Monday morning and then by nobody; it is Wednesday, 8:30, and the nudge goes out."""
    stalled(small)
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
