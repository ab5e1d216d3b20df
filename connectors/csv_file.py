"""Reports that a practice-management system exports as CSV, through a column map (docs/connectors.md).

Reads what spreadsheets do to a table: `sep=` lines, banners above the header, `="00123"` cells, totals below the last row. A
row that cannot be read is reported by its line and the rest goes on; a file that cannot be read is quarantined whole.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from connectors import (
    KINDS,
    Batch,
    Connector,
    ConnectorError,
    Covers,
    Kind,
    Problem,
    Row,
    Seal,
    columns,
    counted,
    files,
    plain,
    sealed,
    unnamed,
)

NAME = "csv_file"
OPTIONS = ("path", "files", "map", "as_of")

PATTERNS = ("*.csv", "*.tsv", "*.txt")

_DELIMITERS = (",", ";", "\t", "|")
_HEADER_WITHIN = 20
"""Records. Report programs print a few lines of banner, never a page of it."""

_LONGEST_RECORD = 40
"""Lines. A quoted note may span a few; more is a quotation mark that nobody closed."""

_BLANKS = re.compile(r"[\s\u00a0\u2007\u202f]+")
_INVISIBLE = str.maketrans("", "", "\ufeff\u200b\u200e\u200f\u00ad")


class Unreadable(ValueError):
    """The file as a whole cannot be read. The text is one sentence, without any of the file's text."""


@dataclass(frozen=True)
class Record:
    """One line of a table (a quoted line break makes it span several); `broken` says why it cannot be used."""

    line: int
    cells: tuple[str, ...]
    broken: str = ""
    last: bool = False
    """Nothing comes behind it, not even a line end."""


@dataclass(frozen=True)
class Header:
    """Where the table starts: the header's line, its width, the position of each mapped column, and where names stand."""

    index: int
    width: int
    at: Mapping[str, int]
    names: Sequence[columns.NameColumn] = ()


def connect(options: Mapping[str, object], *, home: Path, zone: ZoneInfo, site: str, seal: Seal = unnamed) -> Connector:
    """A feed of CSV files. Options: path, map, files (patterns), as_of (instead of the map's). raises ConnectorError"""
    path = files.option_path(options, "path", home)
    if "map" not in options:
        raise ConnectorError("A csv_file feed needs the option 'map': a column map as in docs/connectors.md.")
    column_map = columns.load(files.option_path(options, "map", home), zone)
    if "as_of" in options:
        try:
            column_map = replace(column_map, as_of=files.check_as_of(options["as_of"]))
        except ValueError as error:
            raise ConnectorError(f"The feed's option 'as_of' {error}.") from None
    return CsvFile(path, files.option_patterns(options, PATTERNS), column_map, zone, seal)


def kinds(options: Mapping[str, object], *, home: Path, zone: ZoneInfo) -> tuple[Kind, ...]:
    """The one kind its column map makes."""
    return (columns.load(files.option_path(options, "map", home), zone).kind,)


def describe(options: Mapping[str, object], *, home: Path, zone: ZoneInfo, site: str) -> Iterator[dict[str, object]]:
    """See connectors.describe. Without a map: the columns that were found, and what to write next."""
    if "map" in options:
        for batch in connect(options, home=home, zone=zone, site=site, seal=counted()).fetch(None):
            yield from plain(batch)
        return
    found = files.listed(files.option_path(options, "path", home), files.option_patterns(options, PATTERNS))
    for file in found:
        yield _columns_found(file)
    yield {
        "type": "note",
        "text": "No rows without a column map: write one (docs/connectors.md) and give it as the option 'map'.",
    }


@dataclass(frozen=True)
class CsvFile:
    """One report, exported again and again to one place."""

    path: Path
    patterns: tuple[str, ...]
    columns: columns.ColumnMap
    zone: ZoneInfo
    seal: Seal = unnamed
    name: str = NAME

    def fetch(self, cursor: str | None) -> Iterator[Batch]:
        """See Connector.fetch. A snapshot with a row that could not be read is handed on as a delta: it proves no absence."""
        kind, covers = self.columns.kind, self.columns.covers
        return files.fetch(self.path, self.patterns, cursor, kind, self._order, self._read, covers)

    def _order(self, file: files.File) -> datetime:
        try:
            return files.instant(file, self.columns.as_of, self.zone)
        except ValueError:
            return file.modified_at

    def _read(self, file: files.File, data: bytes) -> list[Batch]:
        try:
            as_of = files.instant(file, self.columns.as_of, self.zone)
            records, header = _table(decoded(data, self.columns.encoding), self.columns)
        except ValueError as error:  # Unreadable, or no instant in the file's name
            return [files.quarantined(file, self.columns.kind, self.columns.covers, str(error))]
        below = records[header.index + 1 :]
        rows, problems, dropped = _rows(below, header, self.columns)
        covers: Covers = "delta" if dropped else self.columns.covers
        if dropped and self.columns.covers == "snapshot":
            problems.append(
                Problem(
                    "whole file", f"rows that could not be read: {dropped}; so nothing that is missing here is taken as gone"
                )
            )
        return [
            Batch(
                rows=tuple(rows),
                cursor="",
                as_of=as_of,
                covers=covers,
                kind=self.columns.kind,
                problems=tuple(problems),
                totals=_totals(rows, self.columns),
                patients=sealed((column.name(record.cells) for record in below for column in header.names), self.seal),
            )
        ]


