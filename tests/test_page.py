"""The local page: what it shows, what it refuses, and how it hears of news."""

from __future__ import annotations

import http.client
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlencode

import pytest
from sqlalchemy import Engine
from starlette.applications import Starlette
from starlette.testclient import TestClient

from bot import signin
from bot.chat import Card, Receipt, SendError, Source, Wording
from bot.platforms.console import Console, clean
from bot.platforms.console.page import CannotServe, Page, serve
from bot.signin import SignedIn
from tests.desk import START, STEP, FakeDesk

ROOT = Path(__file__).parent.parent
CONSOLE = ROOT / "bot" / "platforms" / "console"
TOKEN = "a-token-for-tests-only"
HOST = "127.0.0.1:8377"
HOSTILE = "<script>alert(1)</script> {{ 7*7 }} \" onload='x' &amp; \u202eevil"


@pytest.fixture
def desk(engine: Engine) -> FakeDesk:
    return FakeDesk(engine)


@pytest.fixture
def client(desk: FakeDesk) -> TestClient:
    app = Starlette(routes=Page(desk, TOKEN, [HOST]).routes())
    return TestClient(app, base_url=f"http://{HOST}/{TOKEN}/", raise_server_exceptions=False)


def form_token(client: TestClient) -> str:
    found = re.search(r'name="form" value="([0-9a-f]+)"', client.get("./").text)
    assert found
    return found[1]


def post(client: TestClient, path: str, headers: dict[str, str] | None = None, **fields: str) -> tuple[int, str]:
    """Send a form of ours; the status and the page that came, after any redirect."""
    fields = {"form": form_token(client), "as": "bea"} | fields
    answer = client.post(path, data=fields, headers=headers or {})
    return answer.status_code, answer.text


def press(client: TestClient, verb: str, **more: str) -> tuple[int, str]:
    return post(client, "press", None, **({"verb": verb, "target": "n1", "message": "1", "key": "k1"} | more))


class Reader(HTMLParser):
    """The elements of a page: tag, attributes, and the text inside each."""

    VOID = frozenset({"meta", "link", "input", "img", "br"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str], list[str]]] = []
        self._open: list[list[str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        inside: list[str] = []
        self.found.append((tag, {name: value or "" for name, value in attrs}, inside))
        if tag not in self.VOID:
            self._open.append(inside)

    def handle_endtag(self, tag: str) -> None:
        self._open.pop()

    def handle_data(self, data: str) -> None:
        for inside in self._open:
            inside.append(data)

    def all(self, tag: str, **wanted: str) -> list[tuple[dict[str, str], str]]:
        return [
            (attrs, " ".join("".join(inside).split()))
            for name, attrs, inside in self.found
            if name == tag and all(attrs.get(key.rstrip("_")) == value for key, value in wanted.items())
        ]


# --- the store -----------------------------------------------------------------------------------------------------------


def test_the_console_keeps_twice_what_it_is_given_twice(engine: Engine) -> None:
    """A duplicate send would be invisible in the demo and in every test that counts messages."""
    console = Console(engine, lambda: START)
    card = Card("notice", Wording("Twice"))
    first, second = console.send("bea", card, "m1"), console.send("bea", card, "m1")
    assert first != second
    assert [message.card for message in console.inbox("bea")] == [card, card]
    assert console.find("bea", "m1", START) == first
    assert console.find("tom", "m1", START) is None
    assert console.inbox("tom") == []


def test_an_update_replaces_in_place_and_only_what_is_there(engine: Engine) -> None:
    """A pressed card would stay pressable, or somebody else's card would change."""
    console = Console(engine, lambda: START)
    sent = console.send("bea", Card("notice", Wording("Before")), "m1")
    console.update(sent, Card("nudge", Wording("After")))
    (message,) = console.inbox("bea")
    assert (message.kind, message.card and message.card.title, message.updated_at) == ("nudge", "After", START)
    for wrong in (Receipt("tom", sent.message), Receipt("bea", "999"), Receipt("bea", "x")):
        with pytest.raises(SendError) as refused:
            console.update(wrong, Card("notice", Wording("No")))
        assert refused.value.permanent


def test_every_change_is_noticed_while_the_clock_stands_still(engine: Engine) -> None:
    """The demo's clock stands still: a second edit in the same instant would never reach an open page."""
    console = Console(engine, lambda: START)
    versions = [console.version()]
    sent = console.send("bea", Card("notice", Wording("One")), "m1")
    versions.append(console.version())
    for word in ("Two", "Three"):
        console.update(sent, Card("notice", Wording(word)))
        versions.append(console.version())
    assert len(set(versions)) == 4


def test_a_wait_ends_at_once_here_and_within_a_second_for_another_process(engine: Engine) -> None:
    """An open page would show a nudge only when it is loaded again."""
    here, elsewhere = Console(engine, lambda: START), Console(engine, lambda: START)
    for writer, within in ((here, 0.8), (elsewhere, 2.5)):
        seen, began = here.version(), time.monotonic()
        threading.Timer(0.1, writer.send, ("bea", Card("notice", Wording("News")), "m")).start()
        assert here.wait(seen, 5) != seen
        assert time.monotonic() - began < within
    assert here.wait(here.version(), 0.05) == here.version()


def test_what_was_typed_is_kept_without_what_cannot_be_seen() -> None:
    """Invisible and direction characters would make a page say something else than it holds."""
    assert clean("a\x00b\u202ec\ud800\td\r\ne\u2028f\u200bg") == "abc d  e fg"
    assert clean("👩\u200d⚕️ 42 °C ½ façade") == "👩\u200d⚕️ 42 °C ½ façade"


# --- who is let in -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["/", "/wrong/", "/wrong", "/wrong/events", "/wrong/static/page.css", "/a-token-for-tests-onlyx/", "/%C3%A9/", "/%ff/"],
)
def test_without_the_token_there_is_nothing(client: TestClient, path: str) -> None:
    """Any program or page on this computer could read the practice."""
    answer = client.get(f"http://{HOST}{path}")
    assert answer.status_code == 404
    assert "Harbor" not in answer.text
    assert TOKEN not in answer.text


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "127.0.0.1:9999", "evil.example:8377", "127.0.0.1:8377.evil.example", ""]
)
def test_a_foreign_host_name_is_refused(client: TestClient, host: str) -> None:
    """A web site whose name is pointed at this computer could read the page (DNS rebinding)."""
    answer = client.get("./", headers={"host": host})
    assert answer.status_code == 421
    assert "Harbor" not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"origin": "https://evil.example"},
        {"origin": "http://127.0.0.1:9999"},
    ],
)
def test_a_form_from_another_site_is_refused(client: TestClient, desk: FakeDesk, headers: dict[str, str]) -> None:
    """Any web site could press buttons in the reader's name."""
    assert post(client, "press", headers, verb="on_it", target="n1", message="1", key="k1")[0] == 403
    assert post(client, "press", form="0" * 64, verb="on_it", target="n1", message="1", key="k1")[0] == 403
    assert post(client, "press", form="é", verb="on_it", target="n1", message="1", key="k1")[0] == 403
    assert not desk.pressed


