"""Every way to start it. Exit codes: 0 done, 2 bad usage, 1 anything else with one plain sentence on stderr.

Parts are imported by the command that needs them, so that `--help` answers at once.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from bot.settings import Settings, SettingsError, load

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from bot.app import Holdfast
    from bot.learning import Cluster
    from bot.records import Golden
    from knowledge.embedding import Embedder
    from knowledge.library import FileReport, Report

Command = Callable[[argparse.Namespace, Settings], int]


class Sorry(Exception):
    """One plain sentence for the person at the terminal; the command ends with exit code 1."""

    code = 1


class BadUsage(Sorry):
    """An option that cannot be meant; the command ends with exit code 2."""

    code = 2


def main(argv: list[str] | None = None) -> int:
    """Run one command. returns the exit code"""
    options = parser().parse_args(argv)
    try:
        settings = load()
        _log(settings)
        code: int = options.run(options, settings)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as bad:
        sentence = _sentence(bad)
        if sentence is None:
            logging.getLogger("holdfast").exception("a fault of ours")
            sentence = f"Something went wrong on our side ({type(bad).__name__}); nothing was half-done. The log says more."
        print(sentence, file=sys.stderr)
        return bad.code if isinstance(bad, Sorry) else 1
    return code


def _sentence(bad: Exception) -> str | None:
    """What a person should read of an error that we mean; None for a fault of ours."""
    if isinstance(bad, Sorry | SettingsError):
        return str(bad)
    findings = getattr(bad, "findings", None)
    if findings:
        return "\n".join(str(finding) for finding in findings)
    meant = ("CannotStart", "CannotServe", "ConnectorError", "BackupError", "MigrationError", "EvidenceError", "Unstaffed")
    if any(family.__name__ in meant for family in type(bad).__mro__):
        return str(bad)
    if isinstance(bad, OSError) and bad.filename:
        return f"{bad.filename}: {bad.strerror}."
    return None


def _log(settings: Settings) -> None:
    """Everything that is logged goes to stderr, scrubbed."""
    from bot.logs import set_up

    set_up(settings)


# --- the commands ----------------------------------------------------------------------------------------------------------


def demo(options: argparse.Namespace, settings: Settings) -> int:
    """The sample practice, on a local page or in the terminal."""
    if options.json and not options.plain:
        raise BadUsage("--json goes with --plain: python -m bot demo --plain --json")
    with _demo_home() as home:
        from bot.demo import Demo, settings_for

        with _made(Demo(settings_for(settings, home))) as holdfast:
            _open_demo(holdfast, quiet=options.json)
            if options.plain:
                from bot.platforms.console.plain import plain

                plain(holdfast, sys.stdin, sys.stdout, json=options.json, after=_news_since_start(holdfast))
                return 0
            from bot.app import Ticker

            with holdfast.talking():
                ticker = Ticker(holdfast.live, holdfast.settings.tick_s)
                ticker.start()
                try:
                    _serve(holdfast)
                finally:
                    ticker.stop()
    return 0


def _news_since_start(holdfast: Holdfast) -> int:
    """Messages up to here are history; what the first sweeps after the start bring is news."""
    return holdfast.console.last()


@contextmanager
def _demo_home() -> Iterator[Path]:
    named = os.environ.get("HOLDFAST_HOME")
    if named:
        home = Path(named).expanduser().absolute()
        home.mkdir(parents=True, exist_ok=True)
        if any(home.iterdir()) and not (home / "holdfast.sqlite").exists():
            raise Sorry(f"{home} holds other files: give the demo an empty folder, or leave HOLDFAST_HOME unset.")
        yield home
        return
    with tempfile.TemporaryDirectory(prefix="holdfast-demo-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _open_demo(holdfast: Any, *, quiet: bool) -> None:
    if quiet or not sys.stderr.isatty():
        holdfast.open()
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Two weeks at the sample practice", total=1.0)
        holdfast.open(lambda share: bar.update(task, completed=share))


def _serve(holdfast: Holdfast, *, signing_in: bool = False) -> None:
    """The page, until Ctrl-C. `signing_in`: people are themselves; else whoever has its address may be anybody."""
    import secrets

    from bot.platforms.console.page import serve
    from bot.signin import SignedIn

    settings = holdfast.settings
    token = settings.page_token or secrets.token_urlsafe(18)
    signed_in = SignedIn(holdfast.engine, holdfast.now, holdfast.whose) if signing_in else None

    def ready(address: str) -> None:
        print(f"Holdfast is at {address}\nPress Ctrl-C to stop.", flush=True)

    serve(holdfast, settings.host, settings.port, token, ready, holdfast.routes(), signed_in=signed_in, url=settings.url)


def run(options: argparse.Namespace, settings: Settings) -> int:
    """Web and clock in one process."""
    from bot.app import Ticker, only_clock

    with _opened(settings) as holdfast, only_clock(holdfast.home, holdfast.engine), holdfast.talking(), holdfast.sending():
        ticker = Ticker(lambda: holdfast.tick(then_deliver=False), settings.tick_s)
        ticker.start()
        try:
            _serve(holdfast, signing_in=True)
        finally:
            ticker.stop()
    return 0


def web(options: argparse.Namespace, settings: Settings) -> int:
    """The page and the chat services; a clock runs elsewhere."""
    with _opened(settings) as holdfast, holdfast.talking(), holdfast.sending():
        _serve(holdfast, signing_in=True)
    return 0


def clock(options: argparse.Namespace, settings: Settings) -> int:
    """The sweeps alone; a web process runs elsewhere."""
    import signal
    import threading

    from bot.app import Ticker, only_clock

    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with _opened(settings) as holdfast, only_clock(holdfast.home, holdfast.engine, stopped) as is_ours:
        if is_ours:
            with holdfast.sending():
                ticker = Ticker(lambda: holdfast.tick(then_deliver=False), settings.tick_s)
                ticker.start()
                stopped.wait()
                ticker.stop()
    return 0


def migrate(options: argparse.Namespace, settings: Settings) -> int:
    """Bring the tables up to date."""
    with _holdfast(settings) as holdfast:
        holdfast.engine.connect().close()
    print("The database is up to date.")
    return 0


def ingest(options: argparse.Namespace, settings: Settings) -> int:
    """SOP files or folders into the library."""
    from bot import golden

    with _holdfast(settings) as holdfast:

        def publish() -> Report:
            return holdfast.ingest([Path(p) for p in options.paths], publish=options.publish, seen=options.seen)

        effect = golden.Effect()
        if options.publish:
            report, effect = golden.publishing(holdfast.engine, holdfast.library, publish, "", holdfast.now())
        else:
            report = publish()
    for file in report.files:
        _say(options, _plain(file), _told(file))
    for lost in effect.lost:
        print(f"Warning: {lost}", file=sys.stderr)
    for asked, sop_id, step in effect.closed:
        print(f"Closed: “{asked}” is answered by {sop_id}#{step} now, and must be from now on.", file=sys.stderr)
    if not report.ok:
        raise Sorry("Not everything could be taken in; what was lost, and why, stands at each file.")
    return 0


def _told(file: FileReport) -> str:
    """What became of one file, for a person."""
    kept = f"{file.path}: {file.outcome}"
    if file.sop:
        kept += f" as {file.sop} version {file.version}, {file.steps} steps, {file.words} words"
    counted = ", ".join(f"{count} {what}" for what, count in file.kept.items() if count)
    lines = [f"  read: {counted}"] if counted else []
    lines += [f"  {finding}" for finding in (*file.problems, *file.lost, *file.notes)]
    lines += [f"  not seen by a reader, and left out: {': '.join(filter(None, astuple(seen)))}" for seen in file.hidden]
    lines += [f"  step {step} is gone; what names it has lost its step" for step in file.removed]
    for kind in ("role", "clock"):
        said = [f"{one[kind]} (line {one['line']})" for one in file.proposed.get(f"{kind}s", ())]
        lines += [f"  perhaps its {kind}s: {', '.join(said)}"] if said else []
    if file.sop:
        lines.append(f"  as it will be read: python -m bot sop show {file.sop} --version {file.version}")
    return "\n".join([kept, *lines])


def sop(options: argparse.Namespace, settings: Settings) -> int:
    """An SOP or draft exactly as it is read: its whole text, and its steps with their numbers."""
    from bot.records import read
    from knowledge import tables

    with _holdfast(settings) as holdfast, read(holdfast.engine) as session:
        found = [row for row in tables.versions(session, options.id) if options.version in (None, row.version)]
        if not found:
            raise Sorry(
                f"There is no SOP {options.id}{f' version {options.version}' if options.version else ''} in the library."
            )
        row = max(found, key=lambda row: row.version)
        steps = tables.steps(session, row.sop, row.version)
        asked = {p.step: p.asked for p in tables.passages(session, {(row.sop, row.version)})}
    facts = {
        "sop": row.sop, "version": row.version, "state": row.state, "title": row.title, "file": row.name, "sha256": row.sha256,
        "text": row.source, "steps": [
            {"step": s.step, "number": s.number, "title": s.title, "text": s.text, "asked": asked.get(s.step, [])}
            for s in steps
        ],
    }  # fmt: skip
    listed = [f"  {step.number:>6}  {' '.join(step.text.split())[:90]}" for step in steps]
    head = f"{row.sop} version {row.version}, {row.state}, from {row.name}, text {row.sha256[:16]}"
    _say(options, facts, "\n".join([head, "", row.source.rstrip(), "", f"{len(steps)} steps:", *listed]))
    return 0


def search(options: argparse.Namespace, settings: Settings) -> int:
    """Answers to a batch of questions over a folder of documents."""
    from knowledge import embedding
    from knowledge.folder import search_folder

    folder, batch = Path(options.library), Path(options.batch)
    if not folder.is_dir():
        raise Sorry(f"{folder} is not a folder.")
    questions = list(_questions(batch))
    embedder = embedding.chosen(settings.embedding_model, settings.embedding_model_dir, settings.home / "models")
    for line in search_folder(folder, questions, options.k, settings.home / "search", embedder):
        _say(options, line, f"{line['id']}: {line['answer'] or 'not in these documents'}")
    return 0


def _questions(batch: Path) -> Iterator[Mapping[str, Any]]:
    try:
        lines = batch.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise Sorry(f"{batch} is not text in UTF-8.") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            question = json.loads(line)
            thread = [str(earlier) for earlier in question["thread"]] if "thread" in question else []
            yield {"id": str(question["id"]), "question": str(question["question"]), "thread": thread}
        except (json.JSONDecodeError, KeyError, TypeError):
            raise Sorry(f'{batch}:{number}: each line must be a JSON object with "id" and "question".') from None


def ask(options: argparse.Namespace, settings: Settings) -> int:
    """One answer with its sources."""
    with _opened(settings) as holdfast:
        card = holdfast.answer(_who(holdfast, options.person), options.question)
        _show_card(options, card)
    return 0


def _who(holdfast: Holdfast, named: str | None) -> str:
    """The person asked for, or whoever comes first in the practice file."""
    from bot import people

    if named is None:
        return next(iter(holdfast.practice.people))
    person = people.find(holdfast.practice, named)
    if person is None:
        known = ", ".join(holdfast.practice.people)
        raise Sorry(f"Nobody in the practice file is called {named!r}; it has {known}.")
    return person.id


def gaps(options: argparse.Namespace, settings: Settings) -> int:
    """What staff asked and no SOP answered, or not well; the most money at stake first."""
    from bot import golden as golden_set
    from bot import learning
    from bot.records import read, write

    with _opened(settings) as holdfast:
        now = holdfast.now()
        if options.close or options.leave:
            ref = options.leave or options.close[0]
            with write(holdfast.engine) as session:
                if options.leave:
                    done = golden_set.leave(session, ref, by="", at=now)
                else:
                    done = golden_set.close(session, ref, *_step_of(holdfast, options.close[1]), by="", at=now)
            if not done:
                raise Sorry(f"There is no open gap {ref}: python -m bot gaps lists them.")
            _say(options, {"gap": ref, "state": "left" if options.leave else "closed"}, f"{ref} is listed no more.")
            return 0
        sites = list(holdfast.practice.sites)
        if options.site and options.site not in sites:
            raise Sorry(f"There is no site {options.site!r}; there are {', '.join(sites)}.")
        wanted, since = [options.site] if options.site else sites, now - timedelta(days=options.days)
        with read(holdfast.engine) as session:
            found = learning.gaps(session, holdfast.house, wanted, since, _embedder(settings))
    for cluster in found:
        _say(options, _plain(cluster), _gap_told(cluster))
    if not found:
        _say(options, {"gaps": 0}, f"Every question of the last {options.days} days was answered.")
    return 0


def _embedder(settings: Settings) -> Embedder | None:
    from knowledge import embedding

    return embedding.chosen(settings.embedding_model, settings.embedding_model_dir, settings.home / "models")


def _gap_told(gap: Cluster) -> str:
    """A cluster of questions, for a person."""
    worth = f", ${gap.cents / 100:,.2f}" if gap.cents else ""
    where = f"{gap.sop}#{gap.step}".rstrip("#") or "no SOP"
    lines = [f"{len(gap.refs)} asked by {gap.people}; nearest {where}; {gap.stalled} stalled there{worth}"]
    lines.append(f"  roles: {', '.join(gap.roles) or 'none'}; sites: {', '.join(gap.sites) or 'none'}")
    lines += [f"  {ref}  “{asked}”" for ref, asked in zip(gap.refs, gap.asked, strict=True)]
    lines += [f"  did not help: {gap.disliked} ({', '.join(gap.reasons)})"] if gap.disliked else []
    lines += [f"  {ref}  somebody answered: “{words}”" for ref, words in gap.replies]
    return "\n".join(lines)


def golden(options: argparse.Namespace, settings: Settings) -> int:
    """The organisation's own questions: does each still find its step? Exits 1 and names those that do not."""
    from bot import golden as golden_set
    from bot.records import read
    from knowledge import tables

    with _opened(settings) as holdfast:
        if options.what in ("add", "remove"):
            _golden_changed(holdfast, options)
        with read(holdfast.engine) as session:
            rows, editions = golden_set.questions(session), tables.editions(session)
        if options.what == "list":
            for row in rows:
                _say(options, _golden_row(row), f"{row.sop}#{row.step}  “{row.question}”  ({row.how}, {row.at:%Y-%m-%d})")
            return 0
        lost = golden_set.lost(holdfast.library, rows, editions, holdfast.now()) if not options.draft else None
        if lost is None:
            drafted = golden_set.rehearsed(
                holdfast.engine, [Path(options.draft)], _embedder(settings), holdfast.now(), settings.home
            )
            with drafted as (library, report, new, at):
                if not report.ok:
                    raise Sorry("\n".join(map(_told, report.files)) or f"{options.draft} holds no SOP.")
                lost = golden_set.lost(library, rows, new, at)
    for one in lost:
        _say(options, _plain(one), str(one))
    _say(options, {"questions": len(rows), "lost": len(lost)}, f"{len(rows) - len(lost)} of {len(rows)} find their step.")
    return 1 if lost and options.what == "run" else 0


