"""What the proxy says where it cannot listen or has no room; that nothing is left of what is over."""

import asyncio
import contextlib
import errno
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import uvloop

from tests.director.checks.asking import eventually
from vrrpd.channel import Proxied
from vrrpd.ipvs.model import (
    Method,
    Protocol,
    ProxyProtocol,
    RealServer,
    RealServerKey,
    ServiceAddress,
    Table,
    virtual_server,
)
from vrrpd.proxy import frontend
from vrrpd.proxy import proxy as module
from vrrpd.proxy.proxy import Proxy

HERE = ip_address("127.0.0.1")
Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture
def run() -> Iterator[Run]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield lambda coroutine: runner.run(asyncio.wait_for(coroutine, 20))


class Proxying:
    """A proxy, one real server that says what it hears, and what the director is told."""

    def __init__(self, connections_max: int) -> None:
        self.said: list[Proxied] = []
        with socket.create_server((str(HERE), 0)) as free:
            self.key = ServiceAddress(Protocol.TCP, HERE, free.getsockname()[1])
        self.proxy = Proxy(asyncio.get_running_loop(), connections_max, self.said.append)
        self.real = RealServerKey(HERE, 0)

    def table(self, *, weight: int = 1) -> Table:
        real = RealServer(self.real, Method.PROXY, weight)
        return {self.key: virtual_server(self.key, (real,), proxy_protocol=ProxyProtocol.V1)}

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(str(HERE), self.key.port)


@contextlib.asynccontextmanager
async def proxying(connections_max: int = 100) -> AsyncIterator[Proxying]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionResetError):
            await reader.readuntil(b"\r\n")
            while heard := await reader.read(100):
                writer.write(heard)
        writer.close()

    server = await asyncio.start_server(echo, str(HERE))
    made = Proxying(connections_max)
    made.real = RealServerKey(HERE, server.sockets[0].getsockname()[1])
    try:
        yield made
    finally:
        made.proxy.close()
        server.close()


async def echoed(ends: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> bool:
    reader, writer = ends
    writer.write(b"x")
    return await reader.readexactly(1) == b"x"


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EACCES, "Permission denied: give the daemon CAP_NET_BIND_SERVICE, which ports below 1024 take"),
        (errno.EADDRINUSE, "Address already in use: another program listens there"),
        (errno.EINVAL, "Invalid argument"),
    ],
)
def test_where_it_cannot_listen_is_said_once_and_tried_again(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int, said: str
) -> None:
    real, tries = frontend.listener, iter([True, True])

    def listener(key: ServiceAddress) -> socket.socket:
        if next(tries, False):
            raise OSError(number, os.strerror(number))
        return real(key)

    async def story() -> None:
        async with proxying() as made:
            made.proxy.apply(made.table())
            (why,) = made.said[-1].errors.values()
            assert why.startswith(f"{made.key}: cannot listen: {said}")
            await eventually(lambda: not made.said[-1].errors)
            assert await echoed(await made.connect())

    monkeypatch.setattr(frontend, "listener", listener)
    monkeypatch.setattr(module, "LISTEN_RETRY", 0.01)
    monkeypatch.setattr(module, "TELL_INTERVAL", 0.02)
    run(story())
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 1


