"""What the kernel says of interfaces and addresses, and what a monitor makes of it."""

import errno
import socket
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_interface

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vrrpd.net.addresses import ADDRESS_PROTOCOL, RTM_DELADDR, RTM_NEWADDR
from vrrpd.net.links import (
    IFA_F_DADFAILED,
    IFA_F_OPTIMISTIC,
    IFA_F_SECONDARY,
    IFA_F_TENTATIVE,
    IFF_RUNNING,
    IFF_UP,
    RTM_DELLINK,
    RTM_NEWLINK,
    Link,
    LinkMonitor,
)
from vrrpd.net.netlink import Message
from vrrpd.protocol.advert import Family

INDEX = 7
MAC = bytes.fromhex("020000000201")
AF_BRIDGE = 7


@pytest.fixture
def monitor() -> Iterator[LinkMonitor]:
    """One that has heard of no interface yet."""
    made = LinkMonitor()
    made.links.clear()
    made.addresses.clear()
    yield made
    made.close()


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def link(kind: int, name: str = "eth0", flags: int = IFF_UP | IFF_RUNNING, family: int = 0) -> Message:
    head = struct.pack("=BxHiII", family, 1, INDEX, flags, 0)
    return Message(kind, 0, head + attribute(3, name.encode() + b"\0") + attribute(1, MAC))


def address(kind: int, text: str, flags: int = 0, *, ours: bool = False) -> Message:
    interface = ip_interface(text)
    family = socket.AF_INET if interface.version == 4 else socket.AF_INET6
    head = struct.pack("=BBBBI", family, interface.network.prefixlen, flags & 0xFF, 0, INDEX)
    mark = attribute(11, bytes([ADDRESS_PROTOCOL])) if ours else b""
    return Message(kind, 0, head + attribute(1, interface.ip.packed) + attribute(8, struct.pack("=I", flags)) + mark)


def test_a_link_comes_changes_and_goes(monitor: LinkMonitor) -> None:
    up = Link(INDEX, "eth0", "02:00:00:00:02:01", up=True)
    assert monitor._take(link(RTM_NEWLINK)) == (up,)
    assert monitor._take(link(RTM_NEWLINK)) == ()  # nothing new
    for flags in (0, IFF_UP, IFF_RUNNING):
        monitor._take(link(RTM_NEWLINK, flags=flags))
        assert not monitor.links[INDEX].up
    (renamed_from, renamed_to) = monitor._take(link(RTM_NEWLINK, "wan0"))
    assert (renamed_from.name, renamed_to.name) == ("eth0", "wan0")  # type: ignore[union-attr]
    assert monitor.link("eth0") is None
    monitor._take(address(RTM_NEWADDR, "192.0.2.1/24"))
    assert monitor._take(link(RTM_DELLINK, "wan0")) == (renamed_to,)
    assert (monitor.links, monitor.addresses, monitor.removed) == ({}, {}, {INDEX})
    assert monitor._take(link(RTM_DELLINK, "wan0")) == ()


def test_what_a_bridge_tells_of_its_ports_is_no_news_of_the_link(monitor: LinkMonitor) -> None:
    monitor._take(link(RTM_NEWLINK))
    assert monitor._take(link(RTM_DELLINK, family=AF_BRIDGE)) == ()
    assert INDEX in monitor.links


@pytest.mark.parametrize(
    ("flags", "usable"),
    [
        (0, True),
        (IFA_F_TENTATIVE, False),
        (IFA_F_TENTATIVE | IFA_F_OPTIMISTIC, True),
        (IFA_F_DADFAILED, False),
        (IFA_F_TENTATIVE | IFA_F_DADFAILED, False),
    ],
)
def test_a_source_address_must_be_usable(monitor: LinkMonitor, flags: int, usable: bool) -> None:
    monitor._take(address(RTM_NEWADDR, "fe80::1/64", flags))
    source = IPv6Address("fe80::1") if usable else None
    assert monitor.source_address(INDEX, Family.IPV6, frozenset()) == source


