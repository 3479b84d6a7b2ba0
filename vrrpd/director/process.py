"""The director as a process: forked from the supervisor, which it hears and tells over a socket pair."""

import asyncio
import contextlib
import gc
import logging
import resource
import signal
import socket
from collections.abc import Iterator
from functools import partial

import uvloop

from vrrpd.channel import (
    Answer,
    Direct,
    Entered,
    Holds,
    Inbox,
    Message,
    Ping,
    Proxied,
    SetBurdens,
    Stop,
    TellStatus,
)
from vrrpd.config.sealed import SealedConfig
from vrrpd.director.director import Director
from vrrpd.director.pages import Pages
from vrrpd.ipvs.model import Table
from vrrpd.ledger import RouterKey
from vrrpd.link import ChannelHandler, SupervisorLink, wake_when_orphaned

log = logging.getLogger(__name__)

DESCRIPTORS = 1 << 14
"""Checks need one each."""
EXIT_FAILED = 1

_telling: set[asyncio.Task[None]] = set()
"""A task that nobody knows may be collected as garbage."""


def run(
    channel: socket.socket, sealed: SealedConfig, held: frozenset[RouterKey], said: SetBurdens, proxied: Table
) -> int:
    """Direct until told to stop, or until the supervisor is gone; returns the exit code.

    Only who is told to stop clears away. Without a supervisor, or after a mistake of ours, the kernel goes on as it is,
    and the next life adopts it.

    Args:
        channel: to the supervisor.
        sealed: the configuration to begin with.
        held: the routers that hold their addresses.
        said: what an earlier director has said last, which holds.
        proxied: what it has told the proxy, likewise.
    """
    wake_when_orphaned()
    for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(ignored, _pass_over)  # SIG_IGN would be the programs' that are called as well
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, DESCRIPTORS)), hard))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_direct(channel, sealed, held, said, proxied))


async def _direct(
    channel: socket.socket, sealed: SealedConfig, held: frozenset[RouterKey], said: SetBurdens, proxied: Table
) -> int:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[int] = loop.create_future()
    _, link = await loop.create_connection(lambda: SupervisorLink(ended, Inbox()), sock=channel)
    logging.getLogger().handlers[:] = [ChannelHandler(link)]
    code = EXIT_FAILED
    pages = Pages()
    try:
        with _no_garbage():
            config = sealed.opened()
            director = Director(loop, config, held, said, link.send)
            director.start(proxied)
        pages.apply(config)
        link.serve(partial(_take, director=director, pages=pages, link=link))
        code = await ended
        await pages.close()
        if code == 0 and not link.closed.done():
            await director.shutdown()
    except Exception:
        log.exception("the director failed; please report this")
        code = EXIT_FAILED
    await link.close()
    return code


@contextlib.contextmanager
def _no_garbage() -> Iterator[None]:
    """What is made meanwhile stays, maybe 100,000 objects: to look for garbage there takes longer than all the work."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _pass_over(_number: int, _frame: object) -> None:
    """The signals that end or reload the daemon are the supervisor's; a terminal sends them to the whole group."""


def _take(message: Message, director: Director, pages: Pages, link: SupervisorLink) -> None:
    try:
        _do(message, director, pages, link)
    except Exception:
        log.exception("the director failed; please report this")
        link.end(EXIT_FAILED)


async def _tell_status(request: int, director: Director, link: SupervisorLink) -> None:
    try:
        link.send(Answer(request, await director.status()))
    except Exception:
        log.exception("the director failed; please report this")
        link.end(EXIT_FAILED)


def _do(message: Message, director: Director, pages: Pages, link: SupervisorLink) -> None:
    if isinstance(message, Stop):
        link.end(0)
    elif isinstance(message, TellStatus):
        task = asyncio.get_running_loop().create_task(_tell_status(message.request, director, link))
        _telling.add(task)
        task.add_done_callback(_telling.discard)
    elif isinstance(message, Direct):
        with _no_garbage():
            config = message.config.opened(director.settings)
            pages.apply(config)
            director.apply(config, lambda: link.send(Answer(message.request)))
    elif isinstance(message, Ping):
        link.send(Answer(message.request))
    elif isinstance(message, Holds):
        director.hold(message.router, holds=message.holds)
    elif isinstance(message, Entered):
        director.notify(message)
    elif isinstance(message, Proxied):
        director.hear_proxy(message)
