"""A process of its own that works on a home and may be killed: `python -m tests.behaviour.child`.

press PERSON VERB TARGET KEY NOW    one press, when the file `go` appears in the home
zygote                              for each line (a number) on stdin forks a worker that sweeps and presses until it is killed
"""

from __future__ import annotations

import os
import random
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

from sqlmodel import col, select

from bot.records import ConsoleMessage, Mark, read
from tests.behaviour.small import START, Installation, MovableClock, settings_of


def main(home: Path, what: str, *rest: str) -> None:
    if what == "press":
        person, verb, target, key, now = rest
        holdfast = Installation(settings_of(home), MovableClock(datetime.fromisoformat(now)))
        print("ready", flush=True)
        while not (home / "go").exists():
            time.sleep(0.002)
        holdfast.press(person, verb, target, "", key)
        return
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            work(home, int(line))
        print(child, flush=True)


def work(home: Path, seed: int) -> None:
    """Sweep on from where the last one was killed, five minutes at a step, and press whatever lies about."""
    chance = random.Random(seed)
    clock = MovableClock(START)
    holdfast = Installation(settings_of(home), clock)
    with read(holdfast.engine) as session:
        swept = session.get(Mark, "last sweep")
    clock.at = (swept.at if swept else START) + timedelta(minutes=5)
    for step in range(100_000):
        holdfast.tick(clock.at)
        with read(holdfast.engine) as session:
            cards = list(session.exec(select(ConsoleMessage).where(col(ConsoleMessage.kind) == "nudge")))
        for message in chance.sample(cards, min(2, len(cards))):
            button = chance.choice(message.card["buttons"] or [None])
            if button:
                note = {"until": "2h", "reason": "other"}.get(button["needs"], "")
                holdfast.press(message.person, button["verb"], button["target"], note, f"{seed}:{step}:{message.id}")
        clock.at += timedelta(minutes=5)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
