"""The app package: what Teams is told that the bot offers is what the bot handles."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from typing import Any

import pytest

from bot.platforms.teams.manifest import EXTENSIONS, SEARCHED, color_icon, manifest, manifest_zip, outline_icon
from bot.platforms.teams.read import Invoke
from tests.platforms.test_teams_read import invoke

CLIENT = "00000000-aaaa-4aaa-8aaa-0000000000b0"
BASE = "https://bot.practice.example"


def commands() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = manifest(CLIENT, BASE)["composeExtensions"][0]["commands"]
    return found


def test_every_command_of_the_manifest_is_handled_and_no_other() -> None:
    """Lost: Teams offers a button that the bot answers with "not offered"."""
    assert [command["id"] for command in commands()] == [extension.id for extension in EXTENSIONS]
    for command in commands():
        name = "composeExtension/query" if command["type"] == "query" else "composeExtension/fetchTask"
        found = invoke({"commandId": command["id"], "parameters": [{"name": SEARCHED, "value": "x"}]}, name)
        assert found.way == {"query": "search", "action": "about"}[command["type"]]
    assert invoke({"commandId": "other"}, "composeExtension/query") == Invoke("unknown")


def test_the_manifest_keeps_the_limits_of_its_schema() -> None:
    """Lost: the administrator's upload is refused, by a message that names no field."""
    told = manifest(CLIENT.upper(), BASE + "/")
    assert len(told["name"]["short"]) <= 30
    assert len(told["description"]["short"]) <= 80
    assert len(told["description"]["full"]) <= 4000
    assert told["manifestVersion"] in told["$schema"]
    assert told["id"] == told["bots"][0]["botId"] == told["composeExtensions"][0]["botId"] == CLIENT
    assert told["bots"][0]["scopes"] == ["personal", "team", "groupChat"]
    assert told["bots"][0]["supportsFiles"] is True, "else nobody can send it an SOP file"
    assert told["validDomains"] == ["bot.practice.example"]
    listed = told["bots"][0]["commandLists"][0]["commands"]
    assert 1 <= len(listed) <= 10
    for command in [*listed, *commands()]:
        assert len(command["title"]) <= 32
        assert len(command["description"]) <= 128
    for command in commands():
        assert len(command["id"]) <= 64
        assert (command["type"] == "query") == bool(command.get("parameters"))


def test_the_package_is_the_same_bytes_each_time() -> None:
    """Lost: nobody can tell whether the package that was uploaded is the one that is meant."""
    package = manifest_zip(CLIENT, BASE)
    assert package == manifest_zip(CLIENT, BASE)
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        assert archive.namelist() == ["manifest.json", "color.png", "outline.png"]
        assert archive.testzip() is None
        told = json.loads(archive.read("manifest.json"))
        assert set(told["icons"].values()) == {"color.png", "outline.png"}


@pytest.mark.parametrize("icon, size", [(color_icon(), 192), (outline_icon(), 32)])
def test_the_icons_are_what_teams_wants(icon: bytes, size: int) -> None:
    """Lost: the package is refused for its icons: 192 pixels full colour, 32 pixels white on transparent."""
    assert icon.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", icon[16:24]) == (size, size)
    length = struct.unpack(">I", icon[33:37])[0]
    rows = zlib.decompress(icon[41 : 41 + length])
    assert len(rows) == size * (1 + 4 * size)
    pixels = {rows[at : at + 4] for row in range(size) for at in range(row * (4 * size + 1) + 1, (row + 1) * (4 * size + 1), 4)}
    transparent = {pixel for pixel in pixels if pixel[3] == 0}
    assert pixels - transparent == ({b"\xff\xff\xff\xff"} if size == 32 else {b"\xff\xff\xff\xff", b"\x1f\x4e\x5f\xff"})
    assert bool(transparent) == (size == 32)


@pytest.mark.parametrize("client, base", [("", BASE), ("my-bot", BASE), (CLIENT, ""), (CLIENT, "http://bot.practice.example")])
def test_what_teams_would_refuse_is_refused_here(client: str, base: str) -> None:
    """Lost: the fault is found after an upload, in somebody else's words."""
    with pytest.raises(ValueError, match=r"TEAMS_CLIENT_ID|HOLDFAST_URL"):
        manifest(client, base)
