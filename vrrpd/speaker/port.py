"""One interface and family: its sockets, whether it can be used, and the routers on it."""

import asyncio
import errno
import logging
import time
from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from vrrpd.net.addresses import Ipv4Setting
from vrrpd.net.adverts import AdvertSocket, Datagram, Packet, parse
from vrrpd.net.links import Link
from vrrpd.protocol.advert import AdvertError, ChecksumForm, DropReason, Family, IPAddress, decode
from vrrpd.protocol.events import AdvertReceived, LinkChanged
from vrrpd.speaker.host import Host
from vrrpd.speaker.outgoing import Way

log = logging.getLogger(__name__)

DATAGRAMS_A_WAKE_UP = 16
"""How many packets are taken before timers get their turn."""
CROWD = DATAGRAMS_A_WAKE_UP
"""Routers on a port above which adverts that come one by one are let gather: to wake up costs more than to hear one."""
GATHERING = 0.001
"""Seconds for which they may wait then; a timer that one of them puts off hears them before it runs out."""
DATAGRAMS_AT_ONCE = 4096
"""More than the receive buffer holds, when a process has not run for long. A flood that goes on is left to the loop."""
OPEN_RETRY_DELAY = 1.0
"""Seconds until sockets that the kernel refused are tried again."""
WAITED_MAX = 0.002
"""Seconds that an advert may have waited for a process that is awake soon; longer is told by `Overslept`."""
KNOWN_DATAGRAMS_MAX = 1024
STRANGERS_PAUSE = 1.0
"""Seconds between two looks at what strangers send."""
STRANGERS_A_LOOK = 256
"""More than wait between two looks, so that the socket is empty afterwards."""


class Hearing(Struct):
    """A datagram that was understood, for when it comes again: of 255 routers every other byte is out of the caches."""

    listener: "Listener"
    event: AdvertReceived
    form: ChecksumForm
    noted: bool = False
    """Nothing follows from another one but that a timer is put off: it is noted here until the router looks."""
    count: int = 0
    """How many were noted."""
    heard_at: float = 0.0
    """When the last of them was; on `time.monotonic`."""


class Listener(Protocol):
    """A router on a port."""

    peers: frozenset[IPAddress]
    """Whom alone it listens to; empty: whoever speaks to the group."""

    def hear(self, hearing: Hearing, heard_at: float) -> None:
        """A valid advert of its VRID arrived; `heard_at` on `time.monotonic`."""

    def dropped(self, source: IPAddress, error: AdvertError) -> None:
        """A packet of its VRID had to be discarded."""

    def link_changed(self) -> None:
        """The port can be used now, or no longer, or from another address."""


class Strangers(Struct):
    """Packets that no router here is meant to have."""

    count: int = 0
    last_source: IPAddress | None = None
    last_vrid: int | None = None


