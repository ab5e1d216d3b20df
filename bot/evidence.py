"""The ledger: append what happened, read it, verify it, hand it to somebody who does not trust us.

A chain is a list of links. A link names its chain, its number, the hash of the link before it and a leaf; the leaf is the hash
of the event's canonical JSON, which lives beside the chain and can be erased without breaking it:

    leaf   SHA-256 of  holdfast/leaf/1 NUL body
    hash   SHA-256 of  holdfast/link/1 NUL chain, seq, prev_hash, leaf   each as 8 bytes of length, then UTF-8
    first  prev_hash is holdfast/genesis/1/ and the chain's name

Triggers (bot.migrations.guards) refuse everything but an append at the end. Whoever owns the database can drop them, cut rows
off the end, or write a chain anew from some link on, and nothing inside the database shows that. Compare with a head that was
noted elsewhere (the digest prints one every day): `verify(session, kept=head)`.

EvidenceError       an event cannot be recorded as given; nothing was written
"""

from __future__ import annotations

import hashlib
import json
import secrets
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TextIO

from sqlalchemy import RowMapping, bindparam, insert, text, update
from sqlalchemy import select as tables_select
from sqlmodel import Session, SQLModel, col, select

from bot import records
from bot.migrations import guards
from bot.records import LedgerBody, LedgerRow

CHAIN = "main"
"""The chain of an installation; others are for tests and for later tenants."""
KEPT = frozenset({"erased", "restored"})
"""Events that explain a gap or a jump: they can never be erased themselves."""

Detail = Mapping[str, str | int | bool | None]


class EvidenceError(ValueError):
    """The event, the leaf or the session cannot be used; the text says why."""


@dataclass(frozen=True)
class Event:
    """What happened. Ids and codes only: what a person typed goes in as its `commitment`.

    what      the kind of event in the trade's words, e.g. "nudge acknowledged"
    at        aware; stored as UTC with microseconds
    subject   the nudge, exception, SOP or feed it is about
    item      the reference of the item, where there is one
    actor     a person's id, or empty where time or a source did it; role is the one they acted in
    snapshot  hash of the item's facts it stands on
    detail    further facts: text, whole numbers (money in cents), true, false or nothing; a float is refused
    """

    what: str
    at: datetime
    subject: str
    item: str = ""
    actor: str = ""
    role: str = ""
    sop: str = ""
    sop_version: int | None = None
    step: str = ""
    rule: str = ""
    rule_version: str = ""
    snapshot: str = ""
    detail: Detail = field(default_factory=dict)


@dataclass(frozen=True)
class Link:
    """One position of a chain and its hash: enough to recognise the whole chain up to there."""

    chain: str
    seq: int
    hash: str
    leaf: str = ""


@dataclass(frozen=True)
class Entry:
    """One event as it is on record. Where its content was erased, `event` holds no more than when, what, subject and item."""

    link: Link
    event: Event
    erased_at: datetime | None


@dataclass(frozen=True)
class BadRow:
    """The first row that cannot be right. `seq` is None for content that no link names; `leaf` is then what names it."""

    chain: str
    seq: int | None
    why: str
    leaf: str = ""

    def __str__(self) -> str:
        return f"{self.chain} {self.seq}: {self.why}" if self.seq is not None else f"content {self.leaf[:12]}: {self.why}"


@dataclass(frozen=True)
class Verdict:
    """What `verify` found. `ok` needs every row right and every trigger in place.

    length            links that were looked at and right, in all chains together
    head              the last link of the chain asked for, or of CHAIN; None where a row is bad
    erased            leaves whose content was erased and declared so
    triggers_missing  names, as in bot.migrations.guards
    """

    ok: bool
    length: int
    head: Link | None
    first_bad: BadRow | None
    erased: int
    triggers_missing: tuple[str, ...]


