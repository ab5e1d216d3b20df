"""What the log may show, whoever writes to it: no secret, no request body, and what an operator needs."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot import logs
from bot.chat import Heard, Place
from bot.settings import Settings

ROOT = Path(__file__).parent.parent
SECRETS = {
    "key": "c2l4dGVlbiBieXRlcyB0d2ljZSBpcyB0aGlydHktdHdvIQ==",
    "page_token": "page-token-of-the-tests",
    "slack_bot_token": "xoxb-1111-2222-fakefakefake",
    "slack_app_token": "xapp-1-A111-2222-fakefakefake",
    "slack_signing_secret": "0123456789abcdef0123456789abcdef",
    "slack_client_secret": "fedcba9876543210 with/odd&signs",
    "teams_client_secret": "q~8Fake.Teams~Secret'quoted\"twice",
}
CANARY = "Quillfeather"
"""A surname that stands in every request body here, and nowhere else."""
TYPED = f"my mother {CANARY} called"
BODY = {"type": "event_callback", "event": {"text": TYPED, "user": "U1", "blocks": [{"elements": [TYPED]}]}}
BODIES = (
    json.dumps(BODY),
    repr(BODY),
    json.dumps(BODY, indent=2),
    f"token=abc&command=%2Fsop&text=my+mother+{CANARY}+called&response_url=https%3A%2F%2Fhooks.slack.com",
    f"payload=%7B%22text%22%3A%22{CANARY}%22%7D",
    repr(json.dumps(BODY).encode()),
    json.dumps(BODY)[:70],
    f'[parameters: ("slack:Ev1", "{TYPED}")]',
    f"input_value={CANARY}, input_type=str",
)
FOREIGN = (
    "slack_bolt.App", "slack_bolt.RequestVerification", "slack_sdk.web.base_client", "slack_sdk.socket_mode.builtin.client",
    "microsoft_teams.apps", "microsoft_teams.api", "msal.application", "httpx", "httpcore.http11", "uvicorn.error",
    "uvicorn.access", "bot.platforms.slack.library", "asyncio", "apscheduler.executors.default", "sqlalchemy.engine.Engine",
    "urllib3.connectionpool",
)  # fmt: skip
LEVELS = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)


def settings(**more: str) -> Settings:
    address = "postgresql+psycopg://holdfast:data-base-word@127.0.0.1/holdfast"
    return Settings(home=Path("nowhere"), database_url=address, **{**SECRETS, "log_level": "DEBUG", **more})  # type: ignore[arg-type]


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What was written, as text. The process's own logging comes back afterwards."""
    yield from _set_up("text")


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What was written, as JSON lines."""
    yield from _set_up("json")


def _set_up(log_format: str) -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before = (list(root.handlers), root.level, logging.lastResort, sys.excepthook, sys.unraisablehook, threading.excepthook)
    show = warnings.showwarning
    stream = io.StringIO()
    logs.set_up(settings(log_format=log_format), stream)
    yield stream
    logging.captureWarnings(capture=False)
    warnings.showwarning = show
    root.handlers[:], level, logging.lastResort, sys.excepthook, sys.unraisablehook, threading.excepthook = before
    root.setLevel(level)


def secrets_in(text: str) -> list[str]:
    return [name for name, value in SECRETS.items() if value in text] + ["database"] * ("data-base-word" in text)


# --- secrets and bodies --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_of_500_forced_errors_none_shows_a_secret_or_a_body(log_format: str) -> None:
    """Lost: a debug log or a crash hands the practice's workspace, or a patient's name, to whoever reads the log."""
    generator = _set_up(log_format)
    stream = next(generator)
    try:
        for number in range(500):
            _force(number)
    finally:
        next(generator, None)
    said = stream.getvalue()
    assert secrets_in(said) == []
    assert CANARY not in said
    assert said.count("ERROR") > 100


def _raise(error: Exception) -> None:
    raise error


def _force(number: int) -> None:
    """One error of many kinds: its logger, level, words, arguments, causes and extras change with `number`."""
    logger, level = logging.getLogger(FOREIGN[number % len(FOREIGN)]), LEVELS[number % len(LEVELS)]
    body, secret = BODIES[number % len(BODIES)], list(SECRETS.values())[number % len(SECRETS)]
    place = Place("slack", "T1", "C1")
    heard = Heard("slack:Ev1", "ask", "U1", place, datetime(2026, 3, 2, tzinfo=UTC), text=CANARY)
    logger.log(level, "Received body: %s with %s", body, secret)
    logger.log(level, f"Sending {body}, headers: {{'Authorization': 'Bearer {secret}'}}", extra={"body": body})
    logger.log(level, "request %(text)s", {"text": f"{body} {secret}"})
    try:
        try:
            _raise([ValueError, KeyError, RuntimeError, OSError][number % 4](f"cannot use {body} with {secret}"))
        except Exception as inner:
            if number % 3 == 0:
                raise ExceptionGroup(f"several, {body}", [inner, TypeError(secret)]) from inner
            error = RuntimeError(f"the request failed: {body}")
            error.add_note(f"{TYPED} {secret}")
            raise error from (inner if number % 2 else None)
    except Exception as error:
        logger.log(level, "it failed", exc_info=True)
        ours = logging.getLogger("bot.platforms.slack")
        ours.log(level, "it failed: %s", error, exc_info=number % 2 == 0, extra={"why": error, "token": secret})
        ours.log(level, "sent with %s", secret)
        ours.log(level, "heard %s, %r, %s", heard, BODY, repr(BODY).encode())


@pytest.mark.parametrize("secret", SECRETS.values())
def test_a_secret_is_masked_in_every_spelling(log: io.StringIO, secret: str) -> None:
    """Lost: a secret in a URL, a form or a repr is the same secret."""
    for spelling in logs._spellings(secret):
        logging.getLogger("bot").error("%s", spelling)
        logging.getLogger("msal").error("x%sx", spelling)
        assert spelling not in log.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        "xoxp-9999999999-8888-abcdef",
        "xoxe.xoxp-1-Mi0yLTEyMzQ1",
        "xoxs-9999-8888",
        "xapp-1-B222-333-deadbeef",
        "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwcyJ9.c2lnbmF0dXJl",
        "Bearer 0.AAAABBBBCCCC",
        "Basic aG9sZGZhc3Q6c2VjcmV0",
        "sk-proj-1234567890abcdef",
        "client_secret=hunter2hunter2",
        "'refresh_token': '1.ARoAfake'",
        "https://holdfast:hunter2@db.example/x",
        "https://hooks.slack.com/actions/T1/22/hunter2hunter2",
        "wss://wss-primary.slack.com/link/?ticket=hunter2&app_id=1",
        "https://practice.example/page/in?code=AbCdEfGhIjKlMnOpQrStUv",
        "x-slack-signature: v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
        "TWFueSBoYW5kcyBtYWtlIGxpZ2h0IHdvcmsuIE1hbnkgaGFuZHMgbWFrZSBsaWdodA==",
    ],
)
def test_what_looks_like_a_secret_is_masked_though_nobody_told_us(log: io.StringIO, text: str) -> None:
    """Lost: the tokens of workspaces that installed the app by themselves are in no setting."""
    logging.getLogger("bot").error("could not: %s", text)
    logging.getLogger("slack_sdk").error("could not: %s", text)
    said = log.getvalue()
    assert text not in said
    assert "hunter2" not in said
    assert said.count("could not") == 2


def test_settings_can_be_shown(log: io.StringIO) -> None:
    """Lost: one `log.debug("%r", settings)` opens everything."""
    assert secrets_in(repr(settings())) == []
    logging.getLogger("bot").error("%r", settings())
    assert secrets_in(log.getvalue()) == []


def test_a_real_bolt_app_at_debug_logs_no_body(log: io.StringIO) -> None:
    """Lost: Bolt prints the whole body of a request with a bad signature, and of one that nobody handles."""
    from slack_bolt import App, BoltRequest

    app = App(token=SECRETS["slack_bot_token"], signing_secret="s" * 32, token_verification_enabled=False)
    logging.getLogger("slack_bolt").setLevel(logging.DEBUG)
    headers: dict[str, str | Sequence[str]] = {"content-type": "application/json", "x-slack-signature": "v0=bad"}
    assert app.dispatch(BoltRequest(body=json.dumps(BODY), headers=headers)).status == 401
    assert app.dispatch(BoltRequest(body=json.dumps(BODY), mode="socket_mode")).status >= 400
    assert CANARY not in log.getvalue()
    assert secrets_in(log.getvalue()) == []


def test_a_database_error_shows_its_table_and_no_value(log: io.StringIO) -> None:
    """Lost: SQLAlchemy writes the parameters of a failed statement into its errors: what somebody just asked."""
    from sqlalchemy import create_engine, text

    engine = create_engine("sqlite://")
    try:
        with engine.begin() as connection:
            connection.execute(text("INSERT INTO question VALUES (:asked)"), {"asked": TYPED})
    except Exception as error:
        logging.getLogger("bot.inbox").exception("could not be kept")
        logging.getLogger("bot.inbox").warning("could not be kept: %s", error)
    engine.dispose()
    assert CANARY not in log.getvalue()
    assert log.getvalue().count("no such table: question") >= 2


# --- what dies -----------------------------------------------------------------------------------------------------------

CRASH = """
import logging, sys, threading, asyncio
from pathlib import Path
from bot import logs
from bot.settings import Settings
logs.set_up(Settings(home=Path("x"), database_url="", slack_bot_token="xoxb-1111-2222-fakefakefake"))
error = RuntimeError('failed on {"text": "my mother Quillfeather called"} with xoxb-1111-2222-fakefakefake')
def thrown(): raise error
class Bad:
    def __del__(self): raise error