def _golden_changed(holdfast: Holdfast, options: argparse.Namespace) -> None:
    """Take a question into the golden set, redacted, or out of it."""
    from bot import asking, cards
    from bot import golden as golden_set
    from bot.records import write

    if not (options.question and options.step):
        raise BadUsage(f'Say which: python -m bot golden {options.what} "question" sop#step')
    house, now = holdfast.house, holdfast.now()
    words = cards.redact(options.question, asking.names_of(house), patients=house.patients)
    sop_id, _, step = options.step.partition("#")
    if options.what == "add":
        _step_of(holdfast, options.step)
    with write(holdfast.engine) as session:
        if options.what == "add":
            golden_set.keep(session, words, sop_id, step, site="", how="added", by="", at=now)
        elif not golden_set.give_up(session, words, sop_id, step, by="", at=now):
            raise Sorry(f"“{words}” is not among the golden questions for {options.step}.")


def calibrate(options: argparse.Namespace, settings: Settings) -> int:
    """Move the thresholds of answered, nearest and refused to where the organisation's own judged questions say."""
    from bot import learning
    from bot.golden import READY_S
    from bot.records import read
    from knowledge import calibration

    with _opened(settings) as holdfast:
        holdfast.library.ready(holdfast.now(), READY_S)
        with read(holdfast.engine) as session:
            embedder, cases = learning.judged(session, holdfast.library, holdfast.now())
    fitted = calibration.fit(cases, options.least)
    moved = len(cases) >= options.least and fitted.better
    facts = {**_plain(fitted), "embedder": embedder, "moved": moved and not options.dry_run}
    lines = [f"{len(cases)} judged questions, searched by {embedder or 'words alone'}"]
    lines += [f"  missing: {each}" for each in fitted.missing]
    for name, rates in (("before", fitted.before), ("after", fitted.after)):
        lines.append(
            f"  {name}: wrongly refused {rates.refused:.0%}, outside let in {rates.let_in:.0%}, "
            f"wrong shown as the answer {rates.wrong:.0%}, right held back {rates.held_back:.0%}"
        )
    lines.append(f"  thresholds: topic {fitted.shift.topic:+.2f}, answer {fitted.shift.answer:+.2f}")
    if moved and not options.dry_run:
        lines.append(f"Kept in {calibration.save(settings.home, embedder, fitted.shift)}.")
    else:
        lines.append("Nothing was changed" + (": these would be kept." if moved else ": it would not answer better."))
    _say(options, facts, "\n".join(lines))
    return 0


