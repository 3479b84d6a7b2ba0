"""A speaker whose outages are known: it takes over a given time after its peer's resignation, and writes down when.

    python -m tests.benchmarks.fake_speaker INTERFACE SOURCE ADDRESS PRIORITY ADVERT_INT TAKEOVER_AFTER PATIENCE JOURNAL

SIGTERM: the address goes, then a resignation. A peer that hears one has the address `TAKEOVER_AFTER` seconds later. One
that hears nothing for as long as RFC 9568 says, and PATIENCE seconds more, takes over as well, and a better one that
comes back is given way to.
The journal has a line `WHAT FROM TO` for each time that the address has come or gone: `time.monotonic()` just before
and just after.
"""

import select
import signal
import socket
import struct
import sys
import time
from ipaddress import IPv4Address
from pathlib import Path

from pyroute2.iproute.linux import IPRoute

from vrrpd.net.frames import announcement, frame_socket
from vrrpd.protocol.advert import Advert, AdvertError, Family, decode, encode
from vrrpd.protocol.timing import active_down_interval, centiseconds, seconds

VRID = 51


class Fake:
    def __init__(self, arguments: list[str]) -> None:
        interface, source, address, priority, advert_int, takeover_after, patience, journal = arguments
        self.source, self.address = IPv4Address(source), IPv4Address(address)
        self.priority, self.advert_int, self.takeover_after = int(priority), float(advert_int), float(takeover_after)
        self.journal = Path(journal)
        self.netlink = IPRoute()
        self.index = self.netlink.link_lookup(ifname=interface)[0]
        self.mac = self.netlink.get_links(self.index)[0].get_attr("IFLA_ADDRESS")
        self.frames = frame_socket(interface)
        self.wire = socket.socket(socket.AF_INET, socket.SOCK_RAW, 112)
        self.wire.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        self.wire.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
        self.wire.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
        group = struct.pack("=4s4si", Family.IPV4.group.packed, self.source.packed, self.index)
        self.wire.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, group)
        self.wire.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
        self.master = False
        self.down = seconds(active_down_interval(self.priority, centiseconds(self.advert_int))) + float(patience)
        self.due = time.monotonic() + self.down
        self.stopped = False

    def run(self) -> None:
        while not self.stopped:
            heard = select.select([self.wire], [], [], max(0.0, self.due - time.monotonic()))[0]
            if heard:
                self.hear(self.wire.recv(1024))
            elif self.master:
                self.advertise(self.priority)
                self.frames.send(announcement(self.address, self.mac))  # so that clients find their way back
                self.due += self.advert_int
            elif time.monotonic() >= self.due:
                self.take_over()
        if self.master:
            self.let_go()
            self.advertise(0)

    def hear(self, packet: bytes) -> None:
        source = IPv4Address(packet[12:16])
        try:
            advert, _ = decode(packet[20:], source=source, destination=Family.IPV4.group)
        except AdvertError:
            return
        now = time.monotonic()
        if not self.master:
            if advert.priority == 0:
                self.due = now + self.takeover_after
            elif advert.priority > self.priority:
                self.due = now + self.down
        elif advert.priority > self.priority:
            self.let_go()
            self.due = now + self.down

    def take_over(self) -> None:
        self.master = True
        self.advertise(self.priority)
        before = time.monotonic()
        self.netlink.addr("add", index=self.index, address=str(self.address), prefixlen=32)
        self.frames.send(announcement(self.address, self.mac))
        self.write("come", before)
        self.due = time.monotonic() + self.advert_int

    def let_go(self) -> None:
        before = time.monotonic()
        self.netlink.addr("del", index=self.index, address=str(self.address), prefixlen=32)
        self.write("gone", before)
        self.master = False

    def advertise(self, priority: int) -> None:
        advert = Advert(VRID, priority, centiseconds(self.advert_int), (self.address,))
        self.wire.sendto(encode(advert, self.source), (str(Family.IPV4.group), 0))

    def write(self, what: str, before: float) -> None:
        after = time.monotonic()
        with self.journal.open("a", encoding="ascii") as file:
            file.write(f"{what} {before} {after}\n")


def main() -> None:
    fake = Fake(sys.argv[1:])

    def stop(_number: int, _frame: object) -> None:
        fake.stopped = True
        fake.due = 0

    signal.signal(signal.SIGTERM, stop)
    # A signal between the look at `stopped` and select() would be slept over.
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    signal.set_wakeup_fd(writing.fileno())
    assert reading
    fake.run()


if __name__ == "__main__":
    main()
