"""Answers by HTTP with what the daemon says of itself over its control socket, as any other client would ask."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn

from aiohttp import web

from vrrpd.config.model import HttpAddress
from vrrpd.web.judgement import hindrances, mismatches
from vrrpd.web.metrics import exposition
from vrrpd.web.page import page

log = logging.getLogger(__name__)

JSON = dict[str, Any]

RETRY: Final = 5.0
"""Seconds until an address that cannot be listened on is tried again."""
PATIENCE: Final = 8.0
"""Seconds that the daemon is given to answer; its parts have less."""
_STATUS_MAX: Final = 1 << 26
"""Bytes; 5,000 virtual servers with ten real servers each have half of it."""


class SilentError(Exception):
    """The daemon does not say how it is."""


class Web:
    """The pages of one daemon.

    Args:
        control_socket: the daemon's.
    """

    def __init__(self, control_socket: Path) -> None:
        self._control_socket = control_socket
        self._wanted: HttpAddress | None = None
        self._changed = asyncio.Event()
        self._asking: asyncio.Task[JSON] | None = None

    def listen(self, address: HttpAddress | None) -> None:
        """Answer there from now on; None: nowhere."""
        self._wanted = address
        self._changed.set()

    async def run(self) -> NoReturn:
        """Answer until cancelled."""
        runner: web.AppRunner | None = None
        bound: HttpAddress | None = None
        told = ""
        try:
            while True:
                self._changed.clear()
                if runner and bound != self._wanted:
                    await runner.cleanup()  # and the connections that are kept
                    runner = bound = None
                if bound != self._wanted and (wanted := self._wanted):
                    try:
                        runner, bound, told = await self._listen_on(wanted), wanted, ""
                        log.info("http: listening on %s", wanted)
                    except OSError as error:
                        problem = f"http: cannot listen on {wanted}: {error.strerror or error}; name another address"
                        if problem != told:
                            log.error("%s", problem)  # noqa: TRY400
                        told = problem
                await self._wait(None if bound == self._wanted else RETRY)
        finally:
            if runner:
                await runner.cleanup()

    async def _listen_on(self, address: HttpAddress) -> web.AppRunner:
        application = web.Application()
        application.add_routes(
            [
                web.get("/", _page(self._status)),
                web.get("/status", _page(self._status)),
                web.get("/metrics", _metrics(self._status)),
                web.get("/health", _verdict(self._status, mismatches, 500)),
                web.get("/ready", _verdict(self._status, hindrances, 503)),
                web.get("/live", _verdict(partial(_ask, self._control_socket, "ping"), lambda _: (), 503)),
            ]
        )
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, address.host or None, address.port).start()
        except OSError:
            await runner.cleanup()
            raise
        return runner

    async def _wait(self, most: float | None) -> None:
        try:
            await asyncio.wait_for(self._changed.wait(), most)
        except TimeoutError:
            return

    async def _status(self) -> JSON:
        """One answer for all who ask meanwhile."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(_ask(self._control_socket, "status"))
        return await asyncio.shield(self._asking)


Status = Callable[[], Awaitable[JSON]]
Handler = Callable[[web.Request], Awaitable[web.Response]]


async def _ask(control_socket: Path, command: str) -> JSON:
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_unix_connection(control_socket, limit=_STATUS_MAX)
            try:
                writer.write(json.dumps({"command": command}).encode() + b"\n")
                answer = json.loads(await reader.readline())
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError) as error:
        raise SilentError(f"the daemon does not answer: {error or 'it is busy, or hangs'}") from error
    if not answer["ok"]:
        raise SilentError(answer["error"])
    result: JSON = answer["result"]
    return result


def _verdict(status: Status, wrongs: Callable[[JSON], Any], code: int) -> Handler:
    """`OK`, or what is wrong, a line each, with that code."""

    async def answer(_: web.Request) -> web.Response:
        try:
            found = [*wrongs(await status())]
        except SilentError as error:
            found = [str(error)]
        return web.Response(text="\n".join(found) or "OK", status=code if found else 200)

    return answer


def _metrics(status: Status) -> Handler:
    async def answer(request: web.Request) -> web.Response:
        try:
            body, kind = exposition(await status(), request.headers.get("Accept", ""))
        except SilentError as error:
            return web.Response(text=str(error), status=503)
        return web.Response(body=body, headers={"Content-Type": kind})

    return answer


def _page(status: Status) -> Handler:
    """For people, or as `vrrpd status --json` has it for who asks for that."""

    async def answer(request: web.Request) -> web.Response:
        try:
            found = await status()
        except SilentError as error:
            return web.Response(text=str(error), status=503)
        if request.query.get("format") == "json" or request.headers.get("Accept") == "application/json":
            return web.json_response(found)
        return web.Response(text=page(found), content_type="text/html")

    return answer
