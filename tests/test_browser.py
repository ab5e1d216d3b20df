"""The page in a real browser: the loop as a person goes through it, with JavaScript and without."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if chromium.path() is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI must run the browser tests: install chromium")
        pytest.skip("no Chromium on this machine: the page was not tried in a browser")
    with chromium.running() as browser:
        yield browser


@pytest.fixture
def address() -> Iterator[str]:
    """A practice of this test alone, served by a process of its own."""
    with subprocess.Popen([sys.executable, "-m", "tests.desk"], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield process.stdout.readline().strip()
        process.terminate()


@pytest.fixture
def complaints() -> list[str]:
    """What the browser had to complain about, and every request that left the page."""
    return []


def opened(
    browser: Browser, address: str, complaints: list[str], *, width: int = 1280, script: bool = True, person: str = "bea"
) -> Page:
    page = browser.new_context(viewport={"width": width, "height": 860}, java_script_enabled=script).new_page()
    page.set_default_timeout(10_000)
    page.on("console", lambda said: complaints.append(said.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda sent: None if sent.url.startswith(address) else complaints.append(sent.url))
    page.goto(f"{address}?as={person}")
    return page


def card(page: Page, title: str) -> Locator:
    return page.get_by_role("article").filter(has_text=title).last


def test_asking_pressing_and_skipping_change_the_page_in_place(browser: Browser, address: str, complaints: list[str]) -> None:
    """The page that sells the product would not do what it shows."""
    bea, mona = opened(browser, address, complaints), opened(browser, address, complaints, person="mona")
    bea.evaluate("window.kept = true")

    bea.get_by_label("Ask how something is done here").fill("What about a denial? <img src=x onerror=alert(1)>")
    bea.keyboard.press("Enter")
    card(bea, "Work every denial within 48 hours").wait_for()
    bea.get_by_text("<img src=x onerror=alert(1)>").wait_for()
    bea.wait_for_function("document.getElementById('text').value === ''")  # the answer may come before the form's own reply

    nudge = card(bea, "Claim untouched")
    nudge.locator("summary", has_text="Can't").click()
    why = nudge.locator("form", has_text="Can't: why?")
    why.get_by_label("Can't: why?").select_option("waiting-on-payer")
    why.get_by_label("Note, if it helps").fill("called twice")
    why.get_by_role("button", name="Send").click()
    nudge.get_by_text("An exception was asked for.").wait_for()

    asked = card(mona, "Exception asked")
    asked.get_by_role("button", name="Approve").click()
    asked.get_by_text("Approved.").wait_for()

    bea.get_by_role("button", name="+2 h").click()
    bea.get_by_text("5:15 pm", exact=True).wait_for()
    mona.get_by_role("button", name="+2 h").click()
    card(mona, "Treatment plan unscheduled").wait_for()
    assert bea.evaluate("window.kept"), "the page was loaded again"
    bea.get_by_role("link", name="Mona Reyes").click()
    card(bea, "Treatment plan unscheduled").wait_for()
    assert complaints == []


def test_a_bad_time_is_told_beside_the_chat_and_nothing_is_lost(browser: Browser, address: str, complaints: list[str]) -> None:
    """A reader would be thrown to an error page and lose what they typed."""
    page = opened(browser, address, complaints)
    page.get_by_label("Ask how something is done here").fill("half a question")
    past = page.get_by_label("Skip to a day and time")
    past.evaluate("field => { field.min = ''; field.value = '2026-01-01T09:00'; }")
    page.get_by_role("button", name="Go", exact=True).click()
    page.get_by_role("alert").filter(has_text="The clock only goes forward.").wait_for()
    assert page.get_by_label("Ask how something is done here").input_value() == "half a question"


def test_everything_works_without_javascript(browser: Browser, address: str, complaints: list[str]) -> None:
    """A locked-down front-desk computer could not be used."""
    page = opened(browser, address, complaints, script=False)
    page.get_by_role("button", name="Got it").click()
    assert not page.get_by_text("Start here.").is_visible()
    page.get_by_role("button", name="What do I do with a denied claim?").click()
    card(page, "Work every denial within 48 hours").wait_for()
    nudge = card(page, "Claim untouched")
    nudge.locator("summary", has_text="Snooze").click()
    nudge.get_by_role("button", name="Next opening").click()
    card(page, "Claim untouched").get_by_text("Snoozed until Tue, Feb 24, 8:00 am.").wait_for()
    page.get_by_role("button", name="Next opening").click()
    page.get_by_role("link", name="Look for new messages").click()
    page.get_by_role("link", name="Tom Whitaker").click()
    page.get_by_role("link", name="Evidence").click()
    page.get_by_role("cell", name="Sent to tom.").wait_for()
    assert complaints == []


def test_the_whole_loop_can_be_gone_through_by_keyboard(browser: Browser, address: str, complaints: list[str]) -> None:
    """Somebody who cannot use a mouse could not do their work here."""
    page = opened(browser, address, complaints)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the chat"
    reached: list[str] = []
    while "Ask" not in reached:
        page.keyboard.press("Tab")
        reached.append(page.evaluate("(document.activeElement.textContent || document.activeElement.name).trim()"))
        assert len(reached) < 80, reached
        seen = "getComputedStyle(document.activeElement).outlineStyle !== 'none'"
        assert page.evaluate(seen), f"no focus shown on {reached[-1]}"
    order = [reached.index(name) for name in ("Got it", "On it", "Done", "Snooze…", "Evidence for K7Q29F4M", "Ask")]
    assert order == sorted(order)
    nudge = card(page, "Claim untouched")
    nudge.locator("summary", has_text="Snooze").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.textContent").startswith("Snooze")
    nudge.get_by_role("button", name="On it").focus()
    page.keyboard.press("Enter")
    nudge.get_by_text("Bea Lindqvist is on it").wait_for()
    assert page.evaluate("document.activeElement.textContent").startswith("Claim untouched"), "the focus was lost"


OUTSIDE = """width => [...document.querySelectorAll('button, input:not([type=hidden]), select, a, dd')].filter(part => {
    const box = part.getBoundingClientRect();
    const mayScroll = part.closest('.examples') || part.matches('.skip');
    return box.width && !mayScroll && (box.left < 0 || box.right > width + 0.5);
}).map(part => part.outerHTML)"""
"""What lies beside the window, apart from the row of examples, which scrolls."""


def test_nothing_is_cut_off_at_any_width(browser: Browser, address: str, complaints: list[str]) -> None:
    """On a phone the buttons would lie outside the screen."""
    page = opened(browser, address, complaints)
    for path in ("", "trail/K7Q29F4M", "r/K7Q29F4M", "digest?as=mona"):
        page.goto(address + path)
        if not path:
            page.locator("summary", has_text="Snooze").click()
        for width in (320, 375, 768, 900, 1280, 1920):
            page.set_viewport_size({"width": width, "height": 860})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.evaluate(OUTSIDE, width) == []


LATEST_IN_SIGHT = """() => {
    const room = document.querySelector(".scroller").getBoundingClientRect();
    const latest = [...document.querySelectorAll("#log > article")].pop().getBoundingClientRect();
    return latest.top >= room.top && latest.top < room.bottom;
}"""


def test_a_long_message_is_read_from_its_top_and_the_page_around_it_stays(
    browser: Browser, address: str, complaints: list[str]
) -> None:
    """On a phone the first sight would be half a card, without who one is; after a skip one would still read the past."""
    page = opened(browser, address, complaints, width=375)
    assert page.evaluate("scrollY") == 0
    page.get_by_label("Ask how something is done here").fill("What about a denial?")
    page.keyboard.press("Enter")
    card(page, "Work every denial within 48 hours").wait_for()
    page.locator(".scroller").evaluate("room => { room.scrollTop = -room.scrollHeight; }")
    page.get_by_role("button", name="+2 h").click()
    page.get_by_text("5:15 pm", exact=True).wait_for()
    page.wait_for_function(LATEST_IN_SIGHT)
    assert complaints == []
