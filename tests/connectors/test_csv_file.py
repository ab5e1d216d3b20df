"""CSV reports: column maps, spreadsheets' habits, and what is said about what cannot be read."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import connectors
from connectors import Batch, ConnectorError, Key, Problem, columns, csv_file

FIXTURES = Path(__file__).parent.parent / "fixtures" / "connectors"
NEW_YORK = ZoneInfo("America/New_York")

MAP = """
kind = "claim"
covers = "snapshot"
[keys]
claim_no = "Claim"
[facts]
status = { column = "Status", words = { "Sent" = "sent", "Denied" = "denied" } }
sent_at = { column = "Sent", format = ["%m/%d/%Y %H:%M", "%m/%d/%Y"], optional = true }
charge_cents = { column = "Fee", optional = true }
reasons = { column = "Codes", optional = true }
"""


def fetch(folder: Path, text: str | bytes, map_text: str = MAP, *, zone: ZoneInfo = NEW_YORK, **options: Any) -> Batch:
    """The one batch of a report with this text, read through this column map."""
    (folder / "map.toml").write_text(map_text, "utf-8")
    (folder / "report.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    feed = connectors.connect(
        "csv_file", {"path": "report.csv", "map": "map.toml"} | options, home=folder, zone=zone, site="harbor"
    )
    (batch,) = feed.fetch(None)
    return batch


def keys(batch: Batch) -> list[str]:
    return [row.keys[0].value for row in batch.rows]


def fixture(name: str) -> Batch:
    options = {"path": f"{name}.csv", "map": f"{name}.toml", "as_of": "modified"}
    (batch,) = connectors.connect("csv_file", options, home=FIXTURES, zone=NEW_YORK, site="harbor").fetch(None)
    return batch


# --- whole reports -------------------------------------------------------------------------------------------------------


def test_an_american_report_with_a_banner_notes_and_totals_is_read() -> None:
    """Lost: the report as a practice-management system really prints it could not be used without editing."""
    batch = fixture("claims-american")
    assert [(row.keys[0].value, row.line, dict(row.facts)) for row in batch.rows] == [
        (
            "00123",
            4,
            {
                "status": "sent",
                "service_on": date(2026, 2, 10),
                "sent_at": datetime(2026, 2, 10, 21, 5, tzinfo=UTC),
                "charge_cents": 125_000,
            },
        ),
        (
            "00124",
            7,
            {
                "status": "rejected",
                "service_on": date(2026, 2, 11),
                "charge_cents": -12_500,
                "reasons": ("CO-16", "N130"),
            },
        ),
        ("C-1042", 9, {"status": "sent", "sent_at": datetime(2026, 2, 13, 4, 59, tzinfo=UTC), "charge_cents": 8_000}),
    ]
    assert batch.problems[0] == Problem("line 10, column Status", "a word that the map does not know")
    assert batch.totals == {"rows": 3, "charge_cents": 120_500}


def test_a_european_report_with_semicolons_and_commas_is_read() -> None:
    """Lost: 1.250,00 would be read as 1.25, or umlauts and dashes would make every status unknown."""
    batch = fixture("claims-european")
    assert [(dict(row.facts), row.line) for row in batch.rows] == [
        ({"status": "unsent", "service_on": date(2026, 2, 10), "charge_cents": 125_000}, 3),
        ({"status": "unsent", "service_on": date(2026, 2, 11), "charge_cents": -1_250}, 4),
    ]
    assert batch.problems == ()


def test_a_spore_log_names_sterilizer_and_iso_week_together() -> None:
    """Lost: a spore test would not meet the sterilizer-week it proves; 31 December belongs to the new year's first week."""
    assert [row.keys for row in fixture("spore-log").rows] == [
        (Key("sterilizer_week", "H2/2026-W01"),),
        (Key("sterilizer_week", "H1/2026-W10"),),
    ]


# --- the table -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_every_delimiter_line_end_and_encoding_gives_the_same_rows(
    tmp_path: Path, delimiter: str, ending: str, encoding: str
) -> None:
    """Lost: a change of the office's computer or its settings would stop the feed."""
    rows = [
        ["CLAIM", "Status ", " sent", "Café – notes"],
        ["C-1", "Sent", "02/10/2026 08:00", "naïve"],
        ["C-2", "Denied", "", "x"],
    ]
    text = ending.join(delimiter.join(cells) for cells in rows) + ending
    batch = fetch(tmp_path, text.encode(encoding))
    assert keys(batch) == ["C-1", "C-2"]
    assert [row.line for row in batch.rows] == [2, 3]
    assert batch.rows[0].facts["sent_at"] == datetime(2026, 2, 10, 13, tzinfo=UTC)
    assert (batch.problems, batch.covers) == ((), "snapshot")


