"""Interfaces go down and flap, are missing, removed, renamed and made again, and lose their addresses."""

import os
import signal
import time
from collections.abc import Callable
from ipaddress import ip_interface
from pathlib import Path

import pytest

from benchmarks.peers import BACKUP, MASTER, RouterSettings, Vrrpd
from tests.peers import DEADLINE, VIPS, Network, advert_of, alone, eventually, families, ip_of, settings
from vrrpd.lan.capture import Capture
from vrrpd.lan.hosts import Host
from vrrpd.net.addresses import requests
from vrrpd.net.netlink import Batch, route_socket, transact

pytestmark = pytest.mark.namespaces

FAULT = "FAULT"
LINK_FAULTS: dict[str, tuple[Callable[[Host], None], Callable[[Host], None]]] = {
    "carrier": (lambda host: host.cut_carrier(), lambda host: host.restore_carrier()),
    "administrator": (lambda host: host.set_link("eth0", state="down"), lambda host: host.set_link("eth0", state="up")),
}
FLAPS = 6
MANY_INTERFACES = 24
VRRP_GROUP = "120000E0"
"""224.0.0.18 as the kernel prints it."""
OVERFLOWING_ROUNDS = 60
ADDRESSES_A_ROUND = 200


def running(network: Network, router: RouterSettings, state: str = MASTER) -> Vrrpd:
    daemon = network.vrrpd("r1", router)
    daemon.start()
    daemon.wait_until(state, DEADLINE)
    return daemon


def wait_logged(router: Vrrpd, line: str, times: int) -> None:
    eventually(lambda: router.log.count(line) == times, f"{line!r} in the log, {times} times")


def rename(host: Host, before: str, after: str) -> None:
    host.netlink("link", "set", index=host.index(before), ifname=after)


@families
@pytest.mark.parametrize("how", LINK_FAULTS)
def test_link_down_is_a_fault_at_once_and_up_is_waited_for(network: Network, family: int, how: str) -> None:
    router = running(network, alone(family, "link_up_delay = 1.0"))
    host, vip = router.host, ip_of(VIPS[family])
    virtual = [ip_interface(entry["address"]) for entry in router.router_status()["vips"]]
    own = [address for address in host.addresses() if address not in virtual]
    cut, restore = LINK_FAULTS[how]
    cut(host)
    router.wait_until(FAULT, DEADLINE)
    assert not host.has_address(vip)
    assert router.router_status()["reason"] == "eth0 is down or has no carrier"
    assert "somebody deleted" not in router.log
    up_at = time.monotonic()
    restore(host)
    for address in own:
        if address not in host.addresses():  # IPv6 ones went with the link
            host.add_address(str(address))
    with Capture(network.lan) as capture:
        frame = capture.wait_for(advert_of(router), DEADLINE)
    assert frame.time - up_at > 1.0
    router.wait_until(MASTER, DEADLINE)


def test_a_flapping_link_does_not_bring_the_router_back(network: Network) -> None:
    """Each flap starts the delay anew, so no advert leaves in between."""
    router = running(network, alone(4, "link_up_delay = 2.0"))
    router.host.cut_carrier()
    router.wait_until(FAULT, DEADLINE)
    transitions = router.router_status()["counters"]["transitions"]
    with Capture(network.lan) as capture:
        for flap in range(1, FLAPS + 1):
            router.host.restore_carrier()
            wait_logged(router, "ready, sending from", flap + 1)
            router.host.cut_carrier()
            wait_logged(router, "has no carrier; waiting for it", flap + 1)
        assert capture.adverts() == []
        assert router.router_status()["counters"]["transitions"] == transitions
        router.host.restore_carrier()
        capture.wait_for(advert_of(router), DEADLINE)


@families
def test_an_interface_that_is_missing_is_waited_for(network: Network, family: int) -> None:
    host = network.lan.host("r1")
    host.remove_interface()
    router = network.vrrpd("r1", alone(family), host=host)
    router.start()
    router.wait_until(FAULT, DEADLINE)
    assert f"eth0 IPV{family}: eth0 does not exist; waiting for it" in router.log
    host.add_interface("eth0", network.lan)
    router.wait_until(MASTER, DEADLINE)
    assert f"eth0 IPV{family}: ready, sending from" in router.log


