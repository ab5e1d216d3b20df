"""A column map: which columns of a report are the keys and facts of which kind, and how their cells are written.

The map names every column that becomes a key or a fact. Nothing else of a table gets in, and a cell that does not fit is
reported by line and column, never by its text. Columns of patients' names are looked at to be sealed: those that the map names,
or else those whose titles say so.

    MapError (a ConnectorError)     the map has a mistake; the text names its file and line
    BadCell                         a cell that cannot be read; the row or the fact is left out
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path
from typing import cast, get_args
from zoneinfo import ZoneInfo

from connectors import KINDS, ConnectorError, Covers, Fact, Key, Kind, Problem, Row, Value, check_fact, files, is_key, money

Cells = Sequence[str]
ReadText = Callable[[str], str | None]
ReadValue = Callable[[str], Value | None]

EXCEL = "excel"
"""A format of its own: Excel's count of days since 1899-12-30, with the time of day behind the point."""

COMPOSED: Mapping[Kind, str] = {
    "claim": "claim_no",
    "treatment_plan": "plan_no",
    "era": "era_trace",
    "sterilizer_week": "sterilizer_week",
}
"""What a primary key that is put together from several columns is called."""

_NO_DATE = frozenset({"", "-", "--", "n/a", "na", "none", "null"})
_UNKNOWN_DAYS = frozenset({date(1, 1, 1), date(1753, 1, 1), date(1899, 12, 30), date(1899, 12, 31), date(1900, 1, 1)})
"""Days that databases and Excel write where there is none."""

_TOP = ("kind", "covers", "as_of", "delimiter", "encoding", "primary", "patients", "keys", "facts", "site")
_WHOLE = frozenset(
    f"{who}{what}"
    for who in ("patient", "pt", "subscriber", "insured", "guarantor", "dependent", "policyholder", "responsibleparty")
    for what in ("", "name", "fullname", "sname")
)
"""Titles of columns that hold whole names, without blanks and signs."""
_IN_PARTS = tuple(
    (f"{who}{last}", f"{who}{first}")
    for who in ("", "patient", "pt", "pat", "subscriber", "insured", "guarantor")
    for last, first in (("lastname", "firstname"), ("last", "first"), ("lname", "fname"), ("surname", "givenname"))
)
_CARC = re.compile(r"(CO|PR|OA|PI|CR)([0-9]{1,3}|[A-Z][0-9]{1,2})")


class MapError(ConnectorError):
    """A mistake in a column map, with its file and line."""


class BadCell(ValueError):
    """A cell that cannot be read. The text says why, without the cell's text."""


@dataclass(frozen=True)
class Column:
    """Where a value comes from: one column, or several joined by a blank; or a constant, then without columns."""

    titles: tuple[str, ...]
    optional: bool = False

    def text(self, cells: Cells, at: Mapping[str, int]) -> str | None:
        """The cells' text, or None when the report has no such column."""
        if any(title not in at for title in self.titles):
            return None
        parts = [cells[at[title]] if at[title] < len(cells) else "" for title in self.titles]
        return " ".join(part for part in parts if part)

    @property
    def label(self) -> str:
        return " + ".join(self.titles)


@dataclass(frozen=True)
class KeyColumn:
    name: str
    column: Column
    read: ReadText


@dataclass(frozen=True)
class FactColumn:
    name: str
    column: Column
    read: ReadValue
    vital: bool
    """A row whose cell cannot be read is left out as a whole; otherwise only this fact is."""


@dataclass(frozen=True)
class NameColumn:
    """Where a table has a patient's name: the position of the column, or those of last and first name (None: not there)."""

    at: tuple[int | None, ...]
    guessed: bool = False
    """Found by its title: then a single word is no name."""

    def name(self, cells: Cells) -> str:
        """The name as a Seal takes it, or nothing."""
        parts = [cells[n] if n is not None and n < len(cells) else "" for n in self.at]
        if len(parts) > 1:
            return f"{parts[0]}, {' '.join(part for part in parts[1:] if part)}"
        return "" if self.guessed and not re.search(r"[\s,]", parts[0]) else parts[0]


@dataclass(frozen=True)
class Drop:
    """A row that is left out. `footer`: it looks like the totals or the imprint below a report."""

    problem: Problem
    footer: bool = False


