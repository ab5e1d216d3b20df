"""The fake Teams judges the edge: here it is judged itself, by the SDK's own token check and by a bot of a few lines."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import jwt
import pytest
from microsoft_teams.api.auth.cloud_environment import PUBLIC
from microsoft_teams.apps.auth.token_validator import TokenValidator
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.fakes.teams import APP, CARD, ISSUER, SECRET, FakeTeams, NotSent, Posted, Pressable, filled, pressables


@pytest.fixture
def fake() -> Iterator[FakeTeams]:
    fake = FakeTeams()
    yield fake
    fake.faults.clear()
    fake.close()


@pytest.fixture
def bot(fake: FakeTeams) -> list[dict[str, Any]]:
    """A bot that keeps what it hears and answers each press with a card."""
    heard: list[dict[str, Any]] = []

    async def messages(request: Request) -> Response:
        heard.append({**await request.json(), "authorization": request.headers.get("authorization", "")})
        if heard[-1].get("name") == "adaptiveCard/action":
            card = {"type": "AdaptiveCard", "version": "1.5", "body": [{"type": "TextBlock", "text": "Done", "wrap": True}]}
            return JSONResponse({"statusCode": 200, "type": CARD, "value": card})
        return Response(status_code=200)

    fake.connect([Route("/api/messages", messages, methods=["POST"])])
    return heard


def token_of(fake: FakeTeams, secret: str = SECRET) -> httpx.Response:
    form = {"client_id": APP, "client_secret": secret, "grant_type": "client_credentials", "scope": f"{ISSUER}/.default"}
    return httpx.post(f"{fake.url}/botframework.com/oauth2/v2.0/token", data=form)


@pytest.fixture
def client(fake: FakeTeams) -> Iterator[httpx.Client]:
    """The bot's own client of the connector service."""
    token = token_of(fake).json()["access_token"]
    with httpx.Client(base_url=fake.service_url, headers={"authorization": f"Bearer {token}"}, timeout=2) as client:
        yield client


def post(client: httpx.Client, chat: str = "a:chat-bea", **more: Any) -> httpx.Response:
    return client.post(f"v3/conversations/{chat}/activities", json={"type": "message", "text": "Hello", **more})


CLAIMS = [
    ("aud", "somebody-else"),
    ("iss", "https://elsewhere.example"),
    ("exp", -3600),
    ("nbf", 3600),
    ("serviceurl", "https://elsewhere.example/"),
    ("serviceurl", None),
]


@pytest.mark.parametrize("claim, value", [("", None), *CLAIMS])
def test_the_sdk_takes_the_good_token_and_no_bad_one(fake: FakeTeams, claim: str, value: Any) -> None:
    """Without this a bot that takes every token would pass every test about forgery."""
    cloud = replace(PUBLIC, openid_metadata_url=fake.openid_metadata_url)
    check = TokenValidator.for_service(APP, fake.service_url, cloud)
    if not claim:
        assert asyncio.run(check.validate_token(fake.token()))["aud"] == APP
        with pytest.raises(jwt.InvalidTokenError):
            asyncio.run(check.validate_token(fake.token(forged=True)))
        return
    value = int(time.time()) + value if claim in ("exp", "nbf") else value
    with pytest.raises(jwt.InvalidTokenError):
        asyncio.run(check.validate_token(fake.token(**{claim: value})))


def test_the_bots_own_token_is_given_for_its_secret_only_and_needed_to_write(fake: FakeTeams, client: httpx.Client) -> None:
    """Without this a bot that sends no token, or an empty one, looks healthy here and is refused by Teams."""
    fake.add("bea").installed = True
    assert token_of(fake, "wrong").status_code == 401
    assert post(client).status_code == 201
    assert httpx.post(f"{fake.service_url}v3/conversations/a:chat-bea/activities", json={}).status_code == 401
    assert [posted.activity["text"] for posted in fake.chat_of("bea")] == ["Hello"]


def test_what_people_do_arrives_signed_and_with_a_real_address(fake: FakeTeams, bot: list[dict[str, Any]]) -> None:
    """Without this the edge is tried on activities that Teams never sends."""
    fake.add("bea")
    fake.install("bea")
    fake.say("bea", "How do I post an ERA?")
    channel = fake.add_channel("billing", ["bea"])
    fake.mention("bea", channel, "and in a channel?")
    assert [each["type"] for each in bot] == [
        "conversationUpdate",
        "installationUpdate",
        "message",
        "conversationUpdate",
        "message",
    ]
    assert all(each["authorization"].startswith("Bearer ey") and each["serviceUrl"] == fake.service_url for each in bot)
    assert bot[2]["conversation"] == {
        "conversationType": "personal",
        "tenantId": bot[2]["channelData"]["tenant"]["id"],
        "id": "a:chat-bea",
    }
    assert bot[4]["text"] == "<at>Holdfast</at> and in a channel?"
    assert re.fullmatch(r"19:billing@thread\.tacv2;messageid=\d+", bot[4]["conversation"]["id"])
    assert len(fake.latencies) == 5


