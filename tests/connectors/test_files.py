"""Folders that other programs fill: order, cursors, unfinished and locked files, dates in names."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors import Batch, ConnectorError, files

NEW_YORK = ZoneInfo("America/New_York")
LATER = datetime(2026, 3, 2, tzinfo=UTC)


def _batch(file: files.File, data: bytes) -> list[Batch]:
    return [Batch((), "", file.modified_at, "delta", "claim"), Batch((), "", file.modified_at, "delta", "era")]


def _names(folder: Path, cursor: str | None = None, read: Callable[[files.File, bytes], list[Batch]] = _batch) -> list[Batch]:
    return list(files.fetch(folder, ("*.csv",), cursor, "claim", lambda f: f.modified_at, read))


def _write(path: Path, text: str, minutes: int = 0) -> Path:
    path.write_text(text, "utf-8")
    at = (LATER + timedelta(minutes=minutes)).timestamp()
    os.utime(path, (at, at))
    return path


def test_files_come_oldest_first_and_once(tmp_path: Path) -> None:
    """Lost: an old report would overwrite what a newer one said, or the same file would be read at every sweep."""
    _write(tmp_path / "a.csv", "newer", 5)
    _write(tmp_path / "b.csv", "older", 1)
    batches = _names(tmp_path)
    assert [b.name for b in batches] == ["b.csv", "b.csv", "a.csv", "a.csv"]
    assert _names(tmp_path, batches[-1].cursor) == []


def test_a_late_file_with_an_older_name_is_still_read(tmp_path: Path) -> None:
    """Lost: a report that was copied a day late would be skipped for good."""
    _write(tmp_path / "claims-03.csv", "third", 5)
    cursor = _names(tmp_path)[-1].cursor
    _write(tmp_path / "claims-02.csv", "second", 1)
    assert {b.name for b in _names(tmp_path, cursor)} == {"claims-02.csv"}


def test_a_file_written_again_in_place_is_read_again(tmp_path: Path) -> None:
    """Lost: the daily export that always has the same name would be read on its first day only."""
    _write(tmp_path / "claims.csv", "monday", 1)
    cursor = _names(tmp_path)[-1].cursor
    _write(tmp_path / "claims.csv", "tuesday", 2)
    assert len(_names(tmp_path, cursor)) == 2


def test_a_file_applied_in_part_comes_again(tmp_path: Path) -> None:
    """Lost: a process killed between the checks and the claims of one ERA would never read its claims."""
    _write(tmp_path / "one.csv", "x")
    first, second = _names(tmp_path)
    assert len(_names(tmp_path, first.cursor)) == 2
    assert _names(tmp_path, second.cursor) == []


def test_hidden_temporary_and_partial_files_are_left_alone(tmp_path: Path) -> None:
    """Lost: half of a download or Excel's lock file would be quarantined as a broken report."""
    for name in (".claims.csv", "~$claims.csv", "claims.csv.part", "claims.csv.tmp", "claims.csv~", "notes.doc"):
        _write(tmp_path / name, "x")
    (tmp_path / "folder.csv").mkdir()
    _write(tmp_path / "CLAIMS.CSV", "x")
    assert {b.name for b in _names(tmp_path)} == {"CLAIMS.CSV"}


def test_a_file_that_grows_while_it_is_read_is_left_for_next_time(tmp_path: Path) -> None:
    """Lost: half a report would be taken for a whole one, and the missing claims for closed ones."""
    _write(tmp_path / "a.csv", "first")
    _write(tmp_path / "b.csv", "second", 1)

    def grows(file: files.File, data: bytes) -> list[Batch]:
        if file.name == "a.csv":
            (tmp_path / "b.csv").write_text("second and more", "utf-8")
        return _batch(file, data)

    batches = _names(tmp_path, None, grows)
    assert {b.name for b in batches} == {"a.csv"}
    assert {b.name for b in _names(tmp_path, batches[-1].cursor)} == {"b.csv"}


def test_a_file_that_vanishes_does_not_hold_up_the_others(tmp_path: Path) -> None:
    """Lost: one locked or moved file would keep every later report from being read."""
    _write(tmp_path / "a.csv", "first")
    _write(tmp_path / "b.csv", "second", 1)
    _write(tmp_path / "c.csv", "third", 2)
    got: list[Batch] = []

    def removes(file: files.File, data: bytes) -> list[Batch]:
        (tmp_path / "b.csv").unlink(missing_ok=True)
        return _batch(file, data)

    with pytest.raises(ConnectorError, match=r"b\.csv \(No such file"):
        got.extend(files.fetch(tmp_path, ("*.csv",), None, "claim", lambda f: f.modified_at, removes))
    assert [b.as_of for b in got[::2]] == [LATER, LATER + timedelta(minutes=2)]


