"""The feeds' patients are known where staff type them, and nothing of their names is kept (PROMISES 26 and 28)."""

from __future__ import annotations

import logging
import random
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, delete, func
from sqlmodel import select

import connectors
from bot import cards, patients, phi, records
from bot.backup import backup, restore
from bot.patients import Patients
from bot.records import Conversation, Note, PatientMark, Question, read, write
from connectors import Batch
from tests.behaviour.small import MAP, NEW_YORK, START, Opens, Small, settings_of
from tests.connectors.era_text import era
from tests.fakes.openai import OpenAI, honest
from tests.test_phi import ERA_FEED, folded

IN_CSV = {
    "Quillonby, Zbysława": "zbysława quillonby", "Ó Dreabháin, Aoibhfhionn": "aoibhfhionn o dreabhain",
    "van der Pruyk, Ottoline": "OTTOLINE VAN DER PRUYK", "D'Ambrazine, Jolenka": "dambrazine, jolenka",
}  # fmt: skip
"""As the report has them, and as somebody types them. No list of ours has these names."""
IN_ERA = {"THRENNICK-VAULSER*ISMAYA*Q": "ismaya thrennick vaulser", "KETTLEBRAND*OSWYNNE": "kettelbrand"}
"""The second with a slip of the finger."""
TYPED = {**IN_CSV, **IN_ERA}
KEY = bytes(range(32))
TODAY = START.date()


def words(name: str) -> list[str]:
    """The words by which somebody could know who is meant, folded."""
    return [w for part in name.replace(",", " ").replace("*", " ").replace("-", " ").split() if len(w := folded(part)) > 3]


def names_in(text: str) -> list[str]:
    said = folded(text)
    return [word for name in [*TYPED, *TYPED.values()] for word in words(name) if word in said]


def exported(small: Small, *, title: str = "Patient") -> None:
    """A claims report and an ERA of the practice's software, with these patients in them."""
    report = small.home / "exports" / "harbor-claims" / f"claims_{small.clock.now().astimezone(NEW_YORK):%Y-%m-%dT%H%M}.csv"
    rows = ["Claim #,Status,Sent,Last activity,Fee"]
    rows += [f"C-{n},Sent,2026-02-27 09:00,2026-03-02 08:30,125.00" for n in range(len(IN_CSV))]
    if title:
        rows = [f'{row},"{cell}"' for row, cell in zip(rows, [title, *IN_CSV], strict=True)]
    report.write_text("\n".join(rows) + "\n", "utf-8")
    folder = small.home / "exports" / "harbor-era"
    folder.mkdir(exist_ok=True)
    if ERA_FEED not in (small.home / "feeds.toml").read_text():
        (small.home / "feeds.toml").write_text((small.home / "feeds.toml").read_text() + ERA_FEED)
    who = [f"NM1*{code}*1*{name}" for code, name in zip(("QC", "IL"), IN_ERA, strict=True)]
    text = era(f"CLP*E-1*1*75*75**12*ICN1~{'~'.join(who)}~SVC*AD:D1110*75*75~DTM*472*20260227")
    (folder / "era_2026-03-02T0830.835").write_text(text)
    small.report("pine")


def stored(home: Path) -> str:
    """Every file that an installation wrote, its exports aside, as text."""
    files = [p for p in home.rglob("*") if p.is_file() and "exports" not in p.relative_to(home).parts]
    return "\n".join(p.read_bytes().decode("utf-8", "replace") for p in files)


def count(engine: Engine) -> int:
    with read(engine) as session:
        return int(session.scalar(select(func.count()).select_from(PatientMark)) or 0)


# --- what staff type -------------------------------------------------------------------------------------------------------


def test_a_patient_of_the_feeds_is_known_in_a_question_a_note_and_what_a_model_is_sent(
    opens: Opens, caplog: pytest.LogCaptureFixture
) -> None:
    """Lost: the practice's own patients, whom it names to us in every export, are kept, logged and sent to a company."""
    caplog.set_level(logging.DEBUG)
    service = OpenAI(honest)
    with service.serving() as url:
        small = opens(settings={"model": "openai:stand-in", "model_url": url, "model_key": "k"})
        small.tick()
        before = small.holdfast.house
        assert "quillonby" in cards.redact("zbysława quillonby called", patients=before.patients)
        exported(small)
        small.tick()
        for typed in TYPED.values():
            small.holdfast.ask("bea", f"how do I post an ERA payment for {typed}")
            small.holdfast.ask("bea", f"{typed} called, what do I do about a denied claim")
        asked = len(service.asked)
        target = small_nudge(small)
        for n, typed in enumerate(TYPED.values()):
            small.holdfast.press("bea", "cant", target, f"waiting-on-patient {typed} has to call back", f"k{n}")
        with read(small.holdfast.engine) as session:
            kept = [q.asked for q in session.exec(select(Question))] + [n.text for n in session.exec(select(Note))]
            kept += [turn for row in session.exec(select(Conversation)) for turn in row.turns]
        small.holdfast.close()
    assert asked and len(kept) > 2 * len(TYPED)
    assert any("call back" in text for text in kept)
    assert names_in("\n".join(kept)) == []
    assert names_in(str(service.asked)) == []
    assert names_in(caplog.text) == []
    assert names_in(stored(small.home)) == []