class Port:
    """Receives adverts for the routers of one family on one interface, and tells them what the interface can do."""

    def __init__(self, loop: asyncio.AbstractEventLoop, host: Host, interface: str, family: Family) -> None:
        self.interface = interface
        self.family = family
        self.listeners: Mapping[int, Listener] = {}
        self.virtual_addresses: frozenset[IPAddress] = frozenset()
        self.strangers = Strangers()
        self.state = LinkChanged(up=False, reason=f"{interface} was not looked at yet")
        self._loop = loop
        self._kernel = host.kernel
        self._rate_limit = host.rate_limit
        self._socket: AdvertSocket | None = None
        self._gathered = host.timers.deadline(self._hear_gathered)
        self._arrived_at = 0.0
        self._retry: asyncio.TimerHandle | None = None
        self._known: dict[Datagram, Hearing] = {}

    def listen(self, listeners: Mapping[int, Listener], virtual_addresses: frozenset[IPAddress]) -> None:
        """Serve these routers, by VRID, from now on."""
        self.listeners = listeners
        self.virtual_addresses = virtual_addresses
        self._known.clear()
        if self._socket:
            self._socket.listen_for(listeners)

    def look_at_interface(self) -> None:
        """Compare with what the kernel says of the interface, and tell the routers what has changed."""
        state = self._assess()
        if state == self.state:
            return
        if not state.up:
            log.warning("%s %s: %s; waiting for it", self.interface, self.family.name, state.reason)
        elif not self.state.up:
            log.info("%s %s: ready, sending from %s", self.interface, self.family.name, state.address)
        self.state = state
        for listener in tuple(self.listeners.values()):
            listener.link_changed()

    def send(self, message: bytes, way: Way | None = None) -> None:
        """Send an advert to the group, or that way.

        Raises:
            OSError: the kernel refuses it.
        """
        if self._socket is None:
            raise OSError(errno.ENODEV, f"{self.interface} does not exist")
        if way is None:
            self._socket.send(message)
            return
        try:
            self._socket.send_to(message, way.source, way.peer)
        except OSError:
            self._socket.forget(way.source)  # its address may come back
            raise

    def close(self) -> None:
        """Leave the group."""
        if self._retry:
            self._retry.cancel()
            self._retry = None
        if self._socket:
            self._loop.remove_reader(self._socket.arrivals.fileno())
            self._gathered.cancel()
            self._loop.remove_reader(self._socket.strangers)
            self._socket.close()
            self._socket = None

    def hear_what_waits(self) -> None:
        """Take every advert that has arrived, before a timer runs out that one of them would put off."""
        for _ in range(DATAGRAMS_AT_ONCE // DATAGRAMS_A_WAKE_UP):
            if not self._readable():
                return

    def waited(self, heard_at: float) -> float:
        """Seconds that the advert which was heard last, at `heard_at`, had waited until then; 0 where that is unknown.

        Another packet may have come since, or the date may have been moved: what is implausible counts for nothing.
        """
        since = self._socket.waited() if self._socket else None
        if since is None:
            return 0.0
        waited = heard_at - (time.monotonic() - since)
        return waited if 0 < waited < WAITED_MAX else 0.0

    def forget_interface(self, index: int) -> None:
        """The interface of that index is gone; if it is there again, the kernel has forgotten our group on it."""
        if self._socket and self._socket.link.index == index:
            self.close()

    def _assess(self) -> LinkChanged:
        link = self._kernel.monitor.link(self.interface)
        if link is None or (self._socket and self._socket.link.index != link.index):
            self.close()
        if link is None:
            return LinkChanged(up=False, reason=f"{self.interface} does not exist")
        if not link.up:
            return LinkChanged(up=False, reason=f"{self.interface} is down or has no carrier")
        address = self._kernel.monitor.source_address(link.index, self.family, self.virtual_addresses)
        if address is None:
            kind = "IPv4 address" if self.family is Family.IPV4 else "link-local IPv6 address that is ready for use"
            return LinkChanged(up=False, reason=f"{self.interface} has no {kind} to send adverts from")
        try:
            opened = self._socket or self._open(link)
            opened.send_from(address)
        except OSError as error:
            if self._retry is None:
                self._retry = self._loop.call_later(OPEN_RETRY_DELAY, self._try_again)
            return LinkChanged(up=False, reason=f"{self.interface}: cannot open a raw socket: {error.strerror}")
        return LinkChanged(up=True, address=address)

    def _try_again(self) -> None:
        self._retry = None
        self.look_at_interface()

    def _open(self, link: Link) -> AdvertSocket:
        opened = AdvertSocket(link, self.family)
        try:
            opened.listen_for(self.listeners)
        except OSError:
            opened.close()
            raise
        self._socket = opened
        if self.family is Family.IPV4:  # who owns the address advertises from it, which we may hold meanwhile
            self._kernel.turn_on(link, Ipv4Setting.ACCEPT_LOCAL)
        self._loop.add_reader(opened.arrivals.fileno(), self._arrived)
        self._loop.add_reader(opened.strangers, self._strangers_readable)
        return opened

    def _arrived(self) -> None:
        before, self._arrived_at = self._arrived_at, time.monotonic()
        more = self._readable()
        one_by_one = self._arrived_at - before < 2 * GATHERING
        if self._socket and one_by_one and not more and len(self.listeners) > CROWD:
            self._socket.pause()
            self._gathered.at(self._arrived_at + GATHERING)

    def _hear_gathered(self) -> None:
        if self._socket:
            self._socket.resume()

    def _readable(self) -> bool:
        """Take some adverts; whether there may be more."""
        for _ in range(DATAGRAMS_A_WAKE_UP):
            if self._socket is None:
                return False
            heard_at = time.monotonic()
            try:
                datagram = self._socket.receive()
            except OSError as error:  # ENETDOWN once when the link goes; the monitor tells the rest
                log.debug("%s: receiving failed: %s", self.interface, error.strerror)
                return False
            if datagram is None:
                return False
            known = self._known.get(datagram)
            if known is None:
                self._take(datagram, heard_at)
            elif known.noted:
                known.count += 1
                known.heard_at = heard_at
            else:
                known.listener.hear(known, heard_at)
        return True

    def _take(self, datagram: Datagram, heard_at: float) -> None:
        packet = parse(datagram)
        vrid = packet.message[1] if len(packet.message) > 1 else None
        listener = self.listeners.get(vrid) if vrid is not None else None
        try:
            peers = listener.peers if listener else frozenset()
            self._refuse_foreign(packet, peers)
            ttl = None if peers else packet.ttl
            advert, form = decode(packet.message, source=packet.source, destination=packet.destination, ttl=ttl)
        except AdvertError as error:
            for each in [listener] if listener else self.listeners.values():
                each.dropped(packet.source, error)
            return
        if listener is None:
            return
        if len(self._known) >= KNOWN_DATAGRAMS_MAX:
            self._known.clear()
        hearing = self._known[datagram] = Hearing(listener, AdvertReceived(packet.source, advert), form)
        listener.hear(hearing, heard_at)

    def _refuse_foreign(self, packet: Packet, peers: frozenset[IPAddress]) -> None:
        if peers and packet.destination.is_multicast:
            raise AdvertError(DropReason.DESTINATION, "sent to the group, and this router has unicast peers")
        if peers and packet.source not in peers:
            raise AdvertError(DropReason.SOURCE, f"{packet.source} is no unicast_peer of this router")
        if not peers and packet.destination != self.family.group:
            raise AdvertError(DropReason.DESTINATION, f"sent to {packet.destination}, not to {self.family.group}")

    def _strangers_readable(self) -> None:
        if self._socket is None:
            return
        for _ in range(STRANGERS_A_LOOK):
            try:
                packet = self._socket.receive_stranger()
            except OSError:
                return
            if packet is None:
                break
            vrid = packet.message[1] if len(packet.message) > 1 else None
            if vrid in self.listeners:
                continue  # it came before the filter, when the socket was opened or the router was added
            self.strangers.count += 1
            self.strangers.last_source, self.strangers.last_vrid = packet.source, vrid
            if self._rate_limit.allows((self.interface, packet.source, self.strangers.last_vrid), time.monotonic()):
                log.warning(
                    "%s: %s advertises VRID %s, which is not configured here",
                    self.interface,
                    packet.source,
                    self.strangers.last_vrid,
                )
        self.strangers.count += self._socket.strangers_lost()
        strangers = self._socket.strangers
        self._loop.remove_reader(strangers)
        self._loop.call_later(STRANGERS_PAUSE, self._resume_strangers, strangers)

    def _resume_strangers(self, strangers: object) -> None:
        if self._socket and self._socket.strangers is strangers:
            self._loop.add_reader(self._socket.strangers, self._strangers_readable)
