"""Who is master, with a keepalived or an FRR in the same VRID: each takes over from the other, and gives way to it."""

from collections.abc import Iterator

import pytest

from benchmarks.peers import BACKUP, MASTER, Daemon
from tests.interop.pair import Pair, Peer, peers
from tests.peers import DEADLINE, VIPS, Network, advert_of, eventually, families, ip_of, settings, wait_served_by
from vrrpd.lan.capture import Capture
from vrrpd.lan.hosts import Host
from vrrpd.lan.probe import Prober

pytestmark = [pytest.mark.interop, pytest.mark.lan]

SEVERAL = {
    4: ("192.0.2.100/32", "192.0.2.7/32", "192.0.2.101/32"),
    6: ("2001:db8::100/128", "2001:db8::7/128", "2001:db8::101/128"),
}


class Client:
    """A host that pings the address all the time.

    It soon asks again for the hardware address of one that does not answer, since nobody announces the addresses when a
    partition heals and the worse master hears the better one first: keepalived and FRR say nothing when they step down,
    and an FRR that stays master announces nothing when it hears a worse one.
    """

    def __init__(self, network: Network, family: int) -> None:
        self.host = network.lan.host("client")
        neighbours = f"net.ipv{family}.neigh.eth0"
        for key, value in {"base_reachable_time_ms": 1000, "delay_first_probe_time": 1, "retrans_time_ms": 100}.items():
            self.host.sysctl(f"{neighbours}.{key}", value)
        self.address = ip_of(VIPS[family])
        self.prober = Prober(self.host, self.address, interval=0.005)

    def wait_served_by(self, daemon: Daemon) -> None:
        """Wait until the daemon's host answers, and the client has the hardware address that the daemon announces."""
        wait_served_by(self.prober, daemon)
        eventually(lambda: self.neighbour() == daemon.mac(), f"the client sends to {daemon.mac()}")

    def neighbour(self) -> str | None:
        """The hardware address that it sends to."""
        (entry,) = self.host.netlink("get_neighbours", dst=self.address)
        mac: str | None = entry.get_attr("NDA_LLADDR")
        return mac

    def wait_until_only_master(self, master: Daemon, backup: Daemon) -> None:
        """Wait until there is one master, and it serves the client."""
        eventually(lambda: (master.state(), backup.state()) == (MASTER, BACKUP), f"{master.name} is the only master")
        self.wait_served_by(master)


@pytest.fixture
def client(network: Network, family: int) -> Iterator[Client]:
    made = Client(network, family)
    with made.prober:
        yield made


@peers
@families
def test_a_better_peer_is_followed_replaced_and_yielded_to(
    network: Network, client: Client, make: type[Peer], family: int
) -> None:
    pair = Pair(network, make, settings(family, 100), settings(family, 200))
    ours, peer = pair.ours, pair.peer
    with Capture(network.lan) as capture:
        peer.start()
        peer.wait_until(MASTER, DEADLINE)
        ours.start()
        ours.wait_until(BACKUP, DEADLINE)
        pair.we_follow_in_silence(capture)
        status = ours.router_status()
        assert (status["master_priority"], status["master_address"]) == (200, str(capture.adverts()[-1].source))
        client.wait_until_only_master(peer, ours)

        peer.host.silence()
        ours.wait_until(MASTER, DEADLINE)
        assert ours.router_status()["reason"] == "the master is silent"
        client.wait_served_by(ours)
        peer.host.unsilence()
        client.wait_until_only_master(peer, ours)
        assert not ours.host.has_address(ip_of(VIPS[family]))

        peer.stop()
        ours.wait_until(MASTER, DEADLINE)
        assert ours.router_status()["reason"] == "the master resigned"
        client.wait_served_by(ours)
        peer.start()
        client.wait_until_only_master(peer, ours)


