"""Deadlines on the monotonic clock, kept by one timerfd.

uvloop's `call_later` rounds to a millisecond and may fire 1.3 ms early; a BACKUP at advert_int 0.01 that fires early
takes over from a live master. A timerfd is as exact as the kernel (tens of microseconds).
"""

import asyncio
import ctypes
import heapq
import logging
import os
import time
from collections.abc import Callable

_TFD_NONBLOCK = os.O_NONBLOCK
_TFD_CLOEXEC = os.O_CLOEXEC
_TFD_TIMER_ABSTIME = 1
_libc = ctypes.CDLL(None, use_errno=True)


log = logging.getLogger(__name__)


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
WARM_UP = 0.003
"""Seconds by which the process wakes up for a first time before a deadline that is to be met exactly.

Longer than a process that slept takes to wake up and to get warm: 2 ms were seen where a virtual machine's processors
are lent to others meanwhile.
"""
HEAD_START = 0.001
"""Seconds by which it wakes up again, if it was warm by then.

What it does not sleep through, others wait for on its processor; the kernel lets them go first as soon as it has a
reason to look: the first address that is added is one, since it wakes a worker.
"""
LAST_REHEARSAL = 0.0003
"""Seconds before such a deadline from which on there is no rehearsing any more, which would end too late."""


class Deadline:
    """One timer. It is cheap to put off: only the time is noted until the old one has passed."""

    __slots__ = ("_catch_up", "_head_start", "_queued", "_rehearse", "_timers", "callback", "when")

    def __init__(
        self,
        timers: "Timers",
        callback: Callable[[], None],
        rehearse: Callable[[], None] | None = None,
        catch_up: Callable[[], None] | None = None,
    ) -> None:
        self.when: float | None = None
        """On `time.monotonic`; None: not running."""
        self.callback = callback
        self._timers = timers
        self._rehearse = rehearse
        self._catch_up = catch_up
        self._head_start = WARM_UP if rehearse else 0.0
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
        if self._catch_up:
            self._catch_up()
        if self.when is not None and self.when - self._head_start <= queued:
            return False
        self._queued = None
        if self.when is not None:
            self.at(self.when)
        return True

    def run_out(self) -> None:
        """Its entry has come up: use what is left of the time, then call back."""
        self._queued = None
        if self._rehearse:
            self._rehearse()
            if (due := self._due) is not None and time.monotonic() < due - 2 * HEAD_START:
                self._queued = due - HEAD_START
                self._timers.queue(self._queued, self)
                return
            while (due := self._due) is not None and time.monotonic() < due - LAST_REHEARSAL:
                self._timers.keep_time()
                self._rehearse()
        if (due := self._due) is None:
            return
        while time.monotonic() < due:
            pass
        self.when = None
        self.callback()

    @property
    def _due(self) -> float | None:
        """When it runs out; None: it was cancelled or put off since its entry came up."""
        return self.when if self._queued is None else None


class Metronome:
    """Wakes everything that waits for the next multiple of one interval, all at once."""

    def __init__(self, timers: "Timers", interval: float) -> None:
        self.interval = interval
        """Seconds."""
        self.waiting: list[Beat] = []
        self._deadline = timers.deadline(self._beat)

    def keep_time(self, now: float) -> None:
        """Beat, if that is due, though the entry in the queue has not come up."""
        if self._deadline.when is not None and self._deadline.when <= now:
            self._deadline.cancel()
            self._beat()

    def join(self, beat: "Beat") -> None:
        """Wake it next time."""
        self.waiting.append(beat)
        if self._deadline.when is None:
            self._deadline.at((time.monotonic() // self.interval + 1) * self.interval)

    def _beat(self) -> None:
        due, self.waiting = self.waiting, []
        for beat in due:
            try:
                beat.run_out(due)
            except Exception:  # one must not take the others along
                log.exception("a timer failed; please report this")


class Beat:
    """A timer that runs out at a multiple of its interval, together with all others of that interval."""

    __slots__ = ("_callback", "_metronome", "_timers", "_waiting_in")

    def __init__(self, timers: "Timers", callback: Callable[[], None]) -> None:
        self._timers = timers
        self._callback = callback
        self._metronome: Metronome | None = None
        self._waiting_in: list[Beat] | None = None

    def after(self, interval: float) -> None:
        """Run out at the next multiple of `interval` seconds, whatever was set before."""
        metronome = self._metronome
        if metronome is None or metronome.interval != interval:
            metronome = self._metronome = self._timers.metronome(interval)
        if self._waiting_in is not metronome.waiting:
            self._waiting_in = metronome.waiting
            metronome.join(self)

    def cancel(self) -> None:
        """Do not run out."""
        self._waiting_in = None

    def run_out(self, due: list["Beat"]) -> None:
        """Call back if it waits among those that are `due`; for `Metronome` alone."""
        if self._waiting_in is due:
            self._waiting_in = None
            self._callback()


class Timers:
    """All deadlines of a process.

    Args:
        loop: the running one.
        woke: told of each wake-up, before any deadline runs out: by how many seconds it was late.

    Raises:
        OSError: the kernel has no timerfd for us.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, woke: Callable[[float], None] = lambda _: None) -> None:
        self._loop = loop
        self._woke = woke
        self._heap: list[tuple[float, int, Deadline]] = []
        self._count = 0
        self._metronomes: dict[float, Metronome] = {}
        self._armed: float | None = None
        self._fd = _libc.timerfd_create(time.CLOCK_MONOTONIC, _TFD_NONBLOCK | _TFD_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create: " + os.strerror(ctypes.get_errno()))
        loop.add_reader(self._fd, self._expired)

    def deadline(
        self,
        callback: Callable[[], None],
        *,
        rehearse: Callable[[], None] | None = None,
        catch_up: Callable[[], None] | None = None,
    ) -> Deadline:
        """A timer that is not running yet.

        Args:
            callback: what to do when it runs out.
            rehearse: for what happens rarely and must be done fast and to the point. It is called once, `WARM_UP`
                before, and from `HEAD_START` before over and over, to have the code and the kernel's side of it in the
                processor's caches.
            catch_up: called before it is decided whether it has run out: it may be put off by what was only noted.
        """
        return Deadline(self, callback, rehearse, catch_up)

    def beat(self, callback: Callable[[], None]) -> Beat:
        """A timer that is not running yet and shares its wake-ups with others of its interval."""
        return Beat(self, callback)

    def metronome(self, interval: float) -> Metronome:
        """The one for that interval, in seconds; for `Beat` alone."""
        if interval not in self._metronomes:
            self._metronomes[interval] = Metronome(self, interval)
        return self._metronomes[interval]

    def keep_time(self) -> None:
        """Let those beat that are due, before anything else: 255 takeovers in a row take longer than peers wait."""
        now = time.monotonic()
        for metronome in [*self._metronomes.values()]:
            metronome.keep_time(now)

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
        armed, self._armed = self._armed, 0.0  # nothing is earlier, so that callbacks do not arm it over and over
        try:
            if armed is not None:
                self._woke(time.monotonic() - armed)
        except Exception:  # the timers must go on whatever it was
            log.exception("looking at what has happened meanwhile failed; please report this")
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
            self.keep_time()
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
