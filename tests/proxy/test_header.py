"""The header, read again by a parser that knows the specification's sections and none of our code."""

import re
import socket
import struct
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vrrpd.ipvs.model import ProxyProtocol
from vrrpd.protocol.advert import IPAddress
from vrrpd.proxy.header import Endpoint, header

V1, V2 = ProxyProtocol
EXAMPLES = {
    # Section 2.1, "TCP/IPv4"; and section 2.2's fields, one after the other.
    (V1, "198.51.100.22", "203.0.113.7", 35646, 80): b"PROXY TCP4 198.51.100.22 203.0.113.7 35646 80\r\n",
    (V1, "2001:db8::1", "2001:db8:0:1::", 1, 65535): b"PROXY TCP6 2001:db8::1 2001:db8:0:1:: 1 65535\r\n",
    (V2, "198.51.100.22", "203.0.113.7", 35646, 80): bytes.fromhex(
        "0d0a0d0a000d0a515549540a 21 11 000c c6336416 cb007107 8b3e 0050"
    ),
    (V2, "2001:db8::1", "2001:db8::2", 1, 65535): bytes.fromhex(
        "0d0a0d0a000d0a515549540a 21 21 002420010db8000000000000000000000001 20010db8000000000000000000000002 0001 ffff"
    ),
}


@pytest.mark.parametrize(("given_", "expected"), EXAMPLES.items())
def test_it_is_as_the_specification_has_it(given_: tuple[ProxyProtocol, str, str, int, int], expected: bytes) -> None:
    form, source, destination, source_port, port = given_
    kind = IPv6Address if ":" in source else IPv4Address
    assert header(form, (kind(source), source_port), (kind(destination), port)) == expected


def parse_v1(line: bytes) -> tuple[IPAddress, IPAddress, int, int]:
    """Section 2.1: 107 octets at most, one space between two words, ports without leading zeros."""
    assert len(line) <= 107
    found = re.fullmatch(rb"PROXY TCP([46]) (\S+) (\S+) (0|[1-9]\d{0,4}) (0|[1-9]\d{0,4})\r\n", line)
    assert found
    family = socket.AF_INET if found[1] == b"4" else socket.AF_INET6
    packed = [socket.inet_pton(family, found[each].decode("ascii")) for each in (2, 3)]
    source, destination = (IPv4Address(each) if len(each) == 4 else IPv6Address(each) for each in packed)
    return source, destination, int(found[4]), int(found[5])


def parse_v2(octets: bytes) -> tuple[IPAddress, IPAddress, int, int]:
    """Section 2.2."""
    assert octets[:12] == bytes.fromhex("0D0A0D0A000D0A515549540A")
    assert octets[12] >> 4 == 2  # the version
    assert octets[12] & 15 == 1  # PROXY
    assert octets[13] & 15 == 1  # STREAM
    assert len(octets) - 16 == int.from_bytes(octets[14:16], "big")
    if octets[13] >> 4 == 1:
        old = struct.unpack("!4s4sHH", octets[16:])
        return IPv4Address(old[0]), IPv4Address(old[1]), old[2], old[3]
    assert octets[13] >> 4 == 2
    new = struct.unpack("!16s16sHH", octets[16:])
    return IPv6Address(new[0]), IPv6Address(new[1]), new[2], new[3]


ports = st.integers(0, 65535)


@given(
    st.sampled_from([(V1, parse_v1), (V2, parse_v2)]),
    st.one_of(*(st.tuples(*2 * (st.tuples(st.ip_addresses(v=version), ports),)) for version in (4, 6))),
)
def test_a_real_server_reads_what_was_meant(form_and_parser: tuple, ends: tuple[Endpoint, Endpoint]) -> None:  # type: ignore[type-arg]
    form, parse = form_and_parser
    (source, source_port), (destination, port) = ends
    assert parse(header(form, *ends)) == (source, destination, source_port, port)