@dataclass(frozen=True)
class ColumnMap:
    """A report's columns. `row` makes a Row of a line."""

    kind: Kind
    covers: Covers
    as_of: str
    delimiter: str
    encoding: str
    keys: tuple[KeyColumn, ...]
    facts: tuple[FactColumn, ...]
    primary: tuple[str, ...] = ()
    site: KeyColumn | None = None
    constants: Mapping[str, Value] = field(default_factory=dict)
    patients: tuple[tuple[str, ...], ...] | None = None
    """Titles of the columns with patients' names, of several for one name the last name's first. None: told by their titles."""

    @property
    def titles(self) -> tuple[str, ...]:
        """The columns a report must have, as the map writes them."""
        return self._titles(optional=False)

    @property
    def all_titles(self) -> tuple[str, ...]:
        return self._titles(optional=True)

    def row(self, cells: Cells, at: Mapping[str, int], line: int) -> tuple[Row | Drop, list[Problem]]:
        """The row of one line, or why there is none; and what of it was left out.

        cells  the line's cells, cleaned
        at     column title (as the map writes it) -> position
        """
        problems: list[Problem] = []
        try:
            keys = self._keys(cells, at, line, problems)
            facts = self._facts(cells, at, line, problems)
            site = self._site(cells, at)
        except _Left as left:
            return Drop(Problem(_where(line, left.label), left.why), left.keyless and self._bare(cells, at)), []
        return Row(self.kind, keys, facts, site, line), problems

    def name_columns(self, header: Cells) -> list[NameColumn]:
        """Where this header has patients' names. A column that is not there is left out: no report is refused for it."""
        if self.patients is not None:
            keys = [title_key(cell) for cell in header]
            return _placed(keys, [tuple(map(title_key, titles)) for titles in self.patients])
        keys = [re.sub(r"[\W_]+", "", cell.casefold()) for cell in header]
        whole = [NameColumn((n,), guessed=True) for n, key in enumerate(keys) if key in _WHOLE]
        return whole + [found for found in _placed(keys, _IN_PARTS) if None not in found.at]

    def _titles(self, *, optional: bool) -> tuple[str, ...]:
        sources = [key.column for key in (*self.keys, *([self.site] if self.site else ()))]
        sources += [fact.column for fact in self.facts]
        return tuple(dict.fromkeys(t for c in sources if optional or not c.optional for t in c.titles))

    def _keys(self, cells: Cells, at: Mapping[str, int], line: int, problems: list[Problem]) -> tuple[Key, ...]:
        first = self.primary or (self.keys[0].name,)
        parts: list[str] = []
        others: list[Key] = []
        for key in self.keys:
            try:
                value = _key_text(key, cells, at)
            except BadCell as bad:
                if key.name in first:
                    raise _Left(key.column.label, str(bad), keyless=True) from None
                problems.append(Problem(_where(line, key.column.label), f"{bad}; the row goes on without this key"))
                continue
            if key.name in first:
                if value is None:
                    raise _Left(key.column.label, "the key is empty", keyless=True)
                parts.append(value)
            elif value is not None and is_key(value):
                others.append(Key(key.name, value))
            elif value is not None:
                problems.append(Problem(_where(line, key.column.label), "not a key; the row goes on without it"))
        return (self._primary_key(parts), *others)

    def _primary_key(self, parts: list[str]) -> Key:
        value = "/".join(parts)
        if not is_key(value):
            labels = (
                [k.column.label for k in self.keys if k.name in self.primary] if self.primary else [self.keys[0].column.label]
            )
            raise _Left(
                " + ".join(labels), "not a key: 1 to 64 letters and digits, at least one digit, no blanks", keyless=True
            )
        return Key(COMPOSED[self.kind] if self.primary else self.keys[0].name, value)

    def _facts(self, cells: Cells, at: Mapping[str, int], line: int, problems: list[Problem]) -> dict[str, Value]:
        facts = dict(self.constants)
        for fact in self.facts:
            try:
                value = _fact_value(fact, cells, at)
            except BadCell as bad:
                if fact.vital:
                    raise _Left(fact.column.label, str(bad)) from None
                problems.append(Problem(_where(line, fact.column.label), f"{bad}; the row goes on without it"))
                continue
            if value is not None:
                facts[fact.name] = value
        return facts

    def _site(self, cells: Cells, at: Mapping[str, int]) -> str | None:
        if self.site is None:
            return None
        try:
            site = _key_text(self.site, cells, at)
        except BadCell as bad:
            raise _Left(self.site.column.label, str(bad)) from None
        if site is None:
            raise _Left(self.site.column.label, "the site is empty")
        return site

    def _bare(self, cells: Cells, at: Mapping[str, int]) -> bool:
        """Has the line nothing in its word, date and code columns? Then it is a line of totals, or an imprint.

        A map without such columns cannot tell: there only a line whose primary key is empty is bare.
        """
        wordy = [f.column for f in self.facts if KINDS[self.kind][f.name].type not in ("cents", "count")]
        telling = wordy or [k.column for k in self.keys if k.name in (self.primary or (self.keys[0].name,))]
        return not any(column.text(cells, at) for column in telling)


