"""The pages that are served by HTTP, beside the director's work."""

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from vrrpd.config.model import Config

if TYPE_CHECKING:
    from vrrpd.web.server import Web

log = logging.getLogger(__name__)

RETRY = 5.0
"""Seconds until what serves them is started again after a mistake of ours."""


class Pages:
    """Served where an address for them is configured; what serves them is loaded no sooner."""

    def __init__(self) -> None:
        self._web: Web | None = None
        self._serving: asyncio.Task[None] | None = None

    def apply(self, config: Config) -> None:
        """Serve them where this configuration says."""
        if self._web is None and config.http:
            from vrrpd.web.server import Web  # noqa: PLC0415

            self._web = Web(config.control_socket)
            self._serving = asyncio.get_running_loop().create_task(_keep(self._web))
        if self._web:
            self._web.listen(config.http)

    async def close(self) -> None:
        """Serve them no more."""
        if self._serving:
            self._serving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._serving


async def _keep(web: "Web") -> None:
    while True:
        try:
            await web.run()
        except Exception:
            log.exception("http failed; please report this; it goes on in %g s", RETRY)
        await asyncio.sleep(RETRY)
