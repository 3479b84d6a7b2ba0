"""One virtual server of the proxy: where clients connect to, and the real servers among which they are shared out."""

import asyncio
import errno
import logging
import socket
from ipaddress import ip_address
from typing import Any, Protocol

from vrrpd.ipvs.model import (
    Activity,
    Method,
    ProxyProtocol,
    RealServerKey,
    ServiceActivity,
    ServiceAddress,
    Traffic,
    VirtualServer,
)
from vrrpd.protocol.advert import Family
from vrrpd.proxy.balance import SHUNNED, Balance, Target
from vrrpd.proxy.connection import Connection, reset
from vrrpd.proxy.header import Endpoint, header

log = logging.getLogger(__name__)

BACKLOG = 4096
ACCEPTED_AT_ONCE = 64
"""Connections that are taken before others have their turn."""
CONNECT_TIMEOUT = 3.0
"""Seconds for one real server, after which the next one is tried."""
PATIENCE = 10.0
"""Seconds after which no other is tried."""
_IPV6_FREEBIND = 78  # include/uapi/linux/in6.h
_IP_FREEBIND = 15  # include/uapi/linux/in.h
_OUT_OF = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_REMEDIES = {
    errno.EADDRINUSE: "another program listens there, or at that port of every address: `ss -ltnp` says which",
    errno.EACCES: "give the daemon CAP_NET_BIND_SERVICE, which ports below 1024 take (docs/deploy.md)",
}


class Room(Protocol):
    """How many connections there may be."""

    def take(self) -> bool:
        """Take a place, if there is one."""

    def leave(self) -> None:
        """It is free again."""

    def suspend(self, error: OSError) -> None:
        """The host has no more of what a connection takes: accept none for a while."""


