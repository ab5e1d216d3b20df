"""Who acts, told as a practice would tell it: sick, on leave, gone, a temp, two sites, nobody there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.hours import Site, is_open, parse_hours
from bot.people import (
    IN_CHARGE,
    MANAGER,
    Duty,
    Gap,
    Leave,
    Person,
    Post,
    Practice,
    Principal,
    Shift,
    Unstaffed,
    address_of,
    check_staffing,
    coverage_gaps,
    find,
    holders,
    home_site,
    load_practice,
    load_roles,
    manager_on_duty,
    may_act,
    next_duty,
    on_duty,
    person_at,
    principal_of,
    reachable_at,
    sites_managed_by,
    staff_today,
)

ROLES = load_roles()
SITES = """
[organisation]
name = "Harbor & Pine Dental"

[sites.harbor]
name = "Harbor"
time_zone = "America/New_York"
manager = "mona"
hours = { mon-fri = "08:00-17:00" }

[sites.pine]
name = "Pine"
time_zone = "America/Denver"
manager = "max"
hours = { mon-fri = "08:00-17:00" }

[people.mona]
name = "Mona Ferris"
roles = ["office_manager@harbor"]

[people.max]
name = "Max Duarte"
roles = ["office_manager@pine"]

[people.olu]
name = "Dr. Olu Abayomi"
roles = ["owner_dentist@*"]
"""
MON, TUE, WED, THU, FRI, SAT = (f"2026-03-{day:02}" for day in (2, 3, 4, 5, 6, 7))

Read = Callable[[str], Practice]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """The two sites, their managers and the owner, and whoever the test adds."""

    def read(people: str) -> Practice:
        file = tmp_path / "practice.toml"
        file.write_text(SITES + people)
        return load_practice(file, ROLES)

    return read


def at(text: str, zone: str = "America/New_York") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def who(duty: Duty | None) -> tuple[str, str | None, str] | None:
    return (duty.person.id, duty.instead_of.id if duty.instead_of else None, duty.why) if duty else None


BILLING = """
[people.bea]
name = "Bea Lindqvist"
roles = ["billing_coordinator@harbor"]
shifts = { harbor = { mon-fri = "08:00-16:30" } }
cover = ["priya", "rae"]

[people.priya]
name = "Priya Venkat"
roles = ["front_desk@harbor"]
shifts = { harbor = { mon-thu = "09:00-15:00" } }

[people.rae]
name = "Rae Whitlock"
roles = ["rcm_specialist@*"]
shifts = { harbor = { mon-fri = "10:00-19:00" } }
"""


# --- the person on duty ----------------------------------------------------------------------------------------------------


def test_bea_is_at_her_desk(read: Read) -> None:
    """The plain case: the one who holds the role, in her hours."""
    assert who(on_duty(read(BILLING), "billing_coordinator", "harbor", at(f"{MON}T08:00"))) == ("bea", None, "holder")


def test_bea_is_sick_and_her_first_cover_who_is_in_acts_for_her(read: Read) -> None:
    """A sick day must not leave the day's claims with nobody, nor reach the first cover at home."""
    sick = BILLING.replace('cover = ["priya", "rae"]', f'cover = ["priya", "rae"]\nleave = [{{ from = {MON}, why = "sick" }}]')
    practice = read(sick)
    assert who(on_duty(practice, "billing_coordinator", "harbor", at(f"{MON}T11:00"))) == ("priya", "bea", "leave")
    assert who(on_duty(practice, "billing_coordinator", "harbor", at(f"{MON}T15:30"))) == ("rae", "bea", "leave")
    assert on_duty(practice, "billing_coordinator", "harbor", at(f"{MON}T08:30")) is None
    assert who(on_duty(practice, "billing_coordinator", "harbor", at(f"{TUE}T08:30"))) == ("bea", None, "holder")


def test_leave_is_whole_local_days_with_the_first_and_the_last(read: Read) -> None:
    """Somebody back on Friday is reached on Friday, and not on the evening before."""
    away = BILLING.replace('cover = ["priya", "rae"]', f"leave = [{{ from = {TUE}, until = {THU} }}]")
    practice = read(away)
    bea = practice.people["bea"]
    assert reachable_at(practice, bea, at(f"{MON}T16:00")) == at(f"{MON}T16:00")
    assert reachable_at(practice, bea, at(f"{MON}T17:00")) == at(f"{FRI}T08:00")


