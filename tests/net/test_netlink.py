"""Netlink messages as bytes: whatever comes in is read without an error, and what goes out is as pyroute2 reads it."""

import errno
import socket
import struct
from ipaddress import IPv4Interface, IPv6Interface

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg

from vrrpd.net.addresses import ADDRESS_PROTOCOL, IFA_F_NODAD, IFA_F_NOPREFIXROUTE, requests
from vrrpd.net.netlink import HEADER, Batch, Message, attributes, read, route_socket, split, transact

PAYLOADS = st.binary(max_size=64)
ATTRIBUTES = st.dictionaries(st.integers(0, 0x3FFF), PAYLOADS, max_size=8)


def packed(kind: int, sequence: int, payload: bytes) -> bytes:
    length = HEADER.size + len(payload)
    return HEADER.pack(length, kind, 0, sequence, 0) + payload + bytes(-length % 4)


@given(st.lists(st.builds(Message, st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF), PAYLOADS), max_size=6))
def test_messages_come_apart_as_they_were_put_together(messages: list[Message]) -> None:
    data = b"".join(packed(message.type, message.sequence, message.payload) for message in messages)
    assert list(split(data)) == messages


@given(st.binary(max_size=256))
def test_arbitrary_bytes_come_apart_without_an_error(data: bytes) -> None:
    assert sum(HEADER.size + len(message.payload) for message in split(data)) <= len(data)


@given(ATTRIBUTES, st.binary(max_size=8))
def test_attributes_come_apart_as_they_were_put_together(expected: dict[int, bytes], head: bytes) -> None:
    payload = head
    for kind, value in expected.items():
        payload += struct.pack("=HH", 4 + len(value), kind | 0x8000) + value + bytes(-len(value) % 4)
    assert attributes(payload, len(head)) == expected


@given(st.binary(max_size=256), st.integers(0, 300))
def test_arbitrary_attributes_come_apart_without_an_error(payload: bytes, start: int) -> None:
    assert all(len(value) <= len(payload) for value in attributes(payload, start).values())


@pytest.mark.parametrize(
    ("interface", "family", "flags"),
    [
        (IPv4Interface("192.0.2.100/24"), socket.AF_INET, 0),
        (IPv6Interface("2001:db8::100/64"), socket.AF_INET6, IFA_F_NODAD),
    ],
)
@pytest.mark.parametrize("noprefixroute", [False, True])
def test_an_address_is_encoded_once_and_completed_with_the_interface(
    interface: IPv4Interface | IPv6Interface, family: int, flags: int, noprefixroute: bool
) -> None:
    encoded = requests(interface, label=None, noprefixroute=noprefixroute).on(7)
    for data in (encoded.add, encoded.remove):
        message = ifaddrmsg(data)
        message.decode()
        assert (message["family"], message["prefixlen"], message["index"]) == (family, interface.network.prefixlen, 7)
        assert message.get_attr("IFA_LOCAL") == str(interface.ip)
    message = ifaddrmsg(encoded.add)
    message.decode()
    assert message.get_attr("IFA_FLAGS") == flags | (IFA_F_NOPREFIXROUTE if noprefixroute else 0)
    assert message.get_attr("IFA_PROTO") == ADDRESS_PROTOCOL


def test_nothing_is_read_from_a_quiet_socket_and_an_empty_batch_is_no_request() -> None:
    with route_socket() as route:
        assert read(route) == []
        assert transact(route, Batch([])) == {}


def test_a_batch_goes_on_past_errors_and_tells_them_by_position() -> None:
    bad = requests(IPv4Interface("192.0.2.1/32"), label=None, noprefixroute=True).on(0x7FFFFFFF)
    with route_socket() as route:
        failed = transact(route, Batch([bad.remove, bad.add, bad.remove]))
        assert {at: error.errno for at, error in failed.items()}.keys() == {0, 1, 2}
        assert failed[0].errno in (errno.ENODEV, errno.EPERM)  # EPERM for who may not change addresses
        assert read(route) == []  # nothing is left for the next batch to trip over


def test_more_requests_than_a_datagram_takes_are_all_answered() -> None:
    bad = requests(IPv4Interface("192.0.2.1/32"), label=None, noprefixroute=True).on(0x7FFFFFFF)
    with route_socket() as route:
        failed = transact(route, Batch([bad.remove] * 5000))
        assert failed.keys() == set(range(5000))
        assert read(route) == []


def test_a_socket_that_is_gone_is_the_error_of_every_request() -> None:
    with route_socket() as route:
        pass
    assert {error.errno for error in transact(route, Batch([b"\0" * 24] * 3)).values()} == {errno.EBADF}
