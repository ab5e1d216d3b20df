"""No patient leaves the building: 300 invented people in every field of every input, and every byte that goes out is read.

PROMISES 26 (nothing of them in messages, pages, command output, logs) and 32 (nothing is fetched from anywhere).
"""

from __future__ import annotations

import csv
import io
import json
import logging
import random
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlmodel import select
from starlette.applications import Starlette
from starlette.testclient import TestClient

from bot.__main__ import main
from bot.platforms.console.page import Page
from bot.platforms.console.plain import plain
from bot.records import ConsoleMessage, ItemKey, read
from tests.behaviour.small import MAP, PRACTICE, STALLED, START, Opens, Small, at
from tests.connectors.era_text import check, envelope

TOKEN, HOST = "a-token-for-tests-only", "127.0.0.1:8377"
ERA_FEED = """
[feeds.harbor-era]
connector = "era835"
site = "harbor"
path = "exports/harbor-era"
stale_after = "30 d"
as_of = "name:%Y-%m-%dT%H%M"
"""


@dataclass(frozen=True)
class Patient:
    """One invented person, with all by which somebody could know them."""

    first: str
    last: str
    born: date
    phone: str
    member: str
    email: str
    street: str

    @property
    def known(self) -> tuple[str, ...]:
        """What must be found nowhere, each long and odd enough to stand for nothing else."""
        born = (f"{self.born:%m/%d/%Y}", f"{self.born:%Y-%m-%d}", f"{self.born:%Y%m%d}")
        return (self.first, self.last, *born, self.phone, self.member, self.email, self.street)


def invented(number: int = 300) -> list[Patient]:
    """People with odd names: accents, apostrophes, hyphens, particles, capitals within, other alphabets."""
    chance = random.Random(26)
    vowels, consonants = "aeiouyåéïøü", "bcdfghjklmnpqrstvwxzçñß"
    seen: set[str] = set()

    def word(syllables: int) -> str:
        while True:
            made = "".join(chance.choice(consonants) + chance.choice(vowels) for _ in range(syllables))
            if folded(made) not in seen:
                seen.add(folded(made))
                return made

    shapes = ("{a}", "O'{a}", "{a}-{b}", "van der {a}", "Mc{a}", "{a} {b}", "D'{a}ō", "Ивано{a}", "{A}", "de la {a}")
    people = []
    for n in range(number):
        last = shapes[n % len(shapes)].format(a=word(4).title(), b=word(4).title(), A=word(4).upper())
        born = date(1931, 1, 1) + timedelta(days=chance.randrange(25_000))
        phone = f"({chance.randrange(200, 999)}) 555-{chance.randrange(1000, 9999)}"
        member = f"{word(2).upper()}{chance.randrange(10**8, 10**9)}"
        mail = f"{folded(word(4))}@example.org"
        people.append(Patient(word(4).title(), last, born, phone, member, mail, f"{n + 11} {word(4).title()} Lane"))
    return people


def folded(text: str) -> str:
    """Letters and digits alone, without accents or case: so that no other spelling of the same name gets through."""
    plain_text = unicodedata.normalize("NFKD", text).casefold()
    return "".join(char for char in plain_text if char.isalnum())


def hits(people: list[Patient], *texts: str) -> list[str]:
    """Which known values are in these texts: words folded, numbers in any grouping (but not by chance within a hash)."""
    lines = "\n".join(dict.fromkeys(line for text in texts for line in text.splitlines()))
    searched, numbers = folded(lines), set(_numbers(lines))
    return [
        value
        for person in people
        for value in person.known
        if (folded(value) in numbers if folded(value).isdigit() else folded(value) in searched)
    ]


def _numbers(text: str) -> Iterator[str]:
    """Every number, and every run of up to three that only punctuation parts, as bare digits."""
    for found in re.finditer(r"(?<![0-9A-Za-z])\d+(?:[-/. ()]{1,2}\d+)*(?![0-9A-Za-z])", text):
        groups = re.findall(r"\d+", found[0])
        yield from ("".join(groups[i : i + n]) for n in (1, 2, 3) for i in range(len(groups)))


# --- inputs ----------------------------------------------------------------------------------------------------------------


