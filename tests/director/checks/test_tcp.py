"""TCP_CHECK."""

import asyncio
import socket

from tests.director.checks.asking import SHORT, Run, asked, closed_port, patient, silent, tcp_server
from vrrpd.config.services import TcpCheck
from vrrpd.protocol.advert import IPAddress


def test_a_connection_is_enough(run: Run, address: IPAddress) -> None:
    async def main() -> None:
        async with tcp_server(address, silent) as port:
            assert await asked(patient(TcpCheck), address, port) is None

    run(main())


def test_the_server_sees_an_orderly_end(run: Run, address: IPAddress) -> None:
    """Not a reset, which many services log."""
    ends: asyncio.Queue[bytes] = asyncio.Queue()

    async def handler(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await ends.put(await reader.read())

    async def main() -> None:
        async with tcp_server(address, handler) as port:
            assert await asked(patient(TcpCheck), address, port) is None
            assert await ends.get() == b""

    run(main())


def test_a_closed_port(run: Run, address: IPAddress) -> None:
    with closed_port(address) as port:
        assert run(asked(patient(TcpCheck), address, port)) == "connection refused"


def test_a_server_that_accepts_nothing(run: Run, address: IPAddress) -> None:
    """Its backlog is full, so that the kernel drops what comes."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.create_server((str(address), 0), family=family, backlog=0) as server:
        port = server.getsockname()[1]
        fill = [socket.socket(family) for _ in range(8)]
        try:
            for sock in fill:
                sock.setblocking(False)
                sock.connect_ex((str(address), port))
            assert run(asked(TcpCheck(connect_timeout=SHORT), address, port)) == "no answer within 0.05 s"
        finally:
            for sock in fill:
                sock.close()
