"""A client's connection and the one made for it, joined: what comes in at one end goes out at the other.

Who reads slowly is not written to any faster: its other end is not read meanwhile (back-pressure). An end that has said
all may still hear (half-close). An end that fails has the other reset, so that nobody takes a part for the whole.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from typing import cast

from vrrpd.proxy.balance import Flow, Target

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER without patience: what is closed is reset."""


def reset(client: socket.socket) -> None:
    """Close it so that the other end knows at once that something is wrong."""
    with contextlib.suppress(OSError):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    client.close()


class Connection:
    """Both ends.

    Args:
        target: the real server.
        closed: called once, when both ends are.
    """

    def __init__(self, target: Target, closed: Callable[["Connection"], None]) -> None:
        self.target = target
        self._closed = closed
        self._client = _End(self, target.received)
        self._server = _End(self, target.sent)
        self._client.other, self._server.other = self._server, self._client
        self._open = 2
        self._over = False
        self._octets_seen = 0

    async def join(
        self, loop: asyncio.AbstractEventLoop, client: socket.socket, server: socket.socket, header: bytes
    ) -> None:
        """Tell the real server `header`, and have everything go through from then on."""
        to_server, _ = await loop.connect_accepted_socket(lambda: self._server, server)
        to_server.write(header)
        await loop.connect_accepted_socket(lambda: self._client, client)
        if self._over or to_server.is_closing():
            self.reset()
        else:
            self._server.hand_over()

    def reset(self) -> None:
        """End it at once, and have both ends know."""
        self._over = True
        self._client.reset()
        self._server.reset()

    @property
    def idle(self) -> bool:
        """Whether nothing has gone through since the last time that this was asked."""
        before, self._octets_seen = self._octets_seen, self._client.octets + self._server.octets
        return before == self._octets_seen

    def end_lost(self, *, whole: bool) -> None:
        """An end is closed.

        Args:
            whole: whether both had said all.
        """
        if not whole:
            self.reset()
        self._open -= 1
        if not self._open:
            self._closed(self)


class _End(asyncio.Protocol):
    """One of them.

    Args:
        connection: both.
        flow: counts what comes from it.
    """

    other: "_End"

    def __init__(self, connection: Connection, flow: Flow) -> None:
        self._connection = connection
        self._flow = flow
        self.octets = 0
        """That have come from it."""
        self.ended = False
        """It has said all that it had to say."""
        self.transport: asyncio.Transport | None = None
        self._early = b""
        """What came before there was another end to take it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Part of `asyncio.Protocol`."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one, but does not inherit from it

    def data_received(self, data: bytes) -> None:
        """Part of `asyncio.Protocol`."""
        self.octets += len(data)
        self._flow.octets += len(data)
        if self.other.transport:
            self.other.transport.write(data)
        else:
            self._early += data
            self._pause()

    def eof_received(self) -> bool:
        """Part of `asyncio.Protocol`."""
        self.ended = True
        if self.other.transport:
            self._pass_end_on(self.other.transport)
        return True

    def _pass_end_on(self, transport: asyncio.Transport) -> None:
        if self.other.ended and self.transport:
            self.transport.close()
            transport.close()
        else:
            transport.write_eof()

    def hand_over(self) -> None:
        """The other end is there now."""
        assert self.other.transport
        self._resume()
        self.other.transport.write(self._early)
        self._early = b""
        if self.ended:
            self._pass_end_on(self.other.transport)

    def _pause(self) -> None:
        if self.transport:
            self.transport.pause_reading()

    def _resume(self) -> None:
        if self.transport and not self.ended:
            self.transport.resume_reading()

    def pause_writing(self) -> None:
        """Part of `asyncio.Protocol`."""
        self.other._pause()  # noqa: SLF001

    def resume_writing(self) -> None:
        """Part of `asyncio.Protocol`."""
        self.other._resume()  # noqa: SLF001

    def reset(self) -> None:
        """Close it so that it knows that something is wrong."""
        if self.transport:
            with contextlib.suppress(OSError):
                end = self.transport.get_extra_info("socket")
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Part of `asyncio.Protocol`."""
        self.transport = None  # its descriptor may soon be another's
        self._connection.end_lost(whole=exc is None and self.ended and self.other.ended)