how = sys.argv[1]
if how == "main": thrown()
if how == "thread": t = threading.Thread(target=thrown); t.start(); t.join()
if how == "unraisable": b = Bad(); del b
if how == "task":
    async def main():
        asyncio.get_running_loop().call_soon(thrown)
        task = asyncio.create_task(asyncio.to_thread(thrown)); await asyncio.sleep(0.05); del task
    asyncio.run(main())
if how == "early":
    logging.getLogger().handlers.clear(); logging.getLogger("slack_bolt").error("%s", error)
"""


@pytest.mark.parametrize("how", ["main", "thread", "unraisable", "task", "early"])
def test_a_crash_says_where_and_not_with_what(how: str) -> None:
    """Lost: the last words of a process, a thread or a task bypass every logger."""
    ran = subprocess.run([sys.executable, "-c", CRASH, how], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ran.returncode == (1 if how == "main" else 0)
    assert CANARY not in ran.stderr + ran.stdout
    assert "xoxb" not in ran.stderr.replace('"xoxb-', "") + ran.stdout
    assert "failed on" in ran.stderr
    assert how == "early" or "in thrown" in ran.stderr or "in __del__" in ran.stderr


def test_a_line_that_cannot_be_formatted_says_so_without_its_arguments(
    log: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lost: logging prints the arguments of a line it cannot format to stderr, past every handler."""

    class Sulks:
        def __str__(self) -> str:
            raise ValueError(TYPED)

    root = logging.getLogger()  # pytest's own handlers raise where ours must not
    root.handlers[:] = [handler for handler in root.handlers if isinstance(handler, logs._Handler)]
    logging.getLogger("bot").error("%d things in %s", TYPED)  # noqa: PLE1206 that is the fault
    logging.getLogger("bot").error("this: %s", Sulks())
    logging.getLogger("httpx").error(Sulks())
    log.close()
    logging.getLogger("bot").error("after the stream is gone: %s", TYPED)
    assert CANARY not in capsys.readouterr().err