def append(session: Session, event: Event, *, chain: str = CHAIN, nonce: str | None = None) -> Link:
    """Record `event` at the end of `chain`, in the caller's transaction: it stands if and only if the change beside it does.

    From here to the end of the transaction other writers of the chain wait: append last, commit soon.
    nonce   makes the leaves of equal events differ, so that no content can be guessed from its leaf; random unless given
    raises EvidenceError   a session that `records.write` did not open, a naive instant, a float, an empty `what`
    """
    if not records.is_write(session):
        raise EvidenceError("Evidence is written in a write session: open it with records.write(engine).")
    fields = _fields(event)
    body = canonical({**fields, "nonce": nonce or secrets.token_hex(16), "v": 1})
    leaf = leaf_hash(body)
    columns = {name: fields[name] for name in ("what", "subject", "item")}
    session.execute(_ADD_BODY, {"leaf": leaf, "at": event.at, "body": body, **columns})
    last = _end(session, chain)
    seq, prev_hash = (last.seq + 1, last.hash) if last else (1, guards.GENESIS + chain)
    link = Link(chain, seq, link_hash(chain, seq, prev_hash, leaf), leaf)
    session.execute(_ADD_LINK, {"chain": chain, "seq": seq, "prev_hash": prev_hash, "leaf": leaf, "hash": link.hash})
    return link


def head(session: Session, chain: str = CHAIN) -> Link | None:
    """The last link, or None where nothing happened yet."""
    row = session.execute(_NEWEST, {"chain": chain}).first()
    return Link(chain, row.seq, row.hash, row.leaf) if row else None


def read(
    session: Session, *, item: str = "", subject: str = "", since: datetime | None = None, chain: str = CHAIN
) -> list[Entry]:
    """What is on record, oldest first; of one item, of one subject, from an instant on, or all of these together."""
    query = select(LedgerRow, LedgerBody).join(LedgerBody, col(LedgerBody.leaf) == col(LedgerRow.leaf))
    query = query.where(LedgerRow.chain == chain).order_by(col(LedgerRow.seq))
    if item:
        query = query.where(LedgerBody.item == item)
    if subject:
        query = query.where(LedgerBody.subject == subject)
    if since:
        query = query.where(LedgerBody.at >= since)
    return [Entry(Link(r.chain, r.seq, r.hash, r.leaf), _event(b), b.erased_at) for r, b in session.exec(query)]


def commitment(typed: str, salt: str) -> str:
    """A hash that binds us to what a person typed without holding it. `salt` is random, and kept and erased with the text."""
    return _digest("holdfast/note/1", _framed(salt, unicodedata.normalize("NFC", typed)))


def erase(session: Session, leaf: str, *, at: datetime, reason: str, actor: str = "", role: str = "") -> Link:
    """Erase the content of one leaf for good, and say so in its chain; the chain still verifies.

    raises EvidenceError   no such leaf, erased before, or an event that explains an erasure or a restore
    """
    row = session.exec(select(LedgerRow).where(LedgerRow.leaf == leaf)).first()
    body = session.get(LedgerBody, leaf)
    if row is None or body is None:
        raise EvidenceError("No event of the ledger has this leaf.")
    if body.body is None:
        raise EvidenceError("The content of this event was erased before.")
    if body.what in KEPT:
        raise EvidenceError(f"An event {body.what!r} explains the ledger itself and is kept.")
    columns = _columns_hash(_stored_instant(body.at), body.what, body.subject, body.item)
    detail = {"reason": reason, "columns": columns}
    declared = Event("erased", at, subject=leaf, item=body.item, actor=actor, role=role, detail=detail)
    link = append(session, declared, chain=row.chain)
    gone = update(LedgerBody).where(col(LedgerBody.leaf) == leaf, col(LedgerBody.body).is_not(None))
    changed: Any = session.execute(gone.values(body=None, erased_at=at))
    if changed.rowcount != 1:
        raise EvidenceError("The content of this event was erased before.")
    session.expire(body)
    return link


# --- verifying -------------------------------------------------------------------------------------------------------------


def verify(session: Session, chain: str | None = None, *, kept: Link | None = None) -> Verdict:
    """Go through one chain, or all, and name the first row that cannot be right.

    kept   a head noted outside this database earlier: the chain must still hold it. Without one, rows cut off the end and a
           chain that was hashed anew cannot be told from an honest one.

    Every column is looked at: the link's own, the content against its leaf, the searchable columns against the content. Memory
    stays constant.
    """
    names = [chain] if chain is not None else list(_chains(session))
    bad = next((name for name in names if isinstance(name, BadRow)), None)
    walks = [_Walk(name, kept if kept and kept.chain == name else None) for name in names if isinstance(name, str)]
    for walk in walks:
        bad = bad or walk.over(session)
    for walk in walks:  # only now: an `erased` event counts when its own link is sound
        bad = bad or _bad_erasure(session, walk.chain)
    bad = bad or _kept_chain_lost(session, kept) or _orphan(session)
    triggers = guards.missing(session.connection())
    last = head(session, chain or CHAIN) if bad is None else None
    length, erased = sum(walk.seq for walk in walks), sum(walk.erased for walk in walks)
    return Verdict(bad is None and not triggers, length, last, bad, erased, triggers)


