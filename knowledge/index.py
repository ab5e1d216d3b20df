"""The passage index."""

from __future__ import annotations

from collections.abc import Iterator

from knowledge.sops import Block, Sop, SopText
from knowledge.tables import Cut

PASSAGE_CHARS = 380
"""A passage is a step or two: blocks of one step or heading are joined while they stay below this."""


def cuts(sop: Sop) -> Iterator[Cut]:
    """The passages of an SOP, in order: neighbouring blocks of one step under one heading, a step or two long."""
    held: Block | None = None
    for block in sop.blocks:
        if held and (block.step, block.path) == (held.step, held.path) and block.end - held.start <= PASSAGE_CHARS:
            held = Block(held.start, block.end, held.path, held.step)
            continue
        if held:
            yield _cut(held)
        held = block
    if held:
        yield _cut(held)


def _cut(block: Block) -> Cut:
    return Cut(block.step, block.path[-1] if block.path else SopText(""), block.start, block.end)