def test_the_card_in_the_answer_is_seen_by_the_one_who_pressed_until_the_message_changes(
    fake: FakeTeams, client: httpx.Client, bot: list[dict[str, Any]]
) -> None:
    """Without this nobody notices that a press is shown to one person only unless the bot also edits the message."""
    for who in ("bea", "tom"):
        fake.add(who)
        fake.install(who)
    button = {"type": "Action.Execute", "title": "Done", "verb": "done", "data": {"n": 1}}
    first = {"type": "AdaptiveCard", "version": "1.5", "body": [], "actions": [button]}
    post(client, attachments=[{"contentType": CARD, "content": first}])
    posted = fake.chat_of("bea")[0]
    answer = fake.press("bea", posted, pressables(posted.card)[0])
    assert fake.seen("bea", posted)["body"][0]["text"] == "Done"
    assert fake.seen("tom", posted) == first
    again = fake.replay(answer)
    assert (again.activity["value"], again.activity["id"] == answer.activity["id"]) == (answer.activity["value"], False)
    client.put(f"v3/conversations/a:chat-bea/activities/{posted.id}", json={"type": "message", "text": "changed"})
    assert fake.seen("bea", posted) == {}
    assert (posted.edits, posted.activity["text"]) == (1, "changed")


def test_a_form_is_filled_as_a_client_fills_it() -> None:
    """Without this a test could press what no reader can press."""
    choice: dict[str, Any] = {
        "type": "Input.ChoiceSet",
        "id": "why",
        "isRequired": True,
        "errorMessage": "Pick one.",
        "choices": [{"value": "a"}],
    }
    form = {"type": "AdaptiveCard", "body": [choice, {"type": "Input.Text", "id": "note", "maxLength": 3}]}
    form["actions"] = [{"type": "Action.Execute", "title": "Send", "verb": "cant", "data": {"n": 2}}]
    card = {"type": "AdaptiveCard", "body": [], "actions": [{"type": "Action.ShowCard", "title": "Can't", "card": form}]}
    (button,) = pressables(card)
    assert (button.label, button.title, button.in_form) == ("Can't", "Send", True)
    assert filled(button, {"why": "a", "note": "long"}) == {"n": 2, "why": "a", "note": "lon"}
    with pytest.raises(NotSent, match="Pick one"):
        filled(button, {"note": "x"})
    assert filled(button, {}, checked=False) == {"n": 2, "note": ""}


@pytest.mark.parametrize(
    "went, error", [("reset", httpx.ReadError), ("close", httpx.RemoteProtocolError), ("hang", httpx.ReadTimeout)]
)
def test_a_message_may_arrive_although_nobody_says_so(
    fake: FakeTeams, client: httpx.Client, went: Any, error: type[Exception]
) -> None:
    """Without this the sends of unknown fate are never tried, and they are the ones that make people read things twice."""
    fake.add("bea").installed = True
    fake.trouble(went)
    with pytest.raises(error):
        client.post("v3/conversations/a:chat-bea/activities", json={"type": "message", "text": "Hello"}, timeout=0.3)
    assert len(fake.chat_of("bea")) == 1
    assert post(client).status_code == 201


def test_a_server_error_may_come_after_the_message_was_kept(fake: FakeTeams, client: httpx.Client) -> None:
    """Without this a bot that sends again after a 500 is called reliable."""
    fake.add("bea").installed = True
    fake.trouble("500")
    fake.trouble("garbled")
    assert (post(client).status_code, post(client).headers["content-type"]) == (500, "text/html")
    assert len(fake.chat_of("bea")) == 2


def test_too_early_after_a_429_is_written_down(fake: FakeTeams, client: httpx.Client) -> None:
    """Without this a bot that ignores Retry-After is never caught."""
    fake.add("bea").installed = True
    fake.trouble("429", retry_after_s=0.2)
    refused = post(client)
    assert (refused.status_code, refused.headers["retry-after"], fake.chat_of("bea")) == (429, "0.2", [])
    post(client)
    assert len(fake.violations) == 1
    time.sleep(0.2)
    post(client)
    assert len(fake.violations) == 1


def test_those_who_left_blocked_or_are_unknown_cannot_be_written_to(
    fake: FakeTeams, client: httpx.Client, bot: list[dict[str, Any]]
) -> None:
    """Without this permanent refusals are met in production first."""
    fake.add("bea")
    opening = {"bot": {"id": f"28:{APP}"}, "members": [{"id": "29:bea"}], "isGroup": False}
    assert client.post("v3/conversations", json=opening).status_code == 403
    fake.install("bea")
    assert client.post("v3/conversations", json=opening).json() == {"id": "a:chat-bea"}
    fake.members["29:bea"].blocked = True
    assert (post(client).status_code, post(client).json()["error"]["code"]) == (403, "MessageWritesBlocked")
    fake.uninstall("bea")
    fake.members["29:bea"].blocked = False
    assert post(client).json()["error"]["code"] == "BotNotInConversationRoster"
    assert post(client, "a:nobody").status_code == 404
    assert client.get("v3/conversations/a:chat-bea/members/29:bea").json()["email"] == "bea@practice.example"


def test_a_card_that_teams_would_refuse_fails_the_test(fake: FakeTeams, client: httpx.Client) -> None:
    """Without this a broken card passes, because the fake draws nothing."""
    fake.add("bea").installed = True
    wrong = {"type": "AdaptiveCard", "version": "1.5", "body": [{"type": "TextBlok"}]}
    post(client, attachments=[{"contentType": CARD, "content": wrong}])
    assert fake.faults


def test_many_write_at_once(fake: FakeTeams, client: httpx.Client) -> None:
    """Without this the fake itself would lose messages under load and be blamed on the bot."""
    fake.add("bea").installed = True
    threads = [threading.Thread(target=post, args=(client,)) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({posted.id for posted in fake.chat_of("bea")}) == 30
    assert isinstance(fake.posted[0], Posted)
    assert Pressable("", "", {}).inputs == ()