def test_our_own_form_is_taken_from_old_and_new_browsers(client: TestClient, desk: FakeDesk) -> None:
    """The page would refuse its own buttons."""
    for number, headers in enumerate(
        ({"sec-fetch-site": "same-origin", "origin": "null"}, {"origin": f"http://{HOST}"}, {"origin": "null"}, {})
    ):
        assert post(client, "press", headers, verb="on_it", target="n1", message="1", key=f"k{number}")[0] == 200
    assert len(desk.pressed) == 4


def test_every_answer_carries_the_safety_headers(client: TestClient) -> None:
    """The token could leak in a Referer, the page be framed, or foreign code run."""
    for path in ("./", "nowhere", "static/page.js", f"http://{HOST}/wrong/", "r/K7Q29F4M"):
        headers = client.get(path).headers
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        policy = headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy


def test_the_page_asks_nobody_else_for_anything_and_holds_no_inline_code(client: TestClient) -> None:
    """Patient-adjacent work would depend on, and be told to, a stranger's server."""
    for path in ("./", "trail/K7Q29F4M", "r/K7Q29F4M", "my-day", "digest?as=mona", "nowhere"):
        for tag, attrs, inside in Reader(client.get(path).text).found:
            assert tag not in ("style", "iframe", "object")
            assert not any(name.startswith("on") or name == "style" for name in attrs)
            assert tag != "script" or (attrs["src"].startswith(f"/{TOKEN}/static/") and not inside)
            assert all(attrs[name].startswith((f"/{TOKEN}/", "#")) for name in ("href", "src", "action") if name in attrs)
    for name in ("page.css", "page.js"):
        assert "//" not in re.sub(r"(?m)^\s*//.*$", "", (CONSOLE / "static" / name).read_text())


# --- what it shows -------------------------------------------------------------------------------------------------------


def test_a_newcomer_sees_who_they_are_and_what_waits(client: TestClient) -> None:
    """Somebody who opens the page would not know what to do."""
    page = Reader(client.get("./").text)
    assert "You are Bea Lindqvist, billing coordinator at Harbor" in page.all("aside", id="welcome")[0][1]
    assert [title for _, title in page.all("h3", class_="title")] == ["Claim untouched · $1,250.00"]
    assert page.all("blockquote")[0][1].startswith("Open the list of claims")
    assert page.all("figcaption")[0][1] == "Billing and claims playbook v1, step 6: Work the claims list every day"
    assert page.all("button", class_="chip")[0][1] == "What do I do with a denied claim?"
    (tom,) = [text for attrs, text in page.all("a") if attrs.get("href") == f"/{TOKEN}/?as=tom"]
    assert "Treatment coordinator, Pine" in tom
    assert "on shift" in tom
    assert "1 new" in tom


def test_start_here_goes_when_it_was_read(client: TestClient) -> None:
    """It would stand in the way for ever."""
    status, page = post(client, "welcome")
    assert status == 200
    assert "Start here" not in page


def test_what_is_typed_is_shown_as_text_and_only_to_the_one_who_typed_it(client: TestClient) -> None:
    """A question could run as code in the page, or be read by a colleague."""
    status, page = post(client, "ask", text=HOSTILE)
    assert status == 200
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; {{ 7*7 }}" in page
    assert "\u202e" not in page
    assert "alert(1)" not in client.get("?as=mona").text


