"""The loopback Slack behaves like Slack: its strictness and its troubles bite, so what passes against it means something."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.builtin import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web import WebClient
from slack_sdk.webhook import WebhookClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.fakes import slack as fake_slack
from tests.fakes.serving import serving, wait_for
from tests.fakes.slack import ApiError, How, NotTaken, Slack

QUIET: dict[str, Any] = {"unfurl_links": False, "unfurl_media": False}


@pytest.fixture
def slack() -> Iterator[Slack]:
    """A workspace in which Ann has a conversation with the bot."""
    with fake_slack.workspace() as made:
        made.person("Ann Olsson", "ann@example.com", id="U0ANN")
        yield made


def client(slack: Slack, **how: Any) -> WebClient:
    return WebClient(slack.bot_token, base_url=slack.url, **{"retry_handlers": [], "timeout": 5, **how})


def refusal(call: Any) -> str:
    """The word with which a call was refused."""
    with pytest.raises(SlackApiError) as refused:
        call()
    return str(refused.value.response["error"])


def test_the_default_client_posts_twice_when_the_connection_dies_after_acceptance(slack: Slack) -> None:
    """Without this nobody knows that the fault bites, and a test that finds one message proves nothing."""
    troubles: tuple[How, ...] = ("reset", "close")
    for n, how in enumerate(troubles):
        slack.trouble("chat.postMessage", how)
        WebClient(slack.bot_token, base_url=slack.url).chat_postMessage(channel="U0ANN", text=f"default {n}", **QUIET)
        assert [m["text"] for m in slack.messages(slack.dm("U0ANN"))].count(f"default {n}") == 2
        slack.trouble("chat.postMessage", how)
        with pytest.raises(OSError):
            client(slack).chat_postMessage(channel="U0ANN", text=f"ours {n}", **QUIET)
        assert [m["text"] for m in slack.messages(slack.dm("U0ANN"))].count(f"ours {n}") == 1


@pytest.mark.parametrize(("how", "kept"), [("hang", 1), ("500", 1), ("slow", 1), ("refuse", 0), ("429", 0), ("error", 0)])
def test_each_trouble_commits_or_does_not(slack: Slack, how: Any, kept: int) -> None:
    """Without this a test of an ambiguous send may have tested a refused one."""
    slack.trouble("chat.postMessage", how, for_s=2.0 if how == "hang" else 0.05)
    try:
        client(slack, timeout=1).chat_postMessage(channel="U0ANN", text="hello", **QUIET)
    except Exception as error:
        assert how != "slow"
        assert how != "hang" or isinstance(error, OSError)
    assert len(slack.messages(slack.dm("U0ANN"))) == kept
    assert [call.outcome for call in slack.called("chat.postMessage")] == ["internal_error" if how == "error" else how]


def test_what_slack_refuses_is_refused(slack: Slack) -> None:
    """Without this the bot passes here and is refused by Slack on its first day."""
    web, general = client(slack), slack.channel("general", ["U0ANN"], with_bot=False)
    assert refusal(lambda: client(slack).conversations_history(channel="C0NOPE")) == "channel_not_found"
    assert refusal(lambda: web.chat_postMessage(channel=general, text="x", **QUIET)) == "not_in_channel"
    assert refusal(lambda: web.api_call("chat.postMessage", json={"channel": "U0ANN"})) == "no_text"
    assert refusal(lambda: web.chat_update(channel=slack.dm("U0ANN"), ts="1.000001", text="x")) == "message_not_found"
    assert refusal(lambda: web.users_info(user="U0NOBODY")) == "user_not_found"
    assert refusal(lambda: web.users_lookupByEmail(email="nobody@example.com")) == "users_not_found"
    assert refusal(lambda: web.views_open(trigger_id="made up", view={})) == "invalid_trigger_id"
    assert refusal(lambda: WebClient("xoxb-wrong", base_url=slack.url).auth_test()) == "invalid_auth"
    assert refusal(lambda: web.apps_connections_open(app_token=slack.bot_token)) == "not_allowed_token_type"
    assert refusal(lambda: web.api_call("chat.scheduleMessage")) == "unknown_method"
    slack.channels[general].members.add(slack.bot)
    slack.channels[general].archived = True
    assert refusal(lambda: web.chat_postMessage(channel=general, text="x", **QUIET)) == "is_archived"
    slack.users["U0ANN"].deleted = True
    assert refusal(lambda: web.conversations_open(users="U0ANN")) == "user_disabled"
    slack.scopes = ("chat:write",)
    assert refusal(lambda: web.users_info(user="U0ANN")) == "missing_scope"


def test_a_bad_payload_fails_the_test_that_sent_it(slack: Slack) -> None:
    """Without this a card that Slack would refuse is found by a customer."""
    web = client(slack)
    blocks = [{"type": "section"}]
    assert refusal(lambda: web.chat_postMessage(channel="U0ANN", text="x", blocks=blocks, **QUIET)) == "invalid_blocks"
    assert len(slack.refused) == 1
    slack.refused.clear()


def test_a_message_is_found_again_by_its_metadata(slack: Slack) -> None:
    """Without this what cannot be learned after a broken connection is sent twice."""
    web, dm = client(slack), slack.dm("U0ANN")
    marked = {"event_type": "holdfast", "event_payload": {"marker": "N1"}}
    ts = [web.chat_postMessage(channel="U0ANN", text=f"{n}", metadata=marked, **QUIET)["ts"] for n in range(3)]
    assert len({*ts}) == 3
    assert sorted(ts, key=float) == ts
    found = web.conversations_history(channel=dm, oldest=ts[0], include_all_metadata=True)["messages"]
    assert [m["text"] for m in found] == ["2", "1"]
    assert found[0]["metadata"] == marked
    assert "metadata" not in web.conversations_history(channel=dm)["messages"][0]
    web.chat_postMessage(channel=dm, text="below", thread_ts=ts[0], **QUIET)
    assert [m["text"] for m in web.conversations_replies(channel=dm, ts=ts[0])["messages"]] == ["0", "below"]
    assert len(web.conversations_history(channel=dm)["messages"]) == 3


def test_the_pace_is_held_to_and_calls_that_come_too_early_are_kept(slack: Slack) -> None:
    """Without this a bot that ignores Retry-After looks exactly like one that waits."""
    slack.limits, web = True, client(slack)
    web.chat_postMessage(channel="U0ANN", text="1", **QUIET)
    with pytest.raises(SlackApiError) as refused:
        web.chat_postMessage(channel="U0ANN", text="2", **QUIET)
    assert refused.value.response.headers["Retry-After"] == "1"
    assert slack.too_early == []
    with pytest.raises(SlackApiError):
        web.chat_postMessage(channel="U0ANN", text="3", **QUIET)
    assert len(slack.too_early) == 1
    assert len(slack.messages(slack.dm("U0ANN"))) == 1


FORM = {
    "type": "modal", "callback_id": "why", "title": {"type": "plain_text", "text": "Why?"},
    "submit": {"type": "plain_text", "text": "Send"},
    "blocks": [{
        "type": "input", "block_id": "typed", "label": {"type": "plain_text", "text": "Why?"},
        "element": {"type": "plain_text_input", "action_id": "typed"},
    }],
}  # fmt: skip
BUTTON = {"type": "button", "action_id": "hf:0:done", "text": {"type": "plain_text", "text": "Done"}, "value": "1"}
BLOCKS = [{"type": "actions", "elements": [BUTTON]}]


class App:
    """An app as small as can be: keeps what it is told, checks the signature, and answers what the test says."""

    def __init__(self, slack: Slack) -> None:
        self.slack = slack
        self.heard: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.answer: Response = Response(status_code=200)

    async def take(self, request: Request) -> Response:
        body = await request.body()
        signed = self.slack.signed(body, int(request.headers["X-Slack-Request-Timestamp"]))
        assert request.headers["X-Slack-Signature"] == signed["X-Slack-Signature"]
        if request.headers["Content-Type"] == "application/json":
            payload = await request.json()
        else:
            form = dict(parse_qsl(body.decode()))
            payload = json.loads(form["payload"]) if "payload" in form else form
        self.heard.append((dict(request.headers), payload))
        return self.answer


@pytest.fixture
def app(slack: Slack) -> Iterator[App]:
    """An app that Slack calls over HTTP."""
    made = App(slack)
    with serving(Starlette(routes=[Route("/slack/events", made.take, methods=["POST"])])) as url:
        slack.request_url = url + "/slack/events"
        yield made


def test_what_people_do_reaches_the_app_signed(slack: Slack, app: App) -> None:
    """Without this the app is driven by payloads that Slack never sends."""
    general, dm = slack.channel("general", ["U0ANN"]), slack.dm("U0ANN")
    slack.mention("U0ANN", general, "when is a claim late?")
    slack.say("U0ANN", dm, "my day")
    slack.open_home("U0ANN")
    slack.open_pane("U0ANN")
    kinds = [payload["event"]["type"] for _, payload in app.heard]
    assert kinds == ["message", "app_mention", "message", "app_home_opened", "assistant_thread_started"]
    assert len({payload["event_id"] for _, payload in app.heard}) == 5
    app.answer = JSONResponse({"text": "looking", "response_type": "ephemeral"})
    slack.command("U0ANN", general, "/sop", "refund")
    assert [m["text"] for m in slack.ephemerals["U0ANN"]] == ["looking"]
    assert all(done.latency_s < 3 for done in slack.delivered)


def test_a_press_opens_a_form_once_and_soon(slack: Slack, app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without this a form that is opened too late, or twice, works here and nowhere else."""
    web, dm = client(slack), slack.dm("U0ANN")
    web.chat_postMessage(channel=dm, text="a nudge", blocks=BLOCKS, **QUIET)
    message = slack.seen_by("U0ANN", dm)[-1]
    slack.press("U0ANN", message, message["blocks"][0]["elements"][0], channel=dm)
    trigger = app.heard[-1][1]["trigger_id"]
    web.views_open(trigger_id=trigger, view=FORM)
    assert refusal(lambda: web.views_open(trigger_id=trigger, view=FORM)) == "exchanged_trigger_id"
    app.answer = JSONResponse({"response_action": "errors", "errors": {"typed": "Say why"}})
    typed = {"typed": {"typed": {"value": "because"}}}
    assert slack.submit("U0ANN", typed) == {"typed": "Say why"}
    assert slack.modal("U0ANN")
    app.answer = Response(status_code=200)
    assert slack.submit("U0ANN", typed) == {}
    assert slack.modal("U0ANN") is None
    assert app.heard[-1][1]["view"]["state"]["values"]["typed"]["typed"]["value"] == "because"
    slack.press("U0ANN", message, message["blocks"][0]["elements"][0], channel=dm)
    monkeypatch.setattr(fake_slack, "TRIGGER_S", 0.0)
    late = app.heard[-1][1]["trigger_id"]
    assert refusal(lambda: web.views_open(trigger_id=late, view=FORM)) == "expired_trigger_id"


