"""A capture of what matters to VRRP, timestamped by the kernel: adverts, ARP and neighbour advertisements."""

import contextlib
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from msgspec import Struct

from vrrpd.net.filters import Instruction, attach

if TYPE_CHECKING:
    from vrrpd.lan.hosts import Host, Lan

_ETH_P_ALL: Final = 0x0003
SO_TIMESTAMPNS: Final = 35
_SO_RCVBUFFORCE: Final = 33
_SOL_PACKET: Final = 263
_PACKET_STATISTICS: Final = 6
_RECEIVE_BUFFER: Final = 8 << 20
"""Bytes; 20,000 adverts and more, should the reader be kept from running."""
_READ_PAUSE: Final = 0.005
"""Seconds between two looks. A reader that each frame wakes would take the processor from the daemon that sent it."""
TIMESPEC: Final = struct.Struct("@ll")

_VRRP: Final = 112
_ICMPV6: Final = 58
_NEIGHBOUR_ADVERTISEMENT: Final = 136

FILTER: Final[list[Instruction]] = [
    (0x28, 0, 0, 12),  # ldh [12]: the ethertype
    (0x15, 9, 0, 0x0806),  # ARP: accept
    (0x15, 0, 2, 0x0800),  # IPv4?
    (0x30, 0, 0, 23),  # ldb [23]: the protocol
    (0x15, 6, 7, _VRRP),
    (0x15, 0, 6, 0x86DD),  # IPv6?
    (0x30, 0, 0, 20),  # ldb [20]: the next header
    (0x15, 3, 0, _VRRP),
    (0x15, 0, 3, _ICMPV6),
    (0x30, 0, 0, 54),  # ldb [54]: the ICMPv6 type
    (0x15, 0, 1, _NEIGHBOUR_ADVERTISEMENT),
    (0x06, 0, 0, 0xFFFF),
    (0x06, 0, 0, 0),
]


class FrameKind(StrEnum):
    """What a captured frame carries."""

    ADVERT = "advert"
    ARP = "arp"
    NEIGHBOUR_ADVERTISEMENT = "neighbour advertisement"


class Frame(Struct, frozen=True):
    """One Ethernet frame."""

    time: float
    """`time.monotonic()` seconds at which the kernel had it."""
    data: bytes
    """The whole frame, from the destination's hardware address on."""
    outgoing: bool
    """Whether the host on whose interface it was captured sent it."""

    @property
    def destination_mac(self) -> str:
        """Where it went, as `01:00:5e:00:00:12`."""
        return self.data[:6].hex(":")

    @property
    def source_mac(self) -> str:
        """Where it came from."""
        return self.data[6:12].hex(":")

    @property
    def is_ipv6(self) -> bool:
        """Whether it is an IPv6 packet."""
        return self.data[12:14] == b"\x86\xdd"

    @property
    def kind(self) -> FrameKind:
        """What it carries."""
        if self.data[12:14] == b"\x08\x06":
            return FrameKind.ARP
        return FrameKind.NEIGHBOUR_ADVERTISEMENT if self.is_ipv6 and self.data[20] == _ICMPV6 else FrameKind.ADVERT

    @property
    def is_advert(self) -> bool:
        """Whether it is a VRRP advert."""
        return self.kind is FrameKind.ADVERT

    @property
    def source(self) -> IPv4Address | IPv6Address:
        """The sender's IP address (ARP: the one it speaks for)."""
        if self.is_ipv6:
            return IPv6Address(self.data[22:38])
        return IPv4Address(self.data[28:32] if self.kind is FrameKind.ARP else self.data[26:30])

    @property
    def payload(self) -> bytes:
        """What follows the IP header: VRRP or ICMPv6; for ARP all that follows the Ethernet header, without padding."""
        if self.kind is FrameKind.ARP:
            return self.data[14:42]
        if self.is_ipv6:
            return self.data[54:][: int.from_bytes(self.data[18:20], "big")]
        header = (self.data[14] & 0xF) * 4
        return self.data[14 + header : 14 + int.from_bytes(self.data[16:18], "big")]

    @property
    def virtual_router_id(self) -> int:
        """Of an advert."""
        return self.payload[1]

    @property
    def priority(self) -> int:
        """Of an advert."""
        return self.payload[2]

    @property
    def announces(self) -> IPv4Address | IPv6Address | None:
        """The address that a gratuitous ARP or an unsolicited NA announces; None: the frame is neither."""
        payload = self.payload
        if self.kind is FrameKind.ARP and payload[14:18] == payload[24:28]:
            return IPv4Address(payload[14:18])
        if self.kind is FrameKind.NEIGHBOUR_ADVERTISEMENT and not payload[4] & 0x40:  # S: it was asked for
            return IPv6Address(payload[8:24])
        return None


