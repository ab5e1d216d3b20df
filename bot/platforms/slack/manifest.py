"""What this app is to Slack, named once: scopes, events, commands, shortcuts. The edge registers what the manifest lists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import yaml

APP = "Holdfast"
EVENTS_PATH = "/slack/events"
INSTALL_PATH = "/slack/install"
REDIRECT_PATH = "/slack/oauth_redirect"
ABOUT_MESSAGE = "ask_about"
"""The callback id of the message shortcut."""
LOCAL_URL = "https://holdfast.example.com"
"""Stands in the manifest where our own address is not known yet."""


@dataclass(frozen=True)
class Command:
    """A slash command. `asks`: what it asks when nothing, or nothing that counts, follows it."""

    name: str
    asks: str
    takes_words: bool
    description: str
    hint: str = ""


SCOPES: dict[str, str] = {
    "app_mentions:read": "hear questions in channels",
    "assistant:write": "show prompts and what it is doing in the side pane",
    "channels:history": "hear a follow-up in its own threads, and look whether a message arrived",
    "chat:write": "answer and nudge",
    "commands": "offer its commands and its shortcut",
    "files:read": "read an SOP file that somebody sends it",
    "groups:history": "the same as channels:history in private channels",
    "im:history": "hear what is written to it directly",
    "im:write": "write to a person first",
    "users:read": "see who is a guest, a bot or gone",
    "users:read.email": "match people to the practice file",
}
"""The bot scopes we need, and what for."""

APP_TOKEN_SCOPE = "connections:write"  # noqa: S105  the name of a scope
"""What the app-level token of Socket Mode must hold."""

EVENTS: tuple[str, ...] = (
    "app_home_opened",
    "app_mention",
    "app_uninstalled",
    "assistant_thread_context_changed",
    "assistant_thread_started",
    "message.channels",
    "message.groups",
    "message.im",
    "tokens_revoked",
    "user_change",
)

COMMANDS: tuple[Command, ...] = (
    Command("/sop", "help", True, "Ask what the SOPs say", "how do I …?"),
    Command("/myday", "my day", False, "What is on your list today"),
    Command("/standup", "standup", False, "The stand-up of your practice"),
    Command("/holdfast", "help", True, "Help, and everything else", "help | page | …"),
)


def event_types() -> tuple[str, ...]:
    """The types by which these events arrive: `message.im` and `message.channels` are both a `message`."""
    return tuple(sorted({name.partition(".")[0] for name in EVENTS}))


def manifest(base_url: str = "", *, socket_mode: bool) -> dict[str, Any]:
    """The app manifest as Slack's “create from a manifest” takes it.

    base_url     our address from outside, without a path; only the HTTP mode needs it
    socket_mode  events come over a socket that we open
    """
    base = base_url.rstrip("/") or LOCAL_URL
    at = {} if socket_mode else {"url": base + EVENTS_PATH}
    request = {} if socket_mode else {"request_url": base + EVENTS_PATH}
    return {
        "display_information": {
            "name": APP,
            "description": "Answers from your SOPs and sees that standards hold.",
            "background_color": "#1b3a4b",
        },
        "features": {
            "app_home": {"home_tab_enabled": True, "messages_tab_enabled": True, "messages_tab_read_only_enabled": False},
            "bot_user": {"display_name": APP, "always_online": True},
            "assistant_view": {"assistant_description": "Ask how something is done here; it answers from approved SOPs."},
            "shortcuts": [
                {
                    "name": f"Ask {APP} about this",
                    "type": "message",
                    "callback_id": ABOUT_MESSAGE,
                    "description": "What the SOPs say about a message",
                }
            ],
            "slash_commands": [
                {
                    "command": command.name,
                    **at,
                    "description": command.description,
                    **({"usage_hint": command.hint} if command.hint else {}),
                    "should_escape": False,
                }
                for command in COMMANDS
            ],
        },
        "oauth_config": {
            **({} if socket_mode else {"redirect_urls": [base + REDIRECT_PATH]}),
            "scopes": {"bot": list(SCOPES)},
        },
        "settings": {
            "event_subscriptions": {**request, "bot_events": list(EVENTS)},
            "interactivity": {"is_enabled": True, **request},
            "org_deploy_enabled": False,
            "socket_mode_enabled": socket_mode,
            "token_rotation_enabled": False,
        },
    }


def manifest_yaml(base_url: str, socket_mode: bool) -> str:
    """`manifest` as the text of a manifest.yaml."""
    text: str = yaml.safe_dump(manifest(base_url, socket_mode=socket_mode), sort_keys=False, allow_unicode=True, width=120)
    return text
