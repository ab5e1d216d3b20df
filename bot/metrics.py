"""Figures for Prometheus: what this process did, counted as it happens, and how the installation stands, read when asked.

No label ever holds a person, a reference or an address. A word that is not on its list counts as "other", so that nothing from
outside can make new series.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from knowledge.model import REASONS

CONTENT_TYPE = CONTENT_TYPE_LATEST

Mode = Literal["socket", "http"]
Outcome = Literal["sent", "refused", "limited", "gone", "ambiguous"]
"""Of a sending attempt: taken; refused, may be tried again; told to wait; will never be taken; nobody knows."""
Answered = Literal["done", "again", "failed"]
"""Of a row of the inbox: answered; put back to be tried again; given up."""

_PLATFORMS = frozenset({"slack", "teams", "console"})
_MODES = frozenset({"socket", "http"})
_OUTCOMES = frozenset({"sent", "refused", "limited", "gone", "ambiguous"})
_ANSWERED = frozenset({"done", "again", "failed"})
_WORDED = frozenset({"worded", *REASONS})
_DELIVERIES = ("pending", "sending", "ambiguous", "dead")
_ACK_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0)
_TICK_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Figures:
    """How the installation stands at one instant. Ages are seconds; None: it never happened.

    outbox      deliveries by state; the states pending, sending, ambiguous and dead are shown
    feed_ages_s the age of what each feed says, by the feed's id
    """

    inbox_pending: int = 0
    inbox_oldest_s: float | None = None
    outbox: Mapping[str, int] = field(default_factory=dict)
    feed_ages_s: Mapping[str, float | None] = field(default_factory=dict)
    swept_s: float | None = None
    ledger: int = 0


class Metrics:
    """Counters and histograms of their own registry. Every call is cheap and may come from any thread."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._acks = Histogram(
            "holdfast_ack_seconds",
            "From receiving an event or press to telling the platform that it is kept.",
            ("platform", "mode"),
            registry=self._registry,
            buckets=_ACK_S,
        )
        self._sends = Counter(
            "holdfast_sends", "Attempts to send or edit a message.", ("platform", "outcome"), registry=self._registry
        )
        self._answers = Counter(
            "holdfast_answers", "What became of things heard.", ("platform", "outcome"), registry=self._registry
        )
        self._worded = Counter(
            "holdfast_worded", "What came of having an answer worded by the model.", ("outcome",), registry=self._registry
        )
        self._ticks = Histogram("holdfast_tick_seconds", "How long one sweep took.", registry=self._registry, buckets=_TICK_S)

    def acked(self, platform: str, mode: Mode, seconds: float) -> None:
        """A platform was told that we have it, `seconds` after it came in."""
        self._acks.labels(_known(platform, _PLATFORMS), _known(mode, _MODES)).observe(max(seconds, 0.0))

    def sent(self, platform: str, outcome: Outcome) -> None:
        self._sends.labels(_known(platform, _PLATFORMS), _known(outcome, _OUTCOMES)).inc()

    def answered(self, platform: str, outcome: Answered) -> None:
        self._answers.labels(_known(platform, _PLATFORMS), _known(outcome, _ANSWERED)).inc()

    def worded(self, outcome: str) -> None:
        """An answer was "worded", or why it was shown in the SOP's own words."""
        self._worded.labels(_known(outcome, _WORDED)).inc()

    def ticked(self, seconds: float) -> None:
        self._ticks.observe(max(seconds, 0.0))

    def text(self, figures: Callable[[], Figures], *, feeds: bool) -> bytes:
        """Everything in the text format (`CONTENT_TYPE`).

        figures   read once; where it fails, its part is missing and `holdfast_figures_up` is 0
        feeds     whether feeds are named
        """
        standing = CollectorRegistry()
        standing.register(_Standing(figures, feeds=feeds))
        return generate_latest(self._registry) + generate_latest(standing)


here = Metrics()
"""Of this process: what its edges, its workers and its clock count in."""


class _Standing(Collector):
    """Figures as gauges."""

    def __init__(self, figures: Callable[[], Figures], *, feeds: bool) -> None:
        self._figures = figures
        self._feeds = feeds

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        try:
            now = self._figures()
        except Exception:  # noqa: BLE001 the database may be away: what the process counted is still worth reading
            _log.exception("the figures for /metrics cannot be read")
            yield GaugeMetricFamily("holdfast_figures_up", "1 where the figures below could be read.", 0)
            return
        yield GaugeMetricFamily("holdfast_figures_up", "1 where the figures below could be read.", 1)
        yield GaugeMetricFamily("holdfast_inbox_pending", "Things heard and not yet answered.", now.inbox_pending)
        yield _age("holdfast_inbox_oldest_seconds", "Age of the oldest of them; none: absent.", now.inbox_oldest_s)
        outbox = GaugeMetricFamily("holdfast_outbox", "Deliveries by state.", labels=["state"])
        for state in _DELIVERIES:
            outbox.add_metric([state], now.outbox.get(state, 0))
        yield outbox
        known = [age for age in now.feed_ages_s.values() if age is not None]
        yield GaugeMetricFamily("holdfast_feeds", "Feeds there are.", len(now.feed_ages_s))
        silent = len(now.feed_ages_s) - len(known)
        yield GaugeMetricFamily("holdfast_feeds_silent", "Feeds that brought nothing yet.", silent)
        yield _age("holdfast_feed_oldest_seconds", "Age of what the oldest feed says.", max(known, default=None))
        if self._feeds:
            ages = GaugeMetricFamily("holdfast_feed_age_seconds", "Age of what a feed says.", labels=["feed"])
            for feed, age in sorted(now.feed_ages_s.items()):
                if age is not None:
                    ages.add_metric([feed], age)
            yield ages
        yield _age("holdfast_swept_seconds", "Since the last sweep.", now.swept_s)
        yield GaugeMetricFamily("holdfast_ledger_rows", "Rows of evidence.", now.ledger)


def _age(name: str, about: str, seconds: float | None) -> GaugeMetricFamily:
    """A gauge without a sample where there is nothing to tell: 0 would mean "just now"."""
    return GaugeMetricFamily(name, about, seconds)


def _known(word: str, words: frozenset[str]) -> str:
    return word if word in words else "other"
