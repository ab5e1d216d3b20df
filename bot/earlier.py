"""A question about an earlier day: which day, and what is left of the question without it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_MONTH = (
    r"(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)\.?"
)
_SEASON = r"(?P<season>spring|summer|fall|autumn|winter)"
_YEAR = r"(?P<year>20\d\d)"
_BARE_MONTH = rf"(?:last )?{_MONTH}(?:(?: of)? {_YEAR})?"
_WHEN = (
    rf"{_YEAR}-(?P<m>\d{{1,2}})-(?P<d>\d{{1,2}})",
    r"(?P<m>\d{1,2})/(?P<d>\d{1,2})/(?P<year>(?:20)?\d\d)",
    rf"(?P<d>\d{{1,2}})(?:st|nd|rd|th)? (?:of )?{_MONTH}(?:,? {_YEAR})?",
    rf"{_MONTH} (?P<d>\d{{1,2}})(?:st|nd|rd|th)?(?!\d)(?:,? {_YEAR})?",
    _BARE_MONTH,
    rf"(?:last|this) {_SEASON}",
    rf"{_SEASON} (?:of )?{_YEAR}",
    r"(?P<ago>yesterday|last week|last month|last quarter|last year|a (?:week|month|year) ago"
    r"|(?P<n>\d{1,2}|two|three|six) (?P<unit>days|weeks|months|years) ago)",
    _YEAR,
)
_PAST = re.compile(
    r"\b(?:was|were|did|used to|had to|as of|as at|back in|back on|in force|in effect|at (?:the|that) time|applied)\b"
    r"|\bwhich version\b",
    re.IGNORECASE,
)
_STATED = re.compile(r"\bas (?:of|at)\b|\bin (?:force|effect)\b", re.IGNORECASE)
_STORY = re.compile(
    r"\b(?:now|still|today|(?:can|do|should|must) (?:i|we)|what (?:do|should|must|happens|now|next))\b", re.IGNORECASE
)
_LEADING = r"(?:as of|as at|back in|back on|on|in|during|before|at|by|of|since)\s+(?:the\s+)?"
_SEASON_ENDS = {"winter": (2, 28), "spring": (5, 31), "summer": (8, 31), "fall": (11, 30), "autumn": (11, 30)}
_NUMBERS = {"two": 2, "three": 3, "six": 6}
_DAYS = {"day": 1, "week": 7, "month": 30, "year": 365}


@dataclass(frozen=True)
class Earlier:
    """The last day of the time that a question names, and the question without that time."""

    day: date
    question: str


def earlier(text: str, today: date) -> Earlier | None:
    """The earlier day that a question is about; None where it asks how things are done now.

    A date alone is no such day: "seen on 3 March, can I still appeal?" tells a story. It has to ask how things were, or to say
    "as of".
    """
    if not _PAST.search(text) or (not _STATED.search(text) and _STORY.search(text)):
        return None
    for pattern in _WHEN:
        for found in re.finditer(rf"\b(?P<leading>{_LEADING})?{pattern}(?=\W|$)", text, re.IGNORECASE):
            word_only = pattern == _BARE_MONTH and not found["leading"] and not found[0].lower().startswith("last")
            day = None if word_only else _day({k: v and v.lower() for k, v in found.groupdict().items()}, today)
            if day is not None and day < today:
                rest = " ".join(f"{text[: found.start()]} {text[found.end() :]}".split()).strip(" ,;:?.!")
                return Earlier(day, rest) if len(rest) > 3 else None
    return None


def _day(found: Mapping[str, str | None], today: date) -> date | None:
    """The last day of the time that was named; one without a year is the last that is over."""
    try:
        return _named(found, today)
    except ValueError:  # the 31st of February
        return None


def _named(found: Mapping[str, str | None], today: date) -> date | None:
    if ago := found.get("ago"):
        return _ago(ago, found.get("n") or "", found.get("unit") or "", today)
    year = int(found.get("year") or 0)
    year += 2000 if 0 < year < 100 else 0
    if season := found.get("season"):
        month, last = _SEASON_ENDS[season]
        return date(year, month, last) if year else _latest(month, last, today)
    month = int(found.get("m") or 0) or _month(found.get("month") or "")
    if not month:
        return date(year, 12, 31) if year else None
    if number := int(found.get("d") or 0):
        return date(year, month, number) if year else _latest(month, number, today)
    year = year or (today.year if month < today.month else today.year - 1)
    return date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)


def _latest(month: int, number: int, today: date) -> date:
    this_year = date(today.year, month, number)
    return this_year if this_year < today else date(today.year - 1, month, number)


def _month(name: str) -> int:
    return next((n for n, month in enumerate(_MONTHS, start=1) if name and month.startswith(name[:3])), 0)


def _ago(words: str, n: str, unit: str, today: date) -> date:
    match words:
        case "yesterday":
            return today - timedelta(days=1)
        case "last week":
            return today - timedelta(days=today.weekday() + 1)
        case "last month":
            return today.replace(day=1) - timedelta(days=1)
        case "last quarter":
            return date(today.year, (today.month - 1) // 3 * 3 + 1, 1) - timedelta(days=1)
        case "last year":
            return date(today.year - 1, 12, 31)
    count = _NUMBERS.get(n) or (int(n) if n.isdigit() else 1)
    return today - timedelta(days=_DAYS[(unit or words.split()[1]).removesuffix("s")] * count)
