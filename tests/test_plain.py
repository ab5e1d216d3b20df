"""The plain terminal, driven as programs and people drive it: lines in, JSON or text out."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from bot.chat import Card, Fact, Source, Wording
from bot.platforms.console.plain import plain
from bot.platforms.console.printer import Printer
from tests.desk import START, FakeDesk

ROOT = Path(__file__).parent.parent
REFUSED = "This record opens for the role on duty only."


def drive(desk: FakeDesk, *lines: str, after: int = 0) -> list[list[dict[str, Any]]]:
    """What was printed for the start and for each line: one list each, the `done` of a line as its last."""
    out = io.StringIO()
    plain(desk, io.StringIO("".join(line + "\n" for line in lines)), out, json=True, after=after)
    parts: list[list[dict[str, Any]]] = [[]]
    for printed in map(json.loads, out.getvalue().splitlines()):
        parts[-1].append(printed)
        if printed["kind"] == "done":
            parts.append([])
    assert parts.pop() == [], "something was printed after the last done"
    return parts


def said(part: list[dict[str, Any]]) -> str:
    return " ".join(line["card"]["text"] for line in part if "card" in line)


@pytest.fixture
def desk(engine: Engine) -> FakeDesk:
    return FakeDesk(engine)


def test_a_card_is_one_line_with_the_fields_of_the_contract(desk: FakeDesk) -> None:
    """A program written against the contract could not read a card."""
    first = drive(desk, "")[0][0]
    assert first["to"] == "bea"
    assert first["kind"] == "nudge"
    card = first["card"]
    assert set(card) == {"title", "text", "facts", "sources", "buttons", "ref"}
    assert [set(source) for source in card["sources"]] == [{"sop", "version", "step", "quote"}]
    assert card["buttons"][2] == {"n": 3, "label": "Snooze", "needs": "until"}
    assert card["facts"][0] == {"label": "Amount", "value": "$1,250.00"}


def test_every_line_ends_with_exactly_one_done(desk: FakeDesk, caplog: pytest.LogCaptureFixture) -> None:
    """A program that waits for `done` would hang or run ahead, on blank, unknown or failing lines."""
    lines: tuple[str, ...] = (
        "",
        "   ",
        "hello?",
        "press",
        "press 9",
        "press x",
        "as Nobody",
        "as",
        "skip",
        "skip yesterday",
        "skip -2h",
        "break",
    )
    lines += (
        "/r/",
        "/r/NOSUCHRF",
        "trail",
        "my day",
        "digest",
        "inbox",
        "help",
        "people",
        "open ZZZZZZZZ",
        "\x00\x07\x1b",
        "x" * 10_000,
    )
    parts = drive(desk, *lines, "quit")
    assert [[line["kind"] for line in part].count("done") for part in parts] == [1] * (len(lines) + 1)
    assert "a fault of ours" in caplog.text


def test_done_gives_the_time_in_the_current_persons_zone(desk: FakeDesk) -> None:
    """`skip until` would be aimed at the wrong hour."""
    bea, tom = drive(desk, "as bea", "as tom")
    assert bea[-1]["now"] == "2026-02-23T15:15:00-05:00"
    assert tom[-1]["now"] == "2026-02-23T13:15:00-07:00"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("press 9", "no button 9: its buttons go from 1 to 5"),
        ("press 0", "no button 0"),
        ("press x", "the number of a button"),
        ("press -1", "the number of a button"),
        ("press ²", "the number of a button"),
        ("press", "the number of a button"),
        ("as Nobody", "Nobody here goes by that name"),
        ("as bea castellano lindqvist", "Nobody here goes by that name"),
        ("skip yesterday", "no time to skip to"),
        ("skip", "no time to skip to"),
        ("skip until 2026-13-45T99:99", "no time to skip to"),
        ("skip 99999999999999d", "no time to skip to"),
        ("skip -2h", "only goes forward"),
        ("skip 0h", "only goes forward"),
        ("skip until 2026-02-01T09:00", "only goes forward"),
        ("skip 99999d", "at most 366 days"),
        ("skip until 2999-12-31T23:59", "at most 366 days"),
        ("press 3 when the cows come home", "no time I can read"),
        ("open ZZZZZZZZ", "No record has that reference"),
        ("/r/../../etc/passwd", "No record has that reference"),
        ("trail ZZZZZZZZ", "No record has that reference"),
        ("x" * 10_000, "too long: one line may have 2000 characters"),
        ("x" * 250_000, "too long: one line may have 2000 characters"),
    ],
)
def test_a_bad_line_is_answered_in_one_sentence(desk: FakeDesk, line: str, sentence: str) -> None:
    """A slip of the keyboard would end the session, or do something nobody asked for."""
    answer = drive(desk, line)[0]
    assert answer[-2]["kind"] == "reply"
    assert sentence in said(answer[-2:])
    assert desk.clock == START
    assert not desk.pressed


def test_a_question_that_begins_like_a_command_is_a_question(desk: FakeDesk) -> None:
    """Staff who ask "as soon as …" would be told that nobody goes by that name."""
    for question in (
        "as soon as a claim is denied, what do I do?",
        "skip the spore test on a holiday?",
        "press release for a denial?",
    ):
        assert drive(desk, question)[0][-2]["kind"] in ("answer", "refusal")


def test_what_reached_somebody_else_is_printed_and_can_be_pressed_as_them(desk: FakeDesk) -> None:
    """The driver of an escalation could not press what the manager was sent."""
    _, _, skipped, pressed = drive(desk, "as bea", "skip 2h", "skip 3h", "as mona")
    assert [(line["to"], line["kind"]) for line in skipped[:-1]] == [("mona", "escalation"), ("mona", "escalation")]
    assert pressed == [pressed[-1]]
    assert drive(desk, "as mona", "press 1", after=desk.console.last())[1][0]["to"] == "mona"
    assert desk.pressed == [("mona", "on_it", "n2", "")]


def test_a_button_that_needs_a_note_and_gets_none_answers_the_same_card(desk: FakeDesk) -> None:
    """The contract says so; a press without a reason would otherwise be lost or taken."""
    first, second = drive(desk, "press 4", "press 4 waiting-on-payer called twice")
    assert first[-2]["card"]["title"] == "Claim untouched · $1,250.00"
    assert "Say why" in first[-2]["card"]["text"]
    assert len(first[-2]["card"]["buttons"]) == 5
    assert [(line["to"], line["kind"]) for line in second[:-1]] == [("bea", "nudge"), ("mona", "exception")]
    assert desk.pressed[-1] == ("bea", "cant", "n1", "waiting-on-payer called twice")


@pytest.mark.parametrize(
    ("way", "minutes"),
    [
        ("2h", 120),
        ("90m", 90),
        ("90 min", 90),
        ("2 days", 2 * 1440),
        ("today 5 pm", 105),
        ("tomorrow", 1440 - 375),
        ("tomorrow 9:00", 1440 - 375),
        ("until Tomorrow at 9 am", 1440 - 375),
        ("tue 9:00", 1440 - 375),
        ("monday 3:15 pm", 7 * 1440),
        ("2026-02-24T09:00", 1440 - 375),
        ("2026-02-24T09:00:00-05:00", 1440 - 375),
        ("2026-02-24T14:00Z", 1440 - 375),
        ("2026-02-24 9:00", 1440 - 375),
        ("2026-02-24", 1440 - 375),
        ("next opening", 1440 - 375 - 60),
    ],
)
def test_until_when_may_be_said_in_many_ways(desk: FakeDesk, way: str, minutes: int) -> None:
    """A snooze would be refused for how its time was written."""
    drive(desk, f"press 3 {way}")
    assert datetime.fromisoformat(desk.pressed[-1][3]) == START + timedelta(minutes=minutes)


def test_after_a_press_the_replaced_card_is_the_one_that_counts(desk: FakeDesk) -> None:
    """A second `press 1` would act on another item than the reader looks at."""
    parts = drive(desk, "press 1", "press 1", "press 1")
    assert [press[1] for press in desk.pressed] == ["on_it", "done"]
    assert "no button 1" in said(parts[2])


def test_inbox_shows_the_cards_again_newest_last_and_without_answers(desk: FakeDesk) -> None:
    """Somebody who comes back could not see what waits for them."""
    parts = drive(desk, "what about a denial", "as mona", "skip 5h", "inbox")
    assert [line["to"] for line in parts[3][:-1]] == ["mona", "mona"]
    again = drive(desk, "inbox", after=desk.console.last())[0]
    assert [line["kind"] for line in again] == ["nudge", "done"]


def test_a_second_start_does_not_repeat_what_was_already_printed(desk: FakeDesk) -> None:
    """With a kept home, every start would look as if all nudges came anew."""
    assert drive(desk, "", after=desk.console.last()) == [[{"kind": "done", "now": "2026-02-23T15:15:00-05:00"}]]


def test_skip_moves_the_clock_in_the_persons_zone(desk: FakeDesk) -> None:
    """Tomorrow at nine in Denver would be seven in the morning there."""
    parts = drive(desk, "as tom", "skip until 2026-03-02T09:00", "skip 90m", "skip 3d", "skip 7d")
    assert [part[-1]["now"] for part in parts[1:]] == [
        "2026-03-02T09:00:00-07:00",
        "2026-03-02T10:30:00-07:00",
        "2026-03-05T10:30:00-07:00",
        "2026-03-12T10:30:00-06:00",  # over the night the clocks change: still half past ten
    ]


def test_the_real_clock_is_not_skipped(engine: Engine) -> None:
    """In production somebody would move time."""
    desk = FakeDesk(engine, can_skip=False)
    assert "only the demo can skip" in said(drive(desk, "skip 2h")[0])
    assert desk.clock == START


def test_a_name_that_two_people_share_is_asked_back(desk: FakeDesk) -> None:
    """One of two Tessas would be taken by chance."""
    parts = drive(desk, "as Castellano", "as Bea Lindqvist", "as tess", "as Tess Moreau", "as Tessa")
    assert [part[-1]["now"][-6:] for part in parts] == ["-07:00", "-05:00", "-07:00", "-07:00", "-07:00"]
    assert "More than one person" in said(parts[4])


def test_trail_and_record_are_lines_of_their_own_kind(desk: FakeDesk) -> None:
    """Evidence could not be followed from a program."""
    trail, record, _, refused = drive(desk, "trail", "/r/k7q29f4m", "as priya", "/r/K7Q29F4M")
    assert trail[-2]["kind"] == "trail"
    assert trail[-2]["rows"][0]["what"] == "Sent to bea."
    assert record[-2]["record"]["keys"] == {"claim_no": "C-1042"}
    assert refused[-2]["record"] == {"kind": "", "site": "", "keys": {}, "facts": {}, "refusal": REFUSED}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(max_size=40).filter(lambda text: not set(text) & set("\n\r")), max_size=6))
def test_whatever_is_typed_is_answered(desk: FakeDesk, lines: list[str]) -> None:
    """Some sequence of characters would end the session or break a line of JSON."""
    lines = [line for line in lines if line.strip().lower() not in ("quit", "exit", "break")]
    assert all(part[-1]["kind"] == "done" for part in drive(desk, *lines, after=desk.console.last()))


def test_text_for_people_is_plain_when_piped_and_holds_no_live_escape(desk: FakeDesk) -> None:
    """Colour codes in a file, or a terminal steered by what somebody typed."""
    out = io.StringIO()
    plain(desk, io.StringIO("what about \x1b[31m a denial\npress 3\ntrail\n/r/K7Q29F4M\nhelp\npeople\nmy day\n"), out)
    text = out.getvalue()
    assert "\x1b" not in text
    assert "[1] On it" in text
    assert "— Billing and claims playbook v1, step 6" in text
    assert max(len(line) for line in text.splitlines()) <= 92


def test_the_lists_of_a_step_and_of_a_stand_up_stay_lists() -> None:
    """Four things to do, or four roles that are behind, would run together into one sentence."""
    out = io.StringIO()
    step = Source(
        Wording("billing-claims"), 1, Wording("post-era"), Wording("Post it.\n\n1. Match the ERA.\n2. Post line\nby line.\n")
    )
    facts = (Fact(Wording("At risk"), Wording("2 items\nBilling coordinator: 1 item\nFront desk: 1 item")),)
    Printer(out, prompting=False).show(Card("answer", Wording("Post the ERA"), facts=facts, sources=(step,)))
    lines = [line.strip() for line in out.getvalue().splitlines()]
    assert "1. Match the ERA." in lines
    assert "2. Post line by line.”" in lines
    assert lines[lines.index("At risk  2 items") :][1:3] == ["Billing coordinator: 1 item", "Front desk: 1 item"]


def run(*arguments: str, **more: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.desk", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)


def test_a_program_can_talk_to_it_line_by_line_through_a_pipe() -> None:
    """Output that waits in a buffer would block a program that waits for `done`."""
    with run("plain", "--json", env=os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0"}) as process:
        assert process.stdin and process.stdout and process.stderr
        for line in (b"caf\xe9 \xff denied?\n", b"skip 2h\n"):
            process.stdin.write(line)
            process.stdin.flush()
            while json.loads(process.stdout.readline())["kind"] != "done":
                pass
        process.stdin.close()
        assert process.stdout.read() == b""
        assert process.wait(timeout=20) == 0
        assert process.stderr.read() == b""


def test_a_reader_that_goes_away_ends_it_quietly() -> None:
    """`... | head -1` would end in a traceback."""
    with run("plain") as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdout.close()
        process.stdin.write(b"help\n" * 50)
        process.stdin.close()
        assert process.wait(timeout=20) == 0
        assert process.stderr.read() == b""