def _golden_row(row: Golden) -> dict[str, Any]:
    return {"question": row.question, "sop": row.sop, "step": row.step, "site": row.site, "how": row.how, "at": row.at}


def _step_of(holdfast: Holdfast, ref: str) -> tuple[str, str]:
    """The (sop, step) that `sop#step` names, which must be in the library."""
    if holdfast.library.step(ref, holdfast.now()) is None:
        raise Sorry(f"There is no step {ref!r} in force: write it like billing-claims#work-denials.")
    sop_id, _, step = ref.partition("#")
    return sop_id, step


def sweep(options: argparse.Namespace, settings: Settings) -> int:
    """One sweep."""
    now = _instant(options.now) if options.now else datetime.now(UTC)
    with _opened(settings) as holdfast:
        done = holdfast.tick(now)
    facts = {
        "now": now.isoformat(), "pulled": done.pulled, "found": done.found, "opened": done.opened, "closed": done.closed,
        "advanced": done.advanced, "sent": done.sent, "undelivered": done.undelivered, "stale": done.stale,
        "problems": done.problems,
    }  # fmt: skip
    text = [
        f"{name}: {value if not isinstance(value, dict) else sum(value.values())}" for name, value in facts.items() if value
    ]
    _say(options, facts, "\n".join(text))
    return 0