def small_nudge(small: Small) -> str:
    """The nudge of a claim of the report that has stalled."""
    small.until(START + timedelta(days=2))
    return small.nudge("C-0").id


def test_our_own_peoples_names_stay_in_what_is_asked(opens: Opens) -> None:
    """Lost: “ask Rae Whitlock” would tell nobody whom to ask, because a patient is called Whitlock too."""
    small = opens()
    exported(small)
    (small.home / "exports" / "harbor-era" / "era_2026-03-02T0845.835").write_text(
        era("CLP*E-2*1*75*75**12*ICN2~NM1*QC*1*WHITLOCK*JUNIPERA~SVC*AD:D1110*75*75", trace="EFT2")
    )
    small.tick()
    redacted = [
        cards.redact(text, [p.name for p in small.holdfast.practice.people.values()], patients=small.holdfast.house.patients)
        for text in ("Rae Whitlock says Bea posts it", "junipera whitlock says bea posts it")
    ]
    assert redacted == ["Rae Whitlock says Bea posts it", "[…] says bea posts it"]


def test_a_lookup_that_fails_withholds_what_was_typed(opens: Opens) -> None:
    """Lost: the one moment in which the database does not answer is the one in which a name goes through."""
    small = opens()
    exported(small)
    small.tick()
    with write(small.holdfast.engine) as session:
        session.execute(delete(PatientMark))
    assert cards.redact("the crown is loose", patients=small.holdfast.house.patients) == "the crown is loose"
    broken = Patients(records.open_engine(f"sqlite:///{small.home / 'empty.sqlite'}"), KEY)
    assert cards.redact("the crown is loose", patients=broken) == phi.MARK


@pytest.mark.parametrize("title", ["Guest", ""])
def test_a_report_whose_name_column_is_renamed_or_gone_is_read_all_the_same(opens: Opens, title: str) -> None:
    """Lost: a column that nothing is judged by would stop a feed, and with it all nudges."""
    small = opens()
    (small.home / "maps" / "claims.toml").write_text('patients = ["Patient", ["Last name", "First name"]]\n' + MAP)
    exported(small, title=title)
    swept = small.tick()
    assert (swept.pulled["harbor-claims"], swept.problems) == (len(IN_CSV), [])
    small.clock.at += timedelta(hours=1)
    exported(small)
    small.tick()
    assert "quillonby" not in cards.redact("quillonby called", patients=small.holdfast.house.patients)


# --- what connectors hand on -----------------------------------------------------------------------------------------------


def heard_from(folder: Path, header: str, *rows: str, more: str = "") -> set[str]:
    """The names that the report's connector has sealed."""
    names: list[str] = []
    (folder / "map.toml").write_text(more + 'kind = "claim"\ncovers = "delta"\n[keys]\nclaim_no = "Claim"\n')
    (folder / "report.csv").write_text("\n".join([header, *rows]) + "\n", "utf-8")
    feed = connectors.connect(
        "csv_file", {"path": "report.csv", "map": "map.toml"}, home=folder, zone=NEW_YORK, site="harbor",
        seal=noting(names),
    )  # fmt: skip
    assert [b.patients for b in feed.fetch(None)] == [frozenset()]
    return set(names)


def noting(names: list[str]) -> connectors.Seal:
    """A Seal that hands on nothing and notes what it was given."""

    def seal(name: str) -> list[str]:
        names.append(name)
        return []

    return seal


