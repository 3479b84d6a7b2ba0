"""Logging what others send us, without letting them fill the log."""

from collections.abc import Hashable

PAUSE = 60.0
"""Seconds before the same thing is told again; the counters go on meanwhile."""
LINES_MAX = 256
"""Things told within a pause: who invents ever new senders must not fill the log either."""


class RateLimit:
    """Remembers what was told when."""

    def __init__(self) -> None:
        self._told: dict[Hashable, float] = {}

    def allows(self, subject: Hashable, now: float) -> bool:
        """Whether `subject` may be told at `now` (seconds, monotonic); if so, it counts as told."""
        told = self._told.get(subject)
        if told is not None and now - told < PAUSE:
            return False
        self._told.pop(subject, None)
        while self._told and now - next(iter(self._told.values())) >= PAUSE:  # in the order in which they were told
            del self._told[next(iter(self._told))]
        if len(self._told) >= LINES_MAX:
            return False
        self._told[subject] = now
        return True
