"""What every connector must keep, shown on all of them: the seam's promises, and that no name gets through."""

from __future__ import annotations

import json
import string
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import connectors
from connectors import KINDS, Batch, Connector, ConnectorError, Key, Row
from tests.connectors.era_text import era

FIXTURES = Path(__file__).parent.parent / "fixtures" / "connectors"
NEW_YORK = ZoneInfo("America/New_York")
MAP = """
kind = "claim"
covers = "snapshot"
[keys]
claim_no = "Claim"
[facts]
status = { column = "Status", words = { "Sent" = "sent" } }
service_on = { column = "DOS", format = "%m/%d/%Y" }
sent_at = { column = "Sent", format = "%m/%d/%Y" }
charge_cents = "Fee"
reasons = "Codes"
"""


@dataclass(frozen=True)
class Example:
    """How to feed a connector: its options and the text of a good file. Every connector has one."""

    name: str
    file: str
    text: str
    options: dict[str, str]


EXAMPLES = [
    Example(
        "csv_file", "report.csv", "Claim,Status,DOS,Sent,Fee,Codes\nC-1,Sent,02/10/2026,,$5.00,CO16\n", {"map": "map.toml"}
    ),
    Example("era835", "one.835", era("CLP*C-1*4*100*0*0*12*I1~CAS*CO*16*100", paid="0"), {}),
]
every = pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.name)


def feed(example: Example, folder: Path, path: str = "in", **more: Any) -> Connector:
    (folder / "map.toml").write_text(MAP, "utf-8")
    (folder / "in").mkdir(exist_ok=True)
    return connectors.connect(example.name, {"path": path} | example.options | more, home=folder, zone=NEW_YORK, site="harbor")


def put(folder: Path, name: str, data: str | bytes) -> None:
    (folder / "in").mkdir(exist_ok=True)
    (folder / "in" / name).write_bytes(data if isinstance(data, bytes) else data.encode())


# --- the seam ------------------------------------------------------------------------------------------------------------


def test_every_connector_has_an_example_here() -> None:
    """Lost: a new connector would be held by none of the promises below."""
    assert {e.name for e in EXAMPLES} == set(connectors.names())


def test_an_unknown_connector_is_named_with_those_there_are() -> None:
    """Lost: a typo in feeds.toml would be an import error. Shared modules are no connectors."""
    for name in ("pms", "files", "x12", "../bot", "connectors", ""):
        with pytest.raises(ConnectorError, match=r"There is no connector .*; there are: csv_file, era835\."):
            connectors.connect(name, {}, home=Path(), zone=NEW_YORK, site="harbor")


@every
def test_a_connector_is_what_the_seam_says(tmp_path: Path, example: Example) -> None:
    """Lost: the sweep could not treat all feeds alike."""
    one = feed(example, tmp_path)
    assert isinstance(one, Connector)
    assert one.name == example.name
    assert set(connectors.option_names(example.name)) >= {"path", *example.options}


@every
def test_totals_hashes_and_lines_are_those_of_the_rows(tmp_path: Path, example: Example) -> None:
    """Lost: nobody could compare what was read with what the source printed, or find a row again."""
    put(tmp_path, example.file, example.text)
    batches = list(feed(example, tmp_path).fetch(None))
    assert batches
    for batch in batches:
        assert (batch.name, len(batch.sha256), batch.unreadable) == (example.file, 64, "")
        assert batch.totals["rows"] == len(batch.rows) == 1
        assert {row.kind for row in batch.rows} == {batch.kind}
        assert all(row.line for row in batch.rows)
        assert batch.as_of.tzinfo is UTC
        for name, fact in KINDS[batch.kind].items():
            if fact.type == "cents" and name in batch.totals:
                assert batch.totals[name] == sum(int(str(row.facts.get(name, 0))) for row in batch.rows)


@every
def test_reading_twice_gives_the_same_and_reading_on_gives_nothing(tmp_path: Path, example: Example) -> None:
    """Lost: chance would decide what a source said, or each sweep would read everything again."""
    put(tmp_path, example.file, example.text)
    first, second = list(feed(example, tmp_path).fetch(None)), list(feed(example, tmp_path).fetch(None))
    assert first == second
    assert list(feed(example, tmp_path).fetch(first[-1].cursor)) == []


@every
def test_one_file_and_a_folder_of_one_file_are_the_same(tmp_path: Path, example: Example) -> None:
    """Lost: the way a path is written would change what is true."""
    put(tmp_path, example.file, example.text)
    assert list(feed(example, tmp_path).fetch(None)) == list(feed(example, tmp_path, f"in/{example.file}").fetch(None))