def test_a_header_without_rows_is_a_statement_and_an_empty_file_is_not(tmp_path: Path) -> None:
    """Lost: "no open claims" and "the export failed" would look alike, and one would close what the other hides."""
    fresh = fetch(tmp_path, "Claim,Status\n")
    assert (fresh.rows, fresh.covers, fresh.unreadable) == ((), "snapshot", "")
    assert "empty" in fetch(tmp_path, b"").unreadable
    assert "empty" in fetch(tmp_path, b" \r\n\r\n").unreadable


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x00\x01\x02claims", "binary"),
        (b"Claim,Status\nC-1,Se\x00nt\n", "binary"),
        (b"PK\x03\x04rest of a workbook", "Excel workbook"),
        (b"%PDF-1.7", "PDF"),
        (b"  <html><table>", "web page"),
        (b"Claim,Status\nC-1,\x81\x8d\n", "not a text in utf-8 or cp1252"),
        (b"\xff\xfeC\x00l\x00", "No header"),
        (b"\xff\xfeC\x00l", "not a text in utf-16"),
        (b"Name,Office\nA,B\n", "No header with the columns Claim, Status"),
        (b"Claim,State\nC-1,Sent\n", "The header on line 1 lacks the columns of the map: Status"),
        (b"Claim,Status,status\nC-1,Sent,Denied\n", "more than one column Status"),
        (b"a" * 300_000, "No header"),
    ],
)
def test_a_file_that_cannot_be_read_is_quarantined_with_a_reason(tmp_path: Path, data: bytes, why: str) -> None:
    """Lost: half of a wrong file would be applied, or one broken export would stop the sweep with a traceback."""
    batch = fetch(tmp_path, data)
    assert why in batch.unreadable
    assert (batch.rows, batch.problems) == ((), ())


@pytest.mark.parametrize(
    ("line", "where", "what"),
    [
        ("", "", ""),
        ("C-9,Sent,,5", "", ""),
        (",Sent,,5", "line 3, column Claim", "the key is empty"),
        ("Doe Jane,Sent,,5", "line 3, column Claim", "not a key"),
        ("Total,Sent,,5", "line 3, column Claim", "not a key"),
        (f"C-{'9' * 80},Sent,,5", "line 3, column Claim", "not a key"),
        ("C-9,Lost,,5", "line 3, column Status", "a word that the map does not know"),
        ("C-9,Sent,yesterday,5", "line 3, column Sent", "not a date in the map's format; the row goes on"),
        ("C-9,Sent,02/30/2026,5", "line 3, column Sent", "not a date"),
        ("C-9,Sent,02/10/0206,5", "line 3, column Sent", "far from today"),
        ('C-9,Sent,,"12,5"', "line 3, column Fee", "not surely one amount"),
        ("C-9,Sent,,5,,,surprise", "line 3", "more cells (7) than the header has columns (4)"),
        ('C-9,"Sent"x,,5', "line 3", "a quotation mark or a cell"),
        ('C-9,"Sent', "line 3", "a quotation mark that is not closed"),
    ],
)
def test_a_bad_line_is_reported_and_the_others_go_on(tmp_path: Path, line: str, where: str, what: str) -> None:
    """Lost: one odd row would cost the whole report, or vanish without a word."""
    batch = fetch(tmp_path, f"Claim,Status,Sent,Fee\nC-1,Sent,,1\n{line}\nC-2,Denied,,2\n")
    assert {"C-1", "C-2"} <= set(keys(batch))
    problem = batch.problems[0] if batch.problems else Problem("", "")
    assert problem.where == where
    assert what in problem.what


def test_a_row_that_cannot_be_read_makes_the_snapshot_prove_no_absence(tmp_path: Path) -> None:
    """Lost: a claim whose status word is new would count as gone from the source, and its nudge would close as verified."""
    batch = fetch(tmp_path, "Claim,Status\nC-1,Sent\nC-2,Brand new\n")
    assert batch.covers == "delta"
    assert fetch(tmp_path, "Claim,Status\nC-1,Sent\nC-2,\n").covers == "snapshot"