@peers
@families
def test_a_worse_peer_follows_replaces_and_yields(
    network: Network, client: Client, make: type[Peer], family: int
) -> None:
    pair = Pair(network, make, settings(family, 200), settings(family, 100))
    ours, peer = pair.ours, pair.peer
    with Capture(network.lan) as capture:
        ours.start()
        ours.wait_until(MASTER, DEADLINE)
        peer.start()
        peer.wait_until(BACKUP, DEADLINE)
        pair.peer_follows_in_silence(capture)
        client.wait_until_only_master(ours, peer)

        ours.host.silence()
        peer.wait_until(MASTER, DEADLINE)
        client.wait_served_by(peer)
        ours.host.unsilence()
        client.wait_until_only_master(ours, peer)

        ours.stop()
        peer.wait_until(MASTER, DEADLINE)
        client.wait_served_by(peer)
        assert not ours.host.has_address(ip_of(VIPS[family]))
        ours.start()
        client.wait_until_only_master(ours, peer)
        assert peer.objections() == []
        counters = pair.our_counters()
        assert (counters["anomalies"], counters["adverts_dropped"]) == ({}, {})


@peers
@families
def test_without_preemption_the_better_one_waits(network: Network, make: type[Peer], family: int) -> None:
    """First the one, then the other comes to a worse master; each takes over when that one goes. Several addresses."""
    several = SEVERAL[family]
    pair = Pair(
        network,
        make,
        settings(family, 200, preempt=False, addresses=several),
        settings(family, 100, addresses=several),
    )
    ours, peer = pair.ours, pair.peer
    with Capture(network.lan) as capture:
        peer.start()
        peer.wait_until(MASTER, DEADLINE)
        ours.start()
        ours.wait_until(BACKUP, DEADLINE)
        pair.we_follow_in_silence(capture)
        assert (ours.state(), peer.state()) == (BACKUP, MASTER)
        peer.stop()
        ours.wait_until(MASTER, DEADLINE)
    assert all(ours.host.has_address(ip_of(address)) for address in several)

    peer.routers = [settings(family, 220, preempt=False, addresses=several)]
    with Capture(network.lan) as capture:
        peer.start()
        peer.wait_until(BACKUP, DEADLINE)
        pair.peer_follows_in_silence(capture)
        assert (ours.state(), peer.state()) == (MASTER, BACKUP)
        ours.stop()
        peer.wait_until(MASTER, DEADLINE)


LOW = ("192.0.2.10/24", "2001:db8::10/64", "fe80::1/64")
HIGH = ("192.0.2.20/24", "2001:db8::20/64", "fe80::ffff:ffff:ffff:fff0/64")
"""Addresses to send from. FRR has a random link-local one between these."""


def host_at(network: Network, name: str, addresses: tuple[str, str, str]) -> Host:
    """A host that sends from these addresses, and from no other."""
    host = network.lan.host(name, addresses[:2])
    host.delete_address(f"{host.link_local()}/64")
    host.add_address(addresses[2])
    return host


@peers
@families
@pytest.mark.parametrize("we_win", [True, False], ids=["ours-is-higher", "ours-is-lower"])
def test_of_equals_the_higher_address_wins_when_a_partition_heals(
    network: Network, client: Client, make: type[Peer], family: int, we_win: bool
) -> None:
    our_addresses, peer_addresses = (HIGH, LOW) if we_win else (LOW, HIGH)
    our_host, peer_host = host_at(network, "ours", our_addresses), host_at(network, "peer", peer_addresses)
    pair = Pair(network, make, settings(family), settings(family), our_host, peer_host)
    ours, peer = pair.ours, pair.peer
    winner, loser = (ours, peer) if we_win else (peer, ours)
    loser.start()
    loser.wait_until(MASTER, DEADLINE)
    winner.start()
    winner.wait_until(BACKUP, DEADLINE)  # addresses are compared by masters alone
    client.wait_until_only_master(loser, winner)
    loser.host.silence()
    with Capture(network.lan) as capture:
        winner.wait_until(MASTER, DEADLINE)
        # An FRR that is master of an IPv6 router has no address to compare until its macvlan is up and it advertises.
        capture.wait_for(advert_of(winner), DEADLINE)
    loser.host.unsilence()
    client.wait_until_only_master(winner, loser)
    assert pair.our_counters()["adverts_dropped"] == {}
    assert peer.objections() == []