def _placed(keys: Sequence[str], wanted: Iterable[tuple[str, ...]]) -> list[NameColumn]:
    """The columns of each name; a title that is there twice makes two names."""
    found = []
    for titles in wanted:
        places = [[n for n, key in enumerate(keys) if key == title] for title in titles]
        found += [NameColumn(at) for at in zip_longest(*places)]
    return found


def load(path: Path, zone: ZoneInfo) -> ColumnMap:
    """The column map in the TOML file `path`; local times in its report are of `zone`. raises MapError"""
    try:
        text = path.read_text(encoding="utf-8-sig")
        table = tomllib.loads(text)
    except FileNotFoundError:
        raise MapError(
            f"There is no column map {path}: write one (docs/connectors.md) or correct the feed's option 'map'."
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise MapError(f"{path}: not valid TOML: {error}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise MapError(f"{path} cannot be read as a text: {getattr(error, 'strerror', None) or 'it is not UTF-8'}.") from None
    return _Author(path, text, table, zone).map()


class _Left(Exception):
    """The row is left out because of this column."""

    def __init__(self, label: str, why: str, *, keyless: bool = False) -> None:
        super().__init__(why)
        self.label, self.why, self.keyless = label, why, keyless


def _where(line: int, label: str) -> str:
    return f"line {line}, column {label}"


def _key_text(key: KeyColumn, cells: Cells, at: Mapping[str, int]) -> str | None:
    return key.read(key.column.text(cells, at) or "")


def _fact_value(fact: FactColumn, cells: Cells, at: Mapping[str, int]) -> Value | None:
    text = fact.column.text(cells, at)
    return None if text is None else fact.read(text)


# --- what an author may write --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Author:
    """Reads a map's table, and says where in its file a mistake stands."""

    path: Path
    text: str
    table: Mapping[str, object]
    zone: ZoneInfo

    def map(self) -> ColumnMap:
        self._only(self.table, _TOP, "")
        kind = cast(Kind, self._choice("kind", get_args(Kind)))
        facts, constants = self._fact_columns(kind)
        keys = self._key_columns()
        return ColumnMap(
            kind=kind,
            covers=cast(Covers, self._choice("covers", get_args(Covers))),
            as_of=self._as_of(),
            delimiter=self._choice("delimiter", ("auto", ",", ";", "\t", "|"), "auto"),
            encoding=self._choice("encoding", ("auto", "utf-8", "cp1252", "utf-16"), "auto"),
            keys=keys,
            facts=facts,
            primary=self._primary(keys),
            site=self._site_column(),
            constants=constants,
            patients=self._patients(),
        )

    def _wrong(self, table: str, name: str, sentence: str) -> MapError:
        where = f"[{table}] {name}" if table and name else name or f"[{table}]"
        return MapError(f"{self.path}, line {self._line(table, name)}, {where}: {sentence}")

    def _line(self, table: str, name: str) -> int:
        """The line on which `name` is set in `table`; the table's own line or 1 when it is written in another way."""
        current, start = "", 1
        for number, line in enumerate(self.text.splitlines(), start=1):
            if header := re.match(r"\s*\[\s*\"?([\w.\"-]+?)\"?\s*\]", line):
                current = header[1].replace('"', "")
                start = number if current == table else start
                if f"{table}.{name}" == current:
                    return number
            elif current == table and re.match(rf"\s*\"?{re.escape(name)}\"?\s*[=.]", line):
                return number
        return start

    def _only(self, table: Mapping[str, object], known: Iterable[str], at: str, name: str = "") -> None:
        for word in table:
            if word not in known:
                raise self._wrong(at, name or word, f"{word!r} is not known here; known are: {', '.join(known)}.")

    def _choice(self, name: str, known: tuple[str, ...], default: str | None = None) -> str:
        value = self.table.get(name, default)
        if value not in known or not isinstance(value, str):
            said = "is missing" if value is None else "is not one of these"
            raise self._wrong("", name, f"{said}: use {', '.join(repr(k) for k in known)}.")
        return value

    def _as_of(self) -> str:
        value = self.table.get("as_of", "modified")
        try:
            return files.check_as_of(value)
        except ValueError as error:
            raise self._wrong("", "as_of", f"{error}.") from None

    def _primary(self, keys: tuple[KeyColumn, ...]) -> tuple[str, ...]:
        value = self.table.get("primary", [])
        known = [k.name for k in keys]
        if not isinstance(value, list) or len(value) == 1 or any(v not in known for v in value) or len(set(value)) < len(value):
            raise self._wrong("", "primary", f"must be a list of two or more different names from [keys]: {', '.join(known)}.")
        if [k for k in known if k in value] != value:
            raise self._wrong("", "primary", "must name the keys in the order in which [keys] has them.")
        return tuple(value)

    def _patients(self) -> tuple[tuple[str, ...], ...] | None:
        given = self.table.get("patients")
        if given is None:
            return None
        names = [[one] if isinstance(one, str) else one for one in (given if isinstance(given, list) else [given])]
        if not all(isinstance(n, list) and n and all(isinstance(t, str) and title_key(t) for t in n) for n in names):
            raise self._wrong(
                "", "patients", 'is a list of the columns with patients\' names: "Patient", or ["Last name", "First name"].'
            )
        return tuple(tuple(titles) for titles in cast(list[list[str]], names))

    def _key_columns(self) -> tuple[KeyColumn, ...]:
        table = self._table("keys")
        if not table:
            raise self._wrong("keys", "", "must name at least one key column; the first is the primary key.")
        return tuple(self._key_column("keys", name, spec) for name, spec in table.items())

    def _key_column(self, table: str, name: str, given: object) -> KeyColumn:
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,31}", name):
            raise self._wrong(table, name, "a key's name is lower-case letters, digits and underscores.")
        spec = self._spec(table, name, given, ("column", "value", "words", "format", "as"))
        if "value" in spec:
            constant = str(spec["value"])
            return KeyColumn(name, Column(()), lambda _text: constant)
        read: ReadText = lambda text: text or None  # noqa: E731 - one of three readers
        if "words" in spec:
            read = _word_of(self._words(table, name, spec["words"], None))
        elif "format" in spec or "as" in spec:
            day = _moment_of(self._formats(table, name, spec), self.zone)
            wanted = spec.get("as", "date")
            if wanted not in ("date", "iso-week"):
                raise self._wrong(table, name, '\'as\' is "date" (2026-03-02) or "iso-week" (2026-W10).')
            read = _day_key(day, iso_week=wanted == "iso-week")
        return KeyColumn(name, self._column(table, name, spec), read)

    def _site_column(self) -> KeyColumn | None:
        if "site" not in self.table:
            return None
        spec = self._spec("site", "", self._table("site"), ("column", "words"))
        if "words" not in spec:
            raise self._wrong("site", "", 'needs words = { "what the report writes" = "site id" }.')
        return KeyColumn("site", self._column("site", "", spec), _word_of(self._words("site", "words", spec["words"], None)))

    def _fact_columns(self, kind: Kind) -> tuple[tuple[FactColumn, ...], dict[str, Value]]:
        columns: list[FactColumn] = []
        constants: dict[str, Value] = {}
        for name, given in self._table("facts").items():
            fact = KINDS[kind].get(name)
            if fact is None:
                raise self._wrong("facts", name, f"{kind} has no such fact; it has: {', '.join(KINDS[kind])}.")
            spec = self._spec("facts", name, given, ("column", "value", "optional", *_OPTIONS[fact.type]))
            if "value" in spec:
                constants[name] = self._constant(kind, name, spec)
            else:
                read = self._reader(name, fact, spec)
                columns.append(FactColumn(name, self._column("facts", name, spec), read, vital=fact.type == "enum"))
        return tuple(columns), constants

    def _constant(self, kind: Kind, name: str, spec: Mapping[str, object]) -> Value:
        value = spec["value"]
        if isinstance(value, datetime):
            value = files.utc(value, self.zone)
        elif isinstance(value, list):
            value = tuple(str(v) for v in value)
        try:
            check_fact(kind, name, cast(Value, value))
        except (ValueError, TypeError):
            raise self._wrong(
                "facts", name, f"this value is not a {KINDS[kind][name].type}{_one_of(KINDS[kind][name])}."
            ) from None
        if len(spec) > 1:
            raise self._wrong("facts", name, "has a value and something else; a constant needs only its value.")
        return cast(Value, value)

    def _reader(self, name: str, fact: Fact, spec: Mapping[str, object]) -> ReadValue:
        match fact.type:
            case "cents":
                decimal = spec.get("decimal", ".")
                if decimal not in (".", ","):
                    raise self._wrong("facts", name, '\'decimal\' is "." or ",".')
                return _cents_of("," if decimal == "," else ".")
            case "date":
                return _date_of(_moment_of(self._formats("facts", name, spec), self.zone))
            case "instant":
                return _instant_of(_moment_of(self._formats("facts", name, spec), self.zone), self.zone)
            case "enum":
                if "words" not in spec:
                    raise self._wrong("facts", name, f'needs words = {{ "what the report writes" = "word" }}{_one_of(fact)}.')
                return _word_of(self._words("facts", name, spec["words"], fact))
            case "codes":
                separator = spec.get("separator")
                if separator is not None and (not isinstance(separator, str) or not separator):
                    raise self._wrong("facts", name, "'separator' is the text between two codes, such as \";\".")
                return _codes_of(separator)
            case "count":
                return _count

    def _table(self, name: str) -> Mapping[str, object]:
        table = self.table.get(name, {})
        if not isinstance(table, dict):
            raise self._wrong("", name, f"must be a table: [{name}].")
        return table

    def _spec(self, table: str, name: str, given: object, known: tuple[str, ...]) -> Mapping[str, object]:
        spec = {"column": given} if isinstance(given, str) else given
        if not isinstance(spec, dict):
            raise self._wrong(table, name, 'must be a column\'s title or a table such as { column = "Title" }.')
        self._only(spec, known, table, name)
        if ("column" in spec) == ("value" in spec):
            raise self._wrong(table, name, "needs either a column or a value.")
        return spec

    def _column(self, table: str, name: str, spec: Mapping[str, object]) -> Column:
        given = spec["column"]
        titles = [given] if isinstance(given, str) else given
        if not isinstance(titles, list) or not titles or not all(isinstance(t, str) and title_key(t) for t in titles):
            raise self._wrong(table, name, "'column' is a column's title, or a list of titles to join.")
        optional = spec.get("optional", False)
        if not isinstance(optional, bool):
            raise self._wrong(table, name, "'optional' is true or false.")
        return Column(tuple(titles), optional)

    def _formats(self, table: str, name: str, spec: Mapping[str, object]) -> tuple[str, ...]:
        given = spec.get("format")
        formats = [given] if isinstance(given, str) else given
        if not isinstance(formats, list) or not formats or not all(isinstance(f, str) for f in formats):
            raise self._wrong(table, name, 'needs a format such as "%m/%d/%Y", a list of formats, or "excel".')
        for form in formats:
            try:
                if form != EXCEL:
                    files.check_format(form)
            except ValueError as error:
                raise self._wrong(table, name, f"{error}.") from None
        return tuple(formats)

    def _words(self, table: str, name: str, given: object, fact: Fact | None) -> Mapping[str, str]:
        if not isinstance(given, dict) or not given:
            raise self._wrong(table, name, '\'words\' is a table: { "what the report writes" = "word" }.')
        words: dict[str, str] = {}
        for written, word in given.items():
            if not isinstance(word, str) or not word or (fact is not None and word not in fact.words):
                raise self._wrong(table, name, f"the word for {written!r} cannot be used{_one_of(fact)}.")
            if words.setdefault(title_key(written), word) != word:
                raise self._wrong(table, name, f"{written!r} is there twice with different words.")
        return words


_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "cents": ("decimal",),
    "date": ("format",),
    "instant": ("format",),
    "count": (),
    "enum": ("words",),
    "codes": ("separator",),
}