def test_after_her_shift_the_cover_still_working_acts(read: Read) -> None:
    """A rejection at a quarter to five reaches somebody today."""
    assert who(on_duty(read(BILLING), "billing_coordinator", "harbor", at(f"{MON}T16:45"))) == ("rae", "bea", "off_shift")


def test_a_leaver_is_never_reached_and_her_cover_stands_in_until_somebody_new_holds_the_role(read: Read) -> None:
    """The day after the last day is the day a follow-up used to vanish."""
    left = BILLING.replace('name = "Bea Lindqvist"', f'name = "Bea Lindqvist"\nends = {MON}')
    practice = read(left)
    bea = practice.people["bea"]
    assert who(on_duty(practice, "billing_coordinator", "harbor", at(f"{MON}T16:00"))) == ("bea", None, "holder")
    assert who(on_duty(practice, "billing_coordinator", "harbor", at(f"{TUE}T11:00"))) == ("priya", "bea", "left")
    assert reachable_at(practice, bea, at(f"{TUE}T08:00")) is None
    assert not may_act(practice, bea, "billing_coordinator", "harbor", at(f"{TUE}T11:00"))
    successor = f'\n[people.ned]\nname = "Ned Oyelaran"\nroles = ["billing_coordinator@harbor"]\nstarts = {TUE}\n'
    assert who(on_duty(read(left + successor), "billing_coordinator", "harbor", at(f"{TUE}T11:00"))) == ("ned", None, "holder")
    assert on_duty(read(left + successor), "billing_coordinator", "harbor", at(f"{TUE}T17:30")) is None


def test_a_temp_acts_from_the_first_to_the_last_day_and_not_before_or_after(read: Read) -> None:
    """A temp is a person with dates and the roles they fill in for; "temp" itself brings no work."""
    temp = f"""
[people.tess]
name = "Tess Holloway"
roles = ["temp@harbor", "sterilization_lead@harbor"]
starts = {TUE}
ends = {WED}
"""
    practice = read(temp)
    acting = [on_duty(practice, "sterilization_lead", "harbor", at(f"{day}T10:00")) for day in (MON, TUE, WED, THU)]
    assert [who(duty) for duty in acting] == [None, ("tess", None, "holder"), ("tess", None, "holder"), None]
    assert principal_of(practice, practice.people["tess"], at(f"{MON}T10:00")).roles == frozenset()
    assert principal_of(practice, practice.people["tess"], at(f"{TUE}T10:00")).roles == {"temp", "sterilization_lead"}
    assert not may_act(practice, practice.people["tess"], "sterilization_lead", "harbor", at(f"{THU}T10:00"))


def test_a_role_can_change_hands_on_a_day_while_both_people_stay(read: Read) -> None:
    """Roles shift inside a team; the nudge follows on the day, without a gap."""
    practice = read(f"""
[people.ana]
name = "Ana Sorel"
roles = ["hygienist@harbor", {{ role = "sterilization_lead@harbor", until = {TUE} }}]

[people.ben]
name = "Ben Okafor"
roles = ["hygienist@harbor", {{ role = "sterilization_lead@harbor", from = {WED} }}]
""")
    acting = [on_duty(practice, "sterilization_lead", "harbor", at(f"{day}T10:00")) for day in (MON, TUE, WED)]
    assert [who(duty) for duty in acting] == [("ana", None, "holder"), ("ana", None, "holder"), ("ben", None, "holder")]


TWO_SITES = """
[people.bea]
name = "Bea Lindqvist"
roles = ["billing_coordinator@harbor", "billing_coordinator@pine"]
shifts = { harbor = { mon-wed = "08:00-16:30" }, pine = { thu-fri = "08:00-16:30" } }
cover = ["rae"]

[people.rae]
name = "Rae Whitlock"
roles = ["rcm_specialist@*"]
shifts = { harbor = { mon-fri = "08:00-17:00" } }
"""


