"""Programs that are told of real servers, quorums and states: for each server or router one after another."""

import asyncio
import contextlib
import logging
import os
import signal
from collections import deque

from vrrpd.config.services import Command

log = logging.getLogger(__name__)

TIMEOUT = 30.0
"""Seconds after which one is killed, with what it has started."""
WAITING_MAX = 1024
"""Programs that may wait for those of the same virtual server or router."""


class Notifier:
    """A queue of programs for each virtual server and each router."""

    def __init__(self) -> None:
        self._queues: dict[str, deque[Command]] = {}
        self._workers: set[asyncio.Task[None]] = set()

    def tell(self, name: str, command: Command | None) -> None:
        """Run it when those of that virtual server or router before it are done."""
        if command is None:
            return
        queue = self._queues.get(name)
        if queue is None:
            queue = self._queues[name] = deque()
            worker = asyncio.get_running_loop().create_task(self._work(name, queue))
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)
        if len(queue) < WAITING_MAX:
            queue.append(command)
        else:
            log.error("%s is not called: %d programs of %s wait already", command[0], WAITING_MAX, name)

    async def close(self, patience: float) -> None:
        """Let what waits be done within so many seconds, then stop."""
        if not self._workers:
            return
        _, late = await asyncio.wait(self._workers, timeout=patience)
        if late:
            waiting = sum(map(len, self._queues.values()))
            log.error("%d programs are broken off, and %d are not called: there is no time left", len(late), waiting)
        for worker in late:
            worker.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _work(self, name: str, queue: deque[Command]) -> None:
        while queue:
            await _call(queue.popleft())
        del self._queues[name]


async def _call(command: Command) -> None:
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, start_new_session=True
        )
    except OSError as error:
        log.error("cannot call %s: %s", command[0], error.strerror)  # noqa: TRY400
        return
    try:
        code = await asyncio.wait_for(process.wait(), TIMEOUT)
    except TimeoutError:
        log.error("%s was not done within %g s, and is killed", command[0], TIMEOUT)  # noqa: TRY400
    else:
        if code:
            log.warning("%s exited with %d", command[0], code)
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
