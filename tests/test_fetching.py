"""Fetching a file that somebody sent: from where it may be, and from nowhere else."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from bot import fetching
from bot.chat import NotFetched
from tests.fakes.serving import serving

HOSTS = ("files.example.com", ".store.example")
DATA = b"an SOP " * 20_000
seen: list[dict[str, str]] = []


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def here() -> Iterator[str]:
    """The address of a place on this machine where files lie."""

    async def file(request: Request) -> Response:
        seen.append(dict(request.headers))
        return Response(DATA)

    async def unsaid(request: Request) -> Response:
        """Two megabytes of which nobody says how many they are."""
        return StreamingResponse(iter([bytes(65536)] * 32))

    def led(to: str) -> Route:
        async def lead(request: Request) -> Response:
            return RedirectResponse(to)

        return Route(f"/led/{abs(hash(to))}", lead)

    seen.clear()
    routes = [Route("/file", file), Route("/unsaid", unsaid), Route("/over", lambda _: Response(status_code=410))]
    routes += [led(to) for to in ("/file", "http://127.0.0.1:1/file", "http://169.254.169.254/", "file:///etc/passwd")]
    with serving(Starlette(routes=routes)) as url:
        yield url


def fetched(url: str, local: str = "", limit: int = 1_000_000, addresses: Sequence[str] = ("203.0.113.9",)) -> bytes:
    into = io.BytesIO()
    headers = {"authorization": "Bearer a-token"}
    fetching.fetch(url, into, limit=limit, hosts=HOSTS, local=local, headers=headers, resolve=lambda host, port: addresses)
    return into.getvalue()


def why(*args: object, **more: object) -> str:
    with pytest.raises(NotFetched) as missing:
        fetched(*args, **more)  # type: ignore[arg-type]
    return missing.value.why


def test_a_file_arrives_whole_and_as_it_is(here: str) -> None:
    """Lost: every second file is cut short, or unpacked on its way past the limit."""
    assert fetched(f"{here}/file?key=1", local=fetching.origin(here)) == DATA
    assert seen[0]["accept-encoding"] == "identity" and seen[0]["authorization"] == "Bearer a-token"


@pytest.mark.parametrize(
    "url",
    [
        "http://files.example.com/a", "https://files.example.com:8443/a", "https://files.example.com.evil.example/a",
        "https://evilstore.example/a", "https://store.example/a", "https://x@files.example.com/a", "ftp://files.example.com/a",
        "file:///etc/passwd", "https://127.0.0.1/a", "https://[::1]/a", "https://2130706433/a", "https://0x7f.1/a",
        "https://169.254.169.254/latest", "https://[::ffff:10.0.0.1]/a", "https:///a", "//files.example.com/a", "", "nonsense",
        "https://files.example.com\\@10.0.0.1/a", "https://10.0.0.1#files.example.com/", "javascript:alert(1)",
        "https://files.example.com%00.evil.example/a",
    ],
)  # fmt: skip
def test_what_is_not_an_allowed_host_is_not_asked(url: str) -> None:
    """Lost: a message has our server read what only our server can reach."""
    assert why(url) == "elsewhere"


@pytest.mark.parametrize(
    "addresses",
    [
        ["10.0.0.1"], ["127.0.0.1"], ["169.254.169.254"], ["192.168.1.1"], ["172.16.0.1"], ["100.64.0.1"], ["0.0.0.0"],
        ["::1"], ["fe80::1%eth0"], ["fd00::1"], ["::ffff:127.0.0.1"], ["224.0.0.1"], ["8.8.8.8", "10.0.0.1"],
    ],
)  # fmt: skip
def test_an_allowed_name_that_leads_inside_is_not_followed(addresses: list[str]) -> None:
    """Lost: whoever holds a name below an allowed one points it at our own network."""
    assert why("https://a.store.example/file", addresses=addresses) == "elsewhere"
    assert why("https://files.example.com/file", addresses=addresses) == "elsewhere"


def test_the_address_that_was_checked_is_the_one_that_is_asked() -> None:
    """Lost: a name leads outside while it is looked at, and inside a moment later."""
    asking = fetching._Answer(
        fetching._parsed("https://files.example.com/a?b=c"), {}, is_local=False, resolve=lambda host, port: ["93.184.216.34"]
    )
    asking._http = httpx.Client(trust_env=False)
    request = asking._request(by_proxy=False)
    assert str(request.url) == "https://93.184.216.34/a?b=c"
    assert request.headers["host"] == "files.example.com"
    assert request.extensions["sni_hostname"] == "files.example.com", "the certificate is the name's"


def test_a_redirect_is_followed_on_its_own_host_alone(here: str) -> None:
    """Lost: an allowed host passes our token on to another."""
    local = fetching.origin(here)
    assert fetched(f"{here}/led/{abs(hash('/file'))}", local=local) == DATA
    for to in ("http://127.0.0.1:1/file", "http://169.254.169.254/", "file:///etc/passwd"):
        assert why(f"{here}/led/{abs(hash(to))}", local=local) in ("forbidden", "elsewhere")
    assert len(seen) == 1


def test_what_is_too_large_gone_or_silent_is_told_apart(here: str) -> None:
    """Lost: a film fills the disk; or nobody knows what to do about a file that did not come."""
    local = fetching.origin(here)
    assert why(f"{here}/file", local=local, limit=1000) == "too_large"
    assert why(f"{here}/unsaid", local=local) == "too_large"
    assert why(f"{here}/over", local=local) == "gone"
    assert why(f"{here}/nothing", local=local) == "gone"
    assert why("http://127.0.0.1:1/file", local="http://127.0.0.1:1") == "unreachable"


def test_a_name_that_nobody_knows_is_out_of_reach() -> None:
    """Lost: a practice without a network is told that its own file is kept in a bad place."""
    assert why("https://files.example.com/a", addresses=[]) == "unreachable"