def test_a_person_of_two_sites_acts_for_each_on_her_days_there_in_its_time(read: Read) -> None:
    """On Thursday Bea is at Pine, two hours west; Harbor's work goes to her cover."""
    practice = read(TWO_SITES)
    assert who(on_duty(practice, "billing_coordinator", "harbor", at(f"{MON}T09:00"))) == ("bea", None, "holder")
    assert who(on_duty(practice, "billing_coordinator", "harbor", at(f"{THU}T11:00"))) == ("rae", "bea", "off_shift")
    assert who(on_duty(practice, "billing_coordinator", "pine", at(f"{THU}T08:30", "America/Denver"))) == (
        "bea",
        None,
        "holder",
    )
    bea = practice.people["bea"]
    assert reachable_at(practice, bea, at(f"{THU}T08:30")) == at(f"{THU}T08:00", "America/Denver")
    assert may_act(practice, bea, "billing_coordinator", "harbor", at(f"{THU}T11:00"))
    assert home_site(practice, bea).id == "harbor"


def test_somebody_of_every_site_works_one_set_of_hours_for_all(read: Read) -> None:
    """Rae sits in Harbor and follows up claims for Pine too, in her hours, not in Pine's."""
    practice = read(TWO_SITES)
    assert who(on_duty(practice, "rcm_specialist", "pine", at(f"{MON}T08:30"))) == ("rae", None, "holder")
    assert on_duty(practice, "rcm_specialist", "pine", at(f"{MON}T16:00", "America/Denver")) is None


def test_the_sites_own_person_comes_before_one_of_every_site(read: Read) -> None:
    """Collections stay local where there is somebody local."""
    practice = read("""
[people.rae]
name = "Rae Whitlock"
roles = ["billing_coordinator@*"]

[people.bea]
name = "Bea Lindqvist"
roles = ["billing_coordinator@harbor"]
""")
    assert who(on_duty(practice, "billing_coordinator", "harbor", at(f"{MON}T10:00"))) == ("bea", None, "holder")
    assert who(on_duty(practice, "billing_coordinator", "pine", at(f"{MON}T11:00"))) == ("rae", None, "holder")


CHAIN = f"""
[people.bea]
name = "Bea Lindqvist"
roles = ["billing_coordinator@harbor"]
cover = ["cal", "dee"]
leave = [{{ from = {MON}, until = {FRI} }}]

[people.cal]
name = "Cal Nwosu"
roles = ["front_desk@harbor"]
cover = ["eli"]
leave = [{{ from = {MON}, until = {WED} }}]

[people.dee]
name = "Dee Marchetti"
roles = ["front_desk@harbor"]
cover = ["bea", "fay"]
leave = [{{ from = {MON}, until = {TUE} }}]

[people.eli]
name = "Eli Brandt"
roles = ["front_desk@harbor"]
leave = [{{ from = {MON} }}]

[people.fay]
name = "Fay Ostrom"
roles = ["front_desk@harbor"]
"""


def test_cover_is_asked_in_order_then_the_cover_of_the_cover_and_nobody_twice(read: Read) -> None:
    """The chain is walked by nearness: both covers before either's own cover, and a circle back to Bea ends there."""
    practice = read(CHAIN)
    acting = [on_duty(practice, "billing_coordinator", "harbor", at(f"{day}T10:00")) for day in (MON, TUE, WED, THU)]
    assert [who(duty) for duty in acting] == [
        ("fay", "bea", "leave"),
        ("eli", "bea", "leave"),
        ("dee", "bea", "leave"),
        ("cal", "bea", "leave"),
    ]


def test_on_a_public_holiday_nobody_is_on_duty_even_with_hours_of_their_own(read: Read) -> None:
    """Bea's Monday hours do not make Presidents' Day a working day."""
    practice = read(BILLING)
    text = SITES.replace('name = "Harbor"', 'name = "Harbor"\nholidays = "US"\ndays = { 2026-02-13 = "08:00-10:00" }', 1)
    Path(practice.file).write_text(text + BILLING)
    practice = load_practice(Path(practice.file), ROLES)
    assert on_duty(practice, "billing_coordinator", "harbor", at("2026-02-16T10:00")) is None
    assert reachable_at(practice, practice.people["bea"], at("2026-02-13T10:30")) == at("2026-02-17T08:00")


def test_a_role_or_site_nobody_knows_has_nobody_on_duty(read: Read) -> None:
    """A site taken out of the file must not stop the sweep of the others."""
    practice = read(BILLING)
    bea, now = practice.people["bea"], at(f"{MON}T10:00")
    assert on_duty(practice, "juggler", "harbor", now) is None
    assert on_duty(practice, "billing_coordinator", "gone", now) is None
    assert next_duty(practice, "billing_coordinator", "gone", now, now + timedelta(days=9)) is None
    assert not may_act(practice, bea, "billing_coordinator", "gone", now)
    with pytest.raises(Unstaffed):
        manager_on_duty(practice, "gone", now, now)