def listener(key: ServiceAddress) -> socket.socket:
    """A socket that listens, whether the address is on this host or is yet to come.

    Raises:
        OSError: another has the port, or we may not have it.
    """
    ipv4 = key.family is Family.IPV4
    made = socket.socket(socket.AF_INET if ipv4 else socket.AF_INET6, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(*(socket.IPPROTO_IP, _IP_FREEBIND) if ipv4 else (socket.IPPROTO_IPV6, _IPV6_FREEBIND), 1)
        made.bind((str(key.address), key.port))
        made.listen(BACKLOG)
    except OSError:
        made.close()
        raise
    return made


class Frontend:
    """Listens, once it could be told to, until it is closed.

    Args:
        loop: uvloop's.
        key: where clients connect to.
        room: for connections.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, key: ServiceAddress, room: Room) -> None:
        self.error = "not listening yet"
        """Why it does not listen; empty: it does."""
        self.connections: set[Connection] = set()
        self._loop = loop
        self._key = key
        self._room = room
        self._server = VirtualServer(key)
        self._targets: dict[RealServerKey, Target] = {}
        self._balance = Balance()
        self._socket: socket.socket | None = None
        self._beginning: set[asyncio.Task[None]] = set()
        self._gone = Traffic()
        """What real servers had done that are not here any more."""
        self._seen = Traffic()
        """At the last look."""

    def apply(self, server: VirtualServer) -> None:
        """This is how it is to be. Connections go on, but for those to real servers that are not in it any more."""
        self._server = server
        before, self._targets = self._targets, {}
        for key, real in server.real_servers.items():
            if real.method is Method.PROXY:
                target = self._targets[key] = before.pop(key) if key in before else Target(key)
                target.weight = real.weight
        for target in before.values():
            self._gone = _sum(self._gone, target)
        for connection in [*self.connections] if before else ():
            if connection.target.key in before:
                connection.reset()

    def listen(self) -> None:
        """Try to, unless it does."""
        if self._socket:
            return
        try:
            self._socket = listener(self._key)
        except OSError as error:
            why = f"{self._key}: cannot listen: {error.strerror}"
            remedy = _REMEDIES.get(error.errno or 0)
            why = f"{why}: {remedy}" if remedy else why
            if why != self.error:
                log.error("%s", why)  # noqa: TRY400
            self.error = why
        else:
            self.error = ""
            self.accept()

    def accept(self) -> None:
        """Take connections."""
        if self._socket:
            self._loop.add_reader(self._socket.fileno(), self._accept, self._socket)

    def rest(self) -> None:
        """Take none for now; the kernel has them wait."""
        if self._socket:
            self._loop.remove_reader(self._socket.fileno())

    def close(self) -> None:
        """Listen no more, and end all connections."""
        self.rest()
        if self._socket:
            self._socket.close()
        self._socket = None
        self.apply(VirtualServer(self._key))

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            if not self._room.take():
                return
            try:
                client, _ = listening.accept()
            except OSError as error:
                self._room.leave()
                self._refused(error)
                return
            client.setblocking(False)
            task = self._loop.create_task(self._begin(client))
            self._beginning.add(task)
            task.add_done_callback(self._beginning.discard)

    async def _begin(self, client: socket.socket) -> None:
        """Find a real server for a client; without any it is refused, so that it need not wait."""
        joined = False
        try:
            form = self._server.proxy_protocol or ProxyProtocol.V1
            said = header(form, _endpoint(client.getpeername()), _endpoint(client.getsockname()))
            if found := await self._connect():
                target, server = found
                connection = Connection(target, self._closed)
                self.connections.add(connection)
                target.active += 1
                target.connections += 1
                joined = True
                await connection.join(self._loop, client, server, said)
        except OSError as error:  # it may be gone already
            self._refused(error)
        finally:
            if not joined:
                reset(client)
                self._room.leave()

    def _refused(self, error: OSError) -> None:
        """There is no connection, or not yet; only what the host is out of stays so when it is tried again at once."""
        if error.errno in _OUT_OF:
            self._room.suspend(error)

    async def _connect(self) -> tuple[Target, socket.socket] | None:
        tried: set[Target] = set()
        began = self._loop.time()
        while (now := self._loop.time()) < began + PATIENCE:
            target = self._balance.choose(self._server.scheduler, self._targets.values(), tried, now)
            if target is None:
                return None
            tried.add(target)
            address = target.key.address
            server = socket.socket(
                socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_STREAM | socket.SOCK_NONBLOCK
            )
            target.connecting += 1
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT):
                    await self._loop.sock_connect(server, (str(address), target.key.port))
            except OSError as error:  # TimeoutError is one
                server.close()
                self._shun(target, error.strerror or f"no answer within {CONNECT_TIMEOUT:g} s")
            else:
                target.shunned_until = 0.0
                if self._targets.get(target.key) is target:
                    return target, server
                server.close()  # it was taken out meanwhile
            finally:
                target.connecting -= 1
        return None

    def _shun(self, target: Target, why: str) -> None:
        if not target.shunned_until:
            where = f"{target.key.address} port {target.key.port}"
            log.warning("%s: %s cannot be reached, others are tried: %s", self._key, where, why)
        target.shunned_until = self._loop.time() + SHUNNED

    def _closed(self, connection: Connection) -> None:
        self.connections.discard(connection)
        connection.target.active -= 1
        self._room.leave()

    def activity(self, elapsed: float) -> ServiceActivity:
        """What it has done since the last look.

        Args:
            elapsed: how long ago that was, in seconds.
        """
        reals: dict[RealServerKey, Activity] = {}
        total = self._gone
        for key, target in self._targets.items():
            total = _sum(total, target)
            reals[key] = Activity(target.active, target.connecting, 0, _sum(Traffic(), target))
        before, self._seen = self._seen, total
        return ServiceActivity(_with_rates(total, before, elapsed), reals)


def _endpoint(name: Any) -> Endpoint:
    """What the kernel calls an end of a connection; a link-local address may have a scope."""
    address, port, *_ = name
    return ip_address(address.partition("%")[0]), port


def _sum(traffic: Traffic, target: Target) -> Traffic:
    return Traffic(
        connections=traffic.connections + target.connections,
        bytes_in=traffic.bytes_in + target.received.octets,
        bytes_out=traffic.bytes_out + target.sent.octets,
    )


def _with_rates(now: Traffic, before: Traffic, elapsed: float) -> Traffic:
    def rate(name: str) -> int:
        gained: int = getattr(now, name) - getattr(before, name)
        return round(gained / elapsed)

    return Traffic(
        connections=now.connections,
        bytes_in=now.bytes_in,
        bytes_out=now.bytes_out,
        connections_per_second=rate("connections"),
        bytes_in_per_second=rate("bytes_in"),
        bytes_out_per_second=rate("bytes_out"),
    )
