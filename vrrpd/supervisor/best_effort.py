"""A child that nobody waits for: started, started again when it dies, told things when it reads, and stopped last."""

import logging
import os
import select
import selectors
import signal
import socket
import time
from collections.abc import Callable
from functools import partial

from vrrpd.channel import Answer, Message, Ping, Stop, pack
from vrrpd.supervisor.child import EXIT_FAILED, Child
from vrrpd.supervisor.requests import Answered, Requests

log = logging.getLogger(__name__)

STOP_TIMEOUT = 15.0
"""Seconds that it gets to clear away before it is killed."""
ANSWER_TIMEOUT = 2.0
"""Seconds that a status or a reload waits for it; it may be busy."""
UNSENT_MAX = 1 << 28
"""Bytes that may wait for it; a configuration with 5,000 virtual servers has some millions."""
RESTART_DELAY = 1.0
"""Seconds until one that died is followed by another; doubled each time."""
RESTART_DELAY_MAX = 60.0
STABLE_AFTER = 60.0
"""Seconds that one must have lived for the delay to begin anew."""

PING_INTERVAL = 10.0
HANGS_AFTER = 45.0
"""Seconds without an answer after which one is taken to hang, and is killed: as another starts, nothing is lost."""


class BestEffort:
    """One such child, seen from the supervisor.

    Args:
        what: what to call it in the log.
        selector: the supervisor's.
        let_go: closes in a child what is the parent's.
        said: takes what it says, but for answers.
    """

    restart_delay = RESTART_DELAY
    meanwhile = "everything stays as it is"
    """What the death of one comes to."""

    def __init__(
        self, what: str, selector: selectors.BaseSelector, let_go: Callable[[], None], said: Callable[[Message], None]
    ) -> None:
        self.child: Child | None = None
        self.restarts = 0
        self.what = what
        self._selector = selector
        self._let_go = let_go
        self._said = said
        self._start_at: float | None = None
        self._kill_at: float | None = None
        self._delay = self.restart_delay
        self._stopped: Callable[[int], None] | None = None
        self._ping_at: float | None = None
        self._heard_at = 0.0
        self._requests = Requests(ANSWER_TIMEOUT)
        self._unsent = bytearray()

    def work(self, channel: socket.socket) -> int:
        """In the child: do what it is there for; returns the exit code. What only it needs is imported here.

        What the parent knows when it forks, the child knows as well, and need not be told.
        """
        raise NotImplementedError

    @property
    def due(self) -> float | None:
        """When `do_what_is_due` has something to do, on `time.monotonic`."""
        times = (self._start_at, self._kill_at, self._ping_at, self._requests.due)
        return min((when for when in times if when is not None), default=None)

    def do_what_is_due(self, now: float) -> None:
        """Start, kill, give up waiting."""
        if self._start_at is not None and now >= self._start_at:
            self.start()
        if self._kill_at is not None and now >= self._kill_at and self.child:
            self._kill_at = None
            log.error("the %s did not stop within %g s; killing it", self.what, STOP_TIMEOUT)
            os.kill(self.child.pid, signal.SIGKILL)
        if self._ping_at is not None and now >= self._ping_at and self.child:
            self._ping_at = now + PING_INTERVAL
            if now - self._heard_at > HANGS_AFTER and not self._readable():
                log.error("%s %d has not answered for %g s; killing it", self.what, self.child.pid, HANGS_AFTER)
                os.kill(self.child.pid, signal.SIGKILL)
            else:
                self.ask(Ping, lambda _: None)
        self._requests.give_up(now)

    @property
    def wanted(self) -> bool:
        """Whether it is there, or will be again."""
        return self.child is not None or self._start_at is not None

    def start(self) -> None:
        """Fork it, unless it is there already."""
        self._start_at = None
        if self.child:
            return
        try:
            child = self.child = Child.fork(self.what, self._become)
        except OSError as error:
            log.error("cannot fork the %s: %s; next try in %g s", self.what, error.strerror, self._delay)  # noqa: TRY400
            self._again_later()
            return
        child.channel.setblocking(False)
        self._selector.register(child.channel, selectors.EVENT_READ, partial(self._serve, child))
        self._selector.register(child.pidfd, selectors.EVENT_READ, partial(self._died, child))
        self._unsent.clear()
        self._heard_at = time.monotonic()
        self._ping_at = self._heard_at + PING_INTERVAL

    def stop(self, stopped: Callable[[int], None]) -> None:
        """Have it clear away and end; `stopped` is called with its exit code when it has.

        One that died a moment ago is started again for that.
        """
        if self._start_at is not None:
            self.start()
        self._start_at, self._stopped = None, stopped
        if self.child is None:
            stopped(0)
            return
        self._kill_at = time.monotonic() + STOP_TIMEOUT
        self.tell(Stop())

    def dismiss(self) -> None:
        """Have it be gone at once: it has nothing to clear away."""
        self._start_at = self._kill_at = self._ping_at = None
        if child := self.child:
            self.child = None
            for end in (child.channel, child.pidfd):
                if end in self._selector.get_map():
                    self._selector.unregister(end)
            os.kill(child.pid, signal.SIGKILL)
            os.waitpid(child.pid, 0)
            child.close()
        self._requests.give_up()

    def ask(self, message: Callable[[int], Message], answered: Answered) -> None:
        """Tell it what wants an answer, with a number of its own."""
        if self.child is None:
            answered(None)
            return
        self.tell(message(self._requests.begin(answered)))

    def tell(self, message: Message) -> None:
        """Now, or when it reads: the supervisor has others to see to."""
        if self.child is None:
            return
        self._unsent += pack(message)
        if len(self._unsent) > UNSENT_MAX:
            log.error("%s %d does not listen; killing it", self.what, self.child.pid)
            os.kill(self.child.pid, signal.SIGKILL)
            self._unsent.clear()
        self._send()

    def _send(self) -> None:
        assert self.child
        try:
            while self._unsent:
                del self._unsent[: self.child.channel.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError as error:  # it has died, which its pidfd tells
            log.debug("%s %d: %s", self.what, self.child.pid, error)
            self._unsent.clear()
        if self.child.channel in self._selector.get_map():
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._unsent else 0)
            self._selector.modify(self.child.channel, events, partial(self._serve, self.child))

    def _readable(self) -> bool:
        """Whether it has said something that was not read yet, as when we could not run ourselves."""
        return bool(self.child and select.select([self.child.channel], [], [], 0)[0])

    def _become(self, channel: socket.socket) -> None:
        code = EXIT_FAILED
        try:
            self._let_go()
            code = self.work(channel)
        except BaseException:
            log.exception("the %s failed; please report this", self.what)
        finally:
            os._exit(code)

    def _serve(self, child: Child) -> None:
        """Its channel can be read, or written to, unless it was dismissed in this very round of the loop."""
        if child is not self.child:
            return
        if self._unsent:
            self._send()
        self._says(child)

    def _says(self, child: Child) -> None:
        try:
            data = child.channel.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._selector.unregister(child.channel)
        self._heard_at = time.monotonic()
        for message in child.inbox.feed(data):
            if isinstance(message, Answer):
                self._requests.answer(message)
            else:
                self._said(message)

    def _died(self, child: Child) -> None:
        if child is not self.child:
            return
        child.channel.setblocking(True)
        while child.channel in self._selector.get_map():  # what it said before it died
            self._says(child)
        _, status = os.waitpid(child.pid, 0)
        self._selector.unregister(child.pidfd)
        child.close()
        self.child, self._kill_at, self._ping_at = None, None, None
        self._requests.give_up()
        code = os.waitstatus_to_exitcode(status)
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
        if stopped := self._stopped:
            if code:
                log.error("%s %d %s while it was to clear away: something may stay", self.what, child.pid, how)
            self._stopped = None
            stopped(code)
            return
        self.restarts += 1
        if time.monotonic() - child.born > STABLE_AFTER:
            self._delay = self.restart_delay
        log.error("%s %d %s: %s; another starts in %g s", self.what, child.pid, how, self.meanwhile, self._delay)
        self._again_later()
        self.died()

    def died(self) -> None:
        """It has, and another is to come: who depends on it may be told."""

    def _again_later(self) -> None:
        self._start_at = time.monotonic() + self._delay
        self._delay = min(2 * self._delay, RESTART_DELAY_MAX)
