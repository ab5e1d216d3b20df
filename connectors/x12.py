"""X12 text into transaction sets, tolerant of what real files do; no business meaning in here.

Separators come from each ISA (or are worked out where a file starts at GS or ST). Wrapped lines, line ends instead of a segment
mark, several interchanges, wrong counts, missing trailers: all are read, and reported without any of the file's text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from connectors import Problem

# Separators may be control characters (1C to 1F), which `\s` would take for blanks: hence the explicit classes.
_MARK = r"[^A-Za-z0-9 \t\r\n]"
_ISA = re.compile(rf"(?<![A-Za-z0-9])ISA(?P<e>{_MARK})(?=(?P<body>[\s\S]{{0,200}}))")
_TAG = re.compile(r"[A-Z][A-Z0-9]{1,2}")
_SEGMENT_MARKS = ("~", "'", "!", "\x1c", "\x1d", "\x1e", "\x1f", "|", "\\", "^", "\n", "\r")
_EDGE = " \t\r\n\0\x1a\ufeff"


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment: its number in the file, counted from 1, and its elements; element 0 is the tag, so X12's numbers hold."""

    number: int
    elements: Sequence[str]

    @property
    def tag(self) -> str:
        return self.elements[0]

    def __getitem__(self, n: int) -> str:
        """Element `n` without blanks around it; "" where it is absent."""
        return self.elements[n].strip() if n < len(self.elements) else ""


@dataclass(frozen=True)
class TransactionSet:
    """ST to SE, both included, with what its envelope says. Absent envelope elements are ""."""

    code: str
    control: str
    version: str
    sender: str
    interchange: str
    group: str
    sent: datetime | None
    """ISA09 and ISA10, or else GS04 and GS05: local time of an unnamed zone."""
    component: str
    segments: tuple[Segment, ...]
    cut: bool
    """The file stops inside this set: its last loop may not be whole."""


@dataclass(frozen=True)
class X12:
    """A whole file. `sets` is empty when it is no X12 at all."""

    sets: tuple[TransactionSet, ...]
    problems: tuple[Problem, ...]


def read(text: str) -> X12:
    """The transaction sets of `text`, in order, and what is wrong with their envelopes. Never raises on bad input."""
    reading = _Envelopes()
    for part in _parts(text):
        for segment in _segments(part, reading.count):
            reading.take(segment, part)
        reading.stop(part)
    reading.close_all()
    return X12(tuple(reading.sets), tuple(reading.problems))


def day(text: str) -> date | None:
    """CCYYMMDD or YYMMDD as a date; None when it is neither or lies outside 1901 to 2099."""
    if not re.fullmatch(r"[0-9]{6}|[0-9]{8}", text):
        return None
    text = text if len(text) == 8 else f"20{text}"
    try:
        found = date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None
    return found if 1901 <= found.year <= 2099 else None


# --- separators ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Part:
    """A stretch of a file with one set of separators."""

    text: str
    element: str
    component: str
    mark: str
    """What ends a segment; "\\n" stands for any line end."""


def _parts(text: str) -> Iterator[_Part]:
    """The stretches of a file, one for each ISA, and one before the first ISA when something is there."""
    starts = [(m.start(), found) for m in _ISA.finditer(text) if (found := _separators(m))]
    bounds = [start for start, _ in starts] + [len(text)]
    if part := _without_isa(text[: bounds[0]].lstrip(_EDGE)):
        yield part
    for (start, (element, component, mark)), end in zip(starts, bounds[1:], strict=True):
        yield _Part(text[start:end], element, component, mark)


def _separators(found: re.Match[str]) -> tuple[str, str, str] | None:
    """Element, component and segment mark, if this is an ISA: by its 16 elements, so that a wrong width does no harm."""
    element = found["e"]
    fields = found["body"].split(element, 15)
    if len(fields) < 16 or len(fields[0]) != 2 or not re.fullmatch(r"[0-9]{5}", re.sub(r"\s", "", fields[11])):
        return None
    ends = re.match(rf"(?P<c>{_MARK})(?P<t>{_MARK}|[\r\n])", fields[15])
    if ends is None:
        return None
    return element, ends["c"], "\n" if ends["t"] in "\r\n" else ends["t"]


def _without_isa(text: str) -> _Part | None:
    """A part that starts at GS or ST: its separators are those under which the second segment looks like a segment."""
    start = re.match(rf"(?:GS|ST)(?P<e>{_MARK})", text)
    if start is None:
        return None
    element = start["e"]
    for mark in _SEGMENT_MARKS:
        pieces = text.split(mark, 2)
        second = pieces[1].strip(_EDGE) if len(pieces) > 1 else ""
        if mark != element and re.match(rf"{_TAG.pattern}{re.escape(element)}", second):
            inside = re.search(rf"SVC{re.escape(element)}[A-Z][A-Z0-9]({_MARK})", text)
            return _Part(text, element, inside[1] if inside else ":", "\n" if mark == "\r" else mark)
    return None