# --- what an operator needs ----------------------------------------------------------------------------------------------


def test_our_lines_are_kept_whole_and_others_from_warnings_on(log: io.StringIO) -> None:
    """Lost: an operator could not see what happened, or not for all the noise."""
    logging.getLogger("bot.sweep").debug("the feed %s is as of %s", "claims", "2026-03-02T09:00:00+00:00")
    logging.getLogger("slack_sdk").info("a session is up")
    logging.getLogger("slack_sdk").warning("Failed to connect: the server answered 503; retrying in 10 s")
    said = log.getvalue().splitlines()
    assert len(said) == 2
    assert said[0].endswith("Z DEBUG bot.sweep: the feed claims is as of 2026-03-02T09:00:00+00:00")
    assert said[1].endswith("Z WARNING slack_sdk: Failed to connect: the server answered 503; retrying in 10 s")


def test_the_code_of_a_refusal_stays_when_its_body_goes(log: io.StringIO) -> None:
    """Lost: "missing_scope" is what the operator must put right."""
    said = "The server responded with: {'ok': False, 'error': 'missing_scope', 'needed': 'chat:write', 'warning': 'a b'}"
    logging.getLogger("slack_bolt").error(said)
    assert "error: missing_scope, needed: chat:write" in log.getvalue()
    assert "a b" not in log.getvalue()


