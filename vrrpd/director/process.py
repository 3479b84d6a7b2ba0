"""The director as a process: forked from the supervisor, which it hears and tells over a socket pair."""

import asyncio
import ctypes
import logging
import signal
import socket
from functools import partial

import uvloop

from vrrpd.channel import Answer, Apply, BeginDirecting, Holds, Inbox, Message, Started, Stop, TellStatus, first_message
from vrrpd.director.director import Director
from vrrpd.link import ChannelHandler, SupervisorLink

log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1  # include/uapi/linux/prctl.h
ORPHAN_PATIENCE = 3.0
"""Seconds from the supervisor's death until virtual servers go: the speaker is handing over the addresses."""


def run(channel: socket.socket) -> int:
    """Direct until told to stop, or until the supervisor is gone; returns the exit code."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGCONT)
    for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    inbox = Inbox()
    begin = first_message(channel, inbox)
    if not isinstance(begin, BeginDirecting):
        return 0  # the supervisor is gone
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_direct(begin, channel, inbox))


async def _direct(begin: BeginDirecting, channel: socket.socket, inbox: Inbox) -> int:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[int] = loop.create_future()
    _, link = await loop.create_connection(lambda: SupervisorLink(ended, inbox), sock=channel)
    logging.getLogger().handlers[:] = [ChannelHandler(link)]
    code = 1
    try:
        director = Director(loop, begin.config, begin.held, link.send)
        director.start()
        link.send(Started())
        link.serve(partial(_take, director=director, link=link))
        code = await ended
        if link.closed.done():
            await asyncio.sleep(ORPHAN_PATIENCE)
        await director.shutdown()
    except Exception:
        log.exception("the director failed; please report this")
    await link.close()
    return code


def _take(message: Message, director: Director, link: SupervisorLink) -> None:
    if isinstance(message, Stop):
        link.end(0)
    elif isinstance(message, TellStatus):
        link.send(Answer(message.request, director.status()))
    elif isinstance(message, Apply):
        director.apply(message.config)
        link.send(Answer(message.request))
    elif isinstance(message, Holds):
        director.hold(message.router, holds=message.holds)