def digest(options: argparse.Namespace, settings: Settings) -> int:
    """The stand-up of every site, or of one; sent to nobody."""
    with _opened(settings) as holdfast:
        sites = list(holdfast.practice.sites)
        if options.site and options.site not in sites:
            raise Sorry(f"There is no site {options.site!r}; there are {', '.join(sites)}.")
        for site in [options.site] if options.site else sites:
            _show_card(options, holdfast.standup([site]))
    return 0


def feed(options: argparse.Namespace, settings: Settings) -> int:
    """What one connector reads from one source; touches no state."""
    import connectors

    given: dict[str, object] = {"path": str(Path(options.path).absolute())}
    if options.map:
        given["map"] = str(Path(options.map).absolute())
    if not Path(options.path).exists():
        raise Sorry(f"{options.path} does not exist.")
    for line in connectors.describe(options.connector, given, home=settings.home, zone=_zone(options.zone), site="here"):
        _say(options, line, " ".join(f"{k}={v}" for k, v in line.items() if v not in ("", None, {}, [])))
    return 0


def evidence(options: argparse.Namespace, settings: Settings) -> int:
    """The ledger: verify it, export it, show it."""
    from bot import evidence as ledger
    from bot.records import read

    with _holdfast(settings) as holdfast, read(holdfast.engine) as session:
        if options.what == "export":
            ledger.export(session, sys.stdout)
            return 0
        if options.what == "show":
            rows = ledger.read(session, item=options.ref or "")
            if options.ref and not rows:
                raise Sorry(f"No row of the ledger is about {options.ref}.")
            for entry in rows[-options.last :]:
                event = entry.event
                text = f"{entry.link.seq:>6} {event.at:%Y-%m-%d %H:%M} {event.what} {event.item} {event.actor}"
                _say(options, {"seq": entry.link.seq, "hash": entry.link.hash, **_plain(event)}, text)
            return 0
        verdict = ledger.verify(session)
        seen = options.head is None or ledger.holds(session, options.head)
    head = verdict.head.hash if verdict.head else ""
    why = str(verdict.first_bad) if verdict.first_bad else ""
    if not why and verdict.triggers_missing:
        why = f"the guards {', '.join(verdict.triggers_missing)} are missing"
    if verdict.ok and not seen:
        why = f"no row has the head {options.head}: rows that were there when it was printed are gone or were written anew"
    facts = {"ok": verdict.ok and seen, "rows": verdict.length, "head": head, "erased": verdict.erased, "first_bad": why}
    _say(options, facts, "" if why else f"OK: {verdict.length} rows, head {head}")
    if why:
        print(f"NOT OK: {why}", file=sys.stderr)
    return 1 if why else 0