# --- when somebody is next in ----------------------------------------------------------------------------------------------


def test_the_next_duty_is_now_when_somebody_is_in_and_else_the_first_who_comes(read: Read) -> None:
    """A nudge found at night waits for the first person, not for a fixed hour."""
    practice = read(BILLING)
    far = at("2026-03-20T10:00")

    def following(text: str) -> tuple[datetime, str] | None:
        found = next_duty(practice, "billing_coordinator", "harbor", at(text), far)
        return found and (found[0], found[1].person.id)

    assert following(f"{MON}T10:00") == (at(f"{MON}T10:00"), "bea")
    assert following(f"{MON}T19:00") == (at(f"{TUE}T08:00"), "bea")
    assert following(f"{SAT}T12:00") == (at("2026-03-09T08:00"), "bea")


def test_the_search_for_the_next_duty_ends_at_its_limit_and_the_limit_is_included(read: Read) -> None:
    """A deadline bounds the search: past it the manager hears instead."""
    practice = read(BILLING)
    limits = [at(f"{TUE}T08:00"), at(f"{TUE}T07:59")]
    found = [next_duty(practice, "billing_coordinator", "harbor", at(f"{MON}T20:00"), limit) for limit in limits]
    assert [bool(each) for each in found] == [True, False]


def test_a_role_that_begins_within_somebodys_shift_elsewhere_is_seen_at_that_midnight(read: Read) -> None:
    """A night office two hours west is already working when Harbor's day, and the new role, begin."""
    practice = read(f"""
[people.nia]
name = "Nia Calloway"
roles = ["dentist@pine", {{ role = "dentist@harbor", from = {TUE} }}]
shifts = {{ pine = {{ mon-fri = "20:00-24:00" }}, harbor = {{ tue = "00:00-24:00" }} }}
""")
    found = next_duty(practice, "dentist", "harbor", at(f"{MON}T23:00"), at(f"{WED}T00:00"))
    assert found is not None
    assert found[0] == at(f"{TUE}T00:00")


# --- the manager -----------------------------------------------------------------------------------------------------------

AWAY = SITES.replace(
    'roles = ["office_manager@harbor"]',
    'roles = ["office_manager@harbor"]\nleave = [{ from = 2026-03-02, until = 2026-03-06 }]',
)


def test_with_nobody_for_the_role_the_manager_is_told(read: Read) -> None:
    """Unroutable work goes to a person, never nowhere."""
    practice = read("")
    now = at(f"{MON}T10:00")
    assert next_duty(practice, "billing_coordinator", "harbor", now, now + timedelta(days=60)) is None
    when, duty = manager_on_duty(practice, "harbor", now, now)
    assert (when, who(duty)) == (now, ("mona", None, "holder"))


def test_the_manager_who_comes_in_tomorrow_is_waited_for_when_there_is_time_until_then(read: Read) -> None:
    """At eight in the evening the owner is not called for what the manager reads at opening."""
    when, duty = manager_on_duty(read(""), "harbor", at(f"{MON}T20:00"), at(f"{TUE}T12:00"))
    assert (when, duty.person.id) == (at(f"{TUE}T08:00"), "mona")


def test_with_the_manager_away_the_cover_acts_and_without_cover_the_owner(tmp_path: Path) -> None:
    """A manager on vacation must not be a hole through which everything falls."""
    file = tmp_path / "practice.toml"
    file.write_text(AWAY)
    when, duty = manager_on_duty(load_practice(file, ROLES), "harbor", at(f"{MON}T10:00"), at(f"{MON}T16:00"))
    assert (when, who(duty)) == (at(f"{MON}T10:00"), ("olu", "mona", "in_charge"))
    file.write_text(AWAY.replace('name = "Mona Ferris"', 'name = "Mona Ferris"\ncover = ["max"]'))
    when, duty = manager_on_duty(load_practice(file, ROLES), "harbor", at(f"{MON}T10:00"), at(f"{MON}T16:00"))
    assert (when, who(duty)) == (at(f"{MON}T08:00", "America/Denver"), ("max", "mona", "leave"))


