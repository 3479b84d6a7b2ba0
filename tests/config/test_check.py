"""What `vrrpd check` says of the instances of one host."""

from ipaddress import ip_interface

import pytest
from msgspec.structs import replace

from vrrpd.config.check import findings
from vrrpd.config.findings import Level
from vrrpd.config.host import HostAddress, Interface, Interfaces, present_interfaces
from vrrpd.config.load import parse

MASTER_AT_ONCE = (
    "VI_1: VRID 51 on eth0 (IPv4), priority 255, owner of the addresses: becomes master as soon as it starts or its "
    "link is back; yields only to another owner with a higher address"
)


def interface(*addresses: str, up: bool = True, usable: bool = True, ours: bool = False) -> Interface:
    return Interface(up, tuple(HostAddress(ip_interface(address), usable, ours) for address in addresses))


ETH0 = {"eth0": interface("192.0.2.1/24", "fe80::1/64")}


def instance(addresses: str = '["192.0.2.100/24"]', extra: str = "", name: str = "VI_1", dev: str = "eth0") -> str:
    return (
        f'[[vrrp_instance]]\nname = "{name}"\ninterface = "{dev}"\nvirtual_router_id = 51\n'
        f"virtual_ipaddress = {addresses}\n{extra}\n"
    )


def said(text: str, interfaces: Interfaces) -> list[str]:
    return list(map(str, findings(parse(text, "vrrpd.toml"), interfaces)))


def warned(text: str, interfaces: Interfaces) -> list[str]:
    found = findings(parse(text, "vrrpd.toml"), interfaces)
    return [finding.text for finding in found if finding.level is Level.WARNING]


def test_programs_that_are_tracked_or_not() -> None:
    scripts = (
        '[[vrrp_script]]\nname = "a"\nscript = "/bin/true"\n'
        '[[vrrp_script]]\nname = "b"\nscript = "/no/such/program"\ntimeout = 5\n'
        '[[vrrp_script]]\nname = "c"\nscript = "/bin/true"\n'
        '[[vrrp_script]]\nname = "d"\nscript = "/bin"\n'
    )
    assert said(instance(extra='track_script = ["a", "b", "d"]') + scripts, ETH0)[1:] == [
        "vrrp_script a: it runs as vrrpd does; let nobody else write to it",
        "vrrp_script b: warning: /no/such/program is not there, or cannot be executed, at present",
        "vrrp_script b: a run that takes longer than interval, 1 s, puts the next one off",
        "vrrp_script b: it runs as vrrpd does; let nobody else write to it",
        "vrrp_script c: warning: it never runs: no [[vrrp_instance]] has it in its track_script",
        "vrrp_script d: warning: /bin is not there, or cannot be executed, at present",
        "vrrp_script d: it runs as vrrpd does; let nobody else write to it",
    ]


def test_a_program_to_notify_that_is_a_directory() -> None:
    assert "/bin is not there, or cannot be executed, at present" in warned(instance(extra='notify = "/bin"'), ETH0)


def test_weights_move_no_owner() -> None:
    script = '[[vrrp_script]]\nname = "a"\nscript = "/bin/true"\nweight = -20\n'
    owner = instance(extra='priority = 255\ntrack_script = ["a"]')
    assert warned(owner + script, {"eth0": interface("192.0.2.100/24")}) == [
        "weights have no effect on an owner (priority 255); use 1-254, or no weights"
    ]


def test_an_instance_without_surprises_says_when_it_becomes_master() -> None:
    assert said(instance(extra="priority = 150"), ETH0) == [
        (
            "VI_1: VRID 51 on eth0 (IPv4), priority 150: becomes master 3.41 s after the last advert of a silent "
            "master, 0.41 s after one that resigns; yields to a priority above 150, or to an equal one with a higher "
            "address"
        )
    ]


def test_short_times_are_told_in_milliseconds_and_short_intervals_with_their_price() -> None:
    first, second = said(instance(extra="advert_int = 0.01"), ETH0)
    assert "becomes master 36.1 ms after the last advert of a silent master, 6.1 ms after one that resigns" in first
    assert second == (
        "VI_1: warning: advert_int 0.01: if this host or the network stalls for 30.0 ms, a backup takes over for no "
        "other reason; run vrrpd with real-time priority (CPUSchedulingPolicy=fifo)"
    )
    assert not warned(instance(extra="advert_int = 0.1"), ETH0)