def test_a_question_is_answered_below_it_with_its_source(client: TestClient) -> None:
    """The chat would lose its order or its sources."""
    status, page = post(client, "ask", text="What about a denial?")
    assert status == 200
    assert page.index("What about a denial?") < page.index("Work every denial within 48 hours")
    assert page.index("Work a denial within 48 hours:") < page.rindex("Billing and claims playbook v1")


def test_a_step_is_shown_without_the_signs_of_its_markdown(client: TestClient, desk: FakeDesk) -> None:
    """Lost: a hygienist reads stars, and lines that break in the middle of a sentence."""
    quote = Wording("Pack only **dry**, clean\ninstruments <b>.\n\n- **Who:** Dental assistant\n- **If** wet, **then** repack")
    source = Source(STEP.sop, 1, STEP.step, quote, title=STEP.title)
    desk.console.reply("bea", Card("answer", Wording("Pack"), Wording("Put an indicator\ninside."), sources=(source,)))
    page = client.get("./").text
    assert "<p>Put an indicator inside.</p>" in page
    assert "**" not in page
    assert "Pack only <strong>dry</strong>, clean instruments &lt;b&gt;." in page
    assert "- <strong>Who:</strong> Dental assistant\n- <strong>If</strong> wet" in page


def test_a_press_replaces_the_card_where_it_is(client: TestClient, desk: FakeDesk) -> None:
    """The reader could not see that it worked, and would press again."""
    status, page = press(client, "on_it")
    assert status == 200
    assert "Bea Lindqvist is on it since Mon, Feb 23, 3:15 pm." in page
    assert "updated 3:15 pm" in page
    press(client, "on_it")
    assert len(desk.pressed) == 1, "the same press twice acts once"


def test_a_press_that_needs_a_reason_says_so_on_the_card(client: TestClient, desk: FakeDesk) -> None:
    """Without JavaScript the remark would be lost and the press with it."""
    status, page = press(client, "cant", needs="reason", reason="", note="")
    assert status == 200
    assert ("Say why: choose a reason.") in [text for _, text in Reader(page).all("p", role="alert", class_="said")]
    status, page = press(client, "cant", needs="reason", reason="waiting-on-payer", note="called <b>twice</b>", key="k2")
    assert "An exception was asked for." in page
    assert desk.pressed[-1] == ("bea", "cant", "n1", "waiting-on-payer called <b>twice</b>")
    assert "Exception asked" in client.get("?as=mona").text


@pytest.mark.parametrize("until", ["next opening", "tomorrow 9:00", "2026-02-24T09:00"])
def test_a_snooze_takes_the_quick_choices_and_a_day_and_time(client: TestClient, desk: FakeDesk, until: str) -> None:
    """A snooze would wake at another hour than the reader chose."""
    status, page = press(client, "snooze", needs="until", until=until)
    assert status == 200
    assert f"Snoozed until Tue, Feb 24, {'8' if until == 'next opening' else '9'}:00 am." in page
    assert desk.pressed[0][3].endswith("+00:00")


def test_skipping_brings_what_falls_due_and_moves_every_sites_clock(client: TestClient, desk: FakeDesk) -> None:
    """The demo could not show an escalation."""
    status, page = post(client, "skip", to="2026-02-23T21:00")
    assert status == 200
    assert desk.clock == START + timedelta(hours=5, minutes=45)
    assert "Mon, Feb 23, 7:00 pm" in page
    assert "2 new" in page
    assert "Escalated to you" in client.get("?as=mona").text


def test_evidence_and_record_open_from_a_card(client: TestClient) -> None:
    """The card would have to be believed."""
    page = client.get("trail/k7q29f4m?as=bea").text
    assert "Sent to bea." in page
    assert "billing-claims v1, work-claims-daily" in page
    record = client.get("r/K7Q29F4M?as=bea").text
    assert "C-1042" in record
    refused = client.get("r/K7Q29F4M?as=priya").text
    assert "This record opens for the role on duty only." in refused
    assert "C-1042" not in refused


def test_my_day_and_the_stand_up_have_pages(client: TestClient) -> None:
    """What managers read could not be reached."""
    assert "1. Claim untouched" in client.get("my-day?as=bea").text
    assert "$3,730.00" in client.get("digest?as=mona").text
    assert "is read by its manager" in client.get("digest?as=bea").text


def test_the_real_practice_has_no_skip(engine: Engine) -> None:
    """In production somebody would move time."""
    desk = FakeDesk(engine, can_skip=False)
    client = TestClient(Starlette(routes=Page(desk, TOKEN, [HOST]).routes()), base_url=f"http://{HOST}/{TOKEN}/")
    assert "Skip to" not in Reader(client.get("./").text).all("aside", id="side")[0][1]
    assert post(client, "skip", to="2h")[0] == 400
    assert desk.clock == START


# --- signing in ----------------------------------------------------------------------------------------------------------

PUBLIC = "holdfast.example"
SIGN_IN = "Say page to Holdfast, and open its link."


