"""Events on the ConfigMap, so that `kubectl describe configmap` says what is wrong with it and who holds its addresses.

One Event for each thing that is said, whatever number of nodes says it how often: it has a name made of what it says,
and who comes second counts it up. They are best effort: what cannot be told is told in the log anyhow.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Final, NoReturn
from urllib.parse import quote

from aiohttp import ClientTimeout
from msgspec import Struct

from vrrpd.agent.connection import AccessError, Connection, RefusedError, UnreachableError
from vrrpd.agent.objects import ConfigMap, Name

log = logging.getLogger(__name__)

RULE: Final = '{apiGroups: [""], resources: ["events"], verbs: ["create", "patch"]}'
"""What lets the agent write them, in a ClusterRole."""
BURST: Final = 25
"""That may be told at once."""
INTERVAL: Final = 5.0
"""Seconds for each one after that."""
_PAUSE: Final = 10.0
"""Seconds until an API server that does not answer is asked again; what waits is told then."""
_WAITING_MAX: Final = 256
_KNOWN_MAX: Final = 1024
_MESSAGE_MAX: Final = 1000
"""Characters; the API takes 1024."""
_LIMITS: Final = ClientTimeout(total=20.0, sock_connect=10.0)


class Saying(Struct, frozen=True):
    """One thing that is said."""

    reason: str
    """A word in CamelCase."""
    message: str
    warning: bool = False


class Recorder:
    """Tells of things one after another, at a pace that harms nobody.

    Args:
        connection: to the API server.
        config_map: what they are about.
        node: who says so.
        clock: seconds.
    """

    def __init__(
        self, connection: Connection, config_map: Name, node: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.dropped = 0
        """Things that were too many to be told."""
        self._connection = connection
        self._name = config_map
        self._node = node
        self._clock = clock
        self._about = ConfigMap(config_map, {})
        self._waiting: OrderedDict[Saying, None] = OrderedDict()
        self._news = asyncio.Event()
        self._counts: OrderedDict[str, int] = OrderedDict()
        self._tokens = float(BURST)
        self._filled = clock()
        self._asked = ""
        """The verb of the last request."""
        self._told: dict[str, str] = {}
        """Why one fails, by its verb."""

    def about(self, config_map: ConfigMap | None) -> None:
        """This is the ConfigMap now; of one that is gone the last is remembered."""
        self._about = config_map or self._about

    def say(self, saying: Saying, *, first: bool = False) -> None:
        """Tell of it soon; what waits to be told already need not be told twice.

        Args:
            saying: the thing.
            first: before all that waits, and in the place of the last of them if they are too many.
        """
        if len(self._waiting) >= _WAITING_MAX and saying not in self._waiting:
            self.dropped += 1
            if not first:
                return
            self._waiting.popitem()
        self._waiting[saying] = None
        if first:
            self._waiting.move_to_end(saying, last=False)
        self._news.set()

    def take_back(self, saying: Saying) -> None:
        """It is not so any more: if it was not told yet, it need not be."""
        self._waiting.pop(saying, None)
        if not self._waiting:
            self._news.clear()

    async def run(self) -> NoReturn:
        """Tell until cancelled."""
        while True:
            await self._news.wait()
            await asyncio.sleep(self._wait())
            if not self._waiting:  # it was taken back meanwhile
                self._tokens += 1.0
                continue
            saying, _ = self._waiting.popitem(last=False)
            if not self._waiting:
                self._news.clear()
            try:
                await self._write(saying)
                self._told.pop(self._asked, None)
            except RefusedError as error:
                self._failed(error)
            except (AccessError, UnreachableError) as error:
                self._failed(error)
                self._waiting[saying] = None
                self._waiting.move_to_end(saying, last=False)
                self._news.set()
                await asyncio.sleep(_PAUSE)

    def _wait(self) -> float:
        """Seconds until there is a token, which is taken."""
        now = self._clock()
        self._tokens = min(BURST, self._tokens + (now - self._filled) / INTERVAL)
        self._filled = now
        self._tokens -= 1.0
        return max(0.0, -self._tokens * INTERVAL)

    async def _write(self, saying: Saying) -> None:
        about, now = self._about, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        name = _name_of(about, saying)
        path = f"/api/v1/namespaces/{quote(self._name[0], safe='')}/events"
        count = self._counts.get(name, 0) + 1
        if count == 1:
            try:
                await self._create(path, self._body(name, saying, now))
            except RefusedError as error:
                if error.status != 409:
                    raise
                count = 2  # another node, or an earlier life, has said it
        if count > 1:
            try:
                change = {"count": count, "lastTimestamp": now}
                self._asked = "patch"
                await self._connection.merge(f"{path}/{name}", change, _LIMITS)
            except RefusedError as error:
                if error.status != 404:
                    raise
                self._counts.pop(name, None)  # it has expired
                await self._create(path, self._body(name, saying, now))
                count = 1
        self._counts[name] = count
        self._counts.move_to_end(name)
        if len(self._counts) > _KNOWN_MAX:
            self._counts.popitem(last=False)

    async def _create(self, path: str, body: dict[str, Any]) -> None:
        self._asked = "create"
        await self._connection.create(path, body, _LIMITS)

    def _body(self, name: str, saying: Saying, now: str) -> dict[str, Any]:
        namespace, own = self._name
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "namespace": namespace,
                "name": own,
                "uid": self._about.uid,
                "resourceVersion": self._about.resource_version,
            },
            "reason": saying.reason,
            "message": saying.message[:_MESSAGE_MAX],
            "type": "Warning" if saying.warning else "Normal",
            "source": {"component": "vrrpd", "host": self._node},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }

    def _failed(self, error: Exception) -> None:
        if isinstance(error, RefusedError) and error.status == 403:
            rule = f"needs this rule of a ClusterRole: {RULE}"
            told = f"{error.asker} may not {self._asked} events: {rule}; until then the log alone tells"
        else:
            told = f"cannot {self._asked} events: {error}"
        if told != self._told.get(self._asked):
            log.warning("%s", told)
            self._told[self._asked] = told


def _name_of(about: ConfigMap, saying: Saying) -> str:
    text = f"{about.uid} {saying.warning} {saying.reason} {saying.message}"
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    return f"{about.name[1][:230]}.{digest}"