def claims_csv(people: list[Patient], home: Path, name: str, *, spoiled: bool) -> Path:
    """A claims report with a patient in columns that the map does not name, and in those that it does.

    spoiled   also in the key, the status, the codes, the money and the dates
    """
    path = home / "exports" / "harbor-claims" / name
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        free = ["Patient", "DOB", "Phone", "Member ID", "E-mail", "Address", "Notes"]
        rows.writerow(["Claim #", "Status", "Sent", "Last activity", "Fee", "Codes", *free])
        for n, p in enumerate(people):
            note = f"{p.first} {p.last} ({p.born}) called about member {p.member}; write to {p.email}\nor {p.street}"
            about = [f"{p.last}, {p.first}", f"{p.born:%m/%d/%Y}", p.phone, p.member, p.email, p.street, note]
            cells = [
                f"C-{90_000 + n}",
                "Sent" if n % 4 == 0 else "Paid",
                "2026-02-27 09:00",
                "2026-03-02 08:30",
                "1,250.00",
                "CO-16",
            ]
            if spoiled:
                cells[n % 6] = about[n // 6 % 7]
            rows.writerow([*cells, *about])
    return path


def era_text(people: list[Patient]) -> str:
    """An ERA with a patient in every name, reference, contact, remark and id."""
    sets = []
    for n, p in enumerate(people):
        plain_last, plain_first = (re.sub(r"[*:~^]", "", word).upper() for word in (p.last, p.first))
        loop = (
            f"CLP*E-{70_000 + n}*{'1' if n % 3 else '4'}*75*{'75' if n % 3 else '0'}**12*{p.member}ICN~"
            f"CAS*CO*16*0~NM1*QC*1*{plain_last}*{plain_first}****MI*{p.member}~NM1*74*1*{plain_last}*{plain_first}~"
            f"NM1*82*1*{plain_last}*{plain_first}~REF*EA*{p.member}~REF*1L*{plain_last} {plain_first}~"
            f"DTM*232*{p.born:%Y%m%d}~DTM*036*{p.born:%Y%m%d}~PER*CX*{plain_last}*TE*{p.phone}*EM*{p.email}~AMT*AU*75~"
            f"SVC*AD:D1110*75*{'75' if n % 3 else '0'}~DTM*472*20260227~REF*6R*{p.member}~LQ*HE*{plain_last}"
        )
        paid = "75.00" if n % 3 else "0.00"
        made = check(loop, paid=paid, trace=f"EFT{n:07}", control=f"{n + 1:04}")
        made = [s.replace("EXAMPLE DENTAL PLAN", f"{plain_first} {plain_last} PLAN") for s in made]
        sets.append(made)
    return envelope(sets)


# --- outputs ---------------------------------------------------------------------------------------------------------------


class Heard(logging.Handler):
    """Every log line of everybody, with its traceback."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter("%(name)s %(message)s"))
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture
def heard() -> Iterator[Heard]:
    root, handler = logging.getLogger(), Heard()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.removeHandler(handler)
    root.setLevel(before)


@pytest.fixture
def small(opens: Opens) -> Small:
    opened = opens()
    opened.holdfast.settings = replace(opened.holdfast.settings, bundle_from=0)  # every card, not a summary of them
    home = opened.home
    (home / "maps" / "claims.toml").write_text(MAP + 'reasons = { column = "Codes", separator = " " }\n')
    (home / "feeds.toml").write_text((home / "feeds.toml").read_text() + ERA_FEED)
    (home / "exports" / "harbor-era").mkdir()
    return opened


def pages(small: Small) -> Iterator[str]:
    """Every page of everybody, but the one that resolves references."""
    app = Starlette(routes=Page(small.holdfast, TOKEN, [HOST]).routes())
    with read(small.holdfast.engine) as session:
        refs = sorted({m.card["ref"] for m in session.exec(select(ConsoleMessage)) if m.card.get("ref")})
    with TestClient(app, base_url=f"http://{HOST}/{TOKEN}/") as client:
        for person in ("bea", "rae", "mona", "olu", "tom"):
            for path in ("", "my-day", "digest"):
                yield client.get(path, params={"as": person}).text
        for ref in refs[:25]:
            yield client.get(f"trail/{ref}", params={"as": "bea"}).text


def terminal(small: Small, *lines: str) -> Iterator[str]:
    for as_json in (True, False):
        out = io.StringIO()
        plain(small.holdfast, io.StringIO("\n".join([*lines, "quit"]) + "\n"), out, json=as_json)
        yield out.getvalue()


def stored_messages(small: Small) -> list[str]:
    with read(small.holdfast.engine) as session:
        found = session.exec(select(ConsoleMessage)).all()
    return [json.dumps(m.card, ensure_ascii=False) for m in found]


def press_everything(small: Small, people: list[Patient]) -> list[str]:
    """Bea answers each of her nudges, and names a patient in every note and every question."""
    said = []
    answers = [("on_it", ""), ("cant", "waiting-on-patient {}"), ("wrong", "other {}"), ("snooze", "{}"), ("cant", "{}")]
    with read(small.holdfast.engine) as session:
        targets = [b["target"] for m in session.exec(select(ConsoleMessage)) for b in m.card.get("buttons", [])[:1]]
    for n, target in enumerate(list(dict.fromkeys(targets))[:50]):
        p, (verb, note) = people[n % len(people)], answers[n % len(answers)]
        words = f"{p.first} {p.last} {p.phone} {p.born:%m/%d/%Y} {p.email} {p.member}".title()
        card = small.holdfast.press("bea", verb, target, note.format(words), f"key-{n}")
        said.append(json.dumps(card.as_json(), ensure_ascii=False))
    for p in people[:10]:
        card = small.holdfast.ask("bea", f"What do I tell {p.first.title()} {p.last.title()}, {p.phone}?")
        said.append(json.dumps(card.as_json(), ensure_ascii=False))
    return said


# --- the promise -----------------------------------------------------------------------------------------------------------


def test_three_hundred_patients_in_every_field_are_found_nowhere_outside(
    small: Small, heard: Heard, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without this a chat service, a log file or a screenshot holds somebody's health."""
    people, home = invented(), small.home
    clean = claims_csv(people, home, "claims_2026-03-02T0900.csv", spoiled=False)
    (home / "exports" / "harbor-era" / "era_2026-03-02T0830.835").write_text(era_text(people[:60]))
    small.report("pine")
    small.tick()
    small.until(STALLED)
    assert len([m for m in stored_messages(small) if "Claim not touched" in m]) >= 75
    out = press_everything(small, people)
    small.clock.at = STALLED + timedelta(hours=1)
    spoiled = claims_csv(people, home, "claims_2026-03-04T0930.csv", spoiled=True)
    broken = home / "exports" / "harbor-claims" / "claims_2026-03-04T1000.csv"
    broken.write_text(f"{people[0].first};{people[0].last}\n" * 40)
    unreadable = home / "exports" / "harbor-era" / "era_2026-03-04T0900.835"
    unreadable.write_text(f"{people[1].first} {people[1].last} " * 40)
    swept = small.tick()
    assert swept.problems
    out += swept.problems
    small.until(at("2026-03-04", "12:45"))
    out += stored_messages(small)
    out += pages(small)
    out += terminal(small, "as bea", "inbox", "my day", "as mona", "digest", "trail", "people", "help")
    out += [json.dumps(small.holdfast.health(), default=str), *map(str, small.holdfast.check())]
    small.holdfast.engine.dispose()
    monkeypatch.setenv("HOLDFAST_HOME", str(home))
    era = home / "exports" / "harbor-era" / "era_2026-03-02T0830.835"
    capfd.readouterr()
    for words in (
        ["health", "--json"], ["check"], ["digest", "--json"], ["sweep", "--now", "2026-03-04T18:00:00+00:00", "--json"],
        ["sweep", "--now", "2026-03-04T18:05:00+00:00"], ["evidence", "show", "--last", "1000", "--json"],
        ["evidence", "export"],
    ):  # fmt: skip
        main(words)
    out += capfd.readouterr()
    for file in (clean, spoiled):
        main(["feed", "csv_file", str(file), "--map", str(home / "maps" / "claims.toml"), "--json"])
        problems = [line for line in capfd.readouterr().out.splitlines() if json.loads(line)["type"] != "row"]
        out += problems  # rows show keys: a patient's member number as claim number is the practice's own doing
    main(["feed", "csv_file", str(clean)])
    main(["feed", "era835", str(era)])
    captured = capfd.readouterr()
    assert len(captured.out) > 1000

    out += [captured.err]
    assert hits(people, *out) == []
    assert hits(people, *heard.lines) == []
    assert len(out) > 200


def test_names_reach_no_table(small: Small) -> None:
    """Without this a backup, a support case or a stolen laptop holds the names of all patients."""
    people = invented(30)
    claims_csv(people, small.home, "claims_2026-03-02T0900.csv", spoiled=False)
    (small.home / "exports" / "harbor-era" / "era_2026-03-02T0830.835").write_text(era_text(people[:20]))
    small.tick()
    small.until(STALLED)
    press_everything(small, people)
    small.holdfast.close()
    stored = b"".join(path.read_bytes() for path in small.home.glob("holdfast.sqlite*")).decode("utf-8", "replace")
    names = [value for p in people for value in (p.first, p.last, p.phone, p.email, p.street)]
    assert [name for name in names if name in stored or folded(name) in stored] == []


def test_a_claim_number_is_shown_only_where_a_reference_is_resolved(small: Small) -> None:
    """Without this the source's own key links every message to a chart."""
    people = invented(20)
    claims_csv(people, small.home, "claims_2026-03-02T0900.csv", spoiled=False)
    small.report("pine")
    small.tick()
    small.until(STALLED)
    with read(small.holdfast.engine) as session:
        numbers = [key.value for key in session.exec(select(ItemKey))]
    assert len(numbers) == 20
    everything = "\n".join([*stored_messages(small), *pages(small), *terminal(small, "as bea", "inbox", "my day")])
    assert [number for number in numbers if number in everything] == []
    ref = next(m for m in small.holdfast.messages("bea") if m.card and m.card.ref).card
    assert ref is not None
    app = Starlette(routes=Page(small.holdfast, TOKEN, [HOST]).routes())
    with TestClient(app, base_url=f"http://{HOST}/{TOKEN}/") as client:
        shown = client.get(f"r/{ref.ref}", params={"as": "bea"}).text
        hidden = client.get(f"r/{ref.ref}", params={"as": "tom"}).text
    assert any(number in shown for number in numbers)
    assert not any(number in hidden for number in numbers)
    assert hits(people, shown) == []


def test_the_scan_would_find_them() -> None:
    """Without this the promise above could hold because nothing was looked for."""
    people = invented(10)
    for person in people:
        for value in person.known:
            assert hits(people, f"… {value.upper()} …")
    assert len({folded(v) for p in invented() for v in p.known}) > 2000
    assert not hits(people, PRACTICE + MAP + str(START))