class Practice:
    """The page of a real practice: people sign in, at a public address and on the machine itself."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.desk = FakeDesk(engine, can_skip=False)
        self.app = Starlette(routes=Page(self.desk, TOKEN, [HOST, PUBLIC], SignedIn(engine, self.desk.now)).routes())

    def browser(self, base: str = f"https://{PUBLIC}", client: str = "10.0.0.7") -> TestClient:
        return TestClient(self.app, base_url=base, client=(client, 5000), raise_server_exceptions=False)

    def link(self, person: str = "bea") -> str:
        return signin.make(self.engine, person, self.desk.now())

    def signed_in(self, person: str = "bea", base: str = f"https://{PUBLIC}") -> TestClient:
        browser = self.browser(base)
        answer = browser.post("/page/in", data={"code": self.link(person)})
        assert answer.status_code == 200
        return browser


@pytest.fixture
def real(engine: Engine) -> Practice:
    return Practice(engine)


def problem(page: str) -> str:
    return Reader(page).all("p", id="problem")[0][1]


def sent(browser: TestClient, path: str, **fields: str) -> tuple[int, str]:
    """A form of the page, with the token it holds."""
    (form,) = set(re.findall(r'name="form" value="([0-9a-f]+)"', browser.get("/page/").text))
    answer = browser.post(f"/page/{path}", data={"form": form} | fields)
    return answer.status_code, answer.text


def test_the_link_opens_the_page_of_its_person_once(real: Practice) -> None:
    """Lost: nobody gets in, or whoever finds an old link does."""
    browser, code = real.browser(), real.link()
    page = Reader(browser.get("/page/in", params={"code": code}).text)
    assert [name for _, name in page.all("button")] == ["Sign in"]
    (fields,) = [attrs for attrs, _ in page.all("input")]
    answer = browser.post("/page/in", data={fields["name"]: fields["value"]}, headers={"sec-fetch-site": "same-origin"})
    assert answer.url.path == "/page/"
    assert "Bea Lindqvist’s chat" in answer.text
    again = real.browser().post("/page/in", data={"code": code})
    assert again.status_code == 403
    assert problem(again.text) == "That link is over: say page for a new one."
    assert "set-cookie" not in again.headers


def test_looking_at_a_link_uses_nothing_up(real: Practice) -> None:
    """Lost: the preview that a chat makes of each link would burn every one of them before its reader comes."""
    code = real.link()
    for method in ("GET", "HEAD", "GET", "OPTIONS"):
        answer = real.browser().request(method, "/page/in", params={"code": code})
        assert "set-cookie" not in answer.headers
    assert real.browser().post("/page/in", data={"code": code}).url.path == "/page/"


def test_the_session_is_kept_in_a_cookie_that_no_script_and_no_other_site_gets(real: Practice) -> None:
    """Lost: a page elsewhere could act as whoever is signed in."""
    answer = real.browser().post("/page/in", data={"code": real.link()}, follow_redirects=False)
    assert answer.status_code == 303
    parts = answer.headers["set-cookie"].split("; ")
    assert parts[0].startswith("__Host-holdfast=")
    assert {part.lower() for part in parts[1:]} >= {"httponly", "samesite=strict", "secure", "path=/", "max-age=43200"}
    here = real.browser(f"http://{HOST}", "127.0.0.1").post("/page/in", data={"code": real.link()}, follow_redirects=False)
    assert here.headers["set-cookie"].startswith("holdfast=")
    assert "secure" not in here.headers["set-cookie"].lower()


@pytest.mark.parametrize(
    "path", ["", "my-day", "digest", "trail/K7Q29F4M", "r/K7Q29F4M", "events", "nowhere", "?as=bea", "press", "out"]
)
def test_without_a_session_every_page_says_how_to_sign_in_and_nothing_else(real: Practice, path: str) -> None:
    """Lost: whoever has the address could read the practice, or would not know how to get in."""
    browser = real.browser()
    for cookie in ("", "x" * 43, "é", "a" * 5000):
        headers = [(b"cookie", f"__Host-holdfast={cookie}".encode())] if cookie else []
        answer = browser.get(f"/page/{path}", headers=headers)
        assert answer.status_code == 403
        assert problem(answer.text) == SIGN_IN
        assert "Harbor" not in answer.text
        assert "Bea" not in answer.text
    assert browser.post(f"/page/{path}", data={"verb": "done", "as": "bea"}).status_code == 403


def test_a_reference_leads_to_its_record_or_to_how_to_sign_in(real: Practice) -> None:
    """Lost: the link on every card would lead nowhere."""
    answer = real.browser().get("/r/K7Q29F4M")
    assert (answer.status_code, problem(answer.text)) == (403, SIGN_IN)
    record = real.signed_in().get("/r/k7q29f4m")
    assert record.url.path == "/page/r/K7Q29F4M"
    assert "C-1042" in record.text
    assert "C-1042" not in real.signed_in("priya").get("/r/K7Q29F4M").text
    for path in ("/", "/page", "/r/..evil", "/r/" + "A" * 500):
        assert real.signed_in().get(path).url.path == "/page/"


def test_who_is_signed_in_is_only_themselves(real: Practice) -> None:
    """Lost: a temp could press in the office manager's name, and the ledger would say it was she."""
    tess = real.signed_in("tess")
    page = tess.get("/page/?as=mona").text
    assert "Tess Moreau’s chat" in page
    for trace in ("Be another person", 'name="as"', "as=", "Mona", "Switch", "Start here"):
        assert trace not in page
    status, page = sent(tess, "press", **{"as": "bea", "verb": "on_it", "target": "n1", "message": "1", "key": "k"})
    assert status == 200
    assert [person for person, *_ in real.desk.pressed] == ["tess"]
    sent(tess, "ask", **{"as": "bea", "text": "What about a denial?"})
    assert "What about a denial?" not in real.signed_in("bea").get("/page/").text
    assert "Mona" not in tess.get("/page/digest?as=mona").text.partition("<main")[0]
    assert f"/{TOKEN}" not in tess.get("/page/").text


