"""The speaker as a process: forked from the supervisor, which it hears and tells over a socket pair."""

import asyncio
import ctypes
import logging
import signal
import socket
from typing import Any, cast

import uvloop

from vrrpd.channel import Answer, Apply, Begin, Inbox, LogLine, Message, SetDrained, Started, Stop, TellStatus, pack
from vrrpd.config.model import Config
from vrrpd.ledger import Ledger
from vrrpd.speaker import realtime
from vrrpd.speaker.announcer import encode_announcement
from vrrpd.speaker.kernel import Kernel
from vrrpd.speaker.lease import lifetime
from vrrpd.speaker.memory import own_pages
from vrrpd.speaker.speaker import Speaker
from vrrpd.speaker.vips import VirtualAddresses

log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1  # include/uapi/linux/prctl.h

LOG_BACKLOG_MAX = 1 << 20
"""Bytes that may wait for a supervisor that does not read; log lines beyond that are dropped."""


def run(config: Config, channel: socket.socket, ledger: Ledger, *, standby: bool) -> int:
    """Wait until told to begin, then speak until told to stop, or until the supervisor is gone; returns the exit code.

    A standby takes its time to get ready, so that it can begin at once when the speaker dies. The signals that end or
    reload the daemon are the supervisor's; a terminal sends them to the whole group.
    """
    # Else a speaker that somebody has stopped would not notice that it is alone, and hold its addresses for ever.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGCONT)
    for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.get_loop()
        if standby:
            _encode_what_will_be_needed(config)
            own_pages()
            realtime.apply(config)
        inbox = Inbox()
        begin = _first_message(channel, inbox)
        if not isinstance(begin, Begin):
            return 0  # the supervisor is gone
        return runner.run(_speak(begin, channel, inbox, ledger, prepared_for=config if standby else None))


def _encode_what_will_be_needed(config: Config) -> None:
    """What `requests` and `announcement` have made once, they have at hand."""
    try:
        kernel = Kernel()
    except OSError:
        return
    kernel.lifetime = lifetime(config.vip_lease)
    for instance in config.instances:
        vips = VirtualAddresses(kernel, instance.virtual_ipaddress)
        vips.look_at_interfaces()
        for vip in vips:
            encode_announcement(vip, instance.garp.form)
    kernel.close()


def _first_message(channel: socket.socket, inbox: Inbox) -> Message | None:
    while data := channel.recv(1 << 16):
        for message in inbox.feed(data):
            return message
    return None


async def _speak(
    begin: Begin, channel: socket.socket, inbox: Inbox, ledger: Ledger, prepared_for: Config | None
) -> int:
    config = begin.config
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[int] = loop.create_future()
    _, link = await loop.create_connection(lambda: SupervisorLink(ended, inbox), sock=channel)
    logging.getLogger().handlers[:] = [ChannelHandler(link)]
    try:
        speaker = Speaker(loop, config, ledger, drained=begin.drained)
    except OSError as error:
        log.critical("cannot start: %s", error)
        return await _end(link, 1)
    try:
        speaker.start()
        link.send(Started())
        link.serve(speaker)
        # Now that the first adverts are out:
        if prepared_for != config:
            realtime.apply(config)
            own_pages()
        code = await ended
        await speaker.shutdown()
    except Exception:
        log.exception("the speaker failed; please report this")
        code = 1
    finally:
        speaker.close()
    return await _end(link, code)


async def _end(link: "SupervisorLink", code: int) -> int:
    link.close()
    try:
        await asyncio.wait_for(link.closed, timeout=1)
    except TimeoutError:
        return code
    return code


class SupervisorLink(asyncio.Protocol):
    """The speaker's end of the socket pair."""

    def __init__(self, ended: asyncio.Future[int], inbox: Inbox) -> None:
        self.speaker: Speaker | None = None
        self.closed: asyncio.Future[None] = ended.get_loop().create_future()
        self._ended = ended
        self._inbox = inbox
        self._early = b""
        self._transport: asyncio.Transport | None = None
        self._dropped_lines = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Part of `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one, but does not inherit from it

    def data_received(self, data: bytes) -> None:
        """Part of `asyncio.Protocol`."""
        self._early += data
        if self.speaker:
            self.serve(self.speaker)

    def serve(self, speaker: Speaker) -> None:
        """Have `speaker` do what the supervisor asks for, and has asked for already."""
        self.speaker = speaker
        data, self._early = self._early, b""
        for message in self._inbox.feed(data):
            self._take(message)

    def connection_lost(self, exc: Exception | None) -> None:
        """Part of `asyncio.Protocol`. Without a supervisor nobody could restart or stop us: resign."""
        if not self.closed.done():
            self.closed.set_result(None)
        self._end(0 if exc is None else 1)

    def send(self, message: Message) -> None:
        """Tell the supervisor; never waits."""
        if self._transport and not self._transport.is_closing():
            self._transport.write(pack(message))

    def send_log(self, line: LogLine) -> None:
        """Hand over a log line, or drop it if the supervisor has stopped reading."""
        if self._transport and self._transport.get_write_buffer_size() > LOG_BACKLOG_MAX:
            self._dropped_lines += 1
            return
        self.send(line)

    def close(self) -> None:
        """Send what waits, then close."""
        if self._transport:
            self._transport.close()

    def _take(self, message: Message) -> None:
        if isinstance(message, Stop):
            if self._ended.done() and self.speaker:
                self.speaker.shutdown_now()
            self._end(0)
        elif isinstance(message, TellStatus):
            status: dict[str, Any] = self.speaker.status() if self.speaker else {"routers": []}
            self.send(Answer(message.request, status | {"log_lines_dropped": self._dropped_lines}))
        elif isinstance(message, SetDrained) and self.speaker:
            (self.speaker.drain if message.drained else self.speaker.undrain)()
            self.send(Answer(message.request))
        elif isinstance(message, Apply) and self.speaker:
            self.send(Answer(message.request, dict(self.speaker.apply(message.config))))

    def _end(self, code: int) -> None:
        if not self._ended.done():
            self._ended.set_result(code)


class ChannelHandler(logging.Handler):
    """Hands log records to the supervisor, which writes them."""

    def __init__(self, link: SupervisorLink) -> None:
        super().__init__()
        self._link = link

    def emit(self, record: logging.LogRecord) -> None:
        """Part of `logging.Handler`."""
        self._link.send_log(LogLine.of(record))
