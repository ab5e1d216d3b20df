"""Does every sentence of an answer stand in the SOP text that was found for it? If not, it is not said.

A sentence stands where a whole sentence of a source is the same, word for word and number for number; only white space and
Markdown's emphasis may differ. Half a sentence does not count: "keep using the sterilizer" is a piece of "Do not keep using the
sterilizer". What comes back are spans, so that what is shown is cut from the source and never from what a model wrote.

    Ungrounded      a sentence stands nowhere; `.sentence` is it
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from knowledge.sops import SopText, excerpt

_UNIT = re.compile(r"\s*(?:>\s*)*(?:#{1,6}\s+|(?:[-*+]|\d{1,9}[.)])\s+(?:\[[ xX]\]\s+)?|(?=\|))")
_END = re.compile(r"[.!?]+[\"”’)\]*_`]*(?=\s|$)")
_MARKS = re.compile(r"[*`]+")
_NOT_AN_END = frozenset({"e.g.", "i.e.", "etc.", "vs.", "no.", "dr.", "mr.", "ms.", "mrs.", "approx.", "st."})


class Ungrounded(Exception):
    """The answer says something that no source says."""

    def __init__(self, sentence: str) -> None:
        super().__init__("a sentence of the answer stands in no source")
        self.sentence = sentence


@dataclass(frozen=True)
class Span:
    """A sentence in a source: `text` is `source[start:end]` of the source called `source`."""

    source: str
    start: int
    end: int
    text: SopText


def grounded(answer: str, sources: Mapping[str, SopText]) -> tuple[Span, ...]:
    """Where each sentence of the answer stands, in the answer's order.

    raises Ungrounded   for the first sentence that stands nowhere, and for an answer without a sentence
    """
    known: dict[str, Span] = {}
    for name, source in sources.items():
        for start, end in sentences(source):
            known.setdefault(_plain(source[start:end]), Span(name, start, end, excerpt(source, start, end)))
    spans = []
    for start, end in sentences(answer):
        sentence = answer[start:end]
        if not (span := known.get(_plain(sentence))):
            raise Ungrounded(sentence)
        spans.append(span)
    if not spans:
        raise Ungrounded(answer)
    return tuple(spans)


def sentences(text: str) -> Iterator[tuple[int, int]]:
    """The sentences of Markdown text as spans, without list markers; a list item, heading or table row is one unit."""
    for start, end in _units(text):
        first = start
        for stop in _END.finditer(text, start, end):
            last_word = text[first : stop.end()].split()[-1:]
            if last_word and last_word[0].lower() in _NOT_AN_END:
                continue
            yield first, stop.end()
            first = stop.end() + len(text[stop.end() : end]) - len(text[stop.end() : end].lstrip())
        if first < end:
            yield first, end


def _units(text: str) -> Iterator[tuple[int, int]]:
    """Paragraphs, list items, headings and rows: lines that a reader sees as one run of text."""
    at, start, end = 0, -1, -1
    for line in text.split("\n"):
        marker = _UNIT.match(line)
        if start >= 0 and (marker or not line.strip()):
            yield start, end
            start = -1
        if line.strip():
            if start < 0:
                start = at + (marker.end() if marker else len(line) - len(line.lstrip()))
            end = at + len(line.rstrip())
        at += len(line) + 1
    if start >= 0:
        yield start, end


def _plain(sentence: str) -> str:
    return " ".join(_MARKS.sub("", sentence).split())