def test_the_page_works_when_signed_in(real: Practice) -> None:
    """Lost: the page would be right in the demo only."""
    bea = real.signed_in()
    for path in ("", "my-day", "trail/K7Q29F4M", "r/K7Q29F4M", "digest", "static/page.js"):
        answer = bea.get(f"/page/{path}")
        assert answer.status_code == 200
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert len(answer.headers.get_list("content-security-policy")) == 1
        if not path.startswith("static"):
            links = [
                attrs[name] for _, attrs, _ in Reader(answer.text).found for name in ("href", "src", "action") if name in attrs
            ]
            assert all(link.startswith(("/page/", "#")) for link in links)
    assert "is on it since" in sent(bea, "press", verb="on_it", target="n1", message="1", key="k")[1]
    assert "Work a denial within 48 hours:" in sent(bea, "ask", text="What about a denial?")[1]
    assert problem(bea.get("/page/nowhere").text) == "There is no such page here."
    assert sent(bea, "skip", to="2h")[0] == 400
    with real.engine.connect():
        assert sent(bea, "ask", text="break")[0] == 500


def test_a_copied_cookie_opens_nothing_after_signing_out(real: Practice) -> None:
    """Lost: signing out of a shared computer would sign out nobody."""
    bea, thief = real.signed_in(), real.browser()
    thief.cookies.update(bea.cookies)
    assert "Bea" in thief.get("/page/").text
    status, page = sent(bea, "out")
    assert (status, problem(page)) == (200, SIGN_IN)
    assert not bea.cookies
    assert thief.get("/page/").status_code == 403


def test_signing_in_again_ends_the_session_before(real: Practice) -> None:
    """Lost: on a shared computer the first person's session would live on unseen."""
    browser = real.signed_in("bea")
    before = real.browser()
    before.cookies.update(browser.cookies)
    assert browser.post("/page/in", data={"code": real.link("tom")}).status_code == 200
    assert "Tom Whitaker’s chat" in browser.get("/page/").text
    assert before.get("/page/").status_code == 403


