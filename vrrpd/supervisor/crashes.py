"""When a speaker that keeps dying is no longer replaced at once."""

import time
from collections import deque

CRASHES_TOLERATED = 5
CRASH_WINDOW = 10.0
"""Seconds. More crashes than tolerated within them are a loop."""
CRASH_LOOP_PAUSE = 10.0
CRASH_LOOP_PAUSE_MAX = 300.0
"""Seconds without a speaker in a crash loop; doubled each time."""
STABLE_AFTER = 60.0
"""Seconds that a speaker must have lived for the loop to be over."""


class Crashes:
    """Those of one kind of process, and how long to do without it."""

    def __init__(self) -> None:
        self.count = 0
        self._recent: deque[float] = deque(maxlen=CRASHES_TOLERATED)
        self._pause = CRASH_LOOP_PAUSE

    def add(self, born: float) -> float:
        """One has died; returns how long to wait, in seconds, before another starts: 0 unless this is a loop.

        Args:
            born: when it began, on `time.monotonic`.
        """
        now = time.monotonic()
        self.count += 1
        self._recent.append(now)
        if now - born > STABLE_AFTER:
            self._pause = CRASH_LOOP_PAUSE
        if len(self._recent) < CRASHES_TOLERATED or now - self._recent[0] >= CRASH_WINDOW:
            return 0.0
        pause, self._pause = self._pause, min(2 * self._pause, CRASH_LOOP_PAUSE_MAX)
        return pause