def test_with_all_away_until_the_deadline_it_is_whoever_is_in_first(tmp_path: Path) -> None:
    """A late person is better than none; the message then waits for them."""
    file = tmp_path / "practice.toml"
    file.write_text(AWAY.replace("[people.olu]", "[people.olu]\nleave = [{ from = 2026-03-02, until = 2026-03-04 }]"))
    when, duty = manager_on_duty(load_practice(file, ROLES), "harbor", at(f"{MON}T10:00"), at(f"{TUE}T16:00"))
    assert (when, who(duty)) == (at(f"{THU}T08:00"), ("olu", "mona", "in_charge"))


GONE = SITES.replace("[people.mona]", "[people.mona]\nends = 2026-02-27").replace(
    "[people.olu]", "[people.olu]\nends = 2026-02-27"
)


def test_with_nobody_in_charge_for_sixty_days_check_says_so_before_anything_is_dropped(tmp_path: Path) -> None:
    """The one case that has no person is an error with a line, seen in `check`."""
    file = tmp_path / "practice.toml"
    file.write_text(GONE)
    practice = load_practice(file, ROLES)
    with pytest.raises(Unstaffed, match="Nobody in charge of harbor is in for 60 days"):
        manager_on_duty(practice, "harbor", at(f"{MON}T10:00"), at(f"{MON}T16:00"))
    line = GONE.split("\n").index('manager = "mona"') + 1
    found = check_staffing(practice, at(f"{MON}T10:00"))
    assert [(finding.line, finding.severity) for finding in found] == [(line, "warning"), (line, "error")]
    assert check_staffing(practice, at("2026-02-26T10:00")) == ()


# --- who may press ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("person", "when", "allowed"),
    [
        ("bea", f"{MON}T10:00", True),
        ("bea", f"{MON}T22:00", True),
        ("priya", f"{MON}T10:00", False),
        ("priya", f"{FRI}T10:00", False),
        ("rae", f"{MON}T10:00", True),
        ("mona", f"{MON}T10:00", True),
        ("olu", f"{MON}T10:00", True),
        ("max", f"{MON}T10:00", False),
    ],
)
def test_who_may_press_for_billing(read: Read, person: str, when: str, allowed: bool) -> None:
    """The holder at any hour, the next rung, the manager and the owner; not the front desk while Bea is in, nor Pine's."""
    practice = read(BILLING)
    assert may_act(practice, practice.people[person], "billing_coordinator", "harbor", at(when)) is allowed


def test_a_cover_may_press_while_standing_in_and_after_hours_and_not_once_the_holder_is_back(read: Read) -> None:
    """The right to press comes and goes with the duty."""
    sick = BILLING.replace('cover = ["priya", "rae"]', f'cover = ["priya", "rae"]\nleave = [{{ from = {MON} }}]')
    practice = read(sick)
    priya = practice.people["priya"]
    moments = [f"{MON}T11:00", f"{MON}T20:00", f"{TUE}T11:00"]
    allowed = [may_act(practice, priya, "billing_coordinator", "harbor", at(moment)) for moment in moments]
    assert allowed == [True, True, False]


def test_nobody_may_act_for_a_role_of_the_other_site(read: Read) -> None:
    """Wrong site is as wrong as wrong role."""
    practice = read(BILLING)
    assert not may_act(practice, practice.people["bea"], "billing_coordinator", "pine", at(f"{MON}T12:00"))


def test_only_those_in_charge_may_act_as_the_manager(read: Read) -> None:
    """An exception is decided by the manager or the next in line, not by who asked for it."""
    practice = read(BILLING)
    now = at(f"{MON}T12:00")
    allowed = {person.id for person in practice.people.values() if may_act(practice, person, MANAGER, "harbor", now)}
    assert allowed == {"mona", "olu"}


# --- people by name and address --------------------------------------------------------------------------------------------