def test_nopreempt_never_takes_back() -> None:
    (text,) = warned(instance(extra="nopreempt = true"), ETH0)
    assert text == (
        "nopreempt: it takes over from a master that is silent or resigns, never from a live one; after a failover the "
        "other router stays master, even with a lower priority"
    )


def test_preempt_delay_is_explained_or_has_no_effect() -> None:
    assert said(instance(extra="preempt_delay = 20"), ETH0)[1] == (
        "VI_1: preempt_delay: a live master of lower priority is let be for 20.00 s; a silent one is replaced at once"
    )
    assert warned(instance(extra="preempt_delay = 20\nnopreempt = true"), ETH0)[1] == (
        "preempt_delay has no effect, since nopreempt rules preemption out; remove one"
    )
    owner = {"eth0": interface("192.0.2.100/24")}
    assert warned(instance(extra="preempt_delay = 20\npriority = 255"), owner) == [
        "preempt_delay has no effect on an owner (priority 255); remove it"
    ]


def test_an_owner_has_the_addresses() -> None:
    text = instance(extra="priority = 255")
    assert said(text, {"eth0": interface("192.0.2.100/24")}) == [MASTER_AT_ONCE]
    complaint = (
        "priority 255 says that this host owns 192.0.2.100, but none of its interfaces has it; use 1-254 unless it is "
        "added before vrrpd starts"
    )
    assert warned(text, ETH0) == [complaint]
    put_there_by_us = {"eth0": interface("192.0.2.100/24", ours=True), "eth1": ETH0["eth0"]}
    assert complaint in warned(text, put_there_by_us)


def test_an_address_of_the_hosts_own_does_not_move() -> None:
    host = {"eth0": interface("192.0.2.1/24"), "eth1": interface("192.0.2.100/32")}
    assert warned(instance(), host) == [
        (
            "192.0.2.100 is on eth1 as the host's own address: it is left there whoever is master, so that two hosts "
            "answer for it after a failover; take it out of the host's network configuration"
        )
    ]


def test_an_address_that_vrrpd_has_added_is_no_news() -> None:
    own, ours = interface("192.0.2.1/24").addresses, interface("192.0.2.100/24", ours=True).addresses
    assert not warned(instance(), {"eth0": Interface(addresses=own + ours)})


@pytest.mark.parametrize(
    ("addresses", "interfaces", "expected"),
    [
        (
            '["192.0.2.100/24"]',
            {},
            "eth0 does not exist on this host at present: FAULT until it does, then it takes part",
        ),
        (
            '["192.0.2.100/24"]',
            {"eth0": interface("192.0.2.1/24", up=False)},
            "eth0 is down or has no carrier at present: FAULT until it has",
        ),
        (
            '["192.0.2.100/24"]',
            {"eth0": interface("fe80::1/64")},
            "eth0 has no IPv4 address of its own at present to send adverts from: FAULT until it has",
        ),
        (
            '["2001:db8::1/64"]',
            {"eth0": interface("192.0.2.1/24", "2001:db8::2/64")},
            "eth0 has no usable link-local IPv6 address at present to send adverts from: FAULT until it has",
        ),
        (
            '["2001:db8::1/64"]',
            {"eth0": interface("fe80::1/64", usable=False)},
            "eth0 has no usable link-local IPv6 address at present to send adverts from: FAULT until it has",
        ),
        (
            '["192.0.2.100/24"]',
            {"eth0": interface("192.0.2.100/24", ours=True)},
            "eth0 has no IPv4 address of its own at present to send adverts from: FAULT until it has",
        ),
    ],
)
def test_an_interface_that_cannot_serve_at_present(addresses: str, interfaces: Interfaces, expected: str) -> None:
    assert warned(instance(addresses), interfaces) == [expected]


def test_virtual_addresses_on_an_interface_that_does_not_exist() -> None:
    elsewhere = '{ address = "192.0.2.101/24", dev = "eth1" }, { address = "192.0.2.102/24", dev = "eth1" }'
    missing = (
        "eth1, which is to carry 192.0.2.101, 192.0.2.102, does not exist on this host at present: FAULT until it does"
    )
    assert warned(instance(f'["192.0.2.100/24", {elsewhere}]'), ETH0) == [missing]
    assert warned(instance(f"[{elsewhere}]"), ETH0) == [missing]


