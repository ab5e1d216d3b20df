"""The app package that an administrator uploads to Teams: the manifest and two icons, as one zip.

What the bot offers in Teams stands in one table here, `EXTENSIONS`; the edge reads the same table to know what was used.
"""

from __future__ import annotations

import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

VERSION = "1.0.0"
"""Of the package. Teams offers an update when it grows."""
SCHEMA_VERSION = "1.22"
ACCENT = (31, 78, 95)

Json = dict[str, Any]


@dataclass(frozen=True)
class Extension:
    """One command of the message extension. `way` is how the edge answers it: as search results, or as a card of its own."""

    id: str
    way: Literal["search", "about"]
    title: str
    description: str


EXTENSIONS = (
    Extension("sop", "search", "Search the SOPs", "Find the step in your practice's SOPs"),
    Extension("ask", "about", "Ask Holdfast about this", "What your SOPs say about this message, for you alone"),
)
SEARCHED = "query"
"""The parameter that holds what is searched for."""
TYPED = (
    ("my day", "Everything that waits for you"),
    ("standup", "The stand-up, for those in charge of a site"),
    ("page", "A link that signs you in to the practice's page"),
    ("help", "What Holdfast does"),
)
"""What Teams suggests to type, and what it brings."""


def manifest(client_id: str, base_url: str) -> Json:
    """The manifest of this installation.

    client_id  the bot's application (client) id, a GUID
    base_url   the https address at which people reach us
    raises     ValueError   Teams would not take one of them
    """
    parts = urlsplit(base_url)
    if not re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", client_id):
        raise ValueError("TEAMS_CLIENT_ID is no application id: copy the “Application (client) ID” of the app registration.")
    if parts.scheme != "https" or not parts.hostname:
        raise ValueError("HOLDFAST_URL must be an https address: Teams takes no other in an app package.")
    home = f"https://{parts.netloc}/"
    return {
        "$schema": f"https://developer.microsoft.com/json-schemas/teams/v{SCHEMA_VERSION}/MicrosoftTeams.schema.json",
        "manifestVersion": SCHEMA_VERSION,
        "version": VERSION,
        "id": client_id.lower(),
        "developer": {"name": "Holdfast", "websiteUrl": home, "privacyUrl": home, "termsOfUseUrl": home},
        "name": {"short": "Holdfast", "full": "Holdfast"},
        "description": {
            "short": "Your practice's SOPs, and the work that stands still",
            "full": "Ask how something is done and get the step from your own SOPs. When work that is yours stands still, "
            "Holdfast tells you once, with the step and the buttons.",
        },
        "icons": {"color": "color.png", "outline": "outline.png"},
        "accentColor": "#{:02X}{:02X}{:02X}".format(*ACCENT),
        "defaultInstallScope": "personal",
        "bots": [_bot(client_id.lower())],
        "composeExtensions": [{"botId": client_id.lower(), "commands": [_command(each) for each in EXTENSIONS]}],
        "permissions": ["identity", "messageTeamMembers"],
        "validDomains": [parts.hostname],
    }


def manifest_zip(client_id: str, base_url: str) -> bytes:
    """The app package. The same bytes for the same arguments. raises ValueError"""
    written = json.dumps(manifest(client_id, base_url), indent=2, ensure_ascii=False).encode() + b"\n"
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (("manifest.json", written), ("color.png", color_icon()), ("outline.png", outline_icon())):
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type, entry.create_system, entry.external_attr = zipfile.ZIP_DEFLATED, 3, 0o644 << 16
            archive.writestr(entry, content)
    return package.getvalue()


def _bot(client_id: str) -> Json:
    scopes = ["personal", "team", "groupChat"]
    listed = [{"title": typed, "description": brings} for typed, brings in TYPED]
    return {
        "botId": client_id,
        "scopes": scopes,
        "supportsFiles": True,
        "isNotificationOnly": False,
        "commandLists": [{"scopes": scopes, "commands": listed}],
    }


def _command(extension: Extension) -> Json:
    known: Json = {"id": extension.id, "title": extension.title, "description": extension.description}
    if extension.way == "about":
        return {**known, "type": "action", "context": ["message"], "fetchTask": True}
    parameter = {"name": SEARCHED, "title": "Question", "description": "How is something done?", "inputType": "text"}
    return {**known, "type": "query", "context": ["compose", "commandBox"], "initialRun": True, "parameters": [parameter]}


# --- icons -----------------------------------------------------------------------------------------------------------------


def color_icon() -> bytes:
    """192 × 192 pixels: a white mark on the accent colour, as PNG."""
    return _png(192, lambda x, y: (*((255, 255, 255) if _in_mark(x, y) else ACCENT), 255))


def outline_icon() -> bytes:
    """32 × 32 pixels: the mark in white on nothing, as PNG."""
    return _png(32, lambda x, y: (255, 255, 255, 255 if _in_mark(x, y) else 0))


def _in_mark(x: float, y: float) -> bool:
    """Whether the point (0 to 1 each way) is inside the mark: a bold H whose bar runs through both posts."""
    in_post = 0.25 <= y <= 0.75 and (0.28 <= x <= 0.38 or 0.62 <= x <= 0.72)
    return in_post or (0.45 <= y <= 0.55 and 0.19 <= x <= 0.81)


def _png(size: int, pixel: Callable[[float, float], tuple[int, int, int, int]]) -> bytes:
    """A square PNG (8 bits, RGBA). `pixel` gives the colour of the point (0 to 1 each way)."""
    rows = (
        b"\0" + b"".join(bytes(pixel((column + 0.5) / size, (row + 0.5) / size)) for column in range(size))
        for row in range(size)
    )
    head = struct.pack(">IIBBBBB", size, size, 8, 6, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(b"".join(rows), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(held)) + name + held + struct.pack(">I", zlib.crc32(name + held)) for name, held in chunks
    )
