"""Logging what others send us, without letting them fill the log."""

from collections.abc import Hashable

PAUSE = 60.0
"""Seconds before the same thing is told again; the counters go on meanwhile."""
SUBJECTS_MAX = 1024


class RateLimit:
    """Remembers what was told when."""

    def __init__(self) -> None:
        self._told: dict[Hashable, float] = {}

    def allows(self, subject: Hashable, now: float) -> bool:
        """Whether `subject` may be told at `now` (seconds, monotonic); if so, it counts as told."""
        told = self._told.get(subject)
        if told is not None and now - told < PAUSE:
            return False
        if len(self._told) >= SUBJECTS_MAX:
            self._told.clear()
        self._told[subject] = now
        return True
