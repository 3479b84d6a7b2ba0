"""The BPF programs, run by the kernel on a Unix socket: it gives the program the payload, as a raw IPv6 socket does."""

import socket
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vrrpd.net import filters
from vrrpd.protocol.advert import Family

PACKETS = st.binary(max_size=40)
VRIDS = st.frozensets(st.integers(1, 255), max_size=255)
IPV4_HEADER = 20


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    sender, receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.setblocking(False)
    with sender, receiver:
        yield sender, receiver


def passes(pair: tuple[socket.socket, socket.socket], program: list[filters.Instruction], packet: bytes) -> bool:
    sender, receiver = pair
    filters.attach(receiver, program)
    try:
        sender.send(packet)
        received = receiver.recv(1 << 16)
    except (PermissionError, BlockingIOError):  # a Unix socket tells the sender that the filter refused
        return False
    assert received == packet
    return True


def with_header(family: Family, message: bytes, options: int) -> bytes:
    """What a raw socket of that family delivers: IPv4 with its header, IPv6 without."""
    if family is Family.IPV6:
        return message
    return bytes([0x45 + options]) + bytes(IPV4_HEADER - 1 + 4 * options) + message


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(message=PACKETS, vrids=VRIDS, family=st.sampled_from(Family), options=st.integers(0, 10))
def test_each_packet_passes_exactly_one_of_the_two_filters(
    pair: tuple[socket.socket, socket.socket], message: bytes, vrids: frozenset[int], family: Family, options: int
) -> None:
    packet = with_header(family, message, options)
    if not packet:
        return  # a Unix socket does not filter an empty datagram
    wanted = len(message) < 2 or message[1] in vrids
    assert passes(pair, filters.only(vrids, family), packet) == wanted
    assert passes(pair, filters.all_but(vrids, family), packet) == (not wanted)


@pytest.mark.parametrize("family", Family)
def test_every_vrid_at_once_fits_into_a_filter_that_replaces_another(
    pair: tuple[socket.socket, socket.socket], family: Family
) -> None:
    everything = range(1, 256)
    for vrid in everything:
        assert passes(pair, filters.only(everything, family), with_header(family, bytes([0x31, vrid]), 0))
