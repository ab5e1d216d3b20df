"""The practice file: what the docs show loads, and every mistake is named at its line, all at once."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.hours import Clock, closing, opening, parse_hours
from bot.practice import BUNDLED_ROLES, IN_CHARGE, MANAGER, PracticeError, load_practice, load_roles, toml_lines

ROOT = Path(__file__).parent.parent
ROLES = load_roles()

GOOD = """\
[organisation]
name = "Harbor & Pine Dental"

[sites.harbor]
name = "Harbor"
time_zone = "America/New_York"
manager = "mona"
hours = { mon-thu = "08:00-17:00", fri = "08:00-14:00" }

[people.mona]
name = "Mona Ferris"
roles = ["office_manager@harbor"]
cover = ["olu"]

[people.olu]
name = "Dr. Olu Abayomi"
roles = ["owner_dentist@*"]

[people.bea]
name = "Bea Lindqvist"
roles = ["billing_coordinator@harbor"]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "practice.toml"


def errors(file: Path, text: str | bytes) -> list[tuple[int, str]]:
    """What `load_practice` says of a text: (line, sentence) each."""
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(PracticeError) as caught:
        load_practice(file, ROLES)
    assert all(finding.severity == "error" and finding.file == str(file) for finding in caught.value.findings)
    return [(finding.line, finding.what) for finding in caught.value.findings]


def line(text: str, needle: str) -> int:
    """The line on which `needle` stands, from 1; it stands there once."""
    assert text.count(needle) == 1, needle
    return text[: text.index(needle)].count("\n") + 1


def warnings(file: Path, text: str) -> list[tuple[int, str]]:
    file.write_text(text)
    return [(finding.line, finding.what) for finding in load_practice(file, ROLES).warnings]


# --- good files ------------------------------------------------------------------------------------------------------------


def docs_examples() -> list[str]:
    return re.findall(r"```toml\n(.*?)```", (ROOT / "docs/practice.md").read_text(), re.DOTALL)


def test_the_example_of_the_docs_loads_without_a_word(file: Path) -> None:
    """An office manager begins by copying it; it must not be refused."""
    file.write_text(docs_examples()[0])
    practice = load_practice(file, ROLES)
    assert practice.warnings == ()
    assert list(practice.sites) == ["harbor", "pine"]
    assert practice.managers == {"harbor": "mona", "pine": "mona"}


def test_every_further_example_of_the_docs_is_valid_where_it_belongs(file: Path, tmp_path: Path) -> None:
    """A line of the docs that does not load costs a practice an evening."""
    fragments = docs_examples()[1:-1]
    assert len(fragments) == 5
    for fragment in fragments:
        data = tomllib.loads(fragment)
        base = docs_examples()[0]
        for name in [f"{kind}.{id}" for kind, tables in data.items() for id in tables]:
            base = re.sub(rf"^\[{name}\]\n.*?(?=^\[|\Z)", "", base, flags=re.DOTALL | re.MULTILINE)
        file.write_text(base + "\n" + fragment)
        load_practice(file, ROLES)
    file.unlink()
    (tmp_path / "billing_coordinator.toml").write_text(docs_examples()[-1])
    (tmp_path / "rcm_specialist.toml").write_text('title = "RCM specialist"\nwhat = "Follows up."')
    assert load_roles(tmp_path)["billing_coordinator"].ladder[0].after == Clock(4, "open h")


def test_the_sample_practice_loads_without_a_word() -> None:
    """The demo is the first roster anybody sees."""
    samples = list((ROOT / "bot").rglob("practice.toml"))
    for sample in samples:
        assert load_practice(sample, ROLES).warnings == ()