def test_a_response_url_answers_five_times(slack: Slack, app: App) -> None:
    """Without this the sixth answer is lost at Slack and nowhere else."""
    slack.command("U0ANN", slack.dm("U0ANN"), "/sop", "x")
    hook = WebhookClient(app.heard[-1][1]["response_url"], retry_handlers=[])
    assert [hook.send(text=f"{n}").status_code for n in range(6)] == [200] * 5 + [404]
    assert len(slack.ephemerals["U0ANN"]) == 5


def test_an_event_can_come_again_late_or_only_again(slack: Slack, app: App) -> None:
    """Without this the bot's memory of what it has heard is never asked."""
    slack.holds = True
    for n in range(3):
        slack.say("U0ANN", slack.dm("U0ANN"), f"{n}")
    assert app.heard == []
    for envelope in reversed(slack.held):
        slack.deliver(envelope, retry=2)
    slack.deliver(slack.held[0], retry=3, reason="http_error")
    assert [payload["event"]["text"] for _, payload in app.heard] == ["2", "1", "0", "0"]
    assert [headers.get("x-slack-retry-num") for headers, _ in app.heard] == ["2", "2", "2", "3"]
    assert app.heard[2][1]["event_id"] == app.heard[3][1]["event_id"]


def test_what_is_not_acknowledged_is_a_fault(slack: Slack, app: App) -> None:
    """Without this an app that answers 500 passes."""
    app.answer = Response(status_code=500)
    with pytest.raises(NotTaken, match="500"):
        slack.say("U0ANN", slack.dm("U0ANN"), "hello")


