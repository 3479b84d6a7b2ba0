"""Virtual addresses on real interfaces: their routes, beside the host's own, after a crash, deleted by hand."""

import json
import re
import time
from collections.abc import Mapping
from ipaddress import ip_interface

import pytest

from benchmarks.peers import BACKUP, MASTER, Vrrpd
from tests.peers import DEADLINE, VIPS, Network, alone, eventually, families, ip_of, settings
from vrrpd.lan.capture import Capture
from vrrpd.lan.hosts import Host, Interface

pytestmark = pytest.mark.namespaces

MAIN_TABLE = 254
MANY = 200
Entry = Mapping[str, object]
"""Of `virtual_ipaddress`, in its long form."""


def routes(host: Host, ifname: str) -> set[str]:
    """What the main table has for the interface, without what IPv6 adds to every one."""
    found = host.netlink("get_routes", oif=host.index(ifname), table=MAIN_TABLE)
    prefixes = {f"{route.get_attr('RTA_DST')}/{route['dst_len']}" for route in found}
    return {prefix for prefix in prefixes if not prefix.startswith(("ff00:", "fe80::/"))}


def present(host: Host, address: str, ifname: str = "eth0") -> bool:
    """Whether the address is there with exactly that prefix length."""
    return ip_interface(address) in host.addresses(ifname)


def configure(router: Vrrpd, *entries: str | Entry) -> None:
    """Write its configuration with these `virtual_ipaddress` entries instead of its own."""
    router.write_configuration()
    written = ", ".join(json.dumps(entry) if isinstance(entry, str) else inline_table(entry) for entry in entries)
    text = router.configuration.read_text()
    router.configuration.write_text(re.sub(r"(?<=\nvirtual_ipaddress = \[).*(?=\]\n)", written, text))


def inline_table(entry: Entry) -> str:
    return "{ " + ", ".join(f"{key} = {json.dumps(value)}" for key, value in entry.items()) + " }"


def run_as_master(router: Vrrpd) -> None:
    router.run()
    router.wait_until(MASTER, DEADLINE)


ROUTES: dict[str, dict[str, str]] = {
    "ipv4": {
        "192.0.2.100/32": "",
        "192.0.2.101/24": "",  # the host's own address has brought that route
        "192.0.2.200/28": "",  # and it contains this one
        "198.51.100.17/28": "198.51.100.16/28",
        "203.0.113.8/31": "203.0.113.8/31",
        "198.51.100.99/1": "128.0.0.0/1",
    },
    "ipv6": {
        "2001:db8::100/128": "",
        "2001:db8::101/64": "",
        "2001:db8::f001/120": "",
        "2001:db8:1::100/64": "2001:db8:1::/64",
        "2001:db8:2::101/127": "2001:db8:2::100/127",
    },
}
"""Addresses of any prefix length, and the route that each brings to a host with 192.0.2.1/24 and 2001:db8::1/64."""


def routes_while_master(router: Vrrpd, entries: list[Entry]) -> set[str]:
    """What MASTER adds to the routes, and takes along when it goes."""
    before = routes(router.host, "eth0")
    configure(router, *entries)
    run_as_master(router)
    assert all(present(router.host, str(entry["address"])) for entry in entries)
    added = routes(router.host, "eth0") - before
    assert router.stop() == 0
    assert not any(present(router.host, str(entry["address"])) for entry in entries)
    assert routes(router.host, "eth0") == before
    return added


@families
def test_an_address_brings_its_route_only_where_there_is_none(network: Network, family: int) -> None:
    router = network.vrrpd("r1", alone(family))
    expected = ROUTES[f"ipv{family}"]
    assert routes_while_master(router, [{"address": vip} for vip in expected]) == {*expected.values()} - {""}


@families
def test_noprefixroute_is_done_as_it_says(network: Network, family: int) -> None:
    router = network.vrrpd("r1", alone(family))
    vips = ROUTES[f"ipv{family}"]
    assert routes_while_master(router, [{"address": vip, "noprefixroute": True} for vip in vips]) == set()
    inside = list(vips)[2]
    added = routes_while_master(router, [{"address": inside, "noprefixroute": False}])
    assert added == {str(ip_interface(inside).network)}