@pytest.mark.parametrize(
    ("entry", "warns"),
    [
        ('"192.0.2.100"', False),
        ('"192.0.2.100/24"', False),
        ('"198.51.100.1/24"', False),
        ('"198.51.100.1"', True),
        ('{ address = "198.51.100.1/24", noprefixroute = true }', True),
        ('{ address = "198.51.100.1", dev = "lo" }', False),
    ],
)
def test_an_address_without_a_route_to_its_neighbours(entry: str, warns: bool) -> None:
    shown = "198.51.100.1/24" if "/24" in entry else "198.51.100.1/32"
    expected = (
        f"none of the networks of eth0 has {shown}: replies to neighbours take the default route; give each its "
        "network's prefix length, or eth0 an address of that network"
    )
    assert warned(instance(f"[{entry}]"), {**ETH0, "lo": Interface()}) == ([expected] if warns else [])


def test_many_addresses_without_a_route_are_one_finding() -> None:
    entries = ", ".join(f'"198.51.100.{number}/32"' for number in range(1, 21))
    (finding,) = warned(instance(f"[{entries}]"), ETH0)
    assert finding.startswith("none of the networks of eth0 has 198.51.100.1/32, 198.51.100.2/32, 198.51.100.3/32, ")
    assert "198.51.100.5/32 and 15 more: " in finding


def test_an_ipv6_instance_says_what_it_advertises_first() -> None:
    assert said(instance('["2001:db8::1/64"]'), ETH0)[1:] == [
        (
            "VI_1: advertises fe80::200:5eff:fe00:233, made of the VRID, first, as IPv6 needs a link-local address; a "
            "router of another make in this VRID must be given the same"
        )
    ]
    assert len(said(instance('["fe80::7", "2001:db8::1/64"]'), ETH0)) == 1


def test_a_checksum_that_peers_drop() -> None:
    assert warned(instance(extra='checksum = "message"'), ETH0) == [
        'checksum = "message": keepalived and FRR drop such adverts, so beside them there would be two masters'
    ]


def test_one_vrid_in_both_families_is_right() -> None:
    assert said(instance() + instance('["fe80::7"]', name="VI_6"), ETH0)[-1] == (
        "VI_6: shares VRID 51 on eth0 with VI_1, which is right for IPv4 beside IPv6; each has an election of its own"
    )


def test_one_address_on_two_interfaces_is_doubtful() -> None:
    text = instance() + instance(name="VI_2", dev="eth1")
    assert warned(text, {**ETH0, "eth1": ETH0["eth0"]}) == [
        "192.0.2.100 is to be on eth1 and, with VI_1, on eth0; is it meant?"
    ]


def test_the_interfaces_of_this_host() -> None:
    loopback = present_interfaces()["lo"]
    assert all(entry.usable and not entry.ours for entry in loopback.addresses)


def ipv6_addresses(count: int) -> str:
    """For IPv6 the link-local address comes on top."""
    return str([f"2001:db8::1:{number:x}/64" for number in range(1, count)])


def test_adverts_that_need_fragments() -> None:
    eth0 = {"eth0": interface("fe80::1/64", "2001:db8::1/64")}
    assert not warned(instance(ipv6_addresses(90)), eth0)
    assert warned(instance(ipv6_addresses(91)), eth0) == [
        (
            "an advert with 91 addresses has 1504 bytes, more than the MTU of eth0 (1500): it is sent in fragments, "
            "which firewalls may drop, and is lost with any of them; spread the addresses over instances with 90 at "
            "most"
        )
    ]
    jumbo = {"eth0": replace(eth0["eth0"], mtu=9000)}
    assert not warned(instance(ipv6_addresses(255)), jumbo)


def test_no_number_of_ipv4_addresses_needs_fragments_at_the_usual_mtu() -> None:
    addresses = str([f"192.0.2.{number}/24" for number in range(2, 255)] + ["198.51.100.1", "198.51.100.2"])
    assert not [text for text in warned(instance(addresses), ETH0) if "fragments" in text]
    assert [
        text for text in warned(instance(addresses), {"eth0": replace(ETH0["eth0"], mtu=1000)}) if "243 at most" in text
    ]
