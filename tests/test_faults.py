"""What may go wrong while it runs: presses at once, kills, lost answers, refusals, clock changes, a clock set back."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from os import environ, kill
from pathlib import Path
from time import sleep
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlmodel import select

from bot.app import CannotStart, Ticker, only_clock
from bot.chat import AmbiguousSend
from bot.records import ConsoleMessage, PressSeen, Slot, open_engine, read
from tests import postgres
from tests.behaviour.small import STALLED, START, Claim, Opens, Small, at, furnish, stalled
from tests.fakes import Killed, Troubled, check_all, in_hours, once, refuses


def troubled(small: Small) -> Troubled:
    platform = Troubled(small.holdfast.console)
    small.holdfast.sends_to = platform
    return platform


def messages(small: Small, person: str = "", kind: str = "") -> list[ConsoleMessage]:
    with read(small.holdfast.engine) as session:
        found = session.exec(select(ConsoleMessage).order_by(ConsoleMessage.id)).all()  # type: ignore[arg-type]
    return [m for m in found if m.marker and person in ("", m.person) and kind in ("", m.kind)]


# --- at once ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "note", "row"),
    [
        ("on_it", "", "nudge acknowledged"),
        ("done", "", "said done"),
        ("snooze", "2h", "nudge snoozed"),
        ("cant", "other", "exception asked"),
        ("wrong", "not-mine", "nudge not mine"),
        ("wrong", "other", "nudge wrong"),
    ],
)
def test_eight_presses_of_one_button_have_one_effect(opens: Opens, database_url: str, verb: str, note: str, row: str) -> None:
    """Without this an impatient thumb acknowledges, escalates or excuses several times."""
    small = stalled(opens(database_url=database_url))
    small.clock.at = STALLED
    small.tick()
    nudge = small.nudge().id
    barrier, failed = threading.Barrier(8), list[BaseException]()

    def press(n: int) -> None:
        barrier.wait()
        try:
            small.holdfast.press("bea", verb, nudge, note, f"key-{n // 2}")  # four taps, each delivered twice
        except BaseException as bad:
            failed.append(bad)

    threads = [threading.Thread(target=press, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert small.told(nudge).count(row) == 1
    with read(small.holdfast.engine) as session:
        assert sorted(seen.outcome for seen in session.exec(select(PressSeen))) in (
            ["already", "already", "already", "done"],
            ["closed", "closed", "closed", "done"],
        )
    check_all(small.holdfast.engine)


def test_eight_processes_pressing_one_button_have_one_effect(opens: Opens) -> None:
    """Without this two web processes act on one press each."""
    small = stalled(opens())
    small.clock.at = STALLED
    small.tick()
    nudge = small.nudge().id
    rows = len(small.told())
    command = [sys.executable, "-m", "tests.behaviour.child", str(small.home), "press", "bea", "on_it", nudge]
    children = [
        subprocess.Popen([*command, f"key-{n}", STALLED.isoformat()], stdout=subprocess.PIPE, text=True) for n in range(8)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    (small.home / "go").touch()
    for child in children:
        child.communicate(timeout=60)
    assert [child.returncode for child in children] == [0] * 8
    assert small.told()[rows:] == ["nudge acknowledged"]
    check_all(small.holdfast.engine)


def test_two_sweeps_at_once_share_the_work(opens: Opens, database_url: str) -> None:
    """Without this a second clock process doubles every message."""
    from bot import sweep

    small = stalled(opens(database_url=database_url), claims=12)
    small.clock.at = STALLED
    failed: list[BaseException] = []

    def run() -> None:
        try:
            sweep.tick(small.holdfast.round(), STALLED)
        except BaseException as bad:
            failed.append(bad)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    small.tick()
    assert failed == []
    assert len(messages(small, "bea")) == 12
    check_all(small.holdfast.engine)


# --- the platform ----------------------------------------------------------------------------------------------------------


def test_a_hundred_lost_answers_leave_a_hundred_messages(opens: Opens) -> None:
    """Without this every dropped connection is a message sent twice, or one that never came."""
    small = stalled(opens(), claims=100)
    platform = troubled(small)
    platform.after = once(AmbiguousSend)
    small.clock.at = STALLED
    small.tick()
    for _ in range(30):  # a service that answers nobody is left alone for a while now and then
        small.clock.at += timedelta(seconds=15)
        small.tick()
    assert Counter(d.state for d in small.deliveries() if d.kind == "nudge") == {"sent": 100}
    assert len(small.events("send uncertain")) == 100
    assert len(small.events("send found")) == 100
    assert len([address for address, _ in platform.calls if address == "bea"]) == 100
    assert len(messages(small, "bea")) == 100
    check_all(small.holdfast.engine)


@pytest.mark.parametrize("where", ["before", "after"])
def test_a_death_at_the_door_neither_loses_nor_doubles(opens: Opens, where: str) -> None:
    """Without this the message that was being sent when the machine stopped is lost, or comes twice."""
    small = stalled(opens(), claims=5)
    platform = troubled(small)
    setattr(platform, where, once(Killed))
    small.clock.at = STALLED
    for _ in range(5):
        with pytest.raises(Killed):
            small.tick()
        small.clock.at += timedelta(seconds=1)
    assert [d.state for d in small.deliveries() if d.kind == "nudge"] == ["sending"] * 5
    small.tick()
    assert [d.state for d in small.deliveries() if d.kind == "nudge"] == ["sending"] * 5  # the lease is not over
    small.clock.at += timedelta(seconds=61)
    small.tick()
    assert len(messages(small, "bea")) == 5
    assert Counter(d.state for d in small.deliveries() if d.kind == "nudge") == {"sent": 5}
    check_all(small.holdfast.engine)


def test_while_nobody_can_look_it_is_sent_once_more_and_says_so(opens: Opens) -> None:
    """Without this an outage of the look-up either loses the nudge or repeats it for hours."""
    small = stalled(opens())
    platform = troubled(small)
    platform.after, platform.cannot_look = once(AmbiguousSend), True
    small.clock.at = STALLED
    small.tick()
    small.until(STALLED + timedelta(minutes=19))
    assert len(messages(small, "bea")) == 1
    small.until(STALLED + timedelta(hours=2))
    assert len(messages(small, "bea")) == 2
    assert messages(small, "bea")[1].card["text"].startswith("You may have this already")
    told = small.told(small.nudge().id)
    assert [what for what in told if what.startswith("send")] == ["send uncertain", "send repeated"]
    assert small.nudge().state == "sent"
    check_all(small.holdfast.engine, repeats=2)  # the nudge and Pine's stand-up


def test_where_nothing_may_be_repeated_silence_moves_on_up_the_ladder(opens: Opens) -> None:
    """Without this a lost answer of a service without a history either doubles the message or stops the nudge."""
    small = stalled(opens())
    platform = troubled(small)
    platform.after, platform.cannot_look, platform.may_repeat = once(AmbiguousSend), True, False
    small.clock.at = STALLED
    small.tick()
    small.until(STALLED + timedelta(minutes=30))
    assert len(messages(small, "bea")) == 1
    first = next(d for d in small.deliveries() if d.kind == "nudge")
    assert (first.state, first.reason) == ("unknown", "nobody knows whether it arrived")
    assert [what for what in small.told(small.nudge().id) if what.startswith("send")] == ["send uncertain", "send unknown"]
    small.until(STALLED + timedelta(hours=5))
    assert small.nudge().level == 1
    assert len(messages(small, "bea")) == 1
    check_all(small.holdfast.engine)


def test_a_refusal_for_good_goes_one_rung_up_and_is_listed(opens: Opens) -> None:
    """Without this a deactivated account is where nudges end."""
    small = stalled(opens())
    troubled(small).before = refuses("bea", permanent=True)
    small.clock.at = STALLED
    small.tick()
    small.clock.at += timedelta(seconds=15)
    small.tick()
    assert [m.person for m in messages(small) if m.kind in ("nudge", "escalation")] == ["rae"]
    assert small.holdfast.health()["undelivered"] == 1
    digest = {str(f.label): str(f.value) for f in small.holdfast.digest("mona").facts}
    assert digest["Undelivered messages"] == "1"
    assert "nudge undelivered" in small.told(small.nudge().id)
    check_all(small.holdfast.engine)


def test_with_nobody_reachable_it_is_tried_again_and_never_forgotten(opens: Opens) -> None:
    """Without this an outage of the whole platform silently ends a nudge."""
    small = stalled(opens())
    platform = troubled(small)

    def away(address: str, marker: str) -> None:
        refuses(address, permanent=True)(address, marker)

    platform.before = away
    small.clock.at = STALLED
    small.until(STALLED + timedelta(hours=2))
    check_all(small.holdfast.engine)
    assert small.nudge().state == "open"
    platform.before = lambda address, marker: None
    small.report("harbor")
    small.until(at("2026-03-06", "08:30"))
    assert small.nudge().state == "sent"


@pytest.mark.parametrize("wait_s", [7, 900])
def test_retry_after_is_honoured(opens: Opens, wait_s: int) -> None:
    """Without this a busy platform is hammered until it locks us out."""
    small = stalled(opens())
    platform = troubled(small)
    platform.before = refuses("bea", permanent=False, retry_after_s=wait_s)
    small.clock.at = STALLED
    small.tick()
    platform.before = lambda address, marker: None
    small.clock.at = STALLED + timedelta(seconds=wait_s - 1)
    small.tick()
    assert len([c for c in platform.calls if c[0] == "bea"]) == 1
    small.clock.at = STALLED + timedelta(seconds=wait_s)
    small.tick()
    assert len(messages(small, "bea")) == 1
    check_all(small.holdfast.engine)


def test_one_card_that_cannot_be_sent_holds_up_no_other(opens: Opens) -> None:
    """Without this one fault of ours stops every message behind it."""
    small = stalled(opens(), claims=3)
    platform = troubled(small)
    poison: list[str] = []

    def fault(address: str, marker: str) -> None:
        poison.append(marker)
        if marker == poison[0]:
            raise KeyError("a fault of ours")

    small.clock.at = STALLED
    platform.before = fault
    small.until(STALLED + timedelta(minutes=5))
    assert len(messages(small, "bea")) == 2
    for n in range(10):
        small.clock.at += timedelta(minutes=1 + n)
        small.tick()
    assert small.holdfast.health()["undelivered"] == 1
    check_all(small.holdfast.engine)


# --- kills -----------------------------------------------------------------------------------------------------------------


def test_killed_twenty_times_nothing_is_lost_and_nothing_comes_twice(opens: Opens) -> None:
    """Without this every restart costs somebody a message, or sends it again."""
    chance = random.Random(20260302)
    small = opens()
    claims = [Claim(f"C-{n}", START - timedelta(minutes=7 * n)) for n in range(1, 41)]
    small.report("harbor", *claims)
    small.report("pine")
    small.tick()
    small.clock.at = at("2026-03-04", "07:30")
    small.report("harbor")
    small.tick()
    command = [sys.executable, "-m", "tests.behaviour.child", str(small.home), "zygote"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as zygote:
        assert zygote.stdin is not None
        assert zygote.stdout is not None
        for seed in range(20):
            zygote.stdin.write(f"{seed}\n")
            zygote.stdin.flush()
            worker = int(zygote.stdout.readline())
            sleep(chance.uniform(0.15, 0.7))
            kill(worker, signal.SIGKILL)
            sleep(0.02)
            check_all(small.holdfast.engine)
        zygote.stdin.close()
        zygote.wait(30)
    with read(small.holdfast.engine) as session:
        from bot.records import Mark

        small.clock.at = session.get_one(Mark, "last sweep").at
    small.passes(minutes=10)
    small.clock.at = max(small.clock.at, at("2026-03-04", "09:00"))
    small.passes(minutes=5)
    check_all(small.holdfast.engine)
    assert {n.rule for n in small.nudges()} == {"claim_untouched"}
    assert len({n.item for n in small.nudges()}) == 40
    by_marker = {m.marker for m in messages(small)}
    for delivery in small.deliveries():
        assert delivery.state in ("sent", "dropped") or delivery.not_before > small.clock.at
        assert ((delivery.bundle or delivery.marker) in by_marker) == (delivery.state == "sent")


# --- clocks ----------------------------------------------------------------------------------------------------------------

US = {
    "newyork": "America/New_York", "chicago": "America/Chicago", "denver": "America/Denver", "phoenix": "America/Phoenix",
    "angeles": "America/Los_Angeles", "anchorage": "America/Anchorage", "honolulu": "Pacific/Honolulu",
}  # fmt: skip
HOURS = {"sat": ("09:00", "23:00"), "sun": ("01:00", "06:00"), "mon": ("02:30", "11:00")}
"""Openings around the hour that comes twice or not at all."""


def across_the_country() -> str:
    """A practice with a site in every US zone, each with its own manager, biller and sterilizer, open at odd hours."""
    hours = ", ".join(f'{day} = "{start}-{end}"' for day, (start, end) in HOURS.items())
    parts = ['[organisation]\nname = "Coast to Coast Dental"\n']
    for site, zone in US.items():
        parts.append(f'[sites.{site}]\nname = "{site.title()}"\ntime_zone = "{zone}"\nmanager = "m-{site}"')
        parts.append(f'sterilizers = ["S1"]\nhours = {{ {hours} }}\n')
        parts.append(f'[people.m-{site}]\nname = "Manager {site.title()}"\nroles = ["office_manager@{site}"]\n')
        parts.append(f'[people.s-{site}]\nname = "Lead {site.title()}"\nroles = ["sterilization_lead@{site}"]\n')
    return "\n".join(parts)


@pytest.mark.parametrize("saturday", ["2026-03-07", "2026-10-31"])
def test_over_the_night_the_clocks_change_each_stand_up_comes_once_and_nobody_is_woken(opens: Opens, saturday: str) -> None:
    """Without this somebody is woken at four, or misses a stand-up, twice a year in every zone."""
    first = datetime.fromisoformat(saturday).replace(tzinfo=UTC)
    small = opens(practice=across_the_country(), now=first + timedelta(hours=12))
    (small.home / "feeds.toml").unlink()
    end = first + timedelta(days=3, hours=6)
    while small.clock.at < end:
        small.tick()
        small.clock.at += timedelta(minutes=7)
    sent = messages(small)
    for message in sent:
        local = message.at.astimezone(ZoneInfo(US[message.person[2:]]))
        assert in_hours(local, [HOURS[f"{local:%a}".lower()]]), f"{message.kind} to {message.person} at {local}"
    with read(small.holdfast.engine) as session:
        days = Counter(slot.schedule for slot in session.exec(select(Slot)))
    assert days == {f"digest:{site}": 3 for site in US}
    stand_ups = Counter(message.person for message in sent if message.kind == "digest")
    assert stand_ups == {f"m-{site}": 3 for site in US}
    assert {message.person for message in sent if message.kind == "nudge"} == {f"s-{site}" for site in US}
    check_all(small.holdfast.engine)


def test_a_clock_set_back_breaks_nothing(opens: Opens) -> None:
    """Without this a correction of the machine's clock repeats the last hours, or stops everything."""
    small = stalled(opens(), claims=3)
    small.clock.at = STALLED
    small.tick()
    before = small.told()
    small.clock.at = STALLED - timedelta(hours=2)
    for _ in range(5):
        small.tick()
        small.clock.at += timedelta(minutes=20)
    assert small.told() == before
    small.holdfast.press("bea", "on_it", small.nudge().id, "", "back")
    small.touch("C-2", when=small.clock.at)
    small.until(STALLED + timedelta(hours=5))
    assert small.nudge("C-2").ending == "verified"
    assert small.told(small.nudge("C-1").id).count("nudge repeated") == 1
    check_all(small.holdfast.engine)


