"""local-slack, somebody else's Slack on this machine: started, acted in, and read. What it lacks, `tests/fakes/slack.py` has.

It is an npm package with one binary (`local-slack-linux-x64`, MIT) that `.ci/stand_ins` fetches. It listens on every interface
and has no setting for that, so it is started only where loopback is the only network (`unshare --net`), or where
HOLDFAST_STAND_INS_ANYWHERE=1 says that this machine is its own.

It takes any token, refuses no payload, delivers nothing twice, keeps a trigger for half an hour, and knows no metadata, no
assistant pane, no streams and no rate limits.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import yaml
from websockets.sync.client import ClientConnection, connect

from tests.fakes.serving import wait_for
from tests.fakes.slack import Json, Mode, form_state

TOP = Path(__file__).parent.parent.parent
ANSWER_S = 10.0


def binary() -> Path:
    """Where local-slack is, or ought to be."""
    named = os.environ.get("HOLDFAST_LOCAL_SLACK", "")
    return Path(named) if named else TOP / ".stand-ins/node_modules/local-slack-linux-x64/bin/local-slack"


def why_not() -> str:
    """Why local-slack cannot be started here, in one sentence; empty where it can."""
    if not binary().is_file():
        return "local-slack is not installed: run .ci/stand_ins, or name it in HOLDFAST_LOCAL_SLACK"
    interfaces = {name for _, name in socket.if_nameindex()}  # of this process; /sys may be another namespace's
    if interfaces - {"lo"} and os.environ.get("HOLDFAST_STAND_INS_ANYWHERE") != "1":
        return (
            "local-slack listens on every interface: run the tests in a network namespace, or set HOLDFAST_STAND_INS_ANYWHERE=1"
        )
    return ""


class LocalSlack:
    """A running local-slack with these people in it.

    app_port   where the app is to take events, in HTTP mode
    """

    bot, bot_token, app_token, signing_secret = "U0BOT", "xoxb-local", "xapp-local", "local-signing-secret"

    def __init__(self, port: int, mode: Mode, app_port: int) -> None:
        self.port = port
        self.mode = mode
        self.app_port = app_port
        self._dms: dict[str, str] = {}

    @property
    def url(self) -> str:
        """The Web API, for SLACK_API_URL."""
        return f"http://127.0.0.1:{self.port}/api/"

    def reset(self) -> None:
        """Without messages, forms and homes."""
        self._dms.clear()
        self._control("reset", {})

    def wait_for_sockets(self, within_s: float = 10.0) -> None:
        """Until the app has opened a socket."""
        wait_for(lambda: any(app["connected"] for app in self.state()["apps"]), "the app did not open a socket", within_s)

    # --- reading -----------------------------------------------------------------------------------------------------------

    def state(self) -> Json:
        """Everything, as the page is given it."""
        with self._page() as page:
            return _init(page)

    def dm(self, user: str) -> str:
        if user not in self._dms:
            self._dms[user] = str(self._call("/api/conversations.open", {"users": user})["channel"]["id"])
        return self._dms[user]

    def messages(self, channel: str) -> list[Json]:
        return [{"blocks": [], **message} for message in self._call(f"/_control/messages/{channel}")["messages"]]

    def seen_by(self, user: str, channel: str) -> list[Json]:
        """A channel as this person sees it, oldest first."""
        return [each for each in self.messages(channel) if each.get("ephemeral_to", user) == user]

    def modal(self, user: str) -> Json | None:
        stack = self.state()["modalStack"]
        return stack[-1] if stack else None

    def home(self, user: str) -> Json | None:
        return next(iter(self.state()["homeViews"].get(user, {}).values()), None)

    def log(self) -> list[Json]:
        """What went in and out, oldest first, each with an id and its time in milliseconds.

        to_bot, events_api                an event is delivered
        from_bot, events_api or ack       it is answered: `HTTP 200`, or `ack …` over the socket. Of which event is not said
        """
        return list(self._call("/_control/log")["log"])

    # --- acting as people --------------------------------------------------------------------------------------------------

    def say(self, user: str, channel: str, text: str, thread: str = "") -> Json:
        about = {"thread_ts": thread} if thread else {}
        return dict(self._control("message", {"channel": channel, "user": user, "text": text, **about})["message"])

    def mention(self, user: str, channel: str, text: str, thread: str = "") -> Json:
        return self.say(user, channel, f"<@{self.bot}> {text}", thread)

    def command(self, user: str, channel: str, command: str, text: str = "") -> None:
        self._control("command", {"channel": channel, "user": user, "command": command, "text": text})

    def press(self, user: str, message: Json, element: Json, *, channel: str = "", value: str | None = None) -> None:
        """A person presses an element of a message."""
        action = {**element, **({"value": value} if value is not None else {})}
        where = {"channel": channel or message["channel"], "messageTs": message["ts"]}
        self._control("interact", {**where, "user": user, "action": action})

    def submit(self, user: str, values: Mapping[str, Mapping[str, Json]]) -> Mapping[str, str]:
        """A person sends the open form, as the page does it. Returns the form's errors."""
        with self._page() as page:
            stack = _init(page)["modalStack"]
            assert stack, f"{user} has no form open"
            page.send(json.dumps({"t": "view_submit", "user": user, "values": form_state(stack[-1]["blocks"], values)}))
            while (told := json.loads(page.recv(timeout=ANSWER_S)))["t"] not in ("view", "view_errors"):
                pass
        return dict(told.get("errors") or {})

    def dismiss(self, user: str) -> None:
        with self._page() as page:
            _init(page)
            page.send(json.dumps({"t": "view_close", "user": user}))
            while json.loads(page.recv(timeout=ANSWER_S))["t"] != "view":
                pass

    def open_home(self, user: str) -> None:
        self._control("open-home", {"user": user})

    # --- the way there -----------------------------------------------------------------------------------------------------

    def _page(self) -> ClientConnection:
        return connect(f"ws://127.0.0.1:{self.port}/ui", max_size=None, proxy=None, compression=None)

    def _control(self, what: str, body: Json) -> Json:
        return self._call(f"/_control/{what}", body)

    def _call(self, path: str, body: Json | None = None) -> Json:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_S)
        try:
            headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.bot_token}"}
            sent = None if body is None else json.dumps(body)
            connection.request("GET" if body is None else "POST", path, sent, headers)
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        assert answer.get("ok", True), f"local-slack refuses {path}: {answer}"
        return dict(answer)


