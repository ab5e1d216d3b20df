"""Names in a typed text: those the feeds know, those on lists, and those that what stands around them gives away."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bot.phi.lists import LONG, MONTHS, NOBODY, PART, WORD, Known, Mode, data, fold, near, spans

_SURELY_DOES = frozenset("was called says said wants owes asked paid canceled cancelled missed".split())  # noqa: SIM905


@dataclass(frozen=True)
class Word:
    """One word of the text, and what can be said of it by itself."""

    at: int
    end: int
    text: str
    key: str
    """Folded, without a possessive ending."""
    whole: str
    owns: bool
    capital: bool
    shout: bool
    begins: bool
    plain: bool
    given: bool
    surname: bool
    too: bool
    """A name that is an ordinary word as well."""
    proper: bool
    foreign: bool
    """In letters that know no capitals."""

    @property
    def name(self) -> bool:
        return self.given or self.surname

    @property
    def odd(self) -> bool:
        """Neither an ordinary word nor a thing's name: it may be anybody's."""
        return not self.plain and not self.proper and len(self.key) > 1


class Names:
    """The names in one text. `text` has blanks where other things were found, so that places stay the same."""

    def __init__(self, text: str, mode: Mode, staff: Sequence[frozenset[str]], known: Known, spoken: Collection[str]) -> None:
        self.text, self.mode, self.staff, self.known, self.spoken = text, mode, staff, known, spoken
        self.data = data()
        self.words = [self._word(at, end) for at, end in _of_letters(text)]
        self.joined = [self._joins(a, b) for a, b in pairwise(self.words)]
        self.cased = self._tells_by_case()
        self.sure = self._known_surely()
        self.out = [False] * len(self.words)

    def spans(self) -> Iterator[tuple[int, int]]:
        for n in range(len(self.words)):
            self.out[n] = n in self.sure or self._is_name(n)
        self._spread()
        self._let_stay()
        for first, last in self._runs():
            yield self.words[first].at, self.words[last].end

    # --- one word --------------------------------------------------------------------------------------------------------

    def _word(self, at: int, end: int) -> Word:
        text = self.text[at:end]
        whole = fold(text)
        owns = text[-2:].casefold() in ("'s", "’s", "ʼs", "`s", "´s", "‘s")
        key = fold(text[:-2]) if owns else whole
        data = self.data
        letters = [c for c in text if c.isalpha()]
        usual = all(c.isascii() for c in letters) and _is_one(text)
        capital = any(c.isupper() for c in text[: -2 if owns else None])
        parts = {fold(p) for p in text.replace("‐", "-").replace("‑", "-").split("-")} if "-" in text or "‐" in text else set()
        given, surname = key in data.given, key in data.surnames
        plain = data.is_plain(key) or data.is_plain(whole) or key in self.spoken
        plain = (plain or (bool(parts) and all(data.is_plain(p) or p in data.proper for p in parts))) and not (
            (given or surname) and key not in data.words_too
        )
        plain = plain and (not capital or usual)  # "Ða" is no "da", "O'Ne" no "one"
        if parts and not given and not surname and not plain:
            given, surname = bool(parts & (data.given - data.words_too)), bool(parts & (data.surnames - data.words_too))
        if not plain and not given and not surname and self._runs_together(key):
            given = surname = True
        begins = self._begins(at)
        return Word(
            at=at, end=end, text=text, key=key, whole=whole, owns=owns, capital=capital,
            shout=capital and len(letters) > 1 and not any(c.islower() for c in letters[: -1 if owns else None]),
            begins=begins, plain=plain, given=given, surname=surname,
            too=(given or surname) and key in data.words_too and usual,
            proper=(key in data.proper or whole in data.proper) and usual,
            foreign=bool(letters) and not any(c.isupper() or c.islower() for c in letters),
        )  # fmt: skip

    def _begins(self, at: int) -> bool:
        """Whether a sentence begins here: capital letters say nothing then. The dot of "Mr." and of an initial ends none."""
        before = self.text[max(at - 40, 0) : at].rstrip(" \t\"'“‘(*")
        if not before.endswith("."):
            return not before or before[-1] in "!?:;•"
        last = before[:-1].rpartition(" ")[2].casefold()
        return not (last in self.data.titles or last in self.data.doctors or len(last) == 1 or "." in last)

    def _runs_together(self, key: str) -> bool:
        """ "johnsmith": a given name and a surname without a blank."""
        d = self.data
        return 7 <= len(key) <= 24 and any(
            key[:n] in d.given and key[n:] in d.surnames and not (key[:n] in d.words_too and key[n:] in d.words_too)
            for n in range(3, len(key) - 2)
        )

    def _joins(self, a: Word, b: Word) -> bool:
        """Whether nothing but a blank, a comma, a dot or a dash stands between, so that both may be one name."""
        gap = self.text[a.end : b.at]
        return len(gap) <= 3 and not gap.strip(" .,_-") and not (gap.startswith(".") and len(a.key) > 3 and gap != ".")

    def _tells_by_case(self) -> bool:
        """Whether capital letters mean something here: not where all is in capitals, or Each Word Has One."""
        words = [w for w in self.words if len(w.key) > 1]
        inner = [w for w in words if not w.begins and not w.proper and w.key not in self.data.particles]
        shouted = sum(w.shout for w in words)
        titled = sum(w.capital and not w.shout for w in inner if w.plain and not w.name)
        common = sum(w.plain and not w.name for w in inner)
        return not (len(words) > 2 and shouted > 0.6 * len(words)) and not (common >= 4 and titled > 0.7 * common)

    def _beside(self, n: int, step: int) -> Word | None:
        """The next word in this direction, if both may be of one name."""
        other = n + step
        if not 0 <= other < len(self.words):
            return None
        return self.words[other] if self.joined[min(n, other)] else None

    def _before(self, n: int) -> Word | None:
        """The word before, in the same sentence."""
        return (
            self.words[n - 1]
            if n and not self.words[n].begins and self.text[self.words[n - 1].end : self.words[n].at].strip(" .,:-") == ""
            else None
        )

    # --- rules -----------------------------------------------------------------------------------------------------------

    def _is_name(self, n: int) -> bool:
        word = self.words[n]
        if len(word.key) < 2 and not word.foreign:
            return self.mode == "note" and word.capital and word.text not in ("I", "A")
        if self._in_phrase(n) or (self._follows_doctor(n) and self.mode != "note"):
            return False
        if word.foreign:
            return self.mode == "note" or len(word.key) <= 4
        if self._titled(n) or self._pointed_at(n):
            return True
        if word.name and not word.too:
            return True
        if word.too:
            return self._too_as_name(n)
        return self._unlisted(n)

    def _titled(self, n: int) -> bool:
        """ "Mrs Alvarez", "mr. will price": up to two words behind a title."""
        word, before = self.words[n], self._before(n)
        if before is None or (word.key in self.data.never_alone and not word.capital):
            return False
        if before.key in self.data.titles:
            is_verb = before.key in ("miss", "ms", "sr", "sra") and not before.capital
            return word.odd or word.name or (word.capital and self.cased and not is_verb)
        earlier = self._before(n - 1) if n > 1 else None
        return earlier is not None and earlier.key in self.data.titles and not before.owns and (
            (word.name and (not word.plain or word.capital or before.given)) or (before.key in self.data.particles and word.odd)
            or (word.odd and self.joined[n - 1] and (word.capital or not self.cased or before.given))
        )  # fmt: skip

    def _pointed_at(self, n: int) -> bool:
        """A word that no list has, or a name that is a word too, where only a person can stand."""
        word, before = self.words[n], self._before(n)
        behind = self._beside(n, 1)
        strong = before is not None and before.key in self.data.strong
        weak = before is not None and before.key in self.data.weak
        if strong and (
            word.odd or (word.name and ((word.capital and self.cased) or (behind is not None and behind.name and word.given)))
        ):
            return word.key not in self.data.titles
        if not word.odd or word.name:
            return False
        owned = word.owns and n + 1 < len(self.words) and self.words[n + 1].key in self.data.had
        pair = behind is not None and behind.odd and weak
        does = n + 1 < len(self.words) and self.words[n + 1].key in self.data.does and weak and self.mode == "note"
        return owned or pair or does

    def _too_as_name(self, n: int) -> bool:
        """Will, Mark, Grace, Young: a name only by its capital letter within a sentence, or by a name beside it."""
        word, before, behind = self.words[n], self._beside(n, -1), self._beside(n, 1)
        if word.given and behind is not None and not word.owns and self._is_surname_for(word, behind):
            return True
        if before is not None and before.given and not before.owns and (
            not before.too or (word.capital and before.capital and self.cased and not self._in_months(n))
        ):  # fmt: skip
            return word.key not in self.data.never_alone or word.capital
        after = self.words[n + 1 :][:2]
        if (
            word.given
            and behind is not None
            and behind.surname
            and behind.too
            and len(after) > 1
            and after[1].key in _SURELY_DOES
        ):
            return True
        if word.surname and before is not None and before.given and after and after[0].key in _SURELY_DOES:
            return True
        if word.surname and behind is not None and behind.given and not behind.too and "," in self.text[word.end : behind.at]:
            return True
        if (
            word.given
            and behind is not None
            and behind.too
            and behind.surname
            and word.capital
            and behind.capital
            and self.cased
        ):
            return not self._in_months(n)
        return self._by_capital(n)

    def _in_months(self, n: int) -> bool:
        around = [w for w in (self._beside(n, -1), self.words[n], self._beside(n, 1)) if w is not None]
        return sum(w.key in MONTHS for w in around) > 1 and self.mode != "note"

    def _is_surname_for(self, given: Word, word: Word) -> bool:
        """ "will smith" is one name, "bill delta" and "mark claims" are none."""
        if word.surname and not word.too:
            return given.key not in self.data.never_alone or given.capital or word.capital or given.begins
        return word.odd and word.capital and given.capital and self.cased and not word.shout

    def _by_capital(self, n: int) -> bool:
        word = self.words[n]
        if not (word.capital and self.cased) or word.begins or word.proper or word.key in MONTHS or word.key == "will":
            return False
        if word.shout and len(word.key) < 4:
            return False
        before = self._before(n)
        beside = [w for w in (self._beside(n, -1), self._beside(n, 1)) if w is not None]
        if any(w.capital and (w.plain or w.proper) and not w.name and not w.begins for w in beside):
            return False  # a heading's or a program's words: Open Dental, Price List
        behind = self.words[n + 1] if n + 1 < len(self.words) else None
        person = before is not None and before.key in (self.data.weak | self.data.strong)
        return word.owns or person or (behind is not None and behind.key in self.data.does)

    def _unlisted(self, n: int) -> bool:
        """A word with a capital letter that no list has."""
        word = self.words[n]
        if word.plain or word.proper or not word.capital:
            return False
        if self.mode == "note":
            return True
        if word.shout and (len(word.key) <= 5 or not self.cased):
            return False
        if not word.begins:
            return True
        behind = self.words[n + 1] if n + 1 < len(self.words) else None
        beside = self._beside(n, 1)
        return (
            word.owns
            or behind is None
            or behind.key in self.data.does
            or (beside is not None and beside.capital and (beside.odd or beside.name))
        )

    def _follows_doctor(self, n: int) -> bool:
        for back in (1, 2):
            if n - back >= 0 and self.words[n - back].key in self.data.doctors and not any(
                self.words[k].owns or not (self.words[k].capital or self.words[k].name) for k in range(n - back + 1, n)
            ):  # fmt: skip
                return not self.words[n].begins or self.text[: self.words[n].at].rstrip().endswith("r.")
        return False

    def _in_phrase(self, n: int) -> bool:
        keys = [(self.words[k].key, self.words[k].whole) for k in range(max(n - 2, 0), min(n + 3, len(self.words)))]
        here = min(n, 2)
        for first in range(here + 1):
            for last in range(here, len(keys)):
                if (
                    last - first in (1, 2)
                    and {"".join(k[0] for k in keys[first : last + 1]), "".join(k[1] for k in keys[first : last + 1])}
                    & self.data.phrases
                ):
                    return True
        return False

    # --- what the feeds know ---------------------------------------------------------------------------------------------

    def _known_surely(self) -> set[int]:
        """The words that are a known patient's: by their full name, their surname, a slip of one letter in it, a given name."""
        if self.known is NOBODY:
            return set()
        asked: dict[str, list[tuple[int, int]]] = {}
        for n in range(len(self.words)):
            for last in range(n, min(n + 4, len(self.words))):
                if last > n and not self._near_enough(last - 1):
                    break
                for mark in self._marks(n, last):
                    asked.setdefault(mark, []).append((n, last))
        held = self.known.among(asked.keys())
        full = {k for mark in held if mark[0] == "f" for n, last in asked[mark] for k in range(n, last + 1)}
        given = {n for mark in held if mark[0] == "g" for n, _ in asked[mark]}
        surnames = {(n, last) for mark in held if mark[0] in "st" for n, last in asked[mark]}
        out = set(full)
        for n, last in surnames:
            if last > n or self._may_be_surname(n, given):
                out |= set(range(n, last + 1))
        out |= {n for n in given if not self.words[n].plain or any(k in out for k in (n - 1, n + 1)) or self._by_capital(n)}
        return out

    def _near_enough(self, n: int) -> bool:
        return len(gap := self.text[self.words[n].end : self.words[n + 1].at]) <= 3 and not gap.strip(" .,_-'’")

    def _marks(self, n: int, last: int) -> Iterator[str]:
        if last > n:
            ends = self.words[last]
            first = "".join(w.whole for w in self.words[n:last])
            middle = self.words[n].whole if last - n == 2 else ""
            for tail in {ends.key, ends.whole, ends.whole.removesuffix("s")}:
                yield from (f"f:{first}{tail}", f"s:{first}{tail}")
                if middle and len(self.words[n + 1].key) < 3:
                    yield f"f:{middle}{tail}"  # with an initial between
            return
        word = self.words[n]
        parts = {fold(p) for p in word.text.split("-")} if "-" in word.text else set()
        for key in {word.key, word.whole, word.whole.removesuffix("s"), *parts}:
            if len(key) > 1 or word.foreign:
                yield from (f"s:{key}", f"g:{key}", f"f:{key}")
        if not word.plain and not word.proper and len(word.key) >= LONG - 1:
            yield from (f"t:{slip}" for slip in near(word.key))

    def _may_be_surname(self, n: int, given: Collection[int]) -> bool:
        """Whether a known surname is one here. In a search an ordinary word has to be used as a name."""
        word = self.words[n]
        if not word.plain and not word.proper:
            return True
        named = bool({n - 1, n + 1} & set(given)) or self._titled(n) or self._pointed_as_known(n)
        if named or (word.capital and self.cased and not word.begins and not word.shout):
            return True
        return self.mode != "search" and word.key not in self.data.never_alone and not self._in_phrase(n)

    def _pointed_as_known(self, n: int) -> bool:
        before = self._before(n)
        word = self.words[n]
        owned = word.owns and n + 1 < len(self.words) and self.words[n + 1].key in self.data.had
        titled = before is not None and before.key in self.data.titles and (before.capital or before.key != "miss")
        return (
            owned
            or titled
            or (before is not None and before.key in ("patient", "pt", "named") and word.key not in self.data.never_alone)
        )

    # --- putting names together ------------------------------------------------------------------------------------------

    def _spread(self) -> None:
        """Initials, particles and capital letters beside a name belong to it."""
        for order in (range(len(self.words)), range(len(self.words) - 1, -1, -1)):
            step = -1 if order.step == 1 else 1
            for n in order:
                if (
                    self.out[n]
                    or not 0 <= n + step < len(self.words)
                    or not self.out[n + step]
                    or not self.joined[min(n, n + step)]
                ):
                    continue
                word, other = self.words[n], self.words[n + step]
                if (step == -1 and other.owns) or (step == 1 and word.owns):
                    continue
                if step == -1 and self.text[other.end : word.at].startswith("."):
                    continue
                self.out[n] = self._belongs(n, word, step)

    def _belongs(self, n: int, word: Word, step: int) -> bool:
        if len(word.key) == 1:
            return word.capital or (word.key not in ("a", "i") and self.text[word.end : word.end + 1] in (".", "", " "))
        if word.key in self.data.particles:
            return step == 1 and n > 0 and (self.out[n - 1] or self.words[n - 1].key in self.data.particles | self.data.titles)
        if word.proper or word.key in self.data.titles or word.key in self.data.doctors:
            return False
        if word.capital and self.cased and not word.begins and not word.shout:
            return word.name or not word.plain or (step == -1 and self.words[n - 1].given and self.words[n - 1].capital)
        if step == 1 and word.odd and self.words[n + 1].surname and not self.words[n + 1].given and not self.words[n + 1].too:
            return True
        if word.begins and word.capital and step == 1:
            return word.given and self.cased
        return step == -1 and word.odd and self.words[n - 1].given and not self.words[n - 1].surname

    def _let_stay(self) -> None:
        """Our own people's names stay, where all the words beside each other are of one of them and no patient is called so."""
        for first, last in list(self._runs()):
            words = self.words[first : last + 1]
            said = {w.key for w in words} | ({words[0].whole} if len(words) == 1 else set())
            whole = {w.key for w in words}
            if any(
                whole <= person or (said - {words[-1].key} <= person and words[-1].whole in person) for person in self.staff
            ):
                surely = self.sure & set(range(first, last + 1))
                is_full = len(words) > 1 and whole in self.staff
                after_doctor = first > 0 and self.words[first - 1].key in self.data.doctors
                if not surely or is_full or after_doctor:
                    self.out[first : last + 1] = [False] * len(words)

    def _runs(self) -> Iterator[tuple[int, int]]:
        """First and last word of each row of words that are taken out."""
        first = -1
        for n, out in enumerate(self.out):
            if out and first < 0:
                first = n
            if first >= 0 and out and (n + 1 == len(self.out) or not self.out[n + 1] or not self.joined[n]):
                yield first, n
                first = -1


def _of_letters(text: str) -> Iterator[tuple[int, int]]:
    """Where words stand. A word with digits in it is none, but what a dash or an apostrophe parts from them is: "2-Maria"."""
    for at, end in spans(WORD, text):
        if not any(c.isdigit() for c in text[at:end]):
            yield at, end
            continue
        for first, last in spans(PART, text[at:end]):
            if not any(c.isdigit() for c in text[at + first : at + last]):
                yield at + first, at + last


def _is_one(text: str) -> bool:
    """Whether what a dash or an apostrophe parts is one word, as "don't" and "X-RAY" are, and neither "O'Neil" nor "A-B"."""
    if text.isalnum():
        return True
    first, *parts = spans(PART, text)
    behind = [(text[at - 1], text[at:end]) for at, end in parts if text[at].isupper()]
    whole = first[1] > 1 or text[0] in "IO"
    return all(len(part) > 1 if sign in _DASHES else whole and part.casefold() in _ENDS_SHORT for sign, part in behind)


_DASHES = "-‐‑"
_ENDS_SHORT = frozenset("t s re ve ll d m clock all".split())  # noqa: SIM905
