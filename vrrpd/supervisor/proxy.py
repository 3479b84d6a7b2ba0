"""The proxy, started where there are virtual servers for it."""

import selectors
import socket
from collections.abc import Callable

from vrrpd.channel import Message, Proxied, SetProxied
from vrrpd.ipvs.model import Table
from vrrpd.supervisor.best_effort import BestEffort


class Proxying(BestEffort):
    """The proxy, seen from the supervisor; arguments as for `BestEffort`."""

    restart_delay = 0.05
    """Nobody serves meanwhile."""
    meanwhile = "its connections are gone"

    def __init__(
        self, selector: selectors.BaseSelector, let_go: Callable[[], None], said: Callable[[Message], None]
    ) -> None:
        super().__init__("proxy", selector, let_go, said)
        self.table: Table = {}
        """What it is to serve, by what the director has said last; it holds while there is none."""

    def work(self, channel: socket.socket) -> int:
        """Part of `BestEffort`."""
        from vrrpd.proxy import process  # noqa: PLC0415

        return process.run(channel, self.table)

    def died(self) -> None:
        """Part of `BestEffort`."""
        self._said(Proxied({}, {key: f"{key}: the proxy has died, another is to start" for key in self.table}))

    def serve(self, message: SetProxied) -> None:
        """This is what it is to serve now; without anything there is none."""
        self.table = message.table
        if self.child:
            self.tell(message)
        elif self.table and not self.wanted:
            self.start()
        if not self.table and self.wanted:
            self.stop(self._rest)

    def _rest(self, _: int) -> None:
        if self.table:  # there is something again
            self.start()