def manifest(options: argparse.Namespace, settings: Settings) -> int:
    """The app's description for Slack (YAML) or Teams (a zip), to be given to their administration page."""
    out = Path(options.out) if options.out else None
    if options.platform == "slack":
        from bot.platforms.slack.manifest import manifest_yaml

        text = manifest_yaml(settings.url, bool(settings.slack_app_token) or not settings.url)
        if out is None:
            print(text, end="")
            return 0
        out.write_text(text, "utf-8")
    else:
        from bot.platforms.teams.manifest import manifest_zip

        if not settings.teams_client_id:
            raise Sorry("Set TEAMS_CLIENT_ID to the bot's application (client) id first: the package names it.")
        out = out or Path("holdfast-teams.zip")
        try:
            package = manifest_zip(settings.teams_client_id, settings.url)
        except ValueError as bad:
            raise Sorry(str(bad)) from None
        out.write_bytes(package)
    print(f"Wrote {out}.")
    return 0


def backup(options: argparse.Namespace, settings: Settings) -> int:
    """Everything into one file, while running."""
    from bot import backup as backups

    with _holdfast(settings) as holdfast:
        backups.backup(holdfast.engine, holdfast.home, Path(options.file), now=datetime.now(UTC))
    print(f"Saved to {options.file}.")
    return 0