def test_a_site_is_read_with_its_week_holidays_and_special_days(file: Path) -> None:
    """A run of days, a holiday worked and a week closed each land on the right dates."""
    more = """\
manager = "mona"
holidays = "US"
closed = [2026-03-02, { from = 2026-08-03, until = 2026-08-07 }]
days = { 2026-02-16 = "10:00-12:00", 2026-12-24 = "" }
sterilizers = ["H1", "H2"]
"""
    file.write_text(GOOD.replace('manager = "mona"\n', more))
    practice = load_practice(file, ROLES)
    site = practice.sites["harbor"]
    assert site.week[0] == parse_hours("08:00-17:00")
    assert site.week[4] == parse_hours("08:00-14:00")
    assert opening(site, date(2026, 2, 16)) == datetime(2026, 2, 16, 15, tzinfo=UTC)
    assert closing(site, date(2026, 2, 16)) == datetime(2026, 2, 16, 17, tzinfo=UTC)
    for day in (
        date(2026, 2, 21),
        date(2026, 3, 2),
        date(2026, 8, 3),
        date(2026, 8, 7),
        date(2026, 12, 24),
        date(2026, 12, 25),
    ):
        assert opening(site, day) is None
    assert practice.sterilizers["harbor"] == ("H1", "H2")
    assert hash(site) == hash(load_practice(file, ROLES).sites["harbor"])


def test_the_hash_of_the_file_tells_one_state_of_the_practice_from_another(file: Path) -> None:
    """Evidence names the roster in force by this hash."""
    file.write_text(GOOD)
    first = load_practice(file, ROLES).sha256
    file.write_text(GOOD + "# Bea is back\n")
    assert load_practice(file, ROLES).sha256 != first
    assert len(first) == 64


def test_a_file_from_notepad_is_read_like_any_other(file: Path) -> None:
    """A byte-order mark and Windows line ends are how half the offices will save it."""
    file.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert load_practice(file, ROLES).name == "Harbor & Pine Dental"
    broken = GOOD.replace('manager = "mona"', 'manager = "nobody"').replace("\n", "\r\n")
    assert errors(file, b"\xef\xbb\xbf" + broken.encode())[0][0] == line(GOOD, 'manager = "mona"')


# --- mistakes --------------------------------------------------------------------------------------------------------------