def _segments(part: _Part, before: int) -> Iterator[Segment]:
    text = part.text.replace("\r\n", "\n").replace("\r", "\n")
    mark = part.mark
    if mark != "\n":
        lines = len(re.findall(rf"\n{_TAG.pattern}{re.escape(part.element)}", text))
        if lines > 2 * text.count(mark):  # the ISA names a mark that the rest does not use: lines are the segments
            text, mark = text.replace(mark, "\n"), "\n"
        else:
            text = text.replace("\n", "")  # wrapped at 80 columns, or a line end behind each mark
    number = before
    for piece in text.split(mark):
        if piece := piece.strip(_EDGE):
            number += 1
            yield Segment(number, piece.split(part.element))


# --- envelopes -----------------------------------------------------------------------------------------------------------


@dataclass
class _Envelopes:
    """Follows ISA, GS, ST and their trailers through a file."""

    sets: list[TransactionSet] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    count: int = 0
    isa: Segment | None = None
    gs: Segment | None = None
    groups: int = 0
    sets_in_group: int = 0
    open: list[Segment] = field(default_factory=list)
    part: _Part | None = None

    def take(self, segment: Segment, part: _Part) -> None:
        self.count, self.part = segment.number, part
        match segment.tag:
            case "ISA":
                self.close_all()
                self.isa, self.groups = segment, 0
            case "GS":
                self._close_group()
                self.gs, self.sets_in_group = segment, 0
                self.groups += 1
            case "ST":
                self._close_set()
                self.open = [segment]
                self.sets_in_group += 1
            case "SE":
                self._trailer(segment, self.open[0] if self.open else None, len(self.open) + 1, "segments", 2)
                if self.open:
                    self.open.append(segment)
                    self._close_set(trailer=True)
            case "GE":
                self._close_set()
                self._trailer(segment, self.gs, self.sets_in_group, "sets", 6)
                self.gs = None
            case "IEA":
                self._close_group()
                self._trailer(segment, self.isa, self.groups, "groups", 13)
                self.isa = None
            case _ if self.open:
                self.open.append(segment)
            case _:
                self._say(segment.number, "a segment outside of any ST: not read")

    def stop(self, part: _Part) -> None:
        """A set that is open where the text stops in mid-segment loses that segment: half an amount is no amount."""
        ended = part.text.rstrip(" \t\0\x1a").endswith(("\n", "\r", part.mark))
        if len(self.open) > 1 and not ended:
            last = self.open.pop()
            self._say(last.number, "the file ends in the middle of this segment: not read")

    def close_all(self) -> None:
        self._close_set(cut=True)
        self._close_group()
        if self.isa is not None:
            self._say(self.count, "an interchange has no IEA: the file may be cut off")
            self.isa = None

    def _close_group(self) -> None:
        self._close_set()
        if self.gs is not None:
            self._say(self.count, "a group has no GE: the file may be cut off")
            self.gs = None

    def _close_set(self, *, trailer: bool = False, cut: bool = False) -> None:
        if not self.open:
            return
        if not trailer:
            self._say(self.open[0].number, "a set has no SE: the file may be cut off")
        first, isa, gs = self.open[0], self.isa or _NOTHING, self.gs or _NOTHING
        self.sets.append(
            TransactionSet(
                code=first[1],
                control=first[2],
                version=gs[8] or first[3],
                sender=isa[6],
                interchange=isa[13],
                group=gs[6],
                sent=_sent(isa[9], isa[10]) or _sent(gs[4], gs[5]),
                component=self.part.component if self.part else ":",
                segments=tuple(self.open),
                cut=cut,
            )
        )
        self.open = []

    def _trailer(self, segment: Segment, header: Segment | None, count: int, what: str, control: int) -> None:
        if header is None:
            self._say(segment.number, f"{segment.tag} without its header")
            return
        said = int(segment[1][:9]) if re.fullmatch(r"[0-9]+", segment[1]) else None
        if said != count:
            self._say(
                segment.number, f"{segment.tag}01 says {'nothing readable' if said is None else said}, there are {count} {what}"
            )
        if segment[2] != header[control]:
            self._say(segment.number, f"{segment.tag}02 is not the control number of its {header.tag}")

    def _say(self, number: int, what: str) -> None:
        self.problems.append(Problem(f"segment {number}", what))


_NOTHING = Segment(0, ("",))


def _sent(on: str, at: str) -> datetime | None:
    found = day(on)
    if found is None:
        return None
    clock = re.fullmatch(r"([01][0-9]|2[0-3])([0-5][0-9])([0-9]*)", at)
    hour, minute = (int(clock[1]), int(clock[2])) if clock else (0, 0)
    return datetime(found.year, found.month, found.day, hour, minute)  # noqa: DTZ001 - the zone is the caller's to know
