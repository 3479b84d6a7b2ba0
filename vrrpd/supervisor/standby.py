"""A speaker that waits for the other one to die, so that it can begin in that moment."""

import logging
import os
import selectors
import signal
import time
from collections.abc import Callable

from vrrpd.supervisor.child import Child

log = logging.getLogger(__name__)

RENEWAL_DELAY = 1.0
"""Seconds from a reload, or a standby's death, to a standby that is ready for what is configured."""


class Standby:
    """Forked and ready, or to be so soon.

    Args:
        selector: the supervisor's.
        fork: makes a speaker that waits.
    """

    def __init__(self, selector: selectors.BaseSelector, fork: Callable[[], Child]) -> None:
        self.child: Child | None = None
        self.due: float | None = None
        """When another is to take its place, on `time.monotonic`."""
        self._selector = selector
        self._fork = fork

    def keep(self) -> None:
        """Have one, if there is none."""
        if self.child:
            return
        try:
            child = self.child = self._fork()
            self._selector.register(child.pidfd, selectors.EVENT_READ, self._died)
        except OSError as error:
            log.warning("cannot fork a standby, so that a crash will take longer to mend: %s", error.strerror)
            self.renew_soon()

    def take(self) -> Child | None:
        """The one that waits, which is to begin now; None: there is none."""
        child, self.child = self.child, None
        if child:
            self._selector.unregister(child.pidfd)
        return child

    def renew_soon(self) -> None:
        """Another is to take its place: this one is ready for what was configured before."""
        self.due = time.monotonic() + RENEWAL_DELAY

    def dismiss(self) -> None:
        """Have none."""
        self.due = None
        if child := self.take():
            os.kill(child.pid, signal.SIGKILL)  # it holds nothing
            os.waitpid(child.pid, 0)
            child.close()

    def _died(self) -> None:
        if self.child:
            log.warning("standby %d died; starting another", self.child.pid)
            self.dismiss()
            self.renew_soon()
