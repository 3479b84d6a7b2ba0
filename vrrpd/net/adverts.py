"""Raw sockets for adverts, one pair for an interface and a family.

One socket hears the VRIDs that are configured there; a second, with the opposite filter, hears strangers and is read
rarely, so that they cannot wake the speaker more often than it likes. A socket per interface also keeps clear of the
kernel's limit of 20 groups a socket, and tells the receiving interface without asking.
"""

import errno
import fcntl
import select
import socket
import struct
import time
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address

from msgspec import Struct

from vrrpd.net import filters
from vrrpd.net.links import Link
from vrrpd.net.netlink import enlarge_receive_buffer
from vrrpd.protocol.advert import IP_PROTOCOL, IP_TTL, Family, IPAddress

PRECEDENCE_INTERNETWORK_CONTROL = 0xC0
"""IP_TOS of routing protocols (RFC 791 section 3.1)."""
RECEIVE_BUFFER = 1 << 20
STRANGERS_RECEIVE_BUFFER = 1 << 16
"""Bytes; some 150 adverts. While it is full, the kernel counts adverts of our own VRIDs as lost here, too."""

_PACKET_MAX = 1 << 16
_ANCILLARY_MAX = 256

# include/uapi/linux/in.h, in6.h, asm-generic/socket.h, where Python has no name
_IP_MTU_DISCOVER = 10
_IP_PMTUDISC_DONT = 0
_IPV6_MTU_DISCOVER = 23
_SO_MEMINFO = 55
_IPV6_MULTICAST_ALL = 29
_IP_MULTICAST_ALL = 49

_U32 = struct.Struct("=I")
_MEMINFO = struct.Struct("=9I")
"""Counters of a socket, the last of them SK_MEMINFO_DROPS (include/uapi/linux/sock_diag.h)."""
_IPV4_BYTES_LEFT_OUT = 9

Datagram = bytes | tuple[bytes, tuple[tuple[int, int, bytes], ...], tuple[str, int, int, int]]
"""What a raw socket delivered, without what differs between two equal adverts."""


class Packet(Struct, frozen=True):
    """A received packet, taken apart as far as IP goes."""

    source: IPAddress
    destination: IPAddress
    ttl: int
    message: bytes


_SIOCGSTAMPNS = 0x8907  # include/uapi/asm-generic/sockios.h
_TIMESPEC = struct.Struct("=qq")


class AdvertSocket:
    """Sends and receives the adverts of one family on one interface.

    Raises:
        OSError: no CAP_NET_RAW (EPERM), or the interface went away (ENODEV).
    """

    def __init__(self, link: Link, family: Family) -> None:
        self.link = link
        self.family = family
        self.socket = _listening_socket(link, family, RECEIVE_BUFFER)
        self._sender: socket.socket | None = None
        self._source: IPAddress | None = None
        self._senders: dict[IPAddress, socket.socket] = {}
        """Those that send to single hosts, by their source."""
        try:
            self.strangers = _listening_socket(link, family, STRANGERS_RECEIVE_BUFFER)
        except OSError:
            self.socket.close()
            raise
        self.arrivals = select.epoll()
        """Readable when an advert waits, unless it is paused."""
        self.arrivals.register(self.socket, select.EPOLLIN)
        self._strangers_lost = 0
        self.waited()  # the kernel stamps what comes after it was asked for the first time
        self.listen_for(())

    def listen_for(self, vrids: Iterable[int]) -> None:
        """Hear adverts of these VRIDs, and no others."""
        wanted = frozenset(vrids)
        filters.attach(self.socket, filters.only(wanted, self.family))
        filters.attach(self.strangers, filters.all_but(wanted, self.family))

    def pause(self) -> None:
        """Let adverts wait, until `resume`, without a word."""
        self.arrivals.modify(self.socket, 0)

    def resume(self) -> None:
        """Tell of adverts that wait, again."""
        self.arrivals.modify(self.socket, select.EPOLLIN)

    def send_from(self, source: IPAddress) -> None:
        """Send from `source` from now on, which the adverts' checksums assume.

        Raises:
            OSError: the interface or the address went away.
        """
        if source == self._source:
            return
        if self._sender:
            self._sender.close()
        self._sender = self._source = None
        self._sender, self._source = _sending_socket(self.link, self.family, source), source

    def send(self, message: bytes) -> None:
        """Send one advert to the group.

        Raises:
            OSError: ENETUNREACH or ENETDOWN without a carrier, ENODEV without the interface, EPERM behind a firewall,
                ENOTCONN before `send_from`.
        """
        if self._sender is None:
            raise OSError(errno.ENOTCONN, f"{self.link.name} has no address to send from")
        self._sender.send(message)

    def prepare(self, source: IPAddress) -> None:
        """Open what sends from `source` to single hosts.

        Raises:
            OSError: the interface or the address went away.
        """
        if source not in self._senders:
            self._senders[source] = _sending_socket(self.link, self.family, source)

    def send_to(self, message: bytes, source: IPAddress, peer: IPAddress) -> None:
        """Send one advert to one host.

        Raises:
            OSError: as `send`; EHOSTUNREACH or ENETUNREACH where there is no way to it.
        """
        self.prepare(source)
        scope = (0, self.link.index) if peer.version != Family.IPV4.value and peer.is_link_local else ()
        self._senders[source].sendto(message, (str(peer), 0, *scope))

    def forget(self, source: IPAddress) -> None:
        """Close what sends from there: the address went away, or is used no more."""
        if sender := self._senders.pop(source, None):
            sender.close()

    def receive(self) -> Datagram | None:
        """The next advert that waits, or None. Equal datagrams mean the same: what `parse` made of one may be kept."""
        try:
            if self.family is Family.IPV4:
                return _without_what_differs(self.socket.recv(_PACKET_MAX))
            message, ancillary, _, sender = self.socket.recvmsg(_PACKET_MAX, _ANCILLARY_MAX)
        except BlockingIOError:
            return None
        return message, tuple(ancillary), sender

    def waited(self) -> float | None:
        """Seconds since the last packet that was received came into the kernel, if that is known.

        The kernel stamps packets with the date; what is asked for is only how long ago that was, so that a clock step
        matters for nobody but a packet that waits meanwhile.
        """
        try:
            stamp = fcntl.ioctl(self.socket, _SIOCGSTAMPNS, bytes(_TIMESPEC.size))
        except OSError:
            return None
        seconds, nanoseconds = _TIMESPEC.unpack(stamp)
        since: float = time.time() - seconds - nanoseconds / 1e9
        return since

    def receive_stranger(self) -> Packet | None:
        """The next packet of an unknown VRID, or None."""
        try:
            data, ancillary, _, sender = self.strangers.recvmsg(_PACKET_MAX, _ANCILLARY_MAX)
        except BlockingIOError:
            return None
        ipv4 = self.family is Family.IPV4
        return parse(_without_what_differs(data) if ipv4 else (data, tuple(ancillary), sender))

    def strangers_lost(self) -> int:
        """How many packets of unknown VRIDs were dropped, since the last call, because nobody had read those before."""
        counters = self.strangers.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
        before, self._strangers_lost = self._strangers_lost, _MEMINFO.unpack(counters)[-1]
        return (self._strangers_lost - before) & 0xFFFFFFFF

    def close(self) -> None:
        """Leave the group and give the sockets back."""
        self.arrivals.close()
        self.socket.close()
        self.strangers.close()
        for sender in (*([self._sender] if self._sender else ()), *self._senders.values()):
            sender.close()


