"""Amounts of money as people and machines write them, into integer cents: exactly, or not at all.

Doubtful            the text may mean more than one amount, or none
"""

from __future__ import annotations

import re
from typing import Literal

Decimal = Literal[".", ","]

_GROUPS = {".": ",' ", ",": ".' "}
"""Which characters may stand between thousands, by the decimal mark in use."""

_CURRENCY = r"(?:US\$|C\$|\$|€|£|USD|CAD|EUR|GBP)"
_SHELL = re.compile(
    rf"(?P<open>\()?(?P<minus>[-+])?\s*{_CURRENCY}?\s*(?P<sign>[-+])?\s*"
    rf"(?P<digits>[\d.,' ]*\d[\d.,' ]*?|-)\s*{_CURRENCY}?(?P<trail>-)?(?P<close>\))?",
    re.ASCII,
)
_LARGEST = 10**12
_LONGEST = 40


class Doubtful(ValueError):
    """Not surely one amount. The text never repeats what was read."""


def cents(text: str, decimal: Decimal = ".") -> int:
    """The amount in cents.

    text     "$1,250.00", "(125.00)", "125-", "1 250,00 €"; "-" alone is how accounting formats print zero
    decimal  the mark before the cents
    raises Doubtful   "12,5" or "1,2500.00" with ".", "12.345", letters, two signs, nothing: whatever would need a guess
    """
    found = _SHELL.fullmatch(_plain(text)) if len(text) <= _LONGEST else None
    if found is None or bool(found["open"]) != bool(found["close"]):
        raise Doubtful("not an amount")
    signs = [s for s in (found["minus"], found["sign"], found["trail"], found["open"]) if s]
    if len(signs) > 1 or (signs and found["digits"] == "-"):
        raise Doubtful("two signs")
    if found["digits"] == "-":
        return 0
    value = _value(found["digits"], decimal)
    return -value if signs and signs[0] in "-(" else value


def _plain(text: str) -> str:
    """One kind of blank and one kind of minus and apostrophe."""
    return re.sub(r"\s+", " ", text).strip().replace("\u2212", "-").replace("\u2019", "'").upper()


def _value(digits: str, decimal: Decimal) -> int:
    whole, mark, fraction = digits.partition(decimal)
    if fraction and not re.fullmatch(r"\d{1,2}|\d\d00", fraction):  # 12.345: cents of a cent, or thousands
        raise Doubtful("cents that cannot be read")
    if mark and not (whole or fraction):
        raise Doubtful("not an amount")
    total = _whole(whole, decimal) * 100 + int((fraction + "0")[:2] or "0")
    if total > _LARGEST:
        raise Doubtful("larger than any payment")
    return total


def _whole(whole: str, decimal: Decimal) -> int:
    if re.fullmatch(r"\d*", whole, re.ASCII):
        return int((whole or "0")[:20])
    for group in _GROUPS[decimal]:
        if re.fullmatch(rf"[1-9]\d{{0,2}}(?:{re.escape(group)}\d{{3}})+", whole, re.ASCII):
            return int(whole.replace(group, ""))
    raise Doubtful("thousands that cannot be read")
