"""Many workspaces: their tokens are sealed to their rows, an installation works once, and each is written to as itself."""

from __future__ import annotations

import base64
import os
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from slack_sdk.oauth.installation_store import Installation
from sqlalchemy import Engine, select, update
from sqlmodel import col
from starlette.applications import Starlette

from bot.cards import say
from bot.chat import Card, Receipt, SendError
from bot.platforms.slack import Slack
from bot.platforms.slack.installs import Installations, Seal, States, Unsealable
from bot.records import OAuthState, Workspace, read, write
from tests.fakes import slack as fake
from tests.platforms.slack_rig import Ears, post, settings, together

KEY = base64.b64encode(os.urandom(32)).decode()
ROW = ("slack", "T01", "")
CARD = Card("notice", say("Good morning."))


def _installed(engine: Engine, team: str, token: str) -> Installations:
    store = Installations(engine, Seal(KEY))
    store.save(Installation(team_id=team, bot_token=token, bot_id="B01", bot_user_id="U0BOT", user_id="U01"))
    return store


def test_what_is_sealed_opens_only_where_it_was_sealed() -> None:
    """Lost: a stolen row, moved below another workspace's name, hands out its token."""
    sealed = Seal(KEY).close(b"xoxb-1", ROW)
    assert Seal(KEY).open(sealed, ROW) == b"xoxb-1"
    assert Seal(KEY).close(b"xoxb-1", ROW) != sealed
    raw = bytearray(base64.b64decode(sealed))
    raw[-1] ^= 1
    wrong_rows = [("teams", "T01", ""), ("slack", "T02", ""), ("slack", "T01", "U01")]
    attempts = [(Seal(KEY), sealed, row) for row in wrong_rows]
    attempts += [(Seal(KEY), bad, ROW) for bad in (base64.b64encode(raw).decode(), sealed[:8], "", "no base64!")]
    attempts += [(Seal(base64.b64encode(os.urandom(32)).decode()), sealed, ROW)]
    for seal, text, row in attempts:
        with pytest.raises(Unsealable) as refused:
            seal.open(text, row)
        assert "xoxb" not in str(refused.value)


@pytest.mark.parametrize("key", ["", "short", base64.b64encode(b"x" * 31).decode()])
def test_a_key_of_the_wrong_length_is_refused(key: str) -> None:
    """Lost: tokens are stored under a key that nobody chose."""
    with pytest.raises(Unsealable):
        Seal(key)


def test_a_token_is_in_no_file_and_a_row_moved_to_another_workspace_is_refused(engine: Engine) -> None:
    """Lost: whoever has a backup, or may write one row, has the workspace."""
    store = _installed(engine, "T01", "xoxb-very-secret")
    _installed(engine, "T02", "xoxb-other")
    assert store.token("T01") == "xoxb-very-secret" and store.token("T03") is None and store.token("'; drop") is None
    found = store.find_installation(enterprise_id=None, team_id="T01")
    assert found is not None and (found.bot_token, found.user_token) == ("xoxb-very-secret", None)
    assert "very-secret" not in "".join(sqlite3.connect(str(engine.url.database)).iterdump())
    with write(engine) as session:
        taken = session.scalar(select(col(Workspace.sealed)).where(col(Workspace.team) == "T01"))
        session.execute(update(Workspace).where(col(Workspace.team) == "T02").values(sealed=taken))
    with pytest.raises(Unsealable):
        store.token("T02")
    store.delete_all(enterprise_id=None, team_id="T01")
    assert list(store.teams()) == ["T02"]


def test_an_installation_is_started_once_ended_once_and_not_after_ten_minutes(both_engines: Engine) -> None:
    """Lost: a link that somebody else started installs their workspace in our name."""
    engine = both_engines
    now = datetime(2026, 2, 26, 17, tzinfo=UTC)
    states = States(engine, lambda: now)
    word, late = states.issue(), states.issue()
    assert word != late
    assert [states.consume(word), states.consume(word)] == [True, False]
    assert [states.consume(bad) for bad in ("", "x", "\x00" * 30, "a" * 43)] == [False] * 4
    now += timedelta(minutes=10)
    assert not states.consume(late)
    states.issue()
    with read(engine) as session:
        assert len(session.scalars(select(OAuthState)).all()) == 1, "what has expired is swept away"


