"""Packets of VRRP from the interfaces of this host, stamped by the kernel, with the VLAN tags that it took off."""

import contextlib
import errno
import fcntl
import select
import socket
import struct
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Final, Self

from vrrpd.lan.capture import SO_TIMESTAMPNS, TIMESPEC
from vrrpd.net.filters import IF_EQUAL, LOAD_BYTE, LOAD_HALF, RETURN, Instruction, attach
from vrrpd.protocol.advert import IP_PROTOCOL, Family
from vrrpd.sniff.files import CaptureError
from vrrpd.sniff.packets import EXTENSIONS, Packet, upper_layer

_ETH_P_ALL: Final = 0x0003
_SOL_PACKET: Final = 263
_PACKET_ADD_MEMBERSHIP: Final = 1
_PACKET_MR_MULTICAST: Final = 0
_PACKET_AUXDATA: Final = 8
_TP_STATUS_VLAN_VALID: Final = 1 << 4
_TP_STATUS_VLAN_TPID_VALID: Final = 1 << 6
_AUXDATA: Final = struct.Struct("=IIIHHHH")
"""struct tpacket_auxdata: status, len, snaplen, mac, net, vlan_tci, vlan_tpid (include/uapi/linux/if_packet.h)."""
_RECEIVE_BUFFER: Final = 4 << 20
_NEIGHBOUR_ADVERTISEMENT: Final = 136
_ARPHRD_ETHER: Final = 1
_SIOCGIFHWADDR: Final = 0x8927
_GROUP_MACS: Final = ("01005e000012", "333300000012")
_FILTER: Final[list[Instruction]] = [
    (LOAD_HALF, 0, 0, 12),  # the ethertype
    (IF_EQUAL, 12, 0, 0x0806),  # ARP: accept
    (IF_EQUAL, 0, 2, 0x0800),  # IPv4?
    (LOAD_BYTE, 0, 0, 23),  # the protocol
    (IF_EQUAL, 9, 10, IP_PROTOCOL),
    (IF_EQUAL, 0, 9, 0x86DD),  # IPv6?
    (LOAD_BYTE, 0, 0, 20),  # the next header
    (IF_EQUAL, 6, 0, IP_PROTOCOL),
    *(
        (IF_EQUAL, 5 - number, 0, header) for number, header in enumerate(sorted(EXTENSIONS))
    ),  # what follows is looked at
    (IF_EQUAL, 0, 3, socket.IPPROTO_ICMPV6),
    (LOAD_BYTE, 0, 0, 54),  # the ICMPv6 type
    (IF_EQUAL, 0, 1, _NEIGHBOUR_ADVERTISEMENT),
    (RETURN, 0, 0, 0xFFFF),
    (RETURN, 0, 0, 0),
]


class LiveCapture:
    """Receives until it is closed; a context manager.

    Args:
        interface: an Ethernet interface; None: all of them.

    Raises:
        CaptureError: no such interface, no Ethernet, or no right to.
    """

    def __init__(self, interface: str | None) -> None:
        self._interface = interface
        present = {name: index for name, index in _interfaces().items() if _is_ethernet(name)}
        if interface is not None and interface not in present:
            raise CaptureError(_why_not(interface, list(present)))
        try:
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        except PermissionError as error:
            raise CaptureError(
                "capturing needs CAP_NET_RAW: run it as root, or read a file with -r that `tcpdump -w` has written"
            ) from error
        attach(self._socket, _FILTER)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        self._socket.setblocking(False)
        self._members: list[socket.socket] = []
        for name, index in present.items():
            if interface in {None, name}:
                self._join(index)
        if interface is not None:
            self._socket.bind((interface, _ETH_P_ALL))
        with contextlib.suppress(BlockingIOError):
            while True:  # what came before the filter, or from elsewhere
                self._socket.recv(1)

    def _join(self, index: int) -> None:
        """Have the card, and a switch that snoops MLD, hand over what goes to the groups of VRRP."""
        for mac in _GROUP_MACS:
            request = struct.pack("=iHH8s", index, _PACKET_MR_MULTICAST, 6, bytes.fromhex(mac))
            with contextlib.suppress(OSError):  # it takes no addresses, or has just gone
                self._socket.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, request)
        with contextlib.suppress(OSError):  # no IPv6 there
            member = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            self._members.append(member)
            group = Family.IPV6.group.packed + struct.pack("=I", index)
            member.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)

    def packets(self, timeout: float) -> Iterator[Packet]:
        """What has come, after waiting for it for `timeout` seconds at most; nothing, if nothing has.

        Raises:
            CaptureError: the interface was removed.
        """
        if not select.select([self._socket], [], [], timeout)[0]:
            return
        while True:
            try:
                data, ancillary, _, address = self._socket.recvmsg(1 << 16, 256)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENETDOWN:
                    raise CaptureError(f"{self._interface or 'a socket'}: {error.strerror}") from error
                if self._interface and self._interface not in _interfaces():
                    raise CaptureError(f"{self._interface} was removed") from error
                return  # it comes back by itself
            if address[3] == _ARPHRD_ETHER and not _is_other_ipv6(data):
                yield _packet(data, ancillary, address[0])

    def close(self) -> None:
        """Stop."""
        for each in (self._socket, *self._members):
            each.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _is_other_ipv6(data: bytes) -> bool:
    """Whether it is an IPv6 packet that has extension headers and is no advert."""
    return data[12:14] == b"\x86\xdd" and data[20] in EXTENSIONS and upper_layer(data)[0] != IP_PROTOCOL


def _packet(data: bytes, ancillary: list[tuple[int, int, bytes]], interface: str) -> Packet:
    time_ns = time.time_ns()
    for level, kind, value in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
            seconds, nanoseconds = TIMESPEC.unpack(value)
            time_ns = seconds * 10**9 + nanoseconds
        elif (level, kind) == (_SOL_PACKET, _PACKET_AUXDATA):
            status, *_, tag, protocol = _AUXDATA.unpack(value)
            if status & _TP_STATUS_VLAN_VALID:
                protocol = protocol if status & _TP_STATUS_VLAN_TPID_VALID else 0x8100
                data = data[:12] + struct.pack("!HH", protocol, tag) + data[12:]
    return Packet(time_ns, data, interface=interface)


def _interfaces() -> dict[str, int]:
    """Index by name."""
    return {name: index for index, name in sorted(socket.if_nameindex())}


def _is_ethernet(name: str) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            request = fcntl.ioctl(any_socket, _SIOCGIFHWADDR, name.encode().ljust(40, b"\0"))
        except OSError:  # it went away
            return False
    (hardware,) = struct.unpack_from("=H", request, 16)
    return bool(hardware == _ARPHRD_ETHER)


def _why_not(interface: str, present: list[str]) -> str:
    if interface in _interfaces():
        return f"{interface} is no Ethernet interface; VRRP is spoken on Ethernet"
    there = f"there are {', '.join(present)}" if present else "there is none"
    return f"there is no interface {interface}; of Ethernet interfaces {there}"