def test_the_ticker_goes_on_after_a_tick_that_failed() -> None:
    """Without this the first error of a night is the end of all nudges."""
    ticks: list[int] = []
    third = threading.Event()

    def tick() -> None:
        ticks.append(1)
        if len(ticks) == 3:
            third.set()
        raise ValueError("a fault of ours")

    ticker = Ticker(tick, 0.05)
    ticker.start()
    assert third.wait(10)
    ticker.stop()


def test_a_second_clock_on_one_home_is_told_so(tmp_path: Path) -> None:
    """Without this two clocks run on one laptop, and nobody knows why everything is slow."""
    home = tmp_path / "home"
    furnish(home)
    env = {**environ, "HOLDFAST_HOME": str(home), "HOLDFAST_TICK_S": "1"}
    command = [sys.executable, "-m", "bot", "clock"]
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as first:
        try:
            for _ in range(200):
                if (home / "clock.lock").exists():
                    break
                sleep(0.05)
            sleep(0.2)
            second = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
        finally:
            first.send_signal(signal.SIGTERM)
            assert first.wait(30) == 0
    assert second.returncode == 1
    assert second.stderr.splitlines()[-1] == (
        f"Another Holdfast clock is running on {home}; stop it first, or set another HOLDFAST_HOME."
    )
    assert "Traceback" not in second.stderr