class _Walk:
    """One chain from its first link to its last."""

    def __init__(self, chain: str, kept: Link | None) -> None:
        self.chain = chain
        self.kept = kept
        self.seq = 0
        self.erased = 0
        self.hash = guards.GENESIS + chain

    def over(self, session: Session) -> BadRow | None:
        for row in _rows(session, self.chain):
            if bad := self.step(row):
                return bad
        if self.kept and self.kept.seq > self.seq:
            return BadRow(self.chain, self.seq + 1, f"it is missing: the chain once reached {self.kept.seq}")
        return None

    def step(self, row: RowMapping) -> BadRow | None:
        seq = row["seq"]
        if type(seq) is not int or seq <= self.seq:
            return BadRow(self.chain, seq, "its number is out of place")
        if seq != self.seq + 1:
            return BadRow(self.chain, self.seq + 1, f"it is missing: the next link here is {seq}")
        why = _bad_link(row, self.chain, self.hash) or _bad_body(row)
        if why is None and self.kept and self.kept.seq == seq and self.kept.hash != _text(row["hash"]):
            why = "it is not the link that was noted elsewhere: the chain was written anew from here or earlier"
        if why:
            return BadRow(self.chain, seq, why)
        self.seq, self.hash = seq, str(_text(row["hash"]))
        self.erased += row["body"] is None
        return None


def _bad_link(row: RowMapping, chain: str, before: str) -> str | None:
    prev_hash, leaf, hashed = _text(row["prev_hash"]), _text(row["leaf"]), _text(row["hash"])
    if row["link_types"] != "text text text" or prev_hash is None or leaf is None or hashed is None:
        return "a column does not hold text"
    if prev_hash != before:
        return "it does not follow the link before it"
    if hashed != link_hash(chain, row["seq"], prev_hash, leaf):
        return "its hash does not fit its columns"
    return None


def _bad_body(row: RowMapping) -> str | None:
    if row["body_leaf"] is None:
        return "its content is missing"
    if row["body"] is None:
        return "its content is gone and nobody erased it" if row["erased_at"] is None else None
    if row["erased_at"] is not None:
        return "its content is marked as erased and still there"
    body = _text(row["body"])
    if row["body_types"] != _WHOLE or body is None:
        return "a column of its content does not hold text"
    if leaf_hash(body) != _text(row["leaf"]):
        return "its content does not fit its leaf"
    fields = _parsed(body)
    if fields is None:
        return "its content is not an event"
    columns = {name: _text(row[name]) for name in ("what", "subject", "item")} | {"at": _instant_text(row["at"])}
    differs = [name for name, value in columns.items() if value != fields[name]]
    return f"its column {differs[0]!r} does not say what its content says" if differs else None


def _bad_erasure(session: Session, chain: str) -> BadRow | None:
    """The first erased content that no `erased` event of the chain declares, with the columns that were left standing."""
    for row in _rows(session, chain, only_erased=True):
        leaf = _text(row["leaf"])
        columns = _columns_hash(_instant_text(row["at"]), *(_text(row[name]) for name in ("what", "subject", "item")))
        events = session.execute(text(_ERASED_EVENTS), {"chain": chain, "leaf": leaf}).scalars()
        declared = [fields for body in events if body is not None and (fields := _parsed(body))]
        if row["body_types"] != _ERASED:
            return BadRow(chain, row["seq"], "a column of its erased content does not hold text", str(leaf))
        if not any(e["detail"].get("columns") == columns and e["at"] == _instant_text(row["erased_at"]) for e in declared):
            return BadRow(chain, row["seq"], "no erased event declares its content erased as it stands", str(leaf))
    return None