def restore(options: argparse.Namespace, settings: Settings) -> int:
    """A backup back into the home folder; declared in the ledger."""
    from bot import backup as backups

    backups.restore(Path(options.file), settings.home, settings.database_url, now=datetime.now(UTC), force=options.force)
    print(f"Restored {options.file} into {settings.home}.")
    return 0


def check(options: argparse.Namespace, settings: Settings) -> int:
    """Configuration, people, rules and SOP links: every finding with file and line."""
    with _holdfast(settings) as holdfast:
        findings = holdfast.check()
    for finding in findings:
        _say(options, _plain(finding), f"{finding.severity}: {finding}")
    errors = sum(1 for finding in findings if finding.severity == "error")
    if not findings:
        _say(options, {"ok": True}, "Nothing to put right.")
    if errors:
        raise Sorry(f"To put right: {errors} of {len(findings)} findings, each with its file and line.")
    return 0


def health(options: argparse.Namespace, settings: Settings) -> int:
    """Feeds, queue, index, last sweep, undelivered."""
    with _opened(settings) as holdfast:
        facts = holdfast.health()
    _say(options, facts, "\n".join(f"{name}: {_listed(value)}" for name, value in facts.items()))
    if not facts["ok"]:
        raise Sorry(f"Somebody should look at {', '.join(words for name, words in _LOOK_AT.items() if facts[name])}.")
    return 0


