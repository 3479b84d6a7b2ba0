"""What is said of wrong virtual addresses."""

import pytest

from tests.config.samples import (
    BASE,
    NEVER,
    USE_ADDRESS,
    USE_BOOLEAN,
    USE_HOST,
    USE_INTERFACE,
    USE_LABEL,
    problems_of,
)
from vrrpd.config.problems import Problem


@pytest.mark.parametrize(
    ("entry", "key", "wrong", "remedy"),
    [
        ("7", "", "7 is not a string", USE_ADDRESS),
        ("[]", "", "a list is not a string", USE_ADDRESS),
        ('""', "", '"" is not an IP address', USE_ADDRESS),
        ('"vip.example"', "", '"vip.example" is not an IP address', USE_ADDRESS),
        ('"192.0.2.256"', "", '"192.0.2.256" is not an IP address', USE_ADDRESS),
        ('"192.0.2.1/"', "", '"192.0.2.1/" has no valid prefix length', "use /1 to /32, as its network has, or none"),
        (
            '"192.0.2.1/33"',
            "",
            '"192.0.2.1/33" has no valid prefix length',
            "use /1 to /32, as its network has, or none",
        ),
        ('"192.0.2.1/0"', "", '"192.0.2.1/0" has no valid prefix length', "use /1 to /32, as its network has, or none"),
        (
            '"192.0.2.1/255.255.255.0"',
            "",
            '"192.0.2.1/255.255.255.0" has no valid prefix length',
            "use /1 to /32, as its network has, or none",
        ),
        (
            '"2001:db8::1/129"',
            "",
            '"2001:db8::1/129" has no valid prefix length',
            "use /1 to /128, as its network has, or none",
        ),
        (
            '"192.0.2.1/24 dev eth0"',
            "",
            '"192.0.2.1/24 dev eth0" has more than an address',
            'use a table: { address = "ADDRESS/PREFIX", dev = "eth0" }',
        ),
        ('"fe80::1%eth0"', "", '"fe80::1%eth0" has a scope', "leave it out and name the interface with dev"),
        ('"192.0.2.0/24"', "", '"192.0.2.0/24" is the address of its network', USE_HOST),
        ('"192.0.2.255/24"', "", '"192.0.2.255/24" is the broadcast address of its network', USE_HOST),
        ('"2001:db8::/64"', "", '"2001:db8::/64" is the address of its network', USE_HOST),
        ('"224.0.0.18"', "", '"224.0.0.18" is a multicast address', USE_HOST),
        ('"ff02::12"', "", '"ff02::12" is a multicast address', USE_HOST),
        ('"0.0.0.0"', "", '"0.0.0.0" is the unspecified address', USE_HOST),
        ('"::"', "", '"::" is the unspecified address', USE_HOST),
        ('"127.0.0.1"', "", '"127.0.0.1" is a loopback address, which never leaves the host', USE_HOST),
        ('"::1"', "", '"::1" is a loopback address, which never leaves the host', USE_HOST),
        ('"255.255.255.255"', "", '"255.255.255.255" is a reserved address', USE_HOST),
        ('"::ffff:192.0.2.1"', "", '"::ffff:192.0.2.1" is 192.0.2.1 in the form for IPv6 sockets', USE_HOST),
        ("{}", ".address", "the key is missing", 'add address = "ADDRESS/PREFIX"'),
        ("{ address = 1 }", ".address", "1 is not a string", USE_ADDRESS),
        ('{ address = "192.0.2.1", dev = "" }', ".dev", "the name is empty", USE_INTERFACE),
        ('{ address = "192.0.2.1", noprefixroute = 1 }', ".noprefixroute", "1 is not a boolean", USE_BOOLEAN),
        ('{ address = "192.0.2.1", label = 1 }', ".label", "1 is not a string", USE_LABEL),
        ('{ address = "192.0.2.1", label = "" }', ".label", '"" cannot be a label', USE_LABEL),
        ('{ address = "192.0.2.1", label = "eth0:a b" }', ".label", '"eth0:a b" cannot be a label', USE_LABEL),
        (
            '{ address = "192.0.2.1", label = "eth0:0123456789a" }',
            ".label",
            '"eth0:0123456789a" has 16 bytes, 15 is the limit',
            USE_LABEL,
        ),
        (
            '{ address = "192.0.2.1", label = "vip" }',
            ".label",
            '"vip" does not begin with the interface "eth0"',
            'use "eth0" or "eth0:WORD": other tools show it only so',
        ),
        (
            '{ address = "192.0.2.1", dev = "eth1", label = "eth0:vip" }',
            ".label",
            '"eth0:vip" does not begin with the interface "eth1"',
            'use "eth1" or "eth1:WORD": other tools show it only so',
        ),
        (
            '{ address = "2001:db8::1", label = "eth0:vip" }',
            ".label",
            "it is for IPv4 only, and this is IPv6",
            "remove it",
        ),
        ('{ address = "192.0.2.1", lable = "eth0" }', ".lable", "it is not a known key", "did you mean label?"),
        ('{ address = "192.0.2.1", brd = "+" }', ".brd", NEVER, "remove it"),
    ],
)
def test_a_wrong_entry_of_virtual_ipaddress(entry: str, key: str, wrong: str, remedy: str) -> None:
    text = BASE.replace('["192.0.2.100/24"]', f"[\n  # the first\n  {entry}, # comment\n]")
    expected = Problem("vrrpd.toml", 9, f"vrrp_instance[0].virtual_ipaddress[0]{key}", wrong, remedy)
    assert problems_of(text) == (expected,)


def test_addresses_of_one_instance_differ_and_are_of_one_family() -> None:
    text = BASE.replace('["192.0.2.100/24"]', '[\n"192.0.2.1/24",\n"192.0.2.1/32",\n"2001:db8::1"]')
    second, third = problems_of(text)
    assert second == Problem(
        "vrrpd.toml", 9, "vrrp_instance[0].virtual_ipaddress[1]", "192.0.2.1 is in the list already", "remove it"
    )
    assert third == Problem(
        "vrrpd.toml",
        10,
        "vrrp_instance[0].virtual_ipaddress[2]",
        "2001:db8::1 is IPv6, the first address of the list is IPv4",
        "move it to another [[vrrp_instance]]: an instance has one family",
    )


@pytest.mark.parametrize(
    ("pattern", "count", "wrong"),
    [
        ("10.0.0.{}", 256, "256 addresses are too many"),
        ("fe80::{:x}", 256, "256 addresses are too many"),
        ("2001:db8::{:x}", 255, "256 addresses, with the link-local one are too many"),
    ],
)
def test_more_addresses_than_an_advert_has_room_for(pattern: str, count: int, wrong: str) -> None:
    addresses = [pattern.format(host) for host in range(1, count + 1)]
    text = BASE.replace('["192.0.2.100/24"]', str(addresses)).replace("10.0.0.256", "10.0.1.1")
    remedy = "an advert has room for 255: move some to another [[vrrp_instance]]"
    assert problems_of(text) == (Problem("vrrpd.toml", 7, "vrrp_instance[0].virtual_ipaddress", wrong, remedy),)
