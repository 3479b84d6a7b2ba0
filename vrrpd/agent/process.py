"""The watcher as a process: forked from the supervisor, which it hears and tells over a socket pair.

It alone imports what asks the API server. Nothing waits for it: while it starts, hangs or is dead, the speaker and the
director go on with the last configuration.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
from functools import partial

import uvloop

from vrrpd.agent.settings import Settings
from vrrpd.agent.watcher import Watcher
from vrrpd.channel import (
    Anomalous,
    Answer,
    Entered,
    Inbox,
    LogLine,
    Message,
    Ping,
    Stop,
    TellStatus,
)
from vrrpd.config.sealed import SealedConfig
from vrrpd.link import ChannelHandler, SupervisorLink, wake_when_orphaned

log = logging.getLogger(__name__)

NICENESS = 5
"""A list of thousands of objects can wait a moment; the speaker cannot."""
EXIT_FAILED = 1


def run(channel: socket.socket, settings: Settings, config: SealedConfig) -> int:
    """Watch until told to stop, or until the supervisor is gone; returns the exit code."""
    wake_when_orphaned()
    for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(ignored, _pass_over)  # SIG_IGN would be that of a kubeconfig's programs as well
    os.nice(NICENESS)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_watch(channel, settings, config))


async def _watch(channel: socket.socket, settings: Settings, config: SealedConfig) -> int:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[int] = loop.create_future()
    _, link = await loop.create_connection(lambda: SupervisorLink(ended, Inbox()), sock=channel)
    logging.getLogger().handlers[:] = [ChannelHandler(link)]
    watcher = Watcher(settings, config.opened(), link.send)
    watching = loop.create_task(watcher.run())
    watching.add_done_callback(partial(_failed, link=link))
    link.serve(partial(_take, watcher=watcher, link=link))
    code = await ended
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):  # which `_failed` has told
        await watching
    await link.close()
    return code


def _pass_over(_number: int, _frame: object) -> None:
    """The signals that end or reload the daemon are the supervisor's; a terminal sends them to the whole group."""


def _failed(watching: asyncio.Task[None], link: SupervisorLink) -> None:
    if not watching.cancelled() and (error := watching.exception()):
        log.error("the watcher failed; please report this", exc_info=error)
        link.end(EXIT_FAILED)


def _take(message: Message, watcher: Watcher, link: SupervisorLink) -> None:
    if isinstance(message, Stop):
        link.end(0)
    elif isinstance(message, TellStatus):
        link.send(Answer(message.request, {"kubernetes": watcher.status()}))
    elif isinstance(message, Ping):
        link.send(Answer(message.request))
    elif isinstance(message, (Entered, Anomalous, LogLine)):
        watcher.hear(message)