@families
@pytest.mark.parametrize("state", [MASTER, BACKUP])
def test_an_interface_that_is_made_again_is_followed(network: Network, family: int, state: str) -> None:
    other = network.vrrpd("r2", settings(family, 200 if state == BACKUP else 50))
    other.start()
    other.wait_until(MASTER, DEADLINE)
    router = running(network, settings(family), state)
    index = router.host.index("eth0")
    router.host.remove_interface()
    router.wait_until(FAULT, DEADLINE)
    if state == MASTER:
        other.wait_until(MASTER, DEADLINE)
    router.host.add_interface("eth0", network.lan)
    assert router.host.index("eth0") != index
    router.wait_until(state, DEADLINE)
    before = router.router_status()["counters"]["adverts_received"]
    if state == BACKUP:
        eventually(lambda: router.router_status()["counters"]["adverts_received"] > before + 3, "it hears the master")
    else:
        other.wait_until(BACKUP, DEADLINE)
        assert router.host.has_address(ip_of(VIPS[family]))


def test_an_interface_that_is_made_again_unseen_with_the_same_index_is_opened_again(network: Network) -> None:
    """The kernel forgot the group; the speaker was not running while it happened."""
    router = running(network, alone(4))
    host = router.host
    router.freeze()
    index = host.index("eth0")
    mac = host.mac()
    host.remove_interface()
    host.netlink("link", "add", ifname="eth0", kind="veth", index=index, address=mac, peer="eth0-far")
    host.set_link("eth0-far", state="up")
    host.set_link("eth0", state="up")
    host.add_address("192.0.2.1/24")
    router.thaw()
    router.wait_until(MASTER, DEADLINE)
    igmp = Path("/proc/thread-self/net/igmp")
    eventually(lambda: VRRP_GROUP in host.call(igmp.read_text), "it has joined the group anew")
    eventually(lambda: host.has_address(ip_of(VIPS[4])), "the address is there")


@families
def test_a_renamed_interface_is_left_and_found_again(network: Network, family: int) -> None:
    router = running(network, alone(family))
    host, vip = router.host, ip_of(VIPS[family])
    rename(host, "eth0", "wan0")
    router.wait_until(FAULT, DEADLINE)
    assert "eth0 does not exist" in router.router_status()["reason"]
    eventually(lambda: not host.has_address(vip, "wan0"), "the address leaves the renamed interface")
    rename(host, "wan0", "eth0")
    router.wait_until(MASTER, DEADLINE)
    assert host.has_address(vip)


@families
@pytest.mark.parametrize("unseen", [False, True], ids=["as it happens", "unseen"])
def test_another_interface_that_takes_the_name_is_used(network: Network, family: int, unseen: bool) -> None:
    router = running(network, alone(family))
    host, vip = router.host, ip_of(VIPS[family])
    host.add_interface("eth1", network.lan)
    if unseen:
        router.freeze()
    rename(host, "eth0", "old0")
    rename(host, "eth1", "eth0")
    if unseen:
        router.thaw()
    router.wait_until(MASTER, DEADLINE)
    eventually(lambda: host.has_address(vip), "the address is on the new interface")
    eventually(lambda: not host.has_address(vip, "old0"), "the address is off the old one")
    with Capture(network.lan) as capture:
        capture.wait_for(lambda frame: frame.is_advert and frame.source_mac == host.mac(), DEADLINE)


@families
@pytest.mark.parametrize("state", [MASTER, BACKUP])
def test_adverts_come_from_the_interfaces_address_of_the_moment(network: Network, family: int, state: str) -> None:
    other = network.vrrpd("r2", settings(family, 200))
    if state == BACKUP:
        other.start()
        other.wait_until(MASTER, DEADLINE)
    router = running(network, settings(family, 100, "link_up_delay = 0"), state)
    host = router.host
    new = "192.0.2.201/24" if family == 4 else "fe80::201/64"
    length = ip_interface(new).network.prefixlen
    old = next(
        str(found)
        for found in host.addresses()
        if found.version == family and found.network.prefixlen == length and (family == 4 or found.ip.is_link_local)
    )
    host.delete_address(old)
    router.wait_until(FAULT, DEADLINE)
    assert "to send adverts from" in router.router_status()["reason"]
    assert not host.has_address(ip_of(VIPS[family]))
    host.add_address(new)
    router.wait_until(state, DEADLINE)
    if state == BACKUP:
        other.stop()
    with Capture(network.lan) as capture:
        frame = capture.wait_for(advert_of(router, priority=100), DEADLINE)
    assert str(frame.source) == ip_of(new)
    router.wait_until(MASTER, DEADLINE)
    eventually(lambda: router.router_status()["master_address"] == ip_of(new), "status names it")