def test_an_ipv6_address_is_usable_at_once(network: Network) -> None:
    host = network.lan.host("r1", dad=True)
    eventually(host.link_local, "the host's own link-local address")
    router = network.vrrpd("r1", alone(6), host=host)
    router.start()
    with Capture(network.lan) as capture:
        frame = capture.wait_for(lambda frame: str(frame.announces) == "2001:db8::100", DEADLINE)
        usable = host.addresses(tentative=False)
    assert frame.source_mac == host.mac()
    assert ip_interface(VIPS[6]) in usable


def test_an_address_can_have_another_interface_and_a_label(network: Network) -> None:
    router = network.vrrpd("r1", alone(4))
    router.host.add_interface("eth1", network.lan, [])
    configure(router, {"address": "198.51.100.9/24", "dev": "eth1", "label": "eth1:vip"}, "192.0.2.100/32")
    run_as_master(router)
    (entry,) = router.host.netlink("get_addr", index=router.host.index("eth1"), family=2)
    assert (entry.get_attr("IFA_LOCAL"), entry["prefixlen"]) == ("198.51.100.9", 24)
    assert entry.get_attr("IFA_LABEL") == "eth1:vip"
    assert present(router.host, "192.0.2.100/32")
    assert "198.51.100.0/24" in routes(router.host, "eth1")


def test_a_router_needs_the_interface_of_each_address(network: Network) -> None:
    router = network.vrrpd("r1", alone(4))
    router.host.add_interface("eth1", network.lan, [])
    configure(router, "192.0.2.100/32", {"address": "198.51.100.9/24", "dev": "eth1"})
    run_as_master(router)
    router.host.cut_carrier("eth1")
    router.wait_until("FAULT", DEADLINE)
    assert "eth1" in router.router_status()["reason"]
    assert not router.host.has_address("192.0.2.100")
    router.host.restore_carrier("eth1")
    router.wait_until(MASTER, DEADLINE)
    assert router.host.has_address("198.51.100.9", "eth1")


@families
def test_two_hundred_addresses_come_and_go_together(network: Network, family: int) -> None:
    addresses = tuple(f"192.0.2.{20 + n}/32" if family == 4 else f"2001:db8::1:{n:x}/128" for n in range(MANY))
    routers = [network.vrrpd(f"r{p}", settings(family, p, addresses=addresses)) for p in (200, 100)]
    first, second = routers
    for router in routers:
        before = router.host.addresses()
        router.start()
    first.wait_until(MASTER, DEADLINE)
    second.wait_until(BACKUP, DEADLINE)
    assert {ip_interface(address) for address in addresses} <= set(first.host.addresses())
    assert second.host.addresses() == before
    assert second.router_status()["counters"]["adverts_received"] > 0
    assert second.router_status()["counters"]["adverts_dropped"] == {}
    assert first.stop() == 0
    second.wait_until(MASTER, DEADLINE)
    assert {ip_interface(address) for address in addresses} <= set(second.host.addresses())
    assert not {ip_interface(address) for address in addresses} & set(first.host.addresses())


def add_by_hand(host: Host, address: str) -> None:
    """As `ip address replace` does it: what is there already becomes the host's own."""
    host.netlink("addr", "replace", index=host.index("eth0"), address=ip_of(address), prefixlen=int(address[-2:]))


@pytest.mark.parametrize("prefix", ["32", "24"])
@pytest.mark.parametrize("when", ["INIT", BACKUP, MASTER])
def test_the_hosts_own_address_is_adopted_and_stays(network: Network, when: str, prefix: str) -> None:
    router, better = (network.vrrpd(name, settings(4, p)) for name, p in (("r1", 100), ("r2", 200)))
    own = f"192.0.2.100/{prefix}"
    if when == "INIT":
        add_by_hand(router.host, own)
    if when == BACKUP:
        better.start()
        better.wait_until(MASTER, DEADLINE)
    router.start()
    if when == BACKUP:
        router.wait_until(BACKUP, DEADLINE)
        add_by_hand(router.host, own)
        better.stop()
    router.wait_until(MASTER, DEADLINE)
    if when == MASTER:
        add_by_hand(router.host, own)
    eventually(lambda: router.router_status()["vips"][0]["present"], "the address counts as present")
    assert router.stop() == 0
    assert present(router.host, own)
    assert [str(found) for found in router.host.addresses() if str(found.ip) == "192.0.2.100"] == [own]