def test_socket_mode_connects_acknowledges_and_connects_anew() -> None:
    """Without this Socket Mode is tried by customers first."""
    with fake_slack.workspace(mode="socket") as slack:
        slack.person("Ann Olsson", "ann@example.com", id="U0ANN")
        heard: list[SocketModeRequest] = []
        done = threading.Event()

        def take(client: Any, request: SocketModeRequest) -> None:
            heard.append(request)
            client.send_socket_mode_response(SocketModeResponse(request.envelope_id, {"text": "hello"}))
            done.set()

        web = WebClient(slack.app_token, base_url=slack.url, retry_handlers=[])
        plugged = SocketModeClient(slack.app_token, web_client=web, ping_interval=5)
        plugged.socket_mode_request_listeners.append(take)
        plugged.connect()
        try:
            slack.say("U0ANN", slack.dm("U0ANN"), "hello")
            slack.command("U0ANN", slack.dm("U0ANN"), "/sop", "x")
            assert [request.type for request in heard] == ["events_api", "slash_commands"]
            assert slack.delivered[-1].answer == {"text": "hello"}
            old = list(slack._sockets)
            slack.refresh_sockets()
            wait_for(lambda: slack._sockets and slack._sockets != old, "no new socket was opened", 15)
            slack.say("U0ANN", slack.dm("U0ANN"), "again")
            assert len(heard) == 3
        finally:
            plugged.close()


def test_an_installation_gives_a_token_once(slack: Slack) -> None:
    """Without this a code that somebody copied installs the app a second time."""
    code, web = slack.authorize("U0ANN"), WebClient(base_url=slack.url, retry_handlers=[])
    grant = {"client_id": slack.client_id, "client_secret": slack.client_secret, "code": code}
    assert web.oauth_v2_access(**grant)["access_token"] == slack.bot_token
    assert refusal(lambda: web.oauth_v2_access(**grant)) == "invalid_code"
    with pytest.raises(ApiError):
        slack._allow("auth.test", "xoxb-other", known=True)