def test_an_error_is_written_with_its_places_and_causes(log: io.StringIO) -> None:
    """Lost: a fault could not be found in the code."""
    try:
        try:
            _raise(KeyError("channel"))
        except KeyError as error:
            raise RuntimeError("no channel on this event") from error
    except RuntimeError:
        logging.getLogger("bot").exception("a fault of ours")
    said = log.getvalue()
    assert "KeyError: 'channel'" in said
    assert "which caused:" in said
    assert "RuntimeError: no channel on this event" in said
    assert f'File "{__file__}", line ' in said


def test_a_line_cannot_pretend_to_be_two(log: io.StringIO) -> None:
    """Lost: what somebody sends could forge lines of the log, or drive a terminal."""
    logging.getLogger("bot").error("name: %s", "x\n2026-03-02T09:00:00Z INFO bot: all is well\x1b[2J\u202e\r")
    first, second = log.getvalue().splitlines()
    assert second.startswith("    2026")
    assert not set("\x1b\u202e\r") & set(first + second)


def test_json_lines_have_fixed_fields_and_what_our_code_adds(lines: io.StringIO) -> None:
    """Lost: whoever collects the logs could not search them."""
    logging.getLogger("bot.inbox").info("answered", extra={"platform": "slack", "ms": 12, "level": "x", "key": "xoxb-1-abcdef"})
    try:
        _raise(ValueError("out of range"))
    except ValueError:
        logging.getLogger("uvicorn.error").exception("Exception in\napplication", extra={"scope": BODY})
    first, second = (json.loads(line) for line in lines.getvalue().splitlines())
    assert list(first) == ["at", "level", "logger", "message", "platform", "ms", "key"]
    assert list(first.values())[1:] == ["INFO", "bot.inbox", "answered", "slack", 12, "[secret]"]
    assert list(second) == ["at", "level", "logger", "message", "error"]
    assert second["message"] == "Exception in"
    assert second["error"].endswith("ValueError: out of range")


def test_warnings_and_asyncio_go_the_same_way(log: io.StringIO) -> None:
    """Lost: what Python itself prints would pass no handler."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn(f"unclosed body={TYPED}", ResourceWarning, stacklevel=1)
    loop = asyncio.new_event_loop()
    loop.call_exception_handler({"message": "Unhandled", "exception": RuntimeError(json.dumps(BODY)), "body": BODY})
    loop.close()
    assert "unclosed body=" in log.getvalue()
    assert "Unhandled" in log.getvalue()
    assert CANARY not in log.getvalue()


def test_set_up_again_leaves_one_handler(log: io.StringIO) -> None:
    """Lost: every line twice, the first time unscrubbed."""
    logs.set_up(settings(), log)
    logging.getLogger("bot").error("once")
    assert log.getvalue().count("once") == 1


@pytest.mark.parametrize(
    "piece",
    ["{", "}", "'", '"', "' a", '" a', "'a ", "[", "[' ", "a=", "a=b&", "a-", "token=", "A1", "://", "eyJa.", "http://x?"],
)
def test_no_input_is_slow(log: io.StringIO, piece: str) -> None:
    """Lost: one hostile request could hold the process while its log line is scrubbed."""
    began = time.perf_counter()
    logging.getLogger("slack_sdk").error(piece * (200_000 // len(piece)))
    logging.getLogger("bot").error("%s", piece * (200_000 // len(piece)))
    assert time.perf_counter() - began < 2
