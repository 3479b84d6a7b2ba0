"""The proxy as a process: forked from the supervisor, which it hears and tells over a socket pair."""

import asyncio
import logging
import os
import resource
import signal
import socket
from functools import partial

import uvloop

from vrrpd.channel import Answer, Inbox, Message, Ping, SetProxied, Stop
from vrrpd.ipvs.model import Table
from vrrpd.link import ChannelHandler, SupervisorLink, wake_when_orphaned
from vrrpd.proxy.proxy import Proxy

log = logging.getLogger(__name__)

NICENESS = 5
"""Octets can wait a moment; the speaker cannot."""
CONNECTIONS_MAX = 1 << 14
"""At a time; each has two descriptors, and some kilobytes, more for who reads slowly."""
DESCRIPTORS_BESIDE = 1 << 12
"""For listeners, and for those who are asked whether they take a connection."""
EXIT_FAILED = 1


def run(channel: socket.socket, table: Table) -> int:
    """Serve until told to stop, or until the supervisor is gone; returns the exit code.

    Args:
        channel: to the supervisor.
        table: what to serve to begin with.
    """
    wake_when_orphaned()
    for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)  # the supervisor's; a terminal sends them to the whole group
    os.nice(NICENESS)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = max(soft, min(hard, 2 * CONNECTIONS_MAX + DESCRIPTORS_BESIDE))
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    connections_max = min(CONNECTIONS_MAX, (limit - min(DESCRIPTORS_BESIDE, limit // 4)) // 2)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_proxy(channel, table, connections_max))


async def _proxy(channel: socket.socket, table: Table, connections_max: int) -> int:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[int] = loop.create_future()
    _, link = await loop.create_connection(lambda: SupervisorLink(ended, Inbox()), sock=channel)
    logging.getLogger().handlers[:] = [ChannelHandler(link)]
    proxy = Proxy(loop, connections_max, link.send)
    try:
        proxy.apply(table)
        link.serve(partial(_take, proxy=proxy, link=link))
        code = await ended
        proxy.close()
    except Exception:
        log.exception("the proxy failed; please report this")
        code = EXIT_FAILED
    await link.close()
    return code


def _take(message: Message, proxy: Proxy, link: SupervisorLink) -> None:
    try:
        if isinstance(message, Stop):
            link.end(0)
        elif isinstance(message, SetProxied):
            proxy.apply(message.table)
        elif isinstance(message, Ping):
            link.send(Answer(message.request))
    except Exception:
        log.exception("the proxy failed; please report this")
        link.end(EXIT_FAILED)
