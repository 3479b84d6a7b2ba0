"""Routers that send adverts to each other instead of the group."""

from ipaddress import ip_address

import pytest

from benchmarks.peers import BACKUP, MASTER, Keepalived, RouterSettings, Vrrpd
from tests.peers import ADVERT_INT, DEADLINE, VIPS, Network, advert_of, eventually, families, ip_of, settings, start_as
from vrrpd.config.addresses import link_local_of
from vrrpd.lan.capture import Capture
from vrrpd.lan.hosts import Host

pytestmark = pytest.mark.namespaces


def own(host: Host, family: int) -> str:
    """The address that the LAN has numbered it with."""
    return next(str(each.ip) for each in host.addresses() if each.version == family and not each.ip.is_link_local)


def toml(source: str, *peers: str) -> tuple[str, str]:
    return f'unicast_src_ip = "{source}"', f"unicast_peer = {list(peers)!r}"


def keepalived(source: str, *peers: str) -> tuple[str, ...]:
    return f"unicast_src_ip {source}", "unicast_peer {", *peers, "}"


def pair(network: Network, family: int) -> tuple[Vrrpd, Vrrpd, list[str]]:
    hosts = [network.lan.host("r1"), network.lan.host("r2")]
    first, second = addresses = [own(host, family) for host in hosts]
    master = network.vrrpd("r1", settings(family, 200, *toml(first, second)), host=hosts[0])
    backup = network.vrrpd("r2", settings(family, 100, *toml(second, first)), host=hosts[1])
    return master, backup, addresses


@families
def test_adverts_go_to_the_peers_alone_and_a_failover_is_as_ever(network: Network, family: int) -> None:
    master, backup, addresses = pair(network, family)
    with Capture(backup.host) as capture, Capture(network.lan) as flooded:
        start_as(MASTER, master)
        start_as(BACKUP, backup)
        eventually(lambda: backup.router_status()["counters"]["adverts_received"] > 5, "it hears the master")
        frames = capture.adverts()
    assert frames
    assert not flooded.adverts()
    assert {frame.destination_mac for frame in frames} == {backup.mac()}
    assert {str(frame.source) for frame in frames} == {addresses[0]}
    status = backup.router_status()
    assert (status["master_address"], status["unicast_peer"]) == (addresses[0], addresses[:1])
    assert (status["counters"]["adverts_dropped"], status["counters"]["anomalies"]) == ({}, {})
    assert set(status["counters"]["checksum_forms"]) == {"pseudo_header"}
    master.kill()
    backup.wait_until(MASTER, DEADLINE)
    master.start()
    master.wait_until(MASTER, DEADLINE)
    backup.wait_until(BACKUP, DEADLINE)
    master.stop()
    backup.wait_until(MASTER, DEADLINE)


@families
def test_who_is_no_peer_and_who_speaks_to_the_group_is_not_heard(network: Network, family: int) -> None:
    master, backup, addresses = pair(network, family)
    start_as(MASTER, master)
    start_as(BACKUP, backup)
    host = network.lan.host("r3")
    unknown = own(host, family)
    stranger = network.vrrpd("r3", settings(family, 250, *toml(unknown, *addresses)), host=host)
    group = network.vrrpd("r4", settings(family, 251))
    start_as(MASTER, stranger)
    start_as(MASTER, group)
    for daemon in (master, backup):
        eventually(
            lambda: {"source", "destination"} <= set(daemon.router_status()["counters"]["adverts_dropped"]),  # noqa: B023
            "both are dropped",
        )
    assert (master.state(), backup.state(), stranger.state(), group.state()) == (MASTER, BACKUP, MASTER, MASTER)
    # The peers are told of it, and it yields nothing to those that it does not know.
    master.routers = [settings(family, 200, *toml(addresses[0], addresses[1], unknown))]
    master.reload()
    master.wait_until(BACKUP, DEADLINE)
    assert stranger.state() == MASTER


@families
def test_a_source_that_is_missing_is_waited_for(network: Network, family: int) -> None:
    missing = {4: "192.0.2.77", 6: "2001:db8::77"}[family]
    host = network.lan.host("r1")
    daemon = network.vrrpd("r1", settings(family, 200, *toml(missing, own(host, family)[:-1] + "9")), host=host)
    daemon.start()
    daemon.wait_until("FAULT", DEADLINE)
    assert f"eth0 has no {missing} (unicast_src_ip)" in daemon.router_status()["reason"]
    host.add_address(f"{missing}/{ {4: 24, 6: 64}[family] }")
    daemon.wait_until(MASTER, DEADLINE)
    host.delete_address(f"{missing}/{ {4: 24, 6: 64}[family] }")
    daemon.wait_until("FAULT", DEADLINE)


@families
def test_a_reload_that_adds_a_peer_touches_nothing(network: Network, family: int) -> None:
    master, backup, addresses = pair(network, family)
    start_as(MASTER, master)
    start_as(BACKUP, backup)
    host = network.lan.host("r3")
    joining = own(host, family)
    third = network.vrrpd("r3", settings(family, 50, *toml(joining, *addresses)), host=host)
    master.routers = [settings(family, 200, *toml(addresses[0], addresses[1], joining))]
    master.reload()
    start_as(BACKUP, third)
    eventually(lambda: third.router_status()["counters"]["adverts_received"] > 5, "it hears the master")
    assert master.router_status()["counters"]["transitions"] == {"BACKUP": 1, "MASTER": 1}


@pytest.mark.interop
@families
def test_a_keepalived_among_the_peers(network: Network, family: int) -> None:
    hosts = [network.lan.host("ours"), network.lan.host("peer")]
    first, second = (own(host, family) for host in hosts)
    vips = (VIPS[family],) if family == 4 else (f"{link_local_of(51)}", VIPS[family])
    ours = network.vrrpd(
        "ours", RouterSettings(51, vips, advert_int=ADVERT_INT, extra=toml(first, second)), host=hosts[0]
    )
    theirs = RouterSettings(51, vips, priority=200, advert_int=ADVERT_INT, extra=keepalived(second, first))
    peer = network.add(Keepalived, "peer", [theirs], hosts[1])
    start_as(MASTER, ours)
    with Capture(peer.host) as capture:
        peer.start()
        peer.wait_until(MASTER, DEADLINE)
        ours.wait_until(BACKUP, DEADLINE)
        assert ours.router_status()["master_address"] == second
        heard = ours.router_status()["counters"]["adverts_received"]
        eventually(lambda: ours.router_status()["counters"]["adverts_received"] > heard + 5, "it is followed")
        peer.stop()
        ours.wait_until(MASTER, DEADLINE)
        capture.wait_for(advert_of(ours), DEADLINE)
    counters = ours.router_status()["counters"]
    assert (counters["adverts_dropped"], counters["transitions"]) == ({}, {"BACKUP": 2, "MASTER": 2})
    assert ip_address(ip_of(VIPS[family])) in [each.ip for each in ours.host.addresses()]