_LOOK_AT = {
    "late": "the clock, which stands still",
    "stale": "feeds that are too old",
    "problems": "feeds that cannot be read",
    "files": "a mistake in a file",
    "rules_refused": "rules that cannot run",
    "undelivered": "messages that were not delivered",
    "unguarded": "guards of the ledger that are missing",
    "slow": "questions that wait for an answer",
    "away": "chat services that take no messages",
}


def _listed(value: object) -> object:
    """Lists and tables as people write them."""
    if isinstance(value, dict):
        return "; ".join(f"{name} {what}" for name, what in value.items()) or "none"
    return (", ".join(map(str, value)) or "none") if isinstance(value, list | tuple) else value


# --- small things ----------------------------------------------------------------------------------------------------------


@contextmanager
def _holdfast(settings: Settings) -> Iterator[Holdfast]:
    from bot.app import Holdfast

    with _made(Holdfast(settings)) as holdfast:
        yield holdfast


@contextmanager
def _opened(settings: Settings) -> Iterator[Holdfast]:
    """The installation with its practice file read, so that what is wrong with it is said before anything else."""
    with _holdfast(settings) as holdfast:
        holdfast.standing()
        yield holdfast


@contextmanager
def _made(holdfast: Any) -> Iterator[Any]:
    try:
        yield holdfast
    finally:
        holdfast.close()


def _say(options: argparse.Namespace, facts: Mapping[str, Any], text: str, to: TextIO | None = None) -> None:
    if options.json:
        print(json.dumps(facts, ensure_ascii=False, default=str), file=to or sys.stdout)
    elif text:
        print(text, file=to or sys.stdout)


def _show_card(options: argparse.Namespace, card: Any) -> None:
    if options.json:
        print(json.dumps({"kind": card.kind, "card": card.as_json()}, ensure_ascii=False))
        return
    from bot.platforms.console.printer import Printer

    Printer(sys.stdout, prompting=False).show(card)