@pytest.mark.parametrize(
    ("header", "row", "names"),
    [
        ("Claim,Patient", 'C-1,"Alvarez, Maria"', {"Alvarez, Maria"}),
        ("Claim,PATIENT_NAME,Guarantor", "C-1,Maria Alvarez,Self", {"Maria Alvarez"}),
        ("Claim,Pt Last Name,Pt. First Name", "C-1,Young,Will", {"Young, Will"}),
        ("Claim,Last,First,Subscriber Name", "C-1,Young,Will,Ann Young", {"Young, Will", "Ann Young"}),
        ("Claim,Last visit,First contact,Provider", "C-1,02/03/2026,02/04/2026,Dr Ann Young", set()),
        ("Claim,Patient", f'C-1,"{"Alvarez, Maria " * 9}"', set()),
        ("Claim,Patient", ',"Alvarez, Maria"', {"Alvarez, Maria"}),
    ],
)
def test_names_are_found_by_the_titles_that_reports_give_them(tmp_path: Path, header: str, row: str, names: set[str]) -> None:
    """Lost: a practice that never heard of the option `patients` would have none of its patients known."""
    assert heard_from(tmp_path, header, row) == names


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ('patients = "Who"', {"Alvarez"}),
        ('patients = ["who", ["Family", "Given", "Called"]]', {"Alvarez", "Young, Will Billy"}),
        ('patients = [["Family", "Nowhere"]]', {"Young"}),
        ("patients = []", set()),
    ],
)
def test_a_map_names_the_columns_of_names_and_then_no_other_is_one(tmp_path: Path, given: str, names: set[str]) -> None:
    """Lost: a report with titles of its own could not be told apart, or one with a column of other people not be left alone."""
    header, row = "Claim,Who,Family,Given,Called,Patient", "C-1,Alvarez,Young,Will,Billy,Ann Smith"
    assert heard_from(tmp_path, header, row, more=given + "\n") == names


@pytest.mark.parametrize("given", ["patients = 1", "patients = [[]]", 'patients = ["", "Who"]', "patients = [[1]]"])
def test_a_mistake_in_the_columns_of_names_is_said_with_its_line(tmp_path: Path, given: str) -> None:
    """Lost: a typo would leave a practice unprotected without a word."""
    with pytest.raises(connectors.ConnectorError, match=r"map\.toml, line 1, patients: is a list of the columns"):
        heard_from(tmp_path, "Claim,Who", "C-1,Alvarez", more=given + "\n")


def test_an_era_names_patients_and_subscribers_and_no_company_or_provider(tmp_path: Path) -> None:
    """Lost: the names that payers write, or ordinary words that are a clearinghouse's name, taken out of every question."""
    names: list[str] = []
    loops = (
        "NM1*QC*1*ALVAREZ*MARIA*ELENA~NM1*IL*1*PEÑA*JOSÉ~NM1*74*1*ALVARES*MARIA~NM1*82*1*YOUNG*ANN"
        "~NM1*TT*2*DELTA DENTAL~NM1*QC*2*SMILE TRUST"
    )
    (tmp_path / "one.835").write_text(era(f"CLP*C-1*1*75*75**12*I1~{loops}"), "utf-8")
    options = {"path": "one.835"}
    feed = connectors.connect("era835", options, home=tmp_path, zone=NEW_YORK, site="harbor", seal=noting(names))
    assert len(list(feed.fetch(None))) == 2
    assert set(names) == {"ALVAREZ, MARIA ELENA", "PEÑA, JOSÉ", "ALVARES, MARIA"}


def test_a_batch_takes_nothing_but_hashes_of_names() -> None:
    """Lost: a connector with a mistake in it would carry names through the seam."""
    for wrong in ("Alvarez, Maria", "f:mariaalvarez", "a" * 31, "A" * 32, "1" * 33):
        with pytest.raises(ValueError, match="sealed"):
            Batch((), "", START, "delta", "claim", patients=frozenset({wrong}))


def test_what_bot_feed_prints_counts_the_names_and_shows_none(tmp_path: Path) -> None:
    """Lost: nobody could see, before a feed is listed, whether its patients will be known."""
    heard_from(tmp_path, "Claim,Patient", 'C-1,"Quillonby, Zbysława"', 'C-2,"Quillonby, Zbysława"', "C-3,Ann Young")
    options = {"path": "report.csv", "map": "map.toml"}
    lines = list(connectors.describe("csv_file", options, home=tmp_path, zone=NEW_YORK, site="harbor"))
    assert [line["patients"] for line in lines if line["type"] == "file"] == [2]
    assert names_in(str(lines)) == []


# --- the table -------------------------------------------------------------------------------------------------------------


def of(engine: Engine, key: bytes = KEY) -> Patients:
    return Patients(engine, key)


def test_what_a_feed_named_is_known_and_nothing_else_is(both_engines: Engine) -> None:
    """Lost: the recogniser would ask, and the table answer, in two languages."""
    one = of(both_engines)
    patients.remember(both_engines, "claims", set(one.seal("van der Pruyk, Ottoline")), START)
    assert set(one.among({"s:pruyk", "g:ottoline", "f:ottolinevanderpruyk", "s:young", "g:pruyk"})) == {
        "s:pruyk", "g:ottoline", "f:ottolinevanderpruyk",
    }  # fmt: skip
    assert set(one.among(phi.marks_of("Ottoline van der Pruyk"))) >= {"s:pruyk", "f:ottolinepruyk"}
    assert list(one.among(())) == []
    assert list(of(both_engines, bytes(32)).among(phi.marks_of("van der Pruyk, Ottoline"))) == []


