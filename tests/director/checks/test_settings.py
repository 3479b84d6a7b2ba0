"""What all kinds of checks have in common: whom they ask, from where, and for how long."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Any

import dns.message
import dns.rrset
import pytest

from tests.director.checks.asking import (
    DEADLINE,
    NETWORK_CHECKS,
    SHORT,
    Run,
    asked,
    patient,
    silent,
    tcp_server,
    udp_server,
)
from vrrpd.config.services import Check, DnsCheck, HttpCheck, MiscCheck, TcpCheck, UdpCheck
from vrrpd.director.checks.probe import probe
from vrrpd.protocol.advert import IPAddress

LOOPBACK = {4: "127.0.0.1", 6: "::1"}
NOBODY = {4: ip_address("127.0.0.99"), 6: ip_address("2001:db8::99")}
"""Addresses at which nobody is asked in vain: the check has a `connect_ip`."""

kinds = pytest.mark.parametrize("kind", NETWORK_CHECKS, ids=lambda kind: kind.__name__)


@dataclasses.dataclass
class Server:
    port: int
    clients: asyncio.Queue[str]


@asynccontextmanager
async def server_for(kind: type[Check], address: IPAddress, *, tls: bool = False) -> AsyncIterator[Server]:
    """A server with which a check of that kind is content, and that remembers who came."""
    clients: asyncio.Queue[str] = asyncio.Queue()

    async def smtp_or_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        clients.put_nowait(writer.get_extra_info("peername")[0])
        if kind is HttpCheck:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        else:
            writer.write(b"220 ready\r\n")
            await reader.readline()
            writer.write(b"250 hello\r\n")
        await silent(reader, writer)

    def dns_or_echo(data: bytes, client: Any) -> bytes:
        clients.put_nowait(client[0])
        return answered(data) if kind is DnsCheck else b"yes"

    if kind in (UdpCheck, DnsCheck):
        async with udp_server(address, dns_or_echo) as port:
            yield Server(port, clients)
    else:
        async with tcp_server(address, smtp_or_http, tls=tls) as port:
            yield Server(port, clients)


def answered(question: bytes) -> bytes:
    response = dns.message.make_response(dns.message.from_wire(question))
    response.answer.append(dns.rrset.from_text(".", 60, "IN", "SOA", "ns. mail. 1 2 3 4 5"))
    return response.to_wire()


@kinds
def test_connect_ip_and_connect_port_are_asked_instead(run: Run, address: IPAddress, kind: type[Check]) -> None:
    async def main() -> None:
        async with server_for(kind, address) as server:
            check = patient(kind, connect_ip=address, connect_port=server.port)
            assert await asked(check, NOBODY[address.version], 1) is None
            assert await asked(patient(kind, connect_port=server.port), address, 1) is None
            assert await asked(patient(kind, connect_ip=address), NOBODY[address.version], server.port) is None

    run(main())


@kinds
def test_bindto_is_where_the_question_comes_from(run: Run, kind: type[Check]) -> None:
    async def main() -> None:
        address = ip_address("127.0.0.1")
        async with server_for(kind, address) as server:
            for source in ("127.0.0.1", "127.0.0.7"):
                settings = {"require_reply": True} if kind is UdpCheck else {}
                check = patient(kind, bindto=ip_address(source), **settings)
                assert await asked(check, address, server.port) is None
                assert await asyncio.wait_for(server.clients.get(), DEADLINE) == source

    run(main())


@kinds
def test_bindto_must_be_an_address_of_this_host_and_of_the_family(
    run: Run, address: IPAddress, kind: type[Check]
) -> None:
    async def main() -> None:
        async with server_for(kind, address) as server:
            own = patient(kind, bindto=ip_address(LOOPBACK[address.version]))
            assert await asked(own, address, server.port) is None
            foreign = patient(kind, bindto=ip_address({4: "192.0.2.222", 6: "2001:db8::222"}[address.version]))
            assert await asked(foreign, address, server.port) == "cannot assign requested address"
            other = ip_address(LOOPBACK[10 - address.version])
            reason = f"bindto {other} is of another family than {address}"
            assert await asked(patient(kind, bindto=other), address, server.port) == reason

    run(main())


@pytest.mark.parametrize(
    "check",
    [
        *(HttpCheck(tls=tls, connect_timeout=SHORT) for tls in (False, True)),
        UdpCheck(require_reply=True, connect_timeout=SHORT),
        *(kind(connect_timeout=SHORT) for kind in NETWORK_CHECKS if kind not in (TcpCheck, UdpCheck, HttpCheck)),
        MiscCheck(misc_path=("/bin/sleep", "60"), connect_timeout=SHORT),
    ],
    ids=lambda check: type(check).__name__,
)
def test_who_says_nothing_has_failed_when_the_time_is_over(run: Run, address: IPAddress, check: Check) -> None:
    async def main() -> None:
        if isinstance(check, (UdpCheck, DnsCheck)):
            async with udp_server(address, lambda *_: None) as port:
                assert await asked(check, address, port) == "no answer within 0.05 s"
        else:
            async with tcp_server(address, silent) as port:
                assert await asked(check, address, port) == "no answer within 0.05 s"

    run(main())


MOMENTS = 40
"""Turns of the loop, more than any attempt here takes."""


@pytest.mark.parametrize(
    "check",
    [
        *(patient(kind) for kind in NETWORK_CHECKS),
        patient(HttpCheck, tls=True),
        patient(MiscCheck, misc_path=("/bin/sh", "-c", "sleep 60 & sleep 60")),
    ],
    ids=lambda check: type(check).__name__,
)
def test_one_who_is_cancelled_at_any_moment_leaves_nothing(run: Run, address: IPAddress, check: Check) -> None:
    """That nothing is left, `run` asserts."""

    async def cancelled_after(turns: int, port: int) -> None:
        task = asyncio.ensure_future(probe(check, address, port))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task], timeout=DEADLINE)
        assert task.done()
        assert task.cancelled() or task.exception() is None

    async def main() -> None:
        tls = isinstance(check, HttpCheck) and check.tls
        async with server_for(type(check), address, tls=tls) as server:
            for turns in range(MOMENTS):
                await cancelled_after(turns, server.port)

    run(main())
