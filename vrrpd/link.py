"""A child's end of the socket pair with the supervisor, in asyncio."""

import asyncio
import ctypes
import logging
import signal
from collections.abc import Callable
from typing import cast

from vrrpd.channel import Inbox, LogLine, Message, pack

_PR_SET_PDEATHSIG = 1  # include/uapi/linux/prctl.h
LOG_BACKLOG_MAX = 1 << 20
"""Bytes that may wait for a supervisor that does not read; log lines beyond that are dropped."""


def wake_when_orphaned() -> None:
    """Else a child that somebody has stopped would not notice that it is alone: a speaker would hold its addresses."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGCONT)


class SupervisorLink(asyncio.Protocol):
    """Hands messages over as they come, once there is somebody to take them.

    Args:
        ended: is given the exit code when the supervisor is gone.
        inbox: may have the beginning of a message.
    """

    def __init__(self, ended: asyncio.Future[int], inbox: Inbox) -> None:
        self.closed: asyncio.Future[None] = ended.get_loop().create_future()
        self.dropped_lines = 0
        """Log lines that found no room."""
        self._ended = ended
        self._inbox = inbox
        self._take: Callable[[Message], None] | None = None
        self._early = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Part of `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one, but does not inherit from it

    def data_received(self, data: bytes) -> None:
        """Part of `asyncio.Protocol`."""
        self._early += data
        if self._take:
            self.serve(self._take)

    def serve(self, take: Callable[[Message], None]) -> None:
        """Hand over what the supervisor says, and has said already."""
        self._take = take
        data, self._early = self._early, b""
        for message in self._inbox.feed(data):
            take(message)

    def connection_lost(self, exc: Exception | None) -> None:
        """Part of `asyncio.Protocol`. Without a supervisor nobody could restart or stop us."""
        if not self.closed.done():
            self.closed.set_result(None)
        self.end(0 if exc is None else 1)

    def end(self, code: int) -> None:
        """It is over, unless it was already."""
        if not self._ended.done():
            self._ended.set_result(code)

    def send(self, message: Message) -> None:
        """Tell the supervisor; never waits."""
        if self._transport and not self._transport.is_closing():
            self._transport.write(pack(message))

    def send_log(self, line: LogLine) -> None:
        """Hand over a log line, or drop it if the supervisor has stopped reading."""
        if self._transport and self._transport.get_write_buffer_size() > LOG_BACKLOG_MAX:
            self.dropped_lines += 1
            return
        self.send(line)

    async def close(self) -> None:
        """Send what waits, then close; a supervisor that does not read is not waited for."""
        if self._transport:
            self._transport.close()
        try:
            await asyncio.wait_for(self.closed, timeout=1)
        except TimeoutError:
            return


class ChannelHandler(logging.Handler):
    """Hands log records to the supervisor, which writes them."""

    def __init__(self, link: SupervisorLink) -> None:
        super().__init__()
        self._link = link

    def emit(self, record: logging.LogRecord) -> None:
        """Part of `logging.Handler`."""
        self._link.send_log(LogLine.of(record))