def test_who_finds_no_room_waits_for_it(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        async with proxying(connections_max=2) as made:
            made.proxy.apply(made.table())
            inside = [await made.connect(), await made.connect()]
            assert [await echoed(each) for each in inside] == [True, True]
            waiting = await made.connect()
            waiting[1].write(b"y")
            reading = asyncio.create_task(waiting[0].read(1))
            for _ in range(10):
                assert await echoed(inside[0])
            assert not reading.done()
            inside[1][1].close()
            assert await reading == b"y"

    run(story())
    assert caplog.messages == ["2 connections through the proxy are the limit: others wait"]


def test_a_host_without_descriptors_has_it_rest(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It must not spin on a connection that it cannot take."""
    accepted = 0

    class Out(socket.socket):
        def accept(self) -> tuple[socket.socket, Any]:
            nonlocal accepted
            accepted += 1
            if accepted <= 2:
                raise OSError(errno.EMFILE, "Too many open files")
            return super().accept()

    real = frontend.listener

    def listener(key: ServiceAddress) -> socket.socket:
        return Out(fileno=real(key).detach())

    async def story() -> None:
        async with proxying() as made:
            made.proxy.apply(made.table())
            assert await echoed(await made.connect())

    monkeypatch.setattr(frontend, "listener", listener)
    monkeypatch.setattr(module, "SUSPENSION", 0.05)
    run(story())
    assert accepted <= 4  # twice in vain, once for the connection, and once to see that there is no other
    (message,) = caplog.messages
    assert message.startswith("the proxy accepts nobody for now: Too many open files: raise LimitNOFILE")


def test_a_connection_that_nobody_uses_ends(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with proxying() as made:
            made.proxy.apply(made.table())
            used, unused = await made.connect(), await made.connect()
            assert await echoed(unused)
            ended = asyncio.create_task(unused[0].read())
            while not ended.done():
                assert await echoed(used)
            with pytest.raises(ConnectionResetError):
                await ended

    monkeypatch.setattr(module, "IDLE_TIMEOUT", 0.5)
    run(story())


def test_a_connection_the_end_of_which_nobody_reads_ends(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ends have said all, and it waits for one to take the rest."""

    async def story() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server((str(HERE), 0)) as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 12)
            listening.setblocking(False)
            made = Proxying(10)
            made.real = RealServerKey(HERE, listening.getsockname()[1])
            made.proxy.apply(made.table())
            reader, writer = await made.connect()
            real, _ = await loop.sock_accept(listening)
            real.shutdown(socket.SHUT_WR)
            assert await reader.read() == b""  # so that they are joined
            (connection,) = made.proxy._frontends[made.key].connections
            transport = connection._server.transport
            assert transport
            while not transport.get_write_buffer_size():  # what the kernel has room for, and a little more
                writer.write(bytes(1 << 12))
                await writer.drain()
                await asyncio.sleep(0.001)
            writer.write_eof()
            await eventually(lambda: not made.said[-1].activity[made.key].real_servers[made.real].active)
            assert not made.said[-1].activity[made.key].real_servers[made.real].active
            real.close()
            writer.close()
            made.proxy.close()

    monkeypatch.setattr(module, "IDLE_TIMEOUT", 0.2)
    monkeypatch.setattr(module, "TELL_INTERVAL", 0.05)
    run(story())


def test_nothing_is_left_of_it(run: Run) -> None:
    async def story() -> None:
        before = descriptors()
        async with proxying() as made:
            made.proxy.apply(made.table())
            ends = [await made.connect() for _ in range(20)]
            for each in ends:
                assert await echoed(each)
            made.proxy.apply({})
            for reader, writer in ends:
                with pytest.raises(ConnectionResetError):
                    await reader.readexactly(1)
                writer.close()
            with pytest.raises(ConnectionRefusedError):
                await made.connect()
        await eventually(lambda: len(descriptors()) <= len(before))

    async def warm_up() -> None:
        async with proxying() as made:
            made.proxy.apply(made.table())
            assert await echoed(await made.connect())

    run(warm_up())
    run(story())


def descriptors() -> set[str]:
    return {each.name for each in Path("/proc/self/fd").iterdir()}


def test_weight_0_gets_no_connections_and_loses_none(run: Run) -> None:
    async def story() -> None:
        async with proxying() as made:
            made.proxy.apply(made.table())
            ends = await made.connect()
            assert await echoed(ends)
            made.proxy.apply(made.table(weight=0))
            assert await echoed(ends)
            reader, _ = await made.connect()
            with pytest.raises(ConnectionResetError):
                await reader.read()
            seen = made.said[-1].activity[made.key].real_servers[made.real]
            assert (seen.active, seen.traffic.connections) == (1, 1)

    run(story())
