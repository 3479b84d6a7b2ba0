"""All virtual servers of the proxy: which there are, how many connections they have together, and what they do."""

import asyncio
import logging
from collections.abc import Callable

from vrrpd.channel import Proxied
from vrrpd.ipvs.model import ServiceActivity, ServiceAddress, Table, VirtualServerKey
from vrrpd.proxy.frontend import Frontend

log = logging.getLogger(__name__)

TELL_INTERVAL = 1.0
"""Seconds between two reports while there is something to say."""
LISTEN_RETRY = 1.0
"""Seconds until a listener that could not be had is asked for again."""
IDLE_TIMEOUT = 1200.0
"""Seconds without an octet in either direction, as with kube-keepalived-vip; a dead end says nothing either."""
LOOKS = 20
"""So many times within `IDLE_TIMEOUT` connections are looked at."""
SUSPENSION = 1.0
"""Seconds without new connections where the host has no descriptors or memory for them."""
COMPLAINT_INTERVAL = 60.0
"""Seconds between two lines of the log about one lack."""


class Proxy:
    """The proxy.

    Args:
        loop: uvloop's.
        connections_max: how many there may be at a time.
        tell: takes what the director is to know.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, connections_max: int, tell: Callable[[Proxied], None]) -> None:
        self._loop = loop
        self._connections_max = connections_max
        self._tell = tell
        self._frontends: dict[VirtualServerKey, Frontend] = {}
        self._count = 0
        """Of connections, those that begin included."""
        self._full = False
        self._resting: asyncio.TimerHandle | None = None
        self._complained: dict[str, float] = {}
        """When, of what."""
        self._told: dict[VirtualServerKey, ServiceActivity] = {}
        self._told_errors: dict[VirtualServerKey, str] = {}
        self._told_at = loop.time() - TELL_INTERVAL
        self._telling: asyncio.TimerHandle | None = None
        self._listening: asyncio.TimerHandle | None = None
        self._idle: dict[object, int] = {}
        """How many looks in a row have found nothing new of a connection."""
        self._looking = loop.call_later(IDLE_TIMEOUT / LOOKS, self._look)

    def apply(self, table: Table) -> None:
        """Serve these virtual servers, and no others."""
        before, self._frontends = self._frontends, {}
        for key, server in table.items():
            assert isinstance(key, ServiceAddress)
            frontend = self._frontends[key] = before.pop(key) if key in before else Frontend(self._loop, key, self)
            frontend.apply(server)
        for gone in before.values():
            gone.close()
        self._listen()
        self._told.clear()
        self._report()

    def close(self) -> None:
        """End everything."""
        for timer in (self._telling, self._listening, self._resting, self._looking):
            if timer:
                timer.cancel()
        for frontend in self._frontends.values():
            frontend.close()
        self._frontends.clear()

    def _listen(self) -> None:
        if self._listening:
            self._listening.cancel()
        self._listening = None
        for frontend in self._frontends.values():
            frontend.listen()
        self._rest_or_accept()
        if any(frontend.error for frontend in self._frontends.values()):
            self._listening = self._loop.call_later(LISTEN_RETRY, self._listen)
        self._report_soon()

    def take(self) -> bool:
        """Part of `Room`."""
        if self._count >= self._connections_max:
            if not self._full:
                self._full = True
                self._complain(f"{self._connections_max} connections through the proxy are the limit: others wait")
                self._rest_or_accept()
            return False
        self._count += 1
        self._report_soon()
        return True

    def leave(self) -> None:
        """Part of `Room`."""
        self._count -= 1
        if self._full and self._count < self._connections_max - self._connections_max // 16:
            self._full = False
            self._rest_or_accept()

    def suspend(self, error: OSError) -> None:
        """Part of `Room`."""
        if self._resting is None:
            remedy = "raise LimitNOFILE, or the memory that the daemon may have"
            self._complain(f"the proxy accepts nobody for now: {error.strerror}: {remedy}")
            self._resting = self._loop.call_later(SUSPENSION, self._go_on)
            self._rest_or_accept()

    def _complain(self, what: str) -> None:
        now = self._loop.time()
        if now >= self._complained.get(what, 0.0):
            self._complained[what] = now + COMPLAINT_INTERVAL
            log.error("%s", what)

    def _go_on(self) -> None:
        self._resting = None
        self._rest_or_accept()

    def _rest_or_accept(self) -> None:
        for frontend in self._frontends.values():
            if self._full or self._resting:
                frontend.rest()
            else:
                frontend.accept()

    def _look(self) -> None:
        """End the connections that nobody has used for long."""
        self._looking = self._loop.call_later(IDLE_TIMEOUT / LOOKS, self._look)
        before, self._idle = self._idle, {}
        for frontend in self._frontends.values():
            for connection in [*frontend.connections]:
                if connection.idle:
                    looks = self._idle[connection] = before.get(connection, 0) + 1
                    if looks >= LOOKS:
                        connection.reset()

    def _report_soon(self) -> None:
        if self._telling is None:
            self._telling = self._loop.call_later(TELL_INTERVAL, self._report)

    def _report(self) -> None:
        """Say what is other than it was, again and again while there is something to say."""
        if self._telling:
            self._telling.cancel()
        self._telling = None
        now = self._loop.time()
        elapsed, self._told_at = max(now - self._told_at, TELL_INTERVAL), now
        activity = {key: frontend.activity(elapsed) for key, frontend in self._frontends.items()}
        errors: dict[VirtualServerKey, str] = {
            key: frontend.error for key, frontend in self._frontends.items() if frontend.error
        }
        news = {key: seen for key, seen in activity.items() if self._told.get(key) != seen}
        if news or errors != self._told_errors:
            self._told_errors = errors
            self._told |= news
            self._tell(Proxied(news, errors))
        if news or self._count:
            self._report_soon()
