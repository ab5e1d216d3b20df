"""/health and /metrics: what a machine asks, and nothing that a stranger should know."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.testclient import TestClient

from bot.metrics import Figures, Metrics
from bot.web import routes

WELL: Mapping[str, object] = {
    "ok": True,
    "now": "2026-03-02T09:00:00+00:00",
    "feeds": {"harbor-claims": "2026-03-02T08:00:00+00:00"},
    "late": False,
    "stale": [],
    "problems": {},
    "files": "",
    "set_aside": ["harbor-claims: Quillfeather.csv: no header"],
    "queue": 4,
    "ledger": 1234,
    "head": "abcdef",
    "Bad name\n": 1,
    "share": 0.5,
}


def served(
    health: Callable[[], Mapping[str, object]] = lambda: WELL,
    figures: Callable[[], Figures] = lambda: Figures(feed_ages_s={"harbor-claims": 60.0}),
    *,
    client: str = "127.0.0.1",
    host: str = "127.0.0.1:8377",
) -> TestClient:
    app = Starlette(routes=routes(health, figures, Metrics()))
    return TestClient(app, base_url=f"http://{host}", client=(client, 5000), raise_server_exceptions=False)


def test_health_is_200_when_well_and_503_when_somebody_should_look() -> None:
    """Lost: whoever watches over the process could not tell."""
    assert served().get("/health").status_code == 200
    sick = served(lambda: {**WELL, "ok": False, "late": True}).get("/health")
    assert sick.status_code == 503
    assert sick.json()["ok"] is False
    assert sick.json()["late"] is True


def test_health_tells_counts_and_no_names() -> None:
    """Lost: the open address would show file names, feeds, or what somebody wrote into them."""
    answer = served().get("/health")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    counts = {"feeds": 1, "stale": 0, "problems": 0, "set_aside": 1, "queue": 4, "ledger": 1234, "share": 0.5}
    assert answer.json() == {"ok": True, "late": False} | counts


@pytest.mark.parametrize("facts", [{}, {"ok": None}, {"ok": "yes"}, {"ok": 1}])
def test_health_is_well_only_where_it_says_so(facts: dict[str, object]) -> None:
    """Lost: a fault that leaves the word out would count as health."""
    assert served(lambda: facts).get("/health").status_code == 503


def test_a_health_that_cannot_be_read_is_503_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    """Lost: a stranger would read an error of the database."""

    def away() -> Mapping[str, object]:
        raise RuntimeError("password authentication failed for user holdfast")

    with caplog.at_level(logging.ERROR):
        answer = served(away).get("/health")
    assert (answer.status_code, answer.json()) == (503, {"ok": False})
    assert "cannot be read" in caplog.text


def test_metrics_are_in_the_format_that_prometheus_reads() -> None:
    """Lost: the scrape would fail, and every alarm with it."""
    answer = served().get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    names = {family.name for family in text_string_to_metric_families(answer.text)}
    assert {"holdfast_ack_seconds", "holdfast_figures_up", "holdfast_feed_age_seconds"} <= names


@pytest.mark.parametrize(
    ("client", "host", "headers"),
    [
        ("10.0.0.7", "127.0.0.1:8377", {}),
        ("127.0.0.1", "practice.example", {}),
        ("127.0.0.1", "127.0.0.1:8377", {"x-forwarded-for": "10.0.0.7"}),
        ("127.0.0.1", "127.0.0.1:8377", {"forwarded": "for=10.0.0.7"}),
    ],
)
def test_from_elsewhere_no_feed_is_named(client: str, host: str, headers: dict[str, str]) -> None:
    """Lost: strangers would read which systems a practice has."""
    answer = served(client=client, host=host).get("/metrics", headers=headers)
    assert answer.status_code == 200
    assert "harbor-claims" not in answer.text
    assert "holdfast_feed_oldest_seconds 60.0" in answer.text


def test_a_flood_reads_the_database_once_a_second() -> None:
    """Lost: an open address would let anybody keep the database busy."""
    read = []

    def health() -> Mapping[str, object]:
        read.append(1)
        return WELL

    client = served(health)
    for _ in range(30):
        client.get("/health")
    assert len(read) < 5


@pytest.mark.parametrize("path", ["/health", "/metrics"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
def test_other_methods_are_405(path: str, method: str) -> None:
    """Lost: a scanner's request would count as a fault of ours."""
    answer = served().request(method, path, content=b"x")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"
    assert answer.content == b""


@pytest.mark.parametrize("path", ["/health", "/metrics"])
def test_head_answers_as_get_does(path: str) -> None:
    """Lost: some watchers ask with HEAD and would restart us."""
    assert served().head(path).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-length": "999999"}, 413),
        ({"content-length": "-1"}, 413),
        ({"content-length": "1e9"}, 413),
        ({"content-length": "٣"}, 413),
        ({"content-length": "9" * 400}, 413),
        ({"host": ""}, 200),
        ({"host": "[::1"}, 200),
        ({"host": "\udcff"}, 200),
        ({"accept": "x" * 10_000}, 200),
    ],
)
def test_odd_requests_are_answered(headers: dict[str, Any], status: int) -> None:
    """Lost: one malformed header would make an open address answer with a fault."""
    raw = [(name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in headers.items()]
    for path in ("/health", "/metrics"):
        assert served().get(path, headers=raw).status_code == status
    assert served().get("/health?x=%ff&y[]=1").status_code == 200
