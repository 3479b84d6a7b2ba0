"""When checks run: spread over time, and not too many at once."""

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Final
from weakref import WeakKeyDictionary

from vrrpd.config.services import Check
from vrrpd.director.checks.probe import CheckFailed, prepare, probe
from vrrpd.director.checks.verdict import Verdict
from vrrpd.protocol.advert import IPAddress

log = logging.getLogger(__name__)

ATTEMPTS_MAX: Final = 2048
"""Attempts of all checkers that run at the same time; further ones wait, before their `connect_timeout` begins. A rack
that does not answer holds up as many attempts as it has servers, and must not hold up the others."""
JITTER: Final = 0.05
"""By what part of itself `delay_loop` is longer or shorter, so that checks which began together drift apart."""

_slots: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()
_told: set[tuple[type[Check], type[BaseException]]] = set()
"""Mistakes of ours that are in the log with their traceback: 5,000 checkers may make the same."""


class Checker(Verdict):
    """Runs one check of one real server, from `start` on.

    Args:
        loop: is to run it.
        check: how to ask, and how often.
        address: the real server's.
        port: likewise.
        changed: is called when `up` or `weight` has changed.
        alpha: it counts as failed until an attempt has found it well.
    """

    def __init__(  # noqa: PLR0913
        self,
        loop: asyncio.AbstractEventLoop,
        check: Check,
        address: IPAddress,
        port: int,
        changed: Callable[["Checker"], None],
        *,
        alpha: bool,
    ) -> None:
        super().__init__(check, alpha=alpha)
        self.address = address
        self.port = port
        self._loop = loop
        self._changed = changed
        self._started = False
        self._suspended = False
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[int | None] | None = None

    def start(self) -> None:
        """Begin after a random part of the warm-up."""
        prepare(self.check)  # now, rather than while other checks run
        self._started = True
        self._warm_up()

    def suspend(self) -> None:
        """Ask nobody until `resume`; what was found last stays, and an attempt that runs is broken off."""
        self._suspended = True
        self._break_off()

    def resume(self) -> None:
        """Ask again, beginning as `start` does."""
        self._suspended = False
        self._warm_up()

    def close(self) -> None:
        """Ask no more; `changed` is not called any more."""
        self._started = False
        self._break_off()

    def _warm_up(self) -> None:
        if self._started and not self._suspended and self._timer is None and self._task is None:
            warmup = self.check.delay_loop if self.check.warmup is None else self.check.warmup
            self._timer = self._loop.call_later(random.uniform(0, warmup), self._begin)

    def _break_off(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
        self._timer = self._task = None
        self.forget_retries()

    def _begin(self) -> None:
        self._timer = None
        self._task = self._loop.create_task(self._attempt())
        self._task.add_done_callback(self._ended)

    async def _attempt(self) -> int | None:
        slots = _slots.get(self._loop)
        if slots is None:
            slots = _slots[self._loop] = asyncio.Semaphore(ATTEMPTS_MAX)
        async with slots:
            return await probe(self.check, self.address, self.port)

    def _ended(self, task: asyncio.Task[int | None]) -> None:
        """Whatever came of the attempt, another follows."""
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if task is not self._task:
            return  # it was broken off
        self._task = None
        if error is None:
            following = self.found_well(task.result())
        elif isinstance(error, CheckFailed):
            following = self.found_failed(str(error))
        else:
            self._tell(error)
            following = self.found_failed(f"the check itself failed: {error!r}")
        delay = following.delay
        if following.periodic:
            delay *= random.uniform(1 - JITTER, 1 + JITTER)
        self._timer = self._loop.call_later(delay, self._begin)
        if following.changed:
            self._changed(self)

    def _tell(self, error: BaseException) -> None:
        kind = type(self.check), type(error)
        if kind not in _told:
            _told.add(kind)
            log.error(
                "%s of %s port %s failed in a way that nobody has thought of; this is told once",
                kind[0].__name__,
                self.address,
                self.port,
                exc_info=error,
            )