ONE_MISTAKE = [
    (
        '"billing_coordinator@harbor"',
        '"biling_coordinator@harbor"',
        "There is no role 'biling_coordinator': did you mean billing_coordinator?",
    ),
    ('"billing_coordinator@harbor"', '"billing_coordinator@habor"', "There is no site 'habor': did you mean harbor?"),
    ('"billing_coordinator@harbor"', '"billing_coordinator"', 'Write a role as "role@site"'),
    ('"billing_coordinator@harbor"', '"manager@harbor"', "A site's manager is named under [sites.harbor]"),
    ('"billing_coordinator@harbor"', "777", 'Write a role as "role@site"'),
    (
        '"billing_coordinator@harbor"',
        '{ role = "front_desk@harbor", from = 2026-03-02, until = 2026-03-01 }',
        "This role ends before it starts.",
    ),
    (
        '"billing_coordinator@harbor"',
        '{ role = "front_desk@harbor", form = 2026-03-02 }',
        "There is no key 'form': did you mean from?",
    ),
    ('cover = ["olu"]', 'cover = ["ollu"]', "There is no person 'ollu': did you mean olu?"),
    ('cover = ["olu"]', 'cover = "olu"', "cover is a list: write it between [ and ]."),
    ('cover = ["olu"]', 'cover = ["olu", "olu"]', "olu is listed twice."),
    ('cover = ["olu"]', 'cover = ["mona"]', "mona is named as their own cover"),
    ('cover = ["olu"]', "cover = [3]", "cover takes texts"),
    ('cover = ["olu"]', 'covers = ["olu"]', "There is no key 'covers': did you mean cover?"),
    ('manager = "mona"', 'manager = "monna"', "There is no person 'monna': did you mean mona?"),
    ('manager = "mona"', "manager = 4", "manager is a text"),
    ('"America/New_York"', '"America/Harbor"', "'America/Harbor' is not a time zone"),
    ('"America/New_York"', '"America"', "'America' is not a time zone"),
    ('"America/New_York"', '"../../etc/passwd"', "is not a time zone"),
    ('time_zone = "America/New_York"', 'time_zone = "America/New_York"\nholidays = "Texas"', None),
    ('manager = "mona"', 'manager = "mona"\nsterilizers = ["Autoclave 1"]', "'Autoclave 1' must be one word"),
    ('fri = "08:00-14:00"', 'fri = "14:00-08:00"', "the end is not after the start"),
    ('fri = "08:00-14:00"', 'fri = "08:00-12:00 11:00-14:00"', "overlap"),
    ('fri = "08:00-14:00"', "fri = 8", "Hours are a text such as"),
    ('fri = "08:00-14:00"', 'friday = "08:00-14:00"', "'friday' is not a day: write mon, tue"),
    ('fri = "08:00-14:00"', 'thu = "08:00-14:00"', "thu is given twice."),
    ('fri = "08:00-14:00"', 'sat-fri = "08:00-14:00"', "'sat-fri' runs backwards"),
    ('mon-thu = "08:00-17:00", fri = "08:00-14:00"', 'mon = ""', "This site is never open"),
    ('name = "Bea Lindqvist"', "", "[people.bea] has no name."),
    ('name = "Bea Lindqvist"', 'name = ""', "name is a text"),
    ('name = "Bea Lindqvist"', 'name = "Bea\\nLindqvist"', "name is one line"),
    ('name = "Bea Lindqvist"', 'name = "Bea Lindqvist"\nleave = [{ from = 2026-03-05, until = 2026-03-04 }]', None),
    ('name = "Bea Lindqvist"', 'name = "Bea Lindqvist"\nleave = [{ until = 2026-03-04 }]', None),
    ('name = "Bea Lindqvist"', 'name = "Bea Lindqvist"\nleave = [2026-03-04]', None),
    ('name = "Bea Lindqvist"', 'name = "Bea Lindqvist"\nleave = [{ from = "2026-03-04" }]', None),
    ('name = "Bea Lindqvist"', 'name = "Bea Lindqvist"\nleave = [{ from = 2026-03-04T08:00:00 }]', None),
    ('name = "Bea Lindqvist"', 'name = "Bea Lindqvist"\nleave = [{ from = 2026-03-04, until = 9999-03-04 }]', None),
    ('name = "Bea Lindqvist"', 'name = "Bea Lindqvist"\nshifts = { habor = {} }', None),
    ('name = "Bea Lindqvist"', 'name = "Bea Lindqvist"\nshifts = { harbor = "08:00-12:00" }', None),
    ('name = "Bea Lindqvist"', 'name = "Bea Lindqvist"\nshifts = { harbor = { mon = "8-12" } }', None),
    ("[people.bea]", "[people.Bea]", "'Bea' cannot be an id: write small letters"),
    ("[organisation]", "[organization]", "There is no key 'organization': did you mean organisation?"),
]


@pytest.mark.parametrize(("good", "bad", "sentence"), ONE_MISTAKE, ids=[bad.split("\n")[-1] for _, bad, _ in ONE_MISTAKE])
def test_one_mistake_is_named_at_its_line(file: Path, good: str, bad: str, sentence: str | None) -> None:
    """A sentence with the right line is fixed in a minute; a traceback is a support call."""
    text = GOOD.replace(good, bad)
    found = errors(file, text)
    marker = bad.split("\n")[-1] if bad else "[people.bea]"
    assert line(text, marker) in [number for number, _ in found]
    if sentence:
        assert any(sentence in what for _, what in found), found
    assert all(what.endswith(".") or "?" in what for _, what in found)