@pytest.fixture
def many(tmp_path: Path, engine: Engine) -> Iterator[tuple[fake.Slack, Slack, Ears, Starlette]]:
    """Slack, and our edge as an app that workspaces install."""
    with fake.workspace() as cloud:
        about = {"slack_bot_token": "", "slack_api_url": cloud.url, "slack_signing_secret": cloud.signing_secret, "key": KEY}
        about |= {
            "slack_client_id": cloud.client_id,
            "slack_client_secret": cloud.client_secret,
            "url": "https://hf.example.com",
        }
        ears = Ears()
        ours = Slack(settings(tmp_path, **about), ears, engine)
        yield cloud, ours, ears, Starlette(routes=ours.routes())
        ours.stop()


def _state(engine: Engine) -> str:
    with read(engine) as session:
        return session.scalars(select(col(OAuthState.word))).all()[-1]


def test_a_workspace_installs_the_app_and_is_written_to_until_it_removes_it(
    many: tuple[fake.Slack, Slack, Ears, Starlette], engine: Engine
) -> None:
    """Lost: nobody but us can use the app, or it keeps the token of those who left."""
    cloud, ours, ears, app = many
    bea = cloud.person("Bea Ortiz", "bea@example.com")
    assert "/slack/install" in next(iter(ours.probe()))
    status, page = post(app, b"", [], path="/slack/install", method="GET")
    state = _state(engine)
    assert status == 200 and state in page.decode() and "im:write" in page.decode()
    back = f"/slack/oauth_redirect?state={state}&code={cloud.authorize(bea)}"
    assert post(app, b"", [], path=back, method="GET")[0] == 400, "another browser than the one that began"
    cookie = [(b"cookie", f"slack-app-oauth-state={state}".encode())]
    assert post(app, b"", cookie, path=back, method="GET")[0] == 200
    assert post(app, b"", cookie, path=back, method="GET")[0] == 401, "the word works once"
    assert list(ours.probe()) == []

    known = ours.by_email("bea@example.com")
    assert known is not None and known.address == f"{cloud.team}/{bea}"
    receipt = ours.send(known.address, CARD, "n1:1")
    assert receipt == Receipt(f"{cloud.team}/{cloud.dm(bea)}", receipt.message)
    ours.update(receipt, CARD)
    assert ours.find(known.address, "n1:1", datetime.now(UTC)) == receipt

    from tests.fakes.serving import serving

    with serving(app) as address:
        cloud.request_url = address + "/slack/events"
        cloud.say(bea, cloud.dm(bea), "how do I refund?")
        assert ears.heard[-1].place.channel == receipt.channel
        token = cloud.bot_token
        cloud.uninstall()
    assert [(each.act, each.place.team) for each in ears.heard[-2:]] == [("left", cloud.team)] * 2
    cloud.bot_token = token
    with pytest.raises(SendError) as refused:
        ours.send(known.address, CARD, "n2:1")
    assert refused.value.permanent


@pytest.mark.parametrize(
    "path",
    [
        "/slack/install?team=%0d%0aSet-Cookie:%20a=b",
        "/slack/install?team=%22%3E%3Cscript%3E",
        "/slack/oauth_redirect",
        "/slack/oauth_redirect?error=%3Cscript%3E",
        "/slack/oauth_redirect?state=%00&code=x",
        "/slack/oauth_redirect?state=x&code=" + "9" * 3000,
        "/slack/oauth_redirect?" + "&".join(f"a{n}=1" for n in range(300)),
    ],
)
def test_odd_addresses_end_in_a_page(many: tuple[fake.Slack, Slack, Ears, Starlette], path: str) -> None:
    """Lost: a link that somebody sent an administrator runs a script in our page, or ends in a fault of ours."""
    status, page = post(many[3], b"", [], path=path, method="GET")
    assert status < 500 and b"<script>" not in page


def test_slack_that_is_away_is_said_to_be_away(tmp_path: Path, engine: Engine) -> None:
    """Lost: a fault page with what went wrong inside of us."""
    about = {"slack_client_id": "1.2", "slack_client_secret": "x", "key": KEY, "slack_bot_token": ""}
    ours = Slack(settings(tmp_path, **about), Ears(), engine)
    app = Starlette(routes=ours.routes())
    post(app, b"", [], path="/slack/install", method="GET")
    state = _state(engine)
    cookie = [(b"cookie", f"slack-app-oauth-state={state}".encode())]
    status, said = post(app, b"", cookie, path=f"/slack/oauth_redirect?state={state}&code=x", method="GET")
    assert (status, said) == (503, b"Slack could not be reached. Please try again.")
    ours.stop()


def test_a_single_workspace_has_no_page_to_install_at(tmp_path: Path, engine: Engine) -> None:
    """Lost: strangers install an app that was meant for one practice."""
    with together(tmp_path, engine) as (_cloud, ours, _ears):
        assert [getattr(each, "path", "") for each in ours.routes()] == ["/slack/events"]