def test_the_source_is_the_primary_address_that_is_no_virtual_one(monitor: LinkMonitor) -> None:
    virtual = frozenset({IPv4Address("192.0.2.100")})
    assert monitor.source_address(INDEX, Family.IPV4, virtual) is None
    monitor._take(address(RTM_NEWADDR, "192.0.2.100/24"))  # the owner's, with no other there
    assert monitor.source_address(INDEX, Family.IPV4, virtual) == IPv4Address("192.0.2.100")
    monitor._take(address(RTM_NEWADDR, "192.0.2.9/24", IFA_F_SECONDARY))
    assert monitor.source_address(INDEX, Family.IPV4, virtual) == IPv4Address("192.0.2.9")
    monitor._take(address(RTM_NEWADDR, "198.51.100.1/24"))
    assert monitor.source_address(INDEX, Family.IPV4, virtual) == IPv4Address("198.51.100.1")
    monitor._take(address(RTM_NEWADDR, "2001:db8::1/64"))  # not link-local
    assert monitor.source_address(INDEX, Family.IPV6, virtual) is None


def test_what_bears_our_mark_is_no_source(monitor: LinkMonitor) -> None:
    monitor._take(address(RTM_NEWADDR, "192.0.2.1/24", ours=True))
    assert [(entry.ours, monitor.keeps_marks) for entry in monitor.addresses.values()] == [(True, True)]
    assert monitor.source_address(INDEX, Family.IPV4, frozenset()) is None
    monitor._take(address(RTM_NEWADDR, "192.0.2.1/24"))  # put there again, by somebody else
    assert monitor.source_address(INDEX, Family.IPV4, frozenset()) == IPv4Address("192.0.2.1")
    monitor._take(address(RTM_DELADDR, "192.0.2.1/24"))
    assert monitor.addresses == {}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from([RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR, RTM_DELADDR]),
    payload=st.binary(max_size=8)
    | st.builds(
        lambda family, head, found: bytes([family]) + head + b"".join(attribute(*each) for each in found),
        st.sampled_from([0, socket.AF_INET, socket.AF_INET6, AF_BRIDGE]),
        st.binary(min_size=7, max_size=15),
        st.lists(st.tuples(st.integers(0, 12), st.binary(max_size=20)), max_size=6),
    ),
)
def test_arbitrary_messages_raise_nothing(monitor: LinkMonitor, kind: int, payload: bytes) -> None:
    for change in monitor._take(Message(kind, 0, payload)):
        assert change.index == (struct.unpack_from("=4xi", payload)[0] if isinstance(change, Link) else change.index)


def test_a_new_monitor_has_looked_at_everything() -> None:
    made = LinkMonitor()
    try:
        assert {(index, found.name) for index, found in made.links.items()} == set(socket.if_nameindex())
    finally:
        made.close()


def test_what_is_known_stays_while_it_cannot_be_asked_for_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events were lost, and there is no descriptor to dump by; the next event finds one."""
    monitor = LinkMonitor()
    known = dict(monitor.links)
    assert known

    def lost(_: socket.socket) -> list[Message]:
        raise OSError(errno.ENOBUFS, "no buffer space")

    def refused(*_: object) -> socket.socket:
        raise OSError(errno.EMFILE, "too many open files")

    with monkeypatch.context() as patch:
        patch.setattr("vrrpd.net.links.read", lost)
        patch.setattr("vrrpd.net.links.route_socket", refused)
        assert monitor.read() == []
        assert monitor.links == known
    with monkeypatch.context() as patch:
        patch.setattr("vrrpd.net.links.read", lambda _: [])
        assert {change.index for change in monitor.read() if isinstance(change, Link)} == set(known)
        assert monitor.read() == []
    assert monitor.links == known
    monitor.close()
