"""A forked speaker, director or watcher, seen from its parent."""

import fcntl
import gc
import logging
import os
import resource
import signal
import socket
import time
from collections.abc import Callable

from vrrpd.channel import Inbox, Message, pack

log = logging.getLogger(__name__)

SEND_TIMEOUT = 1.0
"""Seconds in which a child must take what it is told."""
LIFELINE_DESCRIPTOR = 1000
"""Higher than any other of most speakers, and lower than the usual limit of 1024."""
EXIT_FAILED = 1


class Child:
    """A process, at work or standing by.

    Args:
        what: what to call it in the log.
        pid: of the process.
        channel: the parent's end of the socket pair.
        lifeline: descriptor that becomes readable when the kernel has begun to clear the dead process away.
    """

    def __init__(self, what: str, pid: int, channel: socket.socket, lifeline: int) -> None:
        self.what = what
        self.pid = pid
        self.channel = channel
        self.lifeline = lifeline
        self.pidfd = os.pidfd_open(pid)
        self.inbox = Inbox()
        self.born = time.monotonic()
        """When it was told to begin; until then, when it was forked."""

    @classmethod
    def fork(cls, what: str, become: Callable[[socket.socket], None]) -> "Child":
        """Fork; the child calls `become` with its end of the socket pair, and ends with it.

        Raises:
            OSError: there may be no more processes or descriptors.
        """
        ours, theirs = socket.socketpair()
        ours.settimeout(SEND_TIMEOUT)
        lifeline, held_by_child = os.pipe()
        gc.freeze()  # a collection in the child would write to, and so copy, every page that both share
        try:
            pid = os.fork()
        except OSError:
            for end in (ours, theirs):
                end.close()
            for descriptor in (lifeline, held_by_child):
                os.close(descriptor)
            raise
        if not pid:
            try:
                ours.close()
                os.close(lifeline)
                # The kernel closes the highest descriptor first; a packet socket may hold it up for 15 ms.
                highest = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 1
                fcntl.fcntl(held_by_child, fcntl.F_DUPFD, min(LIFELINE_DESCRIPTOR, highest))
                os.close(held_by_child)
                become(theirs)
            finally:
                os._exit(EXIT_FAILED)
        theirs.close()
        os.close(held_by_child)
        try:
            return cls(what, pid, ours, lifeline)
        except OSError:  # no descriptor is left to watch it by
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            ours.close()
            os.close(lifeline)
            raise

    def send(self, message: Message) -> None:
        """Tell it; one that died meanwhile is noticed by its pidfd."""
        try:
            self.channel.sendall(pack(message))
        except TimeoutError:
            log.error("%s %d does not listen; killing it", self.what, self.pid)  # noqa: TRY400
            os.kill(self.pid, signal.SIGKILL)
        except OSError as error:
            log.debug("%s %d: %s", self.what, self.pid, error)

    def close(self) -> None:
        """Forget it."""
        self.channel.close()
        os.close(self.pidfd)
        os.close(self.lifeline)