def test_a_second_address_keeps_the_source_until_the_first_goes(network: Network) -> None:
    router = running(network, alone(4))
    router.host.sysctl("net.ipv4.conf.all.promote_secondaries", 1)
    router.host.add_address("192.0.2.202/24")
    with Capture(network.lan) as capture:
        assert str(capture.wait_for(advert_of(router), DEADLINE).source) == "192.0.2.1"
        router.host.delete_address("192.0.2.1/24")
        capture.wait_for(lambda frame: frame.is_advert and str(frame.source) == "192.0.2.202", DEADLINE)
    router.wait_until(MASTER, DEADLINE)


def test_a_tentative_link_local_address_is_waited_for(network: Network) -> None:
    host = network.lan.host("r1", dad=True)
    router = network.vrrpd("r1", alone(6), host=host)
    router.start()
    router.wait_until(FAULT, DEADLINE)
    assert "eth0 has no link-local IPv6 address that is ready for use" in router.log
    router.wait_until(MASTER, DEADLINE)
    assert router.router_status()["counters"]["adverts_failed"] == 0
    assert router.router_status()["master_address"] == host.link_local() or host.has_address(ip_of(VIPS[6]))


def test_an_interface_that_loses_ipv6_takes_the_addresses_along(network: Network) -> None:
    """There is nothing left to remove, which is no error, and nothing is held when IPv6 is back."""
    router = running(network, alone(6))
    router.host.set_link("eth0", mtu=1200)
    router.wait_until(FAULT, DEADLINE)
    assert "cannot remove" not in router.log
    router.host.set_link("eth0", mtu=1500)
    router.wait_until(MASTER, DEADLINE)
    assert router.host.has_address(ip_of(VIPS[6]))


def test_more_interfaces_than_a_socket_can_join_groups_on(network: Network) -> None:
    first, second = (network.lan.host(name) for name in ("r1", "r2"))
    routers = []
    for number in range(MANY_INTERFACES):
        name = f"link{number}"
        peer = {"ifname": name, "net_ns_fd": second.namespace.descriptor}
        first.netlink("link", "add", ifname=name, kind="veth", peer=peer)
        for host, last in ((first, 1), (second, 2)):
            host.set_link(name, state="up")
            host.add_address(f"198.51.100.{8 * number + last}/29", name)
        vips = {4: f"198.51.100.{8 * number + 5}/32", 6: f"2001:db8:{number + 1:x}::100/128"}
        routers += [settings(family, interface=name, addresses=(vip,)) for family, vip in vips.items()]
    better = [RouterSettings(r.virtual_router_id, r.addresses, r.interface, 200, r.advert_int) for r in routers]
    daemons = [network.vrrpd("r1", *better, host=first), network.vrrpd("r2", *routers, host=second)]
    for daemon in daemons:
        daemon.start()
    for daemon, state in zip(daemons, (MASTER, BACKUP), strict=True):
        for router in daemon.routers:
            daemon.wait_until(state, DEADLINE, router)
    eventually(
        lambda: min(entry["counters"]["adverts_received"] for entry in daemons[1].status()["routers"]) > 3,
        "the second hears all of them",
    )


def netlink_storm(host: Host) -> None:
    """More news of addresses than the speaker's netlink socket has room for."""
    index = host.index("lo")
    encoded = [
        requests(ip_interface(f"198.51.100.{1 + n}/32"), label=None, noprefixroute=True).on(index)
        for n in range(ADDRESSES_A_ROUND)
    ]

    additions, removals = Batch([each.add for each in encoded]), Batch([each.remove for each in encoded])

    def storm() -> None:
        route = route_socket()
        for _ in range(OVERFLOWING_ROUNDS):
            assert not transact(route, additions)
            assert not transact(route, removals)
        route.close()

    host.call(storm)


def test_an_overflow_of_the_netlink_socket_is_recovered_from(network: Network) -> None:
    router = running(network, alone(4))
    host = router.host
    speaker = router.status()["processes"]["speaker"]
    os.kill(speaker, signal.SIGSTOP)
    try:
        netlink_storm(host)
        host.delete_address(VIPS[4])  # lost in the storm
    finally:
        os.kill(speaker, signal.SIGCONT)
    eventually(lambda: host.has_address(ip_of(VIPS[4])), "the address that went unseen is put back")
    assert router.state() == MASTER
    host.cut_carrier()  # and it hears what comes after
    router.wait_until(FAULT, DEADLINE)
    host.restore_carrier()
    router.wait_until(MASTER, DEADLINE)
