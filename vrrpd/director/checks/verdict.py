"""What to believe of a real server after each attempt, and when to ask again; knows no clock."""

from msgspec import Struct

from vrrpd.config.services import Check


class Next(Struct, frozen=True):
    """What follows from an attempt."""

    delay: float
    """Seconds until the next one."""
    periodic: bool
    """Whether it is the usual one rather than that before a retry."""
    changed: bool
    """Whether `up` or `weight` is another than before."""


class Verdict:
    """What one check thinks of one real server.

    Args:
        check: how often to ask before a failure is believed.
        alpha: the real server counts as failed until an attempt has found it well.
    """

    def __init__(self, check: Check, *, alpha: bool) -> None:
        self.check = check
        self.up = not alpha
        self.weight: int | None = None
        """What the check has given it last; None: it gives none."""
        self.reason = ""
        """Why the last attempt failed; empty if it did not."""
        self.checked = 0
        """Attempts so far."""
        self.failed = 0
        """Those of them that failed."""
        self._retries = 0

    def found_well(self, weight: int | None) -> Next:
        """An attempt succeeded. Without a weight the last one holds, as keepalived has it."""
        before = self.up, self.weight
        self.checked += 1
        self.up = True
        self.reason = ""
        self.forget_retries()
        if weight is not None:
            self.weight = weight
        return Next(self.check.delay_loop, periodic=True, changed=before != (self.up, self.weight))

    def found_failed(self, reason: str) -> Next:
        """An attempt failed: one that is up is asked again soon, until `retry` further attempts have failed, too."""
        self.checked += 1
        self.failed += 1
        self.reason = reason
        if self.up and self._retries < self.check.retry:
            self._retries += 1
            return Next(self.check.delay_before_retry, periodic=False, changed=False)
        changed = self.up
        self.up = False
        self.forget_retries()
        return Next(self.check.delay_loop, periodic=True, changed=changed)

    def forget_retries(self) -> None:
        """What failed long ago does not count with what fails next."""
        self._retries = 0