def test_totals_and_imprints_below_the_table_are_no_rows(tmp_path: Path) -> None:
    """Lost: every report would arrive with a problem that nobody can mend, and prove no absence."""
    batch = fetch(tmp_path, "Claim,Status,Fee\nC-1,Sent,5\n\n,,5\nTotal,,5\nPrinted by the office\n")
    assert (keys(batch), batch.problems, batch.covers) == (["C-1"], (), "snapshot")


def test_a_line_without_a_key_between_rows_is_no_footer(tmp_path: Path) -> None:
    """Lost: a claim whose number the export dropped would be forgiven as a totals line."""
    batch = fetch(tmp_path, "Claim,Status,Fee\nC-1,Sent,5\n,,5\nC-2,Sent,5\n")
    assert (batch.problems[0].where, batch.covers) == ("line 3, column Claim", "delta")


def test_a_map_of_keys_and_money_only_forgives_no_row_that_has_a_key(tmp_path: Path) -> None:
    """Lost: the last rejection of a list would vanish because its number has a blank in it."""
    text = 'kind = "claim"\ncovers = "delta"\n[keys]\nclaim_no = "Claim"\n[facts]\nstatus = { value = "rejected" }\n'
    batch = fetch(tmp_path, "Claim,Fee\nC-1,5\n,5\nC 2,5\n", text)
    assert keys(batch) == ["C-1"]
    assert [p.where for p in batch.problems] == ["line 4, column Claim"]


def test_of_two_rows_with_one_key_the_last_holds_and_it_is_said(tmp_path: Path) -> None:
    """Lost: which of two contradicting rows counts would depend on chance."""
    batch = fetch(tmp_path, "Claim,Status\nC-1,Sent\nC-2,Sent\nC-1,Denied\n")
    assert [(row.keys[0].value, row.facts["status"]) for row in batch.rows] == [("C-2", "sent"), ("C-1", "denied")]
    assert batch.problems == (Problem("line 2", "the same key comes again on line 4, which holds"),)


def test_a_file_cut_off_in_its_last_line_says_so(tmp_path: Path) -> None:
    """Lost: the last claim of a broken transfer would be taken with half of its facts."""
    batch = fetch(tmp_path, "Claim,Status,Fee\nC-1,Sent,5\nC-2,Sent")
    assert keys(batch) == ["C-1"]
    assert "cut off" in batch.problems[0].what


def test_the_header_may_stand_within_twenty_lines_and_no_deeper(tmp_path: Path) -> None:
    """Lost: a report with a banner would be unreadable, or a data row far below would be taken for a header."""
    banner = "".join(f"line {n},,\n" for n in range(19))
    assert keys(fetch(tmp_path, banner + "Claim,Status\nC-1,Sent\n")) == ["C-1"]
    assert "first 20 lines" in fetch(tmp_path, banner + "one more\nClaim,Status\nC-1,Sent\n").unreadable


def test_an_open_quotation_mark_does_not_swallow_the_rows_below(tmp_path: Path) -> None:
    """Lost: one stray inch mark would silently turn the rest of the report into a single note."""
    rows = "".join(f"C-{n},Sent\n" for n in range(100, 160))
    batch = fetch(tmp_path, f'Claim,Status\n"C-1,Sent\n{rows}')
    assert len(batch.rows) == 60
    assert batch.problems[0] == Problem("line 2", "a quotation mark that is not closed")


def test_a_huge_cell_costs_its_row_only(tmp_path: Path) -> None:
    """Lost: one enormous note would make a whole report unreadable."""
    batch = fetch(tmp_path, f'Claim,Status,Notes\nC-1,Sent,"{"x" * 200_000}"\nC-2,Sent,{"y" * 500_000}\n')
    assert keys(batch)[-1] == "C-2"


def test_problems_are_counted_where_nobody_would_read_them_all(tmp_path: Path) -> None:
    """Lost: a wrong map over a year's claims would write fifty thousand problems into the intake."""
    batch = fetch(tmp_path, "Claim,Status\n" + "".join(f"C-{n},Odd\n" for n in range(1000)))
    assert len(batch.problems) == 201
    assert "more problems are not listed" in batch.problems[-1].what


def test_a_report_of_fifty_thousand_rows_is_read_in_seconds(tmp_path: Path) -> None:
    """Lost: a group's yearly report would hold up the sweep."""
    text = "Claim,Status,Sent,Fee\n" + "".join(f"C-{n},Sent,02/10/2026 08:00,120.00\n" for n in range(50_000))
    assert len(fetch(tmp_path, text).rows) == 50_000


