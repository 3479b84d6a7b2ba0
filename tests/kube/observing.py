"""An observer in a thread of its own, for tests that do one thing after the other."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from types import TracebackType
from typing import Final, Self

import uvloop

from tests.peers import eventually
from vrrpd.agent.connection import Access, Connection
from vrrpd.agent.objects import Name, Snapshot
from vrrpd.agent.observer import Observer
from vrrpd.agent.reflector import Patience, Status

QUICK: Final = Patience(first=0.05, cap=0.4, settled=0.2)
"""For servers that come back soon."""


class Observing:
    """Observes from `with` to its end."""

    def __init__(
        self, access: Access, config_map: Name, *, watch_namespace: str = "", patience: Patience = QUICK
    ) -> None:
        self.snapshots: list[Snapshot] = []
        self._access = access
        self._config_map = config_map
        self._watch_namespace = watch_namespace
        self._patience = patience
        self._thread = ThreadPoolExecutor(1)
        self._begun = threading.Event()

    def __enter__(self) -> Self:
        self._end = self._thread.submit(self._run)
        assert self._begun.wait(20)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.shutdown()
        self._end.result()
        assert all(before != after for before, after in pairwise(self.snapshots)), "told of what has not changed"

    @property
    def last(self) -> Snapshot:
        return self.snapshots[-1]

    def until(self, wanted: Callable[[Snapshot], bool]) -> Snapshot:
        """Wait for the last snapshot to be as wanted."""
        eventually(lambda: bool(self.snapshots) and wanted(self.last), f"{self.snapshots[-1:]} {self.observer.status}")
        return self.last

    def status(self, resource: str) -> Status:
        return next(status for status in self.observer.status if status.resource == resource)

    def lists(self, resource: str) -> int:
        return self.observer.counters[resource].lists

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # as the daemon's processes do
            runner.run(self._observe())

    async def _observe(self) -> None:
        self._loop = asyncio.get_running_loop()
        connection = Connection(self._access)
        self.observer = Observer(
            connection,
            self._config_map,
            self.snapshots.append,
            watch_namespace=self._watch_namespace,
            patience=self._patience,
        )
        self._task = self._loop.create_task(self.observer.run())
        self._begun.set()
        try:
            await self._task
        except asyncio.CancelledError:
            pass
        finally:
            await connection.close()
