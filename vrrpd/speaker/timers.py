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


PUT_OFF_MARGIN = 0.005
"""Seconds that a wake-up looks ahead for deadlines that were put off: they then need no wake-up of their own."""
HEAD_START = 0.0002
"""Seconds by which the process wakes up before a deadline that is to be met exactly; longer than waking up takes."""


class Deadline:
    """One timer. It is cheap to put off: only the time is noted until the old one has passed."""

    __slots__ = ("_head_start", "_queued", "_timers", "callback", "lateness", "when")

    def __init__(self, timers: "Timers", callback: Callable[[], None], head_start: float) -> None:
        self.when: float | None = None
        """On `time.monotonic`; None: not running."""
        self.lateness = 0.0
        """Seconds from `when` to the last call of `callback`."""
        self.callback = callback
        self._timers = timers
        self._head_start = head_start
        self._queued: float | None = None

    def at(self, when: float) -> None:
        """Run out at `when`, whatever was set before."""
        self.when = when
        if self._queued is None or when - self._head_start < self._queued:
            self._queued = when - self._head_start
            self._timers.queue(self._queued, self)

    def cancel(self) -> None:
        """Do not run out."""
        self.when = None

    def stale(self, queued: float) -> bool:
        """Whether the entry of that time is not, or no longer, the one to run out by; if so, it may be dropped."""
        if self._queued != queued:
            return True  # a later call of `at` with an earlier time has its own entry
        if self.when is not None and self.when - self._head_start <= queued:
            return False
        self._queued = None
        if self.when is not None:
            self.at(self.when)
        return True

    def run_out(self) -> None:
        """Its entry has come up: wait for what is left of the time, then call back."""
        assert self.when is not None
        while (now := time.monotonic()) < self.when:
            pass
        self.lateness = now - self.when
        self._queued = self.when = None
        self.callback()


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

    def deadline(self, callback: Callable[[], None], *, exact: bool = False) -> Deadline:
        """A timer that is not running yet.

        Args:
            callback: what to do when it runs out.
            exact: spend processor time, at most `HEAD_START`, on being punctual; for what happens rarely.
        """
        return Deadline(self, callback, HEAD_START if exact else 0.0)

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
        self._armed = 0.0  # nothing is earlier, so that callbacks do not arm it over and over
        try:
            self._run_what_is_due()
        finally:
            self._armed = None
            if self._heap:
                self._arm(self._heap[0][0])

    def _run_what_is_due(self) -> None:
        heap = self._heap
        now = time.monotonic()
        while heap and heap[0][0] <= now + PUT_OFF_MARGIN:
            queued, _, deadline = heap[0]
            if deadline.stale(queued):
                heapq.heappop(heap)
            elif queued <= now:
                heapq.heappop(heap)
                deadline.run_out()
                now = time.monotonic()
            else:
                break

    def _arm(self, when: float) -> None:
        self._armed = when
        nanoseconds = max(1, int(when * 1e9) + 1)  # zero would disarm; rounded up, so that it never fires early
        spec = _Itimerspec(0, 0, nanoseconds // 1_000_000_000, nanoseconds % 1_000_000_000)
        if _libc.timerfd_settime(self._fd, _TFD_TIMER_ABSTIME, ctypes.byref(spec), None):
            raise OSError(ctypes.get_errno(), "timerfd_settime: " + os.strerror(ctypes.get_errno()))