# --- cells ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "seen"),
    [
        ('="00123"', "00123"),
        ("'00123", "00123"),
        ("\u00a0 C-1\u2007\u202f", "C-1"),
        ("\u200bC-1\ufeff", "C-1"),
        ("a\n  b", "a b"),
        ("'quoted'", "'quoted'"),
        ('=""', ""),
    ],
)
def test_a_cell_is_read_as_a_person_sees_it(cell: str, seen: str) -> None:
    """Lost: Excel's guards around a claim number would make it another claim."""
    assert csv_file.cleaned(cell) == seen


def _fact(folder: Path, fact: str, cell: str, zone: ZoneInfo = NEW_YORK, kind: str = "claim") -> object:
    text = f'kind = "{kind}"\ncovers = "delta"\n[keys]\nno = "No"\n[facts]\n{fact}\n'
    name = fact.split(" ", 1)[0]
    batch = fetch(folder, f'No,X\nC-1,"{cell}"\n', text, zone=zone)
    return batch.rows[0].facts.get(name) if batch.rows and not batch.problems else (batch.problems or None)


@pytest.mark.parametrize("cell", ["", "0001-01-01", "00/00/0000", "0000-00-00", "-", "n/a", "1899-12-30", "0"])
def test_a_date_that_databases_write_for_none_is_unknown(tmp_path: Path, cell: str) -> None:
    """Lost: a claim without a sent date would have been sent two thousand years ago."""
    assert _fact(tmp_path, 'service_on = { column = "X", format = ["%Y-%m-%d", "%m/%d/%Y", "excel"] }', cell) is None


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("46083", datetime(2026, 3, 2, 5, tzinfo=UTC)),
        ("46083.604166666664", datetime(2026, 3, 2, 19, 30, tzinfo=UTC)),
        ("46089.104166666664", datetime(2026, 3, 8, 7, 30, tzinfo=UTC)),
    ],
)
def test_excels_serial_numbers_are_local_days_and_times(tmp_path: Path, cell: str, expected: datetime) -> None:
    """Lost: a sheet saved without date formats would have no dates. The last one is in the hour that the clocks skip."""
    assert _fact(tmp_path, 'sent_at = { column = "X", format = "excel" }', cell) == expected


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("2026-03-08 01:59", "2026-03-08T06:59"),
        ("2026-03-08 02:30", "2026-03-08T07:30"),
        ("2026-03-08 03:00", "2026-03-08T07:00"),
        ("2026-11-01 01:30", "2026-11-01T05:30"),
        ("2026-11-01 02:00", "2026-11-01T07:00"),
    ],
)
def test_local_times_around_a_clock_change_follow_one_rule(tmp_path: Path, cell: str, expected: str) -> None:
    """Lost: twice a year a report would be unreadable, or an hour off without anybody knowing which way."""
    found = _fact(tmp_path, 'sent_at = { column = "X", format = "%Y-%m-%d %H:%M" }', cell)
    assert found == datetime.fromisoformat(expected).replace(tzinfo=UTC)


def test_a_time_with_its_own_offset_keeps_it(tmp_path: Path) -> None:
    """Lost: an export in UTC would be shifted by the site's zone once more."""
    found = _fact(tmp_path, 'sent_at = { column = "X", format = "%Y-%m-%dT%H:%M:%S%z" }', "2026-03-02T14:30:00Z")
    assert found == datetime(2026, 3, 2, 14, 30, tzinfo=UTC)


def test_a_date_that_two_formats_read_differently_is_reported(tmp_path: Path) -> None:
    """Lost: 03/04/2026 would be March or April by the order of a list."""
    fact = 'service_on = { column = "X", format = ["%m/%d/%Y", "%d/%m/%Y"] }'
    assert _fact(tmp_path, fact, "03/03/2026") == date(2026, 3, 3)
    assert _fact(tmp_path, fact, "03/25/2026") == date(2026, 3, 25)
    problems = _fact(tmp_path, fact, "03/04/2026")
    assert isinstance(problems, tuple)
    assert "two of the map's formats" in problems[0].what


@pytest.mark.parametrize(
    ("cell", "expected"),
    [("CO16 N130", ("CO-16", "N130")), ("co-16; pr-1", ("CO-16", "PR-1")), ("A3|a3", ("A3",)), ("", None)],
)
def test_codes_are_read_in_the_ways_reports_write_them(tmp_path: Path, cell: str, expected: object) -> None:
    """Lost: a denial without its reason."""
    assert _fact(tmp_path, 'reasons = "X"', cell) == expected


