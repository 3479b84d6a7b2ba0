"""PING_CHECK, between hosts in namespaces; its raw socket needs rights."""

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from tests.director.checks.asking import Run, asked, patient
from vrrpd.config.services import PingCheck, UdpCheck
from vrrpd.director.checks import ping
from vrrpd.lan.hosts import Host, Lan
from vrrpd.net.filters import attach
from vrrpd.protocol.advert import IPAddress

namespaces = pytest.mark.namespaces

BRIEF = 0.1
"""Seconds after which a ping has failed where nobody answers."""
NO_ANSWER = "no answer within 0.1 s"

PEER = range(2, 32)
"""Numbers of the addresses that the peer has."""

ECHO_OFF = {4: "net.ipv4.icmp_echo_ignore_all", 6: "net.ipv6.icmp.echo_ignore_all"}
REPLY = {4: 0, 6: 129}


class Pair(Struct):
    """The test runs on one host and pings the other."""

    version: int
    own: Host
    peer: Host

    def address(self, number: int) -> IPAddress:
        """That host number of the LAN's."""
        return ip_address(f"192.0.2.{number}" if self.version == 4 else f"2001:db8::{number}")

    @property
    def target(self) -> IPAddress:
        """The peer's."""
        return self.address(PEER[0])


@pytest.fixture(scope="module")
def hosts() -> Iterator[tuple[Host, Host]]:
    with Lan() as lan:
        peer = [f"192.0.2.{number}/24" for number in PEER], [f"2001:db8::{number}/64" for number in PEER]
        yield lan.host("own"), lan.host("peer", [*peer[0], *peer[1]])


@pytest.fixture(params=[4, 6], ids=["ipv4", "ipv6"])
def pair(request: pytest.FixtureRequest, hosts: tuple[Host, Host]) -> Iterator[Pair]:
    made = Pair(request.param, *hosts)
    with made.own.entered():
        yield made
    made.peer.sysctl(ECHO_OFF[made.version], 0)


@namespaces
def test_one_who_answers(run: Run, pair: Pair) -> None:
    assert run(asked(patient(PingCheck), pair.target)) is None


@namespaces
def test_this_host(run: Run, pair: Pair) -> None:
    """Its own requests come in by the same socket."""
    assert run(asked(patient(PingCheck), ip_address("127.0.0.1" if pair.version == 4 else "::1"))) is None


@namespaces
def test_one_who_does_not_answer(run: Run, pair: Pair) -> None:
    pair.peer.sysctl(ECHO_OFF[pair.version], 1)
    assert run(asked(PingCheck(connect_timeout=BRIEF), pair.target)) == NO_ANSWER


@namespaces
def test_no_route(run: Run, pair: Pair) -> None:
    nowhere = ip_address("198.51.100.1" if pair.version == 4 else "2001:db8:ffff::1")
    assert run(asked(patient(PingCheck), nowhere)) == "network is unreachable"


@namespaces
def test_connect_ip_and_bindto(run: Run, pair: Pair) -> None:
    nowhere = ip_address("198.51.100.1" if pair.version == 4 else "2001:db8:ffff::1")
    assert run(asked(patient(PingCheck, connect_ip=pair.target), nowhere)) is None
    assert run(asked(patient(PingCheck, bindto=pair.address(1)), pair.target)) is None
    foreign = patient(PingCheck, bindto=pair.address(77))
    assert run(asked(foreign, pair.target)) == "cannot assign requested address"
    # The peer knows no way back to this one, so it must be where the request comes from.
    pair.own.add_address("203.0.113.1/32" if pair.version == 4 else "2001:db8:aaaa::1/128")
    unknown = ip_address("203.0.113.1" if pair.version == 4 else "2001:db8:aaaa::1")
    assert run(asked(PingCheck(connect_timeout=BRIEF, bindto=unknown), pair.target)) == NO_ANSWER
    pair.own.delete_address(f"{unknown}/{unknown.max_prefixlen}")


@namespaces
def test_many_at_once_do_not_mix_up_their_answers(run: Run, pair: Pair) -> None:
    """Some addresses are asked four times, some do not exist."""
    pings = [*list(PEER) * 4, *range(50, 60)]
    random.shuffle(pings)

    async def main() -> None:
        checks = [patient(PingCheck) if number in PEER else PingCheck(connect_timeout=BRIEF) for number in pings]
        asking = (asked(check, pair.address(number)) for check, number in zip(checks, pings, strict=True))
        assert await asyncio.gather(*asking) == [None if number in PEER else NO_ANSWER for number in pings]

    run(main())


