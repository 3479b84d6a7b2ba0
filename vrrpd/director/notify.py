"""Programs that are told of real servers and quorums: one after another, so that none overtakes what came before."""

import asyncio
import contextlib
import logging
import os
import signal

from vrrpd.config.services import Command

log = logging.getLogger(__name__)

TIMEOUT = 30.0
"""Seconds after which one is killed, with what it has started."""
WAITING_MAX = 1024


class Notifier:
    """A queue of programs."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Command] = asyncio.Queue(WAITING_MAX)
        self._worker: asyncio.Task[None] | None = None

    def tell(self, command: Command | None) -> None:
        """Run it when those before it are done."""
        if command is None:
            return
        if self._queue.full():
            log.error("%s is not called: %d programs wait already", command[0], WAITING_MAX)
            return
        self._queue.put_nowait(command)
        if self._worker is None:
            self._worker = asyncio.get_running_loop().create_task(self._work())

    async def close(self, patience: float) -> None:
        """Let what waits be done within so many seconds, then stop."""
        if self._worker:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._queue.join(), patience)
            self._worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._worker

    async def _work(self) -> None:
        while True:
            command = await self._queue.get()
            try:
                await _call(command)
            finally:
                self._queue.task_done()


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
