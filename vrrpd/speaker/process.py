"""The speaker as a process: forked from the supervisor, which it hears and tells over a socket pair."""

import asyncio
import logging
import signal
import socket
from functools import partial

import uvloop

from vrrpd.channel import (
    Answer,
    Apply,
    Begin,
    Inbox,
    Message,
    Ping,
    SetBurdens,
    SetDrained,
    Started,
    Stop,
    TellStatus,
    first_message,
)
from vrrpd.config.model import Config
from vrrpd.ledger import Ledger
from vrrpd.link import ChannelHandler, SupervisorLink, wake_when_orphaned
from vrrpd.speaker import realtime
from vrrpd.speaker.announcer import encode_announcement
from vrrpd.speaker.kernel import Kernel
from vrrpd.speaker.lease import lifetime
from vrrpd.speaker.memory import own_pages
from vrrpd.speaker.speaker import Speaker
from vrrpd.speaker.vips import VirtualAddresses

log = logging.getLogger(__name__)


def run(config: Config, channel: socket.socket, ledger: Ledger, *, standby: bool) -> int:
    """Wait until told to begin, then speak until told to stop, or until the supervisor is gone; returns the exit code.

    A standby takes its time to get ready, so that it can begin at once when the speaker dies. The signals that end or
    reload the daemon are the supervisor's; a terminal sends them to the whole group.
    """
    wake_when_orphaned()
    for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.get_loop()
        if standby:
            _encode_what_will_be_needed(config)
            own_pages()
            realtime.apply(config)
        inbox = Inbox()
        begin = first_message(channel, inbox)
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


async def _speak(
    begin: Begin, channel: socket.socket, inbox: Inbox, ledger: Ledger, prepared_for: Config | None
) -> int:
    config = begin.config
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[int] = loop.create_future()
    _, link = await loop.create_connection(lambda: SupervisorLink(ended, inbox), sock=channel)
    logging.getLogger().handlers[:] = [ChannelHandler(link)]
    try:
        speaker = Speaker(loop, begin, ledger, link.send)
    except OSError as error:
        log.critical("cannot start: %s", error)
        await link.close()
        return 1
    try:
        speaker.start()
        link.send(Started())
        link.serve(partial(_take, speaker=speaker, link=link, ended=ended))
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
    await link.close()
    return code


def _take(message: Message, speaker: Speaker, link: SupervisorLink, ended: asyncio.Future[int]) -> None:
    if isinstance(message, Stop):
        if ended.done():
            speaker.shutdown_now()
        link.end(0)
    elif isinstance(message, Ping):
        link.send(Answer(message.request))
    elif isinstance(message, TellStatus):
        link.send(Answer(message.request, speaker.status() | {"log_lines_dropped": link.dropped_lines}))
    elif isinstance(message, SetDrained):
        (speaker.drain if message.drained else speaker.undrain)()
        link.send(Answer(message.request))
    elif isinstance(message, Apply):
        link.send(Answer(message.request, dict(speaker.apply(message.config))))
    elif isinstance(message, SetBurdens):
        speaker.burden(message.burdens)
