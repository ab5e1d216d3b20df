"""Fetches a file that somebody sent in chat: from the hosts where its platform keeps files, and from nowhere inside.

Whoever writes a message also writes its links. So a link is followed over https to an allowed host alone, whose name is looked
up once and must lead to a public address; a redirect is followed on that host only; and size and time have an end.

    NotFetched (bot.chat)   why there is no file
"""

from __future__ import annotations

import ipaddress
import socket
import time
import urllib.request
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import BinaryIO, Literal

import httpx

from bot.chat import NotFetched

HOPS = 4
"""How many addresses of one host are asked for one file, redirects included."""
PAUSE_S = 10.0
WALL_S = 40.0

Resolve = Callable[[str, int], Sequence[str]]


def fetch(
    url: str,
    into: BinaryIO,
    *,
    limit: int,
    hosts: Iterable[str],
    local: str = "",
    headers: Mapping[str, str] | None = None,
    resolve: Resolve | None = None,
) -> None:
    """Write what stands at `url` to `into`.

    limit    bytes; what is larger is not fetched
    hosts    those that may be asked, over https at its own port; `.a.b` stands for every host below a.b
    local    scheme, host and port of a stand-in on this machine that may be asked as well, or empty
    headers  sent to these hosts alone, as a token is
    resolve  looks up the addresses of a host and port; the machine's own way if left out
    raises   NotFetched
    """
    ends_at, first = time.monotonic() + WALL_S, _parsed(url)
    allowed = tuple(hosts)
    at = first
    for _ in range(HOPS):
        if not _may_ask(at, allowed, local) or _origin(at) != _origin(first):
            raise NotFetched("elsewhere" if at == first else "forbidden")
        with _Answer(at, headers or {}, is_local=_origin(at) == local, resolve=resolve or _looked_up) as answer:
            if answer.status_code not in (301, 302, 303, 307, 308):
                _check(answer, limit)
                _pour(answer, into, limit, ends_at)
                return
            at = _parsed(str(at.join(answer.headers.get("location", "/"))))
    raise NotFetched("unreachable")


def origin(url: str) -> str:
    """Scheme, host and port, as `fetch` compares them; empty for what is no address."""
    with suppress(NotFetched):
        return _origin(_parsed(url))
    return ""


def _parsed(url: str) -> httpx.URL:
    try:
        found = httpx.URL(url)
    except (httpx.InvalidURL, ValueError, TypeError):
        raise NotFetched("elsewhere") from None
    if not found.host or found.userinfo:
        raise NotFetched("elsewhere")
    return found.copy_with(fragment=None)


def _origin(url: httpx.URL) -> str:
    return f"{url.scheme}://{url.host}:{_port(url)}"


def _port(url: httpx.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


def _may_ask(url: httpx.URL, hosts: Sequence[str], local: str) -> bool:
    if local and _origin(url) == local:
        return True
    host = url.host.lower()
    listed = any(host == each or (each.startswith(".") and host.endswith(each)) for each in hosts)
    return listed and url.scheme == "https" and _port(url) == 443


# --- one request -------------------------------------------------------------------------------------------------------------


class _Answer:
    """The answer to one request, as a context: nothing of it is read before it is looked at."""

    def __init__(self, url: httpx.URL, headers: Mapping[str, str], *, is_local: bool, resolve: Resolve) -> None:
        self._url, self._headers, self._is_local, self._resolve = url, headers, is_local, resolve

    def __enter__(self) -> httpx.Response:
        by_proxy = not self._is_local and bool({"https", "all"} & urllib.request.getproxies().keys())
        self._http = httpx.Client(timeout=PAUSE_S, follow_redirects=False, trust_env=by_proxy)
        try:
            return self._http.send(self._request(by_proxy=by_proxy), stream=True)
        except httpx.HTTPError:
            self._http.close()
            raise NotFetched("unreachable") from None
        except NotFetched:
            self._http.close()
            raise

    def _request(self, *, by_proxy: bool) -> httpx.Request:
        """To the very address that was checked; behind a proxy by name, which the proxy looks up."""
        url, sent = self._url, {**self._headers, "accept-encoding": "identity"}
        if self._is_local or by_proxy:
            return self._http.build_request("GET", url, headers=sent)
        address = public(self._resolve(url.host, _port(url)))
        return self._http.build_request(
            "GET", url.copy_with(host=address), headers={**sent, "host": url.host}, extensions={"sni_hostname": url.host}
        )

    def __exit__(self, *_: object) -> None:
        self._http.close()


def public(addresses: Iterable[str]) -> str:
    """The first of these addresses. raises NotFetched   one of them is not of the public network, or there is none"""
    found = []
    for address in addresses:
        ip = ipaddress.ip_address(address.partition("%")[0])
        ip = getattr(ip, "ipv4_mapped", None) or ip
        if not ip.is_global or ip.is_multicast:
            raise NotFetched("elsewhere")
        found.append(str(ip))
    if not found:
        raise NotFetched("unreachable")
    return found[0]


def _looked_up(host: str, port: int) -> list[str]:
    try:
        rows = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return sorted({str(row[4][0]) for row in rows}, key=lambda address: ":" in address)


_WHY: Mapping[int, Literal["gone", "forbidden"]] = {401: "forbidden", 403: "forbidden", 404: "gone", 410: "gone"}


def _check(answer: httpx.Response, limit: int) -> None:
    if answer.status_code != 200:
        raise NotFetched(_WHY.get(answer.status_code, "unreachable"))
    length = answer.headers.get("content-length", "")
    if length.isdecimal() and int(length[:15]) > limit:
        raise NotFetched("too_large")


def _pour(answer: httpx.Response, into: BinaryIO, limit: int, ends_at: float) -> None:
    size = 0
    try:
        for part in answer.iter_raw(1 << 16):
            size += len(part)
            if size > limit:
                raise NotFetched("too_large")
            if time.monotonic() > ends_at:
                raise NotFetched("unreachable")
            into.write(part)
    except httpx.HTTPError:
        raise NotFetched("unreachable") from None