def _init(page: ClientConnection) -> Json:
    """What a page is told first."""
    told: Json = json.loads(page.recv(timeout=ANSWER_S))
    assert told["t"] == "init", f"the page begins with {told['t']}"
    return dict(told["state"])


@contextmanager
def running(mode: Mode, people: Mapping[str, str]) -> Iterator[LocalSlack]:
    """A local-slack for the length of a block. `people`: account -> full name."""
    port, app_port = _free_port(), _free_port()
    app = {
        "appId": "A0LOCAL", "botUserId": LocalSlack.bot, "botName": "holdfast", "botToken": LocalSlack.bot_token,
        "appToken": LocalSlack.app_token, "signingSecret": LocalSlack.signing_secret,
        "mode": "events" if mode == "http" else "socket", "requestUrl": f"http://127.0.0.1:{app_port}/slack/events",
    }  # fmt: skip
    users = [
        {"id": account, "name": name.split()[0].lower(), "real_name": name, "email": f"{name.split()[0].lower()}@example.com"}
        for account, name in people.items()
    ]
    channels = [{"id": "C0GENERAL", "name": "general", "members": [*people, LocalSlack.bot]}]
    workspace = {"name": "Two Chairs Dental", "domain": "two-chairs", "teamId": "T0LOCAL"}
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.yaml"
        config.write_text(yaml.safe_dump({"workspace": workspace, "app": app, "users": users, "channels": channels}))
        command = [str(binary()), "--config", str(config), "--port", str(port), "--base-host", "127.0.0.1"]
        environment = {**os.environ, "TMPDIR": folder}
        with (Path(folder) / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=environment)
        try:
            wait_for(lambda: _answers(port) or process.poll() is not None, "local-slack did not start", 30)
            assert process.poll() is None, "local-slack ended:\n" + (Path(folder) / "log").read_text()
            yield LocalSlack(port, mode, app_port)
        finally:
            process.terminate()
            process.wait(10)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 0.2).close()
    except OSError:
        time.sleep(0.02)
        return False
    return True


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