@pytest.mark.parametrize("cell", ["Doe", "DOE JANE", "CO-16 Jane Doe", "see notes", "PENHALLOW"])
def test_a_name_is_no_code(tmp_path: Path, cell: str) -> None:
    """Lost: a free-text column mapped as codes would carry a patient's name into a fact."""
    problems = _fact(tmp_path, 'reasons = "X"', cell)
    assert isinstance(problems, tuple)
    assert problems[0] == Problem("line 2, column X", "not a list of codes; the row goes on without it")


def test_date_and_time_of_two_columns_are_read_together(tmp_path: Path) -> None:
    """Lost: reports that keep the time in a column of its own would give the day only."""
    text = 'kind = "treatment_plan"\ncovers = "delta"\n[keys]\nplan_no = "Plan"\n[facts]\n'
    text += 'scheduled_for = { column = ["Day", "Time"], format = ["%m/%d/%Y %H:%M", "%m/%d/%Y"] }\n'
    batch = fetch(tmp_path, "Plan,Day,Time\nTP-1,03/02/2026,08:30\nTP-2,03/02/2026,\n", text)
    assert [row.facts["scheduled_for"] for row in batch.rows] == [
        datetime(2026, 3, 2, 13, 30, tzinfo=UTC),
        datetime(2026, 3, 2, 5, tzinfo=UTC),
    ]


def test_constants_and_the_office_column_are_read(tmp_path: Path) -> None:
    """Lost: a report of rejections only, or one for two offices, could not be used."""
    text = 'kind = "claim"\ncovers = "delta"\n[keys]\nclaim_no = "Claim"\n[facts]\nstatus = { value = "rejected" }\n'
    text += (
        'service_on = { value = 2026-03-02 }\n[site]\ncolumn = "Office"\nwords = { "Harbor St" = "harbor", "Pine" = "pine" }\n'
    )
    batch = fetch(tmp_path, "Claim,Office\nC-1,harbor st\nC-2,PINE\nC-1,Pine\nC-3,Elm\nC-4,\n", text)
    assert [(row.keys[0].value, row.site) for row in batch.rows] == [("C-1", "harbor"), ("C-2", "pine"), ("C-1", "pine")]
    assert batch.rows[0].facts == {"status": "rejected", "service_on": date(2026, 3, 2)}
    assert [p.where for p in batch.problems] == ["line 5, column Office", "line 6, column Office"]


def test_an_optional_second_key_that_does_not_fit_costs_only_itself(tmp_path: Path) -> None:
    """Lost: a claim without a payer number, or with a remark in that column, would be dropped."""
    text = MAP.replace('claim_no = "Claim"', 'claim_no = "Claim"\npayer_icn = "ICN"')
    batch = fetch(tmp_path, "Claim,ICN,Status\nC-1,ICN1,Sent\nC-2,,Sent\nC-3,not yet known,Sent\n", text)
    assert [len(row.keys) for row in batch.rows] == [2, 1, 1]
    assert batch.problems == (Problem("line 4, column ICN", "not a key; the row goes on without it"),)


@settings(max_examples=60, deadline=None)
@given(
    st.dates(min_value=date(1990, 1, 1), max_value=date(2090, 1, 1)),
    st.sampled_from(["%m/%d/%Y", "%Y-%m-%d", "%d.%m.%Y", "%Y%m%d", "excel"]),
)
def test_every_day_written_in_a_format_is_that_day_again(day: date, form: str) -> None:
    """Lost: some day of some year is read as another one."""
    text = str((day - date(1899, 12, 30)).days) if form == "excel" else day.strftime(form)
    read = columns._date_of(columns._moment_of((form,), NEW_YORK))
    assert read(text) == day


