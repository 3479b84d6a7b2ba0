"""The addresses of this host by which it may be a real server itself."""

import asyncio
from collections.abc import Callable

from vrrpd.net.links import InterfaceAddress, LinkMonitor
from vrrpd.protocol.advert import IPAddress


class OwnAddresses:
    """Kept up to date from the kernel.

    Args:
        loop: the one that runs.
        changed: called when `addresses` has changed.

    Raises:
        OSError: the kernel does not tell.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, changed: Callable[[], None]) -> None:
        self._loop = loop
        self._changed = changed
        self._monitor = LinkMonitor()
        self.addresses: frozenset[IPAddress] = self._look()
        """Without those that vrrpd has put there."""
        self._listen_on = self._monitor.fileno()
        loop.add_reader(self._listen_on, self._read)

    def close(self) -> None:
        """Hear no more."""
        self._loop.remove_reader(self._listen_on)
        self._monitor.close()

    def _read(self) -> None:
        changes = self._monitor.read()
        if self._listen_on != self._monitor.fileno():
            self._loop.remove_reader(self._listen_on)
            self._listen_on = self._monitor.fileno()
            self._loop.add_reader(self._listen_on, self._read)
        # Addresses of ours are renewed every few seconds.
        if any(isinstance(change, InterfaceAddress) and not change.ours for change in changes):
            before, self.addresses = self.addresses, self._look()
            if self.addresses != before:
                self._changed()

    def _look(self) -> frozenset[IPAddress]:
        return frozenset(entry.address for entry in self._monitor.addresses.values() if not entry.ours)