class Capture:
    """Captures until stopped; a context manager.

    Args:
        where: a host, or a LAN: its switch sees what is flooded, as adverts and announcements are, in the order in which
            it arrives, and nothing from ports that are silent.
        ifname: the host's interface.

    Raises:
        OSError: no such interface.
    """

    def __init__(self, where: "Host | Lan", ifname: str | None = None) -> None:
        node, interface = (where, "eth0") if hasattr(where, "popen") else (where.switch, "br0")
        self._socket: socket.socket = node.call(  # type: ignore[union-attr]
            socket.socket, socket.AF_PACKET, socket.SOCK_RAW, 0
        )
        attach(self._socket, FILTER)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        with contextlib.suppress(OSError):  # some kernels keep it from user namespaces
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
        self._socket.setblocking(False)
        self._socket.bind((ifname or interface, _ETH_P_ALL))
        self._changed = threading.Condition()
        self._frames: list[Frame] = []
        self.dropped = 0
        """Frames that the kernel had no room for; known after `stop`."""
        self._stop = os.eventfd(0)
        self._reader = threading.Thread(target=self._read, name="capture-reader", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while not select.select([self._stop], [], [], _READ_PAUSE)[0]:
            self._drain()
        self._drain()

    def _drain(self) -> None:
        offset = time.clock_gettime(time.CLOCK_REALTIME) - time.monotonic()
        while True:
            try:
                data, ancillary, _, address = self._socket.recvmsg(65536, 64)
            except BlockingIOError:
                return
            except OSError:  # the interface went away; it may come back, but then it is another one
                continue
            seconds, nanoseconds = TIMESPEC.unpack(ancillary[0][2])
            outgoing = address[2] == socket.PACKET_OUTGOING
            with self._changed:
                self._frames.append(Frame(seconds + nanoseconds * 1e-9 - offset, data, outgoing))
                self._changed.notify_all()

    @property
    def frames(self) -> list[Frame]:
        """What was captured so far, in order."""
        with self._changed:
            return list(self._frames)

    def adverts(self, virtual_router_id: int | None = None) -> list[Frame]:
        """The adverts among them, of one virtual router or of all."""
        return [
            frame for frame in self.frames if frame.is_advert and virtual_router_id in {None, frame.virtual_router_id}
        ]

    def wait_for(self, wanted: Callable[[Frame], bool], timeout: float, since: float = 0.0) -> Frame:
        """The first frame at or after `since` (`time.monotonic()`) that is wanted; waits for it if need be.

        Raises:
            TimeoutError: none came within `timeout` seconds.
        """
        examined = 0
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                for frame in self._frames[examined:]:
                    if frame.time >= since and wanted(frame):
                        return frame
                examined = len(self._frames)
                if not self._changed.wait(deadline - time.monotonic()) and time.monotonic() >= deadline:
                    raise TimeoutError(f"no such frame in {timeout} s among {examined}")

    def write_pcap(self, path: Path) -> None:
        """Write what was captured so far as a pcap file with nanoseconds, readable by tcpdump and wireshark.

        Raises:
            OSError: the file cannot be written.
        """
        offset = time.clock_gettime(time.CLOCK_REALTIME) - time.monotonic()
        records = [struct.pack("=IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1)]
        for frame in self.frames:
            seconds, fraction = divmod(frame.time + offset, 1)
            size = len(frame.data)
            records += [struct.pack("=IIII", int(seconds), int(fraction * 1e9), size, size), frame.data]
        path.write_bytes(b"".join(records))

    def stop(self) -> None:
        """Take what is there still, and end."""
        os.eventfd_write(self._stop, 1)
        self._reader.join()
        # struct tpacket_stats: seen, dropped
        self.dropped = struct.unpack("=II", self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))[1]
        self._socket.close()
        os.close(self._stop)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