def _orphan(session: Session) -> BadRow | None:
    """Content that no link names, or that two links name."""
    lost = session.execute(text(_ORPHANS[_dialect(session)])).scalar()
    if lost is not None:
        return BadRow("", None, "no link names it: it was put there, or its link was removed", _shown(lost))
    twice = session.execute(text(_TWICE)).first()
    return BadRow(twice.chain, twice.seq, "its content belongs to an earlier link", twice.leaf) if twice else None


def _kept_chain_lost(session: Session, kept: Link | None) -> BadRow | None:
    if kept is None or head(session, kept.chain):
        return None
    return BadRow(kept.chain, 1, f"it is missing: the chain once reached {kept.seq}")


def _chains(session: Session) -> Iterator[str | BadRow]:
    for row in session.execute(text(_CHAINS[_dialect(session)])).all():
        name = _text(row.chain)
        yield name if name is not None and row.types == "text" else BadRow(_shown(row.chain), row.seq, "its chain is not text")


# --- exporting -------------------------------------------------------------------------------------------------------------

_FORMAT = {
    "format": "holdfast-ledger/1",
    "leaf": "sha256 of: holdfast/leaf/1, a zero byte, body (UTF-8)",
    "hash": "sha256 of: holdfast/link/1, a zero byte, then chain, seq, prev_hash, leaf, each after its length in 8 bytes",
    "genesis": guards.GENESIS + "<chain>",
    "erased": "body is null and a later event with what=erased has this leaf as its subject",
}


def holds(session: Session, head: str) -> bool:
    """Whether some link's hash begins with `head` (8 characters or more): a head once printed must stay in its chain."""
    if len(head) < 8:
        raise EvidenceError("a head is named by at least its first 8 characters")
    query = select(LedgerRow.seq).where(col(LedgerRow.hash).startswith(head.lower(), autoescape=True))
    return session.exec(query.limit(1)).first() is not None


def export(session: Session, stream: TextIO) -> int:
    """Write every link with its content as JSON lines that can be verified without us; gives back the number of links.

    The first line says how the hashes are made; the last one counts the links and names each chain's head.
    raises EvidenceError   a row is not text; `verify` names it
    """
    links = 0
    heads: list[dict[str, Any]] = []
    stream.write(canonical(_FORMAT) + "\n")
    for chain in _chains(session):
        if isinstance(chain, BadRow):
            raise EvidenceError(f"The ledger cannot be exported: {chain}.")
        last: dict[str, Any] = {}
        for row in _rows(session, chain):
            last = _exported(chain, row)
            stream.write(json.dumps(last, ensure_ascii=False, sort_keys=True, separators=(",", ":")) + "\n")
            links += 1
        heads.append({name: last[name] for name in ("chain", "seq", "hash")})
    stream.write(json.dumps({"heads": heads, "links": links}, ensure_ascii=False, sort_keys=True, separators=(",", ":")) + "\n")
    return links


def _exported(chain: str, row: RowMapping) -> dict[str, Any]:
    link = {name: _text(row[name]) for name in ("prev_hash", "leaf", "hash")}
    if None in link.values() or type(row["seq"]) is not int:
        raise EvidenceError(f"The ledger cannot be exported: {chain} {row['seq']} is not text.")
    erased_at = None if row["erased_at"] is None else _instant_text(row["erased_at"])
    return {"chain": chain, "seq": row["seq"], **link, "body": _text(row["body"]), "erased_at": erased_at}


# --- hashing ---------------------------------------------------------------------------------------------------------------