def test_a_missing_folder_is_said_and_a_strange_cursor_starts_over(tmp_path: Path) -> None:
    """Lost: a share that is not mounted would look like a quiet day; a restored cursor would stop the feed."""
    with pytest.raises(ConnectorError, match="There is no file or folder"):
        _names(tmp_path / "nowhere")
    _write(tmp_path / "a.csv", "x")
    for cursor in ("not json", "[]", "3", '{"a.csv": "x"}'):
        assert len(_names(tmp_path, cursor)) == 2


def test_a_file_of_more_than_two_hundred_megabytes_is_quarantined_unread(tmp_path: Path) -> None:
    """Lost: one wrong file (a backup, a video) would take the machine's memory."""
    path = tmp_path / "huge.csv"
    with path.open("wb") as handle:
        handle.truncate(files.LARGEST + 1)
    (batch,) = _names(tmp_path)
    assert "200 MB" in batch.unreadable
    assert len(batch.sha256) == 64


@pytest.mark.parametrize(
    ("name", "form", "expected"),
    [
        ("claims_2026-03-02T1430.csv", "%Y-%m-%dT%H%M", "2026-03-02T19:30:00+00:00"),
        ("20260302 claims (final).csv", "%Y%m%d", "2026-03-02T05:00:00+00:00"),
        ("claims-3-2-2026.csv", "%m-%d-%Y", "2026-03-02T05:00:00+00:00"),
        ("aging 2026-01-01 run 2026-03-02.csv", "run %Y-%m-%d", "2026-03-02T05:00:00+00:00"),
        ("claims 02Mar2026 0215PM.csv", "%d%b%Y %I%M%p", "2026-03-02T19:15:00+00:00"),
        ("2026-03-08T0230.csv", "%Y-%m-%dT%H%M", "2026-03-08T07:30:00+00:00"),
        ("2026-11-01T0130.csv", "%Y-%m-%dT%H%M", "2026-11-01T05:30:00+00:00"),
    ],
)
def test_the_date_in_a_name_is_the_sites_local_time(name: str, form: str, expected: str) -> None:
    """Lost: a report of 2.30 pm in New York would count as one of the morning, and stale an hour too late or early.

    The last two: a time that the clocks skip is moved on by that hour; of an hour that comes twice the first is meant.
    """
    assert files.date_in_name(name, form, NEW_YORK).isoformat() == expected


@pytest.mark.parametrize(
    ("name", "form", "why"),
    [
        ("claims.csv", "%Y-%m-%d", "no date"),
        ("claims 2026-13-40.csv", "%Y-%m-%d", "no date"),
        ("claims 202603021430.csv", "%Y%m%d", "no date"),
        ("2026112.csv", "%Y%m%d", "no date"),
        ("aging 2026-01-01 to 2026-03-02.csv", "%Y-%m-%d", "two dates"),
    ],
)
def test_a_name_without_exactly_one_date_is_said(name: str, form: str, why: str) -> None:
    """Lost: a report would be taken as of a day that somebody guessed."""
    with pytest.raises(ValueError, match=why):
        files.date_in_name(name, form, NEW_YORK)


@pytest.mark.parametrize(
    "form", ["", "%Y", "%m-%d", "%H%M", "%Y-%m-%d %Q", "%Y-%m-%d %I:%M", "%Y-%m-%d %Y", "%", "%Z %Y-%m-%d"]
)
def test_a_format_that_does_not_fix_a_day_is_refused(form: str) -> None:
    """Lost: %I without %p would put every afternoon into the morning."""
    with pytest.raises(ValueError, match=r"\w"):
        files.check_format(form)


@settings(max_examples=100, deadline=None)
@given(
    st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2090, 1, 1)),  # noqa: DTZ001 - wall-clock times
    st.sampled_from(["America/New_York", "America/Phoenix"]),
)
def test_a_moment_written_into_a_name_is_found_again(moment: datetime, zone: str) -> None:
    """Lost: some hour of some day of the year is read as another one."""
    form = "%Y-%m-%dT%H%M%S"
    name = f"claims_{moment:{form}}_v2.csv"
    expected = moment.replace(microsecond=0, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    assert files.date_in_name(name, form, ZoneInfo(zone)) == expected