# --- anything at all -------------------------------------------------------------------------------------------------------


def test_whatever_people_time_source_and_crashes_do_a_nudge_stays_whole(published: Path, tmp_path: Path) -> None:
    """Without this some order of presses, waking, moves and crashes loses a nudge, ends it twice, or forgets its evidence."""
    number = iter(range(10_000))

    class Life(RuleBasedStateMachine):
        @initialize()
        def opens(self) -> None:
            self.small = stalled(Small.open(published, tmp_path / f"life{next(number)}"), claims=2)
            self.platform = troubled(self.small)
            self.small.clock.at = STALLED
            self.small.tick()
            self.keys = iter(range(1000))

        @rule(
            person=st.sampled_from(["bea", "rae", "mona", "olu", "tom"]),
            verb=st.sampled_from(["on_it", "done", "snooze", "cant", "wrong", "not_mine", "on_it", "cant"]),
            claim=st.sampled_from(["C-1", "C-2"]),
        )
        def presses(self, person: str, verb: str, claim: str) -> None:
            note = {"snooze": "2h", "cant": "other", "wrong": "not-stalled", "not_mine": "not-mine"}.get(verb, "")
            verb = "wrong" if verb == "not_mine" else verb
            self.small.holdfast.press(person, verb, self.small.nudge(claim).id, note, f"k{next(self.keys)}")

        @rule(
            person=st.sampled_from(["mona", "olu", "bea"]), verb=st.sampled_from(["approve", "refuse"]), which=st.integers(0, 3)
        )
        def decides(self, person: str, verb: str, which: int) -> None:
            asks = self.small.exceptions()
            if asks:
                self.small.holdfast.press(person, verb, asks[which % len(asks)].id, "", f"k{next(self.keys)}")

        @rule(hours=st.sampled_from([0.02, 1, 4, 9, 24, 24 * 14]))
        def time_passes(self, hours: float) -> None:
            self.small.clock.at += timedelta(hours=hours)
            self.small.tick()

        @rule(claim=st.sampled_from(["C-1", "C-2", ""]))
        def source_says(self, claim: str) -> None:
            if claim:
                self.small.touch(claim)
            else:
                self.small.report("harbor")
            self.small.tick()

        @rule(where=st.sampled_from(["before", "after"]), hours=st.sampled_from([0.02, 4, 9]))
        def dies_sending(self, where: str, hours: float) -> None:
            setattr(self.platform, where, once(Killed))
            self.small.clock.at += timedelta(hours=hours)
            with suppress(Killed):
                self.small.tick()
            setattr(self.platform, where, lambda address, marker: None)

        @rule()
        def loses_an_answer(self) -> None:
            self.platform.after = once(AmbiguousSend)
            self.small.clock.at += timedelta(hours=4)
            self.small.tick()
            self.platform.after = lambda address, marker: None

        @invariant()
        def is_whole(self) -> None:
            if hasattr(self, "small"):
                check_all(self.small.holdfast.engine)

        def teardown(self) -> None:
            if hasattr(self, "small"):
                self.small.holdfast.close()

    quick = settings(
        max_examples=12,
        stateful_step_count=14,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    run_state_machine_as_test(Life, settings=quick)


@pytest.mark.postgres
def test_on_postgresql_a_second_clock_stands_by_and_takes_over(postgres_server: str, tmp_path: Path) -> None:
    """Without this a machine that dies takes the practice's clock with it until somebody notices."""
    took_over = threading.Event()

    def in_reserve() -> None:
        with only_clock(tmp_path, engine, threading.Event()) as is_ours:
            if is_ours:
                took_over.set()

    with postgres.database(postgres_server) as url:
        engine = open_engine(url)
        with only_clock(tmp_path, engine):
            with pytest.raises(CannotStart, match="Another Holdfast clock"), only_clock(tmp_path, engine):
                raise AssertionError("two clocks")
            second = threading.Thread(target=in_reserve)
            second.start()
            assert not took_over.wait(0.5)
        assert took_over.wait(60)
        second.join()
        engine.dispose()