def test_a_text_of_any_length_is_one_question_to_the_table(both_engines: Engine) -> None:
    """Lost: a long text would meet the limit of parameters, fail, and be withheld for ever."""
    one = of(both_engines)
    patients.remember(both_engines, "claims", set(one.seal("Alvarez, Maria")), START)
    asked = [f"s:{n}" for n in range(70_000)]
    assert list(one.among([*asked, "s:alvarez"])) == ["s:alvarez"]


def test_the_same_names_again_change_nothing_and_the_last_day_stands(both_engines: Engine) -> None:
    """Lost: each export would write the table anew, or a late reading make a patient look gone."""
    one, later = of(both_engines), START + timedelta(days=3)
    sealed = set(one.seal("Alvarez, Maria"))
    for when in (START, later, START):
        patients.remember(both_engines, "claims", sealed, when)
    patients.remember(both_engines, "era", sealed, START)
    assert count(both_engines) == 2 * len(sealed)
    with read(both_engines) as session:
        days = {(row.feed, row.seen_on) for row in session.exec(select(PatientMark))}
    assert days == {("claims", later.date()), ("era", TODAY)}


def test_whom_no_feed_names_any_more_is_forgotten(both_engines: Engine) -> None:
    """Lost: the table would hold everybody who ever was a patient."""
    one = of(both_engines)
    patients.remember(both_engines, "claims", set(one.seal("Alvarez, Maria")), START)
    patients.remember(both_engines, "gone", set(one.seal("Young, Will")), START)
    for days in (0, 365, 729):
        patients.remember(both_engines, "claims", set(one.seal("Alvarez, Maria")), START + timedelta(days=days))
        patients.forget(both_engines, START + timedelta(days=days))
        assert set(one.among({"s:alvarez", "s:young"})) == {"s:alvarez", "s:young"}
    patients.forget(both_engines, START + patients.KEPT + timedelta(days=1))
    assert list(one.among({"s:alvarez", "s:young"})) == ["s:alvarez"]


def test_two_who_read_the_same_file_at_once_both_end(both_engines: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost: a sweep by hand beside the clock would fail on a key that is taken, and the feed with it."""
    monkeypatch.setattr(patients, "_TOGETHER", 7)
    sealed = [mark for name in ("Alvarez, Maria", "Young, Will", "Thistlewood, Ann") for mark in of(both_engines).seal(name)]
    failed: list[Exception] = []

    def remember(seed: int) -> None:
        try:
            patients.remember(both_engines, "claims", random.Random(seed).sample(sealed, len(sealed)), START)
        except Exception as bad:
            failed.append(bad)

    threads = [threading.Thread(target=remember, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    assert count(both_engines) == len(set(sealed))


@pytest.mark.parametrize(
    ("name", "known"),
    [("PATIENT, ONE", False), ("Self", False), ("Same as patient", False), ("None", False), ("", False), ("12345", False),
     ("Self, John", True), ("Young", True), ("Test, Ann", True)],
)  # fmt: skip
def test_what_only_stands_in_a_names_place_is_no_patient(engine: Engine, name: str, known: bool) -> None:
    """Lost: one row “Self” or “PATIENT ONE” would take the words self and patient out of every question."""
    assert bool(list(of(engine).seal(name))) is known


def test_the_key_is_made_once_and_comes_back_with_a_backup(both_engines: Engine, tmp_path: Path) -> None:
    """Lost: after a restore, or on a second machine, no patient would be known, and nobody would notice."""
    keys: list[bytes] = []
    threads = [threading.Thread(target=lambda: keys.append(patients.key(both_engines, START))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(keys) == 4 and len(set(keys)) == 1 and len(keys[0]) == 32
    one = of(both_engines, keys[0])
    patients.remember(both_engines, "claims", set(one.seal("Quillonby, Zbysława")), START)
    (home := tmp_path / "there").mkdir()
    backup(both_engines, home, tmp_path / "b", now=START)
    url = f"sqlite:///{tmp_path / 'other' / 'holdfast.sqlite'}"
    restore(tmp_path / "b", tmp_path / "other", url, now=START)
    other = records.open_engine(url)
    assert list(of(other, patients.key(other, START)).among({"s:quillonby"})) == ["s:quillonby"]
    assert names_in((tmp_path / "b").read_bytes().decode("latin-1") + stored(tmp_path / "other")) == []
    other.dispose()


def test_a_second_process_of_the_installation_knows_the_same_patients(opens: Opens) -> None:
    """Lost: the process that answers would not know whom the process that reads has read."""
    from bot.app import Holdfast

    small = opens()
    exported(small)
    small.tick()
    beside = Holdfast(settings_of(small.home), small.clock)
    assert set(beside.patients.among({"s:quillonby", "s:kettlebrand", "s:nobody"})) == {"s:quillonby", "s:kettlebrand"}
    beside.close()