def title_key(text: str) -> str:
    """A title or word as it is compared: case, blanks of every kind and a colon behind it do not count."""
    return " ".join(text.split()).casefold().rstrip(": ")


def _one_of(fact: Fact | None) -> str:
    return f"; use {', '.join(fact.words)}" if fact is not None and fact.words else ""


# --- cells ---------------------------------------------------------------------------------------------------------------


def _word_of(words: Mapping[str, str]) -> ReadText:
    def read(text: str) -> str | None:
        word = words.get(title_key(text))
        if word is None and text:
            raise BadCell("a word that the map does not know")
        return word

    return read


def _cents_of(decimal: money.Decimal) -> ReadValue:
    def read(text: str) -> Value | None:
        try:
            return money.cents(text, decimal) if text else None
        except money.Doubtful:
            raise BadCell(f"not surely one amount with {decimal!r} before the cents") from None

    return read


def _count(text: str) -> Value | None:
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise BadCell("not a whole number")
    return int(text)


def _codes_of(separator: str | None) -> ReadValue:
    def read(text: str) -> Value | None:
        parts = re.split(r"[\s,;|/]+", text) if separator is None or separator.isspace() else text.split(separator)
        codes = [_code(part.strip().upper()) for part in parts if part.strip()]
        if any(code is None for code in codes):
            raise BadCell("not a list of codes")
        return tuple(dict.fromkeys(c for c in codes if c)) or None

    return read


