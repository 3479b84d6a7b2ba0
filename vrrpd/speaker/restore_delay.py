"""How long an address stays away that somebody has deleted, or that the kernel refuses."""

FIRST = 0.01
LONGEST = 30.0
"""Seconds; doubled each time, so that two who want different things do not flood the link."""
FORGIVEN_AFTER = 60.0
"""Seconds without a deletion after which the next one counts as the first."""


class RestoreDelay:
    """That of the addresses of one router."""

    def __init__(self) -> None:
        self.seconds = FIRST
        """The next one."""
        self._last_deletion = 0.0

    def deleted(self, now: float) -> None:
        """An address was deleted, at that time on `time.monotonic`."""
        if now - self._last_deletion > FORGIVEN_AFTER:
            self.seconds = FIRST
        self._last_deletion = now

    def take(self) -> float:
        """It is waited for now; the next one is longer."""
        taken, self.seconds = self.seconds, min(self.seconds * 2, LONGEST)
        return taken
