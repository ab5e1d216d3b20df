"""A file that somebody sent us in Slack, fetched with the bot's token from where Slack keeps files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from bot import fetching
from bot.chat import AmbiguousSend, Attached, NotFetched
from bot.platforms.slack.client import Refused

HOSTS = ("files.slack.com",)
_WHY = {"file_deleted": "gone", "file_not_found": "gone"}
_AWAY = frozenset({"ratelimited", "unreachable"})


def fetch(
    call: Callable[..., Mapping[str, Any]], token: Callable[[], str], api_url: str, file: Attached, into: BinaryIO, limit: int
) -> None:
    """Write the file to `into`. Where it stands is asked for by its id: the message itself need not be believed.

    call    one call of the Web API: method and arguments
    token   the bot token, asked for when the file's place is known; sent to Slack's hosts, or to the stand-in of `api_url`
    raises  NotFetched
    """
    try:
        known = call("files.info", file=file.id).get("file")
    except Refused as refused:
        raise NotFetched(_why(refused.code)) from None
    except AmbiguousSend:
        raise NotFetched("unreachable") from None
    about: Mapping[str, Any] = known if isinstance(known, Mapping) else {}
    url, size = about.get("url_private_download") or about.get("url_private"), about.get("size")
    if isinstance(size, int) and size > limit:
        raise NotFetched("too_large")
    if not isinstance(url, str) or about.get("is_external"):
        raise NotFetched("elsewhere")
    api = urlsplit(api_url)
    local = fetching.origin(api_url) if api.scheme == "http" else ""
    hosts = [*HOSTS, *([api.hostname] if api.scheme == "https" and api.hostname else [])]
    fetching.fetch(url, into, limit=limit, hosts=hosts, headers={"authorization": f"Bearer {token()}"}, local=local)


def _why(code: str) -> Any:
    return "unreachable" if code in _AWAY else _WHY.get(code, "forbidden")