def test_all_mistakes_come_at_once_in_the_order_of_their_lines(file: Path) -> None:
    """Nobody fixes a roster one run at a time."""
    text = (
        GOOD.replace("America/New_York", "New York")
        .replace("billing_coordinator@harbor", "billing@harbor")
        .replace('["olu"]', '["bo"]')
    )
    found = errors(file, text)
    wanted = [line(text, needle) for needle in ('"New York"', '["bo"]', '"billing@harbor"')]
    assert [number for number, _ in found] == wanted
    with pytest.raises(PracticeError, match=r"practice\.toml:6: 'New York' is not a time zone.* \(and 2 more\)$"):
        load_practice(file, ROLES)


def test_lines_are_right_inside_lists_over_several_lines_and_nested_tables(file: Path) -> None:
    """The third leave of a long list is named, not the list."""
    text = (
        GOOD
        + """\
leave = [
  { from = 2026-01-05, until = 2026-01-09, why = "vacation # not a comment" },   # a comment with ] and }
  { from = 2026-02-02 },
  { from = 2026-03-05, until = 2026-03-01 },
]

[people.bea.shifts.harbor]
mon = "08:00-12:00"
tue = "12:00-08:00"
"""
    )
    found = errors(file, text)
    assert [number for number, _ in found] == [line(text, "2026-03-01"), line(text, "12:00-08:00")]


@pytest.mark.parametrize(
    ("cover", "circle"),
    [
        ({"bea": ["ana"], "ana": ["bea"]}, "bea -> ana -> bea"),
        ({"bea": ["ana"], "ana": ["zoe"], "zoe": ["bea"]}, "bea -> ana -> zoe -> bea"),
        ({"bea": ["ana"], "ana": ["zoe"], "zoe": ["ana"]}, "ana -> zoe -> ana"),
        ({"bea": ["ana"], "ana": ["bea", "mona"]}, None),
        ({"bea": ["ana", "zoe"], "ana": ["bea"], "zoe": ["bea", "olu"]}, None),
    ],
)
def test_people_who_cover_only_each_other_are_a_mistake_and_a_circle_with_a_way_out_is_not(
    file: Path, cover: dict[str, list[str]], circle: str | None
) -> None:
    """When all of a closed circle are away there is nobody left, and the file looked as if there were."""
    text = GOOD + "".join(f'[people.{id}]\nname = "{id.title()}"\nroles = ["trainer@harbor"]\n' for id in ("ana", "zoe"))
    for id, covers in cover.items():
        text = text.replace(f"[people.{id}]\n", f"[people.{id}]\ncover = {covers}  # of {id}\n")
    if circle is None:
        file.write_text(text)
        load_practice(file, ROLES)
        return
    found = errors(file, text)
    assert found == [(line(text, f"# of {circle.split()[0]}\n"), found[0][1])]
    assert found[0][1].startswith(f"{circle} cover only each other")


@pytest.mark.parametrize(
    ("text", "number", "sentence"),
    [
        (GOOD + '[people.bea]\nname = "Bea Marsh"\n', GOOD.count("\n") + 1, "[people.bea] stands twice in this file"),
        (GOOD.replace('name = "Harbor"\n', 'name = "Harbor"\nname = "Port"\n'), 6, "This name was already given a value above"),
        (GOOD.replace("= { mon", "= { mon = "), 8, "This line is not valid TOML"),
        (GOOD.replace('time_zone = "America/New_York"', "time_zone = “America/New_York”"), 6, "This line is not valid TOML"),
        (GOOD + "closed = [2026-02-30]\n", GOOD.count("\n") + 1, "This line is not valid TOML"),
        (GOOD + "cover = [\n", GOOD.count("\n") + 1, "This line is not valid TOML"),
        (GOOD + "x = " + "[" * 5000 + "\n", None, "This line is not valid TOML"),
    ],
)
def test_what_is_no_toml_is_named_at_its_line(file: Path, text: str, number: int | None, sentence: str) -> None:
    """A curly quote or a second [people.bea] is said in words an office manager can use."""
    found = errors(file, text)
    assert len(found) == 1
    assert found[0][0] == (number or found[0][0])
    assert sentence in found[0][1]