@every
def test_only_the_named_files_of_a_folder_are_read(tmp_path: Path, example: Example) -> None:
    """Lost: two reports in one folder could not be two feeds."""
    put(tmp_path, example.file, example.text)
    put(tmp_path, f"other-{example.file}", example.text)
    assert {b.name for b in feed(example, tmp_path, files="OTHER*").fetch(None)} == {f"other-{example.file}"}


@every
def test_a_place_that_is_not_there_is_one_sentence(tmp_path: Path, example: Example) -> None:
    """Lost: a share that is not mounted would be a traceback, or look like a quiet day."""
    with pytest.raises(ConnectorError, match=r"There is no file or folder .*nowhere"):
        list(feed(example, tmp_path, "nowhere").fetch(None))


@every
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n\n",
        b"\x00" * 5000,
        bytes(range(256)) * 40,
        b"\xff\xfe" + b"\x00\xd8" * 100,
        b"a" * 2_000_000,
        b'"' * 3_001,
        b",".join([b"x"] * 100_000),
        b"*".join([b"ISA"] * 10_000),
        b"PK\x03\x04zip",
        "Übersicht".encode("utf-16"),
    ],
    ids=["empty", "blank", "zeros", "bytes", "half-utf16", "one-line", "quotes", "commas", "stars", "zip", "short-utf16"],
)
def test_a_hostile_file_is_quarantined_and_the_next_one_read(tmp_path: Path, example: Example, data: bytes) -> None:
    """Lost: one broken export would stop a feed for good, or be tried again at every sweep."""
    put(tmp_path, "a-" + example.file, data)
    put(tmp_path, example.file, example.text)
    batches = list(feed(example, tmp_path).fetch(None))
    bad = [b for b in batches if b.unreadable]
    assert [b.name for b in bad] == ["a-" + example.file]
    assert bad[0].unreadable.endswith(".")
    assert bad[0].rows == ()
    assert any(b.rows for b in batches)
    assert list(feed(example, tmp_path).fetch(batches[-1].cursor)) == []


@every
def test_what_is_described_is_what_is_read_in_plain_json(tmp_path: Path, example: Example) -> None:
    """Lost: `bot feed` would show something else than the sweep uses."""
    put(tmp_path, example.file, example.text)
    batches = list(feed(example, tmp_path).fetch(None))
    options = {"path": "in"} | example.options
    lines = list(connectors.describe(example.name, options, home=tmp_path, zone=NEW_YORK, site="harbor"))
    assert json.loads(json.dumps(lines))
    assert [line["totals"] for line in lines if line["type"] == "file"] == [dict(b.totals) for b in batches]
    assert len([line for line in lines if line["type"] == "row"]) == sum(len(b.rows) for b in batches)


def test_a_row_takes_listed_facts_of_the_right_type_only() -> None:
    """Lost: the wall between a source's free text and everything that leaves the building."""
    key = (Key("claim_no", "C-1"),)
    Row(
        "claim",
        key,
        {"status": "sent", "reasons": ("CO-16",), "sent_at": datetime(2026, 3, 2, tzinfo=UTC), "service_on": date(2026, 3, 2)},
    )
    wrong: list[dict[str, Any]] = [
        {"note": "called"},
        {"status": "called the patient"},
        {"reasons": ("SMITH",)},
        {"reasons": ["CO-16"]},
        {"charge_cents": 1.5},
        {"charge_cents": True},
        {"service_on": datetime(2026, 3, 2, tzinfo=UTC)},
        {"sent_at": datetime(2026, 3, 2, tzinfo=NEW_YORK)},
    ]
    for facts in wrong:
        with pytest.raises(ValueError, match="claim"):
            Row("claim", key, facts)
    with pytest.raises(ValueError, match="at least one key"):
        Row("claim", (), {})
    for value in ("", "Doe Jane", "Doe,Jane", "x" * 65, "a\nb", "-1"):
        with pytest.raises(ValueError, match="does not take this value"):
            Key("claim_no", value)


# --- no names ------------------------------------------------------------------------------------------------------------

FIRST = ("Quilla", "Osric", "Zephyrine", "Thaddea", "Ingmarius")
LAST = ("Vanterpool", "Penhallow", "Oyelaran-Fisk", "D'Aubigny", "Żółkiewska")


