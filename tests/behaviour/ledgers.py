"""The ledger that a test left, without what differs from platform to platform: for the comparison of one with another."""

from __future__ import annotations

import difflib
import json
import os
import re
from pathlib import Path
from typing import Any

from bot import evidence
from bot.records import read
from tests.behaviour.small import Small

_OF_A_PLATFORM = frozenset({"platform", "account", "channel", "message", "address", "receipt", "practice", "files", "sha256"})
"""Details that say where or by which file something was done, not what was done."""
_RANDOM = re.compile(r"\b(?=[0-9A-Za-z]*\d)[0-9A-Za-z]{8,64}\b|\b[A-Z2-7]{6,}\b|\b[0-9a-f]{8,64}\b")
"""References, ids and hashes."""


def of(small: Small) -> list[str]:
    """One line for each entry, in order; each random reference is the number of its first appearance."""
    seen: dict[str, str] = {}

    def numbered(match: re.Match[str]) -> str:
        return seen.setdefault(match.group(), f"#{len(seen) + 1}")

    with read(small.holdfast.engine) as session:
        entries = evidence.read(session)
    return [_RANDOM.sub(numbered, json.dumps(_plain(entry.event), ensure_ascii=False, sort_keys=True)) for entry in entries]


def compare(folder: Path, test: str, platform: str, lines: list[str]) -> None:
    """Write the ledger that `test` left on `platform` if it is the first there; otherwise compare it with that one.

    folder   shared by every process of this run
    raises   AssertionError   it is another one; the text is the difference
    """
    folder.mkdir(exist_ok=True)
    file, text = folder / (re.sub(r"[^\w.-]+", "_", test)[:150] + ".ledger"), "\n".join([platform, *lines])
    draft = file.with_suffix(f".{os.getpid()}")
    draft.write_text(text, "utf-8")
    try:
        os.link(draft, file)
    except FileExistsError:
        first, *known = file.read_text("utf-8").split("\n")
        difference = list(difflib.unified_diff(known, lines, first, platform, lineterm="", n=1))
        assert not difference, f"the ledgers of {first} and {platform} differ:\n" + "\n".join(difference)
    finally:
        draft.unlink()


def _plain(event: evidence.Event) -> dict[str, Any]:
    """What happened; hashes and names of the platform are left out."""
    detail = {key: value for key, value in event.detail.items() if key not in _OF_A_PLATFORM}
    return {
        "what": event.what, "at": event.at.isoformat(), "subject": event.subject, "item": event.item, "actor": event.actor,
        "role": event.role, "sop": f"{event.sop}#{event.step}@{event.sop_version}", "rule": event.rule, "detail": detail,
    }  # fmt: skip