def test_bytes_that_are_no_text_are_named_at_their_line(file: Path) -> None:
    """A roster saved in an old Windows encoding says so, instead of showing a broken name."""
    found = errors(file, GOOD.replace("Bea Lindqvist", "Béa Lindqvist").encode("cp1252"))
    assert found == [(line(GOOD, "Bea Lindqvist"), "This line is not UTF-8: save the file as UTF-8 text.")]
    assert errors(file, b"\x00\x01PK\x03\x04")[0][0] == 1


def test_a_missing_huge_or_unreadable_file_is_one_sentence(file: Path, tmp_path: Path) -> None:
    """The first run of `check` on an empty home points to the example."""
    for path, sentence in ((file, "There is no such file: begin with the example"), (tmp_path, "It cannot be read")):
        with pytest.raises(PracticeError, match=sentence):
            load_practice(path, ROLES)
    file.write_bytes(b"#" * 1_000_001)
    with pytest.raises(PracticeError, match="larger than 1 MB"):
        load_practice(file, ROLES)
    if os.geteuid() != 0:
        file.chmod(0)
        with pytest.raises(PracticeError, match="It cannot be read"):
            load_practice(file, ROLES)


def test_an_empty_file_says_everything_that_is_missing(file: Path) -> None:
    """Nothing is guessed from nothing."""
    assert [what for _, what in errors(file, "")] == [
        "The file has no organisation.",
        "[organisation] has no name.",
        "There is no [sites.…] in this file.",
        "There is no [people.…] in this file.",
    ]


def test_a_chat_address_of_nobody_is_a_mistake(file: Path) -> None:
    """A nudge to a wrong address would be read by the wrong person."""
    text = GOOD + '\n[chat.slack]\nU1 = "bea"\nU2 = "beaa"\n'
    assert errors(file, text) == [(line(text, "U2"), "There is no person 'beaa': did you mean bea?")]


# --- allowed, and probably not meant ---------------------------------------------------------------------------------------


SURPRISES = """
[sites.pine]
name = "Pine"
time_zone = "America/Denver"
manager = "max"
hours = { mon = "09:00-12:00" }

[people.max]
name = "Max Duarte"
roles = ["office_manager@pine", "trainer@harbor"]
shifts = { pine = { mon = "09:00-12:00" } }

[people.tess]
name = "Tess Holloway"
roles = ["temp@pine"]

[people.lou]
name = "Lou"
"""


def test_a_good_file_that_will_surprise_somebody_carries_warnings(file: Path) -> None:
    """What runs differently from what was meant is said once, and does not stop the practice."""
    text = GOOD.replace('"owner_dentist@*"', '"owner_dentist@harbor"') + SURPRISES
    found = warnings(file, text)
    assert found == sorted(found, key=lambda each: each[0])
    said = dict(found)
    assert (
        said[line(text, "shifts = {")]
        == "max has a role at harbor, but shifts does not name it: harbor's opening hours are taken."
    )
    assert said[line(text, '"temp@pine"')].startswith("tess is only temp, which brings no work")
    assert said[line(text, "[people.lou]")] == "lou has no role, no site and no hours: nothing can reach them."
    assert said[line(text, 'manager = "max"')].startswith("When max is away nobody is in charge of pine")
    assert "Nobody is rcm_specialist at harbor, the next after billing_coordinator: what is not answered there goes on up." in [
        what for number, what in found if number == line(text, "[sites.harbor]")
    ]


# --- roles -----------------------------------------------------------------------------------------------------------------