@st.composite
def names(draw: st.DrawFn) -> str:
    """A person as sources write one, with a mark of its own in it, so that it is found wherever it turns up."""
    mark = draw(st.text(alphabet=string.ascii_lowercase, min_size=5, max_size=8))
    first, last = draw(st.sampled_from(FIRST)) + mark, draw(st.sampled_from(LAST)) + mark
    form = draw(st.sampled_from(["{f} {l}", "{l}, {f}", "{l}", "{F} {L}", "{L}^{F}", "Mr. {l}", "patient {f} {l} called"]))
    return form.format(f=first, l=last, F=first.upper(), L=last.upper())


def _said(example: Example, folder: Path) -> str:
    """All that leaves a connector, in one text."""
    batches: list[Batch] = list(feed(example, folder).fetch(None))
    options = {"path": "in"} | example.options
    lines = list(connectors.describe(example.name, options, home=folder, zone=NEW_YORK, site="harbor"))
    unmapped: list[dict[str, object]] = []
    if example.name == "csv_file":
        unmapped = list(connectors.describe("csv_file", {"path": "in"}, home=folder, zone=NEW_YORK, site="harbor"))
    return f"{batches!r} {lines!r} {json.dumps(unmapped)}".lower()


def _parts(name: str) -> Iterator[str]:
    for part in name.replace(",", " ").replace("^", " ").split():
        if part.lower() not in ("mr.", "patient", "called"):
            yield part.lower()


quiet = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
CELLS = ("Claim", "Status", "DOS", "Sent", "Fee", "Codes", "Patient", "Notes")


@quiet
@given(names(), st.sampled_from(CELLS), st.sampled_from(["row", "broken", "banner", "footer", "headerless"]))
def test_a_name_in_any_cell_of_a_report_stays_there(tmp_path: Path, name: str, column: str, where: str) -> None:
    """Lost: a patient in a notes column, or a report with shifted columns, would stand in a problem, a log or a chat."""
    good = {
        "Claim": "C-1",
        "Status": "Sent",
        "DOS": "02/10/2026",
        "Sent": "",
        "Fee": "5.00",
        "Codes": "",
        "Patient": "",
        "Notes": "",
    }
    rows = [list(CELLS), list(good.values()), list((good | {"Claim": "C-2", column: name}).values())]
    lines = [",".join(f'"{cell}"' for cell in row) for row in rows]
    extra = {"broken": f'"{name}"x,{name}\n"{name}', "banner": "", "footer": f"{name},,,,{name}", "row": "", "headerless": ""}[
        where
    ]
    head = [f"{name},,,"] if where == "banner" else []
    put(tmp_path, "report.csv", "\n".join([*head, *(lines[1:] if where == "headerless" else lines), extra]))
    said = _said(EXAMPLES[0], tmp_path)
    assert not [part for part in _parts(name) if part in said]


SEGMENTS = (
    "NM1",
    "N1",
    "N3",
    "PER",
    "REF",
    "CLP",
    "CAS",
    "SVC",
    "TRN",
    "BPR",
    "PLB",
    "LQ",
    "MOA",
    "DTM",
    "AMT",
    "ST",
    "SE",
    "GS",
    "ISA",
)


@quiet
@given(names(), st.sampled_from(SEGMENTS), st.integers(min_value=1, max_value=12))
def test_a_name_in_any_element_of_an_era_stays_there(tmp_path: Path, name: str, tag: str, element: int) -> None:
    """Lost: a payer that writes a name where no name belongs would carry it into a key, a reason or a message."""
    text = era(
        "CLP*C-1*4*100*10*0*12*I1~NM1*QC*1*X*Y~N3*1 WAY~PER*BL*X~REF*1B*2~SVC*AD:D1110*100*10**1*AD:D1120~DTM*472*20260210"
        "~CAS*CO*16*50*1*45*40~LQ*HE*N130~AMT*B6*100~MOA***N30",
        paid="5",
        plb="PLB*1234567893*20261231*WO*5",
    )
    segments = text.split("~\n")
    for n, segment in enumerate(segments):
        parts = segment.split("*")
        if parts[0] == tag:
            parts += [""] * (element + 1 - len(parts))
            parts[element] = name.replace("*", "").ljust(len(parts[element]))
            segments[n] = "*".join(parts)
    put(tmp_path, "one.835", "~\n".join(segments))
    said = _said(EXAMPLES[1], tmp_path)
    assert not [part for part in _parts(name) if part in said]
