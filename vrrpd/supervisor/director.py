"""Starts the director where there are virtual servers, keeps it running, and stops it last."""

import logging
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from vrrpd.channel import Answer, Apply, BeginDirecting, Holds, Message, Stop, TellStatus, pack
from vrrpd.config.model import Config
from vrrpd.ledger import RouterKey
from vrrpd.supervisor.child import EXIT_FAILED, Child

log = logging.getLogger(__name__)

STOP_TIMEOUT = 15.0
"""Seconds that a director gets to clear away before it is killed."""
ANSWER_TIMEOUT = 2.0
"""Seconds that a status or a reload waits for it; it may be busy with a large table."""
UNSENT_MAX = 1 << 28
"""Bytes that may wait for it; a configuration with 5,000 virtual servers has some millions."""
RESTART_DELAY = 1.0
RESTART_DELAY_MAX = 60.0
"""Seconds until one that died is followed by another; doubled each time."""
STABLE_AFTER = 60.0
"""Seconds that one must have lived for the delay to begin anew."""

Answered = Callable[[dict[str, Any] | None], None]
"""Takes what the director answers; None: nothing, for it is busy or dead."""


class Directing:
    """The director, seen from the supervisor.

    Args:
        selector: the supervisor's.
        let_go: closes in a child what is the parent's.
        said: takes what the director says, but for answers.
    """

    def __init__(
        self, selector: selectors.BaseSelector, let_go: Callable[[], None], said: Callable[[Message], None]
    ) -> None:
        self.child: Child | None = None
        self.restarts = 0
        self._selector = selector
        self._let_go = let_go
        self._said = said
        self._config: Config | None = None
        self._held: frozenset[RouterKey] = frozenset()
        self._news: set[RouterKey] = set()
        """The routers of which the present speaker has said whether they hold their addresses."""
        self._start_at: float | None = None
        self._kill_at: float | None = None
        self._delay = RESTART_DELAY
        self._stopped: Callable[[], None] | None = None
        self._waiting: dict[int, tuple[float, Answered]] = {}
        self._requests = 0
        self._unsent = bytearray()

    @property
    def due(self) -> float | None:
        """When `do_what_is_due` has something to do, on `time.monotonic`."""
        times = [when for when in (self._start_at, self._kill_at) if when is not None]
        return min([*times, *(when for when, _ in self._waiting.values())], default=None)

    def do_what_is_due(self, now: float) -> None:
        """Start, kill, give up waiting."""
        if self._start_at is not None and now >= self._start_at:
            self._start_at = None
            self._start()
        if self._kill_at is not None and now >= self._kill_at and self.child:
            self._kill_at = None
            log.error("the director did not stop within %g s; killing it: virtual servers may stay", STOP_TIMEOUT)
            os.kill(self.child.pid, signal.SIGKILL)
        for request in [request for request, (when, _) in self._waiting.items() if now >= when]:
            _, answered = self._waiting.pop(request)
            answered(None)

    def configure(self, config: Config, answered: Answered = lambda _: None) -> None:
        """This is the configuration now; a director is started when there is something to direct."""
        self._config = config
        if self.child:
            self._ask(lambda request: Apply(request, config), answered)
            return
        if config.virtual_servers and self._start_at is None:
            self._start()
        answered({})

    def hold(self, message: Holds) -> None:
        """A router holds its addresses now, or does not any more."""
        self._news.add(message.router)
        self._held = self._held | {message.router} if message.holds else self._held - {message.router}
        self._tell(message)

    def hear_news(self) -> None:
        """Another speaker begins: of each router that holds its addresses it will say so."""
        self._news.clear()

    def hold_only_news(self) -> None:
        """It has begun: the routers that it said nothing of hold nothing any more."""
        for router in self._held - self._news:
            self.hold(Holds(router, holds=False))

    def hold_nothing(self) -> None:
        """Nobody speaks, so that the addresses are gone."""
        self.hear_news()
        self.hold_only_news()

    def status(self, answered: Answered) -> None:
        """Ask for its part of the status."""
        if self.child is None:
            answered(None)
            return
        self._ask(TellStatus, answered)

    def stop(self, stopped: Callable[[], None]) -> None:
        """Have it clear away and end; `stopped` is called when it has."""
        self._start_at = None
        self._stopped = stopped
        if self.child is None:
            stopped()
            return
        self._kill_at = time.monotonic() + STOP_TIMEOUT
        self._tell(Stop())

    def _ask(self, message: Callable[[int], Message], answered: Answered) -> None:
        assert self.child
        self._requests += 1
        self._waiting[self._requests] = time.monotonic() + ANSWER_TIMEOUT, answered
        self._tell(message(self._requests))

    def _tell(self, message: Message) -> None:
        """Now, or when it reads: it may be busy with a large table, and the supervisor has others to see to."""
        if self.child is None:
            return
        self._unsent += pack(message)
        if len(self._unsent) > UNSENT_MAX:
            log.error("director %d does not listen; killing it", self.child.pid)
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
            log.debug("director %d: %s", self.child.pid, error)
            self._unsent.clear()
        if self.child.channel in self._selector.get_map():
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._unsent else 0)
            self._selector.modify(self.child.channel, events, partial(self._serve, self.child))

    def _start(self) -> None:
        assert self._config
        try:
            child = self.child = Child.fork("director", self._become_director)
        except OSError as error:
            log.error("cannot fork a director: %s; next try in %g s", error.strerror, self._delay)  # noqa: TRY400
            self._again_later()
            return
        child.channel.setblocking(False)
        self._selector.register(child.channel, selectors.EVENT_READ, partial(self._serve, child))
        self._selector.register(child.pidfd, selectors.EVENT_READ, partial(self._died, child))
        self._unsent.clear()
        self._tell(BeginDirecting(self._config, self._held))

    def _become_director(self, channel: socket.socket) -> None:
        """In the child; what only a director needs is imported there."""
        code = EXIT_FAILED
        try:
            self._let_go()
            from vrrpd.director import process  # noqa: PLC0415

            code = process.run(channel)
        except BaseException:
            log.exception("the director failed; please report this")
        finally:
            os._exit(code)

    def _serve(self, child: Child) -> None:
        """Its channel can be read, or written to."""
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
        for message in child.inbox.feed(data):
            if not isinstance(message, Answer):
                self._said(message)
            elif message.request in self._waiting:
                _, answered = self._waiting.pop(message.request)
                answered(message.result)

    def _died(self, child: Child) -> None:
        child.channel.setblocking(True)
        while child.channel in self._selector.get_map():  # what it said before it died
            self._says(child)
        _, status = os.waitpid(child.pid, 0)
        self._selector.unregister(child.pidfd)
        child.close()
        self.child, self._kill_at = None, None
        for request in [*self._waiting]:
            _, answered = self._waiting.pop(request)
            answered(None)
        code = os.waitstatus_to_exitcode(status)
        if self._stopped:
            self._stopped()
            return
        self.restarts += 1
        if time.monotonic() - child.born > STABLE_AFTER:
            self._delay = RESTART_DELAY
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
        log.error(
            "director %d %s: virtual servers stay as they are; another starts in %g s", child.pid, how, self._delay
        )
        self._again_later()

    def _again_later(self) -> None:
        self._start_at = time.monotonic() + self._delay
        self._delay = min(2 * self._delay, RESTART_DELAY_MAX)