# --- maps ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "line", "what"),
    [
        (("kind =", "kin ="), 2, "'kin' is not known here"),
        (('"claim"', '"invoice"'), 2, "use 'claim', 'treatment_plan'"),
        (("covers = ", "# covers = "), 1, "is missing: use 'snapshot', 'delta'"),
        (('kind = "claim"', 'kind = "claim"\nas_of = "name:%H%M"'), 3, "needs a year"),
        (('kind = "claim"', 'kind = "claim"\nas_of = "today"'), 3, "name:FORMAT"),
        (('kind = "claim"', 'kind = "claim"\ndelimiter = "x"'), 3, "is not one of these"),
        (('kind = "claim"', 'kind = "claim"\nprimary = ["claim_no", "week"]'), 3, "names from [keys]: claim_no"),
        (('claim_no = "Claim"', ""), 4, "at least one key column"),
        (('claim_no = "Claim"', '"Claim #" = "Claim"'), 5, "a key's name is lower-case"),
        (('claim_no = "Claim"', 'claim_no = { column = "Claim", as = "month" }'), 5, "needs a format"),
        (("charge_cents =", "fee_cents ="), 9, "claim has no such fact; it has: status, service_on"),
        (('"Sent" = "sent"', '"Sent" = "submitted"'), 7, "use unsent, sent, rejected"),
        (('"Sent" = "sent"', '"Sent" = "sent", "SENT " = "denied"'), 7, "there twice with different words"),
        (('"Sent", format = ["%m/%d/%Y %H:%M", "%m/%d/%Y"]', '"Sent"'), 8, "needs a format"),
        (('"%m/%d/%Y %H:%M"', '"%m/%d %H:%M"'), 8, "needs a year"),
        (('column = "Fee"', 'column = "Fee", format = "%Y"'), 9, "'format' is not known here"),
        (('column = "Fee"', 'column = "Fee", decimal = "x"'), 9, "'decimal' is"),
        (('column = "Fee", ', ""), 9, "needs either a column or a value"),
        (('{ column = "Fee", optional = true }', "{ value = 1.5 }"), 9, "this value is not a cents"),
        (('{ column = "Fee", optional = true }', "7"), 9, "a column's title or a table"),
        (('"Codes", optional = true', '"Codes", optional = 1'), 10, "'optional' is true or false"),
    ],
)
def test_a_mistake_in_a_map_is_said_with_its_line(tmp_path: Path, change: tuple[str, str], line: int, what: str) -> None:
    """Lost: an office manager would hunt for a typo in a report that simply never arrives."""
    wrong = MAP.replace(*change, 1)
    assert wrong != MAP
    with pytest.raises(ConnectorError) as caught:
        fetch(tmp_path, "Claim,Status\n", wrong)
    assert f"map.toml, line {line}," in str(caught.value)
    assert what in str(caught.value)


def test_a_map_that_is_missing_or_no_toml_is_said(tmp_path: Path) -> None:
    """Lost: a traceback instead of the file to mend."""
    with pytest.raises(ConnectorError, match=r"There is no column map .*nowhere\.toml"):
        fetch(tmp_path, "", map_text=MAP, map="nowhere.toml")
    with pytest.raises(ConnectorError, match=r"not valid TOML: .*line 1"):
        fetch(tmp_path, "", map_text="kind = claim")
    with pytest.raises(ConnectorError, match="needs the option 'map'"):
        connectors.connect("csv_file", {"path": "x"}, home=tmp_path, zone=NEW_YORK, site="harbor")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConnectorError, match="cannot be read as a text"):
        fetch(tmp_path, "", map="bytes.toml")


def test_the_map_in_the_docs_works(tmp_path: Path) -> None:
    """Lost: the first thing an author copies would not load."""
    page = (Path(__file__).parent.parent.parent / "docs" / "connectors.md").read_text("utf-8")
    maps = [block for block in re.findall(r"```toml\n(.*?)```", page, re.S) if "kind =" in block]
    assert len(maps) >= 2
    for number, text in enumerate(maps):
        path = tmp_path / f"{number}.toml"
        path.write_text(text, "utf-8")
        columns.load(path, NEW_YORK)


def test_without_a_map_the_columns_are_shown_and_nothing_else(tmp_path: Path) -> None:
    """Lost: an author would have to open the export to write its map; or rows of patients would be printed."""
    (tmp_path / "a.csv").write_text("Daily report\nClaim #;Patient;Status\n14;Quilla Vanterpool;Sent\n", "utf-8")
    (tmp_path / "b.csv").write_text("14,Quilla Vanterpool,Sent\n15,Osric Penhallow,Sent\n", "utf-8")
    (tmp_path / "c.csv").write_bytes(b"\x00")
    lines = list(connectors.describe("csv_file", {"path": "."}, home=tmp_path, zone=NEW_YORK, site="harbor"))
    assert [line.get("columns") for line in lines] == [["Claim #", "Patient", "Status"], None, None, None]
    assert lines[0]["delimiter"] == ";"
    assert "option 'map'" in str(lines[-1]["text"])
    assert "Vanterpool" not in repr(lines)