def test_a_session_ends_with_the_day_and_with_the_post(real: Practice, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost: somebody who left the practice this morning would still read it."""
    bea = real.signed_in()
    stayed = [person for person in real.desk.people() if person.id != "bea"]
    with monkeypatch.context() as leaving:
        leaving.setattr(real.desk, "people", lambda: stayed)
        assert bea.get("/page/").status_code == 403
    assert bea.get("/page/").status_code == 200
    real.desk.clock += timedelta(hours=12)
    assert problem(bea.get("/page/").text) == SIGN_IN


def test_a_form_from_another_site_or_another_session_is_refused(real: Practice) -> None:
    """Lost: any web site could press in the name of whoever is signed in, or sign them in as somebody else."""
    bea, tom = real.signed_in(), real.signed_in("tom")
    (toms,) = set(re.findall(r'name="form" value="([0-9a-f]+)"', tom.get("/page/").text))
    fields = {"verb": "on_it", "target": "n1", "message": "1", "key": "k"}
    assert bea.post("/page/press", data=fields | {"form": toms}).status_code == 403
    assert bea.post("/page/press", data=fields).status_code == 403
    for headers in ({"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": "https://evil.example"}):
        assert real.browser().post("/page/in", data={"code": real.link()}, headers=headers).status_code == 403
        assert bea.post("/page/out", data={"form": toms}, headers=headers).status_code == 403
    assert not real.desk.pressed
    assert bea.get("/page/").status_code == 200


def test_a_link_followed_from_a_chat_in_the_browser_finds_its_session(real: Practice) -> None:
    """Lost: a strict cookie is kept back when Slack's own page leads here: everybody signed in would be told to sign in."""
    bea, elsewhere = real.signed_in(), {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    first = real.browser().get("/r/K7Q29F4M", headers=elsewhere)  # as a browser sends it: without the cookie
    assert first.status_code == 200
    assert "Harbor" not in first.text
    (onward,) = re.findall(r'content="0; url=([^"]+)"', first.text)
    assert "C-1042" in bea.get(onward).text
    assert real.browser().get(onward, headers=elsewhere).status_code == 403, "and goes round once only"


def test_the_operators_address_answers_this_machine_alone(real: Practice) -> None:
    """Lost: whoever learns the token from afar could be anybody; or the operator could not look."""
    local = f"http://{HOST}"
    assert "Be another person" in real.browser(local, "127.0.0.1").get(f"/{TOKEN}/").text
    assert real.browser(local, "127.0.0.1").get(f"/{TOKEN}").url.path == f"/{TOKEN}/"
    assert real.browser().get(f"/{TOKEN}/").status_code == 404
    assert real.browser(client="127.0.0.1").get(f"/{TOKEN}/").status_code == 404
    assert real.browser(local).get(f"/{TOKEN}/").status_code == 404
    for name in ("x-forwarded-for", "forwarded", "x-real-ip"):
        assert real.browser(local, "127.0.0.1").get(f"/{TOKEN}/", headers={name: "10.0.0.7"}).status_code == 404


def test_the_demo_has_no_signing_in(client: TestClient) -> None:
    """Lost: the demo would ask for a chat that it does not have."""
    for path in ("/page/", "/page/in", "/r/K7Q29F4M", "/"):
        assert client.get(f"http://{HOST}{path}").status_code == 404


@pytest.mark.parametrize(
    "code", ["", "x", "é" * 22, "0" * 22, "' OR 1=1 --", "a" * 10_000, "<script>alert(1)</script>", "..%2f", "\x00"]
)
def test_a_link_that_is_none_is_refused_in_one_sentence(real: Practice, code: str) -> None:
    """Lost: a mangled link would end in a broken page, or a guess in somebody's account."""
    looked = real.browser().get("/page/in", params={"code": code})
    assert looked.status_code in (200, 403)
    assert "<script>alert" not in looked.text
    answer = real.browser().post("/page/in", data={"code": code})
    assert (answer.status_code, problem(answer.text)) == (403, "That link is over: say page for a new one.")
    assert real.browser().request("PUT", "/page/in").status_code == 405
    assert real.browser().post("/page/in", content=b"{}", headers={"content-type": "application/json"}).status_code == 415


def test_links_cannot_be_tried_at_speed_while_true_ones_work(real: Practice) -> None:
    """Lost: a guessing machine would keep the database busy; or a busy morning would lock the team out."""
    browser = real.browser()
    for _ in range(40):
        assert browser.post("/page/in", data={"code": real.link("tom")}, follow_redirects=False).status_code == 303
    statuses = [browser.post("/page/in", data={"code": "x" * 22}).status_code for _ in range(60)]
    assert statuses[:30] == [403] * 30
    assert 429 in statuses[30:]
    assert problem(browser.post("/page/in", data={"code": "x" * 22}).text)


def test_signing_in_is_usable_without_a_mouse_or_eyes(real: Practice) -> None:
    """Lost: somebody with a screen reader could not get in."""
    for text in (real.browser().get("/page/").text, real.browser().get("/page/in", params={"code": real.link()}).text):
        page = Reader(text)
        assert page.all("html", lang="en")
        assert len(page.all("main")) == len(page.all("h1")) == 1
        assert page.all("title")[0][1] == "Sign in · Holdfast"
        assert all(name for _, name in page.all("button"))
        assert all("alt" in attrs for attrs, _ in page.all("img"))


# --- bad input -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "fields", "sentence"),
    [
        ("ask", {"text": ""}, "Type a question first."),
        ("ask", {"text": " \x00\x1b "}, "Type a question first."),
        ("ask", {"text": "x" * 2001}, "too long"),
        ("ask", {"text": "x" * 100_000}, "too long"),
        ("ask", {"text": "hello", "as": "nobody"}, "Nobody here"),
        ("ask", {"text": "hello", "as": "' OR 1=1 --"}, "Nobody here"),
        ("press", {}, "This button was not on a card"),
        ("press", {"verb": "ON IT", "target": "n1", "key": "k"}, "This button was not on a card"),
        ("press", {"verb": "done", "target": "n 1", "key": "k"}, "This button was not on a card"),
        ("press", {"verb": "done", "target": "n" * 201, "key": "k"}, "This button was not on a card"),
        ("press", {"verb": "done", "target": "n1", "key": ""}, "This button was not on a card"),
        ("press", {"verb": "done", "target": "n1", "key": "k", "as": "nobody"}, "Nobody here"),
        ("press", {"verb": "snooze", "target": "n1", "key": "k", "needs": "until", "until": "soon"}, "no time I can read"),
        ("press", {"verb": "cant", "target": "n1", "key": "k", "note": "x" * 2001}, "too long"),
        ("skip", {}, "no time to skip to"),
        ("skip", {"to": "yesterday"}, "no time to skip to"),
        ("skip", {"to": "0h"}, "only goes forward"),
        ("skip", {"to": "2026-01-01T09:00"}, "only goes forward"),
        ("skip", {"to": "99999d"}, "at most 366 days"),
        ("skip", {"to": "x" * 5000}, "no time to skip to"),
        ("welcome", {"as": "nobody"}, "Nobody here"),
        ("ask", {f"field{n}": "x" for n in range(30)}, "more fields"),
    ],
)
def test_a_bad_form_is_answered_in_one_sentence(
    client: TestClient, desk: FakeDesk, path: str, fields: dict[str, str], sentence: str
) -> None:
    """A slip would show a blank or broken page, or do half of something."""
    before = client.get("?as=bea").text.count("<article")
    status, page = post(client, path, None, **fields)
    assert 400 <= status < 500
    assert sentence in Reader(page).all("p", id="problem")[0][1]
    assert desk.clock == START
    assert not desk.pressed
    assert client.get("?as=bea").text.count("<article") == before


def test_a_press_on_what_is_gone_is_told_on_a_page(client: TestClient) -> None:
    """A card from before a restart would answer with a fault."""
    for message in ("1", "999999", "", "x", "-1", "9" * 40):
        assert press(client, "done", target="gone", message=message)[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "nowhere", 404),
        ("GET", "?as=nobody", 404),
        ("GET", "trail/NOSUCHRF", 404),
        ("GET", "trail/..%2f..%2fetc", 404),
        ("GET", "r/NOSUCHRF", 404),
        ("GET", "r/" + "A" * 5000, 404),
        ("GET", "static/..%2fpage.py", 404),
        ("GET", "static/desk.py", 404),
        ("GET", "press", 405),
        ("DELETE", "./", 405),
        ("POST", "trail/K7Q29F4M", 405),
        ("PUT", "ask", 405),
    ],
)
def test_a_wrong_address_is_answered_in_one_sentence(client: TestClient, method: str, path: str, status: int) -> None:
    """A mistyped reference would look like a broken program."""
    answer = client.request(method, path)
    assert answer.status_code == status
    assert Reader(answer.text).all("p", id="problem")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b"{}"),
        ("multipart/form-data; boundary=x", b"--x--"),
        ("text/plain", b"text=hello"),
        ("", b""),
        ("application/x-www-form-urlencoded", b"\xff\xfe=%ff%fe&text=%zz"),
        ("application/x-www-form-urlencoded; charset=utf-16", b"&&&=;=&"),
        ("application/x-www-form-urlencoded", b"x" * 200_000),
    ],
)
def test_a_body_that_is_no_form_of_ours_is_refused(client: TestClient, desk: FakeDesk, content_type: str, body: bytes) -> None:
    """Hostile bytes would reach the core or stop the server."""
    for path in ("ask", "press", "skip", "welcome"):
        assert client.post(path, content=body, headers={"content-type": content_type}).status_code in (403, 413, 415)
    assert not desk.pressed


