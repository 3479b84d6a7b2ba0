"""Connections through virtual servers that we have programmed: client, director and two real servers on real LANs."""

import ipaddress
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial

import pytest

from tests.peers import eventually
from vrrpd.ipvs.kernel import Ipvs
from vrrpd.ipvs.model import Method, Protocol, RealServer, RealServerKey, Scheduler, ServiceAddress, virtual_server
from vrrpd.ipvs.reconciler import Reconciler
from vrrpd.lan.hosts import Host, Lan

VIPS = {4: "192.0.2.100", 6: "2001:db8::100"}
PORT, REAL_PORT = 80, 8080
TIMEOUT = 20.0
"""Seconds after which an answer will not come any more, however slow the machine is."""
CONNECTIONS = 10

# Greets with its name, then says back whatever it hears.
SERVER = """
import socket, sys, threading
def serve(connection):
    connection.sendall(sys.argv[1].encode() + b"\\n")
    while heard := connection.recv(64):
        connection.sendall(heard)
server = socket.create_server(("::", int(sys.argv[2])), family=socket.AF_INET6, dualstack_ipv6=True)
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
"""

families = pytest.mark.parametrize("family", [4, 6], ids=["ipv4", "ipv6"])


class Cluster:
    """A client and a director on one LAN, and real servers on another behind the director, or beside it."""

    def __init__(self, front: Lan, back: Lan, family: int, method: Method) -> None:
        self.family = family
        self.vip = VIPS[family]
        self.method = method
        self.client = front.host("client")
        self.director = front.host("director")
        self.port = REAL_PORT if method is Method.NAT else PORT
        if method is Method.NAT:
            self.director.add_interface("eth1", back)
            for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
                self.director.sysctl(key, 1)
        self.director.add_address(f"{self.vip}/{32 if family == 4 else 128}")
        self.real_servers = [self._real_server(back if method is Method.NAT else front, name) for name in ("r1", "r2")]
        self.ipvs = self.director.call(Ipvs)
        self.reconciler = Reconciler(self.ipvs)

    def _real_server(self, lan: Lan, name: str) -> Host:
        host = lan.host(name)
        if self.method is Method.NAT:
            host.route("default", self.address(self.director, "eth1"))
        else:
            for key in ("arp_ignore", "arp_announce"):
                host.sysctl(f"net.ipv4.conf.all.{key}", 1 if key == "arp_ignore" else 2)
            host.add_address(f"{self.vip}/{32 if self.family == 4 else 128}", "lo")
        host.popen([sys.executable, "-c", SERVER, name, str(self.port)])
        return host

    def address(self, host: Host, ifname: str = "eth0") -> str:
        """The host's own one of the family."""
        own = (entry.ip for entry in host.addresses(ifname) if entry.version == self.family)
        return str(next(address for address in own if not address.is_link_local))

    def program(self, *weights: int) -> None:
        """Have the real servers have these weights; those beyond the list are not there."""
        key = ServiceAddress(Protocol.TCP, ipaddress.ip_address(self.vip), PORT)
        reals = tuple(
            RealServer(RealServerKey(ipaddress.ip_address(self.address(host)), self.port), self.method, weight)
            for host, weight in zip(self.real_servers, weights, strict=False)
        )
        self.reconciler.want({key: virtual_server(key, reals, scheduler=Scheduler.RR)})
        assert self.reconciler.refusals == ()

    def wait_for_servers(self) -> None:
        """Until each real server listens."""
        for host in self.real_servers:
            eventually(partial(self.listens, host), "the real server listens")

    def listens(self, host: Host) -> bool:
        try:
            host.call(socket.create_connection, (self.address(host), self.port), 1).close()
        except OSError:
            return False
        return True

    def connect(self) -> tuple[str, socket.socket]:
        """A connection of the client to the virtual server: who answered, and the connection."""
        connection = self.client.call(socket.create_connection, (self.vip, PORT), TIMEOUT)
        return connection.recv(64).decode().strip(), connection

    def who_answers(self) -> Counter[str]:
        """Who answers so many connections, one after another."""
        answered: Counter[str] = Counter()
        for _ in range(CONNECTIONS):
            name, connection = self.connect()
            connection.close()
            answered[name] += 1
        return answered


@pytest.fixture(params=[Method.NAT, Method.DR], ids=["nat", "dr"])
def cluster(request: pytest.FixtureRequest, family: int) -> Iterator[Cluster]:
    with Lan() as front, Lan("198.51.100.0/24", "2001:db8:1::/64") as back:
        made = Cluster(front, back, family, request.param)
        made.wait_for_servers()
        yield made
        made.ipvs.close()


@families
def test_connections_are_shared_out(cluster: Cluster) -> None:
    cluster.program(1, 1)
    assert cluster.who_answers() == {"r1": CONNECTIONS / 2, "r2": CONNECTIONS / 2}


@families
def test_a_drained_real_server_keeps_what_it_has_and_gets_nothing_new(cluster: Cluster) -> None:
    cluster.program(1)
    name, connection = cluster.connect()
    assert name == "r1"
    cluster.program(0, 1)
    assert cluster.who_answers() == {"r2": CONNECTIONS}
    connection.sendall(b"still there?")
    assert connection.recv(64) == b"still there?"
    connection.close()


@families
def test_clients_are_refused_where_there_is_no_real_server(cluster: Cluster) -> None:
    cluster.program(1)
    cluster.program()
    with pytest.raises(OSError, match="refused"):
        cluster.connect()