def test_the_hosts_own_address_that_goes_while_we_are_master_is_put_there_by_us(network: Network) -> None:
    router = network.vrrpd("r1", alone(4))
    router.host.add_address("192.0.2.100/24")
    router.start()
    router.wait_until(MASTER, DEADLINE)
    assert router.router_status()["vips"][0]["hosts_own"]
    router.host.delete_address("192.0.2.100/24")
    eventually(lambda: present(router.host, "192.0.2.100/32"), "our own")
    assert not router.router_status()["vips"][0]["hosts_own"]
    assert router.stop() == 0
    assert not router.host.has_address("192.0.2.100")


OWN = "192.0.2.77/32"
"""An address of the host's own beside the virtual ones."""

RESTARTS: dict[str, tuple[str | Entry, ...]] = {
    "same": ("192.0.2.100/32", "192.0.2.101/24"),
    "other-prefixes": ("192.0.2.100/24", "192.0.2.101/32"),
    "one-of-them": ("192.0.2.101/24",),
    "others": ("192.0.2.102/32",),
    "elsewhere": ({"address": "192.0.2.100/32", "dev": "eth1"},),
}


@pytest.mark.parametrize("entries", RESTARTS.values(), ids=RESTARTS.keys())
def test_what_a_killed_daemon_left_is_removed_by_the_next(network: Network, entries: tuple[str | Entry, ...]) -> None:
    router = network.vrrpd("r1", alone(4))
    router.host.add_interface("eth1", network.lan, [])
    router.host.add_address(OWN)
    before = router.host.addresses()
    configure(router, *RESTARTS["same"])
    run_as_master(router)
    router.kill()
    assert {ip_interface(str(entry)) for entry in RESTARTS["same"]} <= set(router.host.addresses())

    router.routers = [alone(4, advert_int=10)]  # a BACKUP for long, which holds none
    configure(router, *entries)
    router.run()
    router.wait_until(BACKUP, DEADLINE)
    eventually(lambda: router.host.addresses() == before, "only the host's own addresses")
    assert "which a vrrpd had left" in router.log
    router.stop()
    router.routers = [alone(4)]
    configure(router, *entries)
    run_as_master(router)
    wanted = {ip_interface(str(entry["address"] if isinstance(entry, dict) else entry)) for entry in entries}
    held = set(router.host.addresses()) | set(router.host.addresses("eth1"))
    assert held - set(before) - set(eth1_own(router.host)) == wanted


def eth1_own(host: Host) -> list[Interface]:
    return [address for address in host.addresses("eth1") if address.version == 6]


def test_removing_a_leftover_does_not_take_the_owners_address_along(network: Network) -> None:
    """The kernel deletes what is secondary to a deleted address, unless promote_secondaries is set."""
    router = network.vrrpd("r1", settings(4, 255))
    router.host.add_interface("eth1", network.lan, [])
    router.host.sysctl("net.ipv4.conf.all.promote_secondaries", 0)
    configure(router, {"address": "198.51.100.1/24", "dev": "eth1"})
    run_as_master(router)
    router.kill()
    configure(router, {"address": "198.51.100.2/24", "dev": "eth1"})
    run_as_master(router)
    eventually(lambda: not present(router.host, "198.51.100.1/24", "eth1"), "the leftover is gone")
    eventually(lambda: present(router.host, "198.51.100.2/24", "eth1"), "the owner's address is there")
    assert router.router_status()["vips"][0]["present"]


@pytest.mark.parametrize("entries", [("198.51.100.1/24", "198.51.100.2/24", "198.51.100.3/24")])
def test_a_reload_that_drops_the_primary_keeps_its_secondaries(network: Network, entries: tuple[str, ...]) -> None:
    router = network.vrrpd("r1", alone(4))
    router.host.add_interface("eth1", network.lan, [])
    router.host.sysctl("net.ipv4.conf.all.promote_secondaries", 0)
    tables = [{"address": address, "dev": "eth1"} for address in entries]
    configure(router, *tables)
    run_as_master(router)
    configure(router, *tables[1:])
    router.host.run(["kill", "-HUP", str(router.status()["processes"]["supervisor"])])
    eventually(lambda: not present(router.host, entries[0], "eth1"), "the dropped address is gone")
    assert all(present(router.host, entry, "eth1") for entry in entries[1:])
    assert router.state() == MASTER
    assert router.router_status()["counters"]["addresses_restored"] == 0