def canonical(fields: Mapping[str, Any]) -> str:
    """The one JSON text of these fields: keys sorted, no blanks, text in NFC. raises EvidenceError on a float or a list"""
    return json.dumps(_plain(fields), ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def leaf_hash(body: str) -> str:
    """Hexadecimal SHA-256 of an event's canonical JSON."""
    return _digest("holdfast/leaf/1", body.encode())


def link_hash(chain: str, seq: int, prev_hash: str, leaf: str) -> str:
    """Hexadecimal SHA-256 of a link's four columns; no two different links frame to the same bytes."""
    return _digest("holdfast/link/1", _framed(chain, str(seq), prev_hash, leaf))


def _columns_hash(at: str | None, what: str | None, subject: str | None, item: str | None) -> str:
    """Of the columns that stay when content is erased; its `erased` event holds it, so that they stay as they are."""
    return _digest("holdfast/erased/1", canonical({"at": at, "what": what, "subject": subject, "item": item}).encode())


def _digest(domain: str, content: bytes) -> str:
    return hashlib.sha256(domain.encode() + b"\0" + content).hexdigest()


def _framed(*parts: str) -> bytes:
    encoded = [part.encode() for part in parts]
    return b"".join(len(part).to_bytes(8, "big") + part for part in encoded)


def _fields(event: Event) -> dict[str, Any]:
    """The event's fields, ready for JSON and for the columns. raises EvidenceError"""
    if event.at.tzinfo is None:
        raise EvidenceError("An event's instant has no time zone: instants are aware UTC.")
    if not event.what:
        raise EvidenceError("An event needs a word for what happened.")
    fields = {name: getattr(event, name) for name in event.__dataclass_fields__}
    plain: dict[str, Any] = _plain({**fields, "at": _stored_instant(event.at)})
    for name in ("what", "subject", "item"):
        if "\0" in plain[name]:
            raise EvidenceError(f"An event's {name} holds a zero byte, which no database stores as text.")
    return plain


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        normal = unicodedata.normalize("NFC", value)
        if not normal.isascii() and any("\ud800" <= letter <= "\udfff" for letter in normal):
            raise EvidenceError("An event holds half a character (a lone surrogate), which is not text.")
        return normal
    if isinstance(value, Mapping):
        if not all(isinstance(name, str) for name in value):
            raise EvidenceError("The names in an event's detail are text.")
        return {_plain(name): _plain(inner) for name, inner in value.items()}
    raise EvidenceError(
        f"An event cannot hold a {type(value).__name__}: text, whole numbers, true, false or nothing (money in cents)."
    )


# --- reading rows ----------------------------------------------------------------------------------------------------------


def _event(row: LedgerBody) -> Event:
    if row.body is None:
        return Event(row.what, row.at, row.subject, row.item)
    fields = _parsed(row.body)
    if fields is None:
        raise EvidenceError("The ledger holds content that is not an event: run `evidence verify`.")
    known = {name: fields[name] for name in Event.__dataclass_fields__}
    return Event(**{**known, "at": datetime.fromisoformat(fields["at"])})


def _parsed(body: str) -> dict[str, Any] | None:
    """The fields of an event's canonical JSON, or None where it is something else."""
    try:
        fields = json.loads(body)
    except ValueError:
        return None
    whole = isinstance(fields, dict) and fields.keys() >= Event.__dataclass_fields__.keys()
    return fields if whole and isinstance(fields["detail"], dict) else None


def _rows(session: Session, chain: str, *, only_erased: bool = False, page: int = 2000) -> Iterator[RowMapping]:
    """Every link of a chain with its content, in order, as raw as the database has them; a page at a time."""
    statement = _LINKS[_dialect(session)]
    erased = " AND b.leaf IS NOT NULL AND b.body IS NULL" if only_erased else ""
    after: Any = None
    while True:
        beyond = "" if after is None else " AND l.seq > :after"
        query = text(f"{statement}{erased}{beyond} ORDER BY l.seq LIMIT :page")
        rows = (
            session.execute(query, {"chain": chain, "page": page} | ({} if after is None else {"after": after}))
            .mappings()
            .all()
        )
        yield from rows
        if len(rows) < page:
            return
        after = rows[-1]["seq"]


def _end(session: Session, chain: str) -> Link | None:
    """The head of a chain, and from here on nobody else's turn: PostgreSQL locks, SQLite's BEGIN IMMEDIATE has done so."""
    if _dialect(session) == "sqlite":
        return head(session, chain)
    key = int.from_bytes(hashlib.sha256(b"holdfast/lock/1\0" + chain.encode()).digest()[:8], "big", signed=True)
    row = session.execute(_END, {"chain": chain, "key": key}).first()
    return Link(chain, row.seq, row.hash, row.leaf) if row else None


# Plain tables, built once: the same as ORM statements costs each append three times as long.
_ledger, _bodies = (SQLModel.metadata.tables[name] for name in ("ledger", "ledger_body"))
_ADD_LINK, _ADD_BODY = insert(_ledger), insert(_bodies)
_OF_CHAIN = tables_select(_ledger.c.seq, _ledger.c.hash, _ledger.c.leaf).where(_ledger.c.chain == bindparam("chain"))
_END = text("SELECT seq, hash, leaf FROM ledger_end(:chain, :key)")
_NEWEST = _OF_CHAIN.order_by(_ledger.c.seq.desc()).limit(1)


def _dialect(session: Session) -> str:
    return session.get_bind().dialect.name


def _text(value: Any) -> str | None:
    """A text column as it was read, or None where it is no text at all."""
    if isinstance(value, bytes | memoryview):
        try:
            return bytes(value).decode()
        except UnicodeDecodeError:
            return None
    return value if isinstance(value, str) else None


def _shown(value: Any) -> str:
    return bytes(value).decode(errors="replace") if isinstance(value, bytes | memoryview) else str(value)


def _stored_instant(at: datetime) -> str:
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _instant_text(value: Any) -> str | None:
    """An instant column in the words of the content; SQLite keeps it as text, where only the one exact spelling counts."""
    if isinstance(value, datetime):
        return _stored_instant(value)
    spelled = _text(value)
    return None if spelled is None or len(spelled) != 26 or spelled[10] != " " else f"{spelled[:10]}T{spelled[11:]}Z"


# SQLite stores any type in any column and bytes that are not UTF-8 as text: so its columns are read as bytes, with their types.
_LINKS = {
    "sqlite": """
SELECT l.seq AS seq, CAST(l.prev_hash AS BLOB) AS prev_hash, CAST(l.leaf AS BLOB) AS leaf, CAST(l.hash AS BLOB) AS hash,
       CAST(b.leaf AS BLOB) AS body_leaf, CAST(b.at AS BLOB) AS at, CAST(b.what AS BLOB) AS what,
       CAST(b.subject AS BLOB) AS subject, CAST(b.item AS BLOB) AS item, CAST(b.body AS BLOB) AS body,
       CAST(b.erased_at AS BLOB) AS erased_at,
       typeof(l.prev_hash) || ' ' || typeof(l.leaf) || ' ' || typeof(l.hash) AS link_types,
       typeof(b.at) || ' ' || typeof(b.what) || ' ' || typeof(b.subject) || ' ' || typeof(b.item) || ' ' || typeof(b.body)
         || ' ' || typeof(b.erased_at) AS body_types
FROM ledger AS l LEFT JOIN ledger_body AS b ON b.leaf = l.leaf WHERE l.chain = :chain""",
    "postgresql": """
SELECT l.seq, l.prev_hash, l.leaf, l.hash, b.leaf AS body_leaf, b.at, b.what, b.subject, b.item, b.body, b.erased_at,
       'text text text' AS link_types,
       CASE WHEN b.body IS NULL THEN 'text text text text null text' ELSE 'text text text text text null' END AS body_types
FROM ledger AS l LEFT JOIN ledger_body AS b ON b.leaf = l.leaf WHERE l.chain = :chain""",
}
_WHOLE, _ERASED = "text text text text text null", "text text text text null text"
_CHAINS = {
    "sqlite": "SELECT CAST(chain AS BLOB) AS chain, typeof(chain) AS types, MIN(seq) AS seq FROM ledger GROUP BY ledger.chain",
    "postgresql": "SELECT chain, 'text' AS types, MIN(seq) AS seq FROM ledger GROUP BY chain ORDER BY chain",
}
_ORPHANS = {
    "sqlite": "SELECT CAST(leaf AS BLOB) FROM ledger_body WHERE leaf NOT IN (SELECT leaf FROM ledger) LIMIT 1",
    "postgresql": "SELECT leaf FROM ledger_body AS b WHERE NOT EXISTS (SELECT 1 FROM ledger WHERE leaf = b.leaf) LIMIT 1",
}
_TWICE = "SELECT MAX(chain) AS chain, MAX(seq) AS seq, leaf FROM ledger GROUP BY leaf HAVING COUNT(*) > 1 LIMIT 1"
_ERASED_EVENTS = """
SELECT b.body FROM ledger_body AS b JOIN ledger AS l ON l.leaf = b.leaf
WHERE b.what = 'erased' AND b.subject = :leaf AND l.chain = :chain"""
