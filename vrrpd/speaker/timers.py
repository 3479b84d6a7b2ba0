"""Deadlines on the monotonic clock, kept by one timerfd.

uvloop's `call_later` rounds to a millisecond and may fire 1.3 ms early; a BACKUP at advert_int 0.01 that fires early
takes over from a live master. A timerfd is as exact as the kernel (tens of microseconds).
"""

import asyncio
import ctypes
import heapq
import os
import time
from collections.abc import Callable

_TFD_NONBLOCK = os.O_NONBLOCK
_TFD_CLOEXEC = os.O_CLOEXEC
_TFD_TIMER_ABSTIME = 1
_libc = ctypes.CDLL(None, use_errno=True)


class _Itimerspec(ctypes.Structure):
    """struct itimerspec with its two struct timespec, as timerfd_settime(2) has it."""

    _fields_ = (
        ("interval_seconds", ctypes.c_long),
        ("interval_nanoseconds", ctypes.c_long),
        ("seconds", ctypes.c_long),
        ("nanoseconds", ctypes.c_long),
    )


class Deadline:
    """One timer. It is cheap to put off: only the time is noted until the old one has passed."""

    __slots__ = ("_queued", "_timers", "callback", "lateness", "when")

    def __init__(self, timers: "Timers", callback: Callable[[], None]) -> None:
        self.when: float | None = None
        """On `time.monotonic`; None: not running."""
        self.lateness = 0.0
        """Seconds from `when` to the last call of `callback`."""
        self.callback = callback
        self._timers = timers
        self._queued: float | None = None

    def at(self, when: float) -> None:
        """Run out at `when`, whatever was set before."""
        self.when = when
        if self._queued is None or when < self._queued:
            self._queued = when
            self._timers.queue(when, self)

    def cancel(self) -> None:
        """Do not run out."""
        self.when = None

    def due(self, queued: float) -> bool:
        """Whether the entry of that time is this timer's current one and its time has really come."""
        if self._queued != queued:
            return False  # a later call of `at` with an earlier time has its own entry
        self._queued = None
        if self.when is None:
            return False
        if self.when > queued:
            self.at(self.when)
            return False
        return True


class Timers:
    """All deadlines of a process.

    Raises:
        OSError: the kernel has no timerfd for us.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._heap: list[tuple[float, int, Deadline]] = []
        self._count = 0
        self._armed: float | None = None
        self._fd = _libc.timerfd_create(time.CLOCK_MONOTONIC, _TFD_NONBLOCK | _TFD_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create: " + os.strerror(ctypes.get_errno()))
        loop.add_reader(self._fd, self._expired)

    def deadline(self, callback: Callable[[], None]) -> Deadline:
        """A timer that is not running yet."""
        return Deadline(self, callback)

    def queue(self, when: float, deadline: Deadline) -> None:
        """Look at `deadline` again at `when`; for `Deadline` alone."""
        self._count += 1
        heapq.heappush(self._heap, (when, self._count, deadline))
        if self._armed is None or when < self._armed:
            self._arm(when)

    def close(self) -> None:
        """Forget every deadline."""
        self._loop.remove_reader(self._fd)
        os.close(self._fd)
        self._heap.clear()

    def _expired(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return
        self._armed = None
        heap = self._heap
        now = time.monotonic()
        while heap and heap[0][0] <= now:
            queued, _, deadline = heapq.heappop(heap)
            if deadline.due(queued):
                deadline.lateness = now - queued
                deadline.when = None
                deadline.callback()
                now = time.monotonic()
        if heap:
            self._arm(heap[0][0])

    def _arm(self, when: float) -> None:
        self._armed = when
        nanoseconds = max(1, int(when * 1e9) + 1)  # zero would disarm; rounded up, so that it never fires early
        spec = _Itimerspec(0, 0, nanoseconds // 1_000_000_000, nanoseconds % 1_000_000_000)
        if _libc.timerfd_settime(self._fd, _TFD_TIMER_ABSTIME, ctypes.byref(spec), None):
            raise OSError(ctypes.get_errno(), "timerfd_settime: " + os.strerror(ctypes.get_errno()))