def _plain(value: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return {k: str(v) if isinstance(v, datetime | Path) else v for k, v in asdict(value).items()}


def _instant(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise BadUsage(f"--now {text!r} is not an instant: write it like 2026-03-02T09:00:00-05:00.") from None
    if at.tzinfo is None:
        raise BadUsage(f"--now {text!r} names no zone: write it like 2026-03-02T09:00:00-05:00.")
    return at.astimezone(UTC)


def _zone(name: str) -> ZoneInfo:
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        raise BadUsage(f"--zone {name!r} is no time zone: write it like America/New_York.") from None


def parser() -> argparse.ArgumentParser:
    """All commands and their options; docs/commands.md is generated from it."""
    top = argparse.ArgumentParser(prog="python -m bot", description="Holdfast makes standards hold.")
    subs = top.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run: Command, *, has_json: bool = True) -> argparse.ArgumentParser:
        text = (run.__doc__ or "").splitlines()[0]
        sub = subs.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run, json=False)
        if has_json:
            sub.add_argument("--json", action="store_true", help="print JSON lines and nothing else")
        return sub

    a = command("demo", demo)
    a.add_argument("--plain", action="store_true", help="in this terminal instead of on a page")
    command("run", run, has_json=False)
    command("web", web, has_json=False)
    command("clock", clock, has_json=False)
    command("migrate", migrate, has_json=False)
    a = command("ingest", ingest)
    a.add_argument("paths", nargs="+", metavar="PATH", help="SOP files or folders")
    a.add_argument("--publish", action="store_true", help="put them in force, not only in draft")
    a.add_argument(
        "--seen",
        default="",
        metavar="TEXT",
        help="with --publish: the text that `sop show` printed, for a file with hidden parts",
    )
    a = command("sop", sop)
    a.add_argument("what", choices=("show",), help="what to do with it")
    a.add_argument("id", help="the SOP's id")
    a.add_argument("--version", type=_positive, help="which version (default: the newest, drafts too)")
    a = command("search", search)
    a.add_argument("--library", required=True, metavar="DIR", help="the folder of documents")
    a.add_argument("--batch", required=True, metavar="FILE", help='JSON lines with "id" and "question"')
    a.add_argument("--k", type=_positive, default=10, help="passages for each question (default 10)")
    a = command("ask", ask)
    a.add_argument("question", help="what to look up")
    a.add_argument(
        "--as", dest="person", metavar="PERSON", help="who asks: id or name (default: the first of the practice file)"
    )
    a = command("gaps", gaps)
    a.add_argument("--days", type=_positive, default=28, help="how far back (default 28)")
    a.add_argument("--site", help="one site only")
    a.add_argument("--close", nargs=2, metavar=("REF", "STEP"), help="an SOP says it now, at sop#step; its question is golden")
    a.add_argument("--leave", metavar="REF", help="this question belongs in no SOP")
    a = command("golden", golden)
    a.add_argument("what", nargs="?", default="run", choices=("run", "list", "add", "remove"), help="what to do (default run)")
    a.add_argument("question", nargs="?", help="add, remove: the question")
    a.add_argument("step", nargs="?", metavar="STEP", help="add, remove: the step that it must find, as sop#step")
    a.add_argument("--draft", metavar="FILE", help="run: as if this SOP file were published")
    a = command("calibrate", calibrate)
    a.add_argument("--dry-run", action="store_true", help="only say what it would do")
    a.add_argument("--least", type=_positive, default=40, help="judged questions without which nothing is moved (default 40)")
    a = command("sweep", sweep)
    a.add_argument("--now", metavar="ISO", help="sweep as of this instant, with its zone")
    a = command("digest", digest)
    a.add_argument("--site", help="one site only")
    a.add_argument("--dry-run", action="store_true", help="print only; this command never sends, so it changes nothing")
    a = command("feed", feed)
    a.add_argument("connector", metavar="CONNECTOR", help="a connector, e.g. era835 or csv_file")
    a.add_argument("path", metavar="PATH", help="a file or folder")
    a.add_argument("--map", metavar="FILE", help="the column map, for csv_file")
    a.add_argument("--zone", default="UTC", help="zone of local times in the source (default UTC)")
    a = command("evidence", evidence)
    a.add_argument("what", choices=("verify", "export", "show"), help="what to do with the ledger")
    a.add_argument("--ref", help="show: only this item's rows")
    a.add_argument(
        "--head", metavar="HASH", help="verify: a head printed earlier, e.g. in a stand-up, must still be in the chain"
    )
    a.add_argument("--last", type=_positive, default=50, help="show: how many rows (default 50)")
    a = command("manifest", manifest, has_json=False)
    a.add_argument("platform", choices=("slack", "teams"), help="for which chat service")
    a.add_argument("--out", metavar="FILE", help="the file to write (Slack: stdout; Teams: holdfast-teams.zip)")
    a = command("backup", backup, has_json=False)
    a.add_argument("file", metavar="FILE", help="the file to write")
    a = command("restore", restore, has_json=False)
    a.add_argument("file", metavar="FILE", help="a file that backup wrote")
    a.add_argument("--force", action="store_true", help="replace a database that is newer than the backup")
    command("check", check)
    command("health", health)
    return top


def _positive(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if not 1 <= number <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 1000")
    return number


if __name__ == "__main__":
    sys.exit(main())
