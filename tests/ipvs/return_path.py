"""Whether replies of NAT's real servers come back through the director; the same tests on each kernel."""

from collections.abc import Iterator
from functools import partial
from ipaddress import ip_address, ip_interface
from typing import ClassVar

import pytest

from tests.ipvs.cluster import PORT, Cluster, Served
from tests.ipvs.servers import listens, serve
from tests.peers import eventually, families
from vrrpd.config.services import RealServerSettings, VirtualServerSettings
from vrrpd.director.masquerade import Masquerade, masqueraded
from vrrpd.ipvs.model import Method, Protocol, RealServer, RealServerKey, ServiceAddress, virtual_server
from vrrpd.lan.hosts import Host, Lan

OTHER_PORT = 81
"""Of a virtual server that is not NAT's, at the same address."""
NO_ANSWER = 2.0
"""Seconds without an answer after which there will be none; for what must not work."""


class ReturningCluster(Cluster):
    """A cluster with NAT, and the masquerading of its director."""

    def __init__(self, front: Lan, back: Lan | None, family: int) -> None:
        super().__init__(front, back, family, Method.NAT)
        self.director.sysctl("net.ipv4.vs.conntrack", 1)
        self.masquerade = Masquerade()
        self.wait_for_servers()
        self.program(1, 1)

    def masquerade_as_needed(self) -> None:
        """As the configuration demands it where the director has its addresses from VRRP."""
        vip = ip_address(self.vip)
        own = [ip_interface(f"{vip}/{24 if self.family == 4 else 64}")]
        if self.has_back:
            own += [entry for entry in self.director.addresses("eth1") if entry.version == self.family]
        real_servers = tuple(
            RealServerSettings(ip_address(self.address(host)), self.port) for host in self.real_servers
        )
        server = VirtualServerSettings("web", (ServiceAddress(Protocol.TCP, vip, PORT),), real_servers)
        self.director.call(self.masquerade.want, masqueraded([server], own))

    def add_server_without_nat(self, lan: Lan, method: Method) -> None:
        """Another virtual server at the same address, with a real server of its own by DR or TUN."""
        host = lan.host("r3")
        ifname = "lo"
        if method is Method.TUN:
            ifname = "tunnel"
            kind = "ipip" if self.family == 4 else "ip6tnl"
            host.run(["ip", "link", "add", ifname, "type", kind, "local", self.address(host)])
            host.set_link(ifname, state="up")
            if self.family == 6:  # else IPVS has the tunnel come from the virtual address, the real server's own
                change = ["ip", "address", "change", f"{self.vip}/128", "dev", "eth0", "preferred_lft", "0"]
                self.director.run(change)
        self.give_vip(host, ifname)
        serve(host, OTHER_PORT)
        eventually(partial(listens, host, self.address(host), OTHER_PORT), "the real server listens")
        key = ServiceAddress(Protocol.TCP, ip_address(self.vip), OTHER_PORT)
        real = RealServer(RealServerKey(ip_address(self.address(host)), OTHER_PORT), method)
        self.program(1, 1, others=[virtual_server(key, (real,))])

    def both(self, host: Host) -> list[Served]:
        """Connections of a host to each of the real servers, closed."""
        served = [self.connect(host) for _ in self.real_servers]
        for one in served:
            one.connection.close()
        assert {one.by for one in served} == {"r1", "r2"}
        return served

    def close(self) -> None:
        self.director.call(self.masquerade.close)
        self.ipvs.close()


class ReturnPath:
    """Real servers beside the client, without a route through the director, and behind the director."""

    firewall: ClassVar[type]
    """What this kernel is to be told it by."""

    @pytest.fixture
    def lan(self) -> Iterator[Lan]:
        with Lan() as made:
            yield made

    @pytest.fixture
    def beside(self, lan: Lan, family: int) -> Iterator[ReturningCluster]:
        made = ReturningCluster(lan, None, family)
        yield made
        made.close()

    @pytest.fixture
    def behind(self, family: int) -> Iterator[ReturningCluster]:
        with Lan() as front, Lan("198.51.100.0/24", "2001:db8:1::/64") as back:
            made = ReturningCluster(front, back, family)
            yield made
            made.close()

    @families
    def test_replies_come_back_with_it_alone(self, beside: ReturningCluster) -> None:
        with pytest.raises(TimeoutError):
            beside.connect(timeout=NO_ANSWER)
        beside.masquerade_as_needed()
        assert type(beside.masquerade._firewall) is self.firewall
        director = beside.address(beside.director)
        assert {served.client for served in beside.both(beside.client)} == {director}
        beside.director.call(beside.masquerade.want, frozenset())
        with pytest.raises(TimeoutError):
            beside.connect(timeout=NO_ANSWER)

    @families
    def test_real_servers_are_clients_too(self, beside: ReturningCluster) -> None:
        (real_server, _) = beside.real_servers
        with pytest.raises(TimeoutError):
            beside.connect(real_server, timeout=NO_ANSWER)
        beside.masquerade_as_needed()
        beside.both(real_server)

    @families
    def test_a_connection_goes_on_when_new_ones_are_masqueraded_no_more(self, beside: ReturningCluster) -> None:
        beside.masquerade_as_needed()
        connection = beside.connect().connection
        another = ip_address(beside.vip) + 1  # with the last one all of NAT goes
        beside.director.call(beside.masquerade.want, {another})
        with pytest.raises(TimeoutError):
            beside.connect(timeout=NO_ANSWER)
        connection.sendall(b"still there?")
        assert connection.recv(64) == b"still there?"
        connection.close()

    @families
    def test_a_restart_hurts_no_connection(self, beside: ReturningCluster) -> None:
        beside.masquerade_as_needed()
        connection = beside.connect().connection
        beside.masquerade = Masquerade()  # what the earlier one left is replaced
        beside.masquerade_as_needed()
        connection.sendall(b"still there?")
        assert connection.recv(64) == b"still there?"
        connection.close()
        beside.both(beside.client)

    @families
    def test_ipvs_must_tell_conntrack_of_its_connections(self, beside: ReturningCluster) -> None:
        beside.masquerade_as_needed()
        beside.director.sysctl("net.ipv4.vs.conntrack", 0)
        with pytest.raises(TimeoutError):
            beside.connect(timeout=NO_ANSWER)

    @families
    def test_behind_the_director_the_client_keeps_its_address(self, behind: ReturningCluster) -> None:
        behind.masquerade_as_needed()
        client = behind.address(behind.client)
        assert {served.client for served in behind.both(behind.client)} == {client}

    @families
    @pytest.mark.parametrize("method", [Method.DR, Method.TUN], ids=["dr", "tun"])
    def test_who_is_served_otherwise_at_the_same_address_keeps_its_own(
        self, beside: ReturningCluster, lan: Lan, method: Method
    ) -> None:
        beside.add_server_without_nat(lan, method)
        beside.masquerade_as_needed()
        served = beside.connect(port=OTHER_PORT)
        assert (served.by, served.client) == ("r3", beside.address(beside.client))
        served.connection.sendall(b"still there?")
        assert served.connection.recv(64) == b"still there?"
        served.connection.close()
        assert served.client not in {one.client for one in beside.both(beside.client)}
