"""Accounts on chat platforms and whose they are: by the practice file, by e-mail address, or confirmed by a manager.

An account that nobody vouched for is nobody's: it is shown nothing, and what it presses does nothing. Whoever loses an account
is signed out of the page, because it was by that account that they signed in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from sqlalchemy import select, update
from sqlmodel import Session, col

from bot import evidence, people, signin
from bot.chat import Known
from bot.evidence import Event
from bot.practice import Person, Practice
from bot.records import AccountClaim, ChatAccount, new_ref


def person_of(session: Session, practice: Practice, platform: str, account: str, now: datetime) -> Person | None:
    """Whose account this is; None for an unknown one, and for somebody who is not, or no longer, of the practice."""
    named = people.person_at(practice, platform, account, now)
    if named is not None or account in practice.chat.get(platform, {}):
        return named
    row = session.get(ChatAccount, (platform, account))
    person = practice.people.get(row.person) if row and row.gone_at is None else None
    return person if person is not None and _is_here(practice, person, now) else None


def _is_here(practice: Practice, person: Person, now: datetime) -> bool:
    return person.is_here(now.astimezone(people.home_site(practice, person).zone).date())


def address_of(session: Session, practice: Practice, platform: str, person: Person, *, may_write_first: bool) -> str | None:
    """Where a person is written to on a platform; None where they have no account there or it is gone.

    may_write_first   an account's own id is an address, even before it has written to us
    """
    named = [account for account, owner in practice.chat.get(platform, {}).items() if owner == person.id]
    rows = session.scalars(select(ChatAccount).where(col(ChatAccount.platform) == platform))
    known = {row.account: row for row in rows if row.person == person.id or row.account in named}
    for account in (*named, *known):
        row = known.get(account)
        if row is not None and row.gone_at is not None:
            continue
        address = (row.address if row else "") or (account if may_write_first else "")
        if address:
            return address
    return None


def reference(session: Session, platform: str, address: str) -> Mapping[str, str]:
    """What the platform needs to write to this address, or account; empty where nothing is known."""
    row = session.scalar(
        select(ChatAccount)
        .where(col(ChatAccount.platform) == platform)
        .where((col(ChatAccount.address) == address) | (col(ChatAccount.account) == address))
        .limit(1)
    )
    return dict(row.reference) if row is not None and row.gone_at is None else {}


def note(session: Session, platform: str, known: Known, now: datetime) -> ChatAccount:
    """Keep what a platform says of an account; whose it is stays as it was. One that was gone is back."""
    row = session.get(ChatAccount, (platform, known.account)) or ChatAccount(platform=platform, account=known.account, at=now)
    row.team = known.team or row.team
    row.address = known.address or row.address
    row.reference = dict(known.reference) or row.reference
    row.gone_at, row.gone_why, row.at = None, "", now
    session.add(row)
    session.flush()
    return row


def match(session: Session, practice: Practice, platform: str, known: Known, now: datetime) -> Person | None:
    """The person whose e-mail address this account has, linked from now on; None where nobody has it."""
    email = known.email.strip().lower()
    found = [
        person for person in practice.people.values() if email and person.email == email and _is_here(practice, person, now)
    ]
    row = note(session, platform, known, now)
    row.asked_email_at = now
    if row.person or len(found) != 1:
        return None
    _link(session, row, found[0], "email", "", now)
    return found[0]


def _link(session: Session, row: ChatAccount, person: Person, how: str, by: str, now: datetime) -> None:
    if row.person not in ("", person.id):
        signin.end_all(session, row.person, now)
    row.person, row.how, row.at = person.id, how, now
    session.add(row)
    detail: evidence.Detail = {"platform": row.platform, "account": row.account, "person": person.id, "how": how}
    evidence.append(session, Event(what="account linked", at=now, subject=f"account:{person.id}", actor=by, detail=detail))


def team_gone(session: Session, practice: Practice, platform: str, team: str, why: str, now: datetime) -> bool:
    """A whole workspace has removed the app. False where nobody of it was known, or all were known to be gone."""
    query = select(col(ChatAccount.account)).where(col(ChatAccount.platform) == platform, col(ChatAccount.team) == team)
    return sum(gone(session, practice, platform, account, why, now) for account in session.scalars(query).all()) > 0


def gone(session: Session, practice: Practice, platform: str, account_or_address: str, why: str, now: datetime) -> bool:
    """An account can no longer be written to: blocked, uninstalled, deactivated. False where it was not known, or known so.

    Whose it is, by its row or by the practice file, is signed out.
    """
    where = (col(ChatAccount.address) == account_or_address) | (col(ChatAccount.account) == account_or_address)
    rows = session.scalars(select(ChatAccount).where(col(ChatAccount.platform) == platform, where)).all()
    fresh, named = [row for row in rows if row.gone_at is None], practice.chat.get(platform, {})
    owners = {named.get(account, "") for account in (account_or_address, *(row.account for row in rows))}
    for person in sorted((owners | {row.person for row in rows}) - {""}):
        signin.end_all(session, person, now)
    for row in fresh:
        row.gone_at, row.gone_why = now, why
        session.add(row)
        if row.person:
            detail: evidence.Detail = {"platform": platform, "person": row.person, "why": why}
            evidence.append(session, Event(what="account gone", at=now, subject=f"account:{row.person}", detail=detail))
    return bool(fresh)


# --- claims ----------------------------------------------------------------------------------------------------------------


def unlinked(session: Session, practice: Practice, platform: str, now: datetime) -> list[Person]:
    """Everybody of the practice who has no account on this platform yet."""
    taken = set(practice.chat.get(platform, {}).values())
    rows = select(col(ChatAccount.person)).where(col(ChatAccount.platform) == platform, col(ChatAccount.gone_at).is_(None))
    taken |= set(session.scalars(rows))
    return [person for person in practice.people.values() if _is_here(practice, person, now) and person.id not in taken]


def claim(session: Session, platform: str, account: str, person: Person, now: datetime) -> AccountClaim:
    """Somebody says who they are; a newer word of the same account takes the place of the older."""
    session.execute(
        update(AccountClaim)
        .where(col(AccountClaim.platform) == platform, col(AccountClaim.account) == account)
        .where(col(AccountClaim.state) == "waiting")
        .values(state="withdrawn", decided_at=now)
    )
    made = AccountClaim(id=new_ref(), platform=platform, account=account, person=person.id, at=now)
    session.add(made)
    session.flush()
    detail: evidence.Detail = {"platform": platform, "account": account, "claim": made.id}
    evidence.append(session, Event(what="account claimed", at=now, subject=f"account:{person.id}", detail=detail))
    return made


def decide(session: Session, asked: AccountClaim, person: Person, by: Person, now: datetime, *, confirmed: bool) -> bool:
    """A manager's word on a claim. False where it was decided before."""
    state = "confirmed" if confirmed else "refused"
    changed = session.execute(
        update(AccountClaim)
        .where(col(AccountClaim.id) == asked.id, col(AccountClaim.state) == "waiting")
        .values(state=state, decided_by=by.id, decided_at=now)
    )
    session.refresh(asked)
    if getattr(changed, "rowcount", 0) != 1:
        return False
    if confirmed:
        row = session.get(ChatAccount, (asked.platform, asked.account))
        row = row or ChatAccount(platform=asked.platform, account=asked.account, at=now)
        _link(session, row, person, "manager", by.id, now)
    else:
        detail: evidence.Detail = {"platform": asked.platform, "account": asked.account, "claim": asked.id}
        evidence.append(
            session, Event(what="account refused", at=now, subject=f"account:{person.id}", actor=by.id, detail=detail)
        )
    return True


def without_address(session: Session, practice: Practice, platforms: Iterable[tuple[str, bool]], now: datetime) -> list[Person]:
    """Everybody who can be written to on none of these (platform, may_write_first)."""
    where = list(platforms)
    here = (person for person in practice.people.values() if _is_here(practice, person, now))
    return [p for p in here if not any(address_of(session, practice, name, p, may_write_first=first) for name, first in where)]
