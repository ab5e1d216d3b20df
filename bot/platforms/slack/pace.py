"""How fast we may write: one message a second in each channel, so many in all, and silence as long as Slack asked for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable

SPACING_S = 1.02
"""Between two messages in one channel: Slack's limit is one a second; the rest is for clocks and the way there."""
PER_S = 20.0
"""Messages in all, in one second."""
_BURST_S = 0.25


class Pace:
    """The limits of one process, by a clock that only goes forward. Safe to use from many threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._free_at: dict[Hashable, float] = {}
        self._closed_until: dict[Hashable, float] = {}
        self._all_free_at = 0.0

    def wait_s(self, lane: Hashable) -> float:
        """Seconds until a message may go there; 0 when it may go now."""
        with self._lock:
            return self._wait(lane, self._clock())

    def reserve(self, lane: Hashable, longest_s: float) -> float | None:
        """Take the lane's next turn: the seconds to wait until it comes, or None (nothing taken) where that is too long."""
        with self._lock:
            now = self._clock()
            wait = self._wait(lane, now)
            if wait > longest_s:
                return None
            self._free_at[lane] = now + wait + SPACING_S
            self._all_free_at = max(self._all_free_at, now) + 1 / PER_S
            return wait

    def close(self, what: Hashable, seconds: float) -> None:
        """Slack said to wait: nothing goes there until then."""
        with self._lock:
            now = self._clock()
            self._closed_until = {key: until for key, until in self._closed_until.items() if until > now}
            self._closed_until[what] = max(self._closed_until.get(what, 0.0), now + seconds)

    def closed_s(self, what: Hashable) -> float:
        """Seconds for which Slack asked us to stay silent there; 0 when it did not."""
        with self._lock:
            return max(0.0, self._closed_until.get(what, 0.0) - self._clock())

    def _wait(self, lane: Hashable, now: float) -> float:
        return max(0.0, self._free_at.get(lane, 0.0) - now, self._all_free_at - now - _BURST_S)
