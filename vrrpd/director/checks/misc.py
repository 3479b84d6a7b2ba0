"""MISC_CHECK: a program exits with 0 within `connect_timeout`, or with a weight."""

import asyncio
import contextlib
import os
import signal
import subprocess

from vrrpd.config.services import MiscCheck
from vrrpd.director.checks.probe import CheckFailed, in_words
from vrrpd.protocol.advert import IPAddress

_WEIGHT_0 = 2
"""The exit code that means a weight of 0."""


async def attempt(check: MiscCheck, _address: IPAddress, _port: int) -> int | None:
    """Run the program, in a process group of its own, which is killed if the attempt is over first.

    What a program leaves behind that comes to its end stays: it may have started a service that it had found dead.
    """
    code = await _run(check)
    if code < 0:
        raise CheckFailed(f"{check.misc_path[0]} was killed by signal {-code} ({signal.strsignal(-code)})")
    if check.misc_dynamic and code >= _WEIGHT_0:
        return code - _WEIGHT_0
    if code:
        raise CheckFailed(f"{check.misc_path[0]} exited with {code}")
    return None


async def _run(check: MiscCheck) -> int:
    """The exit code, negative for a signal.

    A pidfd tells of the end before the process is buried, so that until then its number is still its own and its group
    can be killed without hitting another; asyncio buries first, and has a thread wait for each process. Nor need who is
    cancelled wait: the burial is the loop's business.
    """
    loop = asyncio.get_running_loop()
    try:
        # It returns when the program has been started, as asyncio's own does, which calls it.
        process = subprocess.Popen(  # noqa: ASYNC220
            check.misc_path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise CheckFailed(f"{check.misc_path[0]}: {in_words(error)}") from error
    try:
        pidfd = os.pidfd_open(process.pid)
    except OSError:
        _kill_group(process)
        process.wait()
        raise
    ended: asyncio.Future[int] = loop.create_future()

    def bury() -> None:
        loop.remove_reader(pidfd)
        os.close(pidfd)
        code = process.wait()
        if not ended.done():
            ended.set_result(code)

    loop.add_reader(pidfd, bury)
    try:
        return await ended
    finally:
        if process.returncode is None:
            _kill_group(process)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
