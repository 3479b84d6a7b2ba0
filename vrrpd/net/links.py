"""The interfaces and addresses of this network namespace, kept up to date from netlink.

struct ifinfomsg { u8 family; u8 pad; u16 type; i32 index; u32 flags; u32 change; }   include/uapi/linux/rtnetlink.h
struct ifaddrmsg { u8 family; u8 prefixlen; u8 flags; u8 scope; u32 index; }          include/uapi/linux/if_addr.h
"""

import logging
import socket
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from msgspec import Struct

from vrrpd.net.addresses import ADDRESS_PROTOCOL, RTM_DELADDR, RTM_NEWADDR
from vrrpd.net.filters import all_but_renewals, attach
from vrrpd.net.netlink import RENEWAL, Message, attributes, dump, read, route_socket
from vrrpd.protocol.advert import Family, IPAddress

RTM_NEWLINK = 16
RTM_DELLINK = 17
RTM_GETLINK = 18
RTM_GETADDR = 22

RTMGRP_LINK = 0x001
RTMGRP_IPV4_IFADDR = 0x010
RTMGRP_IPV6_IFADDR = 0x100

IFF_UP = 0x01
IFF_RUNNING = 0x40

IFA_F_SECONDARY = 0x01
IFA_F_DADFAILED = 0x08
IFA_F_TENTATIVE = 0x40
IFA_F_OPTIMISTIC = 0x04

_IFINFOMSG = struct.Struct("=BxHiII")
_IFADDRMSG = struct.Struct("=BBBBI")
_IFLA_ADDRESS = 1
_IFLA_IFNAME = 3
_IFA_ADDRESS = 1
_IFA_LOCAL = 2
_IFA_FLAGS = 8
_IFA_PROTO = 11

log = logging.getLogger(__name__)


class Link(Struct, frozen=True):
    """One interface."""

    index: int
    name: str
    mac: str
    """Empty where the interface has none, such as a tunnel."""
    up: bool
    """Administratively up and with a carrier."""


class InterfaceAddress(Struct, frozen=True):
    """One address on an interface."""

    index: int
    """Of the interface."""
    address: IPAddress
    prefix_length: int
    flags: int
    """IFA_F_* bits."""
    ours: bool
    """A vrrpd added it, this process or an earlier one."""

    @property
    def key(self) -> tuple[int, IPAddress, int]:
        """What the kernel tells addresses apart by."""
        return self.index, self.address, self.prefix_length

    @property
    def network(self) -> IPv4Network | IPv6Network:
        """The prefix that it is in."""
        return ip_network((self.address, self.prefix_length), strict=False)

    @property
    def usable(self) -> bool:
        """Whether packets may be sent from it: duplicate detection is over, and nobody else was found to have it."""
        if self.flags & IFA_F_DADFAILED:
            return False
        return not self.flags & IFA_F_TENTATIVE or bool(self.flags & IFA_F_OPTIMISTIC)


