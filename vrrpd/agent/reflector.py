"""Keeps one resource's objects as the API server has them: a list, and then a watch of what changes.

The rules are those of the API's concepts ("Efficient detection of changes"): a watch goes on from the last version
seen; one that has expired (410) makes another list necessary; bookmarks keep the version young.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from typing import Any, Final, Generic, NoReturn

import msgspec
from aiohttp import ClientConnectionError, ClientPayloadError, ClientResponse, ClientTimeout
from msgspec import Struct

from vrrpd.agent.connection import AccessError, Connection, RefusedError, UnreachableError
from vrrpd.agent.objects import Name
from vrrpd.agent.parse import Metadata, ParseError
from vrrpd.agent.resources import Object, Resource

log = logging.getLogger(__name__)

PAGE: Final = 500
"""Objects a request of a list."""
LINE_MAX: Final = 32 << 20
"""Bytes of one event; etcd keeps no object of more than some 1.5 MB."""
_CONNECT: Final = 10.0
_READ: Final = 60.0
"""Seconds for a page: as long as the API server gives itself."""
_GRACE: Final = 30.0
"""Seconds that a watch may outlive the end that was agreed with the server."""
_TOLD_MAX: Final = 16
"""Different failures in a row that are logged."""


class Patience(Struct, frozen=True):
    """How long things take, in seconds."""

    first: float = 0.5
    """Before the first retry; doubles with each, less up to a half by chance."""
    cap: float = 30.0
    """Before any retry, and the longest Retry-After that is heeded."""
    settled: float = 5.0
    """What a watch has to last for to be taken as a good one."""
    watch: float = 300.0
    """Until the server ends a watch, and up to a half more by chance."""
    idle: float = 120.0
    """Without a byte until a connection is given up; the API server sends a bookmark each minute."""


class Counters(Struct):
    """Since the start."""

    events: int = 0
    """Of watches, without bookmarks."""
    lists: int = 0
    """That came to their end; all but one are relists."""
    watches: int = 0
    """That began."""
    errors: int = 0
    """Lists and watches that failed, among them watches that ended at once; not where another resource stands in."""


class Status(Struct, frozen=True):
    """How well a resource is followed."""

    resource: str
    listed: bool
    """Whether there has been a whole list."""
    objects: int
    failing_since: float | None
    """Seconds on the monotonic clock; None: it is followed, or has not been asked for yet."""
    reason: str
    """Of the last failure; empty if there is none."""
    unreadable: tuple[str, ...]
    """What is wrong with objects that the last list had and that were passed over."""


class NonsenseError(Exception):
    """What an API server should not send."""


class ExpiredError(Exception):
    """Changes after that version are not known any more."""


class _ListMetadata(Struct, rename="camel"):
    resource_version: str = ""
    continue_: str | None = msgspec.field(default=None, name="continue")


class _Page(Struct):
    kind: str
    metadata: _ListMetadata
    items: list[msgspec.Raw] | None = None


class _Event(Struct):
    type: str
    object: msgspec.Raw


class _Head(Struct):
    metadata: Metadata
    kind: str = ""


class _ErrorStatus(Struct):
    code: int = 0
    message: str = ""


class Reflector(Generic[Object]):
    """The objects of one resource by namespace and name.

    What has not changed keeps its identity, through relists too. Whatever happens, the last that is known stays.
    """

    def __init__(
        self,
        connection: Connection,
        resource: Resource[Object],
        changed: Callable[[], None],
        *,
        wanted: Name = ("", ""),
        patience: Patience | None = None,
    ) -> None:
        """Follows nothing until `run`.

        Args:
            connection: whom to ask.
            resource: for what.
            changed: called when `objects` is not what it was, or has been listed for the first time.
            wanted: in which namespace, and which one there; "": all.
            patience: seconds for this and that.
        """
        self.resource = resource
        self.objects: dict[Name, Object] = {}
        self.listed = False
        self.counters = Counters()
        self.refusals = 0
        """How often in a row the API server has said that it is forbidden, or not there."""
        self.out_of_reach = False
        """The API server did not answer the last time.

        One that answers, and breaks off, is not: reflectors that wake each other would ask it as fast as they can.
        """
        self.reached: Callable[[], None] = lambda: None
        """Called when the API server answers that could not be reached before."""
        self._awake = asyncio.Event()
        self._was_answered = False
        """In this try."""
        self._connection = connection
        self._changed = changed
        namespace, name = wanted
        self._path = resource.path(namespace)
        self._selector = [("fieldSelector", f"metadata.name={name}")] if name else []
        self._patience = patience or Patience()
        self._version = ""
        self._failures = 0
        self._settled = False
        self._failing_since: float | None = None
        self._reason = ""
        self._told: set[str] = set()
        self._unreadable: tuple[str, ...] = ()

    @property
    def status(self) -> Status:
        """As it is now."""
        return Status(
            resource=self.resource.full,
            listed=self.listed,
            objects=len(self.objects),
            failing_since=self._failing_since,
            reason=self._reason,
            unreadable=self._unreadable,
        )

    def wake(self) -> None:
        """Ask again now, if it waits to: others have been answered."""
        if self.out_of_reach:
            self._awake.set()

    def _answered(self) -> None:
        self._was_answered = True
        if self.out_of_reach:
            self.out_of_reach = False
            self.reached()

    async def run(self) -> NoReturn:
        """Follow the resource, whatever comes, until cancelled."""
        while True:
            fresh = not self._version
            verb = "list" if fresh else "watch"
            failure: Exception | None = None
            self._settled = self._was_answered = False
            try:
                if fresh:
                    await self._list()
                verb = "watch"
                await self._watch()
                if not self._settled:  # else there would be nothing to keep this from turning as fast as it can
                    failure = UnreachableError("the watch ended at once")
            except ExpiredError as error:
                self._version = ""
                failure = error if fresh and not self._settled else None
            except RefusedError as error:
                if error.status in (403, 404):
                    self.refusals += 1
                    self._version = ""  # as long as it cannot be watched it is listed
                failure = error
            except (AccessError, UnreachableError) as error:
                failure = error
            except NonsenseError as error:
                self._version = ""
                failure = error
            except Exception as error:
                log.exception("%s: please report this", self.resource.full)
                self._version = ""
                failure = error
            if failure is not None:
                await self._pause(verb, failure)

    async def _list(self) -> None:
        """Get all objects; only then do they take the place of those that are known.

        Raises:
            ExpiredError, NonsenseError; and what `Connection.get` raises.
        """
        unreadable: list[str] = []
        try:
            objects, version = await self._pages(PAGE, unreadable)
        except ExpiredError:  # it took longer than etcd keeps history: all of it in one go
            unreadable.clear()
            objects, version = await self._pages(0, unreadable)
        for problem in unreadable:
            if problem not in self._unreadable:
                log.warning("passed over: %s", problem)
        self._unreadable = tuple(unreadable)
        same = self.listed and objects.keys() == self.objects.keys()
        same = same and all(self.objects[key] is there for key, there in objects.items())
        self.objects = objects
        self.listed = True
        self.counters.lists += 1
        self._version = version
        if not same:
            self._changed()

    async def _pages(self, size: int, unreadable: list[str]) -> tuple[dict[Name, Object], str]:
        found: dict[Name, Object] = {}
        limits = ClientTimeout(total=_READ, sock_connect=_CONNECT)
        token: str | None = ""
        version = ""
        while token is not None:
            limit = [("limit", str(size))] if size else []
            query = [*self._selector, *limit, *([("continue", token)] if token else [])]
            page = _decode(await self._get(query, limits), _Page)
            if page.kind != f"{self.resource.kind}List":
                raise NonsenseError(f"a list of {page.kind} instead of {self.resource.kind}List")
            for raw in page.items or ():
                self._add(raw, found, unreadable)
            version = page.metadata.resource_version
            if page.metadata.continue_ == token and token:
                raise NonsenseError("a list whose pages have no end")
            token = page.metadata.continue_ or None
        if not version:
            raise NonsenseError("a list without resourceVersion")
        return found, version

    async def _get(self, query: list[tuple[str, str]], limits: ClientTimeout) -> bytes:
        try:
            async with self._connection.get(self._path, query, limits) as response:
                self._answered()
                return await response.read()
        except RefusedError as error:
            raise (ExpiredError() if error.status == 410 else error) from error

    def _add(self, raw: msgspec.Raw, found: dict[Name, Object], unreadable: list[str]) -> None:
        """Put an object of a list to the others; one that cannot be read stays as it was."""
        try:
            metadata = _decode(raw, _Head).metadata
        except NonsenseError as error:
            unreadable.append(str(error))
            return
        name = (metadata.namespace or "", metadata.name or "")
        known = self.objects.get(name)
        try:
            read = self.resource.parse(raw)
        except ParseError as error:
            unreadable.append(str(error))
            if known is None:
                return
            read = known
        found[name] = known if known is not None and known == read else read

    async def _watch(self) -> None:
        """Take changes after the version that is known, until the watch ends.

        Raises:
            ExpiredError, NonsenseError; and what `Connection.get` raises.
        """
        seconds = self._patience.watch * random.uniform(1.0, 1.5)
        query = [
            *self._selector,
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", self._version),
            ("timeoutSeconds", str(max(1, round(seconds)))),
        ]
        limits = ClientTimeout(total=seconds + _GRACE, sock_connect=_CONNECT, sock_read=self._patience.idle)
        try:
            async with self._connection.get(self._path, query, limits) as response:
                self._answered()
                self.counters.watches += 1
                if self.refusals:
                    self.refusals = 0
                    self._changed()
                timer = asyncio.get_running_loop().call_later(self._patience.settled, self._settle)
                try:
                    await self._follow(response)
                finally:
                    timer.cancel()
        except RefusedError as error:
            raise (ExpiredError() if error.status == 410 else error) from error

    async def _follow(self, response: ClientResponse) -> None:
        rest = b""
        try:
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                if len(rest) > LINE_MAX:
                    raise NonsenseError(f"an event of more than {LINE_MAX} bytes")
                self._take_all(lines)
        except (ClientConnectionError, ClientPayloadError):
            return  # cut off, or without a word for too long: what comes of asking again will tell
        if rest.strip():
            raise NonsenseError("the watch ended within an event")

    def _take_all(self, lines: list[bytes]) -> None:
        changes = 0
        try:
            for line in lines:
                if line.strip():
                    changes += self._take(line)
        finally:
            if changes:
                self._changed()

    def _take(self, line: bytes) -> bool:
        """Take one event; returns whether it changed anything."""
        event = _decode(line, _Event)
        if event.type == "ERROR":
            status = _decode(event.object, _ErrorStatus)
            if status.code == 410:
                raise ExpiredError(status.message)
            raise NonsenseError(f"the watch says: {status.message or bytes(event.object)[:200]!r}")
        head = _decode(event.object, _Head)
        if head.kind != self.resource.kind or not head.metadata.resource_version:
            raise NonsenseError(f"an event of {head.kind or 'nothing'} instead of {self.resource.kind} with a version")
        name = (head.metadata.namespace or "", head.metadata.name or "")
        known = self.objects.get(name)
        if event.type in ("ADDED", "MODIFIED"):
            try:
                read = self.resource.parse(event.object)
            except ParseError as error:
                raise NonsenseError(str(error)) from error
            if known is None or known != read:
                self.objects[name] = read
            self.counters.events += 1
        elif event.type == "DELETED":
            self.objects.pop(name, None)
            self.counters.events += 1
        elif event.type != "BOOKMARK":
            raise NonsenseError(f"an event of type {event.type!r}")
        self._version = head.metadata.resource_version
        return self.objects.get(name) is not known

    def _settle(self) -> None:
        """The watch is a good one."""
        self._settled = True
        self._failures = 0
        self._told.clear()
        if self._failing_since is not None:
            log.info("%s: followed again after %.0f s", self.resource.full, time.monotonic() - self._failing_since)
            self._failing_since = None
            self._reason = ""

    async def _pause(self, verb: str, failure: Exception) -> None:
        """Tell what failed, if it has not been told yet, and wait."""
        self.counters.errors += not (self.refusals and self.resource.fallback)
        if self._failing_since is None:
            self._failing_since = time.monotonic()
        self._reason = self._in_words(verb, failure)
        if self._reason not in self._told and len(self._told) < _TOLD_MAX:
            self._told.add(self._reason)
            log.warning("%s", self._reason)
        if self.refusals:
            self._changed()
        delay = min(self._patience.first * 2.0 ** min(self._failures, 32), self._patience.cap)
        self._failures += 1
        wanted = min(failure.retry_after, self._patience.cap) if isinstance(failure, RefusedError) else 0.0
        self.out_of_reach = isinstance(failure, UnreachableError) and not self._was_answered
        self._awake.clear()
        try:
            await asyncio.wait_for(self._awake.wait(), wanted + delay * random.uniform(0.5, 1.0))
        except TimeoutError:
            return

    def _in_words(self, verb: str, failure: Exception) -> str:
        resource = self.resource
        instead = f"; without it {resource.fallback} are followed" if resource.fallback else ""
        if isinstance(failure, RefusedError) and failure.status == 403:
            rule = f"needs this rule of a ClusterRole: {resource.rule}{instead}"
            return f"{failure.asker} may not {verb} {resource.full}: {rule}"
        if isinstance(failure, RefusedError) and failure.status == 404:
            return f"cannot {verb} {resource.full}: the API server does not serve it{instead}"
        if isinstance(failure, ExpiredError):
            return f"cannot {verb} {resource.full}: expired as soon as it had been listed"
        return f"cannot {verb} {resource.full}: {failure}; what is known stays"


def _decode(raw: bytes | msgspec.Raw, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise NonsenseError(f"{error}: {bytes(raw)[:200]!r}") from error
