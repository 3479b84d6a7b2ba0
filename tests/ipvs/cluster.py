"""A virtual server that we have programmed, its real servers and a client, on real LANs."""

import ipaddress
import socket
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from tests.ipvs.servers import listens, serve
from tests.peers import eventually
from vrrpd.ipvs.kernel import Ipvs
from vrrpd.ipvs.model import (
    Method,
    Protocol,
    RealServer,
    RealServerKey,
    Scheduler,
    ServiceAddress,
    VirtualServer,
    virtual_server,
)
from vrrpd.ipvs.reconciler import Reconciler
from vrrpd.lan.hosts import Host, Lan

VIPS = {4: "192.0.2.100", 6: "2001:db8::100"}
PORT, REAL_PORT = 80, 8080
TIMEOUT = 20.0
"""Seconds after which an answer will not come any more, however slow the machine is."""
CONNECTIONS = 10


class Served(NamedTuple):
    """A connection to a virtual server, and what the real server says of it."""

    by: str
    client: str
    """The address of the client as the real server sees it."""
    connection: socket.socket


class Cluster:
    """A client and a director on one LAN, and real servers on it, or on another one behind the director.

    Args:
        front: the LAN of the client.
        back: that of the real servers; of NAT's, the director is their gateway there. None: the client's.
        family: 4 or 6.
        method: how packets get to the real servers.
    """

    def __init__(self, front: Lan, back: Lan | None, family: int, method: Method) -> None:
        self.family = family
        self.vip = VIPS[family]
        self.method = method
        self.client = front.host("client")
        self.director = front.host("director")
        self.port = REAL_PORT if method is Method.NAT else PORT
        if method is Method.NAT:
            for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
                self.director.sysctl(key, 1)
        self.director.add_address(f"{self.vip}/{32 if family == 4 else 128}")
        self.has_back = back is not None
        if back is not None:
            self.director.add_interface("eth1", back)
        self.real_servers = [self._real_server(back or front, name) for name in ("r1", "r2")]
        if back is not None:
            for host in self.real_servers:
                host.route("default", self.address(self.director, "eth1"))
        self.ipvs = self.director.call(Ipvs)
        self.reconciler = Reconciler(self.ipvs)

    def _real_server(self, lan: Lan, name: str) -> Host:
        host = lan.host(name)
        if self.method is Method.DR:
            self.give_vip(host, "lo")
        serve(host, self.port)
        return host

    def give_vip(self, host: Host, ifname: str) -> None:
        """Have the host take packets for the virtual address, without its LAN hearing of it."""
        for key, value in (("arp_ignore", 1), ("arp_announce", 2)):
            host.sysctl(f"net.ipv4.conf.all.{key}", value)
        host.add_address(f"{self.vip}/{32 if self.family == 4 else 128}", ifname)

    def address(self, host: Host, ifname: str = "eth0") -> str:
        """The host's own one of the family."""
        own = (entry.ip for entry in host.addresses(ifname) if entry.version == self.family)
        return str(next(address for address in own if not address.is_link_local))

    def program(self, *weights: int, others: Sequence[VirtualServer] = ()) -> None:
        """Have the real servers have these weights; those beyond the list are not there.

        Args:
            weights: of the real servers in their order.
            others: virtual servers beside this one.
        """
        key = ServiceAddress(Protocol.TCP, ipaddress.ip_address(self.vip), PORT)
        reals = tuple(
            RealServer(RealServerKey(ipaddress.ip_address(self.address(host)), self.port), self.method, weight)
            for host, weight in zip(self.real_servers, weights, strict=False)
        )
        servers = [virtual_server(key, reals, scheduler=Scheduler.RR), *others]
        self.reconciler.want({server.key: server for server in servers})
        assert self.reconciler.refusals == ()

    def wait_for_servers(self) -> None:
        """Until each real server listens."""
        for host in self.real_servers:
            eventually(partial(listens, host, self.address(host), self.port), "the real server listens")

    def connect(self, host: Host | None = None, timeout: float = TIMEOUT, port: int = PORT) -> Served:
        """A connection of the client, or another host, to the virtual server, or to another one at its address.

        Raises:
            TimeoutError: nobody answers.
            OSError: it is refused.
        """
        connection = (host or self.client).call(socket.create_connection, (self.vip, port), timeout)
        by, client = connection.recv(64).decode().split()
        return Served(by, client, connection)

    def who_answers(self) -> Counter[str]:
        """Who answers so many connections, one after another."""
        answered: Counter[str] = Counter()
        for _ in range(CONNECTIONS):
            served = self.connect()
            served.connection.close()
            answered[served.by] += 1
        return answered