ROLE_IDS = set(
    """
    owner_dentist office_manager front_desk scheduling_coordinator treatment_coordinator billing_coordinator rcm_specialist
    appeals_specialist dentist hygienist dental_assistant sterilization_lead hr_lead osha_officer compliance_officer
    marketing_lead operations_lead regional_manager finance_lead it_manager trainer temp new_hire approver
    """.split()  # noqa: SIM905 (a list of words reads better)
)


def test_every_role_of_a_practice_is_there_and_its_title_gives_its_id() -> None:
    """SOPs name roles by title, rosters by id; one becomes the other without a table."""
    assert set(ROLES) == ROLE_IDS
    for role in ROLES.values():
        assert role.title.lower().replace(" ", "_") == role.id
        assert role.what.endswith(".")
    assert set(IN_CHARGE) <= set(ROLES)
    assert MANAGER not in ROLES
    assert not list(BUNDLED_ROLES.glob("*.py"))


def test_every_ladder_of_a_working_role_ends_with_somebody_who_answers_for_the_whole() -> None:
    """Work that nobody answers ends with operations or the owner, never in a circle."""
    for role in ROLES.values():
        rungs = [rung.role for rung in role.ladder]
        assert len(rungs) == len(set(rungs))
        assert role.id not in rungs
        if role.id not in ("owner_dentist", "temp", "new_hire"):
            assert rungs[-1] in ("owner_dentist", "operations_lead")
    clinical = ("dentist", "hygienist", "dental_assistant", "sterilization_lead")
    assert all([rung.role for rung in ROLES[id].ladder][-2:] == [MANAGER, "owner_dentist"] for id in clinical)
    assert [rung.role for rung in ROLES["billing_coordinator"].ladder] == ["rcm_specialist", MANAGER, "operations_lead"]
    assert ROLES["temp"].ladder == ROLES["new_hire"].ladder == ()


GREETER = 'title = "Greeter"\nwhat = "Greets."\n'


def rung(role: str, after: str = "4 h") -> str:
    return f'[[ladder]]\nrole = "{role}"\nafter = "{after}"\n'


@pytest.mark.parametrize(
    ("text", "number", "sentence"),
    [
        ('title = "Greeter"', 1, "The file has no what."),
        (GREETER.replace("Greeter", "Greeters"), 1, "do not agree"),
        (GREETER + rung("manager", "4 hours"), 5, "is not a clock"),
        (GREETER + rung("greeter"), 4, "cannot escalate to itself"),
        (GREETER + rung("manager") + rung("boss"), 7, "no role 'boss'"),
        (GREETER + 'ladder = ["manager"]', 3, "A rung is a table with role and after."),
        (GREETER + "quiet = true", 3, "There is no key 'quiet'"),
        ('title = "Greeter', 1, "This line is not valid TOML"),
    ],
)
def test_a_mistake_in_a_role_file_is_named_at_its_line(tmp_path: Path, text: str, number: int, sentence: str) -> None:
    """A practice may add its own role with one file, and be told what is wrong with it."""
    (tmp_path / "greeter.toml").write_text(text)
    with pytest.raises(PracticeError) as caught:
        load_roles(tmp_path)
    assert [(finding.line, sentence in finding.what) for finding in caught.value.findings] == [(number, True)]
    assert caught.value.findings[0].file == str(tmp_path / "greeter.toml")


def test_a_folder_without_roles_is_a_mistake(tmp_path: Path) -> None:
    """A wrong folder must not become a practice in which nobody may do anything."""
    with pytest.raises(PracticeError, match="There is no role file in this folder"):
        load_roles(tmp_path)


# --- where things stand ----------------------------------------------------------------------------------------------------

ODD = """\
a.b = 1
"quoted key"."with # and ]" = 2
'literal' = '''
three
lines''' # 3
multi = \"\"\"
[not.a.table]
x = \\\"\"\" still
\"\"\"
[[rows]]
n = 10   # first
[[rows]]
n = 13
[rows.sub]
deep = { x = 15, y = [ 15,
  { z = 16 }, # comment, with { and [
  [17, 17],
  "a ] string",
], w = 19 }
[rows.sub.more]
when = 2026-02-20 08:00:00
dates = [
  2026-02-20,

  08:30:00,
]
empty = []
none = {}
"""


