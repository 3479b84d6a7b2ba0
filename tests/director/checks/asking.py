"""Servers to ask, and what came of it."""

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

from vrrpd.config.services import Check, DnsCheck, HttpCheck, SmtpCheck, TcpCheck, UdpCheck
from vrrpd.director.checks.probe import CheckFailed, probe
from vrrpd.protocol.advert import IPAddress

T = TypeVar("T")

DEADLINE = 20.0
"""Seconds after which something will not happen any more, however busy the machine is."""
SHORT = 0.05
"""A `connect_timeout` that is to run out."""
HOST_NAME = "www.example.org"
CERTIFICATE = Path(__file__).parent / f"{HOST_NAME}.pem"
"""Key and certificate, signed by itself, of that name and the loopback addresses; valid until 2119."""

NETWORK_CHECKS: tuple[type[Check], ...] = (TcpCheck, HttpCheck, UdpCheck, DnsCheck, SmtpCheck)
"""Those that anybody may do, and that ask an address and a port."""

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Run(Protocol):
    """The fixture `run`."""

    def __call__(self, coroutine: Coroutine[Any, Any, T]) -> T: ...


async def asked(check: Check, address: IPAddress, port: int = 0) -> str | int | None:
    """What the attempt returns, or the reason for which it failed."""
    try:
        return await probe(check, address, port)
    except CheckFailed as failed:
        reason = str(failed)
    assert reason.isprintable()
    assert reason
    return reason


async def eventually(condition: Callable[[], bool]) -> None:
    """Let others run until the condition holds, or has no hope any more."""
    deadline = time.monotonic() + DEADLINE
    while not condition() and time.monotonic() < deadline:  # noqa: ASYNC110  (it is about the kernel's things)
        await asyncio.sleep(0.001)


def patient(check: type[Check], **settings: Any) -> Check:
    """A check that does not run out of time on a busy machine."""
    return check(**({"connect_timeout": DEADLINE} | settings))


@contextlib.contextmanager
def closed_port(address: IPAddress, kind: socket.SocketKind = socket.SOCK_STREAM) -> Iterator[int]:
    """A port where nobody listens, nor will: it is taken by a socket that does not, or that hears only itself."""
    with socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, kind) as sock:
        sock.bind((str(address), 0))
        if kind is socket.SOCK_DGRAM:
            sock.connect(sock.getsockname())
        yield sock.getsockname()[1]


@contextlib.asynccontextmanager
async def tcp_server(address: IPAddress, handler: Handler, *, tls: bool = False) -> AsyncIterator[int]:
    """Serves connections with `handler`; its port."""
    tasks: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        tasks.add(task)
        try:
            with contextlib.suppress(OSError, EOFError):
                await handler(reader, writer)
        except asyncio.CancelledError:
            pass  # else streams complain
        finally:
            writer.transport.abort()
            tasks.discard(task)

    context = server_context() if tls else None
    server = await asyncio.start_server(serve, str(address), 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()


def server_context() -> ssl.SSLContext:
    """TLS with `CERTIFICATE`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


class _Responder(asyncio.DatagramProtocol):
    def __init__(self, answer: Callable[[bytes, Any], bytes | None]) -> None:
        self._answer = answer
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: Any) -> None:
        answer = self._answer(data, addr)
        assert self._transport
        if answer is not None:
            self._transport.sendto(answer, addr)


@contextlib.asynccontextmanager
async def udp_server(address: IPAddress, answer: Callable[[bytes, Any], bytes | None]) -> AsyncIterator[int]:
    """Answers datagrams with what `answer` makes of them and their sender, if anything; its port."""
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Responder(answer), (str(address), 0)
    )
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.abort()


async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Read on and say nothing."""
    while await reader.read(1 << 16):
        pass


def saying(*words: bytes) -> Handler:
    """Say the first word at once and each further one after a line; then close the connection in order."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for at, word in enumerate(words):
            if at:
                await reader.readuntil(b"\n")
            writer.write(word)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
        await silent(reader, writer)

    return handler
