"""What Prometheus reads: every count, in its format, and no series that somebody outside could make."""

from __future__ import annotations

import logging
import threading

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bot.metrics import Figures, Metrics

STANDING = Figures(
    inbox_pending=3,
    inbox_oldest_s=12.5,
    outbox={"pending": 4, "ambiguous": 1, "sent": 900},
    feed_ages_s={"claims": 60.0, "eras": 7200.0, "plans": None},
    swept_s=4.0,
    ledger=1234,
)


def read(metrics: Metrics, *, feeds: bool = True, standing: Figures = STANDING) -> dict[tuple[str, ...], float]:
    """Each sample by its name and labels' values."""
    families = text_string_to_metric_families(metrics.text(lambda: standing, feeds=feeds).decode())
    samples = [sample for family in families for sample in family.samples if not sample.name.endswith("_created")]
    found = {(sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value for sample in samples}
    assert len(found) == len(samples), "every series once"
    return found


def test_what_is_counted_is_read() -> None:
    """Lost: nobody would notice that sending fails or that acknowledging gets slow."""
    metrics = Metrics()
    metrics.acked("slack", "socket", 0.02)
    metrics.acked("slack", "http", 1.5)
    metrics.sent("teams", "gone")
    metrics.sent("teams", "gone")
    metrics.answered("slack", "done")
    metrics.ticked(0.3)
    found = read(metrics)
    assert found["holdfast_ack_seconds_count", "socket", "slack"] == 1
    assert found["holdfast_ack_seconds_bucket", "1.0", "http", "slack"] == 0
    assert found["holdfast_ack_seconds_bucket", "3.0", "http", "slack"] == 1
    assert found["holdfast_sends_total", "gone", "teams"] == 2
    assert found["holdfast_answers_total", "done", "slack"] == 1
    assert found["holdfast_tick_seconds_sum",] == pytest.approx(0.3)


def test_how_the_installation_stands_is_read_when_asked() -> None:
    """Lost: a queue that grows, a feed that went quiet and a clock that stands still would raise no alarm."""
    found = read(Metrics())
    assert found["holdfast_figures_up",] == 1
    assert found["holdfast_inbox_pending",] == 3
    assert found["holdfast_inbox_oldest_seconds",] == 12.5
    assert found["holdfast_outbox", "pending"] == 4
    assert found["holdfast_outbox", "ambiguous"] == 1
    assert found["holdfast_outbox", "dead"] == 0
    assert ("holdfast_outbox", "sent") not in found
    assert found["holdfast_feed_age_seconds", "eras"] == 7200
    assert found["holdfast_feed_oldest_seconds",] == 7200
    assert found["holdfast_feeds_silent",] == 1
    assert found["holdfast_swept_seconds",] == 4
    assert found["holdfast_ledger_rows",] == 1234


def test_what_never_happened_has_no_figure() -> None:
    """Lost: an age of 0 would say that all is fresh where nothing ever came."""
    found = read(Metrics(), standing=Figures(feed_ages_s={"claims": None}))
    ages = (
        "holdfast_inbox_oldest_seconds",
        "holdfast_feed_oldest_seconds",
        "holdfast_swept_seconds",
        "holdfast_feed_age_seconds",
    )
    assert not [key for key in found if key[0] in ages]


def test_feeds_are_named_only_where_asked() -> None:
    """Lost: strangers would read which systems a practice has."""
    assert not [key for key in read(Metrics(), feeds=False) if "eras" in key]


def test_a_word_from_outside_makes_no_series() -> None:
    """Lost: somebody who varies what they send could fill the memory, or write a name into a label."""
    metrics = Metrics()
    for number in range(100):
        metrics.sent(f"Quillfeather {number}", "sent")
        metrics.acked("slack", f"mode {number}", -1.0)  # type: ignore[arg-type]
    found = read(metrics)
    assert found["holdfast_sends_total", "sent", "other"] == 100
    assert found["holdfast_ack_seconds_count", "other", "slack"] == 100
    assert "Quillfeather" not in str(found)


def test_counts_are_read_while_the_database_is_away(caplog: pytest.LogCaptureFixture) -> None:
    """Lost: just when it matters there would be no figures at all."""

    def away() -> Figures:
        raise OSError("the database is away")

    metrics = Metrics()
    metrics.sent("slack", "sent")
    with caplog.at_level(logging.ERROR):
        said = metrics.text(away, feeds=True).decode()
    assert "holdfast_figures_up 0.0" in said
    assert 'holdfast_sends_total{outcome="sent",platform="slack"} 1.0' in said
    assert "holdfast_ledger_rows" not in said


def test_two_installations_in_one_process_do_not_meet() -> None:
    """Lost: a second one could not even start: its series would be registered twice."""
    one, two = Metrics(), Metrics()
    one.sent("slack", "sent")
    assert read(one)["holdfast_sends_total", "sent", "slack"] == 1
    assert ("holdfast_sends_total", "sent", "slack") not in read(two)


def test_counting_from_many_threads_loses_nothing() -> None:
    """Lost: the workers' counts would not add up."""
    metrics = Metrics()

    def count() -> None:
        for _ in range(500):
            metrics.sent("slack", "sent")

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read(metrics)["holdfast_sends_total", "sent", "slack"] == 4000
