"""The kernel removes the addresses of a daemon that is dead or hangs; those of one that lives stay."""

import time

import pytest

from benchmarks.peers import MASTER, Vrrpd
from tests.peers import DEADLINE, VIPS, Network, alone, eventually, families, ip_of
from vrrpd.lan.daemons import RouterSettings

pytestmark = pytest.mark.namespaces

LEASE = 2
"""Seconds, the shortest."""
HOSTS_OWN = "192.0.2.77/32"


def master(network: Network, *routers: RouterSettings) -> Vrrpd:
    daemon = network.add(Vrrpd, "r1", routers)
    daemon.top = [f"vip_lease = {LEASE}"]
    daemon.start()
    daemon.wait_until(MASTER, DEADLINE)
    return daemon


def lifetime(daemon: Vrrpd, address: str) -> int:
    """The valid lifetime in seconds that the kernel has for it."""
    for message in daemon.host.netlink("get_addr", index=daemon.host.index("eth0")):
        if (message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")) == ip_of(address):
            return int(message.get_attr("IFA_CACHEINFO")["ifa_valid"])
    raise LookupError(address)


@families
@pytest.mark.parametrize("how", ["kill", "freeze"])
def test_addresses_go_with_every_process_of_the_daemon(network: Network, family: int, how: str) -> None:
    daemon = master(network, alone(family))
    daemon.host.add_address(HOSTS_OWN)
    vip = ip_of(VIPS[family])
    assert daemon.host.has_address(vip)
    others = {str(address) for address in daemon.host.addresses() if not is_ours(str(address.ip), vip)}
    getattr(daemon, how)()
    eventually(lambda: not daemon.host.has_address(vip), "the kernel has removed the address")
    assert {str(address) for address in daemon.host.addresses()} - {"fe80::200:5eff:fe00:233/128"} == others


def is_ours(address: str, vip: str) -> bool:
    return address in {vip, "fe80::200:5eff:fe00:233"}


@pytest.mark.lan
@families
def test_addresses_of_a_live_daemon_outlast_many_leases(network: Network, family: int) -> None:
    daemon = master(network, alone(family))
    vip = ip_of(VIPS[family])
    until = time.monotonic() + 3 * LEASE
    while time.monotonic() < until:
        assert daemon.host.has_address(vip)
        assert 0 <= lifetime(daemon, vip) <= LEASE
        time.sleep(0.02)
    status = daemon.router_status()
    assert status["counters"]["addresses_restored"] == 0
    assert status["counters"]["transitions"] == {"BACKUP": 1, "MASTER": 1}


@families
def test_without_a_lease_addresses_are_for_ever(network: Network, family: int) -> None:
    daemon = network.add(Vrrpd, "r1", [alone(family)])
    daemon.top = ["vip_lease = 0"]
    daemon.start()
    daemon.wait_until(MASTER, DEADLINE)
    assert lifetime(daemon, VIPS[family]) == 0xFFFFFFFF


@families
def test_a_reload_changes_the_lease_of_addresses_that_are_there(network: Network, family: int) -> None:
    daemon = master(network, alone(family))
    for lease, expected in ((0, {0xFFFFFFFF}), (100, {98, 99}), (LEASE, {0, 1})):
        daemon.top = [f"vip_lease = {lease}"]
        daemon.reload()
        wait_for_lifetime(daemon, VIPS[family], expected)
    assert daemon.router_status()["counters"]["transitions"] == {"BACKUP": 1, "MASTER": 1}


def wait_for_lifetime(daemon: Vrrpd, address: str, expected: set[int]) -> None:
    eventually(lambda: lifetime(daemon, address) in expected, f"a lifetime of {expected} s")


@pytest.mark.lan
def test_an_interface_that_is_gone_does_not_end_the_renewals_elsewhere(network: Network) -> None:
    """What cannot be renewed is reported; what can be is."""
    client = network.lan.host("r1")
    client.add_interface("eth1", network.lan)
    daemon = network.add(
        Vrrpd,
        "r1",
        [alone(4), alone(4, vrid=52, interface="eth1", addresses=("192.0.2.110/32",))],
        host=client,
    )
    daemon.top = [f"vip_lease = {LEASE}"]
    daemon.start()
    for router in daemon.routers:
        daemon.wait_until(MASTER, DEADLINE, router)
    client.remove_interface("eth1")
    daemon.wait_until("FAULT", DEADLINE, daemon.routers[1])
    until = time.monotonic() + 2 * LEASE
    while time.monotonic() < until:
        assert client.has_address(ip_of(VIPS[4]))
        time.sleep(0.05)
