"""What follows changes that come in bursts."""

import asyncio
from collections.abc import Callable


class Debounced:
    """Something that is done after a change: after the first one at once, after those that follow soon together.

    Args:
        loop: the one that runs.
        action: does it, and says so by `begin`.
        interval: seconds from one time to the next.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, action: Callable[[], None], interval: float) -> None:
        self._loop = loop
        self._action = action
        self._interval = interval
        self._timer: asyncio.TimerHandle | None = None
        self._began_at = float("-inf")

    def soon(self) -> None:
        """Something has changed."""
        if self._timer is None:
            self.after(max(0.0, self._began_at + self._interval - self._loop.time()))

    def after(self, delay: float, action: Callable[[], None] | None = None) -> None:
        """Do it that many seconds from now, or what leads to it, in place of what was to come."""
        self.cancel()
        self._timer = self._loop.call_later(delay, action or self._action)

    def begin(self) -> None:
        """It is being done, for whatever reason; what was to come is done with it."""
        self.cancel()
        self._began_at = self._loop.time()

    def cancel(self) -> None:
        """Do nothing any more until something changes."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
