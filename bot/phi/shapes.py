"""Addresses, dates, ages and numbers in a typed text. Every number of three digits goes unless it is known to be harmless."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from bot.phi.lists import Kind, Mode, blanked, compiled, data, fold, hidden, spans, words_of

_BLANK = r"[ \t]"
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)"
)
_DAY = r"\d{1,2}(?:st|nd|rd|th)?"
_YEAR = r"(?:,? *'?(?:19|20)\d\d)?"
_UNIT = (
    r"(?:(?:business|open|calendar|working|full|more|consecutive)[ -])?(?:d|days?|h|hours?|hrs?|minutes?|mins?|min|weeks?|wks?"
    r"|months?|mos?|years?|yrs?|seconds?|secs?|times|claims?|patients?|people|individuals|records|employees|users|staff|mg|ml"
    r"|mcg|kg|lbs?|psi|kvp|ma|degrees|°? ?f|°? ?c|ppm|mm|cm|visits?|units?|points?|characters|gb|mb|tb|bits?|percent|dollars"
    r"|bucks|cents|usd|miles|feet|ft|attempts?|cycles?|openings|dpi|pages?|am|pm|a\.m|p\.m)\b"
)

_ADDRESS = compiled(
    r"[^\s@]+(?:@[^\s@]+)+",
    r"(?:https?|ftp)://\S+",
    r"\bwww\.\S+",
    r"\b[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,6}/\S+",
    r"\b[a-z0-9._-]+ ?[(\[]? ?\bat\b ?[)\]]? ?[a-z0-9-]+ ?[(\[]? ?(?:\bdot\b|\.) ?[)\]]? ?(?:com|org|net|edu|gov)\b",
    r"\b(?:[0-9a-f]{1,4}:){3,7}[0-9a-f]{1,4}\b",
    r"\b(?:\d{1,3}\.){3}\d{1,3}\b",
    r"\bp\.? ?o\.? ?box +#?\d+",
    r"\b(?:apt|apartment)\.? *#? *\d+[a-z]?\b",
)
_BESIDE = r"\d{1,6}[a-z]? +(?:(?:n|s|e|w|ne|nw|se|sw|north|south|east|west)\.? +)?(?:[\p{L}\p{N}'’.\-]+ +)"
_FLAT = r"\b\.?(?:[, ]+(?:apt|unit|ste|suite|#)\.? *#?[\p{N}\p{L}-]+)?"
_STREET = compiled(
    rf"\b{_BESIDE}{{1,3}}(?:street|st|avenue|ave|road|rd|lane|ln|boulevard|blvd|highway|hwy|parkway|pkwy|terrace){_FLAT}"
)
_WAY = compiled(rf"\b{_BESIDE}{{1,2}}(?:drive|dr|court|ct|way|place|pl|circle|cir|trail|trl|square|loop){_FLAT}")
_DATE = compiled(
    rf"\b{_MONTH}\b\.? *{_DAY}\b{_YEAR}",
    rf"\b{_DAY} *(?:of +)?{_MONTH}\b\.?{_YEAR}",
    rf"\b{_MONTH}\.?,? *(?:of +)?'?(?:19|20)\d\d\b",
    r"\b(?:dob|d\.o\.b\.?|birth ?date|date of birth|birthday|born|bday)\b[: ]*(?:is|was|on|in|=)?[: ]*('?\d[\d/.,\-]*)",
    r"\b(?:on|since|from|seen|dos|dob|date|until|by|before|after|appt|of|for) +(\d{1,2}/\d{1,2}(?:/\d{2,4})?)\b",
    r"\b(?:19|20)\d\d[-/.]\d{1,2}[-/.]\d{1,2}\b",
    r"\b\d{1,2}[/.\-]\d{1,2}[/.\-](?:\d{4}|\d{2})\b",
)
_AGE = compiled(
    r"\b(?:9\d|1[0-4]\d)[ -]?(?:years?|yrs?|yr)?[ -]?(?:old|of age)\b",
    r"\b(?:9\d|1[0-4]\d)[ -]?(?:yo|y/o|y\.o\.)",
    r"\b(?:aged?|turned|turning|turns|she is|he is|she's|he's|shes|hes|who is|who's"
    r"|patient is|pt is|mom is|dad is) +(?:9\d|1[0-4]\d)\b",
)
_ID = compiled(
    r"\b(?:mrn|chart|claim|member|subscriber|policy|group|account|acct|patient|pt|medical record|record|auth|authorization"
    r"|referral|check|id|ssn|social|licen[cs]e|plate|npi|dea|passport|vin|serial)\b\.?"
    r" *(?:id|no|num|number|record)?\b\.? *(?:is|was)?"
    r" *[:#]* *([\p{L}\p{N}-]*\p{N}[\p{L}\p{N}-]+)",
    r"\bplates?(?: is| number| no\.?)?[:# ]+([a-z]{2,3}[ -]\p{N}{2,4})\b",
    r"(?:\b(?:zero|oh|one|two|three|four|five|six|seven|eight|nine|double|triple)\b[ ,-]*){5,}",
)
_LONG_NUMBER = compiled(
    r"[\p{L}\p{M}\p{N}\x{e000}#_/+(.\-]*\p{Nd}(?:[\-/.:,()+ ]*\p{Nd}){2,}(?:[\p{L}\p{M}\p{N}\x{e000}_/)\-]|\.\x{e000})*"
)
_MIXED = compiled(r"[\p{L}\p{N}][\p{L}\p{N}-]*\p{N}[\p{L}\p{N}-]*")

_CODES = (
    r"d\d{4}",
    r"(?:co|pr|oa|pi|cr)[- ]?[a-z]?\d{1,3}",
    r"(?:n|m|ma)\d{2,3}",
    r"[a-z]\d{2}\.[\da-z]{1,4}",
    r"(?:carc|rarc|denial|remark|reason|cdt|adjustment)(?: code)?s?,? *[a-z]{0,2}-?\d{1,4}",
    r"cpt(?: code)? *\d{5}",
    r"cms[- ]?\d{4}",
    r"ub[- ]?\d{2}",
    r"[wi][- ]?[249]",
    r"1099(?:-[a-z]+)?",
    r"osha[- ]?(?:form )?\d{3}a?",
    r"(?:an |the |our )?(?:835|837[dpi]?|27[01678](?:ca)?|999|277ca)",
    r"(?:911|988)",
    r"(?:\d{1,2} )?cfr(?: part)? *\d{1,4}(?:\.\d{1,4})?(?:\([a-z0-9]\))*",
    r"(?:iso|ansi|aami|nist|sp|st|en|fips)[ -]?(?:sp )?\d{1,5}(?:-\d{1,3})*",
    r"v\d{1,2}(?:\.\d{1,3})*",
    r"\$ ?\d{1,3}(?:,\d{3})+(?:\.\d{2})?",
    r"\$ ?\d{1,6}(?:\.\d{1,2})? ?k?",
    r"\d{1,2}(?:\.\d{1,2})? ?%",
    r"100 ?%",
    rf"\d{{1,4}}(?: ?(?:-|to|or) ?\d{{1,4}})?[ -]?{_UNIT}",
    r"\d{1,3}(?:,\d{3}) ?(?:patients|people|individuals|records|dollars)",
    r"\d{1,2}:\d{2} ?(?:am|pm|a\.m\.|p\.m\.)",
    r"(?:at|by|until|till|before|after|around|past) \d{1,2}:\d{2}",
)
HARMLESS = compiled(*_CODES)
_HARMLESS_ASKED = compiled(
    *_CODES,
    r"(?:30|60|90|120|180)(?: ?[/,\-+ ] ?(?:30|60|90|120|180))*\+?",
    r"(?:0|1|31|61|91|121)[-–](?:30|60|90|120|180)",
    r"(?:100|150|200|250|300|365|400|500|600|1,?000|5,?000|10,?000)",
    r"\d{1,2}:\d{2}",
    r"24/7(?:/365)?",
    r"(?:in|since|for|of|during|year|fy|cdt|by|end|until|the|edition|before|after) 20[0-4]\d",
    r"20[0-4]\d (?:cdt|codes?|fee|plan|benefits?|holiday"
    r"|schedule|edition|osha|rules?|policy)",
    r"(?:section|chapter|step|part|form|version|page|windows|box|line|code|codes|room|level|tier)s? \d{1,4}(?:\.\d{1,3})*",
    r"(?:steps?|tooth|teeth|#|quads?|levels?|tiers?|class|lines?|box|items?|rules?|rooms?|ops?|chairs?|pages?"
    r"|numbers?)\.? ?#? ?\d{1,2}(?:(?:, ?| ?[-/&] ?| and | to | or | through )#?\d{1,2})+",
)
_AS_OF = compiled(
    rf"\b(?:on|as of|as at|before|after|since|until|by|in force on|back on|from) +(?:the +)?"
    rf"(?:{_DAY} *(?:of +)?{_MONTH}\b\.?{_YEAR}"
    rf"|{_MONTH}\b\.? *{_DAY}\b{_YEAR}|{_MONTH}\.? *20[0-4]\d\b|20[0-4]\d-\d{{2}}-\d{{2}}\b|\d{{1,2}}/\d{{1,2}}/20[0-4]\d\b)"
)
_OF_SOMEBODY = frozenset(
    [
        "born",
        "dob",
        "birthday",
        "birth",
        "seen",
        "visit",
        "visited",
        "appt",
        "appointment",
        "surgery",
        "admitted",
        "discharged",
        "dos",
        "patient",
        "pt",
        "patients",
        "came",
        "treated",
        "extraction",
        "exam",
        "deceased",
        "died",
        "scheduled",
    ]
)
_MODEL = 6
"""Digits from which on no word is a model's or a form's name."""


@dataclass(frozen=True)
class Shapes:
    """in_time   called after each part of the work; raises where it takes too long"""

    mode: Mode
    spoken: Collection[str]
    in_time: Callable[[], None]

    def find(self, text: str) -> Iterator[tuple[int, int, Kind]]:
        """Where addresses, dates, ages and numbers stand. What comes first hides its place from the rest."""
        taken: list[tuple[int, int, Kind]] = []

        def take(kind: Kind, spans: Iterable[tuple[int, int]]) -> None:
            nonlocal text
            new = [(at, end, kind) for at, end in spans]
            taken.extend(new)
            text = blanked(text, new)
            self.in_time()

        take("address", spans(_ADDRESS, text))
        take("address", self._streets(text))
        take("age", spans(_AGE, text))
        if self.mode != "note" and not taken and not _OF_SOMEBODY & set(text.casefold().split()):
            text = hidden(text, spans(_AS_OF, text))
        take("date", (span for span in spans(_DATE, text) if not self._is_span_of_time(text, span)))
        text = hidden(text, self._harmless(text))
        take("number", spans(_ID, text))
        text = hidden(text, (span for span in spans(_MIXED, text) if self._is_spoken(text[span[0] : span[1]])))
        take("number", spans(_LONG_NUMBER, text))
        take("number", (span for span in spans(_MIXED, text) if _is_id(text[span[0] : span[1]])))
        return iter(taken)

    def _is_spoken(self, word: str) -> bool:
        """Whether a word of letters and digits is one of the SOPs': a machine's model, a form."""
        return any(c.isalpha() for c in word) and sum(c.isdigit() for c in word) < _MODEL and fold(word) in self.spoken

    def _streets(self, text: str) -> Iterator[tuple[int, int]]:
        lists = data()
        for at, end in spans(_STREET, text):
            if not lists.never_alone & {fold(w) for w in words_of(text[at:end])[1:-1]} and not _counts(text[at:end]):
                yield at, end
        for at, end in spans(_WAY, text):
            between = words_of(text[at:end])[1:-1]
            if between and all(w[:1].isupper() or not lists.is_plain(fold(w)) for w in between):
                yield at, end

    def _is_span_of_time(self, text: str, span: tuple[int, int]) -> bool:
        """Whether "may 30" is the beginning of "may 30 days later"."""
        behind = text[span[1] : span[1] + 12].split()
        return text[span[0] : span[1]].startswith("may ") and bool(behind) and behind[0].rstrip("s,.?") in _TIMES

    def _harmless(self, text: str) -> Iterator[tuple[int, int]]:
        """The codes, amounts, times and counts that stand alone: no letter or digit right beside them."""
        for at, end in spans(HARMLESS if self.mode == "note" else _HARMLESS_ASKED, text):
            before, behind = text[at - 1 : at], text[end : end + 2]
            open_before = before.isalnum() or (before in tuple("-/.:+(") and at > 1 and text[at - 2].isdigit())
            open_behind = behind[:1].isalnum() or (behind[:1] in tuple("-/.:,+(") and behind[1:].isdigit())
            beside_more = self.mode == "note" and (
                (text[at].isdigit() and _digit_beside(text[:at][::-1]))
                or (text[end - 1].isdigit() and _digit_beside(text[end:]))
            )
            if not (open_before or open_behind or beside_more or (text[at:end].isdigit() and _numbers_somebody(text[:at]))):
                yield at, end


_TIMES = frozenset("day hour minute week month year business open calendar working".split())  # noqa: SIM905
_NUMBERED = frozenset("chart claim mrn id member account acct patient pt number no ref policy group ssn".split())  # noqa: SIM905


def _numbers_somebody(before: str) -> bool:
    last = words_of(before[-20:])[-1:]
    return before.rstrip()[-1:] == "#" or (bool(last) and last[0].casefold() in _NUMBERED)


def _digit_beside(text: str) -> bool:
    """Whether nothing but what joins a number stands before the next digit."""
    rest = text.lstrip("-/.:,()+ ")
    return rest != text and rest[:1].isdigit()


def _counts(text: str) -> bool:
    """Whether this begins with "30 days" and the like."""
    words = words_of(text)
    return len(words) > 1 and words[1].casefold().rstrip("s") in _TIMES


def _is_id(word: str) -> bool:
    digits = sum(c.isdigit() for c in word)
    letters = sum(c.isalpha() for c in word)
    turns = sum(a.isdigit() != b.isdigit() for a, b in pairwise(word))
    return bool(letters) and (digits >= 3 or (digits >= 2 and turns >= 2 and len(word) >= 5))