def test_a_fault_of_ours_shows_a_reference_and_no_inside(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    """A reader would see a traceback, or nobody could find it in the log."""
    status, page = post(client, "ask", text="break")
    assert status == 500
    (reference,) = re.findall(r"reference ([0-9a-f]{8})", page)
    assert reference in caplog.text
    assert "a fault of ours" not in page


# --- everybody can use it ------------------------------------------------------------------------------------------------


def test_every_control_has_a_name_and_every_page_its_landmarks(client: TestClient) -> None:
    """Somebody with a screen reader, or without a mouse, could not do their work here."""
    for path in ("./", "trail/K7Q29F4M", "r/K7Q29F4M", "my-day", "nowhere"):
        text = client.get(path).text
        page = Reader(text)
        assert page.all("html", lang="en")
        assert len(page.all("main")) == len(page.all("h1")) == 1
        assert page.all("title")[0][1]
        labelled = {attrs.get("for", "") for attrs, _ in page.all("label")}
        inside_labels = re.findall(r"<label>.*?</label>", text, re.DOTALL)
        for tag in ("input", "select", "textarea"):
            for attrs, _ in page.all(tag):
                named = attrs.get("id") in labelled or any(f'name="{attrs["name"]}"' in label for label in inside_labels)
                assert named or attrs.get("type") == "hidden", attrs
        for tag in ("button", "a", "summary"):
            assert all(name for _, name in page.all(tag))
        assert all("alt" in attrs for attrs, _ in page.all("img"))
        ids = [attrs["id"] for _, attrs, _ in page.found if "id" in attrs]
        assert len(ids) == len(set(ids))
        for _, attrs, _ in page.found:
            assert not attrs.get("aria-labelledby") or attrs["aria-labelledby"] in ids
    chat = Reader(client.get("./").text)
    assert [attrs["aria-live"] for attrs, _ in chat.all("div", role="log")] == ["polite"]
    assert chat.all("a", class_="skip")[0][0]["href"] == "#log"


ON_GROUND = {
    "ground": ("ink", "muted", "accent"),
    "surface": ("ink", "muted", "accent", "warm"),
    "accent-soft": ("ink", "muted"),
    "accent": ("on-accent",),
    "warm-soft": ("warm",),
}
"""Every colour of text that stands on each colour of ground."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_pair_of_text_and_ground_has_enough_contrast(scheme: str) -> None:
    """Text would be too faint for many eyes (WCAG AA: 4.5 for text, 3 for the edges of controls)."""
    blocks = re.findall(r":root \{(.*?)\}", (CONSOLE / "static" / "page.css").read_text(), re.DOTALL)
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", blocks[0]))
    if scheme == "dark":
        colours |= dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", blocks[1]))
    for ground, texts in ON_GROUND.items():
        for text in texts:
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
    for ground in ("ground", "surface"):
        assert contrast(colours["edge"], colours[ground]) >= 3


def contrast(one: str, other: str) -> float:
    """The contrast of two colours as WCAG 2.2 defines it."""

    def light(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


# --- served for real -----------------------------------------------------------------------------------------------------


@pytest.fixture
def served() -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The page in a process of its own, and its port."""
    command = [sys.executable, "-m", "tests.desk"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield process, int(process.stdout.readline().split(":")[2].split("/")[0])
        process.kill()


def test_an_open_page_hears_of_news_at_once_and_is_let_go_on_ctrl_c(served: tuple[subprocess.Popen[str], int]) -> None:
    """A nudge would be seen only on reload; Ctrl-C would hang on every open page."""
    process, port = served
    home = f"/{TOKEN}/"
    main, stream = (http.client.HTTPConnection("127.0.0.1", port, timeout=60) for _ in range(2))
    main.request("GET", home)
    page = main.getresponse().read().decode()
    (live,) = re.findall(r'data-live="([^"]+)"', page)
    (form,) = set(re.findall(r'name="form" value="([0-9a-f]+)"', page))
    stream.request("GET", live)
    events = stream.getresponse()
    assert events.headers["content-type"] == "text/event-stream"
    assert events.readline() == b"retry: 1000\n"
    fields = urlencode({"form": form, "as": "bea", "text": "What about a denial?"})
    main.request("POST", home + "ask", fields, {"content-type": "application/x-www-form-urlencoded"})
    answer = main.getresponse()
    answer.read()
    assert answer.status == 303
    while events.readline() != b"event: changed\n":
        pass
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 0
    assert process.stderr
    assert process.stderr.read() == "", "nothing is logged, least of all the token"
    main.close()
    stream.close()


def test_a_port_that_is_taken_is_told_in_one_sentence(desk: FakeDesk, served: tuple[subprocess.Popen[str], int]) -> None:
    """`make demo` twice would end in a traceback."""
    with pytest.raises(CannotServe, match="set HOLDFAST_PORT to another"):
        serve(desk, "127.0.0.1", served[1], TOKEN, print)


def test_a_short_token_is_refused(desk: FakeDesk) -> None:
    """A guessable address would open the practice to the network."""
    with pytest.raises(CannotServe, match="16 or more"):
        Page(desk, "short", [HOST])


# --- a file ----------------------------------------------------------------------------------------------------------------


def brought(client: TestClient, data: bytes, name: str = 'Öffnen "1".docx', **fields: str) -> tuple[int, str]:
    """Send the form that holds a file; the status and the page that came."""
    fields = {"form": form_token(client), "as": "mona", "key": "k1"} | fields
    answer = client.post("file", data=fields, files={"file": (name, data)} if name else {"none": (None, "")})
    return answer.status_code, answer.text


def test_a_file_reaches_the_desk_byte_by_byte_and_its_report_is_in_the_chat(client: TestClient, desk: FakeDesk) -> None:
    """Lost: a Word file is damaged on its way, or nobody learns what became of it."""
    assert "Bring an SOP file" in client.get("./?as=mona").text
    assert "Bring an SOP file" not in client.get("./?as=bea").text
    data = bytes(range(256)) * 700 + b"\r\n--not the end--\r\n"
    status, page = brought(client, data)
    assert status == 200 and "Draft: Opening the office" in page
    ((person, name, kept, key),) = desk.brought
    assert (person, kept, key) == ("mona", data, "page:mona:k1") and name.endswith(".docx") and "ffnen" in name
    assert brought(client, b"", "empty.md")[0] == 200 and desk.brought[-1][2] == b""


def test_a_form_with_a_file_is_ours_alone(client: TestClient, desk: FakeDesk) -> None:
    """Lost: another site's page sends our manager's browser an SOP of its own."""
    assert brought(client, b"x", form="0" * 64)[0] == 403
    assert brought(client, b"x", key="")[0] == 400
    assert brought(client, b"x", "")[0] == 400 and "Choose a file first" in brought(client, b"x", "")[1]
    other = {"origin": "http://elsewhere.example"}
    assert (
        client.post("file", data={"form": form_token(client)}, files={"file": ("a.md", b"x")}, headers=other).status_code == 403
    )
    assert client.post("file", data={"form": form_token(client), "as": "mona", "key": "k"}).status_code == 415
    assert desk.brought == []


@pytest.mark.parametrize(
    "body",
    [
        b"", b"--B", b"--B\r\n\r\n", b"junk", b"--B--\r\n", b"--B\r\nno end of the headers\r\n--B--",
        b'--B\r\ncontent-disposition: form-data; name="form"\r\n\r\nx\r\n--B',
        b"--B\r\n" + b"x: y\r\n" * 5000 + b"\r\n\r\n--B--", b"--B\r\n\r\n\r\n" * 50,
        b'--B\r\ncontent-disposition: form-data; name="form"\r\n\r\n' + b"x" * 20_000 + b"\r\n--B--\r\n",
    ],
)  # fmt: skip
def test_a_form_that_no_browser_sends_ends_in_a_sentence(client: TestClient, desk: FakeDesk, body: bytes) -> None:
    """Lost: a bad body is a fault of ours, in the log and before the reader."""
    answer = client.post("file", content=body, headers={"content-type": "multipart/form-data; boundary=B"})
    assert answer.status_code in (400, 403) and "reference" not in answer.text
    assert desk.brought == []


def test_a_file_that_is_too_large_is_not_received_to_its_end(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost: one upload fills the disk."""
    monkeypatch.setattr("bot.platforms.console.page._FILE", 10_000)
    status, page = brought(client, bytes(20_000))
    assert status == 413 and "too large" in page