def test_odd_but_valid_toml_keeps_its_lines() -> None:
    """Quotes, comments, dotted keys and texts over several lines must not shift the line a person is sent to."""
    assert isinstance(tomllib.loads(ODD), dict)
    lines = toml_lines(ODD)
    wanted: dict[tuple[str | int, ...], int] = {
        ("a", "b"): 1,
        ("quoted key", "with # and ]"): 2,
        ("literal",): 3,
        ("multi",): 6,
        ("rows", 0, "n"): 11,
        ("rows", 1, "n"): 13,
        ("rows", 1, "sub"): 14,
        ("rows", 1, "sub", "deep", "x"): 15,
        ("rows", 1, "sub", "deep", "y", 1, "z"): 16,
        ("rows", 1, "sub", "deep", "y", 2, 1): 17,
        ("rows", 1, "sub", "deep", "y", 3): 18,
        ("rows", 1, "sub", "deep", "w"): 19,
        ("rows", 1, "sub", "more", "when"): 21,
        ("rows", 1, "sub", "more", "dates", 1): 25,
        ("rows", 1, "sub", "more", "none"): 28,
    }
    assert {path: lines[path] for path in wanted} == wanted


KEYS = st.sampled_from(["a", "b-c", "x_1", "9", '"q k"', "'l.k'", '"e\\"]"'])
BLANKS = st.sampled_from(["", " ", "\n", " # a ] } , = [\n", "\n\n"])


def written(value: Any, blanks: Iterator[str]) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {written(each, blanks)}" for key, each in value.items()) + " }"
    if isinstance(value, list):
        return "[" + "".join(f"{next(blanks)}{written(each, blanks)}{next(blanks)}," for each in value) + next(blanks) + "]"
    return f"{value}"


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], int]]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from leaves(each, (*path, key))
    elif isinstance(value, list):
        for n, each in enumerate(value):
            yield from leaves(each, (*path, n))
    elif isinstance(value, int):
        yield path, value


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_toml_keeps_its_lines(data: st.DataObject) -> None:
    """Each number of a random document is found on the line where it really stands."""
    numbers = iter(range(100_000, 200_000))
    leaf = st.one_of(st.builds(lambda: next(numbers)), st.sampled_from(['"# ] }"', "'''\n\n'''", "true", '"""x\n"y" ]"""']))
    values = st.recursive(
        leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
    )
    blanks = iter(lambda: data.draw(BLANKS), None)
    text = ""
    for n, table in enumerate(data.draw(st.lists(st.dictionaries(KEYS, values, max_size=3), min_size=1, max_size=4))):
        text += data.draw(st.sampled_from([f"[t{n}]\n", f"[t{n}.sub] # [x]\n", "[[many]]\n", f"  [ t{n} . 'o.p' ]\n"]))
        text += "".join(f"{key} = {written(value, blanks)}\n" for key, value in table.items())
    parsed, lines = tomllib.loads(text), toml_lines(text)
    for path, value in leaves(parsed):
        if value > 1:
            assert text.split("\n")[lines[path] - 1].count(str(value)) == 1, (path, text)


def test_reading_a_roster_of_five_hundred_people_is_quick(file: Path) -> None:
    """A group of thirty offices reads its file at every start."""
    people = "".join(
        f'[people.p{n}]\nname = "Person {n}"\nroles = ["front_desk@harbor"]\ncover = ["p{(n + 1) % 500}", "olu"]\n'
        for n in range(500)
    )
    file.write_text(GOOD + people)
    began = datetime.now(UTC)
    assert len(load_practice(file, ROLES).people) == 503
    assert datetime.now(UTC) - began < timedelta(seconds=5)
