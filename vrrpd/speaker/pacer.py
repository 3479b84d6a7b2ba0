"""The pace of announcements that can wait: few frames at a time, so that adverts go in between."""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Protocol

from vrrpd.speaker.timers import Timers
from vrrpd.speaker.vips import Vip

BURST = 16
"""Frames at a time; about 0.1 ms."""
BURST_PAUSE = 0.001
"""Seconds between two bursts."""


class Sender(Protocol):
    """Announces the addresses of one router."""

    def send(self, vip: Vip) -> None:
        """Announce one address now, if it is here."""


class Pacer:
    """Sends the frames that can wait, of all routers in turn."""

    def __init__(self, timers: Timers) -> None:
        self._queue: deque[tuple[Sender, Iterator[Vip]]] = deque()
        self._next_burst = timers.deadline(self._send_burst)

    def add(self, announcer: Sender, vips: Iterable[Vip]) -> None:
        """Announce these addresses as soon as the pace allows."""
        self._queue.append((announcer, iter(vips)))
        if self._next_burst.when is None:
            self._next_burst.at(time.monotonic() + BURST_PAUSE)

    def owes(self, announcer: Sender) -> bool:
        """Whether announcements of that router wait."""
        return any(sender is announcer for sender, _ in self._queue)

    def forget(self, announcer: Sender) -> None:
        """Announce nothing more of that router."""
        self._queue = deque(entry for entry in self._queue if entry[0] is not announcer)

    def _send_burst(self) -> None:
        left = BURST
        while self._queue and left:
            announcer, vips = self._queue[0]
            vip = next(vips, None)
            if vip is None:
                self._queue.popleft()
                continue
            announcer.send(vip)
            left -= 1
        if self._queue:
            self._next_burst.at(time.monotonic() + BURST_PAUSE)