def test_people_are_found_by_id_full_name_or_first_name_and_never_guessed(read: Read) -> None:
    """`as Bea` must mean one person; two Beas mean none."""
    practice = read(BILLING + '\n[people.bea2]\nname = "Bea Marsh"\nroles = ["trainer@harbor"]\n')
    names = ["bea", "BEA2", " bea  lindqvist ", "@Priya", "olu", "Dr. Olu Abayomi", "bea marsh", "Abayomi", "", "nobody"]
    found = [find(practice, name) for name in names]
    assert [person and person.id for person in found] == ["bea", "bea2", "bea", "priya", "olu", "olu", "bea2", None, None, None]
    twins = read(
        '\n[people.m1]\nname = "Sam Ito"\nroles = ["trainer@*"]\n[people.m2]\nname = "Sam Roe"\nroles = ["trainer@*"]\n'
    )
    assert find(twins, "sam") is None


def test_a_chat_address_is_its_person_until_their_last_day(read: Read) -> None:
    """A leaver's chat account asks and presses in vain from the next request on."""
    practice = read(
        BILLING.replace("[people.rae]", f"[people.rae]\nends = {MON}") + '\n[chat.slack]\nU123 = "bea"\nU456 = "rae"\n'
    )
    now, later = at(f"{MON}T12:00"), at(f"{TUE}T12:00")
    asked = [
        ("slack", "U123", now),
        ("slack", "U456", now),
        ("slack", "U456", later),
        ("slack", "bea", now),
        ("console", "bea", now),
    ]
    people = [person_at(practice, *each) for each in asked]
    assert [person and person.id for person in people] == ["bea", "rae", None, None, "bea"]
    bea, priya = practice.people["bea"], practice.people["priya"]
    addresses = [
        address_of(practice, "slack", bea),
        address_of(practice, "slack", priya),
        address_of(practice, "console", priya),
    ]
    assert addresses == ["U123", None, "priya"]


def test_what_somebody_may_read_follows_their_roles_sites_and_dates(read: Read) -> None:
    """The library filters by this; a leaver's is empty and fails closed."""
    practice = read(BILLING + f'\n[people.kim]\nname = "Kim Adler"\nroles = ["dentist@pine"]\nends = {MON}\n')
    now = at(f"{TUE}T12:00")
    people = practice.people
    assert principal_of(practice, people["bea"], now) == Principal(
        "bea", frozenset({"billing_coordinator"}), "harbor", frozenset({"harbor"})
    )
    assert principal_of(practice, people["rae"], now).sites == {"*"}
    assert principal_of(practice, people["kim"], now) == Principal("kim", frozenset(), "pine", frozenset())
    assert sites_managed_by(practice, people["max"]) == ("pine",)
    assert sites_managed_by(practice, people["bea"]) == ()


def test_the_days_staff_are_those_with_hours_there(read: Read) -> None:
    """The huddle lists who is in, with their hours."""
    practice = read(BILLING)
    friday = {person.id: spans for person, spans in staff_today(practice, "harbor", date.fromisoformat(FRI))}
    assert set(friday) == {"mona", "olu", "bea", "rae"}
    assert friday["bea"] == ((at(f"{FRI}T08:00"), at(f"{FRI}T16:30")),)
    assert staff_today(practice, "harbor", date.fromisoformat(SAT)) == ()


def test_hours_of_next_week_with_nobody_for_a_role_are_listed_before_they_come(read: Read) -> None:
    """Empty shifts are seen a week ahead, one entry per stretch, and only within opening hours."""
    practice = read(f"""
[people.ana]
name = "Ana Sorel"
roles = ["hygienist@harbor"]
shifts = {{ harbor = {{ mon-fri = "09:00-12:00 13:00-18:00" }} }}
leave = [{{ from = {TUE} }}]
""")
    gaps = [gap for gap in coverage_gaps(practice, at(f"{MON}T00:00"), at(f"{WED}T08:30")) if gap.role == "hygienist"]
    assert gaps == [
        Gap("hygienist", "harbor", at(f"{MON}T08:00"), at(f"{MON}T09:00")),
        Gap("hygienist", "harbor", at(f"{MON}T12:00"), at(f"{MON}T13:00")),
        Gap("hygienist", "harbor", at(f"{TUE}T08:00"), at(f"{TUE}T17:00")),
        Gap("hygienist", "harbor", at(f"{WED}T08:00"), at(f"{WED}T08:30")),
    ]


# --- any roster ------------------------------------------------------------------------------------------------------------