class LinkMonitor:
    """What the kernel says of interfaces and addresses. The owner calls `read` when `fileno` is readable.

    Args:
        requests: the socket that addresses are renewed by; of that it hears nothing.

    Raises:
        OSError: the kernel refuses a netlink socket or a dump.
    """

    def __init__(self, requests: socket.socket | None = None) -> None:
        self._renewals_from = requests.getsockname()[0] if requests else None
        self.links: dict[int, Link] = {}
        self.addresses: dict[tuple[int, IPAddress, int], InterfaceAddress] = {}
        self.removed: set[int] = set()
        """Indices of the interfaces that went since the last `read`; another one may have come with the same."""
        self.keeps_marks = False
        """Whether the kernel is known to keep the mark on our addresses: one has been seen."""
        self._lost = False
        """Events were, and what they were about could not be dumped yet."""
        self._socket = self._open()

    def fileno(self) -> int:
        """The socket to wait on. It changes when `read` had to open a new one."""
        return self._socket.fileno()

    def read(self) -> list["Link | InterfaceAddress"]:
        """Take in what has changed; returns the links and addresses that came, changed or went.

        A socket that overflowed lost events, so everything is dumped anew and told.
        """
        self.removed.clear()
        try:
            messages = read(self._socket)
        except OSError:
            return self.read_anew()
        if self._lost:
            return self.read_anew()
        return [change for message in messages for change in self._take(message)]

    def read_anew(self) -> list["Link | InterfaceAddress"]:
        """Dump everything and tell it. What cannot be dumped is, with the next event; until then the last is true."""
        before, links = self._everything(), set(self.links)
        # The old one stays open so long that the new one has another number: who waits on it sees that it changed.
        try:
            opened = self._open()
        except OSError as error:
            self._lost = True
            log.error("cannot look at the interfaces anew, events were lost: %s", error)  # noqa: TRY400
            return []
        self._lost = False
        overflowed, self._socket = self._socket, opened
        overflowed.close()
        self.removed |= links - self.links.keys()
        return before + self._everything()

    def close(self) -> None:
        """Hear no more."""
        self._socket.close()

    def link(self, name: str) -> Link | None:
        """The interface of that name, if it exists."""
        for link in self.links.values():
            if link.name == name:
                return link
        return None

    def addresses_on(self, index: int) -> Iterator[InterfaceAddress]:
        """The addresses of one interface, in the kernel's order."""
        return (address for address in self.addresses.values() if address.index == index)

    def has(self, name: str, address: IPAddress) -> bool:
        """Whether the interface of that name has the address, ready for use, and not from us."""
        link = self.link(name)
        found = self.addresses_on(link.index) if link else ()
        return any(entry.address == address and entry.usable and not entry.ours for entry in found)

    def source_address(self, index: int, family: Family, not_these: frozenset[IPAddress]) -> IPAddress | None:
        """The interface's primary IPv4 or link-local IPv6 address, which adverts are sent from.

        Args:
            index: of the interface.
            family: of the adverts.
            not_these: virtual addresses; they move, so they serve only where the host owns them and has no other.
        """
        candidates = [
            entry
            for entry in self.addresses_on(index)
            if entry.address.version == family.value
            and entry.usable
            and not entry.ours
            and (family is Family.IPV4 or entry.address.is_link_local)
        ]
        candidates.sort(key=lambda entry: (entry.address in not_these, bool(entry.flags & IFA_F_SECONDARY)))
        return candidates[0].address if candidates else None

    def _everything(self) -> "list[Link | InterfaceAddress]":
        return [*self.links.values(), *self.addresses.values()]

    def _open(self) -> socket.socket:
        monitor = route_socket(RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR)
        if self._renewals_from is not None:
            attach(monitor, all_but_renewals(RTM_NEWADDR, self._renewals_from, RENEWAL))
        before = self.links, self.addresses
        self.links, self.addresses = {}, {}
        requests = None
        try:
            requests = route_socket()
            for request, family in ((RTM_GETLINK, 0), (RTM_GETADDR, socket.AF_INET), (RTM_GETADDR, socket.AF_INET6)):
                for message in dump(requests, request, family):
                    self._take(message)
        except OSError:
            monitor.close()
            self.links, self.addresses = before
            raise
        finally:
            if requests:
                requests.close()
        return monitor

    def _take(self, message: Message) -> "tuple[Link | InterfaceAddress, ...]":
        try:
            if message.type in (RTM_NEWLINK, RTM_DELLINK):
                return self._take_link(message)
            if message.type in (RTM_NEWADDR, RTM_DELADDR):
                return self._take_address(message)
        except (struct.error, ValueError):  # shorter than its header, or an address of another length
            return ()
        return ()

    def _take_link(self, message: Message) -> tuple[Link, ...]:
        family, _, index, flags, _ = _IFINFOMSG.unpack_from(message.payload)
        if family:  # a bridge tells of its ports in AF_BRIDGE, and of a port that leaves it in RTM_DELLINK
            return ()
        before = self.links.get(index)
        if message.type == RTM_DELLINK:
            if before is None:
                return ()
            del self.links[index]
            self.removed.add(index)
            for key in [key for key in self.addresses if key[0] == index]:
                del self.addresses[key]
            return (before,)
        found = attributes(message.payload, _IFINFOMSG.size)
        link = Link(
            index=index,
            name=found.get(_IFLA_IFNAME, b"").rstrip(b"\0").decode(errors="replace"),
            mac=found.get(_IFLA_ADDRESS, b"").hex(":"),
            up=flags & (IFF_UP | IFF_RUNNING) == IFF_UP | IFF_RUNNING,
        )
        if link == before:
            return ()
        self.links[index] = link
        return (before, link) if before is not None and before.name != link.name else (link,)

    def _take_address(self, message: Message) -> tuple[InterfaceAddress, ...]:
        family, prefix_length, flags, _, index = _IFADDRMSG.unpack_from(message.payload)
        found = attributes(message.payload, _IFADDRMSG.size)
        packed = found.get(_IFA_LOCAL) or found.get(_IFA_ADDRESS)
        if packed is None or family not in (socket.AF_INET, socket.AF_INET6):
            return ()
        if _IFA_FLAGS in found:
            (flags,) = struct.unpack("=I", found[_IFA_FLAGS])
        address = InterfaceAddress(
            index=index,
            address=IPv4Address(packed) if family == socket.AF_INET else IPv6Address(packed),
            prefix_length=prefix_length,
            flags=flags,
            ours=found.get(_IFA_PROTO) == bytes([ADDRESS_PROTOCOL]),
        )
        if message.type == RTM_NEWADDR:
            if self.addresses.get(address.key) == address:
                return ()
            self.addresses[address.key] = address
            self.keeps_marks |= address.ours
        elif self.addresses.pop(address.key, None) is None:
            return ()
        return (address,)