@contextlib.asynccontextmanager
async def answering(pair: Pair, answers: Callable[[bytes], list[bytes]]) -> AsyncIterator[None]:
    """The peer answers each echo request with these messages instead of its kernel's."""
    pair.peer.sysctl(ECHO_OFF[pair.version], 1)
    family, protocol = {4: (socket.AF_INET, socket.IPPROTO_ICMP), 6: (socket.AF_INET6, socket.IPPROTO_ICMPV6)}[
        pair.version
    ]
    loop = asyncio.get_running_loop()
    with pair.peer.call(socket.socket, family, socket.SOCK_RAW, protocol) as sock:
        sock.setblocking(False)
        sock.bind((str(pair.target), 0))  # of its many addresses it answers from the one that was asked

        def readable() -> None:
            packet, client = sock.recvfrom(2048)
            request = packet[20:] if pair.version == 4 else packet
            if request[0] == ping._REQUEST[pair.version]:
                for answer in answers(request):
                    sock.sendto(answer, client)

        loop.add_reader(sock, readable)
        try:
            yield
        finally:
            loop.remove_reader(sock)


def reply(request: bytes, **changes: int | bytes) -> bytes:
    """A right one but for the changes; nothing looks at an echo reply's checksum before a raw IPv4 socket does."""
    _, code, checksum, number = struct.unpack_from("!BBHI", request)
    version = 4 if request[0] == ping._REQUEST[4] else 6
    fields = {"kind": REPLY[version], "code": code, "number": number, "data": request[8:]} | changes
    return struct.pack("!BBHI", fields["kind"], fields["code"], checksum, fields["number"]) + bytes(fields["data"])


def wrong(request: bytes) -> list[bytes]:
    """Answers that are others', or nobody's."""
    (number,) = struct.unpack_from("!I", request, 4)
    return [
        reply(request, number=(number + 1) & 0xFFFFFFFF),
        reply(request, number=number ^ 0x10000),
        reply(request, data=bytes(len(request) - 8)),
        reply(request, data=request[8:-1]),
        reply(request, data=request[8:] + b"x"),
        reply(request, kind=3 if request[0] == ping._REQUEST[4] else 1),
        reply(request)[:4],
    ]


@namespaces
def test_wrong_answers(run: Run, pair: Pair) -> None:
    async def main() -> None:
        async with answering(pair, wrong):
            assert await asked(PingCheck(connect_timeout=BRIEF), pair.target) == NO_ANSWER
        async with answering(pair, lambda request: [*wrong(request), reply(request)]):
            assert await asked(patient(PingCheck), pair.target) is None

    run(main())


@namespaces
def test_a_flood_of_wrong_answers(run: Run, pair: Pair) -> None:
    def flood(request: bytes) -> list[bytes]:
        return [reply(request, data=b"flood")] * 200

    async def main() -> None:
        async with answering(pair, flood):
            assert await asked(PingCheck(connect_timeout=BRIEF), pair.target) == NO_ANSWER

    run(main())


@namespaces
def test_a_host_that_is_not_there_fails_a_udp_check(run: Run, pair: Pair) -> None:
    """Silence is well, but not that of the dead."""
    pair.own.sysctl(f"net.ipv{pair.version}.neigh.eth0.mcast_solicit", 1)
    pair.own.sysctl(f"net.ipv{pair.version}.neigh.eth0.retrans_time_ms", 100)
    assert run(asked(patient(UdpCheck, payload=b"x"), pair.address(99))) == "no route to host"


def test_without_the_right_to_ping(run: Run, address: IPAddress, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> socket.socket:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(ping, "open_socket", refused)
    assert run(asked(patient(PingCheck), address)) == "no right to open a raw socket (CAP_NET_RAW)"


@pytest.mark.parametrize("version", [4, 6])
def test_each_ping_has_a_number_of_its_own(version: int) -> None:
    requests = {ping._echo_request(version, number)[4:8] for number in range(1000)}
    assert len(requests) == 1000


@pytest.mark.parametrize("version", [4, 6])
@given(
    kind=st.sampled_from([0, 8, 128, 129]), near=st.sampled_from([0, 1, 1 << 16, 1 << 31]), options=st.integers(0, 10)
)
def test_the_kernel_wakes_nobody_for_others_pings(version: int, kind: int, near: int, options: int) -> None:
    """Run by the kernel on a Unix socket, which gives the program the payload, as a raw IPv6 socket does."""
    number = 0xC0FFEE01
    header = bytes([0x45 + options]) + bytes(19 + 4 * options) if version == 4 else b""
    packet = header + struct.pack("!BBHI", kind, 0, 0, number ^ near) + b"data"
    sender, receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.setblocking(False)

    def passes(message: bytes) -> bool:
        try:
            sender.send(message)
            return receiver.recv(2048) == message
        except (PermissionError, BlockingIOError):  # whether the sender is told depends on the kernel
            return False

    with sender, receiver:
        attach(receiver, ping._only_reply_to(version, number))
        assert passes(packet) == (kind == REPLY[version] and not near)
        assert not passes(packet[: len(header) + 4])