def decoded(data: bytes, encoding: str = "auto") -> str:
    """The text of a report's bytes. `auto`: UTF-8, UTF-16 with its mark, otherwise Windows-1252. raises Unreadable"""
    if not data.strip():
        raise Unreadable("The file is empty, without even a header: the export failed or is not finished.")
    if what := files.foreign(data):
        raise Unreadable(f"The file is {what}: export the report as CSV.")
    tried = [encoding] if encoding != "auto" else ["utf-16"] if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ["utf-8", "cp1252"]
    for name in tried:
        try:
            text = data.decode({"utf-8": "utf-8-sig"}.get(name, name))
        except UnicodeDecodeError:
            continue
        text = text.rstrip("\x1a")  # DOS end-of-file mark
        if re.search(r"[\x00-\x08\x0e-\x1b]", text):
            raise Unreadable("The file is binary, not a text: export the report as CSV.")
        return text
    raise Unreadable(f"The file is not a text in {' or '.join(tried)}: set 'encoding' in the column map.")


def records_of(text: str, delimiter: str) -> Iterator[Record]:
    """The records of a table, in order, without blank lines; line numbers as an editor counts them."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    number = 0
    while number < len(lines):
        cells, used, broken = _record(lines, number, delimiter)
        if broken or any(cells):
            yield Record(number + 1, tuple(cells), broken, last=number + used == len(lines))
        number += used


def cleaned(cell: str) -> str:
    """A cell's text as a person sees it: blanks of every kind are one blank; Excel's ="00123" and '00123 are 00123."""
    text = cell if cell.isascii() else cell.translate(_INVISIBLE)
    text = _BLANKS.sub(" ", text).strip(" ")
    if text.startswith('="') and text.endswith('"') and len(text) > 2:
        text = text[2:-1].strip()
    return text.removeprefix("'") if not text.endswith("'") else text


# --- finding the table ---------------------------------------------------------------------------------------------------


def _table(text: str, column_map: columns.ColumnMap) -> tuple[list[Record], Header]:
    """The records below and with the header, by the delimiter under which most of the mapped columns are found."""
    text, said = _said_delimiter(text)
    if column_map.delimiter != "auto":
        candidates: Sequence[str] = (column_map.delimiter,)
    else:
        candidates = (said,) if said else _DELIMITERS
    best = max(candidates, key=lambda d: max((len(_positions(r, column_map)) for r in _top(text, d)), default=0))
    top = _top(text, best)
    index = max(range(len(top)), key=lambda n: (len(_positions(top[n], column_map)), -n), default=0)
    at = _positions(top[index], column_map) if top else {}
    if not at:
        wanted = ", ".join(column_map.titles)
        raise Unreadable(f"No header with the columns {wanted} was found in the first {_HEADER_WITHIN} lines.")
    missing = [title for title in column_map.titles if title not in at]
    if missing:
        raise Unreadable(f"The header on line {top[index].line} lacks the columns of the map: {', '.join(missing)}.")
    _no_twins(top[index], column_map)
    return list(records_of(text, best)), Header(index, _width(top[index].cells), at, column_map.name_columns(top[index].cells))


def _said_delimiter(text: str) -> tuple[str, str]:
    """The text with Excel's `sep=;` line emptied (line numbers stay), and the delimiter it names."""
    said = re.match(r'"?sep=([,;\t|])"?[ \t]*(?=\r|\n)', text, re.IGNORECASE)
    return (text[said.end() :], said[1]) if said else (text, "")


def _top(text: str, delimiter: str) -> list[Record]:
    found: list[Record] = []
    for record in records_of(text, delimiter):
        if len(found) == _HEADER_WITHIN:
            break
        found.append(record)
    return found


def _positions(record: Record, column_map: columns.ColumnMap) -> dict[str, int]:
    """Where the map's columns stand, if this record is the header."""
    here = {columns.title_key(cell): n for n, cell in reversed(list(enumerate(record.cells)))}
    return {title: here[key] for title in column_map.all_titles if (key := columns.title_key(title)) in here}