def _code(text: str) -> str | None:
    """`CO-16` for CO16 and CO-16; None for what is no code."""
    glued = _CARC.fullmatch(text)
    code = f"{glued[1]}-{glued[2]}" if glued else text
    try:
        check_fact("claim", "reasons", (code,))
    except ValueError:
        return None
    return code


def _day_key(moment: Callable[[str], datetime | None], *, iso_week: bool) -> ReadText:
    def read(text: str) -> str | None:
        found = moment(text)
        if found is None:
            return None
        year, week, _ = found.isocalendar()
        return f"{year:04}-W{week:02}" if iso_week else found.date().isoformat()

    return read


def _date_of(moment: Callable[[str], datetime | None]) -> ReadValue:
    def read(text: str) -> Value | None:
        found = moment(text)
        return None if found is None else found.date()

    return read


def _instant_of(moment: Callable[[str], datetime | None], zone: ZoneInfo) -> ReadValue:
    def read(text: str) -> Value | None:
        found = moment(text)
        return None if found is None else files.utc(found, zone)

    return read


def _moment_of(formats: tuple[str, ...], zone: ZoneInfo) -> Callable[[str], datetime | None]:
    """A cell's local date and time by the first of `formats` that fits; None where the cell holds no date.

    A cell that two formats read differently is in doubt, and so is a day outside 1901 to 2099.
    """

    @lru_cache(maxsize=4096)  # strptime is half of the time of a report, and reports repeat their days
    def read(text: str) -> datetime | None:
        if text.casefold() in _NO_DATE or not text.strip("0/-.: T"):
            return None
        found = {moment for form in formats if (moment := _by_format(text, form, zone)) is not None}
        if not found:
            raise BadCell("not a date in the map's format")
        if len(found) > 1:
            raise BadCell("a date that two of the map's formats read differently")
        moment = found.pop()
        if moment.date() in _UNKNOWN_DAYS:
            return None
        if not 1901 <= moment.year <= 2099:
            raise BadCell("a date far from today")
        return moment

    return read


def _by_format(text: str, form: str, zone: ZoneInfo) -> datetime | None:
    if form == EXCEL:
        return _by_serial(text)
    try:
        moment = datetime.strptime(text, form)  # noqa: DTZ007 - a wall-clock time; files.utc gives it its zone
        return moment.astimezone(zone) if moment.tzinfo else moment
    except (ValueError, OverflowError):
        return None


def _by_serial(text: str) -> datetime | None:
    if not re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,15})?", text):
        return None
    whole, _, part = text.partition(".")
    seconds = round(float(f"0.{part or 0}") * 86_400)
    return datetime.combine(date(1899, 12, 30), time()) + timedelta(days=int(whole), seconds=seconds)