NAMES = ("ana", "ben", "cal", "dee")
DAYS = st.integers(0, 20).map(lambda n: date(2026, 3, 1) + timedelta(days=n))
DATES = st.one_of(st.none(), DAYS)
PLACES = {
    "harbor": Site("harbor", "Harbor", ZoneInfo("America/New_York"), (parse_hours("08:00-17:00"),) * 5 + ((), ())),
    "pine": Site("pine", "Pine", ZoneInfo("Pacific/Honolulu"), (parse_hours("00:00-24:00"),) * 7),
}


@st.composite
def rosters(draw: st.DrawFn) -> Practice:
    people = {}
    for id in NAMES:
        role, site = draw(st.sampled_from(["hygienist", "owner_dentist"])), draw(st.sampled_from(["harbor", "pine", "*"]))
        posts = (Post(role, site, draw(DATES), draw(DATES)),)
        first = draw(DAYS)
        leave = draw(st.sampled_from([(), (Leave(first, first + timedelta(days=3)),)]))
        starts, ends = draw(DATES), draw(DATES)
        week = draw(st.sampled_from([None, (parse_hours("06:00-10:00 11:00-13:00"),) * 7]))
        shifts = {place: (Shift(PLACES[place], week, leave, starts, ends),) for place in PLACES if site in (place, "*")}
        cover = tuple(draw(st.lists(st.sampled_from([name for name in NAMES if name != id]), max_size=2, unique=True)))
        people[id] = Person(id, id.title(), posts, cover, leave, starts, ends, shifts)
    managers = {place: draw(st.sampled_from(NAMES)) for place in PLACES}
    return Practice("P", PLACES, people, ROLES, managers)


INSTANTS = st.integers(0, 15 * 96).map(lambda n: datetime(2026, 3, 3, tzinfo=UTC) + timedelta(minutes=15 * n))


@settings(max_examples=120, deadline=None)
@given(rosters(), st.sampled_from(["hygienist", MANAGER]), st.sampled_from(["harbor", "pine"]), INSTANTS)
def test_the_next_duty_is_the_one_found_by_trying_every_quarter_of_an_hour(
    practice: Practice, role: str, site: str, start: datetime
) -> None:
    """Jumping from shift to shift must not jump over anybody, in any roster, over the clock change."""
    until = start + timedelta(days=5)
    moments = (start + timedelta(minutes=15 * n) for n in range(5 * 96 + 1))
    slow = next(((moment, duty) for moment in moments if (duty := on_duty(practice, role, site, moment))), None)
    assert next_duty(practice, role, site, start, until) == slow


@settings(max_examples=200, deadline=None)
@given(rosters(), st.sampled_from(["hygienist", MANAGER]), st.sampled_from(["harbor", "pine"]), INSTANTS)
def test_nobody_is_ever_on_duty_outside_their_own_hours_and_whoever_is_may_press(
    practice: Practice, role: str, site: str, moment: datetime
) -> None:
    """No message reaches anybody at home, and nobody is asked to press what they may not."""
    duty = on_duty(practice, role, site, moment)
    if duty:
        assert any(is_open(shift, moment) for shift in duty.person.own_hours)
        assert reachable_at(practice, duty.person, moment) == moment
        assert may_act(practice, duty.person, role, site, moment)
        assert (duty.why == "holder") == (
            duty.person in holders(practice, role, site, moment.astimezone(PLACES[site].zone).date())
        )


@settings(max_examples=100, deadline=None)
@given(rosters(), st.sampled_from(["harbor", "pine"]), INSTANTS)
def test_the_line_of_managers_always_ends_in_a_person_or_says_there_is_none(
    practice: Practice, site: str, moment: datetime
) -> None:
    """Told to somebody who may act, within their hours, or loudly to nobody."""
    try:
        when, duty = manager_on_duty(practice, site, moment, moment + timedelta(days=1))
    except Unstaffed:
        for role in (MANAGER, *IN_CHARGE):
            assert next_duty(practice, role, site, moment, moment + timedelta(days=60)) is None
        return
    assert when >= moment
    assert reachable_at(practice, duty.person, when) == when
    assert may_act(practice, duty.person, MANAGER, site, when)


def test_a_person_without_hours_is_unreachable_rather_than_an_error() -> None:
    """Somebody listed with no site at all has no next instant."""
    nobody = Person("x", "X")
    practice = Practice("P", PLACES, {"x": nobody}, ROLES, {"harbor": "x", "pine": "x"})
    assert reachable_at(practice, nobody, datetime(2026, 3, 3, tzinfo=UTC)) is None