def _no_twins(record: Record, column_map: columns.ColumnMap) -> None:
    count = Counter(columns.title_key(cell) for cell in record.cells)
    twins = [title for title in column_map.all_titles if count[columns.title_key(title)] > 1]
    if twins:
        raise Unreadable(
            f"The header on line {record.line} has more than one column {', '.join(twins)}: it is not known which is meant."
        )


def _width(cells: Sequence[str]) -> int:
    """How many columns the header has, without empty ones at its end."""
    return max((n + 1 for n, cell in enumerate(cells) if cell), default=0)


def _record(lines: list[str], first: int, delimiter: str) -> tuple[list[str], int, str]:
    """The cells of the record that starts at line `first`, how many lines it takes, and why it is broken, if it is."""
    if '"' not in lines[first]:
        return [cleaned(cell) for cell in lines[first].split(delimiter)], 1, ""
    for used in range(1, min(_LONGEST_RECORD, len(lines) - first) + 1):
        text = "\n".join(lines[first : first + used])
        if used > 1 and text.count('"') % 2:  # still open for sure: do not parse it again for each line
            continue
        try:
            return (
                [cleaned(cell) for cell in next(csv.reader([text], delimiter=delimiter, skipinitialspace=True, strict=True))],
                used,
                "",
            )
        except csv.Error as error:
            if "unexpected end" not in str(error):
                return [], 1, "a quotation mark or a cell that cannot be read"
    return [], 1, "a quotation mark that is not closed"


# --- reading its rows ----------------------------------------------------------------------------------------------------


def _rows(records: list[Record], header: Header, column_map: columns.ColumnMap) -> tuple[list[Row], list[Problem], int]:
    """The table's rows (the last of several with one key), what was left out, and how many rows that were."""
    rows: dict[tuple[str | None, str], Row] = {}
    problems: list[Problem] = []
    below: list[Problem] = []  # lines that look like totals: forgiven unless a real row follows
    dropped = 0
    for record in records:
        row, why = _row(record, header, column_map)
        if isinstance(row, columns.Drop):
            if row.footer:
                below.append(row.problem)
            else:
                problems.append(row.problem)
                dropped += 1
            continue
        problems += below + why
        dropped += len(below)
        below = []
        same = (row.site, row.keys[0].value)
        if (earlier := rows.pop(same, None)) is not None:
            problems.append(Problem(f"line {earlier.line}", f"the same key comes again on line {row.line}, which holds"))
        rows[same] = row
    return list(rows.values()), problems, dropped


def _row(record: Record, header: Header, column_map: columns.ColumnMap) -> tuple[Row | columns.Drop, list[Problem]]:
    if record.broken:
        return columns.Drop(Problem(f"line {record.line}", record.broken)), []
    if _width(record.cells) > header.width:
        more = f"more cells ({_width(record.cells)}) than the header has columns ({header.width})"
        return columns.Drop(Problem(f"line {record.line}", more)), []
    row, problems = column_map.row(record.cells, header.at, record.line)
    if isinstance(row, Row) and record.last and len(record.cells) < header.width:
        return columns.Drop(Problem(f"line {record.line}", "the file ends in the middle of this line: it may be cut off")), []
    return row, problems


def _totals(rows: list[Row], column_map: columns.ColumnMap) -> dict[str, int]:
    totals = {"rows": len(rows)}
    for name, fact in KINDS[column_map.kind].items():
        if fact.type == "cents" and any(name in row.facts for row in rows):
            totals[name] = sum(value for row in rows if isinstance(value := row.facts.get(name, 0), int))
    return totals


# --- without a map -------------------------------------------------------------------------------------------------------


def _columns_found(file: files.File) -> dict[str, object]:
    """What the header of `file` seems to be. A line with numbers, dates or gaps is data, and never shown."""
    base: dict[str, object] = {"type": "columns", "name": file.name}
    try:
        with file.path.open("rb") as handle:
            text, said = _said_delimiter(decoded(handle.read(65_536).rsplit(b"\n", 1)[0]))
    except (Unreadable, OSError) as error:
        return base | {"unreadable": str(error) if isinstance(error, Unreadable) else "It cannot be opened."}
    headers = [(r, d) for d in ((said,) if said else _DELIMITERS) for r in _top(text, d) if _looks_like_header(r)]
    if not headers:
        return base | {"unreadable": "No line that looks like a header was found."}
    record, delimiter = max(headers, key=lambda found: (len(found[0].cells), -found[0].line))
    titles = [cell for cell in record.cells if cell]
    return base | {"delimiter": delimiter, "line": record.line, "columns": titles}


def _looks_like_header(record: Record) -> bool:
    cells = record.cells[: _width(record.cells)]
    titles = [cell for cell in cells if re.fullmatch(r"[^\W\d][^\d\"]{0,39}", cell)]
    return len(cells) > 1 and len(titles) == len(cells)
