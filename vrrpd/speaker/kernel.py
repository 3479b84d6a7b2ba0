"""The netlink and packet sockets that all routers of a speaker share."""

import errno
import socket
from ipaddress import IPv4Interface

from vrrpd.net.addresses import LIFETIME_INFINITE, Ipv4Setting, is_on, requests, turning_on
from vrrpd.net.frames import frame_socket
from vrrpd.net.links import Link, LinkMonitor
from vrrpd.net.netlink import Batch, route_socket, transact
from vrrpd.protocol.advert import IP_PROTOCOL


class Kernel:
    """Requests, what the kernel says of links and addresses, and frames on any interface.

    Raises:
        OSError: the kernel refuses a socket, or would refuse adverts or addresses when they are needed.
    """

    def __init__(self) -> None:
        self.requests = route_socket()
        self.monitor = LinkMonitor(self.requests)
        self.lifetime = LIFETIME_INFINITE
        """Seconds that an address lasts unless it is renewed."""
        self._frames: dict[int, socket.socket] = {}
        self._turned_on: set[tuple[int, Ipv4Setting]] = set()
        if missing := self._missing_capabilities():
            self.close()
            raise PermissionError(
                errno.EPERM,
                f"{' and '.join(missing)} missing; run vrrpd as root, or give it CAP_NET_RAW and CAP_NET_ADMIN "
                "(systemd: AmbientCapabilities, containers: capabilities.add)",
            )

    def _missing_capabilities(self) -> list[str]:
        """Asked of the kernel, since only it knows which user namespace rules this network."""
        missing: list[str] = []
        try:
            # As good as a packet socket to ask with; closing one of those makes the kernel wait for milliseconds.
            socket.socket(socket.AF_INET, socket.SOCK_RAW, IP_PROTOCOL).close()
        except PermissionError:
            missing.append("CAP_NET_RAW")
        no_interface = requests(IPv4Interface("192.0.2.1/32"), label=None, noprefixroute=False).remove
        if transact(self.requests, Batch([no_interface]))[0].errno == errno.EPERM:  # ENODEV if we may
            missing.append("CAP_NET_ADMIN")
        return missing

    def turn_on(self, link: Link, setting: Ipv4Setting) -> None:
        """Turn on a setting of an interface, unless that was done before; the kernel's lock for it may be busy."""
        if (link.index, setting) in self._turned_on:
            return
        if is_on(setting, link.name) or not transact(self.requests, Batch([turning_on(setting, link.index)])):
            self._turned_on.add((link.index, setting))

    def prepare_frames(self, index: int) -> socket.socket | None:
        """Open what sends frames on the interface of that index; None: it is gone, or we may not."""
        frames, link = self._frames.get(index), self.monitor.links.get(index)
        if frames is None and link is not None:
            try:
                frames = self._frames[index] = frame_socket(link.name)
            except OSError:
                return None
        return frames

    def send_frame(self, index: int, frame: bytes) -> bool:
        """Send a whole frame on the interface of that index; whether the kernel took it."""
        frames = self.prepare_frames(index)
        if frames is None:
            return False
        try:
            frames.send(frame)
        except OSError as error:
            if error.errno in (errno.ENXIO, errno.ENODEV):
                self._frames.pop(index).close()
            return False
        return True

    def forget_interface(self, index: int) -> None:
        """The interface is gone; its index may come to mean another."""
        self._turned_on = {known for known in self._turned_on if known[0] != index}
        if frames := self._frames.pop(index, None):
            frames.close()

    def close(self) -> None:
        """Give the sockets back."""
        self.monitor.close()
        self.requests.close()
        for frames in self._frames.values():
            frames.close()
        self._frames.clear()
