"""The ledger that a test left, without what differs from platform to platform: for the comparison of one with another."""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from bot import evidence
from bot.records import read
from tests.behaviour.small import Small

_LEFT_OUT = frozenset({"platform", "account", "channel", "message", "address", "head", "sha256"})
"""Details that say where something was done, or are the hash of something."""
_RANDOM = re.compile(r"\b[2-9A-HJKMNP-TV-Z]{8}\b|\b[0-9a-f]{16,64}\b")
"""References (`bot.records.new_ref`) and hashes."""


def of(small: Small) -> list[str]:
    """One line for each entry. The order is the ledger's; random references are numbered as they appear.

    What was recorded at one instant about different things came in the order of their random references: it stands in the
    order of what else is known of each of them.
    """
    with read(small.holdfast.engine) as session:
        events = [entry.event for entry in evidence.read(session)]
    lines = [(event.at, event.subject, _line(event, small.clock.now())) for event in events]
    told: dict[str, list[str]] = {}
    for _, subject, line in lines:
        told.setdefault(subject, []).append(_RANDOM.sub("#", line))
    numbers: dict[str, str] = {}
    written: list[str] = []
    for _, together in groupby(lines, key=lambda each: each[0]):
        about: dict[str, list[str]] = {}
        for _, subject, line in together:
            about.setdefault(subject, []).append(line)
        for subject in sorted(about, key=lambda each: (told[each], len(numbers.get(each, "-" * 9)), numbers.get(each, ""))):
            written += [_RANDOM.sub(lambda found: _number(found.group(), numbers), line) for line in about[subject]]
    return written


def compare(folder: Path, test: str, platform: str, lines: Sequence[str]) -> None:
    """Write the ledger that `test` left on `platform` if it is the first there; otherwise compare it with that one.

    folder   shared by every process of this run
    raises   AssertionError   it is another one; the text is the difference
    """
    folder.mkdir(exist_ok=True)
    file = folder / (re.sub(r"[^\w.-]+", "_", test)[-150:] + ".ledger")
    draft = file.with_suffix(f".{os.getpid()}")
    draft.write_text("\n".join([platform, *lines]), "utf-8")
    with suppress(FileExistsError):
        os.link(draft, file)
    draft.unlink()
    first, *known = file.read_text("utf-8").split("\n")
    difference = list(difflib.unified_diff(known, list(lines), first, platform, lineterm="", n=1))
    assert not difference, f"the ledgers of {first} and {platform} differ:\n" + "\n".join(difference)


def _line(event: evidence.Event, now: datetime) -> str:
    said = {
        "what": event.what, "at": f"{event.at:%Y-%m-%d %H:%M:%S}", "subject": event.subject, "item": event.item,
        "actor": event.actor, "role": event.role, "sop": f"{event.sop} {event.step} {event.sop_version}", "rule": event.rule,
        "detail": dict(_detail(event.detail, now)),
    }  # fmt: skip
    return json.dumps(said, ensure_ascii=False)


def _detail(detail: Mapping[str, Any], now: datetime) -> Iterator[tuple[str, Any]]:
    for key, value in sorted(detail.items()):
        if key == "as_of" and isinstance(value, str) and datetime.fromisoformat(value) > now:
            yield key, "the time of the file"  # by the machine's own clock
        elif key not in _LEFT_OUT:
            yield key, value


def _number(found: str, numbers: dict[str, str]) -> str:
    return numbers.setdefault(found, f"#{len(numbers) + 1}")