def test_the_hosts_own_address_beside_a_virtual_one_that_came_first_stays(network: Network) -> None:
    """To the kernel it is secondary to the virtual one."""
    router = network.vrrpd("r1", alone(4))
    router.host.add_interface("eth1", network.lan, [])
    router.host.sysctl("net.ipv4.conf.all.promote_secondaries", 0)
    configure(router, {"address": "198.51.100.1/24", "dev": "eth1"})
    run_as_master(router)
    router.host.add_address("198.51.100.77/24", "eth1")
    assert router.stop() == 0
    assert not present(router.host, "198.51.100.1/24", "eth1")
    assert present(router.host, "198.51.100.77/24", "eth1")
    assert "198.51.100.0/24" in routes(router.host, "eth1")


def test_deleting_the_primary_by_hand_takes_no_virtual_address_for_long(network: Network) -> None:
    router = network.vrrpd("r1", settings(4))
    router.host.add_interface("eth1", network.lan, ["198.51.100.200/24"])
    router.host.sysctl("net.ipv4.conf.all.promote_secondaries", 0)
    vips = [f"198.51.100.{n}/24" for n in range(1, 6)]
    configure(router, *({"address": vip, "dev": "eth1"} for vip in vips))
    run_as_master(router)
    router.host.delete_address("198.51.100.200/24", "eth1")
    eventually(lambda: all(present(router.host, vip, "eth1") for vip in vips), "all of them are back")
    assert router.state() == MASTER
    assert router.router_status()["counters"]["transitions"] == {"BACKUP": 1, "MASTER": 1}
    assert "198.51.100.0/24" in routes(router.host, "eth1")  # their route had gone with the host's address


@families
def test_an_address_deleted_by_hand_is_put_back_ever_later_and_announced(network: Network, family: int) -> None:
    router = network.vrrpd("r1", settings(family, 100, "garp_master_delay = 0"))
    router.start()
    router.wait_until(MASTER, DEADLINE)
    vip = VIPS[family]
    with Capture(network.lan) as capture:
        for count in range(1, 6):
            deleted = time.monotonic()
            router.host.delete_address(vip)
            eventually(lambda: present(router.host, vip), "the address is back")
            capture.wait_for(lambda frame: str(frame.announces) == ip_of(vip), DEADLINE, since=deleted)
            counted = router.router_status()["counters"]["addresses_restored"]
            assert counted == count
    delays = [float(delay) for delay in re.findall(r"putting it back in (\S+) s", router.log)]
    assert delays == [0.01, 0.02, 0.04, 0.08, 0.16]
    assert router.router_status()["counters"]["transitions"] == {"BACKUP": 1, "MASTER": 1}


def test_an_address_deleted_while_backup_stays_away(network: Network) -> None:
    """Nobody else may hold it there either: what the host adds itself is its own."""
    router, better = (network.vrrpd(name, settings(4, p)) for name, p in (("r1", 100), ("r2", 200)))
    better.start()
    better.wait_until(MASTER, DEADLINE)
    router.start()
    router.wait_until(BACKUP, DEADLINE)
    router.host.add_address(VIPS[4])
    router.host.delete_address(VIPS[4])
    better.stop()
    router.wait_until(MASTER, DEADLINE)
    assert not router.router_status()["vips"][0]["hosts_own"]
    assert router.stop() == 0
    assert not router.host.has_address(ip_of(VIPS[4]))


@pytest.mark.parametrize("back_at_once", [True, False])
def test_a_flush_of_the_interface_is_survived(network: Network, back_at_once: bool) -> None:
    router = network.vrrpd("r1", alone(4))
    router.start()
    router.wait_until(MASTER, DEADLINE)
    router.host.netlink("flush_addr", index=router.host.index("eth0"))
    if not back_at_once:
        router.wait_until("FAULT", DEADLINE)
    router.host.add_address("192.0.2.1/24")
    eventually(lambda: router.state() == MASTER and present(router.host, VIPS[4]), "MASTER again, with the address")
