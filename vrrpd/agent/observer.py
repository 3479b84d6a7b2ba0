"""What the agent needs to know of the cluster, as one snapshot after the other."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import partial
from operator import attrgetter
from typing import Any, Final

from vrrpd.agent.connection import Connection
from vrrpd.agent.objects import EndpointSlice, Name, Snapshot
from vrrpd.agent.reflector import Counters, Patience, Reflector, Status
from vrrpd.agent.resources import CONFIG_MAPS, ENDPOINT_SLICES, ENDPOINTS, NODES, SERVICES

log = logging.getLogger(__name__)

_GATHER: Final = 1.0
_GATHER_MAX: Final = 3.0
"""Seconds in which all resources are listed when the API server is back: old services and new entries do not fit."""
_GATHER_POLL: Final = 0.02
_REFUSALS_MAX: Final = 3
"""In a row, of slices that have been there: an API server that starts may refuse for a moment what it grants."""


class Observer:
    """Runs a reflector for each resource, and tells of what changes at most once a turn of the loop."""

    def __init__(
        self,
        connection: Connection,
        config_map: Name,
        changed: Callable[[Snapshot], None],
        *,
        watch_namespace: str = "",
        patience: Patience | None = None,
    ) -> None:
        """Observes nothing until `run`.

        Args:
            connection: to the API server; whoever made it closes it.
            config_map: namespace and name of the only one that counts.
            changed: called with a snapshot once every resource has been listed, and then whenever something changes.
            watch_namespace: where services and endpoints are looked for; "": everywhere.
            patience: seconds for this and that.
        """
        self.snapshot: Snapshot | None = None
        """The last one; stays while the API server is away."""
        self._reached_at = float("-inf")
        """When, on the loop's clock, an API server that was away has answered first."""
        self._name = config_map
        self._publish_to = changed
        self._dirty: set[str] = set()
        self._by_service = SlicesByService()
        self._publication: asyncio.Handle | None = None
        self._tasks: asyncio.TaskGroup | None = None
        everywhere = (watch_namespace, "")
        self._config_maps = Reflector(
            connection, CONFIG_MAPS, partial(self._touch, "config map"), wanted=config_map, patience=patience
        )
        self._services = Reflector(
            connection, SERVICES, partial(self._touch, "services"), wanted=everywhere, patience=patience
        )
        self._slices = Reflector(
            connection, ENDPOINT_SLICES, self._slices_changed, wanted=everywhere, patience=patience
        )
        self._new_endpoints = partial(
            Reflector, connection, ENDPOINTS, partial(self._touch, "slices"), wanted=everywhere, patience=patience
        )
        self._endpoints: Reflector[tuple[EndpointSlice, ...]] | None = None
        self._endpoints_task: asyncio.Task[None] | None = None
        self._nodes = Reflector(connection, NODES, partial(self._touch, "nodes"), patience=patience)
        for reflector in self._reflectors():
            reflector.reached = self._reached

    async def run(self) -> None:
        """Observe until cancelled."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                for reflector in (self._config_maps, self._services, self._slices, self._nodes):
                    self._tasks.create_task(reflector.run())
        finally:
            if self._publication:
                self._publication.cancel()

    def _reached(self) -> None:
        """The API server is back for one: the others ask as well, and all that comes of it is taken up together."""
        now = asyncio.get_running_loop().time()
        if now - self._reached_at > _GATHER_MAX:
            self._reached_at = now
        for reflector in self._reflectors():
            reflector.wake()

    @property
    def status(self) -> tuple[Status, ...]:
        """How well each resource is followed."""
        return tuple(reflector.status for reflector in self._reflectors())

    @property
    def counters(self) -> Mapping[str, Counters]:
        """By resource; those of Endpoints begin anew with each time that they are needed."""
        return {reflector.resource.full: reflector.counters for reflector in self._reflectors()}

    def _reflectors(self) -> list[Reflector[Any]]:
        endpoints = [self._endpoints] if self._endpoints else []
        return [self._config_maps, self._services, self._slices, *endpoints, self._nodes]

    def _slices_changed(self) -> None:
        """EndpointSlices changed, or whether they may be read did: then Endpoints come in, or go."""
        refusals = self._slices.refusals
        if self._endpoints is None and refusals >= (_REFUSALS_MAX if self._slices.listed else 1):
            assert self._tasks
            self._endpoints = self._new_endpoints()
            self._endpoints.reached = self._reached
            self._endpoints_task = self._tasks.create_task(self._endpoints.run())
        elif self._endpoints_task and self._slices.listed and not refusals:
            log.info("%s can be read; Endpoints are followed no more", ENDPOINT_SLICES.full)
            self._endpoints_task.cancel()
            self._endpoints = self._endpoints_task = None
        self._touch("slices")

    def _touch(self, part: str) -> None:
        self._dirty.add(part)
        if self._publication is None:
            self._publication = asyncio.get_running_loop().call_soon(self._publish)

    def _publish(self) -> None:
        self._publication = None
        loop = asyncio.get_running_loop()
        away = any(reflector.out_of_reach for reflector in self._reflectors())
        if loop.time() - self._reached_at < (_GATHER_MAX if away else _GATHER):
            self._publication = loop.call_later(_GATHER_POLL, self._publish)
            return
        # Until Endpoints are there slices that may be read no more are better than nothing.
        source = self._endpoints if self._endpoints and self._endpoints.listed else self._slices
        if not (self._config_maps.listed and self._services.listed and source.listed and self._nodes.listed):
            return
        last, dirty = self.snapshot, self._dirty
        snapshot = Snapshot(
            config_map=self._config_maps.objects.get(self._name),
            services=last.services if last and "services" not in dirty else dict(self._services.objects),
            slices=last.slices if last and "slices" not in dirty else self._by_service.after(source.objects),
            nodes=last.nodes if last and "nodes" not in dirty else {n.name: n for n in self._nodes.objects.values()},
        )
        self._dirty = set()
        if snapshot != last:
            self.snapshot = snapshot
            self._publish_to(snapshot)


class SlicesByService:
    """Slices by their service, of which only those are put together anew that have changed: of thousands it is one."""

    def __init__(self) -> None:
        self._objects: Mapping[Name, tuple[EndpointSlice, ...]] = {}
        self._found: Mapping[Name, tuple[EndpointSlice, ...]] = {}

    def after(self, objects: Mapping[Name, tuple[EndpointSlice, ...]]) -> Mapping[Name, tuple[EndpointSlice, ...]]:
        """The slices of each service, in the order of their names; where they are as before so is the tuple.

        Args:
            objects: by their own names; what is the same object as the last time has not changed.
        """
        before, self._objects = self._objects, dict(objects)
        unlike = [each for name, each in objects.items() if before.get(name) is not each]
        unlike += [each for name, each in before.items() if objects.get(name) is not each]
        groups: dict[Name, list[EndpointSlice]] = {_service_of(one): [] for slices in unlike for one in slices}
        for slices in objects.values() if groups else ():
            for one in slices:
                if (group := groups.get(_service_of(one))) is not None:
                    group.append(one)
        found = {name: slices for name, slices in self._found.items() if name not in groups}
        for service, group in groups.items():
            new, old = tuple(sorted(group, key=attrgetter("name"))), self._found.get(service)
            if new:
                found[service] = old if old == new else new
        self._found = found
        return found


def _service_of(one: EndpointSlice) -> Name:
    return one.name[0], one.service