def _without_what_differs(packet: bytes) -> bytes:
    """An IPv4 packet without identification, length and header checksum, which say nothing."""
    return packet[:1] + packet[8:10] + packet[12:]


def parse(datagram: Datagram) -> Packet:
    """Take apart what `AdvertSocket.receive` returned."""
    if isinstance(datagram, bytes):
        addresses, payload = 3, (datagram[0] & 0x0F) * 4 - _IPV4_BYTES_LEFT_OUT
        return Packet(
            source=IPv4Address(datagram[addresses : addresses + 4]),
            destination=IPv4Address(datagram[addresses + 4 : addresses + 8]),
            ttl=datagram[1],
            message=datagram[payload:],
        )
    message, ancillary, sender = datagram
    hop_limit: int = 0
    destination = Family.IPV6.group
    for level, kind, value in ancillary:
        if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT):
            (hop_limit,) = _U32.unpack_from(value)
        elif (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
            destination = IPv6Address(value[:16])
    return Packet(IPv6Address(sender[0].partition("%")[0]), destination, hop_limit, message)


def _raw_socket(link: Link, family: Family) -> socket.socket:
    version = socket.AF_INET if family is Family.IPV4 else socket.AF_INET6
    raw = socket.socket(version, socket.SOCK_RAW | socket.SOCK_CLOEXEC, IP_PROTOCOL)
    try:
        raw.setblocking(False)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, link.name.encode() + b"\0")
    except OSError:
        raw.close()
        raise
    return raw


def _listening_socket(link: Link, family: Family, receive_buffer: int) -> socket.socket:
    raw = _raw_socket(link, family)
    try:
        enlarge_receive_buffer(raw, receive_buffer)
        if family is Family.IPV4:
            raw.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
            group = struct.pack("=4s4si", family.group.packed, b"", link.index)
            raw.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
        else:
            level = socket.IPPROTO_IPV6
            raw.setsockopt(level, _IPV6_MULTICAST_ALL, 0)
            raw.setsockopt(level, socket.IPV6_RECVHOPLIMIT, 1)
            raw.setsockopt(level, socket.IPV6_RECVPKTINFO, 1)
            raw.setsockopt(level, socket.IPV6_JOIN_GROUP, family.group.packed + struct.pack("=i", link.index))
    except OSError:
        raw.close()
        raise
    return raw


def _sending_socket(link: Link, family: Family, source: IPAddress) -> socket.socket:
    """Connected, so that the kernel need not parse and look up the group for each advert; it receives nothing."""
    raw = _raw_socket(link, family)
    try:
        filters.attach(raw, filters.NOTHING)
        ipv4 = family is Family.IPV4
        for level, option, value in _SENDING_IPV4 if ipv4 else _SENDING_IPV6:
            raw.setsockopt(level, option, value)
        scope = () if ipv4 else (0, link.index)
        if ipv4:
            request = struct.pack("=4s4si", b"", source.packed, link.index)
            raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, request)
        else:
            raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, link.index)
        raw.bind((str(source), 0, *scope))
        raw.connect((str(family.group), 0, *scope))
    except OSError:
        raw.close()
        raise
    return raw


_SENDING_IPV4 = (
    (socket.IPPROTO_IP, socket.IP_TTL, IP_TTL),
    (socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, IP_TTL),
    (socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0),
    (socket.IPPROTO_IP, socket.IP_TOS, PRECEDENCE_INTERNETWORK_CONTROL),
    (socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_DONT),
)
_SENDING_IPV6 = (
    (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, IP_TTL),
    (socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, IP_TTL),
    (socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0),
    (socket.IPPROTO_IPV6, socket.IPV6_TCLASS, PRECEDENCE_INTERNETWORK_CONTROL),
    (socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _IP_PMTUDISC_DONT),
)
